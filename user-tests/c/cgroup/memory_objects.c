/* The kernel's objects are memory of the cgroup that makes them (cgroup-v2.rst, "Memory Ownership"; slab of memory.stat). */
#include <sched.h>
#include <sys/resource.h>
#include <sys/sem.h>

#include "memory.h"

static long long usage(const char *cg)
{
	return mem_get(cg, "memory.current");
}

/* A shared count of what a child has made, which outlives it. */
static volatile long *counter(void)
{
	void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(at != MAP_FAILED);
	*(volatile long *)at = 0;
	return at;
}

static const char *limited(const char *max)
{
	mem_init();
	const char *a = mem_new("a");
	CHECK_OK(mem_set(a, "memory.max", max));
	return a;
}

TEST(empty_files_are_bounded_and_given_back)
{
	const char *a = limited("8M");
	volatile long *made = counter();
	CHECK_OK(mkdir("t", 0755));
	CHECK_OK(mount("none", "t", "tmpfs", 0, "nr_inodes=0"));
	CHECK(mem_killed(SPAWN_IN(a, {
		char name[64];
		for (*made = 0; *made < 200000; ++*made) {
			snprintf(name, sizeof name, "t/%ld", *made);
			CHECK_OK(mknod(name, S_IFREG | 0644, 0));
		}
	})));
	CHECK(*made > 2000 && *made < 100000);
	CHECK(usage(a) > 4 * MB);
	CHECK(kt_field(mem_path(a, "memory.stat"), "slab ") > 4 * MB);
	CHECK_OK(umount("t"));
	WAIT_FOR(usage(a) < 2 * MB);
	mem_done();
}

TEST(names_are_bounded_too)
{
	const char *a = limited("8M");
	volatile long *made = counter();
	CHECK_OK(mkdir("t", 0755));
	CHECK_OK(mount("none", "t", "tmpfs", 0, "nr_inodes=0"));
	CHECK_OK(mknod("t/file", S_IFREG | 0644, 0));
	CHECK(mem_killed(SPAWN_IN(a, {
		char name[300];
		for (*made = 0; *made < 60000; ++*made) {
			snprintf(name, sizeof name, "t/%0200ld", *made);
			CHECK_OK(link("t/file", name));
		}
	})));
	CHECK(*made > 2000);
	CHECK_OK(umount("t"));
	WAIT_FOR(usage(a) < 2 * MB);
	mem_done();
}

TEST(open_files_are_bounded_and_given_back)
{
	const char *a = limited("4M");
	volatile long *made = counter();
	struct rlimit many = { 100000, 100000 };
	CHECK_OK(setrlimit(RLIMIT_NOFILE, &many));
	CHECK(mem_killed(SPAWN_IN(a, {
		for (*made = 0; *made < 90000; ++*made)
			CHECK_OK(open("/dev/null", O_RDONLY));
	})));
	CHECK(*made > 2000);
	WAIT_FOR(usage(a) < MB);
	/* And so are pipes, sockets and the like. */
	CHECK(mem_killed(SPAWN_IN(a, {
		for (*made = 0; *made < 40000; ++*made)
			CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0));
	})));
	CHECK(*made > 500);
	WAIT_FOR(usage(a) < MB);
	mem_done();
}

TEST(areas_of_memory_are_bounded)
{
	const char *a = limited("2M");
	volatile long *made = counter();
	CHECK(mem_killed(SPAWN_IN(a, {
		for (*made = 0; *made < 60000; ++*made)
			CHECK(mmap(NULL, 4096, *made & 1 ? PROT_NONE : PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
			      != MAP_FAILED);
	})));
	CHECK(*made > 2000);
	WAIT_FOR(usage(a) < MB);
	mem_done();
}

TEST(semaphores_are_charged)
{
	const char *a = limited("8M");
	CHECK(mem_killed(SPAWN_IN(a, {
		CHECK_OK(unshare(CLONE_NEWIPC));
		for (int i = 0; i < 31; i++)
			CHECK_OK(semget(IPC_PRIVATE, 32000, 0600));
	})));
	WAIT_FOR(usage(a) < MB);
	mem_done();
}

/* What comes and goes leaves nothing behind. */
TEST(nothing_is_left)
{
	const char *a = limited("64M");
	CHECK_OK(mkdir("t", 0755));
	CHECK_OK(mount("none", "t", "tmpfs", 0, "nr_inodes=0"));
	for (int round = 0; round < 3; round++) {
		JOIN(SPAWN_IN(a, {
			char name[64];
			char other[64];
			for (int i = 0; i < 300; i++) {
				snprintf(name, sizeof name, "t/%d", i);
				snprintf(other, sizeof other, "t/other%d", i);
				int fd = CHECK_OK(open(name, O_RDWR | O_CREAT | O_EXCL, 0600));
				CHECK_OK(link(name, other));
				CHECK_OK(rename(name, "t/moved"));
				CHECK_OK(rename("t/moved", name));
				CHECK_OK(rename(name, other));
				CHECK_OK(unlink(other));
				CHECK_OK(unlink(name));
				CHECK_OK(symlink("x", name));
				CHECK_OK(unlink(name));
				CHECK_OK(mkdir(name, 0700));
				CHECK_OK(rmdir(name));
				close(fd);
				int p[2];
				CHECK_OK(pipe(p));
				close(p[0]);
				close(p[1]);
			}
		}));
		WAIT_FOR(usage(a) < 2 * MB);
	}
	CHECK_OK(umount("t"));
	mem_done();
}
