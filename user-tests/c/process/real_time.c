/*
 * What real-time tasks leave to the others: sched(7), "Limiting the CPU usage of real-time and deadline
 * processes".
 */
#include <sched.h>
#include <sys/mman.h>

#include "proc.h"
#include "steady.h"
#include "sys.h"

#define PERIOD "/proc/sys/kernel/sched_rt_period_us"
#define RUNTIME "/proc/sys/kernel/sched_rt_runtime_us"

static long get(const char *path)
{
	char text[32];
	CHECK(kt_read_file(path, text, sizeof text) > 0);
	return strtol(text, NULL, 10);
}

static int set_policy(int policy, int priority)
{
	struct sched_param param = { .sched_priority = priority };
	return syscall(SYS_sched_setscheduler, 0, policy, &param);
}

/* Counts for ever on the first CPU. */
static void count(volatile unsigned long *counter, int policy, int priority)
{
	cpu_set_t first;
	CPU_ZERO(&first);
	CPU_SET(0, &first);
	CHECK_OK(sched_setaffinity(0, sizeof first, &first));
	CHECK_OK(set_policy(policy, priority));
	for (;;)
		++*counter;
}

TEST(defaults)
{
	CHECK_EQ(get(PERIOD), 1000000);
	CHECK_EQ(get(RUNTIME), 950000);
}

TEST(limits_that_make_no_sense_are_refused)
{
	CHECK_ERR(kt_write_file(RUNTIME, "1000001"), EINVAL);
	CHECK_ERR(kt_write_file(PERIOD, "949999"), EINVAL);
	CHECK_ERR(kt_write_file(PERIOD, "0"), EINVAL);
	CHECK_ERR(kt_write_file(PERIOD, "x"), EINVAL);
	CHECK_EQ(get(PERIOD), 1000000);
	CHECK_EQ(get(RUNTIME), 950000);
	CHECK_OK(kt_write_file(RUNTIME, "-1"));
	CHECK_EQ(get(RUNTIME), -1);
	CHECK_OK(kt_write_file(RUNTIME, "950000"));
}

STEADY(a_task_that_never_sleeps_leaves_a_part_of_the_cpu)
{
	volatile unsigned long *counts = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(counts != MAP_FAILED);
	/* The test itself stays ahead of them. */
	CHECK_OK(set_policy(SCHED_FIFO, 60));
	pid_t greedy = SPAWN(count(&counts[0], SCHED_FIFO, 50));
	pid_t second = SPAWN(count(&counts[8], SCHED_RR, 40));
	pid_t fair = SPAWN(count(&counts[16], SCHED_OTHER, 0));
	sleep(1);
	/* By now each has the policy that it gave itself; until then any may run. */
	unsigned long before = counts[0], second_before = counts[8], fair_before = counts[16];
	sleep(4);
	unsigned long got = counts[0] - before, fair_got = counts[16] - fair_before;
	/* Before the first of them is killed, who leaves the CPU to the next. */
	unsigned long second_got = counts[8] - second_before;
	pid_t all[] = { greedy, second, fair };
	for (int i = 0; i < 3; i++) {
		int status;
		CHECK_OK(kill(all[i], SIGKILL));
		CHECK_EQ(waitpid(all[i], &status, 0), all[i]);
		CHECK_EQ(status, SIGKILL);
	}
	/* A twentieth of it; the lower real-time priority gets nothing at all. */
	CHECK(fair_got > 0);
	CHECK(fair_got < got / 8);
	CHECK_EQ(second_got, 0);
}
