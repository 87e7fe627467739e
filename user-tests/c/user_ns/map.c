/* user_namespaces(7), "Defining user and group ID mappings". */
#include "ns.h"

/* A child in a new user namespace without maps, held until let go. */
#define NESTED(s, ...)                                                         \
	SPAWN({                                                                \
		CHECK_OK(unshare(CLONE_NEWUSER));                              \
		ready_and_hold(s);                                             \
		__VA_ARGS__;                                                   \
	})

TEST(maps_are_empty_at_first)
{
	JOIN(SPAWN({
		CHECK_OK(unshare(CLONE_NEWUSER));
		CHECK(!strcmp(proc_text(0, "uid_map"), ""));
		CHECK(!strcmp(proc_text(0, "gid_map"), ""));
		CHECK(!strcmp(proc_text(0, "projid_map"), ""));
		CHECK(!strcmp(proc_text(0, "setgroups"), "allow\n"));
		CHECK_EQ(getuid(), OVERFLOW_ID);
		CHECK_EQ(geteuid(), OVERFLOW_ID);
		CHECK_EQ(getgid(), OVERFLOW_ID);
		CHECK_ERR(setuid(0), EINVAL);
		CHECK_ERR(setgid(0), EINVAL);
		CHECK_ERR(setgroups(0, NULL), EPERM);
	}));
}

TEST(the_initial_maps)
{
	if (kt_native())
		SKIP("not in the initial namespace");
	CHECK(!strcmp(proc_text(0, "uid_map"), "0 0 4294967295\n"));
	CHECK(!strcmp(proc_text(0, "gid_map"), "0 0 4294967295\n"));
	CHECK(!strcmp(proc_text(0, "projid_map"), "0 0 4294967295\n"));
	CHECK_ERR(proc_write(0, "uid_map", "0 0 1"), EPERM);
	CHECK_ERR(proc_write(0, "projid_map", "0 0 1"), EPERM);
	char text[64];
	CHECK(kt_read_file("/proc/self/uid_map", text, sizeof text) > 0);
	CHECK(!strcmp(text, "         0          0 4294967295\n"));
}

TEST(a_map_is_written_once)
{
	struct sync s = sync_new();
	pid_t child = NESTED(&s, {
		CHECK_EQ(getuid(), 0);
		CHECK_EQ(getgid(), 5);
	});
	until_ready(&s);
	CHECK_OK(proc_write(child, "uid_map", "0 0 1"));
	CHECK_ERR(proc_write(child, "uid_map", "0 0 1"), EPERM);
	CHECK_ERR(proc_write(child, "uid_map", "nonsense"), EPERM);
	/* A failed write does not count. */
	CHECK_ERR(proc_write(child, "gid_map", "0 0"), EINVAL);
	CHECK_OK(proc_write(child, "gid_map", "5 0 1"));
	CHECK_ERR(proc_write(child, "gid_map", "5 0 1"), EPERM);
	let_go(&s);
	JOIN(child);
}

TEST(syntax)
{
	static const char *const bad[] = {
		"", "\n", "0", "0 0", "0 0 0", "0 0 1 1", "a 0 1", "0 a 1", "0 0 a", "0 0 1x",
		"-1 0 1", "4294967295 0 1", "0 4294967295 1", "0 0 1\n0 5 1", "0 0 5\n10 4 1",
		"0 0 5\n4 10 1", "0 0 1\n\n1 1 1", "0x0 0 1", "0 0x0 1", "0 0 0x1", "+0 0 1",
		"1 0 4294967295", "0 1 4294967295", "0 0 1\n1 1 1\n1 2 1", "0,0,1", "0 0 1\n\n",
	};
	static const char *const good[] = {
		"0 0 1", "0 0 1\n", "  0\t0    1  ", "0 0 1\n1 1 1", "5 0 1\n0 1 5\n",
		"000 00 01", "010 010 010", "0 0 4294967295", "\t0 0 1\n \t1 1 1 \n",
		"0 0 1\v\f\r",
	};
	struct sync s = sync_new();
	pid_t child = NESTED(&s, (void)0);
	until_ready(&s);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		errno = 0;
		int fd = CHECK_OK(open(proc_path(child, "uid_map"), O_WRONLY));
		ssize_t n = write(fd, bad[i], strlen(bad[i]));
		if (n >= 0 ? *bad[i] != 0 : errno != EINVAL)
			KT_FAIL("\"%s\" gave %zd, errno %d", bad[i], n, errno);
		close(fd);
	}
	let_go(&s);
	JOIN(child);
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		child = NESTED(&s, (void)0);
		until_ready(&s);
		if (proc_write(child, "uid_map", good[i]) < 0)
			KT_FAIL("\"%s\" failed, errno %d", good[i], errno);
		let_go(&s);
		JOIN(child);
	}
}

TEST(numbers_are_decimal)
{
	struct sync s = sync_new();
	pid_t child = NESTED(&s, (void)0);
	until_ready(&s);
	CHECK_OK(proc_write(child, "uid_map", "010 020 010"));
	CHECK(!strcmp(proc_text(child, "uid_map"), "10 20 10\n"));
	let_go(&s);
	JOIN(child);
}

TEST(three_hundred_and_forty_lines)
{
	static char text[8192];
	for (int lines = 340; lines <= 341; lines++) {
		struct sync s = sync_new();
		pid_t child = NESTED(&s, {
			CHECK_EQ(getuid(), 0);
			CHECK_OK(setresuid(339, 7, 0));
			CHECK_EQ(getuid(), 339);
		});
		until_ready(&s);
		char *at = text;
		/* Short enough for a page: one or two digits outside are enough once. */
		for (int i = 0; i < lines; i++)
			at += sprintf(at, "%d %d 1\n", i, i);
		CHECK(at - text < 4096);
		if (lines == 340)
			CHECK_OK(proc_write(child, "uid_map", text));
		else {
			CHECK_ERR(proc_write(child, "uid_map", text), EINVAL);
			CHECK_OK(proc_write(child, "uid_map", "0 0 400"));
		}
		let_go(&s);
		JOIN(child);
	}
}

TEST(one_write_at_the_start_shorter_than_a_page)
{
	static char big[4097];
	struct sync s = sync_new();
	pid_t child = NESTED(&s, (void)0);
	until_ready(&s);
	int fd = CHECK_OK(open(proc_path(child, "uid_map"), O_RDWR));
	memset(big, ' ', sizeof big);
	memcpy(big, "0 0 1", 5);
	CHECK_ERR(write(fd, big, 4096), EINVAL);
	CHECK_ERR(pwrite(fd, "0 0 1", 5, 1), ESPIPE);
	CHECK_ERR(write(fd, BAD_PTR, 5), EFAULT);
	CHECK_EQ(write(fd, big, 4095), 4095);
	CHECK_ERR(write(fd, "0 0 1", 5), EINVAL);
	close(fd);
	let_go(&s);
	JOIN(child);
}

TEST(the_order_of_lines_is_kept)
{
	struct sync s = sync_new();
	pid_t child = NESTED(&s, {
		/* Inside, a process sees its own map in terms of the parent. */
		CHECK(!strcmp(proc_text(0, "uid_map"), "5 0 1\n0 100 2\n9 7 1\n"));
		CHECK_EQ(getuid(), 5);
		CHECK_OK(setuid(1));
		CHECK_ERR(setuid(2), EINVAL);
	});
	until_ready(&s);
	CHECK_OK(proc_write(child, "uid_map", "5 0 1\n0 100 2\n9 7 1"));
	CHECK(!strcmp(proc_text(child, "uid_map"), "5 0 1\n0 100 2\n9 7 1\n"));
	let_go(&s);
	JOIN(child);
}

TEST(an_ordinary_user_maps_itself)
{
	JOIN(SPAWN({
		become(1000);
		CHECK_OK(unshare(CLONE_NEWUSER));
		CHECK_ERR(proc_write(0, "uid_map", "0 0 1"), EPERM);
		CHECK_ERR(proc_write(0, "uid_map", "0 1001 1"), EPERM);
		CHECK_ERR(proc_write(0, "uid_map", "0 1000 2"), EPERM);
		CHECK_ERR(proc_write(0, "uid_map", "0 1000 1\n1 1001 1"), EPERM);
		CHECK_OK(proc_write(0, "uid_map", "7 1000 1"));
		CHECK_EQ(getuid(), 7);
		/* The group needs setgroups to be denied before. */
		CHECK_ERR(proc_write(0, "gid_map", "0 1000 1"), EPERM);
		CHECK_OK(proc_write(0, "setgroups", "deny"));
		CHECK_ERR(proc_write(0, "gid_map", "0 1001 1"), EPERM);
		CHECK_OK(proc_write(0, "gid_map", "0 1000 1"));
		CHECK_EQ(getgid(), 0);
		CHECK_ERR(setgroups(0, NULL), EPERM);
		CHECK(!strcmp(proc_text(0, "setgroups"), "deny\n"));
	}));
}

TEST(an_effective_id_is_what_may_be_mapped)
{
	JOIN(SPAWN({
		CHECK_OK(setresgid(1001, 1000, 1000));
		CHECK_OK(setresuid(1001, 1000, 1000));
		CHECK_OK(prctl(PR_SET_DUMPABLE, 1));
		CHECK_OK(unshare(CLONE_NEWUSER));
		CHECK_OK(proc_write(0, "setgroups", "deny"));
		CHECK_ERR(proc_write(0, "uid_map", "0 1001 1"), EPERM);
		CHECK_OK(proc_write(0, "uid_map", "0 1000 1"));
		CHECK_EQ(geteuid(), 0);
		CHECK_EQ(getuid(), OVERFLOW_ID);
		CHECK_ERR(proc_write(0, "gid_map", "0 1001 1"), EPERM);
		CHECK_OK(proc_write(0, "gid_map", "0 1000 1"));
	}));
}

TEST(a_stranger_may_not_write)
{
	struct sync s = sync_new();
	pid_t child = SPAWN({
		become(1000);
		CHECK_OK(unshare(CLONE_NEWUSER));
		ready_and_hold(&s);
	});
	until_ready(&s);
	JOIN(SPAWN({
		become(1001);
		CHECK_ERR(open(proc_path(child, "uid_map"), O_WRONLY), EACCES);
		CHECK_ERR(open(proc_path(child, "setgroups"), O_WRONLY), EACCES);
		CHECK_OK(open(proc_path(child, "uid_map"), O_RDONLY));
	}));
	/* The same user in the parent has all capabilities in the child, but not in the parent. */
	JOIN(SPAWN({
		become(1000);
		CHECK_ERR(proc_write(child, "uid_map", "0 1001 1"), EPERM);
		CHECK_OK(proc_write(child, "uid_map", "0 1000 1"));
	}));
	let_go(&s);
	JOIN(child);
}

TEST(a_sibling_namespace_may_not_write)
{
	struct sync s = sync_new();
	pid_t child = NESTED(&s, (void)0);
	until_ready(&s);
	int fd = CHECK_OK(open(proc_path(child, "uid_map"), O_WRONLY));
	JOIN(SPAWN({
		enter_user_ns();
		/* Its own opening is refused or its write is. */
		int own = open(proc_path(child, "uid_map"), O_WRONLY);
		if (own >= 0)
			CHECK_ERR(write(own, "0 0 1", 5), EPERM);
		/* Opened by root outside, written without its capability. */
		CHECK_ERR(write(fd, "0 0 5", 5), EPERM);
	}));
	CHECK_EQ(write(fd, "0 0 5", 5), 5);
	let_go(&s);
	JOIN(child);
}

TEST(a_grandparent_may_not_write)
{
	struct sync s = sync_new();
	pid_t child = SPAWN({
		enter_user_ns();
		CHECK_OK(unshare(CLONE_NEWUSER));
		ready_and_hold(&s);
	});
	until_ready(&s);
	CHECK_ERR(proc_write(child, "uid_map", "0 0 1"), EPERM);
	CHECK_ERR(proc_write(child, "uid_map", "0 0"), EPERM);
	let_go(&s);
	JOIN(child);
}

TEST(ids_must_be_mapped_in_the_parent)
{
	struct sync s = sync_new(), t = sync_new();
	pid_t child = NESTED(&s, {
		pid_t inner = SPAWN({
			CHECK_OK(unshare(CLONE_NEWUSER));
			ready_and_hold(&t);
			CHECK(!strcmp(proc_text(0, "uid_map"), "50 2 3\n"));
			CHECK_EQ(getuid(), OVERFLOW_ID);
			CHECK_OK(setuid(51));
			ready_and_hold(&t);
		});
		until_ready(&t);
		CHECK_ERR(proc_write(inner, "uid_map", "0 5 6"), EPERM);
		CHECK_ERR(proc_write(inner, "uid_map", "0 10 1"), EPERM);
		/* A range may not cross from one line into another. */
		CHECK_ERR(proc_write(inner, "uid_map", "0 4 2"), EPERM);
		CHECK_OK(proc_write(inner, "uid_map", "50 2 3"));
		/* For us the lower ids are ours. */
		CHECK(!strcmp(proc_text(inner, "uid_map"), "50 2 3\n"));
		let_go(&t);
		until_ready(&t);
		CHECK(strstr(proc_text(inner, "status"), "\nUid: 3 3 3 3\n"));
		let_go(&t);
		JOIN(inner);
	});
	until_ready(&s);
	map_ids(child, "0 0 5\n5 1005 5", "0 0 10");
	let_go(&s);
	JOIN(child);
}

TEST(who_reads_decides_how_lower_ids_are_shown)
{
	struct sync s = sync_new();
	pid_t outside = getpid();
	pid_t child = NESTED(&s, {
		pid_t middle = getpid();
		JOIN(SPAWN({
			CHECK_OK(unshare(CLONE_NEWUSER));
			CHECK_OK(proc_write(0, "uid_map", "3 0 1"));
			/* Its own map: in terms of the parent. */
			CHECK(!strcmp(proc_text(0, "uid_map"), "3 0 1\n"));
			/* The parent's: in terms of the reader. */
			CHECK(!strcmp(proc_text(middle, "uid_map"), "0 3 1\n20 4294967295 5\n"));
			if (!kt_native())
				CHECK(!strcmp(proc_text(outside, "uid_map"), "0 3 4294967295\n"));
		}));
	});
	until_ready(&s);
	map_ids(child, "0 0 1\n20 100000 5", "0 0 1");
	CHECK(!strcmp(proc_text(child, "uid_map"), "0 0 1\n20 100000 5\n"));
	let_go(&s);
	JOIN(child);
}

TEST(setgroups_file)
{
	struct sync s = sync_new();
	pid_t child = NESTED(&s, {
		CHECK_OK(setgroups(1, (gid_t[]){ 0 }));
	});
	until_ready(&s);
	CHECK_ERR(proc_write(child, "setgroups", "maybe"), EINVAL);
	CHECK_ERR(proc_write(child, "setgroups", "deny it"), EINVAL);
	CHECK_ERR(proc_write(child, "setgroups", "allow\n\n\n"), EINVAL);
	CHECK_OK(proc_write(child, "setgroups", "allow"));
	CHECK_OK(proc_write(child, "setgroups", "allow\n"));
	int fd = CHECK_OK(open(proc_path(child, "setgroups"), O_RDWR));
	CHECK_ERR(pwrite(fd, "deny", 4, 1), ESPIPE);
	CHECK_ERR(write(fd, BAD_PTR, 4), EFAULT);
	char seen[8];
	CHECK_EQ(read(fd, seen, sizeof seen), 6);
	CHECK_ERR(write(fd, "deny", 4), EINVAL);
	close(fd);
	CHECK_OK(proc_write(child, "gid_map", "0 0 1"));
	/* Too late to deny. */
	CHECK_ERR(proc_write(child, "setgroups", "deny"), EPERM);
	let_go(&s);
	JOIN(child);

	child = NESTED(&s, {
		CHECK_ERR(setgroups(0, NULL), EPERM);
		/* Inherited for ever. */
		CHECK_OK(unshare(CLONE_NEWUSER));
		CHECK(!strcmp(proc_text(0, "setgroups"), "deny\n"));
		CHECK_ERR(proc_write(0, "setgroups", "allow"), EPERM);
	});
	until_ready(&s);
	CHECK_OK(proc_write(child, "setgroups", "deny\n"));
	CHECK_OK(proc_write(child, "setgroups", "deny"));
	CHECK_ERR(proc_write(child, "setgroups", "allow"), EPERM);
	map_ids(child, "0 0 1", "0 0 1");
	CHECK_ERR(proc_write(child, "setgroups", "deny"), EPERM);
	let_go(&s);
	JOIN(child);
}

TEST(setgroups_is_opened_by_who_administers)
{
	struct sync s = sync_new();
	pid_t child = SPAWN({
		become(1000);
		CHECK_OK(unshare(CLONE_NEWUSER));
		ready_and_hold(&s);
	});
	until_ready(&s);
	JOIN(SPAWN({
		struct caps none = { 0, 0, 0 };
		CHECK_OK(caps_set(&none));
		CHECK_ERR(open(proc_path(child, "setgroups"), O_WRONLY), EACCES);
		CHECK_OK(open(proc_path(child, "setgroups"), O_RDONLY));
	}));
	let_go(&s);
	JOIN(child);
}

TEST(project_ids_need_no_privilege)
{
	JOIN(SPAWN({
		become(1000);
		CHECK_OK(unshare(CLONE_NEWUSER));
		CHECK_OK(proc_write(0, "projid_map", "0 10 20\n100 200 5"));
		CHECK(!strcmp(proc_text(0, "projid_map"), "0 10 20\n100 200 5\n"));
		CHECK_ERR(proc_write(0, "projid_map", "0 10 20"), EPERM);
	}));
}

TEST(the_parents_root_needs_setfcap)
{
	struct sync s = sync_new();
	/* The maker gave it up before. */
	JOIN(SPAWN({
		drop_effective(1ULL << 31);
		CHECK_OK(unshare(CLONE_NEWUSER));
		CHECK_ERR(proc_write(0, "uid_map", "0 0 1"), EPERM);
		CHECK_OK(proc_write(0, "setgroups", "deny"));
		CHECK_OK(proc_write(0, "gid_map", "0 0 1"));
	}));
	/* The writer outside has not got it. */
	pid_t child = NESTED(&s, (void)0);
	until_ready(&s);
	JOIN(SPAWN({
		drop_effective(1ULL << 31);
		CHECK_ERR(proc_write(child, "uid_map", "0 0 1"), EPERM);
		CHECK_ERR(proc_write(child, "uid_map", "1 1 1\n0 0 1"), EPERM);
		CHECK_OK(proc_write(child, "uid_map", "1 1 1"));
	}));
	let_go(&s);
	JOIN(child);
}

TEST(a_capable_writer_outside_maps_anything)
{
	struct sync s = sync_new();
	pid_t child = SPAWN({
		become(1000);
		CHECK_OK(unshare(CLONE_NEWUSER));
		ready_and_hold(&s);
		CHECK_EQ(getuid(), 0);
		CHECK_OK(setresuid(1, 2, 3));
		uid_t r;
		uid_t e;
		uid_t v;
		CHECK_OK(getresuid(&r, &e, &v));
		CHECK_EQ(r * 100 + e * 10 + v, 123);
	});
	until_ready(&s);
	/* CAP_SETUID in the parent, and the same of groups. */
	JOIN(SPAWN({
		drop_effective(1ULL << 7);
		CHECK_ERR(proc_write(child, "uid_map", "0 1000 1\n1 100000 65535"), EPERM);
		CHECK_OK(proc_write(child, "gid_map", "0 1000 1\n1 100000 65535"));
	}));
	JOIN(SPAWN({
		drop_effective(1ULL << 6);
		CHECK_OK(proc_write(child, "uid_map", "0 1000 1\n1 100000 65535"));
	}));
	let_go(&s);
	JOIN(child);
}

TEST(a_map_changes_what_others_see)
{
	struct sync s = sync_new();
	pid_t child = NESTED(&s, {
		CHECK_OK(setgid(3));
		CHECK_OK(setuid(4));
		ready_and_hold(&s);
	});
	until_ready(&s);
	map_ids(child, "0 0 1\n1 100001 10", "0 0 1\n1 200001 10");
	let_go(&s);
	until_ready(&s);
	CHECK(strstr(proc_text(child, "status"), "\nUid:\t100004\t") ||
	      strstr(proc_text(child, "status"), "\nUid: 100004 100004 100004 100004\n"));
	CHECK(strstr(proc_text(child, "status"), "\nGid: 200003 200003 200003 200003\n"));
	let_go(&s);
	JOIN(child);
}
