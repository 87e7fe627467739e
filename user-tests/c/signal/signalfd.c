/* signalfd(2). */
#include <poll.h>
#include <sys/signalfd.h>

#include "proc.h"

static sigset_t block(int a, int b)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, a);
	if (b)
		sigaddset(&set, b);
	CHECK_OK(sigprocmask(SIG_BLOCK, &set, NULL));
	return set;
}

TEST(reads_details)
{
	sigset_t set = block(SIGUSR1, SIGRTMIN);
	int fd = CHECK_OK(signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC));
	struct signalfd_siginfo info[3];
	CHECK_EQ(sizeof info[0], 128);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_ERR(read(fd, info, sizeof info), EAGAIN);
	CHECK_OK(sigqueue(getpid(), SIGRTMIN, (union sigval){ .sival_int = 42 }));
	kill(getpid(), SIGUSR1);
	CHECK_ERR(read(fd, info, 127), EINVAL);
	CHECK_EQ(read(fd, info, sizeof info), 256);
	CHECK_EQ(info[0].ssi_signo, SIGUSR1);
	CHECK_EQ(info[0].ssi_code, SI_USER);
	CHECK_EQ(info[0].ssi_pid, getpid());
	CHECK_EQ(info[1].ssi_signo, SIGRTMIN);
	CHECK_EQ(info[1].ssi_int, 42);
	CHECK_EQ(info[1].ssi_code, SI_QUEUE);
	CHECK_ERR(read(fd, info, sizeof info), EAGAIN);
	CHECK_ERR(write(fd, info, sizeof info), EINVAL);
}

TEST(polls)
{
	sigset_t set = block(SIGUSR1, 0);
	int fd = CHECK_OK(signalfd(-1, &set, 0));
	struct pollfd p = { .fd = fd, .events = POLLIN };
	CHECK_EQ(poll(&p, 1, 0), 0);
	pid_t me = getpid();
	pid_t child = SPAWN(kt_sleep_ms(30); kill(me, SIGUSR1));
	CHECK_EQ(poll(&p, 1, 10000), 1);
	struct signalfd_siginfo info;
	CHECK_EQ(read(fd, &info, sizeof info), sizeof info);
	CHECK_EQ(info.ssi_pid, child);
	kt_wait(child);
}

TEST(blocks_until_a_signal)
{
	sigset_t set = block(SIGCHLD, 0);
	int fd = CHECK_OK(signalfd(-1, &set, 0));
	struct signalfd_siginfo info;
	pid_t child = SPAWN(kt_sleep_ms(30); _exit(3));
	CHECK_EQ(read(fd, &info, sizeof info), sizeof info);
	CHECK_EQ(info.ssi_signo, SIGCHLD);
	CHECK_EQ(info.ssi_pid, child);
	CHECK_EQ(info.ssi_status, 3);
	CHECK_EQ(info.ssi_code, CLD_EXITED);
	kt_wait(child);
}

TEST(the_set_can_be_changed)
{
	sigset_t set = block(SIGUSR1, SIGUSR2), only2;
	int fd = CHECK_OK(signalfd(-1, &set, SFD_NONBLOCK));
	struct signalfd_siginfo info;
	sigemptyset(&only2);
	sigaddset(&only2, SIGUSR2);
	CHECK_EQ(signalfd(fd, &only2, 0), fd);
	raise(SIGUSR1);
	CHECK_ERR(read(fd, &info, sizeof info), EAGAIN);
	raise(SIGUSR2);
	CHECK_EQ(read(fd, &info, sizeof info), sizeof info);
	CHECK_EQ(info.ssi_signo, SIGUSR2);
}

TEST(another_process_reads_its_own_signals)
{
	sigset_t set = block(SIGUSR1, 0);
	int fd = CHECK_OK(signalfd(-1, &set, SFD_NONBLOCK));
	raise(SIGUSR1);
	JOIN(SPAWN({
		struct signalfd_siginfo info;
		CHECK_ERR(read(fd, &info, sizeof info), EAGAIN);
		raise(SIGUSR1);
		CHECK_EQ(read(fd, &info, sizeof info), sizeof info);
		CHECK_EQ(info.ssi_pid, getpid());
	}));
}

TEST(wrong_arguments)
{
	sigset_t set = block(SIGUSR1, 0);
	CHECK_ERR(signalfd(999, &set, 0), EBADF);
	CHECK_ERR(signalfd(0, &set, 0), EINVAL);
	CHECK_ERR(signalfd(-1, &set, 1), EINVAL);
	CHECK_ERR(syscall(SYS_signalfd4, -1, &set, 4, 0), EINVAL);
	CHECK_ERR(syscall(SYS_signalfd4, -1, BAD_PTR, 8, 0), EFAULT);
	int fd = CHECK_OK(signalfd(-1, &set, SFD_NONBLOCK));
	raise(SIGUSR1);
	CHECK_ERR(syscall(SYS_read, fd, BAD_PTR, 128), EFAULT);
}
