//! Page tables and user copies.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use linux_object::hal::{Frames, Hal, PageFlags, Pte};
use linux_object::ids::{Frame, PAGE_SIZE, USER_END, UserAddr};

use super::{RECEIVER, Random, clear_space};
use crate::arch::kernel_map;
use crate::hal::Machine;
use crate::mm::boot_memory::Image;

/// Random operations against a `BTreeMap`.
pub fn model(hal: &dyn Hal) {
    let before = hal.frame_stats();
    let space = hal.new_address_space().expect("a space");
    let mut model: BTreeMap<u64, Pte> = BTreeMap::new();
    let mut random = Random::new(5);
    let bases = [
        0x1000,
        0x40_0000_0000,
        0x7fff_0000_0000,
        USER_END - (1 << 24),
        0x1f_f000,
    ];
    let page = |random: &mut Random| {
        let base = bases[random.below(bases.len())];
        (base + ((random.below(4096) as u64) << 12)) & !0xfff
    };
    for _ in 0..20_000 {
        let at = page(&mut random).min(USER_END - 4096);
        let flags = PageFlags::from_bits_truncate(random.next() as u32 & 0x7f);
        match random.below(10) {
            0..5 => {
                let pte = Pte {
                    frame: Frame(random.below(60_000) as u32),
                    flags,
                };
                let old = space.map(UserAddr(at), pte).expect("a table");
                assert_eq!(old, model.insert(at, pte));
            }
            5..8 => assert_eq!(space.query(UserAddr(at)), model.get(&at).copied()),
            8 => {
                let end = (at + ((random.below(300) as u64) << 12)).min(USER_END);
                let mut seen = Vec::new();
                space.update(UserAddr(at)..UserAddr(end), &mut |at, pte| {
                    seen.push((at.0, pte));
                    pte.flags.contains(PageFlags::WRITE).then_some(flags)
                });
                let expected: Vec<_> = model.range(at..end).map(|(&at, &pte)| (at, pte)).collect();
                assert_eq!(seen, expected);
                for (_, pte) in model.range_mut(at..end) {
                    if pte.flags.contains(PageFlags::WRITE) {
                        pte.flags = flags;
                    }
                }
            }
            _ => {
                let pages = if random.below(4) == 0 {
                    2000
                } else {
                    random.below(300)
                };
                let end = (at + ((pages as u64) << 12)).min(USER_END);
                let mut seen = Vec::new();
                space.unmap(UserAddr(at)..UserAddr(end), &mut |at, pte| seen.push((at.0, pte)));
                let expected: Vec<_> = model.range(at..end).map(|(&at, &pte)| (at, pte)).collect();
                assert_eq!(seen, expected);
                model.retain(|a, _| !(at..end).contains(a));
                if random.below(2) == 0 {
                    space.flush(UserAddr(at)..UserAddr(end));
                }
            }
        }
    }
    let mut left = 0;
    space.unmap(UserAddr(0)..UserAddr(USER_END), &mut |_, _| left += 1);
    assert_eq!(left, model.len());
    space.flush(UserAddr(0)..UserAddr(USER_END));
    assert!(space.table_pages() <= 4, "{} tables", space.table_pages());
    drop(space);
    drop(model);
    let after = hal.frame_stats();
    assert_eq!(before.page_tables, after.page_tables);
}

/// What the kernel's own mappings allow.
pub fn write_xor_execute(_: &dyn Hal) {
    let image = Image::get();
    let mut checked = 0;
    kernel_map::for_each(&mut |virt, len, writable, executable| {
        assert!(!(writable && executable), "{virt:#x} can be written and executed");
        let in_text = image.text.contains(&virt);
        assert_eq!(executable, in_text, "{virt:#x}");
        let rodata = image.rodata.contains(&virt) || image.ksyms.contains(&virt);
        assert!(!(writable && (in_text || rodata)), "{virt:#x}");
        checked += len / PAGE_SIZE;
    });
    assert!(checked > 1000);
    assert!(!kernel_map::is_mapped(0) && !kernel_map::is_mapped(0x10_0000));
    assert!(!kernel_map::is_mapped(image.boot_stack));
}

/// Copies to and from user memory that is there, comes when touched, or is not.
pub fn copies(hal: &dyn Hal) {
    const BASE: u64 = 0x10_0000;
    let space = hal.new_address_space().expect("a space");
    hal.activate(Some(&space));
    // Pages 0..16 come on demand, the rest never.
    *RECEIVER.lazy.lock() = Some((space.clone(), BASE, BASE + 16 * 4096));
    let mut random = Random::new(6);
    for _ in 0..300 {
        let len = random.below(9000);
        let at = UserAddr(BASE + random.below(16 * 4096 - 9000) as u64);
        let data: Vec<u8> = (0..len).map(|_| random.next() as u8).collect();
        hal.copy_to_user(at, &data).expect("user memory");
        let mut back = alloc::vec![0; len];
        hal.copy_from_user(&mut back, at).expect("user memory");
        assert!(data == back, "copy of {len} at {at}");
        let part = random.below(len + 1);
        hal.clear_user(at, part).expect("user memory");
        hal.copy_from_user(&mut back, at).expect("user memory");
        assert!(back[..part].iter().all(|&b| b == 0) && back[part..] == data[part..]);
    }
    // Over the end, and where nothing is.
    let end = UserAddr(BASE + 16 * 4096);
    let mut buffer = [0; 1000];
    for len in [1, 2, 3, 4, 7, 8, 9, 16, 17, 32, 33, 100, 160, 200, 1000] {
        for before in [0, 1.min(len - 1), len / 2, len - 1] {
            let at = UserAddr(end.0 - before as u64);
            assert!(hal.copy_from_user(&mut buffer[..len], at).is_err());
            assert!(hal.copy_to_user(at, &buffer[..len]).is_err());
            assert!(hal.clear_user(at, len).is_err());
        }
        assert!(
            hal.copy_from_user(&mut buffer[..len], UserAddr(end.0 - len as u64))
                .is_ok()
        );
    }
    for bad in [
        USER_END - 1,
        USER_END,
        USER_END + 1,
        1 << 47,
        u64::MAX,
        u64::MAX - 500,
        0xffff_8000_0000_0000,
    ] {
        assert!(hal.copy_from_user(&mut buffer, UserAddr(bad)).is_err());
        assert!(hal.copy_to_user(UserAddr(bad), &buffer).is_err());
        assert!(hal.strncpy_from_user(&mut buffer, UserAddr(bad)).is_err());
        assert!(hal.load_user_u32(UserAddr(bad & !3)).is_err());
    }
    strings(hal, UserAddr(BASE), end);
    let word = UserAddr(BASE + 128);
    hal.copy_to_user(word, &7u32.to_le_bytes()).expect("user memory");
    assert_eq!(hal.load_user_u32(word).ok(), Some(7));
    assert_eq!(hal.cmpxchg_user_u32(word, 7, 9).ok(), Some(7));
    assert_eq!(hal.cmpxchg_user_u32(word, 7, 11).ok(), Some(9));
    assert!(hal.load_user_u32(end).is_err() && hal.cmpxchg_user_u32(end, 0, 0).is_err());
    assert!(hal.load_user_u32(UserAddr(word.0 + 1)).is_err());
    // Read-only pages.
    space.update(UserAddr(BASE)..end, &mut |_, _| Some(PageFlags::READ));
    space.flush(UserAddr(BASE)..end);
    *RECEIVER.lazy.lock() = None;
    assert!(hal.copy_to_user(UserAddr(BASE), b"x").is_err());
    assert!(hal.copy_from_user(&mut buffer, UserAddr(BASE)).is_ok());
    let frame = Machine.alloc_frame(true).expect("a frame");
    assert!(hal.user_to_frame(UserAddr(BASE), frame, 96, 4000).is_ok());
    assert!(hal.frame_to_user(frame, 0, UserAddr(BASE), 10).is_err());
    hal.put_frame(frame);
    hal.activate(None);
    clear_space(hal, &*space);
}

fn strings(hal: &dyn Hal, base: UserAddr, end: UserAddr) {
    let mut random = Random::new(7);
    let mut to = [0xeeu8; 600];
    for _ in 0..500 {
        let len = random.below(500);
        let at = base.offset(4096 - random.below(600) as u64);
        let mut data: Vec<u8> = (0..len).map(|_| random.next() as u8 | 1).collect();
        data.push(0);
        hal.copy_to_user(at, &data).expect("user memory");
        let room = random.below(600);
        to.fill(0xee);
        let (got, ended) = hal.strncpy_from_user(&mut to[..room], at).expect("user memory");
        assert_eq!((got, ended), (len.min(room), len < room), "len {len} room {room}");
        assert!(to[..got] == data[..got], "len {len} room {room}");
        assert!(to[room..].iter().all(|&b| b == 0xee));
    }
    // A string right before the end of what is mapped.
    hal.copy_to_user(UserAddr(end.0 - 6), b"abcde\0")
        .expect("user memory");
    assert_eq!(
        hal.strncpy_from_user(&mut to, UserAddr(end.0 - 6)).ok(),
        Some((5, true))
    );
    hal.copy_to_user(UserAddr(end.0 - 6), b"abcdef")
        .expect("user memory");
    assert!(hal.strncpy_from_user(&mut to, UserAddr(end.0 - 6)).is_err());
    assert_eq!(
        hal.strncpy_from_user(&mut to[..6], UserAddr(end.0 - 6)).ok(),
        Some((6, false))
    );
}
