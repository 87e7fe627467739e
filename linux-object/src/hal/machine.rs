//! Time, processors, threads, console, power.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::any::Any;

use super::{AddressSpace, UserRegs};
use crate::error::Result;
use crate::ids::CpuId;
use crate::time::Ktime;

/// How user space computes the time from the cycle counter:
/// `ns = base_ns + (((tsc - base_tsc) as u128 * mult) >> shift)`.
#[derive(Clone, Copy, Debug, Default)]
pub struct VdsoClock {
    /// Counter value at `base_ns`.
    pub base_tsc: u64,
    /// Nanoseconds since boot at `base_tsc`.
    pub base_ns: u64,
    /// Multiplier.
    pub mult: u32,
    /// Shift.
    pub shift: u32,
}

/// Clocks and this CPU's timer.
pub trait Clock {
    /// Time since boot: monotonic, the same on all CPUs, from the cycle counter.
    fn now(&self) -> Ktime;
    /// The cycle counter that [`Clock::now`] is made from; less than 2^63.
    fn cycles(&self) -> u64 {
        self.now().0
    }
    /// A span of cycles in nanoseconds.
    fn cycles_to_ns(&self, cycles: u64) -> u64 {
        cycles
    }
    /// Nanoseconds since 1970 at the instant when [`Clock::now`] was 0 (battery clock).
    fn boot_realtime(&self) -> u64;
    /// Programs this CPU's one-shot timer (`None`: off). A past deadline fires at once.
    fn set_timer(&self, deadline: Option<Ktime>);
    /// The counter's parameters for the vDSO; `None` if user space cannot use the counter.
    fn vdso_clock(&self) -> Option<VdsoClock>;
}

/// What `/proc/cpuinfo` tells of a processor.
#[derive(Clone, Debug, Default)]
pub struct CpuInfo {
    /// `GenuineIntel` and the like.
    pub vendor: String,
    /// The brand string.
    pub name: String,
    /// Family, extended family included.
    pub family: u32,
    /// Model, extended model included.
    pub model: u32,
    /// Stepping.
    pub stepping: u32,
    /// Frequency of the cycle counter in kHz.
    pub khz: u64,
    /// APIC id.
    pub apic_id: u32,
    /// Highest basic CPUID leaf.
    pub cpuid_level: u32,
    /// Features by Linux's names, separated by blanks.
    pub flags: String,
    /// Bits of a physical address.
    pub physical_bits: u32,
    /// Bits of a virtual address.
    pub virtual_bits: u32,
}

/// What interrupts the processors, as `/proc/interrupts` shows it.
#[derive(Clone, Copy, Debug)]
pub struct InterruptSource {
    /// A number, or three letters.
    pub name: &'static str,
    /// What it is.
    pub text: &'static str,
    /// There need not be such a device.
    pub optional: bool,
}

/// Processors.
pub trait Cpu {
    /// How often each source interrupted a CPU; for every CPU the same sources in the same order.
    fn interrupts(&self, _cpu: CpuId, _each: &mut dyn FnMut(&InterruptSource, u64)) {}
    /// What is known about a CPU.
    fn cpu_info(&self, _cpu: CpuId) -> CpuInfo {
        CpuInfo::default()
    }
    /// The CPU this code runs on. Stable, since kernel code is not preempted.
    fn current_cpu(&self) -> CpuId;
    /// Number of CPUs, all online.
    fn nr_cpus(&self) -> usize;
    /// Makes another CPU look at its run queue soon: it leaves user mode or idle.
    fn kick(&self, cpu: CpuId);
    /// Halts until an interrupt came, and handles it. Returns at once if one is pending, so a
    /// check made before it with interrupts off is not lost.
    fn idle(&self);
    /// Handles interrupts that are pending (for long loops). No lock may be held.
    fn poll_interrupts(&self);
    /// The kernel function around an address: its name and the offset in it.
    fn symbol(&self, _address: u64) -> Option<(&'static str, u64)> {
        None
    }
    /// Runs in every turn of a spinning loop.
    fn relax(&self);
    /// What user code may use: edx of `cpuid` leaf 1 (`AT_HWCAP`), and `AT_HWCAP2` (bit 1:
    /// `rdfsbase` and its kin are enabled).
    fn hwcap(&self) -> (u64, u64) {
        (0, 0)
    }
}

/// What a new thread runs. When it returns, nothing is left on its stack, and the machine
/// switches to the returned thread for good; whoever drops the last reference to the ended
/// thread frees its stack (the scheduler does, on another stack).
pub type Entry = Box<dyn FnOnce() -> Arc<dyn MachineThread> + Send>;

/// A thread as the machine sees it: a kernel stack with its guard page, saved registers, FPU state,
/// the user's `fs` and `gs` base.
///
/// The user-state calls are for the thread itself, or for a thread that does not run.
pub trait MachineThread: Any + Send + Sync {
    /// The user's FPU/SSE/AVX state in the layout of `xsave`'s standard form, as a signal frame shows it.
    fn fpu_save(&self, to: &mut [u8]);
    /// Sets that state from a signal frame. `EINVAL` if the CPU would fault on it.
    fn fpu_restore(&self, from: &[u8]) -> Result<()>;
    /// Bytes that `fpu_save` writes.
    fn fpu_size(&self) -> usize;
    /// State of a fresh program (`execve`).
    fn reset_user_state(&self);
    /// Copies FPU state and bases from the calling thread (`clone`).
    fn copy_user_state(&self, from: &dyn MachineThread);
    /// The user's fs base (thread-local storage).
    fn fs_base(&self) -> u64;
    /// Sets it; the caller has checked that it is a user address.
    fn set_fs_base(&self, base: u64);
    /// The user's gs base.
    fn gs_base(&self) -> u64;
    /// Sets it.
    fn set_gs_base(&self, base: u64);
    /// What the CPU watches while the thread's user code runs: four addresses and the control word of the debug
    /// registers, which the caller has checked; `None`: nothing.
    fn set_debug(&self, _watch: Option<[u64; 5]>) {}
    /// For the implementation to find itself again.
    fn as_any(&self) -> &dyn Any;
    /// Return addresses on the kernel stack of a thread that does not run, innermost first, for
    /// `/proc/PID/stack`. Returns how many were found.
    fn backtrace(&self, out: &mut [u64]) -> usize;
    /// The registers with which user mode was left, of the running thread or one that does not run, for
    /// `/proc/PID/syscall`. `None` for a thread that has not been in user mode.
    fn user_regs(&self) -> Option<UserRegs> {
        None
    }
}

/// Threads and switching between them.
pub trait Switch {
    /// A thread that has not run; the first switch to it calls `entry`. `ENOMEM`.
    fn new_thread(&self, entry: Entry) -> Result<Arc<dyn MachineThread>>;
    /// A handle for the boot context of this CPU, which becomes its idle thread.
    fn boot_thread(&self) -> Arc<dyn MachineThread>;
    /// Saves the running thread in `prev`, continues `next`. Returns when someone switches back.
    /// No lock is held.
    fn switch(&self, prev: &Arc<dyn MachineThread>, next: &Arc<dyn MachineThread>);
    /// Makes this the address space of the running thread; `None`: none (a lazy TLB is allowed).
    fn activate(&self, space: Option<&Arc<dyn AddressSpace>>);
}

/// The console's output side. Input arrives through `Kernel::console_input`.
pub trait Console {
    /// Writes bytes as they are; may spin until the device takes them.
    fn console_write(&self, bytes: &[u8]);
}

/// Random seeds.
pub trait Entropy {
    /// Fills with the best randomness that the machine has.
    fn entropy(&self, out: &mut [u8]);
}

/// The end of the machine.
pub trait Power {
    /// Switches the machine off.
    fn power_off(&self) -> !;
    /// Resets it.
    fn restart(&self) -> !;
    /// Stops all CPUs for ever.
    fn halt(&self) -> !;
}
