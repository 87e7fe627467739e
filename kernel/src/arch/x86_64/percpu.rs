//! What each CPU has for itself.
//!
//! Model: in kernel mode the GS base points to this CPU's [`PerCpu`]; its first word is its own
//! address. Kernel code is not preempted, so a reference from [`this`] is good until the thread
//! switches. Fields are `Cell`s, for their CPU only; what other CPUs touch is atomic.
//!
//! The first fields are known to `entry.S` by offset.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::arch::asm;
use core::cell::{Cell, RefCell};
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use linux_object::hal::{AddressSpace, UserRegs};
use x86_64::VirtAddr;
use x86_64::registers::model_specific::{GsBase, KernelGsBase};

use super::address_space::PageTables;
use super::gdt::{Descriptors, InterruptStack};
use super::interrupts::Counts;
use super::thread::Thread;
use super::tlb::Mailbox;
use crate::mm::frames::FrameCache;
use crate::mm::heap::Magazines;

/// CPUs that can be used.
pub const MAX_CPUS: usize = 32;

/// One CPU's state.
#[repr(C, align(64))]
pub struct PerCpu {
    this: Cell<*const PerCpu>,
    /// Where the next trap from user mode stores the registers.
    pub regs: Cell<*mut UserRegs>,
    /// The kernel stack to which that trap returns.
    pub kernel_rsp: Cell<u64>,
    /// Scratch words of the entry code.
    scratch: [Cell<u64>; 2],
    /// Number of this CPU.
    pub id: Cell<u32>,
    /// Its local APIC's id.
    pub apic_id: Cell<u32>,
    /// Free frames.
    pub frames: FrameCache,
    /// Free heap objects.
    pub heap: Magazines,
    /// The thread that runs.
    pub thread: Cell<*const Thread>,
    /// The thread whose FPU state the registers hold, if any thread's.
    pub fpu_owner: Cell<*const Thread>,
    /// The idle thread.
    pub boot_thread: RefCell<Option<Arc<Thread>>>,
    /// The address space in CR3; null: the kernel's own.
    pub space: Cell<*const PageTables>,
    /// Keeps it alive.
    pub space_owner: RefCell<Option<Arc<dyn AddressSpace>>>,
    /// When the timer is to fire, as a TSC value; `u64::MAX`: never.
    pub timer_deadline: Cell<u64>,
    /// Ranks of the locks held (debug builds).
    pub held_locks: Cell<u64>,
    /// How often, for ranks held more than once.
    pub held_counts: [Cell<u8>; 64],
    /// Requests of other CPUs to flush TLB entries.
    pub mailbox: Mailbox,
    /// How often it was interrupted.
    pub interrupts: Counts,
    /// GDT and TSS.
    pub descriptors: Descriptors,
    /// Stacks of double faults, NMIs and machine checks.
    pub interrupt_stacks: [InterruptStack; 4],
    /// Where a switch waits for the next thread to leave its CPU.
    switch_stack: InterruptStack,
    /// Where the CPU pushes the frame of a trap from user mode.
    pub entry_stack: InterruptEntry,
}

/// Room for the words that the CPU and the entry code push.
#[repr(C, align(16))]
pub struct InterruptEntry([Cell<u64>; 16]);

// SAFETY: a CPU's `PerCpu` is used through `this` by that CPU alone, whose kernel code is not
// preempted; other CPUs reach only the atomics of the mailbox (`of`) and racy counters.
unsafe impl Sync for PerCpu {}

impl PerCpu {
    /// The state of a CPU that has not started.
    pub const fn new() -> PerCpu {
        PerCpu {
            this: Cell::new(core::ptr::null()),
            regs: Cell::new(core::ptr::null_mut()),
            kernel_rsp: Cell::new(0),
            scratch: [const { Cell::new(0) }; 2],
            id: Cell::new(0),
            apic_id: Cell::new(0),
            frames: FrameCache::new(),
            heap: Magazines::new(),
            thread: Cell::new(core::ptr::null()),
            fpu_owner: Cell::new(core::ptr::null()),
            boot_thread: RefCell::new(None),
            space: Cell::new(core::ptr::null()),
            space_owner: RefCell::new(None),
            timer_deadline: Cell::new(u64::MAX),
            held_locks: Cell::new(0),
            held_counts: [const { Cell::new(0) }; 64],
            mailbox: Mailbox::new(),
            interrupts: Counts::new(),
            descriptors: Descriptors::new(),
            interrupt_stacks: [const { InterruptStack::new() }; 4],
            switch_stack: InterruptStack::new(),
            entry_stack: InterruptEntry([const { Cell::new(0) }; 16]),
        }
    }

    /// Top of the stack on which a switch waits.
    pub fn switch_stack_top(&self) -> u64 {
        core::ptr::from_ref(&self.switch_stack) as u64 + size_of::<InterruptStack>() as u64
    }

    /// Top of the entry stack.
    pub fn entry_stack_top(&self) -> u64 {
        self.entry_stack.0.as_ptr_range().end as u64
    }
}

static BOOT_CPU: PerCpu = PerCpu::new();
static CPUS: [AtomicPtr<PerCpu>; MAX_CPUS] = [const { AtomicPtr::new(core::ptr::null_mut()) }; MAX_CPUS];
static NR_CPUS: AtomicUsize = AtomicUsize::new(0);

/// This CPU's state.
#[inline(always)]
pub fn this() -> &'static PerCpu {
    let this: *const PerCpu;
    // SAFETY: in kernel mode the GS base is this CPU's `PerCpu`, whose first word is its address.
    unsafe {
        asm!("mov {}, gs:[0]", out(reg) this, options(nostack, preserves_flags, pure, readonly));
        &*this
    }
}

/// The state of a CPU that runs.
pub fn of(cpu: usize) -> &'static PerCpu {
    let ptr = CPUS[cpu].load(Ordering::Acquire);
    assert!(!ptr.is_null(), "no CPU {cpu}");
    // SAFETY: what `install` stored is never freed.
    unsafe { &*ptr }
}

/// All CPUs.
pub fn all() -> impl Iterator<Item = &'static PerCpu> {
    (0..count()).map(of)
}

/// Number of CPUs.
#[inline]
pub fn count() -> usize {
    NR_CPUS.load(Ordering::Relaxed)
}

/// Makes the boot CPU's state usable. The first thing that runs.
///
/// # Safety
/// Once, on the boot CPU.
pub unsafe fn init_boot_cpu() {
    // SAFETY: a static of its own for the boot CPU.
    unsafe { load(&BOOT_CPU) };
    announce(&BOOT_CPU);
}

/// A fresh state for CPU `id`, not announced yet.
pub fn new_cpu(id: usize, apic_id: u32) -> &'static PerCpu {
    // Built in place: it is too large for a stack.
    let cpu: &'static mut core::mem::MaybeUninit<PerCpu> = Box::leak(Box::new_uninit());
    // SAFETY: all-zero is `PerCpu::new()` but for the fields set below; the memory is ours.
    let cpu = unsafe {
        cpu.as_mut_ptr().cast::<u8>().write_bytes(0, size_of::<PerCpu>());
        let cpu = cpu.as_mut_ptr();
        (&raw mut (*cpu).boot_thread).write(RefCell::new(None));
        (&raw mut (*cpu).space_owner).write(RefCell::new(None));
        (&raw mut (*cpu).mailbox).write(Mailbox::new());
        (&raw mut (*cpu).descriptors).write(Descriptors::new());
        &*cpu
    };
    cpu.id.set(id as u32);
    cpu.apic_id.set(apic_id);
    cpu.timer_deadline.set(u64::MAX);
    cpu
}

/// Shares out what depends on the number of CPUs.
pub fn settle() {
    for cpu in all() {
        cpu.frames.set_limit(count());
    }
}

/// Points the GS base of this CPU to its state.
///
/// # Safety
/// `cpu` belongs to no other CPU.
pub unsafe fn load(cpu: &'static PerCpu) {
    cpu.this.set(cpu);
    // SAFETY (of the MSR writes, which are safe calls): the base is what `this` expects.
    GsBase::write(VirtAddr::from_ptr(cpu));
    KernelGsBase::write(VirtAddr::zero());
}

/// Makes a CPU known to the others; in the order of their numbers.
pub fn announce(cpu: &'static PerCpu) {
    let id = cpu.id.get() as usize;
    CPUS[id].store(core::ptr::from_ref(cpu).cast_mut(), Ordering::Release);
    NR_CPUS.fetch_max(id + 1, Ordering::SeqCst);
}
