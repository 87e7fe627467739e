/* Settings below /proc/sys that have an effect outside their own area (proc(5), pts(4), unix(7)). */
#include <sched.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "ns.h"

static long number(const char *path)
{
	char text[64];
	CHECK(kt_read_file(path, text, sizeof text) > 0);
	return atol(text);
}

static void set(const char *path, long value)
{
	char text[32];
	snprintf(text, sizeof text, "%ld", value);
	CHECK_OK(kt_write_file(path, text));
}

/* How many pseudo-terminals can be opened, twenty at most. */
static int masters(void)
{
	int fd[20];
	int n = 0;
	while (n < 20 && (fd[n] = open("/dev/ptmx", O_RDWR | O_NOCTTY)) >= 0)
		n++;
	if (n < 20)
		CHECK_EQ(errno, ENOSPC);
	for (int i = 0; i < n; i++)
		close(fd[i]);
	return n;
}

TEST(pseudo_terminals_are_limited)
{
	if (kt_native())
		SKIP("the limit is the machine's");
	long max = number("/proc/sys/kernel/pty/max"), nr = number("/proc/sys/kernel/pty/nr");
	CHECK_EQ(max, 4096);
	CHECK_EQ(number("/proc/sys/kernel/pty/reserve"), 1024);
	int one = CHECK_OK(open("/dev/ptmx", O_RDWR | O_NOCTTY));
	CHECK_EQ(number("/proc/sys/kernel/pty/nr"), nr + 1);
	CHECK_OK(close(one));
	CHECK_EQ(number("/proc/sys/kernel/pty/nr"), nr);
	/* All stay below it, in whatever instance. */
	set("/proc/sys/kernel/pty/max", nr + 5);
	int most = masters();
	CHECK_EQ(most, 4);
	JOIN(SPAWN({
		CHECK_OK(unshare(CLONE_NEWNS));
		CHECK_OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
		CHECK_OK(mount("devpts", "/dev/pts", "devpts", 0, "ptmxmode=0666"));
		CHECK_OK(mount("/dev/pts/ptmx", "/dev/ptmx", NULL, MS_BIND, NULL));
		/* An instance of another mount namespace leaves the reserve alone. */
		CHECK_EQ(masters(), 0);
		set("/proc/sys/kernel/pty/reserve", 2);
		CHECK_EQ(masters(), 2);
	}));
	CHECK_EQ(masters(), most);
	set("/proc/sys/kernel/pty/reserve", 1024);
	set("/proc/sys/kernel/pty/max", max);
	CHECK_ERR(kt_write_file("/proc/sys/kernel/pty/max", "-1"), EINVAL);
	CHECK_EQ(masters(), 20);
}

/* How many datagrams a socket keeps from a stranger. */
static int kept(int receiver)
{
	struct sockaddr_un addr;
	socklen_t len = sizeof addr;
	int n = 0, sender = CHECK_OK(socket(AF_UNIX, SOCK_DGRAM, 0));
	CHECK_OK(getsockname(receiver, (struct sockaddr *)&addr, &len));
	while (n < 100 && sendto(sender, "x", 1, MSG_DONTWAIT, (struct sockaddr *)&addr, len) == 1)
		n++;
	CHECK(n == 100 || errno == EAGAIN);
	close(sender);
	return n;
}

static int receiver(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = CHECK_OK(socket(AF_UNIX, SOCK_DGRAM, 0));
	CHECK_OK(bind(fd, (struct sockaddr *)&addr, sizeof addr.sun_family));
	return fd;
}

TEST(datagrams_of_strangers_are_limited)
{
	static const char path[] = "/proc/sys/net/unix/max_dgram_qlen";
	CHECK_OK(unshare(CLONE_NEWNET));
	CHECK_EQ(number(path), 10);
	int old = receiver();
	set(path, 3);
	/* What is there already keeps its limit; a queue is full when it is longer than that. */
	CHECK_EQ(kept(old), 11);
	CHECK_EQ(kept(receiver()), 4);
	/* A namespace has its own. */
	CHECK_OK(unshare(CLONE_NEWNET));
	CHECK_EQ(number(path), 10);
	CHECK_EQ(kept(receiver()), 11);
}

TEST(facts)
{
	char text[64];
	CHECK(kt_read_file("/proc/sys/kernel/arch", text, sizeof text) > 0);
	CHECK(!strcmp(text, "x86_64\n"));
	CHECK_ERR(open("/proc/sys/kernel/arch", O_WRONLY), EACCES);
	CHECK(number("/proc/sys/kernel/tainted") >= 0);
	CHECK(access("/proc/modules", R_OK) == 0);
	JOIN(SPAWN({
		CHECK_OK(setuid(65534));
		CHECK_ERR(open("/proc/sys/kernel/tainted", O_WRONLY), EACCES);
	}));
}

TEST(what_ctrl_alt_del_does)
{
	if (kt_native())
		SKIP("the setting is the machine's");
	CHECK_EQ(number("/proc/sys/kernel/ctrl-alt-del"), 1);
	CHECK_OK(reboot(RB_DISABLE_CAD));
	CHECK_EQ(number("/proc/sys/kernel/ctrl-alt-del"), 0);
	CHECK_OK(reboot(RB_ENABLE_CAD));
	CHECK_EQ(number("/proc/sys/kernel/ctrl-alt-del"), 1);
	set("/proc/sys/kernel/ctrl-alt-del", 7);
	CHECK_EQ(number("/proc/sys/kernel/ctrl-alt-del"), 7);
	set("/proc/sys/kernel/ctrl-alt-del", 1);
	JOIN(SPAWN({
		CHECK_OK(unshare(CLONE_NEWPID));
		JOIN(SPAWN(CHECK_ERR(reboot(RB_DISABLE_CAD), EINVAL)));
	}));
}
