/* Who is woken, in which order, by what, and who when a thread ends? */
#include "futex.h"

enum { THREADS = 4 };

static volatile int word, word2, asleep, woken[THREADS], nr_woken, tids[THREADS];
static volatile long results[THREADS];
static int op = FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG;

static int waiter(void *argument)
{
	long number = (long)argument;

	/* One after the other, so that their order is known. */
	while (asleep != number)
		sched_yield();
	asleep = number + 1;
	results[number] = futex(&word, op, 0, NULL, NULL, 1L << number);
	woken[__sync_fetch_and_add(&nr_woken, 1)] = number;
	return 0;
}

static void start_all(void)
{
	asleep = nr_woken = 0;
	for (long i = 0; i < THREADS; i++) {
		start_thread(waiter, (void *)i, &tids[i]);
		wait_for(&asleep, i + 1);
		pause_ms(10);
	}
}

static void await_woken(int count)
{
	wait_for(&nr_woken, count);
	pause_ms(3);
	say("%d woken:", nr_woken);
	for (int i = 0; i < nr_woken; i++)
		say(" %d", woken[i]);
	say("\n");
}

static void join_all(void)
{
	for (int i = 0; i < THREADS; i++) {
		int tid;

		/* The kernel clears the word and wakes who waits there. */
		while ((tid = tids[i]))
			futex(&tids[i], FUTEX_WAIT, tid, NULL, NULL, 0);
		if (results[i])
			say("%d: %ld\n", i, results[i]);
	}
}

int main(void)
{
	SHOW(futex(&word, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 1, NULL, NULL, 0));
	start_all();
	SHOW(futex(&word, FUTEX_WAKE, 1, NULL, NULL, 0)); /* they have said that it is private */
	SHOW(futex(&word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0));
	await_woken(1);
	SHOW(futex(&word, FUTEX_WAKE_BITSET | FUTEX_PRIVATE_FLAG, 10, NULL, NULL, 8 | 16));
	await_woken(2);
	SHOW(futex(&word2, FUTEX_WAKE, 10, NULL, NULL, 0));
	SHOW(futex(&word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 0));
	await_woken(3);
	SHOW(futex(&word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 10, NULL, NULL, 0));
	await_woken(4);
	join_all();

	start_all();
	SHOW(futex(&word, FUTEX_CMP_REQUEUE | FUTEX_PRIVATE_FLAG, 1, (void *)2, &word2, 0));
	await_woken(1);
	SHOW(futex(&word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 10, NULL, NULL, 0));
	await_woken(2);
	SHOW(futex(&word2, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0));
	await_woken(3);
	SHOW(futex(&word2, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 10, NULL, NULL, 0));
	await_woken(4);
	join_all();
	return report_status();
}
