/* Reading, writing and seeking in regular files. */
#include <sys/uio.h>

#include "proc.h"
#include "sys.h"

TEST(holes_read_as_zeros)
{
	char buf[16];
	struct stat st;
	int fd = CHECK_OK(open("f", O_CREAT | O_RDWR, 0600));
	CHECK_EQ(lseek(fd, 100000, SEEK_SET), 100000);
	CHECK_EQ(write(fd, "end", 3), 3);
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(st.st_size, 100003);
	CHECK(st.st_blocks <= 16);
	CHECK_EQ(pread(fd, buf, 16, 50000), 16);
	for (int i = 0; i < 16; i++)
		CHECK_EQ(buf[i], 0);
	CHECK_EQ(pread(fd, buf, 16, 100000), 3);
	CHECK_EQ(pread(fd, buf, 16, 100003), 0);
	CHECK_EQ(pread(fd, buf, 16, 1L << 40), 0);
}

TEST(seeking)
{
	kt_make_file("f", "0123456789", 0600);
	int fd = CHECK_OK(open("f", O_RDWR));
	CHECK_EQ(lseek(fd, 3, SEEK_SET), 3);
	CHECK_EQ(lseek(fd, 4, SEEK_CUR), 7);
	CHECK_EQ(lseek(fd, -1, SEEK_END), 9);
	CHECK_EQ(lseek(fd, 5, SEEK_END), 15);
	CHECK_ERR(lseek(fd, -1, SEEK_SET), EINVAL);
	CHECK_ERR(lseek(fd, -16, SEEK_CUR), EINVAL);
	CHECK_ERR(lseek(fd, 0, 77), EINVAL);
	CHECK_ERR(lseek(999, 0, SEEK_SET), EBADF);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 15);
}

TEST(data_and_holes)
{
	int fd = CHECK_OK(open("f", O_CREAT | O_RDWR, 0600));
	CHECK_OK(ftruncate(fd, 1 << 20));
	CHECK_EQ(pwrite(fd, "x", 1, 512 << 10), 1);
	CHECK_EQ(lseek(fd, 0, SEEK_DATA), 512 << 10);
	CHECK_EQ(lseek(fd, 0, SEEK_HOLE), 0);
	CHECK_EQ(lseek(fd, 512 << 10, SEEK_HOLE), (512 << 10) + 4096);
	CHECK_ERR(lseek(fd, 600 << 10, SEEK_DATA), ENXIO);
	CHECK_ERR(lseek(fd, 2 << 20, SEEK_HOLE), ENXIO);
}

TEST(positioned)
{
	char buf[4] = "";
	kt_make_file("f", "0123456789", 0600);
	int fd = CHECK_OK(open("f", O_RDWR));
	CHECK_EQ(pread(fd, buf, 3, 4), 3);
	CHECK(!strcmp(buf, "456"));
	CHECK_EQ(pwrite(fd, "X", 1, 5), 1);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 0);
	CHECK_ERR(pread(fd, buf, 1, -1), EINVAL);
	CHECK_ERR(pwrite(fd, buf, 1, -1), EINVAL);
	struct iovec v[2] = { { buf, 1 }, { buf + 1, 2 } };
	CHECK_EQ(preadv(fd, v, 2, 4), 3);
	CHECK(!strcmp(buf, "4X6"));
	CHECK_EQ(pwritev(fd, v, 2, 0), 3);
	CHECK_EQ(syscall(SYS_preadv2, fd, v, 2, 8L, 0L, 0), 2);
	CHECK_EQ(syscall(SYS_preadv2, fd, v, 2, -1L, 0L, 0), 3);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 3);
	CHECK_ERR(syscall(SYS_preadv2, fd, v, 2, 0L, 0L, 0x4000), EOPNOTSUPP);
}

TEST(truncation)
{
	struct stat st;
	char buf[8];
	kt_make_file("f", "0123456789", 0600);
	CHECK_OK(truncate("f", 4));
	CHECK_OK(truncate("f", 8));
	int fd = CHECK_OK(open("f", O_RDWR));
	CHECK_EQ(read(fd, buf, 8), 8);
	CHECK(!memcmp(buf, "0123\0\0\0\0", 8));
	CHECK_OK(ftruncate(fd, 0));
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 8);
	CHECK_EQ(read(fd, buf, 8), 0);
	CHECK_OK(stat("f", &st));
	CHECK_EQ(st.st_size, 0);
	CHECK_ERR(truncate("f", -1), EINVAL);
	CHECK_ERR(ftruncate(fd, -1), EINVAL);
	CHECK_ERR(truncate("no", 0), ENOENT);
	CHECK_ERR(truncate(".", 0), EISDIR);
	CHECK_ERR(truncate("f/x", 0), ENOTDIR);
	CHECK_OK(truncate("f", 1L << 40));
	CHECK_OK(truncate("f", 0));
}

TEST(times_change)
{
	struct stat a, b;
	char c;
	kt_make_file("f", "abc", 0600);
	CHECK_OK(stat("f", &a));
	kt_sleep_ms(30);
	int fd = CHECK_OK(open("f", O_RDWR));
	CHECK_EQ(write(fd, "x", 1), 1);
	CHECK_OK(stat("f", &b));
	CHECK(b.st_mtim.tv_sec > a.st_mtim.tv_sec || b.st_mtim.tv_nsec > a.st_mtim.tv_nsec);
	CHECK(b.st_ctim.tv_sec > a.st_ctim.tv_sec || b.st_ctim.tv_nsec > a.st_ctim.tv_nsec);
	kt_sleep_ms(30);
	CHECK_OK(chmod("f", 0644));
	CHECK_OK(stat("f", &a));
	CHECK_EQ(a.st_mtim.tv_nsec, b.st_mtim.tv_nsec);
	CHECK(b.st_ctim.tv_nsec != a.st_ctim.tv_nsec);
	CHECK_EQ(read(fd, &c, 1), 1);
}

TEST(allocation)
{
	struct stat st;
	char c = 1;
	int fd = CHECK_OK(open("f", O_CREAT | O_RDWR, 0600));
	CHECK_OK(fallocate(fd, 0, 0, 100000));
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(st.st_size, 100000);
	CHECK(st.st_blocks >= 195);
	CHECK_OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 200000));
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(st.st_size, 100000);
	CHECK_EQ(pwrite(fd, "xyz", 3, 4096), 3);
	CHECK_OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4097, 1));
	CHECK_EQ(pread(fd, &c, 1, 4097), 1);
	CHECK_EQ(c, 0);
	CHECK_EQ(pread(fd, &c, 1, 4096), 1);
	CHECK_EQ(c, 'x');
	CHECK_ERR(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, 10), EOPNOTSUPP);
	CHECK_ERR(fallocate(fd, 0, 0, 0), EINVAL);
	CHECK_ERR(fallocate(fd, 0, -1, 10), EINVAL);
	CHECK_ERR(fallocate(CHECK_OK(open("f", O_RDONLY)), 0, 0, 10), EBADF);
	CHECK_EQ(posix_fallocate(fd, 0, 300000), 0);
}

TEST(syncing)
{
	int fd = CHECK_OK(open("f", O_CREAT | O_RDWR, 0600)), dir = CHECK_OK(open(".", O_RDONLY));
	CHECK_OK(fsync(fd));
	CHECK_OK(fdatasync(fd));
	CHECK_OK(fsync(dir));
	CHECK_OK(syscall(SYS_syncfs, fd));
	sync();
	CHECK_ERR(fsync(999), EBADF);
	CHECK_EQ(posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL), 0);
	CHECK_EQ(posix_fadvise(fd, 0, 0, 77), EINVAL);
	int end[2];
	CHECK_OK(pipe(end));
	CHECK_EQ(posix_fadvise(end[0], 0, 0, 0), ESPIPE);
}

TEST(huge_lengths_and_bad_buffers)
{
	char buf[16];
	kt_make_file("f", "0123456789", 0600);
	int fd = CHECK_OK(open("f", O_RDWR));
	CHECK_ERR(syscall(SYS_read, fd, buf, -1L), EFAULT);
	CHECK_ERR(syscall(SYS_write, fd, buf, -1L), EFAULT);
	CHECK_ERR(syscall(SYS_read, fd, BAD_PTR, 10), EFAULT);
	CHECK_ERR(syscall(SYS_write, fd, BAD_PTR, 10), EFAULT);
	CHECK_ERR(syscall(SYS_read, fd, 0xffffffff80000000, 10), EFAULT);
	CHECK_EQ(syscall(SYS_read, fd, BAD_PTR, 0), 0);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 0);
}

TEST(a_large_file_round_trip)
{
	enum { SIZE = 3 << 20 };
	char *out = malloc(SIZE), *in = malloc(SIZE);
	for (int i = 0; i < SIZE; i++)
		out[i] = i * 7 + i / 4096;
	int fd = CHECK_OK(open("f", O_CREAT | O_RDWR, 0600));
	CHECK_EQ(write(fd, out, SIZE), SIZE);
	CHECK_EQ(pread(fd, in, SIZE, 0), SIZE);
	CHECK(!memcmp(in, out, SIZE));
	CHECK_EQ(pread(fd, in, 5000, 4090), 5000);
	CHECK(!memcmp(in, out + 4090, 5000));
}

TEST(the_file_lives_until_the_last_close)
{
	struct stat st;
	char buf[4] = "";
	kt_make_file("f", "abc", 0600);
	int fd = CHECK_OK(open("f", O_RDWR));
	CHECK_OK(unlink("f"));
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(st.st_nlink, 0);
	CHECK_EQ(read(fd, buf, 3), 3);
	CHECK(!strcmp(buf, "abc"));
	CHECK_ERR(open("f", O_RDONLY), ENOENT);
	char path[64], link[256] = "";
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	CHECK(readlink(path, link, sizeof link - 1) > 0);
	CHECK(strstr(link, "/f (deleted)"));
	CHECK_OK(open(path, O_RDONLY));
}
