/* ktest: timeout=600 */
/* No wake-up is lost: every case would hang if one were. */
#include <linux/futex.h>
#include <poll.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "stress.h"

static long long stop_at;

static int go_on(void)
{
	return kt_now_ms() < stop_at;
}

static void begin(void)
{
	stop_at = kt_now_ms() + stress_ms();
}

/* Two sides that wait for each other over a pair of descriptors. */
static void ping_pong(int in, int out, int first)
{
	char c = 'p';
	if (first)
		CHECK_EQ(write(out, &c, 1), 1);
	while (read(in, &c, 1) == 1 && c != 'q') {
		c = first && !go_on() ? 'q' : 'p';
		CHECK_EQ(write(out, &c, 1), 1);
	}
}

TEST_FOR(pipes, 590)
{
	begin();
	for (int i = 0; i < 4; i++) {
		int a[2], b[2];
		CHECK_OK(pipe(a));
		CHECK_OK(pipe(b));
		SPAWN(ping_pong(a[0], b[1], 0));
		SPAWN({
			ping_pong(b[0], a[1], 1);
		});
	}
	for (int i = 0; i < 4; i++) {
		int status;
		CHECK(wait(&status) > 0);
		CHECK_EQ(status, 0);
	}
	/* The second half of each pair ends when the first has closed. */
}

static volatile uint32_t word[4][16];

static void *futex_side(void *arg)
{
	int pair = (long)arg / 2, side = (long)arg % 2;
	volatile uint32_t *w = &word[pair][0];
	for (uint32_t round = 0; round < 0xfffffff0; round++) {
		uint32_t mine = 2 * round + side, now;
		while ((now = *w) != mine && now != ~0U)
			syscall(SYS_futex, w, FUTEX_WAIT_PRIVATE, now, NULL, NULL, 0);
		if (now == ~0U)
			break;
		uint32_t next = !side && !go_on() ? ~0U : mine + 1;
		*w = next;
		syscall(SYS_futex, w, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
		if (next == ~0U)
			break;
	}
	return NULL;
}

TEST_FOR(futexes, 590)
{
	begin();
	crowd(8, futex_side);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t not_empty = PTHREAD_COND_INITIALIZER, not_full = PTHREAD_COND_INITIALIZER;
static int queued, done;
static long put, got;

static void *producer(void *arg)
{
	(void)arg;
	while (go_on()) {
		pthread_mutex_lock(&mutex);
		while (queued == 3)
			pthread_cond_wait(&not_full, &mutex);
		queued++;
		put++;
		pthread_cond_signal(&not_empty);
		pthread_mutex_unlock(&mutex);
	}
	pthread_mutex_lock(&mutex);
	done++;
	pthread_cond_broadcast(&not_empty);
	pthread_mutex_unlock(&mutex);
	return NULL;
}

static void *consumer(void *arg)
{
	(void)arg;
	for (;;) {
		pthread_mutex_lock(&mutex);
		while (queued == 0 && done < 4)
			pthread_cond_wait(&not_empty, &mutex);
		if (queued == 0) {
			pthread_mutex_unlock(&mutex);
			return NULL;
		}
		queued--;
		got++;
		pthread_cond_signal(&not_full);
		pthread_mutex_unlock(&mutex);
	}
}

static void *either(void *arg)
{
	return (long)arg < 4 ? producer(arg) : consumer(arg);
}

TEST_FOR(conditions, 590)
{
	begin();
	crowd(8, either);
	CHECK_EQ(put, got);
	CHECK(put > 100);
}

static volatile int signals;

static void on_signal(int sig)
{
	(void)sig;
	signals++;
}

TEST_FOR(signals_and_sigsuspend, 590)
{
	sigset_t block, open;
	begin();
	sigemptyset(&block);
	sigaddset(&block, SIGUSR1);
	sigprocmask(SIG_BLOCK, &block, &open);
	sigdelset(&open, SIGUSR1);
	signal(SIGUSR1, on_signal);
	pid_t parent = getpid();
	pid_t child = SPAWN({
		for (int mine = 0;; mine++) {
			kill(parent, SIGUSR1);
			while (signals <= mine)
				sigsuspend(&open);
		}
	});
	long rounds = 0;
	for (int mine = 0; go_on(); mine++, rounds++) {
		while (signals <= mine)
			sigsuspend(&open);
		kill(child, SIGUSR1);
	}
	kill(child, SIGKILL);
	kt_wait(child);
	CHECK(rounds > 10);
}

TEST_FOR(children_and_sigchld, 590)
{
	begin();
	while (go_on()) {
		pid_t child[10];
		for (int i = 0; i < 10; i++)
			child[i] = SPAWN(_exit(i));
		for (int i = 9; i >= 0; i--)
			CHECK_EQ(WEXITSTATUS(kt_wait(child[i])), i);
	}
}

static int ep, events[8];

static void *epoll_side(void *arg)
{
	(void)arg;
	struct epoll_event e;
	uint64_t n;
	for (;;) {
		CHECK_EQ(epoll_wait(ep, &e, 1, -1), 1);
		if (e.data.u32 == 99)
			return NULL;
		CHECK_EQ(read(events[e.data.u32], &n, 8), 8);
		__atomic_add_fetch(&got, n, __ATOMIC_SEQ_CST);
		e.events = EPOLLIN | EPOLLONESHOT;
		CHECK_OK(epoll_ctl(ep, EPOLL_CTL_MOD, events[e.data.u32], &e));
	}
}

TEST_FOR(epoll, 590)
{
	pthread_t t[4];
	begin();
	ep = CHECK_OK(epoll_create1(0));
	for (int i = 0; i < 8; i++) {
		struct epoll_event e = { .events = EPOLLIN | EPOLLONESHOT, .data.u32 = i };
		events[i] = CHECK_OK(eventfd(0, 0));
		CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, events[i], &e));
	}
	for (long i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, epoll_side, NULL), 0);
	while (go_on()) {
		CHECK_OK(eventfd_write(events[put % 8], 1));
		put++;
	}
	WAIT_FOR(__atomic_load_n(&got, __ATOMIC_SEQ_CST) == put);
	struct epoll_event e = { .events = EPOLLIN, .data.u32 = 99 };
	int last = CHECK_OK(eventfd(1, 0));
	CHECK_OK(epoll_ctl(ep, EPOLL_CTL_ADD, last, &e));
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
}

TEST_FOR(timers, 590)
{
	begin();
	for (int i = 0; i < 20; i++)
		SPAWN({
			struct sigaction act = { .sa_handler = on_signal };
			CHECK_OK(sigaction(SIGALRM, &act, NULL));
			timer_t id;
			CHECK_OK(timer_create(CLOCK_MONOTONIC, NULL, &id));
			struct itimerspec t = { { 0, 1000000 * (i % 7 + 1) }, { 0, 1000000 } };
			CHECK_OK(timer_settime(id, 0, &t, NULL));
			while (go_on())
				poll(NULL, 0, 50);
			CHECK(signals > 5);
		});
	for (int i = 0; i < 20; i++) {
		int status;
		CHECK(wait(&status) > 0);
		CHECK_EQ(status, 0);
	}
}

TEST_FOR(sockets_full_and_empty, 590)
{
	static char block[20000];
	int s[2];
	long total = 0;
	begin();
	CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
	pid_t child = SPAWN({
		CHECK_OK(close(s[0]));
		while (go_on())
			CHECK(write(s[1], block, 1 + rand() % sizeof block) > 0);
	});
	CHECK_OK(close(s[1]));
	for (;;) {
		ssize_t n = CHECK_OK(read(s[0], block, 1 + rand() % sizeof block));
		if (n == 0)
			break;
		total += n;
	}
	JOIN(child);
	CHECK(total > 0);
}
