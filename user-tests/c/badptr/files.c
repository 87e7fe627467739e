/* Bad addresses, lengths and descriptors: calls on files and paths. */
#include "table.h"

TEST(paths)
{
	const struct bad_call table[] = {
		CALL(EFAULT, open, BAD, O_RDONLY),
		CALL(EFAULT, open, KERNEL, O_RDONLY),
		CALL(EFAULT, openat, CWD, BAD, O_RDONLY),
		CALL(EFAULT, openat, NOFD, BAD, O_RDONLY),
		CALL(EFAULT, creat, BAD, 0600),
		CALL(EFAULT, stat, BAD, RO),
		CALL(EFAULT, stat, ROOT, RO),
		CALL(EFAULT, stat, ROOT, KERNEL),
		CALL(EFAULT, lstat, ROOT, BAD),
		CALL(EFAULT, newfstatat, CWD, BAD, RO, 0),
		CALL(EFAULT, statx, CWD, ROOT, 0, 0x7ff, KERNEL),
		CALL(EFAULT, access, BAD, 0),
		CALL(EFAULT, faccessat, CWD, BAD, 0),
		CALL(EFAULT, faccessat2, CWD, BAD, 0, 0),
		CALL(EFAULT, mkdir, BAD, 0700),
		CALL(EFAULT, mkdirat, CWD, BAD, 0700),
		CALL(EFAULT, rmdir, BAD),
		CALL(EFAULT, unlink, BAD),
		CALL(EFAULT, unlinkat, CWD, BAD, 0),
		CALL(EFAULT, rename, BAD, ROOT),
		CALL(EFAULT, rename, ROOT, BAD),
		CALL(EFAULT, renameat2, CWD, BAD, CWD, BAD, 0),
		CALL(EFAULT, link, BAD, ROOT),
		CALL(EFAULT, linkat, CWD, ROOT, CWD, BAD, 0),
		CALL(EFAULT, symlink, BAD, ROOT),
		CALL(EFAULT, symlink, ROOT, BAD),
		CALL(EFAULT, readlink, BAD, RO, 10),
		CALL(EFAULT, chmod, BAD, 0700),
		CALL(EFAULT, fchmodat, CWD, BAD, 0700),
		CALL(EFAULT, chown, BAD, 0, 0),
		CALL(EFAULT, lchown, KERNEL, 0, 0),
		CALL(EFAULT, fchownat, CWD, BAD, 0, 0, 0),
		CALL(EFAULT, truncate, BAD, 0),
		CALL(EFAULT, mknod, BAD, 0600, 0),
		CALL(EFAULT, mknodat, CWD, BAD, 0600, 0),
		CALL(EFAULT, chdir, BAD),
		CALL(EFAULT, chroot, BAD),
		CALL(EFAULT, statfs, BAD, RO),
		CALL(EFAULT, statfs, ROOT, RO),
		CALL(EFAULT, utimensat, CWD, ROOT, BAD, 0),
		CALL(EFAULT, utimensat, CWD, BAD, 0, 0),
		CALL(EFAULT, utimes, ROOT, BAD),
		CALL(EFAULT, utime, ROOT, BAD),
		CALL(EFAULT, getcwd, KERNEL, 100),
		CALL(ERANGE, getcwd, KERNEL, 0),
		CALL(EFAULT, mount, 0, BAD, 0, 0, 0),
		CALL(EFAULT, umount2, BAD, 0),
		CALL(EINVAL, umount2, ROOT, 0x1000),
		CALL(EFAULT, execve, BAD, 0, 0),
		CALL(EBADF, inotify_add_watch, NOFD, BAD, 1),
		CALL(EFAULT, setxattr, BAD, ROOT, 0, 0, 0),
		CALL(EFAULT, getxattr, ROOT, BAD, 0, 0),
		CALL(EFAULT, listxattr, BAD, 0, 0),
	};
	CHECK_CALLS(table);
}

TEST(descriptors_that_are_not_open)
{
	char buf[256];
	const struct bad_call table[] = {
		CALL(EBADF, read, NOFD, (long)buf, 1),
		CALL(EBADF, write, NOFD, (long)buf, 1),
		CALL(EBADF, read, -1, (long)buf, 1),
		CALL(EBADF, read, 0x7fffffff, (long)buf, 1),
		CALL(EBADF, read, NOFD, BAD, 1),
		CALL(EBADF, pread64, NOFD, (long)buf, 1, 0),
		CALL(EBADF, pwrite64, NOFD, (long)buf, 1, 0),
		CALL(EINVAL, pread64, NOFD, (long)buf, 1, -1),
		CALL(EBADF, readv, NOFD, (long)buf, 1),
		CALL(EBADF, writev, NOFD, BAD, 1),
		CALL(EBADF, preadv, NOFD, BAD, 1, 0, 0),
		CALL(EBADF, lseek, NOFD, 0, 0),
		CALL(EBADF, close, NOFD),
		CALL(EBADF, fstat, NOFD, BAD),
		CALL(EBADF, fstatfs, NOFD, BAD),
		CALL(EBADF, ioctl, NOFD, 0x5401, BAD),
		CALL(EBADF, fcntl, NOFD, F_GETFL),
		CALL(EBADF, dup, NOFD),
		CALL(EBADF, dup2, NOFD, 5),
		CALL(EBADF, dup3, NOFD, 5, 0),
		CALL(EBADF, fsync, NOFD),
		CALL(EBADF, fdatasync, NOFD),
		CALL(EBADF, ftruncate, NOFD, 0),
		CALL(EBADF, fallocate, NOFD, 0, 0, 1),
		CALL(EBADF, fadvise64, NOFD, 0, 0, 0),
		CALL(EBADF, readahead, NOFD, 0, 1),
		CALL(EBADF, sync_file_range, NOFD, 0, 1, 0),
		CALL(EBADF, syncfs, NOFD),
		CALL(EBADF, fchdir, NOFD),
		CALL(EBADF, fchmod, NOFD, 0),
		CALL(EBADF, fchown, NOFD, 0, 0),
		CALL(EBADF, flock, NOFD, 1),
		CALL(EBADF, getdents64, NOFD, (long)buf, 256),
		CALL(EBADF, getdents, NOFD, (long)buf, 256),
		CALL(EBADF, openat, NOFD, (long)"x", 0),
		CALL(EBADF, mkdirat, NOFD, (long)"x", 0),
		CALL(EBADF, unlinkat, NOFD, (long)"x", 0),
		CALL(EBADF, readlinkat, NOFD, (long)"x", (long)buf, 10),
		CALL(EBADF, sendfile, NOFD, NOFD, 0, 1),
		CALL(EBADF, splice, NOFD, 0, NOFD, 0, 1, 0),
		CALL(EBADF, tee, NOFD, NOFD, 1, 0),
		CALL(EBADF, vmsplice, NOFD, (long)buf, 1, 0),
		CALL(EBADF, copy_file_range, NOFD, 0, NOFD, 0, 1, 0),
		CALL(EBADF, epoll_ctl, NOFD, 1, NOFD, (long)buf),
		CALL(EBADF, epoll_wait, NOFD, (long)buf, 1, 0),
		CALL(EFAULT, timerfd_settime, NOFD, 0, BAD, 0),
		CALL(EBADF, timerfd_gettime, NOFD, (long)buf),
		CALL(EBADF, inotify_rm_watch, NOFD, 1),
		CALL(EBADF, setns, NOFD, 0),
		CALL(EBADF, fgetxattr, NOFD, (long)"user.x", 0, 0),
		CALL(EBADF, bind, NOFD, BAD, 16),
		CALL(EBADF, connect, NOFD, BAD, 16),
		CALL(EBADF, listen, NOFD, 1),
		CALL(EBADF, accept, NOFD, 0, 0),
		CALL(EBADF, getsockname, NOFD, BAD, BAD),
		CALL(EBADF, shutdown, NOFD, 0),
		CALL(EBADF, sendto, NOFD, (long)buf, 1, 0, 0, 0),
		CALL(EBADF, recvfrom, NOFD, (long)buf, 1, 0, 0, 0),
		CALL(EBADF, pidfd_send_signal, NOFD, 9, 0, 0),
		CALL(EBADF, execveat, NOFD, (long)"x", 0, 0, 0),
	};
	CHECK_CALLS(table);
}

TEST(buffers_of_open_files)
{
	int fd = CHECK_OK(open("f", O_CREAT | O_RDWR, 0600)), end[2];
	char buf[16];
	CHECK_EQ(write(fd, "0123456789", 10), 10);
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	CHECK_OK(pipe(end));
	CHECK_EQ(write(end[1], "x", 1), 1);
	struct {
		void *base;
		unsigned long len;
	} bad = { BAD_PTR, 5 }, huge = { buf, -1UL }, kernel = { (void *)KERNEL, 5 };
	const struct bad_call table[] = {
		CALL(EFAULT, read, fd, BAD, 1),
		CALL(EFAULT, read, fd, RO, 1),
		CALL(EFAULT, read, fd, KERNEL, 1),
		CALL(EFAULT, read, fd, -1, 1),
		CALL(0, read, fd, BAD, 0),
		CALL(EFAULT, write, fd, BAD, 1),
		CALL(EFAULT, write, fd, KERNEL, 1),
		CALL(EFAULT, pread64, fd, RO, 1, 0),
		CALL(EFAULT, pwrite64, fd, BAD, 1, 0),
		CALL(EFAULT, readv, fd, BAD, 1),
		CALL(EFAULT, readv, fd, (long)&bad, 1),
		CALL(EFAULT, writev, fd, (long)&bad, 1),
		CALL(EFAULT, writev, fd, (long)&kernel, 1),
		CALL(EINVAL, readv, fd, (long)&huge, 1),
		CALL(EINVAL, writev, fd, (long)&huge, 1),
		CALL(EINVAL, readv, fd, (long)&bad, 1025),
		CALL(0, readv, fd, BAD, 0),
		CALL(EFAULT, read, end[0], BAD, 1),
		CALL(EFAULT, write, end[1], BAD, 1),
		CALL(EFAULT, fstat, fd, BAD),
		CALL(EFAULT, fstat, fd, RO),
		CALL(EFAULT, fstatfs, fd, KERNEL),
		CALL(EFAULT, ioctl, fd, 0x541b /* FIONREAD */, BAD),
		CALL(EFAULT, fcntl, fd, F_GETLK, BAD),
		CALL(EFAULT, fcntl, fd, F_SETLK, KERNEL),
		CALL(EFAULT, pipe, BAD),
		CALL(EFAULT, pipe2, RO, 0),
		CALL(EFAULT, sendfile, end[1], fd, BAD, 1),
		CALL(EFAULT, poll, BAD, 1, 0),
		CALL(EFAULT, poll, KERNEL, 1, 0),
		CALL(EFAULT, select, 5, BAD, 0, 0, 0),
		CALL(EFAULT, select, 0, 0, 0, 0, BAD),
		CALL(EFAULT, pselect6, 0, 0, 0, 0, BAD, 0),
		CALL(EFAULT, ppoll, 0, 0, BAD, 0, 8),
		CALL(EINVAL, epoll_create, 0),
		CALL(EINVAL, epoll_create1, -1),
		CALL(EFAULT, memfd_create, BAD, 0),
	};
	CHECK_CALLS(table);
	/* A failed read of a pipe has not consumed what was there. */
	CHECK_EQ(read(end[0], buf, 1), 1);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 0);
}

TEST(a_buffer_that_ends_in_the_middle)
{
	char *p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK_OK(munmap(p + 4096, 4096));
	char *edge = p + 4096 - 10;
	int zero = CHECK_OK(open("/dev/zero", O_RDONLY)), end[2];
	memset(p, 'x', 4096);
	/* What fits is done and counted. */
	int fd = CHECK_OK(open("f", O_CREAT | O_RDWR, 0600));
	CHECK_EQ(write(fd, edge, 100), 10);
	CHECK_EQ(lseek(fd, 0, SEEK_CUR), 10);
	CHECK_EQ(lseek(fd, 0, SEEK_SET), 0);
	CHECK_EQ(ftruncate(fd, 100), 0);
	CHECK_EQ(read(fd, edge, 100), 10);
	CHECK_EQ(read(zero, edge, 100), 10);
	CHECK_OK(pipe(end));
	long n = syscall(SYS_write, end[1], edge, 100);
	CHECK(n == 10 || (n == -1 && errno == EFAULT));
	/* Strings must end before the edge. */
	memset(edge, 'y', 10);
	CHECK_ERR(open(edge, O_RDONLY), EFAULT);
	edge[9] = 0;
	CHECK_ERR(open(edge, O_RDONLY), ENOENT);
}
