/* Masks and pending signals: sigprocmask(2), sigpending(2), sigsuspend(2). */
#include "proc.h"
#include "sys.h"

static volatile int count, order[16];

static void note(int sig)
{
	order[count++] = sig;
}

static sigset_t set_of(int a, int b)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, a);
	if (b)
		sigaddset(&set, b);
	return set;
}

TEST(blocked_until_unblocked)
{
	sigset_t set = set_of(SIGUSR1, 0), pending;
	signal(SIGUSR1, note);
	CHECK_OK(sigprocmask(SIG_BLOCK, &set, NULL));
	raise(SIGUSR1);
	raise(SIGUSR1);
	CHECK_EQ(count, 0);
	CHECK_OK(sigpending(&pending));
	CHECK(sigismember(&pending, SIGUSR1));
	CHECK_OK(sigprocmask(SIG_UNBLOCK, &set, NULL));
	CHECK_EQ(count, 1);
	CHECK_OK(sigpending(&pending));
	CHECK(!sigismember(&pending, SIGUSR1));
}

TEST(block_unblock_and_set)
{
	sigset_t a = set_of(SIGUSR1, SIGHUP), b = set_of(SIGHUP, 0), now;
	CHECK_OK(sigprocmask(SIG_SETMASK, &a, NULL));
	CHECK_OK(sigprocmask(SIG_UNBLOCK, &b, &now));
	CHECK(sigismember(&now, SIGHUP));
	CHECK_OK(sigprocmask(SIG_BLOCK, NULL, &now));
	CHECK(!sigismember(&now, SIGHUP));
	CHECK(sigismember(&now, SIGUSR1));
	CHECK_ERR(sigprocmask(77, &a, NULL), EINVAL);
	CHECK_OK(sigprocmask(77, NULL, &now));
}

TEST(kill_and_stop_are_never_blocked)
{
	sigset_t all, now;
	memset(&all, 0xff, sizeof all);
	CHECK_OK(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, 8));
	CHECK_OK(syscall(SYS_rt_sigprocmask, SIG_SETMASK, NULL, &now, 8));
	CHECK(!sigismember(&now, SIGKILL));
	CHECK(!sigismember(&now, SIGSTOP));
	CHECK(sigismember(&now, SIGTERM));
	CHECK_EQ(kt_wait(SPAWN(raise(SIGKILL))), SIGKILL);
}

TEST(raw_calls_check_their_arguments)
{
	sigset_t set = set_of(SIGUSR1, 0);
	CHECK_ERR(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &set, NULL, 4), EINVAL);
	CHECK_ERR(syscall(SYS_rt_sigprocmask, SIG_BLOCK, BAD_PTR, NULL, 8), EFAULT);
	CHECK_ERR(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, BAD_PTR, 8), EFAULT);
	CHECK_ERR(syscall(SYS_rt_sigpending, BAD_PTR, 8), EFAULT);
	CHECK_ERR(syscall(SYS_rt_sigpending, &set, 16), EINVAL);
	CHECK_ERR(syscall(SYS_rt_sigsuspend, &set, 4), EINVAL);
	CHECK_ERR(syscall(SYS_rt_sigsuspend, BAD_PTR, 8), EFAULT);
}

TEST(real_time_signals_queue_in_order)
{
	int low = SIGRTMIN + 1, high = SIGRTMIN + 5;
	sigset_t set = set_of(low, high);
	signal(low, note);
	signal(high, note);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < 2; i++) {
		sigqueue(getpid(), high, (union sigval){ 0 });
		sigqueue(getpid(), low, (union sigval){ 0 });
	}
	siginfo_t info;
	for (int i = 0; i < 2; i++)
		CHECK_EQ(sigtimedwait(&set, &info, &(struct timespec){ 0 }), low);
	for (int i = 0; i < 2; i++)
		CHECK_EQ(sigtimedwait(&set, &info, &(struct timespec){ 0 }), high);
	CHECK_ERR(sigtimedwait(&set, &info, &(struct timespec){ 0 }), EAGAIN);
}

TEST(values_queue_in_order)
{
	sigset_t set = set_of(SIGRTMIN, 0);
	siginfo_t info;
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (int i = 0; i < 10; i++)
		CHECK_OK(sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = i }));
	for (int i = 0; i < 10; i++) {
		CHECK_EQ(sigwaitinfo(&set, &info), SIGRTMIN);
		CHECK_EQ(info.si_value.sival_int, i);
	}
}

TEST(several_pending_signals_nest)
{
	/* All are delivered before the interrupted code goes on; synchronous and
	 * lower numbers are set up first, so their handlers run last. */
	sigset_t set;
	sigfillset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	signal(SIGUSR1, note);
	signal(SIGUSR2, note);
	signal(SIGHUP, note);
	raise(SIGUSR2);
	raise(SIGUSR1);
	raise(SIGHUP);
	sigemptyset(&set);
	sigprocmask(SIG_SETMASK, &set, NULL);
	CHECK_EQ(count, 3);
	CHECK_EQ(order[0], SIGUSR2);
	CHECK_EQ(order[1], SIGUSR1);
	CHECK_EQ(order[2], SIGHUP);
}

TEST(sigsuspend_swaps_the_mask)
{
	sigset_t block = set_of(SIGUSR1, SIGUSR2), only2 = set_of(SIGUSR2, 0), now;
	signal(SIGUSR1, note);
	signal(SIGUSR2, note);
	sigprocmask(SIG_BLOCK, &block, NULL);
	raise(SIGUSR2);
	pid_t me = getpid();
	pid_t child = SPAWN(kt_sleep_ms(30); kill(me, SIGUSR1));
	CHECK_ERR(sigsuspend(&only2), EINTR);
	CHECK_EQ(count, 1);
	CHECK_EQ(order[0], SIGUSR1);
	sigprocmask(SIG_BLOCK, NULL, &now);
	CHECK(sigismember(&now, SIGUSR1) && sigismember(&now, SIGUSR2));
	kt_wait(child);
}

TEST(sigsuspend_with_a_pending_signal_returns_at_once)
{
	sigset_t block = set_of(SIGUSR1, 0), none;
	sigemptyset(&none);
	signal(SIGUSR1, note);
	sigprocmask(SIG_BLOCK, &block, NULL);
	raise(SIGUSR1);
	CHECK_ERR(sigsuspend(&none), EINTR);
	CHECK_EQ(count, 1);
}

TEST(pause_waits_for_a_handler)
{
	signal(SIGUSR1, note);
	signal(SIGUSR2, SIG_IGN);
	pid_t me = getpid();
	pid_t child = SPAWN({
		WAIT_FOR(kt_state(me) == 'S');
		kt_sleep_ms(20);
		kill(me, SIGUSR2);
		kt_sleep_ms(20);
		kill(me, SIGUSR1);
	});
	CHECK_ERR(pause(), EINTR);
	CHECK_EQ(count, 1);
	kt_wait(child);
}

TEST(sigtimedwait_takes_without_handling)
{
	sigset_t set = set_of(SIGUSR1, SIGUSR2);
	siginfo_t info;
	signal(SIGUSR1, note);
	sigprocmask(SIG_BLOCK, &set, NULL);
	long long start = kt_now_ms();
	CHECK_ERR(sigtimedwait(&set, &info, &(struct timespec){ 0, 50000000 }), EAGAIN);
	CHECK(kt_now_ms() - start >= 50);
	raise(SIGUSR1);
	CHECK_EQ(sigtimedwait(&set, &info, &(struct timespec){ 0 }), SIGUSR1);
	CHECK_EQ(count, 0);
	pid_t me = getpid();
	pid_t child = SPAWN(kt_sleep_ms(30); kill(me, SIGUSR2));
	CHECK_EQ(sigwaitinfo(&set, &info), SIGUSR2);
	CHECK_EQ(info.si_pid, child);
	kt_wait(child);
	CHECK_ERR(sigtimedwait(&set, NULL, &(struct timespec){ 0, 1000000000 }), EINVAL);
	CHECK_ERR(sigtimedwait(&set, NULL, &(struct timespec){ -1, 0 }), EINVAL);
	CHECK_ERR(syscall(SYS_rt_sigtimedwait, &set, NULL, NULL, 4), EINVAL);
	CHECK_ERR(syscall(SYS_rt_sigtimedwait, BAD_PTR, NULL, NULL, 8), EFAULT);
}

TEST(sigtimedwait_is_interrupted_by_others)
{
	sigset_t set = set_of(SIGUSR2, 0);
	signal(SIGUSR1, note);
	sigprocmask(SIG_BLOCK, &set, NULL);
	pid_t me = getpid();
	pid_t child = SPAWN(WAIT_FOR(kt_state(me) == 'S'); kill(me, SIGUSR1));
	CHECK_ERR(syscall(SYS_rt_sigtimedwait, &set, NULL, NULL, 8), EINTR);
	CHECK_EQ(count, 1);
	kt_wait(child);
}

TEST(kill_targets)
{
	CHECK_ERR(kill(getpid(), 65), EINVAL);
	CHECK_ERR(kill(getpid(), -1), EINVAL);
	CHECK_ERR(kill(0x3fffffff, 0), ESRCH);
	CHECK_ERR(kill(-0x3fffffff, 0), ESRCH);
	CHECK_ERR(kill((pid_t)0x80000000, 0), ESRCH);
	CHECK_ERR(sys_tgkill(getpid(), 0x3fffffff, 0), ESRCH);
	CHECK_ERR(sys_tgkill(getppid(), sys_gettid(), 0), ESRCH);
	CHECK_ERR(sys_tgkill(0, sys_gettid(), 0), EINVAL);
	CHECK_ERR(sys_tgkill(getpid(), 0, 0), EINVAL);
	CHECK_ERR(sys_tgkill(getpid(), sys_gettid(), 65), EINVAL);
	CHECK_ERR(syscall(SYS_tkill, 0, 0), EINVAL);
	CHECK_OK(syscall(SYS_tkill, sys_gettid(), 0));
	pid_t child = SPAWN({
		setpgid(0, 0);
		signal(SIGUSR1, note);
		SPAWN(pause());
		SPAWN(pause());
		CHECK_OK(kill(0, SIGUSR1));
		int status;
		for (int i = 0; i < 2; i++)
			CHECK(wait(&status) > 0 && (WTERMSIG(status) == SIGUSR1 || count));
	});
	/* Children that did not yet pause inherited the handler: end them. */
	kt_sleep_ms(50);
	kill(-child, SIGKILL);
	kt_wait(child);
}

TEST(kill_of_all_spares_the_caller_and_init)
{
	if (kt_native())
		SKIP("the test runner is in the same pid namespace");
	pid_t child = CHECK_OK(sys_clone(CLONE_NEWPID | SIGCHLD, NULL, NULL));
	if (child == 0) {
		pid_t a = SPAWN(pause()), b = SPAWN(pause());
		CHECK_OK(kill(-1, SIGTERM));
		CHECK_EQ(kt_wait(a), SIGTERM);
		CHECK_EQ(kt_wait(b), SIGTERM);
		CHECK_ERR(kill(-1, SIGTERM), ESRCH);
		_exit(0);
	}
	JOIN(child);
}
