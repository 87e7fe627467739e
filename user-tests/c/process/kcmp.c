/* kcmp(2): which resources of two processes are one. */
#include <linux/kcmp.h>
#include <sys/epoll.h>
#include <sys/sem.h>

#include "proc.h"
#include "sys.h"

static int kcmp(pid_t a, pid_t b, int type, unsigned long x, unsigned long y)
{
	return syscall(SYS_kcmp, a, b, type, x, y);
}

static int with_me(pid_t pid, int type)
{
	return kcmp(getpid(), pid, type, 0, 0);
}

static pid_t sleeper(unsigned long flags)
{
	pid_t pid = CHECK_OK(sys_clone(flags | SIGCHLD, NULL, NULL));
	if (pid == 0)
		for (;;)
			pause();
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	kt_wait(pid);
}

TEST(a_process_shares_all_with_itself)
{
	for (int type = KCMP_VM; type <= KCMP_SYSVSEM; type++)
		CHECK_EQ(with_me(getpid(), type), 0);
	CHECK_EQ(kcmp(getpid(), getpid(), KCMP_FILE, 1, 1), 0);
}

TEST(a_fork_shares_what_clone_says)
{
	pid_t plain = sleeper(0), files = sleeper(CLONE_FILES), fs = sleeper(CLONE_FS);
	CHECK(with_me(plain, KCMP_VM) > 0);
	CHECK(with_me(plain, KCMP_FILES) > 0);
	CHECK(with_me(plain, KCMP_FS) > 0);
	CHECK(with_me(plain, KCMP_SIGHAND) > 0);
	CHECK_EQ(with_me(plain, KCMP_IO), 0);
	/* Neither has adjustments of semaphores yet. */
	CHECK_EQ(with_me(plain, KCMP_SYSVSEM), 0);
	CHECK_EQ(with_me(files, KCMP_FILES), 0);
	CHECK(with_me(files, KCMP_FS) > 0);
	CHECK_EQ(with_me(fs, KCMP_FS), 0);
	CHECK(with_me(fs, KCMP_FILES) > 0);
	pid_t sem = sleeper(CLONE_SYSVSEM);
	CHECK_EQ(with_me(sem, KCMP_SYSVSEM), 0);
	/* The clone made the list for both; the plain ones have none. */
	CHECK(with_me(plain, KCMP_SYSVSEM) > 0);
	end(plain);
	end(files);
	end(fs);
	end(sem);
}

TEST(files_are_open_file_descriptions)
{
	int a = CHECK_OK(open("/dev/null", O_RDONLY));
	int b = CHECK_OK(open("/dev/null", O_RDONLY));
	int c = CHECK_OK(dup(a));
	int path = CHECK_OK(open("/", O_PATH));
	pid_t me = getpid(), child = sleeper(0);
	CHECK_EQ(kcmp(me, me, KCMP_FILE, a, c), 0);
	CHECK_EQ(kcmp(me, child, KCMP_FILE, a, c), 0);
	CHECK_EQ(kcmp(me, child, KCMP_FILE, path, path), 0);
	int less = kcmp(me, me, KCMP_FILE, a, b);
	CHECK(less == 1 || less == 2);
	CHECK_EQ(kcmp(me, me, KCMP_FILE, b, a), 3 - less);
	CHECK_EQ(kcmp(me, child, KCMP_FILE, c, b), less);
	CHECK_ERR(kcmp(me, me, KCMP_FILE, a, 999), EBADF);
	CHECK_ERR(kcmp(me, me, KCMP_FILE, 999, a), EBADF);
	CHECK_ERR(kcmp(me, me, KCMP_FILE, -1, a), EBADF);
	end(child);
}

TEST(what_an_epoll_instance_watches)
{
	int p[2];
	CHECK_OK(pipe(p));
	int high = CHECK_OK(dup2(p[1], 64));
	int epfd = CHECK_OK(epoll_create1(0));
	struct epoll_event event = { .events = EPOLLIN };
	CHECK_OK(epoll_ctl(epfd, EPOLL_CTL_ADD, p[0], &event));
	CHECK_OK(epoll_ctl(epfd, EPOLL_CTL_ADD, high, &event));
	pid_t me = getpid();
	struct kcmp_epoll_slot slot = { .efd = epfd, .tfd = high, .toff = 0 };
	CHECK_EQ(kcmp(me, me, KCMP_EPOLL_TFD, p[1], (unsigned long)&slot), 0);
	CHECK(kcmp(me, me, KCMP_EPOLL_TFD, p[0], (unsigned long)&slot) > 0);
	/* A second file under the same number. */
	int q[2];
	CHECK_OK(pipe(q));
	CHECK_OK(dup2(q[1], high));
	CHECK_OK(epoll_ctl(epfd, EPOLL_CTL_ADD, high, &event));
	int found[2];
	for (int i = 0; i < 2; i++) {
		slot.toff = i;
		found[i] = kcmp(me, me, KCMP_EPOLL_TFD, p[1], (unsigned long)&slot) == 0;
		CHECK_EQ(found[i], kcmp(me, me, KCMP_EPOLL_TFD, q[1], (unsigned long)&slot) != 0);
	}
	CHECK_EQ(found[0] + found[1], 1);
	slot.toff = 2;
	CHECK_ERR(kcmp(me, me, KCMP_EPOLL_TFD, p[1], (unsigned long)&slot), ENOENT);
	slot = (struct kcmp_epoll_slot){ .efd = epfd, .tfd = 63 };
	CHECK_ERR(kcmp(me, me, KCMP_EPOLL_TFD, p[1], (unsigned long)&slot), ENOENT);
	slot.efd = p[0];
	CHECK_ERR(kcmp(me, me, KCMP_EPOLL_TFD, p[1], (unsigned long)&slot), EINVAL);
	slot.efd = 999;
	CHECK_ERR(kcmp(me, me, KCMP_EPOLL_TFD, p[1], (unsigned long)&slot), EBADF);
	CHECK_ERR(kcmp(me, me, KCMP_EPOLL_TFD, 999, (unsigned long)&slot), EBADF);
	CHECK_ERR(kcmp(me, me, KCMP_EPOLL_TFD, p[1], (unsigned long)BAD_PTR), EFAULT);
	CHECK_ERR(kcmp(me, me, KCMP_EPOLL_TFD, 999, (unsigned long)BAD_PTR), EFAULT);
}

TEST(who_may_compare)
{
	CHECK_ERR(kcmp(getpid(), getpid(), 8, 0, 0), EINVAL);
	CHECK_ERR(kcmp(getpid(), getpid(), -1, 0, 0), EINVAL);
	pid_t gone = SPAWN(_exit(0));
	kt_wait(gone);
	CHECK_ERR(kcmp(getpid(), gone, KCMP_VM, 0, 0), ESRCH);
	CHECK_ERR(kcmp(gone, getpid(), 99, 0, 0), ESRCH);
	CHECK_ERR(kcmp(0, getpid(), KCMP_VM, 0, 0), ESRCH);
	pid_t parent = getpid();
	JOIN(SPAWN({
		CHECK_OK(setuid(65534));
		CHECK_EQ(kcmp(getpid(), getpid(), KCMP_FS, 0, 0), 0);
		CHECK_ERR(kcmp(getpid(), parent, KCMP_FS, 0, 0), EPERM);
		CHECK_ERR(kcmp(parent, getpid(), 99, 0, 0), EPERM);
	}));
}
