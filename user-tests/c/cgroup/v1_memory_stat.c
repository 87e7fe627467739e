/* memory.stat of v1: pages that are mapped, and pages that came and went (cgroup-v1/memory.rst, 5.2). */
#include "memory.h"

static long long stat_of(const char *cg, const char *name)
{
	return kt_field(mem_path(cg, "memory.stat"), name);
}

TEST(lines_of_the_file)
{
	static const char *names[] = { "cache", "rss", "rss_huge", "shmem", "mapped_file", "dirty", "writeback",
		"workingset_refault_anon", "workingset_refault_file", "swap", "pgpgin", "pgpgout", "pgfault", "pgmajfault",
		"inactive_anon", "active_anon", "inactive_file", "active_file" };
	mem1_init();
	const char *a = mem_new("a");
	const char *at = mem_text(a, "memory.stat"), *text = at;
	for (int total = 0; total < 2; total++)
		for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
			char line[64];
			snprintf(line, sizeof line, "%s%s 0\n", total ? "total_" : "", names[i]);
			const char *found = strstr(at, line);
			while (found && found > text && found[-1] != '\n')
				found = strstr(found + 1, line);
			if (!found)
				KT_FAIL("%s is not there, or not in its place", line);
			at = found;
		}
	mem_done();
}

TEST(file_pages_that_are_mapped)
{
	mem1_init();
	const char *a = mem_new("a");
	const char *b = mem_new("a/b");
	JOIN(SPAWN({
		mem_enter(b);
		long long before = stat_of(b, "mapped_file ");
		int fd = CHECK_OK(memfd_create("m", 0));
		static char page[4096];
		for (int i = 0; i < 2048; i++)
			CHECK_EQ(write(fd, page, 4096), 4096);
		CHECK(stat_of(b, "mapped_file ") - before < MB);
		char *at = mmap(NULL, 8 * MB, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
		CHECK(at != MAP_FAILED);
		for (long i = 0; i < 4 * MB; i += 4096)
			*(volatile char *)(at + i) = 1;
		WAIT_FOR(stat_of(b, "mapped_file ") - before >= 4 * MB);
		WAIT_FOR(stat_of(a, "total_mapped_file ") - before >= 4 * MB);
		CHECK(stat_of(b, "mapped_file ") - before <= 4 * MB + MB / 4);
		CHECK_EQ(stat_of(a, "mapped_file "), 0);
		/* A page counts once, whoever maps it, and as long as anybody does. */
		char *again = mmap(NULL, 8 * MB, PROT_READ, MAP_SHARED, fd, 0);
		for (long i = 0; i < 2 * MB; i += 4096)
			CHECK_EQ(*(volatile char *)(again + i), 1);
		CHECK(stat_of(b, "mapped_file ") - before <= 4 * MB + MB / 4);
		JOIN(SPAWN({
			for (long i = 0; i < 4 * MB; i += 4096)
				CHECK_EQ(*(volatile char *)(at + i), 1);
			CHECK(stat_of(b, "mapped_file ") - before <= 4 * MB + MB / 4);
		}));
		CHECK_OK(munmap(at, 8 * MB));
		WAIT_FOR(stat_of(b, "mapped_file ") - before <= 2 * MB + MB / 4);
		CHECK(stat_of(b, "mapped_file ") - before >= 2 * MB - MB / 4);
		/* Pages that go with the file are not mapped either. */
		CHECK_OK(ftruncate(fd, 0));
		WAIT_FOR(stat_of(b, "mapped_file ") - before <= MB / 4);
		CHECK_OK(munmap(again, 8 * MB));
	}));
	WAIT_FOR(stat_of(a, "total_mapped_file ") == 0);
	mem_done();
}

TEST(pages_that_come_and_go)
{
	mem1_init();
	const char *a = mem_new("a");
	JOIN(SPAWN({
		mem_enter(a);
		char *at = mmap(NULL, 4 * MB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		madvise(at, 4 * MB, MADV_NOHUGEPAGE);
		long long in = stat_of(a, "pgpgin ");
		long long out = stat_of(a, "pgpgout ");
		for (int round = 1; round <= 3; round++) {
			for (long i = 0; i < 4 * MB; i += 4096)
				*(volatile char *)(at + i) = 1;
			WAIT_FOR(stat_of(a, "pgpgin ") - in >= round * 1024);
			CHECK_OK(madvise(at, 4 * MB, MADV_DONTNEED));
			WAIT_FOR(stat_of(a, "pgpgout ") - out >= round * 1024);
		}
		CHECK(stat_of(a, "pgpgin ") - in < 4 * 1024);
	}));
	/* What is left is the difference. */
	WAIT_FOR(stat_of(a, "pgpgin ") - stat_of(a, "pgpgout ")
		 == (stat_of(a, "cache ") + stat_of(a, "rss ")) / 4096);
	CHECK(stat_of("", "total_pgpgin ") >= stat_of("", "total_pgpgout "));
	CHECK(stat_of("", "total_pgpgout ") > 3 * 1024);
	mem_done();
}
