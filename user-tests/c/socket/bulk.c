/*
 * Much data through TCP over a cable: every byte arrives, in order, however slow the reader is. `bulk=N` on the kernel's
 * command line (APPEND=bulk=1024), or in the environment, sends N MiB instead of a few.
 */
#include "inet.h"
#include "steady.h"
#include <errno.h>
#include <poll.h>

enum { PIECE = 65536, PORT = 90, DEFAULT_MIB = 16 };

#define FAR "10.0.0.2"

static size_t amount(void)
{
	const char *mib = getenv("bulk");
	return (size_t)(mib && atoi(mib) > 0 ? atoi(mib) : DEFAULT_MIB) << 20;
}

struct stream {
	uint64_t state, sum;
	size_t done;
};

/* The next bytes of a stream that a seed determines (xorshift64). */
static void fill(struct stream *s, void *data, size_t len)
{
	uint64_t *word = data;
	for (size_t i = 0; i < len / 8; i++) {
		s->state ^= s->state << 13;
		s->state ^= s->state >> 7;
		s->state ^= s->state << 17;
		word[i] = s->state;
	}
}

/* FNV-1a over words that may come in any pieces. */
static void take(struct stream *s, const unsigned char *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		s->sum = (s->sum ^ data[i]) * 0x100000001b3ull;
	s->done += len;
}

static uint64_t send_all(int fd, uint64_t seed, size_t total)
{
	static uint64_t piece[PIECE / 8];
	struct stream s = { .state = seed };
	while (s.done < total) {
		fill(&s, piece, PIECE);
		for (size_t at = 0; at < PIECE;)
			at += CHECK_OK(write(fd, (char *)piece + at, PIECE - at));
		take(&s, (void *)piece, PIECE);
	}
	CHECK_OK(shutdown(fd, SHUT_WR));
	return s.sum;
}

static uint64_t receive_all(int fd, size_t total, size_t most, int pause)
{
	static unsigned char piece[PIECE];
	struct stream s = { 0 };
	ssize_t n;
	unsigned turn = 0;
	while ((n = CHECK_OK(read(fd, piece, 1 + (turn * 7919u) % most))) > 0) {
		take(&s, piece, n);
		if (pause && turn % 64 == 0)
			usleep(pause);
		turn++;
	}
	CHECK_EQ(s.done, total);
	return s.sum;
}

static int accepted(const char *addr, int port)
{
	int l = listener(addr, port, 1), fd = CHECK_OK(accept(l, NULL, NULL));
	close(l);
	return fd;
}

static int connected(const char *addr, int port)
{
	struct sockaddr_in a = in4(addr, port);
	int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	WAIT_FOR(connect(fd, (void *)&a, sizeof a) == 0);
	return fd;
}

/* Both ways at once, each with a checksum that the other side is told at the end. */
TEST_FOR(both_ways_at_once, 900)
{
	pid_t child = cable();
	size_t total = amount() / 2;
	int sums[2];
	CHECK_OK(pipe(sums));
	pid_t far = SPAWN({
		in_ns_of(child);
		int fd = accepted(FAR, PORT);
		pid_t sender = SPAWN({
			uint64_t sum = send_all(fd, 7, total);
			CHECK_EQ(write(sums[1], &sum, sizeof sum), (ssize_t)sizeof sum);
		});
		uint64_t got = receive_all(fd, total, PIECE, 0);
		JOIN(sender);
		CHECK_EQ(write(sums[1], &got, sizeof got), (ssize_t)sizeof got);
	});
	int fd = connected(FAR, PORT), mine[2];
	CHECK_OK(pipe(mine));
	pid_t sender = SPAWN({
		uint64_t sum = send_all(fd, 11, total);
		CHECK_EQ(write(mine[1], &sum, sizeof sum), (ssize_t)sizeof sum);
	});
	uint64_t got = receive_all(fd, total, PIECE, 0), theirs[2], ours;
	CHECK_EQ(read(sums[0], &theirs[0], 8), 8);
	CHECK_EQ(theirs[0], got);
	JOIN(sender);
	CHECK_EQ(read(mine[0], &ours, 8), 8);
	CHECK_EQ(read(sums[0], &theirs[1], 8), 8);
	CHECK_EQ(theirs[1], ours);
	JOIN(far);
	kill(child, SIGKILL);
}

/* A reader that does nothing stops the sender after the buffers are full; one that is slow gets everything. */
TEST_FOR(a_slow_reader_stops_the_sender, 900)
{
	static uint64_t piece[PIECE / 8];
	pid_t child = cable();
	size_t total = amount() / 4;
	int sums[2], go[2];
	CHECK_OK(pipe(sums));
	CHECK_OK(pipe(go));
	pid_t far = SPAWN({
		in_ns_of(child);
		int fd = accepted(FAR, PORT);
		char c;
		CHECK_EQ(read(go[0], &c, 1), 1);
		size_t expect = 0;
		CHECK_EQ(read(go[0], &expect, sizeof expect), (ssize_t)sizeof expect);
		uint64_t got = receive_all(fd, expect, 16384, 500);
		CHECK_EQ(write(sums[1], &got, sizeof got), (ssize_t)sizeof got);
	});
	int fd = connected(FAR, PORT);
	struct stream s = { .state = 13 };
	/* Until nothing goes for a while: at most what the two buffers may grow to. */
	for (;;) {
		fill(&s, piece, PIECE);
		size_t at = 0;
		while (at < PIECE) {
			ssize_t n = send(fd, (char *)piece + at, PIECE - at, MSG_DONTWAIT);
			if (n < 0) {
				CHECK_EQ(errno, EAGAIN);
				struct pollfd p = { .fd = fd, .events = POLLOUT };
				if (CHECK_OK(poll(&p, 1, 300)) == 0)
					break;
				continue;
			}
			at += n;
		}
		take(&s, (void *)piece, at);
		CHECK(s.done < 32 << 20);
		if (at < PIECE)
			break;
	}
	CHECK(s.done > 0);
	size_t stopped = s.done, expect = stopped + total / PIECE * PIECE;
	CHECK_EQ(write(go[1], "g", 1), 1);
	CHECK_EQ(write(go[1], &expect, sizeof expect), (ssize_t)sizeof expect);
	while (s.done < expect) {
		fill(&s, piece, PIECE);
		for (size_t at = 0; at < PIECE;)
			at += CHECK_OK(write(fd, (char *)piece + at, PIECE - at));
		take(&s, (void *)piece, PIECE);
	}
	CHECK_OK(shutdown(fd, SHUT_WR));
	uint64_t got;
	CHECK_EQ(read(sums[0], &got, 8), 8);
	CHECK_EQ(got, s.sum);
	JOIN(far);
	kill(child, SIGKILL);
}

/* Linux sends the last segment again if its answer takes some milliseconds (RFC 8985): no sign of a loss. */
static void without_probes(void)
{
	int fd = open("/proc/sys/net/ipv4/tcp_early_retrans", O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	CHECK_EQ(write(fd, "0", 1), 1);
	close(fd);
}

/* Nothing is lost within a machine, so nothing is sent twice, however many CPUs carry the segments. */
STEADY_FOR(nothing_is_sent_again, 900)
{
	pid_t child = cable();
	size_t total = amount() / 8;
	without_probes();
	for (int local = 0; local < 2; local++) {
		const char *addr = local ? "127.0.0.1" : FAR;
		pid_t far = SPAWN({
			if (!local)
				in_ns_of(child);
			without_probes();
			int fd = accepted(addr, PORT);
			pid_t sender = SPAWN({ send_all(fd, 7, total); });
			receive_all(fd, total, PIECE, 0);
			JOIN(sender);
			CHECK(counter("snmp", "Tcp:", "OutSegs") > 10);
			CHECK_EQ(counter("snmp", "Tcp:", "RetransSegs"), 0);
		});
		int fd = connected(addr, PORT);
		pid_t sender = SPAWN({ send_all(fd, 11, total); });
		receive_all(fd, total, PIECE, 0);
		JOIN(sender);
		JOIN(far);
		CHECK(counter("snmp", "Tcp:", "OutSegs") > 10);
		CHECK_EQ(counter("snmp", "Tcp:", "RetransSegs"), 0);
		close(fd);
	}
	kill(child, SIGKILL);
}
