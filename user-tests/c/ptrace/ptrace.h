/*
 * The bare ptrace call and words for its stops (ptrace(2)).
 */
#pragma once

#include <linux/elf.h>
#include <linux/ptrace.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/reg.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "ns.h"
#include "proc.h"
#include "sys.h"

#ifndef __WALL
#define __WALL 0x40000000
#endif
#define ANY_THREAD __WALL

/* As the kernel has it: a word that is read goes to `data`. */
static inline long pt(int request, pid_t pid, unsigned long addr, unsigned long data)
{
	return syscall(SYS_ptrace, request, pid, addr, data);
}

/* A status of wait: stopped by `sig` with this event (or 0x80 in `sig`). */
#define STOPPED(sig, event) (((event) << 16) | ((sig) << 8) | 0x7f)

/* The next report of `pid` must be this status. */
#define EXPECT(pid, want)                                                      \
	do {                                                                   \
		int kt_st = 0;                                                 \
		CHECK_EQ(waitpid(pid, &kt_st, __WALL), pid);                   \
		CHECK_EQ(kt_st, want);                                         \
	} while (0)
#define EXPECT_STOP(pid, sig, event) EXPECT(pid, STOPPED(sig, event))
#define EXPECT_EXIT(pid, code) EXPECT(pid, (code) << 8)
#define EXPECT_KILLED(pid, sig) EXPECT(pid, sig)
#define SYSCALL_STOP (SIGTRAP | 0x80)

static inline void go(pid_t pid, int request, int sig)
{
	CHECK_OK(pt(request, pid, 0, sig));
}

static inline struct user_regs_struct regs_of(pid_t pid)
{
	struct user_regs_struct regs;
	CHECK_OK(pt(PTRACE_GETREGS, pid, 0, (unsigned long)&regs));
	return regs;
}

static inline unsigned long event_of(pid_t pid)
{
	unsigned long message = 0;
	CHECK_OK(pt(PTRACE_GETEVENTMSG, pid, 0, (unsigned long)&message));
	return message;
}

static inline siginfo_t info_of(pid_t pid)
{
	siginfo_t info;
	memset(&info, 0, sizeof info);
	CHECK_OK(pt(PTRACE_GETSIGINFO, pid, 0, (unsigned long)&info));
	return info;
}

static inline unsigned long peek(pid_t pid, const volatile void *at)
{
	unsigned long word = 0;
	CHECK_OK(pt(PTRACE_PEEKDATA, pid, (unsigned long)at, (unsigned long)&word));
	return word;
}

static inline void poke(pid_t pid, const volatile void *at, unsigned long word)
{
	CHECK_OK(pt(PTRACE_POKEDATA, pid, (unsigned long)at, word));
}

/* A child that asks to be traced, stops itself, and then runs the statements. */
#define TRACED_CHILD(...)                                                      \
	({                                                                     \
		pid_t kt_child = SPAWN({                                       \
			CHECK_OK(pt(PTRACE_TRACEME, 0, 0, 0));                 \
			raise(SIGSTOP);                                        \
			__VA_ARGS__;                                           \
		});                                                            \
		EXPECT_STOP(kt_child, SIGSTOP, 0);                             \
		kt_child;                                                      \
	})

/* The tracer as /proc/PID/status shows it. */
static inline long tracer_of(pid_t pid)
{
	return kt_field(proc_path(pid, "status"), "TracerPid:");
}

static inline void pause_for_ever(void)
{
	for (;;)
		pause();
}
