/* Stops at system calls, and events. */
#include <sys/syscall.h>
#include "ptrace.h"

static void options(pid_t child, long options)
{
	CHECK_OK(pt(PTRACE_SETOPTIONS, child, 0, options));
}

/* On to the next stop at a call, which must be of this number. */
static struct user_regs_struct to_call(pid_t child, long nr)
{
	go(child, PTRACE_SYSCALL, 0);
	EXPECT_STOP(child, SYSCALL_STOP, 0);
	struct user_regs_struct regs = regs_of(child);
	CHECK_EQ((long)regs.orig_rax, nr);
	return regs;
}

TEST(each_call_stops_twice)
{
	pid_t child = TRACED_CHILD({
		syscall(SYS_getpriority, 1, 2, 3, 4, 5, 6);
		syscall(SYS_getpid);
		_exit(3);
	});
	options(child, PTRACE_O_TRACESYSGOOD);
	/* raise() restores its mask first. */
	struct user_regs_struct regs;
	do {
		go(child, PTRACE_SYSCALL, 0);
		EXPECT_STOP(child, SYSCALL_STOP, 0);
		regs = regs_of(child);
	} while (regs.orig_rax != SYS_getpriority);
	CHECK_EQ(regs.rdi, 1);
	CHECK_EQ(regs.rsi, 2);
	CHECK_EQ(regs.rdx, 3);
	CHECK_EQ(regs.r10, 4);
	CHECK_EQ(regs.r8, 5);
	CHECK_EQ(regs.r9, 6);
	CHECK_EQ((long)regs.rax, -ENOSYS);
	CHECK_EQ(event_of(child), 1);
	siginfo_t info = info_of(child);
	CHECK_EQ(info.si_signo, SIGTRAP);
	CHECK_EQ(info.si_code, SIGTRAP | 0x80);
	CHECK_EQ(info.si_pid, child);
	regs = to_call(child, SYS_getpriority);
	CHECK_EQ(event_of(child), 2);
	to_call(child, SYS_getpid);
	regs = to_call(child, SYS_getpid);
	CHECK_EQ(regs.rax, child);
	to_call(child, SYS_exit_group);
	go(child, PTRACE_SYSCALL, 0);
	EXPECT_EXIT(child, 3);
}

TEST(without_sysgood_it_is_plain_sigtrap)
{
	pid_t child = TRACED_CHILD(_exit(0));
	go(child, PTRACE_SYSCALL, 0);
	EXPECT_STOP(child, SIGTRAP, 0);
	CHECK_EQ(info_of(child).si_code, SIGTRAP);
	go(child, PTRACE_CONT, 0);
	EXPECT_EXIT(child, 0);
}

/* Let the child run until it is about to make this call. */
static void until_call(pid_t child, unsigned long nr)
{
	do {
		go(child, PTRACE_SYSCALL, 0);
		EXPECT_STOP(child, SYSCALL_STOP, 0);
	} while (regs_of(child).orig_rax != nr);
}

static void set_regs(pid_t child, struct user_regs_struct *regs)
{
	CHECK_OK(pt(PTRACE_SETREGS, child, 0, (unsigned long)regs));
}

TEST(the_tracer_changes_the_call_and_its_result)
{
	pid_t parent = getpid();
	pid_t child = TRACED_CHILD({
		CHECK_EQ(syscall(SYS_getuid), parent);
		CHECK_EQ(syscall(SYS_getuid), 12345);
	});
	options(child, PTRACE_O_TRACESYSGOOD);
	until_call(child, SYS_getuid);
	struct user_regs_struct regs = regs_of(child);
	regs.orig_rax = SYS_getppid;
	set_regs(child, &regs);
	regs = to_call(child, SYS_getppid);
	CHECK_EQ(regs.rax, parent);
	until_call(child, SYS_getuid);
	regs = to_call(child, SYS_getuid);
	regs.rax = 12345;
	set_regs(child, &regs);
	go(child, PTRACE_CONT, 0);
	EXPECT_EXIT(child, 0);
}

TEST(number_minus_one_skips_the_call)
{
	pid_t child = TRACED_CHILD({
		errno = 0;
		CHECK_EQ(syscall(SYS_exit_group, 9), -1);
		CHECK_EQ(errno, ENOSYS);
		CHECK_EQ(syscall(SYS_exit_group, 9), 55);
		errno = 0;
		CHECK_EQ(syscall(SYS_exit_group, 9), -1);
		CHECK_EQ(errno, ENOSYS);
	});
	options(child, PTRACE_O_TRACESYSGOOD);
	until_call(child, SYS_exit_group);
	struct user_regs_struct regs = regs_of(child);
	regs.orig_rax = -1;
	set_regs(child, &regs);
	regs = to_call(child, -1);
	CHECK_EQ((long)regs.rax, -ENOSYS);
	until_call(child, SYS_exit_group);
	CHECK_OK(pt(PTRACE_POKEUSR, child, ORIG_RAX * 8, -1));
	CHECK_OK(pt(PTRACE_POKEUSR, child, RAX * 8, 55));
	to_call(child, -1);
	until_call(child, SYS_exit_group);
	CHECK_OK(pt(PTRACE_POKEUSR, child, ORIG_RAX * 8, 9999));
	regs = to_call(child, 9999);
	CHECK_EQ((long)regs.rax, -ENOSYS);
	go(child, PTRACE_CONT, 0);
	EXPECT_EXIT(child, 0);
}

TEST(sysemu_makes_no_call)
{
	pid_t child = TRACED_CHILD({
		for (;;)
			if (syscall(SYS_getuid) == 4321)
				syscall(SYS_exit_group, 5);
	});
	options(child, PTRACE_O_TRACESYSGOOD);
	until_call(child, SYS_getuid);
	go(child, PTRACE_SYSEMU, 0);
	/* The exit of the call that was on is not reported, the next entry is. */
	EXPECT_STOP(child, SYSCALL_STOP, 0);
	CHECK_EQ(regs_of(child).orig_rax, SYS_getuid);
	CHECK_EQ(event_of(child), 1);
	CHECK_OK(pt(PTRACE_POKEUSR, child, RAX * 8, 4321));
	go(child, PTRACE_SYSEMU, 0);
	EXPECT_STOP(child, SYSCALL_STOP, 0);
	CHECK_EQ(regs_of(child).orig_rax, SYS_exit_group);
	go(child, PTRACE_CONT, 0);
	/* It is not made either. */
	kt_sleep_ms(20);
	CHECK_EQ(waitpid(child, NULL, WNOHANG), 0);
	kill(child, SIGKILL);
	EXPECT_KILLED(child, SIGKILL);
}

struct syscall_info {
	uint8_t op, pad[3];
	uint32_t arch;
	uint64_t ip, sp;
	union {
		struct { uint64_t nr, args[6]; } entry;
		struct { int64_t rval; uint8_t is_error; } exit;
		struct { uint64_t nr, args[6]; uint32_t ret_data; } seccomp;
	};
};

TEST(get_syscall_info)
{
	struct syscall_info info;
	pid_t child = TRACED_CHILD({
		syscall(SYS_getpriority, 77, 2, 3, 4, 5, 6);
		pause_for_ever();
	});
	options(child, PTRACE_O_TRACESYSGOOD);
	CHECK_EQ(pt(PTRACE_GET_SYSCALL_INFO, child, sizeof info, (unsigned long)&info), 24);
	CHECK_EQ(info.op, PTRACE_SYSCALL_INFO_NONE);
	CHECK_EQ(info.arch, 0xc000003e);
	CHECK_EQ(info.ip, regs_of(child).rip);
	CHECK_EQ(info.sp, regs_of(child).rsp);
	until_call(child, SYS_getpriority);
	CHECK_EQ(pt(PTRACE_GET_SYSCALL_INFO, child, sizeof info, (unsigned long)&info), 80);
	CHECK_EQ(info.op, PTRACE_SYSCALL_INFO_ENTRY);
	CHECK_EQ(info.entry.nr, SYS_getpriority);
	CHECK_EQ(info.entry.args[0], 77);
	CHECK_EQ(info.entry.args[5], 6);
	go(child, PTRACE_SYSCALL, 0);
	EXPECT_STOP(child, SYSCALL_STOP, 0);
	memset(&info, 0xff, sizeof info);
	CHECK_EQ(pt(PTRACE_GET_SYSCALL_INFO, child, 1, (unsigned long)&info), 33);
	CHECK_EQ(info.op, PTRACE_SYSCALL_INFO_EXIT);
	CHECK_EQ(info.arch, 0xffffffff);
	CHECK_EQ(pt(PTRACE_GET_SYSCALL_INFO, child, sizeof info, (unsigned long)&info), 33);
	CHECK_EQ(info.exit.rval, -EINVAL);
	CHECK_EQ(info.exit.is_error, 1);
	CHECK_ERR(pt(PTRACE_GET_SYSCALL_INFO, child, sizeof info, 8), EFAULT);
	kill(child, SIGKILL);
	EXPECT_KILLED(child, SIGKILL);
}

TEST(fork_events_attach_children)
{
	pid_t child = TRACED_CHILD({
		pid_t grandchild = SPAWN(_exit(2));
		CHECK_EQ(kt_wait(grandchild), 2 << 8);
	});
	options(child, PTRACE_O_TRACEFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEVFORK);
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGTRAP, PTRACE_EVENT_FORK);
	CHECK_EQ(info_of(child).si_code, SIGTRAP | PTRACE_EVENT_FORK << 8);
	pid_t grandchild = event_of(child);
	EXPECT_STOP(grandchild, SIGSTOP, 0);
	CHECK_EQ(tracer_of(grandchild), getpid());
	CHECK_EQ(regs_of(grandchild).rax, 0);
	go(grandchild, PTRACE_CONT, 0);
	EXPECT_EXIT(grandchild, 2);
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGCHLD, 0);
	go(child, PTRACE_CONT, 0);
	EXPECT_EXIT(child, 0);
}

static int leave(void *code)
{
	_exit((int)(long)code);
}

TEST(vfork_and_its_end)
{
	pid_t child = TRACED_CHILD({
		static char stack[8192] __attribute__((aligned(16)));
		int pid = clone(leave, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, (void *)4);
		CHECK_EQ(kt_wait(pid), 4 << 8);
	});
	options(child, PTRACE_O_TRACEVFORK | PTRACE_O_TRACEVFORKDONE | PTRACE_O_TRACEEXIT);
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGTRAP, PTRACE_EVENT_VFORK);
	pid_t other = event_of(child);
	EXPECT_STOP(other, SIGSTOP, 0);
	go(child, PTRACE_CONT, 0);
	go(other, PTRACE_CONT, 0);
	/* The child has its parent's options. */
	EXPECT_STOP(other, SIGTRAP, PTRACE_EVENT_EXIT);
	CHECK_EQ(event_of(other), 4 << 8);
	CHECK_EQ(waitpid(child, NULL, WNOHANG), 0);
	go(other, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGTRAP, PTRACE_EVENT_VFORK_DONE);
	CHECK_EQ(event_of(child), other);
	EXPECT_EXIT(other, 4);
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGCHLD, 0);
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGTRAP, PTRACE_EVENT_EXIT);
	CHECK_EQ(event_of(child), 0);
	go(child, PTRACE_CONT, 0);
	EXPECT_EXIT(child, 0);
}

TEST(clone_ptrace_and_untraced)
{
	pid_t child = TRACED_CHILD({
		pid_t pid = sys_clone(CLONE_UNTRACED | SIGCHLD, NULL, NULL);
		if (pid == 0) {
			CHECK_EQ(tracer_of(0), 0);
			_exit(1);
		}
		CHECK_EQ(kt_wait(pid), 1 << 8);
		pid = sys_clone(CLONE_PTRACE | SIGCHLD, NULL, NULL);
		if (pid == 0) {
			CHECK_EQ(tracer_of(0) != 0, 1);
			_exit(2);
		}
		CHECK_EQ(kt_wait(pid), 2 << 8);
	});
	options(child, PTRACE_O_TRACEFORK);
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGCHLD, 0);
	options(child, 0);
	go(child, PTRACE_CONT, 0);
	int status;
	pid_t other = waitpid(-1, &status, __WALL);
	CHECK(other > 0 && other != child);
	CHECK_EQ(status, STOPPED(SIGSTOP, 0));
	go(other, PTRACE_CONT, 0);
	EXPECT_EXIT(other, 2);
	EXPECT_STOP(child, SIGCHLD, 0);
	go(child, PTRACE_CONT, 0);
	EXPECT_EXIT(child, 0);
}

ROLE(six)
{
	return 6;
}

static void exec_six(void)
{
	execl("/proc/self/exe", "role:six", NULL);
	_exit(99);
}

TEST(execve_is_sigtrap)
{
	pid_t child = TRACED_CHILD(exec_six());
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGTRAP, 0);
	siginfo_t info = info_of(child);
	CHECK_EQ(info.si_code, SI_USER);
	CHECK_EQ(info.si_pid, child);
	go(child, PTRACE_CONT, 0);
	EXPECT_EXIT(child, 6);
}

TEST(execve_is_an_event_inside_the_call)
{
	pid_t child = TRACED_CHILD(exec_six());
	options(child, PTRACE_O_TRACEEXEC | PTRACE_O_TRACESYSGOOD);
	until_call(child, SYS_execve);
	go(child, PTRACE_SYSCALL, 0);
	EXPECT_STOP(child, SIGTRAP, PTRACE_EVENT_EXEC);
	CHECK_EQ(event_of(child), child);
	CHECK_EQ(regs_of(child).orig_rax, SYS_execve);
	CHECK_EQ((long)regs_of(child).rax, -ENOSYS);
	CHECK_EQ(regs_of(child).rbx, 0);
	go(child, PTRACE_SYSCALL, 0);
	EXPECT_STOP(child, SYSCALL_STOP, 0);
	CHECK_EQ(event_of(child), 2);
	CHECK_EQ(regs_of(child).orig_rax, SYS_execve);
	CHECK_EQ(regs_of(child).rax, 0);
	go(child, PTRACE_CONT, 0);
	EXPECT_EXIT(child, 6);
}

TEST(exec_event_alone)
{
	pid_t child = TRACED_CHILD(exec_six());
	options(child, PTRACE_O_TRACEEXEC);
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGTRAP, PTRACE_EVENT_EXEC);
	/* From here on the call is reported. */
	go(child, PTRACE_SYSCALL, 0);
	EXPECT_STOP(child, SIGTRAP, 0);
	CHECK_EQ(regs_of(child).orig_rax, SYS_execve);
	go(child, PTRACE_CONT, 0);
	EXPECT_EXIT(child, 6);
}

TEST(exit_event_by_a_signal)
{
	pid_t child = TRACED_CHILD(pause_for_ever());
	options(child, PTRACE_O_TRACEEXIT);
	go(child, PTRACE_CONT, 0);
	kill(child, SIGTERM);
	EXPECT_STOP(child, SIGTERM, 0);
	go(child, PTRACE_CONT, SIGTERM);
	EXPECT_STOP(child, SIGTRAP, PTRACE_EVENT_EXIT);
	CHECK_EQ(event_of(child), SIGTERM);
	/* It is too late for another signal. */
	CHECK_OK(pt(PTRACE_CONT, child, 0, SIGUSR1));
	EXPECT_KILLED(child, SIGTERM);
}

TEST(kill_does_not_wake_who_is_in_its_exit)
{
	pid_t child = TRACED_CHILD(_exit(7));
	options(child, PTRACE_O_TRACEEXIT);
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGTRAP, PTRACE_EVENT_EXIT);
	kill(child, SIGKILL);
	kt_sleep_ms(20);
	CHECK_EQ(waitpid(child, NULL, WNOHANG), 0);
	CHECK_EQ(event_of(child), 7 << 8);
	go(child, PTRACE_CONT, 0);
	EXPECT_EXIT(child, 7);
}

static volatile int handled;

static void on_usr1(int sig)
{
	(void)sig;
	handled++;
}

TEST(an_interrupted_call_shows_how_it_restarts)
{
	int fds[2];
	CHECK_OK(pipe(fds));
	pid_t child = TRACED_CHILD({
		struct sigaction act = { .sa_handler = on_usr1, .sa_flags = SA_RESTART };
		CHECK_OK(sigaction(SIGUSR1, &act, NULL));
		char c;
		CHECK_EQ(read(fds[0], &c, 1), 1);
		CHECK_EQ(handled, 1);
		CHECK_EQ(read(fds[0], &c, 1), -1);
		CHECK_EQ(errno, EINTR);
	});
	options(child, PTRACE_O_TRACESYSGOOD);
	until_call(child, SYS_read);
	go(child, PTRACE_SYSCALL, 0);
	kt_sleep_ms(20);
	/* Nothing happens: the call starts over. */
	kill(child, SIGUSR2);
	EXPECT_STOP(child, SYSCALL_STOP, 0);
	CHECK_EQ((long)regs_of(child).rax, -512);
	go(child, PTRACE_SYSCALL, 0);
	EXPECT_STOP(child, SIGUSR2, 0);
	CHECK_EQ((long)regs_of(child).rax, -512);
	CHECK_EQ(regs_of(child).orig_rax, SYS_read);
	go(child, PTRACE_SYSCALL, 0);
	EXPECT_STOP(child, SYSCALL_STOP, 0);
	CHECK_EQ(regs_of(child).orig_rax, SYS_read);
	CHECK_EQ(event_of(child), 1);
	go(child, PTRACE_CONT, 0);
	kt_sleep_ms(20);
	kill(child, SIGUSR1);
	EXPECT_STOP(child, SIGUSR1, 0);
	go(child, PTRACE_CONT, SIGUSR1);
	CHECK_EQ(write(fds[1], "x", 1), 1);
	/* The tracer makes EINTR of it. */
	kt_sleep_ms(50);
	kill(child, SIGUSR2);
	EXPECT_STOP(child, SIGUSR2, 0);
	CHECK_EQ((long)regs_of(child).rax, -512);
	CHECK_OK(pt(PTRACE_POKEUSR, child, RAX * 8, -EINTR));
	go(child, PTRACE_CONT, 0);
	EXPECT_EXIT(child, 0);
}
