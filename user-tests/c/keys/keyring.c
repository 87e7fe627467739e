/* keyrings(7), keyctl(2): links, searches, nesting, restrictions, moves, requests. */
#include "ktest.h"
#include "keys.h"

TEST(keys_are_linked_and_unlinked)
{
	key_serial_t ses = new_session();
	key_serial_t a = new_ring("a", ses), b = new_ring("b", ses);
	key_serial_t key = new_key("k", "hello", a);
	CHECK_OK(kctl(KEYCTL_LINK, key, b, 0, 0));
	CHECK_EQ(has_link(b, key), 1);
	CHECK_OK(kctl(KEYCTL_LINK, key, b, 0, 0));
	CHECK_EQ(nr_links(b), 1);
	CHECK_OK(kctl(KEYCTL_UNLINK, key, a, 0, 0));
	CHECK_ERR(kctl(KEYCTL_UNLINK, key, a, 0, 0), ENOENT);
	CHECK_EQ(kctl(KEYCTL_READ, key, 0, 0, 0), 5);
	CHECK_OK(kctl(KEYCTL_UNLINK, key, b, 0, 0));
	/* The last link took it along. */
	WAIT_FOR(kctl(KEYCTL_READ, key, 0, 0, 0) < 0 && errno == ENOKEY);
	key = new_key("k", "hello", a);
	CHECK_ERR(kctl(KEYCTL_LINK, a, key, 0, 0), ENOTDIR);
	CHECK_ERR(kctl(KEYCTL_UNLINK, a, key, 0, 0), ENOTDIR);
	CHECK_ERR(kctl(KEYCTL_CLEAR, key, 0, 0, 0), ENOTDIR);
	CHECK_ERR(kctl(KEYCTL_LINK, 0x7fffffff, a, 0, 0), ENOKEY);
	CHECK_OK(kctl(KEYCTL_CLEAR, a, 0, 0, 0));
	CHECK_EQ(nr_links(a), 0);
}

TEST(a_link_displaces_its_namesake)
{
	key_serial_t ses = new_session();
	key_serial_t a = new_ring("a", ses), b = new_ring("b", ses);
	key_serial_t one = new_key("k", "one", a), two = new_key("k", "two", b);
	CHECK(one != two);
	CHECK_OK(kctl(KEYCTL_LINK, two, a, 0, 0));
	CHECK_EQ(nr_links(a), 1);
	CHECK_EQ(has_link(a, two), 1);
	/* A keyring is never updated, only displaced. */
	key_serial_t again = new_ring("a", ses);
	CHECK(again != a);
	CHECK_EQ(nr_links(ses), 2);
	CHECK_EQ(has_link(ses, again), 1);
	/* Other types are other names. */
	CHECK_OK(add_key("logon", "x:y", "p", 1, again));
	CHECK_OK(add_key("user", "x:y", "p", 1, again));
	CHECK_EQ(nr_links(again), 2);
}

TEST(a_short_buffer_gets_nothing)
{
	key_serial_t ids[4] = { 0 };
	key_serial_t ses = new_session();
	new_key("a", "x", ses);
	new_key("b", "x", ses);
	CHECK_EQ(kctl(KEYCTL_READ, ses, (long)ids, 4, 0), 8);
	CHECK_EQ(ids[1], 0);
	CHECK_EQ(kctl(KEYCTL_READ, ses, (long)ids, 8, 0), 8);
	CHECK(ids[0] && ids[1]);
}

TEST(rings_form_no_circles_and_no_abyss)
{
	key_serial_t ses = new_session();
	key_serial_t ring[9];
	for (int i = 0; i < 9; i++) {
		char name[8];
		snprintf(name, sizeof name, "r%d", i);
		ring[i] = new_ring(name, ses);
	}
	CHECK_ERR(kctl(KEYCTL_LINK, ring[0], ring[0], 0, 0), EDEADLK);
	CHECK_OK(kctl(KEYCTL_LINK, ring[1], ring[0], 0, 0));
	CHECK_ERR(kctl(KEYCTL_LINK, ring[0], ring[1], 0, 0), EDEADLK);
	CHECK_OK(kctl(KEYCTL_LINK, ring[2], ring[1], 0, 0));
	CHECK_ERR(kctl(KEYCTL_LINK, ring[0], ring[2], 0, 0), EDEADLK);
	for (int i = 2; i < 6; i++)
		CHECK_OK(kctl(KEYCTL_LINK, ring[i + 1], ring[i], 0, 0));
	/* Six levels may stand below what is linked. */
	CHECK_OK(kctl(KEYCTL_LINK, ring[0], ring[7], 0, 0));
	CHECK_OK(kctl(KEYCTL_UNLINK, ring[7], ses, 0, 0));
	CHECK_OK(kctl(KEYCTL_LINK, ring[8], ring[6], 0, 0));
	CHECK_ERR(kctl(KEYCTL_LINK, ring[0], KEY_SPEC_PROCESS_KEYRING, 0, 0), ELOOP);
	CHECK_OK(kctl(KEYCTL_LINK, ring[1], KEY_SPEC_PROCESS_KEYRING, 0, 0));
}

TEST(a_search_goes_through_nested_rings)
{
	key_serial_t ses = new_session();
	key_serial_t a = new_ring("a", ses), b = new_ring("b", a), dest = new_ring("d", ses);
	key_serial_t key = new_key("deep", "hello", b);
	CHECK_EQ(kctl(KEYCTL_SEARCH, ses, (long)"user", (long)"deep", 0), key);
	CHECK_EQ(kctl(KEYCTL_SEARCH, ses, (long)"keyring", (long)"b", 0), b);
	CHECK_EQ(kctl(KEYCTL_SEARCH, b, (long)"keyring", (long)"b", 0), b);
	CHECK_ERR(kctl(KEYCTL_SEARCH, ses, (long)"logon", (long)"deep", 0), ENOKEY);
	CHECK_ERR(kctl(KEYCTL_SEARCH, ses, (long)"nosuch", (long)"deep", 0), ENOKEY);
	CHECK_ERR(kctl(KEYCTL_SEARCH, ses, (long)".x", (long)"deep", 0), EPERM);
	CHECK_ERR(kctl(KEYCTL_SEARCH, ses, (long)"user", (long)BAD_PTR, 0), EFAULT);
	CHECK_ERR(kctl(KEYCTL_SEARCH, key, (long)"user", (long)"deep", 0), ENOTDIR);
	CHECK_EQ(kctl(KEYCTL_SEARCH, ses, (long)"user", (long)"deep", dest), key);
	CHECK_EQ(has_link(dest, key), 1);
	CHECK_ERR(kctl(KEYCTL_SEARCH, ses, (long)"user", (long)"deep", key), ENOTDIR);
	CHECK_OK(kctl(KEYCTL_CLEAR, dest, 0, 0, 0));
	/* Rings that may not be searched are passed by. */
	CHECK_OK(set_perm(a, POS(ALL & ~SEARCH) | USR(SETATTR)));
	CHECK_ERR(kctl(KEYCTL_SEARCH, ses, (long)"user", (long)"deep", 0), ENOKEY);
	CHECK_ERR(kctl(KEYCTL_SEARCH, a, (long)"user", (long)"deep", 0), EACCES);
	CHECK_ERR(request_key("user", "deep", NULL, 0), ENOKEY);
	/* Nor is what is in them possessed. */
	CHECK_ERR(kctl(KEYCTL_READ, key, 0, 0, 0), EACCES);
	CHECK_OK(set_perm(a, POS(ALL) | USR(SETATTR)));
	CHECK_EQ(kctl(KEYCTL_READ, key, 0, 0, 0), 5);
	CHECK_OK(set_perm(ses, POS(ALL & ~SEARCH)));
	CHECK_ERR(request_key("user", "deep", NULL, 0), EACCES);
}

TEST(a_request_finds_what_the_process_has)
{
	key_serial_t ses = new_session();
	key_serial_t d = new_ring("d", ses);
	CHECK_ERR(request_key("user", "none", NULL, 0), ENOKEY);
	CHECK_ERR(request_key("nosuch", "none", NULL, 0), ENOKEY);
	CHECK_ERR(request_key(".x", "none", NULL, 0), EPERM);
	CHECK_ERR(request_key("user", BAD_PTR, NULL, 0), EFAULT);
	CHECK_ERR(request_key("user", "a", BAD_PTR, 0), EFAULT);
	key_serial_t in_ses = new_key("k", "hello", ses);
	CHECK_EQ(request_key("user", "k", NULL, 0), in_ses);
	key_serial_t in_proc = new_key("k", "hello", KEY_SPEC_PROCESS_KEYRING);
	CHECK_EQ(request_key("user", "k", NULL, 0), in_proc);
	key_serial_t in_thread = new_key("k", "hello", KEY_SPEC_THREAD_KEYRING);
	CHECK_EQ(request_key("user", "k", NULL, d), in_thread);
	CHECK_EQ(has_link(d, in_thread), 1);
	CHECK_ERR(request_key("user", "k", NULL, in_proc), ENOTDIR);
	CHECK_OK(set_perm(in_thread, POS(ALL & ~LINK)));
	CHECK_ERR(request_key("user", "k", NULL, d), EACCES);
	CHECK_ERR(request_key("keyring", "nosuch", "callout", 0), EPERM);
}

TEST(a_request_that_nobody_answers_is_remembered)
{
	key_serial_t ses = new_session();
	/* There is no /sbin/request-key. */
	CHECK_ERR(request_key("user", "wanted", "callout", ses), ENOENT);
	CHECK_EQ(nr_links(ses), 1);
	key_serial_t key;
	CHECK_EQ(kctl(KEYCTL_READ, ses, (long)&key, 4, 0), 4);
	CHECK_TEXT(describe(key), "user;0;0;3f010000;wanted");
	CHECK(strstr(keys_line(key), " I--Q-N- "));
	CHECK_ERR(kctl(KEYCTL_READ, key, 0, 0, 0), ENOKEY);
	CHECK_ERR(kctl(KEYCTL_SEARCH, ses, (long)"user", (long)"wanted", 0), ENOKEY);
	/* An update makes it a key like any other. */
	CHECK_EQ(new_key("wanted", "hello", ses), key);
	CHECK_EQ(kctl(KEYCTL_READ, key, 0, 0, 0), 5);
}

TEST(a_restricted_ring_takes_no_more)
{
	key_serial_t ses = new_session();
	key_serial_t ring = new_ring("r", ses), key = new_key("k", "hello", ring);
	key_serial_t other = new_key("o", "hello", ses);
	CHECK_ERR(kctl(KEYCTL_RESTRICT_KEYRING, ring, 0, (long)"x", 0), EINVAL);
	CHECK_ERR(kctl(KEYCTL_RESTRICT_KEYRING, ring, (long)"user", 0, 0), EINVAL);
	CHECK_ERR(kctl(KEYCTL_RESTRICT_KEYRING, ring, (long)"user", (long)"x", 0), ENOENT);
	CHECK_ERR(kctl(KEYCTL_RESTRICT_KEYRING, key, 0, 0, 0), ENOTDIR);
	CHECK_OK(kctl(KEYCTL_RESTRICT_KEYRING, ring, 0, 0, 0));
	CHECK_ERR(kctl(KEYCTL_RESTRICT_KEYRING, ring, 0, 0, 0), EEXIST);
	CHECK_ERR(add_key("user", "n", "x", 1, ring), EPERM);
	CHECK_ERR(add_key("user", "k", "x", 1, ring), EPERM);
	CHECK_ERR(kctl(KEYCTL_LINK, other, ring, 0, 0), EPERM);
	CHECK_OK(kctl(KEYCTL_UNLINK, key, ring, 0, 0));
	CHECK_ERR(kctl(KEYCTL_MOVE, other, ses, ring, 0), EPERM);
}

TEST(a_key_moves)
{
	key_serial_t ses = new_session();
	key_serial_t a = new_ring("a", ses), b = new_ring("b", ses);
	key_serial_t key = new_key("k", "one", a);
	CHECK_ERR(kctl(KEYCTL_MOVE, key, a, b, 2), EINVAL);
	CHECK_OK(kctl(KEYCTL_MOVE, key, a, a, 0));
	CHECK_OK(kctl(KEYCTL_MOVE, key, a, b, 0));
	CHECK_EQ(nr_links(a), 0);
	CHECK_EQ(has_link(b, key), 1);
	CHECK_ERR(kctl(KEYCTL_MOVE, key, a, b, 0), ENOENT);
	key_serial_t other = new_key("k", "two", a);
	CHECK_ERR(kctl(KEYCTL_MOVE, other, a, b, KEYCTL_MOVE_EXCL), EEXIST);
	CHECK_OK(kctl(KEYCTL_MOVE, other, a, b, 0));
	CHECK_EQ(has_link(b, other), 1);
	CHECK_EQ(nr_links(b), 1);
	CHECK_ERR(kctl(KEYCTL_MOVE, other, b, other, 0), ENOTDIR);
	CHECK_ERR(kctl(KEYCTL_MOVE, a, ses, a, 0), EDEADLK);
	CHECK_EQ(has_link(ses, a), 1);
}

TEST(a_revoked_ring_is_empty)
{
	key_serial_t ses = new_session();
	key_serial_t a = new_ring("a", ses);
	key_serial_t key = new_key("k", "one", a);
	CHECK_OK(kctl(KEYCTL_REVOKE, a, 0, 0, 0));
	WAIT_FOR(kctl(KEYCTL_DESCRIBE, key, 0, 0, 0) < 0 && errno == ENOKEY);
	CHECK_ERR(add_key("user", "k", "x", 1, a), EKEYREVOKED);
	CHECK_ERR(kctl(KEYCTL_SEARCH, a, (long)"user", (long)"k", 0), EKEYREVOKED);
}

/* Taking down a long chain of rings must not depend on its length. */
TEST_FOR(a_long_chain_of_rings, 60)
{
	key_serial_t ses = new_session(), head = 0;
	for (int i = 0; i < 100; i++) {
		char name[16];
		snprintf(name, sizeof name, "%d", i);
		key_serial_t next = new_ring(name, head ? head : ses);
		head = next;
		CHECK_OK(set_perm(head, POS(ALL) | USR(ALL)));
		CHECK_OK(kctl(KEYCTL_LINK, head, KEY_SPEC_PROCESS_KEYRING, 0, 0));
		if (i % 4 == 3)
			CHECK_OK(kctl(KEYCTL_CLEAR, KEY_SPEC_PROCESS_KEYRING, 0, 0, 0));
		if (i % 4 == 3)
			CHECK_OK(kctl(KEYCTL_LINK, head, KEY_SPEC_PROCESS_KEYRING, 0, 0));
	}
	CHECK_OK(kctl(KEYCTL_CLEAR, ses, 0, 0, 0));
	CHECK_OK(kctl(KEYCTL_CLEAR, KEY_SPEC_PROCESS_KEYRING, 0, 0, 0));
	WAIT_FOR(kctl(KEYCTL_DESCRIBE, head, 0, 0, 0) < 0 && errno == ENOKEY);
}
