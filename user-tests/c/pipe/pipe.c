/* pipe(2) and pipe(7). */
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/uio.h>

#include "proc.h"

static char block[1 << 20];

TEST(bytes_in_order)
{
	int end[2];
	char buf[8];
	CHECK_OK(pipe(end));
	CHECK_EQ(write(end[1], "abc", 3), 3);
	CHECK_EQ(write(end[1], "def", 3), 3);
	CHECK_EQ(read(end[0], buf, 2), 2);
	CHECK_EQ(read(end[0], buf + 2, 6), 4);
	CHECK(!memcmp(buf, "abcdef", 6));
	CHECK_ERR(read(end[1], buf, 1), EBADF);
	CHECK_ERR(write(end[0], buf, 1), EBADF);
	CHECK_ERR(lseek(end[0], 0, SEEK_CUR), ESPIPE);
	CHECK_ERR(pread(end[0], buf, 1, 0), ESPIPE);
	CHECK_ERR(ftruncate(end[1], 0), EINVAL);
	CHECK_ERR(fsync(end[0]), EINVAL);
}

TEST(flags)
{
	int end[2];
	char c;
	CHECK_OK(pipe2(end, O_CLOEXEC | O_NONBLOCK));
	CHECK_EQ(fcntl(end[0], F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(end[0], F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_RDONLY | O_NONBLOCK);
	CHECK_EQ(fcntl(end[1], F_GETFL) & (O_ACCMODE | O_NONBLOCK), O_WRONLY | O_NONBLOCK);
	CHECK_ERR(read(end[0], &c, 1), EAGAIN);
	CHECK_ERR(pipe2(end, O_CREAT), EINVAL);
	CHECK_ERR(syscall(SYS_pipe2, BAD_PTR, 0), EFAULT);
	int fd = open("/dev/null", O_RDONLY);
	CHECK_EQ(fd, end[1] + 1);
}

TEST(end_of_file_and_broken_pipe)
{
	int end[2];
	char c;
	CHECK_OK(pipe(end));
	CHECK_EQ(write(end[1], "x", 1), 1);
	CHECK_OK(close(end[1]));
	CHECK_EQ(read(end[0], &c, 1), 1);
	CHECK_EQ(read(end[0], &c, 1), 0);
	CHECK_OK(pipe(end));
	CHECK_OK(close(end[0]));
	CHECK_EQ(kt_wait(SPAWN(write(end[1], "x", 1))), SIGPIPE);
	signal(SIGPIPE, SIG_IGN);
	CHECK_ERR(write(end[1], "x", 1), EPIPE);
	CHECK_EQ(write(end[1], "x", 0), 0);
}

TEST(capacity)
{
	int end[2];
	CHECK_OK(pipe2(end, O_NONBLOCK));
	CHECK_EQ(fcntl(end[0], F_GETPIPE_SZ), 65536);
	CHECK_EQ(write(end[1], block, sizeof block), 65536);
	CHECK_ERR(write(end[1], "x", 1), EAGAIN);
	CHECK_EQ(read(end[0], block, 4095), 4095);
	CHECK_ERR(write(end[1], block, 4096), EAGAIN);
	CHECK_EQ(read(end[0], block, 1), 1);
	CHECK_EQ(write(end[1], block, 4096), 4096);
	int n;
	CHECK_OK(ioctl(end[0], FIONREAD, &n));
	CHECK_EQ(n, 65536);
}

TEST(writes_up_to_pipe_buf_are_whole)
{
	int end[2];
	CHECK_OK(pipe2(end, O_NONBLOCK));
	for (int i = 0; i < 15; i++)
		CHECK_EQ(write(end[1], block, 4096), 4096);
	CHECK_EQ(write(end[1], block, 4000), 4000);
	/* 96 bytes are left in the last page, and no other page. */
	CHECK_ERR(write(end[1], block, 200), EAGAIN);
	CHECK_EQ(write(end[1], block, 96), 96);
}

TEST(changing_the_capacity)
{
	int end[2];
	CHECK_OK(pipe2(end, O_NONBLOCK));
	CHECK_EQ(fcntl(end[1], F_SETPIPE_SZ, 100000), 131072);
	CHECK_EQ(write(end[1], block, sizeof block), 131072);
	CHECK_ERR(fcntl(end[1], F_SETPIPE_SZ, 4096), EBUSY);
	CHECK_EQ(read(end[0], block, sizeof block), 131072);
	CHECK_EQ(fcntl(end[1], F_SETPIPE_SZ, 1), 4096);
	CHECK_EQ(write(end[1], block, sizeof block), 4096);
	JOIN(SPAWN({
		CHECK_OK(setuid(65534));
		CHECK_ERR(fcntl(end[1], F_SETPIPE_SZ, 2 << 20), EPERM);
	}));
	CHECK_ERR(fcntl(0, F_GETPIPE_SZ), EBADF);
}

TEST(a_blocked_writer_goes_on)
{
	int end[2];
	size_t got = 0;
	CHECK_OK(pipe(end));
	pid_t child = SPAWN({
		close(end[0]);
		for (unsigned i = 0; i < sizeof block; i++)
			block[i] = i % 251;
		CHECK_EQ(write(end[1], block, sizeof block), sizeof block);
	});
	CHECK_OK(close(end[1]));
	for (;;) {
		ssize_t n = CHECK_OK(read(end[0], block, 10007));
		if (n == 0)
			break;
		for (ssize_t i = 0; i < n; i++)
			CHECK_EQ((unsigned char)block[i], (got + i) % 251);
		got += n;
	}
	CHECK_EQ(got, sizeof block);
	JOIN(child);
}

TEST(small_writes_of_many_do_not_mix)
{
	enum { WRITERS = 4, LINES = 200 };
	int end[2], seen[WRITERS] = { 0 };
	char line[64];
	CHECK_OK(pipe(end));
	for (int w = 0; w < WRITERS; w++)
		SPAWN({
			memset(line, 'a' + w, 64);
			for (int i = 0; i < LINES; i++)
				CHECK_EQ(write(end[1], line, 64), 64);
		});
	CHECK_OK(close(end[1]));
	for (;;) {
		ssize_t n = CHECK_OK(read(end[0], line, 64));
		if (n == 0)
			break;
		CHECK_EQ(n, 64);
		for (int i = 1; i < 64; i++)
			CHECK_EQ(line[i], line[0]);
		seen[line[0] - 'a']++;
	}
	for (int w = 0; w < WRITERS; w++)
		CHECK_EQ(seen[w], LINES);
}

TEST(packets)
{
	int end[2];
	char buf[16];
	CHECK_OK(pipe2(end, O_DIRECT));
	CHECK_EQ(write(end[1], "one", 3), 3);
	CHECK_EQ(write(end[1], "three", 5), 5);
	CHECK_EQ(read(end[0], buf, sizeof buf), 3);
	CHECK_EQ(read(end[0], buf, 2), 2);
	CHECK_EQ(write(end[1], "x", 1), 1);
	CHECK_EQ(read(end[0], buf, sizeof buf), 1);
	CHECK_EQ(buf[0], 'x');
}

TEST(vectors)
{
	int end[2];
	char a[3] = "", b[5] = "";
	CHECK_OK(pipe(end));
	struct iovec out[3] = { { "ab", 2 }, { NULL, 0 }, { "cdef", 4 } };
	struct iovec in[2] = { { a, 2 }, { b, 4 } };
	CHECK_EQ(writev(end[1], out, 3), 6);
	CHECK_EQ(readv(end[0], in, 2), 6);
	CHECK(!strcmp(a, "ab") && !strcmp(b, "cdef"));
	CHECK_ERR(writev(end[1], out, -1), EINVAL);
	CHECK_ERR(writev(end[1], out, 1025), EINVAL);
	CHECK_EQ(writev(end[1], out, 0), 0);
	out[1].iov_len = (size_t)-1;
	CHECK_ERR(writev(end[1], out, 3), EINVAL);
	CHECK_ERR(syscall(SYS_writev, end[1], BAD_PTR, 1), EFAULT);
}

TEST(fifos)
{
	struct stat st;
	char c;
	CHECK_OK(mkfifo("p", 0640));
	CHECK_OK(stat("p", &st));
	CHECK(S_ISFIFO(st.st_mode));
	CHECK_EQ(st.st_mode & 0777, 0640);
	CHECK_ERR(mkfifo("p", 0600), EEXIST);
	CHECK_ERR(open("p", O_WRONLY | O_NONBLOCK), ENXIO);
	int r = CHECK_OK(open("p", O_RDONLY | O_NONBLOCK));
	CHECK_EQ(read(r, &c, 1), 0);
	int w = CHECK_OK(open("p", O_WRONLY | O_NONBLOCK));
	CHECK_ERR(read(r, &c, 1), EAGAIN);
	CHECK_EQ(write(w, "x", 1), 1);
	CHECK_EQ(read(r, &c, 1), 1);
	CHECK_OK(close(w));
	CHECK_EQ(read(r, &c, 1), 0);
	/* Linux: reading and writing opens at once, and never sees an end. */
	int both = CHECK_OK(open("p", O_RDWR | O_NONBLOCK));
	CHECK_ERR(read(both, &c, 1), EAGAIN);
	CHECK_EQ(write(both, "y", 1), 1);
	CHECK_EQ(read(r, &c, 1), 1);
}

TEST(opening_a_fifo_meets_the_other_side)
{
	char buf[6] = "";
	CHECK_OK(mkfifo("p", 0600));
	pid_t child = SPAWN({
		kt_sleep_ms(30);
		int w = CHECK_OK(open("p", O_WRONLY));
		CHECK_EQ(write(w, "hello", 5), 5);
	});
	int r = CHECK_OK(open("p", O_RDONLY));
	CHECK_EQ(read(r, buf, 5), 5);
	CHECK_EQ(read(r, buf, 5), 0);
	JOIN(child);
}

TEST(through_proc)
{
	int end[2];
	char path[64], link[64] = "", c;
	CHECK_OK(pipe(end));
	snprintf(path, sizeof path, "/proc/self/fd/%d", end[0]);
	CHECK(readlink(path, link, sizeof link - 1) > 0);
	CHECK(!strncmp(link, "pipe:[", 6));
	snprintf(path, sizeof path, "/proc/self/fd/%d", end[0]);
	int w = CHECK_OK(open(path, O_WRONLY));
	CHECK_EQ(write(w, "x", 1), 1);
	CHECK_EQ(read(end[0], &c, 1), 1);
	struct stat st;
	CHECK_OK(fstat(end[0], &st));
	CHECK(S_ISFIFO(st.st_mode));
	CHECK_EQ(st.st_blksize, 4096);
}

static volatile int ios;

static void on_io(int sig)
{
	(void)sig;
	ios++;
}

TEST(sigio)
{
	int end[2];
	CHECK_OK(pipe(end));
	signal(SIGIO, on_io);
	CHECK_OK(fcntl(end[0], F_SETOWN, getpid()));
	CHECK_EQ(fcntl(end[0], F_GETOWN), getpid());
	CHECK_OK(fcntl(end[0], F_SETFL, O_ASYNC));
	CHECK_EQ(write(end[1], "x", 1), 1);
	WAIT_FOR(ios >= 1);
}

TEST(an_end_opened_again_waits_for_nobody)
{
	int fd[2];
	char path[64], c;
	CHECK_OK(pipe(fd));
	CHECK_EQ(write(fd[1], "x", 1), 1);
	CHECK_OK(close(fd[1]));
	/* A FIFO would wait for a writer here. */
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd[0]);
	int again = CHECK_OK(open(path, O_RDONLY));
	CHECK_EQ(read(again, &c, 1), 1);
	CHECK_EQ(read(again, &c, 1), 0);
	CHECK_OK(close(again));
	again = CHECK_OK(open(path, O_RDONLY | O_NONBLOCK));
	CHECK_EQ(read(again, &c, 1), 0);
	CHECK_OK(close(again));

	CHECK_OK(pipe(fd));
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd[1]);
	CHECK_OK(close(fd[0]));
	again = CHECK_OK(open(path, O_WRONLY | O_NONBLOCK));
	signal(SIGPIPE, SIG_IGN);
	CHECK_ERR(write(again, "x", 1), EPIPE);
}
