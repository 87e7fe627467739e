/* namespaces: what making, entering and living in them costs, also beside many others. */

/* What reading the clock costs. */
static uint64_t clock_cost(void)
{
	uint64_t best = UINT64_MAX;

	for (int i = 0; i < 20; i++) {
		uint64_t start = now(), cost = now() - start;

		if (cost < best)
			best = cost;
	}
	return best;
}

/* One call alone, each time in a fresh child, the cheapest of `rounds`. A kernel without it has no row. */
static void measure_unshare(const char *name, int flags, int rounds, operation *prepare)
{
	uint64_t best = UINT64_MAX, clock = clock_cost();

	for (int i = 0; i < rounds; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			if (prepare)
				prepare();
			uint64_t start = now();
			int failed = unshare(flags);

			*shared = failed ? UINT64_MAX : now() - start;
			_exit(0);
		}
		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			die("fork");
		if (*shared < best)
			best = *shared;
	}
	if (best != UINT64_MAX)
		report(name, best > clock ? best - clock : 0);
}

#define MANY_MOUNTS 1000

static void many_mounts(void)
{
	char dir[64];

	if (unshare(CLONE_NEWNS) || mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL))
		die("private mounts");
	for (int i = 0; i < MANY_MOUNTS; i++) {
		snprintf(dir, sizeof dir, "/tmp/m%d", i);
		mkdir(dir, 0755);
		if (mount("/tmp/dir", dir, NULL, MS_BIND, NULL))
			die("bind mount");
	}
}

static int clone_seven(void)
{
	const long flags = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET |
			   CLONE_NEWUSER | CLONE_NEWCGROUP;
	pid_t pid = syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);

	if (pid == 0)
		raw0(SYS_exit);
	return pid > 0 && waitpid(pid, NULL, 0) == pid;
}

static void clone_all(void)
{
	if (!clone_seven())
		die("clone with seven namespaces");
}

static int uts_fd;

static void setns_uts(void)
{
	if (setns(uts_fd, CLONE_NEWUTS))
		die("setns uts");
}

/* fork+exit+wait, `depth` pid namespaces below this one. */
static void forks_below(int depth)
{
	if (depth > 0) {
		pid_t pid = syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, NULL, NULL, NULL, NULL);

		if (pid == 0) {
			forks_below(depth - 1);
			_exit(0);
		}
		if (pid < 0 || waitpid(pid, NULL, 0) != pid)
			*shared = UINT64_MAX;
		return;
	}
	*shared = UINT64_MAX;
	for (int i = 0; i < 20; i++) {
		uint64_t start = now();

		fork_exit_wait();
		if (now() - start < *shared)
			*shared = now() - start;
	}
}

static void measure_depth(const char *name, int depth)
{
	*shared = UINT64_MAX;
	pid_t pid = fork();

	if (pid == 0) {
		forks_below(depth);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, NULL, 0) != pid)
		die("fork");
	if (*shared != UINT64_MAX)
		report(name, *shared);
}

#define MANY_NAMESPACES 500

/* A process that holds so many namespaces of each kind. */
static pid_t many_namespaces(void)
{
	static const char *const kinds[] = { "uts", "ipc", "user", "cgroup", "mnt", "net" };
	const int all = CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWCGROUP | CLONE_NEWNS |
			CLONE_NEWNET;
	int ready[2];
	char c = 0;

	if (pipe(ready))
		die("pipe");
	pid_t holder = fork();
	if (holder) {
		if (read(ready[0], &c, 1) != 1 || c != 'y')
			die("many namespaces");
		return holder;
	}
	struct rlimit files = { 8192, 8192 };
	int failed = setrlimit(RLIMIT_NOFILE, &files);
	for (int i = 0; i < MANY_NAMESPACES; i++) {
		char path[64];
		int made[2];
		pid_t pid;

		if (pipe(made) || (pid = fork()) < 0)
			_exit(1);
		if (pid == 0) {
			if (unshare(all) == 0 && write(made[1], "y", 1) == 1)
				pause();
			_exit(1);
		}
		close(made[1]);
		failed |= read(made[0], &c, 1) != 1;
		close(made[0]);
		for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++) {
			snprintf(path, sizeof path, "/proc/%d/ns/%s", pid, kinds[kind]);
			failed |= open(path, O_RDONLY) < 0;
		}
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	if (write(ready[1], failed ? "n" : "y", 1) == 1)
		pause();
	_exit(1);
}

/* The rows that should not depend on how many namespaces there are; `beside` ends their names. */
static void measure_namespaces(const char *beside)
{
	static const struct { const char *name; int flag, rounds; } kinds[] = {
		{ "unshare-uts", CLONE_NEWUTS, 20 }, { "unshare-ipc", CLONE_NEWIPC, 20 },
		{ "unshare-user", CLONE_NEWUSER, 20 }, { "unshare-cgroup", CLONE_NEWCGROUP, 20 },
		{ "unshare-mount", CLONE_NEWNS, 20 }, { "unshare-net", CLONE_NEWNET, 10 },
	};
	char name[64];

	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		snprintf(name, sizeof name, "%s%s", kinds[i].name, beside);
		measure_unshare(name, kinds[i].flag, kinds[i].rounds, NULL);
	}
	snprintf(name, sizeof name, "clone-7-namespaces%s", beside);
	if (clone_seven())
		measure(name, 10, clone_all);
	snprintf(name, sizeof name, "setns-uts%s", beside);
	if (uts_fd >= 0)
		measure(name, 500, setns_uts);
}

static void bench_namespaces(void)
{
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		die("mmap");
	uts_fd = open("/proc/self/ns/uts", O_RDONLY);
	measure_namespaces("");
	measure_unshare("unshare-mount-1000", CLONE_NEWNS, 3, many_mounts);
	measure_depth("fork-exit-pid-depth-0", 0);
	measure_depth("fork-exit-pid-depth-31", 31);
	pid_t holder = many_namespaces();
	measure_namespaces("-of-500");
	kill(holder, SIGKILL);
	waitpid(holder, NULL, 0);
}
