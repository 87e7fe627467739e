/* The bare futex call. */
#pragma once

#include <linux/futex.h>
#include <pthread.h>
#include <sys/mman.h>

#include "proc.h"
#include "sys.h"

typedef volatile uint32_t word;

static inline long futex(word *at, int op, uint32_t value, const void *timeout_or_count,
			 word *other, uint32_t value3)
{
	return syscall(SYS_futex, at, op, value, timeout_or_count, other, value3);
}

static inline word *shared_words(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(p != MAP_FAILED);
	return p;
}

/* Wake until n waiters have been woken. */
static inline void wake_all(word *at, int op, int n)
{
	while (n > 0) {
		n -= CHECK_OK(futex(at, op, n, NULL, NULL, 0));
		kt_sleep_ms(1);
	}
}
