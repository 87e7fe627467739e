/* /proc/sys/net/core: sizes of socket buffers (socket(7)), and which namespaces have which settings. */
#include <dirent.h>
#include <sys/socket.h>

#include "ns.h"

#define CORE "/proc/sys/net/core/"

static int option(int fd, int name)
{
	int value;
	socklen_t len = sizeof value;
	CHECK_OK(getsockopt(fd, SOL_SOCKET, name, &value, &len));
	return value;
}

static void set(const char *name, long value)
{
	char path[64], text[32];
	snprintf(path, sizeof path, CORE "%s", name);
	snprintf(text, sizeof text, "%ld\n", value);
	CHECK_OK(kt_write_file(path, text));
	CHECK_EQ(kt_field(path, ""), value);
}

static int entries(const char *path)
{
	DIR *dir = opendir(path);
	if (!dir)
		return -1;
	int count = 0;
	struct dirent *entry;
	while ((entry = readdir(dir)))
		count += entry->d_name[0] != '.';
	CHECK_OK(closedir(dir));
	return count;
}

TEST(defaults)
{
	CHECK_EQ(kt_field(CORE "rmem_default", ""), 212992);
	CHECK_EQ(kt_field(CORE "rmem_max", ""), 212992);
	CHECK_EQ(kt_field(CORE "wmem_default", ""), 212992);
	CHECK_EQ(kt_field(CORE "wmem_max", ""), 212992);
	CHECK_EQ(kt_field(CORE "optmem_max", ""), 20480);
	CHECK_EQ(kt_field(CORE "somaxconn", ""), 4096);
}

TEST(a_new_socket_has_the_default_sizes)
{
	set("rmem_default", 100000);
	set("wmem_default", 50000);
	int kinds[][2] = { { AF_INET, SOCK_DGRAM }, { AF_UNIX, SOCK_STREAM }, { AF_UNIX, SOCK_DGRAM },
			   { AF_INET6, SOCK_DGRAM }, { AF_NETLINK, SOCK_RAW } };
	for (int i = 0; i < 5; i++) {
		int fd = CHECK_OK(socket(kinds[i][0], kinds[i][1], 0));
		CHECK_EQ(option(fd, SO_RCVBUF), 100000);
		CHECK_EQ(option(fd, SO_SNDBUF), 50000);
		CHECK_OK(close(fd));
	}
	set("rmem_default", 212992);
	set("wmem_default", 212992);
}

TEST(what_may_be_asked_for_is_limited)
{
	int fd = CHECK_OK(socket(AF_UNIX, SOCK_DGRAM, 0)), size = 1 << 20;
	set("rmem_max", 300000);
	set("wmem_max", 30000);
	CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size));
	CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size));
	CHECK_EQ(option(fd, SO_RCVBUF), 600000);
	CHECK_EQ(option(fd, SO_SNDBUF), 60000);
	/* The administrator goes beyond it. */
	CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size));
	CHECK_EQ(option(fd, SO_SNDBUF), 2 << 20);
	set("rmem_max", 212992);
	set("wmem_max", 212992);
}

TEST(a_larger_buffer_takes_more)
{
	int counts[2];
	for (int i = 0; i < 2; i++) {
		set("wmem_default", i ? 212992 : 20000);
		int pair[2];
		CHECK_OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair));
		char block[1000] = "";
		counts[i] = 0;
		while (write(pair[0], block, sizeof block) > 0)
			counts[i]++;
		CHECK_EQ(errno, EAGAIN);
		CHECK_OK(close(pair[0]));
		CHECK_OK(close(pair[1]));
	}
	CHECK(counts[0] > 0);
	CHECK(counts[1] > 2 * counts[0]);
}

TEST(control_data_is_limited)
{
	int pair[2];
	CHECK_OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair));
	static char control[8192];
	for (char *at = control; at < control + sizeof control; at += 32) {
		struct cmsghdr *header = (struct cmsghdr *)at;
		*header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(12), .cmsg_level = SOL_SOCKET,
					    .cmsg_type = 2 /* SCM_CREDENTIALS */ };
		int ids[3] = { getpid(), 0, 0 };
		memcpy(CMSG_DATA(header), ids, sizeof ids);
	}
	struct iovec iov = { "x", 1 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control,
				  .msg_controllen = sizeof control };
	CHECK_OK(syscall(SYS_sendmsg, pair[0], &message, 0));
	set("optmem_max", 4096);
	CHECK_ERR(syscall(SYS_sendmsg, pair[0], &message, 0), ENOBUFS);
	message.msg_controllen = 4096 - 32;
	CHECK_OK(syscall(SYS_sendmsg, pair[0], &message, 0));
	set("optmem_max", 20480);
}

TEST(ranges)
{
	CHECK_ERR(kt_write_file(CORE "rmem_max", "2303"), EINVAL);
	CHECK_ERR(kt_write_file(CORE "rmem_default", "2303"), EINVAL);
	CHECK_ERR(kt_write_file(CORE "wmem_max", "4607"), EINVAL);
	CHECK_ERR(kt_write_file(CORE "wmem_default", "4607"), EINVAL);
	CHECK_ERR(kt_write_file(CORE "rmem_max", "2147483648"), EINVAL);
	CHECK_ERR(kt_write_file(CORE "rmem_max", "x"), EINVAL);
	set("rmem_max", 2304);
	set("rmem_max", 2147483647);
	set("rmem_max", 212992);
}

TEST(another_namespace_has_only_its_own)
{
	JOIN(SPAWN({
		int old = CHECK_OK(open(CORE "rmem_max", O_RDWR));
		CHECK_OK(unshare(CLONE_NEWNET));
		CHECK_ERR(open(CORE "rmem_max", O_RDONLY), ENOENT);
		CHECK_ERR(open(CORE "wmem_default", O_RDONLY), ENOENT);
		CHECK_ERR(open(CORE "optmem_max", O_RDONLY), ENOENT);
		CHECK_EQ(kt_field(CORE "somaxconn", ""), 4096);
		CHECK_OK(kt_write_file(CORE "somaxconn", "7"));
		CHECK_EQ(kt_field("/proc/sys/net/unix/max_dgram_qlen", ""), 10);
		/* What is open stays what it is. */
		CHECK_EQ(write(old, "212993", 6), 6);
		CHECK_OK(kt_field("/proc/sys/net/ipv4/ip_default_ttl", ""));
	}));
	CHECK_EQ(kt_field(CORE "somaxconn", ""), 4096);
	set("rmem_max", 212992);
}

TEST(unprivileged_namespaces_have_less)
{
	JOIN(SPAWN({
		become(1000);
		CHECK_ERR(open("/proc/sys/net/ipv4/ip_default_ttl", O_WRONLY), EACCES);
		CHECK_ERR(open(CORE "somaxconn", O_WRONLY), EACCES);
		enter_user_ns();
		CHECK_OK(unshare(CLONE_NEWNET));
		CHECK_ERR(open(CORE "somaxconn", O_RDONLY), ENOENT);
		CHECK_EQ(entries("/proc/sys/net/core"), 0);
		CHECK_EQ(kt_field("/proc/sys/net/unix/max_dgram_qlen", ""), 10);
		/* Others are the administrator's of the namespace. */
		CHECK_OK(kt_write_file("/proc/sys/net/ipv4/ip_default_ttl", "33"));
		CHECK_EQ(kt_field("/proc/sys/net/ipv4/ip_default_ttl", ""), 33);
		struct stat st;
		CHECK_OK(stat("/proc/sys/net/ipv4/ip_default_ttl", &st));
		CHECK_EQ(st.st_uid, 0);
		CHECK_EQ(st.st_mode & 07777, 0644);
		CHECK_ERR(open("/proc/sys/kernel/hostname", O_WRONLY), EACCES);
	}));
	CHECK_EQ(kt_field("/proc/sys/net/ipv4/ip_default_ttl", ""), 64);
}
