/*
 * seccomp(2) and threads: who is filtered, who is killed, SECCOMP_FILTER_FLAG_TSYNC.
 */
#include <pthread.h>
#include <sys/resource.h>

#include "bpf_filter.h"
#include "proc.h"
#include "sys.h"

#define TSYNC SECCOMP_FILTER_FLAG_TSYNC
#define TSYNC_ESRCH SECCOMP_FILTER_FLAG_TSYNC_ESRCH

static int go[2];
static volatile pid_t other;
static volatile int result;

static void wait_go(void)
{
	char byte;
	CHECK_EQ(read(go[0], &byte, 1), 1);
}

static void let_go(void)
{
	CHECK_EQ(write(go[1], "x", 1), 1);
}

static pthread_t start(void *(*run)(void *))
{
	pthread_t thread;
	CHECK_OK(pipe(go));
	CHECK_EQ(pthread_create(&thread, NULL, run, NULL), 0);
	WAIT_FOR(other != 0);
	return thread;
}

static void *asks_parent(__attribute__((unused)) void *arg)
{
	other = sys_gettid();
	wait_go();
	result = syscall(SYS_getppid) == -1 ? errno : 0;
	return (void *)(long)prctl(PR_GET_SECCOMP);
}

TEST(a_filter_is_the_threads_own)
{
	void *mode;
	pthread_t thread = start(asks_parent);
	install(ON_CALL(SYS_getppid, SECCOMP_RET_ERRNO | 5));
	let_go();
	CHECK_EQ(pthread_join(thread, &mode), 0);
	CHECK_EQ(result, 0);
	CHECK_EQ((long)mode, 0);
}

TEST(a_new_thread_inherits)
{
	void *mode;
	install(ON_CALL(SYS_getppid, SECCOMP_RET_ERRNO | 5));
	pthread_t thread = start(asks_parent);
	let_go();
	CHECK_EQ(pthread_join(thread, &mode), 0);
	CHECK_EQ(result, 5);
	CHECK_EQ((long)mode, 2);
}

TEST(tsync_reaches_all)
{
	void *mode;
	char path[64];
	pthread_t thread = start(asks_parent);
	struct sock_fprog prog = ON_CALL(SYS_getppid, SECCOMP_RET_ERRNO | 5);
	no_new_privs();
	CHECK_EQ(sys_seccomp(SECCOMP_SET_MODE_FILTER, TSYNC, &prog), 0);
	snprintf(path, sizeof path, "/proc/self/task/%d/status", other);
	CHECK_EQ(kt_field(path, "NoNewPrivs:"), 1);
	CHECK_EQ(kt_field(path, "Seccomp:"), 2);
	CHECK_EQ(kt_field(path, "Seccomp_filters:"), 1);
	let_go();
	CHECK_EQ(pthread_join(thread, &mode), 0);
	CHECK_EQ(result, 5);
	CHECK_EQ((long)mode, 2);
}

TEST(tsync_goes_over_an_ancestors_filter)
{
	void *mode;
	install(ON_CALL(SYS_getpgrp, SECCOMP_RET_ERRNO | 6));
	pthread_t thread = start(asks_parent);
	install(ON_CALL(SYS_getpgrp, SECCOMP_RET_ERRNO | 7));
	struct sock_fprog prog = ON_CALL(SYS_getppid, SECCOMP_RET_ERRNO | 5);
	CHECK_EQ(sys_seccomp(SECCOMP_SET_MODE_FILTER, TSYNC, &prog), 0);
	CHECK_EQ(kt_field("/proc/self/status", "Seccomp_filters:"), 3);
	let_go();
	CHECK_EQ(pthread_join(thread, &mode), 0);
	CHECK_EQ(result, 5);
}

static void *diverges(__attribute__((unused)) void *arg)
{
	install(PROG(RET(SECCOMP_RET_ALLOW)));
	return asks_parent(arg);
}

TEST(tsync_names_the_thread_that_differs)
{
	void *mode;
	pthread_t thread = start(diverges);
	struct sock_fprog prog = ON_CALL(SYS_getppid, SECCOMP_RET_ERRNO | 5);
	no_new_privs();
	CHECK_EQ(sys_seccomp(SECCOMP_SET_MODE_FILTER, TSYNC, &prog), other);
	CHECK_ERR(sys_seccomp(SECCOMP_SET_MODE_FILTER, TSYNC | TSYNC_ESRCH, &prog), ESRCH);
	CHECK_EQ(prctl(PR_GET_SECCOMP), 0);
	let_go();
	CHECK_EQ(pthread_join(thread, &mode), 0);
	CHECK_EQ(result, 0);
}

static void *is_killed(__attribute__((unused)) void *arg)
{
	install(ON_CALL(SYS_getppid, SECCOMP_RET_KILL_THREAD));
	other = sys_gettid();
	syscall(SYS_getppid);
	result = 1;
	return NULL;
}

TEST(kill_thread_kills_one)
{
	pthread_t thread;
	CHECK_EQ(pthread_create(&thread, NULL, is_killed, NULL), 0);
	WAIT_FOR(other != 0 && kt_field("/proc/self/status", "Threads:") == 1);
	CHECK_EQ(result, 0);
	CHECK(syscall(SYS_getppid) > 0);
}

static void *kills_all(__attribute__((unused)) void *arg)
{
	install(ON_CALL(SYS_getppid, SECCOMP_RET_KILL_PROCESS));
	syscall(SYS_getppid);
	return NULL;
}

TEST(kill_process_kills_all)
{
	pid_t pid = SPAWN({
		pthread_t thread;
		struct rlimit none = { 0, 0 };
		setrlimit(RLIMIT_CORE, &none);
		CHECK_EQ(pthread_create(&thread, NULL, kills_all, NULL), 0);
		for (;;)
			pause();
	});
	CHECK_EQ(kt_wait(pid), SIGSYS);
}

static void *strict(__attribute__((unused)) void *arg)
{
	CHECK_OK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
	other = 1;
	syscall(SYS_getpid);
	result = 1;
	return NULL;
}

TEST(strict_mode_kills_one_thread)
{
	pthread_t thread;
	CHECK_EQ(pthread_create(&thread, NULL, strict, NULL), 0);
	WAIT_FOR(other != 0 && kt_field("/proc/self/status", "Threads:") == 1);
	CHECK_EQ(result, 0);
}
