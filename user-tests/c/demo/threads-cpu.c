/* threads-cpu N: that many threads that never rest. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void *spin(void *unused)
{
	for (volatile unsigned long i = 0;; i++)
		;
	return unused;
}

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 1;
	pthread_t thread;
	for (int i = 0; i < n; i++)
		if (pthread_create(&thread, NULL, spin, NULL) != 0) {
			perror("pthread_create");
			return 1;
		}
	puts("All threads are created");
	fflush(stdout);
	for (;;)
		pause();
}
