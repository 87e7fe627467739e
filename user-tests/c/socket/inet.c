/*
 * AF_INET and AF_INET6 sockets over loopback and veth (ip(7), udp(7), tcp(7), raw(7)).
 */
#include "inet.h"
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <poll.h>

TEST(wrong_arguments)
{
	CHECK_ERR(socket(AF_INET, SOCK_STREAM, 17), EPROTONOSUPPORT);
	CHECK_ERR(socket(AF_INET, SOCK_DGRAM, 6), EPROTONOSUPPORT);
	CHECK_ERR(socket(AF_INET, SOCK_RAW, 0), EPROTONOSUPPORT);
	CHECK_ERR(socket(AF_INET, SOCK_SEQPACKET, 0), ESOCKTNOSUPPORT);
	CHECK_ERR(socket(AF_INET, SOCK_STREAM, 1000), EINVAL);
	CHECK_ERR(socket(AF_INET, SOCK_STREAM, -1), EINVAL);
	int sv[2];
	CHECK_ERR(socketpair(AF_INET, SOCK_STREAM, 0, sv), EOPNOTSUPP);
}

TEST(udp_over_loopback)
{
	loopback();
	struct sockaddr_in a = in4("127.0.0.1", 5000), from;
	socklen_t len = sizeof from;
	char buf[64];
	int one = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0)), two = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	CHECK_OK(bind(one, (void *)&a, sizeof a));
	CHECK_EQ(sendto(two, "hello", 5, 0, (void *)&a, sizeof a), 5);
	CHECK_EQ(recvfrom(one, buf, sizeof buf, 0, (void *)&from, &len), 5);
	CHECK_EQ(len, sizeof from);
	CHECK_EQ(from.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	CHECK_EQ(sendto(one, "world!", 6, 0, (void *)&from, len), 6);
	CHECK_EQ(recv(two, buf, 3, MSG_TRUNC), 6);
	CHECK_ERR(recv(two, buf, 3, MSG_DONTWAIT), EAGAIN);
	CHECK_EQ(send(two, "", 0, 0), -1);
	CHECK_EQ(errno, EDESTADDRREQ);
}

TEST(udp_to_a_closed_port_is_refused_if_connected)
{
	loopback();
	struct sockaddr_in a = in4("127.0.0.1", 5001);
	int fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	CHECK_OK(connect(fd, (void *)&a, sizeof a));
	CHECK_EQ(send(fd, "x", 1, 0), 1);
	struct pollfd p = { fd, POLLIN, 0 };
	CHECK_EQ(poll(&p, 1, 1000), 1);
	CHECK(p.revents & POLLERR);
	CHECK_ERR(recv(fd, &a, 1, 0), ECONNREFUSED);
	CHECK_ERR(recv(fd, &a, 1, MSG_DONTWAIT), EAGAIN);
}

TEST(a_port_is_bound_once)
{
	loopback();
	struct sockaddr_in a = in4("127.0.0.1", 5002), any = in4("0.0.0.0", 5002), other = in4("10.9.9.9", 5002);
	int one = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0)), two = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	CHECK_OK(bind(one, (void *)&a, sizeof a));
	CHECK_ERR(bind(two, (void *)&a, sizeof a), EADDRINUSE);
	CHECK_ERR(bind(two, (void *)&any, sizeof any), EADDRINUSE);
	CHECK_ERR(bind(two, (void *)&other, sizeof other), EADDRNOTAVAIL);
	CHECK_ERR(bind(one, (void *)&any, sizeof any), EINVAL);
	/* Another namespace has ports of its own. */
	loopback();
	int three = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	CHECK_OK(bind(three, (void *)&a, sizeof a));
	/* The old sockets stayed where they were. */
	CHECK_ERR(bind(two, (void *)&a, sizeof a), EADDRINUSE);
}

TEST(low_ports_take_a_capability_in_the_owner)
{
	loopback();
	JOIN(SPAWN({
		struct sockaddr_in a = in4("127.0.0.1", 80);
		CHECK_OK(setuid(1000));
		int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
		CHECK_ERR(bind(fd, (void *)&a, sizeof a), EACCES);
		a.sin_port = htons(1024);
		CHECK_OK(bind(fd, (void *)&a, sizeof a));
		CHECK_ERR(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP), EPERM);
		CHECK_OK(unshare(CLONE_NEWUSER | CLONE_NEWNET));
		CHECK_EQ(nl_link_up("lo", 1), 0);
		a.sin_port = htons(80);
		fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
		CHECK_OK(bind(fd, (void *)&a, sizeof a));
		CHECK_OK(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
	}));
}

TEST(tcp_over_loopback)
{
	loopback();
	char buf[64];
	struct sockaddr_in a;
	socklen_t len = sizeof a;
	int l = listener("127.0.0.1", 5003, 5);
	int c = client("127.0.0.1", 5003);
	int s = CHECK_OK(accept(l, (void *)&a, &len));
	CHECK_EQ(a.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	CHECK_EQ(write(c, "ping", 4), 4);
	CHECK_EQ(read(s, buf, sizeof buf), 4);
	CHECK_EQ(write(s, "pong!", 5), 5);
	CHECK_EQ(recv(c, buf, 2, MSG_PEEK), 2);
	CHECK_EQ(read(c, buf, sizeof buf), 5);
	CHECK(!memcmp(buf, "pong!", 5));
	CHECK_OK(shutdown(c, SHUT_WR));
	CHECK_EQ(read(s, buf, sizeof buf), 0);
	CHECK_EQ(write(s, "late", 4), 4);
	CHECK_EQ(read(c, buf, sizeof buf), 4);
	CHECK_ERR(send(c, "x", 1, MSG_NOSIGNAL), EPIPE);
	close(s);
	CHECK_EQ(read(c, buf, sizeof buf), 0);
}

TEST(tcp_to_a_closed_port_is_refused)
{
	loopback();
	struct sockaddr_in a = in4("127.0.0.1", 5004);
	int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	CHECK_ERR(connect(fd, (void *)&a, sizeof a), ECONNREFUSED);
	CHECK_ERR(send(fd, "x", 1, MSG_NOSIGNAL), EPIPE);
	CHECK_ERR(getpeername(fd, (void *)&a, &(socklen_t){ sizeof a }), ENOTCONN);
	CHECK_ERR(shutdown(fd, SHUT_RDWR), ENOTCONN);
	a = in4("10.1.2.3", 80);
	CHECK_ERR(connect(fd, (void *)&a, sizeof a), ENETUNREACH);
}

TEST(tcp_without_waiting)
{
	loopback();
	struct sockaddr_in a = in4("127.0.0.1", 5005);
	int l = listener("127.0.0.1", 5005, 5), error;
	socklen_t len = sizeof error;
	CHECK_OK(fcntl(l, F_SETFL, O_NONBLOCK));
	CHECK_ERR(accept(l, NULL, NULL), EAGAIN);
	int c = CHECK_OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	CHECK_ERR(connect(c, (void *)&a, sizeof a), EINPROGRESS);
	struct pollfd p = { c, POLLOUT, 0 };
	CHECK_EQ(poll(&p, 1, 1000), 1);
	CHECK_OK(getsockopt(c, SOL_SOCKET, SO_ERROR, &error, &len));
	CHECK_EQ(error, 0);
	p = (struct pollfd){ l, POLLIN, 0 };
	CHECK_EQ(poll(&p, 1, 1000), 1);
	int s = CHECK_OK(accept(l, NULL, NULL));
	CHECK_ERR(read(c, &error, 1), EAGAIN);
	CHECK_EQ(write(s, "x", 1), 1);
	p = (struct pollfd){ c, POLLIN, 0 };
	CHECK_EQ(poll(&p, 1, 1000), 1);
	CHECK_EQ(read(c, &error, 4), 1);
	/* The first call after the handshake tells that it is over. */
	CHECK_OK(connect(c, (void *)&a, sizeof a));
	CHECK_ERR(connect(c, (void *)&a, sizeof a), EISCONN);
}

TEST(a_slow_reader_stops_the_sender)
{
	loopback();
	static char buf[65536];
	int l = listener("127.0.0.1", 5006, 5), c = client("127.0.0.1", 5006);
	int s = CHECK_OK(accept(l, NULL, NULL));
	CHECK_OK(fcntl(c, F_SETFL, O_NONBLOCK));
	size_t sent = 0, got = 0;
	for (;;) {
		ssize_t n = write(c, buf, sizeof buf);
		if (n < 0) {
			CHECK_EQ(errno, EAGAIN);
			break;
		}
		sent += n;
		CHECK(sent < 64 << 20);
	}
	struct pollfd p = { c, POLLOUT, 0 };
	CHECK_EQ(poll(&p, 1, 0), 0);
	while (got < sent)
		got += CHECK_OK(read(s, buf, sizeof buf));
	CHECK_EQ(poll(&p, 1, 5000), 1);
}

TEST(a_reset_is_reported)
{
	loopback();
	char c4[4];
	int l = listener("127.0.0.1", 5007, 5), c = client("127.0.0.1", 5007);
	int s = CHECK_OK(accept(l, NULL, NULL));
	struct linger linger = { 1, 0 };
	CHECK_OK(setsockopt(s, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
	close(s);
	CHECK_ERR(read(c, c4, 4), ECONNRESET);
	CHECK_EQ(read(c, c4, 4), 0);
	CHECK_ERR(send(c, "x", 1, MSG_NOSIGNAL), EPIPE);
}

TEST_FOR(tcp_carries_megabytes, 120)
{
	pid_t child = cable();
	pid_t server = SPAWN({
		in_ns_of(child);
		int l = listener("0.0.0.0", 5008, 5);
		int s = CHECK_OK(accept(l, NULL, NULL));
		static unsigned char buf[30000];
		unsigned long total = 0, sum = 0;
		for (;;) {
			ssize_t n = CHECK_OK(read(s, buf, sizeof buf));
			if (n == 0)
				break;
			for (ssize_t i = 0; i < n; i++)
				sum = sum * 31 + buf[i];
			total += n;
		}
		CHECK_EQ(total, 4UL << 20);
		CHECK_EQ(write(s, &sum, sizeof sum), sizeof sum);
	});
	struct sockaddr_in a = in4("10.0.0.2", 5008);
	int c = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	WAIT_FOR(connect(c, (void *)&a, sizeof a) == 0);
	static unsigned char buf[50000];
	unsigned long left = 4UL << 20, sum = 0, theirs, n = 0;
	while (left) {
		size_t part = left < sizeof buf ? left : sizeof buf;
		for (size_t i = 0; i < part; i++) {
			buf[i] = n++ * 7;
			sum = sum * 31 + buf[i];
		}
		CHECK_EQ(write(c, buf, part), (ssize_t)part);
		left -= part;
	}
	CHECK_OK(shutdown(c, SHUT_WR));
	CHECK_EQ(read(c, &theirs, sizeof theirs), sizeof theirs);
	CHECK_EQ(theirs, sum);
	JOIN(server);
	kill(child, SIGKILL);
}

TEST(an_echo_is_answered_across_a_cable)
{
	pid_t child = cable();
	int fd = CHECK_OK(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
	struct sockaddr_in a = in4("10.0.0.2", 0), from;
	socklen_t len = sizeof from;
	unsigned char echo[16] = { ICMP_ECHO, 0, 0, 0, 0x12, 0x34, 0, 1 }, buf[128];
	unsigned sum = 0;
	for (int i = 0; i < 16; i += 2)
		sum += echo[i] << 8 | echo[i + 1];
	sum = ~((sum >> 16) + sum);
	echo[2] = sum >> 8;
	echo[3] = sum;
	CHECK_EQ(sendto(fd, echo, 16, 0, (void *)&a, sizeof a), 16);
	struct pollfd p = { fd, POLLIN, 0 };
	CHECK_EQ(poll(&p, 1, 3000), 1);
	CHECK_EQ(recvfrom(fd, buf, sizeof buf, 0, (void *)&from, &len), 36);
	CHECK_EQ(from.sin_addr.s_addr, a.sin_addr.s_addr);
	CHECK_EQ(buf[20], ICMP_ECHOREPLY);
	CHECK_EQ(buf[24] << 8 | buf[25], 0x1234);
	kill(child, SIGKILL);
}

TEST(tcp6_takes_ipv4_too)
{
	loopback();
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(5009) }, from;
	socklen_t len = sizeof from;
	int l = CHECK_OK(socket(AF_INET6, SOCK_STREAM, 0));
	CHECK_OK(bind(l, (void *)&a, sizeof a));
	CHECK_OK(listen(l, 5));
	client("127.0.0.1", 5009);
	CHECK_OK(accept(l, (void *)&from, &len));
	CHECK(IN6_IS_ADDR_V4MAPPED(&from.sin6_addr));
	a.sin6_addr = in6addr_loopback;
	int c = CHECK_OK(socket(AF_INET6, SOCK_STREAM, 0));
	CHECK_OK(connect(c, (void *)&a, sizeof a));
	CHECK_OK(accept(l, (void *)&from, &len));
	CHECK(IN6_IS_ADDR_LOOPBACK(&from.sin6_addr));
}

TEST(a_socket_stays_in_its_namespace)
{
	loopback();
	int l = listener("127.0.0.1", 5010, 5);
	int c = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	struct sockaddr_in a = in4("127.0.0.1", 5010);
	CHECK_OK(unshare(CLONE_NEWNET));
	CHECK_OK(connect(c, (void *)&a, sizeof a));
	CHECK_OK(accept(l, NULL, NULL));
}

TEST(a_hundred_connections)
{
	loopback();
	int l = listener("127.0.0.1", 5011, 200), fds[100], theirs[100];
	char c;
	for (int n = 0; n < 100; n++)
		fds[n] = client("127.0.0.1", 5011);
	for (int n = 0; n < 100; n++)
		theirs[n] = CHECK_OK(accept(l, NULL, NULL));
	for (int n = 0; n < 100; n++)
		CHECK_EQ(write(fds[n], &(char){ n }, 1), 1);
	for (int n = 0; n < 100; n++) {
		CHECK_EQ(read(theirs[n], &c, 1), 1);
		CHECK_EQ(c, n);
	}
}
