/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Sends and receives a stream of known bytes on one TCP connection, at a steady pace.
 *
 *     net ADDRESS PORT
 *
 * Byte n of the stream is byte n mod PERIOD of a table that both sides compute. Standard output: "error TEXT" or
 * "wrong TEXT". It ends when the other side ends its stream, with "final N": bytes received in order.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PERIOD  65521 /* a prime, so that no packet size divides it */
#define CHUNK   16384
#define PACE_US 8000

static unsigned char table[PERIOD + CHUNK];
static int line;
static volatile int stop;

static void fill(void)
{
	uint32_t x = 1;
	unsigned int i;

	for (i = 0; i < sizeof(table); i++) {
		if (i >= PERIOD) {
			table[i] = table[i - PERIOD];
			continue;
		}
		x = x * 1664525 + 1013904223;
		table[i] = (unsigned char)(x >> 24);
	}
}

static void *transmit(void *unused)
{
	uint64_t at = 0;
	ssize_t sent;

	(void)unused;
	while (!stop) {
		sent = send(line, table + at % PERIOD, CHUNK, MSG_NOSIGNAL);
		if (sent < 0) {
			if (!stop)
				printf("error send: %s\n", strerror(errno));
			break;
		}
		at += (uint64_t)sent;
		usleep(PACE_US);
	}
	shutdown(line, SHUT_WR);
	return NULL;
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = { .sin_family = AF_INET };
	static unsigned char buffer[CHUNK];
	uint64_t at = 0;
	pthread_t thread;
	ssize_t got;

	if (argc != 3 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1)
		return 2;
	to.sin_port = htons((uint16_t)atoi(argv[2]));
	setvbuf(stdout, NULL, _IOLBF, 0);
	fill();
	line = socket(AF_INET, SOCK_STREAM, 0);
	if (line < 0 || connect(line, (struct sockaddr *)&to, sizeof(to))) {
		printf("error connect: %s\n", strerror(errno));
		return 1;
	}
	if (pthread_create(&thread, NULL, transmit, NULL))
		abort();
	while ((got = recv(line, buffer, sizeof(buffer), 0)) > 0) {
		if (memcmp(buffer, table + at % PERIOD, (size_t)got))
			printf("wrong bytes in [%lu, %lu)\n", (unsigned long)at, (unsigned long)(at + (uint64_t)got));
		at += (uint64_t)got;
	}
	stop = 1;
	if (got < 0)
		printf("error receive: %s\n", strerror(errno));
	pthread_join(thread, NULL);
	printf("final %lu\n", (unsigned long)at);
	return 0;
}
