/*
 * cgroup.event_control: usage thresholds, out-of-memory and pressure notifications through eventfd.
 * Documentation/admin-guide/cgroup-v1/memory.rst.
 */
#include <sys/eventfd.h>

#include "memory.h"

/* An eventfd that is told about `file` of `cg`. */
static int watch(const char *cg, const char *file, const char *args)
{
	char text[64];
	int fd = eventfd(0, EFD_NONBLOCK);
	CHECK(fd >= 0);
	int watched = open(mem_path(cg, file), O_RDONLY);
	CHECK(watched >= 0);
	snprintf(text, sizeof text, "%d %d%s%s", fd, watched, *args ? " " : "", args);
	CHECK_OK(mem_set(cg, "cgroup.event_control", text));
	/* The registration stays. */
	close(watched);
	return fd;
}

static long long count(int fd)
{
	uint64_t value;
	return read(fd, &value, 8) == 8 ? (long long)value : 0;
}

TEST(what_is_accepted)
{
	mem1_init();
	const char *a = mem_new("a");
	struct stat st;
	CHECK_OK(stat(mem_path(a, "cgroup.event_control"), &st));
	CHECK_EQ(st.st_mode & 0777, 0222);
	CHECK_OK(stat(mem_path(a, "memory.pressure_level"), &st));
	CHECK_EQ(st.st_mode & 0777, 0);
	static const struct { const char *text; int error; } early[] = {
		{ "\n", EINVAL }, { "x", EINVAL }, { "1", EINVAL }, { "1 2", EINVAL }, { "999 3", EBADF },
		{ "999 998 x", EBADF }, { "0 0", EINVAL }, { "0 0 1", EINVAL },
	};
	for (unsigned i = 0; i < sizeof early / sizeof *early; i++)
		CHECK_ERR(mem_set(a, "cgroup.event_control", early[i].text), early[i].error);
	static const char *files[] = {
		"memory.usage_in_bytes", "memory.memsw.usage_in_bytes", "memory.oom_control",
		"memory.pressure_level", "memory.stat", "tasks", "memory.kmem.usage_in_bytes",
		"memory.max_usage_in_bytes",
	};
	static const struct { const char *args, *want; } args[] = {
		{ "", "oooiiiii" }, { " ", "oooiiiii" }, { " 0", "oooiiiii" }, { " 4096", "oooiiiii" },
		{ " -1", "oooiiiii" }, { " x", "iioiiiii" }, { " 1M", "oooiiiii" }, { " low", "iiooiiii" },
		{ " low,local", "iiooiiii" }, { " medium,default", "iiooiiii" },
		{ " critical,hierarchy", "iiooiiii" }, { " critical,bogus", "iioiiiii" },
		{ " bogus", "iioiiiii" }, { " medium foo", "iioiiiii" }, { " low\n", "iiooiiii" },
		{ " 4096 5", "iioiiiii" }, { " 999999999999999999999", "oooiiiii" }, { "x", "iiiiiiii" },
	};
	int fd = eventfd(0, EFD_NONBLOCK);
	char text[128];
	for (unsigned f = 0; f < sizeof files / sizeof *files; f++) {
		int watched = open(mem_path(a, files[f]), O_RDONLY);
		CHECK(watched >= 0);
		for (unsigned i = 0; i < sizeof args / sizeof *args; i++) {
			snprintf(text, sizeof text, "%d %d%s", fd, watched, args[i].args);
			int result = mem_set(a, "cgroup.event_control", text);
			char got = result == 0 ? 'o' : errno == EINVAL ? 'i' : '?';
			if (got != args[i].want[f])
				printf("# %s [%s]: %c\n", files[f], args[i].args, got);
			CHECK_EQ(got, args[i].want[f]);
		}
		close(watched);
	}
	/* Of another cgroup; no eventfd; no file of a cgroup. */
	int other = open(mem_path("", files[0]), O_RDONLY);
	int own = open(mem_path(a, files[0]), O_RDONLY);
	int ends[2];
	CHECK_OK(pipe(ends));
	snprintf(text, sizeof text, "%d %d 4096", fd, other);
	CHECK_ERR(mem_set(a, "cgroup.event_control", text), EINVAL);
	snprintf(text, sizeof text, "%d %d 4096", ends[0], own);
	CHECK_ERR(mem_set(a, "cgroup.event_control", text), EINVAL);
	snprintf(text, sizeof text, "%d %d 4096", fd, ends[0]);
	CHECK_ERR(mem_set(a, "cgroup.event_control", text), EINVAL);
	mem_done();
}

TEST(thresholds)
{
	mem1_init();
	const char *a = mem_new("a");
	const char *b = mem_new("a/b");
	int low = watch(a, "memory.usage_in_bytes", "4M");
	int high = watch(a, "memory.usage_in_bytes", "16M");
	int memsw = watch(b, "memory.memsw.usage_in_bytes", "4M");
	CHECK_EQ(count(low), 0);
	int go[2], done[2];
	CHECK_OK(pipe(go));
	CHECK_OK(pipe(done));
	char c;
	pid_t pid = SPAWN_IN(b, {
		char *at = mem_touch(8 * MB);
		CHECK_EQ(write(done[1], "x", 1), 1);
		CHECK_EQ(read(go[0], &c, 1), 1);
		mem_touch(16 * MB);
		CHECK_EQ(write(done[1], "x", 1), 1);
		CHECK_EQ(read(go[0], &c, 1), 1);
		munmap(at, 8 * MB);
	});
	CHECK_EQ(read(done[0], &c, 1), 1);
	CHECK_EQ(count(low), 1);
	CHECK_EQ(count(high), 0);
	CHECK_EQ(count(memsw), 1);
	CHECK_EQ(write(go[1], "x", 1), 1);
	CHECK_EQ(read(done[0], &c, 1), 1);
	CHECK_EQ(count(low), 0);
	CHECK_EQ(count(high), 1);
	CHECK_EQ(write(go[1], "x", 1), 1);
	JOIN(pid);
	/* And down again. */
	WAIT_FOR((mem_get(a, "memory.usage_in_bytes"), count(low)) == 1);
	CHECK_EQ(count(high), 1);
	mem_done();
}

TEST(a_reader_waits_for_a_threshold)
{
	mem1_init();
	const char *a = mem_new("a");
	int fd = watch(a, "memory.usage_in_bytes", "4M");
	CHECK_OK(fcntl(fd, F_SETFL, 0));
	pid_t pid = SPAWN_IN(a, { kt_sleep_ms(100); mem_touch(8 * MB); kt_sleep_ms(100); });
	uint64_t value;
	CHECK_EQ(read(fd, &value, 8), 8);
	CHECK_EQ(value, 1);
	JOIN(pid);
	mem_done();
}

TEST(out_of_memory_with_the_killer)
{
	mem1_init();
	const char *a = mem_new("a");
	const char *b = mem_new("a/b");
	const char *c = mem_new("c");
	CHECK_OK(mem_set(a, "memory.limit_in_bytes", "8M"));
	int of_a = watch(a, "memory.oom_control", "");
	int of_b = watch(b, "memory.oom_control", "");
	int of_c = watch(c, "memory.oom_control", "");
	int pressure = watch(a, "memory.pressure_level", "low");
	int local = watch("", "memory.pressure_level", "low,local");
	int passed = watch("", "memory.pressure_level", "critical,hierarchy");
	int not_passed = watch("", "memory.pressure_level", "critical");
	int closed = watch(a, "memory.oom_control", "");
	close(closed);
	CHECK(mem_killed(SPAWN_IN(a, mem_touch(16 * MB))));
	CHECK(count(of_a) >= 1);
	CHECK(count(of_b) >= 1);
	CHECK_EQ(count(of_c), 0);
	WAIT_FOR(count(pressure) >= 1);
	WAIT_FOR(count(passed) >= 1);
	CHECK_EQ(count(local), 0);
	CHECK_EQ(count(not_passed), 0);
	mem_done();
}

TEST(out_of_memory_without_the_killer)
{
	mem1_init();
	const char *a = mem_new("a");
	CHECK_OK(mem_set(a, "memory.limit_in_bytes", "8M"));
	CHECK_OK(mem_set(a, "memory.oom_control", "1"));
	const char *b = mem_new("a/b");
	CHECK_EQ(kt_field(mem_path(b, "memory.oom_control"), "oom_kill_disable "), 1);
	int fd = watch(a, "memory.oom_control", "");
	pid_t pid = SPAWN_IN(b, mem_touch(16 * MB));
	WAIT_FOR(count(fd) == 1);
	WAIT_FOR(kt_field(mem_path(b, "memory.oom_control"), "under_oom ") == 1);
	CHECK_EQ(kt_field(mem_path(a, "memory.oom_control"), "under_oom "), 1);
	/* Who comes late hears of it. */
	CHECK_EQ(count(watch(b, "memory.oom_control", "")), 1);
	/* What counts is the cgroup that is full. */
	CHECK_OK(mem_set(b, "memory.oom_control", "0"));
	kt_sleep_ms(200);
	CHECK_EQ(waitpid(pid, NULL, WNOHANG), 0);
	CHECK_OK(mem_set(a, "memory.oom_control", "0"));
	CHECK(mem_killed(pid));
	CHECK_EQ(kt_field(mem_path(a, "memory.oom_control"), "under_oom "), 0);
	CHECK_EQ(kt_field(mem_path(b, "memory.oom_control"), "oom_kill "), 1);
	CHECK_EQ(kt_field(mem_path(a, "memory.oom_control"), "oom_kill "), 0);
	mem_done();
}

TEST(a_waiting_task_goes_on_when_another_gives_memory_back)
{
	mem1_init();
	const char *a = mem_new("a");
	CHECK_OK(mem_set(a, "memory.limit_in_bytes", "16M"));
	CHECK_OK(mem_set(a, "memory.oom_control", "1"));
	int ready[2];
	char c;
	CHECK_OK(pipe(ready));
	pid_t holder = SPAWN_IN(a, { mem_touch(10 * MB); CHECK_EQ(write(ready[1], "x", 1), 1); for (;;) pause(); });
	CHECK_EQ(read(ready[0], &c, 1), 1);
	pid_t pid = SPAWN_IN(a, mem_touch(10 * MB));
	WAIT_FOR(kt_field(mem_path(a, "memory.oom_control"), "under_oom ") == 1);
	CHECK_EQ(waitpid(pid, NULL, WNOHANG), 0);
	CHECK_OK(kill(holder, SIGKILL));
	kt_wait(holder);
	JOIN(pid);
	mem_done();
}

TEST(the_end_of_a_cgroup_is_told)
{
	mem1_init();
	const char *a = mem_new("a");
	int usage = watch(a, "memory.usage_in_bytes", "4M");
	int oom = watch(a, "memory.oom_control", "");
	int pressure = watch(a, "memory.pressure_level", "low");
	CHECK_OK(rmdir(mem_path(a, "")));
	WAIT_FOR(count(usage) == 1);
	WAIT_FOR(count(oom) == 1);
	WAIT_FOR(count(pressure) == 1);
	mem_done();
}

TEST(a_limit_below_the_usage_is_pressure)
{
	mem1_init();
	const char *a = mem_new("a");
	int ready[2];
	char c;
	CHECK_OK(pipe(ready));
	pid_t pid = SPAWN_IN(a, { mem_touch(8 * MB); CHECK_EQ(write(ready[1], "x", 1), 1); for (;;) pause(); });
	CHECK_EQ(read(ready[0], &c, 1), 1);
	int pressure = watch(a, "memory.pressure_level", "critical");
	CHECK_ERR(mem_set(a, "memory.limit_in_bytes", "4M"), EBUSY);
	WAIT_FOR(count(pressure) >= 1);
	kill(pid, SIGKILL);
	kt_wait(pid);
	mem_done();
}
