/*
 * Link-layer groups that a program adds to a device (SIOCADDMULTI in netdevice(7)) and /proc/net/dev_mcast.
 */
#include "nl.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

static int request(unsigned long what, const char *dev, int family, const char *mac)
{
	struct ifreq r = { 0 };
	int fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	strcpy(r.ifr_name, dev);
	r.ifr_hwaddr.sa_family = family;
	memcpy(r.ifr_hwaddr.sa_data, mac, 6);
	int error = ioctl(fd, what, &r) < 0 ? -errno : 0;
	close(fd);
	return error;
}

#define add(dev, mac) request(SIOCADDMULTI, dev, AF_UNSPEC, mac)
#define del(dev, mac) request(SIOCDELMULTI, dev, AF_UNSPEC, mac)

/* Users and whether a program added it, as users * 10 + static; -1: it is not there. */
static int listed(const char *dev, const char *mac)
{
	char line[256], name[32], addr[64];
	int index, users, global, found = -1;
	FILE *f = fopen("/proc/thread-self/net/dev_mcast", "r");
	CHECK(f != NULL);
	while (fgets(line, sizeof line, f)) {
		CHECK_EQ(sscanf(line, "%d %31s %d %d %63s", &index, name, &users, &global, addr), 5);
		CHECK_EQ(index, (int)if_nametoindex(name));
		if (!strcmp(name, dev) && !strcmp(addr, mac)) {
			CHECK_EQ(found, -1);
			found = users * 10 + global;
		}
	}
	fclose(f);
	return found;
}

static void dummy(void)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	CHECK_EQ(nl_link_add("dummy", "d", IFF_UP), 0);
}

TEST(a_group_is_added_once)
{
	dummy();
	CHECK_EQ(add("d", "\x03\0\0\0\0\x07"), 0);
	CHECK_EQ(listed("d", "030000000007"), 11);
	CHECK_EQ(add("d", "\x03\0\0\0\0\x07"), 0);
	CHECK_EQ(listed("d", "030000000007"), 11);
	CHECK_EQ(del("d", "\x03\0\0\0\0\x07"), 0);
	CHECK_EQ(listed("d", "030000000007"), -1);
	CHECK_EQ(del("d", "\x03\0\0\0\0\x07"), -ENOENT);
}

TEST(members_and_programs_share_it)
{
	dummy();
	CHECK_EQ(listed("d", "333300000001"), 10);
	CHECK_EQ(del("d", "\x33\x33\0\0\0\1"), -ENOENT);
	CHECK_EQ(add("d", "\x33\x33\0\0\0\1"), 0);
	CHECK_EQ(listed("d", "333300000001"), 21);
	CHECK_EQ(nl_link_up("d", 0), 0);
	CHECK_EQ(listed("d", "333300000001"), 11);
	CHECK_EQ(nl_link_up("d", 1), 0);
	CHECK_EQ(listed("d", "333300000001"), 21);
	CHECK_EQ(del("d", "\x33\x33\0\0\0\1"), 0);
	CHECK_EQ(listed("d", "333300000001"), 10);
}

TEST(wrong_requests)
{
	dummy();
	CHECK_EQ(add("e", "\x03\0\0\0\0\x07"), -ENODEV);
	CHECK_EQ(add("lo", "\x03\0\0\0\0\x07"), -EINVAL);
	CHECK_EQ(request(SIOCADDMULTI, "d", 1, "\x03\0\0\0\0\x07"), -EINVAL);
	CHECK_EQ(request(SIOCDELMULTI, "d", 1, "\x03\0\0\0\0\x07"), -EINVAL);
	/* Whether it is a group's nobody asks. */
	CHECK_EQ(add("d", "\x02\0\0\0\0\x07"), 0);
	JOIN(SPAWN({
		CHECK_OK(unshare(CLONE_NEWUSER));
		CHECK_EQ(add("d", "\x03\0\0\0\0\x07"), -EPERM);
		CHECK_EQ(del("d", "\x02\0\0\0\0\x07"), -EPERM);
	}));
}

TEST(a_device_that_moves_leaves_them)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	pid_t child = net_ns_child();
	int there = net_ns_of(child);
	CHECK_EQ(nl_veth_add("a", "b", -1), 0);
	CHECK_EQ(add("a", "\x03\0\0\0\0\x07"), 0);
	CHECK_EQ(listed("a", "030000000007"), 11);
	CHECK_EQ(nl_link_set("a", IFLA_NET_NS_PID, child), 0);
	net_ns_enter(there);
	CHECK_EQ(listed("a", "030000000007"), -1);
	close(there);
	CHECK_OK(kill(child, SIGKILL));
	CHECK_OK(waitpid(child, NULL, 0));
}
