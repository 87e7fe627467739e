/*
 * What system calls cost, in instructions.
 *
 * Runs as /init under `qemu -icount shift=0`, where the clock advances one nanosecond per executed
 * instruction, so time differences are instruction counts. Each line of the result is
 *
 *     bench <name> <instructions>
 *
 * the smallest mean of several batches; `boot` is what the machine has executed before the first
 * instruction of /init. `bench exec-child` is the program that the exec row runs;
 * `bench command NAME PROGRAM ARGUMENT…` measures a program from its start to its end.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BATCHES 5

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* The time stamp counter starts with the machine and advances as the clock does. */
static uint64_t cycles(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

typedef void operation(void);

static void measure(const char *name, int rounds, operation *op)
{
	uint64_t best = UINT64_MAX;

	op();
	for (int batch = 0; batch < BATCHES; batch++) {
		uint64_t start = now();

		for (int i = 0; i < rounds; i++)
			op();
		uint64_t mean = (now() - start) / (uint64_t)rounds;

		if (mean < best)
			best = mean;
	}
	printf("bench %s %llu\n", name, (unsigned long long)best);
	fflush(stdout);
}

static void die(const char *what)
{
	printf("bench-error %s: %s\n", what, strerror(errno));
	fflush(stdout);
	reboot(RB_POWER_OFF);
	_exit(1);
}

static void nothing(void) { __asm__ volatile("" ::: "memory"); }

static long raw0(long nr)
{
	long ret;

	__asm__ volatile("syscall" : "=a"(ret) : "a"(nr) : "rcx", "r11", "memory");
	return ret;
}

static void unknown_call(void) { raw0(1000); }
static void get_pid(void) { raw0(SYS_getpid); }

static void uname_call(void)
{
	struct utsname names;

	uname(&names);
}

static int zero_fd;

static void read_zero(void)
{
	char byte;

	if (read(zero_fd, &byte, 1) != 1)
		die("read /dev/zero");
}

static void stat_call(void)
{
	struct stat st;

	if (stat("/tmp/dir/file", &st) != 0)
		die("stat");
}

static void open_close(void)
{
	int fd = open("/tmp/dir/file", O_RDONLY);

	if (fd < 0)
		die("open");
	close(fd);
}

static void fork_exit_wait(void)
{
	pid_t pid = fork();

	if (pid == 0)
		raw0(SYS_exit);
	if (pid < 0 || waitpid(pid, NULL, 0) != pid)
		die("fork");
}

static char *exec_argv[] = { "/init", "exec-child", NULL };
static char *exec_envp[] = { NULL };

static void vfork_exec_wait(void)
{
	pid_t pid = vfork();

	if (pid == 0) {
		execve("/init", exec_argv, exec_envp);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, NULL, 0) != pid)
		die("vfork");
}

static char **command;

static void run_command(void)
{
	int status;
	pid_t pid = vfork();

	if (pid == 0) {
		execvp(command[0], command);
		_exit(127);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
		die("command");
}

static int ping[2], pong[2];

static void pipe_round_trip(void)
{
	char byte = 1;

	if (write(ping[1], &byte, 1) != 1 || read(pong[0], &byte, 1) != 1)
		die("pipe");
}

static void bench_pipe(const char *name)
{
	char byte;
	pid_t pid;

	if (pipe(ping) || pipe(pong))
		die("pipe");
	pid = fork();
	if (pid == 0) {
		close(ping[1]);
		while (read(ping[0], &byte, 1) == 1)
			if (write(pong[1], &byte, 1) != 1)
				break;
		_exit(0);
	}
	measure(name, 500, pipe_round_trip);
	close(ping[1]);
	waitpid(pid, NULL, 0);
}

static int *turn;

static void futex_wait(int value)
{
	while (__atomic_load_n(turn, __ATOMIC_ACQUIRE) == value)
		syscall(SYS_futex, turn, FUTEX_WAIT, value, NULL, NULL, 0);
}

static void futex_set(int value)
{
	__atomic_store_n(turn, value, __ATOMIC_RELEASE);
	syscall(SYS_futex, turn, FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void futex_round_trip(void)
{
	futex_set(1);
	futex_wait(1);
}

static void bench_futex(void)
{
	pid_t pid;

	turn = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (turn == MAP_FAILED)
		die("mmap");
	pid = fork();
	if (pid == 0) {
		for (;;) {
			futex_wait(0);
			if (*turn == 2)
				_exit(0);
			futex_set(0);
		}
	}
	measure("futex-round-trip", 500, futex_round_trip);
	futex_set(2);
	waitpid(pid, NULL, 0);
}

#define FAULT_PAGES 512

static void bench_faults(const char *name)
{
	uint64_t best = UINT64_MAX;

	for (int batch = 0; batch < BATCHES; batch++) {
		volatile char *area = mmap(NULL, FAULT_PAGES * 4096, PROT_READ | PROT_WRITE,
					   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (area == MAP_FAILED)
			die("mmap");
		madvise((void *)area, FAULT_PAGES * 4096, MADV_NOHUGEPAGE);
		uint64_t start = now();

		for (int i = 0; i < FAULT_PAGES; i++)
			area[i * 4096] = 1;
		uint64_t mean = (now() - start) / FAULT_PAGES;

		if (mean < best)
			best = mean;
		munmap((void *)area, FAULT_PAGES * 4096);
	}
	printf("bench %s %llu\n", name, (unsigned long long)best);
}

static void mmap_munmap(void)
{
	char *area = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (area == MAP_FAILED)
		die("mmap");
	*area = 1;
	munmap(area, 65536);
}

/* Results of children. */
static uint64_t *shared;

static void report(const char *name, uint64_t cost)
{
	printf("bench %s %llu\n", name, (unsigned long long)cost);
	fflush(stdout);
}

#include "ns.h"

static void yield_call(void) { sched_yield(); }

/* Control groups: cgroup2 on /tmp/cg with every controller that is there. */

static void put(const char *path, const char *text)
{
	int to = open(path, O_WRONLY);

	if (to < 0 || write(to, text, strlen(text)) < 0)
		die(path);
	close(to);
}

static void cgroup_mkdir_rmdir(void)
{
	if (mkdir("/tmp/cg/new", 0755) || rmdir("/tmp/cg/new"))
		die("cgroup mkdir");
}

static int procs[2];

static void cgroup_migrate(void)
{
	static int turn;

	if (write(procs[turn ^= 1], "0", 1) != 1)
		die("cgroup.procs");
}

/* Goes to the end of a chain of cgroups of this name and depth, each with the controllers. */
static void cgroup_deep(const char *name, int depth, const char *enable)
{
	char path[512] = "/tmp/cg", file[600];

	for (int i = 0; i < depth; i++) {
		snprintf(file, sizeof file, "%s/cgroup.subtree_control", path);
		put(file, enable);
		strcat(path, name);
		mkdir(path, 0755);
	}
	snprintf(file, sizeof file, "%s/cgroup.procs", path);
	put(file, "0");
}

static void bench_cgroups(void)
{
	char enable[256] = "", controllers[256] = "", path[64];
	int from;

	mkdir("/tmp/cg", 0755);
	if (mount("none", "/tmp/cg", "cgroup2", 0, NULL))
		die("cgroup2");
	from = open("/tmp/cg/cgroup.controllers", O_RDONLY);
	if (read(from, controllers, sizeof controllers - 1) < 0)
		die("cgroup.controllers");
	close(from);
	for (char *word = strtok(controllers, " \n"); word; word = strtok(NULL, " \n")) {
		/* Those that both kernels have. */
		if (strstr("cpuset cpu memory pids", word)) {
			strcat(enable, " +");
			strcat(enable, word);
		}
	}
	put("/tmp/cg/cgroup.subtree_control", enable);
	measure("cgroup-mkdir-rmdir", 100, cgroup_mkdir_rmdir);
	mkdir("/tmp/cg/a", 0755);
	mkdir("/tmp/cg/b", 0755);
	procs[0] = open("/tmp/cg/a/cgroup.procs", O_WRONLY);
	procs[1] = open("/tmp/cg/b/cgroup.procs", O_WRONLY);
	measure("cgroup-migrate", 500, cgroup_migrate);
	cgroup_deep("/d", 1, enable);
	measure("fork-exit-wait-depth-1", 50, fork_exit_wait);
	bench_pipe("pipe-round-trip-depth-1");
	put("/tmp/cg/cgroup.procs", "0");
	cgroup_deep("/d", 16, enable);
	measure("fork-exit-wait-depth-16", 50, fork_exit_wait);
	put("/tmp/cg/cgroup.procs", "0");
	/* What is only charged, not scheduled, at each level. */
	cgroup_deep("/c", 1, " +memory +pids");
	bench_faults("page-fault-charged-depth-1");
	measure("fork-exit-wait-charged-depth-1", 50, fork_exit_wait);
	put("/tmp/cg/cgroup.procs", "0");
	cgroup_deep("/c", 16, " +memory +pids");
	bench_faults("page-fault-charged-depth-16");
	measure("fork-exit-wait-charged-depth-16", 50, fork_exit_wait);
	put("/tmp/cg/cgroup.procs", "0");
	for (int i = 0; i < 2000; i++) {
		snprintf(path, sizeof path, "/tmp/cg/many%d", i);
		mkdir(path, 0755);
	}
	measure("cgroup-mkdir-rmdir-of-2000", 100, cgroup_mkdir_rmdir);
	put("/tmp/cg/many7/cgroup.procs", "0");
	measure("fork-exit-wait-of-2000", 50, fork_exit_wait);
	bench_pipe("pipe-round-trip-of-2000");
	put("/tmp/cg/cgroup.procs", "0");
}

#include "net.h"

static void bench_calls(void)
{
	measure("floor-empty-loop", 10000, nothing);
	measure("unknown-call", 10000, unknown_call);
	measure("getpid", 10000, get_pid);
	measure("uname", 5000, uname_call);
	measure("read-zero", 5000, read_zero);
	measure("stat", 2000, stat_call);
	measure("open-close", 2000, open_close);
	measure("sched-yield", 5000, yield_call);
}

static void bench_memory(void)
{
	measure("mmap-touch-munmap", 500, mmap_munmap);
	bench_faults("page-fault");
}

static void bench_processes(void)
{
	bench_pipe("pipe-round-trip");
	bench_futex();
	measure("fork-exit-wait", 50, fork_exit_wait);
	measure("vfork-exec-wait", 50, vfork_exec_wait);
}

/* Rows that are measured together; `bench_group=NAME` on the kernel's command line asks for one group only. */
static const struct {
	const char *name;
	void (*run)(void);
} groups[] = {
	{ "calls", bench_calls },           { "memory", bench_memory },
	{ "processes", bench_processes },   { "cgroups", bench_cgroups },
	{ "namespaces", bench_namespaces }, { "net", bench_net },
};

int main(int argc, char **argv)
{
	int fd;
	uint64_t boot = cycles();
	const char *only = getenv("bench_group");

	if (argc > 1 && strcmp(argv[1], "exec-child") == 0)
		return 0;
	if (argc > 3 && strcmp(argv[1], "command") == 0) {
		command = argv + 3;
		measure(argv[2], 1, run_command);
		return 0;
	}
	mkdir("/dev", 0755);
	mkdir("/tmp", 0755);
	mkdir("/proc", 0755);
	mount("proc", "/proc", "proc", 0, "");
	mount("devtmpfs", "/dev", "devtmpfs", 0, "");
	mount("tmpfs", "/tmp", "tmpfs", 0, "");
	mkdir("/tmp/dir", 0755);
	fd = open("/tmp/dir/file", O_CREAT | O_RDWR, 0644);
	if (fd < 0)
		die("create");
	close(fd);
	zero_fd = open("/dev/zero", O_RDONLY);
	if (zero_fd < 0)
		die("/dev/zero");

	printf("bench boot %llu\n", (unsigned long long)boot);
	for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
		if (!only || strcmp(only, groups[i].name) == 0)
			groups[i].run();
	printf("bench-done\n");
	fflush(stdout);
	reboot(RB_POWER_OFF);
	return 0;
}
