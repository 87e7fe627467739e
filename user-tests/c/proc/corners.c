/* Corners of /proc/PID: a task that looks at its own call, a process without memory. */
#include <sys/mman.h>
#include <sys/ptrace.h>

#include "proc.h"

TEST(a_task_sees_its_own_call)
{
	char text[256] = "", want[128];
	int fd = CHECK_OK(open("/proc/self/syscall", O_RDONLY));
	/* The bare call: what it is given has to be what is seen. */
	CHECK(syscall(SYS_read, fd, text, sizeof text - 1) > 0);
	snprintf(want, sizeof want, "%d 0x%x 0x%lx 0x%lx ", SYS_read, fd, (unsigned long)text,
		 (unsigned long)sizeof text - 1);
	if (strncmp(text, want, strlen(want)))
		KT_FAIL("\"%s\" does not begin with \"%s\"", text, want);
}

/* Where anything can be: below the last page. */
#define USER_SPACE 0x7ffffffff000ul

TEST(a_process_without_memory_has_a_rollup)
{
	pid_t pid = SPAWN({
		CHECK_OK(ptrace(PTRACE_TRACEME, 0, NULL, NULL));
		raise(SIGSTOP);
		register long nr __asm__("rax") = SYS_munmap;
		__asm__ volatile("syscall" : "+r"(nr) : "D"(0), "S"(USER_SPACE) : "rcx", "r11", "memory");
	});
	int status;
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	CHECK_OK(ptrace(PTRACE_CONT, pid, NULL, NULL));
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSEGV);
	char path[64], text[4096];
	snprintf(path, sizeof path, "/proc/%d/smaps_rollup", pid);
	CHECK(kt_read_file(path, text, sizeof text) > 0);
	const char *line = "00000000-00000000 ---p 00000000 00:00 0                                  [rollup]\n";
	CHECK(!strncmp(text, line, strlen(line)));
	CHECK_EQ(kt_field(path, "Rss:"), 0);
	CHECK_EQ(kt_field(path, "Locked:"), 0);
	kill(pid, SIGKILL);
	kt_wait(pid);
}
