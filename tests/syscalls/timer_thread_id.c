/* Does a timer's signal go to the thread that it names, and to none when that has ended? */
#include "timer.h"

static volatile int tid, go, got, end;

static void in_thread(int signal)
{
	(void)signal;
	got = gettid();
}

static int worker(void *unused)
{
	(void)unused;
	go = 1;
	wait_for(&end, 1);
	return 0;
}

int main(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 };
	struct sigaction action = { .sa_handler = in_thread };
	pid_t thread;
	int timer;

	sigaction(SIGUSR1, &action, NULL);
	thread = start_thread(worker, NULL, &tid);
	wait_for(&go, 1);
	event._sigev_un._tid = thread;
	CALL(timer_create, CLOCK_MONOTONIC, &event, &timer);
	set_timer(timer, MS, 0);
	wait_for(&got, thread);
	SHOW(got == thread);

	event._sigev_un._tid = gettid();
	CALL(timer_create, CLOCK_MONOTONIC, &event, &timer);
	set_timer(timer, MS, 0);
	wait_for(&got, gettid());
	SHOW(got == gettid());

	event._sigev_un._tid = thread;
	CALL(timer_create, CLOCK_MONOTONIC, &event, &timer);
	set_timer(timer, 5 * MS, MS);
	end = 1;
	wait_for(&tid, 0);
	got = 0;
	sleep_ns(10 * MS);
	SHOW(got);
	CALL(timer_delete, timer);
	event._sigev_un._tid = thread;
	CALL(timer_create, CLOCK_MONOTONIC, &event, &timer);
	return report_status();
}
