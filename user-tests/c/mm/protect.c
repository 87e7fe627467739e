/* mprotect(2), madvise(2), mincore(2), msync(2), mlock(2). */
#include <sys/mman.h>

#include "proc.h"
#include "sys.h"

#define PAGE 4096L

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#define MADV_KEEPONFORK 19
#endif

static char *anon(int pages)
{
	char *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(p != MAP_FAILED);
	return p;
}

static int faults(volatile char *at, int writing)
{
	return kt_wait(SPAWN({
		if (writing)
			*at = 1;
		else
			(void)*at;
	})) & 0x7f;
}

TEST(mprotect_changes_some_pages)
{
	char *p = anon(4);
	memset(p, 1, 4 * PAGE);
	CHECK_OK(mprotect(p + PAGE, 2 * PAGE, PROT_READ));
	CHECK_EQ(faults(p, 1), 0);
	CHECK_EQ(faults(p + PAGE, 0), 0);
	CHECK_EQ(faults(p + PAGE, 1), SIGSEGV);
	CHECK_EQ(faults(p + 2 * PAGE, 1), SIGSEGV);
	CHECK_EQ(faults(p + 3 * PAGE, 1), 0);
	CHECK_OK(mprotect(p + PAGE, PAGE, PROT_NONE));
	CHECK_EQ(faults(p + PAGE, 0), SIGSEGV);
	CHECK_OK(mprotect(p, 4 * PAGE, PROT_READ | PROT_WRITE));
	CHECK_EQ(p[PAGE], 1);
	p[2 * PAGE] = 2;
}

TEST(mprotect_of_a_hole)
{
	char *p = anon(4);
	CHECK_OK(munmap(p + 2 * PAGE, PAGE));
	CHECK_ERR(mprotect(p, 4 * PAGE, PROT_READ), ENOMEM);
	/* What lies before the hole has changed. */
	CHECK_EQ(faults(p, 1), SIGSEGV);
	CHECK_EQ(faults(p + 3 * PAGE, 1), 0);
	/* The C library would round the address. */
	CHECK_ERR(syscall(SYS_mprotect, p + 1, PAGE, PROT_READ), EINVAL);
	CHECK_ERR(mprotect(p, PAGE, 0x100), EINVAL);
	CHECK_OK(mprotect(p, 0, PROT_READ));
	CHECK_ERR(syscall(SYS_mprotect, p, ~0UL - 8192, PROT_READ), ENOMEM);
}

TEST(mprotect_keeps_copies_private)
{
	char *p = anon(2);
	memset(p, 1, 2 * PAGE);
	JOIN(SPAWN({
		CHECK_OK(mprotect(p, 2 * PAGE, PROT_READ));
		CHECK_OK(mprotect(p, 2 * PAGE, PROT_READ | PROT_WRITE));
		memset(p, 2, 2 * PAGE);
	}));
	CHECK_EQ(p[0], 1);
	CHECK_EQ(p[PAGE], 1);
}

TEST(dontneed_forgets)
{
	char *p = anon(4);
	memset(p, 1, 4 * PAGE);
	CHECK_OK(madvise(p + PAGE, 2 * PAGE, MADV_DONTNEED));
	CHECK_EQ(p[0], 1);
	CHECK_EQ(p[PAGE], 0);
	CHECK_EQ(p[2 * PAGE], 0);
	CHECK_EQ(p[3 * PAGE], 1);
	kt_make_file("f", "file", 0600);
	int fd = CHECK_OK(open("f", O_RDWR));
	char *q = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	q[0] = 'X';
	CHECK_OK(madvise(q, PAGE, MADV_DONTNEED));
	CHECK_EQ(q[0], 'f');
}

TEST(remove_punches_shared_memory)
{
	char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	memset(p, 1, 2 * PAGE);
	CHECK_OK(madvise(p, PAGE, MADV_DONTNEED));
	CHECK_EQ(p[0], 1);
	CHECK_OK(madvise(p, PAGE, MADV_REMOVE));
	CHECK_EQ(p[0], 0);
	CHECK_EQ(p[PAGE], 1);
	CHECK_ERR(madvise(anon(1), PAGE, MADV_REMOVE), EINVAL);
}

TEST(dontfork_and_wipeonfork)
{
	char *p = anon(3);
	memset(p, 1, 3 * PAGE);
	CHECK_OK(madvise(p, PAGE, MADV_DONTFORK));
	CHECK_OK(madvise(p + PAGE, PAGE, MADV_WIPEONFORK));
	CHECK_EQ(faults(p, 0), SIGSEGV);
	JOIN(SPAWN({
		CHECK_EQ(p[PAGE], 0);
		CHECK_EQ(p[2 * PAGE], 1);
	}));
	CHECK_OK(madvise(p, PAGE, MADV_DOFORK));
	CHECK_OK(madvise(p + PAGE, PAGE, MADV_KEEPONFORK));
	JOIN(SPAWN(CHECK_EQ(p[0] + p[PAGE], 2)));
}

TEST(advice_without_visible_effect)
{
	static const int advice[] = { MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED };
	char *p = anon(2);
	p[0] = 1;
	for (unsigned i = 0; i < sizeof advice / sizeof *advice; i++)
		CHECK_OK(madvise(p, 2 * PAGE, advice[i]));
	CHECK_EQ(p[0], 1);
	CHECK_OK(madvise(p, PAGE, MADV_FREE));
	p[0] = 2;
	CHECK_EQ(p[0], 2);
}

TEST(populate_by_advice)
{
	unsigned char vec[4] = { 0 };
	char *p = anon(4);
	CHECK_OK(mincore(p, 4 * PAGE, vec));
	CHECK_EQ(vec[0] & 1, 0);
	CHECK_OK(madvise(p, 4 * PAGE, MADV_POPULATE_WRITE));
	CHECK_OK(mincore(p, 4 * PAGE, vec));
	CHECK_EQ(vec[3] & 1, 1);
	CHECK_OK(mprotect(p, PAGE, PROT_READ));
	CHECK_ERR(madvise(p, PAGE, MADV_POPULATE_WRITE), EINVAL);
}

TEST(wrong_advice)
{
	char *p = anon(3);
	CHECK_ERR(madvise(p, PAGE, 999), EINVAL);
	CHECK_ERR(madvise(p + 1, PAGE, MADV_NORMAL), EINVAL);
	CHECK_OK(madvise(p, 0, MADV_NORMAL));
	CHECK_OK(munmap(p + PAGE, PAGE));
	CHECK_ERR(madvise(p, 3 * PAGE, MADV_DONTNEED), ENOMEM);
	CHECK_ERR(madvise(p + PAGE, PAGE, MADV_NORMAL), ENOMEM);
}

TEST(mincore_tells_residence)
{
	unsigned char vec[4];
	char *p = anon(4);
	p[PAGE] = 1;
	CHECK_OK(mincore(p, 4 * PAGE, vec));
	CHECK_EQ(vec[0] & 1, 0);
	CHECK_EQ(vec[1] & 1, 1);
	CHECK_ERR(mincore(p + 1, PAGE, vec), EINVAL);
	CHECK_ERR(mincore(p, 4 * PAGE, BAD_PTR), EFAULT);
	CHECK_OK(munmap(p + 2 * PAGE, PAGE));
	CHECK_ERR(mincore(p, 4 * PAGE, vec), ENOMEM);
}

TEST(msync_checks)
{
	char *p = anon(2);
	CHECK_OK(msync(p, 2 * PAGE, MS_ASYNC));
	CHECK_OK(msync(p, 0, MS_SYNC));
	CHECK_ERR(msync(p, PAGE, MS_SYNC | MS_ASYNC), EINVAL);
	CHECK_ERR(msync(p, PAGE, 0x100), EINVAL);
	CHECK_ERR(msync(p + 1, PAGE, MS_SYNC), EINVAL);
	CHECK_OK(munmap(p + PAGE, PAGE));
	CHECK_ERR(msync(p, 2 * PAGE, MS_SYNC), ENOMEM);
}

TEST(mlock_makes_resident)
{
	unsigned char vec[4];
	char *p = anon(4);
	CHECK_OK(mlock(p + 1, 2 * PAGE));
	CHECK_OK(mincore(p, 4 * PAGE, vec));
	CHECK_EQ(vec[0] & vec[1] & vec[2] & 1, 1);
	CHECK_EQ(vec[3] & 1, 0);
	CHECK_EQ(kt_field("/proc/self/status", "VmLck:"), 12);
	CHECK_OK(munlock(p, 4 * PAGE));
	CHECK_EQ(kt_field("/proc/self/status", "VmLck:"), 0);
	CHECK_OK(syscall(SYS_mlock2, p, PAGE, 1 /* MLOCK_ONFAULT */));
	CHECK_ERR(syscall(SYS_mlock2, p, PAGE, 2), EINVAL);
	CHECK_OK(munmap(p + PAGE, PAGE));
	CHECK_ERR(mlock(p, 3 * PAGE), ENOMEM);
	CHECK_ERR(munlock(p + PAGE, PAGE), ENOMEM);
}

TEST(mlockall_of_the_future)
{
	unsigned char vec[2];
	CHECK_ERR(mlockall(0), EINVAL);
	CHECK_ERR(mlockall(8), EINVAL);
	CHECK_OK(mlockall(MCL_FUTURE));
	char *p = anon(2);
	CHECK_OK(mincore(p, 2 * PAGE, vec));
	CHECK_EQ(vec[0] & vec[1] & 1, 1);
	CHECK_OK(munlockall());
	CHECK_EQ(kt_field("/proc/self/status", "VmLck:"), 0);
}
