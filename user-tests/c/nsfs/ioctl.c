/* ioctl_ns(2). */
#include "ns.h"

static const struct { const char *name; int flag; } kinds[] = {
	{ "cgroup", CLONE_NEWCGROUP }, { "ipc", CLONE_NEWIPC }, { "mnt", CLONE_NEWNS },
	{ "net", CLONE_NEWNET }, { "pid", CLONE_NEWPID }, { "time", CLONE_NEWTIME },
	{ "user", CLONE_NEWUSER }, { "uts", CLONE_NEWUTS },
};
#define KINDS ((int)(sizeof kinds / sizeof *kinds))

static ino_t number(int fd)
{
	struct stat st;
	CHECK_OK(fstat(fd, &st));
	return st.st_ino;
}

TEST(types)
{
	for (int i = 0; i < KINDS; i++) {
		int fd = CHECK_OK(ns_open(0, kinds[i].name));
		CHECK_EQ(ioctl(fd, NS_GET_NSTYPE), kinds[i].flag);
		close(fd);
	}
}

TEST(the_initial_ones_belong_to_the_initial_user_namespace)
{
	if (kt_native())
		SKIP("not in the initial namespaces");
	for (int i = 0; i < KINDS; i++) {
		int fd = CHECK_OK(ns_open(0, kinds[i].name));
		if (kinds[i].flag == CLONE_NEWUSER) {
			CHECK_ERR(ioctl(fd, NS_GET_USERNS), EPERM);
			CHECK_ERR(ioctl(fd, NS_GET_PARENT), EPERM);
		} else {
			int owner = CHECK_OK(ioctl(fd, NS_GET_USERNS));
			CHECK_EQ(number(owner), 4026531837);
			CHECK_EQ(fcntl(owner, F_GETFD), FD_CLOEXEC);
			CHECK_EQ(fcntl(owner, F_GETFL) & O_ACCMODE, O_RDONLY);
			close(owner);
		}
		close(fd);
	}
}

TEST(parents)
{
	for (int i = 0; i < KINDS; i++) {
		int fd = CHECK_OK(ns_open(0, kinds[i].name));
		if (kinds[i].flag != CLONE_NEWUSER && kinds[i].flag != CLONE_NEWPID)
			CHECK_ERR(ioctl(fd, NS_GET_PARENT), EINVAL);
		close(fd);
	}
	/* From inside they are out of reach. */
	JOIN(SPAWN_IN(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS, {
		own_proc();
		CHECK_ERR(ioctl(CHECK_OK(ns_open(0, "user")), NS_GET_PARENT), EPERM);
		CHECK_ERR(ioctl(CHECK_OK(ns_open(0, "user")), NS_GET_USERNS), EPERM);
		CHECK_ERR(ioctl(CHECK_OK(ns_open(0, "pid")), NS_GET_PARENT), EPERM);
		CHECK_OK(ioctl(CHECK_OK(ns_open(0, "pid")), NS_GET_USERNS));
	}));
}

TEST(parents_from_outside)
{
	struct sync s = sync_new();
	pid_t child = SPAWN_IN(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWUTS, ready_and_hold(&s));
	until_ready(&s);
	int user = CHECK_OK(ns_open(child, "user")), pid = CHECK_OK(ns_open(child, "pid"));
	int uts = CHECK_OK(ns_open(child, "uts"));
	CHECK_EQ(number(CHECK_OK(ioctl(user, NS_GET_PARENT))), ns_number(0, "user"));
	CHECK_EQ(number(CHECK_OK(ioctl(user, NS_GET_USERNS))), ns_number(0, "user"));
	CHECK_EQ(number(CHECK_OK(ioctl(pid, NS_GET_PARENT))), ns_number(0, "pid"));
	CHECK_EQ(number(CHECK_OK(ioctl(pid, NS_GET_USERNS))), ns_number(child, "user"));
	CHECK_EQ(number(CHECK_OK(ioctl(uts, NS_GET_USERNS))), ns_number(child, "user"));
	CHECK_EQ(ioctl(CHECK_OK(ioctl(user, NS_GET_PARENT)), NS_GET_NSTYPE), CLONE_NEWUSER);
	/* What is passed inside does not open more than may be seen there. */
	let_go(&s);
	JOIN(child);
	JOIN(SPAWN({
		CHECK_OK(setns(user, CLONE_NEWUSER));
		CHECK_ERR(ioctl(user, NS_GET_PARENT), EPERM);
		CHECK_EQ(number(CHECK_OK(ioctl(uts, NS_GET_USERNS))), number(user));
		/* The pid namespace is still the outer one. */
		CHECK_OK(ioctl(pid, NS_GET_PARENT));
	}));
}

TEST(the_owner_of_a_user_namespace)
{
	struct sync s = sync_new();
	uid_t uid = 77;
	pid_t child = SPAWN({
		CHECK_OK(setresuid(1000, 1000, 1000));
		CHECK_OK(prctl(PR_SET_DUMPABLE, 1));
		CHECK_OK(unshare(CLONE_NEWUSER));
		int fd = CHECK_OK(ns_open(0, "user"));
		/* No map yet. */
		CHECK_OK(ioctl(fd, NS_GET_OWNER_UID, &uid));
		CHECK_EQ(uid, OVERFLOW_ID);
		ready_and_hold(&s);
		CHECK_OK(ioctl(fd, NS_GET_OWNER_UID, &uid));
		CHECK_EQ(uid, 5);
	});
	until_ready(&s);
	int fd = CHECK_OK(ns_open(child, "user"));
	CHECK_OK(ioctl(fd, NS_GET_OWNER_UID, &uid));
	CHECK_EQ(uid, 1000);
	CHECK_ERR(ioctl(fd, NS_GET_OWNER_UID, BAD_PTR), EFAULT);
	CHECK_OK(proc_write(child, "uid_map", "5 1000 1"));
	let_go(&s);
	JOIN(child);
	fd = CHECK_OK(ns_open(0, "uts"));
	CHECK_ERR(ioctl(fd, NS_GET_OWNER_UID, &uid), EINVAL);
}

TEST(others_are_refused)
{
	int fd = CHECK_OK(ns_open(0, "uts"));
	CHECK_ERR(ioctl(fd, _IO(0xb7, 99)), ENOTTY);
	CHECK_ERR(ioctl(fd, 0x5401, NULL), ENOTTY);
	int other = CHECK_OK(open("/proc/self/status", O_RDONLY));
	CHECK_ERR(ioctl(other, NS_GET_USERNS), ENOTTY);
	CHECK_ERR(ioctl(other, NS_GET_NSTYPE), ENOTTY);
}

TEST(an_opened_parent_can_be_entered)
{
	struct sync s = sync_new();
	pid_t child = SPAWN({
		become(1000);
		enter_user_ns();
		CHECK_OK(unshare(CLONE_NEWUTS));
		CHECK_OK(sethostname("found", 5));
		ready_and_hold(&s);
	});
	until_ready(&s);
	int uts = CHECK_OK(ns_open(child, "uts"));
	int owner = CHECK_OK(ioctl(uts, NS_GET_USERNS));
	let_go(&s);
	JOIN(child);
	JOIN(SPAWN({
		CHECK_OK(setns(owner, CLONE_NEWUSER));
		CHECK_OK(setns(uts, CLONE_NEWUTS));
		CHECK_OK(sethostname("again", 5));
	}));
}
