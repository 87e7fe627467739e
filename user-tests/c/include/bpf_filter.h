/*
 * Seccomp filters in classic BPF, and the bare calls around them (seccomp(2)).
 */
#pragma once

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "ktest.h"

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

#define LOAD_NR BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))
#define LOAD_ARCH BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch))
#define LOAD_ARG(n) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[n]))
#define RET(k) BPF_STMT(BPF_RET | BPF_K, k)
#define JEQ(k, jt, jf) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, k, jt, jf)

#define PROG(...)                                                              \
	((struct sock_fprog){                                                  \
		.len = sizeof((struct sock_filter[]){ __VA_ARGS__ }) /         \
		       sizeof(struct sock_filter),                             \
		.filter = (struct sock_filter[]){ __VA_ARGS__ } })

/* This action for one call, all others are allowed. */
#define ON_CALL(nr, action) PROG(LOAD_NR, JEQ(nr, 0, 1), RET(action), RET(SECCOMP_RET_ALLOW))

static inline long sys_seccomp(unsigned op, unsigned flags, void *args)
{
	return syscall(SYS_seccomp, op, flags, args);
}

static inline void no_new_privs(void)
{
	CHECK_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
}

static inline void install(struct sock_fprog prog)
{
	no_new_privs();
	CHECK_OK(sys_seccomp(SECCOMP_SET_MODE_FILTER, 0, &prog));
}
