/* network_namespaces(7): identity, ownership and lifetime; the content is tested elsewhere. */
#include "ns.h"

TEST(one_of_its_own)
{
	ino_t own = ns_number(0, "net");
	if (!kt_native())
		CHECK_EQ(own, 4026531840);
	JOIN(SPAWN(CHECK_EQ(ns_number(0, "net"), own)));
	JOIN(SPAWN_IN(CLONE_NEWNET, CHECK(ns_number(0, "net") != own)));
	JOIN(SPAWN({
		CHECK_OK(unshare(CLONE_NEWNET));
		ino_t new = ns_number(0, "net");
		CHECK(new != own);
		JOIN(SPAWN(CHECK_EQ(ns_number(0, "net"), new)));
		CHECK_OK(unshare(CLONE_NEWNET));
		CHECK(ns_number(0, "net") != new);
	}));
}

TEST(entering_and_coming_back)
{
	int own = CHECK_OK(ns_open(0, "net"));
	JOIN(SPAWN({
		ino_t before = ns_number(0, "net");
		CHECK_OK(unshare(CLONE_NEWNET));
		int new = CHECK_OK(ns_open(0, "net"));
		ino_t number = ns_number(0, "net");
		CHECK_OK(setns(own, CLONE_NEWNET));
		CHECK_EQ(ns_number(0, "net"), before);
		CHECK_OK(setns(new, 0));
		CHECK_EQ(ns_number(0, "net"), number);
		CHECK_EQ(ioctl(new, NS_GET_NSTYPE), CLONE_NEWNET);
	}));
}

TEST(privilege_and_owner)
{
	JOIN(SPAWN({
		become(1000);
		CHECK_ERR(unshare(CLONE_NEWNET), EPERM);
		CHECK_ERR(sys_clone(CLONE_NEWNET | SIGCHLD, NULL, NULL), EPERM);
		CHECK_OK(unshare(CLONE_NEWUSER | CLONE_NEWNET));
		struct stat st;
		CHECK_OK(fstat(CHECK_OK(ioctl(CHECK_OK(ns_open(0, "net")), NS_GET_USERNS)), &st));
		CHECK_EQ(st.st_ino, ns_number(0, "user"));
	}));
}

TEST(limit)
{
	JOIN(SPAWN({
		enter_user_ns();
		CHECK_OK(kt_write_file("/proc/sys/user/max_net_namespaces", "1"));
		CHECK_OK(unshare(CLONE_NEWNET));
		CHECK_ERR(unshare(CLONE_NEWNET), ENOSPC);
		CHECK_ERR(sys_clone(CLONE_NEWNET | SIGCHLD, NULL, NULL), ENOSPC);
		CHECK_OK(kt_write_file("/proc/sys/user/max_net_namespaces", "2"));
		CHECK_OK(unshare(CLONE_NEWNET));
	}));
}

TEST(many_come_and_go)
{
	for (int i = 0; i < 30; i++)
		JOIN(SPAWN_IN(CLONE_NEWNET, (void)0));
	JOIN(SPAWN({
		for (int i = 0; i < 30; i++)
			CHECK_OK(unshare(CLONE_NEWNET));
	}));
}
