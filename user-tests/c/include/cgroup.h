/*
 * cgroup.h: hierarchies and their files, for the tests of control groups.
 *
 * cg2() and cg1() give a case a mount namespace of its own with a hierarchy
 * mounted on ./cg. Cgroups outlive a case on every kernel, so a case removes
 * what it makes: cg_new() names cgroups after the case's process, and
 * cg_drop() goes back to the root and removes one.
 */
#pragma once

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proc.h"

/* A private mount namespace with a hierarchy on ./cg; -1 if it cannot be mounted. */
static inline int cg_mount(const char *type, const char *options)
{
	CHECK_OK(unshare(CLONE_NEWNS));
	CHECK_OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	mkdir("cg", 0755);
	return mount("none", "cg", type, 0, options);
}

static inline void cg2(void)
{
	CHECK_OK(cg_mount("cgroup2", NULL));
}

/* A controller is free for v1 only when the last of its removed cgroups in cgroup2 is gone, a little after the rmdir. */
static inline void cg1(const char *options)
{
	int mounted = cg_mount("cgroup", options);
	for (int i = 0; mounted < 0 && errno == EBUSY && i < 100; i++) {
		kt_sleep_ms(50);
		mounted = mount("none", "cg", "cgroup", 0, options);
	}
	CHECK_OK(mounted);
}

/* The hierarchy that /proc/cgroups shows for a controller; 0 is cgroup2. */
static inline int cg_hierarchy(const char *controller)
{
	FILE *f = fopen("/proc/cgroups", "r");
	char line[256], name[64];
	int number, found = -1;
	CHECK(f != NULL);
	while (fgets(line, sizeof line, f))
		if (sscanf(line, "%63s %d", name, &number) == 2 && !strcmp(name, controller))
			found = number;
	fclose(f);
	return found;
}

/*
 * Gives a controller back to cgroup2. A v1 hierarchy whose cgroups are not all
 * gone when it is unmounted stays, and cgroups go a little after their rmdir.
 */
static inline int cg1_gone(const char *controller)
{
	umount("cg");
	for (int i = 0; i < 20; i++, kt_sleep_ms(5))
		if (cg_hierarchy(controller) == 0)
			return 1;
	CHECK_OK(mount("none", "cg", "cgroup", 0, controller));
	kt_sleep_ms(50);
	return 0;
}

static inline void cg1_end(const char *controller)
{
	WAIT_FOR(cg1_gone(controller));
}

/* The v1 hierarchies with controllers; with `again` each is mounted and unmounted. */
static inline int cg1_left(int again)
{
	char line[256], set[256];
	int number, left = 0;
	FILE *f = fopen("/proc/self/cgroup", "r");
	CHECK(f != NULL);
	while (fgets(line, sizeof line, f))
		if (sscanf(line, "%d:%255[^:]:", &number, set) == 2 && number != 0 && strncmp(set, "name=", 5)) {
			left++;
			if (again && mount("none", "cg-old", "cgroup", 0, set) == 0)
				umount("cg-old");
		}
	fclose(f);
	return left;
}

/*
 * Gives back all controllers that unmounted v1 hierarchies keep, as cg1_gone() does
 * for one, for cases that need several whatever ran before them.
 */
static inline int cg1_all_gone(void)
{
	for (int i = 0; i < 20; i++, kt_sleep_ms(5))
		if (cg1_left(0) == 0)
			return 1;
	mkdir("cg-old", 0755);
	cg1_left(1);
	rmdir("cg-old");
	return 0;
}

/* "cg/NAME" in a buffer of its own. */
static inline const char *cg_path(const char *fmt, ...)
{
	static char bufs[16][512];
	static unsigned next;
	char *buf = bufs[next++ % 16];
	int n = snprintf(buf, 512, "cg/");
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(buf + n, 512 - n, fmt, ap);
	va_end(ap);
	return buf;
}

/* A cgroup below `parent` ("" is the root) that no other case has. */
static inline const char *cg_new(const char *parent)
{
	static unsigned next;
	char *name = malloc(256);
	snprintf(name, 256, "%s%skt%d.%u", parent, *parent ? "/" : "", (int)getpid(), next++);
	CHECK_OK(mkdir(cg_path("%s", name), 0755));
	return name;
}

/* All of a file; -1 with errno. */
static inline ssize_t cg_get(const char *dir, const char *file, char *buf, size_t size)
{
	int fd = open(cg_path("%s/%s", dir, file), O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	size_t at = 0;
	ssize_t n;
	while ((n = read(fd, buf + at, size - 1 - at)) > 0)
		at += n;
	int saved = errno;
	close(fd);
	errno = saved;
	buf[at] = 0;
	return n < 0 ? -1 : (ssize_t)at;
}

/* The text of a file that is there. */
static inline const char *cg_read(const char *dir, const char *file)
{
	static char bufs[4][65536];
	static unsigned next;
	char *buf = bufs[next++ % 4];
	CHECK_OK(cg_get(dir, file, buf, sizeof bufs[0]));
	return buf;
}

/* One write(2); 0, or -1 with errno. */
static inline int cg_write_n(const char *dir, const char *file, const void *text, size_t len)
{
	int fd = open(cg_path("%s/%s", dir, file), O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ssize_t n = write(fd, text, len);
	int saved = errno;
	close(fd);
	errno = saved;
	return n == (ssize_t)len ? 0 : -1;
}

static inline int cg_write(const char *dir, const char *file, const char *text)
{
	return cg_write_n(dir, file, text, strlen(text));
}

static inline int cg_put(const char *dir, const char *file, long value)
{
	char text[32];
	snprintf(text, sizeof text, "%ld", value);
	return cg_write(dir, file, text);
}

/* Whether a file has this line. */
static inline int cg_has_line(const char *dir, const char *file, const char *line)
{
	const char *text = cg_read(dir, file);
	size_t len = strlen(line);
	for (const char *at = text; *at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : at + strlen(at))
		if (!strncmp(at, line, len) && (at[len] == '\n' || !at[len]))
			return 1;
	return 0;
}

static inline int cg_has_pid(const char *dir, const char *file, pid_t pid)
{
	char line[16];
	snprintf(line, sizeof line, "%d", (int)pid);
	return cg_has_line(dir, file, line);
}

static inline int cg_has_word(const char *dir, const char *file, const char *word)
{
	char text[1024];
	snprintf(text, sizeof text, "%s", cg_read(dir, file));
	for (char *at = strtok(text, " \n"); at; at = strtok(NULL, " \n"))
		if (!strcmp(at, word))
			return 1;
	return 0;
}

#define CG_IS(dir, file, want)                                                 \
	do {                                                                   \
		const char *kt_text = cg_read(dir, file);                      \
		if (strcmp(kt_text, want))                                     \
			KT_FAIL("%s is \"%s\", not \"%s\"", file, kt_text, want); \
	} while (0)

static inline void cg_enter(const char *dir)
{
	CHECK_OK(cg_write(dir, "cgroup.procs", "0"));
}

/* Back to the root, then the cgroup goes; waits for those who are still dying. */
static inline void cg_drop(const char *dir)
{
	CHECK_OK(cg_write("", "cgroup.procs", "0"));
	WAIT_FOR(rmdir(cg_path("%s", dir)) == 0);
}

/* A child that waits for ever in a cgroup. */
static inline pid_t cg_sleeper(const char *dir)
{
	pid_t pid = SPAWN(for (;;) pause());
	/* Not before: until fork(3) returns in the child, all signals are blocked. */
	WAIT_FOR(kt_state(pid) == 'S');
	CHECK_OK(cg_put(dir, "cgroup.procs", pid));
	return pid;
}

static inline void cg_end(pid_t pid)
{
	kill(pid, SIGKILL);
	kt_wait(pid);
}

/* The line of /proc/PID/cgroup that begins with `prefix`, without it. */
static inline const char *cg_of(const char *pid, const char *prefix)
{
	static char line[512];
	char path[64];
	snprintf(path, sizeof path, "/proc/%s/cgroup", pid);
	FILE *f = fopen(path, "r");
	CHECK(f != NULL);
	while (fgets(line, sizeof line, f))
		if (!strncmp(line, prefix, strlen(prefix))) {
			fclose(f);
			line[strcspn(line, "\n")] = 0;
			return line + strlen(prefix);
		}
	fclose(f);
	return "";
}

#define CGROUP2_MAGIC 0x63677270
#define CGROUP_MAGIC 0x27e0eb
