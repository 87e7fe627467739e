/* swapon(2), swapoff(2): what cannot be swapped to. */
#include "ktest.h"
#include "ns.h"

#include <sys/swap.h>

TEST(swap_needs_a_device_or_a_file_that_can)
{
	kt_make_file("f", "text", 0600);
	CHECK_ERR(syscall(SYS_swapon, "f", 0x100000), EINVAL);
	CHECK_ERR(syscall(SYS_swapon, "none", 0), ENOENT);
	CHECK_ERR(syscall(SYS_swapon, BAD_PTR, 0), EFAULT);
	CHECK_ERR(syscall(SYS_swapon, "/dev/null", 0), EINVAL);
	CHECK_ERR(syscall(SYS_swapon, "f", 0), EINVAL);
	CHECK_ERR(syscall(SYS_swapoff, "f"), EINVAL);
	CHECK_ERR(syscall(SYS_swapoff, "/dev/null"), EINVAL);
	CHECK_ERR(syscall(SYS_swapoff, "none"), ENOENT);
	CHECK_ERR(syscall(SYS_swapoff, BAD_PTR), EFAULT);
	become(9);
	CHECK_ERR(syscall(SYS_swapon, "none", 0), EPERM);
	CHECK_ERR(syscall(SYS_swapon, "none", 0x100000), EINVAL);
	CHECK_ERR(syscall(SYS_swapoff, "none"), EPERM);
}
