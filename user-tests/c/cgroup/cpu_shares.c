/* ktest: timeout=900 */
/*
 * How exactly the cpu controller divides: limits against numbers of threads, weights far apart, nested and
 * beside tasks that sleep. `ktest_stress=SECONDS` measures longer, and every limit with every number of threads.
 */
#include <sys/syscall.h>

#include "cpu.h"
#include "steady.h"

static const char *controlled(const char *parent)
{
	CHECK_OK(cg_write(parent, "cgroup.subtree_control", "+cpu"));
	return strdup(cg_new(parent));
}

/* The controller goes back to where v1 can take it. */
static void done(void)
{
	CHECK_OK(cg_write("", "cgroup.subtree_control", "-cpu"));
}

static int64_t usage(const char *dir)
{
	return cg_stat(dir, "cpu.stat", "usage_usec");
}

static long cpus(void)
{
	return sysconf(_SC_NPROCESSORS_ONLN);
}

/* Tenths of a hundred that each of the groups had of what all of them had in a while. */
static void shares(const char *const *groups, int count, long *tenths)
{
	int64_t before[8], sum = 0;
	pause_ms(500);
	for (int i = 0; i < count; i++)
		before[i] = usage(groups[i]);
	pause_ms(span_ms());
	for (int i = 0; i < count; i++)
		sum += before[i] = usage(groups[i]) - before[i];
	printf("# shares:");
	for (int i = 0; i < count; i++) {
		tenths[i] = (before[i] * 1000 + sum / 2) / sum;
		printf(" %ld.%ld", tenths[i] / 10, tenths[i] % 10);
	}
	printf(" %%\n");
}

static void holds(int limit, int threads)
{
	const char *a = controlled("");
	char max[32];
	snprintf(max, sizeof max, "%d 100000", limit * 1000);
	CHECK_OK(cg_write(a, "cpu.max", max));
	pid_t child = busy(a, threads);
	pause_ms(300);
	next_period(a);
	int64_t start = now_ns(CLOCK_MONOTONIC), used = usage(a);
	pause_ms(span_ms() - 50);
	next_period(a);
	long tenths = (usage(a) - used) * 1000000 / (int64_t)(now_ns(CLOCK_MONOTONIC) - start);
	end(child);
	cg_drop(a);
	long most = (threads < cpus() ? threads : cpus()) * 100, want = limit < most ? limit : most;
	printf("# %d %% with %d threads: %ld.%ld %%\n", limit, threads, tenths / 10, tenths % 10);
	CHECK(near(tenths / 10, want, 3 + want / 10));
}

/* Each limit with each number of threads, or one limit with the largest of them. */
static void hold(int limit, const int *threads, int count)
{
	static const int limits[] = { 10, 20, 50, 80, 150 };
	int all = getenv("ktest_stress") != NULL;
	cg2();
	for (int i = 0; i < 5; i++)
		for (int j = 0; j < count; j++)
			if (all || (limits[i] == limit && j == count - 1))
				holds(limits[i], threads[j]);
	done();
}

STEADY_FOR(limits_against_one_thread, 300)
{
	hold(80, (const int[]){ 1 }, 1);
}

STEADY_FOR(limits_against_threads, 300)
{
	hold(20, (const int[]){ 2, 8 }, 2);
}

/*
 * The caller runs before all who share by weight, and its children do not. Beside the largest weight all others have
 * a hundredth of the CPU: a second in which the machine stands still while the caller runs is paid by it with a hundred.
 */
static void run_before_all(void)
{
	struct sched_param first = { .sched_priority = 1 };
	CHECK_OK(syscall(SYS_sched_setscheduler, 0, SCHED_FIFO | SCHED_RESET_ON_FORK, &first));
}

STEADY_FOR(the_smallest_weight_beside_the_largest, 120)
{
	run_before_all();
	cg2();
	const char *groups[] = { controlled(""), controlled("") };
	long tenths[2];
	CHECK_OK(cg_write(groups[0], "cpu.weight", "1"));
	CHECK_OK(cg_write(groups[1], "cpu.weight", "10000"));
	pid_t one = busy(groups[0], cpus()), other = busy(groups[1], cpus());
	shares(groups, 2, tenths);
	/* The other way round the first would have to wait for its turn to die. */
	end(other);
	end(one);
	CHECK(near(tenths[0], 0, 30));
	cg_drop(groups[0]);
	cg_drop(groups[1]);
	done();
}

/* 100 beside 300, and below each of them 100 beside 300 again. */
STEADY_FOR(nested_weights, 120)
{
	cg2();
	const char *above[] = { controlled(""), controlled("") };
	const char *groups[] = { controlled(above[0]), controlled(above[0]), controlled(above[1]), controlled(above[1]) };
	static const long want[] = { 62, 188, 188, 562 };
	long tenths[4];
	pid_t children[4];
	CHECK_OK(cg_write(above[1], "cpu.weight", "300"));
	CHECK_OK(cg_write(groups[1], "cpu.weight", "300"));
	CHECK_OK(cg_write(groups[3], "cpu.weight", "300"));
	for (int i = 0; i < 4; i++)
		children[i] = busy(groups[i], cpus());
	shares(groups, 4, tenths);
	for (int i = 0; i < 4; i++)
		end(children[i]);
	for (int i = 0; i < 4; i++)
		CHECK(near(tenths[i], want[i], 50));
	for (int i = 0; i < 4; i++)
		cg_drop(groups[i]);
	cg_drop(above[0]);
	cg_drop(above[1]);
	done();
}

/* Who sleeps most of the time does not change how the others share the rest. */
STEADY_FOR(weights_beside_sleepers, 120)
{
	cg2();
	const char *groups[] = { controlled(""), controlled(""), controlled("") };
	long tenths[3];
	CHECK_OK(cg_write(groups[1], "cpu.weight", "300"));
	pid_t sleepers[4];
	for (int i = 0; i < 4; i++) {
		sleepers[i] = SPAWN({
			CHECK_OK(cg_write(groups[2], "cgroup.procs", "0"));
			for (;;) {
				uint64_t start = now_ns(CLOCK_THREAD_CPUTIME_ID);
				while (now_ns(CLOCK_THREAD_CPUTIME_ID) - start < 500000)
					;
				pause_ms(20);
			}
		});
	}
	pid_t one = busy(groups[0], cpus()), other = busy(groups[1], cpus());
	shares(groups, 3, tenths);
	end(one);
	end(other);
	for (int i = 0; i < 4; i++)
		end(sleepers[i]);
	CHECK(near(tenths[0] * 1000 / (tenths[0] + tenths[1]), 250, 40));
	for (int i = 0; i < 3; i++)
		cg_drop(groups[i]);
	done();
}
