/*
 * Ancillary data that changes how one datagram is sent (ip(7), ipv6(7)).
 */
#include "inet.h"
#include <net/if.h>

static int fds[2];
static struct sockaddr_in6 to;
static socklen_t to_len;

/* fds[1] hears what fds[0] sends, and is told all about it. */
static void pair(int family)
{
	int on = 1;
	loopback();
	for (int i = 0; i < 2; i++)
		fds[i] = CHECK_OK(socket(family, SOCK_DGRAM, 0));
	struct sockaddr_in a = in4("127.0.0.1", 5000);
	struct sockaddr_in6 b = { .sin6_family = AF_INET6, .sin6_port = htons(5000), .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	to_len = family == AF_INET ? sizeof a : sizeof b;
	memcpy(&to, family == AF_INET ? (void *)&a : (void *)&b, to_len);
	CHECK_OK(bind(fds[1], (void *)&to, to_len));
	if (family == AF_INET) {
		CHECK_OK(setsockopt(fds[1], SOL_IP, IP_RECVTTL, &on, sizeof on));
		CHECK_OK(setsockopt(fds[1], SOL_IP, IP_RECVTOS, &on, sizeof on));
	} else {
		CHECK_OK(setsockopt(fds[1], SOL_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof on));
		CHECK_OK(setsockopt(fds[1], SOL_IPV6, IPV6_RECVTCLASS, &on, sizeof on));
	}
}

static char control[256];
static size_t used;

static void add(int level, int type, const void *data, size_t size)
{
	struct cmsghdr *c = (void *)(control + used);
	c->cmsg_level = level;
	c->cmsg_type = type;
	c->cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(c), data, size);
	used += CMSG_SPACE(size);
}

static void add_int(int level, int type, int value)
{
	add(level, type, &value, sizeof value);
}

/* Sends a byte with what was added. */
static int transmit(void)
{
	struct iovec iov = { "x", 1 };
	struct msghdr m = { .msg_name = &to, .msg_namelen = to_len, .msg_iov = &iov, .msg_iovlen = 1 };
	m.msg_control = control;
	m.msg_controllen = used;
	used = 0;
	return sendmsg(fds[0], &m, 0);
}

static int transmit_int(int level, int type, int value)
{
	add_int(level, type, value);
	return transmit();
}

static struct sockaddr_in6 from;

/* What the receiver is told of the next datagram. */
static int told(int level, int type)
{
	char space[256];
	struct iovec iov = { &(char){ 0 }, 1 };
	struct msghdr m = { .msg_name = &from, .msg_namelen = sizeof from, .msg_iov = &iov, .msg_iovlen = 1 };
	m.msg_control = space;
	m.msg_controllen = sizeof space;
	CHECK_EQ(recvmsg(fds[1], &m, 0), 1);
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
		if (c->cmsg_level == level && c->cmsg_type == type)
			return level == SOL_IP && type == IP_TOS ? *CMSG_DATA(c) : *(int *)CMSG_DATA(c);
	return -1;
}

TEST(ttl_and_tos_of_one_datagram)
{
	pair(AF_INET);
	CHECK_EQ(transmit_int(SOL_IP, IP_TTL, 7), 1);
	CHECK_EQ(told(SOL_IP, IP_TTL), 7);
	CHECK_EQ(transmit_int(SOL_IP, IP_TOS, 0x20), 1);
	CHECK_EQ(told(SOL_IP, IP_TOS), 0x20);
	unsigned char tos = 0x40;
	add(SOL_IP, IP_TOS, &tos, 1);
	add_int(SOL_IP, IP_TTL, 9);
	CHECK_EQ(transmit(), 1);
	CHECK_EQ(told(SOL_IP, IP_TOS), 0x40);
	/* The next is as before. */
	CHECK_EQ(transmit(), 1);
	CHECK_EQ(told(SOL_IP, IP_TTL), 64);
	CHECK_ERR(transmit_int(SOL_IP, IP_TTL, 0), EINVAL);
	CHECK_ERR(transmit_int(SOL_IP, IP_TTL, 256), EINVAL);
	CHECK_ERR(transmit_int(SOL_IP, IP_TOS, 256), EINVAL);
	CHECK_ERR(transmit_int(SOL_IP, IP_TOS, -1), EINVAL);
	CHECK_ERR(transmit_int(SOL_IP, 200, 1), EINVAL);
	add(SOL_IP, IP_TTL, "abcdefgh", 8);
	CHECK_ERR(transmit(), EINVAL);
	add(SOL_IP, IP_TOS, "ab", 2);
	CHECK_ERR(transmit(), EINVAL);
	/* For somebody else. */
	CHECK_EQ(transmit_int(SOL_IPV6, IPV6_HOPLIMIT, 9), 1);
	CHECK_EQ(told(SOL_IP, IP_TTL), 64);
	CHECK_EQ(transmit_int(12345, 1, 1), 1);
	CHECK_EQ(told(SOL_IP, IP_TTL), 64);
}

TEST(hop_limit_and_class_of_one_datagram)
{
	pair(AF_INET6);
	CHECK_EQ(transmit_int(SOL_IPV6, IPV6_HOPLIMIT, 7), 1);
	CHECK_EQ(told(SOL_IPV6, IPV6_HOPLIMIT), 7);
	add_int(SOL_IPV6, IPV6_TCLASS, 0x20);
	add_int(SOL_IPV6, IPV6_HOPLIMIT, 0);
	CHECK_EQ(transmit(), 1);
	CHECK_EQ(told(SOL_IPV6, IPV6_TCLASS), 0x20);
	CHECK_EQ(transmit_int(SOL_IPV6, IPV6_HOPLIMIT, -1), 1);
	CHECK_EQ(told(SOL_IPV6, IPV6_HOPLIMIT), 64);
	int class = 0x80;
	CHECK_OK(setsockopt(fds[0], SOL_IPV6, IPV6_TCLASS, &class, sizeof class));
	CHECK_EQ(transmit_int(SOL_IPV6, IPV6_TCLASS, -1), 1);
	CHECK_EQ(told(SOL_IPV6, IPV6_TCLASS), 0x80);
	CHECK_ERR(transmit_int(SOL_IPV6, IPV6_HOPLIMIT, 256), EINVAL);
	CHECK_ERR(transmit_int(SOL_IPV6, IPV6_HOPLIMIT, -2), EINVAL);
	CHECK_ERR(transmit_int(SOL_IPV6, IPV6_TCLASS, 256), EINVAL);
	CHECK_ERR(transmit_int(SOL_IPV6, 200, 1), EINVAL);
	add(SOL_IPV6, IPV6_HOPLIMIT, "abcde", 5);
	CHECK_ERR(transmit(), EINVAL);
	CHECK_EQ(transmit_int(SOL_IP, IP_TTL, 9), 1);
	CHECK_EQ(told(SOL_IPV6, IPV6_HOPLIMIT), 64);
}

TEST(the_address_that_it_comes_from)
{
	struct in_pktinfo info = { 0 };
	pair(AF_INET);
	inet_pton(AF_INET, "127.0.0.5", &info.ipi_spec_dst);
	add(SOL_IP, IP_PKTINFO, &info, sizeof info);
	CHECK_EQ(transmit(), 1);
	told(SOL_IP, IP_TTL);
	CHECK_EQ(((struct sockaddr_in *)&from)->sin_addr.s_addr, htonl(0x7f000005));
	CHECK_EQ(transmit(), 1);
	told(SOL_IP, IP_TTL);
	CHECK_EQ(((struct sockaddr_in *)&from)->sin_addr.s_addr, htonl(0x7f000001));
	info.ipi_ifindex = if_nametoindex("lo");
	add(SOL_IP, IP_PKTINFO, &info, sizeof info);
	CHECK_EQ(transmit(), 1);
	told(SOL_IP, IP_TTL);
	CHECK_EQ(((struct sockaddr_in *)&from)->sin_addr.s_addr, htonl(0x7f000005));
	info.ipi_ifindex = 1000;
	add(SOL_IP, IP_PKTINFO, &info, sizeof info);
	CHECK_ERR(transmit(), ENODEV);
	info.ipi_ifindex = 0;
	inet_pton(AF_INET, "9.9.9.9", &info.ipi_spec_dst);
	add(SOL_IP, IP_PKTINFO, &info, sizeof info);
	CHECK_ERR(transmit(), ENETUNREACH);
	add(SOL_IP, IP_PKTINFO, &info, sizeof info - 1);
	CHECK_ERR(transmit(), EINVAL);
}

TEST(the_ipv6_address_that_it_comes_from)
{
	struct in6_pktinfo info = { 0 };
	pair(AF_INET6);
	CHECK_EQ(nl_addr_add("lo", "fd00::5", 128), 0);
	inet_pton(AF_INET6, "fd00::5", &info.ipi6_addr);
	add(SOL_IPV6, IPV6_PKTINFO, &info, sizeof info);
	CHECK_EQ(transmit(), 1);
	told(SOL_IPV6, IPV6_HOPLIMIT);
	CHECK_EQ(memcmp(&from.sin6_addr, &info.ipi6_addr, 16), 0);
	info.ipi6_ifindex = if_nametoindex("lo");
	add(SOL_IPV6, IPV6_PKTINFO, &info, sizeof info);
	CHECK_EQ(transmit(), 1);
	told(SOL_IPV6, IPV6_HOPLIMIT);
	info.ipi6_ifindex = 1000;
	add(SOL_IPV6, IPV6_PKTINFO, &info, sizeof info);
	CHECK_ERR(transmit(), ENODEV);
	info.ipi6_ifindex = 0;
	inet_pton(AF_INET6, "fd00::6", &info.ipi6_addr);
	add(SOL_IPV6, IPV6_PKTINFO, &info, sizeof info);
	CHECK_ERR(transmit(), EINVAL);
	inet_pton(AF_INET6, "fe80::6", &info.ipi6_addr);
	add(SOL_IPV6, IPV6_PKTINFO, &info, sizeof info);
	CHECK_ERR(transmit(), EINVAL);
	add(SOL_IPV6, IPV6_PKTINFO, &info, sizeof info - 1);
	CHECK_ERR(transmit(), EINVAL);
	CHECK_OK(setsockopt(fds[0], SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
	inet_pton(AF_INET6, "::", &info.ipi6_addr);
	info.ipi6_ifindex = 1000;
	add(SOL_IPV6, IPV6_PKTINFO, &info, sizeof info);
	CHECK_ERR(transmit(), EINVAL);
}

TEST(to_ipv4_through_ipv6)
{
	struct in6_pktinfo info = { 0 };
	pair(AF_INET);
	CHECK_OK(close(fds[0]));
	fds[0] = CHECK_OK(socket(AF_INET6, SOCK_DGRAM, 0));
	to = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(5000) };
	to_len = sizeof to;
	inet_pton(AF_INET6, "::ffff:127.0.0.1", &to.sin6_addr);
	CHECK_EQ(transmit_int(SOL_IP, IP_TTL, 7), 1);
	CHECK_EQ(told(SOL_IP, IP_TTL), 7);
	CHECK_EQ(transmit_int(SOL_IPV6, IPV6_HOPLIMIT, 7), 1);
	CHECK_EQ(told(SOL_IP, IP_TTL), 64);
	inet_pton(AF_INET6, "::ffff:127.0.0.5", &info.ipi6_addr);
	add(SOL_IPV6, IPV6_PKTINFO, &info, sizeof info);
	CHECK_EQ(transmit(), 1);
	told(SOL_IP, IP_TTL);
	CHECK_EQ(((struct sockaddr_in *)&from)->sin_addr.s_addr, htonl(0x7f000005));
	inet_pton(AF_INET6, "::1", &info.ipi6_addr);
	add(SOL_IPV6, IPV6_PKTINFO, &info, sizeof info);
	CHECK_ERR(transmit(), EINVAL);
}
