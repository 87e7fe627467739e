/* add_key(2), keyctl(2): keys of the types user and logon, their attributes and their ends. */
#include "ktest.h"
#include "keys.h"

TEST(arguments_are_checked_in_order)
{
	new_session();
	char big[40];
	memset(big, 'x', sizeof big);
	big[39] = 0;
	char *desc = malloc(5000);
	memset(desc, 'd', 4999);
	desc[4999] = 0;
	int s = KEY_SPEC_SESSION_KEYRING;
	CHECK_ERR(add_key("user", "a", "x", 1 << 20, s), EINVAL);
	CHECK_ERR(add_key(BAD_PTR, "a", "x", 1, s), EFAULT);
	CHECK_ERR(add_key("", "a", "x", 1, s), EINVAL);
	CHECK_ERR(add_key(big, "a", "x", 1, s), EINVAL);
	CHECK_ERR(add_key(".user", "a", "x", 1, s), EPERM);
	CHECK_ERR(add_key("user", BAD_PTR, "x", 1, s), EFAULT);
	CHECK_ERR(add_key("user", desc, "x", 1, s), EINVAL);
	CHECK_ERR(add_key("user", NULL, "x", 1, s), EINVAL);
	CHECK_ERR(add_key("user", "", "x", 1, s), EINVAL);
	CHECK_ERR(add_key("user", "a", BAD_PTR, 1, s), EFAULT);
	CHECK_ERR(add_key("user", "a", NULL, 0, s), EINVAL);
	CHECK_ERR(add_key("nosuchtype", "a", "x", 1, s), ENODEV);
	CHECK_ERR(add_key("keyring", ".a", NULL, 0, s), EPERM);
	CHECK_ERR(add_key("keyring", "a", "x", 1, s), EINVAL);
	CHECK_ERR(add_key("keyring", NULL, NULL, 0, s), EINVAL);
	CHECK_OK(add_key("user", ".a", "x", 1, s));
	CHECK_ERR(add_key("user", "a", "x", 1, 0), EINVAL);
	CHECK_ERR(add_key("user", "a", "x", 1, KEY_SPEC_GROUP_KEYRING), EINVAL);
	CHECK_ERR(add_key("user", "a", "x", 1, KEY_SPEC_REQKEY_AUTH_KEY), ENOKEY);
	CHECK_ERR(add_key("user", "a", "x", 1, KEY_SPEC_REQUESTOR_KEYRING), ENOKEY);
	CHECK_ERR(add_key("user", "a", "x", 1, -9), EINVAL);
	CHECK_ERR(add_key("user", "a", "x", 1, 2), ENOKEY);
	key_serial_t key = new_key("a", "x", s);
	CHECK_ERR(add_key("user", "b", "x", 1, key), ENOTDIR);
	char *pay = malloc(32768);
	memset(pay, 'p', 32768);
	CHECK_OK(add_key("user", "big", pay, 32767, s));
	CHECK_ERR(add_key("user", "big2", pay, 32768, s), EINVAL);
}

TEST(a_key_is_read_and_updated)
{
	char buf[16];
	key_serial_t ses = new_session();
	key_serial_t key = new_key("k", "hello", ses);
	CHECK(key >= 3);
	memset(buf, '.', sizeof buf);
	CHECK_EQ(kctl(KEYCTL_READ, key, (long)buf, 16, 0), 5);
	CHECK(!memcmp(buf, "hello.", 6));
	memset(buf, '.', sizeof buf);
	CHECK_EQ(kctl(KEYCTL_READ, key, (long)buf, 3, 0), 5);
	CHECK(!memcmp(buf, "...", 3) || !memcmp(buf, "hel.", 4));
	CHECK_EQ(kctl(KEYCTL_READ, key, 0, 0, 0), 5);
	CHECK_ERR(kctl(KEYCTL_READ, key, (long)BAD_PTR, 5, 0), EFAULT);
	CHECK_OK(kctl(KEYCTL_UPDATE, key, (long)"more than that", 14, 0));
	CHECK_EQ(kctl(KEYCTL_READ, key, (long)buf, 16, 0), 14);
	CHECK(!memcmp(buf, "more than that", 14));
	/* The same type and description: an update. */
	CHECK_EQ(new_key("k", "again", ses), key);
	CHECK_EQ(nr_links(ses), 1);
	CHECK_ERR(kctl(KEYCTL_UPDATE, key, (long)BAD_PTR, 5, 0), EFAULT);
	CHECK_ERR(kctl(KEYCTL_UPDATE, key, 0, 0, 0), EINVAL);
	CHECK_ERR(kctl(KEYCTL_UPDATE, key, (long)buf, 4097, 0), EINVAL);
	CHECK_ERR(kctl(KEYCTL_UPDATE, ses, (long)"x", 1, 0), EOPNOTSUPP);
	CHECK_ERR(kctl(KEYCTL_UPDATE, 0x7fffffff, (long)"x", 1, 0), ENOKEY);
	CHECK_ERR(kctl(KEYCTL_READ, 0x7fffffff, 0, 0, 0), ENOKEY);
	CHECK_ERR(kctl(KEYCTL_READ, 0, 0, 0, 0), ENOKEY);
}

TEST(logon_keys_are_not_read)
{
	key_serial_t ses = new_session();
	CHECK_ERR(add_key("logon", "name", "pw", 2, ses), EINVAL);
	CHECK_ERR(add_key("logon", ":name", "pw", 2, ses), EINVAL);
	key_serial_t key = CHECK_OK(add_key("logon", "svc:name", "pw", 2, ses));
	CHECK_ERR(kctl(KEYCTL_READ, key, 0, 0, 0), EOPNOTSUPP);
	CHECK_OK(kctl(KEYCTL_UPDATE, key, (long)"pw2", 3, 0));
	CHECK_TEXT(describe(key), "logon;0;0;3d010000;svc:name");
}

TEST(a_key_describes_itself)
{
	char buf[64];
	key_serial_t ses = new_session();
	key_serial_t key = new_key("desc", "hello", ses);
	CHECK_TEXT(describe(key), "user;0;0;3f010000;desc");
	CHECK_TEXT(describe(ses), "keyring;0;0;3f030000;_ses");
	CHECK_TEXT(describe(new_ring("ring", ses)), "keyring;0;0;3f010000;ring");
	memset(buf, '.', sizeof buf);
	CHECK_EQ(kctl(KEYCTL_DESCRIBE, key, (long)buf, 22, 0), 23);
	CHECK_EQ(buf[0], '.');
	CHECK_EQ(kctl(KEYCTL_DESCRIBE, key, (long)buf, 23, 0), 23);
	CHECK_TEXT(buf, "user;0;0;3f010000;desc");
	CHECK_EQ(kctl(KEYCTL_DESCRIBE, key, 0, 100, 0), 23);
	CHECK_ERR(kctl(KEYCTL_DESCRIBE, key, (long)BAD_PTR, 100, 0), EFAULT);
	CHECK_EQ(kctl(KEYCTL_GET_SECURITY, key, (long)buf, sizeof buf, 0), 1);
	CHECK_EQ(buf[0], 0);
}

TEST(permissions_are_set)
{
	key_serial_t ses = new_session();
	key_serial_t key = new_key("p", "hello", ses);
	CHECK_ERR(set_perm(key, 0xffffffff), EINVAL);
	CHECK_ERR(set_perm(key, 0x40), EINVAL);
	CHECK_OK(set_perm(key, POS(SETATTR | SEARCH)));
	CHECK_ERR(kctl(KEYCTL_DESCRIBE, key, 0, 0, 0), EACCES);
	CHECK_ERR(kctl(KEYCTL_UPDATE, key, (long)"x", 1, 0), EACCES);
	/* Possession is enough to read. */
	CHECK_EQ(kctl(KEYCTL_READ, key, 0, 0, 0), 5);
	CHECK_ERR(kctl(KEYCTL_LINK, key, KEY_SPEC_PROCESS_KEYRING, 0, 0), EACCES);
	/* Without search it is not possessed. */
	CHECK_OK(set_perm(key, POS(ALL & ~SEARCH) | USR(SETATTR)));
	CHECK_ERR(kctl(KEYCTL_READ, key, 0, 0, 0), EACCES);
	CHECK_ERR(kctl(KEYCTL_SEARCH, ses, (long)"user", (long)"p", 0), EACCES);
	CHECK_OK(set_perm(key, USR(READ)));
	CHECK_EQ(kctl(KEYCTL_READ, key, 0, 0, 0), 5);
	CHECK_ERR(set_perm(key, USR(ALL)), EACCES);
}

TEST(user_group_and_other_exclude_each_other)
{
	key_serial_t ses = new_session();
	key_serial_t key = new_key("p", "hello", ses);
	CHECK_OK(set_perm(key, USR(SETATTR) | GRP(READ) | OTH(VIEW)));
	JOIN(SPAWN({
		gid_t root = 0;
		new_session();
		CHECK_ERR(kctl(KEYCTL_READ, key, 0, 0, 0), EACCES);
		CHECK_OK(setgroups(1, &root));
		CHECK_OK(setresgid(7, 7, 7));
		CHECK_OK(setresuid(7, 7, 7));
		CHECK_EQ(kctl(KEYCTL_READ, key, 0, 0, 0), 5);
		CHECK_ERR(kctl(KEYCTL_DESCRIBE, key, 0, 0, 0), EACCES);
		CHECK_ERR(set_perm(key, USR(ALL)), EACCES);
	}));
	JOIN(SPAWN({
		new_session();
		become(7);
		CHECK_ERR(kctl(KEYCTL_READ, key, 0, 0, 0), EACCES);
		CHECK_OK(kctl(KEYCTL_DESCRIBE, key, 0, 0, 0));
	}));
	/* No bit for the group: others' bits count for it. */
	CHECK_OK(set_perm(key, USR(SETATTR) | OTH(READ)));
	JOIN(SPAWN({
		new_session();
		CHECK_OK(setresgid(0, 0, 0));
		CHECK_OK(setresuid(7, 7, 7));
		CHECK_EQ(kctl(KEYCTL_READ, key, 0, 0, 0), 5);
	}));
}

TEST(chown_moves_the_owner)
{
	key_serial_t ses = new_session();
	key_serial_t key = new_key("c", "hello", ses);
	CHECK_OK(kctl(KEYCTL_CHOWN, key, -1, -1, 0));
	CHECK_OK(kctl(KEYCTL_CHOWN, 0, -1, -1, 0));
	CHECK_OK(kctl(KEYCTL_CHOWN, key, -1, 5, 0));
	CHECK_TEXT(describe(key), "user;0;5;3f010000;c");
	int bytes, before = quota(1234, &bytes);
	CHECK_OK(kctl(KEYCTL_CHOWN, key, 1234, -1, 0));
	CHECK_TEXT(describe(key), "user;1234;5;3f010000;c");
	CHECK_EQ(quota(1234, &bytes), before + 1);
	CHECK_EQ(bytes, 2 + 5);
	CHECK_OK(set_perm(key, POS(ALL) | OTH(ALL)));
	JOIN(SPAWN({
		become(7);
		CHECK_ERR(kctl(KEYCTL_CHOWN, key, 7, -1, 0), EACCES);
		CHECK_ERR(kctl(KEYCTL_CHOWN, key, -1, 8, 0), EACCES);
		CHECK_OK(kctl(KEYCTL_CHOWN, key, 1234, 7, 0));
		/* Only the owner sets permissions. */
		CHECK_ERR(set_perm(key, POS(ALL)), EACCES);
	}));
	CHECK_TEXT(describe(key), "user;1234;7;3f00003f;c");
}

TEST(a_revoked_key_is_of_no_use)
{
	key_serial_t ses = new_session();
	key_serial_t key = new_key("r", "hello", ses);
	CHECK_OK(kctl(KEYCTL_REVOKE, key, 0, 0, 0));
	CHECK_ERR(kctl(KEYCTL_READ, key, 0, 0, 0), EKEYREVOKED);
	CHECK_ERR(kctl(KEYCTL_UPDATE, key, (long)"x", 1, 0), EKEYREVOKED);
	CHECK_ERR(kctl(KEYCTL_DESCRIBE, key, 0, 0, 0), EKEYREVOKED);
	CHECK_ERR(kctl(KEYCTL_REVOKE, key, 0, 0, 0), EKEYREVOKED);
	CHECK_ERR(kctl(KEYCTL_SETPERM, key, POS(ALL), 0, 0), EKEYREVOKED);
	CHECK_ERR(kctl(KEYCTL_SEARCH, ses, (long)"user", (long)"r", 0), EKEYREVOKED);
	CHECK_ERR(request_key("user", "r", NULL, 0), EKEYREVOKED);
	CHECK_ERR(kctl(KEYCTL_LINK, key, KEY_SPEC_PROCESS_KEYRING, 0, 0), EKEYREVOKED);
	/* With a ring before it that knows nothing of the key, nothing is said of its end. */
	CHECK_ERR(request_key("user", "r", NULL, 0), ENOKEY);
	CHECK_ERR(kctl(KEYCTL_GET_KEYRING_ID, key, 0, 0, 0), EKEYREVOKED);
	CHECK_EQ(has_link(ses, key), 1);
	/* A new one takes its place. */
	key_serial_t other = new_key("r", "new", ses);
	CHECK(other != key);
	CHECK_EQ(nr_links(ses), 1);
	CHECK_EQ(kctl(KEYCTL_SEARCH, ses, (long)"user", (long)"r", 0), other);
}

TEST(revoking_needs_write_or_setattr)
{
	key_serial_t ses = new_session();
	key_serial_t key = new_key("r", "hello", ses);
	CHECK_OK(set_perm(key, POS(SEARCH | VIEW)));
	CHECK_ERR(kctl(KEYCTL_REVOKE, key, 0, 0, 0), EACCES);
	key = new_ring("s", ses);
	CHECK_OK(set_perm(key, POS(SEARCH | SETATTR)));
	CHECK_OK(kctl(KEYCTL_REVOKE, key, 0, 0, 0));
	key = new_key("t", "hello", ses);
	CHECK_OK(set_perm(key, POS(SEARCH | WRITE)));
	CHECK_OK(kctl(KEYCTL_REVOKE, key, 0, 0, 0));
}

TEST(an_invalidated_key_is_gone)
{
	key_serial_t ses = new_session();
	key_serial_t key = new_key("i", "hello", ses);
	CHECK_OK(set_perm(key, POS(ALL & ~SEARCH)));
	CHECK_ERR(kctl(KEYCTL_INVALIDATE, key, 0, 0, 0), EACCES);
	key = new_key("j", "hello", ses);
	CHECK_OK(kctl(KEYCTL_INVALIDATE, key, 0, 0, 0));
	CHECK(kctl(KEYCTL_READ, key, 0, 0, 0) < 0);
	/* While Linux takes it away nobody possesses it, for a moment. */
	WAIT_FOR(kctl(KEYCTL_READ, key, 0, 0, 0) < 0 && errno == ENOKEY);
	CHECK_ERR(kctl(KEYCTL_DESCRIBE, key, 0, 0, 0), ENOKEY);
	WAIT_FOR(!has_link(ses, key));
}

TEST(a_key_expires)
{
	key_serial_t ses = new_session();
	key_serial_t key = new_key("e", "hello", ses);
	CHECK_OK(kctl(KEYCTL_SET_TIMEOUT, key, 1, 0, 0));
	WAIT_FOR(kctl(KEYCTL_READ, key, 0, 0, 0) < 0);
	CHECK_EQ(errno, EKEYEXPIRED);
	CHECK_ERR(kctl(KEYCTL_DESCRIBE, key, 0, 0, 0), EKEYEXPIRED);
	CHECK_ERR(kctl(KEYCTL_SEARCH, ses, (long)"user", (long)"e", 0), EKEYEXPIRED);
	CHECK_ERR(kctl(KEYCTL_SET_TIMEOUT, key, 0, 0, 0), EKEYEXPIRED);
	/* A request passes it over. */
	CHECK_ERR(request_key("user", "e", NULL, 0), ENOKEY);
	/* Adding it again is an update, which it survives. */
	CHECK_EQ(new_key("e", "again", ses), key);
	CHECK_EQ(kctl(KEYCTL_READ, key, 0, 0, 0), 5);
	/* A timeout that is taken back. */
	CHECK_OK(kctl(KEYCTL_SET_TIMEOUT, key, 100, 0, 0));
	CHECK_OK(kctl(KEYCTL_SET_TIMEOUT, key, 0, 0, 0));
	CHECK_OK(set_perm(key, POS(ALL & ~SETATTR)));
	CHECK_ERR(kctl(KEYCTL_SET_TIMEOUT, key, 0, 0, 0), EACCES);
}

TEST(the_proc_file_lists_what_may_be_viewed)
{
	int usage;
	unsigned serial, perm;
	char flags[16], type[16], timeout[16], name[32];
	key_serial_t ses = new_session();
	key_serial_t key = new_key("listed", "hello", ses);
	const char *line = keys_line(key);
	CHECK(line);
	int uid, gid, len;
	CHECK_EQ(sscanf(line, "%x %15s %d %15s %x %d %d %15s %31[^:]: %d", &serial, flags, &usage,
			timeout, &perm, &uid, &gid, type, name, &len), 10);
	CHECK_TEXT(flags, "I--Q---");
	CHECK_TEXT(timeout, "perm");
	CHECK_EQ(perm, 0x3f010000);
	CHECK_TEXT(type, "user");
	CHECK_TEXT(name, "listed");
	CHECK_EQ(len, 5);
	CHECK_OK(kctl(KEYCTL_SET_TIMEOUT, key, 7250, 0, 0));
	CHECK(strstr(keys_line(key), " 2h 3f010000     0     0 user      listed: 5"));
	CHECK(strstr(keys_line(ses), " perm 3f030000     0     0 keyring   _ses: 1"));
	CHECK(strstr(keys_line(new_ring("r", ses)), "keyring   r: empty"));
	CHECK_OK(set_perm(key, POS(ALL & ~VIEW)));
	CHECK(!keys_line(key));
	CHECK_OK(set_perm(key, POS(ALL)));
	CHECK(keys_line(key));
	CHECK_OK(kctl(KEYCTL_REVOKE, key, 0, 0, 0));
	CHECK(strstr(keys_line(key), " IR-Q--- "));
	JOIN(SPAWN({
		new_session();
		CHECK(!keys_line(key));
	}));
}

TEST(unknown_operations)
{
	unsigned char caps[8];
	CHECK_ERR(kctl(1000, 0, 0, 0, 0), EOPNOTSUPP);
	CHECK_ERR(kctl(KEYCTL_WATCH_KEY, KEY_SPEC_SESSION_KEYRING, 1, 0, 0), EOPNOTSUPP);
	memset(caps, 0xee, sizeof caps);
	CHECK_EQ(kctl(KEYCTL_CAPABILITIES, (long)caps, 8, 0, 0), 2);
	CHECK((caps[0] & 0xe3) == 0xe3);
	CHECK_EQ(caps[1], 3);
	CHECK_EQ(caps[2] | caps[7], 0);
	CHECK_EQ(kctl(KEYCTL_CAPABILITIES, 0, 0, 0, 0), 2);
	CHECK_ERR(kctl(KEYCTL_CAPABILITIES, (long)BAD_PTR, 1, 0, 0), EFAULT);
	/* Nobody asked this process to make a key. */
	CHECK_ERR(kctl(KEYCTL_INSTANTIATE, 1, (long)"x", 1, 0), EPERM);
	CHECK_ERR(kctl(KEYCTL_NEGATE, 1, 1, 0, 0), EPERM);
	CHECK_ERR(kctl(KEYCTL_REJECT, 1, 1, EKEYREJECTED, 0), EPERM);
	CHECK_ERR(kctl(KEYCTL_REJECT, 1, 1, 0, 0), EINVAL);
	CHECK_ERR(kctl(KEYCTL_ASSUME_AUTHORITY, -1, 0, 0, 0), EINVAL);
	CHECK_EQ(kctl(KEYCTL_ASSUME_AUTHORITY, 0, 0, 0, 0), 0);
	CHECK_ERR(kctl(KEYCTL_ASSUME_AUTHORITY, 0x7ffffff0, 0, 0, 0), ENOKEY);
}
