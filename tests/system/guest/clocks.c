/* SPDX-License-Identifier: BSD-2-Clause */
/* Time: clocks go forward, sleeps last as long as they should, timers fire, the vDSO agrees with the kernel. */
#include <poll.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static long long now(clockid_t clock)
{
	struct timespec t;

	CHECK(clock_gettime(clock, &t) == 0);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static long long kernel_now(clockid_t clock)
{
	struct timespec t;

	CHECK(syscall(SYS_clock_gettime, clock, &t) == 0);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(void)
{
	long long last = now(CLOCK_MONOTONIC), next;

	for (int i = 0; i < 20000; i++) {
		next = i % 10 ? now(CLOCK_MONOTONIC) : kernel_now(CLOCK_MONOTONIC);
		CHECK(next >= last);
		last = next;
	}
	CHECK(now(CLOCK_REALTIME) > 1700000000LL * 1000000000LL);
	struct timespec nap = { 0, 200000000 };

	last = now(CLOCK_MONOTONIC);
	CHECK(nanosleep(&nap, NULL) == 0);
	next = now(CLOCK_MONOTONIC) - last;
	CHECK(next >= 200000000 && next < 2000000000);
	int timer = timerfd_create(CLOCK_MONOTONIC, 0);
	struct itimerspec every = { { 0, 20000000 }, { 0, 20000000 } };
	struct pollfd waiting = { .fd = timer, .events = POLLIN };
	unsigned long long fired = 0, some;

	CHECK(timer >= 0 && timerfd_settime(timer, 0, &every, NULL) == 0);
	while (fired < 10) {
		CHECK(poll(&waiting, 1, 5000) == 1 && read(timer, &some, sizeof(some)) == sizeof(some));
		fired += some;
	}
	CHECK(poll(NULL, 0, 50) == 0);
	puts("ok");
	return 0;
}
