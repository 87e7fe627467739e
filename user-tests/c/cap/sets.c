/* capabilities(7): thread sets, bounding and ambient sets, securebits, no_new_privs. */
#include "ns.h"

#define CHOWN (1ULL << 0)
#define DAC_OVERRIDE (1ULL << 1)
#define KILL (1ULL << 5)
#define SETUID (1ULL << 7)
#define SETPCAP (1ULL << 8)
#define NET_RAW (1ULL << 13)
#define SYS_ADMIN (1ULL << 21)

#define NOROOT 1
#define NOROOT_LOCKED 2
#define NO_FIXUP 4
#define NO_FIXUP_LOCKED 8
#define KEEP 16
#define KEEP_LOCKED 32
#define NO_RAISE 64
#define NO_RAISE_LOCKED 128

static uint64_t field(const char *name)
{
	static char text[8192];
	CHECK(kt_read_file("/proc/self/status", text, sizeof text) > 0);
	char *at = strstr(text, name);
	CHECK(at != NULL);
	return strtoull(at + strlen(name), NULL, 16);
}

/* What a program sees that was executed with the caller's sets: exits 0 if all are as given. */
static char want_p[32], want_e[32], want_i[32], want_a[32];

ROLE(compare)
{
	CHECK_EQ(field("CapPrm:"), strtoull(argv[1], NULL, 16));
	CHECK_EQ(field("CapEff:"), strtoull(argv[2], NULL, 16));
	CHECK_EQ(field("CapInh:"), strtoull(argv[3], NULL, 16));
	CHECK_EQ(field("CapAmb:"), strtoull(argv[4], NULL, 16));
	return argc == 5 ? 0 : 1;
}

static void run_and_compare(const char *path, uint64_t p, uint64_t e, uint64_t i, uint64_t a)
{
	snprintf(want_p, sizeof want_p, "%llx", (unsigned long long)p);
	snprintf(want_e, sizeof want_e, "%llx", (unsigned long long)e);
	snprintf(want_i, sizeof want_i, "%llx", (unsigned long long)i);
	snprintf(want_a, sizeof want_a, "%llx", (unsigned long long)a);
	execl(path, "role:compare", want_p, want_e, want_i, want_a, NULL);
	KT_FAIL("execve: %d", errno);
}

#define SELF "/proc/self/exe"

TEST(root_gets_all_by_execve)
{
	JOIN(SPAWN({
		struct caps c = { 0, 0, CHOWN };
		CHECK_OK(caps_set(&c));
		run_and_compare(SELF, ALL_CAPS, ALL_CAPS, CHOWN, 0);
	}));
}

TEST(the_bounding_set_bounds_root)
{
	JOIN(SPAWN({
		CHECK_EQ(prctl(PR_CAPBSET_READ, 13), 1);
		CHECK_OK(prctl(PR_CAPBSET_DROP, 13));
		CHECK_EQ(prctl(PR_CAPBSET_READ, 13), 0);
		CHECK_ERR(prctl(PR_CAPBSET_READ, 41), EINVAL);
		CHECK_ERR(prctl(PR_CAPBSET_DROP, 41), EINVAL);
		/* It does not touch what is held. */
		CHECK(caps_now().effective & NET_RAW);
		JOIN(SPAWN(run_and_compare(SELF, ALL_CAPS & ~NET_RAW, ALL_CAPS & ~NET_RAW, 0, 0)));
		/* Inheritable goes around it. */
		struct caps c = caps_now();
		c.inheritable = NET_RAW;
		/* But may not be raised outside of it, even if it is permitted. */
		CHECK_ERR(caps_set(&c), EPERM);
	}));
	JOIN(SPAWN({
		struct caps c = caps_now();
		c.inheritable = NET_RAW;
		CHECK_OK(caps_set(&c));
		CHECK_OK(prctl(PR_CAPBSET_DROP, 13));
		run_and_compare(SELF, ALL_CAPS, ALL_CAPS, NET_RAW, 0);
	}));
	JOIN(SPAWN({
		drop_effective(SETPCAP);
		CHECK_ERR(prctl(PR_CAPBSET_DROP, 13), EPERM);
	}));
}

TEST(inheritable_needs_permitted_or_setpcap)
{
	JOIN(SPAWN({
		struct caps c = { ALL_CAPS, ALL_CAPS, ALL_CAPS };
		CHECK_OK(caps_set(&c));
		c = (struct caps){ 0, CHOWN, 0 };
		CHECK_OK(caps_set(&c));
		c.inheritable = CHOWN;
		CHECK_OK(caps_set(&c));
		c.inheritable = KILL;
		CHECK_ERR(caps_set(&c), EPERM);
		c.inheritable = CHOWN;
		c.effective = KILL;
		CHECK_ERR(caps_set(&c), EPERM);
		c.effective = CHOWN;
		CHECK_OK(caps_set(&c));
		c.permitted = CHOWN | KILL;
		CHECK_ERR(caps_set(&c), EPERM);
	}));
	JOIN(SPAWN({
		/* With CAP_SETPCAP anything of the bounding set. */
		struct caps c = { SETPCAP, SETPCAP, KILL };
		CHECK_OK(caps_set(&c));
		CHECK_EQ(caps_now().inheritable, KILL);
	}));
}

TEST(an_ordinary_user_keeps_ambient_only)
{
	JOIN(SPAWN({
		struct caps c = caps_now();
		c.inheritable = CHOWN | KILL;
		CHECK_OK(caps_set(&c));
		CHECK_OK(prctl(PR_SET_KEEPCAPS, 1));
		CHECK_OK(setresuid(1000, 1000, 1000));
		CHECK_EQ(caps_now().effective, 0);
		CHECK_EQ(caps_now().permitted, ALL_CAPS);
		c = (struct caps){ CHOWN | KILL, CHOWN | KILL, CHOWN | KILL };
		CHECK_OK(caps_set(&c));
		CHECK_ERR(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 13, 0, 0), EPERM);
		CHECK_ERR(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 41, 0, 0), EINVAL);
		CHECK_ERR(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 0, 1, 0), EINVAL);
		CHECK_ERR(prctl(PR_CAP_AMBIENT, 9, 0, 0, 0), EINVAL);
		CHECK_OK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 0, 0, 0));
		CHECK_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 0, 0, 0), 1);
		CHECK_EQ(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 5, 0, 0), 0);
		run_and_compare(SELF, CHOWN, CHOWN, CHOWN | KILL, CHOWN);
	}));
}

TEST(ambient_follows_permitted_and_inheritable)
{
	JOIN(SPAWN({
		struct caps c = { ALL_CAPS, ALL_CAPS, CHOWN | KILL };
		CHECK_OK(caps_set(&c));
		CHECK_OK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 0, 0, 0));
		CHECK_OK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 5, 0, 0));
		c.inheritable = KILL;
		CHECK_OK(caps_set(&c));
		CHECK_EQ(field("CapAmb:"), KILL);
		c.permitted = c.effective = ALL_CAPS & ~KILL;
		CHECK_OK(caps_set(&c));
		CHECK_EQ(field("CapAmb:"), 0);
	}));
	JOIN(SPAWN({
		struct caps c = { ALL_CAPS, ALL_CAPS, CHOWN | KILL };
		CHECK_OK(caps_set(&c));
		CHECK_OK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 0, 0, 0));
		CHECK_OK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 5, 0, 0));
		CHECK_OK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_LOWER, 5, 0, 0));
		CHECK_EQ(field("CapAmb:"), CHOWN);
		CHECK_OK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
		CHECK_EQ(field("CapAmb:"), 0);
		CHECK_ERR(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 1, 0, 0), EINVAL);
	}));
	/* Leaving root clears it, even with keep_caps. */
	JOIN(SPAWN({
		struct caps c = { ALL_CAPS, ALL_CAPS, CHOWN };
		CHECK_OK(caps_set(&c));
		CHECK_OK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 0, 0, 0));
		CHECK_OK(prctl(PR_SET_KEEPCAPS, 1));
		CHECK_OK(setresuid(1000, 1000, 1000));
		CHECK_EQ(field("CapAmb:"), 0);
	}));
}

TEST(set_id_programs_lose_ambient)
{
	kt_copy_self("prog");
	CHECK_OK(chmod(".", 0755));
	CHECK_OK(chown("prog", 1000, 2000));
	CHECK_OK(chmod("prog", 02755));
	JOIN(SPAWN({
		struct caps c = { ALL_CAPS, ALL_CAPS, CHOWN };
		CHECK_OK(caps_set(&c));
		CHECK_OK(prctl(PR_SET_KEEPCAPS, 1));
		CHECK_OK(setresuid(1000, 1000, 1000));
		c.effective = c.permitted = CHOWN;
		CHECK_OK(caps_set(&c));
		CHECK_OK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 0, 0, 0));
		run_and_compare("prog", 0, 0, CHOWN, 0);
	}));
}

TEST(noroot_makes_root_an_ordinary_user)
{
	JOIN(SPAWN({
		CHECK_OK(prctl(PR_SET_SECUREBITS, NOROOT));
		CHECK_EQ(prctl(PR_GET_SECUREBITS), NOROOT);
		run_and_compare(SELF, 0, 0, 0, 0);
	}));
	kt_copy_self("suid");
	CHECK_OK(chmod("suid", 04755));
	CHECK_OK(chmod(".", 0755));
	JOIN(SPAWN({
		CHECK_OK(prctl(PR_SET_SECUREBITS, NOROOT));
		CHECK_OK(setresuid(1000, 1000, 1000));
		run_and_compare("suid", 0, 0, 0, 0);
	}));
}

TEST(no_setuid_fixup_keeps_all)
{
	JOIN(SPAWN({
		CHECK_OK(prctl(PR_SET_SECUREBITS, NO_FIXUP));
		CHECK_OK(setresuid(1000, 1000, 1000));
		CHECK_EQ(caps_now().effective, ALL_CAPS);
		CHECK_OK(setresuid(0, 0, 0));
		/* Neither does becoming root give any. */
		struct caps c = { 0, ALL_CAPS, 0 };
		CHECK_OK(caps_set(&c));
	}));
}

TEST(locks_hold)
{
	JOIN(SPAWN({
		CHECK_OK(prctl(PR_SET_SECUREBITS, NO_FIXUP | NO_FIXUP_LOCKED));
		CHECK_ERR(prctl(PR_SET_SECUREBITS, NO_FIXUP_LOCKED), EPERM);
		CHECK_ERR(prctl(PR_SET_SECUREBITS, NO_FIXUP), EPERM);
		CHECK_ERR(prctl(PR_SET_SECUREBITS, 0), EPERM);
		CHECK_OK(prctl(PR_SET_SECUREBITS, NO_FIXUP | NO_FIXUP_LOCKED | NOROOT_LOCKED));
		CHECK_ERR(prctl(PR_SET_SECUREBITS, NO_FIXUP | NO_FIXUP_LOCKED | NOROOT_LOCKED | NOROOT), EPERM);
		CHECK_ERR(prctl(PR_SET_SECUREBITS, NO_FIXUP | NO_FIXUP_LOCKED | NOROOT_LOCKED | 1 << 8), EPERM);
	}));
	JOIN(SPAWN({
		CHECK_OK(prctl(PR_SET_SECUREBITS, KEEP_LOCKED));
		CHECK_ERR(prctl(PR_SET_KEEPCAPS, 1), EPERM);
	}));
	JOIN(SPAWN({
		drop_effective(SETPCAP);
		CHECK_ERR(prctl(PR_SET_SECUREBITS, NOROOT), EPERM);
		/* Not even nothing: setting needs the capability. */
		CHECK_ERR(prctl(PR_SET_SECUREBITS, 0), EPERM);
		CHECK_OK(prctl(PR_SET_KEEPCAPS, 1));
		CHECK_EQ(prctl(PR_GET_SECUREBITS), KEEP);
		CHECK_ERR(prctl(PR_SET_KEEPCAPS, 2), EINVAL);
	}));
}

TEST(no_cap_ambient_raise)
{
	JOIN(SPAWN({
		struct caps c = { ALL_CAPS, ALL_CAPS, CHOWN };
		CHECK_OK(caps_set(&c));
		CHECK_OK(prctl(PR_SET_SECUREBITS, NO_RAISE));
		CHECK_ERR(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 0, 0, 0), EPERM);
		CHECK_OK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
	}));
}

TEST(keep_caps_ends_with_execve)
{
	JOIN(SPAWN({
		CHECK_OK(prctl(PR_SET_SECUREBITS, KEEP | NO_FIXUP));
		execl(SELF, "role:no_keep", NULL);
		_exit(9);
	}));
}

ROLE(no_keep)
{
	CHECK_EQ(prctl(PR_GET_KEEPCAPS), 0);
	CHECK_EQ(prctl(PR_GET_SECUREBITS), NO_FIXUP);
	return 0;
}

TEST(no_new_privs_stops_set_uid)
{
	kt_copy_self("suid");
	CHECK_OK(chmod("suid", 04755));
	CHECK_OK(chmod(".", 0755));
	JOIN(SPAWN({
		CHECK_OK(setresuid(1000, 1000, 1000));
		run_and_compare("suid", ALL_CAPS, ALL_CAPS, 0, 0);
	}));
	JOIN(SPAWN({
		CHECK_OK(setresuid(1000, 1000, 1000));
		CHECK_ERR(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), EINVAL);
		CHECK_ERR(prctl(PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0), EINVAL);
		CHECK_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
		CHECK_EQ(kt_field("/proc/self/status", "NoNewPrivs:"), 1);
		CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
		JOIN(SPAWN(CHECK_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1)));
		run_and_compare("suid", 0, 0, 0, 0);
	}));
	/* For root it changes nothing that it had anyway. */
	JOIN(SPAWN({
		CHECK_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
		run_and_compare("suid", ALL_CAPS, ALL_CAPS, 0, 0);
	}));
}

TEST(capget_and_capset_versions)
{
	struct { uint32_t version; int pid; } head = { 0, 0 };
	struct { uint32_t e, p, i; } data[2];
	CHECK_ERR(syscall(SYS_capget, &head, data), EINVAL);
	CHECK_EQ(head.version, 0x20080522);
	head.version = 0;
	CHECK_OK(syscall(SYS_capget, &head, NULL));
	head.version = 0x19980330;
	CHECK_OK(syscall(SYS_capget, &head, data));
	CHECK_EQ(data[0].e, 0xffffffff);
	head = (__typeof__(head)){ 0x20080522, -1 };
	CHECK_ERR(syscall(SYS_capget, &head, data), EINVAL);
	head.pid = 0x3fffffff;
	CHECK_ERR(syscall(SYS_capget, &head, data), ESRCH);
	head.pid = getppid();
	CHECK_ERR(syscall(SYS_capset, &head, data), EPERM);
	head.pid = getpid();
	CHECK_OK(syscall(SYS_capget, &head, data));
	CHECK_OK(syscall(SYS_capset, &head, data));
	CHECK_ERR(syscall(SYS_capget, BAD_PTR, data), EFAULT);
}

TEST(the_last_capability)
{
	CHECK_EQ(kt_field("/proc/sys/kernel/cap_last_cap", ""), 40);
	CHECK_EQ(field("CapBnd:"), ALL_CAPS);
}

TEST(the_pid_of_capget_is_the_callers)
{
	JOIN(SPAWN_IN(CLONE_NEWPID, {
		struct caps c;
		CHECK_OK(caps_get(1, &c));
		CHECK_EQ(c.effective, ALL_CAPS);
	}));
}
