/* /proc/sys/fs: file-nr, file-max, nr_open (proc(5)). */
#include <sys/resource.h>
#include <sys/socket.h>

#include "ns.h"

#define FS "/proc/sys/fs/"

/* The first number and the last of file-nr. */
static void file_nr(unsigned long long *used, unsigned long long *most)
{
	char text[128];
	unsigned long long unused;
	CHECK(kt_read_file(FS "file-nr", text, sizeof text) > 0);
	CHECK_EQ(sscanf(text, "%llu\t%llu\t%llu", used, &unused, most), 3);
	CHECK_EQ(unused, 0);
}

static void raise_limit(long count)
{
	struct rlimit limit = { count, count };
	CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
}

/* Every way to an open file counts; each CPU may keep a few of them to itself. */
TEST(open_files_are_counted)
{
	raise_limit(12000);
	unsigned long long before, after, gone, most;
	file_nr(&before, &most);
	CHECK_EQ((long long)most, kt_field(FS "file-max", ""));
	for (int i = 0; i < 1000; i++) {
		int pair[2];
		CHECK_OK(pipe(pair));
		CHECK_OK(open("/", O_RDONLY));
		CHECK_OK(open("/", O_PATH));
		CHECK_OK(socket(AF_UNIX, SOCK_STREAM, 0));
	}
	file_nr(&after, &most);
	CHECK(after >= before + 4500 && after <= before + 5500);
	/* A second name is no second file. */
	for (int i = 0; i < 1000; i++)
		CHECK_OK(dup(0));
	file_nr(&after, &most);
	CHECK(after <= before + 5500);
	for (int i = 3; i < 6100; i++)
		close(i);
	WAIT_FOR((file_nr(&gone, &most), gone <= before + 500));
}

TEST(file_max_is_a_limit)
{
	struct stat st;
	CHECK_OK(stat(FS "file-max", &st));
	CHECK_EQ(st.st_mode & 0777, 0644);
	char old[32];
	CHECK(kt_read_file(FS "file-max", old, sizeof old) > 0);
	/* Far above the few files that are open, far below what is opened now. */
	int file = CHECK_OK(open(FS "file-max", O_WRONLY));
	CHECK_EQ(write(file, "3000", 4), 4);
	CHECK_EQ(kt_field(FS "file-max", ""), 3000);
	unsigned long long used, most;
	file_nr(&used, &most);
	CHECK_EQ(most, 3000);
	int status;
	pid_t pid = SPAWN({
		raise_limit(10000);
		/* Root may. */
		for (int i = 0; i < 5000; i++)
			CHECK_OK(open("/", O_RDONLY));
		become(1000);
		CHECK_ERR(open("/", O_RDONLY), ENFILE);
		CHECK_ERR(open("/", O_PATH), ENFILE);
		int pair[2];
		CHECK_ERR(pipe(pair), ENFILE);
		CHECK_ERR(socket(AF_UNIX, SOCK_STREAM, 0), ENFILE);
		CHECK_ERR(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), ENFILE);
		CHECK_OK(dup(0));
	});
	CHECK_EQ(waitpid(pid, &status, 0), pid);
	CHECK_EQ(pwrite(file, old, strlen(old), 0), (ssize_t)strlen(old));
	CHECK_EQ(status, 0);
	CHECK_ERR(pwrite(file, "-1", 2, 0), EINVAL);
	CHECK_EQ(pwrite(file, "9223372036854775807", 19, 0), 19);
	CHECK_EQ(pwrite(file, old, strlen(old), 0), (ssize_t)strlen(old));
}

TEST(nr_open_limits_numbers)
{
	CHECK_EQ(kt_field(FS "nr_open", ""), 1048576);
	CHECK_ERR(kt_write_file(FS "nr_open", "63"), EINVAL);
	CHECK_ERR(kt_write_file(FS "nr_open", "2147483647"), EINVAL);
	CHECK_OK(kt_write_file(FS "nr_open", "2147483584"));
	CHECK_OK(kt_write_file(FS "nr_open", "1048576"));
	struct rlimit limit = { 1048640, 1048640 };
	CHECK_ERR(setrlimit(RLIMIT_NOFILE, &limit), EPERM);
	CHECK_OK(kt_write_file(FS "nr_open", "1048640"));
	CHECK_OK(setrlimit(RLIMIT_NOFILE, &limit));
	CHECK_EQ(dup2(0, 1048576), 1048576);
	CHECK_OK(close(1048576));
	/* Below a limit that was set before. */
	CHECK_OK(kt_write_file(FS "nr_open", "1024"));
	CHECK_ERR(setrlimit(RLIMIT_NOFILE, &limit), EPERM);
	JOIN(SPAWN({
		CHECK_ERR(fcntl(0, F_DUPFD, 1048), EMFILE);
		CHECK_ERR(dup2(0, 1024), EBADF);
		CHECK_EQ(fcntl(0, F_DUPFD, 1023), 1023);
	}));
	CHECK_OK(kt_write_file(FS "nr_open", "1048576"));
}
