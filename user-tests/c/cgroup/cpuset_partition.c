/* cpuset.cpus.partition of cgroup2 and cpuset.sched_load_balance of v1: which CPUs share their load. */
#include "cpu.h"

static int nr_cpus(void)
{
	return sysconf(_SC_NPROCESSORS_ONLN);
}

static const char *controlled(void)
{
	if (nr_cpus() < 4)
		SKIP("fewer than four CPUs");
	cg2();
	CHECK_OK(cg_write("", "cgroup.subtree_control", "+cpuset"));
	return cg_new("");
}

static void done(const char *a)
{
	cg_drop(a);
	/* Linux gives CPUs back a little after the rmdir. */
	WAIT_FOR(!strcmp(cg_read("", "cpuset.cpus.effective"), "0-3\n"));
	CHECK_OK(cg_write("", "cgroup.subtree_control", "-cpuset"));
}

static unsigned long mask_of(pid_t pid)
{
	unsigned long mask[16] = { 0 };
	CHECK_OK(sched_getaffinity(pid, sizeof mask, (cpu_set_t *)mask));
	return mask[0];
}

#define PARTITION(cg, state) CG_IS(cg, "cpuset.cpus.partition", state "\n")
#define EFFECTIVE(cg, cpus) CG_IS(cg, "cpuset.cpus.effective", cpus "\n")

static void set(const char *cg, const char *cpus, const char *partition)
{
	if (cpus)
		CHECK_OK(cg_write(cg, "cpuset.cpus", cpus));
	if (partition)
		CHECK_OK(cg_write(cg, "cpuset.cpus.partition", partition));
}

TEST(words)
{
	const char *a = controlled();
	PARTITION(a, "member");
	CHECK_ERR(access(cg_path("cpuset.cpus.partition"), F_OK), ENOENT);
	static const char *bad[] = { "x", "roots", "0", "1", "root invalid", "Root", "member root" };
	for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
		CHECK_ERR(cg_write(a, "cpuset.cpus.partition", bad[i]), EINVAL);
	PARTITION(a, "member");
	set(a, "1", " root \n");
	PARTITION(a, "root");
	set(a, NULL, "isolated");
	PARTITION(a, "isolated");
	set(a, NULL, "member");
	PARTITION(a, "member");
	done(a);
}

TEST(a_partition_takes_its_cpus_from_the_parent)
{
	const char *a = controlled();
	const char *b = cg_new("");
	pid_t here = cg_sleeper(""), there = cg_sleeper(a), other = cg_sleeper(b);
	set(a, "1-2", "root");
	PARTITION(a, "root");
	EFFECTIVE("", "0,3");
	EFFECTIVE(a, "1-2");
	EFFECTIVE(b, "0,3");
	CHECK_EQ(mask_of(there), 6);
	CHECK_EQ(mask_of(other), 9);
	CHECK_EQ(mask_of(here), 9);
	/* Others may ask for them, and do not get them. */
	set(b, "0", NULL);
	EFFECTIVE(b, "0");
	set(a, "2-3", NULL);
	PARTITION(a, "root");
	EFFECTIVE("", "0-1");
	EFFECTIVE(a, "2-3");
	CHECK_EQ(mask_of(here), 3);
	CHECK_EQ(mask_of(there), 12);
	set(a, NULL, "member");
	EFFECTIVE("", "0-3");
	EFFECTIVE(a, "2-3");
	CHECK_EQ(mask_of(here), 15);
	cg_end(here), cg_end(there), cg_end(other);
	cg_drop(b);
	done(a);
}

TEST(why_a_partition_is_invalid)
{
	const char *a = controlled();
	const char *b = cg_new("");
	set(a, NULL, "root");
	PARTITION(a, "root invalid (cpuset.cpus is empty)");
	/* It stays what it was to be until it is valid. */
	set(a, NULL, "isolated");
	PARTITION(a, "isolated invalid (cpuset.cpus is empty)");
	set(a, "1", NULL);
	PARTITION(a, "isolated");
	EFFECTIVE("", "0,2-3");
	set(a, NULL, "member");
	/* Shared with a sibling. */
	set(b, "1-2", NULL);
	set(a, NULL, "root");
	PARTITION(a, "root invalid (Cpu list in cpuset.cpus not exclusive)");
	EFFECTIVE("", "0-3");
	set(b, "2", NULL);
	PARTITION(a, "root invalid (Cpu list in cpuset.cpus not exclusive)");
	set(a, NULL, "member");
	set(a, NULL, "root");
	PARTITION(a, "root");
	/* A sibling that asks for it later makes it invalid. */
	set(b, "1-2", NULL);
	PARTITION(a, "root invalid (Cpu list in cpuset.cpus not exclusive)");
	EFFECTIVE("", "0-3");
	set(a, NULL, "member");
	/* The parent is no partition, or not a valid one. */
	CHECK_OK(cg_write(a, "cgroup.subtree_control", "+cpuset"));
	const char *c = cg_new(a);
	set(b, "3", NULL);
	set(a, "1-2", NULL);
	set(c, "1", "root");
	PARTITION(c, "root invalid (Parent is not a partition root)");
	set(c, NULL, "member");
	set(a, "3", "root");
	PARTITION(a, "root invalid (Cpu list in cpuset.cpus not exclusive)");
	set(c, NULL, "root");
	PARTITION(c, "root invalid (Parent is an invalid partition root)");
	set(c, NULL, "member");
	set(a, NULL, "member");
	/* All that the root has cannot be taken: it has tasks. */
	set(b, "0", NULL);
	set(b, "\n", NULL);
	set(a, "0-3", "root");
	PARTITION(a, "root invalid (Parent unable to distribute cpu downstream)");
	set(a, NULL, "member");
	cg_drop(c);
	cg_drop(b);
	done(a);
}

TEST(partitions_within_partitions)
{
	const char *a = controlled();
	CHECK_OK(cg_write(a, "cgroup.subtree_control", "+cpuset"));
	const char *b = cg_new(a);
	const char *c = cg_new(a);
	pid_t inner = cg_sleeper(b);
	set(a, "1-3", "root");
	set(b, "2", "root");
	PARTITION(b, "root");
	EFFECTIVE("", "0");
	EFFECTIVE(a, "1,3");
	EFFECTIVE(b, "2");
	EFFECTIVE(c, "1,3");
	CHECK_EQ(mask_of(inner), 4);
	/* A partition without tasks of its own may give all away; then nobody can enter. */
	set(c, "1,3", "isolated");
	PARTITION(c, "isolated");
	EFFECTIVE(a, "");
	set(c, NULL, "member");
	EFFECTIVE(a, "1,3");
	/* Without its parent it is none. */
	set(a, NULL, "member");
	PARTITION(b, "root invalid (Parent is not a partition root)");
	EFFECTIVE("", "0-3");
	EFFECTIVE(b, "2");
	set(a, NULL, "root");
	PARTITION(b, "root");
	EFFECTIVE(a, "1,3");
	EFFECTIVE(b, "2");
	/* The parent gives up the CPU. */
	set(a, "1,3", NULL);
	PARTITION(a, "root");
	EFFECTIVE(b, "1,3");
	set(b, NULL, "member");
	cg_end(inner);
	cg_drop(b);
	cg_drop(c);
	set(a, NULL, "member");
	done(a);
}

TEST(a_removed_partition_gives_its_cpus_back)
{
	const char *a = controlled();
	set(a, "1-3", "isolated");
	EFFECTIVE("", "0");
	done(a);
}

TEST(changes_of_the_state_are_told)
{
	const char *a = controlled();
	const char *b = cg_new("");
	set(a, "1", NULL);
	set(b, "2", NULL);
	int fd = CHECK_OK(open(cg_path("%s/cpuset.cpus.partition", a), O_RDONLY));
	char text[64];
	struct pollfd p = { fd, POLLPRI, 0 };
	CHECK(read(fd, text, sizeof text) > 0);
	CHECK_EQ(poll(&p, 1, 0), 0);
	set(a, NULL, "root");
	CHECK_EQ(poll(&p, 1, 5000), 1);
	CHECK(p.revents & POLLPRI);
	CHECK(pread(fd, text, sizeof text, 0) > 0);
	CHECK_EQ(poll(&p, 1, 0), 0);
	set(b, "1-2", NULL);
	CHECK_EQ(poll(&p, 1, 5000), 1);
	close(fd);
	set(a, NULL, "member");
	cg_drop(b);
	done(a);
}

static long long used(pid_t pid)
{
	char path[64];
	char text[64];
	snprintf(path, sizeof path, "/proc/%d/schedstat", pid);
	CHECK(kt_read_file(path, text, sizeof text) > 0);
	return strtoll(text, NULL, 10);
}

/* Two spinners that began on one CPU: whether each got a CPU of its own within a second or two. */
static int spread(const char *cg)
{
	pid_t pids[2];
	for (int i = 0; i < 2; i++)
		pids[i] = SPAWN(cg_enter(cg); for (;;) ;);
	/* Together on the first CPU, and then free to go. */
	unsigned long one[16] = { 2 }, both[16] = { 6 };
	kt_sleep_ms(100);
	for (int i = 0; i < 2; i++)
		CHECK_OK(sched_setaffinity(pids[i], sizeof one, (cpu_set_t *)one));
	kt_sleep_ms(100);
	for (int i = 0; i < 2; i++)
		CHECK_OK(sched_setaffinity(pids[i], sizeof both, (cpu_set_t *)both));
	int spread = 0;
	for (int i = 0; i < 10 && !spread; i++) {
		long long before = used(pids[0]) + used(pids[1]), start = kt_now_ms();
		kt_sleep_ms(200);
		long long ms = kt_now_ms() - start;
		spread = used(pids[0]) + used(pids[1]) - before > ms * 1500000;
	}
	for (int i = 0; i < 2; i++)
		cg_end(pids[i]);
	return spread;
}

TEST(an_isolated_partition_does_not_balance)
{
	const char *a = controlled();
	set(a, "1-2", "root");
	CHECK(spread(a));
	set(a, NULL, "isolated");
	CHECK(!spread(a));
	set(a, NULL, "root");
	CHECK(spread(a));
	set(a, NULL, "member");
	done(a);
}

TEST(v1_files_of_flags)
{
	cg1("cpuset");
	const char *a = cg_new("");
	static const char *flags[] = { "mem_hardwall", "memory_migrate", "memory_spread_page", "memory_spread_slab",
		"sched_load_balance", "mem_exclusive" };
	CHECK_OK(cg_write(a, "cpuset.cpus", "0"));
	CHECK_OK(cg_write(a, "cpuset.mems", "0"));
	for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++) {
		char file[64];
		snprintf(file, sizeof file, "cpuset.%s", flags[i]);
		int is = !strcmp(flags[i], "sched_load_balance");
		CG_IS(a, file, is ? "1\n" : "0\n");
		CHECK_OK(cg_write(a, file, is ? "0" : "7"));
		CG_IS(a, file, is ? "0\n" : "1\n");
		CHECK_ERR(cg_write(a, file, "x"), EINVAL);
		CHECK_ERR(cg_write(a, file, "-1"), EINVAL);
	}
	/* A child has its parent's way of spreading memory. */
	const char *b = cg_new(a);
	CG_IS(b, "cpuset.memory_spread_page", "1\n");
	CG_IS(b, "cpuset.memory_spread_slab", "1\n");
	CG_IS(b, "cpuset.memory_migrate", "0\n");
	CG_IS(b, "cpuset.mem_hardwall", "0\n");
	CG_IS(b, "cpuset.sched_load_balance", "1\n");
	CG_IS(a, "cpuset.memory_pressure", "0\n");
	CHECK_ERR(cg_write(a, "cpuset.memory_pressure", "0"), EINVAL);
	CHECK_ERR(access(cg_path("%s/cpuset.memory_pressure_enabled", a), F_OK), ENOENT);
	CG_IS("", "cpuset.memory_pressure_enabled", "0\n");
	CHECK_OK(cg_write("", "cpuset.memory_pressure_enabled", "1"));
	CG_IS("", "cpuset.memory_pressure_enabled", "1\n");
	CHECK_OK(cg_write("", "cpuset.memory_pressure_enabled", "0"));
	cg_drop(b);
	cg_drop(a);
	cg1_end("cpuset");
}

TEST(v1_load_is_balanced_where_it_is_asked_for)
{
	if (nr_cpus() < 4)
		SKIP("fewer than four CPUs");
	cg1("cpuset");
	const char *a = cg_new("");
	CHECK_OK(cg_write(a, "cpuset.mems", "0"));
	CHECK_OK(cg_write(a, "cpuset.cpus", "1-2"));
	CHECK(spread(a));
	CHECK_OK(cg_write(a, "cpuset.sched_load_balance", "0"));
	/* The root still has all CPUs balanced. */
	CHECK(spread(a));
	CHECK_OK(cg_write("", "cpuset.sched_load_balance", "0"));
	CHECK(!spread(a));
	CHECK_OK(cg_write(a, "cpuset.sched_load_balance", "1"));
	CHECK(spread(a));
	CHECK_OK(cg_write("", "cpuset.sched_load_balance", "1"));
	cg_drop(a);
	cg1_end("cpuset");
}

TEST(proc_tells_of_the_cpuset)
{
	cg2();
	CHECK_OK(cg_write("", "cgroup.subtree_control", "+cpuset"));
	const char *a = cg_new("");
	char path[64];
	char text[256];
	char want[256];
	CHECK_OK(cg_write(a, "cpuset.cpus", "0"));
	pid_t child = cg_sleeper(a);
	snprintf(path, sizeof path, "/proc/%d/cpuset", child);
	CHECK(kt_read_file(path, text, sizeof text) > 0);
	snprintf(want, sizeof want, "/%s\n", a);
	CHECK(!strcmp(text, want));
	snprintf(path, sizeof path, "/proc/%d/task/%d/cpuset", child, child);
	CHECK(kt_read_file(path, text, sizeof text) > 0);
	CHECK(!strcmp(text, want));
	snprintf(path, sizeof path, "/proc/%d/status", child);
	CHECK(kt_read_file(path, text, sizeof text) > 0);
	CHECK(kt_read_file("/proc/self/cpuset", text, sizeof text) > 0);
	CHECK(!strcmp(text, "/\n"));
	cg_end(child);
	cg_drop(a);
	CHECK_OK(cg_write("", "cgroup.subtree_control", "-cpuset"));
}
