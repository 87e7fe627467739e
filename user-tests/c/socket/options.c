/*
 * Options of sockets that change what is sent and when (tcp(7), ip(7), ipv6(7), socket(7)).
 */
#include "inet.h"
#include <errno.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <time.h>

static void set(int fd, int level, int name, int value)
{
	CHECK_OK(setsockopt(fd, level, name, &value, sizeof value));
}

static int get(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof value;
	CHECK_OK(getsockopt(fd, level, name, &value, &len));
	return value;
}

static int try(int fd, int level, int name, int value)
{
	return setsockopt(fd, level, name, &value, sizeof value);
}

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

TEST(keep_alive_has_ranges_and_defaults)
{
	loopback();
	int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	CHECK_EQ(get(fd, SOL_TCP, TCP_KEEPIDLE), 7200);
	CHECK_EQ(get(fd, SOL_TCP, TCP_KEEPINTVL), 75);
	CHECK_EQ(get(fd, SOL_TCP, TCP_KEEPCNT), 9);
	CHECK_ERR(try(fd, SOL_TCP, TCP_KEEPIDLE, 0), EINVAL);
	CHECK_ERR(try(fd, SOL_TCP, TCP_KEEPIDLE, 32768), EINVAL);
	CHECK_ERR(try(fd, SOL_TCP, TCP_KEEPCNT, 128), EINVAL);
	set(fd, SOL_TCP, TCP_KEEPCNT, 127);
}

/* The peer is behind a cable that is cut: probes go unanswered, and the connection ends. */
TEST_FOR(keep_alive_ends_what_does_not_answer, 60)
{
	pid_t child = cable();
	pid_t server = SPAWN({
		in_ns_of(child);
		int l = listener("10.0.0.2", 700, 1);
		int c = CHECK_OK(accept(l, NULL, NULL));
		CHECK_EQ(write(c, "x", 1), 1);
		pause();
	});
	int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	struct sockaddr_in a = in4("10.0.0.2", 700);
	WAIT_FOR(connect(fd, (void *)&a, sizeof a) == 0);
	char c;
	CHECK_EQ(read(fd, &c, 1), 1);
	set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(fd, SOL_TCP, TCP_KEEPIDLE, 1);
	set(fd, SOL_TCP, TCP_KEEPINTVL, 1);
	set(fd, SOL_TCP, TCP_KEEPCNT, 2);
	/* While the peer answers, nothing happens. */
	struct pollfd p = { fd, POLLIN, 0 };
	CHECK_EQ(poll(&p, 1, 4000), 0);
	CHECK_EQ(nl_link_up("a", 0), 0);
	CHECK_EQ(poll(&p, 1, 30000), 1);
	CHECK(p.revents & POLLERR);
	CHECK_ERR(read(fd, &c, 1), ETIMEDOUT);
	CHECK_EQ(read(fd, &c, 1), 0);
	kill(server, SIGKILL);
	kill(child, SIGKILL);
}

TEST(accepted_sockets_inherit)
{
	loopback();
	int l = listener("127.0.0.1", 701, 1);
	set(l, SOL_SOCKET, SO_KEEPALIVE, 1);
	set(l, SOL_TCP, TCP_KEEPIDLE, 11);
	set(l, SOL_TCP, TCP_NODELAY, 1);
	int fd = client("127.0.0.1", 701);
	int end = CHECK_OK(accept(l, NULL, NULL));
	CHECK_EQ(get(end, SOL_SOCKET, SO_KEEPALIVE), 1);
	CHECK_EQ(get(end, SOL_TCP, TCP_KEEPIDLE), 11);
	CHECK_EQ(get(end, SOL_TCP, TCP_NODELAY), 1);
	close(fd);
}

static void set_linger(int fd, int seconds)
{
	struct linger l = { 1, seconds };
	CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l));
}

/* Fills the peer's window and the own buffer. */
static void fill(int fd)
{
	static char data[65536];
	CHECK_OK(fcntl(fd, F_SETFL, O_NONBLOCK));
	for (int idle = 0; idle < 5;) {
		if (write(fd, data, sizeof data) > 0)
			idle = 0;
		else
			idle++, usleep(20000);
	}
	CHECK_OK(fcntl(fd, F_SETFL, 0));
}

TEST(a_lingering_close_waits_until_its_time_is_over)
{
	loopback();
	int end, fd = connection(702, &end);
	set_linger(fd, 1);
	fill(fd);
	double before = now();
	CHECK_OK(close(fd));
	CHECK(now() - before > 0.9);
	CHECK_ERR(close(fd), EBADF);
}

TEST(a_lingering_close_returns_when_everything_has_arrived)
{
	loopback();
	int end, fd = connection(703, &end);
	set_linger(fd, 25);
	fill(fd);
	int ready[2];
	char c;
	CHECK_OK(pipe(ready));
	pid_t reader = SPAWN({
		static char data[65536];
		close(fd);
		CHECK_EQ(write(ready[1], "x", 1), 1);
		usleep(300000);
		while (read(end, data, sizeof data) > 0)
			;
	});
	close(end);
	CHECK_EQ(read(ready[0], &c, 1), 1);
	double before = now();
	CHECK_OK(close(fd));
	double took = now() - before;
	CHECK(took > 0.2 && took < 20);
	JOIN(reader);
}

static void ignore(int signal)
{
	(void)signal;
}

TEST(a_signal_ends_a_lingering_close)
{
	loopback();
	int end, fd = connection(704, &end);
	set_linger(fd, 25);
	fill(fd);
	struct itimerval t = { .it_value = { 0, 300000 } };
	signal(SIGALRM, ignore);
	double before = now();
	CHECK_OK(setitimer(ITIMER_REAL, &t, NULL));
	CHECK_OK(close(fd));
	CHECK(now() - before < 20);
	close(end);
}

TEST(a_close_that_does_not_linger_returns_at_once)
{
	loopback();
	int end, fd = connection(705, &end);
	fill(fd);
	double before = now();
	CHECK_OK(close(fd));
	CHECK(now() - before < 10);
	char c;
	CHECK_EQ(read(end, &c, 1), 1);
}

/* The header of the one datagram that a raw socket sees. */
static int frag_off(int raw, int mode, size_t len)
{
	static char data[4000];
	unsigned char packet[4096];
	struct sockaddr_in a = in4("10.0.0.2", 9);
	int fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	set(fd, SOL_IP, IP_MTU_DISCOVER, mode);
	CHECK_EQ(get(fd, SOL_IP, IP_MTU_DISCOVER), mode);
	ssize_t n = sendto(fd, data, len, 0, (void *)&a, sizeof a);
	int error = errno;
	close(fd);
	if (n < 0)
		return -error;
	struct pollfd p = { raw, POLLIN, 0 };
	CHECK_EQ(poll(&p, 1, 5000), 1);
	CHECK(recv(raw, packet, sizeof packet, 0) > 28);
	return packet[6] << 8 & 0x4000;
}

TEST(path_mtu_discovery_has_six_modes)
{
	pid_t child = cable();
	int here = net_ns_of(getpid());
	in_ns_of(child);
	int raw = CHECK_OK(socket(AF_INET, SOCK_RAW, IPPROTO_UDP));
	net_ns_enter(here);
	int df = 0x4000, fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	int fits[] = { 0, df, df, df, 0, 0 };
	int long_one[] = { 0, 0, -EMSGSIZE, -EMSGSIZE, -EMSGSIZE, 0 };
	for (int mode = 0; mode < 6; mode++) {
		CHECK_EQ(frag_off(raw, mode, 100), fits[mode]);
		CHECK_EQ(frag_off(raw, mode, 3000), long_one[mode]);
	}
	CHECK_EQ(get(fd, SOL_IP, IP_MTU_DISCOVER), IP_PMTUDISC_WANT);
	CHECK_ERR(try(fd, SOL_IP, IP_MTU_DISCOVER, 6), EINVAL);
	CHECK_ERR(try(fd, SOL_IP, IP_MTU_DISCOVER, -1), EINVAL);
	kill(child, SIGKILL);
}

static int raw6(int protocol)
{
	return CHECK_OK(socket(AF_INET6, SOCK_RAW, protocol));
}

TEST(a_raw_ipv6_socket_puts_its_checksum_where_it_says)
{
	loopback();
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
	int fd = raw6(200), see = raw6(200), picky = raw6(200);
	unsigned char data[8] = { 1, 2, 3, 4, 5, 6, 7, 8 }, got[64];
	CHECK_EQ(get(fd, SOL_IPV6, IPV6_CHECKSUM), -1);
	CHECK_ERR(try(fd, SOL_IPV6, IPV6_CHECKSUM, 3), EINVAL);
	set(fd, SOL_IPV6, IPV6_CHECKSUM, 4);
	CHECK_EQ(get(fd, SOL_IPV6, IPV6_CHECKSUM), 4);
	/* This one takes only what has the right sum there. */
	set(picky, SOL_IPV6, IPV6_CHECKSUM, 4);
	CHECK_EQ(sendto(fd, data, 8, 0, (void *)&a, sizeof a), 8);
	CHECK_EQ(recv(see, got, sizeof got, 0), 8);
	unsigned sum = 200 + 8 + 1 + 1;
	for (int i = 0; i < 8; i += 2)
		sum += got[i] << 8 | got[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	CHECK_EQ(sum, 0xffff);
	CHECK_EQ(got[3], 4);
	CHECK_EQ(got[6], 7);
	CHECK_EQ(recv(picky, got, sizeof got, 0), 8);
	set(fd, SOL_IPV6, IPV6_CHECKSUM, -1);
	CHECK_EQ(sendto(fd, data, 8, 0, (void *)&a, sizeof a), 8);
	CHECK_EQ(recv(see, got, sizeof got, 0), 8);
	CHECK_EQ(got[4], 5);
	CHECK_ERR(recv(picky, got, sizeof got, MSG_DONTWAIT), EAGAIN);
	/* ICMPv6 knows its own. */
	int icmp = raw6(IPPROTO_ICMPV6);
	CHECK_ERR(try(icmp, SOL_IPV6, IPV6_CHECKSUM, 2), EINVAL);
	int udp = CHECK_OK(socket(AF_INET6, SOCK_DGRAM, 0));
	CHECK_ERR(try(udp, SOL_IPV6, IPV6_CHECKSUM, 2), ENOPROTOOPT);
}

static uint64_t netns_cookie(int fd)
{
	uint64_t value = 0;
	socklen_t len = sizeof value;
	CHECK_OK(getsockopt(fd, SOL_SOCKET, 71 /* SO_NETNS_COOKIE */, &value, &len));
	CHECK_EQ(len, sizeof value);
	return value;
}

TEST(a_namespace_has_a_cookie_that_its_sockets_tell)
{
	int old = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0)), value = 1;
	CHECK_OK(unshare(CLONE_NEWNET));
	int kinds[][3] = { { AF_INET, SOCK_DGRAM, 0 }, { AF_UNIX, SOCK_STREAM, 0 }, { AF_NETLINK, SOCK_RAW, NETLINK_ROUTE },
			   { AF_INET6, SOCK_STREAM, 0 }, { AF_PACKET, SOCK_RAW, 0 } };
	uint64_t first = 0, buf[2];
	for (unsigned i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		int fd = CHECK_OK(socket(kinds[i][0], kinds[i][1], kinds[i][2]));
		uint64_t cookie = netns_cookie(fd);
		CHECK(cookie != 0);
		CHECK(i == 0 || cookie == first);
		first = cookie;
		close(fd);
	}
	CHECK(netns_cookie(old) != first);
	/* Exactly eight bytes. */
	for (socklen_t len = 0; len <= 16; len += 4)
		if (len != 8)
			CHECK_ERR(getsockopt(old, SOL_SOCKET, 71, buf, &len), EINVAL);
	CHECK_ERR(setsockopt(old, SOL_SOCKET, 71, &value, sizeof value), ENOPROTOOPT);
}

/* What recvmsg says is left; -1: nothing. */
static int inq_of(int fd, size_t len)
{
	char data[64], control[64];
	struct iovec v = { data, len };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	CHECK_OK(recvmsg(fd, &m, 0));
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	if (!c)
		return -1;
	CHECK_EQ(c->cmsg_level, SOL_TCP);
	CHECK_EQ(c->cmsg_type, 36 /* TCP_CM_INQ */);
	CHECK_EQ(c->cmsg_len, CMSG_LEN(sizeof(int)));
	return *(int *)CMSG_DATA(c);
}

TEST(tcp_inq_tells_how_much_is_left)
{
	enum { INQ = 36 };
	loopback();
	int end, fd = connection(720, &end), left;
	CHECK_EQ(get(end, SOL_TCP, INQ), 0);
	CHECK_ERR(try(end, SOL_TCP, INQ, 2), EINVAL);
	CHECK_ERR(try(end, SOL_TCP, INQ, -1), EINVAL);
	CHECK_EQ(write(fd, "0123456789", 10), 10);
	WAIT_FOR(ioctl(end, FIONREAD, &left) == 0 && left == 10);
	CHECK_EQ(inq_of(end, 1), -1);
	set(end, SOL_TCP, INQ, 1);
	CHECK_EQ(get(end, SOL_TCP, INQ), 1);
	CHECK_EQ(inq_of(end, 2), 7);
	CHECK_EQ(inq_of(end, 7), 0);
	/* The end counts as one more. */
	CHECK_EQ(write(fd, "abc", 3), 3);
	CHECK_OK(shutdown(fd, SHUT_WR));
	WAIT_FOR(ioctl(end, FIONREAD, &left) == 0 && left == 3);
	usleep(100000);
	CHECK_EQ(inq_of(end, 1), 3);
	CHECK_EQ(inq_of(end, 8), 1);
	CHECK_EQ(inq_of(end, 8), 1);
	set(end, SOL_TCP, INQ, 0);
	CHECK_EQ(inq_of(end, 8), -1);
}

TEST(the_device_that_a_socket_is_bound_to)
{
	static const int types[] = { SOCK_DGRAM, SOCK_STREAM, SOCK_RAW };
	loopback();
	int lo = if_nametoindex("lo");
	CHECK_EQ(nl_veth_add("a", "b", -1), 0);
	for (int i = 0; i < 3; i++) {
		char name[32];
		socklen_t len = sizeof name;
		int fd = CHECK_OK(socket(AF_INET, types[i], types[i] == SOCK_RAW ? IPPROTO_ICMP : 0));
		CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len));
		CHECK_EQ(len, 0);
		CHECK_EQ(get(fd, SOL_SOCKET, SO_BINDTOIFINDEX), 0);
		CHECK_ERR(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "nobody", 7), ENODEV);
		CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 2));
		CHECK_EQ(get(fd, SOL_SOCKET, SO_BINDTOIFINDEX), lo);
		len = sizeof name;
		CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len));
		CHECK_EQ(len, 3);
		CHECK_EQ(strcmp(name, "lo"), 0);
		len = 15;
		CHECK_ERR(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len), EINVAL);
		set(fd, SOL_SOCKET, SO_BINDTOIFINDEX, if_nametoindex("a"));
		len = 16;
		CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len));
		CHECK_EQ(strcmp(name, "a"), 0);
		CHECK_ERR(try(fd, SOL_SOCKET, SO_BINDTOIFINDEX, -1), EINVAL);
		CHECK_ERR(setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, name, 2), EINVAL);
		/* The number of no device. */
		set(fd, SOL_SOCKET, SO_BINDTOIFINDEX, 1000);
		CHECK_EQ(get(fd, SOL_SOCKET, SO_BINDTOIFINDEX), 1000);
		len = 16;
		CHECK_ERR(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len), ENODEV);
		set(fd, SOL_SOCKET, SO_BINDTOIFINDEX, 0);
		len = 16;
		CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &len));
		CHECK_EQ(len, 0);
		/* The first device is free, a change takes a capability. */
		JOIN(SPAWN({
			CHECK_OK(setresuid(65534, 65534, 65534));
			CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3));
			CHECK_ERR(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3), EPERM);
			CHECK_ERR(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "", 0), EPERM);
			CHECK_ERR(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "nobody", 7), ENODEV);
			CHECK_ERR(try(fd, SOL_SOCKET, SO_BINDTOIFINDEX, 0), EPERM);
		}));
		CHECK_EQ(get(fd, SOL_SOCKET, SO_BINDTOIFINDEX), lo);
		close(fd);
	}
}
