//! What a task must do before it goes back to user mode (Linux's `TIF_*` flags).

bitflags::bitflags! {
    /// Work for the return to user mode. Zero on the fast path: one load, one branch.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct ThreadFlags: u32 {
        /// A signal may be pending.
        const SIGPENDING = 1 << 0;
        /// Another task should run on this CPU.
        const NEED_RESCHED = 1 << 1;
        /// The thread group stops, or the whole process exits.
        const JOBCTL = 1 << 2;
        /// The cgroup is frozen.
        const FREEZE = 1 << 3;
        /// The CPU bandwidth of an ancestor cgroup is used up.
        const THROTTLED = 1 << 4;
        /// Memory above `memory.high` has to be paid for with time.
        const MEMORY_HIGH = 1 << 5;
        /// Restore the signal mask that a call like `ppoll` replaced.
        const RESTORE_SIGMASK = 1 << 6;
        /// The kernel's strace follows this task.
        const STRACE = 1 << 7;
        /// Something that needs no lock held was left to be done: release agents of cgroups are to be started.
        const TASK_WORK = 1 << 8;
        /// A charge met a limit: somebody has to be killed before the task goes on.
        const MEMORY_OOM = 1 << 9;
        /// The exit is complete: the thread ends.
        const EXITED = 1 << 10;
        /// System calls are filtered.
        const SECCOMP = 1 << 11;
        /// The area for restartable sequences has to be looked at.
        const RSEQ = 1 << 12;
        /// It has a tracer.
        const TRACED = 1 << 14;
        /// It dispatches its system calls itself.
        const USER_DISPATCH = 1 << 15;
        /// All that the entry of a system call looks at.
        const SYSCALL_WORK = Self::STRACE.bits()
            | Self::SECCOMP.bits()
            | Self::TRACED.bits()
            | Self::USER_DISPATCH.bits();
        /// A threshold of memory usage was crossed: somebody wants to know.
        const MEMORY_EVENTS = 1 << 13;
        /// All that [`exit_to_user`] of the system-call layer looks at.
        ///
        /// [`exit_to_user`]: ../../linux_syscall/thread/fn.exit_to_user.html
        const EXIT_WORK = !Self::SYSCALL_WORK.bits();
    }
}
