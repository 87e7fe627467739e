/*
 * Filters of classic BPF on sockets: SO_ATTACH_FILTER, SO_DETACH_FILTER, SO_LOCK_FILTER (socket(7)).
 */
#include "inet.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/udp.h>

#define LD(size, mode, k) { BPF_LD | size | mode, 0, 0, k }
#define RET(k) { BPF_RET | BPF_K, 0, 0, k }
#define JEQ(k, t, f) { BPF_JMP | BPF_JEQ | BPF_K, t, f, k }

static int attach(int fd, struct sock_filter *code, int len)
{
	struct sock_fprog p = { .len = len, .filter = code };
	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof p);
}
#define ATTACH(fd, ...) \
	({ struct sock_filter c_[] = { __VA_ARGS__ }; attach(fd, c_, sizeof c_ / sizeof *c_); })

static int set(int fd, int name, int value)
{
	return setsockopt(fd, SOL_SOCKET, name, &value, sizeof value);
}

static int udp(int port)
{
	struct sockaddr_in a = in4("127.0.0.1", port);
	int fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	CHECK_OK(bind(fd, (void *)&a, sizeof a));
	return fd;
}

static void send_udp(int fd, int port, const char *text)
{
	struct sockaddr_in a = in4("127.0.0.1", port);
	CHECK_EQ(sendto(fd, text, strlen(text), 0, (void *)&a, sizeof a), (ssize_t)strlen(text));
}

TEST(wrong_programs)
{
	int fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	struct sock_fprog p = { .len = 1, .filter = BAD_PTR };
	CHECK_ERR(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof p), EFAULT);
	CHECK_ERR(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof p - 1), EINVAL);
	p.filter = NULL;
	CHECK_ERR(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &p, sizeof p), EINVAL);
	CHECK_ERR(attach(fd, (struct sock_filter[]) { RET(1) }, 0), EINVAL);
	/* No return, a jump outside, an unknown instruction, an unknown fact. */
	CHECK_ERR(ATTACH(fd, LD(BPF_W, BPF_ABS, 0)), EINVAL);
	CHECK_ERR(ATTACH(fd, JEQ(1, 5, 0), RET(1)), EINVAL);
	CHECK_ERR(ATTACH(fd, { 0xff, 0, 0, 0 }, RET(1)), EINVAL);
	CHECK_ERR(ATTACH(fd, LD(BPF_W, BPF_ABS, SKF_AD_OFF + 1), RET(1)), EINVAL);
	CHECK_ERR(ATTACH(fd, { BPF_ALU | BPF_DIV | BPF_K, 0, 0, 0 }, RET(1)), EINVAL);
	/* Memory that is read before it is written. */
	CHECK_ERR(ATTACH(fd, { BPF_LD | BPF_MEM, 0, 0, 3 }, RET(1)), EINVAL);
	CHECK_ERR(set(fd, SO_DETACH_FILTER, 0), ENOENT);
}

TEST(a_filter_drops_and_cuts_datagrams)
{
	char buf[64];
	loopback();
	int fd = udp(900), from = udp(901);
	/* The first byte behind the header of UDP. */
	CHECK_OK(ATTACH(fd, LD(BPF_B, BPF_ABS, sizeof(struct udphdr)), JEQ('y', 0, 1), RET(-1u), RET(0)));
	send_udp(from, 900, "no");
	send_udp(from, 900, "yes");
	CHECK_EQ(recv(fd, buf, sizeof buf, 0), 3);
	CHECK_ERR(recv(fd, buf, sizeof buf, MSG_DONTWAIT), EAGAIN);
	CHECK_OK(ATTACH(fd, RET(sizeof(struct udphdr) + 2)));
	send_udp(from, 900, "abcdef");
	CHECK_EQ(recv(fd, buf, sizeof buf, 0), 2);
	CHECK_OK(set(fd, SO_DETACH_FILTER, 0));
	send_udp(from, 900, "abcdef");
	CHECK_EQ(recv(fd, buf, sizeof buf, 0), 6);
	/* What is known of a packet: its length, its device, its protocol. */
	CHECK_OK(ATTACH(fd, LD(BPF_W, BPF_LEN, 0), JEQ(sizeof(struct udphdr) + 4, 0, 3),
		LD(BPF_W, BPF_ABS, SKF_AD_OFF + SKF_AD_IFINDEX), JEQ(if_nametoindex("lo"), 0, 1), RET(-1u), RET(0)));
	send_udp(from, 900, "12345");
	send_udp(from, 900, "1234");
	CHECK_EQ(recv(fd, buf, sizeof buf, 0), 4);
	/* The network header is in front. */
	CHECK_OK(ATTACH(fd, LD(BPF_B, BPF_ABS, SKF_NET_OFF), { BPF_ALU | BPF_RSH | BPF_K, 0, 0, 4 }, JEQ(4, 0, 1), RET(-1u), RET(0)));
	send_udp(from, 900, "four");
	CHECK_EQ(recv(fd, buf, sizeof buf, 0), 4);
}

TEST(a_locked_filter_stays)
{
	loopback();
	int fd = udp(902), value = -1;
	socklen_t len = sizeof value;
	CHECK_OK(ATTACH(fd, RET(0)));
	CHECK_OK(set(fd, SO_LOCK_FILTER, 1));
	CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_LOCK_FILTER, &value, &len));
	CHECK_EQ(value, 1);
	CHECK_ERR(ATTACH(fd, RET(-1u)), EPERM);
	CHECK_ERR(set(fd, SO_DETACH_FILTER, 0), EPERM);
	CHECK_ERR(set(fd, SO_LOCK_FILTER, 0), EPERM);
	CHECK_OK(set(fd, SO_LOCK_FILTER, 1));
}

TEST(a_packet_socket_sees_what_its_filter_wants)
{
	unsigned char buf[256];
	CHECK_OK(unshare(CLONE_NEWNET));
	CHECK_EQ(nl_link_up("lo", 1), 0);
	int fd = CHECK_OK(socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL)));
	int from = udp(903);
	/* IPv4, UDP, the port: as tcpdump writes it. */
	CHECK_OK(ATTACH(fd, LD(BPF_H, BPF_ABS, 12), JEQ(ETH_P_IP, 0, 6),
		LD(BPF_B, BPF_ABS, 23), JEQ(IPPROTO_UDP, 0, 4),
		{ BPF_LDX | BPF_B | BPF_MSH, 0, 0, 14 }, LD(BPF_H, BPF_IND, 16), JEQ(904, 0, 1), RET(44), RET(0)));
	send_udp(from, 905, "not this one");
	send_udp(from, 904, "this one");
	CHECK_EQ(recv(fd, buf, sizeof buf, 0), 44);
	CHECK_EQ(buf[36] << 8 | buf[37], 904);
}

TEST(a_listener_that_drops_everything_is_not_reached)
{
	loopback();
	int l = listener("127.0.0.1", 906, 1);
	CHECK_OK(ATTACH(l, RET(0)));
	struct sockaddr_in a = in4("127.0.0.1", 906);
	int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	CHECK_ERR(connect(fd, (void *)&a, sizeof a), EINPROGRESS);
	usleep(200000);
	CHECK_ERR(connect(fd, (void *)&a, sizeof a), EALREADY);
}

TEST(a_filter_can_be_read)
{
	int fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	struct sock_filter code[] = { LD(BPF_W, BPF_LEN, 0), { BPF_JMP | BPF_JGT | BPF_K, 1, 0, 9 }, RET(0), RET(77) }, got[8];
	socklen_t len = 8;
	CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, got, &len));
	CHECK_EQ(len, 0);
	CHECK_OK(attach(fd, code, 4));
	/* Lengths are instructions: 0 asks how many. */
	len = 0;
	CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, NULL, &len));
	CHECK_EQ(len, 4);
	len = 3;
	CHECK_ERR(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, got, &len), EINVAL);
	len = 4;
	CHECK_ERR(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, BAD_PTR, &len), EFAULT);
	len = 8;
	memset(got, 0xee, sizeof got);
	CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, got, &len));
	CHECK_EQ(len, 4);
	CHECK(memcmp(got, code, sizeof code) == 0);
	CHECK_EQ(got[4].code, 0xeeee);
	CHECK_OK(set(fd, SO_DETACH_FILTER, 0));
	CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, got, &len));
	CHECK_EQ(len, 0);
}

static void unix_filter(int type)
{
	int s[2];
	char buf[16];
	CHECK_OK(socketpair(AF_UNIX, type, 0, s));
	CHECK_OK(fcntl(s[1], F_SETFL, O_NONBLOCK));
	/* What begins with 'a' is dropped, of the rest three bytes are kept. */
	CHECK_OK(ATTACH(s[1], LD(BPF_B, BPF_ABS, 0), JEQ('a', 0, 1), RET(0), RET(3)));
	CHECK_EQ(send(s[0], "abcde", 5, 0), 5);
	CHECK_EQ(send(s[0], "bcdef", 5, 0), 5);
	CHECK_EQ(send(s[0], "c", 1, 0), 1);
	/* A message without a first byte ends the program with 0. */
	CHECK_EQ(send(s[0], "", 0, 0), 0);
	CHECK_EQ(recv(s[1], buf, sizeof buf, 0), 3);
	CHECK(memcmp(buf, "bcd", 3) == 0);
	CHECK_EQ(recv(s[1], buf, sizeof buf, 0), 1);
	CHECK_ERR(recv(s[1], buf, sizeof buf, 0), EAGAIN);
	CHECK_OK(set(s[1], SO_LOCK_FILTER, 1));
	CHECK_ERR(set(s[1], SO_DETACH_FILTER, 0), EPERM);
	/* The other direction has none. */
	CHECK_EQ(send(s[1], "abc", 3, 0), 3);
	CHECK_EQ(recv(s[0], buf, sizeof buf, 0), 3);
}

TEST(messages_of_unix_sockets_are_filtered)
{
	unix_filter(SOCK_DGRAM);
	unix_filter(SOCK_SEQPACKET);
}

TEST(streams_of_unix_sockets_are_not)
{
	int s[2];
	char buf[16];
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CHECK_OK(ATTACH(s[1], RET(0)));
	CHECK_EQ(send(s[0], "abc", 3, 0), 3);
	CHECK_EQ(recv(s[1], buf, sizeof buf, 0), 3);
	CHECK_OK(set(s[1], SO_DETACH_FILTER, 0));
}
