/*
 * What the tests of IPC objects share.
 */
#pragma once

#include <pthread.h>
#include <sched.h>
#include <sys/ipc.h>
#include <sys/mman.h>

#include "proc.h"
#include "sys.h"

#ifndef CLONE_SYSVSEM
#define CLONE_SYSVSEM 0x40000
#endif
#ifndef CLONE_NEWIPC
#define CLONE_NEWIPC 0x08000000
#endif

/* An IPC namespace of its own for the case. */
static inline void fresh_ns(void)
{
	CHECK_OK(unshare(CLONE_NEWIPC));
}

/* Become an ordinary user without capabilities. */
static inline void become(uid_t id)
{
	CHECK_OK(setresgid(id, id, id));
	CHECK_OK(setresuid(id, id, id));
}

/* Until the child sleeps in a call. */
static inline void wait_asleep(pid_t pid)
{
	WAIT_FOR(kt_state(pid) == 'S');
}

/* The line of /proc/sysvipc/NAME that begins with this key and id; 1 if found. */
static inline int sysvipc_line(const char *name, int id, char *out, size_t size)
{
	static char text[65536];
	char path[64];
	snprintf(path, sizeof path, "/proc/sysvipc/%s", name);
	if (kt_read_file(path, text, sizeof text) < 0)
		return 0;
	char *line = strchr(text, '\n');
	while (line && *++line) {
		char *end = strchr(line, '\n');
		int key, found;
		if (sscanf(line, "%d %d", &key, &found) == 2 && found == id) {
			snprintf(out, size, "%.*s", (int)(end - line), line);
			return 1;
		}
		line = end;
	}
	return 0;
}

/* The first line of a file. */
static inline const char *first_line(const char *path)
{
	static char text[65536];
	if (kt_read_file(path, text, sizeof text) < 0)
		return "";
	char *end = strchr(text, '\n');
	if (end)
		*end = 0;
	return text;
}

static inline void nothing(int sig)
{
	(void)sig;
}

/* A handler that does nothing, with these flags. */
static inline void handle(int sig, int flags)
{
	struct sigaction act = { .sa_handler = nothing, .sa_flags = flags };
	CHECK_OK(sigaction(sig, &act, NULL));
}
