/* /proc/locks (proc(5)). */
#include <fcntl.h>
#include <sys/file.h>
#include <sys/sysmacros.h>

#include "ns.h"

#ifndef F_OFD_SETLK
#define F_OFD_SETLK 37
#endif

static char file[] = "locked";
static char where[64];

/* A file, and how lines name it. */
static int make(void)
{
	struct stat st;
	int fd = CHECK_OK(open(file, O_RDWR | O_CREAT, 0600));
	CHECK_OK(fstat(fd, &st));
	snprintf(where, sizeof where, "%02x:%02x:%lu", major(st.st_dev), minor(st.st_dev), (unsigned long)st.st_ino);
	return fd;
}

/* The lines about the file, without their numbers: how many. */
static int lines(char out[][128], int most)
{
	char text[8192], *save = NULL;
	int n = 0;
	CHECK(kt_read_file("/proc/locks", text, sizeof text) >= 0);
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (strstr(line, where) && n < most) {
			char *rest = strchr(line, ':');
			CHECK(rest && rest[1] == ' ');
			snprintf(out[n++], 128, "%s", rest + 2);
		}
	return n;
}

static int has(const char *want)
{
	char all[16][128];
	int n = lines(all, 16);
	for (int i = 0; i < n; i++)
		if (!strcmp(all[i], want))
			return 1;
	for (int i = 0; i < n; i++)
		printf("# not it: %s\n", all[i]);
	return 0;
}

static int count(void)
{
	char all[16][128];
	return lines(all, 16);
}

static const char *want(const char *kind, const char *mode, int pid, const char *range)
{
	static char line[128];
	snprintf(line, sizeof line, "%s ADVISORY  %s %d %s %s", kind, mode, pid, where, range);
	return line;
}

static int record(int fd, int cmd, int type, long start, long len)
{
	struct flock lock = { .l_type = type, .l_start = start, .l_len = len };
	return fcntl(fd, cmd, &lock);
}

TEST(each_kind)
{
	int fd = make();
	CHECK_EQ(count(), 0);
	CHECK_OK(flock(fd, LOCK_SH));
	CHECK(has(want("FLOCK ", "READ", getpid(), "0 EOF")));
	CHECK_OK(flock(fd, LOCK_EX));
	CHECK(has(want("FLOCK ", "WRITE", getpid(), "0 EOF")));
	CHECK_OK(record(fd, F_SETLK, F_WRLCK, 10, 5));
	CHECK(has(want("POSIX ", "WRITE", getpid(), "10 14")));
	CHECK_OK(record(fd, F_SETLK, F_RDLCK, 100, 0));
	CHECK(has(want("POSIX ", "READ", getpid(), "100 EOF")));
	int other = CHECK_OK(open(file, O_RDWR));
	CHECK_OK(record(other, F_OFD_SETLK, F_WRLCK, 50, 1));
	CHECK(has(want("OFDLCK", "WRITE", -1, "50 50")));
	CHECK_EQ(count(), 4);
	/* A part given up cuts the lock in two. */
	CHECK_OK(record(fd, F_SETLK, F_UNLCK, 12, 1));
	CHECK(has(want("POSIX ", "WRITE", getpid(), "10 11")));
	CHECK(has(want("POSIX ", "WRITE", getpid(), "13 14")));
	CHECK_OK(close(other));
	CHECK_OK(flock(fd, LOCK_UN));
	CHECK_OK(record(fd, F_SETLK, F_UNLCK, 0, 0));
	CHECK_EQ(count(), 0);
	/* Again, now that the file is known. */
	CHECK_OK(flock(fd, LOCK_EX));
	CHECK_EQ(count(), 1);
	CHECK_OK(close(fd));
	CHECK_EQ(count(), 0);
	CHECK_OK(unlink(file));
}

TEST(who_waits_stands_behind)
{
	char line[140];
	int fd = make();
	CHECK_OK(record(fd, F_SETLK, F_WRLCK, 0, 10));
	CHECK_OK(flock(fd, LOCK_EX));
	pid_t one = SPAWN(record(fd, F_SETLKW, F_RDLCK, 5, 2));
	pid_t two = SPAWN({
		int own = CHECK_OK(open(file, O_RDWR));
		flock(own, LOCK_SH);
	});
	snprintf(line, sizeof line, "-> %s", want("POSIX ", "READ", one, "5 6"));
	WAIT_FOR(has(line));
	snprintf(line, sizeof line, "-> %s", want("FLOCK ", "READ", two, "0 EOF"));
	WAIT_FOR(has(line));
	CHECK_EQ(count(), 4);
	/* One that is killed waits no more. */
	kill(one, SIGKILL);
	CHECK_EQ(kt_wait(one), SIGKILL);
	CHECK_EQ(count(), 3);
	CHECK_OK(flock(fd, LOCK_UN));
	JOIN(two);
	CHECK_EQ(count(), 1);
	CHECK_OK(close(fd));
	CHECK_OK(unlink(file));
}

TEST(pids_are_the_readers)
{
	struct sync s = sync_new();
	int fd = make();
	CHECK_OK(record(fd, F_SETLK, F_WRLCK, 0, 1));
	CHECK_OK(record(fd, F_OFD_SETLK, F_RDLCK, 7, 1));
	pid_t child = SPAWN_IN(CLONE_NEWPID | CLONE_NEWNS, {
		own_proc();
		int own = CHECK_OK(open(file, O_RDWR));
		CHECK_OK(record(own, F_SETLK, F_WRLCK, 20, 1));
		/* Its own by the number it has here, a description's, and not that of one who is not here. */
		CHECK(has(want("POSIX ", "WRITE", 1, "20 20")));
		CHECK(has(want("OFDLCK", "READ", -1, "7 7")));
		CHECK_EQ(count(), 2);
		ready_and_hold(&s);
	});
	until_ready(&s);
	CHECK(has(want("POSIX ", "WRITE", child, "20 20")));
	CHECK(has(want("POSIX ", "WRITE", getpid(), "0 0")));
	CHECK_EQ(count(), 3);
	let_go(&s);
	JOIN(child);
	CHECK_EQ(count(), 2);
	CHECK_OK(close(fd));
	CHECK_OK(unlink(file));
}
