/*
 * Socket statistics (sock_diag(7)), /proc/net and TCP_INFO: what ss and netstat show.
 */
#include "nl.h"
#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>

#define ALL_STATES 0xfff
enum { TCP_ESTABLISHED = 1, TCP_LISTEN = 10 };

static unsigned long inode(int fd)
{
	struct stat st;
	CHECK_OK(fstat(fd, &st));
	return st.st_ino;
}

static void lo_up(void)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	CHECK_EQ(nl_link_up("lo", 1), 0);
}

static int tcp_listen(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	CHECK_OK(bind(fd, (void *)&a, sizeof a));
	CHECK_OK(listen(fd, 7));
	return fd;
}

static int tcp_connect(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	CHECK_OK(connect(fd, (void *)&a, sizeof a));
	return fd;
}

/* Sends a request; the answers are in `buf`. */
static char buf[65536];
static ssize_t ask(int fd, int flags, const void *req, size_t len)
{
	struct nl_req r;
	nl_init(&r, SOCK_DIAG_BY_FAMILY, 0, req, len);
	r.h.nlmsg_flags = NLM_F_REQUEST | flags;
	CHECK_EQ(send(fd, &r, r.h.nlmsg_len, 0), (ssize_t)r.h.nlmsg_len);
	return CHECK_OK(recv(fd, buf, sizeof buf, 0));
}

static int diag_open(void)
{
	return CHECK_OK(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
}

static struct inet_diag_msg *find_inet(int states, unsigned long ino, int ext)
{
	int fd = diag_open();
	struct inet_diag_req_v2 q = { .sdiag_family = AF_INET, .sdiag_protocol = IPPROTO_TCP, .idiag_states = states, .idiag_ext = ext };
	ssize_t n = ask(fd, NLM_F_DUMP, &q, sizeof q);
	struct nlmsghdr *h = (void *)buf;
	for (; NLMSG_OK(h, n) && h->nlmsg_type != NLMSG_DONE; h = NLMSG_NEXT(h, n)) {
		struct inet_diag_msg *m = NLMSG_DATA(h);
		CHECK_EQ(h->nlmsg_type, SOCK_DIAG_BY_FAMILY);
		CHECK(h->nlmsg_flags & NLM_F_MULTI);
		if (m->idiag_inode == ino) {
			close(fd);
			return m;
		}
	}
	close(fd);
	return NULL;
}

static void *attr(void *msg, size_t head, int type, int *len)
{
	struct nlmsghdr *h = (void *)((char *)msg - NLMSG_HDRLEN);
	struct rtattr *a = (void *)((char *)msg + NLMSG_ALIGN(head));
	int left = h->nlmsg_len - NLMSG_HDRLEN - NLMSG_ALIGN(head);
	for (; RTA_OK(a, left); a = RTA_NEXT(a, left))
		if (a->rta_type == type) {
			if (len)
				*len = RTA_PAYLOAD(a);
			return RTA_DATA(a);
		}
	return NULL;
}

TEST(malformed_requests_are_refused)
{
	int fd = diag_open();
	struct nlmsghdr *h = (void *)buf;
	struct nlmsgerr *e = NLMSG_DATA(h);
	unsigned char one[64] = { AF_INET };
	ask(fd, NLM_F_DUMP, one, 1);
	CHECK_EQ(h->nlmsg_type, NLMSG_ERROR);
	CHECK_EQ(e->error, -EINVAL);
	one[0] = 200;
	ask(fd, NLM_F_DUMP, one, 56);
	CHECK_EQ(e->error, -EINVAL);
	one[0] = AF_UNIX;
	ask(fd, NLM_F_DUMP, one, 8);
	CHECK_EQ(e->error, -EINVAL);
	ask(fd, 0, one, 24);
	CHECK_EQ(e->error, -EINVAL);
	struct unix_diag_req u = { .sdiag_family = AF_UNIX, .udiag_ino = 1, .udiag_cookie = { -1, -1 } };
	ask(fd, 0, &u, sizeof u);
	CHECK_EQ(e->error, -ENOENT);
}

TEST(a_listening_socket_is_listed)
{
	lo_up();
	int fd = tcp_listen(7001);
	struct inet_diag_msg *m = find_inet(1 << TCP_LISTEN, inode(fd), 0);
	CHECK(m != NULL);
	CHECK_EQ(m->idiag_family, AF_INET);
	CHECK_EQ(m->idiag_state, TCP_LISTEN);
	CHECK_EQ(ntohs(m->id.idiag_sport), 7001);
	CHECK_EQ(m->id.idiag_src[0], htonl(INADDR_LOOPBACK));
	CHECK_EQ(m->idiag_uid, getuid());
	CHECK_EQ(m->idiag_rqueue, 0);
	CHECK_EQ(m->idiag_wqueue, 7);
	CHECK(find_inet(1 << TCP_ESTABLISHED, inode(fd), 0) == NULL);
	int c = tcp_connect(7001);
	struct pollfd p = { fd, POLLIN, 0 };
	CHECK_EQ(poll(&p, 1, 2000), 1);
	m = find_inet(1 << TCP_LISTEN, inode(fd), 0);
	CHECK_EQ(m->idiag_rqueue, 1);
	close(c);
	CHECK_OK(unshare(CLONE_NEWNET));
	CHECK(find_inet(ALL_STATES, inode(fd), 0) == NULL);
}

TEST(a_connection_tells_its_queues_and_options)
{
	lo_up();
	int l = tcp_listen(7002), c = tcp_connect(7002);
	int s = CHECK_OK(accept(l, NULL, NULL));
	CHECK_EQ(write(c, "hello", 5), 5);
	char byte;
	CHECK_EQ(recv(s, &byte, 1, MSG_PEEK), 1);
	struct inet_diag_msg *m = find_inet(ALL_STATES, inode(s), 1 << (INET_DIAG_SKMEMINFO - 1) | 1 << (INET_DIAG_INFO - 1));
	CHECK(m != NULL);
	CHECK_EQ(m->idiag_state, TCP_ESTABLISHED);
	CHECK_EQ(m->idiag_rqueue, 5);
	CHECK_EQ(ntohs(m->id.idiag_sport), 7002);
	int len = 0;
	unsigned *mem = attr(m, sizeof *m, INET_DIAG_SKMEMINFO, &len);
	CHECK(mem != NULL && len == 36);
	CHECK(mem[SK_MEMINFO_RCVBUF] > 0);
	struct tcp_info *i = attr(m, sizeof *m, INET_DIAG_INFO, &len);
	CHECK(i != NULL);
	CHECK_EQ(i->tcpi_state, TCP_ESTABLISHED);
	CHECK_EQ(i->tcpi_bytes_received, 5);
	CHECK(attr(m, sizeof *m, INET_DIAG_SHUTDOWN, NULL) != NULL);
	CHECK(attr(m, sizeof *m, INET_DIAG_TOS, NULL) == NULL);
}

TEST(one_socket_is_found_by_its_ends)
{
	lo_up();
	int l = tcp_listen(7003), fd = diag_open();
	struct inet_diag_req_v2 q = { .sdiag_family = AF_INET, .sdiag_protocol = IPPROTO_TCP, .idiag_states = ALL_STATES };
	q.id.idiag_sport = htons(7003);
	q.id.idiag_src[0] = htonl(INADDR_LOOPBACK);
	q.id.idiag_cookie[0] = q.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	ask(fd, 0, &q, sizeof q);
	struct nlmsghdr *h = (void *)buf;
	struct inet_diag_msg *m = NLMSG_DATA(h);
	CHECK_EQ(h->nlmsg_type, SOCK_DIAG_BY_FAMILY);
	CHECK_EQ(m->idiag_inode, inode(l));
	unsigned long long cookie = 0;
	socklen_t len = sizeof cookie;
	CHECK_OK(getsockopt(l, SOL_SOCKET, SO_COOKIE, &cookie, &len));
	CHECK_EQ(cookie, m->id.idiag_cookie[0] | (unsigned long long)m->id.idiag_cookie[1] << 32);
	q.id.idiag_cookie[0] = 0x12345678;
	q.id.idiag_cookie[1] = 0x12345678;
	ask(fd, 0, &q, sizeof q);
	struct nlmsgerr *e = NLMSG_DATA(h);
	CHECK_EQ(e->error, -ENOENT);
	q.id.idiag_sport = htons(7004);
	ask(fd, 0, &q, sizeof q);
	CHECK_EQ(e->error, -ENOENT);
}

static int dump_with_filter(const void *code, int len)
{
	int fd = diag_open(), count = 0;
	struct {
		struct inet_diag_req_v2 q;
		struct rtattr a;
		char code[64];
	} r = { .q = { .sdiag_family = AF_INET, .sdiag_protocol = IPPROTO_TCP, .idiag_states = ALL_STATES } };
	r.a.rta_type = INET_DIAG_REQ_BYTECODE;
	r.a.rta_len = RTA_LENGTH(len);
	memcpy(r.code, code, len);
	ssize_t n = ask(fd, NLM_F_DUMP, &r, sizeof r.q + RTA_LENGTH(len));
	close(fd);
	struct nlmsghdr *h = (void *)buf;
	if (h->nlmsg_type == NLMSG_ERROR)
		return ((struct nlmsgerr *)NLMSG_DATA(h))->error;
	for (; NLMSG_OK(h, n) && h->nlmsg_type != NLMSG_DONE; h = NLMSG_NEXT(h, n))
		count++;
	return count;
}

TEST(a_filter_narrows_a_listing)
{
	lo_up();
	tcp_listen(7005);
	tcp_listen(7006);
	tcp_listen(7010);
	struct inet_diag_bc_op ge[2] = { { INET_DIAG_BC_S_GE, 8, 12 }, { 0, 0, 7006 } };
	CHECK_EQ(dump_with_filter(ge, sizeof ge), 2);
	struct inet_diag_bc_op both[4] = {
		{ INET_DIAG_BC_S_GE, 8, 20 }, { 0, 0, 7006 }, { INET_DIAG_BC_S_LE, 8, 12 }, { 0, 0, 7009 },
	};
	CHECK_EQ(dump_with_filter(both, sizeof both), 1);
	both[2].no = 13;
	CHECK_EQ(dump_with_filter(both, sizeof both), -EINVAL);
	both[2].no = 400;
	CHECK_EQ(dump_with_filter(both, sizeof both), -EINVAL);
	ge[0].code = 77;
	CHECK_EQ(dump_with_filter(ge, sizeof ge), -EINVAL);
}

TEST(unix_sockets_tell_name_and_peer)
{
	lo_up();
	struct sockaddr_un a = { .sun_family = AF_UNIX, .sun_path = "\0diag" };
	int l = CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0)), c = CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0));
	CHECK_OK(bind(l, (void *)&a, 2 + 5));
	CHECK_OK(listen(l, 3));
	CHECK_OK(connect(c, (void *)&a, 2 + 5));
	int fd = diag_open(), len = 0;
	struct unix_diag_req q = { .sdiag_family = AF_UNIX, .udiag_ino = inode(l), .udiag_cookie = { -1, -1 } };
	q.udiag_show = UDIAG_SHOW_NAME | UDIAG_SHOW_PEER | UDIAG_SHOW_ICONS | UDIAG_SHOW_RQLEN;
	ask(fd, 0, &q, sizeof q);
	struct unix_diag_msg *m = NLMSG_DATA((struct nlmsghdr *)buf);
	CHECK_EQ(m->udiag_type, SOCK_STREAM);
	CHECK_EQ(m->udiag_state, TCP_LISTEN);
	char *name = attr(m, sizeof *m, UNIX_DIAG_NAME, &len);
	CHECK(name && len == 5 && !memcmp(name, "\0diag", 5));
	unsigned *icons = attr(m, sizeof *m, UNIX_DIAG_ICONS, &len);
	CHECK(icons && len == 4 && icons[0] == inode(c));
	struct unix_diag_rqlen *rq = attr(m, sizeof *m, UNIX_DIAG_RQLEN, &len);
	CHECK_EQ(rq->udiag_rqueue, 1);
	CHECK_EQ(rq->udiag_wqueue, 3);
	int s = CHECK_OK(accept(l, NULL, NULL));
	CHECK_EQ(write(c, "abc", 3), 3);
	q.udiag_ino = inode(s);
	ask(fd, 0, &q, sizeof q);
	CHECK_EQ(m->udiag_state, TCP_ESTABLISHED);
	unsigned *peer = attr(m, sizeof *m, UNIX_DIAG_PEER, &len);
	CHECK(peer && *peer == inode(c));
	rq = attr(m, sizeof *m, UNIX_DIAG_RQLEN, &len);
	CHECK_EQ(rq->udiag_rqueue, 3);
	/* Another namespace does not see them. */
	CHECK_OK(unshare(CLONE_NEWNET));
	fd = diag_open();
	ask(fd, 0, &q, sizeof q);
	CHECK_EQ(((struct nlmsgerr *)NLMSG_DATA((struct nlmsghdr *)buf))->error, -ENOENT);
}

static int proc_has(const char *path, const char *text)
{
	char line[512];
	int found = 0;
	FILE *f = fopen(path, "r");
	CHECK(f != NULL);
	while (fgets(line, sizeof line, f))
		found += strstr(line, text) != NULL;
	fclose(f);
	return found;
}

TEST(proc_net_lists_sockets)
{
	lo_up();
	int l = tcp_listen(7007), u = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(7008) };
	CHECK_OK(bind(u, (void *)&a, sizeof a));
	char text[64];
	CHECK_EQ(proc_has("/proc/self/net/tcp", "   0: 0100007F:1B5F 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 "), 1);
	sprintf(text, " 0 %lu ", inode(l));
	CHECK_EQ(proc_has("/proc/self/net/tcp", text), 1);
	CHECK_EQ(proc_has("/proc/self/net/udp", ": 00000000:1B60 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 "), 1);
	CHECK_EQ(proc_has("/proc/self/net/tcp6", "local_address                         remote_address"), 1);
	CHECK_EQ(proc_has("/proc/self/net/sockstat", "TCP: inuse 1 orphan 0 tw 0 "), 1);
	int x = CHECK_OK(socket(AF_UNIX, SOCK_DGRAM, 0));
	struct sockaddr_un n = { .sun_family = AF_UNIX, .sun_path = "\0proc" };
	CHECK_OK(bind(x, (void *)&n, 2 + 5));
	sprintf(text, " 0002 01 %5lu @proc", inode(x));
	CHECK_EQ(proc_has("/proc/self/net/unix", text), 1);
	CHECK_OK(unshare(CLONE_NEWNET));
	CHECK_EQ(proc_has("/proc/self/net/tcp", "1B5F"), 0);
	CHECK_EQ(proc_has("/proc/self/net/unix", "@proc"), 0);
}

TEST(tcp_info_counts)
{
	lo_up();
	int l = tcp_listen(7009), c = tcp_connect(7009);
	int s = CHECK_OK(accept(l, NULL, NULL));
	char data[4096] = { 0 };
	for (int n = 0; n < 8; n++)
		CHECK_EQ(write(c, data, sizeof data), (ssize_t)sizeof data);
	size_t got = 0;
	while (got < 8 * sizeof data)
		got += CHECK_OK(read(s, data, sizeof data));
	struct tcp_info i = { 0 };
	socklen_t len = sizeof i;
	CHECK_OK(getsockopt(c, IPPROTO_TCP, TCP_INFO, &i, &len));
	CHECK(len >= 192);
	CHECK_EQ(i.tcpi_state, TCP_ESTABLISHED);
	CHECK_EQ(i.tcpi_bytes_sent, 8 * sizeof data);
	CHECK(i.tcpi_rtt > 0);
	CHECK(i.tcpi_snd_mss > 1000);
	CHECK(i.tcpi_snd_cwnd > 0);
	CHECK_EQ(i.tcpi_total_retrans, 0);
	CHECK(i.tcpi_data_segs_out >= 1);
	len = sizeof i;
	CHECK_OK(getsockopt(s, IPPROTO_TCP, TCP_INFO, &i, &len));
	CHECK_EQ(i.tcpi_bytes_received, 8 * sizeof data);
}


TEST(the_requests_of_old_are_answered)
{
	struct { unsigned char family, src_len, dst_len, ext; struct inet_diag_sockid id; uint32_t states, dbs; } q = {
		.family = AF_INET, .states = ALL_STATES };
	struct nlmsghdr *h = (void *)buf;
	struct nl_req r;
	lo_up();
	unsigned long ino = inode(tcp_listen(4321));
	int fd = diag_open();
	nl_init(&r, TCPDIAG_GETSOCK, 0, &q, sizeof q);
	r.h.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	CHECK_EQ(send(fd, &r, r.h.nlmsg_len, 0), (ssize_t)r.h.nlmsg_len);
	CHECK_OK(recv(fd, buf, sizeof buf, 0));
	CHECK_EQ(h->nlmsg_type, TCPDIAG_GETSOCK);
	CHECK_EQ(((struct inet_diag_msg *)NLMSG_DATA(h))->idiag_inode, ino);
	/* Shorter than it is. */
	r.h.nlmsg_len -= 8;
	CHECK_EQ(send(fd, &r, r.h.nlmsg_len, 0), (ssize_t)r.h.nlmsg_len);
	while (h->nlmsg_type != NLMSG_ERROR)
		CHECK_OK(recv(fd, buf, sizeof buf, 0));
	CHECK_EQ(((struct nlmsgerr *)NLMSG_DATA(h))->error, -EINVAL);
}
