//! Changes of what the files of cgroups show, told to `poll` and inotify.
//!
//! Model: a change is told at once, unless another one of the same file was told less than [`INTERVAL`] ago: then
//! it is told when that time is over, together with all that have come in between (Linux's `cgroup_file_notify`).
//! So nobody is woken for states that last no longer than a moment, and the last state is always told.
//!
//! Locks: none of its own; timers and watches are reached with locks that rank before `class::Timer`.
//!
//! `cgroup-v2.rst` (events of files wake poll and inotify).

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::inode::CgroupFile;
use crate::cgroup::Cgroup;
use crate::fs::PollEvents;
use crate::fs::notify::{self, NotifyMask};
use crate::sync::WaitQueue;
use crate::time::{Ktime, TimerCallback};

/// Time between two events of a file, in nanoseconds (Linux's `CGROUP_FILE_NOTIFY_MIN_INTV`).
const INTERVAL: u64 = 10_000_000;

/// What is told of one file.
pub(super) struct FileEvents {
    count: AtomicU64,
    /// Those who poll the file.
    pub queue: WaitQueue,
    /// From when on the next change may be told.
    next: AtomicU64,
    /// A timer is set that will tell of what has changed.
    waits: AtomicBool,
}

impl Default for FileEvents {
    /// One change more than anybody has seen: `poll` asks for a first read, as on Linux.
    fn default() -> FileEvents {
        FileEvents {
            count: AtomicU64::new(1),
            queue: WaitQueue::new(),
            next: AtomicU64::new(0),
            waits: AtomicBool::new(false),
        }
    }
}

impl FileEvents {
    /// How many changes were told.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::SeqCst)
    }
}

impl CgroupFile {
    /// What it shows has changed.
    fn changed(self: &Arc<Self>) {
        let Some(kernel) = self.kernel.upgrade() else {
            return;
        };
        let now = kernel.time.now();
        let next = self.events.next.load(Ordering::SeqCst);
        if now.0 >= next {
            self.tell(now);
        } else if !self.events.waits.swap(true, Ordering::SeqCst) {
            kernel.timers.add(Ktime(next), self.clone());
        }
    }

    fn tell(&self, now: Ktime) {
        let events = &self.events;
        events.next.store(now.0 + INTERVAL, Ordering::SeqCst);
        events.count.fetch_add(1, Ordering::SeqCst);
        events.queue.wake_all(PollEvents::ERR | PollEvents::PRI);
        notify::inode_event(self, NotifyMask::MODIFY);
        if let Some(dir) = self.cgroup.nodes.try_dir() {
            notify::dir_event(&*dir, NotifyMask::MODIFY, self.line.name.as_bytes(), 0, false);
        }
    }
}

impl TimerCallback for CgroupFile {
    fn fire(self: Arc<Self>, now: Ktime) {
        // Before the state is looked at: a change behind this needs a timer of its own.
        self.events.waits.store(false, Ordering::SeqCst);
        self.tell(now);
    }
}

impl Cgroup {
    /// Something that `file` shows has changed: wakes `poll` and inotify, now or a little later. May be called with
    /// locks that rank before `class::Timer`.
    pub fn notify(&self, file: &str) {
        if let Some(inode) = self.nodes.try_file(file) {
            inode.changed();
        }
    }
}
