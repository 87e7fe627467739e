/*
 * The calls of keyrings(7), bare, and what the tests of it need again and again.
 */
#pragma once

#include <linux/keyctl.h>

#include "ns.h"

typedef int32_t key_serial_t;

#define POS(x) ((x) << 24)
#define USR(x) ((x) << 16)
#define GRP(x) ((x) << 8)
#define OTH(x) (x)
enum { VIEW = 1, READ = 2, WRITE = 4, SEARCH = 8, LINK = 16, SETATTR = 32, ALL = 63 };

static inline long add_key(const char *type, const char *desc, const void *data, size_t len,
			   key_serial_t ring)
{
	return syscall(SYS_add_key, type, desc, data, len, ring);
}

static inline long request_key(const char *type, const char *desc, const char *callout,
			       key_serial_t ring)
{
	return syscall(SYS_request_key, type, desc, callout, ring);
}

static inline long kctl(int op, unsigned long a, unsigned long b, unsigned long c, unsigned long d)
{
	return syscall(SYS_keyctl, op, a, b, c, d);
}

/* A fresh anonymous session keyring: its number. */
static inline key_serial_t new_session(void)
{
	return CHECK_OK(kctl(KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0));
}

static inline key_serial_t new_ring(const char *name, key_serial_t in)
{
	return CHECK_OK(add_key("keyring", name, NULL, 0, in));
}

static inline key_serial_t new_key(const char *name, const char *text, key_serial_t in)
{
	return CHECK_OK(add_key("user", name, text, strlen(text), in));
}

static inline key_serial_t ring_id(key_serial_t special, int create)
{
	return kctl(KEYCTL_GET_KEYRING_ID, special, create, 0, 0);
}

/* How many keys a keyring has. */
static inline int nr_links(key_serial_t ring)
{
	return CHECK_OK(kctl(KEYCTL_READ, ring, 0, 0, 0)) / 4;
}

static inline int has_link(key_serial_t ring, key_serial_t key)
{
	key_serial_t ids[256];
	int n = CHECK_OK(kctl(KEYCTL_READ, ring, (long)ids, sizeof ids, 0)) / 4;
	for (int i = 0; i < n; i++)
		if (ids[i] == key)
			return 1;
	return 0;
}

/* What KEYCTL_DESCRIBE says. */
static inline const char *describe(key_serial_t key)
{
	static char text[4][256];
	static int next;
	char *buf = text[next++ % 4];
	CHECK_OK(kctl(KEYCTL_DESCRIBE, key, (long)buf, sizeof text[0], 0));
	return buf;
}

#define CHECK_TEXT(text, want)                                                 \
	do {                                                                   \
		const char *kt_t = (text);                                     \
		if (strcmp(kt_t, (want)))                                      \
			KT_FAIL("%s is \"%s\", not \"%s\"", #text, kt_t, (want)); \
	} while (0)

static inline long set_perm(key_serial_t key, uint32_t perm)
{
	return kctl(KEYCTL_SETPERM, key, perm, 0, 0);
}

/* The line of /proc/keys about a key, or NULL. */
static inline const char *keys_line(key_serial_t key)
{
	static char text[65536], line[256];
	char want[16];
	snprintf(want, sizeof want, "%08x ", key);
	CHECK(kt_read_file("/proc/keys", text, sizeof text) >= 0);
	for (char *at = text; *at; at = strchr(at, '\n') + 1) {
		if (strncmp(at, want, 9))
			continue;
		snprintf(line, sizeof line, "%.*s", (int)strcspn(at, "\n"), at);
		return line;
	}
	return NULL;
}

/* Keys, and bytes, charged to a user. */
static inline int quota(uid_t uid, int *bytes)
{
	char text[4096];
	CHECK(kt_read_file("/proc/key-users", text, sizeof text) >= 0);
	for (char *at = text; *at; at = strchr(at, '\n') + 1) {
		int id, usage, nkeys, nikeys, qnkeys, maxkeys, qnbytes, maxbytes;
		CHECK_EQ(sscanf(at, "%d: %d %d/%d %d/%d %d/%d", &id, &usage, &nkeys, &nikeys,
				&qnkeys, &maxkeys, &qnbytes, &maxbytes), 8);
		if (id == (int)uid) {
			*bytes = qnbytes;
			return qnkeys;
		}
	}
	*bytes = 0;
	return 0;
}
