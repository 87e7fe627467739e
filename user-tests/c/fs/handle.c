/* open_by_handle_at(2): names of files that need no path. */
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>

#include "cgroup.h"
#include "ns.h"

#define FILEID_INVALID 0xff
#define FILEID_KERNFS 0xfe

struct handle {
	unsigned bytes;
	int type;
	unsigned char data[128];
};

static int encode(int dir, const char *path, struct handle *h, int *mount, int flags)
{
	return syscall(SYS_name_to_handle_at, dir, path, h, mount, flags);
}

static int by_handle(int mount, const struct handle *h, int flags)
{
	return syscall(SYS_open_by_handle_at, mount, h, flags);
}

static struct handle handle_of(const char *path)
{
	struct handle h = { .bytes = sizeof h.data };
	int mount;
	CHECK_OK(encode(AT_FDCWD, path, &h, &mount, 0));
	return h;
}

static int mount_of(const char *path)
{
	char text[64];
	int fd = CHECK_OK(open(path, O_PATH | O_CLOEXEC));
	snprintf(text, sizeof text, "/proc/self/fdinfo/%d", fd);
	int id = kt_field(text, "mnt_id:");
	close(fd);
	return id;
}

TEST(a_handle_leads_to_the_file)
{
	struct stat a, b;
	char text[8] = "";
	kt_make_file("f", "hello", 0600);
	CHECK_OK(stat("f", &a));
	struct handle h = handle_of("f");
	CHECK(h.bytes > 0 && h.type > 0 && h.type < FILEID_INVALID);
	int fd = CHECK_OK(by_handle(AT_FDCWD, &h, O_RDWR | O_CLOEXEC));
	CHECK_OK(fstat(fd, &b));
	CHECK(a.st_dev == b.st_dev && a.st_ino == b.st_ino);
	CHECK_EQ(read(fd, text, 5), 5);
	CHECK(!strcmp(text, "hello"));
	CHECK_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
	/* The name changes, the handle does not. */
	CHECK_OK(mkdir("d", 0755));
	CHECK_OK(rename("f", "d/g"));
	struct handle again = handle_of("d/g");
	CHECK(!memcmp(&h, &again, 8 + h.bytes));
	fd = CHECK_OK(by_handle(AT_FDCWD, &h, O_RDONLY));
	char link[64], name[256] = "";
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	CHECK_OK(readlink(link, name, sizeof name - 1));
	CHECK(strstr(name, "/d/g") != NULL);
	/* The rights of the file count. */
	CHECK_OK(chmod("d/g", 0));
	CHECK_OK(fd = by_handle(AT_FDCWD, &h, O_PATH));
	CHECK_ERR(read(fd, text, 1), EBADF);
}

TEST(directories_and_links)
{
	struct stat a, b;
	CHECK_OK(mkdir("d", 0755));
	CHECK_OK(symlink("d", "l"));
	struct handle d = handle_of("d"), l = handle_of("l");
	CHECK(memcmp(&d, &l, 8 + d.bytes));
	struct handle f = { .bytes = 128 };
	int mount;
	CHECK_OK(encode(AT_FDCWD, "l", &f, &mount, AT_SYMLINK_FOLLOW));
	CHECK(!memcmp(&d, &f, 8 + d.bytes));
	int fd = CHECK_OK(by_handle(AT_FDCWD, &d, O_RDONLY | O_DIRECTORY));
	CHECK_OK(stat("d", &a));
	CHECK_OK(fstat(fd, &b));
	CHECK_EQ(a.st_ino, b.st_ino);
	CHECK_OK(close(CHECK_OK(openat(fd, "x", O_CREAT | O_RDWR, 0600))));
	CHECK_OK(access("d/x", F_OK));
	CHECK_ERR(by_handle(AT_FDCWD, &d, O_RDWR), EISDIR);
	CHECK_ERR(by_handle(AT_FDCWD, &l, O_RDONLY), ELOOP);
	CHECK_OK(fd = by_handle(AT_FDCWD, &l, O_PATH | O_NOFOLLOW));
	CHECK_OK(fstat(fd, &b));
	CHECK(S_ISLNK(b.st_mode));
	struct handle x = handle_of("d/x");
	CHECK_ERR(by_handle(AT_FDCWD, &x, O_RDONLY | O_DIRECTORY), ENOTDIR);
	CHECK_OK(fd = by_handle(AT_FDCWD, &d, O_TMPFILE | O_RDWR));
	CHECK_EQ(write(fd, "x", 1), 1);
}

TEST(truncation)
{
	struct stat st;
	kt_make_file("f", "hello", 0600);
	struct handle h = handle_of("f");
	CHECK_OK(by_handle(AT_FDCWD, &h, O_RDWR | O_TRUNC));
	CHECK_OK(stat("f", &st));
	CHECK_EQ(st.st_size, 0);
	CHECK_OK(by_handle(AT_FDCWD, &h, O_RDWR | O_CREAT));
	CHECK_ERR(by_handle(AT_FDCWD, &h, O_RDWR | O_CREAT | O_EXCL), EEXIST);
}

TEST(a_file_that_is_gone_is_stale)
{
	kt_make_file("f", "hello", 0600);
	struct handle h = handle_of("f");
	int fd = CHECK_OK(by_handle(AT_FDCWD, &h, O_RDONLY));
	CHECK_OK(unlink("f"));
	/* Not while it is open. */
	int other = CHECK_OK(by_handle(AT_FDCWD, &h, O_RDONLY));
	CHECK_OK(close(other));
	CHECK_OK(close(fd));
	CHECK_ERR(by_handle(AT_FDCWD, &h, O_RDONLY), ESTALE);
	kt_make_file("f", "other", 0600);
	CHECK_ERR(by_handle(AT_FDCWD, &h, O_RDONLY), ESTALE);
	/* One of two names is enough. */
	h = handle_of("f");
	CHECK_OK(link("f", "g"));
	CHECK_OK(unlink("f"));
	CHECK_OK(close(CHECK_OK(by_handle(AT_FDCWD, &h, O_RDONLY))));
	CHECK_OK(unlink("g"));
	CHECK_ERR(by_handle(AT_FDCWD, &h, O_RDONLY), ESTALE);
	CHECK_OK(mkdir("d", 0755));
	h = handle_of("d");
	CHECK_OK(rmdir("d"));
	CHECK_ERR(by_handle(AT_FDCWD, &h, O_RDONLY), ESTALE);
}

TEST(a_handle_of_a_descriptor)
{
	kt_make_file("f", "hello", 0600);
	struct handle a = handle_of("f"), b = { .bytes = 128 };
	int mount, fd = CHECK_OK(open("f", O_PATH));
	CHECK_OK(encode(fd, "", &b, &mount, AT_EMPTY_PATH));
	CHECK(!memcmp(&a, &b, 8 + a.bytes));
	CHECK_EQ(mount, mount_of("f"));
	CHECK_ERR(encode(fd, "", &b, &mount, 0), ENOENT);
	CHECK_ERR(encode(-1, "", &b, &mount, AT_EMPTY_PATH), EBADF);
	CHECK_ERR(encode(fd, "f", &b, &mount, 0), ENOTDIR);
}

TEST(the_size_is_asked_for)
{
	kt_make_file("f", "hello", 0600);
	struct handle h = { .bytes = 0, .type = 77 }, full = handle_of("f");
	int mount = -1;
	CHECK_ERR(encode(AT_FDCWD, "f", &h, &mount, 0), EOVERFLOW);
	CHECK_EQ(h.bytes, full.bytes);
	CHECK_EQ(h.type, FILEID_INVALID);
	CHECK_EQ(mount, mount_of("f"));
	h = (struct handle){ .bytes = full.bytes - 1 };
	CHECK_ERR(encode(AT_FDCWD, "f", &h, &mount, 0), EOVERFLOW);
	CHECK_EQ(h.bytes, full.bytes);
	CHECK_EQ(h.data[0], 0);
	h.bytes = full.bytes;
	CHECK_OK(encode(AT_FDCWD, "f", &h, &mount, 0));
	CHECK(!memcmp(&h, &full, 8 + full.bytes));
}

TEST(arguments_of_name_to_handle_at)
{
	kt_make_file("f", "hello", 0600);
	struct handle h = { .bytes = 128 };
	int mount;
	CHECK_ERR(encode(AT_FDCWD, "f", &h, &mount, AT_SYMLINK_NOFOLLOW), EINVAL);
	CHECK_ERR(encode(AT_FDCWD, "f", &h, &mount, 1), EINVAL);
	CHECK_ERR(encode(AT_FDCWD, "none", &h, &mount, 0), ENOENT);
	CHECK_ERR(encode(AT_FDCWD, BAD_PTR, &h, &mount, 0), EFAULT);
	CHECK_ERR(encode(AT_FDCWD, "f", BAD_PTR, &mount, 0), EFAULT);
	CHECK_ERR(encode(AT_FDCWD, "f", &h, BAD_PTR, 0), EFAULT);
	h.bytes = 129;
	CHECK_ERR(encode(AT_FDCWD, "f", &h, &mount, 0), EINVAL);
}

TEST(arguments_of_open_by_handle_at)
{
	kt_make_file("f", "hello", 0600);
	struct handle h = handle_of("f"), bad;
	bad = h;
	bad.bytes = 0;
	CHECK_ERR(by_handle(AT_FDCWD, &bad, O_RDONLY), EINVAL);
	bad.bytes = 129;
	CHECK_ERR(by_handle(AT_FDCWD, &bad, O_RDONLY), EINVAL);
	bad.bytes = 4;
	CHECK_ERR(by_handle(AT_FDCWD, &bad, O_RDONLY), ESTALE);
	bad = h;
	bad.data[0] ^= 1;
	CHECK_ERR(by_handle(AT_FDCWD, &bad, O_RDONLY), ESTALE);
	CHECK_ERR(by_handle(AT_FDCWD, BAD_PTR, O_RDONLY), EFAULT);
	CHECK_ERR(by_handle(-1, &h, O_RDONLY), EBADF);
	int path = CHECK_OK(open(".", O_PATH));
	CHECK_ERR(by_handle(path, &h, O_RDONLY), EBADF);
	int fd = CHECK_OK(open(".", O_RDONLY));
	CHECK_OK(by_handle(fd, &h, O_RDONLY));
	fd = CHECK_OK(open("/proc", O_RDONLY));
	CHECK_ERR(by_handle(fd, &h, O_RDONLY), ESTALE);
	/* Another file system of the same type. */
	CHECK_OK(unshare(CLONE_NEWNS));
	CHECK_OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	CHECK_OK(mkdir("m", 0755));
	CHECK_OK(mount("t", "m", "tmpfs", 0, NULL));
	fd = CHECK_OK(open("m", O_RDONLY));
	CHECK_ERR(by_handle(fd, &h, O_RDONLY), ESTALE);
}

TEST(the_mount_decides_what_may_be_done)
{
	CHECK_OK(unshare(CLONE_NEWNS));
	CHECK_OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	CHECK_OK(mkdir("d", 0755));
	kt_make_file("d/f", "x", 0600);
	CHECK_OK(mkdir("ro", 0755));
	CHECK_OK(mount("d", "ro", NULL, MS_BIND, NULL));
	CHECK_OK(mount(NULL, "ro", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL));
	struct handle h = { .bytes = 128 };
	int id;
	CHECK_OK(encode(AT_FDCWD, "ro/f", &h, &id, 0));
	CHECK_EQ(id, mount_of("ro"));
	int fd = CHECK_OK(open("ro", O_RDONLY));
	CHECK_ERR(by_handle(fd, &h, O_RDWR), EROFS);
	CHECK_OK(by_handle(fd, &h, O_RDONLY));
	CHECK_OK(by_handle(AT_FDCWD, &h, O_RDWR));
}

TEST(opening_needs_a_capability)
{
	kt_make_file("f", "hello", 0644);
	struct handle h = handle_of("f");
	JOIN(SPAWN({
		drop_effective(CAP(DAC_READ_SEARCH));
		CHECK_ERR(by_handle(AT_FDCWD, &h, O_RDONLY), EPERM);
		CHECK_ERR(by_handle(AT_FDCWD, BAD_PTR, O_RDONLY), EPERM);
		CHECK_ERR(by_handle(-1, &h, O_RDONLY), EPERM);
	}));
	JOIN(SPAWN({
		enter_user_ns();
		CHECK_ERR(by_handle(AT_FDCWD, &h, O_RDONLY), EPERM);
		struct handle own = handle_of("f");
		CHECK(!memcmp(&h, &own, 8 + h.bytes));
	}));
}

TEST(file_systems_without_handles)
{
	static const char *paths[] = { "/proc", "/proc/self/stat", "/sys", "/sys/kernel", "/dev/pts",
				       "/proc/self/ns/mnt", "/proc/self/ns/user" };
	int id;
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		struct handle h = { .bytes = 128 };
		CHECK_ERR(encode(AT_FDCWD, paths[i], &h, &id, i >= 5 ? AT_SYMLINK_FOLLOW : 0), EOPNOTSUPP);
	}
	int p[2];
	struct handle h = { .bytes = 128 };
	CHECK_OK(pipe(p));
	CHECK_ERR(encode(p[0], "", &h, &id, AT_EMPTY_PATH), EOPNOTSUPP);
	/* Before the handle is looked at. */
	CHECK_ERR(encode(p[0], "", BAD_PTR, &id, AT_EMPTY_PATH), EOPNOTSUPP);
}

TEST(overlays_have_none)
{
	CHECK_OK(unshare(CLONE_NEWNS));
	CHECK_OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	static const char *dirs[] = { "l", "u", "w", "m" };
	for (int i = 0; i < 4; i++)
		CHECK_OK(mkdir(dirs[i], 0755));
	kt_make_file("l/f", "x", 0644);
	CHECK_OK(mount("o", "m", "overlay", 0, "lowerdir=l,upperdir=u,workdir=w"));
	struct handle h = { .bytes = 128 };
	int id;
	CHECK_ERR(encode(AT_FDCWD, "m/f", &h, &id, 0), EOPNOTSUPP);
	CHECK_ERR(encode(AT_FDCWD, "m", &h, &id, 0), EOPNOTSUPP);
}

TEST(the_id_of_a_cgroup)
{
	struct stat st, other;
	cg2();
	const char *dir = cg_new("");
	struct handle h = handle_of(cg_path("%s", dir));
	uint64_t id;
	CHECK_EQ(h.type, FILEID_KERNFS);
	CHECK_EQ(h.bytes, 8);
	memcpy(&id, h.data, 8);
	CHECK_OK(stat(cg_path("%s", dir), &st));
	CHECK_EQ(id, st.st_ino);
	/* Made from the number alone. */
	struct handle made = { .bytes = 8, .type = FILEID_KERNFS };
	memcpy(made.data, &id, 8);
	int cg = CHECK_OK(open("cg", O_RDONLY | O_DIRECTORY));
	int fd = CHECK_OK(by_handle(cg, &made, O_RDONLY | O_DIRECTORY));
	CHECK_OK(fstat(fd, &other));
	CHECK_EQ(other.st_ino, st.st_ino);
	CHECK_OK(faccessat(fd, "cgroup.procs", F_OK, 0));
	char link[64], name[256] = "";
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	CHECK_OK(readlink(link, name, sizeof name - 1));
	CHECK(strstr(name, cg_path("%s", dir)) != NULL);
	/* The other form: low and high half. */
	made.type = 1;
	CHECK_OK(close(CHECK_OK(by_handle(cg, &made, O_RDONLY))));
	made.type = 3;
	CHECK_ERR(by_handle(cg, &made, O_RDONLY), ESTALE);
	struct handle root = handle_of("cg");
	memcpy(&id, root.data, 8);
	CHECK_EQ(id, 1);
	CHECK_OK(close(CHECK_OK(by_handle(cg, &root, O_RDONLY))));
	/* Its files have handles too. */
	struct handle file = handle_of(cg_path("%s/cgroup.procs", dir));
	CHECK_EQ(file.type, FILEID_KERNFS);
	int procs = CHECK_OK(by_handle(cg, &file, O_RDWR));
	CHECK_EQ(write(procs, "0", 1), 1);
	CHECK(cg_has_pid(dir, "cgroup.procs", getpid()));
	CHECK_OK(close(procs));
	CHECK_OK(close(fd));
	cg_drop(dir);
	made.type = FILEID_KERNFS;
	CHECK_ERR(by_handle(cg, &made, O_RDONLY), ESTALE);
	struct handle small = { .bytes = 7 };
	int mount;
	CHECK_ERR(encode(cg, "", &small, &mount, AT_EMPTY_PATH), EOVERFLOW);
	CHECK_EQ(small.bytes, 8);
}
