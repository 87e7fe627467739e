/* Shared subtrees: mount_namespaces(7), Documentation/filesystems/sharedsubtree.rst. */
#include "mnt_ns.h"

TEST(a_bind_of_a_shared_mount_is_its_peer)
{
	own_mounts();
	tmpfs_at("a");
	change("a", MS_SHARED);
	CHECK(info_of("a").shared > 0);
	bind_at("a", "b");
	CHECK_EQ(info_of("b").shared, info_of("a").shared);
	CHECK_OK(mkdir("a/m", 0755));
	tmpfs_at("b/m");
	CHECK_EQ(mounts_at("a/m"), 1);
	/* The copies are peers as well. */
	CHECK_EQ(info_of("a/m").shared, info_of("b/m").shared);
	CHECK(info_of("a/m").shared > 0);
	CHECK_OK(umount("a/m"));
	CHECK_EQ(mounts_at("b/m"), 0);
}

TEST(a_slave_receives_and_does_not_send)
{
	own_mounts();
	tmpfs_at("a");
	change("a", MS_SHARED);
	CHECK_OK(mkdir("a/m", 0755));
	CHECK_OK(mkdir("a/n", 0755));
	bind_at("a", "b");
	change("b", MS_SLAVE);
	CHECK_EQ(info_of("b").shared, 0);
	CHECK_EQ(info_of("b").master, info_of("a").shared);
	tmpfs_at("a/m");
	CHECK_EQ(mounts_at("b/m"), 1);
	CHECK_EQ(info_of("b/m").shared, 0);
	CHECK_EQ(info_of("b/m").master, info_of("a/m").shared);
	tmpfs_at("b/n");
	CHECK_EQ(mounts_at("a/n"), 0);
	CHECK_EQ(info_of("b/n").master, 0);
	/* What the slave unmounts stays with the master. */
	CHECK_OK(umount("b/m"));
	CHECK_EQ(mounts_at("a/m"), 1);
}

TEST(a_slave_may_be_shared_itself)
{
	own_mounts();
	tmpfs_at("a");
	change("a", MS_SHARED);
	CHECK_OK(mkdir("a/m", 0755));
	bind_at("a", "b");
	change("b", MS_SLAVE);
	change("b", MS_SHARED);
	bind_at("b", "c");
	CHECK_EQ(info_of("c").shared, info_of("b").shared);
	CHECK_EQ(info_of("c").master, info_of("a").shared);
	tmpfs_at("a/m");
	CHECK_EQ(mounts_at("b/m"), 1);
	CHECK_EQ(mounts_at("c/m"), 1);
	CHECK_EQ(info_of("b/m").shared, info_of("c/m").shared);
	CHECK_EQ(info_of("b/m").master, info_of("a/m").shared);
}

TEST(the_last_peer_hands_its_slaves_to_its_master)
{
	own_mounts();
	tmpfs_at("a");
	change("a", MS_SHARED);
	bind_at("a", "b");
	change("b", MS_SLAVE);
	change("b", MS_SHARED);
	bind_at("b", "c");
	change("c", MS_SLAVE);
	CHECK_EQ(info_of("c").master, info_of("b").shared);
	CHECK_OK(umount("b"));
	CHECK_EQ(info_of("c").master, info_of("a").shared);
	CHECK_OK(umount("a"));
	CHECK_EQ(info_of("c").master, 0);
}

TEST(propagate_from_names_the_nearest_group_in_sight)
{
	own_mounts();
	tmpfs_at("a");
	change("a", MS_SHARED);
	tmpfs_at("jail");
	CHECK_OK(mkdir("jail/proc", 0755));
	bind_at("a", "jail/a");
	bind_at("a", "b");
	change("b", MS_SLAVE);
	change("b", MS_SHARED);
	bind_at("b", "jail/c");
	change("jail/c", MS_SLAVE);
	int top = info_of("a").shared, middle = info_of("b").shared;
	CHECK_EQ(info_of("jail/c").from, 0);
	CHECK_OK(mount("proc", "jail/proc", "proc", 0, NULL));
	CHECK_OK(chroot("jail"));
	CHECK_OK(chdir("/"));
	struct info c = info_of("/c");
	CHECK_EQ(c.master, middle);
	CHECK_EQ(c.from, top);
}

TEST(private_ends_everything)
{
	own_mounts();
	tmpfs_at("a");
	change("a", MS_SHARED);
	CHECK_OK(mkdir("a/m", 0755));
	bind_at("a", "b");
	bind_at("a", "c");
	change("b", MS_PRIVATE);
	change("c", MS_SLAVE);
	change("c", MS_PRIVATE);
	CHECK_EQ(info_of("b").shared + info_of("c").master, 0);
	tmpfs_at("a/m");
	CHECK_EQ(mounts_at("b/m") + mounts_at("c/m"), 0);
	/* A slave of nobody is private; private made slave stays private. */
	change("b", MS_SLAVE);
	CHECK_EQ(info_of("b").master, 0);
}

TEST(unbindable_mounts_are_not_bound)
{
	own_mounts();
	tmpfs_at("a");
	tmpfs_at("a/m");
	tmpfs_at("a/n");
	change("a/m", MS_UNBINDABLE);
	CHECK(info_of("a/m").unbindable);
	CHECK_OK(mkdir("b", 0755));
	CHECK_ERR(mount("a/m", "b", NULL, MS_BIND, NULL), EINVAL);
	CHECK_ERR(mount("a/m", "b", NULL, MS_BIND | MS_REC, NULL), EINVAL);
	/* rbind prunes it. */
	CHECK_OK(mount("a", "b", NULL, MS_BIND | MS_REC, NULL));
	CHECK_EQ(mounts_at("b/m"), 0);
	CHECK_EQ(mounts_at("b/n"), 1);
	/* It may move, but not to a shared place. */
	CHECK_OK(mkdir("c", 0755));
	CHECK_OK(mount("a/m", "c", NULL, MS_MOVE, NULL));
	CHECK(info_of("c").unbindable);
	tmpfs_at("d");
	change("d", MS_SHARED);
	CHECK_OK(mkdir("d/x", 0755));
	CHECK_ERR(mount("c", "d/x", NULL, MS_MOVE, NULL), EINVAL);
	/* Shared ends unbindable. */
	change("c", MS_SHARED);
	CHECK(!info_of("c").unbindable);
	CHECK_OK(mount("c", "d/x", NULL, MS_MOVE, NULL));
}

TEST(a_new_mount_below_a_shared_one_is_shared)
{
	own_mounts();
	tmpfs_at("a");
	change("a", MS_SHARED);
	tmpfs_at("a/m");
	CHECK(info_of("a/m").shared > 0);
	CHECK(info_of("a/m").shared != info_of("a").shared);
	/* Below a private one it is private. */
	change("a", MS_PRIVATE);
	tmpfs_at("a/n");
	CHECK_EQ(info_of("a/n").shared, 0);
	/* A private mount that moves below a shared one becomes shared, a slave both. */
	tmpfs_at("s");
	change("s", MS_SHARED);
	CHECK_OK(mkdir("s/x", 0755));
	CHECK_OK(mkdir("s/y", 0755));
	CHECK_OK(mount("a/n", "s/x", NULL, MS_MOVE, NULL));
	CHECK(info_of("s/x").shared > 0);
	bind_at("s", "t");
	change("t", MS_SLAVE);
	CHECK_OK(mount("t", "s/y", NULL, MS_MOVE, NULL));
	CHECK_EQ(info_of("s/y").master, info_of("s").shared);
	CHECK(info_of("s/y").shared > 0);
}

TEST(rec_changes_the_whole_tree)
{
	own_mounts();
	tmpfs_at("a");
	tmpfs_at("a/m");
	tmpfs_at("a/m/n");
	change("a", MS_SHARED | MS_REC);
	CHECK(info_of("a").shared && info_of("a/m").shared && info_of("a/m/n").shared);
	change("a/m", MS_PRIVATE);
	CHECK(info_of("a/m/n").shared);
	change("a", MS_PRIVATE | MS_REC | MS_SILENT);
	CHECK(!info_of("a").shared && !info_of("a/m/n").shared);
}

TEST(wrong_types_are_refused)
{
	own_mounts();
	tmpfs_at("a");
	CHECK_OK(mkdir("a/d", 0755));
	CHECK_ERR(mount(NULL, "a", NULL, MS_SHARED | MS_PRIVATE, NULL), EINVAL);
	CHECK_ERR(mount(NULL, "a", NULL, MS_SHARED | MS_RDONLY, NULL), EINVAL);
	CHECK_ERR(mount(NULL, "a/d", NULL, MS_SHARED, NULL), EINVAL);
	CHECK_ERR(mount(NULL, "nothing", NULL, MS_SHARED, NULL), ENOENT);
	CHECK_ERR(mount(NULL, "a", NULL, MS_SLAVE | MS_UNBINDABLE, NULL), EINVAL);
}

TEST(a_copied_namespace_is_a_peer)
{
	own_mounts();
	tmpfs_at("a");
	change("a", MS_SHARED);
	CHECK_OK(mkdir("a/m", 0755));
	CHECK_OK(mkdir("a/n", 0755));
	tmpfs_at("p");
	change("p", MS_UNBINDABLE);
	int shared = info_of("a").shared;
	pid_t child = SPAWN_IN(CLONE_NEWNS, {
		CHECK_EQ(info_of("a").shared, shared);
		CHECK(info_of("p").unbindable);
		tmpfs_at("a/m");
		CHECK_OK(mkdir("p/x", 0755));
		tmpfs_at("p/x");
	});
	JOIN(child);
	CHECK_EQ(mounts_at("a/m"), 1);
	CHECK_EQ(mounts_at("p/x"), 0);
	child = SPAWN_IN(CLONE_NEWNS, {
		change("a", MS_SLAVE);
		tmpfs_at("a/n");
		CHECK_OK(umount("a/m"));
	});
	JOIN(child);
	CHECK_EQ(mounts_at("a/n"), 0);
	CHECK_EQ(mounts_at("a/m"), 1);
}

TEST(umount_reaches_the_copies)
{
	own_mounts();
	tmpfs_at("a");
	change("a", MS_SHARED);
	CHECK_OK(mkdir("a/m", 0755));
	bind_at("a", "b");
	bind_at("a", "c");
	change("c", MS_SLAVE);
	tmpfs_at("a/m");
	/* What is mounted on a copy keeps that one, but not the others. */
	CHECK_OK(mkdir("c/m/x", 0755));
	tmpfs_at("c/m/x");
	CHECK_EQ(mounts_at("a/m/x"), 0);
	CHECK_OK(umount("b/m"));
	CHECK_EQ(mounts_at("a/m") + mounts_at("b/m"), 0);
	CHECK_EQ(mounts_at("c/m"), 1);
	CHECK_EQ(mounts_at("c/m/x"), 1);
}

TEST(a_busy_copy_keeps_the_original)
{
	own_mounts();
	tmpfs_at("a");
	change("a", MS_SHARED);
	CHECK_OK(mkdir("a/m", 0755));
	bind_at("a", "b");
	tmpfs_at("a/m");
	int fd = CHECK_OK(open("b/m", O_RDONLY | O_DIRECTORY));
	CHECK_ERR(umount("a/m"), EBUSY);
	CHECK_OK(close(fd));
	CHECK_OK(umount("a/m"));
}

TEST(a_mount_goes_beneath_what_stands_in_the_slave)
{
	own_mounts();
	tmpfs_at("a");
	change("a", MS_SHARED);
	CHECK_OK(mkdir("a/m", 0755));
	bind_at("a", "b");
	change("b", MS_SLAVE);
	tmpfs_at("b/m");
	kt_make_file("b/m/mine", "", 0644);
	tmpfs_at("a/m");
	CHECK_EQ(mounts_at("b/m"), 2);
	CHECK_OK(access("b/m/mine", F_OK));
	CHECK_OK(umount("a/m"));
	CHECK_EQ(mounts_at("b/m"), 1);
	CHECK_OK(access("b/m/mine", F_OK));
}

TEST(only_directories_in_view_receive)
{
	own_mounts();
	tmpfs_at("a");
	change("a", MS_SHARED);
	CHECK_OK(mkdir("a/sub", 0755));
	CHECK_OK(mkdir("a/sub/m", 0755));
	CHECK_OK(mkdir("a/other", 0755));
	bind_at("a/sub", "b");
	CHECK_EQ(info_of("b").shared, info_of("a").shared);
	CHECK(!strcmp(info_of("b").root, "/sub"));
	int before = nr_mounts();
	tmpfs_at("a/other");
	CHECK_EQ(nr_mounts(), before + 1);
	tmpfs_at("a/sub/m");
	CHECK_EQ(nr_mounts(), before + 3);
	CHECK_EQ(mounts_at("b/m"), 1);
}

TEST(mounts_tell_of_changes_by_poll)
{
	own_mounts();
	int fd = CHECK_OK(open("/proc/self/mountinfo", O_RDONLY));
	struct pollfd p = { .fd = fd, .events = POLLPRI };
	CHECK_EQ(poll(&p, 1, 0), 0);
	tmpfs_at("a");
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLPRI | POLLERR);
	CHECK_EQ(poll(&p, 1, 0), 0);
	change("a", MS_SHARED);
	CHECK_EQ(poll(&p, 1, 0), 0);
	CHECK_OK(umount("a"));
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_OK(close(fd));
}
