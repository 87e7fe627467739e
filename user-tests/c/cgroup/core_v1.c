/* v1 hierarchies and their core files: cgroup-v1/cgroups.rst, cgroups(7). */
#include <pthread.h>
#include <sys/xattr.h>

#include "cgroup.h"

TEST(a_named_hierarchy)
{
	cg1("none,name=kt_named");
	struct statfs fs;
	CHECK_OK(statfs("cg", &fs));
	CHECK_EQ(fs.f_type, CGROUP_MAGIC);
	CHECK_OK(access("cg/tasks", F_OK));
	CHECK_OK(access("cg/cgroup.procs", F_OK));
	CHECK_OK(access("cg/cgroup.clone_children", F_OK));
	CHECK_OK(access("cg/cgroup.sane_behavior", F_OK));
	CG_IS("", "cgroup.sane_behavior", "0\n");
	const char *a = cg_new("");
	CHECK_ERR(access(cg_path("%s/cgroup.sane_behavior", a), F_OK), ENOENT);
	CHECK_ERR(access(cg_path("%s/cgroup.events", a), F_OK), ENOENT);
	cg_drop(a);
}

static const char *own_line(const char *what)
{
	static char line[512];
	FILE *f = fopen("/proc/self/cgroup", "r");
	CHECK(f != NULL);
	while (fgets(line, sizeof line, f)) {
		char *colon = strchr(line, ':');
		if (colon && !strncmp(colon + 1, what, strlen(what))) {
			fclose(f);
			line[strcspn(line, "\n")] = 0;
			return colon + 1 + strlen(what);
		}
	}
	fclose(f);
	return NULL;
}

TEST(a_task_has_a_place_in_every_hierarchy)
{
	cg1("none,name=kt_place");
	CHECK(!strcmp(own_line("name=kt_place:"), "/"));
	const char *a = cg_new("");
	cg_enter(a);
	char want[300];
	snprintf(want, sizeof want, "/%s", a);
	CHECK(!strcmp(own_line("name=kt_place:"), want));
	cg_drop(a);
	/* Cgroups go a little after their rmdir; the hierarchy ends only without any. */
	kt_sleep_ms(500);
	CHECK_OK(umount("cg"));
	WAIT_FOR(own_line("name=kt_place:") == NULL);
}

TEST(hierarchies_are_found_again)
{
	cg1("none,name=kt_again");
	const char *a = cg_new("");
	mkdir("other", 0755);
	CHECK_OK(mount("none", "other", "cgroup", 0, "name=kt_again"));
	char path[300];
	snprintf(path, sizeof path, "other/%s", a);
	CHECK_OK(access(path, F_OK));
	CHECK_OK(umount("other"));
	CHECK_OK(umount("cg"));
	/* With a cgroup in it the hierarchy lives on without a mount. */
	CHECK_OK(mount("none", "cg", "cgroup", 0, "name=kt_again"));
	CHECK_OK(rmdir(cg_path("%s", a)));
}

TEST(bad_options)
{
	CHECK_OK(unshare(CLONE_NEWNS));
	CHECK_OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	mkdir("cg", 0755);
	CHECK_ERR(mount("none", "cg", "cgroup", 0, "none"), EINVAL);
	CHECK_ERR(mount("none", "cg", "cgroup", 0, "name=kt_nobody"), EINVAL);
	CHECK_ERR(mount("none", "cg", "cgroup", 0, "none,name="), EINVAL);
	CHECK_ERR(mount("none", "cg", "cgroup", 0, "none,name=a b"), EINVAL);
	CHECK_ERR(mount("none", "cg", "cgroup", 0, "none,name=a,name=b"), EINVAL);
	CHECK_ERR(mount("none", "cg", "cgroup", 0, "none,pids,name=a"), EINVAL);
	CHECK_ERR(mount("none", "cg", "cgroup", 0, "all,pids"), EINVAL);
	CHECK_ERR(mount("none", "cg", "cgroup", 0, "noprefix,pids"), EINVAL);
	CHECK_ERR(mount("none", "cg", "cgroup", 0, "kt_nothing"), EINVAL);
}

TEST(a_controller_is_in_one_hierarchy)
{
	cg1("pids");
	const char *a = cg_new("");
	CHECK_OK(access(cg_path("%s/pids.max", a), F_OK));
	mkdir("other", 0755);
	CHECK_ERR(mount("none", "other", "cgroup", 0, "pids,freezer"), EBUSY);
	CHECK_ERR(mount("none", "other", "cgroup", 0, "pids,name=x"), EBUSY);
	CHECK_OK(mount("none", "other", "cgroup2", 0, NULL));
	int fd = CHECK_OK(open("other/cgroup.controllers", O_RDONLY));
	char buf[256] = { 0 };
	CHECK_OK(read(fd, buf, sizeof buf - 1));
	CHECK(strstr(buf, "pids") == NULL);
	close(fd);
	CHECK_OK(rmdir(cg_path("%s", a)));
	cg1_end("pids");
	/* It went back to cgroup2. */
	fd = CHECK_OK(open("other/cgroup.controllers", O_RDONLY));
	memset(buf, 0, sizeof buf);
	CHECK_OK(read(fd, buf, sizeof buf - 1));
	close(fd);
	CHECK(strstr(buf, "pids") != NULL);
}

TEST(a_controller_in_use_is_not_taken)
{
	cg2();
	const char *a = cg_new("");
	CHECK_OK(cg_write("", "cgroup.subtree_control", "+pids"));
	mkdir("other", 0755);
	CHECK_ERR(mount("none", "other", "cgroup", 0, "pids"), EBUSY);
	CHECK_OK(cg_write("", "cgroup.subtree_control", "-pids"));
	cg_drop(a);
}

static pid_t other;

static void *idle(void *arg)
{
	(void)arg;
	__atomic_store_n(&other, (pid_t)syscall(SYS_gettid), __ATOMIC_SEQ_CST);
	for (;;)
		pause();
	return NULL;
}

TEST(threads_move_alone)
{
	cg1("none,name=kt_threads");
	const char *a = cg_new(""), *b = cg_new("");
	pid_t child = SPAWN({
		pthread_t thread;
		CHECK_EQ(pthread_create(&thread, NULL, idle, NULL), 0);
		WAIT_FOR(__atomic_load_n(&other, __ATOMIC_SEQ_CST) != 0);
		cg_enter(a);
		CHECK(cg_has_pid(a, "tasks", other));
		CHECK_OK(cg_put(b, "tasks", other));
		CHECK(cg_has_pid(b, "tasks", other));
		CHECK(!cg_has_pid(a, "tasks", other));
		CHECK(cg_has_pid(a, "tasks", getpid()));
		/* The process is shown wherever it has a thread. */
		CHECK(cg_has_pid(a, "cgroup.procs", getpid()));
		CHECK(cg_has_pid(b, "cgroup.procs", getpid()));
		CHECK_OK(cg_put(b, "cgroup.procs", getpid()));
		CG_IS(a, "tasks", "");
	});
	JOIN(child);
	cg_drop(a);
	cg_drop(b);
}

TEST(tasks_are_sorted)
{
	cg1("none,name=kt_sorted");
	const char *a = cg_new("");
	pid_t pids[5];
	for (int i = 0; i < 5; i++)
		pids[i] = SPAWN(for (;;) pause());
	for (int i = 4; i >= 0; i--)
		CHECK_OK(cg_put(a, "tasks", pids[i]));
	long last = 0;
	char *at = (char *)cg_read(a, "tasks");
	int n = 0;
	while (*at) {
		long pid = strtol(at, &at, 10);
		CHECK(pid > last);
		last = pid;
		at++;
		n++;
	}
	CHECK_EQ(n, 5);
	for (int i = 0; i < 5; i++)
		cg_end(pids[i]);
	cg_drop(a);
}

TEST(bad_tasks)
{
	cg1("none,name=kt_bad");
	const char *a = cg_new("");
	CHECK_ERR(cg_write(a, "tasks", "-1"), EINVAL);
	CHECK_ERR(cg_write(a, "tasks", "x"), EINVAL);
	CHECK_ERR(cg_write(a, "tasks", "4194000"), ESRCH);
	pid_t victim = SPAWN(for (;;) pause());
	CHECK_OK(chmod(cg_path("%s/tasks", a), 0666));
	pid_t child = SPAWN({
		CHECK_OK(setuid(1000));
		CHECK_ERR(cg_put(a, "tasks", victim), EACCES);
		CHECK_OK(cg_write(a, "tasks", "0"));
	});
	JOIN(child);
	cg_end(victim);
	cg_drop(a);
}

TEST(a_cgroup_is_renamed)
{
	cg1("none,name=kt_rename");
	const char *a = cg_new(""), *b = cg_new("");
	cg_enter(a);
	CHECK_OK(rename(cg_path("%s", a), "cg/renamed"));
	CHECK(!strcmp(own_line("name=kt_rename:"), "/renamed"));
	CHECK_ERR(access(cg_path("%s", a), F_OK), ENOENT);
	CHECK_ERR(rename("cg/renamed", cg_path("%s", b)), EEXIST);
	CHECK_ERR(rename("cg/renamed", cg_path("%s/x", b)), EIO);
	CHECK_ERR(rename("cg/renamed/tasks", "cg/renamed/x"), ENOTDIR);
	CHECK_OK(cg_write("", "tasks", "0"));
	CHECK_OK(rmdir("cg/renamed"));
	cg_drop(b);
}

TEST(clone_children)
{
	cg1("none,name=kt_clone");
	const char *a = cg_new("");
	CG_IS(a, "cgroup.clone_children", "0\n");
	CHECK_OK(cg_write(a, "cgroup.clone_children", "5\n"));
	CG_IS(a, "cgroup.clone_children", "1\n");
	const char *b = cg_new(a);
	CG_IS(b, "cgroup.clone_children", "1\n");
	CHECK_ERR(cg_write(a, "cgroup.clone_children", "x"), EINVAL);
	CHECK_ERR(cg_write(a, "cgroup.clone_children", "-1"), EINVAL);
	CHECK_ERR(cg_write(a, "cgroup.clone_children", " 1"), EINVAL);
	cg_drop(b);
	cg_drop(a);
}

TEST(a_task_that_exits_is_shown_in_the_root)
{
	cg1("none,name=kt_exit");
	const char *a = cg_new("");
	pid_t child = cg_sleeper(a);
	kill(child, SIGKILL);
	siginfo_t info;
	CHECK_OK(waitid(P_PID, child, &info, WEXITED | WNOWAIT));
	char path[64], line[512];
	snprintf(path, sizeof path, "/proc/%d/cgroup", (int)child);
	FILE *f = fopen(path, "r");
	CHECK(f != NULL);
	int found = 0;
	while (fgets(line, sizeof line, f))
		found |= strstr(line, ":name=kt_exit:/\n") != NULL;
	fclose(f);
	CHECK(found);
	CHECK_OK(rmdir(cg_path("%s", a)));
	kt_wait(child);
}

TEST(proc_cgroups)
{
	cg1("pids");
	FILE *f = fopen("/proc/cgroups", "r");
	CHECK(f != NULL);
	char line[256];
	CHECK(fgets(line, sizeof line, f) != NULL);
	CHECK(!strcmp(line, "#subsys_name\thierarchy\tnum_cgroups\tenabled\n"));
	int found = 0;
	while (fgets(line, sizeof line, f)) {
		char name[64];
		int hierarchy, count, enabled;
		CHECK_EQ(sscanf(line, "%63s\t%d\t%d\t%d", name, &hierarchy, &count, &enabled), 4);
		CHECK_EQ(enabled, 1);
		if (!strcmp(name, "pids")) {
			found = 1;
			CHECK(hierarchy > 0);
			CHECK_EQ(count, 1);
		}
	}
	fclose(f);
	CHECK(found);
	cg1_end("pids");
}

TEST(pids_in_v1)
{
	cg1("pids");
	const char *a = cg_new(""), *b = cg_new(a);
	CHECK_OK(cg_write(a, "pids.max", "2"));
	pid_t child = SPAWN({
		cg_enter(b);
		pid_t one = CHECK_OK(fork());
		if (one == 0) {
			for (;;)
				pause();
		}
		CHECK_ERR(fork(), EAGAIN);
		CHECK(cg_has_line(a, "pids.current", "2"));
		cg_end(one);
	});
	JOIN(child);
	CG_IS(a, "pids.current", "0\n");
	CHECK_ERR(access(cg_path("pids.max"), F_OK), ENOENT);
	cg_drop(b);
	cg_drop(a);
	cg1_end("pids");
}
