/*
 * Calls and constants that the C library does not have, under the names of
 * their man pages. Each is the bare system call: -1 and errno on failure.
 */
#pragma once

#include <linux/close_range.h>
#include <linux/openat2.h>
#include <sched.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

struct clone_args {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack,
		stack_size, tls, set_tid, set_tid_size, cgroup;
};

#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x1000
#endif
#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND 0x100000000ULL
#endif
#ifndef P_PIDFD
#define P_PIDFD 3
#endif
#ifndef PIDFD_NONBLOCK
#define PIDFD_NONBLOCK 04000
#endif
#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE 1
#define RENAME_EXCHANGE 2
#define RENAME_WHITEOUT 4
#endif

static inline long sys_clone3(struct clone_args *args, size_t size)
{
	return syscall(SYS_clone3, args, size);
}

/* A fork with flags: no new stack, so not for CLONE_VM without CLONE_VFORK. */
static inline pid_t sys_clone(unsigned long flags, pid_t *parent_tid, pid_t *child_tid)
{
	return syscall(SYS_clone, flags, NULL, parent_tid, child_tid, 0);
}

static inline int sys_pidfd_open(pid_t pid, unsigned flags)
{
	return syscall(SYS_pidfd_open, pid, flags);
}

static inline int sys_pidfd_send_signal(int fd, int sig, void *info, unsigned flags)
{
	return syscall(SYS_pidfd_send_signal, fd, sig, info, flags);
}

static inline int sys_pidfd_getfd(int pidfd, int fd, unsigned flags)
{
	return syscall(SYS_pidfd_getfd, pidfd, fd, flags);
}

static inline int sys_execveat(int dir, const char *path, char *const argv[],
			       char *const envp[], int flags)
{
	return syscall(SYS_execveat, dir, path, argv, envp, flags);
}

static inline int sys_openat2(int dir, const char *path, struct open_how *how, size_t size)
{
	return syscall(SYS_openat2, dir, path, how, size);
}

static inline int sys_renameat2(int from_dir, const char *from, int to_dir,
				const char *to, unsigned flags)
{
	return syscall(SYS_renameat2, from_dir, from, to_dir, to, flags);
}

static inline int sys_close_range(unsigned first, unsigned last, unsigned flags)
{
	return syscall(SYS_close_range, first, last, flags);
}

static inline int sys_faccessat2(int dir, const char *path, int mode, int flags)
{
	return syscall(SYS_faccessat2, dir, path, mode, flags);
}

static inline pid_t sys_gettid(void)
{
	return syscall(SYS_gettid);
}

static inline int sys_tgkill(pid_t group, pid_t thread, int sig)
{
	return syscall(SYS_tgkill, group, thread, sig);
}

/* The kernel's own view of waitid: with rusage. */
static inline int sys_waitid(int type, int id, void *info, int options, void *usage)
{
	return syscall(SYS_waitid, type, id, info, options, usage);
}
