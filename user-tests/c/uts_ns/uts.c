/* UTS namespaces: uts_namespaces(7), sethostname(2), setdomainname(2). */
#include <sys/utsname.h>

#include "proc.h"
#include "sys.h"

static int is(const char *name)
{
	struct utsname u;
	CHECK_OK(uname(&u));
	return !strcmp(u.nodename, name);
}

static ino_t ns_of(const char *path)
{
	struct stat st;
	CHECK_OK(stat(path, &st));
	return st.st_ino;
}

/* Every case works in a namespace of its own. */
static void enter(void)
{
	CHECK_OK(unshare(CLONE_NEWUTS));
}

TEST(names_are_copied_and_then_separate)
{
	int end[2];
	char c;
	enter();
	CHECK_OK(sethostname("parent", 6));
	CHECK_OK(setdomainname("domain", 6));
	CHECK_OK(pipe(end));
	pid_t child = CHECK_OK(sys_clone(CLONE_NEWUTS | SIGCHLD, NULL, NULL));
	if (child == 0) {
		struct utsname u;
		CHECK_OK(uname(&u));
		CHECK(!strcmp(u.nodename, "parent"));
		CHECK(!strcmp(u.domainname, "domain"));
		CHECK_OK(sethostname("child", 5));
		CHECK_EQ(read(end[0], &c, 1), 1);
		CHECK(is("child"));
		_exit(0);
	}
	CHECK_OK(sethostname("changed", 7));
	CHECK_EQ(write(end[1], "x", 1), 1);
	JOIN(child);
	CHECK(is("changed"));
}

TEST(fork_shares)
{
	enter();
	JOIN(SPAWN(CHECK_OK(sethostname("shared", 6))));
	CHECK(is("shared"));
}

TEST(unshare_leaves_the_others)
{
	enter();
	CHECK_OK(sethostname("before", 6));
	ino_t mine = ns_of("/proc/self/ns/uts");
	JOIN(SPAWN({
		CHECK_EQ(ns_of("/proc/self/ns/uts"), mine);
		enter();
		CHECK(ns_of("/proc/self/ns/uts") != mine);
		CHECK_OK(sethostname("inside", 6));
	}));
	CHECK(is("before"));
}

TEST(lengths)
{
	char name[66];
	struct utsname u;
	enter();
	memset(name, 'n', sizeof name);
	CHECK_OK(sethostname(name, 64));
	CHECK_OK(uname(&u));
	CHECK_EQ(strlen(u.nodename), 64);
	CHECK_ERR(sethostname(name, 65), EINVAL);
	CHECK_ERR(syscall(SYS_sethostname, name, -1), EINVAL);
	CHECK_ERR(setdomainname(name, 65), EINVAL);
	CHECK_ERR(syscall(SYS_sethostname, BAD_PTR, 5), EFAULT);
	CHECK_OK(sethostname("", 0));
	CHECK(is(""));
	CHECK_OK(sethostname("short", 5));
	CHECK(is("short"));
}

TEST(privilege)
{
	enter();
	JOIN(SPAWN({
		CHECK_OK(setuid(65534));
		CHECK_ERR(sethostname("x", 1), EPERM);
		CHECK_ERR(setdomainname("x", 1), EPERM);
		CHECK_ERR(unshare(CLONE_NEWUTS), EPERM);
	}));
}

TEST(the_owner_decides)
{
	enter();
	CHECK_OK(sethostname("outer", 5));
	JOIN(SPAWN({
		/* All capabilities, but not over a namespace that another user namespace owns. */
		CHECK_OK(unshare(CLONE_NEWUSER));
		CHECK_ERR(sethostname("x", 1), EPERM);
		CHECK_ERR(setdomainname("x", 1), EPERM);
		CHECK_OK(unshare(CLONE_NEWUTS));
		CHECK(is("outer"));
		CHECK_OK(sethostname("inner", 5));
		CHECK(is("inner"));
	}));
	CHECK(is("outer"));
}

TEST(names_are_bytes)
{
	struct utsname u;
	enter();
	CHECK_OK(sethostname("a b\n\xff", 5));
	CHECK_OK(uname(&u));
	CHECK(!memcmp(u.nodename, "a b\n\xff\0", 6));
	/* What a longer name left is gone. */
	CHECK_OK(sethostname("zz\0yy", 5));
	CHECK(is("zz"));
	CHECK_OK(uname(&u));
	CHECK(!memcmp(u.nodename, "zz\0yy\0", 6));
	CHECK_ERR(syscall(SYS_uname, BAD_PTR), EFAULT);
}

TEST(entering_by_descriptor)
{
	int end[2], back[2];
	char c, path[64];
	enter();
	CHECK_OK(sethostname("outer", 5));
	CHECK_OK(pipe(end));
	CHECK_OK(pipe(back));
	pid_t child = SPAWN({
		enter();
		CHECK_OK(sethostname("inner", 5));
		CHECK_EQ(write(end[1], "x", 1), 1);
		CHECK_EQ(read(back[0], &c, 1), 1);
		CHECK(is("renamed"));
	});
	CHECK_EQ(read(end[0], &c, 1), 1);
	int own = CHECK_OK(open("/proc/self/ns/uts", O_RDONLY));
	snprintf(path, sizeof path, "/proc/%d/ns/uts", child);
	int theirs = CHECK_OK(open(path, O_RDONLY));
	CHECK_OK(setns(theirs, CLONE_NEWUTS));
	CHECK(is("inner"));
	CHECK_OK(sethostname("renamed", 7));
	CHECK_EQ(write(back[1], "x", 1), 1);
	JOIN(child);
	/* The descriptor keeps it alive. */
	CHECK(is("renamed"));
	CHECK_OK(setns(own, 0));
	CHECK(is("outer"));
	CHECK_OK(setns(theirs, CLONE_NEWUTS));
	CHECK(is("renamed"));
}

TEST(entering_by_pidfd)
{
	int end[2];
	char c;
	enter();
	CHECK_OK(pipe(end));
	pid_t child = SPAWN({
		enter();
		CHECK_OK(sethostname("target", 6));
		CHECK_EQ(write(end[1], "x", 1), 1);
		pause();
	});
	CHECK_EQ(read(end[0], &c, 1), 1);
	int fd = CHECK_OK(sys_pidfd_open(child, 0));
	CHECK_OK(setns(fd, CLONE_NEWUTS));
	CHECK(is("target"));
	CHECK_ERR(setns(fd, 0), EINVAL);
	kill(child, SIGKILL);
	kt_wait(child);
	CHECK_ERR(setns(fd, CLONE_NEWUTS), ESRCH);
}

TEST(wrong_descriptors)
{
	int fd = CHECK_OK(open("/proc/self/ns/uts", O_RDONLY));
	CHECK_ERR(setns(999, 0), EBADF);
	CHECK_ERR(setns(0, 0), EINVAL);
	CHECK_ERR(setns(fd, CLONE_NEWIPC), EINVAL);
	CHECK_ERR(setns(fd, CLONE_NEWUTS | CLONE_NEWIPC), EINVAL);
	CHECK_ERR(setns(fd, 1), EINVAL);
	CHECK_OK(setns(fd, CLONE_NEWUTS));
	JOIN(SPAWN({
		CHECK_OK(setuid(65534));
		CHECK_ERR(setns(fd, CLONE_NEWUTS), EPERM);
	}));
	CHECK_ERR(unshare(0x10), EINVAL);
	CHECK_OK(unshare(0));
}

TEST(proc_files)
{
	char text[128], link[64] = "", want[64];
	struct stat st;
	enter();
	CHECK_OK(sethostname("from-call", 9));
	CHECK(kt_read_file("/proc/sys/kernel/hostname", text, sizeof text) > 0);
	CHECK(!strcmp(text, "from-call\n"));
	CHECK_OK(kt_write_file("/proc/sys/kernel/hostname", "from-proc\n"));
	CHECK(is("from-proc"));
	CHECK_OK(kt_write_file("/proc/sys/kernel/domainname", "dom"));
	struct utsname u;
	CHECK_OK(uname(&u));
	CHECK(!strcmp(u.domainname, "dom"));
	CHECK(readlink("/proc/self/ns/uts", link, sizeof link) > 0);
	CHECK_OK(stat("/proc/self/ns/uts", &st));
	snprintf(want, sizeof want, "uts:[%lu]", (unsigned long)st.st_ino);
	CHECK(!strcmp(link, want));
}

TEST(the_initial_namespace_has_its_number)
{
	if (kt_native())
		SKIP("not in the initial namespace");
	CHECK_EQ(ns_of("/proc/self/ns/uts"), 4026531838);
	CHECK_EQ(ns_of("/proc/1/ns/uts"), 4026531838);
	CHECK_EQ(ns_of("/proc/self/ns/pid"), 4026531836);
	CHECK_EQ(ns_of("/proc/self/ns/user"), 4026531837);
}

TEST(many_come_and_go)
{
	for (int i = 0; i < 200; i++)
		CHECK_OK(unshare(CLONE_NEWUTS));
	for (int i = 0; i < 50; i++) {
		pid_t child = CHECK_OK(sys_clone(CLONE_NEWUTS | SIGCHLD, NULL, NULL));
		if (child == 0)
			_exit(sethostname("x", 1));
		JOIN(child);
	}
}
