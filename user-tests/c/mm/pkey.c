/* pkey_alloc(2), pkey_free(2), pkey_mprotect(2): memory protection keys, which not every CPU has. */
#include "ktest.h"
#include "proc.h"

#include <sys/mman.h>

#define PAGE 4096

static long alloc(unsigned long flags, unsigned long rights)
{
	return syscall(SYS_pkey_alloc, flags, rights);
}

static long protect(void *addr, size_t len, int prot, int key)
{
	return syscall(SYS_pkey_mprotect, addr, len, prot, key);
}

TEST(keys_are_there_if_the_cpu_has_them)
{
	static char text[65536];
	CHECK_ERR(alloc(1, 0), EINVAL);
	CHECK_ERR(alloc(0, 4), EINVAL);
	CHECK_ERR(syscall(SYS_pkey_free, -1), EINVAL);
	CHECK_ERR(syscall(SYS_pkey_free, 7), EINVAL);
	CHECK_ERR(syscall(SYS_pkey_free, 100), EINVAL);
	CHECK(kt_read_file("/proc/cpuinfo", text, sizeof text) > 0);
	if (!strstr(text, " ospke"))
		CHECK_ERR(alloc(0, 0), ENOSPC);
	else
		CHECK(CHECK_OK(alloc(0, 0)) > 0);
}

TEST(no_key_is_mprotect)
{
	char *mem = mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK_OK(protect(mem, PAGE, PROT_READ | PROT_WRITE, -1));
	mem[0] = 1;
	CHECK_ERR(protect(mem, PAGE, PROT_READ, 9), EINVAL);
	CHECK_ERR(protect(mem, PAGE, PROT_READ, -2), EINVAL);
	mem[0] = 2;
	CHECK_ERR(protect(mem + 1, PAGE, PROT_READ, -1), EINVAL);
	CHECK_OK(protect(mem, 0, PROT_READ, 9));
	CHECK_ERR(protect(mem, PAGE, 0x100, -1), EINVAL);
	CHECK_OK(munmap(mem + PAGE, PAGE));
	CHECK_ERR(protect(mem, 2 * PAGE, PROT_READ, -1), ENOMEM);
}
