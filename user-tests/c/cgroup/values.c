/* What every interface file of a cgroup answers to values of every kind. The tables are what Linux 6.1 does. */
#include "cgroup.h"

static char long_text[4097], too_long_text[4098];

/* Written one after the other to a file of a new cgroup. */
static const struct { const char *text; size_t len; } values[] = {
#define V(text) { text, sizeof text - 1 }
	V(""), V("\n"), V(" "), V("0"), V("1"), V("-1"), V("2"), V("100"), V("1000"), V("100000"),
	V("1000000"), V("max"), V(" max \n"), V("maxx"), V("x"), V("0x10"), V("010"), V("1.5"), V("1 2"), V("1,2"),
	V("0-0"), V("1-0"), V("4294967296"), V("9223372036854775807"), V("9223372036854775808"),
	V("18446744073709551615"), V("18446744073709551616"), V("-9223372036854775808"), V("+1"), V("10000 100000"),
	V("max 100000"), V("100000 max"), V("10000 100000 1"), V("default"), V("64M"), V("a *:* rwm"), V("c 1:3 r"),
	V("c *:* zzz"), V("FROZEN"), V("THAWED"), V("root"), V("member"), V("threaded"), V("domain"), V("+pids"),
	V("-pids"), V("+x"), V("1\0x"), V("\xff\xfe"), V("0\n1\n"), { long_text, 4096 }, { too_long_text, 4097 },
#undef V
};

/* o: taken. The letters of errors are below; a dot is not tried. */
struct answers { const char *file, *letters; };

static const struct answers v2[] = {
	{ "cgroup.type", "oiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiioiiiiiiii2" },
	{ "cgroup.procs", "oii..i.....iiii..i.iii.....i..ii.iiiiiiiiiiiiii.i..." },
	{ "cgroup.threads", "oii..i.....iiii..i.iii.....i..ii.iiiiiiiiiiiiii.i..." },
	{ "cgroup.controllers", "oiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii2" },
	{ "cgroup.subtree_control", "oooiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiooiiiii2" },
	{ "cgroup.events", "oiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii2" },
	{ "cgroup.max.descendants", "oiiooroooooooiiooiiiiirrrrrroiiiiiiiiiiiiiiiiiioiir2" },
	{ "cgroup.max.depth", "oiiooroooooooiiooiiiiirrrrrroiiiiiiiiiiiiiiiiiioiir2" },
	{ "cgroup.stat", "oiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii2" },
	{ "cgroup.freeze", "oiioorrrrrriiiirriiiiirrrrrroiiiiiiiiiiiiiiiiiioiir2" },
	{ "cgroup.kill", "oiirorrrrrriiiirriiiiirrrrrroiiiiiiiiiiiiiiiiiioiir2" },
	{ "cpu.weight", "oiiroiooorriiiiooiiiiirrrrrioiiiiiiiiiiiiiiiiiioiir2" },
	{ "cpu.weight.nice", "oiioooorrrriiiiooiiiiirrrrrroiiiiiiiiiiiiiiiiiioiir2" },
	{ "cpu.idle", "oiiooiiiiiiiiiiiiiiiiiiirrrioiiiiiiiiiiiiiiiiiioiir2" },
	{ "cpu.max", "oiiiiiiioooooiiiiiiiiioiiiiiiooooiiiiiiiiiiiiiiiiii2" },
	{ "cpu.max.burst", "oiiooioooooiiiiooiiiiioiiirioiiiiiiiiiiiiiiiiiioiir2" },
	{ "cpu.stat", "oiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii2" },
	{ "cpuset.cpus", "oooorirrrrriiiiirirroiwwwwwiirirriiiiiiiiiiiiiirioww" },
	{ "cpuset.mems", "ooooiiiiirriiiiiiiiioiwwwwwiirirriiiiiiiiiiiiiiiioww" },
	{ "cpuset.cpus.effective", "oiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii2" },
	{ "cpuset.cpus.partition", "oiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiooiiiiiiiii2" },
	{ "memory.current", "oiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii2" },
	{ "memory.peak", "oiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii2" },
	{ "memory.min", "oooooioooooooiiooiiiiioooooiiiiiiioiiiiiiiiiiiioiio2" },
	{ "memory.low", "oooooioooooooiiooiiiiioooooiiiiiiioiiiiiiiiiiiioiio2" },
	{ "memory.high", "oooooioooooooiiooiiiiioooooiiiiiiioiiiiiiiiiiiioiio2" },
	{ "memory.max", "oooooioooooooiiooiiiiioooooiiiiiiioiiiiiiiiiiiioiio2" },
	{ "memory.events", "oiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii2" },
	{ "memory.events.local", "oiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii2" },
	{ "memory.stat", "oiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii2" },
	{ "memory.numa_stat", "oiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii2" },
	{ "memory.oom.group", "oiiooiiiiiiiiiiiiiiiiirrrrrroiiiiiiiiiiiiiiiiiioiir2" },
	{ "memory.reclaim", "oaaooioooaaiiiiooiiiiiaaaaoiiiiiiiaiiiiiiiiiiiioiia2" },
	{ "memory.swap.current", "oiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii2" },
	{ "memory.swap.high", "oooooioooooooiiooiiiiioooooiiiiiiioiiiiiiiiiiiioiio2" },
	{ "memory.swap.max", "oooooioooooooiiooiiiiioooooiiiiiiioiiiiiiiiiiiioiio2" },
	{ "memory.swap.events", "oiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii2" },
	{ "pids.max", "oiiooioooooooiiooiiiiiiirrrioiiiiiiiiiiiiiiiiiioiir2" },
	{ "pids.current", "oiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii2" },
	{ "pids.events", "oiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii2" },
};

static const struct answers v1[] = {
	{ "tasks", "oii..i.....iiii..i.iii.....i..ii.iiiiiiiiiiiiii.i..." },
	{ "cgroup.procs", "oii..i.....iiii..i.iii.....i..ii.iiiiiiiiiiiiii.i..." },
	{ "notify_on_release", "oiiooioooooiiiiooiiiiioooorioiiiiiiiiiiiiiiiiiioiir2" },
	{ "cgroup.clone_children", "oiiooioooooiiiiooiiiiioooorioiiiiiiiiiiiiiiiiiioiir2" },
	{ "cgroup.event_control", "oiiiiiiiiiiiiiiiiiiiiiiiiiiiidiidiiiiiiiiiiiiiiiiii2" },
	{ "cpu.shares", "oiiooioooooiiiiooiiiiioooorioiiiiiiiiiiiiiiiiiioiir2" },
	{ "cpu.idle", "oiiooiiiiiiiiiiiiiiiiiiirrrioiiiiiiiiiiiiiiiiiioiir2" },
	{ "cpu.cfs_quota_us", "oiiiioiioooiiiiiiiiiiioirrroiiiiiiiiiiiiiiiiiiiiiir2" },
	{ "cpu.cfs_period_us", "oiiiiiiioooiiiiiiiiiiiiiiiriiiiiiiiiiiiiiiiiiiiiiir2" },
	{ "cpu.cfs_burst_us", "oiiooioooooiiiiooiiiiioiiirioiiiiiiiiiiiiiiiiiioiir2" },
	{ "cpu.stat", "oiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii2" },
	{ "cpuacct.usage", "oiioiiiiiiiiiiiiiiiiiiiiiiriiiiiiiiiiiiiiiiiiiiiiir2" },
	{ "cpuacct.usage_user", "oiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii2" },
	{ "cpuacct.stat", "oiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii2" },
	{ "cpuset.cpus", "oooorirrrrriiiiirirroiwwwwwiirirriiiiiiiiiiiiiirioww" },
	{ "cpuset.mems", "ooooiiiiirriiiiiiiiioiwwwwwiirirriiiiiiiiiiiiiiiioww" },
	{ "cpuset.effective_cpus", "oiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii2" },
	{ "cpuset.cpu_exclusive", "oiiooioooooiiiiooiiiiioooorioiiiiiiiiiiiiiiiiiioiir2" },
	{ "cpuset.mem_exclusive", "oiiooioooooiiiiooiiiiioooorioiiiiiiiiiiiiiiiiiioiir2" },
	{ "cpuset.mem_hardwall", "oiiooioooooiiiiooiiiiioooorioiiiiiiiiiiiiiiiiiioiir2" },
	{ "cpuset.memory_migrate", "oiiooioooooiiiiooiiiiioooorioiiiiiiiiiiiiiiiiiioiir2" },
	{ "cpuset.memory_spread_page", "oiiooioooooiiiiooiiiiioooorioiiiiiiiiiiiiiiiiiioiir2" },
	{ "cpuset.memory_spread_slab", "oiiooioooooiiiiooiiiiioooorioiiiiiiiiiiiiiiiiiioiir2" },
	{ "cpuset.sched_load_balance", "oiiooioooooiiiiooiiiiioooorioiiiiiiiiiiiiiiiiiioiir2" },
	{ "cpuset.memory_pressure", "oiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii2" },
	{ "memory.limit_in_bytes", "oooooooooooiiiiooiiiiioooooiiiiiiioiiiiiiiiiiiioiio2" },
	{ "memory.soft_limit_in_bytes", "oooooooooooiiiiooiiiiioooooiiiiiiioiiiiiiiiiiiioiio2" },
	{ "memory.failcnt", "ooooooooooooooooooooooooooooooooooooooooooooooooooo2" },
	{ "memory.max_usage_in_bytes", "ooooooooooooooooooooooooooooooooooooooooooooooooooo2" },
	{ "memory.force_empty", "ooooooooooooooooooooooooooooooooooooooooooooooooooo2" },
	{ "memory.use_hierarchy", "oiiioiiiiiiiiiiiiiiiiiiiiirioiiiiiiiiiiiiiiiiiioiir2" },
	{ "memory.swappiness", "oiiooiooiiiiiiiooiiiiiiiiirioiiiiiiiiiiiiiiiiiioiir2" },
	{ "memory.oom_control", "oiiooiiiiiiiiiiiiiiiiiiiiirioiiiiiiiiiiiiiiiiiioiir2" },
	{ "memory.move_charge_at_immigrate", "oiiooioiiiiiiiiiiiiiiioioirioiiiiiiiiiiiiiiiiiioiir2" },
	{ "memory.pressure_level", "oiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii2" },
	{ "memory.stat", "oiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii2" },
	{ "memory.numa_stat", "oiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii2" },
	{ "memory.usage_in_bytes", "oiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii2" },
	{ "memory.kmem.limit_in_bytes", "oooooooooooiiiiooiiiiioooooiiiiiiioiiiiiiiiiiiioiio2" },
	{ "memory.kmem.failcnt", "ooooooooooooooooooooooooooooooooooooooooooooooooooo2" },
	{ "memory.kmem.max_usage_in_bytes", "ooooooooooooooooooooooooooooooooooooooooooooooooooo2" },
	{ "memory.kmem.usage_in_bytes", "oiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii2" },
	{ "memory.kmem.slabinfo", "oiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii2" },
	{ "memory.kmem.tcp.limit_in_bytes", "oooooooooooiiiiooiiiiioooooiiiiiiioiiiiiiiiiiiioiio2" },
	{ "memory.kmem.tcp.failcnt", "ooooooooooooooooooooooooooooooooooooooooooooooooooo2" },
	{ "memory.kmem.tcp.max_usage_in_bytes", "ooooooooooooooooooooooooooooooooooooooooooooooooooo2" },
	{ "memory.kmem.tcp.usage_in_bytes", "oiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii2" },
	{ "memory.memsw.limit_in_bytes", "oiiiioiiiiiiiiiiiiiiiiioooiiiiiiiiiiiiiiiiiiiiiiiii2" },
	{ "memory.memsw.failcnt", "ooooooooooooooooooooooooooooooooooooooooooooooooooo2" },
	{ "memory.memsw.max_usage_in_bytes", "ooooooooooooooooooooooooooooooooooooooooooooooooooo2" },
	{ "memory.memsw.usage_in_bytes", "oiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii2" },
	{ "pids.max", "oiiooioooooooiiooiiiiiiirrrioiiiiiiiiiiiiiiiiiioiir2" },
	{ "pids.current", "oiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii2" },
	{ "freezer.state", "oiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiooiiiiiiiiiii2" },
	{ "freezer.self_freezing", "oiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii2" },
	{ "freezer.parent_freezing", "oiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii2" },
	{ "devices.allow", "oiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiooiiiiiiiiiiiiii2" },
	{ "devices.deny", "oiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiooiiiiiiiiiiiiii2" },
	{ "devices.list", "oiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiiii2" },
};

static char letter(int error)
{
	static const struct { int error; char letter; } letters[] = {
		{ 0, 'o' }, { EINVAL, 'i' }, { ERANGE, 'r' }, { EACCES, 'e' }, { EBUSY, 'b' }, { ENOSPC, 's' },
		{ ENOENT, 'n' }, { EPERM, 'p' }, { EOPNOTSUPP, 'u' }, { ENODEV, 'v' }, { ESRCH, 'h' }, { EAGAIN, 'a' },
		{ E2BIG, '2' }, { EFAULT, 'f' }, { EOVERFLOW, 'w' }, { EBADF, 'd' }, { ENOMEM, 'm' }, { EIO, 'c' },
	};
	for (unsigned i = 0; i < sizeof letters / sizeof *letters; i++)
		if (letters[i].error == error)
			return letters[i].letter;
	return '?';
}

/* A number where pids are taken: it may be somebody's. */
static int names_somebody(const char *file, unsigned i)
{
	const char *text = values[i].text;
	return (strstr(file, "procs") || strstr(file, "threads") || !strcmp(file, "tasks"))
	       && strspn(text, " \n+0123456789x") == strlen(text) && strpbrk(text, "0123456789");
}

/* Whether the file answers as it should. */
static int agrees(const char *version, const struct answers *line)
{
	enum { N = sizeof values / sizeof *values };
	char got[N + 1];
	/* What CPUs there are to be named is another matter. */
	if (!strcmp(line->file, "cpuset.cpus") && sysconf(_SC_NPROCESSORS_CONF) != 1)
		return 1;
	const char *a = cg_new("");
	for (unsigned i = 0; i < N; i++) {
		if (names_somebody(line->file, i)) {
			got[i] = '.';
			continue;
		}
		int done = cg_write_n(a, line->file, values[i].text, values[i].len);
		got[i] = letter(done == 0 ? 0 : errno);
	}
	got[N] = 0;
	WAIT_FOR(rmdir(cg_path("%s", a)) == 0);
	if (!strcmp(got, line->letters))
		return 1;
	printf("# %s %s got  %s\n", version, line->file, got);
	printf("# %s %s want %s\n", version, line->file, line->letters);
	return 0;
}

static void fill(void)
{
	memset(long_text, '1', 4096);
	memset(too_long_text, '1', 4097);
}

TEST_FOR(files_of_cgroup2, 120)
{
	int same = 1;
	fill();
	WAIT_FOR(cg1_all_gone());
	cg2();
	CHECK_OK(cg_write("", "cgroup.subtree_control", "+cpu +cpuset +memory +pids"));
	for (unsigned i = 0; i < sizeof v2 / sizeof *v2; i++)
		same &= agrees("v2", &v2[i]);
	CHECK_OK(cg_write("", "cgroup.subtree_control", "-cpu -cpuset -memory -pids"));
	CHECK(same);
}

TEST_FOR(files_of_v1, 120)
{
	static const char options[] = "cpu,cpuacct,cpuset,memory,pids,freezer,devices";
	int same = 1;
	fill();
	WAIT_FOR(cg1_all_gone());
	cg1(options);
	for (unsigned i = 0; i < sizeof v1 / sizeof *v1; i++)
		same &= agrees("v1", &v1[i]);
	/* The controllers go back to cgroup2. */
	while (cg_hierarchy("pids") != 0) {
		umount("cg");
		kt_sleep_ms(100);
		if (cg_hierarchy("pids") != 0)
			CHECK_OK(mount("none", "cg", "cgroup", 0, options));
	}
	CHECK(same);
}
