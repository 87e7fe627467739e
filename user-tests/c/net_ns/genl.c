/*
 * Generic netlink with nobody registered but what every kernel has, and netlink protocols that do not exist (netlink(7)).
 */
#include "nl.h"
#include <errno.h>
#include <linux/audit.h>
#include <linux/genetlink.h>

struct request {
	struct nlmsghdr h;
	struct genlmsghdr g;
	char rest[64];
};

static void begin(struct request *r, int type, int flags, int cmd)
{
	*r = (struct request) { .h = { .nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN), .nlmsg_type = type,
		.nlmsg_flags = NLM_F_REQUEST | flags, .nlmsg_seq = 7 }, .g = { .cmd = cmd, .version = 1 } };
}

static void attr(struct request *r, int type, const void *data, size_t len)
{
	struct nlattr *a = (void *)((char *)r + NLMSG_ALIGN(r->h.nlmsg_len));
	a->nla_type = type;
	a->nla_len = NLA_HDRLEN + len;
	memcpy((char *)a + NLA_HDRLEN, data, len);
	r->h.nlmsg_len = NLMSG_ALIGN(r->h.nlmsg_len) + NLA_ALIGN(a->nla_len);
}

static int genl(void)
{
	return CHECK_OK(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC));
}

/* Sends, and reads the first answer; its error, or 0. */
static int ask(int fd, struct request *r, char *buf, size_t room)
{
	CHECK_EQ(send(fd, r, r->h.nlmsg_len, 0), (ssize_t)r->h.nlmsg_len);
	ssize_t n = CHECK_OK(recv(fd, buf, room, 0));
	struct nlmsghdr *h = (void *)buf;
	CHECK(NLMSG_OK(h, n));
	CHECK_EQ(h->nlmsg_seq, 7);
	return h->nlmsg_type == NLMSG_ERROR ? ((struct nlmsgerr *)NLMSG_DATA(h))->error : 0;
}

/* An attribute of a message or of a nest. */
static struct nlattr *find(void *from, size_t len, int type)
{
	for (size_t at = 0; at + NLA_HDRLEN <= len;) {
		struct nlattr *a = (void *)((char *)from + at);
		if (a->nla_len < NLA_HDRLEN)
			break;
		if ((a->nla_type & NLA_TYPE_MASK) == type)
			return a;
		at += NLA_ALIGN(a->nla_len);
	}
	return NULL;
}

static void *value(struct nlattr *a)
{
	CHECK(a != NULL);
	return (char *)a + NLA_HDRLEN;
}

static void is_controller(struct nlmsghdr *h)
{
	struct genlmsghdr *g = NLMSG_DATA(h);
	char *attrs = (char *)g + GENL_HDRLEN;
	size_t len = h->nlmsg_len - NLMSG_HDRLEN - GENL_HDRLEN;
	CHECK_EQ(h->nlmsg_type, GENL_ID_CTRL);
	CHECK_EQ(g->cmd, CTRL_CMD_NEWFAMILY);
	CHECK_EQ(g->version, 2);
	CHECK(strcmp(value(find(attrs, len, CTRL_ATTR_FAMILY_NAME)), "nlctrl") == 0);
	CHECK_EQ(*(uint16_t *)value(find(attrs, len, CTRL_ATTR_FAMILY_ID)), GENL_ID_CTRL);
	CHECK_EQ(*(uint32_t *)value(find(attrs, len, CTRL_ATTR_VERSION)), 2);
	CHECK_EQ(*(uint32_t *)value(find(attrs, len, CTRL_ATTR_HDRSIZE)), 0);
	/* Which commands there are, and the group "notify". */
	struct nlattr *ops = find(attrs, len, CTRL_ATTR_OPS), *op;
	op = find(value(ops), ops->nla_len - NLA_HDRLEN, 1);
	CHECK_EQ(*(uint32_t *)value(find(value(op), op->nla_len - NLA_HDRLEN, CTRL_ATTR_OP_ID)), CTRL_CMD_GETFAMILY);
	CHECK_EQ(*(uint32_t *)value(find(value(op), op->nla_len - NLA_HDRLEN, CTRL_ATTR_OP_FLAGS)),
		 GENL_CMD_CAP_DO | GENL_CMD_CAP_DUMP | GENL_CMD_CAP_HASPOL);
	struct nlattr *groups = find(attrs, len, CTRL_ATTR_MCAST_GROUPS), *group;
	group = find(value(groups), groups->nla_len - NLA_HDRLEN, 1);
	CHECK(strcmp(value(find(value(group), group->nla_len - NLA_HDRLEN, CTRL_ATTR_MCAST_GRP_NAME)), "notify") == 0);
	CHECK_EQ(*(uint32_t *)value(find(value(group), group->nla_len - NLA_HDRLEN, CTRL_ATTR_MCAST_GRP_ID)), 16);
}

TEST(the_controller_tells_of_itself)
{
	char buf[8192];
	struct request r;
	uint16_t id = GENL_ID_CTRL;
	int fd = genl();
	begin(&r, GENL_ID_CTRL, 0, CTRL_CMD_GETFAMILY);
	attr(&r, CTRL_ATTR_FAMILY_NAME, "nlctrl", 7);
	CHECK_EQ(ask(fd, &r, buf, sizeof buf), 0);
	is_controller((void *)buf);
	begin(&r, GENL_ID_CTRL, 0, CTRL_CMD_GETFAMILY);
	attr(&r, CTRL_ATTR_FAMILY_ID, &id, 2);
	CHECK_EQ(ask(fd, &r, buf, sizeof buf), 0);
	is_controller((void *)buf);
	begin(&r, GENL_ID_CTRL, NLM_F_DUMP, CTRL_CMD_GETFAMILY);
	CHECK_EQ(ask(fd, &r, buf, sizeof buf), 0);
	struct nlmsghdr *h = (void *)buf;
	CHECK(h->nlmsg_flags & NLM_F_MULTI);
	is_controller(h);
}

TEST(families_that_are_not_there)
{
	char buf[8192];
	struct request r;
	uint16_t id = 1000;
	int fd = genl();
	begin(&r, GENL_ID_CTRL, 0, CTRL_CMD_GETFAMILY);
	attr(&r, CTRL_ATTR_FAMILY_NAME, "no_such_thing", 14);
	CHECK_EQ(ask(fd, &r, buf, sizeof buf), -ENOENT);
	begin(&r, GENL_ID_CTRL, 0, CTRL_CMD_GETFAMILY);
	attr(&r, CTRL_ATTR_FAMILY_ID, &id, 2);
	CHECK_EQ(ask(fd, &r, buf, sizeof buf), -ENOENT);
	begin(&r, GENL_ID_CTRL, 0, CTRL_CMD_GETFAMILY);
	CHECK_EQ(ask(fd, &r, buf, sizeof buf), -EINVAL);
	/* A name that is too long, a number that is too short. */
	begin(&r, GENL_ID_CTRL, 0, CTRL_CMD_GETFAMILY);
	attr(&r, CTRL_ATTR_FAMILY_NAME, "a_name_of_16_xxx", 17);
	CHECK_EQ(ask(fd, &r, buf, sizeof buf), -EINVAL);
	begin(&r, GENL_ID_CTRL, 0, CTRL_CMD_GETFAMILY);
	attr(&r, CTRL_ATTR_FAMILY_ID, &id, 1);
	CHECK_EQ(ask(fd, &r, buf, sizeof buf), -ERANGE);
	begin(&r, GENL_ID_CTRL, NLM_F_ACK, 99);
	CHECK_EQ(ask(fd, &r, buf, sizeof buf), -EOPNOTSUPP);
	begin(&r, 1000, NLM_F_ACK, 1);
	CHECK_EQ(ask(fd, &r, buf, sizeof buf), -ENOENT);
	/* Without its own header. */
	begin(&r, GENL_ID_CTRL, NLM_F_ACK, CTRL_CMD_GETFAMILY);
	r.h.nlmsg_len = NLMSG_LENGTH(0);
	CHECK_EQ(ask(fd, &r, buf, sizeof buf), -EINVAL);
	/* No requests below 16 but those of netlink itself. */
	begin(&r, NLMSG_NOOP, NLM_F_ACK, 0);
	CHECK_EQ(ask(fd, &r, buf, sizeof buf), 0);
}

TEST(groups_of_generic_netlink)
{
	int fd = genl(), none = 0, notify = 16, far = 100000;
	CHECK_OK(setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &notify, sizeof notify));
	CHECK_OK(setsockopt(fd, SOL_NETLINK, NETLINK_DROP_MEMBERSHIP, &notify, sizeof notify));
	CHECK_ERR(setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &none, sizeof none), EINVAL);
	CHECK_ERR(setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &far, sizeof far), EINVAL);
}

TEST(protocols_that_are_not_there)
{
	CHECK_ERR(socket(AF_NETLINK, SOCK_RAW, 31), EPROTONOSUPPORT);
	CHECK_ERR(socket(AF_NETLINK, SOCK_RAW, 1), EPROTONOSUPPORT);
	CHECK_ERR(socket(AF_NETLINK, SOCK_RAW, 32), EPROTONOSUPPORT);
	CHECK_ERR(socket(AF_NETLINK, SOCK_RAW, -1), EPROTONOSUPPORT);
}

/*
 * The kernel's log of security events: a kernel has it (CONFIG_AUDIT), and then nobody may use it from another user
 * namespace, or it has not, and says so. What libaudit takes for "there is none" is EINVAL, EPROTONOSUPPORT and EAFNOSUPPORT.
 */
TEST(auditing_is_there_or_refused)
{
	CHECK_OK(unshare(CLONE_NEWUSER));
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_AUDIT);
	if (fd < 0) {
		CHECK_EQ(errno, EPROTONOSUPPORT);
		return;
	}
	char buf[8192];
	struct request r;
	begin(&r, AUDIT_GET, NLM_F_ACK, 0);
	CHECK_EQ(ask(fd, &r, buf, sizeof buf), -ECONNREFUSED);
}
