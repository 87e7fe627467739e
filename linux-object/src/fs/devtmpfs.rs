//! devtmpfs: one tmpfs with a node for each registered device. Every mount of it shows the same.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::any::Any;

use super::device::{self, DeviceNode};
use super::fs_context::param::Param;
use super::fs_context::{ContextInit, ContextOps, Log, MountRequest, ParamCx, Tree};
use super::namei::lookup_one;
use super::tmpfs::{Options, TmpFs};
use super::{CreateSpec, Dentry, DevT, FileSystemType, FileType, SuperBlock, hash_name};
use crate::error::{Errno, Result};
use crate::ids::{Kgid, Kuid};
use crate::kernel::Kernel;
use crate::{bail, err};

/// The one superblock, made with the nodes registered so far.
pub fn superblock(kernel: &Arc<Kernel>) -> Result<Arc<SuperBlock>> {
    if let Some(sb) = kernel.vfs.devtmpfs.get() {
        return Ok(sb.clone());
    }
    let options = Options {
        mode: Some(0o755),
        ..Options::default()
    };
    let sb = TmpFs::superblock(kernel, "devtmpfs", options, &kernel.init_user_ns, 0)?;
    let sb = kernel.vfs.devtmpfs.call_once(|| sb);
    for node in device::nodes(kernel) {
        make_node(sb, &node)?;
    }
    Ok(sb.clone())
}

/// A device got a name: its node appears if devtmpfs exists already.
pub(super) fn node_added(kernel: &Arc<Kernel>, node: &DeviceNode) -> Result<()> {
    match kernel.vfs.devtmpfs.get() {
        Some(sb) => make_node(sb, node),
        None => Ok(()),
    }
}

fn make_node(sb: &Arc<SuperBlock>, node: &DeviceNode) -> Result<()> {
    let mut dir = sb.root.clone();
    let mut parts = node.name.split('/').peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        let (file_type, mode) = if last {
            (node.file_type, node.mode)
        } else {
            (FileType::Directory, 0o755)
        };
        dir = make_one(&dir, part.as_bytes(), file_type, mode, node.dev)?;
    }
    Ok(())
}

fn make_one(
    dir: &Arc<Dentry>,
    name: &[u8],
    file_type: FileType,
    mode: u32,
    rdev: DevT,
) -> Result<Arc<Dentry>> {
    let inode = dir.inode().ok_or(err!(ENOENT))?;
    let _locked = inode.common().dir.lock();
    let hash = hash_name(name);
    let found = lookup_one(dir, name, hash)?;
    if found.inode().is_some() {
        return Ok(found);
    }
    let spec = CreateSpec {
        file_type,
        mode,
        uid: Kuid::ROOT,
        gid: Kgid::ROOT,
        rdev,
    };
    match inode.create(name, &spec) {
        Ok(new) => Ok(dir.add_child(name, hash, Some(new))),
        Err(error) if error.errno() == Errno::EEXIST => bail!(EBUSY),
        Err(error) => Err(error),
    }
}

/// The type `devtmpfs`.
pub struct DevTmpFsType;

impl FileSystemType for DevTmpFsType {
    fn name(&self) -> &'static str {
        "devtmpfs"
    }
    fn init_context(&self, _init: &ContextInit<'_>) -> Result<Box<dyn ContextOps>> {
        Ok(Box::new(DevTmpFsContext(Options::default())))
    }
}

/// The options are those of tmpfs; they change the one instance.
struct DevTmpFsContext(Options);

impl ContextOps for DevTmpFsContext {
    fn parse_param(&mut self, cx: &mut ParamCx<'_>, param: &Param) -> Result<bool> {
        self.0.parse_param(cx, param)
    }
    fn get_tree(&mut self, request: &mut MountRequest<'_>) -> Result<Tree> {
        let sb = superblock(request.kernel)?;
        self.reconfigure(&sb, request.text, request.log)?;
        Ok(Tree::whole(sb))
    }
    fn reconfigure(&mut self, sb: &Arc<SuperBlock>, _text: &[u8], log: &mut Log) -> Result<()> {
        match (&*sb.fs as &dyn Any).downcast_ref::<TmpFs>() {
            Some(fs) => fs.reconfigure(&self.0, log),
            None => Ok(()),
        }
    }
}
