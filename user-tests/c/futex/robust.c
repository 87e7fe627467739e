/* Robust lists: what is left locked by the dead. */
#include <stddef.h>
#include "futex.h"

struct lock {
	struct robust_list list;
	word futex;
};

static void set_list(struct robust_list_head *head, struct lock *lock)
{
	head->list.next = &lock->list;
	head->futex_offset = offsetof(struct lock, futex);
	head->list_op_pending = NULL;
	lock->list.next = &head->list;
	CHECK_OK(syscall(SYS_set_robust_list, head, sizeof *head));
}

TEST(the_owner_died)
{
	struct lock *lock = (struct lock *)shared_words();
	JOIN(SPAWN({
		struct robust_list_head head;
		set_list(&head, lock);
		lock->futex = sys_gettid();
	}));
	CHECK_EQ(lock->futex, FUTEX_OWNER_DIED);
}

TEST(a_waiter_is_woken)
{
	struct lock *lock = (struct lock *)shared_words();
	word *held = &((word *)lock)[100];
	pid_t owner = SPAWN({
		struct robust_list_head head;
		set_list(&head, lock);
		lock->futex = sys_gettid() | FUTEX_WAITERS;
		*held = lock->futex;
		for (;;)
			pause();
	});
	WAIT_FOR(*held != 0);
	pid_t waiter = SPAWN(CHECK_OK(futex(&lock->futex, FUTEX_WAIT, *held, NULL, NULL, 0)));
	WAIT_FOR(kt_state(waiter) == 'S');
	kill(owner, SIGKILL);
	JOIN(waiter);
	CHECK_EQ(lock->futex, FUTEX_OWNER_DIED | FUTEX_WAITERS);
	kt_wait(owner);
}

TEST(a_pending_operation)
{
	struct lock *lock = (struct lock *)shared_words();
	JOIN(SPAWN({
		struct robust_list_head head;
		set_list(&head, lock);
		head.list.next = &head.list;
		head.list_op_pending = &lock->list;
		lock->futex = sys_gettid();
	}));
	CHECK_EQ(lock->futex, FUTEX_OWNER_DIED);
}

TEST(what_another_owns_is_left_alone)
{
	struct lock *lock = (struct lock *)shared_words();
	JOIN(SPAWN({
		struct robust_list_head head;
		set_list(&head, lock);
		lock->futex = getppid();
	}));
	CHECK_EQ(lock->futex, getpid());
}

TEST(exec_counts_as_death)
{
	struct lock *lock = (struct lock *)shared_words();
	JOIN(SPAWN({
		struct robust_list_head head;
		set_list(&head, lock);
		lock->futex = sys_gettid();
		execl("/proc/self/exe", "role:nothing", NULL);
		_exit(120);
	}));
	CHECK_EQ(lock->futex, FUTEX_OWNER_DIED);
}

ROLE(nothing)
{
	return 0;
}

TEST(broken_lists_harm_only_themselves)
{
	struct lock *lock = (struct lock *)shared_words();
	JOIN(SPAWN({
		struct robust_list_head head;
		set_list(&head, lock);
		lock->list.next = BAD_PTR;
		lock->futex = sys_gettid();
	}));
	CHECK_EQ(lock->futex, FUTEX_OWNER_DIED);
	/* A ring that never comes back to its head ends too. */
	JOIN(SPAWN({
		struct robust_list_head head;
		set_list(&head, lock);
		lock->list.next = &lock->list;
	}));
	JOIN(SPAWN(syscall(SYS_set_robust_list, BAD_PTR, sizeof(struct robust_list_head))));
}

TEST(get_and_set)
{
	struct robust_list_head head, *got;
	struct lock lock;
	size_t size = 0;
	set_list(&head, &lock);
	CHECK_OK(syscall(SYS_get_robust_list, 0, &got, &size));
	CHECK(got == &head);
	CHECK_EQ(size, sizeof head);
	CHECK_ERR(syscall(SYS_set_robust_list, &head, 7), EINVAL);
	CHECK_ERR(syscall(SYS_get_robust_list, 0x3fffffff, &got, &size), ESRCH);
	CHECK_ERR(syscall(SYS_get_robust_list, 0, BAD_PTR, &size), EFAULT);
	CHECK_OK(syscall(SYS_set_robust_list, NULL, sizeof head));
}

TEST(robust_mutexes)
{
	pthread_mutex_t *m = (void *)shared_words();
	pthread_mutexattr_t attr;
	CHECK_EQ(pthread_mutexattr_init(&attr), 0);
	CHECK_EQ(pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED), 0);
	CHECK_EQ(pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST), 0);
	CHECK_EQ(pthread_mutex_init(m, &attr), 0);
	JOIN(SPAWN(CHECK_EQ(pthread_mutex_lock(m), 0)));
	CHECK_EQ(pthread_mutex_lock(m), EOWNERDEAD);
	CHECK_EQ(pthread_mutex_consistent(m), 0);
	CHECK_EQ(pthread_mutex_unlock(m), 0);
	CHECK_EQ(pthread_mutex_lock(m), 0);
	CHECK_EQ(pthread_mutex_unlock(m), 0);
}
