/* timer_create(2) and its relatives. */
#include <pthread.h>

#include "proc.h"
#include "sys.h"

#ifndef SIGEV_THREAD_ID
#define SIGEV_THREAD_ID 4
#endif

static volatile int count;
static siginfo_t seen;

static void on_info(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	seen = *info;
	count++;
}

static void handle(int sig)
{
	struct sigaction act = { .sa_sigaction = on_info, .sa_flags = SA_SIGINFO | SA_RESTART };
	CHECK_OK(sigaction(sig, &act, NULL));
}

static int create(clockid_t clock, int notify, int sig, int *id)
{
	struct sigevent ev = { .sigev_notify = notify, .sigev_signo = sig,
			       .sigev_value.sival_int = 99 };
	return syscall(SYS_timer_create, clock, &ev, id);
}

static int set(int id, int flags, long first_ms, long every_ms)
{
	struct itimerspec t = { .it_value = { first_ms / 1000, first_ms % 1000 * 1000000 },
				.it_interval = { every_ms / 1000, every_ms % 1000 * 1000000 } };
	return syscall(SYS_timer_settime, id, flags, &t, NULL);
}

TEST(sends_its_signal_and_value)
{
	int id;
	handle(SIGRTMIN);
	CHECK_OK(create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, &id));
	CHECK_OK(set(id, 0, 30, 0));
	WAIT_FOR(count == 1);
	CHECK_EQ(seen.si_code, SI_TIMER);
	CHECK_EQ(seen.si_value.sival_int, 99);
	CHECK_EQ(seen.si_timerid, id);
	CHECK_EQ(seen.si_overrun, 0);
	CHECK_OK(syscall(SYS_timer_delete, id));
	CHECK_ERR(syscall(SYS_timer_delete, id), EINVAL);
}

TEST(without_an_event_it_is_sigalrm_with_its_id)
{
	int id;
	handle(SIGALRM);
	CHECK_OK(syscall(SYS_timer_create, CLOCK_REALTIME, NULL, &id));
	CHECK_OK(set(id, 0, 10, 0));
	WAIT_FOR(count == 1);
	CHECK_EQ(seen.si_value.sival_int, id);
}

TEST(periodic_with_overrun)
{
	int id;
	sigset_t block;
	handle(SIGUSR1);
	CHECK_OK(create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, &id));
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	sigprocmask(SIG_BLOCK, &block, NULL);
	CHECK_OK(set(id, 0, 10, 10));
	kt_sleep_ms(200);
	sigprocmask(SIG_UNBLOCK, &block, NULL);
	CHECK(count >= 1);
	CHECK(syscall(SYS_timer_getoverrun, id) >= 0);
	WAIT_FOR(count >= 4);
	CHECK_OK(syscall(SYS_timer_delete, id));
}

TEST(overruns_are_counted)
{
	int id;
	sigset_t block;
	siginfo_t info;
	CHECK_OK(create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, &id));
	sigemptyset(&block);
	sigaddset(&block, SIGRTMIN);
	sigprocmask(SIG_BLOCK, &block, NULL);
	CHECK_OK(set(id, 0, 10, 10));
	kt_sleep_ms(205);
	CHECK_EQ(sigwaitinfo(&block, &info), SIGRTMIN);
	CHECK(info.si_overrun >= 15);
	CHECK_EQ(syscall(SYS_timer_getoverrun, id), info.si_overrun);
}

TEST(reading_the_rest)
{
	int id;
	struct itimerspec now, old, t = { .it_value = { 100, 0 }, .it_interval = { 7, 5 } };
	CHECK_OK(create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGUSR1, &id));
	CHECK_OK(syscall(SYS_timer_gettime, id, &now));
	CHECK_EQ(now.it_value.tv_sec + now.it_value.tv_nsec, 0);
	CHECK_OK(syscall(SYS_timer_settime, id, 0, &t, &old));
	CHECK_EQ(old.it_value.tv_sec, 0);
	CHECK_OK(syscall(SYS_timer_gettime, id, &now));
	CHECK(now.it_value.tv_sec >= 90 && now.it_value.tv_sec <= 100);
	CHECK(now.it_interval.tv_sec == 7 && now.it_interval.tv_nsec == 5);
	CHECK_OK(set(id, 0, 0, 0));
	CHECK_OK(syscall(SYS_timer_gettime, id, &now));
	CHECK_EQ(now.it_value.tv_sec + now.it_value.tv_nsec, 0);
}

TEST(absolute_times)
{
	int id;
	struct timespec now;
	handle(SIGUSR1);
	CHECK_OK(create(CLOCK_REALTIME, SIGEV_SIGNAL, SIGUSR1, &id));
	clock_gettime(CLOCK_REALTIME, &now);
	CHECK_OK(set(id, TIMER_ABSTIME, now.tv_sec * 1000 + now.tv_nsec / 1000000 + 50, 0));
	WAIT_FOR(count == 1);
	/* The past fires at once. */
	CHECK_OK(set(id, TIMER_ABSTIME, 1000, 0));
	WAIT_FOR(count == 2);
}

TEST(cpu_time_clocks)
{
	int id;
	handle(SIGUSR1);
	CHECK_OK(create(CLOCK_PROCESS_CPUTIME_ID, SIGEV_SIGNAL, SIGUSR1, &id));
	CHECK_OK(set(id, 0, 30, 0));
	kt_sleep_ms(100);
	CHECK_EQ(count, 0);
	long long end = kt_now_ms() + 20000;
	while (count == 0)
		CHECK(kt_now_ms() < end);
}

static volatile pid_t handled_by;

static void on_thread(int sig)
{
	(void)sig;
	handled_by = sys_gettid();
}

static void *thread(void *arg)
{
	*(volatile pid_t *)arg = sys_gettid();
	for (;;)
		pause();
	return NULL;
}

TEST(to_one_thread)
{
	pthread_t other;
	volatile pid_t tid = 0;
	int id;
	signal(SIGUSR1, on_thread);
	CHECK_EQ(pthread_create(&other, NULL, thread, (void *)&tid), 0);
	WAIT_FOR(tid != 0);
	struct {
		union sigval value;
		int signo, notify, tid, pad[11];
	} ev = { .signo = SIGUSR1, .notify = SIGEV_THREAD_ID, .tid = tid };
	CHECK_OK(syscall(SYS_timer_create, CLOCK_MONOTONIC, &ev, &id));
	CHECK_OK(set(id, 0, 20, 0));
	WAIT_FOR(handled_by == tid);
	ev.tid = getppid();
	CHECK_ERR(syscall(SYS_timer_create, CLOCK_MONOTONIC, &ev, &id), EINVAL);
}

TEST(neither_forked_nor_kept_over_exec)
{
	int id;
	CHECK_OK(create(CLOCK_MONOTONIC, SIGEV_NONE, 0, &id));
	JOIN(SPAWN({
		struct itimerspec now;
		CHECK_ERR(syscall(SYS_timer_gettime, id, &now), EINVAL);
	}));
	char number[16];
	snprintf(number, sizeof number, "%d", id);
	JOIN(SPAWN({
		int other;
		CHECK_OK(create(CLOCK_MONOTONIC, SIGEV_NONE, 0, &other));
		snprintf(number, sizeof number, "%d", other);
		execl("/proc/self/exe", "role:no_timer", number, NULL);
		_exit(120);
	}));
}

ROLE(no_timer)
{
	CHECK_ERR(syscall(SYS_timer_delete, atoi(argv[1])), EINVAL);
	return 0;
}

TEST(a_hundred_of_them)
{
	int id[100];
	handle(SIGRTMIN);
	for (int i = 0; i < 100; i++)
		CHECK_OK(create(CLOCK_MONOTONIC, SIGEV_SIGNAL, SIGRTMIN, &id[i]));
	for (int i = 0; i < 100; i++)
		CHECK_OK(set(id[i], 0, 10 + i % 10, 0));
	WAIT_FOR(count == 100);
	for (int i = 0; i < 100; i++)
		CHECK_OK(syscall(SYS_timer_delete, id[i]));
}

TEST(wrong_arguments)
{
	int id;
	struct itimerspec t = { .it_value = { 0, 1000000000 } };
	CHECK_ERR(create(77, SIGEV_SIGNAL, SIGUSR1, &id), EINVAL);
	CHECK_ERR(create(CLOCK_MONOTONIC, SIGEV_SIGNAL, 65, &id), EINVAL);
	CHECK_ERR(create(CLOCK_MONOTONIC, SIGEV_SIGNAL, 0, &id), EINVAL);
	CHECK_ERR(create(CLOCK_MONOTONIC, 77, SIGUSR1, &id), EINVAL);
	CHECK_ERR(create(CLOCK_MONOTONIC, SIGEV_NONE, 0, BAD_PTR), EFAULT);
	CHECK_OK(create(CLOCK_MONOTONIC, SIGEV_NONE, 0, &id));
	CHECK_ERR(syscall(SYS_timer_settime, id, 0, &t, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_timer_settime, id, 0, NULL, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_timer_settime, id, 0, BAD_PTR, NULL), EFAULT);
	CHECK_ERR(syscall(SYS_timer_settime, 9999, 0, &(struct itimerspec){ 0 }, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_timer_gettime, id, BAD_PTR), EFAULT);
	CHECK_ERR(syscall(SYS_timer_getoverrun, 9999), EINVAL);
}
