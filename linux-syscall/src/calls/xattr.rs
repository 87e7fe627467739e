//! Extended attributes (`xattr(7)`).

use alloc::vec::Vec;

use linux_object::error::Result;
use linux_object::fs::namei::LookupFlags;
use linux_object::fs::{Path, xattr};
use linux_object::ids::Fd;
use linux_object::{bail, ensure};

use crate::abi::AT_FDCWD;
use crate::context::Cx;
use crate::user_path;
use crate::user_ptr::{UserCStr, UserInPtr, UserOutPtr};

const CWD: Fd = Fd(AT_FDCWD);
/// Longest name (`XATTR_NAME_MAX`).
const NAME_MAX: usize = 255;
/// Longest value (`XATTR_SIZE_MAX`).
const SIZE_MAX: usize = 65536;
/// Longest list of names (`XATTR_LIST_MAX`).
const LIST_MAX: usize = 65536;

fn attr_name(cx: &Cx<'_>, name: UserCStr) -> Result<Vec<u8>> {
    match name.read(cx, NAME_MAX + 1)? {
        Some(name) if !name.is_empty() => Ok(name),
        _ => bail!(
            ERANGE,
            "an empty name of an attribute, or one of more than 255 bytes"
        ),
    }
}

fn at(cx: &Cx<'_>, path: UserCStr, follow: bool) -> Result<Path> {
    let flags = if follow {
        LookupFlags::FOLLOW
    } else {
        LookupFlags::empty()
    };
    user_path::lookup(cx, CWD, path, flags)
}

fn fd_path(cx: &Cx<'_>, fd: Fd) -> Result<Path> {
    Ok(cx.file(fd)?.path.clone())
}

fn set(
    cx: &Cx<'_>,
    path: Result<Path>,
    name: UserCStr,
    value: UserInPtr<u8>,
    size: usize,
    flags: u32,
) -> Result<usize> {
    let path = path?;
    ensure!(flags & !3 == 0, EINVAL, "setxattr: unknown flags");
    let name = attr_name(cx, name)?;
    ensure!(size <= SIZE_MAX, E2BIG, "setxattr: a value of more than 64 KiB");
    let value = if size == 0 {
        Vec::new()
    } else {
        value.read_bytes(cx, size)?
    };
    xattr::set(cx.task, &path, &name, &value, flags)?;
    Ok(0)
}

/// Copies a result out: its length if there is no room on purpose, `ERANGE` if there is too little.
fn give(cx: &Cx<'_>, bytes: &[u8], out: UserOutPtr<u8>, size: usize) -> Result<usize> {
    if size > 0 {
        ensure!(bytes.len() <= size, ERANGE);
        out.write_slice(cx, bytes)?;
    }
    Ok(bytes.len())
}

fn get(cx: &Cx<'_>, path: Result<Path>, name: UserCStr, value: UserOutPtr<u8>, size: usize) -> Result<usize> {
    let path = path?;
    let name = attr_name(cx, name)?;
    let bytes = xattr::get(cx.task, &path, &name)?;
    give(cx, &bytes, value, size.min(SIZE_MAX))
}

fn list(cx: &Cx<'_>, path: Result<Path>, out: UserOutPtr<u8>, size: usize) -> Result<usize> {
    let names = xattr::list(cx.task, &path?)?;
    ensure!(names.len() <= LIST_MAX, E2BIG);
    give(cx, &names, out, size.min(LIST_MAX))
}

fn remove(cx: &Cx<'_>, path: Result<Path>, name: UserCStr) -> Result<usize> {
    let path = path?;
    let name = attr_name(cx, name)?;
    xattr::remove(cx.task, &path, &name)?;
    Ok(0)
}

/// `setxattr(2)`.
pub fn setxattr(
    cx: &mut Cx<'_>,
    path: UserCStr,
    name: UserCStr,
    value: UserInPtr<u8>,
    size: usize,
    flags: u32,
) -> Result<usize> {
    set(cx, at(cx, path, true), name, value, size, flags)
}

/// `lsetxattr(2)`.
pub fn lsetxattr(
    cx: &mut Cx<'_>,
    path: UserCStr,
    name: UserCStr,
    value: UserInPtr<u8>,
    size: usize,
    flags: u32,
) -> Result<usize> {
    set(cx, at(cx, path, false), name, value, size, flags)
}

/// `fsetxattr(2)`.
pub fn fsetxattr(
    cx: &mut Cx<'_>,
    fd: Fd,
    name: UserCStr,
    value: UserInPtr<u8>,
    size: usize,
    flags: u32,
) -> Result<usize> {
    set(cx, fd_path(cx, fd), name, value, size, flags)
}

/// `getxattr(2)`.
pub fn getxattr(
    cx: &mut Cx<'_>,
    path: UserCStr,
    name: UserCStr,
    value: UserOutPtr<u8>,
    size: usize,
) -> Result<usize> {
    get(cx, at(cx, path, true), name, value, size)
}

/// `lgetxattr(2)`.
pub fn lgetxattr(
    cx: &mut Cx<'_>,
    path: UserCStr,
    name: UserCStr,
    value: UserOutPtr<u8>,
    size: usize,
) -> Result<usize> {
    get(cx, at(cx, path, false), name, value, size)
}

/// `fgetxattr(2)`.
pub fn fgetxattr(
    cx: &mut Cx<'_>,
    fd: Fd,
    name: UserCStr,
    value: UserOutPtr<u8>,
    size: usize,
) -> Result<usize> {
    get(cx, fd_path(cx, fd), name, value, size)
}

/// `listxattr(2)`.
pub fn listxattr(cx: &mut Cx<'_>, path: UserCStr, out: UserOutPtr<u8>, size: usize) -> Result<usize> {
    list(cx, at(cx, path, true), out, size)
}

/// `llistxattr(2)`.
pub fn llistxattr(cx: &mut Cx<'_>, path: UserCStr, out: UserOutPtr<u8>, size: usize) -> Result<usize> {
    list(cx, at(cx, path, false), out, size)
}

/// `flistxattr(2)`.
pub fn flistxattr(cx: &mut Cx<'_>, fd: Fd, out: UserOutPtr<u8>, size: usize) -> Result<usize> {
    list(cx, fd_path(cx, fd), out, size)
}

/// `removexattr(2)`.
pub fn removexattr(cx: &mut Cx<'_>, path: UserCStr, name: UserCStr) -> Result<usize> {
    remove(cx, at(cx, path, true), name)
}

/// `lremovexattr(2)`.
pub fn lremovexattr(cx: &mut Cx<'_>, path: UserCStr, name: UserCStr) -> Result<usize> {
    remove(cx, at(cx, path, false), name)
}

/// `fremovexattr(2)`.
pub fn fremovexattr(cx: &mut Cx<'_>, fd: Fd, name: UserCStr) -> Result<usize> {
    remove(cx, fd_path(cx, fd), name)
}
