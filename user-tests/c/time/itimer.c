/* setitimer(2), getitimer(2), alarm(2). */
#include <sys/time.h>

#include "proc.h"

static volatile int count;

static void tick(int sig)
{
	(void)sig;
	count++;
}

static void handle(int sig)
{
	struct sigaction act = { .sa_handler = tick, .sa_flags = SA_RESTART };
	CHECK_OK(sigaction(sig, &act, NULL));
}

static void set(int which, long first_ms, long every_ms)
{
	struct itimerval t = { .it_value = { first_ms / 1000, first_ms % 1000 * 1000 },
			       .it_interval = { every_ms / 1000, every_ms % 1000 * 1000 } };
	CHECK_OK(setitimer(which, &t, NULL));
}

TEST(alarm_counts_seconds)
{
	handle(SIGALRM);
	CHECK_EQ(alarm(10), 0);
	CHECK_EQ(alarm(1), 10);
	long long start = kt_now_ms();
	while (count == 0)
		pause();
	CHECK(kt_now_ms() - start >= 990);
	CHECK_EQ(alarm(0), 0);
}

TEST(alarm_kills_by_default)
{
	CHECK_EQ(kt_wait(SPAWN(set(ITIMER_REAL, 10, 0); pause())), SIGALRM);
}

TEST(one_shot)
{
	handle(SIGALRM);
	set(ITIMER_REAL, 30, 0);
	WAIT_FOR(count == 1);
	kt_sleep_ms(60);
	CHECK_EQ(count, 1);
	struct itimerval now;
	CHECK_OK(getitimer(ITIMER_REAL, &now));
	CHECK_EQ(now.it_value.tv_sec + now.it_value.tv_usec, 0);
}

TEST(periodic)
{
	handle(SIGALRM);
	set(ITIMER_REAL, 10, 20);
	WAIT_FOR(count >= 4);
	struct itimerval old, off = { 0 };
	CHECK_OK(setitimer(ITIMER_REAL, &off, &old));
	CHECK_EQ(old.it_interval.tv_usec, 20000);
	int now = count;
	kt_sleep_ms(60);
	CHECK(count - now <= 1);
}

TEST(shares_with_alarm)
{
	struct itimerval now;
	set(ITIMER_REAL, 5500, 0);
	CHECK(alarm(20) >= 5);
	CHECK_OK(getitimer(ITIMER_REAL, &now));
	CHECK(now.it_value.tv_sec >= 15 && now.it_value.tv_sec <= 20);
	CHECK(alarm(0) > 0);
}

/* Works in user mode, where a clock that has to be asked in the kernel would hardly let it be. */
static void work_until(int times)
{
	long long end = kt_now_ms() + 20000;
	while (count < times) {
		for (volatile int i = 0; i < 1000000 && count < times; i++)
			;
		CHECK(kt_now_ms() < end);
	}
}

TEST(virtual_and_prof_count_cpu_time)
{
	handle(SIGVTALRM);
	set(ITIMER_VIRTUAL, 30, 0);
	kt_sleep_ms(100);
	CHECK_EQ(count, 0);
	work_until(1);
	count = 0;
	handle(SIGPROF);
	set(ITIMER_PROF, 30, 30);
	work_until(2);
}

TEST(kept_over_exec_but_not_fork)
{
	set(ITIMER_REAL, 50000, 0);
	JOIN(SPAWN({
		struct itimerval now;
		CHECK_OK(getitimer(ITIMER_REAL, &now));
		CHECK_EQ(now.it_value.tv_sec, 0);
	}));
	JOIN(SPAWN({
		set(ITIMER_REAL, 50000, 0);
		execl("/proc/self/exe", "role:has_timer", NULL);
		_exit(120);
	}));
}

ROLE(has_timer)
{
	struct itimerval now;
	CHECK_OK(getitimer(ITIMER_REAL, &now));
	CHECK(now.it_value.tv_sec > 10);
	return 0;
}

TEST(wrong_arguments)
{
	struct itimerval t = { 0 };
	CHECK_ERR(getitimer(3, &t), EINVAL);
	CHECK_ERR(setitimer(-1, &t, NULL), EINVAL);
	t.it_value.tv_usec = 1000000;
	CHECK_ERR(setitimer(ITIMER_REAL, &t, NULL), EINVAL);
	t.it_value.tv_usec = -1;
	CHECK_ERR(setitimer(ITIMER_REAL, &t, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_setitimer, ITIMER_REAL, BAD_PTR, NULL), EFAULT);
	CHECK_ERR(syscall(SYS_getitimer, ITIMER_REAL, BAD_PTR), EFAULT);
}
