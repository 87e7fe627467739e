/* FUTEX_WAIT_REQUEUE_PI and FUTEX_CMP_REQUEUE_PI. */
#include "pi.h"

TEST(requeue)
{
	word *w = shared_words();
	pid_t child[3];
	for (int n = 0; n < 3; n++)
		child[n] = SPAWN({
			w[2 + n] = 1;
			CHECK_OK(futex(w, FUTEX_WAIT_REQUEUE_PI, 0, NULL, w + 1, 0));
			CHECK_EQ(w[1] & FUTEX_TID_MASK, sys_gettid());
			w[8]++;
			CHECK_OK(UNLOCK(w + 1));
		});
	for (int n = 0; n < 3; n++)
		WAIT_FOR(w[2 + n] && kt_state(child[n]) == 'S');
	CHECK_ERR(LOCK(w), EINVAL);
	CHECK_ERR(futex(w, FUTEX_WAKE, 1, NULL, NULL, 0), EINVAL);
	CHECK_ERR(futex(w, FUTEX_CMP_REQUEUE_PI, 1, (void *)9L, w + 9, 0), EINVAL);
	CHECK_OK(LOCK(w + 1));
	CHECK_EQ(futex(w, FUTEX_CMP_REQUEUE_PI, 1, (void *)1L, w + 1, 0), 2);
	kt_sleep_ms(20);
	CHECK_EQ(w[8], 0);
	CHECK_OK(UNLOCK(w + 1));
	WAIT_FOR(w[8] == 2);
	WAIT_FOR(w[1] == 0);
	CHECK_EQ(futex(w, FUTEX_CMP_REQUEUE_PI, 1, (void *)9L, w + 1, 0), 1);
	for (int n = 0; n < 3; n++)
		JOIN(child[n]);
	CHECK_EQ(w[8], 3);
	CHECK_EQ(w[1], 0);
}

static pid_t waiter(word *w, int signals_seen, int error)
{
	pid_t child = SPAWN({
		struct sigaction sa = {.sa_handler = count};
		sigaction(SIGUSR1, &sa, NULL);
		w[2] = 1;
		if (error)
			CHECK_ERR(futex(w, FUTEX_WAIT_REQUEUE_PI, 0, NULL, w + 1, 0), error);
		else
			CHECK_OK(futex(w, FUTEX_WAIT_REQUEUE_PI, 0, NULL, w + 1, 0));
		CHECK_EQ(signals, signals_seen);
		if (!error)
			CHECK_OK(UNLOCK(w + 1));
		w[3] = 1;
	});
	WAIT_FOR(w[2] && kt_state(child) == 'S');
	return child;
}

TEST(a_signal_restarts_the_wait)
{
	word *w = shared_words();
	pid_t child = waiter(w, 1, 0);
	CHECK_OK(kill(child, SIGUSR1));
	kt_sleep_ms(30);
	WAIT_FOR(kt_state(child) == 'S');
	CHECK_EQ(w[3], 0);
	CHECK_EQ(futex(w, FUTEX_CMP_REQUEUE_PI, 1, (void *)0L, w + 1, 0), 1);
	JOIN(child);
	CHECK_EQ(w[1], 0);
}

TEST(restarted_it_finds_another_value)
{
	word *w = shared_words();
	pid_t child = waiter(w, 1, EAGAIN);
	*w = 1;
	CHECK_OK(kill(child, SIGUSR1));
	JOIN(child);
}

TEST(a_signal_after_the_move_ends_it)
{
	word *w = shared_words();
	CHECK_OK(LOCK(w + 1));
	pid_t child = waiter(w, 1, EAGAIN);
	CHECK_EQ(futex(w, FUTEX_CMP_REQUEUE_PI, 1, (void *)0L, w + 1, 0), 1);
	CHECK(w[1] & FUTEX_WAITERS);
	CHECK_OK(kill(child, SIGUSR1));
	JOIN(child);
	CHECK_OK(UNLOCK(w + 1));
	CHECK_EQ(w[1], 0);
}

TEST(one_of_two_is_moved_to_where_it_did_not_want)
{
	word *w = shared_words();
	pid_t child[2];
	for (int n = 0; n < 2; n++) {
		child[n] = SPAWN({
			CHECK_OK(futex(w, FUTEX_WAIT_REQUEUE_PI, 0, NULL, w + 1 + n, 0));
			CHECK_OK(UNLOCK(w + 1 + n));
		});
		WAIT_FOR(kt_state(child[n]) == 'S');
	}
	CHECK_OK(LOCK(w + 1));
	CHECK_ERR(futex(w, FUTEX_CMP_REQUEUE_PI, 1, (void *)9L, w + 1, 0), EINVAL);
	CHECK_EQ(futex(w, FUTEX_CMP_REQUEUE_PI, 1, (void *)9L, w + 2, 0), 1);
	CHECK_OK(UNLOCK(w + 1));
	JOIN(child[0]);
	JOIN(child[1]);
}

TEST(what_waits_in_other_ways)
{
	word *w = shared_words();
	pid_t child = SPAWN({ CHECK_OK(futex(w, FUTEX_WAIT, 0, NULL, NULL, 0)); });
	WAIT_FOR(kt_state(child) == 'S');
	CHECK_ERR(futex(w, FUTEX_CMP_REQUEUE_PI, 1, (void *)1L, w + 1, 0), EINVAL);
	wake_all(w, FUTEX_WAKE, 1);
	JOIN(child);
	child = waiter(w, 0, 0);
	CHECK_ERR(futex(w, FUTEX_WAKE, 1, NULL, NULL, 0), EINVAL);
	CHECK_ERR(futex(w, FUTEX_REQUEUE, 1, (void *)1L, w + 4, 0), EINVAL);
	CHECK_ERR(TRYLOCK(w), EINVAL);
	CHECK_EQ(futex(w, FUTEX_CMP_REQUEUE_PI, 1, (void *)1L, w + 1, 0), 1);
	JOIN(child);
}
