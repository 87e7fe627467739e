/* sendfile(2), splice(2), tee(2), vmsplice(2), copy_file_range(2). */
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/uio.h>

#include "proc.h"
#include "sys.h"

static char block[100000], back[100000];

static int source(void)
{
	for (unsigned i = 0; i < sizeof block; i++)
		block[i] = i * 31 + i / 4096;
	int fd = CHECK_OK(open("src", O_CREAT | O_RDWR | O_TRUNC, 0600));
	CHECK_EQ(write(fd, block, sizeof block), sizeof block);
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

static int target(void)
{
	return CHECK_OK(open("dst", O_CREAT | O_RDWR | O_TRUNC, 0600));
}

TEST(sendfile_between_files)
{
	int in = source(), out = target();
	off_t at = 5000;
	CHECK_EQ(sendfile(out, in, &at, 20000), 20000);
	CHECK_EQ(at, 25000);
	CHECK_EQ(lseek(in, 0, SEEK_CUR), 0);
	CHECK_EQ(pread(out, back, 20000, 0), 20000);
	CHECK(!memcmp(back, block + 5000, 20000));
	CHECK_EQ(sendfile(out, in, NULL, 1 << 30), sizeof block);
	CHECK_EQ(lseek(in, 0, SEEK_CUR), sizeof block);
	CHECK_EQ(sendfile(out, in, NULL, 100), 0);
	at = -1;
	CHECK_ERR(sendfile(out, in, &at, 1), EINVAL);
	CHECK_ERR(sendfile(in, 999, NULL, 1), EBADF);
	CHECK_ERR(sendfile(999, in, NULL, 1), EBADF);
	int r = CHECK_OK(open("src", O_RDONLY)), w = CHECK_OK(open("dst", O_WRONLY));
	CHECK_ERR(sendfile(r, in, NULL, 1), EBADF);
	CHECK_ERR(sendfile(out, w, NULL, 1), EBADF);
	int append = CHECK_OK(open("dst", O_WRONLY | O_APPEND));
	CHECK_ERR(sendfile(append, in, NULL, 1), EINVAL);
	CHECK_ERR(syscall(SYS_sendfile, out, in, BAD_PTR, 1), EFAULT);
}

TEST(sendfile_to_a_pipe)
{
	int in = source(), end[2];
	CHECK_OK(pipe2(end, O_NONBLOCK));
	CHECK_EQ(sendfile(end[1], in, NULL, sizeof block), 65536);
	CHECK_ERR(sendfile(end[1], in, NULL, 1), EAGAIN);
	CHECK_EQ(read(end[0], back, sizeof back), 65536);
	CHECK(!memcmp(back, block, 65536));
	CHECK_ERR(sendfile(target(), end[0], NULL, 1), EINVAL);
}

TEST(splice_in_and_out)
{
	int in = source(), out = target(), end[2];
	off_t at = 1000, to = 500;
	CHECK_OK(pipe(end));
	CHECK_EQ(splice(in, &at, end[1], NULL, 10000, 0), 10000);
	CHECK_EQ(at, 11000);
	CHECK_EQ(splice(end[0], NULL, out, &to, 4000, 0), 4000);
	CHECK_EQ(to, 4500);
	CHECK_EQ(splice(end[0], NULL, out, &to, 100000, 0), 6000);
	CHECK_EQ(pread(out, back, 10000, 500), 10000);
	CHECK(!memcmp(back, block + 1000, 10000));
	CHECK_ERR(splice(end[0], NULL, out, NULL, 1, SPLICE_F_NONBLOCK), EAGAIN);
	CHECK_ERR(splice(in, NULL, out, NULL, 1, 0), EINVAL);
	CHECK_ERR(splice(end[0], &at, out, NULL, 1, 0), ESPIPE);
	CHECK_ERR(splice(999, NULL, end[1], NULL, 1, 0), EBADF);
	CHECK_ERR(splice(in, NULL, end[1], NULL, 1, 0x1000), EINVAL);
	CHECK_EQ(splice(in, NULL, end[1], NULL, 0, 0), 0);
	CHECK_OK(close(end[1]));
	CHECK_EQ(splice(end[0], NULL, out, NULL, 1, 0), 0);
}

TEST(splice_between_pipes_and_tee)
{
	int a[2], b[2];
	char buf[8] = "";
	CHECK_OK(pipe(a));
	CHECK_OK(pipe(b));
	CHECK_EQ(write(a[1], "abcdef", 6), 6);
	CHECK_EQ(tee(a[0], b[1], 4, 0), 4);
	CHECK_EQ(read(b[0], buf, 8), 4);
	CHECK(!memcmp(buf, "abcd", 4));
	CHECK_EQ(splice(a[0], NULL, b[1], NULL, 100, 0), 6);
	CHECK_EQ(read(b[0], buf, 8), 6);
	CHECK(!memcmp(buf, "abcdef", 6));
	CHECK_ERR(tee(a[0], b[1], 1, SPLICE_F_NONBLOCK), EAGAIN);
	CHECK_ERR(tee(a[0], a[1], 1, 0), EINVAL);
	CHECK_ERR(splice(a[0], NULL, a[1], NULL, 1, 0), EINVAL);
	CHECK_ERR(tee(source(), b[1], 1, 0), EINVAL);
}

TEST(vmsplice_of_memory)
{
	int end[2];
	char buf[8] = "";
	struct iovec v[2] = { { "abc", 3 }, { "def", 3 } };
	CHECK_OK(pipe(end));
	CHECK_EQ(vmsplice(end[1], v, 2, 0), 6);
	CHECK_EQ(read(end[0], buf, 8), 6);
	CHECK(!memcmp(buf, "abcdef", 6));
	CHECK_ERR(vmsplice(source(), v, 2, 0), EBADF);
}

static ssize_t copy(int in, loff_t *at, int out, loff_t *to, size_t n, unsigned flags)
{
	return syscall(SYS_copy_file_range, in, at, out, to, n, flags);
}

TEST(copy_file_range_copies)
{
	int in = source(), out = target();
	loff_t at = 100, to = 200;
	CHECK_EQ(copy(in, &at, out, &to, 50000, 0), 50000);
	CHECK(at == 50100 && to == 50200);
	CHECK_EQ(pread(out, back, 50000, 200), 50000);
	CHECK(!memcmp(back, block + 100, 50000));
	CHECK_EQ(copy(in, NULL, out, NULL, 1 << 30, 0), sizeof block);
	CHECK_EQ(copy(in, NULL, out, NULL, 100, 0), 0);
	at = 0;
	to = 50000;
	CHECK_EQ(copy(in, &at, in, &to, 1000, 0), 1000);
	at = 0;
	to = 500;
	CHECK_ERR(copy(in, &at, in, &to, 1000, 0), EINVAL);
	CHECK_ERR(copy(in, NULL, out, NULL, 1, 1), EINVAL);
	int r = CHECK_OK(open("dst", O_RDONLY)), end[2];
	CHECK_ERR(copy(in, NULL, r, NULL, 1, 0), EBADF);
	int append = CHECK_OK(open("dst", O_WRONLY | O_APPEND));
	CHECK_ERR(copy(in, NULL, append, NULL, 1, 0), EBADF);
	CHECK_OK(pipe(end));
	CHECK_ERR(copy(in, NULL, end[1], NULL, 1, 0), EINVAL);
	int dir = CHECK_OK(open(".", O_RDONLY));
	CHECK_ERR(copy(dir, NULL, out, NULL, 1, 0), EISDIR);
}

TEST(copy_file_range_stays_within_a_file_system)
{
	int in = source();
	CHECK_OK(unshare(CLONE_NEWNS));
	CHECK_OK(mkdir("other", 0700));
	CHECK_OK(mount("none", "other", "tmpfs", 0, NULL));
	int out = CHECK_OK(open("other/dst", O_CREAT | O_RDWR, 0600));
	CHECK_ERR(copy(in, NULL, out, NULL, 100, 0), EXDEV);
	/* Several mounts of one are the same. */
	CHECK_OK(mkdir("again", 0700));
	CHECK_OK(mount("other", "again", NULL, MS_BIND, NULL));
	int third = CHECK_OK(open("again/third", O_CREAT | O_RDWR, 0600));
	CHECK_EQ(write(out, "0123", 4), 4);
	CHECK_EQ(lseek(out, 0, SEEK_SET), 0);
	CHECK_EQ(copy(out, NULL, third, NULL, 100, 0), 4);
	int a = CHECK_OK(memfd_create("a", 0)), b = CHECK_OK(memfd_create("b", 0));
	CHECK_EQ(write(a, "0123", 4), 4);
	CHECK_EQ(lseek(a, 0, SEEK_SET), 0);
	CHECK_EQ(copy(a, NULL, b, NULL, 100, 0), 4);
}
