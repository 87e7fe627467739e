/* prctl(2). */
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>

#include "proc.h"

TEST(name)
{
	char name[32] = "", text[64];
	CHECK_OK(prctl(PR_SET_NAME, "twenty characters..."));
	CHECK_OK(prctl(PR_GET_NAME, name));
	CHECK(!strcmp(name, "twenty characte"));
	CHECK(kt_read_file("/proc/self/comm", text, sizeof text) > 0);
	CHECK(!strcmp(text, "twenty characte\n"));
	CHECK_OK(kt_write_file("/proc/self/comm", "written"));
	CHECK_OK(prctl(PR_GET_NAME, name));
	CHECK(!strcmp(name, "written"));
	JOIN(SPAWN({
		char mine[32];
		CHECK_OK(prctl(PR_GET_NAME, mine));
		CHECK(!strcmp(mine, "written"));
	}));
	CHECK_ERR(prctl(PR_SET_NAME, 8), EFAULT);
	CHECK_ERR(prctl(PR_GET_NAME, 8), EFAULT);
}

TEST(pdeathsig)
{
	int sig = 1, end[2];
	char c;
	CHECK_OK(prctl(PR_GET_PDEATHSIG, &sig));
	CHECK_EQ(sig, 0);
	CHECK_ERR(prctl(PR_SET_PDEATHSIG, 65), EINVAL);
	CHECK_ERR(prctl(PR_SET_PDEATHSIG, -1), EINVAL);
	CHECK_OK(prctl(PR_SET_PDEATHSIG, SIGUSR1));
	CHECK_OK(prctl(PR_GET_PDEATHSIG, &sig));
	CHECK_EQ(sig, SIGUSR1);
	JOIN(SPAWN({
		int inherited = 1;
		CHECK_OK(prctl(PR_GET_PDEATHSIG, &inherited));
		CHECK_EQ(inherited, 0);
	}));
	CHECK_OK(pipe(end));
	pid_t parent = SPAWN({
		SPAWN({
			CHECK_OK(prctl(PR_SET_PDEATHSIG, SIGKILL));
			CHECK_EQ(write(end[1], "x", 1), 1);
			for (;;)
				pause();
		});
		CHECK_EQ(read(end[0], &c, 1), 1);
	});
	JOIN(parent);
	/* The pipe has no writers once the grandchild is dead. */
	CHECK_OK(close(end[1]));
	CHECK_EQ(read(end[0], &c, 1), 0);
}

TEST(child_subreaper)
{
	int on = 5;
	CHECK_OK(prctl(PR_GET_CHILD_SUBREAPER, &on));
	CHECK_EQ(on, 0);
	CHECK_OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
	CHECK_OK(prctl(PR_GET_CHILD_SUBREAPER, &on));
	CHECK_EQ(on, 1);
	pid_t me = getpid();
	pid_t parent = SPAWN({
		int inherited = 5;
		CHECK_OK(prctl(PR_GET_CHILD_SUBREAPER, &inherited));
		CHECK_EQ(inherited, 0);
		SPAWN({
			WAIT_FOR(getppid() == me);
			_exit(42);
		});
	});
	JOIN(parent);
	int status;
	CHECK(wait(&status) > 0);
	CHECK_EQ(WEXITSTATUS(status), 42);
}

TEST(dumpable)
{
	struct stat st;
	char path[64];
	CHECK_EQ(prctl(PR_GET_DUMPABLE), 1);
	CHECK_OK(prctl(PR_SET_DUMPABLE, 0));
	CHECK_EQ(prctl(PR_GET_DUMPABLE), 0);
	CHECK_ERR(prctl(PR_SET_DUMPABLE, 2), EINVAL);
	CHECK_ERR(prctl(PR_SET_DUMPABLE, 3), EINVAL);
	CHECK_OK(prctl(PR_SET_DUMPABLE, 1));
	JOIN(SPAWN({
		CHECK_OK(setgid(65534));
		CHECK_OK(setuid(65534));
		/* Losing privileges makes a process undumpable; root owns its files. */
		CHECK_EQ(prctl(PR_GET_DUMPABLE), 0);
		snprintf(path, sizeof path, "/proc/%d/environ", getpid());
		CHECK_OK(stat(path, &st));
		CHECK_EQ(st.st_uid, 0);
		CHECK_OK(prctl(PR_SET_DUMPABLE, 1));
		CHECK_OK(stat(path, &st));
		CHECK_EQ(st.st_uid, 65534);
	}));
}

TEST(no_new_privs)
{
	CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
	CHECK_ERR(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), EINVAL);
	CHECK_ERR(prctl(PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0), EINVAL);
	CHECK_ERR(prctl(PR_GET_NO_NEW_PRIVS, 1, 0, 0, 0), EINVAL);
	CHECK_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
	CHECK_EQ(kt_field("/proc/self/status", "NoNewPrivs:"), 1);
	JOIN(SPAWN(CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1)));
}

TEST(keepcaps)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	CHECK_EQ(prctl(PR_GET_KEEPCAPS), 0);
	CHECK_ERR(prctl(PR_SET_KEEPCAPS, 2), EINVAL);
	JOIN(SPAWN({
		CHECK_OK(setresuid(65534, 65534, 65534));
		CHECK_OK(syscall(SYS_capget, &head, data));
		CHECK_EQ(data[0].permitted, 0);
		CHECK_EQ(data[0].effective, 0);
	}));
	JOIN(SPAWN({
		CHECK_OK(prctl(PR_SET_KEEPCAPS, 1));
		CHECK_EQ(prctl(PR_GET_KEEPCAPS), 1);
		CHECK_OK(setresuid(65534, 65534, 65534));
		CHECK_OK(syscall(SYS_capget, &head, data));
		CHECK(data[0].permitted & 1 << CAP_SYS_ADMIN);
		CHECK_EQ(data[0].effective, 0);
		data[0].effective = data[0].permitted;
		CHECK_OK(syscall(SYS_capset, &head, data));
	}));
}

TEST(bounding_set)
{
	CHECK_EQ(prctl(PR_CAPBSET_READ, CAP_NET_RAW), 1);
	CHECK_ERR(prctl(PR_CAPBSET_READ, 99), EINVAL);
	CHECK_ERR(prctl(PR_CAPBSET_DROP, 99), EINVAL);
	CHECK_OK(prctl(PR_CAPBSET_DROP, CAP_NET_RAW));
	CHECK_EQ(prctl(PR_CAPBSET_READ, CAP_NET_RAW), 0);
	CHECK_EQ(prctl(PR_CAPBSET_READ, CAP_SYS_ADMIN), 1);
	JOIN(SPAWN({
		CHECK_OK(setuid(65534));
		CHECK_ERR(prctl(PR_CAPBSET_DROP, CAP_SYS_ADMIN), EPERM);
	}));
}

TEST(ambient_set)
{
	CHECK_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0), 0);
	CHECK_ERR(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0), EPERM);
	CHECK_ERR(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 99, 0, 0), EINVAL);
	CHECK_ERR(prctl(PR_CAP_AMBIENT, 99, 0, 0, 0), EINVAL);
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];
	CHECK_OK(syscall(SYS_capget, &head, data));
	data[0].inheritable |= 1 << CAP_CHOWN;
	CHECK_OK(syscall(SYS_capset, &head, data));
	CHECK_OK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0));
	CHECK_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0), 1);
	CHECK_OK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
	CHECK_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0), 0);
}

TEST(securebits)
{
	CHECK_EQ(prctl(PR_GET_SECUREBITS), 0);
	CHECK_OK(prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP));
	CHECK_EQ(prctl(PR_GET_SECUREBITS), SECBIT_NO_SETUID_FIXUP);
	CHECK_OK(prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED));
	CHECK_ERR(prctl(PR_SET_SECUREBITS, 0), EPERM);
	CHECK_ERR(prctl(PR_SET_SECUREBITS, 1 << 20), EPERM);
}

TEST(timer_slack)
{
	int slack = prctl(PR_GET_TIMERSLACK);
	CHECK_EQ(slack, 50000);
	CHECK_OK(prctl(PR_SET_TIMERSLACK, 70000));
	CHECK_EQ(prctl(PR_GET_TIMERSLACK), 70000);
	CHECK_OK(prctl(PR_SET_TIMERSLACK, 0));
	CHECK_EQ(prctl(PR_GET_TIMERSLACK), 50000);
}

TEST(unknown_operations)
{
	CHECK_ERR(prctl(9999, 0, 0, 0, 0), EINVAL);
	CHECK_ERR(prctl(-1, 0, 0, 0, 0), EINVAL);
}
