/* time_namespaces(7): /proc/PID/timens_offsets, and who is in which namespace. */
#include <pthread.h>

#include "time_ns.h"

TEST(they_start_as_the_parents)
{
	char text[128];
	CHECK(kt_read_file("/proc/self/timens_offsets", text, sizeof text) > 0);
	CHECK(!strcmp(text, "monotonic           0         0\nboottime            0         0\n"));
	JOIN(SPAWN_WITH_OFFSETS("monotonic 100000 5\nboottime -1 999999999", {
		CHECK(!strcmp(proc_text(0, "timens_offsets"), "monotonic 100000 5\nboottime -1 999999999\n"));
		/* A namespace made below starts with them. */
		CHECK_OK(unshare(CLONE_NEWTIME));
		CHECK(!strcmp(proc_text(0, "timens_offsets"), "monotonic 100000 5\nboottime -1 999999999\n"));
		CHECK_OK(proc_write(0, "timens_offsets", "monotonic 200000 0"));
		JOIN(SPAWN(CHECK(!strcmp(proc_text(0, "timens_offsets"), "monotonic 200000 0\nboottime -1 999999999\n"))));
	}));
}

TEST(the_caller_stays_where_it_is)
{
	JOIN(SPAWN({
		ino_t before = ns_number(0, "time");
		CHECK_EQ(ns_number(0, "time_for_children"), before);
		CHECK_OK(unshare(CLONE_NEWTIME));
		CHECK_EQ(ns_number(0, "time"), before);
		ino_t children = ns_number(0, "time_for_children");
		CHECK(children != before);
		CHECK_OK(proc_write(0, "timens_offsets", "monotonic 1000000 0"));
		CHECK_NEAR(clock_ns(CLOCK_MONOTONIC), clock_call(CLOCK_MONOTONIC));
		JOIN(SPAWN({
			CHECK_EQ(ns_number(0, "time"), children);
			CHECK_EQ(ns_number(0, "time_for_children"), children);
		}));
		/* Every child, not only the first. */
		JOIN(SPAWN(CHECK_EQ(ns_number(0, "time"), children)));
	}));
}

TEST(frozen_with_the_first_child)
{
	JOIN(SPAWN({
		CHECK_OK(unshare(CLONE_NEWTIME));
		CHECK_OK(proc_write(0, "timens_offsets", "monotonic 100 0"));
		CHECK_OK(proc_write(0, "timens_offsets", "monotonic 200 0\nboottime 300 0"));
		JOIN(SPAWN(CHECK_ERR(proc_write(0, "timens_offsets", "monotonic 1 0"), EACCES)));
		CHECK_ERR(proc_write(0, "timens_offsets", "monotonic 1 0"), EACCES);
		/* A new one can be made of course. */
		CHECK_OK(unshare(CLONE_NEWTIME));
		CHECK_OK(proc_write(0, "timens_offsets", "monotonic 1 0"));
	}));
	if (!kt_native())
		CHECK_ERR(proc_write(0, "timens_offsets", "monotonic 1 0"), EACCES);
}

TEST(syntax)
{
	static const char *const bad[] = {
		"monotonic", "monotonic 1", "realtime 1 0", "0 1 0", "monotonic 1 1000000000",
		"monotonic a 0", "\n", "monotonic 1 0\nnonsense", "monotonicx 1 0", "1 1 x",
	};
	static const char *const good[] = {
		"monotonic 1 0", "1 1 0\n", "boottime 5 1\nmonotonic 6 2", "7 5 999999999",
		"monotonic -1 0", "  monotonic   1\t0", "monotonic 1 0\nmonotonic 2 0",
		"monotonic 1 0 0", "monotonic 1 0 junk",
	};
	JOIN(SPAWN({
		CHECK_OK(unshare(CLONE_NEWTIME));
		for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
			errno = 0;
			if (proc_write(0, "timens_offsets", bad[i]) == 0 || errno != EINVAL)
				KT_FAIL("\"%s\" gave errno %d", bad[i], errno);
		}
		for (size_t i = 0; i < sizeof good / sizeof *good; i++)
			if (proc_write(0, "timens_offsets", good[i]) < 0)
				KT_FAIL("\"%s\" gave errno %d", good[i], errno);
		/* Nothing of a write with a wrong line is taken. */
		CHECK_OK(proc_write(0, "timens_offsets", "monotonic 5 0\nboottime 6 0"));
		CHECK_ERR(proc_write(0, "timens_offsets", "monotonic 7 0\nboottime 8"), EINVAL);
		CHECK(!strcmp(proc_text(0, "timens_offsets"), "monotonic 5 0\nboottime 6 0\n"));
		/* Two lines are read of three. */
		int fd = CHECK_OK(open("/proc/self/timens_offsets", O_WRONLY));
		CHECK_EQ(write(fd, "monotonic 9 0\nboottime 9 0\nmonotonic 10 0\n", 42), 27);
		CHECK(!strcmp(proc_text(0, "timens_offsets"), "monotonic 9 0\nboottime 9 0\n"));
		/* A write does not move the position; at another than the start it is refused. */
		CHECK_EQ(write(fd, "monotonic 1 0", 13), 13);
		CHECK_EQ(lseek(fd, 1, SEEK_SET), 1);
		CHECK_ERR(write(fd, "monotonic 1 0", 13), EINVAL);
		static char page[4096] = "monotonic 1 0";
		memset(page + 13, ' ', sizeof page - 13);
		fd = CHECK_OK(open("/proc/self/timens_offsets", O_WRONLY));
		CHECK_ERR(write(fd, page, 4096), EINVAL);
		CHECK_ERR(write(fd, BAD_PTR, 10), EFAULT);
	}));
}

TEST(range)
{
	JOIN(SPAWN({
		CHECK_OK(unshare(CLONE_NEWTIME));
		CHECK_ERR(proc_write(0, "timens_offsets", "monotonic 9223372037 0"), ERANGE);
		CHECK_ERR(proc_write(0, "timens_offsets", "monotonic -9223372037 0"), ERANGE);
		CHECK_ERR(proc_write(0, "timens_offsets", "monotonic -100000000 0"), ERANGE);
		CHECK_ERR(proc_write(0, "timens_offsets", "monotonic 4611686018 0"), ERANGE);
		CHECK_OK(proc_write(0, "timens_offsets", "monotonic 4000000000 0"));
		CHECK_ERR(proc_write(0, "timens_offsets", "boottime 1 0\nmonotonic 9223372037 0"), ERANGE);
		CHECK(!strcmp(proc_text(0, "timens_offsets"), "monotonic 4000000000 0\nboottime 0 0\n"));
	}));
}

TEST(privilege)
{
	JOIN(SPAWN({
		become(1000);
		CHECK_ERR(unshare(CLONE_NEWTIME), EPERM);
		CHECK_OK(unshare(CLONE_NEWUSER | CLONE_NEWTIME));
		CHECK_OK(proc_write(0, "timens_offsets", "monotonic 1 0"));
		drop_effective(1ULL << 25);
		CHECK_ERR(proc_write(0, "timens_offsets", "monotonic 1 0"), EPERM);
	}));
	/* The initial one belongs to the initial user namespace. */
	JOIN(SPAWN({
		become(1000);
		enter_user_ns();
		CHECK_ERR(proc_write(0, "timens_offsets", "monotonic 1 0"), EPERM);
	}));
	/* From outside, by who may open the file. */
	struct sync s = sync_new();
	pid_t child = SPAWN({
		become(1000);
		CHECK_OK(unshare(CLONE_NEWUSER | CLONE_NEWTIME));
		ready_and_hold(&s);
		CHECK(!strcmp(proc_text(0, "timens_offsets"), "monotonic 7 0\nboottime 0 0\n"));
	});
	until_ready(&s);
	JOIN(SPAWN({
		become(1001);
		CHECK_ERR(proc_write(child, "timens_offsets", "monotonic 1 0"), EACCES);
	}));
	CHECK_OK(proc_write(child, "timens_offsets", "monotonic 7 0"));
	let_go(&s);
	JOIN(child);
}

TEST(entering)
{
	struct sync s = sync_new();
	pid_t child = SPAWN_WITH_OFFSETS("monotonic 1000000 0", {
		give(s.up[1]);
		CHECK_EQ(write(s.up[1], &(pid_t){ getpid() }, sizeof(pid_t)), sizeof(pid_t));
		hold(&s);
	});
	pid_t inner;
	until_ready(&s);
	CHECK_EQ(read(s.up[0], &inner, sizeof inner), sizeof inner);
	int fd = CHECK_OK(ns_open(inner, "time")), own = CHECK_OK(ns_open(0, "time"));
	CHECK_EQ(ioctl(fd, NS_GET_NSTYPE), CLONE_NEWTIME);
	JOIN(SPAWN({
		long long before = clock_ns(CLOCK_MONOTONIC);
		CHECK_OK(setns(fd, CLONE_NEWTIME));
		CHECK_EQ(ns_number(0, "time"), ns_number(inner, "time"));
		CHECK_EQ(ns_number(0, "time_for_children"), ns_number(inner, "time"));
		/* At once, for the caller too, in the vDSO too. */
		CHECK_NEAR(clock_ns(CLOCK_MONOTONIC), before + 1000000 * NANOS);
		CHECK_NEAR(clock_call(CLOCK_MONOTONIC), before + 1000000 * NANOS);
		JOIN(SPAWN(CHECK_NEAR(clock_ns(CLOCK_MONOTONIC), before + 1000000 * NANOS)));
		CHECK_OK(setns(own, 0));
		CHECK_NEAR(clock_ns(CLOCK_MONOTONIC), before);
		CHECK_OK(setns(CHECK_OK(sys_pidfd_open(inner, 0)), CLONE_NEWTIME));
		CHECK_NEAR(clock_ns(CLOCK_MONOTONIC), before + 1000000 * NANOS);
	}));
	JOIN(SPAWN({
		become(1000);
		CHECK_ERR(setns(own, CLONE_NEWTIME), EPERM);
	}));
	let_go(&s);
	JOIN(child);
}

static void *wait_for_ever(void *unused)
{
	pause();
	return unused;
}

TEST(threads)
{
	int own = CHECK_OK(ns_open(0, "time"));
	JOIN(SPAWN({
		pthread_t t;
		CHECK_EQ(pthread_create(&t, NULL, wait_for_ever, NULL), 0);
		CHECK_ERR(setns(own, CLONE_NEWTIME), EUSERS);
		CHECK_OK(unshare(CLONE_NEWTIME));
	}));
	/* A thread would be in another time than its process. */
	JOIN(SPAWN({
		CHECK_OK(unshare(CLONE_NEWTIME));
		pthread_t t;
		CHECK(pthread_create(&t, NULL, wait_for_ever, NULL) != 0);
	}));
}

TEST(entering_freezes)
{
	JOIN(SPAWN({
		CHECK_OK(unshare(CLONE_NEWTIME));
		CHECK_OK(proc_write(0, "timens_offsets", "monotonic 1 0"));
		int fd = CHECK_OK(open("/proc/self/ns/time_for_children", O_RDONLY));
		CHECK_OK(setns(fd, CLONE_NEWTIME));
		CHECK_ERR(proc_write(0, "timens_offsets", "monotonic 2 0"), EACCES);
	}));
}

TEST(clone3_makes_one)
{
	ino_t own = ns_number(0, "time");
	struct clone_args args = { .flags = CLONE_NEWTIME, .exit_signal = SIGCHLD };
	pid_t child = CHECK_OK(sys_clone3(&args, sizeof args));
	if (child == 0) {
		CHECK(ns_number(0, "time") != own);
		CHECK_ERR(proc_write(0, "timens_offsets", "monotonic 1 0"), EACCES);
		_exit(0);
	}
	JOIN(child);
	JOIN(SPAWN({
		become(1000);
		CHECK_ERR(sys_clone3(&args, sizeof args), EPERM);
	}));
}

TEST(the_last_component_of_the_links)
{
	char link[64] = "", want[64];
	CHECK(readlink("/proc/self/ns/time_for_children", link, sizeof link) > 0);
	snprintf(want, sizeof want, "time:[%lu]", (unsigned long)ns_number(0, "time"));
	CHECK(!strcmp(link, want));
	if (!kt_native())
		CHECK_EQ(ns_number(0, "time"), 4026531834);
}

ROLE(still_here)
{
	char want[32];
	snprintf(want, sizeof want, "%lu", (unsigned long)ns_number(0, "time"));
	return strcmp(argv[1], want) != 0;
}

TEST(execve_does_not_move)
{
	char number[32];
	snprintf(number, sizeof number, "%lu", (unsigned long)ns_number(0, "time"));
	JOIN(SPAWN({
		CHECK_OK(unshare(CLONE_NEWTIME));
		execl("/proc/self/exe", "role:still_here", number, NULL);
		_exit(9);
	}));
}
