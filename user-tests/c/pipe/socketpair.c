/* AF_UNIX socket pairs. */
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "proc.h"

static int s[2];

static void pair(int type)
{
	CHECK_OK(socketpair(AF_UNIX, type, 0, s));
}

TEST(streams)
{
	char buf[16];
	pair(SOCK_STREAM);
	CHECK_EQ(write(s[0], "abc", 3), 3);
	CHECK_EQ(send(s[0], "def", 3, 0), 3);
	CHECK_EQ(recv(s[1], buf, 2, MSG_PEEK), 2);
	CHECK_EQ(recv(s[1], buf, sizeof buf, 0), 6);
	CHECK(!memcmp(buf, "abcdef", 6));
	CHECK_EQ(write(s[1], "back", 4), 4);
	CHECK_EQ(read(s[0], buf, sizeof buf), 4);
	CHECK_ERR(recv(s[0], buf, 1, MSG_DONTWAIT), EAGAIN);
	CHECK_OK(close(s[1]));
	CHECK_EQ(read(s[0], buf, 1), 0);
	CHECK_EQ(kt_wait(SPAWN(write(s[0], "x", 1))), SIGPIPE);
	CHECK_ERR(send(s[0], "x", 1, MSG_NOSIGNAL), EPIPE);
}

TEST(datagrams_keep_boundaries)
{
	char buf[16];
	pair(SOCK_DGRAM);
	CHECK_EQ(send(s[0], "one", 3, 0), 3);
	CHECK_EQ(send(s[0], "", 0, 0), 0);
	CHECK_EQ(send(s[0], "three", 5, 0), 5);
	CHECK_EQ(recv(s[1], buf, sizeof buf, 0), 3);
	CHECK_EQ(recv(s[1], buf, sizeof buf, 0), 0);
	CHECK_EQ(recv(s[1], buf, 2, MSG_TRUNC), 5);
	CHECK_ERR(recv(s[1], buf, 2, MSG_DONTWAIT), EAGAIN);
}

TEST(sequenced_packets)
{
	char buf[16];
	pair(SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK);
	CHECK_EQ(fcntl(s[0], F_GETFD), FD_CLOEXEC);
	CHECK(fcntl(s[0], F_GETFL) & O_NONBLOCK);
	CHECK_EQ(write(s[0], "one", 3), 3);
	CHECK_EQ(write(s[0], "two", 3), 3);
	CHECK_EQ(read(s[1], buf, sizeof buf), 3);
	CHECK_EQ(read(s[1], buf, 1), 1);
	CHECK_ERR(read(s[1], buf, 1), EAGAIN);
	CHECK_OK(close(s[0]));
	CHECK_EQ(read(s[1], buf, 1), 0);
}

TEST(shutdown_one_way)
{
	char c;
	pair(SOCK_STREAM);
	CHECK_OK(shutdown(s[0], SHUT_WR));
	CHECK_EQ(read(s[1], &c, 1), 0);
	CHECK_ERR(send(s[0], "x", 1, MSG_NOSIGNAL), EPIPE);
	CHECK_EQ(write(s[1], "y", 1), 1);
	CHECK_EQ(read(s[0], &c, 1), 1);
	CHECK_ERR(shutdown(s[0], 77), EINVAL);
	CHECK_ERR(shutdown(0, SHUT_RD), ENOTSOCK);
}

static void send_fd(int sock, int fd)
{
	char control[CMSG_SPACE(sizeof fd)] = { 0 };
	struct iovec io = { "f", 1 };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof control };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof fd);
	memcpy(CMSG_DATA(c), &fd, sizeof fd);
	CHECK_EQ(sendmsg(sock, &m, 0), 1);
}

static int receive_fd(int sock, int flags)
{
	int fd;
	char control[CMSG_SPACE(sizeof fd)] = { 0 }, b;
	struct iovec io = { &b, 1 };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof control };
	CHECK_EQ(recvmsg(sock, &m, flags), 1);
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	CHECK(c && c->cmsg_type == SCM_RIGHTS);
	memcpy(&fd, CMSG_DATA(c), sizeof fd);
	return fd;
}

TEST(descriptors_travel)
{
	char buf[4] = "";
	pair(SOCK_STREAM);
	pid_t child = SPAWN({
		kt_make_file("f", "abc", 0600);
		int fd = CHECK_OK(open("f", O_RDONLY));
		CHECK_EQ(lseek(fd, 1, SEEK_SET), 1);
		send_fd(s[1], fd);
	});
	JOIN(child);
	int fd = receive_fd(s[0], MSG_CMSG_CLOEXEC);
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(read(fd, buf, 3), 2);
	CHECK(!strcmp(buf, "bc"));
}

TEST(a_socket_can_travel_through_itself)
{
	pair(SOCK_STREAM);
	send_fd(s[0], s[0]);
	send_fd(s[0], s[1]);
	/* Nobody is left to read it: the pair must be collected. */
	CHECK_OK(close(s[0]));
	CHECK_OK(close(s[1]));
}

TEST(credentials)
{
	int on = 1, b;
	struct ucred peer;
	socklen_t size = sizeof peer;
	pair(SOCK_STREAM);
	CHECK_OK(getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &peer, &size));
	CHECK_EQ(peer.pid, getpid());
	CHECK_EQ(peer.uid, getuid());
	CHECK_OK(setsockopt(s[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
	pid_t child = SPAWN(CHECK_EQ(write(s[1], "x", 1), 1));
	char control[CMSG_SPACE(sizeof(struct ucred))];
	struct iovec io = { &b, 1 };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof control };
	CHECK_EQ(recvmsg(s[0], &m, 0), 1);
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	CHECK(c && c->cmsg_type == SCM_CREDENTIALS);
	memcpy(&peer, CMSG_DATA(c), sizeof peer);
	CHECK_EQ(peer.pid, child);
	JOIN(child);
}

TEST(polls)
{
	static char block[65536];
	pair(SOCK_STREAM);
	CHECK_OK(fcntl(s[0], F_SETFL, O_NONBLOCK));
	struct pollfd p = { .fd = s[0], .events = POLLIN | POLLOUT };
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLOUT);
	while (write(s[0], block, sizeof block) > 0)
		;
	CHECK_EQ(errno, EAGAIN);
	CHECK_EQ(poll(&p, 1, 0), 0);
	int n;
	CHECK_OK(ioctl(s[1], FIONREAD, &n));
	CHECK(n > 65536);
	CHECK_OK(close(s[1]));
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK(p.revents & POLLHUP);
}

TEST(receive_timeouts)
{
	char c;
	pair(SOCK_STREAM);
	CHECK_OK(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ 0, 60000 },
			    sizeof(struct timeval)));
	long long start = kt_now_ms();
	CHECK_ERR(read(s[0], &c, 1), EAGAIN);
	CHECK(kt_now_ms() - start >= 50);
}

TEST(names_and_options)
{
	struct sockaddr_un name;
	socklen_t size = sizeof name;
	int value;
	pair(SOCK_STREAM);
	CHECK_OK(getsockname(s[0], (void *)&name, &size));
	CHECK_EQ(size, 2);
	CHECK_EQ(name.sun_family, AF_UNIX);
	size = sizeof value;
	CHECK_OK(getsockopt(s[0], SOL_SOCKET, SO_TYPE, &value, &size));
	CHECK_EQ(value, SOCK_STREAM);
	CHECK_OK(getsockopt(s[0], SOL_SOCKET, SO_DOMAIN, &value, &size));
	CHECK_EQ(value, AF_UNIX);
	CHECK_OK(getsockopt(s[0], SOL_SOCKET, SO_ERROR, &value, &size));
	CHECK_EQ(value, 0);
	CHECK_ERR(lseek(s[0], 0, SEEK_SET), ESPIPE);
}

TEST(wrong_arguments)
{
	CHECK_ERR(socketpair(AF_UNIX, 77, 0, s), EINVAL);
	CHECK_ERR(socketpair(AF_UNIX, SOCK_RDM, 0, s), ESOCKTNOSUPPORT);
	CHECK_ERR(socketpair(AF_INET, SOCK_STREAM, 0, s), EOPNOTSUPP);
	CHECK_ERR(socketpair(99, SOCK_STREAM, 0, s), EAFNOSUPPORT);
	CHECK_ERR(socketpair(AF_UNIX, SOCK_STREAM, 99, s), EPROTONOSUPPORT);
	CHECK_ERR(syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, BAD_PTR), EFAULT);
	CHECK_ERR(send(0, "x", 1, 0), ENOTSOCK);
	CHECK_ERR(send(999, "x", 1, 0), EBADF);
}
