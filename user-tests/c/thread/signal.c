/* Signals and threads: who gets what. */
#include <pthread.h>

#include "proc.h"
#include "sys.h"

static volatile pid_t handled_by;
static volatile int count;

static void note(int sig)
{
	(void)sig;
	handled_by = sys_gettid();
	__atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST);
}

static void *park(void *arg)
{
	*(volatile pid_t *)arg = sys_gettid();
	for (;;)
		pause();
	return NULL;
}

static pid_t start(void)
{
	pthread_t t;
	static volatile pid_t tid;
	tid = 0;
	CHECK_EQ(pthread_create(&t, NULL, park, (void *)&tid), 0);
	WAIT_FOR(tid != 0);
	return tid;
}

static void block(int how, int sig)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, sig);
	CHECK_EQ(pthread_sigmask(how, &set, NULL), 0);
}

TEST(tgkill_chooses_the_thread)
{
	signal(SIGUSR1, note);
	pid_t a = start(), b = start();
	CHECK_OK(sys_tgkill(getpid(), a, SIGUSR1));
	WAIT_FOR(handled_by == a);
	CHECK_OK(sys_tgkill(getpid(), b, SIGUSR1));
	WAIT_FOR(handled_by == b);
	CHECK_OK(syscall(SYS_tkill, a, SIGUSR1));
	WAIT_FOR(handled_by == a);
}

TEST(a_process_signal_goes_to_a_thread_that_takes_it)
{
	signal(SIGUSR1, note);
	pid_t other = start();
	block(SIG_BLOCK, SIGUSR1);
	CHECK_OK(kill(getpid(), SIGUSR1));
	WAIT_FOR(handled_by == other);
	/* Also when the signal was pending before anyone wanted it. */
}

TEST(a_thread_signal_waits_for_its_thread)
{
	sigset_t pending;
	signal(SIGUSR1, note);
	pid_t other = start();
	block(SIG_BLOCK, SIGUSR1);
	CHECK_OK(sys_tgkill(getpid(), sys_gettid(), SIGUSR1));
	kt_sleep_ms(50);
	CHECK_EQ(count, 0);
	sigpending(&pending);
	CHECK(sigismember(&pending, SIGUSR1));
	block(SIG_UNBLOCK, SIGUSR1);
	CHECK_EQ(count, 1);
	CHECK_EQ(handled_by, getpid());
	CHECK(other != handled_by);
}

static void *unblock_later(void *arg)
{
	kt_sleep_ms(50);
	block(SIG_UNBLOCK, SIGUSR1);
	*(volatile pid_t *)arg = sys_gettid();
	kt_sleep_ms(50);
	return NULL;
}

TEST(shared_pending_is_taken_by_who_unblocks)
{
	pthread_t t;
	volatile pid_t tid = 0;
	signal(SIGUSR1, note);
	block(SIG_BLOCK, SIGUSR1);
	CHECK_EQ(pthread_create(&t, NULL, unblock_later, (void *)&tid), 0);
	CHECK_OK(kill(getpid(), SIGUSR1));
	CHECK_EQ(pthread_join(t, NULL), 0);
	CHECK_EQ(count, 1);
	CHECK_EQ(handled_by, tid);
}

static void *wait_for_usr2(void *arg)
{
	sigset_t set;
	int sig;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	*(volatile int *)arg = 1;
	sigwait(&set, &sig);
	return (void *)(long)sig;
}

TEST(sigwait_in_a_thread)
{
	pthread_t t;
	volatile int ready = 0;
	void *sig;
	block(SIG_BLOCK, SIGUSR2);
	CHECK_EQ(pthread_create(&t, NULL, wait_for_usr2, (void *)&ready), 0);
	WAIT_FOR(ready);
	CHECK_OK(kill(getpid(), SIGUSR2));
	CHECK_EQ(pthread_join(t, &sig), 0);
	CHECK_EQ((long)sig, SIGUSR2);
}

TEST(stop_and_continue_all)
{
	int end[2], status;
	char c;
	CHECK_OK(pipe(end));
	pid_t child = SPAWN({
		start();
		start();
		CHECK_EQ(write(end[1], "x", 1), 1);
		for (;;)
			;
	});
	CHECK_EQ(read(end[0], &c, 1), 1);
	for (int i = 0; i < 10; i++) {
		kill(child, SIGSTOP);
		CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
		CHECK(WIFSTOPPED(status));
		kill(child, SIGCONT);
		CHECK_EQ(waitpid(child, &status, WCONTINUED), child);
	}
	kill(child, SIGKILL);
	CHECK_EQ(kt_wait(child), SIGKILL);
}

static void *mask_of(void *arg)
{
	pthread_sigmask(SIG_BLOCK, NULL, arg);
	return NULL;
}

TEST(masks_are_inherited_and_separate)
{
	pthread_t t;
	sigset_t seen;
	block(SIG_BLOCK, SIGHUP);
	CHECK_EQ(pthread_create(&t, NULL, mask_of, &seen), 0);
	CHECK_EQ(pthread_join(t, NULL), 0);
	CHECK(sigismember(&seen, SIGHUP));
}

static void *cancellable(void *arg)
{
	*(volatile int *)arg = 1;
	for (;;)
		sleep(10);
	return NULL;
}

TEST(cancellation)
{
	pthread_t t;
	volatile int ready = 0;
	void *result;
	CHECK_EQ(pthread_create(&t, NULL, cancellable, (void *)&ready), 0);
	WAIT_FOR(ready);
	CHECK_EQ(pthread_cancel(t), 0);
	CHECK_EQ(pthread_join(t, &result), 0);
	CHECK(result == PTHREAD_CANCELED);
}

static void *storm(void *arg)
{
	pid_t target = (pid_t)(long)arg;
	for (int i = 0; i < 500; i++)
		sys_tgkill(getpid(), target, SIGUSR1);
	return NULL;
}

TEST(a_storm_of_signals)
{
	pthread_t t[4];
	int end[2];
	char c;
	struct sigaction act = { .sa_handler = note, .sa_flags = SA_RESTART };
	CHECK_OK(sigaction(SIGUSR1, &act, NULL));
	CHECK_OK(pipe(end));
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, storm, (void *)(long)sys_gettid()), 0);
	for (int i = 0; i < 200; i++) {
		CHECK_EQ(write(end[1], "x", 1), 1);
		CHECK_EQ(read(end[0], &c, 1), 1);
	}
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
	CHECK(count > 0);
}
