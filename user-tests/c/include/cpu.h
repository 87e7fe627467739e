/* cpu.h: work, and how much of it was done, for the tests of the cpu controllers. */
#pragma once

#include <pthread.h>
#include <time.h>

#include "cgroup.h"

static inline uint64_t now_ns(clockid_t clock)
{
	struct timespec ts;
	CHECK_OK(clock_gettime(clock, &ts));
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

/* The number after `key` in a file of lines "key number". */
static inline int64_t cg_stat(const char *dir, const char *file, const char *key)
{
	const char *text = cg_read(dir, file);
	size_t len = strlen(key);
	for (const char *at = text; at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
		if (!strncmp(at, key, len) && at[len] == ' ')
			return strtoll(at + len, NULL, 10);
	return -1;
}

static inline void *spin_for_ever(void *arg)
{
	(void)arg;
	for (volatile unsigned long n = 0;; n++)
		;
	return NULL;
}

/* A process in `dir` with busy threads. */
static inline pid_t busy(const char *dir, int threads)
{
	int inside[2];
	char c;
	CHECK_OK(pipe(inside));
	pid_t child = CHECK_OK(fork());
	if (child) {
		close(inside[1]);
		CHECK_EQ(read(inside[0], &c, 1), 1);
		close(inside[0]);
		return child;
	}
	CHECK_OK(cg_write(dir, "cgroup.procs", "0"));
	CHECK_EQ(write(inside[1], "", 1), 1);
	while (--threads > 0) {
		pthread_t thread;
		CHECK_EQ(pthread_create(&thread, NULL, spin_for_ever, NULL), 0);
	}
	spin_for_ever(NULL);
	_exit(0);
}

/* How long a share of the CPUs is measured: a second, or `ktest_stress=SECONDS`. */
static inline long span_ms(void)
{
	const char *seconds = getenv("ktest_stress");
	return (seconds ? atol(seconds) : 1) * 1000;
}

static inline void end(pid_t child)
{
	CHECK_OK(kill(child, SIGKILL));
	CHECK_OK(waitpid(child, NULL, 0));
}

static inline void pause_ms(long ms)
{
	struct timespec ts = { ms / 1000, ms % 1000 * 1000000 };
	while (nanosleep(&ts, &ts))
		;
}

/* Parts of a hundred that `what` is of `whole`. */
static inline long percent(int64_t what, int64_t whole)
{
	return (what * 100 + whole / 2) / whole;
}

static inline int near(long value, long want, long tolerance)
{
	if (labs(value - want) <= tolerance)
		return 1;
	printf("# %ld, not %ld within %ld\n", value, want, tolerance);
	return 0;
}

/* The beginning of a period: work is done in its first part, so what is measured has to be whole periods. */
static inline void next_period(const char *a)
{
	int64_t is = cg_stat(a, "cpu.stat", "nr_periods");
	for (uint64_t end = now_ns(CLOCK_MONOTONIC) + 1000000000; now_ns(CLOCK_MONOTONIC) < end;) {
		if (cg_stat(a, "cpu.stat", "nr_periods") != is)
			return;
		usleep(500);
	}
}
