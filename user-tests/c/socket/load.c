/*
 * Many namespaces, many connections, many bytes: nothing is lost, mixed up or leaked.
 */
#include "inet.h"
#include <errno.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/un.h>

enum { SPACES = 3 };

/* A bridge in the caller's namespace with three cables; the spaces have 10.7.0.N and fd07::N. */
static void bridged(pid_t spaces[SPACES])
{
	CHECK_OK(unshare(CLONE_NEWNET));
	int here = net_ns_of(getpid());
	CHECK_EQ(nl_link_add("bridge", "br", IFF_UP), 0);
	CHECK_EQ(nl_addr_add("br", "10.7.0.254", 24), 0);
	for (int n = 0; n < SPACES; n++) {
		char port[8], v4[16], v6[16];
		spaces[n] = net_ns_child();
		int there = net_ns_of(spaces[n]);
		snprintf(port, sizeof port, "p%d", n);
		snprintf(v4, sizeof v4, "10.7.0.%d", n + 1);
		snprintf(v6, sizeof v6, "fd07::%d", n + 1);
		CHECK_EQ(nl_veth_add(port, "eth0", there), 0);
		CHECK_EQ(nl_link_set(port, IFLA_MASTER, if_nametoindex("br")), 0);
		CHECK_EQ(nl_link_up(port, 1), 0);
		net_ns_enter(there);
		CHECK_EQ(nl_link_up("lo", 1), 0);
		CHECK_EQ(nl_link_up("eth0", 1), 0);
		CHECK_EQ(nl_addr_add("eth0", v4, 24), 0);
		CHECK_EQ(nl_addr_add("eth0", v6, 64), 0);
		net_ns_enter(here);
		close(there);
	}
	close(here);
}

static struct sockaddr_in6 in6(const char *addr, int port)
{
	struct sockaddr_in6 a = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	CHECK_EQ(inet_pton(AF_INET6, addr, &a.sin6_addr), 1);
	return a;
}

static void ping(int family, const char *to)
{
	/* Echo sockets number and check their own. */
	struct sockaddr_in a4;
	struct sockaddr_in6 a6;
	unsigned char echo[12] = { family == AF_INET ? 8 : 128 }, reply[64];
	int fd = CHECK_OK(socket(family, SOCK_DGRAM, family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6));
	struct timeval t = { 1, 0 };
	CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
	for (int i = 0; i < 20; i++) {
		if (family == AF_INET) {
			a4 = in4(to, 0);
			sendto(fd, echo, sizeof echo, 0, (void *)&a4, sizeof a4);
		} else {
			a6 = in6(to, 0);
			sendto(fd, echo, sizeof echo, 0, (void *)&a6, sizeof a6);
		}
		if (recv(fd, reply, sizeof reply, 0) == sizeof echo) {
			CHECK_EQ(reply[0], family == AF_INET ? 0 : 129);
			close(fd);
			return;
		}
	}
	CHECK(!"an answer");
}

/* A server on port 80 of both families that tells who it is, and an abstract name. */
static void serve(int n)
{
	int one = 1, l = CHECK_OK(socket(AF_INET6, SOCK_STREAM, 0));
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons(80) };
	CHECK_OK(setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
	CHECK_OK(bind(l, (void *)&any, sizeof any));
	CHECK_OK(listen(l, 16));
	struct sockaddr_un u = { .sun_family = AF_UNIX, .sun_path = "\0space" };
	int s = CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0));
	CHECK_OK(bind(s, (void *)&u, sizeof u));
	CHECK_OK(listen(s, 1));
	for (;;) {
		int c = CHECK_OK(accept(l, NULL, NULL));
		char me = '0' + n;
		CHECK_EQ(write(c, &me, 1), 1);
		close(c);
	}
}

static void ask(int family, const char *to, int n)
{
	char who;
	struct sockaddr_in a4;
	struct sockaddr_in6 a6;
	int fd = CHECK_OK(socket(family, SOCK_STREAM, 0));
	if (family == AF_INET) {
		a4 = in4(to, 80);
		CHECK_OK(connect(fd, (void *)&a4, sizeof a4));
	} else {
		a6 = in6(to, 80);
		CHECK_OK(connect(fd, (void *)&a6, sizeof a6));
	}
	CHECK_EQ(read(fd, &who, 1), 1);
	CHECK_EQ(who, '0' + n);
	CHECK_EQ(read(fd, &who, 1), 0);
	close(fd);
}

TEST_FOR(three_namespaces_on_a_bridge, 120)
{
	pid_t spaces[SPACES], servers[SPACES];
	bridged(spaces);
	int range = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY);
	CHECK_EQ(write(range, "0 0", 3), 3);
	close(range);
	for (int n = 0; n < SPACES; n++)
		servers[n] = SPAWN({
			in_ns_of(spaces[n]);
			int all = open("/proc/sys/net/ipv4/ping_group_range", O_WRONLY);
			CHECK_EQ(write(all, "0 0", 3), 3);
			close(all);
			serve(n);
		});
	for (int n = 0; n < SPACES; n++) {
		pid_t client = SPAWN({
			in_ns_of(spaces[n]);
			struct sockaddr_un u = { .sun_family = AF_UNIX, .sun_path = "\0space" };
			int s = CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0));
			WAIT_FOR(connect(s, (void *)&u, sizeof u) == 0);
			for (int other = 0; other < SPACES; other++) {
				char v4[16], v6[16];
				snprintf(v4, sizeof v4, "10.7.0.%d", other + 1);
				snprintf(v6, sizeof v6, "fd07::%d", other + 1);
				ping(AF_INET, v4);
				ping(AF_INET6, v6);
				ask(AF_INET, v4, other);
				ask(AF_INET6, v6, other);
			}
		});
		JOIN(client);
	}
	/* The bridge's own namespace has the name not. */
	struct sockaddr_un u = { .sun_family = AF_UNIX, .sun_path = "\0space" };
	int s = CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0));
	CHECK_ERR(connect(s, (void *)&u, sizeof u), ECONNREFUSED);
	ping(AF_INET, "10.7.0.2");
	for (int n = 0; n < SPACES; n++) {
		kill(servers[n], SIGKILL);
		kill(spaces[n], SIGKILL);
	}
}

static void many_files(void)
{
	struct rlimit r = { 4096, 4096 };
	CHECK_OK(setrlimit(RLIMIT_NOFILE, &r));
}

TEST_FOR(a_thousand_connections_at_once, 120)
{
	enum { N = 1000 };
	static int in[N], out[N];
	loopback();
	many_files();
	int l = listener("127.0.0.1", 80, 128);
	for (int i = 0; i < N; i++) {
		in[i] = client("127.0.0.1", 80);
		out[i] = CHECK_OK(accept(l, NULL, NULL));
	}
	/* Each carries its own number, both ways. */
	for (int i = 0; i < N; i++)
		CHECK_EQ(write(in[i], &i, sizeof i), (ssize_t)sizeof i);
	for (int i = N; i-- > 0;) {
		int got = -1;
		CHECK_EQ(read(out[i], &got, sizeof got), (ssize_t)sizeof got);
		CHECK_EQ(got, i);
		got = -got;
		CHECK_EQ(write(out[i], &got, sizeof got), (ssize_t)sizeof got);
	}
	for (int i = 0; i < N; i++) {
		int got = 0;
		CHECK_EQ(read(in[i], &got, sizeof got), (ssize_t)sizeof got);
		CHECK_EQ(got, -i);
	}
}

/* The peer of a transfer is killed: who sends gets an error, who receives the end or one. */
TEST_FOR(a_peer_killed_in_the_middle_of_a_transfer, 60)
{
	static char data[32768];
	pid_t child = cable();
	int port = 81;
	pid_t reader = SPAWN({
		in_ns_of(child);
		int l = listener("10.0.0.2", port, 1);
		int c = CHECK_OK(accept(l, NULL, NULL));
		close(l);
		while (read(c, data, sizeof data) > 0)
			;
	});
	struct sockaddr_in a = in4("10.0.0.2", port);
	int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	WAIT_FOR(connect(fd, (void *)&a, sizeof a) == 0);
	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < 32; i++)
		CHECK(write(fd, data, sizeof data) > 0);
	kill(reader, SIGKILL);
	ssize_t n;
	while ((n = write(fd, data, sizeof data)) > 0)
		;
	CHECK_EQ(n, -1);
	CHECK(errno == ECONNRESET || errno == EPIPE);
	CHECK_ERR(write(fd, data, 1), EPIPE);
	close(fd);
	/* The other way round: who waits for data sees the end. */
	pid_t writer = SPAWN({
		in_ns_of(child);
		int l = listener("10.0.0.2", port + 1, 1);
		int c = CHECK_OK(accept(l, NULL, NULL));
		while (write(c, data, sizeof data) > 0)
			;
	});
	a = in4("10.0.0.2", port + 1);
	fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	WAIT_FOR(connect(fd, (void *)&a, sizeof a) == 0);
	for (int i = 0; i < 32; i++)
		CHECK(read(fd, data, sizeof data) > 0);
	kill(writer, SIGKILL);
	while ((n = read(fd, data, sizeof data)) > 0)
		;
	CHECK(n == 0 || errno == ECONNRESET);
	close(fd);
	kill(child, SIGKILL);
}

static long meminfo(const char *name)
{
	char line[128];
	long value = -1;
	FILE *f = fopen("/proc/meminfo", "r");
	CHECK(f != NULL);
	while (fgets(line, sizeof line, f))
		if (strncmp(line, name, strlen(name)) == 0)
			value = atol(line + strlen(name) + 1);
	fclose(f);
	return value;
}

/* A socket that does not stay behind to deliver what its program left. */
static void abrupt(int fd)
{
	struct linger l = { 1, 0 };
	CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof l));
}

/* A cable whose end is deleted while both sides send over it. */
static void delete_under_traffic(void)
{
	static char data[16384];
	pid_t child = cable();
	struct sockaddr_in there = in4("10.0.0.2", 82);
	pid_t reader = SPAWN({
		in_ns_of(child);
		int l = listener("10.0.0.2", 82, 1);
		int u = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
		CHECK_OK(bind(u, (void *)&there, sizeof there));
		int c = CHECK_OK(accept(l, NULL, NULL));
		abrupt(c);
		for (;;)
			if (read(c, data, sizeof data) <= 0)
				break;
		pause();
	});
	int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	WAIT_FOR(connect(fd, (void *)&there, sizeof there) == 0);
	abrupt(fd);
	int u = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	pid_t sender = SPAWN({
		for (;;) {
			sendto(u, data, 1000, 0, (void *)&there, sizeof there);
			send(fd, data, sizeof data, MSG_DONTWAIT | MSG_NOSIGNAL);
		}
	});
	usleep(20000);
	CHECK_EQ(nl_link_del("a"), 0);
	usleep(5000);
	CHECK_EQ(if_nametoindex("a"), 0);
	kill(sender, SIGKILL);
	kill(reader, SIGKILL);
	kill(child, SIGKILL);
	while (wait(NULL) > 0)
		;
}

TEST_FOR(devices_deleted_under_traffic_leak_nothing, 120)
{
	enum { WARM = 6, ROUNDS = 30 };
	/* The first rounds fill what the kernel keeps for later. */
	long before = 0;
	for (int i = 0; i < WARM + ROUNDS; i++) {
		if (i == WARM)
			before = meminfo("MemFree");
		pid_t round = SPAWN({ delete_under_traffic(); });
		JOIN(round);
	}
	/* Each round's buffers, sockets and namespaces are more than that, in kilobytes. */
	for (int i = 0; i < 30 && before - meminfo("MemFree") >= ROUNDS * 200; i++)
		sleep(1);
	CHECK(before - meminfo("MemFree") < ROUNDS * 200);
}
