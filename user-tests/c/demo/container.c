/*
 * container HOST ROOT [COMMAND [ARGUMENT...]]
 *
 * A container from nothing: clone(2) gives a child network, mount, PID and UTS
 * namespaces of its own, a pipe holds it until the parent has given it an
 * address and limits, then it changes its name and its root and executes the
 * command (/bin/sh if there is none).
 *
 * From the environment: QUOTA, microseconds of CPU time per 100,000 (80000);
 * MEMORY, bytes; PIDS, tasks. They go into the control group "group1", of v1
 * or v2, whichever is mounted below /sys/fs/cgroup.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTSIDE "192.168.31.1/24"
#define INSIDE "192.168.31.10/24"
#define CGROUPS "/sys/fs/cgroup"
#define GROUP "group1"

static int hold[2];
static char **arguments;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static int run(const char *format, ...)
{
	char command[512];
	va_list ap;
	va_start(ap, format);
	vsnprintf(command, sizeof command, format, ap);
	va_end(ap);
	return system(command);
}

static int put(const char *text, const char *format, ...)
{
	char path[256];
	va_list ap;
	va_start(ap, format);
	vsnprintf(path, sizeof path, format, ap);
	va_end(ap);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ssize_t n = write(fd, text, strlen(text));
	close(fd);
	return n < 0 ? -1 : 0;
}

/* ---- inside -------------------------------------------------------------- */

static int inside(void *unused)
{
	(void)unused;
	char go;
	close(hold[1]);
	if (read(hold[0], &go, 1) != 1)
		return 1;
	close(hold[0]);
	if (sethostname(arguments[1], strlen(arguments[1])) < 0)
		die("sethostname");
	/* What is mounted from here on stays in this namespace. */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		die("mount /");
	if (chroot(arguments[2]) < 0 || chdir("/") < 0)
		die(arguments[2]);
	puts("Mounting procfs as proc");
	fflush(stdout);
	if (mount("proc", "/proc", "proc", 0, NULL) < 0)
		die("mount /proc");
	run("ip link set lo up");
	run("ip link set veth1 up");
	run("ip addr add " INSIDE " dev veth1");
	char *shell[] = { "/bin/sh", NULL };
	char **command = arguments[3] ? arguments + 3 : shell;
	execvp(command[0], command);
	die(command[0]);
	return 1;
}

/* ---- outside ------------------------------------------------------------- */

static void limit(pid_t pid)
{
	const char *quota = getenv("QUOTA") ?: "80000";
	const char *memory = getenv("MEMORY"), *pids = getenv("PIDS");
	char text[64], id[16];
	snprintf(id, sizeof id, "%d", pid);
	if (access(CGROUPS "/cgroup.procs", F_OK) == 0) {
		put("+cpu +memory +pids", CGROUPS "/cgroup.subtree_control");
		if (mkdir(CGROUPS "/" GROUP, 0755) < 0 && errno != EEXIST)
			die("cgroup");
		snprintf(text, sizeof text, "%s 100000", quota);
		int bad = put(text, CGROUPS "/" GROUP "/cpu.max");
		if (memory)
			bad |= put(memory, CGROUPS "/" GROUP "/memory.max");
		if (pids)
			bad |= put(pids, CGROUPS "/" GROUP "/pids.max");
		if (bad | put(id, CGROUPS "/" GROUP "/cgroup.procs"))
			die("cgroup");
	} else {
		const struct {
			const char *controller, *file, *value;
		} limits[] = {
			{ "cpu", "cpu.cfs_quota_us", quota },
			{ "memory", "memory.limit_in_bytes", memory },
			{ "pids", "pids.max", pids },
		};
		for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
			if (!limits[i].value)
				continue;
			const char *controller = limits[i].controller;
			snprintf(text, sizeof text, CGROUPS "/%s/" GROUP, controller);
			if (mkdir(text, 0755) < 0 && errno != EEXIST)
				die(text);
			if (put(limits[i].value, "%s/%s", text, limits[i].file) < 0 ||
			    put(id, "%s/cgroup.procs", text) < 0)
				die(text);
		}
	}
	puts("Creat cgroup success");
	fflush(stdout);
}

static void leave(void)
{
	if (access(CGROUPS "/cgroup.procs", F_OK) == 0) {
		rmdir(CGROUPS "/" GROUP);
		return;
	}
	rmdir(CGROUPS "/cpu/" GROUP);
	if (getenv("MEMORY"))
		rmdir(CGROUPS "/memory/" GROUP);
	if (getenv("PIDS"))
		rmdir(CGROUPS "/pids/" GROUP);
}

int main(int argc, char **argv)
{
	static char stack[1 << 16] __attribute__((aligned(16)));
	if (argc < 3) {
		fprintf(stderr, "usage: container HOST ROOT [COMMAND [ARGUMENT...]]\n");
		return 2;
	}
	arguments = argv;
	if (pipe(hold) < 0)
		die("pipe");
	pid_t pid = clone(inside, stack + sizeof stack,
			  CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | SIGCHLD, NULL);
	if (pid < 0)
		die("clone");
	close(hold[0]);
	limit(pid);
	if (run("ip link add veth0 type veth peer name veth1") != 0 ||
	    run("ip link set veth1 netns %d", pid) != 0 || run("ip link set veth0 up") != 0 ||
	    run("ip addr add " OUTSIDE " dev veth0") != 0)
		fprintf(stderr, "container: no network\n");
	if (write(hold[1], "g", 1) != 1)
		die("pipe");
	close(hold[1]);
	int status;
	if (waitpid(pid, &status, 0) < 0)
		die("waitpid");
	printf("child has terminated, status %d\n", status);
	leave();
	return 0;
}
