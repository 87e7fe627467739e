/* The cpuset controller in cgroup2 and v1: cgroup-v2.rst "Cpuset", cgroup-v1/cpusets.rst, cpuset(7). */
#include "cpu.h"

static int nr_cpus(void)
{
	return sysconf(_SC_NPROCESSORS_ONLN);
}

/* "0" or "0-3". */
static const char *all(void)
{
	static char text[16];
	int n = nr_cpus();
	snprintf(text, sizeof text, n > 1 ? "0-%d\n" : "%d\n", n - 1);
	return text;
}

static unsigned long mask_of(pid_t pid)
{
	unsigned long mask[16] = { 0 };
	CHECK_OK(sched_getaffinity(pid, sizeof mask, (cpu_set_t *)mask));
	return mask[0];
}

static int set_mask(pid_t pid, unsigned long mask)
{
	unsigned long set[16] = { mask };
	return sched_setaffinity(pid, sizeof set, (cpu_set_t *)set);
}

static unsigned long everything(void)
{
	return (1ul << nr_cpus()) - 1;
}

static const char *controlled(void)
{
	cg2();
	CHECK_OK(cg_write("", "cgroup.subtree_control", "+cpuset"));
	return cg_new("");
}

static void done(const char *a)
{
	cg_drop(a);
	CHECK_OK(cg_write("", "cgroup.subtree_control", "-cpuset"));
}

TEST(files_and_defaults)
{
	const char *a = controlled();
	CG_IS(a, "cpuset.cpus", "\n");
	CG_IS(a, "cpuset.mems", "\n");
	CG_IS(a, "cpuset.cpus.effective", all());
	CG_IS(a, "cpuset.mems.effective", "0\n");
	CG_IS("", "cpuset.cpus.effective", all());
	CHECK_ERR(access(cg_path("cpuset.cpus"), F_OK), ENOENT);
	done(a);
}

TEST(values_of_cpus)
{
	const char *a = controlled();
	CHECK_OK(cg_write(a, "cpuset.cpus", " 0 \n"));
	CG_IS(a, "cpuset.cpus", "0\n");
	CG_IS(a, "cpuset.cpus.effective", "0\n");
	CHECK_OK(cg_write(a, "cpuset.cpus", "0-0,,0"));
	CG_IS(a, "cpuset.cpus", "0\n");
	CHECK_ERR(cg_write(a, "cpuset.cpus", "1-0"), EINVAL);
	CHECK_ERR(cg_write(a, "cpuset.cpus", "x"), EINVAL);
	CHECK_ERR(cg_write(a, "cpuset.cpus", "-1"), EINVAL);
	CHECK_ERR(cg_write(a, "cpuset.cpus", "0-"), EINVAL);
	CHECK_ERR(cg_write(a, "cpuset.cpus", "0-3:2"), EINVAL);
	CHECK_ERR(cg_write(a, "cpuset.cpus", "60"), ERANGE);
	CHECK_ERR(cg_write(a, "cpuset.cpus", "100000"), ERANGE);
	CHECK_ERR(cg_write(a, "cpuset.cpus", "99999999999999"), EOVERFLOW);
	CG_IS(a, "cpuset.cpus", "0\n");
	CHECK_OK(cg_write(a, "cpuset.cpus", "\n"));
	CG_IS(a, "cpuset.cpus", "\n");
	CG_IS(a, "cpuset.cpus.effective", all());
	done(a);
}

TEST(values_of_mems)
{
	const char *a = controlled();
	CHECK_OK(cg_write(a, "cpuset.mems", "0"));
	CG_IS(a, "cpuset.mems", "0\n");
	CHECK_ERR(cg_write(a, "cpuset.mems", "1"), EINVAL);
	CHECK_ERR(cg_write(a, "cpuset.mems", "x"), EINVAL);
	CHECK_ERR(cg_write(a, "cpuset.mems", "100000"), ERANGE);
	done(a);
}

TEST(children_get_what_their_parent_has)
{
	if (nr_cpus() < 2)
		SKIP("one CPU");
	const char *a = controlled();
	CHECK_OK(cg_write(a, "cgroup.subtree_control", "+cpuset"));
	const char *b = cg_new(a);
	CHECK_OK(cg_write(b, "cpuset.cpus", "0-1"));
	CG_IS(b, "cpuset.cpus.effective", "0-1\n");
	CHECK_OK(cg_write(a, "cpuset.cpus", "1"));
	CG_IS(b, "cpuset.cpus", "0-1\n");
	CG_IS(b, "cpuset.cpus.effective", "1\n");
	CHECK_OK(cg_write(b, "cpuset.cpus", "0"));
	CG_IS(b, "cpuset.cpus.effective", "1\n");
	CHECK_OK(cg_write(a, "cpuset.cpus", "0"));
	CG_IS(b, "cpuset.cpus.effective", "0\n");
	cg_drop(b);
	done(a);
}

TEST(tasks_obey_at_once)
{
	if (nr_cpus() < 2)
		SKIP("one CPU");
	const char *a = controlled();
	pid_t child = busy(a, 1);
	pid_t sleeper = cg_sleeper(a);
	CHECK_EQ(mask_of(child), everything());
	CHECK_OK(cg_write(a, "cpuset.cpus", "1"));
	CHECK_EQ(mask_of(child), 2);
	CHECK_EQ(mask_of(sleeper), 2);
	CHECK_OK(cg_write(a, "cpuset.cpus", "0"));
	CHECK_EQ(mask_of(child), 1);
	CHECK_EQ(mask_of(sleeper), 1);
	CHECK_OK(cg_put("", "cgroup.procs", sleeper));
	CHECK_EQ(mask_of(sleeper), everything());
	CHECK_OK(cg_put(a, "cgroup.procs", sleeper));
	CHECK_EQ(mask_of(sleeper), 1);
	end(child);
	cg_end(sleeper);
	done(a);
}

TEST(running_tasks_move)
{
	if (nr_cpus() < 2)
		SKIP("one CPU");
	const char *a = controlled();
	volatile int *cpu = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t child = SPAWN({
		cg_enter(a);
		for (;;)
			*cpu = sched_getcpu() + 1;
	});
	for (int n = 0; n < 20; n++) {
		CHECK_OK(cg_write(a, "cpuset.cpus", n % 2 ? "1" : "0"));
		*cpu = 0;
		WAIT_FOR(*cpu == n % 2 + 1);
		for (int again = 0; again < 3; again++) {
			pause_ms(2);
			CHECK_EQ(*cpu, n % 2 + 1);
		}
	}
	cg_end(child);
	done(a);
}

TEST(setaffinity_stays_within)
{
	if (nr_cpus() < 2)
		SKIP("one CPU");
	const char *a = controlled();
	CHECK_OK(cg_write(a, "cpuset.cpus", "0"));
	pid_t child = cg_sleeper(a);
	CHECK_OK(set_mask(child, everything()));
	CHECK_EQ(mask_of(child), 1);
	CHECK_ERR(set_mask(child, 2), EINVAL);
	CHECK_EQ(mask_of(child), 1);
	cg_end(child);
	done(a);
}

TEST(children_are_born_with_it)
{
	if (nr_cpus() < 2)
		SKIP("one CPU");
	const char *a = controlled();
	CHECK_OK(cg_write(a, "cpuset.cpus", "1"));
	pid_t child = SPAWN({
		cg_enter(a);
		CHECK_EQ(mask_of(0), 2);
		pid_t grandchild = SPAWN({ CHECK_EQ(mask_of(0), 2); CHECK_EQ(sched_getcpu(), 1); });
		JOIN(grandchild);
	});
	JOIN(child);
	done(a);
}

TEST(without_the_controller_the_parents_counts)
{
	if (nr_cpus() < 2)
		SKIP("one CPU");
	const char *a = controlled();
	const char *b = cg_new(a);
	pid_t child = cg_sleeper(b);
	CHECK_OK(cg_write(a, "cpuset.cpus", "0"));
	CHECK_EQ(mask_of(child), 1);
	cg_end(child);
	cg_drop(b);
	done(a);
}

TEST(cpus_with_tasks_cannot_be_emptied)
{
	const char *a = controlled();
	CHECK_OK(cg_write(a, "cpuset.cpus", "0"));
	pid_t child = cg_sleeper(a);
	CHECK_ERR(cg_write(a, "cpuset.cpus", "\n"), ENOSPC);
	cg_end(child);
	done(a);
}

TEST(v1_files_and_defaults)
{
	cg1("cpuset");
	const char *a = cg_new("");
	CG_IS(a, "cpuset.cpus", "\n");
	CG_IS(a, "cpuset.mems", "\n");
	CG_IS(a, "cpuset.effective_cpus", "\n");
	CG_IS(a, "cpuset.cpu_exclusive", "0\n");
	CG_IS(a, "cpuset.mem_exclusive", "0\n");
	CG_IS("", "cpuset.cpus", all());
	CG_IS("", "cpuset.mems", "0\n");
	CG_IS("", "cpuset.cpu_exclusive", "1\n");
	CHECK_ERR(cg_write("", "cpuset.cpus", "0"), EACCES);
	CHECK_ERR(cg_write("", "cpuset.mems", "0"), EACCES);
	cg_drop(a);
}

TEST(v1_attach_needs_cpus_and_mems)
{
	cg1("cpuset");
	const char *a = cg_new("");
	CHECK_ERR(cg_write(a, "cgroup.procs", "0"), ENOSPC);
	CHECK_OK(cg_write(a, "cpuset.cpus", "0"));
	CHECK_ERR(cg_write(a, "tasks", "0"), ENOSPC);
	CHECK_OK(cg_write(a, "cpuset.mems", "0"));
	pid_t child = cg_sleeper(a);
	CHECK_EQ(mask_of(child), 1);
	CHECK_ERR(cg_write(a, "cpuset.cpus", "\n"), ENOSPC);
	CHECK_ERR(cg_write(a, "cpuset.mems", "\n"), ENOSPC);
	cg_end(child);
	cg_drop(a);
}

TEST(v1_children_are_within_their_parents)
{
	if (nr_cpus() < 2)
		SKIP("one CPU");
	cg1("cpuset");
	const char *a = cg_new("");
	const char *b = cg_new(a);
	CHECK_ERR(cg_write(b, "cpuset.cpus", "0"), EACCES);
	CHECK_OK(cg_write(a, "cpuset.cpus", "0"));
	CHECK_OK(cg_write(b, "cpuset.cpus", "0"));
	CHECK_ERR(cg_write(b, "cpuset.cpus", "0-1"), EACCES);
	CHECK_ERR(cg_write(a, "cpuset.cpus", "1"), EBUSY);
	CHECK_OK(cg_write(a, "cpuset.cpus", "0-1"));
	CG_IS(a, "cpuset.effective_cpus", "0-1\n");
	CG_IS(b, "cpuset.effective_cpus", "0\n");
	cg_drop(b);
	cg_drop(a);
}

TEST(v1_exclusive_cpusets)
{
	if (nr_cpus() < 2)
		SKIP("one CPU");
	cg1("cpuset");
	const char *a = cg_new("");
	const char *b = cg_new("");
	const char *c = cg_new(b);
	CHECK_OK(cg_write(a, "cpuset.cpus", "0"));
	CHECK_OK(cg_write(b, "cpuset.cpus", "0"));
	CHECK_ERR(cg_write(a, "cpuset.cpu_exclusive", "1"), EINVAL);
	CHECK_OK(cg_write(b, "cpuset.cpus", "1"));
	CHECK_OK(cg_write(a, "cpuset.cpu_exclusive", "1"));
	CHECK_ERR(cg_write(b, "cpuset.cpus", "0-1"), EINVAL);
	CHECK_ERR(cg_write(c, "cpuset.cpu_exclusive", "1"), EACCES);
	CHECK_OK(cg_write(b, "cpuset.cpu_exclusive", "2"));
	CG_IS(b, "cpuset.cpu_exclusive", "1\n");
	CHECK_OK(cg_write(c, "cpuset.cpu_exclusive", "1"));
	CHECK_ERR(cg_write(b, "cpuset.cpu_exclusive", "0"), EBUSY);
	cg_drop(c);
	cg_drop(b);
	cg_drop(a);
}

TEST(v1_clone_children)
{
	cg1("cpuset");
	const char *a = cg_new("");
	CHECK_OK(cg_write(a, "cpuset.cpus", "0"));
	CHECK_OK(cg_write(a, "cpuset.mems", "0"));
	CHECK_OK(cg_write(a, "cgroup.clone_children", "1"));
	const char *b = cg_new(a);
	CG_IS(b, "cpuset.cpus", "0\n");
	CG_IS(b, "cpuset.mems", "0\n");
	CG_IS(b, "cpuset.effective_cpus", "0\n");
	cg_drop(b);
	cg_drop(a);
}
