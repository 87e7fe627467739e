/* Descriptors: dup, fcntl, close_range. */
#include <sys/ioctl.h>
#include <sys/resource.h>

#include "proc.h"
#include "sys.h"

TEST(dup_shares_the_open_file)
{
	kt_make_file("f", "abcdef", 0600);
	int a = CHECK_OK(open("f", O_RDONLY | O_CLOEXEC)), b = CHECK_OK(dup(a));
	char c;
	CHECK_EQ(read(a, &c, 1), 1);
	CHECK_EQ(lseek(b, 0, SEEK_CUR), 1);
	CHECK_EQ(fcntl(b, F_GETFD), 0);
	CHECK_OK(close(a));
	CHECK_EQ(read(b, &c, 1), 1);
	CHECK_EQ(c, 'b');
	CHECK_ERR(dup(a), EBADF);
}

TEST(dup2_and_dup3)
{
	int a = CHECK_OK(open("/dev/null", O_RDONLY)), b = CHECK_OK(open("/dev/zero", O_RDONLY));
	char c = 1;
	CHECK_EQ(dup2(b, a), a);
	CHECK_EQ(read(a, &c, 1), 1);
	CHECK_EQ(c, 0);
	CHECK_EQ(dup2(a, a), a);
	CHECK_EQ(dup2(a, 50), 50);
	CHECK_ERR(dup2(999, 50), EBADF);
	CHECK_OK(fcntl(50, F_GETFD));
	CHECK_ERR(dup2(a, -1), EBADF);
	CHECK_ERR(dup2(a, 1 << 30), EBADF);
	CHECK_ERR(dup2(999, 999), EBADF);
	CHECK_EQ(dup3(a, 51, O_CLOEXEC), 51);
	CHECK_EQ(fcntl(51, F_GETFD), FD_CLOEXEC);
	CHECK_ERR(syscall(SYS_dup3, a, a, 0), EINVAL);
	CHECK_ERR(syscall(SYS_dup3, a, 52, O_NONBLOCK), EINVAL);
}

TEST(fcntl_commands)
{
	kt_make_file("f", "", 0600);
	int fd = CHECK_OK(open("f", O_RDWR));
	CHECK_EQ(fcntl(fd, F_DUPFD, 100), 100);
	CHECK_EQ(fcntl(fd, F_DUPFD, 100), 101);
	CHECK_EQ(fcntl(fd, F_DUPFD_CLOEXEC, 100), 102);
	CHECK_EQ(fcntl(102, F_GETFD), FD_CLOEXEC);
	CHECK_ERR(fcntl(fd, F_DUPFD, -1), EINVAL);
	CHECK_ERR(fcntl(999, F_DUPFD, 0), EBADF);
	CHECK_OK(fcntl(fd, F_SETFL, O_APPEND | O_NONBLOCK | O_CREAT | O_WRONLY));
	CHECK_EQ(fcntl(fd, F_GETFL) & ~O_LARGEFILE, O_RDWR | O_APPEND | O_NONBLOCK);
	CHECK_EQ(fcntl(100, F_GETFL) & O_APPEND, O_APPEND);
	CHECK_OK(fcntl(fd, F_SETFD, -1));
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_ERR(syscall(SYS_fcntl, fd, 7777, 0), EINVAL);
	CHECK_ERR(syscall(SYS_fcntl, 999, F_GETFD), EBADF);
	int on = 1;
	CHECK_OK(fcntl(fd, F_SETFL, 0));
	CHECK_OK(ioctl(fd, FIONBIO, &on));
	CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
	CHECK_OK(ioctl(fd, FIOCLEX));
	CHECK_OK(ioctl(fd, FIONCLEX));
	CHECK_EQ(fcntl(fd, F_GETFD), 0);
	CHECK_ERR(ioctl(fd, 0x5401 /* TCGETS */, &on), ENOTTY);
	CHECK_ERR(ioctl(999, FIOCLEX), EBADF);
}

TEST(closing)
{
	int fd = CHECK_OK(open("/dev/null", O_RDONLY));
	CHECK_OK(close(fd));
	CHECK_ERR(close(fd), EBADF);
	CHECK_ERR(close(-1), EBADF);
	CHECK_ERR(close(1 << 30), EBADF);
}

TEST(close_range)
{
	for (int i = 10; i < 20; i++)
		CHECK_EQ(dup2(0, i), i);
	CHECK_OK(sys_close_range(12, 14, 0));
	CHECK_OK(fcntl(11, F_GETFD));
	CHECK_ERR(fcntl(12, F_GETFD), EBADF);
	CHECK_ERR(fcntl(14, F_GETFD), EBADF);
	CHECK_OK(fcntl(15, F_GETFD));
	CHECK_OK(sys_close_range(15, 17, CLOSE_RANGE_CLOEXEC));
	CHECK_EQ(fcntl(15, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(18, F_GETFD), 0);
	CHECK_OK(sys_close_range(16, ~0U, 0));
	CHECK_ERR(fcntl(19, F_GETFD), EBADF);
	CHECK_ERR(sys_close_range(5, 4, 0), EINVAL);
	CHECK_ERR(sys_close_range(5, 6, 0x100), EINVAL);
	CHECK_OK(sys_close_range(1000, 2000, 0));
}

TEST(close_range_unshares)
{
	int fd = CHECK_OK(open("/dev/null", O_RDONLY));
	pid_t child = CHECK_OK(sys_clone(CLONE_FILES | SIGCHLD, NULL, NULL));
	if (child == 0)
		_exit(sys_close_range(fd, fd, CLOSE_RANGE_UNSHARE) || fcntl(fd, F_GETFD) >= 0);
	JOIN(child);
	CHECK_OK(fcntl(fd, F_GETFD));
	child = CHECK_OK(sys_clone(CLONE_FILES | SIGCHLD, NULL, NULL));
	if (child == 0)
		_exit(unshare(CLONE_FILES) || close(fd));
	JOIN(child);
	CHECK_OK(fcntl(fd, F_GETFD));
}

TEST(a_thousand_descriptors)
{
	struct rlimit r = { 1024, 4096 };
	CHECK_OK(setrlimit(RLIMIT_NOFILE, &r));
	int fd, n = 0;
	while ((fd = open("/dev/null", O_RDONLY)) >= 0)
		n++;
	CHECK_EQ(errno, EMFILE);
	CHECK(n > 1000);
	JOIN(SPAWN({
		for (int i = 500; i < 600; i++)
			CHECK_OK(close(i));
		CHECK_EQ(open("/dev/null", O_RDONLY), 500);
	}));
	CHECK_OK(fcntl(550, F_GETFD));
	CHECK_OK(close(700));
	CHECK_EQ(dup(0), 700);
}

TEST(proc_lists_them)
{
	char path[64], text[64];
	kt_make_file("f", "abc", 0600);
	int fd = CHECK_OK(open("f", O_RDWR | O_APPEND | O_CLOEXEC));
	CHECK_EQ(lseek(fd, 2, SEEK_SET), 2);
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	CHECK_EQ(kt_field(path, "pos:"), 2);
	CHECK(kt_read_file(path, text, sizeof text) > 0);
	unsigned flags = 0;
	CHECK_EQ(sscanf(strstr(text, "flags:"), "flags: %o", &flags), 1);
	CHECK_EQ(flags & ~O_LARGEFILE, O_RDWR | O_APPEND | O_CLOEXEC);
	struct stat a, b;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	CHECK_OK(stat(path, &a));
	CHECK_OK(fstat(fd, &b));
	CHECK(a.st_ino == b.st_ino && a.st_dev == b.st_dev);
	CHECK_OK(lstat(path, &a));
	CHECK_EQ(a.st_mode, S_IFLNK | 0700);
	CHECK_OK(close(fd));
	CHECK_ERR(lstat(path, &a), ENOENT);
}

TEST(kcmp_or_enosys)
{
	int a = CHECK_OK(open("/dev/null", O_RDONLY)), b = CHECK_OK(dup(a));
	int c = CHECK_OK(open("/dev/null", O_RDONLY));
	long r = syscall(SYS_kcmp, getpid(), getpid(), 0 /* KCMP_FILE */, a, b);
	if (r < 0) {
		CHECK_EQ(errno, ENOSYS);
		return;
	}
	CHECK_EQ(r, 0);
	CHECK(syscall(SYS_kcmp, getpid(), getpid(), 0, a, c) > 0);
}
