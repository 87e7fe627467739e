//! Items of interest lists, from the side of the instance and from the side of the file.

use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use smallvec::SmallVec;

use super::ready::ReadyList;
use super::{Epoll, EpollFlags};
use crate::fs::{OpenFile, PollEvents};
use crate::ids::Fd;
use crate::sync::{SpinLock, Waiter, class};

/// One file in an interest list.
pub(super) struct Item {
    ready: Arc<ReadyList>,
    pub epoll: Weak<Epoll>,
    file: Weak<OpenFile>,
    pub fd: i32,
    /// What is wanted, and how; changes under `setting`.
    events: AtomicU32,
    data: AtomicU64,
    setting: SpinLock<(), class::Leaf>,
    /// Whether it is on the ready list; changes under that list's lock.
    pub queued: AtomicBool,
    /// Whether it has ended.
    pub gone: AtomicBool,
}

impl Item {
    pub fn new(
        ready: &Arc<ReadyList>,
        epoll: &Weak<Epoll>,
        file: &Arc<OpenFile>,
        fd: Fd,
        events: u32,
        data: u64,
    ) -> Arc<Item> {
        Arc::new(Item {
            ready: ready.clone(),
            epoll: epoll.clone(),
            file: Arc::downgrade(file),
            fd: fd.0,
            events: AtomicU32::new(events),
            data: AtomicU64::new(data),
            setting: SpinLock::default(),
            queued: AtomicBool::new(false),
            gone: AtomicBool::new(false),
        })
    }
    pub fn file(&self) -> Option<Arc<OpenFile>> {
        self.file.upgrade()
    }
    pub fn file_addr(&self) -> usize {
        self.file.as_ptr() as usize
    }
    pub fn events(&self) -> u32 {
        self.events.load(Ordering::SeqCst)
    }
    pub fn data(&self) -> u64 {
        self.data.load(Ordering::SeqCst)
    }
    pub fn set(&self, events: u32, data: u64) {
        let _setting = self.setting.lock();
        self.data.store(data, Ordering::SeqCst);
        self.events.store(events, Ordering::SeqCst);
    }
    /// Takes what is to be reported of what is true `now`, if anything is wanted. With `EPOLLONESHOT` that is the
    /// one shot, also for another thread that found the item ready: nothing is reported until it is set again.
    pub fn claim(&self, now: PollEvents) -> Option<Claim> {
        let _setting = self.setting.lock();
        let events = self.events();
        let ready = now.bits() & events;
        if ready == 0 || self.gone.load(Ordering::SeqCst) {
            return None;
        }
        if events & EpollFlags::ONESHOT.bits() != 0 {
            self.events
                .store(events & EpollFlags::all().bits(), Ordering::SeqCst);
        }
        let data = self.data();
        Some(Claim { events, ready, data })
    }
    /// The claim could not be reported; unless the item was set meanwhile, it is as before.
    pub fn give_back(&self, claim: &Claim) {
        let _setting = self.setting.lock();
        if self.events() == claim.events & EpollFlags::all().bits() {
            self.events.store(claim.events, Ordering::SeqCst);
        }
    }
    /// Its name in the wait queue of its file.
    pub fn wait_key(self: &Arc<Self>) -> usize {
        Arc::as_ptr(self) as usize
    }
}

/// What one thread reports of an item.
pub(super) struct Claim {
    /// As the item was set.
    pub events: u32,
    /// What is true and wanted.
    pub ready: u32,
    pub data: u64,
}

impl Waiter for Item {
    fn wake(self: Arc<Self>, events: PollEvents) -> bool {
        let wanted = self.events() & !EpollFlags::all().bits();
        if wanted == 0 || self.gone.load(Ordering::SeqCst) {
            return false;
        }
        if !events.is_empty() && events.bits() & wanted == 0 {
            return false;
        }
        self.ready.push(&self, true)
    }
}

/// The items that watch an open file.
#[derive(Default)]
pub struct FileWatches {
    any: AtomicBool,
    items: SpinLock<SmallVec<[Arc<Item>; 1]>, class::Leaf>,
}

impl FileWatches {
    /// Whether some instance may watch the file.
    #[inline]
    pub fn any(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }
    pub(super) fn add(&self, item: &Arc<Item>) {
        self.items.lock().push(item.clone());
        self.any.store(true, Ordering::Relaxed);
    }
    pub(super) fn remove(&self, item: &Arc<Item>) {
        let removed = {
            let mut items = self.items.lock();
            let at = items.iter().position(|other| Arc::ptr_eq(other, item));
            at.map(|at| items.swap_remove(at))
        };
        drop(removed);
    }
    pub(super) fn items(&self) -> SmallVec<[Arc<Item>; 2]> {
        self.items.lock().iter().cloned().collect()
    }
}
