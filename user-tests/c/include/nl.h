/*
 * rtnetlink requests for tests, without a library. Each returns 0 or a negative
 * errno, as the kernel's acknowledgement says.
 */
#pragma once

#include <arpa/inet.h>
#include <linux/if_link.h>
#include <linux/net_namespace.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ktest.h"

struct nl_req {
	struct nlmsghdr h;
	char data[1024];
};

static inline void *nl_tail(struct nl_req *r)
{
	return (char *)r + NLMSG_ALIGN(r->h.nlmsg_len);
}

static inline void nl_init(struct nl_req *r, int type, int flags, const void *head, size_t len)
{
	memset(r, 0, sizeof *r);
	r->h.nlmsg_len = NLMSG_LENGTH(len);
	r->h.nlmsg_type = type;
	r->h.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	r->h.nlmsg_seq = 1;
	memcpy(NLMSG_DATA(&r->h), head, len);
}

static inline struct rtattr *nl_attr(struct nl_req *r, int type, const void *data, size_t len)
{
	struct rtattr *a = nl_tail(r);
	a->rta_type = type;
	a->rta_len = RTA_LENGTH(len);
	if (len)
		memcpy(RTA_DATA(a), data, len);
	r->h.nlmsg_len = NLMSG_ALIGN(r->h.nlmsg_len) + RTA_ALIGN(a->rta_len);
	return a;
}

static inline void nl_u32(struct nl_req *r, int type, uint32_t value)
{
	nl_attr(r, type, &value, 4);
}

static inline void nl_str(struct nl_req *r, int type, const char *s)
{
	nl_attr(r, type, s, strlen(s) + 1);
}

static inline void nl_end(struct nl_req *r, struct rtattr *nest)
{
	nest->rta_len = (char *)nl_tail(r) - (char *)nest;
}

static inline int nl_open(void)
{
	return CHECK_OK(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
}

/* Sends a request and reads its acknowledgement. */
static inline int nl_talk_on(int fd, struct nl_req *r)
{
	char buf[16384];
	CHECK_EQ(send(fd, r, r->h.nlmsg_len, 0), (ssize_t)r->h.nlmsg_len);
	ssize_t n = CHECK_OK(recv(fd, buf, sizeof buf, 0));
	struct nlmsghdr *h = (void *)buf;
	CHECK(NLMSG_OK(h, n));
	CHECK_EQ(h->nlmsg_type, NLMSG_ERROR);
	return ((struct nlmsgerr *)NLMSG_DATA(h))->error;
}

static inline int nl_talk(struct nl_req *r)
{
	int fd = nl_open();
	int error = nl_talk_on(fd, r);
	close(fd);
	return error;
}

/* Adds a device without a peer; flags may hold IFF_UP. */
static inline int nl_link_add(const char *kind, const char *name, unsigned flags)
{
	struct ifinfomsg i = { .ifi_flags = flags, .ifi_change = flags };
	struct nl_req r;
	nl_init(&r, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &i, sizeof i);
	nl_str(&r, IFLA_IFNAME, name);
	struct rtattr *info = nl_attr(&r, IFLA_LINKINFO, NULL, 0);
	nl_str(&r, IFLA_INFO_KIND, kind);
	nl_end(&r, info);
	return nl_talk(&r);
}

/* Adds a veth pair; ns is a namespace descriptor for the peer, or -1. */
static inline int nl_veth_add(const char *name, const char *peer, int ns)
{
	struct ifinfomsg i = { 0 };
	struct nl_req r;
	nl_init(&r, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &i, sizeof i);
	if (name)
		nl_str(&r, IFLA_IFNAME, name);
	struct rtattr *info = nl_attr(&r, IFLA_LINKINFO, NULL, 0);
	nl_str(&r, IFLA_INFO_KIND, "veth");
	struct rtattr *data = nl_attr(&r, IFLA_INFO_DATA, NULL, 0);
	struct rtattr *end = nl_attr(&r, VETH_INFO_PEER, &i, sizeof i);
	if (peer)
		nl_str(&r, IFLA_IFNAME, peer);
	if (ns >= 0)
		nl_u32(&r, IFLA_NET_NS_FD, ns);
	nl_end(&r, end);
	nl_end(&r, data);
	nl_end(&r, info);
	return nl_talk(&r);
}

static inline int nl_link_del(const char *name)
{
	struct ifinfomsg i = { 0 };
	struct nl_req r;
	nl_init(&r, RTM_DELLINK, 0, &i, sizeof i);
	nl_str(&r, IFLA_IFNAME, name);
	return nl_talk(&r);
}

/* Sets a device up or down. */
static inline int nl_link_up(const char *name, int up)
{
	struct ifinfomsg i = { .ifi_flags = up ? IFF_UP : 0, .ifi_change = IFF_UP };
	struct nl_req r;
	nl_init(&r, RTM_NEWLINK, 0, &i, sizeof i);
	nl_str(&r, IFLA_IFNAME, name);
	return nl_talk(&r);
}

/* Changes one numeric attribute of a device. */
static inline int nl_link_set(const char *name, int attr, uint32_t value)
{
	struct ifinfomsg i = { .ifi_index = if_nametoindex(name) };
	struct nl_req r;
	nl_init(&r, RTM_NEWLINK, 0, &i, sizeof i);
	nl_u32(&r, attr, value);
	return nl_talk(&r);
}

static inline int nl_addr_len(const char *addr, void *bytes)
{
	int family = strchr(addr, ':') ? AF_INET6 : AF_INET;
	CHECK_EQ(inet_pton(family, addr, bytes), 1);
	return family == AF_INET ? 4 : 16;
}

static inline int nl_addr(int type, const char *dev, const char *addr, int prefix)
{
	char bytes[16];
	int len = nl_addr_len(addr, bytes);
	struct ifaddrmsg i = {
		.ifa_family = len == 4 ? AF_INET : AF_INET6,
		.ifa_prefixlen = prefix,
		.ifa_index = if_nametoindex(dev),
	};
	struct nl_req r;
	nl_init(&r, type, type == RTM_NEWADDR ? NLM_F_CREATE | NLM_F_EXCL : 0, &i, sizeof i);
	nl_attr(&r, IFA_LOCAL, bytes, len);
	nl_attr(&r, IFA_ADDRESS, bytes, len);
	if (len == 16)
		nl_u32(&r, IFA_FLAGS, IFA_F_NODAD);
	return nl_talk(&r);
}

#define nl_addr_add(dev, addr, prefix) nl_addr(RTM_NEWADDR, dev, addr, prefix)
#define nl_addr_del(dev, addr, prefix) nl_addr(RTM_DELADDR, dev, addr, prefix)

/* A route through a gateway or, without one, through a device. */
static inline int nl_route(int type, const char *dst, int prefix, const char *via, const char *dev)
{
	char bytes[16], gateway[16];
	int len = nl_addr_len(dst, bytes);
	struct rtmsg m = {
		.rtm_family = len == 4 ? AF_INET : AF_INET6,
		.rtm_dst_len = prefix,
		.rtm_table = RT_TABLE_MAIN,
		.rtm_protocol = RTPROT_BOOT,
		.rtm_scope = via || len == 16 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK,
		.rtm_type = RTN_UNICAST,
	};
	struct nl_req r;
	if (type == RTM_DELROUTE)
		m.rtm_scope = RT_SCOPE_NOWHERE;
	nl_init(&r, type, type == RTM_NEWROUTE ? NLM_F_CREATE | NLM_F_EXCL : 0, &m, sizeof m);
	nl_attr(&r, RTA_DST, bytes, len);
	if (via) {
		nl_addr_len(via, gateway);
		nl_attr(&r, RTA_GATEWAY, gateway, len);
	}
	if (dev)
		nl_u32(&r, RTA_OIF, if_nametoindex(dev));
	return nl_talk(&r);
}

/* A child in a network namespace of its own, which waits to be killed. */
static inline pid_t net_ns_child(void)
{
	int pipe_fds[2];
	char c;
	CHECK_OK(pipe(pipe_fds));
	pid_t pid = CHECK_OK(fork());
	if (pid == 0) {
		CHECK_OK(unshare(CLONE_NEWNET));
		CHECK_EQ(write(pipe_fds[1], "x", 1), 1);
		for (;;)
			pause();
	}
	CHECK_EQ(read(pipe_fds[0], &c, 1), 1);
	close(pipe_fds[0]);
	close(pipe_fds[1]);
	return pid;
}

/* A descriptor of a process's network namespace. */
static inline int net_ns_of(pid_t pid)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/ns/net", pid);
	return CHECK_OK(open(path, O_RDONLY | O_CLOEXEC));
}

static inline void net_ns_enter(int fd)
{
	CHECK_OK(setns(fd, CLONE_NEWNET));
}

/* Flags of a device by SIOCGIFFLAGS, or by rtnetlink where there is no such socket. */
static inline unsigned nl_flags(const char *name)
{
	struct ifinfomsg i = { .ifi_index = if_nametoindex(name) };
	struct nl_req r;
	char buf[16384];
	int fd = nl_open();
	nl_init(&r, RTM_GETLINK, 0, &i, sizeof i);
	r.h.nlmsg_flags = NLM_F_REQUEST;
	CHECK_EQ(send(fd, &r, r.h.nlmsg_len, 0), (ssize_t)r.h.nlmsg_len);
	ssize_t n = CHECK_OK(recv(fd, buf, sizeof buf, 0));
	close(fd);
	struct nlmsghdr *h = (void *)buf;
	CHECK(NLMSG_OK(h, n));
	CHECK_EQ(h->nlmsg_type, RTM_NEWLINK);
	return ((struct ifinfomsg *)NLMSG_DATA(h))->ifi_flags;
}
