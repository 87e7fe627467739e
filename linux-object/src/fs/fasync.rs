//! Signals for files that became ready, and of directories that changed: `O_ASYNC`, `F_SETOWN`, `F_SETSIG`
//! (`fcntl(2)`).
//!
//! Model: a file with `O_ASYNC` has a waiter in its own wait queue. A wake-up may come under many
//! locks, a signal must be sent under none: the waiter sets a timer that is due at once, and the
//! timer sends.

use alloc::sync::{Arc, Weak};

use super::{FileOwner, OpenFile, OpenFlags, PollEvents};
use crate::ids::Kuid;
use crate::kernel::Kernel;
use crate::sync::{WaitEntry, Waiter};
use crate::task::signal::{send_to_group, send_to_task};
use crate::task::{SigInfo, SigInfoFields, Signal, Task};
use crate::time::{Ktime, TimerCallback, Timers};

const POLL_IN: i32 = 1;
const POLL_OUT: i32 = 2;
const POLL_MSG: i32 = 3;
const POLL_PRI: i32 = 5;
const F_OWNER_TID: i32 = 0;
const F_OWNER_PGRP: i32 = 2;

struct Fasync {
    file: Weak<OpenFile>,
    kernel: Weak<Kernel>,
    fd: i32,
}

/// What a signal tells.
struct Due {
    file: Weak<OpenFile>,
    fd: i32,
    code: i32,
    band: PollEvents,
}

impl Waiter for Fasync {
    fn wake(self: Arc<Self>, events: PollEvents) -> bool {
        if let Some(kernel) = self.kernel.upgrade() {
            let (code, band) = if events.intersects(PollEvents::READABLE) {
                (POLL_IN, PollEvents::READABLE)
            } else if events.intersects(PollEvents::PRI) {
                (POLL_PRI, PollEvents::PRI | PollEvents::RDBAND)
            } else {
                (POLL_OUT, PollEvents::WRITABLE | PollEvents::WRBAND)
            };
            send_soon(&kernel.timers, self.file.clone(), self.fd, code, band);
        }
        true
    }
}

fn send_soon(timers: &Timers, file: Weak<OpenFile>, fd: i32, code: i32, band: PollEvents) {
    let due = Due { file, fd, code, band };
    timers.add(Ktime::ZERO, Arc::new(due));
}

/// A directory has changed: its owner gets a signal that names `fd`.
pub(super) fn directory_changed(kernel: &Kernel, file: Weak<OpenFile>, fd: i32) {
    let band = PollEvents::READABLE | PollEvents::MSG;
    send_soon(&kernel.timers, file, fd, POLL_MSG, band);
}

impl TimerCallback for Due {
    fn fire(self: Arc<Self>, _: Ktime) {
        if let Some(file) = self.file.upgrade() {
            send_sigio(&file, self.fd, self.code, self.band);
        }
    }
}

/// Urgent data has come for a socket: its file's owner gets SIGURG, and need not have asked for signals. No lock is
/// held.
pub(crate) fn send_sigurg(file: &OpenFile) {
    let owner = file.owner.lock().clone();
    send_to_owner(owner, SigInfo::kernel(Signal::URG));
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
fn send_sigio(file: &OpenFile, fd: i32, code: i32, band: PollEvents) {
    let owner = file.owner.lock().clone();
    if code == POLL_PRI && owner.signal == 0 {
        // SIGURG tells of urgent data, whatever O_ASYNC says.
        return;
    }
    let info = match Signal::new(owner.signal as u32) {
        None => SigInfo::kernel(Signal::IO),
        Some(signal) => SigInfo {
            signal,
            errno: 0,
            code,
            fields: SigInfoFields::Poll {
                band: band.bits() as i64,
                fd,
            },
        },
    };
    send_to_owner(owner, info);
}

fn send_to_owner(owner: FileOwner, info: SigInfo) {
    let (Some(pid), Some(uids)) = (owner.pid, owner.uids) else {
        return;
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
