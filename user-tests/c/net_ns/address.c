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
