/* FUTEX_REQUEUE, FUTEX_CMP_REQUEUE and FUTEX_WAKE_OP. */
#include "futex.h"

enum { N = 6 };

/* N processes asleep on w[0]; w[10] counts those that woke. */
static word *sleepers(void)
{
	word *w = shared_words();
	pid_t child[N];
	for (int i = 0; i < N; i++)
		child[i] = SPAWN({
			CHECK_OK(futex(&w[0], FUTEX_WAIT, 0, NULL, NULL, 0));
			__atomic_add_fetch(&w[10], 1, __ATOMIC_SEQ_CST);
		});
	for (int i = 0; i < N; i++)
		WAIT_FOR(kt_state(child[i]) == 'S');
	return w;
}

static void all_end(void)
{
	for (int i = 0; i < N; i++) {
		int status;
		CHECK(wait(&status) > 0);
		CHECK_EQ(status, 0);
	}
}

TEST(requeue_wakes_some_and_moves_the_rest)
{
	word *w = sleepers();
	CHECK_EQ(futex(&w[0], FUTEX_REQUEUE, 1, (void *)3L, &w[1], 0), 4);
	WAIT_FOR(w[10] == 1);
	CHECK_EQ(futex(&w[0], FUTEX_WAKE, 100, NULL, NULL, 0), 2);
	WAIT_FOR(w[10] == 3);
	CHECK_EQ(futex(&w[1], FUTEX_WAKE, 100, NULL, NULL, 0), 3);
	all_end();
}

TEST(cmp_requeue_compares)
{
	word *w = sleepers();
	CHECK_ERR(futex(&w[0], FUTEX_CMP_REQUEUE, 1, (void *)100L, &w[1], 5), EAGAIN);
	CHECK_EQ(w[10], 0);
	CHECK_EQ(futex(&w[0], FUTEX_CMP_REQUEUE, 0, (void *)100L, &w[1], 0), N);
	CHECK_EQ(futex(&w[0], FUTEX_WAKE, 100, NULL, NULL, 0), 0);
	CHECK_EQ(futex(&w[1], FUTEX_WAKE, 100, NULL, NULL, 0), N);
	all_end();
}

TEST(wrong_counts)
{
	word w[2] = { 0 };
	CHECK_ERR(futex(&w[0], FUTEX_CMP_REQUEUE, -1, (void *)1L, &w[1], 0), EINVAL);
	CHECK_ERR(futex(&w[0], FUTEX_CMP_REQUEUE, 1, (void *)-1L, &w[1], 0), EINVAL);
	CHECK_ERR(futex(&w[0], FUTEX_CMP_REQUEUE, 1, (void *)1L, BAD_PTR, 0), EFAULT);
	CHECK_ERR(futex(&w[0], FUTEX_WAKE_OP, 1, (void *)1L, BAD_PTR, 0), EFAULT);
}

static long wake_op(word *w, int op, int operand, int cmp, int against)
{
	return futex(&w[0], FUTEX_WAKE_OP, 1, (void *)1L, &w[1],
		     FUTEX_OP(op, operand, cmp, against));
}

TEST(wake_op_changes_the_second_word)
{
	word w[2] = { 0, 10 };
	CHECK_EQ(wake_op(w, FUTEX_OP_SET, 7, FUTEX_OP_CMP_EQ, 0), 0);
	CHECK_EQ(w[1], 7);
	CHECK_EQ(wake_op(w, FUTEX_OP_ADD, 5, FUTEX_OP_CMP_EQ, 0), 0);
	CHECK_EQ(w[1], 12);
	CHECK_EQ(wake_op(w, FUTEX_OP_OR, 3, FUTEX_OP_CMP_EQ, 0), 0);
	CHECK_EQ(w[1], 15);
	CHECK_EQ(wake_op(w, FUTEX_OP_ANDN, 6, FUTEX_OP_CMP_EQ, 0), 0);
	CHECK_EQ(w[1], 9);
	CHECK_EQ(wake_op(w, FUTEX_OP_XOR, 1, FUTEX_OP_CMP_EQ, 0), 0);
	CHECK_EQ(w[1], 8);
	CHECK_EQ(wake_op(w, FUTEX_OP_OR | FUTEX_OP_OPARG_SHIFT, 4, FUTEX_OP_CMP_EQ, 0), 0);
	CHECK_EQ(w[1], 24);
	CHECK_EQ(wake_op(w, FUTEX_OP_ADD, -4 & 0xfff, FUTEX_OP_CMP_EQ, 0), 0);
	CHECK_EQ(w[1], 20);
	CHECK_ERR(wake_op(w, 7, 1, FUTEX_OP_CMP_EQ, 0), ENOSYS);
	CHECK_ERR(wake_op(w, FUTEX_OP_SET, 1, 9, 0), ENOSYS);
}

TEST(wake_op_wakes_the_second_if_the_old_value_matches)
{
	word *w = shared_words();
	for (int round = 0; round < 2; round++) {
		w[1] = 0;
		pid_t a = SPAWN(CHECK_OK(futex(&w[0], FUTEX_WAIT, 0, NULL, NULL, 0)));
		pid_t b = SPAWN(CHECK_OK(futex(&w[1], FUTEX_WAIT, 0, NULL, NULL, 0)));
		WAIT_FOR(kt_state(a) == 'S' && kt_state(b) == 'S');
		CHECK_EQ(wake_op(w, FUTEX_OP_SET, 1, FUTEX_OP_CMP_LT, round), 1 + round);
		JOIN(a);
		if (round == 0)
			CHECK_EQ(futex(&w[1], FUTEX_WAKE, 1, NULL, NULL, 0), 1);
		JOIN(b);
	}
}
