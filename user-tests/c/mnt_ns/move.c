/* mount(2) MS_MOVE. */
#include "mnt_ns.h"

TEST(a_mount_moves_with_what_is_on_it)
{
	own_mounts();
	tmpfs_at("a");
	tmpfs_at("a/m");
	kt_make_file("a/m/f", "", 0644);
	CHECK_OK(mkdir("b", 0755));
	int id = info_of("a").id;
	CHECK_OK(mount("a", "b", NULL, MS_MOVE, NULL));
	CHECK_EQ(mounts_at("a"), 0);
	CHECK_EQ(info_of("b").id, id);
	CHECK_OK(access("b/m/f", F_OK));
}

TEST(wrong_moves_are_refused)
{
	own_mounts();
	tmpfs_at("a");
	CHECK_OK(mkdir("a/d", 0755));
	CHECK_OK(mkdir("b", 0755));
	kt_make_file("f", "", 0644);
	CHECK_ERR(mount(NULL, "b", NULL, MS_MOVE, NULL), EINVAL);
	CHECK_ERR(mount("nothing", "b", NULL, MS_MOVE, NULL), ENOENT);
	/* Not a mount, a directory onto a file, into itself. */
	CHECK_ERR(mount("a/d", "b", NULL, MS_MOVE, NULL), EINVAL);
	CHECK_ERR(mount("a", "f", NULL, MS_MOVE, NULL), EINVAL);
	CHECK_ERR(mount("a", "a/d", NULL, MS_MOVE, NULL), ELOOP);
	tmpfs_at("a/d");
	tmpfs_at("a/d/e");
	CHECK_OK(mkdir("a/d/e/x", 0755));
	CHECK_ERR(mount("a", "a/d/e/x", NULL, MS_MOVE, NULL), ELOOP);
}

TEST(nothing_moves_out_of_a_shared_parent)
{
	own_mounts();
	tmpfs_at("a");
	tmpfs_at("a/m");
	change("a", MS_SHARED);
	CHECK_OK(mkdir("b", 0755));
	CHECK_ERR(mount("a/m", "b", NULL, MS_MOVE, NULL), EINVAL);
	change("a", MS_PRIVATE);
	CHECK_OK(mount("a/m", "b", NULL, MS_MOVE, NULL));
}

TEST(a_move_below_a_shared_mount_propagates)
{
	own_mounts();
	tmpfs_at("s");
	change("s", MS_SHARED);
	CHECK_OK(mkdir("s/x", 0755));
	bind_at("s", "t");
	tmpfs_at("a");
	tmpfs_at("a/m");
	CHECK_OK(mount("a", "s/x", NULL, MS_MOVE, NULL));
	CHECK_EQ(mounts_at("t/x"), 1);
	CHECK_EQ(mounts_at("t/x/m"), 1);
	CHECK_EQ(info_of("t/x/m").shared, info_of("s/x/m").shared);
}

TEST(a_working_directory_moves_along)
{
	own_mounts();
	tmpfs_at("a");
	CHECK_OK(mkdir("a/d", 0755));
	CHECK_OK(mkdir("b", 0755));
	CHECK_OK(chdir("a/d"));
	CHECK_OK(mount("..", "../../b", NULL, MS_MOVE, NULL));
	char cwd[512];
	CHECK(getcwd(cwd, sizeof cwd));
	CHECK(strlen(cwd) > 4 && !strcmp(cwd + strlen(cwd) - 4, "/b/d"));
}
