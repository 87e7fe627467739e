/*
 * nstree: draw the tree of namespaces that the processes in /proc are in.
 *
 * Each namespace hangs under the user namespace that owns it, user and pid namespaces under
 * their parents (ioctl_ns(2)). A line tells type and number, how many processes are in it and
 * which is the first. Where a parent cannot be seen from here, the namespace is at the left.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define NS_GET_USERNS _IO(0xb7, 1)
#define NS_GET_PARENT _IO(0xb7, 2)

static const char *const types[] = { "user", "pid", "mnt", "net", "uts", "ipc", "cgroup", "time" };
#define TYPES (sizeof types / sizeof *types)

struct ns {
	const char *type;
	ino_t number, above;
	int members, first;
	char command[48];
};

static struct ns *all;
static size_t count, room;

static struct ns *find(ino_t number)
{
	for (size_t i = 0; i < count; i++)
		if (all[i].number == number)
			return &all[i];
	return NULL;
}

static struct ns *add(const char *type, ino_t number)
{
	if (count == room) {
		room = room ? room * 2 : 64;
		all = realloc(all, room * sizeof *all);
		if (!all) {
			perror("nstree");
			exit(1);
		}
	}
	all[count] = (struct ns){ .type = type, .number = number };
	return &all[count++];
}

static ino_t number_of(int fd)
{
	struct stat st;
	return fstat(fd, &st) < 0 ? 0 : st.st_ino;
}

/* The namespace that `fd` is, with everything above it; closes `fd`. */
static ino_t enter(const char *type, int fd)
{
	ino_t number = number_of(fd);
	if (!number || find(number)) {
		close(fd);
		return number;
	}
	add(type, number);
	int user = ioctl(fd, NS_GET_USERNS);
	ino_t above = user < 0 ? 0 : enter("user", user);
	if (!strcmp(type, "pid")) {
		/* Beside its parent, if both have one owner. */
		int parent = ioctl(fd, NS_GET_PARENT);
		if (parent >= 0) {
			ino_t pid = enter("pid", parent);
			struct ns *found = find(pid);
			if (found && found->above == above)
				above = pid;
		}
	}
	close(fd);
	find(number)->above = above;
	return number;
}

static void command_of(int pid, char *to, size_t size)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/comm", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, to, size - 1);
	if (fd >= 0)
		close(fd);
	to[n < 0 ? 0 : n] = 0;
	to[strcspn(to, "\n")] = 0;
}

static void look_at(int pid)
{
	for (size_t i = 0; i < TYPES; i++) {
		char path[64];
		snprintf(path, sizeof path, "/proc/%d/ns/%s", pid, types[i]);
		int fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0)
			continue;
		struct ns *ns = find(enter(types[i], fd));
		if (!ns)
			continue;
		if (!ns->members++ || pid < ns->first) {
			ns->first = pid;
			command_of(pid, ns->command, sizeof ns->command);
		}
	}
}

static int by_number(const void *a, const void *b)
{
	const struct ns *x = a, *y = b;
	return x->number < y->number ? -1 : x->number > y->number;
}

static void draw(ino_t above, const char *indent)
{
	size_t left = 0;
	for (size_t i = 0; i < count; i++)
		left += all[i].above == above;
	for (size_t i = 0; i < count; i++) {
		const struct ns *ns = &all[i];
		if (ns->above != above)
			continue;
		left--;
		printf("%s%s%s:[%lu]", indent, !above ? "" : left ? "|-" : "`-", ns->type,
		       (unsigned long)ns->number);
		if (ns->members)
			printf(" %d %s, %d %s", ns->members, ns->members == 1 ? "process" : "processes",
			       ns->first, ns->command);
		putchar('\n');
		char deeper[256];
		snprintf(deeper, sizeof deeper, "%s%s", indent, !above ? "" : left ? "| " : "  ");
		draw(ns->number, deeper);
	}
}

int main(void)
{
	DIR *proc = opendir("/proc");
	if (!proc) {
		perror("nstree: /proc");
		return 1;
	}
	for (struct dirent *e; (e = readdir(proc));)
		if (isdigit((unsigned char)*e->d_name))
			look_at(atoi(e->d_name));
	closedir(proc);
	qsort(all, count, sizeof *all, by_number);
	draw(0, "");
	return 0;
}
