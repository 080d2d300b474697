/*
 * Who notices that the wall clock is set: for the guest only, because nobody
 * should set the host's.
 */
#include "../syscalls/timer.h"
#include <sys/timex.h>

static int64_t *woken; /* when each sleeper woke, on CLOCK_MONOTONIC */

static pid_t sleeper(int which, clockid_t clock, int flags, int64_t ns)
{
	struct timespec time = timespec_of(ns);
	pid_t child = spawn();

	if (child)
		return child;
	clock_nanosleep(clock, flags, &time, NULL);
	woken[which] = clock_now(CLOCK_MONOTONIC);
	_exit(0);
}

static void set_wall_clock(int64_t ns)
{
	struct timespec time = timespec_of(ns);

	CALL(clock_settime, CLOCK_REALTIME, &time);
}

int main(void)
{
	int64_t wall = clock_now(CLOCK_REALTIME), start = clock_now(CLOCK_MONOTONIC), set;
	int absolute = make_timer(CLOCK_REALTIME, SIGRTMIN, 1);
	int relative = make_timer(CLOCK_REALTIME, SIGRTMIN + 1, 2);
	struct itimerspec time = timer_of(wall + 1000 * SECOND, 0);
	struct timezone zone = { 60, 1 };
	struct timex shift = { .modes = ADJ_SETOFFSET | ADJ_NANO };
	struct timeval day;

	woken = share_pages(1);
	note_signal(SIGRTMIN);
	note_signal(SIGRTMIN + 1);
	sleeper(0, CLOCK_REALTIME, TIMER_ABSTIME, wall + 1000 * SECOND);
	sleeper(1, CLOCK_REALTIME, 0, 20 * MS);
	sleeper(2, CLOCK_MONOTONIC, TIMER_ABSTIME, start + 30 * MS);
	sleeper(3, CLOCK_TAI, TIMER_ABSTIME, wall + 900 * SECOND);
	sleeper(4, CLOCK_REALTIME, TIMER_ABSTIME, wall + 3000 * SECOND);
	syscall(SYS_timer_settime, absolute, TIMER_ABSTIME, &time, NULL);
	set_timer(relative, 40 * MS, 0);
	sleep_ns(10 * MS);
	SHOW(ticks);

	say("forward, by 2000 s\n");
	set = clock_now(CLOCK_MONOTONIC);
	set_wall_clock(clock_now(CLOCK_REALTIME) + 2000 * SECOND);
	CHECK(clock_now(CLOCK_MONOTONIC) - set < MS);
	CHECK(clock_now(CLOCK_REALTIME) - wall >= 2000 * SECOND);
	SHOW(ticks);
	SHOW(tick_info.si_value.sival_int);
	sleep_ns(MS);
	CHECK(woken[0] && woken[0] < set + MS);
	CHECK(woken[3] && woken[3] < set + MS);
	SHOW(woken[1] || woken[2] || woken[4]);
	CHECK(timer_left(relative) <= 30 * MS && timer_left(relative) > 25 * MS);
	sleep_ns(40 * MS);
	CHECK(woken[1] >= start + 20 * MS && woken[1] < start + 21 * MS);
	CHECK(woken[2] >= start + 30 * MS && woken[2] < start + 31 * MS);
	SHOW(ticks);

	say("back, by 4000 s\n");
	time = timer_of(clock_now(CLOCK_REALTIME) + MS, 0);
	set_wall_clock(clock_now(CLOCK_REALTIME) - 4000 * SECOND);
	syscall(SYS_timer_settime, absolute, TIMER_ABSTIME, &time, NULL);
	CHECK(timer_left(absolute) > 3999 * SECOND);
	sleep_ns(10 * MS);
	SHOW(ticks);
	SHOW(woken[4]);

	say("shifted, by 4000 s\n");
	shift.time.tv_sec = 4000;
	CHECK(syscall(SYS_adjtimex, &shift) == TIME_ERROR);
	SHOW(ticks);
	shift.time.tv_sec = 2000;
	CHECK(syscall(SYS_clock_adjtime, CLOCK_REALTIME, &shift) == TIME_ERROR);
	sleep_ns(MS);
	CHECK(woken[4] != 0);
	shift.time.tv_sec = -100000000000;
	CALL(adjtimex, &shift);
	shift.modes = ADJ_FREQUENCY;
	CALL(adjtimex, &shift);

	say("settimeofday\n");
	day = (struct timeval){ 2000000000, 999999 };
	CALL(settimeofday, &day, NULL);
	gettimeofday(&day, &zone);
	SHOW(day.tv_sec - (day.tv_usec < 999999));
	SHOW(zone.tz_minuteswest);
	zone = (struct timezone){ -60, 1 };
	CALL(settimeofday, NULL, &zone); /* the first time: the clock showed local time */
	gettimeofday(&day, &zone);
	SHOW(day.tv_sec);
	SHOW(zone.tz_minuteswest);
	SHOW(zone.tz_dsttime);
	zone = (struct timezone){ 120, 0 };
	CALL(settimeofday, NULL, &zone);
	gettimeofday(&day, &zone);
	SHOW(day.tv_sec);
	SHOW(zone.tz_minuteswest);
	while (wait(NULL) > 0)
		;
	return report_status();
}
