//! Attributes of the directory and files of a cgroup.

use alloc::boxed::Box;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use super::inode::{CgroupDir, CgroupFile};
use crate::cgroup::{CfType, Cgroup};
use crate::error::Result;
use crate::fs::tmpfs::Xattrs;
use crate::fs::{CreateSpec, FileTime, Owner, SetAttr};
use crate::ids::{Kgid, Kuid};
use crate::sync::{SpinLock, class};
use crate::time::Timekeeper;

/// Who makes a cgroup, with which mode, when.
#[derive(Clone, Copy)]
pub struct NodeOwner {
    /// Of the directory.
    pub mode: u32,
    /// Of the directory and all files.
    pub uid: Kuid,
    /// Likewise.
    pub gid: Kgid,
    /// The time of all time stamps.
    pub time: FileTime,
}

impl NodeOwner {
    /// The kernel's own: 0755, root's.
    pub fn root(time: &Timekeeper) -> NodeOwner {
        NodeOwner {
            mode: 0o755,
            uid: Kuid::ROOT,
            gid: Kgid::ROOT,
            time: FileTime(time.realtime_coarse().into()),
        }
    }
    /// `mkdir`.
    pub fn of(spec: &CreateSpec, time: FileTime) -> NodeOwner {
        NodeOwner {
            mode: spec.mode,
            uid: spec.uid,
            gid: spec.gid,
            time,
        }
    }
}

/// What a node's inode shows.
pub(super) struct Attr {
    pub mode: u32,
    pub uid: Kuid,
    pub gid: Kgid,
    pub atime: FileTime,
    pub mtime: FileTime,
    pub ctime: FileTime,
    pub xattrs: Option<Box<Xattrs>>,
}

impl Attr {
    fn new(owner: NodeOwner, mode: u32) -> Attr {
        Attr {
            mode,
            uid: owner.uid,
            gid: owner.gid,
            atime: owner.time,
            mtime: owner.time,
            ctime: owner.time,
            xattrs: None,
        }
    }
    pub fn owner(&self) -> Owner {
        Owner {
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
        }
    }
    pub fn change(&mut self, attr: &SetAttr, now: FileTime) {
        self.mode = attr.mode.unwrap_or(self.mode);
        self.uid = attr.uid.unwrap_or(self.uid);
        self.gid = attr.gid.unwrap_or(self.gid);
        self.atime = attr.atime.unwrap_or(self.atime);
        self.mtime = attr.mtime.unwrap_or(self.mtime);
        self.ctime = now;
    }
}

struct FileSlot {
    line: &'static CfType,
    attr: Attr,
    inode: Weak<CgroupFile>,
}

struct Inner {
    dir: Attr,
    dir_inode: Weak<CgroupDir>,
    /// Files that somebody has looked at.
    files: Vec<FileSlot>,
}

/// The nodes of a cgroup.
pub struct Nodes {
    creator: NodeOwner,
    inner: SpinLock<Inner, class::Leaf>,
}

impl Nodes {
    pub(in crate::cgroup) fn new(creator: NodeOwner) -> Nodes {
        Nodes {
            creator,
            inner: SpinLock::new(Inner {
                dir: Attr::new(creator, creator.mode),
                dir_inode: Weak::new(),
                files: Vec::new(),
            }),
        }
    }
    /// When it was made.
    pub(super) fn born(&self) -> FileTime {
        self.creator.time
    }
    /// The directory's inode, made if nobody has it.
    pub(super) fn dir_inode(&self, make: impl FnOnce() -> Arc<CgroupDir>) -> Arc<CgroupDir> {
        if let Some(inode) = self.try_dir() {
            return inode;
        }
        let made = make();
        let mut inner = self.inner.lock();
        if let Some(other) = inner.dir_inode.upgrade() {
            drop(inner);
            return other;
        }
        inner.dir_inode = Arc::downgrade(&made);
        drop(inner);
        made
    }
    /// The directory's inode, if somebody has it.
    pub(super) fn try_dir(&self) -> Option<Arc<CgroupDir>> {
        self.inner.lock().dir_inode.upgrade()
    }
    /// The inode of a file, made if nobody has it.
    pub(super) fn file_inode(
        &self,
        line: &'static CfType,
        make: impl FnOnce() -> Arc<CgroupFile>,
    ) -> Arc<CgroupFile> {
        let known = self.with_file(line, |slot| slot.inode.upgrade());
        if let Some(inode) = known {
            return inode;
        }
        let made = make();
        let other = self.with_file(line, |slot| {
            let other = slot.inode.upgrade();
            if other.is_none() {
                slot.inode = Arc::downgrade(&made);
            }
            other
        });
        other.unwrap_or(made)
    }
    /// The inode of a file, if somebody has it.
    pub(super) fn try_file(&self, name: &str) -> Option<Arc<CgroupFile>> {
        let inner = self.inner.lock();
        let slot = inner.files.iter().find(|slot| slot.line.name == name)?;
        slot.inode.upgrade()
    }
    fn with_file<R>(&self, line: &'static CfType, f: impl FnOnce(&mut FileSlot) -> R) -> R {
        let mut inner = self.inner.lock();
        let at = match inner.files.iter().position(|slot| core::ptr::eq(slot.line, line)) {
            Some(at) => at,
            None => {
                inner.files.push(FileSlot {
                    line,
                    attr: Attr::new(self.creator, line.initial_mode()),
                    inode: Weak::new(),
                });
                inner.files.len() - 1
            }
        };
        f(&mut inner.files[at])
    }
    /// Looks at, or changes, the attributes of the directory (`None`) or of a file.
    pub(super) fn attr<R>(&self, line: Option<&'static CfType>, f: impl FnOnce(&mut Attr) -> R) -> R {
        match line {
            None => f(&mut self.inner.lock().dir),
            Some(line) => self.with_file(line, |slot| f(&mut slot.attr)),
        }
    }
    /// Changes extended attributes.
    pub(super) fn xattrs<R>(
        &self,
        line: Option<&'static CfType>,
        f: impl FnOnce(&mut Xattrs) -> Result<R>,
    ) -> Result<R> {
        self.attr(line, |attr| f(attr.xattrs.get_or_insert_with(Box::default)))
    }
}

impl Cgroup {
    /// Owner and mode of one of its files.
    pub(in crate::cgroup) fn file_owner(&self, name: &str) -> Owner {
        let inner = self.nodes.inner.lock();
        let slot = inner.files.iter().find(|slot| slot.line.name == name);
        match slot {
            Some(slot) => slot.attr.owner(),
            None => Owner {
                mode: 0o644,
                uid: self.nodes.creator.uid,
                gid: self.nodes.creator.gid,
            },
        }
    }
}
