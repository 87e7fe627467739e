/* execveat(2): programs by descriptor. */
#include <sys/mman.h>

#include "proc.h"
#include "sys.h"

extern char **environ;

static char *as_five[] = { "role:five", NULL };

ROLE(five)
{
	return 5;
}

static int run(int dir, const char *path, int flags)
{
	return kt_wait(SPAWN({
		sys_execveat(dir, path, as_five, environ, flags);
		_exit(errno == ENOSYS ? 121 : 120);
	}));
}

TEST(relative_to_a_directory)
{
	kt_copy_self("prog");
	int dir = CHECK_OK(open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	CHECK_OK(chdir("/"));
	CHECK_EQ(WEXITSTATUS(run(dir, "prog", 0)), 5);
}

TEST(at_fdcwd_and_absolute)
{
	kt_copy_self("prog");
	CHECK_EQ(WEXITSTATUS(run(AT_FDCWD, "prog", 0)), 5);
	CHECK_EQ(WEXITSTATUS(run(-1, "/proc/self/exe", 0)), 5);
}

TEST(the_descriptor_itself)
{
	kt_copy_self("prog");
	int fd = CHECK_OK(open("prog", O_RDONLY | O_CLOEXEC));
	CHECK_EQ(WEXITSTATUS(run(fd, "", AT_EMPTY_PATH)), 5);
	int path = CHECK_OK(open("prog", O_PATH | O_CLOEXEC));
	CHECK_EQ(WEXITSTATUS(run(path, "", AT_EMPTY_PATH)), 5);
	CHECK_OK(unlink("prog"));
	CHECK_EQ(WEXITSTATUS(run(fd, "", AT_EMPTY_PATH)), 5);
}

TEST(a_memfd)
{
	static char buf[65536];
	int from = CHECK_OK(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
	int fd = CHECK_OK(memfd_create("prog", MFD_CLOEXEC));
	ssize_t n;
	while ((n = CHECK_OK(read(from, buf, sizeof buf))) > 0)
		CHECK_EQ(write(fd, buf, n), n);
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	int reader = CHECK_OK(open(path, O_RDONLY | O_CLOEXEC));
	CHECK_OK(close(fd));
	CHECK_EQ(WEXITSTATUS(run(reader, "", AT_EMPTY_PATH)), 5);
}

TEST(a_script_by_descriptor)
{
	char self[512] = "#!", text[600];
	ssize_t n = CHECK_OK(readlink("/proc/self/exe", self + 2, sizeof self - 4));
	strcpy(self + 2 + n, "\n");
	snprintf(text, sizeof text, "%s", self);
	kt_make_file("script", text, 0755);
	CHECK_OK(setenv("KT_ROLE", "script", 1));
	int fd = CHECK_OK(open("script", O_RDONLY));
	CHECK_EQ(WEXITSTATUS(run(fd, "", AT_EMPTY_PATH)), 6);
	/* The interpreter could not open a descriptor that exec closes. */
	CHECK_OK(fcntl(fd, F_SETFD, FD_CLOEXEC));
	CHECK_ERR(sys_execveat(fd, "", as_five, environ, AT_EMPTY_PATH), ENOENT);
}

ROLE(script)
{
	CHECK_EQ(argc, 2);
	CHECK(!strncmp(argv[1], "/dev/fd/", 8));
	return 6;
}

TEST(links_can_be_refused)
{
	kt_copy_self("prog");
	CHECK_OK(symlink("prog", "link"));
	CHECK_EQ(WEXITSTATUS(run(AT_FDCWD, "link", 0)), 5);
	CHECK_ERR(sys_execveat(AT_FDCWD, "link", as_five, environ, AT_SYMLINK_NOFOLLOW), ELOOP);
}

TEST(wrong_arguments)
{
	kt_make_file("plain", "x", 0755);
	int fd = CHECK_OK(open("plain", O_RDONLY));
	CHECK_ERR(sys_execveat(AT_FDCWD, "", as_five, environ, 0), ENOENT);
	CHECK_ERR(sys_execveat(fd, "", as_five, environ, 0), ENOENT);
	CHECK_ERR(sys_execveat(fd, "x", as_five, environ, 0), ENOTDIR);
	CHECK_ERR(sys_execveat(999, "x", as_five, environ, 0), EBADF);
	CHECK_ERR(sys_execveat(999, "", as_five, environ, AT_EMPTY_PATH), EBADF);
	CHECK_ERR(sys_execveat(AT_FDCWD, "plain", as_five, environ, 0x40000000), EINVAL);
	CHECK_ERR(sys_execveat(AT_FDCWD, "plain", as_five, environ, AT_SYMLINK_FOLLOW), EINVAL);
	CHECK_ERR(sys_execveat(fd, "", as_five, environ, AT_EMPTY_PATH), ENOEXEC);
}
