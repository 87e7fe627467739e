/* Threads: identity, shared and private state, joining. */
#include <pthread.h>
#include <semaphore.h>
#include <sys/prctl.h>

#include "proc.h"
#include "sys.h"

static __thread int local = 5;
static int global;

static void *self(void *arg)
{
	pid_t *ids = arg;
	ids[0] = getpid();
	ids[1] = sys_gettid();
	ids[2] = local;
	local = 6;
	return (void *)77;
}

TEST(one_process_several_ids)
{
	pthread_t t;
	pid_t ids[3];
	void *result;
	CHECK_EQ(pthread_create(&t, NULL, self, ids), 0);
	CHECK_EQ(pthread_join(t, &result), 0);
	CHECK_EQ((long)result, 77);
	CHECK_EQ(ids[0], getpid());
	CHECK(ids[1] != getpid());
	CHECK_EQ(ids[2], 5);
	CHECK_EQ(local, 5);
	CHECK_EQ(sys_gettid(), getpid());
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static pthread_barrier_t barrier;

static void *count(void *arg)
{
	(void)arg;
	for (int i = 0; i < 2000; i++) {
		pthread_mutex_lock(&mutex);
		global++;
		pthread_mutex_unlock(&mutex);
	}
	return NULL;
}

TEST(mutexes_exclude)
{
	pthread_t t[8];
	for (int i = 0; i < 8; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, count, NULL), 0);
	for (int i = 0; i < 8; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
	CHECK_EQ(global, 16000);
}

static int turn;

static void *take_turns(void *arg)
{
	int mine = (int)(long)arg;
	for (int i = 0; i < 300; i++) {
		pthread_mutex_lock(&mutex);
		while (turn % 4 != mine)
			pthread_cond_wait(&cond, &mutex);
		turn++;
		pthread_cond_broadcast(&cond);
		pthread_mutex_unlock(&mutex);
	}
	return NULL;
}

TEST(conditions_wake)
{
	pthread_t t[4];
	for (long i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, take_turns, (void *)i), 0);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
	CHECK_EQ(turn, 1200);
}

static void *meet(void *arg)
{
	for (int i = 0; i < 50; i++) {
		__atomic_add_fetch(&global, 1, __ATOMIC_SEQ_CST);
		pthread_barrier_wait(&barrier);
		if (__atomic_load_n(&global, __ATOMIC_SEQ_CST) < 4 * (i + 1))
			*(int *)arg = 1;
		pthread_barrier_wait(&barrier);
	}
	return NULL;
}

TEST(barriers_meet)
{
	pthread_t t[4];
	int wrong = 0;
	CHECK_EQ(pthread_barrier_init(&barrier, NULL, 4), 0);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, meet, &wrong), 0);
	for (int i = 0; i < 4; i++)
		CHECK_EQ(pthread_join(t[i], NULL), 0);
	CHECK_EQ(wrong, 0);
	CHECK_EQ(global, 200);
}

static sem_t sem[2];

static void *pong(void *arg)
{
	(void)arg;
	for (int i = 0; i < 500; i++) {
		sem_wait(&sem[0]);
		sem_post(&sem[1]);
	}
	return NULL;
}

TEST(semaphores_ping_pong)
{
	pthread_t t;
	sem_init(&sem[0], 0, 0);
	sem_init(&sem[1], 0, 0);
	CHECK_EQ(pthread_create(&t, NULL, pong, NULL), 0);
	for (int i = 0; i < 500; i++) {
		sem_post(&sem[0]);
		CHECK_OK(sem_wait(&sem[1]));
	}
	CHECK_EQ(pthread_join(t, NULL), 0);
}

static void *open_and_move(void *arg)
{
	*(int *)arg = open("/dev/zero", O_RDONLY);
	umask(077);
	return (void *)(long)chdir("/");
}

TEST(descriptors_and_directory_are_shared)
{
	pthread_t t;
	int fd = -1;
	char cwd[64], c = 1;
	CHECK_EQ(pthread_create(&t, NULL, open_and_move, &fd), 0);
	CHECK_EQ(pthread_join(t, NULL), 0);
	CHECK_EQ(read(fd, &c, 1), 1);
	CHECK_EQ(c, 0);
	CHECK(getcwd(cwd, sizeof cwd) && !strcmp(cwd, "/"));
	CHECK_EQ(umask(022), 077);
}

static void *make_child(void *arg)
{
	*(pid_t *)arg = SPAWN({
		CHECK_EQ(sys_gettid(), getpid());
		_exit(9);
	});
	return NULL;
}

TEST(any_thread_may_wait_for_a_child)
{
	pthread_t t;
	pid_t child;
	CHECK_EQ(pthread_create(&t, NULL, make_child, &child), 0);
	CHECK_EQ(pthread_join(t, NULL), 0);
	CHECK_EQ(WEXITSTATUS(kt_wait(child)), 9);
}

static void *fork_and_look(void *arg)
{
	(void)arg;
	pid_t me = getpid();
	pid_t child = SPAWN({
		CHECK_EQ(getppid(), me);
		CHECK_EQ(kt_field("/proc/self/status", "Threads:"), 1);
	});
	/* __WNOTHREAD: only the forking thread's children. */
	CHECK_EQ(waitpid(child, NULL, __WNOTHREAD), child);
	return NULL;
}

TEST(fork_copies_only_the_caller)
{
	pthread_t t;
	CHECK_EQ(pthread_create(&t, NULL, fork_and_look, NULL), 0);
	CHECK_ERR(waitpid(-1, NULL, __WNOTHREAD), ECHILD);
	CHECK_EQ(pthread_join(t, NULL), 0);
}

static void *name(void *arg)
{
	(void)arg;
	char text[32], path[64];
	CHECK_OK(prctl(PR_SET_NAME, "worker"));
	snprintf(path, sizeof path, "/proc/self/task/%d/comm", sys_gettid());
	CHECK(kt_read_file(path, text, sizeof text) > 0);
	CHECK(!strcmp(text, "worker\n"));
	return NULL;
}

TEST(names_are_per_thread)
{
	pthread_t t;
	char mine[16];
	CHECK_EQ(pthread_create(&t, NULL, name, NULL), 0);
	CHECK_EQ(pthread_join(t, NULL), 0);
	CHECK_OK(prctl(PR_GET_NAME, mine));
	CHECK(strcmp(mine, "worker"));
}

static void *park(void *arg)
{
	__atomic_add_fetch((int *)arg, 1, __ATOMIC_SEQ_CST);
	for (;;)
		pause();
	return NULL;
}

TEST(threads_are_listed_in_proc)
{
	pthread_t t[5];
	int up = 0;
	for (int i = 0; i < 5; i++)
		CHECK_EQ(pthread_create(&t[i], NULL, park, &up), 0);
	WAIT_FOR(__atomic_load_n(&up, __ATOMIC_SEQ_CST) == 5);
	CHECK_EQ(kt_field("/proc/self/status", "Threads:"), 6);
	struct stat st;
	CHECK_OK(stat("/proc/self/task", &st));
	CHECK_EQ(st.st_nlink, 2 + 6);
}
