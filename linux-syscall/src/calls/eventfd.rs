//! System calls: eventfd and signalfd (`eventfd(2)`, `signalfd(2)`).

use linux_object::error::Result;
use linux_object::fs::eventfd::EventFd;
use linux_object::fs::signalfd::SignalFd;
use linux_object::fs::{OpenFlags, anon_file};
use linux_object::ids::Fd;
use linux_object::task::SignalSet;
use linux_object::{bail, ensure};

use super::pipe::install;
use crate::context::Cx;
use crate::user_ptr::UserInPtr;

const EFD_SEMAPHORE: u32 = 1;

/// `signalfd(2)`.
pub fn signalfd(cx: &mut Cx<'_>, fd: Fd, mask: UserInPtr<u64>, sigsetsize: usize) -> Result<usize> {
    signalfd4(cx, fd, mask, sigsetsize, 0)
}

/// `eventfd(2)`.
pub fn eventfd(cx: &mut Cx<'_>, initval: u32) -> Result<usize> {
    eventfd2(cx, initval, 0)
}

/// `signalfd4(2)`.
pub fn signalfd4(
    cx: &mut Cx<'_>,
    fd: Fd,
    mask: UserInPtr<u64>,
    sigsetsize: usize,
    flags: u32,
) -> Result<usize> {
    ensure!(sigsetsize == 8, EINVAL, "a signal set has 8 bytes");
    let mask = SignalSet(mask.read(cx)?);
    let flags = OpenFlags::from_bits_retain(flags);
    let allowed = OpenFlags::CLOEXEC | OpenFlags::NONBLOCK;
    ensure!(allowed.contains(flags), EINVAL, "signalfd: unknown flags");
    if fd.0 != -1 {
        let file = cx.file(fd)?;
        let Some(signals) = file.ops_as::<SignalFd>() else {
            bail!(EINVAL, "the descriptor is no signalfd");
        };
        signals.set_mask(mask);
        return Ok(fd.0 as usize);
    }
    let kept = OpenFlags::RDWR | flags & OpenFlags::NONBLOCK;
    let ops = SignalFd::new(mask);
    let file = anon_file(cx.kernel, "[signalfd]", ops, kept, cx.task.cred())?;
    install(cx, file, flags.contains(OpenFlags::CLOEXEC))
}

/// `eventfd2(2)`.
pub fn eventfd2(cx: &mut Cx<'_>, initval: u32, flags: u32) -> Result<usize> {
    let allowed = OpenFlags::CLOEXEC.bits() | OpenFlags::NONBLOCK.bits() | EFD_SEMAPHORE;
    ensure!(flags & !allowed == 0, EINVAL, "eventfd: unknown flags");
    let ops = EventFd::new(initval, flags & EFD_SEMAPHORE != 0);
    let flags = OpenFlags::from_bits_retain(flags);
    let kept = OpenFlags::RDWR | flags & OpenFlags::NONBLOCK;
    let file = anon_file(cx.kernel, "[eventfd]", ops, kept, cx.task.cred())?;
    install(cx, file, flags.contains(OpenFlags::CLOEXEC))
}
