/* namespaces(7), "The /proc/pid/ns/ directory": links, their targets, and what keeps a namespace. */
#include <dirent.h>
#include <sys/vfs.h>

#include "ns.h"

TEST(the_directory)
{
	static const char *const names[] = { "cgroup", "ipc", "mnt", "net", "pid", "pid_for_children",
					     "time", "time_for_children", "user", "uts" };
	int found = 0;
	DIR *d = opendir("/proc/self/ns");
	CHECK(d != NULL);
	for (struct dirent *e; (e = readdir(d));) {
		if (*e->d_name == '.')
			continue;
		CHECK_EQ(e->d_type, DT_LNK);
		for (int i = 0; i < 10; i++)
			found += !strcmp(names[i], e->d_name);
	}
	closedir(d);
	CHECK_EQ(found, 10);
	CHECK_ERR(open("/proc/self/ns/other", O_RDONLY), ENOENT);
	CHECK_ERR(mkdir("/proc/self/ns/other", 0755), ENOENT);
	struct stat st;
	CHECK_OK(stat("/proc/self/ns", &st));
	CHECK_EQ(st.st_mode & 07777, 0511);
	CHECK_OK(lstat("/proc/self/ns/uts", &st));
	CHECK(S_ISLNK(st.st_mode));
	CHECK_EQ(st.st_mode & 07777, 0777);
	CHECK_EQ(st.st_size, 0);
}

TEST(the_text_and_the_inode)
{
	struct stat st;
	char link[64] = "", want[64];
	static const char *const names[] = { "uts", "ipc", "mnt", "net", "pid", "user", "cgroup", "time" };
	for (int i = 0; i < 8; i++) {
		char path[64];
		snprintf(path, sizeof path, "/proc/self/ns/%s", names[i]);
		memset(link, 0, sizeof link);
		CHECK(readlink(path, link, sizeof link) > 0);
		CHECK_OK(stat(path, &st));
		snprintf(want, sizeof want, "%s:[%lu]", names[i], (unsigned long)st.st_ino);
		CHECK(!strcmp(link, want));
		CHECK(S_ISREG(st.st_mode));
		CHECK_EQ(st.st_mode & 07777, 0444);
		CHECK_EQ(st.st_nlink, 1);
		CHECK_EQ(st.st_uid, 0);
		CHECK_EQ(st.st_size, 0);
	}
	CHECK_EQ(readlink("/proc/self/ns/uts", link, 3), 3);
}

TEST(one_inode_for_one_namespace)
{
	struct stat a;
	struct stat b;
	CHECK_OK(stat("/proc/self/ns/uts", &a));
	JOIN(SPAWN({
		CHECK_OK(stat("/proc/self/ns/uts", &b));
		CHECK_EQ(a.st_ino, b.st_ino);
		CHECK_EQ(a.st_dev, b.st_dev);
		CHECK_OK(unshare(CLONE_NEWUTS));
		CHECK_OK(stat("/proc/self/ns/uts", &b));
		CHECK(a.st_ino != b.st_ino);
		CHECK_EQ(a.st_dev, b.st_dev);
	}));
	CHECK_OK(stat("/proc/self/ns/net", &b));
	CHECK_EQ(a.st_dev, b.st_dev);
	CHECK(a.st_ino != b.st_ino);
}

TEST(the_file_system)
{
	struct statfs fs;
	int fd = CHECK_OK(ns_open(0, "uts"));
	CHECK_OK(fstatfs(fd, &fs));
	CHECK_EQ(fs.f_type, 0x6e736673);
	char byte;
	CHECK_ERR(read(fd, &byte, 1), EINVAL);
	CHECK_ERR(write(fd, "x", 1), EBADF);
	CHECK_ERR(open("/proc/self/ns/uts", O_RDWR), EPERM);
	CHECK_ERR(open("/proc/self/ns/uts", O_RDONLY | O_DIRECTORY), ENOTDIR);
	CHECK_ERR(mount("n", "/tmp", "nsfs", 0, NULL), ENODEV);
	CHECK_ERR(fchmod(fd, 0600), EPERM);
	char link[64] = "", path[32];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	CHECK(readlink(path, link, sizeof link) > 0);
	CHECK(!strncmp(link, "uts:[", 5));
	/* A link of /proc/self/fd leads to it again. */
	CHECK_OK(setns(CHECK_OK(open(path, O_RDONLY)), CLONE_NEWUTS));
	CHECK_ERR(setns(CHECK_OK(open("/proc/self/ns/uts", O_PATH)), CLONE_NEWUTS), EBADF);
}

TEST(ptrace_access_is_needed)
{
	struct sync s = sync_new();
	pid_t root = SPAWN(hold(&s)), dumb = SPAWN({
		become(1000);
		CHECK_OK(prctl(PR_SET_DUMPABLE, 0));
		ready_and_hold(&s);
	});
	until_ready(&s);
	char link[64];
	JOIN(SPAWN({
		become(1000);
		CHECK_ERR(readlink(proc_path(root, "ns/uts"), link, sizeof link), EACCES);
		CHECK_ERR(ns_open(root, "uts"), EACCES);
		struct stat st;
		CHECK_ERR(stat(proc_path(root, "ns/uts"), &st), EACCES);
		CHECK_OK(lstat(proc_path(root, "ns/uts"), &st));
		CHECK_ERR(ns_open(dumb, "uts"), EACCES);
		CHECK_OK(close(CHECK_OK(ns_open(0, "uts"))));
		CHECK_ERR(opendir(proc_path(root, "ns")) ? 0 : -1, EACCES);
	}));
	CHECK_OK(close(CHECK_OK(ns_open(dumb, "uts"))));
	let_go(&s);
	let_go(&s);
	JOIN(root);
	JOIN(dumb);
}

TEST(a_zombie_has_only_some)
{
	pid_t child = SPAWN((void)0);
	WAIT_FOR(kt_state(child) == 'Z');
	CHECK_ERR(ns_open(child, "uts"), ENOENT);
	CHECK_ERR(ns_open(child, "mnt"), ENOENT);
	CHECK_ERR(ns_open(child, "pid_for_children"), ENOENT);
	CHECK_OK(close(CHECK_OK(ns_open(child, "user"))));
	char link[64];
	CHECK_ERR(readlink(proc_path(child, "ns/uts"), link, sizeof link), ENOENT);
	int pidfd = CHECK_OK(sys_pidfd_open(child, 0));
	CHECK_ERR(setns(pidfd, CLONE_NEWUTS), ESRCH);
	JOIN(child);
	CHECK_ERR(ns_open(child, "user"), ENOENT);
	CHECK_ERR(setns(pidfd, CLONE_NEWUTS), ESRCH);
}

TEST(a_descriptor_keeps_it)
{
	struct sync s = sync_new();
	pid_t child = SPAWN({
		CHECK_OK(unshare(CLONE_NEWUTS));
		CHECK_OK(sethostname("kept", 4));
		ready_and_hold(&s);
	});
	until_ready(&s);
	int fd = CHECK_OK(ns_open(child, "uts"));
	let_go(&s);
	JOIN(child);
	char name[64];
	JOIN(SPAWN({
		CHECK_OK(setns(fd, CLONE_NEWUTS));
		CHECK_OK(gethostname(name, sizeof name));
		CHECK(!strcmp(name, "kept"));
	}));
}

TEST(a_bind_mount_keeps_it)
{
	kt_make_file("at", "", 0644);
	JOIN(SPAWN({
		struct sync s = sync_new();
		CHECK_OK(unshare(CLONE_NEWNS));
		CHECK_OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
		pid_t child = SPAWN({
			CHECK_OK(unshare(CLONE_NEWUTS));
			CHECK_OK(sethostname("bound", 5));
			ready_and_hold(&s);
		});
		until_ready(&s);
		CHECK_OK(mount(proc_path(child, "ns/uts"), "at", NULL, MS_BIND, NULL));
		ino_t was = ns_number(child, "uts");
		let_go(&s);
		JOIN(child);
		struct stat st;
		CHECK_OK(stat("at", &st));
		CHECK_EQ(st.st_ino, was);
		static char info[65536];
		char want[64];
		CHECK(kt_read_file("/proc/self/mountinfo", info, sizeof info) > 0);
		snprintf(want, sizeof want, " uts:[%lu] ", (unsigned long)was);
		CHECK(strstr(info, want) != NULL);
		CHECK(strstr(info, " - nsfs nsfs rw") != NULL);
		char name[64];
		int fd = CHECK_OK(open("at", O_RDONLY));
		CHECK_OK(setns(fd, CLONE_NEWUTS));
		CHECK_OK(gethostname(name, sizeof name));
		CHECK(!strcmp(name, "bound"));
		close(fd);
		CHECK_OK(umount2("at", 0));
		CHECK_OK(stat("at", &st));
		CHECK(st.st_ino != was);
	}));
}

TEST(a_mount_namespace_is_not_bound_into_itself)
{
	kt_make_file("at", "", 0644);
	JOIN(SPAWN({
		CHECK_OK(unshare(CLONE_NEWNS));
		CHECK_OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
		/* They would keep each other for ever; only a newer one may be bound into an older. */
		CHECK_ERR(mount("/proc/self/ns/mnt", "at", NULL, MS_BIND, NULL), EINVAL);
		CHECK_ERR(mount("/proc/1/ns/mnt", "at", NULL, MS_BIND, NULL), EINVAL);
	}));
}

TEST(numbers_are_not_reused_at_once)
{
	ino_t last = 0;
	JOIN(SPAWN({
		for (int i = 0; i < 20; i++) {
			int fd = CHECK_OK(ns_open(0, "uts"));
			CHECK_OK(unshare(CLONE_NEWUTS));
			ino_t now = ns_number(0, "uts");
			CHECK(now != last);
			last = now;
			close(fd);
		}
	}));
}

TEST(task_directories_have_them)
{
	char path[64];
	struct stat st;
	snprintf(path, sizeof path, "/proc/self/task/%d/ns/uts", sys_gettid());
	CHECK_OK(stat(path, &st));
	CHECK_EQ(st.st_ino, ns_number(0, "uts"));
	CHECK_OK(stat("/proc/thread-self/ns/uts", &st));
	CHECK_EQ(st.st_ino, ns_number(0, "uts"));
}

TEST(name_to_handle_and_access)
{
	CHECK_OK(access("/proc/self/ns/uts", R_OK));
	CHECK_ERR(access("/proc/self/ns/uts", X_OK), EACCES);
	CHECK_ERR(unlink("/proc/self/ns/uts"), EPERM);
	CHECK_ERR(rename("/proc/self/ns/uts", "x"), EXDEV);
	CHECK_ERR(link("/proc/self/ns/uts", "x"), EXDEV);
}
