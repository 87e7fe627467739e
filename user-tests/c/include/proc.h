/*
 * Reading /proc, and running this very program again.
 */
#pragma once

#include "ktest.h"

/* The whole of a small file, ended by a zero byte; its length or -1. */
static inline ssize_t kt_read_file(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	size_t got = 0;
	while (got < size - 1) {
		ssize_t n = read(fd, buf + got, size - 1 - got);
		if (n < 0) {
			close(fd);
			return -1;
		}
		if (n == 0)
			break;
		got += n;
	}
	buf[got] = 0;
	close(fd);
	return got;
}

/* Write a string to an existing file; 0 or -1. */
static inline int kt_write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	ssize_t n = write(fd, text, strlen(text));
	int saved = errno;
	close(fd);
	errno = saved;
	return n == (ssize_t)strlen(text) ? 0 : -1;
}

/* The letter of /proc/PID/stat's state field, 0 if there is no such process. */
static inline char kt_state(pid_t pid)
{
	char path[64], text[1024];
	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	if (kt_read_file(path, text, sizeof text) < 0)
		return 0;
	char *end = strrchr(text, ')');
	return end ? end[2] : 0;
}

/* The number behind `key` in a file of "key value" lines, or -1. */
static inline long long kt_field(const char *path, const char *key)
{
	static char text[16384];
	if (kt_read_file(path, text, sizeof text) < 0)
		return -1;
	size_t len = strlen(key);
	for (char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, key, len))
			return strtoll(line + len, NULL, 10);
	}
	return -1;
}

/* Make a file with this content; fails the case if it cannot. */
static inline void kt_make_file(const char *path, const char *text, mode_t mode)
{
	int fd = CHECK_OK(open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, mode));
	CHECK_EQ(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	CHECK_OK(close(fd));
}

/* Copy this program to `path`, to be executed there. */
static inline void kt_copy_self(const char *path)
{
	static char buf[65536];
	int from = CHECK_OK(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
	int to = CHECK_OK(open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0755));
	ssize_t n;
	while ((n = CHECK_OK(read(from, buf, sizeof buf))) > 0)
		CHECK_EQ(write(to, buf, n), n);
	CHECK_OK(close(from));
	CHECK_OK(close(to));
}
