/* ktest: timeout=600 */
/* Memory returns when its users are gone. */
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include "stress.h"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x80
#endif

/* What a kernel may keep in caches, in KiB. */
#define CACHES 6144

static void fork_and_touch(void)
{
	enum { SIZE = 1 << 20 };
	for (int i = 0; i < 8; i++)
		SPAWN({
			char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			memset(p, i, SIZE);
			if (i % 2)
				raise(SIGKILL);
		});
	while (wait(NULL) > 0)
		;
}

TEST_FOR(processes, 590)
{
	no_leak(fork_and_touch, CACHES);
}

static void *touch_stack(void *arg)
{
	volatile char deep[32768];
	deep[0] = deep[16384] = (char)(long)arg;
	return NULL;
}

static void threads(void)
{
	crowd(16, touch_stack);
}

TEST_FOR(threads_leave_nothing, 590)
{
	no_leak(threads, CACHES);
}

ROLE(nothing)
{
	return 0;
}

static void exec(void)
{
	pid_t child = vfork();
	if (child == 0) {
		execl("/proc/self/exe", "role:nothing", NULL);
		_exit(120);
	}
	JOIN(child);
}

TEST_FOR(programs, 590)
{
	no_leak(exec, CACHES);
}

static void files(void)
{
	static char block[65536];
	char name[64];
	CHECK_OK(mkdir("dir", 0755));
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof name, "dir/%d", i);
		int fd = CHECK_OK(open(name, O_CREAT | O_RDWR, 0600));
		CHECK_EQ(write(fd, block, sizeof block), sizeof block);
		CHECK_OK(close(fd));
	}
	CHECK_OK(rename("dir/3", "dir/300"));
	CHECK_OK(rename("dir/300", "dir/4"));
	CHECK_OK(symlink("4", "dir/3"));
	for (int i = 0; i < 20; i++) {
		snprintf(name, sizeof name, "dir/%d", i);
		CHECK_OK(unlink(name));
		CHECK_ERR(access(name, F_OK), ENOENT);
	}
	CHECK_OK(rmdir("dir"));
}

TEST_FOR(files_and_names, 590)
{
	no_leak(files, CACHES);
}

static void descriptors(void)
{
	static char block[32768];
	int fd[12], n = 0;
	CHECK_OK(pipe(fd));
	n += 2;
	CHECK_EQ(write(fd[1], block, sizeof block), sizeof block);
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, fd + n));
	CHECK_EQ(write(fd[n], block, sizeof block), sizeof block);
	n += 2;
	fd[n++] = CHECK_OK(eventfd(0, 0));
	fd[n++] = CHECK_OK(timerfd_create(CLOCK_MONOTONIC, 0));
	fd[n++] = CHECK_OK(memfd_create("m", 0));
	CHECK_EQ(write(fd[n - 1], block, sizeof block), sizeof block);
	fd[n++] = CHECK_OK(inotify_init1(0));
	CHECK_OK(inotify_add_watch(fd[n - 1], ".", IN_ALL_EVENTS));
	fd[n++] = CHECK_OK(epoll_create1(0));
	struct epoll_event e = { .events = EPOLLIN };
	CHECK_OK(epoll_ctl(fd[n - 1], EPOLL_CTL_ADD, fd[0], &e));
	fd[n++] = CHECK_OK(open("/dev/ptmx", O_RDWR | O_NOCTTY));
	for (int i = 0; i < n; i++)
		CHECK_OK(close(fd[i]));
}

TEST_FOR(kinds_of_descriptors, 590)
{
	no_leak(descriptors, CACHES);
}

static void namespaces(void)
{
	for (int i = 0; i < 4; i++) {
		pid_t child = CHECK_OK(sys_clone(CLONE_NEWPID | CLONE_NEWUTS | SIGCHLD, NULL, NULL));
		if (child == 0) {
			SPAWN(pause());
			_exit(0);
		}
		JOIN(child);
	}
}

TEST_FOR(pid_and_uts_namespaces, 590)
{
	no_leak(namespaces, CACHES);
}

/* How many each_kind has made; children count, too. */
static long *made;

/* One of each kind by unshare, the last reference of which is the process's end, then all at once by clone. */
static void each_kind(void)
{
	static const int kinds[] = { CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWNS,
				     CLONE_NEWNET, CLONE_NEWCGROUP, CLONE_NEWTIME, CLONE_NEWPID };
	int all = 0;
	for (int i = 0; i < 8; i++) {
		all |= kinds[i];
		JOIN(SPAWN({
			for (int n = 0; n < 20; n++)
				if (unshare(kinds[i]) < 0) {
					/* User namespaces nest to a depth; the others of these can be left but once. */
					CHECK(kinds[i] & (CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWTIME));
					break;
				} else {
					++*made;
				}
		}));
	}
	/* Time namespaces can only be entered by a child of who made one. */
	pid_t child = CHECK_OK(sys_clone((all & ~CLONE_NEWTIME) | SIGCHLD, NULL, NULL));
	if (child == 0)
		_exit(0);
	JOIN(child);
	*made += 7;
}

TEST_FOR(every_kind_of_namespace, 590)
{
	made = mmap(NULL, sizeof *made, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(made != MAP_FAILED);
	no_leak(each_kind, CACHES);
	printf("# %ld namespaces\n", *made);
}

static void mappings(void)
{
	enum { SIZE = 4 << 20 };
	char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(p, 1, SIZE);
	CHECK_OK(mprotect(p + SIZE / 2, 4096, PROT_READ));
	char *q = mremap(p, SIZE / 2, SIZE, MREMAP_MAYMOVE);
	CHECK(q != MAP_FAILED);
	CHECK_OK(madvise(q, SIZE / 4, MADV_DONTNEED));
	CHECK_OK(munmap(q, SIZE));
	munmap(p, SIZE);
}

TEST_FOR(mappings_leave_nothing, 590)
{
	no_leak(mappings, CACHES);
}

static void orphans(void)
{
	JOIN(SPAWN({
		for (int i = 0; i < 5; i++)
			SPAWN(SPAWN(_exit(0)));
	}));
}

TEST_FOR(orphans_are_collected, 590)
{
	long long before = kt_field("/proc/stat", "procs_running ");
	CHECK(before >= 1);
	no_leak(orphans, CACHES);
}
