/* cgroup2's tree and core files: Documentation/admin-guide/cgroup-v2.rst, cgroups(7). */
#include <linux/sched.h>
#include <sys/xattr.h>

#include "cgroup.h"

TEST(the_magic_of_cgroup2)
{
	cg2();
	struct statfs fs;
	CHECK_OK(statfs("cg", &fs));
	CHECK_EQ(fs.f_type, CGROUP2_MAGIC);
}

TEST(files_of_the_root_and_of_others)
{
	cg2();
	const char *a = cg_new("");
	const char *both[] = { "cgroup.procs", "cgroup.threads", "cgroup.controllers", "cgroup.subtree_control",
			       "cgroup.max.depth", "cgroup.max.descendants", "cgroup.stat" };
	const char *below[] = { "cgroup.type", "cgroup.events", "cgroup.freeze", "cgroup.kill" };
	for (unsigned i = 0; i < sizeof both / sizeof *both; i++) {
		CHECK_OK(access(cg_path("%s", both[i]), F_OK));
		CHECK_OK(access(cg_path("%s/%s", a, both[i]), F_OK));
	}
	for (unsigned i = 0; i < sizeof below / sizeof *below; i++) {
		CHECK_ERR(access(cg_path("%s", below[i]), F_OK), ENOENT);
		CHECK_OK(access(cg_path("%s/%s", a, below[i]), F_OK));
	}
	struct stat st;
	CHECK_OK(stat(cg_path("%s/cgroup.procs", a), &st));
	CHECK_EQ(st.st_mode, S_IFREG | 0644);
	CHECK_OK(stat(cg_path("%s/cgroup.kill", a), &st));
	CHECK_EQ(st.st_mode, S_IFREG | 0200);
	CHECK_OK(stat(cg_path("%s/cgroup.events", a), &st));
	CHECK_EQ(st.st_mode, S_IFREG | 0444);
	cg_drop(a);
}

TEST(a_new_cgroup_is_empty)
{
	cg2();
	const char *a = cg_new("");
	CG_IS(a, "cgroup.procs", "");
	CG_IS(a, "cgroup.type", "domain\n");
	CG_IS(a, "cgroup.events", "populated 0\nfrozen 0\n");
	CG_IS(a, "cgroup.max.depth", "max\n");
	CG_IS(a, "cgroup.max.descendants", "max\n");
	CG_IS(a, "cgroup.stat", "nr_descendants 0\nnr_dying_descendants 0\n");
	CG_IS(a, "cgroup.subtree_control", "");
	CG_IS(a, "cgroup.freeze", "0\n");
	cg_drop(a);
}

TEST(names)
{
	cg2();
	CHECK_ERR(mkdir("cg/a\nb", 0755), EINVAL);
	CHECK_ERR(mkdir("cg/cgroup.procs", 0755), EEXIST);
	CHECK_ERR(mkdir("cg/nothing/x", 0755), ENOENT);
	CHECK_ERR(open("cg/file", O_CREAT | O_WRONLY, 0644), EACCES);
	CHECK_ERR(unlink("cg/cgroup.procs"), EPERM);
	const char *a = cg_new("");
	CHECK_ERR(mkdir(cg_path("%s", a), 0755), EEXIST);
	CHECK_ERR(rename(cg_path("%s", a), "cg/other"), EPERM);
	CHECK_ERR(symlink("x", cg_path("%s/link", a)), EPERM);
	cg_drop(a);
}

TEST(a_process_moves)
{
	cg2();
	const char *a = cg_new("");
	cg_enter(a);
	CHECK(cg_has_pid(a, "cgroup.procs", getpid()));
	CHECK(cg_has_pid(a, "cgroup.threads", getpid()));
	CHECK(!cg_has_pid("", "cgroup.procs", getpid()));
	char want[300];
	snprintf(want, sizeof want, "/%s", a);
	CHECK(!strcmp(cg_of("self", "0::"), want));
	CG_IS(a, "cgroup.events", "populated 1\nfrozen 0\n");
	cg_drop(a);
	CHECK(!strcmp(cg_of("self", "0::"), "/"));
}

TEST(pids_that_are_none)
{
	cg2();
	const char *a = cg_new("");
	CHECK_ERR(cg_write(a, "cgroup.procs", "-1"), EINVAL);
	CHECK_ERR(cg_write(a, "cgroup.procs", "abc"), EINVAL);
	CHECK_ERR(cg_write(a, "cgroup.procs", "1 2"), EINVAL);
	CHECK_ERR(cg_write(a, "cgroup.procs", "99999999999"), EINVAL);
	CHECK_ERR(cg_write(a, "cgroup.procs", "\n"), EINVAL);
	CHECK_ERR(cg_write(a, "cgroup.procs", "4194000"), ESRCH);
	char text[32];
	snprintf(text, sizeof text, "  0x%x \n", (int)getpid());
	CHECK_OK(cg_write(a, "cgroup.procs", text));
	CHECK(cg_has_pid(a, "cgroup.procs", getpid()));
	CHECK_OK(cg_write("", "cgroup.procs", "0"));
	/* What follows a zero byte is not looked at. */
	CHECK_OK(cg_write_n(a, "cgroup.procs", "0\0garbage", 9));
	CHECK(cg_has_pid(a, "cgroup.procs", getpid()));
	cg_drop(a);
}

TEST(odd_reads_and_writes)
{
	cg2();
	const char *a = cg_new("");
	static char big[8192];
	memset(big, ' ', sizeof big);
	CHECK_ERR(cg_write_n(a, "cgroup.procs", big, 4097), E2BIG);
	CHECK_ERR(cg_write_n(a, "cgroup.procs", big, 4096), EINVAL);
	int fd = CHECK_OK(open(cg_path("%s/cgroup.procs", a), O_RDWR));
	CHECK_EQ(write(fd, "", 0), 0);
	CHECK_ERR(write(fd, BAD_PTR, 4), EFAULT);
	close(fd);
	CHECK_ERR(cg_write(a, "cgroup.events", "1"), EINVAL);
	CHECK_ERR(cg_get(a, "cgroup.kill", big, sizeof big), EINVAL);
	fd = CHECK_OK(open(cg_path("%s/cgroup.events", a), O_RDONLY));
	char part[8];
	CHECK_EQ(read(fd, part, 5), 5);
	CHECK(!memcmp(part, "popul", 5));
	CHECK_EQ(read(fd, part, 5), 5);
	CHECK(!memcmp(part, "ated ", 5));
	CHECK_EQ(pread(fd, part, 4, 2), 4);
	CHECK(!memcmp(part, "pula", 4));
	close(fd);
	cg_drop(a);
}

TEST(a_cgroup_in_use_is_not_removed)
{
	cg2();
	const char *a = cg_new(""), *b = cg_new(a);
	CHECK_ERR(rmdir(cg_path("%s", a)), EBUSY);
	cg_enter(b);
	CHECK_ERR(rmdir(cg_path("%s", b)), EBUSY);
	CG_IS(a, "cgroup.events", "populated 1\nfrozen 0\n");
	CG_IS(a, "cgroup.procs", "");
	cg_drop(b);
	CG_IS(a, "cgroup.events", "populated 0\nfrozen 0\n");
	cg_drop(a);
	CHECK_ERR(rmdir("cg/cgroup.procs"), ENOTDIR);
}

TEST(an_open_file_of_a_removed_cgroup)
{
	cg2();
	const char *a = cg_new("");
	int procs = CHECK_OK(open(cg_path("%s/cgroup.procs", a), O_RDWR));
	int dir = CHECK_OK(open(cg_path("%s", a), O_RDONLY | O_DIRECTORY));
	cg_drop(a);
	char buf[16];
	CHECK_ERR(read(procs, buf, sizeof buf), ENODEV);
	CHECK_ERR(write(procs, "0", 1), ENODEV);
	CHECK_ERR(openat(dir, "cgroup.procs", O_RDONLY), ENOENT);
	CHECK_ERR(mkdirat(dir, "x", 0755), ENOENT);
	/* The name can be used again. */
	CHECK_OK(mkdir(cg_path("%s", a), 0755));
	CHECK_ERR(read(procs, buf, sizeof buf), ENODEV);
	cg_drop(a);
}

TEST(children_are_born_where_the_parent_is)
{
	cg2();
	const char *a = cg_new("");
	cg_enter(a);
	pid_t child = SPAWN(for (;;) pause());
	CHECK(cg_has_pid(a, "cgroup.procs", child));
	CHECK_OK(cg_write("", "cgroup.procs", "0"));
	CHECK(cg_has_pid(a, "cgroup.procs", child));
	cg_end(child);
	CG_IS(a, "cgroup.procs", "");
	cg_drop(a);
}

TEST(a_zombie_does_not_hold_its_cgroup)
{
	cg2();
	const char *a = cg_new("");
	pid_t child = SPAWN(pause());
	CHECK_OK(cg_put(a, "cgroup.procs", child));
	kill(child, SIGKILL);
	siginfo_t info;
	CHECK_OK(waitid(P_PID, child, &info, WEXITED | WNOWAIT));
	CG_IS(a, "cgroup.procs", "");
	CG_IS(a, "cgroup.events", "populated 0\nfrozen 0\n");
	char pid[16], want[300];
	snprintf(pid, sizeof pid, "%d", (int)child);
	snprintf(want, sizeof want, "/%s", a);
	CHECK(!strcmp(cg_of(pid, "0::"), want));
	CHECK_OK(rmdir(cg_path("%s", a)));
	snprintf(want, sizeof want, "/%s (deleted)", a);
	CHECK(!strcmp(cg_of(pid, "0::"), want));
	kt_wait(child);
}

TEST(too_many_and_too_deep)
{
	cg2();
	const char *a = cg_new("");
	CHECK_OK(cg_write(a, "cgroup.max.descendants", "1\n"));
	CG_IS(a, "cgroup.max.descendants", "1\n");
	const char *b = cg_new(a);
	CHECK_ERR(mkdir(cg_path("%s/c", a), 0755), EAGAIN);
	CHECK_ERR(mkdir(cg_path("%s/c", b), 0755), EAGAIN);
	CHECK_OK(cg_write(a, "cgroup.max.descendants", "max"));
	CHECK_OK(cg_write(a, "cgroup.max.depth", "1"));
	CHECK_ERR(mkdir(cg_path("%s/c", b), 0755), EAGAIN);
	CHECK_OK(mkdir(cg_path("%s/c", a), 0755));
	CG_IS(a, "cgroup.stat", "nr_descendants 2\nnr_dying_descendants 0\n");
	CHECK_OK(rmdir(cg_path("%s/c", a)));
	CHECK_OK(cg_write(a, "cgroup.max.depth", "0"));
	CHECK_ERR(mkdir(cg_path("%s/c", a), 0755), EAGAIN);
	CHECK_ERR(cg_write(a, "cgroup.max.depth", "2147483648"), ERANGE);
	CHECK_ERR(cg_write(a, "cgroup.max.depth", "-1"), ERANGE);
	CHECK_ERR(cg_write(a, "cgroup.max.depth", "many"), EINVAL);
	cg_drop(b);
	cg_drop(a);
}

TEST(a_zombie_keeps_a_dying_cgroup)
{
	cg2();
	const char *a = cg_new(""), *b = cg_new(a);
	pid_t child = cg_sleeper(b);
	kill(child, SIGKILL);
	siginfo_t info;
	CHECK_OK(waitid(P_PID, child, &info, WEXITED | WNOWAIT));
	CHECK_OK(rmdir(cg_path("%s", b)));
	CG_IS(a, "cgroup.stat", "nr_descendants 0\nnr_dying_descendants 1\n");
	kt_wait(child);
	WAIT_FOR(cg_has_line(a, "cgroup.stat", "nr_dying_descendants 0"));
	cg_drop(a);
}

TEST(subtree_control_words)
{
	cg2();
	const char *a = cg_new("");
	CHECK_ERR(cg_write(a, "cgroup.subtree_control", "pids"), EINVAL);
	CHECK_ERR(cg_write(a, "cgroup.subtree_control", "+"), EINVAL);
	CHECK_ERR(cg_write(a, "cgroup.subtree_control", "+nothing"), EINVAL);
	CHECK_ERR(cg_write(a, "cgroup.subtree_control", "+pids +nothing"), EINVAL);
	CHECK_ERR(cg_write(a, "cgroup.subtree_control", "+freezer"), EINVAL);
	CHECK_OK(cg_write(a, "cgroup.subtree_control", "-pids"));
	CHECK_OK(cg_write(a, "cgroup.subtree_control", " \n"));
	CHECK_OK(cg_write("", "cgroup.subtree_control", "-pids"));
	CHECK_ERR(cg_write(a, "cgroup.subtree_control", "+pids"), ENOENT);
	CG_IS(a, "cgroup.subtree_control", "");
	cg_drop(a);
}

TEST(controllers_are_enabled_from_the_top)
{
	cg2();
	const char *a = cg_new(""), *b = cg_new(a);
	CHECK(cg_has_word("", "cgroup.controllers", "pids"));
	CHECK_OK(cg_write("", "cgroup.subtree_control", "+pids\n"));
	CHECK(cg_has_word("", "cgroup.subtree_control", "pids"));
	CHECK(cg_has_word(a, "cgroup.controllers", "pids"));
	CHECK(!cg_has_word(b, "cgroup.controllers", "pids"));
	CHECK_OK(access(cg_path("%s/pids.max", a), F_OK));
	CHECK_ERR(access(cg_path("%s/pids.max", b), F_OK), ENOENT);
	CHECK_OK(cg_write(a, "cgroup.subtree_control", "+pids"));
	CHECK_OK(access(cg_path("%s/pids.max", b), F_OK));
	CHECK_ERR(cg_write("", "cgroup.subtree_control", "-pids"), EBUSY);
	int fd = CHECK_OK(open(cg_path("%s/pids.max", b), O_RDONLY));
	CHECK_OK(cg_write(a, "cgroup.subtree_control", "+pids -pids"));
	char buf[16];
	CHECK_ERR(read(fd, buf, sizeof buf), ENODEV);
	CHECK_ERR(access(cg_path("%s/pids.max", b), F_OK), ENOENT);
	CHECK_OK(cg_write("", "cgroup.subtree_control", "-pids"));
	CHECK_ERR(access(cg_path("%s/pids.max", a), F_OK), ENOENT);
	cg_drop(b);
	cg_drop(a);
}

TEST(no_processes_beside_domain_controllers)
{
	cg2();
	const char *a = cg_new(""), *b = cg_new(a);
	CHECK_OK(cg_write("", "cgroup.subtree_control", "+memory"));
	pid_t child = cg_sleeper(a);
	CHECK_ERR(cg_write(a, "cgroup.subtree_control", "+memory"), EBUSY);
	CHECK_OK(cg_put(b, "cgroup.procs", child));
	CHECK_OK(cg_write(a, "cgroup.subtree_control", "+memory"));
	CHECK_ERR(cg_put(a, "cgroup.procs", child), EBUSY);
	CHECK_OK(cg_put("", "cgroup.procs", child));
	CHECK_ERR(cg_put(a, "cgroup.procs", child), EBUSY);
	CHECK_OK(cg_write(a, "cgroup.subtree_control", "-memory"));
	CHECK_OK(cg_put(a, "cgroup.procs", child));
	cg_end(child);
	cg_drop(b);
	cg_drop(a);
	CHECK_OK(cg_write("", "cgroup.subtree_control", "-memory"));
}

static short revents(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLPRI };
	CHECK_OK(poll(&p, 1, ms));
	return p.revents;
}

TEST(events_wake_poll)
{
	cg2();
	const char *a = cg_new("");
	int fd = CHECK_OK(open(cg_path("%s/cgroup.events", a), O_RDONLY));
	char buf[64];
	CHECK_EQ(revents(fd, 0), POLLPRI | POLLERR);
	CHECK(pread(fd, buf, sizeof buf, 0) > 0);
	CHECK_EQ(revents(fd, 0), 0);
	pid_t child = SPAWN(kt_sleep_ms(100); cg_enter(a); kt_sleep_ms(100));
	CHECK_EQ(revents(fd, 10000), POLLPRI | POLLERR);
	CHECK_EQ(revents(fd, 0), POLLPRI | POLLERR);
	CHECK(pread(fd, buf, sizeof buf - 1, 0) > 0);
	CHECK(!strncmp(buf, "populated 1\n", 12));
	CHECK_EQ(revents(fd, 10000), POLLPRI | POLLERR);
	CHECK(pread(fd, buf, sizeof buf - 1, 0) > 0);
	CHECK(!strncmp(buf, "populated 0\n", 12));
	JOIN(child);
	cg_drop(a);
}

TEST(events_wake_inotify)
{
	cg2();
	const char *a = cg_new("");
	int in = CHECK_OK(inotify_init1(IN_NONBLOCK));
	CHECK_OK(inotify_add_watch(in, cg_path("%s/cgroup.events", a), IN_MODIFY));
	pid_t child = cg_sleeper(a);
	char buf[256];
	WAIT_FOR(read(in, buf, sizeof buf) > 0);
	CHECK_EQ(((struct inotify_event *)buf)->mask, IN_MODIFY);
	cg_end(child);
	WAIT_FOR(read(in, buf, sizeof buf) > 0);
	cg_drop(a);
}

/* Events of a watch that are there; -1 if there are none. */
static int modified(int in)
{
	char buf[4096];
	ssize_t n = read(in, buf, sizeof buf);
	return n < 0 ? -1 : (int)(n / sizeof(struct inotify_event));
}

TEST(events_are_told_every_ten_milliseconds)
{
	cg2();
	const char *a = cg_new("");
	pid_t child = SPAWN(for (;;) pause());
	int in = CHECK_OK(inotify_init1(IN_NONBLOCK));
	CHECK_OK(inotify_add_watch(in, cg_path("%s/cgroup.events", a), IN_MODIFY));
	kt_sleep_ms(20);
	int told = 0;
	long long start = kt_now_ms();
	for (int i = 0; i < 25; i++) {
		CHECK_OK(cg_put(a, "cgroup.procs", child));
		told += modified(in) > 0;
		CHECK_OK(cg_put("", "cgroup.procs", child));
		told += modified(in) > 0;
	}
	long long span = kt_now_ms() - start;
	/* The first at once, the last when its time has come. */
	CHECK(told >= 1);
	WAIT_FOR(modified(in) > 0);
	CHECK(cg_has_line(a, "cgroup.events", "populated 0"));
	if (told > span / 10 + 2)
		KT_FAIL("%d events in %lld ms", told, span);
	cg_end(child);
	cg_drop(a);
}

static pid_t clone_into(int fd)
{
	struct clone_args args = { .flags = CLONE_INTO_CGROUP, .exit_signal = SIGCHLD, .cgroup = fd };
	return syscall(SYS_clone3, &args, sizeof args);
}

TEST(a_child_is_born_into_a_cgroup)
{
	cg2();
	const char *a = cg_new("");
	int dir = CHECK_OK(open(cg_path("%s", a), O_PATH | O_DIRECTORY | O_CLOEXEC));
	pid_t child = CHECK_OK(clone_into(dir));
	if (child == 0) {
		for (;;)
			pause();
	}
	CHECK(cg_has_pid(a, "cgroup.procs", child));
	CHECK(cg_has_pid("", "cgroup.procs", getpid()));
	cg_end(child);
	cg_drop(a);
	CHECK_ERR(clone_into(dir), ENOENT);
	CHECK_ERR(clone_into(-1), EINVAL);
	CHECK_ERR(clone_into(1000), EBADF);
	int other = CHECK_OK(open("/", O_RDONLY));
	CHECK_ERR(clone_into(other), EBADF);
}

TEST(kill_ends_a_subtree)
{
	cg2();
	const char *a = cg_new(""), *b = cg_new(a);
	CHECK_ERR(cg_write(a, "cgroup.kill", "0"), ERANGE);
	CHECK_ERR(cg_write(a, "cgroup.kill", "2"), ERANGE);
	CHECK_ERR(cg_write(a, "cgroup.kill", "x"), EINVAL);
	pid_t one = cg_sleeper(a), two = cg_sleeper(b);
	CHECK_OK(cg_write(a, "cgroup.kill", "1\n"));
	CHECK_EQ(kt_wait(one), SIGKILL);
	CHECK_EQ(kt_wait(two), SIGKILL);
	CG_IS(a, "cgroup.events", "populated 0\nfrozen 0\n");
	cg_drop(b);
	cg_drop(a);
}

TEST(kill_beats_a_fork_bomb)
{
	cg2();
	const char *a = cg_new("");
	CHECK_OK(cg_write("", "cgroup.subtree_control", "+pids"));
	CHECK_OK(cg_write(a, "pids.max", "50"));
	pid_t bomb = SPAWN({
		cg_enter(a);
		for (;;)
			if (fork() < 0)
				sched_yield();
	});
	WAIT_FOR(!cg_has_line(a, "pids.current", "0"));
	kt_sleep_ms(50);
	CHECK_OK(cg_write(a, "cgroup.kill", "1"));
	WAIT_FOR(cg_has_line(a, "cgroup.events", "populated 0"));
	kt_wait(bomb);
	WAIT_FOR(cg_has_line(a, "pids.current", "0"));
	cg_drop(a);
	CHECK_OK(cg_write("", "cgroup.subtree_control", "-pids"));
}

TEST(owner_and_mode_of_files)
{
	cg2();
	const char *a = cg_new("");
	const char *procs = cg_path("%s/cgroup.procs", a);
	struct stat st;
	CHECK_OK(chown(procs, 7, 8));
	CHECK_OK(chmod(procs, 0600));
	CHECK_OK(stat(procs, &st));
	CHECK_EQ(st.st_uid, 7);
	CHECK_EQ(st.st_gid, 8);
	CHECK_EQ(st.st_mode & 07777, 0600);
	CHECK_OK(stat(cg_path("%s/cgroup.events", a), &st));
	CHECK_EQ(st.st_uid, 0);
	CHECK_OK(chown(cg_path("%s", a), 9, 9));
	CHECK_OK(stat(cg_path("%s", a), &st));
	CHECK_EQ(st.st_uid, 9);
	CHECK_EQ(st.st_nlink, 2);
	CHECK_OK(truncate(procs, 0));
	cg_drop(a);
}

TEST(files_belong_to_who_makes_the_cgroup)
{
	cg2();
	const char *a = cg_new("");
	CHECK_OK(chmod(cg_path("%s", a), 0777));
	pid_t child = SPAWN({
		CHECK_OK(setgid(1000));
		CHECK_OK(setuid(1000));
		CHECK_OK(mkdir(cg_path("%s/mine", a), 0750));
	});
	JOIN(child);
	struct stat st;
	CHECK_OK(stat(cg_path("%s/mine", a), &st));
	CHECK_EQ(st.st_uid, 1000);
	CHECK_EQ(st.st_mode & 07777, 0750);
	CHECK_OK(stat(cg_path("%s/mine/cgroup.procs", a), &st));
	CHECK_EQ(st.st_uid, 1000);
	CHECK_EQ(st.st_gid, 1000);
	CHECK_OK(rmdir(cg_path("%s/mine", a)));
	cg_drop(a);
}

TEST(extended_attributes)
{
	cg2();
	const char *a = cg_new("");
	char buf[16];
	CHECK_OK(setxattr(cg_path("%s", a), "user.note", "hello", 5, 0));
	CHECK_EQ(getxattr(cg_path("%s", a), "user.note", buf, sizeof buf), 5);
	CHECK_OK(setxattr(cg_path("%s", a), "trusted.note", "x", 1, 0));
	CHECK_ERR(getxattr(cg_path("%s", a), "user.other", buf, sizeof buf), ENODATA);
	CHECK_OK(removexattr(cg_path("%s", a), "user.note"));
	CHECK_ERR(getxattr(cg_path("%s", a), "user.note", buf, sizeof buf), ENODATA);
	cg_drop(a);
}

TEST(mount_options)
{
	CHECK_OK(cg_mount("cgroup2", "nsdelegate"));
	CHECK_ERR(mount("none", "cg", "cgroup2", 0, "pids"), EINVAL);
	CHECK_ERR(mount("none", "cg", "cgroup2", 0, "nsdelegate=1"), EINVAL);
	mkdir("other", 0755);
	CHECK_OK(mount("none", "other", "cgroup2", 0, NULL));
	/* The same tree. */
	const char *a = cg_new("");
	char path[300];
	snprintf(path, sizeof path, "other/%s", a);
	CHECK_OK(access(path, F_OK));
	struct stat one, two;
	CHECK_OK(stat(cg_path("%s", a), &one));
	CHECK_OK(stat(path, &two));
	CHECK_EQ(one.st_ino, two.st_ino);
	CHECK_EQ(one.st_dev, two.st_dev);
	cg_drop(a);
}

TEST(a_delegated_subtree)
{
	cg2();
	const char *a = cg_new(""), *b = cg_new(""), *c = cg_new(a);
	/* a is 1000's, b is not; c is in a. */
	CHECK_OK(chown(cg_path("%s", a), 1000, 1000));
	CHECK_OK(chown(cg_path("%s/cgroup.procs", a), 1000, 1000));
	CHECK_OK(chown(cg_path("%s/cgroup.procs", c), 1000, 1000));
	pid_t inside = cg_sleeper(a), outside = cg_sleeper(b);
	pid_t child = SPAWN({
		CHECK_OK(setgid(1000));
		CHECK_OK(setuid(1000));
		CHECK_OK(cg_put(c, "cgroup.procs", inside));
		CHECK_OK(cg_put(a, "cgroup.procs", inside));
		/* The common ancestor is not his. */
		CHECK_ERR(cg_put(a, "cgroup.procs", outside), EACCES);
		CHECK_ERR(cg_put(b, "cgroup.procs", inside), EACCES);
	});
	JOIN(child);
	cg_end(inside);
	cg_end(outside);
	cg_drop(c);
	cg_drop(b);
	cg_drop(a);
}

TEST(credentials_are_those_of_the_open)
{
	cg2();
	const char *a = cg_new(""), *b = cg_new(a);
	int fd = CHECK_OK(open(cg_path("%s/cgroup.procs", b), O_WRONLY));
	pid_t child = SPAWN({
		CHECK_OK(setuid(1000));
		/* Opened by root: counts as root's write. */
		CHECK_EQ(write(fd, "0", 1), 1);
	});
	JOIN(child);
	CHECK_OK(chmod(cg_path("%s/cgroup.procs", b), 0666));
	child = SPAWN({
		CHECK_OK(seteuid(1000));
		int own = CHECK_OK(open(cg_path("%s/cgroup.procs", b), O_WRONLY));
		CHECK_OK(seteuid(0));
		CHECK_ERR(write(own, "0", 1), EACCES);
	});
	JOIN(child);
	cg_drop(b);
	cg_drop(a);
}
