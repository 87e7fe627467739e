/* membarrier(2). */
#include "ktest.h"
#include "proc.h"

#define PRIVATE 8
#define REGISTER_PRIVATE 16
#define SYNC_CORE 32
#define REGISTER_SYNC_CORE 64
#define RSEQ 128
#define REGISTER_RSEQ 256
#define FLAG_CPU 1

static int membarrier(int cmd, unsigned flags, int cpu)
{
	return syscall(SYS_membarrier, cmd, flags, cpu);
}

TEST(all_commands_are_there)
{
	CHECK_EQ(CHECK_OK(membarrier(0, 0, 0)) & 511, 511);
	CHECK_OK(membarrier(1, 0, 0));
	CHECK_OK(membarrier(2, 0, 0));
	CHECK_OK(membarrier(4, 0, 0));
	CHECK_ERR(membarrier(1 << 30, 0, 0), EINVAL);
	CHECK_ERR(membarrier(3, 0, 0), EINVAL);
}

TEST(each_private_kind_is_registered)
{
	CHECK_ERR(membarrier(PRIVATE, 0, 0), EPERM);
	CHECK_ERR(membarrier(SYNC_CORE, 0, 0), EPERM);
	CHECK_ERR(membarrier(RSEQ, 0, 0), EPERM);
	CHECK_OK(membarrier(REGISTER_SYNC_CORE, 0, 0));
	CHECK_OK(membarrier(SYNC_CORE, 0, 0));
	CHECK_ERR(membarrier(PRIVATE, 0, 0), EPERM);
	CHECK_ERR(membarrier(RSEQ, 0, 0), EPERM);
	CHECK_OK(membarrier(REGISTER_RSEQ, 0, 0));
	CHECK_OK(membarrier(RSEQ, 0, 0));
	CHECK_OK(membarrier(REGISTER_PRIVATE, 0, 0));
	CHECK_OK(membarrier(PRIVATE, 0, 0));
	for (int i = 0; i < 100; i++)
		CHECK_OK(membarrier(i % 2 ? SYNC_CORE : RSEQ, 0, 0));
}

ROLE(unregistered)
{
	(void)argv;
	CHECK_ERR(membarrier(PRIVATE, 0, 0), EPERM);
	return argc != 1;
}

TEST(registration_is_of_the_address_space)
{
	CHECK_OK(membarrier(REGISTER_PRIVATE, 0, 0));
	JOIN(SPAWN(CHECK_OK(membarrier(PRIVATE, 0, 0))));
	JOIN(SPAWN({
		char *argv[] = { "role:unregistered", NULL };
		execv("/proc/self/exe", argv);
		_exit(1);
	}));
	JOIN(SPAWN(CHECK_OK(membarrier(REGISTER_RSEQ, 0, 0))));
	CHECK_ERR(membarrier(RSEQ, 0, 0), EPERM);
}

TEST(one_cpu)
{
	CHECK_OK(membarrier(REGISTER_RSEQ, 0, 0));
	CHECK_OK(membarrier(RSEQ, FLAG_CPU, 0));
	CHECK_OK(membarrier(RSEQ, FLAG_CPU, 9999));
	CHECK_OK(membarrier(RSEQ, FLAG_CPU, -1));
	CHECK_ERR(membarrier(RSEQ, 2, 0), EINVAL);
	CHECK_ERR(membarrier(PRIVATE, FLAG_CPU, 0), EINVAL);
	CHECK_ERR(membarrier(SYNC_CORE, FLAG_CPU, 0), EINVAL);
	CHECK_ERR(membarrier(REGISTER_RSEQ, FLAG_CPU, 0), EINVAL);
	CHECK_ERR(membarrier(0, FLAG_CPU, 0), EINVAL);
}
