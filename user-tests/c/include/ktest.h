/*
 * ktest: the vocabulary of the C tests.
 *
 *   TEST(name) { ... }        one case; runs in a process of its own, in an
 *                             empty directory, with a timeout (TEST_FOR gives
 *                             another one, in seconds)
 *   CHECK(cond)               must be true
 *   CHECK_EQ(a, b)            two integers must be equal
 *   CHECK_OK(expr)            must not be -1; its value is the call's result
 *   CHECK_ERR(expr, errno)    must be -1 with exactly this errno
 *   BAD_PTR                   an address that is never mapped
 *   SKIP(reason)              this target cannot run the case
 *   pid = SPAWN(stmts)        fork; the child runs stmts and exits with 0
 *   JOIN(pid)                 wait for pid; it must exit with 0
 *   ROLE(name) { ... }        what this program does when it is executed with
 *                             "role:name" as argv[0], or KT_ROLE=name in its
 *                             environment: int (int argc, char **argv)
 *
 * The first failing check prints where and why and ends its process with
 * status 1, so a child's failure reaches the case through JOIN. The verdict of
 * a case is its exit status (0 passed, 77 skipped, anything else failed) and the
 * verdict of a program is its own: 0 only when no case failed. TAP on stdout is
 * for people and for naming cases. With an argument, only the case of that name
 * runs.
 */
#pragma once

#include <sys/syscall.h>

#include "ktest_io.h"

#ifndef KT_NAME /* "area/file", given by the build */
#define KT_NAME "unnamed"
#endif

#define KT_SKIPPED 77
#define KT_TIMEOUT 30

/* Who looks whether the machine spoils a case: steady.h has one. */
struct kt_watch {
	void (*begin)(void), (*end)(void);
	int (*spoilt)(void); /* was the run that just failed? */
};

struct kt_case {
	const char *name;
	void (*run)(void);
	int line, timeout;
	const struct kt_watch *watch;
	struct kt_case *next;
};

static struct kt_case *kt_cases;

static inline void kt_register(struct kt_case *c)
{
	struct kt_case **at = &kt_cases;
	while (*at && (*at)->line < c->line)
		at = &(*at)->next;
	c->next = *at;
	*at = c;
}

#define TEST(name) TEST_FOR(name, KT_TIMEOUT)
#define TEST_FOR(name, seconds) KT_TEST(name, seconds, NULL)
#define KT_TEST(name, seconds, watch)                                          \
	static void kt_run_##name(void);                                       \
	static struct kt_case kt_case_##name = { #name, kt_run_##name, __LINE__, \
						 seconds, watch, NULL };       \
	__attribute__((constructor)) static void kt_reg_##name(void)           \
	{                                                                      \
		kt_register(&kt_case_##name);                                  \
	}                                                                      \
	static void kt_run_##name(void)

struct kt_role {
	const char *name;
	int (*run)(int argc, char **argv);
	struct kt_role *next;
};

static struct kt_role *kt_roles;

#define ROLE(role)                                                             \
	static int kt_role_run_##role(int argc, char **argv);                  \
	static struct kt_role kt_role_##role = { #role, kt_role_run_##role,    \
						 NULL };                       \
	__attribute__((constructor)) static void kt_role_reg_##role(void)      \
	{                                                                      \
		kt_role_##role.next = kt_roles;                                \
		kt_roles = &kt_role_##role;                                    \
	}                                                                      \
	static int kt_role_run_##role(__attribute__((unused)) int argc,        \
				      __attribute__((unused)) char **argv)

#define KT_FAIL(fmt, ...)                                                      \
	do {                                                                   \
		int kt_errno = errno;                                          \
		kt_say("# %s.c:%d: " fmt "\n", KT_NAME, __LINE__, __VA_ARGS__);\
		errno = kt_errno;                                              \
		_exit(1);                                                      \
	} while (0)

#define CHECK(cond)                                                            \
	do {                                                                   \
		if (!(cond))                                                   \
			KT_FAIL("CHECK(%s) is false, errno %d (%s)", #cond,    \
				errno, strerror(errno));                       \
	} while (0)

#define CHECK_EQ(a, b)                                                         \
	do {                                                                   \
		long long kt_a = (long long)(a), kt_b = (long long)(b);        \
		if (kt_a != kt_b)                                              \
			KT_FAIL("%s is %lld (0x%llx), not %s = %lld (0x%llx)", \
				#a, kt_a, kt_a, #b, kt_b, kt_b);               \
	} while (0)

#define CHECK_OK(expr)                                                         \
	({                                                                     \
		__typeof__(expr) kt_v = (expr);                                \
		if ((long)kt_v == -1)                                          \
			KT_FAIL("%s failed: errno %d (%s)", #expr, errno,      \
				strerror(errno));                              \
		kt_v;                                                          \
	})

#define CHECK_ERR(expr, want)                                                  \
	do {                                                                   \
		errno = 0;                                                     \
		long kt_v = (long)(expr);                                      \
		if (kt_v != -1)                                                \
			KT_FAIL("%s gave %ld, not " #want, #expr, kt_v);       \
		if (errno != (want))                                           \
			KT_FAIL("%s failed with %d (%s), not " #want, #expr,   \
				errno, strerror(errno));                       \
	} while (0)

#define SKIP(reason)                                                           \
	do {                                                                   \
		kt_say("# skip: %s\n", reason);                                \
		_exit(KT_SKIPPED);                                             \
	} while (0)

#define SPAWN(...)                                                             \
	({                                                                     \
		pid_t kt_pid = CHECK_OK(fork());                               \
		if (kt_pid == 0) {                                             \
			__VA_ARGS__;                                           \
			_exit(0);                                              \
		}                                                              \
		kt_pid;                                                        \
	})

#define JOIN(pid)                                                              \
	do {                                                                   \
		int kt_status = kt_wait(pid);                                  \
		if (WIFEXITED(kt_status) &&                                    \
		    WEXITSTATUS(kt_status) == KT_SKIPPED)                      \
			_exit(KT_SKIPPED);                                     \
		if (kt_status != 0)                                            \
			KT_FAIL("the child ended with status 0x%x", kt_status);\
	} while (0)

/* The wait status of a child, however often the wait is interrupted; -1 if
 * there is no such child. */
static inline int kt_wait(pid_t pid)
{
	int status;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return status;
}

/* The compiler must not see that it is bad. */
static inline void *kt_bad_ptr(void)
{
	void *bad = (void *)8;
	__asm__ volatile("" : "+r"(bad));
	return bad;
}
#define BAD_PTR kt_bad_ptr()

/* True where the tests share a machine with others (native runs). */
static inline int kt_native(void)
{
	return getenv("KTEST_NATIVE") != NULL;
}

/* Poll until cond holds; fails the case after ten seconds, or as many as it says. */
#define WAIT_FOR(cond) WAIT_SECONDS(10, cond)
#define WAIT_SECONDS(seconds, cond)                                            \
	do {                                                                   \
		long long kt_end = kt_now_ms() + (seconds) * 1000;             \
		while (!(cond)) {                                              \
			if (kt_now_ms() > kt_end)                              \
				KT_FAIL("waited in vain for %s", #cond);       \
			kt_sleep_ms(2);                                        \
		}                                                              \
	} while (0)

/* Run one case and give its exit status, or minus the signal that ended it.
 * SIGCHLD is blocked here, so a case that hangs is noticed by sigtimedwait. */
static inline int kt_run(const struct kt_case *c, const sigset_t *mask)
{
	char dir[64];
	snprintf(dir, sizeof dir, "case-%s", c->name);
	mkdir(dir, 0755);
	pid_t pid = fork();
	if (pid < 0) {
		kt_say("# fork: %s\n", strerror(errno));
		return 1;
	}
	if (pid == 0) {
		setpgid(0, 0);
		if (chdir(dir) < 0)
			kt_say("# no directory %s\n", dir);
		sigprocmask(SIG_SETMASK, mask, NULL);
		c->run();
		_exit(0);
	}
	setpgid(pid, pid);
	sigset_t chld;
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	long long end = kt_now_ms() + c->timeout * 1000LL;
	int status;
	pid_t got;
	while ((got = waitpid(pid, &status, WNOHANG)) == 0) {
		long long left = end - kt_now_ms();
		if (left <= 0) {
			kt_say("# %s: no end after %d s\n", c->name, c->timeout);
			kill(-pid, SIGKILL);
			kill(pid, SIGKILL);
			got = waitpid(pid, &status, 0);
			break;
		}
		struct timespec t = { left / 1000, left % 1000 * 1000000 };
		sigtimedwait(&chld, NULL, &t);
	}
	kill(-pid, SIGKILL);
	if (got != pid)
		return 1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

#define KT_TRIES 20

/* Runs a case once, or until it was not spoilt. */
static inline int kt_judge(const struct kt_case *c, const sigset_t *mask)
{
	if (!c->watch)
		return kt_run(c, mask);
	int end, tries = 0;
	c->watch->begin();
	while ((end = kt_run(c, mask)) != 0 && end != KT_SKIPPED && ++tries < KT_TRIES && c->watch->spoilt())
		kt_say("# %s: once more\n", c->name);
	c->watch->end();
	return end;
}

int main(int argc, char **argv)
{
	const char *role = getenv("KT_ROLE");
	if (argc > 0 && !strncmp(argv[0], "role:", 5))
		role = argv[0] + 5;
	for (struct kt_role *r = kt_roles; role && r; r = r->next)
		if (!strcmp(r->name, role))
			return r->run(argc, argv);
	sigset_t chld, mask;
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, &mask);
	int total = 0, number = 0, failed = 0;
	for (struct kt_case *c = kt_cases; c; c = c->next)
		total += argc < 2 || !strcmp(argv[1], c->name);
	kt_say("1..%d\n", total);
	for (struct kt_case *c = kt_cases; c; c = c->next) {
		if (argc >= 2 && strcmp(argv[1], c->name))
			continue;
		number++;
		int end = kt_judge(c, &mask);
		if (end == 0)
			kt_say("ok %d - %s:%s\n", number, KT_NAME, c->name);
		else if (end == KT_SKIPPED)
			kt_say("ok %d - %s:%s # SKIP\n", number, KT_NAME, c->name);
		else if (end > 0)
			kt_say("not ok %d - %s:%s # exit %d\n", number, KT_NAME,
			       c->name, end);
		else
			kt_say("not ok %d - %s:%s # signal %d\n", number, KT_NAME,
			       c->name, -end);
		failed += end != 0 && end != KT_SKIPPED;
	}
	return total == 0 || failed;
}
