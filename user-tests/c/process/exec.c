/* execve(2): what a process keeps and loses, scripts, and refused programs. */
#include <limits.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "proc.h"
#include "sys.h"

extern char **environ;

#define SELF "/proc/self/exe"

/* Execute this program in a child, in a role, and give its wait status. */
static int run(const char *path, char *const argv[], char *const envp[])
{
	return kt_wait(SPAWN({
		execve(path, argv, envp);
		_exit(120);
	}));
}

ROLE(arguments)
{
	CHECK_EQ(argc, 4);
	CHECK(!strcmp(argv[1], "one"));
	CHECK(!strcmp(argv[2], ""));
	CHECK(!strcmp(argv[3], "three three"));
	CHECK(argv[4] == NULL);
	CHECK(environ[0] && !strcmp(environ[0], "A=1"));
	CHECK(environ[1] && !strcmp(environ[1], "B="));
	CHECK(environ[2] == NULL);
	return 0;
}

TEST(arguments_and_environment)
{
	char *argv[] = { "role:arguments", "one", "", "three three", NULL };
	char *envp[] = { "A=1", "B=", NULL };
	CHECK_EQ(run(SELF, argv, envp), 0);
}

ROLE(many)
{
	CHECK_EQ(argc, 5001);
	CHECK_EQ(strlen(argv[5000]), 100);
	return 0;
}

TEST(half_a_megabyte_of_arguments)
{
	static char *argv[5002];
	static char word[101];
	memset(word, 'w', 100);
	argv[0] = "role:many";
	for (int i = 1; i <= 5000; i++)
		argv[i] = word;
	CHECK_EQ(run(SELF, argv, environ), 0);
}

TEST(too_long_an_argument)
{
	size_t most = 32 * 4096;
	char *word = malloc(most + 1);
	memset(word, 'w', most);
	word[most] = 0;
	char *argv[] = { "role:arguments", word, NULL };
	CHECK_ERR(execve(SELF, argv, environ), E2BIG);
}

TEST(too_many_arguments)
{
	enum { N = 300000 };
	char **argv = calloc(N + 1, sizeof *argv);
	for (int i = 0; i < N; i++)
		argv[i] = "0123456789";
	CHECK_ERR(execve(SELF, argv, environ), E2BIG);
}

ROLE(keeps)
{
	struct sigaction act;
	sigset_t set;
	CHECK_EQ(getpid(), atoi(argv[1]));
	CHECK_EQ(fcntl(atoi(argv[2]), F_GETFD), 0);
	CHECK_ERR(fcntl(atoi(argv[3]), F_GETFD), EBADF);
	CHECK_OK(sigaction(SIGUSR1, NULL, &act));
	CHECK(act.sa_handler == SIG_DFL);
	CHECK_OK(sigaction(SIGUSR2, NULL, &act));
	CHECK(act.sa_handler == SIG_IGN);
	CHECK_OK(sigprocmask(SIG_BLOCK, NULL, &set));
	CHECK(sigismember(&set, SIGHUP));
	CHECK(!sigismember(&set, SIGINT));
	CHECK_OK(sigpending(&set));
	CHECK(sigismember(&set, SIGHUP));
	CHECK_EQ(umask(0), 031);
	CHECK(alarm(0) > 0);
	stack_t ss;
	CHECK_OK(sigaltstack(NULL, &ss));
	CHECK(ss.ss_flags & SS_DISABLE);
	return 0;
}

static void handler(int sig)
{
	(void)sig;
}

TEST(kept_and_lost)
{
	JOIN(SPAWN({
		char pid[16];
		char kept[16];
		char closed[16];
		static char altstack[8192];
		sigset_t hup;
		snprintf(pid, sizeof pid, "%d", getpid());
		snprintf(kept, sizeof kept, "%d", CHECK_OK(open("/dev/null", O_RDONLY)));
		snprintf(closed, sizeof closed, "%d", CHECK_OK(open("/dev/null", O_RDONLY | O_CLOEXEC)));
		signal(SIGUSR1, handler);
		signal(SIGUSR2, SIG_IGN);
		sigemptyset(&hup);
		sigaddset(&hup, SIGHUP);
		sigprocmask(SIG_BLOCK, &hup, NULL);
		raise(SIGHUP);
		umask(031);
		alarm(100);
		CHECK_OK(sigaltstack(&(stack_t){ .ss_sp = altstack, .ss_size = sizeof altstack }, NULL));
		execl(SELF, "role:keeps", pid, kept, closed, NULL);
		_exit(120);
	}));
}

TEST(scripts)
{
	char text[PATH_MAX + 16], self[PATH_MAX];
	CHECK(readlink(SELF, self, sizeof self) > 0);
	snprintf(text, sizeof text, "#! %.*s  extra words \n", (int)readlink(SELF, self, sizeof self), self);
	kt_make_file("script", text, 0755);
	char *argv[] = { "gone", "last", NULL };
	char *envp[] = { "KT_ROLE=script", NULL };
	CHECK_EQ(run("./script", argv, envp), 0);
}

ROLE(script)
{
	CHECK_EQ(argc, 4);
	CHECK(strstr(argv[0], "exec"));
	CHECK(!strcmp(argv[1], "extra words"));
	CHECK(!strcmp(argv[2], "./script"));
	CHECK(!strcmp(argv[3], "last"));
	return 0;
}

TEST(a_script_of_a_script)
{
	kt_copy_self("prog");
	kt_make_file("s1", "#!prog\n", 0755);
	kt_make_file("s2", "#!s1\n", 0755);
	char *argv[] = { "x", NULL };
	char *envp[] = { "KT_ROLE=nested", NULL };
	CHECK_EQ(run("s2", argv, envp), 0);
	kt_make_file("loop", "#!loop\n", 0755);
	CHECK_ERR(execve("loop", argv, envp), ELOOP);
}

ROLE(nested)
{
	CHECK_EQ(argc, 3);
	CHECK(!strcmp(argv[0], "prog"));
	CHECK(!strcmp(argv[1], "s1"));
	CHECK(!strcmp(argv[2], "s2"));
	return 0;
}

TEST(refused_programs)
{
	char *argv[] = { "x", NULL };
	char name[300];
	CHECK_ERR(execve("/no/such", argv, environ), ENOENT);
	CHECK_ERR(execve("", argv, environ), ENOENT);
	CHECK_ERR(execve("/", argv, environ), EACCES);
	CHECK_ERR(execve("/dev/null", argv, environ), EACCES);
	kt_make_file("plain", "x", 0644);
	CHECK_ERR(execve("plain", argv, environ), EACCES);
	CHECK_ERR(execve("plain/x", argv, environ), ENOTDIR);
	kt_make_file("empty", "", 0755);
	CHECK_ERR(execve("empty", argv, environ), ENOEXEC);
	kt_make_file("text", "echo hello\n", 0755);
	CHECK_ERR(execve("text", argv, environ), ENOEXEC);
	kt_make_file("elf", "\177ELF\2\1\1", 0755);
	CHECK_ERR(execve("elf", argv, environ), ENOEXEC);
	kt_make_file("bang", "#!\n", 0755);
	CHECK_ERR(execve("bang", argv, environ), ENOEXEC);
	kt_make_file("nointerp", "#!/no/such/interpreter\n", 0755);
	CHECK_ERR(execve("nointerp", argv, environ), ENOENT);
	memset(name, 'n', 299);
	name[299] = 0;
	CHECK_ERR(execve(name, argv, environ), ENAMETOOLONG);
	CHECK_OK(symlink("ring", "ring"));
	CHECK_ERR(execve("ring", argv, environ), ELOOP);
	CHECK_ERR(execve(BAD_PTR, argv, environ), EFAULT);
	CHECK_ERR(execve(SELF, BAD_PTR, environ), EFAULT);
	CHECK_ERR(execve(SELF, argv, BAD_PTR), EFAULT);
}

TEST(a_file_open_for_writing_is_busy)
{
	char *argv[] = { "role:arguments", NULL };
	kt_copy_self("prog");
	int fd = CHECK_OK(open("prog", O_WRONLY));
	CHECK_ERR(execve("prog", argv, environ), ETXTBSY);
	CHECK_OK(close(fd));
	char *sleep_argv[] = { "role:sleeps", NULL };
	pid_t child = SPAWN(execve("prog", sleep_argv, environ); _exit(120));
	char path[64];
	char text[64] = "";
	snprintf(path, sizeof path, "/proc/%d/comm", child);
	WAIT_FOR(kt_read_file(path, text, sizeof text) > 0 && !strcmp(text, "prog\n"));
	CHECK_ERR(open("prog", O_WRONLY), ETXTBSY);
	CHECK_ERR(truncate("prog", 0), ETXTBSY);
	CHECK_OK(unlink("prog"));
	kill(child, SIGKILL);
	kt_wait(child);
}

ROLE(sleeps)
{
	pause();
	return 0;
}

TEST(no_arguments_at_all)
{
	char *none[] = { NULL };
	char *envp[] = { "KT_ROLE=none", NULL };
	CHECK_EQ(run(SELF, none, envp), 0);
	CHECK_EQ(run(SELF, NULL, envp), 0);
}

ROLE(none)
{
	/* An empty string is put in for the missing name (since 5.18). */
	CHECK_EQ(argc, 1);
	CHECK(!strcmp(argv[0], ""));
	return 0;
}

TEST(comm_and_cmdline_are_new)
{
	kt_copy_self("a-name-longer-than-fifteen");
	char *argv[] = { "role:comm", "x y", NULL };
	CHECK_EQ(run("./a-name-longer-than-fifteen", argv, environ), 0);
}

ROLE(comm)
{
	char text[256];
	CHECK(kt_read_file("/proc/self/comm", text, sizeof text) > 0);
	CHECK(!strcmp(text, "a-name-longer-t\n"));
	CHECK_EQ(kt_read_file("/proc/self/cmdline", text, sizeof text), 14);
	CHECK(!memcmp(text, "role:comm\0x y\0", 14));
	CHECK(readlink("/proc/self/exe", text, sizeof text) > 0);
	CHECK(strstr(text, "/a-name-longer-than-fifteen"));
	return 0;
}

TEST(set_user_id_programs)
{
	kt_copy_self("suid");
	CHECK_OK(chmod(".", 0755));
	CHECK_OK(chown("suid", 1234, 1235));
	CHECK_OK(chmod("suid", 06755));
	char *argv[] = { "role:suid", NULL };
	CHECK_EQ(kt_wait(SPAWN({
		CHECK_OK(setgid(65534));
		CHECK_OK(setuid(65534));
		execve("suid", argv, environ);
		_exit(120);
	})), 0);
	char *nnp[] = { "role:not_suid", NULL };
	CHECK_EQ(kt_wait(SPAWN({
		CHECK_OK(setgid(65534));
		CHECK_OK(setuid(65534));
		CHECK_OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
		execve("suid", nnp, environ);
		_exit(120);
	})), 0);
}

ROLE(suid)
{
	uid_t r, e, s;
	CHECK_OK(getresuid(&r, &e, &s));
	CHECK_EQ(r, 65534);
	CHECK_EQ(e, 1234);
	CHECK_EQ(s, 1234);
	CHECK_EQ(getegid(), 1235);
	CHECK_EQ(prctl(PR_GET_DUMPABLE), 0);
	return 0;
}

ROLE(not_suid)
{
	CHECK_EQ(geteuid(), 65534);
	CHECK_EQ(getegid(), 65534);
	return 0;
}
