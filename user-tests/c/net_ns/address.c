/*
 * Addresses and routes (rtnetlink(7)).
 */
#include "nl.h"

/* How many messages of a type a dump has. */
static int dump_count(int type, int family, int answer)
{
	struct rtmsg m = { .rtm_family = family };
	struct nl_req r;
	char buf[32768];
	int fd = nl_open(), count = 0, done = 0;
	nl_init(&r, type, NLM_F_DUMP, &m, sizeof m);
	CHECK_EQ(send(fd, &r, r.h.nlmsg_len, 0), (ssize_t)r.h.nlmsg_len);
	while (!done) {
		ssize_t n = CHECK_OK(recv(fd, buf, sizeof buf, 0));
		for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			CHECK(h->nlmsg_flags & NLM_F_MULTI);
			done |= h->nlmsg_type == NLMSG_DONE;
			count += h->nlmsg_type == answer;
		}
	}
	close(fd);
	return count;
}

TEST(lo_gets_its_addresses_when_it_goes_up)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	CHECK_EQ(dump_count(RTM_GETADDR, AF_UNSPEC, RTM_NEWADDR), 0);
	CHECK_EQ(nl_link_up("lo", 1), 0);
	CHECK_EQ(dump_count(RTM_GETADDR, AF_INET, RTM_NEWADDR), 1);
	CHECK_EQ(dump_count(RTM_GETADDR, AF_INET6, RTM_NEWADDR), 1);
	CHECK_EQ(dump_count(RTM_GETROUTE, AF_INET, RTM_NEWROUTE), 3);
	CHECK_EQ(nl_link_up("lo", 0), 0);
	CHECK_EQ(dump_count(RTM_GETADDR, AF_INET, RTM_NEWADDR), 1);
	CHECK_EQ(dump_count(RTM_GETADDR, AF_INET6, RTM_NEWADDR), 0);
	/* Local routes stay with their addresses. */
	CHECK_EQ(dump_count(RTM_GETROUTE, AF_INET, RTM_NEWROUTE), 2);
}

TEST(an_address_comes_and_goes_with_its_routes)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	CHECK_EQ(nl_link_add("dummy", "d", 0), 0);
	CHECK_EQ(nl_addr_add("d", "10.1.2.3", 24), 0);
	CHECK_EQ(nl_addr_add("d", "10.1.2.3", 24), -EEXIST);
	CHECK_EQ(dump_count(RTM_GETROUTE, AF_INET, RTM_NEWROUTE), 1);
	CHECK_EQ(nl_link_up("d", 1), 0);
	/* local, network, broadcast */
	CHECK_EQ(dump_count(RTM_GETROUTE, AF_INET, RTM_NEWROUTE), 3);
	CHECK_EQ(nl_addr_del("d", "10.1.2.4", 24), -EADDRNOTAVAIL);
	CHECK_EQ(nl_addr_del("d", "10.1.2.3", 24), 0);
	CHECK_EQ(dump_count(RTM_GETROUTE, AF_INET, RTM_NEWROUTE), 0);
	CHECK_EQ(nl_addr_add("d", "10.1.2.3", 33), -EINVAL);
}

TEST(secondary_addresses_go_with_the_primary)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	CHECK_EQ(nl_link_add("dummy", "d", IFF_UP), 0);
	CHECK_EQ(nl_addr_add("d", "10.1.2.3", 24), 0);
	CHECK_EQ(nl_addr_add("d", "10.1.2.4", 24), 0);
	CHECK_EQ(nl_addr_add("d", "10.1.3.4", 24), 0);
	CHECK_EQ(dump_count(RTM_GETADDR, AF_INET, RTM_NEWADDR), 3);
	CHECK_EQ(nl_addr_del("d", "10.1.2.3", 24), 0);
	CHECK_EQ(dump_count(RTM_GETADDR, AF_INET, RTM_NEWADDR), 1);
}

TEST(a_gateway_has_to_be_reachable)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	CHECK_EQ(nl_link_add("dummy", "d", 0), 0);
	CHECK_EQ(nl_addr_add("d", "10.1.2.3", 24), 0);
	CHECK_EQ(nl_route(RTM_NEWROUTE, "0.0.0.0", 0, "10.1.2.1", NULL), -ENETUNREACH);
	CHECK_EQ(nl_route(RTM_NEWROUTE, "10.9.0.0", 16, NULL, "d"), -ENETDOWN);
	CHECK_EQ(nl_link_up("d", 1), 0);
	CHECK_EQ(nl_route(RTM_NEWROUTE, "0.0.0.0", 0, "10.1.2.1", NULL), 0);
	CHECK_EQ(nl_route(RTM_NEWROUTE, "0.0.0.0", 0, "10.1.2.1", NULL), -EEXIST);
	CHECK_EQ(nl_route(RTM_NEWROUTE, "10.8.0.1", 16, NULL, "d"), -EINVAL);
	CHECK_EQ(nl_route(RTM_NEWROUTE, "10.9.0.0", 16, NULL, "d"), 0);
	CHECK_EQ(nl_route(RTM_DELROUTE, "10.7.0.0", 16, NULL, NULL), -ESRCH);
	CHECK_EQ(nl_route(RTM_DELROUTE, "10.9.0.0", 16, NULL, NULL), 0);
	CHECK_EQ(dump_count(RTM_GETROUTE, AF_INET, RTM_NEWROUTE), 4);
	CHECK_EQ(nl_link_up("d", 0), 0);
	CHECK_EQ(dump_count(RTM_GETROUTE, AF_INET, RTM_NEWROUTE), 1);
}

TEST(every_namespace_has_three_rules)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	CHECK_EQ(dump_count(RTM_GETRULE, AF_INET, RTM_NEWRULE), 3);
	CHECK_EQ(dump_count(RTM_GETRULE, AF_INET6, RTM_NEWRULE), 2);
}

TEST(a_link_local_address_is_tentative_first)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	CHECK_EQ(nl_veth_add("a", "b", -1), 0);
	CHECK_EQ(nl_link_up("a", 1), 0);
	CHECK_EQ(dump_count(RTM_GETADDR, AF_INET6, RTM_NEWADDR), 0);
	CHECK_EQ(nl_link_up("b", 1), 0);
	WAIT_FOR(dump_count(RTM_GETADDR, AF_INET6, RTM_NEWADDR) == 2);
}

/* Adds or replaces an address with lifetimes in seconds. */
static int with_lifetime(const char *dev, const char *addr, int flags, unsigned valid, unsigned preferred)
{
	char bytes[16];
	int len = nl_addr_len(addr, bytes);
	struct ifaddrmsg i = {
		.ifa_family = len == 4 ? AF_INET : AF_INET6,
		.ifa_prefixlen = len == 4 ? 24 : 64,
		.ifa_index = if_nametoindex(dev),
	};
	struct ifa_cacheinfo c = { .ifa_valid = valid, .ifa_prefered = preferred };
	struct nl_req r;
	nl_init(&r, RTM_NEWADDR, NLM_F_CREATE | flags, &i, sizeof i);
	nl_attr(&r, IFA_LOCAL, bytes, len);
	nl_attr(&r, IFA_ADDRESS, bytes, len);
	nl_attr(&r, IFA_CACHEINFO, &c, sizeof c);
	nl_u32(&r, IFA_FLAGS, IFA_F_NODAD);
	return nl_talk(&r);
}

/* The flags of the first address of a family, or -1; *life is its lifetimes. */
static int first_addr(int family, struct ifa_cacheinfo *life)
{
	struct ifaddrmsg i = { .ifa_family = family };
	struct nl_req r;
	char buf[16384];
	int fd = nl_open(), flags = -1;
	nl_init(&r, RTM_GETADDR, NLM_F_DUMP, &i, sizeof i);
	CHECK_EQ(send(fd, &r, r.h.nlmsg_len, 0), (ssize_t)r.h.nlmsg_len);
	ssize_t n = CHECK_OK(recv(fd, buf, sizeof buf, 0));
	close(fd);
	struct nlmsghdr *h = (void *)buf;
	if (!NLMSG_OK(h, n) || h->nlmsg_type != RTM_NEWADDR)
		return -1;
	struct rtattr *a = IFA_RTA(NLMSG_DATA(h));
	for (int left = IFA_PAYLOAD(h); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		if (a->rta_type == IFA_FLAGS)
			flags = *(int *)RTA_DATA(a);
		if (a->rta_type == IFA_CACHEINFO)
			memcpy(life, RTA_DATA(a), sizeof *life);
	}
	return flags;
}

static void lifetimes(int family, const char *addr)
{
	struct ifa_cacheinfo life;
	CHECK_OK(unshare(CLONE_NEWNET));
	CHECK_EQ(nl_link_add("dummy", "d", IFF_UP), 0);
	/* The link-local address is not what this is about. */
	if (family == AF_INET6) {
		struct nl_req r;
		struct ifaddrmsg i = { .ifa_family = AF_INET6, .ifa_prefixlen = 64, .ifa_index = if_nametoindex("d") };
		char buf[16384];
		int fd = nl_open();
		nl_init(&r, RTM_GETADDR, NLM_F_DUMP, &i, sizeof i);
		CHECK_EQ(send(fd, &r, r.h.nlmsg_len, 0), (ssize_t)r.h.nlmsg_len);
		ssize_t n = CHECK_OK(recv(fd, buf, sizeof buf, 0));
		close(fd);
		struct nlmsghdr *h = (void *)buf;
		if (NLMSG_OK(h, n) && h->nlmsg_type == RTM_NEWADDR) {
			struct rtattr *a = IFA_RTA(NLMSG_DATA(h));
			nl_init(&r, RTM_DELADDR, 0, &i, sizeof i);
			nl_attr(&r, IFA_LOCAL, RTA_DATA(a), 16);
			CHECK_EQ(nl_talk(&r), 0);
		}
	}
	CHECK_EQ(with_lifetime("d", addr, NLM_F_EXCL, 1, 2), -EINVAL);
	CHECK_EQ(with_lifetime("d", addr, NLM_F_EXCL, 0, 0), -EINVAL);
	CHECK_EQ(with_lifetime("d", addr, NLM_F_EXCL, 100, 50), 0);
	int flags = first_addr(family, &life);
	CHECK(!(flags & (IFA_F_PERMANENT | IFA_F_DEPRECATED)));
	CHECK(life.ifa_valid <= 100 && life.ifa_valid >= 90);
	CHECK(life.ifa_prefered <= 50 && life.ifa_prefered >= 40);
	/* It counts down … */
	WAIT_FOR(first_addr(family, &life) >= 0 && life.ifa_valid <= 98);
	/* … until the address is deprecated, and gone. */
	CHECK_EQ(with_lifetime("d", addr, NLM_F_REPLACE, 4, 1), 0);
	WAIT_FOR(first_addr(family, &life) & IFA_F_DEPRECATED);
	WAIT_FOR(first_addr(family, &life) < 0);
	/* One without an end is permanent. */
	CHECK_EQ(with_lifetime("d", addr, NLM_F_EXCL, 100, 100), 0);
	CHECK_EQ(with_lifetime("d", addr, NLM_F_REPLACE, ~0u, ~0u), 0);
	CHECK(first_addr(family, &life) & IFA_F_PERMANENT);
	CHECK_EQ(life.ifa_valid, ~0u);
}

TEST(an_ipv4_address_has_lifetimes)
{
	lifetimes(AF_INET, "10.0.0.1");
}

TEST(an_ipv6_address_has_lifetimes)
{
	lifetimes(AF_INET6, "fd00::1");
}
