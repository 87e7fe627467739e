/* Controlling terminals and job control. */
#include "pty.h"

static volatile int count;

static void note(int sig)
{
	count += sig;
}

/* A new session with the slave as its controlling terminal. */
static void lead(void)
{
	CHECK_OK(setsid());
	CHECK_OK(ioctl(slave, TIOCSCTTY, 0));
}

TEST(opening_makes_a_session_leaders_terminal)
{
	open_pty();
	JOIN(SPAWN({
		CHECK_OK(setsid());
		CHECK_ERR(open("/dev/tty", O_RDWR), ENXIO);
		int fd = CHECK_OK(open(slave_name, O_RDWR));
		CHECK_OK(open("/dev/tty", O_RDWR));
		pid_t sid;
		CHECK_OK(ioctl(fd, TIOCGSID, &sid));
		CHECK_EQ(sid, getpid());
		CHECK_EQ(tcgetpgrp(fd), getpgrp());
		CHECK_EQ(tcgetsid(master), getpid());
	}));
	JOIN(SPAWN({
		CHECK_OK(setsid());
		CHECK_OK(open(slave_name, O_RDWR | O_NOCTTY));
		CHECK_ERR(open("/dev/tty", O_RDWR), ENXIO);
	}));
}

TEST(a_terminal_belongs_to_one_session)
{
	int end[2];
	char c;
	open_pty();
	CHECK_OK(pipe(end));
	pid_t child = SPAWN({
		lead();
		CHECK_OK(ioctl(slave, TIOCSCTTY, 0));
		CHECK_EQ(write(end[1], "x", 1), 1);
		pause();
	});
	CHECK_EQ(read(end[0], &c, 1), 1);
	JOIN(SPAWN({
		CHECK_ERR(ioctl(slave, TIOCSCTTY, 0), EPERM);
		CHECK_OK(setsid());
		CHECK_ERR(ioctl(slave, TIOCGPGRP, &(pid_t){ 0 }), ENOTTY);
		CHECK_OK(setuid(65534));
		CHECK_ERR(ioctl(slave, TIOCSCTTY, 0), EPERM);
		CHECK_ERR(ioctl(slave, TIOCSCTTY, 1), EPERM);
	}));
	kill(child, SIGKILL);
	kt_wait(child);
}

static void key(const char *what, int sig)
{
	int status, end[2];
	char c;
	open_pty();
	CHECK_OK(pipe(end));
	pid_t child = SPAWN({
		lead();
		pid_t job = SPAWN({
			CHECK_OK(setpgid(0, 0));
			CHECK_EQ(read(end[0], &c, 1), 1);
			CHECK_EQ(write(end[1], "g", 1), 1);
			for (;;)
				pause();
		});
		setpgid(job, job);
		CHECK_OK(tcsetpgrp(slave, job));
		CHECK_EQ(tcgetpgrp(slave), job);
		CHECK_EQ(write(end[1], "s", 1), 1);
		kt_sleep_ms(30);
		type(what);
		CHECK_EQ(waitpid(job, &status, WUNTRACED), job);
		if (sig == SIGTSTP) {
			CHECK(WIFSTOPPED(status));
			CHECK_EQ(WSTOPSIG(status), sig);
			kill(job, SIGKILL);
			kt_wait(job);
		} else {
			CHECK_EQ(status & 0x7f, sig);
		}
	});
	JOIN(child);
}

TEST(control_c)
{
	key("\003", SIGINT);
}

TEST(control_backslash)
{
	key("\034", SIGQUIT);
}

TEST(control_z)
{
	key("\032", SIGTSTP);
}

TEST(a_signal_key_flushes_and_echoes)
{
	open_pty();
	JOIN(SPAWN({
		lead();
		signal(SIGINT, note);
		type("half a line\003rest\n");
		WAIT_FOR(count == SIGINT);
		expect(slave, "rest\n");
		/* What was echoed and not yet read is gone too. */
		expect(master, "^Crest\r\n");
	}));
}

/* A background child of a new session; ends with its exit status. */
static int background(void (*run)(void))
{
	int code = -1;
	open_pty();
	pid_t leader = SPAWN({
		lead();
		int status;
		pid_t child = SPAWN({
			CHECK_OK(setpgid(0, 0));
			run();
		});
		CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
		if (WIFSTOPPED(status)) {
			kill(child, SIGKILL);
			kt_wait(child);
			_exit(100 + WSTOPSIG(status));
		}
		_exit(WIFEXITED(status) ? WEXITSTATUS(status) : 99);
	});
	code = WEXITSTATUS(kt_wait(leader));
	return code;
}

static void reads(void)
{
	char c;
	type("x\n");
	CHECK_EQ(read(slave, &c, 1), 1);
}

static void reads_ignoring(void)
{
	char c;
	signal(SIGTTIN, SIG_IGN);
	CHECK_ERR(read(slave, &c, 1), EIO);
}

static void writes(void)
{
	CHECK_EQ(write(slave, "x", 1), 1);
}

static void writes_tostop(void)
{
	signal(SIGTTOU, SIG_IGN);
	change(0, TOSTOP);
	signal(SIGTTOU, SIG_DFL);
	CHECK_EQ(write(slave, "x", 1), 1);
}

static void writes_tostop_ignoring(void)
{
	signal(SIGTTOU, SIG_IGN);
	change(0, TOSTOP);
	CHECK_EQ(write(slave, "x", 1), 1);
}

static void sets(void)
{
	change(ECHO, 0);
}

static void takes_foreground(void)
{
	CHECK_OK(tcsetpgrp(slave, getpgrp()));
}

static void takes_foreground_ignoring(void)
{
	signal(SIGTTOU, SIG_IGN);
	CHECK_OK(tcsetpgrp(slave, getpgrp()));
	CHECK_EQ(tcgetpgrp(slave), getpgrp());
}

TEST(background_access)
{
	CHECK_EQ(background(reads), 100 + SIGTTIN);
	CHECK_EQ(background(reads_ignoring), 0);
	CHECK_EQ(background(writes), 0);
	CHECK_EQ(background(writes_tostop), 100 + SIGTTOU);
	CHECK_EQ(background(writes_tostop_ignoring), 0);
	CHECK_EQ(background(sets), 100 + SIGTTOU);
	CHECK_EQ(background(takes_foreground), 100 + SIGTTOU);
	CHECK_EQ(background(takes_foreground_ignoring), 0);
}

TEST(hang_up_when_the_leader_ends)
{
	int end[2];
	char c = 0;
	open_pty();
	CHECK_OK(pipe(end));
	pid_t leader = SPAWN({
		lead();
		SPAWN({
			signal(SIGHUP, note);
			CHECK_EQ(write(end[1], "r", 1), 1);
			WAIT_FOR(count == SIGHUP);
			CHECK_ERR(open("/dev/tty", O_RDWR), ENXIO);
			CHECK_EQ(write(end[1], "h", 1), 1);
		});
		CHECK_EQ(read(end[0], &c, 1), 1);
	});
	JOIN(leader);
	CHECK_EQ(read(end[0], &c, 1), 1);
	CHECK_EQ(c, 'h');
}

static volatile pid_t sender = -1;

static void note_sender(int sig, siginfo_t *info, void *)
{
	sender = info->si_pid;
	count += sig;
}

TEST(one_end_of_a_leader_is_one_hang_up)
{
	for (int i = 0; i < 100; i++) {
		int end[2];
		char c = 0;
		open_pty();
		CHECK_OK(pipe(end));
		pid_t leader = SPAWN({
			lead();
			SPAWN({
				struct sigaction act = { .sa_sigaction = note_sender, .sa_flags = SA_SIGINFO };
				CHECK_OK(sigaction(SIGHUP, &act, NULL));
				CHECK_EQ(write(end[1], "r", 1), 1);
				WAIT_FOR(getppid() != getsid(0));
				WAIT_FOR(count);
				usleep(100);
				CHECK_EQ(count, SIGHUP);
				CHECK_EQ(sender, 0);
				CHECK_EQ(write(end[1], "h", 1), 1);
			});
			CHECK_EQ(read(end[0], &c, 1), 1);
		});
		JOIN(leader);
		CHECK_EQ(read(end[0], &c, 1), 1);
		CHECK_EQ(c, 'h');
		close(end[0]);
		close(end[1]);
		close(master);
		close(slave);
	}
}

/* A job in the foreground of a terminal that is gone hears of the leader's end. */
TEST(the_foreground_outlives_its_terminal)
{
	int end[2], ready[2];
	char c;
	open_pty();
	CHECK_OK(pipe(end));
	CHECK_OK(pipe(ready));
	pid_t leader = SPAWN({
		close(master);
		lead();
		signal(SIGHUP, note);
		pid_t job = SPAWN({
			close(slave);
			signal(SIGHUP, note);
			signal(SIGCONT, note);
			CHECK_OK(setpgid(0, 0));
			CHECK_EQ(write(ready[1], "r", 1), 1);
			WAIT_FOR(count == SIGHUP + SIGCONT);
			CHECK_EQ(write(ready[1], "h", 1), 1);
		});
		CHECK_EQ(read(ready[0], &c, 1), 1);
		CHECK_OK(tcsetpgrp(slave, job));
		CHECK_EQ(write(end[1], "x", 1), 1);
		WAIT_FOR(count == SIGHUP);
		CHECK(!readable(ready[0], 10));
	});
	CHECK_EQ(read(end[0], &c, 1), 1);
	CHECK_OK(close(slave));
	CHECK_OK(close(master));
	JOIN(leader);
	CHECK_EQ(read(ready[0], &c, 1), 1);
	CHECK_EQ(c, 'h');
}

TEST(hang_up_when_the_master_closes)
{
	int end[2];
	char c;
	open_pty();
	CHECK_OK(pipe(end));
	pid_t leader = SPAWN({
		close(master);
		lead();
		signal(SIGHUP, note);
		signal(SIGCONT, note);
		CHECK_EQ(write(end[1], "r", 1), 1);
		WAIT_FOR(count == SIGHUP + SIGCONT);
	});
	CHECK_EQ(read(end[0], &c, 1), 1);
	CHECK_OK(close(slave));
	CHECK_OK(close(master));
	JOIN(leader);
}

TEST(giving_the_terminal_up)
{
	open_pty();
	JOIN(SPAWN({
		lead();
		signal(SIGHUP, note);
		CHECK_OK(ioctl(slave, TIOCNOTTY));
		CHECK_ERR(open("/dev/tty", O_RDWR), ENXIO);
		WAIT_FOR(count == SIGHUP);
		CHECK_OK(ioctl(slave, TIOCSCTTY, 0));
	}));
}

TEST(foreground_groups_must_exist_here)
{
	open_pty();
	JOIN(SPAWN({
		lead();
		CHECK_ERR(tcsetpgrp(slave, 0x3fffffff), ESRCH);
		CHECK_ERR(tcsetpgrp(slave, -1), EINVAL);
		CHECK_ERR(tcsetpgrp(slave, getppid()), EPERM);
		CHECK_OK(tcsetpgrp(slave, getpgrp()));
	}));
}

TEST(stat_names_the_terminal)
{
	open_pty();
	JOIN(SPAWN({
		lead();
		char text[512];
		int tty;
		int foreground;
		struct stat st;
		CHECK_OK(fstat(slave, &st));
		CHECK(kt_read_file("/proc/self/stat", text, sizeof text) > 0);
		CHECK_EQ(sscanf(strrchr(text, ')'), ") %*c %*d %*d %*d %d %d", &tty, &foreground), 2);
		CHECK_EQ(tty, st.st_rdev);
		CHECK_EQ(foreground, getpgrp());
	}));
}
