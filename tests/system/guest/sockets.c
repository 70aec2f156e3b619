/* SPDX-License-Identifier: BSD-2-Clause */
/* Sockets: TCP on the loopback interface, Unix sockets with a descriptor passed, epoll, eventfd. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

static void tcp(void)
{
	enum { size = 4 << 20 };
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t length = sizeof(address);
	int server = socket(AF_INET, SOCK_STREAM, 0);
	static unsigned char buffer[16384];

	CHECK(server >= 0 && bind(server, (struct sockaddr *)&address, length) == 0 && listen(server, 4) == 0);
	CHECK(getsockname(server, (struct sockaddr *)&address, &length) == 0);
	pid_t child = fork();

	if (!child) {
		int client = socket(AF_INET, SOCK_STREAM, 0);

		CHECK(connect(client, (struct sockaddr *)&address, length) == 0);
		for (int done = 0; done < size; done += sizeof(buffer)) {
			for (unsigned i = 0; i < sizeof(buffer); i++)
				buffer[i] = (done >> 14) + i * 3;
			for (unsigned sent = 0; sent < sizeof(buffer);) {
				ssize_t n = write(client, buffer + sent, sizeof(buffer) - sent);

				CHECK(n > 0);
				sent += n;
			}
		}
		_exit(0);
	}
	int peer = accept(server, NULL, NULL), got;
	long total = 0;
	ssize_t n;

	while ((n = read(peer, buffer, sizeof(buffer))) > 0) {
		for (ssize_t i = 0; i < n; i++, total++)
			CHECK(buffer[i] == (unsigned char)((total >> 14) + (total % 16384) * 3));
	}
	CHECK(total == size);
	CHECK(waitpid(child, &got, 0) == child && got == 0);
}

static void local(void)
{
	int pair[2], ends[2];
	char byte = 'x', control[CMSG_SPACE(sizeof(int))];
	struct iovec vector = { &byte, 1 };
	struct msghdr message = {
		.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)
	};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0 && pipe(ends) == 0);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &ends[1], sizeof(int));
	pid_t child = fork();
	int got, passed;

	if (!child) {
		CHECK(recvmsg(pair[1], &message, 0) == 1);
		memcpy(&passed, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
		CHECK(write(passed, "passed", 6) == 6);
		_exit(0);
	}
	CHECK(sendmsg(pair[0], &message, 0) == 1);
	char text[7] = "";

	CHECK(read(ends[0], text, 6) == 6 && !strcmp(text, "passed"));
	CHECK(waitpid(child, &got, 0) == child && got == 0);
}

static void polling(void)
{
	int set = epoll_create1(0), event = eventfd(0, 0);
	struct epoll_event wanted = { .events = EPOLLIN, .data.u32 = 77 }, found;
	unsigned long long one = 1;

	CHECK(epoll_ctl(set, EPOLL_CTL_ADD, event, &wanted) == 0);
	CHECK(epoll_wait(set, &found, 1, 10) == 0);
	CHECK(write(event, &one, sizeof(one)) == sizeof(one));
	CHECK(epoll_wait(set, &found, 1, 1000) == 1 && found.data.u32 == 77);
}

int main(void)
{
	tcp();
	local();
	polling();
	puts("ok");
	return 0;
}
