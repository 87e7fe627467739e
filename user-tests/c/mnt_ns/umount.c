/* umount2(2). */
#include "mnt_ns.h"

TEST(a_busy_mount_stays)
{
	own_mounts();
	tmpfs_at("a");
	kt_make_file("a/f", "", 0644);
	int fd = CHECK_OK(open("a/f", O_RDONLY));
	CHECK_ERR(umount("a"), EBUSY);
	CHECK_OK(close(fd));
	CHECK_OK(chdir("a"));
	CHECK_ERR(umount("../a"), EBUSY);
	CHECK_OK(chdir(".."));
	tmpfs_at("a/m");
	CHECK_ERR(umount("a"), EBUSY);
	CHECK_OK(umount("a/m"));
	int path = CHECK_OK(open("a", O_PATH));
	CHECK_ERR(umount("a"), EBUSY);
	CHECK_OK(close(path));
	CHECK_OK(umount("a"));
}

TEST(a_lazy_umount_takes_the_tree)
{
	own_mounts();
	tmpfs_at("a");
	tmpfs_at("a/m");
	kt_make_file("a/m/f", "text", 0644);
	int fd = CHECK_OK(open("a", O_RDONLY | O_DIRECTORY)), file = CHECK_OK(open("a/m/f", O_RDWR));
	CHECK_OK(umount2("a", MNT_DETACH));
	CHECK_EQ(mounts_at("a") + mounts_at("a/m"), 0);
	char text[8];
	CHECK_EQ(read(file, text, sizeof text), 4);
	/* What was mounted on it is gone, each for itself. */
	CHECK_OK(faccessat(fd, "m", F_OK, 0));
	CHECK_ERR(faccessat(fd, "m/f", F_OK, 0), ENOENT);
	CHECK_OK(mkdirat(fd, "new", 0755));
	CHECK_OK(fchdir(fd));
	CHECK_ERR(mount("t", "new", "tmpfs", 0, NULL), EINVAL);
	char cwd[256];
	CHECK(syscall(SYS_getcwd, cwd, sizeof cwd) > 0);
	CHECK(!strncmp(cwd, "(unreachable)", 13));
	/* `..` stays where it is. */
	struct stat here, up;
	CHECK_OK(stat(".", &here));
	CHECK_OK(stat("..", &up));
	CHECK_EQ(here.st_ino, up.st_ino);
	CHECK_EQ(here.st_dev, up.st_dev);
}

TEST(expire_asks_twice)
{
	own_mounts();
	tmpfs_at("a");
	CHECK_ERR(umount2("a", MNT_EXPIRE | MNT_DETACH), EINVAL);
	CHECK_ERR(umount2("a", MNT_EXPIRE | MNT_FORCE), EINVAL);
	CHECK_ERR(umount2("a", MNT_EXPIRE), EAGAIN);
	CHECK_OK(access("a/x", F_OK) < 0 ? 0 : -1);
	/* It was used in between. */
	CHECK_ERR(umount2("a", MNT_EXPIRE), EAGAIN);
	CHECK_OK(umount2("a", MNT_EXPIRE));
	tmpfs_at("a");
	int fd = CHECK_OK(open("a", O_RDONLY | O_DIRECTORY));
	CHECK_ERR(umount2("a", MNT_EXPIRE), EBUSY);
	CHECK_OK(close(fd));
	CHECK_OK(umount2("a", MNT_FORCE));
	CHECK_ERR(umount2("/", MNT_EXPIRE), EINVAL);
}

TEST(links_are_followed_unless_told)
{
	own_mounts();
	tmpfs_at("a");
	CHECK_OK(symlink("a", "l"));
	CHECK_ERR(umount2("l", UMOUNT_NOFOLLOW), EINVAL);
	CHECK_OK(umount2("l", 0));
	CHECK_EQ(mounts_at("a"), 0);
}

TEST(wrong_umounts_are_refused)
{
	own_mounts();
	tmpfs_at("a");
	CHECK_OK(mkdir("a/d", 0755));
	kt_make_file("f", "", 0644);
	CHECK_ERR(umount2("a", 16), EINVAL);
	CHECK_ERR(umount("a/d"), EINVAL);
	CHECK_ERR(umount("nothing"), ENOENT);
	CHECK_ERR(umount("f/x"), ENOTDIR);
	CHECK_ERR(umount(BAD_PTR), EFAULT);
	CHECK_ERR(umount(""), ENOENT);
	char longer[5000];
	memset(longer, 'a', sizeof longer - 1);
	longer[sizeof longer - 1] = 0;
	CHECK_ERR(umount(longer), ENAMETOOLONG);
	/* The name of a mount is not a place. */
	CHECK_ERR(umount("t"), ENOENT);
}

TEST(privilege_is_asked_in_order)
{
	own_mounts();
	tmpfs_at("a");
	CHECK_OK(mkdir("d", 0755));
	CHECK_OK(chmod(".", 0755));
	pid_t child = SPAWN({
		CHECK_OK(setresuid(1000, 1000, 1000));
		CHECK_ERR(umount("a"), EPERM);
		CHECK_ERR(umount("d"), EPERM);
		CHECK_ERR(umount("nothing"), ENOENT);
		CHECK_ERR(umount2("a", 16), EINVAL);
		CHECK_ERR(mount("t", "d", "tmpfs", 0, NULL), EPERM);
		CHECK_ERR(mount("t", "d", "nonsense", 0, NULL), EPERM);
		CHECK_ERR(mount("t", "nothing", "tmpfs", 0, NULL), ENOENT);
		CHECK_ERR(mount("t", "d", NULL, MS_BIND, NULL), EPERM);
		CHECK_ERR(syscall(SYS_pivot_root, "nothing", "nothing"), EPERM);
		CHECK_ERR(chroot("d"), EPERM);
		CHECK_ERR(chroot("nothing"), ENOENT);
		CHECK_ERR(unshare(CLONE_NEWNS), EPERM);
	});
	JOIN(child);
}

TEST(a_removed_mountpoint_loses_its_mounts)
{
	own_mounts();
	tmpfs_at("t");
	CHECK_OK(mkdir("t/d", 0755));
	int go[2], back[2];
	CHECK_OK(pipe(go));
	CHECK_OK(pipe(back));
	pid_t child = SPAWN_IN(CLONE_NEWNS, {
		char c;
		tmpfs_at("t/d");
		CHECK_EQ(mounts_at("t/d"), 1);
		CHECK_EQ(write(back[1], "x", 1), 1);
		CHECK_EQ(read(go[0], &c, 1), 1);
		CHECK_EQ(mounts_at("t/d"), 0);
	});
	char c;
	CHECK_EQ(read(back[0], &c, 1), 1);
	/* It is a mountpoint elsewhere only. */
	CHECK_OK(rmdir("t/d"));
	CHECK_EQ(write(go[1], "x", 1), 1);
	JOIN(child);
	/* A mountpoint in this namespace is busy for rmdir and rename. */
	tmpfs_at("t/e");
	CHECK_ERR(rmdir("t/e"), EBUSY);
	CHECK_ERR(rename("t/e", "t/f"), EBUSY);
	CHECK_OK(mkdir("t/g", 0755));
	CHECK_ERR(rename("t/g", "t/e"), EBUSY);
	CHECK_OK(umount("t/e"));
	CHECK_OK(rename("t/g", "t/e"));
}
