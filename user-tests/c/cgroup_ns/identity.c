/* cgroup_namespaces(7): identity, ownership and lifetime; the content is tested elsewhere. */
#include "ns.h"

TEST(one_of_its_own)
{
	ino_t own = ns_number(0, "cgroup");
	if (!kt_native())
		CHECK_EQ(own, 4026531835);
	JOIN(SPAWN(CHECK_EQ(ns_number(0, "cgroup"), own)));
	JOIN(SPAWN_IN(CLONE_NEWCGROUP, CHECK(ns_number(0, "cgroup") != own)));
	JOIN(SPAWN({
		CHECK_OK(unshare(CLONE_NEWCGROUP));
		ino_t new = ns_number(0, "cgroup");
		CHECK(new != own);
		JOIN(SPAWN(CHECK_EQ(ns_number(0, "cgroup"), new)));
	}));
}

TEST(entering_and_coming_back)
{
	int own = CHECK_OK(ns_open(0, "cgroup"));
	JOIN(SPAWN({
		ino_t before = ns_number(0, "cgroup");
		CHECK_OK(unshare(CLONE_NEWCGROUP));
		int new = CHECK_OK(ns_open(0, "cgroup"));
		ino_t number = ns_number(0, "cgroup");
		CHECK_OK(setns(own, CLONE_NEWCGROUP));
		CHECK_EQ(ns_number(0, "cgroup"), before);
		CHECK_OK(setns(new, 0));
		CHECK_EQ(ns_number(0, "cgroup"), number);
		CHECK_EQ(ioctl(new, NS_GET_NSTYPE), CLONE_NEWCGROUP);
	}));
}

TEST(privilege_and_owner)
{
	JOIN(SPAWN({
		become(1000);
		CHECK_ERR(unshare(CLONE_NEWCGROUP), EPERM);
		CHECK_ERR(sys_clone(CLONE_NEWCGROUP | SIGCHLD, NULL, NULL), EPERM);
		CHECK_OK(unshare(CLONE_NEWUSER | CLONE_NEWCGROUP));
		struct stat st;
		CHECK_OK(fstat(CHECK_OK(ioctl(CHECK_OK(ns_open(0, "cgroup")), NS_GET_USERNS)), &st));
		CHECK_EQ(st.st_ino, ns_number(0, "user"));
	}));
}

TEST(limit)
{
	JOIN(SPAWN({
		enter_user_ns();
		CHECK_OK(kt_write_file("/proc/sys/user/max_cgroup_namespaces", "1"));
		CHECK_OK(unshare(CLONE_NEWCGROUP));
		CHECK_ERR(unshare(CLONE_NEWCGROUP), ENOSPC);
		CHECK_ERR(sys_clone(CLONE_NEWCGROUP | SIGCHLD, NULL, NULL), ENOSPC);
	}));
}
