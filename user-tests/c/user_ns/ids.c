/* user_namespaces(7): ids translated on every way in and out, "Unmapped user and group IDs". */
#include <sys/fsuid.h>
#include <sys/socket.h>

#include "ns.h"

/* A child in a new user namespace: 0..99 are 100000..100099 outside, and 7 is 7. The child is root there. */
#define MAPPED(...)                                                            \
	({                                                                     \
		struct sync kt_s = sync_new();                                 \
		pid_t kt_child = SPAWN({                                       \
			CHECK_OK(unshare(CLONE_NEWUSER));                      \
			ready_and_hold(&kt_s);                                 \
			CHECK_OK(setgroups(0, NULL));                          \
			CHECK_OK(setresgid(0, 0, 0));                          \
			CHECK_OK(setresuid(0, 0, 0));                          \
			__VA_ARGS__;                                           \
		});                                                            \
		until_ready(&kt_s);                                            \
		map_ids(kt_child, "0 100000 100\n1000 7 1", "0 100000 100\n1000 7 1"); \
		let_go(&kt_s);                                                 \
		kt_child;                                                      \
	})

TEST(own_ids)
{
	JOIN(SPAWN({
		CHECK_OK(setresgid(11, 12, 13));
		CHECK_OK(setgroups(3, (gid_t[]){ 1, 100001, 5 }));
		CHECK_OK(setresuid(0, 0, 0));
		uid_t r;
		uid_t e;
		uid_t v;
		gid_t g[8];
		struct sync s = sync_new();
		pid_t child = SPAWN({
			CHECK_OK(unshare(CLONE_NEWUSER));
			ready_and_hold(&s);
			CHECK_OK(getresuid(&r, &e, &v));
			CHECK_EQ(r, OVERFLOW_ID);
			CHECK_EQ(e, OVERFLOW_ID);
			CHECK_EQ(v, OVERFLOW_ID);
			CHECK_OK(getresgid(&r, &e, &v));
			CHECK_EQ(r, OVERFLOW_ID);
			CHECK_EQ(e, 3);
			CHECK_EQ(v, OVERFLOW_ID);
			CHECK_EQ(setfsuid(-1), OVERFLOW_ID);
			CHECK_EQ(setfsgid(-1), 3);
			/* One mapped group of three. */
			CHECK_EQ(getgroups(8, g), 3);
			int known = 0;
			for (int i = 0; i < 3; i++)
				known += g[i] == 1 ? 1 : g[i] == OVERFLOW_ID ? 10 : 100;
			CHECK_EQ(known, 21);
		});
		until_ready(&s);
		map_ids(child, "0 100000 100", "0 100000 2\n3 12 1");
		let_go(&s);
		JOIN(child);
	}));
}

TEST(the_overflow_ids)
{
	CHECK_EQ(kt_field("/proc/sys/kernel/overflowuid", ""), OVERFLOW_ID);
	CHECK_EQ(kt_field("/proc/sys/kernel/overflowgid", ""), OVERFLOW_ID);
	if (kt_native())
		SKIP("a setting of the whole machine");
	JOIN(SPAWN({
		CHECK_OK(kt_write_file("/proc/sys/kernel/overflowuid", "64000"));
		CHECK_OK(kt_write_file("/proc/sys/kernel/overflowgid", "64001"));
		CHECK_ERR(kt_write_file("/proc/sys/kernel/overflowuid", "65536"), EINVAL);
		CHECK_ERR(kt_write_file("/proc/sys/kernel/overflowuid", "-1"), EINVAL);
		JOIN(SPAWN({
			CHECK_OK(unshare(CLONE_NEWUSER));
			CHECK_EQ(getuid(), 64000);
			CHECK_EQ(getgid(), 64001);
		}));
	}));
	CHECK_OK(kt_write_file("/proc/sys/kernel/overflowuid", "65534"));
	CHECK_OK(kt_write_file("/proc/sys/kernel/overflowgid", "65534"));
}

TEST(setting_ids)
{
	JOIN(MAPPED({
		CHECK_OK(setresuid(5, 6, 99));
		CHECK_OK(setresuid(6, 6, 6));
	}));
	JOIN(MAPPED({
		CHECK_ERR(setuid(100), EINVAL);
		CHECK_ERR(setgid(100), EINVAL);
		CHECK_ERR(setreuid(100, -1), EINVAL);
		CHECK_ERR(setregid(-1, 7000), EINVAL);
		CHECK_ERR(setresuid(0, 0, 100), EINVAL);
		CHECK_ERR(setgroups(2, (gid_t[]){ 5, 100 }), EINVAL);
		CHECK_OK(setgroups(2, (gid_t[]){ 5, 1000 }));
		CHECK_EQ(setfsuid(100), 0);
		CHECK_EQ(setfsuid(1000), 0);
		CHECK_EQ(setfsuid(0), 1000);
	}));
}

TEST(stat_and_chown)
{
	struct stat st;
	umask(0);
	CHECK_OK(chmod(".", 0777));
	kt_make_file("roots", "", 0666);
	kt_make_file("mine", "", 0600);
	CHECK_OK(chown("mine", 100003, 100004));
	kt_make_file("seven", "", 0644);
	CHECK_OK(chown("seven", 7, 7));
	JOIN(MAPPED({
		CHECK_OK(stat("roots", &st));
		CHECK_EQ(st.st_uid, OVERFLOW_ID);
		CHECK_EQ(st.st_gid, OVERFLOW_ID);
		CHECK_OK(stat("mine", &st));
		CHECK_EQ(st.st_uid, 3);
		CHECK_EQ(st.st_gid, 4);
		CHECK_OK(stat("seven", &st));
		CHECK_EQ(st.st_uid, 1000);
		/* Capabilities over a file need both its ids to be mapped. */
		CHECK_OK(close(CHECK_OK(open("mine", O_RDWR))));
		CHECK_OK(chown("mine", 9, -1));
		CHECK_OK(chown("mine", 9, 1000));
		CHECK_OK(chmod("seven", 0600));
		CHECK_OK(chown("seven", 8, 8));
		CHECK_ERR(chown("mine", 100, -1), EINVAL);
		CHECK_ERR(chown("mine", -1, 100), EINVAL);
		CHECK_ERR(chown("roots", 1, 1), EPERM);
		CHECK_ERR(chmod("roots", 0600), EPERM);
		CHECK_OK(close(CHECK_OK(open("new", O_CREAT | O_RDWR, 0600))));
		CHECK_OK(stat("new", &st));
		CHECK_EQ(st.st_uid, 0);
		CHECK_OK(mkdir("dir", 0700));
		CHECK_OK(setresuid(3, 3, 3));
		CHECK_OK(close(CHECK_OK(open("new3", O_CREAT | O_RDWR, 0600))));
	}));
	CHECK_OK(stat("mine", &st));
	CHECK_EQ(st.st_uid, 100009);
	CHECK_EQ(st.st_gid, 7);
	CHECK_OK(stat("seven", &st));
	CHECK_EQ(st.st_uid, 100008);
	CHECK_OK(stat("new", &st));
	CHECK_EQ(st.st_uid, 100000);
	CHECK_OK(stat("new3", &st));
	CHECK_EQ(st.st_uid, 100003);
}

TEST(one_unmapped_id_is_enough_to_lose_power_over_a_file)
{
	umask(0);
	kt_make_file("half", "", 0600);
	CHECK_OK(chown("half", 100003, 55));
	kt_make_file("other", "", 0600);
	CHECK_OK(chown("other", 55, 100003));
	JOIN(MAPPED({
		CHECK_ERR(open("half", O_RDONLY), EACCES);
		CHECK_ERR(open("other", O_RDONLY), EACCES);
		CHECK_ERR(chown("half", 0, 0), EPERM);
		CHECK_ERR(chown("other", 0, 0), EPERM);
		CHECK_ERR(chmod("other", 0666), EPERM);
		/* Mode and times ask for the user only. */
		CHECK_OK(chmod("half", 0640));
		/* The owner is the owner. */
		CHECK_OK(setresuid(3, 3, 3));
		CHECK_OK(close(CHECK_OK(open("half", O_RDONLY))));
	}));
}

static volatile siginfo_t seen;
static volatile int got;

static void note(int sig, siginfo_t *info, void *context)
{
	(void)context;
	memcpy((void *)&seen, info, sizeof seen);
	got = sig;
}

static void listen_to(int sig)
{
	struct sigaction act = { .sa_sigaction = note, .sa_flags = SA_SIGINFO };
	CHECK_OK(sigaction(sig, &act, NULL));
}

TEST(signals_name_their_sender)
{
	pid_t self = getpid();
	listen_to(SIGUSR1);
	JOIN(MAPPED({
		CHECK_OK(setuid(1000));
		CHECK_ERR(kill(self, SIGUSR1), EPERM);
	}));
	JOIN(SPAWN({
		struct sync s = sync_new();
		CHECK_OK(setresuid(7, 7, 7));
		CHECK_OK(prctl(PR_SET_DUMPABLE, 1));
		self = getpid();
		pid_t child = SPAWN({
			CHECK_OK(unshare(CLONE_NEWUSER));
			CHECK_OK(proc_write(0, "uid_map", "1000 7 1"));
			CHECK_EQ(getuid(), 1000);
			/* The user is the same one. */
			CHECK_OK(kill(self, SIGUSR1));
			listen_to(SIGUSR2);
			ready(&s);
			WAIT_FOR(got == SIGUSR2);
			CHECK_EQ(seen.si_uid, 1000);
			got = 0;
			ready(&s);
			WAIT_FOR(got == SIGUSR2);
			CHECK_EQ(seen.si_uid, 1000);
		});
		WAIT_FOR(got == SIGUSR1);
		CHECK_EQ(seen.si_uid, 7);
		CHECK_EQ(seen.si_pid, child);
		until_ready(&s);
		CHECK_OK(kill(child, SIGUSR2));
		until_ready(&s);
		CHECK_OK(kill(child, SIGUSR2));
		JOIN(child);
	}));
}

TEST(signals_from_an_unmapped_user)
{
	struct sync s = sync_new();
	pid_t child = SPAWN({
		CHECK_OK(unshare(CLONE_NEWUSER));
		listen_to(SIGUSR1);
		listen_to(SIGUSR2);
		ready(&s);
		WAIT_FOR(got == SIGUSR1);
		CHECK_EQ(seen.si_uid, OVERFLOW_ID);
		got = 0;
		ready(&s);
		WAIT_FOR(got == SIGUSR2);
		CHECK_EQ(seen.si_uid, OVERFLOW_ID);
	});
	until_ready(&s);
	CHECK_OK(kill(child, SIGUSR1));
	until_ready(&s);
	CHECK_OK(sigqueue(child, SIGUSR2, (union sigval){ .sival_int = 3 }));
	JOIN(child);
}

TEST(waitid_and_sigchld_name_the_user)
{
	siginfo_t info;
	listen_to(SIGCHLD);
	pid_t child = MAPPED(CHECK_OK(setresuid(3, 3, 3)));
	memset(&info, 0, sizeof info);
	CHECK_OK(waitid(P_PID, child, &info, WEXITED));
	CHECK_EQ(info.si_uid, 100003);
	CHECK_EQ(info.si_status, 0);
	WAIT_FOR(got == SIGCHLD);
	CHECK_EQ(seen.si_uid, 100003);
	JOIN(MAPPED({
		listen_to(SIGCHLD);
		pid_t grandchild = SPAWN(CHECK_OK(setresuid(5, 5, 5)));
		memset(&info, 0, sizeof info);
		CHECK_OK(waitid(P_PID, grandchild, &info, WEXITED));
		CHECK_EQ(info.si_uid, 5);
		CHECK_EQ(seen.si_uid, 5);
	}));
}

static struct ucred cred_of(int fd)
{
	struct ucred cred = { 0 };
	char b, control[CMSG_SPACE(sizeof cred)];
	struct iovec io = { &b, 1 };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof control };
	CHECK_EQ(recvmsg(fd, &m, 0), 1);
	memcpy(&cred, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof cred);
	return cred;
}

static int send_cred(int fd, pid_t pid, uid_t uid, gid_t gid)
{
	struct ucred cred = { pid, uid, gid };
	char b = 'x', control[CMSG_SPACE(sizeof cred)];
	memset(control, 0, sizeof control);
	struct iovec io = { &b, 1 };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof control };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_CREDENTIALS;
	c->cmsg_len = CMSG_LEN(sizeof cred);
	memcpy(CMSG_DATA(c), &cred, sizeof cred);
	return sendmsg(fd, &m, 0);
}

TEST(credentials_over_sockets)
{
	int s[2], on = 1;
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	CHECK_OK(setsockopt(s[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
	CHECK_OK(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
	struct sync sync = sync_new();
	pid_t child = MAPPED({
		CHECK_OK(setresgid(4, 4, 4));
		CHECK_OK(setresuid(3, 3, 3));
		give(s[1]);
		CHECK_ERR(send_cred(s[1], getpid(), 5, 4), EPERM);
		CHECK_ERR(send_cred(s[1], getpid(), 100003, 4), EINVAL);
		CHECK_EQ(send_cred(s[1], getpid(), 3, 4), 1);
		ready(&sync);
		struct ucred c = cred_of(s[1]);
		CHECK_EQ(c.uid, OVERFLOW_ID);
		CHECK_EQ(c.gid, OVERFLOW_ID);
		CHECK(c.pid > 0);
		c = cred_of(s[1]);
		CHECK_EQ(c.uid, 1000);
	});
	for (int i = 0; i < 2; i++) {
		struct ucred c = cred_of(s[0]);
		CHECK_EQ(c.uid, 100003);
		CHECK_EQ(c.gid, 100004);
		CHECK_EQ(c.pid, child);
	}
	until_ready(&sync);
	give(s[0]);
	CHECK_EQ(send_cred(s[0], getpid(), 7, 0), 1);
	JOIN(child);
}

TEST(peer_credentials)
{
	int s[2];
	struct ucred c;
	socklen_t len = sizeof c;
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	JOIN(MAPPED({
		CHECK_OK(getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &c, &len));
		CHECK_EQ(c.uid, OVERFLOW_ID);
		CHECK_EQ(c.gid, OVERFLOW_ID);
	}));
}

TEST(proc_files_are_owned_by_the_mapped_user)
{
	struct stat st;
	struct sync s = sync_new();
	pid_t child = MAPPED({
		CHECK_OK(prctl(PR_SET_DUMPABLE, 1));
		CHECK_OK(stat("/proc/self/status", &st));
		CHECK_EQ(st.st_uid, 0);
		CHECK_OK(stat("/proc/1/status", &st));
		CHECK_EQ(st.st_uid, OVERFLOW_ID);
		CHECK(strstr(proc_text(1, "status"), "\nUid: 65534 65534 65534 65534\n"));
		CHECK(strstr(proc_text(0, "status"), "\nUid: 0 0 0 0\n"));
		ready_and_hold(&s);
		/* Not dumpable: the root of the user namespace that executed the program. */
		CHECK_OK(prctl(PR_SET_DUMPABLE, 0));
		CHECK_OK(stat("/proc/self/status", &st));
		CHECK_EQ(st.st_uid, OVERFLOW_ID);
	});
	until_ready(&s);
	CHECK_OK(stat(proc_path(child, "status"), &st));
	CHECK_EQ(st.st_uid, 100000);
	CHECK(strstr(proc_text(child, "status"), "\nUid: 100000 100000 100000 100000\n"));
	let_go(&s);
	JOIN(child);
}

TEST(priorities_and_limits_of_users)
{
	/* PRIO_USER takes the caller's numbers. */
	JOIN(MAPPED({
		CHECK_OK(setresuid(3, 3, 3));
		CHECK_OK(syscall(SYS_getpriority, 2, 3));
		CHECK_OK(syscall(SYS_getpriority, 2, 0));
		CHECK_ERR(syscall(SYS_getpriority, 2, 100003), ESRCH);
	}));
}

TEST(file_owners_of_locks_and_async)
{
	/* F_SETOWN is judged by the users behind the numbers. */
	JOIN(MAPPED({
		int fd[2];
		CHECK_OK(pipe(fd));
		CHECK_OK(fcntl(fd[0], F_SETOWN, getpid()));
		CHECK_EQ(fcntl(fd[0], F_GETOWN), getpid());
		uid_t uids[2];
		CHECK_OK(fcntl(fd[0], 17 /* F_GETOWNER_UIDS */, uids));
		CHECK_EQ(uids[0], 0);
		CHECK_EQ(uids[1], 0);
	}));
}
