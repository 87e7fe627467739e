/*
 * Settings of bridge ports (bridge(8), ip-link(8) "bridge_slave") and what they do to frames.
 */
#include "nl.h"
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/neighbour.h>
#include <net/ethernet.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* linux/if_bridge.h does not go together with the C library's headers. */
enum { BR_STATE_DISABLED, BR_STATE_LISTENING, BR_STATE_LEARNING, BR_STATE_FORWARDING, BR_STATE_BLOCKING };
#define IFLA_BRIDGE_FLAGS 0
#define BRIDGE_FLAGS_MASTER 1
#define BRIDGE_FLAGS_SELF 2

#define PROTO 0x88b5
#define A 1
#define B 2
#define C 4
#define BR 8

static const char *const ports[] = { "a", "b", "c" };
/* What is at the other end of each port, and the bridge itself. */
static const char *const ends[] = { "pa", "pb", "pc", "br" };
static int fds[4];

static const uint8_t ALL[6] = { 255, 255, 255, 255, 255, 255 };
static const uint8_t GROUP[6] = { 3, 0, 0, 0, 0, 1 };
/* Stations that may be behind a port. */
#define STATION(n) ((const uint8_t[6]){ 2, 0, 0, 0, 0, n })

static void attach(int fd, const char *dev, int proto)
{
	struct sockaddr_ll a = {
		.sll_family = AF_PACKET, .sll_protocol = htons(proto), .sll_ifindex = if_nametoindex(dev)
	};
	CHECK_OK(bind(fd, (void *)&a, sizeof a));
}

static void emit(int from, const uint8_t *to, const uint8_t *src, uint32_t serial)
{
	uint8_t f[60] = { 0 };
	memcpy(f, to, 6);
	memcpy(f + 6, src, 6);
	f[12] = PROTO >> 8, f[13] = PROTO & 255;
	memcpy(f + 14, &serial, 4);
	CHECK_EQ(send(fds[from], f, sizeof f, 0), (ssize_t)sizeof f);
}

static int at(int mask)
{
	return __builtin_ctz(mask);
}

/* Who of the ends, a mask, has got the frame with this number. */
static int arrived(uint32_t serial)
{
	uint8_t f[2048];
	int mask = 0;
	for (int n = 0; n < 4; n++) {
		struct sockaddr_ll from;
		socklen_t len = sizeof from;
		while (recvfrom(fds[n], f, sizeof f, MSG_DONTWAIT, (void *)&from, &len) >= 60)
			if (!memcmp(f + 14, &serial, 4) && from.sll_pkttype != PACKET_OUTGOING)
				mask |= 1 << n;
	}
	return mask;
}

static int reach(int from, const uint8_t *to, const uint8_t *src, int expect)
{
	static uint32_t serial = 1000;
	int mask = 0;
	emit(at(from), to, src, ++serial);
	for (int n = 0; n < 2000 && (mask & expect) != expect; n++) {
		mask |= arrived(serial);
		usleep(1000);
	}
	usleep(30000);
	return mask | arrived(serial);
}

/* A frame from one end gets to these ends, and to no other. */
#define REACH(from, to, src, expect) CHECK_EQ(reach(from, to, src, expect), expect)

/* A bridge with three ports that forward. */
static void bridged(void)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	CHECK_EQ(nl_link_add("bridge", "br", IFF_UP), 0);
	for (int n = 0; n < 3; n++) {
		CHECK_EQ(nl_veth_add(ports[n], ends[n], -1), 0);
		CHECK_EQ(nl_link_set(ports[n], IFLA_MASTER, if_nametoindex("br")), 0);
		CHECK_EQ(nl_link_up(ports[n], 1), 0);
		CHECK_EQ(nl_link_up(ends[n], 1), 0);
	}
	for (int n = 0; n < 4; n++) {
		fds[n] = CHECK_OK(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
		attach(fds[n], ends[n], PROTO);
	}
	/* Linux begins to send a moment after a device is up. */
	for (int n = 0; n < 3; n++) {
		int mask = 0;
		for (int k = 0; k < 200 && (mask & 7) != (7 & ~(1 << n)); k++) {
			emit(n, ALL, STATION(0xf0 + n), n);
			usleep(10000);
			mask |= arrived(n);
		}
		CHECK_EQ(mask, 15 & ~(1 << n));
	}
}

/* "bridge link set dev PORT": AF_BRIDGE, IFLA_PROTINFO. */
static int port_set(const char *port, int attr, const void *value, size_t len)
{
	struct ifinfomsg i = { .ifi_family = AF_BRIDGE, .ifi_index = if_nametoindex(port) };
	struct nl_req r;
	nl_init(&r, RTM_SETLINK, 0, &i, sizeof i);
	struct rtattr *nest = nl_attr(&r, IFLA_PROTINFO | NLA_F_NESTED, NULL, 0);
	nl_attr(&r, attr, value, len);
	nl_end(&r, nest);
	return nl_talk(&r);
}

static int set8(const char *port, int attr, uint8_t value)
{
	return port_set(port, attr, &value, 1);
}

static int set16(const char *port, int attr, uint16_t value)
{
	return port_set(port, attr, &value, 2);
}

static int set32(const char *port, int attr, uint32_t value)
{
	return port_set(port, attr, &value, 4);
}

/* "ip link set dev PORT type bridge_slave": IFLA_INFO_SLAVE_DATA. */
static int slave_set(const char *port, int attr, const void *value, size_t len)
{
	struct ifinfomsg i = { .ifi_index = if_nametoindex(port) };
	struct nl_req r;
	nl_init(&r, RTM_NEWLINK, 0, &i, sizeof i);
	struct rtattr *info = nl_attr(&r, IFLA_LINKINFO, NULL, 0);
	nl_str(&r, IFLA_INFO_SLAVE_KIND, "bridge");
	struct rtattr *data = nl_attr(&r, IFLA_INFO_SLAVE_DATA, NULL, 0);
	nl_attr(&r, attr, value, len);
	nl_end(&r, data);
	nl_end(&r, info);
	return nl_talk(&r);
}

static struct rtattr *find(struct rtattr *list, int len, int type)
{
	for (; RTA_OK(list, len); list = RTA_NEXT(list, len))
		if ((list->rta_type & NLA_TYPE_MASK) == type)
			return list;
	return NULL;
}

static struct rtattr *inside(struct rtattr *nest, int type)
{
	return nest ? find(RTA_DATA(nest), RTA_PAYLOAD(nest), type) : NULL;
}

static char buf[32768];

static long number(struct rtattr *attr)
{
	uint64_t value = 0;
	if (!attr)
		return -1;
	CHECK(RTA_PAYLOAD(attr) <= sizeof value);
	memcpy(&value, RTA_DATA(attr), RTA_PAYLOAD(attr));
	return value;
}

/* A number in IFLA_INFO_SLAVE_DATA; -1 if it is not there. */
static long slave_get(const char *port, int attr)
{
	struct ifinfomsg i = { .ifi_index = if_nametoindex(port) };
	struct nl_req r;
	int fd = nl_open();
	nl_init(&r, RTM_GETLINK, 0, &i, sizeof i);
	r.h.nlmsg_flags = NLM_F_REQUEST;
	CHECK_EQ(send(fd, &r, r.h.nlmsg_len, 0), (ssize_t)r.h.nlmsg_len);
	CHECK_OK(recv(fd, buf, sizeof buf, 0));
	close(fd);
	struct nlmsghdr *h = (void *)buf;
	CHECK_EQ(h->nlmsg_type, RTM_NEWLINK);
	struct rtattr *info = find(IFLA_RTA(NLMSG_DATA(h)), IFLA_PAYLOAD(h), IFLA_LINKINFO);
	if (inside(info, IFLA_INFO_SLAVE_DATA))
		CHECK(!strcmp(RTA_DATA(inside(info, IFLA_INFO_SLAVE_KIND)), "bridge"));
	return number(inside(inside(info, IFLA_INFO_SLAVE_DATA), attr));
}

/* A number in IFLA_PROTINFO, as "bridge -d link" asks for it. */
static long port_get(const char *port, int attr)
{
	struct ifinfomsg i = { .ifi_family = AF_BRIDGE };
	struct nl_req r;
	long found = -1;
	int fd = nl_open(), done = 0, index = if_nametoindex(port);
	nl_init(&r, RTM_GETLINK, 0, &i, sizeof i);
	r.h.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	CHECK_EQ(send(fd, &r, r.h.nlmsg_len, 0), (ssize_t)r.h.nlmsg_len);
	while (!done) {
		int n = CHECK_OK(recv(fd, buf, sizeof buf, 0));
		for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			struct ifinfomsg *m = NLMSG_DATA(h);
			if (h->nlmsg_type == NLMSG_DONE) {
				done = 1;
				break;
			}
			CHECK_EQ(h->nlmsg_type, RTM_NEWLINK);
			CHECK_EQ(m->ifi_family, AF_BRIDGE);
			struct rtattr *master = find(IFLA_RTA(m), IFLA_PAYLOAD(h), IFLA_MASTER);
			CHECK_EQ(number(master), if_nametoindex("br"));
			if (m->ifi_index == index)
				found = number(inside(find(IFLA_RTA(m), IFLA_PAYLOAD(h), IFLA_PROTINFO), attr));
		}
	}
	close(fd);
	return found;
}

TEST(a_port_begins_with_these_settings)
{
	static const struct {
		int attr;
		long value;
	} all[] = {
		{ IFLA_BRPORT_STATE, BR_STATE_FORWARDING },
		{ IFLA_BRPORT_PRIORITY, 32 },
		{ IFLA_BRPORT_COST, 2 },
		{ IFLA_BRPORT_MODE, 0 },
		{ IFLA_BRPORT_GUARD, 0 },
		{ IFLA_BRPORT_PROTECT, 0 },
		{ IFLA_BRPORT_FAST_LEAVE, 0 },
		{ IFLA_BRPORT_LEARNING, 1 },
		{ IFLA_BRPORT_UNICAST_FLOOD, 1 },
		{ IFLA_BRPORT_MCAST_FLOOD, 1 },
		{ IFLA_BRPORT_BCAST_FLOOD, 1 },
		{ IFLA_BRPORT_MCAST_TO_UCAST, 0 },
		{ IFLA_BRPORT_PROXYARP, 0 },
		{ IFLA_BRPORT_PROXYARP_WIFI, 0 },
		{ IFLA_BRPORT_DESIGNATED_COST, 0 },
		{ IFLA_BRPORT_TOPOLOGY_CHANGE_ACK, 0 },
		{ IFLA_BRPORT_CONFIG_PENDING, 0 },
		{ IFLA_BRPORT_MESSAGE_AGE_TIMER, 0 },
		{ IFLA_BRPORT_VLAN_TUNNEL, 0 },
		{ IFLA_BRPORT_GROUP_FWD_MASK, 0 },
		{ IFLA_BRPORT_NEIGH_SUPPRESS, 0 },
		{ IFLA_BRPORT_ISOLATED, 0 },
		{ IFLA_BRPORT_LOCKED, 0 },
		{ IFLA_BRPORT_BACKUP_PORT, -1 },
		{ IFLA_BRPORT_ID, 0x8002 },
		{ IFLA_BRPORT_NO, 2 },
		{ IFLA_BRPORT_DESIGNATED_PORT, 0x8002 },
	};
	bridged();
	for (size_t n = 0; n < sizeof all / sizeof *all; n++) {
		if (slave_get("b", all[n].attr) != all[n].value)
			printf("# attribute %d\n", all[n].attr);
		CHECK_EQ(slave_get("b", all[n].attr), all[n].value);
		CHECK_EQ(port_get("b", all[n].attr), all[n].value);
	}
	CHECK(port_get("b", IFLA_BRPORT_BRIDGE_ID) != -1);
	CHECK_EQ(port_get("b", IFLA_BRPORT_BRIDGE_ID), port_get("b", IFLA_BRPORT_ROOT_ID));
	CHECK_EQ(slave_get("pb", IFLA_BRPORT_STATE), -1);
	CHECK_EQ(port_get("pb", IFLA_BRPORT_STATE), -1);
}

TEST(settings_are_kept_and_go_with_the_port)
{
	static const int flags[] = {
		IFLA_BRPORT_MODE, IFLA_BRPORT_LEARNING, IFLA_BRPORT_UNICAST_FLOOD, IFLA_BRPORT_MCAST_FLOOD,
		IFLA_BRPORT_BCAST_FLOOD, IFLA_BRPORT_PROXYARP, IFLA_BRPORT_PROXYARP_WIFI, IFLA_BRPORT_ISOLATED,
		IFLA_BRPORT_LOCKED,
	};
	bridged();
	for (size_t n = 0; n < sizeof flags / sizeof *flags; n++) {
		uint8_t was = slave_get("a", flags[n]), now = was ? 0 : 7;
		CHECK_EQ(set8("a", flags[n], now), 0);
		CHECK_EQ(slave_get("a", flags[n]), !was);
		CHECK_EQ(port_get("a", flags[n]), !was);
		CHECK_EQ(slave_get("b", flags[n]), was);
		CHECK_EQ(slave_set("a", flags[n], &was, 1), 0);
		CHECK_EQ(slave_get("a", flags[n]), was);
	}
	CHECK_EQ(set8("a", IFLA_BRPORT_ISOLATED, 1), 0);
	CHECK_EQ(nl_link_set("a", IFLA_MASTER, 0), 0);
	CHECK_EQ(slave_get("a", IFLA_BRPORT_ISOLATED), -1);
	CHECK_EQ(nl_link_set("a", IFLA_MASTER, if_nametoindex("br")), 0);
	CHECK_EQ(slave_get("a", IFLA_BRPORT_ISOLATED), 0);
}

TEST(priority_and_cost_have_ranges)
{
	bridged();
	CHECK_EQ(set16("b", IFLA_BRPORT_PRIORITY, 64), -ERANGE);
	CHECK_EQ(set16("b", IFLA_BRPORT_PRIORITY, 63), 0);
	CHECK_EQ(slave_get("b", IFLA_BRPORT_PRIORITY), 63);
	CHECK_EQ(slave_get("b", IFLA_BRPORT_ID), 0xfc02);
	CHECK_EQ(set16("b", IFLA_BRPORT_PRIORITY, 0), 0);
	CHECK_EQ(slave_get("b", IFLA_BRPORT_ID), 2);
	CHECK_EQ(set32("b", IFLA_BRPORT_COST, 0), -ERANGE);
	CHECK_EQ(set32("b", IFLA_BRPORT_COST, 65536), -ERANGE);
	CHECK_EQ(set32("b", IFLA_BRPORT_COST, 65535), 0);
	CHECK_EQ(slave_get("b", IFLA_BRPORT_COST), 65535);
	CHECK_EQ(nl_link_up("b", 0), 0);
	CHECK_EQ(nl_link_up("b", 1), 0);
	CHECK_EQ(slave_get("b", IFLA_BRPORT_COST), 65535);
}

TEST(a_hairpin_sends_back)
{
	bridged();
	REACH(A, ALL, STATION(1), B | C | BR);
	REACH(A, STATION(1), STATION(2), 0);
	CHECK_EQ(set8("a", IFLA_BRPORT_MODE, 1), 0);
	REACH(A, ALL, STATION(1), A | B | C | BR);
	REACH(A, STATION(1), STATION(2), A);
	REACH(A, STATION(9), STATION(2), A | B | C);
	REACH(B, ALL, STATION(3), A | C | BR);
}

TEST(isolated_ports_do_not_talk_to_each_other)
{
	bridged();
	CHECK_EQ(set8("a", IFLA_BRPORT_ISOLATED, 1), 0);
	REACH(A, ALL, STATION(1), B | C | BR);
	CHECK_EQ(set8("b", IFLA_BRPORT_ISOLATED, 1), 0);
	REACH(A, ALL, STATION(1), C | BR);
	REACH(B, ALL, STATION(2), C | BR);
	REACH(C, ALL, STATION(3), A | B | BR);
	REACH(A, STATION(2), STATION(1), 0);
	REACH(A, STATION(3), STATION(1), C);
	REACH(C, STATION(2), STATION(3), B);
	REACH(BR, ALL, STATION(4), A | B | C);
}

TEST(what_is_not_learnt_is_flooded)
{
	bridged();
	CHECK_EQ(set8("a", IFLA_BRPORT_LEARNING, 0), 0);
	REACH(A, ALL, STATION(1), B | C | BR);
	REACH(B, STATION(1), STATION(2), A | C);
	CHECK_EQ(set8("a", IFLA_BRPORT_LEARNING, 1), 0);
	REACH(A, ALL, STATION(1), B | C | BR);
	REACH(B, STATION(1), STATION(2), A);
	CHECK_EQ(port_set("b", IFLA_BRPORT_FLUSH, NULL, 0), 0);
	REACH(B, STATION(1), STATION(2), A);
	CHECK_EQ(port_set("a", IFLA_BRPORT_FLUSH, NULL, 0), 0);
	REACH(B, STATION(1), STATION(2), A | C);
}

TEST(each_kind_of_flood_has_a_switch)
{
	bridged();
	CHECK_EQ(set8("b", IFLA_BRPORT_UNICAST_FLOOD, 0), 0);
	REACH(A, STATION(9), STATION(1), C);
	REACH(BR, STATION(9), STATION(4), A | C);
	REACH(A, ALL, STATION(1), B | C | BR);
	REACH(A, GROUP, STATION(1), B | C | BR);
	CHECK_EQ(set8("b", IFLA_BRPORT_UNICAST_FLOOD, 1), 0);
	CHECK_EQ(set8("b", IFLA_BRPORT_MCAST_FLOOD, 0), 0);
	REACH(A, STATION(9), STATION(1), B | C);
	REACH(A, ALL, STATION(1), B | C | BR);
	REACH(A, GROUP, STATION(1), C | BR);
	/* What the bridge itself sends goes out all the same. */
	REACH(BR, GROUP, STATION(4), A | B | C);
	CHECK_EQ(set8("b", IFLA_BRPORT_MCAST_FLOOD, 1), 0);
	CHECK_EQ(set8("b", IFLA_BRPORT_BCAST_FLOOD, 0), 0);
	REACH(A, ALL, STATION(1), C | BR);
	REACH(A, GROUP, STATION(1), B | C | BR);
	REACH(BR, ALL, STATION(4), A | B | C);
	/* A known address is no flood. */
	REACH(B, ALL, STATION(2), A | C | BR);
	CHECK_EQ(set8("b", IFLA_BRPORT_UNICAST_FLOOD, 0), 0);
	REACH(A, STATION(2), STATION(1), B);
}

TEST(only_a_port_that_forwards_carries_frames)
{
	bridged();
	CHECK_EQ(set8("a", IFLA_BRPORT_STATE, 5), -EINVAL);
	CHECK_EQ(set8("a", IFLA_BRPORT_STATE, BR_STATE_LISTENING), 0);
	CHECK_EQ(slave_get("a", IFLA_BRPORT_STATE), BR_STATE_LISTENING);
	REACH(A, ALL, STATION(1), 0);
	REACH(B, ALL, STATION(2), C | BR);
	REACH(B, STATION(1), STATION(2), C);
	CHECK_EQ(set8("a", IFLA_BRPORT_STATE, BR_STATE_LEARNING), 0);
	REACH(A, ALL, STATION(1), 0);
	/* It is known to be there, where nothing goes. */
	REACH(B, STATION(1), STATION(2), 0);
	/* Without the spanning tree protocol nothing blocks for long. */
	CHECK_EQ(set8("a", IFLA_BRPORT_STATE, BR_STATE_BLOCKING), 0);
	CHECK_EQ(slave_get("a", IFLA_BRPORT_STATE), BR_STATE_FORWARDING);
	REACH(B, STATION(1), STATION(2), A);
	CHECK_EQ(set8("a", IFLA_BRPORT_STATE, BR_STATE_DISABLED), 0);
	CHECK_EQ(slave_get("a", IFLA_BRPORT_STATE), BR_STATE_DISABLED);
	REACH(A, ALL, STATION(1), 0);
	REACH(B, STATION(1), STATION(2), 0);
	REACH(B, ALL, STATION(2), C | BR);
	/* Down and up again, and it forwards. */
	CHECK_EQ(nl_link_up("a", 0), 0);
	CHECK_EQ(set8("a", IFLA_BRPORT_STATE, BR_STATE_FORWARDING), -ENETDOWN);
	CHECK_EQ(set8("a", IFLA_BRPORT_STATE, BR_STATE_DISABLED), -ENETDOWN);
	CHECK_EQ(nl_link_up("a", 1), 0);
	WAIT_FOR(slave_get("a", IFLA_BRPORT_STATE) == BR_STATE_FORWARDING);
	/* Without a carrier it can only be disabled. */
	CHECK_EQ(nl_link_up("pa", 0), 0);
	WAIT_FOR(!(nl_flags("a") & IFF_RUNNING));
	CHECK_EQ(set8("a", IFLA_BRPORT_STATE, BR_STATE_FORWARDING), -ENETDOWN);
	CHECK_EQ(set8("a", IFLA_BRPORT_STATE, BR_STATE_DISABLED), 0);
	CHECK_EQ(nl_link_up("pa", 1), 0);
	WAIT_FOR(slave_get("a", IFLA_BRPORT_STATE) == BR_STATE_FORWARDING);
}

TEST(a_bridge_has_a_carrier_while_a_port_forwards)
{
	bridged();
	CHECK(nl_flags("br") & IFF_RUNNING);
	CHECK_EQ(set8("a", IFLA_BRPORT_STATE, BR_STATE_DISABLED), 0);
	CHECK_EQ(set8("b", IFLA_BRPORT_STATE, BR_STATE_LEARNING), 0);
	CHECK(nl_flags("br") & IFF_RUNNING);
	CHECK_EQ(set8("c", IFLA_BRPORT_STATE, BR_STATE_LISTENING), 0);
	WAIT_FOR(!(nl_flags("br") & IFF_RUNNING));
	CHECK_EQ(set8("c", IFLA_BRPORT_STATE, BR_STATE_FORWARDING), 0);
	WAIT_FOR(nl_flags("br") & IFF_RUNNING);
}

TEST(ports_of_a_bridge_that_is_down_are_disabled)
{
	bridged();
	CHECK_EQ(nl_link_up("br", 0), 0);
	CHECK_EQ(slave_get("a", IFLA_BRPORT_STATE), BR_STATE_DISABLED);
	CHECK_EQ(nl_link_up("a", 0), 0);
	CHECK_EQ(nl_link_up("a", 1), 0);
	CHECK_EQ(slave_get("a", IFLA_BRPORT_STATE), BR_STATE_DISABLED);
	CHECK_EQ(nl_link_up("br", 1), 0);
	WAIT_FOR(slave_get("a", IFLA_BRPORT_STATE) == BR_STATE_FORWARDING);
	WAIT_FOR(slave_get("b", IFLA_BRPORT_STATE) == BR_STATE_FORWARDING);
	REACH(B, ALL, STATION(2), A | C | BR);
}

TEST(reserved_groups_are_forwarded_as_the_mask_says)
{
	uint8_t to[6] = { 1, 0x80, 0xc2, 0, 0, 0 };
	bridged();
	/* Without the spanning tree protocol its frames pass; PAUSE never does. */
	REACH(A, to, STATION(1), B | C | BR);
	to[5] = 1;
	REACH(A, to, STATION(1), 0);
	to[5] = 14;
	REACH(A, to, STATION(1), 0);
	/* But the address of who sent it is learnt. */
	REACH(B, STATION(1), STATION(2), A);
	CHECK_EQ(set16("a", IFLA_BRPORT_GROUP_FWD_MASK, 2), -EINVAL);
	CHECK_EQ(set16("a", IFLA_BRPORT_GROUP_FWD_MASK, 0x4001), 0);
	CHECK_EQ(slave_get("a", IFLA_BRPORT_GROUP_FWD_MASK), 0x4001);
	REACH(A, to, STATION(1), B | C | BR);
	REACH(B, to, STATION(1), 0);
	to[5] = 3;
	REACH(A, to, STATION(1), 0);
	to[5] = 16;
	REACH(A, to, STATION(1), B | C | BR);
}

TEST(a_locked_port_takes_only_whom_it_knows)
{
	bridged();
	REACH(A, ALL, STATION(1), B | C | BR);
	CHECK_EQ(set8("a", IFLA_BRPORT_LOCKED, 1), 0);
	REACH(A, ALL, STATION(1), B | C | BR);
	REACH(A, ALL, STATION(2), 0);
	REACH(B, ALL, STATION(1), A | C | BR);
	/* It moved. */
	REACH(A, ALL, STATION(1), 0);
	CHECK_EQ(set8("a", IFLA_BRPORT_LOCKED, 0), 0);
	REACH(A, ALL, STATION(2), B | C | BR);
}

/* An ARP request for 10.0.0.9 from an end; whether others (a mask) see it, and whether an answer comes back. */
static int ask(int from, const uint8_t *station, int *answered)
{
	uint8_t f[60] = { 0 }, in[2048];
	int mask = 0, arp[3];
	*answered = 0;
	for (int n = 0; n < 3; n++) {
		arp[n] = CHECK_OK(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
		attach(arp[n], ends[n], ETH_P_ARP);
	}
	memcpy(f, ALL, 6);
	memcpy(f + 6, STATION(1), 6);
	memcpy(f + 12, "\x08\x06\0\1\x08\0\6\4\0\1", 10);
	memcpy(f + 22, STATION(1), 6);
	memcpy(f + 28, "\x0a\0\0\7", 4);
	memcpy(f + 38, "\x0a\0\0\x9", 4);
	CHECK_EQ(send(arp[at(from)], f, sizeof f, 0), (ssize_t)sizeof f);
	usleep(50000);
	for (int n = 0; n < 3; n++) {
		struct sockaddr_ll a;
		socklen_t len = sizeof a;
		while (recvfrom(arp[n], in, sizeof in, MSG_DONTWAIT, (void *)&a, &len) >= 42) {
			if (a.sll_pkttype == PACKET_OUTGOING || in[21] != 2)
				mask |= in[21] == 1 && a.sll_pkttype != PACKET_OUTGOING && in[41] == 9 ? 1 << n : 0;
			else if (n == at(from)) {
				CHECK(!memcmp(in, STATION(1), 6));
				CHECK(!memcmp(in + 6, station, 6));
				CHECK(!memcmp(in + 22, station, 6));
				CHECK(!memcmp(in + 28, "\x0a\0\0\x9", 4));
				CHECK(!memcmp(in + 32, STATION(1), 6));
				CHECK(!memcmp(in + 38, "\x0a\0\0\7", 4));
				++*answered;
			}
		}
		close(arp[n]);
	}
	return mask;
}

TEST(a_port_with_proxy_arp_is_answered)
{
	int answered;
	bridged();
	CHECK_EQ(nl_addr_add("br", "10.0.0.1", 24), 0);
	struct ndmsg m = {
		.ndm_family = AF_INET, .ndm_ifindex = if_nametoindex("br"), .ndm_state = NUD_PERMANENT
	};
	struct nl_req r;
	nl_init(&r, RTM_NEWNEIGH, NLM_F_CREATE, &m, sizeof m);
	nl_attr(&r, NDA_DST, "\x0a\0\0\x9", 4);
	nl_attr(&r, NDA_LLADDR, STATION(9), 6);
	CHECK_EQ(nl_talk(&r), 0);
	CHECK_EQ(set8("a", IFLA_BRPORT_PROXYARP, 1), 0);
	/* Where it is must be known, too. */
	CHECK_EQ(ask(A, STATION(9), &answered), B | C);
	CHECK_EQ(answered, 0);
	REACH(B, ALL, STATION(9), C | BR);
	CHECK_EQ(ask(A, STATION(9), &answered), B | C);
	CHECK_EQ(answered, 1);
	/* Nothing is flooded to such a port. */
	REACH(B, ALL, STATION(9), C | BR);
	REACH(B, STATION(77), STATION(9), C);
	CHECK_EQ(ask(C, STATION(9), &answered), B);
	CHECK_EQ(answered, 0);
	/* The other way round: the port behind which the address is says so. */
	CHECK_EQ(set8("a", IFLA_BRPORT_PROXYARP, 0), 0);
	CHECK_EQ(set8("b", IFLA_BRPORT_PROXYARP_WIFI, 1), 0);
	CHECK_EQ(ask(A, STATION(9), &answered), C);
	CHECK_EQ(answered, 1);
	REACH(A, ALL, STATION(1), B | C | BR);
}

TEST(wrong_requests)
{
	bridged();
	uint8_t one = 1;
	uint32_t state = 0;
	struct ifinfomsg i = { .ifi_family = AF_BRIDGE, .ifi_index = if_nametoindex("pa") };
	struct nl_req r;
	nl_init(&r, RTM_SETLINK, 0, &i, sizeof i);
	struct rtattr *nest = nl_attr(&r, IFLA_PROTINFO | NLA_F_NESTED, NULL, 0);
	nl_attr(&r, IFLA_BRPORT_MODE, &one, 1);
	nl_end(&r, nest);
	CHECK_EQ(nl_talk(&r), -EOPNOTSUPP);
	((struct ifinfomsg *)NLMSG_DATA(&r.h))->ifi_index = if_nametoindex("br");
	CHECK_EQ(nl_talk(&r), -EOPNOTSUPP);
	((struct ifinfomsg *)NLMSG_DATA(&r.h))->ifi_index = 4711;
	CHECK_EQ(nl_talk(&r), -ENODEV);
	CHECK_EQ(slave_set("pa", IFLA_BRPORT_MODE, &one, 1), -EOPNOTSUPP);
	CHECK_EQ(slave_set("br", IFLA_BRPORT_MODE, &one, 1), -EOPNOTSUPP);
	CHECK_EQ(port_set("a", IFLA_BRPORT_MODE, NULL, 0), -ERANGE);
	CHECK_EQ(port_set("a", IFLA_BRPORT_PRIORITY, &one, 1), -ERANGE);
	CHECK_EQ(port_set("a", IFLA_BRPORT_COST, &state, 2), -ERANGE);
	CHECK_EQ(slave_set("a", IFLA_BRPORT_MODE, NULL, 0), -ERANGE);
	CHECK_EQ(slave_get("a", IFLA_BRPORT_MODE), 0);
	/* Nothing to do. */
	i.ifi_index = if_nametoindex("a");
	nl_init(&r, RTM_SETLINK, 0, &i, sizeof i);
	CHECK_EQ(nl_talk(&r), 0);
	/* As old programs for the spanning tree do: the state alone. */
	nl_attr(&r, IFLA_PROTINFO, "\1", 1);
	CHECK_EQ(nl_talk(&r), 0);
	CHECK_EQ(slave_get("a", IFLA_BRPORT_STATE), BR_STATE_LISTENING);
	nl_init(&r, RTM_SETLINK, 0, &i, sizeof i);
	nl_attr(&r, IFLA_PROTINFO, NULL, 0);
	CHECK_EQ(nl_talk(&r), -EINVAL);
	/* IFLA_AF_SPEC says whose setting it is: BRIDGE_FLAGS_SELF is the device's, which has none. */
	for (uint16_t whose = BRIDGE_FLAGS_MASTER; whose <= BRIDGE_FLAGS_SELF; whose++) {
		nl_init(&r, RTM_SETLINK, 0, &i, sizeof i);
		nest = nl_attr(&r, IFLA_PROTINFO | NLA_F_NESTED, NULL, 0);
		nl_attr(&r, IFLA_BRPORT_MODE, &one, 1);
		nl_end(&r, nest);
		nest = nl_attr(&r, IFLA_AF_SPEC, NULL, 0);
		nl_attr(&r, IFLA_BRIDGE_FLAGS, &whose, 2);
		nl_end(&r, nest);
		CHECK_EQ(nl_talk(&r), whose == BRIDGE_FLAGS_MASTER ? 0 : -EOPNOTSUPP);
	}
	CHECK_EQ(slave_get("a", IFLA_BRPORT_MODE), 1);
	JOIN(SPAWN({
		CHECK_OK(unshare(CLONE_NEWUSER));
		CHECK_EQ(set8("a", IFLA_BRPORT_MODE, 0), -EPERM);
	}));
}

TEST(changes_are_told)
{
	bridged();
	struct sockaddr_nl a = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
	int fd = nl_open();
	CHECK_OK(bind(fd, (void *)&a, sizeof a));
	CHECK_EQ(set8("a", IFLA_BRPORT_ISOLATED, 1), 0);
	CHECK_OK(recv(fd, buf, sizeof buf, 0));
	struct nlmsghdr *h = (void *)buf;
	struct ifinfomsg *m = NLMSG_DATA(h);
	CHECK_EQ(h->nlmsg_type, RTM_NEWLINK);
	CHECK_EQ(m->ifi_family, AF_BRIDGE);
	CHECK_EQ(m->ifi_index, (int)if_nametoindex("a"));
	CHECK_EQ(number(inside(find(IFLA_RTA(m), IFLA_PAYLOAD(h), IFLA_PROTINFO), IFLA_BRPORT_ISOLATED)), 1);
}

/* The same as files. */
static int file_set(const char *port, const char *name, const char *value)
{
	char path[128];
	snprintf(path, sizeof path, "s/class/net/%s/brport/%s", port, name);
	int fd = CHECK_OK(open(path, O_WRONLY));
	int n = write(fd, value, strlen(value)), error = n < 0 ? -errno : 0;
	close(fd);
	return error;
}

static const char *file_get(const char *port, const char *name)
{
	static char value[64];
	char path[128];
	snprintf(path, sizeof path, "s/class/net/%s/brport/%s", port, name);
	int fd = CHECK_OK(open(path, O_RDONLY));
	ssize_t n = CHECK_OK(read(fd, value, sizeof value - 1));
	value[n] = 0;
	close(fd);
	return value;
}

#define FILE_IS(port, name, value) CHECK(!strcmp(file_get(port, name), value "\n"))

TEST(settings_are_files_too)
{
	static const struct {
		const char *name;
		int attr;
	} flags[] = {
		{ "hairpin_mode", IFLA_BRPORT_MODE },	    { "learning", IFLA_BRPORT_LEARNING },
		{ "unicast_flood", IFLA_BRPORT_UNICAST_FLOOD }, { "multicast_flood", IFLA_BRPORT_MCAST_FLOOD },
		{ "broadcast_flood", IFLA_BRPORT_BCAST_FLOOD }, { "proxyarp", IFLA_BRPORT_PROXYARP },
		{ "proxyarp_wifi", IFLA_BRPORT_PROXYARP_WIFI }, { "isolated", IFLA_BRPORT_ISOLATED },
	};
	bridged();
	CHECK_OK(unshare(CLONE_NEWNS));
	CHECK_OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	CHECK_OK(mkdir("s", 0755));
	CHECK_OK(mount("s", "s", "sysfs", 0, NULL));
	for (size_t n = 0; n < sizeof flags / sizeof *flags; n++) {
		int was = slave_get("a", flags[n].attr);
		CHECK_EQ(file_get("a", flags[n].name)[0], '0' + was);
		CHECK_EQ(file_set("a", flags[n].name, was ? "0" : "1"), 0);
		CHECK_EQ(slave_get("a", flags[n].attr), !was);
		CHECK_EQ(file_get("a", flags[n].name)[0], '0' + !was);
		CHECK_EQ(file_set("a", flags[n].name, "x"), -EINVAL);
		CHECK_EQ(file_set("a", flags[n].name, was ? "1" : "0"), 0);
	}
	CHECK_EQ(file_set("a", "priority", "64"), -ERANGE);
	CHECK_EQ(file_set("a", "priority", "0x10"), 0);
	FILE_IS("a", "priority", "16");
	FILE_IS("a", "port_id", "0x4001");
	CHECK_EQ(file_set("a", "path_cost", "0"), -ERANGE);
	CHECK_EQ(file_set("a", "path_cost", "7"), 0);
	FILE_IS("a", "path_cost", "7");
	CHECK_EQ(file_set("a", "group_fwd_mask", "2"), -EINVAL);
	CHECK_EQ(file_set("a", "group_fwd_mask", "16384"), 0);
	FILE_IS("a", "group_fwd_mask", "0x4000");
	FILE_IS("a", "state", "3");
	FILE_IS("a", "change_ack", "0");
	FILE_IS("a", "designated_cost", "0");
	FILE_IS("a", "designated_port", "16385");
	CHECK_EQ(strlen(file_get("a", "designated_root")), 18);
	CHECK_EQ(file_set("a", "flush", "1"), 0);
	CHECK_OK(umount("s"));
	CHECK_OK(rmdir("s"));
}

/* Whether the device has a link-local address. */
static int has_link_local(const char *name)
{
	char line[128], addr[33], dev[32];
	int found = 0;
	FILE *f = fopen("/proc/thread-self/net/if_inet6", "r");
	CHECK(f != NULL);
	while (fgets(line, sizeof line, f))
		if (sscanf(line, "%32s %*x %*x %*x %*x %31s", addr, dev) == 2 && !strcmp(dev, name) &&
		    !strncmp(addr, "fe80", 4))
			found = 1;
	fclose(f);
	return found;
}

TEST(a_port_has_an_address_of_its_link)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	CHECK_EQ(nl_link_add("bridge", "br", 0), 0);
	CHECK_EQ(nl_veth_add("a", "x", -1), 0);
	CHECK_EQ(nl_veth_add("b", "y", -1), 0);
	CHECK_EQ(nl_link_set("a", IFLA_MASTER, if_nametoindex("br")), 0);
	const char *all[] = { "x", "y", "a", "b", "br" };
	for (int i = 0; i < 5; i++)
		CHECK_EQ(nl_link_up(all[i], 1), 0);
	WAIT_FOR(has_link_local("a") && has_link_local("b") && has_link_local("br"));
	/* It keeps it when it becomes a port, and when it is none any more. */
	CHECK_EQ(nl_link_set("b", IFLA_MASTER, if_nametoindex("br")), 0);
	CHECK(has_link_local("b"));
	CHECK_EQ(nl_link_set("b", IFLA_MASTER, 0), 0);
	CHECK(has_link_local("b"));
	CHECK_EQ(nl_link_set("a", IFLA_MASTER, 0), 0);
	CHECK(has_link_local("a"));
}
