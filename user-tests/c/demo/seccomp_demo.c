/* ktest: cc=gcc */
/* ktest: flags=-lseccomp */
/*
 * seccomp_demo: forbid one system call by libseccomp, and call it.
 * SIGSYS ends the process (status 159 of a shell).
 */
#include <seccomp.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

int main(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	if (!filter || seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, SCMP_SYS(getppid), 0) < 0 ||
	    seccomp_load(filter) < 0) {
		perror("seccomp");
		return 1;
	}
	seccomp_release(filter);
	syscall(SYS_getppid);
	puts("getppid was not stopped");
	return 0;
}
