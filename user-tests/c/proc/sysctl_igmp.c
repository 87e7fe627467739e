/* net.ipv4.igmp_max_memberships and igmp_max_msf, net.ipv6.mld_max_msf (Documentation/networking/ip-sysctl.rst). */
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <net/if.h>
#include <sys/socket.h>

#include "ns.h"

#define IPV4 "/proc/sys/net/ipv4/"
#define MSF6 "/proc/sys/net/ipv6/mld_max_msf"

static void lo_up(void)
{
	int fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	CHECK_OK(ioctl(fd, SIOCSIFFLAGS, &request));
	CHECK_OK(close(fd));
}

static int join(int fd, int group)
{
	struct ip_mreqn request = { .imr_multiaddr.s_addr = htonl(0xef010000 + group), .imr_ifindex = 1 };
	return setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request);
}

static int from(int fd, int source)
{
	struct ip_mreq_source request = { .imr_multiaddr.s_addr = htonl(0xef020001),
					  .imr_interface.s_addr = htonl(INADDR_LOOPBACK),
					  .imr_sourceaddr.s_addr = htonl(0x0a000000 + source) };
	return setsockopt(fd, IPPROTO_IP, IP_ADD_SOURCE_MEMBERSHIP, &request, sizeof request);
}

static int from6(int fd, int source)
{
	struct group_source_req request = { .gsr_interface = 1 };
	struct sockaddr_in6 group = { .sin6_family = AF_INET6 };
	group.sin6_addr.s6_addr[0] = 0xff;
	group.sin6_addr.s6_addr[1] = 2;
	group.sin6_addr.s6_addr[15] = 0x77;
	memcpy(&request.gsr_group, &group, sizeof group);
	group.sin6_addr.s6_addr[0] = 0xfd;
	group.sin6_addr.s6_addr[15] = source;
	memcpy(&request.gsr_source, &group, sizeof group);
	return setsockopt(fd, IPPROTO_IPV6, MCAST_JOIN_SOURCE_GROUP, &request, sizeof request);
}

TEST(memberships)
{
	CHECK_EQ(kt_field(IPV4 "igmp_max_memberships", ""), 20);
	CHECK_OK(unshare(CLONE_NEWNET));
	lo_up();
	CHECK_EQ(kt_field(IPV4 "igmp_max_memberships", ""), 20);
	int fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	for (int group = 1; group <= 20; group++)
		CHECK_OK(join(fd, group));
	CHECK_ERR(join(fd, 21), ENOBUFS);
	CHECK_OK(kt_write_file(IPV4 "igmp_max_memberships", "22"));
	CHECK_OK(join(fd, 21));
	CHECK_OK(join(fd, 22));
	CHECK_ERR(join(fd, 23), ENOBUFS);
	CHECK_OK(kt_write_file(IPV4 "igmp_max_memberships", "1"));
	CHECK_ERR(join(fd, 23), ENOBUFS);
	fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	CHECK_OK(join(fd, 1));
	CHECK_ERR(join(fd, 2), ENOBUFS);
	CHECK_ERR(kt_write_file(IPV4 "igmp_max_memberships", "x"), EINVAL);
	/* Others have their own. */
	CHECK_OK(unshare(CLONE_NEWNET));
	CHECK_EQ(kt_field(IPV4 "igmp_max_memberships", ""), 20);
}

TEST(sources)
{
	CHECK_EQ(kt_field(IPV4 "igmp_max_msf", ""), 10);
	CHECK_OK(unshare(CLONE_NEWNET));
	lo_up();
	int fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	for (int source = 1; source <= 10; source++)
		CHECK_OK(from(fd, source));
	CHECK_ERR(from(fd, 11), ENOBUFS);
	CHECK_OK(kt_write_file(IPV4 "igmp_max_msf", "11"));
	CHECK_OK(from(fd, 11));
	CHECK_ERR(from(fd, 12), ENOBUFS);
	CHECK_OK(kt_write_file(IPV4 "igmp_max_msf", "2"));
	struct {
		struct ip_msfilter filter;
		uint32_t more[3];
	} list = { .filter = { .imsf_multiaddr.s_addr = htonl(0xef020001), .imsf_interface.s_addr = htonl(INADDR_LOOPBACK),
			       .imsf_fmode = MCAST_INCLUDE, .imsf_numsrc = 3 } };
	CHECK_ERR(setsockopt(fd, IPPROTO_IP, IP_MSFILTER, &list, sizeof list), ENOBUFS);
	list.filter.imsf_numsrc = 2;
	list.filter.imsf_slist[0].s_addr = htonl(0x0a000001);
	list.more[0] = htonl(0x0a000002);
	CHECK_OK(setsockopt(fd, IPPROTO_IP, IP_MSFILTER, &list, sizeof list));
}

TEST(sources_of_ipv6)
{
	CHECK_EQ(kt_field(MSF6, ""), 64);
	CHECK_OK(kt_write_file(MSF6, "3"));
	int fd = CHECK_OK(socket(AF_INET6, SOCK_DGRAM, 0));
	JOIN(SPAWN({
		CHECK_OK(unshare(CLONE_NEWNET));
		lo_up();
		int there = CHECK_OK(socket(AF_INET6, SOCK_DGRAM, 0));
		/* One setting for all, which only the first namespace shows. */
		CHECK_ERR(open(MSF6, O_RDONLY), ENOENT);
		for (int source = 1; source <= 3; source++)
			CHECK_OK(from6(there, source));
		CHECK_ERR(from6(there, 4), ENOBUFS);
	}));
	CHECK_OK(kt_write_file(MSF6, "64"));
	CHECK_OK(close(fd));
}
