/* nanosleep(2) and clock_nanosleep(2). */
#include "proc.h"

static int sleep_on(clockid_t clock, int flags, struct timespec t)
{
	return syscall(SYS_clock_nanosleep, clock, flags, &t, NULL);
}

TEST(no_less_than_asked)
{
	for (int ms = 0; ms <= 100; ms += 25) {
		long long start = kt_now_ms();
		CHECK_OK(nanosleep(&(struct timespec){ 0, ms * 1000000 }, NULL));
		CHECK(kt_now_ms() - start >= ms);
	}
}

TEST(each_clock)
{
	static const clockid_t clocks[] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME, CLOCK_TAI };
	for (int i = 0; i < 4; i++) {
		long long start = kt_now_ms();
		CHECK_OK(sleep_on(clocks[i], 0, (struct timespec){ 0, 20000000 }));
		CHECK(kt_now_ms() - start >= 20);
		struct timespec t;
		clock_gettime(clocks[i], &t);
		t.tv_nsec += 30000000;
		t.tv_sec += t.tv_nsec / 1000000000;
		t.tv_nsec %= 1000000000;
		start = kt_now_ms();
		CHECK_OK(sleep_on(clocks[i], TIMER_ABSTIME, t));
		CHECK(kt_now_ms() - start >= 25);
	}
}

TEST(the_past_is_over)
{
	long long start = kt_now_ms();
	CHECK_OK(sleep_on(CLOCK_MONOTONIC, TIMER_ABSTIME, (struct timespec){ 0, 1 }));
	CHECK_OK(sleep_on(CLOCK_REALTIME, TIMER_ABSTIME, (struct timespec){ 1000, 0 }));
	CHECK(kt_now_ms() - start < 15000);
}

TEST(on_cpu_time)
{
	struct timespec before, after;
	clock_gettime(CLOCK_MONOTONIC, &before);
	pid_t child = SPAWN({
		/* Nobody works in this process: it would sleep forever. */
		CHECK_OK(sleep_on(CLOCK_PROCESS_CPUTIME_ID, 0, (struct timespec){ 0, 1000 * 1000 * 1000 - 1 }));
	});
	kt_sleep_ms(50);
	CHECK_EQ(waitpid(child, NULL, WNOHANG), 0);
	kill(child, SIGKILL);
	kt_wait(child);
	clock_gettime(CLOCK_MONOTONIC, &after);
	CHECK(after.tv_sec >= before.tv_sec);
}

TEST(wrong_arguments)
{
	struct timespec t = { 0 };
	CHECK_ERR(nanosleep(&(struct timespec){ 0, 1000000000 }, NULL), EINVAL);
	CHECK_ERR(nanosleep(&(struct timespec){ 0, -1 }, NULL), EINVAL);
	CHECK_ERR(nanosleep(&(struct timespec){ -1, 0 }, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_nanosleep, BAD_PTR, NULL), EFAULT);
	CHECK_ERR(sleep_on(77, 0, t), EINVAL);
	CHECK_ERR(sleep_on(CLOCK_MONOTONIC_RAW, 0, t), EOPNOTSUPP);
	CHECK_ERR(sleep_on(CLOCK_REALTIME_COARSE, 0, t), EOPNOTSUPP);
	CHECK_ERR(sleep_on(CLOCK_THREAD_CPUTIME_ID, 0, t), EOPNOTSUPP);
	CHECK_ERR(syscall(SYS_clock_nanosleep, CLOCK_MONOTONIC, 0, BAD_PTR, NULL), EFAULT);
}

TEST(many_sleepers_wake_in_time)
{
	enum { N = 40 };
	long long start = kt_now_ms();
	for (int i = 0; i < N; i++)
		SPAWN({
			int ms = (i * 37) % 200;
			long long begin = kt_now_ms();
			kt_sleep_ms(ms);
			CHECK(kt_now_ms() - begin >= ms);
		});
	for (int i = 0; i < N; i++) {
		int status;
		CHECK(wait(&status) > 0);
		CHECK_EQ(status, 0);
	}
	CHECK(kt_now_ms() - start < 20000);
}

TEST(a_huge_sleep_is_a_sleep)
{
	pid_t child = SPAWN(nanosleep(&(struct timespec){ 0x7fffffffffffffff, 999999999 }, NULL));
	kt_sleep_ms(50);
	CHECK_EQ(waitpid(child, NULL, WNOHANG), 0);
	kill(child, SIGKILL);
	CHECK_EQ(kt_wait(child), SIGKILL);
}
