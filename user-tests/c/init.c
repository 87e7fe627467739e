/*
 * The first process of a test boot. It mounts what programs expect, runs each
 * test program named in /tests/list that the filter selects, and powers off.
 *
 * Filter: `ktest=area,area/name,area/name:case` on the kernel command line (it
 * arrives in the environment, else it is read from /proc/cmdline); nothing or
 * `all` means every program. `ktest_after=area/name` starts behind that one.
 *
 * What the host reads on the console, one line each:
 *   zt-start <system> <release>
 *   zt-run <area>/<name>
 *   ... the program's TAP ...
 *   zt-result <area>/<name> exit=<code> signal=<n>
 *   zt-done ran=<n> failed=<n>
 *
 * In native runs (KTEST_NATIVE set) it is the first process of a new pid and
 * mount namespace, finds the programs in KTEST_DIR, gives them KTEST_WORK to
 * work in, and leaves by exiting.
 */
#include <stdbool.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include "cg_sweep.h"
#include "ktest_io.h"

static const char *tests_dir = "/tests", *work_dir = "/tmp/test";
static bool native;

static void try_mount(const char *type, const char *at, unsigned long flags, const char *data)
{
	mkdir(at, 0755);
	if (mount(type, at, type, flags, data) < 0 && errno != EBUSY)
		kt_say("# init: mount %s on %s: %s\n", type, at, strerror(errno));
}

static void mount_everything(void)
{
	const unsigned long safe = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	try_mount("proc", "/proc", safe, NULL);
	if (native)
		return;
	try_mount("tmpfs", "/tmp", 0, "mode=1777");
	try_mount("sysfs", "/sys", safe, NULL);
	try_mount("devtmpfs", "/dev", MS_NOSUID, NULL);
	try_mount("devpts", "/dev/pts", MS_NOSUID | MS_NOEXEC, "gid=5,mode=620,ptmxmode=666");
	try_mount("tmpfs", "/dev/shm", MS_NOSUID | MS_NODEV, "mode=1777");
	try_mount("tmpfs", "/run", MS_NOSUID | MS_NODEV, "mode=755");
}

/* Modules for Linux, packed by the host tool: a path and parameters per line. */
static void load_modules(void)
{
	char line[256];
	FILE *list = fopen("/modules/list", "re");
	if (!list)
		return;
	while (fgets(line, sizeof line, list)) {
		char *parameters = line + strcspn(line, " ");
		parameters[strcspn(parameters, "\n")] = 0;
		if (*parameters)
			*parameters++ = 0;
		int fd = open(line, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || syscall(SYS_finit_module, fd, parameters, 0) < 0)
			kt_say("# init: module %s: %s\n", line, strerror(errno));
		if (fd >= 0)
			close(fd);
	}
	fclose(list);
}

/* The value of `key=` in the environment or on the kernel command line. */
static const char *option(const char *key, char *buf, size_t size)
{
	const char *value = getenv(key);
	if (value)
		return value;
	int fd = open("/proc/cmdline", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);
	if (fd >= 0)
		close(fd);
	if (n < 0)
		return "";
	buf[n] = 0;
	size_t len = strlen(key);
	for (char *word = strtok(buf, " \n"); word; word = strtok(NULL, " \n"))
		if (!strncmp(word, key, len) && word[len] == '=')
			return word + len + 1;
	return "";
}

/* Does the filter select area/name? *only becomes its case, if it names one. */
static bool selected(const char *filter, const char *name, char *only, size_t size)
{
	*only = 0;
	if (!*filter || !strcmp(filter, "all"))
		return true;
	size_t area = strcspn(name, "/"), whole = strlen(name);
	while (*filter) {
		size_t len = strcspn(filter, ",");
		if (len == area && !strncmp(filter, name, area))
			return true;
		if (len >= whole && !strncmp(filter, name, whole)) {
			if (len == whole)
				return true;
			if (filter[whole] == ':') {
				snprintf(only, size, "%.*s", (int)(len - whole - 1),
					 filter + whole + 1);
				return true;
			}
		}
		filter += len;
		filter += *filter == ',';
	}
	return false;
}

/* Whatever a test left running must not meet the next one. */
static void kill_everyone(void)
{
	kill(-1, SIGKILL);
	for (int tries = 0; tries < 5000; tries++) {
		pid_t pid = waitpid(-1, NULL, WNOHANG);
		if (pid < 0)
			return;
		if (pid == 0)
			kt_sleep_ms(2);
	}
	kt_say("# init: some processes do not die\n");
}

static int run_program(const char *name, const char *only, int timeout)
{
	char path[512];
	snprintf(path, sizeof path, "%s/%s", tests_dir, name);
	kt_say("zt-run %s\n", name);
	mkdir(work_dir, 0755);
	if (mount("tmpfs", work_dir, "tmpfs", 0, "mode=755") < 0)
		kt_say("# init: no tmpfs for the test: %s\n", strerror(errno));
	pid_t pid = fork();
	if (pid == 0) {
		/* The bare call: the C library hides some signals. */
		long defaults[4] = { 0 };
		for (int sig = 1; sig <= 64; sig++)
			syscall(SYS_rt_sigaction, sig, defaults, NULL, 8);
		sigset_t none;
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		setsid();
		int null = open("/dev/null", O_RDWR);
		if (null >= 0) {
			dup2(null, 0);
			if (null > 2)
				close(null);
		}
		if (chdir(work_dir) < 0)
			kt_say("# init: chdir: %s\n", strerror(errno));
		execl(path, name, *only ? only : NULL, NULL);
		kt_say("# init: exec %s: %s\n", path, strerror(errno));
		_exit(127);
	}
	int status = 1 << 8;
	if (pid < 0) {
		kt_say("# init: fork: %s\n", strerror(errno));
	} else {
		sigset_t chld;
		sigemptyset(&chld);
		sigaddset(&chld, SIGCHLD);
		long long end = kt_now_ms() + timeout * 1000LL;
		for (;;) {
			pid_t got = waitpid(-1, &status, WNOHANG);
			if (got == pid)
				break;
			if (got > 0)
				continue; /* an orphan handed to us */
			long long left = end - kt_now_ms();
			if (got < 0 || left <= 0) {
				kt_say("# init: %s: no end after %d s\n", name, timeout);
				kill(pid, SIGKILL);
				waitpid(pid, &status, 0);
				break;
			}
			struct timespec t = { left / 1000, left % 1000 * 1000000 };
			sigtimedwait(&chld, NULL, &t);
		}
	}
	if (status != 0 && !native)
		cg_walk(0, cg_thaw);
	kill_everyone();
	if (status != 0 && !native)
		cg_walk(FTW_DEPTH, cg_remove);
	if (chdir("/") < 0 || umount2(work_dir, MNT_DETACH) < 0)
		kt_say("# init: umount: %s\n", strerror(errno));
	int code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
	int sig = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
	kt_say("\nzt-result %s exit=%d signal=%d\n", name, code, sig);
	return status != 0;
}

static void run_all(void)
{
	char buf[4096], after_buf[4096], path[512], line[512], only[128];
	const char *filter = option("ktest", buf, sizeof buf);
	const char *after = option("ktest_after", after_buf, sizeof after_buf);
	int ran = 0, failed = 0;
	snprintf(path, sizeof path, "%s/list", tests_dir);
	FILE *list = fopen(path, "re");
	if (!list) {
		kt_say("# init: %s: %s\n", path, strerror(errno));
		return;
	}
	while (fgets(line, sizeof line, list)) {
		char name[256];
		int timeout;
		if (sscanf(line, "%255s %d", name, &timeout) != 2)
			continue;
		if (*after) {
			if (!strcmp(after, name))
				after = "";
			continue;
		}
		if (!selected(filter, name, only, sizeof only))
			continue;
		ran++;
		failed += run_program(name, only, timeout);
	}
	fclose(list);
	kt_say("\nzt-done ran=%d failed=%d\n", ran, failed);
}

int main(void)
{
	native = getenv("KTEST_NATIVE") != NULL;
	if (getenv("KTEST_DIR"))
		tests_dir = getenv("KTEST_DIR");
	if (getenv("KTEST_WORK"))
		work_dir = getenv("KTEST_WORK");
	if (!native && getpid() != 1) {
		kt_say("init: only as the first process, or with KTEST_NATIVE\n");
		return 2;
	}
	setenv("PATH", "/bin:/sbin:/usr/bin:/usr/sbin", 1);
	setenv("HOME", "/", 1);
	umask(022);
	mount_everything();
	if (!native)
		load_modules();
	sigset_t chld;
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	sigprocmask(SIG_BLOCK, &chld, NULL);
	struct utsname uts = { 0 };
	uname(&uts);
	kt_say("\nzt-start %s %s\n", uts.sysname, uts.release);
	run_all();
	if (native)
		return 0;
	sync();
	reboot(RB_POWER_OFF);
	reboot(RB_AUTOBOOT);
	kt_say("# init: reboot: %s\n", strerror(errno));
	for (;;)
		pause();
}
