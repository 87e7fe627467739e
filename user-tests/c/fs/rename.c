/* rename(2), link(2), symlink(2), unlink(2) and their *at forms. */
#include "proc.h"
#include "sys.h"

static ino_t ino(const char *path)
{
	struct stat st;
	CHECK_OK(lstat(path, &st));
	return st.st_ino;
}

static int links(const char *path)
{
	struct stat st;
	CHECK_OK(stat(path, &st));
	return st.st_nlink;
}

TEST(renaming_files)
{
	kt_make_file("a", "1", 0600);
	kt_make_file("b", "22", 0600);
	ino_t a = ino("a");
	CHECK_OK(rename("a", "b"));
	CHECK_EQ(ino("b"), a);
	CHECK_ERR(open("a", O_RDONLY), ENOENT);
	CHECK_OK(rename("b", "b"));
	CHECK_OK(link("b", "c"));
	/* Two names of one file: nothing happens. */
	CHECK_OK(rename("b", "c"));
	CHECK_EQ(links("b"), 2);
	CHECK_ERR(rename("no", "x"), ENOENT);
	CHECK_ERR(rename("b", "no/x"), ENOENT);
	CHECK_ERR(rename("b/x", "y"), ENOTDIR);
	CHECK_ERR(rename("b", "x/"), ENOTDIR);
}

TEST(renaming_directories)
{
	CHECK_OK(mkdir("d", 0755));
	CHECK_OK(mkdir("d/e", 0755));
	CHECK_OK(mkdir("empty", 0755));
	kt_make_file("f", "", 0600);
	CHECK_ERR(rename("d", "d/e/x"), EINVAL);
	CHECK_ERR(rename("d", "d/e"), EINVAL);
	CHECK_ERR(rename("empty", "d"), ENOTEMPTY);
	CHECK_ERR(rename("d", "f"), ENOTDIR);
	CHECK_ERR(rename("f", "d"), EISDIR);
	CHECK_OK(rename("d", "empty"));
	CHECK_OK(access("empty/e", F_OK));
	CHECK_ERR(rename("empty/.", "x"), EBUSY);
	CHECK_ERR(rename("empty", "."), EBUSY);
	CHECK_ERR(rename("/proc", "/x"), EBUSY);
	CHECK_ERR(rename("f", "/proc/f"), EXDEV);
	CHECK_OK(mkdir("g", 0755));
	CHECK_EQ(links("empty"), 3);
	CHECK_OK(rename("empty/e", "g/e"));
	CHECK_EQ(links("empty"), 2);
	CHECK_EQ(links("g"), 3);
	CHECK_EQ(ino("g/e/.."), ino("g"));
}

TEST(an_open_file_follows)
{
	char link[512] = "";
	kt_make_file("a", "1", 0600);
	int fd = CHECK_OK(open("a", O_RDONLY));
	CHECK_OK(rename("a", "b"));
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	CHECK(readlink(path, link, sizeof link - 1) > 0);
	CHECK(strstr(link, "/b") && !strstr(link, "deleted"));
}

TEST(renameat2_flags)
{
	kt_make_file("a", "1", 0600);
	kt_make_file("b", "2", 0600);
	CHECK_OK(mkdir("d", 0755));
	CHECK_ERR(sys_renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE), EEXIST);
	CHECK_OK(sys_renameat2(AT_FDCWD, "a", AT_FDCWD, "c", RENAME_NOREPLACE));
	ino_t c = ino("c"), d = ino("d");
	CHECK_OK(sys_renameat2(AT_FDCWD, "c", AT_FDCWD, "d", RENAME_EXCHANGE));
	CHECK_EQ(ino("d"), c);
	CHECK_EQ(ino("c"), d);
	CHECK_ERR(sys_renameat2(AT_FDCWD, "c", AT_FDCWD, "no", RENAME_EXCHANGE), ENOENT);
	CHECK_ERR(sys_renameat2(AT_FDCWD, "c", AT_FDCWD, "d", RENAME_EXCHANGE | RENAME_NOREPLACE), EINVAL);
	CHECK_ERR(sys_renameat2(AT_FDCWD, "c", AT_FDCWD, "x", 0x100), EINVAL);
	struct stat st;
	CHECK_OK(sys_renameat2(AT_FDCWD, "d", AT_FDCWD, "moved", RENAME_WHITEOUT));
	CHECK_OK(stat("d", &st));
	CHECK(S_ISCHR(st.st_mode));
	CHECK_EQ(st.st_rdev, 0);
}

TEST(hard_links)
{
	kt_make_file("a", "1", 0600);
	CHECK_OK(mkdir("d", 0755));
	CHECK_OK(link("a", "b"));
	CHECK_EQ(links("a"), 2);
	CHECK_EQ(ino("a"), ino("b"));
	CHECK_OK(unlink("a"));
	CHECK_EQ(links("b"), 1);
	CHECK_ERR(link("b", "b"), EEXIST);
	CHECK_ERR(link("no", "x"), ENOENT);
	CHECK_ERR(link("d", "x"), EPERM);
	CHECK_ERR(link("b", "/x"), EXDEV);
	CHECK_ERR(link("b", "no/x"), ENOENT);
	CHECK_OK(symlink("b", "s"));
	CHECK_OK(link("s", "t"));
	CHECK_EQ(ino("t"), ino("s"));
	CHECK_OK(linkat(AT_FDCWD, "s", AT_FDCWD, "u", AT_SYMLINK_FOLLOW));
	CHECK_EQ(ino("u"), ino("b"));
	CHECK_ERR(linkat(AT_FDCWD, "s", AT_FDCWD, "v", 0x8000), EINVAL);
	int fd = CHECK_OK(open("b", O_RDONLY));
	CHECK_OK(linkat(fd, "", AT_FDCWD, "w", AT_EMPTY_PATH));
	CHECK_EQ(ino("w"), ino("b"));
}

TEST(symbolic_links)
{
	char buf[16];
	struct stat st;
	CHECK_OK(symlink("some target", "s"));
	CHECK_EQ(readlink("s", buf, sizeof buf), 11);
	CHECK(!memcmp(buf, "some target", 11));
	CHECK_EQ(readlink("s", buf, 4), 4);
	CHECK_OK(lstat("s", &st));
	CHECK_EQ(st.st_mode, S_IFLNK | 0777);
	CHECK_EQ(st.st_size, 11);
	CHECK_ERR(stat("s", &st), ENOENT);
	CHECK_ERR(symlink("x", "s"), EEXIST);
	kt_make_file("f", "", 0600);
	CHECK_ERR(readlink("f", buf, sizeof buf), EINVAL);
	CHECK_ERR(readlink("no", buf, sizeof buf), ENOENT);
	CHECK_ERR(syscall(SYS_readlink, "s", buf, 0), EINVAL);
	CHECK_ERR(syscall(SYS_readlink, "s", BAD_PTR, 10), EFAULT);
	static char big[4097];
	memset(big, 'x', 4095);
	CHECK_OK(symlink(big, "big"));
	big[4095] = 'x';
	CHECK_ERR(symlink(big, "bigger"), ENAMETOOLONG);
	CHECK_OK(unlink("s"));
	CHECK_OK(mkdir("d", 0755));
	CHECK_OK(symlink("d", "ld"));
	CHECK_OK(lstat("ld/", &st));
	CHECK(S_ISDIR(st.st_mode));
	CHECK_ERR(rmdir("ld"), ENOTDIR);
	CHECK_ERR(rmdir("ld/"), ENOTDIR);
	CHECK_OK(mkdirat(AT_FDCWD, "ld/x", 0755));
	CHECK_OK(access("d/x", F_OK));
}

TEST(unlinking)
{
	kt_make_file("f", "", 0600);
	CHECK_ERR(unlink("f/"), ENOTDIR);
	CHECK_ERR(unlink("no"), ENOENT);
	CHECK_ERR(unlink(""), ENOENT);
	CHECK_ERR(unlink("."), EISDIR);
	CHECK_OK(unlink("./f"));
	CHECK_ERR(unlink("f"), ENOENT);
}

TEST(sticky_directories)
{
	CHECK_OK(mkdir("t", 01777));
	CHECK_OK(chmod("t", 01777));
	CHECK_OK(chmod(".", 0777));
	kt_make_file("t/root", "", 0666);
	kt_make_file("t/mine", "", 0666);
	CHECK_OK(chown("t/mine", 1000, 1000));
	JOIN(SPAWN({
		CHECK_OK(setgid(1000));
		CHECK_OK(setuid(1000));
		CHECK_ERR(unlink("t/root"), EPERM);
		CHECK_ERR(rename("t/root", "t/x"), EPERM);
		CHECK_ERR(rename("t/mine", "t/root"), EPERM);
		CHECK_OK(unlink("t/mine"));
	}));
}

TEST(devices)
{
	struct stat st;
	char c = 1;
	CHECK_OK(mknod("zero", S_IFCHR | 0600, 0x105));
	CHECK_OK(stat("zero", &st));
	CHECK_EQ(st.st_rdev, 0x105);
	CHECK_EQ(read(CHECK_OK(open("zero", O_RDONLY)), &c, 1), 1);
	CHECK_EQ(c, 0);
	CHECK_OK(mknod("nothing", S_IFCHR | 0600, 0xfa00));
	CHECK_ERR(open("nothing", O_RDONLY), ENXIO);
	CHECK_OK(mknod("plain", S_IFREG | 0600, 0));
	CHECK_OK(mknod("plain2", 0600, 0));
	CHECK_ERR(mknod("plain", S_IFREG | 0600, 0), EEXIST);
	CHECK_ERR(mknod("dir", S_IFDIR | 0600, 0), EPERM);
	CHECK_ERR(mknod("bad", 0170000 | 0600, 0), EINVAL);
	CHECK_OK(chmod(".", 0777));
	JOIN(SPAWN({
		CHECK_OK(setuid(65534));
		CHECK_ERR(mknod("dev", S_IFCHR | 0600, 0x105), EPERM);
		CHECK_OK(mknod("fifo", S_IFIFO | 0600, 0));
	}));
}
