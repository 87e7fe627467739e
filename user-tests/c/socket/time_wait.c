/* What a connection leaves behind: TIME-WAIT, and FIN-WAIT-2 without a program (RFC 9293, tcp(7)). */
#include "inet.h"
#include "proc.h"
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>

#define ESTABLISHED 1
#define FIN_WAIT_2 5
#define TIME_WAIT 6

/* The state of the connection from one port to the other in /proc/net/tcp; 0: there is none. */
static int state_of(int port, int to)
{
	char line[256];
	unsigned local, remote, state;
	int found = 0;
	FILE *f = fopen("/proc/thread-self/net/tcp", "r");
	CHECK(f != NULL);
	while (fgets(line, sizeof line, f))
		if (sscanf(line, "%*d: %*x:%x %*x:%x %x", &local, &remote, &state) == 3 && (int)local == port &&
		    (int)remote == to)
			found = state;
	fclose(f);
	return found;
}

static int tcp_socket(int reuse)
{
	int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &reuse, sizeof reuse));
	return fd;
}

/* 0 or the error of a bind to a port. */
static int bind_error(const char *addr, int port, int reuse)
{
	struct sockaddr_in a = in4(addr, port);
	int fd = tcp_socket(reuse), error = bind(fd, (void *)&a, sizeof a) ? errno : 0;
	close(fd);
	return error;
}

/* A connection to port 7000 from a port of the caller's choice, both ends with SO_REUSEADDR or without. */
static int ends(int from, int reuse, int *peer)
{
	struct sockaddr_in a = in4("127.0.0.1", 7000), own = in4("127.0.0.1", from);
	int server = tcp_socket(reuse), fd = tcp_socket(reuse);
	CHECK_OK(bind(server, (void *)&a, sizeof a));
	CHECK_OK(listen(server, 8));
	CHECK_OK(bind(fd, (void *)&own, sizeof own));
	CHECK_OK(connect(fd, (void *)&a, sizeof a));
	*peer = CHECK_OK(accept(server, NULL, NULL));
	close(server);
	return fd;
}

/* Both ends are closed, `first` before the other, which knows it. */
static void close_both(int first, int second)
{
	char c;
	close(first);
	CHECK_EQ(recv(second, &c, 1, 0), 0);
	close(second);
}

/* A connection that its client has closed first. */
static void came_and_went(int from, int reuse)
{
	int peer, fd = ends(from, reuse, &peer);
	close_both(fd, peer);
}

TEST(who_closes_first_waits)
{
	int peer;
	loopback();
	int fd = ends(6000, 0, &peer);
	CHECK_EQ(state_of(6000, 7000), ESTABLISHED);
	close_both(fd, peer);
	WAIT_FOR(state_of(6000, 7000) == TIME_WAIT);
	WAIT_FOR(state_of(7000, 6000) == 0);
}

TEST(the_port_is_taken_unless_both_reuse_it)
{
	loopback();
	came_and_went(6000, 0);
	WAIT_FOR(state_of(6000, 7000) == TIME_WAIT && state_of(7000, 6000) == 0);
	CHECK_EQ(bind_error("127.0.0.1", 6000, 0), EADDRINUSE);
	CHECK_EQ(bind_error("127.0.0.1", 6000, 1), EADDRINUSE);
	CHECK_EQ(bind_error("0.0.0.0", 6000, 1), EADDRINUSE);
	CHECK_EQ(bind_error("127.0.0.2", 6000, 0), 0);
	CHECK_EQ(bind_error("127.0.0.1", 7000, 0), 0);
	came_and_went(6001, 1);
	WAIT_FOR(state_of(6001, 7000) == TIME_WAIT && state_of(7000, 6001) == 0);
	CHECK_EQ(bind_error("127.0.0.1", 6001, 0), EADDRINUSE);
	CHECK_EQ(bind_error("127.0.0.1", 6001, 1), 0);
	CHECK_EQ(bind_error("0.0.0.0", 6001, 1), 0);
}

TEST(a_server_that_closed_first_cannot_have_its_port_at_once)
{
	int peer, fd;
	loopback();
	fd = ends(6000, 0, &peer);
	CHECK_EQ(bind_error("127.0.0.1", 7000, 0), EADDRINUSE);
	close_both(peer, fd);
	WAIT_FOR(state_of(7000, 6000) == TIME_WAIT && state_of(6000, 7000) == 0);
	CHECK_EQ(bind_error("127.0.0.1", 7000, 0), EADDRINUSE);
	CHECK_EQ(bind_error("127.0.0.1", 7000, 1), EADDRINUSE);
	CHECK_EQ(bind_error("127.0.0.1", 6000, 0), 0);
}

TEST(a_server_that_reuses_can)
{
	int peer, fd;
	loopback();
	fd = ends(6000, 1, &peer);
	CHECK_EQ(bind_error("127.0.0.1", 7000, 1), 0);
	CHECK_EQ(bind_error("127.0.0.1", 7000, 0), EADDRINUSE);
	close_both(peer, fd);
	WAIT_FOR(state_of(7000, 6000) == TIME_WAIT && state_of(6000, 7000) == 0);
	CHECK_EQ(bind_error("127.0.0.1", 7000, 0), EADDRINUSE);
	CHECK_EQ(bind_error("127.0.0.1", 7000, 1), 0);
}

TEST(an_accepted_connection_keeps_its_port)
{
	int peer, fd;
	loopback();
	fd = ends(6000, 1, &peer);
	CHECK_EQ(bind_error("127.0.0.1", 7000, 0), EADDRINUSE);
	struct linger now = { 1, 0 };
	CHECK_OK(setsockopt(peer, SOL_SOCKET, SO_LINGER, &now, sizeof now));
	close(peer);
	WAIT_FOR(state_of(7000, 6000) == 0);
	CHECK_EQ(bind_error("127.0.0.1", 7000, 0), 0);
	close(fd);
}

/* The same two ports again while the server's end waits: the new numbers are later ones. */
TEST(a_new_connection_takes_its_place)
{
	int peer, fd;
	char c = 0;
	loopback();
	for (int i = 0; i < 20; i++) {
		fd = ends(6000, 1, &peer);
		CHECK_EQ(send(fd, "x", 1, 0), 1);
		CHECK_EQ(recv(peer, &c, 1, 0), 1);
		close_both(peer, fd);
		WAIT_FOR(state_of(7000, 6000) == TIME_WAIT && state_of(6000, 7000) == 0);
	}
}

/* The same two ports again from the end that waits. */
TEST(the_same_ends_connect_again)
{
	loopback();
	for (int i = 0; i < 20; i++) {
		came_and_went(6000, 1);
		WAIT_FOR(state_of(6000, 7000) == TIME_WAIT && state_of(7000, 6000) == 0);
	}
}

/* The program is gone, the other end has not closed. */
TEST(half_a_connection_without_a_program)
{
	char c;
	int peer, fd;
	loopback();
	fd = ends(6000, 0, &peer);
	close(fd);
	CHECK_EQ(recv(peer, &c, 1, 0), 0);
	WAIT_FOR(state_of(6000, 7000) == FIN_WAIT_2);
	CHECK_EQ(bind_error("127.0.0.1", 6000, 0), EADDRINUSE);
	close(peer);
	WAIT_FOR(state_of(6000, 7000) == TIME_WAIT);
	WAIT_FOR(state_of(7000, 6000) == 0);
}

TEST(data_for_nobody_is_refused)
{
	char c;
	int peer, fd;
	loopback();
	fd = ends(6000, 0, &peer);
	close(fd);
	CHECK_EQ(recv(peer, &c, 1, 0), 0);
	WAIT_FOR(state_of(6000, 7000) == FIN_WAIT_2);
	CHECK_EQ(send(peer, "x", 1, MSG_NOSIGNAL), 1);
	WAIT_FOR(state_of(6000, 7000) == 0);
	WAIT_FOR(state_of(7000, 6000) == 0);
	CHECK_ERR(send(peer, "x", 1, MSG_NOSIGNAL), EPIPE);
	CHECK_EQ(bind_error("127.0.0.1", 6000, 0), 0);
}

TEST(half_a_connection_ends)
{
	char c;
	int peer, fd;
	loopback();
	CHECK_OK(kt_write_file("/proc/sys/net/ipv4/tcp_fin_timeout", "1"));
	fd = ends(6000, 0, &peer);
	close(fd);
	CHECK_EQ(recv(peer, &c, 1, 0), 0);
	WAIT_FOR(state_of(6000, 7000) == 0);
	/* The other end does not know. */
	CHECK_EQ(state_of(7000, 6000), 8);
	CHECK_EQ(send(peer, "x", 1, MSG_NOSIGNAL), 1);
	WAIT_FOR(state_of(7000, 6000) == 0);
}

static int linger2(int fd, int seconds)
{
	socklen_t len = sizeof seconds;
	CHECK_OK(setsockopt(fd, IPPROTO_TCP, TCP_LINGER2, &seconds, sizeof seconds));
	CHECK_OK(getsockopt(fd, IPPROTO_TCP, TCP_LINGER2, &seconds, &len));
	return seconds;
}

TEST(a_socket_says_how_long_half_of_it_lives)
{
	char c;
	int peer, fd;
	loopback();
	fd = ends(6000, 0, &peer);
	CHECK_EQ(linger2(fd, 0), 60);
	CHECK_EQ(linger2(fd, 1000), 120);
	CHECK_EQ(linger2(fd, -5), -1);
	CHECK_EQ(linger2(fd, 1), 1);
	close(fd);
	CHECK_EQ(recv(peer, &c, 1, 0), 0);
	WAIT_FOR(state_of(6000, 7000) == 0);
	close(peer);
	/* It does not wait at all. */
	fd = ends(6001, 0, &peer);
	linger2(fd, -1);
	close(fd);
	WAIT_FOR(state_of(6001, 7000) == 0);
	WAIT_FOR(state_of(7000, 6001) == 0);
	CHECK_ERR(send(peer, "x", 1, MSG_NOSIGNAL), EPIPE);
}

/* A socket whose connection waits is closed, whatever was not read yet. */
TEST(an_open_socket_is_closed)
{
	struct tcp_info info;
	socklen_t len = sizeof info;
	struct sockaddr_in a;
	char c;
	int peer, fd;
	loopback();
	fd = ends(6000, 0, &peer);
	CHECK_EQ(send(peer, "x", 1, 0), 1);
	CHECK_OK(shutdown(fd, SHUT_WR));
	CHECK_EQ(recv(peer, &c, 1, 0), 0);
	close(peer);
	WAIT_FOR(state_of(6000, 7000) == TIME_WAIT);
	CHECK_OK(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len));
	CHECK_EQ(info.tcpi_state, TCP_CLOSE);
	len = sizeof a;
	CHECK_ERR(getpeername(fd, (void *)&a, &len), ENOTCONN);
	struct pollfd p = { fd, POLLIN | POLLOUT | POLLRDHUP, 0 };
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
	CHECK_EQ(recv(fd, &c, 1, 0), 1);
	CHECK_EQ(recv(fd, &c, 1, 0), 0);
	CHECK_ERR(send(fd, "x", 1, MSG_NOSIGNAL), EPIPE);
	close(fd);
	CHECK_EQ(state_of(6000, 7000), TIME_WAIT);
}

static long waiting(void)
{
	char text[1024];
	CHECK(kt_read_file("/proc/thread-self/net/sockstat", text, sizeof text) > 0);
	char *at = strstr(text, " tw ");
	CHECK(at != NULL);
	return atol(at + 4);
}

TEST(only_so_many_wait)
{
	loopback();
	for (int i = 0; i < 5; i++) {
		if (i == 3)
			CHECK_OK(kt_write_file("/proc/sys/net/ipv4/tcp_max_tw_buckets", "3"));
		came_and_went(6000 + i, 1);
		WAIT_FOR(state_of(7000, 6000 + i) == 0);
		WAIT_FOR(state_of(6000 + i, 7000) == (i < 3 ? TIME_WAIT : 0));
	}
	CHECK_EQ(waiting(), 3);
	CHECK(counter("netstat", "TcpExt:", "TCPTimeWaitOverflow") >= 2);
}

/* 300 connections come and go; what is left of each is small. */
TEST(what_waits_is_small)
{
	int peer, server, fd;
	loopback();
	long long before = kt_field("/proc/meminfo", "MemAvailable: ");
	server = listener("127.0.0.1", 7000, 8);
	for (int i = 0; i < 300; i++) {
		fd = client("127.0.0.1", 7000);
		peer = CHECK_OK(accept(server, NULL, NULL));
		close_both(fd, peer);
	}
	WAIT_FOR(waiting() == 300);
	CHECK(before - kt_field("/proc/meminfo", "MemAvailable: ") < 8 << 10);
}

TEST(the_namespace_ends_what_waits)
{
	pid_t pid = SPAWN({
		loopback();
		came_and_went(6000, 0);
		WAIT_FOR(state_of(6000, 7000) == TIME_WAIT);
	});
	JOIN(pid);
}
