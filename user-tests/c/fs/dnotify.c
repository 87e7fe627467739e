/* fcntl(2) F_NOTIFY: signals about a directory. */
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>

#include "proc.h"

#define SIG (SIGRTMIN + 3)

/* A directory `d` with the file `f`, watched for `events`; signals wait. */
static int watched(unsigned long events)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIG);
	sigaddset(&set, SIGIO);
	CHECK_OK(sigprocmask(SIG_BLOCK, &set, NULL));
	if (mkdir("d", 0755) == 0)
		close(CHECK_OK(creat("d/f", 0644)));
	int fd = CHECK_OK(open("d", O_RDONLY | O_DIRECTORY));
	CHECK_OK(fcntl(fd, F_SETSIG, SIG));
	CHECK_OK(fcntl(fd, F_NOTIFY, events));
	return fd;
}

/* The number of signals that wait; each is about `fd`. */
static int told(int fd)
{
	sigset_t set;
	siginfo_t info;
	int n = 0;
	sigemptyset(&set);
	sigaddset(&set, SIG);
	for (;; n++) {
		struct timespec wait = { 0, n ? 0 : 100000000 };
		if (sigtimedwait(&set, &info, &wait) < 0)
			break;
		CHECK_EQ(info.si_signo, SIG);
		CHECK_EQ(info.si_code, POLL_MSG);
		CHECK_EQ(info.si_fd, fd);
		CHECK_EQ(info.si_band, POLLIN | POLLRDNORM | POLLMSG);
	}
	return n;
}

#define TOLD(fd, n, action) \
	do { \
		CHECK_OK(action); \
		CHECK_EQ(told(fd), n); \
	} while (0)

TEST(once)
{
	int fd = watched(DN_CREATE);
	TOLD(fd, 1, mkdir("d/a", 0755));
	TOLD(fd, 0, mkdir("d/b", 0755));
	CHECK_OK(fcntl(fd, F_NOTIFY, DN_CREATE));
	TOLD(fd, 1, mkdir("d/c", 0755));
}

TEST(again_and_again)
{
	int fd = watched(DN_CREATE | DN_MULTISHOT);
	TOLD(fd, 1, mkdir("d/a", 0755));
	TOLD(fd, 1, mkdir("d/b", 0755));
	/* Nothing below them. */
	TOLD(fd, 0, mkdir("d/b/c", 0755));
	CHECK_OK(fcntl(fd, F_NOTIFY, 0));
	TOLD(fd, 0, mkdir("d/e", 0755));
	CHECK_OK(fcntl(fd, F_NOTIFY, DN_CREATE | DN_MULTISHOT));
	CHECK_OK(fcntl(fd, F_NOTIFY, DN_MULTISHOT));
	TOLD(fd, 0, mkdir("d/g", 0755));
}

TEST(what_is_created)
{
	int fd = watched(DN_CREATE | DN_MULTISHOT), other;
	CHECK_OK(other = creat("x", 0644));
	TOLD(fd, 1, mknod("d/1", S_IFREG | 0644, 0));
	TOLD(fd, 1, link("x", "d/2"));
	TOLD(fd, 1, symlink("x", "d/3"));
	TOLD(fd, 1, rename("x", "d/4"));
	TOLD(fd, 1, rename("d/4", "d/5"));
	TOLD(fd, 1, openat(fd, "6", O_CREAT | O_RDONLY, 0644));
	TOLD(fd, 0, openat(fd, "6", O_CREAT | O_RDONLY, 0644));
	TOLD(fd, 0, unlink("d/5"));
}

TEST(what_is_deleted)
{
	int fd = watched(DN_DELETE | DN_MULTISHOT);
	CHECK_OK(mkdir("d/dir", 0755));
	close(CHECK_OK(creat("d/g", 0644)));
	TOLD(fd, 1, unlink("d/f"));
	TOLD(fd, 1, rmdir("d/dir"));
	TOLD(fd, 1, rename("d/g", "d/h"));
	TOLD(fd, 1, rename("d/h", "h"));
	TOLD(fd, 0, rename("h", "d/h"));
}

TEST(what_is_renamed)
{
	int fd = watched(DN_RENAME | DN_MULTISHOT);
	TOLD(fd, 1, rename("d/f", "d/g"));
	CHECK_OK(mkdir("d/dir", 0755));
	TOLD(fd, 1, rename("d/dir", "d/directory"));
	/* Out of it and into it are not within it. */
	TOLD(fd, 0, rename("d/g", "g"));
	TOLD(fd, 0, rename("g", "d/g"));
	CHECK_OK(mkdir("e", 0755));
	TOLD(fd, 0, rename("e", "e2"));
}

TEST(each_event_for_itself)
{
	/* A rename is three: within, out of and into. */
	int fd = watched(DN_RENAME | DN_DELETE | DN_CREATE | DN_MULTISHOT);
	TOLD(fd, 3, rename("d/f", "d/g"));
	close(CHECK_OK(creat("d/f", 0644)));
	CHECK_EQ(told(fd), 1);
	TOLD(fd, 4 + 2, syscall(SYS_renameat2, AT_FDCWD, "d/f", AT_FDCWD, "d/g", 1 << 1 /* RENAME_EXCHANGE */));
	/* But one that is wanted once is told once. */
	CHECK_OK(fcntl(fd, F_NOTIFY, 0));
	CHECK_OK(fcntl(fd, F_NOTIFY, DN_RENAME | DN_DELETE | DN_CREATE));
	TOLD(fd, 1, rename("d/f", "d/h"));
}

TEST(what_is_read_and_written)
{
	char c;
	int fd = watched(DN_ACCESS | DN_MULTISHOT);
	int file = CHECK_OK(open("d/f", O_RDWR));
	TOLD(fd, 0, write(file, "abc", 3));
	TOLD(fd, 1, pread(file, &c, 1, 0));
	CHECK_OK(fcntl(fd, F_NOTIFY, 0));
	CHECK_OK(fcntl(fd, F_NOTIFY, DN_MODIFY | DN_MULTISHOT));
	TOLD(fd, 0, pread(file, &c, 1, 0));
	TOLD(fd, 1, write(file, "abc", 3));
	TOLD(fd, 1, ftruncate(file, 0));
	CHECK_OK(fcntl(fd, F_NOTIFY, 0));
	CHECK_OK(fcntl(fd, F_NOTIFY, DN_ATTRIB | DN_MULTISHOT));
	TOLD(fd, 0, write(file, "abc", 3));
	TOLD(fd, 1, fchmod(file, 0600));
	TOLD(fd, 1, utimensat(fd, "f", NULL, 0));
}

TEST(the_directory_itself)
{
	char buf[1024];
	int fd = watched(DN_ACCESS | DN_MULTISHOT), other = CHECK_OK(open("d", O_RDONLY));
	CHECK_OK(syscall(SYS_getdents64, other, buf, sizeof buf));
	CHECK_EQ(told(fd), 1);
	CHECK_OK(fcntl(fd, F_NOTIFY, DN_ATTRIB | DN_MULTISHOT));
	TOLD(fd, 1, chmod("d", 0700));
	CHECK_OK(fcntl(fd, F_NOTIFY, DN_DELETE | DN_CREATE | DN_RENAME | DN_MULTISHOT));
	CHECK_OK(rename("d", "e"));
	CHECK_EQ(told(fd), 0);
}

TEST(requests_add_up)
{
	int fd = watched(DN_CREATE), twin = CHECK_OK(dup(fd));
	CHECK_OK(fcntl(fd, F_NOTIFY, DN_DELETE | DN_MULTISHOT));
	/* The last descriptor is the one that is named. */
	CHECK_OK(fcntl(twin, F_NOTIFY, DN_ATTRIB));
	TOLD(twin, 1, mkdir("d/a", 0755));
	TOLD(twin, 1, rmdir("d/a"));
	TOLD(twin, 1, chmod("d/f", 0600));
	/* Any descriptor of it that is closed here ends it. */
	CHECK_OK(close(fd));
	TOLD(twin, 0, mkdir("d/a", 0755));
}

TEST(each_opening_for_itself)
{
	int one = watched(DN_CREATE | DN_MULTISHOT), two = watched(DN_DELETE | DN_MULTISHOT);
	TOLD(one, 1, mkdir("d/a", 0755));
	TOLD(two, 1, rmdir("d/a"));
	CHECK_OK(close(one));
	TOLD(two, 0, mkdir("d/a", 0755));
	TOLD(two, 1, rmdir("d/a"));
}

TEST(what_a_child_closes_is_not_closed_here)
{
	int fd = watched(DN_CREATE | DN_MULTISHOT);
	JOIN(SPAWN(close(fd)));
	JOIN(SPAWN({
		/* Nor does the child's own request end that of the parent. */
		CHECK_OK(fcntl(fd, F_NOTIFY, DN_DELETE));
		CHECK_OK(fcntl(fd, F_NOTIFY, 0));
	}));
	/* Signals are for the process that asked first. */
	JOIN(SPAWN(CHECK_OK(mkdir("d/a", 0755))));
	CHECK_EQ(told(fd), 1);
	CHECK_EQ(fcntl(fd, F_GETOWN), getpid());
}

TEST(sigio_unless_told_otherwise)
{
	int fd = watched(0);
	CHECK_EQ(fcntl(fd, F_GETOWN), 0);
	CHECK_OK(fcntl(fd, F_SETSIG, 0));
	CHECK_OK(fcntl(fd, F_NOTIFY, DN_CREATE));
	CHECK_EQ(fcntl(fd, F_GETOWN), getpid());
	CHECK_OK(mkdir("d/a", 0755));
	sigset_t set;
	siginfo_t info;
	struct timespec wait = { 5, 0 };
	sigemptyset(&set);
	sigaddset(&set, SIGIO);
	CHECK_EQ(sigtimedwait(&set, &info, &wait), SIGIO);
	CHECK_EQ(info.si_code, SI_KERNEL);
}

TEST(an_owner_stays)
{
	int fd = watched(0);
	pid_t child = SPAWN({
		sigset_t set;
		siginfo_t info;
		struct timespec wait = { 10, 0 };
		sigemptyset(&set);
		sigaddset(&set, SIG);
		CHECK_EQ(sigtimedwait(&set, &info, &wait), SIG);
	});
	CHECK_OK(fcntl(fd, F_SETOWN, child));
	CHECK_OK(fcntl(fd, F_NOTIFY, DN_CREATE));
	CHECK_EQ(fcntl(fd, F_GETOWN), child);
	CHECK_OK(mkdir("d/a", 0755));
	JOIN(child);
	CHECK_EQ(told(fd), 0);
}

TEST(ends_with_its_directory)
{
	int fd = watched(DN_CREATE | DN_DELETE | DN_MULTISHOT);
	CHECK_OK(unlink("d/f"));
	CHECK_EQ(told(fd), 1);
	TOLD(fd, 0, rmdir("d"));
	CHECK_OK(fcntl(fd, F_NOTIFY, DN_CREATE));
}

TEST(wrong_arguments)
{
	int fd = watched(0), file = CHECK_OK(open("d/f", O_RDONLY)), path = CHECK_OK(open("d", O_PATH));
	CHECK_ERR(fcntl(file, F_NOTIFY, DN_CREATE), ENOTDIR);
	CHECK_OK(fcntl(file, F_NOTIFY, 0));
	CHECK_ERR(fcntl(path, F_NOTIFY, DN_CREATE), EBADF);
	CHECK_ERR(fcntl(999, F_NOTIFY, DN_CREATE), EBADF);
	/* Bits that nobody knows are nothing. */
	CHECK_OK(fcntl(fd, F_NOTIFY, 0x100));
	TOLD(fd, 0, mkdir("d/a", 0755));
}

TEST(can_be_forbidden)
{
	const char *file = "/proc/sys/fs/dir-notify-enable";
	int fd = watched(0);
	CHECK_EQ(kt_field(file, ""), 1);
	CHECK_OK(kt_write_file(file, "0"));
	int result = fcntl(fd, F_NOTIFY, DN_CREATE), error = errno;
	CHECK_OK(kt_write_file(file, "1"));
	CHECK_EQ(result, -1);
	CHECK_EQ(error, EINVAL);
}
