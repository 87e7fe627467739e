//! A segment of shared memory.

use alloc::sync::{Arc, Weak};
use core::any::Any;

use crate::cred::{UCountRlimit, UCounts};
use crate::error::Result;
use crate::fs::tmpfs::set_shmem_number;
use crate::fs::{FileOps, INode, MapSource, OpenFile, Path};
use crate::ids::{KoID, PAGE_SIZE};
use crate::ipc::ids::IpcObject;
use crate::ipc::perm::IpcPerm;
use crate::ipc::seconds;
use crate::kernel::Kernel;
use crate::mm::{Promise, VmOps};
use crate::namespace::IpcNamespace;
use crate::sync::{SpinLock, class};
use crate::task::pid::Pid;
use crate::{ensure, err};

/// It is removed once nobody has it attached (`SHM_DEST`).
pub const SHM_DEST: u32 = 0o1000;
/// Its memory is locked (`SHM_LOCKED`).
pub const SHM_LOCKED: u32 = 0o2000;

/// Who has it attached, and the marks that attaching leaves.
#[derive(Clone, Default)]
#[allow(missing_docs)]
pub struct Attachments {
    /// Areas that map it, and calls that are about to map it.
    pub nattch: u64,
    pub atime: i64,
    pub dtime: i64,
    pub ctime: i64,
    /// Who attached or detached last.
    pub lpid: Option<Arc<Pid>>,
    /// The thread that made it; `None` once that has ended.
    pub creator: Option<KoID>,
}

/// Pages of a user that are locked; given back when dropped.
pub(super) struct LockedPages {
    ucounts: Arc<UCounts>,
    pages: i64,
}

impl LockedPages {
    /// Counts `pages` for a user. `ENOMEM`: more than `limit`, and not `privileged`.
    pub fn new(ucounts: &Arc<UCounts>, pages: u64, limit: u64, privileged: bool) -> Result<LockedPages> {
        let pages = pages as i64;
        let now = ucounts.inc_rlimit(UCountRlimit::Memlock, pages);
        let locked = LockedPages {
            ucounts: ucounts.clone(),
            pages,
        };
        let over = now == i64::MAX || now as u64 > limit;
        ensure!(!over || privileged, ENOMEM, "SHM_LOCK: RLIMIT_MEMLOCK");
        Ok(locked)
    }
}

impl Drop for LockedPages {
    fn drop(&mut self) {
        self.ucounts.dec_rlimit(UCountRlimit::Memlock, self.pages);
    }
}

/// A segment: a file of tmpfs without a name, and who has it attached.
pub struct Segment {
    pub(super) perm: SpinLock<IpcPerm, class::Leaf>,
    /// Bytes.
    pub size: u64,
    /// The file.
    pub path: Path,
    pub(super) inode: Arc<dyn INode>,
    /// Who made it.
    pub cpid: Arc<Pid>,
    pub(super) attachments: SpinLock<Attachments, class::Leaf>,
    pub(super) locked: SpinLock<Option<LockedPages>, class::Leaf>,
    pub(super) _promise: Option<Promise>,
}

impl IpcObject for Segment {
    fn perm(&self) -> &SpinLock<IpcPerm, class::Leaf> {
        &self.perm
    }
    fn entered(&self, id: i32) {
        set_shmem_number(&*self.inode, id as u64);
    }
    fn weight(&self) -> u64 {
        self.pages()
    }
}

impl Segment {
    /// Pages of its size.
    pub fn pages(&self) -> u64 {
        self.size.div_ceil(PAGE_SIZE as u64)
    }
    /// Pages that are there.
    pub fn resident(&self) -> u64 {
        self.inode.page_cache().map_or(0, |cache| cache.nr_pages())
    }
    /// Who may do what.
    pub fn ipc_perm(&self) -> IpcPerm {
        *self.perm.lock()
    }
    /// Who has it attached.
    pub fn attachments(&self) -> Attachments {
        self.attachments.lock().clone()
    }
    pub(super) fn is_unused(&self) -> bool {
        self.attachments.lock().nattch == 0
    }
    /// Whether its maker has ended.
    pub(super) fn is_orphaned(&self) -> bool {
        self.attachments.lock().creator.is_none()
    }
}

/// What an attached segment is to an address space: keeps segment and namespace, and counts.
pub struct Attachment {
    pub(super) kernel: Weak<Kernel>,
    pub(super) ns: Arc<IpcNamespace>,
    pub(super) segment: Arc<Segment>,
}

impl Attachment {
    fn mark(&self, f: impl FnOnce(&mut Attachments, i64)) {
        let Some(kernel) = self.kernel.upgrade() else {
            return;
        };
        let pid = kernel.sched.try_current().map(|task| task.group().tgid.clone());
        let old = {
            let mut attachments = self.segment.attachments.lock();
            f(&mut attachments, seconds(&kernel));
            core::mem::replace(&mut attachments.lpid, pid)
        };
        drop(old);
    }
}

impl VmOps for Attachment {
    fn open(&self) {
        self.mark(|attachments, now| {
            attachments.nattch += 1;
            attachments.atime = now;
        });
    }
    fn close(&self) {
        let mut last = false;
        self.mark(|attachments, now| {
            attachments.nattch -= 1;
            attachments.dtime = now;
            last = attachments.nattch == 0;
        });
        if last {
            self.ns.content().release_segment(&self.segment);
        }
    }
}

/// A call that is about to attach the segment: it is not removed meanwhile.
pub(super) struct Attaching<'a> {
    pub ns: &'a IpcNamespace,
    pub segment: &'a Arc<Segment>,
}

impl Drop for Attaching<'_> {
    fn drop(&mut self) {
        let last = {
            let mut attachments = self.segment.attachments.lock();
            attachments.nattch -= 1;
            attachments.nattch == 0
        };
        if last {
            self.ns.content().release_segment(self.segment);
        }
    }
}

/// The open file of an attachment.
pub(super) struct ShmFile(pub Arc<Attachment>);

impl FileOps for ShmFile {
    fn mmap(&self, _file: &OpenFile) -> Result<MapSource> {
        let cache = self.0.segment.inode.page_cache();
        let cache = cache.ok_or(err!(ENODEV, "a segment is a file with pages"))?;
        Ok(MapSource::Counted(cache, self.0.clone()))
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}
