/* System V message queues (msgget(2), msgop(2), msgctl(2)). */
#include <sys/msg.h>

#include "ipc.h"

#ifndef MSG_COPY
#define MSG_COPY 040000
#endif
#ifndef MSG_EXCEPT
#define MSG_EXCEPT 020000
#endif
#ifndef MSG_STAT_ANY
#define MSG_STAT_ANY 13
#endif
#define KEY 0x5a0002

struct message {
	long type;
	char text[16384];
};
static struct message m;

struct msginfo_k {
	int msgpool, msgmap, msgmax, msgmnb, msgmni, msgssz, msgtql;
	unsigned short msgseg;
};

static int ctl(int id, int cmd, void *buf)
{
	return syscall(SYS_msgctl, id, cmd, buf);
}

static struct msqid_ds stat_of(int id)
{
	struct msqid_ds ds;
	CHECK_OK(ctl(id, IPC_STAT, &ds));
	return ds;
}

static int snd(int id, long type, const char *text, int flags)
{
	struct message out = { .type = type };
	strcpy(out.text, text);
	return msgsnd(id, &out, strlen(text), flags);
}

/* Receives and compares. */
static void expect(int id, long want, int flags, long type, const char *text)
{
	memset(&m, 0, sizeof m);
	CHECK_EQ(msgrcv(id, &m, sizeof m.text, want, flags | IPC_NOWAIT), (long)strlen(text));
	CHECK_EQ(m.type, type);
	if (strcmp(m.text, text))
		KT_FAIL("got <%s>, want <%s>", m.text, text);
}

static int queue(void)
{
	fresh_ns();
	return CHECK_OK(msgget(KEY, IPC_CREAT | 0600));
}

TEST(messages_come_in_order)
{
	int id = queue();
	CHECK_OK(snd(id, 5, "first", 0));
	CHECK_OK(snd(id, 3, "second", 0));
	CHECK_OK(snd(id, 4, "", 0));
	expect(id, 0, 0, 5, "first");
	expect(id, 0, 0, 3, "second");
	expect(id, 0, 0, 4, "");
	CHECK_ERR(msgrcv(id, &m, 100, 0, IPC_NOWAIT), ENOMSG);
}

TEST(types_choose)
{
	int id = queue();
	for (int n = 0; n < 6; n++) {
		char text[2] = { 'a' + n, 0 };
		CHECK_OK(snd(id, (long[]){ 9, 5, 7, 5, 9, 2 }[n], text, 0));
	}
	expect(id, 7, 0, 7, "c");
	CHECK_ERR(msgrcv(id, &m, 100, 7, IPC_NOWAIT), ENOMSG);
	expect(id, -6, 0, 2, "f"); /* the lowest */
	expect(id, -6, 0, 5, "b");
	expect(id, 9, MSG_EXCEPT, 5, "d");
	CHECK_ERR(msgrcv(id, &m, 100, 9, MSG_EXCEPT | IPC_NOWAIT), ENOMSG);
	CHECK_ERR(msgrcv(id, &m, 100, -8, IPC_NOWAIT), ENOMSG);
	expect(id, -9223372036854775807L - 1, 0, 9, "a");
	expect(id, 0, 0, 9, "e");
}

TEST(a_long_message_is_refused_or_cut)
{
	int id = queue();
	CHECK_OK(snd(id, 1, "0123456789", 0));
	CHECK_ERR(msgrcv(id, &m, 9, 0, 0), E2BIG);
	memset(&m, 0, sizeof m);
	CHECK_EQ(msgrcv(id, &m, 4, 0, MSG_NOERROR), 4);
	CHECK(!strcmp(m.text, "0123"));
	CHECK_ERR(msgrcv(id, &m, 9, 0, IPC_NOWAIT), ENOMSG);
}

TEST(copy_leaves_the_message)
{
	int id = queue();
	CHECK_OK(snd(id, 7, "zero", 0));
	CHECK_OK(snd(id, 8, "one", 0));
	expect(id, 1, MSG_COPY, 8, "one");
	expect(id, 0, MSG_COPY, 7, "zero");
	CHECK_ERR(msgrcv(id, &m, 100, 2, MSG_COPY | IPC_NOWAIT), ENOMSG);
	CHECK_ERR(msgrcv(id, &m, 100, 0, MSG_COPY), EINVAL);
	CHECK_ERR(msgrcv(id, &m, 100, 0, MSG_COPY | MSG_EXCEPT | IPC_NOWAIT), EINVAL);
	CHECK_ERR(msgrcv(id, &m, 2, 0, MSG_COPY | IPC_NOWAIT), E2BIG);
	CHECK_ERR(msgrcv(id, &m, 2, 0, MSG_COPY | IPC_NOWAIT | MSG_NOERROR), EINVAL);
	CHECK_EQ(stat_of(id).msg_qnum, 2);
	CHECK_EQ(stat_of(id).msg_lrpid, 0);
}

TEST(arguments_are_checked)
{
	int id = queue();
	CHECK_ERR(snd(id, 0, "x", 0), EINVAL);
	CHECK_ERR(snd(id, -1, "x", 0), EINVAL);
	m.type = 1;
	CHECK_ERR(msgsnd(id, &m, 8193, 0), EINVAL);
	CHECK_ERR(msgsnd(id, &m, -1, 0), EINVAL);
	CHECK_ERR(msgsnd(id, BAD_PTR, 1, 0), EFAULT);
	CHECK_ERR(msgsnd(id + 1, &m, 1, 0), EINVAL);
	CHECK_ERR(msgsnd(-1, &m, 1, 0), EINVAL);
	CHECK_ERR(msgrcv(id, &m, -1, 0, 0), EINVAL);
	CHECK_ERR(msgrcv(-1, &m, 1, 0, 0), EINVAL);
	CHECK_OK(msgsnd(id, &m, 8192, 0));
	CHECK_ERR(msgrcv(id, BAD_PTR, 8192, 0, 0), EFAULT);
	CHECK_EQ(stat_of(id).msg_qnum, 0); /* and the message is gone */
	CHECK_ERR(ctl(id, 99, &m), EINVAL);
	CHECK_ERR(ctl(-1, IPC_RMID, NULL), EINVAL);
	CHECK_ERR(msgget(KEY + 1, 0), ENOENT);
	CHECK_ERR(msgget(KEY, IPC_CREAT | IPC_EXCL | 0600), EEXIST);
}

TEST(a_full_queue_refuses)
{
	int id = queue();
	m.type = 1;
	CHECK_OK(msgsnd(id, &m, 8192, IPC_NOWAIT));
	CHECK_OK(msgsnd(id, &m, 8191, IPC_NOWAIT));
	CHECK_ERR(msgsnd(id, &m, 2, IPC_NOWAIT), EAGAIN);
	CHECK_OK(msgsnd(id, &m, 1, IPC_NOWAIT));
	CHECK_OK(msgsnd(id, &m, 0, IPC_NOWAIT));
	struct msqid_ds ds = stat_of(id);
	CHECK_EQ(ds.msg_qnum, 4);
	CHECK_EQ(ds.__msg_cbytes, 16384);
	/* The number of messages has the same limit. */
	ds.msg_qbytes = 5;
	CHECK_OK(ctl(id, IPC_SET, &ds));
	int small = CHECK_OK(msgget(IPC_PRIVATE, 0600));
	CHECK_OK(ctl(small, IPC_SET, &ds));
	for (int n = 0; n < 5; n++)
		CHECK_OK(msgsnd(small, &m, 0, IPC_NOWAIT));
	CHECK_ERR(msgsnd(small, &m, 0, IPC_NOWAIT), EAGAIN);
}

TEST(a_receiver_waits)
{
	int id = queue();
	pid_t pid = SPAWN({
		CHECK_EQ(msgrcv(id, &m, 100, 4, 0), 2);
		CHECK(!memcmp(m.text, "yo", 2));
	});
	wait_asleep(pid);
	CHECK_OK(snd(id, 3, "no", 0));
	CHECK_OK(snd(id, 4, "yo", 0));
	JOIN(pid);
	CHECK_EQ(stat_of(id).msg_qnum, 1);
	CHECK_EQ(stat_of(id).msg_lrpid, pid);
}

TEST(a_waiting_receiver_may_be_too_small)
{
	int id = queue();
	pid_t pid = SPAWN(CHECK_ERR(msgrcv(id, &m, 1, 0, 0), E2BIG));
	wait_asleep(pid);
	CHECK_OK(snd(id, 3, "long", 0));
	JOIN(pid);
	expect(id, 0, 0, 3, "long");
}

TEST(senders_wait_for_room_in_order)
{
	int id = queue();
	m.type = 1;
	CHECK_OK(msgsnd(id, &m, 8192, 0));
	CHECK_OK(msgsnd(id, &m, 8192, 0));
	pid_t one = SPAWN(CHECK_OK(snd(id, 2, "one", 0)));
	wait_asleep(one);
	pid_t two = SPAWN(CHECK_OK(snd(id, 3, "two", 0)));
	wait_asleep(two);
	CHECK_EQ(stat_of(id).msg_qnum, 2);
	CHECK_EQ(msgrcv(id, &m, 8192, 0, 0), 8192);
	JOIN(one);
	JOIN(two);
	CHECK_EQ(msgrcv(id, &m, 8192, 0, 0), 8192);
	CHECK_EQ(stat_of(id).msg_qnum, 2);
	expect(id, 2, 0, 2, "one");
	expect(id, 3, 0, 3, "two");
}

TEST(removal_wakes_everyone)
{
	int id = queue();
	pid_t rcv = SPAWN(CHECK_ERR(msgrcv(id, &m, 1, 77, 0), EIDRM));
	wait_asleep(rcv);
	m.type = 1;
	CHECK_OK(msgsnd(id, &m, 8192, 0));
	CHECK_OK(msgsnd(id, &m, 8192, 0));
	pid_t send = SPAWN(CHECK_ERR(snd(id, 1, "x", 0), EIDRM));
	wait_asleep(send);
	CHECK_OK(ctl(id, IPC_RMID, NULL));
	JOIN(rcv);
	JOIN(send);
	CHECK_ERR(msgrcv(id, &m, 1, 0, 0), EINVAL);
	CHECK_ERR(msgget(KEY, 0), ENOENT);
}

TEST(signals_interrupt)
{
	int id = queue();
	pid_t pid = SPAWN({
		handle(SIGUSR1, SA_RESTART);
		CHECK_ERR(msgrcv(id, &m, 1, 0, 0), EINTR);
	});
	wait_asleep(pid);
	/* A stop and its end interrupt nothing. */
	CHECK_OK(kill(pid, SIGSTOP));
	WAIT_FOR(kt_state(pid) == 'T');
	CHECK_OK(kill(pid, SIGCONT));
	wait_asleep(pid);
	kt_sleep_ms(20);
	CHECK_EQ(kt_state(pid), 'S');
	CHECK_OK(kill(pid, SIGUSR1));
	JOIN(pid);
	m.type = 1;
	CHECK_OK(msgsnd(id, &m, 8192, 0));
	CHECK_OK(msgsnd(id, &m, 8192, 0));
	pid = SPAWN({
		handle(SIGUSR1, SA_RESTART);
		CHECK_ERR(snd(id, 1, "x", 0), EINTR);
	});
	wait_asleep(pid);
	CHECK_OK(kill(pid, SIGUSR1));
	JOIN(pid);
	CHECK_EQ(stat_of(id).msg_qnum, 2);
}

TEST(permissions_count_at_each_use)
{
	int id = queue();
	int reads = CHECK_OK(msgget(IPC_PRIVATE, 0604)), writes = CHECK_OK(msgget(IPC_PRIVATE, 0602));
	CHECK_OK(snd(reads, 1, "r", 0));
	pid_t pid = SPAWN({
		become(1234);
		CHECK_ERR(msgget(KEY, 0600), EACCES);
		CHECK_ERR(snd(id, 1, "x", 0), EACCES);
		CHECK_ERR(msgrcv(id, &m, 1, 0, IPC_NOWAIT), EACCES);
		expect(reads, 0, 0, 1, "r");
		CHECK_ERR(snd(reads, 1, "x", 0), EACCES);
		CHECK_OK(snd(writes, 1, "x", 0));
		CHECK_ERR(msgrcv(writes, &m, 1, 0, IPC_NOWAIT), EACCES);
		struct msqid_ds ds;
		CHECK_ERR(ctl(writes, IPC_STAT, &ds), EACCES);
		CHECK_OK(ctl(reads, IPC_STAT, &ds));
		CHECK_ERR(ctl(reads, IPC_SET, &ds), EPERM);
		CHECK_ERR(ctl(reads, IPC_RMID, NULL), EPERM);
	});
	JOIN(pid);
	/* A waiting receiver loses the right to read. */
	pid = SPAWN({
		become(1234);
		CHECK_ERR(msgrcv(reads, &m, 1, 0, 0), EACCES);
	});
	wait_asleep(pid);
	struct msqid_ds ds = stat_of(reads);
	ds.msg_perm.mode = 0600;
	CHECK_OK(ctl(reads, IPC_SET, &ds));
	JOIN(pid);
}

TEST(stat_tells_who_and_when)
{
	time_t before = time(NULL) - 1;
	int id = queue();
	struct msqid_ds ds = stat_of(id);
	CHECK_EQ(ds.msg_perm.mode, 0600);
	CHECK_EQ(ds.msg_perm.__ipc_perm_key, KEY);
	CHECK_EQ(ds.msg_qbytes, 16384);
	CHECK_EQ(ds.msg_stime, 0);
	CHECK_EQ(ds.msg_rtime, 0);
	CHECK_EQ(ds.msg_lspid, 0);
	CHECK(ds.msg_ctime >= before);
	CHECK_OK(snd(id, 1, "abc", 0));
	ds = stat_of(id);
	CHECK_EQ(ds.msg_lspid, getpid());
	CHECK(ds.msg_stime >= before);
	CHECK_EQ(ds.msg_qnum, 1);
	CHECK_EQ(ds.__msg_cbytes, 3);
	expect(id, 0, 0, 1, "abc");
	ds = stat_of(id);
	CHECK_EQ(ds.msg_lrpid, getpid());
	CHECK(ds.msg_rtime >= before);
	CHECK_EQ(ds.__msg_cbytes, 0);
}

TEST(set_changes_the_room)
{
	int id = queue();
	struct msqid_ds ds = stat_of(id);
	pid_t pid = SPAWN({
		become(1234);
		int own = CHECK_OK(msgget(IPC_PRIVATE, 0600));
		struct msqid_ds mine = stat_of(own);
		mine.msg_qbytes = 100;
		CHECK_OK(ctl(own, IPC_SET, &mine));
		mine.msg_qbytes = 16385;
		CHECK_ERR(ctl(own, IPC_SET, &mine), EPERM);
		mine.msg_qbytes = 16384;
		CHECK_OK(ctl(own, IPC_SET, &mine));
	});
	JOIN(pid);
	m.type = 1;
	CHECK_OK(msgsnd(id, &m, 8192, 0));
	CHECK_OK(msgsnd(id, &m, 8192, 0));
	pid = SPAWN(CHECK_OK(snd(id, 1, "more", 0)));
	wait_asleep(pid);
	ds.msg_qbytes = 32768;
	CHECK_OK(ctl(id, IPC_SET, &ds));
	JOIN(pid);
	CHECK_EQ(stat_of(id).msg_qnum, 3);
	ds.msg_perm.gid = -1;
	CHECK_ERR(ctl(id, IPC_SET, &ds), EINVAL);
}

TEST(infos_count)
{
	int id = queue();
	int other = CHECK_OK(msgget(IPC_PRIVATE, 0600));
	struct msginfo_k info;
	struct msqid_ds ds;
	CHECK_EQ(ctl(0, IPC_INFO, &info), 1);
	CHECK_EQ(info.msgpool, 512000);
	CHECK_EQ(info.msgmap, 16384);
	CHECK_EQ(info.msgmax, 8192);
	CHECK_EQ(info.msgmnb, 16384);
	CHECK_EQ(info.msgmni, 32000);
	CHECK_EQ(info.msgssz, 16);
	CHECK_EQ(info.msgtql, 16384);
	CHECK_EQ(info.msgseg, 0xffff);
	CHECK_OK(snd(id, 1, "abc", 0));
	CHECK_OK(snd(other, 1, "de", 0));
	CHECK_EQ(ctl(0, 12, &info), 1); /* MSG_INFO */
	CHECK_EQ(info.msgpool, 2);
	CHECK_EQ(info.msgmap, 2);
	CHECK_EQ(info.msgtql, 5);
	CHECK_EQ(ctl(1, 11, &ds), other); /* MSG_STAT */
	CHECK_EQ(ds.msg_qnum, 1);
	CHECK_ERR(ctl(2, 11, &ds), EINVAL);
	CHECK_OK(ctl(other, IPC_RMID, NULL));
	CHECK_EQ(ctl(0, 12, &info), 0);
	CHECK_EQ(info.msgtql, 3);
	pid_t pid = SPAWN({
		become(1234);
		CHECK_ERR(ctl(0, 11, &ds), EACCES);
		CHECK_EQ(ctl(0, MSG_STAT_ANY, &ds), id);
	});
	JOIN(pid);
}

TEST(proc_lists_queues)
{
	int id = queue();
	CHECK(!strcmp(first_line("/proc/sysvipc/msg"),
		      "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid"
		      "      stime      rtime      ctime"));
	CHECK_OK(snd(id, 1, "abc", 0));
	struct msqid_ds ds = stat_of(id);
	char want[512], got[512];
	snprintf(want, sizeof want, "%10d %10d  %4o  %10lu %10lu %5u %5u %5u %5u %5u %5u %10lu %10lu %10lu", KEY,
		 id, 0600, 3UL, 1UL, getpid(), 0, 0, 0, 0, 0, (long)ds.msg_stime, (long)ds.msg_rtime,
		 (long)ds.msg_ctime);
	CHECK(sysvipc_line("msg", id, got, sizeof got));
	if (strcmp(got, want))
		KT_FAIL("got <%s> want <%s>", got, want);
}

TEST(limits_are_settings)
{
	fresh_ns();
	CHECK(!strcmp(first_line("/proc/sys/kernel/msgmax"), "8192"));
	CHECK(!strcmp(first_line("/proc/sys/kernel/msgmnb"), "16384"));
	CHECK(!strcmp(first_line("/proc/sys/kernel/msgmni"), "32000"));
	CHECK(!strcmp(first_line("/proc/sys/kernel/auto_msgmni"), "0"));
	CHECK_OK(kt_write_file("/proc/sys/kernel/msgmni", "1"));
	CHECK_OK(kt_write_file("/proc/sys/kernel/msgmnb", "10"));
	CHECK_OK(kt_write_file("/proc/sys/kernel/msgmax", "20"));
	int id = CHECK_OK(msgget(IPC_PRIVATE, 0600));
	CHECK_ERR(msgget(IPC_PRIVATE, 0600), ENOSPC);
	CHECK_EQ(stat_of(id).msg_qbytes, 10);
	m.type = 1;
	CHECK_ERR(msgsnd(id, &m, 21, IPC_NOWAIT), EINVAL);
	CHECK_ERR(msgsnd(id, &m, 20, IPC_NOWAIT), EAGAIN);
	CHECK_OK(msgsnd(id, &m, 10, IPC_NOWAIT));
	CHECK_ERR(kt_write_file("/proc/sys/kernel/msgmni", "32769"), EINVAL);
	CHECK_ERR(kt_write_file("/proc/sys/kernel/msgmax", "-1"), EINVAL);
	CHECK_OK(kt_write_file("/proc/sys/kernel/msg_next_id", "5"));
	CHECK_OK(kt_write_file("/proc/sys/kernel/msgmni", "2"));
	CHECK_EQ(msgget(IPC_PRIVATE, 0600), 5);
}

TEST(every_message_has_one_receiver)
{
	int id = queue();
	pid_t readers[4], writers[3];
	int *sums = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (int n = 0; n < 4; n++)
		readers[n] = SPAWN({
			for (;;) {
				long got = CHECK_OK(msgrcv(id, &m, sizeof m.text, -100, 0));
				if (got == 0)
					break;
				int value;
				memcpy(&value, m.text, sizeof value);
				__atomic_fetch_add(&sums[n], value, __ATOMIC_SEQ_CST);
			}
		});
	for (int n = 0; n < 3; n++)
		writers[n] = SPAWN({
			for (int i = 1; i <= 200; i++) {
				m.type = 1 + i % 7;
				memcpy(m.text, &i, sizeof i);
				CHECK_OK(msgsnd(id, &m, 500 * (1 + n), 0));
			}
		});
	for (int n = 0; n < 3; n++)
		JOIN(writers[n]);
	m.type = 100;
	for (int n = 0; n < 4; n++)
		CHECK_OK(msgsnd(id, &m, 0, 0));
	for (int n = 0; n < 4; n++)
		JOIN(readers[n]);
	CHECK_EQ(sums[0] + sums[1] + sums[2] + sums[3], 3 * 200 * 201 / 2);
	CHECK_EQ(stat_of(id).msg_qnum, 0);
}
