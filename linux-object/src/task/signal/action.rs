//! What a process does on a signal (`sigaction(2)`, `signal(7)`).

use alloc::sync::Arc;

use super::types::{Signal, SignalSet};
use crate::sync::{SpinLock, class};

bitflags::bitflags! {
    /// `sa_flags`. Unknown bits are cleared when set, as Linux does since 5.11.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    #[allow(missing_docs)]
    pub struct SaFlags: u64 {
        const NOCLDSTOP = 0x1;
        const NOCLDWAIT = 0x2;
        const SIGINFO = 0x4;
        const EXPOSE_TAGBITS = 0x800;
        /// Not for user space: the default action follows whatever a tracer or another thread may want.
        const IMMUTABLE = 0x0080_0000;
        const RESTORER = 0x0400_0000;
        const ONSTACK = 0x0800_0000;
        const RESTART = 0x1000_0000;
        const NODEFER = 0x4000_0000;
        const RESETHAND = 0x8000_0000;
    }
}

/// `SIG_DFL`.
pub const SIG_DFL: u64 = 0;
/// `SIG_IGN`.
pub const SIG_IGN: u64 = 1;

/// The kernel's `struct k_sigaction`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SigAction {
    /// [`SIG_DFL`], [`SIG_IGN`] or the address of a handler.
    pub handler: u64,
    /// `sa_flags`.
    pub flags: SaFlags,
    /// `sa_restorer`.
    pub restorer: u64,
    /// Blocked while the handler runs.
    pub mask: SignalSet,
}

impl SaFlags {
    /// Flags that user space may set and see.
    pub const USER: SaFlags = SaFlags::all().difference(SaFlags::IMMUTABLE);
}

impl SigAction {
    /// Whether the signal is ignored, explicitly or by default.
    pub fn ignores(&self, signal: Signal) -> bool {
        self.handler == SIG_IGN || self.handler == SIG_DFL && default_action(signal) == DefaultAction::Ignore
    }
}

/// What happens without a handler.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[allow(missing_docs)]
pub enum DefaultAction {
    Terminate,
    CoreDump,
    Stop,
    Continue,
    Ignore,
}

/// Signals that stop a process.
pub const STOP_SIGNALS: SignalSet =
    SignalSet(Signal::STOP.set().0 | Signal::TSTP.set().0 | Signal::TTIN.set().0 | Signal::TTOU.set().0);

/// The default action (`signal(7)`). SIGCONT's continuing happens when it is sent; at delivery it
/// is ignored by default.
pub fn default_action(signal: Signal) -> DefaultAction {
    match signal {
        Signal::CONT | Signal::CHLD | Signal::WINCH | Signal::URG => DefaultAction::Ignore,
        Signal::STOP | Signal::TSTP | Signal::TTIN | Signal::TTOU => DefaultAction::Stop,
        Signal::QUIT
        | Signal::ILL
        | Signal::TRAP
        | Signal::ABRT
        | Signal::FPE
        | Signal::SEGV
        | Signal::BUS
        | Signal::SYS
        | Signal::XCPU
        | Signal::XFSZ => DefaultAction::CoreDump,
        _ => DefaultAction::Terminate,
    }
}

/// The table of actions; `fork` shares it until one side changes it.
type Table = Arc<[SigAction; Signal::MAX as usize]>;

/// The actions of a process, shared by processes that `CLONE_SIGHAND` made.
pub struct SigHand {
    table: SpinLock<Table, class::Leaf>,
}

impl SigHand {
    /// Every signal has its default action.
    pub fn new() -> Arc<SigHand> {
        Arc::new(SigHand {
            table: SpinLock::new(Arc::new([SigAction::default(); Signal::MAX as usize])),
        })
    }
    /// The action of a signal.
    pub fn get(&self, signal: Signal) -> SigAction {
        self.table.lock()[signal.nr() as usize - 1]
    }
    /// Replaces an action; returns the old one.
    pub fn set(&self, signal: Signal, action: SigAction) -> SigAction {
        let mut table = self.table.lock();
        let slot = &mut Arc::make_mut(&mut table)[signal.nr() as usize - 1];
        core::mem::replace(slot, action)
    }
    /// A copy for a child.
    pub fn fork(&self) -> Arc<SigHand> {
        Arc::new(SigHand {
            table: SpinLock::new(self.table.lock().clone()),
        })
    }
    /// Every handler becomes the default action, ignored signals stay ignored unless `force`d
    /// (`execve(2)`; `CLONE_CLEAR_SIGHAND`, which keeps ignored ones as well). Linux's
    /// `flush_signal_handlers`.
    pub fn flush_handlers(&self, force_default: bool) {
        let mut table = self.table.lock();
        let clean = |action: &SigAction| {
            *action == SigAction::default()
                || (!force_default
                    && *action
                        == SigAction {
                            handler: SIG_IGN,
                            ..SigAction::default()
                        })
        };
        if table.iter().all(clean) {
            return;
        }
        for action in Arc::make_mut(&mut table) {
            let handler = if !force_default && action.handler == SIG_IGN {
                SIG_IGN
            } else {
                SIG_DFL
            };
            *action = SigAction {
                handler,
                ..SigAction::default()
            };
        }
    }
    /// The ignored and the caught signals (`SigIgn`, `SigCgt` of `/proc/PID/status`).
    pub fn ignored_and_caught(&self) -> (SignalSet, SignalSet) {
        let table = self.table.lock().clone();
        let mut sets = (SignalSet::EMPTY, SignalSet::EMPTY);
        for (n, action) in table.iter().enumerate() {
            match action.handler {
                SIG_DFL => {}
                SIG_IGN => sets.0 = SignalSet(sets.0.0 | 1 << n),
                _ => sets.1 = SignalSet(sets.1.0 | 1 << n),
            }
        }
        sets
    }
}
