/* getrusage(2), times(2), and the CPU time of waited-for children. */
#include <sys/resource.h>
#include <sys/times.h>

#include "proc.h"
#include "steady.h"

static long ms_of(struct timeval t)
{
	return t.tv_sec * 1000 + t.tv_usec / 1000;
}

/* Use at least this much CPU time, as the process itself sees it, and a
 * megabyte of memory. */
static void spin(long ms)
{
	static char memory[1 << 20];
	struct rusage u;
	memset(memory, 1, sizeof memory);
	__asm__ volatile("" : : "r"(memory) : "memory");
	do {
		getrusage(RUSAGE_SELF, &u);
	} while (ms_of(u.ru_utime) + ms_of(u.ru_stime) < ms);
}

TEST(time_passes_for_self)
{
	struct rusage u;
	spin(50);
	CHECK_OK(getrusage(RUSAGE_SELF, &u));
	CHECK(ms_of(u.ru_utime) + ms_of(u.ru_stime) >= 50);
	CHECK(u.ru_maxrss > 0);
	CHECK(u.ru_minflt > 0);
	CHECK_OK(getrusage(RUSAGE_THREAD, &u));
	CHECK(ms_of(u.ru_utime) + ms_of(u.ru_stime) >= 45);
}

TEST(children_count_when_waited_for)
{
	struct rusage u;
	pid_t child = SPAWN(spin(60));
	WAIT_FOR(kt_state(child) == 'Z');
	CHECK_OK(getrusage(RUSAGE_CHILDREN, &u));
	CHECK_EQ(ms_of(u.ru_utime) + ms_of(u.ru_stime), 0);
	JOIN(child);
	CHECK_OK(getrusage(RUSAGE_CHILDREN, &u));
	CHECK(ms_of(u.ru_utime) + ms_of(u.ru_stime) >= 50);
	CHECK(u.ru_maxrss > 0);
}

TEST(grandchildren_count_through_their_parent)
{
	struct rusage u;
	JOIN(SPAWN(JOIN(SPAWN(spin(60)))));
	CHECK_OK(getrusage(RUSAGE_CHILDREN, &u));
	CHECK(ms_of(u.ru_utime) + ms_of(u.ru_stime) >= 50);
}

TEST(wait4_gives_the_childs_own)
{
	struct rusage u;
	int status;
	pid_t child = SPAWN(spin(60));
	CHECK_EQ(wait4(child, &status, 0, &u), child);
	CHECK(ms_of(u.ru_utime) + ms_of(u.ru_stime) >= 50);
}

STEADY(sleeping_is_not_counted)
{
	struct rusage before, after;
	getrusage(RUSAGE_SELF, &before);
	kt_sleep_ms(300);
	getrusage(RUSAGE_SELF, &after);
	CHECK(ms_of(after.ru_utime) + ms_of(after.ru_stime) -
	      ms_of(before.ru_utime) - ms_of(before.ru_stime) < 200);
	CHECK(after.ru_nvcsw > before.ru_nvcsw);
}

TEST(times_counts_in_hundredths)
{
	struct tms t;
	clock_t a = times(&t);
	kt_sleep_ms(100);
	clock_t b = times(NULL);
	CHECK(b - a >= 9 && b - a < 1000);
	CHECK_EQ(sysconf(_SC_CLK_TCK), 100);
	spin(60);
	times(&t);
	CHECK(t.tms_utime + t.tms_stime >= 5);
	CHECK_ERR(syscall(SYS_times, BAD_PTR), EFAULT);
}

TEST(wrong_arguments)
{
	struct rusage u;
	CHECK_ERR(getrusage(7, &u), EINVAL);
	CHECK_ERR(getrusage(-2, &u), EINVAL);
	CHECK_ERR(syscall(SYS_getrusage, RUSAGE_SELF, BAD_PTR), EFAULT);
}

TEST(page_faults_are_counted)
{
	struct rusage before, after;
	enum { PAGES = 64 };
	char *p = aligned_alloc(4096, PAGES * 4096);
	getrusage(RUSAGE_SELF, &before);
	for (int i = 0; i < PAGES; i++)
		((volatile char *)p)[i * 4096] = 1;
	getrusage(RUSAGE_SELF, &after);
	CHECK(after.ru_minflt > before.ru_minflt);
}
