/* pivot_root(2) and chroot(2). */
#include "mnt_ns.h"

static int pivot_root(const char *new_root, const char *put_old)
{
	return syscall(SYS_pivot_root, new_root, put_old);
}

/* A root on a mount of its own: that of a boot may stand on nothing. */
static void own_root(void)
{
	own_mounts();
	tmpfs_at("root");
	CHECK_OK(mkdir("root/proc", 0755));
	CHECK_OK(mount("proc", "root/proc", "proc", 0, NULL));
	CHECK_OK(chroot("root"));
	CHECK_OK(mkdir("/work", 0755));
	CHECK_OK(chdir("/work"));
}

TEST(the_root_is_exchanged)
{
	own_root();
	tmpfs_at("n");
	CHECK_OK(mkdir("n/old", 0755));
	kt_make_file("n/here", "", 0644);
	char was[512];
	CHECK(getcwd(was, sizeof was));
	CHECK_OK(pivot_root("n", "n/old"));
	CHECK_OK(access("/here", F_OK));
	char path[600];
	snprintf(path, sizeof path, "/old%s", was);
	CHECK_OK(access(path, F_OK));
	/* The working directory was not the old root and stays. */
	CHECK_OK(access("n", F_OK));
	CHECK_OK(chdir("/"));
	CHECK_OK(umount2("/old", MNT_DETACH));
	CHECK_OK(rmdir("/old"));
}

TEST(the_old_root_may_go_over_the_new_one)
{
	own_root();
	tmpfs_at("n");
	kt_make_file("n/here", "", 0644);
	CHECK_OK(mkdir("n/proc", 0755));
	CHECK_OK(mount("proc", "n/proc", "proc", 0, NULL));
	CHECK_OK(chdir("n"));
	CHECK_OK(pivot_root(".", "."));
	CHECK_OK(access("/here", F_OK));
	CHECK_EQ(mounts_at("/"), 2);
	CHECK_OK(umount2(".", MNT_DETACH));
	CHECK_EQ(mounts_at("/"), 1);
	CHECK_OK(access("here", F_OK));
	CHECK_OK(chdir("/"));
	CHECK_OK(chdir(".."));
	CHECK_OK(access("here", F_OK));
}

TEST(other_tasks_move_along)
{
	own_root();
	tmpfs_at("n");
	CHECK_OK(mkdir("n/old", 0755));
	kt_make_file("n/here", "", 0644);
	int go[2];
	CHECK_OK(pipe(go));
	char was[512];
	CHECK(getcwd(was, sizeof was));
	CHECK_OK(chdir("/"));
	pid_t child = SPAWN({
		char c;
		CHECK_EQ(read(go[0], &c, 1), 1);
		CHECK_OK(access("/here", F_OK));
		CHECK_OK(access("here", F_OK));
	});
	CHECK_OK(chdir(was));
	CHECK_OK(pivot_root("n", "n/old"));
	CHECK_EQ(write(go[1], "x", 1), 1);
	JOIN(child);
}

TEST(wrong_pivots_are_refused)
{
	own_root();
	tmpfs_at("n");
	CHECK_OK(mkdir("n/old", 0755));
	CHECK_OK(mkdir("n/d", 0755));
	CHECK_OK(mkdir("plain", 0755));
	CHECK_OK(mkdir("plain/old", 0755));
	kt_make_file("f", "", 0644);
	CHECK_ERR(pivot_root("nothing", "n/old"), ENOENT);
	CHECK_ERR(pivot_root("n", "nothing"), ENOENT);
	CHECK_ERR(pivot_root("f", "n/old"), ENOTDIR);
	CHECK_ERR(pivot_root("n", "f"), ENOTDIR);
	CHECK_ERR(pivot_root(BAD_PTR, "n/old"), EFAULT);
	/* Not a mountpoint; the old root not below; on the root itself. */
	CHECK_ERR(pivot_root("n/d", "n/old"), EINVAL);
	tmpfs_at("other");
	CHECK_ERR(pivot_root("n", "other"), EINVAL);
	CHECK_ERR(pivot_root("n", "plain/old"), EBUSY);
	CHECK_ERR(pivot_root("/", "/"), EBUSY);
	/* Shared: the new root, its parent, where the old one goes. */
	change("n", MS_SHARED);
	CHECK_ERR(pivot_root("n", "n/old"), EINVAL);
	change("n", MS_PRIVATE);
	int deleted = CHECK_OK(open("n/d", O_RDONLY | O_DIRECTORY));
	CHECK_OK(rmdir("n/d"));
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d", deleted);
	CHECK_ERR(pivot_root("n", path), ENOENT);
	CHECK_OK(close(deleted));
	CHECK_OK(pivot_root("n", "n/old"));
}

TEST(a_root_that_is_no_mountpoint_stays)
{
	own_mounts();
	CHECK_OK(mkdir("jail", 0755));
	tmpfs_at("jail/n");
	CHECK_OK(mkdir("jail/n/old", 0755));
	CHECK_OK(chroot("jail"));
	CHECK_OK(chdir("/"));
	CHECK_ERR(pivot_root("n", "n/old"), EINVAL);
}

TEST(chroot_confines_names_and_mountinfo)
{
	own_mounts();
	tmpfs_at("jail");
	CHECK_OK(mkdir("jail/proc", 0755));
	CHECK_OK(mount("proc", "jail/proc", "proc", 0, NULL));
	tmpfs_at("jail/in");
	tmpfs_at("outside");
	CHECK_OK(chroot("jail"));
	/* The working directory is outside still. */
	char cwd[512];
	CHECK(syscall(SYS_getcwd, cwd, sizeof cwd) > 0);
	CHECK(!strncmp(cwd, "(unreachable)", 13));
	CHECK_OK(access("outside", F_OK));
	CHECK_ERR(access("/outside", F_OK), ENOENT);
	CHECK_EQ(nr_mounts(), 3);
	CHECK_OK(chdir("/"));
	CHECK_OK(chdir("../../.."));
	CHECK_OK(access("in", F_OK));
	CHECK_ERR(chroot("proc/cmdline"), ENOTDIR);
	/* Mounts outside may not be named any more, but by an old descriptor. */
	CHECK_OK(umount("/in"));
}

TEST(no_new_user_namespace_in_a_chroot)
{
	own_mounts();
	tmpfs_at("jail");
	CHECK_OK(chroot("jail"));
	CHECK_OK(chdir("/"));
	CHECK_ERR(unshare(CLONE_NEWUSER), EPERM);
}
