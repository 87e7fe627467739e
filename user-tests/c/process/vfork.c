/* vfork(2): the parent stands still and shares its memory until exec or exit. */
#include <spawn.h>
#include <sys/mman.h>

#include "proc.h"
#include "sys.h"

extern char **environ;
static volatile int shared;

ROLE(exits_with_5)
{
	return 5;
}

TEST(memory_is_shared_until_exit)
{
	shared = 0;
	pid_t child = vfork();
	if (child == 0) {
		shared = 9;
		_exit(3);
	}
	CHECK(child > 0);
	CHECK_EQ(shared, 9);
	CHECK_EQ(WEXITSTATUS(kt_wait(child)), 3);
}

TEST(parent_waits_for_exit)
{
	long long start = kt_now_ms();
	pid_t child = vfork();
	if (child == 0) {
		struct timespec t = { 0, 150000000 };
		syscall(SYS_nanosleep, &t, NULL);
		_exit(0);
	}
	CHECK(kt_now_ms() - start >= 140);
	JOIN(child);
}

TEST(parent_goes_on_at_exec)
{
	char *argv[] = { "role:exits_with_5", NULL };
	pid_t child = vfork();
	if (child == 0) {
		execve("/proc/self/exe", argv, environ);
		_exit(100);
	}
	CHECK(child > 0);
	CHECK_EQ(WEXITSTATUS(kt_wait(child)), 5);
}

TEST(parent_goes_on_when_the_child_is_killed)
{
	pid_t child = vfork();
	if (child == 0) {
		syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
		_exit(1);
	}
	CHECK_EQ(kt_wait(child), SIGKILL);
}

TEST(a_waiting_parent_can_be_killed)
{
	int end[2];
	CHECK_OK(pipe(end));
	pid_t middle = SPAWN({
		if (vfork() == 0) {
			char c;
			syscall(SYS_read, end[0], &c, 1);
			_exit(0);
		}
	});
	WAIT_FOR(kt_state(middle) == 'D' || kt_state(middle) == 'S');
	CHECK_OK(kill(middle, SIGKILL));
	CHECK_EQ(kt_wait(middle), SIGKILL);
}

TEST(descriptors_are_not_shared)
{
	int fd = CHECK_OK(open("/dev/null", O_RDONLY));
	pid_t child = vfork();
	if (child == 0) {
		close(fd);
		_exit(0);
	}
	JOIN(child);
	CHECK_OK(fcntl(fd, F_GETFD));
}

TEST(posix_spawn_works)
{
	pid_t child;
	char *argv[] = { "role:exits_with_5", NULL };
	CHECK_EQ(posix_spawn(&child, "/proc/self/exe", NULL, NULL, argv, environ), 0);
	CHECK_EQ(WEXITSTATUS(kt_wait(child)), 5);
	CHECK_EQ(posix_spawn(&child, "/no/such", NULL, NULL, argv, environ), ENOENT);
	CHECK_ERR(wait(NULL), ECHILD);
}

TEST(system_and_popen_run_the_shell)
{
	if (access("/bin/sh", X_OK))
		SKIP("no shell");
	CHECK_EQ(WEXITSTATUS(system("exit 4")), 4);
	FILE *f = popen("echo one; echo two", "r");
	char line[16];
	CHECK(f != NULL);
	CHECK(fgets(line, sizeof line, f) && !strcmp(line, "one\n"));
	CHECK(fgets(line, sizeof line, f) && !strcmp(line, "two\n"));
	CHECK_EQ(pclose(f), 0);
}
