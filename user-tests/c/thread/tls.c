/* arch_prctl(2), set_tid_address(2), FPU state of threads. */
#include <asm/prctl.h>
#include <pthread.h>

#include "proc.h"
#include "sys.h"

TEST(fs_and_gs_bases)
{
	unsigned long fs, gs = 1, back;
	CHECK_OK(syscall(SYS_arch_prctl, ARCH_GET_FS, &fs));
	CHECK(fs != 0);
	__asm__("mov %%fs:0, %0" : "=r"(back));
	CHECK_EQ(back, fs);
	CHECK_OK(syscall(SYS_arch_prctl, ARCH_GET_GS, &gs));
	CHECK_EQ(gs, 0);
	static unsigned long cell = 0x1234;
	CHECK_OK(syscall(SYS_arch_prctl, ARCH_SET_GS, &cell));
	__asm__("mov %%gs:0, %0" : "=r"(back));
	CHECK_EQ(back, 0x1234);
	JOIN(SPAWN({
		__asm__("mov %%gs:0, %0" : "=r"(back));
		CHECK_EQ(back, 0x1234);
	}));
	sched_yield();
	kt_sleep_ms(10);
	CHECK_OK(syscall(SYS_arch_prctl, ARCH_GET_GS, &gs));
	CHECK_EQ(gs, (unsigned long)&cell);
}

TEST(wrong_bases)
{
	CHECK_ERR(syscall(SYS_arch_prctl, ARCH_SET_GS, 0x8000000000000000), EPERM);
	CHECK_ERR(syscall(SYS_arch_prctl, ARCH_SET_FS, 0xffffffff80000000), EPERM);
	CHECK_ERR(syscall(SYS_arch_prctl, ARCH_GET_FS, BAD_PTR), EFAULT);
	CHECK_ERR(syscall(SYS_arch_prctl, 0x9999, 0), EINVAL);
}

TEST(set_tid_address_answers_the_tid)
{
	static int cell;
	CHECK_EQ(syscall(SYS_set_tid_address, &cell), sys_gettid());
	CHECK_EQ(syscall(SYS_set_tid_address, BAD_PTR), sys_gettid());
}

static void *churn(void *arg)
{
	double mine = (double)(long)arg, sum = 0;
	for (int i = 0; i < 2000; i++) {
		double before = mine * i;
		if (i % 50 == 0)
			sched_yield();
		sum += before / (i + 1);
		double again = mine * i;
		CHECK(before == again);
	}
	/* Every thread must come to the same sum for the same number. */
	double check = 0;
	for (int i = 0; i < 2000; i++)
		check += mine * i / (i + 1);
	CHECK(check == sum);
	return NULL;
}

TEST(floating_point_state_is_per_thread)
{
	pthread_t t[6];
	for (long i = 0; i < 6; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, churn, (void *)(i + 1)), 0);
	for (int i = 0; i < 6; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
}

TEST(vector_registers_survive_switches)
{
	for (int n = 0; n < 4; n++)
		SPAWN({
			unsigned long in[2] = { 0x1111111111111111UL * (n + 1), ~0UL - n };
			unsigned long out[2];
			for (int i = 0; i < 300; i++) {
				long yield = SYS_sched_yield;
				__asm__ volatile("movdqu %1, %%xmm9\n\tsyscall\n\tmovdqu %%xmm9, %0"
						 : "=m"(out), "+m"(in), "+a"(yield)
						 : : "rcx", "r11", "xmm9", "memory");
				CHECK(!memcmp(in, out, sizeof in));
			}
		});
	for (int n = 0; n < 4; n++) {
		int status;
		CHECK(wait(&status) > 0);
		CHECK_EQ(status, 0);
	}
}

TEST(control_words_are_inherited_and_kept)
{
	unsigned mxcsr = 0x1f80 | 0x6000, now;
	__asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
	kt_sleep_ms(5);
	__asm__ volatile("stmxcsr %0" : "=m"(now));
	CHECK_EQ(now & 0x6000, 0x6000);
	JOIN(SPAWN({
		__asm__ volatile("stmxcsr %0" : "=m"(now));
		CHECK_EQ(now & 0x6000, 0x6000);
	}));
}
