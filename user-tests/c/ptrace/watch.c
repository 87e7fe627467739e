/* Hardware breakpoints. */
#include <sys/syscall.h>
#include "ptrace.h"

#define DR(n) (offsetof(struct user, u_debugreg) + (n) * 8)
/* Register 7: address n is watched, with a condition and a length code. */
#define ON(n, kind, len) (1UL << (2 * (n)) | (((kind) | (len) << 2UL) << (16 + 4 * (n))))
#define EXECUTE 0UL
#define WRITE 1UL
#define ACCESS 3UL
#define LEN1 0UL
#define LEN2 1UL
#define LEN4 3UL
#define LEN8 2UL

static void set_dr(pid_t child, int n, unsigned long value)
{
	CHECK_OK(pt(PTRACE_POKEUSR, child, DR(n), value));
}

static unsigned long get_dr(pid_t child, int n)
{
	unsigned long value = 0;
	CHECK_OK(pt(PTRACE_PEEKUSR, child, DR(n), (unsigned long)&value));
	return value;
}

static volatile unsigned long watched[8];

static void expect_hit(pid_t child, int n)
{
	EXPECT_STOP(child, SIGTRAP, 0);
	siginfo_t info = info_of(child);
	CHECK_EQ(info.si_code, 4);
	CHECK_EQ((unsigned long)info.si_addr, regs_of(child).rip);
	CHECK_EQ(get_dr(child, 6) & 15, 1UL << n);
}

TEST(writing_traps_behind_the_instruction)
{
	pid_t child = TRACED_CHILD({
		watched[1] = 5;
		watched[2] = watched[0];
		watched[0] = 7;
		watched[0] = 8;
	});
	set_dr(child, 0, (unsigned long)&watched[0]);
	set_dr(child, 7, ON(0, WRITE, LEN8));
	CHECK_EQ(get_dr(child, 0), (unsigned long)&watched[0]);
	CHECK_EQ(get_dr(child, 7), ON(0, WRITE, LEN8));
	go(child, PTRACE_CONT, 0);
	expect_hit(child, 0);
	CHECK_EQ(peek(child, &watched[0]), 7);
	CHECK_EQ(peek(child, &watched[1]), 5);
	go(child, PTRACE_CONT, 0);
	expect_hit(child, 0);
	CHECK_EQ(peek(child, &watched[0]), 8);
	set_dr(child, 7, 0);
	go(child, PTRACE_CONT, 0);
	EXPECT_EXIT(child, 0);
}

TEST(reading_traps_too)
{
	pid_t child = TRACED_CHILD({
		watched[1] = watched[2];
	});
	set_dr(child, 3, (unsigned long)&watched[2]);
	set_dr(child, 7, ON(3, ACCESS, LEN4));
	go(child, PTRACE_CONT, 0);
	expect_hit(child, 3);
	go(child, PTRACE_CONT, 0);
	EXPECT_EXIT(child, 0);
}

static __attribute__((noinline)) int answer(int n)
{
	__asm__ volatile("");
	return n + 1;
}

TEST(execution_traps_before_the_instruction_once)
{
	int (*volatile f)(int) = answer;
	pid_t child = TRACED_CHILD({
		CHECK_EQ(f(f(1)), 3);
	});
	set_dr(child, 1, (unsigned long)f);
	set_dr(child, 7, ON(1, EXECUTE, LEN1));
	for (int n = 0; n < 2; n++) {
		go(child, PTRACE_CONT, 0);
		expect_hit(child, 1);
		CHECK_EQ(regs_of(child).rip, (unsigned long)f);
		CHECK_EQ(regs_of(child).rdi, 1 + n);
	}
	go(child, PTRACE_CONT, 0);
	EXPECT_EXIT(child, 0);
}

TEST(what_cannot_be_watched)
{
	pid_t child = TRACED_CHILD(pause_for_ever());
	CHECK_ERR(pt(PTRACE_POKEUSR, child, DR(4), 0), EIO);
	CHECK_ERR(pt(PTRACE_POKEUSR, child, DR(5), 0), EIO);
	set_dr(child, 0, (unsigned long)watched + 1);
	CHECK_ERR(pt(PTRACE_POKEUSR, child, DR(7), ON(0, WRITE, LEN4)), EINVAL);
	CHECK_ERR(pt(PTRACE_POKEUSR, child, DR(7), ON(0, EXECUTE, LEN4)), EINVAL);
	CHECK_ERR(pt(PTRACE_POKEUSR, child, DR(7), ON(0, 2UL, LEN1)), EINVAL);
	CHECK_EQ(get_dr(child, 7), 0);
	set_dr(child, 7, ON(0, WRITE, LEN1));
	kill(child, SIGKILL);
	EXPECT_KILLED(child, SIGKILL);
}

/* The kernel may write there, and others do not trap. */
TEST(only_the_tracees_user_code_traps)
{
	int fds[2];
	CHECK_OK(pipe(fds));
	pid_t child = TRACED_CHILD({
		for (int n = 0; n < 50; n++)
			CHECK_EQ(read(fds[0], (void *)&watched[3], 8), 8);
		pid_t other = SPAWN(watched[3] = 1);
		JOIN(other);
		watched[3] = 99;
	});
	set_dr(child, 2, (unsigned long)&watched[3]);
	set_dr(child, 7, ON(2, WRITE, LEN8));
	go(child, PTRACE_CONT, 0);
	for (int n = 0; n < 50; n++) {
		watched[3] = n;
		CHECK_EQ(write(fds[1], (void *)&watched[3], 8), 8);
		if (n % 10 == 0)
			kt_sleep_ms(1);
	}
	EXPECT_STOP(child, SIGCHLD, 0);
	go(child, PTRACE_CONT, 0);
	expect_hit(child, 2);
	CHECK_EQ(peek(child, &watched[3]), 99);
	go(child, PTRACE_CONT, 0);
	EXPECT_EXIT(child, 0);
}

ROLE(quiet)
{
	watched[4] = 1;
	return 6;
}

TEST(a_new_program_is_not_watched)
{
	pid_t child = TRACED_CHILD(execl("/proc/self/exe", "role:quiet", NULL));
	set_dr(child, 0, (unsigned long)&watched[4]);
	set_dr(child, 7, ON(0, WRITE, LEN8));
	go(child, PTRACE_CONT, 0);
	EXPECT_STOP(child, SIGTRAP, 0);
	CHECK_EQ(info_of(child).si_code, SI_USER);
	CHECK_EQ(get_dr(child, 7), 0);
	CHECK_EQ(get_dr(child, 0), 0);
	go(child, PTRACE_CONT, 0);
	EXPECT_EXIT(child, 6);
}

/* MOV SS holds a trap back until the kernel has been entered, on the user's stack. */
TEST(a_held_back_trap_does_not_hurt_the_kernel)
{
	static unsigned short ss = 0x2b;
	pid_t child = TRACED_CHILD({
		for (int n = 0; n < 100; n++) {
			long r;
			__asm__ volatile("mov %1, %%ss\n\tsyscall"
					 : "=a"(r) : "m"(ss), "a"(SYS_getppid) : "rcx", "r11", "memory");
			CHECK_EQ(r, getppid());
		}
	});
	set_dr(child, 0, (unsigned long)&ss);
	set_dr(child, 7, ON(0, ACCESS, LEN2));
	int status;
	for (;;) {
		go(child, PTRACE_CONT, 0);
		CHECK_EQ(waitpid(child, &status, __WALL), child);
		if (!WIFSTOPPED(status))
			break;
		CHECK_EQ(WSTOPSIG(status), SIGTRAP);
	}
	CHECK_EQ(status, 0);
}

TEST(many_threads_with_watches_switch)
{
	pid_t children[6];
	for (int n = 0; n < 6; n++) {
		children[n] = TRACED_CHILD({
			for (int k = 1; k <= 20; k++) {
				sched_yield();
				watched[n] = k;
			}
		});
		if (n % 2) {
			set_dr(children[n], 0, (unsigned long)&watched[n]);
			set_dr(children[n], 7, ON(0, WRITE, LEN8));
		}
		go(children[n], PTRACE_CONT, 0);
	}
	for (int left = 6, hits = 0; left > 0;) {
		int status;
		pid_t pid = CHECK_OK(waitpid(-1, &status, __WALL));
		if (!WIFSTOPPED(status)) {
			CHECK_EQ(status, 0);
			if (--left == 0)
				CHECK_EQ(hits, 3 * 20);
			continue;
		}
		CHECK_EQ(WSTOPSIG(status), SIGTRAP);
		hits++;
		go(pid, PTRACE_CONT, 0);
	}
}
