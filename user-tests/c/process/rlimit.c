/* prlimit64(2), and that each limit is enforced. */
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#include "proc.h"
#include "sys.h"

static void limit(int resource, rlim_t soft, rlim_t hard)
{
	struct rlimit r = { soft, hard };
	int done = setrlimit(resource, &r);
	if (done < 0 && errno == EPERM && kt_native() && getuid() == 0)
		SKIP("root may not raise limits here");
	CHECK_OK(done);
}

TEST(every_resource_can_be_read)
{
	struct rlimit r;
	for (int i = 0; i < 16; i++) {
		CHECK_OK(getrlimit(i, &r));
		CHECK(r.rlim_cur <= r.rlim_max);
	}
	CHECK_ERR(syscall(SYS_prlimit64, 0, 16, NULL, &r), EINVAL);
	CHECK_ERR(syscall(SYS_prlimit64, 0, -1, NULL, &r), EINVAL);
	CHECK_ERR(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, BAD_PTR, NULL), EFAULT);
	CHECK_ERR(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, BAD_PTR), EFAULT);
	CHECK_OK(syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, NULL, NULL));
	CHECK_ERR(syscall(SYS_prlimit64, 0x3fffffff, RLIMIT_NOFILE, NULL, &r), ESRCH);
}

TEST(soft_may_not_exceed_hard)
{
	struct rlimit r = { 200, 100 };
	CHECK_ERR(setrlimit(RLIMIT_NOFILE, &r), EINVAL);
	limit(RLIMIT_NOFILE, 100, 100);
	JOIN(SPAWN({
		struct rlimit up = { 100, 200 };
		CHECK_OK(setuid(65534));
		CHECK_ERR(setrlimit(RLIMIT_NOFILE, &up), EPERM);
		limit(RLIMIT_NOFILE, 50, 100);
		limit(RLIMIT_NOFILE, 100, 100);
	}));
	limit(RLIMIT_NOFILE, 200, 200);
}

TEST(inherited_and_set_for_others)
{
	struct rlimit r = { 77, 99 }, old;
	limit(RLIMIT_CORE, 5, 6);
	pid_t child = SPAWN({
		struct rlimit mine;
		CHECK_OK(getrlimit(RLIMIT_CORE, &mine));
		CHECK_EQ(mine.rlim_cur, 5);
		CHECK_EQ(mine.rlim_max, 6);
		WAIT_FOR(getrlimit(RLIMIT_NOFILE, &mine) == 0 && mine.rlim_cur == 77);
	});
	CHECK_OK(prlimit(child, RLIMIT_NOFILE, &r, &old));
	CHECK_OK(prlimit(child, RLIMIT_NOFILE, NULL, &old));
	CHECK_EQ(old.rlim_max, 99);
	JOIN(child);
	pid_t me = getpid();
	JOIN(SPAWN({
		CHECK_OK(setuid(65534));
		CHECK_ERR(prlimit(me, RLIMIT_NOFILE, NULL, &old), EPERM);
	}));
}

TEST(nofile)
{
	struct rlimit r = { 1 << 30, 1 << 30 };
	CHECK_ERR(setrlimit(RLIMIT_NOFILE, &(struct rlimit){ RLIM_INFINITY, RLIM_INFINITY }), EPERM);
	CHECK(setrlimit(RLIMIT_NOFILE, &r) == 0 || errno == EPERM);
	limit(RLIMIT_NOFILE, 16, 4096);
	int fd, last = -1, end[2];
	while ((fd = open("/dev/null", O_RDONLY)) >= 0)
		last = fd;
	CHECK_EQ(errno, EMFILE);
	CHECK_EQ(last, 15);
	CHECK_ERR(dup(0), EMFILE);
	CHECK_ERR(pipe(end), EMFILE);
	CHECK_ERR(dup2(0, 16), EBADF);
	CHECK_ERR(fcntl(0, F_DUPFD, 16), EINVAL);
	CHECK_ERR(fcntl(0, F_DUPFD, 10), EMFILE);
	CHECK_EQ(dup2(0, 15), 15);
	CHECK_OK(close(14));
	CHECK_ERR(pipe(end), EMFILE);
	CHECK_EQ(dup(0), 14);
	limit(RLIMIT_NOFILE, 8, 4096);
	CHECK_OK(fcntl(15, F_GETFD));
}

TEST(fsize)
{
	static char block[4096];
	limit(RLIMIT_FSIZE, 6000, 6000);
	signal(SIGXFSZ, SIG_IGN);
	int fd = CHECK_OK(open("f", O_CREAT | O_RDWR, 0600));
	CHECK_EQ(write(fd, block, 4096), 4096);
	CHECK_EQ(write(fd, block, 4096), 6000 - 4096);
	CHECK_ERR(write(fd, block, 1), EFBIG);
	CHECK_ERR(pwrite(fd, block, 1, 7000), EFBIG);
	CHECK_ERR(ftruncate(fd, 6001), EFBIG);
	CHECK_OK(ftruncate(fd, 6000));
	CHECK_EQ(write(fd, block, 0), 0);
	CHECK_EQ(kt_wait(SPAWN({
		signal(SIGXFSZ, SIG_DFL);
		CHECK_EQ(write(fd, block, 1), 1);
	})) & 0x7f, SIGXFSZ);
}

TEST(address_space)
{
	JOIN(SPAWN({
		limit(RLIMIT_AS, 64 << 20, 64 << 20);
		CHECK_ERR(mmap(NULL, 100 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM);
		void *p = mmap(NULL, 1 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(p != MAP_FAILED);
		CHECK_ERR(mremap(p, 1 << 20, 100 << 20, MREMAP_MAYMOVE), ENOMEM);
	}));
}

TEST(data)
{
	JOIN(SPAWN({
		limit(RLIMIT_DATA, 8 << 20, 8 << 20);
		char *now = (char *)syscall(SYS_brk, 0);
		CHECK(syscall(SYS_brk, now + (16 << 20)) == (long)now);
		CHECK_ERR(mmap(NULL, 16 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			       -1, 0), ENOMEM);
		CHECK(mmap(NULL, 16 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
	}));
}

static int deep(int n)
{
	volatile char frame[4096];
	frame[0] = n;
	return n == 0 ? frame[0] : deep(n - 1) + frame[0];
}

TEST(stack)
{
	limit(RLIMIT_STACK, 1 << 20, 1 << 20);
	/* The new limit counts for a stack that still grows. */
	JOIN(SPAWN(deep(100)));
	CHECK_EQ(kt_wait(SPAWN(deep(400))) & 0x7f, SIGSEGV);
}

TEST(nproc)
{
	pid_t child = SPAWN({
		limit(RLIMIT_NPROC, 3, 3);
		CHECK_OK(setuid(54321));
		pid_t a = SPAWN(pause());
		pid_t b = SPAWN(pause());
		CHECK_ERR(fork(), EAGAIN);
		kill(a, SIGKILL);
		kt_wait(a);
		JOIN(SPAWN(_exit(0)));
		kill(b, SIGKILL);
	});
	JOIN(child);
	JOIN(SPAWN({
		/* Not for the privileged. */
		limit(RLIMIT_NPROC, 0, 0);
		JOIN(SPAWN(_exit(0)));
	}));
}

ROLE(nothing) { return 0; }

static int exec_nothing(void)
{
	return execv("/proc/self/exe", (char *[]){ "role:nothing", NULL });
}

/* setuid(2) to a user who has too many processes makes a later execve(2) fail, and that alone. */
TEST(nproc_of_the_user_set)
{
	enum { USER = 54322 };
	pid_t one = SPAWN({
		limit(RLIMIT_NPROC, 1, 1);
		CHECK_OK(setuid(USER));
		pause();
	});
	WAIT_FOR(kt_state(one) == 'S');
	/* The process that is one too many is not who notices. */
	JOIN(SPAWN({
		limit(RLIMIT_NPROC, 1, 1);
		CHECK_OK(setuid(USER));
		CHECK_ERR(fork(), EAGAIN);
		exec_nothing();
	}));
	JOIN(SPAWN({
		limit(RLIMIT_NPROC, 1, 1);
		CHECK_OK(setuid(USER));
		CHECK_OK(unshare(CLONE_NEWUSER));
		exec_nothing();
	}));
	pid_t two = SPAWN({
		CHECK_OK(setuid(USER));
		pause();
	});
	WAIT_FOR(kt_state(two) == 'S');
	JOIN(SPAWN({
		limit(RLIMIT_NPROC, 1, 1);
		CHECK_OK(setuid(USER));
		CHECK_ERR(exec_nothing(), EAGAIN);
		CHECK_ERR(exec_nothing(), EAGAIN);
	}));
	JOIN(SPAWN({
		limit(RLIMIT_NPROC, 1, 1);
		CHECK_OK(setreuid(USER, 0));
		CHECK_OK(setreuid(0, 0));
		CHECK_OK(exec_nothing());
	}));
	kill(one, SIGKILL);
	kill(two, SIGKILL);
	kt_wait(one);
	kt_wait(two);
}

TEST(memlock)
{
	JOIN(SPAWN({
		limit(RLIMIT_MEMLOCK, 16384, 16384);
		void *p = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK_OK(mlock(p, 65536));
		CHECK_OK(munlock(p, 65536));
		CHECK_OK(setuid(65534));
		CHECK_OK(mlock(p, 16384));
		CHECK_ERR(mlock(p, 65536), ENOMEM);
		CHECK_ERR(mlockall(MCL_CURRENT), ENOMEM);
		CHECK_ERR(mmap(NULL, 32768, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0),
			  EAGAIN);
		CHECK_OK(munlockall());
		limit(RLIMIT_MEMLOCK, 0, 0);
		CHECK_ERR(mlock(p, 1), EPERM);
	}));
}

static volatile int xcpu;

static void on_xcpu(int sig)
{
	(void)sig;
	xcpu++;
}

TEST(cpu)
{
	pid_t child = SPAWN({
		limit(RLIMIT_CPU, 1, 3);
		signal(SIGXCPU, on_xcpu);
		while (xcpu == 0)
			;
		for (;;)
			;
	});
	struct rusage usage;
	int status;
	CHECK_EQ(wait4(child, &status, 0, &usage), child);
	CHECK_EQ(status & 0x7f, SIGKILL);
	long ms = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
		  (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
	CHECK(ms > 1000 && ms < 15000);
}

static void be_real_time(void)
{
	struct sched_param param = { .sched_priority = 10 };
	CHECK_OK(syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &param));
}

static void work(long ms)
{
	struct timespec now, end;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
	end.tv_sec += (end.tv_nsec + ms * 1000000) / 1000000000;
	end.tv_nsec = (end.tv_nsec + ms * 1000000) % 1000000000;
	do
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	while (now.tv_sec < end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec));
}

TEST(time_that_a_real_time_task_takes_without_a_sleep)
{
	pid_t child = SPAWN({
		struct rlimit now;
		be_real_time();
		signal(SIGXCPU, on_xcpu);
		limit(RLIMIT_RTTIME, 100000, 400000);
		work(60);
		CHECK_EQ(xcpu, 0);
		sched_yield();
		/* Linux counts ticks, and a machine that stands still has one for all that it missed. */
		for (int i = 0; i < 10 && xcpu == 0; i++)
			work(50);
		CHECK_EQ(xcpu, 1);
		CHECK_OK(getrlimit(RLIMIT_RTTIME, &now));
		CHECK_EQ(now.rlim_cur, 1100000);
		for (;;)
			;
	});
	struct rusage usage;
	int status;
	CHECK_EQ(wait4(child, &status, 0, &usage), child);
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	long ms = usage.ru_utime.tv_sec * 1000 + usage.ru_utime.tv_usec / 1000 + usage.ru_stime.tv_sec * 1000 +
		  usage.ru_stime.tv_usec / 1000;
	CHECK(ms >= 380 && ms < 4000);
}

TEST(a_real_time_task_that_sleeps_begins_again)
{
	JOIN(SPAWN({
		be_real_time();
		limit(RLIMIT_RTTIME, 100000, 200000);
		for (int i = 0; i < 6; i++) {
			work(50);
			kt_sleep_ms(1);
		}
	}));
	JOIN(SPAWN({
		/* It is nothing to others. */
		limit(RLIMIT_RTTIME, 10000, 20000);
		work(100);
	}));
}

TEST(sigpending)
{
	JOIN(SPAWN({
		sigset_t set;
		sigfillset(&set);
		sigprocmask(SIG_BLOCK, &set, NULL);
		CHECK_OK(setuid(54322));
		limit(RLIMIT_SIGPENDING, 4, 4);
		int sent = 0;
		while (sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = sent }) == 0)
			CHECK(++sent < 100);
		CHECK_EQ(errno, EAGAIN);
		CHECK_EQ(sent, 4);
		/* kill(2) still delivers, if without details. */
		CHECK_OK(kill(getpid(), SIGUSR1));
		sigpending(&set);
		CHECK(sigismember(&set, SIGUSR1));
	}));
}

TEST(nice)
{
	JOIN(SPAWN({
		limit(RLIMIT_NICE, 25, 25); /* down to nice -5 */
		CHECK_OK(setuid(65534));
		CHECK_OK(setpriority(PRIO_PROCESS, 0, -5));
		CHECK_ERR(setpriority(PRIO_PROCESS, 0, -6), EACCES);
	}));
}

TEST(rtprio)
{
	JOIN(SPAWN({
		struct sched_param p = { 5 };
		limit(RLIMIT_RTPRIO, 5, 5);
		CHECK_OK(setuid(65534));
		CHECK_OK(syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &p));
		p.sched_priority = 6;
		CHECK_ERR(syscall(SYS_sched_setparam, 0, &p), EPERM);
		p.sched_priority = 0;
		CHECK_OK(syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, &p));
	}));
}

TEST(shown_in_proc)
{
	char text[4096];
	limit(RLIMIT_CORE, 123, 456);
	CHECK(kt_read_file("/proc/self/limits", text, sizeof text) > 0);
	char *line = strstr(text, "Max core file size");
	long soft, hard;
	CHECK(line && sscanf(line, "Max core file size %ld %ld bytes", &soft, &hard) == 2);
	CHECK_EQ(soft, 123);
	CHECK_EQ(hard, 456);
}
