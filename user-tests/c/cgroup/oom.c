/* Out of memory in a cgroup comes to an end, whatever keeps the victim from ending. */
#include <sched.h>

#include "memory.h"

static char c;

/* A process of the cgroup with so many bytes, that waits. */
static pid_t holder(const char *cg, long bytes)
{
	int ready[2];
	CHECK_OK(pipe(ready));
	pid_t pid = SPAWN_IN(cg, { mem_touch(bytes); CHECK_EQ(write(ready[1], "x", 1), 1); for (;;) pause(); });
	CHECK_EQ(read(ready[0], &c, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

TEST(a_victim_frozen_by_v1_goes_nevertheless)
{
	mem_init();
	const char *a = mem_new("a");
	CHECK_OK(mem_set(a, "memory.max", "24M"));
	pid_t big = holder(a, 16 * MB);
	CHECK_OK(mkdir("fz", 0755));
	CHECK_OK(mount("none", "fz", "cgroup", 0, "freezer"));
	CHECK_OK(mkdir("fz/oom", 0755));
	char pid[16];
	snprintf(pid, sizeof pid, "%d", big);
	CHECK_OK(kt_write_file("fz/oom/cgroup.procs", pid));
	CHECK_OK(kt_write_file("fz/oom/freezer.state", "FROZEN"));
	char state[16];
	WAIT_FOR(kt_read_file("fz/oom/freezer.state", state, sizeof state) == 7 && !strcmp(state, "FROZEN\n"));
	/* Anybody else's signal does not wake it. */
	pid_t asks = SPAWN_IN(a, { mem_touch(12 * MB); });
	CHECK(mem_killed(big));
	/* Linux sometimes chooses again before the victim's memory is given back: then this one goes, too. */
	kt_wait(asks);
	CHECK_OK(kt_write_file("fz/oom/freezer.state", "THAWED"));
	CHECK_OK(rmdir("fz/oom"));
	CHECK_OK(umount("fz"));
	mem_done();
}

TEST(one_who_asks_in_real_time_does_not_keep_the_victim_from_ending)
{
	mem_init();
	const char *a = mem_new("a");
	CHECK_OK(mem_set(a, "memory.max", "24M"));
	cpu_set_t one;
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	CHECK_OK(sched_setaffinity(0, sizeof one, &one));
	pid_t big = holder(a, 16 * MB);
	pid_t asks = SPAWN_IN(a, {
		struct sched_param param = { 10 };
		if (syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &param) < 0)
			_exit(77);
		mem_touch(12 * MB);
	});
	CHECK(mem_killed(big));
	int status = kt_wait(asks);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		SKIP("no real time in this cgroup");
	CHECK_EQ(status, 0);
	mem_done();
}

TEST(what_killed_processes_hold_is_waited_for)
{
	mem_init();
	const char *a = mem_new("a");
	CHECK_OK(mem_set(a, "memory.max", "48M"));
	pid_t bystander = holder(a, 4 * MB);
	int rounds = 8, too_many = 0;
	for (int round = 0; round < rounds; round++) {
		pid_t ends = holder(a, 36 * MB);
		pid_t asks = SPAWN_IN(a, {
			kt_sleep_ms(5);
			mem_touch(24 * MB);
		});
		CHECK_OK(kill(ends, SIGKILL));
		int status = kt_wait(asks);
		CHECK(status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
		too_many += status != 0;
		kt_wait(ends);
		CHECK_EQ(waitpid(bystander, NULL, WNOHANG), 0);
	}
	/* Linux sometimes chooses again before a slow one has ended. */
	CHECK(too_many <= rounds / 4);
	kill(bystander, SIGKILL);
	kt_wait(bystander);
	mem_done();
}

TEST(a_lowered_limit_kills_until_the_rest_fits)
{
	mem_init();
	const char *a = mem_new("a");
	pid_t holders[4];
	for (int i = 0; i < 4; i++)
		holders[i] = holder(a, (8 + i) * MB);
	CHECK_OK(mem_set(a, "memory.max", "12M"));
	for (int i = 3; i > 0; i--)
		CHECK(mem_killed(holders[i]));
	WAIT_FOR(mem_get(a, "memory.current") <= 12 * MB);
	/* Linux sometimes chooses again before the last victim's memory is given back. */
	CHECK(mem_event(a, "oom_kill ") >= 3);
	kill(holders[0], SIGKILL);
	kt_wait(holders[0]);
	mem_done();
}

TEST(a_lowered_limit_kills_beside_one_that_ends_by_itself)
{
	mem_init();
	for (int round = 0; round < 8; round++) {
		const char *a = mem_new("a");
		pid_t ends = holder(a, 16 * MB);
		pid_t stays = holder(a, 24 * MB);
		CHECK_OK(kill(ends, SIGKILL));
		CHECK_OK(mem_set(a, "memory.max", "8M"));
		CHECK(mem_killed(stays));
		kt_wait(ends);
		WAIT_FOR(mem_get(a, "memory.current") <= 8 * MB);
		CHECK_OK(rmdir(mem_path(a, "")));
		mem_count--;
	}
	mem_done();
}
