//! Threads: a kernel stack, a saved stack pointer, the user's FPU state and segment bases.
//!
//! Switching keeps only the callee-saved registers (`switch_stacks` in `entry.S`). The user's state is
//! saved by the thread that leaves and loaded by the thread that comes back, and only for threads
//! that have one: kernel and idle threads leave the registers alone, so a thread that
//! continues on the same CPU after the idle thread finds its state still there.
//!
//! Invariants: `on_cpu` is set while any CPU uses the stack; a thread is continued, and dropped, only
//! after it is clear. `PerCpu::fpu_owner` and `fpu_cpu` agree exactly when the CPU's registers hold
//! the thread's current state.

use alloc::sync::Arc;
use core::any::Any;
use core::arch::asm;
use core::cell::{Cell, UnsafeCell};
use core::sync::atomic::{AtomicBool, Ordering::Acquire};

use linux_object::err;
use linux_object::error::Result;
use linux_object::hal::{Entry, MachineThread, UserRegs};
use x86_64::VirtAddr;
use x86_64::registers::model_specific::{FsBase, KernelGsBase};

use super::fpu::FpuArea;
use super::{debug, features, percpu};
use crate::mm::kstack::KernelStack;

const NO_CPU: u32 = u32::MAX;

/// A thread of the machine.
pub struct Thread {
    rsp: UnsafeCell<u64>,
    on_cpu: AtomicBool,
    /// `None`: a boot stack.
    stack: Option<KernelStack>,
    entry: Cell<Option<Entry>>,
    fpu: FpuArea,
    /// Whether there is user state to keep.
    has_user_state: Cell<bool>,
    /// The CPU whose registers may hold the state.
    fpu_cpu: Cell<u32>,
    fs_base: Cell<u64>,
    gs_base: Cell<u64>,
    /// What the CPU watches while it runs.
    watch: Cell<Option<[u64; 5]>>,
    /// The registers of the last trap from user mode, on this thread's stack; 0: none.
    user_regs: Cell<usize>,
}

// SAFETY: the cells are used by the thread itself, or by others while it does not run (the contract of
// `MachineThread`); `on_cpu` orders the two.
unsafe impl Sync for Thread {}
// SAFETY: nothing in it is bound to a CPU.
unsafe impl Send for Thread {}

unsafe extern "C" {
    fn switch_stacks(
        prev_rsp: *mut u64,
        prev_on_cpu: *const AtomicBool,
        next_rsp: *mut u64,
        next_on_cpu: *const AtomicBool,
        scratch: u64,
    );
    fn thread_start();
}

/// What `switch_stacks` pops, and the return address above.
#[repr(C)]
struct SwitchFrame {
    r15: u64,
    r14: u64,
    r13: u64,
    r12: u64,
    rbx: u64,
    rbp: u64,
    rip: u64,
}

impl Thread {
    /// A thread that will call `entry`.
    pub fn new(entry: Entry) -> Result<Arc<Thread>> {
        let no_memory = || err!(ENOMEM, "no memory for a thread");
        let stack = KernelStack::new().ok_or_else(no_memory)?;
        let fpu = FpuArea::new().ok_or_else(no_memory)?;
        let top = stack.range().end;
        let frame = (top - size_of::<SwitchFrame>()) as *mut SwitchFrame;
        let thread = Arc::new(Thread {
            rsp: UnsafeCell::new(frame as u64),
            on_cpu: AtomicBool::new(false),
            stack: Some(stack),
            entry: Cell::new(Some(entry)),
            fpu,
            has_user_state: Cell::new(false),
            fpu_cpu: Cell::new(NO_CPU),
            fs_base: Cell::new(0),
            gs_base: Cell::new(0),
            watch: Cell::new(None),
            user_regs: Cell::new(0),
        });
        // SAFETY: the top of a mapped stack that nobody uses yet.
        unsafe {
            frame.write(SwitchFrame {
                r15: 0,
                r14: 0,
                r13: 0,
                r12: 0,
                rbx: Arc::as_ptr(&thread) as u64,
                rbp: 0,
                rip: thread_start as *const () as u64,
            });
        }
        Ok(thread)
    }

    /// A handle for the context that runs on this CPU.
    fn adopt() -> Option<Thread> {
        Some(Thread {
            rsp: UnsafeCell::new(0),
            on_cpu: AtomicBool::new(true),
            stack: None,
            entry: Cell::new(None),
            fpu: FpuArea::new()?,
            has_user_state: Cell::new(false),
            fpu_cpu: Cell::new(NO_CPU),
            fs_base: Cell::new(0),
            gs_base: Cell::new(0),
            watch: Cell::new(None),
            user_regs: Cell::new(0),
        })
    }

    #[inline(always)]
    fn is_current(&self) -> bool {
        core::ptr::eq(percpu::this().thread.get(), self)
    }

    /// Whether this CPU's registers hold the state of this thread.
    #[inline(always)]
    fn is_live(&self) -> bool {
        let cpu = percpu::this();
        core::ptr::eq(cpu.fpu_owner.get(), self) && self.fpu_cpu.get() == cpu.id.get()
    }

    #[inline(always)]
    fn own_registers(&self) {
        let cpu = percpu::this();
        cpu.fpu_owner.set(self);
        self.fpu_cpu.set(cpu.id.get());
    }

    /// The running thread leaves: its registers go to memory.
    #[inline]
    fn save_user_state(&self) {
        if self.has_user_state.get() {
            self.fpu.save();
            self.save_bases();
        }
        if self.watches() {
            debug::ignore();
        }
    }

    /// The running thread is back.
    #[inline]
    fn load_user_state(&self) {
        if self.has_user_state.get() && !self.is_live() {
            self.fpu.load();
            self.load_bases();
            self.own_registers();
        }
        if self.watches() {
            self.load_watch();
        }
    }

    /// Whether a debugger has it watch addresses.
    #[inline(always)]
    fn watches(&self) -> bool {
        // SAFETY: the thread itself looks.
        unsafe { (*self.watch.as_ptr()).is_some() }
    }
    #[cold]
    fn load_watch(&self) {
        match self.watch.get() {
            Some(regs) => debug::watch(&regs),
            None => debug::ignore(),
        }
    }

    /// Remembers where the user's registers are, if the last trap on this CPU was this thread's.
    #[inline]
    fn note_user_regs(&self) {
        let regs = percpu::this().regs.get() as usize;
        if self.on_stack(regs) {
            self.user_regs.set(regs);
        }
    }

    #[inline]
    fn on_stack(&self, addr: usize) -> bool {
        self.stack
            .as_ref()
            .is_some_and(|stack| stack.range().contains(&addr))
    }

    /// User code may have changed the bases itself.
    #[inline]
    fn save_bases(&self) {
        if features::get().fsgsbase {
            let (fs, gs): (u64, u64);
            // SAFETY: reads the user's bases; between the two `swapgs` nothing else uses GS.
            unsafe {
                asm!(
                    "rdfsbase {fs}", "swapgs", "rdgsbase {gs}", "swapgs",
                    fs = out(reg) fs, gs = out(reg) gs, options(nomem, nostack, preserves_flags),
                );
            }
            self.fs_base.set(fs);
            self.gs_base.set(gs);
        }
    }

    #[inline]
    fn load_bases(&self) {
        let (fs, gs) = (self.fs_base.get(), self.gs_base.get());
        if features::get().fsgsbase {
            // SAFETY: sets the user's bases; they are canonical, since they were checked or read from
            // the CPU. Between the two `swapgs` nothing else uses GS.
            unsafe {
                asm!(
                    "wrfsbase {fs}", "swapgs", "wrgsbase {gs}", "swapgs",
                    fs = in(reg) fs, gs = in(reg) gs, options(nomem, nostack, preserves_flags),
                );
            }
        } else {
            FsBase::write(VirtAddr::new_truncate(fs));
            KernelGsBase::write(VirtAddr::new_truncate(gs));
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        // A thread that just ended may still be on its way off its stack.
        while self.on_cpu.load(Acquire) {
            super::relax();
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn thread_main(thread: &Thread) -> ! {
    thread.load_user_state();
    let entry = thread.entry.take().expect("a thread starts once");
    let next = entry();
    let next_thread = Arc::as_ptr(&next).cast::<Thread>();
    // A reference held here would never be given back. The scheduler, which chose `next` to run on
    // this CPU, keeps it alive.
    assert!(Arc::strong_count(&next) > 1, "nobody keeps the next thread");
    drop(next);
    crate::lockdep::assert_none_held("the end of a thread");
    if thread.watches() {
        debug::ignore();
    }
    // SAFETY: kept alive as said; this thread is alive until it is off its stack (`Thread::drop` waits).
    unsafe { leave(thread, &*next_thread) };
    unreachable!("a thread that ended came back");
}

#[unsafe(no_mangle)]
extern "C" fn relax_on_switch() {
    super::relax();
}

/// Keeps the vector registers of the running thread over a sleep, for a thread that has no user state
/// yet but copies to user memory.
pub fn keep_fpu() {
    // SAFETY: the running thread is alive; null before there are threads.
    if let Some(thread) = unsafe { percpu::this().thread.get().as_ref() }
        && !thread.has_user_state.get()
    {
        thread.has_user_state.set(true);
        thread.load_bases();
        thread.own_registers();
    }
}

/// The handle of this CPU's boot context.
pub fn boot_thread() -> Arc<dyn MachineThread> {
    let cpu = percpu::this();
    let mut boot = cpu.boot_thread.borrow_mut();
    let thread = boot.get_or_insert_with(|| {
        let thread = Arc::new(Thread::adopt().expect("memory for the idle thread"));
        cpu.thread.set(Arc::as_ptr(&thread));
        thread
    });
    thread.clone()
}

/// The thread behind a handle.
#[inline(always)]
fn of(thread: &Arc<dyn MachineThread>) -> &Thread {
    debug_assert!(thread.as_any().is::<Thread>(), "a thread of another machine");
    // SAFETY: the kernel has one machine, whose `new_thread` and `boot_thread` make all handles.
    unsafe { &*Arc::as_ptr(thread).cast::<Thread>() }
}

/// Continues `next`; returns when someone continues `prev`.
///
/// # Safety
/// Both live until they are left; `prev` runs here, and its user state has been saved.
#[inline(always)]
unsafe fn leave(prev: &Thread, next: &Thread) {
    let cpu = percpu::this();
    cpu.thread.set(next);
    // SAFETY: `next` has a saved stack pointer, as it was switched away from or made by `new`;
    // `on_cpu` keeps two CPUs off one stack.
    unsafe {
        switch_stacks(
            prev.rsp.get(),
            &prev.on_cpu,
            next.rsp.get(),
            &next.on_cpu,
            cpu.switch_stack_top(),
        );
    }
}

/// Leaves `prev`, continues `next`.
pub fn switch(prev: &Arc<dyn MachineThread>, next: &Arc<dyn MachineThread>) {
    crate::lockdep::assert_none_held("switch");
    let (prev, next) = (of(prev), of(next));
    debug_assert!(prev.is_current(), "switch away from a thread that does not run");
    if core::ptr::eq(prev, next) {
        return;
    }
    prev.save_user_state();
    prev.note_user_regs();
    // SAFETY: both threads are kept alive by the references.
    unsafe { leave(prev, next) };
    // Some time later, perhaps on another CPU.
    prev.load_user_state();
}

impl MachineThread for Thread {
    fn fpu_save(&self, to: &mut [u8]) {
        if self.is_current() && self.has_user_state.get() {
            self.fpu.save_all();
        }
        self.fpu.get(to);
    }

    fn fpu_restore(&self, from: &[u8]) -> Result<()> {
        let live = self.is_current() && self.has_user_state.get();
        self.fpu.set(from)?;
        if live {
            self.fpu.load();
        } else {
            self.fpu_cpu.set(NO_CPU);
        }
        Ok(())
    }

    fn fpu_size(&self) -> usize {
        features::get().fpu_size
    }

    fn reset_user_state(&self) {
        self.fpu.init();
        self.fs_base.set(0);
        self.gs_base.set(0);
        self.has_user_state.set(true);
        self.fpu_cpu.set(NO_CPU);
        if self.is_current() {
            self.load_user_state();
        }
    }

    fn copy_user_state(&self, from: &dyn MachineThread) {
        let from: Option<&Thread> = from.as_any().downcast_ref();
        let from = from.expect("a thread of this machine");
        if !from.has_user_state.get() {
            return;
        }
        assert!(
            from.is_current() && !self.is_current(),
            "state is copied from the running thread"
        );
        self.fpu.save_all();
        from.save_bases();
        self.fs_base.set(from.fs_base.get());
        self.gs_base.set(from.gs_base.get());
        self.has_user_state.set(true);
        self.fpu_cpu.set(NO_CPU);
    }

    fn fs_base(&self) -> u64 {
        if self.is_current() && self.has_user_state.get() {
            self.save_bases();
        }
        self.fs_base.get()
    }

    fn set_fs_base(&self, base: u64) {
        self.set_bases(|| self.fs_base.set(base));
    }

    fn gs_base(&self) -> u64 {
        if self.is_current() && self.has_user_state.get() {
            self.save_bases();
        }
        self.gs_base.get()
    }

    fn set_gs_base(&self, base: u64) {
        self.set_bases(|| self.gs_base.set(base));
    }

    fn set_debug(&self, watch: Option<[u64; 5]>) {
        self.watch.set(watch);
        if self.is_current() {
            self.load_watch();
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }

    fn backtrace(&self, out: &mut [u64]) -> usize {
        let Some(stack) = &self.stack else {
            return 0;
        };
        if self.on_cpu.load(Acquire) {
            return 0;
        }
        // SAFETY: a word of the thread; should it start to run now, the value is stale, which the
        // walk below survives, since it stays within the stack.
        let rsp = unsafe { self.rsp.get().read_volatile() };
        crate::backtrace::walk_saved(rsp as usize, stack.range(), out)
    }

    fn user_regs(&self) -> Option<UserRegs> {
        if self.is_current() {
            self.note_user_regs();
        } else if self.on_cpu.load(Acquire) {
            return None;
        }
        let at = self.user_regs.get();
        if !self.on_stack(at) {
            return None;
        }
        // SAFETY: within the thread's stack, and `run_user` was given it as its registers. If the
        // thread starts to run now, or has left its user loop, the words are stale but readable; the
        // running thread itself is in a call and has its registers there.
        Some(unsafe { (at as *const UserRegs).read_volatile() })
    }
}

impl Thread {
    fn set_bases(&self, set: impl FnOnce()) {
        if self.is_current() && self.has_user_state.get() {
            self.save_bases();
            set();
            self.load_bases();
        } else {
            set();
            self.fpu_cpu.set(NO_CPU);
        }
    }
}
