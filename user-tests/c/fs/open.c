/* open(2), openat(2), creat(2), openat2(2): flags and errors. */
#include <sys/resource.h>

#include "proc.h"
#include "sys.h"

static int openat2(int dir, const char *path, int flags, int mode, int resolve)
{
	struct open_how how = { .flags = flags, .mode = mode, .resolve = resolve };
	return sys_openat2(dir, path, &how, sizeof how);
}

TEST(lowest_descriptor)
{
	int a = CHECK_OK(open("/dev/null", O_RDONLY)), b = CHECK_OK(open("/dev/null", O_RDONLY));
	CHECK_EQ(b, a + 1);
	CHECK_OK(close(a));
	CHECK_EQ(open("/dev/null", O_RDONLY), a);
}

TEST(creation_and_exclusion)
{
	struct stat st;
	CHECK_ERR(open("f", O_RDWR), ENOENT);
	umask(027);
	int fd = CHECK_OK(open("f", O_CREAT | O_EXCL | O_WRONLY, 0666));
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(st.st_mode, S_IFREG | 0640);
	CHECK_EQ(st.st_size, 0);
	CHECK_EQ(st.st_nlink, 1);
	CHECK_ERR(open("f", O_CREAT | O_EXCL | O_WRONLY, 0666), EEXIST);
	CHECK_OK(open("f", O_CREAT | O_WRONLY, 0777));
	CHECK_OK(symlink("nowhere", "l"));
	CHECK_ERR(open("l", O_CREAT | O_EXCL | O_WRONLY, 0666), EEXIST);
	CHECK_OK(open("l", O_CREAT | O_WRONLY, 0666));
	CHECK_OK(stat("nowhere", &st));
	/* A mode that forbids writing does not matter to the creating descriptor. */
	fd = CHECK_OK(open("r", O_CREAT | O_RDWR, 0));
	CHECK_EQ(write(fd, "x", 1), 1);
}

TEST(access_modes)
{
	char c = 'x';
	kt_make_file("f", "abc", 0600);
	int r = CHECK_OK(open("f", O_RDONLY)), w = CHECK_OK(open("f", O_WRONLY));
	CHECK_ERR(write(r, &c, 1), EBADF);
	CHECK_ERR(read(w, &c, 1), EBADF);
	CHECK_ERR(ftruncate(r, 0), EINVAL);
	CHECK_OK(ftruncate(w, 1));
	CHECK_EQ(fcntl(r, F_GETFL) & O_ACCMODE, O_RDONLY);
	CHECK_EQ(fcntl(w, F_GETFL) & O_ACCMODE, O_WRONLY);
	int neither = CHECK_OK(open("f", O_ACCMODE));
	CHECK_ERR(read(neither, &c, 1), EBADF);
	CHECK_ERR(write(neither, &c, 1), EBADF);
}

TEST(truncating_and_appending)
{
	struct stat st;
	kt_make_file("f", "abcdef", 0600);
	int fd = CHECK_OK(open("f", O_WRONLY | O_APPEND));
	CHECK_EQ(write(fd, "g", 1), 1);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 7);
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	CHECK_EQ(write(fd, "h", 1), 1);
	CHECK_EQ(pwrite(fd, "i", 1, 0), 1);
	CHECK_OK(stat("f", &st));
	CHECK_EQ(st.st_size, 9);
	CHECK_OK(fcntl(fd, F_SETFL, 0));
	CHECK_EQ(pwrite(fd, "A", 1, 0), 1);
	CHECK_OK(stat("f", &st));
	CHECK_EQ(st.st_size, 9);
	CHECK_OK(close(open("f", O_WRONLY | O_TRUNC)));
	CHECK_OK(stat("f", &st));
	CHECK_EQ(st.st_size, 0);
	CHECK_OK(creat("f2", 0600));
	CHECK_OK(stat("f2", &st));
}

TEST(directories)
{
	CHECK_OK(mkdir("d", 0755));
	kt_make_file("f", "", 0600);
	CHECK_OK(open("d", O_RDONLY));
	CHECK_ERR(open("d", O_WRONLY), EISDIR);
	CHECK_ERR(open("d", O_RDWR), EISDIR);
	CHECK_ERR(open("d", O_RDONLY | O_TRUNC), EISDIR);
	CHECK_ERR(open("d", O_CREAT, 0600), EISDIR);
	CHECK_ERR(open("new/", O_CREAT | O_WRONLY, 0600), EISDIR);
	CHECK_ERR(open("f", O_RDONLY | O_DIRECTORY), ENOTDIR);
	CHECK_ERR(open("f/", O_RDONLY), ENOTDIR);
	CHECK_ERR(open("f/x", O_RDONLY), ENOTDIR);
	CHECK_ERR(open("d/x/y", O_RDONLY), ENOENT);
	char c;
	CHECK_ERR(read(CHECK_OK(open("d", O_RDONLY)), &c, 1), EISDIR);
	CHECK_OK(open("d/..//./d/", O_RDONLY));
}

TEST(relative_to_a_descriptor)
{
	CHECK_OK(mkdir("d", 0755));
	int dir = CHECK_OK(open("d", O_RDONLY | O_DIRECTORY));
	int fd = CHECK_OK(openat(dir, "f", O_CREAT | O_RDWR, 0600));
	CHECK_OK(access("d/f", F_OK));
	CHECK_ERR(openat(fd, "x", O_RDONLY), ENOTDIR);
	CHECK_ERR(openat(999, "x", O_RDONLY), EBADF);
	CHECK_OK(openat(999, "/dev/null", O_RDONLY));
	CHECK_OK(rename("d", "e"));
	CHECK_OK(openat(dir, "f", O_RDONLY));
	CHECK_OK(unlink("e/f"));
	CHECK_OK(rmdir("e"));
	CHECK_ERR(openat(dir, "f", O_CREAT | O_RDWR, 0600), ENOENT);
}

TEST(links)
{
	kt_make_file("f", "abc", 0600);
	CHECK_OK(symlink("f", "l"));
	CHECK_OK(open("l", O_RDONLY));
	CHECK_ERR(open("l", O_RDONLY | O_NOFOLLOW), ELOOP);
	CHECK_OK(symlink("l2", "l1"));
	CHECK_OK(symlink("l1", "l2"));
	CHECK_ERR(open("l1", O_RDONLY), ELOOP);
	CHECK_OK(symlink(".", "here"));
	CHECK_OK(open("here/here/here/f", O_RDONLY));
	CHECK_OK(open("here", O_RDONLY | O_DIRECTORY));
	/* 40 links in a row are followed, no more. */
	char a[16], b[16] = "f";
	for (int i = 1; i <= 41; i++) {
		snprintf(a, sizeof a, "c%d", i);
		CHECK_OK(symlink(b, a));
		strcpy(b, a);
	}
	CHECK_OK(open("c40", O_RDONLY));
	CHECK_ERR(open("c41", O_RDONLY), ELOOP);
}

TEST(paths_without_files)
{
	struct stat st;
	char c;
	kt_make_file("f", "abc", 0600);
	CHECK_OK(symlink("f", "l"));
	int fd = CHECK_OK(open("f", O_PATH));
	CHECK_ERR(read(fd, &c, 1), EBADF);
	CHECK_ERR(syscall(SYS_fchmod, fd, 0644), EBADF);
	CHECK_ERR(ftruncate(fd, 0), EBADF);
	CHECK_ERR(lseek(fd, 0, SEEK_SET), EBADF);
	CHECK_ERR(fcntl(fd, F_SETFL, O_NONBLOCK), EBADF);
	CHECK_EQ(fcntl(fd, F_GETFL) & O_PATH, O_PATH);
	CHECK_OK(fstat(fd, &st));
	CHECK_OK(fcntl(CHECK_OK(dup(fd)), F_SETFD, FD_CLOEXEC));
	int link = CHECK_OK(open("l", O_PATH | O_NOFOLLOW));
	CHECK_OK(fstat(link, &st));
	CHECK(S_ISLNK(st.st_mode));
	char target[4] = "";
	CHECK_EQ(readlinkat(link, "", target, 4), 1);
	CHECK_EQ(target[0], 'f');
	int dir = CHECK_OK(open(".", O_PATH));
	CHECK_OK(openat(dir, "f", O_RDONLY));
	CHECK_OK(fchdir(dir));
	JOIN(SPAWN({
		CHECK_OK(chmod(".", 0755));
		CHECK_OK(setuid(65534));
		CHECK_OK(open("f", O_PATH));
		CHECK_ERR(open("f", O_RDONLY), EACCES);
	}));
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	CHECK_EQ(read(CHECK_OK(open(path, O_RDONLY)), &c, 1), 1);
}

TEST(unnamed_files)
{
	struct stat st;
	char path[64];
	int fd = CHECK_OK(open(".", O_TMPFILE | O_RDWR, 0640));
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(st.st_nlink, 0);
	CHECK_EQ(write(fd, "abc", 3), 3);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	CHECK_OK(linkat(AT_FDCWD, path, AT_FDCWD, "named", AT_SYMLINK_FOLLOW));
	CHECK_OK(stat("named", &st));
	CHECK_EQ(st.st_size, 3);
	CHECK_EQ(st.st_nlink, 1);
	fd = CHECK_OK(open(".", O_TMPFILE | O_RDWR | O_EXCL, 0600));
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	CHECK_ERR(linkat(AT_FDCWD, path, AT_FDCWD, "other", AT_SYMLINK_FOLLOW), ENOENT);
	CHECK_ERR(open(".", O_TMPFILE | O_RDONLY, 0600), EINVAL);
	CHECK_ERR(open("named", O_TMPFILE | O_RDWR, 0600), ENOTDIR);
}

TEST(names_and_paths_have_limits)
{
	static char path[5000];
	memset(path, 'a', 255);
	CHECK_OK(close(CHECK_OK(open(path, O_CREAT | O_RDWR, 0600))));
	path[255] = 'a';
	CHECK_ERR(open(path, O_CREAT | O_RDWR, 0600), ENAMETOOLONG);
	for (int i = 0; i < 4095; i += 2)
		memcpy(path + i, "./", 2);
	path[4095] = 0;
	path[4094] = '/';
	CHECK_OK(open(path, O_RDONLY));
	path[4095] = '/';
	path[4096] = 0;
	CHECK_ERR(open(path, O_RDONLY), ENAMETOOLONG);
	CHECK_ERR(open("", O_RDONLY), ENOENT);
	CHECK_ERR(open(BAD_PTR, O_RDONLY), EFAULT);
	CHECK_ERR(symlink("", "empty"), ENOENT);
}

TEST(openat2_resolution)
{
	CHECK_OK(mkdir("d", 0755));
	kt_make_file("d/f", "x", 0600);
	kt_make_file("out", "x", 0600);
	CHECK_OK(symlink("f", "d/l"));
	CHECK_OK(symlink("/", "d/root"));
	CHECK_OK(symlink("../out", "d/up"));
	int dir = CHECK_OK(open("d", O_PATH));
	CHECK_OK(openat2(dir, "f", O_RDONLY, 0, 0));
	CHECK_OK(openat2(dir, "l", O_RDONLY, 0, RESOLVE_BENEATH));
	CHECK_ERR(openat2(dir, "../out", O_RDONLY, 0, RESOLVE_BENEATH), EXDEV);
	CHECK_ERR(openat2(dir, "up", O_RDONLY, 0, RESOLVE_BENEATH), EXDEV);
	CHECK_ERR(openat2(dir, "/dev/null", O_RDONLY, 0, RESOLVE_BENEATH), EXDEV);
	CHECK_ERR(openat2(dir, "root", O_RDONLY, 0, RESOLVE_BENEATH), EXDEV);
	CHECK_OK(openat2(dir, "/f", O_RDONLY, 0, RESOLVE_IN_ROOT));
	CHECK_OK(openat2(dir, "../../f", O_RDONLY, 0, RESOLVE_IN_ROOT));
	CHECK_OK(openat2(dir, "root/f", O_RDONLY, 0, RESOLVE_IN_ROOT));
	CHECK_ERR(openat2(dir, "up", O_RDONLY, 0, RESOLVE_IN_ROOT), ENOENT);
	CHECK_ERR(openat2(dir, "l", O_RDONLY, 0, RESOLVE_NO_SYMLINKS), ELOOP);
	CHECK_ERR(openat2(AT_FDCWD, "/proc/self/exe", O_RDONLY, 0, RESOLVE_NO_MAGICLINKS), ELOOP);
	CHECK_ERR(openat2(AT_FDCWD, "/proc/self/exe", O_RDONLY, 0, RESOLVE_NO_XDEV), EXDEV);
	CHECK_OK(openat2(dir, "l", O_RDONLY, 0, RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS));
	CHECK_OK(openat2(dir, "new", O_CREAT | O_RDWR, 0600, RESOLVE_IN_ROOT));
}

/* A directory that leaves while a walk is in it does not take the walk out of its root. */
static void attacked(int resolve)
{
	static const char path[] = "c/../../c/../../c/../../c/../../c/../../c/../../c/../../c/../..";
	CHECK_OK(mkdir("r", 0755));
	CHECK_OK(mkdir("r/a", 0755));
	CHECK_OK(mkdir("r/a/c", 0755));
	CHECK_OK(mkdir("r/b", 0755));
	int dir = CHECK_OK(open("r/a", O_PATH));
	struct stat root, st;
	CHECK_OK(fstat(dir, &root));
	pid_t attacker = SPAWN(for (;;) CHECK_OK(sys_renameat2(AT_FDCWD, "r/a/c", AT_FDCWD, "r/b", RENAME_EXCHANGE)));
	for (int i = 0; i < 20000; i++) {
		int fd = openat2(dir, path, O_PATH, 0, resolve);
		if (fd < 0) {
			CHECK(errno == EAGAIN || errno == EXDEV);
			continue;
		}
		CHECK_OK(fstat(fd, &st));
		CHECK_EQ(st.st_ino, root.st_ino);
		close(fd);
	}
	kill(attacker, SIGKILL);
	kt_wait(attacker);
}

TEST(renames_lead_no_walk_out_of_its_tree) { attacked(RESOLVE_BENEATH); }
TEST(renames_lead_no_walk_out_of_its_root) { attacked(RESOLVE_IN_ROOT); }

TEST(openat2_is_strict)
{
	struct {
		struct open_how how;
		uint64_t more;
	} big = { .how.flags = O_RDONLY };
	kt_make_file("f", "x", 0600);
	CHECK_ERR(openat2(AT_FDCWD, "f", O_RDONLY, 0600, 0), EINVAL);
	CHECK_ERR(openat2(AT_FDCWD, "f", O_CREAT | O_RDWR, 010000, 0), EINVAL);
	CHECK_ERR(openat2(AT_FDCWD, "f", 1 << 30, 0, 0), EINVAL);
	CHECK_ERR(openat2(AT_FDCWD, "f", O_RDONLY, 0, 1 << 20), EINVAL);
	CHECK_ERR(openat2(AT_FDCWD, "f", O_RDONLY, 0, RESOLVE_BENEATH | RESOLVE_IN_ROOT), EINVAL);
	CHECK_ERR(openat2(AT_FDCWD, "f", O_PATH | O_RDWR, 0, 0), EINVAL);
	CHECK_OK(sys_openat2(AT_FDCWD, "f", &big.how, sizeof big));
	big.more = 1;
	CHECK_ERR(sys_openat2(AT_FDCWD, "f", &big.how, sizeof big), E2BIG);
	CHECK_ERR(sys_openat2(AT_FDCWD, "f", &big.how, 8), EINVAL);
	CHECK_ERR(sys_openat2(AT_FDCWD, "f", BAD_PTR, sizeof big.how), EFAULT);
}
