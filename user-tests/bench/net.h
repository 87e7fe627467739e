/*
 * What the network costs: a byte there and back over TCP, 64 KiB over TCP, making a pair of cables. Included by bench.c.
 */
#pragma once

#include <arpa/inet.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

static int net_fd, net_peer;

/* Brings a device up, with an address. */
static int net_up(const char *dev, const char *addr)
{
	struct ifreq r = { 0 };
	struct sockaddr_in *in = (void *)&r.ifr_addr;
	int fd = socket(AF_INET, SOCK_DGRAM, 0), failed;

	strcpy(r.ifr_name, dev);
	in->sin_family = AF_INET;
	inet_pton(AF_INET, addr, &in->sin_addr);
	failed = ioctl(fd, SIOCSIFADDR, &r);
	inet_pton(AF_INET, "255.255.255.0", &in->sin_addr);
	failed |= ioctl(fd, SIOCSIFNETMASK, &r);
	r.ifr_flags = IFF_UP;
	failed |= ioctl(fd, SIOCSIFFLAGS, &r);
	close(fd);
	return failed;
}

struct net_request {
	struct nlmsghdr h;
	struct ifinfomsg i;
	char rest[256];
};

static struct rtattr *net_attr(struct net_request *r, int type, const void *data, size_t len)
{
	struct rtattr *a = (void *)((char *)r + NLMSG_ALIGN(r->h.nlmsg_len));

	a->rta_type = type;
	a->rta_len = RTA_LENGTH(len);
	if (len)
		memcpy(RTA_DATA(a), data, len);
	r->h.nlmsg_len = NLMSG_ALIGN(r->h.nlmsg_len) + RTA_ALIGN(a->rta_len);
	return a;
}

static void net_end(struct net_request *r, struct rtattr *nest)
{
	nest->rta_len = (char *)r + NLMSG_ALIGN(r->h.nlmsg_len) - (char *)nest;
}

static int net_talk(struct net_request *r)
{
	char answer[4096];
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	ssize_t n;

	send(fd, r, r->h.nlmsg_len, 0);
	n = recv(fd, answer, sizeof answer, 0);
	close(fd);
	return n < (ssize_t)NLMSG_LENGTH(4) ? -1 : *(int *)NLMSG_DATA((struct nlmsghdr *)answer);
}

/* A pair, the other end in the namespace of a process. */
static int veth_add(pid_t to)
{
	struct net_request r = { .h = { .nlmsg_len = NLMSG_LENGTH(sizeof r.i), .nlmsg_type = RTM_NEWLINK,
		.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL } };
	struct ifinfomsg peer = { 0 };
	struct rtattr *info, *data, *end;

	net_attr(&r, IFLA_IFNAME, "va", 3);
	info = net_attr(&r, IFLA_LINKINFO, NULL, 0);
	net_attr(&r, IFLA_INFO_KIND, "veth", 5);
	data = net_attr(&r, IFLA_INFO_DATA, NULL, 0);
	end = net_attr(&r, VETH_INFO_PEER, &peer, sizeof peer);
	net_attr(&r, IFLA_IFNAME, "vb", 3);
	if (to)
		net_attr(&r, IFLA_NET_NS_PID, &to, sizeof to);
	net_end(&r, end);
	net_end(&r, data);
	net_end(&r, info);
	return net_talk(&r);
}

/* Linux has it as a module. */
static void load_veth(void)
{
	int fd = open("/veth.ko", O_RDONLY);
	if (fd < 0)
		return;
	if (syscall(SYS_finit_module, fd, "", 0))
		die("veth.ko");
	close(fd);
}

static int veth_del(void)
{
	struct net_request r = { .h = { .nlmsg_len = NLMSG_LENGTH(sizeof r.i), .nlmsg_type = RTM_DELLINK,
		.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK } };

	net_attr(&r, IFLA_IFNAME, "va", 3);
	return net_talk(&r);
}

static void veth_add_del(void)
{
	if (veth_add(0) || veth_del())
		die("veth");
}

static void tcp_round_trip(void)
{
	char c = 1;

	if (write(net_fd, &c, 1) != 1 || read(net_fd, &c, 1) != 1)
		die("tcp round trip");
}

static void tcp_transfer(void)
{
	static char data[65536];
	size_t left = sizeof data;

	/* The peer echoes nothing here; it is this process. */
	for (size_t sent = 0; left; ) {
		ssize_t n = sent < sizeof data ? send(net_fd, data, sizeof data - sent, MSG_DONTWAIT) : 0;

		if (n > 0)
			sent += (size_t)n;
		n = recv(net_peer, data, sizeof data, MSG_DONTWAIT);
		if (n > 0)
			left -= (size_t)n;
	}
}

static int tcp_listen(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	int one = 1, fd = socket(AF_INET, SOCK_STREAM, 0);

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, (void *)&a, sizeof a) || listen(fd, 4))
		die("listen");
	return fd;
}

static void tcp_connect(const char *to, int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	int one = 1;

	inet_pton(AF_INET, to, &a.sin_addr);
	net_fd = socket(AF_INET, SOCK_STREAM, 0);
	for (int i = 0; connect(net_fd, (void *)&a, sizeof a); i++) {
		if (i > 1000)
			die("connect");
		usleep(1000);
	}
	setsockopt(net_fd, SOL_TCP, TCP_NODELAY, &one, sizeof one);
}

/* Sends back each byte that it gets. */
static void tcp_echo(int port)
{
	int one = 1, c = accept(tcp_listen(port), NULL, NULL);
	char byte;

	setsockopt(c, SOL_TCP, TCP_NODELAY, &one, sizeof one);
	while (read(c, &byte, 1) == 1)
		if (write(c, &byte, 1) != 1)
			break;
	_exit(0);
}

static void bench_net(void)
{
	int pipe_fds[2], listener;
	char ready;
	pid_t child;

	if (unshare(CLONE_NEWNET) || net_up("lo", "127.0.0.1"))
		die("lo");
	child = fork();
	if (child == 0)
		tcp_echo(1000);
	tcp_connect("127.0.0.1", 1000);
	measure("tcp-loopback-round-trip", 200, tcp_round_trip);
	close(net_fd);
	waitpid(child, NULL, 0);
	listener = tcp_listen(1001);
	tcp_connect("127.0.0.1", 1001);
	net_peer = accept(listener, NULL, NULL);
	measure("tcp-loopback-64k", 20, tcp_transfer);
	load_veth();
	measure("veth-add-del", 20, veth_add_del);
	if (pipe(pipe_fds))
		die("pipe");
	child = fork();
	if (child == 0) {
		if (unshare(CLONE_NEWNET) || write(pipe_fds[1], "x", 1) != 1)
			die("unshare net");
		while (net_up("vb", "10.0.0.2"))
			usleep(1000);
		tcp_echo(1002);
	}
	if (read(pipe_fds[0], &ready, 1) != 1 || veth_add(child) || net_up("va", "10.0.0.1"))
		die("veth");
	tcp_connect("10.0.0.2", 1002);
	measure("tcp-veth-round-trip", 200, tcp_round_trip);
	close(net_fd);
	waitpid(child, NULL, 0);
}
