/* What a new program finds: the auxiliary vector, its stack, its vDSO. */
#include <elf.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/time.h>

#include "proc.h"

TEST(auxiliary_vector)
{
	CHECK_EQ(getauxval(AT_PAGESZ), 4096);
	CHECK_EQ(getauxval(AT_CLKTCK), 100);
	CHECK_EQ(getauxval(AT_UID), getuid());
	CHECK_EQ(getauxval(AT_EUID), geteuid());
	CHECK_EQ(getauxval(AT_GID), getgid());
	CHECK_EQ(getauxval(AT_EGID), getegid());
	CHECK_EQ(getauxval(AT_SECURE), 0);
	CHECK_EQ(getauxval(AT_BASE), 0);
	CHECK_EQ(getauxval(AT_FLAGS), 0);
	CHECK_EQ(getauxval(AT_PHENT), sizeof(Elf64_Phdr));
	CHECK(getauxval(AT_ENTRY) != 0);
	CHECK(getauxval(AT_HWCAP) != 0);
	CHECK(!strcmp((char *)getauxval(AT_PLATFORM), "x86_64"));
	CHECK(getauxval(AT_EXECFN) != 0);
	CHECK(strstr((char *)getauxval(AT_EXECFN), "image"));
}

TEST(program_headers_are_mapped)
{
	Elf64_Phdr *ph = (Elf64_Phdr *)getauxval(AT_PHDR);
	int loads = 0;
	for (unsigned long i = 0; i < getauxval(AT_PHNUM); i++)
		loads += ph[i].p_type == PT_LOAD;
	CHECK(loads >= 1);
}

TEST(random_bytes_differ)
{
	unsigned char *mine = (unsigned char *)getauxval(AT_RANDOM);
	int end[2];
	unsigned char theirs[16];
	CHECK(mine != NULL);
	CHECK_OK(pipe(end));
	JOIN(SPAWN({
		dup2(end[1], 1);
		execl("/proc/self/exe", "role:random", NULL);
		_exit(120);
	}));
	CHECK_EQ(read(end[0], theirs, 16), 16);
	CHECK(memcmp(mine, theirs, 16));
}

ROLE(random)
{
	return write(1, (void *)getauxval(AT_RANDOM), 16) != 16;
}

TEST(proc_auxv_agrees)
{
	unsigned long v[128];
	int fd = CHECK_OK(open("/proc/self/auxv", O_RDONLY));
	ssize_t n = CHECK_OK(read(fd, v, sizeof v));
	CHECK(n >= 16 && n % 16 == 0);
	int seen = 0;
	for (int i = 0; i < n / 8; i += 2)
		if (v[i] == AT_PAGESZ) {
			CHECK_EQ(v[i + 1], 4096);
			seen = 1;
		}
	CHECK(seen);
	CHECK_EQ(v[n / 8 - 2], AT_NULL);
}

/* The C library's clock_gettime takes the vDSO if there is one; compare both. */
TEST(vdso_and_call_agree)
{
	struct timespec a, b, c;
	static const clockid_t clocks[] = { CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME,
					    CLOCK_MONOTONIC_RAW, CLOCK_REALTIME_COARSE,
					    CLOCK_MONOTONIC_COARSE };
	for (unsigned i = 0; i < sizeof clocks / sizeof *clocks; i++) {
		for (int n = 0; n < 100; n++) {
			CHECK_OK(syscall(SYS_clock_gettime, clocks[i], &a));
			CHECK_OK(clock_gettime(clocks[i], &b));
			CHECK_OK(syscall(SYS_clock_gettime, clocks[i], &c));
			CHECK(a.tv_sec < b.tv_sec || (a.tv_sec == b.tv_sec && a.tv_nsec <= b.tv_nsec));
			CHECK(b.tv_sec < c.tv_sec || (b.tv_sec == c.tv_sec && b.tv_nsec <= c.tv_nsec));
		}
	}
	struct timeval tv;
	CHECK_OK(gettimeofday(&tv, NULL));
	CHECK_OK(syscall(SYS_clock_gettime, CLOCK_REALTIME, &a));
	CHECK(a.tv_sec - tv.tv_sec <= 1);
	CHECK(a.tv_sec - time(NULL) <= 1);
}

TEST(vdso_is_an_elf_image)
{
	unsigned long at = getauxval(AT_SYSINFO_EHDR);
	CHECK(at != 0);
	Elf64_Ehdr *eh = (Elf64_Ehdr *)at;
	CHECK(!memcmp(eh->e_ident, ELFMAG, 4));
	CHECK_EQ(eh->e_type, ET_DYN);
	CHECK_EQ(eh->e_machine, EM_X86_64);
	Elf64_Phdr *ph = (Elf64_Phdr *)(at + eh->e_phoff);
	Elf64_Dyn *dyn = NULL;
	for (int i = 0; i < eh->e_phnum; i++)
		if (ph[i].p_type == PT_DYNAMIC)
			dyn = (Elf64_Dyn *)(at + ph[i].p_offset);
	CHECK(dyn != NULL);
	Elf64_Sym *sym = NULL;
	const char *str = NULL;
	unsigned symbols = 0;
	for (; dyn->d_tag != DT_NULL; dyn++) {
		if (dyn->d_tag == DT_SYMTAB)
			sym = (Elf64_Sym *)(at + dyn->d_un.d_ptr);
		if (dyn->d_tag == DT_STRTAB)
			str = (char *)(at + dyn->d_un.d_ptr);
		if (dyn->d_tag == DT_HASH)
			symbols = ((uint32_t *)(at + dyn->d_un.d_ptr))[1];
	}
	CHECK(sym && str && symbols);
	static const char *const names[] = { "__vdso_clock_gettime", "__vdso_gettimeofday",
					     "__vdso_time", "__vdso_getcpu" };
	for (int n = 0; n < 4; n++) {
		int found = 0;
		for (unsigned i = 0; i < symbols; i++)
			found |= !strcmp(str + sym[i].st_name, names[n]);
		if (!found)
			kt_say("# missing %s\n", names[n]);
		CHECK(found);
	}
}

TEST(the_stack_is_aligned_and_registers_are_clean)
{
	/* musl's start code would have crashed on SSE moves otherwise. */
	double a = 1.5, b;
	__asm__ volatile("movsd %1, %%xmm0\n\tmovsd %%xmm0, %0" : "=m"(b) : "m"(a) : "xmm0");
	CHECK(a == b);
	unsigned mxcsr;
	__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
	CHECK_EQ(mxcsr & 0xffc0, 0x1f80);
}

TEST(sections_of_the_address_space)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	int stack = 0, text = 0, vdso = 0, writable_code = 0;
	CHECK(maps != NULL);
	while (fgets(line, sizeof line, maps)) {
		stack += strstr(line, "[stack]") != NULL;
		vdso += strstr(line, "[vdso]") != NULL;
		text += strstr(line, "r-xp") && strstr(line, "/image");
		writable_code += strstr(line, "rwx") != NULL;
	}
	CHECK_EQ(stack, 1);
	CHECK_EQ(vdso, 1);
	CHECK(text >= 1);
	CHECK_EQ(writable_code, 0);
}
