/*
 * Does semtimedop(2) give up after its time, not before, and what does it
 * refuse, in which order?
 */
#include "semaphores.h"

#define MILLISECOND 1000000LL
#define BAD ((void *)8)

static int id;

/* Wait for what never happens. */
static void show_time(long seconds, long nanoseconds, int num, int op)
{
	struct timespec time = {seconds, nanoseconds};
	struct sembuf buf = {num, op, 0};
	int64_t before = clock_now(CLOCK_MONOTONIC);
	int64_t shortest = seconds * 1000 * MILLISECOND + nanoseconds;

	say("%ld s %ld ns, semaphore %d, %d\n", seconds, nanoseconds, num, op);
	CALL(semtimedop, id, &buf, 1L, &time);
	CHECK(clock_now(CLOCK_MONOTONIC) - before >= shortest ||
	      seconds < 0 || nanoseconds < 0 || nanoseconds > 999999999);
	SHOW(semctl(id, num, op ? GETNCNT : GETZCNT));
	CHECK(time.tv_sec == seconds && time.tv_nsec == nanoseconds);
}

static void show_refused(void)
{
	struct sembuf wait = {0, -1, 0}, go = {0, 0, 0};
	struct timespec time = {0, MILLISECOND}, bad = {0, 1000000000};

	CALL(semtimedop, id, &wait, 1L, BAD);
	CALL(semtimedop, id, &go, 1L, BAD);
	CALL(semtimedop, id, &go, 1L, &bad);
	CALL(semtimedop, id, &wait, 1L, &bad);
	CALL(semtimedop, id, NULL, 1L, &bad);
	CALL(semtimedop, id, NULL, 1L, &time);
	CALL(semtimedop, id, NULL, 1L, BAD);
	CALL(semtimedop, id, NULL, 100000L, &bad);
	CALL(semtimedop, id, NULL, 100000L, BAD);
	CALL(semtimedop, id, NULL, 0L, &bad);
	CALL(semtimedop, -1, &go, 1L, &bad);
	CALL(semtimedop, -1, NULL, 1L, &bad);
	CALL(semtimedop, id ^ 1 << 20, &go, 1L, &bad);
	CALL(semtimedop, id ^ 1 << 20, &go, 1L, &time);
}

int main(void)
{
	struct sembuf go = {0, 0, 0}, nowait = {0, -1, IPC_NOWAIT};
	struct sembuf two[] = {{0, 1, 0}, {1, -1, 0}};
	struct timespec time = {0, 2 * MILLISECOND}, longest = {-1UL >> 1, 0};
	int64_t before;

	id = make_set(2);
	show_refused();
	show_time(0, 0, 0, -1);
	show_time(0, 1, 0, -1);
	show_time(0, 3 * MILLISECOND, 1, -5);
	show_time(0, 1000000000, 0, -1);
	show_time(0, -1, 0, -1);
	show_time(-1, 0, 0, -1);
	set_value(id, 1, 2);
	show_time(0, 3 * MILLISECOND, 1, 0);
	show_time(0, 3 * MILLISECOND, 1, -3);
	set_value(id, 1, 0);

	/* What can be done is done, whatever the time. */
	CALL(semtimedop, id, &go, 1L, &time);
	CALL(semtimedop, id, &go, 1L, &longest);
	CALL(semtimedop, id, &go, 1L, NULL);
	CALL(semtimedop, id, &nowait, 1L, NULL);
	before = clock_now(CLOCK_MONOTONIC);
	CALL(semtimedop, id, &nowait, 1L, &longest);
	CHECK(clock_now(CLOCK_MONOTONIC) - before < 1000 * MILLISECOND);

	/* A list that is given up leaves nothing behind. */
	CALL(semtimedop, id, two, 2L, &time);
	show_values("after that", id);
	SHOW(semctl(id, 1, GETNCNT));
	SHOW(set_status(id).sem_otime != 0);
	remove_set(id);
	CALL(semtimedop, id, &go, 1L, &time);
	return report_status();
}
