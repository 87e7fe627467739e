/*
 * Urgent data of TCP: MSG_OOB, SO_OOBINLINE, SIOCATMARK, POLLPRI, SIGURG (tcp(7), send(2), recv(2), fcntl(2),
 * sockatmark(3)).
 */
#include "inet.h"
#include "urgent.h"
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/uio.h>

static int events(int fd, int ask, int ms)
{
	struct pollfd p = { fd, ask, 0 };
	CHECK_OK(poll(&p, 1, ms));
	return p.revents;
}

/* The urgent byte is there. */
static void urgent(int fd)
{
	CHECK_EQ(events(fd, POLLPRI, 5000), POLLPRI);
}

/* So many bytes are there. */
static void arrived(int fd, int n)
{
	for (int i = 0; i < 500; i++) {
		char buf[64];
		if (recv(fd, buf, sizeof buf, MSG_PEEK | MSG_DONTWAIT) >= n)
			return;
		usleep(10000);
	}
	CHECK(0);
}

static void inlined(int fd, int on)
{
	CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on));
}

static void ends(int *out, int *in)
{
	loopback();
	*out = connection(5000, in);
}

TEST(a_byte_out_of_band)
{
	int out, in;
	char buf[16];
	ends(&out, &in);
	CHECK_ERR(recv(in, buf, 1, MSG_OOB), EINVAL);
	CHECK_EQ(at_mark(in), 0);
	CHECK_EQ(events(in, POLLPRI | POLLIN, 0), 0);
	CHECK_EQ(send(out, "abc", 3, MSG_OOB), 3);
	urgent(in);
	arrived(in, 2);
	CHECK_EQ(events(in, POLLPRI | POLLIN, 0), POLLPRI | POLLIN);
	CHECK_EQ(at_mark(in), 0);
	CHECK_EQ(unread(in), 2);
	CHECK_EQ(recv(in, buf, sizeof buf, MSG_OOB | MSG_PEEK), 1);
	CHECK_EQ(buf[0], 'c');
	CHECK_EQ(recv(in, buf, sizeof buf, MSG_OOB), 1);
	CHECK_EQ(buf[0], 'c');
	CHECK_ERR(recv(in, buf, 1, MSG_OOB), EINVAL);
	CHECK_EQ(events(in, POLLPRI | POLLIN, 0), POLLIN);
	CHECK_EQ(send(out, "def", 3, 0), 3);
	usleep(50000);
	CHECK_EQ(unread(in), 2);
	/* A receive ends at the mark. */
	CHECK_EQ(recv(in, buf, sizeof buf, 0), 2);
	CHECK(memcmp(buf, "ab", 2) == 0);
	CHECK_EQ(at_mark(in), 1);
	CHECK_EQ(unread(in), 0);
	CHECK_EQ(recv(in, buf, sizeof buf, 0), 3);
	CHECK(memcmp(buf, "def", 3) == 0);
	CHECK_EQ(at_mark(in), 0);
	CHECK_EQ(unread(in), 0);
}

TEST(the_byte_itself_cannot_be_read)
{
	int out, in;
	char buf[16];
	ends(&out, &in);
	CHECK_EQ(send(out, "x", 1, MSG_OOB), 1);
	urgent(in);
	CHECK_EQ(at_mark(in), 1);
	CHECK_EQ(unread(in), 0);
	CHECK_EQ(events(in, POLLIN, 0), 0);
	CHECK_EQ(events(in, POLLIN | POLLPRI, 0), POLLPRI);
	/* Who reads there passes the mark, and loses it. */
	CHECK_ERR(recv(in, buf, 1, MSG_DONTWAIT), EAGAIN);
	CHECK_EQ(at_mark(in), 0);
	CHECK_EQ(events(in, POLLIN | POLLPRI, 0), 0);
	CHECK_ERR(recv(in, buf, 1, MSG_OOB), EINVAL);
	/* The next one is there as the first was. */
	CHECK_EQ(send(out, "1y2", 2, MSG_OOB), 2);
	urgent(in);
	arrived(in, 1);
	CHECK_EQ(recv(in, buf, sizeof buf, 0), 1);
	CHECK_EQ(at_mark(in), 1);
	CHECK_EQ(recv(in, buf, 1, MSG_OOB), 1);
	CHECK_EQ(buf[0], 'y');
	/* It is read, and still marked. */
	CHECK_EQ(at_mark(in), 1);
	CHECK_EQ(events(in, POLLIN | POLLPRI, 0), 0);
	CHECK_OK(shutdown(out, SHUT_WR));
	CHECK_EQ(recv(in, buf, 1, 0), 0);
}

TEST(in_line)
{
	int out, in, on = 0;
	socklen_t len = sizeof on;
	char buf[16];
	ends(&out, &in);
	inlined(in, 7);
	CHECK_OK(getsockopt(in, SOL_SOCKET, SO_OOBINLINE, &on, &len));
	CHECK_EQ(on, 1);
	CHECK_EQ(send(out, "abc", 3, MSG_OOB), 3);
	CHECK_EQ(send(out, "de", 2, 0), 2);
	urgent(in);
	usleep(50000);
	CHECK_EQ(unread(in), 5);
	CHECK_ERR(recv(in, buf, 1, MSG_OOB), EINVAL);
	CHECK_EQ(recv(in, buf, sizeof buf, 0), 2);
	CHECK_EQ(at_mark(in), 1);
	CHECK_EQ(events(in, POLLPRI | POLLIN, 0), POLLPRI | POLLIN);
	CHECK_EQ(recv(in, buf, sizeof buf, MSG_PEEK), 3);
	CHECK_EQ(at_mark(in), 1);
	CHECK_EQ(recv(in, buf, sizeof buf, 0), 3);
	CHECK(memcmp(buf, "cde", 3) == 0);
	CHECK_EQ(at_mark(in), 0);
	CHECK_EQ(events(in, POLLPRI | POLLIN, 0), 0);
	/* It may change its mind. */
	CHECK_EQ(send(out, "fg", 2, MSG_OOB), 2);
	urgent(in);
	arrived(in, 1);
	inlined(in, 0);
	CHECK_EQ(recv(in, buf, 1, MSG_OOB), 1);
	CHECK_EQ(buf[0], 'g');
	inlined(in, 1);
	CHECK_EQ(recv(in, buf, sizeof buf, 0), 1);
	CHECK_EQ(buf[0], 'f');
	CHECK_EQ(recv(in, buf, sizeof buf, 0), 1);
	CHECK_EQ(buf[0], 'g');
}

TEST(there_is_one_mark)
{
	int out, in;
	char buf[16];
	ends(&out, &in);
	CHECK_EQ(send(out, "ab", 2, MSG_OOB), 2);
	urgent(in);
	CHECK_EQ(send(out, "cd", 2, MSG_OOB), 2);
	for (int i = 0; i < 500 && recv(in, buf, 1, MSG_OOB | MSG_PEEK) == 1 && buf[0] != 'd'; i++)
		usleep(10000);
	/* The former is part of the stream now. */
	CHECK_EQ(unread(in), 3);
	CHECK_EQ(recv(in, buf, sizeof buf, 0), 3);
	CHECK(memcmp(buf, "abc", 3) == 0);
	CHECK_EQ(at_mark(in), 1);
	CHECK_EQ(recv(in, buf, 1, MSG_OOB), 1);
	CHECK_EQ(buf[0], 'd');
	/* Unless it was the last byte before the reader. */
	CHECK_EQ(send(out, "e", 1, MSG_OOB), 1);
	urgent(in);
	CHECK_EQ(at_mark(in), 1);
	CHECK_EQ(recv(in, buf, 1, MSG_OOB), 1);
	CHECK_EQ(buf[0], 'e');
	CHECK_EQ(send(out, "fg", 2, 0), 2);
	CHECK_EQ(recv(in, buf, sizeof buf, 0), 2);
	CHECK(memcmp(buf, "fg", 2) == 0);
}

TEST(peeking_stops_there_too)
{
	int out, in;
	char buf[16];
	ends(&out, &in);
	CHECK_EQ(send(out, "abc", 3, MSG_OOB), 3);
	CHECK_EQ(send(out, "de", 2, 0), 2);
	urgent(in);
	usleep(50000);
	CHECK_EQ(recv(in, buf, sizeof buf, MSG_PEEK), 2);
	CHECK_EQ(recv(in, buf, 1, 0), 1);
	CHECK_EQ(recv(in, buf, sizeof buf, MSG_PEEK), 1);
	CHECK_EQ(buf[0], 'b');
	CHECK_EQ(at_mark(in), 0);
	CHECK_EQ(recv(in, buf, 1, 0), 1);
	CHECK_EQ(at_mark(in), 1);
	CHECK_EQ(recv(in, buf, sizeof buf, MSG_PEEK), 2);
	CHECK(memcmp(buf, "de", 2) == 0);
	CHECK_EQ(at_mark(in), 1);
	CHECK_EQ(recv(in, buf, 1, MSG_OOB), 1);
	CHECK_EQ(buf[0], 'c');
	CHECK_EQ(recv(in, buf, sizeof buf, MSG_TRUNC), 2);
	CHECK_EQ(at_mark(in), 0);
}

TEST(who_waits_for_all_stops)
{
	int out, in;
	char buf[16];
	ends(&out, &in);
	CHECK_EQ(send(out, "abc", 3, MSG_OOB), 3);
	CHECK_EQ(send(out, "defg", 4, 0), 4);
	urgent(in);
	CHECK_EQ(recv(in, buf, 5, MSG_WAITALL), 2);
	CHECK_EQ(at_mark(in), 1);
	CHECK_EQ(recv(in, buf, 4, MSG_WAITALL), 4);
	CHECK(memcmp(buf, "defg", 4) == 0);
	/* Also if the mark comes while it waits. */
	pid_t pid = SPAWN({
		CHECK_EQ(recv(in, buf, 5, MSG_WAITALL), 2);
		CHECK_EQ(at_mark(in), 1);
		CHECK_EQ(read(in, buf, 5), 1);
		CHECK_EQ(buf[0], 'k');
	});
	CHECK_EQ(send(out, "h", 1, 0), 1);
	usleep(100000);
	CHECK_EQ(send(out, "ij", 2, MSG_OOB), 2);
	usleep(100000);
	CHECK_EQ(send(out, "k", 1, 0), 1);
	JOIN(pid);
}

TEST(what_a_message_says)
{
	int out, in;
	char buf[4] = "";
	ends(&out, &in);
	CHECK_EQ(send(out, "ab", 2, MSG_OOB), 2);
	urgent(in);
	struct iovec iov = { buf, sizeof buf };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	CHECK_EQ(recvmsg(in, &msg, MSG_OOB | MSG_PEEK), 1);
	CHECK_EQ(msg.msg_flags, MSG_OOB);
	CHECK_EQ(buf[0], 'b');
	iov.iov_len = 0;
	CHECK_EQ(recvmsg(in, &msg, MSG_OOB | MSG_PEEK), 0);
	CHECK_EQ(msg.msg_flags, MSG_OOB | MSG_TRUNC);
	iov.iov_len = 4;
	buf[0] = '.';
	CHECK_EQ(recvmsg(in, &msg, MSG_OOB | MSG_PEEK | MSG_TRUNC), 1);
	CHECK_EQ(msg.msg_flags, MSG_OOB);
	CHECK_EQ(buf[0], '.');
	CHECK_ERR(recv(in, BAD_PTR, 1, MSG_OOB | MSG_PEEK), EFAULT);
	CHECK_EQ(recvmsg(in, &msg, 0), 1);
	CHECK_EQ(msg.msg_flags, 0);
	CHECK_EQ(buf[0], 'a');
	/* A fault takes it all the same. */
	CHECK_ERR(recv(in, BAD_PTR, 1, MSG_OOB), EFAULT);
	CHECK_ERR(recv(in, buf, 1, MSG_OOB), EINVAL);
}

TEST(no_byte_no_mark)
{
	int out, in;
	char buf[4];
	ends(&out, &in);
	CHECK_EQ(send(out, "", 0, MSG_OOB), 0);
	CHECK_EQ(send(out, "x", 1, 0), 1);
	CHECK_EQ(recv(in, buf, 4, 0), 1);
	CHECK_EQ(events(in, POLLPRI, 50), 0);
	CHECK_ERR(recv(in, buf, 1, MSG_OOB), EINVAL);
}

TEST(sockets_without_a_connection)
{
	loopback();
	char buf[4];
	int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0)), server = listener("127.0.0.1", 5001, 4);
	int udp = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	struct sockaddr_in a = in4("127.0.0.1", 5001);
	CHECK_ERR(send(fd, "x", 1, MSG_OOB | MSG_NOSIGNAL), EPIPE);
	CHECK_ERR(recv(fd, buf, 1, MSG_OOB), EINVAL);
	CHECK_ERR(recv(server, buf, 1, MSG_OOB), ENOTCONN);
	CHECK_EQ(at_mark(fd), 0);
	CHECK_EQ(at_mark(server), 0);
	CHECK_ERR(ioctl(fd, SIOCATMARK, BAD_PTR), EFAULT);
	CHECK_ERR(ioctl(udp, SIOCATMARK, buf), ENOTTY);
	CHECK_ERR(sendto(udp, "x", 1, MSG_OOB, (void *)&a, sizeof a), EOPNOTSUPP);
	CHECK_ERR(recv(udp, buf, 1, MSG_OOB | MSG_DONTWAIT), EAGAIN);
}

TEST(after_the_end)
{
	int out, in;
	char buf[4];
	ends(&out, &in);
	CHECK_EQ(send(out, "abc", 3, MSG_OOB), 3);
	CHECK_OK(shutdown(out, SHUT_WR));
	CHECK_EQ(events(in, POLLRDHUP, 5000), POLLRDHUP);
	CHECK_EQ(events(in, POLLPRI | POLLIN | POLLRDHUP, 0), POLLPRI | POLLIN | POLLRDHUP);
	CHECK_EQ(recv(in, buf, 4, 0), 2);
	CHECK_EQ(recv(in, buf, 4, MSG_OOB), 1);
	CHECK_EQ(buf[0], 'c');
	CHECK_EQ(recv(in, buf, 4, 0), 0);
	CHECK_ERR(recv(in, buf, 4, MSG_OOB), EINVAL);
	CHECK_ERR(send(out, "x", 1, MSG_OOB | MSG_NOSIGNAL), EPIPE);
}

static volatile sig_atomic_t told, code, mark_seen, watched = -1;

static void on_urg(int sig, siginfo_t *info, void *ctx)
{
	int at;
	(void)ctx;
	told += sig == SIGURG;
	code = info->si_code;
	if (watched >= 0 && ioctl(watched, SIOCATMARK, &at) == 0)
		mark_seen = at;
}

static void watch(int flags)
{
	struct sigaction sa = { .sa_sigaction = on_urg, .sa_flags = SA_SIGINFO | flags };
	CHECK_OK(sigaction(SIGURG, &sa, NULL));
	told = code = 0;
}

static void is_told(int n)
{
	for (int i = 0; i < 500 && told < n; i++)
		usleep(10000);
	CHECK_EQ(told, n);
}

TEST(the_owner_is_told)
{
	int out, in;
	char buf[4];
	ends(&out, &in);
	watch(SA_RESTART);
	/* Nobody owns it yet. */
	CHECK_EQ(send(out, "a", 1, MSG_OOB), 1);
	urgent(in);
	CHECK_EQ(told, 0);
	CHECK_OK(fcntl(in, F_SETOWN, getpid()));
	CHECK_EQ(send(out, "b", 1, MSG_OOB), 1);
	is_told(1);
	CHECK_EQ(code, SI_KERNEL);
	CHECK_EQ(send(out, "c", 1, 0), 1);
	usleep(50000);
	CHECK_EQ(told, 1);
	/* Another descriptor of the same file does as well. */
	int copy = CHECK_OK(dup(in));
	close(in);
	CHECK_EQ(send(out, "d", 1, MSG_OOB), 1);
	is_told(2);
	CHECK_OK(fcntl(copy, F_SETOWN, 0));
	CHECK_EQ(send(out, "e", 1, MSG_OOB), 1);
	for (int i = 0; i < 500 && recv(copy, buf, 1, MSG_OOB | MSG_PEEK) == 1 && buf[0] != 'e'; i++)
		usleep(10000);
	usleep(50000);
	CHECK_EQ(told, 2);
}

TEST(owners_by_ioctl)
{
	int out, in, pid = getpid(), nr = 0;
	ends(&out, &in);
	watch(SA_RESTART);
	CHECK_OK(ioctl(in, SIOCGPGRP, &nr));
	CHECK_EQ(nr, 0);
	CHECK_OK(ioctl(in, SIOCSPGRP, &pid));
	CHECK_OK(ioctl(in, SIOCGPGRP, &nr));
	CHECK_EQ(nr, pid);
	CHECK_EQ(fcntl(in, F_GETOWN), pid);
	CHECK_EQ(send(out, "b", 1, MSG_OOB), 1);
	is_told(1);
	CHECK_OK(setpgid(0, 0));
	pid = -getpgrp();
	CHECK_OK(ioctl(in, FIOSETOWN, &pid));
	CHECK_OK(ioctl(in, FIOGETOWN, &nr));
	CHECK_EQ(nr, pid);
	struct f_owner_ex ex;
	CHECK_OK(fcntl(in, F_GETOWN_EX, &ex));
	CHECK_EQ(ex.type, F_OWNER_PGRP);
	CHECK_EQ(ex.pid, getpgrp());
	CHECK_EQ(send(out, "c", 1, MSG_OOB), 1);
	is_told(2);
	pid = 0;
	CHECK_OK(ioctl(in, SIOCSPGRP, &pid));
	CHECK_OK(ioctl(in, SIOCGPGRP, &nr));
	CHECK_EQ(nr, 0);
	CHECK_ERR(ioctl(in, SIOCSPGRP, BAD_PTR), EFAULT);
	CHECK_ERR(ioctl(in, SIOCGPGRP, BAD_PTR), EFAULT);
	pid = 0x7ffffff0;
	CHECK_ERR(ioctl(in, SIOCSPGRP, &pid), ESRCH);
	pid = (int)0x80000000;
	CHECK_ERR(ioctl(in, SIOCSPGRP, &pid), EINVAL);
	/* Of sockets only, but of all of them. */
	int sv[2], pipefd[2];
	pid = getpid();
	CHECK_OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, sv));
	CHECK_OK(ioctl(sv[0], FIOSETOWN, &pid));
	CHECK_EQ(fcntl(sv[0], F_GETOWN), pid);
	CHECK_OK(pipe(pipefd));
	CHECK_ERR(ioctl(pipefd[0], FIOSETOWN, &pid), ENOTTY);
	CHECK_ERR(ioctl(pipefd[0], SIOCGPGRP, &pid), ENOTTY);
}

TEST(only_whom_the_owner_may_signal)
{
	int out, in;
	char c;
	ends(&out, &in);
	watch(SA_RESTART);
	pid_t parent = getpid();
	JOIN(SPAWN({
		CHECK_OK(setresuid(1000, 1000, 1000));
		CHECK_OK(fcntl(in, F_SETOWN, parent));
	}));
	CHECK_EQ(send(out, "b", 1, MSG_OOB), 1);
	urgent(in);
	usleep(50000);
	CHECK_EQ(told, 0);
	CHECK_EQ(recv(in, &c, 1, MSG_OOB), 1);
}

TEST(a_reader_before_the_mark_is_interrupted)
{
	int out, in;
	char buf[8];
	ends(&out, &in);
	watch(SA_RESTART);
	CHECK_OK(fcntl(in, F_SETOWN, getpid()));
	pid_t pid = SPAWN({
		usleep(200000);
		CHECK_EQ(send(out, "x", 1, MSG_OOB), 1);
		usleep(200000);
		CHECK_EQ(send(out, "abc", 3, 0), 3);
	});
	/* Its handler runs while it waits at the mark. */
	watched = in;
	CHECK_EQ(recv(in, buf, sizeof buf, 0), 3);
	CHECK_EQ(told, 1);
	CHECK_EQ(mark_seen, 1);
	JOIN(pid);
	watch(0);
	pid = SPAWN({
		usleep(200000);
		CHECK_EQ(send(out, "x", 1, MSG_OOB), 1);
	});
	CHECK_ERR(recv(in, buf, sizeof buf, 0), EINTR);
	CHECK_EQ(told, 1);
	CHECK_EQ(mark_seen, 1);
	CHECK_EQ(recv(in, buf, 1, MSG_OOB), 1);
	JOIN(pid);
}

TEST(epoll_tells)
{
	int out, in;
	char c;
	ends(&out, &in);
	int ep = CHECK_OK(epoll_create1(0));
	struct epoll_event ev = { .events = EPOLLPRI };
	CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, in, &ev));
	CHECK_EQ(send(out, "a", 1, 0), 1);
	CHECK_EQ(epoll_wait(ep, &ev, 1, 50), 0);
	CHECK_EQ(send(out, "b", 1, MSG_OOB), 1);
	CHECK_EQ(epoll_wait(ep, &ev, 1, 5000), 1);
	CHECK_EQ(ev.events, EPOLLPRI);
	CHECK_EQ(recv(in, &c, 1, MSG_OOB), 1);
	CHECK_EQ(epoll_wait(ep, &ev, 1, 0), 0);
	ev.events = EPOLLPRI | EPOLLIN | EPOLLET;
	CHECK_OK(epoll_ctl(ep, EPOLL_CTL_MOD, in, &ev));
	CHECK_EQ(epoll_wait(ep, &ev, 1, 5000), 1);
	CHECK_EQ(ev.events, EPOLLIN);
	CHECK_EQ(epoll_wait(ep, &ev, 1, 0), 0);
	CHECK_EQ(send(out, "c", 1, MSG_OOB), 1);
	CHECK_EQ(epoll_wait(ep, &ev, 1, 5000), 1);
	CHECK_EQ(ev.events, EPOLLPRI | EPOLLIN);
	fd_set set;
	FD_ZERO(&set);
	FD_SET(in, &set);
	struct timeval tv = { 5, 0 };
	CHECK_EQ(select(in + 1, NULL, NULL, &set, &tv), 1);
	CHECK(FD_ISSET(in, &set));
}

/* Nagle's algorithm does not hold it back. */
TEST(it_is_sent_at_once)
{
	int out, in;
	char c;
	ends(&out, &in);
	struct timespec a, b;
	CHECK_OK(clock_gettime(CLOCK_MONOTONIC, &a));
	for (int i = 0; i < 20; i++) {
		CHECK_EQ(send(out, "x", 1, 0), 1);
		CHECK_EQ(send(out, "y", 1, MSG_OOB), 1);
		urgent(in);
		CHECK_EQ(recv(in, &c, 1, MSG_OOB), 1);
		CHECK_EQ(c, 'y');
	}
	CHECK_OK(clock_gettime(CLOCK_MONOTONIC, &b));
	CHECK((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 < 200);
}

static char big[300000];

/* The mark keeps its place in much data, however it is cut. */
static void behind_much(int out, int in)
{
	size_t got = 0;
	ssize_t n;
	pid_t pid = SPAWN({
		for (size_t i = 0; i < sizeof big; i++)
			big[i] = i * 7919 >> 4;
		size_t sent = 0;
		while (sent < sizeof big - 1)
			sent += CHECK_OK(send(out, big + sent, sizeof big - 1 - sent, 0));
		CHECK_EQ(send(out, "!", 1, MSG_OOB), 1);
		CHECK_EQ(send(out, "after", 5, 0), 5);
	});
	char buf[20011];
	while (got < sizeof big - 1) {
		CHECK_EQ(at_mark(in), 0);
		n = CHECK_OK(recv(in, buf, sizeof buf, 0));
		CHECK(n > 0);
		for (ssize_t i = 0; i < n; i++)
			CHECK_EQ(buf[i], (char)((got + i) * 7919 >> 4));
		got += n;
		CHECK(got <= sizeof big - 1);
	}
	urgent(in);
	CHECK_EQ(at_mark(in), 1);
	CHECK_EQ(recv(in, buf, 1, MSG_OOB), 1);
	CHECK_EQ(buf[0], '!');
	CHECK_EQ(recv(in, buf, 5, MSG_WAITALL), 5);
	CHECK(memcmp(buf, "after", 5) == 0);
	JOIN(pid);
}

TEST(behind_much_data)
{
	int out, in;
	ends(&out, &in);
	behind_much(out, in);
}

/* A full window holds the byte back, but not the word of it. */
TEST(the_mark_comes_before_its_byte)
{
	int out, in;
	char c;
	ends(&out, &in);
	CHECK_OK(fcntl(out, F_SETFL, O_NONBLOCK));
	for (int idle = 0; idle < 3;)
		if (send(out, big, sizeof big, 0) > 0)
			idle = 0;
		else
			usleep(100000), idle++;
	/* As soon as there is room for it, of the sender's. */
	while (send(out, "!", 1, MSG_OOB) != 1) {
		char some[4096];
		CHECK_OK(recv(in, some, sizeof some, 0));
	}
	for (int i = 0; i < 1000 && recv(in, &c, 1, MSG_OOB) < 0; i++) {
		if (errno == EAGAIN)
			break;
		CHECK_EQ(errno, EINVAL);
		usleep(10000);
	}
	CHECK_ERR(recv(in, &c, 1, MSG_OOB), EAGAIN);
	CHECK_EQ(events(in, POLLPRI | POLLIN, 0), POLLIN);
	CHECK_EQ(at_mark(in), 0);
	while (!at_mark(in)) {
		char some[65536];
		CHECK(recv(in, some, sizeof some, 0) > 0);
	}
	urgent(in);
	CHECK_EQ(recv(in, &c, 1, MSG_OOB), 1);
	CHECK_EQ(c, '!');
}

TEST(across_a_cable)
{
	pid_t there = cable();
	int server = listener("10.0.0.1", 5002, 4);
	in_ns_of(there);
	int out = client("10.0.0.1", 5002), in = CHECK_OK(accept(server, NULL, NULL));
	char buf[8];
	CHECK_EQ(send(out, "abc", 3, MSG_OOB), 3);
	CHECK_EQ(send(out, "de", 2, 0), 2);
	urgent(in);
	CHECK_EQ(recv(in, buf, 8, 0), 2);
	CHECK_EQ(at_mark(in), 1);
	CHECK_EQ(recv(in, buf, 1, MSG_OOB), 1);
	CHECK_EQ(buf[0], 'c');
	CHECK_EQ(recv(in, buf, 2, MSG_WAITALL), 2);
	CHECK(memcmp(buf, "de", 2) == 0);
	behind_much(out, in);
	behind_much(in, out);
}

TEST(ipv6)
{
	loopback();
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(5003), .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int server = CHECK_OK(socket(AF_INET6, SOCK_STREAM, 0)), out = CHECK_OK(socket(AF_INET6, SOCK_STREAM, 0)), one = 1;
	CHECK_OK(bind(server, (void *)&a, sizeof a));
	/* What is accepted has the option of who listens. */
	CHECK_OK(setsockopt(server, SOL_SOCKET, SO_OOBINLINE, &one, sizeof one));
	CHECK_OK(listen(server, 1));
	CHECK_OK(connect(out, (void *)&a, sizeof a));
	int in = CHECK_OK(accept(server, NULL, NULL));
	char buf[8];
	CHECK_EQ(send(out, "abc", 3, MSG_OOB), 3);
	urgent(in);
	CHECK_ERR(recv(in, buf, 1, MSG_OOB), EINVAL);
	CHECK_EQ(recv(in, buf, 8, 0), 2);
	CHECK_EQ(at_mark(in), 1);
	CHECK_EQ(recv(in, buf, 8, 0), 1);
	CHECK_EQ(buf[0], 'c');
	CHECK_EQ(send(in, "xyz", 3, MSG_OOB), 3);
	urgent(out);
	CHECK_EQ(recv(out, buf, 1, MSG_OOB), 1);
	CHECK_EQ(buf[0], 'z');
}
