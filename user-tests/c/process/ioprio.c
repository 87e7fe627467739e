/* ioprio_set(2), ioprio_get(2). */
#include <linux/capability.h>
#include <pthread.h>

#include "ns.h"

#define PRIO(class, data) ((class) << 13 | (data))
#define NONE 0
#define RT 1
#define BE 2
#define IDLE 3
#define PROCESS 1
#define PGRP 2
#define USER 3
#ifndef CLONE_IO
#define CLONE_IO 0x80000000
#endif

static int get(int which, int who)
{
	return syscall(SYS_ioprio_get, which, who);
}

static int set(int which, int who, int prio)
{
	return syscall(SYS_ioprio_set, which, who, prio);
}

TEST(a_process_has_none_until_one_is_set)
{
	CHECK_EQ(get(PROCESS, 0), PRIO(NONE, 0));
	CHECK_OK(set(PROCESS, 0, PRIO(BE, 7)));
	CHECK_EQ(get(PROCESS, 0), PRIO(BE, 7));
	CHECK_EQ(get(PROCESS, getpid()), PRIO(BE, 7));
	CHECK_OK(set(PROCESS, 0, PRIO(IDLE, 0)));
	CHECK_EQ(get(PROCESS, 0), PRIO(IDLE, 0));
	CHECK_OK(set(PROCESS, 0, PRIO(IDLE, 99)));
	CHECK_EQ(get(PROCESS, 0), PRIO(IDLE, 99));
	CHECK_OK(set(PROCESS, 0, PRIO(RT, 3)));
	CHECK_EQ(get(PROCESS, 0), PRIO(RT, 3));
	CHECK_OK(set(PROCESS, 0, PRIO(NONE, 0)));
	CHECK_EQ(get(PROCESS, 0), PRIO(NONE, 0));
}

TEST(arguments)
{
	CHECK_ERR(set(PROCESS, 0, PRIO(NONE, 1)), EINVAL);
	CHECK_ERR(set(PROCESS, 0, PRIO(NONE, 9)), EINVAL);
	/* Above the three bits of the level are hints. */
	CHECK_OK(set(PROCESS, 0, PRIO(BE, 0x1ff9)));
	CHECK_EQ(get(PROCESS, 0), PRIO(BE, 0x1ff9));
	CHECK_OK(set(PROCESS, 0, PRIO(NONE, 8)));
	CHECK_EQ(get(PROCESS, 0), PRIO(NONE, 8));
	for (int class = 4; class < 8; class++)
		CHECK_ERR(set(PROCESS, 0, PRIO(class, 0)), EINVAL);
	/* The class has three bits; what is above them does not count. */
	CHECK_OK(set(PROCESS, 0, 1 << 16 | PRIO(BE, 4)));
	CHECK_EQ(get(PROCESS, 0), PRIO(BE, 4));
	CHECK_ERR(set(0, 0, PRIO(BE, 0)), EINVAL);
	CHECK_ERR(set(4, 0, PRIO(BE, 0)), EINVAL);
	CHECK_ERR(set(4, 0, PRIO(4, 0)), EINVAL);
	CHECK_ERR(get(0, 0), EINVAL);
	CHECK_ERR(get(4, 0), EINVAL);
	CHECK_ERR(set(PROCESS, 0x3fffffff, PRIO(BE, 0)), ESRCH);
	CHECK_ERR(get(PROCESS, 0x3fffffff), ESRCH);
	CHECK_ERR(set(PROCESS, -1, PRIO(BE, 0)), ESRCH);
	CHECK_ERR(get(PGRP, 0x3fffffff), ESRCH);
	CHECK_ERR(set(PGRP, 0x3fffffff, PRIO(BE, 0)), ESRCH);
	CHECK_ERR(get(USER, 4711), ESRCH);
	CHECK_ERR(set(USER, 4711, PRIO(BE, 0)), ESRCH);
}

TEST(children_inherit_it)
{
	CHECK_OK(set(PROCESS, 0, PRIO(BE, 6)));
	JOIN(SPAWN({
		CHECK_EQ(get(PROCESS, 0), PRIO(BE, 6));
		CHECK_OK(set(PROCESS, 0, PRIO(BE, 1)));
		CHECK_EQ(get(PROCESS, getppid()), PRIO(BE, 6));
	}));
	CHECK_EQ(get(PROCESS, 0), PRIO(BE, 6));
	/* With CLONE_IO they have the same one. */
	JOIN(SPAWN_IN(CLONE_IO, CHECK_OK(set(PROCESS, 0, PRIO(BE, 2)))));
	CHECK_EQ(get(PROCESS, 0), PRIO(BE, 2));
}

ROLE(shows)
{
	return get(PROCESS, 0) == PRIO(BE, 5) ? 0 : 1;
}

TEST(it_stays_over_an_exec)
{
	CHECK_OK(set(PROCESS, 0, PRIO(BE, 5)));
	JOIN(SPAWN({
		char *argv[] = { "role:shows", NULL };
		execv("/proc/self/exe", argv);
		_exit(1);
	}));
}

static void *other(void *tid)
{
	*(pid_t *)tid = sys_gettid();
	CHECK_EQ(get(PROCESS, 0), PRIO(BE, 5));
	CHECK_OK(set(PROCESS, 0, PRIO(BE, 3)));
	CHECK_EQ(get(PROCESS, sys_gettid()), PRIO(BE, 3));
	return NULL;
}

TEST(each_thread_has_its_own)
{
	pthread_t t;
	pid_t tid;
	CHECK_OK(set(PROCESS, 0, PRIO(BE, 5)));
	CHECK_EQ(pthread_create(&t, NULL, other, &tid), 0);
	CHECK_EQ(pthread_join(t, NULL), 0);
	CHECK_EQ(get(PROCESS, 0), PRIO(BE, 5));
}

TEST(of_a_group_the_best_counts)
{
	CHECK_OK(setpgid(0, 0));
	struct sync s = sync_new();
	pid_t child = SPAWN(ready_and_hold(&s));
	until_ready(&s);
	/* Without one, the nice level says which it is. */
	CHECK_EQ(get(PGRP, 0), PRIO(BE, 4));
	CHECK_OK(set(PROCESS, child, PRIO(BE, 2)));
	CHECK_EQ(get(PGRP, 0), PRIO(BE, 2));
	CHECK_EQ(get(PGRP, getpid()), PRIO(BE, 2));
	CHECK_ERR(get(PGRP, child), ESRCH);
	CHECK_OK(set(PGRP, 0, PRIO(BE, 6)));
	CHECK_EQ(get(PROCESS, 0), PRIO(BE, 6));
	CHECK_EQ(get(PROCESS, child), PRIO(BE, 6));
	CHECK_OK(set(PROCESS, child, PRIO(RT, 7)));
	CHECK_EQ(get(PGRP, 0), PRIO(RT, 7));
	let_go(&s);
	JOIN(child);
	CHECK_OK(set(PROCESS, 0, PRIO(NONE, 0)));
	CHECK_OK(setpriority(0, 0, 19));
	CHECK_EQ(get(PGRP, 0), PRIO(BE, 7));
	struct sched_param none = { 0 };
	CHECK_OK(syscall(SYS_sched_setscheduler, 0, SCHED_IDLE, &none));
	CHECK_EQ(get(PGRP, 0), PRIO(IDLE, 7));
	CHECK_EQ(get(PROCESS, 0), PRIO(NONE, 0));
}

TEST(of_a_user_all_processes)
{
	struct sync s = sync_new();
	pid_t child = SPAWN({
		become(5511);
		ready_and_hold(&s);
	});
	until_ready(&s);
	CHECK_EQ(get(USER, 5511), PRIO(BE, 4));
	CHECK_OK(set(USER, 5511, PRIO(BE, 1)));
	CHECK_EQ(get(PROCESS, child), PRIO(BE, 1));
	CHECK_EQ(get(USER, 5511), PRIO(BE, 1));
	CHECK_EQ(get(PROCESS, 0), PRIO(NONE, 0));
	let_go(&s);
	JOIN(child);
	CHECK_ERR(get(USER, 5511), ESRCH);
}

TEST(permission)
{
	struct sync s = sync_new();
	pid_t child = SPAWN(ready_and_hold(&s));
	until_ready(&s);
	JOIN(SPAWN({
		become(5512);
		CHECK_ERR(set(PROCESS, child, PRIO(BE, 1)), EPERM);
		CHECK_EQ(get(PROCESS, child), PRIO(NONE, 0));
		CHECK_OK(set(PROCESS, 0, PRIO(BE, 0)));
		CHECK_OK(set(PROCESS, 0, PRIO(IDLE, 0)));
		CHECK_ERR(set(PROCESS, 0, PRIO(RT, 0)), EPERM);
		CHECK_ERR(set(PROCESS, 0x3fffffff, PRIO(RT, 0)), EPERM);
		CHECK_OK(set(USER, 5512, PRIO(BE, 2)));
		CHECK_EQ(get(USER, 0), PRIO(BE, 2));
		/* For setting, 0 is that user. */
		CHECK_ERR(set(USER, 0, PRIO(BE, 2)), EPERM);
		CHECK_ERR(set(PGRP, getppid(), PRIO(BE, 2)), EPERM);
	}));
	let_go(&s);
	JOIN(child);
	JOIN(SPAWN({
		enter_user_ns();
		CHECK_ERR(set(PROCESS, 0, PRIO(RT, 0)), EPERM);
		CHECK_ERR(get(USER, 77), ESRCH);
	}));
}

TEST(pids_are_those_of_the_namespace)
{
	JOIN(SPAWN_IN(CLONE_NEWPID, {
		CHECK_OK(set(PROCESS, 1, PRIO(BE, 3)));
		CHECK_EQ(get(PROCESS, 0), PRIO(BE, 3));
		CHECK_ERR(get(PROCESS, 2), ESRCH);
		/* Only those who can be seen. */
		CHECK_OK(set(USER, 0, PRIO(BE, 1)));
	}));
	CHECK_EQ(get(PROCESS, 0), PRIO(NONE, 0));
}
