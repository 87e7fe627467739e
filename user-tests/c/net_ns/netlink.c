/*
 * AF_NETLINK sockets (netlink(7)).
 */
#include "nl.h"
#include <poll.h>

TEST(wrong_arguments)
{
	CHECK_ERR(socket(AF_NETLINK, SOCK_STREAM, 0), ESOCKTNOSUPPORT);
	CHECK_ERR(socket(AF_NETLINK, SOCK_RAW, 32), EPROTONOSUPPORT);
	CHECK_ERR(socket(AF_NETLINK, SOCK_RAW, -1), EPROTONOSUPPORT);
	int fd = nl_open();
	struct sockaddr_nl a = { .nl_family = AF_UNIX };
	CHECK_ERR(bind(fd, (void *)&a, sizeof a), EINVAL);
	a.nl_family = AF_NETLINK;
	CHECK_ERR(bind(fd, (void *)&a, 8), EINVAL);
	CHECK_ERR(listen(fd, 1), EOPNOTSUPP);
}

TEST(the_port_is_the_pid_of_the_first_socket)
{
	struct sockaddr_nl a = { .nl_family = AF_NETLINK }, b;
	socklen_t len = sizeof b;
	int one = nl_open(), two = nl_open();
	CHECK_OK(bind(one, (void *)&a, sizeof a));
	CHECK_OK(getsockname(one, (void *)&b, &len));
	CHECK_EQ(len, sizeof b);
	CHECK_EQ(b.nl_pid, (unsigned)getpid());
	CHECK_OK(bind(two, (void *)&a, sizeof a));
	CHECK_OK(getsockname(two, (void *)&b, &len));
	CHECK((int)b.nl_pid < 0);
	a.nl_pid = getpid();
	int three = nl_open();
	CHECK_ERR(bind(three, (void *)&a, sizeof a), EADDRINUSE);
	close(one);
	CHECK_OK(bind(three, (void *)&a, sizeof a));
}

TEST(a_peek_with_trunc_tells_the_length)
{
	struct ifinfomsg i = { .ifi_index = 1 };
	struct nl_req r;
	char buf[16384];
	int fd = nl_open();
	nl_init(&r, RTM_GETLINK, 0, &i, sizeof i);
	r.h.nlmsg_flags = NLM_F_REQUEST;
	CHECK_EQ(send(fd, &r, r.h.nlmsg_len, 0), (ssize_t)r.h.nlmsg_len);
	ssize_t whole = CHECK_OK(recv(fd, NULL, 0, MSG_PEEK | MSG_TRUNC));
	CHECK(whole > 100);
	struct iovec iov = { buf, 32 };
	struct sockaddr_nl from;
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_name = &from, .msg_namelen = sizeof from };
	CHECK_EQ(recvmsg(fd, &m, MSG_PEEK), 32);
	CHECK(m.msg_flags & MSG_TRUNC);
	CHECK_EQ(m.msg_namelen, sizeof from);
	CHECK_EQ(from.nl_pid, 0);
	CHECK_EQ(recv(fd, buf, sizeof buf, 0), whole);
	CHECK_ERR(recv(fd, buf, sizeof buf, MSG_DONTWAIT), EAGAIN);
}

TEST(an_error_carries_the_request)
{
	struct ifinfomsg i = { .ifi_index = 12345 };
	struct nl_req r;
	char buf[4096];
	int fd = nl_open(), one = 1;
	nl_init(&r, RTM_GETLINK, 0, &i, sizeof i);
	r.h.nlmsg_seq = 77;
	CHECK_EQ(send(fd, &r, r.h.nlmsg_len, 0), (ssize_t)r.h.nlmsg_len);
	ssize_t n = CHECK_OK(recv(fd, buf, sizeof buf, 0));
	struct nlmsghdr *h = (void *)buf;
	struct nlmsgerr *e = NLMSG_DATA(h);
	CHECK_EQ(n, (ssize_t)(NLMSG_HDRLEN + 4 + r.h.nlmsg_len));
	CHECK_EQ(h->nlmsg_seq, 77);
	CHECK_EQ(e->error, -ENODEV);
	CHECK_EQ(e->msg.nlmsg_len, r.h.nlmsg_len);
	CHECK_OK(setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof one));
	CHECK_EQ(send(fd, &r, r.h.nlmsg_len, 0), (ssize_t)r.h.nlmsg_len);
	n = CHECK_OK(recv(fd, buf, sizeof buf, 0));
	CHECK_EQ(n, NLMSG_HDRLEN + 4 + NLMSG_HDRLEN);
	CHECK(h->nlmsg_flags & NLM_F_CAPPED);
}

TEST(listeners_hear_of_changes)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	struct sockaddr_nl a = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK | RTMGRP_IPV4_IFADDR };
	char buf[16384];
	int fd = nl_open();
	CHECK_OK(bind(fd, (void *)&a, sizeof a));
	struct pollfd p = { fd, POLLIN, 0 };
	CHECK_EQ(poll(&p, 1, 0), 0);
	CHECK_EQ(nl_link_add("dummy", "d", 0), 0);
	CHECK_EQ(poll(&p, 1, 1000), 1);
	ssize_t n = CHECK_OK(recv(fd, buf, sizeof buf, 0));
	struct nlmsghdr *h = (void *)buf;
	CHECK(NLMSG_OK(h, n));
	CHECK_EQ(h->nlmsg_type, RTM_NEWLINK);
	CHECK_EQ(nl_addr_add("d", "10.0.0.1", 24), 0);
	n = CHECK_OK(recv(fd, buf, sizeof buf, 0));
	CHECK_EQ(h->nlmsg_type, RTM_NEWADDR);
	CHECK_EQ(nl_link_del("d"), 0);
	int saw = 0;
	while (recv(fd, buf, sizeof buf, MSG_DONTWAIT) > 0)
		saw |= h->nlmsg_type == RTM_DELLINK;
	CHECK(saw);
}

TEST(a_program_talks_to_another)
{
	int one = CHECK_OK(socket(AF_NETLINK, SOCK_DGRAM, NETLINK_USERSOCK));
	int two = CHECK_OK(socket(AF_NETLINK, SOCK_DGRAM, NETLINK_USERSOCK));
	struct sockaddr_nl a = { .nl_family = AF_NETLINK, .nl_pid = 4711 }, from;
	socklen_t len = sizeof from;
	char buf[16];
	CHECK_OK(bind(one, (void *)&a, sizeof a));
	CHECK_EQ(sendto(two, "hello", 5, 0, (void *)&a, sizeof a), 5);
	CHECK_EQ(recvfrom(one, buf, sizeof buf, 0, (void *)&from, &len), 5);
	CHECK_EQ(from.nl_pid, (unsigned)getpid());
	a.nl_pid = 4712;
	CHECK_ERR(sendto(two, "hello", 5, 0, (void *)&a, sizeof a), ECONNREFUSED);
}

TEST(malformed_messages_do_no_harm)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	int fd = nl_open();
	unsigned seed = 1;
	unsigned char buf[256];
	for (int n = 0; n < 3000; n++) {
		for (unsigned at = 0; at < sizeof buf; at++) {
			seed = seed * 1103515245 + 12345;
			buf[at] = seed >> 16 & (at % 3 ? 0x1f : 0xff);
		}
		struct nlmsghdr *h = (void *)buf;
		h->nlmsg_len = 16 + n % (sizeof buf - 16);
		h->nlmsg_type = 16 + n % 90;
		h->nlmsg_flags = NLM_F_REQUEST | (seed >> 8 & 0xf00);
		send(fd, buf, h->nlmsg_len, MSG_DONTWAIT);
		char answer[4096];
		while (recv(fd, answer, sizeof answer, MSG_DONTWAIT) > 0)
			;
	}
	CHECK_EQ(if_nametoindex("lo"), 1);
}

TEST(pktinfo_tells_the_group)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	int fd = nl_open(), one = 1;
	struct sockaddr_nl a = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	CHECK_OK(bind(fd, (void *)&a, sizeof a));
	CHECK_OK(setsockopt(fd, SOL_NETLINK, NETLINK_PKTINFO, &one, sizeof one));
	CHECK_EQ(nl_link_up("lo", 1), 0);
	char data[16384], control[256];
	struct iovec v = { data, sizeof data };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	CHECK(recvmsg(fd, &m, 0) > 0);
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	CHECK(c != NULL);
	CHECK_EQ(c->cmsg_level, SOL_NETLINK);
	CHECK_EQ(c->cmsg_type, NETLINK_PKTINFO);
	CHECK_EQ(c->cmsg_len, CMSG_LEN(sizeof(struct nl_pktinfo)));
	CHECK_EQ(((struct nl_pktinfo *)CMSG_DATA(c))->group, RTNLGRP_LINK);
}

/* What `ip -6 addr` asks first: a device as IPv6 sees it, with few attributes. */
TEST(a_dump_of_links_of_ipv6_is_short)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	CHECK_EQ(nl_link_up("lo", 1), 0);
	struct ifinfomsg i = { .ifi_family = AF_INET6 };
	struct nl_req r;
	char buf[16384];
	int fd = nl_open(), seen = 0;
	nl_init(&r, RTM_GETLINK, NLM_F_DUMP, &i, sizeof i);
	CHECK_EQ(send(fd, &r, r.h.nlmsg_len, 0), (ssize_t)r.h.nlmsg_len);
	ssize_t n = CHECK_OK(recv(fd, buf, sizeof buf, 0));
	struct nlmsghdr *h = (void *)buf;
	CHECK(NLMSG_OK(h, n));
	CHECK_EQ(h->nlmsg_type, RTM_NEWLINK);
	struct ifinfomsg *m = NLMSG_DATA(h);
	CHECK_EQ(m->ifi_family, AF_INET6);
	struct rtattr *a = IFLA_RTA(m);
	for (int left = IFLA_PAYLOAD(h); RTA_OK(a, left); a = RTA_NEXT(a, left))
		seen |= 1 << (a->rta_type & 31);
	CHECK_EQ(seen, 1 << IFLA_IFNAME | 1 << IFLA_MTU | 1 << IFLA_ADDRESS | 1 << IFLA_OPERSTATE | 1 << IFLA_PROTINFO);
}
