/* procfs and sysfs mounted with `cgview`: the machine as a container has it. Linux has no such option. */
#include <sched.h>
#include <sys/mount.h>
#include <sys/sysinfo.h>

#include "cpu.h"
#include "steady.h"
#include "memory.h"

/* Mounts a file system with the option; returns where. */
static const char *shown(const char *type)
{
	static char dirs[2][32];
	char *dir = dirs[type[0] == 's'];
	snprintf(dir, sizeof dirs[0], "/tmp/cgview-%s", type);
	mkdir(dir, 0755);
	CHECK_OK(unshare(CLONE_NEWNS));
	CHECK_OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	if (mount(type, dir, type, 0, "cgview") == -1 && errno == EINVAL)
		SKIP("only zcell has the option");
	return dir;
}

static const char *file(const char *dir, const char *name)
{
	static char path[2][128];
	static int n;
	n ^= 1;
	snprintf(path[n], sizeof path[n], "%s/%s", dir, name);
	return path[n];
}

/* Lines of a file that begin so. */
static int lines(const char *path, const char *start)
{
	char line[512];
	int count = 0;
	FILE *f = fopen(path, "r");
	CHECK(f);
	while (fgets(line, sizeof line, f))
		count += !strncmp(line, start, strlen(start));
	fclose(f);
	return count;
}

TEST(without_limits_it_is_the_machine)
{
	const char *proc = shown("proc"), *sys = shown("sysfs");
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	CHECK_EQ(kt_field(file(proc, "meminfo"), "MemTotal:"), kt_field("/proc/meminfo", "MemTotal:"));
	CHECK_EQ(lines(file(proc, "cpuinfo"), "processor"), lines("/proc/cpuinfo", "processor"));
	CHECK_EQ(lines(file(proc, "stat"), "cpu"), lines("/proc/stat", "cpu"));
	CHECK_EQ(kt_field(file(proc, "stat"), "btime"), kt_field("/proc/stat", "btime"));
	char plain[64], text[64];
	CHECK(kt_read_file("/sys/devices/system/cpu/online", plain, sizeof plain) > 0);
	CHECK(kt_read_file(file(sys, "devices/system/cpu/online"), text, sizeof text) > 0);
	CHECK(!strcmp(text, plain));
	CHECK_OK(access(file(sys, cpus == 1 ? "devices/system/cpu/cpu0" : "devices/system/cpu/cpu1"), F_OK));
}

TEST(mounts_show_the_option)
{
	shown("proc");
	shown("sysfs");
	CHECK_EQ(lines("/proc/self/mounts", "proc /tmp/cgview-proc proc rw,relatime,cgview 0 0"), 1);
	CHECK_EQ(lines("/proc/self/mounts", "sysfs /tmp/cgview-sysfs sysfs rw,relatime,cgview 0 0"), 1);
	/* An ordinary sysfs of the same network namespace is another. */
	CHECK_OK(mount("sysfs", "/tmp/cgview-proc", "sysfs", 0, NULL));
	CHECK_EQ(lines("/proc/self/mounts", "sysfs /tmp/cgview-proc sysfs rw,relatime 0 0"), 1);
	CHECK_ERR(mount("sysfs", "/tmp/cgview-proc", "sysfs", 0, "cgviews"), EINVAL);
	CHECK_ERR(mount("proc", "/tmp/cgview-proc", "proc", 0, "cgview=1"), EINVAL);
}

TEST(memory_is_the_lowest_limit)
{
	const char *proc = shown("proc");
	mem_init();
	const char *a = mem_new("a");
	CHECK_OK(mem_set(a, "memory.max", "64M"));
	pid_t pid = SPAWN_IN(a, {
		/* The root of its namespace is still the machine's. */
		CHECK_EQ(kt_field(file(proc, "meminfo"), "MemTotal:"), kt_field("/proc/meminfo", "MemTotal:"));
		CHECK_OK(unshare(CLONE_NEWCGROUP));
		CHECK_EQ(kt_field(file(proc, "meminfo"), "MemTotal:"), 64 * 1024);
		CHECK(kt_field("/proc/meminfo", "MemTotal:") > 64 * 1024);
		long long before = kt_field(file(proc, "meminfo"), "MemFree:");
		CHECK(before > 56 * 1024 && before <= 64 * 1024);
		CHECK_EQ(kt_field(file(proc, "meminfo"), "MemAvailable:"), before);
		mem_touch(16 * MB);
		long long after = kt_field(file(proc, "meminfo"), "MemFree:");
		CHECK(after <= before - 16 * 1024 && after > before - 20 * 1024);
		CHECK(kt_field(file(proc, "meminfo"), "AnonPages:") >= 16 * 1024);
		/* The reader counts, not who mounted; a limit above counts as well. */
		CHECK_OK(mem_set(a, "memory.max", "32M"));
		CHECK_EQ(kt_field(file(proc, "meminfo"), "MemTotal:"), 32 * 1024);
	});
	JOIN(pid);
	CHECK_EQ(kt_field(file(proc, "meminfo"), "MemTotal:"), kt_field("/proc/meminfo", "MemTotal:"));
	mem_done();
}

TEST(cpus_are_what_the_quota_is_worth)
{
	const char *proc = shown("proc"), *sys = shown("sysfs");
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	cg2();
	CHECK_OK(cg_write("", "cgroup.subtree_control", "+cpu"));
	const char *a = cg_new("");
	pid_t pid = SPAWN({
		cg_enter(a);
		CHECK_OK(unshare(CLONE_NEWCGROUP));
		CHECK_EQ(lines(file(proc, "cpuinfo"), "processor"), cpus);
		CHECK_OK(cg_write(a, "cpu.max", "150000 100000"));
		long want = cpus < 2 ? cpus : 2;
		CHECK_EQ(lines(file(proc, "cpuinfo"), "processor"), want);
		CHECK_EQ(lines(file(proc, "stat"), "cpu"), want + 1);
		CHECK_OK(cg_write(a, "cpu.max", "20000 100000"));
		CHECK_EQ(lines(file(proc, "cpuinfo"), "processor"), 1);
		CHECK_EQ(lines(file(proc, "stat"), "cpu"), 2);
		char text[64];
		CHECK(kt_read_file(file(sys, "devices/system/cpu/online"), text, sizeof text) > 0);
		CHECK(!strcmp(text, "0\n"));
		CHECK_OK(access(file(sys, "devices/system/cpu/cpu0"), F_OK));
		CHECK_ERR(access(file(sys, "devices/system/cpu/cpu1"), F_OK), ENOENT);
	});
	JOIN(pid);
	cg_drop(a);
	CHECK_OK(cg_write("", "cgroup.subtree_control", "-cpu"));
}

/* From the line "cpu": what was used, in hundredths of a second. */
static unsigned long cpu_used(const char *proc)
{
	char text[4096];
	unsigned long user, nice, system;
	CHECK(kt_read_file(file(proc, "stat"), text, sizeof text) > 0);
	CHECK_EQ(sscanf(text, "cpu %lu %lu %lu", &user, &nice, &system), 3);
	CHECK_EQ(nice, 0);
	return user + system;
}

STEADY(times_are_those_of_the_container)
{
	cg2();
	const char *a = cg_new("");
	shown("proc");
	CHECK_OK(unshare(CLONE_NEWPID));
	pid_t pid = SPAWN({
		cg_enter(a);
		CHECK_OK(unshare(CLONE_NEWCGROUP));
		const char *proc = shown("proc");
		long cpus = sysconf(_SC_NPROCESSORS_ONLN);
		uint64_t start = now_ns(CLOCK_PROCESS_CPUTIME_ID);
		while (now_ns(CLOCK_PROCESS_CPUTIME_ID) - start < 300000000)
			;
		unsigned long used = cpu_used(proc);
		CHECK(used >= 29 && used <= 60);
		double up, idle_sum;
		char text[256];
		CHECK(kt_read_file(file(proc, "uptime"), text, sizeof text) > 0);
		CHECK_EQ(sscanf(text, "%lf %lf", &up, &idle_sum), 2);
		CHECK(up >= 0.29 && up < 20);
		CHECK(idle_sum <= up * cpus + 0.02 && idle_sum >= (up - 0.5) * cpus - 2);
		/* Two processes, one of which runs. */
		pid_t other = SPAWN(for (;;) pause());
		pause_ms(50);
		CHECK(kt_read_file(file(proc, "loadavg"), text, sizeof text) > 0);
		unsigned running, all, last;
		double one, five, fifteen;
		CHECK_EQ(sscanf(text, "%lf %lf %lf %u/%u %u", &one, &five, &fifteen, &running, &all, &last), 6);
		CHECK_EQ(running, 1);
		CHECK_EQ(all, 2);
		CHECK_EQ(last, 2);
		CHECK(one < 0.5);
		CHECK_OK(kill(other, SIGKILL));
		CHECK_EQ(kt_wait(other), SIGKILL);
	});
	JOIN(pid);
	cg_drop(a);
}

TEST(the_load_rises_with_work)
{
	const char *proc = shown("proc");
	cg2();
	const char *a = cg_new("");
	pid_t worker = busy(a, 2);
	pid_t pid = SPAWN({
		cg_enter(a);
		CHECK_OK(unshare(CLONE_NEWCGROUP));
		CHECK(lines(file(proc, "loadavg"), "0.00 0.00 0.00 ") == 1);
		/* Two samples of two or three tasks. */
		double one = 0;
		char text[256];
		for (int i = 0; i < 150 && one < 0.2; i++) {
			pause_ms(100);
			CHECK(kt_read_file(file(proc, "loadavg"), text, sizeof text) > 0);
			CHECK_EQ(sscanf(text, "%lf", &one), 1);
		}
		CHECK(one >= 0.2 && one < 1);
	});
	JOIN(pid);
	end(worker);
	cg_drop(a);
}
