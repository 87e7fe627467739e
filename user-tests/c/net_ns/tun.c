/*
 * TUN and TAP devices (tuntap of the kernel's documentation), and the calls of brctl.
 */
#include "inet.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

static int tun_open(void)
{
	return CHECK_OK(open("/dev/net/tun", O_RDWR | O_NONBLOCK));
}

static int set_iff(int fd, const char *name, int flags)
{
	struct ifreq r = { .ifr_flags = flags };
	strcpy(r.ifr_name, name);
	return ioctl(fd, TUNSETIFF, &r);
}

static void world(void)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	CHECK_EQ(nl_link_up("lo", 1), 0);
}

TEST(a_device_lives_as_long_as_its_program)
{
	struct stat st;
	struct ifreq r = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	char c;
	world();
	CHECK_OK(stat("/dev/net/tun", &st));
	CHECK(S_ISCHR(st.st_mode) && st.st_rdev == makedev(10, 200));
	int fd = tun_open();
	CHECK_ERR(read(fd, &c, 1), EBADFD);
	CHECK_ERR(write(fd, "x", 1), EBADFD);
	CHECK_ERR(ioctl(fd, TUNGETIFF, &r), EBADFD);
	CHECK_ERR(set_iff(fd, "t", 0), EINVAL);
	CHECK_ERR(set_iff(fd, "lo", IFF_TUN), EINVAL);
	CHECK_OK(ioctl(fd, TUNSETIFF, &r));
	CHECK(strcmp(r.ifr_name, "tun0") == 0);
	CHECK_EQ(r.ifr_flags & (IFF_TUN | IFF_TAP | IFF_NO_PI), IFF_TUN | IFF_NO_PI);
	CHECK(nl_flags("tun0") & IFF_POINTOPOINT);
	CHECK(nl_flags("tun0") & IFF_NOARP);
	CHECK_ERR(set_iff(fd, "other", IFF_TUN), EEXIST);
	int second = tun_open();
	CHECK_ERR(set_iff(second, "tun0", IFF_TUN), EBUSY);
	CHECK_ERR(set_iff(second, "tun0", IFF_TAP), EINVAL);
	CHECK_ERR(read(fd, &c, 1), EAGAIN);
	close(fd);
	CHECK_EQ(if_nametoindex("tun0"), 0);
}

TEST(packets_come_out_and_go_in)
{
	unsigned char p[1500];
	world();
	int fd = tun_open();
	CHECK_OK(set_iff(fd, "t", IFF_TUN | IFF_NO_PI));
	CHECK_ERR(write(fd, "\x45", 1), EIO);
	CHECK_EQ(nl_addr_add("t", "10.8.0.1", 24), 0);
	CHECK_EQ(nl_link_up("t", 1), 0);
	int s = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	struct sockaddr_in here = in4("10.8.0.1", 99), there = in4("10.8.0.2", 98);
	CHECK_OK(bind(s, (void *)&here, sizeof here));
	CHECK_EQ(sendto(s, "ping", 4, 0, (void *)&there, sizeof there), 4);
	struct pollfd poll_fd = { fd, POLLIN, 0 };
	ssize_t n;
	/* IPv6 may have something to say first. */
	do {
		CHECK_EQ(poll(&poll_fd, 1, 3000), 1);
		n = CHECK_OK(read(fd, p, sizeof p));
	} while (p[0] >> 4 != 4);
	CHECK_EQ(n, 32);
	CHECK(memcmp(p + 28, "ping", 4) == 0);
	CHECK_EQ(p[19], 2);
	/* The answer: the ends swapped; the sum of UDP is optional. */
	unsigned char swap[4];
	memcpy(swap, p + 12, 4);
	memcpy(p + 12, p + 16, 4);
	memcpy(p + 16, swap, 4);
	memcpy(swap, p + 20, 2);
	memcpy(p + 20, p + 22, 2);
	memcpy(p + 22, swap, 2);
	p[26] = p[27] = 0;
	memcpy(p + 28, "pong", 4);
	CHECK_EQ(write(fd, p, n), n);
	CHECK_EQ(recv(s, p, sizeof p, 0), 4);
	CHECK(memcmp(p, "pong", 4) == 0);
	CHECK_ERR(write(fd, "\x15", 1), EINVAL);
	/* A device that is deleted leaves its program behind. */
	CHECK_EQ(nl_link_del("t"), 0);
	CHECK_ERR(read(fd, p, sizeof p), EBADFD);
}

TEST(a_tap_carries_frames_with_a_header)
{
	unsigned char p[1600];
	struct tun_pi pi;
	world();
	int fd = tun_open();
	CHECK_OK(set_iff(fd, "tap%d", IFF_TAP));
	CHECK_EQ(nl_addr_add("tap0", "10.8.0.1", 24), 0);
	CHECK_EQ(nl_link_up("tap0", 1), 0);
	int s = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	struct sockaddr_in there = in4("10.8.0.2", 98);
	CHECK_EQ(sendto(s, "x", 1, 0, (void *)&there, sizeof there), 1);
	struct pollfd poll_fd = { fd, POLLIN, 0 };
	do {
		CHECK_EQ(poll(&poll_fd, 1, 3000), 1);
		CHECK(read(fd, p, sizeof p) >= 4 + 42);
		memcpy(&pi, p, sizeof pi);
	} while (ntohs(pi.proto) != ETH_P_ARP);
	/* A question to all. */
	CHECK_EQ(pi.flags, 0);
	CHECK_EQ(p[4], 0xff);
	CHECK_EQ(p[4 + 14 + 7], 1);
	/* Too short for the header. */
	CHECK_ERR(write(fd, p, 3), EINVAL);
	CHECK_ERR(write(fd, p, 4 + 13), EINVAL);
}

TEST(a_persistent_device_waits_for_its_owner)
{
	world();
	/* As udev does it. */
	CHECK_OK(chmod("/dev/net/tun", 0666));
	int fd = tun_open();
	CHECK_OK(set_iff(fd, "t", IFF_TUN | IFF_NO_PI));
	CHECK_OK(ioctl(fd, TUNSETPERSIST, 1));
	CHECK_OK(ioctl(fd, TUNSETOWNER, 1000));
	close(fd);
	CHECK(if_nametoindex("t") != 0);
	CHECK_EQ(nl_link_up("t", 1), 0);
	WAIT_FOR(!(nl_flags("t") & IFF_RUNNING));
	pid_t stranger = SPAWN({
		CHECK_OK(setresgid(1001, 1001, 1001));
		CHECK_OK(setresuid(1001, 1001, 1001));
		int mine = tun_open();
		CHECK_ERR(set_iff(mine, "t", IFF_TUN), EPERM);
		CHECK_ERR(set_iff(mine, "new", IFF_TUN), EPERM);
	});
	JOIN(stranger);
	pid_t owner = SPAWN({
		CHECK_OK(setresuid(1000, 1000, 1000));
		int mine = tun_open();
		CHECK_OK(set_iff(mine, "t", IFF_TUN | IFF_NO_PI));
	});
	JOIN(owner);
	CHECK(if_nametoindex("t") != 0);
	fd = tun_open();
	CHECK_OK(set_iff(fd, "t", IFF_TUN | IFF_NO_PI));
	WAIT_FOR(nl_flags("t") & IFF_RUNNING);
	CHECK_OK(ioctl(fd, TUNSETPERSIST, 0));
	close(fd);
	CHECK_EQ(if_nametoindex("t"), 0);
}

static int br(int cmd, const char *name, const char *port)
{
	struct ifreq r = { 0 };
	int fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0)), error;
	strcpy(r.ifr_name, name);
	if (port)
		r.ifr_ifindex = if_nametoindex(port);
	error = ioctl(fd, cmd, &r) < 0 ? -errno : 0;
	close(fd);
	return error;
}

TEST(brctl_makes_bridges)
{
	world();
	CHECK_EQ(br(SIOCBRADDBR, "br", NULL), 0);
	CHECK_EQ(br(SIOCBRADDBR, "br", NULL), -EEXIST);
	CHECK_EQ(br(SIOCBRDELBR, "lo", NULL), -EPERM);
	CHECK_EQ(br(SIOCBRDELBR, "none", NULL), -ENXIO);
	CHECK_EQ(nl_link_add("dummy", "d", 0), 0);
	CHECK_EQ(br(SIOCBRADDIF, "br", "d"), 0);
	CHECK_EQ(br(SIOCBRADDIF, "br", "d"), -EBUSY);
	CHECK_EQ(br(SIOCBRADDIF, "br", "lo"), -EINVAL);
	CHECK_EQ(br(SIOCBRADDIF, "br", "none"), -EINVAL);
	CHECK_EQ(br(SIOCBRADDIF, "d", "lo"), -EOPNOTSUPP);
	CHECK_EQ(br(SIOCBRDELIF, "br", "d"), 0);
	CHECK_EQ(br(SIOCBRDELIF, "br", "d"), -EINVAL);
	CHECK_EQ(nl_link_up("br", 1), 0);
	CHECK_EQ(br(SIOCBRDELBR, "br", NULL), -EBUSY);
	CHECK_EQ(nl_link_up("br", 0), 0);
	CHECK_EQ(br(SIOCBRDELBR, "br", NULL), 0);
	CHECK_EQ(if_nametoindex("br"), 0);
}
