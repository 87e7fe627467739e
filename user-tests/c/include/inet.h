/*
 * Addresses, connections and cabled namespaces for tests of AF_INET sockets.
 */
#pragma once

#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "nl.h"

static inline struct sockaddr_in in4(const char *addr, int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	CHECK_EQ(inet_pton(AF_INET, addr, &a.sin_addr), 1);
	return a;
}

static inline void loopback(void)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	CHECK_EQ(nl_link_up("lo", 1), 0);
}

static inline int listener(const char *addr, int port, int backlog)
{
	struct sockaddr_in a = in4(addr, port);
	int one = 1, fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	CHECK_OK(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one));
	CHECK_OK(bind(fd, (void *)&a, sizeof a));
	CHECK_OK(listen(fd, backlog));
	return fd;
}

static inline int client(const char *addr, int port)
{
	struct sockaddr_in a = in4(addr, port);
	int fd = CHECK_OK(socket(AF_INET, SOCK_STREAM, 0));
	CHECK_OK(connect(fd, (void *)&a, sizeof a));
	return fd;
}

/* Two namespaces with a cable: the caller has 10.0.0.1, the child 10.0.0.2. */
static inline pid_t cable(void)
{
	CHECK_OK(unshare(CLONE_NEWNET));
	pid_t child = net_ns_child();
	int here = net_ns_of(getpid()), there = net_ns_of(child);
	CHECK_EQ(nl_veth_add("a", "b", there), 0);
	CHECK_EQ(nl_addr_add("a", "10.0.0.1", 24), 0);
	CHECK_EQ(nl_link_up("a", 1), 0);
	CHECK_EQ(nl_link_up("lo", 1), 0);
	net_ns_enter(there);
	CHECK_EQ(nl_addr_add("b", "10.0.0.2", 24), 0);
	CHECK_EQ(nl_link_up("b", 1), 0);
	CHECK_EQ(nl_link_up("lo", 1), 0);
	net_ns_enter(here);
	close(here);
	close(there);
	return child;
}

static inline void in_ns_of(pid_t pid)
{
	int fd = net_ns_of(pid);
	net_ns_enter(fd);
	close(fd);
}

/* A number of a table of names and numbers (/proc/net/snmp, netstat) of the namespace; -1 if there is none. */
static inline long counter(const char *file, const char *table, const char *name)
{
	char path[64], names[8192], numbers[8192];
	long found = -1;
	snprintf(path, sizeof path, "/proc/thread-self/net/%s", file);
	FILE *f = fopen(path, "r");
	CHECK(f != NULL);
	while (fgets(names, sizeof names, f) && fgets(numbers, sizeof numbers, f)) {
		char *save1, *save2, *n = strtok_r(names, " \n", &save1), *v = strtok_r(numbers, " \n", &save2);
		if (strcmp(n, table))
			continue;
		while ((n = strtok_r(NULL, " \n", &save1)) && (v = strtok_r(NULL, " \n", &save2)))
			if (strcmp(n, name) == 0)
				found = atol(v);
	}
	fclose(f);
	return found;
}

/* A connection over loopback: the client's end, and in *end the server's. */
static inline int connection(int port, int *end)
{
	int server = listener("127.0.0.1", port, 8);
	int fd = client("127.0.0.1", port);
	*end = CHECK_OK(accept(server, NULL, NULL));
	close(server);
	return fd;
}
