/*
 * The vDSO: clocks without a system call (vdso(7)).
 *
 * User code, mapped into every process. Two data pages lie in front of it (see vdso.lds): the clock
 * page, which the kernel writes under a sequence count, and the page of the time namespace's
 * offsets. Whatever cannot be answered from them is asked of the kernel.
 */

typedef unsigned int u32;
typedef unsigned long u64;
typedef long s64;

struct timespec { s64 tv_sec, tv_nsec; };
struct timeval { s64 tv_sec, tv_usec; };
struct timezone { int tz_minuteswest, tz_dsttime; };

/* Written by `Vdso::publish` in ../vdso.rs. */
struct clock_page {
	u32 seq;		/* odd while it is written */
	u32 usable;		/* whether the counter may be used */
	u64 base_tsc, base_ns;
	u32 mult, shift;
	s64 realtime_offset;	/* CLOCK_REALTIME - CLOCK_MONOTONIC, ns */
	s64 tai_offset;		/* CLOCK_TAI - CLOCK_REALTIME, ns */
};

/* Written when a time namespace gets its offsets; zeros in the initial one. */
struct timens_page {
	s64 monotonic, boottime;	/* ns */
};

extern const volatile struct clock_page vvar_clock __attribute__((visibility("hidden")));
extern const volatile struct timens_page vvar_timens __attribute__((visibility("hidden")));

enum {
	REALTIME, MONOTONIC, PROCESS_CPUTIME, THREAD_CPUTIME, MONOTONIC_RAW, REALTIME_COARSE,
	MONOTONIC_COARSE, BOOTTIME, TAI = 11,
};

#define NSEC 1000000000L
#define COARSE 4000000L
#define EXPORT(name) __attribute__((visibility("default"))) name

static inline long syscall3(long nr, const void *a, const void *b, const void *c)
{
	long ret;
	__asm__ volatile("syscall" : "=a"(ret) : "0"(nr), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return ret;
}

static inline u64 rdtsc(void)
{
	u32 low, high;
	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) :: "memory");
	return (u64)high << 32 | low;
}

/* The clock in nanoseconds, or -1 if only the kernel can tell. */
static inline s64 now(long clock)
{
	u32 seq;
	s64 ns;
	do {
		while ((seq = vvar_clock.seq) & 1)
			__builtin_ia32_pause();
		__asm__ volatile("" ::: "memory");
		if (!vvar_clock.usable)
			return -1;
		u64 tsc = rdtsc(), base = vvar_clock.base_tsc;
		u64 delta = tsc > base ? tsc - base : 0;
		ns = vvar_clock.base_ns
			+ (u64)((unsigned __int128)delta * vvar_clock.mult >> vvar_clock.shift);
		if (clock == REALTIME_COARSE || clock == MONOTONIC_COARSE)
			ns -= (u64)ns % COARSE;
		if (clock == REALTIME || clock == REALTIME_COARSE || clock == TAI)
			ns += vvar_clock.realtime_offset;
		if (clock == TAI)
			ns += vvar_clock.tai_offset;
		__asm__ volatile("" ::: "memory");
	} while (vvar_clock.seq != seq);
	if (clock == MONOTONIC || clock == MONOTONIC_RAW || clock == MONOTONIC_COARSE)
		ns += vvar_timens.monotonic;
	else if (clock == BOOTTIME)
		ns += vvar_timens.boottime;
	return ns;
}

int EXPORT(__vdso_clock_gettime)(int clock, struct timespec *ts)
{
	if ((u32)clock <= TAI && (1 << clock & 0x8f3)) {
		s64 ns = now(clock);
		if (ns >= 0) {
			ts->tv_sec = (u64)ns / NSEC;
			ts->tv_nsec = (u64)ns % NSEC;
			return 0;
		}
	}
	return syscall3(228, (void *)(long)clock, ts, 0);
}

int EXPORT(__vdso_clock_getres)(int clock, struct timespec *ts)
{
	if ((u32)clock <= TAI && (1 << clock & 0x8f3)) {
		if (ts) {
			ts->tv_sec = 0;
			ts->tv_nsec = clock == REALTIME_COARSE || clock == MONOTONIC_COARSE ? COARSE : 1;
		}
		return 0;
	}
	return syscall3(229, (void *)(long)clock, ts, 0);
}

int EXPORT(__vdso_gettimeofday)(struct timeval *tv, struct timezone *tz)
{
	s64 ns = now(REALTIME);
	if (ns < 0)
		return syscall3(96, tv, tz, 0);
	if (tv) {
		tv->tv_sec = (u64)ns / NSEC;
		tv->tv_usec = (u64)ns % NSEC / 1000;
	}
	if (tz)
		tz->tz_minuteswest = tz->tz_dsttime = 0;
	return 0;
}

s64 EXPORT(__vdso_time)(s64 *t)
{
	s64 ns = now(REALTIME);
	if (ns < 0)
		return syscall3(201, t, 0, 0);
	s64 sec = (u64)ns / NSEC;
	if (t)
		*t = sec;
	return sec;
}

long EXPORT(__vdso_getcpu)(u32 *cpu, u32 *node, void *unused)
{
	return syscall3(309, cpu, node, unused);
}

int clock_gettime(int, struct timespec *) __attribute__((weak, alias("__vdso_clock_gettime"), visibility("default")));
int clock_getres(int, struct timespec *) __attribute__((weak, alias("__vdso_clock_getres"), visibility("default")));
int gettimeofday(struct timeval *, struct timezone *) __attribute__((weak, alias("__vdso_gettimeofday"), visibility("default")));
s64 time(s64 *) __attribute__((weak, alias("__vdso_time"), visibility("default")));
long getcpu(u32 *, u32 *, void *) __attribute__((weak, alias("__vdso_getcpu"), visibility("default")));

