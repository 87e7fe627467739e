/* User and group ids: setuid(2) and its relatives, groups, capabilities. */
#include <grp.h>
#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>

#include "proc.h"

static void ids(uid_t want_r, uid_t want_e, uid_t want_s)
{
	uid_t r, e, s;
	CHECK_OK(getresuid(&r, &e, &s));
	CHECK_EQ(r, want_r);
	CHECK_EQ(e, want_e);
	CHECK_EQ(s, want_s);
}

static struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
static struct __user_cap_data_struct caps[2];

static void read_caps(void)
{
	head.version = _LINUX_CAPABILITY_VERSION_3;
	head.pid = 0;
	CHECK_OK(syscall(SYS_capget, &head, caps));
}

TEST(root_setuid_sets_all_three)
{
	CHECK_OK(setuid(1000));
	ids(1000, 1000, 1000);
	CHECK_ERR(setuid(0), EPERM);
	CHECK_ERR(seteuid(0), EPERM);
	CHECK_ERR(setresuid(-1, -1, 0), EPERM);
	CHECK_OK(setuid(1000));
	read_caps();
	CHECK_EQ(caps[0].permitted, 0);
}

TEST(saved_id_lets_one_back)
{
	CHECK_OK(setresuid(1000, 1001, 1002));
	ids(1000, 1001, 1002);
	CHECK_OK(setuid(1002));
	ids(1000, 1002, 1002);
	CHECK_OK(setuid(1000));
	ids(1000, 1000, 1002);
	CHECK_ERR(setuid(1001), EPERM);
	CHECK_OK(setresuid(1002, 1000, 1000));
	ids(1002, 1000, 1000);
	CHECK_OK(setresuid(-1, -1, -1));
}

TEST(setreuid_moves_the_saved_id)
{
	CHECK_OK(setreuid(1000, 1001));
	ids(1000, 1001, 1001);
	CHECK_OK(setreuid(1001, 1000));
	ids(1001, 1000, 1000);
	CHECK_ERR(setreuid(0, -1), EPERM);
}

TEST(effective_id_carries_capabilities)
{
	CHECK_OK(seteuid(1000));
	read_caps();
	CHECK_EQ(caps[0].effective, 0);
	CHECK(caps[0].permitted != 0);
	CHECK_OK(seteuid(0));
	read_caps();
	CHECK_EQ(caps[0].effective, caps[0].permitted);
	CHECK_OK(setresuid(0, 1000, 0));
	CHECK_OK(setresuid(0, 0, 0));
	CHECK_EQ(kt_field("/proc/self/status", "Uid:"), 0);
}

TEST(group_ids)
{
	gid_t r, e, s;
	CHECK_OK(setresgid(5, 6, 7));
	CHECK_OK(getresgid(&r, &e, &s));
	CHECK(r == 5 && e == 6 && s == 7);
	CHECK_OK(setegid(8));
	CHECK_OK(setregid(9, 10));
	CHECK_OK(getresgid(&r, &e, &s));
	CHECK(r == 9 && e == 10 && s == 10);
	CHECK_OK(setgid(11));
	CHECK_OK(setuid(1000));
	CHECK_ERR(setgid(12), EPERM);
	CHECK_OK(setgid(11));
	CHECK_ERR(setresgid(-1, 0, -1), EPERM);
}

TEST(supplementary_groups)
{
	gid_t want[] = { 30, 10, 20 }, got[8];
	CHECK_OK(setgroups(3, want));
	CHECK_EQ(getgroups(0, NULL), 3);
	CHECK_EQ(getgroups(8, got), 3);
	int sum = got[0] + got[1] + got[2];
	CHECK_EQ(sum, 60);
	CHECK_ERR(getgroups(2, got), EINVAL);
	CHECK_ERR(getgroups(-1, got), EINVAL);
	CHECK_ERR(setgroups(65537, want), EINVAL);
	CHECK_ERR(setgroups(1, BAD_PTR), EFAULT);
	JOIN(SPAWN(CHECK_EQ(getgroups(0, NULL), 3)));
	CHECK_OK(setuid(1000));
	CHECK_ERR(setgroups(0, NULL), EPERM);
}

TEST(groups_give_access)
{
	gid_t in[] = { 4000 };
	kt_make_file("f", "x", 0640);
	CHECK_OK(chmod(".", 0755));
	CHECK_OK(chown("f", 1, 4000));
	CHECK_OK(chmod("f", 0040));
	JOIN(SPAWN({
		CHECK_OK(setgroups(1, in));
		CHECK_OK(setuid(1000));
		CHECK_OK(open("f", O_RDONLY));
		CHECK_ERR(open("f", O_WRONLY), EACCES);
	}));
	JOIN(SPAWN({
		CHECK_OK(setgroups(0, NULL));
		CHECK_OK(setuid(1000));
		CHECK_ERR(open("f", O_RDONLY), EACCES);
	}));
	JOIN(SPAWN({
		/* The owner's bits decide for the owner, whatever its groups. */
		CHECK_OK(setgroups(1, in));
		CHECK_OK(setuid(1));
		CHECK_ERR(open("f", O_RDONLY), EACCES);
	}));
}

TEST(fsuid)
{
	kt_make_file("secret", "x", 0600);
	CHECK_OK(chmod(".", 0755));
	CHECK_EQ(setfsuid(1000), 0);
	CHECK_EQ(setfsuid(-1), 1000);
	CHECK_ERR(open("secret", O_RDONLY), EACCES);
	CHECK_EQ(geteuid(), 0);
	CHECK_EQ(setfsuid(0), 1000);
	CHECK_OK(open("secret", O_RDONLY));
	CHECK_EQ(setfsgid(1000), 0);
	CHECK_EQ(setfsgid(-1), 1000);
}

TEST(capset_only_lowers)
{
	read_caps();
	unsigned had = caps[0].permitted;
	caps[0].effective = caps[0].permitted = 1 << CAP_CHOWN;
	caps[0].inheritable = 0;
	caps[1] = (struct __user_cap_data_struct){ 0 };
	CHECK_OK(syscall(SYS_capset, &head, caps));
	caps[0].permitted = had;
	CHECK_ERR(syscall(SYS_capset, &head, caps), EPERM);
	caps[0].permitted = 0;
	caps[0].effective = 1 << CAP_CHOWN;
	CHECK_ERR(syscall(SYS_capset, &head, caps), EPERM);
	kt_make_file("f", "x", 0600);
	CHECK_OK(chown("f", 5, 5));
	CHECK_ERR(open("f", O_RDONLY), EACCES);
	CHECK_ERR(kill(1, 0) < 0 ? -1 : setuid(5), EPERM);
}

TEST(capget_of_others_and_versions)
{
	head.pid = getppid();
	CHECK_OK(syscall(SYS_capget, &head, caps));
	head.pid = 0x3fffffff;
	CHECK_ERR(syscall(SYS_capget, &head, caps), ESRCH);
	head.pid = -1;
	CHECK_ERR(syscall(SYS_capget, &head, caps), EINVAL);
	head.pid = getppid();
	CHECK_ERR(syscall(SYS_capset, &head, caps), EPERM);
	head.version = 0x1234;
	head.pid = 0;
	CHECK_OK(syscall(SYS_capget, &head, NULL));
	CHECK_EQ(head.version, _LINUX_CAPABILITY_VERSION_3);
	head.version = 0x1234;
	CHECK_ERR(syscall(SYS_capget, &head, caps), EINVAL);
	CHECK_ERR(syscall(SYS_capget, BAD_PTR, caps), EFAULT);
}

TEST(signals_need_the_right_user)
{
	pid_t child = SPAWN(CHECK_OK(setuid(1000)); for (;;) pause());
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/status", child);
	WAIT_FOR(kt_field(path, "Uid:") == 1000);
	JOIN(SPAWN({
		CHECK_OK(setuid(1001));
		CHECK_ERR(kill(child, 0), EPERM);
		CHECK_ERR(kill(child, SIGTERM), EPERM);
	}));
	JOIN(SPAWN({
		CHECK_OK(setuid(1001));
		/* SIGCONT crosses users inside a session. */
		CHECK_OK(kill(child, SIGCONT));
	}));
	JOIN(SPAWN({
		CHECK_OK(setuid(1000));
		CHECK_OK(kill(child, SIGTERM));
	}));
	CHECK_EQ(kt_wait(child), SIGTERM);
}

TEST(status_shows_ids_and_capabilities)
{
	char text[4096];
	CHECK_OK(setresgid(1, 2, 3));
	CHECK_OK(setresuid(4, 5, 6));
	CHECK(kt_read_file("/proc/self/status", text, sizeof text) > 0);
	CHECK(strstr(text, "\nUid:\t4\t5\t6\t5\n"));
	CHECK(strstr(text, "\nGid:\t1\t2\t3\t2\n"));
	CHECK(strstr(text, "\nCapEff:\t0000000000000000\n"));
}
