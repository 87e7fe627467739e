/*
 * cg_sweep.h: for the first process: what a failed test left in the hierarchies of control groups.
 *
 * A controller is bound to one hierarchy, and stays there as long as that one has cgroups: a cgroup
 * left behind would make every later test fail that wants its controller elsewhere.
 */
#pragma once

#include <ftw.h>
#include <sys/mount.h>

#include "ktest_io.h"

#define SWEEP_AT "/run/cg-sweep"

/* Lets the members of a cgroup die: a frozen task of v1 would not. */
static int cg_thaw(const char *dir, const struct stat *st, int type, struct FTW *at)
{
	char path[512];
	(void)st;
	(void)at;
	if (type != FTW_D)
		return 0;
	snprintf(path, sizeof path, "%s/freezer.state", dir);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		if (write(fd, "THAWED", 6) < 0)
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
