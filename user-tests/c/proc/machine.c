/* What the kernel tells of CPUs and nodes: /sys/devices/system/{cpu,node}, /proc/interrupts. */
#include <dirent.h>
#include <sched.h>

#include "ns.h"

#define CPU "/sys/devices/system/cpu/"
#define NODE "/sys/devices/system/node/"

static const char *text_of(const char *path)
{
	static char text[4][4096];
	static int next;
	char *buf = text[next++ % 4];
	CHECK(kt_read_file(path, buf, sizeof text[0]) > 0);
	char *end = strchr(buf, '\n');
	CHECK(end);
	*end = 0;
	return buf;
}

static void check_cpu(int cpu, const char *file, const char *want)
{
	char path[128];
	snprintf(path, sizeof path, CPU "cpu%d/topology/%s", cpu, file);
	CHECK(!strcmp(text_of(path), want));
}

TEST(topology)
{
	long count = sysconf(_SC_NPROCESSORS_ONLN);
	char all[32], mask[32];
	snprintf(all, sizeof all, count == 1 ? "0" : "0-%ld", count - 1);
	snprintf(mask, sizeof mask, "%lx", (1L << count) - 1);
	CHECK(!strcmp(text_of(CPU "present"), all));
	for (int cpu = 0; cpu < count; cpu++) {
		char number[16], own[16];
		snprintf(number, sizeof number, "%d", cpu);
		snprintf(own, sizeof own, "%x", 1 << cpu);
		check_cpu(cpu, "core_id", number);
		check_cpu(cpu, "physical_package_id", "0");
		check_cpu(cpu, "die_id", "0");
		check_cpu(cpu, "thread_siblings", own);
		check_cpu(cpu, "thread_siblings_list", number);
		check_cpu(cpu, "core_cpus", own);
		check_cpu(cpu, "core_cpus_list", number);
		check_cpu(cpu, "core_siblings", mask);
		check_cpu(cpu, "core_siblings_list", all);
		check_cpu(cpu, "package_cpus", mask);
		check_cpu(cpu, "package_cpus_list", all);
		check_cpu(cpu, "die_cpus", mask);
		check_cpu(cpu, "die_cpus_list", all);
		char path[128], target[128];
		struct stat st;
		snprintf(path, sizeof path, CPU "cpu%d/node0", cpu);
		ssize_t len = CHECK_OK(readlink(path, target, sizeof target - 1));
		target[len] = 0;
		CHECK(!strcmp(target, "../../node/node0"));
		snprintf(path, sizeof path, CPU "cpu%d/topology/core_id", cpu);
		CHECK_OK(stat(path, &st));
		CHECK_EQ(st.st_mode, S_IFREG | 0444);
	}
	CHECK_ERR(open(CPU "cpu99/topology/core_id", O_RDONLY), ENOENT);
}

TEST(node)
{
	long count = sysconf(_SC_NPROCESSORS_ONLN);
	char all[32], mask[32], path[128];
	snprintf(all, sizeof all, count == 1 ? "0" : "0-%ld", count - 1);
	snprintf(mask, sizeof mask, "%lx", (1L << count) - 1);
	static const char *const states[] = { "online", "possible", "has_cpu", "has_memory", "has_normal_memory" };
	for (int i = 0; i < 5; i++) {
		snprintf(path, sizeof path, NODE "%s", states[i]);
		CHECK(!strcmp(text_of(path), "0"));
	}
	CHECK(!strcmp(text_of(NODE "node0/cpulist"), all));
	CHECK(!strcmp(text_of(NODE "node0/cpumap"), mask));
	CHECK(!strcmp(text_of(NODE "node0/distance"), "10"));
	for (int cpu = 0; cpu < count; cpu++) {
		char target[128];
		snprintf(path, sizeof path, NODE "node0/cpu%d", cpu);
		ssize_t len = CHECK_OK(readlink(path, target, sizeof target - 1));
		target[len] = 0;
		snprintf(path, sizeof path, "../../cpu/cpu%d", cpu);
		CHECK(!strcmp(target, path));
	}
	CHECK_ERR(open(NODE "node1/cpulist", O_RDONLY), ENOENT);
}

TEST(the_one_node_has_all_memory)
{
	long long total = kt_field("/proc/meminfo", "MemTotal:");
	CHECK_EQ(kt_field(NODE "node0/meminfo", "Node 0 MemTotal:"), total);
	long long free = kt_field(NODE "node0/meminfo", "Node 0 MemFree:");
	long long used = kt_field(NODE "node0/meminfo", "Node 0 MemUsed:");
	CHECK_EQ(free + used, total);
	long long anon = kt_field(NODE "node0/meminfo", "Node 0 AnonPages:");
	char *at = malloc(32 << 20);
	CHECK(at);
	memset(at, 1, 32 << 20);
	CHECK(kt_field(NODE "node0/meminfo", "Node 0 AnonPages:") >= anon + (24 << 10));
	CHECK(kt_field(NODE "node0/meminfo", "Node 0 MemFree:") <= free - (16 << 10));
}

/* The sum over the CPUs of the line that begins with `name`. */
static long long count_of(const char *name)
{
	static char text[16384];
	CHECK(kt_read_file("/proc/interrupts", text, sizeof text) > 0);
	char *at = strstr(text, name);
	if (!at)
		return 0;
	at += strlen(name);
	long long sum = 0;
	for (;;) {
		char *end;
		long long count = strtoll(at, &end, 10);
		if (end == at)
			return sum;
		sum += count;
		at = end;
	}
}

TEST(interrupts)
{
	static char text[16384];
	CHECK(kt_read_file("/proc/interrupts", text, sizeof text) > 0);
	char *at = text;
	for (long cpu = 0; cpu < sysconf(_SC_NPROCESSORS_ONLN); cpu++) {
		char head[32];
		snprintf(head, sizeof head, "CPU%ld ", cpu);
		at = strstr(at, head);
		CHECK(at && at < strchr(text, '\n'));
	}
	CHECK(strstr(text, "Local timer interrupts\n"));
	long long before = count_of("LOC:");
	long long all = kt_field("/proc/stat", "intr ");
	CHECK(before > 0);
	CHECK(all > 0);
	for (int i = 0; i < 20; i++)
		usleep(2000);
	CHECK(count_of("LOC:") >= before + 10);
	CHECK(kt_field("/proc/stat", "intr ") >= all + 10);
}

TEST(other_cpus_are_told)
{
	if (sysconf(_SC_NPROCESSORS_ONLN) < 2)
		return;
	long long before = count_of("RES:") + count_of("CAL:") + count_of("TLB:");
	int go[2], back[2];
	CHECK_OK(pipe(go));
	CHECK_OK(pipe(back));
	pid_t pid = SPAWN({
		cpu_set_t second;
		CPU_ZERO(&second);
		CPU_SET(1, &second);
		CHECK_OK(sched_setaffinity(0, sizeof second, &second));
		for (int i = 0; i < 50; i++) {
			take(go[0]);
			give(back[1]);
		}
	});
	cpu_set_t first;
	CPU_ZERO(&first);
	CPU_SET(0, &first);
	CHECK_OK(sched_setaffinity(0, sizeof first, &first));
	for (int i = 0; i < 50; i++) {
		usleep(1000);
		give(go[1]);
		take(back[0]);
	}
	JOIN(pid);
	CHECK(count_of("RES:") + count_of("CAL:") + count_of("TLB:") > before);
}

TEST(small_files)
{
	CHECK(!strcmp(text_of("/sys/kernel/fscaps"), "1"));
	struct stat st;
	CHECK_OK(stat("/sys/devices/system/clocksource/clocksource0/available_clocksource", &st));
	CHECK_EQ(st.st_mode & 07777, 0444);
	char name[64];
	snprintf(name, sizeof name, "%s ", text_of("/sys/devices/system/clocksource/clocksource0/current_clocksource"));
	CHECK(strstr(text_of("/sys/devices/system/clocksource/clocksource0/available_clocksource"), name));
	CHECK(!strcmp(text_of("/proc/execdomains"), "0-0\tLinux           \t[kernel]"));
}
