/*
 * seccomp_unotify(2): a supervisor decides about the calls of another process.
 */
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "bpf_filter.h"
#include "proc.h"
#include "sys.h"

#ifndef SECCOMP_ADDFD_FLAG_SEND
#define SECCOMP_ADDFD_FLAG_SEND (1UL << 1)
#endif

static int listen_to(int nr, unsigned flags)
{
	struct sock_fprog prog = ON_CALL(nr, SECCOMP_RET_USER_NOTIF);
	no_new_privs();
	return CHECK_OK(sys_seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER | flags, &prog));
}

static struct seccomp_notif receive(int fd)
{
	struct seccomp_notif req;
	memset(&req, 0, sizeof req);
	CHECK_OK(ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &req));
	return req;
}

static int answer(int fd, uint64_t id, int error, long val, unsigned flags)
{
	struct seccomp_notif_resp resp = { .id = id, .val = val, .error = error, .flags = flags };
	return ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &resp);
}

static int events(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT };
	CHECK_OK(poll(&p, 1, 0));
	return p.revents;
}

TEST(the_supervisor_answers)
{
	int fd = listen_to(SYS_getppid, 0);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(events(fd), 0);
	pid_t pid = SPAWN(CHECK_EQ(syscall(SYS_getppid, 1, 2, 3, 4, 5, 6), 4711));
	struct seccomp_notif req = receive(fd);
	CHECK_EQ(req.pid, pid);
	CHECK_EQ(req.flags, 0);
	CHECK_EQ(req.data.nr, SYS_getppid);
	CHECK_EQ(req.data.arch, AUDIT_ARCH_X86_64);
	for (int n = 0; n < 6; n++)
		CHECK_EQ(req.data.args[n], n + 1);
	CHECK_EQ(events(fd), POLLOUT);
	CHECK_OK(ioctl(fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &req.id));
	CHECK_OK(answer(fd, req.id, 0, 4711, 0));
	JOIN(pid);
	CHECK_ERR(ioctl(fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &req.id), ENOENT);
	CHECK_ERR(answer(fd, req.id, 0, 0, 0), ENOENT);
}

TEST(it_answers_with_an_error)
{
	int fd = listen_to(SYS_getppid, 0);
	pid_t pid = SPAWN(CHECK_ERR(syscall(SYS_getppid), EXDEV));
	struct seccomp_notif req = receive(fd);
	CHECK_OK(answer(fd, req.id, -EXDEV, 0, 0));
	JOIN(pid);
}

TEST(it_lets_the_call_go_on)
{
	int fd = listen_to(SYS_getppid, 0);
	pid_t me = getpid();
	pid_t pid = SPAWN(CHECK_EQ(syscall(SYS_getppid), me));
	struct seccomp_notif req = receive(fd);
	CHECK_ERR(answer(fd, req.id, 1, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE), EINVAL);
	CHECK_ERR(answer(fd, req.id, 0, 1, SECCOMP_USER_NOTIF_FLAG_CONTINUE), EINVAL);
	CHECK_ERR(answer(fd, req.id, 0, 0, 2), EINVAL);
	CHECK_OK(answer(fd, req.id, 0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE));
	JOIN(pid);
}

TEST(only_what_was_received_is_answered)
{
	int fd = listen_to(SYS_getppid, 0);
	pid_t pid = SPAWN(syscall(SYS_getppid));
	WAIT_FOR(events(fd) == POLLIN);
	CHECK_ERR(answer(fd, 1, 0, 0, 0), ENOENT);
	struct seccomp_notif bad;
	memset(&bad, 0, sizeof bad);
	bad.pid = 1;
	CHECK_ERR(ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &bad), EINVAL);
	CHECK_ERR(ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, BAD_PTR), EFAULT);
	CHECK_ERR(ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, BAD_PTR), EFAULT);
	CHECK_ERR(ioctl(fd, 0x1234, BAD_PTR), EINVAL);
	struct seccomp_notif req = receive(fd);
	CHECK_OK(answer(fd, req.id, 0, 7, 0));
	JOIN(pid);
}

TEST(a_signal_takes_the_notification_back)
{
	int fd = listen_to(SYS_getppid, 0);
	pid_t pid = SPAWN({
		syscall(SYS_getppid);
	});
	struct seccomp_notif req = receive(fd);
	CHECK_OK(kill(pid, SIGKILL));
	CHECK_EQ(kt_wait(pid), SIGKILL);
	CHECK_ERR(ioctl(fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &req.id), ENOENT);
	CHECK_ERR(answer(fd, req.id, 0, 0, 0), ENOENT);
	CHECK_EQ(events(fd), 0);
}

static volatile int interrupted;
static void on_signal(int sig)
{
	interrupted = sig;
}

TEST(an_interrupted_call_is_restarted_or_not)
{
	int fd = listen_to(SYS_getppid, 0);
	for (int flags = 0; flags <= SA_RESTART; flags += SA_RESTART) {
		struct sigaction act = { .sa_handler = on_signal, .sa_flags = flags };
		pid_t pid = SPAWN({
			CHECK_OK(sigaction(SIGUSR1, &act, NULL));
			if (flags)
				CHECK_EQ(syscall(SYS_getppid), 3);
			else
				CHECK_ERR(syscall(SYS_getppid), EINTR);
			CHECK_EQ(interrupted, SIGUSR1);
		});
		struct seccomp_notif req = receive(fd);
		WAIT_FOR(kt_state(pid) == 'S');
		CHECK_OK(kill(pid, SIGUSR1));
		if (flags) {
			struct seccomp_notif again = receive(fd);
			CHECK(again.id != req.id);
			CHECK_OK(answer(fd, again.id, 0, 3, 0));
		}
		JOIN(pid);
	}
}

TEST(wait_killable_ignores_signals_after_receipt)
{
	int fd = listen_to(SYS_getppid, SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
	struct sigaction act = { .sa_handler = on_signal };
	pid_t pid = SPAWN({
		CHECK_OK(sigaction(SIGUSR1, &act, NULL));
		CHECK_EQ(syscall(SYS_getppid), 3);
		CHECK_EQ(interrupted, SIGUSR1);
	});
	struct seccomp_notif req = receive(fd);
	WAIT_FOR(kt_state(pid) == 'S');
	CHECK_OK(kill(pid, SIGUSR1));
	WAIT_FOR(kt_state(pid) == 'D');
	CHECK_OK(ioctl(fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &req.id));
	CHECK_OK(answer(fd, req.id, 0, 3, 0));
	JOIN(pid);
}

TEST(without_a_listener_it_is_enosys)
{
	int fd = listen_to(SYS_getppid, 0);
	CHECK_OK(close(fd));
	CHECK_ERR(syscall(SYS_getppid), ENOSYS);
	install(ON_CALL(SYS_getpgrp, SECCOMP_RET_USER_NOTIF));
	CHECK_ERR(syscall(SYS_getpgrp), ENOSYS);
}

TEST(closing_the_listener_ends_the_wait)
{
	int fd = listen_to(SYS_getppid, 0);
	pid_t pid = SPAWN({
		close(fd);
		CHECK_ERR(syscall(SYS_getppid), ENOSYS);
	});
	receive(fd);
	CHECK_OK(close(fd));
	JOIN(pid);
}

TEST(one_listener_in_a_chain)
{
	struct sock_fprog prog = PROG(RET(SECCOMP_RET_ALLOW));
	listen_to(SYS_getppid, 0);
	CHECK_ERR(sys_seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog), EBUSY);
	install(prog);
}

TEST(the_listener_hears_of_the_end)
{
	int pair[2];
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	pid_t pid = SPAWN({
		int fd = listen_to(SYS_getppid, 0);
		char control[CMSG_SPACE(sizeof(int))];
		memset(control, 0, sizeof control);
		char byte = 'x';
		struct iovec iov = { &byte, 1 };
		struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
				      .msg_controllen = sizeof control };
		struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof fd);
		CHECK_EQ(sendmsg(pair[1], &msg, 0), 1);
		CHECK_EQ(read(pair[1], &byte, 1), 1);
	});
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
			      .msg_controllen = sizeof control };
	CHECK_EQ(recvmsg(pair[0], &msg, 0), 1);
	int fd;
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof fd);
	CHECK_EQ(events(fd), 0);
	CHECK_EQ(write(pair[0], "x", 1), 1);
	JOIN(pid);
	CHECK_EQ(events(fd), POLLHUP);
}

TEST(a_descriptor_is_added)
{
	int fd = listen_to(SYS_getppid, 0);
	CHECK_EQ(write(CHECK_OK(open("file", O_CREAT | O_RDWR, 0600)), "abc", 3), 3);
	pid_t pid = SPAWN({
		struct stat st;
		int got = syscall(SYS_getppid);
		CHECK(got > 2);
		CHECK_OK(fstat(got, &st));
		CHECK_EQ(st.st_size, 3);
		CHECK_EQ(fcntl(got, F_GETFD), FD_CLOEXEC);
		CHECK_EQ(fcntl(55, F_GETFD), 0);
	});
	struct seccomp_notif req;
	memset(&req, 0, sizeof req);
	int file = CHECK_OK(open("file", O_RDONLY));
	struct seccomp_notif_addfd add = { .srcfd = file };
	CHECK_ERR(ioctl(fd, SECCOMP_IOCTL_NOTIF_ADDFD, &add), ENOENT);
	WAIT_FOR(events(fd) == POLLIN);
	req = receive(fd);
	add.id = req.id;
	add.newfd = 55;
	CHECK_ERR(ioctl(fd, SECCOMP_IOCTL_NOTIF_ADDFD, &add), EINVAL);
	add.flags = 4;
	CHECK_ERR(ioctl(fd, SECCOMP_IOCTL_NOTIF_ADDFD, &add), EINVAL);
	add.flags = SECCOMP_ADDFD_FLAG_SETFD;
	add.newfd_flags = O_APPEND;
	CHECK_ERR(ioctl(fd, SECCOMP_IOCTL_NOTIF_ADDFD, &add), EINVAL);
	add.newfd_flags = 0;
	add.srcfd = 999;
	CHECK_ERR(ioctl(fd, SECCOMP_IOCTL_NOTIF_ADDFD, &add), EBADF);
	add.srcfd = file;
	CHECK_EQ(ioctl(fd, SECCOMP_IOCTL_NOTIF_ADDFD, &add), 55);
	add.flags = 0;
	add.newfd = 0;
	add.newfd_flags = O_CLOEXEC;
	int there = CHECK_OK(ioctl(fd, SECCOMP_IOCTL_NOTIF_ADDFD, &add));
	CHECK_OK(answer(fd, req.id, 0, there, 0));
	JOIN(pid);
}

TEST(add_and_answer_at_once)
{
	int fd = listen_to(SYS_getppid, 0);
	pid_t pid = SPAWN({
		int got = syscall(SYS_getppid);
		CHECK_EQ(fcntl(got, F_GETFD), 0);
	});
	struct seccomp_notif req = receive(fd);
	struct seccomp_notif_addfd add = { .id = req.id, .srcfd = 1, .flags = SECCOMP_ADDFD_FLAG_SEND };
	CHECK(CHECK_OK(ioctl(fd, SECCOMP_IOCTL_NOTIF_ADDFD, &add)) > 2);
	CHECK_ERR(answer(fd, req.id, 0, 0, 0), ENOENT);
	JOIN(pid);
}

TEST(a_descriptor_that_does_not_fit)
{
	int fd = listen_to(SYS_getppid, 0);
	pid_t pid = SPAWN(CHECK_EQ(syscall(SYS_getppid), 9));
	struct seccomp_notif req = receive(fd);
	struct seccomp_notif_addfd add = { .id = req.id, .srcfd = 1, .newfd = 0x7fffffff,
		.flags = SECCOMP_ADDFD_FLAG_SEND | SECCOMP_ADDFD_FLAG_SETFD };
	CHECK_ERR(ioctl(fd, SECCOMP_IOCTL_NOTIF_ADDFD, &add), EBADF);
	CHECK_OK(answer(fd, req.id, 0, 9, 0));
	JOIN(pid);
}

TEST(the_structure_may_grow)
{
	int fd = listen_to(SYS_getppid, 0);
	pid_t pid = SPAWN(CHECK(syscall(SYS_getppid) > 2));
	struct seccomp_notif req = receive(fd);
	struct { struct seccomp_notif_addfd add; uint64_t more; } big = {
		.add = { .id = req.id, .srcfd = 1, .flags = SECCOMP_ADDFD_FLAG_SEND }, .more = 1 };
	CHECK_ERR(ioctl(fd, _IOC(_IOC_WRITE, SECCOMP_IOC_MAGIC, 3, 16), &big), EINVAL);
	CHECK_ERR(ioctl(fd, _IOC(_IOC_WRITE, SECCOMP_IOC_MAGIC, 3, sizeof big), &big), E2BIG);
	big.more = 0;
	CHECK(CHECK_OK(ioctl(fd, _IOC(_IOC_WRITE, SECCOMP_IOC_MAGIC, 3, sizeof big), &big)) > 2);
	JOIN(pid);
}

TEST(its_name_among_the_descriptors)
{
	char link[64], text[64];
	int fd = listen_to(SYS_getppid, 0);
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t n = CHECK_OK(readlink(link, text, sizeof text - 1));
	text[n] = 0;
	CHECK(!strcmp(text, "anon_inode:seccomp notify"));
}

TEST(a_listener_and_all_threads)
{
	struct sock_fprog prog = ON_CALL(SYS_getppid, SECCOMP_RET_USER_NOTIF);
	no_new_privs();
	int fd = CHECK_OK(sys_seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER |
				      SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_TSYNC_ESRCH, &prog));
	pid_t pid = SPAWN(CHECK_EQ(syscall(SYS_getppid), 8));
	struct seccomp_notif req = receive(fd);
	CHECK_OK(answer(fd, req.id, 0, 8, 0));
	JOIN(pid);
}

TEST(no_descriptor_no_filter)
{
	struct sock_fprog prog = ON_CALL(SYS_getppid, SECCOMP_RET_USER_NOTIF);
	struct rlimit few = { 3, 3 };
	no_new_privs();
	CHECK_OK(setrlimit(RLIMIT_NOFILE, &few));
	for (int fd = 3; fd < 20; fd++)
		close(fd);
	CHECK_ERR(sys_seccomp(SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &prog), EMFILE);
	CHECK_EQ(prctl(PR_GET_SECCOMP), 0);
}

TEST(the_supervisor_may_be_interrupted)
{
	int fd = listen_to(SYS_getppid, 0);
	struct sigaction act = { .sa_handler = on_signal };
	pid_t pid = SPAWN({
		struct seccomp_notif req;
		memset(&req, 0, sizeof req);
		CHECK_OK(sigaction(SIGUSR1, &act, NULL));
		CHECK_ERR(ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &req), EINTR);
	});
	WAIT_FOR(kt_state(pid) == 'S');
	kt_sleep_ms(20);
	CHECK_OK(kill(pid, SIGUSR1));
	JOIN(pid);
}

TEST(an_epoll_tells_of_requests)
{
	int fd = listen_to(SYS_getppid, 0);
	int ep = CHECK_OK(epoll_create1(0));
	struct epoll_event event = { .events = EPOLLIN | EPOLLOUT };
	CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event));
	CHECK_EQ(epoll_wait(ep, &event, 1, 0), 0);
	pid_t pid = SPAWN({
		kt_sleep_ms(20);
		CHECK_EQ(syscall(SYS_getppid), 3);
	});
	CHECK_EQ(epoll_wait(ep, &event, 1, 10000), 1);
	CHECK_EQ(event.events, EPOLLIN);
	struct seccomp_notif req = receive(fd);
	CHECK_EQ(epoll_wait(ep, &event, 1, 0), 1);
	CHECK_EQ(event.events, EPOLLOUT);
	CHECK_OK(answer(fd, req.id, 0, 3, 0));
	JOIN(pid);
}

#define ASKERS 8
#define ROUNDS 200

TEST_FOR(many_ask_and_several_answer, 60)
{
	int fd = listen_to(SYS_getppid, 0);
	pid_t askers[ASKERS], supervisors[3];
	for (int n = 0; n < ASKERS; n++)
		askers[n] = SPAWN(for (int round = 1; round <= ROUNDS; round++)
			CHECK_EQ(syscall(SYS_getppid, round), round));
	for (int n = 0; n < 3; n++)
		supervisors[n] = SPAWN(for (;;) {
			struct seccomp_notif req = receive(fd);
			CHECK_OK(answer(fd, req.id, 0, req.data.args[0], 0));
		});
	for (int n = 0; n < ASKERS; n++)
		JOIN(askers[n]);
	for (int n = 0; n < 3; n++) {
		CHECK_OK(kill(supervisors[n], SIGKILL));
		CHECK_EQ(kt_wait(supervisors[n]), SIGKILL);
	}
	CHECK_EQ(events(fd), 0);
}
