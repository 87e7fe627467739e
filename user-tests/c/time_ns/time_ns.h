/* Clocks of a time namespace. */
#pragma once

#include "ns.h"

#include <poll.h>
#include <sys/sysinfo.h>
#include <sys/timerfd.h>

#define NANOS 1000000000LL

/* A clock in nanoseconds, by the C library (that is, the vDSO) and by the bare call. */
static inline long long clock_ns(clockid_t clock)
{
	struct timespec t;
	CHECK_OK(clock_gettime(clock, &t));
	return t.tv_sec * NANOS + t.tv_nsec;
}

static inline long long clock_call(clockid_t clock)
{
	struct timespec t;
	CHECK_OK(syscall(SYS_clock_gettime, clock, &t));
	return t.tv_sec * NANOS + t.tv_nsec;
}

/* A child in a new time namespace with these offsets; unshare and fork. */
#define SPAWN_WITH_OFFSETS(text, ...)                                          \
	SPAWN({                                                                \
		CHECK_OK(unshare(CLONE_NEWTIME));                              \
		CHECK_OK(proc_write(0, "timens_offsets", text));               \
		JOIN(SPAWN(__VA_ARGS__));                                      \
	})

/* Within a minute: the machine may be slow, the offsets of the tests are larger. */
#define CHECK_NEAR(a, b)                                                       \
	do {                                                                   \
		long long kt_x = (a), kt_y = (b);                              \
		if (llabs(kt_x - kt_y) > 60 * NANOS)                           \
			KT_FAIL("%s is %lld, far from %s = %lld", #a, kt_x, #b, kt_y); \
	} while (0)
