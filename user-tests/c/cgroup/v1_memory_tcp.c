/* memory.kmem.tcp.* of v1: buffers of sockets, apart from all other memory (cgroup-v1/memory.rst, 2.7). */
#include "inet.h"
#include "memory.h"

#define NONE 9223372036854771712LL

static long long tcp(const char *cg, const char *what)
{
	char file[64];
	snprintf(file, sizeof file, "memory.kmem.tcp.%s", what);
	return mem_get(cg, file);
}

TEST(values)
{
	mem1_init();
	const char *a = mem_new("a");
	for (int root = 0; root < 2; root++) {
		const char *cg = root ? "" : a;
		CHECK_EQ(tcp(cg, "limit_in_bytes"), NONE);
		CHECK_EQ(tcp(cg, "usage_in_bytes"), 0);
		CHECK_EQ(tcp(cg, "failcnt"), 0);
		CHECK_EQ(tcp(cg, "max_usage_in_bytes"), 0);
		CHECK_OK(mem_set(cg, "memory.kmem.tcp.failcnt", "x"));
		CHECK_OK(mem_set(cg, "memory.kmem.tcp.max_usage_in_bytes", "x"));
		CHECK_ERR(mem_set(cg, "memory.kmem.tcp.usage_in_bytes", "0"), EINVAL);
		CHECK_ERR(mem_set(cg, "memory.kmem.tcp.limit_in_bytes", "x"), EINVAL);
		CHECK_ERR(mem_set(cg, "memory.kmem.tcp.limit_in_bytes", "-2"), EINVAL);
	}
	CHECK_ERR(mem_set("", "memory.kmem.tcp.limit_in_bytes", "1M"), EINVAL);
	CHECK_ERR(mem_set("", "memory.kmem.tcp.limit_in_bytes", "-1"), EINVAL);
	CHECK_OK(mem_set(a, "memory.kmem.tcp.limit_in_bytes", "1M"));
	CHECK_EQ(tcp(a, "limit_in_bytes"), MB);
	CHECK_OK(mem_set(a, "memory.kmem.tcp.limit_in_bytes", "4097"));
	CHECK_EQ(tcp(a, "limit_in_bytes"), 4096);
	CHECK_OK(mem_set(a, "memory.kmem.tcp.limit_in_bytes", "-1"));
	CHECK_EQ(tcp(a, "limit_in_bytes"), NONE);
	mem_done();
}

/* Writes into a connection that nobody reads until it takes no more; returns how much it took. */
static long stuff(int s)
{
	static char data[65536];
	long sent = 0;
	CHECK_OK(fcntl(s, F_SETFL, O_NONBLOCK));
	for (int idle = 0; idle < 5;) {
		ssize_t n = write(s, data, sizeof data);
		if (n > 0)
			sent += n, idle = 0;
		else
			idle++, kt_sleep_ms(20);
	}
	return sent;
}

TEST(without_a_limit_nothing_is_counted)
{
	mem1_init();
	const char *a = mem_new("a");
	loopback();
	JOIN(SPAWN_IN(a, {
		int end, s = connection(84, &end);
		CHECK(stuff(s) > 0);
		CHECK_EQ(tcp(a, "usage_in_bytes"), 0);
		CHECK_EQ(tcp(a, "max_usage_in_bytes"), 0);
	}));
	mem_done();
}

TEST(with_a_limit_buffers_are_counted_and_given_back)
{
	mem1_init();
	const char *a = mem_new("a");
	const char *b = mem_new("a/b");
	loopback();
	CHECK_OK(mem_set(a, "memory.kmem.tcp.limit_in_bytes", "64M"));
	CHECK_OK(mem_set(b, "memory.kmem.tcp.limit_in_bytes", "64M"));
	JOIN(SPAWN_IN(b, {
		int end, s = connection(85, &end);
		CHECK(stuff(s) > 0);
		CHECK(tcp(b, "usage_in_bytes") > 0);
		CHECK(tcp(a, "usage_in_bytes") >= tcp(b, "usage_in_bytes"));
		CHECK(tcp(b, "max_usage_in_bytes") >= tcp(b, "usage_in_bytes"));
		CHECK_EQ(tcp(b, "failcnt"), 0);
		CHECK_ERR(mem_set(b, "memory.kmem.tcp.limit_in_bytes", "0"), EBUSY);
		CHECK_EQ(tcp(b, "limit_in_bytes"), 64 * MB);
		CHECK_ERR(mem_set(a, "memory.kmem.tcp.limit_in_bytes", "0"), EBUSY);
	}));
	WAIT_SECONDS(20, tcp(b, "usage_in_bytes") == 0);
	WAIT_SECONDS(20, tcp(a, "usage_in_bytes") == 0);
	CHECK(tcp(b, "max_usage_in_bytes") > 0);
	CHECK_OK(mem_set(b, "memory.kmem.tcp.max_usage_in_bytes", "0"));
	CHECK_EQ(tcp(b, "max_usage_in_bytes"), 0);
	mem_done();
}

TEST(the_limit_holds)
{
	mem1_init();
	const char *a = mem_new("a");
	loopback();
	CHECK_OK(mem_set(a, "memory.kmem.tcp.limit_in_bytes", "128K"));
	JOIN(SPAWN_IN(a, {
		int end, s = connection(86, &end);
		long sent = stuff(s);
		/* A connection always moves a little, however full it is. */
		CHECK(sent > 0 && sent < 4 * MB);
		CHECK(tcp(a, "usage_in_bytes") < MB);
		CHECK(tcp(a, "failcnt") > 0);
		char data[1024];
		for (long got = 0; got < sent;) {
			ssize_t n = read(end, data, sizeof data);
			CHECK(n > 0);
			got += n;
		}
	}));
	CHECK_OK(mem_set(a, "memory.kmem.tcp.failcnt", "0"));
	CHECK_EQ(tcp(a, "failcnt"), 0);
	WAIT_SECONDS(20, tcp(a, "usage_in_bytes") == 0);
	mem_done();
}

/* The other memory does not pay for it. */
TEST(sockets_are_no_other_memory)
{
	mem1_init();
	const char *a = mem_new("a");
	loopback();
	CHECK_OK(mem_set(a, "memory.kmem.tcp.limit_in_bytes", "1M"));
	CHECK_OK(mem_set(a, "memory.limit_in_bytes", "2M"));
	JOIN(SPAWN_IN(a, {
		int s[16];
		int end[16];
		for (int i = 0; i < 16; i++)
			s[i] = connection(8700 + i, &end[i]);
		for (int i = 0; i < 16; i++)
			CHECK(stuff(s[i]) > 0);
	}));
	mem_done();
}
