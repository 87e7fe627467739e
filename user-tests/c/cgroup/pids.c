/* The pids controller: Documentation/admin-guide/cgroup-v2.rst "PID", cgroup-v1/pids.rst. */
#include <pthread.h>

#include "cgroup.h"

static const char *limited(void)
{
	cg2();
	CHECK_OK(cg_write("", "cgroup.subtree_control", "+pids"));
	return cg_new("");
}

static void done(const char *a)
{
	cg_drop(a);
	CHECK_OK(cg_write("", "cgroup.subtree_control", "-pids"));
}

TEST(files_and_defaults)
{
	const char *a = limited();
	CG_IS(a, "pids.max", "max\n");
	CG_IS(a, "pids.current", "0\n");
	CG_IS(a, "pids.events", "max 0\n");
	CHECK_ERR(access(cg_path("pids.max"), F_OK), ENOENT);
	done(a);
}

TEST(values_of_the_limit)
{
	const char *a = limited();
	CHECK_OK(cg_write(a, "pids.max", " 7 \n"));
	CG_IS(a, "pids.max", "7\n");
	CHECK_OK(cg_write(a, "pids.max", "0x10"));
	CG_IS(a, "pids.max", "16\n");
	CHECK_OK(cg_write(a, "pids.max", "4194304"));
	CG_IS(a, "pids.max", "4194304\n");
	CHECK_ERR(cg_write(a, "pids.max", "4194305"), EINVAL);
	CHECK_ERR(cg_write(a, "pids.max", "-1"), EINVAL);
	CHECK_ERR(cg_write(a, "pids.max", "maximum"), EINVAL);
	CHECK_ERR(cg_write(a, "pids.max", "1 2"), EINVAL);
	CHECK_ERR(cg_write(a, "pids.max", "99999999999999999999"), ERANGE);
	CG_IS(a, "pids.max", "4194304\n");
	CHECK_OK(cg_write(a, "pids.max", "max"));
	CG_IS(a, "pids.max", "max\n");
	done(a);
}

TEST(a_fork_over_the_limit_fails)
{
	const char *a = limited();
	CHECK_OK(cg_write(a, "pids.max", "2"));
	pid_t child = SPAWN({
		cg_enter(a);
		pid_t one = CHECK_OK(fork());
		if (one == 0)
			_exit(0);
		/* Until it is reaped a zombie counts. */
		siginfo_t info;
		CHECK_OK(waitid(P_PID, one, &info, WEXITED | WNOWAIT));
		CHECK_ERR(fork(), EAGAIN);
		CHECK(cg_has_line(a, "pids.current", "2"));
		kt_wait(one);
		one = CHECK_OK(fork());
		if (one == 0)
			_exit(0);
		kt_wait(one);
	});
	JOIN(child);
	CG_IS(a, "pids.events", "max 1\n");
	CG_IS(a, "pids.current", "0\n");
	CG_IS(a, "pids.peak", "2\n");
	done(a);
}

static void *sleeper(void *arg)
{
	(void)arg;
	for (;;)
		pause();
	return NULL;
}

TEST(threads_count)
{
	const char *a = limited();
	CHECK_OK(cg_write(a, "pids.max", "3"));
	pid_t child = SPAWN({
		cg_enter(a);
		pthread_t t;
		CHECK_EQ(pthread_create(&t, NULL, sleeper, NULL), 0);
		CHECK_EQ(pthread_create(&t, NULL, sleeper, NULL), 0);
		CHECK_EQ(pthread_create(&t, NULL, sleeper, NULL), EAGAIN);
		CHECK(cg_has_line(a, "pids.current", "3"));
	});
	JOIN(child);
	done(a);
}

TEST(a_migration_may_exceed_the_limit)
{
	const char *a = limited();
	CHECK_OK(cg_write(a, "pids.max", "1"));
	pid_t one = cg_sleeper(a), two = cg_sleeper(a);
	CG_IS(a, "pids.current", "2\n");
	CHECK_OK(cg_write(a, "pids.max", "0"));
	cg_end(one);
	cg_end(two);
	CG_IS(a, "pids.current", "0\n");
	CG_IS(a, "pids.events", "max 0\n");
	done(a);
}

TEST(limits_are_hierarchical)
{
	const char *a = limited(), *b = cg_new(a);
	CHECK_OK(cg_write(a, "cgroup.subtree_control", "+pids"));
	CHECK_OK(cg_write(a, "pids.max", "1"));
	pid_t child = SPAWN({
		cg_enter(b);
		CHECK_ERR(fork(), EAGAIN);
		CHECK(cg_has_line(a, "pids.current", "1"));
	});
	JOIN(child);
	/* The event is told where the fork was tried. */
	CG_IS(b, "pids.events", "max 1\n");
	cg_drop(b);
	done(a);
}

TEST(what_is_there_is_counted_when_the_controller_comes)
{
	cg2();
	const char *a = cg_new("");
	pid_t one = cg_sleeper(a), two = cg_sleeper(a);
	CHECK_OK(cg_write("", "cgroup.subtree_control", "+pids"));
	CG_IS(a, "pids.current", "2\n");
	cg_end(one);
	CG_IS(a, "pids.current", "1\n");
	cg_end(two);
	done(a);
}

TEST(events_wake_poll)
{
	const char *a = limited();
	CHECK_OK(cg_write(a, "pids.max", "1"));
	int fd = CHECK_OK(open(cg_path("%s/pids.events", a), O_RDONLY));
	char buf[32];
	CHECK(read(fd, buf, sizeof buf) > 0);
	struct pollfd p = { .fd = fd, .events = POLLPRI };
	CHECK_EQ(poll(&p, 1, 0), 0);
	pid_t child = SPAWN(cg_enter(a); CHECK_ERR(fork(), EAGAIN));
	JOIN(child);
	CHECK_EQ(poll(&p, 1, 10000), 1);
	CHECK(p.revents & POLLPRI);
	done(a);
}

TEST(vfork_and_clone_obey)
{
	const char *a = limited();
	CHECK_OK(cg_write(a, "pids.max", "1"));
	pid_t child = SPAWN({
		cg_enter(a);
		CHECK_ERR(syscall(SYS_vfork), EAGAIN);
		CHECK_ERR(syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0), EAGAIN);
	});
	JOIN(child);
	CG_IS(a, "pids.events", "max 2\n");
	done(a);
}
