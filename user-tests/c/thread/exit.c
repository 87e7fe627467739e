/* The end of threads and of their process. */
#include <pthread.h>

#include "proc.h"
#include "sys.h"

static volatile int up;

static void *park(void *arg)
{
	(void)arg;
	up++;
	for (;;)
		pause();
	return NULL;
}

static void *spin(void *arg)
{
	(void)arg;
	up++;
	for (;;)
		;
	return NULL;
}

static void start(void *(*run)(void *), int n)
{
	pthread_t t;
	up = 0;
	for (int i = 0; i < n; i++)
		CHECK_EQ(pthread_create(&t, NULL, run, NULL), 0);
	WAIT_FOR(up > 0);
}

TEST(exit_group_ends_all)
{
	CHECK_EQ(kt_wait(SPAWN(start(park, 4); _exit(7))), 0x700);
	CHECK_EQ(kt_wait(SPAWN(start(spin, 3); _exit(8))), 0x800);
}

static void *exit_all(void *arg)
{
	_exit((int)(long)arg);
}

TEST(exit_group_of_another_thread)
{
	pid_t child = SPAWN({
		pthread_t t;
		start(park, 2);
		pthread_create(&t, NULL, exit_all, (void *)5L);
		for (;;)
			pause();
	});
	CHECK_EQ(kt_wait(child), 0x500);
}

TEST(a_fatal_signal_ends_all)
{
	pid_t child = SPAWN(start(spin, 2); for (;;) pause());
	kt_sleep_ms(50);
	kill(child, SIGTERM);
	CHECK_EQ(kt_wait(child), SIGTERM);
}

static void *fault(void *arg)
{
	(void)arg;
	*(volatile char *)BAD_PTR = 1;
	return NULL;
}

TEST(a_fault_in_one_ends_all)
{
	pid_t child = SPAWN({
		pthread_t t;
		start(park, 2);
		pthread_create(&t, NULL, fault, NULL);
		for (;;)
			pause();
	});
	CHECK_EQ(kt_wait(child) & 0x7f, SIGSEGV);
}

static void *outlive(void *arg)
{
	kt_sleep_ms(100);
	CHECK_EQ(kt_state(getpid()), 'Z');
	CHECK_EQ(write((int)(long)arg, "x", 1), 1);
	syscall(SYS_exit, 3);
	return NULL;
}

TEST(the_process_outlives_its_first_thread)
{
	int end[2];
	char c;
	CHECK_OK(pipe(end));
	pid_t child = SPAWN({
		pthread_t t;
		pthread_create(&t, NULL, outlive, (void *)(long)end[1]);
		syscall(SYS_exit, 4);
	});
	CHECK_OK(close(end[1]));
	kt_sleep_ms(30);
	CHECK_EQ(waitpid(child, NULL, WNOHANG), 0);
	CHECK_EQ(read(end[0], &c, 1), 1);
	/* The last thread's code is the process's. */
	CHECK_EQ(kt_wait(child), 0x300);
}

static void *exec_now(void *arg)
{
	(void)arg;
	char pid[16];
	snprintf(pid, sizeof pid, "%d", getpid());
	execl("/proc/self/exe", "role:after_exec", pid, NULL);
	return NULL;
}

ROLE(after_exec)
{
	CHECK_EQ(getpid(), atoi(argv[1]));
	CHECK_EQ(sys_gettid(), getpid());
	CHECK_EQ(kt_field("/proc/self/status", "Threads:"), 1);
	return 6;
}

TEST(exec_ends_the_others_and_takes_the_pid)
{
	pid_t child = SPAWN({
		pthread_t t;
		start(park, 3);
		start(spin, 2);
		pthread_create(&t, NULL, exec_now, NULL);
		for (;;)
			pause();
	});
	CHECK_EQ(kt_wait(child), 0x600);
}

TEST(exec_races_have_one_winner)
{
	for (int i = 0; i < 10; i++)
		CHECK_EQ(kt_wait(SPAWN({
			pthread_t t;
			for (int n = 0; n < 4; n++)
				pthread_create(&t, NULL, exec_now, NULL);
			for (;;)
				pause();
		})), 0x600);
}

static void *return_at_once(void *arg)
{
	return arg;
}

TEST_FOR(a_thousand_come_and_go, 120)
{
	for (int i = 0; i < 100; i++) {
		pthread_t t[10];
		for (long n = 0; n < 10; n++)
			CHECK_EQ(pthread_create(&t[n], NULL, return_at_once, (void *)n), 0);
		for (long n = 0; n < 10; n++) {
			void *result;
			CHECK_EQ(pthread_join(t[n], &result), 0);
			CHECK_EQ((long)result, n);
		}
	}
	/* A joined thread may still be on its way out. */
	WAIT_FOR(kt_field("/proc/self/status", "Threads:") == 1);
}

TEST(detached_threads_vanish)
{
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_t t;
	for (int i = 0; i < 100; i++)
		CHECK_EQ(pthread_create(&t, &attr, return_at_once, NULL), 0);
	WAIT_FOR(kt_field("/proc/self/status", "Threads:") == 1);
}

TEST(many_at_once)
{
	enum { N = 200 };
	static pthread_t t[N];
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 16384);
	int made = 0;
	for (; made < N; made++)
		CHECK_EQ(pthread_create(&t[made], &attr, park, NULL), 0);
	CHECK_EQ(kt_field("/proc/self/status", "Threads:"), N + 1);
	_exit(0);
}
