/* What the flags of a mount forbid: mount(2). */
#include "mnt_ns.h"

/* Of struct statx, what is looked at. */
struct statx_bits {
	uint32_t mask, blksize;
	uint64_t attributes;
	uint32_t pad[12];
	uint32_t pad_times[16], rdev_major, rdev_minor, dev_major, dev_minor;
	uint64_t mnt_id;
	uint64_t spare[13];
};
_Static_assert(sizeof(struct statx_bits) == 256, "statx");

static const struct timespec old[2] = { { 1000, 0 }, { 2000, 0 } };

/* Read the file; has its time of access moved from `old`? */
static int atime_moves(const char *path)
{
	struct stat st;
	char c;
	CHECK_OK(utimensat(AT_FDCWD, path, old, 0));
	int fd = CHECK_OK(open(path, O_RDONLY));
	CHECK_EQ(read(fd, &c, 1), 1);
	CHECK_OK(close(fd));
	CHECK_OK(stat(path, &st));
	return st.st_atim.tv_sec != 1000;
}

static void at(const char *path, unsigned long flags, const char *data)
{
	if (mkdir(path, 0755) < 0)
		CHECK_EQ(errno, EEXIST);
	CHECK_OK(mount("t", path, "tmpfs", flags, data));
}

TEST(nodev_keeps_devices_shut)
{
	own_mounts();
	at("a", MS_NODEV, NULL);
	CHECK_OK(mknod("a/null", S_IFCHR | 0666, makedev(1, 3)));
	CHECK_ERR(open("a/null", O_RDONLY), EACCES);
	CHECK_ERR(open("a/null", O_WRONLY), EACCES);
	int fd = CHECK_OK(open("a/null", O_PATH));
	CHECK_OK(close(fd));
	CHECK_OK(mkfifo("a/fifo", 0600));
	fd = CHECK_OK(open("a/fifo", O_RDWR));
	CHECK_OK(close(fd));
	CHECK_OK(mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND, NULL));
	fd = CHECK_OK(open("a/null", O_RDONLY));
	CHECK_OK(close(fd));
}

TEST(noexec_keeps_programs_from_running)
{
	own_mounts();
	at("a", MS_NOEXEC, NULL);
	kt_copy_self("a/prog");
	CHECK_OK(chmod("a/prog", 0755));
	char *argv[] = { "role:nothing", NULL };
	pid_t child = SPAWN(CHECK_ERR(execv("a/prog", argv), EACCES));
	JOIN(child);
	CHECK_ERR(access("a/prog", X_OK), EACCES);
	int fd = CHECK_OK(open("a/prog", O_RDONLY));
	CHECK(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) == MAP_FAILED);
	CHECK_EQ(errno, EPERM);
	void *map = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	CHECK(map != MAP_FAILED);
	CHECK_ERR(mprotect(map, 4096, PROT_READ | PROT_EXEC), EACCES);
	CHECK_OK(close(fd));
}

ROLE(ids)
{
	(void)argc;
	return geteuid() == (uid_t)atoi(argv[1]) ? 0 : 1;
}

TEST(nosuid_ignores_the_set_uid_bit)
{
	own_mounts();
	at("a", 0, "mode=755");
	CHECK_OK(chmod(".", 0755));
	kt_copy_self("a/prog");
	CHECK_OK(chmod("a/prog", 04755));
	for (int nosuid = 0; nosuid < 2; nosuid++) {
		if (nosuid)
			CHECK_OK(mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND | MS_NOSUID, NULL));
		pid_t child = SPAWN({
			CHECK_OK(setresuid(1000, 1000, 1000));
			char *argv[] = { "role:ids", nosuid ? "1000" : "0", NULL };
			execv("a/prog", argv);
			CHECK(0);
		});
		JOIN(child);
	}
}

TEST(times_of_access_follow_the_mount)
{
	own_mounts();
	at("a", 0, NULL);
	kt_make_file("a/f", "x", 0644);
	CHECK(atime_moves("a/f"));
	CHECK_OK(mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND | MS_NOATIME, NULL));
	CHECK(!atime_moves("a/f"));
	CHECK_OK(mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND | MS_STRICTATIME, NULL));
	CHECK(atime_moves("a/f"));
	CHECK_OK(mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_RELATIME, NULL));
	struct stat before, after;
	CHECK_OK(stat("a/f", &before));
	char c;
	int fd = CHECK_OK(open("a/f", O_RDONLY));
	CHECK_EQ(read(fd, &c, 1), 1);
	CHECK_OK(close(fd));
	CHECK_OK(stat("a/f", &after));
	CHECK_EQ(before.st_atim.tv_sec, after.st_atim.tv_sec);
	CHECK_EQ(before.st_atim.tv_nsec, after.st_atim.tv_nsec);
}

TEST(nodiratime_spares_directories_only)
{
	own_mounts();
	at("a", MS_NODIRATIME | MS_STRICTATIME, NULL);
	kt_make_file("a/f", "x", 0644);
	CHECK_OK(mkdir("a/d", 0755));
	CHECK(atime_moves("a/f"));
	CHECK_OK(utimensat(AT_FDCWD, "a/d", old, 0));
	char buf[1024];
	for (int pass = 0; pass < 2; pass++) {
		int fd = CHECK_OK(open("a/d", O_RDONLY | O_DIRECTORY));
		CHECK(syscall(SYS_getdents64, fd, buf, sizeof buf) > 0);
		CHECK_OK(close(fd));
		struct stat st;
		CHECK_OK(stat("a/d", &st));
		CHECK_EQ(st.st_atim.tv_sec == 1000, pass == 0);
		CHECK_OK(mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND | MS_STRICTATIME, NULL));
	}
}

TEST(nosymfollow_stops_at_links)
{
	own_mounts();
	at("a", MS_NOSYMFOLLOW, NULL);
	kt_make_file("a/f", "x", 0644);
	CHECK_OK(symlink("f", "a/l"));
	CHECK_ERR(open("a/l", O_RDONLY), ELOOP);
	char text[16];
	CHECK_EQ(readlink("a/l", text, sizeof text), 1);
	struct stat st;
	CHECK_OK(lstat("a/l", &st));
	CHECK_OPTION("a", "nosymfollow");
	struct statfs fs;
	CHECK_OK(statfs("a", &fs));
	CHECK(fs.f_flags & 0x2000);
}

TEST(a_read_only_mount_lets_devices_and_pipes_be_written)
{
	own_mounts();
	at("a", 0, NULL);
	CHECK_OK(mknod("a/null", S_IFCHR | 0666, makedev(1, 3)));
	CHECK_OK(mkfifo("a/fifo", 0600));
	CHECK_OK(mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
	int fd = CHECK_OK(open("a/null", O_WRONLY));
	CHECK_EQ(write(fd, "x", 1), 1);
	CHECK_OK(close(fd));
	fd = CHECK_OK(open("a/fifo", O_RDWR));
	CHECK_OK(close(fd));
}

TEST(flags_are_shown_by_mountinfo_and_statfs)
{
	own_mounts();
	at("a", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME |
	   MS_SILENT | MS_LAZYTIME | MS_SYNCHRONOUS | MS_DIRSYNC, NULL);
	struct info i = info_of("a");
	CHECK(!strcmp(i.options, "ro,nosuid,nodev,noexec,noatime,nodiratime"));
	CHECK(has_option(i.super, "ro"));
	CHECK(has_option(i.super, "sync"));
	CHECK(has_option(i.super, "dirsync"));
	CHECK(has_option(i.super, "lazytime"));
	CHECK(!strcmp(i.source, "t"));
	CHECK(!strcmp(i.type, "tmpfs"));
	struct statfs fs;
	CHECK_OK(statfs("a", &fs));
	CHECK_EQ(fs.f_flags & 0x3fff, 0x20 | 1 | 2 | 4 | 8 | 16 | 1024 | 2048);
	CHECK_EQ(fs.f_type, 0x01021994);
	/* The old magic in the upper half is ignored. */
	CHECK_OK(mkdir("b", 0755));
	CHECK_OK(mount("t", "b", "tmpfs", 0xc0ed0000 | MS_NOSUID, NULL));
	CHECK(!strcmp(info_of("b").options, "rw,nosuid,relatime"));
	CHECK_ERR(mount("t", "b", "tmpfs", 1UL << 31, NULL), EINVAL);
}

TEST(mount_ids_are_told_by_statx)
{
	own_mounts();
	tmpfs_at("a");
	CHECK_OK(mkdir("a/d", 0755));
	struct statx_bits st;
	CHECK_OK(syscall(SYS_statx, AT_FDCWD, "a", 0, 0x1000, &st));
	CHECK(st.mask & 0x1000);
	CHECK(st.attributes & 0x2000);
	CHECK_EQ(st.mnt_id, info_of("a").id);
	CHECK_EQ(st.dev_minor, info_of("a").minor);
	CHECK_OK(syscall(SYS_statx, AT_FDCWD, "a/d", 0, 0x1000, &st));
	CHECK(!(st.attributes & 0x2000));
	CHECK_EQ(st.mnt_id, info_of("a").id);
}

TEST(names_are_escaped)
{
	own_mounts();
	CHECK_OK(mkdir("a b\tc\\#", 0755));
	CHECK_OK(mount("s p", "a b\tc\\#", "tmpfs", 0, NULL));
	static char text[262144];
	CHECK(kt_read_file("/proc/self/mountinfo", text, sizeof text) > 0);
	CHECK(strstr(text, "/a\\040b\\011c\\134# "));
	CHECK(strstr(text, " - tmpfs s\\040p "));
	CHECK(kt_read_file("/proc/self/mounts", text, sizeof text) > 0);
	CHECK(strstr(text, "\ns\\040p /"));
	CHECK(kt_read_file("/proc/self/mountstats", text, sizeof text) > 0);
	CHECK(strstr(text, "device s\\040p mounted on /"));
}

TEST(types_are_listed_and_unknown_ones_refused)
{
	own_mounts();
	static char text[8192];
	CHECK(kt_read_file("/proc/filesystems", text, sizeof text) > 0);
	CHECK(strstr(text, "nodev\ttmpfs\n"));
	CHECK(strstr(text, "nodev\tproc\n"));
	CHECK(strstr(text, "nodev\tsysfs\n"));
	CHECK(strstr(text, "nodev\tdevpts\n"));
	CHECK(strstr(text, "nodev\tdevtmpfs\n"));
	CHECK_OK(mkdir("a", 0755));
	CHECK_ERR(mount("t", "a", "nonsense", 0, NULL), ENODEV);
	CHECK_ERR(mount("t", "a", NULL, 0, NULL), EINVAL);
	CHECK_ERR(mount("t", "a", "", 0, NULL), ENODEV);
	CHECK_ERR(mount("t", "a", BAD_PTR, 0, NULL), EFAULT);
	CHECK_ERR(mount("t", "a", "tmpfs", 0, BAD_PTR), EFAULT);
	kt_make_file("f", "", 0644);
	CHECK_ERR(mount("t", "f", "tmpfs", 0, NULL), ENOTDIR);
	CHECK_OK(mount(NULL, "a", "tmpfs", 0, NULL));
	CHECK(!strcmp(info_of("a").source, "none"));
}

TEST_FOR(mount_max_counts_every_namespace, 60)
{
	own_mounts();
	char was[32], text[32];
	CHECK(kt_read_file("/proc/sys/fs/mount-max", was, sizeof was) > 0);
	tmpfs_at("a");
	change("a", MS_SHARED);
	CHECK_OK(mkdir("a/m", 0755));
	CHECK_OK(mkdir("a/n", 0755));
	bind_at("a", "b");
	CHECK_OK(mkdir("c", 0755));
	/* How many there are, also out of sight. */
	int have = nr_mounts();
	for (;; have++) {
		snprintf(text, sizeof text, "%d", have);
		CHECK_OK(kt_write_file("/proc/sys/fs/mount-max", text));
		if (mount("t", "c", "tmpfs", 0, NULL) == 0)
			break;
		CHECK_EQ(errno, ENOSPC);
	}
	CHECK_OK(umount("c"));
	snprintf(text, sizeof text, "%d", have + 2);
	CHECK_OK(kt_write_file("/proc/sys/fs/mount-max", text));
	int first = mount("t", "a/m", "tmpfs", 0, NULL);
	/* Two copies of it do not fit any more: neither is there then. */
	int second = mount("t", "a/n", "tmpfs", 0, NULL), second_errno = errno;
	int left = mounts_at("a/n") + mounts_at("b/n");
	int third = mount("t", "c", "tmpfs", 0, NULL);
	int fourth = mount("t", "c", "tmpfs", 0, NULL), fourth_errno = errno;
	CHECK_OK(kt_write_file("/proc/sys/fs/mount-max", was));
	CHECK_EQ(first, 0);
	CHECK_EQ(second, -1);
	CHECK_EQ(second_errno, ENOSPC);
	CHECK_EQ(left, 0);
	CHECK_EQ(third, 0);
	CHECK_EQ(fourth, -1);
	CHECK_EQ(fourth_errno, ENOSPC);
}
