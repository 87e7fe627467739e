/* The v1 devices controller: cgroup-v1/devices.rst. */
#include <sys/sysmacros.h>

#include "cgroup.h"

static const char *limited(void)
{
	cg1("devices");
	return cg_new("");
}

static int opens(const char *path, int flags)
{
	int fd = open(path, flags);
	if (fd >= 0)
		close(fd);
	return fd >= 0 ? 0 : -1;
}

TEST(everything_is_allowed_at_first)
{
	const char *a = limited();
	CG_IS(a, "devices.list", "a *:* rwm\n");
	CG_IS("", "devices.list", "a *:* rwm\n");
	char buf[8];
	CHECK_ERR(cg_get(a, "devices.allow", buf, sizeof buf), EINVAL);
	cg_drop(a);
	cg1_end("devices");
}

TEST(malformed_rules)
{
	const char *a = limited();
	const char *bad[] = { "x", "c", "c1:3 rwm", "c 1 rwm", "c 1:3", "c 1:3 x", "c a:b r", "c 1:3rwm", "c 99999999999:0 r" };
	for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
		CHECK_ERR(cg_write(a, "devices.deny", bad[i]), EINVAL);
		CHECK_ERR(cg_write(a, "devices.allow", bad[i]), EINVAL);
	}
	CG_IS(a, "devices.list", "a *:* rwm\n");
	cg_drop(a);
	cg1_end("devices");
}

TEST(a_list_of_what_is_allowed)
{
	const char *a = limited();
	CHECK_OK(cg_write(a, "devices.deny", "a"));
	CG_IS(a, "devices.list", "");
	CHECK_OK(cg_write(a, "devices.allow", "c 1:3 rwm\n"));
	CHECK_OK(cg_write(a, "devices.allow", "c 1:5 r"));
	CHECK_OK(cg_write(a, "devices.allow", "b *:7 rw"));
	CG_IS(a, "devices.list", "c 1:3 rwm\nc 1:5 r\nb *:7 rw\n");
	CHECK_OK(cg_write(a, "devices.allow", "c 1:5 m"));
	CG_IS(a, "devices.list", "c 1:3 rwm\nc 1:5 rm\nb *:7 rw\n");
	CHECK_OK(cg_write(a, "devices.deny", "c 1:3 w"));
	CG_IS(a, "devices.list", "c 1:3 rm\nc 1:5 rm\nb *:7 rw\n");
	CHECK_OK(cg_write(a, "devices.deny", "c 1:3 rwm"));
	CG_IS(a, "devices.list", "c 1:5 rm\nb *:7 rw\n");
	CHECK_OK(cg_write(a, "devices.allow", "a"));
	CG_IS(a, "devices.list", "a *:* rwm\n");
	cg_drop(a);
	cg1_end("devices");
}

TEST(open_and_mknod_obey)
{
	const char *a = limited();
	CHECK_OK(cg_write(a, "devices.deny", "a"));
	CHECK_OK(cg_write(a, "devices.allow", "c 1:3 rw"));
	CHECK_OK(cg_write(a, "devices.allow", "c 1:5 rm"));
	pid_t child = SPAWN({
		cg_enter(a);
		CHECK_OK(opens("/dev/null", O_RDWR));
		CHECK_OK(opens("/dev/zero", O_RDONLY));
		CHECK_ERR(opens("/dev/zero", O_WRONLY), EPERM);
		CHECK_ERR(opens("/dev/zero", O_RDWR), EPERM);
		CHECK_ERR(opens("/dev/full", O_RDONLY), EPERM);
		CHECK_ERR(access("/dev/full", R_OK), EPERM);
		CHECK_OK(mknod("zero", S_IFCHR | 0666, makedev(1, 5)));
		CHECK_ERR(mknod("null", S_IFCHR | 0666, makedev(1, 3)), EPERM);
		CHECK_ERR(mknod("disk", S_IFBLK | 0666, makedev(1, 5)), EPERM);
		CHECK_OK(mknod("fifo", S_IFIFO | 0666, 0));
		CHECK_OK(mknod("whiteout", S_IFCHR | 0666, makedev(0, 0)));
	});
	JOIN(child);
	CHECK_OK(opens("/dev/full", O_RDONLY));
	cg_drop(a);
	cg1_end("devices");
}

TEST(exceptions_from_everything)
{
	const char *a = limited();
	CHECK_OK(cg_write(a, "devices.deny", "c 1:7 w"));
	CG_IS(a, "devices.list", "a *:* rwm\n");
	pid_t child = SPAWN({
		cg_enter(a);
		CHECK_OK(opens("/dev/full", O_RDONLY));
		CHECK_ERR(opens("/dev/full", O_RDWR), EPERM);
		CHECK_OK(opens("/dev/null", O_RDWR));
	});
	JOIN(child);
	CHECK_OK(cg_write(a, "devices.allow", "c 1:7 w"));
	child = SPAWN(cg_enter(a); CHECK_OK(opens("/dev/full", O_RDWR)));
	JOIN(child);
	cg_drop(a);
	cg1_end("devices");
}

TEST(a_child_has_no_more_than_its_parent)
{
	const char *a = limited();
	CHECK_OK(cg_write(a, "devices.deny", "a"));
	CHECK_OK(cg_write(a, "devices.allow", "c 1:* rw"));
	const char *b = cg_new(a);
	CG_IS(b, "devices.list", "c 1:* rw\n");
	CHECK_ERR(cg_write(a, "devices.allow", "a"), EINVAL);
	CHECK_ERR(cg_write(a, "devices.deny", "a"), EINVAL);
	CHECK_ERR(cg_write(b, "devices.allow", "a"), EPERM);
	CHECK_ERR(cg_write(b, "devices.allow", "c 5:0 r"), EPERM);
	CHECK_ERR(cg_write(b, "devices.allow", "c 1:3 m"), EPERM);
	CHECK_OK(cg_write(b, "devices.allow", "c 1:3 r"));
	CG_IS(b, "devices.list", "c 1:* rw\nc 1:3 r\n");
	/* What the parent loses the child loses. */
	CHECK_OK(cg_write(a, "devices.deny", "c 1:* w"));
	CG_IS(b, "devices.list", "c 1:* r\nc 1:3 r\n");
	CHECK_OK(cg_write(a, "devices.deny", "c 1:* r"));
	CG_IS(b, "devices.list", "");
	cg_drop(b);
	cg_drop(a);
	cg1_end("devices");
}
