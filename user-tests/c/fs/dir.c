/* mkdir, rmdir, getdents64, chdir, getcwd. */
#include <dirent.h>
#include <sched.h>
#include <sys/mount.h>

#include "proc.h"
#include "sys.h"

struct raw_entry {
	uint64_t ino;
	int64_t off;
	uint16_t reclen;
	uint8_t type;
	char name[];
} __attribute__((packed));

TEST(making_and_removing)
{
	struct stat st;
	umask(027);
	CHECK_OK(mkdir("d", 0777));
	CHECK_OK(stat("d", &st));
	CHECK_EQ(st.st_mode, S_IFDIR | 0750);
	CHECK_EQ(st.st_nlink, 2);
	CHECK_OK(mkdir("d/e/", 0755));
	CHECK_OK(stat("d", &st));
	CHECK_EQ(st.st_nlink, 3);
	CHECK_ERR(mkdir("d", 0777), EEXIST);
	CHECK_ERR(mkdir("/", 0777), EEXIST);
	CHECK_ERR(mkdir(".", 0777), EEXIST);
	CHECK_ERR(mkdir("x/y", 0777), ENOENT);
	kt_make_file("f", "", 0600);
	CHECK_ERR(mkdir("f/y", 0777), ENOTDIR);
	CHECK_ERR(mkdir("f", 0777), EEXIST);
	CHECK_ERR(rmdir("d"), ENOTEMPTY);
	CHECK_ERR(rmdir("f"), ENOTDIR);
	CHECK_ERR(rmdir("d/e/."), EINVAL);
	CHECK_ERR(rmdir("d/e/.."), ENOTEMPTY);
	CHECK_ERR(rmdir("no"), ENOENT);
	CHECK_ERR(unlink("d"), EISDIR);
	CHECK_OK(rmdir("d/e/"));
	CHECK_OK(unlinkat(AT_FDCWD, "d", AT_REMOVEDIR));
	CHECK_ERR(unlinkat(AT_FDCWD, "f", AT_REMOVEDIR), ENOTDIR);
	CHECK_ERR(unlinkat(AT_FDCWD, "f", 1), EINVAL);
	CHECK_ERR(rmdir("/proc"), EBUSY);
}

TEST(setgid_is_inherited)
{
	struct stat st;
	CHECK_OK(mkdir("d", 0755));
	CHECK_OK(chown("d", 0, 50));
	CHECK_OK(chmod("d", 02755));
	CHECK_OK(mkdir("d/e", 0755));
	CHECK_OK(stat("d/e", &st));
	CHECK_EQ(st.st_gid, 50);
	CHECK_EQ(st.st_mode & 07777, 02755);
	kt_make_file("d/f", "", 0644);
	CHECK_OK(stat("d/f", &st));
	CHECK_EQ(st.st_gid, 50);
	CHECK_EQ(st.st_mode & 07777, 0644);
}

TEST(listing)
{
	char buf[4096], name[32];
	int seen[100] = { 0 }, dots = 0;
	CHECK_OK(mkdir("d", 0755));
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof name, "d/%d", i);
		kt_make_file(name, "", 0600);
	}
	int fd = CHECK_OK(open("d", O_RDONLY | O_DIRECTORY));
	long n;
	while ((n = CHECK_OK(syscall(SYS_getdents64, fd, buf, 300))) > 0)
		for (char *p = buf; p < buf + n;) {
			struct raw_entry *e = (void *)p;
			CHECK_EQ(e->reclen % 8, 0);
			CHECK(e->ino != 0);
			if (e->name[0] == '.') {
				CHECK_EQ(e->type, DT_DIR);
				dots++;
			} else {
				CHECK_EQ(e->type, DT_REG);
				seen[atoi(e->name)]++;
			}
			p += e->reclen;
		}
	CHECK_EQ(dots, 2);
	for (int i = 0; i < 100; i++)
		CHECK_EQ(seen[i], 1);
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	CHECK(syscall(SYS_getdents64, fd, buf, sizeof buf) > 0);
	CHECK_OK(lseek(fd, 0, SEEK_SET));
	CHECK_ERR(syscall(SYS_getdents64, fd, buf, 8), EINVAL);
	CHECK_ERR(syscall(SYS_getdents64, 999, buf, 100), EBADF);
	CHECK_ERR(syscall(SYS_getdents64, open("d/1", O_RDONLY), buf, 100), ENOTDIR);
	CHECK_OK(lseek(fd, 0, SEEK_SET));
	CHECK_ERR(syscall(SYS_getdents64, fd, BAD_PTR, 100), EFAULT);
}

TEST(types)
{
	struct dirent *e;
	CHECK_OK(mkdir("d", 0755));
	CHECK_OK(symlink("x", "d/link"));
	CHECK_OK(mkfifo("d/fifo", 0600));
	CHECK_OK(mknod("d/null", S_IFCHR | 0600, 0x103));
	CHECK_OK(mknod("d/sock", S_IFSOCK | 0600, 0));
	DIR *dir = opendir("d");
	int seen = 0;
	while ((e = readdir(dir))) {
		struct stat st;
		CHECK_OK(fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW));
		CHECK_EQ(IFTODT(st.st_mode), e->d_type);
		if (strcmp(e->d_name, ".."))
			CHECK_EQ(e->d_ino, st.st_ino);
		seen++;
	}
	CHECK_EQ(seen, 6);
}

TEST(removing_while_listing)
{
	char name[32];
	struct dirent *e;
	int removed = 0;
	CHECK_OK(mkdir("d", 0755));
	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof name, "d/file-number-%d", i);
		kt_make_file(name, "", 0600);
	}
	DIR *dir = opendir("d");
	while ((e = readdir(dir)))
		if (e->d_name[0] != '.') {
			CHECK_OK(unlinkat(dirfd(dir), e->d_name, 0));
			removed++;
		}
	CHECK_EQ(removed, 300);
	CHECK_OK(rmdir("d"));
}

TEST(telldir_and_seekdir)
{
	char name[32];
	struct dirent *e;
	CHECK_OK(mkdir("d", 0755));
	for (int i = 0; i < 50; i++) {
		snprintf(name, sizeof name, "d/%d", i);
		kt_make_file(name, "", 0600);
	}
	DIR *dir = opendir("d");
	for (int i = 0; i < 20; i++)
		readdir(dir);
	long at = telldir(dir);
	e = readdir(dir);
	strcpy(name, e->d_name);
	while (readdir(dir))
		;
	seekdir(dir, at);
	e = readdir(dir);
	CHECK(e && !strcmp(e->d_name, name));
}

TEST(working_directory)
{
	char cwd[512], again[512];
	CHECK(getcwd(cwd, sizeof cwd));
	CHECK_OK(mkdir("d", 0755));
	CHECK_OK(chdir("d"));
	CHECK(getcwd(again, sizeof again));
	CHECK(!strcmp(again + strlen(cwd), "/d"));
	CHECK_OK(chdir(".."));
	int fd = CHECK_OK(open("d", O_RDONLY));
	CHECK_OK(fchdir(fd));
	CHECK_OK(rmdir("../d"));
	CHECK_ERR(getcwd(again, sizeof again) ? 0 : -1, ENOENT);
	CHECK_ERR(open("x", O_CREAT | O_RDWR, 0600), ENOENT);
	CHECK_OK(open(".", O_RDONLY));
	CHECK_OK(chdir(".."));
	CHECK_ERR(chdir("no"), ENOENT);
	kt_make_file("f", "", 0600);
	CHECK_ERR(chdir("f"), ENOTDIR);
	CHECK_ERR(fchdir(open("f", O_RDONLY)), ENOTDIR);
	CHECK_ERR(fchdir(999), EBADF);
	CHECK_ERR(syscall(SYS_getcwd, again, 2), ERANGE);
	CHECK_ERR(syscall(SYS_getcwd, BAD_PTR, 100), EFAULT);
	CHECK_EQ(syscall(SYS_getcwd, again, sizeof again), (long)strlen(cwd) + 1);
	CHECK(readlink("/proc/self/cwd", again, sizeof again) == (ssize_t)strlen(cwd));
}

TEST(changing_the_root)
{
	char cwd[512];
	CHECK_OK(mkdir("jail", 0755));
	kt_make_file("jail/inside", "x", 0644);
	CHECK_OK(symlink("/inside", "jail/link"));
	JOIN(SPAWN({
		CHECK_OK(chroot("jail"));
		CHECK_OK(chdir("/"));
		CHECK_OK(open("/inside", O_RDONLY));
		CHECK_OK(open("/link", O_RDONLY));
		CHECK_OK(open("/../../inside", O_RDONLY));
		CHECK_ERR(open("/dev/null", O_RDONLY), ENOENT);
		CHECK(getcwd(cwd, sizeof cwd) && !strcmp(cwd, "/"));
	}));
	JOIN(SPAWN({
		/* Without chdir the old directory stays reachable. */
		CHECK_OK(chroot("jail"));
		CHECK_OK(open("jail/inside", O_RDONLY));
		CHECK_ERR(getcwd(cwd, sizeof cwd) ? 0 : -1, ENOENT);
	}));
	JOIN(SPAWN({
		CHECK_OK(setuid(65534));
		CHECK_ERR(chroot("/"), EPERM);
	}));
	CHECK_ERR(chroot("no"), ENOENT);
	CHECK_ERR(chroot("jail/inside"), ENOTDIR);
}

TEST(a_deep_tree)
{
	enum { DEPTH = 300 };
	for (int i = 0; i < DEPTH; i++) {
		CHECK_OK(mkdir("directory", 0755));
		CHECK_OK(chdir("directory"));
	}
	char cwd[4096];
	CHECK(getcwd(cwd, sizeof cwd));
	CHECK(strlen(cwd) >= DEPTH * 10);
	for (int i = 0; i < DEPTH; i++) {
		CHECK_OK(chdir(".."));
		CHECK_OK(rmdir("directory"));
	}
}

/* The names of ./t but for . and .. as they come, each followed by a space. */
static const char *as_they_come(void)
{
	static char out[256];
	out[0] = 0;
	DIR *dir = opendir("t");
	CHECK(dir != NULL);
	for (struct dirent *e; (e = readdir(dir));)
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			strcat(strcat(out, e->d_name), " ");
	closedir(dir);
	return out;
}

TEST(tmpfs_lists_the_newest_first)
{
	CHECK_OK(unshare(CLONE_NEWNS));
	CHECK_OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	CHECK_OK(mkdir("t", 0755));
	CHECK_OK(mount("t", "t", "tmpfs", 0, NULL));
	const char *names[] = { "t/a", "t/c", "t/b", "t/d" };
	for (int i = 0; i < 4; i++)
		kt_make_file(names[i], "", 0644);
	CHECK(!strcmp(as_they_come(), "d b c a "));
	CHECK_OK(unlink("t/b"));
	CHECK_OK(mkdir("t/b", 0755));
	CHECK(!strcmp(as_they_come(), "b d c a "));
	CHECK_OK(rename("t/a", "t/e"));
	CHECK(!strcmp(as_they_come(), "e b d c "));
	CHECK_OK(umount("t"));
}
