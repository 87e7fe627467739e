/* ktest: cc=gcc */
/* glibc's mutexes with PTHREAD_PRIO_INHERIT. */
#include "pi.h"

static int protocol_mutex(pthread_mutex_t *m, int robust)
{
	pthread_mutexattr_t attr;
	pthread_mutexattr_init(&attr);
	pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
	if (robust)
		pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
	CHECK_EQ(pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT), 0);
	return pthread_mutex_init(m, &attr);
}

TEST(pthread_mutex_excludes)
{
	char *page = (char *)shared_words();
	pthread_mutex_t *m = (void *)page;
	volatile int *counter = (void *)(page + 1024);
	CHECK_EQ(protocol_mutex(m, 0), 0);
	pid_t child[4];
	for (int n = 0; n < 4; n++)
		child[n] = SPAWN({
			for (int i = 0; i < 500; i++) {
				CHECK_EQ(pthread_mutex_lock(m), 0);
				++*counter;
				if (i % 100 == 0)
					sched_yield();
				CHECK_EQ(pthread_mutex_unlock(m), 0);
			}
		});
	for (int n = 0; n < 4; n++)
		JOIN(child[n]);
	CHECK_EQ(*counter, 2000);
}

TEST(pthread_robust_mutex_tells_of_the_dead)
{
	for (int waits = 0; waits < 2; waits++) {
		char *page = (char *)shared_words();
		pthread_mutex_t *m = (void *)page;
		volatile int *stage = (void *)(page + 1024);
		CHECK_EQ(protocol_mutex(m, 1), 0);
		pid_t child = SPAWN({
			CHECK_EQ(pthread_mutex_lock(m), 0);
			*stage = 1;
			if (waits)
				kt_sleep_ms(50);
		});
		WAIT_FOR(*stage);
		if (!waits)
			JOIN(child);
		CHECK_EQ(pthread_mutex_lock(m), EOWNERDEAD);
		CHECK_EQ(pthread_mutex_consistent(m), 0);
		CHECK_EQ(pthread_mutex_unlock(m), 0);
		CHECK_EQ(pthread_mutex_lock(m), 0);
		CHECK_EQ(pthread_mutex_unlock(m), 0);
		if (waits)
			JOIN(child);
	}
}

static pthread_mutex_t local;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int counter;

static void *adds(void *arg)
{
	for (int i = 0; i < 500; i++) {
		if (pthread_mutex_lock(&local))
			return (void *)1;
		counter++;
		if (pthread_mutex_unlock(&local))
			return (void *)1;
	}
	return arg;
}

TEST(threads_exclude_each_other)
{
	CHECK_EQ(protocol_mutex(&local, 0), 0);
	pthread_t thread[4];
	for (int n = 0; n < 4; n++)
		CHECK_EQ(pthread_create(&thread[n], NULL, adds, NULL), 0);
	for (int n = 0; n < 4; n++) {
		void *failed;
		CHECK_EQ(pthread_join(thread[n], &failed), 0);
		CHECK(!failed);
	}
	CHECK_EQ(counter, 2000);
	CHECK_EQ(pthread_mutex_destroy(&local), 0);
}

static void *waits_until_three(void *arg)
{
	pthread_mutex_lock(&local);
	while (counter < 3)
		pthread_cond_wait(&cond, &local);
	pthread_mutex_unlock(&local);
	return arg;
}

TEST(condition_variables)
{
	CHECK_EQ(protocol_mutex(&local, 0), 0);
	pthread_t thread[3];
	for (int n = 0; n < 3; n++)
		CHECK_EQ(pthread_create(&thread[n], NULL, waits_until_three, NULL), 0);
	for (int n = 0; n < 3; n++) {
		pthread_mutex_lock(&local);
		counter++;
		pthread_cond_broadcast(&cond);
		pthread_mutex_unlock(&local);
	}
	for (int n = 0; n < 3; n++)
		CHECK_EQ(pthread_join(thread[n], NULL), 0);
}

static void *tries(void *arg)
{
	struct timespec t = in_ms(CLOCK_REALTIME, 30);
	if (pthread_mutex_trylock(&local) != EBUSY || pthread_mutex_timedlock(&local, &t) != ETIMEDOUT)
		return (void *)1;
	t = in_ms(CLOCK_MONOTONIC, 30);
	if (pthread_mutex_clocklock(&local, CLOCK_MONOTONIC, &t) != ETIMEDOUT)
		return (void *)2;
	return arg;
}

TEST(time_outs_by_either_clock)
{
	CHECK_EQ(protocol_mutex(&local, 0), 0);
	CHECK_EQ(pthread_mutex_lock(&local), 0);
	pthread_t thread;
	void *failed;
	CHECK_EQ(pthread_create(&thread, NULL, tries, NULL), 0);
	CHECK_EQ(pthread_join(thread, &failed), 0);
	CHECK_EQ((long)failed, 0);
	CHECK_EQ(pthread_mutex_unlock(&local), 0);
}
