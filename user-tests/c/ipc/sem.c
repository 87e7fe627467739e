/* System V semaphores (semget(2), semop(2), semctl(2)). */
#include <sys/sem.h>

#include "ipc.h"

#ifndef SEM_STAT_ANY
#define SEM_STAT_ANY 20
#endif
#define KEY 0x5a0003
#define OPS(...) ((struct sembuf[]){ __VA_ARGS__ }), \
	sizeof((struct sembuf[]){ __VA_ARGS__ }) / sizeof(struct sembuf)

struct seminfo_k {
	int semmap, semmni, semmns, semmnu, semmsl, semopm, semume, semusz, semvmx, semaem;
};

static int ctl(int id, int num, int cmd, unsigned long arg)
{
	return syscall(SYS_semctl, id, num, cmd, arg);
}

static int value(int id, int num)
{
	return CHECK_OK(ctl(id, num, GETVAL, 0));
}

static void set(int id, int num, int to)
{
	CHECK_OK(ctl(id, num, SETVAL, to));
}

static int op(int id, int num, int by, int flags)
{
	struct sembuf b = { num, by, flags };
	return semop(id, &b, 1);
}

static int sems(int count)
{
	fresh_ns();
	return CHECK_OK(semget(KEY, count, IPC_CREAT | 0600));
}

TEST(values_are_set_and_read)
{
	int id = sems(3);
	CHECK_EQ(value(id, 0), 0);
	set(id, 1, 7);
	set(id, 2, 32767);
	unsigned short all[3];
	CHECK_OK(ctl(id, 0, GETALL, (long)all));
	CHECK(all[0] == 0 && all[1] == 7 && all[2] == 32767);
	all[0] = 5;
	CHECK_OK(ctl(id, 9, SETALL, (long)all));
	CHECK_EQ(value(id, 0), 5);
	CHECK_EQ(ctl(id, 0, GETPID, 0), getpid());
	CHECK_ERR(ctl(id, 0, SETVAL, 32768), ERANGE);
	CHECK_ERR(ctl(id, 0, SETVAL, -1), ERANGE);
	CHECK_ERR(ctl(id, 3, SETVAL, 1), EINVAL);
	CHECK_ERR(ctl(id, -1, GETVAL, 1), EINVAL);
	all[1] = 40000;
	CHECK_ERR(ctl(id, 0, SETALL, (long)all), ERANGE);
	CHECK_EQ(value(id, 1), 7);
	CHECK_ERR(ctl(id, 0, SETALL, (long)BAD_PTR), EFAULT);
	CHECK_ERR(ctl(id, 0, GETALL, (long)BAD_PTR), EFAULT);
	CHECK_ERR(ctl(id, 0, 99, 0), EINVAL);
	CHECK_ERR(ctl(-1, 0, GETVAL, 0), EINVAL);
	CHECK_ERR(ctl(id + 1, 0, GETVAL, 0), EINVAL);
}

TEST(get_finds_by_key)
{
	int id = sems(3);
	CHECK_EQ(semget(KEY, 0, 0), id);
	CHECK_EQ(semget(KEY, 3, IPC_CREAT | 0600), id);
	CHECK_ERR(semget(KEY, 4, 0), EINVAL);
	CHECK_ERR(semget(KEY, 3, IPC_CREAT | IPC_EXCL), EEXIST);
	CHECK_ERR(semget(KEY + 1, 3, 0), ENOENT);
	CHECK_ERR(semget(KEY + 1, 0, IPC_CREAT | 0600), EINVAL);
	CHECK_ERR(semget(IPC_PRIVATE, 0, 0600), EINVAL);
	CHECK_ERR(semget(IPC_PRIVATE, -1, 0600), EINVAL);
	CHECK_ERR(semget(IPC_PRIVATE, 32001, 0600), EINVAL);
	int big = CHECK_OK(semget(IPC_PRIVATE, 32000, 0600));
	CHECK_OK(op(big, 31999, 1, 0));
	CHECK_EQ(value(big, 31999), 1);
}

TEST(operations_are_all_or_nothing)
{
	int id = sems(3);
	CHECK_OK(semop(id, OPS({ 0, 2, 0 }, { 1, 1, 0 })));
	CHECK_ERR(semop(id, OPS({ 0, -1, 0 }, { 2, -1, IPC_NOWAIT })), EAGAIN);
	CHECK_EQ(value(id, 0), 2);
	CHECK_ERR(semop(id, OPS({ 0, -1, 0 }, { 1, 0, IPC_NOWAIT })), EAGAIN);
	CHECK_EQ(value(id, 0), 2);
	/* In order, on what the ones before left. */
	CHECK_OK(semop(id, OPS({ 2, 3, 0 }, { 2, -3, 0 }, { 2, 0, 0 }, { 0, -2, 0 })));
	CHECK_EQ(value(id, 2), 0);
	CHECK_EQ(value(id, 0), 0);
	CHECK_OK(op(id, 0, 0, 0));
}

TEST(operations_are_checked)
{
	int id = sems(2);
	static struct sembuf many[501];
	CHECK_ERR(semop(id, many, 0), EINVAL);
	CHECK_ERR(semop(id, many, 501), E2BIG);
	CHECK_OK(semop(id, many, 500));
	CHECK_ERR(semop(id, BAD_PTR, 1), EFAULT);
	CHECK_ERR(op(id, 2, 1, 0), EFBIG);
	CHECK_ERR(op(-1, 0, 1, 0), EINVAL);
	CHECK_ERR(op(id + 1, 0, 1, 0), EINVAL);
	set(id, 0, 32767);
	CHECK_ERR(op(id, 0, 1, 0), ERANGE);
	CHECK_ERR(semop(id, OPS({ 1, 1, 0 }, { 0, 1, 0 })), ERANGE);
	CHECK_EQ(value(id, 1), 0);
	struct timespec bad = { 0, 1000000000 };
	struct sembuf b = { 0, 1, 0 };
	CHECK_ERR(syscall(SYS_semtimedop, id, &b, 1, &bad), EINVAL);
	CHECK_ERR(syscall(SYS_semtimedop, id, &b, 1, BAD_PTR), EFAULT);
}

TEST(a_decrement_waits)
{
	int id = sems(1);
	pid_t pid = SPAWN(CHECK_OK(op(id, 0, -2, 0)));
	wait_asleep(pid);
	CHECK_EQ(ctl(id, 0, GETNCNT, 0), 1);
	CHECK_EQ(ctl(id, 0, GETZCNT, 0), 0);
	CHECK_OK(op(id, 0, 1, 0));
	kt_sleep_ms(10);
	CHECK_EQ(kt_state(pid), 'S');
	CHECK_OK(op(id, 0, 2, 0));
	JOIN(pid);
	CHECK_EQ(value(id, 0), 1);
	CHECK_EQ(ctl(id, 0, GETPID, 0), pid);
	CHECK_EQ(ctl(id, 0, GETNCNT, 0), 0);
}

TEST(zero_is_waited_for)
{
	int id = sems(2);
	set(id, 0, 1);
	pid_t pid = SPAWN(CHECK_OK(semop(id, OPS({ 0, 0, 0 }, { 1, 1, 0 }))));
	wait_asleep(pid);
	CHECK_EQ(ctl(id, 0, GETZCNT, 0), 1);
	CHECK_OK(op(id, 0, -1, 0));
	JOIN(pid);
	CHECK_EQ(value(id, 1), 1);
	/* SETVAL and SETALL wake as well. */
	set(id, 0, 1);
	pid = SPAWN(CHECK_OK(op(id, 0, 0, 0)));
	wait_asleep(pid);
	set(id, 0, 0);
	JOIN(pid);
	pid = SPAWN(CHECK_OK(semop(id, OPS({ 0, -3, 0 }, { 1, -3, 0 }))));
	wait_asleep(pid);
	CHECK_OK(ctl(id, 0, SETALL, (long)(unsigned short[]){ 3, 4 }));
	JOIN(pid);
	CHECK_EQ(value(id, 1), 1);
}

TEST(chains_of_wakeups)
{
	int id = sems(4);
	pid_t pids[3];
	for (int n = 0; n < 3; n++) {
		pids[n] = SPAWN(CHECK_OK(semop(id, OPS({ n, -1, 0 }, { n + 1, 1, 0 }))));
		wait_asleep(pids[n]);
	}
	CHECK_OK(op(id, 0, 1, 0));
	for (int n = 0; n < 3; n++)
		JOIN(pids[n]);
	CHECK_EQ(value(id, 3), 1);
}

TEST(waiters_are_served_in_order)
{
	int id = sems(1);
	int *order = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pids[3];
	for (int n = 0; n < 3; n++) {
		pids[n] = SPAWN({
			CHECK_OK(op(id, 0, -1, 0));
			order[1 + __atomic_fetch_add(&order[0], 1, __ATOMIC_SEQ_CST)] = n;
		});
		wait_asleep(pids[n]);
	}
	for (int n = 0; n < 3; n++) {
		CHECK_OK(op(id, 0, 1, 0));
		WAIT_FOR(__atomic_load_n(&order[0], __ATOMIC_SEQ_CST) == n + 1);
		JOIN(pids[n]);
		CHECK_EQ(order[1 + n], n);
	}
	/* One that cannot go on does not hold up those behind it. */
	pid_t big = SPAWN(CHECK_OK(op(id, 0, -5, 0)));
	wait_asleep(big);
	pid_t small = SPAWN(CHECK_OK(op(id, 0, -1, 0)));
	wait_asleep(small);
	CHECK_OK(op(id, 0, 1, 0));
	JOIN(small);
	CHECK_OK(op(id, 0, 5, 0));
	JOIN(big);
}

TEST(a_wait_has_an_end)
{
	int id = sems(1);
	struct sembuf b = { 0, -1, 0 };
	struct timespec t = { 0, 20000000 };
	long long start = kt_now_ms();
	CHECK_ERR(syscall(SYS_semtimedop, id, &b, 1, &t), EAGAIN);
	CHECK(kt_now_ms() - start >= 19);
	CHECK_EQ(ctl(id, 0, GETNCNT, 0), 0);
	t.tv_nsec = 0;
	CHECK_ERR(syscall(SYS_semtimedop, id, &b, 1, &t), EAGAIN);
	t.tv_sec = -1;
	CHECK_ERR(syscall(SYS_semtimedop, id, &b, 1, &t), EINVAL);
	CHECK_OK(op(id, 0, 1, 0));
	t.tv_sec = 0;
	CHECK_OK(syscall(SYS_semtimedop, id, &b, 1, &t));
}

TEST(removal_wakes_everyone)
{
	int id = sems(2);
	set(id, 1, 1);
	pid_t dec = SPAWN(CHECK_ERR(op(id, 0, -1, SEM_UNDO), EIDRM));
	wait_asleep(dec);
	pid_t zero = SPAWN(CHECK_ERR(op(id, 1, 0, 0), EIDRM));
	wait_asleep(zero);
	CHECK_OK(ctl(id, 0, IPC_RMID, 0));
	JOIN(dec);
	JOIN(zero);
	CHECK_ERR(op(id, 0, 1, 0), EINVAL);
	CHECK_ERR(ctl(id, 0, IPC_RMID, 0), EINVAL);
}

TEST(signals_interrupt)
{
	int id = sems(1);
	pid_t pid = SPAWN({
		handle(SIGUSR1, SA_RESTART);
		CHECK_ERR(op(id, 0, -1, 0), EINTR);
	});
	wait_asleep(pid);
	CHECK_OK(kill(pid, SIGUSR1));
	JOIN(pid);
	CHECK_EQ(ctl(id, 0, GETNCNT, 0), 0);
	CHECK_OK(op(id, 0, 1, 0));
	CHECK_EQ(value(id, 0), 1);
}

TEST(exit_undoes)
{
	int id = sems(3);
	set(id, 0, 5);
	set(id, 1, 5);
	pid_t pid = SPAWN({
		CHECK_OK(op(id, 0, -3, SEM_UNDO));
		CHECK_OK(op(id, 0, 1, SEM_UNDO));
		CHECK_OK(op(id, 1, 2, SEM_UNDO));
		CHECK_OK(op(id, 2, 1, 0)); /* not undone */
	});
	JOIN(pid);
	CHECK_EQ(value(id, 0), 5);
	CHECK_EQ(value(id, 1), 5);
	CHECK_EQ(value(id, 2), 1);
	CHECK_EQ(ctl(id, 0, GETPID, 0), pid);
	/* Not below 0, also when killed, and waiters go on. */
	pid = SPAWN({
		CHECK_OK(op(id, 1, 4, SEM_UNDO));
		CHECK_OK(op(id, 0, -5, SEM_UNDO));
		for (;;)
			pause();
	});
	WAIT_FOR(value(id, 0) == 0);
	set(id, 2, 0);
	CHECK_OK(op(id, 1, -8, 0));
	pid_t waiter = SPAWN(CHECK_OK(op(id, 0, -4, 0)));
	wait_asleep(waiter);
	CHECK_OK(kill(pid, SIGKILL));
	JOIN(waiter);
	kt_wait(pid);
	CHECK_EQ(value(id, 1), 0);
	CHECK_EQ(value(id, 0), 1);
}

TEST(setting_a_value_forgets_adjustments)
{
	int id = sems(2);
	set(id, 0, 5);
	set(id, 1, 5);
	pid_t pid = SPAWN({
		CHECK_OK(semop(id, OPS({ 0, -1, SEM_UNDO }, { 1, -1, SEM_UNDO })));
		pause();
	});
	WAIT_FOR(value(id, 1) == 4);
	set(id, 0, 10);
	CHECK_OK(kill(pid, SIGKILL));
	kt_wait(pid);
	CHECK_EQ(value(id, 0), 10);
	CHECK_EQ(value(id, 1), 5);
	pid = SPAWN({
		CHECK_OK(semop(id, OPS({ 0, -1, SEM_UNDO }, { 1, -1, SEM_UNDO })));
		CHECK_OK(ctl(id, 0, SETALL, (long)(unsigned short[]){ 1, 2 }));
	});
	JOIN(pid);
	CHECK_EQ(value(id, 0), 1);
	CHECK_EQ(value(id, 1), 2);
}

TEST(adjustments_have_a_range)
{
	int id = sems(1);
	set(id, 0, 32767);
	pid_t pid = SPAWN({
		CHECK_OK(op(id, 0, -32767, SEM_UNDO));
		set(id, 0, 32767); /* forgets */
		CHECK_OK(op(id, 0, -32767, SEM_UNDO));
		CHECK_OK(op(id, 0, 32767, 0));
		CHECK_ERR(op(id, 0, -1, SEM_UNDO), ERANGE);
		CHECK_EQ(value(id, 0), 32767);
		CHECK_OK(op(id, 0, -1, 0));
	});
	JOIN(pid);
	CHECK_EQ(value(id, 0), 32767); /* cut */
}

static int thread_id;
static void *undo_thread(void *arg)
{
	(void)arg;
	CHECK_OK(op(thread_id, 0, -1, SEM_UNDO));
	return NULL;
}

static void *leave_thread(void *arg)
{
	(void)arg;
	CHECK_OK(op(thread_id, 0, -1, SEM_UNDO));
	CHECK_OK(unshare(CLONE_SYSVSEM));
	/* The others still use the list. */
	CHECK_EQ(value(thread_id, 0), 8);
	CHECK_OK(op(thread_id, 0, -4, SEM_UNDO));
	CHECK_EQ(value(thread_id, 0), 4);
	return NULL;
}

TEST(threads_share_adjustments)
{
	int id = thread_id = sems(1);
	set(id, 0, 10);
	pid_t pid = SPAWN({
		pthread_t t;
		CHECK_EQ(pthread_create(&t, NULL, undo_thread, NULL), 0);
		pthread_join(t, NULL);
		kt_sleep_ms(10);
		CHECK_EQ(value(id, 0), 9);
		CHECK_EQ(pthread_create(&t, NULL, leave_thread, NULL), 0);
		pthread_join(t, NULL);
		/* A list of its own was undone with the thread. */
		WAIT_FOR(value(id, 0) == 8);
		/* A child starts without any. */
		pid_t child = SPAWN(CHECK_OK(op(id, 0, -2, SEM_UNDO)));
		JOIN(child);
		CHECK_EQ(value(id, 0), 8);
		CHECK_OK(unshare(CLONE_SYSVSEM));
		CHECK_EQ(value(id, 0), 10);
	});
	JOIN(pid);
	CHECK_EQ(value(id, 0), 10);
	/* A process may share them, too. */
	pid = SPAWN({
		pid_t child = CHECK_OK(sys_clone(CLONE_SYSVSEM | SIGCHLD, NULL, NULL));
		if (child == 0) {
			CHECK_OK(op(id, 0, -3, SEM_UNDO));
			_exit(0);
		}
		JOIN(child);
		CHECK_EQ(value(id, 0), 7);
	});
	JOIN(pid);
	CHECK_EQ(value(id, 0), 10);
}

ROLE(see_seven)
{
	(void)argc;
	return ctl(atoi(argv[1]), 0, GETVAL, 0) == 7 ? 0 : 1;
}

TEST(exec_keeps_adjustments)
{
	int id = sems(1);
	set(id, 0, 8);
	pid_t pid = SPAWN({
		CHECK_OK(op(id, 0, -1, SEM_UNDO));
		char number[16];
		snprintf(number, sizeof number, "%d", id);
		execl("/proc/self/exe", "role:see_seven", number, NULL);
		_exit(9);
	});
	JOIN(pid);
	CHECK_EQ(value(id, 0), 8);
}

TEST(permissions_count)
{
	int id = sems(1);
	int reads = CHECK_OK(semget(IPC_PRIVATE, 1, 0604)), writes = CHECK_OK(semget(IPC_PRIVATE, 1, 0602));
	pid_t pid = SPAWN({
		become(1234);
		struct semid_ds ds;
		CHECK_ERR(semget(KEY, 1, 0400), EACCES);
		CHECK_ERR(op(id, 0, 1, 0), EACCES);
		CHECK_ERR(ctl(id, 0, GETVAL, 0), EACCES);
		CHECK_ERR(ctl(id, 0, SETVAL, 0), EACCES);
		CHECK_OK(op(reads, 0, 0, 0));
		CHECK_ERR(op(reads, 0, 1, 0), EACCES);
		CHECK_OK(op(writes, 0, 1, 0));
		CHECK_ERR(op(writes, 0, 0, IPC_NOWAIT), EACCES);
		CHECK_ERR(ctl(writes, 0, GETVAL, 0), EACCES);
		CHECK_OK(ctl(writes, 0, SETVAL, 3));
		CHECK_ERR(ctl(writes, 0, IPC_STAT, (long)&ds), EACCES);
		CHECK_OK(ctl(reads, 0, IPC_STAT, (long)&ds));
		CHECK_ERR(ctl(reads, 0, IPC_SET, (long)&ds), EPERM);
		CHECK_ERR(ctl(writes, 0, IPC_RMID, 0), EPERM);
	});
	JOIN(pid);
}

TEST(stat_and_infos)
{
	time_t before = time(NULL) - 1;
	int id = sems(5);
	struct semid_ds ds;
	CHECK_OK(ctl(id, 0, IPC_STAT, (long)&ds));
	CHECK_EQ(ds.sem_nsems, 5);
	CHECK_EQ(ds.sem_otime, 0);
	CHECK(ds.sem_ctime >= before);
	CHECK_EQ(ds.sem_perm.mode, 0600);
	set(id, 0, 1);
	CHECK_OK(ctl(id, 0, IPC_STAT, (long)&ds));
	CHECK_EQ(ds.sem_otime, 0);
	CHECK_OK(op(id, 0, 1, 0));
	CHECK_OK(ctl(id, 0, IPC_STAT, (long)&ds));
	CHECK(ds.sem_otime >= before);
	ds.sem_perm.mode = 0644;
	ds.sem_perm.uid = 77;
	CHECK_OK(ctl(id, 0, IPC_SET, (long)&ds));
	struct seminfo_k info;
	CHECK_EQ(ctl(0, 0, IPC_INFO, (long)&info), 0);
	CHECK_EQ(info.semmni, 32000);
	CHECK_EQ(info.semmsl, 32000);
	CHECK_EQ(info.semmns, 1024000000);
	CHECK_EQ(info.semopm, 500);
	CHECK_EQ(info.semvmx, 32767);
	CHECK_EQ(info.semaem, 32767);
	CHECK_EQ(info.semusz, 20);
	CHECK_EQ(info.semume, 500);
	CHECK_EQ(info.semmnu, 1024000000);
	CHECK_EQ(info.semmap, 1024000000);
	int other = CHECK_OK(semget(IPC_PRIVATE, 2, 0600));
	CHECK_EQ(ctl(0, 0, SEM_INFO, (long)&info), 1);
	CHECK_EQ(info.semusz, 2);
	CHECK_EQ(info.semaem, 7);
	CHECK_EQ(ctl(1, 0, SEM_STAT, (long)&ds), other);
	CHECK_EQ(ds.sem_nsems, 2);
	CHECK_EQ(ctl(0, 0, SEM_STAT_ANY, (long)&ds), id);
	CHECK_EQ(ds.sem_perm.uid, 77);
	CHECK_ERR(ctl(2, 0, SEM_STAT, (long)&ds), EINVAL);
	char want[256], got[256];
	snprintf(want, sizeof want, "%10d %10d  %4o %10u %5u %5u %5u %5u %10lu %10lu", KEY, id, 0644, 5, 77, 0, 0,
		 0, (long)ds.sem_otime, (long)ds.sem_ctime);
	CHECK(!strcmp(first_line("/proc/sysvipc/sem"),
		      "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime"));
	CHECK(sysvipc_line("sem", id, got, sizeof got));
	if (strcmp(got, want))
		KT_FAIL("got <%s> want <%s>", got, want);
}

TEST(limits_are_settings)
{
	fresh_ns();
	CHECK(!strcmp(first_line("/proc/sys/kernel/sem"), "32000\t1024000000\t500\t32000"));
	CHECK_OK(kt_write_file("/proc/sys/kernel/sem", "4 6 2 2"));
	CHECK(!strcmp(first_line("/proc/sys/kernel/sem"), "4\t6\t2\t2"));
	CHECK_ERR(semget(IPC_PRIVATE, 5, 0600), EINVAL);
	int id = CHECK_OK(semget(IPC_PRIVATE, 4, 0600));
	CHECK_ERR(semget(IPC_PRIVATE, 3, 0600), ENOSPC);
	CHECK_OK(semget(IPC_PRIVATE, 1, 0600));
	CHECK_ERR(semget(IPC_PRIVATE, 1, 0600), ENOSPC);
	CHECK_ERR(semop(id, OPS({ 0, 1, 0 }, { 0, 1, 0 }, { 0, 1, 0 })), E2BIG);
	CHECK_OK(kt_write_file("/proc/sys/kernel/sem", "7"));
	CHECK(!strcmp(first_line("/proc/sys/kernel/sem"), "7\t6\t2\t2"));
	CHECK_ERR(kt_write_file("/proc/sys/kernel/sem", "1 2 3 32769"), ERANGE);
	CHECK(strstr(first_line("/proc/sys/kernel/sem"), "\t2"));
	CHECK_OK(kt_write_file("/proc/sys/kernel/sem_next_id", "32769"));
	CHECK_OK(ctl(id, 0, IPC_RMID, 0));
	int next = CHECK_OK(semget(IPC_PRIVATE, 1, 0600));
	CHECK_EQ(next, 32768 + 2); /* 1 is taken */
	CHECK_ERR(kt_write_file("/proc/sys/kernel/sem_next_id", "-2"), EINVAL);
}

TEST(many_processes_count_right)
{
	int id = sems(2);
	set(id, 0, 1);
	int *sum = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pids[6];
	for (int n = 0; n < 6; n++)
		pids[n] = SPAWN({
			for (int i = 0; i < 100; i++) {
				CHECK_OK(op(id, 0, -1, SEM_UNDO));
				int seen = *(volatile int *)sum;
				if (i % 10 == 0)
					sched_yield();
				*(volatile int *)sum = seen + 1;
				CHECK_OK(op(id, 0, 1, SEM_UNDO));
			}
		});
	for (int n = 0; n < 6; n++)
		JOIN(pids[n]);
	CHECK_EQ(*sum, 600);
	CHECK_EQ(value(id, 0), 1);
}
