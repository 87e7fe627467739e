/* getpriority(2), setpriority(2), and the sched_* family. */
#include <sys/resource.h>

#include "proc.h"
#include "sys.h"

static int policy(pid_t pid)
{
	return syscall(SYS_sched_getscheduler, pid);
}

static int set_policy(pid_t pid, int policy, int priority)
{
	struct sched_param p = { .sched_priority = priority };
	return syscall(SYS_sched_setscheduler, pid, policy, &p);
}

TEST(nice_values)
{
	CHECK_EQ(getpriority(PRIO_PROCESS, 0), 0);
	CHECK_EQ(syscall(SYS_getpriority, PRIO_PROCESS, 0), 20);
	CHECK_OK(setpriority(PRIO_PROCESS, 0, 5));
	CHECK_EQ(syscall(SYS_getpriority, PRIO_PROCESS, 0), 15);
	CHECK_OK(setpriority(PRIO_PROCESS, 0, 100));
	CHECK_EQ(getpriority(PRIO_PROCESS, 0), 19);
	CHECK_OK(setpriority(PRIO_PROCESS, 0, -100));
	CHECK_EQ(syscall(SYS_getpriority, PRIO_PROCESS, 0), 40);
	JOIN(SPAWN(CHECK_EQ(syscall(SYS_getpriority, PRIO_PROCESS, 0), 40)));
}

TEST(of_a_group_and_of_a_user)
{
	pid_t a = SPAWN(setuid(54323); pause()), b = SPAWN(setuid(54323); pause());
	WAIT_FOR(kt_field("/proc/self/status", "Pid:") > 0);
	char path[64];
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof path, "/proc/%d/status", i ? a : b);
		WAIT_FOR(kt_field(path, "Uid:") == 54323);
	}
	CHECK_OK(setpgid(a, a));
	CHECK_OK(setpgid(b, a));
	CHECK_OK(setpriority(PRIO_PGRP, a, 3));
	CHECK_EQ(getpriority(PRIO_PROCESS, a), 3);
	CHECK_EQ(getpriority(PRIO_PROCESS, b), 3);
	CHECK_OK(setpriority(PRIO_PROCESS, b, 1));
	CHECK_EQ(getpriority(PRIO_PGRP, a), 1);
	CHECK_OK(setpriority(PRIO_USER, 54323, 7));
	CHECK_EQ(getpriority(PRIO_PROCESS, a), 7);
	CHECK_EQ(getpriority(PRIO_USER, 54323), 7);
	kill(a, SIGKILL);
	kill(b, SIGKILL);
	kt_wait(a);
	kt_wait(b);
}

TEST(wrong_targets)
{
	CHECK_ERR(getpriority(3, 0), EINVAL);
	CHECK_ERR(getpriority(-1, 0), EINVAL);
	CHECK_ERR(setpriority(3, 0, 0), EINVAL);
	CHECK_ERR(getpriority(PRIO_PROCESS, 0x3fffffff), ESRCH);
	CHECK_ERR(setpriority(PRIO_PGRP, 0x3fffffff, 0), ESRCH);
	CHECK_ERR(getpriority(PRIO_USER, 0x3fffff), ESRCH);
	pid_t me = getpid();
	JOIN(SPAWN({
		CHECK_OK(setuid(65534));
		CHECK_OK(setpriority(PRIO_PROCESS, 0, 4));
		CHECK_ERR(setpriority(PRIO_PROCESS, 0, 3), EACCES);
		CHECK_ERR(setpriority(PRIO_PROCESS, me, 19), EPERM);
	}));
}

TEST(policies)
{
	struct sched_param p;
	CHECK_EQ(policy(0), SCHED_OTHER);
	CHECK_OK(set_policy(0, SCHED_BATCH, 0));
	CHECK_EQ(policy(0), SCHED_BATCH);
	CHECK_OK(set_policy(0, SCHED_IDLE, 0));
	CHECK_OK(set_policy(0, SCHED_RR, 10));
	CHECK_EQ(policy(0), SCHED_RR);
	CHECK_OK(syscall(SYS_sched_getparam, 0, &p));
	CHECK_EQ(p.sched_priority, 10);
	CHECK_OK(set_policy(0, SCHED_FIFO | 0x40000000 /* RESET_ON_FORK */, 1));
	CHECK_EQ(policy(0), SCHED_FIFO | 0x40000000);
	JOIN(SPAWN(CHECK_EQ(policy(0), SCHED_OTHER)));
	CHECK_OK(set_policy(0, SCHED_OTHER, 0));
	CHECK_ERR(set_policy(0, SCHED_OTHER, 1), EINVAL);
	CHECK_ERR(set_policy(0, SCHED_FIFO, 0), EINVAL);
	CHECK_ERR(set_policy(0, SCHED_FIFO, 100), EINVAL);
	CHECK_ERR(set_policy(0, 77, 0), EINVAL);
	CHECK_ERR(set_policy(-1, SCHED_OTHER, 0), EINVAL);
	CHECK_ERR(set_policy(0x3fffffff, SCHED_OTHER, 0), ESRCH);
	CHECK_ERR(policy(-1), EINVAL);
	CHECK_ERR(policy(0x3fffffff), ESRCH);
	CHECK_ERR(syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, BAD_PTR), EFAULT);
	CHECK_ERR(syscall(SYS_sched_getparam, 0, NULL), EINVAL);
}

TEST(policies_need_privilege)
{
	JOIN(SPAWN({
		CHECK_OK(setuid(65534));
		CHECK_ERR(set_policy(0, SCHED_FIFO, 1), EPERM);
		CHECK_OK(set_policy(0, SCHED_BATCH, 0));
		CHECK_OK(set_policy(0, SCHED_OTHER, 0));
	}));
}

TEST(priority_ranges)
{
	CHECK_EQ(sched_get_priority_max(SCHED_FIFO), 99);
	CHECK_EQ(sched_get_priority_min(SCHED_FIFO), 1);
	CHECK_EQ(sched_get_priority_max(SCHED_RR), 99);
	CHECK_EQ(sched_get_priority_max(SCHED_OTHER), 0);
	CHECK_EQ(sched_get_priority_min(SCHED_IDLE), 0);
	CHECK_ERR(sched_get_priority_max(77), EINVAL);
	CHECK_ERR(sched_get_priority_min(-1), EINVAL);
}

TEST(rr_interval)
{
	struct timespec t = { -1, -1 };
	CHECK_OK(set_policy(0, SCHED_RR, 1));
	CHECK_OK(sched_rr_get_interval(0, &t));
	CHECK(t.tv_sec == 0 && t.tv_nsec > 0);
	CHECK_ERR(sched_rr_get_interval(-1, &t), EINVAL);
	CHECK_ERR(sched_rr_get_interval(0x3fffffff, &t), ESRCH);
}

TEST(sched_attr)
{
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t runtime, deadline, period;
		uint32_t util_min, util_max;
	} attr = { .size = 48 };
	CHECK_OK(setpriority(PRIO_PROCESS, 0, 4));
	CHECK_OK(syscall(SYS_sched_getattr, 0, &attr, sizeof attr, 0));
	CHECK_EQ(attr.policy, SCHED_OTHER);
	CHECK_EQ(attr.nice, 4);
	CHECK(attr.size >= 48);
	attr.size = 48;
	attr.nice = 6;
	CHECK_OK(syscall(SYS_sched_setattr, 0, &attr, 0));
	CHECK_EQ(getpriority(PRIO_PROCESS, 0), 6);
	CHECK_ERR(syscall(SYS_sched_getattr, 0, &attr, 8, 0), EINVAL);
	CHECK_ERR(syscall(SYS_sched_getattr, 0, NULL, sizeof attr, 0), EINVAL);
	CHECK_ERR(syscall(SYS_sched_getattr, 0, &attr, sizeof attr, 1), EINVAL);
	CHECK_ERR(syscall(SYS_sched_setattr, 0, &attr, 1), EINVAL);
	CHECK_ERR(syscall(SYS_sched_setattr, 0, NULL, 0), EINVAL);
}

TEST(affinity)
{
	cpu_set_t all, one;
	CHECK_OK(sched_getaffinity(0, sizeof all, &all));
	int cpus = CPU_COUNT(&all);
	CHECK(cpus >= 1);
	CHECK_EQ(sysconf(_SC_NPROCESSORS_ONLN), cpus);
	for (int cpu = 0, seen = 0; seen < cpus; cpu++) {
		if (!CPU_ISSET(cpu, &all))
			continue;
		seen++;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		CHECK_OK(sched_setaffinity(0, sizeof one, &one));
		unsigned on = -1;
		CHECK_OK(syscall(SYS_getcpu, &on, NULL, NULL));
		CHECK_EQ(on, cpu);
		JOIN(SPAWN({
			cpu_set_t mine;
			CHECK_OK(sched_getaffinity(0, sizeof mine, &mine));
			CHECK(CPU_EQUAL(&mine, &one));
		}));
	}
	CPU_ZERO(&one);
	CHECK_ERR(sched_setaffinity(0, sizeof one, &one), EINVAL);
	CPU_SET(1000, &one);
	CHECK_ERR(sched_setaffinity(0, sizeof one, &one), EINVAL);
	CHECK_ERR(sched_setaffinity(0x3fffffff, sizeof all, &all), ESRCH);
	CHECK_ERR(syscall(SYS_sched_getaffinity, 0, 0, &one), EINVAL);
	CHECK_ERR(syscall(SYS_sched_getaffinity, 0, 7, &one), EINVAL);
	CHECK_ERR(syscall(SYS_sched_getaffinity, 0, sizeof one, BAD_PTR), EFAULT);
	pid_t me = getpid();
	JOIN(SPAWN({
		CHECK_OK(setuid(65534));
		CHECK_ERR(sched_setaffinity(me, sizeof all, &all), EPERM);
	}));
}

TEST(yield)
{
	for (int i = 0; i < 100; i++)
		CHECK_OK(sched_yield());
}
