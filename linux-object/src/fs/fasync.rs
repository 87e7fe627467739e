//! Signals for files that became ready: `O_ASYNC`, `F_SETOWN`, `F_SETSIG` (`fcntl(2)`).
//!
//! Model: a file with `O_ASYNC` has a waiter in its own wait queue. A wake-up may come under many
//! locks, a signal must be sent under none: the waiter sets a timer that is due at once, and the
//! timer sends.

use alloc::sync::{Arc, Weak};

use super::{OpenFile, OpenFlags, PollEvents};
use crate::ids::Kuid;
use crate::kernel::Kernel;
use crate::sync::{WaitEntry, Waiter};
use crate::task::signal::{send_to_group, send_to_task};
use crate::task::{SigInfo, SigInfoFields, Signal, Task};
use crate::time::{Ktime, TimerCallback};

const POLL_IN: i32 = 1;
const POLL_OUT: i32 = 2;
const F_OWNER_TID: i32 = 0;
const F_OWNER_PGRP: i32 = 2;

struct Fasync {
    file: Weak<OpenFile>,
    kernel: Weak<Kernel>,
    fd: i32,
}

struct Due {
    file: Weak<OpenFile>,
    fd: i32,
    events: PollEvents,
}

impl Waiter for Fasync {
    fn wake(self: Arc<Self>, events: PollEvents) -> bool {
        if let Some(kernel) = self.kernel.upgrade() {
            let due = Due {
                file: self.file.clone(),
                fd: self.fd,
                events,
            };
            kernel.timers.add(Ktime::ZERO, Arc::new(due));
        }
        true
    }
}

impl TimerCallback for Due {
    fn fire(self: Arc<Self>, _: Ktime) {
        if let Some(file) = self.file.upgrade() {
            send_sigio(&file, self.fd, self.events);
        }
    }
}

fn key(file: &OpenFile) -> usize {
    core::ptr::from_ref(file).addr()
}

/// Follows a change of `O_ASYNC` from `old`. `fd` is the descriptor that signals name.
pub fn flags_changed(kernel: &Arc<Kernel>, file: &Arc<OpenFile>, fd: i32, old: OpenFlags) {
    let on = file.flags().contains(OpenFlags::ASYNC);
    let Some(queue) = file.ops.as_deref().and_then(|ops| ops.wait_queue()) else {
        return;
    };
    if on == old.contains(OpenFlags::ASYNC) {
        return;
    }
    if on {
        queue.enqueue(WaitEntry {
            waiter: Arc::new(Fasync {
                file: Arc::downgrade(file),
                kernel: Arc::downgrade(kernel),
                fd,
            }),
            events: PollEvents::all(),
            exclusive: false,
            key: key(file),
        });
    } else {
        queue.dequeue(key(file));
    }
}

/// The file is gone.
pub(super) fn file_closed(file: &OpenFile) {
    if let Some(queue) = file.ops.as_deref().and_then(|ops| ops.wait_queue()) {
        queue.dequeue(key(file));
    }
}

/// Linux's `send_sigio`.
fn send_sigio(file: &OpenFile, fd: i32, events: PollEvents) {
    let owner = file.owner.lock().clone();
    let (Some(pid), Some(uids)) = (owner.pid, owner.uids) else {
        return;
    };
    let info = match Signal::new(owner.signal as u32) {
        None => SigInfo::kernel(Signal::IO),
        Some(signal) => {
            let readable = events.intersects(PollEvents::READABLE);
            let shown = if readable {
                PollEvents::READABLE
            } else {
                PollEvents::WRITABLE | PollEvents::WRBAND
            };
            SigInfo {
                signal,
                errno: 0,
                code: if readable { POLL_IN } else { POLL_OUT },
                fields: SigInfoFields::Poll {
                    band: shown.bits() as i64,
                    fd,
                },
            }
        }
    };
    match owner.kind {
        F_OWNER_TID => {
            if let Some(task) = pid.task().filter(|task| may_signal(uids, task)) {
                let _ = send_to_task(&task, info);
            }
        }
        kind => {
            let groups = if kind == F_OWNER_PGRP {
                pid.pgrp_members()
            } else {
                pid.group().into_iter().collect()
            };
            for group in groups {
                if group.leader().is_some_and(|leader| may_signal(uids, &leader)) {
                    let _ = send_to_group(&group, info.clone());
                }
            }
        }
    }
}

/// Linux's `sigio_perm`: real and effective user of who asked against those of the target.
fn may_signal((uid, euid): (Kuid, Kuid), target: &Arc<Task>) -> bool {
    let cred = target.cred();
    euid == Kuid::ROOT || [euid, uid].iter().any(|&id| id == cred.suid || id == cred.uid)
}
