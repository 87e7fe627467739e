/* set_mempolicy(2), get_mempolicy(2), mbind(2), migrate_pages(2), move_pages(2), set_mempolicy_home_node: memory policy on a machine with
 * one node. */
#include "ktest.h"
#include "ns.h"

#include <linux/mempolicy.h>
#include <pthread.h>
#include <sys/mman.h>

#ifndef SYS_set_mempolicy_home_node
#define SYS_set_mempolicy_home_node 450
#endif

#define PAGE 4096
#define NODE0 1UL

typedef unsigned long mask_t;

static long set_policy(int mode, const mask_t *nodes, unsigned long max)
{
	return syscall(SYS_set_mempolicy, mode, nodes, max);
}

static long get_policy(int *mode, mask_t *nodes, unsigned long max, void *addr, unsigned long flags)
{
	return syscall(SYS_get_mempolicy, mode, nodes, max, addr, flags);
}

static long bind_range(void *addr, unsigned long len, int mode, const mask_t *nodes, unsigned long max,
		       unsigned flags)
{
	return syscall(SYS_mbind, addr, len, mode, nodes, max, flags);
}

static long move(int pid, unsigned long n, void **pages, const int *nodes, int *status, int flags)
{
	return syscall(SYS_move_pages, pid, n, pages, nodes, status, flags);
}

static int mode_now(void)
{
	int mode = -1;
	CHECK_OK(get_policy(&mode, NULL, 0, NULL, 0));
	return mode;
}

static int mode_at(void *addr)
{
	int mode = -1;
	CHECK_OK(get_policy(&mode, NULL, 0, addr, MPOL_F_ADDR));
	return mode;
}

static char *map(int pages)
{
	return CHECK_OK((char *)mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
}

TEST(the_policy_of_a_thread)
{
	mask_t one = NODE0, two = 2, none = 0, got = ~0UL;
	CHECK_EQ(mode_now(), MPOL_DEFAULT);
	CHECK_OK(set_policy(MPOL_BIND, &one, 64));
	CHECK_OK(get_policy(NULL, &got, 64, NULL, 0));
	CHECK_EQ(got, 1);
	CHECK_EQ(mode_now(), MPOL_BIND);
	CHECK_OK(set_policy(MPOL_INTERLEAVE, &one, 64));
	int next = -1;
	CHECK_OK(get_policy(&next, NULL, 0, NULL, MPOL_F_NODE));
	CHECK_EQ(next, 0);
	CHECK_OK(set_policy(MPOL_PREFERRED, &one, 64));
	CHECK_EQ(mode_now(), MPOL_PREFERRED);
	CHECK_ERR(get_policy(&next, NULL, 0, NULL, MPOL_F_NODE), EINVAL);
	CHECK_OK(set_policy(5 /* MPOL_PREFERRED_MANY */, &one, 64));
	CHECK_EQ(mode_now(), 5);
	/* Nothing preferred is the local node. */
	CHECK_OK(set_policy(MPOL_PREFERRED, NULL, 0));
	CHECK_EQ(mode_now(), MPOL_LOCAL);
	got = ~0UL;
	CHECK_OK(get_policy(NULL, &got, 64, NULL, 0));
	CHECK_EQ(got, 0);
	CHECK_OK(set_policy(MPOL_LOCAL, NULL, 0));
	CHECK_OK(set_policy(MPOL_LOCAL, &none, 64));
	CHECK_ERR(set_policy(MPOL_LOCAL, &one, 64), EINVAL);
	CHECK_ERR(set_policy(MPOL_LOCAL | MPOL_F_STATIC_NODES, NULL, 0), EINVAL);
	CHECK_ERR(set_policy(MPOL_PREFERRED | MPOL_F_STATIC_NODES, NULL, 0), EINVAL);
	CHECK_ERR(set_policy(MPOL_BIND, NULL, 0), EINVAL);
	CHECK_ERR(set_policy(MPOL_BIND, &none, 64), EINVAL);
	CHECK_ERR(set_policy(MPOL_INTERLEAVE, &none, 64), EINVAL);
	CHECK_ERR(set_policy(MPOL_BIND, &two, 64), EINVAL);
	CHECK_ERR(set_policy(MPOL_PREFERRED, &two, 64), EINVAL);
	CHECK_ERR(set_policy(MPOL_DEFAULT, &one, 64), EINVAL);
	CHECK_ERR(set_policy(6, &one, 64), EINVAL);
	CHECK_ERR(set_policy(-1, &one, 64), EINVAL);
	CHECK_ERR(set_policy(MPOL_BIND | MPOL_F_STATIC_NODES | MPOL_F_RELATIVE_NODES, &one, 64), EINVAL);
	CHECK_ERR(set_policy(MPOL_BIND, BAD_PTR, 64), EFAULT);
	CHECK_EQ(mode_now(), MPOL_LOCAL);
	CHECK_OK(set_policy(MPOL_DEFAULT, NULL, 0));
	CHECK_EQ(mode_now(), MPOL_DEFAULT);
}

TEST(masks_of_nodes)
{
	mask_t big[64] = { NODE0 };
	CHECK_OK(set_policy(MPOL_BIND, big, 1024));
	CHECK_OK(set_policy(MPOL_BIND, big, 4096));
	/* The count is one more than there are bits. */
	CHECK_ERR(set_policy(MPOL_BIND, big, 1), EINVAL);
	CHECK_OK(set_policy(MPOL_BIND, big, 2));
	CHECK_ERR(set_policy(MPOL_BIND, big, 0), EINVAL);
	CHECK_ERR(set_policy(MPOL_BIND, big, PAGE * 8 + 2), EINVAL);
	big[15] = 1UL << 63;
	CHECK_OK(set_policy(MPOL_BIND, big, 1025));
	big[16] = 1;
	CHECK_ERR(set_policy(MPOL_BIND, big, 1026), EINVAL);
	CHECK_OK(set_policy(MPOL_BIND, big, 1025));
}

TEST(static_and_relative_nodes)
{
	mask_t nodes = 0x21, got = 0;
	int mode;
	CHECK_OK(set_policy(MPOL_BIND | MPOL_F_STATIC_NODES, &nodes, 64));
	CHECK_OK(get_policy(&mode, &got, 64, NULL, 0));
	CHECK_EQ(mode, MPOL_BIND | MPOL_F_STATIC_NODES);
	CHECK_EQ(got, 0x21);
	nodes = 0x20;
	CHECK_ERR(set_policy(MPOL_BIND | MPOL_F_STATIC_NODES, &nodes, 64), EINVAL);
	/* Relative ones are folded onto the nodes that there are. */
	CHECK_OK(set_policy(MPOL_INTERLEAVE | MPOL_F_RELATIVE_NODES, &nodes, 64));
	CHECK_OK(get_policy(&mode, &got, 64, NULL, 0));
	CHECK_EQ(mode, MPOL_INTERLEAVE | MPOL_F_RELATIVE_NODES);
	CHECK_EQ(got, 0x20);
	nodes = 0x3;
	CHECK_OK(set_policy(MPOL_BIND, &nodes, 64));
	CHECK_OK(get_policy(&mode, &got, 64, NULL, 0));
	CHECK_EQ(got, 1);
	CHECK_OK(set_policy(MPOL_BIND | (1 << 13), &nodes, 64));
	CHECK_EQ(mode_now(), MPOL_BIND | (1 << 13));
	CHECK_ERR(set_policy(MPOL_PREFERRED | (1 << 13), &nodes, 64), EINVAL);
}

TEST(what_is_asked_about)
{
	mask_t got[40];
	int mode = -1;
	char *mem = map(1);
	memset(got, 0xff, sizeof got);
	CHECK_OK(get_policy(NULL, got, 64 * 4, NULL, MPOL_F_MEMS_ALLOWED));
	CHECK_EQ(got[0], 1);
	CHECK_EQ(got[1] | got[2], 0);
	CHECK_ERR(get_policy(&mode, NULL, 0, NULL, MPOL_F_MEMS_ALLOWED | MPOL_F_NODE), EINVAL);
	CHECK_ERR(get_policy(&mode, NULL, 0, mem, MPOL_F_MEMS_ALLOWED | MPOL_F_ADDR), EINVAL);
	CHECK_ERR(get_policy(&mode, NULL, 0, NULL, 8), EINVAL);
	CHECK_ERR(get_policy(&mode, NULL, 0, mem, 0), EINVAL);
	CHECK_ERR(get_policy(&mode, NULL, 0, NULL, MPOL_F_NODE), EINVAL);
	CHECK_ERR(get_policy(&mode, NULL, 0, BAD_PTR, MPOL_F_ADDR), EFAULT);
	CHECK_ERR(get_policy(BAD_PTR, NULL, 0, NULL, 0), EFAULT);
	CHECK_ERR(get_policy(NULL, (void *)BAD_PTR, 64, NULL, 0), EFAULT);
	CHECK_ERR(get_policy(NULL, got, 0, NULL, 0), EINVAL);
	CHECK_OK(get_policy(&mode, NULL, 0, mem, MPOL_F_ADDR | MPOL_F_NODE));
	CHECK_EQ(mode, 0);
	CHECK_OK(get_policy(NULL, NULL, 0, NULL, 0));
}

TEST(the_policy_of_a_range)
{
	mask_t one = NODE0, two = 2, got = 0;
	char *mem = map(8);
	CHECK_EQ(mode_at(mem), MPOL_DEFAULT);
	CHECK_OK(bind_range(mem + 2 * PAGE, 3 * PAGE - 5, MPOL_BIND, &one, 64, 0));
	CHECK_EQ(mode_at(mem + PAGE), MPOL_DEFAULT);
	CHECK_EQ(mode_at(mem + 2 * PAGE), MPOL_BIND);
	CHECK_EQ(mode_at(mem + 5 * PAGE - 1), MPOL_BIND);
	CHECK_EQ(mode_at(mem + 5 * PAGE), MPOL_DEFAULT);
	CHECK_OK(get_policy(NULL, &got, 64, mem + 2 * PAGE, MPOL_F_ADDR));
	CHECK_EQ(got, 1);
	CHECK_OK(bind_range(mem, 3 * PAGE, MPOL_INTERLEAVE, &one, 64, MPOL_MF_STRICT | MPOL_MF_MOVE));
	CHECK_EQ(mode_at(mem + 2 * PAGE), MPOL_INTERLEAVE);
	CHECK_EQ(mode_at(mem + 3 * PAGE), MPOL_BIND);
	/* It is handed on, and goes along. */
	JOIN(SPAWN(CHECK_EQ(mode_at(mem), MPOL_INTERLEAVE)));
	char *to = map(16);
	CHECK_EQ(mremap(mem + 3 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to), to);
	CHECK_EQ(mode_at(to), MPOL_BIND);
	CHECK_OK(bind_range(mem, 3 * PAGE, MPOL_DEFAULT, NULL, 0, 0));
	CHECK_EQ(mode_at(mem), MPOL_DEFAULT);
	/* Holes. */
	CHECK_ERR(bind_range(mem, 8 * PAGE, MPOL_BIND, &one, 64, 0), EFAULT);
	CHECK_EQ(mode_at(mem), MPOL_DEFAULT);
	CHECK_ERR(bind_range(BAD_PTR, PAGE, MPOL_BIND, &one, 64, 0), EINVAL);
	CHECK_ERR(bind_range(mem + 3 * PAGE, PAGE, MPOL_BIND, &one, 64, 0), EFAULT);
	CHECK_ERR(bind_range(mem + 1, PAGE, MPOL_BIND, &one, 64, 0), EINVAL);
	CHECK_ERR(bind_range(mem, -PAGE, MPOL_BIND, &one, 64, 0), EINVAL);
	CHECK_ERR(bind_range(mem, PAGE, MPOL_BIND, &two, 64, 0), EINVAL);
	CHECK_ERR(bind_range(mem, PAGE, MPOL_BIND, NULL, 0, 0), EINVAL);
	CHECK_ERR(bind_range(mem, PAGE, MPOL_DEFAULT, &one, 64, 0), EINVAL);
	CHECK_ERR(bind_range(mem, PAGE, MPOL_BIND, &one, 64, 16), EINVAL);
	CHECK_ERR(bind_range(mem, PAGE, MPOL_BIND, BAD_PTR, 64, 0), EFAULT);
	CHECK_OK(bind_range(mem, 0, MPOL_BIND, &one, 64, 0));
	become(9);
	CHECK_ERR(bind_range(mem, PAGE, MPOL_BIND, &one, 64, MPOL_MF_MOVE_ALL), EPERM);
	CHECK_OK(bind_range(mem, PAGE, MPOL_BIND, &one, 64, MPOL_MF_MOVE));
}

static int nr_areas(char *from, char *to)
{
	static char text[65536];
	int n = 0;
	CHECK(kt_read_file("/proc/self/maps", text, sizeof text) > 0);
	for (char *at = text; *at; at = strchr(at, '\n') + 1) {
		unsigned long start, end;
		CHECK_EQ(sscanf(at, "%lx-%lx", &start, &end), 2);
		n += start < (unsigned long)to && end > (unsigned long)from;
	}
	return n;
}

TEST(areas_split_and_merge)
{
	mask_t one = NODE0;
	char *mem = map(12);
	CHECK_OK(mprotect(mem, PAGE, PROT_NONE));
	CHECK_OK(mprotect(mem + 11 * PAGE, PAGE, PROT_NONE));
	char *in = mem + PAGE, *end = mem + 11 * PAGE;
	CHECK_EQ(nr_areas(in, end), 1);
	CHECK_OK(bind_range(in + 3 * PAGE, PAGE, MPOL_BIND, &one, 64, 0));
	CHECK_EQ(nr_areas(in, end), 3);
	CHECK_OK(bind_range(in + 4 * PAGE, PAGE, MPOL_BIND, &one, 64, 0));
	CHECK_EQ(nr_areas(in, end), 3);
	CHECK_OK(bind_range(in + 5 * PAGE, PAGE, MPOL_PREFERRED, &one, 64, 0));
	CHECK_EQ(nr_areas(in, end), 4);
	CHECK_OK(bind_range(in, 10 * PAGE, MPOL_DEFAULT, NULL, 0, 0));
	CHECK_EQ(nr_areas(in, end), 1);
}

static void *thread_mode(void *arg)
{
	*(int *)arg = mode_now();
	return NULL;
}

ROLE(mode)
{
	CHECK_EQ(argc, 1);
	CHECK(argv[0]);
	CHECK_EQ(mode_now(), MPOL_BIND);
	return 0;
}

TEST(the_policy_is_inherited)
{
	mask_t one = NODE0;
	pthread_t thread;
	int mode = -1;
	CHECK_OK(set_policy(MPOL_BIND, &one, 64));
	CHECK_EQ(pthread_create(&thread, NULL, thread_mode, &mode), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
	CHECK_EQ(mode, MPOL_BIND);
	JOIN(SPAWN({
		execl("/proc/self/exe", "role:mode", NULL);
		_exit(1);
	}));
}

TEST(where_pages_are)
{
	char *mem = map(4);
	int status[4] = { 99, 99, 99, 99 }, nodes[4] = { 0, 0, 0, 0 };
	void *pages[4] = { mem, mem + PAGE, mem + 2 * PAGE, BAD_PTR };
	int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0600));
	CHECK_OK(ftruncate(fd, PAGE));
	char *file = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	mem[0] = 1;
	CHECK_EQ(*(volatile char *)(mem + PAGE), 0);
	CHECK_EQ(move(0, 4, pages, NULL, status, 0), 0);
	CHECK_EQ(status[0], 0);
	CHECK_EQ(status[1], -EFAULT);
	CHECK(status[2] == -EFAULT || status[2] == -ENOENT);
	CHECK_EQ(status[3], -EFAULT);
	pages[1] = file;
	CHECK_EQ(move(0, 2, pages, NULL, status, 0), 0);
	CHECK_EQ(status[1], -ENOENT);
	CHECK_EQ(*(volatile char *)file, 0);
	CHECK_EQ(move(0, 2, pages, NULL, status, 0), 0);
	CHECK_EQ(status[1], 0);
	status[0] = 99;
	CHECK_EQ(move(0, 1, pages, nodes, status, MPOL_MF_MOVE), 0);
	CHECK_EQ(status[0], 0);
	pages[1] = BAD_PTR;
	CHECK_EQ(move(0, 2, pages, nodes, status, MPOL_MF_MOVE), 0);
	CHECK_EQ(status[1], -EFAULT);
	nodes[0] = 1;
	CHECK_ERR(move(0, 1, pages, nodes, status, MPOL_MF_MOVE), ENODEV);
	nodes[0] = -1;
	CHECK_ERR(move(0, 1, pages, nodes, status, MPOL_MF_MOVE), ENODEV);
	CHECK_EQ(move(0, 0, NULL, NULL, NULL, 0), 0);
	CHECK_ERR(move(0, 1, (void **)BAD_PTR, NULL, status, 0), EFAULT);
	CHECK_ERR(move(0, 1, pages, NULL, BAD_PTR, 0), EFAULT);
	CHECK_ERR(move(0, 1, pages, BAD_PTR, status, 0), EFAULT);
	CHECK_ERR(move(0, 1, pages, NULL, status, 1), EINVAL);
	CHECK_ERR(move(0x7ffffff, 1, pages, NULL, status, 0), ESRCH);
	pid_t child = SPAWN(pause());
	CHECK_EQ(move(child, 1, pages, NULL, status, 0), 0);
	CHECK_EQ(status[0], 0);
	become(9);
	CHECK_ERR(move(child, 1, pages, NULL, status, 0), EPERM);
	CHECK_ERR(move(0, 1, pages, NULL, status, MPOL_MF_MOVE_ALL), EPERM);
}

TEST(pages_migrate_nowhere)
{
	mask_t one = NODE0, two = 2, none = 0;
	CHECK_EQ(syscall(SYS_migrate_pages, 0, 64, &one, &one), 0);
	CHECK_EQ(syscall(SYS_migrate_pages, getpid(), 64, &two, &one), 0);
	CHECK_ERR(syscall(SYS_migrate_pages, 0, 64, &one, &two), EINVAL);
	CHECK_ERR(syscall(SYS_migrate_pages, 0, 64, &one, &none), EINVAL);
	CHECK_ERR(syscall(SYS_migrate_pages, 0, 64, BAD_PTR, &one), EFAULT);
	CHECK_ERR(syscall(SYS_migrate_pages, 0, 64, &one, BAD_PTR), EFAULT);
	CHECK_ERR(syscall(SYS_migrate_pages, 0x7ffffff, 64, &one, &one), ESRCH);
	pid_t child = SPAWN(pause());
	become(9);
	CHECK_ERR(syscall(SYS_migrate_pages, child, 64, &one, &one), EPERM);
	CHECK_ERR(syscall(SYS_migrate_pages, 0, 64, &one, &two), EPERM);
	CHECK_EQ(syscall(SYS_migrate_pages, 0, 64, &one, &one), 0);
}

TEST(home_nodes)
{
	mask_t one = NODE0;
	char *mem = map(4);
	CHECK_ERR(syscall(SYS_set_mempolicy_home_node, mem, PAGE, 0, 0), ENOENT);
	CHECK_OK(bind_range(mem, PAGE, MPOL_BIND, &one, 64, 0));
	CHECK_OK(syscall(SYS_set_mempolicy_home_node, mem, PAGE, 0, 0));
	CHECK_EQ(mode_at(mem), MPOL_BIND);
	CHECK_ERR(syscall(SYS_set_mempolicy_home_node, mem, PAGE, 1, 0), EINVAL);
	CHECK_ERR(syscall(SYS_set_mempolicy_home_node, mem, PAGE, 0, 1), EINVAL);
	CHECK_ERR(syscall(SYS_set_mempolicy_home_node, mem + 1, PAGE, 0, 0), EINVAL);
	CHECK_OK(syscall(SYS_set_mempolicy_home_node, mem, 0, 0, 0));
	CHECK_OK(bind_range(mem, PAGE, MPOL_PREFERRED, &one, 64, 0));
	CHECK_ERR(syscall(SYS_set_mempolicy_home_node, mem, PAGE, 0, 0), EOPNOTSUPP);
}
