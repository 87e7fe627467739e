/* pid_namespaces(7), "/proc and PID namespaces"; proc(5): hidepid, gid, subset. */
#include <dirent.h>

#include "pid_ns.h"

static int listed(const char *dir, const char *name)
{
	int found = 0;
	DIR *d = opendir(dir);
	CHECK(d != NULL);
	for (struct dirent *e; (e = readdir(d));)
		found |= !strcmp(e->d_name, name);
	closedir(d);
	return found;
}

static const char *in(const char *dir, pid_t pid, const char *file)
{
	static char path[4][128];
	static int next;
	char *buf = path[next++ % 4];
	snprintf(buf, sizeof path[0], "%s/%d%s%s", dir, pid, *file ? "/" : "", file);
	return buf;
}

static const char *name_of(pid_t pid)
{
	static char name[16];
	snprintf(name, sizeof name, "%d", pid);
	return name;
}

/* A private mount namespace with an empty directory "p" for another procfs. */
static void prepare(void)
{
	CHECK_OK(unshare(CLONE_NEWNS));
	CHECK_OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	CHECK(mkdir("p", 0755) == 0 || errno == EEXIST);
	CHECK_OK(chmod(".", 0755));
}

TEST(a_mount_shows_the_namespace_of_its_maker)
{
	JOIN(SPAWN({
		prepare();
		/* Made by a child: its namespace. For us there is no "self" in it. */
		struct sync s = sync_new();
		pid_t child = SPAWN_IN(CLONE_NEWPID, {
			char link[32] = "";
			CHECK_OK(mount("proc", "p", "proc", 0, NULL));
			CHECK(readlink("p/self", link, sizeof link) > 0);
			CHECK(!strcmp(link, "1"));
			/* The outer /proc knows this process by its outer number. */
			memset(link, 0, sizeof link);
			CHECK(readlink("/proc/self", link, sizeof link) > 0);
			CHECK(atoi(link) > 1);
			CHECK_EQ(kt_field("/proc/self/status", "Pid:"), atoi(link));
			ready_and_hold(&s);
		});
		until_ready(&s);
		char link[32];
		CHECK_ERR(readlink("p/self", link, sizeof link), ENOENT);
		CHECK_ERR(readlink("p/thread-self", link, sizeof link), ENOENT);
		CHECK_ERR(open("p/self/status", O_RDONLY), ENOENT);
		CHECK(listed("p", "1"));
		CHECK(!listed("p", "2"));
		CHECK_EQ(kt_field("p/1/status", "Pid:"), 1);
		CHECK_EQ(kt_field("p/1/status", "PPid:"), 0);
		CHECK_EQ(kt_field("p/1/status", "NSpid:"), 1);
		CHECK_EQ(kt_field(proc_path(child, "status"), "NSpid:"), child);
		let_go(&s);
		JOIN(child);
		/* The namespace is dead, the mount empty. */
		CHECK(!listed("p", "1"));
		CHECK_ERR(open("p/1/status", O_RDONLY), ENOENT);
		CHECK_OK(close(CHECK_OK(open("p/version", O_RDONLY))));
		CHECK_OK(umount2("p", 0));
	}));
}

/* An ordinary user's view of a process of root and of one of its own, under these options. */
static void look(const char *options, int open_others, int see_others, gid_t group)
{
	pid_t child = SPAWN({
		prepare();
		CHECK_OK(mount("proc", "p", "proc", 0, options));
		struct sync s = sync_new();
		pid_t root = SPAWN(hold(&s));
		pid_t own = SPAWN({
			become(1000);
			ready_and_hold(&s);
		});
		until_ready(&s);
		JOIN(SPAWN({
			if (group)
				CHECK_OK(setgroups(1, &group));
			else
				CHECK_OK(setgroups(0, NULL));
			CHECK_OK(setresgid(1000, 1000, 1000));
			CHECK_OK(setresuid(1000, 1000, 1000));
			CHECK_OK(prctl(PR_SET_DUMPABLE, 1));
			CHECK_EQ(listed("p", name_of(root)), see_others);
			struct stat st;
			CHECK_EQ(stat(in("p", root, ""), &st) == 0, see_others);
			if (see_others && !open_others)
				CHECK_ERR(access(in("p", root, ""), F_OK), EPERM);
			int fd = open(in("p", root, "status"), O_RDONLY);
			CHECK_EQ(fd >= 0, open_others);
			if (fd < 0)
				CHECK(errno == (see_others ? EPERM : ENOENT));
			CHECK(listed("p", name_of(own)));
			CHECK_OK(close(CHECK_OK(open(in("p", own, "status"), O_RDONLY))));
			CHECK_OK(close(CHECK_OK(open("p/self/status", O_RDONLY))));
		}));
		/* To root everything is open but with ptraceable it must be allowed to trace. */
		CHECK_OK(close(CHECK_OK(open(in("p", own, "status"), O_RDONLY))));
		CHECK(listed("p", name_of(own)));
		let_go(&s);
		let_go(&s);
		JOIN(root);
		JOIN(own);
	});
	JOIN(child);
}

TEST(hidepid_0)
{
	look("hidepid=0", 1, 1, 0);
	look("hidepid=off", 1, 1, 0);
	look(NULL, 1, 1, 0);
}

TEST(hidepid_1)
{
	look("hidepid=1", 0, 1, 0);
	look("hidepid=noaccess", 0, 1, 0);
}

TEST(hidepid_2)
{
	look("hidepid=2", 0, 0, 0);
	look("hidepid=invisible", 0, 0, 0);
}

TEST(hidepid_4)
{
	look("hidepid=4", 0, 0, 0);
	look("hidepid=ptraceable", 0, 0, 0);
}

TEST(a_group_that_sees_all)
{
	look("hidepid=2,gid=77", 1, 1, 77);
	look("hidepid=1,gid=77", 1, 1, 77);
	look("hidepid=2,gid=77", 0, 0, 78);
	/* Not with ptraceable. */
	look("hidepid=4,gid=77", 0, 0, 77);
}

TEST(subset_pid)
{
	JOIN(SPAWN({
		prepare();
		CHECK_OK(mount("proc", "p", "proc", 0, "subset=pid"));
		CHECK_ERR(open("p/version", O_RDONLY), ENOENT);
		CHECK_ERR(open("p/sys/kernel/hostname", O_RDONLY), ENOENT);
		CHECK_ERR(open("p/sys", O_RDONLY), ENOENT);
		CHECK(!listed("p", "version"));
		CHECK(listed("p", "self"));
		CHECK(listed("p", name_of(getpid())));
		CHECK_OK(close(CHECK_OK(open("p/self/status", O_RDONLY))));
		CHECK_OK(close(CHECK_OK(open("/proc/version", O_RDONLY))));
	}));
}

TEST(options)
{
	JOIN(SPAWN({
		prepare();
		CHECK_ERR(mount("proc", "p", "proc", 0, "hidepid=3"), EINVAL);
		CHECK_ERR(mount("proc", "p", "proc", 0, "hidepid=5"), EINVAL);
		CHECK_ERR(mount("proc", "p", "proc", 0, "hidepid=x"), EINVAL);
		CHECK_ERR(mount("proc", "p", "proc", 0, "subset=all"), EINVAL);
		CHECK_ERR(mount("proc", "p", "proc", 0, "gid=x"), EINVAL);
		CHECK_ERR(mount("proc", "p", "proc", 0, "nonsense"), EINVAL);
		CHECK_OK(mount("proc", "p", "proc", 0, "hidepid=2,gid=5,subset=pid"));
		static char text[65536];
		CHECK(kt_read_file("/proc/self/mounts", text, sizeof text) > 0);
		CHECK(strstr(text, "proc rw,relatime,gid=5,hidepid=invisible,subset=pid 0 0") != NULL);
		/* Changed by a remount; those not named stay. */
		CHECK_OK(mount(NULL, "p", NULL, MS_REMOUNT, "hidepid=1"));
		CHECK(kt_read_file("/proc/self/mounts", text, sizeof text) > 0);
		CHECK(strstr(text, "gid=5,hidepid=noaccess,subset=pid 0 0") != NULL);
	}));
}

TEST(a_user_namespace_mounts_its_own_only)
{
	JOIN(SPAWN({
		become(1000);
		CHECK_OK(unshare(CLONE_NEWUSER | CLONE_NEWNS));
		/* The pid namespace is not its own. */
		CHECK_ERR(mount("proc", "/proc", "proc", 0, NULL), EPERM);
	}));
	JOIN(SPAWN({
		become(1000);
		CHECK_OK(unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID));
		JOIN(SPAWN({
			CHECK_OK(mount("proc", "/proc", "proc", 0, NULL));
			CHECK_EQ(kt_field("/proc/self/status", "Pid:"), 1);
			struct stat st;
			CHECK_OK(stat("/proc/sys/kernel/hostname", &st));
			CHECK_EQ(st.st_uid, OVERFLOW_ID);
		}));
	}));
}

TEST(ns_last_pid)
{
	JOIN(SPAWN_IN(CLONE_NEWPID, {
		CHECK_EQ(kt_field("/proc/sys/kernel/ns_last_pid", ""), 1);
		CHECK_OK(kt_write_file("/proc/sys/kernel/ns_last_pid", "500"));
		pid_t child = SPAWN((void)0);
		CHECK_EQ(child, 501);
		JOIN(child);
		CHECK_EQ(kt_field("/proc/sys/kernel/ns_last_pid", ""), 501);
		JOIN(SPAWN({
			become(1000);
			CHECK_ERR(kt_write_file("/proc/sys/kernel/ns_last_pid", "1000"), EPERM);
		}));
	}));
}

/* The last number of /proc/loadavg is the reader's namespace's, whatever the mount shows. */
TEST(loadavg_ends_with_the_readers_last_pid)
{
	JOIN(SPAWN_IN(CLONE_NEWPID, {
		double loads[3];
		int last = 0;
		JOIN(SPAWN((void)0));
		JOIN(SPAWN((void)0));
		FILE *f = fopen("/proc/loadavg", "r");
		CHECK_EQ(fscanf(f, "%lf %lf %lf %*d/%*d %d", &loads[0], &loads[1], &loads[2], &last), 4);
		CHECK_EQ(last, 3);
	}));
}

TEST(numbers_come_round)
{
	JOIN(SPAWN_IN(CLONE_NEWPID, {
		long long max = kt_field("/proc/sys/kernel/pid_max", "");
		char text[32];
		snprintf(text, sizeof text, "%lld", max - 3);
		CHECK_OK(kt_write_file("/proc/sys/kernel/ns_last_pid", text));
		pid_t kept = SPAWN(pause());
		CHECK_EQ(kept, max - 2);
		pid_t last = SPAWN(pause());
		CHECK_EQ(last, max - 1);
		/* After the last the first ones are left out. */
		pid_t next = SPAWN((void)0);
		CHECK_EQ(next, 300);
		JOIN(next);
	}));
}
