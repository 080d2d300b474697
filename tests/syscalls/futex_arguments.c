/* Which calls of futex(2) are refused, and which return at once? */
#include "futex.h"

int main(void)
{
	volatile int *shared = share_pages(1);
	static volatile int word = 5;
	struct timespec soon = { 0, 2000000 }, bad = { 0, 1000000000 }, negative = { -1, 0 };
	struct timespec past = { 1, 0 };
	int64_t before;

	CALL(futex, &word, FUTEX_WAIT, 4, NULL, NULL, 0L);
	CALL(futex, &word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 6, NULL, NULL, 0L);
	CALL(futex, &word, FUTEX_WAKE, 1, NULL, NULL, 0L);
	CALL(futex, &word, FUTEX_WAKE, -1, NULL, NULL, 0L);
	CALL(futex, shared, FUTEX_WAKE, 1, NULL, NULL, 0L);
	before = clock_now(CLOCK_MONOTONIC);
	CALL(futex, &word, FUTEX_WAIT, 5, &soon, NULL, 0L);
	CHECK(clock_now(CLOCK_MONOTONIC) - before >= 2000000);
	CALL(futex, &word, FUTEX_WAIT_BITSET, 5, &past, NULL, MATCH_ANY);
	CALL(futex, &word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 5, &past, NULL, MATCH_ANY);
	CALL(futex, &word, FUTEX_WAIT_BITSET, 5, &past, NULL, 0L);
	CALL(futex, &word, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0L);
	CALL(futex, &word, FUTEX_WAIT, 5, &bad, NULL, 0L);
	CALL(futex, &word, FUTEX_WAIT, 5, &negative, NULL, 0L);
	CALL(futex, &word, FUTEX_WAIT, 5, (void *)8, NULL, 0L);
	CALL(futex, (char *)&word + 1, FUTEX_WAIT, 5, NULL, NULL, 0L);
	CALL(futex, (char *)&word + 2, FUTEX_WAKE, 1, NULL, NULL, 0L);
	CALL(futex, NULL, FUTEX_WAIT, 0, NULL, NULL, 0L);
	CALL(futex, NULL, FUTEX_WAKE, 1, NULL, NULL, 0L);
	CALL(futex, 0xffffffff81000000, FUTEX_WAKE, 1, NULL, NULL, 0L);
	CALL(futex, 0xffffffff81000000, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0L);
	CALL(futex, &word, FUTEX_FD, 1, NULL, NULL, 0L);
	CALL(futex, &word, 60, 1, NULL, NULL, 0L);
	CALL(futex, &word, FUTEX_REQUEUE, 1, 1L, shared, 0L);
	CALL(futex, &word, FUTEX_REQUEUE, -1, 1L, shared, 0L);
	CALL(futex, &word, FUTEX_REQUEUE, 1, -1L, shared, 0L);
	CALL(futex, &word, FUTEX_CMP_REQUEUE, 1, 1L, shared, 4L);
	CALL(futex, &word, FUTEX_CMP_REQUEUE, 1, 1L, shared, 5L);
	CALL(futex, &word, FUTEX_REQUEUE, 1, 1L, NULL, 0L);
	return report_status();
}
