/* sigaltstack(2) and SA_ONSTACK. */
#include <setjmp.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "proc.h"

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1U << 31)
#endif

static char alternate[32768] __attribute__((aligned(16)));
static volatile int on_it, flags_inside, result;

static void look(int sig)
{
	(void)sig;
	char here;
	stack_t now;
	on_it = &here >= alternate && &here < alternate + sizeof alternate;
	sigaltstack(NULL, &now);
	flags_inside = now.ss_flags;
	errno = 0;
	stack_t other = { .ss_sp = alternate, .ss_size = 8192 };
	result = sigaltstack(&other, NULL) < 0 ? errno : 0;
}

static void set(unsigned flags)
{
	stack_t ss = { .ss_sp = alternate, .ss_size = sizeof alternate, .ss_flags = flags };
	CHECK_OK(sigaltstack(&ss, NULL));
}

static void handle(int sig, void (*handler)(int), int flags)
{
	struct sigaction act = { .sa_handler = handler, .sa_flags = flags };
	CHECK_OK(sigaction(sig, &act, NULL));
}

TEST(handlers_run_on_it_only_with_the_flag)
{
	set(0);
	handle(SIGUSR1, look, 0);
	raise(SIGUSR1);
	CHECK_EQ(on_it, 0);
	CHECK_EQ(flags_inside, 0);
	CHECK_EQ(result, 0);
	set(0);
	handle(SIGUSR1, look, SA_ONSTACK);
	raise(SIGUSR1);
	CHECK_EQ(on_it, 1);
	CHECK_EQ(flags_inside, SS_ONSTACK);
	CHECK_EQ(result, EPERM);
	stack_t now;
	CHECK_OK(sigaltstack(NULL, &now));
	CHECK_EQ(now.ss_flags, 0);
	CHECK(now.ss_sp == alternate);
	CHECK_EQ(now.ss_size, sizeof alternate);
}

TEST(disabled)
{
	stack_t off = { .ss_flags = SS_DISABLE }, now;
	set(0);
	CHECK_OK(sigaltstack(&off, &now));
	CHECK(now.ss_sp == alternate);
	CHECK_OK(sigaltstack(NULL, &now));
	CHECK_EQ(now.ss_flags, SS_DISABLE);
	handle(SIGUSR1, look, SA_ONSTACK);
	raise(SIGUSR1);
	CHECK_EQ(on_it, 0);
}

TEST(wrong_arguments)
{
	stack_t small = { .ss_sp = alternate, .ss_size = 1024 };
	CHECK_ERR(syscall(SYS_sigaltstack, &small, NULL), ENOMEM);
	stack_t flags = { .ss_sp = alternate, .ss_size = 16384, .ss_flags = 77 };
	CHECK_ERR(syscall(SYS_sigaltstack, &flags, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_sigaltstack, BAD_PTR, NULL), EFAULT);
	CHECK_ERR(syscall(SYS_sigaltstack, NULL, BAD_PTR), EFAULT);
}

TEST(autodisarm)
{
	set(SS_AUTODISARM);
	handle(SIGUSR1, look, SA_ONSTACK);
	raise(SIGUSR1);
	CHECK_EQ(on_it, 1);
	CHECK_EQ(flags_inside & SS_DISABLE, SS_DISABLE);
	CHECK_EQ(result, 0);
}

static sigjmp_buf env;

static void leave(int sig)
{
	siglongjmp(env, sig);
}

static int recurse(int n)
{
	volatile char frame[1024];
	frame[0] = n;
	return n < 0 ? 0 : recurse(n + 1) + frame[0];
}

TEST(a_stack_overflow_can_be_handled)
{
	CHECK_OK(setrlimit(RLIMIT_STACK, &(struct rlimit){ 1 << 20, 1 << 20 }));
	set(0);
	handle(SIGSEGV, leave, SA_ONSTACK);
	int sig = sigsetjmp(env, 1);
	if (!sig)
		recurse(0);
	CHECK_EQ(sig, SIGSEGV);
}

TEST(no_room_for_a_frame_kills)
{
	/* The handler's frame does not fit a stack pointer that leads nowhere. */
	int status = kt_wait(SPAWN({
		handle(SIGUSR1, look, 0);
		pid_t pid = getpid();
		__asm__ volatile("mov $16, %%rsp\n\tmov $62, %%eax\n\tmov $10, %%esi\n\tsyscall\n\tud2"
				 : : "D"((long)pid) : "rax", "rsi", "rcx", "r11", "memory");
	}));
	CHECK_EQ(status & 0x7f, SIGSEGV);
}

TEST(a_forged_frame_kills_only_its_process)
{
	int status = kt_wait(SPAWN({
		memset(alternate, 0xff, sizeof alternate);
		__asm__ volatile("lea %0, %%rsp\n\tmov $15, %%eax\n\tsyscall\n\tud2"
				 : : "m"(alternate[8192]) : "rax", "rcx", "r11", "memory");
	}));
	CHECK_EQ(status & 0x7f, SIGSEGV);
	status = kt_wait(SPAWN({
		__asm__ volatile("mov $16, %%rsp\n\tmov $15, %%eax\n\tsyscall\n\tud2"
				 : : : "rax", "rcx", "r11", "memory");
	}));
	CHECK_EQ(status & 0x7f, SIGSEGV);
}

TEST(inherited_by_fork)
{
	set(0);
	JOIN(SPAWN({
		stack_t now;
		CHECK_OK(sigaltstack(NULL, &now));
		CHECK(now.ss_sp == alternate);
	}));
}
