/*
 * Routers advertise themselves and prefixes (RFC 4861, 4862): what a host makes of it. The router is a raw socket at the
 * other end of a cable.
 */
#include "inet.h"
#include <net/if.h>
#include <netinet/icmp6.h>

struct advertisement {
	struct nd_router_advert head;
	struct nd_opt_prefix_info prefix;
};

static int raw;
static pid_t far_end;

/* The caller is the host, with "b"; the router has "a" in a namespace of its own. */
static void link_up(const char *accept_ra, const char *forwarding)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	far_end = net_ns_child();
	int here = net_ns_of(getpid()), there = net_ns_of(far_end);
	net_ns_enter(there);
	CHECK_EQ(nl_link_up("lo", 1), 0);
	CHECK_EQ(nl_veth_add("a", "b", here), 0);
	int dad = open("/proc/sys/net/ipv6/conf/a/accept_dad", O_WRONLY);
	CHECK_EQ(write(dad, "0", 1), 1);
	close(dad);
	CHECK_EQ(nl_link_up("a", 1), 0);
	raw = CHECK_OK(socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6));
	int hops = 255;
	CHECK_OK(setsockopt(raw, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof hops));
	CHECK_OK(setsockopt(raw, IPPROTO_IPV6, IPV6_UNICAST_HOPS, &hops, sizeof hops));
	int index = if_nametoindex("a");
	CHECK_OK(setsockopt(raw, IPPROTO_IPV6, IPV6_MULTICAST_IF, &index, sizeof index));
	net_ns_enter(here);
	static const char *names[] = { "accept_ra", "forwarding", "accept_dad" };
	const char *values[] = { accept_ra, forwarding, "0" };
	/* Forwarding first: it changes what routers are heard, not the setting. */
	for (int i = 0; i < 3; i++) {
		char path[64];
		snprintf(path, sizeof path, "/proc/sys/net/ipv6/conf/b/%s", names[i]);
		int fd = CHECK_OK(open(path, O_WRONLY));
		CHECK_EQ(write(fd, values[i], 1), 1);
		close(fd);
	}
	CHECK_EQ(nl_link_up("b", 1), 0);
	close(here);
	close(there);
}

static void advertise(int lifetime, int hop_limit, int flags, uint32_t valid, uint32_t preferred)
{
	struct advertisement ra = {
		.head.nd_ra_type = ND_ROUTER_ADVERT,
		.head.nd_ra_curhoplimit = hop_limit,
		.head.nd_ra_router_lifetime = htons(lifetime),
		.prefix.nd_opt_pi_type = ND_OPT_PREFIX_INFORMATION,
		.prefix.nd_opt_pi_len = 4,
		.prefix.nd_opt_pi_prefix_len = 64,
		.prefix.nd_opt_pi_flags_reserved = flags,
		.prefix.nd_opt_pi_valid_time = htonl(valid),
		.prefix.nd_opt_pi_preferred_time = htonl(preferred),
	};
	struct sockaddr_in6 all = { .sin6_family = AF_INET6 };
	CHECK_EQ(inet_pton(AF_INET6, "fd55::", &ra.prefix.nd_opt_pi_prefix), 1);
	CHECK_EQ(inet_pton(AF_INET6, "ff02::1", &all.sin6_addr), 1);
	/* The link-local address may take a moment. */
	WAIT_FOR(sendto(raw, &ra, sizeof ra, 0, (void *)&all, sizeof all) == sizeof ra);
}

/* The other end may not listen yet: again and again, until it shows. */
#define ADVERTISE_UNTIL(cond, ...)                                              \
	WAIT_FOR(({                                                             \
		advertise(__VA_ARGS__);                                         \
		usleep(50000);                                                  \
		cond;                                                           \
	}))

/* Whether a file of /proc/net has a line with all these words. */
static int has(const char *file, const char *one, const char *two)
{
	char path[32], line[256];
	int found = 0;
	snprintf(path, sizeof path, "/proc/net/%s", file);
	FILE *f = fopen(path, "r");
	CHECK(f != NULL);
	while (fgets(line, sizeof line, f))
		found |= strstr(line, one) && strstr(line, two);
	fclose(f);
	return found;
}

static int has_address(void)
{
	return has("if_inet6", "fd55000000000000", " b\n");
}

static int has_default(void)
{
	return has("ipv6_route", "00000000000000000000000000000000 00 00000000000000000000000000000000 00 fe80", " b\n");
}

static int has_prefix_route(void)
{
	return has("ipv6_route", "fd550000000000000000000000000000 40", " b\n");
}

enum { ON_LINK = 0x80, AUTO = 0x40 };

TEST(a_prefix_gives_an_address_and_a_router_the_default_route)
{
	link_up("1", "0");
	ADVERTISE_UNTIL(has_address(), 1800, 0, ON_LINK | AUTO, 3600, 1800);
	WAIT_FOR(has_default());
	CHECK(has_prefix_route());
	/* No router any more; the address stays. */
	ADVERTISE_UNTIL(!has_default(), 0, 0, ON_LINK | AUTO, 3600, 1800);
	CHECK(has_address());
	kill(far_end, SIGKILL);
}

TEST(a_prefix_without_a_flag_or_lifetime_gives_no_address)
{
	link_up("1", "0");
	ADVERTISE_UNTIL(has_default(), 1800, 0, ON_LINK, 3600, 1800);
	CHECK(!has_address());
	ADVERTISE_UNTIL(!has_default(), 0, 0, AUTO, 0, 0);
	CHECK(!has_address());
	/* Preferred for longer than valid: nonsense. */
	ADVERTISE_UNTIL(has_default(), 1800, 0, AUTO, 60, 120);
	CHECK(!has_address());
	kill(far_end, SIGKILL);
}

TEST(a_router_hears_no_routers)
{
	link_up("1", "1");
	for (int i = 0; i < 30; i++) {
		advertise(1800, 0, ON_LINK | AUTO, 3600, 1800);
		usleep(50000);
	}
	CHECK(!has_address());
	CHECK(!has_default());
	kill(far_end, SIGKILL);
}

TEST(a_router_that_is_told_to_hears_them)
{
	link_up("2", "1");
	ADVERTISE_UNTIL(has_address(), 1800, 0, ON_LINK | AUTO, 3600, 1800);
	WAIT_FOR(has_default());
	kill(far_end, SIGKILL);
}

TEST(a_host_may_be_told_not_to)
{
	link_up("0", "0");
	for (int i = 0; i < 30; i++) {
		advertise(1800, 0, ON_LINK | AUTO, 3600, 1800);
		usleep(50000);
	}
	CHECK(!has_address());
	CHECK(!has_default());
	kill(far_end, SIGKILL);
}

TEST(only_a_neighbour_is_believed)
{
	link_up("1", "0");
	int hops = 254;
	CHECK_OK(setsockopt(raw, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof hops));
	for (int i = 0; i < 30; i++) {
		advertise(1800, 0, ON_LINK | AUTO, 3600, 1800);
		usleep(50000);
	}
	CHECK(!has_address());
	CHECK(!has_default());
	kill(far_end, SIGKILL);
}
