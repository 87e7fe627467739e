/* memhog N: take N megabytes and use every page, with a line for each 16. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int main(int argc, char **argv)
{
	int n = argc > 1 ? atoi(argv[1]) : 1;
	for (int i = 1; i <= n; i++) {
		char *p = malloc(1 << 20);
		if (!p) {
			perror("malloc");
			return 1;
		}
		memset(p, i, 1 << 20);
		if (i % 16 == 0) {
			printf("%d MB\n", i);
			fflush(stdout);
		}
	}
	return 0;
}
