/* mremap(2), brk(2), the growing stack, and what /proc says about it. */
#include <sys/mman.h>
#include <sys/resource.h>

#include "proc.h"
#include "sys.h"

#define PAGE 4096L

static char *anon(int pages)
{
	char *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(p != MAP_FAILED);
	return p;
}

static int faults(volatile char *at)
{
	return kt_wait(SPAWN((void)*at)) & 0x7f;
}

TEST(shrinking)
{
	char *p = anon(4);
	memset(p, 1, 4 * PAGE);
	CHECK(mremap(p, 4 * PAGE, 2 * PAGE, 0) == p);
	CHECK_EQ(p[PAGE], 1);
	CHECK_EQ(faults(p + 2 * PAGE), SIGSEGV);
}

TEST(growing_in_place_or_moving)
{
	char *p = anon(6);
	memset(p, 1, 2 * PAGE);
	CHECK_OK(munmap(p + 2 * PAGE, 4 * PAGE));
	CHECK(mremap(p, 2 * PAGE, 4 * PAGE, 0) == p);
	CHECK_EQ(p[2 * PAGE], 0);
	CHECK(mmap(p + 4 * PAGE, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != MAP_FAILED);
	CHECK_ERR(mremap(p, 4 * PAGE, 8 * PAGE, 0), ENOMEM);
	char *q = mremap(p, 4 * PAGE, 8 * PAGE, MREMAP_MAYMOVE);
	CHECK(q != MAP_FAILED && q != p);
	CHECK_EQ(q[PAGE], 1);
	CHECK_EQ(q[7 * PAGE], 0);
	CHECK_EQ(faults(p), SIGSEGV);
}

TEST(moving_to_a_place)
{
	char *p = anon(2), *to = anon(2);
	memset(p, 3, 2 * PAGE);
	memset(to, 4, 2 * PAGE);
	CHECK(mremap(p, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to);
	CHECK_EQ(to[0] + to[PAGE], 6);
	CHECK_EQ(faults(p), SIGSEGV);
	CHECK_ERR(mremap(to, 2 * PAGE, 2 * PAGE, MREMAP_FIXED, p), EINVAL);
	CHECK_ERR(mremap(to, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to + PAGE), EINVAL);
	CHECK_ERR(mremap(to, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, p + 1), EINVAL);
}

TEST(leaving_the_old_place_mapped)
{
	char *p = anon(2);
	memset(p, 5, 2 * PAGE);
	char *q = mremap(p, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | 4 /* DONTUNMAP */, NULL);
	CHECK(q != MAP_FAILED);
	CHECK_EQ(q[0], 5);
	CHECK_EQ(p[0], 0);
}

TEST(duplicating_shared_memory)
{
	char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	p[0] = 1;
	char *q = mremap(p, 0, PAGE, MREMAP_MAYMOVE);
	CHECK(q != MAP_FAILED && q != p);
	q[0] = 9;
	CHECK_EQ(p[0], 9);
}

TEST(wrong_remaps)
{
	char *p = anon(3);
	CHECK_ERR(mremap(p + 1, PAGE, PAGE, 0), EINVAL);
	CHECK_ERR(mremap(p, PAGE, 0, 0), EINVAL);
	CHECK_ERR(mremap(p, PAGE, PAGE, 64), EINVAL);
	CHECK_ERR(mremap(p, 0, PAGE, MREMAP_MAYMOVE), EINVAL);
	CHECK_OK(munmap(p + PAGE, PAGE));
	CHECK_ERR(mremap(p, 3 * PAGE, 4 * PAGE, MREMAP_MAYMOVE), EFAULT);
	CHECK_ERR(mremap(p + PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE), EFAULT);
}

TEST(the_break_moves)
{
	char *start = (char *)syscall(SYS_brk, 0);
	CHECK((char *)syscall(SYS_brk, start + 10 * PAGE) == start + 10 * PAGE);
	memset(start, 1, 10 * PAGE);
	CHECK((char *)syscall(SYS_brk, start + 5 * PAGE) == start + 5 * PAGE);
	CHECK_EQ(faults(start + 7 * PAGE), SIGSEGV);
	CHECK_EQ(start[4 * PAGE], 1);
	CHECK((char *)syscall(SYS_brk, start + 10 * PAGE) == start + 10 * PAGE);
	CHECK_EQ(start[7 * PAGE], 0);
	/* Refused moves answer the old break. */
	CHECK((char *)syscall(SYS_brk, 4096) == start + 10 * PAGE);
	CHECK((char *)syscall(SYS_brk, ~0UL) == start + 10 * PAGE);
	CHECK((char *)syscall(SYS_brk, start + 100) == start + 100);
	CHECK((char *)syscall(SYS_brk, 0) == start + 100);
}

static int deep(int n)
{
	volatile char frame[4096];
	frame[0] = n;
	return n == 0 ? frame[0] : deep(n - 1) + frame[0] * 0;
}

TEST(the_stack_grows)
{
	CHECK_EQ(deep(1000), 0);
	/* Far below the stack is not the stack. */
	char *stack;
	__asm__("mov %%rsp, %0" : "=r"(stack));
	CHECK_EQ(faults(stack - (64 << 20)), SIGSEGV);
}

TEST(a_growsdown_mapping)
{
	char *p = anon(64);
	CHECK_OK(munmap(p, 64 * PAGE));
	char *g = mmap(p + 60 * PAGE, PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED, -1, 0);
	CHECK(g != MAP_FAILED);
	for (int i = 1; i < 20; i++)
		g[-i * PAGE] = i;
	CHECK_EQ(g[-5 * PAGE], 5);
}

TEST(maps_tell_the_truth)
{
	char line[512], want[64], perms[8];
	char *p = anon(3);
	CHECK_OK(mprotect(p, 3 * PAGE, PROT_READ));
	int fd = CHECK_OK(open("some-file", O_CREAT | O_RDWR, 0600));
	CHECK_OK(ftruncate(fd, 2 * PAGE));
	char *q = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, PAGE);
	FILE *maps = fopen("/proc/self/maps", "r");
	int file_seen = 0, anon_seen = 0;
	unsigned long start, end, offset;
	snprintf(want, sizeof want, "%08lx-", (unsigned long)q);
	while (fgets(line, sizeof line, maps)) {
		CHECK_EQ(sscanf(line, "%lx-%lx %7s %lx", &start, &end, perms, &offset), 4);
		if (!strncmp(line, want, strlen(want))) {
			file_seen = 1;
			CHECK(!strcmp(perms, "rw-s"));
			CHECK_EQ(offset, PAGE);
			CHECK_EQ(end - start, PAGE);
			CHECK(strstr(line, "/some-file\n"));
		}
		if (start <= (unsigned long)p && end > (unsigned long)p) {
			anon_seen = 1;
			CHECK(!strcmp(perms, "r--p"));
		}
	}
	CHECK(file_seen && anon_seen);
}

TEST(sizes_follow_use)
{
	char path[] = "/proc/self/status";
	long long size = kt_field(path, "VmSize:"), rss = kt_field(path, "VmRSS:");
	char *p = anon(1024);
	CHECK(kt_field(path, "VmSize:") - size >= 4096);
	memset(p, 1, 1024 * PAGE);
	CHECK(kt_field(path, "VmRSS:") - rss >= 3500);
	CHECK_OK(munmap(p, 1024 * PAGE));
	CHECK(kt_field(path, "VmRSS:") - rss < 1000);
	long statm[7];
	char text[128];
	CHECK(kt_read_file("/proc/self/statm", text, sizeof text) > 0);
	CHECK_EQ(sscanf(text, "%ld %ld %ld %ld %ld %ld %ld", statm, statm + 1, statm + 2, statm + 3,
			statm + 4, statm + 5, statm + 6), 7);
	CHECK(statm[0] >= statm[1] && statm[1] > 0);
	CHECK(kt_field("/proc/self/smaps_rollup", "Rss:") > 0);
}

TEST(too_much_memory_is_refused)
{
	/* The default heuristic refuses what plainly exceeds the machine. */
	CHECK_ERR(mmap(NULL, 1UL << 46, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM);
}
