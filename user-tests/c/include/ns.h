/*
 * Processes in new namespaces, and the files that set such namespaces up.
 */
#pragma once

#include <grp.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>

#include "proc.h"
#include "sys.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif
#ifndef NS_GET_USERNS
#define NS_GET_USERNS _IO(0xb7, 1)
#define NS_GET_PARENT _IO(0xb7, 2)
#define NS_GET_NSTYPE _IO(0xb7, 3)
#define NS_GET_OWNER_UID _IO(0xb7, 4)
#endif

/* What an id that is not mapped is shown as. */
#define OVERFLOW_ID 65534

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

static inline void give(int fd)
{
	CHECK_EQ(write(fd, "x", 1), 1);
}

static inline void take(int fd)
{
	char c;
	CHECK_EQ(read(fd, &c, 1), 1);
}

/* Two pipes: the child says `ready` and then waits in `hold` until let go. */
struct sync {
	int up[2], down[2];
};

static inline struct sync sync_new(void)
{
	struct sync s;
	CHECK_OK(pipe(s.up));
	CHECK_OK(pipe(s.down));
	return s;
}

static inline void ready_and_hold(struct sync *s)
{
	give(s->up[1]);
	take(s->down[0]);
}

static inline void ready(struct sync *s)
{
	give(s->up[1]);
}

static inline void hold(struct sync *s)
{
	take(s->down[0]);
}

static inline void until_ready(struct sync *s)
{
	take(s->up[0]);
}

static inline void let_go(struct sync *s)
{
	give(s->down[1]);
}

/* See /proc as the new pid namespace does; the mount namespace must be new too. */
static inline void own_proc(void)
{
	CHECK_OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	CHECK_OK(mount("proc", "/proc", "proc", 0, NULL));
}

/* Become an ordinary user for good, who still owns its own files in /proc. */
static inline void become(uid_t uid)
{
	CHECK_OK(setgroups(0, NULL));
	CHECK_OK(setresgid(uid, uid, uid));
	CHECK_OK(setresuid(uid, uid, uid));
	CHECK_OK(prctl(PR_SET_DUMPABLE, 1));
}

/* /proc/PID/FILE, or /proc/self/FILE for pid 0. */
static inline const char *proc_path(pid_t pid, const char *file)
{
	static char path[4][128];
	static int next;
	char *buf = path[next++ % 4];
	if (pid)
		snprintf(buf, sizeof path[0], "/proc/%d/%s", pid, file);
	else
		snprintf(buf, sizeof path[0], "/proc/self/%s", file);
	return buf;
}

/* Write to /proc/PID/FILE. */
static inline int proc_write(pid_t pid, const char *file, const char *text)
{
	return kt_write_file(proc_path(pid, file), text);
}

/* The text of /proc/PID/FILE with runs of blanks made one and none at line starts. */
static inline const char *proc_text(pid_t pid, const char *file)
{
	static char text[16384];
	char *to = text;
	if (kt_read_file(proc_path(pid, file), text, sizeof text) < 0)
		return NULL;
	for (char *from = text; *from; from++) {
		int blank = *from == ' ' || *from == '\t';
		if (blank && (to == text || to[-1] == '\n' || to[-1] == ' '))
			continue;
		*to++ = blank ? ' ' : *from;
	}
	*to = 0;
	return text;
}

/* Map ids of the user namespace of `pid`, from outside. */
static inline void map_ids(pid_t pid, const char *uids, const char *gids)
{
	CHECK_OK(proc_write(pid, "uid_map", uids));
	CHECK_OK(proc_write(pid, "gid_map", gids));
}

/* A new user namespace in which the caller is root, made by an ordinary user or by root. */
static inline void enter_user_ns(void)
{
	char uids[32], gids[32];
	snprintf(uids, sizeof uids, "0 %d 1", geteuid());
	snprintf(gids, sizeof gids, "0 %d 1", getegid());
	CHECK_OK(unshare(CLONE_NEWUSER));
	CHECK_OK(proc_write(0, "setgroups", "deny"));
	map_ids(0, uids, gids);
}

/* The number of a namespace, 0 if there is none. */
static inline ino_t ns_number(pid_t pid, const char *name)
{
	char file[64];
	struct stat st;
	snprintf(file, sizeof file, "ns/%s", name);
	return stat(proc_path(pid, file), &st) < 0 ? 0 : st.st_ino;
}

static inline int ns_open(pid_t pid, const char *name)
{
	char file[64];
	snprintf(file, sizeof file, "ns/%s", name);
	return open(proc_path(pid, file), O_RDONLY | O_CLOEXEC);
}

/* Capability sets, by the bare calls. */
struct caps {
	uint64_t effective, permitted, inheritable;
};

#define CAP(name) (1ULL << CAP_##name)
#define ALL_CAPS ((1ULL << 41) - 1)

static inline int caps_get(pid_t pid, struct caps *c)
{
	struct { uint32_t version; int pid; } head = { 0x20080522, pid };
	struct { uint32_t e, p, i; } data[2] = { { 0, 0, 0 } };
	int r = syscall(SYS_capget, &head, data);
	c->effective = data[0].e | (uint64_t)data[1].e << 32;
	c->permitted = data[0].p | (uint64_t)data[1].p << 32;
	c->inheritable = data[0].i | (uint64_t)data[1].i << 32;
	return r;
}

static inline int caps_set(const struct caps *c)
{
	struct { uint32_t version; int pid; } head = { 0x20080522, 0 };
	struct { uint32_t e, p, i; } data[2] = {
		{ c->effective, c->permitted, c->inheritable },
		{ c->effective >> 32, c->permitted >> 32, c->inheritable >> 32 },
	};
	return syscall(SYS_capset, &head, data);
}

static inline struct caps caps_now(void)
{
	struct caps c;
	CHECK_OK(caps_get(0, &c));
	return c;
}

/* Give up one capability of the effective set. */
static inline void drop_effective(uint64_t cap)
{
	struct caps c = caps_now();
	c.effective &= ~cap;
	CHECK_OK(caps_set(&c));
}
