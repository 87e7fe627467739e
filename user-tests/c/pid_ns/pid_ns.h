/* A child in a new pid namespace. */
#pragma once

#include <sys/mount.h>

#include "proc.h"
#include "sys.h"

/* Like SPAWN, with these clone flags. */
#define SPAWN_IN(flags, ...)                                                   \
	({                                                                     \
		pid_t kt_pid = CHECK_OK(sys_clone((flags) | SIGCHLD, NULL, NULL)); \
		if (kt_pid == 0) {                                             \
			__VA_ARGS__;                                           \
			_exit(0);                                              \
		}                                                              \
		kt_pid;                                                        \
	})

/* See /proc as the new namespace does; the mount namespace must be new too. */
static inline void own_proc(void)
{
	CHECK_OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	CHECK_OK(mount("proc", "/proc", "proc", 0, NULL));
}

static inline void give(int fd)
{
	CHECK_EQ(write(fd, "x", 1), 1);
}

static inline void take(int fd)
{
	char c;
	CHECK_EQ(read(fd, &c, 1), 1);
}
