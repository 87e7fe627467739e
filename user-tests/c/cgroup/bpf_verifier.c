/* What BPF_PROG_LOAD takes and what it refuses: bpf(2), Documentation/bpf/verifier.rst. */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <sys/mman.h>

#include "ebpf.h"
#include "ktest.h"
#include "ns.h"

#define ACCEPTED(...)                                                          \
	do {                                                                   \
		int fd_ = bpf_load(PROG(__VA_ARGS__));                         \
		if (fd_ < 0)                                                   \
			KT_FAIL("refused: %s", bpf_log);                       \
		close(fd_);                                                    \
	} while (0)

/* Refused with this errno, and the log has this line. */
#define REFUSED(error, line, ...)                                              \
	do {                                                                   \
		CHECK_ERR(bpf_load(PROG(__VA_ARGS__)), error);                 \
		if (!strstr(bpf_log, line "\n"))                               \
			KT_FAIL("no `%s` in: %s", line, bpf_log);              \
	} while (0)

TEST(the_shortest_programs)
{
	ACCEPTED(MOV64_K(0, 0), EXIT());
	ACCEPTED(MOV64_K(0, 1), EXIT());
	ACCEPTED(LD_IMM64(0, 1), EXIT());
}

TEST(the_answer_is_0_or_1)
{
	REFUSED(EINVAL, "At program exit the register R0 has value (0x2; 0x0) should have been in (0x0; 0x1)",
		MOV64_K(0, 2), EXIT());
	REFUSED(EACCES, "R0 !read_ok", EXIT());
	REFUSED(EINVAL, "At program exit the register R0 is not a known value (ctx)", MOV64_X(0, 1), EXIT());
	ACCEPTED(LDX(W, 0, 1, 4), ALU64_K(AND, 0, 1), EXIT());
	ACCEPTED(LDX(W, 0, 1, 4), JMP_K(JGT, 0, 1, 1), EXIT(), MOV64_K(0, 1), EXIT());
	ACCEPTED(LDX(W, 0, 1, 4), ALU32_K(RSH, 0, 31), EXIT());
	REFUSED(EINVAL, "At program exit the register R0 has value (0x0; 0xffffffff) should have been in (0x0; 0x1)",
		LDX(W, 0, 1, 4), EXIT());
}

TEST(registers)
{
	REFUSED(EACCES, "R2 !read_ok", MOV64_X(0, 2), EXIT());
	REFUSED(EACCES, "frame pointer is read only", MOV64_K(10, 0), MOV64_K(0, 0), EXIT());
	REFUSED(EINVAL, "R11 is invalid", MOV64_K(11, 0), MOV64_K(0, 0), EXIT());
	REFUSED(EINVAL, "R15 is invalid", MOV64_X(0, 15), MOV64_K(0, 0), EXIT());
}

TEST(jumps)
{
	REFUSED(EINVAL, "jump out of range from insn 1 to 5", MOV64_K(0, 0), JA(3), EXIT());
	REFUSED(EINVAL, "jump out of range from insn 1 to -1", MOV64_K(0, 0), JMP_K(JEQ, 0, 0, -3), EXIT());
	REFUSED(EINVAL, "unreachable insn 2", MOV64_K(0, 0), EXIT(), MOV64_K(0, 1), EXIT());
	REFUSED(EINVAL, "last insn is not an exit or jmp", MOV64_K(0, 0));
	REFUSED(EINVAL, "last insn is not an exit or jmp", MOV64_K(0, 0), JMP_K(JEQ, 0, 0, -2));
	CHECK_ERR(bpf_load(PROG(JA(1), LD_IMM64(0, 1), EXIT())), EINVAL);
}

TEST(loops)
{
	REFUSED(EINVAL, "infinite loop detected at insn 1", MOV64_K(0, 0), JA(-1));
	CHECK_ERR(bpf_load(PROG(LDX(W, 0, 1, 4), JMP_K(JNE, 0, 5, -1), MOV64_K(0, 0), EXIT())), EINVAL);
	ACCEPTED(MOV64_K(0, 0), MOV64_K(2, 0), ALU64_K(ADD, 2, 1), JMP_K(JNE, 2, 100, -2), EXIT());
	ACCEPTED(MOV64_K(0, 0), MOV64_K(2, 1000), ALU32_K(SUB, 2, 1), JMP32_K(JSGT, 2, 0, -2), EXIT());
	REFUSED(E2BIG, "BPF program is too large. Processed 1000001 insn", MOV64_K(0, 0), MOV64_K(2, 0),
		ALU64_K(ADD, 2, 1), JMP_K(JNE, 2, 1000000, -2), EXIT());
}

TEST(words_of_the_context)
{
	ACCEPTED(LDX(W, 2, 1, 0), LDX(W, 3, 1, 4), LDX(W, 4, 1, 8), MOV64_K(0, 1), EXIT());
	ACCEPTED(LDX(H, 2, 1, 0), LDX(H, 2, 1, 2), LDX(B, 2, 1, 0), LDX(B, 2, 1, 3), MOV64_K(0, 1), EXIT());
	REFUSED(EACCES, "invalid bpf_context access off=4 size=2", LDX(H, 2, 1, 4), MOV64_K(0, 1), EXIT());
	REFUSED(EACCES, "invalid bpf_context access off=8 size=1", LDX(B, 2, 1, 8), MOV64_K(0, 1), EXIT());
	REFUSED(EACCES, "invalid bpf_context access off=0 size=8", LDX(DW, 2, 1, 0), MOV64_K(0, 1), EXIT());
	REFUSED(EACCES, "invalid bpf_context access off=2 size=4", LDX(W, 2, 1, 2), MOV64_K(0, 1), EXIT());
	REFUSED(EACCES, "invalid bpf_context access off=12 size=4", LDX(W, 2, 1, 12), MOV64_K(0, 1), EXIT());
	REFUSED(EACCES, "invalid bpf_context access off=-4 size=4", LDX(W, 2, 1, -4), MOV64_K(0, 1), EXIT());
	REFUSED(EACCES, "invalid bpf_context access off=0 size=4", MOV64_K(0, 1), STX(W, 1, 0, 0), EXIT());
	REFUSED(EACCES, "BPF_ST stores into R1 ctx is not allowed", MOV64_K(0, 1), ST(W, 1, 0, 0), EXIT());
	REFUSED(EACCES, "dereference of modified ctx ptr R1 off=4 disallowed", ALU64_K(ADD, 1, 4), LDX(W, 2, 1, 0),
		MOV64_K(0, 1), EXIT());
	REFUSED(EACCES, "R0 invalid mem access 'scalar'", MOV64_K(0, 1), LDX(W, 2, 0, 0), EXIT());
}

TEST(the_stack)
{
	ACCEPTED(ST(DW, 10, -8, 1), LDX(DW, 0, 10, -8), EXIT());
	ACCEPTED(ST(DW, 10, -512, 1), LDX(DW, 0, 10, -512), EXIT());
	ACCEPTED(ST(W, 10, -4, 1), LDX(W, 0, 10, -4), ALU64_K(AND, 0, 1), EXIT());
	ACCEPTED(MOV64_X(2, 10), ALU64_K(ADD, 2, -16), ST(DW, 2, 8, 1), LDX(DW, 0, 10, -8), EXIT());
	ACCEPTED(STX(DW, 10, 1, -8), LDX(DW, 2, 10, -8), LDX(W, 0, 2, 4), MOV64_K(0, 1), EXIT());
	REFUSED(EACCES, "invalid write to stack R10 off=-520 size=8", ST(DW, 10, -520, 1), MOV64_K(0, 0), EXIT());
	REFUSED(EACCES, "invalid write to stack R10 off=0 size=8", ST(DW, 10, 0, 1), MOV64_K(0, 0), EXIT());
	REFUSED(EACCES, "misaligned stack access off (0x0; 0x0)+0+-7 size 4", ST(W, 10, -7, 1), MOV64_K(0, 0), EXIT());
}

TEST(arithmetic)
{
	REFUSED(EINVAL, "div by zero", MOV64_K(0, 1), ALU64_K(DIV, 0, 0), EXIT());
	REFUSED(EINVAL, "div by zero", MOV64_K(0, 1), ALU32_K(MOD, 0, 0), EXIT());
	REFUSED(EINVAL, "invalid shift 64", MOV64_K(0, 1), ALU64_K(LSH, 0, 64), EXIT());
	REFUSED(EINVAL, "invalid shift 32", MOV64_K(0, 1), ALU32_K(RSH, 0, 32), EXIT());
	REFUSED(EINVAL, "invalid shift -1", MOV64_K(0, 1), ALU64_K(ARSH, 0, -1), EXIT());
	REFUSED(EINVAL, "unknown opcode ff", RAW(0xff, 0, 0, 0, 0), EXIT());
	REFUSED(EINVAL, "BPF_MOV uses reserved fields", RAW(0xb7, 0, 0, 1, 0), EXIT());
	REFUSED(EINVAL, "BPF_ALU uses reserved fields", MOV64_K(0, 0), RAW(0x07, 0, 1, 0, 0), EXIT());
	REFUSED(EINVAL, "BPF_EXIT uses reserved fields", MOV64_K(0, 0), RAW(0x95, 0, 0, 0, 1));
	REFUSED(EINVAL, "BPF_LDX uses reserved fields", RAW(0x61, 0, 1, 0, 1), EXIT());
	REFUSED(EINVAL, "invalid bpf_ld_imm64 insn", MOV64_K(0, 0), RAW(0x18, 0, 0, 0, 0), EXIT());
	REFUSED(EACCES, "R2 bitwise operator &= on pointer prohibited", MOV64_X(2, 10), ALU64_K(AND, 2, 7),
		MOV64_K(0, 0), EXIT());
	REFUSED(EACCES, "R2 pointer += pointer prohibited", MOV64_X(2, 10), ALU64_X(ADD, 2, 1), MOV64_K(0, 0), EXIT());
}

TEST(calls)
{
	ACCEPTED(CALL(BPF_FUNC_ktime_get_ns), ALU64_K(AND, 0, 1), EXIT());
	ACCEPTED(CALL(BPF_FUNC_get_prandom_u32), ALU64_K(AND, 0, 1), EXIT());
	ACCEPTED(CALL(BPF_FUNC_get_smp_processor_id), ALU64_K(AND, 0, 1), EXIT());
	ACCEPTED(CALL(BPF_FUNC_get_current_uid_gid), ALU64_K(AND, 0, 1), EXIT());
	ACCEPTED(CALL(BPF_FUNC_get_current_pid_tgid), ALU64_K(AND, 0, 1), EXIT());
	ACCEPTED(CALL(BPF_FUNC_get_current_cgroup_id), ALU64_K(AND, 0, 1), EXIT());
	ACCEPTED(CALL(BPF_FUNC_get_retval), ALU64_K(AND, 0, 1), EXIT());
	ACCEPTED(MOV64_X(1, 10), ALU64_K(ADD, 1, -16), MOV64_K(2, 16), CALL(BPF_FUNC_get_current_comm),
		 LDX(B, 0, 10, -16), ALU64_K(AND, 0, 1), EXIT());
	REFUSED(EINVAL, "invalid func unknown#1000000", CALL(1000000), EXIT());
	REFUSED(EINVAL, "unknown func bpf_skb_load_bytes#26", CALL(BPF_FUNC_skb_load_bytes), EXIT());
	/* The arguments are gone, the others stay. */
	REFUSED(EACCES, "R1 !read_ok", CALL(BPF_FUNC_ktime_get_ns), MOV64_X(0, 1), EXIT());
	ACCEPTED(MOV64_K(6, 1), CALL(BPF_FUNC_ktime_get_ns), MOV64_X(0, 6), EXIT());
	REFUSED(EINVAL, "BPF_LD_[ABS|IND] instructions not allowed for this program type",
		RAW(BPF_LD | BPF_ABS | BPF_W, 0, 0, 0, 0), EXIT());
}

TEST(atomics)
{
	ACCEPTED(ST(DW, 10, -8, 0), MOV64_K(2, 1), ATOMIC(DW, 10, 2, -8, BPF_ADD), MOV64_K(0, 0), EXIT());
	ACCEPTED(ST(W, 10, -8, 0), MOV64_K(2, 1), ATOMIC(W, 10, 2, -8, BPF_XCHG), MOV64_K(0, 0), EXIT());
	REFUSED(EACCES, "BPF_ATOMIC stores into R1 ctx is not allowed", MOV64_K(2, 1), ATOMIC(W, 1, 2, 0, BPF_ADD),
		MOV64_K(0, 0), EXIT());
	REFUSED(EINVAL, "unknown opcode d3", ST(DW, 10, -8, 0), MOV64_K(2, 1), ATOMIC(B, 10, 2, -8, BPF_ADD),
		MOV64_K(0, 0), EXIT());
	REFUSED(EINVAL, "BPF_ATOMIC uses invalid atomic opcode 02", ST(DW, 10, -8, 0), MOV64_K(2, 1),
		ATOMIC(DW, 10, 2, -8, 2), MOV64_K(0, 0), EXIT());
}

TEST(the_attributes)
{
	struct bpf_insn code[] = { MOV64_K(0, 1), EXIT() };
	union bpf_attr attr = bpf_load_attr(code, 2);
	int fd = CHECK_OK(sys_bpf(BPF_PROG_LOAD, &attr, sizeof attr));
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	attr = bpf_load_attr(code, 0);
	CHECK_ERR(sys_bpf(BPF_PROG_LOAD, &attr, sizeof attr), E2BIG);
	attr = bpf_load_attr(code, 1000001);
	CHECK_ERR(sys_bpf(BPF_PROG_LOAD, &attr, sizeof attr), E2BIG);
	attr = bpf_load_attr(BAD_PTR, 2);
	CHECK_ERR(sys_bpf(BPF_PROG_LOAD, &attr, sizeof attr), EFAULT);
	attr = bpf_load_attr(code, 2);
	attr.license = 0;
	CHECK_ERR(sys_bpf(BPF_PROG_LOAD, &attr, sizeof attr), EFAULT);
	attr = bpf_load_attr(code, 2);
	attr.prog_flags = 1u << 31;
	CHECK_ERR(sys_bpf(BPF_PROG_LOAD, &attr, sizeof attr), EINVAL);
	attr = bpf_load_attr(code, 2);
	attr.prog_type = 1000;
	CHECK_ERR(sys_bpf(BPF_PROG_LOAD, &attr, sizeof attr), EINVAL);
	attr = bpf_load_attr(code, 2);
	attr.expected_attach_type = BPF_CGROUP_SYSCTL;
	fd = sys_bpf(BPF_PROG_LOAD, &attr, sizeof attr);
	CHECK(fd >= 0);
	close(fd);
	attr = bpf_load_attr(code, 2);
	memcpy(attr.prog_name, "a-b", 4);
	CHECK_ERR(sys_bpf(BPF_PROG_LOAD, &attr, sizeof attr), EINVAL);
	memset(attr.prog_name, 'a', sizeof attr.prog_name);
	CHECK_ERR(sys_bpf(BPF_PROG_LOAD, &attr, sizeof attr), EINVAL);
	/* As old programs have it: a short structure. */
	attr = bpf_load_attr(code, 2);
	fd = CHECK_OK(sys_bpf(BPF_PROG_LOAD, &attr, 48));
	close(fd);
	/* Zeros behind the known part are fine, others are not. */
	char big[4096];
	memset(big, 0, sizeof big);
	memcpy(big, &attr, sizeof attr);
	fd = CHECK_OK(sys_bpf(BPF_PROG_LOAD, big, sizeof big));
	close(fd);
	big[1000] = 1;
	CHECK_ERR(sys_bpf(BPF_PROG_LOAD, big, sizeof big), E2BIG);
	CHECK_ERR(sys_bpf(BPF_PROG_LOAD, big, 4097), E2BIG);
	CHECK_ERR(sys_bpf(BPF_PROG_LOAD, BAD_PTR, sizeof attr), EFAULT);
	CHECK_ERR(sys_bpf(1000, &attr, sizeof attr), EINVAL);
	CHECK_ERR(sys_bpf(-1, &attr, sizeof attr), EINVAL);
}

TEST(the_log)
{
	struct bpf_insn good[] = { MOV64_K(0, 1), EXIT() }, bad[] = { EXIT() };
	char log[4096];
	union bpf_attr attr = bpf_load_attr(good, 2);
	attr.log_level = 1;
	CHECK_ERR(sys_bpf(BPF_PROG_LOAD, &attr, sizeof attr), EINVAL);
	attr.log_buf = (uintptr_t)log;
	attr.log_size = 127;
	CHECK_ERR(sys_bpf(BPF_PROG_LOAD, &attr, sizeof attr), EINVAL);
	attr.log_size = sizeof log;
	attr.log_level = 8;
	CHECK_ERR(sys_bpf(BPF_PROG_LOAD, &attr, sizeof attr), EINVAL);
	attr.log_level = 1;
	close(CHECK_OK(sys_bpf(BPF_PROG_LOAD, &attr, sizeof attr)));
	CHECK(strstr(log, "processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0\n"));
	attr.log_buf = (uintptr_t)BAD_PTR;
	CHECK_ERR(sys_bpf(BPF_PROG_LOAD, &attr, sizeof attr), EFAULT);
	attr = bpf_load_attr(bad, 1);
	CHECK_ERR(sys_bpf(BPF_PROG_LOAD, &attr, sizeof attr), EACCES);
	attr.log_level = 2;
	attr.log_buf = (uintptr_t)log;
	attr.log_size = sizeof log;
	CHECK_ERR(sys_bpf(BPF_PROG_LOAD, &attr, sizeof attr), EACCES);
	CHECK(strstr(log, "R0 !read_ok\n"));
}

TEST(capabilities)
{
	SPAWN({
		drop_effective(CAP(BPF) | CAP(SYS_ADMIN));
		CHECK_ERR(bpf_answers(1), EPERM);
	});
	JOIN(-1);
	SPAWN({
		drop_effective(CAP(NET_ADMIN) | CAP(SYS_ADMIN));
		CHECK_ERR(bpf_answers(1), EPERM);
	});
	JOIN(-1);
	SPAWN({
		drop_effective(CAP(SYS_ADMIN));
		close(CHECK_OK(bpf_answers(1)));
		/* No CAP_PERFMON: addresses stay inside. */
		drop_effective(CAP(PERFMON));
		close(CHECK_OK(bpf_answers(1)));
		REFUSED(EACCES, "invalid read from stack R10 off=-8 size=8", LDX(DW, 0, 10, -8), MOV64_K(0, 0), EXIT());
		REFUSED(EACCES, "invalid read from stack off -8+4 size 8", ST(W, 10, -8, 0), LDX(DW, 0, 10, -8), MOV64_K(0, 0),
			EXIT());
		REFUSED(EACCES, "R2 pointer comparison prohibited", MOV64_X(2, 10), JMP_K(JEQ, 2, 0, 0), MOV64_K(0, 0), EXIT());
	});
	JOIN(-1);
	SPAWN({
		CHECK_OK(unshare(CLONE_NEWUSER));
		CHECK_ERR(bpf_answers(1), EPERM);
	});
	JOIN(-1);
}

TEST(unprivileged_bpf_disabled)
{
	char buf[16] = "";
	int fd = CHECK_OK(open("/proc/sys/kernel/unprivileged_bpf_disabled", O_RDWR));
	CHECK(read(fd, buf, sizeof buf) > 0);
	CHECK(!strcmp(buf, "2\n"));
	CHECK_ERR(pwrite(fd, "3", 1, 0), EINVAL);
	CHECK_OK(pwrite(fd, "0", 1, 0));
	SPAWN({
		drop_effective(CAP(BPF) | CAP(SYS_ADMIN));
		/* The kind of program still needs it. */
		CHECK_ERR(bpf_answers(1), EPERM);
	});
	JOIN(-1);
	CHECK_OK(pwrite(fd, "2", 1, 0));
	close(fd);
}
