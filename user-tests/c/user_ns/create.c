/* user_namespaces(7), clone(2), unshare(2), setns(2): making and entering user namespaces. */
#include <pthread.h>
#include <sys/mman.h>

#include "ns.h"

static int all_caps(void)
{
	struct caps c = caps_now();
	return c.effective == ALL_CAPS && c.permitted == ALL_CAPS && c.inheritable == 0;
}

TEST(the_maker_has_all_capabilities_in_it)
{
	JOIN(SPAWN({
		become(1000);
		CHECK_EQ(caps_now().effective, 0);
		CHECK_OK(unshare(CLONE_NEWUSER));
		CHECK(all_caps());
		CHECK_EQ(kt_field("/proc/self/status", "CapAmb:"), 0);
		CHECK_EQ(prctl(PR_GET_SECUREBITS), 0);
		CHECK_EQ(prctl(PR_GET_KEEPCAPS), 0);
	}));
	JOIN(SPAWN({
		become(1000);
		JOIN(SPAWN_IN(CLONE_NEWUSER, CHECK(all_caps())));
		CHECK_EQ(caps_now().effective, 0);
	}));
}

TEST(sets_are_started_afresh)
{
	JOIN(SPAWN({
		struct caps c = { ALL_CAPS, ALL_CAPS, 1 };
		CHECK_OK(caps_set(&c));
		CHECK_OK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 0, 0, 0));
		CHECK_OK(prctl(PR_CAPBSET_DROP, 5));
		CHECK_OK(prctl(PR_SET_SECUREBITS, 1 << 2));
		CHECK_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
		CHECK_OK(unshare(CLONE_NEWUSER));
		CHECK(all_caps());
		CHECK_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 0, 0, 0), 0);
		CHECK_EQ(prctl(PR_CAPBSET_READ, 5), 1);
		CHECK_EQ(prctl(PR_GET_SECUREBITS), 0);
		CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
	}));
}

TEST(none_in_the_parent)
{
	JOIN(SPAWN({
		CHECK_OK(unshare(CLONE_NEWUSER));
		CHECK_ERR(sethostname("x", 1), EPERM);
		CHECK_ERR(unshare(CLONE_NEWUSER | 0x10), EINVAL);
		CHECK_ERR(mount("none", "/tmp", "tmpfs", 0, NULL), EPERM);
		CHECK_ERR(syscall(SYS_settimeofday, &(long[2]){ 1, 1 }, NULL), EPERM);
		CHECK_ERR(chroot("/tmp/nothing"), ENOENT);
		CHECK_OK(chroot("/"));
	}));
}

TEST(execve_without_a_map_loses_all)
{
	JOIN(SPAWN({
		CHECK_OK(unshare(CLONE_NEWUSER));
		execl("/proc/self/exe", "role:no_caps", NULL);
		_exit(9);
	}));
	JOIN(SPAWN({
		enter_user_ns();
		execl("/proc/self/exe", "role:caps", NULL);
		_exit(9);
	}));
}

ROLE(no_caps)
{
	CHECK_EQ(caps_now().effective, 0);
	CHECK_EQ(caps_now().permitted, 0);
	return 0;
}

ROLE(caps)
{
	CHECK(all_caps());
	return 0;
}

TEST(combined_it_comes_first)
{
	JOIN(SPAWN({
		become(1000);
		CHECK_ERR(unshare(CLONE_NEWUTS), EPERM);
		CHECK_OK(unshare(CLONE_NEWUTS | CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWIPC |
				 CLONE_NEWNET | CLONE_NEWCGROUP | CLONE_NEWPID));
		CHECK_OK(sethostname("mine", 4));
		int uts = CHECK_OK(ns_open(0, "uts"));
		int owner = CHECK_OK(ioctl(uts, NS_GET_USERNS));
		struct stat st;
		CHECK_OK(fstat(owner, &st));
		CHECK_EQ(st.st_ino, ns_number(0, "user"));
	}));
	JOIN(SPAWN({
		become(1000);
		JOIN(SPAWN_IN(CLONE_NEWPID | CLONE_NEWUSER | CLONE_NEWUTS, {
			CHECK_EQ(getpid(), 1);
			CHECK_OK(sethostname("mine", 4));
		}));
		CHECK_ERR(sys_clone(CLONE_NEWPID | SIGCHLD, NULL, NULL), EPERM);
	}));
}

TEST(levels_are_limited)
{
	int end[2], levels = 0;
	CHECK_OK(pipe(end));
	pid_t child = SPAWN({
		for (int made = 0; ; made++) {
			if (unshare(CLONE_NEWUSER) < 0) {
				CHECK_EQ(errno, ENOSPC);
				CHECK_EQ(write(end[1], &made, sizeof made), sizeof made);
				break;
			}
			CHECK_OK(proc_write(0, "uid_map", "0 0 1"));
			CHECK_OK(proc_write(0, "setgroups", "deny"));
			CHECK_OK(proc_write(0, "gid_map", "0 0 1"));
		}
		CHECK_ERR(sys_clone(CLONE_NEWUSER | SIGCHLD, NULL, NULL), ENOSPC);
	});
	JOIN(child);
	CHECK_EQ(read(end[0], &levels, sizeof levels), sizeof levels);
	if (!kt_native())
		CHECK_EQ(levels, 33);
}

TEST(its_maker_must_be_mapped)
{
	JOIN(SPAWN({
		CHECK_OK(unshare(CLONE_NEWUSER));
		CHECK_ERR(unshare(CLONE_NEWUSER), EPERM);
		CHECK_ERR(sys_clone(CLONE_NEWUSER | SIGCHLD, NULL, NULL), EPERM);
		CHECK_OK(proc_write(0, "uid_map", "0 0 1"));
		CHECK_ERR(unshare(CLONE_NEWUSER), EPERM);
		CHECK_OK(proc_write(0, "setgroups", "deny"));
		CHECK_OK(proc_write(0, "gid_map", "0 0 1"));
		CHECK_OK(unshare(CLONE_NEWUSER));
	}));
}

TEST(not_in_a_chroot)
{
	JOIN(SPAWN({
		CHECK_OK(mkdir("root", 0755));
		CHECK_OK(chroot("root"));
		CHECK_ERR(unshare(CLONE_NEWUSER), EPERM);
		CHECK_ERR(sys_clone(CLONE_NEWUSER | SIGCHLD, NULL, NULL), EPERM);
		CHECK_OK(unshare(CLONE_NEWUTS));
	}));
}

static void *wait_for_ever(void *unused)
{
	pause();
	return unused;
}

TEST(not_by_a_thread)
{
	JOIN(SPAWN({
		pthread_t t;
		int own = CHECK_OK(ns_open(0, "user"));
		CHECK_EQ(pthread_create(&t, NULL, wait_for_ever, NULL), 0);
		CHECK_ERR(unshare(CLONE_NEWUSER), EINVAL);
		CHECK_ERR(unshare(CLONE_THREAD), EINVAL);
		CHECK_ERR(unshare(CLONE_SIGHAND), EINVAL);
		CHECK_ERR(unshare(CLONE_VM), EINVAL);
		CHECK_OK(unshare(CLONE_FS));
		/* It is the own one too, but that is asked first. */
		CHECK_ERR(setns(own, CLONE_NEWUSER), EINVAL);
		/* A process made by it is another matter. */
		JOIN(SPAWN_IN(CLONE_NEWUSER, CHECK(all_caps())));
	}));
	CHECK_ERR(sys_clone(CLONE_NEWUSER | CLONE_THREAD | CLONE_VM | CLONE_SIGHAND, NULL, NULL), EINVAL);
	CHECK_ERR(sys_clone(CLONE_NEWUSER | CLONE_FS | SIGCHLD, NULL, NULL), EINVAL);
	CHECK_ERR(sys_clone(CLONE_NEWUSER | CLONE_NEWNS | CLONE_FS | SIGCHLD, NULL, NULL), EINVAL);
	CHECK_ERR(sys_clone(CLONE_NEWUSER | CLONE_PARENT | CLONE_THREAD | SIGCHLD, NULL, NULL), EINVAL);
}

static ino_t shared_number;

static int in_shared_memory(void *unused)
{
	(void)unused;
	CHECK(all_caps());
	shared_number = ns_number(0, "user");
	return 0;
}

TEST(a_child_that_shares_memory_gets_one_too)
{
	static char stack[65536] __attribute__((aligned(16)));
	pid_t child = CHECK_OK(clone(in_shared_memory, stack + sizeof stack,
				     CLONE_VM | CLONE_NEWUSER | SIGCHLD, NULL));
	JOIN(child);
	CHECK(shared_number != 0);
	CHECK(shared_number != ns_number(0, "user"));
	child = CHECK_OK(clone(in_shared_memory, stack + sizeof stack,
			       CLONE_VM | CLONE_VFORK | CLONE_NEWUSER | SIGCHLD, NULL));
	JOIN(child);
	CHECK(shared_number != ns_number(0, "user"));
}

TEST(a_child_with_the_callers_parent_gets_one_too)
{
	JOIN(SPAWN({
		pid_t child = CHECK_OK(sys_clone(CLONE_NEWUSER | CLONE_PARENT | SIGCHLD, NULL, NULL));
		if (child == 0)
			_exit(all_caps() ? 0 : 1);
		CHECK_ERR(waitpid(child, NULL, 0), ECHILD);
	}));
	JOIN(-1);
}

TEST(entering)
{
	struct sync s = sync_new();
	pid_t child = SPAWN({
		become(1000);
		CHECK_OK(unshare(CLONE_NEWUSER));
		ready_and_hold(&s);
	});
	until_ready(&s);
	map_ids(child, "0 1000 1\n7 1001 1", "0 1000 1\n7 1001 1");
	int fd = CHECK_OK(ns_open(child, "user"));
	int own = CHECK_OK(ns_open(0, "user"));
	CHECK_ERR(setns(own, CLONE_NEWUSER), EINVAL);
	CHECK_ERR(setns(fd, CLONE_NEWUTS), EINVAL);
	/* Root of the parent namespace: by capability. */
	JOIN(SPAWN({
		CHECK_OK(setns(fd, CLONE_NEWUSER));
		CHECK(all_caps());
		CHECK_EQ(getuid(), OVERFLOW_ID);
		CHECK_OK(setresuid(0, 0, 0));
		CHECK_EQ(ns_number(0, "user"), ns_number(child, "user"));
		/* There is no way back. */
		CHECK_ERR(setns(own, CLONE_NEWUSER), EPERM);
		CHECK_ERR(setns(fd, CLONE_NEWUSER), EINVAL);
	}));
	/* The owner, from the parent namespace. */
	JOIN(SPAWN({
		become(1000);
		CHECK_OK(setns(fd, 0));
		CHECK_EQ(getuid(), 0);
		CHECK(all_caps());
	}));
	/* Another user, mapped there or not. */
	JOIN(SPAWN({
		become(1001);
		CHECK_ERR(setns(fd, CLONE_NEWUSER), EPERM);
	}));
	/* Shared root and working directory. */
	pid_t sharer = CHECK_OK(sys_clone(CLONE_FS | SIGCHLD, NULL, NULL));
	if (sharer == 0) {
		CHECK_ERR(setns(fd, CLONE_NEWUSER), EINVAL);
		CHECK_OK(unshare(CLONE_FS));
		CHECK_OK(setns(fd, CLONE_NEWUSER));
		_exit(0);
	}
	JOIN(sharer);
	let_go(&s);
	JOIN(child);
	/* It lives on in the descriptor. */
	JOIN(SPAWN(CHECK_OK(setns(fd, CLONE_NEWUSER))));
}

TEST(entering_with_others_in_one_call)
{
	struct sync s = sync_new();
	pid_t child = SPAWN({
		become(1000);
		CHECK_OK(unshare(CLONE_NEWUSER | CLONE_NEWUTS | CLONE_NEWIPC));
		CHECK_OK(sethostname("inner", 5));
		ready_and_hold(&s);
	});
	until_ready(&s);
	int fd = CHECK_OK(sys_pidfd_open(child, 0));
	JOIN(SPAWN({
		become(1000);
		/* Its capabilities over the others come with the user namespace only. */
		CHECK_OK(setns(fd, CLONE_NEWUSER | CLONE_NEWUTS | CLONE_NEWIPC));
		CHECK_EQ(ns_number(0, "uts"), ns_number(child, "uts"));
		CHECK_EQ(ns_number(0, "ipc"), ns_number(child, "ipc"));
		CHECK_EQ(ns_number(0, "user"), ns_number(child, "user"));
	}));
	let_go(&s);
	JOIN(child);
}

TEST(namespaces_of_the_own_user_namespace_only)
{
	int outer = CHECK_OK(ns_open(0, "uts"));
	JOIN(SPAWN({
		enter_user_ns();
		CHECK_ERR(setns(outer, CLONE_NEWUTS), EPERM);
		CHECK_OK(unshare(CLONE_NEWUTS));
		CHECK_ERR(setns(outer, CLONE_NEWUTS), EPERM);
	}));
}

TEST(unprivileged_use_can_be_turned_off)
{
	/* Debian's own switch. */
	CHECK_EQ(kt_field("/proc/sys/kernel/unprivileged_userns_clone", ""), 1);
	if (kt_native())
		SKIP("a setting of the whole machine");
	CHECK_OK(kt_write_file("/proc/sys/kernel/unprivileged_userns_clone", "0"));
	pid_t child = SPAWN({
		JOIN(SPAWN(CHECK_OK(unshare(CLONE_NEWUSER))));
		become(1000);
		CHECK_ERR(unshare(CLONE_NEWUSER), EPERM);
		CHECK_ERR(sys_clone(CLONE_NEWUSER | SIGCHLD, NULL, NULL), EPERM);
	});
	int status = kt_wait(child);
	CHECK_OK(kt_write_file("/proc/sys/kernel/unprivileged_userns_clone", "1"));
	CHECK_EQ(status, 0);
}

/* Namespaces of the dead may be counted a little longer. */
static int fork_one(void)
{
	pid_t child = sys_clone(CLONE_NEWUSER | SIGCHLD, NULL, NULL);
	if (child == 0)
		_exit(0);
	if (child > 0)
		JOIN(child);
	return child > 0;
}

TEST(limits_per_user_and_level)
{
	JOIN(SPAWN({
		enter_user_ns();
		CHECK_OK(kt_write_file("/proc/sys/user/max_user_namespaces", "2"));
		CHECK_EQ(kt_field("/proc/sys/user/max_user_namespaces", ""), 2);
		struct sync s = sync_new();
		pid_t one = SPAWN_IN(CLONE_NEWUSER, hold(&s));
		pid_t two = SPAWN_IN(CLONE_NEWUSER, hold(&s));
		CHECK_ERR(sys_clone(CLONE_NEWUSER | SIGCHLD, NULL, NULL), ENOSPC);
		CHECK_ERR(unshare(CLONE_NEWUSER), ENOSPC);
		let_go(&s);
		let_go(&s);
		JOIN(one);
		JOIN(two);
		WAIT_FOR(fork_one());
		/* What is made further down counts here as well. */
		JOIN(SPAWN({
			WAIT_FOR(unshare(CLONE_NEWUSER) == 0);
			CHECK_OK(proc_write(0, "setgroups", "deny"));
			map_ids(0, "0 0 1", "0 0 1");
			CHECK_OK(kt_write_file("/proc/sys/user/max_user_namespaces", "100"));
			WAIT_FOR(unshare(CLONE_NEWUSER) == 0);
			CHECK_OK(proc_write(0, "setgroups", "deny"));
			map_ids(0, "0 0 1", "0 0 1");
			CHECK_ERR(unshare(CLONE_NEWUSER), ENOSPC);
		}));
		CHECK_OK(kt_write_file("/proc/sys/user/max_user_namespaces", "0"));
		CHECK_ERR(unshare(CLONE_NEWUSER), ENOSPC);
	}));
}
