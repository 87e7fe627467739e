//! `mount(2) umount2(2) pivot_root(2)`.

use alloc::vec::Vec;

use linux_object::error::Result;
use linux_object::fs::mount::{self, UmountFlags};
use linux_object::fs::namei::LookupFlags;
use linux_object::ids::Fd;
use linux_object::{bail, ensure};

use crate::abi::AT_FDCWD;
use crate::context::Cx;
use crate::user_path;
use crate::user_ptr::{PATH_MAX, UserCStr};

const CWD: Fd = Fd(AT_FDCWD);

/// A string argument that may be missing (Linux's `copy_mount_string`).
fn string(cx: &Cx<'_>, text: UserCStr) -> Result<Option<Vec<u8>>> {
    if text.is_null() {
        return Ok(None);
    }
    match text.read(cx, PATH_MAX)? {
        Some(text) => Ok(Some(text)),
        None => bail!(EINVAL, "mount: a string of more than a page"),
    }
}

/// The options: at most a page, of which the last byte does not count (Linux's `copy_mount_options`).
fn options(cx: &Cx<'_>, data: UserCStr) -> Result<Vec<u8>> {
    if data.is_null() {
        return Ok(Vec::new());
    }
    match data.read(cx, PATH_MAX)? {
        Some(text) => Ok(text),
        None => {
            let mut page = alloc::vec![0; PATH_MAX - 1];
            cx.hal().copy_from_user(&mut page, data.0)?;
            Ok(page)
        }
    }
}

/// `mount(2)`.
pub fn mount(
    cx: &mut Cx<'_>,
    source: UserCStr,
    target: UserCStr,
    fstype: UserCStr,
    flags: u64,
    data: UserCStr,
) -> Result<usize> {
    let fstype = string(cx, fstype)?;
    let source = string(cx, source)?;
    let data = options(cx, data)?;
    let target = user_path::lookup(cx, CWD, target, LookupFlags::FOLLOW)?;
    mount::do_mount(
        cx.task,
        source.as_deref(),
        &target,
        fstype.as_deref(),
        flags as u32,
        &data,
    )?;
    Ok(0)
}

/// `umount2(2)`.
pub fn umount2(cx: &mut Cx<'_>, target: UserCStr, flags: u32) -> Result<usize> {
    let Some(flags) = UmountFlags::from_bits(flags) else {
        bail!(EINVAL, "umount2: unknown flags")
    };
    let mut lookup = LookupFlags::KEEP_EXPIRY;
    if !flags.contains(UmountFlags::NOFOLLOW) {
        lookup |= LookupFlags::FOLLOW;
    }
    let target = user_path::lookup(cx, CWD, target, lookup)?;
    mount::umount(cx.task, target, flags)?;
    Ok(0)
}

/// `pivot_root(2)`.
pub fn pivot_root(cx: &mut Cx<'_>, new_root: UserCStr, put_old: UserCStr) -> Result<usize> {
    mount::check_may_mount(cx.task)?;
    let lookup = LookupFlags::FOLLOW | LookupFlags::DIRECTORY;
    let new = user_path::lookup(cx, CWD, new_root, lookup)?;
    let old = user_path::lookup(cx, CWD, put_old, lookup)?;
    ensure!(!old.dentry.is_deleted(), ENOENT, "put_old was removed");
    mount::pivot_root(cx.task, &new, &old)?;
    Ok(0)
}
