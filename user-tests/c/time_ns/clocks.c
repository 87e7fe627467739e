/* time_namespaces(7): what shows and takes the shifted clocks. */
#include "time_ns.h"

#define DAY 86400LL

TEST(clocks)
{
	long long mono = clock_ns(CLOCK_MONOTONIC), boot = clock_ns(CLOCK_BOOTTIME);
	long long raw = clock_ns(CLOCK_MONOTONIC_RAW), coarse = clock_ns(CLOCK_MONOTONIC_COARSE);
	long long real = clock_ns(CLOCK_REALTIME), alarm = clock_call(CLOCK_BOOTTIME_ALARM);
	long long tai = clock_ns(CLOCK_TAI);
	JOIN(SPAWN_WITH_OFFSETS("monotonic 864000 5\nboottime 8640000 7", {
		CHECK_NEAR(clock_ns(CLOCK_MONOTONIC), mono + 10 * DAY * NANOS);
		CHECK_NEAR(clock_call(CLOCK_MONOTONIC), mono + 10 * DAY * NANOS);
		CHECK_NEAR(clock_ns(CLOCK_MONOTONIC_RAW), raw + 10 * DAY * NANOS);
		CHECK_NEAR(clock_call(CLOCK_MONOTONIC_RAW), raw + 10 * DAY * NANOS);
		CHECK_NEAR(clock_ns(CLOCK_MONOTONIC_COARSE), coarse + 10 * DAY * NANOS);
		CHECK_NEAR(clock_call(CLOCK_MONOTONIC_COARSE), coarse + 10 * DAY * NANOS);
		CHECK_NEAR(clock_ns(CLOCK_BOOTTIME), boot + 100 * DAY * NANOS);
		CHECK_NEAR(clock_call(CLOCK_BOOTTIME), boot + 100 * DAY * NANOS);
		CHECK_NEAR(clock_call(CLOCK_BOOTTIME_ALARM), alarm + 100 * DAY * NANOS);
		CHECK_NEAR(clock_ns(CLOCK_REALTIME), real);
		CHECK_NEAR(clock_call(CLOCK_REALTIME), real);
		CHECK_NEAR(clock_ns(CLOCK_TAI), tai);
		CHECK_NEAR(clock_ns(CLOCK_PROCESS_CPUTIME_ID), 0);
	}));
	/* Back outside nothing has moved. */
	CHECK_NEAR(clock_ns(CLOCK_MONOTONIC), mono);
}

TEST(they_agree_and_never_go_back)
{
	JOIN(SPAWN_WITH_OFFSETS("monotonic 864000 999999999\nboottime 0 1", {
		long long last = 0;
		for (int i = 0; i < 2000; i++) {
			long long a = clock_ns(CLOCK_MONOTONIC);
			long long b = clock_call(CLOCK_MONOTONIC);
			CHECK(a >= last);
			CHECK(b >= a);
			last = b;
		}
	}));
}

TEST(absolute_sleep)
{
	JOIN(SPAWN_WITH_OFFSETS("monotonic 864000 0\nboottime 8640000 0", {
		static const clockid_t clocks[] = { CLOCK_MONOTONIC, CLOCK_BOOTTIME };
		for (int i = 0; i < 2; i++) {
			long long start = clock_ns(clocks[i]);
			long long at = start + 50 * 1000000;
			struct timespec t = { at / NANOS, at % NANOS };
			CHECK_EQ(clock_nanosleep(clocks[i], TIMER_ABSTIME, &t, NULL), 0);
			CHECK(clock_ns(clocks[i]) >= at);
			/* What was a time of the outer clock is long past. */
			t.tv_sec -= 10 * DAY;
			CHECK_EQ(clock_nanosleep(clocks[i], TIMER_ABSTIME, &t, NULL), 0);
			/* Relative times are as ever. */
			start = clock_ns(clocks[i]);
			t = (struct timespec){ 0, 20 * 1000000 };
			CHECK_EQ(clock_nanosleep(clocks[i], 0, &t, NULL), 0);
			CHECK(clock_ns(clocks[i]) - start >= 20 * 1000000);
			CHECK_NEAR(clock_ns(clocks[i]), start);
		}
	}));
	/* Negative offsets: a time of the outer clock is still to come. */
	WAIT_FOR(clock_ns(CLOCK_MONOTONIC) > 2 * NANOS);
	JOIN(SPAWN_WITH_OFFSETS("monotonic -1 0", {
		long long start = clock_ns(CLOCK_MONOTONIC), at = start + 50 * 1000000;
		struct timespec t = { at / NANOS, at % NANOS };
		CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL), 0);
		CHECK(clock_ns(CLOCK_MONOTONIC) >= at);
		CHECK_NEAR(clock_ns(CLOCK_MONOTONIC), start);
	}));
}

TEST(an_interrupted_absolute_sleep_is_restarted_right)
{
	JOIN(SPAWN_WITH_OFFSETS("monotonic 864000 0", {
		long long at = clock_ns(CLOCK_MONOTONIC) + 200 * 1000000;
		pid_t sleeper = SPAWN({
			struct timespec t = { at / NANOS, at % NANOS };
			CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL), 0);
			CHECK(clock_ns(CLOCK_MONOTONIC) >= at);
			CHECK_NEAR(clock_ns(CLOCK_MONOTONIC), at);
		});
		kt_sleep_ms(20);
		kill(sleeper, SIGSTOP);
		kt_sleep_ms(20);
		kill(sleeper, SIGCONT);
		JOIN(sleeper);
	}));
}

TEST(timerfd)
{
	JOIN(SPAWN_WITH_OFFSETS("monotonic 864000 0\nboottime 8640000 0", {
		static const clockid_t clocks[] = { CLOCK_MONOTONIC, CLOCK_BOOTTIME };
		uint64_t ticks;
		for (int i = 0; i < 2; i++) {
			int fd = CHECK_OK(timerfd_create(clocks[i], 0));
			long long at = clock_ns(clocks[i]) + 50 * 1000000;
			struct itimerspec set = { { 0, 0 }, { at / NANOS, at % NANOS } }, left;
			CHECK_OK(timerfd_settime(fd, TFD_TIMER_ABSTIME, &set, NULL));
			CHECK_OK(timerfd_gettime(fd, &left));
			CHECK(left.it_value.tv_sec == 0);
			CHECK_EQ(read(fd, &ticks, sizeof ticks), sizeof ticks);
			CHECK_EQ(ticks, 1);
			CHECK(clock_ns(clocks[i]) >= at);
			CHECK_NEAR(clock_ns(clocks[i]), at);
			/* Relative. */
			set.it_value = (struct timespec){ 0, 10 * 1000000 };
			CHECK_OK(timerfd_settime(fd, 0, &set, NULL));
			CHECK_EQ(read(fd, &ticks, sizeof ticks), sizeof ticks);
			close(fd);
		}
	}));
}

TEST(posix_timers)
{
	JOIN(SPAWN_WITH_OFFSETS("monotonic 864000 0\nboottime 8640000 0", {
		static const clockid_t clocks[] = { CLOCK_MONOTONIC, CLOCK_BOOTTIME };
		sigset_t mask;
		siginfo_t info;
		sigemptyset(&mask);
		sigaddset(&mask, SIGUSR1);
		sigprocmask(SIG_BLOCK, &mask, NULL);
		for (int i = 0; i < 2; i++) {
			timer_t timer;
			struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
			CHECK_OK(timer_create(clocks[i], &event, &timer));
			long long at = clock_ns(clocks[i]) + 50 * 1000000;
			struct itimerspec set = { { 0, 0 }, { at / NANOS, at % NANOS } };
			CHECK_OK(timer_settime(timer, TIMER_ABSTIME, &set, NULL));
			struct itimerspec left;
			CHECK_OK(timer_gettime(timer, &left));
			CHECK(left.it_value.tv_sec == 0);
			struct timespec patience = { 10, 0 };
			CHECK_EQ(sigtimedwait(&mask, &info, &patience), SIGUSR1);
			CHECK(clock_ns(clocks[i]) >= at);
			CHECK_NEAR(clock_ns(clocks[i]), at);
			CHECK_OK(timer_delete(timer));
		}
	}));
}

TEST(uptime_and_sysinfo)
{
	struct sysinfo outer, inner;
	CHECK_OK(sysinfo(&outer));
	JOIN(SPAWN_WITH_OFFSETS("boottime 8640000 0\nmonotonic 0 0", {
		char text[128];
		CHECK_OK(sysinfo(&inner));
		CHECK(inner.uptime - outer.uptime >= 100 * DAY);
		CHECK(inner.uptime - outer.uptime < 100 * DAY + 60);
		CHECK(kt_read_file("/proc/uptime", text, sizeof text) > 0);
		CHECK(atof(text) - outer.uptime >= 100 * DAY - 1);
		CHECK(atof(text) - outer.uptime < 100 * DAY + 60);
		/* The time of boot is where the shifted clock has its origin. */
		CHECK_NEAR(kt_field("/proc/stat", "btime ") * NANOS,
			   clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_BOOTTIME));
	}));
}

static long long start_time(pid_t pid)
{
	char text[1024];
	CHECK(kt_read_file(proc_path(pid, "stat"), text, sizeof text) > 0);
	char *at = strrchr(text, ')') + 2;
	for (int field = 3; field < 22; field++)
		at = strchr(at, ' ') + 1;
	return strtoll(at, NULL, 10);
}

TEST(start_time_of_processes)
{
	pid_t self = getpid();
	long long outer = start_time(self);
	JOIN(SPAWN_WITH_OFFSETS("boottime 8640000 0", {
		CHECK_EQ(start_time(self) - outer, 100 * DAY * sysconf(_SC_CLK_TCK));
		CHECK(start_time(getpid()) - outer >= 100 * DAY * sysconf(_SC_CLK_TCK));
	}));
}

TEST(futex_and_poll_deadlines)
{
	JOIN(SPAWN_WITH_OFFSETS("monotonic 864000 0", {
		int word = 0;
		long long at = clock_ns(CLOCK_MONOTONIC) + 50 * 1000000;
		struct timespec t = { at / NANOS, at % NANOS };
		/* FUTEX_WAIT_BITSET takes an absolute time of CLOCK_MONOTONIC. */
		CHECK_ERR(syscall(SYS_futex, &word, 9, 0, &t, NULL, -1), ETIMEDOUT);
		CHECK(clock_ns(CLOCK_MONOTONIC) >= at);
		CHECK_NEAR(clock_ns(CLOCK_MONOTONIC), at);
		CHECK_EQ(poll(NULL, 0, 20), 0);
		struct timespec s = { 0, 20 * 1000000 };
		CHECK_EQ(ppoll(NULL, 0, &s, NULL), 0);
	}));
}

TEST(namespaces_do_not_touch_each_other)
{
	long long mono = clock_ns(CLOCK_MONOTONIC);
	struct sync s = sync_new();
	pid_t a = SPAWN_WITH_OFFSETS("monotonic 864000 0", {
		ready_and_hold(&s);
		CHECK_NEAR(clock_ns(CLOCK_MONOTONIC), mono + 10 * DAY * NANOS);
	});
	until_ready(&s);
	JOIN(SPAWN_WITH_OFFSETS("monotonic 8640000 0", CHECK_NEAR(clock_ns(CLOCK_MONOTONIC), mono + 100 * DAY * NANOS)));
	let_go(&s);
	JOIN(a);
	/* Nested ones count from the initial one. */
	JOIN(SPAWN_WITH_OFFSETS("monotonic 864000 0", {
		CHECK_OK(unshare(CLONE_NEWTIME));
		CHECK_OK(proc_write(0, "timens_offsets", "monotonic 1728000 0"));
		JOIN(SPAWN(CHECK_NEAR(clock_ns(CLOCK_MONOTONIC), mono + 20 * DAY * NANOS)));
	}));
}

TEST(clock_settime_and_getres)
{
	JOIN(SPAWN_WITH_OFFSETS("monotonic 864000 0", {
		struct timespec t = { 1, 1 };
		CHECK_ERR(clock_settime(CLOCK_MONOTONIC, &t), EINVAL);
		CHECK_ERR(clock_settime(CLOCK_BOOTTIME, &t), EINVAL);
		CHECK_OK(clock_getres(CLOCK_MONOTONIC, &t));
	}));
}

ROLE(shifted)
{
	long long want = strtoll(argv[1], NULL, 10);
	CHECK_NEAR(clock_ns(CLOCK_MONOTONIC), want);
	CHECK_NEAR(clock_call(CLOCK_MONOTONIC), want);
	return 0;
}

TEST(execve_keeps_them)
{
	JOIN(SPAWN_WITH_OFFSETS("monotonic 864000 0", {
		char want[32];
		snprintf(want, sizeof want, "%lld", clock_ns(CLOCK_MONOTONIC));
		execl("/proc/self/exe", "role:shifted", want, NULL);
		_exit(9);
	}));
}
