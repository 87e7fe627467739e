/* IPC namespaces (ipc_namespaces(7)): what is in one, and how long. */
#include <sched.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>

#include "proc.h"
#include "sys.h"

#ifndef CLONE_SYSVSEM
#define CLONE_SYSVSEM 0x40000
#endif
#ifndef CLONE_NEWIPC
#define CLONE_NEWIPC 0x08000000
#endif
#define KEY 0x5a0101

static int semop1(int id, int by, int flags)
{
	struct sembuf b = { 0, by, flags };
	return semop(id, &b, 1);
}

static int getval(int id)
{
	return syscall(SYS_semctl, id, 0, GETVAL, 0);
}

static int setval(int id, int to)
{
	return syscall(SYS_semctl, id, 0, SETVAL, to);
}

static int mq_open_(const char *name, int flags)
{
	return syscall(SYS_mq_open, name, flags, 0600, NULL);
}

static int ns_fd(void)
{
	return CHECK_OK(open("/proc/self/ns/ipc", O_RDONLY | O_CLOEXEC));
}

static void map_ids(pid_t pid, const char *uids, const char *gids)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/%d/uid_map", pid);
	CHECK_OK(kt_write_file(path, uids));
	snprintf(path, sizeof path, "/proc/%d/gid_map", pid);
	CHECK_OK(kt_write_file(path, gids));
}

static void become(uid_t id)
{
	CHECK_OK(setresgid(id, id, id));
	CHECK_OK(setresuid(id, id, id));
}

TEST(a_new_one_is_empty)
{
	CHECK_OK(unshare(CLONE_NEWIPC));
	int shm = CHECK_OK(shmget(KEY, 4096, IPC_CREAT | 0600));
	int sem = CHECK_OK(semget(KEY, 1, IPC_CREAT | 0600));
	int msg = CHECK_OK(msgget(KEY, IPC_CREAT | 0600));
	CHECK_OK(mq_open_("q", O_CREAT | O_RDWR));
	CHECK(shm == 0 && sem == 0 && msg == 0);
	pid_t pid = SPAWN({
		CHECK_OK(unshare(CLONE_NEWIPC));
		CHECK_ERR(shmget(KEY, 0, 0), ENOENT);
		CHECK_ERR(semget(KEY, 0, 0), ENOENT);
		CHECK_ERR(msgget(KEY, 0), ENOENT);
		CHECK_ERR(mq_open_("q", O_RDWR), ENOENT);
		CHECK_ERR((long)shmat(shm, NULL, 0), EINVAL);
		CHECK_ERR(getval(sem), EINVAL);
		CHECK_ERR(msgrcv(msg, &pid, 0, 0, IPC_NOWAIT), EINVAL);
		CHECK_EQ(msgget(KEY, IPC_CREAT | 0600), 0);
	});
	JOIN(pid);
	CHECK_EQ(msgget(KEY, 0), msg);
}

TEST(clone_and_setns_enter)
{
	CHECK_OK(unshare(CLONE_NEWIPC));
	int outer = ns_fd();
	int id = CHECK_OK(msgget(KEY, IPC_CREAT | 0600));
	pid_t pid = CHECK_OK(sys_clone(CLONE_NEWIPC | SIGCHLD, NULL, NULL));
	if (pid == 0) {
		CHECK_ERR(msgget(KEY, 0), ENOENT);
		CHECK_OK(setns(outer, CLONE_NEWIPC));
		CHECK_EQ(msgget(KEY, 0), id);
		_exit(0);
	}
	JOIN(pid);
	CHECK_ERR(sys_clone(CLONE_NEWIPC | CLONE_SYSVSEM | SIGCHLD, NULL, NULL), EINVAL);
}

TEST(a_descriptor_keeps_it)
{
	CHECK_OK(unshare(CLONE_NEWIPC));
	int fd = ns_fd();
	int id = CHECK_OK(msgget(KEY, IPC_CREAT | 0600));
	struct { long type; char text[4]; } m = { 1, "abc" };
	CHECK_OK(msgsnd(id, &m, 4, 0));
	CHECK_OK(mq_open_("q", O_CREAT | O_RDWR));
	CHECK_OK(unshare(CLONE_NEWIPC));
	CHECK_ERR(msgget(KEY, 0), ENOENT);
	CHECK_OK(setns(fd, 0));
	CHECK_EQ(msgrcv(id, &m, 4, 0, IPC_NOWAIT), 4);
	CHECK_OK(mq_open_("q", O_RDWR));
}

TEST(a_bind_mount_keeps_it)
{
	CHECK_OK(unshare(CLONE_NEWNS));
	CHECK_OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	CHECK_OK(close(CHECK_OK(open("kept", O_CREAT | O_WRONLY, 0600))));
	CHECK_OK(unshare(CLONE_NEWIPC));
	CHECK_OK(mount("/proc/self/ns/ipc", "kept", NULL, MS_BIND, NULL));
	int id = CHECK_OK(semget(KEY, 1, IPC_CREAT | 0600));
	CHECK_OK(setval(id, 9));
	CHECK_OK(unshare(CLONE_NEWIPC));
	CHECK_ERR(semget(KEY, 0, 0), ENOENT);
	int fd = CHECK_OK(open("kept", O_RDONLY));
	CHECK_OK(setns(fd, CLONE_NEWIPC));
	CHECK_EQ(getval(id), 9);
	CHECK_OK(close(fd));
	CHECK_OK(umount("kept"));
}

TEST(leaving_undoes_semaphores)
{
	CHECK_OK(unshare(CLONE_NEWIPC));
	int fd = ns_fd();
	int id = CHECK_OK(semget(KEY, 1, IPC_CREAT | 0600));
	CHECK_OK(setval(id, 5));
	pid_t pid = SPAWN({
		CHECK_OK(semop1(id, -2, SEM_UNDO));
		CHECK_OK(unshare(CLONE_NEWIPC));
		int inner = ns_fd();
		int own = CHECK_OK(semget(KEY, 1, IPC_CREAT | 0600));
		CHECK_OK(setval(own, 3));
		CHECK_OK(semop1(own, -1, SEM_UNDO));
		CHECK_OK(setns(fd, CLONE_NEWIPC));
		CHECK_EQ(getval(id), 5);
		CHECK_OK(setns(inner, CLONE_NEWIPC));
		CHECK_EQ(getval(own), 3);
	});
	JOIN(pid);
	CHECK_EQ(getval(id), 5);
}

TEST(attachments_stay_when_leaving)
{
	CHECK_OK(unshare(CLONE_NEWIPC));
	int id = CHECK_OK(shmget(KEY, 4096, IPC_CREAT | 0600));
	char *a = shmat(id, NULL, 0);
	CHECK(a != (char *)-1);
	a[0] = 'k';
	CHECK_OK(unshare(CLONE_NEWIPC));
	CHECK_EQ(a[0], 'k');
	a[1] = 'l';
	CHECK_ERR(shmctl(id, IPC_RMID, NULL), EINVAL);
	CHECK_OK(shmdt(a));
}

TEST(settings_are_its_own)
{
	CHECK_OK(unshare(CLONE_NEWIPC));
	char text[64];
	int fd = CHECK_OK(open("/proc/sys/kernel/msgmni", O_RDWR));
	CHECK_EQ(write(fd, "77", 2), 2);
	CHECK_OK(kt_write_file("/proc/sys/fs/mqueue/queues_max", "5"));
	CHECK_OK(unshare(CLONE_NEWIPC));
	CHECK(kt_read_file("/proc/sys/kernel/msgmni", text, sizeof text) > 0);
	CHECK(!strcmp(text, "32000\n"));
	CHECK(kt_read_file("/proc/sys/fs/mqueue/queues_max", text, sizeof text) > 0);
	CHECK(!strcmp(text, "256\n"));
}

TEST(files_stay_with_their_opener)
{
	CHECK_OK(unshare(CLONE_NEWIPC));
	int keep = ns_fd();
	int setting = CHECK_OK(open("/proc/sys/kernel/shmmni", O_RDWR));
	int list = CHECK_OK(open("/proc/sysvipc/sem", O_RDONLY));
	CHECK_OK(semget(KEY, 1, IPC_CREAT | 0600));
	CHECK_OK(unshare(CLONE_NEWIPC));
	CHECK_EQ(write(setting, "11", 2), 2);
	char text[4096];
	CHECK(kt_read_file("/proc/sys/kernel/shmmni", text, sizeof text) > 0);
	CHECK(!strcmp(text, "4096\n"));
	ssize_t n = CHECK_OK(read(list, text, sizeof text - 1));
	text[n] = 0;
	char key[16];
	snprintf(key, sizeof key, "%d", KEY);
	CHECK(strstr(text, key));
	CHECK_OK(setns(keep, CLONE_NEWIPC));
	CHECK(kt_read_file("/proc/sys/kernel/shmmni", text, sizeof text) > 0);
	CHECK(!strcmp(text, "11\n"));
}

TEST(the_owner_s_capabilities_count)
{
	int pipes[2];
	CHECK_OK(pipe(pipes));
	pid_t pid = SPAWN({
		become(1000);
		CHECK_OK(unshare(CLONE_NEWUSER | CLONE_NEWIPC));
		CHECK_EQ(write(pipes[1], "x", 1), 1);
		WAIT_FOR(getuid() == 0);
		int id = CHECK_OK(msgget(KEY, IPC_CREAT | 0));
		struct { long type; char text[4]; } m = { 1, "abc" };
		CHECK_OK(msgsnd(id, &m, 4, 0)); /* CAP_IPC_OWNER here */
		struct msqid_ds ds;
		CHECK_OK(msgctl(id, IPC_STAT, &ds));
		CHECK_EQ(ds.msg_perm.uid, 0);
		CHECK_EQ(ds.msg_perm.cuid, 0);
		ds.msg_perm.uid = 5; /* not mapped */
		CHECK_ERR(msgctl(id, IPC_SET, &ds), EINVAL);
		/* Settings are those of the owner's root. */
		struct stat st;
		CHECK_OK(stat("/proc/sys/kernel/msgmni", &st));
		CHECK_EQ(st.st_uid, 0);
		CHECK_OK(kt_write_file("/proc/sys/kernel/msgmni", "100"));
		CHECK_OK(kt_write_file("/proc/sys/kernel/msg_next_id", "70"));
		CHECK_EQ(msgget(IPC_PRIVATE, 0600), 70);
		CHECK_OK(kt_write_file("/proc/sys/fs/mqueue/queues_max", "100"));
		CHECK_ERR(open("/proc/sys/kernel/pid_max", O_WRONLY), EACCES);
		/* CAP_SYS_RESOURCE of the initial namespace is asked for. */
		ds.msg_perm.uid = 0;
		ds.msg_qbytes = 20000;
		CHECK_ERR(msgctl(id, IPC_SET, &ds), EPERM);
	});
	char c;
	CHECK_EQ(read(pipes[0], &c, 1), 1);
	map_ids(pid, "0 1000 1", "0 1000 1");
	JOIN(pid);
}

TEST(a_user_namespace_does_not_override)
{
	CHECK_OK(unshare(CLONE_NEWIPC));
	int id = CHECK_OK(msgget(KEY, IPC_CREAT | 0600));
	int open_one = CHECK_OK(msgget(IPC_PRIVATE, 0644));
	int pipes[2];
	CHECK_OK(pipe(pipes));
	pid_t pid = SPAWN({
		become(1000);
		CHECK_OK(unshare(CLONE_NEWUSER));
		CHECK_EQ(write(pipes[1], "x", 1), 1);
		WAIT_FOR(getuid() == 0);
		struct msqid_ds ds;
		CHECK_ERR(msgctl(id, IPC_STAT, &ds), EACCES);
		CHECK_ERR(msgctl(id, IPC_RMID, NULL), EPERM);
		CHECK_OK(msgctl(open_one, IPC_STAT, &ds));
		CHECK_EQ(ds.msg_perm.uid, 65534); /* no name for it here */
		CHECK_ERR(setns(ns_fd(), CLONE_NEWIPC), EPERM);
	});
	char c;
	CHECK_EQ(read(pipes[0], &c, 1), 1);
	map_ids(pid, "0 1000 1", "0 1000 1");
	JOIN(pid);
}

TEST(making_one_is_a_privilege_and_counted)
{
	pid_t pid = SPAWN({
		become(1000);
		CHECK_ERR(unshare(CLONE_NEWIPC), EPERM);
		CHECK_ERR(sys_clone(CLONE_NEWIPC | SIGCHLD, NULL, NULL), EPERM);
	});
	JOIN(pid);
	int pipes[2];
	CHECK_OK(pipe(pipes));
	pid = SPAWN({
		become(1000);
		CHECK_OK(unshare(CLONE_NEWUSER));
		CHECK_EQ(write(pipes[1], "x", 1), 1);
		WAIT_FOR(getuid() == 0);
		CHECK_OK(kt_write_file("/proc/sys/user/max_ipc_namespaces", "1"));
		CHECK_OK(unshare(CLONE_NEWIPC));
		int id = CHECK_OK(msgget(KEY, IPC_CREAT | 0600));
		CHECK_ERR(unshare(CLONE_NEWIPC), ENOSPC);
		CHECK_EQ(msgget(KEY, 0), id); /* nothing has changed */
	});
	char c;
	CHECK_EQ(read(pipes[0], &c, 1), 1);
	map_ids(pid, "0 1000 1", "0 1000 1");
	JOIN(pid);
}

TEST(pids_are_the_reader_s)
{
	CHECK_OK(unshare(CLONE_NEWIPC));
	int id = CHECK_OK(semget(KEY, 1, IPC_CREAT | 0600));
	CHECK_OK(unshare(CLONE_NEWPID));
	pid_t pid = SPAWN({
		CHECK_EQ(getpid(), 1);
		CHECK_OK(semop1(id, 1, 0));
		CHECK_EQ(syscall(SYS_semctl, id, 0, GETPID, 0), 1);
		int shm = CHECK_OK(shmget(KEY, 4096, IPC_CREAT | 0600));
		struct shmid_ds ds;
		CHECK_OK(shmctl(shm, IPC_STAT, &ds));
		CHECK_EQ(ds.shm_cpid, 1);
	});
	JOIN(pid);
	CHECK_EQ(syscall(SYS_semctl, id, 0, GETPID, 0), pid);
}

TEST(an_mqueue_mount_outlives_it)
{
	CHECK_OK(unshare(CLONE_NEWNS | CLONE_NEWIPC));
	CHECK_OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	CHECK_OK(mkdir("mq", 0755));
	CHECK_OK(mount("none", "mq", "mqueue", 0, NULL));
	int q = CHECK_OK(mq_open_("q", O_CREAT | O_RDWR));
	CHECK_OK(unshare(CLONE_NEWIPC));
	CHECK_ERR(mq_open_("q", O_RDWR), ENOENT);
	int made = -1;
	/* The namespace may take a moment to go. */
	for (int n = 0; n < 2000; n++) {
		made = open("mq/new", O_CREAT | O_RDWR, 0600);
		if (made < 0)
			break;
		close(made);
		unlink("mq/new");
		kt_sleep_ms(1);
	}
	CHECK_EQ(made, -1);
	CHECK_EQ(errno, EACCES);
	CHECK_OK(syscall(SYS_mq_timedsend, q, "x", 1, 0, NULL));
	struct stat st;
	CHECK_OK(stat("mq/q", &st));
	CHECK_OK(unlink("mq/q"));
	CHECK_OK(mkdir("mq2", 0755));
	CHECK_OK(mount("none", "mq2", "mqueue", 0, NULL));
	struct stat two;
	CHECK_OK(stat("mq", &st));
	CHECK_OK(stat("mq2", &two));
	CHECK(st.st_dev != two.st_dev);
}

TEST_FOR(many_leave_no_trace, 120)
{
	long long before = 0;
	/* Linux ends them later than they go, and the limit that it sets depends on the size of the machine. */
	CHECK_OK(kt_write_file("/proc/sys/user/max_ipc_namespaces", "5000"));
	for (int round = 0; round < 2000; round++) {
		if (round == 1000)
			before = kt_field("/proc/meminfo", "MemFree:");
		CHECK_OK(unshare(CLONE_NEWIPC));
		if (round % 2 == 0) {
			int id = CHECK_OK(shmget(IPC_PRIVATE, 65536, 0600));
			char *a = shmat(id, NULL, 0);
			CHECK(a != (char *)-1);
			memset(a, 1, 65536); /* 32 MiB in all */
			CHECK_OK(shmdt(a));
			int msg = CHECK_OK(msgget(IPC_PRIVATE, 0600));
			static struct { long type; char text[8000]; } m = { 1, "" };
			CHECK_OK(msgsnd(msg, &m, 8000, 0));
			CHECK_OK(semop1(CHECK_OK(semget(IPC_PRIVATE, 100, 0600)), 1, SEM_UNDO));
			long attr[8] = { 0, 1, 100 };
			int q = CHECK_OK(syscall(SYS_mq_open, "q", O_CREAT | O_RDWR, 0600, attr));
			CHECK_OK(syscall(SYS_mq_timedsend, q, &m, 100, 0, NULL));
			CHECK_OK(close(q));
		}
	}
	WAIT_SECONDS(90, before - kt_field("/proc/meminfo", "MemFree:") < 16384);
}
