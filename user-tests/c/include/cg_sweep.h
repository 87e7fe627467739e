/*
 * cg_sweep.h: what a failed test left in the hierarchies of control groups goes.
 *
 * A controller is bound to one hierarchy, and stays there as long as that one has cgroups: a cgroup
 * left behind would make every later test fail that wants its controller elsewhere.
 */
#pragma once

#include <ftw.h>
#include <sys/mount.h>

#include "ktest_io.h"

#define SWEEP_AT "/run/cg-sweep"

/* Lets the members of a cgroup die: a frozen task of v1 would not, and who is under a limit of CPU time needs some. */
static int cg_thaw(const char *dir, const struct stat *st, int type, struct FTW *at)
{
	static const char *const files[][2] = {
		{ "freezer.state", "THAWED" },
		{ "cpu.max", "max" },
		{ "cpu.cfs_quota_us", "-1" },
	};
	char path[512];
	(void)st;
	if (type != FTW_D || at->level == 0)
		return 0;
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof path, "%s/%s", dir, files[i][0]);
		int fd = open(path, O_WRONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		if (write(fd, files[i][1], strlen(files[i][1])) < 0)
			kt_say("# init: %s: %s\n", path, strerror(errno));
		close(fd);
	}
	return 0;
}

static int cg_remove(const char *dir, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	if (type != FTW_DP || at->level == 0)
		return 0;
	for (int tries = 0; rmdir(dir) < 0 && errno == EBUSY && tries < 500; tries++)
		kt_sleep_ms(2);
	kt_say("# init: the test left the cgroup %s\n", dir + strlen(SWEEP_AT));
	return 0;
}

/* Calls `visit` for the directories of every hierarchy there is, parents first or last. */
static void cg_walk(int order, int (*visit)(const char *, const struct stat *, int, struct FTW *))
{
	char line[512], set[256];
	FILE *f = fopen("/proc/self/cgroup", "re");
	mkdir(SWEEP_AT, 0755);
	while (f && fgets(line, sizeof line, f)) {
		int number, v1 = sscanf(line, "%d:%255[^:]:", &number, set) == 2;
		if (mount("none", SWEEP_AT, v1 ? "cgroup" : "cgroup2", 0, v1 ? set : NULL) < 0) {
			kt_say("# init: hierarchy %s: %s\n", v1 ? set : "2", strerror(errno));
			continue;
		}
		nftw(SWEEP_AT, visit, 16, order | FTW_PHYS | FTW_MOUNT);
		umount2(SWEEP_AT, MNT_DETACH);
	}
	rmdir(SWEEP_AT);
	if (f)
		fclose(f);
}
