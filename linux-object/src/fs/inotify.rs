//! inotify instances (`inotify(7)`).
//!
//! Model: an [`Inotify`] has watches by number and a bounded queue of events. An event equal to the
//! last one in the queue is not queued again. When the queue is full, one `IN_Q_OVERFLOW` tells.
//!
//! Locks: watches and the queue under `class::Ready` (never both), since events come from
//! under many locks.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::any::Any;
use core::fmt::Write;
use core::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use hashbrown::HashMap;

use super::io::IoDst;
use super::notify::{Mark, NotifyMask};
use super::{FileOps, INode, OpenFile, PollEvents};
use crate::cred::{Cred, UCount, UCountGuard, UCounts};
use crate::error::Result;
use crate::ids::UserAddr;
use crate::kernel::Kernel;
use crate::mm::memcg::{Item, KmemCharge};
use crate::sync::{SpinLock, WaitQueue, class};
use crate::task::Task;
use crate::{bail, err};

const FIONREAD: u32 = 0x541b;
/// `struct inotify_event` without its name.
const HEADER: usize = 16;

/// How many watches there are on a machine: where it is 0, nobody has to be told anything.
#[derive(Default)]
pub struct WatchTotal(AtomicUsize);

impl WatchTotal {
    /// Whether there is a watch anywhere.
    #[inline]
    pub fn any(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }
    /// One more, for as long as the answer lives.
    pub(super) fn count(self: &Arc<WatchTotal>) -> Counted {
        self.0.fetch_add(1, Ordering::SeqCst);
        Counted(self.clone())
    }
}

/// One of [`WatchTotal`].
pub(super) struct Counted(Arc<WatchTotal>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// One watch: a mark on an inode.
pub struct Watch {
    group: Weak<Inotify>,
    wd: i32,
    mask: AtomicU32,
    inode: Arc<dyn INode>,
    _count: UCountGuard,
    _total: Counted,
    _memory: KmemCharge,
}

impl Mark for Watch {
    fn mask(&self) -> NotifyMask {
        NotifyMask::from_bits_retain(self.mask.load(Ordering::Relaxed))
    }
    fn tell(&self, mask: NotifyMask, name: Option<&[u8]>, cookie: u32) {
        let known = NotifyMask::ALL_EVENTS | NotifyMask::UNMOUNT | NotifyMask::ISDIR;
        if let Some(group) = self.group.upgrade() {
            group.queue(self.wd, mask & known, cookie, name.unwrap_or_default());
        }
    }
    /// `IN_IGNORED`.
    fn end(&self) {
        if let Some(group) = self.group.upgrade() {
            group.remove(self.wd);
        }
    }
}

#[derive(PartialEq, Eq)]
struct Event {
    wd: i32,
    mask: u32,
    cookie: u32,
    name: Vec<u8>,
}

impl Event {
    /// Bytes of the name with its padding.
    fn name_len(&self) -> usize {
        if self.name.is_empty() {
            0
        } else {
            (self.name.len() + 1).next_multiple_of(HEADER)
        }
    }
    fn len(&self) -> usize {
        HEADER + self.name_len()
    }
}

#[derive(Default)]
struct Queue {
    events: VecDeque<(Event, KmemCharge)>,
    overflowed: bool,
}

/// What a watch costs its maker: itself, and its places with the instance and with the inode.
const WATCH_BYTES: usize = size_of::<Watch>() + size_of::<(i32, Arc<Watch>)>() + size_of::<Arc<dyn Mark>>();

struct Watches {
    by_wd: HashMap<i32, Arc<Watch>>,
    last_wd: i32,
}

/// An inotify instance.
pub struct Inotify {
    /// One more instance of its maker, in whose name watches are counted too.
    count: UCountGuard,
    /// Its maker's cgroup pays for what it hears as well.
    memory: KmemCharge,
    max_events: usize,
    watches: SpinLock<Watches, class::Ready>,
    queue: SpinLock<Queue, class::Ready>,
    readers: WaitQueue,
    this: Weak<Inotify>,
}

impl Inotify {
    /// An instance. `EMFILE` over `max_inotify_instances`; `ENOMEM`.
    pub fn new(kernel: &Kernel, cred: &Cred) -> Result<Arc<Inotify>> {
        let count = UCounts::of(&cred.user_ns, cred.euid)
            .inc(UCount::InotifyInstances)
            .ok_or(err!(EMFILE, "over max_inotify_instances"))?;
        let bytes = size_of::<Inotify>();
        let memory = kernel.memory.control.charge_kmem(bytes, Item::Slab)?;
        Ok(Arc::new_cyclic(|this| Inotify {
            memory,
            max_events: kernel.sysctl.inotify_max_queued_events.get_u64() as usize,
            count,
            watches: SpinLock::new(Watches {
                by_wd: HashMap::new(),
                last_wd: 0,
            }),
            queue: SpinLock::default(),
            readers: WaitQueue::new(),
            this: this.clone(),
        }))
    }

    /// Watches an inode, or changes the watch it has (`inotify_add_watch(2)`). Returns its number.
    pub fn add_watch(&self, kernel: &Kernel, inode: &Arc<dyn INode>, mask: NotifyMask) -> Result<i32> {
        let kept = mask & (NotifyMask::ALL_EVENTS | NotifyMask::ONESHOT | NotifyMask::EXCL_UNLINK);
        let marks = &inode.common().marks;
        // With no lock held that a full cgroup could not be told of under.
        let memory = kernel.memory.control.charge_kmem(WATCH_BYTES, Item::Slab)?;
        let mut watches = self.watches.lock();
        let all = marks.all();
        let own = |mark| (mark as &dyn Any).downcast_ref::<Watch>();
        let mut olds = all.iter().filter_map(|mark| own(&**mark));
        if let Some(old) = olds.find(|watch| Weak::ptr_eq(&watch.group, &self.this)) {
            if mask.contains(NotifyMask::MASK_CREATE) {
                bail!(EEXIST, "IN_MASK_CREATE: there is a watch");
            }
            if mask.contains(NotifyMask::MASK_ADD) {
                old.mask.fetch_or(kept.bits(), Ordering::Relaxed);
            } else {
                old.mask.store(kept.bits(), Ordering::Relaxed);
            }
            marks.changed();
            return Ok(old.wd);
        }
        if watches.by_wd.try_reserve(1).is_err() {
            bail!(ENOMEM, "no memory for a watch");
        }
        let count = self
            .count
            .counts()
            .inc(UCount::InotifyWatches)
            .ok_or(err!(ENOSPC, "over max_inotify_watches"))?;
        // Numbers rise and are used again only after a wrap, as in Linux (a cyclic idr).
        let mut wd = watches.last_wd;
        loop {
            wd = if wd == i32::MAX { 1 } else { wd + 1 };
            if !watches.by_wd.contains_key(&wd) {
                break;
            }
        }
        watches.last_wd = wd;
        let watch = Arc::new(Watch {
            group: self.this.clone(),
            wd,
            mask: AtomicU32::new(kept.bits()),
            inode: inode.clone(),
            _count: count,
            _total: kernel.watches.count(),
            _memory: memory,
        });
        marks.add(watch.clone(), |_| false)?;
        watches.by_wd.insert(wd, watch);
        Ok(wd)
    }

    /// Ends a watch. `EINVAL`: there is none with this number.
    pub fn rm_watch(&self, wd: i32) -> Result<()> {
        if self.remove(wd) {
            Ok(())
        } else {
            bail!(EINVAL, "no such watch");
        }
    }

    fn remove(&self, wd: i32) -> bool {
        let Some(watch) = self.watches.lock().by_wd.remove(&wd) else {
            return false;
        };
        self.detach(&watch);
        self.queue(wd, NotifyMask::IGNORED, 0, &[]);
        true
    }

    fn detach(&self, watch: &Arc<Watch>) {
        let is = |mark: &dyn Mark| core::ptr::addr_eq(mark, Arc::as_ptr(watch));
        watch.inode.common().marks.remove(is);
    }

    fn queue(&self, wd: i32, mask: NotifyMask, cookie: u32, name: &[u8]) {
        let mut event = Event {
            wd,
            mask: mask.bits(),
            cookie,
            name: Vec::new(),
        };
        if event.name.try_reserve_exact(name.len()).is_ok() {
            event.name.extend_from_slice(name);
        }
        let memory = self
            .memory
            .more(size_of::<(Event, KmemCharge)>() + event.name.len());
        let full = memory.is_err();
        let memory = memory.unwrap_or_default();
        let mut queue = self.queue.lock();
        if matches!(queue.events.back(), Some((last, _)) if *last == event) {
            return;
        }
        let room = queue.events.try_reserve(1).is_ok();
        if queue.events.len() >= self.max_events || full || !room {
            if queue.overflowed || !room {
                return;
            }
            queue.overflowed = true;
            event = Event {
                wd: -1,
                mask: NotifyMask::Q_OVERFLOW.bits(),
                cookie: 0,
                name: Vec::new(),
            };
        }
        queue.events.push_back((event, memory));
        drop(queue);
        self.readers.wake_all(PollEvents::READABLE);
    }

    /// Takes the first event if it fits into `room` bytes. `EINVAL`: it does not.
    fn dequeue(&self, room: usize) -> Result<Option<Event>> {
        let mut queue = self.queue.lock();
        let Some((first, _)) = queue.events.front() else {
            return Ok(None);
        };
        if first.len() > room {
            bail!(EINVAL, "the buffer is too small for the next event");
        }
        let (event, memory) = queue.events.pop_front().unzip();
        if matches!(&event, Some(event) if event.mask == NotifyMask::Q_OVERFLOW.bits()) {
            queue.overflowed = false;
        }
        drop(queue);
        drop(memory);
        Ok(event)
    }
}

impl Drop for Inotify {
    fn drop(&mut self) {
        let watches = core::mem::take(&mut self.watches.get_mut().by_wd);
        for watch in watches.into_values() {
            self.detach(&watch);
        }
    }
}

impl FileOps for Inotify {
    fn read(&self, _: &OpenFile, _: &Arc<Task>, _: &mut u64, to: &mut dyn IoDst) -> Result<usize> {
        let mut done = 0;
        loop {
            let event = match self.dequeue(to.remaining()) {
                Ok(Some(event)) => event,
                Ok(None) if done == 0 => bail!(EAGAIN, "no event is queued"),
                Err(error) if done == 0 => return Err(error),
                _ => return Ok(done),
            };
            let name_len = event.name_len();
            let mut header = [0; HEADER];
            header[0..4].copy_from_slice(&event.wd.to_ne_bytes());
            header[4..8].copy_from_slice(&event.mask.to_ne_bytes());
            header[8..12].copy_from_slice(&event.cookie.to_ne_bytes());
            header[12..16].copy_from_slice(&(name_len as u32).to_ne_bytes());
            to.put_all(&header)?;
            to.put_all(&event.name)?;
            to.put_all(&[0; HEADER][..name_len - event.name.len()])?;
            done += HEADER + name_len;
        }
    }
    fn poll(&self, _: &OpenFile, _: &Arc<Task>) -> PollEvents {
        if self.queue.lock().events.is_empty() {
            PollEvents::empty()
        } else {
            PollEvents::READABLE
        }
    }
    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.readers)
    }
    fn ioctl(&self, _: &OpenFile, task: &Arc<Task>, cmd: u32, arg: UserAddr) -> Result<usize> {
        if cmd != FIONREAD {
            bail!(ENOTTY);
        }
        let bytes: usize = self
            .queue
            .lock()
            .events
            .iter()
            .map(|(event, _)| event.len())
            .sum();
        let bytes = i32::try_from(bytes).unwrap_or(i32::MAX);
        task.kernel().hal.copy_to_user(arg, &bytes.to_ne_bytes())?;
        Ok(0)
    }
    fn fdinfo(&self, _: &OpenFile, _: &Arc<Task>, out: &mut String) {
        for watch in self.watches.lock().by_wd.values() {
            let inode = watch.inode.metadata().inode;
            let _ = writeln!(
                out,
                "inotify wd:{:x} ino:{:x} sdev:0 mask:{:x} ignored_mask:0",
                watch.wd,
                inode,
                watch.mask() & NotifyMask::ALL_EVENTS,
            );
        }
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}
