/* connect(2) to AF_UNSPEC: a datagram socket is connected no more. */
#include "inet.h"
#include <net/if.h>
#include <netinet/ip_icmp.h>

static const struct sockaddr nobody = { .sa_family = AF_UNSPEC };

static struct sockaddr_in name4(int fd)
{
	struct sockaddr_in a;
	socklen_t len = sizeof a;
	CHECK_OK(getsockname(fd, (void *)&a, &len));
	CHECK_EQ(len, sizeof a);
	return a;
}

static struct sockaddr_in6 name6(int fd)
{
	struct sockaddr_in6 a;
	socklen_t len = sizeof a;
	CHECK_OK(getsockname(fd, (void *)&a, &len));
	CHECK_EQ(len, sizeof a);
	return a;
}

static int connected(int type, int protocol)
{
	struct sockaddr_in to = in4("127.0.0.1", 5000);
	int fd = CHECK_OK(socket(AF_INET, type, protocol));
	CHECK_OK(connect(fd, (void *)&to, sizeof to));
	CHECK_EQ(name4(fd).sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	return fd;
}

TEST(what_connect_chose_is_given_back)
{
	loopback();
	int fd = connected(SOCK_DGRAM, 0);
	int port = name4(fd).sin_port;
	CHECK(port != 0);
	CHECK_OK(connect(fd, &nobody, sizeof nobody));
	CHECK_EQ(name4(fd).sin_addr.s_addr, 0);
	CHECK_EQ(name4(fd).sin_port, 0);
	struct sockaddr_in a;
	socklen_t len = sizeof a;
	CHECK_ERR(getpeername(fd, (void *)&a, &len), ENOTCONN);
	/* The port is free for others, and the socket can be bound again. */
	int other = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	a = in4("127.0.0.1", ntohs(port));
	CHECK_OK(bind(other, (void *)&a, sizeof a));
	a = in4("127.0.0.2", 5003);
	CHECK_OK(bind(fd, (void *)&a, sizeof a));
	CHECK_EQ(name4(fd).sin_addr.s_addr, a.sin_addr.s_addr);
	CHECK_ERR(send(fd, "x", 1, 0), EDESTADDRREQ);
}

TEST(a_send_to_nobody_takes_a_port)
{
	loopback();
	int fd = connected(SOCK_DGRAM, 0);
	CHECK_OK(connect(fd, &nobody, sizeof nobody));
	CHECK_ERR(send(fd, "x", 1, 0), EDESTADDRREQ);
	CHECK(name4(fd).sin_port != 0);
}

TEST(what_bind_chose_stays)
{
	loopback();
	struct sockaddr_in to = in4("127.0.0.1", 5000), a = in4("127.0.0.3", 5004), b = in4("0.0.0.0", 5005),
			   c = in4("127.0.0.3", 0);
	int fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	CHECK_OK(bind(fd, (void *)&a, sizeof a));
	CHECK_OK(connect(fd, (void *)&to, sizeof to));
	CHECK_OK(connect(fd, &nobody, sizeof nobody));
	CHECK_EQ(name4(fd).sin_addr.s_addr, a.sin_addr.s_addr);
	CHECK_EQ(name4(fd).sin_port, htons(5004));
	CHECK_ERR(bind(fd, (void *)&b, sizeof b), EINVAL);

	/* Only the port. */
	fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	CHECK_OK(bind(fd, (void *)&b, sizeof b));
	CHECK_OK(connect(fd, (void *)&to, sizeof to));
	CHECK_EQ(name4(fd).sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	CHECK_OK(connect(fd, &nobody, sizeof nobody));
	CHECK_EQ(name4(fd).sin_addr.s_addr, 0);
	CHECK_EQ(name4(fd).sin_port, htons(5005));
	/* It hears what comes for any address of the host, from anybody. */
	int other = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	to = in4("127.0.0.9", 5005);
	char byte;
	CHECK_EQ(sendto(other, "y", 1, 0, (void *)&to, sizeof to), 1);
	CHECK_EQ(recv(fd, &byte, 1, 0), 1);

	/* Only the address. */
	fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	CHECK_OK(bind(fd, (void *)&c, sizeof c));
	CHECK_OK(connect(fd, (void *)&to, sizeof to));
	CHECK_OK(connect(fd, &nobody, sizeof nobody));
	CHECK_EQ(name4(fd).sin_addr.s_addr, c.sin_addr.s_addr);
	CHECK_EQ(name4(fd).sin_port, 0);
	CHECK_EQ(sendto(fd, "z", 1, 0, (void *)&to, sizeof to), 1);
	CHECK_EQ(name4(fd).sin_addr.s_addr, c.sin_addr.s_addr);
	CHECK(name4(fd).sin_port != 0);
}

TEST(a_socket_never_connected)
{
	loopback();
	struct sockaddr_in any = in4("0.0.0.0", 0);
	int fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	CHECK_OK(connect(fd, &nobody, sizeof nobody));
	CHECK_OK(bind(fd, (void *)&any, sizeof any));
	CHECK(name4(fd).sin_port != 0);
	CHECK_OK(connect(fd, &nobody, sizeof nobody));
	CHECK_EQ(name4(fd).sin_port, 0);
	CHECK_ERR(connect(fd, &nobody, 1), EINVAL);
}

TEST(the_device_is_given_back)
{
	loopback();
	char name[IFNAMSIZ];
	socklen_t len = sizeof name;
	int fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
	CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len));
	CHECK_EQ(len, 3);
	CHECK_OK(connect(fd, &nobody, sizeof nobody));
	len = sizeof name;
	CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len));
	CHECK_EQ(len, 0);
}

TEST(what_waits_stays)
{
	loopback();
	int fd = connected(SOCK_DGRAM, 0);
	struct sockaddr_in a = in4("127.0.0.1", 5000), to = name4(fd);
	int other = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	char byte;
	CHECK_OK(bind(other, (void *)&a, sizeof a));
	CHECK_EQ(sendto(other, "x", 1, 0, (void *)&to, sizeof to), 1);
	CHECK_OK(connect(fd, &nobody, sizeof nobody));
	CHECK_EQ(recv(fd, &byte, 1, MSG_DONTWAIT), 1);
	/* But nothing more comes. */
	CHECK_EQ(sendto(other, "x", 1, 0, (void *)&to, sizeof to), 1);
	CHECK_ERR(recv(fd, &byte, 1, MSG_DONTWAIT), EAGAIN);
}

TEST(from_one_family_to_the_other)
{
	loopback();
	struct sockaddr_in to4 = in4("127.0.0.1", 5000);
	struct sockaddr_in6 to6 = { .sin6_family = AF_INET6, .sin6_port = htons(5000), .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = CHECK_OK(socket(AF_INET6, SOCK_DGRAM, 0));
	CHECK_OK(connect(fd, (void *)&to6, sizeof to6));
	struct sockaddr_in6 name = name6(fd);
	CHECK(IN6_IS_ADDR_LOOPBACK(&name.sin6_addr));
	CHECK_OK(connect(fd, &nobody, sizeof nobody));
	name = name6(fd);
	CHECK(IN6_IS_ADDR_UNSPECIFIED(&name.sin6_addr));
	CHECK_EQ(name.sin6_port, 0);
	CHECK_OK(connect(fd, (void *)&to4, sizeof to4));
	name = name6(fd);
	CHECK(IN6_IS_ADDR_V4MAPPED(&name.sin6_addr));
	CHECK_EQ(name.sin6_addr.s6_addr[12], 127);
	CHECK_OK(connect(fd, &nobody, sizeof nobody));
	name = name6(fd);
	CHECK(IN6_IS_ADDR_UNSPECIFIED(&name.sin6_addr));
	CHECK_OK(connect(fd, (void *)&to6, sizeof to6));
	name = name6(fd);
	CHECK(IN6_IS_ADDR_LOOPBACK(&name.sin6_addr));
}

TEST(a_raw_socket_forgets_both_ends)
{
	loopback();
	int fd = connected(SOCK_RAW, IPPROTO_ICMP);
	CHECK_OK(connect(fd, &nobody, sizeof nobody));
	CHECK_EQ(name4(fd).sin_addr.s_addr, 0);
	struct sockaddr_in a = in4("127.0.0.4", 0);
	CHECK_OK(bind(fd, (void *)&a, sizeof a));
	CHECK_EQ(name4(fd).sin_addr.s_addr, a.sin_addr.s_addr);
	CHECK_OK(connect(fd, &nobody, sizeof nobody));
	CHECK_EQ(name4(fd).sin_addr.s_addr, 0);
	CHECK_ERR(send(fd, "x", 1, 0), EDESTADDRREQ);
}
