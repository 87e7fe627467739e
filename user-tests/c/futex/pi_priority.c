/* Who waits lends its priority to the owner. */
#include "pi.h"

#include <sys/resource.h>

static void run_as(int policy, int priority)
{
	cpu_set_t first;
	CPU_ZERO(&first);
	CPU_SET(0, &first);
	CHECK_OK(sched_setaffinity(0, sizeof first, &first));
	struct sched_param param = {.sched_priority = priority};
	CHECK_OK(syscall(SYS_sched_setscheduler, 0, policy, &param));
}

/* The field `priority` of /proc/PID/stat; `rt_priority` and `policy` into the others. */
static long stat_priority(pid_t pid, long *own, long *policy)
{
	char path[64], text[1024];
	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	CHECK(kt_read_file(path, text, sizeof text) > 0);
	char *at = strrchr(text, ')') + 1;
	long priority = 0;
	int field = 3;
	for (char *word = strtok(at, " "); word; word = strtok(NULL, " "), field++) {
		if (field == 18)
			priority = atol(word);
		if (field == 40 && own)
			*own = atol(word);
		if (field == 41 && policy)
			*policy = atol(word);
	}
	return priority;
}

/* The most urgent waits for an ordinary task, through another: a spinner between them is passed. */
TEST(the_owner_inherits_along_a_chain)
{
	word *w = shared_words();
	enum { OWNED = 4, GO, DONE, HOG_GAVE_UP };
	run_as(SCHED_FIFO, 30);
	pid_t owner = SPAWN({
		run_as(SCHED_OTHER, 0);
		CHECK_OK(LOCK(w));
		w[OWNED] = 1;
		while (!w[GO])
			;
		CHECK_EQ(syscall(SYS_sched_getscheduler, 0), SCHED_OTHER);
		CHECK_OK(UNLOCK(w));
	});
	WAIT_FOR(w[OWNED]);
	pid_t between = SPAWN({
		run_as(SCHED_OTHER, 0);
		CHECK_OK(LOCK(w + 1));
		CHECK_OK(LOCK(w));
		CHECK_OK(UNLOCK(w));
		CHECK_OK(UNLOCK(w + 1));
	});
	WAIT_FOR(*w & FUTEX_WAITERS);
	WAIT_FOR(kt_state(between) == 'S');
	pid_t urgent = SPAWN({
		run_as(SCHED_FIFO, 20);
		CHECK_OK(LOCK(w + 1));
		w[DONE] = 1;
		CHECK_OK(UNLOCK(w + 1));
	});
	WAIT_FOR(w[1] & FUTEX_WAITERS && kt_state(urgent) == 'S');
	pid_t hog = SPAWN({
		run_as(SCHED_FIFO, 10);
		struct timespec from;
		struct timespec now;
		clock_gettime(CLOCK_MONOTONIC, &from);
		do {
			clock_gettime(CLOCK_MONOTONIC, &now);
		} while (!w[DONE] && now.tv_sec - from.tv_sec < 3);
		w[HOG_GAVE_UP] = !w[DONE];
	});
	kt_sleep_ms(30);
	w[GO] = 1;
	JOIN(urgent);
	JOIN(hog);
	JOIN(owner);
	JOIN(between);
	CHECK_EQ(w[HOG_GAVE_UP], 0);
}

/* A task that owns w, and ends when w[1] is set. */
static pid_t owner_of(word *w)
{
	pid_t owner = SPAWN({
		CHECK_OK(LOCK(w));
		WAIT_FOR(w[1]);
		CHECK_OK(UNLOCK(w));
		CHECK_EQ(stat_priority(getpid(), NULL, NULL), 20);
	});
	WAIT_FOR(*w);
	return owner;
}

static pid_t waiter_for(word *w, int policy, int priority)
{
	pid_t child = SPAWN({
		run_as(policy, priority);
		CHECK_OK(LOCK(w));
		CHECK_OK(UNLOCK(w));
	});
	WAIT_FOR(*w & FUTEX_WAITERS && kt_state(child) == 'S');
	return child;
}

TEST(proc_stat_shows_what_is_inherited)
{
	word *w = shared_words();
	long own, policy;
	pid_t owner = owner_of(w);
	CHECK_EQ(stat_priority(owner, &own, &policy), 20);
	pid_t first = waiter_for(w, SCHED_FIFO, 7);
	WAIT_FOR(stat_priority(owner, &own, &policy) == -8);
	CHECK_EQ(own, 0);
	CHECK_EQ(policy, SCHED_OTHER);
	pid_t second = waiter_for(w, SCHED_RR, 9);
	WAIT_FOR(stat_priority(owner, &own, &policy) == -10);
	/* Its own, while it is less and when it is more. */
	struct sched_param param = {.sched_priority = 3};
	CHECK_OK(syscall(SYS_sched_setscheduler, owner, SCHED_FIFO, &param));
	CHECK_EQ(stat_priority(owner, &own, &policy), -10);
	CHECK_EQ(own, 3);
	CHECK_EQ(policy, SCHED_FIFO);
	param.sched_priority = 50;
	CHECK_OK(syscall(SYS_sched_setscheduler, owner, SCHED_FIFO, &param));
	CHECK_EQ(stat_priority(owner, &own, &policy), -51);
	param.sched_priority = 0;
	CHECK_OK(syscall(SYS_sched_setscheduler, owner, SCHED_OTHER, &param));
	CHECK_EQ(stat_priority(owner, &own, &policy), -10);
	/* A waiter's new priority is lent at once. */
	param.sched_priority = 12;
	CHECK_OK(syscall(SYS_sched_setparam, first, &param));
	CHECK_EQ(stat_priority(owner, &own, &policy), -13);
	/* And nothing any more when it is gone. */
	CHECK_OK(kill(first, SIGKILL));
	CHECK_EQ(kt_wait(first), SIGKILL);
	CHECK_EQ(stat_priority(owner, &own, &policy), -10);
	w[1] = 1;
	JOIN(owner);
	JOIN(second);
}

TEST(nice_levels_show)
{
	word *w = shared_words();
	pid_t owner = owner_of(w);
	pid_t child = SPAWN({
		CHECK_OK(setpriority(PRIO_PROCESS, 0, -5));
		CHECK_OK(LOCK(w));
		CHECK_OK(UNLOCK(w));
	});
	WAIT_FOR(*w & FUTEX_WAITERS && kt_state(child) == 'S');
	CHECK_EQ(stat_priority(owner, NULL, NULL), 15);
	w[1] = 1;
	JOIN(owner);
	JOIN(child);
}

/* The futex goes to the most urgent, among equals to the first. */
TEST(the_urgent_first)
{
	static const int priorities[] = {0, 3, 0, 8, 3};
	static const int order[] = {3, 1, 4, 0, 2};
	word *w = shared_words();
	CHECK_OK(LOCK(w));
	pid_t child[5];
	for (int n = 0; n < 5; n++) {
		child[n] = SPAWN({
			run_as(priorities[n] ? SCHED_FIFO : SCHED_OTHER, priorities[n]);
			CHECK_OK(LOCK(w));
			w[10 + w[1]++] = n;
			CHECK_OK(UNLOCK(w));
		});
		WAIT_FOR(*w & FUTEX_WAITERS && kt_state(child[n]) == 'S');
	}
	CHECK_OK(UNLOCK(w));
	for (int n = 0; n < 5; n++)
		JOIN(child[n]);
	for (int n = 0; n < 5; n++)
		CHECK_EQ(w[10 + n], order[n]);
}

/* Futexes without inheritance know priorities too: the urgent are woken and moved first. */
TEST(the_urgent_wake_first)
{
	static const int priorities[] = {0, 3, 0, 8, 3};
	static const int order[] = {3, 1, 4, 0, 2};
	for (int moved = 0; moved < 2; moved++) {
		word *w = shared_words();
		pid_t child[5];
		for (int n = 0; n < 5; n++) {
			child[n] = SPAWN({
				run_as(priorities[n] ? SCHED_FIFO : SCHED_OTHER, priorities[n]);
				w[2 + n] = 1;
				CHECK_OK(futex(w, FUTEX_WAIT, 0, NULL, NULL, 0));
				w[10 + w[1]++] = n;
			});
			WAIT_FOR(w[2 + n] && kt_state(child[n]) == 'S');
		}
		if (moved)
			CHECK_EQ(futex(w, FUTEX_REQUEUE, 0, (void *)9L, w + 20, 0), 5);
		for (unsigned n = 0; n < 5; n++) {
			CHECK_EQ(futex(moved ? w + 20 : w, FUTEX_WAKE, 1, NULL, NULL, 0), 1);
			WAIT_FOR(w[1] == n + 1);
			CHECK_EQ(w[10 + n], order[n]);
		}
		for (int n = 0; n < 5; n++)
			JOIN(child[n]);
	}
}
