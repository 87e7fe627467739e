//! The items of an instance that may be ready.

use alloc::collections::VecDeque;
use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use super::item::Item;
use crate::fs::PollEvents;
use crate::sync::{SpinLock, WaitQueue, class};

/// The list, and who wants to hear of it.
#[derive(Default)]
pub(super) struct ReadyList {
    items: SpinLock<VecDeque<Arc<Item>>, class::Ready>,
    /// Threads in `epoll_wait(2)`.
    pub waiters: WaitQueue,
    /// Pollers of the instance itself, other instances among them.
    pub pollers: WaitQueue,
}

impl ReadyList {
    /// Appends an item that is not on the list. With `wake`, tells the waiters; returns whether a
    /// thread was waiting.
    pub fn push(&self, item: &Arc<Item>, wake: bool) -> bool {
        {
            let mut items = self.items.lock();
            if !item.queued.swap(true, Ordering::SeqCst) {
                items.push_back(item.clone());
            }
        }
        if !wake {
            return false;
        }
        let waiting = !self.waiters.is_empty();
        self.waiters.wake(PollEvents::READABLE);
        self.pollers.wake(PollEvents::READABLE);
        waiting
    }
    pub fn push_front(&self, item: &Arc<Item>) {
        let mut items = self.items.lock();
        if !item.queued.swap(true, Ordering::SeqCst) {
            items.push_front(item.clone());
        }
    }
    pub fn pop(&self) -> Option<Arc<Item>> {
        let mut items = self.items.lock();
        let item = items.pop_front()?;
        item.queued.store(false, Ordering::SeqCst);
        Some(item)
    }
    pub fn remove(&self, item: &Arc<Item>) {
        let removed = {
            let mut items = self.items.lock();
            if !item.queued.swap(false, Ordering::SeqCst) {
                return;
            }
            let at = items.iter().position(|other| Arc::ptr_eq(other, item));
            at.and_then(|at| items.remove(at))
        };
        drop(removed);
    }
    pub fn len(&self) -> usize {
        self.items.lock().len()
    }
    pub fn is_empty(&self) -> bool {
        self.items.lock().is_empty()
    }
    pub fn clear(&self) {
        let items = core::mem::take(&mut *self.items.lock());
        drop(items);
    }
}
