/* capabilities(7), "File capabilities": versions 2 and 3, in and across user namespaces. */
#include <sys/xattr.h>

#include "ns.h"

#define NAME "security.capability"
#define CHOWN (1ULL << 0)
#define KILL (1ULL << 5)
#define NET_RAW (1ULL << 13)

struct vfs_cap {
	uint32_t magic;
	struct { uint32_t permitted, inheritable; } data[2];
	uint32_t rootid;
};
#define V2 0x02000000
#define V3 0x03000000
#define EFFECTIVE 1
#define V2_SIZE 20
#define V3_SIZE 24

static struct vfs_cap caps_v2(uint64_t p, uint64_t i, int effective)
{
	return (struct vfs_cap){ V2 | effective, { { p, i }, { p >> 32, i >> 32 } }, 0 };
}

static struct vfs_cap caps_v3(uint64_t p, uint64_t i, int effective, uid_t root)
{
	struct vfs_cap c = caps_v2(p, i, effective);
	c.magic = V3 | effective;
	c.rootid = root;
	return c;
}

ROLE(show)
{
	static char text[8192];
	unsigned long long want[3];
	static const char *const names[] = { "CapPrm:", "CapEff:", "CapInh:" };
	CHECK(kt_read_file("/proc/self/status", text, sizeof text) > 0);
	for (int i = 0; i < 3; i++) {
		want[i] = strtoull(argv[i + 1], NULL, 16);
		CHECK_EQ(strtoull(strstr(text, names[i]) + 7, NULL, 16), want[i]);
	}
	return argc == 4 ? 0 : 1;
}

static void run(uint64_t p, uint64_t e, uint64_t i)
{
	char w[3][32];
	snprintf(w[0], 32, "%llx", (unsigned long long)p);
	snprintf(w[1], 32, "%llx", (unsigned long long)e);
	snprintf(w[2], 32, "%llx", (unsigned long long)i);
	execl("prog", "role:show", w[0], w[1], w[2], NULL);
	KT_FAIL("execve: %d", errno);
}

/* A program here that everyone may run, with these capabilities. */
static void program(const struct vfs_cap *c, size_t size)
{
	CHECK_OK(chmod(".", 0777));
	unlink("prog");
	kt_copy_self("prog");
	CHECK_OK(setxattr("prog", NAME, c, size, 0));
}

TEST(permitted_and_effective)
{
	struct vfs_cap c = caps_v2(CHOWN | NET_RAW, 0, EFFECTIVE);
	program(&c, V2_SIZE);
	JOIN(SPAWN({
		become(1000);
		run(CHOWN | NET_RAW, CHOWN | NET_RAW, 0);
	}));
	c = caps_v2(CHOWN, 0, 0);
	program(&c, V2_SIZE);
	JOIN(SPAWN({
		become(1000);
		run(CHOWN, 0, 0);
	}));
}

TEST(inheritable_of_file_and_thread)
{
	struct vfs_cap c = caps_v2(0, CHOWN | NET_RAW, EFFECTIVE);
	program(&c, V2_SIZE);
	JOIN(SPAWN({
		struct caps t = { ALL_CAPS, ALL_CAPS, CHOWN | KILL };
		CHECK_OK(caps_set(&t));
		become(1000);
		run(CHOWN, CHOWN, CHOWN | KILL);
	}));
}

TEST(bounded)
{
	struct vfs_cap c = caps_v2(CHOWN | NET_RAW, 0, 0);
	program(&c, V2_SIZE);
	JOIN(SPAWN({
		CHECK_OK(prctl(PR_CAPBSET_DROP, 13));
		become(1000);
		run(CHOWN, 0, 0);
	}));
	/* A program that does not know of capabilities must get all of them or not run. */
	c = caps_v2(CHOWN | NET_RAW, 0, EFFECTIVE);
	program(&c, V2_SIZE);
	JOIN(SPAWN({
		CHECK_OK(prctl(PR_CAPBSET_DROP, 13));
		become(1000);
		CHECK_ERR(execl("prog", "role:show", NULL), EPERM);
	}));
}

TEST(for_root_they_do_not_matter)
{
	struct vfs_cap c = caps_v2(CHOWN, 0, 0);
	program(&c, V2_SIZE);
	JOIN(SPAWN(run(ALL_CAPS, ALL_CAPS, 0)));
	/* But for a set-uid-root program run by another they are what counts. */
	CHECK_OK(chmod("prog", 04755));
	CHECK_OK(setxattr("prog", NAME, &c, V2_SIZE, 0));
	JOIN(SPAWN({
		become(1000);
		run(CHOWN, 0, 0);
	}));
}

TEST(empty_ones_and_ambient)
{
	struct vfs_cap c = caps_v2(0, 0, 0);
	program(&c, V2_SIZE);
	JOIN(SPAWN({
		struct caps t = { ALL_CAPS, ALL_CAPS, CHOWN };
		CHECK_OK(caps_set(&t));
		CHECK_OK(prctl(PR_SET_KEEPCAPS, 1));
		become(1000);
		t = (struct caps){ CHOWN, CHOWN, CHOWN };
		CHECK_OK(caps_set(&t));
		CHECK_OK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 0, 0, 0));
		run(0, 0, CHOWN);
	}));
}

TEST(no_new_privs_and_nosuid)
{
	struct vfs_cap c = caps_v2(CHOWN, 0, EFFECTIVE);
	program(&c, V2_SIZE);
	JOIN(SPAWN({
		become(1000);
		CHECK_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
		run(0, 0, 0);
	}));
	JOIN(SPAWN({
		CHECK_OK(unshare(CLONE_NEWNS));
		CHECK_OK(mkdir("m", 0755));
		CHECK_OK(mount("t", "m", "tmpfs", MS_NOSUID, NULL));
		CHECK_OK(chdir("m"));
		program(&c, V2_SIZE);
		become(1000);
		run(0, 0, 0);
	}));
}

TEST(a_write_or_chown_removes_them)
{
	struct vfs_cap c = caps_v2(CHOWN, 0, EFFECTIVE), back;
	program(&c, V2_SIZE);
	CHECK_EQ(getxattr("prog", NAME, &back, sizeof back), V2_SIZE);
	CHECK_OK(chown("prog", 5, 5));
	CHECK_ERR(getxattr("prog", NAME, &back, sizeof back), ENODATA);
	program(&c, V2_SIZE);
	int fd = CHECK_OK(open("prog", O_WRONLY | O_APPEND));
	CHECK_EQ(write(fd, "x", 1), 1);
	CHECK_ERR(getxattr("prog", NAME, &back, sizeof back), ENODATA);
	close(fd);
	program(&c, V2_SIZE);
	CHECK_OK(truncate("prog", 10));
	CHECK_ERR(getxattr("prog", NAME, &back, sizeof back), ENODATA);
}

TEST(format)
{
	struct vfs_cap c = caps_v2(CHOWN, 0, EFFECTIVE), back;
	kt_make_file("f", "", 0755);
	CHECK_ERR(setxattr("f", NAME, &c, 19, 0), EINVAL);
	CHECK_ERR(setxattr("f", NAME, &c, V3_SIZE, 0), EINVAL);
	c.magic = 0x04000000;
	CHECK_ERR(setxattr("f", NAME, &c, V2_SIZE, 0), EINVAL);
	CHECK_ERR(setxattr("f", NAME, &c, V3_SIZE, 0), EINVAL);
	c = caps_v3(CHOWN, 0, EFFECTIVE, 1000);
	CHECK_ERR(setxattr("f", NAME, &c, V2_SIZE, 0), EINVAL);
	CHECK_OK(setxattr("f", NAME, &c, V3_SIZE, 0));
	CHECK_EQ(getxattr("f", NAME, &back, sizeof back), V3_SIZE);
	CHECK_EQ(back.magic, V3 | EFFECTIVE);
	CHECK_EQ(back.rootid, 1000);
	CHECK_EQ(getxattr("f", NAME, NULL, 0), V3_SIZE);
	CHECK_ERR(getxattr("f", NAME, &back, 8), ERANGE);
	/* One whose root is the reader's root is shown as version 2. */
	c = caps_v3(CHOWN, 0, EFFECTIVE, 0);
	CHECK_OK(setxattr("f", NAME, &c, V3_SIZE, 0));
	CHECK_EQ(getxattr("f", NAME, &back, sizeof back), V2_SIZE);
	CHECK_EQ(back.magic, V2 | EFFECTIVE);
	c = caps_v2(CHOWN, 0, 0);
	JOIN(SPAWN({
		become(1000);
		CHECK_ERR(setxattr("f", NAME, &c, V2_SIZE, 0), EPERM);
	}));
	CHECK_OK(removexattr("f", NAME));
}

/* A child that is root of a user namespace in which 0..99 are 100000.. outside. */
#define CONTAINED(...)                                                         \
	({                                                                     \
		struct sync kt_s = sync_new();                                 \
		pid_t kt_child = SPAWN({                                       \
			CHECK_OK(unshare(CLONE_NEWUSER));                      \
			ready_and_hold(&kt_s);                                 \
			CHECK_OK(setresgid(0, 0, 0));                          \
			CHECK_OK(setresuid(0, 0, 0));                          \
			__VA_ARGS__;                                           \
		});                                                            \
		until_ready(&kt_s);                                            \
		map_ids(kt_child, "0 100000 100", "0 100000 100");             \
		let_go(&kt_s);                                                 \
		kt_child;                                                      \
	})

TEST(a_container_writes_version_3)
{
	struct vfs_cap c = caps_v2(CHOWN, 0, EFFECTIVE), back;
	CHECK_OK(chmod(".", 0777));
	kt_copy_self("prog");
	CHECK_OK(chown("prog", 100000, 100000));
	kt_make_file("foreign", "", 0755);
	JOIN(CONTAINED({
		CHECK_OK(setxattr("prog", NAME, &c, V2_SIZE, 0));
		CHECK_EQ(getxattr("prog", NAME, &back, sizeof back), V2_SIZE);
		CHECK_EQ(back.magic, V2 | EFFECTIVE);
		CHECK_ERR(setxattr("foreign", NAME, &c, V2_SIZE, 0), EPERM);
		JOIN(SPAWN({
			CHECK_OK(setresuid(5, 5, 5));
			CHECK_OK(prctl(PR_SET_DUMPABLE, 1));
			run(CHOWN, CHOWN, 0);
		}));
		/* A root below, by its number here. */
		struct vfs_cap three = caps_v3(CHOWN, 0, EFFECTIVE, 50);
		CHECK_OK(setxattr("prog", NAME, &three, V3_SIZE, 0));
		CHECK_EQ(getxattr("prog", NAME, &back, sizeof back), V3_SIZE);
		CHECK_EQ(back.rootid, 50);
		/* One that has no number here cannot be meant. */
		three.rootid = 200;
		CHECK_ERR(setxattr("prog", NAME, &three, V3_SIZE, 0), EINVAL);
		/* Someone else's root is ours no more. */
		JOIN(SPAWN({
			CHECK_OK(setresuid(5, 5, 5));
			CHECK_OK(prctl(PR_SET_DUMPABLE, 1));
			run(0, 0, 0);
		}));
		CHECK_OK(setxattr("prog", NAME, &c, V2_SIZE, 0));
	}));
	/* In another container it cannot be shown. */
	struct sync s = sync_new();
	pid_t other = SPAWN({
		CHECK_OK(unshare(CLONE_NEWUSER));
		ready_and_hold(&s);
		CHECK_ERR(getxattr("prog", NAME, &back, sizeof back), EOVERFLOW);
	});
	until_ready(&s);
	map_ids(other, "0 200000 100", "0 200000 100");
	let_go(&s);
	JOIN(other);
	/* Outside it is version 3 with the container's root, and gives nothing. */
	CHECK_EQ(getxattr("prog", NAME, &back, sizeof back), V3_SIZE);
	CHECK_EQ(back.magic, V3 | EFFECTIVE);
	CHECK_EQ(back.rootid, 100000);
	JOIN(SPAWN({
		become(1000);
		run(0, 0, 0);
	}));
}

TEST(outer_file_capabilities_hold_inside)
{
	struct vfs_cap c = caps_v2(CHOWN, 0, EFFECTIVE), back;
	program(&c, V2_SIZE);
	JOIN(CONTAINED({
		/* Its root is the root of a namespace around us. */
		CHECK_EQ(getxattr("prog", NAME, &back, sizeof back), V2_SIZE);
		CHECK_OK(setresuid(5, 5, 5));
		CHECK_OK(prctl(PR_SET_DUMPABLE, 1));
		run(CHOWN, CHOWN, 0);
	}));
}

TEST(set_uid_of_an_unmapped_user_is_ignored)
{
	CHECK_OK(chmod(".", 0777));
	kt_copy_self("prog");
	CHECK_OK(chmod("prog", 06755));
	JOIN(CONTAINED({
		CHECK_OK(setresuid(5, 5, 5));
		CHECK_OK(prctl(PR_SET_DUMPABLE, 1));
		run(0, 0, 0);
	}));
	CHECK_OK(chown("prog", 100000, 100000));
	CHECK_OK(chmod("prog", 04755));
	/* The container's root. */
	JOIN(CONTAINED({
		CHECK_OK(setresuid(5, 5, 5));
		CHECK_OK(prctl(PR_SET_DUMPABLE, 1));
		run(ALL_CAPS, ALL_CAPS, 0);
	}));
	/* One of two ids not mapped: neither counts. */
	CHECK_OK(chown("prog", 100000, 55));
	CHECK_OK(chmod("prog", 04755));
	JOIN(CONTAINED({
		CHECK_OK(setresuid(5, 5, 5));
		CHECK_OK(prctl(PR_SET_DUMPABLE, 1));
		run(0, 0, 0);
	}));
}

TEST(a_mount_of_a_child_namespace_gives_nothing_outside)
{
	/* A tmpfs made inside: its set-uid programs mean nothing to the parent. */
	struct sync s = sync_new();
	pid_t child = SPAWN({
		CHECK_OK(unshare(CLONE_NEWUSER | CLONE_NEWNS));
		ready_and_hold(&s);
		CHECK_OK(mkdir("m", 0755));
		CHECK_OK(mount("t", "m", "tmpfs", 0, "mode=0755"));
		CHECK_OK(chdir("m"));
		kt_copy_self("prog");
		CHECK_OK(chmod("prog", 04755));
		JOIN(SPAWN({
			CHECK_OK(setresuid(5, 5, 5));
			CHECK_OK(prctl(PR_SET_DUMPABLE, 1));
			run(ALL_CAPS, ALL_CAPS, 0);
		}));
		ready_and_hold(&s);
	});
	until_ready(&s);
	map_ids(child, "0 0 1\n5 5 1", "0 0 1");
	let_go(&s);
	until_ready(&s);
	char path[128];
	snprintf(path, sizeof path, "/proc/%d/cwd/prog", child);
	JOIN(SPAWN({
		int fd = CHECK_OK(open(path, O_PATH));
		become(1000);
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		execl(path, "role:show", "0", "0", "0", NULL);
		_exit(9);
	}));
	let_go(&s);
	JOIN(child);
}
