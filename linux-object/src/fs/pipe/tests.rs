//! A pipe against a queue of bytes.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;

use super::{PIPE_DEF_BUFFERS, Pipe, PipeUsers};
use crate::error::Errno;
use crate::fs::io::{IoDst, IoSrc, KernelDst, KernelSrc};
use crate::ids::{Kuid, PAGE_SIZE};
use crate::mm::Memory;
use crate::mm::testing::{TestHal, memory};
use crate::sysctl::Sysctls;

struct Rig {
    hal: Arc<TestHal>,
    memory: Arc<Memory>,
    pipe: Arc<Pipe>,
    users: Arc<PipeUsers>,
    sysctl: Sysctls,
}

impl Rig {
    fn new() -> Rig {
        let (hal, memory) = memory(4096);
        let users = Arc::<PipeUsers>::default();
        let sysctl = Sysctls::default();
        let pipe = Pipe::new(memory.clone(), users.clone(), &sysctl, Kuid(1), false, true).unwrap();
        {
            let mut state = pipe.state.lock();
            state.readers = 1;
            state.writers = 1;
        }
        Rig {
            hal,
            memory,
            pipe,
            users,
            sysctl,
        }
    }
    fn write(&self, data: &[u8]) -> Result<usize, Errno> {
        let mut from = KernelSrc::new(data);
        self.pipe.write(&mut from, false).map_err(|error| error.errno())
    }
    fn read(&self, max: usize) -> Result<Vec<u8>, Errno> {
        let mut buf = vec![0; max];
        let n = self
            .pipe
            .read(&mut KernelDst::new(&mut buf))
            .map_err(|error| error.errno())?;
        buf.truncate(n);
        Ok(buf)
    }
}

/// xorshift: the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % n as u64) as usize
    }
}

#[test]
fn behaves_like_a_queue() {
    for seed in 1..40 {
        let rig = Rig::new();
        let mut random = Random(seed << 32 | 0x9e37_79b9);
        let mut model: VecDeque<u8> = VecDeque::new();
        let mut next = 0u8;
        for _ in 0..400 {
            let len = 1 + random.below(9000);
            let len = if random.below(3) == 0 { 1 + len % 64 } else { len };
            match random.below(5) {
                0 | 1 => {
                    let data: Vec<u8> = (0..len).map(|n| next.wrapping_add(n as u8)).collect();
                    match rig.write(&data) {
                        Ok(n) => {
                            // Up to PIPE_BUF: all or nothing.
                            assert!(n == len || len > PAGE_SIZE && n > 0);
                            model.extend(&data[..n]);
                            next = next.wrapping_add(n as u8);
                        }
                        Err(error) => {
                            assert_eq!(error, Errno::EAGAIN);
                            assert!(rig.pipe.state.lock().is_full());
                        }
                    }
                }
                2 | 3 => match rig.read(len) {
                    Ok(data) => {
                        assert_eq!(data.len(), len.min(model.len()));
                        assert!(
                            data.iter()
                                .eq(model.drain(..data.len()).collect::<Vec<_>>().iter())
                        );
                    }
                    Err(error) => {
                        assert_eq!(error, Errno::EAGAIN);
                        assert!(model.is_empty());
                    }
                },
                _ => {
                    // Splice out, use a part, put the rest back.
                    let Ok(mut batch) = rig.pipe.batch_out(len) else {
                        continue;
                    };
                    let mut part = vec![0; random.below(batch.len() + 1)];
                    batch.take(&mut part).unwrap();
                    assert!(
                        part.iter()
                            .eq(model.drain(..part.len()).collect::<Vec<_>>().iter())
                    );
                    rig.pipe.unpop_batch(batch);
                }
            }
            assert_eq!(rig.pipe.len(), model.len());
        }
        drop(rig.pipe);
        assert_eq!(rig.hal.used(), 0);
    }
}

#[test]
fn capacity_counts_pages() {
    let rig = Rig::new();
    assert_eq!(rig.write(&vec![1; 100_000]), Ok(PIPE_DEF_BUFFERS * PAGE_SIZE));
    assert_eq!(rig.write(b"x"), Err(Errno::EAGAIN));
    assert_eq!(rig.read(PAGE_SIZE - 1).unwrap().len(), PAGE_SIZE - 1);
    assert_eq!(rig.write(b"x"), Err(Errno::EAGAIN));
    assert_eq!(rig.read(1).unwrap().len(), 1);
    assert_eq!(rig.write(b"x"), Ok(1));
    // Small writes share a page.
    let rig = Rig::new();
    for _ in 0..PAGE_SIZE {
        assert_eq!(rig.write(b"x"), Ok(1));
    }
    assert_eq!(rig.pipe.state.lock().bufs.len(), 1);
}

#[test]
fn packets_keep_their_borders() {
    let rig = Rig::new();
    for part in [&b"one"[..], b"two"] {
        rig.pipe.write(&mut KernelSrc::new(part), true).unwrap();
    }
    assert_eq!(rig.read(2).unwrap(), b"on");
    assert_eq!(rig.read(9).unwrap(), b"two");
    assert_eq!(rig.pipe.len(), 0);
}

#[test]
fn ends_decide() {
    let rig = Rig::new();
    rig.pipe.state.lock().readers = 0;
    assert_eq!(rig.write(b"x"), Err(Errno::EPIPE));
    assert_eq!(rig.write(b""), Ok(0));
    rig.pipe.state.lock().writers = 0;
    assert_eq!(rig.read(9).unwrap(), b"");
}

#[test]
fn sizes() {
    let rig = Rig::new();
    let set = |size| {
        let set = rig.pipe.set_size(&rig.sysctl, size, false);
        set.map_err(|error| error.errno())
    };
    assert_eq!(rig.pipe.size(), 65536);
    assert_eq!(set(1), Ok(4096));
    assert_eq!(set(4097), Ok(8192));
    assert_eq!(set(1 << 20), Ok(1 << 20));
    assert_eq!(set((1 << 20) + 1), Err(Errno::EPERM));
    assert_eq!(set((1 << 31) + 1), Err(Errno::EINVAL));
    rig.write(&[0; 10000]).unwrap();
    assert_eq!(set(4096), Err(Errno::EBUSY));
    // Over the soft limit a new pipe is small.
    rig.sysctl.pipe_user_pages_soft.set(260);
    let small = Pipe::new(
        rig.memory.clone(),
        rig.users.clone(),
        &rig.sysctl,
        Kuid(1),
        false,
        true,
    );
    assert_eq!(small.unwrap().size(), 8192);
}

#[test]
fn tee_and_splice_share_pages() {
    let (one, two) = (Rig::new(), Rig::new());
    let two = Pipe::new(
        one.memory.clone(),
        two.users.clone(),
        &two.sysctl,
        Kuid(1),
        false,
        true,
    )
    .unwrap();
    two.state.lock().readers = 1;
    one.write(&[7; 6000]).unwrap();
    assert_eq!(one.pipe.tee(&two, 5000).unwrap(), 5000);
    assert_eq!(one.hal.used(), 2);
    assert_eq!(one.read(9000).unwrap(), [7; 6000]);
    // What is shared is not written into.
    assert_eq!(one.write(b"abc"), Ok(3));
    let mut batch = two.batch_in(2 * PAGE_SIZE).unwrap();
    batch.put(b"tail").unwrap();
    two.push_batch(batch);
    let mut buf = [0; 9000];
    let mut to = KernelDst::new(&mut buf);
    assert_eq!(two.read(&mut to).unwrap(), 5004);
    assert_eq!(buf[..5000], [7; 5000]);
    assert_eq!(buf[5000..5004], *b"tail");
}
