/* unix(7): names, connections, credentials, descriptors on their way. */
#include <poll.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/un.h>

#include "proc.h"

static struct sockaddr_un un;

/* A name: a path, or with a leading @ an abstract one. */
static struct sockaddr *name(const char *text)
{
	memset(&un, 0, sizeof un);
	un.sun_family = AF_UNIX;
	memcpy(un.sun_path, text, strlen(text));
	if (*text == '@')
		un.sun_path[0] = 0;
	return (void *)&un;
}

static socklen_t length(const char *text)
{
	return offsetof(struct sockaddr_un, sun_path) + strlen(text) + (*text != '@');
}

/* Address and length, as calls take them. */
#define NAME(text) name(text), length(text)

static int make(int type)
{
	return CHECK_OK(socket(AF_UNIX, type, 0));
}

static int listener(int type, const char *text, int backlog)
{
	int s = make(type);
	CHECK_OK(bind(s, NAME(text)));
	CHECK_OK(listen(s, backlog));
	return s;
}

static int client(int type, const char *text)
{
	int s = make(type);
	CHECK_OK(connect(s, NAME(text)));
	return s;
}

TEST(a_server_on_a_path)
{
	char buf[16];
	struct stat st;
	int l = listener(SOCK_STREAM, "sock", 5);
	CHECK_OK(stat("sock", &st));
	CHECK(S_ISSOCK(st.st_mode));
	CHECK_ERR(open("sock", O_RDWR), ENXIO);
	CHECK_ERR(bind(make(SOCK_STREAM), NAME("sock")), EADDRINUSE);
	int c = client(SOCK_STREAM, "sock");
	/* It may talk before it is accepted. */
	CHECK_EQ(write(c, "early", 5), 5);
	struct sockaddr_un peer;
	socklen_t len = sizeof peer;
	int a = CHECK_OK(accept4(l, (void *)&peer, &len, SOCK_CLOEXEC | SOCK_NONBLOCK));
	CHECK_EQ(len, 2);
	CHECK_EQ(fcntl(a, F_GETFD), FD_CLOEXEC);
	CHECK(fcntl(a, F_GETFL) & O_NONBLOCK);
	CHECK_EQ(read(a, buf, sizeof buf), 5);
	CHECK_ERR(read(a, buf, sizeof buf), EAGAIN);
	len = sizeof peer;
	CHECK_OK(getpeername(c, (void *)&peer, &len));
	CHECK_EQ(len, 2 + 5);
	CHECK(!strcmp(peer.sun_path, "sock"));
	CHECK_ERR(connect(c, NAME("sock")), EISCONN);
	CHECK_OK(close(l));
	CHECK_ERR(connect(make(SOCK_STREAM), NAME("sock")), ECONNREFUSED);
	CHECK_EQ(write(a, "still", 5), 5);
	CHECK_EQ(read(c, buf, sizeof buf), 5);
	CHECK_OK(unlink("sock"));
	CHECK_ERR(connect(make(SOCK_STREAM), NAME("sock")), ENOENT);
}

TEST(abstract_names)
{
	struct sockaddr_un own;
	socklen_t len = sizeof own;
	int l = listener(SOCK_STREAM, "@ktest unix", 5);
	CHECK_ERR(bind(make(SOCK_STREAM), NAME("@ktest unix")), EADDRINUSE);
	CHECK_OK(getsockname(l, (void *)&own, &len));
	CHECK_EQ(len, length("@ktest unix"));
	CHECK(!memcmp(&own, name("@ktest unix"), len));
	int c = client(SOCK_STREAM, "@ktest unix");
	CHECK_OK(accept(l, NULL, NULL));
	CHECK_OK(close(l));
	CHECK_ERR(connect(make(SOCK_STREAM), NAME("@ktest unix")), ECONNREFUSED);
	close(c);
	/* Bound to a family only: a name of the kernel's choice. */
	sa_family_t family = AF_UNIX;
	int s = make(SOCK_DGRAM);
	CHECK_OK(bind(s, (void *)&family, sizeof family));
	len = sizeof own;
	CHECK_OK(getsockname(s, (void *)&own, &len));
	CHECK_EQ(len, 2 + 6);
	CHECK_EQ(own.sun_path[0], 0);
}

TEST(wrong_addresses)
{
	int s = make(SOCK_STREAM);
	CHECK_ERR(connect(s, NAME("no such")), ENOENT);
	CHECK_ERR(connect(s, name("x"), 1), EINVAL);
	CHECK_ERR(connect(s, name("x"), 200), EINVAL);
	kt_make_file("plain", "", 0600);
	CHECK_ERR(connect(s, NAME("plain")), ECONNREFUSED);
	un.sun_family = AF_INET;
	CHECK_ERR(bind(s, (void *)&un, 4), EINVAL);
	CHECK_ERR(listen(s, 1), EINVAL);
	CHECK_ERR(accept(s, NULL, NULL), EINVAL);
	CHECK_ERR(listen(make(SOCK_DGRAM), 1), EOPNOTSUPP);
	CHECK_ERR(accept(make(SOCK_DGRAM), NULL, NULL), EOPNOTSUPP);
	CHECK_ERR(listen(0, 1), ENOTSOCK);
	CHECK_ERR(send(s, "x", 1, 0), ENOTCONN);
	char c;
	CHECK_ERR(recv(s, &c, 1, 0), EINVAL);
	listener(SOCK_STREAM, "stream", 1);
	CHECK_ERR(connect(make(SOCK_DGRAM), NAME("stream")), EPROTOTYPE);
	CHECK_ERR(bind(s, NAME("no/such")), ENOENT);
	CHECK_ERR(socket(AF_UNIX, SOCK_STREAM, 6), EPROTONOSUPPORT);
	CHECK_ERR(socket(AF_UNIX, SOCK_STREAM | 0x100, 0), EINVAL);
	CHECK_ERR(socket(77, SOCK_STREAM, 0), EAFNOSUPPORT);
}

TEST(the_backlog)
{
	int l = listener(SOCK_STREAM, "sock", 1);
	client(SOCK_STREAM, "sock");
	client(SOCK_STREAM, "sock");
	CHECK_ERR(connect(make(SOCK_STREAM | SOCK_NONBLOCK), NAME("sock")), EAGAIN);
	pid_t child = SPAWN({
		int c = client(SOCK_STREAM, "sock");
		char b;
		CHECK_EQ(read(c, &b, 1), 1);
	});
	kt_sleep_ms(30);
	CHECK_OK(accept(l, NULL, NULL));
	CHECK_OK(accept(l, NULL, NULL));
	int a = CHECK_OK(accept(l, NULL, NULL));
	CHECK_EQ(write(a, "x", 1), 1);
	JOIN(child);
	/* Whoever waits in the backlog of a listener that closes is reset. */
	int c = client(SOCK_STREAM, "sock");
	close(l);
	char b;
	CHECK_ERR(read(c, &b, 1), ECONNRESET);
	CHECK_EQ(read(c, &b, 1), 0);
}

TEST(datagrams_by_name)
{
	char buf[16];
	int r = make(SOCK_DGRAM), s = make(SOCK_DGRAM);
	CHECK_OK(bind(r, NAME("recv")));
	CHECK_ERR(send(s, "x", 1, 0), ENOTCONN);
	CHECK_EQ(sendto(s, "nameless", 8, 0, NAME("recv")), 8);
	struct sockaddr_un from;
	socklen_t len = sizeof from;
	CHECK_EQ(recvfrom(r, buf, sizeof buf, 0, (void *)&from, &len), 8);
	CHECK_EQ(len, 0);
	CHECK_OK(bind(s, NAME("send")));
	CHECK_OK(connect(s, NAME("recv")));
	CHECK_EQ(send(s, "named", 5, 0), 5);
	len = sizeof from;
	CHECK_EQ(recvfrom(r, buf, sizeof buf, 0, (void *)&from, &len), 5);
	CHECK(!strcmp(from.sun_path, "send"));
	/* The receiver's queue is short for those it is not connected to. */
	int n = 0;
	while (send(s, "x", 1, MSG_DONTWAIT) == 1)
		n++;
	CHECK_EQ(errno, EAGAIN);
	CHECK_EQ(n, 11);
	struct pollfd p = { .fd = s, .events = POLLOUT };
	CHECK_EQ(poll(&p, 1, 0), 0);
	pid_t child = SPAWN(CHECK_EQ(send(s, "waits", 5, 0), 5));
	kt_sleep_ms(30);
	CHECK_EQ(recv(r, buf, sizeof buf, 0), 1);
	JOIN(child);
	CHECK_OK(connect(r, NAME("send")));
	int other = make(SOCK_DGRAM);
	CHECK_ERR(sendto(other, "x", 1, 0, NAME("recv")), EPERM);
	close(r);
	CHECK_ERR(send(s, "x", 1, 0), ECONNREFUSED);
	CHECK_ERR(send(s, "x", 1, 0), ENOTCONN);
	int big = 1 << 20;
	char *large = malloc(big);
	CHECK_ERR(sendto(s, large, big, 0, NAME("send")), EMSGSIZE);
}

TEST(who_is_there)
{
	struct ucred cred;
	socklen_t len = sizeof cred;
	int l = listener(SOCK_STREAM, "sock", 5);
	pid_t child = SPAWN({
		CHECK_OK(setgid(33));
		CHECK_OK(setuid(44));
		int c = make(SOCK_STREAM);
		CHECK_ERR(connect(c, NAME("sock")), EACCES);
	});
	JOIN(child);
	CHECK_OK(chmod("sock", 0777));
	CHECK_OK(chmod(".", 0777));
	child = SPAWN({
		CHECK_OK(setgid(33));
		CHECK_OK(setuid(44));
		int c = client(SOCK_STREAM, "sock");
		CHECK_OK(getsockopt(c, SOL_SOCKET, SO_PEERCRED, &cred, &len));
		CHECK_EQ(cred.pid, getppid());
		CHECK_EQ(cred.uid, 0);
		pause();
	});
	int a = CHECK_OK(accept(l, NULL, NULL));
	CHECK_OK(getsockopt(a, SOL_SOCKET, SO_PEERCRED, &cred, &len));
	CHECK_EQ(cred.pid, child);
	CHECK_EQ(cred.uid, 44);
	CHECK_EQ(cred.gid, 33);
	kill(child, SIGKILL);
	kt_wait(child);
	CHECK_OK(getsockopt(make(SOCK_STREAM), SOL_SOCKET, SO_PEERCRED, &cred, &len));
	CHECK_EQ(cred.pid, 0);
	CHECK_EQ(cred.uid, -1u);
}

/* Send descriptors through a socket. */
static ssize_t pass(int s, int *fds, int count)
{
	union {
		struct cmsghdr h;
		char buf[CMSG_SPACE(300 * sizeof(int))];
	} u = { 0 };
	struct iovec iov = { "x", 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = u.buf,
			    .msg_controllen = CMSG_SPACE(count * sizeof(int)) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(count * sizeof(int));
	memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	/* musl has a limit of its own. */
	return syscall(SYS_sendmsg, s, &m, 0);
}

/* Receive descriptors; returns how many came, flags in *flags. */
static int take(int s, int *fds, int room, int how, int *flags)
{
	union {
		struct cmsghdr h;
		char buf[CMSG_SPACE(300 * sizeof(int))];
	} u = { 0 };
	char b;
	struct iovec iov = { &b, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = room ? u.buf : NULL,
			    .msg_controllen = room ? CMSG_LEN(room * sizeof(int)) : 0 };
	CHECK_EQ(recvmsg(s, &m, how), 1);
	*flags = m.msg_flags;
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	if (!c)
		return 0;
	int count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	memcpy(fds, CMSG_DATA(c), count * sizeof(int));
	return count;
}

TEST(descriptors_may_not_fit)
{
	int s[2], fds[300], got[300], flags;
	for (int i = 0; i < 300; i++)
		fds[i] = 0;
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CHECK_ERR(pass(s[0], fds, 254), EINVAL);
	CHECK_EQ(pass(s[0], fds, 253), 1);
	CHECK_EQ(take(s[1], got, 253, 0, &flags), 253);
	CHECK_EQ(flags, 0);
	for (int i = 0; i < 253; i++)
		close(got[i]);
	CHECK_EQ(pass(s[0], fds, 3), 1);
	CHECK_EQ(take(s[1], got, 2, MSG_CMSG_CLOEXEC, &flags), 2);
	CHECK(flags & MSG_CTRUNC);
	CHECK_EQ(fcntl(got[0], F_GETFD), FD_CLOEXEC);
	CHECK_EQ(pass(s[0], fds, 1), 1);
	CHECK_EQ(take(s[1], got, 0, 0, &flags), 0);
	CHECK(flags & MSG_CTRUNC);
	fds[0] = 99;
	CHECK_ERR(pass(s[0], fds, 1), EBADF);
}

/* Whether the writing end of a pipe is gone. */
static int ended(int r)
{
	struct pollfd p = { .fd = r, .events = POLLIN };
	return CHECK_OK(poll(&p, 1, 0)) == 1 && (p.revents & POLLHUP);
}

TEST(dropped_messages_drop_their_files)
{
	int s[2], p[2];
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CHECK_OK(pipe(p));
	CHECK_EQ(pass(s[0], &p[1], 1), 1);
	close(p[1]);
	CHECK(!ended(p[0]));
	close(s[1]);
	CHECK(ended(p[0]));
}

TEST(circles_are_found)
{
	int s[2], t[2], p[2];
	CHECK_OK(pipe(p));
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CHECK_OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, t));
	/* s[1] lies in the queue of t[1], which lies in the queue of s[1]. */
	CHECK_EQ(pass(s[0], &t[1], 1), 1);
	CHECK_EQ(pass(s[0], &p[1], 1), 1);
	CHECK_EQ(pass(t[0], &s[1], 1), 1);
	close(p[1]);
	close(s[1]);
	close(t[1]);
	close(s[0]);
	close(t[0]);
	/* Linux collects when the next socket goes, and not at once. */
	WAIT_FOR((close(make(SOCK_STREAM)), ended(p[0])));
}

TEST(shutting_down)
{
	char c;
	int s[2];
	struct pollfd p = { .events = POLLIN | POLLOUT | POLLRDHUP };
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	p.fd = s[1];
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLOUT);
	CHECK_OK(shutdown(s[0], SHUT_WR));
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLIN | POLLOUT | POLLRDHUP);
	CHECK_EQ(read(s[1], &c, 1), 0);
	CHECK_EQ(write(s[1], "x", 1), 1);
	CHECK_ERR(send(s[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	CHECK_OK(close(s[0]));
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK(p.revents & POLLHUP);
	CHECK_ERR(shutdown(s[1], 3), EINVAL);
	p.fd = make(SOCK_STREAM);
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLOUT | POLLHUP);
}

TEST(unread_data_resets)
{
	char c;
	int s[2];
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CHECK_EQ(write(s[0], "x", 1), 1);
	close(s[1]);
	CHECK_ERR(read(s[0], &c, 1), ECONNRESET);
	CHECK_EQ(read(s[0], &c, 1), 0);
}

TEST(large_transfers)
{
	int s[2];
	const int size = 1 << 20;
	char *data = malloc(size), *back = malloc(size);
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	for (int i = 0; i < size; i++)
		data[i] = i * 7 + i / 4096;
	pid_t child = SPAWN({
		close(s[1]);
		CHECK_EQ(write(s[0], data, size), size);
	});
	close(s[0]);
	CHECK_EQ(recv(s[1], back, size, MSG_WAITALL), size);
	CHECK(!memcmp(data, back, size));
	CHECK_EQ(read(s[1], back, 1), 0);
	JOIN(child);
}

TEST(many_messages_at_once)
{
	int s[2];
	char bufs[4][8];
	struct mmsghdr m[4] = { 0 };
	struct iovec iov[4];
	CHECK_OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
	for (int i = 0; i < 4; i++) {
		iov[i] = (struct iovec){ "12345678", i + 1 };
		m[i].msg_hdr.msg_iov = &iov[i];
		m[i].msg_hdr.msg_iovlen = 1;
	}
	CHECK_EQ(sendmmsg(s[0], m, 3, 0), 3);
	CHECK_EQ(m[2].msg_len, 3);
	for (int i = 0; i < 4; i++)
		iov[i] = (struct iovec){ bufs[i], 8 };
	CHECK_EQ(recvmmsg(s[1], m, 4, MSG_WAITFORONE, NULL), 3);
	CHECK_EQ(m[0].msg_len, 1);
	CHECK_EQ(m[1].msg_len, 2);
	CHECK_ERR(recvmmsg(s[1], m, 4, MSG_DONTWAIT, NULL), EAGAIN);
}
