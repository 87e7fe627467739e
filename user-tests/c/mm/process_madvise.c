/* process_madvise(2): advice about the memory of another process. */
#include <sys/mman.h>
#include <sys/uio.h>

#include "proc.h"
#include "sys.h"

#ifndef MADV_COLD
#define MADV_COLD 20
#define MADV_PAGEOUT 21
#endif

enum { PAGE = 4096 };

static ssize_t advise(int pidfd, struct iovec *iov, size_t n, int advice, unsigned flags)
{
	return syscall(SYS_process_madvise, pidfd, iov, n, advice, flags);
}

static char *memory(int pages)
{
	char *p = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(p != MAP_FAILED);
	memset(p, 'x', pages * PAGE);
	return p;
}

TEST(advice_leaves_what_is_there)
{
	char *p = memory(4);
	pid_t child = SPAWN({
		pause();
	});
	int fd = CHECK_OK(sys_pidfd_open(child, 0)), own = CHECK_OK(sys_pidfd_open(getpid(), 0));
	struct iovec iov[] = { { p, PAGE }, { p + 2 * PAGE, 2 * PAGE } };
	int advices[] = { MADV_COLD, MADV_PAGEOUT, MADV_WILLNEED };
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(advise(fd, iov, 2, advices[i], 0), 3 * PAGE);
		CHECK_EQ(advise(own, iov, 2, advices[i], 0), 3 * PAGE);
	}
	CHECK_EQ(p[0] + p[4 * PAGE - 1], 2 * 'x');
	CHECK_EQ(advise(fd, iov, 0, MADV_COLD, 0), 0);
	/* A part counts up to the first range that fails. */
	CHECK_OK(munmap(p, PAGE));
	CHECK_ERR(advise(own, iov, 2, MADV_COLD, 0), ENOMEM);
	struct iovec turned[] = { iov[1], iov[0] };
	CHECK_EQ(advise(own, turned, 2, MADV_COLD, 0), 2 * PAGE);
	turned[0].iov_base = p + 2 * PAGE + 1;
	CHECK_ERR(advise(own, turned, 1, MADV_COLD, 0), EINVAL);
	kill(child, SIGKILL);
	kt_wait(child);
	CHECK_ERR(advise(fd, iov, 2, MADV_COLD, 0), ESRCH);
}

TEST(what_is_refused)
{
	char *p = memory(1);
	int own = CHECK_OK(sys_pidfd_open(getpid(), 0));
	struct iovec iov = { p, PAGE };
	CHECK_ERR(advise(own, &iov, 1, MADV_COLD, 1), EINVAL);
	CHECK_ERR(advise(own, &iov, 1, MADV_DONTNEED, 0), EINVAL);
	CHECK_ERR(advise(own, &iov, 1, MADV_FREE, 0), EINVAL);
	CHECK_ERR(advise(own, &iov, 1, 1000, 0), EINVAL);
	CHECK_ERR(advise(own, &iov, 1025, MADV_COLD, 0), EINVAL);
	CHECK_ERR(advise(own, BAD_PTR, 1, MADV_COLD, 0), EFAULT);
	CHECK_ERR(advise(-1, &iov, 1, MADV_COLD, 0), EBADF);
	CHECK_ERR(advise(0, &iov, 1, MADV_COLD, 0), EBADF);
	CHECK_ERR(advise(-1, &iov, 1, MADV_DONTNEED, 0), EBADF);
	pid_t parent = getpid();
	int mine = CHECK_OK(sys_pidfd_open(parent, 0));
	JOIN(SPAWN({
		int self = CHECK_OK(sys_pidfd_open(getpid(), 0));
		CHECK_OK(setuid(65534));
		CHECK_ERR(advise(self, &iov, 1, MADV_COLD, 0), EPERM);
		CHECK_ERR(advise(mine, &iov, 1, MADV_COLD, 0), EACCES);
		CHECK_ERR(advise(mine, &iov, 1, MADV_DONTNEED, 0), EINVAL);
	}));
}
