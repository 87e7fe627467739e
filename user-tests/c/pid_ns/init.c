/* pid_namespaces(7): the duties and privileges of the namespace's init. */
#include "pid_ns.h"

TEST(its_death_kills_everyone_before_it_is_waited_for)
{
	int end[2];
	char c;
	CHECK_OK(pipe(end));
	pid_t child = SPAWN_IN(CLONE_NEWPID, {
		for (int i = 0; i < 20; i++)
			SPAWN({
				close(end[0]);
				SPAWN(for (;;) pause());
				for (;;)
					pause();
			});
		kt_sleep_ms(50);
		_exit(7);
	});
	CHECK_OK(close(end[1]));
	CHECK_EQ(WEXITSTATUS(kt_wait(child)), 7);
	/* All write ends must already be closed: the pipe is at its end now. */
	CHECK_OK(fcntl(end[0], F_SETFL, O_NONBLOCK));
	CHECK_EQ(read(end[0], &c, 1), 0);
}

TEST(it_adopts_orphans)
{
	JOIN(SPAWN_IN(CLONE_NEWPID, {
		int end[2];
		CHECK_OK(pipe(end));
		JOIN(SPAWN(SPAWN({
			WAIT_FOR(getppid() == 1);
			give(end[1]);
			_exit(5);
		})));
		take(end[0]);
		int status;
		CHECK_EQ(wait(&status), 3);
		CHECK_EQ(WEXITSTATUS(status), 5);
	}));
}

TEST(inner_signals_without_a_handler_do_not_touch_it)
{
	JOIN(SPAWN_IN(CLONE_NEWPID, {
		JOIN(SPAWN({
			CHECK_OK(kill(1, SIGTERM));
			CHECK_OK(kill(1, SIGKILL));
			CHECK_OK(kill(1, SIGSTOP));
		}));
		CHECK_OK(kill(getpid(), SIGKILL));
		CHECK_OK(kill(getpid(), SIGTERM));
		CHECK_OK(kill(getpid(), SIGSTOP));
		sigset_t pending;
		sigpending(&pending);
		CHECK(!sigismember(&pending, SIGTERM));
	}));
}

static volatile int got;

static void note(int sig)
{
	got = sig;
}

TEST(inner_signals_with_a_handler_arrive)
{
	JOIN(SPAWN_IN(CLONE_NEWPID, {
		signal(SIGTERM, note);
		JOIN(SPAWN(CHECK_OK(kill(1, SIGTERM))));
		CHECK_EQ(got, SIGTERM);
	}));
}

TEST(outer_kill_and_stop_work)
{
	int end[2], status;
	CHECK_OK(pipe(end));
	pid_t child = SPAWN_IN(CLONE_NEWPID, {
		give(end[1]);
		for (;;)
			pause();
	});
	take(end[0]);
	CHECK_OK(kill(child, SIGTERM));
	CHECK_OK(kill(child, SIGINT));
	kt_sleep_ms(30);
	CHECK_EQ(waitpid(child, &status, WNOHANG), 0);
	CHECK_OK(kill(child, SIGSTOP));
	CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
	CHECK(WIFSTOPPED(status));
	CHECK_OK(kill(child, SIGCONT));
	CHECK_OK(kill(child, SIGKILL));
	CHECK_EQ(kt_wait(child), SIGKILL);
}

static siginfo_t seen;

static void note_info(int sig, siginfo_t *info, void *context)
{
	(void)context;
	seen = *info;
	got = sig;
}

TEST(a_sender_from_outside_is_0)
{
	int end[2];
	CHECK_OK(pipe(end));
	pid_t child = SPAWN_IN(CLONE_NEWPID, {
		struct sigaction act = { .sa_sigaction = note_info, .sa_flags = SA_SIGINFO };
		CHECK_OK(sigaction(SIGUSR1, &act, NULL));
		give(end[1]);
		WAIT_FOR(got);
		CHECK_EQ(seen.si_pid, 0);
	});
	take(end[0]);
	CHECK_OK(kill(child, SIGUSR1));
	JOIN(child);
}

TEST(a_sender_from_inside_has_its_inner_number)
{
	JOIN(SPAWN_IN(CLONE_NEWPID, {
		struct sigaction act = { .sa_sigaction = note_info, .sa_flags = SA_SIGINFO };
		CHECK_OK(sigaction(SIGUSR1, &act, NULL));
		pid_t child = SPAWN(CHECK_OK(kill(1, SIGUSR1)));
		JOIN(child);
		CHECK_EQ(seen.si_pid, child);
	}));
}

TEST(a_sender_from_below_has_its_number_here)
{
	struct sigaction act = { .sa_sigaction = note_info, .sa_flags = SA_SIGINFO };
	CHECK_OK(sigaction(SIGCHLD, &act, NULL));
	pid_t child = SPAWN_IN(CLONE_NEWPID, CHECK_EQ(getpid(), 1));
	WAIT_FOR(got == SIGCHLD);
	CHECK_EQ(seen.si_pid, child);
	JOIN(child);
}

TEST(outsiders_cannot_be_named)
{
	pid_t outside = getpid();
	JOIN(SPAWN_IN(CLONE_NEWPID, {
		CHECK_ERR(kill(outside, 0), ESRCH);
		CHECK_ERR(kill(0x3fffffff, SIGTERM), ESRCH);
		CHECK_ERR(getpgid(outside), ESRCH);
		CHECK_ERR(sys_pidfd_open(outside, 0), ESRCH);
		CHECK_ERR(sched_setaffinity(outside, 8, &(cpu_set_t){ { 1 } }), ESRCH);
		CHECK_ERR(setpgid(0, outside), EPERM);
		/* kill(-1) of an init alone in its namespace finds nobody. */
		CHECK_ERR(kill(-1, SIGKILL), ESRCH);
	}));
}

TEST(reboot_ends_it_with_a_signal)
{
	static const struct {
		int command, sig;
	} how[] = { { 0x01234567, SIGHUP }, { (int)0xcdef0123, SIGINT }, { 0x4321fedc, SIGINT } };
	for (int i = 0; i < 3; i++) {
		pid_t child = SPAWN_IN(CLONE_NEWPID, {
			syscall(SYS_reboot, 0xfee1dead, 672274793, how[i].command, NULL);
			_exit(99);
		});
		int status = kt_wait(child);
		CHECK(WIFSIGNALED(status));
		CHECK_EQ(WTERMSIG(status), how[i].sig);
	}
	pid_t child = SPAWN_IN(CLONE_NEWPID, {
		CHECK_ERR(syscall(SYS_reboot, 0xfee1dead, 672274793, 0, NULL), EINVAL);
		CHECK_ERR(syscall(SYS_reboot, 1, 2, 0x01234567, NULL), EINVAL);
	});
	JOIN(child);
}

TEST(nested_namespaces_die_together)
{
	int end[2];
	char c;
	CHECK_OK(pipe(end));
	pid_t child = SPAWN_IN(CLONE_NEWPID, {
		SPAWN_IN(CLONE_NEWPID, {
			SPAWN_IN(CLONE_NEWPID, {
				give(end[1]);
				for (;;)
					pause();
			});
			for (;;)
				pause();
		});
		for (;;)
			pause();
	});
	take(end[0]);
	CHECK_OK(close(end[1]));
	kill(child, SIGKILL);
	CHECK_EQ(kt_wait(child), SIGKILL);
	CHECK_OK(fcntl(end[0], F_SETFL, O_NONBLOCK));
	CHECK_EQ(read(end[0], &c, 1), 0);
}

TEST(a_zombie_held_by_an_outside_parent_delays_it)
{
	/* The second child's parent is outside; init's end waits for its reaping. */
	JOIN(SPAWN({
		int end[2];
		CHECK_OK(pipe(end));
		CHECK_OK(unshare(CLONE_NEWPID));
		pid_t init = SPAWN(take(end[0]));
		pid_t other = SPAWN(pause());
		give(end[1]);
		kt_sleep_ms(50);
		CHECK_EQ(waitpid(init, NULL, WNOHANG), 0);
		CHECK_EQ(kt_wait(other), SIGKILL);
		JOIN(init);
	}));
}

TEST(many_come_and_go)
{
	for (int i = 0; i < 50; i++)
		JOIN(SPAWN_IN(CLONE_NEWPID, {
			CHECK_EQ(getpid(), 1);
			SPAWN(pause());
			JOIN(SPAWN(CHECK_EQ(getpid(), 3)));
		}));
}
