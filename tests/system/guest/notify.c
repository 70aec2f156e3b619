/* SPDX-License-Identifier: BSD-2-Clause */
/* Notices of changes in a folder by signal: fcntl(F_NOTIFY). */
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "check.h"

static volatile sig_atomic_t told;

static void on_change(int number, siginfo_t *info, void *context)
{
	(void)number;
	(void)context;
	told = info->si_fd;
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = on_change, .sa_flags = SA_SIGINFO };
	char folder[] = "/var/tmp/notifyXXXXXX";
	int watched;

	CHECK(mkdtemp(folder) && chdir(folder) == 0);
	watched = open(".", O_RDONLY | O_DIRECTORY);
	CHECK(watched > 0 && sigaction(SIGRTMIN, &action, NULL) == 0);
	CHECK(fcntl(watched, F_SETSIG, SIGRTMIN) == 0 && fcntl(watched, F_NOTIFY, DN_CREATE) == 0);
	CHECK(close(open("new", O_CREAT | O_WRONLY, 0600)) == 0 && told == watched);
	CHECK(unlink("new") == 0 && chdir("/") == 0 && rmdir(folder) == 0);
	puts("ok");
	return 0;
}
