/* SPDX-License-Identifier: BSD-2-Clause */
/* The real-time clock: it tells the time of day, can be set, and its alarm and the clocks that want one come in time. */
#include <fcntl.h>
#include <linux/rtc.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "check.h"

static int device;

static long long now(clockid_t clock)
{
	struct timespec t;

	CHECK(clock_gettime(clock, &t) == 0);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static time_t rtc_now(void)
{
	struct rtc_time t;

	CHECK(ioctl(device, RTC_RD_TIME, &t) == 0);
	return timegm(&(struct tm){ .tm_sec = t.tm_sec,
	                            .tm_min = t.tm_min,
	                            .tm_hour = t.tm_hour,
	                            .tm_mday = t.tm_mday,
	                            .tm_mon = t.tm_mon,
	                            .tm_year = t.tm_year });
}

static struct rtc_time broken_down(time_t second)
{
	struct tm t;

	CHECK(gmtime_r(&second, &t));
	return (struct rtc_time){ .tm_sec = t.tm_sec,
	                          .tm_min = t.tm_min,
	                          .tm_hour = t.tm_hour,
	                          .tm_mday = t.tm_mday,
	                          .tm_mon = t.tm_mon,
	                          .tm_year = t.tm_year };
}

static int set_rtc(time_t second)
{
	struct rtc_time t = broken_down(second);

	return ioctl(device, RTC_SET_TIME, &t);
}

static int set_alarm(time_t second)
{
	return ioctl(device, RTC_WKALM_SET, &(struct rtc_wkalrm){ .enabled = 1, .time = broken_down(second) });
}

/* Waits for the clock's next interrupt, for so many ms; returns what it says, or 0. */
static unsigned long interrupt(int ms)
{
	struct pollfd waiting = { .fd = device, .events = POLLIN };
	unsigned long data;

	if (poll(&waiting, 1, ms) != 1)
		return 0;
	CHECK(read(device, &data, sizeof(data)) == sizeof(data));
	return data;
}

static void tells_the_time_of_day(void)
{
	/* It tells whole seconds, and the two clocks are read one after the other. */
	time_t before = now(CLOCK_REALTIME) / 1000000000, told = rtc_now(), after = now(CLOCK_REALTIME) / 1000000000;

	CHECK(before - 1 <= told && told <= after + 1);
}

static void ticks(void)
{
	long long start = now(CLOCK_MONOTONIC), took;

	CHECK(ioctl(device, RTC_UIE_ON) == 0);
	for (int i = 0; i < 3; i++)
		CHECK(interrupt(20000) & RTC_UF);
	CHECK(ioctl(device, RTC_UIE_OFF) == 0);
	took = now(CLOCK_MONOTONIC) - start;
	/* Two whole seconds and a part of one. */
	CHECK(took > 1900000000);
}

static void alarms(void)
{
	time_t alarm = rtc_now() + 2;
	struct rtc_wkalrm read_back;

	CHECK(set_alarm(alarm) == 0);
	CHECK(ioctl(device, RTC_WKALM_RD, &read_back) == 0 && read_back.enabled);
	CHECK(read_back.time.tm_sec == broken_down(alarm).tm_sec);
	CHECK(interrupt(60000) & RTC_AF && rtc_now() >= alarm);
	/* One that is switched off does not come. */
	CHECK(set_alarm(rtc_now() + 2) == 0 && ioctl(device, RTC_AIE_OFF) == 0);
	CHECK(interrupt(3000) == 0);
	/* One in the past comes at once, as with Linux' other clocks. */
	CHECK(set_alarm(rtc_now() - 1) == 0 && interrupt(20000) & RTC_AF);
}

static void can_be_set(void)
{
	time_t told = rtc_now();
	time_t real = now(CLOCK_REALTIME) / 1000000000;

	/* The alarm lies in the time that is left out. */
	CHECK(set_alarm(told + 500) == 0);
	CHECK(set_rtc(told + 1000) == 0);
	CHECK(rtc_now() >= told + 1000 && rtc_now() < told + 1100);
	CHECK(interrupt(60000) & RTC_AF);
	/* An alarm goes with the clock that it is of. */
	CHECK(set_alarm(told + 2000) == 0);
	CHECK(set_rtc(told + 1999) == 0);
	CHECK(interrupt(60000) & RTC_AF && rtc_now() >= told + 2000);
	/* The time of day is another. */
	CHECK(now(CLOCK_REALTIME) / 1000000000 - real < 200);
	CHECK(set_rtc(told + 3600L * 24 * 365 * 200) < 0 && errno == ERANGE);
	CHECK(set_rtc(now(CLOCK_REALTIME) / 1000000000) == 0);
	tells_the_time_of_day();
}

static void alarm_clocks(void)
{
	static const clockid_t clocks[] = { CLOCK_REALTIME_ALARM, CLOCK_BOOTTIME_ALARM };
	struct itimerspec soon = { .it_value = { 0, 200000000 } };

	for (int i = 0; i < 2; i++) {
		long long start = now(clocks[i]);
		int timer = timerfd_create(clocks[i], 0);
		unsigned long long fired;

		CHECK(timer >= 0 && timerfd_settime(timer, 0, &soon, NULL) == 0);
		CHECK(read(timer, &fired, sizeof(fired)) == sizeof(fired) && fired == 1);
		CHECK(clock_nanosleep(clocks[i], 0, &soon.it_value, NULL) == 0);
		CHECK(now(clocks[i]) - start >= 400000000);
		close(timer);
	}
}

int main(void)
{
	device = open("/dev/rtc0", O_RDONLY);
	CHECK(device >= 0);
	CHECK(open("/dev/rtc0", O_RDONLY) < 0 && errno == EBUSY);
	tells_the_time_of_day();
	ticks();
	alarms();
	can_be_set();
	alarm_clocks();
	puts("ok");
	return 0;
}
