/* memfd_create(2), seals, and memory seen by two processes. */
#include <sys/mman.h>
#include <sys/uio.h>

#include "proc.h"
#include "sys.h"

#define PAGE 4096L

TEST(a_memfd_is_a_file)
{
	char link[128] = "", path[64];
	struct stat st;
	int fd = CHECK_OK(memfd_create("name", MFD_CLOEXEC));
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	CHECK_EQ(write(fd, "abc", 3), 3);
	CHECK_OK(fstat(fd, &st));
	CHECK(S_ISREG(st.st_mode));
	CHECK_EQ(st.st_size, 3);
	CHECK_EQ(st.st_nlink, 0);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	CHECK(readlink(path, link, sizeof link) > 0);
	CHECK(!strncmp(link, "/memfd:name (deleted)", 21));
	int again = CHECK_OK(open(path, O_RDONLY));
	char buf[4] = "";
	CHECK_EQ(read(again, buf, 4), 3);
	CHECK(!strcmp(buf, "abc"));
	char name[300];
	memset(name, 'n', sizeof name);
	name[250] = 0;
	CHECK_ERR(memfd_create(name, 0), EINVAL);
	name[249] = 0;
	CHECK_OK(memfd_create(name, 0));
	CHECK_ERR(memfd_create("x", 0x1000), EINVAL);
	CHECK_ERR(syscall(SYS_memfd_create, BAD_PTR, 0), EFAULT);
}

TEST(seals)
{
	int fd = CHECK_OK(memfd_create("sealed", MFD_ALLOW_SEALING));
	CHECK_EQ(fcntl(fd, F_GET_SEALS), 0);
	CHECK_OK(ftruncate(fd, PAGE));
	CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
	CHECK_ERR(ftruncate(fd, 10), EPERM);
	CHECK_OK(ftruncate(fd, 2 * PAGE));
	CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
	CHECK_ERR(ftruncate(fd, 3 * PAGE), EPERM);
	CHECK_ERR(pwrite(fd, "x", 1, 2 * PAGE), EPERM);
	char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK_ERR(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY);
	CHECK_OK(munmap(p, PAGE));
	CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
	CHECK_ERR(write(fd, "x", 1), EPERM);
	CHECK_ERR(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), EPERM);
	CHECK(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0) != MAP_FAILED);
	CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL));
	CHECK_ERR(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW), EPERM);
	CHECK_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
}

/* What can only read may share a sealed file, and stays so. */
TEST(sealed_files_are_read_through_shared_mappings)
{
	unsigned seals[] = { F_SEAL_WRITE, 0x10 /* F_SEAL_FUTURE_WRITE */ };
	for (int i = 0; i < 2; i++) {
		int fd = CHECK_OK(memfd_create("sealed", MFD_ALLOW_SEALING));
		CHECK_EQ(write(fd, "text", 4), 4);
		char *before = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
		CHECK(before != MAP_FAILED);
		/* It could become writable. */
		CHECK_ERR(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY);
		CHECK_OK(munmap(before, PAGE));
		CHECK_OK(fcntl(fd, F_ADD_SEALS, seals[i]));
		char *p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
		CHECK(p != MAP_FAILED);
		CHECK(!memcmp(p, "text", 4));
		CHECK_ERR(mprotect(p, PAGE, PROT_READ | PROT_WRITE), EACCES);
		CHECK_ERR(mmap(NULL, PAGE, PROT_WRITE, MAP_SHARED, fd, 0), EPERM);
		JOIN(SPAWN(CHECK_ERR(mprotect(p, PAGE, PROT_WRITE), EACCES)));
		/* It keeps nobody from sealing more. */
		CHECK_OK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW));
		CHECK_OK(munmap(p, PAGE));
	}
}

TEST(without_sealing)
{
	int fd = CHECK_OK(memfd_create("plain", 0));
	CHECK_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_SEAL);
	CHECK_ERR(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
	CHECK_ERR(fcntl(fd, F_ADD_SEALS, 0x100), EINVAL);
	int end[2];
	CHECK_OK(pipe(end));
	CHECK_ERR(fcntl(end[0], F_GET_SEALS), EINVAL);
}

TEST(future_write_seal)
{
	int fd = CHECK_OK(memfd_create("future", MFD_ALLOW_SEALING));
	CHECK_OK(ftruncate(fd, PAGE));
	char *p = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK_OK(fcntl(fd, F_ADD_SEALS, 0x10 /* F_SEAL_FUTURE_WRITE */));
	p[0] = 1;
	CHECK_ERR(write(fd, "x", 1), EPERM);
	CHECK_ERR(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), EPERM);
}

TEST(process_vm_reads_and_writes)
{
	static char there[16] = "original";
	char buf[16] = "";
	int end[2];
	char c;
	CHECK_OK(pipe(end));
	pid_t child = SPAWN({
		strcpy(there, "child");
		CHECK_EQ(write(end[1], "x", 1), 1);
		WAIT_FOR(!strcmp(there, "parent"));
	});
	CHECK_EQ(read(end[0], &c, 1), 1);
	struct iovec local = { buf, 16 }, remote = { there, 16 };
	CHECK_EQ(process_vm_readv(child, &local, 1, &remote, 1, 0), 16);
	CHECK(!strcmp(buf, "child"));
	strcpy(buf, "parent");
	CHECK_EQ(process_vm_writev(child, &local, 1, &remote, 1, 0), 16);
	JOIN(child);
	CHECK(!strcmp(there, "original"));
	CHECK_ERR(process_vm_readv(0x3fffffff, &local, 1, &remote, 1, 0), ESRCH);
	remote.iov_base = BAD_PTR;
	CHECK_ERR(process_vm_readv(getpid(), &local, 1, &remote, 1, 0), EFAULT);
	CHECK_ERR(process_vm_readv(getpid(), &local, 1, &remote, 1, 1), EINVAL);
}

TEST(the_memory_file_of_proc)
{
	static char there[16] = "abc";
	char buf[4] = "";
	int fd = CHECK_OK(open("/proc/self/mem", O_RDWR));
	CHECK_EQ(pread(fd, buf, 3, (off_t)(long)there), 3);
	CHECK(!strcmp(buf, "abc"));
	CHECK_EQ(pwrite(fd, "xyz", 3, (off_t)(long)there), 3);
	CHECK(!strcmp(there, "xyz"));
	CHECK_ERR(pread(fd, buf, 3, 8), EIO);
}

TEST(membarrier_commands)
{
	int commands = syscall(SYS_membarrier, 0, 0, 0);
	if (commands < 0) {
		CHECK_EQ(errno, ENOSYS);
		return;
	}
	CHECK(commands & 1);
	CHECK_OK(syscall(SYS_membarrier, 1, 0, 0));
	CHECK_ERR(syscall(SYS_membarrier, 1 << 30, 0, 0), EINVAL);
	CHECK_ERR(syscall(SYS_membarrier, 0, 77, 0), EINVAL);
	CHECK_ERR(syscall(SYS_membarrier, 8 /* unregistered */, 0, 0), EPERM);
	CHECK_OK(syscall(SYS_membarrier, 16, 0, 0));
	CHECK_OK(syscall(SYS_membarrier, 8, 0, 0));
}
