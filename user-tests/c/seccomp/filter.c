/*
 * seccomp(2): filters in classic BPF, their actions, what is refused.
 */
#include <signal.h>
#include <sys/resource.h>
#include <sys/ucontext.h>
#include <sys/utsname.h>

#include "bpf_filter.h"
#include "proc.h"
#include "sys.h"

#define REFUSED(prog_, err)                                                    \
	do {                                                                   \
		struct sock_fprog p_ = prog_;                                  \
		CHECK_ERR(sys_seccomp(SECCOMP_SET_MODE_FILTER, 0, &p_), err);  \
	} while (0)

static void become_user(void)
{
	CHECK_OK(setgid(1000));
	CHECK_OK(setuid(1000));
}

TEST(nobody_has_a_mode_at_first)
{
	CHECK_EQ(prctl(PR_GET_SECCOMP), 0);
	CHECK_EQ(kt_field("/proc/self/status", "Seccomp:"), 0);
	CHECK_EQ(kt_field("/proc/self/status", "Seccomp_filters:"), 0);
}

TEST(a_filter_shows_in_status)
{
	install(PROG(RET(SECCOMP_RET_ALLOW)));
	CHECK_EQ(prctl(PR_GET_SECCOMP), 2);
	CHECK_EQ(kt_field("/proc/self/status", "Seccomp:"), 2);
	CHECK_EQ(kt_field("/proc/self/status", "Seccomp_filters:"), 1);
	install(PROG(RET(SECCOMP_RET_ALLOW)));
	CHECK_EQ(kt_field("/proc/self/status", "Seccomp_filters:"), 2);
}

TEST(prctl_installs_one_too)
{
	struct sock_fprog prog = ON_CALL(SYS_getppid, SECCOMP_RET_ERRNO | EBADF);
	no_new_privs();
	CHECK_ERR(prctl(PR_SET_SECCOMP, 3, &prog), EINVAL);
	CHECK_ERR(prctl(PR_SET_SECCOMP, 0, &prog), EINVAL);
	CHECK_OK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &prog));
	CHECK_ERR(syscall(SYS_getppid), EBADF);
	CHECK_ERR(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT), EINVAL);
	CHECK_ERR(sys_seccomp(SECCOMP_SET_MODE_STRICT, 0, NULL), EINVAL);
}

TEST(without_privilege_it_needs_no_new_privs)
{
	struct sock_fprog prog = PROG(RET(SECCOMP_RET_ALLOW));
	become_user();
	CHECK_ERR(sys_seccomp(SECCOMP_SET_MODE_FILTER, 0, &prog), EACCES);
	no_new_privs();
	CHECK_OK(sys_seccomp(SECCOMP_SET_MODE_FILTER, 0, &prog));
}

TEST(root_needs_no_no_new_privs)
{
	struct sock_fprog prog = PROG(RET(SECCOMP_RET_ALLOW));
	CHECK_OK(sys_seccomp(SECCOMP_SET_MODE_FILTER, 0, &prog));
	CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
}

TEST(the_order_of_checks)
{
	struct sock_fprog empty = { .len = 0, .filter = BAD_PTR };
	struct sock_fprog bad = { .len = 1, .filter = BAD_PTR };
	struct sock_fprog huge = { .len = 4097, .filter = BAD_PTR };
	CHECK_ERR(sys_seccomp(99, 0, NULL), EINVAL);
	CHECK_ERR(sys_seccomp(SECCOMP_SET_MODE_FILTER, 0, BAD_PTR), EFAULT);
	CHECK_ERR(sys_seccomp(SECCOMP_SET_MODE_FILTER, 1 << 6, BAD_PTR), EINVAL);
	CHECK_ERR(sys_seccomp(SECCOMP_SET_MODE_FILTER, 0, &empty), EINVAL);
	CHECK_ERR(sys_seccomp(SECCOMP_SET_MODE_FILTER, 0, &huge), EINVAL);
	CHECK_ERR(sys_seccomp(SECCOMP_SET_MODE_FILTER, 0, &bad), EFAULT);
	CHECK_ERR(sys_seccomp(SECCOMP_SET_MODE_STRICT, 1, NULL), EINVAL);
	CHECK_ERR(sys_seccomp(SECCOMP_SET_MODE_STRICT, 0, &bad), EINVAL);
	become_user();
	CHECK_ERR(sys_seccomp(SECCOMP_SET_MODE_FILTER, 0, &empty), EINVAL);
	CHECK_ERR(sys_seccomp(SECCOMP_SET_MODE_FILTER, 0, &bad), EACCES);
	CHECK_EQ(prctl(PR_GET_SECCOMP), 0);
}

TEST(flags_that_need_each_other)
{
	struct sock_fprog prog = PROG(RET(SECCOMP_RET_ALLOW));
	unsigned tsync = SECCOMP_FILTER_FLAG_TSYNC, listener = SECCOMP_FILTER_FLAG_NEW_LISTENER;
	no_new_privs();
	CHECK_ERR(sys_seccomp(SECCOMP_SET_MODE_FILTER, tsync | listener, &prog), EINVAL);
	CHECK_ERR(sys_seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, &prog), EINVAL);
	CHECK_OK(sys_seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC_ESRCH, &prog));
	CHECK_OK(sys_seccomp(SECCOMP_SET_MODE_FILTER,
			     SECCOMP_FILTER_FLAG_LOG | SECCOMP_FILTER_FLAG_SPEC_ALLOW | tsync, &prog));
	CHECK_EQ(kt_field("/proc/self/status", "Seccomp_filters:"), 2);
}

TEST(errno_is_returned_and_clamped)
{
	install(PROG(LOAD_NR, JEQ(SYS_getppid, 0, 1), RET(SECCOMP_RET_ERRNO | 0),
		     JEQ(SYS_getpgrp, 0, 1), RET(SECCOMP_RET_ERRNO | 0xffff),
		     JEQ(SYS_getuid, 0, 1), RET(SECCOMP_RET_ERRNO | 4095),
		     JEQ(SYS_getgid, 0, 1), RET(SECCOMP_RET_ERRNO | ENOTDIR),
		     RET(SECCOMP_RET_ALLOW)));
	CHECK_EQ(syscall(SYS_getppid), 0);
	CHECK_ERR(syscall(SYS_getpgrp), 4095);
	CHECK_ERR(syscall(SYS_getuid), 4095);
	CHECK_ERR(syscall(SYS_getgid), ENOTDIR);
	CHECK(getpid() > 0);
}

TEST(arguments_decide)
{
	install(PROG(LOAD_NR, JEQ(SYS_dup2, 0, 5), LOAD_ARG(0), JEQ(0x77, 0, 3),
		     BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1]) + 4),
		     JEQ(0, 1, 0), RET(SECCOMP_RET_ERRNO | EXDEV), RET(SECCOMP_RET_ALLOW)));
	CHECK_ERR(syscall(SYS_dup2, 0x77, 3), EBADF);
	CHECK_ERR(syscall(SYS_dup2, 0x78, 0x100000003UL), EBADF);
	CHECK_ERR(syscall(SYS_dup2, 0x77, 0x100000003UL), EXDEV);
}

TEST(the_architecture_and_the_instruction_pointer)
{
	install(PROG(LOAD_NR, JEQ(SYS_getppid, 0, 6), LOAD_ARCH, JEQ(AUDIT_ARCH_X86_64, 0, 3),
		     BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, instruction_pointer)),
		     JEQ(0, 1, 0), RET(SECCOMP_RET_ERRNO | 77), RET(SECCOMP_RET_ERRNO | 78),
		     RET(SECCOMP_RET_ALLOW)));
	CHECK_ERR(syscall(SYS_getppid), 77);
}

TEST(the_strictest_of_several_wins)
{
	install(ON_CALL(SYS_getppid, SECCOMP_RET_ERRNO | 1));
	install(ON_CALL(SYS_getppid, SECCOMP_RET_LOG));
	CHECK_ERR(syscall(SYS_getppid), 1);
	install(ON_CALL(SYS_getppid, SECCOMP_RET_TRACE));
	CHECK_ERR(syscall(SYS_getppid), 1);
	/* The latest of equals. */
	install(ON_CALL(SYS_getppid, SECCOMP_RET_ERRNO | 2));
	CHECK_ERR(syscall(SYS_getppid), 2);
	install(ON_CALL(SYS_getppid, SECCOMP_RET_ALLOW));
	CHECK_ERR(syscall(SYS_getppid), 2);
}

TEST(trace_without_a_tracer_is_enosys)
{
	install(ON_CALL(SYS_getppid, SECCOMP_RET_TRACE | 5));
	CHECK_ERR(syscall(SYS_getppid), ENOSYS);
}

TEST(log_lets_it_go_on)
{
	install(ON_CALL(SYS_getppid, SECCOMP_RET_LOG));
	CHECK(syscall(SYS_getppid) > 0);
}

static int ends_with(uint32_t action)
{
	pid_t pid = SPAWN({
		struct rlimit none = { 0, 0 };
		setrlimit(RLIMIT_CORE, &none);
		install(ON_CALL(SYS_getppid, action));
		syscall(SYS_getppid);
	});
	return kt_wait(pid);
}

TEST(killing_actions)
{
	CHECK_EQ(ends_with(SECCOMP_RET_KILL_PROCESS), SIGSYS);
	CHECK_EQ(ends_with(SECCOMP_RET_KILL_THREAD), SIGSYS);
	CHECK_EQ(ends_with(0x12340000), SIGSYS);
	CHECK_EQ(ends_with(0x7fff0001), 0);
}

TEST(a_handler_does_not_save_from_kill)
{
	pid_t pid = SPAWN({
		struct rlimit none = { 0, 0 };
		setrlimit(RLIMIT_CORE, &none);
		signal(SIGSYS, SIG_IGN);
		install(ON_CALL(SYS_getppid, SECCOMP_RET_KILL_PROCESS));
		syscall(SYS_getppid);
	});
	CHECK_EQ(kt_wait(pid), SIGSYS);
}

TEST(trap_without_a_handler_kills)
{
	CHECK_EQ(ends_with(SECCOMP_RET_TRAP), SIGSYS);
}

TEST(trap_that_is_ignored_or_blocked_kills)
{
	pid_t pid = SPAWN({
		struct rlimit none = { 0, 0 };
		setrlimit(RLIMIT_CORE, &none);
		signal(SIGSYS, SIG_IGN);
		install(ON_CALL(SYS_getppid, SECCOMP_RET_TRAP));
		syscall(SYS_getppid);
	});
	CHECK_EQ(kt_wait(pid), SIGSYS);
}

static volatile siginfo_t trapped;
static volatile long trap_rax;
static volatile unsigned long trap_rip;

static void on_sys(int sig, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	CHECK_EQ(sig, SIGSYS);
	*(siginfo_t *)&trapped = *info;
	trap_rax = uc->uc_mcontext.gregs[REG_RAX];
	trap_rip = uc->uc_mcontext.gregs[REG_RIP];
	uc->uc_mcontext.gregs[REG_RAX] = 4711;
}

TEST(trap_tells_what_was_called)
{
	struct sigaction act = { .sa_sigaction = on_sys, .sa_flags = SA_SIGINFO };
	CHECK_OK(sigaction(SIGSYS, &act, NULL));
	install(ON_CALL(SYS_getppid, SECCOMP_RET_TRAP | 0x1234));
	CHECK_EQ(syscall(SYS_getppid), 4711);
	CHECK_EQ(trapped.si_signo, SIGSYS);
	CHECK_EQ(trapped.si_code, 1 /* SYS_SECCOMP */);
	CHECK_EQ(trapped.si_errno, 0x1234);
	CHECK_EQ(trapped.si_syscall, SYS_getppid);
	CHECK_EQ(trapped.si_arch, AUDIT_ARCH_X86_64);
	CHECK_EQ((unsigned long)trapped.si_call_addr, trap_rip);
	CHECK_EQ(trap_rax, SYS_getppid);
}

TEST(unknown_calls_are_filtered_too)
{
	install(ON_CALL(9999, SECCOMP_RET_ERRNO | 99));
	CHECK_ERR(syscall(9999), 99);
	CHECK_ERR(syscall(9998), ENOSYS);
	CHECK_ERR(syscall(-1), ENOSYS);
}

TEST(minus_one_is_filtered)
{
	install(ON_CALL(-1, SECCOMP_RET_ERRNO | 98));
	CHECK_ERR(syscall(-1), 98);
}

TEST(a_fork_inherits)
{
	install(ON_CALL(SYS_getppid, SECCOMP_RET_ERRNO | 5));
	JOIN(SPAWN({
		CHECK_EQ(prctl(PR_GET_SECCOMP), 2);
		CHECK_ERR(syscall(SYS_getppid), 5);
		install(ON_CALL(SYS_getpgrp, SECCOMP_RET_ERRNO | 6));
		CHECK_ERR(syscall(SYS_getpgrp), 6);
		CHECK_EQ(kt_field("/proc/self/status", "Seccomp_filters:"), 2);
	}));
	CHECK_OK(syscall(SYS_getpgrp));
	CHECK_EQ(kt_field("/proc/self/status", "Seccomp_filters:"), 1);
}

ROLE(filtered)
{
	CHECK_ERR(syscall(SYS_getppid), 5);
	CHECK_EQ(prctl(PR_GET_SECCOMP), 2);
	return 0;
}

TEST(an_exec_keeps_it)
{
	JOIN(SPAWN({
		install(ON_CALL(SYS_getppid, SECCOMP_RET_ERRNO | 5));
		execl("/proc/self/exe", "role:filtered", NULL);
		_exit(9);
	}));
}

TEST(actions_that_there_are)
{
	uint32_t known[] = { SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_KILL_THREAD, SECCOMP_RET_TRAP,
			     SECCOMP_RET_ERRNO, SECCOMP_RET_USER_NOTIF, SECCOMP_RET_TRACE,
			     SECCOMP_RET_LOG, SECCOMP_RET_ALLOW };
	for (unsigned n = 0; n < sizeof known / sizeof *known; n++)
		CHECK_EQ(sys_seccomp(SECCOMP_GET_ACTION_AVAIL, 0, &known[n]), 0);
	uint32_t unknown = 0x7ffe0000;
	CHECK_ERR(sys_seccomp(SECCOMP_GET_ACTION_AVAIL, 0, &unknown), EOPNOTSUPP);
	unknown = SECCOMP_RET_ERRNO | 1;
	CHECK_ERR(sys_seccomp(SECCOMP_GET_ACTION_AVAIL, 0, &unknown), EOPNOTSUPP);
	CHECK_ERR(sys_seccomp(SECCOMP_GET_ACTION_AVAIL, 1, known), EINVAL);
	CHECK_ERR(sys_seccomp(SECCOMP_GET_ACTION_AVAIL, 0, BAD_PTR), EFAULT);
}

TEST(sizes_of_notifications)
{
	struct seccomp_notif_sizes sizes;
	CHECK_OK(sys_seccomp(SECCOMP_GET_NOTIF_SIZES, 0, &sizes));
	CHECK_EQ(sizes.seccomp_notif, sizeof(struct seccomp_notif));
	CHECK_EQ(sizes.seccomp_notif_resp, sizeof(struct seccomp_notif_resp));
	CHECK_EQ(sizes.seccomp_data, sizeof(struct seccomp_data));
	CHECK_ERR(sys_seccomp(SECCOMP_GET_NOTIF_SIZES, 1, &sizes), EINVAL);
	CHECK_ERR(sys_seccomp(SECCOMP_GET_NOTIF_SIZES, 0, BAD_PTR), EFAULT);
}

TEST(programs_that_the_checker_refuses)
{
	no_new_privs();
	/* No return at the end; a jump out of the program. */
	REFUSED(PROG(LOAD_NR), EINVAL);
	REFUSED(PROG(RET(0), LOAD_NR), EINVAL);
	REFUSED(PROG(BPF_STMT(BPF_JMP | BPF_JA, 1), RET(0)), EINVAL);
	REFUSED(PROG(BPF_STMT(BPF_JMP | BPF_JA, 0xffffffff), RET(0)), EINVAL);
	REFUSED(PROG(JEQ(0, 1, 0), RET(0)), EINVAL);
	REFUSED(PROG(JEQ(0, 0, 1), RET(0)), EINVAL);
	/* Loads outside of the data, unaligned, of bytes, of packets. */
	REFUSED(PROG(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 64), RET(0)), EINVAL);
	REFUSED(PROG(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 2), RET(0)), EINVAL);
	REFUSED(PROG(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0xfffff000), RET(0)), EINVAL);
	REFUSED(PROG(BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 0), RET(0)), EINVAL);
	REFUSED(PROG(BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 0), RET(0)), EINVAL);
	REFUSED(PROG(BPF_STMT(BPF_LD | BPF_W | BPF_IND, 0), RET(0)), EINVAL);
	REFUSED(PROG(BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0), RET(0)), EINVAL);
	/* Division by zero, large shifts, the remainder, returning X. */
	REFUSED(PROG(BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), RET(0)), EINVAL);
	REFUSED(PROG(BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 32), RET(0)), EINVAL);
	REFUSED(PROG(BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 32), RET(0)), EINVAL);
	REFUSED(PROG(BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, 3), RET(0)), EINVAL);
	REFUSED(PROG(BPF_STMT(BPF_RET | BPF_X, 0)), EINVAL);
	/* Memory: out of range, read before it is written on some path. */
	REFUSED(PROG(BPF_STMT(BPF_ST, 16), RET(0)), EINVAL);
	REFUSED(PROG(BPF_STMT(BPF_LD | BPF_MEM, 0), RET(0)), EINVAL);
	REFUSED(PROG(JEQ(0, 0, 1), BPF_STMT(BPF_ST, 0), BPF_STMT(BPF_LD | BPF_MEM, 0), RET(0)), EINVAL);
	/* Bits that mean nothing. */
	REFUSED(PROG(BPF_STMT(0xffff, 0), RET(0)), EINVAL);
	REFUSED(PROG(BPF_STMT(0x100 | BPF_RET | BPF_K, 0)), EINVAL);
	CHECK_EQ(prctl(PR_GET_SECCOMP), 0);
}

TEST(the_arithmetic_of_programs)
{
	/* ((7 + 5) * 3 - 1) / 5 = 7; | 8 = 15; & 13 = 13; ^ 2 = 15; << 2 = 60; >> 1 = 30 */
	install(PROG(LOAD_NR, JEQ(SYS_getppid, 1, 0), RET(SECCOMP_RET_ALLOW),
		     BPF_STMT(BPF_LD | BPF_IMM, 7), BPF_STMT(BPF_ALU | BPF_ADD | BPF_K, 5),
		     BPF_STMT(BPF_LDX | BPF_IMM, 3), BPF_STMT(BPF_ALU | BPF_MUL | BPF_X, 0),
		     BPF_STMT(BPF_ALU | BPF_SUB | BPF_K, 1), BPF_STMT(BPF_LDX | BPF_IMM, 5),
		     BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0), BPF_STMT(BPF_ALU | BPF_OR | BPF_K, 8),
		     BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 13), BPF_STMT(BPF_ALU | BPF_XOR | BPF_K, 2),
		     BPF_STMT(BPF_ALU | BPF_LSH | BPF_K, 2), BPF_STMT(BPF_ST, 3),
		     BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0), BPF_STMT(BPF_MISC | BPF_TAX, 0),
		     BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 64, 1, 0), RET(SECCOMP_RET_ERRNO | 1),
		     BPF_STMT(BPF_LD | BPF_MEM, 3), BPF_STMT(BPF_ALU | BPF_RSH | BPF_K, 1),
		     BPF_STMT(BPF_ALU | BPF_NEG, 0), BPF_STMT(BPF_ALU | BPF_NEG, 0),
		     BPF_STMT(BPF_ALU | BPF_OR | BPF_K, SECCOMP_RET_ERRNO), BPF_STMT(BPF_RET | BPF_A, 0)));
	CHECK_ERR(syscall(SYS_getppid), 30);
}

TEST(jumps_compare_without_sign)
{
	install(PROG(LOAD_NR, JEQ(SYS_getppid, 1, 0), RET(SECCOMP_RET_ALLOW),
		     BPF_STMT(BPF_LD | BPF_IMM, 0x80000000),
		     BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 1, 1, 0), RET(SECCOMP_RET_ERRNO | 1),
		     BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 0x80000000, 1, 0), RET(SECCOMP_RET_ERRNO | 2),
		     BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x80000001, 1, 0), RET(SECCOMP_RET_ERRNO | 3),
		     BPF_STMT(BPF_LDX | BPF_IMM, 0x80000001),
		     BPF_JUMP(BPF_JMP | BPF_JGE | BPF_X, 0, 0, 1), RET(SECCOMP_RET_ERRNO | 4),
		     BPF_STMT(BPF_JMP | BPF_JA, 1), RET(SECCOMP_RET_ERRNO | 5),
		     RET(SECCOMP_RET_ERRNO | 40)));
	CHECK_ERR(syscall(SYS_getppid), 40);
}

TEST(division_by_a_zero_register_kills)
{
	pid_t pid = SPAWN({
		struct rlimit none = { 0, 0 };
		setrlimit(RLIMIT_CORE, &none);
		install(PROG(LOAD_NR, JEQ(SYS_getppid, 1, 0), RET(SECCOMP_RET_ALLOW),
			     BPF_STMT(BPF_LDX | BPF_IMM, 0), BPF_STMT(BPF_ALU | BPF_DIV | BPF_X, 0),
			     RET(SECCOMP_RET_ALLOW)));
		syscall(SYS_getppid);
	});
	CHECK_EQ(kt_wait(pid), SIGSYS);
}

TEST(the_longest_program)
{
	static struct sock_filter code[4096];
	for (int n = 0; n < 4095; n++)
		code[n] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_IMM, n);
	code[4095] = (struct sock_filter)RET(SECCOMP_RET_ALLOW);
	struct sock_fprog prog = { 4096, code };
	no_new_privs();
	int count = 0;
	while (sys_seccomp(SECCOMP_SET_MODE_FILTER, 0, &prog) == 0)
		count++;
	CHECK_EQ(errno, ENOMEM);
	CHECK_EQ(count, 7);
}

TEST_FOR(as_many_short_filters_as_fit, 120)
{
	struct sock_fprog prog = PROG(RET(SECCOMP_RET_ALLOW));
	no_new_privs();
	int count = 0;
	while (sys_seccomp(SECCOMP_SET_MODE_FILTER, 0, &prog) == 0)
		count++;
	CHECK_EQ(errno, ENOMEM);
	CHECK_EQ(count, 3641);
	CHECK_EQ(kt_field("/proc/self/status", "Seccomp_filters:"), 3641);
	JOIN(SPAWN(CHECK_EQ(prctl(PR_GET_SECCOMP), 2)));
}

TEST(lists_of_actions)
{
	char text[256];
	CHECK_OK(kt_read_file("/proc/sys/kernel/seccomp/actions_avail", text, sizeof text));
	CHECK(!strcmp(text, "kill_process kill_thread trap errno user_notif trace log allow\n"));
	CHECK_OK(kt_read_file("/proc/sys/kernel/seccomp/actions_logged", text, sizeof text));
	CHECK(!strcmp(text, "kill_process kill_thread trap errno user_notif trace log\n"));
	if (kt_native())
		return;
	CHECK_OK(kt_write_file("/proc/sys/kernel/seccomp/actions_logged", "log trap\n"));
	CHECK_OK(kt_read_file("/proc/sys/kernel/seccomp/actions_logged", text, sizeof text));
	CHECK(!strcmp(text, "trap log\n"));
	CHECK_ERR(kt_write_file("/proc/sys/kernel/seccomp/actions_logged", "allow"), EINVAL);
	CHECK_ERR(kt_write_file("/proc/sys/kernel/seccomp/actions_logged", "nonsense"), EINVAL);
	CHECK_ERR(kt_write_file("/proc/sys/kernel/seccomp/actions_avail", "log"), EACCES);
	CHECK_OK(kt_write_file("/proc/sys/kernel/seccomp/actions_logged",
			       "kill_process kill_thread trap errno user_notif trace log"));
}

TEST(strict_mode_kills_what_is_not_allowed)
{
	pid_t pid = SPAWN({
		CHECK_OK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
		syscall(SYS_getpid);
	});
	CHECK_EQ(kt_wait(pid), SIGKILL);
	pid = SPAWN({
		CHECK_OK(sys_seccomp(SECCOMP_SET_MODE_STRICT, 0, NULL));
		syscall(SYS_exit_group, 3);
	});
	CHECK_EQ(kt_wait(pid), SIGKILL);
}

TEST(strict_mode_reads_writes_and_exits)
{
	int ends[2];
	CHECK_OK(pipe(ends));
	pid_t pid = SPAWN({
		char byte = 'x';
		CHECK_OK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
		if (syscall(SYS_write, ends[1], &byte, 1) != 1 || syscall(SYS_read, ends[0], &byte, 1) != 1)
			syscall(SYS_exit, 1);
		syscall(SYS_exit, 42);
	});
	CHECK_EQ(kt_wait(pid), 42 << 8);
}

TEST(strict_mode_shows_in_status)
{
	int go[2];
	CHECK_OK(pipe(go));
	pid_t pid = SPAWN({
		char byte;
		CHECK_OK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
		syscall(SYS_read, go[0], &byte, 1);
		syscall(SYS_exit, 0);
	});
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/status", pid);
	WAIT_FOR(kt_field(path, "Seccomp:") == 1);
	CHECK_EQ(write(go[1], "x", 1), 1);
	JOIN(pid);
}

static volatile int got_usr1;
static void on_usr1(int sig)
{
	got_usr1 = sig;
}

TEST(strict_mode_returns_from_handlers)
{
	int go[2];
	CHECK_OK(pipe(go));
	struct sigaction act = { .sa_handler = on_usr1, .sa_flags = SA_RESTART };
	pid_t pid = SPAWN({
		char byte;
		CHECK_OK(sigaction(SIGUSR1, &act, NULL));
		CHECK_OK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
		syscall(SYS_read, go[0], &byte, 1);
		syscall(SYS_exit, got_usr1);
	});
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/status", pid);
	WAIT_FOR(kt_field(path, "Seccomp:") == 1 && kt_state(pid) == 'S');
	CHECK_OK(kill(pid, SIGUSR1));
	kt_sleep_ms(20);
	CHECK_EQ(write(go[1], "x", 1), 1);
	CHECK_EQ(kt_wait(pid), SIGUSR1 << 8);
}

TEST(only_root_says_what_is_logged)
{
	if (kt_native())
		return;
	int fd = CHECK_OK(open("/proc/sys/kernel/seccomp/actions_logged", O_WRONLY));
	become_user();
	CHECK_ERR(write(fd, "log", 3), EPERM);
}

TEST(a_set_user_id_program_gains_nothing)
{
	install(PROG(RET(SECCOMP_RET_ALLOW)));
	CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
	CHECK_ERR(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), EINVAL);
}
