/* wait4(2): which child, which event, which status. */
#include <sys/resource.h>

#include "proc.h"

TEST(exit_codes_are_eight_bits)
{
	CHECK_EQ(kt_wait(SPAWN(_exit(0))), 0);
	CHECK_EQ(kt_wait(SPAWN(_exit(0x1ff))), 0xff00);
	CHECK_EQ(kt_wait(SPAWN(_exit(-1))), 0xff00);
	CHECK_EQ(kt_wait(SPAWN(syscall(SYS_exit, 3))), 0x300);
}

TEST(killed_by_a_signal)
{
	CHECK_EQ(kt_wait(SPAWN(raise(SIGTERM))), SIGTERM);
	CHECK_EQ(kt_wait(SPAWN(raise(SIGKILL))), SIGKILL);
	CHECK_EQ(kt_wait(SPAWN(kill(getpid(), SIGRTMAX))), SIGRTMAX);
	int status = kt_wait(SPAWN(raise(SIGSEGV)));
	CHECK(WIFSIGNALED(status));
	CHECK_EQ(WTERMSIG(status), SIGSEGV);
}

TEST(no_children)
{
	CHECK_ERR(waitpid(-1, NULL, 0), ECHILD);
	CHECK_ERR(waitpid(getpid(), NULL, 0), ECHILD);
	CHECK_ERR(waitpid(1, NULL, WNOHANG), ECHILD);
	CHECK_ERR(waitpid(-getpgrp(), NULL, 0), ECHILD);
	CHECK_ERR(waitpid(0, NULL, 0), ECHILD);
	CHECK_ERR(waitpid(-1, NULL, 0x100), EINVAL);
	CHECK_ERR(waitpid((pid_t)0x80000000, NULL, 0), ESRCH);
}

TEST(wnohang)
{
	pid_t child = SPAWN(pause());
	int status = 0x77;
	CHECK_EQ(waitpid(child, &status, WNOHANG), 0);
	CHECK_EQ(waitpid(-1, NULL, WNOHANG), 0);
	kill(child, SIGKILL);
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK_EQ(status, SIGKILL);
}

TEST(a_chosen_child_is_waited_for)
{
	pid_t first = SPAWN(_exit(1)), second = SPAWN(_exit(2));
	CHECK_EQ(WEXITSTATUS(kt_wait(second)), 2);
	CHECK_EQ(WEXITSTATUS(kt_wait(first)), 1);
}

TEST(children_of_a_group)
{
	pid_t mine = SPAWN(pause());
	pid_t other = SPAWN(pause());
	CHECK_OK(setpgid(other, other));
	kill(other, SIGKILL);
	WAIT_FOR(kt_state(other) == 'Z');
	CHECK_EQ(waitpid(0, NULL, WNOHANG), 0);
	CHECK_EQ(waitpid(-other, NULL, 0), other);
	CHECK_ERR(waitpid(-other, NULL, WNOHANG), ECHILD);
	kill(mine, SIGKILL);
	CHECK_EQ(waitpid(0, NULL, 0), mine);
}

TEST(stopped_and_continued)
{
	int status;
	pid_t child = SPAWN(for (;;) pause());
	kill(child, SIGSTOP);
	CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
	CHECK(WIFSTOPPED(status));
	CHECK_EQ(WSTOPSIG(status), SIGSTOP);
	CHECK_EQ(status, SIGSTOP << 8 | 0x7f);
	CHECK_EQ(waitpid(child, &status, WUNTRACED | WNOHANG), 0);
	kill(child, SIGCONT);
	CHECK_EQ(waitpid(child, &status, WCONTINUED), child);
	CHECK(WIFCONTINUED(status));
	CHECK_EQ(status, 0xffff);
	CHECK_EQ(waitpid(child, &status, WCONTINUED | WNOHANG), 0);
	kill(child, SIGTSTP);
	CHECK_EQ(waitpid(child, &status, WUNTRACED | WCONTINUED), child);
	CHECK_EQ(WSTOPSIG(status), SIGTSTP);
	kill(child, SIGKILL);
	CHECK_EQ(waitpid(child, &status, WUNTRACED | WCONTINUED), child);
	CHECK_EQ(status, SIGKILL);
}

TEST(a_zombie_keeps_its_pid_until_waited_for)
{
	pid_t child = SPAWN(_exit(0));
	WAIT_FOR(kt_state(child) == 'Z');
	CHECK_OK(kill(child, 0));
	CHECK_OK(kill(child, SIGTERM));
	CHECK_EQ(getpgid(child), getpgrp());
	JOIN(child);
	CHECK_ERR(kill(child, 0), ESRCH);
	CHECK_ERR(getpgid(child), ESRCH);
}

static volatile int chld;

static void on_chld(int sig)
{
	(void)sig;
	chld++;
}

TEST(sigchld_is_sent)
{
	struct sigaction act = { .sa_handler = on_chld };
	CHECK_OK(sigaction(SIGCHLD, &act, NULL));
	pid_t child = SPAWN(pause());
	kill(child, SIGSTOP);
	WAIT_FOR(chld == 1);
	kill(child, SIGCONT);
	WAIT_FOR(chld == 2);
	kill(child, SIGKILL);
	WAIT_FOR(chld == 3);
	CHECK_EQ(kt_wait(child), SIGKILL);
}

TEST(sa_nocldstop)
{
	struct sigaction act = { .sa_handler = on_chld, .sa_flags = SA_NOCLDSTOP };
	CHECK_OK(sigaction(SIGCHLD, &act, NULL));
	pid_t child = SPAWN(pause());
	int status;
	kill(child, SIGSTOP);
	CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
	kill(child, SIGCONT);
	CHECK_EQ(waitpid(child, &status, WCONTINUED), child);
	CHECK_EQ(chld, 0);
	kill(child, SIGKILL);
	WAIT_FOR(chld == 1);
	kt_wait(child);
}

TEST(ignored_sigchld_reaps)
{
	signal(SIGCHLD, SIG_IGN);
	pid_t child = SPAWN(kt_sleep_ms(30));
	CHECK_ERR(waitpid(child, NULL, 0), ECHILD);
	WAIT_FOR(kill(child, 0) < 0 && errno == ESRCH);
}

TEST(sa_nocldwait_reaps_and_signals)
{
	struct sigaction act = { .sa_handler = on_chld, .sa_flags = SA_NOCLDWAIT | SA_RESTART };
	CHECK_OK(sigaction(SIGCHLD, &act, NULL));
	pid_t child = SPAWN(kt_sleep_ms(30));
	CHECK_ERR(waitpid(child, NULL, 0), ECHILD);
	WAIT_FOR(chld == 1);
}

TEST(orphans_go_to_init)
{
	int end[2];
	pid_t parent;
	CHECK_OK(pipe(end));
	JOIN(SPAWN({
		pid_t me = getpid();
		SPAWN({
			while (getppid() == me)
				kt_sleep_ms(2);
			parent = getppid();
			CHECK_EQ(write(end[1], &parent, sizeof parent), sizeof parent);
		});
	}));
	CHECK_EQ(read(end[0], &parent, sizeof parent), sizeof parent);
	CHECK_EQ(parent, 1);
}

TEST(a_signal_interrupts_waiting)
{
	struct sigaction act = { .sa_handler = on_chld };
	CHECK_OK(sigaction(SIGALRM, &act, NULL));
	pid_t child = SPAWN(pause());
	alarm(1);
	CHECK_ERR(waitpid(child, NULL, 0), EINTR);
	kill(child, SIGKILL);
	kt_wait(child);
}

TEST(bad_status_pointer_still_reaps)
{
	pid_t child = SPAWN(_exit(0));
	CHECK_ERR(syscall(SYS_wait4, child, 8, 0, NULL), EFAULT);
	CHECK_ERR(waitpid(child, NULL, 0), ECHILD);
}
