//! The real-time queue of one CPU: `SCHED_FIFO` and `SCHED_RR` (`sched(7)`).
//!
//! Model: a list per priority from 1 to 99 and a bitmap of those that are not empty. The head of
//! the highest list runs. A preempted task keeps the head of its list; one whose slice is
//! over (RR) or that yields goes to the tail. The running task stays in its list.

use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// The highest real-time priority.
pub const MAX_RT_PRIO: u8 = 99;
/// The queue.
#[derive(Debug)]
pub struct RtQueue<H> {
    lists: Vec<VecDeque<H>>,
    bitmap: u128,
    nr: usize,
}

impl<H> Default for RtQueue<H> {
    fn default() -> Self {
        RtQueue::new()
    }
}

impl<H> RtQueue<H> {
    /// An empty queue. Lists are made when a priority is first used.
    pub const fn new() -> RtQueue<H> {
        RtQueue {
            lists: Vec::new(),
            bitmap: 0,
            nr: 0,
        }
    }
    /// Tasks, the running one included.
    pub fn len(&self) -> usize {
        self.nr
    }
    /// The highest priority in use.
    pub fn highest(&self) -> Option<u8> {
        (self.bitmap != 0).then(|| 127 - self.bitmap.leading_zeros() as u8)
    }
    /// Adds a task at the tail (or the head) of its priority's list.
    pub fn enqueue(&mut self, handle: H, prio: u8, head: bool) {
        if self.lists.is_empty() {
            self.lists
                .resize_with(usize::from(MAX_RT_PRIO) + 1, VecDeque::new);
        }
        let list = &mut self.lists[usize::from(prio.min(MAX_RT_PRIO))];
        if head {
            list.push_front(handle);
        } else {
            list.push_back(handle);
        }
        self.bitmap |= 1 << prio.min(MAX_RT_PRIO);
        self.nr += 1;
    }
    /// Removes the task that `is` knows from the list of `prio`.
    pub fn dequeue(&mut self, prio: u8, is: impl Fn(&H) -> bool) -> Option<H> {
        let list = self.lists.get_mut(usize::from(prio))?;
        let removed = list.iter().position(is).and_then(|at| list.remove(at));
        if list.is_empty() {
            self.bitmap &= !(1 << prio);
        }
        self.nr -= usize::from(removed.is_some());
        removed
    }
    /// The task to run.
    pub fn first(&self) -> Option<&H> {
        self.lists[usize::from(self.highest()?)].front()
    }
    /// Moves the task that `is` knows to the tail of its list.
    pub fn rotate(&mut self, prio: u8, is: impl Fn(&H) -> bool) {
        if let Some(handle) = self.dequeue(prio, is) {
            self.enqueue(handle, prio, false);
        }
    }
    /// How many have this priority.
    pub fn nr_at(&self, prio: u8) -> usize {
        self.lists.get(usize::from(prio)).map_or(0, VecDeque::len)
    }
    /// All tasks, the highest priority first.
    pub fn iter(&self) -> impl Iterator<Item = &H> {
        self.lists.iter().rev().flatten()
    }
}
