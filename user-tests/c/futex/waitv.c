/* futex_waitv(2): waiting for any of several words. */
#include <linux/futex.h>

#include "futex.h"
#include "proc.h"
#include "sys.h"

#ifndef FUTEX_32
#define FUTEX_32 2
#endif
#ifndef SYS_futex_waitv
#define SYS_futex_waitv 449
#endif

struct waitv {
	uint64_t val, uaddr;
	uint32_t flags, reserved;
};

static int waitv(struct waitv *words, unsigned n, unsigned flags, struct timespec *until, int clock)
{
	return syscall(SYS_futex_waitv, words, n, flags, until, clock);
}

static long wake(word *at, int op, int n)
{
	return futex(at, op, n, NULL, NULL, 0);
}

enum { MANY = 128 };

static void fill(struct waitv *v, word *words, int n, unsigned flags)
{
	for (int i = 0; i < n; i++)
		v[i] = (struct waitv){ .val = words[i], .uaddr = (uintptr_t)&words[i], .flags = flags };
}

TEST(any_word_wakes)
{
	word *words = shared_words();
	struct waitv v[MANY];
	fill(v, words, MANY, FUTEX_32);
	int picks[] = { 0, 17, MANY - 1 };
	for (int i = 0; i < 3; i++) {
		pid_t child = SPAWN(CHECK_EQ(waitv(v, MANY, 0, NULL, 0), picks[i]));
		WAIT_FOR(kt_state(child) == 'S');
		/* Another number of words, another operation: not waited for. */
		CHECK_EQ(wake(&words[MANY], FUTEX_WAKE, 9), 0);
		CHECK_EQ(wake(&words[picks[i]], FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 9), 0);
		CHECK_EQ(wake(&words[picks[i]], FUTEX_WAKE, 9), 1);
		JOIN(child);
		CHECK_EQ(wake(&words[1], FUTEX_WAKE, 9), 0);
	}
}

TEST(private_and_shared_words_together)
{
	word *words = shared_words();
	uint32_t own[2] = { 5, 6 };
	struct waitv v[] = {
		{ .val = 0, .uaddr = (uintptr_t)&words[0], .flags = FUTEX_32 },
		{ .val = 6, .uaddr = (uintptr_t)&own[1], .flags = FUTEX_32 | FUTEX_PRIVATE_FLAG },
	};
	pid_t child = SPAWN(CHECK_EQ(waitv(v, 2, 0, NULL, 0), 0));
	WAIT_FOR(kt_state(child) == 'S');
	CHECK_EQ(wake(&own[1], FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1), 0);
	CHECK_EQ(wake(&words[0], FUTEX_WAKE, 1), 1);
	JOIN(child);
}

TEST(a_requeued_wait_is_still_one)
{
	word *words = shared_words();
	struct waitv v[3];
	fill(v, words, 3, FUTEX_32);
	pid_t child = SPAWN(CHECK_EQ(waitv(v, 3, 0, NULL, 0), 1));
	WAIT_FOR(kt_state(child) == 'S');
	CHECK_EQ(futex(&words[1], FUTEX_REQUEUE, 0, (void *)1L, &words[9], 0), 1);
	CHECK_EQ(wake(&words[1], FUTEX_WAKE, 1), 0);
	CHECK_EQ(wake(&words[9], FUTEX_WAKE, 1), 1);
	JOIN(child);
}

TEST(the_values_decide)
{
	uint32_t words[3] = { 1, 2, 3 };
	struct waitv v[3];
	for (int i = 0; i < 3; i++) {
		fill(v, words, 3, FUTEX_32 | FUTEX_PRIVATE_FLAG);
		v[i].val++;
		CHECK_ERR(waitv(v, 3, 0, NULL, 0), EAGAIN);
	}
	/* Only 32 bits of the value count. */
	fill(v, words, 3, FUTEX_32);
	v[1].val |= 1ULL << 40;
	struct timespec past = { 0, 1 };
	CHECK_ERR(waitv(v, 3, 0, &past, CLOCK_MONOTONIC), ETIMEDOUT);
}

TEST(timeouts_are_absolute)
{
	uint32_t words[2] = { 0, 0 };
	struct waitv v[2];
	fill(v, words, 2, FUTEX_32 | FUTEX_PRIVATE_FLAG);
	int clocks[] = { CLOCK_MONOTONIC, CLOCK_REALTIME };
	for (int i = 0; i < 2; i++) {
		struct timespec until, now;
		CHECK_OK(clock_gettime(clocks[i], &until));
		until.tv_nsec += 30000000;
		if (until.tv_nsec >= 1000000000) {
			until.tv_sec++;
			until.tv_nsec -= 1000000000;
		}
		CHECK_ERR(waitv(v, 2, 0, &until, clocks[i]), ETIMEDOUT);
		CHECK_OK(clock_gettime(clocks[i], &now));
		CHECK(now.tv_sec > until.tv_sec || (now.tv_sec == until.tv_sec && now.tv_nsec >= until.tv_nsec));
	}
	struct timespec bad = { 0, 1000000000 };
	CHECK_ERR(waitv(v, 2, 0, &bad, CLOCK_MONOTONIC), EINVAL);
	CHECK_ERR(waitv(v, 2, 0, BAD_PTR, CLOCK_MONOTONIC), EFAULT);
	bad = (struct timespec){ 0, 1 };
	CHECK_ERR(waitv(v, 2, 0, &bad, CLOCK_BOOTTIME), EINVAL);
	CHECK_ERR(waitv(v, 2, 0, &bad, -1), EINVAL);
}

TEST(what_is_refused)
{
	word *words = shared_words();
	static struct waitv v[MANY + 1];
	fill(v, words, MANY + 1, FUTEX_32);
	words[0] = 1; /* never waits */
	CHECK_ERR(waitv(v, 0, 0, NULL, 0), EINVAL);
	CHECK_ERR(waitv(v, MANY + 1, 0, NULL, 0), EINVAL);
	CHECK_ERR(waitv(v, MANY, 1, NULL, 0), EINVAL);
	CHECK_ERR(waitv(NULL, 1, 0, NULL, 0), EINVAL);
	CHECK_ERR(waitv(BAD_PTR, 1, 0, NULL, 0), EFAULT);
	v[3].flags = 0;
	CHECK_ERR(waitv(v, 4, 0, NULL, 0), EINVAL);
	v[3].flags = FUTEX_PRIVATE_FLAG;
	CHECK_ERR(waitv(v, 4, 0, NULL, 0), EINVAL);
	v[3].flags = FUTEX_32 | 1;
	CHECK_ERR(waitv(v, 4, 0, NULL, 0), EINVAL);
	v[3].flags = FUTEX_32;
	v[3].reserved = 1;
	CHECK_ERR(waitv(v, 4, 0, NULL, 0), EINVAL);
	v[3].reserved = 0;
	v[3].uaddr = 0;
	CHECK_ERR(waitv(v, 4, 0, NULL, 0), EFAULT);
	v[3].uaddr = (uintptr_t)words + 1;
	CHECK_ERR(waitv(v, 4, 0, NULL, 0), EINVAL);
	CHECK_ERR(waitv(v, 3, 0, NULL, 0), EAGAIN);
}

static void handler(int sig) { (void)sig; }

TEST(signals_interrupt)
{
	word *words = shared_words();
	struct waitv v[2];
	fill(v, words, 2, FUTEX_32);
	pid_t child = SPAWN({
		struct sigaction act = { .sa_handler = handler };
		CHECK_OK(sigaction(SIGUSR1, &act, NULL));
		words[9] = 1;
		CHECK_ERR(waitv(v, 2, 0, NULL, 0), EINTR);
		act.sa_flags = SA_RESTART;
		CHECK_OK(sigaction(SIGUSR1, &act, NULL));
		words[9] = 2;
		CHECK_EQ(waitv(v, 2, 0, NULL, 0), 1);
	});
	WAIT_FOR(words[9] == 1 && kt_state(child) == 'S');
	kill(child, SIGUSR1);
	WAIT_FOR(words[9] == 2 && kt_state(child) == 'S');
	kill(child, SIGUSR1);
	kt_sleep_ms(20);
	WAIT_FOR(kt_state(child) == 'S');
	CHECK_EQ(wake(&words[1], FUTEX_WAKE, 1), 1);
	JOIN(child);
}
