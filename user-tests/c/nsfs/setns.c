/* setns(2): one or several, all or nothing. */
#include <sys/eventfd.h>

#include "ns.h"

static struct sync s;

/* A child with a new namespace of nearly every kind. */
static pid_t target(void)
{
	s = sync_new();
	pid_t child = SPAWN({
		CHECK_OK(unshare(CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWCGROUP));
		CHECK_OK(sethostname("target", 6));
		ready_and_hold(&s);
	});
	until_ready(&s);
	return child;
}

static void end(pid_t child)
{
	let_go(&s);
	JOIN(child);
}

TEST(one_by_one)
{
	static const struct { const char *name; int flag; } kinds[] = {
		{ "uts", CLONE_NEWUTS }, { "ipc", CLONE_NEWIPC }, { "net", CLONE_NEWNET },
		{ "cgroup", CLONE_NEWCGROUP }, { "mnt", CLONE_NEWNS },
	};
	pid_t child = target();
	int pidfd = CHECK_OK(sys_pidfd_open(child, 0));
	for (int i = 0; i < 5; i++) {
		int fd = CHECK_OK(ns_open(child, kinds[i].name));
		ino_t want = ns_number(child, kinds[i].name);
		CHECK(ns_number(0, kinds[i].name) != want);
		JOIN(SPAWN({
			CHECK_OK(setns(fd, kinds[i].flag));
			CHECK_EQ(ns_number(0, kinds[i].name), want);
			/* To enter again is no error. */
			CHECK_OK(setns(fd, 0));
		}));
		JOIN(SPAWN({
			CHECK_OK(setns(pidfd, kinds[i].flag));
			CHECK_EQ(ns_number(0, kinds[i].name), want);
		}));
		close(fd);
	}
	end(child);
}

TEST(several_at_once)
{
	pid_t child = target();
	int pidfd = CHECK_OK(sys_pidfd_open(child, 0));
	JOIN(SPAWN({
		ino_t cgroup = ns_number(0, "cgroup");
		CHECK_OK(setns(pidfd, CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWNS));
		CHECK_EQ(ns_number(0, "uts"), ns_number(child, "uts"));
		CHECK_EQ(ns_number(0, "ipc"), ns_number(child, "ipc"));
		CHECK_EQ(ns_number(0, "net"), ns_number(child, "net"));
		CHECK_EQ(ns_number(0, "mnt"), ns_number(child, "mnt"));
		CHECK_EQ(ns_number(0, "cgroup"), cgroup);
	}));
	end(child);
}

TEST(all_or_nothing)
{
	pid_t child = target();
	int pidfd = CHECK_OK(sys_pidfd_open(child, 0));
	JOIN(SPAWN({
		ino_t uts = ns_number(0, "uts");
		ino_t net = ns_number(0, "net");
		/* The user namespace is our own: EINVAL, and the others stay. */
		CHECK_ERR(setns(pidfd, CLONE_NEWUTS | CLONE_NEWNET | CLONE_NEWUSER), EINVAL);
		CHECK_EQ(ns_number(0, "uts"), uts);
		CHECK_EQ(ns_number(0, "net"), net);
		/* No CAP_SYS_CHROOT for the mount namespace. */
		drop_effective(1ULL << 18);
		CHECK_ERR(setns(pidfd, CLONE_NEWUTS | CLONE_NEWNS | CLONE_NEWNET), EPERM);
		CHECK_EQ(ns_number(0, "uts"), uts);
		CHECK_EQ(ns_number(0, "net"), net);
		char name[64];
		CHECK_OK(gethostname(name, sizeof name));
		CHECK(strcmp(name, "target"));
		CHECK_OK(setns(pidfd, CLONE_NEWUTS | CLONE_NEWNET));
	}));
	end(child);
}

TEST(wrong_arguments)
{
	int fd = CHECK_OK(ns_open(0, "uts")), self = CHECK_OK(sys_pidfd_open(getpid(), 0));
	CHECK_ERR(setns(-1, 0), EBADF);
	CHECK_ERR(setns(1000, CLONE_NEWUTS), EBADF);
	CHECK_ERR(setns(CHECK_OK(open("/proc/self/status", O_RDONLY)), 0), EINVAL);
	CHECK_ERR(setns(CHECK_OK(open(".", O_RDONLY)), CLONE_NEWUTS), EINVAL);
	CHECK_ERR(setns(CHECK_OK(eventfd(0, 0)), CLONE_NEWUTS), EINVAL);
	CHECK_ERR(setns(fd, CLONE_NEWNET), EINVAL);
	CHECK_ERR(setns(fd, CLONE_NEWUTS | CLONE_NEWNET), EINVAL);
	CHECK_ERR(setns(fd, CLONE_VM), EINVAL);
	CHECK_ERR(setns(fd, -1), EINVAL);
	CHECK_ERR(setns(self, 0), EINVAL);
	CHECK_ERR(setns(self, CLONE_VM), EINVAL);
	CHECK_ERR(setns(self, CLONE_NEWUTS | CLONE_FILES), EINVAL);
	CHECK_ERR(setns(self, CLONE_NEWUSER), EINVAL);
	CHECK_OK(setns(self, CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWPID));
}

TEST(a_pidfd_of_a_directory)
{
	/* /proc/PID as an open directory is not a pidfd for setns. */
	CHECK_ERR(setns(CHECK_OK(open("/proc/self", O_RDONLY | O_DIRECTORY)), CLONE_NEWUTS), EINVAL);
}

TEST(mount_namespaces_move_root_and_working_directory)
{
	pid_t child = target();
	int fd = CHECK_OK(ns_open(child, "mnt"));
	JOIN(SPAWN({
		char cwd[256];
		CHECK_OK(setns(fd, CLONE_NEWNS));
		CHECK(getcwd(cwd, sizeof cwd) != NULL);
		CHECK(!strcmp(cwd, "/"));
	}));
	pid_t sharer = CHECK_OK(sys_clone(CLONE_FS | SIGCHLD, NULL, NULL));
	if (sharer == 0) {
		CHECK_ERR(setns(fd, CLONE_NEWNS), EINVAL);
		_exit(0);
	}
	JOIN(sharer);
	end(child);
}

TEST(privilege)
{
	pid_t child = target();
	int pidfd = CHECK_OK(sys_pidfd_open(child, 0)), uts = CHECK_OK(ns_open(child, "uts"));
	JOIN(SPAWN({
		drop_effective(1ULL << 21);
		CHECK_ERR(setns(uts, CLONE_NEWUTS), EPERM);
		CHECK_ERR(setns(pidfd, CLONE_NEWUTS), EPERM);
	}));
	JOIN(SPAWN({
		become(1000);
		CHECK_ERR(setns(uts, CLONE_NEWUTS), EPERM);
		CHECK_ERR(setns(pidfd, CLONE_NEWUTS), EPERM);
		CHECK_ERR(setns(pidfd, CLONE_NEWUSER), EPERM);
	}));
	end(child);
}

TEST(user_and_others_in_the_right_order)
{
	s = sync_new();
	pid_t child = SPAWN({
		become(1000);
		CHECK_OK(unshare(CLONE_NEWUSER | CLONE_NEWUTS | CLONE_NEWNS | CLONE_NEWNET));
		ready_and_hold(&s);
	});
	until_ready(&s);
	int pidfd = CHECK_OK(sys_pidfd_open(child, 0));
	JOIN(SPAWN({
		become(1000);
		CHECK_ERR(setns(pidfd, CLONE_NEWUTS), EPERM);
		/* The pid namespace is that of the initial user namespace: refused, and nothing is entered. */
		ino_t uts = ns_number(0, "uts");
		CHECK_ERR(setns(pidfd, CLONE_NEWUSER | CLONE_NEWUTS | CLONE_NEWPID), EPERM);
		CHECK_EQ(ns_number(0, "uts"), uts);
		CHECK_EQ(caps_now().effective, 0);
		CHECK_OK(setns(pidfd, CLONE_NEWUSER | CLONE_NEWUTS | CLONE_NEWNS | CLONE_NEWNET));
		CHECK_EQ(caps_now().effective, ALL_CAPS);
		CHECK_OK(sethostname("in", 2));
	}));
	end(child);
}
