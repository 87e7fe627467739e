/*
 * Network devices in sysfs (sysfs-class-net of the ABI documentation) and their uevents.
 */
#include "nl.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>

static char text[4096];

/* The text of a file without its newline; on failure text is empty and the value is -errno. */
static int get(const char *path)
{
	memset(text, 0, sizeof text);
	int fd = open(path, O_RDONLY);
	if (fd < 0)
		return -errno;
	ssize_t n = read(fd, text, sizeof text - 1);
	int error = errno;
	close(fd);
	if (n < 0)
		return -error;
	if (n && text[n - 1] == '\n')
		text[n - 1] = 0;
	return 0;
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

#define IS(path, value)                          \
	do {                                     \
		CHECK_EQ(get(path), 0);          \
		CHECK(strcmp(text, value) == 0); \
	} while (0)

/* A namespace of its own with its sysfs on "s". */
static void world(void)
{
	CHECK_OK(unshare(CLONE_NEWNET | CLONE_NEWNS));
	CHECK_OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	CHECK_OK(mkdir("s", 0755));
	CHECK_OK(mount("sysfs", "s", "sysfs", 0, NULL));
}

static int entries(const char *path)
{
	int n = 0;
	DIR *d = opendir(path);
	CHECK(d != NULL);
	for (struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	closedir(d);
	return n;
}

TEST(a_namespace_shows_its_own_devices)
{
	char path[64] = { 0 };
	world();
	CHECK_EQ(entries("s/class/net"), 1);
	CHECK_EQ(readlink("s/class/net/lo", path, sizeof path), (ssize_t)strlen("../../devices/virtual/net/lo"));
	CHECK(strcmp(path, "../../devices/virtual/net/lo") == 0);
	CHECK_EQ(nl_veth_add("a", "b", -1), 0);
	CHECK_EQ(entries("s/class/net"), 3);
	CHECK_EQ(entries("s/devices/virtual/net"), 3);
	struct stat st;
	CHECK_OK(stat("s/class/net/a/statistics", &st));
	CHECK(S_ISDIR(st.st_mode));
	CHECK_EQ(nl_link_del("a"), 0);
	CHECK_EQ(get("s/class/net/a/mtu"), -ENOENT);
	CHECK_EQ(entries("s/class/net"), 1);
	/* The test's own /sys was mounted in another namespace. */
	CHECK_EQ(nl_link_add("dummy", "only_here", 0), 0);
	CHECK_EQ(access("/sys/class/net/only_here", F_OK), -1);
	CHECK_OK(access("s/class/net/only_here", F_OK));
}

TEST(a_device_tells_what_it_is)
{
	char value[32];
	world();
	IS("s/class/net/lo/address", "00:00:00:00:00:00");
	IS("s/class/net/lo/type", "772");
	IS("s/class/net/lo/mtu", "65536");
	IS("s/class/net/lo/operstate", "down");
	IS("s/class/net/lo/flags", "0x8");
	CHECK_EQ(get("s/class/net/lo/carrier"), -EINVAL);
	CHECK_EQ(get("s/class/net/lo/speed"), -EINVAL);
	CHECK_EQ(nl_link_up("lo", 1), 0);
	IS("s/class/net/lo/operstate", "unknown");
	IS("s/class/net/lo/carrier", "1");
	IS("s/class/net/lo/flags", "0x9");
	CHECK_EQ(nl_veth_add("a", "b", -1), 0);
	IS("s/class/net/a/type", "1");
	IS("s/class/net/a/addr_len", "6");
	IS("s/class/net/a/addr_assign_type", "1");
	IS("s/class/net/a/broadcast", "ff:ff:ff:ff:ff:ff");
	IS("s/class/net/a/tx_queue_len", "1000");
	IS("s/class/net/a/flags", "0x1002");
	IS("s/class/net/a/dev_id", "0x0");
	snprintf(value, sizeof value, "%u", if_nametoindex("a"));
	IS("s/class/net/a/ifindex", value);
	IS("s/class/net/b/iflink", value);
	CHECK_EQ(get("s/class/net/a/speed"), -EINVAL);
	CHECK_EQ(nl_link_up("a", 1), 0);
	WAIT_FOR(get("s/class/net/a/operstate") == 0 && strcmp(text, "lowerlayerdown") == 0);
	IS("s/class/net/a/carrier", "0");
	CHECK_EQ(nl_link_up("b", 1), 0);
	WAIT_FOR(get("s/class/net/a/operstate") == 0 && strcmp(text, "up") == 0);
	IS("s/class/net/a/speed", "10000");
	IS("s/class/net/a/duplex", "full");
	snprintf(value, sizeof value, "INTERFACE=a\nIFINDEX=%u", if_nametoindex("a"));
	IS("s/class/net/a/uevent", value);
}

TEST(settings_act)
{
	world();
	CHECK_EQ(nl_link_add("dummy", "d", 0), 0);
	CHECK_EQ(put("s/class/net/d/mtu", "1400\n"), 0);
	IS("s/class/net/d/mtu", "1400");
	CHECK_EQ(put("s/class/net/d/mtu", "nonsense"), -EINVAL);
	CHECK_EQ(put("s/class/net/d/tx_queue_len", "77"), 0);
	IS("s/class/net/d/tx_queue_len", "77");
	CHECK_EQ(nl_link_set("d", IFLA_TXQLEN, 88), 0);
	IS("s/class/net/d/tx_queue_len", "88");
	CHECK_EQ(put("s/class/net/d/ifalias", "some name\n"), 0);
	IS("s/class/net/d/ifalias", "some name");
	CHECK_EQ(put("s/class/net/d/flags", "0x83"), 0);
	CHECK(nl_flags("d") & IFF_UP);
	CHECK_EQ(put("s/class/net/d/address", "1"), -EACCES);
	/* Frames are counted. */
	CHECK_EQ(put("s/class/net/d/flags", "0x82"), 0);
	IS("s/class/net/d/statistics/rx_packets", "0");
	CHECK_EQ(nl_link_up("lo", 1), 0);
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	CHECK_EQ(sendto(fd, "abc", 3, 0, (void *)&a, sizeof a), 3);
	CHECK_EQ(get("s/class/net/lo/statistics/tx_packets"), 0);
	CHECK(atoi(text) >= 1);
}

TEST(a_bridge_and_its_ports_lead_to_each_other)
{
	char path[64] = { 0 };
	world();
	CHECK_EQ(nl_link_add("bridge", "br", 0), 0);
	CHECK_EQ(nl_veth_add("a", "b", -1), 0);
	CHECK_EQ(entries("s/class/net/br/brif"), 0);
	CHECK_EQ(nl_link_set("a", IFLA_MASTER, if_nametoindex("br")), 0);
	CHECK_EQ(entries("s/class/net/br/brif"), 1);
	CHECK(readlink("s/class/net/br/brif/a", path, sizeof path - 1) > 0);
	CHECK(strcmp(path, "../../a/brport") == 0);
	memset(path, 0, sizeof path);
	CHECK(readlink("s/class/net/a/master", path, sizeof path - 1) > 0);
	CHECK(strcmp(path, "../br") == 0);
	memset(path, 0, sizeof path);
	CHECK(readlink("s/class/net/a/brport/bridge", path, sizeof path - 1) > 0);
	CHECK(strcmp(path, "../../br") == 0);
	CHECK_OK(access("s/class/net/br/lower_a/mtu", F_OK));
	CHECK_OK(access("s/class/net/a/upper_br/bridge", F_OK));
	IS("s/class/net/a/brport/port_no", "0x1");
	IS("s/class/net/a/brport/state", "0");
	IS("s/class/net/br/bridge/stp_state", "0");
	IS("s/class/net/br/bridge/ageing_time", "30000");
	CHECK_EQ(put("s/class/net/br/bridge/ageing_time", "500"), 0);
	IS("s/class/net/br/bridge/ageing_time", "500");
	CHECK_EQ(put("s/class/net/br/bridge/flush", "1"), 0);
	CHECK_EQ(get("s/class/net/br/bridge/bridge_id"), 0);
	CHECK(strncmp(text, "8000.", 5) == 0);
	CHECK_EQ(nl_link_set("a", IFLA_MASTER, 0), 0);
	CHECK_EQ(access("s/class/net/a/brport", F_OK), -1);
}

static int uevents(void)
{
	struct sockaddr_nl a = { .nl_family = AF_NETLINK, .nl_groups = 1 };
	int fd = CHECK_OK(socket(AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT));
	CHECK_OK(bind(fd, (void *)&a, sizeof a));
	struct timeval t = { 10, 0 };
	CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t));
	return fd;
}

/* The next event of exactly this device; its words are in text. */
static ssize_t event(int fd, const char *first)
{
	for (;;) {
		memset(text, 0, sizeof text);
		ssize_t n = CHECK_OK(recv(fd, text, sizeof text - 1, 0));
		if (strcmp(text, first) == 0)
			return n;
	}
}

static int has(ssize_t len, const char *word)
{
	for (ssize_t at = 0; at < len; at += strlen(text + at) + 1)
		if (strcmp(text + at, word) == 0)
			return 1;
	return 0;
}

TEST(uevents_tell_of_devices)
{
	world();
	int fd = uevents();
	CHECK_EQ(nl_link_add("dummy", "d", 0), 0);
	ssize_t n = event(fd, "add@/devices/virtual/net/d");
	CHECK(has(n, "ACTION=add"));
	CHECK(has(n, "SUBSYSTEM=net"));
	CHECK(has(n, "INTERFACE=d"));
	CHECK_EQ(put("s/class/net/d/uevent", "change"), 0);
	n = event(fd, "change@/devices/virtual/net/d");
	CHECK(has(n, "SYNTH_UUID=0"));
	CHECK_EQ(put("s/class/net/d/uevent", "add 01234567-89ab-cdef-0123-456789abcdef A=b"), 0);
	n = event(fd, "add@/devices/virtual/net/d");
	CHECK(has(n, "SYNTH_UUID=01234567-89ab-cdef-0123-456789abcdef"));
	CHECK(has(n, "SYNTH_ARG_A=b"));
	CHECK_EQ(put("s/class/net/d/uevent", "frobnicate"), -EINVAL);
	CHECK_EQ(put("s/class/net/d/uevent", "add nonsense"), -EINVAL);
	struct ifinfomsg i = { .ifi_index = if_nametoindex("d") };
	struct nl_req r;
	nl_init(&r, RTM_NEWLINK, 0, &i, sizeof i);
	nl_str(&r, IFLA_IFNAME, "e");
	CHECK_EQ(nl_talk(&r), 0);
	n = event(fd, "move@/devices/virtual/net/e");
	CHECK(has(n, "DEVPATH_OLD=/devices/virtual/net/d"));
	CHECK_EQ(nl_link_del("e"), 0);
	n = event(fd, "remove@/devices/virtual/net/e");
	/* Another namespace hears nothing. */
	CHECK_OK(unshare(CLONE_NEWNET));
	CHECK_EQ(nl_link_add("dummy", "x", 0), 0);
	CHECK_ERR(recv(fd, text, sizeof text, MSG_DONTWAIT), EAGAIN);
}

static int bridge(int flags, int attr, const void *value, size_t len)
{
	struct ifinfomsg i = { 0 };
	struct nl_req r;
	nl_init(&r, RTM_NEWLINK, flags, &i, sizeof i);
	nl_str(&r, IFLA_IFNAME, "br");
	struct rtattr *info = nl_attr(&r, IFLA_LINKINFO, NULL, 0);
	nl_str(&r, IFLA_INFO_KIND, "bridge");
	struct rtattr *data = nl_attr(&r, IFLA_INFO_DATA, NULL, 0);
	nl_attr(&r, attr, value, len);
	nl_end(&r, data);
	nl_end(&r, info);
	return nl_talk(&r);
}

TEST(a_bridge_is_made_and_changed_with_its_settings)
{
	uint32_t ageing = 4200, off = 0;
	world();
	CHECK_EQ(bridge(NLM_F_CREATE | NLM_F_EXCL, IFLA_BR_AGEING_TIME, &ageing, 4), 0);
	IS("s/class/net/br/bridge/ageing_time", "4200");
	ageing = 100;
	CHECK_EQ(bridge(0, IFLA_BR_AGEING_TIME, &ageing, 4), 0);
	IS("s/class/net/br/bridge/ageing_time", "100");
	CHECK_EQ(bridge(0, IFLA_BR_STP_STATE, &off, 4), 0);
	CHECK_EQ(bridge(0, IFLA_BR_MCAST_SNOOPING, &off, 1), 0);
	CHECK_EQ(bridge(0, IFLA_BR_FDB_FLUSH, NULL, 0), 0);
	CHECK_EQ(bridge(0, IFLA_BR_AGEING_TIME, &ageing, 2), -ERANGE);
}
