/*
 * Groups (ip(7), ipv6(7), RFC 3678): who is in one, what reaches whom, and what
 * a device tells its network about it (RFC 3376, RFC 3810).
 */
#include "inet.h"
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/igmp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#ifndef IP_MULTICAST_ALL
#define IP_MULTICAST_ALL 49
#endif
#ifndef IPV6_MULTICAST_ALL
#define IPV6_MULTICAST_ALL 29
#endif
#ifndef IP_MSFILTER
#define IP_MSFILTER 41
#endif
#define SRC "10.0.0.2"
#define SRC6 "fd00::2"
#define GROUP "239.1.2.3"
#define GROUP6 "ff15::1234"
#define PORT 5000

static int there;

/* Device a here and b there, 10.0.0.1 and .2, fd00::1 and ::2. */
static void wire(void)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	int here = net_ns_of(getpid());
	CHECK_OK(unshare(CLONE_NEWNET));
	there = net_ns_of(getpid());
	CHECK_EQ(nl_link_up("lo", 1), 0);
	net_ns_enter(here);
	CHECK_EQ(nl_link_up("lo", 1), 0);
	CHECK_EQ(nl_veth_add("a", "b", there), 0);
	CHECK_EQ(nl_addr_add("a", "10.0.0.1", 24), 0);
	CHECK_EQ(nl_addr_add("a", "fd00::1", 64), 0);
	CHECK_EQ(nl_link_up("a", 1), 0);
	net_ns_enter(there);
	CHECK_EQ(nl_addr_add("b", SRC, 24), 0);
	CHECK_EQ(nl_addr_add("b", SRC6, 64), 0);
	CHECK_EQ(nl_link_up("b", 1), 0);
	/* Linux begins to send a moment later. */
	int out = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	net_ns_enter(here);
	struct sockaddr_in probe = in4("10.0.0.1", 9);
	int in = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	CHECK_OK(bind(in, (void *)&probe, sizeof probe));
	struct pollfd p = { in, POLLIN, 0 };
	do
		CHECK_EQ(sendto(out, "x", 1, 0, (void *)&probe, sizeof probe), 1);
	while (poll(&p, 1, 20) == 0);
	close(in);
	close(out);
}

static struct sockaddr_in6 in6(const char *addr, int port)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	CHECK_EQ(inet_pton(AF_INET6, addr, &a.sin6_addr), 1);
	return a;
}

static int udp4(void)
{
	struct sockaddr_in a = in4("0.0.0.0", PORT);
	int one = 1, fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
	CHECK_OK(bind(fd, (void *)&a, sizeof a));
	return fd;
}

static int udp6(void)
{
	struct sockaddr_in6 a = in6("::", PORT);
	int one = 1, fd = CHECK_OK(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
	CHECK_OK(bind(fd, (void *)&a, sizeof a));
	return fd;
}

/* A datagram from the other end of the cable. */
static void shout(const char *group)
{
	pid_t pid = SPAWN({
		net_ns_enter(there);
		if (strchr(group, ':')) {
			struct sockaddr_in6 to = in6(group, PORT);
			int index = if_nametoindex("b"), fd = CHECK_OK(socket(AF_INET6, SOCK_DGRAM, 0));
			struct sockaddr_in6 from = in6(SRC6, 0);
			CHECK_OK(bind(fd, (void *)&from, sizeof from));
			CHECK_OK(setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &index, sizeof index));
			/* The cable may have been plugged in just now. */
			WAIT_FOR(sendto(fd, "hey", 3, 0, (void *)&to, sizeof to) == 3);
		} else {
			struct sockaddr_in to = in4(group, PORT), from = in4(SRC, 0);
			int fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
			CHECK_OK(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &from.sin_addr, 4));
			CHECK_EQ(sendto(fd, "hey", 3, 0, (void *)&to, sizeof to), 3);
		}
	});
	JOIN(pid);
}

/* Whether a datagram has come, which is taken. */
static int heard(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char buf[64];
	if (CHECK_OK(poll(&p, 1, 100)) == 0)
		return 0;
	CHECK_EQ(recv(fd, buf, sizeof buf, 0), 3);
	return 1;
}

static int join4(int fd, int option, const char *group, const char *dev)
{
	struct ip_mreqn m = { .imr_ifindex = dev ? (int)if_nametoindex(dev) : 0 };
	inet_pton(AF_INET, group, &m.imr_multiaddr);
	return setsockopt(fd, IPPROTO_IP, option, &m, sizeof m);
}

static int join6(int fd, int option, const char *group, const char *dev)
{
	struct ipv6_mreq m = { .ipv6mr_interface = dev ? if_nametoindex(dev) : 0 };
	inet_pton(AF_INET6, group, &m.ipv6mr_multiaddr);
	return setsockopt(fd, IPPROTO_IPV6, option, &m, sizeof m);
}

static int source4(int fd, int option, const char *group, const char *source)
{
	struct ip_mreq_source m = { 0 };
	inet_pton(AF_INET, group, &m.imr_multiaddr);
	inet_pton(AF_INET, "10.0.0.1", &m.imr_interface);
	inet_pton(AF_INET, source, &m.imr_sourceaddr);
	return setsockopt(fd, IPPROTO_IP, option, &m, sizeof m);
}

static int source6(int fd, int option, const char *group, const char *source)
{
	struct group_source_req m = { .gsr_interface = if_nametoindex("a") };
	struct sockaddr_in6 g = in6(group, 0), s = in6(source, 0);
	memcpy(&m.gsr_group, &g, sizeof g);
	memcpy(&m.gsr_source, &s, sizeof s);
	return setsockopt(fd, IPPROTO_IPV6, option, &m, sizeof m);
}

/* Whether a line of a file has both words. */
static int listed(const char *path, const char *one, const char *two)
{
	char line[256];
	int found = 0;
	FILE *f = fopen(path, "r");
	CHECK(f != NULL);
	while (fgets(line, sizeof line, f))
		if (strstr(line, one) && strstr(line, two))
			found = 1;
	fclose(f);
	return found;
}

TEST(only_members_receive)
{
	wire();
	int fd = udp4();
	shout(GROUP);
	CHECK(!heard(fd));
	CHECK_OK(join4(fd, IP_ADD_MEMBERSHIP, GROUP, "a"));
	shout(GROUP);
	CHECK(heard(fd));
	shout("239.1.2.4");
	CHECK(!heard(fd));
	CHECK_OK(join4(fd, IP_DROP_MEMBERSHIP, GROUP, "a"));
	shout(GROUP);
	CHECK(!heard(fd));
}

TEST(another_socket_hears_what_the_host_is_a_member_of)
{
	int off = 0;
	wire();
	int member = udp4(), other = udp4();
	CHECK_OK(join4(member, IP_ADD_MEMBERSHIP, GROUP, "a"));
	shout(GROUP);
	CHECK(heard(member));
	CHECK(heard(other));
	CHECK_OK(setsockopt(other, IPPROTO_IP, IP_MULTICAST_ALL, &off, sizeof off));
	shout(GROUP);
	CHECK(heard(member));
	CHECK(!heard(other));
	close(member);
	CHECK(!listed("/proc/net/igmp", "030201EF", ""));
}

TEST(joining_has_its_errors)
{
	wire();
	int fd = udp4();
	CHECK_OK(join4(fd, IP_ADD_MEMBERSHIP, GROUP, "a"));
	CHECK_ERR(join4(fd, IP_ADD_MEMBERSHIP, GROUP, "a"), EADDRINUSE);
	CHECK_OK(join4(fd, IP_ADD_MEMBERSHIP, GROUP, "lo"));
	CHECK_ERR(join4(fd, IP_ADD_MEMBERSHIP, "10.0.0.9", "a"), EINVAL);
	CHECK_ERR(join4(fd, IP_ADD_MEMBERSHIP, "239.9.9.9", NULL), ENODEV);
	CHECK_ERR(join4(fd, IP_DROP_MEMBERSHIP, "239.9.9.9", "a"), EADDRNOTAVAIL);
	CHECK_ERR(join4(fd, IP_DROP_MEMBERSHIP, "239.9.9.9", NULL), ENODEV);
	CHECK_ERR(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, "xxxx", 4), EINVAL);
	int tcp = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	CHECK_ERR(join4(tcp, IP_ADD_MEMBERSHIP, GROUP, "a"), EPROTO);
	int six = udp6(), tcp6 = CHECK_OK(socket(AF_INET6, SOCK_STREAM, 0));
	CHECK_OK(join6(six, IPV6_JOIN_GROUP, GROUP6, "a"));
	CHECK_ERR(join6(six, IPV6_JOIN_GROUP, GROUP6, "a"), EADDRINUSE);
	CHECK_ERR(join6(six, IPV6_JOIN_GROUP, "fd00::9", "a"), EINVAL);
	CHECK_ERR(join6(six, IPV6_LEAVE_GROUP, "ff15::9", "a"), EADDRNOTAVAIL);
	CHECK_ERR(join6(tcp6, IPV6_JOIN_GROUP, GROUP6, "a"), EPROTO);
	struct ipv6_mreq far = { .ipv6mr_interface = 999 };
	inet_pton(AF_INET6, GROUP6, &far.ipv6mr_multiaddr);
	CHECK_ERR(setsockopt(six, IPPROTO_IPV6, IPV6_JOIN_GROUP, &far, sizeof far), ENODEV);
}

TEST(a_device_may_be_named_by_its_address)
{
	struct ip_mreq m = { 0 };
	wire();
	int fd = udp4();
	inet_pton(AF_INET, GROUP, &m.imr_multiaddr);
	inet_pton(AF_INET, "10.0.0.1", &m.imr_interface);
	CHECK_OK(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof m));
	shout(GROUP);
	CHECK(heard(fd));
	CHECK_OK(join4(fd, IP_DROP_MEMBERSHIP, GROUP, "a"));
	inet_pton(AF_INET, "10.9.9.9", &m.imr_interface);
	CHECK_ERR(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof m), ENODEV);
	CHECK_EQ(nl_route(RTM_NEWROUTE, "224.0.0.0", 4, NULL, "a"), 0);
	CHECK_OK(join4(fd, IP_ADD_MEMBERSHIP, GROUP, NULL));
	shout(GROUP);
	CHECK(heard(fd));
}

TEST(sources_are_wanted_or_not)
{
	wire();
	int fd = udp4();
	CHECK_ERR(source4(fd, IP_BLOCK_SOURCE, GROUP, SRC), EINVAL);
	CHECK_OK(source4(fd, IP_ADD_SOURCE_MEMBERSHIP, GROUP, "10.0.0.77"));
	shout(GROUP);
	CHECK(!heard(fd));
	CHECK_ERR(source4(fd, IP_ADD_SOURCE_MEMBERSHIP, GROUP, "10.0.0.77"), EADDRNOTAVAIL);
	CHECK_ERR(source4(fd, IP_BLOCK_SOURCE, GROUP, SRC), EINVAL);
	CHECK_OK(source4(fd, IP_ADD_SOURCE_MEMBERSHIP, GROUP, SRC));
	shout(GROUP);
	CHECK(heard(fd));
	CHECK_ERR(source4(fd, IP_DROP_SOURCE_MEMBERSHIP, GROUP, "10.0.0.78"), EADDRNOTAVAIL);
	CHECK_OK(source4(fd, IP_DROP_SOURCE_MEMBERSHIP, GROUP, SRC));
	shout(GROUP);
	CHECK(!heard(fd));
	/* With its last source the membership goes. */
	CHECK_OK(source4(fd, IP_DROP_SOURCE_MEMBERSHIP, GROUP, "10.0.0.77"));
	CHECK(!listed("/proc/net/igmp", "030201EF", ""));

	CHECK_OK(join4(fd, IP_ADD_MEMBERSHIP, GROUP, "a"));
	CHECK_OK(source4(fd, IP_BLOCK_SOURCE, GROUP, SRC));
	CHECK_ERR(source4(fd, IP_BLOCK_SOURCE, GROUP, SRC), EADDRNOTAVAIL);
	shout(GROUP);
	CHECK(!heard(fd));
	CHECK_OK(source4(fd, IP_UNBLOCK_SOURCE, GROUP, SRC));
	CHECK_ERR(source4(fd, IP_UNBLOCK_SOURCE, GROUP, SRC), EADDRNOTAVAIL);
	shout(GROUP);
	CHECK(heard(fd));
}

TEST(the_host_wants_what_any_of_its_sockets_wants)
{
	wire();
	int one = udp4(), two = udp4();
	CHECK_OK(source4(one, IP_ADD_SOURCE_MEMBERSHIP, GROUP, "10.0.0.77"));
	CHECK_OK(source4(two, IP_ADD_SOURCE_MEMBERSHIP, GROUP, SRC));
	shout(GROUP);
	CHECK(!heard(one));
	CHECK(heard(two));
	close(two);
	int three = udp4();
	/* The host itself filters: a socket that is no member hears nothing either. */
	shout(GROUP);
	CHECK(!heard(three));
}

TEST(a_filter_is_read_and_written_as_a_whole)
{
	char space[GROUP_FILTER_SIZE(4)];
	struct ip_msfilter *f = (void *)space;
	socklen_t len;
	wire();
	int fd = udp4();
	memset(space, 0, sizeof space);
	inet_pton(AF_INET, GROUP, &f->imsf_multiaddr);
	inet_pton(AF_INET, "10.0.0.1", &f->imsf_interface);
	f->imsf_fmode = MCAST_INCLUDE;
	f->imsf_numsrc = 1;
	inet_pton(AF_INET, SRC, &f->imsf_slist[0]);
	CHECK_ERR(setsockopt(fd, IPPROTO_IP, IP_MSFILTER, f, IP_MSFILTER_SIZE(1)), EINVAL);
	CHECK_OK(join4(fd, IP_ADD_MEMBERSHIP, GROUP, "a"));
	CHECK_OK(setsockopt(fd, IPPROTO_IP, IP_MSFILTER, f, IP_MSFILTER_SIZE(1)));
	shout(GROUP);
	CHECK(heard(fd));
	f->imsf_fmode = MCAST_EXCLUDE;
	CHECK_OK(setsockopt(fd, IPPROTO_IP, IP_MSFILTER, f, IP_MSFILTER_SIZE(1)));
	shout(GROUP);
	CHECK(!heard(fd));
	memset(f->imsf_slist, 0, 4);
	f->imsf_fmode = 7;
	len = IP_MSFILTER_SIZE(1);
	CHECK_OK(getsockopt(fd, IPPROTO_IP, IP_MSFILTER, f, &len));
	CHECK_EQ(f->imsf_fmode, MCAST_EXCLUDE);
	CHECK_EQ(f->imsf_numsrc, 1);
	CHECK_EQ(f->imsf_slist[0].s_addr, in4(SRC, 0).sin_addr.s_addr);
	f->imsf_numsrc = 9;
	CHECK_ERR(setsockopt(fd, IPPROTO_IP, IP_MSFILTER, f, IP_MSFILTER_SIZE(1)), EINVAL);

	int six = udp6();
	struct group_filter *g = (void *)space;
	struct sockaddr_in6 group = in6(GROUP6, 0), source = in6(SRC6, 0);
	memset(space, 0, sizeof space);
	CHECK_OK(join6(six, IPV6_JOIN_GROUP, GROUP6, "a"));
	g->gf_interface = if_nametoindex("a");
	memcpy(&g->gf_group, &group, sizeof group);
	g->gf_fmode = MCAST_INCLUDE;
	g->gf_numsrc = 1;
	memcpy(&g->gf_slist[0], &source, sizeof source);
	CHECK_OK(setsockopt(six, IPPROTO_IPV6, MCAST_MSFILTER, g, GROUP_FILTER_SIZE(1)));
	shout(GROUP6);
	CHECK(heard(six));
	g->gf_numsrc = 4;
	g->gf_fmode = 9;
	len = GROUP_FILTER_SIZE(4);
	CHECK_OK(getsockopt(six, IPPROTO_IPV6, MCAST_MSFILTER, g, &len));
	CHECK_EQ(g->gf_fmode, MCAST_INCLUDE);
	CHECK_EQ(g->gf_numsrc, 1);
	CHECK(!memcmp(&((struct sockaddr_in6 *)&g->gf_slist[0])->sin6_addr, &source.sin6_addr, 16));
}

TEST(groups_of_ipv6_are_joined_and_left)
{
	wire();
	int fd = udp6();
	shout(GROUP6);
	CHECK(!heard(fd));
	CHECK_OK(join6(fd, IPV6_JOIN_GROUP, GROUP6, "a"));
	CHECK(listed("/proc/net/igmp6", "ff150000000000000000000000001234", "a "));
	shout(GROUP6);
	CHECK(heard(fd));
	CHECK_OK(join6(fd, IPV6_LEAVE_GROUP, GROUP6, "a"));
	CHECK(!listed("/proc/net/igmp6", "ff150000000000000000000000001234", "a "));
	shout(GROUP6);
	CHECK(!heard(fd));
	CHECK_OK(source6(fd, MCAST_JOIN_SOURCE_GROUP, GROUP6, "fd00::77"));
	shout(GROUP6);
	CHECK(!heard(fd));
	CHECK_OK(source6(fd, MCAST_JOIN_SOURCE_GROUP, GROUP6, SRC6));
	shout(GROUP6);
	CHECK(heard(fd));
	CHECK_ERR(source6(fd, MCAST_BLOCK_SOURCE, GROUP6, SRC6), EINVAL);
}

TEST(one_interface_for_both_families)
{
	struct group_req r = { 0 };
	wire();
	int fd = udp4(), six = udp6();
	struct sockaddr_in g4 = in4(GROUP, 0);
	struct sockaddr_in6 g6 = in6(GROUP6, 0);
	r.gr_interface = if_nametoindex("a");
	memcpy(&r.gr_group, &g4, sizeof g4);
	CHECK_OK(setsockopt(fd, IPPROTO_IP, MCAST_JOIN_GROUP, &r, sizeof r));
	shout(GROUP);
	CHECK(heard(fd));
	CHECK_ERR(setsockopt(six, IPPROTO_IPV6, MCAST_JOIN_GROUP, &r, sizeof r), EADDRNOTAVAIL);
	memcpy(&r.gr_group, &g6, sizeof g6);
	CHECK_ERR(setsockopt(fd, IPPROTO_IP, MCAST_JOIN_GROUP, &r, sizeof r), EINVAL);
	CHECK_OK(setsockopt(six, IPPROTO_IPV6, MCAST_JOIN_GROUP, &r, sizeof r));
	shout(GROUP6);
	CHECK(heard(six));
	CHECK_OK(setsockopt(six, IPPROTO_IPV6, MCAST_LEAVE_GROUP, &r, sizeof r));
	shout(GROUP6);
	CHECK(!heard(six));
}

TEST(what_is_sent_comes_back_to_members)
{
	struct sockaddr_in to = in4(GROUP, PORT), own = in4("10.0.0.1", 0);
	struct sockaddr_in6 to6 = in6(GROUP6, PORT);
	int off = 0, on = 1;
	wire();
	int fd = udp4(), index = if_nametoindex("a");
	CHECK_OK(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &own.sin_addr, 4));
	CHECK_EQ(sendto(fd, "hey", 3, 0, (void *)&to, sizeof to), 3);
	CHECK(!heard(fd));
	CHECK_OK(join4(fd, IP_ADD_MEMBERSHIP, GROUP, "a"));
	CHECK_EQ(sendto(fd, "hey", 3, 0, (void *)&to, sizeof to), 3);
	CHECK(heard(fd));
	CHECK_OK(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_LOOP, &off, sizeof off));
	CHECK_EQ(sendto(fd, "hey", 3, 0, (void *)&to, sizeof to), 3);
	CHECK(!heard(fd));
	CHECK_OK(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_LOOP, &on, sizeof on));
	/* A time to live of zero keeps it on this host. */
	CHECK_OK(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_TTL, &off, sizeof off));
	CHECK_EQ(sendto(fd, "hey", 3, 0, (void *)&to, sizeof to), 3);
	CHECK(heard(fd));

	int six = udp6();
	CHECK_OK(setsockopt(six, IPPROTO_IPV6, IPV6_MULTICAST_IF, &index, sizeof index));
	CHECK_OK(join6(six, IPV6_JOIN_GROUP, GROUP6, "a"));
	CHECK_EQ(sendto(six, "hey", 3, 0, (void *)&to6, sizeof to6), 3);
	CHECK(heard(six));
	CHECK_OK(setsockopt(six, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, &off, sizeof off));
	CHECK_EQ(sendto(six, "hey", 3, 0, (void *)&to6, sizeof to6), 3);
	CHECK(!heard(six));
}

TEST(options_are_read_back)
{
	int n, two = 2;
	unsigned char c;
	socklen_t len = sizeof n;
	struct in_addr a;
	wire();
	int fd = udp4(), six = udp6(), index = if_nametoindex("a");
	CHECK_OK(getsockopt(fd, IPPROTO_IP, IP_MULTICAST_LOOP, &n, &len));
	CHECK_EQ(n, 1);
	CHECK_OK(getsockopt(fd, IPPROTO_IP, IP_MULTICAST_ALL, &n, &len));
	CHECK_EQ(n, 1);
	CHECK_ERR(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_ALL, &two, sizeof two), EINVAL);
	len = 1;
	CHECK_OK(getsockopt(fd, IPPROTO_IP, IP_MULTICAST_TTL, &c, &len));
	CHECK_EQ(c, 1);
	CHECK_EQ(len, 1);
	len = sizeof a;
	CHECK_OK(getsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &a, &len));
	CHECK_EQ(a.s_addr, 0);
	struct sockaddr_in own = in4("10.0.0.1", 0), none = in4("10.7.7.7", 0);
	CHECK_OK(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &own.sin_addr, 4));
	CHECK_OK(getsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &a, &len));
	CHECK_EQ(a.s_addr, own.sin_addr.s_addr);
	CHECK_ERR(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &none.sin_addr, 4), EADDRNOTAVAIL);
	struct ip_mreqn m = { .imr_ifindex = index };
	CHECK_OK(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &m, sizeof m));
	CHECK_OK(getsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &a, &len));
	CHECK_EQ(a.s_addr, 0);
	m.imr_ifindex = 999;
	CHECK_ERR(setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &m, sizeof m), EADDRNOTAVAIL);

	len = sizeof n;
	CHECK_OK(getsockopt(six, IPPROTO_IPV6, IPV6_MULTICAST_IF, &n, &len));
	CHECK_EQ(n, 0);
	CHECK_OK(setsockopt(six, IPPROTO_IPV6, IPV6_MULTICAST_IF, &index, sizeof index));
	CHECK_OK(getsockopt(six, IPPROTO_IPV6, IPV6_MULTICAST_IF, &n, &len));
	CHECK_EQ(n, index);
	index = 999;
	CHECK_ERR(setsockopt(six, IPPROTO_IPV6, IPV6_MULTICAST_IF, &index, sizeof index), ENODEV);
	CHECK_OK(getsockopt(six, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, &n, &len));
	CHECK_EQ(n, 1);
	CHECK_ERR(setsockopt(six, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, &two, sizeof two), EINVAL);
	CHECK_OK(getsockopt(six, IPPROTO_IPV6, IPV6_MULTICAST_ALL, &n, &len));
	CHECK_EQ(n, 1);
}

TEST(groups_are_listed)
{
	wire();
	CHECK(listed("/proc/net/igmp", "010000E0", "1 0:00000000"));
	CHECK(listed("/proc/net/igmp", "lo", "V3"));
	CHECK(listed("/proc/net/igmp6", "ff020000000000000000000000000001", " lo "));
	CHECK(listed("/proc/net/igmp6", "ff010000000000000000000000000001", " a "));
	CHECK(listed("/proc/net/igmp6", "ff0200000000000000000001ff000001", " a "));
	CHECK(listed("/proc/net/dev_mcast", " a ", "333300000001"));
	CHECK(listed("/proc/net/dev_mcast", " a ", "01005e000001"));
	CHECK(listed("/proc/net/dev_mcast", " a ", "3333ff000001"));
	CHECK(!listed("/proc/net/dev_mcast", " lo ", ""));
	int fd = udp4(), two = udp4();
	CHECK_OK(join4(fd, IP_ADD_MEMBERSHIP, GROUP, "a"));
	CHECK_OK(join4(two, IP_ADD_MEMBERSHIP, GROUP, "a"));
	CHECK(listed("/proc/net/igmp", "030201EF     2 ", ""));
	CHECK(listed("/proc/net/dev_mcast", " a ", "01005e010203"));
	CHECK(!listed("/proc/net/mcfilter", "a ", ""));
	CHECK_OK(source4(fd, IP_BLOCK_SOURCE, GROUP, SRC));
	CHECK(listed("/proc/net/mcfilter", "0xef010203", "0x0a000002      0      1"));
	close(two);
	close(fd);
	CHECK(!listed("/proc/net/dev_mcast", " a ", "01005e010203"));
	/* Down it is in no group of IPv4, and IPv6's own stay. */
	CHECK_EQ(nl_link_up("a", 0), 0);
	CHECK(!listed("/proc/net/igmp", "a ", ""));
	CHECK(listed("/proc/net/igmp6", "ff020000000000000000000000000001", " a "));
	CHECK(!listed("/proc/net/dev_mcast", " a ", ""));
}

static int tap(const char *dev, int protocol)
{
	struct sockaddr_ll a = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(protocol),
		.sll_ifindex = dev ? if_nametoindex(dev) : 0,
	};
	int fd = CHECK_OK(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
	CHECK_OK(bind(fd, (void *)&a, sizeof a));
	return fd;
}

/* Waits for a frame that came in with `want` bytes at an offset; all of it is in `frame`. */
static unsigned char frame[2048];
static ssize_t frame_len;
static void wait_frame(int fd, int at, const void *want, int n)
{
	for (int tries = 0; tries < 200; tries++) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		CHECK_EQ(poll(&p, 1, 10000), 1);
		struct sockaddr_ll from;
		socklen_t len = sizeof from;
		frame_len = CHECK_OK(recvfrom(fd, frame, sizeof frame, 0, (void *)&from, &len));
		if (from.sll_pkttype != PACKET_OUTGOING && frame_len >= at + n && !memcmp(frame + at, want, n))
			return;
	}
	CHECK(!"no such frame");
}

TEST(a_host_reports_what_it_joins_and_leaves)
{
	wire();
	int here = net_ns_of(getpid());
	net_ns_enter(there);
	int fd = tap("b", ETH_P_IP);
	net_ns_enter(here);
	int udp = udp4();
	CHECK_OK(join4(udp, IP_ADD_MEMBERSHIP, GROUP, "a"));
	/* To 224.0.0.22 with a router alert: changes to exclude nothing. */
	unsigned char record[] = { 4, 0, 0, 0, 239, 1, 2, 3 };
	for (int i = 0; i < 2; i++) {
		wait_frame(fd, 14 + 24 + 8, record, 8);
		CHECK_EQ(frame_len, 54);
		CHECK(!memcmp(frame, "\x01\x00\x5e\x00\x00\x16", 6));
		CHECK(!memcmp(frame + 14, "\x46\xc0\x00\x28", 4));
		CHECK(!memcmp(frame + 20, "\x40\x00\x01\x02", 4));
		CHECK(!memcmp(frame + 26, "\x0a\x00\x00\x01\xe0\x00\x00\x16\x94\x04\x00\x00\x22\x00", 14));
		CHECK(!memcmp(frame + 42, "\x00\x00\x00\x01", 4));
	}
	CHECK_OK(source4(udp, IP_BLOCK_SOURCE, GROUP, "10.0.0.5"));
	unsigned char block[] = { 6, 0, 0, 1, 239, 1, 2, 3, 10, 0, 0, 5 };
	wait_frame(fd, 14 + 24 + 8, block, 12);
	CHECK_OK(source4(udp, IP_UNBLOCK_SOURCE, GROUP, "10.0.0.5"));
	unsigned char allow[] = { 5, 0, 0, 1, 239, 1, 2, 3, 10, 0, 0, 5 };
	wait_frame(fd, 14 + 24 + 8, allow, 12);
	CHECK_OK(join4(udp, IP_DROP_MEMBERSHIP, GROUP, "a"));
	record[0] = 3;
	wait_frame(fd, 14 + 24 + 8, record, 8);
}

TEST(a_host_answers_queries)
{
	wire();
	int here = net_ns_of(getpid());
	net_ns_enter(there);
	int fd = tap("b", ETH_P_IP);
	int raw = CHECK_OK(socket(AF_INET, SOCK_RAW, IPPROTO_IGMP));
	struct in_addr own = in4(SRC, 0).sin_addr;
	CHECK_OK(setsockopt(raw, IPPROTO_IP, IP_MULTICAST_IF, &own, 4));
	net_ns_enter(here);
	int udp = udp4();
	CHECK_OK(join4(udp, IP_ADD_MEMBERSHIP, GROUP, "a"));
	/* A general one, to be answered within half a second; of version 3. */
	unsigned char query[12] = { 0x11, 5, 0, 0, 0, 0, 0, 0, 2, 125, 0, 0 };
	unsigned sum = 0;
	for (int i = 0; i < 12; i += 2)
		sum += query[i] << 8 | query[i + 1];
	sum = ~(sum + (sum >> 16)) & 0xffff;
	query[2] = sum >> 8;
	query[3] = sum;
	struct sockaddr_in to = in4("224.0.0.1", 0);
	CHECK_EQ(sendto(raw, query, 12, 0, (void *)&to, sizeof to), 12);
	unsigned char is_exclude[] = { 2, 0, 0, 0, 239, 1, 2, 3 };
	wait_frame(fd, 14 + 24 + 8, is_exclude, 8);
	/* One of version 2: the answer goes to the group itself. */
	unsigned char old[8] = { 0x11, 5, 0xee, 0xfa };
	CHECK_EQ(sendto(raw, old, 8, 0, (void *)&to, sizeof to), 8);
	unsigned char report[] = { 0x16, 0 };
	wait_frame(fd, 14 + 24, report, 2);
	CHECK(!memcmp(frame + 30, "\xef\x01\x02\x03", 4));
	CHECK(listed("/proc/net/igmp", "a  ", "V2"));
	CHECK_OK(join4(udp, IP_DROP_MEMBERSHIP, GROUP, "a"));
	unsigned char leave[] = { 0x17, 0 };
	wait_frame(fd, 14 + 24, leave, 2);
	CHECK(!memcmp(frame + 30, "\xe0\x00\x00\x02", 4));
}

TEST(a_new_link_is_greeted)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	int here = net_ns_of(getpid());
	CHECK_OK(unshare(CLONE_NEWNET));
	there = net_ns_of(getpid());
	net_ns_enter(here);
	CHECK_EQ(nl_veth_add("a", "b", there), 0);
	net_ns_enter(there);
	CHECK_EQ(nl_link_up("b", 1), 0);
	int fd = tap("b", ETH_P_IPV6);
	net_ns_enter(here);
	CHECK_EQ(nl_link_up("a", 1), 0);
	/* MLDv2 to ff02::16, a hop-by-hop router alert in front: the group of the address that is being checked. */
	unsigned char mld[] = { 58, 0, 5, 2, 0, 0, 1, 0, 143, 0 };
	wait_frame(fd, 14 + 40, mld, sizeof mld);
	CHECK_EQ(frame_len, 90);
	CHECK(!memcmp(frame, "\x33\x33\x00\x00\x00\x16", 6));
	CHECK_EQ(frame[14 + 7], 1);
	CHECK(!memcmp(frame + 22, in6("::", 0).sin6_addr.s6_addr, 16));
	CHECK(!memcmp(frame + 38, in6("ff02::16", 0).sin6_addr.s6_addr, 16));
	CHECK(!memcmp(frame + 62 + 8, "\x04\x00\x00\x00\xff\x02\x00\x00", 8));
	/* The check for a duplicate has a nonce, so that its own echo is known. */
	unsigned char ns[] = { 135, 0 };
	wait_frame(fd, 14 + 40, ns, 2);
	CHECK_EQ(frame_len, 86);
	CHECK(!memcmp(frame + 14 + 40 + 24, "\x0e\x01", 2));
	/* Then it is in use: the group once more, now with its own address, and where are the routers? */
	wait_frame(fd, 14 + 40, "\x85\x00", 2);
	CHECK_EQ(frame_len, 70);
	CHECK(!memcmp(frame + 38, in6("ff02::2", 0).sin6_addr.s6_addr, 16));
	CHECK_EQ(frame[22], 0xfe);
	wait_frame(fd, 14 + 40, mld, sizeof mld);
	CHECK_EQ(frame[22], 0xfe);
}
