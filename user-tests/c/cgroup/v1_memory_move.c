/* memory.move_charge_at_immigrate of v1 (cgroup-v1/memory.rst, 8). */
#include <pthread.h>
#include <sys/syscall.h>

#include "memory.h"

static long long usage(const char *cg)
{
	return mem_get(cg, "memory.usage_in_bytes");
}

static void put(const char *cg, const char *file, pid_t pid, int error)
{
	char text[16];
	snprintf(text, sizeof text, "%d", pid);
	if (error)
		CHECK_ERR(mem_set(cg, file, text), error);
	else
		CHECK_OK(mem_set(cg, file, text));
}

/* A child in `cg` with 4 MiB private and 8 MiB of a mapped file; it waits for its end. */
static pid_t holder(const char *cg)
{
	int ready[2];
	char c;
	CHECK_OK(pipe(ready));
	pid_t pid = SPAWN_IN(cg, {
		char *at = mmap(NULL, 4 * MB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		madvise(at, 4 * MB, MADV_NOHUGEPAGE);
		memset(at, 1, 4 * MB);
		int fd = CHECK_OK(memfd_create("m", 0));
		CHECK_OK(ftruncate(fd, 8 * MB));
		char *file = mmap(NULL, 8 * MB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		memset(file, 1, 8 * MB);
		CHECK_EQ(write(ready[1], "x", 1), 1);
		for (;;)
			pause();
	});
	CHECK_EQ(read(ready[0], &c, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	kt_wait(pid);
}

TEST(values)
{
	mem1_init();
	const char *a = mem_new("a");
	static const char *const files[] = { "", "a" };
	CHECK_EQ(mem_get(a, "memory.move_charge_at_immigrate"), 0);
	for (int i = 0; i < 2; i++) {
		const char *cg = i ? a : files[0];
		for (int value = 0; value < 4; value++) {
			char text[8];
			snprintf(text, sizeof text, "%d", value);
			CHECK_OK(mem_set(cg, "memory.move_charge_at_immigrate", text));
			CHECK_EQ(mem_get(cg, "memory.move_charge_at_immigrate"), value);
		}
		CHECK_ERR(mem_set(cg, "memory.move_charge_at_immigrate", "4"), EINVAL);
		CHECK_ERR(mem_set(cg, "memory.move_charge_at_immigrate", "-1"), EINVAL);
		CHECK_ERR(mem_set(cg, "memory.move_charge_at_immigrate", "x"), EINVAL);
		CHECK_EQ(mem_get(cg, "memory.move_charge_at_immigrate"), 3);
		CHECK_OK(mem_set(cg, "memory.move_charge_at_immigrate", "0"));
	}
	/* It is not inherited. */
	CHECK_OK(mem_set(a, "memory.move_charge_at_immigrate", "1"));
	CHECK_EQ(mem_get(mem_new("a/b"), "memory.move_charge_at_immigrate"), 0);
	mem_done();
}

TEST(kinds_of_pages_that_move)
{
	mem1_init();
	const char *a = mem_new("a");
	const char *b = mem_new("b");
	for (int kinds = 0; kinds < 4; kinds++) {
		char text[8];
		snprintf(text, sizeof text, "%d", kinds);
		CHECK_OK(mem_set(b, "memory.move_charge_at_immigrate", text));
		pid_t pid = holder(a);
		CHECK(usage(a) >= 12 * MB);
		long long before = usage(a);
		put(b, "cgroup.procs", pid, 0);
		long long moved = (kinds & 1 ? 4 * MB : 0) + (kinds & 2 ? 8 * MB : 0);
		WAIT_FOR(usage(b) >= moved);
		CHECK(usage(b) < moved + MB);
		WAIT_FOR(usage(a) <= before - moved);
		WAIT_FOR(kt_field(mem_path(b, "memory.stat"), "rss ") >= (kinds & 1 ? 4 * MB : 0));
		WAIT_FOR(kt_field(mem_path(b, "memory.stat"), "cache ") >= (kinds & 2 ? 8 * MB : 0));
		WAIT_FOR(kt_field(mem_path(b, "memory.stat"), "mapped_file ") >= (kinds & 2 ? 8 * MB : 0));
		if (kinds & 2)
			WAIT_FOR(kt_field(mem_path(a, "memory.stat"), "mapped_file ") < MB);
		end(pid);
		WAIT_FOR(usage(a) < MB && usage(b) < MB);
		WAIT_FOR(kt_field(mem_path(b, "memory.stat"), "mapped_file ") < MB);
	}
	mem_done();
}

TEST(only_what_the_old_cgroup_paid_moves)
{
	mem1_init();
	const char *a = mem_new("a");
	const char *b = mem_new("b");
	const char *c = mem_new("c");
	CHECK_OK(mem_set(c, "memory.move_charge_at_immigrate", "3"));
	pid_t pid = holder(a);
	put(b, "cgroup.procs", pid, 0);
	put(c, "cgroup.procs", pid, 0);
	CHECK(usage(a) >= 12 * MB);
	CHECK(usage(c) < 2 * MB);
	end(pid);
	WAIT_FOR(usage(a) < MB);
	mem_done();
}

TEST(a_cgroup_without_room_refuses)
{
	mem1_init();
	const char *a = mem_new("a");
	const char *b = mem_new("b");
	CHECK_OK(mem_set(b, "memory.move_charge_at_immigrate", "1"));
	CHECK_OK(mem_set(b, "memory.limit_in_bytes", "2M"));
	pid_t pid = holder(a);
	put(b, "cgroup.procs", pid, ENOMEM);
	CHECK_EQ(atoi(mem_text(a, "cgroup.procs")), pid);
	CHECK(usage(a) >= 12 * MB);
	CHECK(usage(b) < MB);
	/* Without charges it may move. */
	CHECK_OK(mem_set(b, "memory.move_charge_at_immigrate", "0"));
	put(b, "cgroup.procs", pid, 0);
	end(pid);
	WAIT_FOR(usage(a) < MB);
	mem_done();
}

static const char *other;

static void *mover(void *arg)
{
	(void)arg;
	put(other, "tasks", syscall(SYS_gettid), 0);
	return NULL;
}

TEST(a_thread_that_does_not_lead_moves_nothing)
{
	mem1_init();
	const char *a = mem_new("a");
	const char *b = mem_new("b");
	CHECK_OK(mem_set(b, "memory.move_charge_at_immigrate", "1"));
	other = b;
	JOIN(SPAWN_IN(a, {
		mem_touch(4 * MB);
		pthread_t thread;
		CHECK_EQ(pthread_create(&thread, NULL, mover, NULL), 0);
		pthread_join(thread, NULL);
		CHECK(usage(a) >= 4 * MB);
		CHECK(usage(b) < MB);
		/* The leader does. */
		put(b, "tasks", getpid(), 0);
		CHECK(usage(a) < 2 * MB);
		CHECK(usage(b) >= 4 * MB);
	}));
	WAIT_FOR(usage(a) < MB && usage(b) < MB);
	mem_done();
}
