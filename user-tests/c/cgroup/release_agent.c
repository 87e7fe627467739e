/* Empty cgroups of v1 are told of: cgroup-v1/cgroups.rst, "What does notify_on_release do?". */
#include <errno.h>
#include <linux/capability.h>

#include "cgroup.h"
#include "ns.h"

#define OUT "/agent-out"

/* The agent is this program, by a name in the root directory. */
ROLE(agent)
{
	char line[1024], cwd[256] = "";
	struct caps caps = caps_now();
	CHECK(getcwd(cwd, sizeof cwd) != NULL);
	int n = snprintf(line, sizeof line, "%s argc=%d uid=%d caps=%d home=%s path=%s cwd=%s null=%d\n", argv[1], argc, getuid(),
			 caps.effective == ALL_CAPS, getenv("HOME"), getenv("PATH"), cwd, fcntl(0, F_GETFD) >= 0);
	int fd = CHECK_OK(open(OUT, O_WRONLY | O_CREAT | O_APPEND, 0644));
	CHECK_EQ(write(fd, line, n), n);
	close(fd);
	return 0;
}

static const char *told(void)
{
	static char text[8192];
	int fd = open(OUT, O_RDONLY);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
	if (fd >= 0)
		close(fd);
	text[n < 0 ? 0 : n] = 0;
	return text;
}

/* A hierarchy whose agent is this program. */
static void with_agent(const char *name)
{
	char options[64], self[256] = "";
	snprintf(options, sizeof options, "none,name=%s", name);
	CHECK_OK(cg_mount("cgroup", options));
	CHECK(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
	unlink("/role:agent");
	unlink(OUT);
	CHECK_OK(symlink(self, "/role:agent"));
	CHECK_OK(cg_write("", "release_agent", "role:agent\n"));
	CG_IS("", "release_agent", "role:agent\n");
}

static void without(void)
{
	unlink("/role:agent");
	unlink(OUT);
	umount("cg");
}

TEST(where_the_files_are)
{
	CHECK_OK(cg_mount("cgroup", "none,name=kt-files"));
	const char *a = cg_new("");
	CG_IS("", "release_agent", "\n");
	CG_IS("", "notify_on_release", "0\n");
	CG_IS(a, "notify_on_release", "0\n");
	CHECK_ERR(access(cg_path("%s/release_agent", a), F_OK), ENOENT);
	struct stat st;
	CHECK_OK(stat(cg_path("release_agent"), &st));
	CHECK_EQ(st.st_mode, S_IFREG | 0644);
	CHECK_OK(stat(cg_path("notify_on_release"), &st));
	CHECK_EQ(st.st_mode, S_IFREG | 0644);
	CHECK_OK(cg_write(a, "notify_on_release", "1"));
	CG_IS(a, "notify_on_release", "1\n");
	/* Children begin as their parents are. */
	const char *b = cg_new(a);
	CG_IS(b, "notify_on_release", "1\n");
	CHECK_OK(cg_write(a, "notify_on_release", "0"));
	CG_IS(b, "notify_on_release", "1\n");
	CHECK_OK(cg_write(b, "notify_on_release", "7"));
	CG_IS(b, "notify_on_release", "1\n");
	CHECK_ERR(cg_write(b, "notify_on_release", "x"), EINVAL);
	cg_drop(b);
	cg_drop(a);
	umount("cg");
}

TEST(who_may_set_it)
{
	CHECK_OK(cg_mount("cgroup", "none,name=kt-who"));
	CHECK_OK(cg_write("", "release_agent", " /some/thing  \n"));
	CG_IS("", "release_agent", "/some/thing\n");
	char big[4200];
	memset(big, 'x', sizeof big);
	CHECK_ERR(cg_write_n("", "release_agent", big, 4096), E2BIG);
	SPAWN({
		drop_effective(CAP(SYS_ADMIN));
		CHECK_ERR(cg_write("", "release_agent", "/other"), EPERM);
	});
	JOIN(-1);
	SPAWN({
		CHECK_OK(unshare(CLONE_NEWUSER));
		int fd = open(cg_path("release_agent"), O_WRONLY);
		CHECK(fd < 0 || (write(fd, "x", 1) < 0 && errno == EPERM));
	});
	JOIN(-1);
	CG_IS("", "release_agent", "/some/thing\n");
	CHECK_OK(cg_write("", "release_agent", "\n"));
	CG_IS("", "release_agent", "\n");
	umount("cg");
}

TEST(the_last_task_leaves)
{
	with_agent("kt-leave");
	const char *a = cg_new("");
	CHECK_OK(cg_write(a, "notify_on_release", "1"));
	SPAWN({ CHECK_OK(cg_write(a, "cgroup.procs", "0")); });
	JOIN(-1);
	WAIT_FOR(*told());
	char want[512];
	snprintf(want, sizeof want, "/%s argc=2 uid=0 caps=1 home=/ path=/sbin:/bin:/usr/sbin:/usr/bin cwd=/ null=0\n", a);
	if (strcmp(told(), want))
		KT_FAIL("told: %s", told());
	/* Moved away instead. */
	unlink(OUT);
	CHECK_OK(cg_write(a, "cgroup.procs", "0"));
	CHECK_OK(cg_write("", "cgroup.procs", "0"));
	WAIT_FOR(*told());
	CHECK(!strcmp(told(), want));
	/* Without the flag there is silence. */
	unlink(OUT);
	CHECK_OK(cg_write(a, "notify_on_release", "0"));
	SPAWN({ CHECK_OK(cg_write(a, "cgroup.procs", "0")); });
	JOIN(-1);
	kt_sleep_ms(300);
	CHECK(!*told());
	cg_drop(a);
	without();
}

TEST(the_last_child_is_removed)
{
	with_agent("kt-child");
	const char *a = cg_new("");
	CHECK_OK(cg_write(a, "notify_on_release", "1"));
	const char *b = cg_new(a), *c = cg_new(a);
	CHECK_OK(cg_write(b, "notify_on_release", "0"));
	CHECK_OK(cg_write(c, "notify_on_release", "0"));
	CHECK_OK(rmdir(cg_path("%s", b)));
	kt_sleep_ms(300);
	CHECK(!*told());
	CHECK_OK(rmdir(cg_path("%s", c)));
	WAIT_FOR(*told());
	char want[512];
	snprintf(want, sizeof want, "/%s argc=2 ", a);
	CHECK(!strncmp(told(), want, strlen(want)));
	cg_drop(a);
	without();
}

TEST(an_agent_that_is_not_there)
{
	with_agent("kt-none");
	CHECK_OK(cg_write("", "release_agent", "/no/such/agent"));
	const char *a = cg_new("");
	CHECK_OK(cg_write(a, "notify_on_release", "1"));
	SPAWN({ CHECK_OK(cg_write(a, "cgroup.procs", "0")); });
	JOIN(-1);
	kt_sleep_ms(100);
	CHECK_OK(cg_write("", "release_agent", "\n"));
	cg_drop(a);
	without();
}
