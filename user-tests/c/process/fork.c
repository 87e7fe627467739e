/* fork(2): what the child shares, copies and starts afresh. */
#include <sys/mman.h>
#include <sys/times.h>

#include "proc.h"

static int global = 1;

TEST(returns_zero_in_the_child_and_its_pid_in_the_parent)
{
	int end[2];
	pid_t said;
	CHECK_OK(pipe(end));
	pid_t me = getpid();
	pid_t child = SPAWN({
		CHECK_EQ(getppid(), me);
		said = getpid();
		CHECK_EQ(write(end[1], &said, sizeof said), sizeof said);
	});
	CHECK_EQ(read(end[0], &said, sizeof said), sizeof said);
	CHECK_EQ(said, child);
	CHECK(child != me);
	JOIN(child);
}

TEST(memory_is_copied)
{
	int local = 1;
	int *heap = malloc(sizeof *heap);
	*heap = 1;
	JOIN(SPAWN(global = local = *heap = 2));
	CHECK_EQ(global, 1);
	CHECK_EQ(local, 1);
	CHECK_EQ(*heap, 1);
}

TEST(shared_mappings_are_shared)
{
	int *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(page != MAP_FAILED);
	JOIN(SPAWN(*page = 7));
	CHECK_EQ(*page, 7);
}

TEST(descriptors_share_the_open_file)
{
	char buf[4];
	kt_make_file("f", "abcdef", 0600);
	int fd = CHECK_OK(open("f", O_RDONLY));
	JOIN(SPAWN(CHECK_EQ(read(fd, buf, 3), 3)));
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 3);
	JOIN(SPAWN(CHECK_OK(close(fd))));
	CHECK_EQ(read(fd, buf, 1), 1);
	CHECK_EQ(buf[0], 'd');
	JOIN(SPAWN(CHECK_OK(fcntl(fd, F_SETFL, O_NONBLOCK))));
	CHECK(fcntl(fd, F_GETFL) & O_NONBLOCK);
}

TEST(descriptor_flags_are_private)
{
	int fd = CHECK_OK(open("/dev/null", O_RDONLY));
	JOIN(SPAWN(CHECK_OK(fcntl(fd, F_SETFD, FD_CLOEXEC))));
	CHECK_EQ(fcntl(fd, F_GETFD), 0);
}

TEST(directory_and_umask_are_private)
{
	char before[256], after[256];
	CHECK(getcwd(before, sizeof before));
	umask(027);
	JOIN(SPAWN({
		CHECK_EQ(umask(0), 027);
		CHECK_OK(chdir("/"));
	}));
	CHECK(getcwd(after, sizeof after));
	CHECK(!strcmp(before, after));
	CHECK_EQ(umask(022), 027);
}

static void nothing(int sig)
{
	(void)sig;
}

TEST(dispositions_and_mask_are_inherited_pending_is_not)
{
	sigset_t set, pending;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	CHECK_OK(sigprocmask(SIG_BLOCK, &set, NULL));
	signal(SIGUSR2, nothing);
	signal(SIGHUP, SIG_IGN);
	CHECK_OK(raise(SIGUSR1));
	JOIN(SPAWN({
		struct sigaction old;
		sigset_t mask;
		CHECK_OK(sigpending(&pending));
		CHECK(!sigismember(&pending, SIGUSR1));
		CHECK_OK(sigprocmask(SIG_BLOCK, NULL, &mask));
		CHECK(sigismember(&mask, SIGUSR1));
		CHECK_OK(sigaction(SIGUSR2, NULL, &old));
		CHECK(old.sa_handler == nothing);
		CHECK_OK(sigaction(SIGHUP, NULL, &old));
		CHECK(old.sa_handler == SIG_IGN);
	}));
	CHECK_OK(sigpending(&pending));
	CHECK(sigismember(&pending, SIGUSR1));
}

TEST(alarms_are_not_inherited)
{
	alarm(100);
	JOIN(SPAWN(CHECK_EQ(alarm(0), 0)));
	CHECK(alarm(0) > 90);
}

TEST(times_start_at_zero)
{
	long long end = kt_now_ms() + 100;
	volatile unsigned spin = 0;
	while (kt_now_ms() < end)
		spin++;
	struct tms parent;
	times(&parent);
	JOIN(SPAWN({
		struct tms t;
		times(&t);
		CHECK(t.tms_utime + t.tms_stime <= parent.tms_utime + parent.tms_stime);
		CHECK_EQ(t.tms_cutime, 0);
		CHECK_EQ(t.tms_cstime, 0);
	}));
}

TEST(group_and_session_are_inherited)
{
	pid_t group = getpgrp(), session = getsid(0);
	JOIN(SPAWN({
		CHECK_EQ(getpgrp(), group);
		CHECK_EQ(getsid(0), session);
	}));
}

TEST(locked_memory_is_not_inherited)
{
	CHECK_OK(mlockall(MCL_CURRENT));
	CHECK(kt_field("/proc/self/status", "VmLck:") > 0);
	JOIN(SPAWN(CHECK_EQ(kt_field("/proc/self/status", "VmLck:"), 0)));
}

TEST(record_locks_are_not_inherited)
{
	kt_make_file("f", "x", 0600);
	int fd = CHECK_OK(open("f", O_RDWR));
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	CHECK_OK(fcntl(fd, F_SETLK, &lock));
	pid_t me = getpid();
	JOIN(SPAWN({
		struct flock other = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
		CHECK_OK(fcntl(fd, F_GETLK, &other));
		CHECK_EQ(other.l_type, F_WRLCK);
		CHECK_EQ(other.l_pid, me);
		CHECK_ERR(fcntl(fd, F_SETLK, &lock), EAGAIN);
	}));
}

TEST(a_tree_of_processes_is_collected)
{
	enum { DEPTH = 4, WIDTH = 3 };
	int *count = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t child[WIDTH];
	int depth = 0, forked;
again:
	forked = 0;
	for (int i = 0; i < WIDTH && depth < DEPTH; i++) {
		child[i] = CHECK_OK(fork());
		if (child[i] == 0) {
			depth++;
			goto again;
		}
		forked++;
	}
	__atomic_add_fetch(count, 1, __ATOMIC_SEQ_CST);
	for (int i = 0; i < forked; i++)
		JOIN(child[i]);
	if (depth)
		_exit(0);
	CHECK_EQ(*count, 1 + 3 + 9 + 27 + 81);
	CHECK_ERR(wait(NULL), ECHILD);
}

TEST(a_child_is_listed_in_proc)
{
	char path[64], text[64];
	pid_t child = SPAWN(pause());
	snprintf(path, sizeof path, "/proc/%d/stat", child);
	CHECK(kt_read_file(path, text, sizeof text) > 0);
	CHECK_EQ(atoi(text), child);
	CHECK_OK(kill(child, SIGKILL));
	CHECK_EQ(kt_wait(child), SIGKILL);
	CHECK_ERR(open(path, O_RDONLY), ENOENT);
}
