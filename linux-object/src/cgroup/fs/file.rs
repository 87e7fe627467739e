//! An open file of a cgroup (Linux's `kernfs_open_file`).
//!
//! What counts for a write are the credentials and the cgroup namespace of whoever opened the file. A
//! read notes which changes it has seen; `poll` tells of later ones until the next read. Once the cgroup
//! is gone everything answers `ENODEV`.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;

use super::inode::{CgroupDir, CgroupFile};
use crate::cgroup::{CfCx, CfFlags, CfType, Cgroup, RootFlags};
use crate::error::Result;
use crate::fs::io::{IoDst, IoSrc};
use crate::fs::seq_file::SeqBuf;
use crate::fs::{FileOps, OpenFile, PollEvents};
use crate::namespace::CgroupNamespace;
use crate::sync::{SpinLock, WaitQueue, class};
use crate::task::Task;
use crate::{bail, ensure};

#[derive(Default)]
struct Kept {
    text: Option<Vec<u8>>,
    /// Where the next sequential read begins.
    next: u64,
    /// Changes seen by the last read.
    seen: u64,
}

pub(super) struct CgroupHandle {
    /// Keeps the directory's inode, which is told of changes too.
    _dir: Arc<CgroupDir>,
    inode: Arc<CgroupFile>,
    ns: Arc<CgroupNamespace>,
    kept: SpinLock<Kept, class::Inode>,
}

impl CgroupHandle {
    pub fn open(dir: Arc<CgroupDir>, inode: Arc<CgroupFile>, task: &Arc<Task>) -> Arc<dyn FileOps> {
        Arc::new(CgroupHandle {
            _dir: dir,
            inode,
            ns: task.nsproxy().cgroup_ns.clone(),
            kept: SpinLock::default(),
        })
    }

    /// The cgroup, and which file of it.
    pub fn whose(&self) -> (&Arc<Cgroup>, &'static CfType) {
        (self.inode.cgroup(), self.inode.line)
    }

    fn with<R>(
        &self,
        file: &OpenFile,
        task: &Arc<Task>,
        f: impl FnOnce(&CfCx<'_>) -> Result<R>,
    ) -> Result<R> {
        let cgroup = self.inode.cgroup();
        let css = self.inode.subsys.map(|id| cgroup.css(id));
        ensure!(
            !cgroup.is_dead() && !matches!(css, Some(None)),
            ENODEV,
            "cgroup: it is gone, or the controller was disabled"
        );
        f(&CfCx {
            kernel: task.kernel(),
            cgroup,
            css: css.as_ref().and_then(Option::as_ref),
            cftype: self.inode.line,
            task,
            cred: &file.cred,
            ns: &self.ns,
            file,
        })
    }

    /// With `nsdelegate` the root of a cgroup namespace is its delegater's, but for a few files.
    fn may_write(&self) -> Result<()> {
        let cgroup = self.inode.cgroup();
        let hierarchy = cgroup.hierarchy();
        if !hierarchy.flags().contains(RootFlags::NS_DELEGATE)
            || self.inode.line.flags.contains(CfFlags::NS_DELEGATABLE)
            || self.ns.is_initial()
        {
            return Ok(());
        }
        let at_boundary = self
            .ns
            .root(hierarchy)
            .is_some_and(|root| Arc::ptr_eq(&root, cgroup));
        ensure!(
            !at_boundary,
            EPERM,
            "cgroup: the file belongs to whoever delegated the cgroup"
        );
        Ok(())
    }
}

impl FileOps for CgroupHandle {
    fn read(&self, file: &OpenFile, task: &Arc<Task>, offset: &mut u64, to: &mut dyn IoDst) -> Result<usize> {
        let start = *offset;
        ensure!(self.inode.is_there(), ENODEV, "cgroup: it is gone");
        let stale = {
            let kept = self.kept.lock();
            start == 0 || kept.text.is_none() || kept.next != start
        };
        if stale {
            self.kept.lock().seen = self.inode.events.count();
            let mut out = SeqBuf::new();
            self.with(file, task, |cx| self.inode.line.read(cx, &mut out))?;
            let old = self.kept.lock().text.replace(out.into_bytes());
            drop(old);
        }
        let mut kept = self.kept.lock();
        let rest = kept
            .text
            .as_deref()
            .and_then(|text| text.get(usize::try_from(start).ok()?..))
            .unwrap_or_default();
        let count = if rest.is_empty() { 0 } else { to.put(rest)? };
        *offset = start + count as u64;
        kept.next = *offset;
        Ok(count)
    }

    fn write(
        &self,
        file: &OpenFile,
        task: &Arc<Task>,
        offset: &mut u64,
        from: &mut dyn IoSrc,
    ) -> Result<usize> {
        let len = from.remaining();
        ensure!(
            len <= self.inode.line.max_write,
            E2BIG,
            "cgroup: the write is too long"
        );
        let mut data = Vec::new();
        if data.try_reserve_exact(len).is_err() {
            bail!(ENOMEM, "no memory for what was written");
        }
        data.resize(len, 0);
        from.take_all(&mut data)?;
        ensure!(self.inode.is_there(), ENODEV, "cgroup: it is gone");
        if len == 0 {
            return Ok(0);
        }
        self.may_write()?;
        self.with(file, task, |cx| self.inode.line.take(cx, &data))?;
        task.kernel().cgroups.ask_for_release(task.kernel());
        *offset += len as u64;
        Ok(len)
    }

    fn takes_outer_locks(&self) -> bool {
        true
    }
    fn seekable(&self) -> bool {
        true
    }
    fn poll(&self, _file: &OpenFile, _task: &Arc<Task>) -> PollEvents {
        let always = PollEvents::READABLE | PollEvents::WRITABLE;
        if self.inode.is_there() && self.kept.lock().seen == self.inode.events.count() {
            always
        } else {
            always | PollEvents::ERR | PollEvents::PRI
        }
    }
    /// Its queue is for `poll` alone: `memory.reclaim` answers `EAGAIN`.
    fn waits(&self) -> bool {
        false
    }
    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.inode.events.queue)
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}
