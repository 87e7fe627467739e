/*
 * ebpf.h: bpf(2) with programs as raw instructions (Documentation/bpf/instruction-set.rst).
 *
 * The instruction macros are named as an assembler would: MOV64_K(dst, imm), LDX(W, dst, src, off), JNE_K(dst,
 * imm, off) … PROG(…) makes an array and its length of them.
 */
#pragma once

#include <linux/bpf.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define RAW(c, d, s, o, i) ((struct bpf_insn){ .code = (c), .dst_reg = (d), .src_reg = (s), .off = (o), .imm = (i) })
#define ALU64_K(op, d, i) RAW(BPF_ALU64 | BPF_##op | BPF_K, d, 0, 0, i)
#define ALU64_X(op, d, s) RAW(BPF_ALU64 | BPF_##op | BPF_X, d, s, 0, 0)
#define ALU32_K(op, d, i) RAW(BPF_ALU | BPF_##op | BPF_K, d, 0, 0, i)
#define ALU32_X(op, d, s) RAW(BPF_ALU | BPF_##op | BPF_X, d, s, 0, 0)
#define MOV64_K(d, i) ALU64_K(MOV, d, i)
#define MOV64_X(d, s) ALU64_X(MOV, d, s)
#define LDX(size, d, s, o) RAW(BPF_LDX | BPF_MEM | BPF_##size, d, s, o, 0)
#define STX(size, d, s, o) RAW(BPF_STX | BPF_MEM | BPF_##size, d, s, o, 0)
#define ST(size, d, o, i) RAW(BPF_ST | BPF_MEM | BPF_##size, d, 0, o, i)
#define ATOMIC(size, d, s, o, op) RAW(BPF_STX | BPF_ATOMIC | BPF_##size, d, s, o, op)
#define JMP_K(op, d, i, o) RAW(BPF_JMP | BPF_##op | BPF_K, d, 0, o, i)
#define JMP_X(op, d, s, o) RAW(BPF_JMP | BPF_##op | BPF_X, d, s, o, 0)
#define JMP32_K(op, d, i, o) RAW(BPF_JMP32 | BPF_##op | BPF_K, d, 0, o, i)
#define JA(o) RAW(BPF_JMP | BPF_JA, 0, 0, o, 0)
#define CALL(f) RAW(BPF_JMP | BPF_CALL, 0, 0, 0, f)
#define EXIT() RAW(BPF_JMP | BPF_EXIT, 0, 0, 0, 0)
#define LD_IMM64(d, v) RAW(BPF_LD | BPF_DW | BPF_IMM, d, 0, 0, (uint32_t)(v)), RAW(0, 0, 0, 0, (uint64_t)(v) >> 32)
#define PROG(...) ((struct bpf_insn[]){ __VA_ARGS__ }), sizeof((struct bpf_insn[]){ __VA_ARGS__ }) / 8

static inline long sys_bpf(int cmd, void *attr, unsigned size)
{
	return syscall(SYS_bpf, cmd, attr, size);
}

static char bpf_log[65536];

static inline union bpf_attr bpf_load_attr(const struct bpf_insn *insns, unsigned count)
{
	union bpf_attr attr;
	memset(&attr, 0, sizeof attr);
	attr.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
	attr.insns = (uintptr_t)insns;
	attr.insn_cnt = count;
	attr.license = (uintptr_t) "GPL";
	attr.expected_attach_type = BPF_CGROUP_DEVICE;
	return attr;
}

/*
 * A device program; its descriptor, or -1 and errno. What the verifier says is in bpf_log, but not each step
 * (the level is BPF_LOG_STATS), with which the log would soon be full.
 */
static inline int bpf_load(const struct bpf_insn *insns, unsigned count)
{
	union bpf_attr attr = bpf_load_attr(insns, count);
	attr.log_level = 4;
	attr.log_buf = (uintptr_t)bpf_log;
	attr.log_size = sizeof bpf_log;
	bpf_log[0] = 0;
	return sys_bpf(BPF_PROG_LOAD, &attr, sizeof attr);
}

/* A program that always answers so. */
static inline int bpf_answers(int answer)
{
	return bpf_load(PROG(MOV64_K(0, answer), EXIT()));
}

static inline int bpf_attach(int cgroup, int prog, unsigned flags)
{
	union bpf_attr attr;
	memset(&attr, 0, sizeof attr);
	attr.target_fd = cgroup;
	attr.attach_bpf_fd = prog;
	attr.attach_type = BPF_CGROUP_DEVICE;
	attr.attach_flags = flags;
	return sys_bpf(BPF_PROG_ATTACH, &attr, sizeof attr);
}

static inline int bpf_replace(int cgroup, int prog, int old, unsigned flags)
{
	union bpf_attr attr;
	memset(&attr, 0, sizeof attr);
	attr.target_fd = cgroup;
	attr.attach_bpf_fd = prog;
	attr.attach_type = BPF_CGROUP_DEVICE;
	attr.attach_flags = flags;
	attr.replace_bpf_fd = old;
	return sys_bpf(BPF_PROG_ATTACH, &attr, sizeof attr);
}

static inline int bpf_detach(int cgroup, int prog)
{
	union bpf_attr attr;
	memset(&attr, 0, sizeof attr);
	attr.target_fd = cgroup;
	attr.attach_bpf_fd = prog;
	attr.attach_type = BPF_CGROUP_DEVICE;
	return sys_bpf(BPF_PROG_DETACH, &attr, sizeof attr);
}

static inline int bpf_info(int fd, struct bpf_prog_info *info, unsigned size)
{
	union bpf_attr attr;
	memset(&attr, 0, sizeof attr);
	attr.info.bpf_fd = fd;
	attr.info.info_len = size;
	attr.info.info = (uintptr_t)info;
	return sys_bpf(BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof attr);
}

static inline unsigned bpf_id(int fd)
{
	struct bpf_prog_info info;
	memset(&info, 0, sizeof info);
	return bpf_info(fd, &info, sizeof info) < 0 ? 0 : info.id;
}
