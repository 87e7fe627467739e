//! File descriptors: `close dup fcntl close_range memfd_create`.

use alloc::sync::Arc;
use core::time::Duration;

use linux_object::cred::Capability;
use linux_object::error::Result;
use linux_object::fs::pipe::pipe_of;
use linux_object::fs::tmpfs::memfd;
use linux_object::fs::{FileOwner, FileTable, InodeFlags, OpenFile, OpenFlags, PollEvents, dnotify, fasync};
use linux_object::ids::{Fd, Kuid, PidNr};
use linux_object::mm::Seals;
use linux_object::net::socket_of;
use linux_object::task::{Resource, Signal};
use linux_object::{bail, ensure, err};

use crate::abi;
use crate::calls::lock;
use crate::context::Cx;
use crate::user_ptr::{UserCStr, UserPtr};
use crate::wait_until::{WaitKind, WaitOn, wait_until};

/// `RLIMIT_NOFILE`: no descriptor is made from here on.
pub fn nofile(cx: &Cx<'_>) -> u64 {
    cx.task.nofile()
}

/// Gives an open file the lowest free descriptor, under `RLIMIT_NOFILE`.
pub fn install_file(cx: &Cx<'_>, file: Arc<OpenFile>, cloexec: bool) -> Result<usize> {
    let fd = cx.files().install(file, cloexec, 0, nofile(cx))?;
    Ok(fd.0 as usize)
}

/// `close(2)`.
pub fn close(cx: &mut Cx<'_>, fd: Fd) -> Result<usize> {
    let files = cx.task.files();
    let file = files.close(fd)?;
    let done = file.close(cx.task, &files);
    linger(cx, file);
    done?;
    Ok(0)
}

/// Drops a descriptor's file. With `SO_LINGER` the last one of a socket waits until what was sent has arrived, at most
/// so many seconds and until a signal comes; whatever happens, the descriptor is gone and no error is told.
fn linger(cx: &Cx<'_>, file: Arc<OpenFile>) {
    let socket = socket_of(&file).ok().cloned();
    drop(file);
    let Some(socket) = socket else { return };
    let seconds = socket.base().linger().unwrap_or(0);
    if seconds == 0 || socket.base().ino() != 0 || !socket.lingers() {
        return;
    }
    let deadline = cx.task.kernel().time.now() + Duration::from_secs(seconds.into());
    let on = [WaitOn::events(socket.wait_queue(), PollEvents::all())];
    let _ = wait_until(cx.task, &on, deadline, WaitKind::Interruptible, || {
        (!socket.lingers()).then_some(())
    });
}

/// `dup(2)`.
pub fn dup(cx: &mut Cx<'_>, oldfd: Fd) -> Result<usize> {
    let file = cx.files().get(oldfd)?;
    install_file(cx, file, false)
}

fn dup_to(cx: &Cx<'_>, oldfd: Fd, newfd: Fd, cloexec: bool) -> Result<usize> {
    ensure!(
        newfd.0 >= 0 && (newfd.0 as u64) < nofile(cx),
        EBADF,
        "the new descriptor is out of range"
    );
    let files = cx.task.files();
    let file = files.get(oldfd)?;
    if let Some(old) = files.replace(newfd, file, cloexec, nofile(cx))? {
        let _ = old.close(cx.task, &files);
        linger(cx, old);
    }
    Ok(newfd.0 as usize)
}

/// `dup2(2)`.
pub fn dup2(cx: &mut Cx<'_>, oldfd: Fd, newfd: Fd) -> Result<usize> {
    if oldfd == newfd {
        cx.files().get(oldfd)?;
        return Ok(oldfd.0 as usize);
    }
    dup_to(cx, oldfd, newfd, false)
}

/// `dup3(2)`.
pub fn dup3(cx: &mut Cx<'_>, oldfd: Fd, newfd: Fd, flags: u32) -> Result<usize> {
    let cloexec = OpenFlags::CLOEXEC.bits();
    ensure!(flags & !cloexec == 0, EINVAL, "dup3: unknown flags");
    ensure!(oldfd != newfd, EINVAL, "dup3: the same descriptor");
    dup_to(cx, oldfd, newfd, flags & cloexec != 0)
}

/// `close_range(2)`.
pub fn close_range(cx: &mut Cx<'_>, first: u32, last: u32, flags: u32) -> Result<usize> {
    const UNSHARE: u32 = 2;
    const CLOEXEC: u32 = 4;
    ensure!(
        flags & !(UNSHARE | CLOEXEC) == 0,
        EINVAL,
        "close_range: unknown flags"
    );
    ensure!(first <= last, EINVAL, "close_range: first after last");
    let mut files = cx.task.files();
    if flags & UNSHARE != 0 && files.users.load(core::sync::atomic::Ordering::Acquire) > 1 {
        // What would be closed at the end of the table need not be copied.
        let below = if flags & CLOEXEC == 0 && last == u32::MAX {
            first
        } else {
            u32::MAX
        };
        let own = files.fork_below(below)?;
        cx.replace_files(own.clone());
        files = own;
    }
    if flags & CLOEXEC != 0 {
        files.set_cloexec_range(first, last);
        return Ok(0);
    }
    close_all_in(cx, &files, first, last);
    Ok(0)
}

fn close_all_in(cx: &Cx<'_>, files: &FileTable, first: u32, last: u32) {
    let mut from = first;
    while let Some((fd, file)) = files.close_next(from, last, |_| true) {
        let _ = file.close(cx.task, files);
        linger(cx, file);
        from = fd.0 as u32 + 1;
    }
}

/// `memfd_create(2)`.
pub fn memfd_create(cx: &mut Cx<'_>, name: UserCStr, flags: u32) -> Result<usize> {
    const MFD_CLOEXEC: u32 = 1;
    const MFD_ALLOW_SEALING: u32 = 2;
    const NAME_MAX: usize = 249;
    ensure!(
        flags & !(MFD_CLOEXEC | MFD_ALLOW_SEALING) == 0,
        EINVAL,
        "memfd_create: unknown flags, or huge pages"
    );
    let name = name
        .read(cx, NAME_MAX + 1)?
        .ok_or(err!(EINVAL, "memfd_create: a name of more than 249 bytes"))?;
    let file = memfd(cx.task, &name, flags & MFD_ALLOW_SEALING != 0)?;
    install_file(cx, file, flags & MFD_CLOEXEC != 0)
}

const F_DUPFD: u32 = 0;
const F_GETFD: u32 = 1;
const F_SETFD: u32 = 2;
const F_GETFL: u32 = 3;
const F_SETFL: u32 = 4;
const F_GETLK: u32 = 5;
const F_SETLK: u32 = 6;
const F_SETLKW: u32 = 7;
const F_SETOWN: u32 = 8;
const F_GETOWN: u32 = 9;
const F_SETSIG: u32 = 10;
const F_GETSIG: u32 = 11;
const F_SETOWN_EX: u32 = 15;
const F_GETOWN_EX: u32 = 16;
const F_GETOWNER_UIDS: u32 = 17;
const F_OFD_GETLK: u32 = 36;
const F_OFD_SETLK: u32 = 37;
const F_OFD_SETLKW: u32 = 38;
const F_NOTIFY: u32 = 1026;
const F_DUPFD_CLOEXEC: u32 = 1030;
const F_SETPIPE_SZ: u32 = 1031;
const F_GETPIPE_SZ: u32 = 1032;
const F_ADD_SEALS: u32 = 1033;
const F_GET_SEALS: u32 = 1034;

/// `fcntl(2)`.
pub fn fcntl(cx: &mut Cx<'_>, fd: Fd, cmd: u32, arg: u64) -> Result<usize> {
    let files = cx.task.files();
    let file = files.get(fd)?;
    let path_ok = [F_DUPFD, F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL];
    ensure!(
        !file.is_path() || path_ok.contains(&cmd),
        EBADF,
        "opened with O_PATH"
    );
    match cmd {
        F_DUPFD | F_DUPFD_CLOEXEC => {
            let min = u64::from(arg as u32);
            ensure!(
                min < cx.task.group().rlimit(Resource::NOFILE).cur,
                EINVAL,
                "F_DUPFD: beyond RLIMIT_NOFILE"
            );
            let fd = files.install(file, cmd == F_DUPFD_CLOEXEC, min as u32, nofile(cx))?;
            Ok(fd.0 as usize)
        }
        F_GETFD => Ok(files.cloexec(fd)?.into()),
        F_SETFD => {
            files.set_cloexec(fd, arg & 1 != 0)?;
            Ok(0)
        }
        F_GETFL => Ok(file.flags().bits() as usize),
        F_SETFL => set_flags(cx, fd, &file, OpenFlags::from_bits_retain(arg as u32)),
        F_GETLK | F_OFD_GETLK => lock::get(cx, &file, cmd == F_OFD_GETLK, UserPtr::new(user(arg))),
        F_SETLK | F_SETLKW | F_OFD_SETLK | F_OFD_SETLKW => {
            let ofd = matches!(cmd, F_OFD_SETLK | F_OFD_SETLKW);
            let wait = matches!(cmd, F_SETLKW | F_OFD_SETLKW);
            lock::set(cx, fd, &file, ofd, wait, UserPtr::new(user(arg)))
        }
        F_SETOWN => set_signed_owner(cx, &file, arg as i32),
        // The call layer tells small negative numbers from errors as Linux does: not at all.
        F_GETOWN => Ok(get_signed_owner(cx, &file) as isize as usize),
        F_SETOWN_EX => {
            let owner = UserPtr::<abi::FOwnerEx>::new(user(arg)).read(cx)?;
            ensure!(
                (F_OWNER_TID..=F_OWNER_PGRP).contains(&owner.kind),
                EINVAL,
                "F_SETOWN_EX: an unknown kind"
            );
            set_owner(cx, &file, owner.kind, owner.pid)
        }
        F_GETOWN_EX => {
            let (kind, pid) = get_owner(cx, &file);
            UserPtr::<abi::FOwnerEx>::new(user(arg)).write(cx, &abi::FOwnerEx { kind, pid })?;
            Ok(0)
        }
        F_GETOWNER_UIDS => {
            let uids = file.owner.lock().uids;
            let user_ns = cx.task.user_ns();
            let shown = |uid: Option<Kuid>| user_ns.from_kuid_munged(uid.unwrap_or(Kuid::ROOT)).0;
            let (uid, euid) = (shown(uids.map(|uids| uids.0)), shown(uids.map(|uids| uids.1)));
            UserPtr::<[u32; 2]>::new(user(arg)).write(cx, &[uid, euid])?;
            Ok(0)
        }
        F_SETSIG => {
            let signal = arg as i32;
            ensure!(
                signal == 0 || u32::try_from(signal).ok().and_then(Signal::new).is_some(),
                EINVAL,
                "F_SETSIG: no such signal"
            );
            file.owner.lock().signal = signal;
            Ok(0)
        }
        F_GETSIG => Ok(file.owner.lock().signal as usize),
        F_NOTIFY => {
            dnotify::request(cx.task, &files, &file, fd, arg)?;
            Ok(0)
        }
        F_SETPIPE_SZ => {
            let pipe = pipe_of(&file).ok_or(err!(EBADF, "not a pipe"))?;
            let cred = cx.task.cred();
            let privileged = cred.capable(Capability::SYS_RESOURCE);
            pipe.set_size(&cx.kernel.sysctl, u64::from(arg as u32), privileged)
        }
        F_GETPIPE_SZ => Ok(pipe_of(&file).ok_or(err!(EBADF, "not a pipe"))?.size()),
        F_ADD_SEALS => {
            let cache = seal_cache(&file)?;
            ensure!(
                file.flags().writable(),
                EPERM,
                "F_ADD_SEALS: not open for writing"
            );
            let seals = u32::try_from(arg).ok().and_then(Seals::from_bits);
            cache.add_seals(seals.ok_or(err!(EINVAL, "F_ADD_SEALS: unknown seals"))?)?;
            Ok(0)
        }
        F_GET_SEALS => Ok(seal_cache(&file)?.seals().bits() as usize),
        _ => bail!(EINVAL, "fcntl: an unknown command"),
    }
}

fn user(arg: u64) -> linux_object::ids::UserAddr {
    linux_object::ids::UserAddr(arg)
}

fn seal_cache(file: &OpenFile) -> Result<Arc<linux_object::mm::PageCache>> {
    match file.inode.page_cache() {
        Some(cache) if file.ops.is_none() => Ok(cache),
        _ => bail!(EINVAL, "the file does not support seals"),
    }
}

fn set_flags(cx: &Cx<'_>, fd: Fd, file: &Arc<OpenFile>, new: OpenFlags) -> Result<usize> {
    let old = file.flags();
    let common = file.inode.common();
    ensure!(
        new.contains(OpenFlags::APPEND)
            || !old.contains(OpenFlags::APPEND)
            || !common.flags().contains(InodeFlags::APPEND),
        EPERM,
        "the file is append-only"
    );
    if new.contains(OpenFlags::NOATIME) && !old.contains(OpenFlags::NOATIME) {
        let owner = file.inode.owner();
        ensure!(
            linux_object::fs::permission::owner_or_capable(&cx.task.cred(), owner),
            EPERM,
            "O_NOATIME on a file of someone else"
        );
    }
    if new.contains(OpenFlags::DIRECT) && file.ops.is_none() && !file.is_dir() {
        bail!(EINVAL, "no direct I/O on pages that are memory");
    }
    let mask =
        OpenFlags::APPEND | OpenFlags::ASYNC | OpenFlags::DIRECT | OpenFlags::NOATIME | OpenFlags::NONBLOCK;
    file.set_flags(mask, new);
    fasync::flags_changed(cx.kernel, file, fd.0, old);
    if let Some(ops) = &file.ops {
        ops.flags_changed(file);
    }
    Ok(0)
}

const F_OWNER_TID: i32 = 0;
const F_OWNER_PID: i32 = 1;
const F_OWNER_PGRP: i32 = 2;

/// `F_SETOWN`, `FIOSETOWN`: a process, or a process group if it is below zero.
pub(super) fn set_signed_owner(cx: &Cx<'_>, file: &OpenFile, who: i32) -> Result<usize> {
    ensure!(who != i32::MIN, EINVAL, "F_SETOWN: no such group");
    let kind = if who < 0 { F_OWNER_PGRP } else { F_OWNER_PID };
    set_owner(cx, file, kind, who.abs())
}

/// `F_GETOWN`, `FIOGETOWN`.
pub(super) fn get_signed_owner(cx: &Cx<'_>, file: &OpenFile) -> i32 {
    let (kind, pid) = get_owner(cx, file);
    if kind == F_OWNER_PGRP { -pid } else { pid }
}

/// A number of nobody is `ESRCH`; 0 is nobody on purpose.
fn set_owner(cx: &Cx<'_>, file: &OpenFile, kind: i32, nr: i32) -> Result<usize> {
    let pid = if nr == 0 {
        None
    } else {
        let found = cx.kernel.tasks.find_pid(cx.task.pid_ns(), PidNr(nr));
        Some(found.ok_or(err!(ESRCH, "F_SETOWN: nobody has this number"))?)
    };
    let cred = cx.task.cred();
    let mut owner = file.owner.lock();
    let signal = owner.signal;
    let old = core::mem::replace(
        &mut *owner,
        FileOwner {
            uids: pid.is_some().then_some((cred.uid, cred.euid)),
            pid,
            kind,
            signal,
        },
    );
    drop(owner);
    drop(old);
    Ok(0)
}

fn get_owner(cx: &Cx<'_>, file: &OpenFile) -> (i32, i32) {
    let owner = file.owner.lock().clone();
    // Nobody, once the process or group is gone.
    let living = owner.pid.filter(|pid| match owner.kind {
        F_OWNER_TID => pid.task().is_some(),
        F_OWNER_PGRP => !pid.pgrp_members().is_empty(),
        _ => pid.group().is_some(),
    });
    let nr = living.map_or(0, |pid| pid.nr_in(cx.task.pid_ns()).0);
    (owner.kind, nr)
}
