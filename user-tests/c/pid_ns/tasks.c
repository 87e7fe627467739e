/* pid_namespaces(7), clone(2) set_tid, pidfd_open(2), prctl(2): naming and moving processes. */
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>

#include "pid_ns.h"

static pid_t clone_with_tid(pid_t *tids, size_t n, uint64_t flags)
{
	struct clone_args args = { .flags = flags, .exit_signal = SIGCHLD,
				   .set_tid = (uint64_t)(uintptr_t)tids, .set_tid_size = n };
	return sys_clone3(&args, sizeof args);
}

TEST(set_tid)
{
	JOIN(SPAWN_IN(CLONE_NEWPID, {
		pid_t want[3];
		want[0] = 100;
		pid_t child = CHECK_OK(clone_with_tid(want, 1, 0));
		if (child == 0)
			_exit(getpid() == 100 ? 0 : 1);
		CHECK_EQ(child, 100);
		CHECK_ERR(clone_with_tid(want, 1, 0), EEXIST);
		JOIN(child);
		CHECK_ERR(clone_with_tid((pid_t[]){ 1 }, 1, 0), EEXIST);
		CHECK_ERR(clone_with_tid((pid_t[]){ 0 }, 1, 0), EINVAL);
		CHECK_ERR(clone_with_tid((pid_t[]){ -5 }, 1, 0), EINVAL);
		CHECK_ERR(clone_with_tid((pid_t[]){ 1 << 30 }, 1, 0), EINVAL);
		CHECK_ERR(clone_with_tid(NULL, 1, 0), EINVAL);
		CHECK_ERR(clone_with_tid(want, 0, 0), EINVAL);
		CHECK_ERR(clone_with_tid(want, 33, 0), EINVAL);
		/* The numbering goes on from where it was. */
		child = SPAWN((void)0);
		CHECK_EQ(child, 2);
		JOIN(child);
	}));
}

TEST(set_tid_at_two_levels)
{
	JOIN(SPAWN_IN(CLONE_NEWPID, {
		/* A new namespace begins with 1. */
		CHECK_ERR(clone_with_tid((pid_t[]){ 5, 200 }, 2, CLONE_NEWPID), EINVAL);
		CHECK_ERR(clone_with_tid((pid_t[]){ 1, 200, 5, 6, 7, 8 }, 6, CLONE_NEWPID), EINVAL);
		pid_t child = CHECK_OK(clone_with_tid((pid_t[]){ 1, 200 }, 2, CLONE_NEWPID));
		if (child == 0)
			_exit(getpid() == 1 ? 0 : 1);
		CHECK_EQ(child, 200);
		JOIN(child);
	}));
	JOIN(SPAWN_IN(CLONE_NEWPID, {
		become(1000);
		CHECK_ERR(clone_with_tid((pid_t[]){ 50 }, 1, 0), EPERM);
	}));
	JOIN(SPAWN({
		become(1000);
		JOIN(SPAWN_IN(CLONE_NEWUSER | CLONE_NEWPID, {
			pid_t child = CHECK_OK(clone_with_tid((pid_t[]){ 50 }, 1, 0));
			if (child == 0)
				_exit(0);
			JOIN(child);
			/* Not in the outer one. */
			CHECK_ERR(clone_with_tid((pid_t[]){ 51, 30000 }, 2, 0), EPERM);
		}));
	}));
}

TEST(pidfd_across)
{
	struct sync s = sync_new();
	pid_t child = SPAWN_IN(CLONE_NEWPID, {
		SPAWN(pause());
		ready_and_hold(&s);
	});
	until_ready(&s);
	int fd = CHECK_OK(sys_pidfd_open(child, 0));
	/* It is the process, whatever its number there. */
	CHECK_EQ(kt_field(proc_path(0, "status"), "NSpid:"), getpid());
	char path[64], text[512];
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	CHECK(kt_read_file(path, text, sizeof text) > 0);
	char want[64];
	snprintf(want, sizeof want, "Pid:\t%d\nNSpid:\t%d\t1\n", child, child);
	CHECK(strstr(text, want) != NULL);
	/* In a namespace that does not see it, it has the number 0, and can be signalled all the same? No. */
	JOIN(SPAWN_IN(CLONE_NEWPID | CLONE_NEWNS, {
		own_proc();
		snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
		CHECK(kt_read_file(path, text, sizeof text) > 0);
		CHECK(strstr(text, "Pid:\t0\nNSpid:\t0\n") != NULL);
		CHECK_ERR(sys_pidfd_send_signal(fd, 0, NULL, 0), EINVAL);
	}));
	CHECK_OK(sys_pidfd_send_signal(fd, 0, NULL, 0));
	CHECK_OK(sys_pidfd_send_signal(fd, SIGKILL, NULL, 0));
	CHECK_EQ(kt_wait(child), SIGKILL);
	CHECK_ERR(sys_pidfd_send_signal(fd, 0, NULL, 0), ESRCH);
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	CHECK(kt_read_file(path, text, sizeof text) > 0);
	CHECK(strstr(text, "Pid:\t-1\n") != NULL);
}

TEST(kill_minus_one_stays_inside)
{
	struct sync s = sync_new();
	pid_t outside = SPAWN(hold(&s));
	JOIN(SPAWN_IN(CLONE_NEWPID, {
		pid_t a = SPAWN(pause());
		pid_t b = SPAWN_IN(CLONE_NEWPID, for (;;) pause());
		CHECK_OK(kill(-1, SIGKILL));
		CHECK_EQ(kt_wait(a), SIGKILL);
		CHECK_EQ(kt_wait(b), SIGKILL);
		/* The caller and its init are spared; here they are one. */
		JOIN(SPAWN({
			pid_t c = SPAWN(pause());
			CHECK_OK(kill(-1, SIGKILL));
			CHECK_EQ(kt_wait(c), SIGKILL);
		}));
	}));
	CHECK_EQ(waitpid(outside, NULL, WNOHANG), 0);
	let_go(&s);
	JOIN(outside);
}

TEST(a_subreaper_inside_comes_first)
{
	JOIN(SPAWN_IN(CLONE_NEWPID, {
		JOIN(SPAWN({
			CHECK_OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
			pid_t self = getpid();
			JOIN(SPAWN(SPAWN({
				WAIT_FOR(getppid() == self);
			})));
			CHECK(wait(NULL) > 0);
		}));
	}));
}

TEST(a_subreaper_outside_does_not_count)
{
	/* Orphans of a pid namespace never leave it. */
	JOIN(SPAWN({
		CHECK_OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
		CHECK_OK(unshare(CLONE_NEWPID));
		int end[2];
		CHECK_OK(pipe(end));
		pid_t init = SPAWN(take(end[0]));
		/* A sibling of init, whose child goes to init. */
		JOIN(SPAWN(SPAWN({
			WAIT_FOR(getppid() == 1);
			give(end[1]);
			pause();
		})));
		JOIN(init);
	}));
}

TEST(owners_of_files)
{
	int fd[2];
	CHECK_OK(pipe(fd));
	struct { int type; pid_t pid; } owner;
	pid_t self = getpid();
	CHECK_OK(fcntl(fd[0], F_SETOWN, self));
	CHECK_EQ(fcntl(fd[0], F_GETOWN), self);
	JOIN(SPAWN_IN(CLONE_NEWPID, {
		CHECK_EQ(fcntl(fd[0], F_GETOWN), 0);
		CHECK_OK(fcntl(fd[0], 16 /* F_GETOWN_EX */, &owner));
		CHECK_EQ(owner.pid, 0);
		CHECK_ERR(fcntl(fd[0], F_SETOWN, self), ESRCH);
		CHECK_OK(fcntl(fd[0], F_SETOWN, 1));
		CHECK_EQ(fcntl(fd[0], F_GETOWN), 1);
	}));
	/* It has ended: nobody. */
	CHECK_EQ(fcntl(fd[0], F_GETOWN), 0);
}

TEST(waitid_numbers)
{
	siginfo_t info;
	JOIN(SPAWN_IN(CLONE_NEWPID, {
		pid_t child = SPAWN_IN(CLONE_NEWPID, CHECK_EQ(getpid(), 1));
		CHECK_EQ(child, 2);
		memset(&info, 0, sizeof info);
		CHECK_OK(waitid(P_ALL, 0, &info, WEXITED | WNOWAIT));
		CHECK_EQ(info.si_pid, 2);
		CHECK_OK(waitid(P_PID, 2, &info, WEXITED));
		CHECK_EQ(info.si_pid, 2);
		CHECK_ERR(waitid(P_PID, 2, &info, WEXITED), ECHILD);
	}));
}

TEST(terminals)
{
	JOIN(SPAWN({
		CHECK_OK(setsid());
		int master = CHECK_OK(open("/dev/ptmx", O_RDWR | O_NOCTTY)), n, zero = 0;
		char path[32];
		CHECK_OK(ioctl(master, TIOCSPTLCK, &zero));
		CHECK_OK(ioctl(master, TIOCGPTN, &n));
		snprintf(path, sizeof path, "/dev/pts/%d", n);
		int slave = CHECK_OK(open(path, O_RDWR | O_NOCTTY));
		CHECK_OK(ioctl(slave, TIOCSCTTY, 0));
		pid_t group = -1;
		CHECK_OK(ioctl(slave, TIOCGPGRP, &group));
		CHECK_EQ(group, getpid());
		CHECK_OK(ioctl(slave, TIOCGSID, &group));
		CHECK_EQ(group, getpid());
		JOIN(SPAWN_IN(CLONE_NEWPID, {
			/* The group and the session are not visible. */
			CHECK_OK(ioctl(slave, TIOCGPGRP, &group));
			CHECK_EQ(group, 0);
			CHECK_OK(ioctl(slave, TIOCGSID, &group));
			CHECK_EQ(group, 0);
			group = getppid();
			CHECK_OK(setpgid(0, 0));
			CHECK_EQ(getpgrp(), 1);
			group = 1;
			signal(SIGTTOU, SIG_IGN);
			CHECK_OK(ioctl(slave, TIOCSPGRP, &group));
			CHECK_OK(ioctl(slave, TIOCGPGRP, &group));
			CHECK_EQ(group, 1);
			group = 77;
			CHECK_ERR(ioctl(slave, TIOCSPGRP, &group), ESRCH);
		}));
	}));
}

TEST(a_recycled_number_does_not_reach_a_dead_task)
{
	JOIN(SPAWN_IN(CLONE_NEWPID, {
		pid_t a = SPAWN((void)0);
		int fd = CHECK_OK(sys_pidfd_open(a, 0));
		JOIN(a);
		char last[16];
		snprintf(last, sizeof last, "%d", a - 1);
		CHECK_OK(kt_write_file("/proc/sys/kernel/ns_last_pid", last));
		pid_t b = SPAWN(pause());
		CHECK_EQ(b, a);
		CHECK_ERR(sys_pidfd_send_signal(fd, SIGKILL, NULL, 0), ESRCH);
		CHECK_EQ(waitpid(b, NULL, WNOHANG), 0);
		CHECK_OK(kill(b, SIGKILL));
		kt_wait(b);
	}));
}

TEST(signals_to_init_by_other_ways)
{
	JOIN(SPAWN_IN(CLONE_NEWPID, {
		JOIN(SPAWN({
			CHECK_OK(syscall(SYS_tkill, 1, SIGKILL));
			CHECK_OK(sys_tgkill(1, 1, SIGTERM));
			CHECK_OK(sigqueue(1, SIGUSR1, (union sigval){ 0 }));
			int fd = CHECK_OK(sys_pidfd_open(1, 0));
			CHECK_OK(sys_pidfd_send_signal(fd, SIGKILL, NULL, 0));
		}));
	}));
	/* Its own faults do end it: the kernel does not ask. */
	pid_t child = SPAWN_IN(CLONE_NEWPID, *(volatile int *)BAD_PTR = 1);
	int status = kt_wait(child);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGSEGV);
	/* A child of the same namespace with the same rights is an ordinary process. */
	JOIN(SPAWN_IN(CLONE_NEWPID, {
		pid_t other = SPAWN(pause());
		CHECK_OK(kill(other, SIGTERM));
		CHECK_EQ(kt_wait(other), SIGTERM);
	}));
}

TEST(init_with_ignored_children_and_threads)
{
	JOIN(SPAWN_IN(CLONE_NEWPID, {
		signal(SIGCHLD, SIG_IGN);
		for (int i = 0; i < 10; i++)
			SPAWN(SPAWN((void)0));
		WAIT_FOR(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
	}));
}
