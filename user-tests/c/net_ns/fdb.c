/*
 * The forwarding database of a bridge (bridge(8), "fdb"): entries that programs make, those that are the bridge's
 * own, what is learnt, and who hears of it.
 */
#include "nl.h"
#include <fcntl.h>
#include <linux/if_packet.h>
#include <linux/neighbour.h>
#include <net/ethernet.h>
#include <sys/mount.h>
#include <sys/stat.h>

/* linux/if_bridge.h does not go together with the C library's headers. */
enum { BR_STATE_DISABLED, BR_STATE_LISTENING, BR_STATE_LEARNING, BR_STATE_FORWARDING };

#define PROTO 0x88b5
/* Every port and bridge is in this VLAN, though nobody filters. */
#define PVID 1
#define MASTER NTF_MASTER
#define SELF NTF_SELF
#define NEW NLM_F_CREATE | NLM_F_EXCL

static const uint8_t ALL[6] = { 255, 255, 255, 255, 255, 255 };
/* Stations that may be behind a port. */
#define STATION(n) ((const uint8_t[6]){ 2, 0, 0, 0, 0, n })
/* What the ports have. */
#define OWN(n) ((const uint8_t[6]){ 2, 0, 0, 0, 1, n })

static const char *const ports[] = { "a", "b", "c" };
static const char *const ends[] = { "pa", "pb", "pc", "br" };
enum { A = 1, B = 2, C = 4, BR = 8 };
static int fds[4];
static char said[256];

/* Sends a request; its errno, and the kernel's words in "said". */
static int ask(struct nl_req *r)
{
	char buf[16384];
	int on = 1, fd = nl_open();
	CHECK_OK(setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on));
	CHECK_OK(setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on));
	CHECK_EQ(send(fd, r, r->h.nlmsg_len, 0), (ssize_t)r->h.nlmsg_len);
	ssize_t n = CHECK_OK(recv(fd, buf, sizeof buf, 0));
	close(fd);
	struct nlmsghdr *h = (void *)buf;
	CHECK(NLMSG_OK(h, n));
	CHECK_EQ(h->nlmsg_type, NLMSG_ERROR);
	struct nlmsgerr *e = NLMSG_DATA(h);
	said[0] = 0;
	struct rtattr *a = (void *)(e + 1);
	int left = h->nlmsg_len - NLMSG_LENGTH(sizeof *e);
	for (; RTA_OK(a, left); a = RTA_NEXT(a, left))
		if ((a->rta_type & NLA_TYPE_MASK) == NLMSGERR_ATTR_MSG)
			snprintf(said, sizeof said, "%s", (char *)RTA_DATA(a));
	return e->error;
}

#define ASK(r, error, text)                                                                                            \
	do {                                                                                                           \
		CHECK_EQ(ask(r), error);                                                                               \
		if (strcmp(said, text))                                                                                \
			printf("# said: %s\n", said);                                                                  \
		CHECK(!strcmp(said, text));                                                                            \
	} while (0)

static void begin(struct nl_req *r, int type, int how, const char *dev, int flags, int state)
{
	struct ndmsg m = {
		.ndm_family = AF_BRIDGE,
		.ndm_ifindex = dev ? if_nametoindex(dev) : 0,
		.ndm_state = state,
		.ndm_flags = flags,
	};
	nl_init(r, type, how, &m, sizeof m);
}

static void entry(struct nl_req *r, int type, int how, const char *dev, int flags, int state, const uint8_t *mac,
		  uint16_t vlan)
{
	begin(r, type, how, dev, flags, state);
	nl_attr(r, NDA_LLADDR, mac, 6);
	if (vlan)
		nl_attr(r, NDA_VLAN, &vlan, 2);
}

static int fdb_vlan(int type, int how, const char *dev, int flags, int state, const uint8_t *mac, uint16_t vlan)
{
	struct nl_req r;
	entry(&r, type, how, dev, flags, state, mac, vlan);
	return ask(&r);
}

static int add(int how, const char *dev, int flags, int state, const uint8_t *mac)
{
	return fdb_vlan(RTM_NEWNEIGH, how, dev, flags, state, mac, 0);
}

static int del(const char *dev, int flags, const uint8_t *mac)
{
	return fdb_vlan(RTM_DELNEIGH, 0, dev, flags, NUD_PERMANENT, mac, 0);
}

/* What a message tells. */
struct told {
	uint8_t mac[6];
	int type, dev, state, flags, master, vlan, notify;
	/* Hundredths of a second; -1: not told. */
	long used, updated;
};

static void parse(struct nlmsghdr *h, struct told *t)
{
	struct ndmsg *m = NLMSG_DATA(h);
	struct rtattr *a = (void *)((char *)m + NLMSG_ALIGN(sizeof *m));
	int left = NLMSG_PAYLOAD(h, sizeof *m);
	*t = (struct told){ .type = h->nlmsg_type, .dev = m->ndm_ifindex, .used = -1, .updated = -1 };
	t->state = m->ndm_state, t->flags = m->ndm_flags;
	CHECK_EQ(m->ndm_family, AF_BRIDGE);
	CHECK_EQ(m->ndm_type, 0);
	for (; RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		struct nda_cacheinfo *c = RTA_DATA(a);
		switch (a->rta_type & NLA_TYPE_MASK) {
		case NDA_LLADDR:
			CHECK_EQ(RTA_PAYLOAD(a), 6);
			memcpy(t->mac, RTA_DATA(a), 6);
			break;
		case NDA_MASTER:
			t->master = *(int *)RTA_DATA(a);
			break;
		case NDA_VLAN:
			t->vlan = *(uint16_t *)RTA_DATA(a);
			break;
		case NDA_CACHEINFO:
			CHECK_EQ(RTA_PAYLOAD(a), sizeof *c);
			CHECK_EQ(c->ndm_confirmed, 0);
			CHECK_EQ(c->ndm_refcnt, 0);
			t->used = c->ndm_used, t->updated = c->ndm_updated;
			break;
		case NDA_FDB_EXT_ATTRS:
			a = RTA_DATA(a);
			CHECK_EQ(a->rta_type, NFEA_ACTIVITY_NOTIFY);
			t->notify = *(uint8_t *)RTA_DATA(a);
			left = 0;
			break;
		}
	}
}

static struct told list[512];

/* Dumps what belongs to a bridge or a device, or all; how many there are, or an errno. */
static int dump(const char *bridge, const char *dev)
{
	static char buf[65536];
	struct ndmsg m = { .ndm_family = AF_BRIDGE };
	struct nl_req r;
	int on = 1, count = 0, fd = nl_open();
	CHECK_OK(setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on));
	nl_init(&r, RTM_GETNEIGH, 0, &m, sizeof m);
	r.h.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	if (bridge)
		nl_u32(&r, NDA_MASTER, if_nametoindex(bridge));
	if (dev)
		nl_u32(&r, NDA_IFINDEX, if_nametoindex(dev));
	CHECK_EQ(send(fd, &r, r.h.nlmsg_len, 0), (ssize_t)r.h.nlmsg_len);
	for (;;) {
		int n = CHECK_OK(recv(fd, buf, sizeof buf, 0));
		for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			if (h->nlmsg_type == NLMSG_DONE) {
				close(fd);
				return count;
			}
			CHECK_EQ(h->nlmsg_type, RTM_NEWNEIGH);
			CHECK(h->nlmsg_flags & NLM_F_MULTI);
			CHECK(count < 512);
			parse(h, &list[count++]);
		}
	}
}

static struct told *look(const uint8_t *mac, int vlan)
{
	int count = dump(NULL, NULL);
	for (int n = 0; n < count; n++)
		if (!memcmp(list[n].mac, mac, 6) && list[n].vlan == vlan && !(list[n].flags & SELF))
			return &list[n];
	return NULL;
}

/* The entry is there, on this device, in this state and with these flags. */
#define IS(mac, vlan, on, in, with)                                                                                    \
	do {                                                                                                           \
		struct told *t = look(mac, vlan);                                                                      \
		CHECK(t);                                                                                              \
		CHECK_EQ(t->dev, if_nametoindex(on));                                                                  \
		CHECK_EQ(t->state, in);                                                                                \
		CHECK_EQ(t->flags, with);                                                                              \
		CHECK_EQ(t->master, if_nametoindex("br"));                                                             \
		CHECK(t->used >= 0 && t->updated >= 0);                                                                \
	} while (0)
#define NONE(mac, vlan) CHECK(!look(mac, vlan))

static int set_mac(const char *dev, const uint8_t *mac)
{
	struct ifinfomsg i = { .ifi_index = if_nametoindex(dev) };
	struct nl_req r;
	nl_init(&r, RTM_NEWLINK, 0, &i, sizeof i);
	nl_attr(&r, IFLA_ADDRESS, mac, 6);
	return nl_talk(&r);
}

static const uint8_t *mac_of(const char *dev)
{
	static struct ifreq q;
	int fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	snprintf(q.ifr_name, sizeof q.ifr_name, "%s", dev);
	CHECK_OK(ioctl(fd, SIOCGIFHWADDR, &q));
	close(fd);
	return (uint8_t *)q.ifr_hwaddr.sa_data;
}

static int join(const char *port, const char *bridge)
{
	return nl_link_set(port, IFLA_MASTER, bridge ? if_nametoindex(bridge) : 0);
}

/* A bridge with ports a, b and c, whose addresses are known, in a namespace of its own. Nothing is up. */
static void wired(void)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	CHECK_EQ(nl_link_add("bridge", "br", 0), 0);
	for (int n = 0; n < 3; n++) {
		CHECK_EQ(nl_veth_add(ports[n], ends[n], -1), 0);
		CHECK_EQ(set_mac(ports[n], OWN(n + 1)), 0);
		CHECK_EQ(join(ports[n], "br"), 0);
	}
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

/* How the bridge itself was last addressed (PACKET_*). */
static int pkttype;

static int arrived(uint32_t serial)
{
	uint8_t f[2048];
	int mask = 0;
	for (int n = 0; n < 4; n++) {
		struct sockaddr_ll from;
		socklen_t len = sizeof from;
		while (recvfrom(fds[n], f, sizeof f, MSG_DONTWAIT, (void *)&from, &len) >= 60)
			if (!memcmp(f + 14, &serial, 4) && from.sll_pkttype != PACKET_OUTGOING) {
				mask |= 1 << n;
				if (n == 3)
					pkttype = from.sll_pkttype;
			}
	}
	return mask;
}

static int reach(int from, const uint8_t *to, const uint8_t *src, int expect)
{
	static uint32_t serial = 1000;
	int mask = 0;
	emit(__builtin_ctz(from), to, src, ++serial);
	for (int n = 0; n < 2000 && (mask & expect) != expect; n++) {
		mask |= arrived(serial);
		usleep(1000);
	}
	usleep(30000);
	return mask | arrived(serial);
}

/* A frame from one end gets to these ends, and to no other. */
#define REACH(from, to, src, expect) CHECK_EQ(reach(from, to, src, expect), expect)

/* The same with everything up. */
static void bridged(void)
{
	wired();
	for (int n = 0; n < 3; n++) {
		CHECK_EQ(nl_link_up(ends[n], 1), 0);
		CHECK_EQ(nl_link_up(ports[n], 1), 0);
	}
	CHECK_EQ(nl_link_up("br", 1), 0);
	for (int n = 0; n < 4; n++) {
		struct sockaddr_ll a = { .sll_family = AF_PACKET, .sll_protocol = htons(PROTO) };
		a.sll_ifindex = if_nametoindex(ends[n]);
		fds[n] = CHECK_OK(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
		CHECK_OK(bind(fds[n], (void *)&a, sizeof a));
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

TEST(a_bridge_knows_its_own_addresses)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	CHECK_EQ(nl_link_add("bridge", "br", 0), 0);
	uint8_t first[6];
	memcpy(first, mac_of("br"), 6);
	IS(first, 0, "br", NUD_PERMANENT, 0);
	IS(first, PVID, "br", NUD_PERMANENT, 0);
	CHECK_EQ(set_mac("br", OWN(9)), 0);
	NONE(first, 0);
	NONE(first, PVID);
	IS(OWN(9), 0, "br", NUD_PERMANENT, 0);
	IS(OWN(9), PVID, "br", NUD_PERMANENT, 0);
}

TEST(every_port_has_an_entry_of_its_own)
{
	wired();
	CHECK(!memcmp(mac_of("br"), OWN(1), 6));
	for (int n = 0; n < 3; n++) {
		IS(OWN(n + 1), 0, ports[n], NUD_PERMANENT, 0);
		IS(OWN(n + 1), PVID, ports[n], NUD_PERMANENT, 0);
	}
	CHECK_EQ(dump("br", "a"), dump(NULL, "a"));
	/* The address of the bridge is the next port's. */
	CHECK_EQ(join("a", NULL), 0);
	NONE(OWN(1), 0);
	NONE(OWN(1), PVID);
	CHECK(!memcmp(mac_of("br"), OWN(2), 6));
	/* A port changes its address. */
	CHECK_EQ(set_mac("b", OWN(12)), 0);
	NONE(OWN(2), 0);
	NONE(OWN(2), PVID);
	IS(OWN(12), 0, "b", NUD_PERMANENT, 0);
	IS(OWN(12), PVID, "b", NUD_PERMANENT, 0);
	CHECK(!memcmp(mac_of("br"), OWN(3), 6));
	CHECK_EQ(join("b", NULL), 0);
	CHECK_EQ(join("c", NULL), 0);
	NONE(OWN(12), 0);
	NONE(OWN(3), 0);
	/* Nobody gives the bridge one. */
	CHECK(!memcmp(mac_of("br"), "\0\0\0\0\0\0", 6));
	for (int n = dump("br", NULL) - 1; n >= 0; n--)
		CHECK(list[n].flags & SELF);
}

TEST(an_address_of_several_stays)
{
	wired();
	/* The first one has it; then another, and at last the bridge. */
	CHECK_EQ(set_mac("br", OWN(1)), 0);
	CHECK_EQ(set_mac("b", OWN(1)), 0);
	NONE(OWN(2), 0);
	IS(OWN(1), 0, "a", NUD_PERMANENT, 0);
	CHECK_EQ(join("a", NULL), 0);
	IS(OWN(1), 0, "b", NUD_PERMANENT, 0);
	CHECK_EQ(set_mac("b", OWN(2)), 0);
	IS(OWN(1), 0, "br", NUD_PERMANENT, 0);
	IS(OWN(1), PVID, "br", NUD_PERMANENT, 0);
	IS(OWN(2), 0, "b", NUD_PERMANENT, 0);
	CHECK_EQ(set_mac("br", OWN(3)), 0);
	NONE(OWN(1), 0);
	IS(OWN(3), 0, "c", NUD_PERMANENT, 0);
	CHECK_EQ(nl_link_del("c"), 0);
	IS(OWN(3), 0, "br", NUD_PERMANENT, 0);
}

TEST(programs_make_entries)
{
	bridged();
	CHECK_EQ(add(NEW, "a", MASTER, NUD_PERMANENT, STATION(1)), 0);
	IS(STATION(1), 0, "a", NUD_PERMANENT, 0);
	IS(STATION(1), PVID, "a", NUD_PERMANENT, 0);
	CHECK_EQ(add(NEW, "a", MASTER, NUD_NOARP, STATION(2)), 0);
	IS(STATION(2), 0, "a", NUD_NOARP, 0);
	IS(STATION(2), PVID, "a", NUD_NOARP, 0);
	CHECK_EQ(add(NEW, "b", 0, NUD_REACHABLE, STATION(3)), 0);
	IS(STATION(3), 0, "b", NUD_REACHABLE, 0);
	CHECK_EQ(add(NEW, "a", MASTER | NTF_STICKY, NUD_NOARP, STATION(4)), 0);
	IS(STATION(4), 0, "a", NUD_NOARP, NTF_STICKY);
	CHECK_EQ(add(NEW, "a", MASTER | NTF_EXT_LEARNED, NUD_REACHABLE, STATION(5)), 0);
	IS(STATION(5), 0, "a", NUD_REACHABLE, NTF_EXT_LEARNED);
	/* As if a frame had come. */
	CHECK_EQ(add(0, "c", MASTER | NTF_USE, NUD_REACHABLE, STATION(6)), 0);
	IS(STATION(6), 0, "c", NUD_REACHABLE, 0);
	/* An address of the bridge. */
	CHECK_EQ(add(NEW, "br", SELF, NUD_PERMANENT, STATION(7)), 0);
	IS(STATION(7), 0, "br", NUD_PERMANENT, 0);
	IS(STATION(7), PVID, "br", NUD_PERMANENT, 0);
	/* A VLAN of its own. */
	CHECK_EQ(fdb_vlan(RTM_NEWNEIGH, NEW, "a", MASTER, NUD_NOARP, STATION(8), PVID), 0);
	NONE(STATION(8), 0);
	IS(STATION(8), PVID, "a", NUD_NOARP, 0);
	/* There already, or not at all. */
	CHECK_EQ(add(NEW, "a", MASTER, NUD_NOARP, STATION(2)), -EEXIST);
	CHECK_EQ(add(NLM_F_REPLACE, "a", MASTER, NUD_NOARP, STATION(9)), -ENOENT);
	CHECK_EQ(add(0, "a", MASTER, NUD_NOARP, STATION(9)), -ENOENT);
	NONE(STATION(9), 0);
	/* It moves and changes. */
	CHECK_EQ(add(NLM_F_CREATE | NLM_F_REPLACE, "b", MASTER, NUD_PERMANENT, STATION(2)), 0);
	IS(STATION(2), 0, "b", NUD_PERMANENT, 0);
	CHECK_EQ(add(NLM_F_CREATE | NLM_F_APPEND, "b", MASTER, NUD_REACHABLE, STATION(2)), 0);
	IS(STATION(2), 0, "b", NUD_REACHABLE, 0);
	CHECK_EQ(add(0, "b", MASTER | NTF_STICKY, NUD_REACHABLE, STATION(2)), 0);
	IS(STATION(2), 0, "b", NUD_REACHABLE, NTF_STICKY);
	CHECK_EQ(add(0, "b", MASTER, NUD_REACHABLE, STATION(2)), 0);
	IS(STATION(2), 0, "b", NUD_REACHABLE, 0);
	/* Groups are addresses too. */
	CHECK_EQ(add(NEW, "a", MASTER, NUD_NOARP, (uint8_t[]){ 3, 0, 0, 0, 0, 1 }), 0);
}

TEST(programs_remove_entries)
{
	bridged();
	CHECK_EQ(add(NEW, "a", MASTER, NUD_NOARP, STATION(1)), 0);
	CHECK_EQ(del("b", MASTER, STATION(1)), -ENOENT);
	CHECK_EQ(del("a", MASTER, STATION(2)), -ENOENT);
	CHECK_EQ(del("br", SELF, STATION(1)), -ENOENT);
	CHECK_EQ(del("a", MASTER, STATION(1)), 0);
	NONE(STATION(1), 0);
	NONE(STATION(1), PVID);
	CHECK_EQ(del("a", MASTER, STATION(1)), -ENOENT);
	/* One of both is enough. */
	CHECK_EQ(add(NEW, "a", 0, NUD_REACHABLE, STATION(1)), 0);
	CHECK_EQ(fdb_vlan(RTM_DELNEIGH, 0, "a", 0, 0, STATION(1), PVID), 0);
	IS(STATION(1), 0, "a", NUD_REACHABLE, 0);
	CHECK_EQ(del("a", 0, STATION(1)), 0);
	/* What was learnt goes too, and what is the port's own. */
	REACH(A, ALL, STATION(2), B | C | BR);
	IS(STATION(2), 0, "a", NUD_REACHABLE, 0);
	CHECK_EQ(del("a", MASTER, STATION(2)), 0);
	NONE(STATION(2), 0);
	CHECK_EQ(del("c", MASTER, OWN(3)), 0);
	NONE(OWN(3), 0);
	CHECK_EQ(add(NEW, "br", SELF, NUD_PERMANENT, STATION(3)), 0);
	CHECK_EQ(del("br", SELF, STATION(3)), 0);
	NONE(STATION(3), 0);
}

TEST(wrong_requests_to_add)
{
	struct nl_req r;
	uint16_t vlan = 0;
	wired();
	entry(&r, RTM_NEWNEIGH, NEW, NULL, MASTER, NUD_NOARP, STATION(1), 0);
	ASK(&r, -EINVAL, "invalid ifindex");
	((struct ndmsg *)NLMSG_DATA(&r.h))->ndm_ifindex = 4711;
	ASK(&r, -ENODEV, "unknown ifindex");
	begin(&r, RTM_NEWNEIGH, NEW, "a", MASTER, NUD_NOARP);
	ASK(&r, -EINVAL, "invalid address");
	nl_attr(&r, NDA_LLADDR, STATION(1), 5);
	ASK(&r, -EINVAL, "invalid address");
	entry(&r, RTM_NEWNEIGH, NEW, "lo", SELF, NUD_PERMANENT, STATION(1), 0);
	ASK(&r, -EINVAL, "FDB add only supported for Ethernet devices");
	entry(&r, RTM_NEWNEIGH, NEW, "a", MASTER, NUD_NOARP, STATION(1), 0);
	nl_attr(&r, NDA_VLAN, &vlan, 1);
	ASK(&r, -EINVAL, "invalid vlan attribute size");
	entry(&r, RTM_NEWNEIGH, NEW, "a", MASTER, NUD_NOARP, STATION(1), 0);
	nl_attr(&r, NDA_VLAN, &vlan, 2);
	ASK(&r, -EINVAL, "invalid vlan id");
	entry(&r, RTM_NEWNEIGH, NEW, "a", MASTER, NUD_NOARP, STATION(1), 4095);
	ASK(&r, -EINVAL, "invalid vlan id");
	entry(&r, RTM_NEWNEIGH, NEW, "a", MASTER, NUD_NOARP, STATION(1), 7);
	ASK(&r, -EINVAL, "");
	/* Neither a port nor the device itself. */
	CHECK_EQ(add(NEW, "pa", MASTER, NUD_NOARP, STATION(1)), -EOPNOTSUPP);
	CHECK_EQ(add(NEW, "pa", 0, NUD_NOARP, STATION(1)), -EOPNOTSUPP);
	CHECK_EQ(add(NEW, "br", MASTER, NUD_PERMANENT, STATION(1)), -EOPNOTSUPP);
	CHECK_EQ(add(NEW, "br", 0, NUD_PERMANENT, STATION(1)), -EOPNOTSUPP);
	/* States and flags. */
	CHECK_EQ(add(NEW, "a", MASTER, 0, STATION(1)), -EINVAL);
	CHECK_EQ(add(NEW, "a", MASTER, NUD_STALE, STATION(1)), -EINVAL);
	CHECK_EQ(add(NEW, "a", MASTER, NUD_NOARP, (uint8_t[6]){ 0 }), -EINVAL);
	CHECK_EQ(add(NEW, "a", MASTER | NTF_STICKY, NUD_PERMANENT, STATION(1)), -EINVAL);
	CHECK_EQ(add(NEW, "br", SELF, NUD_NOARP, STATION(1)), -EINVAL);
	CHECK_EQ(add(NEW, "br", SELF | NTF_USE, NUD_PERMANENT, STATION(1)), -EINVAL);
	entry(&r, RTM_NEWNEIGH, NEW, "br", SELF | NTF_EXT_LEARNED, NUD_REACHABLE, STATION(1), 0);
	ASK(&r, -EINVAL, "bridge: FDB entry towards bridge must be permanent");
	/* The port is down: nobody can be there for a while. */
	CHECK_EQ(add(NEW, "a", MASTER, NUD_REACHABLE, STATION(1)), -EPERM);
	CHECK_EQ(add(0, "a", MASTER | NTF_USE, NUD_REACHABLE, STATION(1)), 0);
	NONE(STATION(1), 0);
	CHECK_EQ(add(NEW, "a", MASTER, NUD_NOARP, STATION(1)), 0);
	/* The first fails, the second is not tried. */
	CHECK_EQ(add(NEW, "a", MASTER | SELF, NUD_PERMANENT, STATION(1)), -EEXIST);
	JOIN(SPAWN({
		CHECK_OK(unshare(CLONE_NEWUSER));
		CHECK_EQ(add(NEW, "a", MASTER, NUD_NOARP, STATION(2)), -EPERM);
		CHECK_EQ(del("a", MASTER, STATION(1)), -EPERM);
		IS(STATION(1), 0, "a", NUD_NOARP, 0);
	}));
}

TEST(wrong_requests_to_remove)
{
	struct nl_req r;
	wired();
	entry(&r, RTM_DELNEIGH, 0, NULL, MASTER, 0, STATION(1), 0);
	ASK(&r, -EINVAL, "invalid ifindex");
	((struct ndmsg *)NLMSG_DATA(&r.h))->ndm_ifindex = 4711;
	ASK(&r, -ENODEV, "unknown ifindex");
	begin(&r, RTM_DELNEIGH, 0, "a", MASTER, 0);
	ASK(&r, -EINVAL, "invalid address");
	entry(&r, RTM_DELNEIGH, 0, "lo", SELF, NUD_PERMANENT, STATION(1), 0);
	ASK(&r, -EINVAL, "FDB delete only supported for Ethernet devices");
	entry(&r, RTM_DELNEIGH, 0, "a", MASTER, 0, STATION(1), 4095);
	ASK(&r, -EINVAL, "invalid vlan id");
	CHECK_EQ(fdb_vlan(RTM_DELNEIGH, 0, "a", MASTER, 0, STATION(1), 7), -EINVAL);
	CHECK_EQ(del("pa", MASTER, STATION(1)), -EOPNOTSUPP);
	CHECK_EQ(del("br", 0, STATION(1)), -EOPNOTSUPP);
	/* Neighbours of IP are not removed many at once. */
	struct ndmsg m = { .ndm_family = AF_INET };
	nl_init(&r, RTM_DELNEIGH, NLM_F_BULK, &m, sizeof m);
	ASK(&r, -EOPNOTSUPP, "Bulk delete is not supported");
}

static int count_self(const char *dev, const uint8_t *mac)
{
	int found = 0;
	for (int n = dump(NULL, dev) - 1; n >= 0; n--)
		if (!memcmp(list[n].mac, mac, 6) && list[n].flags == SELF) {
			CHECK_EQ(list[n].state, NUD_PERMANENT);
			CHECK_EQ(list[n].master, 0);
			CHECK_EQ(list[n].updated, -1);
			found++;
		}
	return found;
}

static long promiscuity(const char *dev)
{
	struct ifinfomsg i = { .ifi_index = if_nametoindex(dev) };
	static char buf[16384];
	struct nl_req r;
	int fd = nl_open();
	nl_init(&r, RTM_GETLINK, 0, &i, sizeof i);
	r.h.nlmsg_flags = NLM_F_REQUEST;
	CHECK_EQ(send(fd, &r, r.h.nlmsg_len, 0), (ssize_t)r.h.nlmsg_len);
	CHECK_OK(recv(fd, buf, sizeof buf, 0));
	close(fd);
	struct nlmsghdr *h = (void *)buf;
	struct rtattr *a = IFLA_RTA(NLMSG_DATA(h));
	int left = IFLA_PAYLOAD(h);
	for (; RTA_OK(a, left); a = RTA_NEXT(a, left))
		if (a->rta_type == IFLA_PROMISCUITY)
			return *(uint32_t *)RTA_DATA(a);
	return -1;
}

TEST(devices_have_addresses_of_their_own)
{
	static const uint8_t group[6] = { 3, 0, 0, 0, 0, 1 };
	CHECK_OK(unshare(CLONE_NEWNET));
	CHECK_EQ(nl_veth_add("v", "pv", -1), 0);
	CHECK_EQ(nl_link_add("dummy", "d", 0), 0);
	CHECK_EQ(add(NEW, "v", SELF, NUD_PERMANENT, STATION(1)), 0);
	CHECK_EQ(count_self("v", STATION(1)), 1);
	CHECK_EQ(count_self("d", STATION(1)), 0);
	CHECK_EQ(add(NEW, "v", SELF, NUD_PERMANENT, STATION(1)), -EEXIST);
	CHECK_EQ(add(NLM_F_CREATE, "v", SELF, 0, STATION(1)), 0);
	CHECK_EQ(count_self("v", STATION(1)), 1);
	CHECK_EQ(add(0, "v", SELF, NUD_PERMANENT, STATION(2)), 0);
	CHECK_EQ(add(NEW, "v", SELF, NUD_NOARP, STATION(3)), -EINVAL);
	CHECK_EQ(add(NEW, "v", SELF, NUD_REACHABLE, STATION(3)), -EINVAL);
	CHECK_EQ(fdb_vlan(RTM_NEWNEIGH, NEW, "v", SELF, NUD_PERMANENT, STATION(3), 1), -EINVAL);
	CHECK_EQ(add(NEW, "v", SELF, NUD_PERMANENT, group), 0);
	CHECK_EQ(add(NEW, "v", SELF, NUD_PERMANENT, group), -EEXIST);
	CHECK_EQ(count_self("v", group), 1);
	CHECK_EQ(add(NEW, "d", SELF, NUD_PERMANENT, STATION(1)), 0);
	CHECK_EQ(count_self("d", STATION(1)), 1);
	/* The device looks at everything for them while it is up. */
	CHECK_EQ(promiscuity("v"), 0);
	CHECK_EQ(nl_link_up("v", 1), 0);
	CHECK_EQ(promiscuity("v"), 1);
	CHECK_EQ(fdb_vlan(RTM_DELNEIGH, 0, "v", SELF, NUD_NOARP, STATION(1), 0), -EINVAL);
	CHECK_EQ(del("v", SELF, STATION(1)), 0);
	CHECK_EQ(del("v", SELF, STATION(1)), -ENOENT);
	CHECK_EQ(promiscuity("v"), 1);
	CHECK_EQ(del("v", SELF, STATION(2)), 0);
	CHECK_EQ(promiscuity("v"), 0);
	CHECK_EQ(del("v", SELF, group), 0);
	CHECK_EQ(del("v", SELF, group), -ENOENT);
	CHECK_EQ(count_self("v", group), 0);
	/* The groups of IPv6 are among them. */
	CHECK_EQ(count_self("v", (uint8_t[]){ 0x33, 0x33, 0, 0, 0, 1 }), 1);
	/* Many at once are for bridges. */
	struct nl_req r;
	begin(&r, RTM_DELNEIGH, NLM_F_BULK, "v", SELF, 0);
	CHECK_EQ(ask(&r), -EOPNOTSUPP);
}

TEST(an_entry_of_both)
{
	bridged();
	CHECK_EQ(add(NEW, "a", MASTER | SELF, NUD_PERMANENT, STATION(1)), 0);
	IS(STATION(1), 0, "a", NUD_PERMANENT, 0);
	CHECK_EQ(count_self("a", STATION(1)), 1);
	CHECK_EQ(del("a", MASTER | SELF, STATION(1)), 0);
	NONE(STATION(1), 0);
	CHECK_EQ(count_self("a", STATION(1)), 0);
}

TEST(frames_follow_entries)
{
	bridged();
	CHECK_EQ(add(NEW, "b", MASTER, NUD_NOARP, STATION(1)), 0);
	REACH(A, STATION(1), STATION(9), B);
	REACH(BR, STATION(1), STATION(8), B);
	CHECK_EQ(add(NEW, "br", SELF, NUD_PERMANENT, STATION(2)), 0);
	REACH(A, STATION(2), STATION(9), BR);
	CHECK_EQ(pkttype, PACKET_OTHERHOST);
	/* A local entry of any port is the bridge's. */
	CHECK_EQ(add(NEW, "c", MASTER, NUD_PERMANENT, STATION(3)), 0);
	REACH(A, STATION(3), STATION(9), BR);
	CHECK_EQ(pkttype, PACKET_OTHERHOST);
	REACH(B, OWN(2), STATION(9), BR);
	CHECK_EQ(pkttype, PACKET_HOST);
	REACH(B, OWN(1), STATION(9), BR);
	CHECK_EQ(pkttype, PACKET_HOST);
	REACH(B, OWN(3), STATION(9), BR);
	CHECK_EQ(pkttype, PACKET_OTHERHOST);
	/* What the bridge sends to one goes there, or nowhere. */
	REACH(BR, STATION(3), STATION(8), C);
	REACH(BR, STATION(2), STATION(8), 0);
	/* Nothing that is dynamic goes where nothing goes. */
	CHECK_EQ(nl_link_up("b", 0), 0);
	REACH(A, STATION(1), STATION(9), 0);
}

TEST(what_is_learnt_moves)
{
	bridged();
	REACH(A, ALL, STATION(1), B | C | BR);
	IS(STATION(1), 0, "a", NUD_REACHABLE, 0);
	NONE(STATION(1), PVID);
	REACH(B, ALL, STATION(1), A | C | BR);
	IS(STATION(1), 0, "b", NUD_REACHABLE, 0);
	/* So does what is static; what is sticky or local does not. */
	CHECK_EQ(add(NEW, "a", MASTER, NUD_NOARP, STATION(2)), 0);
	REACH(B, ALL, STATION(2), A | C | BR);
	IS(STATION(2), 0, "b", NUD_NOARP, 0);
	CHECK_EQ(add(NEW, "a", MASTER | NTF_STICKY, NUD_NOARP, STATION(3)), 0);
	REACH(B, ALL, STATION(3), A | C | BR);
	IS(STATION(3), 0, "a", NUD_NOARP, NTF_STICKY);
	CHECK_EQ(add(NEW, "a", MASTER | NTF_STICKY, NUD_REACHABLE, STATION(4)), 0);
	REACH(B, ALL, STATION(4), A | C | BR);
	IS(STATION(4), 0, "a", NUD_REACHABLE, NTF_STICKY);
	CHECK_EQ(add(NEW, "a", MASTER, NUD_PERMANENT, STATION(5)), 0);
	REACH(B, ALL, STATION(5), A | C | BR);
	IS(STATION(5), 0, "a", NUD_PERMANENT, 0);
	REACH(B, ALL, OWN(1), A | C | BR);
	IS(OWN(1), 0, "a", NUD_PERMANENT, 0);
	/* What another program has learnt is learnt by the bridge when it moves. */
	CHECK_EQ(add(NEW, "a", MASTER | NTF_EXT_LEARNED, NUD_REACHABLE, STATION(6)), 0);
	REACH(A, ALL, STATION(6), B | C | BR);
	IS(STATION(6), 0, "a", NUD_REACHABLE, NTF_EXT_LEARNED);
	REACH(B, ALL, STATION(6), A | C | BR);
	IS(STATION(6), 0, "b", NUD_REACHABLE, 0);
}

static int ageing(uint32_t hundredths)
{
	struct ifinfomsg i = { .ifi_index = if_nametoindex("br") };
	struct nl_req r;
	nl_init(&r, RTM_NEWLINK, 0, &i, sizeof i);
	struct rtattr *info = nl_attr(&r, IFLA_LINKINFO, NULL, 0);
	nl_str(&r, IFLA_INFO_KIND, "bridge");
	struct rtattr *data = nl_attr(&r, IFLA_INFO_DATA, NULL, 0);
	nl_u32(&r, IFLA_BR_AGEING_TIME, hundredths);
	nl_end(&r, data);
	nl_end(&r, info);
	return nl_talk(&r);
}

TEST(entries_age)
{
	bridged();
	CHECK_EQ(add(NEW, "a", MASTER, NUD_NOARP, STATION(1)), 0);
	CHECK_EQ(add(NEW, "a", MASTER | NTF_EXT_LEARNED, NUD_REACHABLE, STATION(2)), 0);
	CHECK_EQ(add(NEW, "a", MASTER, NUD_REACHABLE, STATION(3)), 0);
	REACH(A, ALL, STATION(4), B | C | BR);
	usleep(300000);
	CHECK(look(STATION(3), 0)->updated >= 30);
	CHECK(look(STATION(4), 0)->updated >= 20);
	long used = look(STATION(4), 0)->used;
	CHECK(used >= 20);
	/* A frame to it uses it, one from it renews it. */
	REACH(B, STATION(4), STATION(5), A);
	CHECK(look(STATION(4), 0)->used < used);
	CHECK(look(STATION(4), 0)->updated >= used);
	REACH(A, ALL, STATION(3), B | C | BR);
	CHECK(look(STATION(3), 0)->updated < 30);
	CHECK_EQ(ageing(100), 0);
	WAIT_FOR(!look(STATION(3), 0));
	WAIT_FOR(!look(STATION(4), 0));
	IS(STATION(1), 0, "a", NUD_NOARP, 0);
	IS(STATION(2), 0, "a", NUD_REACHABLE, NTF_EXT_LEARNED);
	REACH(B, STATION(4), STATION(5), A | C);
	/* With no time at all nothing is learnt. */
	CHECK_EQ(ageing(0), 0);
	REACH(A, ALL, STATION(6), B | C | BR);
	NONE(STATION(6), 0);
	REACH(B, STATION(6), STATION(7), A | C);
}

TEST(a_port_takes_its_entries_along)
{
	bridged();
	CHECK_EQ(add(NEW, "a", MASTER, NUD_NOARP, STATION(1)), 0);
	CHECK_EQ(add(NEW, "a", MASTER, NUD_REACHABLE, STATION(2)), 0);
	CHECK_EQ(add(NEW, "a", MASTER, NUD_PERMANENT, STATION(3)), 0);
	CHECK_EQ(add(NEW, "a", MASTER | NTF_EXT_LEARNED, NUD_REACHABLE, STATION(4)), 0);
	/* Down, it keeps what does not age. */
	CHECK_EQ(nl_link_up("a", 0), 0);
	IS(STATION(1), 0, "a", NUD_NOARP, 0);
	NONE(STATION(2), 0);
	IS(STATION(3), 0, "a", NUD_PERMANENT, 0);
	IS(STATION(4), 0, "a", NUD_REACHABLE, NTF_EXT_LEARNED);
	CHECK_EQ(join("a", NULL), 0);
	for (int n = 1; n <= 4; n++) {
		NONE(STATION(n), 0);
		NONE(STATION(n), PVID);
	}
}

/* "brport flush", by netlink. */
static int flush_port(const char *port)
{
	struct ifinfomsg i = { .ifi_family = AF_BRIDGE, .ifi_index = if_nametoindex(port) };
	struct nl_req r;
	nl_init(&r, RTM_SETLINK, 0, &i, sizeof i);
	struct rtattr *nest = nl_attr(&r, IFLA_PROTINFO | NLA_F_NESTED, NULL, 0);
	nl_attr(&r, IFLA_BRPORT_FLUSH, NULL, 0);
	nl_end(&r, nest);
	return nl_talk(&r);
}

static int flush_bridge(void)
{
	struct ifinfomsg i = { .ifi_index = if_nametoindex("br") };
	struct nl_req r;
	nl_init(&r, RTM_NEWLINK, 0, &i, sizeof i);
	struct rtattr *info = nl_attr(&r, IFLA_LINKINFO, NULL, 0);
	nl_str(&r, IFLA_INFO_KIND, "bridge");
	struct rtattr *data = nl_attr(&r, IFLA_INFO_DATA, NULL, 0);
	nl_attr(&r, IFLA_BR_FDB_FLUSH, NULL, 0);
	nl_end(&r, data);
	nl_end(&r, info);
	return nl_talk(&r);
}

static void fill(void)
{
	CHECK_EQ(add(NEW, "a", MASTER, NUD_NOARP, STATION(1)), 0);
	CHECK_EQ(add(NLM_F_CREATE, "a", MASTER, NUD_REACHABLE, STATION(2)), 0);
	CHECK_EQ(add(NLM_F_CREATE, "b", MASTER, NUD_REACHABLE, STATION(3)), 0);
	CHECK_EQ(add(NLM_F_CREATE, "a", MASTER | NTF_EXT_LEARNED, NUD_REACHABLE, STATION(4)), 0);
	CHECK_EQ(add(NEW, "a", MASTER | NTF_STICKY, NUD_NOARP, STATION(5)), 0);
	CHECK_EQ(add(NEW, "br", SELF, NUD_PERMANENT, STATION(6)), 0);
}

TEST(old_ways_to_flush)
{
	bridged();
	fill();
	CHECK_EQ(flush_port("a"), 0);
	NONE(STATION(2), 0);
	IS(STATION(1), 0, "a", NUD_NOARP, 0);
	IS(STATION(3), 0, "b", NUD_REACHABLE, 0);
	IS(STATION(4), 0, "a", NUD_REACHABLE, NTF_EXT_LEARNED);
	CHECK_EQ(flush_bridge(), 0);
	NONE(STATION(3), 0);
	NONE(STATION(4), 0);
	IS(STATION(1), 0, "a", NUD_NOARP, 0);
	IS(STATION(5), 0, "a", NUD_NOARP, NTF_STICKY);
	IS(STATION(6), 0, "br", NUD_PERMANENT, 0);
	IS(OWN(1), 0, "a", NUD_PERMANENT, 0);
}

static void bulk(struct nl_req *r, const char *dev, int flags, int state)
{
	begin(r, RTM_DELNEIGH, NLM_F_BULK, dev, flags, state);
}

static void masks(struct nl_req *r, uint16_t state, uint8_t flags)
{
	nl_attr(r, NDA_NDM_STATE_MASK, &state, 2);
	nl_attr(r, NDA_NDM_FLAGS_MASK, &flags, 1);
}

static void restore(void)
{
	for (int n = 1; n <= 6; n++) {
		del("a", MASTER, STATION(n));
		del("b", MASTER, STATION(n));
		del("br", SELF, STATION(n));
	}
	fill();
}

TEST(entries_are_flushed_by_what_they_are)
{
	struct nl_req r;
	uint16_t vlan = PVID;
	bridged();
	fill();
	/* Those that are static but not local. */
	bulk(&r, "br", SELF, NUD_NOARP);
	masks(&r, NUD_NOARP | NUD_PERMANENT, 0);
	ASK(&r, 0, "");
	NONE(STATION(1), 0);
	NONE(STATION(1), PVID);
	NONE(STATION(5), 0);
	IS(STATION(2), 0, "a", NUD_REACHABLE, 0);
	IS(OWN(1), 0, "a", NUD_PERMANENT, 0);
	/* Those that ... */
	restore();
	bulk(&r, "br", SELF | NTF_STICKY, 0);
	masks(&r, 0, NTF_STICKY);
	ASK(&r, 0, "");
	NONE(STATION(5), 0);
	IS(STATION(1), 0, "a", NUD_NOARP, 0);
	/* ... a program made, and do not belong to ... */
	bulk(&r, "br", SELF | NTF_USE, 0);
	masks(&r, NUD_PERMANENT, NTF_USE | NTF_EXT_LEARNED);
	ASK(&r, 0, "");
	NONE(STATION(1), 0);
	NONE(STATION(2), 0);
	NONE(STATION(3), 0);
	IS(STATION(4), 0, "a", NUD_REACHABLE, NTF_EXT_LEARNED);
	IS(STATION(6), 0, "br", NUD_PERMANENT, 0);
	/* Of a port: the device, or an attribute. */
	restore();
	bulk(&r, "a", MASTER, 0);
	ASK(&r, 0, "");
	NONE(STATION(1), 0);
	NONE(STATION(4), 0);
	NONE(OWN(1), 0);
	IS(OWN(2), 0, "b", NUD_PERMANENT, 0);
	IS(STATION(3), 0, "b", NUD_REACHABLE, 0);
	bulk(&r, "br", SELF, 0);
	nl_u32(&r, NDA_IFINDEX, if_nametoindex("b"));
	masks(&r, NUD_PERMANENT, 0);
	ASK(&r, 0, "");
	NONE(STATION(3), 0);
	IS(OWN(2), 0, "b", NUD_PERMANENT, 0);
	/* Of a VLAN. */
	restore();
	bulk(&r, "br", SELF, 0);
	nl_attr(&r, NDA_VLAN, &vlan, 2);
	ASK(&r, 0, "");
	NONE(STATION(1), PVID);
	IS(STATION(1), 0, "a", NUD_NOARP, 0);
	/* Of the bridge itself. */
	bulk(&r, "br", SELF, 0);
	nl_u32(&r, NDA_IFINDEX, if_nametoindex("br"));
	ASK(&r, 0, "");
	NONE(STATION(6), 0);
	IS(STATION(1), 0, "a", NUD_NOARP, 0);
	/* All. */
	bulk(&r, "br", SELF, 0);
	ASK(&r, 0, "");
	for (int n = dump("br", NULL) - 1; n >= 0; n--)
		CHECK(list[n].flags & SELF);
}

TEST(wrong_requests_to_flush)
{
	struct nl_req r;
	uint16_t vlan = 4095;
	wired();
	CHECK_EQ(nl_link_add("bridge", "br2", 0), 0);
	CHECK_EQ(nl_link_add("dummy", "d", 0), 0);
	CHECK_EQ(join("d", "br2"), 0);
	bulk(&r, NULL, SELF, 0);
	ASK(&r, -EINVAL, "invalid ifindex");
	bulk(&r, "pa", MASTER, 0);
	CHECK_EQ(ask(&r), -EOPNOTSUPP);
	bulk(&r, "br", SELF | NTF_ROUTER, 0);
	ASK(&r, -EINVAL, "Unsupported fdb flush ndm flag bits set");
	bulk(&r, "br", SELF, NUD_REACHABLE);
	ASK(&r, -EINVAL, "Unsupported fdb flush ndm state bits set");
	bulk(&r, "br", SELF, 0);
	nl_attr(&r, NDA_VLAN, &vlan, 2);
	ASK(&r, -EINVAL, "invalid vlan id");
	bulk(&r, "br", SELF, 0);
	nl_u32(&r, NDA_IFINDEX, 4711);
	ASK(&r, -ENODEV, "bridge: Unknown flush device ifindex");
	bulk(&r, "br", SELF, 0);
	nl_u32(&r, NDA_IFINDEX, 0);
	CHECK_EQ(ask(&r), -ERANGE);
	bulk(&r, "br", SELF, 0);
	nl_u32(&r, NDA_IFINDEX, if_nametoindex("pa"));
	ASK(&r, -EINVAL, "bridge: Flush device is not a bridge or bridge port");
	bulk(&r, "br", SELF, 0);
	nl_u32(&r, NDA_IFINDEX, if_nametoindex("br2"));
	ASK(&r, -EINVAL, "bridge: Flush bridge device does not match target bridge device");
	bulk(&r, "br", SELF, 0);
	nl_u32(&r, NDA_IFINDEX, if_nametoindex("d"));
	ASK(&r, -EINVAL, "bridge: Port belongs to a different bridge device");
	bulk(&r, "br", SELF, 0);
	nl_attr(&r, NDA_LLADDR, STATION(1), 6);
	ASK(&r, -EINVAL, "Unsupported attribute");
	bulk(&r, "br", SELF, 0);
	nl_attr(&r, NDA_NDM_STATE_MASK, "\1", 1);
	CHECK_EQ(ask(&r), -EINVAL);
	bulk(&r, "br", SELF, 0);
	nl_attr(&r, 99, NULL, 0);
	CHECK_EQ(ask(&r), -EINVAL);
	IS(OWN(1), 0, "a", NUD_PERMANENT, 0);
}

static struct told answer;

/* "bridge fdb get": an errno, or the entry in "answer". */
static int get(const char *dev, const char *bridge, int flags, const uint8_t *mac, uint16_t vlan)
{
	char buf[4096];
	struct nl_req r;
	int fd = nl_open();
	begin(&r, RTM_GETNEIGH, 0, dev, flags, 0);
	if (mac)
		nl_attr(&r, NDA_LLADDR, mac, 6);
	if (bridge)
		nl_u32(&r, NDA_MASTER, if_nametoindex(bridge));
	if (vlan)
		nl_attr(&r, NDA_VLAN, &vlan, 2);
	r.h.nlmsg_flags = NLM_F_REQUEST;
	CHECK_EQ(send(fd, &r, r.h.nlmsg_len, 0), (ssize_t)r.h.nlmsg_len);
	CHECK_OK(recv(fd, buf, sizeof buf, 0));
	close(fd);
	struct nlmsghdr *h = (void *)buf;
	if (h->nlmsg_type == NLMSG_ERROR)
		return ((struct nlmsgerr *)NLMSG_DATA(h))->error;
	CHECK_EQ(h->nlmsg_type, RTM_NEWNEIGH);
	parse(h, &answer);
	return 0;
}

TEST(one_entry_is_asked_for)
{
	struct nl_req r;
	bridged();
	CHECK_EQ(add(NEW, "a", MASTER | NTF_STICKY, NUD_NOARP, STATION(1)), 0);
	CHECK_EQ(get(NULL, "br", 0, STATION(1), 0), 0);
	CHECK_EQ(answer.dev, if_nametoindex("a"));
	CHECK_EQ(answer.state, NUD_NOARP);
	CHECK_EQ(answer.flags, NTF_STICKY);
	CHECK_EQ(answer.master, if_nametoindex("br"));
	CHECK_EQ(answer.vlan, 0);
	CHECK(answer.updated >= 0);
	CHECK_EQ(get(NULL, "br", 0, STATION(1), PVID), 0);
	CHECK_EQ(answer.vlan, PVID);
	/* By any port of the bridge, and by the bridge itself. */
	CHECK_EQ(get("b", NULL, MASTER, STATION(1), 0), 0);
	CHECK_EQ(answer.dev, if_nametoindex("a"));
	CHECK_EQ(get("b", NULL, 0, STATION(1), 0), 0);
	CHECK_EQ(get("br", NULL, SELF, STATION(1), 0), 0);
	CHECK_EQ(get(NULL, "br", 0, STATION(2), 0), -ENOENT);
	CHECK_EQ(get(NULL, "br", 0, STATION(1), 2), -ENOENT);
	CHECK_EQ(get(NULL, NULL, 0, STATION(1), 0), -ENODEV);
	CHECK_EQ(get("a", "br", 0, STATION(1), 0), -EINVAL);
	CHECK_EQ(get("pa", NULL, SELF, STATION(1), 0), -EOPNOTSUPP);
	CHECK_EQ(get(NULL, "pa", 0, STATION(1), 0), -EOPNOTSUPP);
	begin(&r, RTM_GETNEIGH, 0, "a", 0, 0);
	ASK(&r, -EINVAL, "Missing lookup address for fdb get request");
	nl_attr(&r, NDA_LLADDR, STATION(2), 6);
	ASK(&r, -ENOENT, "Fdb entry not found");
	nl_u32(&r, NDA_MASTER, if_nametoindex("br"));
	ASK(&r, -EINVAL, "Master and device are mutually exclusive");
	nl_u32(&r, NDA_IFINDEX, 1);
	ASK(&r, -EINVAL, "Unsupported attribute in fdb get request");
	entry(&r, RTM_GETNEIGH, 0, NULL, 0, 0, STATION(1), 0);
	ASK(&r, -ENODEV, "No device specified");
	nl_u32(&r, NDA_MASTER, 4711);
	ASK(&r, -EINVAL, "Invalid master ifindex");
	((struct ndmsg *)NLMSG_DATA(&r.h))->ndm_ifindex = 4711;
	ASK(&r, -ENODEV, "Unknown device ifindex");
	entry(&r, RTM_GETNEIGH, 0, "pa", 0, 0, STATION(1), 0);
	ASK(&r, -EINVAL, "Device is not a bridge port");
	entry(&r, RTM_GETNEIGH, 0, "pa", SELF, 0, STATION(1), 0);
	ASK(&r, -EOPNOTSUPP, "Fdb get operation not supported by device");
	entry(&r, RTM_GETNEIGH, 0, "a", 0, NUD_NOARP, STATION(1), 0);
	ASK(&r, -EINVAL, "Invalid values in header for fdb get request");
	entry(&r, RTM_GETNEIGH, 0, "a", NTF_STICKY, 0, STATION(1), 0);
	ASK(&r, -EINVAL, "Invalid flags in header for fdb get request");
	begin(&r, RTM_GETNEIGH, 0, "a", 0, 0);
	nl_attr(&r, NDA_LLADDR, STATION(2), 5);
	ASK(&r, -EINVAL, "Invalid address in fdb get request");
	entry(&r, RTM_GETNEIGH, 0, "a", 0, 0, STATION(1), 4095);
	ASK(&r, -EINVAL, "invalid vlan id");
}

TEST(a_dump_is_filtered)
{
	wired();
	CHECK_EQ(nl_link_add("bridge", "br2", 0), 0);
	CHECK_EQ(add(NEW, "a", MASTER, NUD_NOARP, STATION(1)), 0);
	CHECK_EQ(add(NEW, "b", MASTER, NUD_NOARP, STATION(2)), 0);
	CHECK_EQ(add(NEW, "br", SELF, NUD_PERMANENT, STATION(3)), 0);
	CHECK_EQ(add(NEW, "br2", SELF, NUD_PERMANENT, STATION(4)), 0);
	int all = dump(NULL, NULL), of_br = dump("br", NULL), mine = 0;
	for (int n = 0; n < of_br; n++)
		mine += list[n].master == (int)if_nametoindex("br");
	/* Each address of a port twice, and the three. */
	CHECK_EQ(mine, 6 + 6);
	CHECK(of_br < all);
	CHECK(dump("br2", NULL) < of_br);
	for (int n = dump("br", "a") - 1; n >= 0; n--)
		CHECK_EQ(list[n].dev, if_nametoindex("a"));
	CHECK_EQ(dump("br2", "a"), 0);
	int found = 0;
	for (int n = dump(NULL, "br") - 1; n >= 0; n--) {
		CHECK_EQ(list[n].dev, if_nametoindex("br"));
		found += !memcmp(list[n].mac, STATION(3), 6);
	}
	CHECK_EQ(found, 2);
	/* The newest comes first. */
	CHECK_EQ(add(NEW, "a", MASTER, NUD_NOARP, STATION(9)), 0);
	dump("br", "a");
	CHECK(!memcmp(list[0].mac, STATION(9), 6) && list[0].vlan == PVID);
	CHECK(!memcmp(list[1].mac, STATION(9), 6) && list[1].vlan == 0);
	CHECK(!memcmp(list[2].mac, STATION(1), 6) && list[2].vlan == PVID);
}

static int listener(void)
{
	struct sockaddr_nl a = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_NEIGH };
	int fd = nl_open();
	CHECK_OK(bind(fd, (void *)&a, sizeof a));
	return fd;
}

/* The next message about this address, which is none of a VLAN, in "answer". */
static int hear(int fd, const uint8_t *mac)
{
	char buf[8192];
	struct timeval wait = { .tv_sec = 5 };
	CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait));
	for (;;) {
		ssize_t n = CHECK_OK(recv(fd, buf, sizeof buf, 0));
		for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			if (((struct ndmsg *)NLMSG_DATA(h))->ndm_family != AF_BRIDGE)
				continue;
			parse(h, &answer);
			if (!memcmp(answer.mac, mac, 6) && !answer.vlan)
				return answer.type;
		}
	}
}

#define HEARD(mac, what, on, in)                                                                                       \
	do {                                                                                                           \
		CHECK_EQ(hear(fd, mac), what);                                                                         \
		CHECK_EQ(answer.dev, if_nametoindex(on));                                                              \
		CHECK_EQ(answer.state, in);                                                                            \
	} while (0)

/* Nothing more is heard. */
static void silence(int fd, const uint8_t *mac)
{
	char buf[8192];
	usleep(50000);
	for (;;) {
		ssize_t n = recv(fd, buf, sizeof buf, MSG_DONTWAIT);
		if (n < 0)
			break;
		for (struct nlmsghdr *h = (void *)buf; NLMSG_OK(h, n); h = NLMSG_NEXT(h, n)) {
			if (((struct ndmsg *)NLMSG_DATA(h))->ndm_family != AF_BRIDGE)
				continue;
			parse(h, &answer);
			CHECK(memcmp(answer.mac, mac, 6) || answer.vlan);
		}
	}
	CHECK_EQ(errno, EAGAIN);
}

TEST(changes_are_heard)
{
	bridged();
	int fd = listener();
	CHECK_EQ(add(NEW, "a", MASTER, NUD_REACHABLE, STATION(1)), 0);
	HEARD(STATION(1), RTM_NEWNEIGH, "a", NUD_REACHABLE);
	CHECK_EQ(answer.master, if_nametoindex("br"));
	CHECK_EQ(answer.flags, 0);
	CHECK_EQ(answer.updated, 0);
	/* The same again is none. */
	CHECK_EQ(add(NLM_F_CREATE, "a", MASTER, NUD_REACHABLE, STATION(1)), 0);
	silence(fd, STATION(1));
	CHECK_EQ(add(NLM_F_CREATE, "b", MASTER, NUD_NOARP, STATION(1)), 0);
	HEARD(STATION(1), RTM_NEWNEIGH, "b", NUD_NOARP);
	CHECK_EQ(add(NLM_F_CREATE, "b", MASTER | NTF_STICKY, NUD_NOARP, STATION(1)), 0);
	HEARD(STATION(1), RTM_NEWNEIGH, "b", NUD_NOARP);
	CHECK_EQ(answer.flags, NTF_STICKY);
	CHECK_EQ(del("b", MASTER, STATION(1)), 0);
	HEARD(STATION(1), RTM_DELNEIGH, "b", NUD_NOARP);
	/* Learnt, moved, and aged. */
	REACH(A, ALL, STATION(2), B | C | BR);
	HEARD(STATION(2), RTM_NEWNEIGH, "a", NUD_REACHABLE);
	REACH(A, ALL, STATION(2), B | C | BR);
	silence(fd, STATION(2));
	REACH(B, ALL, STATION(2), A | C | BR);
	HEARD(STATION(2), RTM_NEWNEIGH, "b", NUD_REACHABLE);
	CHECK_EQ(ageing(10), 0);
	HEARD(STATION(2), RTM_DELNEIGH, "b", NUD_STALE);
	CHECK_EQ(ageing(30000), 0);
	/* A port that is flushed, goes down, or leaves. */
	REACH(A, ALL, STATION(3), B | C | BR);
	CHECK_EQ(flush_port("a"), 0);
	HEARD(STATION(3), RTM_NEWNEIGH, "a", NUD_REACHABLE);
	HEARD(STATION(3), RTM_DELNEIGH, "a", NUD_REACHABLE);
	CHECK_EQ(add(NEW, "a", MASTER, NUD_PERMANENT, STATION(4)), 0);
	HEARD(STATION(4), RTM_NEWNEIGH, "a", NUD_PERMANENT);
	CHECK_EQ(join("a", NULL), 0);
	HEARD(STATION(4), RTM_DELNEIGH, "a", NUD_PERMANENT);
	/* Its address was the bridge's. */
	HEARD(OWN(1), RTM_DELNEIGH, "br", NUD_PERMANENT);
	CHECK_EQ(join("a", "br"), 0);
	HEARD(OWN(1), RTM_NEWNEIGH, "a", NUD_PERMANENT);
	CHECK_EQ(set_mac("a", OWN(11)), 0);
	HEARD(OWN(11), RTM_NEWNEIGH, "a", NUD_PERMANENT);
	HEARD(OWN(1), RTM_DELNEIGH, "br", NUD_PERMANENT);
	/* An address of a device. */
	CHECK_EQ(add(NEW, "a", SELF, NUD_PERMANENT, STATION(5)), 0);
	HEARD(STATION(5), RTM_NEWNEIGH, "a", NUD_PERMANENT);
	CHECK_EQ(answer.flags, SELF);
	CHECK_EQ(answer.master, 0);
	CHECK_EQ(del("a", SELF, STATION(5)), 0);
	HEARD(STATION(5), RTM_DELNEIGH, "a", NUD_PERMANENT);
	int old = if_nametoindex("br");
	CHECK_EQ(add(NEW, "br", SELF, NUD_PERMANENT, STATION(6)), 0);
	CHECK_EQ(hear(fd, STATION(6)), RTM_NEWNEIGH);
	CHECK_EQ(answer.master, old);
	CHECK_EQ(hear(fd, STATION(6)), RTM_NEWNEIGH);
	CHECK_EQ(answer.flags, SELF);
	CHECK_EQ(nl_link_del("br"), 0);
	CHECK_EQ(hear(fd, STATION(6)), RTM_DELNEIGH);
	CHECK_EQ(answer.dev, old);
}

static int notify(const char *dev, int state, const uint8_t *mac, uint8_t bits, int refresh)
{
	struct nl_req r;
	entry(&r, RTM_NEWNEIGH, NLM_F_CREATE, dev, MASTER, state, mac, 0);
	struct rtattr *nest = nl_attr(&r, NDA_FDB_EXT_ATTRS | NLA_F_NESTED, NULL, 0);
	nl_attr(&r, NFEA_ACTIVITY_NOTIFY, &bits, 1);
	if (!refresh)
		nl_attr(&r, NFEA_DONT_REFRESH, NULL, 0);
	nl_end(&r, nest);
	return ask(&r);
}

TEST(activity_of_an_entry_is_heard)
{
	bridged();
	int fd = listener();
	CHECK_EQ(notify("a", NUD_NOARP, STATION(1), FDB_NOTIFY_INACTIVE_BIT, 1), -EINVAL);
	CHECK_EQ(notify("a", NUD_NOARP, STATION(1), 4, 1), -EINVAL);
	CHECK_EQ(notify("a", NUD_NOARP, STATION(1), FDB_NOTIFY_BIT, 1), 0);
	HEARD(STATION(1), RTM_NEWNEIGH, "a", NUD_NOARP);
	CHECK_EQ(answer.notify, FDB_NOTIFY_BIT);
	/* It stays when it ages, but that is told. */
	CHECK_EQ(ageing(10), 0);
	HEARD(STATION(1), RTM_NEWNEIGH, "a", NUD_NOARP);
	CHECK_EQ(answer.notify, FDB_NOTIFY_BIT | FDB_NOTIFY_INACTIVE_BIT);
	silence(fd, STATION(1));
	CHECK_EQ(ageing(30000), 0);
	REACH(A, ALL, STATION(1), B | C | BR);
	HEARD(STATION(1), RTM_NEWNEIGH, "a", NUD_NOARP);
	CHECK_EQ(answer.notify, FDB_NOTIFY_BIT);
	usleep(200000);
	CHECK_EQ(notify("a", NUD_NOARP, STATION(1), 3, 0), 0);
	CHECK(look(STATION(1), 0)->updated >= 20);
	CHECK_EQ(look(STATION(1), 0)->notify, 3);
	CHECK_EQ(add(NLM_F_CREATE, "a", MASTER, NUD_NOARP, STATION(1)), 0);
	CHECK_EQ(look(STATION(1), 0)->notify, 0);
	CHECK(look(STATION(1), 0)->updated < 20);
}

static int write_file(const char *path, const char *value)
{
	int fd = CHECK_OK(open(path, O_WRONLY));
	int n = write(fd, value, strlen(value)), error = n < 0 ? -errno : 0;
	close(fd);
	return error;
}

TEST(sysfs_reads_and_flushes)
{
	struct {
		uint8_t mac[6], port, is_local;
		uint32_t age;
		uint8_t port_hi, pad;
		uint16_t unused;
	} e[64];
	struct stat st;
	bridged();
	fill();
	CHECK_OK(unshare(CLONE_NEWNS));
	CHECK_OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	CHECK_OK(mkdir("s", 0755));
	CHECK_OK(mount("s", "s", "sysfs", 0, NULL));
	usleep(100000);
	int fd = CHECK_OK(open("s/class/net/br/brforward", O_RDONLY));
	CHECK_OK(fstat(fd, &st));
	CHECK_EQ(st.st_mode, S_IFREG | 0444);
	ssize_t n = CHECK_OK(read(fd, e, sizeof e));
	CHECK_EQ(n % sizeof *e, 0);
	int found = 0;
	for (size_t i = 0; i < n / sizeof *e; i++) {
		CHECK(e[i].port_hi == 0 && e[i].pad == 0 && e[i].unused == 0);
		if (!memcmp(e[i].mac, STATION(1), 6)) {
			CHECK(e[i].port == 1 && e[i].age == 0 && !e[i].is_local);
			found |= 1;
		} else if (!memcmp(e[i].mac, STATION(3), 6)) {
			CHECK(e[i].port == 2 && e[i].age >= 10 && !e[i].is_local);
			found |= 2;
		} else if (!memcmp(e[i].mac, OWN(3), 6)) {
			CHECK(e[i].port == 3 && e[i].age == 0 && e[i].is_local);
			found |= 4;
		} else if (!memcmp(e[i].mac, STATION(6), 6)) {
			/* What is the bridge's is not there. */
			found |= 8;
		}
	}
	CHECK_EQ(found, 7);
	/* Piece by piece. */
	CHECK_EQ(pread(fd, e, sizeof *e * 2, sizeof *e), (ssize_t)sizeof *e * 2);
	close(fd);
	CHECK_EQ(access("s/class/net/pa/brforward", F_OK), -1);
	CHECK_EQ(write_file("s/class/net/a/brport/flush", "1"), 0);
	NONE(STATION(2), 0);
	IS(STATION(3), 0, "b", NUD_REACHABLE, 0);
	CHECK_EQ(write_file("s/class/net/br/bridge/flush", "1"), 0);
	NONE(STATION(3), 0);
	IS(STATION(1), 0, "a", NUD_NOARP, 0);
	CHECK_OK(umount("s"));
	CHECK_OK(rmdir("s"));
}
