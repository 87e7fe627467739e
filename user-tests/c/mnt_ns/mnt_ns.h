/* Mounts by short names, and what mountinfo says of them. */
#pragma once

#include <poll.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include "proc.h"
#include "sys.h"

#ifndef MS_NOSYMFOLLOW
#define MS_NOSYMFOLLOW 256
#endif

/* A mount namespace of its own, nothing of which reaches another one. */
static inline void own_mounts(void)
{
	CHECK_OK(unshare(CLONE_NEWNS));
	CHECK_OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
}

/* Like SPAWN, with these clone flags. */
#define SPAWN_IN(flags, ...)                                                   \
	({                                                                     \
		pid_t kt_pid = CHECK_OK(sys_clone((flags) | SIGCHLD, NULL, NULL)); \
		if (kt_pid == 0) {                                             \
			__VA_ARGS__;                                           \
			_exit(0);                                              \
		}                                                              \
		kt_pid;                                                        \
	})

/* Become root of a new user namespace with a mount namespace of its own. */
static inline void own_user_ns(unsigned flags)
{
	CHECK_OK(unshare(CLONE_NEWUSER | flags));
	CHECK_OK(kt_write_file("/proc/self/setgroups", "deny"));
	CHECK_OK(kt_write_file("/proc/self/uid_map", "0 0 1"));
	CHECK_OK(kt_write_file("/proc/self/gid_map", "0 0 1"));
}

/* A directory with a tmpfs on it. */
static inline void tmpfs_at(const char *path)
{
	if (mkdir(path, 0755) < 0)
		CHECK_EQ(errno, EEXIST);
	CHECK_OK(mount("t", path, "tmpfs", 0, NULL));
}

static inline void bind_at(const char *from, const char *to)
{
	if (mkdir(to, 0755) < 0)
		CHECK_EQ(errno, EEXIST);
	CHECK_OK(mount(from, to, NULL, MS_BIND, NULL));
}

static inline void change(const char *path, unsigned long type)
{
	CHECK_OK(mount(NULL, path, NULL, type, NULL));
}

struct info {
	int found, id, parent, major, minor, shared, master, from, unbindable, count;
	char root[256], at[512], options[256], type[64], source[256], super[256];
};

/* The text after the working directory's own name: where `path` is, from the root. */
static inline void absolute(const char *path, char *out, size_t size)
{
	if (*path == '/')
		snprintf(out, size, "%s", path);
	else {
		CHECK(getcwd(out, size));
		if (strcmp(path, ".")) {
			size_t len = strlen(out);
			snprintf(out + len, size - len, "%s%s", len == 1 ? "" : "/", path);
		}
	}
}

/* The line of /proc/self/mountinfo for the last mount at `path`. */
static inline struct info info_of(const char *path)
{
	static char text[262144];
	char want[512];
	struct info found = { 0 };
	absolute(path, want, sizeof want);
	CHECK(kt_read_file("/proc/self/mountinfo", text, sizeof text) > 0);
	char *save;
	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		struct info i = { .found = 1 };
		int n = 0;
		CHECK_EQ(sscanf(line, "%d %d %d:%d %255s %511s %255s %n", &i.id, &i.parent,
				&i.major, &i.minor, i.root, i.at, i.options, &n), 7);
		if (strcmp(i.at, want))
			continue;
		char *tags = line + n, *dash = strstr(line, " - ");
		CHECK(dash);
		CHECK_EQ(sscanf(dash, " - %63s %255s %255s", i.type, i.source, i.super), 3);
		for (char *tag = tags; tag < dash; tag = strchr(tag, ' ') + 1) {
			sscanf(tag, "shared:%d", &i.shared);
			sscanf(tag, "master:%d", &i.master);
			sscanf(tag, "propagate_from:%d", &i.from);
			i.unbindable |= !strncmp(tag, "unbindable", 10);
		}
		i.count = found.count + 1;
		found = i;
	}
	return found;
}

/* How many mounts are on top of each other at `path`. */
static inline int mounts_at(const char *path)
{
	return info_of(path).count;
}

/* Number of mounts that the namespace shows. */
static inline int nr_mounts(void)
{
	static char text[262144];
	CHECK(kt_read_file("/proc/self/mountinfo", text, sizeof text) > 0);
	int n = 0;
	for (char *at = text; (at = strchr(at, '\n')); at++)
		n++;
	return n;
}

/* Whether the option is in a comma-separated list. */
static inline int has_option(const char *list, const char *option)
{
	size_t len = strlen(option);
	for (; list; list = strchr(list, ',')) {
		list += *list == ',';
		if (!strncmp(list, option, len) && (!list[len] || list[len] == ','))
			return 1;
	}
	return 0;
}

#define CHECK_OPTION(path, option) CHECK(has_option(info_of(path).options, option))
#define CHECK_NO_OPTION(path, option) CHECK(!has_option(info_of(path).options, option))
