/* FUTEX_WAIT, FUTEX_WAKE and their bitset forms. */
#include "futex.h"

TEST(a_changed_word_is_not_waited_for)
{
	word w = 1;
	CHECK_ERR(futex(&w, FUTEX_WAIT, 0, NULL, NULL, 0), EAGAIN);
	CHECK_ERR(futex(&w, FUTEX_WAIT_PRIVATE, 2, NULL, NULL, 0), EAGAIN);
	CHECK_EQ(futex(&w, FUTEX_WAKE, 1, NULL, NULL, 0), 0);
}

TEST(timeouts)
{
	word w = 0;
	long long start = kt_now_ms();
	CHECK_ERR(futex(&w, FUTEX_WAIT, 0, &(struct timespec){ 0, 50000000 }, NULL, 0), ETIMEDOUT);
	CHECK(kt_now_ms() - start >= 50);
	CHECK_ERR(futex(&w, FUTEX_WAIT_PRIVATE, 0, &(struct timespec){ 0, 0 }, NULL, 0), ETIMEDOUT);
	CHECK_ERR(futex(&w, FUTEX_WAIT, 0, &(struct timespec){ 0, 1000000000 }, NULL, 0), EINVAL);
	CHECK_ERR(futex(&w, FUTEX_WAIT, 0, &(struct timespec){ -1, 0 }, NULL, 0), EINVAL);
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec++;
	start = kt_now_ms();
	CHECK_ERR(futex(&w, FUTEX_WAIT_BITSET, 0, &until, NULL, -1), ETIMEDOUT);
	CHECK(kt_now_ms() - start >= 900);
	clock_gettime(CLOCK_REALTIME, &until);
	CHECK_ERR(futex(&w, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &until, NULL, -1), ETIMEDOUT);
}

TEST(between_processes)
{
	word *w = shared_words();
	pid_t child = SPAWN({
		while (*w == 0) {
			long r = futex(w, FUTEX_WAIT, 0, NULL, NULL, 0);
			CHECK(r == 0 || errno == EAGAIN);
		}
	});
	WAIT_FOR(kt_state(child) == 'S');
	*w = 1;
	CHECK_EQ(futex(w, FUTEX_WAKE, 10, NULL, NULL, 0), 1);
	JOIN(child);
}

TEST(by_the_file_not_the_address)
{
	int fd = CHECK_OK(open("f", O_CREAT | O_RDWR, 0600));
	CHECK_OK(ftruncate(fd, 4096));
	word *a = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	word *b = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(a != b);
	pid_t child = SPAWN(CHECK_OK(futex(a, FUTEX_WAIT, 0, NULL, NULL, 0)));
	WAIT_FOR(kt_state(child) == 'S');
	/* Private waiters are another matter. */
	CHECK_EQ(futex(b, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 0);
	wake_all(b, FUTEX_WAKE, 1);
	JOIN(child);
}

TEST(private_memory_of_two_processes_is_two_words)
{
	static word w;
	pid_t child = SPAWN(futex(&w, FUTEX_WAIT, 0, NULL, NULL, 0));
	WAIT_FOR(kt_state(child) == 'S');
	CHECK_EQ(futex(&w, FUTEX_WAKE, 1, NULL, NULL, 0), 0);
	kill(child, SIGKILL);
	kt_wait(child);
}

TEST(as_many_as_asked_are_woken)
{
	enum { N = 8 };
	word *w = shared_words();
	for (int i = 0; i < N; i++)
		SPAWN({
			w[1 + i] = 1;
			CHECK_OK(futex(w, FUTEX_WAIT, 0, NULL, NULL, 0));
			__atomic_add_fetch(&w[100], 1, __ATOMIC_SEQ_CST);
		});
	int up = 0;
	WAIT_FOR(({ up = 0; for (int i = 0; i < N; i++) up += w[1 + i]; up == N; }));
	kt_sleep_ms(100);
	CHECK_EQ(futex(w, FUTEX_WAKE, 3, NULL, NULL, 0), 3);
	WAIT_FOR(w[100] == 3);
	kt_sleep_ms(20);
	CHECK_EQ(w[100], 3);
	CHECK_EQ(futex(w, FUTEX_WAKE, 0x7fffffff, NULL, NULL, 0), N - 3);
	for (int i = 0; i < N; i++) {
		int status;
		CHECK(wait(&status) > 0 && status == 0);
	}
}

TEST(bitsets_choose)
{
	word *w = shared_words();
	pid_t a = SPAWN(CHECK_OK(futex(w, FUTEX_WAIT_BITSET, 0, NULL, NULL, 1)));
	pid_t b = SPAWN(CHECK_OK(futex(w, FUTEX_WAIT_BITSET, 0, NULL, NULL, 2)));
	WAIT_FOR(kt_state(a) == 'S' && kt_state(b) == 'S');
	CHECK_EQ(futex(w, FUTEX_WAKE_BITSET, 10, NULL, NULL, 4), 0);
	CHECK_EQ(futex(w, FUTEX_WAKE_BITSET, 10, NULL, NULL, 2), 1);
	JOIN(b);
	CHECK_EQ(waitpid(a, NULL, WNOHANG), 0);
	CHECK_EQ(futex(w, FUTEX_WAKE, 10, NULL, NULL, 0), 1);
	JOIN(a);
	CHECK_ERR(futex(w, FUTEX_WAIT_BITSET, 0, NULL, NULL, 0), EINVAL);
	CHECK_ERR(futex(w, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0), EINVAL);
}

static void nothing(int sig)
{
	(void)sig;
}

TEST(signals_interrupt_unless_restarted)
{
	word *w = shared_words();
	for (int restart = 0; restart < 2; restart++) {
		struct sigaction act = { .sa_handler = nothing,
					 .sa_flags = restart ? SA_RESTART : 0 };
		CHECK_OK(sigaction(SIGUSR1, &act, NULL));
		pid_t me = getpid();
		pid_t child = SPAWN({
			WAIT_FOR(kt_state(me) == 'S');
			kt_sleep_ms(30);
			kill(me, SIGUSR1);
			kt_sleep_ms(30);
			wake_all(w, FUTEX_WAKE, restart);
		});
		if (restart)
			CHECK_OK(futex(w, FUTEX_WAIT, 0, NULL, NULL, 0));
		else
			CHECK_ERR(futex(w, FUTEX_WAIT, 0, NULL, NULL, 0), EINTR);
		JOIN(child);
	}
	/* With a timeout a handler is always seen. */
	pid_t me = getpid();
	pid_t child = SPAWN(WAIT_FOR(kt_state(me) == 'S'); kt_sleep_ms(30); kill(me, SIGUSR1));
	CHECK_ERR(futex(w, FUTEX_WAIT, 0, &(struct timespec){ 20, 0 }, NULL, 0), EINTR);
	JOIN(child);
}

TEST(a_timed_wait_goes_on_after_a_stop)
{
	int status;
	word *w = shared_words();
	pid_t child = SPAWN({
		long long start = kt_now_ms();
		CHECK_ERR(futex(w, FUTEX_WAIT, 0, &(struct timespec){ 0, 400000000 }, NULL, 0), ETIMEDOUT);
		CHECK(kt_now_ms() - start >= 400);
	});
	WAIT_FOR(kt_state(child) == 'S');
	kill(child, SIGSTOP);
	CHECK_EQ(waitpid(child, &status, WUNTRACED), child);
	kill(child, SIGCONT);
	JOIN(child);
}

TEST(wrong_arguments)
{
	word w = 0;
	char *odd = (char *)&w + 1;
	CHECK_ERR(futex((word *)odd, FUTEX_WAIT, 0, NULL, NULL, 0), EINVAL);
	CHECK_ERR(futex((word *)odd, FUTEX_WAKE, 1, NULL, NULL, 0), EINVAL);
	CHECK_ERR(futex(BAD_PTR, FUTEX_WAIT, 0, NULL, NULL, 0), EFAULT);
	CHECK_ERR(futex(BAD_PTR, FUTEX_WAKE, 1, NULL, NULL, 0), EFAULT);
	CHECK_EQ(futex(BAD_PTR, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0), 0);
	CHECK_ERR(futex((word *)0xffffffff80000000, FUTEX_WAIT, 0, NULL, NULL, 0), EFAULT);
	CHECK_ERR(futex(&w, FUTEX_WAIT, 0, BAD_PTR, NULL, 0), EFAULT);
	CHECK_ERR(futex(&w, 77, 0, NULL, NULL, 0), ENOSYS);
	CHECK_ERR(futex(&w, FUTEX_FD, 0, NULL, NULL, 0), ENOSYS);
	CHECK_ERR(futex(&w, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 1, NULL, NULL, 0), ENOSYS);
}

TEST(unmapped_after_the_wait_began)
{
	word *w = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK_OK(mprotect((void *)w, 4096, PROT_READ));
	CHECK_ERR(futex(w, FUTEX_WAIT_PRIVATE, 0, &(struct timespec){ 0, 1000 }, NULL, 0), ETIMEDOUT);
	CHECK_OK(munmap((void *)w, 4096));
	CHECK_ERR(futex(w, FUTEX_WAIT_PRIVATE, 0, &(struct timespec){ 0, 1000 }, NULL, 0), EFAULT);
}
