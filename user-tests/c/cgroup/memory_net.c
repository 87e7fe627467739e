/* What sockets hold is charged to memory (cgroup-v2.rst, "sock" of memory.stat). */
#include "cgroup.h"
#include "inet.h"

static long sock_of(const char *dir)
{
	const char *line = strstr(cg_read(dir, "memory.stat"), "\nsock ");
	CHECK(line != NULL);
	return atol(line + 6);
}

TEST(bytes_that_wait_for_a_slow_reader_are_charged)
{
	static char data[65536];
	cg2();
	CHECK_OK(cg_write("", "cgroup.subtree_control", "+memory"));
	const char *a = cg_new("");
	loopback();
	JOIN(SPAWN({
		cg_enter(a);
		int end, s = connection(83, &end);
		CHECK_OK(fcntl(s, F_SETFL, O_NONBLOCK));
		long sent = 0;
		for (int idle = 0; idle < 5;) {
			ssize_t n = write(s, data, sizeof data);
			if (n > 0)
				sent += n, idle = 0;
			else
				idle++, kt_sleep_ms(20);
		}
		/* The reader stops the sender, and what was sent is counted. */
		CHECK(sent > 0 && sent < 64 << 20);
		WAIT_FOR(sock_of(a) >= sent / 4);
	}));
	WAIT_FOR(rmdir(cg_path("%s", a)) == 0);
	CHECK_OK(cg_write("", "cgroup.subtree_control", "-memory"));
}
