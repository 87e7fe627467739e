/* stat(2), statx(2), access(2), chmod(2), chown(2), utimensat(2), statfs(2). */
#include <grp.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/time.h>

#include "proc.h"
#include "sys.h"

static struct stat st;

static int mode(const char *path)
{
	CHECK_OK(stat(path, &st));
	return st.st_mode & 07777;
}

TEST(fields)
{
	kt_make_file("f", "hello", 0640);
	CHECK_OK(chown("f", 12, 34));
	CHECK_OK(stat("f", &st));
	CHECK_EQ(st.st_mode, S_IFREG | 0640);
	CHECK_EQ(st.st_uid, 12);
	CHECK_EQ(st.st_gid, 34);
	CHECK_EQ(st.st_size, 5);
	CHECK_EQ(st.st_nlink, 1);
	CHECK(st.st_blksize >= 512);
	CHECK(st.st_ino != 0);
	struct stat dot;
	CHECK_OK(stat(".", &dot));
	CHECK_EQ(dot.st_dev, st.st_dev);
	CHECK_OK(stat("/proc", &dot));
	CHECK(dot.st_dev != st.st_dev);
	CHECK_OK(stat("/dev/null", &st));
	CHECK(S_ISCHR(st.st_mode));
	CHECK_EQ(major(st.st_rdev), 1);
	CHECK_EQ(minor(st.st_rdev), 3);
	CHECK_ERR(stat("no", &st), ENOENT);
	CHECK_ERR(stat("f/x", &st), ENOTDIR);
	CHECK_ERR(stat("", &st), ENOENT);
	CHECK_ERR(syscall(SYS_stat, "f", BAD_PTR), EFAULT);
	CHECK_ERR(fstat(999, &st), EBADF);
}

TEST(at_forms)
{
	kt_make_file("f", "hello", 0640);
	CHECK_OK(symlink("f", "l"));
	int dir = CHECK_OK(open(".", O_PATH)), fd = CHECK_OK(open("f", O_RDONLY));
	CHECK_OK(fstatat(dir, "l", &st, 0));
	CHECK(S_ISREG(st.st_mode));
	CHECK_OK(fstatat(dir, "l", &st, AT_SYMLINK_NOFOLLOW));
	CHECK(S_ISLNK(st.st_mode));
	CHECK_OK(syscall(SYS_newfstatat, fd, "", &st, AT_EMPTY_PATH));
	CHECK_EQ(st.st_size, 5);
	CHECK_OK(syscall(SYS_newfstatat, AT_FDCWD, "", &st, AT_EMPTY_PATH));
	CHECK(S_ISDIR(st.st_mode));
	CHECK_ERR(syscall(SYS_newfstatat, fd, "", &st, 0), ENOENT);
	CHECK_ERR(syscall(SYS_newfstatat, fd, "x", &st, 0), ENOTDIR);
	CHECK_ERR(syscall(SYS_newfstatat, dir, "f", &st, 0x40000), EINVAL);
}

struct statx_bits {
	uint32_t mask, blksize;
	uint64_t attributes;
	uint32_t nlink, uid, gid;
	uint16_t mode, pad;
	uint64_t ino, size, blocks, attributes_mask;
	struct {
		int64_t sec;
		uint32_t nsec;
		int32_t pad;
	} atime, btime, ctime, mtime;
	uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
	uint64_t mnt_id, rest[13];
};

TEST(statx)
{
	struct statx_bits x;
	CHECK_EQ(sizeof x, 256);
	kt_make_file("f", "hello", 0640);
	CHECK_OK(symlink("f", "l"));
	CHECK_OK(syscall(SYS_statx, AT_FDCWD, "f", 0, 0x7ff, &x));
	CHECK_EQ(x.mask & 0x7ff, 0x7ff);
	CHECK_EQ(x.mode, S_IFREG | 0640);
	CHECK_EQ(x.size, 5);
	CHECK_OK(stat("f", &st));
	CHECK_EQ(x.ino, st.st_ino);
	CHECK_EQ(x.mtime.sec, st.st_mtim.tv_sec);
	CHECK_EQ(x.mtime.nsec, st.st_mtim.tv_nsec);
	CHECK_EQ(makedev(x.dev_major, x.dev_minor), st.st_dev);
	CHECK_OK(syscall(SYS_statx, AT_FDCWD, "l", AT_SYMLINK_NOFOLLOW, 0x7ff, &x));
	CHECK_EQ(x.mode & S_IFMT, S_IFLNK);
	int fd = CHECK_OK(open("f", O_PATH));
	CHECK_OK(syscall(SYS_statx, fd, "", AT_EMPTY_PATH, 0x17ff, &x));
	CHECK(x.mask & 0x1000);
	CHECK(x.mnt_id > 0);
	CHECK_ERR(syscall(SYS_statx, AT_FDCWD, "f", 0, 0x80000000, &x), EINVAL);
	CHECK_ERR(syscall(SYS_statx, AT_FDCWD, "f", 0x6000, 0x7ff, &x), EINVAL);
	CHECK_ERR(syscall(SYS_statx, AT_FDCWD, "no", 0, 0x7ff, &x), ENOENT);
	CHECK_ERR(syscall(SYS_statx, AT_FDCWD, "f", 0, 0x7ff, BAD_PTR), EFAULT);
}

TEST(changing_modes)
{
	kt_make_file("f", "", 0600);
	CHECK_OK(chmod("f", 04751));
	CHECK_EQ(mode("f"), 04751);
	int fd = CHECK_OK(open("f", O_RDONLY));
	CHECK_OK(fchmod(fd, 0444));
	CHECK_EQ(mode("f"), 0444);
	CHECK_OK(fchmodat(AT_FDCWD, "f", 0123, 0));
	CHECK_EQ(mode("f"), 0123);
	CHECK_ERR(chmod("no", 0600), ENOENT);
	CHECK_ERR(fchmod(999, 0600), EBADF);
	CHECK_OK(chmod(".", 0755));
	JOIN(SPAWN({
		CHECK_OK(setuid(65534));
		CHECK_ERR(chmod("f", 0777), EPERM);
	}));
	CHECK_OK(chown("f", 65534, 77));
	JOIN(SPAWN({
		/* A set-group-id bit for a group one is not in is dropped. */
		CHECK_OK(setgid(65534));
		CHECK_OK(setuid(65534));
		CHECK_OK(chmod("f", 02755));
		CHECK_EQ(mode("f"), 0755);
	}));
}

TEST(changing_owners)
{
	kt_make_file("f", "", 0755);
	CHECK_OK(chmod("f", 06755));
	CHECK_OK(chown("f", 1000, 1000));
	CHECK_EQ(mode("f"), 0755);
	CHECK_EQ(st.st_uid, 1000);
	CHECK_OK(chown("f", -1, 2000));
	CHECK_OK(stat("f", &st));
	CHECK(st.st_uid == 1000 && st.st_gid == 2000);
	CHECK_OK(symlink("f", "l"));
	CHECK_OK(lchown("l", 5, 6));
	CHECK_OK(lstat("l", &st));
	CHECK_EQ(st.st_uid, 5);
	CHECK_OK(fchownat(AT_FDCWD, "l", 7, 8, AT_SYMLINK_NOFOLLOW));
	CHECK_OK(fchown(CHECK_OK(open("f", O_RDONLY)), 1000, 1000));
	CHECK_OK(chmod(".", 0755));
	JOIN(SPAWN({
		gid_t mine[] = { 3000 };
		CHECK_OK(setgroups(1, mine));
		CHECK_OK(setgid(1000));
		CHECK_OK(setuid(1000));
		CHECK_ERR(chown("f", 1001, -1), EPERM);
		CHECK_ERR(chown("f", -1, 1001), EPERM);
		CHECK_OK(chown("f", -1, 3000));
		CHECK_OK(chown("f", -1, -1));
	}));
}

TEST(writing_drops_set_id_bits)
{
	kt_make_file("f", "", 0777);
	CHECK_OK(chown("f", 1000, 1000));
	CHECK_OK(chmod("f", 06777));
	CHECK_OK(chmod(".", 0755));
	JOIN(SPAWN({
		CHECK_OK(setuid(65534));
		int fd = CHECK_OK(open("f", O_WRONLY));
		CHECK_EQ(write(fd, "x", 1), 1);
	}));
	CHECK_EQ(mode("f"), 0777);
}

TEST(access_uses_the_real_ids)
{
	kt_make_file("f", "", 0600);
	kt_make_file("x", "", 0711);
	CHECK_OK(chmod(".", 0755));
	CHECK_OK(access("f", R_OK | W_OK));
	CHECK_ERR(access("f", X_OK), EACCES);
	CHECK_OK(access("x", X_OK));
	CHECK_ERR(access("no", F_OK), ENOENT);
	CHECK_ERR(access("f", 8), EINVAL);
	JOIN(SPAWN({
		CHECK_OK(setresuid(65534, 0, 0));
		CHECK_ERR(access("f", R_OK), EACCES);
		CHECK_ERR(faccessat(AT_FDCWD, "f", R_OK, 0), EACCES);
		CHECK_OK(sys_faccessat2(AT_FDCWD, "f", R_OK, AT_EACCESS));
		CHECK_OK(access("x", X_OK));
		CHECK_OK(open("f", O_RDONLY));
	}));
	CHECK_OK(symlink("no", "l"));
	CHECK_ERR(sys_faccessat2(AT_FDCWD, "l", F_OK, 0), ENOENT);
	CHECK_OK(sys_faccessat2(AT_FDCWD, "l", F_OK, AT_SYMLINK_NOFOLLOW));
	CHECK_ERR(sys_faccessat2(AT_FDCWD, "f", F_OK, 0x8000), EINVAL);
}

TEST(searching_needs_execute)
{
	CHECK_OK(chmod(".", 0755));
	CHECK_OK(mkdir("d", 0755));
	kt_make_file("d/f", "", 0666);
	CHECK_OK(chmod("d/f", 0666));
	CHECK_OK(chmod("d", 0644));
	JOIN(SPAWN({
		CHECK_OK(setuid(65534));
		CHECK_ERR(open("d/f", O_RDONLY), EACCES);
		CHECK_ERR(stat("d/f", &st), EACCES);
		CHECK_OK(open("d", O_RDONLY));
		CHECK_ERR(chdir("d"), EACCES);
		CHECK_ERR(unlink("d/f"), EACCES);
	}));
	CHECK_OK(chmod("d", 0711));
	JOIN(SPAWN({
		CHECK_OK(setuid(65534));
		CHECK_OK(open("d/f", O_RDWR));
		CHECK_ERR(open("d", O_RDONLY), EACCES);
		CHECK_ERR(open("d/new", O_CREAT | O_RDWR, 0600), EACCES);
	}));
}

TEST(setting_times)
{
	struct timespec t[2] = { { 1000, 5 }, { 2000, 7 } };
	kt_make_file("f", "", 0666);
	CHECK_OK(utimensat(AT_FDCWD, "f", t, 0));
	CHECK_OK(stat("f", &st));
	CHECK(st.st_atim.tv_sec == 1000 && st.st_atim.tv_nsec == 5);
	CHECK(st.st_mtim.tv_sec == 2000 && st.st_mtim.tv_nsec == 7);
	t[0].tv_nsec = UTIME_OMIT;
	t[1].tv_nsec = UTIME_NOW;
	CHECK_OK(utimensat(AT_FDCWD, "f", t, 0));
	CHECK_OK(stat("f", &st));
	CHECK_EQ(st.st_atim.tv_sec, 1000);
	CHECK(st.st_mtim.tv_sec > 1600000000);
	t[0].tv_nsec = 1000000000;
	CHECK_ERR(utimensat(AT_FDCWD, "f", t, 0), EINVAL);
	int fd = CHECK_OK(open("f", O_RDONLY));
	CHECK_OK(futimens(fd, NULL));
	CHECK_ERR(utimensat(AT_FDCWD, "no", NULL, 0), ENOENT);
	CHECK_OK(utimes("f", (struct timeval[2]){ { 1, 2 }, { 3, 4 } }));
	CHECK_OK(stat("f", &st));
	CHECK(st.st_atim.tv_nsec == 2000 && st.st_mtim.tv_sec == 3);
	CHECK_OK(symlink("f", "l"));
	CHECK_OK(utimensat(AT_FDCWD, "l", (struct timespec[2]){ { 9, 0 }, { 9, 0 } }, AT_SYMLINK_NOFOLLOW));
	CHECK_OK(lstat("l", &st));
	CHECK_EQ(st.st_mtim.tv_sec, 9);
	CHECK_OK(chmod(".", 0755));
	CHECK_OK(chmod("f", 0666));
	JOIN(SPAWN({
		CHECK_OK(setuid(65534));
		CHECK_OK(utimensat(AT_FDCWD, "f", NULL, 0));
		struct timespec set[2] = { { 1, 0 }, { 1, 0 } };
		CHECK_ERR(utimensat(AT_FDCWD, "f", set, 0), EPERM);
		CHECK_OK(chdir("/"));
	}));
	CHECK_OK(chmod("f", 0644));
	JOIN(SPAWN({
		CHECK_OK(setuid(65534));
		CHECK_ERR(utimensat(AT_FDCWD, "f", NULL, 0), EACCES);
	}));
}

TEST(file_systems)
{
	struct statfs fs;
	CHECK_OK(statfs(".", &fs));
	CHECK_EQ(fs.f_type, 0x01021994);
	CHECK_EQ(fs.f_namelen, 255);
	CHECK(fs.f_bsize > 0 && fs.f_blocks > 0 && fs.f_bfree <= fs.f_blocks);
	CHECK_OK(statfs("/proc", &fs));
	CHECK_EQ(fs.f_type, 0x9fa0);
	CHECK_OK(fstatfs(CHECK_OK(open(".", O_PATH)), &fs));
	CHECK_ERR(statfs("no", &fs), ENOENT);
	CHECK_ERR(fstatfs(999, &fs), EBADF);
	CHECK_ERR(syscall(SYS_statfs, ".", BAD_PTR), EFAULT);
}
