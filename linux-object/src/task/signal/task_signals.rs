//! A task's own part of the signal state.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use super::queue::SigQueue;
use super::types::SignalSet;
use crate::sync::{SpinLock, class};
use crate::task::{Signal, Task, ThreadFlags};

bitflags::bitflags! {
    /// `ss_flags` of `sigaltstack(2)`.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    #[allow(missing_docs)]
    pub struct AltStackFlags: u32 {
        const ONSTACK = 1;
        const DISABLE = 2;
        const AUTODISARM = 1 << 31;
    }
}

/// `sigaltstack(2)`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AltStack {
    /// Lowest address.
    pub sp: u64,
    /// Bytes; 0 is none.
    pub size: u64,
    /// [`AltStackFlags::AUTODISARM`] or [`AltStackFlags::DISABLE`].
    pub flags: AltStackFlags,
}

impl AltStack {
    /// No alternate stack.
    pub const NONE: AltStack = AltStack {
        sp: 0,
        size: 0,
        flags: AltStackFlags::DISABLE,
    };
    /// Whether `sp` lies on it (never with `SS_AUTODISARM`, which takes it away on entry).
    pub fn contains(&self, sp: u64) -> bool {
        !self.flags.contains(AltStackFlags::AUTODISARM) && sp > self.sp && sp - self.sp <= self.size
    }
}

/// Job control asks a thread for something (Linux's `JOBCTL_*`), low byte: the signal of the stop.
pub(in crate::task) mod jobctl {
    pub const STOP_SIGNR: u32 = 0xff;
    /// A stop signal was taken; SIGCONT since then cancels it.
    pub const STOP_DEQUEUED: u32 = 1 << 16;
    /// The thread shall stop.
    pub const STOP_PENDING: u32 = 1 << 17;
    /// The stop counts this thread.
    pub const STOP_CONSUME: u32 = 1 << 18;
    /// A tracee shall trap: a group stop, or `PTRACE_INTERRUPT`.
    pub const TRAP_STOP: u32 = 1 << 19;
    /// A tracee shall trap: the state of job control has changed.
    pub const TRAP_NOTIFY: u32 = 1 << 20;
    /// A tracer waits for the trap of a thread that job control had stopped.
    pub const TRAPPING: u32 = 1 << 21;
    /// The tracee's stop is over as far as its tracer is concerned, but for changes of job control.
    pub const LISTENING: u32 = 1 << 22;
    /// The thread's cgroup freezes.
    pub const TRAP_FREEZE: u32 = 1 << 23;
    /// The tracer works on the stopped tracee: SIGKILL waits.
    pub const FROZEN: u32 = 1 << 24;
    /// The thread has stopped.
    pub const STOPPED: u32 = 1 << 26;
    /// The thread has stopped for its tracer.
    pub const TRACED: u32 = 1 << 27;
    /// All that a thread may be asked for, and that its death makes void.
    pub const PENDING: u32 = STOP_PENDING | STOP_CONSUME | STOP_DEQUEUED | TRAP_STOP | TRAP_NOTIFY | TRAPPING;
}

/// What a task blocks, what is pending for it alone, its alternate stack.
pub struct TaskSignals {
    pub(in crate::task) blocked: AtomicU64,
    /// Blocked before `rt_sigtimedwait` opened a window.
    pub(super) real_blocked: AtomicU64,
    /// The mask to go back to after a call like `ppoll` (`RESTORE_SIGMASK`).
    saved_mask: AtomicU64,
    /// Mirror of `private`'s set.
    pub(in crate::task) pending: AtomicU64,
    pub(in crate::task) private: SpinLock<SigQueue, class::Task>,
    pub(super) jobctl: AtomicU32,
    /// It sleeps because its cgroup freezes, or where it counts as if.
    pub(super) frozen: AtomicBool,
    altstack: SpinLock<AltStack, class::Leaf>,
}

impl TaskSignals {
    /// Nothing pending, this mask, no alternate stack.
    pub fn new(blocked: SignalSet, altstack: AltStack) -> TaskSignals {
        TaskSignals {
            blocked: AtomicU64::new(blocked.0),
            real_blocked: AtomicU64::new(0),
            saved_mask: AtomicU64::new(0),
            pending: AtomicU64::new(0),
            private: SpinLock::new(SigQueue::default()),
            jobctl: AtomicU32::new(0),
            frozen: AtomicBool::new(false),
            altstack: SpinLock::new(altstack),
        }
    }
    /// The blocked signals.
    #[inline]
    pub fn blocked(&self) -> SignalSet {
        SignalSet(self.blocked.load(Ordering::SeqCst))
    }
    /// Pending for this thread alone.
    #[inline]
    pub fn pending(&self) -> SignalSet {
        SignalSet(self.pending.load(Ordering::SeqCst))
    }
    /// Throws everything pending away; the caller drops it without locks.
    #[must_use]
    pub(in crate::task) fn flush(&self) -> alloc::collections::VecDeque<super::queue::Queued> {
        self.pending.store(0, Ordering::SeqCst);
        self.private.lock().flush_all()
    }
    /// The alternate stack.
    pub fn altstack(&self) -> AltStack {
        *self.altstack.lock()
    }
    /// Sets the alternate stack.
    pub fn set_altstack(&self, stack: AltStack) {
        *self.altstack.lock() = stack;
    }
}

impl Task {
    /// Changes what the calling task blocks; SIGKILL and SIGSTOP stay open (Linux's
    /// `set_current_blocked`).
    pub fn set_blocked(&self, mask: SignalSet) {
        let mask = mask.without(SignalSet::UNBLOCKABLE);
        let newly = mask.without(self.sig.blocked());
        self.sig.blocked.store(mask.0, Ordering::SeqCst);
        // A signal for the process that this thread was to take must find another one.
        if !newly.intersection(self.group().shared_pending()).is_empty() {
            self.retarget_shared_pending(newly);
        }
        self.recalc_sigpending();
    }
    /// For a call with a mask of its own (`ppoll`, `sigsuspend`): replaces the mask until the call
    /// returns to user mode, or until a handler has run.
    pub fn set_user_sigmask(&self, mask: SignalSet) {
        self.sig.saved_mask.store(self.sig.blocked().0, Ordering::Relaxed);
        self.set_thread_flags(ThreadFlags::RESTORE_SIGMASK);
        self.set_blocked(mask);
    }
    /// Ends [`Task::set_user_sigmask`]: at once, unless a signal interrupts the call and its
    /// handler shall still run under the temporary mask.
    pub fn restore_saved_sigmask_unless(&self, interrupted: bool) {
        if !interrupted {
            self.restore_saved_sigmask();
        }
    }
    /// Goes back to the mask before [`Task::set_user_sigmask`], if it was replaced.
    pub fn restore_saved_sigmask(&self) {
        if let Some(mask) = self.take_saved_sigmask() {
            self.set_blocked(mask);
        }
    }
    /// The mask that a signal frame saves: what the task goes back to after the handler.
    pub fn take_saved_sigmask(&self) -> Option<SignalSet> {
        if !self.thread_flags().contains(ThreadFlags::RESTORE_SIGMASK) {
            return None;
        }
        self.clear_thread_flags(ThreadFlags::RESTORE_SIGMASK);
        Some(SignalSet(self.sig.saved_mask.load(Ordering::Relaxed)))
    }
    /// The mask that [`Task::set_user_sigmask`] has replaced, if it has.
    pub(in crate::task) fn saved_sigmask(&self) -> Option<SignalSet> {
        let replaced = self.thread_flags().contains(ThreadFlags::RESTORE_SIGMASK);
        replaced.then(|| SignalSet(self.sig.saved_mask.load(Ordering::Relaxed)))
    }
    /// Signals that the task could take now.
    pub fn deliverable(&self) -> SignalSet {
        self.sig
            .pending()
            .union(self.group().shared_pending())
            .without(self.sig.blocked())
    }
    /// Pending for the task or its process, blocked or not (`sigpending(2)` wants the blocked).
    pub fn pending_signals(&self) -> SignalSet {
        self.sig.pending().union(self.group().shared_pending())
    }
    /// Sets or clears `SIGPENDING` after the mask or the queues changed. By the task itself.
    pub fn recalc_sigpending(&self) {
        let flag = !self.deliverable().is_empty() || self.shall_freeze();
        if flag {
            self.set_thread_flags(ThreadFlags::SIGPENDING);
        } else if self.thread_flags().contains(ThreadFlags::SIGPENDING) {
            self.clear_thread_flags(ThreadFlags::SIGPENDING);
            // A sender may have come between the look and the clearing.
            if !self.deliverable().is_empty() || self.shall_freeze() {
                self.set_thread_flags(ThreadFlags::SIGPENDING);
            }
        }
    }
    /// Whether a sleeping call has to end (Linux's `signal_pending`).
    #[inline]
    pub fn signal_pending(&self) -> bool {
        self.thread_flags()
            .intersects(ThreadFlags::SIGPENDING.union(ThreadFlags::JOBCTL))
    }
    /// Whether the task is about to be killed.
    #[inline]
    pub fn fatal_signal_pending(&self) -> bool {
        self.thread_flags().contains(ThreadFlags::SIGPENDING) && self.sig.pending().contains(Signal::KILL)
    }
}
