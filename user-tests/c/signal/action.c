/* sigaction(2): dispositions and flags. */
#include "proc.h"
#include "sys.h"

static volatile int count, depth, deepest, last;

static void on_signal(int sig)
{
	last = sig;
	count++;
	if (++depth > deepest)
		deepest = depth;
	if (count < 3)
		raise(sig);
	depth--;
}

static void simple(int sig)
{
	last = sig;
	count++;
}

TEST(kill_and_stop_cannot_be_caught)
{
	struct sigaction act = { .sa_handler = simple }, old;
	CHECK_ERR(sigaction(SIGKILL, &act, NULL), EINVAL);
	CHECK_ERR(sigaction(SIGSTOP, &act, NULL), EINVAL);
	act.sa_handler = SIG_IGN;
	CHECK_ERR(sigaction(SIGKILL, &act, NULL), EINVAL);
	CHECK_OK(sigaction(SIGKILL, NULL, &old));
	CHECK(old.sa_handler == SIG_DFL);
	CHECK_ERR(sigaction(0, NULL, &old), EINVAL);
	CHECK_ERR(sigaction(65, &act, NULL), EINVAL);
	CHECK_ERR(sigaction(-1, &act, NULL), EINVAL);
}

TEST(raw_call_checks_its_arguments)
{
	char raw[32];
	CHECK_ERR(syscall(SYS_rt_sigaction, SIGUSR1, NULL, raw, 4), EINVAL);
	CHECK_ERR(syscall(SYS_rt_sigaction, SIGUSR1, NULL, raw, 16), EINVAL);
	CHECK_ERR(syscall(SYS_rt_sigaction, SIGUSR1, BAD_PTR, NULL, 8), EFAULT);
	CHECK_ERR(syscall(SYS_rt_sigaction, SIGUSR1, NULL, BAD_PTR, 8), EFAULT);
}

TEST(the_old_action_comes_back_whole)
{
	struct sigaction act = { .sa_handler = simple, .sa_flags = SA_RESTART | SA_NODEFER }, old;
	sigaddset(&act.sa_mask, SIGHUP);
	sigaddset(&act.sa_mask, SIGRTMAX);
	CHECK_OK(sigaction(SIGUSR1, &act, NULL));
	CHECK_OK(sigaction(SIGUSR1, NULL, &old));
	CHECK(old.sa_handler == simple);
	CHECK_EQ(old.sa_flags & ~0x04000000, SA_RESTART | SA_NODEFER);
	CHECK(sigismember(&old.sa_mask, SIGHUP));
	CHECK(sigismember(&old.sa_mask, SIGRTMAX));
	CHECK(!sigismember(&old.sa_mask, SIGINT));
}

TEST(a_signal_is_blocked_while_handled)
{
	struct sigaction act = { .sa_handler = on_signal };
	CHECK_OK(sigaction(SIGUSR1, &act, NULL));
	raise(SIGUSR1);
	CHECK_EQ(count, 3);
	CHECK_EQ(deepest, 1);
}

TEST(sa_nodefer)
{
	struct sigaction act = { .sa_handler = on_signal, .sa_flags = SA_NODEFER };
	CHECK_OK(sigaction(SIGUSR1, &act, NULL));
	raise(SIGUSR1);
	CHECK_EQ(count, 3);
	CHECK_EQ(deepest, 3);
}

TEST(sa_resethand)
{
	struct sigaction act = { .sa_handler = simple, .sa_flags = SA_RESETHAND }, old;
	CHECK_OK(sigaction(SIGUSR1, &act, NULL));
	raise(SIGUSR1);
	CHECK_EQ(count, 1);
	CHECK_OK(sigaction(SIGUSR1, NULL, &old));
	CHECK(old.sa_handler == SIG_DFL);
	CHECK_EQ(kt_wait(SPAWN(raise(SIGUSR1))), SIGUSR1);
}

static int order[4], at;

static void first(int sig)
{
	raise(SIGUSR2);
	raise(SIGHUP);
	order[at++] = sig;
}

static void note(int sig)
{
	order[at++] = sig;
}

TEST(sa_mask_blocks_others)
{
	struct sigaction act = { .sa_handler = first };
	sigaddset(&act.sa_mask, SIGUSR2);
	CHECK_OK(sigaction(SIGUSR1, &act, NULL));
	signal(SIGUSR2, note);
	signal(SIGHUP, note);
	raise(SIGUSR1);
	CHECK_EQ(at, 3);
	CHECK_EQ(order[0], SIGHUP);
	CHECK_EQ(order[1], SIGUSR1);
	CHECK_EQ(order[2], SIGUSR2);
}

static void mask_inside(int sig)
{
	sigset_t set;
	sigprocmask(SIG_BLOCK, NULL, &set);
	last = sigismember(&set, sig) && sigismember(&set, SIGHUP) && !sigismember(&set, SIGKILL);
}

TEST(the_mask_is_restored_after_a_handler)
{
	struct sigaction act = { .sa_handler = mask_inside };
	sigset_t before, after;
	sigfillset(&act.sa_mask);
	CHECK_OK(sigaction(SIGUSR1, &act, NULL));
	sigprocmask(SIG_BLOCK, NULL, &before);
	raise(SIGUSR1);
	CHECK_EQ(last, 1);
	sigprocmask(SIG_BLOCK, NULL, &after);
	CHECK(!memcmp(&before, &after, 8));
}

TEST(default_actions)
{
	static const int ignored[] = { SIGCHLD, SIGURG, SIGWINCH, SIGCONT };
	for (unsigned i = 0; i < sizeof ignored / sizeof *ignored; i++)
		JOIN(SPAWN(raise(ignored[i])));
	for (int sig = 1; sig < 65; sig++) {
		if (sig == SIGCHLD || sig == SIGURG || sig == SIGWINCH || sig == SIGCONT)
			continue;
		if (sig == SIGSTOP || sig == SIGTSTP || sig == SIGTTIN || sig == SIGTTOU)
			continue;
		/* The C library hides two real-time signals: use the calls themselves. */
		int status = kt_wait(SPAWN(syscall(SYS_kill, syscall(SYS_getpid), sig)));
		CHECK_EQ(status & 0x7f, sig);
	}
	static const int stops[] = { SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU };
	for (int i = 0; i < 4; i++) {
		int status;
		pid_t child = SPAWN(raise(stops[i]));
		CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
		CHECK(WIFSTOPPED(status));
		CHECK_EQ(WSTOPSIG(status), stops[i]);
		kill(child, SIGCONT);
		JOIN(child);
	}
}

TEST(ignoring_drops_what_is_pending)
{
	sigset_t set, pending;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigprocmask(SIG_BLOCK, &set, NULL);
	raise(SIGUSR1);
	signal(SIGUSR1, SIG_IGN);
	sigpending(&pending);
	CHECK(!sigismember(&pending, SIGUSR1));
	signal(SIGUSR1, simple);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	CHECK_EQ(count, 0);
}

TEST(ignored_signals_leave_no_trace)
{
	sigset_t pending;
	signal(SIGUSR1, SIG_IGN);
	for (int i = 0; i < 10; i++)
		raise(SIGUSR1);
	sigpending(&pending);
	CHECK(!sigismember(&pending, SIGUSR1));
}

TEST(a_fault_that_is_ignored_or_blocked_kills)
{
	JOIN(SPAWN(signal(SIGSEGV, SIG_IGN); raise(SIGSEGV)));
	int status = kt_wait(SPAWN({
		signal(SIGSEGV, SIG_IGN);
		*(volatile char *)BAD_PTR = 1;
	}));
	CHECK_EQ(status & 0x7f, SIGSEGV);
	status = kt_wait(SPAWN({
		sigset_t set;
		sigfillset(&set);
		sigprocmask(SIG_BLOCK, &set, NULL);
		signal(SIGSEGV, simple);
		*(volatile char *)BAD_PTR = 1;
	}));
	CHECK_EQ(status & 0x7f, SIGSEGV);
}
