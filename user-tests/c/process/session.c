/* setsid(2), setpgid(2) and their relatives. */
#include "proc.h"

TEST(setsid_makes_a_session_and_a_group)
{
	JOIN(SPAWN({
		pid_t sid = CHECK_OK(setsid());
		CHECK_EQ(sid, getpid());
		CHECK_EQ(getsid(0), sid);
		CHECK_EQ(getpgrp(), sid);
		CHECK_EQ(getpgid(0), sid);
		CHECK_ERR(open("/dev/tty", O_RDWR), ENXIO);
	}));
}

TEST(a_group_leader_cannot_setsid)
{
	JOIN(SPAWN({
		CHECK_OK(setpgid(0, 0));
		CHECK_ERR(setsid(), EPERM);
	}));
	JOIN(SPAWN({
		CHECK_OK(setsid());
		CHECK_ERR(setsid(), EPERM);
	}));
}

TEST(a_group_whose_leader_is_gone_still_blocks_its_pid)
{
	/* The leader forks, exits; the group lives on in the child. */
	int end[2];
	char c;
	CHECK_OK(pipe(end));
	pid_t leader = SPAWN({
		CHECK_OK(setpgid(0, 0));
		SPAWN({
			close(end[1]);
			CHECK_EQ(read(end[0], &c, 1), 0);
		});
	});
	JOIN(leader);
	CHECK_OK(kill(-leader, 0));
	CHECK_ERR(kill(leader, 0), ESRCH);
	pid_t child = SPAWN(pause());
	CHECK_OK(setpgid(child, leader));
	CHECK_EQ(getpgid(child), leader);
	kill(child, SIGKILL);
	kt_wait(child);
	CHECK_OK(close(end[1]));
	WAIT_FOR(kill(-leader, 0) < 0 && errno == ESRCH);
}

TEST(setpgid_moves_a_child)
{
	pid_t a = SPAWN(pause()), b = SPAWN(pause());
	CHECK_OK(setpgid(a, a));
	CHECK_EQ(getpgid(a), a);
	CHECK_OK(setpgid(b, a));
	CHECK_EQ(getpgid(b), a);
	CHECK_OK(setpgid(b, 0));
	CHECK_EQ(getpgid(b), b);
	CHECK_OK(setpgid(b, getpgrp()));
	CHECK_EQ(getpgid(b), getpgrp());
	CHECK_OK(kill(-a, SIGKILL));
	kill(b, SIGKILL);
	kt_wait(a);
	kt_wait(b);
}

ROLE(waits)
{
	CHECK_EQ(write(1, "x", 1), 1);
	pause();
	return 0;
}

TEST(a_child_that_executed_a_program_is_not_moved)
{
	int end[2];
	char c;
	CHECK_OK(pipe(end));
	pid_t child = SPAWN({
		dup2(end[1], 1);
		execl("/proc/self/exe", "role:waits", NULL);
		_exit(120);
	});
	CHECK_EQ(read(end[0], &c, 1), 1);
	CHECK_ERR(setpgid(child, child), EACCES);
	kill(child, SIGKILL);
	kt_wait(child);
}

TEST(wrong_moves)
{
	CHECK_ERR(setpgid(0, -1), EINVAL);
	CHECK_ERR(setpgid(-1, 0), EINVAL);
	CHECK_ERR(setpgid(1, 0), ESRCH);
	CHECK_ERR(setpgid(0x3fffffff, 0), ESRCH);
	pid_t child = SPAWN(pause());
	CHECK_ERR(setpgid(child, 0x3fffffff), EPERM);
	CHECK_ERR(setpgid(child, 1), EPERM);
	kill(child, SIGKILL);
	kt_wait(child);
	int end[2];
	char c;
	CHECK_OK(pipe(end));
	child = SPAWN({
		CHECK_OK(setsid());
		CHECK_EQ(write(end[1], "x", 1), 1);
		pause();
	});
	CHECK_EQ(read(end[0], &c, 1), 1);
	CHECK_ERR(setpgid(child, 0), EPERM);
	CHECK_ERR(setpgid(child, getpgrp()), EPERM);
	kill(child, SIGKILL);
	kt_wait(child);
	JOIN(SPAWN({
		CHECK_OK(setsid());
		CHECK_ERR(setpgid(0, 0), EPERM);
	}));
}

TEST(queries)
{
	CHECK_EQ(getpgid(getpid()), getpgrp());
	CHECK_EQ(getsid(getpid()), getsid(0));
	CHECK_ERR(getpgid(0x3fffffff), ESRCH);
	CHECK_ERR(getsid(0x3fffffff), ESRCH);
	CHECK_ERR(getpgid(-1), ESRCH);
	CHECK_ERR(getsid(-1), ESRCH);
	pid_t child = SPAWN(pause());
	CHECK_EQ(getsid(child), getsid(0));
	kill(child, SIGKILL);
	kt_wait(child);
}

static volatile int hups, conts;

static void on_signal(int sig)
{
	if (sig == SIGHUP)
		hups++;
	else
		conts++;
}

TEST(a_newly_orphaned_stopped_group_gets_hup_and_cont)
{
	int end[2];
	char c = 0;
	pid_t stopped;
	CHECK_OK(pipe(end));
	pid_t parent = SPAWN({
		CHECK_OK(setsid());
		stopped = SPAWN({
			CHECK_OK(setpgid(0, 0));
			signal(SIGHUP, on_signal);
			signal(SIGCONT, on_signal);
			raise(SIGSTOP);
			WAIT_FOR(hups && conts);
			CHECK_EQ(write(end[1], "y", 1), 1);
		});
		int status;
		CHECK_EQ(waitpid(stopped, &status, WUNTRACED), stopped);
		CHECK(WIFSTOPPED(status));
	});
	JOIN(parent);
	CHECK_EQ(read(end[0], &c, 1), 1);
	CHECK_EQ(c, 'y');
}

TEST(a_running_orphaned_group_gets_nothing)
{
	int end[2];
	char c = 0;
	CHECK_OK(pipe(end));
	pid_t parent = SPAWN({
		CHECK_OK(setsid());
		pid_t me = getpid();
		SPAWN({
			CHECK_OK(setpgid(0, 0));
			signal(SIGHUP, on_signal);
			CHECK_EQ(write(end[1], "r", 1), 1);
			WAIT_FOR(getppid() != me);
			kt_sleep_ms(50);
			CHECK_EQ(hups, 0);
			CHECK_EQ(write(end[1], "y", 1), 1);
		});
		CHECK_EQ(read(end[0], &c, 1), 1);
	});
	JOIN(parent);
	CHECK_EQ(read(end[0], &c, 1), 1);
	CHECK_EQ(c, 'y');
}

TEST(terminal_stops_are_ignored_in_an_orphaned_group)
{
	JOIN(SPAWN({
		CHECK_OK(setsid());
		/* The session leader's group is orphaned: these do not stop it. */
		raise(SIGTSTP);
		raise(SIGTTIN);
		raise(SIGTTOU);
	}));
	int status;
	pid_t child = SPAWN({
		CHECK_OK(setsid());
		raise(SIGSTOP);
	});
	CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
	CHECK(WIFSTOPPED(status));
	kill(child, SIGKILL);
	kt_wait(child);
}
