/* ktest: cc=gcc */
/* ktest: flags=-lcap-ng -lseccomp */
/*
 * lab4 ROOT [COMMAND [ARGUMENT...]]
 *
 * A container as a runtime makes it: control groups of v1 (64 MiB of memory,
 * 256 CPU shares, 64 tasks), mount, UTS, IPC, PID and cgroup namespaces, a root
 * of its own by pivot_root(2) with the file systems that programs expect, few
 * capabilities (libcap-ng) and a system call filter (libseccomp).
 */
#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define CGROUPS "/sys/fs/cgroup/"
#define SAFE (MS_NOSUID | MS_NODEV | MS_NOEXEC)

static char **arguments;

static void die(const char *what)
{
	fprintf(stderr, "lab4: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		die(path);
	close(fd);
}

/* ---- control groups ------------------------------------------------------ */

static const struct {
	const char *group, *file, *value;
} limits[] = {
	{ CGROUPS "memory/lab4", "memory.limit_in_bytes", "67108864" },
	{ CGROUPS "cpu,cpuacct/lab4", "cpu.shares", "256" },
	{ CGROUPS "pids/lab4", "pids.max", "64" },
};

static void enter_groups(void)
{
	char path[128];
	for (size_t i = 0; i < COUNT(limits); i++) {
		if (mkdir(limits[i].group, 0755) < 0 && errno != EEXIST)
			die(limits[i].group);
		snprintf(path, sizeof path, "%s/%s", limits[i].group, limits[i].file);
		put(path, limits[i].value);
		snprintf(path, sizeof path, "%s/cgroup.procs", limits[i].group);
		put(path, "0");
	}
}

static void leave_groups(void)
{
	char path[128];
	for (size_t i = 0; i < COUNT(limits); i++) {
		snprintf(path, sizeof path, "%.*s/cgroup.procs", (int)(strrchr(limits[i].group, '/') - limits[i].group),
			 limits[i].group);
		put(path, "0");
	}
}

static void remove_groups(void)
{
	for (size_t i = 0; i < COUNT(limits); i++)
		rmdir(limits[i].group);
}

/* ---- the root ------------------------------------------------------------ */

static const struct {
	const char *source, *target, *type;
	unsigned long flags;
	const char *data;
} mounts[] = {
	{ "proc", "proc", "proc", SAFE, NULL },
	{ "sysfs", "sys", "sysfs", SAFE | MS_RDONLY, NULL },
	{ "tmpfs", "tmp", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOATIME, NULL },
	{ "tmpfs", "run", "tmpfs", MS_NOSUID | MS_NODEV | MS_NOATIME, "mode=755" },
	{ "tmpfs", "dev", "tmpfs", MS_NOSUID, "mode=755,size=64m" },
	{ "devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,mode=620,ptmxmode=666" },
	{ "shm", "dev/shm", "tmpfs", SAFE, "size=64m" },
	{ "mqueue", "dev/mqueue", "mqueue", SAFE, NULL },
	{ "tmpfs", "sys/fs/cgroup", "tmpfs", SAFE, "mode=755" },
	{ "cgroup", "sys/fs/cgroup/memory", "cgroup", SAFE, "memory" },
	{ "cgroup", "sys/fs/cgroup/cpu,cpuacct", "cgroup", SAFE, "cpu,cpuacct" },
	{ "cgroup", "sys/fs/cgroup/pids", "cgroup", SAFE, "pids" },
};

static const struct {
	const char *name;
	unsigned minor;
} devices[] = {
	{ "null", 3 }, { "zero", 5 }, { "full", 7 }, { "random", 8 }, { "urandom", 9 },
};

static const char *const links[][2] = {
	{ "pts/ptmx", "dev/ptmx" },
	{ "/proc/self/fd", "dev/fd" },
	{ "/proc/self/fd/0", "dev/stdin" },
	{ "/proc/self/fd/1", "dev/stdout" },
};

static void make_devices(void)
{
	char path[64];
	umask(0);
	for (size_t i = 0; i < COUNT(devices); i++) {
		snprintf(path, sizeof path, "dev/%s", devices[i].name);
		if (mknod(path, S_IFCHR | 0666, makedev(1, devices[i].minor)) < 0)
			die(path);
	}
	if (mknod("dev/tty", S_IFCHR | 0666, makedev(5, 0)) < 0)
		die("dev/tty");
	for (size_t i = 0; i < COUNT(links); i++)
		if (symlink(links[i][0], links[i][1]) < 0)
			die(links[i][1]);
	umask(022);
}

static void change_root(const char *root)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount(root, root, NULL, MS_BIND | MS_REC, NULL) < 0 || chdir(root) < 0)
		die(root);
	for (size_t i = 0; i < COUNT(mounts); i++) {
		const char *target = mounts[i].target;
		/* A directory of sysfs is there already; sysfs lets no one make any. */
		if (access(target, F_OK) < 0 && mkdir(target, 0755) < 0)
			die(target);
		if (mount(mounts[i].source, target, mounts[i].type, mounts[i].flags, mounts[i].data) < 0)
			die(target);
		if (strcmp(target, "dev") == 0)
			make_devices();
	}
	if (mount(NULL, "sys/fs/cgroup", NULL, MS_REMOUNT | MS_RDONLY | SAFE, "mode=755") < 0)
		die("remount sys/fs/cgroup");
	if (mkdir("old", 0700) < 0 && errno != EEXIST)
		die("old");
	if (syscall(SYS_pivot_root, ".", "old") < 0)
		die("pivot_root");
	if (chdir("/") < 0 || umount2("/old", MNT_DETACH) < 0 || rmdir("/old") < 0)
		die("/old");
}

/* ---- what it may do ------------------------------------------------------ */

static void drop_capabilities(void)
{
	capng_clear(CAPNG_SELECT_BOTH);
	if (capng_updatev(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET, CAP_CHOWN,
			  CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_KILL, CAP_SETGID, CAP_SETUID,
			  CAP_SETPCAP, CAP_NET_BIND_SERVICE, CAP_NET_RAW, CAP_SYS_CHROOT, CAP_MKNOD,
			  CAP_AUDIT_WRITE, CAP_SETFCAP, -1) < 0 ||
	    capng_apply(CAPNG_SELECT_BOTH) < 0)
		die("capabilities");
}

static void filter_calls(void)
{
	static const int forbidden[] = {
		SCMP_SYS(mount),	 SCMP_SYS(umount2),	SCMP_SYS(pivot_root), SCMP_SYS(swapon),
		SCMP_SYS(swapoff),	 SCMP_SYS(reboot),	SCMP_SYS(init_module), SCMP_SYS(finit_module),
		SCMP_SYS(delete_module), SCMP_SYS(kexec_load),	SCMP_SYS(add_key),     SCMP_SYS(request_key),
		SCMP_SYS(keyctl),	 SCMP_SYS(ptrace),	SCMP_SYS(bpf),	       SCMP_SYS(setns),
		SCMP_SYS(unshare),
	};
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	if (!filter)
		die("seccomp_init");
	for (size_t i = 0; i < COUNT(forbidden); i++)
		if (seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), forbidden[i], 0) < 0)
			die("seccomp_rule_add");
	if (seccomp_load(filter) < 0)
		die("seccomp_load");
	seccomp_release(filter);
}

static int inside(void *unused)
{
	(void)unused;
	if (sethostname("lab4", 4) < 0)
		die("sethostname");
	change_root(arguments[1]);
	drop_capabilities();
	filter_calls();
	char *shell[] = { "/bin/sh", NULL };
	char **command = arguments[2] ? arguments + 2 : shell;
	execvp(command[0], command);
	die(command[0]);
	return 1;
}

/* A process in the groups makes the container, so that they are the root of its
 * cgroup namespace, and leaves them again. */
static int contain(void)
{
	static char stack[1 << 16] __attribute__((aligned(16)));
	enter_groups();
	pid_t pid = clone(inside, stack + sizeof stack,
			  CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWCGROUP | SIGCHLD,
			  NULL);
	int status;
	if (pid < 0)
		die("clone");
	leave_groups();
	if (waitpid(pid, &status, 0) < 0)
		die("waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: lab4 ROOT [COMMAND [ARGUMENT...]]\n");
		return 2;
	}
	arguments = argv;
	pid_t helper = fork();
	if (helper == 0)
		_exit(contain());
	int status;
	if (helper < 0 || waitpid(helper, &status, 0) < 0)
		die("fork");
	printf("Exited with status %d\n", WEXITSTATUS(status));
	remove_groups();
	return 0;
}
