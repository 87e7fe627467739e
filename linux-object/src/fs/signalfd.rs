//! Signals as files (`signalfd(2)`).
//!
//! Model: reading takes pending signals of the *reading* task, whoever made the descriptor. The
//! processes that read or poll it are those whose signals can make it ready: each of them gets a
//! relay in its signal queue at its first look, which wakes the descriptor's own queue.
//!
//! Locks: the list of relays is `class::Leaf`.

use alloc::string::String;
use alloc::sync::{Arc, Weak};
use core::any::Any;
use core::fmt::Write;
use core::sync::atomic::{AtomicU64, Ordering};

use smallvec::SmallVec;

use super::io::IoDst;
use super::{FileOps, OpenFile, PollEvents};
use crate::bail;
use crate::error::Result;
use crate::sync::{SpinLock, WaitEntry, WaitQueue, Waiter, class};
use crate::task::{SigInfo, SigInfoFields, SignalSet, Task, ThreadGroup};

/// `struct signalfd_siginfo`.
const RECORD: usize = 128;

/// A signalfd.
pub struct SignalFd {
    mask: AtomicU64,
    queue: Arc<WaitQueue>,
    relays: SpinLock<SmallVec<[(Weak<ThreadGroup>, Arc<Relay>); 1]>, class::Leaf>,
}

/// Passes wake-ups of a process's signal queue on.
struct Relay(Arc<WaitQueue>);

impl Waiter for Relay {
    fn wake(self: Arc<Self>, _: PollEvents) -> bool {
        self.0.wake_all(PollEvents::READABLE);
        true
    }
}

impl SignalFd {
    /// For the signals in `mask`; SIGKILL and SIGSTOP are left out.
    pub fn new(mask: SignalSet) -> Arc<SignalFd> {
        Arc::new(SignalFd {
            mask: AtomicU64::new(mask.without(SignalSet::UNBLOCKABLE).0),
            queue: Arc::new(WaitQueue::new()),
            relays: SpinLock::new(SmallVec::new()),
        })
    }
    /// Changes the mask.
    pub fn set_mask(&self, mask: SignalSet) {
        let mask = mask.without(SignalSet::UNBLOCKABLE);
        self.mask.store(mask.0, Ordering::SeqCst);
        self.queue.wake_all(PollEvents::READABLE);
    }
    /// The mask.
    pub fn mask(&self) -> SignalSet {
        SignalSet(self.mask.load(Ordering::SeqCst))
    }

    /// Listens to the signals of the caller's process from now on.
    fn listen(&self, task: &Arc<Task>) {
        let group = task.group();
        let relay = {
            let mut relays = self.relays.lock();
            if relays
                .iter()
                .any(|(known, _)| core::ptr::eq(known.as_ptr(), &**group))
            {
                return;
            }
            relays.retain(|(known, _)| known.strong_count() > 0);
            let relay = Arc::new(Relay(self.queue.clone()));
            relays.push((Arc::downgrade(group), relay.clone()));
            relay
        };
        group.signal_queue.enqueue(WaitEntry {
            key: Arc::as_ptr(&relay).addr(),
            waiter: relay,
            events: PollEvents::all(),
            exclusive: false,
        });
    }
}

impl Drop for SignalFd {
    fn drop(&mut self) {
        for (group, relay) in self.relays.get_mut().drain(..) {
            if let Some(group) = group.upgrade() {
                group.signal_queue.dequeue(Arc::as_ptr(&relay).addr());
            }
        }
    }
}

impl FileOps for SignalFd {
    fn read(&self, _: &OpenFile, task: &Arc<Task>, _: &mut u64, to: &mut dyn IoDst) -> Result<usize> {
        if to.remaining() < RECORD {
            bail!(EINVAL, "a signalfd is read in records of 128 bytes");
        }
        self.listen(task);
        let mut done = 0;
        while to.remaining() >= RECORD {
            let Some(info) = task.dequeue_signal(self.mask()) else {
                break;
            };
            match to.put_all(&record(task, &info)) {
                Ok(()) => done += RECORD,
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            }
        }
        if done == 0 {
            bail!(EAGAIN, "no signal of the mask is pending");
        }
        Ok(done)
    }
    fn poll(&self, _: &OpenFile, task: &Arc<Task>) -> PollEvents {
        self.listen(task);
        if task.pending_signals().intersection(self.mask()).is_empty() {
            PollEvents::empty()
        } else {
            PollEvents::IN
        }
    }
    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.queue)
    }
    fn fdinfo(&self, _: &OpenFile, _: &Arc<Task>, out: &mut String) {
        let _ = writeln!(out, "sigmask:\t{:016x}", self.mask().0);
    }
    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// The signal as the reader's namespaces show it.
fn record(task: &Arc<Task>, info: &SigInfo) -> [u8; RECORD] {
    let cred = task.cred();
    let ns = task.pid().ns();
    let mut out = [0; RECORD];
    let mut put = |at: usize, bytes: &[u8]| out[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &(info.signal.nr() as u32).to_ne_bytes());
    put(4, &info.errno.to_ne_bytes());
    put(8, &info.code.to_ne_bytes());
    let value = |put: &mut dyn FnMut(usize, &[u8]), value: u64| {
        put(44, &(value as i32).to_ne_bytes());
        put(48, &value.to_ne_bytes());
    };
    match &info.fields {
        SigInfoFields::Kernel => {}
        SigInfoFields::Sender { pid, uid, value: v } => {
            let nr = pid.as_ref().map_or(0, |pid| pid.nr_in(ns).0);
            put(12, &nr.to_ne_bytes());
            put(16, &cred.user_ns.from_kuid_munged(*uid).0.to_ne_bytes());
            value(&mut put, *v);
        }
        SigInfoFields::Child {
            pid,
            uid,
            status,
            utime,
            stime,
        } => {
            put(12, &pid.nr_in(ns).0.to_ne_bytes());
            put(16, &cred.user_ns.from_kuid_munged(*uid).0.to_ne_bytes());
            put(40, &status.to_ne_bytes());
            put(56, &utime.to_ne_bytes());
            put(64, &stime.to_ne_bytes());
        }
        SigInfoFields::Fault { addr, trapno } => {
            put(36, &trapno.to_ne_bytes());
            put(72, &addr.0.to_ne_bytes());
        }
        SigInfoFields::Timer {
            id,
            overrun,
            value: v,
        } => {
            put(24, &id.to_ne_bytes());
            put(32, &overrun.to_ne_bytes());
            value(&mut put, *v);
        }
        SigInfoFields::Poll { band, fd } => {
            put(20, &fd.to_ne_bytes());
            put(28, &(*band as u32).to_ne_bytes());
        }
        SigInfoFields::Sys {
            call_addr,
            syscall,
            arch,
        } => {
            put(84, &syscall.to_ne_bytes());
            put(88, &call_addr.0.to_ne_bytes());
            put(96, &arch.to_ne_bytes());
        }
        // `rt_sigqueueinfo`: pid, uid and value as the sender wrote them.
        SigInfoFields::Raw(raw) => {
            put(12, &raw[0..4]);
            put(16, &raw[4..8]);
            put(44, &raw[8..12]);
            put(48, &raw[8..16]);
        }
    }
    out
}
