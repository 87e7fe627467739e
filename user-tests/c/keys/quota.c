/* keyrings(7), /proc/key-users, /proc/sys/kernel/keys: what keys cost their owner. */
#include "ktest.h"
#include "keys.h"

TEST(keys_are_counted)
{
	JOIN(SPAWN({
		int bytes, before;
		become(4001);
		key_serial_t s = new_session();
		int keys = quota(4001, &before);
		key_serial_t key = new_key("k", "hello", s);
		CHECK_EQ(quota(4001, &bytes), keys + 1);
		/* Description with its zero, payload, and a link. */
		CHECK_EQ(bytes - before, 2 + 5 + 4);
		CHECK_OK(kctl(KEYCTL_UPDATE, key, (long)"x", 1, 0));
		quota(4001, &bytes);
		CHECK_EQ(bytes - before, 2 + 1 + 4);
		key_serial_t ring = new_ring("r", s);
		CHECK_OK(kctl(KEYCTL_LINK, key, ring, 0, 0));
		CHECK_EQ(quota(4001, &bytes), keys + 2);
		CHECK_EQ(bytes - before, 2 + 1 + 4 + 2 + 4 + 4);
		CHECK_OK(kctl(KEYCTL_CLEAR, s, 0, 0, 0));
		WAIT_FOR(quota(4001, &bytes) == keys && bytes == before);
	}));
}

TEST(the_number_of_keys_is_limited)
{
	JOIN(SPAWN({
		int bytes;
		become(4002);
		key_serial_t s = new_session();
		int n = quota(4002, &bytes);
		for (char name[8]; n < 200; n++) {
			snprintf(name, sizeof name, "%d", n);
			new_key(name, "x", s);
		}
		CHECK_ERR(add_key("user", "more", "x", 1, s), EDQUOT);
		CHECK_ERR(add_key("keyring", "more", NULL, 0, s), EDQUOT);
		CHECK_ERR(kctl(KEYCTL_JOIN_SESSION_KEYRING, 0, 0, 0, 0), EDQUOT);
		/* The process's own rings are not refused. */
		CHECK_OK(ring_id(KEY_SPEC_THREAD_KEYRING, 1));
		/* An update needs no new one. */
		CHECK_OK(add_key("user", "199", "y", 1, s));
	}));
}

TEST(the_bytes_are_limited)
{
	JOIN(SPAWN({
		int bytes, before;
		char *pay = calloc(1, 32767);
		become(4003);
		key_serial_t s = new_session();
		quota(4003, &before);
		CHECK_ERR(add_key("user", "a", pay, 20001, s), EDQUOT);
		/* The failed ones are collected in their own time. */
		WAIT_FOR((quota(4003, &bytes), bytes == before));
		/* What is left: less a description of two bytes and a link of four. */
		int left = 20000 - before - 6;
		CHECK_ERR(add_key("user", "a", pay, left + 1, s), EDQUOT);
		WAIT_FOR((quota(4003, &bytes), bytes == before));
		key_serial_t key = CHECK_OK(add_key("user", "a", pay, left, s));
		quota(4003, &bytes);
		CHECK_EQ(bytes, 20000);
		CHECK_ERR(kctl(KEYCTL_LINK, key, KEY_SPEC_PROCESS_KEYRING, 0, 0), EDQUOT);
		CHECK_OK(kctl(KEYCTL_UPDATE, key, (long)"x", 1, 0));
		/* The process's own ring was made all the same. */
		CHECK_ERR(add_key("user", "a", pay, left, s), EDQUOT);
		CHECK_EQ(kctl(KEYCTL_READ, key, 0, 0, 0), 1);
	}));
}

TEST(a_new_owner_needs_room)
{
	int bytes;
	char *pay = calloc(1, 32767);
	key_serial_t s = new_session();
	key_serial_t key = CHECK_OK(add_key("user", "a", pay, 15000, s));
	key_serial_t big = CHECK_OK(add_key("user", "b", pay, 15000, s));
	CHECK_OK(kctl(KEYCTL_CHOWN, key, 4004, -1, 0));
	CHECK_ERR(kctl(KEYCTL_CHOWN, big, 4004, -1, 0), EDQUOT);
	CHECK_TEXT(describe(big), "user;0;0;3f010000;b");
	CHECK_EQ(quota(4004, &bytes), 1);
	CHECK_EQ(bytes, 15002);
}

TEST(limits_are_settings)
{
	char text[32];
	CHECK(kt_read_file("/proc/sys/kernel/keys/maxkeys", text, sizeof text) > 0);
	CHECK_TEXT(text, "200\n");
	CHECK(kt_read_file("/proc/sys/kernel/keys/maxbytes", text, sizeof text) > 0);
	CHECK_TEXT(text, "20000\n");
	CHECK(kt_read_file("/proc/sys/kernel/keys/root_maxkeys", text, sizeof text) > 0);
	CHECK_TEXT(text, "1000000\n");
	CHECK(kt_read_file("/proc/sys/kernel/keys/root_maxbytes", text, sizeof text) > 0);
	CHECK_TEXT(text, "25000000\n");
	CHECK(kt_read_file("/proc/sys/kernel/keys/gc_delay", text, sizeof text) > 0);
	CHECK_TEXT(text, "300\n");
	CHECK(kt_read_file("/proc/sys/kernel/keys/persistent_keyring_expiry", text, sizeof text) > 0);
	CHECK_TEXT(text, "259200\n");
	CHECK_OK(kt_write_file("/proc/sys/kernel/keys/maxkeys", "5"));
	JOIN(SPAWN({
		become(4005);
		key_serial_t s = new_session();
		for (char name[8] = "0"; name[0] < '4'; name[0]++)
			new_key(name, "x", s);
		CHECK_ERR(add_key("user", "4", "x", 1, s), EDQUOT);
	}));
	CHECK_OK(kt_write_file("/proc/sys/kernel/keys/maxkeys", "200"));
	CHECK_ERR(kt_write_file("/proc/sys/kernel/keys/maxkeys", "-1"), EINVAL);
}

TEST(old_corpses_are_collected)
{
	key_serial_t s = new_session();
	key_serial_t revoked = new_key("r", "x", s), expired = new_key("e", "x", s);
	CHECK_OK(kt_write_file("/proc/sys/kernel/keys/gc_delay", "1"));
	CHECK_OK(kctl(KEYCTL_REVOKE, revoked, 0, 0, 0));
	CHECK_OK(kctl(KEYCTL_SET_TIMEOUT, expired, 1, 0, 0));
	WAIT_FOR(nr_links(s) == 0);
	WAIT_FOR(kctl(KEYCTL_DESCRIBE, revoked, 0, 0, 0) < 0 && errno == ENOKEY);
	WAIT_FOR(kctl(KEYCTL_DESCRIBE, expired, 0, 0, 0) < 0 && errno == ENOKEY);
	CHECK_OK(kt_write_file("/proc/sys/kernel/keys/gc_delay", "300"));
}
