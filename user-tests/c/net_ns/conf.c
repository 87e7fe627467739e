/*
 * Settings of network devices below /proc/sys/net (ip-sysctl of the kernel's documentation).
 */
#include "inet.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

static int get(const char *path)
{
	char text[32] = { 0 };
	int fd = open(path, O_RDONLY);
	if (fd < 0)
		return -errno;
	CHECK(read(fd, text, sizeof text - 1) > 0);
	close(fd);
	return atoi(text);
}

static int put(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY);
	if (fd < 0)
		return -errno;
	ssize_t n = write(fd, value, strlen(value));
	int error = errno;
	close(fd);
	return n < 0 ? -error : 0;
}

#define IPV4(of) "/proc/sys/net/ipv4/conf/" of
#define IPV6(of) "/proc/sys/net/ipv6/conf/" of

TEST(each_device_has_a_directory)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	CHECK_EQ(get(IPV4("lo/rp_filter")), 0);
	CHECK_EQ(get(IPV6("lo/accept_dad")) <= 1, 1);
	CHECK_EQ(get(IPV4("d/rp_filter")), -ENOENT);
	CHECK_EQ(put(IPV4("default/proxy_arp"), "1"), 0);
	CHECK_EQ(nl_link_add("dummy", "d", 0), 0);
	CHECK_EQ(get(IPV4("d/proxy_arp")), 1);
	/* Those that nobody has set follow. */
	CHECK_EQ(get(IPV4("lo/proxy_arp")), 1);
	CHECK_EQ(put(IPV4("d/proxy_arp"), "0"), 0);
	CHECK_EQ(put(IPV4("default/proxy_arp"), "1"), 0);
	CHECK_EQ(get(IPV4("d/proxy_arp")), 0);
	CHECK_EQ(get(IPV4("default/proxy_arp")), 1);
	CHECK_EQ(put(IPV6("d/hop_limit"), "300"), -EINVAL);
	CHECK_EQ(put(IPV6("d/hop_limit"), "30"), 0);
	int n = 0;
	DIR *dir = opendir("/proc/sys/net/ipv4/conf");
	CHECK(dir != NULL);
	for (struct dirent *e; (e = readdir(dir));)
		n += e->d_name[0] != '.';
	closedir(dir);
	CHECK_EQ(n, 4);
	CHECK_EQ(nl_link_del("d"), 0);
	CHECK_EQ(get(IPV4("d/proxy_arp")), -ENOENT);
}

TEST(forwarding_of_all_is_ip_forward)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	CHECK_EQ(nl_link_add("dummy", "d", 0), 0);
	CHECK_EQ(put("/proc/sys/net/ipv4/ip_forward", "1"), 0);
	CHECK_EQ(get(IPV4("all/forwarding")), 1);
	CHECK_EQ(get(IPV4("d/forwarding")), 1);
	CHECK_EQ(get(IPV4("default/forwarding")), 1);
	CHECK_EQ(put(IPV4("all/forwarding"), "0"), 0);
	CHECK_EQ(get("/proc/sys/net/ipv4/ip_forward"), 0);
	CHECK_EQ(put(IPV4("d/forwarding"), "1"), 0);
	CHECK_EQ(get("/proc/sys/net/ipv4/ip_forward"), 0);
	CHECK_EQ(put(IPV6("all/forwarding"), "1"), 0);
	CHECK_EQ(get(IPV6("d/forwarding")), 1);
}

/* Whether the device has an IPv6 address. */
static int has_ipv6(const char *dev)
{
	char line[256];
	int found = 0;
	FILE *f = fopen("/proc/self/net/if_inet6", "r");
	CHECK(f != NULL);
	while (fgets(line, sizeof line, f)) {
		char *name = strrchr(line, ' ');
		found |= name && strncmp(name + 1, dev, strlen(dev)) == 0;
	}
	fclose(f);
	return found;
}

TEST(ipv6_is_switched_off_and_on)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	CHECK_EQ(nl_link_up("lo", 1), 0);
	CHECK(has_ipv6("lo"));
	CHECK_EQ(put(IPV6("lo/disable_ipv6"), "1"), 0);
	CHECK(!has_ipv6("lo"));
	CHECK_EQ(put(IPV6("lo/disable_ipv6"), "0"), 0);
	WAIT_FOR(has_ipv6("lo"));
	CHECK_EQ(put(IPV6("all/disable_ipv6"), "1"), 0);
	CHECK_EQ(get(IPV6("lo/disable_ipv6")), 1);
	CHECK_EQ(get(IPV6("default/disable_ipv6")), 1);
	CHECK(!has_ipv6("lo"));
	CHECK_EQ(nl_link_add("dummy", "d", IFF_UP), 0);
	CHECK(!has_ipv6("d"));
}

static int bindable(const char *addr)
{
	struct sockaddr_in a = in4(addr, 0);
	int fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	int r = bind(fd, (void *)&a, sizeof a);
	close(fd);
	return r == 0;
}

TEST(secondary_addresses_are_promoted)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	CHECK_EQ(nl_link_add("dummy", "d", IFF_UP), 0);
	CHECK_EQ(put(IPV4("d/promote_secondaries"), "1"), 0);
	CHECK_EQ(nl_addr_add("d", "10.0.0.1", 24), 0);
	CHECK_EQ(nl_addr_add("d", "10.0.0.2", 24), 0);
	CHECK_EQ(nl_addr_del("d", "10.0.0.1", 24), 0);
	CHECK(!bindable("10.0.0.1"));
	CHECK(bindable("10.0.0.2"));
	/* The network's route is there again. */
	struct sockaddr_in a = in4("10.0.0.77", 9);
	int fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	CHECK_OK(connect(fd, (void *)&a, sizeof a));
}

/* A datagram from the child's second address, to which there is no way back, or another one. */
static int arrives(int fd, pid_t child)
{
	pid_t sender = SPAWN({
		in_ns_of(child);
		struct sockaddr_in from = in4("10.9.9.9", 0), to = in4("10.0.0.1", 99);
		int s = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
		CHECK_OK(bind(s, (void *)&from, sizeof from));
		CHECK_EQ(sendto(s, "x", 1, 0, (void *)&to, sizeof to), 1);
	});
	JOIN(sender);
	char c;
	struct timeval t = { 0, 700000 };
	CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
	return recv(fd, &c, 1, 0) == 1;
}

TEST(the_reverse_path_is_checked_if_asked_for)
{
	pid_t child = cable();
	pid_t setup = SPAWN({
		in_ns_of(child);
		CHECK_EQ(nl_addr_add("lo", "10.9.9.9", 32), 0);
	});
	JOIN(setup);
	struct sockaddr_in a = in4("10.0.0.1", 99);
	int fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	CHECK_OK(bind(fd, (void *)&a, sizeof a));
	CHECK_EQ(put(IPV4("all/rp_filter"), "0"), 0);
	CHECK_EQ(put(IPV4("a/rp_filter"), "0"), 0);
	CHECK(arrives(fd, child));
	CHECK_EQ(put(IPV4("a/rp_filter"), "2"), 0);
	CHECK(!arrives(fd, child));
	CHECK_EQ(nl_link_add("dummy", "d", IFF_UP), 0);
	CHECK_EQ(nl_route(RTM_NEWROUTE, "10.9.9.0", 24, NULL, "d"), 0);
	CHECK(arrives(fd, child));
	CHECK_EQ(put(IPV4("all/rp_filter"), "1"), 0);
	CHECK_EQ(put(IPV4("a/rp_filter"), "1"), 0);
	CHECK(!arrives(fd, child));
	CHECK_EQ(nl_route(RTM_DELROUTE, "10.9.9.0", 24, NULL, "d"), 0);
	CHECK_EQ(nl_route(RTM_NEWROUTE, "10.9.9.0", 24, NULL, "a"), 0);
	CHECK(arrives(fd, child));
	kill(child, SIGKILL);
}
