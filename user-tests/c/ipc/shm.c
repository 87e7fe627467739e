/* System V shared memory (shmget(2), shmop(2), shmctl(2)). */
#include <sys/shm.h>

#include "ipc.h"

#ifndef SHM_STAT_ANY
#define SHM_STAT_ANY 15
#endif
#define KEY 0x5a0001

struct shm_info_k {
	int used_ids;
	unsigned long shm_tot, shm_rss, shm_swp, swap_attempts, swap_successes;
};
struct shminfo_k {
	unsigned long shmmax, shmmin, shmmni, shmseg, shmall, unused[4];
};

static int ctl(int id, int cmd, void *buf)
{
	return syscall(SYS_shmctl, id, cmd, buf);
}

static struct shmid_ds stat_of(int id)
{
	struct shmid_ds ds;
	CHECK_OK(ctl(id, IPC_STAT, &ds));
	return ds;
}

static char *attach(int id, const void *addr, int flags)
{
	char *at = shmat(id, addr, flags);
	if (at == (char *)-1)
		KT_FAIL("shmat failed: errno %d", errno);
	return at;
}

TEST(content_stays_between_attachments)
{
	fresh_ns();
	int id = CHECK_OK(shmget(IPC_PRIVATE, 10000, 0600));
	char *a = attach(id, NULL, 0);
	CHECK_EQ(a[0], 0);
	CHECK_EQ(a[9999], 0);
	strcpy(a + 5000, "hello");
	CHECK_OK(shmdt(a));
	char *b = attach(id, NULL, 0), *c = attach(id, NULL, SHM_RDONLY);
	CHECK(b != c);
	CHECK(!strcmp(b + 5000, "hello"));
	b[1] = 'x';
	CHECK_EQ(c[1], 'x');
	pid_t pid = SPAWN(b[2] = 'y');
	JOIN(pid);
	CHECK_EQ(c[2], 'y');
	CHECK_OK(ctl(id, IPC_RMID, NULL));
}

TEST(get_finds_by_key)
{
	fresh_ns();
	CHECK_ERR(shmget(KEY, 4096, 0600), ENOENT);
	int id = CHECK_OK(shmget(KEY, 4096, IPC_CREAT | 0640));
	CHECK_EQ(shmget(KEY, 0, 0), id);
	CHECK_EQ(shmget(KEY, 100, IPC_CREAT | 0600), id);
	CHECK_ERR(shmget(KEY, 4096, IPC_CREAT | IPC_EXCL | 0600), EEXIST);
	CHECK_ERR(shmget(KEY, 4097, 0600), EINVAL);
	CHECK_ERR(shmget(IPC_PRIVATE, 0, 0600), EINVAL);
	CHECK_ERR(shmget(IPC_PRIVATE, -1UL, 0600), EINVAL);
	CHECK_ERR(shmget(KEY + 1, 0, IPC_CREAT | 0600), EINVAL);
	pid_t pid = SPAWN({
		become(1234);
		CHECK_ERR(shmget(KEY, 0, 0400), EACCES);
		CHECK_ERR(shmget(KEY, 4097, 0400), EINVAL);
		CHECK_EQ(shmget(KEY, 0, 0), id);
		CHECK((long)shmat(id, NULL, SHM_RDONLY) == -1);
		CHECK_EQ(errno, EACCES);
	});
	JOIN(pid);
}

TEST(attach_checks_its_address)
{
	fresh_ns();
	int id = CHECK_OK(shmget(IPC_PRIVATE, 8192, 0600));
	char *room = mmap(NULL, 5 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(room != MAP_FAILED);
	CHECK_OK(munmap(room + 4096, 2 * 4096));
	CHECK_ERR((long)shmat(id, room + 4096 + 5, 0), EINVAL);
	CHECK_ERR((long)shmat(id, room + 2 * 4096, 0), EINVAL); /* busy */
	CHECK_ERR((long)shmat(id, NULL, SHM_REMAP), EINVAL);
	CHECK_ERR((long)shmat(id, (void *)5, SHM_RND | SHM_REMAP), EINVAL);
	CHECK_ERR((long)shmat(-1, NULL, 0), EINVAL);
	CHECK_ERR((long)shmat(id + 1, NULL, 0), EINVAL);
	CHECK(attach(id, room + 4096 + 5, SHM_RND) == room + 4096);
	CHECK_ERR((long)shmat(id, room + 4096, 0), EINVAL);
	CHECK(attach(id, room + 2 * 4096, SHM_REMAP) == room + 2 * 4096);
	room[2 * 4096] = 1;
	CHECK_EQ(room[4096], 1);
	/* The second page of the first attachment is gone. */
	CHECK_EQ(stat_of(id).shm_nattch, 2);
}

TEST(read_only_attachments_stay_so)
{
	fresh_ns();
	int id = CHECK_OK(shmget(IPC_PRIVATE, 4096, 0600));
	char *a = attach(id, NULL, SHM_RDONLY);
	CHECK_EQ(a[0], 0);
	CHECK_ERR(mprotect(a, 4096, PROT_READ | PROT_WRITE), EACCES);
	int status = kt_wait(SPAWN(*(volatile char *)a = 1));
	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
	CHECK_OK(shmdt(a));
	/* SHM_EXEC needs execute permission. */
	a = attach(id, NULL, SHM_EXEC);
	CHECK_OK(shmdt(a));
	int plain = CHECK_OK(shmget(IPC_PRIVATE, 4096, 0666));
	pid_t pid = SPAWN({
		become(1234);
		CHECK_OK(shmdt(attach(plain, NULL, 0)));
		CHECK_ERR((long)shmat(plain, NULL, SHM_EXEC), EACCES);
	});
	JOIN(pid);
}

TEST(stat_tells_who_and_when)
{
	fresh_ns();
	time_t before = time(NULL) - 1;
	int id = CHECK_OK(shmget(KEY, 5000, IPC_CREAT | 0624));
	struct shmid_ds ds = stat_of(id);
	CHECK_EQ(ds.shm_segsz, 5000);
	CHECK_EQ(ds.shm_perm.mode, 0624);
	CHECK_EQ(ds.shm_perm.uid, 0);
	CHECK_EQ(ds.shm_perm.cgid, 0);
	CHECK_EQ(ds.shm_perm.__ipc_perm_key, KEY);
	CHECK_EQ(ds.shm_cpid, getpid());
	CHECK_EQ(ds.shm_lpid, 0);
	CHECK_EQ(ds.shm_nattch, 0);
	CHECK_EQ(ds.shm_atime, 0);
	CHECK_EQ(ds.shm_dtime, 0);
	CHECK(ds.shm_ctime >= before);
	pid_t pid = SPAWN({
		char *a = attach(id, NULL, 0);
		struct shmid_ds in = stat_of(id);
		CHECK_EQ(in.shm_lpid, getpid());
		CHECK(in.shm_atime >= before);
		CHECK_EQ(in.shm_dtime, 0);
		CHECK_EQ(in.shm_nattch, 1);
		CHECK_OK(shmdt(a));
	});
	JOIN(pid);
	ds = stat_of(id);
	CHECK_EQ(ds.shm_lpid, pid);
	CHECK(ds.shm_dtime >= before);
	CHECK_EQ(ds.shm_nattch, 0);
	CHECK_ERR(ctl(id, IPC_STAT, BAD_PTR), EFAULT);
	CHECK_ERR(ctl(id, 77, &ds), EINVAL);
	CHECK_ERR(ctl(-1, IPC_STAT, &ds), EINVAL);
}

ROLE(count_attached)
{
	(void)argc;
	return stat_of(atoi(argv[1])).shm_nattch == 1 ? 0 : 1;
}

TEST(fork_exec_and_exit_are_counted)
{
	fresh_ns();
	int id = CHECK_OK(shmget(IPC_PRIVATE, 4096, 0600));
	attach(id, NULL, 0);
	pid_t pid = SPAWN({
		CHECK_EQ(stat_of(id).shm_nattch, 2);
		attach(id, NULL, 0);
		CHECK_EQ(stat_of(id).shm_nattch, 3);
		char number[16];
		snprintf(number, sizeof number, "%d", id);
		execl("/proc/self/exe", "role:count_attached", number, NULL);
		_exit(9);
	});
	JOIN(pid);
	CHECK_EQ(stat_of(id).shm_nattch, 1);
	/* A thread shares the memory. */
	pid = SPAWN(raise(SIGKILL));
	kt_wait(pid);
	WAIT_FOR(stat_of(id).shm_nattch == 1);
}

TEST(each_part_of_an_attachment_counts)
{
	fresh_ns();
	int id = CHECK_OK(shmget(IPC_PRIVATE, 5 * 4096, 0600));
	char *a = attach(id, NULL, 0);
	a[4 * 4096] = 7;
	CHECK_OK(munmap(a + 4096, 4096));
	CHECK_EQ(stat_of(id).shm_nattch, 2);
	CHECK_OK(mprotect(a + 3 * 4096, 4096, PROT_READ));
	CHECK_EQ(stat_of(id).shm_nattch, 4);
	pid_t pid = SPAWN(CHECK_EQ(stat_of(id).shm_nattch, 8));
	JOIN(pid);
	CHECK_ERR(shmdt(a + 2 * 4096), EINVAL); /* not where it was attached */
	CHECK_OK(shmdt(a));
	CHECK_EQ(stat_of(id).shm_nattch, 0);
	CHECK_ERR(shmdt(a), EINVAL);
	CHECK_ERR(shmdt(a + 1), EINVAL);
	CHECK_ERR(madvise(a + 4 * 4096, 4096, MADV_NORMAL), ENOMEM);
}

TEST(parts_move_and_grow)
{
	fresh_ns();
	int id = CHECK_OK(shmget(IPC_PRIVATE, 4 * 4096, 0600));
	char *a = attach(id, NULL, 0);
	a[3 * 4096] = 9;
	char *room = mmap(NULL, 8 * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(room != MAP_FAILED);
	char *b = mremap(a + 2 * 4096, 2 * 4096, 2 * 4096, MREMAP_MAYMOVE | MREMAP_FIXED, room);
	CHECK(b == room);
	CHECK_EQ(b[4096], 9);
	CHECK_EQ(stat_of(id).shm_nattch, 2);
	/* A length of 0 maps it once more. */
	char *c = mremap(b, 0, 4096, MREMAP_MAYMOVE);
	CHECK(c != MAP_FAILED);
	CHECK_EQ(stat_of(id).shm_nattch, 3);
	c[0] = 3;
	CHECK_EQ(b[0], 3);
	CHECK_OK(munmap(a, 2 * 4096));
	CHECK_OK(munmap(b, 2 * 4096));
	CHECK_EQ(stat_of(id).shm_nattch, 1);
	CHECK_OK(munmap(c, 4096));
	CHECK_EQ(stat_of(id).shm_nattch, 0);
}

TEST(removal_waits_for_the_last_detach)
{
	fresh_ns();
	int id = CHECK_OK(shmget(KEY, 4096, IPC_CREAT | 0600));
	char *a = attach(id, NULL, 0);
	a[0] = 'z';
	CHECK_OK(ctl(id, IPC_RMID, NULL));
	CHECK_ERR(shmget(KEY, 0, 0), ENOENT);
	struct shmid_ds ds = stat_of(id);
	CHECK_EQ(ds.shm_perm.mode, 0600 | SHM_DEST);
	CHECK_EQ(ds.shm_perm.__ipc_perm_key, 0);
	char *b = attach(id, NULL, 0);
	CHECK_EQ(b[0], 'z');
	CHECK_OK(ctl(id, IPC_RMID, NULL));
	int other = CHECK_OK(shmget(KEY, 4096, IPC_CREAT | IPC_EXCL | 0600));
	CHECK(other != id);
	CHECK_OK(shmdt(a));
	CHECK_OK(shmdt(b));
	CHECK_ERR(ctl(id, IPC_STAT, &ds), EINVAL);
	CHECK_ERR((long)shmat(id, NULL, 0), EINVAL);
	CHECK_OK(ctl(other, IPC_RMID, NULL));
	CHECK_ERR(ctl(other, IPC_RMID, NULL), EINVAL);
}

TEST(set_changes_owner_and_mode)
{
	fresh_ns();
	int id = CHECK_OK(shmget(KEY, 4096, IPC_CREAT | 0600));
	struct shmid_ds ds = stat_of(id);
	ds.shm_perm.uid = 1234;
	ds.shm_perm.gid = 1235;
	ds.shm_perm.mode = 0777777;
	ds.shm_segsz = 1;
	CHECK_OK(ctl(id, IPC_SET, &ds));
	ds = stat_of(id);
	CHECK_EQ(ds.shm_perm.uid, 1234);
	CHECK_EQ(ds.shm_perm.gid, 1235);
	CHECK_EQ(ds.shm_perm.cuid, 0);
	CHECK_EQ(ds.shm_perm.mode, 0777);
	CHECK_EQ(ds.shm_segsz, 4096);
	ds.shm_perm.uid = -1;
	CHECK_ERR(ctl(id, IPC_SET, &ds), EINVAL);
	CHECK_ERR(ctl(id, IPC_SET, BAD_PTR), EFAULT);
	pid_t pid = SPAWN({
		become(1236);
		CHECK_ERR(ctl(id, IPC_SET, &ds), EPERM);
		CHECK_ERR(ctl(id, IPC_RMID, NULL), EPERM);
		CHECK_ERR(ctl(id, SHM_LOCK, NULL), EPERM);
	});
	JOIN(pid);
	pid = SPAWN({
		become(1234);
		struct shmid_ds own = stat_of(id);
		own.shm_perm.mode = 0400;
		CHECK_OK(ctl(id, IPC_SET, &own));
		CHECK_ERR((long)shmat(id, NULL, 0), EACCES);
		CHECK_OK(ctl(id, IPC_RMID, NULL));
	});
	JOIN(pid);
}

TEST(limits_are_kept)
{
	fresh_ns();
	CHECK_OK(kt_write_file("/proc/sys/kernel/shmmni", "2"));
	int a = CHECK_OK(shmget(IPC_PRIVATE, 4096, 0600));
	CHECK_OK(shmget(IPC_PRIVATE, 4096, 0600));
	CHECK_ERR(shmget(IPC_PRIVATE, 4096, 0600), ENOSPC);
	CHECK_OK(ctl(a, IPC_RMID, NULL));
	CHECK_OK(kt_write_file("/proc/sys/kernel/shmall", "3"));
	CHECK_ERR(shmget(IPC_PRIVATE, 3 * 4096, 0600), ENOSPC);
	CHECK_OK(kt_write_file("/proc/sys/kernel/shmmax", "4096"));
	CHECK_ERR(shmget(IPC_PRIVATE, 4097, 0600), EINVAL);
	CHECK_OK(shmget(IPC_PRIVATE, 4096, 0600));
	CHECK_OK(kt_write_file("/proc/sys/kernel/shmmax", "18446744073709551615"));
	CHECK(!strcmp(first_line("/proc/sys/kernel/shmmax"), "18446744073709551615"));
	CHECK_ERR(kt_write_file("/proc/sys/kernel/shmmni", "32769"), EINVAL);
	CHECK_ERR(kt_write_file("/proc/sys/kernel/shmmni", "-1"), EINVAL);
}

TEST(defaults_are_linux_s)
{
	fresh_ns();
	CHECK(!strcmp(first_line("/proc/sys/kernel/shmmax"), "18446744073692774399"));
	CHECK(!strcmp(first_line("/proc/sys/kernel/shmall"), "18446744073692774399"));
	CHECK(!strcmp(first_line("/proc/sys/kernel/shmmni"), "4096"));
	CHECK(!strcmp(first_line("/proc/sys/kernel/shm_rmid_forced"), "0"));
	CHECK(!strcmp(first_line("/proc/sys/kernel/shm_next_id"), "-1"));
}

TEST(infos_count)
{
	fresh_ns();
	struct shminfo_k limits;
	struct shm_info_k info;
	struct shmid_ds ds;
	CHECK_EQ(ctl(0, IPC_INFO, &limits), 0);
	CHECK_EQ(limits.shmmni, 4096);
	CHECK_EQ(limits.shmseg, 4096);
	CHECK_EQ(limits.shmmin, 1);
	CHECK_EQ(limits.shmmax, ~0UL - (1UL << 24));
	int a = CHECK_OK(shmget(IPC_PRIVATE, 4097, 0600));
	int b = CHECK_OK(shmget(IPC_PRIVATE, 4096, 0600));
	attach(a, NULL, 0)[0] = 1;
	CHECK_EQ(ctl(0, SHM_INFO, &info), 1);
	CHECK_EQ(info.used_ids, 2);
	CHECK_EQ(info.shm_tot, 3);
	CHECK_EQ(info.shm_rss, 1);
	CHECK_EQ(info.shm_swp, 0);
	CHECK_EQ(ctl(0, SHM_STAT, &ds), a);
	CHECK_EQ(ds.shm_segsz, 4097);
	CHECK_EQ(ctl(1, SHM_STAT, &ds), b);
	CHECK_ERR(ctl(2, SHM_STAT, &ds), EINVAL);
	CHECK_ERR(ctl(0, SHM_INFO, BAD_PTR), EFAULT);
	pid_t pid = SPAWN({
		become(1234);
		CHECK_ERR(ctl(0, SHM_STAT, &ds), EACCES);
		CHECK_ERR(ctl(a, IPC_STAT, &ds), EACCES);
		CHECK_EQ(ctl(0, SHM_STAT_ANY, &ds), a);
	});
	JOIN(pid);
	CHECK_OK(ctl(b, IPC_RMID, NULL));
	CHECK_EQ(ctl(0, SHM_INFO, &info), 0);
}

TEST(lock_is_shown_and_limited)
{
	fresh_ns();
	int id = CHECK_OK(shmget(IPC_PRIVATE, 8192, 0666));
	CHECK_OK(ctl(id, SHM_LOCK, NULL));
	CHECK_EQ(stat_of(id).shm_perm.mode, 0666 | 02000);
	CHECK_OK(ctl(id, SHM_LOCK, NULL));
	CHECK_OK(ctl(id, SHM_UNLOCK, NULL));
	CHECK_EQ(stat_of(id).shm_perm.mode, 0666);
	pid_t pid = SPAWN({
		struct rlimit_k { unsigned long cur, max; } r = { 4096, 4096 };
		CHECK_OK(syscall(SYS_prlimit64, 0, 8, &r, NULL));
		become(1234);
		int own = CHECK_OK(shmget(IPC_PRIVATE, 8192, 0600));
		CHECK_ERR(ctl(own, SHM_LOCK, NULL), ENOMEM);
		int small = CHECK_OK(shmget(IPC_PRIVATE, 4096, 0600));
		CHECK_OK(ctl(small, SHM_LOCK, NULL));
		CHECK_ERR(ctl(id, SHM_UNLOCK, NULL), EPERM);
		int more = CHECK_OK(shmget(IPC_PRIVATE, 4096, 0600));
		CHECK_ERR(ctl(more, SHM_LOCK, NULL), ENOMEM);
		CHECK_OK(ctl(small, SHM_UNLOCK, NULL));
		CHECK_OK(ctl(more, SHM_LOCK, NULL));
		CHECK_OK(ctl(more, IPC_RMID, NULL));
		CHECK_OK(ctl(small, SHM_LOCK, NULL));
		r.cur = 0;
		CHECK_OK(syscall(SYS_prlimit64, 0, 8, &r, NULL));
		CHECK_ERR(ctl(small, SHM_LOCK, NULL), EPERM);
	});
	JOIN(pid);
}

TEST(rmid_forced_follows_the_creator)
{
	fresh_ns();
	struct shmid_ds ds;
	int orphan;
	int *out = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid = SPAWN(out[0] = CHECK_OK(shmget(IPC_PRIVATE, 4096, 0600)));
	JOIN(pid);
	orphan = out[0];
	int own = CHECK_OK(shmget(IPC_PRIVATE, 4096, 0600));
	CHECK_OK(ctl(orphan, IPC_STAT, &ds));
	/* Setting it removes what nobody uses and whose creator is gone. */
	CHECK_OK(kt_write_file("/proc/sys/kernel/shm_rmid_forced", "1"));
	CHECK_ERR(ctl(orphan, IPC_STAT, &ds), EINVAL);
	CHECK_OK(ctl(own, IPC_STAT, &ds));
	pid = SPAWN({
		out[0] = CHECK_OK(shmget(IPC_PRIVATE, 4096, 0600));
		out[1] = CHECK_OK(shmget(IPC_PRIVATE, 4096, 0600));
		CHECK_OK(shmdt(attach(own, NULL, 0))); /* the last detach removes */
		CHECK_ERR(ctl(own, IPC_STAT, &ds), EINVAL);
		out[2] = 1;
		while (out[2])
			kt_sleep_ms(1);
	});
	WAIT_FOR(out[2]);
	char *a = attach(out[1], NULL, 0);
	out[2] = 0;
	JOIN(pid);
	CHECK_ERR(ctl(out[0], IPC_STAT, &ds), EINVAL);
	CHECK_OK(ctl(out[1], IPC_STAT, &ds));
	CHECK_OK(shmdt(a));
	CHECK_ERR(ctl(out[1], IPC_STAT, &ds), EINVAL);
}

TEST(ids_go_on)
{
	fresh_ns();
	int a = CHECK_OK(shmget(IPC_PRIVATE, 4096, 0600));
	CHECK_OK(ctl(a, IPC_RMID, NULL));
	int b = CHECK_OK(shmget(IPC_PRIVATE, 4096, 0600));
	CHECK_EQ(a, 0);
	CHECK_EQ(b, 1);
	CHECK_OK(ctl(b, IPC_RMID, NULL));
	int id = b;
	for (int n = 2; n <= 64; n++) {
		id = CHECK_OK(shmget(IPC_PRIVATE, 4096, 0600));
		CHECK_OK(ctl(id, IPC_RMID, NULL));
	}
	/* After 64 numbers, the first again with the next sequence number. */
	CHECK_EQ(id, 1 << 15);
	CHECK_ERR(ctl(0, IPC_RMID, NULL), EINVAL);
	CHECK_OK(kt_write_file("/proc/sys/kernel/shm_next_id", "70000"));
	CHECK_EQ(shmget(IPC_PRIVATE, 4096, 0600), 70000);
	CHECK(!strcmp(first_line("/proc/sys/kernel/shm_next_id"), "-1"));
}

TEST(proc_lists_segments)
{
	fresh_ns();
	CHECK(!strcmp(first_line("/proc/sysvipc/shm"),
		      "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid"
		      "      atime      dtime      ctime                   rss                  swap"));
	int id = CHECK_OK(shmget(KEY, 5000, IPC_CREAT | 0604));
	attach(id, NULL, 0)[0] = 1;
	struct shmid_ds ds = stat_of(id);
	char want[512], got[512];
	snprintf(want, sizeof want,
		 "%10d %10d  %4o %21lu %5u %5u  %5lu %5u %5u %5u %5u %10lu %10lu %10lu %21lu %21lu", KEY, id,
		 0604, 5000UL, getpid(), getpid(), 1UL, 0, 0, 0, 0, (long)ds.shm_atime, (long)ds.shm_dtime,
		 (long)ds.shm_ctime, 4096UL, 0UL);
	CHECK(sysvipc_line("shm", id, got, sizeof got));
	if (strcmp(got, want))
		KT_FAIL("got <%s> want <%s>", got, want);
	pid_t pid = SPAWN({
		become(1234);
		CHECK(sysvipc_line("shm", id, got, sizeof got));
	});
	JOIN(pid);
}

TEST(maps_shows_the_key)
{
	fresh_ns();
	int id = CHECK_OK(shmget(KEY, 4096, IPC_CREAT | 0600));
	char *a = attach(id, NULL, 0);
	static char text[65536];
	char want[64];
	snprintf(want, sizeof want, "%lx-%lx rw-s 00000000", (long)a, (long)a + 4096);
	CHECK(kt_read_file("/proc/self/maps", text, sizeof text) > 0);
	char *line = strstr(text, want);
	CHECK(line);
	char name[128];
	unsigned long inode;
	CHECK_EQ(sscanf(line + strlen(want), " %*s %lu %127[^\n]", &inode, name), 2);
	CHECK_EQ(inode, id);
	CHECK(!strcmp(name, "/SYSV005a0001 (deleted)"));
}

TEST(huge_pages_are_not_there)
{
	fresh_ns();
	CHECK_ERR(shmget(IPC_PRIVATE, 2 << 20, SHM_HUGETLB | 0600), ENOMEM);
	CHECK_ERR(shmget(IPC_PRIVATE, 2 << 20, SHM_HUGETLB | 5 << 26 | 0600), EINVAL);
	pid_t pid = SPAWN({
		become(1234);
		CHECK_ERR(shmget(IPC_PRIVATE, 2 << 20, SHM_HUGETLB | 0600), EPERM);
	});
	JOIN(pid);
	CHECK_OK(shmget(IPC_PRIVATE, 4096, SHM_NORESERVE | 0600));
}

TEST(futexes_work_across_attachments)
{
	fresh_ns();
	int id = CHECK_OK(shmget(IPC_PRIVATE, 4096, 0600));
	int *a = (int *)attach(id, NULL, 0);
	pid_t pid = SPAWN({
		int *b = (int *)attach(id, NULL, 0);
		while (!__atomic_load_n(b, __ATOMIC_SEQ_CST))
			syscall(SYS_futex, b, 0, 0, NULL, NULL, 0);
	});
	wait_asleep(pid);
	__atomic_store_n(a, 1, __ATOMIC_SEQ_CST);
	CHECK_EQ(syscall(SYS_futex, a, 1, 1, NULL, NULL, 0), 1);
	JOIN(pid);
}
