/* Device programs at cgroups: bpf(2), cgroup-v2.rst "Device controller". */
#include <errno.h>
#include <linux/capability.h>
#include <sys/sysmacros.h>
#include <sys/prctl.h>

#include "cgroup.h"
#include "ebpf.h"
#include "ns.h"

#define OVERRIDE BPF_F_ALLOW_OVERRIDE
#define MULTI BPF_F_ALLOW_MULTI
#define REPLACE BPF_F_REPLACE

static int cg_fd(const char *name)
{
	return CHECK_OK(open(cg_path("%s", name), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

static void enter(const char *name)
{
	CHECK_OK(cg_write(name, "cgroup.procs", "0"));
}

static int opens(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	return fd < 0 ? -1 : 0;
}

/* Programs attached, or effective. */
static int query(int cgroup, unsigned how, unsigned *ids, unsigned room, unsigned *flags)
{
	union bpf_attr attr;
	memset(&attr, 0, sizeof attr);
	attr.query.target_fd = cgroup;
	attr.query.attach_type = BPF_CGROUP_DEVICE;
	attr.query.query_flags = how;
	attr.query.prog_ids = (uintptr_t)ids;
	attr.query.prog_cnt = room;
	if (sys_bpf(BPF_PROG_QUERY, &attr, sizeof attr) < 0)
		return -1;
	if (flags)
		*flags = attr.query.attach_flags;
	return attr.query.prog_cnt;
}

#define ATTACHED(cgroup) query(cgroup, 0, NULL, 0, NULL)
#define EFFECTIVE(cgroup) query(cgroup, BPF_F_QUERY_EFFECTIVE, NULL, 0, NULL)

TEST(a_program_decides)
{
	cg2();
	const char *a = cg_new("");
	int dir = cg_fd(a);
	/* Everything but 1:3 (null) for reading, 1:5 (zero) at all; no mknod but 1:7. */
	int prog = CHECK_OK(bpf_load(PROG(
		LDX(W, 2, 1, 0), ALU32_K(AND, 2, 0xffff), /* the kind */
		LDX(W, 3, 1, 0), ALU32_K(RSH, 3, 16), /* the access */
		LDX(W, 4, 1, 4), LDX(W, 5, 1, 8),
		JMP_K(JNE, 2, BPF_DEVCG_DEV_CHAR, 12),
		JMP_K(JNE, 4, 1, 11),
		JMP_K(JNE, 5, 7, 2), JMP_K(JNE, 3, BPF_DEVCG_ACC_MKNOD, 9), JA(6),
		JMP_K(JSET, 3, BPF_DEVCG_ACC_MKNOD, 7),
		JMP_K(JEQ, 5, 5, 6),
		JMP_K(JNE, 5, 3, 3),
		ALU32_K(AND, 3, BPF_DEVCG_ACC_READ), JMP_K(JNE, 3, 0, 3), JA(0),
		MOV64_K(0, 1), EXIT(),
		MOV64_K(0, 0), EXIT())));
	CHECK_OK(bpf_attach(dir, prog, 0));
	enter(a);
	CHECK_OK(opens("/dev/null", O_WRONLY));
	CHECK_ERR(opens("/dev/null", O_RDONLY), EPERM);
	CHECK_ERR(opens("/dev/null", O_RDWR), EPERM);
	CHECK_ERR(opens("/dev/zero", O_RDONLY), EPERM);
	CHECK_OK(opens("/dev/full", O_PATH));
	CHECK_ERR(access("/dev/zero", R_OK), EPERM);
	/* Even asking whether it is there asks the program, for no access at all. */
	CHECK_ERR(access("/dev/zero", F_OK), EPERM);
	CHECK_OK(opens("/proc/self/status", O_RDONLY));
	CHECK_ERR(mknod("n", S_IFCHR | 0600, makedev(1, 3)), EPERM);
	CHECK_ERR(mknod("n", S_IFBLK | 0600, makedev(1, 3)), EPERM);
	CHECK_OK(mknod("full", S_IFCHR | 0600, makedev(1, 7)));
	CHECK_OK(mknod("white", S_IFCHR | 0600, 0));
	CHECK_OK(mknod("fifo", S_IFIFO | 0600, 0));
	CHECK_OK(mknod("file", S_IFREG | 0600, 0));
	CHECK_OK(bpf_detach(dir, prog));
	CHECK_OK(opens("/dev/zero", O_RDONLY));
	enter("");
	cg_drop(a);
}

TEST(who_is_moved_and_who_is_below)
{
	cg2();
	const char *a = cg_new(""), *b = cg_new(a);
	int dir = cg_fd(a), no = CHECK_OK(bpf_answers(0));
	enter(b);
	CHECK_OK(opens("/dev/null", O_RDONLY));
	int kept = CHECK_OK(open("/dev/null", O_RDWR));
	CHECK_OK(bpf_attach(dir, no, MULTI));
	CHECK_ERR(opens("/dev/null", O_RDONLY), EPERM);
	/* What is open stays open. */
	CHECK_EQ(write(kept, "x", 1), 1);
	enter("");
	CHECK_OK(opens("/dev/null", O_RDONLY));
	/* A child that is made later is under it as well. */
	const char *c = cg_new(a);
	enter(c);
	CHECK_ERR(opens("/dev/null", O_RDONLY), EPERM);
	CHECK_EQ(EFFECTIVE(cg_fd(c)), 1);
	CHECK_EQ(ATTACHED(cg_fd(c)), 0);
	enter("");
	cg_drop(b);
	cg_drop(c);
	cg_drop(a);
}

TEST(flags)
{
	cg2();
	const char *a = cg_new("");
	int dir = cg_fd(a), yes = CHECK_OK(bpf_answers(1)), other = CHECK_OK(bpf_answers(1));
	CHECK_ERR(bpf_attach(dir, yes, OVERRIDE | MULTI), EINVAL);
	CHECK_ERR(bpf_attach(dir, yes, REPLACE), EINVAL);
	CHECK_ERR(bpf_attach(dir, yes, 8), EINVAL);
	CHECK_ERR(bpf_attach(dir, yes, 1u << 31), EINVAL);
	CHECK_ERR(bpf_attach(dir, -1, 0), EBADF);
	CHECK_ERR(bpf_attach(dir, dir, 0), EINVAL);
	CHECK_ERR(bpf_attach(-1, yes, 0), EBADF);
	CHECK_ERR(bpf_attach(CHECK_OK(open("/", O_RDONLY)), yes, 0), EBADF);
	CHECK_ERR(bpf_attach(CHECK_OK(open(cg_path("%s/cgroup.procs", a), O_RDONLY)), yes, 0), EBADF);
	union bpf_attr attr;
	memset(&attr, 0, sizeof attr);
	attr.target_fd = dir;
	attr.attach_bpf_fd = yes;
	attr.attach_type = BPF_CGROUP_SYSCTL;
	CHECK_ERR(sys_bpf(BPF_PROG_ATTACH, &attr, sizeof attr), EINVAL);
	attr.attach_type = 1000;
	CHECK_ERR(sys_bpf(BPF_PROG_ATTACH, &attr, sizeof attr), EINVAL);
	attr.attach_type = BPF_CGROUP_DEVICE;
	((char *)&attr)[100] = 1;
	CHECK_ERR(sys_bpf(BPF_PROG_ATTACH, &attr, sizeof attr), EINVAL);
	/* Without flags: one program, replaced by the next. */
	unsigned id, got;
	CHECK_OK(bpf_attach(dir, yes, 0));
	CHECK_EQ(query(dir, 0, &id, 1, &got), 1);
	CHECK_EQ(id, bpf_id(yes));
	CHECK_EQ(got, 0);
	CHECK_OK(bpf_attach(dir, other, 0));
	CHECK_OK(bpf_attach(dir, other, 0));
	CHECK_EQ(query(dir, 0, &id, 1, &got), 1);
	CHECK_EQ(id, bpf_id(other));
	/* Another mode is refused while there is one. */
	CHECK_ERR(bpf_attach(dir, yes, OVERRIDE), EPERM);
	CHECK_ERR(bpf_attach(dir, yes, MULTI), EPERM);
	/* Which program is not looked at. */
	CHECK_OK(bpf_detach(dir, -1));
	CHECK_ERR(bpf_detach(dir, other), ENOENT);
	CHECK_OK(bpf_attach(dir, yes, OVERRIDE));
	CHECK_EQ(query(dir, 0, &id, 1, &got), 1);
	CHECK_EQ(got, OVERRIDE);
	CHECK_OK(bpf_detach(dir, other));
	CHECK_EQ(query(dir, 0, &id, 1, &got), 0);
	CHECK_EQ(got, 0);
	cg_drop(a);
}

TEST(many_programs)
{
	cg2();
	const char *a = cg_new("");
	int dir = cg_fd(a), progs[66];
	unsigned ids[70], got;
	for (int i = 0; i < 66; i++)
		progs[i] = CHECK_OK(bpf_answers(1));
	CHECK_OK(bpf_attach(dir, progs[0], MULTI));
	CHECK_ERR(bpf_attach(dir, progs[0], MULTI), EINVAL);
	for (int i = 1; i < 64; i++)
		CHECK_OK(bpf_attach(dir, progs[i], MULTI));
	CHECK_ERR(bpf_attach(dir, progs[64], MULTI), E2BIG);
	CHECK_EQ(query(dir, 0, ids, 70, &got), 64);
	CHECK_EQ(got, MULTI);
	for (int i = 0; i < 64; i++)
		CHECK_EQ(ids[i], bpf_id(progs[i]));
	/* Less room than programs. */
	memset(ids, 0, sizeof ids);
	CHECK_ERR(query(dir, 0, ids, 3, NULL), ENOSPC);
	CHECK_EQ(ids[2], bpf_id(progs[2]));
	CHECK_EQ(ids[3], 0);
	/* One that says no is enough. */
	int no = CHECK_OK(bpf_answers(0));
	CHECK_OK(bpf_detach(dir, progs[10]));
	CHECK_ERR(bpf_detach(dir, progs[10]), ENOENT);
	CHECK_ERR(bpf_detach(dir, -1), EINVAL);
	enter(a);
	CHECK_OK(opens("/dev/null", O_RDONLY));
	CHECK_OK(bpf_attach(dir, no, MULTI));
	CHECK_ERR(opens("/dev/null", O_RDONLY), EPERM);
	/* In its place, not at the end. */
	CHECK_OK(bpf_detach(dir, progs[63]));
	CHECK_ERR(bpf_replace(dir, progs[10], progs[63], MULTI | REPLACE), ENOENT);
	CHECK_ERR(bpf_replace(dir, progs[10], -1, MULTI | REPLACE), EBADF);
	CHECK_ERR(bpf_replace(dir, progs[5], progs[6], MULTI | REPLACE), EINVAL);
	CHECK_OK(bpf_replace(dir, progs[6], progs[6], MULTI | REPLACE));
	CHECK_OK(bpf_replace(dir, progs[10], no, MULTI | REPLACE));
	CHECK_OK(opens("/dev/null", O_RDONLY));
	enter("");
	cg_drop(a);
}

TEST(rules_of_the_hierarchy)
{
	cg2();
	const char *a = cg_new(""), *b = cg_new(a), *c = cg_new(b);
	int da = cg_fd(a), db = cg_fd(b), dc = cg_fd(c);
	int yes = CHECK_OK(bpf_answers(1)), no = CHECK_OK(bpf_answers(0)), other = CHECK_OK(bpf_answers(1));
	unsigned ids[4];
	/* Not to be overridden. */
	CHECK_OK(bpf_attach(da, no, 0));
	CHECK_ERR(bpf_attach(db, yes, 0), EPERM);
	CHECK_ERR(bpf_attach(dc, yes, OVERRIDE), EPERM);
	CHECK_ERR(bpf_attach(dc, yes, MULTI), EPERM);
	CHECK_OK(bpf_detach(da, no));
	/* Overridden: the nearest counts, alone. */
	CHECK_OK(bpf_attach(da, no, OVERRIDE));
	CHECK_EQ(EFFECTIVE(dc), 1);
	enter(c);
	CHECK_ERR(opens("/dev/null", O_RDONLY), EPERM);
	CHECK_OK(bpf_attach(db, yes, OVERRIDE));
	CHECK_OK(opens("/dev/null", O_RDONLY));
	CHECK_EQ(query(dc, BPF_F_QUERY_EFFECTIVE, ids, 4, NULL), 1);
	CHECK_EQ(ids[0], bpf_id(yes));
	CHECK_OK(bpf_detach(db, yes));
	CHECK_ERR(opens("/dev/null", O_RDONLY), EPERM);
	/* Several below one that may be overridden: it counts no more. */
	CHECK_OK(bpf_attach(db, yes, MULTI));
	CHECK_EQ(EFFECTIVE(dc), 1);
	CHECK_OK(opens("/dev/null", O_RDONLY));
	CHECK_OK(bpf_detach(da, no));
	/* Several above: all count, the nearest first. */
	CHECK_OK(bpf_attach(da, other, MULTI));
	CHECK_OK(bpf_attach(dc, no, MULTI));
	CHECK_EQ(query(dc, BPF_F_QUERY_EFFECTIVE, ids, 4, NULL), 3);
	CHECK_EQ(ids[0], bpf_id(no));
	CHECK_EQ(ids[1], bpf_id(yes));
	CHECK_EQ(ids[2], bpf_id(other));
	CHECK_ERR(opens("/dev/null", O_RDONLY), EPERM);
	CHECK_OK(bpf_detach(dc, no));
	/* One of its own kind below several. */
	CHECK_OK(bpf_attach(dc, no, 0));
	CHECK_EQ(EFFECTIVE(dc), 3);
	CHECK_ERR(opens("/dev/null", O_RDONLY), EPERM);
	enter("");
	cg_drop(c);
	cg_drop(b);
	cg_drop(a);
}

static int is_gone(union bpf_attr *attr)
{
	int fd = sys_bpf(BPF_PROG_GET_FD_BY_ID, attr, sizeof *attr);
	if (fd >= 0)
		close(fd);
	return fd < 0 && errno == ENOENT;
}

TEST(a_removed_cgroup)
{
	cg2();
	const char *a = cg_new("");
	int dir = cg_fd(a), prog = CHECK_OK(bpf_answers(0));
	unsigned id = bpf_id(prog);
	CHECK_OK(bpf_attach(dir, prog, 0));
	close(prog);
	union bpf_attr attr;
	memset(&attr, 0, sizeof attr);
	attr.prog_id = id;
	/* It lives as long as it is attached. */
	int again = CHECK_OK(sys_bpf(BPF_PROG_GET_FD_BY_ID, &attr, sizeof attr));
	CHECK_EQ(bpf_id(again), id);
	close(again);
	CHECK_OK(rmdir(cg_path("%s", a)));
	prog = CHECK_OK(bpf_answers(0));
	errno = 0;
	CHECK(bpf_attach(dir, prog, 0) < 0 && (errno == EBADF || errno == ENOENT || errno == ENODEV));
	WAIT_FOR(is_gone(&attr));
}

TEST(identities)
{
	int one = CHECK_OK(bpf_answers(1)), two = CHECK_OK(bpf_answers(1));
	CHECK(bpf_id(one) != 0 && bpf_id(two) > bpf_id(one));
	union bpf_attr attr;
	memset(&attr, 0, sizeof attr);
	attr.start_id = bpf_id(one);
	CHECK_OK(sys_bpf(BPF_PROG_GET_NEXT_ID, &attr, sizeof attr));
	CHECK_EQ(attr.next_id, bpf_id(two));
	attr.start_id = 0x7fffffff;
	attr.next_id = 0;
	CHECK_ERR(sys_bpf(BPF_PROG_GET_NEXT_ID, &attr, sizeof attr), EINVAL);
	attr.start_id = 0x7ffffffe;
	CHECK_ERR(sys_bpf(BPF_PROG_GET_NEXT_ID, &attr, sizeof attr), ENOENT);
	memset(&attr, 0, sizeof attr);
	CHECK_ERR(sys_bpf(BPF_PROG_GET_FD_BY_ID, &attr, sizeof attr), ENOENT);
	attr.prog_id = bpf_id(two);
	close(two);
	WAIT_FOR(is_gone(&attr));
}

TEST(what_is_told_of_a_program)
{
	struct bpf_insn code[] = { LDX(W, 0, 1, 4), ALU64_K(AND, 0, 1), EXIT() };
	union bpf_attr attr = bpf_load_attr(code, 3);
	strcpy(attr.prog_name, "a_name.1");
	int fd = CHECK_OK(sys_bpf(BPF_PROG_LOAD, &attr, sizeof attr));
	struct bpf_prog_info info;
	memset(&info, 0, sizeof info);
	struct bpf_insn back[3];
	info.xlated_prog_insns = (uintptr_t)back;
	info.xlated_prog_len = sizeof back;
	CHECK_OK(bpf_info(fd, &info, sizeof info));
	CHECK_EQ(info.type, BPF_PROG_TYPE_CGROUP_DEVICE);
	CHECK_EQ(info.xlated_prog_len, sizeof code);
	CHECK(!memcmp(back, code, sizeof code));
	CHECK(!strcmp(info.name, "a_name.1"));
	CHECK_EQ(info.gpl_compatible, 1);
	CHECK_EQ(info.created_by_uid, 0);
	CHECK_EQ(info.nr_map_ids, 0);
	CHECK_EQ(info.verified_insns, 3);
	CHECK(info.load_time != 0);
	unsigned char tag[8] = { 0xd4, 0xd3, 0xb2, 0xfc, 0xc4, 0x14, 0x4e, 0xad };
	if (memcmp(info.tag, tag, 8))
		KT_FAIL("tag %02x%02x%02x%02x%02x%02x%02x%02x", info.tag[0], info.tag[1], info.tag[2], info.tag[3],
			info.tag[4], info.tag[5], info.tag[6], info.tag[7]);
	/* A short structure takes what fits; a long one must end with zeros. */
	memset(&info, 0, sizeof info);
	CHECK_OK(bpf_info(fd, &info, 8));
	CHECK(info.id != 0 && info.load_time == 0);
	struct { struct bpf_prog_info info; uint64_t more; } big;
	memset(&big, 0, sizeof big);
	CHECK_OK(bpf_info(fd, &big.info, sizeof big));
	memset(&big, 0, sizeof big);
	big.more = 1;
	CHECK_ERR(bpf_info(fd, &big.info, sizeof big), E2BIG);
	CHECK_ERR(bpf_info(-1, &info, sizeof info), EBADFD);
	CHECK_ERR(bpf_info(0, &info, sizeof info), EINVAL);
	/* /proc */
	char path[64], text[1024], want[128];
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	ssize_t n = CHECK_OK(readlink(path, text, sizeof text - 1));
	text[n] = 0;
	CHECK(!strcmp(text, "anon_inode:bpf-prog"));
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	int file = CHECK_OK(open(path, O_RDONLY));
	n = CHECK_OK(read(file, text, sizeof text - 1));
	text[n] = 0;
	CHECK(strstr(text, "prog_type:\t15\n") && strstr(text, "prog_tag:\td4d3b2fcc4144ead\n"));
	CHECK(strstr(text, "memlock:\t4096\n") && strstr(text, "run_cnt:\t0\n") && strstr(text, "verified_insns:\t3\n"));
	snprintf(want, sizeof want, "prog_id:\t%u\n", bpf_id(fd));
	CHECK(strstr(text, want));
	CHECK_ERR(read(fd, text, 1), EINVAL);
	CHECK_ERR(write(fd, text, 1), EINVAL);
	CHECK_ERR(lseek(fd, 0, SEEK_SET), ESPIPE);
}

TEST(who_may)
{
	cg2();
	const char *a = cg_new("");
	int dir = cg_fd(a), prog = CHECK_OK(bpf_answers(1));
	SPAWN({
		drop_effective(CAP(SYS_ADMIN));
		union bpf_attr attr;
		memset(&attr, 0, sizeof attr);
		CHECK_ERR(sys_bpf(BPF_PROG_GET_NEXT_ID, &attr, sizeof attr), EPERM);
		attr.prog_id = bpf_id(prog);
		CHECK_ERR(sys_bpf(BPF_PROG_GET_FD_BY_ID, &attr, sizeof attr), EPERM);
		CHECK_EQ(ATTACHED(dir), 0);
		drop_effective(CAP(NET_ADMIN));
		CHECK_ERR(ATTACHED(dir), EPERM);
	});
	JOIN(-1);
	cg_drop(a);
}

TEST(helpers_at_work)
{
	cg2();
	const char *a = cg_new("");
	int dir = cg_fd(a);
	enter(a);
	/* Another error than EPERM. */
	int prog = CHECK_OK(bpf_load(PROG(MOV64_K(1, -EBUSY), CALL(BPF_FUNC_set_retval), MOV64_K(0, 1), EXIT())));
	CHECK_OK(bpf_attach(dir, prog, 0));
	CHECK_ERR(opens("/dev/null", O_RDONLY), EBUSY);
	/* The pid, the name, the cgroup of whoever opens. */
	prog = CHECK_OK(bpf_load(PROG(CALL(BPF_FUNC_get_current_pid_tgid), ALU64_K(RSH, 0, 32), MOV64_X(2, 0),
		MOV64_K(0, 0), JMP_K(JNE, 2, getpid(), 1), MOV64_K(0, 1), EXIT())));
	CHECK_OK(bpf_attach(dir, prog, 0));
	CHECK_OK(opens("/dev/null", O_RDONLY));
	SPAWN({ CHECK_ERR(opens("/dev/null", O_RDONLY), EPERM); });
	JOIN(-1);
	struct stat st;
	CHECK_OK(fstat(dir, &st));
	prog = CHECK_OK(bpf_load(PROG(CALL(BPF_FUNC_get_current_cgroup_id), LD_IMM64(2, st.st_ino), MOV64_X(3, 0),
		MOV64_K(0, 0), JMP_X(JNE, 2, 3, 1), MOV64_K(0, 1), EXIT())));
	CHECK_OK(bpf_attach(dir, prog, 0));
	CHECK_OK(opens("/dev/null", O_RDONLY));
	CHECK_OK(prctl(PR_SET_NAME, "abcdefg"));
	prog = CHECK_OK(bpf_load(PROG(MOV64_X(1, 10), ALU64_K(ADD, 1, -16), MOV64_K(2, 16), CALL(BPF_FUNC_get_current_comm),
		LDX(DW, 3, 10, -16), LD_IMM64(2, 0x0067666564636261), MOV64_K(0, 0), JMP_X(JNE, 2, 3, 1), MOV64_K(0, 1),
		EXIT())));
	CHECK_OK(bpf_attach(dir, prog, 0));
	CHECK_OK(opens("/dev/null", O_RDONLY));
	CHECK_OK(prctl(PR_SET_NAME, "another"));
	CHECK_ERR(opens("/dev/null", O_RDONLY), EPERM);
	CHECK_OK(bpf_detach(dir, prog));
	enter("");
	cg_drop(a);
}

TEST(arithmetic_as_linux_does_it)
{
	cg2();
	const char *a = cg_new("");
	int dir = cg_fd(a);
	enter(a);
	struct { const char *what; struct bpf_insn code[12]; } all[] = {
		{ "mov32 clears", { MOV64_K(2, -1), ALU32_K(MOV, 2, -1), LD_IMM64(3, 0xffffffff), JMP_X(JNE, 2, 3, 2) } },
		{ "mov64 extends", { MOV64_K(2, -1), LD_IMM64(3, ~0ULL), JMP_X(JNE, 2, 3, 2) } },
		{ "div by 0", { MOV64_K(2, 5), MOV64_K(3, 0), ALU64_X(DIV, 2, 3), JMP_K(JNE, 2, 0, 2) } },
		{ "mod by 0", { LD_IMM64(2, 0x100000005), MOV64_K(3, 0), ALU64_X(MOD, 2, 3), LD_IMM64(3, 0x100000005), JMP_X(JNE, 2, 3, 2) } },
		{ "mod32 by 0", { LD_IMM64(2, 0x100000005), MOV64_K(3, 0), ALU32_X(MOD, 2, 3), JMP_K(JNE, 2, 5, 2) } },
		{ "shift by 65", { MOV64_K(2, 1), LDX(W, 3, 1, 4), ALU64_K(ADD, 3, 64), ALU64_X(LSH, 2, 3), JMP_K(JNE, 2, 2, 2) } },
		{ "shift32 by 33", { MOV64_K(2, 1), LDX(W, 3, 1, 4), ALU64_K(ADD, 3, 32), ALU32_X(LSH, 2, 3), JMP_K(JNE, 2, 2, 2) } },
		{ "arsh32", { MOV64_K(2, -8), ALU32_K(ARSH, 2, 1), LD_IMM64(3, 0xfffffffc), JMP_X(JNE, 2, 3, 2) } },
		{ "arsh64", { MOV64_K(2, -8), ALU64_K(ARSH, 2, 1), MOV64_K(3, -4), JMP_X(JNE, 2, 3, 2) } },
		{ "neg32", { MOV64_K(2, 1), RAW(0x84, 2, 0, 0, 0), LD_IMM64(3, 0xffffffff), JMP_X(JNE, 2, 3, 2) } },
		{ "signed compare", { LDX(W, 2, 1, 4), ALU64_K(SUB, 2, 2), JMP_K(JSGT, 2, 0, 3), JMP_K(JSGE, 2, 0, 2) } },
		{ "signed compare of halves", { LDX(W, 2, 1, 4), ALU32_K(SUB, 2, 2), JMP32_K(JSGT, 2, 0, 3), JMP_K(JSLT, 2, 0, 2) } },
		{ "bytes turned", { LDX(W, 2, 1, 4), RAW(0xdc, 2, 0, 0, 32), LD_IMM64(3, 0x01000000), JMP_X(JNE, 2, 3, 2) } },
		{ "bytes cut", { LD_IMM64(2, 0x1234567), RAW(0xd4, 2, 0, 0, 16), JMP_K(JNE, 2, 0x4567, 2) } },
		{ "exchange", { ST(DW, 10, -8, 7), MOV64_K(2, 9), ATOMIC(DW, 10, 2, -8, BPF_XCHG), LDX(DW, 3, 10, -8), JMP_K(JNE, 2, 7, 3), JMP_K(JNE, 3, 9, 2) } },
		{ "fetch and add", { ST(DW, 10, -8, 7), MOV64_K(2, 9), ATOMIC(DW, 10, 2, -8, BPF_ADD | BPF_FETCH), LDX(DW, 3, 10, -8), JMP_K(JNE, 2, 7, 3), JMP_K(JNE, 3, 16, 2) } },
		{ "compare and exchange", { ST(W, 10, -8, 7), MOV64_K(0, 7), MOV64_K(2, 9), ATOMIC(W, 10, 2, -8, BPF_CMPXCHG), LDX(W, 3, 10, -8), JMP_K(JNE, 0, 7, 3), JMP_K(JNE, 3, 9, 2) } },
	};
	for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
		/* Each ends with a jump over the next two if it is wrong. */
		struct bpf_insn code[16] = { 0 };
		unsigned n = 0, at = 0;
		for (at = 0; at < 12; at++)
			if (all[i].code[at].code || (at && all[i].code[at - 1].code == 0x18))
				n = at + 1;
		memcpy(code, all[i].code, n * 8);
		code[n++] = MOV64_K(0, 1);
		code[n++] = EXIT();
		code[n++] = MOV64_K(0, 0);
		code[n++] = EXIT();
		int prog = bpf_load(code, n);
		if (prog < 0)
			/* What never happens is found out beforehand. */
			if (!strstr(bpf_log, "unreachable"))
				KT_FAIL("%s: %s", all[i].what, bpf_log);
		CHECK_OK(bpf_attach(dir, prog, 0));
		if (opens("/dev/null", O_RDONLY) < 0)
			KT_FAIL("%s", all[i].what);
		close(prog);
	}
	CHECK_OK(bpf_detach(dir, -1));
	enter("");
	cg_drop(a);
}

TEST(maps_and_kinds_that_are_not_there)
{
	union bpf_attr attr;
	memset(&attr, 0, sizeof attr);
	attr.map_type = 1000;
	attr.key_size = attr.value_size = 4;
	attr.max_entries = 1;
	CHECK_ERR(sys_bpf(BPF_MAP_CREATE, &attr, sizeof attr), EINVAL);
	CHECK_ERR(bpf_load(PROG(RAW(BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, 0), RAW(0, 0, 0, 0, 0),
		MOV64_K(0, 0), EXIT())), EINVAL);
	CHECK_ERR(bpf_load(PROG(RAW(BPF_LD | BPF_DW | BPF_IMM, 1, BPF_PSEUDO_MAP_FD, 0, 1000), RAW(0, 0, 0, 0, 0),
		MOV64_K(0, 0), EXIT())), EBADF);
}

/* Libraries load a program for packets to find out whether programs are attached to cgroups at all. */
TEST(a_program_for_packets_is_no_device_program)
{
	struct bpf_insn insns[] = { MOV64_K(0, 0), EXIT() };
	union bpf_attr attr = bpf_load_attr(insns, 2);
	cg2();
	int group = CHECK_OK(open("cg", O_RDONLY | O_DIRECTORY));
	attr.prog_type = BPF_PROG_TYPE_CGROUP_SKB;
	attr.expected_attach_type = BPF_CGROUP_INET_INGRESS;
	int prog = CHECK_OK(sys_bpf(BPF_PROG_LOAD, &attr, sizeof attr));
	CHECK_ERR(bpf_attach(group, prog, BPF_F_ALLOW_MULTI), EINVAL);
	struct bpf_prog_info info;
	memset(&info, 0, sizeof info);
	memset(&attr, 0, sizeof attr);
	attr.info.bpf_fd = prog;
	attr.info.info_len = sizeof info;
	attr.info.info = (uintptr_t)&info;
	CHECK_OK(sys_bpf(BPF_OBJ_GET_INFO_BY_FD, &attr, sizeof attr));
	CHECK_EQ(info.type, BPF_PROG_TYPE_CGROUP_SKB);
	attr = bpf_load_attr(insns, 2);
	attr.prog_type = BPF_PROG_TYPE_CGROUP_SKB;
	attr.expected_attach_type = BPF_CGROUP_DEVICE;
	CHECK_ERR(sys_bpf(BPF_PROG_LOAD, &attr, sizeof attr), EINVAL);
	close(prog);
	close(group);
}
