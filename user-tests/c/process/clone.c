/* clone(2): each sharing flag by itself, the tid flags, and refused combinations. */
#include <sys/mman.h>

#include "proc.h"
#include "sys.h"

static int value;

TEST(clone_fs_shares_directory_and_umask)
{
	char cwd[256];
	umask(022);
	pid_t child = CHECK_OK(sys_clone(CLONE_FS | SIGCHLD, NULL, NULL));
	if (child == 0) {
		umask(077);
		_exit(chdir("/") != 0);
	}
	JOIN(child);
	CHECK(getcwd(cwd, sizeof cwd));
	CHECK(!strcmp(cwd, "/"));
	CHECK_EQ(umask(022), 077);
}

TEST(clone_files_shares_descriptors)
{
	int fd = CHECK_OK(open("/dev/null", O_RDONLY));
	pid_t child = CHECK_OK(sys_clone(CLONE_FILES | SIGCHLD, NULL, NULL));
	if (child == 0)
		_exit(close(fd) || open("/dev/zero", O_RDONLY) != fd ||
		      fcntl(fd, F_SETFD, FD_CLOEXEC));
	JOIN(child);
	char c = 1;
	CHECK_EQ(read(fd, &c, 1), 1);
	CHECK_EQ(c, 0);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
}

static char stack[65536] __attribute__((aligned(16)));

static int set_value(void *arg)
{
	value = (int)(long)arg;
	return 6;
}

TEST(clone_vm_shares_memory)
{
	pid_t child = CHECK_OK(clone(set_value, stack + sizeof stack, CLONE_VM | SIGCHLD, (void *)4));
	int status = kt_wait(child);
	CHECK(WIFEXITED(status));
	CHECK_EQ(WEXITSTATUS(status), 6);
	CHECK_EQ(value, 4);
}

static void on_usr1(int sig)
{
	value = sig;
}

static int set_handler(void *arg)
{
	(void)arg;
	signal(SIGUSR1, on_usr1);
	return 0;
}

TEST(clone_sighand_shares_handlers)
{
	struct sigaction act;
	pid_t child = CHECK_OK(clone(set_handler, stack + sizeof stack,
				     CLONE_VM | CLONE_SIGHAND | SIGCHLD, NULL));
	JOIN(child);
	CHECK_OK(sigaction(SIGUSR1, NULL, &act));
	CHECK(act.sa_handler == on_usr1);
}

TEST(parent_settid_and_child_settid)
{
	pid_t parent_tid = 0;
	volatile pid_t child_tid = 0;
	pid_t child = CHECK_OK(sys_clone(CLONE_PARENT_SETTID | CLONE_CHILD_SETTID | SIGCHLD,
					 &parent_tid, (pid_t *)&child_tid));
	if (child == 0)
		_exit(child_tid != getpid());
	CHECK_EQ(parent_tid, child);
	CHECK_EQ(child_tid, 0);
	JOIN(child);
}

static int sleeps(void *arg)
{
	(void)arg;
	struct timespec t = { 0, 50000000 };
	syscall(SYS_nanosleep, &t, NULL);
	return 0;
}

TEST(child_cleartid_clears_and_wakes)
{
	static volatile pid_t tid = 1;
	pid_t child = CHECK_OK(clone(sleeps, stack + sizeof stack,
				     CLONE_VM | CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD,
				     NULL, NULL, NULL, &tid));
	pid_t seen;
	while ((seen = tid) != 0)
		syscall(SYS_futex, &tid, 0 /* FUTEX_WAIT */, seen, NULL, NULL, 0);
	JOIN(child);
}

TEST(clone_parent_makes_a_sibling)
{
	int end[2];
	pid_t sibling, me = getpid();
	CHECK_OK(pipe(end));
	pid_t child = SPAWN({
		sibling = CHECK_OK(sys_clone(CLONE_PARENT | SIGCHLD, NULL, NULL));
		if (sibling == 0)
			_exit(getppid() == me ? 8 : 1);
		CHECK_EQ(write(end[1], &sibling, sizeof sibling), sizeof sibling);
		CHECK_ERR(wait(NULL), ECHILD);
	});
	CHECK_EQ(read(end[0], &sibling, sizeof sibling), sizeof sibling);
	JOIN(child);
	CHECK_EQ(WEXITSTATUS(kt_wait(sibling)), 8);
}

static volatile int got;

static void count(int sig)
{
	got = sig;
}

TEST(another_exit_signal_makes_a_clone_child)
{
	signal(SIGUSR2, count);
	pid_t child = CHECK_OK(sys_clone(SIGUSR2, NULL, NULL));
	if (child == 0)
		_exit(0);
	WAIT_FOR(got == SIGUSR2);
	CHECK_ERR(waitpid(child, NULL, 0), ECHILD);
	CHECK_ERR(waitpid(-1, NULL, 0), ECHILD);
	CHECK_EQ(waitpid(child, NULL, __WCLONE), child);
}

TEST(no_exit_signal)
{
	pid_t child = CHECK_OK(sys_clone(0, NULL, NULL));
	if (child == 0)
		_exit(0);
	CHECK_EQ(waitpid(child, NULL, __WALL), child);
}

TEST(wrong_combinations)
{
	CHECK_ERR(sys_clone(CLONE_SIGHAND | SIGCHLD, NULL, NULL), EINVAL);
	CHECK_ERR(sys_clone(CLONE_THREAD | CLONE_VM, NULL, NULL), EINVAL);
	CHECK_ERR(sys_clone(CLONE_FS | CLONE_NEWNS | SIGCHLD, NULL, NULL), EINVAL);
	CHECK_ERR(sys_clone(CLONE_FS | CLONE_NEWUSER | SIGCHLD, NULL, NULL), EINVAL);
	CHECK_ERR(sys_clone(CLONE_NEWPID | CLONE_PARENT | SIGCHLD | CLONE_THREAD, NULL, NULL), EINVAL);
	CHECK_ERR(sys_clone(CLONE_NEWIPC | CLONE_SYSVSEM | SIGCHLD, NULL, NULL), EINVAL);
	CHECK_ERR(sys_clone(CLONE_PIDFD | CLONE_PARENT_SETTID | SIGCHLD, NULL, NULL), EINVAL);
}

TEST(clone_pidfd_stores_a_descriptor)
{
	int fd = -1;
	pid_t child = CHECK_OK(sys_clone(CLONE_PIDFD | SIGCHLD, &fd, NULL));
	if (child == 0)
		_exit(0);
	CHECK(fd >= 0);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	JOIN(child);
}

TEST(an_unknown_bit_of_old_libraries_is_ignored)
{
	pid_t child = CHECK_OK(sys_clone(0x400000 /* CLONE_DETACHED */ | SIGCHLD, NULL, NULL));
	if (child == 0)
		_exit(0);
	JOIN(child);
}

TEST(namespaces_need_privilege)
{
	JOIN(SPAWN({
		CHECK_OK(setgid(65534));
		CHECK_OK(setuid(65534));
		CHECK_ERR(sys_clone(CLONE_NEWUTS | SIGCHLD, NULL, NULL), EPERM);
		CHECK_ERR(sys_clone(CLONE_NEWPID | SIGCHLD, NULL, NULL), EPERM);
		CHECK_ERR(sys_clone(CLONE_NEWNS | SIGCHLD, NULL, NULL), EPERM);
		CHECK_ERR(unshare(CLONE_NEWIPC), EPERM);
	}));
}
