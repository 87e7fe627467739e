/* Calls that a thread dispatches itself: Documentation/admin-guide/syscall-user-dispatch.rst. */
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "ktest.h"

#define PR_SET_SYSCALL_USER_DISPATCH 59
#define OFF 0
#define ON 1
#define ALLOW 0
#define BLOCK 1
#define SYS_USER_DISPATCH 2
/* No kernel has it. */
#define MAGIC 0x7fff

static volatile unsigned char selector;
static volatile int caught;
static siginfo_t seen;
static unsigned long seen_rax, seen_rip;

static int dispatch(unsigned long mode, unsigned long offset, unsigned long len, volatile void *at)
{
	return prctl(PR_SET_SYSCALL_USER_DISPATCH, mode, offset, len, (unsigned long)at);
}

static void on_sigsys(int sig, siginfo_t *info, void *context)
{
	ucontext_t *user = context;
	(void)sig;
	selector = ALLOW;
	caught++;
	seen = *info;
	seen_rax = user->uc_mcontext.gregs[REG_RAX];
	seen_rip = user->uc_mcontext.gregs[REG_RIP];
	user->uc_mcontext.gregs[REG_RAX] = 4711;
}

static void catch(void)
{
	struct sigaction action = { .sa_sigaction = on_sigsys, .sa_flags = SA_SIGINFO };
	CHECK_OK(sigaction(SIGSYS, &action, NULL));
}

/* A call that no library comes between. */
static long call(long nr)
{
	__asm__ volatile("syscall" : "+a"(nr) : : "rcx", "r11", "memory");
	return nr;
}

TEST(arguments)
{
	CHECK_OK(dispatch(OFF, 0, 0, NULL));
	CHECK_ERR(dispatch(OFF, 1, 0, NULL), EINVAL);
	CHECK_ERR(dispatch(OFF, 0, 1, NULL), EINVAL);
	CHECK_ERR(dispatch(OFF, 0, 0, &selector), EINVAL);
	CHECK_ERR(dispatch(2, 0, 0, NULL), EINVAL);
	CHECK_ERR(dispatch(ON, 1, 0, &selector), EINVAL);
	CHECK_ERR(dispatch(ON, -1ul, 2, &selector), EINVAL);
	CHECK_ERR(dispatch(ON, 0, 1, (void *)-1l), EFAULT);
	selector = ALLOW;
	CHECK_OK(dispatch(ON, 0, 0, &selector));
	CHECK_OK(dispatch(OFF, 0, 0, NULL));
}

TEST(the_selector_decides)
{
	catch();
	selector = ALLOW;
	CHECK_OK(dispatch(ON, 0, 0, &selector));
	CHECK_EQ(call(MAGIC), -ENOSYS);
	CHECK_EQ(call(SYS_getpid), getpid());
	selector = BLOCK;
	long result = call(MAGIC);
	CHECK_EQ(result, 4711);
	CHECK_EQ(caught, 1);
	CHECK_EQ(seen.si_signo, SIGSYS);
	CHECK_EQ(seen.si_code, SYS_USER_DISPATCH);
	CHECK_EQ(seen.si_errno, 0);
	CHECK_EQ(seen.si_syscall, MAGIC);
	CHECK_EQ(seen.si_arch, 0xc000003eu);
	CHECK_EQ((unsigned long)seen.si_call_addr, seen_rip);
	CHECK_EQ(seen_rax, MAGIC);
	/* One that exists, too. */
	selector = BLOCK;
	CHECK_EQ(call(SYS_getpid), 4711);
	CHECK_EQ(seen.si_syscall, SYS_getpid);
	CHECK_EQ(caught, 2);
	CHECK_OK(dispatch(OFF, 0, 0, NULL));
	selector = BLOCK;
	CHECK_EQ(call(SYS_getpid), getpid());
}

/* A call and a return, to be placed anywhere. */
static const unsigned char code[] = { 0x48, 0x89, 0xf8, 0x0f, 0x05, 0xc3 };

TEST(a_range_is_not_asked)
{
	catch();
	unsigned char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(page != MAP_FAILED);
	memcpy(page, code, sizeof code);
	long (*inside)(long) = (long (*)(long))page;
	long pid = getpid();
	CHECK_OK(dispatch(ON, (unsigned long)page, 4096, &selector));
	selector = BLOCK;
	long there = inside(SYS_getpid), here = call(SYS_getpid);
	CHECK_EQ(there, pid);
	CHECK_EQ(here, 4711);
	CHECK_EQ(caught, 1);
	/* It is the address behind the call that counts. */
	selector = ALLOW;
	CHECK_OK(dispatch(ON, (unsigned long)page, 5, &selector));
	selector = BLOCK;
	CHECK_EQ(inside(SYS_getpid), 4711);
	CHECK_OK(dispatch(ON, (unsigned long)page + 5, 1, &selector));
	selector = BLOCK;
	there = inside(SYS_getpid);
	selector = ALLOW;
	CHECK_EQ(there, pid);
}

static int end_of(void (*run)(void))
{
	pid_t pid = SPAWN(run());
	return kt_wait(pid);
}

static void bad_selector(void)
{
	catch();
	CHECK_OK(dispatch(ON, 0, 0, &selector));
	selector = 7;
	call(SYS_getpid);
}

static void no_selector_there(void)
{
	signal(SIGSEGV, SIG_IGN);
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(page != MAP_FAILED);
	CHECK_OK(munmap(page, 4096));
	dispatch(ON, 0, 0, page);
	call(SYS_getpid);
}

static void none_at_all(void)
{
	dispatch(ON, 0, 0, NULL);
	call(SYS_getpid);
}

TEST(what_cannot_be_asked_kills)
{
	CHECK_EQ(WTERMSIG(end_of(bad_selector)), SIGSYS);
	CHECK_EQ(WTERMSIG(end_of(no_selector_there)), SIGSEGV);
	CHECK_EQ(WTERMSIG(end_of(none_at_all)), SIGSYS);
}

static volatile int go, done;

static void *other(void *arg)
{
	while (!go)
		;
	selector = BLOCK;
	*(long *)arg = call(SYS_getpid);
	selector = ALLOW;
	done = 1;
	return NULL;
}

ROLE(asks)
{
	(void)argc;
	(void)argv;
	return call(SYS_getpid) != getpid();
}

TEST(children_and_programs_do_not_have_it)
{
	catch();
	selector = ALLOW;
	CHECK_OK(dispatch(ON, 0, 0, &selector));
	pid_t pid = CHECK_OK(fork());
	if (pid == 0) {
		selector = BLOCK;
		long is = call(SYS_getpid);
		CHECK_EQ(is, getpid());
		CHECK_EQ(caught, 0);
		_exit(0);
	}
	JOIN(pid);
	pthread_t thread;
	long is = 0;
	CHECK_EQ(pthread_create(&thread, NULL, other, &is), 0);
	/* No call here meanwhile. */
	go = 1;
	while (!done)
		;
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(is, getpid());
	CHECK_EQ(caught, 0);
	pid = SPAWN({
		CHECK_OK(dispatch(ON, 0, 0, &selector));
		execl("/proc/self/exe", "role:asks", NULL);
		_exit(120);
	});
	JOIN(pid);
}

TEST(it_goes_before_seccomp)
{
	catch();
	CHECK_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	CHECK_OK(dispatch(ON, 0, 0, &selector));
	pid_t pid = SPAWN({
		CHECK_OK(dispatch(ON, 0, 0, &selector));
		CHECK_OK(prctl(PR_SET_SECCOMP, 1, 0, 0, 0));
		selector = BLOCK;
		/* Strict mode would kill for it. */
		long result = call(SYS_getpid);
		syscall(SYS_exit, result == 4711 && caught == 1 ? 0 : 5);
	});
	JOIN(pid);
}
