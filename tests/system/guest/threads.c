/* SPDX-License-Identifier: BSD-2-Clause */
/* Threads: mutexes, condition variables, thread-local storage, joins, signals to a thread, fork with threads. */
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"

enum { threads = 8, rounds = 20000, turns = 2000 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static long shared;
static int turn;
static __thread long own;

static void *count(void *number)
{
	for (int i = 0; i < rounds; i++) {
		pthread_mutex_lock(&lock);
		shared++;
		pthread_mutex_unlock(&lock);
		own += (long)number;
	}
	return (void *)own;
}

static void *play(void *number)
{
	for (int i = 0; i < turns; i++) {
		pthread_mutex_lock(&lock);
		while (turn % 2 != (long)number)
			pthread_cond_wait(&changed, &lock);
		turn++;
		pthread_cond_broadcast(&changed);
		pthread_mutex_unlock(&lock);
	}
	return NULL;
}

static sem_t posted;
static volatile pthread_t receiver;

static void on_signal(int number)
{
	(void)number;
	receiver = pthread_self();
	sem_post(&posted);
}

static void *sleeper(void *unused)
{
	for (;;)
		pause();
	return unused;
}

int main(void)
{
	pthread_t id[threads];
	void *result;

	for (long i = 0; i < threads; i++)
		CHECK(pthread_create(&id[i], NULL, count, (void *)(i + 1)) == 0);
	for (long i = 0; i < threads; i++) {
		CHECK(pthread_join(id[i], &result) == 0);
		CHECK((long)result == (i + 1) * rounds);
	}
	CHECK(shared == threads * rounds && own == 0);
	for (long i = 0; i < 2; i++)
		CHECK(pthread_create(&id[i], NULL, play, (void *)i) == 0);
	for (int i = 0; i < 2; i++)
		CHECK(pthread_join(id[i], NULL) == 0);
	CHECK(turn == 2 * turns);
	sem_init(&posted, 0, 0);
	signal(SIGUSR1, on_signal);
	CHECK(pthread_create(&id[0], NULL, sleeper, NULL) == 0);
	CHECK(pthread_kill(id[0], SIGUSR1) == 0);
	while (sem_wait(&posted))
		CHECK(errno == EINTR);
	CHECK(pthread_equal(receiver, id[0]));
	pid_t child = fork();
	int got;

	if (!child)
		_exit(own == 0 ? 5 : 6);
	CHECK(waitpid(child, &got, 0) == child && WEXITSTATUS(got) == 5);
	CHECK(pthread_cancel(id[0]) == 0 && pthread_join(id[0], &result) == 0 && result == PTHREAD_CANCELED);
	puts("ok");
	return 0;
}
