/* remap_file_pages(2), as mmap(2) stands in for it. */
#include "ktest.h"

#include <sys/mman.h>

#define PAGE 4096

static long remap(void *addr, unsigned long size, int prot, unsigned long pgoff, int flags)
{
	return syscall(SYS_remap_file_pages, addr, size, prot, pgoff, flags);
}

static char *shared(int fd, int pages)
{
	char *mem = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE,
			 MAP_SHARED | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);
	CHECK(mem != MAP_FAILED);
	for (int i = 0; i < pages; i++)
		mem[i * PAGE] = 'a' + i;
	return mem;
}

TEST(pages_change_places)
{
	int fd = CHECK_OK(open("f", O_RDWR | O_CREAT, 0600));
	CHECK_OK(ftruncate(fd, 8 * PAGE));
	char *mem = shared(fd, 8);
	CHECK_OK(remap(mem, PAGE, 0, 7, 0));
	CHECK_EQ(mem[0], 'h');
	CHECK_EQ(mem[PAGE], 'b');
	CHECK_OK(remap(mem + 3 * PAGE + 5, 2 * PAGE + 9, 0, 0, 0));
	CHECK_EQ(mem[3 * PAGE], 'a');
	CHECK_EQ(mem[4 * PAGE], 'b');
	CHECK_EQ(mem[5 * PAGE], 'f');
	mem[3 * PAGE] = 'x';
	char c;
	CHECK_EQ(pread(fd, &c, 1, 0), 1);
	CHECK_EQ(c, 'x');
	/* What was remapped can be remapped, as long as it is one file without a gap. */
	CHECK_OK(remap(mem, PAGE, 0, 0, 0));
	CHECK_EQ(mem[0], 'x');
	CHECK_OK(remap(mem, 8 * PAGE, 0, 0, 0));
	CHECK_EQ(mem[7 * PAGE], 'h');
	CHECK_OK(munmap(mem + 4 * PAGE, PAGE));
	CHECK_ERR(remap(mem + 3 * PAGE, 2 * PAGE, 0, 0, 0), EINVAL);
	CHECK_OK(mprotect(mem + PAGE, PAGE, PROT_READ));
	CHECK_ERR(remap(mem, 2 * PAGE, 0, 0, 0), EINVAL);
	CHECK_OK(remap(mem + PAGE, PAGE, 0, 3, 0));
	CHECK_EQ(mem[PAGE], 'd');
}

TEST(anonymous_pages_change_places_too)
{
	char *mem = shared(-1, 4);
	CHECK_OK(remap(mem, 2 * PAGE, 0, 2, MAP_NONBLOCK));
	CHECK_EQ(mem[0], 'c');
	CHECK_EQ(mem[PAGE], 'd');
	JOIN(SPAWN(mem[0] = 'z'));
	CHECK_EQ(mem[2 * PAGE], 'z');
}

TEST(what_is_refused)
{
	char *mem = shared(-1, 4);
	char *own = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK_ERR(remap(own, PAGE, 0, 0, 0), EINVAL);
	CHECK_ERR(remap(mem, PAGE, PROT_READ, 0, 0), EINVAL);
	CHECK_ERR(remap(mem, 0, 0, 0, 0), EINVAL);
	CHECK_ERR(remap(mem, PAGE - 1, 0, 0, 0), EINVAL);
	CHECK_ERR(remap(mem, 2 * PAGE, 0, -1UL, 0), EINVAL);
	CHECK_ERR(remap(mem, 64 * PAGE, 0, 0, 0), EINVAL);
	CHECK_ERR(remap((void *)(16 * PAGE), PAGE, 0, 0, 0), EINVAL);
	CHECK_EQ(mem[0], 'a');
}
