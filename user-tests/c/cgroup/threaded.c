/* Threaded cgroups: Documentation/admin-guide/cgroup-v2.rst, "Threads". */
#include <pthread.h>

#include "cgroup.h"

static pid_t tid_of_other;
static int stop;

static void *idle(void *arg)
{
	(void)arg;
	__atomic_store_n(&tid_of_other, (pid_t)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST))
		kt_sleep_ms(1);
	return NULL;
}

static pid_t start(pthread_t *thread)
{
	CHECK_EQ(pthread_create(thread, NULL, idle, NULL), 0);
	WAIT_FOR(__atomic_load_n(&tid_of_other, __ATOMIC_SEQ_CST) != 0);
	return tid_of_other;
}

static void end(pthread_t thread)
{
	__atomic_store_n(&stop, 1, __ATOMIC_SEQ_CST);
	pthread_join(thread, NULL);
}

TEST(only_threaded_is_written_to_the_type)
{
	cg2();
	const char *a = cg_new("");
	CHECK_ERR(cg_write(a, "cgroup.type", "domain"), EINVAL);
	CHECK_ERR(cg_write(a, "cgroup.type", "x"), EINVAL);
	CHECK_OK(cg_write(a, "cgroup.type", "threaded\n"));
	CG_IS(a, "cgroup.type", "threaded\n");
	CHECK_OK(cg_write(a, "cgroup.type", "threaded"));
	CHECK_ERR(cg_write(a, "cgroup.type", "domain"), EINVAL);
	cg_drop(a);
}

TEST(types_of_a_threaded_subtree)
{
	cg2();
	const char *a = cg_new(""), *b = cg_new(a), *c = cg_new(a), *d = cg_new(b);
	CHECK_OK(cg_write(b, "cgroup.type", "threaded"));
	CG_IS(a, "cgroup.type", "domain threaded\n");
	CG_IS(b, "cgroup.type", "threaded\n");
	CG_IS(c, "cgroup.type", "domain invalid\n");
	CG_IS(d, "cgroup.type", "domain invalid\n");
	/* A domain that is invalid takes nothing and enables nothing. */
	CHECK_ERR(cg_write(c, "cgroup.procs", "0"), EOPNOTSUPP);
	CHECK_OK(cg_write(d, "cgroup.type", "threaded"));
	CHECK_OK(cg_write(c, "cgroup.type", "threaded"));
	CG_IS(c, "cgroup.type", "threaded\n");
	CHECK_OK(rmdir(cg_path("%s", d)));
	CHECK_OK(rmdir(cg_path("%s", c)));
	CHECK_OK(rmdir(cg_path("%s", b)));
	CG_IS(a, "cgroup.type", "domain\n");
	cg_drop(a);
}

TEST(a_populated_cgroup_does_not_become_threaded)
{
	cg2();
	const char *a = cg_new("");
	pid_t child = cg_sleeper(a);
	CHECK_ERR(cg_write(a, "cgroup.type", "threaded"), EOPNOTSUPP);
	cg_end(child);
	cg_drop(a);
}

TEST(threads_are_spread_in_a_threaded_subtree)
{
	cg2();
	const char *a = cg_new(""), *b = cg_new(a), *c = cg_new(a);
	CHECK_OK(cg_write(b, "cgroup.type", "threaded"));
	CHECK_OK(cg_write(c, "cgroup.type", "threaded"));
	pthread_t thread;
	pid_t tid = start(&thread);
	cg_enter(a);
	CHECK(cg_has_pid(a, "cgroup.threads", tid));
	CHECK_OK(cg_put(b, "cgroup.threads", tid));
	CHECK(cg_has_pid(b, "cgroup.threads", tid));
	CHECK(!cg_has_pid(a, "cgroup.threads", tid));
	CHECK(cg_has_pid(a, "cgroup.threads", getpid()));
	CHECK(cg_has_pid(a, "cgroup.procs", getpid()));
	char buf[64];
	CHECK_ERR(cg_get(b, "cgroup.procs", buf, sizeof buf), EOPNOTSUPP);
	CHECK_OK(cg_put(c, "cgroup.threads", getpid()));
	/* The process still belongs to the domain, all of whose threads are below. */
	CHECK(cg_has_pid(a, "cgroup.procs", getpid()));
	CG_IS(a, "cgroup.threads", "");
	/* A process moves as a whole through cgroup.procs. */
	CHECK_OK(cg_put(b, "cgroup.procs", getpid()));
	CHECK(cg_has_pid(b, "cgroup.threads", tid) && cg_has_pid(b, "cgroup.threads", getpid()));
	end(thread);
	CHECK_OK(cg_write("", "cgroup.procs", "0"));
	CHECK_OK(rmdir(cg_path("%s", c)));
	cg_drop(b);
	cg_drop(a);
}

TEST(a_thread_stays_in_its_domain)
{
	cg2();
	const char *a = cg_new(""), *b = cg_new("");
	pthread_t thread;
	pid_t tid = start(&thread);
	cg_enter(a);
	CHECK_ERR(cg_put(b, "cgroup.threads", tid), EOPNOTSUPP);
	CHECK(cg_has_pid(a, "cgroup.threads", tid));
	end(thread);
	cg_drop(b);
	cg_drop(a);
}

TEST(controllers_in_a_threaded_subtree)
{
	cg2();
	const char *a = cg_new(""), *b = cg_new(a);
	CHECK_OK(cg_write("", "cgroup.subtree_control", "+pids +memory"));
	/* pids is a threaded controller: it may be enabled beside processes. */
	cg_enter(a);
	CHECK_OK(cg_write(a, "cgroup.subtree_control", "+pids"));
	CG_IS(a, "cgroup.type", "domain threaded\n");
	CG_IS(b, "cgroup.type", "domain invalid\n");
	CHECK_ERR(cg_write(a, "cgroup.subtree_control", "+memory"), EOPNOTSUPP);
	CHECK_OK(cg_write(b, "cgroup.type", "threaded"));
	CHECK(!cg_has_word(b, "cgroup.controllers", "memory"));
	CHECK(cg_has_word(b, "cgroup.controllers", "pids"));
	CHECK_ERR(cg_write(b, "cgroup.subtree_control", "+memory"), ENOENT);
	CHECK_OK(cg_write(b, "cgroup.subtree_control", "+pids"));
	CHECK_OK(cg_write("", "cgroup.procs", "0"));
	CHECK_ERR(cg_write(b, "cgroup.kill", "1"), EOPNOTSUPP);
	cg_drop(b);
	cg_drop(a);
	CHECK_OK(cg_write("", "cgroup.subtree_control", "-pids -memory"));
}

TEST(domain_controllers_forbid_threaded_children)
{
	cg2();
	const char *a = cg_new(""), *b = cg_new(a);
	CHECK_OK(cg_write("", "cgroup.subtree_control", "+memory"));
	CHECK_OK(cg_write(a, "cgroup.subtree_control", "+memory"));
	CHECK_ERR(cg_write(b, "cgroup.type", "threaded"), EOPNOTSUPP);
	cg_drop(b);
	cg_drop(a);
	CHECK_OK(cg_write("", "cgroup.subtree_control", "-memory"));
}

TEST(a_leader_that_ends_early_still_counts)
{
	cg2();
	const char *a = cg_new("");
	pid_t child = SPAWN({
		pthread_t thread;
		start(&thread);
		syscall(SYS_exit, 0);
	});
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/task", (int)child);
	CHECK_OK(cg_put(a, "cgroup.procs", child));
	/* Only the other thread is left. */
	WAIT_FOR(!cg_has_pid(a, "cgroup.threads", child));
	WAIT_FOR(cg_has_pid(a, "cgroup.procs", child));
	CG_IS(a, "cgroup.events", "populated 1\nfrozen 0\n");
	cg_end(child);
	cg_drop(a);
}
