/*
 * The memory controller in a v1 hierarchy: Documentation/admin-guide/cgroup-v1/memory.rst.
 */
#include "memory.h"

TEST(limits_of_a_new_cgroup)
{
	mem1_init();
	const char *a = mem_new("a");
	CHECK_EQ(mem_get(a, "memory.limit_in_bytes"), 9223372036854771712LL);
	CHECK_EQ(mem_get(a, "memory.memsw.limit_in_bytes"), 9223372036854771712LL);
	CHECK_EQ(mem_get(a, "memory.soft_limit_in_bytes"), 9223372036854771712LL);
	CHECK_EQ(mem_get(a, "memory.failcnt"), 0);
	CHECK_EQ(mem_get(a, "memory.use_hierarchy"), 1);
	CHECK_EQ(mem_get(a, "memory.swappiness"), 60);
	CHECK(!strcmp(mem_text(a, "memory.oom_control"), "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n"));
	mem_done();
}

TEST(writes_to_the_limits)
{
	mem1_init();
	const char *a = mem_new("a");
	CHECK_OK(mem_set(a, "memory.limit_in_bytes", "64M"));
	CHECK_EQ(mem_get(a, "memory.limit_in_bytes"), 64 * MB);
	CHECK_ERR(mem_set(a, "memory.memsw.limit_in_bytes", "32M"), EINVAL);
	CHECK_OK(mem_set(a, "memory.memsw.limit_in_bytes", "64M"));
	CHECK_ERR(mem_set(a, "memory.limit_in_bytes", "128M"), EINVAL);
	CHECK_OK(mem_set(a, "memory.memsw.limit_in_bytes", "-1"));
	CHECK_OK(mem_set(a, "memory.limit_in_bytes", "-1"));
	CHECK_EQ(mem_get(a, "memory.limit_in_bytes"), 9223372036854771712LL);
	CHECK_ERR(mem_set(a, "memory.limit_in_bytes", "max"), EINVAL);
	CHECK_ERR(mem_set(a, "memory.limit_in_bytes", "-2"), EINVAL);
	CHECK_ERR(mem_set(a, "memory.limit_in_bytes", "x"), EINVAL);
	CHECK_ERR(mem_set("", "memory.limit_in_bytes", "64M"), EINVAL);
	CHECK_ERR(mem_set(a, "memory.swappiness", "201"), EINVAL);
	CHECK_OK(mem_set(a, "memory.swappiness", "100"));
	CHECK_ERR(mem_set(a, "memory.use_hierarchy", "0"), EINVAL);
	CHECK_OK(mem_set(a, "memory.use_hierarchy", "1"));
	CHECK_ERR(mem_set(a, "memory.oom_control", "2"), EINVAL);
	CHECK_ERR(mem_set("", "memory.oom_control", "1"), EINVAL);
	CHECK_ERR(mem_set("", "memory.force_empty", "0"), EINVAL);
	mem_done();
}

/* What each file answers to each value: an error, or nothing. */
TEST(bad_values)
{
	mem1_init();
	const char *a = mem_new("a");
	static const char *values[] = {
		"\n", " ", "0", "1", "-1", "-2", "x", "max", "64M", "0x1000", "4096\n", "1 2",
		"18446744073709551615", "18446744073709551616", "99999999999999999999999", "2", "200",
		"201", " 1", "1 ", "1\n\n", "+1", "-0", "64MB", "1.5G", "08",
	};
	/* A letter for each value: o is taken, i EINVAL, r ERANGE. */
	static const struct { const char *file, *child, *root; } files[] = {
		{ "memory.limit_in_bytes", "oooooiiioooioooooooooiiiii", "iiiiiiiiiiiiiiiiiiiiiiiiii" },
		{ "memory.memsw.limit_in_bytes", "iiiioiiiiiiioiiiiiiiiiiiii", "iiiiiiiiiiiiiiiiiiiiiiiiii" },
		{ "memory.soft_limit_in_bytes", "oooooiiioooioooooooooiiiii", "oooooiiioooioooooooooiiiii" },
		{ "memory.kmem.limit_in_bytes", "oooooiiioooioooooooooiiiii", "iiiiiiiiiiiiiiiiiiiiiiiiii" },
		{ "memory.failcnt", "oooooooooooooooooooooooooo", "oooooooooooooooooooooooooo" },
		{ "memory.memsw.failcnt", "oooooooooooooooooooooooooo", "oooooooooooooooooooooooooo" },
		{ "memory.kmem.failcnt", "oooooooooooooooooooooooooo", "oooooooooooooooooooooooooo" },
		{ "memory.max_usage_in_bytes", "oooooooooooooooooooooooooo", "oooooooooooooooooooooooooo" },
		{ "memory.memsw.max_usage_in_bytes", "oooooooooooooooooooooooooo", "oooooooooooooooooooooooooo" },
		{ "memory.kmem.max_usage_in_bytes", "oooooooooooooooooooooooooo", "oooooooooooooooooooooooooo" },
		{ "memory.force_empty", "oooooooooooooooooooooooooo", "iiiiiiiiiiiiiiiiiiiiiiiiii" },
		{ "memory.use_hierarchy", "iiioiiiiiiiiirriiiiiioiiii", "iiioiiiiiiiiirriiiiiioiiii" },
		{ "memory.swappiness", "iiooiiiiiiiiirrooiiiioiiii", "iiooiiiiiiiiirrooiiiioiiii" },
		{ "memory.oom_control", "iiooiiiiiiiiirriiiiiioiiii", "iiiiiiiiiiiiirriiiiiiiiiii" },
		{ "memory.usage_in_bytes", "iiiiiiiiiiiiiiiiiiiiiiiiii", "iiiiiiiiiiiiiiiiiiiiiiiiii" },
		{ "memory.memsw.usage_in_bytes", "iiiiiiiiiiiiiiiiiiiiiiiiii", "iiiiiiiiiiiiiiiiiiiiiiiiii" },
		{ "memory.kmem.usage_in_bytes", "iiiiiiiiiiiiiiiiiiiiiiiiii", "iiiiiiiiiiiiiiiiiiiiiiiiii" },
		{ "memory.stat", "iiiiiiiiiiiiiiiiiiiiiiiiii", "iiiiiiiiiiiiiiiiiiiiiiiiii" },
		{ "memory.numa_stat", "iiiiiiiiiiiiiiiiiiiiiiiiii", "iiiiiiiiiiiiiiiiiiiiiiiiii" },
	};
	int same = 1;
	for (unsigned f = 0; f < sizeof files / sizeof *files; f++)
		for (int root = 0; root < 2; root++) {
			char got[64] = "";
			const char *cg = root ? "" : a, *want = root ? files[f].root : files[f].child;
			for (unsigned i = 0; i < sizeof values / sizeof *values; i++) {
				int result = mem_set(cg, files[f].file, values[i]);
				got[i] = result == 0 ? 'o' : errno == EINVAL ? 'i' : errno == ERANGE ? 'r' : '?';
			}
			if (strcmp(got, want)) {
				same = 0;
				printf("# %s %s\n#   got  %s\n#   want %s\n", root ? "root" : "child", files[f].file, got, want);
			}
			/* Nothing written is nothing taken; too much is too much. */
			CHECK_OK(mem_set(cg, files[f].file, ""));
			mem_set(cg, files[f].file, "-1");
			mem_set(cg, files[f].file, "60");
			mem_set(cg, files[f].file, "0");
			mem_set(cg, files[f].file, "-1");
		}
	mem_set("", "memory.swappiness", "60");
	CHECK(same);
	mem_done();
}

TEST(the_lower_of_equal_limits_fails_with_swap)
{
	mem1_init();
	const char *a = mem_new("a");
	CHECK_OK(mem_set(a, "memory.limit_in_bytes", "8M"));
	CHECK_OK(mem_set(a, "memory.memsw.limit_in_bytes", "8M"));
	CHECK(mem_killed(SPAWN_IN(a, mem_touch(16 * MB))));
	CHECK_EQ(mem_get(a, "memory.failcnt"), 0);
	CHECK(mem_get(a, "memory.memsw.failcnt") > 0);
	CHECK(mem_get(a, "memory.memsw.max_usage_in_bytes") > 7 * MB);
	CHECK(mem_get(a, "memory.kmem.max_usage_in_bytes") > 0);
	mem_done();
}

TEST(the_sum_of_a_subtree)
{
	mem1_init();
	const char *a = mem_new("a");
	const char *b = mem_new("a/b");
	int ready[2];
	CHECK_OK(pipe(ready));
	char c;
	pid_t pid = SPAWN_IN(b, { mem_touch(8 * MB); CHECK_EQ(write(ready[1], "x", 1), 1); for (;;) pause(); });
	CHECK_EQ(read(ready[0], &c, 1), 1);
	CHECK(mem_get(a, "memory.usage_in_bytes") >= 8 * MB);
	/* Linux tells of statistics every two seconds. */
	WAIT_FOR(kt_field(mem_path(a, "memory.stat"), "total_rss ") >= 8 * MB);
	CHECK_EQ(kt_field(mem_path(a, "memory.stat"), "rss "), 0);
	CHECK(kt_field(mem_path(b, "memory.stat"), "rss ") >= 8 * MB);
	CHECK(strstr(mem_text(a, "memory.numa_stat"), "hierarchical_total="));
	CHECK(!strncmp(mem_text(a, "memory.numa_stat"), "total=0 N0=0\n", 13));
	kill(pid, SIGKILL);
	kt_wait(pid);
	mem_done();
}

TEST(a_hog_is_killed_at_the_limit)
{
	mem1_init();
	const char *a = mem_new("a");
	CHECK_OK(mem_set(a, "memory.limit_in_bytes", "16M"));
	pid_t hog = SPAWN_IN(a, mem_touch(64 * MB));
	CHECK(mem_killed(hog));
	CHECK(mem_get(a, "memory.failcnt") > 0);
	CHECK(mem_get(a, "memory.max_usage_in_bytes") <= 16 * MB);
	CHECK(mem_get(a, "memory.max_usage_in_bytes") > 15 * MB);
	CHECK_EQ(kt_field(mem_path(a, "memory.oom_control"), "oom_kill "), 1);
	CHECK_OK(mem_set(a, "memory.failcnt", "0"));
	CHECK_EQ(mem_get(a, "memory.failcnt"), 0);
	WAIT_FOR(mem_get(a, "memory.usage_in_bytes") < 2 * MB);
	CHECK_OK(mem_set(a, "memory.max_usage_in_bytes", "0"));
	CHECK(mem_get(a, "memory.max_usage_in_bytes") < 2 * MB);
	CHECK_EQ(kt_field(mem_path(a, "memory.stat"), "hierarchical_memory_limit "), 16 * MB);
	mem_done();
}

TEST(a_limit_below_the_usage_is_busy)
{
	mem1_init();
	const char *a = mem_new("a");
	int ready[2];
	CHECK_OK(pipe(ready));
	char c;
	pid_t pid = SPAWN_IN(a, { mem_touch(16 * MB); CHECK_EQ(write(ready[1], "x", 1), 1); for (;;) pause(); });
	CHECK_EQ(read(ready[0], &c, 1), 1);
	CHECK(kt_field(mem_path(a, "memory.stat"), "rss ") >= 15 * MB);
	CHECK_ERR(mem_set(a, "memory.limit_in_bytes", "4M"), EBUSY);
	CHECK_EQ(mem_get(a, "memory.limit_in_bytes"), 9223372036854771712LL);
	CHECK_EQ(waitpid(pid, NULL, WNOHANG), 0);
	kill(pid, SIGKILL);
	kt_wait(pid);
	mem_done();
}

TEST(without_the_killer_a_task_waits_for_room)
{
	mem1_init();
	const char *a = mem_new("a");
	CHECK_OK(mem_set(a, "memory.limit_in_bytes", "8M"));
	CHECK_OK(mem_set(a, "memory.oom_control", "1"));
	pid_t pid = SPAWN_IN(a, mem_touch(16 * MB));
	WAIT_FOR(kt_field(mem_path(a, "memory.oom_control"), "under_oom ") == 1);
	kt_sleep_ms(100);
	CHECK_EQ(waitpid(pid, NULL, WNOHANG), 0);
	CHECK_OK(mem_set(a, "memory.limit_in_bytes", "32M"));
	JOIN(pid);
	CHECK_EQ(kt_field(mem_path(a, "memory.oom_control"), "under_oom "), 0);
	/* It can be killed, too. */
	CHECK_OK(mem_set(a, "memory.limit_in_bytes", "8M"));
	pid = SPAWN_IN(a, mem_touch(16 * MB));
	WAIT_FOR(kt_field(mem_path(a, "memory.oom_control"), "under_oom ") == 1);
	CHECK_OK(kill(pid, SIGKILL));
	CHECK(mem_killed(pid));
	mem_done();
}
