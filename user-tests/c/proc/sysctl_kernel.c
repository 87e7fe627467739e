/* Settings of scheduling and memory: sched(7), Documentation/admin-guide/sysctl/{kernel,vm}.rst. */
#include <sched.h>
#include <sys/mman.h>

#include "ns.h"

#define SLICE "/proc/sys/kernel/sched_rr_timeslice_ms"

static long long interval(pid_t pid)
{
	struct timespec ts;
	CHECK_OK(syscall(SYS_sched_rr_get_interval, pid, &ts));
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

static void become_real_time(int policy)
{
	cpu_set_t first;
	CPU_ZERO(&first);
	CPU_SET(0, &first);
	struct sched_param param = { .sched_priority = 5 };
	/* In this order: it would not get to run again on a CPU that another one has to itself. */
	CHECK_OK(syscall(SYS_sched_setscheduler, 0, policy, &param));
	CHECK_OK(sched_setaffinity(0, sizeof first, &first));
}

TEST(the_slice_is_shown)
{
	CHECK_EQ(kt_field(SLICE, ""), 100);
	become_real_time(SCHED_RR);
	CHECK_EQ(interval(0), 100000000);
	CHECK_OK(kt_write_file(SLICE, "40"));
	CHECK_EQ(kt_field(SLICE, ""), 40);
	CHECK_EQ(interval(0), 40000000);
	become_real_time(SCHED_FIFO);
	CHECK_EQ(interval(0), 0);
	/* Nothing is the default. */
	CHECK_OK(kt_write_file(SLICE, "0"));
	CHECK_EQ(kt_field(SLICE, ""), 100);
	CHECK_OK(kt_write_file(SLICE, "40"));
	CHECK_OK(kt_write_file(SLICE, "-7"));
	CHECK_EQ(kt_field(SLICE, ""), 100);
	CHECK_ERR(kt_write_file(SLICE, "x"), EINVAL);
	become_real_time(SCHED_RR);
	CHECK_EQ(interval(0), 100000000);
}

/* How often two tasks of one priority give way to each other in the same time. */
static long turns(volatile unsigned *turn)
{
	struct sched_param param = { .sched_priority = 9 };
	CHECK_OK(syscall(SYS_sched_setscheduler, 0, SCHED_FIFO, &param));
	pid_t pids[2];
	for (unsigned i = 0; i < 2; i++)
		pids[i] = SPAWN({
			become_real_time(SCHED_RR);
			for (;;)
				if (turn[0] != i + 1) {
					turn[0] = i + 1;
					turn[1]++;
				}
		});
	/* Both are there. */
	unsigned first = turn[1];
	while (turn[1] < first + 2)
		usleep(10000);
	unsigned before = turn[1];
	usleep(1200000);
	unsigned after = turn[1];
	for (int i = 0; i < 2; i++) {
		CHECK_OK(kill(pids[i], SIGKILL));
		CHECK_EQ(waitpid(pids[i], NULL, 0), pids[i]);
	}
	return after - before;
}

TEST(a_shorter_slice_makes_more_turns)
{
	volatile unsigned *turn = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(turn != MAP_FAILED);
	long normal = turns(turn);
	CHECK_OK(kt_write_file(SLICE, "8"));
	long often = turns(turn);
	CHECK_OK(kt_write_file(SLICE, "100"));
	CHECK(normal > 0);
	CHECK(often > 3 * normal);
}

TEST(drop_caches)
{
	static const char path[] = "/proc/sys/vm/drop_caches";
	struct stat st;
	CHECK_OK(stat(path, &st));
	CHECK_EQ(st.st_mode & 07777, 0200);
	CHECK_ERR(open(path, O_RDONLY), EACCES);
	CHECK_ERR(kt_write_file(path, "0"), EINVAL);
	CHECK_ERR(kt_write_file(path, "5"), EINVAL);
	kt_make_file("kept", "content", 0644);
	CHECK_ERR(open("absent", O_RDONLY), ENOENT);
	CHECK_OK(kt_write_file(path, "1"));
	CHECK_OK(kt_write_file(path, "2"));
	CHECK_OK(kt_write_file(path, "3"));
	char text[16];
	CHECK_EQ(kt_read_file("kept", text, sizeof text), 7);
	CHECK_ERR(open("absent", O_RDONLY), ENOENT);
	kt_make_file("absent", "", 0644);
	JOIN(SPAWN({
		become(1000);
		CHECK_ERR(open(path, O_WRONLY), EACCES);
	}));
}

TEST(admin_reserve)
{
	CHECK(kt_field("/proc/sys/vm/admin_reserve_kbytes", "") > 0);
	CHECK_ERR(kt_write_file("/proc/sys/vm/admin_reserve_kbytes", "-1"), EINVAL);
}

/* Takes memory until it is killed. */
static void take_all(void)
{
	for (;;) {
		char *at = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (at == MAP_FAILED)
			_exit(1);
		for (int i = 0; i < 1 << 20; i += 4096)
			at[i] = 1;
	}
}

TEST_FOR(who_asks_may_be_killed_instead_of_the_worst, 100)
{
	static const char path[] = "/proc/sys/vm/oom_kill_allocating_task";
	CHECK_EQ(kt_field(path, ""), 0);
	CHECK_EQ(kt_field("/proc/sys/vm/panic_on_oom", ""), 0);
	CHECK_ERR(kt_write_file("/proc/sys/vm/panic_on_oom", "3"), EINVAL);
	for (int asker = 0; asker < 2; asker++) {
		CHECK_OK(kt_write_file(path, asker ? "1" : "0"));
		pid_t worst = SPAWN({
			CHECK_OK(kt_write_file("/proc/self/oom_score_adj", "1000"));
			pause();
		});
		usleep(100000);
		pid_t taker = SPAWN(take_all());
		int status;
		CHECK_EQ(waitpid(taker, &status, 0), taker);
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
		CHECK_EQ(waitpid(worst, &status, WNOHANG), asker ? 0 : worst);
		if (asker) {
			CHECK_OK(kill(worst, SIGKILL));
			CHECK_EQ(waitpid(worst, NULL, 0), worst);
		}
	}
	CHECK_OK(kt_write_file(path, "0"));
}
