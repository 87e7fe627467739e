/* clock_gettime(2), clock_getres(2), and refused settings. */
#include <pthread.h>
#include <sys/time.h>
#include <sys/timex.h>

#include "proc.h"

static long long ns(clockid_t clock)
{
	struct timespec t;
	CHECK_OK(syscall(SYS_clock_gettime, clock, &t));
	CHECK(t.tv_nsec >= 0 && t.tv_nsec < 1000000000);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

TEST(never_go_back)
{
	static const clockid_t clocks[] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW,
					    CLOCK_BOOTTIME, CLOCK_REALTIME_COARSE,
					    CLOCK_MONOTONIC_COARSE, CLOCK_TAI,
					    CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID };
	for (unsigned i = 0; i < sizeof clocks / sizeof *clocks; i++) {
		long long before = ns(clocks[i]);
		for (int n = 0; n < 1000; n++) {
			long long now = ns(clocks[i]);
			CHECK(now >= before);
			before = now;
		}
	}
}

static void *watch(void *arg)
{
	long long *shared = arg;
	for (int n = 0; n < 20000; n++) {
		struct timespec t;
		long long seen = __atomic_load_n(shared, __ATOMIC_SEQ_CST);
		clock_gettime(CLOCK_MONOTONIC, &t);
		long long now = t.tv_sec * 1000000000LL + t.tv_nsec;
		CHECK(now >= seen);
		__atomic_store_n(shared, now, __ATOMIC_SEQ_CST);
	}
	return NULL;
}

TEST(all_cpus_agree)
{
	pthread_t thread[4];
	long long shared = 0;
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&thread[i], NULL, watch, &shared), 0);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_join(thread[i], NULL), 0);
}

TEST(sleep_advances_them)
{
	long long mono = ns(CLOCK_MONOTONIC), real = ns(CLOCK_REALTIME), boot = ns(CLOCK_BOOTTIME);
	long long cpu = ns(CLOCK_PROCESS_CPUTIME_ID);
	kt_sleep_ms(200);
	CHECK(ns(CLOCK_MONOTONIC) - mono >= 200000000);
	CHECK(ns(CLOCK_REALTIME) - real >= 190000000);
	CHECK(ns(CLOCK_BOOTTIME) - boot >= 200000000);
	CHECK(ns(CLOCK_PROCESS_CPUTIME_ID) - cpu < 180000000);
}

TEST(cpu_clocks_advance_with_work)
{
	long long process = ns(CLOCK_PROCESS_CPUTIME_ID), thread = ns(CLOCK_THREAD_CPUTIME_ID);
	while (ns(CLOCK_THREAD_CPUTIME_ID) - thread < 50000000)
		;
	CHECK(ns(CLOCK_PROCESS_CPUTIME_ID) - process >= 50000000);
}

TEST(the_cpu_clock_of_another_process)
{
	clockid_t clock;
	pid_t child = SPAWN(for (;;) syscall(SYS_getpid));
	CHECK_EQ(clock_getcpuclockid(child, &clock), 0);
	WAIT_FOR(ns(clock) > 30000000);
	kill(child, SIGKILL);
	kt_wait(child);
	struct timespec t;
	CHECK_ERR(syscall(SYS_clock_gettime, clock, &t), EINVAL);
}

TEST(after_1970_and_since_boot)
{
	struct timespec t;
	CHECK_OK(clock_gettime(CLOCK_REALTIME, &t));
	CHECK(t.tv_sec > 1600000000);
	CHECK_OK(clock_gettime(CLOCK_MONOTONIC, &t));
	CHECK(t.tv_sec < 1600000000);
	char text[64];
	CHECK(kt_read_file("/proc/uptime", text, sizeof text) > 0);
	double up = atof(text), boot = ns(CLOCK_BOOTTIME) / 1e9;
	CHECK(boot - up > -0.02 && boot - up < 5);
	CHECK_EQ(time(NULL) - (long)(ns(CLOCK_REALTIME) / 1000000000) <= 1, 1);
}

TEST(resolution)
{
	struct timespec t;
	CHECK_OK(clock_getres(CLOCK_MONOTONIC, &t));
	CHECK(t.tv_sec == 0 && t.tv_nsec == 1);
	CHECK_OK(clock_getres(CLOCK_REALTIME, &t));
	CHECK(t.tv_sec == 0 && t.tv_nsec == 1);
	CHECK_OK(clock_getres(CLOCK_REALTIME_COARSE, &t));
	CHECK(t.tv_sec == 0 && t.tv_nsec >= 1000000 && t.tv_nsec <= 10000000);
	CHECK_OK(clock_getres(CLOCK_PROCESS_CPUTIME_ID, &t));
	CHECK_OK(clock_getres(CLOCK_MONOTONIC, NULL));
	CHECK_ERR(clock_getres(77, &t), EINVAL);
	CHECK_ERR(syscall(SYS_clock_getres, CLOCK_MONOTONIC, BAD_PTR), EFAULT);
}

TEST(wrong_clocks)
{
	struct timespec t = { 0 };
	CHECK_ERR(syscall(SYS_clock_gettime, 77, &t), EINVAL);
	CHECK_ERR(syscall(SYS_clock_gettime, CLOCK_MONOTONIC, BAD_PTR), EFAULT);
	CHECK_ERR(syscall(SYS_clock_settime, CLOCK_MONOTONIC, &t), EINVAL);
	CHECK_ERR(syscall(SYS_clock_settime, 77, &t), EINVAL);
	CHECK_ERR(syscall(SYS_clock_settime, CLOCK_REALTIME, BAD_PTR), EFAULT);
	CHECK_ERR(syscall(SYS_gettimeofday, BAD_PTR, NULL), EFAULT);
	CHECK_ERR(syscall(SYS_time, BAD_PTR), EFAULT);
	CHECK_OK(syscall(SYS_gettimeofday, NULL, NULL));
}

TEST(setting_needs_privilege)
{
	JOIN(SPAWN({
		struct timespec t;
		struct timeval tv;
		CHECK_OK(clock_gettime(CLOCK_REALTIME, &t));
		CHECK_OK(gettimeofday(&tv, NULL));
		CHECK_OK(setuid(65534));
		CHECK_ERR(clock_settime(CLOCK_REALTIME, &t), EPERM);
		CHECK_ERR(settimeofday(&tv, NULL), EPERM);
		struct timex tx = { .modes = ADJ_FREQUENCY };
		CHECK_ERR(adjtimex(&tx), EPERM);
	}));
}

TEST(adjtimex_reads)
{
	struct timex tx = { 0 };
	int state = CHECK_OK(adjtimex(&tx));
	CHECK(state >= 0 && state <= 5);
	CHECK(tx.tick >= 9000 && tx.tick <= 11000);
	CHECK(tx.time.tv_sec > 1600000000);
	memset(&tx, 0, sizeof tx);
	CHECK(CHECK_OK(clock_adjtime(CLOCK_REALTIME, &tx)) >= 0);
	CHECK_ERR(syscall(SYS_adjtimex, BAD_PTR), EFAULT);
}
