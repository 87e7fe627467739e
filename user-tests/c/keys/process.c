/* thread-keyring(7), process-keyring(7), session-keyring(7), user-keyring(7), user-session-keyring(7),
 * persistent-keyring(7): which process has which, and how they are handed on. */
#include "ktest.h"
#include "keys.h"

#include <pthread.h>

TEST(rings_are_made_when_asked_for)
{
	CHECK_ERR(ring_id(KEY_SPEC_THREAD_KEYRING, 0), ENOKEY);
	CHECK_ERR(ring_id(KEY_SPEC_PROCESS_KEYRING, 0), ENOKEY);
	key_serial_t t = CHECK_OK(ring_id(KEY_SPEC_THREAD_KEYRING, 1));
	key_serial_t p = CHECK_OK(ring_id(KEY_SPEC_PROCESS_KEYRING, 1));
	CHECK(t != p);
	CHECK_EQ(ring_id(KEY_SPEC_THREAD_KEYRING, 0), t);
	CHECK_EQ(ring_id(KEY_SPEC_PROCESS_KEYRING, 1), p);
	CHECK_TEXT(describe(t), "keyring;0;0;3f010000;_tid");
	CHECK_TEXT(describe(p), "keyring;0;0;3f010000;_pid");
	CHECK_ERR(ring_id(0, 0), EINVAL);
	CHECK_ERR(ring_id(KEY_SPEC_GROUP_KEYRING, 1), EINVAL);
}

TEST(the_user_session_stands_in_for_a_session)
{
	JOIN(SPAWN({
		become(3001);
		key_serial_t us = CHECK_OK(ring_id(KEY_SPEC_USER_SESSION_KEYRING, 0));
		key_serial_t u = CHECK_OK(ring_id(KEY_SPEC_USER_KEYRING, 0));
		CHECK(u != us);
		CHECK_EQ(has_link(us, u), 1);
		CHECK_TEXT(describe(u), "keyring;3001;65534;1f3f0000;_uid.3001");
		CHECK_TEXT(describe(us), "keyring;3001;65534;1f3f0000;_uid_ses.3001");
	}));
	/* No session keyring here yet: the user's stands in, until one is to be made. */
	key_serial_t us = CHECK_OK(ring_id(KEY_SPEC_USER_SESSION_KEYRING, 0));
	key_serial_t s = CHECK_OK(ring_id(KEY_SPEC_SESSION_KEYRING, 0));
	if (strstr(describe(s), "_uid_ses")) {
		CHECK_EQ(s, us);
		key_serial_t made = CHECK_OK(ring_id(KEY_SPEC_SESSION_KEYRING, 1));
		CHECK(made != us);
		CHECK_EQ(ring_id(KEY_SPEC_SESSION_KEYRING, 0), made);
	}
}

ROLE(rings)
{
	CHECK_EQ(argc, 2);
	CHECK_ERR(ring_id(KEY_SPEC_THREAD_KEYRING, 0), ENOKEY);
	CHECK_ERR(ring_id(KEY_SPEC_PROCESS_KEYRING, 0), ENOKEY);
	CHECK_EQ(ring_id(KEY_SPEC_SESSION_KEYRING, 0), atoi(argv[1]));
	return 0;
}

TEST(fork_and_exec_keep_the_session_only)
{
	key_serial_t s = new_session();
	key_serial_t key = new_key("k", "hello", s);
	CHECK_OK(ring_id(KEY_SPEC_THREAD_KEYRING, 1));
	CHECK_OK(ring_id(KEY_SPEC_PROCESS_KEYRING, 1));
	JOIN(SPAWN({
		CHECK_ERR(ring_id(KEY_SPEC_THREAD_KEYRING, 0), ENOKEY);
		CHECK_ERR(ring_id(KEY_SPEC_PROCESS_KEYRING, 0), ENOKEY);
		CHECK_EQ(ring_id(KEY_SPEC_SESSION_KEYRING, 0), s);
		CHECK_EQ(kctl(KEYCTL_READ, key, 0, 0, 0), 5);
		CHECK_OK(ring_id(KEY_SPEC_THREAD_KEYRING, 1));
		CHECK_OK(ring_id(KEY_SPEC_PROCESS_KEYRING, 1));
		char number[16];
		snprintf(number, sizeof number, "%d", s);
		execl("/proc/self/exe", "role:rings", number, NULL);
		_exit(1);
	}));
}

static key_serial_t t0, p0, s0;

static void *thread_rings(void *arg)
{
	(void)arg;
	key_serial_t t = CHECK_OK(ring_id(KEY_SPEC_THREAD_KEYRING, 0));
	CHECK(t != t0);
	CHECK_EQ(ring_id(KEY_SPEC_PROCESS_KEYRING, 0), p0);
	CHECK_EQ(ring_id(KEY_SPEC_SESSION_KEYRING, 0), s0);
	return NULL;
}

TEST(threads_share_the_process_ring)
{
	pthread_t thread;
	s0 = new_session();
	t0 = CHECK_OK(ring_id(KEY_SPEC_THREAD_KEYRING, 1));
	p0 = CHECK_OK(ring_id(KEY_SPEC_PROCESS_KEYRING, 1));
	CHECK_EQ(pthread_create(&thread, NULL, thread_rings, NULL), 0);
	CHECK_EQ(pthread_join(thread, NULL), 0);
}

TEST(a_named_session_is_joined)
{
	CHECK_ERR(kctl(KEYCTL_JOIN_SESSION_KEYRING, (long)".dot", 0, 0, 0), EPERM);
	CHECK_ERR(kctl(KEYCTL_JOIN_SESSION_KEYRING, (long)BAD_PTR, 0, 0, 0), EFAULT);
	key_serial_t s = CHECK_OK(kctl(KEYCTL_JOIN_SESSION_KEYRING, (long)"ktest", 0, 0, 0));
	CHECK_TEXT(describe(s), "keyring;0;0;3f130000;ktest");
	/* Without the right to search for the user, nobody finds it. */
	CHECK(CHECK_OK(kctl(KEYCTL_JOIN_SESSION_KEYRING, (long)"ktest", 0, 0, 0)) != s);
	s = CHECK_OK(ring_id(KEY_SPEC_SESSION_KEYRING, 0));
	CHECK_OK(set_perm(s, POS(ALL) | USR(ALL)));
	CHECK_EQ(kctl(KEYCTL_JOIN_SESSION_KEYRING, (long)"ktest", 0, 0, 0), 0);
	pid_t child = SPAWN({
		new_session();
		CHECK_EQ(kctl(KEYCTL_JOIN_SESSION_KEYRING, (long)"ktest", 0, 0, 0), s);
		CHECK_EQ(ring_id(KEY_SPEC_SESSION_KEYRING, 0), s);
	});
	JOIN(child);
	JOIN(SPAWN({
		become(3002);
		CHECK(CHECK_OK(kctl(KEYCTL_JOIN_SESSION_KEYRING, (long)"ktest", 0, 0, 0)) != s);
	}));
}

TEST(the_thread_ring_follows_the_user)
{
	key_serial_t t = CHECK_OK(ring_id(KEY_SPEC_THREAD_KEYRING, 1));
	key_serial_t p = CHECK_OK(ring_id(KEY_SPEC_PROCESS_KEYRING, 1));
	become(3003);
	CHECK_TEXT(describe(t), "keyring;3003;3003;3f010000;_tid");
	CHECK_TEXT(describe(p), "keyring;0;0;3f010000;_pid");
}

TEST(a_parent_is_given_the_session)
{
	JOIN(SPAWN({
		key_serial_t mine = new_session(), pipe_fds[1];
		struct sync s = sync_new();
		pid_t child = SPAWN({
			CHECK_EQ(kctl(KEYCTL_SESSION_TO_PARENT, 0, 0, 0, 0), 0);
			key_serial_t its = new_session();
			CHECK_OK(set_perm(its, POS(ALL & ~LINK)));
			CHECK_ERR(kctl(KEYCTL_SESSION_TO_PARENT, 0, 0, 0, 0), EACCES);
			its = new_session();
			CHECK_EQ(kctl(KEYCTL_SESSION_TO_PARENT, 0, 0, 0, 0), 0);
			CHECK_EQ(write(s.up[1], &its, sizeof its), (long)sizeof its);
			hold(&s);
		});
		CHECK_EQ(read(s.up[0], pipe_fds, 4), 4);
		CHECK_EQ(ring_id(KEY_SPEC_SESSION_KEYRING, 0), pipe_fds[0]);
		CHECK(pipe_fds[0] != mine);
		let_go(&s);
		JOIN(child);
		/* Another user's parent is left alone. */
		JOIN(SPAWN({
			become(3004);
			new_session();
			CHECK_ERR(kctl(KEYCTL_SESSION_TO_PARENT, 0, 0, 0, 0), EPERM);
		}));
	}));
}

TEST(where_requests_are_kept)
{
	CHECK_EQ(kctl(KEYCTL_SET_REQKEY_KEYRING, KEY_REQKEY_DEFL_NO_CHANGE, 0, 0, 0), 0);
	CHECK_EQ(kctl(KEYCTL_SET_REQKEY_KEYRING, KEY_REQKEY_DEFL_THREAD_KEYRING, 0, 0, 0), 0);
	CHECK_OK(ring_id(KEY_SPEC_THREAD_KEYRING, 0));
	CHECK_EQ(kctl(KEYCTL_SET_REQKEY_KEYRING, KEY_REQKEY_DEFL_USER_KEYRING, 0, 0, 0), 1);
	CHECK_EQ(kctl(KEYCTL_SET_REQKEY_KEYRING, KEY_REQKEY_DEFL_NO_CHANGE, 0, 0, 0), 4);
	CHECK_ERR(kctl(KEYCTL_SET_REQKEY_KEYRING, KEY_REQKEY_DEFL_GROUP_KEYRING, 0, 0, 0), EINVAL);
	CHECK_ERR(kctl(KEYCTL_SET_REQKEY_KEYRING, 8, 0, 0, 0), EINVAL);
	JOIN(SPAWN(CHECK_EQ(kctl(KEYCTL_SET_REQKEY_KEYRING, -1, 0, 0, 0), 4)));
}

TEST(persistent_rings)
{
	key_serial_t s = new_session();
	key_serial_t key = new_key("k", "hello", s);
	CHECK_ERR(kctl(KEYCTL_GET_PERSISTENT, -1, key, 0, 0), ENOTDIR);
	key_serial_t own = CHECK_OK(kctl(KEYCTL_GET_PERSISTENT, -1, s, 0, 0));
	CHECK_EQ(has_link(s, own), 1);
	CHECK_TEXT(describe(own), "keyring;0;65534;1f030000;_persistent.0");
	CHECK_EQ(kctl(KEYCTL_GET_PERSISTENT, 0, s, 0, 0), own);
	key_serial_t other = CHECK_OK(kctl(KEYCTL_GET_PERSISTENT, 3005, s, 0, 0));
	CHECK_TEXT(describe(other), "keyring;3005;65534;1f030000;_persistent.3005");
	CHECK(strstr(keys_line(other), " I------ "));
	CHECK(strstr(keys_line(other), " 2d ") || strstr(keys_line(other), " 3d "));
	JOIN(SPAWN({
		become(3005);
		key_serial_t mine = new_session();
		CHECK_ERR(kctl(KEYCTL_GET_PERSISTENT, 0, mine, 0, 0), EPERM);
		CHECK_EQ(kctl(KEYCTL_GET_PERSISTENT, 3005, mine, 0, 0), other);
		CHECK_EQ(has_link(mine, other), 1);
	}));
}
