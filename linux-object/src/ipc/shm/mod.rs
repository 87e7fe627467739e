//! System V shared memory (`shmget(2)`, `shmop(2)`, `shmctl(2)`).
//!
//! A [`Segment`] is a file of tmpfs without a name; attaching it is mapping that file. Address spaces tell the segment
//! of each area that comes and goes ([`VmOps`](crate::mm::VmOps)), so `nattch` counts areas, as on Linux: those that
//! `fork` copies, those that a partial `munmap` leaves. An attached segment keeps its namespace.
//!
//! A segment goes when it is unused and marked: by `IPC_RMID`, or by `shm_rmid_forced` once its maker has ended.
//!
//! Locks: the table is `class::Ipc`; a segment's own state is a leaf, since areas come and go under
//! `class::Mm`. A segment leaves the table only while both are held and nobody has it attached.

mod segment;

pub use segment::{Attachments, SHM_DEST, SHM_LOCKED, Segment};

use alloc::format;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use segment::{Attaching, Attachment, LockedPages, ShmFile};

use super::ids::Limit;
use super::perm::IpcPerm;
use super::{IpcContent, seconds};
use crate::cred::{Capability, Cred};
use crate::error::{Errno, Result};
use crate::fs::tmpfs::shmem_file;
use crate::fs::{OpenFile, OpenFlags};
use crate::ids::{KoID, PAGE_SHIFT, PAGE_SIZE};
use crate::mm::{MapFlags, MapRequest, Promise, Prot};
use crate::namespace::IpcNamespace;
use crate::sync::SpinLock;
use crate::task::{Resource, Task};
use crate::{bail, ensure, err};

bitflags::bitflags! {
    /// Flags of `shmget(2)` and `shmat(2)`.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    #[allow(missing_docs)]
    pub struct ShmFlags: u32 {
        const HUGETLB = 0o4000;
        const NORESERVE = 0o10000;
        const RDONLY = 0o10000;
        const RND = 0o20000;
        const REMAP = 0o40000;
        const EXEC = 0o100000;
    }
}

/// What a huge page size is in flags: its logarithm above this.
const HUGE_SHIFT: u32 = 26;
const HUGE_MASK: u32 = 63;

/// Whether segments of huge pages can be had: there are none, which Linux reports in this order.
fn check_huge(cred: &Cred, flags: u32) -> Result<()> {
    // The default, 2 MiB and 1 GiB.
    let known = matches!(flags >> HUGE_SHIFT & HUGE_MASK, 0 | 21 | 30);
    ensure!(known, EINVAL, "SHM_HUGETLB: no pages of this size");
    ensure!(
        cred.capable(Capability::IPC_LOCK) || cred.in_group(crate::ids::Kgid::ROOT),
        EPERM,
        "SHM_HUGETLB: no CAP_IPC_LOCK"
    );
    bail!(ENOMEM, "SHM_HUGETLB: there are no huge pages")
}

impl IpcContent {
    /// `shmget(2)`.
    pub fn shmget(
        &self,
        ns: &IpcNamespace,
        task: &Arc<Task>,
        key: i32,
        size: u64,
        flags: u32,
    ) -> Result<i32> {
        let cred = task.cred();
        let limit = || Limit {
            count: self.limits.shmmni.get() as u32,
            weight: self.limits.shmall.get_u64(),
        };
        let check = |found: &Segment| {
            ensure!(size <= found.size, EINVAL, "shmget: the segment is smaller");
            found.ipc_perm().check(ns.user_ns(), &cred, flags)
        };
        self.shm.get(key, flags, limit, check, || {
            self.new_segment(task, &cred, key, size, flags)
        })
    }

    fn new_segment(
        &self,
        task: &Arc<Task>,
        cred: &Cred,
        key: i32,
        size: u64,
        flags: u32,
    ) -> Result<Arc<Segment>> {
        ensure!(
            size >= 1 && size <= self.limits.shmmax.get_u64(),
            EINVAL,
            "shmget: size 0, or above SHMMAX"
        );
        let pages = size.div_ceil(PAGE_SIZE as u64);
        let total = self.shm.usage().1.checked_add(pages);
        ensure!(
            total.is_some_and(|total| total <= self.limits.shmall.get_u64()),
            ENOSPC,
            "shmget: SHMALL"
        );
        let shm_flags = ShmFlags::from_bits_retain(flags);
        if shm_flags.contains(ShmFlags::HUGETLB) {
            check_huge(cred, flags)?;
        }
        let memory = &task.kernel().memory;
        let promise = if shm_flags.contains(ShmFlags::NORESERVE) && memory.sysctl.overcommit_memory.get() != 2
        {
            None
        } else {
            let promise = Promise::new(memory, pages, cred.capable(Capability::SYS_ADMIN));
            Some(promise.ok_or(err!(ENOMEM, "shmget: more than may be promised"))?)
        };
        // Its maker must not end unnoticed.
        task.shm_created.store(true, Ordering::Relaxed);
        let name = format!("/SYSV{key:08x} (deleted)");
        let (path, inode) = shmem_file(task, name.as_bytes(), size, 0o777)?;
        Ok(Arc::new(Segment {
            perm: SpinLock::new(IpcPerm::new(key, flags, cred)),
            size,
            path,
            inode,
            cpid: task.group().tgid.clone(),
            attachments: SpinLock::new(Attachments {
                ctime: seconds(task.kernel()),
                creator: Some(task.koid()),
                ..Attachments::default()
            }),
            locked: SpinLock::new(None),
            _promise: promise,
        }))
    }

    /// `shmat(2)`: returns the address.
    pub fn shmat(
        &self,
        ns: &Arc<IpcNamespace>,
        task: &Arc<Task>,
        id: i32,
        addr: u64,
        flags: u32,
    ) -> Result<u64> {
        let flags = ShmFlags::from_bits_retain(flags);
        let mut at = addr;
        let mut map = MapFlags::SHARED;
        if addr != 0 {
            if !addr.is_multiple_of(PAGE_SIZE as u64) {
                ensure!(
                    flags.contains(ShmFlags::RND),
                    EINVAL,
                    "shmat: address not aligned"
                );
                at -= addr % PAGE_SIZE as u64;
                ensure!(
                    at != 0 || !flags.contains(ShmFlags::REMAP),
                    EINVAL,
                    "shmat: SHM_REMAP of page 0"
                );
            }
            map |= if flags.contains(ShmFlags::REMAP) {
                MapFlags::FIXED
            } else {
                MapFlags::FIXED_NOREPLACE
            };
        } else {
            ensure!(
                !flags.contains(ShmFlags::REMAP),
                EINVAL,
                "shmat: SHM_REMAP without an address"
            );
        }
        let (mut prot, mut access, open) = if flags.contains(ShmFlags::RDONLY) {
            (Prot::READ, 0o444, OpenFlags::empty())
        } else {
            (Prot::READ | Prot::WRITE, 0o666, OpenFlags::RDWR)
        };
        if flags.contains(ShmFlags::EXEC) {
            prot |= Prot::EXEC;
            access |= 0o111;
        }
        let segment = self.shm.find(id)?;
        segment.ipc_perm().check(ns.user_ns(), &task.cred(), access)?;
        let counted = self
            .shm
            .with_object(&segment, || segment.attachments.lock().nattch += 1);
        counted.ok_or(err!(EIDRM, "shmat: the segment was removed"))?;
        let attaching = Attaching {
            ns,
            segment: &segment,
        };
        let ops = Arc::new(ShmFile(Arc::new(Attachment {
            kernel: Arc::downgrade(task.kernel()),
            ns: ns.clone(),
            segment: segment.clone(),
        })));
        let inode = segment.inode.clone();
        let file = OpenFile::new(segment.path.clone(), inode, Some(ops), open, task.cred())?;
        let request = MapRequest {
            addr: at,
            len: segment.size,
            prot,
            flags: map,
            file: Some(Arc::new(file)),
            offset: 0,
        };
        let mapped = task.mm().mmap(&**task, &request);
        drop(request);
        drop(attaching);
        match mapped {
            Err(error) if error.errno() == Errno::EEXIST => {
                bail!(EINVAL, "shmat: something is mapped there")
            }
            mapped => mapped,
        }
    }

    /// Nobody has the segment attached any more: it goes if it is marked.
    pub(super) fn release_segment(&self, segment: &Arc<Segment>) {
        if segment.ipc_perm().mode & SHM_DEST != 0 || self.limits.shm_rmid_forced.get() != 0 {
            self.remove_unused(segment);
        }
    }

    fn remove_unused(&self, segment: &Arc<Segment>) {
        self.shm.remove_if(segment, Segment::is_unused);
    }

    /// `IPC_RMID`: no key finds it any more, and it goes once nobody has it attached.
    pub fn remove_shm(&self, segment: &Arc<Segment>) -> Result<()> {
        let marked = self.shm.with_object(segment, || {
            segment.perm.lock().mode |= SHM_DEST;
        });
        marked.ok_or(err!(EIDRM, "the segment was removed"))?;
        self.shm.forget_key(segment);
        self.remove_unused(segment);
        Ok(())
    }

    /// `SHM_LOCK` (`lock`) and `SHM_UNLOCK`. Memory is never swapped here, so locking it is a matter of
    /// accounting.
    pub fn lock_shm(&self, ns: &IpcNamespace, task: &Task, segment: &Segment, lock: bool) -> Result<()> {
        let cred = task.cred();
        let limit = task.group().rlimit(Resource::MEMLOCK).cur;
        if !cred.ns_capable(ns.user_ns(), Capability::IPC_LOCK) {
            ensure!(
                segment.ipc_perm().is_owned_by(&cred),
                EPERM,
                "SHM_LOCK: neither owner nor maker"
            );
            ensure!(!lock || limit != 0, EPERM, "SHM_LOCK: RLIMIT_MEMLOCK is 0");
        }
        let old = if lock {
            if segment.locked.lock().is_some() {
                return Ok(());
            }
            let privileged = cred.capable(Capability::IPC_LOCK);
            let pages = LockedPages::new(&cred.ucounts, segment.pages(), limit >> PAGE_SHIFT, privileged)?;
            segment.perm.lock().mode |= SHM_LOCKED;
            segment.locked.lock().replace(pages)
        } else {
            segment.perm.lock().mode &= !SHM_LOCKED;
            segment.locked.lock().take()
        };
        drop(old);
        Ok(())
    }

    /// `IPC_SET` has changed the permissions.
    pub fn touch_shm(&self, task: &Task, segment: &Segment) {
        segment.attachments.lock().ctime = seconds(task.kernel());
    }

    /// A thread ends or leaves: what it made has no maker any more (Linux's `exit_shm`).
    fn exit_shm(&self, creator: KoID) {
        for segment in self.shm.all() {
            let own = {
                let mut attachments = segment.attachments.lock();
                let own = attachments.creator == Some(creator);
                if own {
                    attachments.creator = None;
                }
                own
            };
            if own && self.limits.shm_rmid_forced.get() != 0 {
                self.remove_unused(&segment);
            }
        }
    }

    /// `shm_rmid_forced` was set: what nobody uses and nobody will remove goes.
    pub fn remove_orphans(&self) {
        for segment in self.shm.all() {
            if segment.is_orphaned() {
                self.remove_unused(&segment);
            }
        }
    }

    /// Pages of all segments that are there (`SHM_INFO`).
    pub fn shm_resident(&self) -> u64 {
        self.shm.all().iter().map(|segment| segment.resident()).sum()
    }
}

impl Task {
    /// The task leaves its IPC namespace or ends: its segments have no maker any more.
    pub fn exit_shm(&self) {
        if self.shm_created.swap(false, Ordering::Relaxed)
            && let Some(nsproxy) = self.try_nsproxy()
        {
            nsproxy.ipc_ns.content().exit_shm(self.koid());
        }
    }
}
