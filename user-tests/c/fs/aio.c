/* io_setup(2), io_submit(2), io_getevents(2), io_cancel(2), io_destroy(2): native asynchronous I/O. */
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "ns.h"

struct ring {
	unsigned id, nr, head, tail, magic, compat, incompat, header;
	struct io_event events[];
};

static int setup(unsigned nr, aio_context_t *ctx)
{
	return syscall(SYS_io_setup, nr, ctx);
}

static int destroy(aio_context_t ctx)
{
	return syscall(SYS_io_destroy, ctx);
}

static int submit(aio_context_t ctx, long nr, struct iocb **list)
{
	return syscall(SYS_io_submit, ctx, nr, list);
}

static int getevents(aio_context_t ctx, long min, long nr, struct io_event *events, struct timespec *t)
{
	return syscall(SYS_io_getevents, ctx, min, nr, events, t);
}

static aio_context_t make(unsigned nr)
{
	aio_context_t ctx = 0;
	CHECK_OK(setup(nr, &ctx));
	CHECK(ctx != 0);
	return ctx;
}

static struct iocb op(int opcode, int fd, void *buf, size_t len, long offset)
{
	return (struct iocb){ .aio_lio_opcode = opcode, .aio_fildes = fd, .aio_buf = (uintptr_t)buf,
			      .aio_nbytes = len, .aio_offset = offset, .aio_data = 4711, .aio_key = 99 };
}

/* Submits one and gives its result. */
static long run(aio_context_t ctx, struct iocb *cb)
{
	struct io_event e;
	CHECK_EQ(submit(ctx, 1, &cb), 1);
	CHECK_EQ(getevents(ctx, 1, 1, &e, NULL), 1);
	CHECK_EQ(e.obj, (uintptr_t)cb);
	CHECK_EQ(e.data, cb->aio_data);
	CHECK_EQ(e.res2, 0);
	return e.res;
}

/* The error of submitting it. */
static int refused(aio_context_t ctx, struct iocb cb)
{
	struct iocb *list = &cb;
	CHECK_EQ(submit(ctx, 1, &list), -1);
	return errno;
}

static long number(const char *file)
{
	char text[64];
	CHECK(kt_read_file(file, text, sizeof text) > 0);
	return atol(text);
}

TEST(reads_and_writes)
{
	char buf[16] = "";
	int fd = CHECK_OK(open("f", O_CREAT | O_RDWR, 0600));
	aio_context_t ctx = make(8);
	struct iocb w = op(IOCB_CMD_PWRITE, fd, "hello", 5, 3);
	CHECK_EQ(run(ctx, &w), 5);
	CHECK_EQ(w.aio_key, 0);
	struct iocb r = op(IOCB_CMD_PREAD, fd, buf, 16, 4);
	CHECK_EQ(run(ctx, &r), 4);
	CHECK(!memcmp(buf, "ello", 4));
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 0);
	struct iovec v[2] = { { "ab", 2 }, { "cde", 3 } };
	w = op(IOCB_CMD_PWRITEV, fd, v, 2, 0);
	CHECK_EQ(run(ctx, &w), 5);
	struct iovec in[2] = { { buf, 1 }, { buf + 8, 4 } };
	r = op(IOCB_CMD_PREADV, fd, in, 2, 0);
	CHECK_EQ(run(ctx, &r), 5);
	CHECK(buf[0] == 'a' && !memcmp(buf + 8, "bcde", 4));
	r = op(IOCB_CMD_PREAD, fd, buf, 16, 100);
	CHECK_EQ(run(ctx, &r), 0);
	struct iocb s = op(IOCB_CMD_FSYNC, fd, NULL, 0, 0);
	CHECK_EQ(run(ctx, &s), 0);
	s = op(IOCB_CMD_FDSYNC, fd, NULL, 0, 0);
	CHECK_EQ(run(ctx, &s), 0);
	CHECK_OK(destroy(ctx));
}

TEST(what_goes_wrong_later_is_an_event)
{
	int fd = CHECK_OK(open("f", O_CREAT | O_RDWR, 0600));
	aio_context_t ctx = make(8);
	struct iocb w = op(IOCB_CMD_PWRITE, fd, BAD_PTR, 5, 0);
	CHECK_EQ(run(ctx, &w), -EFAULT);
	CHECK_EQ(write(fd, "x", 1), 1);
	struct iocb r = op(IOCB_CMD_PREAD, fd, BAD_PTR, 5, 0);
	CHECK_EQ(run(ctx, &r), -EFAULT);
}

TEST(what_is_wrong_at_once_is_not_submitted)
{
	char buf[4];
	int fd = CHECK_OK(open("f", O_CREAT | O_RDWR, 0600));
	int rd = CHECK_OK(open("f", O_RDONLY)), wr = CHECK_OK(open("f", O_WRONLY));
	int path = CHECK_OK(open("f", O_PATH)), dir = CHECK_OK(open(".", O_RDONLY));
	aio_context_t ctx = make(8);
	CHECK_EQ(refused(ctx, op(IOCB_CMD_PREAD, -1, buf, 1, 0)), EBADF);
	CHECK_EQ(refused(ctx, op(IOCB_CMD_PREAD, path, buf, 1, 0)), EBADF);
	CHECK_EQ(refused(ctx, op(IOCB_CMD_PREAD, wr, buf, 1, 0)), EBADF);
	CHECK_EQ(refused(ctx, op(IOCB_CMD_PWRITE, rd, buf, 1, 0)), EBADF);
	CHECK_EQ(refused(ctx, op(IOCB_CMD_PREAD, dir, buf, 1, 0)), EINVAL);
	CHECK_EQ(refused(ctx, op(IOCB_CMD_PREAD, fd, buf, 1, -1)), EINVAL);
	CHECK_EQ(refused(ctx, op(IOCB_CMD_PREAD, fd, buf, -1, 0)), EINVAL);
	CHECK_EQ(refused(ctx, op(IOCB_CMD_PREAD, fd, (void *)(1ULL << 63), 1, 0)), EFAULT);
	CHECK_EQ(refused(ctx, op(IOCB_CMD_PREADV, fd, BAD_PTR, 1, 0)), EFAULT);
	CHECK_EQ(refused(ctx, op(IOCB_CMD_PREADV, fd, buf, 1025, 0)), EINVAL);
	CHECK_EQ(refused(ctx, op(4, fd, buf, 1, 0)), EINVAL);
	CHECK_EQ(refused(ctx, op(IOCB_CMD_NOOP, fd, buf, 1, 0)), EINVAL);
	CHECK_EQ(refused(ctx, op(9, fd, buf, 1, 0)), EINVAL);
	CHECK_EQ(refused(ctx, op(9, -1, buf, 1, 0)), EBADF);
	CHECK_EQ(refused(ctx, op(IOCB_CMD_FSYNC, fd, buf, 0, 0)), EINVAL);
	CHECK_EQ(refused(ctx, op(IOCB_CMD_FSYNC, fd, NULL, 1, 0)), EINVAL);
	CHECK_EQ(refused(ctx, op(IOCB_CMD_FSYNC, fd, NULL, 0, 1)), EINVAL);
	struct iocb cb = op(IOCB_CMD_PREAD, fd, buf, 1, 0);
	cb.aio_reserved2 = 1;
	CHECK_EQ(refused(ctx, cb), EINVAL);
	cb = op(IOCB_CMD_PREAD, fd, buf, 1, 0);
	cb.aio_rw_flags = 0x40000000;
	CHECK_EQ(refused(ctx, cb), EOPNOTSUPP);
	cb = op(IOCB_CMD_PREAD, fd, buf, 1, 0);
	cb.aio_flags = IOCB_FLAG_RESFD;
	cb.aio_resfd = fd;
	CHECK_EQ(refused(ctx, cb), EINVAL);
	cb.aio_resfd = -1;
	CHECK_EQ(refused(ctx, cb), EBADF);
	int p[2];
	CHECK_OK(pipe(p));
	CHECK_EQ(refused(ctx, op(IOCB_CMD_FSYNC, p[0], NULL, 0, 0)), EINVAL);
	struct io_event e;
	struct timespec none = { 0, 0 };
	CHECK_EQ(getevents(ctx, 0, 1, &e, &none), 0);
}

TEST(several_at_once)
{
	struct iocb cb[4], *list[4];
	struct io_event e[8];
	struct timespec none = { 0, 0 };
	int fd = CHECK_OK(open("f", O_CREAT | O_RDWR, 0600));
	aio_context_t ctx = make(8);
	for (int i = 0; i < 4; i++) {
		cb[i] = op(IOCB_CMD_PWRITE, fd, "0123" + i, 1, i);
		cb[i].aio_data = i;
		list[i] = &cb[i];
	}
	CHECK_EQ(submit(ctx, 4, list), 4);
	CHECK_EQ(getevents(ctx, 2, 3, e, NULL), 3);
	for (int i = 0; i < 3; i++)
		CHECK_EQ(e[i].data, i);
	CHECK_EQ(getevents(ctx, 0, 8, e, &none), 1);
	CHECK_EQ(e[0].data, 3);
	/* The first that is wrong ends it. */
	cb[1].aio_fildes = -1;
	CHECK_EQ(submit(ctx, 4, list), 1);
	CHECK_EQ(getevents(ctx, 0, 8, e, &none), 1);
	CHECK_ERR(submit(ctx, 3, list + 1), EBADF);
	list[1] = BAD_PTR;
	CHECK_EQ(submit(ctx, 2, list), 1);
	CHECK_ERR(submit(ctx, 1, list + 1), EFAULT);
	CHECK_ERR(submit(ctx, 1, BAD_PTR), EFAULT);
	CHECK_EQ(submit(ctx, 0, list), 0);
	CHECK_ERR(submit(ctx, -1, list), EINVAL);
	CHECK_ERR(submit(ctx + 1, 1, list), EINVAL);
	CHECK_ERR(submit(0, 1, list), EINVAL);
}

TEST(an_eventfd_is_told)
{
	uint64_t n;
	int fd = CHECK_OK(open("f", O_CREAT | O_RDWR, 0600)), ev = CHECK_OK(eventfd(0, EFD_NONBLOCK));
	aio_context_t ctx = make(8);
	struct iocb cb = op(IOCB_CMD_PWRITE, fd, "x", 1, 0), *list[2] = { &cb, &cb };
	cb.aio_flags = IOCB_FLAG_RESFD;
	cb.aio_resfd = ev;
	CHECK_EQ(submit(ctx, 2, list), 2);
	CHECK_EQ(read(ev, &n, 8), 8);
	CHECK_EQ(n, 2);
}

TEST(user_space_may_read_the_ring)
{
	struct io_event e;
	struct timespec none = { 0, 0 };
	int fd = CHECK_OK(open("f", O_CREAT | O_RDWR, 0600));
	aio_context_t ctx = make(8);
	volatile struct ring *ring = (void *)ctx;
	CHECK_EQ(ring->magic, 0xa10a10a1);
	CHECK_EQ(ring->compat, 1);
	CHECK_EQ(ring->incompat, 0);
	CHECK_EQ(ring->header, sizeof *ring);
	/* As many as fit into whole pages. */
	size_t used = sizeof *ring + ring->nr * sizeof e;
	CHECK(used % 4096 == 0 || 4096 - used % 4096 < sizeof e);
	CHECK(ring->nr > 8);
	unsigned nr = ring->nr;
	struct iocb cb = op(IOCB_CMD_PWRITE, fd, "x", 1, 0), *list = &cb;
	for (unsigned i = 0; i < nr * 2 + 3; i++) {
		unsigned head = ring->head;
		cb.aio_data = i;
		CHECK_EQ(submit(ctx, 1, &list), 1);
		CHECK_EQ(ring->tail, (head + 1) % nr);
		CHECK_EQ(ring->events[head].data, i);
		CHECK_EQ(ring->events[head].res, 1);
		ring->head = (head + 1) % nr;
	}
	CHECK_EQ(getevents(ctx, 0, 1, &e, &none), 0);
	/* A head that makes no sense harms nobody. */
	ring->head = 0xfffffff0;
	getevents(ctx, 0, 1, &e, &none);
	submit(ctx, 1, &list);
	CHECK_OK(destroy(ctx));
	CHECK_ERR(getevents(ctx, 0, 1, &e, &none), EINVAL);
	CHECK_ERR(mprotect((void *)ctx, 4096, PROT_READ), ENOMEM);
}

TEST(a_full_ring_takes_no_more)
{
	static struct io_event e[8192];
	struct timespec none = { 0, 0 };
	int fd = CHECK_OK(open("f", O_CREAT | O_RDWR, 0600)), n = 0;
	aio_context_t ctx = make(1);
	struct iocb cb = op(IOCB_CMD_PWRITE, fd, "x", 1, 0), *list = &cb;
	while (n < 8192 && submit(ctx, 1, &list) == 1)
		n++;
	CHECK_EQ(errno, EAGAIN);
	CHECK(n > 0 && n < (int)((struct ring *)ctx)->nr);
	CHECK_EQ(getevents(ctx, 0, 8192, e, &none), n);
	CHECK_EQ(submit(ctx, 1, &list), 1);
}

TEST(arguments_of_io_setup)
{
	aio_context_t ctx = 1;
	CHECK_ERR(setup(1, &ctx), EINVAL);
	ctx = 0;
	CHECK_ERR(setup(0, &ctx), EINVAL);
	CHECK_ERR(setup(1, BAD_PTR), EFAULT);
	CHECK_ERR(setup(-1, &ctx), EINVAL);
	CHECK_ERR(setup(0x10000000, &ctx), EINVAL);
	CHECK_ERR(setup(number("/proc/sys/fs/aio-max-nr") + 1, &ctx), EAGAIN);
	CHECK_EQ(ctx, 0);
	CHECK_ERR(destroy(0), EINVAL);
	CHECK_ERR(destroy(1), EINVAL);
	CHECK_ERR(destroy((uintptr_t)&ctx), EINVAL);
}

TEST(they_are_counted)
{
	if (kt_native())
		SKIP("others have contexts here");
	long before = number("/proc/sys/fs/aio-nr"), max = number("/proc/sys/fs/aio-max-nr");
	char text[32];
	CHECK_EQ(max, 65536);
	aio_context_t ctx = make(100), other = 0;
	CHECK_EQ(number("/proc/sys/fs/aio-nr"), before + 100);
	snprintf(text, sizeof text, "%ld", before + 150);
	CHECK_OK(kt_write_file("/proc/sys/fs/aio-max-nr", text));
	int r = setup(51, &other), e = errno;
	int fits = setup(50, &other);
	CHECK_OK(kt_write_file("/proc/sys/fs/aio-max-nr", "65536"));
	CHECK(r == -1 && e == EAGAIN);
	CHECK_EQ(fits, 0);
	CHECK_OK(destroy(other));
	CHECK_EQ(number("/proc/sys/fs/aio-nr"), before + 100);
	/* A child has none of them; those of a process end with it. */
	JOIN(SPAWN({
		CHECK_ERR(destroy(ctx), EINVAL);
		make(7);
		CHECK_EQ(number("/proc/sys/fs/aio-nr"), before + 107);
	}));
	WAIT_FOR(number("/proc/sys/fs/aio-nr") == before + 100);
	JOIN(SPAWN({
		make(9);
		execl("/proc/self/exe", "role:counts", (snprintf(text, sizeof text, "%ld", before + 100), text), NULL);
		_exit(1);
	}));
	CHECK_OK(destroy(ctx));
	CHECK_EQ(number("/proc/sys/fs/aio-nr"), before);
}

ROLE(counts)
{
	WAIT_FOR(number("/proc/sys/fs/aio-nr") == atol(argv[1]));
	return argc != 2;
}

TEST(arguments_of_io_getevents)
{
	struct io_event e;
	struct timespec none = { 0, 0 };
	int fd = CHECK_OK(open("f", O_CREAT | O_RDWR, 0600));
	aio_context_t ctx = make(8);
	CHECK_ERR(getevents(ctx, -1, 1, &e, &none), EINVAL);
	CHECK_ERR(getevents(ctx, 2, 1, &e, &none), EINVAL);
	CHECK_ERR(getevents(ctx, 0, -1, &e, &none), EINVAL);
	CHECK_ERR(getevents(ctx, 0, 1, &e, BAD_PTR), EFAULT);
	CHECK_ERR(getevents(0, 0, 1, &e, &none), EINVAL);
	CHECK_EQ(getevents(ctx, 0, 0, NULL, NULL), 0);
	CHECK_EQ(getevents(ctx, 0, 1, NULL, NULL), 0);
	CHECK_EQ(getevents(ctx, 1, 1, &e, &none), 0);
	struct timespec some = { 0, 20000000 };
	CHECK_EQ(getevents(ctx, 1, 1, &e, &some), 0);
	struct iocb cb = op(IOCB_CMD_PWRITE, fd, "x", 1, 0), *list = &cb;
	CHECK_EQ(submit(ctx, 1, &list), 1);
	CHECK_ERR(getevents(ctx, 1, 1, BAD_PTR, NULL), EFAULT);
	CHECK_EQ(getevents(ctx, 1, 1, &e, NULL), 1);
}

struct other {
	aio_context_t ctx;
	int fd, end;
};

static void *submits(void *arg)
{
	struct other *o = arg;
	kt_sleep_ms(30);
	if (o->end) {
		CHECK_OK(destroy(o->ctx));
		return NULL;
	}
	struct iocb cb = op(IOCB_CMD_PWRITE, o->fd, "x", 1, 0), *list[2] = { &cb, &cb };
	CHECK_EQ(submit(o->ctx, 1, list), 1);
	kt_sleep_ms(30);
	CHECK_EQ(submit(o->ctx, 2, list), 2);
	return NULL;
}

TEST(waiting_for_others)
{
	struct io_event e[8];
	pthread_t t;
	struct other o = { make(8), CHECK_OK(open("f", O_CREAT | O_RDWR, 0600)), 0 };
	CHECK_EQ(pthread_create(&t, NULL, submits, &o), 0);
	int got = CHECK_OK(getevents(o.ctx, 2, 8, e, NULL));
	CHECK(got == 2 || got == 3);
	CHECK_EQ(pthread_join(t, NULL), 0);
	o.end = 1;
	if (got == 2)
		CHECK_EQ(getevents(o.ctx, 1, 8, e, NULL), 1);
	CHECK_EQ(pthread_create(&t, NULL, submits, &o), 0);
	CHECK_ERR(getevents(o.ctx, 1, 8, e, NULL), EINVAL);
	CHECK_EQ(pthread_join(t, NULL), 0);
}

static void nothing(int sig)
{
	(void)sig;
}

TEST(signals_end_the_wait)
{
	struct io_event e;
	struct sigaction sa = { .sa_handler = nothing, .sa_flags = SA_RESTART };
	aio_context_t ctx = make(8);
	CHECK_OK(sigaction(SIGUSR1, &sa, NULL));
	pid_t me = getpid(), child = SPAWN({
		WAIT_FOR(kt_state(me) == 'S');
		kt_sleep_ms(20);
		CHECK_OK(kill(me, SIGUSR1));
	});
	CHECK_ERR(getevents(ctx, 1, 1, &e, NULL), EINTR);
	JOIN(child);
	uint64_t all = ~0ULL, none = 0;
	struct { const void *set; size_t size; } sig = { &none, 8 };
	CHECK_OK(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &all, NULL, 8));
	CHECK_OK(raise(SIGUSR1));
	CHECK_ERR(syscall(SYS_io_pgetevents, ctx, 1, 1, &e, NULL, &sig), EINTR);
	sig.size = 7;
	CHECK_ERR(syscall(SYS_io_pgetevents, ctx, 1, 1, &e, NULL, &sig), EINVAL);
	CHECK_ERR(syscall(SYS_io_pgetevents, ctx, 1, 1, &e, NULL, BAD_PTR), EFAULT);
	struct timespec t = { 0, 0 };
	CHECK_EQ(syscall(SYS_io_pgetevents, ctx, 1, 1, &e, &t, NULL), 0);
}

TEST(nothing_to_cancel)
{
	struct io_event e;
	int fd = CHECK_OK(open("f", O_CREAT | O_RDWR, 0600));
	aio_context_t ctx = make(8);
	struct iocb cb = op(IOCB_CMD_PWRITE, fd, "x", 1, 0);
	CHECK_ERR(syscall(SYS_io_cancel, ctx, &cb, &e), EINVAL);
	CHECK_EQ(run(ctx, &cb), 1);
	CHECK_ERR(syscall(SYS_io_cancel, ctx, &cb, &e), EINVAL);
	CHECK_ERR(syscall(SYS_io_cancel, ctx, BAD_PTR, &e), EFAULT);
	CHECK_ERR(syscall(SYS_io_cancel, 0, &cb, &e), EINVAL);
}
