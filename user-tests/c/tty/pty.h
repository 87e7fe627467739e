/* A pseudo-terminal pair. */
#pragma once

#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>

#include "proc.h"

static int master, slave;
static char slave_name[64];

/* Open a pair; the slave becomes nobody's controlling terminal. */
static inline void open_pty(void)
{
	int number, unlock = 0;
	master = CHECK_OK(open("/dev/ptmx", O_RDWR | O_NOCTTY));
	CHECK_OK(ioctl(master, TIOCGPTN, &number));
	CHECK_OK(ioctl(master, TIOCSPTLCK, &unlock));
	snprintf(slave_name, sizeof slave_name, "/dev/pts/%d", number);
	slave = CHECK_OK(open(slave_name, O_RDWR | O_NOCTTY));
}

/* Change flags of the slave: clear some, then set some. */
static inline void change(tcflag_t lflag_off, tcflag_t lflag_on)
{
	struct termios t;
	CHECK_OK(tcgetattr(slave, &t));
	t.c_lflag = (t.c_lflag & ~lflag_off) | lflag_on;
	CHECK_OK(tcsetattr(slave, TCSANOW, &t));
}

static inline void type(const char *text)
{
	CHECK_EQ(write(master, text, strlen(text)), (ssize_t)strlen(text));
}

static inline int readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	return CHECK_OK(poll(&p, 1, ms));
}

/* Read from fd exactly this text. */
static inline void expect(int fd, const char *text)
{
	char buf[512];
	size_t want = strlen(text), got = 0;
	while (got < want) {
		if (!readable(fd, 10000))
			KT_FAIL("only %zu bytes of %zu came", got, want);
		got += CHECK_OK(read(fd, buf + got, want - got));
	}
	if (memcmp(buf, text, want))
		KT_FAIL("read \"%.*s\", not \"%s\"", (int)got, buf, text);
}

static inline void expect_nothing(int fd)
{
	CHECK_EQ(readable(fd, 30), 0);
}
