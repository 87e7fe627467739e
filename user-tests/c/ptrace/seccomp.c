/* Filters that ask the tracer (seccomp(2), SECCOMP_RET_TRACE). */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include "ptrace.h"

/* getppid is answered by `answer`, everything else is allowed. */
static void filter_call(int nr, unsigned answer)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, answer),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog prog = { 4, code };
	CHECK_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	CHECK_OK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog));
}

static void options(pid_t child, long options)
{
	CHECK_OK(pt(PTRACE_SETOPTIONS, child, 0, options));
}

TEST(without_a_tracer_the_call_is_not_there)
{
	JOIN(SPAWN({
		filter_call(SYS_getppid, SECCOMP_RET_TRACE | 5);
		CHECK_ERR(syscall(SYS_getppid), ENOSYS);
	}));
	/* Nor with one that did not ask. */
	pid_t child = TRACED_CHILD({
		filter_call(SYS_getppid, SECCOMP_RET_TRACE | 5);
		CHECK_ERR(syscall(SYS_getppid), ENOSYS);
	});
	go(child, PTRACE_CONT, 0);
	EXPECT_EXIT(child, 0);
}

struct syscall_info {
	uint8_t op, pad[3];
	uint32_t arch;
	uint64_t ip, sp, nr, args[6];
	uint32_t ret_data;
};

TEST(the_tracer_sees_changes_and_skips)
{
	struct syscall_info info;
	pid_t parent = getpid();
	pid_t child = TRACED_CHILD({
		filter_call(SYS_getppid, SECCOMP_RET_TRACE | 0x1234);
		CHECK_EQ(syscall(SYS_getppid, 1, 2), parent);
		CHECK_EQ(syscall(SYS_getppid), getpid());
		CHECK_EQ(syscall(SYS_getppid), 99);
		CHECK_ERR(syscall(SYS_getppid), ENOSYS);
	});
	options(child, PTRACE_O_TRACESECCOMP);
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGTRAP, PTRACE_EVENT_SECCOMP);
	CHECK_EQ(event_of(child), 0x1234);
	CHECK_EQ(regs_of(child).orig_rax, SYS_getppid);
	CHECK_EQ((long)regs_of(child).rax, -ENOSYS);
	CHECK_EQ(pt(PTRACE_GET_SYSCALL_INFO, child, 88, (unsigned long)&info), 84);
	CHECK_EQ(info.op, PTRACE_SYSCALL_INFO_SECCOMP);
	CHECK_EQ(info.nr, SYS_getppid);
	CHECK_EQ(info.args[1], 2);
	CHECK_EQ(info.ret_data, 0x1234);
	/* The exit of the call can be asked for here. */
	go(child, PTRACE_SYSCALL, 0);
	EXPECT_STOP(child, SIGTRAP, 0);
	CHECK_EQ(regs_of(child).rax, parent);
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGTRAP, PTRACE_EVENT_SECCOMP);
	CHECK_OK(pt(PTRACE_POKEUSR, child, ORIG_RAX * 8, SYS_getpid));
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGTRAP, PTRACE_EVENT_SECCOMP);
	CHECK_OK(pt(PTRACE_POKEUSR, child, ORIG_RAX * 8, -1));
	CHECK_OK(pt(PTRACE_POKEUSR, child, RAX * 8, 99));
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGTRAP, PTRACE_EVENT_SECCOMP);
	CHECK_OK(pt(PTRACE_POKEUSR, child, ORIG_RAX * 8, -1));
	go(child, PTRACE_CONT, 0);
	EXPECT_EXIT(child, 0);
}

TEST(filters_look_again_at_a_changed_call)
{
	pid_t child = TRACED_CHILD({
		filter_call(SYS_getuid, SECCOMP_RET_ERRNO | EBADF);
		filter_call(SYS_getppid, SECCOMP_RET_TRACE);
		CHECK_ERR(syscall(SYS_getppid), EBADF);
	});
	options(child, PTRACE_O_TRACESECCOMP);
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGTRAP, PTRACE_EVENT_SECCOMP);
	CHECK_OK(pt(PTRACE_POKEUSR, child, ORIG_RAX * 8, SYS_getuid));
	go(child, PTRACE_CONT, 0);
	EXPECT_EXIT(child, 0);
}

TEST(the_entry_stop_comes_before_filters)
{
	pid_t child = TRACED_CHILD({
		filter_call(SYS_getppid, SECCOMP_RET_ERRNO | EBADF);
		CHECK_EQ(syscall(SYS_getppid), getpid());
	});
	options(child, PTRACE_O_TRACESYSGOOD);
	do {
		go(child, PTRACE_SYSCALL, 0);
		EXPECT_STOP(child, SYSCALL_STOP, 0);
	} while (regs_of(child).orig_rax != SYS_getppid);
	CHECK_OK(pt(PTRACE_POKEUSR, child, ORIG_RAX * 8, SYS_getpid));
	go(child, PTRACE_CONT, 0);
	EXPECT_EXIT(child, 0);
}

TEST(kill_in_the_event_makes_no_call)
{
	int fds[2];
	char c;
	CHECK_OK(pipe2(fds, O_NONBLOCK));
	pid_t child = TRACED_CHILD({
		filter_call(SYS_write, SECCOMP_RET_TRACE);
		write(fds[1], "x", 1);
	});
	options(child, PTRACE_O_TRACESECCOMP);
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGTRAP, PTRACE_EVENT_SECCOMP);
	kill(child, SIGKILL);
	EXPECT_KILLED(child, SIGKILL);
	CHECK_ERR(read(fds[0], &c, 1), EAGAIN);
}

TEST(trap_and_kill_as_the_tracer_sees_them)
{
	pid_t child = TRACED_CHILD({
		filter_call(SYS_getppid, SECCOMP_RET_TRAP | 3);
		filter_call(SYS_getuid, SECCOMP_RET_KILL_PROCESS);
		syscall(SYS_getppid);
		syscall(SYS_getuid);
	});
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGSYS, 0);
	siginfo_t info = info_of(child);
	CHECK_EQ(info.si_code, 1);
	CHECK_EQ(info.si_errno, 3);
	CHECK_EQ(info.si_syscall, SYS_getppid);
	go(child, PTRACE_CONT, 0);
	/* This one is not to be stopped. */
	int status;
	CHECK_EQ(waitpid(child, &status, __WALL), child);
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGSYS);
}

TEST(a_filter_can_be_read)
{
	struct sock_filter code[16];
	pid_t child = TRACED_CHILD({
		__asm__ volatile("int3");
		filter_call(SYS_getppid, SECCOMP_RET_ERRNO | 1);
		filter_call(SYS_getuid, SECCOMP_RET_ERRNO | 2);
		__asm__ volatile("int3");
	});
	unsigned long to = (unsigned long)code;
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGTRAP, 0);
	CHECK_ERR(pt(PTRACE_SECCOMP_GET_FILTER, child, 0, to), EINVAL);
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGTRAP, 0);
	CHECK_EQ(pt(PTRACE_SECCOMP_GET_FILTER, child, 0, 0), 4);
	CHECK_EQ(pt(PTRACE_SECCOMP_GET_FILTER, child, 0, to), 4);
	CHECK_EQ(code[1].k, SYS_getppid);
	CHECK_EQ(code[1].jf, 1);
	CHECK_EQ(code[2].k, SECCOMP_RET_ERRNO | 1);
	CHECK_EQ(pt(PTRACE_SECCOMP_GET_FILTER, child, 1, to), 4);
	CHECK_EQ(code[1].k, SYS_getuid);
	CHECK_ERR(pt(PTRACE_SECCOMP_GET_FILTER, child, 2, to), ENOENT);
	CHECK_ERR(pt(PTRACE_SECCOMP_GET_FILTER, child, 0, 8), EFAULT);
	uint64_t metadata[2] = { 1, 77 };
	to = (unsigned long)metadata;
	CHECK_EQ(pt(PTRACE_SECCOMP_GET_METADATA, child, 8, to), 8);
	CHECK_EQ(metadata[1], 77);
	CHECK_EQ(pt(PTRACE_SECCOMP_GET_METADATA, child, 100, to), 16);
	CHECK_EQ(metadata[0], 1);
	CHECK_EQ(metadata[1], 0);
	metadata[0] = 2;
	CHECK_ERR(pt(PTRACE_SECCOMP_GET_METADATA, child, 16, to), ENOENT);
	CHECK_ERR(pt(PTRACE_SECCOMP_GET_METADATA, child, 4, to), EINVAL);
	kill(child, SIGKILL);
	EXPECT_KILLED(child, SIGKILL);
}

TEST(filters_can_be_suspended)
{
	pid_t child = TRACED_CHILD({
		filter_call(SYS_getppid, SECCOMP_RET_ERRNO | EBADF);
		CHECK_ERR(syscall(SYS_getppid), EBADF);
		__asm__ volatile("int3");
		CHECK(syscall(SYS_getppid) > 0);
		__asm__ volatile("int3");
		CHECK_ERR(syscall(SYS_getppid), EBADF);
	});
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGTRAP, 0);
	options(child, PTRACE_O_SUSPEND_SECCOMP);
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGTRAP, 0);
	options(child, 0);
	go(child, PTRACE_CONT, 0);
	EXPECT_EXIT(child, 0);
}
