/*
 * AF_PACKET (packet(7)).
 */
#include "nl.h"
#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <poll.h>

static struct sockaddr_ll link_addr(int protocol, const char *dev)
{
	struct sockaddr_ll a = { .sll_family = AF_PACKET, .sll_protocol = htons(protocol) };
	a.sll_ifindex = dev ? if_nametoindex(dev) : 0;
	return a;
}

static int tap(int type, int protocol, const char *dev)
{
	int fd = CHECK_OK(socket(AF_PACKET, type, 0));
	struct sockaddr_ll a = link_addr(protocol, dev);
	CHECK_OK(bind(fd, (void *)&a, sizeof a));
	return fd;
}

/* A veth pair without addresses, both ends up. Linux begins to send a moment later: until a frame arrives. */
static void wire(void)
{
	unsigned char probe[60] = { [0] = 2, [6] = 2, [12] = 0x88, [13] = 0xb6 };
	CHECK_OK(unshare(CLONE_NEWNET));
	CHECK_EQ(nl_veth_add("a", "b", -1), 0);
	CHECK_EQ(nl_link_up("a", 1), 0);
	CHECK_EQ(nl_link_up("b", 1), 0);
	int out = tap(SOCK_RAW, 0x88b6, "a"), in = tap(SOCK_RAW, 0x88b6, "b");
	struct pollfd p = { in, POLLIN, 0 };
	do
		CHECK_EQ(send(out, probe, sizeof probe, 0), (ssize_t)sizeof probe);
	while (poll(&p, 1, 20) == 0);
	close(out);
	close(in);
}

static ssize_t take(int fd, void *buf, size_t len, struct sockaddr_ll *from)
{
	struct pollfd p = { fd, POLLIN, 0 };
	socklen_t n = sizeof *from;
	CHECK_EQ(poll(&p, 1, 2000), 1);
	return CHECK_OK(recvfrom(fd, buf, len, 0, (void *)from, &n));
}

#define PROTO 0x88b5

static size_t frame(unsigned char *f, const char *text)
{
	memset(f, 0xff, 6);
	memcpy(f + 6, "\2\0\0\0\0\1", 6);
	f[12] = PROTO >> 8;
	f[13] = PROTO & 255;
	memcpy(f + 14, text, strlen(text));
	return 14 + strlen(text);
}

TEST(wrong_arguments)
{
	wire();
	CHECK_ERR(socket(AF_PACKET, SOCK_STREAM, 0), ESOCKTNOSUPPORT);
	int fd = CHECK_OK(socket(AF_PACKET, SOCK_RAW, 0));
	struct sockaddr_ll a = link_addr(ETH_P_ALL, "a");
	CHECK_ERR(bind(fd, (void *)&a, 12), EINVAL);
	a.sll_family = AF_INET;
	CHECK_ERR(bind(fd, (void *)&a, sizeof a), EINVAL);
	a = link_addr(ETH_P_ALL, NULL);
	a.sll_ifindex = 4711;
	CHECK_ERR(bind(fd, (void *)&a, sizeof a), ENODEV);
	CHECK_ERR(send(fd, "x", 1, 0), ENXIO);
	CHECK_ERR(listen(fd, 1), EOPNOTSUPP);
	struct sockaddr_ll b;
	socklen_t len = sizeof b;
	CHECK_ERR(getpeername(fd, (void *)&b, &len), EOPNOTSUPP);
	a = link_addr(ETH_P_ALL, "a");
	CHECK_OK(bind(fd, (void *)&a, sizeof a));
	CHECK_ERR(send(fd, "x", 1, 0), EINVAL);
	char big[2000] = { 0 };
	CHECK_ERR(send(fd, big, sizeof big, 0), EMSGSIZE);
	CHECK_EQ(nl_link_up("a", 0), 0);
	int err = 0;
	len = sizeof err;
	CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len));
	CHECK_ERR(send(fd, big, 100, 0), ENETDOWN);
}

TEST(it_takes_cap_net_raw)
{
	wire();
	CHECK_OK(setuid(1000));
	CHECK_ERR(socket(AF_PACKET, SOCK_RAW, 0), EPERM);
}

TEST(the_name_is_the_device)
{
	wire();
	int fd = tap(SOCK_RAW, PROTO, "a");
	struct sockaddr_ll a;
	socklen_t len = sizeof a;
	CHECK_OK(getsockname(fd, (void *)&a, &len));
	CHECK_EQ(len, 18);
	CHECK_EQ(a.sll_protocol, htons(PROTO));
	CHECK_EQ(a.sll_ifindex, (int)if_nametoindex("a"));
	CHECK_EQ(a.sll_hatype, 1);
	CHECK_EQ(a.sll_halen, 6);
}

TEST(a_raw_frame_crosses_the_wire)
{
	wire();
	int out = tap(SOCK_RAW, PROTO, "a"), in = tap(SOCK_RAW, PROTO, "b"), cooked = tap(SOCK_DGRAM, PROTO, "b");
	unsigned char f[64], g[64];
	struct sockaddr_ll from;
	size_t n = frame(f, "hello");
	CHECK_EQ(send(out, f, n, 0), (ssize_t)n);
	CHECK_EQ(take(in, g, sizeof g, &from), (ssize_t)n);
	CHECK(!memcmp(f, g, n));
	CHECK_EQ(from.sll_family, AF_PACKET);
	CHECK_EQ(from.sll_protocol, htons(PROTO));
	CHECK_EQ(from.sll_ifindex, (int)if_nametoindex("b"));
	CHECK_EQ(from.sll_pkttype, PACKET_BROADCAST);
	CHECK_EQ(from.sll_halen, 6);
	CHECK(!memcmp(from.sll_addr, "\2\0\0\0\0\1", 6));
	CHECK_EQ(take(cooked, g, sizeof g, &from), 5);
	CHECK(!memcmp(g, "hello", 5));
	CHECK_ERR(recv(out, g, sizeof g, MSG_DONTWAIT), EAGAIN);
}

TEST(all_protocols_see_what_goes_out)
{
	wire();
	int out = tap(SOCK_RAW, ETH_P_ALL, "a"), other = tap(SOCK_RAW, ETH_P_ALL, "a"), one = tap(SOCK_RAW, PROTO, "a");
	int quiet = tap(SOCK_RAW, ETH_P_ALL, "a"), on = 1;
	CHECK_OK(setsockopt(quiet, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof on));
	unsigned char f[64], g[256];
	struct sockaddr_ll from;
	while (recv(other, g, sizeof g, MSG_DONTWAIT) > 0)
		;
	size_t n = frame(f, "mine");
	CHECK_EQ(send(out, f, n, 0), (ssize_t)n);
	do
		take(other, g, sizeof g, &from);
	while (from.sll_protocol != htons(PROTO));
	CHECK_EQ(from.sll_pkttype, PACKET_OUTGOING);
	CHECK_ERR(recv(one, g, sizeof g, MSG_DONTWAIT), EAGAIN);
	while (recv(quiet, g, sizeof g, MSG_DONTWAIT) > 0)
		CHECK(memcmp(g + 12, f + 12, 2));
}

TEST(a_cooked_packet_gets_a_header)
{
	wire();
	int out = tap(SOCK_DGRAM, PROTO, "a"), in = tap(SOCK_RAW, PROTO, "b");
	struct sockaddr_ll to = link_addr(PROTO, "a"), from;
	unsigned char g[64];
	to.sll_halen = 6;
	memcpy(to.sll_addr, "\2\0\0\0\0\7", 6);
	CHECK_ERR(send(out, "data", 4, 0), EINVAL);
	CHECK_EQ(sendto(out, "data", 4, 0, (void *)&to, sizeof to), 4);
	CHECK_EQ(take(in, g, sizeof g, &from), 18);
	CHECK(!memcmp(g, to.sll_addr, 6));
	CHECK_EQ(g[12] << 8 | g[13], PROTO);
	CHECK(!memcmp(g + 14, "data", 4));
	CHECK_EQ(from.sll_pkttype, PACKET_OTHERHOST);
}

TEST(statistics_and_auxdata)
{
	wire();
	int out = tap(SOCK_RAW, PROTO, "a"), in = tap(SOCK_RAW, PROTO, "b"), on = 1;
	CHECK_OK(setsockopt(in, SOL_PACKET, PACKET_AUXDATA, &on, sizeof on));
	unsigned char f[64], g[64];
	size_t n = frame(f, "0123456789");
	for (int i = 0; i < 3; i++)
		CHECK_EQ(send(out, f, n, 0), (ssize_t)n);
	struct pollfd p = { in, POLLIN, 0 };
	CHECK_EQ(poll(&p, 1, 2000), 1);
	struct iovec iov = { g, 16 };
	char control[128];
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
	CHECK_EQ(recvmsg(in, &m, MSG_TRUNC), (ssize_t)n);
	CHECK(m.msg_flags & MSG_TRUNC);
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	CHECK(c && c->cmsg_level == SOL_PACKET && c->cmsg_type == PACKET_AUXDATA);
	struct tpacket_auxdata aux;
	memcpy(&aux, CMSG_DATA(c), sizeof aux);
	CHECK_EQ(aux.tp_len, n);
	CHECK_EQ(aux.tp_snaplen, n);
	CHECK_EQ(aux.tp_net, 14);
	CHECK(aux.tp_status & TP_STATUS_USER);
	struct tpacket_stats st = { 0 };
	socklen_t len = sizeof st;
	CHECK_OK(getsockopt(in, SOL_PACKET, PACKET_STATISTICS, &st, &len));
	CHECK_EQ(st.tp_packets, 3);
	CHECK_EQ(st.tp_drops, 0);
	CHECK_OK(getsockopt(in, SOL_PACKET, PACKET_STATISTICS, &st, &len));
	CHECK_EQ(st.tp_packets, 0);
}

TEST(memberships_are_counted)
{
	wire();
	int fd = tap(SOCK_RAW, PROTO, "a");
	struct packet_mreq m = { .mr_ifindex = if_nametoindex("a"), .mr_type = PACKET_MR_PROMISC };
	CHECK_OK(setsockopt(fd, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &m, sizeof m));
	CHECK_OK(setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &m, sizeof m));
	CHECK_OK(setsockopt(fd, SOL_PACKET, PACKET_DROP_MEMBERSHIP, &m, sizeof m));
	CHECK_ERR(setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &m, 8), EINVAL);
	m.mr_ifindex = 4711;
	CHECK_ERR(setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &m, sizeof m), ENODEV);
}

TEST(loopback_shows_a_frame_twice)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	CHECK_EQ(nl_link_up("lo", 1), 0);
	int fd = tap(SOCK_DGRAM, ETH_P_ALL, "lo"), u = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_ll from;
	char buf[256];
	CHECK_EQ(sendto(u, "x", 1, 0, (void *)&to, sizeof to), 1);
	CHECK_EQ(take(fd, buf, sizeof buf, &from), 29);
	CHECK_EQ(from.sll_pkttype, PACKET_OUTGOING);
	CHECK_EQ(from.sll_hatype, 772);
	CHECK_EQ(from.sll_protocol, htons(ETH_P_IP));
	CHECK_EQ(take(fd, buf, sizeof buf, &from), 29);
	CHECK_EQ(from.sll_pkttype, PACKET_HOST);
}

/* A segment that stays in the machine carries no checksum, and auxdata says so. */
TEST(auxdata_tells_of_checksums_that_are_not_there)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	CHECK_EQ(nl_link_up("lo", 1), 0);
	int fd = tap(SOCK_DGRAM, ETH_P_ALL, "lo"), on = 1;
	CHECK_OK(setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof on));
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof to;
	int server = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0)), client = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	CHECK_OK(bind(server, (void *)&to, sizeof to));
	CHECK_OK(listen(server, 1));
	CHECK_OK(getsockname(server, (void *)&to, &len));
	CHECK_OK(connect(client, (void *)&to, sizeof to));
	CHECK_EQ(write(client, "0123456789", 10), 10);
	char buf[256], control[128];
	for (int found = 0; !found;) {
		struct pollfd p = { fd, POLLIN, 0 };
		CHECK_EQ(poll(&p, 1, 2000), 1);
		struct iovec iov = { buf, sizeof buf };
		struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control };
		ssize_t n = CHECK_OK(recvmsg(fd, &m, 0));
		if (n < 10 || memcmp(buf + n - 10, "0123456789", 10))
			continue;
		found = 1;
		struct tpacket_auxdata aux;
		memcpy(&aux, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof aux);
		CHECK(aux.tp_status & TP_STATUS_CSUMNOTREADY);
		/* What is there is the pseudo header's part. */
		unsigned len = n - 20, sum = 2 * (0x7f00 + 1) + IPPROTO_TCP + len;
		CHECK_EQ((unsigned char)buf[36] << 8 | (unsigned char)buf[37], (sum >> 16) + (sum & 0xffff));
	}
}
