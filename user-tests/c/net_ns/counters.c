/*
 * Counters of a network namespace: /proc/net/snmp, snmp6, netstat, and who takes packets (ptype).
 */
#include "inet.h"
#include <netinet/tcp.h>

#define IP(name) counter("snmp", "Ip:", name)
#define TCP(name) counter("snmp", "Tcp:", name)
#define UDP(name) counter("snmp", "Udp:", name)
#define ICMP(name) counter("snmp", "Icmp:", name)

TEST(a_fresh_namespace_has_counted_nothing)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	CHECK_EQ(IP("InReceives"), 0);
	CHECK_EQ(IP("DefaultTTL"), 64);
	CHECK_EQ(TCP("ActiveOpens"), 0);
	CHECK_EQ(UDP("InDatagrams"), 0);
	CHECK_EQ(counter("netstat", "IpExt:", "InOctets"), 0);
}

TEST(datagrams_are_counted)
{
	char c;
	loopback();
	struct sockaddr_in a = in4("127.0.0.1", 910), nobody = in4("127.0.0.1", 911);
	int fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	CHECK_OK(bind(fd, (void *)&a, sizeof a));
	for (int i = 0; i < 3; i++)
		CHECK_EQ(sendto(fd, "x", 1, 0, (void *)&a, sizeof a), 1);
	CHECK_EQ(UDP("OutDatagrams"), 3);
	CHECK_EQ(UDP("InDatagrams"), 0);
	CHECK_EQ(recv(fd, &c, 1, MSG_PEEK), 1);
	CHECK_EQ(recv(fd, &c, 1, 0), 1);
	CHECK_EQ(UDP("InDatagrams"), 1);
	CHECK_EQ(IP("InReceives"), 3);
	CHECK_EQ(IP("InDelivers"), 3);
	CHECK_EQ(IP("OutRequests"), 3);
	CHECK_EQ(sendto(fd, "x", 1, 0, (void *)&nobody, sizeof nobody), 1);
	CHECK_EQ(UDP("NoPorts"), 1);
	CHECK_EQ(ICMP("OutDestUnreachs"), 1);
	CHECK_EQ(ICMP("InDestUnreachs"), 1);
	struct sockaddr_in far = in4("192.0.2.1", 9);
	CHECK_ERR(sendto(fd, "x", 1, 0, (void *)&far, sizeof far), ENETUNREACH);
	/* More than fits. */
	static char big[60000];
	for (int i = 0; i < 8; i++)
		sendto(fd, big, sizeof big, 0, (void *)&a, sizeof a);
	CHECK(UDP("RcvbufErrors") > 0);
	CHECK_EQ(UDP("RcvbufErrors"), UDP("InErrors"));
}

TEST(connections_are_counted)
{
	char c;
	loopback();
	int end, fd = connection(912, &end);
	CHECK_EQ(TCP("ActiveOpens"), 1);
	CHECK_EQ(TCP("PassiveOpens"), 1);
	CHECK_EQ(TCP("CurrEstab"), 2);
	CHECK(TCP("InSegs") >= 3);
	CHECK_EQ(TCP("InSegs"), TCP("OutSegs"));
	struct sockaddr_in nobody = in4("127.0.0.1", 913);
	int other = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	CHECK_ERR(connect(other, (void *)&nobody, sizeof nobody), ECONNREFUSED);
	CHECK_EQ(TCP("AttemptFails"), 1);
	CHECK_EQ(TCP("OutRsts"), 1);
	struct linger l = { 1, 0 };
	CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l));
	close(fd);
	CHECK_ERR(read(end, &c, 1), ECONNRESET);
	CHECK_EQ(TCP("CurrEstab"), 0);
	CHECK(TCP("EstabResets") >= 1);
}

TEST(ptype_lists_the_protocols)
{
	char line[128];
	int seen = 0;
	FILE *f = fopen("/proc/self/net/ptype", "r");
	CHECK(f != NULL);
	while (fgets(line, sizeof line, f)) {
		seen |= strncmp(line, "0800 ", 5) == 0;
		seen |= (strncmp(line, "0806 ", 5) == 0) << 1;
		seen |= (strncmp(line, "86dd ", 5) == 0) << 2;
	}
	fclose(f);
	CHECK_EQ(seen, 7);
}
