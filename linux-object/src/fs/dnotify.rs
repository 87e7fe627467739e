//! Signals about a directory (`F_NOTIFY` of `fcntl(2)`, `Documentation/filesystems/dnotify.rst`).
//!
//! Model: a [`Request`] is a mark on the inode of an open directory. It belongs to an open file and to the
//! table of descriptors through which it was made, and goes when that table closes a descriptor of that file;
//! so the file outlives it. Each event is a signal to the owner of the file (`F_SETOWN`), by way of
//! [`fasync`].
//!
//! Locks: those of [`notify`](super::notify).

use alloc::sync::{Arc, Weak};
use core::any::Any;
use core::sync::atomic::{AtomicI32, AtomicU32, Ordering};

use super::inotify::Counted;
use super::notify::{Mark, NotifyMask};
use super::{FileTable, OpenFile, fasync};
use crate::ensure;
use crate::error::Result;
use crate::ids::Fd;
use crate::kernel::Kernel;
use crate::mm::memcg::{Item, KmemCharge};
use crate::task::Task;

const F_OWNER_PID: i32 = 1;

/// `DN_MULTISHOT`.
const MULTISHOT: u64 = 0x8000_0000;

/// Which events of the VFS a bit of `F_NOTIFY` stands for.
const EVENTS: [(u64, NotifyMask); 6] = [
    (0x01, NotifyMask::ACCESS),
    (0x02, NotifyMask::MODIFY),
    (0x04, NotifyMask::CREATE.union(NotifyMask::MOVED_TO)),
    (0x08, NotifyMask::DELETE.union(NotifyMask::MOVED_FROM)),
    (0x10, NotifyMask::RENAME),
    (0x20, NotifyMask::ATTRIB),
];

/// What one table of descriptors wants to know about one open directory.
struct Request {
    /// The address of the table.
    table: usize,
    file: Weak<OpenFile>,
    kernel: Weak<Kernel>,
    /// The descriptor that signals name.
    fd: AtomicI32,
    /// A [`NotifyMask`].
    mask: AtomicU32,
    _total: Counted,
    _memory: KmemCharge,
}

impl Request {
    fn is_of(&self, file: &OpenFile, table: usize) -> bool {
        self.table == table && core::ptr::eq(self.file.as_ptr(), file)
    }
    /// Takes up another request for the same file.
    fn merge(&self, other: &Request) {
        self.fd.store(other.fd.load(Ordering::Relaxed), Ordering::Relaxed);
        let (old, new) = (self.mask(), other.mask());
        let once = old & new & NotifyMask::ONESHOT;
        let mask = (old | new).difference(NotifyMask::ONESHOT) | once;
        self.mask.store(mask.bits(), Ordering::Relaxed);
    }
}

impl Mark for Request {
    fn mask(&self) -> NotifyMask {
        NotifyMask::from_bits_retain(self.mask.load(Ordering::Relaxed))
    }
    fn tell(&self, mask: NotifyMask, _: Option<&[u8]>, _: u32) {
        if self.mask().intersects(mask)
            && let Some(kernel) = self.kernel.upgrade()
        {
            fasync::directory_changed(&kernel, self.file.clone(), self.fd.load(Ordering::Relaxed));
        }
    }
    fn end(&self) {
        if let Some(file) = self.file.upgrade() {
            remove(&file, self.table);
        }
    }
}

fn request_of(mark: &dyn Mark) -> Option<&Request> {
    (mark as &dyn Any).downcast_ref()
}

fn remove(file: &OpenFile, table: usize) {
    let is = |mark: &dyn Mark| request_of(mark).is_some_and(|request| request.is_of(file, table));
    file.inode.common().marks.remove(is);
}

/// `F_NOTIFY`: `arg` is what to tell from now on besides what was asked for before; without any event, all
/// of that is forgotten. `EINVAL`: forbidden by `dir-notify-enable`; `ENOTDIR`; `ENOMEM`.
pub fn request(task: &Arc<Task>, table: &FileTable, file: &Arc<OpenFile>, fd: Fd, arg: u64) -> Result<()> {
    let kernel = task.kernel();
    ensure!(
        kernel.sysctl.dir_notify_enable.get() != 0,
        EINVAL,
        "F_NOTIFY: dir-notify-enable is 0"
    );
    let owner = table.lock_owner();
    if arg & !MULTISHOT == 0 {
        remove(file, owner);
        return Ok(());
    }
    ensure!(file.is_dir(), ENOTDIR, "F_NOTIFY: not a directory");
    let asked = EVENTS.iter().filter(|(bit, _)| arg & bit != 0);
    let mut mask = asked.fold(NotifyMask::empty(), |mask, (_, events)| mask | *events);
    mask.set(NotifyMask::ONESHOT, arg & MULTISHOT == 0);
    let new = Arc::new(Request {
        table: owner,
        file: Arc::downgrade(file),
        kernel: Arc::downgrade(kernel),
        fd: AtomicI32::new(fd.0),
        mask: AtomicU32::new(mask.bits()),
        _total: kernel.watches.count(),
        _memory: kernel
            .memory
            .control
            .charge_kmem(size_of::<Request>(), Item::Slab)?,
    });
    let merge = |mark: &dyn Mark| match request_of(mark) {
        Some(old) if old.is_of(file, owner) => {
            old.merge(&new);
            true
        }
        _ => false,
    };
    file.inode.common().marks.add(new.clone(), merge)?;
    // Another thread may have closed the descriptor meanwhile, and would not do so again.
    if !table.get(fd).is_ok_and(|now| Arc::ptr_eq(&now, file)) {
        remove(file, owner);
        return Ok(());
    }
    let cred = task.cred();
    let mut owner = file.owner.lock();
    if owner.pid.is_none() {
        owner.pid = Some(task.group().tgid.clone());
        owner.kind = F_OWNER_PID;
        owner.uids = Some((cred.uid, cred.euid));
    }
    Ok(())
}

/// A descriptor of the file in the table is closed.
#[inline]
pub(super) fn forget(file: &OpenFile, table: &FileTable) {
    if file.inode.common().marks.any() {
        remove(file, table.lock_owner());
    }
}
