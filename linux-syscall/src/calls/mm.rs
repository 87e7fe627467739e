//! System calls of memory mappings (`mmap(2)`, `mprotect(2)`, `mremap(2)`, `madvise(2)`, `mlock(2)` …).

use alloc::sync::Arc;

use linux_object::error::Result;
use linux_object::fs::OpenFile;
use linux_object::ids::{Fd, PAGE_SIZE, USER_END, UserAddr};
use linux_object::mm::{MapFlags, MapRequest, Mm, Populate, Prot};
use linux_object::{bail, ensure};

use crate::context::Cx;
use crate::thread::breathe;
use crate::user_ptr::UserOutPtr;

fn opened(cx: &Cx<'_>, fd: Fd) -> Result<Arc<OpenFile>> {
    cx.file(fd)
}

/// `mmap(2)`.
pub fn mmap(
    cx: &mut Cx<'_>,
    addr: UserAddr,
    length: usize,
    prot: u32,
    flags: u32,
    fd: Fd,
    offset: u64,
) -> Result<usize> {
    ensure!(
        offset.is_multiple_of(PAGE_SIZE as u64),
        EINVAL,
        "mmap: offset is not page-aligned"
    );
    let flags = MapFlags::from_bits_retain(flags);
    let file = if flags.contains(MapFlags::ANONYMOUS) {
        None
    } else {
        Some(opened(cx, fd)?)
    };
    let request = MapRequest {
        addr: addr.0,
        len: length as u64,
        prot: Prot::from_bits_retain(prot),
        flags,
        file,
        offset,
    };
    let mm = cx.task.mm();
    let (at, todo) = mm.mmap_unpopulated(&**cx.task, &request)?;
    // What cannot be had now is had at the first access, or not.
    let _ = populate(cx, &mm, todo);
    Ok(at as usize)
}

/// Brings pages in, portion by portion; `EINTR` by a fatal signal.
fn populate(cx: &mut Cx<'_>, mm: &Mm, mut todo: Populate) -> Result<()> {
    while !mm.populate_some(&mut todo)? {
        breathe(cx);
        ensure!(
            !cx.task.fatal_signal_pending(),
            EINTR,
            "killed while it brings pages in"
        );
    }
    Ok(())
}

/// `mprotect(2)`.
pub fn mprotect(cx: &mut Cx<'_>, addr: UserAddr, len: usize, prot: u32) -> Result<usize> {
    cx.task.mm().mprotect(&**cx.task, addr.0, len as u64, prot)?;
    Ok(0)
}

/// `munmap(2)`.
pub fn munmap(cx: &mut Cx<'_>, addr: UserAddr, len: usize) -> Result<usize> {
    cx.task.mm().munmap(addr.0, len as u64)?;
    Ok(0)
}

/// `brk(2)`.
pub fn brk(cx: &mut Cx<'_>, addr: UserAddr) -> Result<usize> {
    Ok(cx.task.mm().brk(&**cx.task, addr.0) as usize)
}

/// `mremap(2)`.
pub fn mremap(
    cx: &mut Cx<'_>,
    old_address: UserAddr,
    old_size: usize,
    new_size: usize,
    flags: u32,
    new_address: UserAddr,
) -> Result<usize> {
    let mm = cx.task.mm();
    let (old, new) = (old_size as u64, new_size as u64);
    let at = mm.mremap(&**cx.task, old_address.0, old, new, flags, new_address.0)?;
    Ok(at as usize)
}

/// `remap_file_pages(2)`.
pub fn remap_file_pages(
    cx: &mut Cx<'_>,
    addr: UserAddr,
    size: usize,
    prot: u64,
    pgoff: u64,
    flags: u64,
) -> Result<usize> {
    ensure!(prot == 0, EINVAL, "remap_file_pages: the access stays what it is");
    let mm = cx.task.mm();
    let todo = mm.remap_file_pages(&**cx.task, addr.0, size as u64, pgoff)?;
    if flags & u64::from(MapFlags::NONBLOCK.bits()) == 0 {
        populate(cx, &mm, todo)?;
    }
    Ok(0)
}

/// `pkey_alloc(2)`: the CPU's keys are not used, so there is never one to be had.
pub fn pkey_alloc(_cx: &mut Cx<'_>, flags: u64, access_rights: u64) -> Result<usize> {
    ensure!(flags == 0, EINVAL, "pkey_alloc: unknown flags");
    ensure!(access_rights & !3 == 0, EINVAL, "pkey_alloc: unknown rights");
    bail!(ENOSPC, "pkey_alloc: no keys on this machine")
}

/// `pkey_free(2)`.
pub fn pkey_free(_cx: &mut Cx<'_>, _pkey: i32) -> Result<usize> {
    bail!(EINVAL, "pkey_free: not a key that was given out")
}

/// `pkey_mprotect(2)`: without a key it is `mprotect(2)`.
pub fn pkey_mprotect(cx: &mut Cx<'_>, addr: UserAddr, len: usize, prot: u32, pkey: i32) -> Result<usize> {
    let nothing = len == 0 && addr.0.is_multiple_of(PAGE_SIZE as u64);
    ensure!(
        nothing || pkey == -1,
        EINVAL,
        "pkey_mprotect: not a key that was given out"
    );
    mprotect(cx, addr, len, prot)
}

/// `msync(2)`.
pub fn msync(cx: &mut Cx<'_>, addr: UserAddr, length: usize, flags: u32) -> Result<usize> {
    // Files and mappings share their pages, and no file system keeps them anywhere else.
    cx.task.mm().msync(addr.0, length as u64, flags, |_| Ok(()))?;
    Ok(0)
}

/// `mincore(2)`.
pub fn mincore(cx: &mut Cx<'_>, addr: UserAddr, length: usize, vec: UserOutPtr<u8>) -> Result<usize> {
    ensure!(
        addr.0.is_multiple_of(PAGE_SIZE as u64),
        EINVAL,
        "mincore: address is not page-aligned"
    );
    let end = addr.0.checked_add(length as u64);
    ensure!(
        end.is_some_and(|end| end <= USER_END),
        ENOMEM,
        "mincore: beyond user space"
    );
    let pages = length.div_ceil(PAGE_SIZE);
    let mm = cx.task.mm();
    let mut done = 0;
    while done < pages {
        let mut chunk = [0; 512];
        let part = &mut chunk[..(pages - done).min(512)];
        mm.mincore(addr.0 + (done * PAGE_SIZE) as u64, part)?;
        vec.at(done).write_slice(cx, part)?;
        done += part.len();
    }
    Ok(0)
}

/// `madvise(2)`.
pub fn madvise(cx: &mut Cx<'_>, addr: UserAddr, length: usize, advice: i32) -> Result<usize> {
    let mm = cx.task.mm();
    let todo = mm.madvise(addr.0, length as u64, advice)?;
    populate(cx, &mm, todo)?;
    Ok(0)
}

/// `mlock(2)`.
pub fn mlock(cx: &mut Cx<'_>, addr: UserAddr, len: usize) -> Result<usize> {
    mlock2(cx, addr, len, 0)
}

/// `munlock(2)`.
pub fn munlock(cx: &mut Cx<'_>, addr: UserAddr, len: usize) -> Result<usize> {
    cx.task.mm().munlock(addr.0, len as u64)?;
    Ok(0)
}

/// `mlockall(2)`.
pub fn mlockall(cx: &mut Cx<'_>, flags: u32) -> Result<usize> {
    let mm = cx.task.mm();
    let todo = mm.mlockall(&**cx.task, flags)?;
    populate(cx, &mm, todo)?;
    Ok(0)
}

/// `munlockall(2)`.
pub fn munlockall(cx: &mut Cx<'_>) -> Result<usize> {
    cx.task.mm().munlockall();
    Ok(0)
}

/// `mlock2(2)`.
pub fn mlock2(cx: &mut Cx<'_>, addr: UserAddr, len: usize, flags: u32) -> Result<usize> {
    let mm = cx.task.mm();
    let todo = mm.mlock(&**cx.task, addr.0, len as u64, flags)?;
    populate(cx, &mm, todo)?;
    Ok(0)
}
