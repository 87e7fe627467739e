/* Text that is written to files of the kernel ends at its first zero byte, which some programs write with it. */
#include "cgroup.h"
#include "proc.h"

/* 0 or the error of one write of so many bytes. */
static int written(const char *path, const char *bytes, size_t len)
{
	int fd = CHECK_OK(open(path, O_WRONLY | O_CLOEXEC));
	int error = write(fd, bytes, len) == (ssize_t)len ? 0 : errno;
	close(fd);
	return error;
}

#define WRITTEN(path, text) written(path, text, sizeof text - 1)

static const char *text_of(const char *path)
{
	static char text[4096];
	CHECK(kt_read_file(path, text, sizeof text) >= 0);
	return text;
}

TEST(maps_of_ids)
{
	JOIN(SPAWN({
		CHECK_OK(unshare(CLONE_NEWUSER));
		CHECK_EQ(WRITTEN("/proc/self/setgroups", "deny\0junk"), EINVAL);
		CHECK_EQ(WRITTEN("/proc/self/setgroups", "deny\0"), 0);
		CHECK_EQ(WRITTEN("/proc/self/gid_map", "0 \0 0 1"), EINVAL);
		CHECK_EQ(WRITTEN("/proc/self/uid_map", "7 0 1\n\0"), 0);
		CHECK_EQ(WRITTEN("/proc/self/gid_map", "7 0 1\0 junk"), 0);
		CHECK_EQ(getuid(), 7);
		CHECK_EQ(getgid(), 7);
	}));
}

TEST(offsets_of_clocks)
{
	JOIN(SPAWN({
		CHECK_OK(unshare(CLONE_NEWTIME));
		CHECK_EQ(WRITTEN("/proc/self/timens_offsets", "monotonic 5 0\n\0"), 0);
		CHECK(strstr(text_of("/proc/self/timens_offsets"), " 5 ") != NULL);
	}));
}

TEST(numbers_of_processes)
{
	CHECK_EQ(WRITTEN("/proc/self/oom_score_adj", "17\0junk"), 0);
	CHECK(!strcmp(text_of("/proc/self/oom_score_adj"), "17\n"));
	CHECK_EQ(WRITTEN("/proc/self/oom_score_adj", "\0"), EINVAL);
	CHECK_EQ(WRITTEN("/proc/self/comm", "na\0me"), 0);
	CHECK(!strcmp(text_of("/proc/self/comm"), "na\n"));
	CHECK_EQ(WRITTEN("/proc/self/timerslack_ns", "60000\0x"), 0);
	CHECK(!strcmp(text_of("/proc/self/timerslack_ns"), "60000\n"));
}

TEST(files_of_cgroups)
{
	char path[512];
	cg2();
	CHECK_OK(cg_write("", "cgroup.subtree_control", "+pids +cpu"));
	const char *a = cg_new("");
	snprintf(path, sizeof path, "%s", cg_path("%s/pids.max", a));
	CHECK_EQ(WRITTEN(path, "10\0junk"), 0);
	CHECK(!strcmp(text_of(path), "10\n"));
	CHECK_EQ(WRITTEN(path, "\0" "10"), EINVAL);
	snprintf(path, sizeof path, "%s", cg_path("%s/cpu.weight", a));
	CHECK_EQ(WRITTEN(path, "200\n\0"), 0);
	CHECK(!strcmp(text_of(path), "200\n"));
	snprintf(path, sizeof path, "%s", cg_path("%s/cpu.max", a));
	CHECK_EQ(WRITTEN(path, "50000\0 1000"), 0);
	CHECK(!strcmp(text_of(path), "50000 100000\n"));
	snprintf(path, sizeof path, "%s", cg_path("%s/cgroup.procs", a));
	CHECK_EQ(WRITTEN(path, "0\0"), 0);
	cg_drop(a);
	CHECK_EQ(WRITTEN("cg/cgroup.subtree_control", "-pids\0 +nonsense"), 0);
	CHECK_EQ(WRITTEN("cg/cgroup.subtree_control", "-cpu\n\0"), 0);
}

TEST(names_of_hosts)
{
	CHECK_OK(unshare(CLONE_NEWUTS));
	CHECK_EQ(WRITTEN("/proc/sys/kernel/hostname", "na\0me"), 0);
	CHECK(!strcmp(text_of("/proc/sys/kernel/hostname"), "na\n"));
}
