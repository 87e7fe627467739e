//! Copying, the heap, the frame allocator.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use linux_object::hal::Hal;
use linux_object::ids::PAGE_SIZE;

use super::Random;

/// `memcpy`, `memmove`, `memset`, `memcmp` of mem.S.
pub fn functions(_: &dyn Hal) {
    let mut random = Random::new(1);
    let mut buffer: Vec<u8> = (0..2400).map(|_| random.next() as u8).collect();
    let mut model = buffer.clone();
    let lens = (0..70)
        .chain([95, 127, 128, 129, 159, 160, 161, 191, 255, 256, 257, 383, 500])
        .chain([1023, 1024, 1025, 1151, 1152, 1535, 1536, 1537, 1700]);
    for len in lens {
        for _ in 0..20 {
            let (from, to) = (random.below(600), random.below(600));
            buffer.copy_within(from..from + len, to);
            let copy: Vec<u8> = (0..len).map(|i| model[from + i]).collect();
            for (i, byte) in copy.iter().enumerate() {
                model[to + i] = *byte;
            }
            assert!(same(&buffer, &model), "memmove {from} -> {to}, {len}");

            let value = random.next() as u8;
            buffer[to..to + len].fill(value);
            for slot in &mut model[to..to + len] {
                *slot = value;
            }
            assert!(same(&buffer, &model), "memset {to}, {len}");

            let mut other = vec![0; len];
            other.copy_from_slice(&buffer[from..from + len]);
            assert!(same(&other, &model[from..from + len]), "memcpy {from}, {len}");
            assert!(other == buffer[from..from + len] && other[..].cmp(&buffer[from..from + len]).is_eq());
            if len > 0 {
                let at = random.below(len);
                other[at] = other[at].wrapping_add(1 + random.below(254) as u8);
                let less = other[at] < buffer[from + at];
                assert!(other != buffer[from..from + len], "bcmp {len} at {at}");
                assert_eq!(other[..] < buffer[from..from + len], less, "memcmp {len} at {at}");
            }
            model[from] = random.next() as u8;
            buffer[from] = model[from];
        }
    }
}

fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && (0..a.len()).all(|i| core::hint::black_box(a[i]) == b[i])
}

/// Random blocks, each filled with its own byte.
pub fn heap(hal: &dyn Hal) {
    stress(3, 20_000);
    let before = hal.frame_stats();
    stress(4, 20_000);
    let after = hal.frame_stats();
    let kept = after.heap.saturating_sub(before.heap);
    assert!(kept < 64, "the heap kept {kept} pages");
    let aligned: Box<Aligned> = Box::new(Aligned([7; 64]));
    assert_eq!(core::ptr::from_ref(&*aligned).addr() % 64, 0);
    assert!(aligned.0.iter().all(|&b| b == 7));
}

#[repr(align(64))]
struct Aligned([u8; 64]);

/// Allocates, grows and frees blocks at random.
pub fn stress(seed: u64, rounds: usize) {
    let mut random = Random::new(seed);
    let mut blocks: Vec<Vec<u8>> = Vec::new();
    for _ in 0..rounds {
        match random.below(4) {
            0 | 1 if blocks.len() < 200 => {
                let len = match random.below(20) {
                    0 => random.below(40_000),
                    1 | 2 => random.below(4000),
                    _ => random.below(300),
                };
                let byte = len as u8 ^ 0x5a;
                blocks.push(vec![byte; len]);
            }
            2 if !blocks.is_empty() => {
                let at = random.below(blocks.len());
                let block = &mut blocks[at];
                let byte = block.first().copied().unwrap_or(0);
                let more = random.below(200);
                block.resize(block.len() + more, byte);
            }
            _ if !blocks.is_empty() => {
                let block = blocks.swap_remove(random.below(blocks.len()));
                let first = block.first().copied().unwrap_or(0);
                assert!(block.iter().all(|&b| b == first), "a block was overwritten");
            }
            _ => {}
        }
    }
}

/// Reference counts, owners, contents.
pub fn frames(hal: &dyn Hal) {
    let before = hal.frame_stats().free;
    let frame = hal.alloc_frame(true).expect("a frame");
    let mut bytes = [1; 64];
    hal.read_frame(frame, 4032, &mut bytes);
    assert_eq!(bytes, [0; 64]);
    assert_eq!((hal.frame_refs(frame), hal.frame_owner(frame)), (1, 0));
    hal.set_frame_owner(frame, 76);
    assert!(!hal.change_frame_owner(frame, 75, 1));
    assert!(hal.change_frame_owner(frame, 76, 77));
    assert_eq!(hal.count_frame_maps(frame, 1), 1);
    assert_eq!(hal.count_frame_maps(frame, -1), 0);
    hal.get_frame(frame);
    assert_eq!(hal.frame_refs(frame), 2);
    assert_eq!(hal.put_frame(frame), None);
    hal.write_frame(frame, 100, b"hello");
    let other = hal.alloc_frame(false).expect("a frame");
    hal.copy_frame(frame, other);
    hal.zero_frame(frame, 101, 3);
    let mut word = [0; 5];
    hal.read_frame(frame, 100, &mut word);
    assert_eq!(&word, b"h\0\0\0o");
    hal.read_frame(other, 100, &mut word);
    assert_eq!(&word, b"hello");
    assert_eq!(hal.put_frame(frame), Some(77));
    assert_eq!(hal.put_frame(other), Some(0));
    assert_eq!(hal.frame_stats().free, before);
    let mut page = [0xff; PAGE_SIZE];
    hal.read_frame(hal.zero_page(), 0, &mut page);
    assert!(page.iter().all(|&b| b == 0));
}

/// Takes every frame there is.
pub fn exhaustion(hal: &dyn Hal) {
    let before = hal.frame_stats();
    let mut frames = Vec::new();
    while let Ok(frame) = hal.alloc_frame(false) {
        frames.push(frame);
    }
    let error = hal.alloc_frame(true).map(|_| ()).expect_err("no frame is left");
    assert_eq!(error.errno(), linux_object::error::Errno::ENOMEM);
    assert!(hal.new_thread(Box::new(|| unreachable!())).is_err());
    assert!(hal.new_address_space().is_err());
    // The kernel itself can still work.
    let block = vec![1u8; 100_000];
    assert!(block.iter().all(|&b| b == 1));
    drop(block);
    for frame in frames {
        hal.put_frame(frame);
    }
    let after = hal.frame_stats();
    assert!(after.free + 600 >= before.free, "{before:?} {after:?}");
}
