/* ktest: timeout=600 */
/*
 * Cgroups that are made, populated, frozen, killed, left and removed by several processes at once, while threads are
 * born and die in them; then everything is counted, which is why it comes before cases that leave some behind on Linux. `ktest_stress=SECONDS` makes it longer.
 */
#include <signal.h>
#include <sys/syscall.h>

#include "../stress/stress.h"
#include "cgroup.h"

enum { GROUPS = 6, MOVERS = 3 };

static const char *names[GROUPS];
static volatile int *stop;

static unsigned next_of(unsigned *seed)
{
	*seed = *seed * 1103515245 + 12345;
	return *seed >> 16;
}

static void *breathe(void *arg)
{
	(void)arg;
	volatile char page[8192];
	page[0] = page[4096] = 1;
	return NULL;
}

/* Forks and threads without end, in whatever cgroup it is moved to. */
static void breed(void)
{
	signal(SIGCHLD, SIG_IGN);
	while (!*stop) {
		pthread_t thread;
		if (pthread_create(&thread, NULL, breathe, NULL) == 0)
			pthread_join(thread, NULL);
		pid_t child = fork();
		if (child == 0) {
			char *at = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			if (at != MAP_FAILED)
				memset(at, 1, 65536);
			_exit(0);
		}
	}
	_exit(0);
}

/* Any of what may be done to a cgroup; nothing of it may fail in a way that is not known. */
static void disturb(unsigned seed, const char *const *hierarchy_files, int v2)
{
	while (!*stop) {
		const char *a = names[next_of(&seed) % GROUPS];
		int done = 0;
		switch (next_of(&seed) % 8) {
		case 0:
			done = rmdir(cg_path("%s", a));
			break;
		case 1:
			done = mkdir(cg_path("%s", a), 0755);
			break;
		case 2:
			done = cg_write(a, hierarchy_files[0], hierarchy_files[1]);
			kt_sleep_ms(1);
			done = cg_write(a, hierarchy_files[0], hierarchy_files[2]);
			break;
		case 3:
			if (v2 && next_of(&seed) % 4 == 0)
				done = cg_write(a, "cgroup.kill", "1");
			break;
		default: {
			/* A breeder for each of them, born into the cgroup or moved to it. */
			pid_t child = fork();
			if (child == 0) {
				if (cg_write(a, "cgroup.procs", "0") < 0 && errno != ENOENT && errno != ENODEV
				    && errno != ENOSPC && errno != EOPNOTSUPP)
					_exit(9);
				for (int i = next_of(&seed) % 20; i > 0; i--) {
					pid_t kid = fork();
					if (kid == 0) {
						pthread_t thread;
						if (pthread_create(&thread, NULL, breathe, NULL) == 0)
							pthread_join(thread, NULL);
						_exit(0);
					}
					if (i % 3 == 0)
						cg_write(names[next_of(&seed) % GROUPS], "cgroup.procs", "0");
					waitpid(kid, NULL, 0);
				}
				_exit(0);
			}
			/* It may be frozen: whoever froze it thaws it. */
			int status = 0;
			while (child > 0 && waitpid(child, &status, WNOHANG) == 0) {
				for (int i = 0; i < GROUPS; i++)
					cg_write(names[i], hierarchy_files[0], hierarchy_files[2]);
				kt_sleep_ms(1);
			}
			CHECK(!WIFEXITED(status) || WEXITSTATUS(status) == 0);
		}
		}
		CHECK(done == 0 || errno == ENOENT || errno == EEXIST || errno == EBUSY || errno == ENODEV);
	}
	_exit(0);
}

/* Moves breeders around. */
static void move(unsigned seed, const pid_t *breeders, int n)
{
	while (!*stop) {
		const char *a = next_of(&seed) % 5 ? names[next_of(&seed) % GROUPS] : "";
		if (cg_put(a, "cgroup.procs", breeders[next_of(&seed) % n]) < 0)
			CHECK(errno == ENOENT || errno == ENODEV || errno == ESRCH || errno == ENOSPC || errno == EBUSY
			      || errno == EOPNOTSUPP || errno == ENOMEM);
	}
	_exit(0);
}

static const char *const *freezer;
static int second;

static void round_of_all(void)
{
	pid_t breeders[3];
	pid_t others[2 * MOVERS];
	*stop = 0;
	for (int i = 0; i < 3; i++)
		if ((breeders[i] = fork()) == 0)
			breed();
	for (int i = 0; i < MOVERS; i++) {
		if ((others[i] = fork()) == 0)
			disturb(getpid() * 7919 + i, freezer, second);
		if ((others[MOVERS + i] = fork()) == 0)
			move(getpid() * 104729 + i, breeders, 3);
	}
	kt_sleep_ms(stress_ms() / 4 < 5000 ? stress_ms() / 4 : 5000);
	*stop = 1;
	for (int i = 0; i < 2 * MOVERS; i++) {
		int status = kt_wait(others[i]);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	}
	for (int i = 0; i < GROUPS; i++)
		cg_write(names[i], freezer[0], freezer[2]);
	for (int i = 0; i < 3; i++) {
		kill(breeders[i], SIGKILL);
		kt_wait(breeders[i]);
	}
	for (int i = GROUPS - 1; i >= 0; i--)
		WAIT_FOR(rmdir(cg_path("%s", names[i])) == 0 || errno == ENOENT);
}

static void prepare(void)
{
	stop = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < GROUPS; i++) {
		char *name = malloc(64);
		/* Three beside each other, and three below the first. */
		snprintf(name, 64, i < 3 ? "s%d.%d" : "s%d.0/%d", getpid(), i);
		names[i] = name;
	}
}

TEST_FOR(everything_at_once_in_cgroup2, 590)
{
	static const char *const files[] = { "cgroup.freeze", "1", "0" };
	WAIT_FOR(cg1_all_gone());
	cg2();
	/* Those of cases before may go later, when nothing that they paid for is left. */
	long long dying = kt_field("cg/cgroup.stat", "nr_dying_descendants");
	CHECK_OK(cg_write("", "cgroup.subtree_control", "+cpu +cpuset +memory +pids"));
	prepare();
	freezer = files;
	second = 1;
	no_leak(round_of_all, 8192);
	/* Nothing holds on to a cgroup that is gone. */
	CHECK_EQ(kt_field("cg/cgroup.stat", "nr_descendants"), 0);
	WAIT_SECONDS(40, ({
		/* Names that it looked up are caches that a cgroup which is gone has paid for. */
		kt_write_file("/proc/sys/vm/drop_caches", "2");
		kt_field("cg/cgroup.stat", "nr_dying_descendants") <= dying;
	}));
	CHECK_OK(cg_write("", "cgroup.subtree_control", "-cpu -cpuset -memory -pids"));
}

TEST_FOR(everything_at_once_in_v1, 590)
{
	static const char *const files[] = { "freezer.state", "FROZEN", "THAWED" };
	WAIT_FOR(cg1_all_gone());
	cg1("cpu,cpuacct,memory,pids,freezer,devices");
	prepare();
	freezer = files;
	second = 0;
	no_leak(round_of_all, 8192);
	while (cg_hierarchy("pids") != 0) {
		umount("cg");
		kt_sleep_ms(100);
		if (cg_hierarchy("pids") != 0)
			CHECK_OK(mount("none", "cg", "cgroup", 0, "cpu,cpuacct,memory,pids,freezer,devices"));
	}
}
