/* What a socket says of its urgent data. */
#ifndef URGENT_H
#define URGENT_H

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "ktest.h"

static inline int at_mark(int fd)
{
	int at = -1;
	CHECK_OK(ioctl(fd, SIOCATMARK, &at));
	return at;
}

static inline int unread(int fd)
{
	int n = -1;
	CHECK_OK(ioctl(fd, SIOCINQ, &n));
	return n;
}

#endif
