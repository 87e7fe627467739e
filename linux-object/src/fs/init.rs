//! What the VFS does at boot.

use alloc::sync::Arc;

use super::tmpfs::{Options, TmpFs, TmpFsType};
use super::{Mount, MountFlags, Path, SbFlags, devtmpfs, initramfs, mem_dev, mount};
use crate::error::Result;
use crate::kernel::Kernel;
use crate::namespace::MountNamespace;

/// Registers the file system types and devices of this part.
fn init(kernel: &Arc<Kernel>) -> Result<()> {
    kernel.fs_types.register(Arc::new(TmpFsType("ramfs")))?;
    kernel.fs_types.register(Arc::new(TmpFsType("tmpfs")))?;
    kernel.fs_types.register(Arc::new(devtmpfs::DevTmpFsType))?;
    kernel
        .fs_types
        .register(Arc::new(super::overlayfs::OverlayFsType))?;
    kernel
        .fs_types
        .register(Arc::new(crate::ipc::mqueue::MqueueFsType))?;
    mem_dev::init(kernel)?;
    crate::net::tun::init(kernel)?;
    crate::tty::init(kernel)
}

/// The first mounts: an empty, immutable root, and over it a tmpfs with the initramfs unpacked into it.
/// Returns the root of the first process; the namespace is `kernel.vfs.init_mnt_ns`.
pub fn init_mounts(kernel: &Arc<Kernel>, initrd: Option<&[u8]>) -> Result<Path> {
    init(kernel)?;
    let user_ns = &kernel.init_user_ns;
    let options = Options {
        mode: Some(0o755),
        ..Options::default()
    };
    let nothing = TmpFs::superblock(kernel, "ramfs", options.clone(), user_ns, SbFlags::RDONLY.bits())?;
    let root = nothing.root.clone();
    let bottom = Mount::new(kernel, nothing, root, b"none", MountFlags::READONLY);
    let rootfs = TmpFs::superblock(kernel, "tmpfs", options, user_ns, 0)?;
    initramfs::populate(kernel, &rootfs.root, initrd)?;
    let root = rootfs.root.clone();
    let top = Mount::new(kernel, rootfs, root, b"rootfs", MountFlags::RELATIME);
    let ns = MountNamespace::empty(kernel, user_ns.clone());
    mount::init_tree(kernel, &ns, bottom, top.clone());
    kernel.vfs.init_mnt_ns.call_once(|| ns);
    Ok(Path::root_of(&top))
}
