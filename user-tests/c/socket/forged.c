/*
 * ICMP errors about a TCP connection are believed only if they quote something that is on its way (RFC 5927, tcp(7)).
 */
#include "inet.h"
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>

static int here, there, raw, sniffer, fd, peer;

static unsigned short checksum(const void *data, int len)
{
	const unsigned char *p = data;
	unsigned sum = 0;
	for (int i = 0; i + 1 < len; i += 2)
		sum += p[i] << 8 | p[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons(~sum);
}

/* The number of the last segment with data that came, and behind it. */
static unsigned last_segment(struct iphdr *ip, struct tcphdr *tcp)
{
	unsigned char buf[2048];
	unsigned next = 0;
	for (;;) {
		ssize_t n = recv(sniffer, buf, sizeof buf, MSG_DONTWAIT);
		if (n < 0)
			break;
		struct iphdr *i = (void *)buf;
		struct tcphdr *t = (void *)(buf + i->ihl * 4);
		int len = ntohs(i->tot_len) - i->ihl * 4 - t->doff * 4;
		if (i->protocol != IPPROTO_TCP || i->saddr != inet_addr("10.0.0.1") || len <= 0)
			continue;
		*ip = *i;
		*tcp = *t;
		next = ntohl(t->seq) + len;
	}
	return next;
}

static void forge(struct iphdr ip, struct tcphdr tcp, unsigned seq, int code, int mtu)
{
	struct sockaddr_in to = in4("10.0.0.1", 0);
	struct {
		struct icmphdr icmp;
		struct iphdr ip;
		struct tcphdr tcp;
	} m = { .icmp = { .type = ICMP_DEST_UNREACH, .code = code }, .ip = ip, .tcp = tcp };
	m.ip.ihl = 5;
	m.tcp.doff = 5;
	m.tcp.seq = htonl(seq);
	m.icmp.un.frag.mtu = htons(mtu);
	m.icmp.checksum = checksum(&m, sizeof m);
	CHECK_EQ(sendto(raw, &m, sizeof m, 0, (void *)&to, sizeof to), (ssize_t)sizeof m);
}

static int path(void)
{
	int mtu = -1;
	socklen_t len = sizeof mtu;
	CHECK_OK(getsockopt(fd, IPPROTO_IP, IP_MTU, &mtu, &len));
	return mtu;
}

static unsigned start(struct iphdr *ip, struct tcphdr *tcp)
{
	char buf[128];
	pid_t child = cable();
	here = net_ns_of(getpid());
	there = net_ns_of(child);
	net_ns_enter(there);
	raw = CHECK_OK(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP));
	sniffer = CHECK_OK(socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_IP)));
	int server = listener("10.0.0.2", 5000, 4);
	net_ns_enter(here);
	fd = client("10.0.0.2", 5000);
	peer = CHECK_OK(accept(server, NULL, NULL));
	CHECK_EQ(send(fd, buf, 100, 0), 100);
	CHECK_EQ(recv(peer, buf, 100, MSG_WAITALL), 100);
	usleep(100000);
	CHECK_EQ(path(), 1500);
	unsigned next = last_segment(ip, tcp);
	CHECK(next != 0);
	return next;
}

TEST(a_narrow_path)
{
	struct iphdr ip;
	struct tcphdr tcp;
	unsigned next = start(&ip, &tcp);
	long before = counter("netstat", "TcpExt:", "OutOfWindowIcmps");
	CHECK(before >= 0);
	forge(ip, tcp, next + 1, ICMP_FRAG_NEEDED, 600);
	forge(ip, tcp, next - 101, ICMP_FRAG_NEEDED, 600);
	forge(ip, tcp, next + 0x80000000, ICMP_FRAG_NEEDED, 600);
	usleep(100000);
	CHECK_EQ(path(), 1500);
	CHECK_EQ(counter("netstat", "TcpExt:", "OutOfWindowIcmps"), before + 3);
	forge(ip, tcp, next, ICMP_FRAG_NEEDED, 600);
	usleep(100000);
	CHECK_EQ(path(), 600);
	CHECK_EQ(counter("netstat", "TcpExt:", "OutOfWindowIcmps"), before + 3);
}

/* Others are counted, too, and do not end what is connected. */
TEST(nobody_there)
{
	struct iphdr ip;
	struct tcphdr tcp;
	char c;
	unsigned next = start(&ip, &tcp);
	long before = counter("netstat", "TcpExt:", "OutOfWindowIcmps");
	forge(ip, tcp, next + 5, ICMP_PORT_UNREACH, 0);
	usleep(100000);
	CHECK_EQ(counter("netstat", "TcpExt:", "OutOfWindowIcmps"), before + 1);
	forge(ip, tcp, next, ICMP_PORT_UNREACH, 0);
	usleep(100000);
	CHECK_EQ(counter("netstat", "TcpExt:", "OutOfWindowIcmps"), before + 1);
	CHECK_ERR(recv(fd, &c, 1, MSG_DONTWAIT), EAGAIN);
	CHECK_EQ(send(fd, "x", 1, 0), 1);
	CHECK_EQ(recv(peer, &c, 1, 0), 1);
}
