/* Urgent data of AF_UNIX streams: MSG_OOB, SO_OOBINLINE, SIOCATMARK, POLLPRI, SIGURG (send(2), recv(2), fcntl(2)). */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "proc.h"
#include "urgent.h"

static int out, in;
static char buf[16];

static void pair(int type)
{
	int s[2];
	CHECK_OK(socketpair(AF_UNIX, type, 0, s));
	out = s[0], in = s[1];
}

static int events(int fd)
{
	struct pollfd p = { fd, POLLIN | POLLPRI | POLLRDHUP, 0 };
	CHECK_OK(poll(&p, 1, 0));
	return p.revents;
}

static void inlined(int on)
{
	CHECK_OK(setsockopt(in, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on));
}

#define SEND(s, flags) CHECK_EQ(send(out, s, strlen(s), (flags) | MSG_NOSIGNAL), strlen(s))
#define GET(s, flags)                                                                   \
	do {                                                                            \
		CHECK_EQ(recv(in, buf, sizeof buf, (flags) | MSG_DONTWAIT), strlen(s)); \
		CHECK(!memcmp(buf, s, strlen(s)));                                      \
	} while (0)
#define NOTHING(flags) CHECK_ERR(recv(in, buf, sizeof buf, (flags) | MSG_DONTWAIT), EAGAIN)
/* Whether the reader is at the mark, what is unread and what poll tells. */
#define STATE(mark, n, ev)                \
	do {                              \
		CHECK_EQ(at_mark(in), mark); \
		CHECK_EQ(unread(in), n);  \
		CHECK_EQ(events(in), ev); \
	} while (0)

TEST(a_byte_out_of_band)
{
	pair(SOCK_STREAM);
	CHECK_ERR(recv(in, buf, 1, MSG_OOB), EINVAL);
	STATE(0, 0, 0);
	SEND("abc", MSG_OOB);
	STATE(0, 3, POLLIN | POLLPRI);
	GET("c", MSG_OOB | MSG_PEEK);
	STATE(0, 3, POLLIN | POLLPRI);
	GET("c", MSG_OOB);
	STATE(0, 2, POLLIN);
	CHECK_ERR(recv(in, buf, 1, MSG_OOB), EINVAL);
	SEND("def", 0);
	/* A receive ends where the byte was, a look does not. */
	GET("abdef", MSG_PEEK);
	GET("ab", 0);
	STATE(0, 3, POLLIN);
	GET("def", 0);
	STATE(0, 0, 0);
	NOTHING(0);
}

TEST(the_byte_itself_cannot_be_read)
{
	pair(SOCK_STREAM);
	SEND("x", MSG_OOB);
	STATE(1, 1, POLLIN | POLLPRI);
	NOTHING(MSG_PEEK);
	STATE(1, 1, POLLIN | POLLPRI);
	/* Who reads there passes it, and loses it. */
	NOTHING(0);
	STATE(0, 0, 0);
	CHECK_ERR(recv(in, buf, 1, MSG_OOB), EINVAL);
	SEND("1y", MSG_OOB);
	GET("1", 0);
	STATE(1, 1, POLLIN | POLLPRI);
	/* It leaves its place when it is taken: something is there to read, and it is nothing. */
	GET("y", MSG_OOB);
	STATE(0, 0, POLLIN);
	NOTHING(MSG_PEEK);
	STATE(0, 0, POLLIN);
	NOTHING(0);
	STATE(0, 0, 0);
}

TEST(in_line)
{
	int on = 0;
	socklen_t len = sizeof on;
	pair(SOCK_STREAM);
	inlined(5);
	CHECK_OK(getsockopt(in, SOL_SOCKET, SO_OOBINLINE, &on, &len));
	CHECK_EQ(on, 1);
	SEND("abc", MSG_OOB);
	SEND("de", 0);
	STATE(0, 5, POLLIN | POLLPRI);
	CHECK_ERR(recv(in, buf, 1, MSG_OOB), EINVAL);
	GET("ab", MSG_PEEK);
	GET("ab", 0);
	STATE(1, 3, POLLIN | POLLPRI);
	GET("cde", MSG_PEEK);
	STATE(1, 3, POLLIN | POLLPRI);
	GET("cde", 0);
	STATE(0, 0, 0);
	/* It may change its mind. */
	SEND("fg", MSG_OOB);
	inlined(0);
	GET("g", MSG_OOB | MSG_PEEK);
	inlined(1);
	CHECK_ERR(recv(in, buf, 1, MSG_OOB), EINVAL);
	GET("f", 0);
	GET("g", 0);
	STATE(0, 0, 0);
	/* What was taken is not there again. */
	inlined(0);
	SEND("h", MSG_OOB);
	GET("h", MSG_OOB);
	inlined(1);
	NOTHING(0);
}

TEST(there_is_one_mark)
{
	pair(SOCK_STREAM);
	SEND("ab", MSG_OOB);
	SEND("cd", MSG_OOB);
	STATE(0, 4, POLLIN | POLLPRI);
	GET("d", MSG_OOB | MSG_PEEK);
	/* The former is part of the stream now. */
	GET("abc", 0);
	STATE(1, 1, POLLIN | POLLPRI);
	SEND("e", MSG_OOB);
	STATE(0, 2, POLLIN | POLLPRI);
	GET("d", 0);
	STATE(1, 1, POLLIN | POLLPRI);
	GET("e", MSG_OOB);
	/* Those that were taken leave one place together. */
	SEND("f", MSG_OOB);
	GET("f", MSG_OOB);
	SEND("g", MSG_OOB);
	GET("g", MSG_OOB);
	STATE(0, 0, POLLIN);
	NOTHING(0);
	STATE(0, 0, 0);
}

TEST(what_is_behind_the_mark)
{
	pair(SOCK_STREAM);
	SEND("abc", MSG_OOB);
	SEND("de", 0);
	GET("ab", MSG_PEEK);
	CHECK_EQ(recv(in, buf, 1, 0), 1);
	CHECK_EQ(at_mark(in), 0);
	CHECK_EQ(recv(in, buf, 1, 0), 1);
	STATE(1, 3, POLLIN | POLLPRI);
	GET("de", MSG_PEEK);
	STATE(1, 3, POLLIN | POLLPRI);
	/* It is lost. */
	GET("de", 0);
	STATE(0, 0, 0);
	/* Without it, the reader stops between. */
	SEND("abc", MSG_OOB);
	SEND("de", 0);
	GET("c", MSG_OOB);
	STATE(0, 4, POLLIN);
	CHECK_EQ(recv(in, buf, 1, 0), 1);
	GET("b", 0);
	GET("de", 0);
	STATE(0, 0, 0);
}

TEST(who_waits_stops_there)
{
	pair(SOCK_STREAM);
	SEND("abc", MSG_OOB);
	SEND("def", 0);
	CHECK_EQ(recv(in, buf, 4, MSG_WAITALL), 2);
	CHECK_EQ(at_mark(in), 1);
	CHECK_EQ(recv(in, buf, 3, MSG_WAITALL), 3);
	CHECK(!memcmp(buf, "def", 3));
	/* The mark may come while it waits. */
	pid_t pid = SPAWN({
		usleep(100000);
		SEND("ab", MSG_OOB);
		usleep(100000);
		SEND("cd", 0);
	});
	CHECK_EQ(recv(in, buf, 3, MSG_WAITALL), 1);
	CHECK_EQ(buf[0], 'a');
	STATE(1, 1, POLLIN | POLLPRI);
	CHECK_EQ(recv(in, buf, 3, 0), 2);
	CHECK(!memcmp(buf, "cd", 2));
	JOIN(pid);
	/* The place of one that was taken is no reason to return. */
	SEND("x", MSG_OOB);
	GET("x", MSG_OOB);
	pid = SPAWN({
		usleep(100000);
		SEND("yz", 0);
	});
	CHECK_EQ(recv(in, buf, 3, 0), 2);
	CHECK(!memcmp(buf, "yz", 2));
	JOIN(pid);
	/* Nobody waits for the byte itself. */
	CHECK_ERR(recv(in, buf, 1, MSG_OOB), EINVAL);
}

TEST(what_a_message_says)
{
	char c = '.';
	struct iovec iov = { &c, 0 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	pair(SOCK_STREAM);
	SEND("ab", MSG_OOB);
	CHECK_EQ(recvmsg(in, &msg, MSG_OOB | MSG_PEEK), 1);
	CHECK_EQ(msg.msg_flags, MSG_OOB);
	iov.iov_len = 1;
	CHECK_EQ(recvmsg(in, &msg, MSG_OOB | MSG_PEEK | MSG_TRUNC), 1);
	CHECK_EQ(msg.msg_flags, MSG_OOB);
	CHECK_EQ(c, 'b');
	CHECK_ERR(recv(in, BAD_PTR, 1, MSG_OOB | MSG_PEEK), EFAULT);
	STATE(0, 2, POLLIN | POLLPRI);
	/* A fault takes it all the same. */
	CHECK_ERR(recv(in, BAD_PTR, 1, MSG_OOB), EFAULT);
	STATE(0, 1, POLLIN);
	CHECK_EQ(recvmsg(in, &msg, 0), 1);
	CHECK_EQ(msg.msg_flags, 0);
	CHECK_EQ(c, 'a');
	SEND("c", MSG_OOB);
	iov.iov_len = 0;
	CHECK_EQ(recvmsg(in, &msg, MSG_OOB), 1);
	CHECK_ERR(recvmsg(in, &msg, MSG_OOB), EINVAL);
	CHECK_ERR(ioctl(in, SIOCATMARK, BAD_PTR), EFAULT);
}

TEST(streams_alone_have_it)
{
	static const int types[] = { SOCK_DGRAM, SOCK_SEQPACKET };
	int at;
	for (int n = 0; n < 2; n++) {
		pair(types[n]);
		CHECK_ERR(send(out, "x", 1, MSG_OOB), EOPNOTSUPP);
		SEND("x", 0);
		CHECK_ERR(recv(in, buf, 1, MSG_OOB), EOPNOTSUPP);
		CHECK_ERR(ioctl(in, SIOCATMARK, &at), EOPNOTSUPP);
		CHECK_EQ(events(in), POLLIN);
		close(in), close(out);
	}
	pair(SOCK_STREAM);
	CHECK_ERR(send(out, "", 0, MSG_OOB), EOPNOTSUPP);
	CHECK_ERR(send(out, BAD_PTR, 1, MSG_OOB), EFAULT);
	STATE(0, 0, 0);
}

TEST(sockets_without_a_connection)
{
	struct sockaddr_un a = { AF_UNIX, "\0oob" };
	int fd = CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0));
	CHECK_EQ(at_mark(fd), 0);
	CHECK_ERR(recv(fd, buf, 1, MSG_OOB), EINVAL);
	CHECK_ERR(send(fd, "x", 1, MSG_OOB), ENOTCONN);
	CHECK_OK(bind(fd, (void *)&a, 6));
	CHECK_OK(listen(fd, 2));
	CHECK_EQ(at_mark(fd), 0);
	CHECK_ERR(recv(fd, buf, 1, MSG_OOB), EINVAL);
	CHECK_ERR(send(fd, "x", 1, MSG_OOB), ENOTCONN);
	/* Sent before the other end was taken. */
	out = CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0));
	CHECK_OK(connect(out, (void *)&a, 6));
	SEND("ab", MSG_OOB);
	CHECK_ERR(sendto(out, "x", 1, MSG_OOB, (void *)&a, 6), EISCONN);
	in = CHECK_OK(accept(fd, NULL, NULL));
	STATE(0, 2, POLLIN | POLLPRI);
	GET("b", MSG_OOB);
	GET("a", 0);
}

TEST(after_the_end)
{
	pair(SOCK_STREAM);
	SEND("abc", MSG_OOB);
	CHECK_OK(shutdown(out, SHUT_WR));
	CHECK_ERR(send(out, "x", 1, MSG_OOB | MSG_NOSIGNAL), EPIPE);
	CHECK_EQ(kt_wait(SPAWN(send(out, "x", 1, MSG_OOB))), SIGPIPE);
	STATE(0, 3, POLLIN | POLLPRI | POLLRDHUP);
	GET("ab", 0);
	STATE(1, 1, POLLIN | POLLPRI | POLLRDHUP);
	GET("c", MSG_OOB);
	STATE(0, 0, POLLIN | POLLRDHUP);
	GET("", 0);
	CHECK_ERR(recv(in, buf, 1, MSG_OOB), EINVAL);
	/* The other end is gone. */
	pair(SOCK_STREAM);
	SEND("ab", MSG_OOB);
	close(out);
	GET("b", MSG_OOB);
	GET("a", 0);
	GET("", 0);
}

/* A close with unread data breaks the connection. */
static int left_behind(int take, int flags)
{
	int e = 0;
	pair(SOCK_STREAM);
	SEND("x", MSG_OOB);
	if (take)
		CHECK_EQ(recv(in, buf, 1, flags | MSG_DONTWAIT), flags ? 1 : -1);
	close(in);
	if (recv(out, buf, 1, 0) != 0)
		e = errno;
	CHECK_EQ(recv(out, buf, 1, 0), 0);
	close(out);
	return e;
}

TEST(the_byte_is_data_that_nobody_read)
{
	CHECK_EQ(left_behind(0, 0), ECONNRESET);
	CHECK_EQ(left_behind(1, MSG_OOB), 0);
	CHECK_EQ(left_behind(1, 0), 0);
}

TEST(a_full_buffer)
{
	int size = 4608, n = 0;
	pair(SOCK_STREAM);
	CHECK_OK(setsockopt(out, SOL_SOCKET, SO_SNDBUF, &size, sizeof size));
	while (send(out, buf, sizeof buf, MSG_DONTWAIT) > 0)
		n++;
	CHECK(n > 0);
	CHECK_ERR(send(out, "x", 1, MSG_OOB | MSG_DONTWAIT), EAGAIN);
	CHECK_EQ(at_mark(in), 0);
	/* Who waits sends all of it, and the last byte is the urgent one. */
	pid_t pid = SPAWN(CHECK_EQ(send(out, "wxyz", 4, MSG_OOB), 4));
	usleep(100000);
	while (n > 0) {
		CHECK_EQ(recv(in, buf, sizeof buf, MSG_WAITALL), sizeof buf);
		n--;
	}
	JOIN(pid);
	GET("wxy", 0);
	STATE(1, 1, POLLIN | POLLPRI);
	GET("z", MSG_OOB);
}

/* Sends a byte with a file, or looks how many files come along. */
static void send_file(const char *s)
{
	char control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec io = { (char *)s, strlen(s) };
	struct msghdr m = {
		.msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int fd = CHECK_OK(open("/dev/null", O_RDONLY));
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	CHECK_EQ(sendmsg(out, &m, MSG_OOB), strlen(s));
	close(fd);
}

static int files(const char *s, int flags)
{
	char control[256];
	struct iovec io = { buf, sizeof buf };
	struct msghdr m = {
		.msg_iov = &io, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control
	};
	CHECK_EQ(recvmsg(in, &m, flags | MSG_DONTWAIT), strlen(s));
	CHECK(!memcmp(buf, s, strlen(s)));
	CHECK_EQ(m.msg_flags, flags & MSG_OOB);
	return m.msg_controllen != 0;
}

TEST(files_come_with_ordinary_data)
{
	int one = 1;
	pair(SOCK_STREAM);
	send_file("abc");
	CHECK_EQ(files("c", MSG_OOB), 0);
	CHECK_EQ(files("ab", 0), 1);
	NOTHING(0);
	send_file("d");
	CHECK_EQ(files("d", MSG_OOB), 0);
	NOTHING(0);
	inlined(1);
	send_file("e");
	CHECK_EQ(files("e", 0), 1);
	/* Nor does the byte tell who sent it. */
	inlined(0);
	CHECK_OK(setsockopt(in, SOL_SOCKET, SO_PASSCRED, &one, sizeof one));
	SEND("fg", MSG_OOB);
	CHECK_EQ(files("g", MSG_OOB), 0);
	CHECK_EQ(files("f", 0), 1);
}

static volatile sig_atomic_t told, code;

static void on_signal(int sig, siginfo_t *info, void *ctx)
{
	(void)sig, (void)ctx;
	told++;
	code = info->si_code;
}

static void watch(int sig, int flags)
{
	struct sigaction sa = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | flags };
	CHECK_OK(sigaction(sig, &sa, NULL));
}

TEST(the_owner_is_told)
{
	pair(SOCK_STREAM);
	watch(SIGURG, SA_RESTART);
	SEND("a", MSG_OOB);
	CHECK_EQ(told, 0);
	CHECK_OK(fcntl(in, F_SETOWN, getpid()));
	SEND("b", MSG_OOB);
	CHECK_EQ(told, 1);
	CHECK_EQ(code, SI_KERNEL);
	SEND("c", 0);
	CHECK_EQ(told, 1);
	/* Another descriptor of the same file does as well. */
	int copy = CHECK_OK(dup(in));
	close(in);
	SEND("d", MSG_OOB);
	CHECK_EQ(told, 2);
	CHECK_OK(fcntl(copy, F_SETOWN, 0));
	SEND("e", MSG_OOB);
	CHECK_EQ(told, 2);
}

TEST(a_reader_is_interrupted)
{
	pair(SOCK_STREAM);
	watch(SIGURG, SA_RESTART);
	CHECK_OK(fcntl(in, F_SETOWN, getpid()));
	pid_t pid = SPAWN({
		usleep(200000);
		SEND("x", MSG_OOB);
		usleep(200000);
		SEND("abc", 0);
	});
	CHECK_EQ(recv(in, buf, sizeof buf, 0), 3);
	CHECK_EQ(told, 1);
	JOIN(pid);
}

TEST(epoll_tells)
{
	pair(SOCK_STREAM);
	int ep = CHECK_OK(epoll_create1(0));
	struct epoll_event ev = { .events = EPOLLPRI };
	CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, in, &ev));
	SEND("a", 0);
	CHECK_EQ(epoll_wait(ep, &ev, 1, 50), 0);
	pid_t pid = SPAWN({
		usleep(100000);
		SEND("b", MSG_OOB);
	});
	CHECK_EQ(epoll_wait(ep, &ev, 1, 5000), 1);
	CHECK_EQ(ev.events, EPOLLPRI);
	GET("b", MSG_OOB);
	CHECK_EQ(epoll_wait(ep, &ev, 1, 0), 0);
	JOIN(pid);
	ev.events = EPOLLPRI | EPOLLIN | EPOLLET;
	CHECK_OK(epoll_ctl(ep, EPOLL_CTL_MOD, in, &ev));
	CHECK_EQ(epoll_wait(ep, &ev, 1, 5000), 1);
	CHECK_EQ(ev.events, EPOLLIN);
	CHECK_EQ(epoll_wait(ep, &ev, 1, 0), 0);
	SEND("c", MSG_OOB);
	CHECK_EQ(epoll_wait(ep, &ev, 1, 5000), 1);
	CHECK_EQ(ev.events, EPOLLPRI | EPOLLIN);
}
