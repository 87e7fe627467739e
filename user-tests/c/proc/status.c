/* proc(5): /proc/PID/status as Linux 6.1 orders it, and what else tells of namespaces. */
#include <poll.h>

#include "ns.h"

TEST(lines_in_order)
{
	static const char *const names[] = {
		"Name", "Umask", "State", "Tgid", "Ngid", "Pid", "PPid", "TracerPid", "Uid", "Gid",
		"FDSize", "Groups", "NStgid", "NSpid", "NSpgid", "NSsid", "VmPeak", "VmSize", "VmLck",
		"VmPin", "VmHWM", "VmRSS", "RssAnon", "RssFile", "RssShmem", "VmData", "VmStk", "VmExe",
		"VmLib", "VmPTE", "VmSwap", "HugetlbPages", "CoreDumping", "THP_enabled", "Threads",
		"SigQ", "SigPnd", "ShdPnd", "SigBlk", "SigIgn", "SigCgt", "CapInh", "CapPrm", "CapEff",
		"CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters",
		"Speculation_Store_Bypass", "SpeculationIndirectBranch", "Cpus_allowed",
		"Cpus_allowed_list", "Mems_allowed", "Mems_allowed_list", "voluntary_ctxt_switches",
		"nonvoluntary_ctxt_switches",
	};
	static char text[16384];
	CHECK(kt_read_file("/proc/self/status", text, sizeof text) > 0);
	char *at = text;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		size_t n = strlen(names[i]);
		if (strncmp(at, names[i], n) || at[n] != ':' || at[n + 1] != '\t')
			KT_FAIL("not %s but %.20s", names[i], at);
		at = strchr(at, '\n') + 1;
	}
	CHECK_EQ(*at, 0);
}

TEST(numbers_of_every_level)
{
	JOIN(SPAWN({
		CHECK_OK(setsid());
		struct sync s = sync_new();
		pid_t sid = getpid();
		pid_t child = SPAWN_IN(CLONE_NEWPID, {
			CHECK_OK(setpgid(0, 0));
			ready_and_hold(&s);
		});
		until_ready(&s);
		char want[128];
		const char *text = proc_text(child, "status");
		snprintf(want, sizeof want, "\nNStgid: %d 1\n", child);
		CHECK(strstr(text, want) || strstr(text, "NStgid"));
		static char raw[16384];
		CHECK(kt_read_file(proc_path(child, "status"), raw, sizeof raw) > 0);
		snprintf(want, sizeof want, "\nNStgid:\t%d\t1\nNSpid:\t%d\t1\nNSpgid:\t%d\t1\nNSsid:\t%d\t0\n",
			 child, child, child, sid);
		CHECK(strstr(raw, want) != NULL);
		let_go(&s);
		JOIN(child);
	}));
}

TEST(groups)
{
	JOIN(SPAWN({
		CHECK_OK(setgroups(3, (gid_t[]){ 30, 10, 20 }));
		static char raw[16384];
		CHECK(kt_read_file("/proc/self/status", raw, sizeof raw) > 0);
		CHECK(strstr(raw, "\nGroups:\t10 20 30 \n") != NULL);
		CHECK_OK(setgroups(0, NULL));
		CHECK(kt_read_file("/proc/self/status", raw, sizeof raw) > 0);
		CHECK(strstr(raw, "\nGroups:\t \n") != NULL);
	}));
}

TEST(kernel_names)
{
	char text[256];
	CHECK(kt_read_file("/proc/sys/kernel/ostype", text, sizeof text) > 0);
	CHECK(!strcmp(text, "Linux\n"));
	CHECK(kt_read_file("/proc/sys/kernel/osrelease", text, sizeof text) > 0);
	CHECK(!strncmp(text, "6.1.", 4));
	CHECK(kt_read_file("/proc/sys/kernel/version", text, sizeof text) > 0);
	CHECK(*text == '#');
	CHECK_ERR(open("/proc/sys/kernel/ostype", O_WRONLY), EACCES);
	CHECK_EQ(kt_field("/proc/sys/kernel/ngroups_max", ""), 65536);
}

TEST(poll_on_the_host_name)
{
	JOIN(SPAWN({
		CHECK_OK(unshare(CLONE_NEWUTS));
		char text[65];
		int fd = CHECK_OK(open("/proc/sys/kernel/hostname", O_RDONLY));
		CHECK(read(fd, text, sizeof text) > 0);
		struct pollfd p = { .fd = fd, .events = POLLPRI };
		CHECK_EQ(poll(&p, 1, 0), 0);
		CHECK_OK(sethostname("changed", 7));
		CHECK_EQ(poll(&p, 1, 5000), 1);
		CHECK(p.revents & POLLERR);
		CHECK(p.revents & POLLPRI);
		/* Told once. */
		CHECK_EQ(poll(&p, 1, 0), 0);
		pid_t other = SPAWN({
			kt_sleep_ms(50);
			CHECK_OK(sethostname("again", 5));
		});
		CHECK_EQ(poll(&p, 1, 5000), 1);
		JOIN(other);
		CHECK_OK(lseek(fd, 0, SEEK_SET));
		CHECK_EQ(read(fd, text, sizeof text), 6);
		int domain = CHECK_OK(open("/proc/sys/kernel/domainname", O_RDONLY));
		p.fd = domain;
		CHECK_EQ(poll(&p, 1, 0), 0);
		CHECK_OK(kt_write_file("/proc/sys/kernel/domainname", "d"));
		CHECK_EQ(poll(&p, 1, 5000), 1);
	}));
}

TEST(io)
{
	char text[512];
	CHECK(kt_read_file("/proc/self/io", text, sizeof text) > 0);
	static const char *const names[] = { "rchar: ", "wchar: ", "syscr: ", "syscw: ", "read_bytes: ",
					     "write_bytes: ", "cancelled_write_bytes: " };
	char *at = text;
	for (int i = 0; i < 7; i++) {
		CHECK(!strncmp(at, names[i], strlen(names[i])));
		at = strchr(at, '\n') + 1;
	}
	CHECK_EQ(*at, 0);
	long long before = kt_field("/proc/self/io", "wchar: ");
	long long calls = kt_field("/proc/self/io", "syscw: ");
	int fd = CHECK_OK(open("f", O_CREAT | O_RDWR, 0600));
	for (int i = 0; i < 5; i++)
		CHECK_EQ(write(fd, text, 100), 100);
	CHECK(kt_field("/proc/self/io", "wchar: ") - before >= 500);
	CHECK(kt_field("/proc/self/io", "syscw: ") - calls >= 5);
	before = kt_field("/proc/self/io", "rchar: ");
	CHECK_EQ(pread(fd, text, 100, 0), 100);
	CHECK(kt_field("/proc/self/io", "rchar: ") - before >= 100);
	JOIN(SPAWN({
		become(1000);
		CHECK_ERR(open("/proc/1/io", O_RDONLY), EACCES);
	}));
}

TEST(timers)
{
	char text[1024], want[256];
	timer_t timer;
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	CHECK_EQ(kt_read_file("/proc/self/timers", text, sizeof text), 0);
	CHECK_OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
	CHECK(kt_read_file("/proc/self/timers", text, sizeof text) > 0);
	CHECK(!strncmp(text, "ID: ", 4));
	CHECK(strstr(text, "\nsignal: 10/") != NULL);
	snprintf(want, sizeof want, "\nnotify: signal/pid.%d\nClockID: 1\n", getpid());
	CHECK(strstr(text, want) != NULL);
}
