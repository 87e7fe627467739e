//! Pending signals (Linux's `struct sigpending`).
//!
//! Rules: a standard signal that is pending already is not queued again; real-time signals queue up
//! in order; the lowest-numbered pending one is taken first, but synchronous faults before all others. A
//! signal may be pending without a record when the sender had no budget for one (it then reads as
//! sent by the kernel to `SI_USER`).

use alloc::collections::VecDeque;
use alloc::sync::Arc;

use super::types::{SigInfo, SigInfoFields, Signal, SignalSet, si_code};
use crate::cred::{UCountRlimit, UCounts};
use crate::ids::Kuid;
use crate::mm::memcg::{KmemCharge, MemControl};

/// Charges one record against `RLIMIT_SIGPENDING` of the receiver's user and to the sender's control group; gives it
/// back when dropped.
pub struct SigCharge {
    counts: Arc<UCounts>,
    _memory: KmemCharge,
}

/// The timer behind a record: it sends no other one until this one was taken or thrown away.
pub trait TimerSignal: Send + Sync {
    /// The signal is taken: returns the overruns since it was sent, and may send again.
    fn dequeued(&self) -> i32;
    /// The record is gone (taken, or flushed because the signal is ignored).
    fn discarded(&self);
}

/// Tells the timer when its record goes.
pub(super) struct TimerRecord(pub(super) Arc<dyn TimerSignal>);

impl Drop for TimerRecord {
    fn drop(&mut self) {
        self.0.discarded();
    }
}

impl SigCharge {
    /// Charges one record to `counts` if it stays within `limit`, or if `force`d; and to the running task's cgroup
    /// if that has sent it. No limit of memory stops a signal, as on Linux (`GFP_ATOMIC`).
    pub(super) fn new(
        counts: Arc<UCounts>,
        limit: u64,
        force: bool,
        sender: Option<&Arc<MemControl>>,
    ) -> Option<SigCharge> {
        let now = counts.inc_rlimit(UCountRlimit::SigPending, 1);
        if !force && now as u64 > limit {
            counts.dec_rlimit(UCountRlimit::SigPending, 1);
            return None;
        }
        let memory = sender.map_or(KmemCharge::none(), |control| {
            control.charge_kmem_over(size_of::<Queued>())
        });
        Some(SigCharge {
            counts,
            _memory: memory,
        })
    }
}

impl Drop for SigCharge {
    fn drop(&mut self) {
        self.counts.dec_rlimit(UCountRlimit::SigPending, 1);
    }
}

/// One record.
pub struct Queued {
    /// What was sent.
    pub info: SigInfo,
    /// Its charge; POSIX timers bring their own record.
    pub charge: Option<SigCharge>,
    pub(super) timer: Option<TimerRecord>,
}

/// Signals of one task or of a thread group that were sent and not yet taken.
#[derive(Default)]
pub struct SigQueue {
    set: SignalSet,
    queue: VecDeque<Queued>,
}

/// Signals that the faulting instruction itself causes; taken first.
pub const SYNCHRONOUS: SignalSet = SignalSet(
    Signal::SEGV.set().0
        | Signal::BUS.set().0
        | Signal::ILL.set().0
        | Signal::TRAP.set().0
        | Signal::FPE.set().0
        | Signal::SYS.set().0,
);

impl SigQueue {
    /// The pending signals.
    pub fn set(&self) -> SignalSet {
        self.set
    }
    /// Adds a record. The caller has checked that a standard signal is not pending already.
    pub fn push(&mut self, queued: Queued) {
        self.set = self.set.union(queued.info.signal.set());
        self.queue.push_back(queued);
    }
    /// Makes a signal pending without a record.
    pub fn push_bare(&mut self, signal: Signal) {
        self.set = self.set.union(signal.set());
    }
    /// Which signal a task that blocks `blocked` takes next.
    pub fn next(&self, blocked: SignalSet) -> Option<Signal> {
        let ready = self.set.without(blocked);
        ready.intersection(SYNCHRONOUS).first().or_else(|| ready.first())
    }
    /// Takes the oldest record of a pending signal.
    pub fn take(&mut self, signal: Signal) -> Queued {
        let mut found = None;
        let mut more = false;
        for (at, queued) in self.queue.iter().enumerate() {
            if queued.info.signal == signal {
                if found.is_some() {
                    more = true;
                    break;
                }
                found = Some(at);
            }
        }
        if !more {
            self.set = self.set.without(signal.set());
        }
        found.and_then(|at| self.queue.remove(at)).unwrap_or(Queued {
            info: SigInfo {
                signal,
                errno: 0,
                code: si_code::SI_USER,
                fields: SigInfoFields::Sender {
                    pid: None,
                    uid: Kuid::ROOT,
                    value: 0,
                },
            },
            charge: None,
            timer: None,
        })
    }
    /// Takes away every record of the signals in `set`; the caller drops them without locks held.
    #[must_use]
    pub fn flush(&mut self, set: SignalSet) -> VecDeque<Queued> {
        if self.set.intersection(set).is_empty() {
            return VecDeque::new();
        }
        self.set = self.set.without(set);
        let (gone, kept) = core::mem::take(&mut self.queue)
            .into_iter()
            .partition(|queued| set.contains(queued.info.signal));
        self.queue = kept;
        gone
    }
    /// Takes everything away.
    #[must_use]
    pub fn flush_all(&mut self) -> VecDeque<Queued> {
        self.set = SignalSet::EMPTY;
        core::mem::take(&mut self.queue)
    }
    /// The records, oldest first.
    pub(in crate::task) fn records(&self) -> impl Iterator<Item = &SigInfo> {
        self.queue.iter().map(|queued| &queued.info)
    }
    /// Records in the queue.
    pub fn len(&self) -> usize {
        self.queue.len()
    }
    /// Whether there is no record (a signal may be pending without one).
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queued(nr: u32, value: u64) -> Queued {
        let mut info = SigInfo::kernel(Signal::new(nr).unwrap());
        info.fields = SigInfoFields::Sender {
            pid: None,
            uid: Kuid::ROOT,
            value,
        };
        Queued {
            info,
            charge: None,
            timer: None,
        }
    }

    fn value(queued: &Queued) -> u64 {
        match queued.info.fields {
            SigInfoFields::Sender { value, .. } => value,
            _ => panic!("another kind"),
        }
    }

    #[test]
    fn faults_first_then_the_lowest_number() {
        let mut queue = SigQueue::default();
        for nr in [40, 12, 1, 11] {
            queue.push(queued(nr, 0));
        }
        let mut order = alloc::vec::Vec::new();
        while let Some(signal) = queue.next(SignalSet::EMPTY) {
            order.push(queue.take(signal).info.signal.nr());
        }
        assert_eq!(order, [11, 1, 12, 40]);
        assert!(queue.set().is_empty());
    }

    #[test]
    fn blocked_signals_stay() {
        let mut queue = SigQueue::default();
        queue.push(queued(10, 0));
        assert_eq!(queue.next(Signal::USR1.set()), None);
        assert_eq!(queue.next(SignalSet::EMPTY), Some(Signal::USR1));
    }

    #[test]
    fn real_time_signals_queue_in_order() {
        let mut queue = SigQueue::default();
        for n in 0..3 {
            queue.push(queued(35, n));
        }
        let signal = Signal::new(35).unwrap();
        for n in 0..3 {
            assert!(queue.set().contains(signal));
            assert_eq!(value(&queue.take(signal)), n);
        }
        assert!(!queue.set().contains(signal));
    }

    #[test]
    fn a_signal_without_a_record_reads_as_from_a_user() {
        let mut queue = SigQueue::default();
        queue.push_bare(Signal::KILL);
        let taken = queue.take(Signal::KILL);
        assert_eq!((taken.info.code, value(&taken)), (si_code::SI_USER, 0));
        assert!(queue.set().is_empty());
    }

    #[test]
    fn flushing_takes_records_along() {
        let mut queue = SigQueue::default();
        for nr in [18, 20, 21, 35] {
            queue.push(queued(nr, 0));
        }
        let gone = queue.flush(Signal::TSTP.set().union(Signal::TTIN.set()));
        assert_eq!(gone.len(), 2);
        assert_eq!(queue.len(), 2);
        assert_eq!(queue.next(SignalSet::EMPTY), Some(Signal::CONT));
    }
}
