//! System calls: inotify (`inotify(7)`).

use alloc::sync::Arc;

use linux_object::error::Result;
use linux_object::fs::inotify::Inotify;
use linux_object::fs::namei::{LookupFlags, path_lookup};
use linux_object::fs::notify::NotifyMask;
use linux_object::fs::permission::{Access, inode_permission};
use linux_object::fs::{OpenFile, OpenFlags, anon_file};
use linux_object::ids::Fd;
use linux_object::{bail, ensure};

use super::pipe::install;
use crate::context::Cx;
use crate::user_ptr::UserCStr;

fn inotify_of(file: &Arc<OpenFile>) -> Result<&Inotify> {
    match file.ops_as() {
        Some(inotify) => Ok(inotify),
        None => bail!(EINVAL, "the descriptor is no inotify instance"),
    }
}

/// `inotify_init(2)`.
pub fn inotify_init(cx: &mut Cx<'_>) -> Result<usize> {
    inotify_init1(cx, 0)
}

/// `inotify_add_watch(2)`.
pub fn inotify_add_watch(cx: &mut Cx<'_>, fd: Fd, path: UserCStr, mask: u32) -> Result<usize> {
    let mask = NotifyMask::from_bits_truncate(mask);
    ensure!(!mask.is_empty(), EINVAL, "nothing to watch for");
    let file = cx.file(fd)?;
    ensure!(
        !mask.contains(NotifyMask::MASK_ADD | NotifyMask::MASK_CREATE),
        EINVAL,
        "IN_MASK_ADD with IN_MASK_CREATE"
    );
    let inotify = inotify_of(&file)?;
    let mut flags = LookupFlags::empty();
    flags.set(LookupFlags::FOLLOW, !mask.contains(NotifyMask::DONT_FOLLOW));
    flags.set(LookupFlags::DIRECTORY, mask.contains(NotifyMask::ONLYDIR));
    let path = path_lookup(cx.task, None, &path.read_path(cx)?, flags)?;
    let inode = path.inode()?;
    inode_permission(cx.task, &cx.task.cred(), &path.mount, &**inode, Access::READ)?;
    let wd = inotify.add_watch(cx.kernel, inode, mask)?;
    Ok(wd as usize)
}

/// `inotify_rm_watch(2)`.
pub fn inotify_rm_watch(cx: &mut Cx<'_>, fd: Fd, wd: i32) -> Result<usize> {
    let file = cx.file(fd)?;
    inotify_of(&file)?.rm_watch(wd)?;
    Ok(0)
}

/// `inotify_init1(2)`.
pub fn inotify_init1(cx: &mut Cx<'_>, flags: u32) -> Result<usize> {
    let flags = OpenFlags::from_bits_retain(flags);
    let allowed = OpenFlags::CLOEXEC | OpenFlags::NONBLOCK;
    ensure!(allowed.contains(flags), EINVAL, "inotify_init1: unknown flags");
    let cred = cx.task.cred();
    let ops = Inotify::new(cx.kernel, &cred)?;
    let file = anon_file(cx.kernel, "inotify", ops, flags & OpenFlags::NONBLOCK, cred)?;
    install(cx, file, flags.contains(OpenFlags::CLOEXEC))
}
