/* ktest: timeout=900 */
/*
 * A process that takes all there is of one kind of kernel object gets an error or is killed; the
 * system goes on, and everything comes back.
 *
 * Each case first takes most of the memory away (a balloon that the OOM killer spares), so that what is
 * left is that of a small machine, whatever the machine has.
 */
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/param.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "stress.h"

/* What the balloon leaves, and what may be missing afterwards (caches), in KiB. */
#define LEFT (96 * 1024)
#define SLACK (24 * 1024)
/* A hog that has not met an end by then has shown enough; `ktest_stress=SECONDS` gives it longer. */
#define HOG_MS stress_ms()

static long long hog_end;

static void set_oom_score(const char *value)
{
	int fd = CHECK_OK(open("/proc/self/oom_score_adj", O_WRONLY));
	CHECK_EQ(write(fd, value, strlen(value)), strlen(value));
	CHECK_OK(close(fd));
}

static long long available(void)
{
	return kt_field("/proc/meminfo", "MemAvailable:");
}

static pid_t balloon(void)
{
	int ready[2];
	CHECK_OK(pipe(ready));
	pid_t pid = SPAWN({
		/* Nobody reads it, so Linux need not clear it. */
		long long take = available() - LEFT;
		int fd = CHECK_OK(memfd_create("balloon", 0));
		if (take > 0)
			CHECK_OK(fallocate(fd, 0, 0, take * 1024));
		CHECK_EQ(write(ready[1], "", 1), 1);
		pause();
	});
	char c;
	CHECK_EQ(read(ready[0], &c, 1), 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

/* Runs `hog` in a process group of its own; it may end with 0 or be killed, nothing else. */
static void survive(void (*hog)(void))
{
	set_oom_score("-1000");
	pid_t air = balloon();
	long long before = available();
	for (int round = 0; round < 2; round++) {
		pid_t pid = SPAWN({
			setpgid(0, 0);
			set_oom_score("1000");
			struct rlimit many = { 200000, 200000 };
			setrlimit(RLIMIT_NOFILE, &many);
			struct rlimit tasks = { RLIM_INFINITY, RLIM_INFINITY };
			setrlimit(RLIMIT_NPROC, &tasks);
			CHECK_OK(unshare(CLONE_NEWNS));
			CHECK_OK(mount("", "/", NULL, MS_REC | MS_PRIVATE, NULL));
			hog_end = kt_now_ms() + HOG_MS;
			hog();
		});
		setpgid(pid, pid);
		int status = kt_wait(pid);
		kill(-pid, SIGKILL);
		CHECK(status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
		/* Programs can be started. */
		WAIT_FOR(({
			pid_t child = fork();
			if (child == 0) {
				execl("/proc/self/exe", "role:nothing", NULL);
				_exit(120);
			}
			child > 0 && kt_wait(child) == 0;
		}));
		/* Caches take something once, a leak every time. */
		WAIT_SECONDS(40, available() >= before - (round == 0 ? 2 : 1) * SLACK);
		before = MIN(before, available());
	}
	kill(air, SIGKILL);
	kt_wait(air);
}

ROLE(nothing)
{
	return 0;
}

static int go_on(void)
{
	return kt_now_ms() < hog_end;
}

static void anonymous(void)
{
	while (go_on()) {
		char *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (p == MAP_FAILED)
			return;
		memset(p, 1, 1 << 20);
	}
}

TEST_FOR(anonymous_memory, 250)
{
	survive(anonymous);
}

static void tasks(void)
{
	while (go_on()) {
		pid_t pid = fork();
		if (pid == 0) {
			pause();
			_exit(0);
		}
		if (pid < 0)
			return;
	}
}

TEST_FOR(tasks_without_end, 250)
{
	survive(tasks);
}

static void pipes(void)
{
	static char block[65536];
	int fd[2];
	while (go_on()) {
		if (pipe2(fd, O_NONBLOCK) < 0 || write(fd[1], block, sizeof block) <= 0)
			return;
	}
}

TEST_FOR(full_pipes, 250)
{
	survive(pipes);
}

static void empty_pipes(void)
{
	int fd[2];
	while (go_on())
		if (pipe2(fd, O_NONBLOCK) < 0) {
			/* The table is full; another process goes on. */
			if (errno != EMFILE || fork() != 0)
				break;
			sys_close_range(3, ~0u, 0);
		}
	/* What the others hold has to stay until there is no time left. */
	while (go_on() && waitpid(-1, NULL, WNOHANG) >= 0)
		kt_sleep_ms(10);
}

static void descriptors(void)
{
	/* Several tables of them, so that it is memory that ends. */
	for (int i = 0; i < 8; i++)
		if (fork() == 0) {
			empty_pipes();
			pause();
		}
	empty_pipes();
}

TEST_FOR(pipes_without_end, 250)
{
	survive(descriptors);
}

static void mounts(void)
{
	if (mkdir("m", 0755) < 0)
		return;
	while (go_on() && mount("t", "m", "tmpfs", 0, "") == 0)
		;
}

TEST_FOR(mounts_without_end, 250)
{
	survive(mounts);
}

static void sockets(void)
{
	static char block[16384];
	int fd[2];
	while (go_on()) {
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) < 0)
			return;
		while (write(fd[0], block, sizeof block) > 0)
			;
	}
}

TEST_FOR(full_sockets, 250)
{
	survive(sockets);
}

static void names(void)
{
	char name[256];
	if (mkdir("names", 0755) < 0 || mount("t", "names", "tmpfs", 0, "size=1g,nr_inodes=0") < 0 ||
	    chdir("names") < 0)
		return;
	for (long i = 0; go_on(); i++) {
		snprintf(name, sizeof name, "%0200ld", i);
		int fd = open(name, O_CREAT | O_WRONLY, 0600);
		if (fd < 0)
			return;
		close(fd);
	}
}

TEST_FOR(names_without_end, 250)
{
	survive(names);
}

static void missing_names(void)
{
	char name[256];
	struct stat st;
	for (long i = 0; go_on() && i < 300000; i++) {
		snprintf(name, sizeof name, "%0200ld", i);
		CHECK_ERR(stat(name, &st), ENOENT);
	}
}

TEST_FOR(names_that_are_not_there, 250)
{
	survive(missing_names);
}

static void file_pages(void)
{
	static char block[65536];
	if (mkdir("files", 0755) < 0 || mount("t", "files", "tmpfs", 0, "size=1g") < 0)
		return;
	int fd = open("files/f", O_CREAT | O_WRONLY, 0600);
	while (fd >= 0 && go_on() && write(fd, block, sizeof block) > 0)
		;
}

TEST_FOR(pages_of_files, 250)
{
	survive(file_pages);
}

static void areas(void)
{
	/* A process may have 65530 areas: every second page of this is one. Each child has them too. */
	char *p = mmap(NULL, 4096 * 65536L, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return;
	for (long i = 0; i < 65000 && go_on(); i += 2)
		if (mprotect(p + i * 4096, 4096, PROT_READ) < 0)
			return;
	tasks();
}

TEST_FOR(areas_without_end, 250)
{
	survive(areas);
}

static void *sleeper(void *arg)
{
	(void)arg;
	pause();
	return NULL;
}

static void threads(void)
{
	pthread_t id;
	pthread_attr_t small;
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 16384);
	while (go_on() && pthread_create(&id, &small, sleeper, NULL) == 0)
		;
}

TEST_FOR(threads_without_end, 250)
{
	survive(threads);
}
