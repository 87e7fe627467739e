/* Threads, namespaces, races. */
#include <sys/prctl.h>
#include <sys/syscall.h>
#include "ptrace.h"

#define THREAD (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)
#define STACK 32768

static char stacks[8][STACK] __attribute__((aligned(16)));

static int start_thread(int n, int (*run)(void *), void *arg)
{
	return CHECK_OK(clone(run, stacks[n] + STACK, THREAD, arg));
}

static int thread_exits(void *arg)
{
	syscall(SYS_exit, (long)arg);
	return 0;
}

static int thread_pauses(void *arg)
{
	(void)arg;
	pause_for_ever();
	return 0;
}

static void options(pid_t child, long options)
{
	CHECK_OK(pt(PTRACE_SETOPTIONS, child, 0, options));
}

TEST(new_threads_are_traced_and_waited_for)
{
	pid_t child = TRACED_CHILD({
		start_thread(0, thread_exits, (void *)7);
		kt_sleep_ms(20);
	});
	options(child, PTRACE_O_TRACECLONE);
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGTRAP, PTRACE_EVENT_CLONE);
	pid_t thread = event_of(child);
	CHECK(thread != child);
	EXPECT_STOP(thread, SIGSTOP, 0);
	CHECK_EQ(tracer_of(thread), getpid());
	go(thread, PTRACE_CONT, 0);
	/* Its end is reported to the tracer, and not to others. */
	siginfo_t info;
	CHECK_OK(waitid(P_PID, thread, &info, WEXITED | WNOWAIT | __WALL));
	CHECK_EQ(info.si_code, CLD_EXITED);
	CHECK_EQ(info.si_status, 7);
	EXPECT_EXIT(thread, 7);
	CHECK_ERR(waitpid(thread, NULL, __WALL), ECHILD);
	go(child, PTRACE_CONT, 0);
	EXPECT_EXIT(child, 0);
}

TEST(a_dead_thread_waits_for_its_tracer)
{
	pid_t child = TRACED_CHILD({
		start_thread(0, thread_exits, (void *)7);
		kt_sleep_ms(10);
	});
	options(child, PTRACE_O_TRACECLONE);
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGTRAP, PTRACE_EVENT_CLONE);
	pid_t thread = event_of(child);
	EXPECT_STOP(thread, SIGSTOP, 0);
	go(thread, PTRACE_CONT, 0);
	go(child, PTRACE_CONT, 0);
	kt_sleep_ms(60);
	/* The leader has exited, but is not to be waited for before the thread is. */
	CHECK_EQ(kt_state(child), 'Z');
	CHECK_EQ(waitpid(child, NULL, WNOHANG), 0);
	/* By now the whole process has ended with 0. */
	EXPECT_EXIT(thread, 0);
	EXPECT_EXIT(child, 0);
}

TEST(the_leader_ends_before_a_thread)
{
	pid_t child = TRACED_CHILD({
		start_thread(0, thread_pauses, NULL);
		syscall(SYS_exit, 3);
	});
	options(child, PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXIT);
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGTRAP, PTRACE_EVENT_CLONE);
	pid_t thread = event_of(child);
	EXPECT_STOP(thread, SIGSTOP, 0);
	go(thread, PTRACE_CONT, 0);
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGTRAP, PTRACE_EVENT_EXIT);
	CHECK_EQ(event_of(child), 3 << 8);
	go(child, PTRACE_CONT, 0);
	WAIT_FOR(kt_state(child) == 'Z');
	CHECK_EQ(waitpid(child, NULL, WNOHANG), 0);
	kill(child, SIGKILL);
	EXPECT_STOP(thread, SIGTRAP, PTRACE_EVENT_EXIT);
	go(thread, PTRACE_CONT, 0);
	EXPECT_KILLED(thread, SIGKILL);
	EXPECT_KILLED(child, SIGKILL);
}

ROLE(five)
{
	return 5;
}

static int thread_execs(void *arg)
{
	(void)arg;
	execl("/proc/self/exe", "role:five", NULL);
	return 0;
}

TEST(exec_of_a_thread_takes_over_the_pid)
{
	pid_t child = TRACED_CHILD({
		start_thread(0, thread_execs, NULL);
		pause_for_ever();
	});
	options(child, PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEEXIT);
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGTRAP, PTRACE_EVENT_CLONE);
	pid_t thread = event_of(child);
	EXPECT_STOP(thread, SIGSTOP, 0);
	go(child, PTRACE_CONT, 0);
	go(thread, PTRACE_CONT, 0);
	/* The leader dies, ... */
	EXPECT_STOP(child, SIGTRAP, PTRACE_EVENT_EXIT);
	go(child, PTRACE_CONT, 0);
	/* ... and its pid is the thread's, which tells its old number. */
	EXPECT_STOP(child, SIGTRAP, PTRACE_EVENT_EXEC);
	CHECK_EQ(event_of(child), thread);
	CHECK_EQ(tracer_of(child), getpid());
	CHECK_ERR(pt(PTRACE_CONT, thread, 0, 0), ESRCH);
	CHECK_ERR(waitpid(thread, NULL, __WALL | WNOHANG), ECHILD);
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGTRAP, PTRACE_EVENT_EXIT);
	go(child, PTRACE_CONT, 0);
	EXPECT_EXIT(child, 5);
}

TEST(exec_waits_until_the_tracer_has_seen_the_others)
{
	pid_t child = TRACED_CHILD({
		start_thread(0, thread_pauses, NULL);
		thread_execs(NULL);
	});
	options(child, PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC);
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGTRAP, PTRACE_EVENT_CLONE);
	pid_t thread = event_of(child);
	EXPECT_STOP(thread, SIGSTOP, 0);
	go(thread, PTRACE_CONT, 0);
	go(child, PTRACE_CONT, 0);
	kt_sleep_ms(40);
	CHECK_EQ(waitpid(child, NULL, WNOHANG), 0);
	EXPECT_EXIT(thread, 0);
	EXPECT_STOP(child, SIGTRAP, PTRACE_EVENT_EXEC);
	CHECK_EQ(event_of(child), child);
	go(child, PTRACE_CONT, 0);
	EXPECT_EXIT(child, 5);
}

TEST(one_thread_of_a_process_can_be_traced)
{
	int fds[2], tid;
	CHECK_OK(pipe(fds));
	pid_t child = SPAWN({
		tid = start_thread(0, thread_pauses, NULL);
		CHECK_EQ(write(fds[1], &tid, sizeof tid), (ssize_t)sizeof tid);
		pause_for_ever();
	});
	CHECK_EQ(read(fds[0], &tid, sizeof tid), (ssize_t)sizeof tid);
	CHECK_OK(pt(PTRACE_SEIZE, tid, 0, 0));
	CHECK_OK(pt(PTRACE_INTERRUPT, tid, 0, 0));
	EXPECT_STOP(tid, SIGTRAP, PTRACE_EVENT_STOP);
	CHECK_EQ(tracer_of(child), 0);
	/* A stop of the process: the other thread stops, this one traps when it goes on. */
	kill(child, SIGSTOP);
	kt_sleep_ms(20);
	go(tid, PTRACE_CONT, 0);
	EXPECT_STOP(tid, SIGSTOP, PTRACE_EVENT_STOP);
	int status;
	CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
	CHECK_EQ(status, STOPPED(SIGSTOP, 0));
	kill(child, SIGKILL);
	EXPECT_KILLED(tid, SIGKILL);
	EXPECT_KILLED(child, SIGKILL);
}

static volatile int tracer_done, traced_child;

static int thread_traces(void *arg)
{
	(void)arg;
	CHECK_OK(pt(PTRACE_ATTACH, traced_child, 0, 0));
	EXPECT_STOP(traced_child, SIGSTOP, 0);
	tracer_done = 1;
	while (tracer_done == 1)
		kt_sleep_ms(2);
	syscall(SYS_exit, 0);
	return 0;
}

TEST(only_the_thread_that_traces_directs)
{
	traced_child = SPAWN(pause_for_ever());
	start_thread(0, thread_traces, NULL);
	WAIT_FOR(tracer_done == 1);
	CHECK_ERR(pt(PTRACE_CONT, traced_child, 0, 0), ESRCH);
	CHECK(tracer_of(traced_child) != getpid());
	kill(traced_child, SIGUSR1);
	/* Its end lets go, though the process lives on: the signal is delivered. */
	tracer_done = 2;
	EXPECT_KILLED(traced_child, SIGUSR1);
}

TEST(a_tracer_in_a_pid_namespace_sees_its_own_numbers)
{
	CHECK_OK(unshare(CLONE_NEWPID));
	pid_t init = SPAWN({
		CHECK_EQ(getpid(), 1);
		pid_t child = TRACED_CHILD({
			pid_t other = SPAWN(_exit(2));
			CHECK_EQ(kt_wait(other), 2 << 8);
		});
		CHECK_EQ(child, 2);
		options(child, PTRACE_O_TRACEFORK);
		go(child, PTRACE_CONT, 0);
		EXPECT_STOP(child, SIGTRAP, PTRACE_EVENT_FORK);
		CHECK_EQ(event_of(child), 3);
		CHECK_EQ(info_of(child).si_pid, 2);
		EXPECT_STOP(3, SIGSTOP, 0);
		go(3, PTRACE_CONT, 0);
		EXPECT_EXIT(3, 2);
		go(child, PTRACE_CONT, 0);
		EXPECT_STOP(child, SIGCHLD, 0);
		CHECK_EQ(info_of(child).si_pid, 3);
		go(child, PTRACE_CONT, 0);
		EXPECT_EXIT(child, 0);
	});
	JOIN(init);
}

TEST(a_tracer_outside_of_the_pid_namespace)
{
	int fds[2];
	CHECK_OK(pipe(fds));
	CHECK_OK(unshare(CLONE_NEWPID));
	pid_t init = SPAWN({
		char c;
		CHECK_EQ(read(fds[0], &c, 1), 1);
		pid_t other = SPAWN(pause_for_ever());
		CHECK_EQ(other, 2);
		raise(SIGUSR1);
		_exit(3);
	});
	CHECK_OK(pt(PTRACE_SEIZE, init, 0, PTRACE_O_TRACEFORK));
	CHECK_EQ(write(fds[1], "x", 1), 1);
	EXPECT_STOP(init, SIGTRAP, PTRACE_EVENT_FORK);
	pid_t other = event_of(init);
	CHECK(other > 2);
	EXPECT_STOP(other, SIGTRAP, PTRACE_EVENT_STOP);
	/* The record is the tracee's own view. */
	CHECK_EQ(info_of(other).si_pid, 2);
	go(init, PTRACE_CONT, 0);
	/* An init does not see signals that it has no handler for, its tracer does. */
	EXPECT_STOP(init, SIGUSR1, 0);
	go(init, PTRACE_CONT, SIGUSR1);
	/* The namespace ends when its last process has been seen. */
	EXPECT_KILLED(other, SIGKILL);
	EXPECT_EXIT(init, 3);
}

ROLE(ids)
{
	return geteuid() == 0 ? 10 : 11;
}

static void make_setuid(void)
{
	kt_copy_self("setuid");
	CHECK_OK(chown("setuid", 0, 0));
	CHECK_OK(chmod("setuid", 04755));
	CHECK_OK(chmod(".", 0755));
}

TEST(a_setuid_program_keeps_its_rights_under_a_strong_tracer)
{
	int fds[2];
	make_setuid();
	CHECK_OK(pipe(fds));
	pid_t child = SPAWN({
		char c;
		CHECK_OK(setresgid(1000, 1000, 1000));
		CHECK_OK(setresuid(1000, 1000, 1000));
		CHECK_EQ(read(fds[0], &c, 1), 1);
		execl("setuid", "role:ids", NULL);
		_exit(99);
	});
	CHECK_OK(pt(PTRACE_SEIZE, child, 0, PTRACE_O_TRACEEXEC));
	CHECK_EQ(write(fds[1], "x", 1), 1);
	EXPECT_STOP(child, SIGTRAP, PTRACE_EVENT_EXEC);
	go(child, PTRACE_CONT, 0);
	EXPECT_EXIT(child, 10);
}

TEST(a_setuid_program_loses_its_rights_under_a_weak_tracer)
{
	make_setuid();
	pid_t tracer = SPAWN({
		CHECK_OK(setresgid(1000, 1000, 1000));
		CHECK_OK(setresuid(1000, 1000, 1000));
		pid_t child = SPAWN({
			CHECK_OK(pt(PTRACE_TRACEME, 0, 0, 0));
			execl("setuid", "role:ids", NULL);
			_exit(99);
		});
		EXPECT_STOP(child, SIGTRAP, 0);
		go(child, PTRACE_CONT, 0);
		EXPECT_EXIT(child, 11);
		/* The same without a tracer. */
		child = SPAWN({
			execl("setuid", "role:ids", NULL);
			_exit(99);
		});
		EXPECT_EXIT(child, 10);
	});
	JOIN(tracer);
}

static void spin(void)
{
	for (;;)
		getppid();
}

/* The tracer dies while its tracee goes from stop to stop. */
TEST(tracers_that_die_at_any_moment)
{
	pid_t child = SPAWN(spin());
	for (int round = 0; round < 60; round++) {
		pid_t tracer = SPAWN({
			CHECK_OK(pt(PTRACE_SEIZE, child, 0, PTRACE_O_TRACESYSGOOD));
			CHECK_OK(pt(PTRACE_INTERRUPT, child, 0, 0));
			for (;;) {
				int status;
				CHECK_EQ(waitpid(child, &status, __WALL), child);
				pt(PTRACE_SYSCALL, child, 0, 0);
			}
		});
		WAIT_FOR(tracer_of(child) == tracer);
		usleep(round * 37 % 1000);
		kill(tracer, SIGKILL);
		CHECK_EQ(kt_wait(tracer), SIGKILL);
		CHECK_EQ(tracer_of(child), 0);
	}
	WAIT_FOR(kt_state(child) == 'R');
	kill(child, SIGKILL);
	EXPECT_KILLED(child, SIGKILL);
}

/* A stop that nobody has waited for when the tracer ends leaves its code as a signal. */
TEST(an_unseen_stop_at_a_call_is_sigtrap)
{
	pid_t child = SPAWN(spin());
	pid_t tracer = SPAWN({
		CHECK_OK(pt(PTRACE_ATTACH, child, 0, 0));
		EXPECT_STOP(child, SIGSTOP, 0);
		go(child, PTRACE_SYSCALL, 0);
		WAIT_FOR(kt_state(child) == 't');
	});
	JOIN(tracer);
	EXPECT_KILLED(child, SIGTRAP);
}

/* The tracee dies while its tracer works on it. */
TEST(tracees_that_die_at_any_moment)
{
	for (int round = 0; round < 60; round++) {
		pid_t child = TRACED_CHILD(spin());
		pid_t killer = SPAWN({
			usleep(round * 53 % 2000);
			kill(child, SIGKILL);
		});
		struct user_regs_struct regs;
		struct user_fpregs_struct fp;
		int status;
		for (;;) {
			pt(PTRACE_GETREGS, child, 0, (unsigned long)&regs);
			pt(PTRACE_GETFPREGS, child, 0, (unsigned long)&fp);
			pt(PTRACE_SETFPREGS, child, 0, (unsigned long)&fp);
			pt(round % 2 ? PTRACE_SYSCALL : PTRACE_SINGLESTEP, child, 0, 0);
			CHECK_EQ(waitpid(child, &status, __WALL), child);
			if (!WIFSTOPPED(status))
				break;
		}
		CHECK_EQ(status, SIGKILL);
		JOIN(killer);
	}
}

/* Threads come and go under a tracer that is killed in the middle. */
TEST(exitkill_among_threads)
{
	for (int round = 0; round < 20; round++) {
		int fds[2], ready[2];
		char c;
		CHECK_OK(pipe(fds));
		CHECK_OK(pipe(ready));
		pid_t tracer = SPAWN({
			pid_t child = TRACED_CHILD({
				close(fds[0]);
				for (int n = 0;; n = (n + 1) % 8) {
					start_thread(n, thread_exits, NULL);
					usleep(500);
				}
			});
			close(fds[1]);
			options(child, PTRACE_O_TRACECLONE | PTRACE_O_EXITKILL);
			go(child, PTRACE_CONT, 0);
			CHECK_EQ(write(ready[1], "x", 1), 1);
			for (;;) {
				int status;
				pid_t pid = waitpid(-1, &status, __WALL);
				if (pid > 0 && WIFSTOPPED(status))
					pt(PTRACE_CONT, pid, 0, 0);
			}
		});
		close(fds[1]);
		CHECK_EQ(read(ready[0], &c, 1), 1);
		usleep(round * 531);
		kill(tracer, SIGKILL);
		CHECK_EQ(kt_wait(tracer), SIGKILL);
		/* Nobody holds the other end any more. */
		CHECK_EQ(read(fds[0], &c, 1), 0);
		close(fds[0]);
		close(ready[0]);
		close(ready[1]);
	}
}

/* Attaching and detaching while signals and job control come in. */
TEST(attach_and_detach_under_fire)
{
	pid_t child = SPAWN({
		signal(SIGUSR1, SIG_IGN);
		spin();
	});
	pid_t sender = SPAWN({
		for (int n = 0;; n++) {
			kill(child, SIGSTOP);
			kill(child, SIGCONT);
			if (n % 4 == 0)
				usleep(100);
		}
	});
	for (int round = 0; round < 100; round++) {
		int status;
		CHECK_OK(pt(round % 2 ? PTRACE_SEIZE : PTRACE_ATTACH, child, 0, 0));
		if (round % 2)
			CHECK_OK(pt(PTRACE_INTERRUPT, child, 0, 0));
		do {
			CHECK_EQ(waitpid(child, &status, __WALL), child);
			CHECK(WIFSTOPPED(status));
		} while (pt(PTRACE_DETACH, child, 0, 0) < 0);
		CHECK_EQ(tracer_of(child), 0);
	}
	kill(sender, SIGKILL);
	CHECK_EQ(kt_wait(sender), SIGKILL);
	kill(child, SIGKILL);
	EXPECT_KILLED(child, SIGKILL);
}
