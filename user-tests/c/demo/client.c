/* client ADDRESS PORT: print what the server says. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	exit(1);
}

int main(int argc, char **argv)
{
	char text[256];
	if (argc != 3) {
		fprintf(stderr, "usage: client ADDRESS PORT\n");
		return 2;
	}
	struct sockaddr_in peer = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[2])) };
	if (inet_pton(AF_INET, argv[1], &peer.sin_addr) != 1) {
		fprintf(stderr, "%s is no address\n", argv[1]);
		return 2;
	}
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(fd, (struct sockaddr *)&peer, sizeof peer) < 0)
		die("connect");
	ssize_t n = recv(fd, text, sizeof text - 1, MSG_WAITALL);
	if (n < 0)
		die("recv");
	printf("Received %zd bytes :%.*s\n", n, (int)n, text);
	return close(fd);
}
