/* The kernel's objects are memory of the cgroup that makes them (cgroup-v2.rst, "Memory Ownership"; slab of memory.stat). */
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/syscall.h>

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

/* Waits until the child has set the counter, and kills it once `holds` was seen. */
#define HELD(pid, done, holds)                           \
	do {                                             \
		pid_t holder = (pid);                    \
		WAIT_FOR(*(done));                       \
		CHECK(holds);                            \
		CHECK_OK(kill(holder, SIGKILL));         \
		kt_wait(holder);                         \
	} while (0)

TEST(items_of_epoll_are_bounded)
{
	const char *a = limited("2M");
	volatile long *made = counter();
	int files[200];
	for (int i = 0; i < 200; i++)
		files[i] = CHECK_OK(eventfd(0, 0));
	CHECK(mem_killed(SPAWN_IN(a, {
		struct epoll_event event = { .events = EPOLLIN };
		while (*made < 40000) {
			int epoll = CHECK_OK(epoll_create1(0));
			for (int i = 0; i < 200; i++, ++*made)
				CHECK_OK(epoll_ctl(epoll, EPOLL_CTL_ADD, files[i], &event));
		}
	})));
	CHECK(*made > 2000 && *made < 20000);
	WAIT_FOR(usage(a) < MB);
	/* They go with what they watch, too, and when they are removed. */
	CHECK_OK(mem_set(a, "memory.max", "16M"));
	*made = 0;
	HELD(SPAWN_IN(a, {
		struct epoll_event event = { .events = EPOLLIN };
		int epoll[60];
		for (int i = 0; i < 60; i++)
			epoll[i] = CHECK_OK(epoll_create1(0));
		for (int round = 0; round < 2; round++) {
			int own = CHECK_OK(eventfd(0, 0));
			long long before = usage(a);
			for (int i = 0; i < 12000; i++) {
				int fd = i % 200 ? files[i % 200] : own;
				CHECK_OK(epoll_ctl(epoll[i / 200], EPOLL_CTL_ADD, fd, &event));
			}
			CHECK(usage(a) > before + MB);
			close(own);
			for (int i = 0; i < 12000; i++)
				if (i % 200)
					CHECK_OK(epoll_ctl(epoll[i / 200], EPOLL_CTL_DEL, files[i % 200], NULL));
			WAIT_FOR(usage(a) < before + MB);
		}
		*made = 1;
		pause();
	}), made, 1);
	mem_done();
}

TEST(descriptor_tables_are_bounded)
{
	const char *a = limited("8M");
	volatile long *made = counter();
	struct rlimit many = { 1 << 20, 1 << 20 };
	CHECK_OK(setrlimit(RLIMIT_NOFILE, &many));
	HELD(SPAWN_IN(a, {
		CHECK_OK(dup2(0, 200000));
		CHECK(usage(a) > 2 * MB);
		/* A child has its own, until it executes something or ends. */
		JOIN(SPAWN({ CHECK(usage(a) > 4 * MB); }));
		WAIT_FOR(usage(a) < 4 * MB);
		*made = 1;
		pause();
	}), made, usage(a) > 2 * MB);
	WAIT_FOR(usage(a) < MB);
	CHECK(mem_killed(SPAWN_IN(a, {
		dup2(0, 1000000);
	})));
	WAIT_FOR(usage(a) < MB);
	mem_done();
}

TEST(mounts_are_bounded)
{
	const char *a = limited("2M");
	volatile long *made = counter();
	char name[16];
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof name, "d%d", i);
		CHECK_OK(mkdir(name, 0755));
	}
	CHECK(mem_killed(SPAWN_IN(a, {
		CHECK_OK(unshare(CLONE_NEWNS));
		CHECK_OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
		for (*made = 0; *made < 30000; ++*made) {
			snprintf(name, sizeof name, "d%ld", *made % 100);
			CHECK_OK(mount(name, name, NULL, MS_BIND, NULL));
		}
	})));
	CHECK(*made > 500 && *made < 20000);
	WAIT_FOR(usage(a) < MB);
	/* So are copies of namespaces with what is in them. */
	CHECK_OK(unshare(CLONE_NEWNS));
	CHECK_OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof name, "d%d", i);
		CHECK_OK(mount(name, name, NULL, MS_BIND, NULL));
	}
	*made = 0;
	CHECK(mem_killed(SPAWN_IN(a, {
		for (; *made < 500; ++*made) {
			CHECK_OK(open("/proc/self/ns/mnt", O_RDONLY));
			CHECK_OK(unshare(CLONE_NEWNS));
		}
	})));
	CHECK(*made > 4 && *made < 200);
	WAIT_FOR(usage(a) < MB);
	mem_done();
}

TEST(mounts_are_paid_for_by_who_mounts)
{
	const char *a = limited("16M");
	char name[16];
	CHECK_OK(unshare(CLONE_NEWNS));
	CHECK_OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	for (int i = 0; i < 100; i++) {
		snprintf(name, sizeof name, "d%d", i);
		CHECK_OK(mkdir(name, 0755));
	}
	JOIN(SPAWN_IN(a, {
		for (int i = 0; i < 5000; i++) {
			snprintf(name, sizeof name, "d%d", i % 100);
			CHECK_OK(mount(name, name, NULL, MS_BIND, NULL));
		}
	}));
	CHECK(usage(a) > 5 * MB / 4);
	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof name, "d%d", i % 100);
		CHECK_OK(umount2(name, MNT_DETACH));
	}
	WAIT_FOR(usage(a) < MB);
	mem_done();
}

TEST(queued_signals_are_charged_to_the_sender)
{
	const char *a = limited("16M");
	volatile long *made = counter();
	struct rlimit many = { 100000, 100000 };
	CHECK_OK(setrlimit(RLIMIT_SIGPENDING, &many));
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 1);
	CHECK_OK(sigprocmask(SIG_BLOCK, &set, NULL));
	union sigval value = { 0 };
	HELD(SPAWN_IN(a, {
		for (int i = 0; i < 20000; i++)
			CHECK_OK(sigqueue(getpid(), SIGRTMIN + 1, value));
		*made = 1;
		pause();
	}), made, usage(a) > MB);
	WAIT_FOR(usage(a) < MB);
	/* They stay, and stay charged, when the sender is gone. */
	JOIN(SPAWN_IN(a, {
		for (int i = 0; i < 20000; i++)
			CHECK_OK(sigqueue(getppid(), SIGRTMIN + 1, value));
	}));
	CHECK(usage(a) > MB);
	struct timespec now = { 0, 0 };
	for (int i = 0; i < 20000; i++)
		CHECK_EQ(sigtimedwait(&set, NULL, &now), SIGRTMIN + 1);
	WAIT_FOR(usage(a) < MB);
	/* No limit stops a signal, but who sent too many does not get far. */
	CHECK_OK(mem_set(a, "memory.max", "1M"));
	CHECK(mem_killed(SPAWN_IN(a, {
		for (int i = 0; i < 20000; i++)
			CHECK_OK(sigqueue(getppid(), SIGRTMIN + 1, value));
		for (;;)
			mem_touch(64 << 10);
	})));
	for (int i = 0; i < 20000; i++)
		CHECK_EQ(sigtimedwait(&set, NULL, &now), SIGRTMIN + 1);
	WAIT_FOR(usage(a) < MB);
	mem_done();
}

TEST(watches_of_inotify_are_bounded)
{
	const char *a = limited("1M");
	volatile long *made = counter();
	char name[16];
	CHECK_OK(kt_write_file("/proc/sys/fs/inotify/max_user_watches", "1000000"));
	for (int i = 0; i < 200; i++) {
		snprintf(name, sizeof name, "d%d", i);
		CHECK_OK(mkdir(name, 0755));
	}
	CHECK(mem_killed(SPAWN_IN(a, {
		for (int n = 0; n < 100; n++) {
			int fd = CHECK_OK(inotify_init());
			for (int i = 0; i < 200; i++, ++*made) {
				snprintf(name, sizeof name, "d%d", i);
				CHECK_OK(inotify_add_watch(fd, name, IN_CREATE));
			}
		}
	})));
	CHECK(*made > 1000);
	WAIT_FOR(usage(a) < 3 * MB / 4);
	mem_done();
}

TEST(events_of_inotify_are_paid_for_by_who_listens)
{
	const char *a = limited("16M");
	volatile long *made = counter();
	char name[300];
	CHECK_OK(mkdir("d", 0755));
	pid_t listener = SPAWN_IN(a, {
		int fd = CHECK_OK(inotify_init1(IN_NONBLOCK));
		CHECK_OK(inotify_add_watch(fd, "d", IN_CREATE | IN_DELETE));
		*made = 1;
		WAIT_FOR(*made == 2);
		static char buf[65536];
		while (read(fd, buf, sizeof buf) > 0)
			;
		*made = 3;
		pause();
	});
	WAIT_FOR(*made == 1);
	long long before = usage(a);
	for (int i = 0; i < 4000; i++) {
		snprintf(name, sizeof name, "d/%0200d", i);
		CHECK_OK(mknod(name, S_IFREG | 0644, 0));
		CHECK_OK(unlink(name));
	}
	CHECK(usage(a) > before + MB);
	*made = 2;
	WAIT_FOR(*made == 3);
	WAIT_FOR(usage(a) < before + MB);
	/* What does not fit is lost, and nobody is killed for it. */
	CHECK_OK(mem_set(a, "memory.max", "1M"));
	for (int i = 0; i < 4000; i++) {
		snprintf(name, sizeof name, "d/%0200d", i);
		CHECK_OK(mknod(name, S_IFREG | 0644, 0));
		CHECK_OK(unlink(name));
	}
	CHECK(usage(a) <= MB);
	CHECK_EQ(mem_event(a, "oom_kill "), 0);
	CHECK_OK(kill(listener, SIGKILL));
	kt_wait(listener);
	WAIT_FOR(usage(a) < 3 * MB / 4);
	mem_done();
}

TEST(posix_timers_are_bounded)
{
	const char *a = limited("1M");
	volatile long *made = counter();
	struct rlimit many = { 100000, 100000 };
	CHECK_OK(setrlimit(RLIMIT_SIGPENDING, &many));
	CHECK(mem_killed(SPAWN_IN(a, {
		int timer;
		for (*made = 0; *made < 20000; ++*made)
			CHECK_OK(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &timer));
	})));
	CHECK(*made > 500);
	WAIT_FOR(usage(a) < 3 * MB / 4);
	mem_done();
}
