/*
 * The memory controller in cgroup2: Documentation/admin-guide/cgroup-v2.rst, "Memory".
 */
#include <poll.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <sys/shm.h>

#include "memory.h"

TEST(a_new_cgroup_has_no_limits_and_no_charges)
{
	mem_init();
	const char *a = mem_new("a");
	CHECK(!strcmp(mem_text(a, "memory.current"), "0\n"));
	CHECK(!strcmp(mem_text(a, "memory.max"), "max\n"));
	CHECK(!strcmp(mem_text(a, "memory.high"), "max\n"));
	CHECK(!strcmp(mem_text(a, "memory.min"), "0\n"));
	CHECK(!strcmp(mem_text(a, "memory.low"), "0\n"));
	CHECK(!strcmp(mem_text(a, "memory.oom.group"), "0\n"));
	CHECK(!strcmp(mem_text(a, "memory.swap.current"), "0\n"));
	CHECK(!strcmp(mem_text(a, "memory.swap.max"), "max\n"));
	CHECK(!strcmp(mem_text(a, "memory.swap.events"), "high 0\nmax 0\nfail 0\n"));
	CHECK(!strcmp(mem_text(a, "memory.events"),
		      "low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\noom_group_kill 0\n"));
	CHECK(!strcmp(mem_text(a, "memory.events"), mem_text(a, "memory.events.local")));
	mem_done();
}

TEST(the_root_has_only_what_is_the_machines)
{
	mem_init();
	const char *none[] = { "current", "max", "high", "min", "low", "events", "events.local",
			       "peak", "oom.group", "swap.max" };
	for (unsigned i = 0; i < sizeof none / sizeof *none; i++) {
		char file[64];
		snprintf(file, sizeof file, "memory.%s", none[i]);
		CHECK_ERR(access(mem_path("", file), F_OK), ENOENT);
	}
	CHECK_OK(access(mem_path("", "memory.stat"), R_OK));
	CHECK_OK(access(mem_path("", "memory.numa_stat"), R_OK));
	CHECK(kt_field(mem_path("", "memory.stat"), "anon ") > 0);
	mem_done();
}

TEST(sizes_are_read_with_suffixes_and_rounded_down)
{
	mem_init();
	const char *a = mem_new("a");
	struct {
		const char *in, *out;
	} good[] = {
		{ "64M", "67108864\n" }, { "67108864\n", "67108864\n" }, { "max", "max\n" },
		{ "  1G \n", "1073741824\n" }, { "4097", "4096\n" }, { "100k", "102400\n" },
		{ "0x100000", "1048576\n" }, { "max\n", "max\n" }, { "8E", "max\n" },
	};
	for (unsigned i = 0; i < sizeof good / sizeof *good; i++) {
		const char *files[] = { "memory.max", "memory.high", "memory.low", "memory.min", "memory.swap.max" };
		for (unsigned f = 0; f < 5; f++) {
			CHECK_OK(mem_set(a, files[f], good[i].in));
			if (strcmp(good[i].in, "8E"))
				CHECK(!strcmp(mem_text(a, files[f]), good[i].out));
		}
	}
	mem_done();
}

TEST(malformed_sizes_are_refused)
{
	mem_init();
	const char *a = mem_new("a");
	const char *bad[] = { "-1", "maxi", "1 2", "64MB", "x", "1.5G", "--", "12 M", "M M" };
	const char *files[] = { "memory.max", "memory.high", "memory.low", "memory.min", "memory.reclaim" };
	CHECK_OK(mem_set(a, "memory.max", "8M"));
	for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++)
		for (unsigned f = 0; f < 5; f++)
			CHECK_ERR(mem_set(a, files[f], bad[i]), EINVAL);
	CHECK_EQ(mem_get(a, "memory.max"), 8 * MB);
	CHECK_ERR(mem_set(a, "memory.reclaim", "max"), EINVAL);
	CHECK_ERR(mem_set(a, "memory.oom.group", "2"), EINVAL);
	CHECK_ERR(mem_set(a, "memory.oom.group", "-1"), EINVAL);
	CHECK_ERR(mem_set(a, "memory.oom.group", "yes"), EINVAL);
	CHECK_ERR(mem_set(a, "memory.oom.group", "\n"), EINVAL);
	CHECK_OK(mem_set(a, "memory.oom.group", "1\n"));
	CHECK_EQ(mem_get(a, "memory.oom.group"), 1);
	mem_done();
}

TEST(private_memory_is_charged_and_given_back)
{
	mem_init();
	const char *a = mem_new("a");
	int go[2], ready[2];
	CHECK_OK(pipe(go));
	CHECK_OK(pipe(ready));
	char c;
	pid_t pid = SPAWN_IN(a, {
		CHECK_EQ(read(go[0], &c, 1), 1);
		char *at = mem_touch(20 * MB);
		CHECK_EQ(write(ready[1], "x", 1), 1);
		CHECK_EQ(read(go[0], &c, 1), 1);
		CHECK_OK(munmap(at, 20 * MB));
		CHECK_EQ(write(ready[1], "x", 1), 1);
		CHECK_EQ(read(go[0], &c, 1), 1);
	});
	WAIT_FOR(strstr(mem_text(a, "cgroup.events"), "populated 1"));
	long long before = mem_get(a, "memory.current");
	CHECK_EQ(write(go[1], "x", 1), 1);
	CHECK_EQ(read(ready[0], &c, 1), 1);
	long long full = mem_get(a, "memory.current");
	CHECK(full >= before + 20 * MB && full < before + 22 * MB);
	CHECK(kt_field(mem_path(a, "memory.stat"), "anon ") >= 20 * MB);
	CHECK(kt_field(mem_path(a, "memory.stat"), "pgfault ") > 10);
	CHECK(kt_field(mem_path(a, "memory.stat"), "pagetables ") >= 40 * 1024);
	CHECK_EQ(write(go[1], "x", 1), 1);
	CHECK_EQ(read(ready[0], &c, 1), 1);
	CHECK(mem_get(a, "memory.current") < before + 2 * MB);
	CHECK(mem_get(a, "memory.peak") >= full);
	CHECK_EQ(write(go[1], "x", 1), 1);
	JOIN(pid);
	WAIT_FOR(mem_get(a, "memory.current") < MB);
	WAIT_FOR(kt_field(mem_path(a, "memory.stat"), "anon ") == 0);
	mem_done();
}

TEST(who_allocates_beyond_the_limit_is_killed_and_nobody_else)
{
	mem_init();
	CHECK_OK(mem_set(mem_new("p"), "cgroup.subtree_control", "+memory"));
	const char *a = mem_new("p/a"), *b = mem_new("p/b");
	CHECK_OK(mem_set(a, "memory.max", "16M"));
	pid_t sibling = SPAWN_IN(b, { mem_touch(8 * MB); for (;;) pause(); });
	pid_t inside = SPAWN_IN(a, { for (;;) pause(); });
	pid_t hog = SPAWN_IN(a, mem_touch(64 * MB));
	CHECK(mem_killed(hog));
	CHECK_EQ(kt_field(mem_path(a, "memory.events"), "oom_kill "), 1);
	CHECK(mem_event(a, "max ") >= 1);
	CHECK(mem_event(a, "oom ") >= 1);
	CHECK_EQ(mem_event(a, "oom_group_kill "), 0);
	CHECK_EQ(mem_event("p", "oom_kill "), 1);
	CHECK_EQ(kt_field(mem_path("p", "memory.events.local"), "oom_kill "), 0);
	CHECK_EQ(mem_event(b, "oom_kill "), 0);
	CHECK(mem_get(a, "memory.peak") <= 16 * MB);
	CHECK_OK(kill(sibling, 0));
	CHECK_EQ(waitpid(sibling, NULL, WNOHANG), 0);
	CHECK_EQ(waitpid(inside, NULL, WNOHANG), 0);
	WAIT_FOR(mem_get(a, "memory.current") < 2 * MB);
	kill(sibling, SIGKILL);
	kill(inside, SIGKILL);
	kt_wait(sibling);
	kt_wait(inside);
	mem_done();
}

TEST(below_the_limit_nobody_is_killed)
{
	mem_init();
	const char *a = mem_new("a");
	CHECK_OK(mem_set(a, "memory.max", "32M"));
	for (int i = 0; i < 5; i++) {
		pid_t pid = SPAWN_IN(a, mem_touch(28 * MB));
		JOIN(pid);
	}
	CHECK_EQ(mem_event(a, "oom_kill "), 0);
	CHECK_EQ(mem_event(a, "oom "), 0);
	mem_done();
}

/* The largest process of the full cgroup goes, not the one that asked; whether that one lived on. */
static int largest_goes(void)
{
	mem_init();
	const char *p = mem_new("p");
	CHECK_OK(mem_set(p, "cgroup.subtree_control", "+memory"));
	const char *a = mem_new("p/a"), *b = mem_new("p/b");
	CHECK_OK(mem_set(p, "memory.max", "24M"));
	int ready[2];
	CHECK_OK(pipe(ready));
	pid_t big = SPAWN_IN(a, { mem_touch(16 * MB); CHECK_EQ(write(ready[1], "x", 1), 1); for (;;) pause(); });
	char c;
	CHECK_EQ(read(ready[0], &c, 1), 1);
	pid_t small = SPAWN_IN(b, mem_touch(12 * MB));
	CHECK(mem_killed(big));
	int lived = kt_wait(small) == 0;
	CHECK_EQ(mem_event(p, "oom_kill "), lived ? 1 : 2);
	CHECK_EQ(mem_event(a, "oom_kill "), 1);
	CHECK_EQ(mem_event(b, "oom_kill "), lived ? 0 : 1);
	CHECK(kt_field(mem_path(p, "memory.events.local"), "max ") >= 1);
	CHECK_EQ(mem_event(b, "max "), 0);
	close(ready[0]);
	close(ready[1]);
	mem_done();
	return lived;
}

/*
 * Linux no longer waits for a process that ends once it has unmapped its memory, which is a moment before the
 * memory is there: who asks in that moment goes as well. It must not be so every time.
 */
TEST(a_limit_above_holds_for_all_below)
{
	int tries = 0;
	while (!largest_goes())
		CHECK(++tries < 20);
}

TEST(oom_score_adj_moves_the_choice)
{
	mem_init();
	const char *a = mem_new("a");
	CHECK_OK(mem_set(a, "memory.max", "24M"));
	int ready[2];
	CHECK_OK(pipe(ready));
	char c;
	pid_t safe = SPAWN_IN(a, {
		CHECK_OK(kt_write_file("/proc/self/oom_score_adj", "-1000"));
		mem_touch(12 * MB);
		CHECK_EQ(write(ready[1], "x", 1), 1);
		for (;;)
			pause();
	});
	CHECK_EQ(read(ready[0], &c, 1), 1);
	pid_t chosen = SPAWN_IN(a, {
		CHECK_OK(kt_write_file("/proc/self/oom_score_adj", "1000"));
		mem_touch(2 * MB);
		CHECK_EQ(write(ready[1], "x", 1), 1);
		for (;;)
			pause();
	});
	CHECK_EQ(read(ready[0], &c, 1), 1);
	pid_t asks = SPAWN_IN(a, { mem_touch(20 * MB); for (;;) pause(); });
	CHECK(mem_killed(chosen));
	kill(asks, SIGKILL);
	kt_wait(asks);
	CHECK_EQ(waitpid(safe, NULL, WNOHANG), 0);
	kill(safe, SIGKILL);
	kt_wait(safe);
	mem_done();
}

TEST(oom_group_kills_the_whole_cgroup)
{
	mem_init();
	const char *p = mem_new("p");
	CHECK_OK(mem_set(p, "cgroup.subtree_control", "+memory"));
	const char *a = mem_new("p/a"), *b = mem_new("p/b");
	CHECK_OK(mem_set(a, "memory.max", "16M"));
	CHECK_OK(mem_set(a, "memory.oom.group", "1"));
	pid_t same = SPAWN_IN(a, { for (;;) pause(); });
	pid_t safe = SPAWN_IN(a, {
		CHECK_OK(kt_write_file("/proc/self/oom_score_adj", "-1000"));
		for (;;)
			pause();
	});
	pid_t other = SPAWN_IN(b, { for (;;) pause(); });
	char path[64], text[32];
	snprintf(path, sizeof path, "/proc/%d/oom_score_adj", safe);
	WAIT_FOR(kt_read_file(path, text, sizeof text) > 0 && !strcmp(text, "-1000\n"));
	WAIT_FOR(strstr(mem_text(a, "cgroup.procs"), "\n") && strstr(mem_text(b, "cgroup.procs"), "\n"));
	pid_t hog = SPAWN_IN(a, mem_touch(64 * MB));
	CHECK(mem_killed(hog));
	CHECK(mem_killed(same));
	CHECK_EQ(waitpid(safe, NULL, WNOHANG), 0);
	CHECK_EQ(waitpid(other, NULL, WNOHANG), 0);
	CHECK_EQ(mem_event(a, "oom_group_kill "), 1);
	/* Linux counts the first victim twice if it still lives when the group goes. */
	CHECK(mem_event(a, "oom_kill ") >= 2);
	kill(safe, SIGKILL);
	kill(other, SIGKILL);
	kt_wait(safe);
	kt_wait(other);
	mem_done();
}

TEST(lowering_the_limit_below_the_usage_kills)
{
	mem_init();
	const char *a = mem_new("a");
	int ready[2];
	CHECK_OK(pipe(ready));
	char c;
	pid_t pid = SPAWN_IN(a, { mem_touch(16 * MB); CHECK_EQ(write(ready[1], "x", 1), 1); for (;;) pause(); });
	CHECK_EQ(read(ready[0], &c, 1), 1);
	CHECK_OK(mem_set(a, "memory.max", "32M"));
	CHECK_EQ(waitpid(pid, NULL, WNOHANG), 0);
	CHECK_OK(mem_set(a, "memory.max", "4M"));
	CHECK(mem_killed(pid));
	CHECK_EQ(mem_get(a, "memory.max"), 4 * MB);
	CHECK_EQ(mem_event(a, "oom_kill "), 1);
	WAIT_FOR(mem_get(a, "memory.current") <= 4 * MB);
	mem_done();
}

TEST(files_in_memory_are_charged_to_who_writes_them)
{
	mem_init();
	const char *a = mem_new("a");
	pid_t pid = SPAWN_IN(a, {
		static char block[65536];
		memset(block, 1, sizeof block);
		int fd = CHECK_OK(open("file", O_CREAT | O_WRONLY, 0644));
		for (int i = 0; i < 8 * 16; i++)
			CHECK_EQ(write(fd, block, sizeof block), (ssize_t)sizeof block);
	});
	JOIN(pid);
	/* The writer is gone, the file stays and so does the charge. */
	CHECK(mem_get(a, "memory.current") >= 8 * MB);
	CHECK_EQ(kt_field(mem_path(a, "memory.stat"), "shmem "), 8 * MB);
	CHECK(kt_field(mem_path(a, "memory.stat"), "file ") >= 8 * MB);
	/* Reading by somebody else moves nothing. */
	CHECK_OK(unlink("file"));
	WAIT_FOR(kt_field(mem_path(a, "memory.stat"), "shmem ") == 0);
	WAIT_FOR(mem_get(a, "memory.current") < 2 * MB);
	mem_done();
}

TEST(shared_anonymous_memory_and_memfd_are_charged)
{
	mem_init();
	const char *a = mem_new("a");
	pid_t pid = SPAWN_IN(a, {
		char *at = mmap(NULL, 4 * MB, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
		CHECK(at != MAP_FAILED);
		memset(at, 1, 4 * MB);
		int fd = CHECK_OK(memfd_create("m", 0));
		CHECK_OK(ftruncate(fd, 4 * MB));
		char *map = mmap(NULL, 4 * MB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		CHECK(map != MAP_FAILED);
		memset(map, 1, 4 * MB);
		CHECK_EQ(kt_field(mem_path(a, "memory.stat"), "shmem "), 8 * MB);
	});
	JOIN(pid);
	WAIT_FOR(kt_field(mem_path(a, "memory.stat"), "shmem ") == 0);
	mem_done();
}

TEST(pipe_buffers_are_charged)
{
	mem_init();
	const char *a = mem_new("a");
	pid_t pid = SPAWN_IN(a, {
		long long before = mem_get(a, "memory.current");
		static char block[65536];
		int fds[32][2];
		for (int i = 0; i < 32; i++) {
			CHECK_OK(pipe(fds[i]));
			CHECK_EQ(write(fds[i][1], block, sizeof block), (ssize_t)sizeof block);
		}
		long long full = mem_get(a, "memory.current");
		CHECK(full >= before + 2 * MB - 300 * 1024);
		CHECK(kt_field(mem_path(a, "memory.stat"), "kernel ") >= 2 * MB);
		for (int i = 0; i < 32; i++) {
			close(fds[i][0]);
			close(fds[i][1]);
		}
		WAIT_FOR(mem_get(a, "memory.current") < full - MB);
	});
	JOIN(pid);
	mem_done();
}

TEST(socket_buffers_are_charged)
{
	mem_init();
	const char *a = mem_new("a");
	pid_t pid = SPAWN_IN(a, {
		long long before = mem_get(a, "memory.current");
		static char block[4096];
		int fds[32][2];
		long sent = 0;
		for (int i = 0; i < 32; i++) {
			CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds[i]));
			ssize_t n;
			while ((n = write(fds[i][1], block, sizeof block)) > 0)
				sent += n;
		}
		CHECK(sent > 2 * MB);
		long long full = mem_get(a, "memory.current");
		CHECK(full >= before + sent - 600 * 1024);
		for (int i = 0; i < 32; i++) {
			close(fds[i][0]);
			close(fds[i][1]);
		}
		WAIT_FOR(mem_get(a, "memory.current") < full - MB);
	});
	JOIN(pid);
	mem_done();
}

TEST(a_full_cgroup_of_pipes_kills_the_writer)
{
	mem_init();
	const char *a = mem_new("a");
	CHECK_OK(mem_set(a, "memory.max", "4M"));
	pid_t pid = SPAWN_IN(a, {
		static char block[65536];
		for (int i = 0; i < 200; i++) {
			int fds[2];
			CHECK_OK(pipe(fds));
			CHECK_EQ(write(fds[1], block, sizeof block), (ssize_t)sizeof block);
		}
	});
	CHECK(mem_killed(pid));
	CHECK(mem_event(a, "oom_kill ") >= 1);
	CHECK(mem_get(a, "memory.peak") <= 4 * MB + 512 * 1024);
	mem_done();
}

TEST(a_read_into_fresh_memory_meets_the_limit)
{
	mem_init();
	const char *a = mem_new("a");
	CHECK_OK(mem_set(a, "memory.max", "8M"));
	pid_t pid = SPAWN_IN(a, {
		int fd = CHECK_OK(open("/dev/zero", O_RDONLY));
		char *at = mmap(NULL, 64 * MB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(at != MAP_FAILED);
		for (long done = 0; done < 64 * MB;) {
			ssize_t n = CHECK_OK(read(fd, at + done, 64 * MB - done));
			done += n;
		}
	});
	CHECK(mem_killed(pid));
	CHECK_EQ(mem_event(a, "oom_kill "), 1);
	CHECK(mem_get(a, "memory.peak") <= 8 * MB + 512 * 1024);
	mem_done();
}

TEST(a_file_larger_than_the_limit_kills_its_writer)
{
	mem_init();
	const char *a = mem_new("a");
	CHECK_OK(mem_set(a, "memory.max", "8M"));
	pid_t pid = SPAWN_IN(a, {
		static char block[65536];
		int fd = CHECK_OK(open("file", O_CREAT | O_WRONLY, 0644));
		for (int i = 0; i < 64 * 16; i++)
			if (write(fd, block, sizeof block) < 0)
				_exit(9);
	});
	CHECK(mem_killed(pid));
	CHECK_OK(unlink("file"));
	WAIT_FOR(mem_get(a, "memory.current") < 2 * MB);
	mem_done();
}

TEST(charges_stay_when_a_process_moves)
{
	mem_init();
	const char *a = mem_new("a"), *b = mem_new("b");
	int go[2], ready[2];
	CHECK_OK(pipe(go));
	CHECK_OK(pipe(ready));
	char c;
	pid_t pid = SPAWN_IN(a, {
		char *at = mem_touch(8 * MB);
		CHECK_EQ(write(ready[1], "x", 1), 1);
		CHECK_EQ(read(go[0], &c, 1), 1);
		mem_touch(4 * MB);
		CHECK_EQ(write(ready[1], "x", 1), 1);
		CHECK_EQ(read(go[0], &c, 1), 1);
		CHECK_OK(munmap(at, 8 * MB));
		CHECK_EQ(write(ready[1], "x", 1), 1);
		CHECK_EQ(read(go[0], &c, 1), 1);
	});
	CHECK_EQ(read(ready[0], &c, 1), 1);
	char text[32];
	snprintf(text, sizeof text, "%d", pid);
	CHECK_OK(mem_set(b, "cgroup.procs", text));
	CHECK(kt_field(mem_path(a, "memory.stat"), "anon ") >= 8 * MB);
	CHECK(kt_field(mem_path(b, "memory.stat"), "anon ") < MB);
	CHECK_EQ(write(go[1], "x", 1), 1);
	CHECK_EQ(read(ready[0], &c, 1), 1);
	WAIT_FOR(kt_field(mem_path(b, "memory.stat"), "anon ") >= 4 * MB);
	/* The old cgroup can be removed with what is charged to it. */
	CHECK_OK(rmdir(mem_path(a, "")));
	CHECK_EQ(write(go[1], "x", 1), 1);
	CHECK_EQ(read(ready[0], &c, 1), 1);
	CHECK(kt_field(mem_path(b, "memory.stat"), "anon ") >= 4 * MB);
	CHECK_EQ(write(go[1], "x", 1), 1);
	JOIN(pid);
	CHECK_OK(rmdir(mem_path(b, "")));
	mem_count = 0;
	mem_done();
}

TEST(a_removed_cgroup_still_counts_above)
{
	mem_init();
	const char *p = mem_new("p");
	CHECK_OK(mem_set(p, "cgroup.subtree_control", "+memory"));
	mem_new("p/a");
	pid_t pid = SPAWN_IN("p/a", {
		static char block[65536];
		int fd = CHECK_OK(open("file", O_CREAT | O_WRONLY, 0644));
		for (int i = 0; i < 4 * 16; i++)
			CHECK_EQ(write(fd, block, sizeof block), (ssize_t)sizeof block);
	});
	JOIN(pid);
	WAIT_FOR(rmdir(mem_path("p/a", "")) == 0);
	mem_count--;
	CHECK(mem_get(p, "memory.current") >= 4 * MB);
	CHECK(kt_field(mem_path(p, "memory.stat"), "shmem ") >= 4 * MB);
	CHECK_OK(mkdir(mem_path("p/a", ""), 0755));
	CHECK_EQ(mem_get("p/a", "memory.current"), 0);
	CHECK_OK(rmdir(mem_path("p/a", "")));
	CHECK_OK(unlink("file"));
	WAIT_FOR(mem_get(p, "memory.current") < 2 * MB);
	mem_done();
}

TEST(high_slows_the_allocator_down_and_kills_nobody)
{
	mem_init();
	const char *a = mem_new("a");
	CHECK_OK(mem_set(a, "memory.high", "8M"));
	pid_t pid = SPAWN_IN(a, mem_touch(64 * MB));
	long long start = kt_now_ms();
	WAIT_FOR(mem_event(a, "high ") > 0);
	while (kt_now_ms() - start < 1500 && waitpid(pid, NULL, WNOHANG) == 0)
		kt_sleep_ms(20);
	CHECK_EQ(waitpid(pid, NULL, WNOHANG), 0);
	CHECK(mem_get(a, "memory.current") < 32 * MB);
	CHECK_EQ(mem_event(a, "oom_kill "), 0);
	/* A throttled process can be killed at once. */
	CHECK_OK(kill(pid, SIGKILL));
	CHECK(mem_killed(pid));
	mem_done();
}

/* A call that brings in many pages at once is slowed down in its middle, and can be killed there. */
static void slowed_down(int advice)
{
	mem_init();
	mem_new("a");
	CHECK_OK(mem_set("a", "memory.high", "8M"));
	pid_t child = SPAWN({
		char *p = mmap(NULL, 64 * MB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(p != MAP_FAILED);
		/* A huge page is charged without waiting. */
		CHECK_OK(madvise(p, 64 * MB, MADV_NOHUGEPAGE));
		mem_enter("a");
		if (advice)
			madvise(p, 64 * MB, advice);
		else
			mlock(p, 64 * MB);
		pause();
	});
	WAIT_FOR(mem_event("a", "high") > 0);
	kt_sleep_ms(200);
	CHECK(mem_get("a", "memory.current") < 40 * MB);
	CHECK(mem_get("a", "memory.current") > 7 * MB);
	CHECK_EQ(mem_event("a", "max"), 0);
	kill(child, SIGKILL);
	kt_wait(child);
	mem_done();
}

TEST(high_slows_one_long_mlock_down) { slowed_down(0); }
TEST(high_slows_one_long_madvise_down) { slowed_down(23 /* MADV_POPULATE_WRITE */); }

TEST(poll_and_inotify_tell_of_events)
{
	mem_init();
	const char *a = mem_new("a");
	CHECK_OK(mem_set(a, "memory.max", "8M"));
	int events = CHECK_OK(open(mem_path(a, "memory.events"), O_RDONLY));
	char text[512];
	CHECK(read(events, text, sizeof text) > 0);
	struct pollfd fd = { .fd = events, .events = POLLPRI };
	CHECK_EQ(poll(&fd, 1, 0), 0);
	int watch = CHECK_OK(inotify_init1(IN_NONBLOCK));
	CHECK_OK(inotify_add_watch(watch, mem_path(a, "memory.events"), IN_MODIFY));
	pid_t pid = SPAWN_IN(a, mem_touch(32 * MB));
	CHECK(mem_killed(pid));
	CHECK_EQ(poll(&fd, 1, 5000), 1);
	CHECK(fd.revents & POLLPRI);
	WAIT_FOR(read(watch, text, sizeof text) > 0);
	mem_done();
}

TEST(fork_in_a_full_cgroup)
{
	mem_init();
	const char *a = mem_new("a");
	CHECK_OK(mem_set(a, "memory.max", "6M"));
	pid_t bomb = SPAWN_IN(a, {
		for (int i = 0; i < 2000; i++) {
			pid_t pid = fork();
			if (pid == 0)
				for (;;)
					pause();
			if (pid < 0)
				CHECK(errno == ENOMEM || errno == EAGAIN);
		}
	});
	int status = kt_wait(bomb);
	CHECK(WIFEXITED(status) ? WEXITSTATUS(status) == 0 : WTERMSIG(status) == SIGKILL);
	CHECK(mem_event(a, "oom_kill ") >= 1);
	CHECK_OK(mem_set(a, "cgroup.kill", "1"));
	WAIT_FOR(strstr(mem_text(a, "cgroup.events"), "populated 0"));
	WAIT_FOR(mem_get(a, "memory.current") < 2 * MB);
	mem_done();
}

TEST(threads_fill_a_cgroup_together)
{
	mem_init();
	const char *a = mem_new("a");
	CHECK_OK(mem_set(a, "memory.max", "16M"));
	pid_t pids[8];
	for (int i = 0; i < 8; i++)
		pids[i] = SPAWN_IN(a, { mem_touch(8 * MB); for (;;) pause(); });
	WAIT_FOR(mem_event(a, "oom_kill ") >= 6);
	CHECK(mem_get(a, "memory.peak") <= 16 * MB);
	int dead = 0;
	WAIT_FOR((dead += waitpid(-1, NULL, WNOHANG) > 0) >= 6);
	(void)pids;
	CHECK_OK(mem_set(a, "cgroup.kill", "1"));
	while (waitpid(-1, NULL, 0) > 0)
		;
	WAIT_FOR(mem_get(a, "memory.current") < MB);
	mem_done();
}

TEST(kernel_stacks_and_page_tables_are_charged)
{
	mem_init();
	const char *a = mem_new("a");
	pid_t pids[16];
	for (int i = 0; i < 16; i++)
		pids[i] = SPAWN_IN(a, { for (;;) pause(); });
	/* The stacks were charged to the parent's cgroup, and those of its own children to theirs. */
	pid_t pid = SPAWN_IN(a, {
		pid_t own[16];
		for (int i = 0; i < 16; i++)
			own[i] = SPAWN({ for (;;) pause(); });
		CHECK(kt_field(mem_path(a, "memory.stat"), "kernel_stack ") >= 16 * 16 * 1024);
		CHECK(kt_field(mem_path(a, "memory.stat"), "pagetables ") >= 16 * 16 * 1024);
		for (int i = 0; i < 16; i++) {
			kill(own[i], SIGKILL);
			kt_wait(own[i]);
		}
	});
	JOIN(pid);
	for (int i = 0; i < 16; i++) {
		kill(pids[i], SIGKILL);
		kt_wait(pids[i]);
	}
	WAIT_FOR(kt_field(mem_path(a, "memory.stat"), "pagetables ") == 0);
	mem_done();
}

TEST(a_cgroup_with_processes_cannot_give_memory_to_children)
{
	mem_init();
	const char *a = mem_new("a");
	pid_t pid = SPAWN_IN(a, { for (;;) pause(); });
	WAIT_FOR(strstr(mem_text(a, "cgroup.events"), "populated 1"));
	CHECK_ERR(mem_set(a, "cgroup.subtree_control", "+memory"), EBUSY);
	kill(pid, SIGKILL);
	kt_wait(pid);
	mem_done();
}
