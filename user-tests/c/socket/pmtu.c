/*
 * Path MTUs: a router with a narrow link behind it, and what a socket wants of them (ip(7), ipv6(7), RFC 3542).
 */
#include "inet.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <poll.h>

#define PORT 7000
#define NARROW 1400

/* musl's netinet/in.h has them as Linux numbers them; IPV6_MTU_DISCOVER's values are those of IP_MTU_DISCOVER. */
#define DONT 0
#define WANT 1
#define DO 2
#define PROBE 3
#define INTERFACE 4
#define OMIT 5

static pid_t router, far;

static void setting(const char *path, const char *value)
{
	int fd = CHECK_OK(open(path, O_WRONLY));
	CHECK_EQ(write(fd, value, strlen(value)), (ssize_t)strlen(value));
	close(fd);
}

/* The caller (10.0.1.1, fd01::1), a router, and behind a link with a smaller MTU the far end (10.0.2.1, fd02::1). */
static void world(void)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	int here = net_ns_of(getpid());
	router = net_ns_child();
	far = net_ns_child();
	int middle = net_ns_of(router), there = net_ns_of(far);
	CHECK_EQ(nl_veth_add("a", "r1", middle), 0);
	CHECK_EQ(nl_addr_add("a", "10.0.1.1", 24), 0);
	CHECK_EQ(nl_addr_add("a", "fd01::1", 64), 0);
	CHECK_EQ(nl_link_up("a", 1), 0);
	CHECK_EQ(nl_link_up("lo", 1), 0);
	CHECK_EQ(nl_route(RTM_NEWROUTE, "10.0.2.0", 24, "10.0.1.254", NULL), 0);
	net_ns_enter(middle);
	CHECK_EQ(nl_veth_add("r2", "b", there), 0);
	setting("/proc/sys/net/ipv4/ip_forward", "1");
	setting("/proc/sys/net/ipv6/conf/all/forwarding", "1");
	CHECK_EQ(nl_addr_add("r1", "10.0.1.254", 24), 0);
	CHECK_EQ(nl_addr_add("r1", "fd01::254", 64), 0);
	CHECK_EQ(nl_addr_add("r2", "10.0.2.254", 24), 0);
	CHECK_EQ(nl_addr_add("r2", "fd02::254", 64), 0);
	CHECK_EQ(nl_link_set("r2", IFLA_MTU, NARROW), 0);
	CHECK_EQ(nl_link_up("r1", 1), 0);
	CHECK_EQ(nl_link_up("r2", 1), 0);
	net_ns_enter(there);
	CHECK_EQ(nl_addr_add("b", "10.0.2.1", 24), 0);
	CHECK_EQ(nl_addr_add("b", "fd02::1", 64), 0);
	CHECK_EQ(nl_link_set("b", IFLA_MTU, NARROW), 0);
	CHECK_EQ(nl_link_up("b", 1), 0);
	CHECK_EQ(nl_link_up("lo", 1), 0);
	CHECK_EQ(nl_route(RTM_NEWROUTE, "10.0.1.0", 24, "10.0.2.254", NULL), 0);
	CHECK_EQ(nl_route(RTM_NEWROUTE, "fd01::", 64, "fd02::254", NULL), 0);
	net_ns_enter(here);
	CHECK_EQ(nl_route(RTM_NEWROUTE, "fd02::", 64, "fd01::254", NULL), 0);
	close(here);
	close(middle);
	close(there);
}

static void end(void)
{
	pid_t all[] = { router, far };
	for (int n = 0; n < 2; n++) {
		CHECK_OK(kill(all[n], SIGKILL));
		CHECK_OK(waitpid(all[n], NULL, 0));
	}
}

union addr {
	struct sockaddr sa;
	struct sockaddr_in in4;
	struct sockaddr_in6 in6;
};

static socklen_t address(int v6, const char *four, const char *six, int port, union addr *a)
{
	memset(a, 0, sizeof *a);
	if (!v6) {
		a->in4 = in4(four, port);
		return sizeof a->in4;
	}
	a->in6.sin6_family = AF_INET6;
	a->in6.sin6_port = htons(port);
	CHECK_EQ(inet_pton(AF_INET6, six, &a->in6.sin6_addr), 1);
	return sizeof a->in6;
}

static int near_end(int v6)
{
	union addr a;
	socklen_t len = address(v6, "10.0.2.1", "fd02::1", PORT, &a);
	int fd = CHECK_OK(socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	CHECK_OK(connect(fd, &a.sa, len));
	return fd;
}

static int far_end(int v6)
{
	union addr a;
	int here = net_ns_of(getpid());
	in_ns_of(far);
	socklen_t len = address(v6, "10.0.2.1", "fd02::1", PORT, &a);
	int fd = CHECK_OK(socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	CHECK_OK(bind(fd, &a.sa, len));
	net_ns_enter(here);
	close(here);
	return fd;
}

static int waits(int fd, int events, int ms)
{
	struct pollfd p = { fd, events, 0 };
	CHECK_OK(poll(&p, 1, ms));
	return p.revents;
}

static char out[70000], in[70000];

/* Until neighbours are known. */
static void warm(int fd, int to)
{
	do
		CHECK_EQ(send(fd, "x", 1, 0), 1);
	while (!waits(to, POLLIN, 20));
	do
		CHECK_EQ(recv(to, in, sizeof in, 0), 1);
	while (waits(to, POLLIN, 50));
}

static int get(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof value;
	CHECK_OK(getsockopt(fd, level, name, &value, &len));
	CHECK_EQ(len, sizeof value);
	return value;
}

static void set(int fd, int level, int name, int value)
{
	CHECK_OK(setsockopt(fd, level, name, &value, sizeof value));
}

static int try(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof value);
}

#define LEVEL (v6 ? IPPROTO_IPV6 : IPPROTO_IP)
#define MTU (v6 ? IPV6_MTU : IP_MTU)
#define DISCOVER (v6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER)
#define RECVERR (v6 ? IPV6_RECVERR : IP_RECVERR)
/* Bytes of a datagram that fills a packet of this length. */
#define FILLS(mtu) ((mtu) - (v6 ? 48 : 28))

static void arrives(int fd, int to, int len)
{
	CHECK_EQ(send(fd, out, len, 0), len);
	CHECK(waits(to, POLLIN, 2000) & POLLIN);
	CHECK_EQ(recv(to, in, sizeof in, 0), len);
	CHECK(!memcmp(in, out, len));
}

/* The next error in the queue: what it says of the MTU; the error's origin. */
static unsigned queued(int fd, int v6, int *origin)
{
	char control[512];
	union addr a;
	struct iovec iov = { in, sizeof in };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control,
		.msg_name = &a, .msg_namelen = sizeof a
	};
	CHECK(waits(fd, 0, 2000) & POLLERR);
	CHECK_OK(recvmsg(fd, &m, MSG_ERRQUEUE));
	CHECK(m.msg_flags & MSG_ERRQUEUE);
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	CHECK(c != NULL);
	CHECK_EQ(c->cmsg_level, LEVEL);
	CHECK_EQ(c->cmsg_type, RECVERR);
	struct sock_extended_err e;
	memcpy(&e, CMSG_DATA(c), sizeof e);
	CHECK_EQ(e.ee_errno, EMSGSIZE);
	*origin = e.ee_origin;
	union addr want;
	address(v6, "10.0.2.1", "fd02::1", PORT, &want);
	CHECK_EQ(a.sa.sa_family, want.sa.sa_family);
	CHECK_EQ(a.in4.sin_port, want.in4.sin_port);
	return e.ee_info;
}

static void a_narrow_path(int v6)
{
	world();
	memset(out, 'y', sizeof out);
	int to = far_end(v6), fd = near_end(v6);
	warm(fd, to);
	CHECK_EQ(get(fd, LEVEL, MTU), 1500);
	CHECK_EQ(get(fd, LEVEL, DISCOVER), WANT);
	arrives(fd, to, FILLS(NARROW));
	/* The first that is too long for the path is lost, and the socket hears why. */
	CHECK_EQ(send(fd, out, FILLS(1500), 0), FILLS(1500));
	CHECK(waits(fd, 0, 2000) & POLLERR);
	CHECK_ERR(send(fd, out, 1, 0), EMSGSIZE);
	CHECK_EQ(get(fd, LEVEL, MTU), NARROW);
	CHECK(!(waits(to, POLLIN, 50) & POLLIN));
	/* From then on it is cut here. */
	arrives(fd, to, FILLS(1500));
	arrives(fd, to, 10000);
	/* Others learn of it, but the way to others is as wide as before. */
	int other = near_end(v6);
	CHECK_EQ(get(other, LEVEL, MTU), NARROW);
	union addr a;
	socklen_t len = address(v6, "10.0.1.254", "fd01::254", 9, &a);
	CHECK_OK(connect(other, &a.sa, len));
	CHECK_EQ(get(other, LEVEL, MTU), 1500);
	end();
}

TEST(a_narrow_path_of_ipv4_is_learnt)
{
	a_narrow_path(0);
}

TEST(a_narrow_path_of_ipv6_is_learnt)
{
	a_narrow_path(1);
}

static void never_cut(int v6)
{
	int origin;
	world();
	int to = far_end(v6), fd = near_end(v6);
	warm(fd, to);
	set(fd, LEVEL, DISCOVER, DO);
	set(fd, LEVEL, RECVERR, 1);
	/* Longer than the device's: told at once. */
	CHECK_ERR(send(fd, out, FILLS(1500) + 1, 0), EMSGSIZE);
	CHECK_EQ(queued(fd, v6, &origin), 1500);
	CHECK_EQ(origin, SO_EE_ORIGIN_LOCAL);
	/* Longer than the path's: told by the router. */
	CHECK_EQ(send(fd, out, FILLS(1500), 0), FILLS(1500));
	CHECK_EQ(queued(fd, v6, &origin), NARROW);
	CHECK_EQ(origin, v6 ? SO_EE_ORIGIN_ICMP6 : SO_EE_ORIGIN_ICMP);
	CHECK_EQ(waits(fd, 0, 0), 0);
	CHECK_ERR(send(fd, out, FILLS(NARROW) + 1, 0), EMSGSIZE);
	CHECK_EQ(queued(fd, v6, &origin), NARROW);
	CHECK_EQ(origin, SO_EE_ORIGIN_LOCAL);
	arrives(fd, to, FILLS(NARROW));
	/* Who probes goes by the device. */
	set(fd, LEVEL, DISCOVER, PROBE);
	CHECK_EQ(send(fd, out, FILLS(1500), 0), FILLS(1500));
	CHECK_EQ(queued(fd, v6, &origin), NARROW);
	CHECK_ERR(send(fd, out, FILLS(1500) + 1, 0), EMSGSIZE);
	CHECK_EQ(queued(fd, v6, &origin), 1500);
	end();
}

TEST(who_wants_packets_of_ipv4_whole_is_told)
{
	never_cut(0);
}

TEST(who_wants_packets_of_ipv6_whole_is_told)
{
	never_cut(1);
}

static void not_learnt(int v6)
{
	world();
	int to = far_end(v6), fd = near_end(v6);
	warm(fd, to);
	set(fd, LEVEL, DISCOVER, INTERFACE);
	CHECK_EQ(send(fd, out, FILLS(1500), 0), FILLS(1500));
	CHECK_ERR(send(fd, out, FILLS(1500) + 1, 0), EMSGSIZE);
	if (!v6) {
		/* The router cuts. */
		CHECK(waits(to, POLLIN, 2000) & POLLIN);
		CHECK_EQ(recv(to, in, sizeof in, 0), FILLS(1500));
		set(fd, LEVEL, DISCOVER, DONT);
		arrives(fd, to, FILLS(1500));
		arrives(fd, to, 5000);
	}
	usleep(100000);
	CHECK_EQ(get(fd, LEVEL, MTU), 1500);
	set(fd, LEVEL, DISCOVER, OMIT);
	CHECK_EQ(send(fd, out, 5000, 0), 5000);
	usleep(100000);
	CHECK_EQ(get(fd, LEVEL, MTU), 1500);
	CHECK_EQ(waits(fd, 0, 0), 0);
	end();
}

TEST(some_go_by_the_device_of_ipv4)
{
	not_learnt(0);
}

TEST(some_go_by_the_device_of_ipv6)
{
	not_learnt(1);
}

TEST(who_does_not_care_learns_but_is_not_told)
{
	int v6 = 1;
	world();
	int to = far_end(v6), fd = near_end(v6);
	warm(fd, to);
	set(fd, LEVEL, DISCOVER, DONT);
	CHECK_EQ(send(fd, out, FILLS(1500), 0), FILLS(1500));
	WAIT_FOR(get(fd, LEVEL, MTU) == NARROW);
	CHECK_EQ(waits(fd, 0, 0), 0);
	arrives(fd, to, FILLS(1500));
	end();
}

TEST(the_mtu_is_asked_of_who_is_connected)
{
	loopback();
	for (int v6 = 0; v6 < 2; v6++) {
		int fd = CHECK_OK(socket(v6 ? AF_INET6 : AF_INET, SOCK_DGRAM, 0)), value;
		socklen_t len = sizeof value;
		CHECK_ERR(getsockopt(fd, LEVEL, MTU, &value, &len), ENOTCONN);
		union addr a;
		socklen_t n = address(v6, "127.0.0.1", "::1", 9, &a);
		CHECK_OK(connect(fd, &a.sa, n));
		/* No packet of IPv4 is as long as lo's. */
		CHECK_EQ(get(fd, LEVEL, MTU), v6 ? 65536 : 65535);
		close(fd);
	}
	int server = listener("127.0.0.1", PORT, 1), fd = client("127.0.0.1", PORT), value;
	socklen_t len = sizeof value;
	CHECK_EQ(get(fd, IPPROTO_IP, IP_MTU), 65535);
	CHECK_ERR(getsockopt(server, IPPROTO_IP, IP_MTU, &value, &len), ENOTCONN);
	CHECK_ERR(try(fd, IPPROTO_IP, IP_MTU, 1500), ENOPROTOOPT);
}

TEST(options_of_ipv6_have_ranges)
{
	loopback();
	int fd = CHECK_OK(socket(AF_INET6, SOCK_DGRAM, 0));
	for (int mode = DONT; mode <= OMIT; mode++) {
		set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, mode);
		CHECK_EQ(get(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER), mode);
	}
	CHECK_ERR(try(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, 6), EINVAL);
	CHECK_ERR(try(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, -1), EINVAL);
	/* It is the other family's that is set there. */
	CHECK_EQ(get(fd, IPPROTO_IP, IP_MTU_DISCOVER), WANT);
	CHECK_ERR(try(fd, IPPROTO_IPV6, IPV6_MTU, 1279), EINVAL);
	set(fd, IPPROTO_IPV6, IPV6_MTU, 1280);
	set(fd, IPPROTO_IPV6, IPV6_MTU, 0);
	CHECK_EQ(get(fd, IPPROTO_IPV6, IPV6_DONTFRAG), 0);
	set(fd, IPPROTO_IPV6, IPV6_DONTFRAG, 7);
	CHECK_EQ(get(fd, IPPROTO_IPV6, IPV6_DONTFRAG), 1);
	CHECK_EQ(get(fd, IPPROTO_IPV6, IPV6_RECVPATHMTU), 0);
	set(fd, IPPROTO_IPV6, IPV6_RECVPATHMTU, 7);
	CHECK_EQ(get(fd, IPPROTO_IPV6, IPV6_RECVPATHMTU), 1);
	CHECK_ERR(try(fd, IPPROTO_IPV6, IPV6_PATHMTU, 1), ENOPROTOOPT);
	struct ip6_mtuinfo info;
	socklen_t len = sizeof info;
	CHECK_ERR(getsockopt(fd, IPPROTO_IPV6, IPV6_PATHMTU, &info, &len), ENOTCONN);
	union addr a;
	CHECK_OK(connect(fd, &a.sa, address(1, "", "::1", 9, &a)));
	CHECK_OK(getsockopt(fd, IPPROTO_IPV6, IPV6_PATHMTU, &info, &len));
	CHECK_EQ(len, sizeof info);
	CHECK_EQ(info.ip6m_mtu, 65536);
	len = sizeof info - 1;
	CHECK_ERR(getsockopt(fd, IPPROTO_IPV6, IPV6_PATHMTU, &info, &len), EINVAL);
}

/* Fragments that the namespace has made. */
static long created(void)
{
	char line[256];
	long value = -1;
	FILE *f = fopen("/proc/thread-self/net/snmp6", "r");
	CHECK(f != NULL);
	while (fgets(line, sizeof line, f))
		sscanf(line, "Ip6FragCreates %ld", &value);
	fclose(f);
	return value;
}

TEST(a_socket_cuts_to_its_own_size)
{
	int v6 = 1;
	world();
	int to = far_end(v6), fd = near_end(v6);
	warm(fd, to);
	long before = created();
	set(fd, IPPROTO_IPV6, IPV6_MTU, 1300);
	arrives(fd, to, FILLS(1300));
	/* What fits the path is not cut, but what has to be is cut to that size. */
	arrives(fd, to, FILLS(NARROW));
	CHECK_EQ(created() - before, 0);
	arrives(fd, to, 4000);
	CHECK_EQ(created() - before, 4);
	CHECK_EQ(get(fd, IPPROTO_IPV6, IPV6_MTU), 1500);
	set(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, DO);
	CHECK_ERR(send(fd, out, FILLS(1300) + 1, 0), EMSGSIZE);
	/* And it is only to make it smaller. */
	set(fd, IPPROTO_IPV6, IPV6_MTU, 9000);
	CHECK_ERR(send(fd, out, FILLS(1500) + 1, 0), EMSGSIZE);
	arrives(fd, to, FILLS(NARROW));
	CHECK_EQ(created() - before, 4);
	end();
}

TEST(who_does_not_let_cut_can_be_told_of_the_path)
{
	int v6 = 1;
	char control[256];
	world();
	int to = far_end(v6), fd = near_end(v6);
	warm(fd, to);
	set(fd, IPPROTO_IPV6, IPV6_DONTFRAG, 1);
	CHECK_ERR(send(fd, out, FILLS(1500) + 1, 0), EMSGSIZE);
	CHECK_ERR(recv(fd, in, sizeof in, MSG_DONTWAIT), EAGAIN);
	set(fd, IPPROTO_IPV6, IPV6_RECVPATHMTU, 1);
	CHECK_ERR(send(fd, out, FILLS(1500) + 1, 0), EMSGSIZE);
	union addr a;
	struct iovec iov = { in, sizeof in };
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control,
		.msg_name = &a, .msg_namelen = sizeof a
	};
	CHECK_EQ(recvmsg(fd, &m, MSG_DONTWAIT), 0);
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	struct ip6_mtuinfo info;
	CHECK(c != NULL);
	CHECK_EQ(c->cmsg_level, IPPROTO_IPV6);
	CHECK_EQ(c->cmsg_type, IPV6_PATHMTU);
	memcpy(&info, CMSG_DATA(c), sizeof info);
	CHECK_EQ(info.ip6m_mtu, 1500);
	union addr want;
	address(1, "", "fd02::1", 0, &want);
	CHECK(!memcmp(&info.ip6m_addr.sin6_addr, &want.in6.sin6_addr, 16));
	CHECK(!memcmp(&a.in6.sin6_addr, &want.in6.sin6_addr, 16));
	CHECK_ERR(recv(fd, in, sizeof in, MSG_DONTWAIT), EAGAIN);
	arrives(fd, to, FILLS(NARROW));
	end();
}

/* Sends with IPV6_DONTFRAG as this message says. */
static ssize_t send_with(int fd, size_t len, int dont_frag)
{
	char control[CMSG_SPACE(sizeof dont_frag)] = { 0 };
	struct iovec iov = { out, len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = IPPROTO_IPV6;
	c->cmsg_type = IPV6_DONTFRAG;
	c->cmsg_len = CMSG_LEN(sizeof dont_frag);
	memcpy(CMSG_DATA(c), &dont_frag, sizeof dont_frag);
	return sendmsg(fd, &m, 0);
}

TEST(a_message_says_for_one_datagram_whether_it_is_cut)
{
	union addr a;
	loopback();
	socklen_t len = address(1, "", "::1", PORT, &a);
	int to = CHECK_OK(socket(AF_INET6, SOCK_DGRAM, 0)), fd = CHECK_OK(socket(AF_INET6, SOCK_DGRAM, 0));
	CHECK_OK(bind(to, &a.sa, len));
	CHECK_OK(connect(fd, &a.sa, len));
	CHECK_EQ(send_with(fd, 65527, 0), 65527);
	CHECK_ERR(send_with(fd, 65527, 1), EMSGSIZE);
	CHECK_ERR(send_with(fd, 65527, 2), EINVAL);
	set(fd, IPPROTO_IPV6, IPV6_DONTFRAG, 1);
	CHECK_ERR(send(fd, out, 65527, 0), EMSGSIZE);
	CHECK_EQ(send_with(fd, 65527, 0), 65527);
}

TEST(a_connection_gets_through)
{
	for (int v6 = 0; v6 < 2; v6++) {
		world();
		union addr a;
		socklen_t len = address(v6, "10.0.2.1", "fd02::1", PORT, &a);
		int here = net_ns_of(getpid()), one = 1;
		int warmed = far_end(v6), fd = near_end(v6);
		warm(fd, warmed);
		in_ns_of(far);
		int server = CHECK_OK(socket(a.sa.sa_family, SOCK_STREAM, 0));
		CHECK_OK(setsockopt(server, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
		/* It may send as much in one segment as if all links were wide. */
		CHECK_EQ(nl_link_set("b", IFLA_MTU, 1500), 0);
		CHECK_OK(bind(server, &a.sa, len));
		CHECK_OK(listen(server, 1));
		net_ns_enter(here);
		close(here);
		int s = CHECK_OK(socket(a.sa.sa_family, SOCK_STREAM, 0));
		CHECK_OK(connect(s, &a.sa, len));
		int e = CHECK_OK(accept(server, NULL, NULL));
		CHECK_EQ(get(s, LEVEL, MTU), 1500);
		memset(out, 'z', sizeof out);
		CHECK_EQ(write(s, out, 20000), 20000);
		for (int n = 0; n < 20000;) {
			CHECK(waits(e, POLLIN, 10000) & POLLIN);
			n += CHECK_OK(read(e, in, sizeof in));
		}
		CHECK_EQ(get(s, LEVEL, MTU), NARROW);
		close(s), close(e), close(server), close(fd), close(warmed);
		end();
	}
}
