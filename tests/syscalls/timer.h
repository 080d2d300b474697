/*
 * What the programs about timers share: handlers that count, and ways to let
 * time pass, on the clock or on the processor.
 *
 * No program asks how long something took, only whether it came, how often at
 * least or at most, and in which order: a host may be late, never early.
 */
#ifndef TIMER_H
#define TIMER_H

#include "process.h"
#include <sys/time.h>

#define MS 1000000L
#define SECOND 1000000000L

static volatile sig_atomic_t ticks;
static siginfo_t tick_info;

static void count_tick(int signal)
{
	(void)signal;
	ticks++;
}

static void note_tick(int signal, siginfo_t *info, void *context)
{
	(void)signal, (void)context;
	tick_info = *info;
	ticks++;
}

/* Count a signal in "ticks"; calls that it interrupts are not restarted. */
static inline void count_signal(int signal)
{
	struct sigaction action = { .sa_handler = count_tick };

	if (sigaction(signal, &action, NULL))
		die("set a handler");
}

/* The same, and keep the last one's siginfo in "tick_info". */
static inline void note_signal(int signal)
{
	struct sigaction action = { .sa_sigaction = note_tick,
				    .sa_flags = SA_SIGINFO };

	if (sigaction(signal, &action, NULL))
		die("set a handler");
}

/* Sleep until "ticks" has come to a number, ten seconds at most. */
static inline void await_ticks(int number)
{
	for (int i = 0; ticks < number; i++) {
		struct timespec step = { 0, i < 50 ? 200000 : 2000000 };

		if (i == 5000) {
			errno = ETIMEDOUT;
			die("wait for a timer");
		}
		nanosleep(&step, NULL);
	}
}

/* CPU time of the process or the thread, in nanoseconds. */
static inline int64_t cpu_now(void)
{
	return clock_now(CLOCK_PROCESS_CPUTIME_ID);
}

/* Use the processor until "ticks" has come to a number, five seconds at most. */
static inline void burn_until_ticks(int number)
{
	int64_t end = cpu_now() + 5 * SECOND;

	while (ticks < number) {
		for (volatile int i = 0; i < 1000; i++)
			;
		if (cpu_now() > end) {
			errno = ETIMEDOUT;
			die("wait for a timer");
		}
	}
}

/* Use so much CPU time, in nanoseconds. */
static inline void burn(int64_t ns)
{
	int64_t end = clock_now(CLOCK_THREAD_CPUTIME_ID) + ns;

	while (clock_now(CLOCK_THREAD_CPUTIME_ID) < end)
		for (volatile int i = 0; i < 1000; i++)
			;
}

/* Clocks without a name in <time.h>: CPUCLOCK_PROF, user and system time, and CPUCLOCK_VIRT. */
#define CLOCK_PROCESS_PROF ((clockid_t)-8)
#define CLOCK_PROCESS_USER_TIME ((clockid_t)-7)
#define CLOCK_THREAD_PROF ((clockid_t)-4)
#define CLOCK_THREAD_USER_TIME ((clockid_t)-3)

/* Use CPU time, most of it in the kernel: make pages and drop them. */
static inline void use_kernel(void)
{
	static char *pages;

	if (!pages)
		pages = map_pages(64);
	for (int i = 0; i < 64; i++)
		pages[i * PAGE] = 1;
	madvise(pages, 64 * PAGE, MADV_DONTNEED);
}

/* Use CPU time in ring 3. */
static inline void use_ring3(void)
{
	for (volatile int i = 0; i < 100000; i++)
		;
}

/*
 * Do something again and again until a condition holds, which should be after
 * some milliseconds of CPU time.  A host may count user and system time by
 * looking at a tick who runs, so how much it takes is not for us to say.
 */
#define UNTIL(condition, action)                                              \
	for (int64_t end_ = cpu_now() + 20 * SECOND; !(condition); action)      \
		if (cpu_now() > end_) {                                         \
			errno = ETIMEDOUT;                                      \
			die("wait for " #condition);                            \
		}

/* Sleep for so long, whatever signals come. */
static inline void sleep_ns(int64_t ns)
{
	struct timespec end;

	clock_gettime(CLOCK_MONOTONIC, &end);
	ns += end.tv_nsec;
	end.tv_sec += ns / SECOND;
	end.tv_nsec = ns % SECOND;
	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL))
		;
}

static inline struct timespec timespec_of(int64_t ns)
{
	return (struct timespec){ ns / SECOND, ns % SECOND };
}

static inline int64_t ns_of(struct timespec time)
{
	return time.tv_sec * SECOND + time.tv_nsec;
}

static inline struct itimerval itimer_of(long value_us, long interval_us)
{
	return (struct itimerval){
		.it_value = { value_us / 1000000, value_us % 1000000 },
		.it_interval = { interval_us / 1000000, interval_us % 1000000 },
	};
}

static inline struct itimerspec timer_of(int64_t value, int64_t interval)
{
	return (struct itimerspec){ .it_value = timespec_of(value),
				    .it_interval = timespec_of(interval) };
}

/* Make a timer that sends a signal with a value. */
static inline int make_timer(clockid_t clock, int signal, int value)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL,
				  .sigev_signo = signal,
				  .sigev_value.sival_int = value };
	int timer;

	if (syscall(SYS_timer_create, clock, &event, &timer))
		die("make a timer");
	return timer;
}

/* Set it: in so many nanoseconds from now, and then at an interval. */
static inline void set_timer(int timer, int64_t value, int64_t interval)
{
	struct itimerspec time = timer_of(value, interval);

	if (syscall(SYS_timer_settime, timer, 0, &time, NULL))
		die("set a timer");
}

/* What is left of it. */
static inline int64_t timer_left(int timer)
{
	struct itimerspec left;

	if (syscall(SYS_timer_gettime, timer, &left))
		die("ask a timer");
	return ns_of(left.it_value);
}

static inline long us_of(struct timeval time)
{
	return time.tv_sec * 1000000 + time.tv_usec;
}

#endif
