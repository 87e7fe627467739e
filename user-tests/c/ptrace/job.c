/* Job control of tracees: group stops, PTRACE_SEIZE, PTRACE_INTERRUPT, PTRACE_LISTEN. */
#include "ptrace.h"

#define EVENT_STOP PTRACE_EVENT_STOP

static pid_t seized(void)
{
	pid_t child = SPAWN(pause_for_ever());
	CHECK_OK(pt(PTRACE_SEIZE, child, 0, 0));
	return child;
}

static void finish(pid_t child)
{
	kill(child, SIGKILL);
	EXPECT_KILLED(child, SIGKILL);
}

TEST(seize_does_not_stop_interrupt_does)
{
	pid_t child = seized();
	CHECK_EQ(tracer_of(child), getpid());
	kt_sleep_ms(20);
	CHECK_EQ(waitpid(child, NULL, WNOHANG | __WALL), 0);
	CHECK_ERR(pt(PTRACE_CONT, child, 0, 0), ESRCH);
	CHECK_OK(pt(PTRACE_INTERRUPT, child, 0, 0));
	EXPECT_STOP(child, SIGTRAP, EVENT_STOP);
	siginfo_t info = info_of(child);
	CHECK_EQ(info.si_signo, SIGTRAP);
	CHECK_EQ(info.si_code, SIGTRAP | EVENT_STOP << 8);
	CHECK_EQ(event_of(child), 0);
	/* One that comes meanwhile is seen after it goes on. */
	CHECK_OK(pt(PTRACE_INTERRUPT, child, 0, 0));
	CHECK_EQ(waitpid(child, NULL, WNOHANG | __WALL), 0);
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGTRAP, EVENT_STOP);
	go(child, PTRACE_CONT, 0);
	finish(child);
}

TEST(interrupt_of_a_sleeping_call_restarts_it)
{
	int fds[2];
	CHECK_OK(pipe(fds));
	pid_t child = SPAWN({
		char c;
		CHECK_EQ(read(fds[0], &c, 1), 1);
		_exit(c);
	});
	CHECK_OK(pt(PTRACE_SEIZE, child, 0, 0));
	WAIT_FOR(kt_state(child) == 'S');
	CHECK_OK(pt(PTRACE_INTERRUPT, child, 0, 0));
	EXPECT_STOP(child, SIGTRAP, EVENT_STOP);
	CHECK_EQ((long)regs_of(child).rax, -512);
	go(child, PTRACE_CONT, 0);
	CHECK_EQ(write(fds[1], "\x03", 1), 1);
	EXPECT_EXIT(child, 3);
}

TEST(a_group_stop_of_a_seized_tracee)
{
	pid_t child = seized();
	kill(child, SIGSTOP);
	EXPECT_STOP(child, SIGSTOP, 0);
	go(child, PTRACE_CONT, SIGSTOP);
	EXPECT_STOP(child, SIGSTOP, EVENT_STOP);
	CHECK_EQ(kt_state(child), 't');
	/* It listens: no stop for wait, no requests, until SIGCONT. */
	CHECK_OK(pt(PTRACE_LISTEN, child, 0, 0));
	CHECK_ERR(pt(PTRACE_CONT, child, 0, 0), ESRCH);
	CHECK_EQ(waitpid(child, NULL, WNOHANG | __WALL), 0);
	kill(child, SIGCONT);
	EXPECT_STOP(child, SIGTRAP, EVENT_STOP);
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGCONT, 0);
	go(child, PTRACE_CONT, SIGCONT);
	finish(child);
}

TEST(interrupt_ends_listening)
{
	pid_t child = seized();
	kill(child, SIGTSTP);
	EXPECT_STOP(child, SIGTSTP, 0);
	go(child, PTRACE_CONT, SIGTSTP);
	EXPECT_STOP(child, SIGTSTP, EVENT_STOP);
	CHECK_OK(pt(PTRACE_LISTEN, child, 0, 0));
	CHECK_OK(pt(PTRACE_INTERRUPT, child, 0, 0));
	EXPECT_STOP(child, SIGTSTP, EVENT_STOP);
	go(child, PTRACE_CONT, 0);
	finish(child);
}

TEST(cont_ends_a_group_stop_for_the_tracee_alone)
{
	pid_t child = seized();
	kill(child, SIGSTOP);
	EXPECT_STOP(child, SIGSTOP, 0);
	go(child, PTRACE_CONT, SIGSTOP);
	EXPECT_STOP(child, SIGSTOP, EVENT_STOP);
	go(child, PTRACE_CONT, 0);
	WAIT_FOR(kt_state(child) == 'S');
	/* The process counts as stopped still: the tracee stops when it is let go. */
	CHECK_OK(pt(PTRACE_INTERRUPT, child, 0, 0));
	EXPECT_STOP(child, SIGSTOP, EVENT_STOP);
	CHECK_OK(pt(PTRACE_DETACH, child, 0, 0));
	WAIT_FOR(kt_state(child) == 'T');
	kill(child, SIGCONT);
	WAIT_FOR(kt_state(child) == 'S');
	finish(child);
}

TEST(a_plain_group_stop_has_no_record)
{
	pid_t child = TRACED_CHILD(pause_for_ever());
	siginfo_t info;
	go(child, PTRACE_CONT, SIGSTOP);
	EXPECT_STOP(child, SIGSTOP, 0);
	CHECK_ERR(pt(PTRACE_GETSIGINFO, child, 0, (unsigned long)&info), EINVAL);
	CHECK_ERR(pt(PTRACE_SETSIGINFO, child, 0, (unsigned long)&info), EINVAL);
	CHECK_ERR(pt(PTRACE_LISTEN, child, 0, 0), EIO);
	/* SIGCONT does not end it. */
	kill(child, SIGCONT);
	kt_sleep_ms(20);
	CHECK_EQ(kt_state(child), 't');
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGCONT, 0);
	go(child, PTRACE_CONT, 0);
	finish(child);
}

TEST(attach_to_a_stopped_process)
{
	int status;
	pid_t child = SPAWN(pause_for_ever());
	kill(child, SIGSTOP);
	CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
	CHECK_EQ(status, STOPPED(SIGSTOP, 0));
	CHECK_OK(pt(PTRACE_ATTACH, child, 0, 0));
	/* It is in its stop when the call returns. */
	CHECK_EQ(kt_state(child), 't');
	EXPECT_STOP(child, SIGSTOP, 0);
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGSTOP, 0);
	CHECK_EQ(info_of(child).si_code, SI_KERNEL);
	CHECK_OK(pt(PTRACE_DETACH, child, 0, 0));
	WAIT_FOR(kt_state(child) == 'T');
	finish(child);
}

TEST(seize_of_a_stopped_process)
{
	int status;
	pid_t child = SPAWN(pause_for_ever());
	kill(child, SIGSTOP);
	CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
	CHECK_OK(pt(PTRACE_SEIZE, child, 0, 0));
	EXPECT_STOP(child, SIGSTOP, EVENT_STOP);
	CHECK_OK(pt(PTRACE_LISTEN, child, 0, 0));
	kill(child, SIGCONT);
	EXPECT_STOP(child, SIGTRAP, EVENT_STOP);
	CHECK_OK(pt(PTRACE_DETACH, child, 0, 0));
	WAIT_FOR(kt_state(child) == 'S');
	finish(child);
}

TEST(seized_children_stop_with_event_stop)
{
	int fds[2];
	CHECK_OK(pipe(fds));
	pid_t child = SPAWN({
		char c;
		CHECK_EQ(read(fds[0], &c, 1), 1);
		pid_t grandchild = SPAWN(_exit(2));
		CHECK_EQ(kt_wait(grandchild), 2 << 8);
	});
	CHECK_OK(pt(PTRACE_SEIZE, child, 0, PTRACE_O_TRACEFORK));
	CHECK_EQ(write(fds[1], "x", 1), 1);
	EXPECT_STOP(child, SIGTRAP, PTRACE_EVENT_FORK);
	pid_t grandchild = event_of(child);
	EXPECT_STOP(grandchild, SIGTRAP, EVENT_STOP);
	go(grandchild, PTRACE_CONT, 0);
	EXPECT_EXIT(grandchild, 2);
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGCHLD, 0);
	go(child, PTRACE_CONT, 0);
	EXPECT_EXIT(child, 0);
}

ROLE(eight)
{
	return 8;
}

TEST(exec_of_a_seized_tracee_is_no_signal)
{
	int fds[2];
	CHECK_OK(pipe(fds));
	pid_t child = SPAWN({
		char c;
		CHECK_EQ(read(fds[0], &c, 1), 1);
		execl("/proc/self/exe", "role:eight", NULL);
	});
	CHECK_OK(pt(PTRACE_SEIZE, child, 0, 0));
	CHECK_EQ(write(fds[1], "x", 1), 1);
	EXPECT_EXIT(child, 8);
}

TEST(the_real_parent_sees_the_group_stop)
{
	int fds[2], status;
	char c;
	CHECK_OK(pipe(fds));
	pid_t child = SPAWN(pause_for_ever());
	pid_t tracer = SPAWN({
		CHECK_OK(pt(PTRACE_SEIZE, child, 0, 0));
		kill(child, SIGSTOP);
		EXPECT_STOP(child, SIGSTOP, 0);
		kt_sleep_ms(20);
		go(child, PTRACE_CONT, SIGSTOP);
		EXPECT_STOP(child, SIGSTOP, EVENT_STOP);
		CHECK_EQ(read(fds[0], &c, 1), 1);
		CHECK_OK(pt(PTRACE_LISTEN, child, 0, 0));
		EXPECT_STOP(child, SIGTRAP, EVENT_STOP);
		go(child, PTRACE_CONT, 0);
		EXPECT_STOP(child, SIGCONT, 0);
		go(child, PTRACE_CONT, SIGCONT);
		CHECK_EQ(read(fds[0], &c, 1), 1);
	});
	CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
	CHECK_EQ(status, STOPPED(SIGSTOP, 0));
	CHECK_EQ(write(fds[1], "x", 1), 1);
	kt_sleep_ms(20);
	kill(child, SIGCONT);
	CHECK_EQ(waitpid(child, &status, WCONTINUED), child);
	CHECK_EQ(status, 0xffff);
	CHECK_EQ(write(fds[1], "x", 1), 1);
	JOIN(tracer);
	finish(child);
}

TEST(the_end_of_the_tracer_leaves_a_group_stop)
{
	pid_t child = SPAWN(pause_for_ever());
	pid_t tracer = SPAWN({
		CHECK_OK(pt(PTRACE_SEIZE, child, 0, 0));
		kill(child, SIGSTOP);
		EXPECT_STOP(child, SIGSTOP, 0);
		go(child, PTRACE_CONT, SIGSTOP);
		EXPECT_STOP(child, SIGSTOP, EVENT_STOP);
	});
	JOIN(tracer);
	WAIT_FOR(kt_state(child) == 'T');
	kill(child, SIGCONT);
	WAIT_FOR(kt_state(child) == 'S');
	finish(child);
}
