/* Less privileged mount namespaces: mount_namespaces(7), "Restrictions on mount namespaces". */
#include <sys/fsuid.h>

#include "mnt_ns.h"
#include "ns.h"

TEST(shared_mounts_become_slaves)
{
	own_mounts();
	tmpfs_at("a");
	change("a", MS_SHARED);
	CHECK_OK(mkdir("a/m", 0755));
	CHECK_OK(mkdir("a/n", 0755));
	int shared = info_of("a").shared;
	pid_t child = SPAWN({
		own_user_ns(CLONE_NEWNS);
		CHECK_EQ(info_of("a").shared, 0);
		CHECK_EQ(info_of("a").master, shared);
		CHECK_OK(mount("t", "a/m", "tmpfs", 0, NULL));
	});
	JOIN(child);
	CHECK_EQ(mounts_at("a/m"), 0);
}

TEST(inherited_mounts_are_locked_together)
{
	own_mounts();
	tmpfs_at("a");
	tmpfs_at("a/m");
	kt_make_file("a/hidden", "", 0644);
	pid_t child = SPAWN({
		own_user_ns(CLONE_NEWNS);
		CHECK_OK(mkdir("b", 0755));
		CHECK_ERR(umount("a/m"), EINVAL);
		CHECK_ERR(umount2("a/m", MNT_DETACH), EINVAL);
		CHECK_ERR(umount2("a", MNT_DETACH), EINVAL);
		CHECK_ERR(mount("a/m", "b", NULL, MS_MOVE, NULL), EINVAL);
		/* What a mount covers stays covered. */
		CHECK_ERR(mount("a", "b", NULL, MS_BIND, NULL), EINVAL);
		CHECK_OK(mount("a", "b", NULL, MS_BIND | MS_REC, NULL));
		CHECK_ERR(umount("b/m"), EINVAL);
		CHECK_OK(umount2("b", MNT_DETACH));
		CHECK_OK(mount("a/m", "b", NULL, MS_BIND, NULL));
		CHECK_OK(umount("b"));
		/* Its own mounts are free. */
		tmpfs_at("b");
		CHECK_OK(umount("b"));
	});
	JOIN(child);
}

TEST(flags_that_were_set_are_locked)
{
	own_mounts();
	CHECK_OK(mkdir("a", 0755));
	CHECK_OK(mount("t", "a", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME, NULL));
	CHECK_OK(mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV |
		       MS_NOEXEC | MS_NOATIME, NULL));
	pid_t child = SPAWN({
		own_user_ns(CLONE_NEWNS);
		const unsigned long all = MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME;
		const unsigned long each[] = { MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC };
		for (int i = 0; i < 4; i++)
			CHECK_ERR(mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND | (all & ~each[i]), NULL),
				  EPERM);
		CHECK_ERR(mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID |
				MS_NODEV | MS_NOEXEC | MS_RELATIME, NULL), EPERM);
		CHECK_OK(mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND | all, NULL));
		/* More may be added, and taken away again. */
		CHECK_OK(mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND | all | MS_NOSYMFOLLOW, NULL));
		CHECK_OK(mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND | all, NULL));
		/* A copy has the same locks. */
		bind_at("a", "b");
		CHECK_ERR(mount(NULL, "b", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), EPERM);
		/* The superblock is another's. */
		CHECK_ERR(mount(NULL, "a", NULL, MS_REMOUNT | all, NULL), EPERM);
	});
	JOIN(child);
}

TEST(its_own_mounts_are_its_own)
{
	own_mounts();
	pid_t child = SPAWN({
		own_user_ns(CLONE_NEWNS);
		CHECK_OK(mkdir("a", 0755));
		CHECK_OK(mount("t", "a", "tmpfs", MS_NOSUID, "uid=0,gid=0"));
		CHECK_OK(mount(NULL, "a", NULL, MS_REMOUNT, "size=1m"));
		CHECK_NO_OPTION("a", "nosuid");
		/* No device of its making opens. */
		CHECK_ERR(mknod("a/null", S_IFCHR | 0666, makedev(1, 3)), EPERM);
		/* Ids that it does not know may not be given. */
		CHECK_ERR(mount("t", "a", "tmpfs", 0, "uid=1"), EINVAL);
		CHECK_ERR(mount("t", "a", "tmpfs", 0, "gid=7"), EINVAL);
	});
	JOIN(child);
}

TEST(only_some_types_are_for_everyone)
{
	own_mounts();
	pid_t child = SPAWN({
		own_user_ns(CLONE_NEWNS);
		CHECK_OK(mkdir("a", 0755));
		CHECK_OK(mount("t", "a", "tmpfs", 0, NULL));
		CHECK_OK(umount("a"));
		CHECK_OK(mount("t", "a", "ramfs", 0, NULL));
		CHECK_OK(umount("a"));
		CHECK_OK(mount("t", "a", "devpts", 0, "newinstance"));
		CHECK_OK(umount("a"));
		CHECK_ERR(mount("t", "a", "devtmpfs", 0, NULL), EPERM);
		/* The owner of the pid and of the network namespace is another. */
		CHECK_ERR(mount("t", "a", "proc", 0, NULL), EPERM);
		CHECK_ERR(mount("t", "a", "sysfs", 0, NULL), EPERM);
		CHECK_ERR(mount("t", "a", "nonsense", 0, NULL), ENODEV);
		CHECK_ERR(mount("t", "a", "proc", 0, "nonsense"), EINVAL);
	});
	JOIN(child);
}

TEST(a_new_proc_shows_no_more_than_an_old_one)
{
	own_mounts();
	pid_t child = SPAWN({
		own_user_ns(CLONE_NEWNS | CLONE_NEWPID);
		pid_t init = SPAWN({
			CHECK_OK(mkdir("a", 0755));
			CHECK_OK(mount("p", "a", "proc", 0, NULL));
			CHECK_OK(umount("a"));
		});
		JOIN(init);
	});
	JOIN(child);
	/* Something of it is covered: it may not be seen by way of a new one. */
	CHECK_OK(mount("t", "/proc/sys", "tmpfs", 0, NULL));
	child = SPAWN({
		own_user_ns(CLONE_NEWNS | CLONE_NEWPID);
		pid_t init = SPAWN(CHECK_ERR(mount("p", "a", "proc", 0, NULL), EPERM));
		JOIN(init);
	});
	JOIN(child);
	CHECK_OK(umount("/proc/sys"));
}

static void write_at(int dir, const char *name, const char *text)
{
	int fd = CHECK_OK(openat(dir, name, O_WRONLY));
	CHECK_EQ(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	CHECK_OK(close(fd));
}

TEST(without_any_proc_there_is_no_new_one)
{
	own_mounts();
	CHECK_OK(mkdir("a", 0755));
	int proc = CHECK_OK(open("/proc", O_RDONLY | O_DIRECTORY));
	CHECK_OK(umount2("/proc", MNT_DETACH));
	if (umount2("/sys", MNT_DETACH) < 0)
		CHECK_EQ(errno, EINVAL);
	pid_t child = SPAWN({
		CHECK_OK(unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET));
		write_at(proc, "self/setgroups", "deny");
		write_at(proc, "self/uid_map", "0 0 1");
		write_at(proc, "self/gid_map", "0 0 1");
		pid_t init = SPAWN({
			CHECK_ERR(mount("p", "a", "proc", 0, NULL), EPERM);
			CHECK_ERR(mount("p", "a", "sysfs", 0, NULL), EPERM);
			CHECK_OK(mount("p", "a", "tmpfs", 0, NULL));
		});
		JOIN(init);
	});
	JOIN(child);
}

TEST(a_new_proc_is_as_read_only_as_the_old_one)
{
	own_mounts();
	CHECK_OK(mkdir("a", 0755));
	int proc = CHECK_OK(open("/proc", O_RDONLY | O_DIRECTORY));
	CHECK_OK(umount2("/proc", MNT_DETACH));
	CHECK_OK(mount("p", "/proc", "proc", 0, NULL));
	CHECK_OK(mount(NULL, "/proc", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
	pid_t child = SPAWN({
		CHECK_OK(unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID));
		write_at(proc, "self/setgroups", "deny");
		write_at(proc, "self/uid_map", "0 0 1");
		write_at(proc, "self/gid_map", "0 0 1");
		pid_t init = SPAWN({
			CHECK_ERR(mount("p", "a", "proc", 0, NULL), EPERM);
			CHECK_OK(mount("p", "a", "proc", MS_RDONLY, NULL));
			CHECK_ERR(mount(NULL, "a", NULL, MS_REMOUNT | MS_BIND, NULL), EPERM);
		});
		JOIN(init);
	});
	JOIN(child);
}

TEST(mounts_that_arrive_are_locked)
{
	own_mounts();
	tmpfs_at("a");
	change("a", MS_SHARED);
	CHECK_OK(mkdir("a/m", 0755));
	tmpfs_at("s");
	tmpfs_at("s/x");
	int go[2], back[2];
	CHECK_OK(pipe(go));
	CHECK_OK(pipe(back));
	pid_t child = SPAWN({
		char c;
		own_user_ns(CLONE_NEWNS);
		CHECK_EQ(write(back[1], "x", 1), 1);
		CHECK_EQ(read(go[0], &c, 1), 1);
		CHECK_EQ(mounts_at("a/m"), 1);
		CHECK_EQ(mounts_at("a/m/x"), 1);
		CHECK_ERR(umount("a/m/x"), EINVAL);
		/* The top of what arrived may go, as a whole. */
		CHECK_OK(umount2("a/m", MNT_DETACH));
	});
	char c;
	CHECK_EQ(read(back[0], &c, 1), 1);
	CHECK_OK(mount("s", "a/m", NULL, MS_BIND | MS_REC, NULL));
	CHECK_EQ(write(go[1], "x", 1), 1);
	JOIN(child);
}

TEST(a_superblock_of_another_user_namespace_gives_no_rights)
{
	own_mounts();
	int go[2], back[2];
	CHECK_OK(pipe(go));
	CHECK_OK(pipe(back));
	char path[128];
	pid_t child = SPAWN({
		char c;
		own_user_ns(CLONE_NEWNS);
		tmpfs_at("a");
		kt_copy_self("a/prog");
		CHECK_OK(chmod("a/prog", 04755));
		CHECK_EQ(write(back[1], "x", 1), 1);
		CHECK_EQ(read(go[0], &c, 1), 1);
	});
	char c;
	CHECK_EQ(read(back[0], &c, 1), 1);
	char cwd[512];
	CHECK(getcwd(cwd, sizeof cwd));
	snprintf(path, sizeof path, "/proc/%d/root%.80s/a/prog", child, cwd);
	/* Seen from outside, its set-uid bit is nothing. */
	pid_t user = SPAWN({
		struct stat st;
		CHECK_OK(stat(path, &st));
		CHECK_EQ(st.st_uid, 0);
	});
	JOIN(user);
	CHECK_EQ(write(go[1], "x", 1), 1);
	JOIN(child);
}

TEST(a_new_tmpfs_belongs_to_whoever_mounts_it)
{
	own_mounts();
	CHECK_OK(mkdir("a", 0755));
	struct sync s = sync_new();
	pid_t child = SPAWN({
		CHECK_OK(unshare(CLONE_NEWUSER | CLONE_NEWNS));
		ready_and_hold(&s);
		CHECK_OK(setresgid(0, 0, 0));
		CHECK_OK(setresuid(0, 0, 0));
		CHECK_OK(mount("t", "a", "tmpfs", 0, "mode=755"));
		struct stat st;
		CHECK_OK(stat("a", &st));
		CHECK_EQ(st.st_uid, 0);
		CHECK_EQ(st.st_gid, 0);
		CHECK_OK(mkdir("a/dir", 0755));
		CHECK(strstr(proc_text(getpid(), "mounts"), "mode=755,uid=100000,gid=200000"));
	});
	until_ready(&s);
	map_ids(child, "0 100000 65536", "0 200000 65536");
	let_go(&s);
	JOIN(child);
	/* Not only there. */
	setfsuid(1000);
	CHECK_OK(mount("t", "a", "tmpfs", 0, NULL));
	setfsuid(0);
	struct stat st;
	CHECK_OK(stat("a", &st));
	CHECK_EQ(st.st_uid, 1000);
	CHECK_EQ(st.st_gid, 0);
	CHECK(strstr(proc_text(getpid(), "mounts"), ",uid=1000,inode64"));
}
