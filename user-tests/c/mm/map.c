/* mmap(2) and munmap(2). */
#include <sys/mman.h>

#include "proc.h"
#include "sys.h"

#define PAGE 4096L

static void *anon(size_t length, int prot)
{
	void *p = mmap(NULL, length, prot, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(p != MAP_FAILED);
	return p;
}

/* Does touching the byte end a process? */
static int faults(volatile char *at, int writing)
{
	int status = kt_wait(SPAWN({
		if (writing)
			*at = 1;
		else
			(void)*at;
	}));
	CHECK(status == 0 || (status & 0x7f) == SIGSEGV || (status & 0x7f) == SIGBUS);
	return status & 0x7f;
}

TEST(anonymous_memory_is_zero)
{
	char *p = anon(64 * PAGE, PROT_READ | PROT_WRITE);
	for (int i = 0; i < 64 * PAGE; i += 64)
		CHECK_EQ(p[i], 0);
	memset(p, 1, 64 * PAGE);
	CHECK_OK(munmap(p, 64 * PAGE));
	CHECK_EQ(faults(p, 0), SIGSEGV);
	CHECK_OK(munmap(p, 64 * PAGE));
}

TEST(protections)
{
	CHECK_EQ(faults(anon(PAGE, PROT_NONE), 0), SIGSEGV);
	CHECK_EQ(faults(anon(PAGE, PROT_READ), 0), 0);
	CHECK_EQ(faults(anon(PAGE, PROT_READ), 1), SIGSEGV);
	CHECK_EQ(faults(anon(PAGE, PROT_WRITE), 1), 0);
	CHECK_EQ(faults(anon(PAGE, PROT_READ | PROT_WRITE), 1), 0);
}

TEST(executable_memory_runs)
{
	static const unsigned char code[] = { 0xb8, 42, 0, 0, 0, 0xc3 };
	char *p = anon(PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
	memcpy(p, code, sizeof code);
	CHECK_EQ(((int (*)(void))p)(), 42);
	p[1] = 43;
	CHECK_EQ(((int (*)(void))p)(), 43);
}

TEST(fixed_replaces)
{
	char *p = anon(3 * PAGE, PROT_READ | PROT_WRITE);
	memset(p, 7, 3 * PAGE);
	CHECK(mmap(p + PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == p + PAGE);
	CHECK_EQ(p[0], 7);
	CHECK_EQ(p[PAGE], 0);
	CHECK_EQ(p[2 * PAGE], 7);
	CHECK_EQ(faults(p + PAGE, 1), SIGSEGV);
	CHECK_ERR(mmap(p + 1, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), EINVAL);
	CHECK_ERR(mmap(p, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0), EEXIST);
	CHECK_OK(munmap(p, 3 * PAGE));
	CHECK(mmap(p, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == p);
}

TEST(a_hint_is_taken_if_free)
{
	char *p = anon(PAGE, PROT_READ);
	CHECK_OK(munmap(p, PAGE));
	CHECK(mmap(p, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == p);
	char *q = mmap(p, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(q != MAP_FAILED && q != p);
}

TEST(unmapping_a_middle)
{
	char *p = anon(5 * PAGE, PROT_READ | PROT_WRITE);
	memset(p, 3, 5 * PAGE);
	CHECK_OK(munmap(p + 2 * PAGE, PAGE));
	CHECK_EQ(p[PAGE], 3);
	CHECK_EQ(p[3 * PAGE], 3);
	CHECK_EQ(faults(p + 2 * PAGE, 0), SIGSEGV);
	/* A range with holes is unmapped whole. */
	CHECK_OK(munmap(p, 5 * PAGE));
	CHECK_EQ(faults(p + 4 * PAGE, 0), SIGSEGV);
}

TEST(a_private_file_mapping_is_a_copy)
{
	kt_make_file("f", "hello", 0600);
	int fd = CHECK_OK(open("f", O_RDWR));
	char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0), buf[8] = "";
	CHECK(p != MAP_FAILED);
	CHECK(!strcmp(p, "hello"));
	p[0] = 'J';
	CHECK_EQ(pread(fd, buf, 5, 0), 5);
	CHECK(!strcmp(buf, "hello"));
	CHECK_EQ(pwrite(fd, "World", 5, 0), 5);
	CHECK_EQ(p[0], 'J');
}

TEST(a_shared_file_mapping_is_the_file)
{
	char buf[8] = "";
	int fd = CHECK_OK(open("f", O_CREAT | O_RDWR, 0600));
	CHECK_OK(ftruncate(fd, 2 * PAGE));
	char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	char *q = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, PAGE);
	CHECK_OK(close(fd));
	strcpy(p, "one");
	strcpy(p + PAGE, "two");
	CHECK(!strcmp(q, "two"));
	JOIN(SPAWN(strcpy(p + PAGE, "six")));
	CHECK(!strcmp(q, "six"));
	fd = CHECK_OK(open("f", O_RDWR));
	CHECK_EQ(pread(fd, buf, 4, PAGE), 4);
	CHECK(!strcmp(buf, "six"));
	CHECK_EQ(pwrite(fd, "ten", 4, 0), 4);
	CHECK(!strcmp(p, "ten"));
	CHECK_OK(msync(p, 2 * PAGE, MS_SYNC));
}

TEST(beyond_the_end_of_the_file)
{
	kt_make_file("f", "abc", 0600);
	int fd = CHECK_OK(open("f", O_RDWR));
	char *p = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK_EQ(p[3], 0);
	CHECK_EQ(p[PAGE - 1], 0);
	CHECK_EQ(faults(p + PAGE, 0), SIGBUS);
	CHECK_OK(ftruncate(fd, 2 * PAGE));
	CHECK_EQ(faults(p + PAGE, 1), 0);
	CHECK_EQ(faults(p + 2 * PAGE, 1), SIGBUS);
	p[PAGE] = 9;
	CHECK_OK(ftruncate(fd, PAGE));
	CHECK_EQ(faults(p + PAGE, 0), SIGBUS);
	CHECK_OK(ftruncate(fd, 2 * PAGE));
	CHECK_EQ(p[PAGE], 0);
}

TEST(truncation_also_empties_private_copies)
{
	int fd = CHECK_OK(open("f", O_CREAT | O_RDWR, 0600));
	CHECK_OK(ftruncate(fd, 2 * PAGE));
	char *p = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	p[PAGE] = 5;
	CHECK_OK(ftruncate(fd, PAGE));
	CHECK_EQ(faults(p + PAGE, 0), SIGBUS);
}

TEST(what_the_descriptor_must_allow)
{
	kt_make_file("f", "abc", 0600);
	int r = CHECK_OK(open("f", O_RDONLY)), w = CHECK_OK(open("f", O_WRONLY));
	CHECK_ERR(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, r, 0), EACCES);
	CHECK(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, r, 0) != MAP_FAILED);
	CHECK_ERR(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, w, 0), EACCES);
	CHECK_ERR(mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, w, 0), EACCES);
	char *p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, r, 0);
	CHECK(p != MAP_FAILED);
	CHECK_ERR(mprotect(p, PAGE, PROT_READ | PROT_WRITE), EACCES);
	int dir = CHECK_OK(open(".", O_RDONLY | O_DIRECTORY)), end[2];
	CHECK_ERR(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, dir, 0), ENODEV);
	CHECK_OK(pipe(end));
	CHECK_ERR(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, end[0], 0), ENODEV);
	int path = CHECK_OK(open("f", O_PATH));
	CHECK_ERR(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, path, 0), EBADF);
}

TEST(wrong_arguments)
{
	CHECK_ERR(mmap(NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), EINVAL);
	CHECK_ERR(syscall(SYS_mmap, NULL, PAGE, PROT_READ, MAP_ANONYMOUS, -1, 0), EINVAL);
	CHECK_ERR(syscall(SYS_mmap, NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 5), EINVAL);
	CHECK_ERR(syscall(SYS_mmap, NULL, ~0UL, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM);
	CHECK_ERR(syscall(SYS_mmap, NULL, 1UL << 62, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), ENOMEM);
	CHECK_ERR(syscall(SYS_mmap, NULL, PAGE, PROT_READ, MAP_PRIVATE, 999, 0), EBADF);
	CHECK_ERR(syscall(SYS_mmap, 1UL << 56, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
			  -1, 0), ENOMEM);
	CHECK_ERR(munmap((void *)1, PAGE), EINVAL);
	CHECK_ERR(munmap(NULL, 0), EINVAL);
	CHECK_ERR(syscall(SYS_munmap, 0, ~0UL), EINVAL);
	CHECK_ERR(syscall(SYS_munmap, 1UL << 62, PAGE), EINVAL);
	CHECK_OK(munmap(anon(PAGE, PROT_READ), 1));
}

TEST(page_zero_needs_privilege)
{
	JOIN(SPAWN({
		CHECK_OK(setuid(65534));
		CHECK_ERR(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), EPERM);
	}));
	CHECK_EQ(faults((char *)BAD_PTR, 0), SIGSEGV);
}

TEST(populate_and_locked)
{
	unsigned char vec[16];
	char *p = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	CHECK_OK(mincore(p, 16 * PAGE, vec));
	for (int i = 0; i < 16; i++)
		CHECK_EQ(vec[i] & 1, 1);
	p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0);
	CHECK(p != MAP_FAILED);
	CHECK(kt_field("/proc/self/status", "VmLck:") >= 4);
}

TEST(dev_zero_and_noreserve)
{
	int zero = CHECK_OK(open("/dev/zero", O_RDWR));
	char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, zero, 0);
	CHECK(p != MAP_FAILED);
	JOIN(SPAWN(p[5] = 6));
	CHECK_EQ(p[5], 6);
	p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, zero, 0);
	CHECK_EQ(p[0], 0);
	p = mmap(NULL, 64UL << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(p != MAP_FAILED);
}

TEST(in_the_lower_two_gigabytes)
{
	char *p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	CHECK(p != MAP_FAILED);
	CHECK((unsigned long)p < 1UL << 31);
}

TEST(many_mappings)
{
	enum { N = 2000 };
	char *p = anon(2 * N * PAGE, PROT_READ | PROT_WRITE);
	for (int i = 0; i < N; i++)
		CHECK_OK(munmap(p + (2 * i + 1) * PAGE, PAGE));
	for (int i = 0; i < N; i++)
		p[2 * i * PAGE] = i;
	for (int i = 0; i < N; i++)
		CHECK_EQ(p[2 * i * PAGE], (char)i);
	CHECK_OK(munmap(p, 2 * N * PAGE));
}
