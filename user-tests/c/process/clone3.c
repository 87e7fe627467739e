/* clone3(2): the structure, its sizes, and what only it can do. */
#include <sys/mman.h>

#include "proc.h"
#include "sys.h"

static pid_t call(struct clone_args args)
{
	return sys_clone3(&args, sizeof args);
}

TEST(like_fork)
{
	pid_t child = CHECK_OK(call((struct clone_args){ .exit_signal = SIGCHLD }));
	if (child == 0)
		_exit(7);
	CHECK_EQ(WEXITSTATUS(kt_wait(child)), 7);
}

TEST(the_first_version_has_64_bytes)
{
	struct clone_args args = { .exit_signal = SIGCHLD };
	pid_t child = CHECK_OK(sys_clone3(&args, 64));
	if (child == 0)
		_exit(0);
	JOIN(child);
	CHECK_ERR(sys_clone3(&args, 63), EINVAL);
	CHECK_ERR(sys_clone3(&args, 0), EINVAL);
	CHECK_ERR(sys_clone3(&args, 5000), E2BIG);
	CHECK_ERR(sys_clone3(BAD_PTR, 64), EFAULT);
}

TEST(a_longer_structure_must_end_in_zeros)
{
	struct {
		struct clone_args args;
		uint64_t more[4];
	} big = { .args.exit_signal = SIGCHLD };
	pid_t child = CHECK_OK(sys_clone3(&big.args, sizeof big));
	if (child == 0)
		_exit(0);
	JOIN(child);
	big.more[3] = 1;
	CHECK_ERR(sys_clone3(&big.args, sizeof big), E2BIG);
}

TEST(pidfd_has_its_own_field)
{
	int fd = -1;
	pid_t tid = 0;
	pid_t child = CHECK_OK(call((struct clone_args){
		.flags = CLONE_PIDFD | CLONE_PARENT_SETTID,
		.pidfd = (uintptr_t)&fd,
		.parent_tid = (uintptr_t)&tid,
		.exit_signal = SIGCHLD }));
	if (child == 0)
		_exit(0);
	CHECK(fd >= 0);
	CHECK_EQ(tid, child);
	JOIN(child);
}

static void handler(int sig)
{
	(void)sig;
}

TEST(clear_sighand_resets_handlers_but_not_ignored)
{
	signal(SIGUSR1, handler);
	signal(SIGUSR2, SIG_IGN);
	pid_t child = CHECK_OK(call((struct clone_args){ .flags = CLONE_CLEAR_SIGHAND,
							 .exit_signal = SIGCHLD }));
	if (child == 0) {
		struct sigaction act;
		CHECK_OK(sigaction(SIGUSR1, NULL, &act));
		CHECK(act.sa_handler == SIG_DFL);
		CHECK_OK(sigaction(SIGUSR2, NULL, &act));
		CHECK(act.sa_handler == SIG_IGN);
		_exit(0);
	}
	JOIN(child);
	struct sigaction act;
	CHECK_OK(sigaction(SIGUSR1, NULL, &act));
	CHECK(act.sa_handler == handler);
}

TEST(set_tid_chooses_the_pid)
{
	pid_t want = 0;
	for (pid_t p = 20000; p < 30000 && !want; p++)
		if (kill(p, 0) < 0 && errno == ESRCH)
			want = p;
	pid_t child = CHECK_OK(call((struct clone_args){ .exit_signal = SIGCHLD,
							 .set_tid = (uintptr_t)&want,
							 .set_tid_size = 1 }));
	if (child == 0)
		_exit(getpid() != want);
	CHECK_EQ(child, want);
	JOIN(child);
	pid_t taken = getpid();
	CHECK_ERR(call((struct clone_args){ .exit_signal = SIGCHLD,
					    .set_tid = (uintptr_t)&taken,
					    .set_tid_size = 1 }), EEXIST);
	pid_t bad = 0;
	CHECK_ERR(call((struct clone_args){ .exit_signal = SIGCHLD,
					    .set_tid = (uintptr_t)&bad,
					    .set_tid_size = 1 }), EINVAL);
	CHECK_ERR(call((struct clone_args){ .exit_signal = SIGCHLD,
					    .set_tid = (uintptr_t)&want,
					    .set_tid_size = 33 }), EINVAL);
	CHECK_ERR(call((struct clone_args){ .exit_signal = SIGCHLD, .set_tid_size = 1 }), EINVAL);
	JOIN(SPAWN({
		CHECK_OK(setgid(65534));
		CHECK_OK(setuid(65534));
		CHECK_ERR(call((struct clone_args){ .exit_signal = SIGCHLD,
						    .set_tid = (uintptr_t)&want,
						    .set_tid_size = 1 }), EPERM);
	}));
}

TEST(wrong_values)
{
	CHECK_ERR(call((struct clone_args){ .exit_signal = 65 }), EINVAL);
	CHECK_ERR(call((struct clone_args){ .exit_signal = 0x100 | SIGCHLD }), EINVAL);
	CHECK_ERR(call((struct clone_args){ .flags = CLONE_SIGHAND | CLONE_CLEAR_SIGHAND | CLONE_VM }),
		  EINVAL);
	CHECK_ERR(call((struct clone_args){ .flags = CLONE_THREAD | CLONE_VM | CLONE_SIGHAND,
					    .exit_signal = SIGCHLD }), EINVAL);
	CHECK_ERR(call((struct clone_args){ .flags = CLONE_PARENT, .exit_signal = SIGCHLD }), EINVAL);
	CHECK_ERR(call((struct clone_args){ .flags = 0x400000, .exit_signal = SIGCHLD }), EINVAL);
	CHECK_ERR(call((struct clone_args){ .flags = SIGCHLD }), EINVAL);
	CHECK_ERR(call((struct clone_args){ .flags = 1ULL << 40 }), EINVAL);
	CHECK_ERR(call((struct clone_args){ .stack = 4096, .exit_signal = SIGCHLD }), EINVAL);
	CHECK_ERR(call((struct clone_args){ .stack_size = 4096, .exit_signal = SIGCHLD }), EINVAL);
	CHECK_ERR(call((struct clone_args){ .flags = CLONE_PIDFD, .pidfd = 8, .exit_signal = SIGCHLD }),
		  EFAULT);
	CHECK_ERR(call((struct clone_args){ .flags = 0x200000000ULL /* INTO_CGROUP */, .cgroup = 999,
					    .exit_signal = SIGCHLD }), EBADF);
}
