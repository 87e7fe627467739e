/* Every interface file with writes that are empty, huge, malformed, partial and concurrent. */
#include <dirent.h>

#include "cgroup.h"

static const char *texts[] = {
	"", " ", "\n", "0", "1", "-1", "max", "max\n", "  max  ", "+", "-", "+pids -pids", "+ pids", "*", "0x", "0x7fffffffffffffff",
	"18446744073709551615", "18446744073709551616", "-9223372036854775809", "1.5", "1e9", "1 2 3", "1,2", "0-1000000", "9999999999G",
	"K", "\t1\t", "a", "a *:* rwm", "c 1:3", "c *:* zzz", "FROZEN", "THAWED", "threaded", "domain", "max 100000", "100000 0",
	"\xff\xfe", "name=", "%s%s%n", "1\n1",
};

static int known(int error)
{
	switch (error) {
	case 0: case EINVAL: case ERANGE: case E2BIG: case EACCES: case EPERM: case ENODEV: case EOPNOTSUPP:
	case EBUSY: case ENOENT: case ESRCH: case ENOSPC: case EAGAIN: case EIO: case EBADF: case EOVERFLOW:
	case ENOTDIR: case ENAMETOOLONG: case EINTR:
		return 1;
	}
	return 0;
}

/* A pid: whoever is there would be moved, and then frozen or killed. */
static int is_number(const char *text)
{
	return strspn(text, " \t\n0123456789x") == strlen(text);
}

static int takes_pids(const char *name)
{
	return strstr(name, "procs") || strstr(name, "threads") || !strcmp(name, "tasks");
}

static void attack(const char *dir, unsigned seed)
{
	static char big[8192];
	DIR *d = opendir(cg_path("%s", dir));
	CHECK(d != NULL);
	struct dirent *e;
	while ((e = readdir(d))) {
		if (e->d_type == DT_DIR || e->d_name[0] == '.')
			continue;
		int fd = open(cg_path("%s/%s", dir, e->d_name), O_RDWR);
		if (fd < 0)
			continue;
		for (unsigned i = 0; i < sizeof texts / sizeof *texts; i++) {
			const char *text = texts[(i + seed) % (sizeof texts / sizeof *texts)];
			if (takes_pids(e->d_name) && is_number(text))
				continue;
			errno = 0;
			if (write(fd, text, strlen(text)) < 0 && !known(errno))
				KT_FAIL("%s: \"%s\" gave errno %d", e->d_name, text, errno);
			if (pwrite(fd, text, strlen(text), 5) < 0)
				CHECK(known(errno));
		}
		memset(big, '1' + seed % 8, sizeof big);
		CHECK_ERR(write(fd, big, sizeof big), E2BIG);
		for (unsigned len = 1; len <= 4096 && !takes_pids(e->d_name); len *= 4)
			if (write(fd, big, len) < 0)
				CHECK(known(errno));
		for (int i = 0; i < 64; i++)
			big[i] = rand();
		if (write(fd, big, 64) < 0)
			CHECK(known(errno));
		CHECK_ERR(write(fd, BAD_PTR, 8), EFAULT);
		if (pread(fd, big, sizeof big, 0) < 0)
			CHECK(known(errno));
		close(fd);
	}
	closedir(d);
}

/* Undoes what a lucky write may have done. */
static void calm(const char *dir)
{
	cg_write(dir, "cgroup.freeze", "0");
	cg_write(dir, "freezer.state", "THAWED");
	cg_write(dir, "cgroup.subtree_control", "-pids -memory -cpu -cpuset");
	cg_write("", "cgroup.procs", "0");
}

TEST_FOR(malformed_writes_to_cgroup2, 120)
{
	cg2();
	CHECK_OK(cg_write("", "cgroup.subtree_control", "+pids"));
	const char *a = cg_new("");
	srand(1);
	pid_t child = SPAWN(attack(a, 0));
	JOIN(child);
	calm(a);
	CHECK(cg_has_line(a, "cgroup.events", "populated 0"));
	cg_drop(a);
	CHECK_OK(cg_write("", "cgroup.subtree_control", "-pids"));
}

TEST_FOR(malformed_writes_to_v1, 120)
{
	cg1("pids,freezer,devices");
	const char *a = cg_new("");
	srand(2);
	pid_t child = SPAWN(attack(a, 7));
	JOIN(child);
	calm(a);
	cg_drop(a);
	/* The name in /proc/cgroups is one of them. */
	while (cg_hierarchy("pids") != 0) {
		umount("cg");
		kt_sleep_ms(100);
		if (cg_hierarchy("pids") != 0)
			CHECK_OK(mount("none", "cg", "cgroup", 0, "pids,freezer,devices"));
	}
}

TEST_FOR(concurrent_writes, 120)
{
	cg2();
	CHECK_OK(cg_write("", "cgroup.subtree_control", "+pids"));
	const char *a = cg_new("");
	pid_t children[3];
	for (unsigned i = 0; i < 3; i++)
		children[i] = SPAWN(srand(i); attack(a, i * 11));
	/* Whoever freezes or kills itself with the cgroup is thawed, or gone. */
	for (unsigned i = 0; i < 3; i++)
		while (waitpid(children[i], NULL, WNOHANG) == 0) {
			calm(a);
			kt_sleep_ms(2);
		}
	calm(a);
	cg_drop(a);
	CHECK_OK(cg_write("", "cgroup.subtree_control", "-pids"));
}
