/* The device files and small /proc files that programs rely on. */
#include <poll.h>
#include <sys/random.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>

#include "proc.h"

TEST(null_zero_full)
{
	char buf[64];
	int null = CHECK_OK(open("/dev/null", O_RDWR)), zero = CHECK_OK(open("/dev/zero", O_RDWR));
	int full = CHECK_OK(open("/dev/full", O_RDWR));
	CHECK_EQ(read(null, buf, 64), 0);
	CHECK_EQ(write(null, buf, 64), 64);
	memset(buf, 1, 64);
	CHECK_EQ(read(zero, buf, 64), 64);
	for (int i = 0; i < 64; i++)
		CHECK_EQ(buf[i], 0);
	CHECK_EQ(write(zero, buf, 64), 64);
	CHECK_EQ(read(full, buf, 64), 64);
	CHECK_ERR(write(full, buf, 64), ENOSPC);
	CHECK_EQ(lseek(null, 100, SEEK_SET), 0);
	CHECK_OK(close(CHECK_OK(open("/dev/null", O_WRONLY | O_TRUNC | O_CREAT, 0600))));
}

TEST(random_bytes)
{
	unsigned char a[32], b[32];
	CHECK_EQ(getrandom(a, 32, 0), 32);
	CHECK_EQ(getrandom(b, 32, GRND_NONBLOCK), 32);
	CHECK(memcmp(a, b, 32));
	int fd = CHECK_OK(open("/dev/urandom", O_RDONLY));
	CHECK_EQ(read(fd, a, 32), 32);
	CHECK(memcmp(a, b, 32));
	fd = CHECK_OK(open("/dev/random", O_RDONLY));
	CHECK_EQ(read(fd, b, 32), 32);
	CHECK(memcmp(a, b, 32));
	CHECK_ERR(getrandom(a, 32, 0x100), EINVAL);
	CHECK_ERR(getrandom(a, 32, GRND_RANDOM | 4), EINVAL);
	CHECK_ERR(syscall(SYS_getrandom, BAD_PTR, 32, 0), EFAULT);
}

TEST(system_names)
{
	struct utsname u;
	char text[128];
	CHECK_OK(uname(&u));
	CHECK(!strcmp(u.machine, "x86_64"));
	CHECK(!strcmp(u.sysname, "Linux"));
	int major = 0, minor = -1;
	CHECK_EQ(sscanf(u.release, "%d.%d", &major, &minor), 2);
	CHECK(major >= 5);
	CHECK(kt_read_file("/proc/sys/kernel/osrelease", text, sizeof text) > 0);
	CHECK(!strncmp(text, u.release, strlen(u.release)));
	CHECK(kt_read_file("/proc/sys/kernel/ostype", text, sizeof text) > 0);
	CHECK(!strcmp(text, "Linux\n"));
	CHECK(kt_read_file("/proc/version", text, sizeof text) > 0);
	CHECK(!strncmp(text, "Linux version ", 14));
	CHECK_ERR(syscall(SYS_uname, BAD_PTR), EFAULT);
}

TEST(system_figures)
{
	struct sysinfo info;
	char text[4096];
	CHECK_OK(sysinfo(&info));
	long long total = kt_field("/proc/meminfo", "MemTotal:");
	CHECK_EQ((long long)(info.totalram * info.mem_unit / 1024), total);
	CHECK(kt_field("/proc/meminfo", "MemFree:") > 0);
	CHECK(kt_field("/proc/meminfo", "MemAvailable:") > 0);
	CHECK(kt_field("/proc/meminfo", "MemFree:") <= total);
	CHECK(info.procs > 0);
	CHECK(kt_read_file("/proc/stat", text, sizeof text) > 0);
	CHECK(!strncmp(text, "cpu  ", 5));
	CHECK(strstr(text, "\ncpu0 "));
	CHECK(kt_field("/proc/stat", "btime ") > 1600000000);
	CHECK(kt_field("/proc/stat", "processes ") > 0);
	double a, b, c;
	int running, threads, last;
	CHECK(kt_read_file("/proc/loadavg", text, sizeof text) > 0);
	CHECK_EQ(sscanf(text, "%lf %lf %lf %d/%d %d", &a, &b, &c, &running, &threads, &last), 6);
	CHECK(running >= 1 && threads >= running);
	CHECK(kt_read_file("/proc/cpuinfo", text, sizeof text) > 0);
	CHECK(!strncmp(text, "processor\t: 0\n", 14));
	CHECK_ERR(syscall(SYS_sysinfo, BAD_PTR), EFAULT);
}

TEST(own_status)
{
	char text[2048], comm[32];
	int pid, ppid, pgrp, session, tty;
	char state;
	CHECK(kt_read_file("/proc/self/stat", text, sizeof text) > 0);
	CHECK_EQ(sscanf(text, "%d (%31[^)]) %c %d %d %d %d", &pid, comm, &state, &ppid, &pgrp,
			&session, &tty), 7);
	CHECK_EQ(pid, getpid());
	CHECK_EQ(state, 'R');
	CHECK_EQ(ppid, getppid());
	CHECK_EQ(pgrp, getpgrp());
	CHECK_EQ(session, getsid(0));
	CHECK_EQ(tty, 0);
	int fields = 1;
	for (char *c = strrchr(text, ')'); *c; c++)
		fields += *c == ' ';
	CHECK_EQ(fields, 51);
	CHECK_EQ(kt_field("/proc/self/status", "Pid:"), getpid());
	CHECK_EQ(kt_field("/proc/self/status", "PPid:"), getppid());
	CHECK_EQ(kt_field("/proc/self/status", "Threads:"), 1);
}

TEST(self_and_thread_self)
{
	char link[64] = "";
	CHECK(readlink("/proc/self", link, sizeof link) > 0);
	CHECK_EQ(atoi(link), getpid());
	JOIN(SPAWN({
		char mine[64] = "";
		CHECK(readlink("/proc/self", mine, sizeof mine) > 0);
		CHECK_EQ(atoi(mine), getpid());
	}));
	char want[64];
	memset(link, 0, sizeof link);
	snprintf(want, sizeof want, "%d/task/%d", getpid(), getpid());
	CHECK(readlink("/proc/thread-self", link, sizeof link) > 0);
	CHECK(!strcmp(link, want));
}

TEST(mounts)
{
	char text[16384];
	CHECK(kt_read_file("/proc/self/mounts", text, sizeof text) > 0);
	CHECK(strstr(text, " /proc proc rw"));
	CHECK(kt_read_file("/proc/self/mountinfo", text, sizeof text) > 0);
	CHECK(strstr(text, " /proc "));
	CHECK(strstr(text, " - proc proc rw"));
	int fd = CHECK_OK(open("/proc/self/mounts", O_RDONLY));
	struct pollfd p = { .fd = fd, .events = POLLPRI };
	CHECK_EQ(poll(&p, 1, 0), 0);
	CHECK(kt_read_file("/proc/filesystems", text, sizeof text) > 0);
	CHECK(strstr(text, "nodev\tproc\n"));
	CHECK(strstr(text, "nodev\ttmpfs\n"));
}

TEST(proc_is_read_in_pieces)
{
	static char whole[16384];
	char piece[8];
	ssize_t n = kt_read_file("/proc/self/status", whole, sizeof whole);
	CHECK(n > 0);
	int fd = CHECK_OK(open("/proc/self/status", O_RDONLY));
	CHECK_EQ(read(fd, piece, 5), 5);
	CHECK(!memcmp(piece, whole, 5));
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	CHECK_EQ(pread(fd, piece, 3, 5), 3);
	CHECK(!memcmp(piece, whole + 5, 3));
	struct stat st;
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(st.st_size, 0);
	CHECK_ERR(open("/proc/new", O_CREAT | O_RDWR, 0600), ENOENT);
	CHECK_ERR(unlink("/proc/version"), EPERM);
	CHECK_ERR(mkdir("/proc/dir", 0755), ENOENT);
}
