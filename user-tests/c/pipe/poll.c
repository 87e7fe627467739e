/* poll(2), ppoll(2), select(2), pselect(2). */
#include <poll.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>

#include "proc.h"

static char block[70000];

static int ready(int fd, int events)
{
	struct pollfd p = { .fd = fd, .events = events };
	CHECK_OK(poll(&p, 1, 0));
	return p.revents;
}

TEST(ends_of_a_pipe)
{
	int end[2];
	char c;
	CHECK_OK(pipe2(end, O_NONBLOCK));
	CHECK_EQ(ready(end[0], POLLIN), 0);
	CHECK_EQ(ready(end[1], POLLOUT | POLLIN), POLLOUT);
	CHECK_EQ(write(end[1], "x", 1), 1);
	CHECK_EQ(ready(end[0], POLLIN | POLLRDNORM), POLLIN | POLLRDNORM);
	CHECK_EQ(read(end[0], &c, 1), 1);
	CHECK_EQ(write(end[1], block, sizeof block), 65536);
	CHECK_EQ(ready(end[1], POLLOUT), 0);
	CHECK_EQ(read(end[0], block, 4096), 4096);
	CHECK_EQ(ready(end[1], POLLOUT), POLLOUT);
	CHECK_EQ(read(end[0], block, sizeof block), 65536 - 4096);
	int w2 = dup(end[1]);
	CHECK_OK(close(end[1]));
	CHECK_EQ(ready(end[0], POLLIN), 0);
	CHECK_OK(close(w2));
	CHECK_EQ(ready(end[0], POLLIN), POLLHUP);
	CHECK_OK(pipe(end));
	CHECK_OK(close(end[0]));
	CHECK_EQ(ready(end[1], POLLOUT), POLLOUT | POLLERR);
}

TEST(files_are_always_ready)
{
	int fd = CHECK_OK(open("f", O_CREAT | O_RDWR, 0600));
	CHECK_EQ(ready(fd, POLLIN | POLLOUT), POLLIN | POLLOUT);
	int dir = CHECK_OK(open(".", O_RDONLY));
	CHECK_EQ(ready(dir, POLLIN), POLLIN);
	int null = CHECK_OK(open("/dev/null", O_RDWR));
	CHECK_EQ(ready(null, POLLIN | POLLOUT), POLLIN | POLLOUT);
}

TEST(bad_and_negative_descriptors)
{
	CHECK_EQ(ready(999, POLLIN), POLLNVAL);
	CHECK_EQ(ready(-1, POLLIN), 0);
	struct pollfd p[3] = { { .fd = -5, .revents = 77 }, { .fd = 999 }, { .fd = 0, .events = 0 } };
	CHECK_EQ(poll(p, 3, 0), 1);
	CHECK_EQ(p[0].revents, 0);
	CHECK_EQ(p[1].revents, POLLNVAL);
}

TEST(timeouts)
{
	long long start = kt_now_ms();
	CHECK_EQ(poll(NULL, 0, 60), 0);
	CHECK(kt_now_ms() - start >= 60);
	start = kt_now_ms();
	CHECK_EQ(ppoll(NULL, 0, &(struct timespec){ 0, 60000000 }, NULL), 0);
	CHECK(kt_now_ms() - start >= 60);
	start = kt_now_ms();
	CHECK_EQ(select(0, NULL, NULL, NULL, &(struct timeval){ 0, 60000 }), 0);
	CHECK(kt_now_ms() - start >= 60);
	start = kt_now_ms();
	CHECK_EQ(pselect(0, NULL, NULL, NULL, &(struct timespec){ 0, 60000000 }, NULL), 0);
	CHECK(kt_now_ms() - start >= 60);
}

TEST(wakes_for_one_of_many)
{
	enum { N = 50 };
	struct pollfd p[N];
	int end[N][2];
	for (int i = 0; i < N; i++) {
		CHECK_OK(pipe(end[i]));
		p[i] = (struct pollfd){ .fd = end[i][0], .events = POLLIN };
	}
	pid_t child = SPAWN(kt_sleep_ms(30); CHECK_EQ(write(end[37][1], "x", 1), 1));
	CHECK_EQ(poll(p, N, 10000), 1);
	for (int i = 0; i < N; i++)
		CHECK_EQ(p[i].revents, i == 37 ? POLLIN : 0);
	JOIN(child);
}

TEST(closing_wakes)
{
	int end[2];
	CHECK_OK(pipe(end));
	pid_t child = SPAWN({
		close(end[1]);
		struct pollfd p = { .fd = end[0], .events = POLLIN };
		CHECK_EQ(poll(&p, 1, 10000), 1);
		CHECK_EQ(p.revents, POLLHUP);
	});
	CHECK_OK(close(end[0]));
	WAIT_FOR(kt_state(child) == 'S');
	CHECK_OK(close(end[1]));
	JOIN(child);
}

static volatile int count;

static void note(int sig)
{
	(void)sig;
	count++;
}

TEST(ppoll_opens_its_mask_only_inside)
{
	sigset_t block_usr1, none;
	sigemptyset(&none);
	sigemptyset(&block_usr1);
	sigaddset(&block_usr1, SIGUSR1);
	signal(SIGUSR1, note);
	sigprocmask(SIG_BLOCK, &block_usr1, NULL);
	raise(SIGUSR1);
	CHECK_EQ(count, 0);
	CHECK_ERR(ppoll(NULL, 0, NULL, &none), EINTR);
	CHECK_EQ(count, 1);
	raise(SIGUSR1);
	CHECK_ERR(pselect(0, NULL, NULL, NULL, NULL, &none), EINTR);
	CHECK_EQ(count, 2);
	/* Something ready wins over the signal, which stays pending. */
	int end[2];
	CHECK_OK(pipe(end));
	CHECK_EQ(write(end[1], "x", 1), 1);
	sigset_t now;
	sigprocmask(SIG_BLOCK, NULL, &now);
	CHECK(sigismember(&now, SIGUSR1));
}

TEST(select_sets)
{
	int end[2];
	fd_set r, w, e;
	CHECK_OK(pipe(end));
	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_ZERO(&e);
	FD_SET(end[0], &r);
	FD_SET(end[1], &w);
	FD_SET(end[0], &e);
	CHECK_EQ(select(end[1] + 1, &r, &w, &e, NULL), 1);
	CHECK(!FD_ISSET(end[0], &r) && FD_ISSET(end[1], &w) && !FD_ISSET(end[0], &e));
	CHECK_EQ(write(end[1], "x", 1), 1);
	FD_SET(end[0], &r);
	CHECK_EQ(select(end[1] + 1, &r, &w, NULL, NULL), 2);
	CHECK(FD_ISSET(end[0], &r) && FD_ISSET(end[1], &w));
	/* Descriptors at or beyond the first argument are not looked at. */
	FD_ZERO(&r);
	FD_SET(end[0], &r);
	CHECK_EQ(select(end[0], &r, NULL, NULL, &(struct timeval){ 0, 0 }), 0);
}

TEST(select_tells_the_rest_of_the_time)
{
	int end[2];
	fd_set w;
	CHECK_OK(pipe(end));
	FD_ZERO(&w);
	FD_SET(end[1], &w);
	struct timeval t = { 100, 0 };
	CHECK_EQ(syscall(SYS_select, end[1] + 1, NULL, &w, NULL, &t), 1);
	CHECK(t.tv_sec >= 90 && t.tv_sec <= 100);
}

TEST(wrong_arguments)
{
	fd_set r;
	FD_ZERO(&r);
	FD_SET(40, &r);
	CHECK_ERR(select(41, &r, NULL, NULL, NULL), EBADF);
	CHECK_ERR(select(-1, NULL, NULL, NULL, NULL), EINVAL);
	CHECK_ERR(select(0, NULL, NULL, NULL, &(struct timeval){ -1, 0 }), EINVAL);
	CHECK_ERR(ppoll(NULL, 0, &(struct timespec){ 0, 1000000000 }, NULL), EINVAL);
	CHECK_ERR(syscall(SYS_poll, BAD_PTR, 1, 0), EFAULT);
	CHECK_ERR(syscall(SYS_select, 10, BAD_PTR, NULL, NULL, NULL), EFAULT);
	CHECK_ERR(syscall(SYS_ppoll, NULL, 0, BAD_PTR, NULL, 8), EFAULT);
	struct rlimit limit;
	CHECK_OK(getrlimit(RLIMIT_NOFILE, &limit));
	CHECK_ERR(syscall(SYS_poll, NULL, limit.rlim_cur + 1, 0), EINVAL);
}
