/* connect(2) to AF_UNSPEC: a TCP socket is connected no more, and can be used again. */
#include "inet.h"
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/ioctl.h>

static const struct sockaddr nobody = { .sa_family = AF_UNSPEC };

static int disconnect(int fd)
{
	return connect(fd, &nobody, sizeof nobody);
}

static struct sockaddr_in name_of(int fd)
{
	struct sockaddr_in a;
	socklen_t len = sizeof a;
	CHECK_OK(getsockname(fd, (void *)&a, &len));
	return a;
}

static int state_of(int fd)
{
	struct tcp_info info;
	socklen_t len = sizeof info;
	CHECK_OK(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len));
	return info.tcpi_state;
}

static int error_of(int fd)
{
	int error = -1;
	socklen_t len = sizeof error;
	CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len));
	return error;
}

static int events(int fd, int ms)
{
	struct pollfd p = { fd, POLLIN | POLLOUT | POLLPRI | POLLRDHUP, 0 };
	CHECK_OK(poll(&p, 1, ms));
	return p.revents;
}

/* `error`: what is told once. */
static void is_fresh(int fd, int error)
{
	struct sockaddr_in a;
	socklen_t len = sizeof a;
	char c;
	CHECK_EQ(state_of(fd), TCP_CLOSE);
	CHECK_EQ(error_of(fd), error);
	CHECK_EQ(error_of(fd), 0);
	CHECK_ERR(getpeername(fd, (void *)&a, &len), ENOTCONN);
	CHECK_EQ(events(fd, 0), POLLOUT | POLLHUP);
	CHECK_ERR(recv(fd, &c, 1, MSG_DONTWAIT), ENOTCONN);
	CHECK_ERR(send(fd, "x", 1, MSG_NOSIGNAL), EPIPE);
}

/* It carries bytes both ways to a new peer. */
static void works(int fd, int port)
{
	char buf[4];
	int server = listener("127.0.0.1", port, 4);
	struct sockaddr_in a = in4("127.0.0.1", port);
	CHECK_OK(connect(fd, (void *)&a, sizeof a));
	int end = CHECK_OK(accept(server, NULL, NULL));
	CHECK_EQ(send(fd, "abc", 3, 0), 3);
	CHECK_EQ(recv(end, buf, 3, MSG_WAITALL), 3);
	CHECK_EQ(send(end, "de", 2, 0), 2);
	CHECK_EQ(recv(fd, buf, 2, MSG_WAITALL), 2);
	CHECK_EQ(events(fd, 0), POLLOUT);
	close(end);
	close(server);
}

TEST(the_other_end_is_reset)
{
	int end;
	char c;
	loopback();
	int fd = connection(5000, &end), port = name_of(fd).sin_port;
	CHECK_OK(disconnect(fd));
	is_fresh(fd, ECONNRESET);
	/* Its port is still shown, but no longer its own. */
	CHECK_EQ(name_of(fd).sin_port, port);
	CHECK_EQ(name_of(fd).sin_addr.s_addr, 0);
	CHECK_EQ(events(end, 5000), POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP);
	CHECK_ERR(recv(end, &c, 1, 0), ECONNRESET);
	CHECK_EQ(recv(end, &c, 1, 0), 0);
	works(fd, 5001);
	CHECK_OK(disconnect(fd));
	CHECK_OK(disconnect(fd));
	works(fd, 5002);
}

TEST(what_was_received_is_lost)
{
	int end, n = -1, at = -1;
	char c;
	loopback();
	int fd = connection(5000, &end);
	CHECK_EQ(send(end, "abc", 3, MSG_OOB), 3);
	struct pollfd p = { fd, POLLPRI, 0 };
	CHECK_EQ(poll(&p, 1, 5000), 1);
	CHECK_OK(disconnect(fd));
	is_fresh(fd, ECONNRESET);
	CHECK_OK(ioctl(fd, SIOCINQ, &n));
	CHECK_EQ(n, 0);
	CHECK_OK(ioctl(fd, SIOCATMARK, &at));
	CHECK_EQ(at, 0);
	CHECK_ERR(recv(fd, &c, 1, MSG_OOB), EINVAL);
	CHECK_EQ(events(end, 5000), POLLIN | POLLOUT | POLLERR | POLLHUP | POLLRDHUP);
	CHECK_EQ(error_of(end), ECONNRESET);
	works(fd, 5001);
}

TEST(what_is_not_sent_is_lost)
{
	static char big[300000];
	int end;
	loopback();
	int fd = connection(5000, &end);
	CHECK_OK(fcntl(fd, F_SETFL, O_NONBLOCK));
	while (send(fd, big, sizeof big, 0) > 0)
		usleep(10000);
	CHECK_OK(disconnect(fd));
	CHECK_OK(fcntl(fd, F_SETFL, 0));
	is_fresh(fd, ECONNRESET);
	CHECK_EQ(error_of(end), ECONNRESET);
	works(fd, 5001);
}

TEST(after_the_other_end_has_closed)
{
	int end;
	char c;
	loopback();
	int fd = connection(5000, &end);
	CHECK_OK(shutdown(end, SHUT_WR));
	CHECK_EQ(recv(fd, &c, 1, 0), 0);
	CHECK_OK(disconnect(fd));
	is_fresh(fd, ECONNRESET);
	CHECK_ERR(recv(end, &c, 1, 0), ECONNRESET);
	works(fd, 5001);
}

/* When both have, nobody is told. */
TEST(after_both_have_closed)
{
	int end;
	char c;
	loopback();
	int fd = connection(5000, &end);
	CHECK_OK(shutdown(end, SHUT_WR));
	CHECK_EQ(recv(fd, &c, 1, 0), 0);
	CHECK_OK(shutdown(fd, SHUT_WR));
	CHECK_EQ(recv(end, &c, 1, 0), 0);
	CHECK_OK(disconnect(fd));
	is_fresh(fd, 0);
	CHECK_EQ(error_of(end), 0);
	works(fd, 5001);
}

/* A half that was closed does not stay so. */
TEST(after_it_has_closed)
{
	int end;
	char c;
	loopback();
	int fd = connection(5000, &end);
	CHECK_OK(shutdown(fd, SHUT_WR));
	CHECK_EQ(recv(end, &c, 1, 0), 0);
	usleep(50000);
	CHECK_EQ(state_of(fd), TCP_FIN_WAIT2);
	CHECK_OK(disconnect(fd));
	is_fresh(fd, ECONNRESET);
	works(fd, 5001);
}

TEST(after_a_reset)
{
	int end;
	struct linger now = { 1, 0 };
	loopback();
	int fd = connection(5000, &end);
	CHECK_OK(setsockopt(end, SOL_SOCKET, SO_LINGER, &now, sizeof now));
	close(end);
	CHECK(events(fd, 5000) & POLLERR);
	CHECK_OK(disconnect(fd));
	is_fresh(fd, ECONNRESET);
	works(fd, 5001);
}

TEST(what_bind_chose_stays)
{
	loopback();
	struct sockaddr_in a = in4("127.0.0.2", 5003), b = in4("127.0.0.1", 5000), any = in4("0.0.0.0", 5004), only = in4("127.0.0.3", 0);
	int server = listener("127.0.0.1", 5000, 8), fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	CHECK_OK(bind(fd, (void *)&a, sizeof a));
	CHECK_OK(connect(fd, (void *)&b, sizeof b));
	CHECK_OK(disconnect(fd));
	CHECK_EQ(name_of(fd).sin_port, htons(5003));
	CHECK_EQ(name_of(fd).sin_addr.s_addr, a.sin_addr.s_addr);
	CHECK_ERR(bind(fd, (void *)&any, sizeof any), EINVAL);
	int end = CHECK_OK(accept(server, NULL, NULL));
	close(end);
	CHECK_OK(connect(fd, (void *)&b, sizeof b));
	CHECK_OK(disconnect(fd));
	/* A port only: the address is given back. */
	fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	CHECK_OK(bind(fd, (void *)&any, sizeof any));
	CHECK_OK(connect(fd, (void *)&b, sizeof b));
	CHECK_EQ(name_of(fd).sin_addr.s_addr, htonl(INADDR_LOOPBACK));
	CHECK_OK(disconnect(fd));
	CHECK_EQ(name_of(fd).sin_port, htons(5004));
	CHECK_EQ(name_of(fd).sin_addr.s_addr, 0);
	/* An address only. */
	fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	CHECK_OK(bind(fd, (void *)&only, sizeof only));
	CHECK(name_of(fd).sin_port != 0);
	CHECK_OK(connect(fd, (void *)&b, sizeof b));
	CHECK_OK(disconnect(fd));
	CHECK_EQ(name_of(fd).sin_addr.s_addr, only.sin_addr.s_addr);
	/* So it may be bound again, elsewhere. */
	a = in4("127.0.0.4", 5005);
	CHECK_OK(bind(fd, (void *)&a, sizeof a));
	CHECK_EQ(name_of(fd).sin_addr.s_addr, a.sin_addr.s_addr);
}

TEST(it_may_listen)
{
	int end;
	loopback();
	int fd = connection(5000, &end);
	struct sockaddr_in a = in4("127.0.0.1", 5006);
	CHECK_OK(disconnect(fd));
	CHECK_OK(bind(fd, (void *)&a, sizeof a));
	CHECK_OK(listen(fd, 4));
	int other = client("127.0.0.1", 5006), here = CHECK_OK(accept(fd, NULL, NULL));
	CHECK_EQ(send(other, "x", 1, 0), 1);
	char c;
	CHECK_EQ(recv(here, &c, 1, 0), 1);
}

/* A socket that listens listens no more; those that wait for it are reset. */
TEST(one_that_listens)
{
	loopback();
	char c;
	int fd = listener("127.0.0.1", 5007, 4), other = client("127.0.0.1", 5007);
	usleep(50000);
	CHECK_OK(disconnect(fd));
	is_fresh(fd, 0);
	CHECK_ERR(recv(other, &c, 1, 0), ECONNRESET);
	CHECK_ERR(accept(fd, NULL, NULL), EINVAL);
	CHECK_EQ(name_of(fd).sin_port, htons(5007));
	struct sockaddr_in a = in4("127.0.0.1", 5007);
	other = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	CHECK_ERR(connect(other, (void *)&a, sizeof a), ECONNREFUSED);
	/* And it may again. */
	CHECK_OK(listen(fd, 4));
	other = client("127.0.0.1", 5007);
	CHECK_OK(accept(fd, NULL, NULL));
}

/* A handshake that goes on is given up. */
TEST(while_it_connects)
{
	pid_t there = cable();
	(void)there;
	struct sockaddr_in a = in4("10.0.0.77", 5008);
	int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	CHECK_ERR(connect(fd, (void *)&a, sizeof a), EINPROGRESS);
	CHECK_EQ(state_of(fd), TCP_SYN_SENT);
	CHECK_ERR(connect(fd, (void *)&a, sizeof a), EALREADY);
	CHECK_OK(disconnect(fd));
	CHECK_EQ(state_of(fd), TCP_CLOSE);
	CHECK_EQ(name_of(fd).sin_addr.s_addr, 0);
	CHECK_OK(fcntl(fd, F_SETFL, 0));
	is_fresh(fd, ECONNRESET);
	works(fd, 5009);
}

TEST(a_refused_one)
{
	loopback();
	struct sockaddr_in a = in4("127.0.0.1", 5010);
	int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0));
	CHECK_ERR(connect(fd, (void *)&a, sizeof a), EINPROGRESS);
	CHECK(events(fd, 5000) & POLLERR);
	CHECK_OK(disconnect(fd));
	CHECK_OK(fcntl(fd, F_SETFL, 0));
	is_fresh(fd, ECONNREFUSED);
	works(fd, 5010);
}

TEST(one_that_was_never_connected)
{
	loopback();
	int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	CHECK_OK(disconnect(fd));
	is_fresh(fd, 0);
	CHECK_ERR(connect(fd, &nobody, 1), EINVAL);
	CHECK_OK(connect(fd, &nobody, 2));
	struct sockaddr_in a = in4("127.0.0.1", 5011);
	CHECK_OK(bind(fd, (void *)&a, sizeof a));
	CHECK_OK(disconnect(fd));
	CHECK_EQ(name_of(fd).sin_port, htons(5011));
	works(fd, 5012);
}

/* Who waits in a call is told. */
TEST(a_reader_that_waits)
{
	int end;
	char c;
	loopback();
	int fd = connection(5000, &end);
	pid_t pid = SPAWN({
		CHECK_EQ(recv(fd, &c, 1, 0), -1);
	});
	usleep(200000);
	CHECK_OK(disconnect(fd));
	JOIN(pid);
}

/* Options stay. */
TEST(options_stay)
{
	int end, on = 1, off = 0;
	socklen_t len = sizeof off;
	loopback();
	int fd = connection(5000, &end);
	CHECK_OK(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on));
	CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on));
	CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &on, sizeof on));
	CHECK_OK(disconnect(fd));
	CHECK_OK(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &off, &len));
	CHECK_EQ(off, 1);
	off = 0;
	CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &off, &len));
	CHECK_EQ(off, 1);
	off = 0;
	CHECK_OK(getsockopt(fd, SOL_SOCKET, SO_OOBINLINE, &off, &len));
	CHECK_EQ(off, 1);
	works(fd, 5001);
}

/* Old segments do not reach the new connection. */
TEST(many_times)
{
	loopback();
	int server = listener("127.0.0.1", 5000, 64), fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	struct sockaddr_in a = in4("127.0.0.1", 5000), from = in4("127.0.0.1", 6000);
	CHECK_OK(bind(fd, (void *)&from, sizeof from));
	for (int i = 0; i < 100; i++) {
		CHECK_OK(connect(fd, (void *)&a, sizeof a));
		int end = CHECK_OK(accept(server, NULL, NULL));
		char c, d = i;
		CHECK_EQ(send(fd, &d, 1, 0), 1);
		CHECK_EQ(recv(end, &c, 1, 0), 1);
		CHECK_EQ(c, d);
		CHECK_OK(disconnect(fd));
		CHECK_ERR(recv(end, &c, 1, 0), ECONNRESET);
		close(end);
	}
}
