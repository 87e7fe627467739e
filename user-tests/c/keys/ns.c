/* keyrings(7) and user_namespaces(7): rings of users belong to the user namespace, keys to their owner. */
#include "ktest.h"
#include "keys.h"

TEST(a_user_has_rings_per_namespace)
{
	key_serial_t outer = CHECK_OK(ring_id(KEY_SPEC_USER_KEYRING, 0));
	key_serial_t key = new_key("outer", "hello", outer);
	JOIN(SPAWN({
		enter_user_ns();
		key_serial_t inner = CHECK_OK(ring_id(KEY_SPEC_USER_KEYRING, 0));
		CHECK(inner != outer);
		CHECK_TEXT(describe(inner), "keyring;0;65534;1f3f0000;_uid.0");
		CHECK_ERR(kctl(KEYCTL_SEARCH, inner, (long)"user", (long)"outer", 0), ENOKEY);
		new_key("inner", "x", inner);
	}));
	CHECK_ERR(kctl(KEYCTL_SEARCH, outer, (long)"user", (long)"inner", 0), ENOKEY);
	CHECK_OK(kctl(KEYCTL_UNLINK, key, outer, 0, 0));
}

TEST(the_session_is_taken_along)
{
	key_serial_t s = new_session();
	key_serial_t key = new_key("k", "hello", s);
	JOIN(SPAWN({
		CHECK_OK(unshare(CLONE_NEWUSER));
		CHECK_EQ(ring_id(KEY_SPEC_SESSION_KEYRING, 0), s);
		CHECK_EQ(kctl(KEYCTL_READ, key, 0, 0, 0), 5);
		/* Owners are shown as the namespace maps them. */
		CHECK_TEXT(describe(key), "user;65534;65534;3f010000;k");
	}));
}

TEST(names_of_sessions_belong_to_the_namespace)
{
	key_serial_t s = CHECK_OK(kctl(KEYCTL_JOIN_SESSION_KEYRING, (long)"kns", 0, 0, 0));
	CHECK_OK(set_perm(s, POS(ALL) | USR(ALL)));
	JOIN(SPAWN({
		new_session();
		CHECK_EQ(kctl(KEYCTL_JOIN_SESSION_KEYRING, (long)"kns", 0, 0, 0), s);
		new_session();
		enter_user_ns();
		CHECK(CHECK_OK(kctl(KEYCTL_JOIN_SESSION_KEYRING, (long)"kns", 0, 0, 0)) != s);
	}));
}

TEST(owners_are_translated)
{
	JOIN(SPAWN({
		become(5001);
		key_serial_t s = new_session();
		key_serial_t key = new_key("k", "hello", s);
		enter_user_ns();
		CHECK_TEXT(describe(key), "user;0;0;3f010000;k");
		CHECK(keys_line(key));
		CHECK_ERR(kctl(KEYCTL_CHOWN, key, 7, -1, 0), EINVAL);
		CHECK_ERR(kctl(KEYCTL_CHOWN, key, -1, 7, 0), EINVAL);
		/* The quota is that of the user outside. */
		int bytes;
		CHECK(quota(0, &bytes) >= 2);
		CHECK_ERR(kctl(KEYCTL_GET_PERSISTENT, 7, s, 0, 0), EINVAL);
		key_serial_t p = CHECK_OK(kctl(KEYCTL_GET_PERSISTENT, 0, s, 0, 0));
		CHECK_TEXT(describe(p), "keyring;0;65534;1f030000;_persistent.0");
	}));
}

TEST(keys_of_the_unmapped_are_not_listed)
{
	key_serial_t s = new_session();
	key_serial_t key = new_key("k", "hello", s);
	CHECK_OK(set_perm(key, POS(ALL) | USR(ALL) | GRP(ALL) | OTH(ALL)));
	JOIN(SPAWN({
		become(5002);
		CHECK(keys_line(key));
		enter_user_ns();
		CHECK(!keys_line(key));
		CHECK_EQ(kctl(KEYCTL_READ, key, 0, 0, 0), 5);
	}));
}
