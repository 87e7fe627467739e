/* Cgroup namespaces: cgroup_namespaces(7), cgroup-v2.rst "Namespace". */
#include "cgroup.h"

static void must_be(const char *pid, const char *want)
{
	const char *is = cg_of(pid, "0::");
	if (strcmp(is, want))
		KT_FAIL("the cgroup is \"%s\", not \"%s\"", is, want);
}

static const char *pid_text(pid_t pid)
{
	static char text[16];
	snprintf(text, sizeof text, "%d", (int)pid);
	return text;
}

TEST(the_root_is_where_the_creator_was)
{
	cg2();
	const char *a = cg_new("");
	pid_t child = SPAWN({
		cg_enter(a);
		CHECK_OK(unshare(CLONE_NEWCGROUP));
		must_be("self", "/");
	});
	JOIN(child);
	cg_drop(a);
}

TEST(others_are_shown_relative_to_the_root)
{
	cg2();
	const char *a = cg_new(""), *b = cg_new(a), *c = cg_new("");
	pid_t below = cg_sleeper(b), beside = cg_sleeper(c);
	pid_t child = SPAWN({
		cg_enter(a);
		CHECK_OK(unshare(CLONE_NEWCGROUP));
		must_be(pid_text(below), strrchr(b, '/'));
		char want[300];
		snprintf(want, sizeof want, "/../%s", c);
		must_be(pid_text(beside), want);
		must_be("1", "/..");
	});
	JOIN(child);
	cg_end(below);
	cg_end(beside);
	cg_drop(c);
	cg_drop(b);
	cg_drop(a);
}

TEST(whoever_moves_leaves_the_view_as_it_is)
{
	cg2();
	const char *a = cg_new(""), *b = cg_new(a);
	pid_t child = SPAWN({
		cg_enter(a);
		CHECK_OK(unshare(CLONE_NEWCGROUP));
		CHECK_OK(cg_write(b, "cgroup.procs", "0"));
		must_be("self", strrchr(b, '/'));
		CHECK_OK(cg_write("", "cgroup.procs", "0"));
		must_be("self", "/..");
	});
	JOIN(child);
	cg_drop(b);
	cg_drop(a);
}

TEST(the_view_is_the_readers)
{
	cg2();
	const char *a = cg_new("");
	int ready[2], go[2];
	CHECK_OK(pipe(ready));
	CHECK_OK(pipe(go));
	pid_t child = SPAWN({
		char c;
		cg_enter(a);
		CHECK_OK(unshare(CLONE_NEWCGROUP));
		CHECK_EQ(write(ready[1], "x", 1), 1);
		CHECK_EQ(read(go[0], &c, 1), 1);
		/* From inside, the parent is above. */
		must_be(pid_text(getppid()), "/..");
	});
	char c;
	CHECK_EQ(read(ready[0], &c, 1), 1);
	char want[300];
	snprintf(want, sizeof want, "/%s", a);
	must_be(pid_text(child), want);
	CHECK_EQ(write(go[1], "x", 1), 1);
	JOIN(child);
	cg_drop(a);
}

TEST(clone_makes_one)
{
	cg2();
	const char *a = cg_new("");
	pid_t child = SPAWN({
		cg_enter(a);
		pid_t inner = CHECK_OK(syscall(SYS_clone, CLONE_NEWCGROUP | SIGCHLD, 0, 0, 0, 0));
		if (inner == 0) {
			must_be("self", "/");
			_exit(0);
		}
		JOIN(inner);
		char want[300];
		snprintf(want, sizeof want, "/%s", a);
		must_be("self", want);
	});
	JOIN(child);
	cg_drop(a);
}

TEST(a_mount_inside_shows_the_root)
{
	cg2();
	const char *a = cg_new(""), *b = cg_new(a);
	pid_t child = SPAWN({
		cg_enter(a);
		CHECK_OK(unshare(CLONE_NEWCGROUP | CLONE_NEWNS));
		mkdir("inside", 0755);
		CHECK_OK(mount("none", "inside", "cgroup2", 0, NULL));
		char path[300];
		snprintf(path, sizeof path, "inside%s", strrchr(b, '/'));
		CHECK_OK(access(path, F_OK));
		CHECK_OK(access("inside/cgroup.events", F_OK));
		struct stat in, out;
		CHECK_OK(stat("inside", &in));
		CHECK_OK(stat(cg_path("%s", a), &out));
		CHECK_EQ(in.st_ino, out.st_ino);
		CHECK_EQ(in.st_dev, out.st_dev);
		/* Nothing leads further up. */
		CHECK_OK(stat("inside/../inside", &out));
		CHECK_EQ(in.st_ino, out.st_ino);
	});
	JOIN(child);
	cg_drop(b);
	cg_drop(a);
}

static const char *mount_root(const char *dir)
{
	static char line[1024];
	FILE *f = fopen("/proc/self/mountinfo", "r");
	CHECK(f != NULL);
	while (fgets(line, sizeof line, f)) {
		static char root[512], at[512];
		if (sscanf(line, "%*d %*d %*s %511s %511s", root, at) == 2 && strlen(at) >= strlen(dir) &&
		    !strcmp(at + strlen(at) - strlen(dir), dir)) {
			fclose(f);
			return root;
		}
	}
	fclose(f);
	return "(none)";
}

TEST(mountinfo_is_relative)
{
	cg2();
	const char *a = cg_new("");
	CHECK(!strcmp(mount_root("/cg"), "/"));
	pid_t child = SPAWN({
		cg_enter(a);
		CHECK_OK(unshare(CLONE_NEWCGROUP | CLONE_NEWNS));
		CHECK(!strcmp(mount_root("/cg"), "/.."));
		mkdir("inside", 0755);
		CHECK_OK(mount("none", "inside", "cgroup2", 0, NULL));
		CHECK(!strcmp(mount_root("/inside"), "/"));
	});
	JOIN(child);
	cg_drop(a);
}

TEST(setns_joins)
{
	cg2();
	const char *a = cg_new("");
	int ready[2], go[2];
	CHECK_OK(pipe(ready));
	CHECK_OK(pipe(go));
	pid_t child = SPAWN({
		char c;
		cg_enter(a);
		CHECK_OK(unshare(CLONE_NEWCGROUP));
		CHECK_EQ(write(ready[1], "x", 1), 1);
		CHECK_EQ(read(go[0], &c, 1), 1);
	});
	char c, path[64];
	CHECK_EQ(read(ready[0], &c, 1), 1);
	snprintf(path, sizeof path, "/proc/%d/ns/cgroup", (int)child);
	int ns = CHECK_OK(open(path, O_RDONLY));
	int own = CHECK_OK(open("/proc/self/ns/cgroup", O_RDONLY));
	CHECK_OK(setns(ns, CLONE_NEWCGROUP));
	/* setns moves nobody: seen from there we are outside. */
	must_be("self", "/..");
	must_be(pid_text(child), "/");
	CHECK_ERR(setns(ns, CLONE_NEWUTS), EINVAL);
	CHECK_OK(setns(own, 0));
	must_be("self", "/");
	CHECK_EQ(write(go[1], "x", 1), 1);
	JOIN(child);
	close(ns);
	cg_drop(a);
}

TEST(a_namespace_keeps_its_cgroup_dying)
{
	cg2();
	const char *a = cg_new(""), *b = cg_new(a);
	pid_t child = SPAWN({
		cg_enter(b);
		CHECK_OK(unshare(CLONE_NEWCGROUP));
		CHECK_OK(cg_write(a, "cgroup.procs", "0"));
		CHECK_OK(rmdir(cg_path("%s", b)));
		must_be("self", "/..");
	});
	JOIN(child);
	cg_drop(a);
}

TEST(privilege_is_needed)
{
	pid_t child = SPAWN({
		CHECK_OK(setuid(1000));
		CHECK_ERR(unshare(CLONE_NEWCGROUP), EPERM);
		CHECK_OK(unshare(CLONE_NEWUSER | CLONE_NEWCGROUP));
	});
	JOIN(child);
}

TEST(nsdelegate_refuses_moves_outside)
{
	CHECK_OK(cg_mount("cgroup2", "nsdelegate"));
	const char *a = cg_new(""), *b = cg_new(a), *c = cg_new("");
	pid_t outside = cg_sleeper(c);
	pid_t child = SPAWN({
		cg_enter(a);
		CHECK_OK(unshare(CLONE_NEWCGROUP));
		CHECK_OK(cg_write(b, "cgroup.procs", "0"));
		CHECK_ERR(cg_write(c, "cgroup.procs", "0"), ENOENT);
		CHECK_ERR(cg_write("", "cgroup.procs", "0"), ENOENT);
		CHECK_ERR(cg_put(b, "cgroup.procs", outside), ENOENT);
		CHECK_OK(cg_write(a, "cgroup.procs", "0"));
	});
	JOIN(child);
	cg_end(outside);
	cg_drop(c);
	cg_drop(b);
	cg_drop(a);
}

TEST(nsdelegate_protects_the_boundary)
{
	CHECK_OK(cg_mount("cgroup2", "nsdelegate"));
	CHECK_OK(cg_write("", "cgroup.subtree_control", "+pids"));
	const char *a = cg_new(""), *b = cg_new(a);
	pid_t child = SPAWN({
		cg_enter(a);
		CHECK_OK(unshare(CLONE_NEWCGROUP));
		/* The limits of the root are its delegater's. */
		CHECK_ERR(cg_write(a, "pids.max", "10"), EPERM);
		CHECK_ERR(cg_write(a, "cgroup.max.depth", "1"), EPERM);
		CHECK_ERR(cg_write(a, "cgroup.freeze", "0"), EPERM);
		CHECK_OK(cg_write(b, "cgroup.procs", "0"));
		CHECK_OK(cg_write(a, "cgroup.subtree_control", "+pids"));
		CHECK_OK(cg_write(b, "pids.max", "10"));
		CHECK_OK(cg_write(a, "cgroup.subtree_control", "-pids"));
	});
	JOIN(child);
	cg_drop(b);
	cg_drop(a);
	CHECK_OK(cg_write("", "cgroup.subtree_control", "-pids"));
	/* A mount without the option takes it away again. */
	mkdir("other", 0755);
	CHECK_OK(mount("none", "other", "cgroup2", 0, NULL));
}

TEST(the_namespace_of_a_write_is_that_of_the_open)
{
	CHECK_OK(cg_mount("cgroup2", "nsdelegate"));
	const char *a = cg_new(""), *c = cg_new("");
	pid_t child = SPAWN({
		cg_enter(a);
		int before = CHECK_OK(open(cg_path("%s/cgroup.procs", c), O_WRONLY));
		CHECK_OK(unshare(CLONE_NEWCGROUP));
		int after = CHECK_OK(open(cg_path("%s/cgroup.procs", c), O_WRONLY));
		CHECK_ERR(write(after, "0", 1), ENOENT);
		CHECK_EQ(write(before, "0", 1), 1);
	});
	JOIN(child);
	cg_drop(c);
	cg_drop(a);
	mkdir("other", 0755);
	CHECK_OK(mount("none", "other", "cgroup2", 0, NULL));
}

TEST(v1_hierarchies_are_relative_too)
{
	cg1("none,name=kt_ns");
	const char *a = cg_new("");
	pid_t child = SPAWN({
		cg_enter(a);
		CHECK_OK(unshare(CLONE_NEWCGROUP));
		char line[512];
		FILE *f = fopen("/proc/self/cgroup", "r");
		CHECK(f != NULL);
		int found = 0;
		while (fgets(line, sizeof line, f))
			found |= strstr(line, ":name=kt_ns:/\n") != NULL;
		CHECK(found);
		fclose(f);
		CHECK_OK(unshare(CLONE_NEWNS));
		mkdir("inside", 0755);
		CHECK_OK(mount("none", "inside", "cgroup", 0, "name=kt_ns"));
		CHECK_ERR(access("inside/cgroup.sane_behavior", F_OK), ENOENT);
		/* New hierarchies are made outside only. */
		mkdir("new", 0755);
		CHECK_ERR(mount("none", "new", "cgroup", 0, "none,name=kt_ns_new"), EPERM);
	});
	JOIN(child);
	cg_drop(a);
}
