/* eventfd(2). */
#include <poll.h>
#include <sys/eventfd.h>

#include "proc.h"

TEST(adds_up_and_empties)
{
	uint64_t n = 0;
	int fd = CHECK_OK(eventfd(3, EFD_NONBLOCK | EFD_CLOEXEC));
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_OK(eventfd_write(fd, 4));
	CHECK_EQ(read(fd, &n, 8), 8);
	CHECK_EQ(n, 7);
	CHECK_ERR(read(fd, &n, 8), EAGAIN);
	char big[16];
	CHECK_OK(eventfd_write(fd, 5));
	CHECK_EQ(read(fd, big, 16), 8);
}

TEST(semaphore)
{
	uint64_t n;
	int fd = CHECK_OK(eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK));
	CHECK_EQ(read(fd, &n, 8), 8);
	CHECK_EQ(n, 1);
	CHECK_EQ(read(fd, &n, 8), 8);
	CHECK_ERR(read(fd, &n, 8), EAGAIN);
}

TEST(overflow_blocks)
{
	uint64_t most = ~0ULL - 1, n;
	int fd = CHECK_OK(eventfd(0, EFD_NONBLOCK));
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT };
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLOUT);
	CHECK_EQ(write(fd, &most, 8), 8);
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLIN);
	CHECK_ERR(eventfd_write(fd, 1), EAGAIN);
	n = ~0ULL;
	CHECK_ERR(write(fd, &n, 8), EINVAL);
	CHECK_EQ(read(fd, &n, 8), 8);
	CHECK_EQ(n, most);
}

TEST(wakes_a_reader_and_a_writer)
{
	uint64_t n;
	int fd = CHECK_OK(eventfd(0, 0));
	pid_t child = SPAWN(kt_sleep_ms(20); CHECK_OK(eventfd_write(fd, 9)));
	CHECK_EQ(read(fd, &n, 8), 8);
	CHECK_EQ(n, 9);
	JOIN(child);
	CHECK_OK(eventfd_write(fd, ~0ULL - 1));
	child = SPAWN(kt_sleep_ms(20); CHECK_EQ(read(fd, &n, 8), 8));
	CHECK_OK(eventfd_write(fd, 1));
	JOIN(child);
}

TEST(wrong_arguments)
{
	uint32_t small = 1;
	CHECK_ERR(eventfd(0, 0x100), EINVAL);
	int fd = CHECK_OK(eventfd(0, 0));
	CHECK_ERR(write(fd, &small, 4), EINVAL);
	CHECK_ERR(read(fd, &small, 4), EINVAL);
	CHECK_ERR(syscall(SYS_write, fd, BAD_PTR, 8), EFAULT);
}
