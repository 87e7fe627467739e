//! Inodes: a directory is a cgroup, a file a line of a table.

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;

use super::events::FileEvents;
use super::file::CgroupHandle;
use super::node::NodeOwner;
use crate::cgroup::{CfFlags, CfType, Cgroup, SubsysId};
use crate::error::Result;
use crate::fs::pseudo::inode_number;
use crate::fs::{
    CreateSpec, DevT, DirSink, FileOps, FileTime, FileType, INode, InodeCommon, Metadata, OpenFlags, Owner,
    SetAttr, current_time,
};
use crate::ids::KoID;
use crate::kernel::Kernel;
use crate::task::Task;
use crate::{bail, ensure, err};

/// Positions from here on are children, by KoID; below are the files.
const FIRST_CHILD: u64 = 1 << 20;

/// A directory.
pub struct CgroupDir {
    kernel: Weak<Kernel>,
    cgroup: Arc<Cgroup>,
    common: InodeCommon,
}

/// A file.
pub struct CgroupFile {
    pub(super) kernel: Weak<Kernel>,
    pub(super) cgroup: Arc<Cgroup>,
    pub(super) subsys: Option<SubsysId>,
    pub(super) line: &'static CfType,
    pub(super) events: FileEvents,
    common: InodeCommon,
}

fn now(kernel: &Weak<Kernel>) -> FileTime {
    kernel
        .upgrade()
        .map_or(FileTime(0), |kernel| current_time(&kernel))
}

fn metadata(cgroup: &Cgroup, line: Option<&'static CfType>) -> Metadata {
    let inode = match line {
        None => cgroup.id(),
        Some(line) => inode_number(cgroup.koid().0, line.name.as_bytes()),
    };
    cgroup.nodes.attr(line, |attr| Metadata {
        inode,
        file_type: if line.is_some() {
            FileType::Regular
        } else {
            FileType::Directory
        },
        mode: attr.mode,
        nlink: 1,
        uid: attr.uid,
        gid: attr.gid,
        rdev: DevT::default(),
        size: 0,
        block_size: 4096,
        blocks: 0,
        atime: attr.atime,
        mtime: attr.mtime,
        ctime: attr.ctime,
        btime: cgroup.nodes.born(),
    })
}

impl CgroupDir {
    /// The directory of a cgroup.
    pub fn of(kernel: &Weak<Kernel>, cgroup: &Arc<Cgroup>) -> Arc<CgroupDir> {
        cgroup.nodes.dir_inode(|| {
            Arc::new(CgroupDir {
                kernel: kernel.clone(),
                cgroup: cgroup.clone(),
                common: InodeCommon::default(),
            })
        })
    }
    /// The cgroup.
    pub fn cgroup(&self) -> &Arc<Cgroup> {
        &self.cgroup
    }
    fn kernel(&self) -> Result<Arc<Kernel>> {
        self.kernel.upgrade().ok_or(err!(ENODEV))
    }
    fn file(&self, subsys: Option<SubsysId>, line: &'static CfType) -> Arc<CgroupFile> {
        self.cgroup.nodes.file_inode(line, || {
            Arc::new(CgroupFile {
                kernel: self.kernel.clone(),
                cgroup: self.cgroup.clone(),
                subsys,
                line,
                events: FileEvents::default(),
                common: InodeCommon::default(),
            })
        })
    }
    /// The name of a file, which `noprefix` may have cut.
    pub(super) fn shown(&self, subsys: Option<SubsysId>, line: &'static CfType) -> &'static [u8] {
        let name = line.name.as_bytes();
        if subsys.is_some()
            && !line.flags.contains(CfFlags::NO_PREFIX)
            && self
                .cgroup
                .hierarchy()
                .flags()
                .contains(crate::cgroup::RootFlags::NOPREFIX)
        {
            let dot = name.iter().position(|&byte| byte == b'.');
            return dot.map_or(name, |dot| &name[dot + 1..]);
        }
        name
    }
}

impl INode for CgroupDir {
    fn metadata(&self) -> Metadata {
        let mut metadata = metadata(&self.cgroup, None);
        let children = self.cgroup.children.lock().by_age.len() as u32;
        metadata.nlink = if self.cgroup.is_dead() { 0 } else { 2 + children };
        metadata
    }
    fn file_type(&self) -> FileType {
        FileType::Directory
    }
    fn owner(&self) -> Owner {
        self.cgroup.nodes.attr(None, |attr| attr.owner())
    }
    fn common(&self) -> &InodeCommon {
        &self.common
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn setattr(&self, attr: &SetAttr) -> Result<()> {
        ensure!(!self.cgroup.is_dead(), ENOENT, "the cgroup is gone");
        let now = now(&self.kernel);
        self.cgroup.nodes.attr(None, |own| own.change(attr, now));
        Ok(())
    }
    fn lookup(&self, name: &[u8]) -> Result<Arc<dyn INode>> {
        if let Some(child) = self.cgroup.child(name) {
            return Ok(CgroupDir::of(&self.kernel, &child));
        }
        ensure!(!self.cgroup.is_dead(), ENOENT, "the cgroup is gone");
        let lines = self.cgroup.lines();
        let line = lines
            .into_iter()
            .find(|&(subsys, line)| self.shown(subsys, line) == name);
        let (subsys, line) = line.ok_or(err!(ENOENT))?;
        Ok(self.file(subsys, line))
    }
    fn revalidate(&self) -> bool {
        !self.cgroup.is_dead()
    }
    fn create(&self, name: &[u8], spec: &CreateSpec) -> Result<Arc<dyn INode>> {
        match spec.file_type {
            FileType::Directory => {}
            FileType::Regular => bail!(EACCES, "cgroup: only directories are made"),
            _ => bail!(EPERM, "cgroup: only directories are made"),
        }
        let kernel = self.kernel()?;
        if self
            .cgroup
            .lines()
            .iter()
            .any(|&(subsys, line)| self.shown(subsys, line) == name)
        {
            bail!(EEXIST);
        }
        let mut membership = kernel.cgroups.lock();
        let owner = NodeOwner::of(spec, current_time(&kernel));
        let child = membership.create(&kernel.css_env(), &self.cgroup, name, owner)?;
        drop(membership);
        Ok(CgroupDir::of(&self.kernel, &child))
    }
    fn rmdir(&self, name: &[u8]) -> Result<()> {
        let kernel = self.kernel()?;
        let child = self.cgroup.child(name).ok_or(err!(ENOENT))?;
        kernel.cgroups.lock().destroy(&child)?;
        kernel.cgroups.ask_for_release(&kernel);
        Ok(())
    }
    fn rename(&self, name: &[u8], to_dir: &Arc<dyn INode>, to_name: &[u8], exchange: bool) -> Result<()> {
        ensure!(!self.cgroup.on_dfl(), EPERM, "cgroup2 has no rename");
        let child = self
            .cgroup
            .child(name)
            .ok_or(err!(ENOTDIR, "only cgroups are renamed"))?;
        let same = to_dir.as_any().downcast_ref::<CgroupDir>();
        ensure!(
            same.is_some_and(|dir| Arc::ptr_eq(&dir.cgroup, &self.cgroup)),
            EIO,
            "a cgroup stays in its parent"
        );
        ensure!(!exchange, EINVAL, "cgroups are not exchanged");
        ensure!(
            !to_name.contains(&b'\n'),
            EINVAL,
            "a newline in the name of a cgroup"
        );
        self.kernel()?.cgroups.lock().rename(&child, to_name)
    }
    fn readdir(&self, offset: u64, sink: &mut DirSink<'_>) -> Result<()> {
        if self.cgroup.is_dead() {
            return Ok(());
        }
        if offset < FIRST_CHILD {
            let skip = offset.saturating_sub(2) as usize;
            for (at, (subsys, line)) in (3..).zip(self.cgroup.lines()).skip(skip) {
                let number = inode_number(self.cgroup.koid().0, line.name.as_bytes());
                if !sink(self.shown(subsys, line), number, FileType::Regular, at) {
                    return Ok(());
                }
            }
        }
        let mut after = KoID(offset.saturating_sub(FIRST_CHILD));
        while let Some(child) = self.cgroup.child_after(after) {
            after = child.koid();
            if !sink(&child.name(), after.0, FileType::Directory, FIRST_CHILD + after.0) {
                break;
            }
        }
        Ok(())
    }
    fn getxattr(&self, name: &[u8]) -> Result<Vec<u8>> {
        self.cgroup.nodes.xattrs(None, |xattrs| xattrs.get(name))
    }
    fn setxattr(&self, name: &[u8], value: &[u8], flags: u32) -> Result<()> {
        self.cgroup
            .nodes
            .xattrs(None, |xattrs| xattrs.set(name, value, flags))
    }
    fn removexattr(&self, name: &[u8]) -> Result<()> {
        self.cgroup.nodes.xattrs(None, |xattrs| xattrs.remove(name))
    }
    fn listxattr(&self) -> Result<Vec<u8>> {
        self.cgroup.nodes.xattrs(None, |xattrs| Ok(xattrs.list()))
    }
}

impl CgroupFile {
    /// The cgroup.
    pub(super) fn cgroup(&self) -> &Arc<Cgroup> {
        &self.cgroup
    }
    /// Whether it is there: the cgroup lives, and the controller is enabled for it.
    pub(super) fn is_there(&self) -> bool {
        !self.cgroup.is_dead() && self.subsys.is_none_or(|id| self.cgroup.css(id).is_some())
    }
}

impl INode for CgroupFile {
    fn metadata(&self) -> Metadata {
        metadata(&self.cgroup, Some(self.line))
    }
    fn file_type(&self) -> FileType {
        FileType::Regular
    }
    fn owner(&self) -> Owner {
        self.cgroup.nodes.attr(Some(self.line), |attr| attr.owner())
    }
    fn common(&self) -> &InodeCommon {
        &self.common
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
    fn revalidate(&self) -> bool {
        self.is_there()
    }
    fn setattr(&self, attr: &SetAttr) -> Result<()> {
        let now = now(&self.kernel);
        self.cgroup
            .nodes
            .attr(Some(self.line), |own| own.change(attr, now));
        Ok(())
    }
    fn open(&self, task: &Arc<Task>, _flags: OpenFlags) -> Result<Option<Arc<dyn FileOps>>> {
        ensure!(self.is_there(), ENODEV, "the cgroup is gone");
        let dir = CgroupDir::of(&self.kernel, &self.cgroup);
        let inode = dir.file(self.subsys, self.line);
        Ok(Some(CgroupHandle::open(dir, inode, task)))
    }
    fn getxattr(&self, name: &[u8]) -> Result<Vec<u8>> {
        self.cgroup
            .nodes
            .xattrs(Some(self.line), |xattrs| xattrs.get(name))
    }
    fn setxattr(&self, name: &[u8], value: &[u8], flags: u32) -> Result<()> {
        self.cgroup
            .nodes
            .xattrs(Some(self.line), |xattrs| xattrs.set(name, value, flags))
    }
    fn removexattr(&self, name: &[u8]) -> Result<()> {
        self.cgroup
            .nodes
            .xattrs(Some(self.line), |xattrs| xattrs.remove(name))
    }
    fn listxattr(&self) -> Result<Vec<u8>> {
        self.cgroup
            .nodes
            .xattrs(Some(self.line), |xattrs| Ok(xattrs.list()))
    }
}
