/* epoll(7). */
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "proc.h"

static int ep;

static void set(int op, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event e = { .events = events, .data.u64 = data };
	CHECK_OK(epoll_ctl(ep, op, fd, &e));
}

static int wait_now(struct epoll_event *e, int max)
{
	return CHECK_OK(epoll_wait(ep, e, max, 0));
}

TEST(level_triggered)
{
	int end[2];
	char c;
	struct epoll_event e[4];
	ep = CHECK_OK(epoll_create1(EPOLL_CLOEXEC));
	CHECK_EQ(fcntl(ep, F_GETFD), FD_CLOEXEC);
	CHECK_OK(pipe(end));
	set(EPOLL_CTL_ADD, end[0], EPOLLIN, 0x123456789abcdef0);
	CHECK_EQ(wait_now(e, 4), 0);
	CHECK_EQ(write(end[1], "xy", 2), 2);
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(wait_now(e, 4), 1);
		CHECK_EQ(e[0].events, EPOLLIN);
		CHECK_EQ(e[0].data.u64, 0x123456789abcdef0);
	}
	CHECK_EQ(read(end[0], &c, 1), 1);
	CHECK_EQ(wait_now(e, 4), 1);
	CHECK_EQ(read(end[0], &c, 1), 1);
	CHECK_EQ(wait_now(e, 4), 0);
}

TEST(edge_triggered)
{
	int end[2];
	struct epoll_event e[4];
	ep = CHECK_OK(epoll_create1(0));
	CHECK_OK(pipe(end));
	set(EPOLL_CTL_ADD, end[0], EPOLLIN | EPOLLET, 1);
	CHECK_EQ(write(end[1], "x", 1), 1);
	CHECK_EQ(wait_now(e, 4), 1);
	CHECK_EQ(wait_now(e, 4), 0);
	CHECK_EQ(write(end[1], "y", 1), 1);
	CHECK_EQ(wait_now(e, 4), 1);
	CHECK_EQ(wait_now(e, 4), 0);
	/* Modifying looks again. */
	set(EPOLL_CTL_MOD, end[0], EPOLLIN | EPOLLET, 2);
	CHECK_EQ(wait_now(e, 4), 1);
	CHECK_EQ(e[0].data.u64, 2);
}

TEST(one_shot)
{
	int end[2];
	struct epoll_event e[4];
	ep = CHECK_OK(epoll_create1(0));
	CHECK_OK(pipe(end));
	set(EPOLL_CTL_ADD, end[0], EPOLLIN | EPOLLONESHOT, 1);
	CHECK_EQ(write(end[1], "x", 1), 1);
	CHECK_EQ(wait_now(e, 4), 1);
	CHECK_EQ(write(end[1], "x", 1), 1);
	CHECK_EQ(wait_now(e, 4), 0);
	set(EPOLL_CTL_MOD, end[0], EPOLLIN | EPOLLONESHOT, 1);
	CHECK_EQ(wait_now(e, 4), 1);
}

TEST(hang_up_is_always_reported)
{
	int end[2];
	struct epoll_event e[4];
	ep = CHECK_OK(epoll_create1(0));
	CHECK_OK(pipe(end));
	set(EPOLL_CTL_ADD, end[0], 0, 1);
	CHECK_OK(close(end[1]));
	CHECK_EQ(wait_now(e, 4), 1);
	CHECK_EQ(e[0].events, EPOLLHUP);
}

TEST(few_at_a_time_and_fair)
{
	enum { N = 8 };
	struct epoll_event e[3];
	int fd[N], seen = 0;
	ep = CHECK_OK(epoll_create1(0));
	for (int i = 0; i < N; i++) {
		fd[i] = CHECK_OK(eventfd(1, 0));
		set(EPOLL_CTL_ADD, fd[i], EPOLLIN, i);
	}
	for (int round = 0; round < 3; round++) {
		int n = wait_now(e, 3);
		CHECK_EQ(n, 3);
		for (int i = 0; i < n; i++)
			seen |= 1 << e[i].data.u64;
	}
	CHECK_EQ(seen, 0xff);
}

TEST(closing_removes_when_the_file_is_gone)
{
	int end[2], copy;
	struct epoll_event e[4];
	ep = CHECK_OK(epoll_create1(0));
	CHECK_OK(pipe(end));
	copy = CHECK_OK(dup(end[0]));
	set(EPOLL_CTL_ADD, end[0], EPOLLIN, 1);
	CHECK_EQ(write(end[1], "x", 1), 1);
	CHECK_OK(close(end[0]));
	/* The open file lives on in its copy, and so does the registration. */
	CHECK_EQ(wait_now(e, 4), 1);
	CHECK_OK(close(copy));
	CHECK_EQ(wait_now(e, 4), 0);
}

TEST(duplicates_count_separately)
{
	int end[2], copy;
	struct epoll_event e[4];
	ep = CHECK_OK(epoll_create1(0));
	CHECK_OK(pipe(end));
	copy = CHECK_OK(dup(end[0]));
	set(EPOLL_CTL_ADD, end[0], EPOLLIN, 1);
	set(EPOLL_CTL_ADD, copy, EPOLLIN, 2);
	CHECK_ERR(epoll_ctl(ep, EPOLL_CTL_ADD, copy, e), EEXIST);
	CHECK_EQ(write(end[1], "x", 1), 1);
	CHECK_EQ(wait_now(e, 4), 2);
	CHECK_OK(epoll_ctl(ep, EPOLL_CTL_DEL, copy, NULL));
	CHECK_EQ(wait_now(e, 4), 1);
}

TEST(nested)
{
	int end[2], outer = CHECK_OK(epoll_create1(0));
	struct epoll_event e = { .events = EPOLLIN };
	ep = CHECK_OK(epoll_create1(0));
	CHECK_OK(pipe(end));
	set(EPOLL_CTL_ADD, end[0], EPOLLIN, 1);
	CHECK_OK(epoll_ctl(outer, EPOLL_CTL_ADD, ep, &e));
	CHECK_EQ(epoll_wait(outer, &e, 1, 0), 0);
	pid_t child = SPAWN(kt_sleep_ms(30); CHECK_EQ(write(end[1], "x", 1), 1));
	CHECK_EQ(epoll_wait(outer, &e, 1, 10000), 1);
	struct pollfd p = { .fd = outer, .events = POLLIN };
	CHECK_EQ(poll(&p, 1, 0), 1);
	JOIN(child);
	/* Circles and depth are refused. */
	CHECK_ERR(epoll_ctl(ep, EPOLL_CTL_ADD, outer, &e), ELOOP);
	CHECK_ERR(epoll_ctl(ep, EPOLL_CTL_ADD, ep, &e), EINVAL);
}

static void *waiter(void *arg)
{
	struct epoll_event e;
	if (epoll_wait(ep, &e, 1, 10000) == 1)
		__atomic_add_fetch((int *)arg, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

TEST(one_event_wakes_one_of_several_waiters)
{
	pthread_t t[4];
	int woken = 0, fd;
	ep = CHECK_OK(epoll_create1(0));
	fd = CHECK_OK(eventfd(0, 0));
	set(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET, 1);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, waiter, &woken), 0);
	kt_sleep_ms(100);
	for (int i = 1; i <= 4; i++) {
		CHECK_OK(eventfd_write(fd, 1));
		WAIT_FOR(__atomic_load_n(&woken, __ATOMIC_SEQ_CST) == i);
		kt_sleep_ms(20);
		CHECK_EQ(__atomic_load_n(&woken, __ATOMIC_SEQ_CST), i);
	}
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
}

TEST(what_can_be_watched)
{
	struct epoll_event e = { .events = EPOLLIN };
	ep = CHECK_OK(epoll_create1(0));
	int file = CHECK_OK(open("f", O_CREAT | O_RDWR, 0600)), dir = CHECK_OK(open(".", O_RDONLY));
	CHECK_ERR(epoll_ctl(ep, EPOLL_CTL_ADD, file, &e), EPERM);
	CHECK_ERR(epoll_ctl(ep, EPOLL_CTL_ADD, dir, &e), EPERM);
	CHECK_ERR(epoll_ctl(ep, EPOLL_CTL_ADD, 999, &e), EBADF);
	CHECK_ERR(epoll_ctl(999, EPOLL_CTL_ADD, 0, &e), EBADF);
	CHECK_ERR(epoll_ctl(file, EPOLL_CTL_ADD, ep, &e), EINVAL);
	int fd = CHECK_OK(eventfd(0, 0));
	CHECK_ERR(epoll_ctl(ep, EPOLL_CTL_DEL, fd, &e), ENOENT);
	CHECK_ERR(epoll_ctl(ep, EPOLL_CTL_MOD, fd, &e), ENOENT);
	CHECK_ERR(epoll_ctl(ep, 77, fd, &e), EINVAL);
	CHECK_ERR(epoll_ctl(ep, EPOLL_CTL_ADD, fd, BAD_PTR), EFAULT);
	CHECK_ERR(epoll_create1(1), EINVAL);
	CHECK_ERR(syscall(SYS_epoll_create, 0), EINVAL);
	CHECK_ERR(epoll_wait(ep, &e, 0, 0), EINVAL);
	CHECK_ERR(epoll_wait(ep, &e, -1, 0), EINVAL);
	CHECK_ERR(epoll_wait(fd, &e, 1, 0), EINVAL);
	CHECK_ERR(epoll_wait(999, &e, 1, 0), EBADF);
}

TEST(exclusive)
{
	struct epoll_event e;
	ep = CHECK_OK(epoll_create1(0));
	int fd = CHECK_OK(eventfd(0, 0));
	set(EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLEXCLUSIVE, 1);
	e.events = EPOLLIN | EPOLLEXCLUSIVE;
	CHECK_ERR(epoll_ctl(ep, EPOLL_CTL_MOD, fd, &e), EINVAL);
	CHECK_OK(eventfd_write(fd, 1));
	CHECK_EQ(wait_now(&e, 1), 1);
}

TEST(pwait_and_pwait2)
{
	struct epoll_event e;
	sigset_t none;
	sigemptyset(&none);
	ep = CHECK_OK(epoll_create1(0));
	long long start = kt_now_ms();
	CHECK_EQ(epoll_pwait(ep, &e, 1, 50, &none), 0);
	CHECK(kt_now_ms() - start >= 49);
	struct timespec t = { 0, 50000000 };
	start = kt_now_ms();
	CHECK_EQ(syscall(441 /* epoll_pwait2 */, ep, &e, 1, &t, NULL, 0), 0);
	CHECK(kt_now_ms() - start >= 50);
}
