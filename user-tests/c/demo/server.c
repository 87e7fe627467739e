/* server PORT: answer one client with a greeting. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void die(const char *what)
{
	perror(what);
	exit(1);
}

int main(int argc, char **argv)
{
	static const char greeting[] = "hello from the other side";
	if (argc != 2) {
		fprintf(stderr, "usage: server PORT\n");
		return 2;
	}
	int listener = socket(AF_INET, SOCK_STREAM, 0), on = 1;
	struct sockaddr_in self = { .sin_family = AF_INET, .sin_port = htons(atoi(argv[1])) }, peer;
	socklen_t len = sizeof peer;
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
	if (bind(listener, (struct sockaddr *)&self, sizeof self) < 0)
		die("bind");
	if (listen(listener, 1) < 0)
		die("listen");
	int client = accept(listener, (struct sockaddr *)&peer, &len);
	if (client < 0)
		die("accept");
	char text[INET_ADDRSTRLEN];
	printf("Connection from %s\n", inet_ntop(AF_INET, &peer.sin_addr, text, sizeof text));
	if (send(client, greeting, strlen(greeting), 0) < 0)
		die("send");
	return close(client);
}
