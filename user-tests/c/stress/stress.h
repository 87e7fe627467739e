/*
 * Stress: work for a while, then count what is left over.
 *
 * A case runs one second; `ktest_stress=SECONDS` in the environment (on the
 * kernel command line) makes it longer.
 */
#pragma once

#include <pthread.h>

#include "proc.h"
#include "sys.h"

static inline long long stress_ms(void)
{
	const char *seconds = getenv("ktest_stress");
	return (seconds ? atoll(seconds) : 1) * 1000;
}

/* Free memory in KiB, once it has stopped rising: what dies late is counted too. */
static inline long long free_memory(void)
{
	long long best = 0;
	for (int still = 0; still < 5; still++) {
		long long now = kt_field("/proc/meminfo", "MemFree:");
		CHECK(now > 0);
		if (now > best) {
			best = now;
			still = 0;
		}
		kt_sleep_ms(20);
	}
	return best;
}

/*
 * Call `work` for one tenth of the time as a warm-up, then for the whole in some
 * windows. What caches take ends sooner or later, a leak goes on: it is one if
 * more than `allowed` KiB of free memory are lost in every window.
 */
static inline void no_leak(void (*work)(void), long long allowed)
{
	enum { WINDOWS = 3 };
	if (kt_native())
		SKIP("others use this machine's memory too");
	long long end = kt_now_ms() + stress_ms() / 10, lost = 0;
	long rounds = 0;
	do
		work();
	while (kt_now_ms() < end);
	for (int i = 0; i < WINDOWS; i++) {
		long long before = free_memory();
		end = kt_now_ms() + stress_ms() / WINDOWS;
		rounds = 0;
		do {
			work();
			rounds++;
		} while (kt_now_ms() < end);
		/* Linux takes seconds to end network namespaces: what comes back is no leak. */
		long long late = kt_now_ms() + (i == WINDOWS - 1 ? 10000 : 0);
		do {
			lost = before - free_memory();
			if (lost <= allowed)
				return;
		} while (kt_now_ms() < late);
	}
	KT_FAIL("%ld rounds lost %lld KiB, and so it went on", rounds, lost);
}

/* Run n threads of this function and join them. */
static inline void crowd(int n, void *(*run)(void *))
{
	pthread_t t[64];
	for (long i = 0; i < n; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, run, (void *)i), 0);
	for (int i = 0; i < n; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
}
