/* Priority inheritance: either all of it, or a clean ENOSYS. */
#include "futex.h"

static int present(void)
{
	word w = 0;
	if (futex(&w, FUTEX_LOCK_PI, 0, NULL, NULL, 0) == 0)
		return 1;
	CHECK_EQ(errno, ENOSYS);
	return 0;
}

TEST(all_or_nothing)
{
	word w = 0;
	if (present())
		return;
	CHECK_ERR(futex(&w, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), ENOSYS);
	CHECK_ERR(futex(&w, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0), ENOSYS);
	CHECK_ERR(futex(&w, FUTEX_LOCK_PI2, 0, NULL, NULL, 0), ENOSYS);
	CHECK_ERR(futex(&w, FUTEX_WAIT_REQUEUE_PI, 0, NULL, &w, 0), ENOSYS);
	CHECK_ERR(futex(&w, FUTEX_CMP_REQUEUE_PI, 1, (void *)1L, &w, 0), ENOSYS);
}

TEST(lock_and_unlock)
{
	word w = 0;
	if (!present())
		return;
	CHECK_OK(futex(&w, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
	CHECK_EQ(w, sys_gettid());
	CHECK_ERR(futex(&w, FUTEX_LOCK_PI, 0, NULL, NULL, 0), EDEADLK);
	CHECK_OK(futex(&w, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
	CHECK_EQ(w, 0);
	CHECK_ERR(futex(&w, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0), EPERM);
	w = 0x3fffffff & ~FUTEX_WAITERS;
	CHECK_ERR(futex(&w, FUTEX_LOCK_PI, 0, NULL, NULL, 0), ESRCH);
}

TEST(contended)
{
	word *w = shared_words();
	if (!present())
		return;
	CHECK_OK(futex(w, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
	pid_t child = SPAWN({
		CHECK_OK(futex(w, FUTEX_LOCK_PI, 0, NULL, NULL, 0));
		CHECK_EQ(*w & FUTEX_TID_MASK, sys_gettid());
		CHECK_OK(futex(w, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
	});
	WAIT_FOR(*w & FUTEX_WAITERS);
	CHECK_OK(futex(w, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0));
	JOIN(child);
	CHECK_EQ(*w, 0);
}
