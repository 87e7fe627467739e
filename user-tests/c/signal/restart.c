/* Which calls go on after a handler and which report EINTR (signal(7)). */
#include <poll.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "proc.h"
#include "sys.h"

static volatile int count;

static void note(int sig)
{
	(void)sig;
	count++;
}

static void handle(int flags)
{
	struct sigaction act = { .sa_handler = note, .sa_flags = flags };
	CHECK_OK(sigaction(SIGUSR1, &act, NULL));
	count = 0;
}

/* Signal this process once it sleeps, and then run `after` in the child. */
#define INTERRUPTED(after)                                                     \
	({                                                                     \
		pid_t me = getpid();                                           \
		SPAWN({                                                        \
			WAIT_FOR(kt_state(me) == 'S');                         \
			kt_sleep_ms(30);                                       \
			kill(me, SIGUSR1);                                     \
			kt_sleep_ms(30);                                       \
			after;                                                 \
		});                                                            \
	})

TEST(read_of_a_pipe)
{
	int end[2];
	char c;
	CHECK_OK(pipe(end));
	handle(SA_RESTART);
	pid_t child = INTERRUPTED(write(end[1], "x", 1));
	CHECK_EQ(read(end[0], &c, 1), 1);
	CHECK_EQ(count, 1);
	kt_wait(child);
	handle(0);
	child = INTERRUPTED((void)0);
	CHECK_ERR(read(end[0], &c, 1), EINTR);
	CHECK_EQ(count, 1);
	kt_wait(child);
}

TEST(write_to_a_full_pipe)
{
	static char block[65536 + 4096];
	int end[2];
	CHECK_OK(pipe(end));
	handle(0);
	pid_t child = INTERRUPTED((void)0);
	/* What is written before the signal is reported. */
	ssize_t n = write(end[1], block, sizeof block);
	CHECK_EQ(n, 65536);
	kt_wait(child);
	child = INTERRUPTED((void)0);
	CHECK_ERR(write(end[1], block, 1), EINTR);
	kt_wait(child);
}

TEST(waiting_for_a_child)
{
	handle(SA_RESTART);
	pid_t sleeper = SPAWN(pause());
	pid_t child = INTERRUPTED(kill(sleeper, SIGKILL));
	int status;
	CHECK_EQ(waitpid(sleeper, &status, 0), sleeper);
	CHECK_EQ(count, 1);
	kt_wait(child);
}

TEST(locks)
{
	int fd = CHECK_OK(open("f", O_CREAT | O_RDWR, 0600));
	int end[2];
	char c;
	CHECK_OK(pipe(end));
	pid_t holder = SPAWN({
		int mine = CHECK_OK(open("f", O_RDWR));
		CHECK_OK(flock(mine, LOCK_EX));
		struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
		CHECK_OK(fcntl(mine, F_SETLK, &lock));
		CHECK_EQ(write(end[1], "x", 1), 1);
		for (;;)
			pause();
	});
	CHECK_EQ(read(end[0], &c, 1), 1);
	handle(0);
	pid_t child = INTERRUPTED((void)0);
	CHECK_ERR(flock(fd, LOCK_EX), EINTR);
	kt_wait(child);
	child = INTERRUPTED((void)0);
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	CHECK_ERR(fcntl(fd, F_SETLKW, &lock), EINTR);
	kt_wait(child);
	handle(SA_RESTART);
	child = INTERRUPTED(kill(holder, SIGKILL));
	CHECK_OK(flock(fd, LOCK_EX));
	CHECK_EQ(count, 1);
	kt_wait(child);
	kt_wait(holder);
}

TEST(opening_a_fifo)
{
	CHECK_OK(mkfifo("p", 0600));
	handle(SA_RESTART);
	pid_t child = INTERRUPTED(CHECK_OK(open("p", O_WRONLY)));
	CHECK_OK(open("p", O_RDONLY));
	CHECK_EQ(count, 1);
	kt_wait(child);
	CHECK_OK(mkfifo("q", 0600));
	handle(0);
	child = INTERRUPTED((void)0);
	CHECK_ERR(open("q", O_RDONLY), EINTR);
	kt_wait(child);
}

TEST(polling_is_never_restarted)
{
	int end[2], ep = CHECK_OK(epoll_create1(0));
	struct epoll_event e = { .events = EPOLLIN };
	CHECK_OK(pipe(end));
	CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, end[0], &e));
	struct pollfd p = { .fd = end[0], .events = POLLIN };
	handle(SA_RESTART);
	pid_t child = INTERRUPTED((void)0);
	CHECK_ERR(poll(&p, 1, 20000), EINTR);
	kt_wait(child);
	child = INTERRUPTED((void)0);
	CHECK_ERR(epoll_wait(ep, &e, 1, 20000), EINTR);
	kt_wait(child);
	child = INTERRUPTED((void)0);
	CHECK_ERR(select(0, NULL, NULL, NULL, &(struct timeval){ 20, 0 }), EINTR);
	kt_wait(child);
	child = INTERRUPTED((void)0);
	CHECK_ERR(ppoll(&p, 1, NULL, NULL), EINTR);
	kt_wait(child);
}

TEST(sleeping_is_never_restarted_and_tells_the_rest)
{
	struct timespec rest = { 0 };
	handle(SA_RESTART);
	pid_t child = INTERRUPTED((void)0);
	CHECK_ERR(nanosleep(&(struct timespec){ 20, 0 }, &rest), EINTR);
	CHECK(rest.tv_sec >= 5 && rest.tv_sec < 20);
	kt_wait(child);
	child = INTERRUPTED((void)0);
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += 20;
	CHECK_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL), EINTR);
	kt_wait(child);
}

/* A stop and continue without a handler: the restart block. */
TEST(sleeping_goes_on_after_a_stop)
{
	pid_t child = SPAWN({
		long long start = kt_now_ms();
		CHECK_OK(nanosleep(&(struct timespec){ 0, 400000000 }, NULL));
		CHECK(kt_now_ms() - start >= 400);
		_exit(33);
	});
	int status;
	WAIT_FOR(kt_state(child) == 'S');
	kill(child, SIGSTOP);
	CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
	kt_sleep_ms(20);
	kill(child, SIGCONT);
	CHECK_EQ(WEXITSTATUS(kt_wait(child)), 33);
}

TEST(polling_goes_on_after_a_stop)
{
	int end[2], status;
	CHECK_OK(pipe(end));
	pid_t child = SPAWN({
		struct pollfd p = { .fd = end[0], .events = POLLIN };
		long long start = kt_now_ms();
		CHECK_EQ(poll(&p, 1, 400), 0);
		CHECK(kt_now_ms() - start >= 399);
		CHECK_EQ(poll(&p, 1, -1), 1);
		_exit(44);
	});
	for (int i = 0; i < 2; i++) {
		WAIT_FOR(kt_state(child) == 'S');
		kill(child, SIGSTOP);
		CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
		kt_sleep_ms(20);
		kill(child, SIGCONT);
		kt_sleep_ms(600);
	}
	CHECK_EQ(write(end[1], "x", 1), 1);
	CHECK_EQ(WEXITSTATUS(kt_wait(child)), 44);
}

TEST(reading_goes_on_after_a_stop)
{
	int end[2], status;
	char c;
	CHECK_OK(pipe(end));
	pid_t child = SPAWN({
		CHECK_EQ(read(end[0], &c, 1), 1);
		_exit(55);
	});
	WAIT_FOR(kt_state(child) == 'S');
	kill(child, SIGSTOP);
	CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
	kill(child, SIGCONT);
	kt_sleep_ms(20);
	CHECK_EQ(write(end[1], "x", 1), 1);
	CHECK_EQ(WEXITSTATUS(kt_wait(child)), 55);
}

TEST(epoll_and_pause_after_a_stop)
{
	int status;
	pid_t child = SPAWN({
		handle(0);
		CHECK_ERR(pause(), EINTR);
		_exit(count == 1 ? 66 : 1);
	});
	WAIT_FOR(kt_state(child) == 'S');
	kill(child, SIGSTOP);
	CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
	kill(child, SIGCONT);
	kt_sleep_ms(50);
	CHECK_EQ(waitpid(child, &status, WNOHANG), 0);
	kill(child, SIGUSR1);
	CHECK_EQ(WEXITSTATUS(kt_wait(child)), 66);
}

TEST(sockets)
{
	int s[2];
	char c;
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	handle(SA_RESTART);
	pid_t child = INTERRUPTED(write(s[1], "x", 1));
	CHECK_EQ(recv(s[0], &c, 1, 0), 1);
	CHECK_EQ(count, 1);
	kt_wait(child);
	/* With a timeout, a handler is always seen. */
	CHECK_OK(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){ 20, 0 },
			    sizeof(struct timeval)));
	child = INTERRUPTED((void)0);
	CHECK_ERR(recv(s[0], &c, 1, 0), EINTR);
	kt_wait(child);
}

TEST(restart_syscall_by_hand)
{
	CHECK_ERR(syscall(SYS_restart_syscall), EINTR);
}

static void forks(int sig)
{
	(void)sig;
	JOIN(SPAWN(_exit(0)));
}

TEST(a_handler_may_make_calls_and_children)
{
	int end[2];
	char c;
	CHECK_OK(pipe(end));
	struct sigaction act = { .sa_handler = forks, .sa_flags = SA_RESTART };
	CHECK_OK(sigaction(SIGUSR1, &act, NULL));
	pid_t child = INTERRUPTED(write(end[1], "x", 1));
	CHECK_EQ(read(end[0], &c, 1), 1);
	kt_wait(child);
}
