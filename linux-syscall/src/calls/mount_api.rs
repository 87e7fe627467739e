//! `fsopen fsconfig fsmount fspick move_mount open_tree mount_setattr(2)`.

use linux_object::error::Result;
use linux_object::fs::fs_context::param::{Param, Value};
use linux_object::fs::fs_context::{FsContext, FsContextFile};
use linux_object::fs::mount::{self, Fsmount, MountAttr, MoveFlags, OpenTree, SetAttr};
use linux_object::fs::namei::LookupFlags;
use linux_object::fs::{OpenFile, OpenFlags, Path, anon_file};
use linux_object::ids::{Fd, PAGE_SIZE, UserAddr};
use linux_object::{bail, ensure, err};

use alloc::sync::Arc;
use alloc::vec::Vec;

use super::path::read_extensible;
use super::pipe::install;
use crate::abi;
use crate::abi::AT_FDCWD;
use crate::context::Cx;
use crate::user_path::{self, AT_EMPTY_PATH, AT_NO_AUTOMOUNT, AT_SYMLINK_NOFOLLOW};
use crate::user_ptr::{UserCStr, UserInPtr};

const FSOPEN_CLOEXEC: u32 = 1;
const AT_RECURSIVE: u32 = 0x8000;
/// Longest name and value of an option, with the zero byte.
const PARAM_MAX: usize = 256;
/// Most bytes of a binary option.
const BLOB_MAX: i32 = 1024 * 1024;

fn context_fd(cx: &mut Cx<'_>, context: FsContext, cloexec: bool) -> Result<usize> {
    let ops = FsContextFile::new(context);
    let file = anon_file(cx.kernel, "[fscontext]", ops, OpenFlags::RDWR, cx.task.cred())?;
    install(cx, file, cloexec)
}

/// `fsopen(2)`.
pub fn fsopen(cx: &mut Cx<'_>, fs_name: UserCStr, flags: u32) -> Result<usize> {
    mount::check_may_mount(cx.task)?;
    ensure!(flags & !FSOPEN_CLOEXEC == 0, EINVAL, "fsopen: unknown flags");
    let name = string(cx, fs_name, PAGE_SIZE)?;
    let fs_type = cx
        .kernel
        .fs_types
        .find(&name)
        .ok_or(err!(ENODEV, "fsopen: no such file system type"))?;
    let context = FsContext::for_mount(cx.task, fs_type, 0)?;
    context_fd(cx, context, flags & FSOPEN_CLOEXEC != 0)
}

/// `fspick(2)`.
pub fn fspick(cx: &mut Cx<'_>, dfd: Fd, path: UserCStr, flags: u32) -> Result<usize> {
    const CLOEXEC: u32 = 1;
    const SYMLINK_NOFOLLOW: u32 = 2;
    const NO_AUTOMOUNT: u32 = 4;
    const EMPTY_PATH: u32 = 8;
    mount::check_may_mount(cx.task)?;
    ensure!(
        flags & !(CLOEXEC | SYMLINK_NOFOLLOW | NO_AUTOMOUNT | EMPTY_PATH) == 0,
        EINVAL,
        "fspick: unknown flags"
    );
    let mut lookup = LookupFlags::empty();
    lookup.set(LookupFlags::FOLLOW, flags & SYMLINK_NOFOLLOW == 0);
    lookup.set(LookupFlags::EMPTY, flags & EMPTY_PATH != 0);
    let target = user_path::lookup(cx, dfd, path, lookup)?;
    let context = mount::fspick(cx.task, &target)?;
    context_fd(cx, context, flags & CLOEXEC != 0)
}

/// A string with a limit (Linux's `strndup_user`).
fn string(cx: &Cx<'_>, text: UserCStr, max: usize) -> Result<Vec<u8>> {
    match text.read(cx, max)? {
        Some(text) => Ok(text),
        None => bail!(EINVAL, "a string that is too long"),
    }
}

fn context_file(file: &OpenFile) -> Result<&FsContextFile> {
    match file.ops_as::<FsContextFile>() {
        Some(context) => Ok(context),
        None => bail!(EINVAL, "the descriptor is no file system context"),
    }
}

/// `fsconfig(2)`.
pub fn fsconfig(
    cx: &mut Cx<'_>,
    fd: Fd,
    cmd: u32,
    key: UserCStr,
    value: UserAddr,
    aux: i32,
) -> Result<usize> {
    const SET_FLAG: u32 = 0;
    const SET_STRING: u32 = 1;
    const SET_BINARY: u32 = 2;
    const SET_PATH: u32 = 3;
    const SET_PATH_EMPTY: u32 = 4;
    const SET_FD: u32 = 5;
    const CMD_CREATE: u32 = 6;
    const CMD_RECONFIGURE: u32 = 7;
    ensure!(fd.0 >= 0, EINVAL, "fsconfig: a negative descriptor");
    let (no_key, no_value) = (key.is_null(), value.is_null());
    let valid = match cmd {
        SET_FLAG => !no_key && no_value && aux == 0,
        SET_STRING => !no_key && !no_value && aux == 0,
        SET_BINARY => !no_key && !no_value && aux > 0 && aux <= BLOB_MAX,
        SET_PATH | SET_PATH_EMPTY => !no_key && !no_value && (aux == AT_FDCWD || aux >= 0),
        SET_FD => !no_key && no_value && aux >= 0,
        CMD_CREATE | CMD_RECONFIGURE => no_key && no_value && aux == 0,
        _ => bail!(EOPNOTSUPP, "fsconfig: unknown command"),
    };
    ensure!(valid, EINVAL, "fsconfig: arguments that do not fit the command");
    let file = cx.task.files().get_rw(fd)?;
    let context = context_file(&file)?;
    ensure!(
        !(context.is_legacy() && matches!(cmd, SET_BINARY | SET_PATH | SET_PATH_EMPTY | SET_FD)),
        EOPNOTSUPP,
        "fsconfig: the type takes flags and text only"
    );
    match cmd {
        CMD_CREATE => context.create(cx.task)?,
        CMD_RECONFIGURE => context.reconfigure(cx.task)?,
        _ => {
            let key = string(cx, key, PARAM_MAX)?;
            let value = match cmd {
                SET_FLAG => Value::Flag,
                SET_STRING => Value::String(string(cx, UserCStr(value), PARAM_MAX)?),
                SET_BINARY => Value::Blob(UserInPtr::<u8>::new(value).read_bytes(cx, aux as usize)?),
                SET_PATH | SET_PATH_EMPTY => {
                    let name = UserCStr(value).read_path(cx)?;
                    ensure!(
                        cmd == SET_PATH_EMPTY || !name.is_empty(),
                        ENOENT,
                        "the path is empty"
                    );
                    Value::Path(user_path::base(cx, Fd(aux), &name)?, name)
                }
                _ => Value::File(cx.task.files().get_rw(Fd(aux))?),
            };
            context.set(cx.task, &Param { key, value })?;
        }
    }
    Ok(0)
}

/// `fsmount(2)`.
pub fn fsmount(cx: &mut Cx<'_>, fs_fd: Fd, flags: u32, attr_flags: u32) -> Result<usize> {
    mount::check_may_mount(cx.task)?;
    let Some(flags) = Fsmount::from_bits(flags) else {
        bail!(EINVAL, "fsmount: unknown flags")
    };
    let attr = MountAttr::from_bits(attr_flags.into()).filter(|attr| !attr.contains(MountAttr::IDMAP));
    let Some(attr) = attr else {
        bail!(EINVAL, "fsmount: unknown attributes")
    };
    attr.check_atime()?;
    let file = cx.task.files().get_rw(fs_fd)?;
    let mount = mount::fsmount(cx.task, context_file(&file)?, attr)?;
    install(cx, mount, flags.contains(Fsmount::CLOEXEC))
}

/// `open_tree(2)`.
pub fn open_tree(cx: &mut Cx<'_>, dfd: Fd, filename: UserCStr, flags: u32) -> Result<usize> {
    let Some(flags) = OpenTree::from_bits(flags) else {
        bail!(EINVAL, "open_tree: unknown flags")
    };
    let clone = flags.contains(OpenTree::CLONE);
    ensure!(
        clone || !flags.contains(OpenTree::RECURSIVE),
        EINVAL,
        "open_tree: AT_RECURSIVE without OPEN_TREE_CLONE"
    );
    if clone {
        mount::check_may_mount(cx.task)?;
    }
    let mut lookup = LookupFlags::empty();
    lookup.set(LookupFlags::FOLLOW, !flags.contains(OpenTree::SYMLINK_NOFOLLOW));
    lookup.set(LookupFlags::EMPTY, flags.contains(OpenTree::EMPTY_PATH));
    let path = user_path::lookup(cx, dfd, filename, lookup)?;
    let file = mount::open_tree(cx.task, &path, flags)?;
    install(cx, file, flags.contains(OpenTree::CLOEXEC))
}

/// `move_mount(2)`.
pub fn move_mount(
    cx: &mut Cx<'_>,
    from_dfd: Fd,
    from_path: UserCStr,
    to_dfd: Fd,
    to_path: UserCStr,
    flags: u32,
) -> Result<usize> {
    mount::check_may_mount(cx.task)?;
    let Some(flags) = MoveFlags::from_bits(flags) else {
        bail!(EINVAL, "move_mount: unknown flags")
    };
    let lookup = |follow: bool, empty: bool| {
        let mut lookup = LookupFlags::empty();
        lookup.set(LookupFlags::FOLLOW, follow);
        lookup.set(LookupFlags::EMPTY, empty);
        lookup
    };
    let from = lookup(
        flags.contains(MoveFlags::F_SYMLINKS),
        flags.contains(MoveFlags::F_EMPTY_PATH),
    );
    let from: Path = user_path::lookup(cx, from_dfd, from_path, from)?;
    let to = lookup(
        flags.contains(MoveFlags::T_SYMLINKS),
        flags.contains(MoveFlags::T_EMPTY_PATH),
    );
    let to = user_path::lookup(cx, to_dfd, to_path, to)?;
    mount::move_mount(cx.task, &from, &to, flags)?;
    Ok(0)
}

/// `mount_setattr(2)`.
pub fn mount_setattr(
    cx: &mut Cx<'_>,
    dfd: Fd,
    path: UserCStr,
    flags: u32,
    attr: UserInPtr<u8>,
    size: usize,
) -> Result<usize> {
    ensure!(
        flags & !(AT_EMPTY_PATH | AT_RECURSIVE | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) == 0,
        EINVAL,
        "mount_setattr: unknown flags"
    );
    ensure!(size <= PAGE_SIZE, E2BIG, "mount_setattr: a long structure");
    ensure!(
        size >= size_of::<abi::MountAttr>(),
        EINVAL,
        "mount_setattr: a short structure"
    );
    mount::check_may_mount(cx.task)?;
    let mut arg = abi::MountAttr::default();
    read_extensible(cx, attr, size, zerocopy::IntoBytes::as_mut_bytes(&mut arg))?;
    if arg.attr_set == 0 && arg.attr_clr == 0 && arg.propagation == 0 {
        return Ok(0);
    }
    let userns_file = || -> Result<Arc<OpenFile>> {
        let fd = i32::try_from(arg.userns_fd).map_err(|_| err!(EINVAL, "mount_setattr: a bad descriptor"))?;
        cx.task.files().get_rw(Fd(fd))
    };
    let wanted = SetAttr::new(
        cx.task,
        arg.attr_set,
        arg.attr_clr,
        arg.propagation,
        flags & AT_RECURSIVE != 0,
        userns_file,
    )?;
    let target = user_path::lookup(cx, dfd, path, user_path::at_flags(flags))?;
    mount::set_attr(cx.task, &target, &wanted)?;
    Ok(0)
}
