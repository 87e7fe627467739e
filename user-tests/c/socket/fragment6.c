/*
 * Fragments of IPv6 (RFC 8200, RFC 5722, RFC 6946): sent, put together again, refused.
 */
#include "inet.h"
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/icmp6.h>
#include <netinet/ip6.h>
#include <poll.h>

#define PORT 7000
#define ID 0x12345678

static struct sockaddr_in6 in6(const char *addr, int port)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	CHECK_EQ(inet_pton(AF_INET6, addr, &a.sin6_addr), 1);
	return a;
}

/* A cable: the caller has fd00::1 on "a", the child fd00::2 on "b". */
static pid_t cable6(void)
{
	pid_t child = cable();
	int here = net_ns_of(getpid());
	CHECK_EQ(nl_addr_add("a", "fd00::1", 64), 0);
	in_ns_of(child);
	CHECK_EQ(nl_addr_add("b", "fd00::2", 64), 0);
	net_ns_enter(here);
	close(here);
	return child;
}

static int udp6(const char *addr, int port)
{
	struct sockaddr_in6 a = in6(addr, port);
	int fd = CHECK_OK(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
	int size = 1 << 20;
	CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size));
	CHECK_OK(bind(fd, (void *)&a, sizeof a));
	return fd;
}

/* A socket of the child's namespace, made by this process. */
#define THERE(child, expr)                        \
	({                                        \
		int here_ = net_ns_of(getpid());  \
		in_ns_of(child);                  \
		__typeof__(expr) value_ = (expr); \
		net_ns_enter(here_);              \
		close(here_);                     \
		value_;                           \
	})

static void end(pid_t child)
{
	CHECK_OK(kill(child, SIGKILL));
	CHECK_OK(waitpid(child, NULL, 0));
}

/* A counter of the namespace's /proc/net/snmp6. */
static long snmp6(const char *name)
{
	char line[256], have[128];
	long value, found = -1;
	FILE *f = fopen("/proc/thread-self/net/snmp6", "r");
	CHECK(f != NULL);
	while (fgets(line, sizeof line, f))
		if (sscanf(line, "%127s %ld", have, &value) == 2 && !strcmp(have, name))
			found = value;
	fclose(f);
	return found;
}

static int waits(int fd, int ms)
{
	struct pollfd p = { fd, POLLIN, 0 };
	return CHECK_OK(poll(&p, 1, ms));
}

static char out[70000], in[70000];

static void pattern(void)
{
	for (size_t n = 0; n < sizeof out; n++)
		out[n] = n * 7 + n / 251;
}

/* Until the neighbour is known: what is sent before may be lost. */
static void warm(int fd, int to, const struct sockaddr_in6 *a)
{
	do
		CHECK_EQ(sendto(fd, "x", 1, 0, (void *)a, sizeof *a), 1);
	while (!waits(to, 20));
	do
		CHECK_EQ(recv(to, in, sizeof in, 0), 1);
	while (waits(to, 50));
}

TEST(what_is_longer_than_the_mtu_is_cut_and_put_together)
{
	static const int sizes[] = { 1452, 1453, 2000, 2896, 10000, 65527 };
	pattern();
	pid_t child = cable6();
	int to = THERE(child, udp6("fd00::2", PORT)), fd = udp6("fd00::1", 0);
	struct sockaddr_in6 a = in6("fd00::2", PORT);
	warm(fd, to, &a);
	for (size_t n = 0; n < sizeof sizes / sizeof *sizes; n++) {
		long whole = snmp6("Ip6FragOKs"), parts = snmp6("Ip6FragCreates");
		CHECK_EQ(sendto(fd, out, sizes[n], 0, (void *)&a, sizeof a), sizes[n]);
		CHECK(waits(to, 2000));
		CHECK_EQ(recv(to, in, sizeof in, 0), sizes[n]);
		CHECK(!memcmp(in, out, sizes[n]));
		/* Each fragment has 1448 bytes of the 8 that are UDP's header and the data. */
		CHECK_EQ(snmp6("Ip6FragOKs") - whole, sizes[n] > 1452);
		CHECK_EQ(snmp6("Ip6FragCreates") - parts, sizes[n] > 1452 ? (sizes[n] + 8 + 1447) / 1448 : 0);
	}
	CHECK_EQ(THERE(child, snmp6("Ip6ReasmOKs")), 5);
	CHECK_ERR(sendto(fd, out, 65528, 0, (void *)&a, sizeof a), EMSGSIZE);
	end(child);
}

TEST(it_is_so_over_loopback_too)
{
	pattern();
	loopback();
	int to = udp6("::1", PORT), fd = udp6("::1", 0);
	struct sockaddr_in6 a = in6("::1", PORT);
	CHECK_EQ(sendto(fd, out, 65527, 0, (void *)&a, sizeof a), 65527);
	CHECK(waits(to, 2000));
	CHECK_EQ(recv(to, in, sizeof in, 0), 65527);
	CHECK(!memcmp(in, out, 65527));
	CHECK_ERR(sendto(fd, out, 65528, 0, (void *)&a, sizeof a), EMSGSIZE);
}

TEST(raw_packets_are_cut_too)
{
	pattern();
	pid_t child = cable6();
	int to = THERE(child, CHECK_OK(socket(AF_INET6, SOCK_RAW, 253)));
	int fd = CHECK_OK(socket(AF_INET6, SOCK_RAW, 253));
	struct sockaddr_in6 a = in6("fd00::2", 0);
	warm(fd, to, &a);
	CHECK_EQ(sendto(fd, out, 5000, 0, (void *)&a, sizeof a), 5000);
	CHECK(waits(to, 2000));
	CHECK_EQ(recv(to, in, sizeof in, 0), 5000);
	CHECK(!memcmp(in, out, 5000));
	end(child);
}

/* ---- Fragments made by hand, from the other end of the cable. ---- */

struct link {
	pid_t child;
	/* What the host gets, what is sent to it, and the ICMPv6 that comes back. */
	int udp, wire, icmp;
	uint8_t own[6], peer[6];
};

static void mac_of(const char *dev, uint8_t mac[6])
{
	struct ifreq r = { 0 };
	int fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	strcpy(r.ifr_name, dev);
	CHECK_OK(ioctl(fd, SIOCGIFHWADDR, &r));
	memcpy(mac, r.ifr_hwaddr.sa_data, 6);
	close(fd);
}

static int wire(void)
{
	struct sockaddr_ll a = { .sll_family = AF_PACKET, .sll_ifindex = if_nametoindex("b") };
	int fd = CHECK_OK(socket(AF_PACKET, SOCK_RAW, 0));
	CHECK_OK(bind(fd, (void *)&a, sizeof a));
	mac_of("b", (uint8_t *)in);
	return fd;
}

static int icmp(void)
{
	struct icmp6_filter filter;
	int fd = CHECK_OK(socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6));
	ICMP6_FILTER_SETBLOCKALL(&filter);
	ICMP6_FILTER_SETPASS(ICMP6_TIME_EXCEEDED, &filter);
	ICMP6_FILTER_SETPASS(ICMP6_PARAM_PROB, &filter);
	ICMP6_FILTER_SETPASS(ICMP6_PACKET_TOO_BIG, &filter);
	CHECK_OK(setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof filter));
	return fd;
}

static struct link linked(void)
{
	struct link l = { .child = cable6() };
	pattern();
	l.udp = udp6("fd00::1", PORT);
	mac_of("a", l.own);
	l.wire = THERE(l.child, wire());
	memcpy(l.peer, in, 6);
	l.icmp = THERE(l.child, icmp());
	int fd = THERE(l.child, udp6("fd00::2", PORT));
	struct sockaddr_in6 there = in6("fd00::2", PORT), here = in6("fd00::1", PORT);
	warm(l.udp, fd, &there);
	warm(fd, l.udp, &here);
	close(fd);
	return l;
}

static uint8_t frame[4096];
static size_t length;

/* Begins a packet to fd00::1 with this first header. */
static void begin(struct link *l, uint8_t next)
{
	struct ip6_hdr ip = { .ip6_flow = htonl(6 << 28), .ip6_nxt = next, .ip6_hlim = 64 };
	memcpy(frame, l->own, 6);
	memcpy(frame + 6, l->peer, 6);
	memcpy(frame + 12, "\x86\xdd", 2);
	CHECK_EQ(inet_pton(AF_INET6, "fd00::2", &ip.ip6_src), 1);
	CHECK_EQ(inet_pton(AF_INET6, "fd00::1", &ip.ip6_dst), 1);
	memcpy(frame + 14, &ip, 40);
	length = 54;
}

static void put(const void *data, size_t len)
{
	memcpy(frame + length, data, len);
	length += len;
}

static void go(struct link *l)
{
	frame[18] = (length - 54) >> 8, frame[19] = length - 54;
	CHECK_EQ(send(l->wire, frame, length, 0), (ssize_t)length);
}

/* A datagram of so many bytes, with its header: what is cut into fragments. */
static uint8_t datagram[4096];

static void make(size_t data)
{
	uint32_t sum = 0;
	uint16_t ports[4] = { htons(PORT), htons(PORT), htons(data + 8), 0 };
	memcpy(datagram, ports, 8);
	memcpy(datagram + 8, out, data);
	datagram[8 + data] = 0;
	/* fd00::2 and fd00::1, the length and UDP, then what is above. */
	sum = 0xfd00 + 2 + 0xfd00 + 1 + data + 8 + 17;
	for (size_t n = 0; n < data + 8; n += 2)
		sum += datagram[n] << 8 | datagram[n + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	datagram[6] = ~sum >> 8, datagram[7] = ~sum;
}

static void fragment_id(struct link *l, uint32_t id, int from, int to, int more)
{
	struct ip6_frag f = { .ip6f_nxt = 17, .ip6f_offlg = htons(from | more), .ip6f_ident = htonl(id) };
	begin(l, 44);
	put(&f, 8);
	put(datagram + from, to - from);
	go(l);
}

#define fragment(l, from, to, more) fragment_id(l, ID, from, to, more)

static void gets(struct link *l, ssize_t len)
{
	CHECK(waits(l->udp, 2000));
	CHECK_EQ(recv(l->udp, in, sizeof in, 0), len);
	CHECK(!memcmp(in, out, len));
}

static void gets_nothing(struct link *l)
{
	CHECK(!waits(l->udp, 100));
}

/* What the host says of the last packet. */
static void told(struct link *l, int type, int code, uint32_t pointer)
{
	struct icmp6_hdr h;
	CHECK(waits(l->icmp, 3000));
	ssize_t n = CHECK_OK(recv(l->icmp, in, sizeof in, 0));
	memcpy(&h, in, sizeof h);
	CHECK_EQ(h.icmp6_type, type);
	CHECK_EQ(h.icmp6_code, code);
	CHECK_EQ(ntohl(h.icmp6_pptr), pointer);
	CHECK(n > 48);
	CHECK(!memcmp(in + 8 + 8, frame + 14 + 8, 32));
}

TEST(fragments_come_in_any_order)
{
	struct link l = linked();
	make(1000);
	fragment(&l, 0, 504, 1);
	fragment(&l, 504, 1008, 0);
	gets(&l, 1000);
	fragment(&l, 504, 1008, 0);
	fragment(&l, 0, 504, 1);
	gets(&l, 1000);
	fragment(&l, 800, 1008, 0);
	fragment(&l, 0, 400, 1);
	gets_nothing(&l);
	fragment(&l, 400, 800, 1);
	gets(&l, 1000);
	/* Two at once. */
	fragment_id(&l, 1, 0, 504, 1);
	fragment_id(&l, 2, 504, 1008, 0);
	gets_nothing(&l);
	fragment_id(&l, 2, 0, 504, 1);
	gets(&l, 1000);
	fragment_id(&l, 1, 504, 1008, 0);
	gets(&l, 1000);
	end(l.child);
}

TEST(an_atomic_fragment_is_a_packet)
{
	struct link l = linked();
	make(100);
	/* One of the same identifier that waits has nothing to do with it. */
	fragment(&l, 0, 16, 1);
	fragment(&l, 0, 108, 0);
	gets(&l, 100);
	fragment(&l, 16, 108, 0);
	gets(&l, 100);
	end(l.child);
}

TEST(what_overlaps_is_lost)
{
	struct link l = linked();
	make(1000);
	/* The same again does no harm. */
	fragment(&l, 0, 504, 1);
	fragment(&l, 0, 504, 1);
	fragment(&l, 504, 1008, 0);
	gets(&l, 1000);
	/* But another part does, before and behind. */
	fragment(&l, 0, 504, 1);
	fragment(&l, 496, 1008, 0);
	fragment(&l, 504, 1008, 0);
	gets_nothing(&l);
	fragment_id(&l, 8, 504, 1008, 0);
	fragment_id(&l, 8, 0, 512, 1);
	fragment_id(&l, 8, 0, 504, 1);
	gets_nothing(&l);
	/* Two ends. */
	fragment_id(&l, 9, 504, 1008, 0);
	fragment_id(&l, 9, 400, 504, 0);
	fragment_id(&l, 9, 0, 504, 1);
	gets_nothing(&l);
	/* More behind the end. */
	fragment_id(&l, 10, 400, 504, 0);
	fragment_id(&l, 10, 504, 1008, 1);
	fragment_id(&l, 10, 0, 400, 1);
	gets_nothing(&l);
	CHECK(!waits(l.icmp, 0));
	end(l.child);
}

TEST(wrong_fragments_are_answered)
{
	struct link l = linked();
	make(1000);
	/* Only the last may have an odd length. */
	fragment(&l, 0, 500, 1);
	told(&l, ICMP6_PARAM_PROB, ICMP6_PARAMPROB_HEADER, 4);
	/* Longer than a packet can be. */
	struct ip6_frag f = { .ip6f_nxt = 17, .ip6f_offlg = htons(0xfff8), .ip6f_ident = htonl(ID) };
	begin(&l, 44);
	put(&f, 8);
	put(datagram, 64);
	go(&l);
	told(&l, ICMP6_PARAM_PROB, ICMP6_PARAMPROB_HEADER, 42);
	/* The first must have all headers. */
	f.ip6f_offlg = htons(1);
	f.ip6f_nxt = 60;
	begin(&l, 44);
	put(&f, 8);
	put("\x11\0\1\4\0\0\0\0", 8);
	go(&l);
	told(&l, ICMP6_PARAM_PROB, 3, 0);
	gets_nothing(&l);
	end(l.child);
}

TEST(headers_in_front_of_fragments_stay)
{
	struct link l = linked();
	struct ip6_frag f = { .ip6f_nxt = 17, .ip6f_offlg = htons(1), .ip6f_ident = htonl(ID) };
	make(1000);
	for (int part = 0; part < 2; part++) {
		begin(&l, 60);
		put("\x2c\0\1\4\0\0\0\0", 8);
		put(&f, 8);
		put(datagram + part * 504, 504);
		go(&l);
		f.ip6f_offlg = htons(504);
	}
	gets(&l, 1000);
	/* And within them, options of the destination. */
	memmove(datagram + 8, datagram, 1008);
	memcpy(datagram, "\x11\0\1\4\0\0\0\0", 8);
	f.ip6f_nxt = 60;
	f.ip6f_offlg = htons(1);
	for (int part = 0; part < 2; part++) {
		begin(&l, 44);
		put(&f, 8);
		put(datagram + part * 504, part ? 1016 - 504 : 504);
		go(&l);
		f.ip6f_offlg = htons(504);
	}
	gets(&l, 1000);
	end(l.child);
}

TEST(unknown_headers_and_options_are_answered)
{
	struct link l = linked();
	make(8);
	begin(&l, 254);
	put(datagram, 16);
	go(&l);
	told(&l, ICMP6_PARAM_PROB, ICMP6_PARAMPROB_NEXTHEADER, 6);
	begin(&l, 60);
	put("\xfe\0\1\4\0\0\0\0", 8);
	put(datagram, 16);
	go(&l);
	told(&l, ICMP6_PARAM_PROB, ICMP6_PARAMPROB_NEXTHEADER, 40);
	/* 00: skipped; 01: dropped; 10 and 11: answered. */
	begin(&l, 60);
	put("\x11\0\x3e\4\0\0\0\0", 8);
	put(datagram, 16);
	go(&l);
	gets(&l, 8);
	begin(&l, 60);
	put("\x11\0\x7e\4\0\0\0\0", 8);
	put(datagram, 16);
	go(&l);
	gets_nothing(&l);
	CHECK(!waits(l.icmp, 0));
	begin(&l, 60);
	put("\x11\0\xbe\4\0\0\0\0", 8);
	put(datagram, 16);
	go(&l);
	told(&l, ICMP6_PARAM_PROB, ICMP6_PARAMPROB_OPTION, 42);
	begin(&l, 0);
	put("\x11\0\0\0\xfe\2\0\0", 8);
	put(datagram, 16);
	go(&l);
	told(&l, ICMP6_PARAM_PROB, ICMP6_PARAMPROB_OPTION, 44);
	gets_nothing(&l);
	end(l.child);
}

static void setting(const char *path, const char *value)
{
	int fd = CHECK_OK(open(path, O_WRONLY));
	CHECK_EQ(write(fd, value, strlen(value)), (ssize_t)strlen(value));
	close(fd);
}

TEST(what_stays_incomplete_is_given_up)
{
	struct link l = linked();
	setting("/proc/sys/net/ipv6/ip6frag_time", "1");
	make(1000);
	long before = snmp6("Ip6ReasmTimeout");
	/* Without the first fragment nobody can be told. */
	fragment_id(&l, 1, 504, 1008, 0);
	CHECK(!waits(l.icmp, 1800));
	CHECK_EQ(snmp6("Ip6ReasmTimeout") - before, 1);
	fragment_id(&l, 2, 0, 504, 1);
	told(&l, ICMP6_TIME_EXCEEDED, ICMP6_TIME_EXCEED_REASSEMBLY, 0);
	CHECK_EQ(snmp6("Ip6ReasmTimeout") - before, 2);
	CHECK(snmp6("Ip6ReasmFails") >= 2);
	fragment_id(&l, 2, 504, 1008, 0);
	gets_nothing(&l);
	end(l.child);
}
