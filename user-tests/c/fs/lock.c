/* flock(2) and record locks. */
#include <sys/file.h>

#include "proc.h"

#ifndef F_OFD_SETLK
#define F_OFD_GETLK 36
#define F_OFD_SETLK 37
#endif

static int set(int fd, int type, off_t start, off_t len)
{
	struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len };
	return fcntl(fd, F_SETLK, &l);
}

/* What would stop another process from locking there? */
static struct flock blocker(int fd, int type, off_t start, off_t len)
{
	struct flock l = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len };
	CHECK_OK(fcntl(fd, F_GETLK, &l));
	return l;
}

static int file(void)
{
	return CHECK_OK(open("f", O_CREAT | O_RDWR, 0600));
}

TEST(flock_belongs_to_the_open_file)
{
	int a = file(), b = file(), copy = dup(a);
	CHECK_OK(flock(a, LOCK_EX));
	CHECK_ERR(flock(b, LOCK_SH | LOCK_NB), EAGAIN);
	CHECK_OK(flock(copy, LOCK_EX | LOCK_NB));
	CHECK_OK(flock(copy, LOCK_SH));
	CHECK_OK(flock(b, LOCK_SH | LOCK_NB));
	CHECK_ERR(flock(b, LOCK_EX | LOCK_NB), EAGAIN);
	CHECK_OK(close(a));
	JOIN(SPAWN(CHECK_OK(flock(copy, LOCK_UN))));
	CHECK_OK(flock(b, LOCK_EX | LOCK_NB));
	CHECK_ERR(flock(b, 77), EINVAL);
	CHECK_ERR(flock(999, LOCK_SH), EBADF);
}

TEST(flock_waits)
{
	int a = file(), end[2];
	char c;
	CHECK_OK(pipe(end));
	CHECK_OK(flock(a, LOCK_EX));
	pid_t child = SPAWN({
		int b = file();
		CHECK_OK(flock(b, LOCK_EX));
		CHECK_EQ(write(end[1], "x", 1), 1);
	});
	WAIT_FOR(kt_state(child) == 'S');
	CHECK_OK(flock(a, LOCK_UN));
	CHECK_EQ(read(end[0], &c, 1), 1);
	JOIN(child);
	CHECK_OK(flock(a, LOCK_EX | LOCK_NB));
}

TEST(records_of_two_processes)
{
	int fd = file();
	pid_t me = getpid();
	CHECK_OK(set(fd, F_WRLCK, 10, 10));
	CHECK_OK(set(fd, F_RDLCK, 30, 0));
	JOIN(SPAWN({
		CHECK_ERR(set(fd, F_WRLCK, 19, 1), EAGAIN);
		CHECK_ERR(set(fd, F_RDLCK, 0, 11), EAGAIN);
		CHECK_OK(set(fd, F_WRLCK, 0, 10));
		CHECK_OK(set(fd, F_WRLCK, 20, 10));
		CHECK_OK(set(fd, F_RDLCK, 100, 1));
		CHECK_ERR(set(fd, F_WRLCK, 1L << 40, 1), EAGAIN);
		struct flock l = blocker(fd, F_WRLCK, 0, 0);
		CHECK_EQ(l.l_type, F_WRLCK);
		CHECK_EQ(l.l_start, 10);
		CHECK_EQ(l.l_len, 10);
		CHECK_EQ(l.l_pid, me);
		l = blocker(fd, F_WRLCK, 50, 10);
		CHECK_EQ(l.l_type, F_RDLCK);
		CHECK_EQ(l.l_start, 30);
		CHECK_EQ(l.l_len, 0);
		l = blocker(fd, F_RDLCK, 50, 10);
		CHECK_EQ(l.l_type, F_UNLCK);
	}));
	/* The child's locks died with it. */
	CHECK_OK(set(fd, F_WRLCK, 0, 0));
}

TEST(records_split_and_join)
{
	int fd = file();
	CHECK_OK(set(fd, F_WRLCK, 0, 30));
	CHECK_OK(set(fd, F_UNLCK, 10, 10));
	JOIN(SPAWN({
		struct flock l = blocker(fd, F_WRLCK, 0, 0);
		CHECK(l.l_start == 0 && l.l_len == 10);
		l = blocker(fd, F_WRLCK, 10, 0);
		CHECK(l.l_start == 20 && l.l_len == 10);
		CHECK_OK(set(fd, F_WRLCK, 10, 10));
	}));
	CHECK_OK(set(fd, F_RDLCK, 5, 20));
	JOIN(SPAWN({
		struct flock l = blocker(fd, F_RDLCK, 0, 0);
		CHECK(l.l_start == 0 && l.l_len == 5);
		CHECK_OK(set(fd, F_RDLCK, 5, 20));
		CHECK_ERR(set(fd, F_RDLCK, 25, 1), EAGAIN);
	}));
	CHECK_OK(set(fd, F_WRLCK, 5, 20));
	JOIN(SPAWN({
		struct flock l = blocker(fd, F_WRLCK, 0, 0);
		CHECK(l.l_start == 0 && l.l_len == 30);
	}));
}

TEST(closing_any_descriptor_drops_records)
{
	int a = file(), b = file();
	CHECK_OK(set(a, F_WRLCK, 0, 0));
	CHECK_OK(close(b));
	JOIN(SPAWN(CHECK_OK(set(a, F_WRLCK, 0, 0))));
}

TEST(relative_ranges)
{
	int fd = file();
	CHECK_EQ(write(fd, "0123456789", 10), 10);
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_END, .l_start = -4, .l_len = 2 };
	CHECK_OK(fcntl(fd, F_SETLK, &l));
	JOIN(SPAWN({
		struct flock g = blocker(fd, F_WRLCK, 0, 0);
		CHECK(g.l_start == 6 && g.l_len == 2);
	}));
	l = (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 20, .l_len = -5 };
	CHECK_OK(fcntl(fd, F_SETLK, &l));
	JOIN(SPAWN({
		struct flock g = blocker(fd, F_WRLCK, 10, 0);
		CHECK(g.l_start == 15 && g.l_len == 5);
	}));
	l.l_start = 2;
	CHECK_ERR(fcntl(fd, F_SETLK, &l), EINVAL);
	l.l_type = 77;
	CHECK_ERR(fcntl(fd, F_SETLK, &l), EINVAL);
	int r = CHECK_OK(open("f", O_RDONLY));
	CHECK_ERR(set(r, F_WRLCK, 0, 1), EBADF);
	CHECK_ERR(fcntl(fd, F_SETLK, BAD_PTR), EFAULT);
}

TEST(waiting_and_deadlock)
{
	int fd = file(), end[2];
	char c;
	CHECK_OK(pipe(end));
	CHECK_OK(set(fd, F_WRLCK, 0, 1));
	pid_t child = SPAWN({
		CHECK_OK(set(fd, F_WRLCK, 1, 1));
		CHECK_EQ(write(end[1], "x", 1), 1);
		struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1 };
		CHECK_OK(fcntl(fd, F_SETLKW, &l));
	});
	CHECK_EQ(read(end[0], &c, 1), 1);
	WAIT_FOR(kt_state(child) == 'S');
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 1, .l_len = 1 };
	CHECK_ERR(fcntl(fd, F_SETLKW, &l), EDEADLK);
	CHECK_OK(set(fd, F_UNLCK, 0, 1));
	JOIN(child);
}

TEST(locks_of_the_open_file_description)
{
	int a = file(), b = file();
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	CHECK_OK(fcntl(a, F_OFD_SETLK, &l));
	CHECK_ERR(fcntl(b, F_OFD_SETLK, &l), EAGAIN);
	CHECK_ERR(set(b, F_WRLCK, 0, 0), EAGAIN);
	struct flock g = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	CHECK_OK(fcntl(b, F_OFD_GETLK, &g));
	CHECK_EQ(g.l_pid, -1);
	JOIN(SPAWN(CHECK_OK(fcntl(a, F_OFD_SETLK, &l))));
	CHECK_OK(close(a));
	CHECK_OK(fcntl(b, F_OFD_SETLK, &l));
	l.l_pid = 5;
	CHECK_ERR(fcntl(b, F_OFD_SETLK, &l), EINVAL);
}
