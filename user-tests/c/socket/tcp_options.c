/* Options of TCP sockets (tcp(7)): what they are at first, what they may be, and what they do. */
#include "inet.h"
#include "steady.h"
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>

static int get(int fd, int name)
{
	int value = -1;
	socklen_t len = sizeof value;
	CHECK_OK(getsockopt(fd, IPPROTO_TCP, name, &value, &len));
	return value;
}

static int set(int fd, int name, int value)
{
	return setsockopt(fd, IPPROTO_TCP, name, &value, sizeof value);
}

/* Bytes to read, after a while for those on their way. */
static int arrives(int fd, int ms)
{
	struct pollfd p = { fd, POLLIN, 0 };
	return poll(&p, 1, ms);
}

static int received(int fd)
{
	char buf[4096];
	return recv(fd, buf, sizeof buf, MSG_DONTWAIT);
}

TEST(what_they_are_at_first)
{
	loopback();
	int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	CHECK_EQ(get(fd, TCP_NODELAY), 0);
	CHECK_EQ(get(fd, TCP_CORK), 0);
	CHECK_EQ(get(fd, TCP_MAXSEG), 536);
	CHECK_EQ(get(fd, TCP_KEEPIDLE), 7200);
	CHECK_EQ(get(fd, TCP_SYNCNT), 6);
	CHECK_EQ(get(fd, TCP_LINGER2), 60);
	CHECK_EQ(get(fd, TCP_DEFER_ACCEPT), 0);
	CHECK_EQ(get(fd, TCP_QUICKACK), 1);
	CHECK_EQ(get(fd, TCP_USER_TIMEOUT), 0);
	close(fd);
}

TEST(what_they_may_be)
{
	loopback();
	int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	CHECK_ERR(set(fd, TCP_SYNCNT, 0), EINVAL);
	CHECK_ERR(set(fd, TCP_SYNCNT, 128), EINVAL);
	CHECK_OK(set(fd, TCP_SYNCNT, 3));
	CHECK_EQ(get(fd, TCP_SYNCNT), 3);
	CHECK_ERR(set(fd, TCP_MAXSEG, 87), EINVAL);
	CHECK_ERR(set(fd, TCP_MAXSEG, 32768), EINVAL);
	CHECK_OK(set(fd, TCP_MAXSEG, 600));
	CHECK_EQ(get(fd, TCP_MAXSEG), 600);
	CHECK_ERR(set(fd, TCP_USER_TIMEOUT, -1), EINVAL);
	CHECK_OK(set(fd, TCP_USER_TIMEOUT, 1500));
	CHECK_EQ(get(fd, TCP_USER_TIMEOUT), 1500);
	CHECK_OK(set(fd, TCP_CORK, 5));
	CHECK_EQ(get(fd, TCP_CORK), 1);
	CHECK_OK(set(fd, TCP_QUICKACK, 0));
	CHECK_EQ(get(fd, TCP_QUICKACK), 0);
	CHECK_OK(set(fd, TCP_DEFER_ACCEPT, 5));
	CHECK(get(fd, TCP_DEFER_ACCEPT) >= 5);
	CHECK_OK(set(fd, TCP_DEFER_ACCEPT, -3));
	CHECK_EQ(get(fd, TCP_DEFER_ACCEPT), 0);
	close(fd);
}

TEST(a_child_has_those_of_its_listener)
{
	loopback();
	int server = listener("127.0.0.1", 7000, 8);
	CHECK_OK(set(server, TCP_NODELAY, 1));
	CHECK_OK(set(server, TCP_LINGER2, 5));
	CHECK_OK(set(server, TCP_USER_TIMEOUT, 1234));
	CHECK_OK(set(server, TCP_KEEPCNT, 3));
	CHECK_OK(set(server, TCP_SYNCNT, 2));
	int fd = client("127.0.0.1", 7000), end = CHECK_OK(accept(server, NULL, NULL));
	CHECK_EQ(get(end, TCP_NODELAY), 1);
	CHECK_EQ(get(end, TCP_LINGER2), 5);
	CHECK_EQ(get(end, TCP_USER_TIMEOUT), 1234);
	CHECK_EQ(get(end, TCP_KEEPCNT), 3);
	CHECK_EQ(get(end, TCP_SYNCNT), 2);
	close(fd);
	close(end);
}

STEADY(a_cork_holds_what_does_not_fill_a_segment)
{
	int end, fd;
	loopback();
	fd = connection(7000, &end);
	CHECK_OK(set(fd, TCP_CORK, 1));
	CHECK_EQ(send(fd, "abc", 3, 0), 3);
	CHECK_EQ(arrives(end, 20), 0);
	CHECK_EQ(send(fd, "de", 2, 0), 2);
	CHECK_EQ(arrives(end, 20), 0);
	CHECK_OK(set(fd, TCP_CORK, 0));
	CHECK_EQ(arrives(end, 5000), 1);
	CHECK_EQ(received(end), 5);
	/* Who is told at once to hold nothing back sends what is held. */
	CHECK_OK(set(fd, TCP_CORK, 1));
	CHECK_EQ(send(fd, "abc", 3, 0), 3);
	CHECK_EQ(arrives(end, 20), 0);
	CHECK_OK(set(fd, TCP_NODELAY, 1));
	CHECK_EQ(arrives(end, 5000), 1);
	CHECK_EQ(received(end), 3);
}

TEST(a_cork_holds_nothing_for_long)
{
	int end, fd;
	loopback();
	fd = connection(7000, &end);
	CHECK_OK(set(fd, TCP_CORK, 1));
	CHECK_EQ(send(fd, "abc", 3, 0), 3);
	CHECK_EQ(arrives(end, 5000), 1);
	CHECK_EQ(received(end), 3);
}

TEST(what_is_corked_is_sent_before_the_end)
{
	char buf[100001];
	int end, fd;
	size_t got = 0;
	ssize_t n;
	loopback();
	fd = connection(7000, &end);
	CHECK_OK(set(fd, TCP_CORK, 1));
	pid_t pid = SPAWN({
		memset(buf, 'x', sizeof buf);
		for (size_t at = 0; at < sizeof buf; at += 7)
			CHECK_EQ(send(fd, buf, at + 7 > sizeof buf ? sizeof buf - at : 7, 0),
				 at + 7 > sizeof buf ? (long)(sizeof buf - at) : 7);
		close(fd);
	});
	close(fd);
	while ((n = recv(end, buf, sizeof buf, 0)) > 0)
		got += n;
	CHECK_EQ(n, 0);
	CHECK_EQ(got, sizeof buf);
	JOIN(pid);
}

STEADY(msg_more_holds_until_the_next)
{
	int end, fd;
	loopback();
	fd = connection(7000, &end);
	CHECK_EQ(send(fd, "abc", 3, MSG_MORE), 3);
	CHECK_EQ(arrives(end, 20), 0);
	CHECK_EQ(send(fd, "de", 2, 0), 2);
	CHECK_EQ(arrives(end, 5000), 1);
	CHECK_EQ(received(end), 5);
}

TEST(segments_are_no_longer_than_asked)
{
	loopback();
	int server = listener("127.0.0.1", 7000, 8), fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	struct sockaddr_in a = in4("127.0.0.1", 7000);
	CHECK_OK(set(fd, TCP_MAXSEG, 600));
	CHECK_OK(connect(fd, (void *)&a, sizeof a));
	int end = CHECK_OK(accept(server, NULL, NULL));
	CHECK(get(fd, TCP_MAXSEG) <= 600 && get(fd, TCP_MAXSEG) > 500);
	CHECK(get(end, TCP_MAXSEG) <= 600 && get(end, TCP_MAXSEG) > 500);
}

/* A connection is there for accept(2) when there is something to read. */
TEST(accept_is_deferred)
{
	loopback();
	int server = listener("127.0.0.1", 7000, 8);
	CHECK_OK(set(server, TCP_DEFER_ACCEPT, 30));
	int fd = client("127.0.0.1", 7000);
	CHECK_EQ(arrives(server, 50), 0);
	CHECK_OK(fcntl(server, F_SETFL, O_NONBLOCK));
	CHECK_ERR(accept(server, NULL, NULL), EAGAIN);
	CHECK_EQ(send(fd, "abc", 3, 0), 3);
	CHECK_EQ(arrives(server, 5000), 1);
	int end = CHECK_OK(accept(server, NULL, NULL));
	CHECK_EQ(received(end), 3);
}

/* Nothing is acknowledged any more: the program says when it gives up. */
TEST(a_user_says_when_to_give_up)
{
	char c;
	pid_t other = cable();
	int here = net_ns_of(getpid());
	in_ns_of(other);
	int server = listener("10.0.0.2", 7000, 8);
	net_ns_enter(here);
	int fd = client("10.0.0.2", 7000);
	int end = CHECK_OK(accept(server, NULL, NULL));
	CHECK_OK(set(fd, TCP_USER_TIMEOUT, 700));
	in_ns_of(other);
	CHECK_EQ(nl_link_up("b", 0), 0);
	net_ns_enter(here);
	long long start = kt_now_ms();
	CHECK_EQ(send(fd, "x", 1, 0), 1);
	CHECK_EQ(arrives(fd, 20000), 1);
	CHECK_ERR(recv(fd, &c, 1, 0), ETIMEDOUT);
	CHECK(kt_now_ms() - start >= 600);
	close(end);
}

/* Nobody answers: two attempts, after one second and after two more it is given up. */
TEST(a_user_says_how_often_to_try)
{
	struct sockaddr_in a = in4("10.9.0.2", 7000);
	loopback();
	CHECK_EQ(nl_link_add("dummy", "d0", 0), 0);
	CHECK_EQ(nl_addr_add("d0", "10.9.0.1", 24), 0);
	CHECK_EQ(nl_link_up("d0", 1), 0);
	int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	CHECK_OK(set(fd, TCP_SYNCNT, 1));
	long long start = kt_now_ms();
	CHECK_ERR(connect(fd, (void *)&a, sizeof a), ETIMEDOUT);
	CHECK(kt_now_ms() - start >= 2900 && kt_now_ms() - start < 20000);
}
