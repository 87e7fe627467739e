/* ktest: timeout=900 */
/* The cpu controller in cgroup2: Documentation/admin-guide/cgroup-v2.rst "CPU", scheduler/sched-bwc.rst. */
#include "cpu.h"
#include "steady.h"

static const char *controlled(void)
{
	cg2();
	CHECK_OK(cg_write("", "cgroup.subtree_control", "+cpu"));
	return cg_new("");
}

static void done(const char *a)
{
	cg_drop(a);
	CHECK_OK(cg_write("", "cgroup.subtree_control", "-cpu"));
}

TEST(files_and_defaults)
{
	const char *a = controlled();
	CG_IS(a, "cpu.weight", "100\n");
	CG_IS(a, "cpu.weight.nice", "0\n");
	CG_IS(a, "cpu.idle", "0\n");
	CG_IS(a, "cpu.max", "max 100000\n");
	CG_IS(a, "cpu.max.burst", "0\n");
	CHECK_EQ(cg_stat(a, "cpu.stat", "usage_usec"), 0);
	CHECK_EQ(cg_stat(a, "cpu.stat", "nr_periods"), 0);
	CHECK_EQ(cg_stat(a, "cpu.stat", "nr_bursts"), 0);
	CHECK_ERR(access(cg_path("cpu.weight"), F_OK), ENOENT);
	CHECK_ERR(access(cg_path("cpu.max"), F_OK), ENOENT);
	CHECK_OK(access(cg_path("cpu.stat"), F_OK));
	done(a);
}

TEST(cpu_stat_is_there_without_the_controller)
{
	cg2();
	const char *a = cg_new("");
	CHECK_EQ(cg_stat(a, "cpu.stat", "user_usec"), 0);
	CHECK_EQ(cg_stat(a, "cpu.stat", "system_usec"), 0);
	CHECK_EQ(cg_stat(a, "cpu.stat", "nr_periods"), -1);
	CHECK_ERR(access(cg_path("%s/cpu.max", a), F_OK), ENOENT);
	pid_t child = busy(a, 1);
	WAIT_FOR(cg_stat(a, "cpu.stat", "usage_usec") > 50000);
	end(child);
	CHECK(cg_stat(a, "cpu.stat", "user_usec") > 0);
	cg_drop(a);
}

TEST(values_of_the_weight)
{
	const char *a = controlled();
	CHECK_OK(cg_write(a, "cpu.weight", "1"));
	CG_IS(a, "cpu.weight", "1\n");
	CHECK_OK(cg_write(a, "cpu.weight", "10000\n"));
	CG_IS(a, "cpu.weight", "10000\n");
	CHECK_ERR(cg_write(a, "cpu.weight", " 7"), EINVAL);
	CHECK_ERR(cg_write(a, "cpu.weight", "0"), ERANGE);
	CHECK_ERR(cg_write(a, "cpu.weight", "10001"), ERANGE);
	CHECK_ERR(cg_write(a, "cpu.weight", "99999999999999999999"), ERANGE);
	CHECK_ERR(cg_write(a, "cpu.weight", "-1"), EINVAL);
	CHECK_ERR(cg_write(a, "cpu.weight", "1 2"), EINVAL);
	CHECK_ERR(cg_write(a, "cpu.weight", "default"), EINVAL);
	CHECK_ERR(cg_write(a, "cpu.weight", "\n"), EINVAL);
	CG_IS(a, "cpu.weight", "10000\n");
	done(a);
}

TEST(values_of_the_nice_weight)
{
	const char *a = controlled();
	CHECK_OK(cg_write(a, "cpu.weight.nice", "-20"));
	CG_IS(a, "cpu.weight.nice", "-20\n");
	CG_IS(a, "cpu.weight", "8668\n");
	CHECK_OK(cg_write(a, "cpu.weight.nice", "19"));
	CG_IS(a, "cpu.weight", "1\n");
	CG_IS(a, "cpu.weight.nice", "19\n");
	CHECK_OK(cg_write(a, "cpu.weight", "50"));
	CG_IS(a, "cpu.weight.nice", "3\n");
	CHECK_ERR(cg_write(a, "cpu.weight.nice", "20"), ERANGE);
	CHECK_ERR(cg_write(a, "cpu.weight.nice", "-21"), ERANGE);
	CHECK_ERR(cg_write(a, "cpu.weight.nice", "x"), EINVAL);
	done(a);
}

TEST(an_idle_group_has_no_weight)
{
	const char *a = controlled();
	CHECK_OK(cg_write(a, "cpu.weight", "300"));
	CHECK_OK(cg_write(a, "cpu.idle", "1"));
	CG_IS(a, "cpu.idle", "1\n");
	CG_IS(a, "cpu.weight", "0\n");
	CHECK_ERR(cg_write(a, "cpu.weight", "100"), EINVAL);
	CHECK_ERR(cg_write(a, "cpu.weight.nice", "1"), EINVAL);
	CHECK_ERR(cg_write(a, "cpu.idle", "2"), EINVAL);
	CHECK_ERR(cg_write(a, "cpu.idle", "-1"), EINVAL);
	CHECK_OK(cg_write(a, "cpu.idle", "0"));
	CG_IS(a, "cpu.weight", "100\n");
	done(a);
}

TEST(values_of_the_limit)
{
	const char *a = controlled();
	CHECK_OK(cg_write(a, "cpu.max", "50000"));
	CG_IS(a, "cpu.max", "50000 100000\n");
	CHECK_OK(cg_write(a, "cpu.max", "max 20000"));
	CG_IS(a, "cpu.max", "max 20000\n");
	CHECK_OK(cg_write(a, "cpu.max", " 1000\t1000 and more\n"));
	CG_IS(a, "cpu.max", "1000 1000\n");
	CHECK_OK(cg_write(a, "cpu.max", "2000000 1000000"));
	CG_IS(a, "cpu.max", "2000000 1000000\n");
	CHECK_OK(cg_write(a, "cpu.max", "70000x"));
	CG_IS(a, "cpu.max", "70000 1000000\n");
	CHECK_ERR(cg_write(a, "cpu.max", "999"), EINVAL);
	CHECK_ERR(cg_write(a, "cpu.max", "0"), EINVAL);
	CHECK_ERR(cg_write(a, "cpu.max", "-1"), EINVAL);
	CHECK_ERR(cg_write(a, "cpu.max", "\n"), EINVAL);
	CHECK_ERR(cg_write(a, "cpu.max", "maximum"), EINVAL);
	CHECK_ERR(cg_write(a, "cpu.max", "5000 999"), EINVAL);
	CHECK_ERR(cg_write(a, "cpu.max", "5000 1000001"), EINVAL);
	CHECK_ERR(cg_write(a, "cpu.max", "17592186044416"), EINVAL);
	CHECK_OK(cg_write(a, "cpu.max", "17592186044415 1000000"));
	CG_IS(a, "cpu.max", "17592186044415 1000000\n");
	done(a);
}

TEST(values_of_the_burst)
{
	const char *a = controlled();
	CHECK_OK(cg_write(a, "cpu.max.burst", "5000"));
	CHECK_ERR(cg_write(a, "cpu.max", "4000"), EINVAL);
	CHECK_OK(cg_write(a, "cpu.max", "5000"));
	CG_IS(a, "cpu.max.burst", "5000\n");
	CHECK_ERR(cg_write(a, "cpu.max.burst", "5001"), EINVAL);
	CHECK_ERR(cg_write(a, "cpu.max.burst", "-1"), EINVAL);
	CHECK_ERR(cg_write(a, "cpu.max.burst", "max"), EINVAL);
	CHECK_ERR(cg_write(a, "cpu.max.burst", "18446744073709551615"), EINVAL);
	CHECK_ERR(cg_write(a, "cpu.max.burst", "18446744073709551616"), ERANGE);
	CHECK_OK(cg_write(a, "cpu.max.burst", "0"));
	done(a);
}

STEADY(a_child_may_have_a_larger_limit_than_its_parent)
{
	const char *a = controlled();
	CHECK_OK(cg_write(a, "cgroup.subtree_control", "+cpu"));
	const char *b = cg_new(a);
	CHECK_OK(cg_write(a, "cpu.max", "10000"));
	CHECK_OK(cg_write(b, "cpu.max", "90000"));
	pid_t child = busy(b, 1);
	pause_ms(300);
	int64_t start = now_ns(CLOCK_MONOTONIC), used = cg_stat(b, "cpu.stat", "usage_usec");
	pause_ms(span_ms());
	used = cg_stat(b, "cpu.stat", "usage_usec") - used;
	CHECK(near(percent(used * 1000, now_ns(CLOCK_MONOTONIC) - start), 10, 3));
	end(child);
	CHECK(cg_stat(a, "cpu.stat", "nr_throttled") > 5);
	CHECK_EQ(cg_stat(b, "cpu.stat", "nr_throttled"), 0);
	cg_drop(b);
	done(a);
}

static void holds(const char *max, int threads, long want)
{
	const char *a = controlled();
	CHECK_OK(cg_write(a, "cpu.max", max));
	pid_t child = busy(a, threads);
	pause_ms(300);
	next_period(a);
	int64_t start = now_ns(CLOCK_MONOTONIC), used = cg_stat(a, "cpu.stat", "usage_usec");
	pause_ms(span_ms() - 50);
	next_period(a);
	used = cg_stat(a, "cpu.stat", "usage_usec") - used;
	int64_t span = now_ns(CLOCK_MONOTONIC) - start;
	long per_mille = used * 1000000 / span;
	printf("# %s with %d threads: %ld.%ld %%\n", max, threads, per_mille / 10, per_mille % 10);
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	long most = (threads < cpus ? threads : cpus) * 100;
	CHECK(near(per_mille / 10, want < most ? want : most, 3 + want / 10));
	end(child);
	int64_t periods = cg_stat(a, "cpu.stat", "nr_periods"), throttled = cg_stat(a, "cpu.stat", "nr_throttled");
	CHECK(periods >= span_ms() / 100 && throttled <= periods);
	if (want < most) {
		CHECK(throttled > span_ms() / 150);
		CHECK(cg_stat(a, "cpu.stat", "throttled_usec") > 100000);
	}
	done(a);
}

STEADY(a_limit_of_10_percent_holds) { holds("10000 100000", 1, 10); }
STEADY(a_limit_of_20_percent_holds) { holds("20000 100000", 2, 20); }
STEADY(a_limit_of_50_percent_holds) { holds("50000 100000", 8, 50); }
STEADY(a_limit_of_80_percent_holds) { holds("80000 100000", 2, 80); }
STEADY(a_limit_of_150_percent_holds) { holds("150000 100000", 8, 150); }

STEADY(weights_share_the_cpus)
{
	const char *a = controlled();
	const char *b = cg_new("");
	int cpus = sysconf(_SC_NPROCESSORS_ONLN);
	CHECK_OK(cg_write(b, "cpu.weight", "300"));
	pid_t one = busy(a, cpus), other = busy(b, cpus);
	pause_ms(500);
	int64_t ua = cg_stat(a, "cpu.stat", "usage_usec"), ub = cg_stat(b, "cpu.stat", "usage_usec");
	pause_ms(span_ms());
	ua = cg_stat(a, "cpu.stat", "usage_usec") - ua;
	ub = cg_stat(b, "cpu.stat", "usage_usec") - ub;
	printf("# %ld.%ld %%\n", (long)(ua * 1000 / (ua + ub)) / 10, (long)(ua * 1000 / (ua + ub)) % 10);
	CHECK(near(percent(ua, ua + ub), 25, 4));
	end(one);
	end(other);
	cg_drop(b);
	done(a);
}

STEADY(an_idle_group_runs_last)
{
	const char *a = controlled();
	const char *b = cg_new("");
	int cpus = sysconf(_SC_NPROCESSORS_ONLN);
	CHECK_OK(cg_write(b, "cpu.idle", "1"));
	pid_t one = busy(a, cpus), other = busy(b, cpus);
	pause_ms(500);
	int64_t ua = cg_stat(a, "cpu.stat", "usage_usec"), ub = cg_stat(b, "cpu.stat", "usage_usec");
	pause_ms(span_ms());
	ua = cg_stat(a, "cpu.stat", "usage_usec") - ua;
	ub = cg_stat(b, "cpu.stat", "usage_usec") - ub;
	CHECK(percent(ub, ua + ub) <= 4);
	end(one);
	end(other);
	cg_drop(b);
	done(a);
}

TEST(a_parent_keeps_what_children_used)
{
	const char *a = controlled();
	const char *b = cg_new(a);
	pid_t child = busy(b, 1);
	WAIT_FOR(cg_stat(b, "cpu.stat", "usage_usec") > 200000);
	end(child);
	int64_t used = cg_stat(b, "cpu.stat", "usage_usec");
	CHECK(cg_stat(a, "cpu.stat", "usage_usec") >= used);
	cg_drop(b);
	CHECK(cg_stat(a, "cpu.stat", "usage_usec") >= used);
	int64_t sum = cg_stat(a, "cpu.stat", "user_usec") + cg_stat(a, "cpu.stat", "system_usec");
	CHECK(llabs(sum - cg_stat(a, "cpu.stat", "usage_usec")) <= 2);
	done(a);
}

TEST(usage_stays_where_it_was_made)
{
	const char *a = controlled();
	const char *b = cg_new("");
	pid_t child = busy(a, 1);
	WAIT_FOR(cg_stat(a, "cpu.stat", "usage_usec") > 100000);
	CHECK_OK(cg_put(b, "cgroup.procs", child));
	int64_t used = cg_stat(a, "cpu.stat", "usage_usec");
	WAIT_FOR(cg_stat(b, "cpu.stat", "usage_usec") > 100000);
	CHECK_EQ(cg_stat(a, "cpu.stat", "usage_usec"), used);
	end(child);
	cg_drop(b);
	done(a);
}

STEADY(moving_out_of_a_throttled_group_lets_run)
{
	const char *a = controlled();
	const char *b = cg_new("");
	CHECK_OK(cg_write(a, "cpu.max", "1000 1000000"));
	pid_t child = busy(a, 1);
	WAIT_FOR(cg_stat(a, "cpu.stat", "nr_throttled") > 0);
	CHECK_OK(cg_put(b, "cgroup.procs", child));
	WAIT_FOR(cg_stat(b, "cpu.stat", "usage_usec") > 300000);
	CHECK_OK(cg_put(a, "cgroup.procs", child));
	pause_ms(50);
	int64_t used = cg_stat(a, "cpu.stat", "usage_usec");
	pause_ms(500);
	CHECK(cg_stat(a, "cpu.stat", "usage_usec") - used < 100000);
	/* On Linux it needs time to end, and would wait for what it owes. */
	CHECK_OK(cg_put(b, "cgroup.procs", child));
	end(child);
	cg_drop(b);
	done(a);
}

TEST(a_new_limit_counts_at_once)
{
	const char *a = controlled();
	CHECK_OK(cg_write(a, "cpu.max", "1000 1000000"));
	pid_t child = busy(a, 1);
	WAIT_FOR(cg_stat(a, "cpu.stat", "nr_throttled") > 0);
	CHECK_OK(cg_write(a, "cpu.max", "max"));
	int64_t used = cg_stat(a, "cpu.stat", "usage_usec");
	WAIT_FOR(cg_stat(a, "cpu.stat", "usage_usec") - used > 200000);
	end(child);
	done(a);
}

TEST(a_throttled_task_can_be_killed)
{
	const char *a = controlled();
	/* On Linux its threads need some of the quota to end. */
	CHECK_OK(cg_write(a, "cpu.max", "1000 100000"));
	pid_t child = busy(a, 4);
	WAIT_FOR(cg_stat(a, "cpu.stat", "nr_throttled") > 0);
	end(child);
	done(a);
}

/* However small the quota, each thread gets some of it, on whatever CPU it is. */
TEST(nobody_starves_under_a_small_quota)
{
	const char *a = controlled();
	CHECK_OK(cg_write(a, "cpu.max", "4000 50000"));
	pid_t children[4];
	struct timespec before[4];
	clockid_t clocks[4];
	for (int i = 0; i < 4; i++) {
		children[i] = busy(a, 1);
		CHECK_EQ(clock_getcpuclockid(children[i], &clocks[i]), 0);
	}
	for (int i = 0; i < 4; i++)
		CHECK_OK(clock_gettime(clocks[i], &before[i]));
	for (int i = 0; i < 4; i++) {
		uint64_t start = before[i].tv_sec * 1000000000ull + before[i].tv_nsec;
		WAIT_FOR(now_ns(clocks[i]) - start > 5000000);
	}
	for (int i = 0; i < 4; i++)
		end(children[i]);
	done(a);
}

/* Killed where they are throttled by a group above theirs, tasks end at once, and nothing of theirs is left behind. */
TEST(those_throttled_from_above_can_be_killed)
{
	const char *a = controlled();
	CHECK_OK(cg_write(a, "cgroup.subtree_control", "+cpu"));
	CHECK_OK(cg_write(a, "cpu.max", "5000 100000"));
	for (int round = 0; round < span_ms() / 250; round++) {
		const char *b = cg_new(a);
		pid_t children[4];
		for (int i = 0; i < 4; i++)
			children[i] = busy(b, 1);
		long before = cg_stat(a, "cpu.stat", "nr_throttled");
		WAIT_FOR(cg_stat(a, "cpu.stat", "nr_throttled") > before);
		for (int i = 0; i < 4; i++)
			end(children[i]);
		WAIT_FOR(rmdir(cg_path("%s", b)) == 0);
	}
	kt_sleep_ms(300);
	done(a);
}


TEST(a_burst_is_counted)
{
	const char *a = controlled();
	CHECK_OK(cg_write(a, "cpu.max", "20000 100000"));
	CHECK_OK(cg_write(a, "cpu.max.burst", "20000"));
	/* It sleeps most of the time, then works more than a quota. */
	pid_t child = CHECK_OK(fork());
	if (child == 0) {
		CHECK_OK(cg_write(a, "cgroup.procs", "0"));
		for (;;) {
			uint64_t start = now_ns(CLOCK_THREAD_CPUTIME_ID);
			while (now_ns(CLOCK_THREAD_CPUTIME_ID) - start < 35000000)
				;
			for (int n = 0; n < 40; n++) {
				pause_ms(10);
			}
		}
	}
	WAIT_FOR(cg_stat(a, "cpu.stat", "nr_bursts") > 0);
	CHECK(cg_stat(a, "cpu.stat", "burst_usec") > 0);
	end(child);
	done(a);
}
