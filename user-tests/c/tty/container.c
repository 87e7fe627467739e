/* A terminal of a container: its keys reach the container's foreground job, and nobody else. */
#include <sched.h>

#include "ns.h"
#include "pty.h"

static pid_t job(void)
{
	pid_t pid = SPAWN({
		CHECK_OK(setpgid(0, 0));
		for (;;)
			pause();
	});
	CHECK(setpgid(pid, pid) == 0 || errno == EACCES);
	return pid;
}

/* The first process of the container: a shell with one job in front and one behind. Says how each key ended. */
static void shell(int say)
{
	int status;
	own_proc();
	CHECK_EQ(getpid(), 1);
	CHECK_OK(setsid());
	CHECK_OK(ioctl(slave, TIOCSCTTY, 0));
	signal(SIGTTOU, SIG_IGN);
	pid_t behind = job(), front = job();
	CHECK_OK(tcsetpgrp(slave, front));
	/* Numbers are the container's. */
	CHECK_EQ(tcgetpgrp(slave), front);
	CHECK_EQ(tcgetsid(slave), 1);
	give(say);
	CHECK_EQ(waitpid(-1, &status, WUNTRACED), front);
	CHECK(WIFSTOPPED(status));
	CHECK_EQ(WSTOPSIG(status), SIGTSTP);
	CHECK_OK(kill(-front, SIGCONT));
	WAIT_FOR(kt_state(front) == 'S');
	give(say);
	CHECK_EQ(waitpid(-1, &status, WUNTRACED), front);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGINT);
	CHECK_EQ(waitpid(behind, &status, WNOHANG | WUNTRACED), 0);
	/* The shell itself in front: without a handler its namespace's first process does not hear. */
	CHECK_OK(tcsetpgrp(slave, getpgrp()));
	give(say);
	CHECK_EQ(waitpid(behind, &status, 0), behind);
	CHECK_EQ(WTERMSIG(status), SIGTERM);
}

TEST(keys_reach_the_job_in_front)
{
	int say[2];
	open_pty();
	CHECK_OK(pipe(say));
	CHECK_OK(setpgid(0, 0));
	/* One of the same terminal's outer side, and the group that the container was started from. */
	pid_t outside = job(), beside = SPAWN(pause());
	pid_t first = SPAWN_IN(CLONE_NEWPID | CLONE_NEWNS, shell(say[1]));
	take(say[0]);
	/* Seen from outside, the same groups have other numbers. */
	CHECK_EQ(tcgetsid(master), first);
	CHECK(tcgetpgrp(master) > first);
	type("\x1a");
	take(say[0]);
	type("\x03");
	take(say[0]);
	type("\x03\x1c");
	kt_sleep_ms(30);
	int status;
	CHECK_EQ(waitpid(-1, &status, WNOHANG | WUNTRACED), 0);
	/* The last job, by the number that the outside knows. */
	char path[64], children[64];
	snprintf(path, sizeof path, "/proc/%d/task/%d/children", first, first);
	CHECK(kt_read_file(path, children, sizeof children) > 0);
	CHECK_OK(kill(atoi(children), SIGTERM));
	JOIN(first);
	CHECK_EQ(waitpid(-1, &status, WNOHANG | WUNTRACED), 0);
	kill(outside, SIGKILL);
	kill(beside, SIGKILL);
	kt_wait(outside);
	kt_wait(beside);
}

static volatile int hups;

static void on_hup(int sig)
{
	(void)sig;
	hups++;
}

TEST(a_hangup_ends_the_container)
{
	int say[2], status;
	open_pty();
	CHECK_OK(pipe(say));
	pid_t beside = SPAWN({
		signal(SIGHUP, on_hup);
		close(master);
		while (!hups)
			kt_sleep_ms(5);
	});
	pid_t first = SPAWN_IN(CLONE_NEWPID | CLONE_NEWNS, {
		own_proc();
		CHECK_OK(setsid());
		CHECK_OK(ioctl(slave, TIOCSCTTY, 0));
		signal(SIGHUP, on_hup);
		close(master);
		give(say[1]);
		WAIT_FOR(hups > 0);
		/* Reads find the end, writes an error. */
		char c;
		CHECK_EQ(read(slave, &c, 1), 0);
		CHECK_ERR(write(slave, "x", 1), EIO);
		_exit(9);
	});
	take(say[0]);
	close(slave);
	close(master);
	CHECK_EQ(waitpid(first, &status, 0), first);
	CHECK_EQ(WEXITSTATUS(status), 9);
	CHECK_EQ(waitpid(beside, &status, WNOHANG), 0);
	kill(beside, SIGKILL);
	kt_wait(beside);
}
