/* waitid(2): the siginfo it fills, WNOWAIT, and each kind of id. */
#include "proc.h"
#include "sys.h"

TEST(exit_fills_siginfo)
{
	siginfo_t info;
	memset(&info, 0x55, sizeof info);
	pid_t child = SPAWN(_exit(9));
	CHECK_OK(waitid(P_PID, child, &info, WEXITED));
	CHECK_EQ(info.si_signo, SIGCHLD);
	CHECK_EQ(info.si_code, CLD_EXITED);
	CHECK_EQ(info.si_pid, child);
	CHECK_EQ(info.si_uid, getuid());
	CHECK_EQ(info.si_status, 9);
	CHECK_EQ(info.si_errno, 0);
	CHECK_ERR(waitid(P_PID, child, &info, WEXITED), ECHILD);
}

TEST(kill_fills_siginfo)
{
	siginfo_t info;
	pid_t child = SPAWN(pause());
	kill(child, SIGTERM);
	CHECK_OK(waitid(P_ALL, 0, &info, WEXITED));
	CHECK_EQ(info.si_code, CLD_KILLED);
	CHECK_EQ(info.si_status, SIGTERM);
	CHECK_EQ(info.si_pid, child);
}

TEST(wnowait_leaves_the_child)
{
	siginfo_t info;
	pid_t child = SPAWN(_exit(3));
	for (int i = 0; i < 3; i++) {
		CHECK_OK(waitid(P_PID, child, &info, WEXITED | WNOWAIT));
		CHECK_EQ(info.si_status, 3);
	}
	CHECK_EQ(kt_state(child), 'Z');
	CHECK_EQ(WEXITSTATUS(kt_wait(child)), 3);
}

TEST(wnohang_clears_siginfo)
{
	siginfo_t info;
	memset(&info, 0x55, sizeof info);
	pid_t child = SPAWN(pause());
	CHECK_OK(waitid(P_PID, child, &info, WEXITED | WNOHANG));
	CHECK_EQ(info.si_pid, 0);
	CHECK_EQ(info.si_signo, 0);
	kill(child, SIGKILL);
	kt_wait(child);
}

TEST(stopped_and_continued)
{
	siginfo_t info;
	pid_t child = SPAWN(for (;;) pause());
	kill(child, SIGSTOP);
	CHECK_OK(waitid(P_PID, child, &info, WSTOPPED | WNOWAIT));
	CHECK_EQ(info.si_code, CLD_STOPPED);
	CHECK_EQ(info.si_status, SIGSTOP);
	CHECK_OK(waitid(P_PID, child, &info, WSTOPPED));
	info.si_pid = 1;
	CHECK_OK(waitid(P_PID, child, &info, WSTOPPED | WNOHANG));
	CHECK_EQ(info.si_pid, 0);
	kill(child, SIGCONT);
	CHECK_OK(waitid(P_PID, child, &info, WCONTINUED));
	CHECK_EQ(info.si_code, CLD_CONTINUED);
	CHECK_EQ(info.si_status, SIGCONT);
	kill(child, SIGKILL);
	CHECK_OK(waitid(P_PID, child, &info, WEXITED));
	CHECK_EQ(info.si_code, CLD_KILLED);
}

TEST(only_the_wanted_event)
{
	siginfo_t info;
	pid_t child = SPAWN(_exit(0));
	WAIT_FOR(kt_state(child) == 'Z');
	info.si_pid = 1;
	CHECK_ERR(waitid(P_PID, child, &info, WSTOPPED), ECHILD);
	JOIN(child);
}

TEST(by_group)
{
	siginfo_t info;
	pid_t child = SPAWN(pause());
	CHECK_OK(setpgid(child, 0));
	CHECK_ERR(waitid(P_PGID, getpgrp(), &info, WEXITED | WNOHANG), ECHILD);
	kill(child, SIGKILL);
	CHECK_OK(waitid(P_PGID, child, &info, WEXITED));
	CHECK_EQ(info.si_pid, child);
	child = SPAWN(_exit(0));
	CHECK_OK(waitid(P_PGID, 0, &info, WEXITED));
	CHECK_EQ(info.si_pid, child);
}

TEST(by_pidfd)
{
	siginfo_t info;
	pid_t child = SPAWN(_exit(4));
	int fd = CHECK_OK(sys_pidfd_open(child, 0));
	CHECK_OK(waitid(P_PIDFD, fd, &info, WEXITED));
	CHECK_EQ(info.si_pid, child);
	CHECK_EQ(info.si_status, 4);
	CHECK_ERR(waitid(P_PIDFD, fd, &info, WEXITED), ECHILD);
	CHECK_ERR(waitid(P_PIDFD, 999, &info, WEXITED), EBADF);
	CHECK_ERR(waitid(P_PIDFD, 0, &info, WEXITED), EBADF);
}

TEST(a_nonblocking_pidfd)
{
	siginfo_t info;
	pid_t child = SPAWN(pause());
	int fd = CHECK_OK(sys_pidfd_open(child, PIDFD_NONBLOCK));
	CHECK_ERR(waitid(P_PIDFD, fd, &info, WEXITED), EAGAIN);
	kill(child, SIGKILL);
	WAIT_FOR(kt_state(child) == 'Z');
	CHECK_OK(waitid(P_PIDFD, fd, &info, WEXITED));
}

TEST(usage_of_the_child)
{
	long usage[36] = { 0 };
	siginfo_t info;
	pid_t child = SPAWN({
		long long end = kt_now_ms() + 100;
		while (kt_now_ms() < end)
			;
	});
	CHECK_OK(sys_waitid(P_PID, child, &info, WEXITED, usage));
	CHECK(usage[0] * 1000000 + usage[1] + usage[2] * 1000000 + usage[3] > 10000);
}

TEST(no_siginfo)
{
	pid_t child = SPAWN(_exit(0));
	CHECK_OK(sys_waitid(P_PID, child, NULL, WEXITED, NULL));
}

TEST(wrong_arguments)
{
	siginfo_t info;
	CHECK_ERR(waitid(P_ALL, 0, &info, 0), EINVAL);
	CHECK_ERR(waitid(P_ALL, 0, &info, WNOHANG), EINVAL);
	CHECK_ERR(waitid(P_ALL, 0, &info, WEXITED | 0x100), EINVAL);
	CHECK_ERR(waitid(77, 0, &info, WEXITED), EINVAL);
	CHECK_ERR(waitid(P_PID, 0, &info, WEXITED), EINVAL);
	CHECK_ERR(waitid(P_PID, -1, &info, WEXITED), EINVAL);
	CHECK_ERR(waitid(P_PGID, -1, &info, WEXITED), EINVAL);
	CHECK_ERR(waitid(P_PIDFD, -1, &info, WEXITED), EINVAL);
	CHECK_ERR(waitid(P_ALL, 0, &info, WEXITED), ECHILD);
	pid_t child = SPAWN(_exit(0));
	CHECK_ERR(sys_waitid(P_PID, child, BAD_PTR, WEXITED, NULL), EFAULT);
}
