/*
 * rseq(2): restartable sequences, as Linux 6.1 has them
 * (Documentation of the structures: linux/rseq.h).
 */
#include <linux/rseq.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/ucontext.h>

#include "ktest.h"
#include "sys.h"

#define SIG 0x53053053
#define SIZE 32
#define KERNEL_PTR ((void *)0xffff800000000000UL)

/* int cs_spin(slot, descriptor, stop): spins in a critical section; 0: until *stop, 1: it was aborted. */
__asm__(".text\n"
	".globl cs_spin, cs_start, cs_end, cs_abort, cs_unsigned\n"
	"cs_spin:\n"
	"	mov %rsi, (%rdi)\n"
	"cs_start:\n"
	"	pause\n"
	"	cmpl $0, (%rdx)\n"
	"	je cs_start\n"
	"cs_end:\n"
	"	mov $0, %eax\n"
	"	ret\n"
	"	.long 0x53053053\n"
	"cs_abort:\n"
	"	mov $1, %eax\n"
	"	ret\n"
	"	.long 0\n"
	"cs_unsigned:\n"
	"	mov $2, %eax\n"
	"	ret\n");
int cs_spin(void *slot, void *descriptor, volatile int *stop);
extern char cs_start[], cs_end[], cs_abort[], cs_unsigned[];

static struct {
	uint32_t cpu_id_start, cpu_id;
	uint64_t rseq_cs;
	uint32_t flags, pad[3];
} area __attribute__((aligned(32))), another __attribute__((aligned(32)));

static struct rseq_cs cs;
static volatile int stop;

static long rseq(volatile void *at, uint32_t len, int flags, uint32_t sig)
{
	return syscall(SYS_rseq, at, len, flags, sig);
}

static void registered(void)
{
	cs = (struct rseq_cs){ .start_ip = (uint64_t)cs_start,
			       .post_commit_offset = cs_end - cs_start,
			       .abort_ip = (uint64_t)cs_abort };
	CHECK_OK(rseq(&area, SIZE, 0, SIG));
}

static void pin(int cpu)
{
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	CHECK_OK(sched_setaffinity(0, sizeof set, &set));
}

static int cpus(void)
{
	cpu_set_t set;
	CHECK_OK(sched_getaffinity(0, sizeof set, &set));
	return CPU_COUNT(&set);
}

static uint32_t now(volatile uint32_t *word)
{
	return *word;
}

TEST(what_registration_refuses)
{
	CHECK_ERR(rseq(&area, SIZE, 2, SIG), EINVAL);
	CHECK_ERR(rseq((char *)&area + 8, SIZE, 0, SIG), EINVAL);
	CHECK_ERR(rseq(&area, SIZE - 4, 0, SIG), EINVAL);
	CHECK_ERR(rseq(&area, SIZE + 32, 0, SIG), EINVAL);
	CHECK_ERR(rseq(KERNEL_PTR, SIZE, 0, SIG), EFAULT);
	CHECK_ERR(rseq((char *)KERNEL_PTR + 4, SIZE, 0, SIG), EINVAL);
	CHECK_ERR(rseq(&area, SIZE, RSEQ_FLAG_UNREGISTER, SIG), EINVAL);
	CHECK_ERR(rseq(NULL, SIZE, RSEQ_FLAG_UNREGISTER, 0), EINVAL);
}

TEST(one_at_a_time)
{
	registered();
	CHECK_ERR(rseq(&area, SIZE, 0, SIG), EBUSY);
	CHECK_ERR(rseq(&area, SIZE, 0, SIG + 1), EPERM);
	CHECK_ERR(rseq(&area, SIZE - 1, 0, SIG), EINVAL);
	CHECK_ERR(rseq(&another, SIZE, 0, SIG), EINVAL);
	CHECK_ERR(rseq(&another, SIZE, RSEQ_FLAG_UNREGISTER, SIG), EINVAL);
	CHECK_ERR(rseq(&area, SIZE + 1, RSEQ_FLAG_UNREGISTER, SIG), EINVAL);
	CHECK_ERR(rseq(&area, SIZE, RSEQ_FLAG_UNREGISTER, SIG + 1), EPERM);
	CHECK_ERR(rseq(&area, SIZE, RSEQ_FLAG_UNREGISTER | 2, SIG), EINVAL);
	CHECK_OK(rseq(&area, SIZE, RSEQ_FLAG_UNREGISTER, SIG));
	CHECK_EQ(now(&area.cpu_id), (uint32_t)-1);
	CHECK_EQ(now(&area.cpu_id_start), 0);
	CHECK_OK(rseq(&another, SIZE, 0, SIG));
}

TEST(it_tells_the_cpu)
{
	area.cpu_id = area.cpu_id_start = 4711;
	pin(0);
	registered();
	CHECK_EQ(now(&area.cpu_id), 0);
	CHECK_EQ(now(&area.cpu_id_start), 0);
	if (cpus() == 1 && sysconf(_SC_NPROCESSORS_ONLN) == 1)
		return;
	for (int n = 0; n < 20; n++) {
		pin(n & 1);
		CHECK_EQ(now(&area.cpu_id), n & 1);
		CHECK_EQ(now(&area.cpu_id_start), n & 1);
	}
}

TEST(a_fork_inherits_a_thread_does_not)
{
	registered();
	JOIN(SPAWN({
		CHECK_ERR(rseq(&area, SIZE, 0, SIG), EBUSY);
		area.cpu_id = 4711;
		sched_yield();
		kt_sleep_ms(5);
		CHECK(now(&area.cpu_id) < 1024 || now(&area.cpu_id) == 4711);
		CHECK_OK(rseq(&area, SIZE, RSEQ_FLAG_UNREGISTER, SIG));
	}));
	CHECK_ERR(rseq(&area, SIZE, 0, SIG), EBUSY);
}

static void *registers(__attribute__((unused)) void *arg)
{
	CHECK_ERR(rseq(&area, SIZE, RSEQ_FLAG_UNREGISTER, SIG), EINVAL);
	CHECK_OK(rseq(&another, SIZE, 0, SIG));
	CHECK(now(&another.cpu_id) < 1024);
	return NULL;
}

TEST(a_thread_has_its_own)
{
	pthread_t thread;
	registered();
	CHECK_EQ(pthread_create(&thread, NULL, registers, NULL), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

ROLE(fresh)
{
	CHECK_OK(rseq(&area, SIZE, 0, SIG));
	return 0;
}

TEST(an_exec_ends_it)
{
	JOIN(SPAWN({
		registered();
		execl("/proc/self/exe", "role:fresh", NULL);
		_exit(9);
	}));
}

TEST(a_section_that_ends_is_not_aborted)
{
	registered();
	stop = 1;
	for (int n = 0; n < 1000; n++)
		CHECK(cs_spin(&area.rseq_cs, &cs, &stop) <= 1);
}

static volatile uint64_t handler_saw, handler_ip;
static void on_signal(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)info;
	ucontext_t *uc = context;
	handler_ip = uc->uc_mcontext.gregs[REG_RIP];
	handler_saw = area.rseq_cs;
	stop = 1;
}

TEST(a_signal_aborts_before_the_handler)
{
	struct sigaction act = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };
	struct itimerval soon = { .it_value = { 0, 20000 } };
	CHECK_OK(sigaction(SIGALRM, &act, NULL));
	registered();
	stop = 0;
	handler_saw = 1;
	CHECK_OK(setitimer(ITIMER_REAL, &soon, NULL));
	/* It may have been preempted before the signal came. */
	int aborted = cs_spin(&area.rseq_cs, &cs, &stop);
	CHECK_EQ(aborted, 1);
	WAIT_FOR(stop);
	CHECK_EQ(handler_saw, 0);
	CHECK(handler_ip < (uint64_t)cs_start || handler_ip >= (uint64_t)cs_end);
	CHECK_EQ(area.rseq_cs, 0);
}

TEST(a_pointer_left_behind_is_cleared)
{
	struct sigaction act = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO };
	CHECK_OK(sigaction(SIGUSR1, &act, NULL));
	registered();
	stop = 1;
	cs_spin(&area.rseq_cs, &cs, &stop);
	CHECK_OK(raise(SIGUSR1));
	CHECK_EQ(area.rseq_cs, 0);
	CHECK_EQ(handler_saw, 0);
}

TEST(preemption_aborts)
{
	pin(0);
	pid_t busy = SPAWN(for (;;));
	registered();
	stop = 0;
	for (int n = 0; n < 5; n++)
		CHECK_EQ(cs_spin(&area.rseq_cs, &cs, &stop), 1);
	CHECK_OK(kill(busy, SIGKILL));
	CHECK_EQ(kt_wait(busy), SIGKILL);
}

TEST(migration_aborts)
{
	if (sysconf(_SC_NPROCESSORS_ONLN) == 1)
		return;
	int *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid = SPAWN({
		pin(0);
		registered();
		*shared = 1;
		stop = 0;
		while (now(&area.cpu_id) == 0)
			CHECK_EQ(cs_spin(&area.rseq_cs, &cs, &stop), 1);
		CHECK_EQ(now(&area.cpu_id), 1);
	});
	WAIT_FOR(*(volatile int *)shared);
	kt_sleep_ms(20);
	cpu_set_t set;
	CPU_ZERO(&set);
	CPU_SET(1, &set);
	CHECK_OK(sched_setaffinity(pid, sizeof set, &set));
	JOIN(pid);
}

#define BAD(statements)                                                        \
	do {                                                                   \
		pid_t pid_ = SPAWN({                                           \
			struct rlimit none = { 0, 0 };                         \
			setrlimit(RLIMIT_CORE, &none);                         \
			registered();                                          \
			void *descriptor = &cs;                                \
			stop = 0;                                              \
			statements;                                            \
			struct sigaction act = { .sa_sigaction = on_signal,    \
						 .sa_flags = SA_SIGINFO };     \
			struct itimerval soon = { .it_value = { 0, 50000 } };  \
			sigaction(SIGALRM, &act, NULL);                        \
			setitimer(ITIMER_REAL, &soon, NULL);                   \
			cs_spin(&area.rseq_cs, descriptor, &stop);             \
		});                                                            \
		CHECK_EQ(kt_wait(pid_), SIGSEGV);                              \
	} while (0)

static volatile int spinning;

static void *spins(void *unused)
{
	registered();
	spinning = 1;
	CHECK_EQ(cs_spin(&area.rseq_cs, &cs, &stop), 1);
	return unused;
}

TEST(a_barrier_aborts_those_of_others)
{
	pthread_t t;
	CHECK_OK(syscall(SYS_membarrier, 256 /* REGISTER_PRIVATE_EXPEDITED_RSEQ */, 0, 0));
	CHECK_EQ(pthread_create(&t, NULL, spins, NULL), 0);
	WAIT_FOR(spinning);
	kt_sleep_ms(20);
	CHECK_OK(syscall(SYS_membarrier, 128 /* PRIVATE_EXPEDITED_RSEQ */, 0, 0));
	CHECK_EQ(pthread_join(t, NULL), 0);
}

TEST(a_bad_signature_is_fatal)
{
	BAD(cs.abort_ip = (uint64_t)cs_unsigned);
}

TEST(bad_descriptors_are_fatal)
{
	BAD(cs.version = 1);
	BAD(cs.flags = 1);
	BAD(cs.flags = 8);
	BAD(area.flags = 4);
	BAD(cs.abort_ip = (uint64_t)cs_start + 1);
	BAD(cs.start_ip = 0xffff800000000000UL);
	BAD(cs.post_commit_offset = -1UL);
	BAD(descriptor = BAD_PTR);
	BAD(descriptor = KERNEL_PTR);
}

TEST(an_area_that_goes_away_is_fatal)
{
	pid_t pid = SPAWN({
		struct rlimit none = { 0, 0 };
		setrlimit(RLIMIT_CORE, &none);
		void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK_OK(rseq(page, SIZE, 0, SIG));
		CHECK_OK(munmap(page, 4096));
		for (int n = 0; n < 100; n++)
			kt_sleep_ms(1);
	});
	CHECK_EQ(kt_wait(pid), SIGSEGV);
}

TEST(an_area_that_is_not_mapped)
{
	pid_t pid = SPAWN({
		struct rlimit none = { 0, 0 };
		setrlimit(RLIMIT_CORE, &none);
		void *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK_ERR(rseq(page, SIZE, 0, SIG), EFAULT);
		CHECK_OK(rseq(&area, SIZE, 0, SIG));
	});
	CHECK_EQ(kt_wait(pid), 0);
}

TEST(a_stale_pointer_at_registration)
{
	pid_t pid = SPAWN({
		struct rlimit none = { 0, 0 };
		setrlimit(RLIMIT_CORE, &none);
		area.rseq_cs = (uint64_t)KERNEL_PTR;
		CHECK_OK(rseq(&area, SIZE, 0, SIG));
		CHECK_EQ(area.rseq_cs, 0);
	});
	CHECK_EQ(kt_wait(pid), 0);
}
