/* Bind mounts: mount(2) MS_BIND, MS_REC. */
#include "mnt_ns.h"

TEST(a_bind_shows_the_same_files)
{
	own_mounts();
	CHECK_OK(mkdir("a", 0755));
	kt_make_file("a/f", "one", 0644);
	bind_at("a", "b");
	char text[16];
	CHECK_EQ(kt_read_file("b/f", text, sizeof text), 3);
	kt_make_file("b/g", "", 0644);
	CHECK_OK(access("a/g", F_OK));
	struct stat a, b;
	CHECK_OK(stat("a/f", &a));
	CHECK_OK(stat("b/f", &b));
	CHECK(a.st_dev == b.st_dev && a.st_ino == b.st_ino);
	/* One file system, two mounts: links and renames do not cross. */
	CHECK_ERR(link("a/f", "b/h"), EXDEV);
	CHECK_ERR(rename("a/f", "b/h"), EXDEV);
}

TEST(files_are_bound_on_files)
{
	own_mounts();
	kt_make_file("f", "content", 0644);
	kt_make_file("g", "", 0644);
	CHECK_OK(mkdir("d", 0755));
	CHECK_OK(mount("f", "g", NULL, MS_BIND, NULL));
	char text[16];
	CHECK_EQ(kt_read_file("g", text, sizeof text), 7);
	CHECK_ERR(mount("f", "d", NULL, MS_BIND, NULL), ENOTDIR);
	CHECK_ERR(mount("d", "f", NULL, MS_BIND, NULL), ENOTDIR);
	CHECK_ERR(unlink("g"), EBUSY);
	CHECK_OK(umount("g"));
	CHECK_OK(unlink("g"));
}

TEST(a_plain_bind_leaves_mounts_behind)
{
	own_mounts();
	tmpfs_at("a");
	tmpfs_at("a/m");
	kt_make_file("a/m/f", "", 0644);
	bind_at("a", "b");
	CHECK_ERR(access("b/m/f", F_OK), ENOENT);
	CHECK_OK(mkdir("c", 0755));
	CHECK_OK(mount("a", "c", NULL, MS_BIND | MS_REC, NULL));
	CHECK_OK(access("c/m/f", F_OK));
	CHECK_EQ(info_of("c/m").parent, info_of("c").id);
}

TEST(a_bind_keeps_the_flags_of_its_source)
{
	own_mounts();
	CHECK_OK(mkdir("a", 0755));
	CHECK_OK(mount("t", "a", "tmpfs", MS_NOSUID | MS_NOEXEC | MS_NODEV, NULL));
	CHECK_OK(mkdir("b", 0755));
	CHECK_OK(mount("a", "b", "ignored", MS_BIND | MS_RDONLY, "ignored"));
	CHECK_OPTION("b", "nosuid");
	CHECK_OPTION("b", "noexec");
	CHECK_OPTION("b", "nodev");
	CHECK_OPTION("b", "rw");
}

TEST(wrong_binds_are_refused)
{
	own_mounts();
	CHECK_OK(mkdir("a", 0755));
	CHECK_ERR(mount(NULL, "a", NULL, MS_BIND, NULL), EINVAL);
	CHECK_ERR(mount("", "a", NULL, MS_BIND, NULL), EINVAL);
	CHECK_ERR(mount("nothing", "a", NULL, MS_BIND, NULL), ENOENT);
	CHECK_ERR(mount("a", "nothing", NULL, MS_BIND, NULL), ENOENT);
	CHECK_ERR(mount("a", "", NULL, MS_BIND, NULL), ENOENT);
	CHECK_ERR(mount("a", BAD_PTR, NULL, MS_BIND, NULL), EFAULT);
	CHECK_ERR(mount(BAD_PTR, "a", NULL, MS_BIND, NULL), EFAULT);
	kt_make_file("f", "", 0644);
	CHECK_ERR(mount("f/x", "a", NULL, MS_BIND, NULL), ENOTDIR);
	CHECK_OK(symlink("loop", "loop"));
	CHECK_ERR(mount("loop", "a", NULL, MS_BIND, NULL), ELOOP);
	CHECK_ERR(mount("a", "loop", NULL, MS_BIND, NULL), ELOOP);
}

TEST(a_mount_of_another_namespace_is_not_bound)
{
	own_mounts();
	CHECK_OK(mkdir("d", 0755));
	int fd = CHECK_OK(open(".", O_RDONLY | O_DIRECTORY));
	CHECK_OK(unshare(CLONE_NEWNS));
	char path[64];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	CHECK_ERR(mount(path, "d", NULL, MS_BIND, NULL), EINVAL);
	snprintf(path, sizeof path, "/proc/self/fd/%d/d", fd);
	CHECK_ERR(mount("d", path, NULL, MS_BIND, NULL), EINVAL);
	CHECK_ERR(mount("t", path, "tmpfs", 0, NULL), EINVAL);
	CHECK_ERR(umount2(path, MNT_DETACH), EINVAL);
}

TEST(a_namespace_file_may_be_bound_but_not_into_itself)
{
	own_mounts();
	kt_make_file("mine", "", 0644);
	kt_make_file("net", "", 0644);
	CHECK_ERR(mount("/proc/self/ns/mnt", "mine", NULL, MS_BIND, NULL), EINVAL);
	CHECK_OK(mount("/proc/self/ns/uts", "net", NULL, MS_BIND, NULL));
	CHECK(!strncmp(info_of("net").root, "uts:[", 5));
	CHECK(!strcmp(info_of("net").type, "nsfs"));
	int fd = CHECK_OK(open("net", O_RDONLY));
	CHECK_OK(setns(fd, CLONE_NEWUTS));
	CHECK_OK(close(fd));
	/* A younger one may be held by an older one. */
	int go[2];
	CHECK_OK(pipe(go));
	pid_t child = SPAWN_IN(CLONE_NEWNS, {
		char c;
		CHECK_OK(close(go[1]));
		CHECK_EQ(read(go[0], &c, 1), 0);
	});
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/ns/mnt", child);
	CHECK_OK(mount(path, "mine", NULL, MS_BIND, NULL));
	/* Copies do not take it along. */
	pid_t other = SPAWN_IN(CLONE_NEWNS, CHECK_EQ(mounts_at("mine"), 0));
	JOIN(other);
	CHECK_OK(close(go[1]));
	JOIN(child);
	fd = CHECK_OK(open("mine", O_RDONLY));
	CHECK_OK(setns(fd, CLONE_NEWNS));
}

TEST(the_file_under_a_bind_may_go)
{
	own_mounts();
	tmpfs_at("t");
	CHECK_OK(mkdir("t/d", 0755));
	kt_make_file("t/d/f", "x", 0644);
	bind_at("t/d", "b");
	CHECK_OK(unlink("t/d/f"));
	CHECK_OK(rmdir("t/d"));
	CHECK(strstr(info_of("b").root, "//deleted"));
	CHECK_ERR(open("b/new", O_CREAT | O_WRONLY, 0644), ENOENT);
	/* Nothing can be mounted on what is removed. */
	CHECK_ERR(mount("t", "b", "tmpfs", 0, NULL), ENOENT);
	CHECK_OK(umount("b"));
}

TEST(a_mount_may_cover_itself)
{
	own_mounts();
	tmpfs_at("a");
	kt_make_file("a/one", "", 0644);
	CHECK_OK(mount("a", "a", NULL, MS_BIND, NULL));
	CHECK_EQ(mounts_at("a"), 2);
	CHECK_OK(umount("a"));
	tmpfs_at("a");
	CHECK_ERR(access("a/one", F_OK), ENOENT);
	CHECK_EQ(mounts_at("a"), 2);
	CHECK_OK(umount("a"));
	CHECK_OK(access("a/one", F_OK));
}
