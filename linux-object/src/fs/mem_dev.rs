//! The memory devices (`null(4)`, `full(4)`, `random(4)`): major 1.

use alloc::sync::Arc;
use core::any::Any;

use super::device::{self, CharDevice};
use super::io::{IoDst, IoSrc};
use super::kmsg::Kmsg;
use super::{DevT, FileOps, MapSource, OpenFile, OpenFlags, PositionUse};
use crate::error::Result;
use crate::ids::{PAGE_SIZE, UserAddr};
use crate::kernel::Kernel;
use crate::task::Task;
use crate::{bail, ensure};

/// Which one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum MemDevice {
    Null,
    Zero,
    Full,
    Random,
}

struct MemDriver;

impl CharDevice for MemDriver {
    fn open(&self, task: &Arc<Task>, dev: DevT, flags: OpenFlags) -> Result<Arc<dyn FileOps>> {
        Ok(Arc::new(match dev.minor() {
            11 => return Ok(Kmsg::open(task, flags)?),
            3 => MemDevice::Null,
            5 => MemDevice::Zero,
            7 => MemDevice::Full,
            8 | 9 => MemDevice::Random,
            _ => bail!(ENXIO),
        }))
    }
}

/// Reads everything; what was read before an error counts.
fn swallow(from: &mut dyn IoSrc) -> usize {
    // The bytes are not looked at, and Linux does not look at their addresses either.
    from.skip_all()
}

impl FileOps for MemDevice {
    fn read(&self, _: &OpenFile, task: &Arc<Task>, _: &mut u64, to: &mut dyn IoDst) -> Result<usize> {
        match self {
            MemDevice::Null => Ok(0),
            MemDevice::Zero | MemDevice::Full => {
                let len = to.remaining();
                to.put_zeros(len)
            }
            MemDevice::Random => read_random(task, to),
        }
    }
    fn write(&self, _: &OpenFile, task: &Arc<Task>, _: &mut u64, from: &mut dyn IoSrc) -> Result<usize> {
        match self {
            MemDevice::Null | MemDevice::Zero => Ok(swallow(from)),
            MemDevice::Full => bail!(ENOSPC),
            MemDevice::Random => {
                let mut buf = [0u8; 256];
                let mut done = 0;
                while from.remaining() > 0 {
                    match from.take(&mut buf) {
                        Ok(0) => break,
                        Ok(taken) => {
                            task.kernel().rng.mix(&buf[..taken]);
                            done += taken;
                        }
                        Err(_) if done > 0 => break,
                        Err(error) => return Err(error),
                    }
                }
                Ok(done)
            }
        }
    }
    fn seekable(&self) -> bool {
        true
    }
    fn position_use(&self) -> PositionUse {
        PositionUse::None
    }
    fn seek(&self, file: &OpenFile, _offset: i64, _whence: u32) -> Option<Result<u64>> {
        match self {
            // `null_lseek`: the position is always 0.
            MemDevice::Null | MemDevice::Zero | MemDevice::Full => {
                *file.position.lock() = 0;
                Some(Ok(0))
            }
            MemDevice::Random => Some(Ok(*file.position.lock())),
        }
    }
    fn ioctl(&self, _: &OpenFile, task: &Arc<Task>, cmd: u32, arg: UserAddr) -> Result<usize> {
        const RNDGETENTCNT: u32 = 0x8004_5200;
        if *self == MemDevice::Random && cmd == RNDGETENTCNT {
            task.kernel().hal.copy_to_user(arg, &256i32.to_ne_bytes())?;
            return Ok(0);
        }
        bail!(ENOTTY)
    }
    fn mmap(&self, _: &OpenFile) -> Result<MapSource> {
        ensure!(*self == MemDevice::Zero, ENODEV);
        Ok(MapSource::Anonymous)
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

// Out of line: its buffer is large.
#[inline(never)]
fn read_random(task: &Arc<Task>, to: &mut dyn IoDst) -> Result<usize> {
    let mut buf = [0u8; 256];
    let mut done = 0;
    while to.remaining() > 0 && done < PAGE_SIZE * 64 {
        let len = to.remaining().min(buf.len());
        task.kernel().rng.fill(&mut buf[..len]);
        match to.put(&buf[..len]) {
            Ok(0) => break,
            Ok(put) => done += put,
            Err(error) if done == 0 => return Err(error),
            Err(_) => break,
        }
    }
    Ok(done)
}

/// Registers the devices with their nodes.
pub(super) fn init(kernel: &Arc<Kernel>) -> Result<()> {
    device::register_chrdev(kernel, DevT::new(1, 0), 256, Arc::new(MemDriver))?;
    for (name, minor) in [
        ("null", 3),
        ("zero", 5),
        ("full", 7),
        ("random", 8),
        ("urandom", 9),
    ] {
        device::add_node(kernel, name, DevT::new(1, minor), 0o666)?;
    }
    device::add_node(kernel, "kmsg", DevT::new(1, 11), 0o644)
}
