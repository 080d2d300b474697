/* Whose CPU time can be read by a clock's number, and what does it count? */
#include "timer.h"

static volatile int tid, go, stop;

static int worker(void *unused)
{
	(void)unused;
	wait_for(&go, 1);
	burn(15 * MS);
	stop = 1;
	wait_for(&go, 2);
	return 0;
}

int main(void)
{
	volatile int *word = share_pages(1);
	struct timespec time;
	clockid_t clock, thread;
	int64_t own, other, all;
	pid_t child = spawn();

	if (!child) {
		wait_for(word, 1);
		burn(15 * MS);
		*word = 2;
		pause_ms(100000);
	}
	SHOW(clock_getcpuclockid(child, &clock));
	CALL(clock_getres, clock, &time);
	SHOW(ns_of(time));
	CALL(clock_getres, clock & ~3, &time); /* user and system time */
	CHECK(ns_of(time) > 0);
	CALL(clock_gettime, clock, &time);
	other = clock_now(clock);
	*word = 1;
	wait_for(word, 2);
	CHECK(clock_now(clock) - other >= 15 * MS);
	CALL(clock_gettime, clock | 4, &time); /* its thread is none of ours */
	CALL(clock_getres, clock | 4, &time);
	CALL(clock_gettime, clock | 3, &time);
	CALL(clock_gettime, clock, (void *)8);
	kill(child, SIGKILL);
	await(child, WEXITED);
	CALL(clock_gettime, clock, &time); /* a zombie has used what it has */
	reap("child", child);
	CALL(clock_gettime, clock, &time);
	SHOW(clock_getcpuclockid(child, &clock));

	start_thread(worker, NULL, &tid);
	thread = ~tid << 3 | 6;
	own = clock_now(CLOCK_THREAD_CPUTIME_ID);
	all = clock_now(CLOCK_PROCESS_CPUTIME_ID);
	other = clock_now(thread);
	go = 1;
	wait_for(&stop, 1);
	CHECK(clock_now(thread) - other >= 15 * MS);
	CHECK(clock_now(CLOCK_PROCESS_CPUTIME_ID) - all >= 15 * MS);
	CHECK(clock_now(CLOCK_THREAD_CPUTIME_ID) - own < clock_now(thread) - other);
	CHECK(clock_now(~gettid() << 3 | 6) >= own);
	CHECK(clock_now(~0 << 3 | 6) >= own);
	CHECK(clock_now(~getpid() << 3 | 2) >= all);
	go = 2;
	wait_for(&tid, 0);
	CHECK(clock_now(CLOCK_PROCESS_CPUTIME_ID) - all >= 15 * MS); /* it is not lost */
	return report_status();
}
