/* /proc/PID/sched. */
#include <sched.h>
#include <sys/resource.h>

#include "ns.h"

static const char *value(pid_t pid, const char *name)
{
	static char text[8192];
	CHECK(kt_read_file(proc_path(pid, "sched"), text, sizeof text) > 0);
	char line[64];
	snprintf(line, sizeof line, "\n%-45s:", name);
	char *at = strstr(text, line);
	CHECK(at);
	return at + strlen(line);
}

static long long number(const char *name)
{
	return strtoll(value(0, name), NULL, 10);
}

TEST(what_it_is)
{
	char text[8192], head[64];
	CHECK(kt_read_file("/proc/self/sched", text, sizeof text) > 0);
	snprintf(head, sizeof head, "sched (%d, #threads: 1)\n-----", getpid());
	CHECK(!strncmp(text, head, strlen(head)));
	CHECK_EQ(number("policy"), SCHED_OTHER);
	CHECK_EQ(number("prio"), 120);
	CHECK_EQ(number("se.load.weight"), 1048576);
	CHECK_OK(setpriority(PRIO_PROCESS, 0, 5));
	CHECK_EQ(number("prio"), 125);
	CHECK_EQ(number("se.load.weight"), 335 * 1024);
	struct sched_param param = { .sched_priority = 7 };
	CHECK_OK(syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &param));
	CHECK_EQ(number("policy"), SCHED_FIFO);
	CHECK_EQ(number("prio"), 92);
}

TEST(what_it_did)
{
	double before = strtod(value(0, "se.sum_exec_runtime"), NULL);
	long long waits = number("nr_voluntary_switches"), all = number("nr_switches");
	for (int i = 0; i < 20; i++)
		usleep(1000);
	CHECK(number("nr_voluntary_switches") >= waits + 20);
	CHECK(number("nr_switches") >= all + 20);
	CHECK_EQ(number("nr_switches"), number("nr_voluntary_switches") + number("nr_involuntary_switches"));
	struct rusage usage;
	do
		CHECK_OK(getrusage(RUSAGE_SELF, &usage));
	while (usage.ru_utime.tv_sec * 1000 + usage.ru_utime.tv_usec / 1000 < 50);
	CHECK(strtod(value(0, "se.sum_exec_runtime"), NULL) > before + 20);
}

TEST(everybody_may_read)
{
	JOIN(SPAWN({
		become(1000);
		CHECK(strtod(value(1, "se.sum_exec_runtime"), NULL) > 0);
	}));
}
