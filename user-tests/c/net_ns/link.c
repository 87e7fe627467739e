/*
 * Devices of network namespaces (network_namespaces(7), rtnetlink(7)).
 */
#include "nl.h"

TEST(a_new_namespace_has_lo_which_is_down)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	CHECK_EQ(if_nametoindex("lo"), 1);
	unsigned flags = nl_flags("lo");
	CHECK(flags & IFF_LOOPBACK);
	CHECK(!(flags & IFF_UP));
	CHECK_EQ(nl_link_up("lo", 1), 0);
	CHECK(nl_flags("lo") & IFF_UP);
	CHECK(nl_flags("lo") & IFF_RUNNING);
	CHECK_EQ(nl_link_del("lo"), -EOPNOTSUPP);
}

TEST(iproute2_probes_with_an_empty_newlink)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	struct ifinfomsg i = { 0 };
	struct nl_req r;
	nl_init(&r, RTM_NEWLINK, 0, &i, sizeof i);
	CHECK_EQ(nl_talk(&r), -ENODEV);
}

TEST(a_veth_pair_has_a_carrier_when_both_ends_are_up)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	CHECK_EQ(nl_veth_add("a", "b", -1), 0);
	CHECK(if_nametoindex("a") > if_nametoindex("b"));
	CHECK_EQ(nl_veth_add("a", "c", -1), -EEXIST);
	CHECK_EQ(nl_link_up("a", 1), 0);
	/* On Linux what a program sees follows a little later. */
	WAIT_FOR(!(nl_flags("a") & IFF_RUNNING));
	CHECK_EQ(nl_link_up("b", 1), 0);
	WAIT_FOR(nl_flags("a") & IFF_RUNNING);
	WAIT_FOR(nl_flags("b") & IFF_RUNNING);
	CHECK_EQ(nl_link_up("a", 0), 0);
	WAIT_FOR(!(nl_flags("b") & IFF_RUNNING));
	CHECK_EQ(nl_link_del("b"), 0);
	CHECK_EQ(if_nametoindex("a"), 0);
}

TEST(names_are_checked_and_numbered)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	CHECK_EQ(nl_link_add("dummy", "a/b", 0), -EINVAL);
	CHECK_EQ(nl_link_add("dummy", "..", 0), -EINVAL);
	CHECK_EQ(nl_link_add("dummy", "x%d", 0), 0);
	CHECK_EQ(nl_link_add("dummy", "x%d", 0), 0);
	CHECK(if_nametoindex("x0") && if_nametoindex("x1"));
	CHECK_EQ(nl_link_add("nonsense", "y", 0), -EOPNOTSUPP);
	CHECK_EQ(nl_veth_add(NULL, NULL, -1), 0);
	CHECK(if_nametoindex("veth0") && if_nametoindex("veth1"));
}

TEST(a_device_is_renamed_only_while_it_is_down)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	CHECK_EQ(nl_link_add("dummy", "d", IFF_UP), 0);
	struct ifinfomsg i = { .ifi_index = if_nametoindex("d") };
	struct nl_req r;
	nl_init(&r, RTM_NEWLINK, 0, &i, sizeof i);
	nl_str(&r, IFLA_IFNAME, "e");
	CHECK_EQ(nl_talk(&r), -EBUSY);
	CHECK_EQ(nl_link_up("d", 0), 0);
	CHECK_EQ(nl_talk(&r), 0);
	CHECK_EQ(if_nametoindex("d"), 0);
	CHECK_EQ(if_nametoindex("e"), i.ifi_index);
}

TEST(mtu_has_limits)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	CHECK_EQ(nl_veth_add("a", "b", -1), 0);
	CHECK_EQ(nl_link_set("a", IFLA_MTU, 1400), 0);
	CHECK_EQ(nl_link_set("a", IFLA_MTU, 67), -EINVAL);
	CHECK_EQ(nl_link_set("a", IFLA_MTU, 65536), -EINVAL);
}

TEST(a_device_moves_between_namespaces)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	pid_t child = net_ns_child();
	int there = net_ns_of(child), here = net_ns_of(getpid());
	CHECK_EQ(nl_veth_add("a", "b", -1), 0);
	CHECK_EQ(nl_link_set("b", IFLA_NET_NS_PID, child), 0);
	CHECK_EQ(if_nametoindex("b"), 0);
	CHECK_EQ(nl_link_set("a", IFLA_NET_NS_PID, 999999), -ESRCH);
	CHECK_EQ(nl_link_set("lo", IFLA_NET_NS_PID, child), -EINVAL);
	net_ns_enter(there);
	CHECK(if_nametoindex("b"));
	CHECK_EQ(nl_link_add("dummy", "a", 0), 0);
	net_ns_enter(here);
	CHECK_EQ(nl_link_set("a", IFLA_NET_NS_FD, there), -EEXIST);
	CHECK_OK(kill(child, SIGKILL));
	CHECK_OK(waitpid(child, NULL, 0));
	/* The descriptor still holds the namespace. */
	CHECK(if_nametoindex("a"));
	close(there);
	WAIT_FOR(if_nametoindex("a") == 0);
}

TEST(a_veth_dies_with_the_namespace_of_its_peer)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	pid_t child = net_ns_child();
	int there = net_ns_of(child);
	CHECK_EQ(nl_veth_add("a", "b", there), 0);
	close(there);
	CHECK_EQ(if_nametoindex("b"), 0);
	CHECK(if_nametoindex("a"));
	CHECK_OK(kill(child, SIGKILL));
	CHECK_OK(waitpid(child, NULL, 0));
	WAIT_FOR(if_nametoindex("a") == 0);
}

TEST(changes_need_cap_net_admin_in_the_owner)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	JOIN(SPAWN({
		CHECK_OK(unshare(CLONE_NEWUSER));
		CHECK_EQ(nl_link_up("lo", 1), -EPERM);
		CHECK(if_nametoindex("lo") == 1);
		CHECK_OK(unshare(CLONE_NEWNET));
		CHECK_EQ(nl_link_up("lo", 1), 0);
	}));
}

TEST(a_bridge_takes_ports)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	CHECK_EQ(nl_link_add("bridge", "br", IFF_UP), 0);
	CHECK_EQ(nl_veth_add("a", "b", -1), 0);
	CHECK(nl_flags("br") & IFF_RUNNING);
	CHECK_EQ(nl_link_set("a", IFLA_MASTER, if_nametoindex("br")), 0);
	CHECK_EQ(nl_link_set("lo", IFLA_MASTER, if_nametoindex("br")), -EINVAL);
	CHECK_EQ(nl_link_set("br", IFLA_MASTER, if_nametoindex("br")), -ELOOP);
	CHECK_EQ(nl_link_set("b", IFLA_MASTER, if_nametoindex("a")), -EOPNOTSUPP);
	CHECK_EQ(nl_link_up("a", 1), 0);
	CHECK_EQ(nl_link_up("b", 1), 0);
	WAIT_FOR(nl_flags("br") & IFF_RUNNING);
	CHECK_EQ(nl_link_set("a", IFLA_MASTER, 0), 0);
	CHECK_EQ(nl_link_del("br"), 0);
	CHECK(if_nametoindex("a"));
}

/* IFLA_LINK_NETNSID of a device; -1 without. */
static int link_netnsid(const char *name)
{
	char buf[8192];
	struct nl_req r;
	struct ifinfomsg i = { .ifi_index = if_nametoindex(name) };
	int fd = nl_open(), id = -1;
	nl_init(&r, RTM_GETLINK, 0, &i, sizeof i);
	r.h.nlmsg_flags = NLM_F_REQUEST;
	CHECK_EQ(send(fd, &r, r.h.nlmsg_len, 0), (ssize_t)r.h.nlmsg_len);
	ssize_t n = CHECK_OK(recv(fd, buf, sizeof buf, 0));
	close(fd);
	struct nlmsghdr *h = (void *)buf;
	CHECK(NLMSG_OK(h, n));
	CHECK_EQ(h->nlmsg_type, RTM_NEWLINK);
	int len = h->nlmsg_len - NLMSG_LENGTH(sizeof i);
	struct rtattr *a = (void *)((char *)NLMSG_DATA(h) + NLMSG_ALIGN(sizeof i));
	for (; RTA_OK(a, len); a = RTA_NEXT(a, len))
		if (a->rta_type == IFLA_LINK_NETNSID)
			memcpy(&id, RTA_DATA(a), sizeof id);
	return id;
}

TEST(the_number_of_a_namespace_that_is_gone_is_free)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	for (int round = 0; round < 3; round++) {
		pid_t child = net_ns_child();
		int there = net_ns_of(child);
		CHECK_EQ(nl_veth_add("a", "b", there), 0);
		close(there);
		CHECK_EQ(link_netnsid("a"), 0);
		CHECK_OK(kill(child, SIGKILL));
		CHECK_OK(waitpid(child, NULL, 0));
		WAIT_FOR(if_nametoindex("a") == 0);
	}
}
