/*
 * Tables of calls and the errno each must give. In an argument, NOFD is a
 * descriptor that is not open, BAD an address that is never mapped, RO one
 * that can be read only, KERNEL one that belongs to the kernel.
 */
#pragma once

#include <sys/mman.h>

#include "ktest.h"
#include "sys.h"

#define NOFD 999
#define BAD 8
#define KERNEL 0xffffffff80000000UL
#define RO 0x10000000UL
#define ROOT ((long)"/")
#define CWD AT_FDCWD

struct bad_call {
	int line, want;
	long number, arg[6];
};

#define CALL(want, name, ...) { __LINE__, want, SYS_##name, { __VA_ARGS__ } }

/* Map the read-only page, make every call, and report all that differ. */
static inline void check_calls(const struct bad_call *call, size_t count)
{
	void *ro = mmap((void *)RO, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	CHECK(ro == (void *)RO);
	int wrong = 0;
	for (size_t i = 0; i < count; i++, call++) {
		errno = 0;
		long r = syscall(call->number, call->arg[0], call->arg[1], call->arg[2],
				 call->arg[3], call->arg[4], call->arg[5]);
		if (r == -1 ? errno == call->want : r == 0 && call->want == 0)
			continue;
		kt_say("# line %d: call %ld gave %ld, errno %d (%s), not %d (%s)\n", call->line,
		       call->number, r, errno, strerror(errno), call->want, strerror(call->want));
		wrong++;
	}
	CHECK_EQ(wrong, 0);
}

#define CHECK_CALLS(table) check_calls(table, sizeof table / sizeof *table)
