//! File handles: `name_to_handle_at(2)`, `open_by_handle_at(2)`.

use linux_object::cred::Capability;
use linux_object::ensure;
use linux_object::error::Result;
use linux_object::fs::export::{FileHandle, HandleType, MAX_HANDLE_SIZE, decode_handle, encode_handle};
use linux_object::fs::namei::LookupFlags;
use linux_object::fs::{OpenFlags, OpenHow, open_root};
use linux_object::ids::Fd;
use zerocopy::IntoBytes;

use crate::abi;
use crate::arg::OpenArg;
use crate::calls::fd::nofile;
use crate::context::Cx;
use crate::rw;
use crate::user_path::{self, AT_EMPTY_PATH, AT_SYMLINK_FOLLOW};
use crate::user_ptr::{UserCStr, UserOutPtr, UserPtr};

/// Where the words of a handle begin.
const HEADER: u64 = size_of::<abi::FileHandle>() as u64;

/// `name_to_handle_at(2)`.
pub fn name_to_handle_at(
    cx: &mut Cx<'_>,
    dirfd: Fd,
    path: UserCStr,
    handle: UserPtr<abi::FileHandle>,
    mount_id: UserOutPtr<i32>,
    flags: u32,
) -> Result<usize> {
    ensure!(
        flags & !(AT_SYMLINK_FOLLOW | AT_EMPTY_PATH) == 0,
        EINVAL,
        "name_to_handle_at: unknown flags"
    );
    let mut lookup = LookupFlags::empty();
    if flags & AT_SYMLINK_FOLLOW != 0 {
        lookup |= LookupFlags::FOLLOW;
    }
    if flags & AT_EMPTY_PATH != 0 {
        lookup |= LookupFlags::EMPTY;
    }
    let path = user_path::lookup(cx, dirfd, path, lookup)?;
    ensure!(
        path.mount.sb.fs.export_ops().is_some(),
        EOPNOTSUPP,
        "the file system has no handles"
    );
    let room = handle.read(cx)?.handle_bytes as usize;
    ensure!(
        room <= MAX_HANDLE_SIZE,
        EINVAL,
        "name_to_handle_at: the handle is too large"
    );
    let made = encode_handle(&path)?;
    let bytes = made.words().as_bytes();
    let fits = bytes.len() <= room;
    mount_id.write(cx, &(path.mount.key.id as i32))?;
    let header = abi::FileHandle {
        handle_bytes: bytes.len() as u32,
        handle_type: if fits {
            made.handle_type.0
        } else {
            HandleType::INVALID.0
        },
    };
    handle.write(cx, &header)?;
    ensure!(fits, EOVERFLOW, "name_to_handle_at: the handle does not fit");
    cx.hal().copy_to_user(handle.addr().offset(HEADER), bytes)?;
    Ok(0)
}

/// `open_by_handle_at(2)`.
pub fn open_by_handle_at(
    cx: &mut Cx<'_>,
    mount_fd: Fd,
    handle: UserPtr<abi::FileHandle>,
    flags: OpenArg,
) -> Result<usize> {
    ensure!(
        cx.task.cred().capable(Capability::DAC_READ_SEARCH),
        EPERM,
        "open_by_handle_at: no CAP_DAC_READ_SEARCH in the initial user namespace"
    );
    let header = handle.read(cx)?;
    let len = header.handle_bytes as usize;
    ensure!(
        (1..=MAX_HANDLE_SIZE).contains(&len),
        EINVAL,
        "open_by_handle_at: no length of a handle"
    );
    let mut words = [0u32; MAX_HANDLE_SIZE / size_of::<u32>()];
    let bytes = &mut words.as_mut_bytes()[..len];
    cx.hal().copy_from_user(bytes, handle.addr().offset(HEADER))?;
    let given = FileHandle::new(HandleType(header.handle_type), &words[..len / size_of::<u32>()]);
    let mount = match mount_fd.0 {
        abi::AT_FDCWD => cx.task.fs().pwd().mount,
        _ => cx.file(mount_fd)?.path.mount.clone(),
    };
    let path = decode_handle(&mount, &given)?;
    let how = OpenHow::new(flags.flags(), 0, LookupFlags::empty())?;
    let close_on_exec = how.flags.contains(OpenFlags::CLOEXEC);
    let files = cx.task.files();
    let reserved = files.reserve(close_on_exec, 0, nofile(cx))?;
    let file = open_root(cx.task, path, how)?;
    rw::wait_opened(cx, &file)?;
    Ok(reserved.install(file).0 as usize)
}
