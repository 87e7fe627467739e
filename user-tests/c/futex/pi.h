/* Futexes with priority inheritance: the bare calls. */
#pragma once

#include <sched.h>

#include "futex.h"

static inline struct timespec in_ms(clockid_t clock, long ms)
{
	struct timespec t;
	clock_gettime(clock, &t);
	t.tv_nsec += ms * 1000000;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	return t;
}

#define LOCK(w) futex(w, FUTEX_LOCK_PI, 0, NULL, NULL, 0)
#define TRYLOCK(w) futex(w, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0)
#define UNLOCK(w) futex(w, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0)

/* Counts the signals that came. */
static volatile int signals __attribute__((unused));
static inline void count(int signal)
{
	(void)signal;
	signals++;
}
