/*
 * A cgroup2 tree with the memory controller for one case, mounted on "cg".
 *
 *   mem_init()           mount it and enable the controller
 *   mem1_init()          mount a v1 hierarchy with memory instead
 *   mem_new("parent/x")  make a cgroup; "" names the root of the tree, "." the case's own top
 *   mem_path(cg, file)   path of a file
 *   mem_get / mem_set    a number read, a string written (0 or -1)
 *   mem_enter(cg)        move the caller
 *   mem_done()           remove all that mem_new made (the caller is in the root again)
 */
#pragma once

#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include "proc.h"

#define MB (1L << 20)

static char mem_made[32][128];
static int mem_count;
static char mem_top[32];

static inline const char *mem_path(const char *cg, const char *file)
{
	static char paths[8][256];
	static int turn;
	char *path = paths[turn++ % 8];
	if (*cg)
		snprintf(path, 256, "cg/%s/%s/%s", mem_top, cg, file);
	else
		snprintf(path, 256, "cg/%s", file);
	return path;
}

static inline int mem_set(const char *cg, const char *file, const char *text)
{
	return kt_write_file(mem_path(cg, file), text);
}

static inline const char *mem_text(const char *cg, const char *file)
{
	static char text[2][8192];
	static int turn;
	char *to = text[turn++ % 2];
	CHECK(kt_read_file(mem_path(cg, file), to, 8192) >= 0);
	return to;
}

static inline long long mem_get(const char *cg, const char *file)
{
	return strtoll(mem_text(cg, file), NULL, 10);
}

static inline long long mem_event(const char *cg, const char *key)
{
	return kt_field(mem_path(cg, "memory.events"), key);
}

static inline const char *mem_new(const char *name)
{
	char *full = mem_made[mem_count++];
	snprintf(full, 128, "%s", name);
	CHECK_OK(mkdir(mem_path(full, ""), 0755));
	return full;
}

static inline void mem_init(void)
{
	mkdir("cg", 0755);
	if (mount("none", "cg", "cgroup2", 0, NULL) < 0)
		SKIP("no cgroup2");
	if (!strstr(mem_text("", "cgroup.controllers"), "memory"))
		SKIP("the memory controller is not in cgroup2");
	CHECK_OK(mem_set("", "cgroup.subtree_control", "+memory"));
	snprintf(mem_top, sizeof mem_top, "m%d", getpid());
	char top[64];
	snprintf(top, sizeof top, "cg/%s", mem_top);
	CHECK_OK(mkdir(top, 0755));
	CHECK_OK(mem_set(".", "cgroup.subtree_control", "+memory"));
}

/* A v1 hierarchy instead of cgroup2. */
static inline void mem1_init(void)
{
	mkdir("cg", 0755);
	/* A controller goes back to no hierarchy when cgroup2 does not use it. */
	if (mount("none", "cg", "cgroup2", 0, NULL) == 0) {
		mem_set("", "cgroup.subtree_control", "-memory");
		umount2("cg", 0);
	}
	long long end = kt_now_ms() + 5000;
	while (mount("none", "cg", "cgroup", 0, "memory") < 0) {
		if (errno != EBUSY || kt_now_ms() > end)
			SKIP("no v1 hierarchy with memory");
		kt_sleep_ms(20);
	}
	snprintf(mem_top, sizeof mem_top, "m%d", getpid());
	char top[64];
	snprintf(top, sizeof top, "cg/%s", mem_top);
	CHECK_OK(mkdir(top, 0755));
}

static inline void mem_enter(const char *cg)
{
	CHECK_OK(mem_set(cg, "cgroup.procs", "0"));
}

static inline void mem_done(void)
{
	mem_enter("");
	while (mem_count > 0) {
		const char *cg = mem_made[--mem_count];
		WAIT_FOR(rmdir(mem_path(cg, "")) == 0 || errno != EBUSY);
	}
	char top[64];
	snprintf(top, sizeof top, "cg/%s", mem_top);
	WAIT_FOR(rmdir(top) == 0 || errno != EBUSY);
	CHECK_OK(umount2("cg", MNT_DETACH));
}

/* Anonymous memory, every page written. */
static inline char *mem_touch(size_t size)
{
	char *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (at == MAP_FAILED)
		_exit(3);
	for (size_t i = 0; i < size; i += 4096)
		*(volatile char *)(at + i) = 1;
	return at;
}

/* A child in `cg` that runs the statements. */
#define SPAWN_IN(cg, ...) SPAWN(mem_enter(cg); __VA_ARGS__)

static inline int mem_killed(pid_t pid)
{
	int status = kt_wait(pid);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}
