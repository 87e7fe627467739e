//! epoll instances (`epoll(7)`).
//!
//! Model: an [`Epoll`] has an interest list of [`Item`]s, one per open file description and
//! descriptor number, and a [`ReadyList`]. An item is a waiter in the wait queue of its file; being
//! woken puts it on the ready list. Collecting events takes items off the list and asks their
//! files what is true now; level-triggered ones that are still true go back to the end.
//!
//! Invariants: an item is on the ready list at most once. An item ends when it is deleted, when
//! its file is closed for the last time, or with its instance; whoever sets `gone` undoes the rest.
//! Instances may watch each other five deep and never in a circle.
//!
//! Locks: the interest list is `class::Epoll`, the ready list `class::Ready`. Files are asked with
//! neither held. Items own their ready list, not their instance and not their file, so that a
//! wake-up never drops more than memory.

mod item;
mod nesting;
mod ready;

pub use item::FileWatches;

use alloc::string::String;
use alloc::sync::{Arc, Weak};
use core::any::Any;
use core::fmt::Write;
use core::sync::atomic::Ordering;

use hashbrown::HashMap;
use smallvec::SmallVec;
use spin::Once;

use self::item::Item;
use self::nesting::check_nesting;
use self::ready::ReadyList;
use super::{FileOps, OpenFile, PollEvents};
use crate::bail;
use crate::error::Result;
use crate::ids::{Fd, Kuid};
use crate::mm::memcg::{Item::Slab, KmemCharge};
use crate::sync::{SpinLock, WaitEntry, WaitQueue, class};
use crate::sysctl::Sysctls;
use crate::task::Task;

bitflags::bitflags! {
    /// How an item behaves, in the high bits of its events.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    #[allow(missing_docs)]
    pub struct EpollFlags: u32 {
        const EXCLUSIVE = 1 << 28;
        const WAKEUP = 1 << 29;
        const ONESHOT = 1 << 30;
        const ET = 1 << 31;
    }
}

/// What may stand beside `EPOLLEXCLUSIVE`.
const EXCLUSIVE_OK: u32 = EpollFlags::EXCLUSIVE.bits()
    | EpollFlags::WAKEUP.bits()
    | EpollFlags::ET.bits()
    | PollEvents::IN.bits()
    | PollEvents::OUT.bits()
    | PollEvents::ALWAYS.bits();

/// The watches that each user has, and the order of changes to nested instances.
#[derive(Default)]
pub struct EpollUsers {
    watches: SpinLock<HashMap<Kuid, usize>, class::Counter>,
    nesting: SpinLock<(), class::Epoll>,
}

impl EpollUsers {
    fn charge(&self, sysctl: &Sysctls, user: Kuid) -> Result<()> {
        let mut watches = self.watches.lock();
        let count = watches.entry(user).or_default();
        if *count as u64 >= sysctl.epoll_max_user_watches.get_u64() {
            bail!(ENOSPC, "over max_user_watches");
        }
        *count += 1;
        Ok(())
    }
    fn uncharge(&self, user: Kuid) {
        let mut watches = self.watches.lock();
        if let Some(count) = watches.get_mut(&user) {
            *count -= 1;
            if *count == 0 {
                watches.remove(&user);
            }
        }
    }
}

/// The identity of a file in an interest list. Items hold a weak reference, so that the address is
/// not used again while they live.
type Key = (usize, i32);

fn key(file: &Arc<OpenFile>, fd: Fd) -> Key {
    (Arc::as_ptr(file) as usize, fd.0)
}

/// What an item costs its maker: itself, and its places with the instance, with its file and in the wait queue there.
const ITEM_BYTES: usize = size_of::<Item>()
    + size_of::<(Key, (Arc<Item>, KmemCharge))>()
    + size_of::<Arc<Item>>()
    + size_of::<WaitEntry>();

/// An epoll instance.
pub struct Epoll {
    users: Arc<EpollUsers>,
    user: Kuid,
    items: SpinLock<HashMap<Key, (Arc<Item>, KmemCharge)>, class::Epoll>,
    ready: Arc<ReadyList>,
    this: Weak<Epoll>,
    /// Its own open file, once it watches something.
    own: Once<Weak<OpenFile>>,
}

impl Epoll {
    /// An instance without items.
    pub fn new(users: Arc<EpollUsers>, user: Kuid) -> Arc<Epoll> {
        Arc::new_cyclic(|this| Epoll {
            users,
            user,
            items: SpinLock::new(HashMap::new()),
            ready: Arc::new(ReadyList::default()),
            this: this.clone(),
            own: Once::new(),
        })
    }

    /// The instance behind an open file, if it is one.
    pub fn of(file: &OpenFile) -> Option<&Epoll> {
        file.ops.as_deref()?.as_any().downcast_ref()
    }

    fn own_file(&self) -> Option<Arc<OpenFile>> {
        self.own.get()?.upgrade()
    }

    /// Where `epoll_wait(2)` waits, exclusively.
    pub fn waiters(&self) -> &WaitQueue {
        &self.ready.waiters
    }

    /// Adds an item (`EPOLL_CTL_ADD`). `own` is the file of this instance.
    pub fn add(
        &self,
        task: &Arc<Task>,
        own: &Arc<OpenFile>,
        file: &Arc<OpenFile>,
        fd: Fd,
        events: u32,
        data: u64,
    ) -> Result<()> {
        self.own.call_once(|| Arc::downgrade(own));
        let nested = Epoll::of(file);
        let exclusive = events & EpollFlags::EXCLUSIVE.bits() != 0;
        if exclusive && (nested.is_some() || events & !EXCLUSIVE_OK != 0) {
            bail!(EINVAL, "EPOLLEXCLUSIVE does not go with this");
        }
        let nesting = nested.map(|nested| (nested, self.users.nesting.lock()));
        if let Some((nested, _)) = &nesting {
            check_nesting(self, own, nested)?;
        }
        let item = {
            let mut items = self.items.lock_nested();
            if items.contains_key(&key(file, fd)) {
                bail!(EEXIST, "the descriptor is in the interest list");
            }
            if items.try_reserve(1).is_err() {
                bail!(ENOMEM, "no memory for an interest list");
            }
            let kernel = task.kernel();
            self.users.charge(&kernel.sysctl, self.user)?;
            let memory = match kernel.memory.control.charge_kmem(ITEM_BYTES, Slab) {
                Ok(memory) => memory,
                Err(error) => {
                    self.users.uncharge(self.user);
                    return Err(error);
                }
            };
            let events = events | PollEvents::ALWAYS.bits();
            let item = Item::new(&self.ready, &self.this, file, fd, events, data);
            items.insert(key(file, fd), (item.clone(), memory));
            item
        };
        file.epoll.add(&item);
        drop(nesting);
        if let Some(queue) = queue_of(file) {
            queue.enqueue(WaitEntry {
                waiter: item.clone(),
                events: PollEvents::all(),
                exclusive,
                key: item.wait_key(),
            });
        }
        self.look(task, file, &item);
        Ok(())
    }

    /// Changes an item (`EPOLL_CTL_MOD`).
    pub fn modify(
        &self,
        task: &Arc<Task>,
        file: &Arc<OpenFile>,
        fd: Fd,
        events: u32,
        data: u64,
    ) -> Result<()> {
        if events & EpollFlags::EXCLUSIVE.bits() != 0 {
            bail!(EINVAL, "EPOLLEXCLUSIVE only with EPOLL_CTL_ADD");
        }
        let item = self.find(file, fd)?;
        if item.events() & EpollFlags::EXCLUSIVE.bits() != 0 {
            bail!(EINVAL, "an exclusive item cannot be changed");
        }
        item.set(events | PollEvents::ALWAYS.bits(), data);
        self.look(task, file, &item);
        Ok(())
    }

    /// Removes an item (`EPOLL_CTL_DEL`).
    pub fn delete(&self, file: &Arc<OpenFile>, fd: Fd) -> Result<()> {
        let item = self.find(file, fd)?;
        self.unlink(&item, file);
        Ok(())
    }

    fn find(&self, file: &Arc<OpenFile>, fd: Fd) -> Result<Arc<Item>> {
        match self.items.lock().get(&key(file, fd)) {
            Some((item, _)) => Ok(item.clone()),
            None => bail!(ENOENT, "the descriptor is not in the interest list"),
        }
    }

    /// The file that was watched as the descriptor `fd`, the `nth` of those that were (`kcmp(2)`).
    pub fn watched(&self, fd: Fd, nth: usize) -> Option<Arc<OpenFile>> {
        let items = self.items.lock();
        let mut found: SmallVec<[&Arc<Item>; 4]> = items
            .values()
            .map(|(item, _)| item)
            .filter(|item| item.fd == fd.0)
            .collect();
        found.sort_by_key(|item| item.file_addr());
        found.get(nth)?.file()
    }

    /// Queues the item if its file is ready now.
    fn look(&self, task: &Arc<Task>, file: &OpenFile, item: &Arc<Item>) {
        let now = poll(file, task);
        if now.bits() & item.events() != 0 {
            self.ready.push(item, true);
        }
    }

    /// Takes an item out of everything but the file's list.
    fn unlink(&self, item: &Arc<Item>, file: &OpenFile) {
        if item.gone.swap(true, Ordering::SeqCst) {
            return;
        }
        if let Some(queue) = queue_of(file) {
            queue.dequeue(item.wait_key());
        }
        self.ready.remove(item);
        file.epoll.remove(item);
        let removed = self.items.lock_nested().remove(&(item.file_addr(), item.fd));
        drop(removed);
        self.users.uncharge(self.user);
    }

    /// Hands up to `max` events to `emit`, which may fail with `EFAULT`. Returns how many.
    pub fn collect(
        &self,
        task: &Arc<Task>,
        max: usize,
        emit: &mut dyn FnMut(usize, u32, u64) -> Result<()>,
    ) -> Result<usize> {
        let mut count = 0;
        let mut result = Ok(());
        // Level-triggered items go back to the end: look at each at most once.
        for _ in 0..self.ready.len() {
            if count == max {
                break;
            }
            let Some(item) = self.ready.pop() else { break };
            let Some(file) = item.file() else { continue };
            let Some(claim) = item.claim(poll(&file, task)) else {
                continue;
            };
            if let Err(error) = emit(count, claim.ready, claim.data) {
                item.give_back(&claim);
                self.ready.push_front(&item);
                result = Err(error);
                break;
            }
            count += 1;
            if claim.events & (EpollFlags::ONESHOT | EpollFlags::ET).bits() == 0 {
                self.ready.push(&item, false);
            }
        }
        if count == 0 {
            result?;
        }
        Ok(count)
    }

    /// Tells the next waiter if items are left. Called by a waiter that has collected, or gives up and may have
    /// been told last, once it has left the queue: before, the wake-up would be its own.
    pub fn pass_on(&self) {
        if !self.ready.is_empty() {
            self.ready.waiters.wake(PollEvents::READABLE);
        }
    }

    /// Whether an item is ready; drops those that no longer are from the list.
    fn has_ready(&self, task: &Arc<Task>) -> bool {
        for _ in 0..self.ready.len() {
            let Some(item) = self.ready.pop() else { break };
            let Some(file) = item.file() else { continue };
            if poll(&file, task).bits() & item.events() != 0 && !item.gone.load(Ordering::SeqCst) {
                self.ready.push_front(&item);
                return true;
            }
        }
        false
    }
}

impl Drop for Epoll {
    fn drop(&mut self) {
        let items = core::mem::take(self.items.get_mut());
        for (item, _memory) in items.into_values() {
            if item.gone.swap(true, Ordering::SeqCst) {
                continue;
            }
            if let Some(file) = item.file() {
                if let Some(queue) = queue_of(&file) {
                    queue.dequeue(item.wait_key());
                }
                file.epoll.remove(&item);
            }
            self.users.uncharge(self.user);
        }
        self.ready.clear();
    }
}

/// Removes a file that is closed for the last time from every interest list.
pub(super) fn file_closed(file: &OpenFile) {
    for item in file.epoll.items() {
        if let Some(epoll) = item.epoll.upgrade() {
            epoll.unlink(&item, file);
        }
    }
}

fn queue_of(file: &OpenFile) -> Option<&WaitQueue> {
    file.ops.as_deref()?.wait_queue()
}

fn poll(file: &OpenFile, task: &Arc<Task>) -> PollEvents {
    match file.ops.as_deref() {
        Some(ops) => ops.poll(file, task),
        None => PollEvents::READABLE | PollEvents::WRITABLE,
    }
}

impl FileOps for Epoll {
    fn poll(&self, _: &OpenFile, task: &Arc<Task>) -> PollEvents {
        if self.has_ready(task) {
            PollEvents::READABLE
        } else {
            PollEvents::empty()
        }
    }
    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.ready.pollers)
    }
    fn fdinfo(&self, _: &OpenFile, _: &Arc<Task>, out: &mut String) {
        for (item, _) in self.items.lock().values() {
            let _ = writeln!(
                out,
                "tfd: {:8} events: {:8x} data: {:16x}",
                item.fd,
                item.events(),
                item.data(),
            );
        }
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}
