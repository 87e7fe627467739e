/* fsopen fsconfig fsmount fspick move_mount open_tree mount_setattr: Linux's
 * Documentation/filesystems/mount_api.rst and the man pages of mount-api's authors. */
#include "mnt_ns.h"

enum { SET_FLAG, SET_STRING, SET_BINARY, SET_PATH, SET_PATH_EMPTY, SET_FD, CREATE, RECONFIGURE };

#define RDONLY 0x1
#define NOSUID 0x2
#define NODEV 0x4
#define NOEXEC 0x8
#define ATIME 0x70
#define NOATIME 0x10
#define STRICTATIME 0x20
#define NODIRATIME 0x80
#define IDMAP 0x100000
#define NOSYMFOLLOW 0x200000
#define CLONE 1
#define RECURSIVE 0x8000
#define EMPTY 0x1000
#define F_EMPTY 0x4
#define T_EMPTY 0x40
#define SET_GROUP 0x100

struct attr {
	uint64_t set, clr, propagation, userns_fd;
};

static int fsopen(const char *type, unsigned flags)
{
	return syscall(SYS_fsopen, type, flags);
}
static int fsconfig(int fd, unsigned cmd, const char *key, const void *value, int aux)
{
	return syscall(SYS_fsconfig, fd, cmd, key, value, aux);
}
static int fsmount(int fd, unsigned flags, unsigned attr)
{
	return syscall(SYS_fsmount, fd, flags, attr);
}
static int fspick(int dfd, const char *path, unsigned flags)
{
	return syscall(SYS_fspick, dfd, path, flags);
}
static int move_mount(int from, const char *from_path, int to, const char *to_path, unsigned flags)
{
	return syscall(SYS_move_mount, from, from_path, to, to_path, flags);
}
static int open_tree(int dfd, const char *path, unsigned flags)
{
	return syscall(SYS_open_tree, dfd, path, flags);
}
static int mount_setattr(int dfd, const char *path, unsigned flags, struct attr *attr, size_t size)
{
	return syscall(SYS_mount_setattr, dfd, path, flags, attr, size);
}

/* A detached mount of a new tmpfs. */
static int new_tmpfs(unsigned attr)
{
	int fs = CHECK_OK(fsopen("tmpfs", 1));
	CHECK_OK(fsconfig(fs, SET_STRING, "source", "src", 0));
	CHECK_OK(fsconfig(fs, CREATE, NULL, NULL, 0));
	int fd = CHECK_OK(fsmount(fs, 1, attr));
	CHECK_OK(close(fs));
	return fd;
}

static void says(int fs, const char *want)
{
	char text[256];
	ssize_t n = CHECK_OK(read(fs, text, sizeof text - 1));
	text[n] = 0;
	if (strcmp(text, want))
		kt_say("# it says: %s# wanted: %s", text, want);
	CHECK(!strcmp(text, want));
}

TEST(a_mount_in_steps)
{
	own_mounts();
	int fs = CHECK_OK(fsopen("tmpfs", 1));
	CHECK_EQ(fcntl(fs, F_GETFD), FD_CLOEXEC);
	CHECK_OK(fsconfig(fs, SET_STRING, "source", "src", 0));
	CHECK_OK(fsconfig(fs, SET_STRING, "size", "1m", 0));
	CHECK_OK(fsconfig(fs, SET_STRING, "mode", "0711", 0));
	CHECK_ERR(fsmount(fs, 0, 0), EINVAL);
	CHECK_OK(fsconfig(fs, CREATE, NULL, NULL, 0));
	CHECK_ERR(fsconfig(fs, CREATE, NULL, NULL, 0), EBUSY);
	CHECK_ERR(fsconfig(fs, SET_STRING, "size", "2m", 0), EBUSY);
	int fd = CHECK_OK(fsmount(fs, 1, NOSUID | NODEV | NOEXEC | NOATIME));
	CHECK_ERR(fsmount(fs, 1, 0), EBUSY);
	/* It can be used before it stands anywhere. */
	CHECK_OK(mkdirat(fd, "d", 0755));
	CHECK_OK(mkdir("a", 0755));
	CHECK_OK(move_mount(fd, "", AT_FDCWD, "a", F_EMPTY));
	CHECK_OK(access("a/d", F_OK));
	struct info i = info_of("a");
	CHECK(!strcmp(i.options, "rw,nosuid,nodev,noexec,noatime"));
	CHECK(!strcmp(i.source, "src"));
	CHECK(has_option(i.super, "size=1024k"));
	CHECK(has_option(i.super, "mode=711"));
	/* Moved again by the same descriptor, as a mount of the namespace. */
	CHECK_OK(mkdir("b", 0755));
	CHECK_OK(move_mount(fd, "", AT_FDCWD, "b", F_EMPTY));
	CHECK_EQ(mounts_at("a"), 0);
	CHECK_EQ(mounts_at("b"), 1);
	CHECK_OK(close(fd));
	CHECK_EQ(mounts_at("b"), 1);
	/* The context now takes options for the superblock. */
	CHECK_OK(fsconfig(fs, SET_STRING, "size", "2m", 0));
	CHECK_OK(fsconfig(fs, SET_FLAG, "ro", NULL, 0));
	CHECK_OK(fsconfig(fs, RECONFIGURE, NULL, NULL, 0));
	CHECK(has_option(info_of("b").super, "size=2048k"));
	CHECK(has_option(info_of("b").super, "ro"));
}

TEST(the_context_says_what_is_wrong)
{
	own_mounts();
	int fs = CHECK_OK(fsopen("tmpfs", 0));
	char text[8];
	CHECK_ERR(read(fs, text, sizeof text), ENODATA);
	CHECK_ERR(fsconfig(fs, SET_STRING, "nonsense", "1", 0), EINVAL);
	CHECK_ERR(read(fs, text, sizeof text), EMSGSIZE);
	says(fs, "e tmpfs: Unknown parameter 'nonsense'\n");
	CHECK_ERR(fsconfig(fs, SET_STRING, "size", "x", 0), EINVAL);
	says(fs, "e tmpfs: Bad value for 'size'\n");
	CHECK_ERR(fsconfig(fs, SET_STRING, "mode", "9", 0), EINVAL);
	says(fs, "e tmpfs: Bad value for 'mode'\n");
	CHECK_ERR(fsconfig(fs, SET_FLAG, "size", NULL, 0), EINVAL);
	says(fs, "e tmpfs: Bad value for 'size'\n");
	CHECK_ERR(fsconfig(fs, SET_STRING, "inode64", "1", 0), EINVAL);
	says(fs, "e tmpfs: Unexpected value for 'inode64'\n");
	CHECK_OK(fsconfig(fs, SET_STRING, "source", "a", 0));
	CHECK_ERR(fsconfig(fs, SET_STRING, "source", "b", 0), EINVAL);
	says(fs, "e Multiple sources\n");
	CHECK_ERR(fsconfig(fs, SET_FLAG, "source", NULL, 0), EINVAL);
	says(fs, "e Non-string source\n");
	/* Eight messages are kept, the last ones. */
	for (int i = 0; i < 10; i++) {
		char key[8];
		snprintf(key, sizeof key, "k%d", i);
		CHECK_ERR(fsconfig(fs, SET_FLAG, key, NULL, 0), EINVAL);
	}
	says(fs, "e tmpfs: Unknown parameter 'k2'\n");
	CHECK_ERR(write(fs, "x", 1), EINVAL);
	int proc = CHECK_OK(fsopen("proc", 0));
	CHECK_ERR(fsconfig(proc, SET_STRING, "hidepid", "3", 0), EINVAL);
	says(proc, "e proc: unknown value of hidepid - 3\n\n");
	CHECK_ERR(fsconfig(proc, SET_STRING, "subset", "net", 0), EINVAL);
	says(proc, "e proc: unsupported subset option - net\n\n");
	CHECK_ERR(fsconfig(proc, SET_STRING, "gid", "x", 0), EINVAL);
	says(proc, "e proc: Bad value for 'gid'\n");
	/* An error with an option is no end. */
	CHECK_OK(fsconfig(proc, SET_STRING, "hidepid", "invisible", 0));
	CHECK_OK(fsconfig(proc, CREATE, NULL, NULL, 0));
}

TEST(wrong_commands_are_refused_in_order)
{
	own_mounts();
	CHECK_ERR(fsopen("nonsense", 0), ENODEV);
	CHECK_ERR(fsopen("tmpfs", 2), EINVAL);
	CHECK_ERR(fsopen(BAD_PTR, 0), EFAULT);
	int fs = CHECK_OK(fsopen("tmpfs", 0)), other = CHECK_OK(open("/", O_RDONLY));
	CHECK_ERR(fsconfig(-1, 99, NULL, NULL, 0), EINVAL);
	CHECK_ERR(fsconfig(fs, 99, NULL, NULL, 0), EOPNOTSUPP);
	CHECK_ERR(fsconfig(fs, SET_FLAG, NULL, NULL, 0), EINVAL);
	CHECK_ERR(fsconfig(fs, SET_FLAG, "ro", "x", 0), EINVAL);
	CHECK_ERR(fsconfig(fs, SET_FLAG, "ro", NULL, 1), EINVAL);
	CHECK_ERR(fsconfig(fs, SET_STRING, "size", NULL, 0), EINVAL);
	CHECK_ERR(fsconfig(fs, SET_BINARY, "size", "x", 0), EINVAL);
	CHECK_ERR(fsconfig(fs, SET_BINARY, "size", "x", 1 << 21), EINVAL);
	CHECK_ERR(fsconfig(fs, SET_PATH, "size", "x", -1), EINVAL);
	CHECK_ERR(fsconfig(fs, SET_FD, "size", NULL, -1), EINVAL);
	CHECK_ERR(fsconfig(fs, CREATE, "x", NULL, 0), EINVAL);
	CHECK_ERR(fsconfig(1000, SET_FLAG, "ro", NULL, 0), EBADF);
	CHECK_ERR(fsconfig(other, SET_FLAG, "ro", NULL, 0), EINVAL);
	CHECK_ERR(fsconfig(fs, SET_FLAG, BAD_PTR, NULL, 0), EFAULT);
	CHECK_ERR(fsconfig(fs, SET_FD, "size", NULL, 1000), EBADF);
	CHECK_ERR(fsconfig(fs, SET_BINARY, "size", "x", 1), EINVAL);
	CHECK_ERR(fsconfig(fs, RECONFIGURE, NULL, NULL, 0), EBUSY);
	char longer[300];
	memset(longer, 'a', sizeof longer);
	longer[299] = 0;
	CHECK_ERR(fsconfig(fs, SET_STRING, "size", longer, 0), EINVAL);
	CHECK_ERR(fsmount(fs, 2, 0), EINVAL);
	CHECK_ERR(fsmount(1000, 0, 0), EBADF);
	CHECK_ERR(fsmount(other, 0, 0), EINVAL);
	CHECK_ERR(fsmount(fs, 0, IDMAP), EINVAL);
	CHECK_ERR(fsmount(fs, 0, NOATIME | STRICTATIME), EINVAL);
	CHECK_ERR(fsmount(fs, 0, 1 << 12), EINVAL);
	/* Types that look at their options at the end. */
	int pts = CHECK_OK(fsopen("devpts", 0));
	CHECK_ERR(fsconfig(pts, SET_BINARY, "mode", "x", 1), EOPNOTSUPP);
	CHECK_ERR(fsconfig(pts, SET_FD, "mode", NULL, 1000), EOPNOTSUPP);
	CHECK_ERR(fsconfig(pts, SET_STRING, "mode", "1,2", 0), EINVAL);
	CHECK_OK(fsconfig(pts, SET_STRING, "nonsense", "1", 0));
	CHECK_ERR(fsconfig(pts, CREATE, NULL, NULL, 0), EINVAL);
	CHECK_ERR(fsconfig(pts, CREATE, NULL, NULL, 0), EBUSY);
	CHECK_OK(close(pts));
	pts = CHECK_OK(fsopen("devpts", 0));
	CHECK_OK(fsconfig(pts, SET_STRING, "ptmxmode", "666", 0));
	CHECK_OK(fsconfig(pts, SET_FLAG, "newinstance", NULL, 0));
	CHECK_OK(fsconfig(pts, CREATE, NULL, NULL, 0));
	CHECK_OK(mkdir("p", 0755));
	CHECK_OK(move_mount(CHECK_OK(fsmount(pts, 0, 0)), "", AT_FDCWD, "p", F_EMPTY));
	CHECK(has_option(info_of("p").super, "ptmxmode=666"));
}

TEST(privilege_is_asked_first)
{
	own_mounts();
	tmpfs_at("a");
	int fs = CHECK_OK(fsopen("tmpfs", 0));
	struct attr attr = { .set = RDONLY };
	CHECK_OK(chmod(".", 0755));
	pid_t child = SPAWN({
		CHECK_OK(setresuid(1000, 1000, 1000));
		CHECK_ERR(fsopen("nonsense", 77), EPERM);
		CHECK_ERR(fspick(AT_FDCWD, "nothing", 77), EPERM);
		CHECK_ERR(fsmount(-1, 77, 77), EPERM);
		CHECK_ERR(move_mount(-1, NULL, -1, NULL, 0x1000), EPERM);
		CHECK_ERR(open_tree(AT_FDCWD, "a", CLONE), EPERM);
		CHECK_ERR(open_tree(AT_FDCWD, "a", 2), EINVAL);
		CHECK_OK(open_tree(AT_FDCWD, "a", 0));
		CHECK_ERR(mount_setattr(AT_FDCWD, "a", 1, &attr, sizeof attr), EINVAL);
		CHECK_ERR(mount_setattr(AT_FDCWD, "nothing", 0, &attr, sizeof attr), EPERM);
		/* Options may be given by anyone who has the descriptor, but nothing made. */
		CHECK_OK(fsconfig(fs, SET_STRING, "size", "1m", 0));
		CHECK_ERR(fsconfig(fs, CREATE, NULL, NULL, 0), EPERM);
	});
	JOIN(child);
	CHECK_OK(fsconfig(fs, CREATE, NULL, NULL, 0));
}

TEST(a_picked_superblock_changes)
{
	own_mounts();
	tmpfs_at("a");
	CHECK_OK(mkdir("a/d", 0755));
	CHECK_OK(symlink("a", "l"));
	CHECK_ERR(fspick(AT_FDCWD, "a/d", 0), EINVAL);
	CHECK_ERR(fspick(AT_FDCWD, "nothing", 0), ENOENT);
	CHECK_ERR(fspick(AT_FDCWD, "a", 16), EINVAL);
	CHECK_ERR(fspick(AT_FDCWD, "l", 2), EINVAL);
	int fs = CHECK_OK(fspick(AT_FDCWD, "l", 1));
	CHECK_ERR(fsconfig(fs, CREATE, NULL, NULL, 0), EBUSY);
	CHECK_OK(fsconfig(fs, SET_STRING, "size", "8k", 0));
	CHECK_OK(fsconfig(fs, RECONFIGURE, NULL, NULL, 0));
	CHECK(has_option(info_of("a").super, "size=8k"));
	/* What was not named is as it was. */
	CHECK_OK(fsconfig(fs, SET_FLAG, "ro", NULL, 0));
	CHECK_OK(fsconfig(fs, RECONFIGURE, NULL, NULL, 0));
	CHECK(has_option(info_of("a").super, "ro"));
	CHECK(has_option(info_of("a").super, "size=8k"));
	/* A flag that was named once is set anew each time. */
	CHECK_OK(fsconfig(fs, SET_STRING, "size", "16k", 0));
	CHECK_OK(fsconfig(fs, RECONFIGURE, NULL, NULL, 0));
	CHECK(has_option(info_of("a").super, "rw"));
	int again = CHECK_OK(fspick(AT_FDCWD, "a", 0));
	CHECK_OK(fsconfig(again, SET_FLAG, "sync", NULL, 0));
	CHECK_OK(fsconfig(again, RECONFIGURE, NULL, NULL, 0));
	CHECK(has_option(info_of("a").super, "sync"));
	CHECK_OK(close(again));
	/* A failure is the end. */
	int writer = CHECK_OK(open("a/f", O_CREAT | O_WRONLY, 0600));
	CHECK_OK(fsconfig(fs, SET_FLAG, "ro", NULL, 0));
	CHECK_ERR(fsconfig(fs, RECONFIGURE, NULL, NULL, 0), EBUSY);
	CHECK_ERR(fsconfig(fs, SET_FLAG, "rw", NULL, 0), EBUSY);
	CHECK_OK(close(writer));
	/* By an empty path. */
	int dir = CHECK_OK(open("a", O_PATH));
	CHECK_ERR(fspick(dir, "", 0), ENOENT);
	fs = CHECK_OK(fspick(dir, "", 8));
	CHECK_OK(fsconfig(fs, SET_FLAG, "dirsync", NULL, 0));
	CHECK_ERR(fsconfig(fs, RECONFIGURE, NULL, NULL, 0), EINVAL);
}

TEST(a_cloned_tree_stands_nowhere_and_goes_with_its_descriptor)
{
	own_mounts();
	tmpfs_at("a");
	tmpfs_at("a/m");
	kt_make_file("a/f", "", 0644);
	kt_make_file("a/m/g", "", 0644);
	CHECK_ERR(open_tree(AT_FDCWD, "a", RECURSIVE), EINVAL);
	CHECK_ERR(open_tree(AT_FDCWD, "nothing", CLONE), ENOENT);
	int before = nr_mounts();
	int one = CHECK_OK(open_tree(AT_FDCWD, "a", CLONE | O_CLOEXEC));
	CHECK_EQ(fcntl(one, F_GETFL) & O_PATH, O_PATH);
	int all = CHECK_OK(open_tree(AT_FDCWD, "a", CLONE | RECURSIVE));
	CHECK_EQ(nr_mounts(), before);
	CHECK_OK(faccessat(one, "f", F_OK, 0));
	CHECK_ERR(faccessat(one, "m/g", F_OK, 0), ENOENT);
	CHECK_OK(faccessat(all, "m/g", F_OK, 0));
	CHECK_EQ(faccessat(all, "../f", F_OK, 0), 0);
	/* What is inside cannot be moved, nor more be mounted there. */
	CHECK_OK(mkdir("b", 0755));
	CHECK_ERR(move_mount(all, "m", AT_FDCWD, "b", 0), EINVAL);
	CHECK_ERR(move_mount(AT_FDCWD, "a/m", all, "", T_EMPTY), EINVAL);
	CHECK_ERR(open_tree(all, "", CLONE | EMPTY), EINVAL);
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d/m", all);
	CHECK_ERR(umount2(path, MNT_DETACH), EINVAL);
	CHECK_OK(move_mount(all, "", AT_FDCWD, "b", F_EMPTY));
	CHECK_EQ(nr_mounts(), before + 2);
	CHECK_OK(access("b/m/g", F_OK));
	CHECK_OK(close(all));
	CHECK_EQ(nr_mounts(), before + 2);
	/* A descriptor inside of a tree that goes keeps its own mount only. */
	all = CHECK_OK(open_tree(AT_FDCWD, "a", CLONE | RECURSIVE));
	int inside = CHECK_OK(openat(all, "m", O_RDONLY | O_DIRECTORY));
	CHECK_OK(close(all));
	CHECK_OK(faccessat(inside, "g", F_OK, 0));
	CHECK_OK(umount2("a", MNT_DETACH));
	CHECK_OK(umount2("b", MNT_DETACH));
	CHECK_OK(faccessat(inside, "g", F_OK, 0));
	CHECK_OK(close(one));
	/* Without CLONE it is a place, like O_PATH. */
	tmpfs_at("c");
	int place = CHECK_OK(open_tree(AT_FDCWD, "c", 0));
	CHECK_OK(mkdir("d", 0755));
	CHECK_OK(move_mount(place, "", AT_FDCWD, "d", F_EMPTY));
	CHECK_OK(close(place));
	CHECK_EQ(mounts_at("d"), 1);
}

TEST(a_file_system_goes_with_the_last_detached_mount)
{
	own_mounts();
	int fd = new_tmpfs(0);
	int file = CHECK_OK(openat(fd, "f", O_CREAT | O_RDWR, 0600));
	CHECK_OK(close(fd));
	CHECK_EQ(write(file, "x", 1), 1);
	CHECK_OK(close(file));
	fd = new_tmpfs(RDONLY);
	CHECK_ERR(openat(fd, "f", O_CREAT | O_RDWR, 0600), EROFS);
	CHECK_OK(close(fd));
}

TEST(moves_are_checked)
{
	own_mounts();
	tmpfs_at("a");
	CHECK_OK(mkdir("a/d", 0755));
	CHECK_OK(mkdir("b", 0755));
	CHECK_OK(symlink("a", "l"));
	kt_make_file("f", "", 0644);
	CHECK_ERR(move_mount(AT_FDCWD, "a", AT_FDCWD, "b", 0x200), EINVAL);
	CHECK_ERR(move_mount(AT_FDCWD, "", AT_FDCWD, "b", 0), ENOENT);
	CHECK_ERR(move_mount(AT_FDCWD, "a/d", AT_FDCWD, "b", 0), EINVAL);
	CHECK_ERR(move_mount(AT_FDCWD, "a", AT_FDCWD, "f", 0), EINVAL);
	CHECK_ERR(move_mount(AT_FDCWD, "a", AT_FDCWD, "a/d", 0), ELOOP);
	CHECK_ERR(move_mount(AT_FDCWD, "nothing", AT_FDCWD, "b", 0), ENOENT);
	/* A link is not followed unless told. */
	CHECK_ERR(move_mount(AT_FDCWD, "l", AT_FDCWD, "b", 0), EINVAL);
	CHECK_OK(move_mount(AT_FDCWD, "l", AT_FDCWD, "b", 1));
	CHECK_EQ(mounts_at("b"), 1);
	int to = CHECK_OK(open("a", O_PATH));
	CHECK_OK(move_mount(AT_FDCWD, "b", to, "", T_EMPTY));
	CHECK_EQ(mounts_at("a"), 1);
}

TEST(a_detached_tree_propagates_when_it_is_attached)
{
	own_mounts();
	tmpfs_at("s");
	change("s", MS_SHARED);
	CHECK_OK(mkdir("s/x", 0755));
	bind_at("s", "t");
	int fd = new_tmpfs(0);
	CHECK_OK(move_mount(fd, "", AT_FDCWD, "s/x", F_EMPTY));
	CHECK_EQ(mounts_at("t/x"), 1);
	CHECK_EQ(info_of("t/x").shared, info_of("s/x").shared);
	/* A clone of a shared mount is its peer before it stands anywhere. */
	int clone = CHECK_OK(open_tree(AT_FDCWD, "s", CLONE));
	CHECK_OK(mkdir("u", 0755));
	CHECK_OK(move_mount(clone, "", AT_FDCWD, "u", F_EMPTY));
	CHECK_EQ(info_of("u").shared, info_of("s").shared);
}

TEST(attributes_change_one_mount_or_all)
{
	own_mounts();
	tmpfs_at("a");
	tmpfs_at("a/m");
	struct attr attr = { .set = RDONLY | NOSUID | NODEV | NOEXEC | NOSYMFOLLOW };
	CHECK_OK(mount_setattr(AT_FDCWD, "a", 0, &attr, sizeof attr));
	CHECK(!strcmp(info_of("a").options, "ro,nosuid,nodev,noexec,relatime,nosymfollow"));
	CHECK(!strcmp(info_of("a/m").options, "rw,relatime"));
	CHECK_OK(mount_setattr(AT_FDCWD, "a", RECURSIVE, &attr, sizeof attr));
	CHECK(!strcmp(info_of("a/m").options, "ro,nosuid,nodev,noexec,relatime,nosymfollow"));
	CHECK_ERR(mkdir("a/m/d", 0755), EROFS);
	attr = (struct attr){ .clr = RDONLY | NOSUID | NOSYMFOLLOW };
	CHECK_OK(mount_setattr(AT_FDCWD, "a", RECURSIVE, &attr, sizeof attr));
	CHECK(!strcmp(info_of("a/m").options, "rw,nodev,noexec,relatime"));
	/* Times of access are one choice of three. */
	attr = (struct attr){ .set = NOATIME, .clr = ATIME };
	CHECK_OK(mount_setattr(AT_FDCWD, "a", 0, &attr, sizeof attr));
	CHECK_OPTION("a", "noatime");
	CHECK_NO_OPTION("a", "relatime");
	attr.set = STRICTATIME | NODIRATIME;
	CHECK_OK(mount_setattr(AT_FDCWD, "a", 0, &attr, sizeof attr));
	CHECK(!strcmp(info_of("a").options, "rw,nodev,noexec,nodiratime"));
	attr.set = 0;
	CHECK_OK(mount_setattr(AT_FDCWD, "a", 0, &attr, sizeof attr));
	CHECK_OPTION("a", "relatime");
	/* Cleared and set at once: set. */
	attr = (struct attr){ .set = NODEV, .clr = NODEV };
	CHECK_OK(mount_setattr(AT_FDCWD, "a", 0, &attr, sizeof attr));
	CHECK_OPTION("a", "nodev");
	/* Propagation too. */
	attr = (struct attr){ .propagation = MS_SHARED };
	CHECK_OK(mount_setattr(AT_FDCWD, "a", RECURSIVE, &attr, sizeof attr));
	CHECK(info_of("a").shared && info_of("a/m").shared);
	attr.propagation = MS_UNBINDABLE;
	CHECK_OK(mount_setattr(AT_FDCWD, "a", 0, &attr, sizeof attr));
	CHECK(info_of("a").unbindable && info_of("a/m").shared);
	/* A detached mount as well. */
	int fd = new_tmpfs(0);
	attr = (struct attr){ .set = RDONLY };
	CHECK_OK(mount_setattr(fd, "", EMPTY, &attr, sizeof attr));
	CHECK_ERR(mkdirat(fd, "d", 0755), EROFS);
}

TEST(attributes_change_everywhere_or_nowhere)
{
	own_mounts();
	tmpfs_at("a");
	tmpfs_at("a/m");
	tmpfs_at("a/n");
	int fd = CHECK_OK(open("a/n/f", O_CREAT | O_WRONLY, 0600));
	struct attr attr = { .set = RDONLY | NOSUID, .propagation = MS_SHARED };
	CHECK_ERR(mount_setattr(AT_FDCWD, "a", RECURSIVE, &attr, sizeof attr), EBUSY);
	CHECK(!strcmp(info_of("a").options, "rw,relatime"));
	CHECK(!strcmp(info_of("a/m").options, "rw,relatime"));
	CHECK_EQ(info_of("a").shared, 0);
	CHECK_OK(mkdir("a/m/d", 0755));
	CHECK_OK(close(fd));
	CHECK_OK(mount_setattr(AT_FDCWD, "a", RECURSIVE, &attr, sizeof attr));
	CHECK(!strcmp(info_of("a/n").options, "ro,nosuid,relatime"));
	/* In a less privileged namespace the locks of one mount hold them all. */
	pid_t child = SPAWN({
		own_user_ns(CLONE_NEWNS);
		struct attr less = { .clr = NOSUID };
		CHECK_ERR(mount_setattr(AT_FDCWD, "a", RECURSIVE, &less, sizeof less), EPERM);
		CHECK_OPTION("a/m", "nosuid");
		less = (struct attr){ .set = NOATIME, .clr = ATIME };
		CHECK_ERR(mount_setattr(AT_FDCWD, "a", 0, &less, sizeof less), EPERM);
		less = (struct attr){ .set = NOEXEC };
		CHECK_OK(mount_setattr(AT_FDCWD, "a", RECURSIVE, &less, sizeof less));
	});
	JOIN(child);
}

TEST(wrong_attributes_are_refused)
{
	own_mounts();
	tmpfs_at("a");
	CHECK_OK(mkdir("a/d", 0755));
	struct { struct attr attr; uint64_t more; } big = { { .set = NOSUID }, 0 };
	CHECK_OK(mount_setattr(AT_FDCWD, "a", 0, &big.attr, sizeof big));
	big.more = 1;
	CHECK_ERR(mount_setattr(AT_FDCWD, "a", 0, &big.attr, sizeof big), E2BIG);
	CHECK_ERR(mount_setattr(AT_FDCWD, "a", 0, &big.attr, 5000), E2BIG);
	CHECK_ERR(mount_setattr(AT_FDCWD, "a", 0, &big.attr, 31), EINVAL);
	CHECK_ERR(mount_setattr(AT_FDCWD, "a", 1, &big.attr, 32), EINVAL);
	CHECK_ERR(mount_setattr(AT_FDCWD, "a", 0, BAD_PTR, 32), EFAULT);
	/* Nothing to do: nothing is looked at. */
	struct attr none = { 0 };
	CHECK_OK(mount_setattr(AT_FDCWD, "nothing", 0, &none, sizeof none));
	static const struct attr wrong[] = {
		{ .set = 1 << 12 }, { .clr = 1 << 12 }, { .set = NOATIME }, { .clr = NOATIME },
		{ .set = NOATIME | STRICTATIME, .clr = ATIME }, { .propagation = MS_SHARED | MS_SLAVE },
		{ .propagation = MS_REC }, { .clr = IDMAP }, { .set = IDMAP, .userns_fd = 1ULL << 40 },
	};
	for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
		struct attr attr = wrong[i];
		CHECK_ERR(mount_setattr(AT_FDCWD, "a", 0, &attr, sizeof attr), EINVAL);
	}
	struct attr attr = { .set = NOSUID };
	CHECK_ERR(mount_setattr(AT_FDCWD, "a/d", 0, &attr, sizeof attr), EINVAL);
	CHECK_ERR(mount_setattr(AT_FDCWD, "nothing", 0, &attr, sizeof attr), ENOENT);
}

TEST(mounts_of_memory_are_not_id_mapped)
{
	own_mounts();
	tmpfs_at("a");
	struct attr attr = { .set = IDMAP, .userns_fd = 1000 };
	CHECK_ERR(mount_setattr(AT_FDCWD, "a", 0, &attr, sizeof attr), EBADF);
	int fd = CHECK_OK(open("/", O_RDONLY));
	attr.userns_fd = fd;
	CHECK_ERR(mount_setattr(AT_FDCWD, "a", 0, &attr, sizeof attr), EINVAL);
	attr.userns_fd = CHECK_OK(open("/proc/self/ns/uts", O_RDONLY));
	CHECK_ERR(mount_setattr(AT_FDCWD, "a", 0, &attr, sizeof attr), EINVAL);
	attr.userns_fd = CHECK_OK(open("/proc/self/ns/user", O_RDONLY));
	CHECK_ERR(mount_setattr(AT_FDCWD, "a", 0, &attr, sizeof attr), EPERM);
	int go[2], back[2];
	char c;
	CHECK_OK(pipe(go));
	CHECK_OK(pipe(back));
	pid_t child = SPAWN({
		own_user_ns(0);
		CHECK_EQ(write(back[1], "x", 1), 1);
		CHECK_EQ(read(go[0], &c, 1), 1);
	});
	CHECK_EQ(read(back[0], &c, 1), 1);
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/ns/user", child);
	attr.userns_fd = CHECK_OK(open(path, O_RDONLY));
	CHECK_ERR(mount_setattr(AT_FDCWD, "a", 0, &attr, sizeof attr), EINVAL);
	fd = CHECK_OK(open_tree(AT_FDCWD, "a", CLONE));
	CHECK_ERR(mount_setattr(fd, "", EMPTY, &attr, sizeof attr), EINVAL);
	CHECK_EQ(write(go[1], "x", 1), 1);
	JOIN(child);
}

TEST(groups_are_given_to_private_mounts)
{
	own_mounts();
	tmpfs_at("a");
	change("a", MS_SHARED);
	CHECK_OK(mkdir("a/d", 0755));
	bind_at("a", "b");
	change("b", MS_PRIVATE);
	tmpfs_at("other");
	CHECK_ERR(move_mount(AT_FDCWD, "b", AT_FDCWD, "a", SET_GROUP), EINVAL);
	CHECK_ERR(move_mount(AT_FDCWD, "a", AT_FDCWD, "other", SET_GROUP), EINVAL);
	CHECK_ERR(move_mount(AT_FDCWD, "a/d", AT_FDCWD, "b", SET_GROUP), EINVAL);
	CHECK_OK(move_mount(AT_FDCWD, "a", AT_FDCWD, "b", SET_GROUP));
	CHECK_EQ(info_of("b").shared, info_of("a").shared);
	CHECK_ERR(move_mount(AT_FDCWD, "a", AT_FDCWD, "b", SET_GROUP), EINVAL);
	tmpfs_at("b/d");
	CHECK_EQ(mounts_at("a/d"), 1);
	CHECK_OK(umount("a/d"));
	/* A slave's master. */
	bind_at("a", "c");
	change("c", MS_SLAVE);
	bind_at("a/d", "e");
	change("e", MS_PRIVATE);
	CHECK_OK(move_mount(AT_FDCWD, "c", AT_FDCWD, "e", SET_GROUP));
	CHECK_EQ(info_of("e").master, info_of("a").shared);
	CHECK_EQ(info_of("e").shared, 0);
	/* The source must show what the target shows. */
	change("e", MS_PRIVATE);
	change("b", MS_PRIVATE);
	change("c", MS_PRIVATE);
	bind_at("a/d", "f");
	CHECK_ERR(move_mount(AT_FDCWD, "f", AT_FDCWD, "b", SET_GROUP), EINVAL);
}

TEST(a_less_privileged_caller_makes_its_own)
{
	own_mounts();
	pid_t child = SPAWN({
		own_user_ns(CLONE_NEWNS);
		int fd = new_tmpfs(0);
		CHECK_OK(mkdir("a", 0755));
		CHECK_OK(move_mount(fd, "", AT_FDCWD, "a", F_EMPTY));
		int fs = CHECK_OK(fsopen("proc", 0));
		CHECK_ERR(fsconfig(fs, CREATE, NULL, NULL, 0), EPERM);
		CHECK_ERR(fsopen("sysfs", 0), EPERM);
		fs = CHECK_OK(fsopen("devtmpfs", 0));
		CHECK_ERR(fsconfig(fs, CREATE, NULL, NULL, 0), EPERM);
		fs = CHECK_OK(fspick(AT_FDCWD, "/proc", 0));
		CHECK_OK(fsconfig(fs, SET_STRING, "hidepid", "2", 0));
		CHECK_ERR(fsconfig(fs, RECONFIGURE, NULL, NULL, 0), EPERM);
		CHECK_OK(unshare(CLONE_NEWPID));
		pid_t init = SPAWN({
			int own = CHECK_OK(fsopen("proc", 0));
			CHECK_OK(fsconfig(own, CREATE, NULL, NULL, 0));
			CHECK_OK(move_mount(CHECK_OK(fsmount(own, 0, 0)), "", AT_FDCWD, "a", F_EMPTY));
			CHECK_OK(access("a/1/stat", F_OK));
		});
		JOIN(init);
		/* Locked mounts may not be uncovered by a clone. */
		CHECK_ERR(open_tree(AT_FDCWD, "/", CLONE), EINVAL);
		CHECK_OK(open_tree(AT_FDCWD, "/", CLONE | RECURSIVE));
	});
	JOIN(child);
}
