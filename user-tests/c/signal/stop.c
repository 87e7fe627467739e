/* Stopping and continuing. */
#include "proc.h"
#include "sys.h"

static void spin_up(int fd)
{
	for (;;) {
		CHECK_EQ(write(fd, "x", 1), 1);
		kt_sleep_ms(5);
	}
}

TEST(a_stopped_process_stands_still)
{
	int end[2], status;
	char buf[4096];
	CHECK_OK(pipe2(end, O_NONBLOCK));
	pid_t child = SPAWN(spin_up(end[1]));
	WAIT_FOR(read(end[0], buf, sizeof buf) > 0);
	kill(child, SIGSTOP);
	CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
	CHECK_EQ(kt_state(child), 'T');
	while (read(end[0], buf, sizeof buf) > 0)
		;
	kt_sleep_ms(50);
	CHECK_ERR(read(end[0], buf, sizeof buf), EAGAIN);
	kill(child, SIGCONT);
	WAIT_FOR(read(end[0], buf, sizeof buf) > 0);
	kill(child, SIGKILL);
	CHECK_EQ(kt_wait(child), SIGKILL);
}

TEST(kill_ends_a_stopped_process)
{
	int status;
	pid_t child = SPAWN(raise(SIGSTOP));
	CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
	kill(child, SIGKILL);
	CHECK_EQ(kt_wait(child), SIGKILL);
}

TEST(other_signals_wait_until_continued)
{
	int status;
	pid_t child = SPAWN(raise(SIGSTOP));
	CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
	kill(child, SIGTERM);
	kt_sleep_ms(30);
	CHECK_EQ(waitpid(child, &status, WNOHANG), 0);
	CHECK_EQ(kt_state(child), 'T');
	kill(child, SIGCONT);
	CHECK_EQ(kt_wait(child), SIGTERM);
}

static volatile int conts;

static void on_cont(int sig)
{
	(void)sig;
	conts++;
}

TEST(cont_can_be_caught_and_continues_even_if_blocked)
{
	int status;
	pid_t child = SPAWN({
		sigset_t set;
		signal(SIGCONT, on_cont);
		sigemptyset(&set);
		sigaddset(&set, SIGCONT);
		sigprocmask(SIG_BLOCK, &set, NULL);
		raise(SIGSTOP);
		CHECK_EQ(conts, 0);
		sigprocmask(SIG_UNBLOCK, &set, NULL);
		CHECK_EQ(conts, 1);
	});
	CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
	kill(child, SIGCONT);
	JOIN(child);
}

TEST(cont_removes_pending_stops_and_stops_remove_cont)
{
	sigset_t set, pending;
	sigemptyset(&set);
	sigaddset(&set, SIGTSTP);
	sigaddset(&set, SIGCONT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	raise(SIGTSTP);
	sigpending(&pending);
	CHECK(sigismember(&pending, SIGTSTP));
	signal(SIGCONT, on_cont);
	raise(SIGCONT);
	sigpending(&pending);
	CHECK(!sigismember(&pending, SIGTSTP));
	CHECK(sigismember(&pending, SIGCONT));
	raise(SIGTSTP);
	sigpending(&pending);
	CHECK(!sigismember(&pending, SIGCONT));
	CHECK(sigismember(&pending, SIGTSTP));
}

TEST(a_caught_tstp_does_not_stop)
{
	signal(SIGTSTP, on_cont);
	raise(SIGTSTP);
	CHECK_EQ(conts, 1);
}

TEST(stops_of_a_sleeping_process)
{
	int end[2], status;
	char c;
	CHECK_OK(pipe(end));
	pid_t child = SPAWN(read(end[0], &c, 1));
	for (int i = 0; i < 5; i++) {
		WAIT_FOR(kt_state(child) == 'S');
		kill(child, SIGSTOP);
		CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
		kill(child, SIGCONT);
		CHECK_EQ(waitpid(child, &status, WCONTINUED), child);
	}
	CHECK_EQ(write(end[1], "x", 1), 1);
	kt_wait(child);
}

TEST(many_rounds)
{
	int status;
	pid_t child = SPAWN(for (;;) syscall(SYS_getpid));
	for (int i = 0; i < 50; i++) {
		kill(child, SIGSTOP);
		CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
		CHECK(WIFSTOPPED(status));
		kill(child, SIGCONT);
		CHECK_EQ(waitpid(child, &status, WCONTINUED), child);
		CHECK(WIFCONTINUED(status));
	}
	kill(child, SIGKILL);
	CHECK_EQ(kt_wait(child), SIGKILL);
}
