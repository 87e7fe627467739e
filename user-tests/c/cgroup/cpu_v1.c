/* ktest: timeout=900 */
/* cpu and cpuacct in v1: scheduler/sched-bwc.rst, admin-guide/cgroup-v1/cpuacct.rst. */
#include "cpu.h"
#include "steady.h"

static const char *controlled(void)
{
	cg1("cpu,cpuacct");
	return cg_new("");
}

TEST(files_and_defaults)
{
	const char *a = controlled();
	CG_IS(a, "cpu.shares", "1024\n");
	CG_IS(a, "cpu.idle", "0\n");
	CG_IS(a, "cpu.cfs_quota_us", "-1\n");
	CG_IS(a, "cpu.cfs_period_us", "100000\n");
	CG_IS(a, "cpu.cfs_burst_us", "0\n");
	CHECK_EQ(cg_stat(a, "cpu.stat", "nr_periods"), 0);
	CHECK_EQ(cg_stat(a, "cpu.stat", "throttled_time"), 0);
	CHECK_EQ(cg_stat(a, "cpu.stat", "burst_time"), 0);
	CG_IS(a, "cpuacct.usage", "0\n");
	CG_IS("", "cpu.shares", "1024\n");
	CG_IS("", "cpu.cfs_quota_us", "-1\n");
	CHECK_ERR(access(cg_path("%s/cpu.rt_runtime_us", a), F_OK), ENOENT);
	cg_drop(a);
}

TEST(the_root_cannot_be_set)
{
	cg1("cpu,cpuacct");
	CHECK_ERR(cg_write("", "cpu.shares", "512"), EINVAL);
	CHECK_ERR(cg_write("", "cpu.cfs_quota_us", "50000"), EINVAL);
	CHECK_ERR(cg_write("", "cpu.idle", "1"), EINVAL);
}

TEST(values_of_shares)
{
	const char *a = controlled();
	CHECK_OK(cg_write(a, "cpu.shares", "256"));
	CG_IS(a, "cpu.shares", "256\n");
	CHECK_OK(cg_write(a, "cpu.shares", "1"));
	CG_IS(a, "cpu.shares", "2\n");
	CHECK_OK(cg_write(a, "cpu.shares", "999999999"));
	CG_IS(a, "cpu.shares", "262144\n");
	CHECK_ERR(cg_write(a, "cpu.shares", "-1"), EINVAL);
	CHECK_ERR(cg_write(a, "cpu.shares", "many"), EINVAL);
	cg_drop(a);
}

TEST(values_of_quota_and_period)
{
	const char *a = controlled();
	CHECK_OK(cg_write(a, "cpu.cfs_quota_us", "50000"));
	CG_IS(a, "cpu.cfs_quota_us", "50000\n");
	CHECK_ERR(cg_write(a, "cpu.cfs_quota_us", "999"), EINVAL);
	CHECK_ERR(cg_write(a, "cpu.cfs_quota_us", "0"), EINVAL);
	CHECK_OK(cg_write(a, "cpu.cfs_quota_us", "-7"));
	CG_IS(a, "cpu.cfs_quota_us", "-1\n");
	CHECK_ERR(cg_write(a, "cpu.cfs_quota_us", "9223372036854775807"), EINVAL);
	CHECK_ERR(cg_write(a, "cpu.cfs_quota_us", "9223372036854775808"), ERANGE);
	CHECK_OK(cg_write(a, "cpu.cfs_period_us", "1000"));
	CHECK_ERR(cg_write(a, "cpu.cfs_period_us", "999"), EINVAL);
	CHECK_ERR(cg_write(a, "cpu.cfs_period_us", "1000001"), EINVAL);
	CHECK_ERR(cg_write(a, "cpu.cfs_period_us", "18446744073709551615"), EINVAL);
	CG_IS(a, "cpu.cfs_period_us", "1000\n");
	CHECK_ERR(cg_write(a, "cpu.cfs_burst_us", "18446744073709551615"), EINVAL);
	cg_drop(a);
}

TEST(a_childs_limit_is_within_its_parents)
{
	const char *a = controlled();
	const char *b = cg_new(a);
	const char *c = cg_new(b);
	CHECK_OK(cg_write(a, "cpu.cfs_quota_us", "50000"));
	CHECK_ERR(cg_write(c, "cpu.cfs_quota_us", "50001"), EINVAL);
	CHECK_OK(cg_write(c, "cpu.cfs_quota_us", "50000"));
	CHECK_ERR(cg_write(c, "cpu.cfs_period_us", "50000"), EINVAL);
	CHECK_OK(cg_write(c, "cpu.cfs_period_us", "200000"));
	CHECK_ERR(cg_write(a, "cpu.cfs_quota_us", "20000"), EINVAL);
	CHECK_OK(cg_write(a, "cpu.cfs_quota_us", "25000"));
	CHECK_ERR(cg_write(b, "cpu.cfs_quota_us", "24999"), EINVAL);
	CHECK_ERR(cg_write(b, "cpu.cfs_quota_us", "26000"), EINVAL);
	CHECK_OK(cg_write(b, "cpu.cfs_quota_us", "25000"));
	CHECK_OK(cg_write(a, "cpu.cfs_quota_us", "-1"));
	CHECK_OK(cg_write(b, "cpu.cfs_quota_us", "90000"));
	cg_drop(c);
	cg_drop(b);
	cg_drop(a);
}

static uint64_t sum_of_percpu(const char *cg)
{
	uint64_t sum = 0;
	const char *at = cg_read(cg, "cpuacct.usage_percpu");
	for (char *end; *at != '\n'; at = end + 1) {
		sum += strtoull(at, &end, 10);
		CHECK_EQ(*end, ' ');
	}
	return sum;
}

STEADY(cpuacct_counts)
{
	const char *a = controlled();
	const char *b = cg_new(a);
	pid_t child = busy(b, 1);
	WAIT_FOR(strtoull(cg_read(b, "cpuacct.usage"), NULL, 10) > 300000000);
	end(child);
	/* Its last step is counted when its CPU has left it. */
	uint64_t usage;
	WAIT_FOR((usage = strtoull(cg_read(b, "cpuacct.usage"), NULL, 10)) == sum_of_percpu(b));
	uint64_t parts = strtoull(cg_read(b, "cpuacct.usage_user"), NULL, 10) +
			 strtoull(cg_read(b, "cpuacct.usage_sys"), NULL, 10);
	/* Linux counts the parts by another clock. */
	CHECK(near(percent(parts, usage), 100, 50));
	CHECK(!strncmp(cg_read(b, "cpuacct.usage_all"), "cpu user system\n0 ", 18));
	CHECK(cg_stat(b, "cpuacct.stat", "user") >= 20);
	CHECK(cg_stat(b, "cpuacct.stat", "system") >= 0);
	CHECK(strtoull(cg_read(a, "cpuacct.usage"), NULL, 10) >= usage);
	CHECK_ERR(cg_write(b, "cpuacct.usage", "1"), EINVAL);
	CHECK_OK(cg_write(b, "cpuacct.usage", "0"));
	CG_IS(b, "cpuacct.usage", "0\n");
	CHECK(strtoull(cg_read(a, "cpuacct.usage"), NULL, 10) >= usage);
	cg_drop(b);
	cg_drop(a);
}

STEADY(a_quota_holds)
{
	const char *a = controlled();
	CHECK_OK(cg_write(a, "cpu.cfs_quota_us", "40000"));
	pid_t child = busy(a, 2);
	pause_ms(300);
	next_period(a);
	int64_t start = now_ns(CLOCK_MONOTONIC);
	uint64_t used = strtoull(cg_read(a, "cpuacct.usage"), NULL, 10);
	pause_ms(span_ms() - 50);
	next_period(a);
	used = strtoull(cg_read(a, "cpuacct.usage"), NULL, 10) - used;
	CHECK(near(percent(used, now_ns(CLOCK_MONOTONIC) - start), 40, 5));
	CHECK(cg_stat(a, "cpu.stat", "nr_throttled") > span_ms() / 150);
	CHECK(cg_stat(a, "cpu.stat", "throttled_time") > 100000000);
	end(child);
	cg_drop(a);
}

STEADY(shares_share)
{
	const char *a = controlled();
	const char *b = cg_new("");
	CHECK_OK(cg_write(a, "cpu.shares", "256"));
	int cpus = sysconf(_SC_NPROCESSORS_ONLN);
	pid_t one = busy(a, cpus), other = busy(b, cpus);
	pause_ms(500);
	int64_t ua = strtoull(cg_read(a, "cpuacct.usage"), NULL, 10), ub = strtoull(cg_read(b, "cpuacct.usage"), NULL, 10);
	pause_ms(span_ms());
	ua = strtoull(cg_read(a, "cpuacct.usage"), NULL, 10) - ua;
	ub = strtoull(cg_read(b, "cpuacct.usage"), NULL, 10) - ub;
	CHECK(near(percent(ua, ua + ub), 20, 4));
	end(one);
	end(other);
	cg_drop(b);
	cg_drop(a);
}
