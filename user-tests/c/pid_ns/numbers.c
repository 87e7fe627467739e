/* pid_namespaces(7): who is called what. */
#include <sys/socket.h>

#include "pid_ns.h"

TEST(the_first_process_is_1)
{
	pid_t child = SPAWN_IN(CLONE_NEWPID, {
		CHECK_EQ(getpid(), 1);
		CHECK_EQ(sys_gettid(), 1);
		CHECK_EQ(getppid(), 0);
		CHECK_EQ(syscall(SYS_set_tid_address, NULL), 1);
		pid_t second = SPAWN({
			CHECK_EQ(getpid(), 2);
			CHECK_EQ(getppid(), 1);
		});
		CHECK_EQ(second, 2);
		JOIN(second);
	});
	CHECK(child > 1);
	JOIN(child);
}

TEST(group_and_session_from_outside_are_0)
{
	JOIN(SPAWN_IN(CLONE_NEWPID, {
		CHECK_EQ(getpgrp(), 0);
		CHECK_EQ(getsid(0), 0);
		CHECK_OK(setsid());
		CHECK_EQ(getpgrp(), 1);
		CHECK_EQ(getsid(0), 1);
	}));
}

TEST(each_level_has_its_own_numbers)
{
	char path[64], line[256];
	int up[2], down[2];
	CHECK_OK(pipe(up));
	CHECK_OK(pipe(down));
	pid_t child = SPAWN_IN(CLONE_NEWPID, {
		SPAWN(pause());
		SPAWN_IN(CLONE_NEWPID, {
			CHECK_EQ(getpid(), 1);
			give(up[1]);
			take(down[0]);
		});
		take(down[0]);
	});
	take(up[0]);
	/* NSpid of a process two levels down, as seen here: three numbers. */
	int found = 0;
	for (pid_t p = child + 1; p < child + 50 && !found; p++) {
		snprintf(path, sizeof path, "/proc/%d/status", p);
		FILE *f = fopen(path, "r");
		while (f && fgets(line, sizeof line, f)) {
			int a;
			int b;
			int c;
			if (sscanf(line, "NSpid: %d %d %d", &a, &b, &c) == 3) {
				CHECK_EQ(a, p);
				CHECK_EQ(b, 3);
				CHECK_EQ(c, 1);
				found = 1;
			}
		}
		if (f)
			fclose(f);
	}
	CHECK(found);
	give(down[1]);
	give(down[1]);
	JOIN(child);
}

TEST(unshare_moves_the_children_only)
{
	JOIN(SPAWN({
		pid_t before = getpid();
		CHECK_OK(unshare(CLONE_NEWPID));
		CHECK_EQ(getpid(), before);
		pid_t first = SPAWN({
			CHECK_EQ(getpid(), 1);
			CHECK_EQ(getppid(), 0);
		});
		CHECK(first > 1);
		JOIN(first);
		/* Its init is gone: nobody can be born there any more. */
		CHECK_ERR(fork(), ENOMEM);
	}));
	JOIN(SPAWN({
		CHECK_OK(unshare(CLONE_NEWPID));
		CHECK_ERR(unshare(CLONE_NEWPID), EINVAL);
	}));
}

TEST(a_second_child_after_unshare_is_a_sibling_of_init)
{
	int end[2];
	CHECK_OK(pipe(end));
	JOIN(SPAWN({
		CHECK_OK(unshare(CLONE_NEWPID));
		pid_t init = SPAWN(take(end[0]));
		JOIN(SPAWN({
			CHECK_EQ(getpid(), 2);
			CHECK_EQ(getppid(), 0);
		}));
		give(end[1]);
		JOIN(init);
	}));
}

TEST(threads_are_refused_where_children_would_differ)
{
	JOIN(SPAWN({
		CHECK_OK(unshare(CLONE_NEWPID));
		CHECK_ERR(sys_clone(CLONE_VM | CLONE_SIGHAND | CLONE_THREAD, NULL, NULL), EINVAL);
	}));
	CHECK_ERR(sys_clone(CLONE_VM | CLONE_SIGHAND | CLONE_THREAD | CLONE_NEWPID, NULL, NULL), EINVAL);
	CHECK_ERR(sys_clone(CLONE_PARENT | CLONE_NEWPID | CLONE_THREAD | SIGCHLD, NULL, NULL), EINVAL);
}

TEST(setns_moves_the_children_only)
{
	char path[64];
	int end[2];
	CHECK_OK(pipe(end));
	pid_t init = SPAWN_IN(CLONE_NEWPID, take(end[0]));
	snprintf(path, sizeof path, "/proc/%d/ns/pid", init);
	int fd = CHECK_OK(open(path, O_RDONLY)), own = CHECK_OK(open("/proc/self/ns/pid", O_RDONLY));
	JOIN(SPAWN({
		pid_t before = getpid();
		CHECK_OK(setns(fd, CLONE_NEWPID));
		CHECK_EQ(getpid(), before);
		JOIN(SPAWN({
			CHECK(getpid() > 1);
			CHECK_EQ(getppid(), 0);
			/* Ancestors cannot be entered. */
			CHECK_ERR(setns(own, CLONE_NEWPID), EINVAL);
		}));
		/* For the children one may go back to one's own. */
		CHECK_OK(setns(own, CLONE_NEWPID));
		pid_t child = SPAWN(CHECK(getppid() == before));
		JOIN(child);
	}));
	give(end[1]);
	JOIN(init);
	JOIN(SPAWN({
		CHECK_OK(setns(fd, CLONE_NEWPID));
		CHECK_ERR(fork(), ENOMEM);
	}));
}

TEST(links_of_a_process_and_of_its_children)
{
	struct stat a;
	struct stat b;
	JOIN(SPAWN({
		CHECK_OK(stat("/proc/self/ns/pid", &a));
		CHECK_OK(stat("/proc/self/ns/pid_for_children", &b));
		CHECK_EQ(a.st_ino, b.st_ino);
		CHECK_OK(unshare(CLONE_NEWPID));
		/* Unknown until the first child is there. */
		CHECK_ERR(open("/proc/self/ns/pid_for_children", O_RDONLY), ENOENT);
		pid_t child = SPAWN(pause());
		CHECK_OK(stat("/proc/self/ns/pid_for_children", &b));
		CHECK(a.st_ino != b.st_ino);
		kill(child, SIGKILL);
		kt_wait(child);
	}));
}

TEST(credentials_are_translated)
{
	int s[2];
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	int on = 1;
	CHECK_OK(setsockopt(s[0], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
	pid_t child = SPAWN_IN(CLONE_NEWPID, give(s[1]));
	struct ucred cred;
	char b, control[CMSG_SPACE(sizeof cred)];
	struct iovec io = { &b, 1 };
	struct msghdr m = { .msg_iov = &io, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof control };
	CHECK_EQ(recvmsg(s[0], &m, 0), 1);
	memcpy(&cred, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof cred);
	CHECK_EQ(cred.pid, child);
	JOIN(child);
}

TEST(locks_of_outsiders_have_no_pid)
{
	int fd = CHECK_OK(open("f", O_CREAT | O_RDWR, 0600));
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	CHECK_OK(fcntl(fd, F_SETLK, &l));
	JOIN(SPAWN_IN(CLONE_NEWPID, {
		l.l_type = F_WRLCK;
		CHECK_OK(fcntl(fd, F_GETLK, &l));
		CHECK_EQ(l.l_type, F_WRLCK);
		CHECK_EQ(l.l_pid, 0);
	}));
}

TEST(depth_is_limited)
{
	int deepest = 0;
	int end[2];
	CHECK_OK(pipe(end));
	pid_t child = SPAWN({
		for (int depth = 1; depth <= 40; depth++) {
			pid_t next = sys_clone(CLONE_NEWPID | SIGCHLD, NULL, NULL);
			if (next < 0) {
				int failed = errno;
				CHECK_EQ(write(end[1], &depth, sizeof depth), sizeof depth);
				_exit(failed == ENOSPC ? 0 : failed);
			}
			if (next > 0) {
				JOIN(next);
				_exit(0);
			}
		}
	});
	JOIN(child);
	CHECK_EQ(read(end[0], &deepest, sizeof deepest), sizeof deepest);
	/* 32 levels below the initial one. */
	if (!kt_native())
		CHECK_EQ(deepest, 33);
}

TEST(proc_shows_only_its_own)
{
	JOIN(SPAWN_IN(CLONE_NEWPID | CLONE_NEWNS, {
		char link[32] = "";
		own_proc();
		CHECK(readlink("/proc/self", link, sizeof link) > 0);
		CHECK(!strcmp(link, "1"));
		CHECK_EQ(kt_field("/proc/self/status", "Pid:"), 1);
		CHECK_EQ(kt_field("/proc/self/status", "PPid:"), 0);
		CHECK_ERR(open("/proc/2/stat", O_RDONLY), ENOENT);
		pid_t child = SPAWN(pause());
		CHECK_OK(access("/proc/2/stat", F_OK));
		kill(child, SIGKILL);
		kt_wait(child);
	}));
}
