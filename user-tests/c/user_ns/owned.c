/* user_namespaces(7), "Interaction of user namespaces and other types of namespaces": a capability
 * counts towards what the namespace owns, and nothing else. */
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/timex.h>

#include "ns.h"

TEST(the_owner_of_a_namespace_is_where_it_was_made)
{
	JOIN(SPAWN({
		enter_user_ns();
		static const struct { const char *name; int flag; } kinds[] = {
			{ "uts", CLONE_NEWUTS }, { "ipc", CLONE_NEWIPC }, { "net", CLONE_NEWNET },
			{ "mnt", CLONE_NEWNS }, { "cgroup", CLONE_NEWCGROUP },
		};
		struct stat st;
		for (int i = 0; i < 5; i++) {
			int fd = CHECK_OK(ns_open(0, kinds[i].name));
			CHECK_ERR(ioctl(fd, NS_GET_USERNS), EPERM);
			CHECK_OK(unshare(kinds[i].flag));
			fd = CHECK_OK(ns_open(0, kinds[i].name));
			int owner = CHECK_OK(ioctl(fd, NS_GET_USERNS));
			CHECK_OK(fstat(owner, &st));
			CHECK_EQ(st.st_ino, ns_number(0, "user"));
			close(owner);
			close(fd);
		}
	}));
}

TEST(each_kind_asks_for_sys_admin)
{
	static const int flags[] = { CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWNS,
				     CLONE_NEWCGROUP, CLONE_NEWPID, CLONE_NEWTIME };
	JOIN(SPAWN({
		drop_effective(1ULL << 21);
		for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
			CHECK_ERR(unshare(flags[i]), EPERM);
			if (flags[i] != CLONE_NEWTIME)
				CHECK_ERR(sys_clone(flags[i] | SIGCHLD, NULL, NULL), EPERM);
		}
		CHECK_OK(unshare(CLONE_NEWUSER));
	}));
	JOIN(SPAWN({
		become(1000);
		enter_user_ns();
		for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
			CHECK_OK(unshare(flags[i]));
	}));
}

TEST(setns_asks_for_sys_admin_on_both_sides)
{
	struct sync s = sync_new();
	pid_t child = SPAWN({
		enter_user_ns();
		CHECK_OK(unshare(CLONE_NEWUTS));
		ready_and_hold(&s);
	});
	until_ready(&s);
	int uts = CHECK_OK(ns_open(child, "uts"));
	/* Over the owner by being root of the parent; over one's own namespace by capability. */
	JOIN(SPAWN(CHECK_OK(setns(uts, CLONE_NEWUTS))));
	JOIN(SPAWN({
		drop_effective(1ULL << 21);
		/* The euid made that user namespace, which is all capabilities there, but none here. */
		CHECK_ERR(setns(uts, CLONE_NEWUTS), EPERM);
	}));
	JOIN(SPAWN({
		enter_user_ns();
		CHECK_ERR(setns(uts, CLONE_NEWUTS), EPERM);
	}));
	let_go(&s);
	JOIN(child);
}

TEST(names)
{
	JOIN(SPAWN({
		enter_user_ns();
		CHECK_ERR(sethostname("x", 1), EPERM);
		CHECK_ERR(setdomainname("x", 1), EPERM);
		CHECK_OK(unshare(CLONE_NEWUTS));
		CHECK_OK(sethostname("x", 1));
		CHECK_OK(setdomainname("x", 1));
		/* Root of the level below is nobody to this one. */
		enter_user_ns();
		CHECK_ERR(sethostname("y", 1), EPERM);
	}));
}

TEST(processes)
{
	struct sync s = sync_new();
	pid_t outside = SPAWN(hold(&s));
	JOIN(SPAWN({
		become(1000);
		enter_user_ns();
		CHECK_ERR(kill(outside, SIGTERM), EPERM);
		CHECK_ERR(setpriority(PRIO_PROCESS, outside, 5), EPERM);
		CHECK_ERR(syscall(SYS_prlimit64, outside, RLIMIT_NOFILE, NULL, &(struct rlimit){ 0, 0 }), EPERM);
		CHECK_ERR(sched_setaffinity(outside, sizeof(cpu_set_t), &(cpu_set_t){ { 1 } }), EPERM);
		CHECK_ERR(open(proc_path(outside, "environ"), O_RDONLY), EACCES);
		char link[64];
		CHECK_ERR(readlink(proc_path(outside, "ns/uts"), link, sizeof link), EACCES);
		CHECK_ERR(ns_open(outside, "uts"), EACCES);
		int fd = CHECK_OK(sys_pidfd_open(outside, 0));
		CHECK_ERR(setns(fd, CLONE_NEWUTS), EPERM);
		CHECK_ERR(sys_pidfd_getfd(fd, 0, 0), EPERM);
	}));
	let_go(&s);
	JOIN(outside);
	/* Downwards everything is allowed to the maker. */
	pid_t inside = SPAWN({
		become(1000);
		enter_user_ns();
		ready_and_hold(&s);
	});
	until_ready(&s);
	JOIN(SPAWN({
		CHECK_OK(kill(inside, 0));
		CHECK_OK(close(CHECK_OK(ns_open(inside, "uts"))));
		CHECK_OK(close(CHECK_OK(open(proc_path(inside, "environ"), O_RDONLY))));
		become(1001);
		CHECK_ERR(kill(inside, 0), EPERM);
		CHECK_ERR(ns_open(inside, "uts"), EACCES);
	}));
	let_go(&s);
	JOIN(inside);
}

TEST(things_of_the_whole_machine)
{
	JOIN(SPAWN({
		CHECK_OK(unshare(CLONE_NEWUSER | CLONE_NEWUTS | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC));
		CHECK_OK(proc_write(0, "setgroups", "deny"));
		map_ids(0, "0 0 1", "0 0 1");
		struct timespec t = { 1, 1 };
		CHECK_ERR(clock_settime(CLOCK_REALTIME, &t), EPERM);
		struct timex tx = { .modes = ADJ_FREQUENCY };
		CHECK_ERR(adjtimex(&tx), EPERM);
		CHECK_ERR(mknod("dev", S_IFCHR | 0600, 1 << 8 | 3), EPERM);
		CHECK_ERR(setpriority(PRIO_PROCESS, 0, -5), EACCES);
		CHECK_ERR(syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &(int){ 1 }), EPERM);
		struct rlimit r;
		CHECK_OK(getrlimit(RLIMIT_NOFILE, &r));
		CHECK_OK(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 10, r.rlim_max }));
		CHECK_ERR(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ 10, r.rlim_max + 1 }), EPERM);
		CHECK_ERR(syscall(SYS_syslog, 5, NULL, 0), EPERM);
		CHECK_ERR(syscall(SYS_reboot, 0xfee1dead, 672274793, 0, NULL), EPERM);
	}));
}

TEST(settings_are_for_the_real_root)
{
	JOIN(SPAWN({
		become(1000);
		enter_user_ns();
		CHECK_ERR(open("/proc/sys/kernel/pid_max", O_WRONLY), EACCES);
		CHECK_ERR(open("/proc/sys/kernel/hostname", O_WRONLY), EACCES);
		CHECK_OK(close(CHECK_OK(open("/proc/sys/user/max_uts_namespaces", O_RDWR))));
	}));
}

TEST(chroot_needs_a_capability_in_the_own_namespace)
{
	JOIN(SPAWN({
		become(1000);
		CHECK_ERR(chroot("/"), EPERM);
		CHECK_OK(unshare(CLONE_NEWUSER));
		CHECK_OK(chroot("/"));
	}));
}

TEST(reboot_belongs_to_the_owner_of_the_pid_namespace)
{
	JOIN(SPAWN({
		become(1000);
		pid_t child = SPAWN_IN(CLONE_NEWUSER | CLONE_NEWPID, {
			syscall(SYS_reboot, 0xfee1dead, 672274793, 0x01234567, NULL);
			_exit(9);
		});
		CHECK_EQ(WTERMSIG(kt_wait(child)), SIGHUP);
		child = SPAWN_IN(CLONE_NEWUSER | CLONE_NEWPID, {
			drop_effective(1ULL << 22);
			CHECK_ERR(syscall(SYS_reboot, 0xfee1dead, 672274793, 0x01234567, NULL), EPERM);
		});
		JOIN(child);
	}));
}

TEST(dumpable_and_ptrace_access)
{
	/* After unshare the caller itself may still look at its files. */
	JOIN(SPAWN({
		become(1000);
		CHECK_OK(unshare(CLONE_NEWUSER));
		CHECK_EQ(prctl(PR_GET_DUMPABLE), 1);
		CHECK_OK(close(CHECK_OK(open("/proc/self/environ", O_RDONLY))));
		CHECK(proc_text(0, "ns/user") == NULL || 1);
	}));
}

TEST(capget_and_capset_across)
{
	struct sync s = sync_new();
	pid_t child = SPAWN({
		become(1000);
		CHECK_OK(unshare(CLONE_NEWUSER));
		ready_and_hold(&s);
	});
	until_ready(&s);
	struct caps c;
	CHECK_OK(caps_get(child, &c));
	CHECK_EQ(c.effective, ALL_CAPS);
	let_go(&s);
	JOIN(child);
}
