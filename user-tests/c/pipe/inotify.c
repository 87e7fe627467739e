/* inotify(7). */
#include <limits.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>

#include "proc.h"

static int in;
static char buf[8192] __attribute__((aligned(8)));
static char *at, *end;

/* The next event, or NULL when there is none. */
static struct inotify_event *next(void)
{
	if (at == end) {
		ssize_t n = read(in, buf, sizeof buf);
		if (n < 0) {
			CHECK_EQ(errno, EAGAIN);
			return NULL;
		}
		at = buf;
		end = buf + n;
	}
	struct inotify_event *e = (void *)at;
	at += sizeof *e + e->len;
	return e;
}

static struct inotify_event *expect(int wd, uint32_t mask, const char *name)
{
	struct inotify_event *e = next();
	CHECK(e != NULL);
	CHECK_EQ(e->wd, wd);
	CHECK_EQ(e->mask, mask);
	if (name)
		CHECK(e->len > 0 && !strcmp(e->name, name));
	else
		CHECK_EQ(e->len, 0);
	return e;
}

static void start(void)
{
	in = CHECK_OK(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
	CHECK_OK(mkdir("d", 0755));
}

TEST(in_a_directory)
{
	start();
	int wd = CHECK_OK(inotify_add_watch(in, "d", IN_ALL_EVENTS));
	CHECK(next() == NULL);
	int fd = CHECK_OK(open("d/f", O_CREAT | O_RDWR, 0600));
	expect(wd, IN_CREATE, "f");
	expect(wd, IN_OPEN, "f");
	CHECK_EQ(write(fd, "x", 1), 1);
	expect(wd, IN_MODIFY, "f");
	CHECK_EQ(pread(fd, buf, 1, 0), 1);
	expect(wd, IN_ACCESS, "f");
	CHECK_OK(fchmod(fd, 0644));
	expect(wd, IN_ATTRIB, "f");
	CHECK_OK(close(fd));
	expect(wd, IN_CLOSE_WRITE, "f");
	CHECK_OK(close(open("d/f", O_RDONLY)));
	expect(wd, IN_OPEN, "f");
	expect(wd, IN_CLOSE_NOWRITE, "f");
	CHECK_OK(unlink("d/f"));
	expect(wd, IN_DELETE, "f");
	CHECK_OK(mkdir("d/sub", 0755));
	expect(wd, IN_CREATE | IN_ISDIR, "sub");
	CHECK_OK(rmdir("d/sub"));
	expect(wd, IN_DELETE | IN_ISDIR, "sub");
	CHECK(next() == NULL);
}

TEST(renames_share_a_cookie)
{
	start();
	kt_make_file("d/a", "", 0600);
	int wd = CHECK_OK(inotify_add_watch(in, "d", IN_MOVE));
	CHECK_OK(rename("d/a", "d/b"));
	uint32_t cookie = expect(wd, IN_MOVED_FROM, "a")->cookie;
	CHECK(cookie != 0);
	CHECK_EQ(expect(wd, IN_MOVED_TO, "b")->cookie, cookie);
	CHECK_OK(rename("d/b", "outside"));
	expect(wd, IN_MOVED_FROM, "b");
	CHECK(next() == NULL);
}

TEST(of_the_watched_itself)
{
	start();
	kt_make_file("f", "", 0600);
	int wd = CHECK_OK(inotify_add_watch(in, "f", IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF));
	CHECK_OK(rename("f", "g"));
	expect(wd, IN_MOVE_SELF, NULL);
	CHECK_OK(unlink("g"));
	expect(wd, IN_ATTRIB, NULL);
	expect(wd, IN_DELETE_SELF, NULL);
	expect(wd, IN_IGNORED, NULL);
	CHECK_ERR(inotify_rm_watch(in, wd), EINVAL);
}

TEST(of_a_watched_directory_itself)
{
	char entries[1024];
	start();
	int wd = CHECK_OK(inotify_add_watch(in, "d", IN_ALL_EVENTS));
	int above = CHECK_OK(inotify_add_watch(in, ".", IN_ALL_EVENTS));
	int fd = CHECK_OK(open("d", O_RDONLY));
	expect(above, IN_OPEN | IN_ISDIR, "d");
	expect(wd, IN_OPEN | IN_ISDIR, NULL);
	CHECK_OK(syscall(SYS_getdents64, fd, entries, sizeof entries));
	expect(above, IN_ACCESS | IN_ISDIR, "d");
	expect(wd, IN_ACCESS | IN_ISDIR, NULL);
	/* Also at its end, and where there is no room for an entry. */
	CHECK_EQ(syscall(SYS_getdents64, fd, entries, sizeof entries), 0);
	expect(above, IN_ACCESS | IN_ISDIR, "d");
	expect(wd, IN_ACCESS | IN_ISDIR, NULL);
	CHECK_OK(lseek(fd, 0, SEEK_SET));
	CHECK_ERR(syscall(SYS_getdents64, fd, entries, 1), EINVAL);
	expect(above, IN_ACCESS | IN_ISDIR, "d");
	expect(wd, IN_ACCESS | IN_ISDIR, NULL);
	CHECK_OK(close(fd));
	expect(above, IN_CLOSE_NOWRITE | IN_ISDIR, "d");
	expect(wd, IN_CLOSE_NOWRITE | IN_ISDIR, NULL);
	CHECK_OK(chmod("d", 0700));
	expect(above, IN_ATTRIB | IN_ISDIR, "d");
	expect(wd, IN_ATTRIB | IN_ISDIR, NULL);
	CHECK_OK(rename("d", "e"));
	expect(above, IN_MOVED_FROM | IN_ISDIR, "d");
	expect(above, IN_MOVED_TO | IN_ISDIR, "e");
	expect(wd, IN_MOVE_SELF, NULL);
	CHECK_OK(rmdir("e"));
	expect(wd, IN_DELETE_SELF, NULL);
	expect(wd, IN_IGNORED, NULL);
	expect(above, IN_DELETE | IN_ISDIR, "e");
	CHECK(next() == NULL);
}

TEST(removing_a_watch)
{
	start();
	int wd = CHECK_OK(inotify_add_watch(in, "d", IN_CREATE));
	CHECK_OK(inotify_rm_watch(in, wd));
	expect(wd, IN_IGNORED, NULL);
	kt_make_file("d/f", "", 0600);
	CHECK(next() == NULL);
	int again = CHECK_OK(inotify_add_watch(in, "d", IN_CREATE));
	CHECK(again > wd);
}

TEST(masks_are_replaced_or_added)
{
	start();
	int wd = CHECK_OK(inotify_add_watch(in, "d", IN_CREATE));
	CHECK_EQ(inotify_add_watch(in, "d", IN_DELETE), wd);
	kt_make_file("d/f", "", 0600);
	CHECK(next() == NULL);
	CHECK_EQ(inotify_add_watch(in, "d", IN_CREATE | IN_MASK_ADD), wd);
	CHECK_OK(unlink("d/f"));
	expect(wd, IN_DELETE, "f");
	kt_make_file("d/f", "", 0600);
	expect(wd, IN_CREATE, "f");
	CHECK_ERR(inotify_add_watch(in, "d", IN_CREATE | IN_MASK_CREATE), EEXIST);
}

TEST(one_shot_and_only_directories)
{
	start();
	kt_make_file("file", "", 0600);
	CHECK_ERR(inotify_add_watch(in, "file", IN_OPEN | IN_ONLYDIR), ENOTDIR);
	int wd = CHECK_OK(inotify_add_watch(in, "file", IN_OPEN | IN_ONESHOT));
	CHECK_OK(close(open("file", O_RDONLY)));
	expect(wd, IN_OPEN, NULL);
	expect(wd, IN_IGNORED, NULL);
	CHECK_OK(symlink("file", "link"));
	wd = CHECK_OK(inotify_add_watch(in, "link", IN_OPEN | IN_DONT_FOLLOW));
	CHECK_OK(close(open("link", O_RDONLY)));
	CHECK(next() == NULL);
}

TEST(equal_events_in_a_row_merge)
{
	start();
	kt_make_file("f", "", 0600);
	int fd = CHECK_OK(open("f", O_RDWR));
	int wd = CHECK_OK(inotify_add_watch(in, "f", IN_MODIFY));
	for (int i = 0; i < 10; i++)
		CHECK_EQ(write(fd, "x", 1), 1);
	expect(wd, IN_MODIFY, NULL);
	CHECK(next() == NULL);
}

TEST(polls_and_counts)
{
	int n;
	start();
	struct pollfd p = { .fd = in, .events = POLLIN };
	CHECK_OK(inotify_add_watch(in, "d", IN_CREATE));
	CHECK_EQ(poll(&p, 1, 0), 0);
	pid_t child = SPAWN(kt_sleep_ms(30); kt_make_file("d/f", "", 0600));
	CHECK_EQ(poll(&p, 1, 10000), 1);
	CHECK_OK(ioctl(in, FIONREAD, &n));
	CHECK_EQ(n, 32);
	CHECK_ERR(read(in, buf, 16), EINVAL);
	JOIN(child);
}

TEST(wrong_arguments)
{
	start();
	CHECK_ERR(inotify_add_watch(in, "no", IN_CREATE), ENOENT);
	CHECK_ERR(inotify_add_watch(in, "d", 0), EINVAL);
	CHECK_ERR(inotify_add_watch(999, "d", IN_CREATE), EBADF);
	CHECK_ERR(inotify_add_watch(0, "d", IN_CREATE), EINVAL);
	CHECK_ERR(inotify_rm_watch(in, 77), EINVAL);
	CHECK_ERR(inotify_rm_watch(0, 1), EINVAL);
	CHECK_ERR(inotify_init1(1), EINVAL);
	CHECK_ERR(syscall(SYS_inotify_add_watch, in, BAD_PTR, IN_CREATE), EFAULT);
	CHECK_ERR(write(in, buf, 16), EBADF);
}
