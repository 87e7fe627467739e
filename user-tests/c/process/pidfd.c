/* pidfd_open(2), pidfd_send_signal(2), pidfd_getfd(2). */
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/wait.h>

#include "proc.h"
#include "sys.h"

TEST(opens_with_close_on_exec)
{
	int fd = CHECK_OK(sys_pidfd_open(getpid(), 0));
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
	char c;
	CHECK_ERR(read(fd, &c, 1), EINVAL);
	CHECK_ERR(write(fd, &c, 1), EINVAL);
}

TEST(becomes_readable_at_exit)
{
	pid_t child = SPAWN(pause());
	int fd = CHECK_OK(sys_pidfd_open(child, 0));
	struct pollfd p = { .fd = fd, .events = POLLIN };
	CHECK_EQ(poll(&p, 1, 0), 0);
	SPAWN(kt_sleep_ms(30); kill(child, SIGKILL));
	CHECK_EQ(poll(&p, 1, 10000), 1);
	CHECK(p.revents & POLLIN);
	CHECK_EQ(kt_wait(child), SIGKILL);
	CHECK_EQ(poll(&p, 1, 0), 1);
}

TEST(in_an_epoll_set)
{
	pid_t child = SPAWN(kt_sleep_ms(30));
	int fd = CHECK_OK(sys_pidfd_open(child, 0)), ep = CHECK_OK(epoll_create1(0));
	struct epoll_event e = { .events = EPOLLIN, .data.u64 = 77 };
	CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e));
	CHECK_EQ(epoll_wait(ep, &e, 1, 10000), 1);
	CHECK_EQ(e.data.u64, 77);
	JOIN(child);
}

TEST(sends_signals)
{
	pid_t child = SPAWN(pause());
	int fd = CHECK_OK(sys_pidfd_open(child, 0));
	CHECK_OK(sys_pidfd_send_signal(fd, 0, NULL, 0));
	CHECK_ERR(sys_pidfd_send_signal(fd, 65, NULL, 0), EINVAL);
	CHECK_ERR(sys_pidfd_send_signal(fd, SIGTERM, NULL, 1 << 20), EINVAL);
	CHECK_OK(sys_pidfd_send_signal(fd, SIGTERM, NULL, 0));
	CHECK_EQ(kt_wait(child), SIGTERM);
	CHECK_ERR(sys_pidfd_send_signal(fd, 0, NULL, 0), ESRCH);
}

static void *pauses(void *tid)
{
	*(_Atomic pid_t *)tid = gettid();
	pause();
	return NULL;
}

TEST(sends_signals_through_a_directory_of_proc)
{
	char path[64];
	pid_t child = SPAWN(pause());
	snprintf(path, sizeof path, "/proc/%d", child);
	int dir = CHECK_OK(open(path, O_RDONLY | O_DIRECTORY));
	int name = CHECK_OK(open(path, O_PATH));
	strcat(path, "/task");
	int tasks = CHECK_OK(open(path, O_RDONLY));
	snprintf(path, sizeof path, "/proc/%d/task/%d", child, child);
	int thread = CHECK_OK(open(path, O_RDONLY));
	CHECK_OK(sys_pidfd_send_signal(dir, 0, NULL, 0));
	CHECK_ERR(sys_pidfd_send_signal(name, 0, NULL, 0), EBADF);
	CHECK_ERR(sys_pidfd_send_signal(tasks, 0, NULL, 0), EBADF);
	CHECK_ERR(sys_pidfd_send_signal(thread, 0, NULL, 0), EBADF);
	CHECK_ERR(sys_pidfd_send_signal(dir, 0, NULL, 1 << 20), EINVAL);
	/* It is a pidfd for nothing else. */
	siginfo_t info;
	CHECK_ERR(waitid(P_PIDFD, dir, &info, WEXITED | WNOHANG), EBADF);
	CHECK_ERR(sys_pidfd_getfd(dir, 0, 0), EBADF);
	CHECK_OK(sys_pidfd_send_signal(dir, SIGTERM, NULL, 0));
	CHECK_EQ(kt_wait(child), SIGTERM);
	CHECK_ERR(sys_pidfd_send_signal(dir, SIGTERM, NULL, 0), ESRCH);
}

TEST(a_directory_found_by_a_threads_number_is_its_process)
{
	int end[2];
	CHECK_OK(pipe(end));
	pid_t child = SPAWN({
		pthread_t thread;
		_Atomic pid_t tid = 0;
		CHECK_EQ(pthread_create(&thread, NULL, pauses, &tid), 0);
		WAIT_FOR(tid != 0);
		pid_t found = tid;
		CHECK_EQ(write(end[1], &found, sizeof found), sizeof found);
		pause();
	});
	pid_t tid;
	char path[64];
	CHECK_EQ(read(end[0], &tid, sizeof tid), sizeof tid);
	snprintf(path, sizeof path, "/proc/%d", tid);
	int dir = CHECK_OK(open(path, O_RDONLY));
	CHECK_OK(sys_pidfd_send_signal(dir, SIGTERM, NULL, 0));
	CHECK_EQ(kt_wait(child), SIGTERM);
}

static volatile int value;

static void on_info(int sig, siginfo_t *info, void *context)
{
	(void)sig;
	(void)context;
	value = info->si_value.sival_int;
}

TEST(sends_a_siginfo)
{
	struct sigaction act = { .sa_sigaction = on_info, .sa_flags = SA_SIGINFO };
	CHECK_OK(sigaction(SIGUSR1, &act, NULL));
	int fd = CHECK_OK(sys_pidfd_open(getpid(), 0));
	siginfo_t info = { .si_signo = SIGUSR1, .si_code = SI_QUEUE };
	info.si_value.sival_int = 123;
	CHECK_OK(sys_pidfd_send_signal(fd, SIGUSR1, &info, 0));
	CHECK_EQ(value, 123);
	CHECK_ERR(sys_pidfd_send_signal(fd, SIGUSR2, &info, 0), EINVAL);
	CHECK_ERR(sys_pidfd_send_signal(fd, SIGUSR1, BAD_PTR, 0), EFAULT);
	/* Only the kernel may say SI_USER to others. */
	pid_t child = SPAWN(pause());
	int other = CHECK_OK(sys_pidfd_open(child, 0));
	info.si_code = SI_USER;
	CHECK_ERR(sys_pidfd_send_signal(other, SIGUSR1, &info, 0), EPERM);
	kill(child, SIGKILL);
	kt_wait(child);
}

TEST(takes_a_descriptor)
{
	int end[2];
	char c = 0;
	CHECK_OK(pipe(end));
	pid_t child = SPAWN({
		int own[2];
		CHECK_OK(pipe(own));
		CHECK_EQ(write(own[1], "z", 1), 1);
		CHECK_EQ(write(end[1], &own[0], sizeof own[0]), sizeof own[0]);
		pause();
	});
	int theirs;
	CHECK_EQ(read(end[0], &theirs, sizeof theirs), sizeof theirs);
	int fd = CHECK_OK(sys_pidfd_open(child, 0));
	int mine = CHECK_OK(sys_pidfd_getfd(fd, theirs, 0));
	CHECK_EQ(fcntl(mine, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(read(mine, &c, 1), 1);
	CHECK_EQ(c, 'z');
	CHECK_ERR(sys_pidfd_getfd(fd, 999, 0), EBADF);
	CHECK_ERR(sys_pidfd_getfd(fd, theirs, 1), EINVAL);
	CHECK_ERR(sys_pidfd_getfd(end[0], theirs, 0), EBADF);
	JOIN(SPAWN({
		CHECK_OK(setuid(65534));
		CHECK_ERR(sys_pidfd_getfd(fd, theirs, 0), EPERM);
		CHECK_ERR(sys_pidfd_send_signal(fd, SIGTERM, NULL, 0), EPERM);
	}));
	kill(child, SIGKILL);
	kt_wait(child);
	CHECK_ERR(sys_pidfd_getfd(fd, theirs, 0), ESRCH);
}

TEST(wrong_arguments)
{
	CHECK_ERR(sys_pidfd_open(0, 0), EINVAL);
	CHECK_ERR(sys_pidfd_open(-1, 0), EINVAL);
	CHECK_ERR(sys_pidfd_open(0x3fffffff, 0), ESRCH);
	CHECK_ERR(sys_pidfd_open(getpid(), 1 << 20), EINVAL);
	CHECK_ERR(sys_pidfd_send_signal(999, SIGTERM, NULL, 0), EBADF);
	CHECK_ERR(sys_pidfd_send_signal(0, SIGTERM, NULL, 0), EBADF);
	CHECK_ERR(sys_pidfd_getfd(999, 0, 0), EBADF);
}

TEST(fdinfo_names_the_process)
{
	char path[64];
	int fd = CHECK_OK(sys_pidfd_open(getpid(), 0));
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	CHECK_EQ(kt_field(path, "Pid:"), getpid());
	CHECK_EQ(kt_field(path, "NSpid:"), getpid());
}
