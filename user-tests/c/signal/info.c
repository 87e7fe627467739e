/* What a handler is told: siginfo and ucontext. */
#include <setjmp.h>
#include <sys/mman.h>
#include <ucontext.h>

#include "proc.h"
#include "sys.h"

static siginfo_t seen;
static volatile int count;

static void on_info(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	seen = *info;
	count++;
}

static void catch(int sig)
{
	struct sigaction act = { .sa_sigaction = on_info, .sa_flags = SA_SIGINFO };
	CHECK_OK(sigaction(sig, &act, NULL));
}

TEST(from_kill)
{
	catch(SIGUSR1);
	pid_t me = getpid();
	pid_t child = SPAWN(setuid(1234); kill(me, SIGUSR1));
	int ignored = kt_wait(child);
	(void)ignored;
	/* Another user may not: root does. */
	CHECK_EQ(count, 0);
	child = SPAWN(kill(me, SIGUSR1));
	kt_wait(child);
	WAIT_FOR(count == 1);
	CHECK_EQ(seen.si_signo, SIGUSR1);
	CHECK_EQ(seen.si_code, SI_USER);
	CHECK_EQ(seen.si_pid, child);
	CHECK_EQ(seen.si_uid, 0);
	CHECK_EQ(seen.si_errno, 0);
}

TEST(from_tgkill)
{
	catch(SIGUSR1);
	CHECK_OK(sys_tgkill(getpid(), sys_gettid(), SIGUSR1));
	CHECK_EQ(seen.si_code, SI_TKILL);
	CHECK_EQ(seen.si_pid, getpid());
	CHECK_EQ(seen.si_uid, getuid());
}

TEST(from_sigqueue)
{
	catch(SIGRTMIN);
	CHECK_OK(sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_ptr = (void *)0x1234567890 }));
	CHECK_EQ(seen.si_code, SI_QUEUE);
	CHECK_EQ((long)seen.si_ptr, 0x1234567890);
	CHECK_EQ(seen.si_pid, getpid());
}

TEST(queueinfo_cannot_pretend_to_others)
{
	siginfo_t info = { .si_signo = SIGUSR1, .si_code = SI_USER };
	pid_t child = SPAWN(pause());
	CHECK_ERR(syscall(SYS_rt_sigqueueinfo, child, SIGUSR1, &info), EPERM);
	info.si_code = SI_TKILL;
	CHECK_ERR(syscall(SYS_rt_sigqueueinfo, child, SIGUSR1, &info), EPERM);
	info.si_code = -77;
	CHECK_OK(syscall(SYS_rt_sigqueueinfo, child, SIGKILL, &info));
	CHECK_EQ(kt_wait(child), SIGKILL);
	catch(SIGUSR1);
	info.si_code = SI_USER;
	CHECK_OK(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, &info));
	CHECK_EQ(seen.si_code, SI_USER);
	info.si_code = -77;
	CHECK_OK(syscall(SYS_rt_tgsigqueueinfo, getpid(), sys_gettid(), SIGUSR1, &info));
	CHECK_EQ(seen.si_code, -77);
	CHECK_ERR(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR1, BAD_PTR), EFAULT);
	CHECK_ERR(syscall(SYS_rt_sigqueueinfo, getpid(), 65, &info), EINVAL);
	CHECK_ERR(syscall(SYS_rt_sigqueueinfo, 0x3fffffff, SIGUSR1, &info), ESRCH);
}

TEST(from_a_child)
{
	catch(SIGCHLD);
	pid_t child = SPAWN(_exit(7));
	WAIT_FOR(count == 1);
	CHECK_EQ(seen.si_code, CLD_EXITED);
	CHECK_EQ(seen.si_pid, child);
	CHECK_EQ(seen.si_status, 7);
	kt_wait(child);
	child = SPAWN(raise(SIGKILL));
	WAIT_FOR(count == 2);
	CHECK_EQ(seen.si_code, CLD_KILLED);
	CHECK_EQ(seen.si_status, SIGKILL);
	kt_wait(child);
	child = SPAWN(raise(SIGSTOP); raise(SIGKILL));
	WAIT_FOR(count == 3);
	CHECK_EQ(seen.si_code, CLD_STOPPED);
	CHECK_EQ(seen.si_status, SIGSTOP);
	kill(child, SIGCONT);
	kt_wait(child);
}

static sigjmp_buf env;

static void on_fault(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	seen = *info;
	siglongjmp(env, 1);
}

static void catch_fault(int sig)
{
	struct sigaction act = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
	CHECK_OK(sigaction(sig, &act, NULL));
}

TEST(segv_maperr)
{
	catch_fault(SIGSEGV);
	if (!sigsetjmp(env, 1))
		*(volatile char *)BAD_PTR = 1;
	CHECK_EQ(seen.si_signo, SIGSEGV);
	CHECK_EQ(seen.si_code, SEGV_MAPERR);
	CHECK_EQ((long)seen.si_addr, 8);
}

TEST(segv_accerr)
{
	char *page = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	catch_fault(SIGSEGV);
	if (!sigsetjmp(env, 1))
		((volatile char *)page)[100] = 1;
	CHECK_EQ(seen.si_code, SEGV_ACCERR);
	CHECK(seen.si_addr == page + 100);
}

TEST(executing_data)
{
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	page[0] = (char)0xc3;
	catch_fault(SIGSEGV);
	if (!sigsetjmp(env, 1))
		((void (*)(void))page)();
	CHECK_EQ(seen.si_code, SEGV_ACCERR);
	CHECK(seen.si_addr == page);
}

TEST(non_canonical_and_kernel_addresses)
{
	catch_fault(SIGSEGV);
	if (!sigsetjmp(env, 1))
		*(volatile char *)0x8000000000000000 = 1;
	CHECK_EQ(seen.si_code, SI_KERNEL);
	CHECK_EQ((long)seen.si_addr, 0);
	if (!sigsetjmp(env, 1))
		*(volatile char *)0xffffffff80000000 = 1;
	CHECK_EQ(seen.si_code, SEGV_MAPERR);
	CHECK(seen.si_addr == (void *)0xffffffff80000000);
}

static greg_t trap[3];

static void on_exception(int sig, siginfo_t *info, void *context)
{
	greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
	(void)info;
	trap[0] = regs[REG_TRAPNO];
	trap[1] = regs[REG_ERR];
	trap[2] = regs[REG_CR2];
	if (sig != SIGUSR1)
		siglongjmp(env, 1);
}

#define TRAPS(statement, vector, error, address)                               \
	do {                                                                   \
		if (!sigsetjmp(env, 1)) {                                      \
			statement;                                             \
		}                                                              \
		CHECK_EQ(trap[0], vector);                                     \
		CHECK_EQ(trap[1], error);                                      \
		CHECK_EQ(trap[2], (greg_t)(uintptr_t)(address));                          \
	} while (0)

/* What the processor said of the last exception (Intel SDM volume 3, 6.13 and 4.7). */
TEST(the_context_tells_the_exception)
{
	enum { PRESENT = 1, WRITE = 2, USER = 4, FETCH = 16 };
	struct sigaction act = { .sa_sigaction = on_exception, .sa_flags = SA_SIGINFO };
	int signals[] = { SIGSEGV, SIGBUS, SIGTRAP, SIGILL, SIGFPE, SIGUSR1 };
	for (unsigned i = 0; i < sizeof signals / sizeof *signals; i++)
		CHECK_OK(sigaction(signals[i], &act, NULL));
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	page[0] = (char)0xc3;
	CHECK_OK(munmap(page + 4096, 4096));
	volatile char *gone = page + 4096 + 5, *there = page, *kernel = (char *)0xffffffff80000000;
	TRAPS((void)*gone, 14, USER, gone);
	TRAPS(*gone = 1, 14, USER | WRITE, gone);
	TRAPS(((void (*)(void))page)(), 14, USER | PRESENT | FETCH, page);
	CHECK_OK(mprotect(page, 4096, PROT_READ));
	TRAPS(there[1] = 1, 14, USER | PRESENT | WRITE, page + 1);
	TRAPS((void)*kernel, 14, USER | PRESENT, kernel);
	/* The address stays when others than page faults follow. */
	TRAPS(__asm__ volatile("hlt"), 13, 0, kernel);
	TRAPS(__asm__ volatile("int3"), 3, 0, kernel);
	TRAPS(__asm__ volatile("ud2"), 6, 0, kernel);
	TRAPS(__asm__ volatile("divl %0" : : "r"(0), "a"(1), "d"(0)), 0, 0, kernel);
	/* Signals from elsewhere show the last one too. */
	TRAPS(*gone = 1, 14, USER | WRITE, gone);
	memset(trap, 0, sizeof trap);
	CHECK_OK(raise(SIGUSR1));
	CHECK_EQ(trap[0], 14);
	CHECK_EQ(trap[1], USER | WRITE);
	CHECK(trap[2] == (greg_t)(uintptr_t)gone);
}

TEST(bus_error_behind_the_end_of_a_file)
{
	int fd = CHECK_OK(open("f", O_CREAT | O_RDWR, 0600));
	char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK_OK(ftruncate(fd, 100));
	catch_fault(SIGBUS);
	p[200] = 1;
	if (!sigsetjmp(env, 1))
		((volatile char *)p)[5000] = 1;
	CHECK_EQ(seen.si_signo, SIGBUS);
	CHECK_EQ(seen.si_code, BUS_ADRERR);
	CHECK(seen.si_addr == p + 5000);
}

TEST(division_by_zero)
{
	catch_fault(SIGFPE);
	volatile int zero = 0;
	volatile int one = 1;
	if (!sigsetjmp(env, 1))
		one = one / zero;
	CHECK_EQ(seen.si_signo, SIGFPE);
	CHECK_EQ(seen.si_code, FPE_INTDIV);
}

TEST(illegal_instructions)
{
	catch_fault(SIGILL);
	if (!sigsetjmp(env, 1))
		__asm__ volatile("ud2");
	CHECK_EQ(seen.si_signo, SIGILL);
	CHECK_EQ(seen.si_code, ILL_ILLOPN);
	catch_fault(SIGSEGV);
	if (!sigsetjmp(env, 1))
		__asm__ volatile("hlt");
	CHECK_EQ(seen.si_signo, SIGSEGV);
	CHECK_EQ(seen.si_code, SI_KERNEL);
	if (!sigsetjmp(env, 1))
		__asm__ volatile("cli");
	CHECK_EQ(seen.si_signo, SIGSEGV);
}

static void on_trap(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	seen = *info;
	count++;
}

TEST(breakpoints_go_on)
{
	struct sigaction act = { .sa_sigaction = on_trap, .sa_flags = SA_SIGINFO };
	CHECK_OK(sigaction(SIGTRAP, &act, NULL));
	__asm__ volatile("int3");
	CHECK_EQ(count, 1);
	CHECK_EQ(seen.si_code, SI_KERNEL);
}

static void change_registers(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	ucontext_t *uc = context;
	uc->uc_mcontext.gregs[REG_RIP] += 2;
	uc->uc_mcontext.gregs[REG_RBX] = 0x1122334455667788;
}

TEST(the_context_can_be_changed)
{
	struct sigaction act = { .sa_sigaction = change_registers, .sa_flags = SA_SIGINFO };
	CHECK_OK(sigaction(SIGILL, &act, NULL));
	long value;
	__asm__ volatile("xor %%ebx, %%ebx\n\tud2\n\tmov %%rbx, %0" : "=r"(value) : : "rbx");
	CHECK_EQ(value, 0x1122334455667788);
}

static void dirty_registers(int sig)
{
	(void)sig;
	__asm__ volatile("pcmpeqd %%xmm0, %%xmm0\n\tpcmpeqd %%xmm7, %%xmm7\n\t"
			 "pcmpeqd %%xmm15, %%xmm15\n\tfninit\n\tstd\n\tcld"
			 : : : "xmm0", "xmm7", "xmm15", "cc");
}

TEST(registers_survive_a_handler)
{
	signal(SIGUSR1, dirty_registers);
	double in[2] = { 1.25, 2.5 }, out[2];
	long r12 = 0x1212, pid = getpid(), result;
	__asm__ volatile("movupd %2, %%xmm15\n\t"
			 "mov %3, %%r12\n\t"
			 "mov $62, %%eax\n\t"
			 "mov %4, %%rdi\n\t"
			 "mov $10, %%esi\n\t"
			 "syscall\n\t"
			 "movupd %%xmm15, %0\n\t"
			 "mov %%r12, %1\n\t"
			 : "=m"(out), "=r"(result)
			 : "m"(in), "r"(r12), "r"(pid)
			 : "rax", "rcx", "r11", "rdi", "rsi", "r12", "xmm15", "memory");
	CHECK(out[0] == 1.25 && out[1] == 2.5);
	CHECK_EQ(result, 0x1212);
}
