/* ktest: timeout=600 */
/* Several threads in each other's way: nothing may break or hang. */
#include <sys/mman.h>

#include "stress.h"

static long long stop_at;

static int go_on(void)
{
	return kt_now_ms() < stop_at;
}

static void *map_and_unmap(void *arg)
{
	while (go_on()) {
		size_t size = 4096 * (1 + ((long)arg + rand()) % 64);
		char *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		CHECK(p != MAP_FAILED);
		for (size_t i = 0; i < size; i += 4096)
			p[i] = (char)(long)arg;
		for (size_t i = 0; i < size; i += 4096)
			CHECK_EQ(p[i], (char)(long)arg);
		CHECK_OK(mprotect(p, 4096, PROT_READ));
		CHECK_OK(munmap(p, size));
	}
	return NULL;
}

TEST_FOR(one_address_space, 590)
{
	stop_at = kt_now_ms() + stress_ms();
	crowd(6, map_and_unmap);
}

static char *page;

static void *write_page(void *arg)
{
	long n = 0;
	volatile long *mine = (volatile long *)page + (long)arg;
	while (go_on()) {
		*mine = ++n;
		CHECK_EQ(*mine, n);
	}
	return NULL;
}

static void *fork_often(void *arg)
{
	(void)arg;
	while (go_on())
		JOIN(SPAWN({
			long before = ((volatile long *)page)[1];
			kt_sleep_ms(1);
			/* The copy stands still while the parent goes on writing. */
			CHECK_EQ(((volatile long *)page)[1], before);
		}));
	return NULL;
}

static void *writer_or_forker(void *arg)
{
	return (long)arg == 0 ? fork_often(arg) : write_page(arg);
}

TEST_FOR(copy_on_write_while_writing, 590)
{
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stop_at = kt_now_ms() + stress_ms();
	crowd(4, writer_or_forker);
}

static void *names(void *arg)
{
	unsigned seed = (long)arg;
	char a[16], b[16];
	while (go_on()) {
		snprintf(a, sizeof a, "n%d", rand_r(&seed) % 4);
		snprintf(b, sizeof b, "n%d", rand_r(&seed) % 4);
		int fd = open(a, O_CREAT | O_RDWR, 0600);
		if (fd >= 0)
			close(fd);
		switch (rand_r(&seed) % 4) {
		case 0:
			rename(a, b);
			break;
		case 1:
			unlink(a);
			break;
		case 2:
			link(a, b);
			break;
		default:
			access(b, F_OK);
		}
	}
	return NULL;
}

TEST_FOR(names_of_one_directory, 590)
{
	stop_at = kt_now_ms() + stress_ms();
	CHECK_OK(mkdir("d", 0755));
	CHECK_OK(chdir("d"));
	crowd(6, names);
	for (int i = 0; i < 4; i++) {
		char name[16];
		snprintf(name, sizeof name, "n%d", i);
		unlink(name);
	}
	CHECK_OK(rmdir("../d"));
}

static void *move_directories(void *arg)
{
	unsigned seed = (long)arg + 7;
	static const char *const path[] = { "a", "b", "a/c", "b/c", "a/c/d", "b/c/d" };
	while (go_on()) {
		rename(path[rand_r(&seed) % 6], path[rand_r(&seed) % 6]);
		mkdir(path[rand_r(&seed) % 6], 0755);
		struct stat st;
		stat("a/c/d/../../../b", &st);
	}
	return NULL;
}

TEST_FOR(directories_moving_into_each_other, 590)
{
	stop_at = kt_now_ms() + stress_ms();
	CHECK_OK(mkdir("a", 0755));
	CHECK_OK(mkdir("b", 0755));
	crowd(6, move_directories);
}

static void *descriptors(void *arg)
{
	(void)arg;
	char c;
	while (go_on()) {
		int fd = open("/dev/zero", O_RDONLY);
		if (fd >= 0) {
			dup2(fd, 50);
			if (read(50, &c, 1) < 0)
				CHECK_EQ(errno, EBADF);
			close(50);
			close(fd);
		}
	}
	return NULL;
}

TEST_FOR(one_table_of_descriptors, 590)
{
	stop_at = kt_now_ms() + stress_ms();
	crowd(6, descriptors);
}

TEST_FOR(signals_during_exec_exit_and_fork, 590)
{
	stop_at = kt_now_ms() + stress_ms();
	while (go_on()) {
		pid_t child = SPAWN({
			setpgid(0, 0);
			for (int i = 0; i < 3; i++)
				fork();
			execl("/proc/self/exe", "role:nothing", NULL);
		});
		setpgid(child, child);
		for (int i = 0; i < rand() % 20; i++)
			sched_yield();
		kill(-child, rand() % 2 ? SIGKILL : SIGTERM);
		kt_wait(child);
		kill(-child, SIGKILL);
	}
}

ROLE(nothing)
{
	return 0;
}

TEST_FOR(reading_proc_of_the_dying, 590)
{
	stop_at = kt_now_ms() + stress_ms();
	static const char *const file[] = { "stat", "status", "maps", "cmdline", "statm", "comm", "fd" };
	while (go_on()) {
		pid_t child[8];
		for (int i = 0; i < 8; i++)
			child[i] = SPAWN(for (int n = rand() % 3; n; n--) sched_yield());
		for (int i = 0; i < 50; i++) {
			char path[64], text[4096];
			snprintf(path, sizeof path, "/proc/%d/%s", child[rand() % 8], file[rand() % 7]);
			kt_read_file(path, text, sizeof text);
		}
		for (int i = 0; i < 8; i++)
			JOIN(child[i]);
	}
}

TEST_FOR(a_crowd_of_processes, 590)
{
	stop_at = kt_now_ms() + stress_ms();
	while (go_on()) {
		enum { N = 60 };
		for (int i = 0; i < N; i++)
			SPAWN({
				char *p = malloc(65536);
				memset(p, i, 65536);
				kt_sleep_ms(i % 5);
				JOIN(SPAWN(CHECK_EQ(p[65535], (char)i)));
			});
		for (int i = 0; i < N; i++) {
			int status;
			CHECK(wait(&status) > 0);
			CHECK_EQ(status, 0);
		}
	}
}
