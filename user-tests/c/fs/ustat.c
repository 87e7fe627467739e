/* ustat(2), sysfs(2). */
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>

#include "ns.h"

struct kernel_ustat {
	int free_blocks;
	unsigned long free_inodes;
	char name[6], pack[6];
};

static int ustat_of(unsigned dev, struct kernel_ustat *u)
{
	return syscall(SYS_ustat, dev, u);
}

TEST(the_numbers_are_those_of_statfs)
{
	struct stat st;
	struct statfs fs;
	struct kernel_ustat u;
	memset(&u, 0xff, sizeof u);
	CHECK_OK(unshare(CLONE_NEWNS));
	CHECK_OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	CHECK_OK(mkdir("m", 0755));
	CHECK_OK(mount("t", "m", "tmpfs", 0, "size=1m,nr_inodes=100"));
	CHECK_OK(stat("m", &st));
	CHECK_OK(statfs("m", &fs));
	CHECK_OK(ustat_of(st.st_dev, &u));
	CHECK_EQ(u.free_blocks, fs.f_bfree);
	CHECK_EQ(u.free_inodes, fs.f_ffree);
	CHECK(u.free_inodes <= 100);
	for (int i = 0; i < 6; i++)
		CHECK(!u.name[i] && !u.pack[i]);
	CHECK_ERR(ustat_of(st.st_dev, BAD_PTR), EFAULT);
	CHECK_OK(umount("m"));
	CHECK_ERR(ustat_of(st.st_dev, &u), EINVAL);
	CHECK_ERR(ustat_of(makedev(77, 77), &u), EINVAL);
	CHECK_ERR(ustat_of(makedev(77, 77), BAD_PTR), EINVAL);
	CHECK_ERR(ustat_of(0, &u), EINVAL);
	CHECK_OK(stat("/proc", &st));
	CHECK_OK(ustat_of(st.st_dev, &u));
}

TEST(file_system_types_are_numbered)
{
	char name[64], known[16384];
	long count = syscall(SYS_sysfs, 3);
	if (count < 0 && errno == ENOSYS)
		SKIP("no sysfs(2)");
	CHECK(count > 3);
	CHECK(kt_read_file("/proc/filesystems", known, sizeof known) > 0);
	char *line = known;
	for (long i = 0; i < count; i++) {
		CHECK_OK(syscall(SYS_sysfs, 2, i, name));
		CHECK_EQ(syscall(SYS_sysfs, 1, name), i);
		char *tab = strchr(line, '\t'), *end = strchr(line, '\n');
		CHECK(tab && end);
		*end = 0;
		CHECK(!strcmp(tab + 1, name));
		line = end + 1;
	}
	CHECK_EQ(*line, 0);
	CHECK_ERR(syscall(SYS_sysfs, 2, count, name), EINVAL);
	CHECK_ERR(syscall(SYS_sysfs, 2, -1, name), EINVAL);
	CHECK_ERR(syscall(SYS_sysfs, 2, 0, BAD_PTR), EFAULT);
	CHECK_ERR(syscall(SYS_sysfs, 1, "no such type"), EINVAL);
	CHECK_ERR(syscall(SYS_sysfs, 1, ""), ENOENT);
	CHECK_ERR(syscall(SYS_sysfs, 1, BAD_PTR), EFAULT);
	CHECK_ERR(syscall(SYS_sysfs, 0), EINVAL);
	CHECK_ERR(syscall(SYS_sysfs, 4), EINVAL);
}
