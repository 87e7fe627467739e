/* Attaching, stopping, reading and writing. */
#include <sys/prctl.h>
#include "ptrace.h"

static volatile long word = 0x1122334455667788;

TEST(requests_need_a_stopped_tracee_of_the_caller)
{
	CHECK_ERR(pt(PTRACE_CONT, 0x7ffffff0, 0, 0), ESRCH);
	pid_t child = SPAWN(pause_for_ever());
	CHECK_ERR(pt(PTRACE_CONT, child, 0, 0), ESRCH);
	CHECK_ERR(pt(PTRACE_PEEKDATA, child, 0, 0), ESRCH);
	CHECK_ERR(pt(PTRACE_DETACH, child, 0, 0), ESRCH);
	CHECK_ERR(pt(PTRACE_KILL, child, 0, 0), ESRCH);
	CHECK_ERR(pt(PTRACE_INTERRUPT, child, 0, 0), ESRCH);
	CHECK_ERR(pt(12345, child, 0, 0), ESRCH);
	CHECK_ERR(pt(PTRACE_ATTACH, getpid(), 0, 0), EPERM);
	CHECK_ERR(pt(PTRACE_SEIZE, child, 8, 0), EIO);
	CHECK_ERR(pt(PTRACE_SEIZE, child, 0, 0x400), EIO);
	kill(child, SIGKILL);
	EXPECT_KILLED(child, SIGKILL);
	CHECK_ERR(pt(PTRACE_ATTACH, child, 0, 0), ESRCH);
}

TEST(traceme_once)
{
	pid_t child = SPAWN({
		CHECK_OK(pt(PTRACE_TRACEME, 0, 0, 0));
		CHECK_ERR(pt(PTRACE_TRACEME, 0, 0, 0), EPERM);
		CHECK_EQ(tracer_of(0), getppid());
	});
	EXPECT_EXIT(child, 0);
	CHECK_EQ(tracer_of(0), 0);
}

TEST(a_tracee_stops_at_each_signal)
{
	pid_t child = TRACED_CHILD({
		raise(SIGUSR1);
		_exit(3);
	});
	CHECK_EQ(kt_state(child), 't');
	CHECK_EQ(tracer_of(child), getpid());
	siginfo_t info = info_of(child);
	CHECK_EQ(info.si_signo, SIGSTOP);
	CHECK_EQ(info.si_code, SI_TKILL);
	CHECK_EQ(info.si_pid, child);
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGUSR1, 0);
	/* The default action would kill; nothing is delivered. */
	go(child, PTRACE_CONT, 0);
	EXPECT_EXIT(child, 3);
}

TEST(the_tracer_chooses_the_signal)
{
	pid_t child = TRACED_CHILD({
		raise(SIGUSR1);
		_exit(3);
	});
	CHECK_ERR(pt(PTRACE_CONT, child, 0, 65), EIO);
	CHECK_ERR(pt(PTRACE_CONT, child, 0, -1), EIO);
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGUSR1, 0);
	go(child, PTRACE_CONT, SIGTERM);
	EXPECT_KILLED(child, SIGTERM);
}

static volatile int got_signal, got_code, got_pid, got_value;

static void on_signal(int sig, siginfo_t *info, void *ucontext)
{
	(void)ucontext;
	got_signal = sig;
	got_code = info->si_code;
	got_pid = info->si_pid;
	got_value = info->si_value.sival_int;
}

static void catch(int sig)
{
	struct sigaction act = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };
	CHECK_OK(sigaction(sig, &act, NULL));
}

TEST(another_signal_is_from_the_tracer)
{
	pid_t tracer = getpid();
	pid_t child = TRACED_CHILD({
		catch(SIGUSR2);
		raise(SIGUSR1);
		CHECK_EQ(got_signal, SIGUSR2);
		CHECK_EQ(got_code, SI_USER);
		CHECK_EQ(got_pid, tracer);
	});
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGUSR1, 0);
	go(child, PTRACE_CONT, SIGUSR2);
	EXPECT_EXIT(child, 0);
}

TEST(the_record_of_a_signal_can_be_changed)
{
	pid_t child = TRACED_CHILD({
		catch(SIGUSR1);
		raise(SIGUSR1);
		CHECK_EQ(got_signal, SIGUSR1);
		CHECK_EQ(got_code, SI_QUEUE);
		CHECK_EQ(got_value, 77);
	});
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGUSR1, 0);
	siginfo_t info = info_of(child);
	CHECK_EQ(info.si_code, SI_TKILL);
	info.si_code = SI_QUEUE;
	info.si_value.sival_int = 77;
	CHECK_OK(pt(PTRACE_SETSIGINFO, child, 0, (unsigned long)&info));
	go(child, PTRACE_CONT, SIGUSR1);
	EXPECT_EXIT(child, 0);
}

TEST(a_signal_that_is_blocked_meanwhile_waits)
{
	pid_t child = TRACED_CHILD({
		sigset_t set;
		sigemptyset(&set);
		sigaddset(&set, SIGUSR2);
		sigprocmask(SIG_BLOCK, &set, NULL);
		raise(SIGUSR1);
		sigset_t pending;
		sigpending(&pending);
		CHECK(sigismember(&pending, SIGUSR2));
	});
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGUSR1, 0);
	go(child, PTRACE_CONT, SIGUSR2);
	EXPECT_EXIT(child, 0);
}

TEST(ignored_signals_are_shown_too)
{
	pid_t child = TRACED_CHILD({
		signal(SIGUSR1, SIG_IGN);
		raise(SIGUSR1);
		raise(SIGCHLD);
	});
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGUSR1, 0);
	go(child, PTRACE_CONT, SIGUSR1);
	EXPECT_STOP(child, SIGCHLD, 0);
	go(child, PTRACE_CONT, SIGCHLD);
	EXPECT_EXIT(child, 0);
}

TEST(memory_is_read_and_written)
{
	pid_t child = TRACED_CHILD({
		CHECK_EQ(word, 42);
	});
	CHECK_EQ(peek(child, &word), 0x1122334455667788);
	CHECK_EQ(peek(child, (char *)&word + 1) & 0xffff, 0x6677);
	poke(child, &word, 42);
	CHECK_EQ(word, 0x1122334455667788);
	unsigned long out;
	CHECK_ERR(pt(PTRACE_PEEKDATA, child, 16, (unsigned long)&out), EIO);
	CHECK_ERR(pt(PTRACE_POKEDATA, child, 16, 1), EIO);
	CHECK_ERR(pt(PTRACE_PEEKDATA, child, (unsigned long)&word, 16), EFAULT);
	CHECK_ERR(pt(PTRACE_PEEKDATA, child, -8UL, (unsigned long)&out), EIO);
	go(child, PTRACE_CONT, 0);
	EXPECT_EXIT(child, 0);
}

static __attribute__((noinline)) int answer(void)
{
	return 7;
}

TEST(text_is_written_as_a_private_copy)
{
	int (*volatile f)(void) = answer;
	pid_t child = TRACED_CHILD({
		CHECK_EQ(f(), 9);
	});
	/* mov $9, %eax; ret */
	unsigned long code = peek(child, f);
	poke(child, f, (code & ~0xffffffffffffUL) | 0xc300000009b8UL);
	CHECK_EQ(f(), 7);
	go(child, PTRACE_CONT, 0);
	EXPECT_EXIT(child, 0);
}

TEST(proc_mem_writes_text_too)
{
	int (*volatile f)(void) = answer;
	pid_t child = TRACED_CHILD({
		CHECK_EQ(f(), 9);
	});
	unsigned char code[] = { 0xb8, 9, 0, 0, 0, 0xc3 };
	int fd = CHECK_OK(open(proc_path(child, "mem"), O_RDWR));
	CHECK_EQ(pwrite(fd, code, sizeof code, (off_t)(unsigned long)f), (ssize_t)sizeof code);
	close(fd);
	CHECK_EQ(f(), 7);
	go(child, PTRACE_CONT, 0);
	EXPECT_EXIT(child, 0);
}

TEST(what_cannot_be_written)
{
	char *shared = mmap(NULL, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *none = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(shared != MAP_FAILED && none != MAP_FAILED);
	pid_t child = TRACED_CHILD(pause_for_ever());
	CHECK_EQ(peek(child, shared), 0);
	CHECK_ERR(pt(PTRACE_POKEDATA, child, (unsigned long)shared, 1), EIO);
	poke(child, none, 5);
	CHECK_EQ(peek(child, none), 5);
	kill(child, SIGKILL);
	EXPECT_KILLED(child, SIGKILL);
}

TEST(attach_stops_and_detach_lets_go)
{
	int fds[2];
	CHECK_OK(pipe(fds));
	pid_t child = SPAWN({
		char c;
		CHECK_EQ(read(fds[0], &c, 1), 1);
		_exit(c);
	});
	CHECK_OK(pt(PTRACE_ATTACH, child, 0, 0));
	CHECK_ERR(pt(PTRACE_ATTACH, child, 0, 0), EPERM);
	EXPECT_STOP(child, SIGSTOP, 0);
	siginfo_t info = info_of(child);
	CHECK_EQ(info.si_signo, SIGSTOP);
	CHECK_EQ(info.si_code, SI_KERNEL);
	CHECK_EQ(info.si_pid, 0);
	CHECK_EQ(tracer_of(child), getpid());
	CHECK_ERR(pt(PTRACE_DETACH, child, 0, 1000), EIO);
	CHECK_OK(pt(PTRACE_DETACH, child, 0, 0));
	CHECK_EQ(tracer_of(child), 0);
	CHECK_ERR(pt(PTRACE_CONT, child, 0, 0), ESRCH);
	CHECK_EQ(write(fds[1], "\x05", 1), 1);
	EXPECT_EXIT(child, 5);
}

TEST(detach_delivers_a_signal)
{
	pid_t child = SPAWN(pause_for_ever());
	CHECK_OK(pt(PTRACE_ATTACH, child, 0, 0));
	EXPECT_STOP(child, SIGSTOP, 0);
	CHECK_OK(pt(PTRACE_DETACH, child, 0, SIGTERM));
	EXPECT_KILLED(child, SIGTERM);
}

TEST(a_stranger_can_be_traced_and_waited_for)
{
	int fds[2], ends[2];
	CHECK_OK(pipe(fds));
	CHECK_OK(pipe(ends));
	pid_t child = SPAWN({
		char c;
		CHECK_EQ(read(fds[0], &c, 1), 1);
		_exit(4);
	});
	pid_t tracer = SPAWN({
		CHECK_ERR(waitpid(child, NULL, WNOHANG), ECHILD);
		CHECK_OK(pt(PTRACE_ATTACH, child, 0, 0));
		EXPECT_STOP(child, SIGSTOP, 0);
		go(child, PTRACE_CONT, 0);
		CHECK_EQ(write(fds[1], "x", 1), 1);
		int status;
		/* Its end, seen but not taken. */
		siginfo_t info;
		CHECK_OK(waitid(P_PID, child, &info, WEXITED | WNOWAIT));
		CHECK_EQ(info.si_code, CLD_EXITED);
		CHECK_EQ(info.si_status, 4);
		CHECK_EQ(kt_state(child), 'Z');
		CHECK_EQ(write(ends[1], "x", 1), 1);
		kt_sleep_ms(50);
		CHECK_EQ(waitpid(child, &status, 0), child);
		CHECK_EQ(status, 4 << 8);
		CHECK_ERR(waitpid(child, &status, 0), ECHILD);
	});
	char c;
	CHECK_EQ(read(ends[0], &c, 1), 1);
	/* The real parent sees nothing as long as the tracer has not. */
	CHECK_EQ(waitpid(child, NULL, WNOHANG), 0);
	EXPECT_EXIT(child, 4);
	JOIN(tracer);
}

TEST(the_end_of_the_tracer_lets_tracees_go_on)
{
	int fds[2];
	CHECK_OK(pipe(fds));
	pid_t child = SPAWN({
		char c;
		CHECK_EQ(read(fds[0], &c, 1), 1);
		_exit(6);
	});
	pid_t tracer = SPAWN({
		CHECK_OK(pt(PTRACE_ATTACH, child, 0, 0));
		EXPECT_STOP(child, SIGSTOP, 0);
		CHECK_OK(pt(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESYSGOOD));
	});
	JOIN(tracer);
	CHECK_EQ(tracer_of(child), 0);
	CHECK_EQ(write(fds[1], "x", 1), 1);
	EXPECT_EXIT(child, 6);
}

TEST(exitkill)
{
	pid_t child = SPAWN(pause_for_ever());
	pid_t tracer = SPAWN({
		CHECK_OK(pt(PTRACE_SEIZE, child, 0, PTRACE_O_EXITKILL));
		CHECK_EQ(tracer_of(child), getpid());
	});
	JOIN(tracer);
	EXPECT_KILLED(child, SIGKILL);
}

TEST(kill_ends_any_stop)
{
	for (int round = 0; round < 3; round++) {
		pid_t child = TRACED_CHILD({
			for (;;)
				getppid();
		});
		if (round == 1) {
			go(child, PTRACE_SYSCALL, 0);
			EXPECT_STOP(child, SIGTRAP, 0);
		}
		if (round == 2)
			CHECK_OK(pt(PTRACE_KILL, child, 0, 0));
		else
			kill(child, SIGKILL);
		EXPECT_KILLED(child, SIGKILL);
		CHECK_ERR(pt(PTRACE_CONT, child, 0, 0), ESRCH);
	}
}

TEST(sigchld_tells_of_stops)
{
	sigset_t set;
	siginfo_t info;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	pid_t child = SPAWN({
		CHECK_OK(pt(PTRACE_TRACEME, 0, 0, 0));
		raise(SIGUSR1);
	});
	CHECK_EQ(sigwaitinfo(&set, &info), SIGCHLD);
	CHECK_EQ(info.si_code, CLD_TRAPPED);
	CHECK_EQ(info.si_pid, child);
	CHECK_EQ(info.si_status, SIGUSR1);
	/* Stops are reported whatever the options are. */
	siginfo_t wait;
	CHECK_OK(waitid(P_PID, child, &wait, WEXITED | WNOWAIT));
	CHECK_EQ(wait.si_code, CLD_TRAPPED);
	CHECK_EQ(wait.si_status, SIGUSR1);
	EXPECT_STOP(child, SIGUSR1, 0);
	CHECK_EQ(waitpid(child, NULL, WNOHANG), 0);
	go(child, PTRACE_CONT, 0);
	CHECK_EQ(sigwaitinfo(&set, &info), SIGCHLD);
	CHECK_EQ(info.si_code, CLD_EXITED);
	EXPECT_EXIT(child, 0);
}

TEST(options_are_checked)
{
	pid_t child = TRACED_CHILD(pause_for_ever());
	CHECK_ERR(pt(PTRACE_SETOPTIONS, child, 0, 0x400), EINVAL);
	CHECK_ERR(pt(PTRACE_SETOPTIONS, child, 0, 1UL << 32), EINVAL);
	CHECK_OK(pt(PTRACE_SETOPTIONS, child, 0, 0xff | PTRACE_O_EXITKILL));
	CHECK_ERR(pt(12345, child, 0, 0), EIO);
	CHECK_ERR(pt(PTRACE_INTERRUPT, child, 0, 0), EIO);
	CHECK_ERR(pt(PTRACE_LISTEN, child, 0, 0), EIO);
	CHECK_OK(pt(PTRACE_KILL, child, 0, 0));
	/* PTRACE_O_TRACEEXIT: it stops once more. */
	EXPECT_STOP(child, SIGTRAP, PTRACE_EVENT_EXIT);
	CHECK_EQ(event_of(child), SIGKILL);
	go(child, PTRACE_CONT, 0);
	EXPECT_KILLED(child, SIGKILL);
}

TEST(another_user_needs_cap_sys_ptrace)
{
	pid_t child = SPAWN(pause_for_ever());
	pid_t tracer = SPAWN({
		CHECK_OK(setresgid(1000, 1000, 1000));
		CHECK_OK(setresuid(1000, 1000, 1000));
		CHECK_ERR(pt(PTRACE_ATTACH, child, 0, 0), EPERM);
		CHECK_ERR(pt(PTRACE_SEIZE, child, 0, 0), EPERM);
	});
	JOIN(tracer);
	kill(child, SIGKILL);
	EXPECT_KILLED(child, SIGKILL);
}

TEST(who_must_not_be_dumped_is_not_traced)
{
	CHECK_OK(setresgid(1000, 1000, 1000));
	CHECK_OK(setresuid(1000, 1000, 1000));
	CHECK_OK(prctl(PR_SET_DUMPABLE, 1));
	pid_t plain = SPAWN(pause_for_ever());
	CHECK_OK(pt(PTRACE_SEIZE, plain, 0, 0));
	kill(plain, SIGKILL);
	EXPECT_KILLED(plain, SIGKILL);
	int fds[2];
	char c;
	CHECK_OK(pipe(fds));
	pid_t child = SPAWN({
		CHECK_OK(prctl(PR_SET_DUMPABLE, 0));
		CHECK_EQ(write(fds[1], "x", 1), 1);
		pause_for_ever();
	});
	CHECK_EQ(read(fds[0], &c, 1), 1);
	CHECK_ERR(pt(PTRACE_ATTACH, child, 0, 0), EPERM);
	kill(child, SIGKILL);
	EXPECT_KILLED(child, SIGKILL);
}
