/* Futexes with priority inheritance, by the bare call. */
#include "pi.h"

TEST(lock_and_unlock)
{
	word w = 0;
	CHECK_OK(LOCK(&w));
	CHECK_EQ(w, sys_gettid());
	CHECK_ERR(LOCK(&w), EDEADLK);
	CHECK_ERR(TRYLOCK(&w), EDEADLK);
	CHECK_OK(UNLOCK(&w));
	CHECK_EQ(w, 0);
	CHECK_ERR(UNLOCK(&w), EPERM);
	CHECK_OK(TRYLOCK(&w));
	CHECK_OK(UNLOCK(&w));
	w = 0x3fffffff;
	CHECK_ERR(LOCK(&w), ESRCH);
	CHECK_ERR(TRYLOCK(&w), ESRCH);
	CHECK_EQ(w, 0x3fffffff | FUTEX_WAITERS);
}

TEST(bad_arguments)
{
	word w[4] = {0};
	struct timespec bad = {.tv_sec = 1, .tv_nsec = 1000000000};
	CHECK_ERR(LOCK((word *)((char *)w + 1)), EINVAL);
	CHECK_ERR(LOCK((word *)8L), EFAULT);
	CHECK_ERR(UNLOCK((word *)8L), EFAULT);
	CHECK_ERR(futex(w, FUTEX_LOCK_PI, 0, &bad, NULL, 0), EINVAL);
	CHECK_ERR(futex(w, FUTEX_LOCK_PI | FUTEX_CLOCK_REALTIME, 0, NULL, NULL, 0), ENOSYS);
	CHECK_OK(futex(w, FUTEX_LOCK_PI2 | FUTEX_CLOCK_REALTIME, 0, NULL, NULL, 0));
	CHECK_OK(UNLOCK(w));
	CHECK_ERR(futex(w, FUTEX_WAIT_REQUEUE_PI, 0, NULL, w, 0), EINVAL);
	CHECK_ERR(futex(w, FUTEX_WAIT_REQUEUE_PI, 1, NULL, w + 1, 0), EAGAIN);
	CHECK_ERR(futex(w, FUTEX_CMP_REQUEUE_PI, 1, (void *)1L, w, 0), EINVAL);
	CHECK_ERR(futex(w, FUTEX_CMP_REQUEUE_PI, 2, (void *)1L, w + 1, 0), EINVAL);
	CHECK_ERR(futex(w, FUTEX_CMP_REQUEUE_PI, 1, (void *)1L, w + 1, 7), EAGAIN);
	CHECK_EQ(futex(w, FUTEX_CMP_REQUEUE_PI, 1, (void *)1L, w + 1, 0), 0);
}

TEST(contended)
{
	word *w = shared_words();
	CHECK_OK(LOCK(w));
	pid_t child = SPAWN({
		CHECK_ERR(TRYLOCK(w), EAGAIN);
		CHECK_ERR(UNLOCK(w), EPERM);
		CHECK_OK(LOCK(w));
		CHECK_EQ(*w & FUTEX_TID_MASK, sys_gettid());
		w[1] = 1;
		CHECK_OK(UNLOCK(w));
	});
	WAIT_FOR(*w & FUTEX_WAITERS && kt_state(child) == 'S');
	CHECK_ERR(futex(w, FUTEX_WAKE, 1, NULL, NULL, 0), EINVAL);
	CHECK_ERR(futex(w, FUTEX_REQUEUE, 1, (void *)1L, w + 2, 0), EINVAL);
	CHECK_ERR(futex(w, FUTEX_CMP_REQUEUE_PI, 1, (void *)1L, w + 2, *w), EINVAL);
	CHECK_ERR(futex(w, FUTEX_WAKE_OP, 1, (void *)1L, w + 2, 0), EINVAL);
	CHECK_ERR(futex(w + 2, FUTEX_WAKE_OP, 1, (void *)1L, w, FUTEX_OP(FUTEX_OP_OR, 0, FUTEX_OP_CMP_NE, 0)), EINVAL);
	CHECK_EQ(w[1], 0);
	CHECK_OK(UNLOCK(w));
	JOIN(child);
	CHECK_EQ(*w, 0);
}

TEST(timeouts)
{
	word *w = shared_words();
	CHECK_OK(LOCK(w));
	pid_t child = SPAWN({
		struct timespec t = in_ms(CLOCK_REALTIME, 30);
		CHECK_ERR(futex(w, FUTEX_LOCK_PI, 0, &t, NULL, 0), ETIMEDOUT);
		t = in_ms(CLOCK_MONOTONIC, 30);
		CHECK_ERR(futex(w, FUTEX_LOCK_PI2, 0, &t, NULL, 0), ETIMEDOUT);
		t = in_ms(CLOCK_MONOTONIC, 30);
		CHECK_ERR(futex(w + 1, FUTEX_WAIT_REQUEUE_PI, 0, &t, w, 0), ETIMEDOUT);
	});
	JOIN(child);
	CHECK_OK(UNLOCK(w));
	CHECK_EQ(*w, 0);
}

TEST(signals_restart)
{
	word *w = shared_words();
	CHECK_OK(LOCK(w));
	pid_t child = SPAWN({
		struct sigaction sa = {.sa_handler = count};
		sigaction(SIGUSR1, &sa, NULL);
		w[1] = 1;
		CHECK_OK(LOCK(w));
		CHECK_EQ(signals, 1);
		CHECK_OK(UNLOCK(w));
	});
	WAIT_FOR(w[1] && *w & FUTEX_WAITERS && kt_state(child) == 'S');
	CHECK_OK(kill(child, SIGUSR1));
	kt_sleep_ms(30);
	CHECK_OK(UNLOCK(w));
	JOIN(child);
}

TEST(deadlock_along_a_chain)
{
	word *w = shared_words();
	CHECK_OK(LOCK(w));
	pid_t b = SPAWN({
		CHECK_OK(LOCK(w + 1));
		CHECK_OK(LOCK(w));
		CHECK_OK(UNLOCK(w));
		CHECK_OK(UNLOCK(w + 1));
	});
	WAIT_FOR(*w & FUTEX_WAITERS);
	pid_t c = SPAWN({
		CHECK_OK(LOCK(w + 2));
		CHECK_OK(LOCK(w + 1));
		CHECK_OK(UNLOCK(w + 1));
		CHECK_OK(UNLOCK(w + 2));
	});
	WAIT_FOR(w[1] & FUTEX_WAITERS && kt_state(b) == 'S' && kt_state(c) == 'S');
	CHECK_ERR(LOCK(w + 2), EDEADLK);
	CHECK_ERR(LOCK(w + 1), EDEADLK);
	CHECK_OK(UNLOCK(w));
	JOIN(b);
	JOIN(c);
}

TEST(a_dead_owner_is_succeeded)
{
	word *w = shared_words();
	pid_t owner = SPAWN({
		CHECK_OK(LOCK(w));
		WAIT_FOR(*w & FUTEX_WAITERS);
		kt_sleep_ms(30);
	});
	WAIT_FOR(*w);
	CHECK_OK(LOCK(w));
	CHECK_EQ(*w, FUTEX_WAITERS | FUTEX_OWNER_DIED | sys_gettid());
	CHECK_OK(UNLOCK(w));
	CHECK_EQ(*w, 0);
	JOIN(owner);
}

TEST(a_waiter_without_inheritance_is_in_the_way)
{
	word *w = shared_words();
	pid_t child = SPAWN({ CHECK_OK(futex(w, FUTEX_WAIT, 0, NULL, NULL, 0)); });
	WAIT_FOR(kt_state(child) == 'S');
	CHECK_ERR(LOCK(w), EINVAL);
	CHECK_ERR(TRYLOCK(w), EINVAL);
	*w = sys_gettid();
	CHECK_ERR(UNLOCK(w), EINVAL);
	*w = 0;
	wake_all(w, FUTEX_WAKE, 1);
	JOIN(child);
}

/* A waiter that is killed, or gives up, leaves the others where they were. */
TEST(a_waiter_is_killed)
{
	word *w = shared_words();
	CHECK_OK(LOCK(w));
	pid_t doomed = SPAWN({ CHECK_OK(LOCK(w)); });
	WAIT_FOR(*w & FUTEX_WAITERS && kt_state(doomed) == 'S');
	pid_t child = SPAWN({
		CHECK_OK(LOCK(w));
		CHECK_OK(UNLOCK(w));
	});
	WAIT_FOR(kt_state(child) == 'S');
	CHECK_OK(kill(doomed, SIGKILL));
	CHECK_EQ(kt_wait(doomed), SIGKILL);
	CHECK_ERR(TRYLOCK(w), EDEADLK);
	CHECK_OK(UNLOCK(w));
	JOIN(child);
	CHECK_EQ(*w, 0);
}

ROLE(end) { return 0; }

/* What a program owns goes to others when it becomes another one. */
TEST(exec_gives_up_what_it_owns)
{
	word *w = shared_words();
	pid_t owner = SPAWN({
		CHECK_OK(LOCK(w));
		WAIT_FOR(*w & FUTEX_WAITERS);
		kt_sleep_ms(30);
		execl("/proc/self/exe", "role:end", NULL);
	});
	WAIT_FOR(*w);
	CHECK_OK(LOCK(w));
	CHECK_EQ(*w, FUTEX_WAITERS | FUTEX_OWNER_DIED | sys_gettid());
	CHECK_OK(UNLOCK(w));
	JOIN(owner);
}

/* The word says another owner than the kernel knows. */
TEST(a_word_that_lies)
{
	word *w = shared_words();
	CHECK_OK(LOCK(w));
	pid_t child = SPAWN({ CHECK_OK(LOCK(w)); CHECK_OK(UNLOCK(w)); });
	WAIT_FOR(*w & FUTEX_WAITERS && kt_state(child) == 'S');
	word right = *w;
	JOIN(SPAWN({
		*w = FUTEX_WAITERS | getppid() | 0x100000;
		CHECK_ERR(LOCK(w), EINVAL);
		*w = FUTEX_WAITERS | sys_gettid();
		CHECK_ERR(UNLOCK(w), EINVAL);
		*w = 0;
		CHECK_ERR(LOCK(w), EINVAL);
	}));
	*w = right;
	CHECK_OK(UNLOCK(w));
	JOIN(child);
}

TEST(a_word_that_cannot_be_written)
{
	word *w = shared_words();
	CHECK_OK(mprotect((void *)w, 4096, PROT_READ));
	CHECK_ERR(LOCK(w), EFAULT);
	CHECK_ERR(TRYLOCK(w), EFAULT);
	CHECK_ERR(UNLOCK(w), EPERM);
}
