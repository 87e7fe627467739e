/* POSIX message queues (mq_overview(7)), by the bare system calls. */
#include <dirent.h>
#include <poll.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "ipc.h"

struct attr {
	long flags, maxmsg, msgsize, curmsgs, reserved[4];
};

static int mq_open_(const char *name, int flags, int mode, struct attr *attr)
{
	return syscall(SYS_mq_open, name, flags, mode, attr);
}

static int mq_unlink_(const char *name)
{
	return syscall(SYS_mq_unlink, name);
}

static int send_(int q, const char *text, unsigned prio)
{
	return syscall(SYS_mq_timedsend, q, text, strlen(text), prio, NULL);
}

static char buf[65536];

static long receive(int q, unsigned *prio)
{
	memset(buf, 0, 100);
	return syscall(SYS_mq_timedreceive, q, buf, sizeof buf, prio, NULL);
}

static void expect(int q, const char *text, unsigned prio)
{
	unsigned got;
	CHECK_EQ(receive(q, &got), (long)strlen(text));
	if (strcmp(buf, text))
		KT_FAIL("got <%s>, want <%s>", buf, text);
	CHECK_EQ(got, prio);
}

static struct attr attr_of(int q)
{
	struct attr a;
	CHECK_OK(syscall(SYS_mq_getsetattr, q, NULL, &a));
	return a;
}

static int notify_(int q, int how, int signo, void *ptr)
{
	struct sigevent ev = { .sigev_notify = how, .sigev_signo = signo, .sigev_value.sival_ptr = ptr };
	return syscall(SYS_mq_notify, q, &ev);
}

/* A queue of `max` messages of at most 64 bytes. */
static int queue(int max, int flags)
{
	struct attr a = { .maxmsg = max, .msgsize = 64 };
	return CHECK_OK(mq_open_("q", O_CREAT | O_RDWR | flags, 0600, &a));
}

TEST(highest_priority_first)
{
	fresh_ns();
	int q = queue(10, 0);
	CHECK_OK(send_(q, "low", 1));
	CHECK_OK(send_(q, "high", 32767));
	CHECK_OK(send_(q, "mid1", 5));
	CHECK_OK(send_(q, "mid2", 5));
	CHECK_OK(send_(q, "", 0));
	CHECK_EQ(attr_of(q).curmsgs, 5);
	expect(q, "high", 32767);
	expect(q, "mid1", 5);
	expect(q, "mid2", 5);
	expect(q, "low", 1);
	expect(q, "", 0);
}

TEST(open_makes_and_finds)
{
	fresh_ns();
	CHECK_ERR(mq_open_("q", O_RDWR, 0, NULL), ENOENT);
	int q = CHECK_OK(mq_open_("q", O_CREAT | O_RDWR, 0600, NULL));
	CHECK(fcntl(q, F_GETFD) & FD_CLOEXEC);
	struct attr a = attr_of(q);
	CHECK_EQ(a.maxmsg, 10);
	CHECK_EQ(a.msgsize, 8192);
	CHECK_EQ(a.flags, 0);
	CHECK_ERR(mq_open_("q", O_CREAT | O_EXCL | O_RDWR, 0600, NULL), EEXIST);
	struct attr other = { .maxmsg = 3, .msgsize = 3 };
	int again = CHECK_OK(mq_open_("q", O_CREAT | O_RDONLY, 0, &other));
	CHECK_EQ(attr_of(again).maxmsg, 10);
	CHECK_ERR(mq_open_("q", O_RDWR | O_WRONLY, 0, NULL), EINVAL);
	CHECK_ERR(mq_open_("", O_CREAT | O_RDWR, 0600, NULL), ENOENT);
	CHECK_ERR(mq_open_("/q", O_RDWR, 0600, NULL), EACCES);
	CHECK_ERR(mq_open_("a/b", O_CREAT | O_RDWR, 0600, NULL), EACCES);
	CHECK_ERR(mq_open_(".", O_RDONLY, 0, NULL), EACCES);
	CHECK_ERR(mq_open_("..", O_RDONLY, 0, NULL), EACCES);
	CHECK_ERR(mq_open_(BAD_PTR, O_RDONLY, 0, NULL), EFAULT);
	CHECK_ERR(mq_open_("r", O_CREAT | O_RDONLY, 0600, BAD_PTR), EFAULT);
	char name[300];
	memset(name, 'x', sizeof name);
	name[256] = 0;
	CHECK_ERR(mq_open_(name, O_CREAT | O_RDWR, 0600, NULL), ENAMETOOLONG);
	name[255] = 0;
	CHECK_OK(mq_open_(name, O_CREAT | O_RDWR, 0600, NULL));
	struct attr bad = { .maxmsg = 0, .msgsize = 10 };
	CHECK_ERR(mq_open_("r", O_CREAT | O_RDWR, 0600, &bad), EINVAL);
	bad = (struct attr){ .maxmsg = 10, .msgsize = -1 };
	CHECK_ERR(mq_open_("r", O_CREAT | O_RDWR, 0600, &bad), EINVAL);
	bad = (struct attr){ .maxmsg = 65537, .msgsize = 1 };
	CHECK_ERR(mq_open_("r", O_CREAT | O_RDWR, 0600, &bad), EINVAL);
	CHECK_ERR(mq_open_("r", O_RDONLY, 0, NULL), ENOENT);
	umask(077);
	int r = CHECK_OK(mq_open_("r", O_CREAT | O_RDWR, 0666, NULL));
	struct stat st;
	CHECK_OK(fstat(r, &st));
	CHECK_EQ(st.st_mode, S_IFREG | 0600);
	CHECK_EQ(st.st_size, 80);
}

TEST(sizes_and_modes_are_checked)
{
	fresh_ns();
	int q = queue(2, 0);
	char big[65] = { 0 };
	CHECK_ERR(syscall(SYS_mq_timedsend, q, big, 65, 0, NULL), EMSGSIZE);
	CHECK_ERR(syscall(SYS_mq_timedsend, q, big, 1, 32768, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_mq_timedsend, q, BAD_PTR, 1, 0, NULL), EFAULT);
	CHECK_ERR(syscall(SYS_mq_timedsend, -1, big, 1, 0, NULL), EBADF);
	CHECK_ERR(syscall(SYS_mq_timedsend, 1, big, 1, 0, NULL), EBADF);
	CHECK_ERR(syscall(SYS_mq_timedreceive, q, buf, 63, NULL, NULL), EMSGSIZE);
	CHECK_ERR(syscall(SYS_mq_getsetattr, 1, NULL, buf), EBADF);
	int r = CHECK_OK(mq_open_("q", O_RDONLY, 0, NULL));
	int w = CHECK_OK(mq_open_("q", O_WRONLY, 0, NULL));
	CHECK_ERR(send_(r, "x", 0), EBADF);
	CHECK_OK(send_(w, "x", 0));
	CHECK_ERR(receive(w, NULL), EBADF);
	CHECK_EQ(syscall(SYS_mq_timedreceive, r, BAD_PTR, 64, NULL, NULL), -1);
	CHECK_EQ(errno, EFAULT);
	CHECK_EQ(attr_of(q).curmsgs, 0);
	CHECK_ERR(write(w, "x", 1), EINVAL);
}

TEST(waits_end)
{
	fresh_ns();
	int q = queue(1, 0);
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	CHECK_ERR(syscall(SYS_mq_timedreceive, q, buf, 64, NULL, &t), ETIMEDOUT);
	t.tv_nsec += 20000000;
	t.tv_sec += t.tv_nsec / 1000000000;
	t.tv_nsec %= 1000000000;
	CHECK_ERR(syscall(SYS_mq_timedreceive, q, buf, 64, NULL, &t), ETIMEDOUT);
	CHECK_OK(send_(q, "x", 0));
	CHECK_ERR(syscall(SYS_mq_timedsend, q, "y", 1, 0, &t), ETIMEDOUT);
	t.tv_nsec = 1000000000;
	CHECK_ERR(syscall(SYS_mq_timedsend, q, "y", 1, 0, &t), EINVAL);
	CHECK_ERR(syscall(SYS_mq_timedreceive, q, buf, 64, NULL, BAD_PTR), EFAULT);
	CHECK_EQ(attr_of(q).curmsgs, 1);
	expect(q, "x", 0);
}

TEST(nonblocking_ones_do_not_wait)
{
	fresh_ns();
	int q = queue(1, O_NONBLOCK);
	CHECK_EQ(attr_of(q).flags, O_NONBLOCK);
	CHECK_ERR(receive(q, NULL), EAGAIN);
	CHECK_OK(send_(q, "x", 0));
	CHECK_ERR(send_(q, "y", 0), EAGAIN);
	struct attr new = { .flags = O_NONBLOCK | 1 }, old;
	CHECK_ERR(syscall(SYS_mq_getsetattr, q, &new, &old), EINVAL);
	new.flags = 0;
	CHECK_OK(syscall(SYS_mq_getsetattr, q, &new, &old));
	CHECK_EQ(old.flags, O_NONBLOCK);
	CHECK_EQ(old.maxmsg, 1);
	CHECK_EQ(old.curmsgs, 1);
	CHECK_EQ(fcntl(q, F_GETFL) & O_NONBLOCK, 0);
	new.flags = O_NONBLOCK;
	CHECK_OK(syscall(SYS_mq_getsetattr, q, &new, NULL));
	CHECK(fcntl(q, F_GETFL) & O_NONBLOCK);
	CHECK_ERR(syscall(SYS_mq_getsetattr, q, BAD_PTR, NULL), EFAULT);
	CHECK_ERR(syscall(SYS_mq_getsetattr, q, NULL, BAD_PTR), EFAULT);
}

TEST(receivers_and_senders_wait)
{
	fresh_ns();
	int q = queue(1, 0);
	pid_t pid = SPAWN(expect(q, "hello", 3));
	wait_asleep(pid);
	CHECK_OK(send_(q, "hello", 3));
	JOIN(pid);
	CHECK_OK(send_(q, "full", 0));
	pid_t one = SPAWN(CHECK_OK(send_(q, "one", 1)));
	wait_asleep(one);
	pid_t two = SPAWN(CHECK_OK(send_(q, "two", 9)));
	wait_asleep(two);
	expect(q, "full", 0);
	JOIN(one);
	expect(q, "one", 1);
	JOIN(two);
	expect(q, "two", 9);
}

TEST(signals_interrupt)
{
	fresh_ns();
	int q = queue(1, 0);
	pid_t pid = SPAWN({
		handle(SIGUSR1, 0);
		CHECK_ERR(receive(q, NULL), EINTR);
		handle(SIGUSR1, SA_RESTART);
		expect(q, "after", 0);
	});
	wait_asleep(pid);
	CHECK_OK(kill(pid, SIGUSR1));
	kt_sleep_ms(20);
	wait_asleep(pid);
	CHECK_OK(kill(pid, SIGUSR1));
	kt_sleep_ms(20);
	CHECK_OK(send_(q, "after", 0));
	JOIN(pid);
}

TEST(a_signal_tells_of_a_message)
{
	fresh_ns();
	int q = queue(4, 0);
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGRTMIN);
	CHECK_OK(sigprocmask(SIG_BLOCK, &set, NULL));
	CHECK_OK(notify_(q, SIGEV_SIGNAL, SIGRTMIN, (void *)0x1234));
	CHECK_ERR(notify_(q, SIGEV_SIGNAL, SIGUSR1, NULL), EBUSY);
	pid_t pid = SPAWN({
		CHECK_ERR(notify_(q, SIGEV_NONE, 0, NULL), EBUSY);
		/* Taking back what another process registered does nothing. */
		CHECK_OK(syscall(SYS_mq_notify, q, NULL));
		CHECK_OK(send_(q, "x", 0));
		CHECK_OK(send_(q, "y", 0));
	});
	siginfo_t info;
	struct timespec t = { 10, 0 };
	CHECK_EQ(sigtimedwait(&set, &info, &t), SIGRTMIN);
	CHECK_EQ(info.si_code, SI_MESGQ);
	CHECK_EQ(info.si_pid, pid);
	CHECK_EQ(info.si_uid, 0);
	CHECK(info.si_value.sival_ptr == (void *)0x1234);
	JOIN(pid);
	/* Once only; the next must be registered for, and needs an empty queue. */
	CHECK_OK(notify_(q, SIGEV_SIGNAL, SIGUSR1, NULL));
	CHECK_OK(send_(q, "z", 0));
	t.tv_sec = 0;
	CHECK_ERR(sigtimedwait(&set, &info, &t), EAGAIN);
	expect(q, "x", 0);
	expect(q, "y", 0);
	expect(q, "z", 0);
	CHECK_OK(send_(q, "z", 0));
	CHECK_EQ(sigtimedwait(&set, &info, &t), SIGUSR1);
}

TEST(a_waiting_receiver_comes_before_notification)
{
	fresh_ns();
	int q = queue(4, 0);
	CHECK_OK(notify_(q, SIGEV_SIGNAL, SIGUSR1, NULL)); /* would kill */
	pid_t pid = SPAWN(expect(q, "x", 0));
	wait_asleep(pid);
	CHECK_OK(send_(q, "x", 0));
	JOIN(pid);
	CHECK_ERR(notify_(q, SIGEV_NONE, 0, NULL), EBUSY); /* still registered */
	CHECK_OK(syscall(SYS_mq_notify, q, NULL));
	CHECK_OK(notify_(q, SIGEV_NONE, 0, NULL));
}

TEST(registrations_end)
{
	fresh_ns();
	int q = queue(4, 0);
	CHECK_ERR(notify_(q, 77, 0, NULL), EINVAL);
	CHECK_ERR(notify_(q, SIGEV_SIGNAL, 65, NULL), EINVAL);
	CHECK_ERR(notify_(1, SIGEV_NONE, 0, NULL), EBADF);
	CHECK_ERR(syscall(SYS_mq_notify, q, BAD_PTR), EFAULT);
	/* Closing any descriptor of the queue takes back. */
	CHECK_OK(notify_(q, SIGEV_NONE, 0, NULL));
	CHECK_OK(close(CHECK_OK(mq_open_("q", O_RDONLY, 0, NULL))));
	CHECK_OK(notify_(q, SIGEV_NONE, 0, NULL));
	CHECK_OK(syscall(SYS_mq_notify, q, NULL));
	/* So does the end of the process. */
	pid_t pid = SPAWN(CHECK_OK(notify_(q, SIGEV_NONE, 0, NULL)));
	JOIN(pid);
	CHECK_OK(notify_(q, SIGEV_NONE, 0, NULL));
	CHECK_OK(send_(q, "x", 0));
	CHECK_OK(notify_(q, SIGEV_NONE, 0, NULL));
}

TEST(a_thread_notification_needs_a_netlink_socket)
{
	fresh_ns();
	int q = queue(4, 0);
	char cookie[32] = "cookie";
	CHECK_ERR(notify_(q, SIGEV_THREAD, -1, cookie), EBADF);
	CHECK_ERR(notify_(q, SIGEV_THREAD, q, cookie), ENOTSOCK);
	int pair[2];
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	CHECK_ERR(notify_(q, SIGEV_THREAD, pair[0], cookie), EINVAL);
	CHECK_ERR(notify_(q, SIGEV_THREAD, pair[0], BAD_PTR), EFAULT);
}

TEST(the_file_shows_the_queue)
{
	fresh_ns();
	int q = queue(4, 0);
	CHECK_OK(send_(q, "four", 0));
	CHECK_OK(send_(q, "sixsix", 0));
	char want[128];
	memset(buf, 0, 200);
	CHECK_EQ(read(q, buf, sizeof buf), 60);
	snprintf(want, sizeof want, "QSIZE:%-10lu NOTIFY:%-5d SIGNO:%-5d NOTIFY_PID:%-6d\n", 10UL, 0, 0, 0);
	if (strcmp(buf, want))
		KT_FAIL("got <%s>", buf);
	CHECK_OK(notify_(q, SIGEV_SIGNAL, SIGUSR1, NULL));
	snprintf(want, sizeof want, "QSIZE:%-10lu NOTIFY:%-5d SIGNO:%-5d NOTIFY_PID:%-6d\n", 10UL, 0, SIGUSR1,
		 getpid());
	memset(buf, 0, 200);
	CHECK(pread(q, buf, sizeof buf, 0) > 0);
	if (strcmp(buf, want))
		KT_FAIL("got <%s>", buf);
	CHECK_EQ(read(q, buf, sizeof buf), 0); /* the position stayed at the end */
}

TEST(queues_are_files)
{
	fresh_ns();
	CHECK_OK(unshare(CLONE_NEWNS));
	CHECK_OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	CHECK_OK(mkdir("mq", 0755));
	CHECK_OK(mount("none", "mq", "mqueue", 0, NULL));
	struct stat root, st;
	struct statfs fs;
	CHECK_OK(stat("mq", &root));
	CHECK_EQ(root.st_mode, S_IFDIR | S_ISVTX | 0777);
	CHECK_EQ(root.st_size, 40);
	CHECK_OK(statfs("mq", &fs));
	CHECK_EQ(fs.f_type, 0x19800202);
	int q = queue(4, 0);
	CHECK_OK(send_(q, "abc", 0));
	CHECK_OK(stat("mq/q", &st));
	CHECK_EQ(st.st_mode, S_IFREG | 0600);
	CHECK_EQ(st.st_size, 80);
	CHECK_EQ(st.st_nlink, 1);
	CHECK_OK(stat("mq", &root));
	CHECK_EQ(root.st_size, 60);
	char text[256];
	CHECK(kt_read_file("mq/q", text, sizeof text) > 0);
	CHECK(!strncmp(text, "QSIZE:3 ", 8));
	/* A file made there is a queue with the default size. */
	int other = CHECK_OK(open("mq/other", O_CREAT | O_RDWR, 0640));
	CHECK_EQ(attr_of(other).maxmsg, 10);
	CHECK_OK(send_(other, "x", 0));
	CHECK_OK(mq_open_("other", O_RDWR, 0, NULL));
	DIR *dir = opendir("mq");
	CHECK(dir);
	int found = 0;
	for (struct dirent *e; (e = readdir(dir));)
		found += !strcmp(e->d_name, "q") || !strcmp(e->d_name, "other");
	closedir(dir);
	CHECK_EQ(found, 2);
	CHECK_ERR(mkdir("mq/d", 0755), EPERM);
	CHECK_ERR(rename("mq/q", "mq/p"), EPERM);
	CHECK_ERR(link("mq/q", "mq/p"), EPERM);
	CHECK_ERR(symlink("x", "mq/p"), EPERM);
	CHECK_OK(chmod("mq/q", 0400));
	CHECK_OK(fstat(q, &st));
	CHECK_EQ(st.st_mode, S_IFREG | 0400);
	CHECK_OK(unlink("mq/q"));
	CHECK_ERR(mq_open_("q", O_RDWR, 0, NULL), ENOENT);
	expect(q, "abc", 0); /* it is there as long as it is open */
	CHECK_OK(mq_unlink_("other"));
	CHECK_ERR(stat("mq/other", &st), ENOENT);
	/* Another mount shows the same. */
	CHECK_OK(mkdir("mq2", 0755));
	CHECK_OK(mount("none", "mq2", "mqueue", 0, NULL));
	CHECK_OK(mq_open_("new", O_CREAT | O_RDWR, 0600, NULL));
	CHECK_OK(stat("mq2/new", &st));
	struct stat two;
	CHECK_OK(stat("mq/new", &two));
	CHECK(st.st_dev == two.st_dev && st.st_ino == two.st_ino);
	CHECK_OK(close(other));
	CHECK_OK(umount("mq"));
	CHECK_OK(umount("mq2"));
	CHECK_OK(mq_open_("new", O_RDWR, 0, NULL));
}

TEST(unlink_checks)
{
	fresh_ns();
	queue(2, 0);
	CHECK_ERR(mq_unlink_("none"), ENOENT);
	CHECK_ERR(mq_unlink_(""), ENOENT);
	CHECK_ERR(mq_unlink_("/q"), EACCES);
	pid_t pid = SPAWN({
		become(1234);
		CHECK_ERR(mq_unlink_("q"), EPERM);
		CHECK_ERR(mq_open_("q", O_RDONLY, 0, NULL), EACCES);
		CHECK_OK(mq_open_("own", O_CREAT | O_RDWR, 0604, NULL));
		CHECK_OK(mq_unlink_("own"));
		CHECK_OK(mq_open_("own", O_CREAT | O_RDWR, 0604, NULL));
	});
	JOIN(pid);
	pid = SPAWN({
		become(1235);
		CHECK_OK(mq_open_("own", O_RDONLY, 0, NULL));
		CHECK_ERR(mq_open_("own", O_WRONLY, 0, NULL), EACCES);
	});
	JOIN(pid);
	CHECK_OK(mq_unlink_("own"));
	CHECK_OK(mq_unlink_("q"));
}

TEST(poll_tells_of_room_and_messages)
{
	fresh_ns();
	int q = queue(1, 0);
	struct pollfd p = { .fd = q, .events = POLLIN | POLLOUT };
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLOUT);
	CHECK_OK(send_(q, "x", 0));
	CHECK_EQ(poll(&p, 1, 0), 1);
	CHECK_EQ(p.revents, POLLIN);
	pid_t pid = SPAWN({
		struct pollfd out = { .fd = q, .events = POLLOUT };
		CHECK_EQ(poll(&out, 1, 10000), 1);
	});
	wait_asleep(pid);
	expect(q, "x", 0);
	JOIN(pid);
	pid = SPAWN({
		struct pollfd in = { .fd = q, .events = POLLIN };
		CHECK_EQ(poll(&in, 1, 10000), 1);
	});
	wait_asleep(pid);
	CHECK_OK(send_(q, "x", 0));
	JOIN(pid);
}

TEST(limits_are_settings)
{
	fresh_ns();
	CHECK(!strcmp(first_line("/proc/sys/fs/mqueue/queues_max"), "256"));
	CHECK(!strcmp(first_line("/proc/sys/fs/mqueue/msg_max"), "10"));
	CHECK(!strcmp(first_line("/proc/sys/fs/mqueue/msgsize_max"), "8192"));
	CHECK(!strcmp(first_line("/proc/sys/fs/mqueue/msg_default"), "10"));
	CHECK(!strcmp(first_line("/proc/sys/fs/mqueue/msgsize_default"), "8192"));
	CHECK_OK(kt_write_file("/proc/sys/fs/mqueue/msg_default", "5"));
	CHECK_OK(kt_write_file("/proc/sys/fs/mqueue/msgsize_default", "200"));
	int q = CHECK_OK(mq_open_("a", O_CREAT | O_RDWR, 0600, NULL));
	CHECK_EQ(attr_of(q).maxmsg, 5);
	CHECK_EQ(attr_of(q).msgsize, 200);
	CHECK_OK(kt_write_file("/proc/sys/fs/mqueue/msg_max", "4"));
	q = CHECK_OK(mq_open_("b", O_CREAT | O_RDWR, 0600, NULL));
	CHECK_EQ(attr_of(q).maxmsg, 4);
	CHECK_ERR(kt_write_file("/proc/sys/fs/mqueue/msg_max", "65537"), EINVAL);
	CHECK_ERR(kt_write_file("/proc/sys/fs/mqueue/msg_max", "0"), EINVAL);
	CHECK_ERR(kt_write_file("/proc/sys/fs/mqueue/msgsize_max", "127"), EINVAL);
	CHECK_ERR(kt_write_file("/proc/sys/fs/mqueue/msgsize_max", "16777217"), EINVAL);
	CHECK_OK(kt_write_file("/proc/sys/fs/mqueue/queues_max", "3"));
	pid_t pid = SPAWN({
		become(1234);
		struct attr a = { .maxmsg = 5, .msgsize = 10 };
		CHECK_ERR(mq_open_("c", O_CREAT | O_RDWR, 0600, &a), EINVAL);
		a.maxmsg = 4;
		int c = CHECK_OK(mq_open_("c", O_CREAT | O_RDWR, 0600, &a));
		CHECK_ERR(mq_open_("d", O_CREAT | O_RDWR, 0600, &a), ENOSPC);
		CHECK_OK(mq_unlink_("c"));
		CHECK_ERR(mq_open_("d", O_CREAT | O_RDWR, 0600, &a), ENOSPC);
		CHECK_OK(close(c));
		CHECK_OK(mq_open_("d", O_CREAT | O_RDWR, 0600, &a));
	});
	JOIN(pid);
	/* CAP_SYS_RESOURCE may exceed them. */
	struct attr a = { .maxmsg = 100, .msgsize = 10 };
	CHECK_OK(mq_open_("e", O_CREAT | O_RDWR, 0600, &a));
}

TEST(bytes_are_counted_per_user)
{
	fresh_ns();
	/* Each message costs 96 bytes more than its size. */
	pid_t pid = SPAWN({
		struct rlimit r = { 4000, 4000 };
		CHECK_OK(setrlimit(RLIMIT_MSGQUEUE, &r));
		become(4321);
		struct attr a = { .maxmsg = 10, .msgsize = 100 };
		int q = CHECK_OK(mq_open_("a", O_CREAT | O_RDWR, 0600, &a)); /* 1960 */
		CHECK_OK(mq_open_("b", O_CREAT | O_RDWR, 0600, &a));
		a.maxmsg = 1;
		CHECK_ERR(mq_open_("c", O_CREAT | O_RDWR, 0600, &a), EMFILE);
		CHECK_OK(mq_unlink_("a"));
		CHECK_ERR(mq_open_("c", O_CREAT | O_RDWR, 0600, &a), EMFILE);
		CHECK_OK(close(q));
		a.maxmsg = 10;
		CHECK_OK(mq_open_("c", O_CREAT | O_RDWR, 0600, &a));
	});
	JOIN(pid);
}

TEST(descriptors_are_inherited)
{
	fresh_ns();
	int q = queue(4, 0);
	pid_t pid = SPAWN(CHECK_OK(send_(q, "child", 2)));
	JOIN(pid);
	expect(q, "child", 2);
	int copy = CHECK_OK(dup(q));
	CHECK_OK(send_(copy, "x", 0));
	CHECK_OK(close(q));
	expect(copy, "x", 0);
}

TEST(many_senders_and_receivers)
{
	fresh_ns();
	int q = queue(2, 0);
	int *sum = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t senders[3], receivers[3];
	for (int n = 0; n < 3; n++)
		senders[n] = SPAWN({
			for (int i = 1; i <= 200; i++)
				CHECK_OK(syscall(SYS_mq_timedsend, q, (char *)&i, sizeof i, i % 5, NULL));
		});
	for (int n = 0; n < 3; n++)
		receivers[n] = SPAWN({
			for (int i = 0; i < 200; i++) {
				int value;
				CHECK_EQ(receive(q, NULL), 4);
				memcpy(&value, buf, 4);
				__atomic_fetch_add(sum, value, __ATOMIC_SEQ_CST);
			}
		});
	for (int n = 0; n < 3; n++) {
		JOIN(senders[n]);
		JOIN(receivers[n]);
	}
	CHECK_EQ(*sum, 3 * 200 * 201 / 2);
	CHECK_EQ(attr_of(q).curmsgs, 0);
}
