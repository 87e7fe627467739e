/*
 * steady.h: cases that measure how CPU time is divided, on a machine that itself gets its CPUs by turns.
 *
 * STEADY(name) { ... } is a TEST that has another try if it fails while the machine stood still. What ran last is
 * charged with the time in which nothing ran, on every kernel, and pays for it long after the measurement. On each
 * CPU a thread that goes before all others looks at the clock every few milliseconds: a failure without a gap in what
 * it sees counts at once, and so does the failure of the last try.
 */
#pragma once

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>

#include "cg_sweep.h"
#include "ktest.h"

#define STEADY(name) STEADY_FOR(name, KT_TIMEOUT)
#define STEADY_FOR(name, seconds) KT_TEST(name, seconds, &steady_watch)

/* Not in step with the ticks of Linux, which would find the watcher running each time. */
#define STEADY_LOOK_MS 7
/* What disturbs no measurement: a part of the tolerance of those that take a second. */
#define STEADY_GAP_MS 25

/* The longest time, in milliseconds, that no thread of some CPU was woken up, and threads that look; shared. */
static volatile long *steady_gap;
static long *steady_looking;
static pid_t steady_watcher;

static void *steady_look(void *cpu)
{
	cpu_set_t set;
	struct sched_param first = { .sched_priority = 99 };
	CPU_ZERO(&set);
	CPU_SET((long)cpu, &set);
	/* Of this thread: what the C library offers for it is not there in musl. */
	if (syscall(SYS_sched_setaffinity, 0, sizeof set, &set) < 0 ||
	    syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &first) < 0)
		return NULL;
	__atomic_add_fetch(steady_looking, 1, __ATOMIC_SEQ_CST);
	for (;;) {
		long long before = kt_now_ms();
		kt_sleep_ms(STEADY_LOOK_MS);
		long gap = kt_now_ms() - before - STEADY_LOOK_MS;
		if (gap > *steady_gap)
			*steady_gap = gap;
	}
}

static void steady_begin(void)
{
	cpu_set_t cpus;
	pthread_t thread;
	if (!steady_gap)
		steady_gap = mmap(NULL, 2 * sizeof *steady_gap, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(steady_gap != MAP_FAILED);
	steady_looking = (long *)steady_gap + 1;
	*steady_gap = *steady_looking = 0;
	CPU_ZERO(&cpus);
	syscall(SYS_sched_getaffinity, 0, sizeof cpus, &cpus);
	if ((steady_watcher = fork()) != 0) {
		/* Nothing is missed once all of them look. */
		for (int i = 0; i < 1000 && __atomic_load_n(steady_looking, __ATOMIC_SEQ_CST) < CPU_COUNT(&cpus); i++)
			kt_sleep_ms(1);
		return;
	}
	for (long cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &cpus) && pthread_create(&thread, NULL, steady_look, (void *)cpu) != 0)
			kt_say("# steady: no thread for CPU %ld\n", cpu);
	for (;;)
		pause();
}

static void steady_end(void)
{
	if (steady_watcher > 0) {
		kill(steady_watcher, SIGKILL);
		kt_wait(steady_watcher);
	}
}

/* The cgroups of the run that failed go: they keep controllers, and weigh in the next one. */
static int steady_spoilt(void)
{
	/* The watcher has not looked yet if the machine goes on only now. */
	kt_sleep_ms(5 * STEADY_LOOK_MS);
	long gap = *steady_gap;
	if (gap < STEADY_GAP_MS || kt_native())
		return 0;
	kt_say("# the machine stood still for %ld ms\n", gap);
	cg_walk(0, cg_thaw);
	cg_walk(FTW_DEPTH, cg_remove);
	*steady_gap = 0;
	return 1;
}

static const struct kt_watch steady_watch = { steady_begin, steady_end, steady_spoilt };
