//! What a tracer may ask for, and how it is told.

use crate::cred::Capability;
use crate::error::Result;
use crate::seccomp::Mode;
use crate::task::{Signal, Task};
use crate::{bail, ensure};

bitflags::bitflags! {
    /// How a task is traced: `PTRACE_O_*` as the ABI has them, and two of our own above.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    #[allow(missing_docs)]
    pub struct PtraceFlags: u32 {
        /// A stop at a system call has 0x80 in its signal.
        const TRACESYSGOOD = 1 << 0;
        const TRACEFORK = 1 << 1;
        const TRACEVFORK = 1 << 2;
        const TRACECLONE = 1 << 3;
        const TRACEEXEC = 1 << 4;
        const TRACEVFORKDONE = 1 << 5;
        const TRACEEXIT = 1 << 6;
        const TRACESECCOMP = 1 << 7;
        /// The end of the tracer kills.
        const EXITKILL = 1 << 20;
        /// Filters of system calls rest.
        const SUSPEND_SECCOMP = 1 << 21;
        /// It is traced.
        const PTRACED = 1 << 30;
        /// By `PTRACE_SEIZE`.
        const SEIZED = 1 << 31;
        /// All that a tracer may set.
        const OPTIONS = 0x0030_00ff;
    }
}

bitflags::bitflags! {
    /// What a resumed tracee does besides running.
    #[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
    pub struct Work: u32 {
        /// It stops at the entry and the exit of system calls (`PTRACE_SYSCALL`).
        const SYSCALL = 1 << 0;
        /// It stops at the entry, and makes no call (`PTRACE_SYSEMU`).
        const EMU = 1 << 1;
        /// It runs one instruction; a call is one (`PTRACE_SINGLESTEP`).
        const STEP = 1 << 2;
        /// The trap flag in its registers is the tracer's, not its own.
        const FORCED_TF = 1 << 3;
    }
}

/// `PTRACE_EVENT_*`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Event {
    Fork = 1,
    Vfork = 2,
    Clone = 3,
    Exec = 4,
    VforkDone = 5,
    Exit = 6,
    Seccomp = 7,
    Stop = 128,
}

impl Event {
    /// The option that asks for it; none for [`Event::Stop`].
    pub fn option(self) -> PtraceFlags {
        match self {
            Event::Stop => PtraceFlags::SEIZED,
            event => PtraceFlags::from_bits_truncate(1 << event as u8),
        }
    }
    /// The code of its stop: `wait` reports it in the upper half of its status.
    pub fn code(self, signal: Signal) -> i32 {
        (self as i32) << 8 | i32::from(signal.nr())
    }
}

/// The code of a stop at a system call.
pub fn syscall_code(flags: PtraceFlags) -> i32 {
    let good = flags.contains(PtraceFlags::TRACESYSGOOD);
    i32::from(Signal::TRAP.nr()) | if good { 0x80 } else { 0 }
}

/// Options as the calling task gives them. `EINVAL` for unknown ones; `EPERM` for `PTRACE_O_SUSPEND_SECCOMP` from who
/// has no CAP_SYS_ADMIN or is filtered itself.
pub fn check_options(tracer: &Task, data: u64) -> Result<PtraceFlags> {
    let options = u32::try_from(data).ok().map(PtraceFlags::from_bits_retain);
    let Some(options) = options.filter(|options| PtraceFlags::OPTIONS.contains(*options)) else {
        bail!(EINVAL, "ptrace: unknown options");
    };
    if options.contains(PtraceFlags::SUSPEND_SECCOMP) {
        ensure!(
            tracer.cred().capable(Capability::SYS_ADMIN)
                && tracer.seccomp.mode() == Mode::Disabled
                && !tracer.ptrace_flags().contains(PtraceFlags::SUSPEND_SECCOMP),
            EPERM,
            "PTRACE_O_SUSPEND_SECCOMP: no CAP_SYS_ADMIN, or the tracer is filtered"
        );
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_as_the_headers_number_them() {
        let options = [
            (Event::Fork, PtraceFlags::TRACEFORK, 0x105),
            (Event::Vfork, PtraceFlags::TRACEVFORK, 0x205),
            (Event::Clone, PtraceFlags::TRACECLONE, 0x305),
            (Event::Exec, PtraceFlags::TRACEEXEC, 0x405),
            (Event::VforkDone, PtraceFlags::TRACEVFORKDONE, 0x505),
            (Event::Exit, PtraceFlags::TRACEEXIT, 0x605),
            (Event::Seccomp, PtraceFlags::TRACESECCOMP, 0x705),
        ];
        for (event, option, code) in options {
            assert_eq!((event.option(), event.code(Signal::TRAP)), (option, code));
        }
        assert_eq!(Event::Stop.code(Signal::STOP), 0x8013);
    }

    #[test]
    fn stops_at_calls_are_told_apart_if_asked() {
        assert_eq!(syscall_code(PtraceFlags::PTRACED), 5);
        assert_eq!(
            syscall_code(PtraceFlags::PTRACED | PtraceFlags::TRACESYSGOOD),
            0x85
        );
    }
}
