/* Bad addresses, lengths and numbers: processes, signals, time, memory. */
#include "table.h"

TEST(processes)
{
	const struct bad_call table[] = {
		CALL(EFAULT, clone3, BAD, 64),
		CALL(EFAULT, clone3, KERNEL, 64),
		CALL(EINVAL, clone3, BAD, 1),
		CALL(E2BIG, clone3, BAD, 1 << 20),
		CALL(EINVAL, waitid, P_ALL, 0, 0, 0, 0),
		CALL(ECHILD, wait4, -1, BAD, 0, BAD),
		CALL(EFAULT, waitid, P_ALL, 0, BAD, WEXITED, BAD),
		CALL(EFAULT, getrlimit, 0, BAD),
		CALL(EFAULT, setrlimit, 0, BAD),
		CALL(EINVAL, getrlimit, 99, BAD),
		CALL(EFAULT, getrusage, 0, RO),
		CALL(EINVAL, getrusage, 99, BAD),
		CALL(EFAULT, times, BAD),
		CALL(EFAULT, uname, KERNEL),
		CALL(EFAULT, sysinfo, RO),
		CALL(EFAULT, getresuid, BAD, BAD, BAD),
		CALL(EFAULT, getresgid, RO, RO, RO),
		CALL(EFAULT, setgroups, 1, BAD),
		CALL(EINVAL, setgroups, -1, BAD),
		CALL(EFAULT, capget, BAD, 0),
		CALL(EFAULT, capset, BAD, BAD),
		CALL(EINVAL, prctl, 12345, 0, 0, 0, 0),
		CALL(EFAULT, prctl, 15 /* SET_NAME */, BAD, 0, 0, 0),
		CALL(EFAULT, prctl, 2 /* GET_PDEATHSIG */, RO, 0, 0, 0),
		CALL(EFAULT, prctl, 37 /* GET_CHILD_SUBREAPER */, BAD, 0, 0, 0),
		CALL(EFAULT, sched_setparam, 0, BAD),
		CALL(EFAULT, sched_setaffinity, 0, 8, BAD),
		CALL(EFAULT, sched_rr_get_interval, 0, BAD),
		CALL(EFAULT, getcpu, BAD, 0, 0),
		CALL(ESRCH, kill, 0x3fffffff, 0),
		CALL(EINVAL, tgkill, -1, -1, 0),
		CALL(ESRCH, getpgid, -5),
		CALL(EINVAL, setpgid, 0, -5),
		CALL(EINVAL, pidfd_open, -5, 0),
		CALL(EINVAL, unshare, 0x7),
		CALL(EFAULT, sethostname, BAD, 5),
		CALL(EINVAL, sethostname, BAD, 65),
		CALL(EINVAL, reboot, 0, 0, 0, 0),
		CALL(EINVAL, set_robust_list, BAD, 23),
		CALL(EFAULT, get_robust_list, 0, BAD, BAD),
		CALL(EINVAL, getgroups, -1, BAD),
	};
	CHECK_CALLS(table);
}

TEST(signals)
{
	long mask = 0;
	const struct bad_call table[] = {
		CALL(EFAULT, rt_sigaction, SIGUSR1, BAD, 0, 8),
		CALL(EFAULT, rt_sigaction, SIGUSR1, 0, RO, 8),
		CALL(EINVAL, rt_sigaction, 65, 0, 0, 8),
		CALL(EINVAL, rt_sigaction, 0, 0, 0, 8),
		CALL(EINVAL, rt_sigaction, SIGUSR1, 0, 0, 4),
		CALL(EFAULT, rt_sigprocmask, 0, BAD, 0, 8),
		CALL(EFAULT, rt_sigprocmask, 0, 0, RO, 8),
		CALL(EINVAL, rt_sigprocmask, 0, 0, 0, 128),
		CALL(EINVAL, rt_sigprocmask, 9, (long)&mask, 0, 8),
		CALL(EFAULT, rt_sigpending, KERNEL, 8),
		CALL(EFAULT, rt_sigtimedwait, BAD, 0, 0, 8),
		CALL(EFAULT, rt_sigtimedwait, (long)&mask, 0, BAD, 8),
		CALL(EFAULT, rt_sigsuspend, BAD, 8),
		CALL(EFAULT, rt_sigqueueinfo, 1, SIGUSR1, BAD),
		CALL(EFAULT, sigaltstack, BAD, 0),
		CALL(EFAULT, sigaltstack, 0, RO),
		CALL(EFAULT, signalfd4, -1, BAD, 8, 0),
		CALL(EINVAL, signalfd4, -1, (long)&mask, 8, 1),
		CALL(EINVAL, kill, 1, 65),
		CALL(EINVAL, kill, 1, -1),
	};
	CHECK_CALLS(table);
}

TEST(time)
{
	const struct bad_call table[] = {
		CALL(EFAULT, clock_gettime, 0, KERNEL),
		CALL(EINVAL, clock_gettime, 99, BAD),
		CALL(EFAULT, clock_getres, 0, BAD),
		CALL(EFAULT, clock_settime, 0, BAD),
		CALL(EFAULT, nanosleep, BAD, 0),
		CALL(EFAULT, clock_nanosleep, 0, 0, KERNEL, 0),
		CALL(EFAULT, gettimeofday, BAD, 0),
		CALL(EFAULT, settimeofday, BAD, 0),
		CALL(EFAULT, time, BAD),
		CALL(EFAULT, getitimer, 0, BAD),
		CALL(EINVAL, getitimer, 9, BAD),
		CALL(EFAULT, setitimer, 0, BAD, 0),
		CALL(EFAULT, timer_create, 0, 0, RO),
		CALL(EFAULT, timer_create, 0, BAD, BAD),
		CALL(EINVAL, timer_delete, 12345),
		CALL(EINVAL, timer_gettime, 12345, BAD),
		CALL(EFAULT, adjtimex, BAD),
		CALL(EINVAL, timerfd_create, 99, 0),
	};
	CHECK_CALLS(table);
}

TEST(memory)
{
	const struct bad_call table[] = {
		CALL(EINVAL, munmap, 1, 4096),
		CALL(EINVAL, munmap, 0, -1),
		CALL(EINVAL, munmap, KERNEL, 4096),
		CALL(EINVAL, mprotect, 1, 4096, 0),
		CALL(ENOMEM, mprotect, KERNEL, 4096, 0),
		CALL(ENOMEM, mprotect, 0x1000, 4096, 1),
		CALL(EINVAL, mremap, 1, 4096, 4096, 0),
		CALL(EFAULT, mremap, 0x1000, 4096, 4096, 0),
		CALL(EINVAL, madvise, 1, 4096, 0),
		CALL(ENOMEM, madvise, 0x1000, 4096, 4),
		CALL(EINVAL, mincore, 1, 4096, BAD),
		CALL(ENOMEM, mincore, 0x1000, 4096, BAD),
		CALL(ENOMEM, mincore, KERNEL, 4096, BAD),
		CALL(EINVAL, msync, 1, 4096, 4),
		CALL(ENOMEM, msync, 0x1000, 4096, 4),
		CALL(ENOMEM, mlock, 0x1000, 4096),
		CALL(EINVAL, mlockall, 0x100),
		CALL(EINVAL, mmap, 0, 0, 1, 0x22, -1, 0),
		CALL(EINVAL, mmap, 0, 4096, 1, 0x22, -1, 1),
		CALL(EINVAL, mmap, 0, 4096, 1, 0x20, -1, 0),
		CALL(EBADF, mmap, 0, 4096, 1, 2, NOFD, 0),
		CALL(EFAULT, futex, BAD, 0, 0, 0, 0, 0),
		CALL(EINVAL, futex, 1, 0, 0, 0, 0, 0),
		CALL(EFAULT, futex, KERNEL, 1, 1, 0, 0, 0),
		CALL(EFAULT, process_vm_readv, 1, BAD, 1, BAD, 1, 0),
		CALL(EPERM, arch_prctl, 0x1002 /* SET_FS */, KERNEL),
		CALL(EFAULT, arch_prctl, 0x1003 /* GET_FS */, BAD),
		CALL(EFAULT, getrandom, BAD, 10, 0),
	};
	CHECK_CALLS(table);
}

TEST(calls_that_do_not_exist)
{
	static const long none[] = { 500, 1000, 4095, 0x7fffffff, -2, 0x40000000L + 39 };
	for (unsigned i = 0; i < sizeof none / sizeof *none; i++)
		CHECK_ERR(syscall(none[i], 1, 2, 3, 4, 5, 6), ENOSYS);
	/* Removed calls stay in the table. */
	CHECK_ERR(syscall(SYS_create_module), ENOSYS);
	CHECK_ERR(syscall(SYS_tuxcall), ENOSYS);
	CHECK_ERR(syscall(SYS_vserver), ENOSYS);
}
