/* SPDX-License-Identifier: BSD-2-Clause */
/* What a C program asks for that is compiled here: threads, their own variables, a mapped file, a child. */
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { threads = 4, numbers = 100000 };

static int done;
static _Thread_local long own;
static long part[threads];

static void tell(int good, const char *name)
{
	printf("%sok %d - %s\n", good ? "" : "not ", ++done, name);
	fflush(stdout);
}

static void *add(void *first)
{
	for (long i = (long)first; i < numbers; i += threads)
		own += i;
	part[(long)first] = own;
	return first;
}

static int sum(void)
{
	pthread_t thread[threads];
	long all = 0;

	for (long n = 0; n < threads; n++)
		if (pthread_create(&thread[n], NULL, add, (void *)n))
			return 0;
	for (long n = 0; n < threads; n++) {
		void *first;

		if (pthread_join(thread[n], &first) || (long)first != n)
			return 0;
		all += part[n];
	}
	return all == 4999950000;
}

static int mapped_file(void)
{
	FILE *file = tmpfile();
	char *memory, back[6] = "";

	if (!file || ftruncate(fileno(file), 100000))
		return 0;
	memory = mmap(NULL, 100000, PROT_READ | PROT_WRITE, MAP_SHARED, fileno(file), 0);
	if (memory == MAP_FAILED)
		return 0;
	strcpy(memory + 90000, "there");
	return pread(fileno(file), back, 5, 90000) == 5 && !strcmp(back, "there");
}

static int child(void)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(3);
	return waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 3;
}

int main(void)
{
	tell(sum(), "threads");
	tell(mapped_file(), "a mapped file");
	tell(child(), "a child");
	printf("1..%d\n", done);
	return 0;
}
