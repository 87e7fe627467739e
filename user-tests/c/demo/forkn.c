/* forkn N: that many children at once, or as many as there may be. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 1, made = 0;
	pid_t *children = calloc(n, sizeof *children);
	if (!children)
		return 1;
	for (; made < n; made++) {
		children[made] = fork();
		if (children[made] < 0) {
			printf("fork %d failed: %s\n", made + 1, strerror(errno));
			break;
		}
		if (children[made] == 0)
			for (;;)
				pause();
	}
	printf("forked %d\n", made);
	for (int i = 0; i < made; i++)
		kill(children[i], SIGKILL);
	while (wait(NULL) > 0)
		;
	return 0;
}
