//! Signal numbers, sets, and `siginfo` (`signal(7)`, `sigaction(2)`).

use crate::ids::{Kuid, UserAddr};
use crate::task::pid::Pid;
use alloc::sync::Arc;

/// A signal number from 1 to 64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Signal(u8);

macro_rules! signals {
    ($($name:ident = $nr:literal,)*) => {
        #[allow(missing_docs)]
        impl Signal {
            $(pub const $name: Signal = Signal($nr);)*
            /// The name without `SIG`, for traces; real-time signals have none.
            pub fn name(self) -> Option<&'static str> {
                match self.0 { $($nr => Some(stringify!($name)),)* _ => None }
            }
        }
    };
}

signals! {
    HUP = 1, INT = 2, QUIT = 3, ILL = 4, TRAP = 5, ABRT = 6, BUS = 7, FPE = 8, KILL = 9,
    USR1 = 10, SEGV = 11, USR2 = 12, PIPE = 13, ALRM = 14, TERM = 15, STKFLT = 16, CHLD = 17,
    CONT = 18, STOP = 19, TSTP = 20, TTIN = 21, TTOU = 22, URG = 23, XCPU = 24, XFSZ = 25,
    VTALRM = 26, PROF = 27, WINCH = 28, IO = 29, PWR = 30, SYS = 31,
}

impl Signal {
    /// The first real-time signal as the kernel numbers them.
    pub const RTMIN: u8 = 32;
    /// Signals there are.
    pub const MAX: u8 = 64;

    /// A signal by number; `None` outside 1..=64.
    pub const fn new(nr: u32) -> Option<Signal> {
        if nr >= 1 && nr <= Signal::MAX as u32 {
            Some(Signal(nr as u8))
        } else {
            None
        }
    }
    /// The number.
    pub const fn nr(self) -> u8 {
        self.0
    }
    /// Whether several of it queue up.
    pub const fn is_realtime(self) -> bool {
        self.0 >= Signal::RTMIN
    }
    /// The set of just this one.
    pub const fn set(self) -> SignalSet {
        SignalSet(1 << (self.0 - 1))
    }
}

/// A set of signals, bit n-1 for signal n (the kernel's `sigset_t`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SignalSet(pub u64);

impl SignalSet {
    /// No signal.
    pub const EMPTY: SignalSet = SignalSet(0);
    /// SIGKILL and SIGSTOP: never blocked, caught or ignored.
    pub const UNBLOCKABLE: SignalSet = Signal::KILL.set().union(Signal::STOP.set());

    /// Whether `signal` is in it.
    pub const fn contains(self, signal: Signal) -> bool {
        self.0 & signal.set().0 != 0
    }
    /// Whether it is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// Both.
    pub const fn union(self, other: SignalSet) -> SignalSet {
        SignalSet(self.0 | other.0)
    }
    /// Those not in `other`.
    pub const fn without(self, other: SignalSet) -> SignalSet {
        SignalSet(self.0 & !other.0)
    }
    /// Those in both.
    pub const fn intersection(self, other: SignalSet) -> SignalSet {
        SignalSet(self.0 & other.0)
    }
    /// The lowest-numbered one.
    pub fn first(self) -> Option<Signal> {
        Signal::new(self.0.trailing_zeros() + 1)
    }
}

/// A signal with its origin. Pids and uids are kernel objects here; they become numbers of the
/// receiver's namespaces only when the receiver reads them.
#[derive(Clone)]
pub struct SigInfo {
    /// Which signal.
    pub signal: Signal,
    /// `si_errno`.
    pub errno: i32,
    /// `si_code`.
    pub code: i32,
    /// The rest.
    pub fields: SigInfoFields,
}

/// The union of `siginfo_t`, by kind.
#[derive(Clone)]
#[allow(missing_docs)]
pub enum SigInfoFields {
    /// From the kernel, with pid and uid 0.
    Kernel,
    /// `kill`, `tgkill`, `sigqueue`: the sender and a value.
    Sender {
        pid: Option<Arc<Pid>>,
        uid: Kuid,
        value: u64,
    },
    /// SIGCHLD.
    Child {
        pid: Arc<Pid>,
        uid: Kuid,
        status: i32,
        utime: u64,
        stime: u64,
    },
    /// A fault of the program.
    Fault { addr: UserAddr, trapno: i32 },
    /// A POSIX timer.
    Timer { id: i32, overrun: i32, value: u64 },
    /// SIGIO and friends.
    Poll { band: i64, fd: i32 },
    /// SIGSYS.
    Sys {
        call_addr: UserAddr,
        syscall: i32,
        arch: u32,
    },
    /// Bytes 16..48 of a `siginfo_t` that user space made (`rt_sigqueueinfo`); the rest is no
    /// part of any layout.
    Raw([u8; 32]),
}

/// `si_code` values (`sigaction(2)`).
#[allow(missing_docs)]
pub mod si_code {
    pub const SI_USER: i32 = 0;
    pub const SI_KERNEL: i32 = 0x80;
    pub const SI_QUEUE: i32 = -1;
    pub const SI_TIMER: i32 = -2;
    pub const SI_MESGQ: i32 = -3;
    pub const SI_ASYNCIO: i32 = -4;
    pub const SI_SIGIO: i32 = -5;
    pub const SI_TKILL: i32 = -6;
    pub const CLD_EXITED: i32 = 1;
    pub const CLD_KILLED: i32 = 2;
    pub const CLD_DUMPED: i32 = 3;
    pub const CLD_TRAPPED: i32 = 4;
    pub const CLD_STOPPED: i32 = 5;
    pub const CLD_CONTINUED: i32 = 6;
    pub const SEGV_MAPERR: i32 = 1;
    pub const SEGV_ACCERR: i32 = 2;
    pub const BUS_ADRALN: i32 = 1;
    pub const BUS_ADRERR: i32 = 2;
    pub const ILL_ILLOPN: i32 = 2;
    pub const FPE_INTDIV: i32 = 1;
    pub const FPE_INTOVF: i32 = 2;
    pub const FPE_FLTINV: i32 = 7;
    pub const TRAP_BRKPT: i32 = 1;
    pub const TRAP_TRACE: i32 = 2;
    pub const TRAP_HWBKPT: i32 = 4;
    pub const SYS_SECCOMP: i32 = 1;
    pub const SYS_USER_DISPATCH: i32 = 2;
}

impl SigInfo {
    /// A signal that the kernel itself sends (`SEND_SIG_PRIV`).
    pub fn kernel(signal: Signal) -> SigInfo {
        SigInfo {
            signal,
            errno: 0,
            code: si_code::SI_KERNEL,
            fields: SigInfoFields::Kernel,
        }
    }
}
