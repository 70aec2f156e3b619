/* SPDX-License-Identifier: BSD-2-Clause */
/* Round trips of a byte over the loopback device, by TCP and by UDP. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "micro.h"

static int64_t between(int client, int server, int count)
{
	pid_t child = fork();
	int64_t took;

	must(child >= 0, "fork");
	if (!child)
		echo(server, server);
	ping(client, client, 3);
	took = ping(client, client, count);
	end_child(child);
	close(client);
	close(server);
	return took;
}

/* A socket of the given kind on a free port of the loopback device. */
static int bound(int type, struct sockaddr_in *address)
{
	socklen_t length = sizeof(*address);
	int made = socket(AF_INET, type, 0);

	*address = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	must(made >= 0 && !bind(made, (struct sockaddr *)address, length), "bind");
	must(!getsockname(made, (struct sockaddr *)address, &length), "getsockname");
	return made;
}

static int64_t run_tcp(int count)
{
	struct sockaddr_in address;
	int listener = bound(SOCK_STREAM, &address), client = socket(AF_INET, SOCK_STREAM, 0), server, one = 1;

	must(!listen(listener, 1), "listen");
	must(!connect(client, (struct sockaddr *)&address, sizeof(address)), "connect");
	server = accept(listener, NULL, NULL);
	must(server >= 0, "accept");
	close(listener);
	setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return between(client, server, count);
}

static int64_t run_udp(int count)
{
	struct sockaddr_in at_server, at_client;
	int server = bound(SOCK_DGRAM, &at_server), client = bound(SOCK_DGRAM, &at_client);

	must(!connect(client, (struct sockaddr *)&at_server, sizeof(at_server)), "connect");
	must(!connect(server, (struct sockaddr *)&at_client, sizeof(at_client)), "connect");
	return between(client, server, count);
}

const struct operation network_operations[] = {
	{ "tcp", 180, run_tcp },
	{ "udp", 240, run_udp },
	{ 0 },
};
