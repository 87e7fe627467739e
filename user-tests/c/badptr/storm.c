/* Nonsense to every call: the kernel stays whole and every errno is a real one. */
#include <sys/resource.h>

#include "ktest.h"
#include "sys.h"

#define SAFE_OUT 200

static uint64_t state;

static uint64_t next(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

/* Calls that only end a round early, multiply it, or block it. */
static const short spared[] = {
	SYS_exit, SYS_exit_group, SYS_fork, SYS_vfork, SYS_clone, SYS_clone3, SYS_execve,
	SYS_execveat, SYS_rt_sigreturn, SYS_pause, SYS_rt_sigsuspend, SYS_rt_sigtimedwait,
	SYS_munmap, SYS_mprotect, SYS_mmap, SYS_mremap, SYS_brk, SYS_madvise, SYS_arch_prctl,
	SYS_pkey_mprotect, SYS_remap_file_pages, SYS_kill, SYS_tkill, SYS_tgkill, SYS_seccomp,
	SYS_select, SYS_pselect6, SYS_poll, SYS_ppoll, SYS_epoll_wait, SYS_epoll_pwait,
	SYS_nanosleep, SYS_clock_nanosleep, SYS_futex, SYS_wait4, SYS_waitid, SYS_alarm,
	SYS_setitimer, SYS_sync, SYS_syncfs, SYS_ptrace, SYS_prlimit64, SYS_setrlimit,
};

static int is_spared(long nr)
{
	for (unsigned i = 0; i < sizeof spared / sizeof *spared; i++)
		if (spared[i] == nr)
			return 1;
	return 0;
}

static long argument(void)
{
	static char page[4096];
	static const long odd[] = { 0, 1, -1, 2, 3, 8, 64, 4096, 0x7fffffff, -0x7fffffff - 1L,
				    0x7fffffffffffffff, 0x10000, 0xffffffff80000000,
				    0x8000000000000000, AT_FDCWD, 999, 0x1000 };
	if (next() % 4 == 0)
		return (long)(page + next() % 4096);
	if (next() % 8 == 0)
		return next();
	return odd[next() % (sizeof odd / sizeof *odd)];
}

static void storm(uint64_t seed, int calls)
{
	state = seed;
	for (int i = 0; i < calls; i++) {
		long nr = next() % 450;
		long a = argument(), b = argument(), c = argument();
		long d = argument(), e = argument(), f = argument();
		if (is_spared(nr))
			continue;
		errno = 0;
		long r = syscall(nr, a, b, c, d, e, f);
		if (r == -1 && (errno <= 0 || errno > 133)) {
			dup2(SAFE_OUT, 1);
			kt_say("# call %ld gave errno %d (seed %llx)\n", nr, errno,
			       (unsigned long long)seed);
			_exit(1);
		}
	}
}

TEST_FOR(nonsense_does_no_harm, 100)
{
	for (int round = 0; round < 25; round++) {
		pid_t child = SPAWN({
			CHECK_OK(setsid());
			CHECK_OK(setrlimit(RLIMIT_FSIZE, &(struct rlimit){ 1 << 20, 1 << 20 }));
			CHECK_OK(setrlimit(RLIMIT_AS, &(struct rlimit){ 64 << 20, 64 << 20 }));
			int null = CHECK_OK(open("/dev/null", O_RDWR));
			dup2(null, 0);
			/* Nonsense may be written too: keep the console out of reach. */
			CHECK_EQ(dup2(1, SAFE_OUT), SAFE_OUT);
			for (int fd = 1; fd <= 3; fd++)
				dup2(null, fd);
			CHECK_OK(setgid(65534));
			CHECK_OK(setuid(65534));
			storm(0x9e3779b97f4a7c15 * (round + 1), 2000);
		});
		/* It may block in some call, or end itself by a signal. */
		long long end = kt_now_ms() + 1000;
		int status;
		pid_t got;
		while ((got = waitpid(child, &status, WNOHANG)) == 0) {
			if (kt_now_ms() > end)
				kill(child, SIGKILL);
			kt_sleep_ms(5);
		}
		CHECK_EQ(got, child);
		if (WIFEXITED(status) && WEXITSTATUS(status) == 1)
			KT_FAIL("round %d failed", round);
	}
	/* And the machine still works. */
	JOIN(SPAWN(CHECK_EQ(getuid(), 0)));
}
