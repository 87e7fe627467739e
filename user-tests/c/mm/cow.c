/* Copy on write. */
#include <sys/mman.h>

#include "proc.h"

#define PAGE 4096L
enum { PAGES = 64 };

static char *anon(void)
{
	char *p = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(p != MAP_FAILED);
	return p;
}

static void all(const char *p, char value)
{
	for (int i = 0; i < PAGES; i++)
		CHECK_EQ(p[i * PAGE], value);
}

TEST(either_side_may_write_first)
{
	char *p = anon();
	int end[2];
	char c;
	CHECK_OK(pipe(end));
	memset(p, 1, PAGES * PAGE);
	pid_t child = SPAWN({
		CHECK_EQ(read(end[0], &c, 1), 1);
		all(p, 1);
		memset(p, 2, PAGES * PAGE);
		all(p, 2);
	});
	memset(p, 3, PAGES * PAGE);
	CHECK_EQ(write(end[1], "x", 1), 1);
	JOIN(child);
	all(p, 3);
}

TEST(through_generations)
{
	char *p = anon();
	memset(p, 0, PAGES * PAGE);
	JOIN(SPAWN({
		memset(p, 1, PAGE);
		JOIN(SPAWN({
			memset(p + PAGE, 2, PAGE);
			CHECK_EQ(p[0], 1);
			JOIN(SPAWN({
				memset(p, 3, 3 * PAGE);
				CHECK_EQ(p[PAGE], 3);
			}));
			CHECK_EQ(p[0], 1);
			CHECK_EQ(p[PAGE], 2);
			CHECK_EQ(p[2 * PAGE], 0);
		}));
		CHECK_EQ(p[PAGE], 0);
	}));
	all(p, 0);
}

TEST(the_kernel_writes_copies_too)
{
	char *p = anon();
	int zero = CHECK_OK(open("/dev/zero", O_RDONLY));
	memset(p, 1, PAGES * PAGE);
	JOIN(SPAWN({
		CHECK_EQ(read(zero, p, PAGES * PAGE), PAGES * PAGE);
		all(p, 0);
	}));
	all(p, 1);
}

TEST(reading_the_zero_page_then_writing)
{
	char *p = anon();
	all(p, 0);
	JOIN(SPAWN({
		memset(p, 1, PAGES * PAGE);
		all(p, 1);
	}));
	all(p, 0);
	p[0] = 5;
	CHECK_EQ(p[PAGE], 0);
}

TEST(of_a_private_file_mapping)
{
	int fd = CHECK_OK(open("f", O_CREAT | O_RDWR, 0600));
	CHECK_OK(ftruncate(fd, PAGES * PAGE));
	char *p = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	p[0] = 1;
	JOIN(SPAWN({
		CHECK_EQ(p[0], 1);
		p[0] = 2;
		p[PAGE] = 2;
	}));
	CHECK_EQ(p[0], 1);
	CHECK_EQ(p[PAGE], 0);
	char c;
	CHECK_EQ(pread(fd, &c, 1, 0), 1);
	CHECK_EQ(c, 0);
}

TEST(many_children_of_a_large_memory)
{
	enum { SIZE = 8 << 20 };
	char *p = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	memset(p, 4, SIZE);
	for (int i = 0; i < 20; i++)
		SPAWN({
			for (int n = 0; n < SIZE; n += 16 * PAGE)
				p[n] = i;
			for (int n = 0; n < SIZE; n += 16 * PAGE)
				CHECK(p[n] == i && p[n + PAGE] == 4);
		});
	for (int i = 0; i < 20; i++) {
		int status;
		CHECK(wait(&status) > 0);
		CHECK_EQ(status, 0);
	}
	for (int n = 0; n < SIZE; n += PAGE)
		CHECK_EQ(p[n], 4);
}
