/* SIOCETHTOOL: what devices say of themselves (linux/ethtool.h). */
#include "nl.h"
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>

static int fd;

static int ask(const char *name, void *data)
{
	struct ifreq r;
	memset(&r, 0, sizeof r);
	strncpy(r.ifr_name, name, IFNAMSIZ - 1);
	r.ifr_data = data;
	return ioctl(fd, SIOCETHTOOL, &r);
}

static const char *driver(const char *name)
{
	static struct ethtool_drvinfo info;
	memset(&info, 0, sizeof info);
	info.cmd = ETHTOOL_GDRVINFO;
	CHECK_OK(ask(name, &info));
	return info.driver;
}

static int link_of(const char *name)
{
	struct ethtool_value value = { .cmd = ETHTOOL_GLINK, .data = 77 };
	CHECK_OK(ask(name, &value));
	return value.data;
}

static void devices(void)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	fd = CHECK_OK(socket(AF_INET, SOCK_DGRAM, 0));
	CHECK_EQ(nl_veth_add("a", "b", -1), 0);
	CHECK_EQ(nl_link_add("bridge", "br", 0), 0);
	CHECK_EQ(nl_link_add("dummy", "d", 0), 0);
}

TEST(drivers_have_names)
{
	devices();
	CHECK(!strcmp(driver("a"), "veth"));
	CHECK(!strcmp(driver("br"), "bridge"));
	CHECK(!strcmp(driver("d"), "dummy"));
	struct ethtool_drvinfo info = { .cmd = ETHTOOL_GDRVINFO };
	CHECK_ERR(ask("lo", &info), EOPNOTSUPP);
	CHECK_ERR(ask("nix", &info), ENODEV);
	CHECK_ERR(ask("a", BAD_PTR), EFAULT);
}

TEST(links_are_there_or_not)
{
	devices();
	CHECK_EQ(link_of("a"), 0);
	CHECK_EQ(nl_link_up("a", 1), 0);
	CHECK_EQ(link_of("a"), 0);
	CHECK_EQ(nl_link_up("b", 1), 0);
	WAIT_FOR(link_of("a") == 1);
	CHECK_EQ(link_of("lo"), 0);
	CHECK_EQ(nl_link_up("lo", 1), 0);
	CHECK_EQ(link_of("lo"), 1);
	struct ethtool_value value = { .cmd = ETHTOOL_GLINK };
	CHECK_ERR(ask("d", &value), EOPNOTSUPP);
}

TEST(what_nobody_can_do)
{
	devices();
	struct ethtool_value value = { .cmd = 0x7777 };
	CHECK_ERR(ask("a", &value), EOPNOTSUPP);
	struct ethtool_wolinfo wol = { .cmd = ETHTOOL_GWOL };
	CHECK_ERR(ask("a", &wol), EOPNOTSUPP);
	CHECK_OK(setresuid(1000, 1000, 1000));
	CHECK(!strcmp(driver("a"), "veth"));
	CHECK_ERR(ask("a", &wol), EPERM);
	CHECK_ERR(ask("a", &value), EPERM);
}
