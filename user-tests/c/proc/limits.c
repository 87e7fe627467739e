/* namespaces(7), "The /proc/sys/user directory": limits per user and per level, for every kind. */
#include "ns.h"

static const struct { const char *name; int flag; } kinds[] = {
	{ "cgroup", CLONE_NEWCGROUP }, { "ipc", CLONE_NEWIPC }, { "mnt", CLONE_NEWNS },
	{ "net", CLONE_NEWNET }, { "pid", CLONE_NEWPID }, { "time", CLONE_NEWTIME },
	{ "uts", CLONE_NEWUTS }, { "user", CLONE_NEWUSER },
};
#define KINDS ((int)(sizeof kinds / sizeof *kinds))

static const char *limit_of(int kind)
{
	static char path[64];
	snprintf(path, sizeof path, "/proc/sys/user/max_%s_namespaces", kinds[kind].name);
	return path;
}

TEST(each_kind_is_limited)
{
	for (int i = 0; i < KINDS; i++)
		JOIN(SPAWN({
			enter_user_ns();
			CHECK_OK(kt_write_file(limit_of(i), "0"));
			CHECK_EQ(kt_field(limit_of(i), ""), 0);
			CHECK_ERR(unshare(kinds[i].flag), ENOSPC);
			/* Together with others that could be made: nothing is made. */
			ino_t uts = ns_number(0, "uts");
			int others = kinds[i].flag == CLONE_NEWUTS ? CLONE_NEWIPC : CLONE_NEWUTS;
			CHECK_ERR(unshare(kinds[i].flag | others), ENOSPC);
			CHECK_EQ(ns_number(0, "uts"), uts);
			CHECK_OK(kt_write_file(limit_of(i), "1"));
			CHECK_OK(unshare(kinds[i].flag));
		}));
}

TEST(values)
{
	JOIN(SPAWN({
		enter_user_ns();
		CHECK_EQ(kt_field("/proc/sys/user/max_uts_namespaces", ""), 2147483647);
		CHECK_ERR(kt_write_file("/proc/sys/user/max_uts_namespaces", "-1"), EINVAL);
		CHECK_ERR(kt_write_file("/proc/sys/user/max_uts_namespaces", "2147483648"), EINVAL);
		CHECK_ERR(kt_write_file("/proc/sys/user/max_uts_namespaces", "many"), EINVAL);
		CHECK_OK(kt_write_file("/proc/sys/user/max_uts_namespaces", "7\n"));
		CHECK_EQ(kt_field("/proc/sys/user/max_uts_namespaces", ""), 7);
		CHECK_OK(close(CHECK_OK(open("/proc/sys/user/max_inotify_instances", O_RDWR))));
		CHECK_OK(close(CHECK_OK(open("/proc/sys/user/max_inotify_watches", O_RDWR))));
	}));
	/* Each user namespace has its own. */
	CHECK(kt_field("/proc/sys/user/max_uts_namespaces", "") != 7);
}

TEST(who_may_write)
{
	JOIN(SPAWN({
		become(1000);
		CHECK_ERR(open("/proc/sys/user/max_uts_namespaces", O_WRONLY), EACCES);
		CHECK_OK(close(CHECK_OK(open("/proc/sys/user/max_uts_namespaces", O_RDONLY))));
		enter_user_ns();
		CHECK_OK(close(CHECK_OK(open("/proc/sys/user/max_uts_namespaces", O_WRONLY))));
		/* CAP_SYS_RESOURCE is what counts. */
		drop_effective(1ULL << 24);
		CHECK_ERR(open("/proc/sys/user/max_uts_namespaces", O_WRONLY), EACCES);
	}));
}

TEST(counts_are_per_user)
{
	struct sync s = sync_new();
	pid_t child = SPAWN({
		CHECK_OK(unshare(CLONE_NEWUSER));
		ready_and_hold(&s);
		CHECK_OK(kt_write_file("/proc/sys/user/max_uts_namespaces", "1"));
		JOIN(SPAWN({
			CHECK_OK(unshare(CLONE_NEWUTS));
			CHECK_ERR(unshare(CLONE_NEWUTS), ENOSPC);
		}));
		/* Another user has its own count. */
		JOIN(SPAWN({
			CHECK_OK(prctl(PR_SET_SECUREBITS, 4));
			CHECK_OK(setresuid(5, 5, 5));
			CHECK_OK(unshare(CLONE_NEWUTS));
			CHECK_ERR(unshare(CLONE_NEWUTS), ENOSPC);
		}));
	});
	until_ready(&s);
	map_ids(child, "0 0 100", "0 0 100");
	let_go(&s);
	JOIN(child);
}

TEST(failures_leave_no_count)
{
	/* A clone or unshare that fails gives back what it had counted. */
	JOIN(SPAWN({
		enter_user_ns();
		CHECK_OK(kt_write_file("/proc/sys/user/max_uts_namespaces", "3"));
		CHECK_OK(kt_write_file("/proc/sys/user/max_net_namespaces", "0"));
		for (int i = 0; i < 10; i++) {
			CHECK_ERR(unshare(CLONE_NEWUTS | CLONE_NEWNET), ENOSPC);
			CHECK_ERR(sys_clone(CLONE_NEWUTS | CLONE_NEWNET | SIGCHLD, NULL, NULL), ENOSPC);
		}
		CHECK_OK(unshare(CLONE_NEWUTS));
	}));
}

TEST_FOR(they_come_back, 110)
{
	for (int i = 0; i < KINDS; i++)
		JOIN(SPAWN({
			enter_user_ns();
			CHECK_OK(kt_write_file(limit_of(i), "2"));
			for (int n = 0; n < 20; n++) {
				pid_t child = -1;
				if (kinds[i].flag == CLONE_NEWTIME) {
					child = SPAWN(CHECK_OK(unshare(CLONE_NEWTIME)));
				} else {
					/* The last one's count may be given back later: on Linux by a worker. */
					WAIT_SECONDS(100, (child = sys_clone(kinds[i].flag | SIGCHLD, NULL, NULL)) >= 0 ||
							  errno != ENOSPC);
					if (child == 0)
						_exit(0);
				}
				JOIN(child);
			}
		}));
}
