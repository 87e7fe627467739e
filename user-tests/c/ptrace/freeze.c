/* Tracees in a cgroup that freezes. */
#include "cgroup.h"
#include "ptrace.h"

static int frozen(const char *dir)
{
	return cg_has_line(dir, "cgroup.events", "frozen 1");
}

TEST(a_stopped_tracee_counts_as_frozen)
{
	cg2();
	const char *a = cg_new("");
	pid_t child = TRACED_CHILD(for (;;) getppid());
	CHECK_OK(cg_put(a, "cgroup.procs", child));
	CHECK_OK(cg_write(a, "cgroup.freeze", "1"));
	WAIT_FOR(frozen(a));
	/* It can be looked at. */
	CHECK_EQ(kt_state(child), 't');
	CHECK(regs_of(child).rip != 0);
	/* Resumed, it does not get to user code. */
	go(child, PTRACE_SINGLESTEP, 0);
	kt_sleep_ms(30);
	CHECK_EQ(waitpid(child, NULL, WNOHANG), 0);
	WAIT_FOR(frozen(a));
	CHECK_OK(cg_write(a, "cgroup.freeze", "0"));
	EXPECT_STOP(child, SIGTRAP, 0);
	WAIT_FOR(!frozen(a));
	kill(child, SIGKILL);
	EXPECT_KILLED(child, SIGKILL);
	cg_drop(a);
}

TEST(a_frozen_task_can_be_seized_and_killed)
{
	cg2();
	const char *a = cg_new("");
	pid_t child = SPAWN(for (;;) getppid());
	CHECK_OK(cg_put(a, "cgroup.procs", child));
	CHECK_OK(cg_write(a, "cgroup.freeze", "1"));
	WAIT_FOR(frozen(a));
	CHECK_OK(pt(PTRACE_SEIZE, child, 0, 0));
	CHECK_OK(pt(PTRACE_INTERRUPT, child, 0, 0));
	/* A frozen task still traps. */
	EXPECT_STOP(child, SIGTRAP, PTRACE_EVENT_STOP);
	WAIT_FOR(frozen(a));
	CHECK(regs_of(child).rip != 0);
	kill(child, SIGKILL);
	EXPECT_KILLED(child, SIGKILL);
	CHECK_OK(cg_write(a, "cgroup.freeze", "0"));
	cg_drop(a);
}

TEST(killing_a_cgroup_reaches_stopped_tracees)
{
	cg2();
	const char *a = cg_new("");
	pid_t child = TRACED_CHILD(pause_for_ever());
	CHECK_OK(cg_put(a, "cgroup.procs", child));
	CHECK_OK(cg_write(a, "cgroup.kill", "1"));
	EXPECT_KILLED(child, SIGKILL);
	cg_drop(a);
}
