/* Registers of tracees, single steps, pending signals. */
#include <asm/prctl.h>
#include <sys/syscall.h>
#include "ptrace.h"

#define TF 0x100UL
/* Bytes of the kernel's struct user. */
#define USER_SIZE 928

static void finish(pid_t child)
{
	kill(child, SIGKILL);
	EXPECT_KILLED(child, SIGKILL);
}

static void set_regs(pid_t child, struct user_regs_struct *regs)
{
	CHECK_OK(pt(PTRACE_SETREGS, child, 0, (unsigned long)regs));
}

TEST(the_user_area)
{
	pid_t child = TRACED_CHILD(pause_for_ever());
	struct user_regs_struct regs = regs_of(child);
	unsigned long word;
	CHECK_EQ(regs.cs, 0x33);
	CHECK_EQ(regs.ss, 0x2b);
	CHECK_EQ(regs.ds, 0);
	CHECK_EQ(regs.es, 0);
	for (size_t at = 0; at < sizeof regs; at += 8) {
		CHECK_OK(pt(PTRACE_PEEKUSR, child, at, (unsigned long)&word));
		CHECK_EQ(word, ((unsigned long *)&regs)[at / 8]);
	}
	CHECK_ERR(pt(PTRACE_PEEKUSR, child, 4, (unsigned long)&word), EIO);
	CHECK_ERR(pt(PTRACE_PEEKUSR, child, USER_SIZE, (unsigned long)&word), EIO);
	CHECK_ERR(pt(PTRACE_POKEUSR, child, 4, 0), EIO);
	CHECK_ERR(pt(PTRACE_POKEUSR, child, USER_SIZE, 0), EIO);
	CHECK_ERR(pt(PTRACE_POKEUSR, child, sizeof(struct user_regs_struct), 0), EIO);
	CHECK_OK(pt(PTRACE_PEEKUSR, child, offsetof(struct user, u_debugreg) + 7 * 8,
		    (unsigned long)&word));
	CHECK_EQ(word, 0);
	CHECK_OK(pt(PTRACE_PEEKUSR, child, offsetof(struct user, u_debugreg) + 6 * 8,
		    (unsigned long)&word));
	CHECK_EQ(word, 0xffff0ff0);
	finish(child);
}

TEST(what_registers_cannot_be)
{
	pid_t child = TRACED_CHILD(pause_for_ever());
	CHECK_ERR(pt(PTRACE_POKEUSR, child, CS * 8, 0), EIO);
	CHECK_ERR(pt(PTRACE_POKEUSR, child, SS * 8, 0), EIO);
	CHECK_ERR(pt(PTRACE_POKEUSR, child, CS * 8, 0x10), EIO);
	CHECK_ERR(pt(PTRACE_POKEUSR, child, DS * 8, 0x18), EIO);
	CHECK_ERR(pt(PTRACE_POKEUSR, child, FS_BASE * 8, 1UL << 63), EIO);
	CHECK_ERR(pt(PTRACE_POKEUSR, child, GS_BASE * 8, -1UL), EIO);
	CHECK_OK(pt(PTRACE_POKEUSR, child, GS_BASE * 8, 0x123456789000));
	CHECK_EQ(regs_of(child).gs_base, 0x123456789000);
	/* IOPL, VM, IF stay as they are. */
	unsigned long flags = regs_of(child).eflags;
	CHECK_OK(pt(PTRACE_POKEUSR, child, EFLAGS * 8, ~TF));
	CHECK_EQ(regs_of(child).eflags, (flags & ~0x54dd5UL) | (0x54dd5UL & ~TF));
	CHECK_OK(pt(PTRACE_POKEUSR, child, EFLAGS * 8, 0));
	CHECK_EQ(regs_of(child).eflags, flags & ~0x54dd5UL);
	finish(child);
}

TEST(an_address_that_is_not_canonical_faults)
{
	for (int round = 0; round < 3; round++) {
		pid_t child = TRACED_CHILD(pause_for_ever());
		struct user_regs_struct regs = regs_of(child);
		regs.orig_rax = -1;
		if (round == 0)
			regs.rip = 0x8000000000000000;
		else if (round == 1)
			regs.rcx = regs.rip = 0xffffffff81000000;
		else
			regs.rsp = 0x8000000000000000;
		set_regs(child, &regs);
		go(child, PTRACE_CONT, 0);
		int status;
		CHECK_EQ(waitpid(child, &status, __WALL), child);
		CHECK(WIFSTOPPED(status));
		CHECK(WSTOPSIG(status) == SIGSEGV || (round == 2 && WSTOPSIG(status) == SIGBUS));
		finish(child);
	}
}

TEST(bases_by_arch_prctl)
{
	pid_t child = TRACED_CHILD({
		unsigned long base;
		CHECK_OK(syscall(SYS_arch_prctl, ARCH_GET_GS, &base));
		CHECK_EQ(base, 0x5000);
	});
	unsigned long base = 0;
	CHECK_OK(pt(PTRACE_ARCH_PRCTL, child, (unsigned long)&base, ARCH_GET_FS));
	CHECK_EQ(base, regs_of(child).fs_base);
	CHECK(base != 0);
	CHECK_OK(pt(PTRACE_ARCH_PRCTL, child, 0x5000, ARCH_SET_GS));
	CHECK_EQ(regs_of(child).gs_base, 0x5000);
	CHECK_ERR(pt(PTRACE_ARCH_PRCTL, child, 0, 12345), EINVAL);
	go(child, PTRACE_CONT, 0);
	EXPECT_EXIT(child, 0);
}

/* mov $1, %eax; mov $2, %eax; syscall getpid; pushf; pop; nop; ret */
__asm__(".text\n.global steps\nsteps:\n"
	"mov $39, %eax\n"
	"nop\n"
	"syscall\n"
	"pushf\n"
	"pop %rdx\n"
	"ret\n");
extern int steps(void);
#define STEPS_SYSCALL 6
#define STEPS_AFTER 8

static volatile unsigned long flags_seen;

TEST(single_steps)
{
	pid_t child = TRACED_CHILD({
		unsigned long flags;
		int r;
		__asm__ volatile("call steps" : "=a"(r), "=d"(flags) : : "rcx", "r11", "memory");
		CHECK_EQ(r, getpid());
		flags_seen = flags;
		CHECK_EQ(flags & TF, 0);
	});
	/* To its first instruction. */
	unsigned long code = peek(child, (void *)steps);
	poke(child, (void *)steps, (code & ~0xffUL) | 0xcc);
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGTRAP, 0);
	siginfo_t info = info_of(child);
	CHECK_EQ(info.si_code, SI_KERNEL);
	struct user_regs_struct regs = regs_of(child);
	CHECK_EQ(regs.rip, (unsigned long)steps + 1);
	CHECK_EQ((long)regs.orig_rax, -1);
	poke(child, (void *)steps, code);
	regs.rip--;
	set_regs(child, &regs);
	go(child, PTRACE_SINGLESTEP, 0);
	EXPECT_STOP(child, SIGTRAP, 0);
	info = info_of(child);
	CHECK_EQ(info.si_code, TRAP_TRACE);
	CHECK_EQ((unsigned long)info.si_addr, (unsigned long)steps + 5);
	regs = regs_of(child);
	CHECK_EQ(regs.rip, (unsigned long)steps + 5);
	CHECK_EQ(regs.rax, 39);
	CHECK_EQ(regs.eflags & TF, 0);
	go(child, PTRACE_SINGLESTEP, 0);
	EXPECT_STOP(child, SIGTRAP, 0);
	CHECK_EQ(regs_of(child).rip, (unsigned long)steps + STEPS_SYSCALL);
	/* A call is one step. */
	go(child, PTRACE_SINGLESTEP, 0);
	EXPECT_STOP(child, SIGTRAP, 0);
	regs = regs_of(child);
	CHECK_EQ(regs.rip, (unsigned long)steps + STEPS_AFTER);
	CHECK_EQ(regs.rax, child);
	CHECK_EQ(info_of(child).si_code, TRAP_BRKPT);
	go(child, PTRACE_CONT, 0);
	EXPECT_EXIT(child, 0);
}

static volatile int handled;

static void on_usr1(int sig)
{
	(void)sig;
	handled = 1;
}

TEST(a_step_into_a_handler_stops_at_its_begin)
{
	pid_t child = TRACED_CHILD({
		signal(SIGUSR1, on_usr1);
		raise(SIGUSR1);
		CHECK(handled);
	});
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGUSR1, 0);
	go(child, PTRACE_SINGLESTEP, SIGUSR1);
	EXPECT_STOP(child, SIGTRAP, 0);
	CHECK_EQ(regs_of(child).rip, (unsigned long)on_usr1);
	CHECK_EQ(info_of(child).si_code, SIGTRAP);
	CHECK_EQ(regs_of(child).eflags & TF, 0);
	go(child, PTRACE_CONT, 0);
	EXPECT_EXIT(child, 0);
}

TEST(stepping_through_a_whole_function)
{
	pid_t child = TRACED_CHILD(_exit(4));
	int status, count = 0;
	for (;;) {
		go(child, PTRACE_SINGLESTEP, 0);
		CHECK_EQ(waitpid(child, &status, __WALL), child);
		if (!WIFSTOPPED(status))
			break;
		CHECK_EQ(WSTOPSIG(status), SIGTRAP);
		CHECK(++count < 10000);
	}
	CHECK_EQ(status, 4 << 8);
	CHECK(count > 5);
}

TEST(children_of_who_steps_do_not_step)
{
	pid_t child = TRACED_CHILD({
		pid_t other = syscall(SYS_fork);
		if (other == 0)
			syscall(SYS_exit_group, 5);
		CHECK_EQ(kt_wait(other), 5 << 8);
		syscall(SYS_exit_group, 6);
	});
	int status, count = 0;
	for (;;) {
		int sig = 0;
		go(child, PTRACE_SINGLESTEP, sig);
		CHECK_EQ(waitpid(child, &status, __WALL), child);
		if (!WIFSTOPPED(status))
			break;
		CHECK(WSTOPSIG(status) == SIGTRAP || WSTOPSIG(status) == SIGCHLD);
		CHECK(++count < 10000);
	}
	CHECK_EQ(status, 6 << 8);
}

TEST(detach_ends_stepping)
{
	pid_t child = TRACED_CHILD(_exit(4));
	go(child, PTRACE_SINGLESTEP, 0);
	EXPECT_STOP(child, SIGTRAP, 0);
	CHECK_OK(pt(PTRACE_DETACH, child, 0, 0));
	EXPECT_EXIT(child, 4);
}

static void iov_set(struct iovec *iov, void *base, size_t len)
{
	iov->iov_base = base;
	iov->iov_len = len;
}

TEST(register_sets)
{
	struct iovec iov;
	struct user_regs_struct regs, all;
	pid_t child = TRACED_CHILD(pause_for_ever());
	all = regs_of(child);
	memset(&regs, 0xff, sizeof regs);
	iov_set(&iov, &regs, 4096);
	CHECK_OK(pt(PTRACE_GETREGSET, child, NT_PRSTATUS, (unsigned long)&iov));
	CHECK_EQ(iov.iov_len, sizeof regs);
	CHECK(!memcmp(&regs, &all, sizeof regs));
	memset(&regs, 0, sizeof regs);
	iov_set(&iov, &regs, 16);
	CHECK_OK(pt(PTRACE_GETREGSET, child, NT_PRSTATUS, (unsigned long)&iov));
	CHECK_EQ(iov.iov_len, 16);
	CHECK_EQ(regs.r14, all.r14);
	CHECK_EQ(regs.r13, 0);
	iov_set(&iov, &regs, 12);
	CHECK_ERR(pt(PTRACE_GETREGSET, child, NT_PRSTATUS, (unsigned long)&iov), EINVAL);
	iov_set(&iov, &regs, 16);
	CHECK_ERR(pt(PTRACE_GETREGSET, child, 0x777, (unsigned long)&iov), EINVAL);
	CHECK_ERR(pt(PTRACE_GETREGSET, child, NT_PRSTATUS, 8), EFAULT);
	regs.r15 = 15;
	regs.r14 = 14;
	CHECK_OK(pt(PTRACE_SETREGSET, child, NT_PRSTATUS, (unsigned long)&iov));
	CHECK_EQ(regs_of(child).r15, 15);
	CHECK_EQ(regs_of(child).r14, 14);
	CHECK_EQ(regs_of(child).r13, all.r13);
	finish(child);
}

static volatile double xmm_out[2];

/* Stop with a known value in xmm5, and store what is in it afterwards. */
static __attribute__((noinline)) void with_xmm(double in)
{
	double out;
	__asm__ volatile("movsd %1, %%xmm5\n"
			 "int3\n"
			 "movsd %%xmm5, %0\n"
			 : "=m"(out) : "m"(in) : "xmm5");
	xmm_out[0] = out;
}

TEST(fpu_registers)
{
	struct user_fpregs_struct fp, again;
	pid_t child = TRACED_CHILD({
		with_xmm(1.5);
		CHECK(xmm_out[0] == 2.5);
	});
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGTRAP, 0);
	CHECK_OK(pt(PTRACE_GETFPREGS, child, 0, (unsigned long)&fp));
	double value;
	memcpy(&value, (char *)fp.xmm_space + 5 * 16, 8);
	CHECK(value == 1.5);
	CHECK_EQ(fp.cwd, 0x37f);
	CHECK_EQ(fp.mxcsr & 0xffc0, 0x1f80);
	value = 2.5;
	memcpy((char *)fp.xmm_space + 5 * 16, &value, 8);
	CHECK_OK(pt(PTRACE_SETFPREGS, child, 0, (unsigned long)&fp));
	struct iovec iov;
	iov_set(&iov, &again, sizeof again);
	CHECK_OK(pt(PTRACE_GETREGSET, child, NT_PRFPREG, (unsigned long)&iov));
	CHECK_EQ(iov.iov_len, 512);
	CHECK(!memcmp(again.xmm_space, fp.xmm_space, sizeof fp.xmm_space));
	again.mxcsr = 0xffffffff;
	CHECK_ERR(pt(PTRACE_SETFPREGS, child, 0, (unsigned long)&again), EINVAL);
	iov_set(&iov, &fp, 256);
	CHECK_ERR(pt(PTRACE_SETREGSET, child, NT_PRFPREG, (unsigned long)&iov), EINVAL);
	go(child, PTRACE_CONT, 0);
	EXPECT_EXIT(child, 0);
}

TEST(extended_state)
{
	static unsigned char state[16384] __attribute__((aligned(64)));
	pid_t child = TRACED_CHILD({
		with_xmm(1.5);
		CHECK(xmm_out[0] == 3.5);
	});
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGTRAP, 0);
	struct iovec iov;
	iov_set(&iov, state, sizeof state);
	if (pt(PTRACE_GETREGSET, child, NT_X86_XSTATE, (unsigned long)&iov) < 0) {
		CHECK_EQ(errno, ENODEV);
		SKIP("the CPU has no xsave");
	}
	size_t len = iov.iov_len;
	CHECK(len >= 576);
	uint64_t xcr0, used;
	memcpy(&xcr0, state + 464, 8);
	memcpy(&used, state + 512, 8);
	CHECK_EQ(xcr0 & 3, 3);
	CHECK_EQ(used & ~xcr0, 0);
	CHECK(used & 2);
	double value;
	memcpy(&value, state + 160 + 5 * 16, 8);
	CHECK(value == 1.5);
	value = 3.5;
	memcpy(state + 160 + 5 * 16, &value, 8);
	iov_set(&iov, state, len);
	CHECK_OK(pt(PTRACE_SETREGSET, child, NT_X86_XSTATE, (unsigned long)&iov));
	iov_set(&iov, state, len - 8);
	CHECK_ERR(pt(PTRACE_SETREGSET, child, NT_X86_XSTATE, (unsigned long)&iov), EFAULT);
	memset(state + 512, 0xff, 64);
	iov_set(&iov, state, len);
	CHECK_ERR(pt(PTRACE_SETREGSET, child, NT_X86_XSTATE, (unsigned long)&iov), EINVAL);
	go(child, PTRACE_CONT, 0);
	EXPECT_EXIT(child, 0);
}

struct peek_args {
	uint64_t off;
	uint32_t flags;
	int32_t nr;
};

TEST(pending_signals_are_peeked_at)
{
	siginfo_t infos[8];
	pid_t child = TRACED_CHILD({
		sigset_t set;
		sigfillset(&set);
		sigprocmask(SIG_BLOCK, &set, NULL);
		union sigval v = { .sival_int = 1 };
		sigqueue(getpid(), SIGRTMIN, v);
		v.sival_int = 2;
		sigqueue(getpid(), SIGRTMIN, v);
		sys_tgkill(getpid(), sys_gettid(), SIGUSR1);
		__asm__ volatile("int3");
	});
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGTRAP, 0);
	struct peek_args args = { 0, PTRACE_PEEKSIGINFO_SHARED, 8 };
	unsigned long at = (unsigned long)&args, to = (unsigned long)infos;
	CHECK_EQ(pt(PTRACE_PEEKSIGINFO, child, at, to), 2);
	CHECK_EQ(infos[0].si_value.sival_int, 1);
	CHECK_EQ(infos[1].si_value.sival_int, 2);
	CHECK_EQ(infos[1].si_code, SI_QUEUE);
	args.off = 1;
	args.nr = 1;
	CHECK_EQ(pt(PTRACE_PEEKSIGINFO, child, at, to), 1);
	CHECK_EQ(infos[0].si_value.sival_int, 2);
	args.off = 100;
	CHECK_EQ(pt(PTRACE_PEEKSIGINFO, child, at, to), 0);
	args = (struct peek_args){ 0, 0, 8 };
	CHECK_EQ(pt(PTRACE_PEEKSIGINFO, child, at, to), 1);
	CHECK_EQ(infos[0].si_signo, SIGUSR1);
	args.flags = 2;
	CHECK_ERR(pt(PTRACE_PEEKSIGINFO, child, at, to), EINVAL);
	args = (struct peek_args){ 0, 0, -1 };
	CHECK_ERR(pt(PTRACE_PEEKSIGINFO, child, at, to), EINVAL);
	args.nr = 1;
	CHECK_ERR(pt(PTRACE_PEEKSIGINFO, child, at, 8), EFAULT);
	finish(child);
}

TEST(the_signal_mask)
{
	uint64_t mask = 0;
	pid_t child = TRACED_CHILD({
		sigset_t set;
		sigprocmask(SIG_SETMASK, NULL, &set);
		CHECK(sigismember(&set, SIGUSR2));
		CHECK(!sigismember(&set, SIGKILL));
		CHECK(!sigismember(&set, SIGUSR1));
	});
	CHECK_ERR(pt(PTRACE_GETSIGMASK, child, 4, (unsigned long)&mask), EINVAL);
	CHECK_ERR(pt(PTRACE_SETSIGMASK, child, 128, (unsigned long)&mask), EINVAL);
	/* Past the restoration of the mask in raise(). */
	CHECK_OK(pt(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESYSGOOD));
	for (int n = 0; n < 2; n++) {
		go(child, PTRACE_SYSCALL, 0);
		EXPECT_STOP(child, SYSCALL_STOP, 0);
	}
	CHECK_OK(pt(PTRACE_GETSIGMASK, child, 8, (unsigned long)&mask));
	CHECK_EQ(mask, 0);
	mask = 1ULL << (SIGUSR2 - 1) | 1ULL << (SIGKILL - 1);
	CHECK_OK(pt(PTRACE_SETSIGMASK, child, 8, (unsigned long)&mask));
	CHECK_OK(pt(PTRACE_GETSIGMASK, child, 8, (unsigned long)&mask));
	CHECK_EQ(mask, 1ULL << (SIGUSR2 - 1));
	go(child, PTRACE_CONT, 0);
	EXPECT_EXIT(child, 0);
}

struct rseq_conf {
	uint64_t pointer;
	uint32_t size, signature, flags, pad;
};

TEST(the_area_of_restartable_sequences)
{
	struct rseq_conf conf;
	static char area[32] __attribute__((aligned(32)));
	pid_t child = TRACED_CHILD({
		__asm__ volatile("int3");
		CHECK_OK(syscall(SYS_rseq, area, 32, 0, 0x53053053));
		__asm__ volatile("int3");
	});
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGTRAP, 0);
	CHECK_EQ(pt(PTRACE_GET_RSEQ_CONFIGURATION, child, sizeof conf, (unsigned long)&conf), 24);
	CHECK_EQ(conf.pointer, 0);
	CHECK_EQ(conf.size, 32);
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGTRAP, 0);
	CHECK_EQ(pt(PTRACE_GET_RSEQ_CONFIGURATION, child, sizeof conf, (unsigned long)&conf), 24);
	CHECK_EQ(conf.pointer, (unsigned long)area);
	CHECK_EQ(conf.size, 32);
	CHECK_EQ(conf.signature, 0x53053053);
	CHECK_EQ(conf.flags, 0);
	memset(&conf, 0, sizeof conf);
	CHECK_EQ(pt(PTRACE_GET_RSEQ_CONFIGURATION, child, 8, (unsigned long)&conf), 24);
	CHECK_EQ(conf.pointer, (unsigned long)area);
	CHECK_EQ(conf.size, 0);
	go(child, PTRACE_CONT, 0);
	EXPECT_EXIT(child, 0);
}

TEST(proc_syscall_shows_a_tracee)
{
	char text[256];
	pid_t child = TRACED_CHILD(syscall(SYS_getpriority, 7, 8, 9));
	CHECK_OK(pt(PTRACE_SETOPTIONS, child, 0, PTRACE_O_TRACESYSGOOD));
	do {
		go(child, PTRACE_SYSCALL, 0);
		EXPECT_STOP(child, SYSCALL_STOP, 0);
	} while (regs_of(child).orig_rax != SYS_getpriority);
	CHECK(kt_read_file(proc_path(child, "syscall"), text, sizeof text) > 0);
	CHECK(!strncmp(text, "140 0x7 0x8 0x9 ", 16));
	finish(child);
}
