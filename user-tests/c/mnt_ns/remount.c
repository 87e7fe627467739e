/* mount(2) MS_REMOUNT, of a superblock and of one mount. */
#include "mnt_ns.h"

TEST(a_bind_becomes_read_only_alone)
{
	own_mounts();
	tmpfs_at("a");
	bind_at("a", "b");
	CHECK_OK(mount(NULL, "b", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
	CHECK_ERR(open("b/f", O_CREAT | O_WRONLY, 0644), EROFS);
	kt_make_file("a/f", "", 0644);
	CHECK_OPTION("b", "ro");
	CHECK(has_option(info_of("b").super, "rw"));
	CHECK_ERR(open("b/f", O_WRONLY), EROFS);
	CHECK_ERR(mkdir("b/d", 0755), EROFS);
	CHECK_ERR(unlink("b/f"), EROFS);
	CHECK_ERR(chmod("b/f", 0600), EROFS);
	CHECK_ERR(access("b/f", W_OK), EROFS);
	CHECK_ERR(truncate("b/f", 0), EROFS);
	CHECK_ERR(symlink("x", "b/l"), EROFS);
	CHECK_OK(mount(NULL, "b", NULL, MS_REMOUNT | MS_BIND, NULL));
	CHECK_OK(unlink("b/f"));
}

TEST(a_superblock_becomes_read_only_everywhere)
{
	own_mounts();
	tmpfs_at("a");
	bind_at("a", "b");
	CHECK_OK(mount(NULL, "b", NULL, MS_REMOUNT | MS_RDONLY, NULL));
	CHECK_ERR(open("a/f", O_CREAT | O_WRONLY, 0644), EROFS);
	CHECK(has_option(info_of("a").super, "ro"));
	/* Of the mounts only the one that was named is changed. */
	CHECK_OPTION("a", "rw");
	CHECK_OPTION("b", "ro");
	CHECK_OK(mount(NULL, "b", NULL, MS_REMOUNT, NULL));
	kt_make_file("a/f", "", 0644);
}

TEST(a_writer_keeps_it_writable)
{
	own_mounts();
	tmpfs_at("a");
	bind_at("a", "b");
	int fd = CHECK_OK(open("a/f", O_CREAT | O_WRONLY, 0644));
	CHECK_ERR(mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), EBUSY);
	CHECK_ERR(mount(NULL, "a", NULL, MS_REMOUNT | MS_RDONLY, NULL), EBUSY);
	/* The other mount has no writer, the superblock has one. */
	CHECK_OK(mount(NULL, "b", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
	CHECK_OK(mount(NULL, "b", NULL, MS_REMOUNT | MS_BIND, NULL));
	CHECK_ERR(mount(NULL, "b", NULL, MS_REMOUNT | MS_RDONLY, NULL), EBUSY);
	CHECK_EQ(write(fd, "x", 1), 1);
	CHECK_OK(close(fd));
	CHECK_OK(mount(NULL, "a", NULL, MS_REMOUNT | MS_RDONLY, NULL));
}

TEST(flags_are_replaced_and_times_are_kept)
{
	own_mounts();
	CHECK_OK(mkdir("a", 0755));
	CHECK_OK(mount("t", "a", "tmpfs", MS_NOSUID | MS_NOATIME, NULL));
	CHECK_OPTION("a", "noatime");
	CHECK_OK(mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND | MS_NOEXEC, NULL));
	CHECK_OPTION("a", "noexec");
	CHECK_NO_OPTION("a", "nosuid");
	CHECK_OPTION("a", "noatime");
	CHECK_OK(mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND | MS_RELATIME, NULL));
	CHECK_OPTION("a", "relatime");
	CHECK_OK(mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND | MS_STRICTATIME, NULL));
	CHECK_NO_OPTION("a", "relatime");
	CHECK_NO_OPTION("a", "noatime");
	CHECK_OK(mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND | MS_NODIRATIME, NULL));
	CHECK_OPTION("a", "nodiratime");
	CHECK_OPTION("a", "relatime");
}

TEST(tmpfs_takes_new_limits)
{
	own_mounts();
	CHECK_OK(mkdir("a", 0755));
	CHECK_OK(mount("t", "a", "tmpfs", 0, "size=64k,nr_inodes=10,mode=700,uid=5,gid=6"));
	struct stat st;
	CHECK_OK(stat("a", &st));
	CHECK_EQ(st.st_mode & 07777, 0700);
	CHECK(st.st_uid == 5 && st.st_gid == 6);
	struct statfs fs;
	CHECK_OK(statfs("a", &fs));
	CHECK_EQ(fs.f_blocks * fs.f_bsize, 65536);
	CHECK_EQ(fs.f_files, 10);
	CHECK(has_option(info_of("a").super, "size=64k"));
	CHECK(has_option(info_of("a").super, "nr_inodes=10"));
	CHECK(has_option(info_of("a").super, "mode=700"));
	CHECK(has_option(info_of("a").super, "uid=5"));
	CHECK_OK(mount(NULL, "a", NULL, MS_REMOUNT, "size=128k"));
	CHECK_OK(statfs("a", &fs));
	CHECK_EQ(fs.f_blocks * fs.f_bsize, 131072);
	CHECK_ERR(mount(NULL, "a", NULL, MS_REMOUNT, "nonsense=1"), EINVAL);
	CHECK_ERR(mount(NULL, "a", NULL, MS_REMOUNT, "size=x"), EINVAL);
	static char big[100000];
	int fd = CHECK_OK(open("a/f", O_CREAT | O_WRONLY, 0600));
	CHECK_EQ(write(fd, big, sizeof big), (ssize_t)sizeof big);
	CHECK_OK(close(fd));
	CHECK_ERR(mount(NULL, "a", NULL, MS_REMOUNT, "size=64k"), EINVAL);
	/* A limit may be taken away, and is then not given back. */
	CHECK_OK(mount(NULL, "a", NULL, MS_REMOUNT, "size=0,nr_inodes=0"));
	CHECK_OK(statfs("a", &fs));
	CHECK_EQ(fs.f_blocks, 0);
	CHECK_ERR(mount(NULL, "a", NULL, MS_REMOUNT, "size=1m"), EINVAL);
	CHECK_ERR(mount(NULL, "a", NULL, MS_REMOUNT, "nr_inodes=100"), EINVAL);
}

TEST(wrong_options_of_tmpfs_are_refused)
{
	own_mounts();
	CHECK_OK(mkdir("a", 0755));
	static const char *wrong[] = { "size=", "size=1x", "mode=8", "mode=", "uid=-1", "uid=x",
		"nr_inodes=x", "nonsense", "size", "mode", "uid=4294967295", "inode64=1",
		"huge=whatever", "=x,size=4k" };
	for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		errno = 0;
		if (mount("t", "a", "tmpfs", 0, wrong[i]) == 0)
			kt_say("# taken: %s\n", wrong[i]);
		CHECK_EQ(errno, EINVAL);
	}
	static const char *right[] = { "", ",", ",,size=1m,", "size=10%", "nr_blocks=10",
		"mode=0777", "uid=0x10", "ro", "ro,rw", "inode64", "huge=never" };
	for (unsigned i = 0; i < sizeof right / sizeof *right; i++) {
		int done = mount("t", "a", "tmpfs", 0, right[i]);
		if (done < 0)
			kt_say("# refused: %s\n", right[i]);
		CHECK_OK(done);
		CHECK_OK(umount("a"));
	}
	/* Where no type has a say, an option without a name is nothing. */
	CHECK_OK(mount("proc", "a", "proc", 0, "=x"));
	CHECK_OK(umount("a"));
	CHECK_OK(mount("t", "a", "tmpfs", 0, "ro"));
	CHECK_ERR(mkdir("a/d", 0755), EROFS);
	CHECK(has_option(info_of("a").super, "ro"));
	CHECK_OPTION("a", "rw");
}

TEST(only_mountpoints_are_remounted)
{
	own_mounts();
	tmpfs_at("a");
	CHECK_OK(mkdir("a/d", 0755));
	CHECK_ERR(mount(NULL, "a/d", NULL, MS_REMOUNT, NULL), EINVAL);
	CHECK_ERR(mount(NULL, "a/d", NULL, MS_REMOUNT | MS_BIND, NULL), EINVAL);
	CHECK_ERR(mount(NULL, "nothing", NULL, MS_REMOUNT, NULL), ENOENT);
}
