/* Extended attributes: on tmpfs the trusted and security ones. */
#include <sys/xattr.h>

#include "proc.h"

TEST(set_get_list_remove)
{
	char buf[64], list[256];
	kt_make_file("f", "", 0600);
	CHECK_OK(setxattr("f", "trusted.one", "value", 5, 0));
	CHECK_EQ(getxattr("f", "trusted.one", NULL, 0), 5);
	CHECK_EQ(getxattr("f", "trusted.one", buf, sizeof buf), 5);
	CHECK(!memcmp(buf, "value", 5));
	CHECK_ERR(getxattr("f", "trusted.one", buf, 3), ERANGE);
	CHECK_OK(setxattr("f", "trusted.two", "", 0, 0));
	CHECK_EQ(getxattr("f", "trusted.two", buf, sizeof buf), 0);
	ssize_t n = CHECK_OK(listxattr("f", list, sizeof list));
	CHECK(memmem(list, n, "trusted.one", 12) != NULL);
	CHECK(memmem(list, n, "trusted.two", 12) != NULL);
	CHECK_EQ(listxattr("f", NULL, 0), n);
	CHECK_ERR(listxattr("f", list, 5), ERANGE);
	CHECK_OK(removexattr("f", "trusted.one"));
	CHECK_ERR(getxattr("f", "trusted.one", buf, sizeof buf), ENODATA);
	CHECK_ERR(removexattr("f", "trusted.one"), ENODATA);
}

TEST(create_and_replace)
{
	kt_make_file("f", "", 0600);
	CHECK_ERR(setxattr("f", "trusted.a", "1", 1, XATTR_REPLACE), ENODATA);
	CHECK_OK(setxattr("f", "trusted.a", "1", 1, XATTR_CREATE));
	CHECK_ERR(setxattr("f", "trusted.a", "2", 1, XATTR_CREATE), EEXIST);
	CHECK_OK(setxattr("f", "trusted.a", "22", 2, XATTR_REPLACE));
	CHECK_EQ(getxattr("f", "trusted.a", NULL, 0), 2);
	CHECK_ERR(setxattr("f", "trusted.a", "2", 1, 77), EINVAL);
}

TEST(by_descriptor_and_link)
{
	char buf[8];
	kt_make_file("f", "", 0600);
	CHECK_OK(symlink("f", "l"));
	int fd = CHECK_OK(open("f", O_RDONLY));
	CHECK_OK(fsetxattr(fd, "trusted.a", "1", 1, 0));
	CHECK_EQ(getxattr("l", "trusted.a", buf, 8), 1);
	CHECK_ERR(lgetxattr("l", "trusted.a", buf, 8), ENODATA);
	CHECK_OK(lsetxattr("l", "trusted.b", "22", 2, 0));
	CHECK_EQ(lgetxattr("l", "trusted.b", buf, 8), 2);
	CHECK_EQ(fgetxattr(fd, "trusted.a", buf, 8), 1);
	CHECK(flistxattr(fd, NULL, 0) >= 10);
	CHECK_OK(fremovexattr(fd, "trusted.a"));
}

TEST(names_and_sizes)
{
	char name[300] = "trusted.", *big = calloc(1, 70000);
	kt_make_file("f", "", 0600);
	memset(name + 8, 'n', 247);
	CHECK_OK(setxattr("f", name, "x", 1, 0));
	name[255] = 'n';
	CHECK_ERR(setxattr("f", name, "x", 1, 0), ERANGE);
	CHECK_ERR(setxattr("f", "", "x", 1, 0), ERANGE);
	CHECK_ERR(setxattr("f", "trusted.", "x", 1, 0), EINVAL);
	CHECK_ERR(setxattr("f", "nonsense", "x", 1, 0), EOPNOTSUPP);
	CHECK_ERR(setxattr("f", "wrong.prefix", "x", 1, 0), EOPNOTSUPP);
	CHECK_OK(setxattr("f", "trusted.big", big, 65536, 0));
	CHECK_ERR(setxattr("f", "trusted.big", big, 65537, 0), E2BIG);
	CHECK_ERR(setxattr("no", "trusted.x", "x", 1, 0), ENOENT);
	CHECK_ERR(setxattr("f", BAD_PTR, "x", 1, 0), EFAULT);
	CHECK_ERR(setxattr("f", "trusted.x", BAD_PTR, 1, 0), EFAULT);
	CHECK_ERR(fsetxattr(999, "trusted.x", "x", 1, 0), EBADF);
}

TEST(trusted_ones_need_privilege)
{
	char buf[8];
	kt_make_file("f", "", 0666);
	CHECK_OK(chmod("f", 0666));
	CHECK_OK(chmod(".", 0755));
	CHECK_OK(setxattr("f", "trusted.a", "1", 1, 0));
	JOIN(SPAWN({
		CHECK_OK(setuid(65534));
		CHECK_ERR(setxattr("f", "trusted.a", "2", 1, 0), EPERM);
		CHECK_ERR(getxattr("f", "trusted.a", buf, 8), ENODATA);
	}));
}
