/* /proc/PID/{pagemap,clear_refs,map_files,numa_maps}: proc(5), Documentation/admin-guide/mm/pagemap.rst. */
#include <dirent.h>
#include <sys/mman.h>

#include "ns.h"

#define PAGE 4096UL
#define PRESENT (1ULL << 63)
#define SWAPPED (1ULL << 62)
#define OF_FILE (1ULL << 61)
#define EXCLUSIVE (1ULL << 56)
#define PFN ((1ULL << 55) - 1)

static char *pages(int count, int flags, int fd)
{
	char *at = mmap(NULL, count * PAGE, PROT_READ | PROT_WRITE, flags, fd, 0);
	CHECK(at != MAP_FAILED);
	return at;
}

static uint64_t entry(int fd, const void *at)
{
	uint64_t value;
	CHECK_EQ(pread(fd, &value, 8, (uintptr_t)at / PAGE * 8), 8);
	return value;
}

TEST(pagemap_tells_what_is_there)
{
	int fd = CHECK_OK(open("/proc/self/pagemap", O_RDONLY));
	char *at = pages(3, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	CHECK(!(entry(fd, at) & (PRESENT | SWAPPED)));
	at[PAGE] = 1;
	uint64_t all[3];
	CHECK_EQ(pread(fd, all, sizeof all, (uintptr_t)at / PAGE * 8), (ssize_t)sizeof all);
	CHECK(!(all[0] & PRESENT) && !(all[2] & PRESENT));
	CHECK(all[1] & PRESENT);
	CHECK(all[1] & EXCLUSIVE);
	CHECK(!(all[1] & OF_FILE));
	CHECK(all[1] & PFN);
	/* Another page is another frame; after a fork two share it. */
	at[0] = 1;
	CHECK((entry(fd, at) & PFN) != (all[1] & PFN));
	pid_t pid = SPAWN(pause());
	CHECK(!(entry(fd, at) & EXCLUSIVE));
	int theirs = CHECK_OK(open(proc_path(pid, "pagemap"), O_RDONLY));
	CHECK_EQ(entry(theirs, at) & PFN, entry(fd, at) & PFN);
	at[0] = 2;
	CHECK(entry(fd, at) & EXCLUSIVE);
	CHECK((entry(theirs, at) & PFN) != (entry(fd, at) & PFN));
	CHECK_OK(kill(pid, SIGKILL));
	CHECK_EQ(waitpid(pid, NULL, 0), pid);
	/* Its memory is gone. */
	CHECK_EQ(pread(theirs, all, 8, (uintptr_t)at / PAGE * 8), 0);
	CHECK_OK(munmap(at, 3 * PAGE));
	CHECK_EQ(entry(fd, at), 0);
}

TEST(pagemap_of_files)
{
	int fd = CHECK_OK(open("/proc/self/pagemap", O_RDONLY));
	int file = CHECK_OK(open("file", O_RDWR | O_CREAT, 0600));
	CHECK_OK(ftruncate(file, 2 * PAGE));
	char *one = pages(2, MAP_SHARED, file), *two = pages(2, MAP_SHARED, file);
	one[0] = 1;
	CHECK(entry(fd, one) & PRESENT);
	CHECK(entry(fd, one) & OF_FILE);
	CHECK(entry(fd, one) & EXCLUSIVE);
	CHECK_EQ(two[0], 1);
	CHECK(!(entry(fd, one) & EXCLUSIVE));
	CHECK_EQ(entry(fd, one) & PFN, entry(fd, two) & PFN);
	char *copy = pages(1, MAP_PRIVATE, file);
	copy[0] = 3;
	CHECK(!(entry(fd, copy) & OF_FILE));
	CHECK((entry(fd, copy) & PFN) != (entry(fd, one) & PFN));
}

TEST(pagemap_access)
{
	uint64_t value[2];
	int fd = CHECK_OK(open("/proc/self/pagemap", O_RDONLY));
	CHECK_ERR(pread(fd, value, 7, 0), EINVAL);
	CHECK_ERR(pread(fd, value, 8, 4), EINVAL);
	CHECK_EQ(pread(fd, value, 0, 0), 0);
	CHECK_EQ(pread(fd, value, 8, 1LL << 50), 0);
	struct stat st;
	CHECK_OK(stat("/proc/self/pagemap", &st));
	CHECK_EQ(st.st_mode & 07777, 0400);
	char *at = pages(1, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	at[0] = 1;
	JOIN(SPAWN({
		become(1000);
		CHECK_ERR(open(proc_path(1, "pagemap"), O_RDONLY), EACCES);
		at[0] = 2;
		int own = CHECK_OK(open("/proc/self/pagemap", O_RDONLY));
		/* Where a page is, is the administrator's to know. */
		CHECK(entry(own, at) & PRESENT);
		CHECK_EQ(entry(own, at) & PFN, 0);
	}));
}

static long long referenced(const char *at)
{
	static char text[65536];
	CHECK(kt_read_file("/proc/self/smaps", text, sizeof text) > 0);
	char start[32];
	snprintf(start, sizeof start, "%lx-", (unsigned long)at);
	char *area = strstr(text, start);
	CHECK(area);
	char *field = strstr(area, "Referenced:");
	CHECK(field);
	return strtoll(field + 11, NULL, 10);
}

/* CPUs may go on with what they remember of the tables; this makes them look again. */
static void look_again(char *at)
{
	CHECK_OK(mprotect(at, 4 * PAGE, PROT_READ));
	CHECK_OK(mprotect(at, 4 * PAGE, PROT_READ | PROT_WRITE));
}

TEST(clear_refs)
{
	struct stat st;
	CHECK_OK(stat("/proc/self/clear_refs", &st));
	CHECK_EQ(st.st_mode & 07777, 0200);
	char *gap = pages(8, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	CHECK_OK(munmap(gap, PAGE));
	CHECK_OK(munmap(gap + 5 * PAGE, PAGE));
	char *anon = gap + PAGE;
	int file = CHECK_OK(open("file", O_RDWR | O_CREAT, 0600));
	CHECK_OK(ftruncate(file, 4 * PAGE));
	char *mapped = pages(4, MAP_SHARED, file);
	memset(anon, 1, 4 * PAGE);
	memset(mapped, 1, 4 * PAGE);
	CHECK_EQ(referenced(anon), 16);
	CHECK_EQ(referenced(mapped), 16);
	CHECK_OK(kt_write_file("/proc/self/clear_refs", "1"));
	CHECK_EQ(referenced(anon), 0);
	CHECK_EQ(referenced(mapped), 0);
	look_again(anon);
	anon[0] = 1;
	CHECK_EQ(referenced(anon), 4);
	look_again(mapped);
	memset(mapped, 2, 4 * PAGE);
	CHECK_OK(kt_write_file("/proc/self/clear_refs", "2\n"));
	CHECK_EQ(referenced(anon), 0);
	CHECK_EQ(referenced(mapped), 16);
	look_again(anon);
	memset(anon, 2, 4 * PAGE);
	CHECK_OK(kt_write_file("/proc/self/clear_refs", "3"));
	CHECK_EQ(referenced(anon), 16);
	CHECK_EQ(referenced(mapped), 0);
	CHECK_ERR(kt_write_file("/proc/self/clear_refs", "0"), EINVAL);
	CHECK_ERR(kt_write_file("/proc/self/clear_refs", "6"), EINVAL);
	CHECK_ERR(kt_write_file("/proc/self/clear_refs", "x"), EINVAL);
}

TEST(the_high_water_mark_is_reset)
{
	char *at = pages(4096, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	memset(at, 1, 4096 * PAGE);
	CHECK_OK(munmap(at, 4096 * PAGE));
	long long before = kt_field("/proc/self/status", "VmHWM:");
	CHECK(before >= 16384);
	CHECK_OK(kt_write_file("/proc/self/clear_refs", "5"));
	CHECK(kt_field("/proc/self/status", "VmHWM:") < before - 12000);
}

TEST(map_files)
{
	struct stat st;
	CHECK_OK(stat("/proc/self/map_files", &st));
	CHECK_EQ(st.st_mode & 07777, 0500);
	int file = CHECK_OK(open("file", O_RDWR | O_CREAT, 0600));
	CHECK_OK(ftruncate(file, 2 * PAGE));
	char *at = pages(2, MAP_SHARED, file);
	at[5] = 'm';
	CHECK_OK(close(file));
	CHECK_OK(unlink("file"));
	char path[128], target[256], want[256];
	snprintf(path, sizeof path, "/proc/self/map_files/%lx-%lx", (unsigned long)at, (unsigned long)at + 2 * PAGE);
	CHECK_OK(lstat(path, &st));
	CHECK_EQ(st.st_mode, S_IFLNK | 0600);
	ssize_t len = CHECK_OK(readlink(path, target, sizeof target - 1));
	target[len] = 0;
	CHECK(getcwd(want, sizeof want));
	strcat(want, "/file (deleted)");
	CHECK(!strcmp(target, want));
	/* The file itself, though it has no name. */
	file = CHECK_OK(open(path, O_RDWR));
	char byte;
	CHECK_EQ(pread(file, &byte, 1, 5), 1);
	CHECK_EQ(byte, 'm');
	CHECK_OK(close(file));
	/* Only areas of files, by their exact ends. */
	char *anon = pages(2, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	char other[128];
	snprintf(other, sizeof other, "/proc/self/map_files/%lx-%lx", (unsigned long)anon, (unsigned long)anon + 2 * PAGE);
	CHECK_ERR(lstat(other, &st), ENOENT);
	snprintf(other, sizeof other, "/proc/self/map_files/%lx-%lx", (unsigned long)at, (unsigned long)at + PAGE);
	CHECK_ERR(lstat(other, &st), ENOENT);
	snprintf(other, sizeof other, "/proc/self/map_files/0%lx-%lx", (unsigned long)at, (unsigned long)at + 2 * PAGE);
	CHECK_ERR(lstat(other, &st), ENOENT);
	CHECK_ERR(lstat("/proc/self/map_files/x", &st), ENOENT);
	DIR *dir = opendir("/proc/self/map_files");
	CHECK(dir);
	int found = 0, exe = 0;
	struct dirent *name;
	while ((name = readdir(dir))) {
		found += !strcmp(name->d_name, strrchr(path, '/') + 1);
		exe += name->d_name[0] != '.' && name->d_type == DT_LNK;
	}
	CHECK_OK(closedir(dir));
	CHECK_EQ(found, 1);
	CHECK(exe >= 2);
	JOIN(SPAWN({
		char self[256];
		become(1000);
		snprintf(self, sizeof self, "/proc/self/map_files/%s", strrchr(path, '/') + 1);
		CHECK_OK(readlink(self, target, sizeof target));
		CHECK_ERR(open(self, O_RDONLY), EPERM);
		snprintf(self, sizeof self, "/proc/1/map_files/%s", strrchr(path, '/') + 1);
		CHECK_ERR(readlink(self, target, sizeof target), EACCES);
	}));
	CHECK_OK(munmap(at, PAGE));
	CHECK_ERR(lstat(path, &st), ENOENT);
}

/* The line of the area that begins at `at`. */
static const char *line_of(const char *at)
{
	static char text[32768];
	CHECK(kt_read_file("/proc/self/numa_maps", text, sizeof text) > 0);
	char start[32];
	snprintf(start, sizeof start, "%08lx ", (unsigned long)at);
	char *line = strstr(text, start);
	CHECK(line);
	*strchr(line, '\n') = 0;
	return line + strlen(start);
}

TEST(numa_maps)
{
	char *gap = pages(8, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	CHECK_OK(munmap(gap, PAGE));
	CHECK_OK(munmap(gap + 5 * PAGE, PAGE));
	char *anon = gap + PAGE;
	CHECK(!strcmp(line_of(anon), "default"));
	memset(anon, 1, 3 * PAGE);
	const char *line = line_of(anon);
	CHECK(!strncmp(line, "default anon=3 dirty=3 ", 23));
	CHECK(strstr(line, " N0=3 kernelpagesize_kB=4"));
	unsigned long node = 1;
	CHECK_OK(syscall(SYS_mbind, anon, 4 * PAGE, 2 /* MPOL_BIND */, &node, 64, 0));
	CHECK(!strncmp(line_of(anon), "bind:0 anon=3 ", 14));
	CHECK_OK(syscall(SYS_mbind, anon, 4 * PAGE, 3 | 1 << 15 /* MPOL_INTERLEAVE | MPOL_F_STATIC_NODES */, &node, 64, 0));
	CHECK(!strncmp(line_of(anon), "interleave=static:0 anon=3 ", 27));
	CHECK_OK(syscall(SYS_mbind, anon, 4 * PAGE, 1 /* MPOL_PREFERRED */, &node, 64, 0));
	CHECK(!strncmp(line_of(anon), "prefer:0 anon=3 ", 16));
	CHECK_OK(syscall(SYS_mbind, anon, 4 * PAGE, 4 /* MPOL_LOCAL */, NULL, 0, 0));
	CHECK(!strncmp(line_of(anon), "local anon=3 ", 13));
	int file = CHECK_OK(open("file", O_RDWR | O_CREAT, 0600));
	CHECK_OK(ftruncate(file, 2 * PAGE));
	char *mapped = pages(2, MAP_SHARED, file), cwd[200], want[256];
	CHECK(getcwd(cwd, sizeof cwd));
	snprintf(want, sizeof want, "default file=%s/file", cwd);
	CHECK(!strcmp(line_of(mapped), want));
	memset(mapped, 1, 2 * PAGE);
	strcat(want, " dirty=2 ");
	CHECK(!strncmp(line_of(mapped), want, strlen(want)));
	CHECK(strstr(line_of(mapped), " N0=2 "));
	/* The stack and the heap have names, too. */
	char text[32768];
	CHECK(kt_read_file("/proc/self/numa_maps", text, sizeof text) > 0);
	CHECK(strstr(text, " stack anon="));
}
