/* timerfd_create(2) and its relatives. */
#include <poll.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include "proc.h"

static void set(int fd, int flags, long first_ms, long every_ms)
{
	struct itimerspec t = { .it_value = { first_ms / 1000, first_ms % 1000 * 1000000 },
				.it_interval = { every_ms / 1000, every_ms % 1000 * 1000000 } };
	CHECK_OK(timerfd_settime(fd, flags, &t, NULL));
}

TEST(one_shot)
{
	uint64_t n = 0;
	int fd = CHECK_OK(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	long long start = kt_now_ms();
	set(fd, 0, 50, 0);
	CHECK_EQ(read(fd, &n, 8), 8);
	CHECK_EQ(n, 1);
	CHECK(kt_now_ms() - start >= 49);
	CHECK_OK(fcntl(fd, F_SETFL, O_NONBLOCK));
	CHECK_ERR(read(fd, &n, 8), EAGAIN);
}

TEST(periods_add_up)
{
	uint64_t n = 0;
	int fd = CHECK_OK(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	CHECK_ERR(read(fd, &n, 8), EAGAIN);
	set(fd, 0, 10, 10);
	kt_sleep_ms(105);
	CHECK_EQ(read(fd, &n, 8), 8);
	CHECK(n >= 10);
	uint64_t small;
	CHECK_ERR(read(fd, &small, 4), EINVAL);
	CHECK_ERR(write(fd, &n, 8), EINVAL);
}

TEST(polls)
{
	int fd = CHECK_OK(timerfd_create(CLOCK_BOOTTIME, 0)), ep = CHECK_OK(epoll_create1(0));
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct epoll_event e = { .events = EPOLLIN | EPOLLET };
	uint64_t n;
	CHECK_EQ(poll(&p, 1, 0), 0);
	set(fd, 0, 20, 20);
	CHECK_EQ(poll(&p, 1, 10000), 1);
	CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e));
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(epoll_wait(ep, &e, 1, 10000), 1);
		CHECK_EQ(read(fd, &n, 8), 8);
		CHECK(n >= 1);
	}
}

TEST(reading_and_disarming)
{
	struct itimerspec now, old, off = { 0 };
	uint64_t n;
	int fd = CHECK_OK(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
	set(fd, 0, 100000, 3000);
	CHECK_OK(timerfd_gettime(fd, &now));
	CHECK(now.it_value.tv_sec >= 90 && now.it_value.tv_sec <= 100);
	CHECK_EQ(now.it_interval.tv_sec, 3);
	CHECK_OK(timerfd_settime(fd, 0, &off, &old));
	CHECK(old.it_value.tv_sec >= 90);
	CHECK_OK(timerfd_gettime(fd, &now));
	CHECK_EQ(now.it_value.tv_sec + now.it_value.tv_nsec, 0);
	CHECK_ERR(read(fd, &n, 8), EAGAIN);
}

TEST(absolute_times)
{
	struct timespec now;
	uint64_t n;
	int fd = CHECK_OK(timerfd_create(CLOCK_REALTIME, 0));
	clock_gettime(CLOCK_REALTIME, &now);
	set(fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, now.tv_sec * 1000 + now.tv_nsec / 1000000 + 40, 0);
	CHECK_EQ(read(fd, &n, 8), 8);
	set(fd, TFD_TIMER_ABSTIME, 1000, 0);
	CHECK_EQ(read(fd, &n, 8), 8);
	CHECK_EQ(n, 1);
}

TEST(shared_by_fork)
{
	uint64_t n;
	int fd = CHECK_OK(timerfd_create(CLOCK_MONOTONIC, 0));
	JOIN(SPAWN(set(fd, 0, 20, 0)));
	CHECK_EQ(read(fd, &n, 8), 8);
}

TEST(wrong_arguments)
{
	struct itimerspec t = { 0 };
	int fd = CHECK_OK(timerfd_create(CLOCK_MONOTONIC, 0));
	CHECK_ERR(timerfd_create(77, 0), EINVAL);
	CHECK_ERR(timerfd_create(CLOCK_PROCESS_CPUTIME_ID, 0), EINVAL);
	CHECK_ERR(timerfd_create(CLOCK_MONOTONIC, 1), EINVAL);
	CHECK_ERR(timerfd_settime(fd, 8, &t, NULL), EINVAL);
	CHECK_ERR(timerfd_settime(999, 0, &t, NULL), EBADF);
	CHECK_ERR(timerfd_settime(0, 0, &t, NULL), EINVAL);
	CHECK_ERR(timerfd_gettime(0, &t), EINVAL);
	t.it_value.tv_nsec = -1;
	CHECK_ERR(timerfd_settime(fd, 0, &t, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_timerfd_settime, fd, 0, BAD_PTR, NULL), EFAULT);
	CHECK_ERR(syscall(SYS_timerfd_gettime, fd, BAD_PTR), EFAULT);
}
