/* ktest: timeout=300 */
/* A container that ends leaves nothing behind. */
#include <dirent.h>
#include <net/if.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/sysmacros.h>

#include "cgroup.h"
#include "ebpf.h"
#include "nl.h"
#include "ns.h"
#include "stress.h"

/* What a kernel may keep in caches, in KiB. */
#define CACHES 8192

static int cgroup_nr;

/* The first process of the container: a root of its own, files, IPC, children that nobody waits for. */
static void inside(struct sync *s)
{
	hold(s);
	CHECK_OK(sethostname("inside", 6));
	CHECK_OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	CHECK(mkdir("root", 0755) == 0 || errno == EEXIST);
	CHECK_OK(mount("root", "root", "tmpfs", 0, NULL));
	CHECK_OK(mkdir("root/proc", 0755));
	CHECK_OK(mkdir("root/data", 0755));
	/* Linux's first root cannot be pivoted away from. */
	CHECK_OK(chdir("root"));
	CHECK_OK(mount(".", "/", NULL, MS_MOVE, NULL));
	CHECK_OK(chroot("."));
	CHECK_OK(chdir("/"));
	CHECK_OK(mount("proc", "/proc", "proc", 0, NULL));
	CHECK_OK(mount("data", "/data", "tmpfs", 0, "size=1m"));
	static char block[65536];
	memset(block, 1, sizeof block);
	int fd = CHECK_OK(open("/data/file", O_RDWR | O_CREAT, 0644));
	for (int i = 0; i < 4; i++)
		CHECK_EQ(write(fd, block, sizeof block), (ssize_t)sizeof block);
	CHECK(mmap(NULL, 65536, PROT_READ, MAP_SHARED, fd, 0) != MAP_FAILED);
	CHECK_OK(mknod("/null", S_IFCHR | 0600, makedev(1, 3)));
	CHECK_OK(nl_link_up("lo", 1));
	CHECK_OK(nl_link_up("eth0", 1));
	int up = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	CHECK(up >= 0);
	for (int i = 0; i < 3; i++)
		if (CHECK_OK(fork()) == 0)
			for (;;)
				pause();
	_exit(7);
}

static void container(void)
{
	const char *a = cg_path("kc%d.%d", (int)getpid(), cgroup_nr++);
	char dir[256], procs[300], number[16];
	snprintf(dir, sizeof dir, "%s", a);
	snprintf(procs, sizeof procs, "%s/cgroup.procs", dir);
	CHECK_OK(mkdir(dir, 0755));
	int cgroup = CHECK_OK(open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	int prog = CHECK_OK(bpf_answers(1));
	CHECK_OK(bpf_attach(cgroup, prog, BPF_F_ALLOW_MULTI));
	close(prog);
	struct sync s = sync_new();
	pid_t pid = sys_clone(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWCGROUP | SIGCHLD,
			      NULL, NULL);
	CHECK_OK(pid);
	if (pid == 0)
		inside(&s);
	snprintf(number, sizeof number, "%d", pid);
	int fd = CHECK_OK(open(procs, O_WRONLY | O_CLOEXEC));
	CHECK_OK(write(fd, number, strlen(number)));
	close(fd);
	int net = CHECK_OK(ns_open(pid, "net"));
	CHECK_OK(nl_veth_add("kc0", "eth0", net));
	CHECK_OK(nl_link_up("kc0", 1));
	close(net);
	let_go(&s);
	int status;
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(WEXITSTATUS(status), 7);
	for (int i = 0; i < 2; i++)
		close(s.up[i]), close(s.down[i]);
	close(cgroup);
	WAIT_FOR(rmdir(dir) == 0);
	/* The device goes with the namespace of its peer. */
	WAIT_FOR(if_nametoindex("kc0") == 0);
}

static int lines(const char *path)
{
	FILE *f = fopen(path, "r");
	int c, n = 0;
	CHECK(f != NULL);
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	fclose(f);
	return n;
}

/* But for Linux's own threads, which come and go: children of 2. */
static int processes(void)
{
	DIR *dir = opendir("/proc");
	int n = 0;
	CHECK(dir != NULL);
	for (struct dirent *e; (e = readdir(dir));) {
		char path[300];
		int pid, ppid;
		snprintf(path, sizeof path, "/proc/%s/stat", e->d_name);
		FILE *f = e->d_name[0] >= '1' && e->d_name[0] <= '9' ? fopen(path, "r") : NULL;
		if (!f)
			continue;
		n += fscanf(f, "%d (%*[^)]) %*c %d", &pid, &ppid) == 2 && ppid != 2;
		fclose(f);
	}
	closedir(dir);
	return n;
}

static int programs(void)
{
	union bpf_attr attr;
	int n = 0;
	memset(&attr, 0, sizeof attr);
	while (sys_bpf(BPF_PROG_GET_NEXT_ID, &attr, sizeof attr) == 0) {
		attr.start_id = attr.next_id;
		attr.next_id = 0;
		n++;
	}
	return n;
}

static int cgroups(void)
{
	int n;
	CHECK_EQ(sscanf(cg_read("", "cgroup.stat"), "nr_descendants %d", &n), 1);
	return n;
}

TEST_FOR(what_can_be_counted, 60)
{
	cg2();
	container();
	kt_sleep_ms(200);
	int mounts = lines("/proc/self/mountinfo"), links = lines("/proc/net/dev"), procs = processes();
	int progs = programs(), groups = cgroups();
	for (int i = 0; i < 20; i++)
		container();
	CHECK_EQ(lines("/proc/self/mountinfo"), mounts);
	CHECK_EQ(lines("/proc/net/dev"), links);
	CHECK_EQ(cgroups(), groups);
	WAIT_FOR(programs() == progs);
	CHECK_EQ(processes(), procs);
}

TEST_FOR(memory, 280)
{
	cg2();
	no_leak(container, CACHES);
}
