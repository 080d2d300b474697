/* Can one sleep until a process has used CPU time, and how does such a sleep end? */
#include "timer.h"

static volatile int tid, stop;

static int worker(void *unused)
{
	(void)unused;
	while (!stop)
		;
	return 0;
}

int main(void)
{
	struct timespec time = timespec_of(20 * MS), left = { 7, 7 };
	struct itimerval soon = itimer_of(5000, 0);
	clockid_t clock;
	int64_t start;
	pid_t child;

	/* Of one's own thread no time passes in the sleep. */
	CALL(clock_nanosleep, CLOCK_THREAD_CPUTIME_ID, 0, &time, NULL);
	CALL(clock_nanosleep, ~0 << 3 | 6, 0, &time, NULL);
	CALL(clock_nanosleep, ~gettid() << 3 | 6, 0, &time, NULL);
	CALL(clock_nanosleep, ~0x3ffffff << 3 | 2, 0, &time, NULL);
	CALL(clock_nanosleep, ~0 << 3 | 3, 0, &time, NULL);
	CALL(clock_nanosleep, CLOCK_PROCESS_CPUTIME_ID, 0, NULL, NULL);
	time.tv_nsec = -1;
	CALL(clock_nanosleep, CLOCK_PROCESS_CPUTIME_ID, 0, &time, NULL);
	time = timespec_of(1);
	CALL(clock_nanosleep, CLOCK_PROCESS_CPUTIME_ID, TIMER_ABSTIME, &time, NULL);

	start_thread(worker, NULL, &tid);
	start = cpu_now();
	time = timespec_of(20 * MS);
	CALL(clock_nanosleep, CLOCK_PROCESS_CPUTIME_ID, 0, &time, &left);
	CHECK(cpu_now() - start >= 20 * MS);
	SHOW(left.tv_nsec); /* not touched */
	time = timespec_of(cpu_now() + 10 * MS);
	CALL(clock_nanosleep, CLOCK_PROCESS_CPUTIME_ID, TIMER_ABSTIME, &time, &left);
	CHECK(cpu_now() >= ns_of(time));
	clock = ~tid << 3 | 6;
	start = clock_now(clock);
	time = timespec_of(10 * MS);
	CALL(clock_nanosleep, clock, 0, &time, NULL);
	CHECK(clock_now(clock) - start >= 10 * MS);
	stop = 1;
	wait_for(&tid, 0);

	/* Nobody runs: an alarm ends it. */
	count_signal(SIGALRM);
	time = timespec_of(100 * SECOND);
	setitimer(ITIMER_REAL, &soon, NULL);
	CALL(clock_nanosleep, CLOCK_PROCESS_CPUTIME_ID, 0, &time, &left);
	CHECK(ns_of(left) > 99 * SECOND);
	CHECK(ns_of(left) <= 100 * SECOND);
	setitimer(ITIMER_REAL, &soon, NULL);
	left = timespec_of(7);
	time = timespec_of(cpu_now() + 100 * SECOND);
	CALL(clock_nanosleep, CLOCK_PROCESS_CPUTIME_ID, TIMER_ABSTIME, &time, &left);
	SHOW(ns_of(left));

	child = spawn();
	if (!child)
		for (;;)
			;
	clock_getcpuclockid(child, &clock);
	time = timespec_of(20 * MS);
	CALL(clock_nanosleep, clock, 0, &time, NULL);
	CHECK(clock_now(clock) >= 20 * MS);
	kill(child, SIGKILL);
	reap("child", child);
	CALL(clock_nanosleep, clock, 0, &time, NULL);
	return report_status();
}
