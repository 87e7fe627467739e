/* overlayfs: Linux's Documentation/filesystems/overlayfs.rst. */
#include <dirent.h>
#include <sys/xattr.h>

#include "mnt_ns.h"

#define OPTIONS "lowerdir=t/l,upperdir=t/u,workdir=t/w"

/* A tmpfs with a lower, an upper and a work directory, and a place for the overlay. */
static void trees(void)
{
	own_mounts();
	tmpfs_at("t");
	CHECK_OK(mkdir("t/l", 0755));
	CHECK_OK(mkdir("t/m", 0755));
	CHECK_OK(mkdir("t/u", 0755));
	CHECK_OK(mkdir("t/w", 0755));
	CHECK_OK(mkdir("o", 0755));
}

static void overlay(void)
{
	CHECK_OK(mount("overlay", "o", "overlay", 0, OPTIONS));
}

static void text_is(const char *path, const char *want)
{
	char text[256];
	CHECK(kt_read_file(path, text, sizeof text) >= 0);
	CHECK(!strcmp(text, want));
}

static int is_whiteout(const char *path)
{
	struct stat st;
	return lstat(path, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == 0;
}

/* The names of a directory in order, but for . and .., each followed by a space. */
static const char *names(const char *path)
{
	static char out[1024];
	char *list[64];
	int n = 0;
	DIR *dir = opendir(path);
	CHECK(dir);
	for (struct dirent *e; (e = readdir(dir));)
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, "..")) {
			CHECK(n < 64);
			list[n++] = strdup(e->d_name);
		}
	closedir(dir);
	*out = 0;
	for (int i = 0; i < n; i++) {
		int least = i;
		for (int j = i; j < n; j++)
			if (strcmp(list[j], list[least]) < 0)
				least = j;
		strcat(strcat(out, list[least]), " ");
		list[least] = list[i];
	}
	return out;
}

#define CHECK_NAMES(path, want) CHECK(!strcmp(names(path), want))

TEST(trees_are_merged)
{
	trees();
	kt_make_file("t/l/a", "lower", 0644);
	kt_make_file("t/l/b", "lower", 0644);
	kt_make_file("t/u/b", "upper", 0644);
	kt_make_file("t/u/c", "upper", 0644);
	CHECK_OK(mkdir("t/l/d", 0755));
	CHECK_OK(mkdir("t/u/d", 0711));
	kt_make_file("t/l/d/x", "", 0644);
	kt_make_file("t/u/d/y", "", 0644);
	/* A file over a directory, a directory over a file: the upper one. */
	CHECK_OK(mkdir("t/l/e", 0755));
	kt_make_file("t/u/e", "file", 0644);
	kt_make_file("t/l/f", "file", 0644);
	CHECK_OK(mkdir("t/u/f", 0755));
	overlay();
	CHECK_NAMES("o", "a b c d e f ");
	CHECK_NAMES("o/d", "x y ");
	CHECK_NAMES("o/f", "");
	text_is("o/a", "lower");
	text_is("o/b", "upper");
	text_is("o/c", "upper");
	text_is("o/e", "file");
	struct stat st;
	CHECK_OK(stat("o/d", &st));
	CHECK_EQ(st.st_mode & 07777, 0711);
	CHECK_EQ(st.st_nlink, 1);
	CHECK(!strcmp(info_of("o").type, "overlay"));
	CHECK(!strcmp(info_of("o").source, "overlay"));
	CHECK(has_option(info_of("o").super, "lowerdir=t/l"));
	CHECK(has_option(info_of("o").super, "upperdir=t/u"));
	CHECK(has_option(info_of("o").super, "workdir=t/w"));
	struct statfs fs;
	CHECK_OK(statfs("o", &fs));
	CHECK_EQ(fs.f_type, 0x794c7630);
	CHECK_EQ(fs.f_bsize, 4096);
}

TEST(a_file_is_copied_up_when_it_is_written)
{
	trees();
	kt_make_file("t/l/f", "lower", 0640);
	CHECK_OK(chown("t/l/f", 5, 6));
	CHECK_OK(mkdir("t/l/d", 0750));
	CHECK_OK(mkdir("t/l/d/e", 0700));
	kt_make_file("t/l/d/e/g", "deep", 0600);
	static const struct timespec old[2] = { { 1000, 0 }, { 2000, 0 } };
	CHECK_OK(utimensat(AT_FDCWD, "t/l/f", old, 0));
	overlay();
	struct stat before, after;
	CHECK_OK(stat("o/f", &before));
	CHECK_EQ(before.st_mtim.tv_sec, 2000);
	/* Reading copies nothing. */
	int reader = CHECK_OK(open("o/f", O_RDONLY));
	CHECK_ERR(access("t/u/f", F_OK), ENOENT);
	/* An open for writing does. */
	int fd = CHECK_OK(open("o/f", O_WRONLY));
	CHECK_OK(stat("t/u/f", &after));
	CHECK_EQ(after.st_mtim.tv_sec, 2000);
	CHECK_EQ(after.st_mode & 07777, 0640);
	CHECK(after.st_uid == 5 && after.st_gid == 6);
	CHECK_EQ(write(fd, "UP", 2), 2);
	CHECK_OK(close(fd));
	text_is("o/f", "UPwer");
	text_is("t/u/f", "UPwer");
	text_is("t/l/f", "lower");
	char text[8];
	CHECK_EQ(read(reader, text, sizeof text), 5);
	CHECK(!memcmp(text, "UPwer", 5));
	CHECK_OK(close(reader));
	/* It is the same file still. */
	CHECK_OK(stat("o/f", &after));
	CHECK_EQ(after.st_ino, before.st_ino);
	CHECK_EQ(after.st_dev, before.st_dev);
	/* The directories above come along, as they are. */
	kt_make_file("o/d/e/g", "new", 0600);
	CHECK_OK(stat("t/u/d", &after));
	CHECK_EQ(after.st_mode & 07777, 0750);
	CHECK_OK(stat("t/u/d/e", &after));
	CHECK_EQ(after.st_mode & 07777, 0700);
	text_is("t/u/d/e/g", "new");
	CHECK_NAMES("t/w/work", "");
}

TEST(attributes_are_copied_up_when_they_change)
{
	trees();
	kt_make_file("t/l/mode", "1", 0644);
	kt_make_file("t/l/owner", "2", 0644);
	kt_make_file("t/l/time", "3", 0644);
	kt_make_file("t/l/size", "45678", 0644);
	kt_make_file("t/l/attr", "5", 0644);
	CHECK_OK(setxattr("t/l/attr", "trusted.kept", "x", 1, 0));
	CHECK_OK(symlink("target", "t/l/link"));
	overlay();
	CHECK_OK(chmod("o/mode", 0600));
	CHECK_OK(chown("o/owner", 7, 8));
	CHECK_OK(lchown("o/link", 7, 8));
	CHECK_OK(utimensat(AT_FDCWD, "o/time", NULL, 0));
	CHECK_OK(truncate("o/size", 2));
	CHECK_OK(setxattr("o/attr", "trusted.new", "y", 1, 0));
	char value[8];
	CHECK_EQ(getxattr("o/attr", "trusted.kept", value, sizeof value), 1);
	CHECK_EQ(getxattr("t/u/attr", "trusted.new", value, sizeof value), 1);
	CHECK_ERR(getxattr("t/l/attr", "trusted.new", value, sizeof value), ENODATA);
	CHECK_NAMES("t/u", "attr link mode owner size time ");
	text_is("o/size", "45");
	text_is("t/l/size", "45678");
	struct stat st;
	CHECK_OK(lstat("t/u/link", &st));
	CHECK(S_ISLNK(st.st_mode) && st.st_uid == 7);
	CHECK_OK(stat("t/l/mode", &st));
	CHECK_EQ(st.st_mode & 07777, 0644);
}

TEST(whiteouts_hide_what_was_removed)
{
	trees();
	kt_make_file("t/l/a", "lower", 0644);
	kt_make_file("t/l/b", "lower", 0644);
	CHECK_OK(mkdir("t/l/d", 0755));
	kt_make_file("t/l/d/x", "", 0644);
	overlay();
	CHECK_OK(unlink("o/a"));
	CHECK(is_whiteout("t/u/a"));
	CHECK_ERR(access("o/a", F_OK), ENOENT);
	CHECK_NAMES("o", "b d ");
	/* What was copied up as well. */
	kt_make_file("o/b", "new", 0644);
	CHECK_OK(unlink("o/b"));
	CHECK(is_whiteout("t/u/b"));
	/* What is in the upper tree alone leaves nothing. */
	kt_make_file("o/c", "", 0644);
	CHECK_OK(unlink("o/c"));
	CHECK(!is_whiteout("t/u/c"));
	/* A directory must be empty to the eye. */
	CHECK_ERR(rmdir("o/d"), ENOTEMPTY);
	CHECK_OK(unlink("o/d/x"));
	CHECK(is_whiteout("t/u/d/x"));
	CHECK_OK(rmdir("o/d"));
	CHECK(is_whiteout("t/u/d"));
	CHECK_NAMES("o", "");
	/* The name is free again. */
	kt_make_file("o/a", "again", 0644);
	text_is("o/a", "again");
	text_is("t/u/a", "again");
	CHECK_OK(symlink("x", "o/b"));
	CHECK_NAMES("o", "a b ");
	text_is("t/l/a", "lower");
}

TEST(whiteouts_share_an_inode)
{
	trees();
	kt_make_file("t/l/a", "", 0644);
	kt_make_file("t/l/b", "", 0644);
	CHECK_OK(mkdir("t/l/d", 0755));
	overlay();
	struct stat a, b, d;
	CHECK_OK(unlink("o/a"));
	CHECK_OK(lstat("t/u/a", &a));
	/* One name stays in the work directory. */
	CHECK_EQ(a.st_nlink, 2);
	kt_make_file("o/b", "new", 0644);
	CHECK_OK(unlink("o/b"));
	CHECK_OK(rmdir("o/d"));
	CHECK_OK(lstat("t/u/a", &a));
	CHECK_OK(lstat("t/u/b", &b));
	CHECK_OK(lstat("t/u/d", &d));
	CHECK_EQ(a.st_nlink, 4);
	CHECK(a.st_ino == b.st_ino && a.st_ino == d.st_ino);
	/* A name that is used again takes nothing from the others. */
	kt_make_file("o/a", "", 0644);
	CHECK_OK(lstat("t/u/b", &b));
	CHECK_EQ(b.st_nlink, 3);
	CHECK(is_whiteout("t/u/b"));
	CHECK_OK(umount("o"));
}

TEST(a_directory_made_anew_is_opaque)
{
	trees();
	CHECK_OK(mkdir("t/l/d", 0755));
	kt_make_file("t/l/d/x", "", 0644);
	kt_make_file("t/l/f", "", 0644);
	overlay();
	CHECK_OK(unlink("o/d/x"));
	CHECK_OK(rmdir("o/d"));
	CHECK_OK(mkdir("o/d", 0755));
	CHECK_NAMES("o/d", "");
	char value[8];
	CHECK_EQ(getxattr("t/u/d", "trusted.overlay.opaque", value, sizeof value), 1);
	CHECK_EQ(value[0], 'y');
	/* The overlay's own attributes are not seen through it. */
	CHECK_ERR(getxattr("o/d", "trusted.overlay.opaque", value, sizeof value), EOPNOTSUPP);
	CHECK_ERR(setxattr("o/d", "trusted.overlay.opaque", "n", 1, 0), EOPNOTSUPP);
	char list[64];
	CHECK_EQ(listxattr("o/d", list, sizeof list), 0);
	CHECK_OK(unlink("o/f"));
	CHECK_OK(mkdir("o/f", 0755));
	CHECK_NAMES("o/f", "");
	/* Also after a new mount. */
	CHECK_OK(umount("o"));
	overlay();
	CHECK_NAMES("o/d", "");
	CHECK_NAMES("o", "d f ");
}

TEST(directories_with_something_under_them_stay)
{
	trees();
	CHECK_OK(mkdir("t/l/d", 0755));
	CHECK_OK(mkdir("t/l/e", 0755));
	kt_make_file("t/l/e/under", "", 0644);
	kt_make_file("t/l/f", "text", 0644);
	overlay();
	CHECK_ERR(rename("o/d", "o/new"), EXDEV);
	CHECK_OK(mkdir("o/mine", 0755));
	kt_make_file("o/mine/x", "", 0644);
	CHECK_OK(rename("o/mine", "o/moved"));
	CHECK_NAMES("o/moved", "x ");
	/* A file goes, and leaves a whiteout. */
	CHECK_OK(rename("o/f", "o/g"));
	CHECK(is_whiteout("t/u/f"));
	text_is("o/g", "text");
	text_is("t/u/g", "text");
	CHECK_ERR(access("o/f", F_OK), ENOENT);
	/* Onto a lower file, and back onto the whiteout. */
	CHECK_OK(rename("o/g", "o/d/h"));
	CHECK_OK(rename("o/d/h", "o/f"));
	CHECK(!is_whiteout("t/u/f"));
	/* A directory onto one that is empty: what lies under that one is not seen. */
	CHECK_ERR(rename("o/moved", "o/e"), ENOTEMPTY);
	CHECK_OK(unlink("o/e/under"));
	CHECK_OK(rename("o/moved", "o/e"));
	CHECK_NAMES("o/e", "x ");
	CHECK_NAMES("o", "d e f ");
	/* Exchanged: only what may move. */
	kt_make_file("o/g", "g", 0644);
	CHECK_OK(sys_renameat2(AT_FDCWD, "o/f", AT_FDCWD, "o/g", RENAME_EXCHANGE));
	text_is("o/g", "text");
	text_is("o/f", "g");
	CHECK_ERR(sys_renameat2(AT_FDCWD, "o/f", AT_FDCWD, "o/d", RENAME_EXCHANGE), EXDEV);
	CHECK_ERR(sys_renameat2(AT_FDCWD, "o/f", AT_FDCWD, "o/z", RENAME_WHITEOUT), EINVAL);
	CHECK_ERR(sys_renameat2(AT_FDCWD, "o/f", AT_FDCWD, "o/g", RENAME_NOREPLACE), EEXIST);
	CHECK_ERR(mknod("o/w", S_IFCHR, 0), EPERM);
}

TEST(lower_trees_are_stacked_and_read_only_alone)
{
	trees();
	kt_make_file("t/l/a", "first", 0644);
	kt_make_file("t/m/a", "second", 0644);
	kt_make_file("t/m/b", "second", 0644);
	kt_make_file("t/m/hidden", "", 0644);
	CHECK_OK(mknod("t/l/hidden", S_IFCHR, 0));
	CHECK_OK(mkdir("t/l/d", 0755));
	CHECK_OK(mkdir("t/m/d", 0755));
	kt_make_file("t/m/d/x", "", 0644);
	CHECK_OK(setxattr("t/l/d", "trusted.overlay.opaque", "y", 1, 0));
	CHECK_ERR(mount("overlay", "o", "overlay", 0, "lowerdir=t/l"), EINVAL);
	CHECK_OK(mount("overlay", "o", "overlay", 0, "lowerdir=t/l:t/m"));
	text_is("o/a", "first");
	text_is("o/b", "second");
	CHECK_NAMES("o", "a b d ");
	CHECK_NAMES("o/d", "");
	CHECK(has_option(info_of("o").super, "ro"));
	CHECK_ERR(open("o/a", O_WRONLY), EROFS);
	CHECK_ERR(unlink("o/a"), EROFS);
	CHECK_ERR(mkdir("o/new", 0755), EROFS);
	CHECK_ERR(mount(NULL, "o", NULL, MS_REMOUNT, NULL), EROFS);
}

TEST(hard_links_are_kept_in_the_upper_tree)
{
	trees();
	kt_make_file("t/l/a", "text", 0644);
	kt_make_file("t/l/p", "pair", 0644);
	CHECK_OK(link("t/l/p", "t/l/q"));
	overlay();
	struct stat a, b;
	CHECK_OK(link("o/a", "o/b"));
	CHECK_OK(stat("o/a", &a));
	CHECK_OK(stat("o/b", &b));
	CHECK_EQ(a.st_ino, b.st_ino);
	CHECK_EQ(a.st_nlink, 2);
	kt_make_file("o/a", "changed", 0644);
	text_is("o/b", "changed");
	/* Names of one lower file are different files once one is copied up. */
	CHECK_OK(stat("o/p", &a));
	CHECK_OK(stat("o/q", &b));
	CHECK_EQ(a.st_ino, b.st_ino);
	kt_make_file("o/p", "mine", 0644);
	text_is("o/q", "pair");
	CHECK_OK(stat("o/p", &a));
	CHECK(a.st_ino != b.st_ino);
	CHECK_EQ(a.st_nlink, 1);
	CHECK_EQ(b.st_nlink, 2);
}

TEST(what_cannot_be_stacked_is_refused)
{
	trees();
	kt_make_file("t/file", "", 0644);
	CHECK_OK(mkdir("t/u/in", 0755));
	CHECK_OK(mkdir("t/l/in", 0755));
	CHECK_OK(mkdir("other", 0755));
	CHECK_OK(mount("t", "other", "tmpfs", 0, NULL));
	static const struct { const char *options; int want; } wrong[] = {
		{ NULL, EINVAL },
		{ "lowerdir=t/l,upperdir=t/u", EINVAL },
		{ "upperdir=t/u,workdir=t/w", EINVAL },
		{ OPTIONS ",nonsense", EINVAL },
		{ OPTIONS ",nonsense=1", EINVAL },
		{ "lowerdir=t/none,upperdir=t/u,workdir=t/w", ENOENT },
		{ "lowerdir=t/l,upperdir=t/none,workdir=t/w", ENOENT },
		{ "lowerdir=t/l,upperdir=t/u,workdir=t/none", ENOENT },
		{ "lowerdir=t/file,upperdir=t/u,workdir=t/w", EINVAL },
		{ "lowerdir=t/l,upperdir=t/file,workdir=t/w", EINVAL },
		{ "lowerdir=t/l,upperdir=t/u,workdir=other", EINVAL },
		{ "lowerdir=t/l,upperdir=t/u,workdir=t/u", EINVAL },
		{ "lowerdir=t/l,upperdir=t/u,workdir=t/u/in", EINVAL },
		{ "lowerdir=t/u,upperdir=t/u,workdir=t/w", ELOOP },
		{ "lowerdir=t/u/in,upperdir=t/u,workdir=t/w", ELOOP },
		{ "lowerdir=t/l:t/l/in,upperdir=t/u,workdir=t/w", ELOOP },
		{ "lowerdir=t/l:t/l,upperdir=t/u,workdir=t/w", ELOOP },
		{ "lowerdir=t/l:t/none", ENOENT },
	};
	for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		errno = 0;
		if (mount("overlay", "o", "overlay", 0, wrong[i].options) == 0 || errno != wrong[i].want)
			kt_say("# %s: %s\n", wrong[i].options, strerror(errno));
		CHECK_EQ(errno, wrong[i].want);
	}
	/* Two levels of stacking and no more. */
	CHECK_OK(mkdir("t/o2", 0755));
	CHECK_OK(mkdir("t/o3", 0755));
	overlay();
	CHECK_OK(mount("overlay", "t/o2", "overlay", 0, "lowerdir=o:t/m"));
	CHECK_ERR(mount("overlay", "t/o3", "overlay", 0, "lowerdir=t/o2:other"), EINVAL);
	CHECK_OK(umount("t/o2"));
	CHECK_OK(umount("o"));
	/* A read-only upper tree. */
	bind_at("t", "r");
	CHECK_OK(mount(NULL, "r", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
	CHECK_ERR(mount("overlay", "o", "overlay", 0, "lowerdir=t/l,upperdir=r/u,workdir=r/w"), EINVAL);
}

TEST(an_overlay_holds_its_trees)
{
	trees();
	kt_make_file("t/l/a", "text", 0644);
	overlay();
	/* By mounts of its own: these here may go. */
	CHECK_OK(umount("t"));
	text_is("o/a", "text");
	kt_make_file("o/a", "more", 0644);
	text_is("o/a", "more");
	/* Files, mappings and programs work as elsewhere. */
	kt_copy_self("o/prog");
	CHECK_OK(chmod("o/prog", 0755));
	pid_t child = SPAWN({
		char *argv[] = { "role:nothing", NULL };
		execv("o/prog", argv);
		CHECK(0);
	});
	JOIN(child);
	int fd = CHECK_OK(open("o/a", O_RDWR));
	char *map = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(map != MAP_FAILED);
	map[0] = 'M';
	CHECK_OK(munmap(map, 4096));
	text_is("o/a", "More");
	CHECK_OK(close(fd));
	CHECK_OK(mkfifo("o/fifo", 0600));
	fd = CHECK_OK(open("o/fifo", O_RDWR));
	CHECK_EQ(write(fd, "x", 1), 1);
	CHECK_OK(close(fd));
	CHECK_ERR(rmdir("o/none"), ENOENT);
	CHECK_OK(umount("o"));
}

ROLE(nothing)
{
	(void)argc;
	(void)argv;
	return 0;
}

TEST(a_user_namespace_may_stack_its_own)
{
	own_mounts();
	CHECK_OK(mkdir("o", 0755));
	pid_t child = SPAWN({
		own_user_ns(CLONE_NEWNS);
		tmpfs_at("t");
		CHECK_OK(mkdir("t/l", 0755));
		CHECK_OK(mkdir("t/u", 0755));
		CHECK_OK(mkdir("t/w", 0755));
		kt_make_file("t/l/a", "lower", 0644);
		CHECK_OK(mkdir("t/l/d", 0755));
		CHECK_OK(mount("overlay", "o", "overlay", 0, OPTIONS ",userxattr"));
		CHECK(has_option(info_of("o").super, "userxattr"));
		kt_make_file("o/a", "upper", 0644);
		text_is("t/u/a", "upper");
		text_is("t/l/a", "lower");
		CHECK_OK(unlink("o/a"));
		CHECK(is_whiteout("t/u/a"));
		CHECK_OK(rmdir("o/d"));
		/* Whether a directory can be made opaque is up to the upper file system: tmpfs
		 * has user attributes since Linux 6.6. */
		if (mkdir("o/d", 0755) < 0) {
			CHECK_EQ(errno, EIO);
			CHECK_NAMES("o", "");
		} else {
			char value;
			CHECK_EQ(getxattr("t/u/d", "user.overlay.opaque", &value, 1), 1);
			CHECK_NAMES("o", "d ");
		}
	});
	JOIN(child);
}

TEST(rights_of_the_caller_and_of_who_mounted)
{
	trees();
	CHECK_OK(chmod(".", 0755));
	kt_make_file("t/l/secret", "text", 0600);
	kt_make_file("t/l/open", "text", 0666);
	CHECK_OK(chmod("t/l/open", 0666));
	CHECK_OK(chmod("t/u", 0777));
	CHECK_OK(chmod("t/l", 0777));
	overlay();
	/* Nobody has rights in the work directory, and yet may change what is theirs to change. */
	pid_t child = SPAWN({
		CHECK_OK(setresgid(1000, 1000, 1000));
		CHECK_OK(setresuid(1000, 1000, 1000));
		CHECK_ERR(open("o/secret", O_RDONLY), EACCES);
		CHECK_ERR(open("o/secret", O_WRONLY), EACCES);
		int fd = CHECK_OK(open("o/open", O_WRONLY));
		CHECK_EQ(write(fd, "T", 1), 1);
		CHECK_OK(close(fd));
		kt_make_file("o/mine", "", 0644);
		CHECK_OK(unlink("o/secret"));
	});
	JOIN(child);
	struct stat st;
	CHECK_OK(stat("t/u/mine", &st));
	CHECK_EQ(st.st_uid, 1000);
	CHECK_OK(stat("t/u/open", &st));
	CHECK_EQ(st.st_uid, 0);
	CHECK(is_whiteout("t/u/secret"));
}
