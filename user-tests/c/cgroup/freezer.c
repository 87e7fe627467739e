/* cgroup.freeze of cgroup2 (cgroup-v2.rst), and the v1 freezer (cgroup-v1/freezer-subsystem.rst). */
#include <linux/sched.h>
#include <poll.h>

#include "cgroup.h"

struct shared {
	volatile unsigned long count;
};

static struct shared *shared(void)
{
	return CHECK_OK((struct shared *)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
}

/* A child that counts as long as it runs. */
static pid_t counter(const char *dir, struct shared *s)
{
	pid_t pid = SPAWN(for (;;) { s->count++; sched_yield(); });
	CHECK_OK(cg_put(dir, "cgroup.procs", pid));
	return pid;
}

static int frozen(const char *dir)
{
	return cg_has_line(dir, "cgroup.events", "frozen 1");
}

static int moves(struct shared *s)
{
	unsigned long before = s->count;
	for (int i = 0; i < 500; i++) {
		kt_sleep_ms(2);
		if (s->count != before)
			return 1;
	}
	return 0;
}

static int stands(struct shared *s)
{
	unsigned long before = s->count;
	kt_sleep_ms(50);
	return s->count == before;
}

TEST(values)
{
	cg2();
	const char *a = cg_new("");
	CHECK_ERR(cg_write(a, "cgroup.freeze", "2"), ERANGE);
	CHECK_ERR(cg_write(a, "cgroup.freeze", "-1"), ERANGE);
	CHECK_ERR(cg_write(a, "cgroup.freeze", "x"), EINVAL);
	CHECK_OK(cg_write(a, "cgroup.freeze", "1\n"));
	CG_IS(a, "cgroup.freeze", "1\n");
	/* Nobody is there, so everybody is frozen. */
	CHECK(frozen(a));
	CHECK_OK(cg_write(a, "cgroup.freeze", "0"));
	CHECK(!frozen(a));
	cg_drop(a);
}

TEST(tasks_stop_and_go_on)
{
	cg2();
	const char *a = cg_new("");
	struct shared *s = shared();
	pid_t pid = counter(a, s);
	pid_t sleeper = cg_sleeper(a);
	WAIT_FOR(s->count > 0);
	CHECK_OK(cg_write(a, "cgroup.freeze", "1"));
	WAIT_FOR(frozen(a));
	CHECK(stands(s));
	CHECK_OK(cg_write(a, "cgroup.freeze", "0"));
	WAIT_FOR(!frozen(a));
	CHECK(moves(s));
	cg_end(pid);
	cg_end(sleeper);
	cg_drop(a);
}

static void nothing(int sig)
{
	(void)sig;
}

TEST(frozen_tasks_can_be_killed)
{
	cg2();
	const char *a = cg_new("");
	signal(SIGUSR1, nothing);
	signal(SIGUSR2, SIG_DFL);
	pid_t one = cg_sleeper(a), two = cg_sleeper(a);
	CHECK_OK(cg_write(a, "cgroup.freeze", "1"));
	WAIT_FOR(frozen(a));
	CHECK_OK(kill(one, SIGUSR1));
	kt_sleep_ms(30);
	CHECK(frozen(a));
	CHECK_EQ(waitpid(one, NULL, WNOHANG), 0);
	CHECK_OK(kill(one, SIGKILL));
	CHECK_EQ(kt_wait(one), SIGKILL);
	/* What kills by default kills. */
	CHECK_OK(kill(two, SIGUSR2));
	CHECK_EQ(kt_wait(two), SIGUSR2);
	cg_drop(a);
}

TEST(kill_works_on_a_frozen_cgroup)
{
	cg2();
	const char *a = cg_new("");
	pid_t pid = cg_sleeper(a);
	CHECK_OK(cg_write(a, "cgroup.freeze", "1"));
	WAIT_FOR(frozen(a));
	CHECK_OK(cg_write(a, "cgroup.kill", "1"));
	CHECK_EQ(kt_wait(pid), SIGKILL);
	CHECK(frozen(a));
	cg_drop(a);
}

TEST(who_comes_freezes_and_who_leaves_thaws)
{
	cg2();
	const char *a = cg_new(""), *b = cg_new("");
	struct shared *s = shared();
	CHECK_OK(cg_write(a, "cgroup.freeze", "1"));
	CHECK(frozen(a));
	pid_t pid = counter(b, s);
	WAIT_FOR(s->count > 0);
	CHECK_OK(cg_put(a, "cgroup.procs", pid));
	WAIT_FOR(frozen(a));
	CHECK(stands(s));
	CHECK_OK(cg_put(b, "cgroup.procs", pid));
	CHECK(moves(s));
	CHECK(frozen(a));
	cg_end(pid);
	cg_drop(a);
	cg_drop(b);
}

/* A child freezes before it runs, so that its cgroup, where nobody else is, is frozen all the time. */
TEST(it_stays_frozen_at_a_birth)
{
	cg2();
	for (int i = 0; i < 20; i++) {
		const char *a = cg_new("");
		int dir = CHECK_OK(open(cg_path("%s", a), O_PATH | O_DIRECTORY | O_CLOEXEC));
		struct clone_args args = { .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = dir };
		CHECK_OK(cg_write(a, "cgroup.freeze", "1"));
		CHECK(frozen(a));
		pid_t child = CHECK_OK((pid_t)syscall(SYS_clone3, &args, sizeof args));
		if (child == 0)
			_exit(0);
		CHECK(frozen(a));
		close(dir);
		cg_end(child);
		cg_drop(a);
	}
}

TEST(a_subtree_freezes)
{
	cg2();
	const char *a = cg_new(""), *b = cg_new(a), *c = cg_new(b);
	struct shared *s = shared();
	pid_t pid = counter(c, s);
	CHECK_OK(cg_write(a, "cgroup.freeze", "1"));
	WAIT_FOR(frozen(a));
	CHECK(frozen(b) && frozen(c));
	CG_IS(c, "cgroup.freeze", "0\n");
	CHECK(stands(s));
	/* A thaw further down changes nothing. */
	CHECK_OK(cg_write(c, "cgroup.freeze", "1"));
	CHECK_OK(cg_write(c, "cgroup.freeze", "0"));
	CHECK(stands(s));
	CHECK(frozen(c));
	/* A new cgroup is frozen at once. */
	CHECK_OK(mkdir(cg_path("%s/d", c), 0755));
	CHECK(cg_has_line(c, "cgroup.events", "frozen 1"));
	CHECK_OK(rmdir(cg_path("%s/d", c)));
	CHECK_OK(cg_write(b, "cgroup.freeze", "1"));
	CHECK_OK(cg_write(a, "cgroup.freeze", "0"));
	CHECK(!frozen(a));
	CHECK(frozen(b));
	CHECK_OK(cg_write(b, "cgroup.freeze", "0"));
	CHECK(moves(s));
	cg_end(pid);
	cg_drop(c);
	cg_drop(b);
	cg_drop(a);
}

TEST(waiters_are_told_although_an_ancestor_decides)
{
	cg2();
	const char *a = cg_new(""), *b = cg_new(a);
	CHECK_OK(cg_write(a, "cgroup.freeze", "1"));
	WAIT_FOR(frozen(b));
	int fd = CHECK_OK(open(cg_path("%s/cgroup.events", b), O_RDONLY));
	char text[64];
	for (int freeze = 1; freeze >= 0; freeze--) {
		struct pollfd p = { .fd = fd, .events = POLLPRI };
		CHECK(pread(fd, text, sizeof text, 0) > 0);
		CHECK_EQ(poll(&p, 1, 0), 0);
		CHECK_OK(cg_put(b, "cgroup.freeze", freeze));
		CHECK_EQ(poll(&p, 1, 10000), 1);
		CHECK(p.revents & POLLPRI);
		CHECK(pread(fd, text, sizeof text, 0) > 0);
		/* Nothing is written that was not there before. */
		CHECK_OK(cg_put(b, "cgroup.freeze", freeze));
		CHECK_EQ(poll(&p, 1, 50), 0);
	}
	CHECK_OK(close(fd));
	CHECK_OK(cg_write(a, "cgroup.freeze", "0"));
	cg_drop(b);
	cg_drop(a);
}

TEST(a_stopped_task_counts_as_frozen)
{
	cg2();
	const char *a = cg_new("");
	struct shared *s = shared();
	pid_t pid = counter(a, s);
	CHECK_OK(kill(pid, SIGSTOP));
	int status;
	CHECK_EQ(waitpid(pid, &status, WUNTRACED), pid);
	CHECK(WIFSTOPPED(status));
	CHECK_OK(cg_write(a, "cgroup.freeze", "1"));
	WAIT_FOR(frozen(a));
	CHECK_OK(kill(pid, SIGCONT));
	kt_sleep_ms(20);
	CHECK(stands(s));
	CHECK(frozen(a));
	CHECK_OK(cg_write(a, "cgroup.freeze", "0"));
	CHECK(moves(s));
	cg_end(pid);
	cg_drop(a);
}

TEST(a_forking_process_freezes_as_a_whole)
{
	cg2();
	const char *a = cg_new("");
	pid_t pid = SPAWN({
		cg_enter(a);
		for (;;) {
			pid_t child = fork();
			if (child == 0)
				_exit(0);
			if (child > 0)
				waitpid(child, NULL, 0);
		}
	});
	WAIT_FOR(cg_has_line(a, "cgroup.events", "populated 1"));
	for (int i = 0; i < 20; i++) {
		CHECK_OK(cg_write(a, "cgroup.freeze", "1"));
		WAIT_FOR(frozen(a));
		CHECK_OK(cg_write(a, "cgroup.freeze", "0"));
	}
	CHECK_OK(cg_write(a, "cgroup.kill", "1"));
	kt_wait(pid);
	cg_drop(a);
}

TEST(interrupted_calls_start_again)
{
	cg2();
	const char *a = cg_new("");
	int pipes[2];
	CHECK_OK(pipe(pipes));
	pid_t reader = SPAWN({
		char c;
		CHECK_EQ(read(pipes[0], &c, 1), 1);
		CHECK_EQ(c, 'x');
	});
	pid_t sleeper = SPAWN({
		struct timespec t = { .tv_nsec = 200000000 };
		CHECK_OK(nanosleep(&t, NULL));
	});
	CHECK_OK(cg_put(a, "cgroup.procs", reader));
	CHECK_OK(cg_put(a, "cgroup.procs", sleeper));
	CHECK_OK(cg_write(a, "cgroup.freeze", "1"));
	WAIT_FOR(frozen(a));
	CHECK_OK(cg_write(a, "cgroup.freeze", "0"));
	CHECK_EQ(write(pipes[1], "x", 1), 1);
	JOIN(reader);
	JOIN(sleeper);
	cg_drop(a);
}

/* The v1 freezer. */

static int is(const char *dir, const char *state)
{
	return cg_has_line(dir, "freezer.state", state);
}

TEST(v1_states)
{
	cg1("freezer");
	const char *a = cg_new("");
	CHECK_ERR(access(cg_path("freezer.state"), F_OK), ENOENT);
	CG_IS(a, "freezer.state", "THAWED\n");
	CG_IS(a, "freezer.self_freezing", "0\n");
	CHECK_ERR(cg_write(a, "freezer.state", "FREEZING"), EINVAL);
	CHECK_ERR(cg_write(a, "freezer.state", "frozen"), EINVAL);
	struct shared *s = shared();
	pid_t pid = counter(a, s);
	CHECK_OK(cg_write(a, "freezer.state", "FROZEN\n"));
	WAIT_FOR(is(a, "FROZEN"));
	CG_IS(a, "freezer.self_freezing", "1\n");
	CG_IS(a, "freezer.parent_freezing", "0\n");
	CHECK(stands(s));
	CHECK_OK(cg_write(a, "freezer.state", "THAWED"));
	CHECK(moves(s));
	cg_end(pid);
	cg_drop(a);
	cg1_end("freezer");
}

TEST(v1_frozen_tasks_are_killed_when_they_thaw)
{
	cg1("freezer");
	const char *a = cg_new("");
	struct shared *s = shared();
	pid_t pid = counter(a, s);
	CHECK_OK(cg_write(a, "freezer.state", "FROZEN"));
	WAIT_FOR(is(a, "FROZEN"));
	CHECK_OK(kill(pid, SIGKILL));
	kt_sleep_ms(50);
	CHECK_EQ(waitpid(pid, NULL, WNOHANG), 0);
	CHECK_OK(cg_write(a, "freezer.state", "THAWED"));
	CHECK_EQ(kt_wait(pid), SIGKILL);
	cg_drop(a);
	cg1_end("freezer");
}

TEST(v1_a_subtree_freezes)
{
	cg1("freezer");
	const char *a = cg_new(""), *b = cg_new(a);
	struct shared *s = shared();
	pid_t pid = counter(b, s);
	CHECK_OK(cg_write(a, "freezer.state", "FROZEN"));
	WAIT_FOR(is(a, "FROZEN"));
	CG_IS(b, "freezer.state", "FROZEN\n");
	CG_IS(b, "freezer.parent_freezing", "1\n");
	CG_IS(b, "freezer.self_freezing", "0\n");
	CHECK_OK(cg_write(b, "freezer.state", "THAWED"));
	CG_IS(b, "freezer.state", "FROZEN\n");
	/* Whoever leaves goes on. */
	CHECK_OK(cg_put("", "cgroup.procs", pid));
	CHECK(moves(s));
	CHECK_OK(cg_put(b, "cgroup.procs", pid));
	WAIT_FOR(stands(s));
	CHECK_OK(cg_write(a, "freezer.state", "THAWED"));
	CHECK(moves(s));
	cg_end(pid);
	cg_drop(b);
	cg_drop(a);
	cg1_end("freezer");
}
