/* What does sched_setattr(2) change, what does it leave, and what does it refuse? */
#include "report.h"
#include "sched_attr.h"

#define NO_SUCH_PID 0x7ffffff0

static void show_attr(void)
{
	struct attr attr;

	memset(&attr, 0xff, sizeof(attr));
	CALL(sched_getattr, 0, &attr, (long)SIZE_VER0, 0);
	SHOW(attr.policy);
	SHOW(attr.flags);
	SHOW(attr.nice);
	SHOW(attr.priority);
	CHECK(attr.priority ? attr.runtime == 0 : attr.runtime >= 100000);
}

static void set(uint32_t policy, uint64_t flags, int nice, uint32_t priority)
{
	struct attr attr = { SIZE_VER0, policy, flags, nice, priority };

	CALL(sched_setattr, 0, &attr, 0);
	show_attr();
}

static void ask_for(uint64_t runtime)
{
	struct attr attr = { .size = SIZE_VER0, .runtime = runtime };

	CALL(sched_setattr, 0, &attr, 0);
	CALL(sched_getattr, 0, &attr, (long)SIZE_VER0, 0);
	if (runtime)
		SHOW(attr.runtime);
}

static void of_size(uint32_t size)
{
	struct attr attr = { .size = size, .nice = 2 };

	SHOW(size);
	CALL(sched_setattr, 0, &attr, 0);
	SHOW(attr.size);
}

int main(void)
{
	struct attr attr = { .size = SIZE_VER1 };
	char *page = map_pages(2);

	set(SCHED_OTHER, 0, 7, 0);
	set(SCHED_OTHER, 0, 100, 0);
	set(SCHED_OTHER, 0, -100, 0);
	set(SCHED_BATCH, 0, 3, 0);
	set(SCHED_BATCH, 0, 3, 1);
	set(SCHED_FIFO, 0, 5, 10);
	set(SCHED_FIFO, 0, 5, 0);
	set(SCHED_RR, FLAG_RESET_ON_FORK, 0, 99);
	set(SCHED_RR, 0, 0, 100);
	set(SCHED_IDLE, 0, 9, 0);
	set(SCHED_OTHER, FLAG_KEEP_POLICY, 9, 0);
	set(SCHED_OTHER, 0, 9, 0);
	set(SCHED_FIFO, FLAG_KEEP_POLICY, 4, 0);
	set(SCHED_FIFO, FLAG_KEEP_POLICY, 4, 3);
	set(SCHED_OTHER, FLAG_KEEP_PARAMS, 1, 0);
	set(SCHED_OTHER, FLAG_KEEP_POLICY | FLAG_KEEP_PARAMS, 1, 0);
	set(4, 0, 0, 0);
	set(1000, 0, 0, 0);
	set(-1, 0, 0, 0);
	set(SCHED_OTHER, 0x80, 0, 0);
	set(SCHED_OTHER, 1ULL << 40, 0, 0);
	set(SCHED_OTHER, FLAG_UTIL_CLAMP_MIN, 0, 0);
	set(SCHED_OTHER, 0, 0, 0);

	/* A slice of one's own, within bounds. */
	ask_for(1);
	ask_for(100 * 1000);
	ask_for(3 * 1000 * 1000);
	ask_for(100 * 1000 * 1000);
	ask_for(1000 * 1000 * 1000);
	ask_for(2 * 1000 * 1000);
	ask_for(0);

	/* Sizes of other versions. */
	of_size(0);
	of_size(1);
	of_size(SIZE_VER0 - 1);
	of_size(SIZE_VER0);
	of_size(SIZE_VER0 + 4);
	of_size(SIZE_VER1);
	of_size(SIZE_VER1 + 8);
	of_size(PAGE + 1);
	attr.size = sizeof(attr);
	attr.more[1] = 1;
	CALL(sched_setattr, 0, &attr, 0);
	SHOW(attr.size);

	attr = (struct attr){ .size = SIZE_VER0 };
	CALL(sched_setattr, 0, &attr, 0);
	CALL(sched_setattr, getpid(), &attr, 0);
	CALL(sched_setattr, 0, &attr, 1);
	CALL(sched_setattr, -1, &attr, 0);
	CALL(sched_setattr, NO_SUCH_PID, &attr, 0);
	CALL(sched_setattr, 0, NULL, 0);
	CALL(sched_setattr, 0, 8L, 0);
	CALL(sched_setattr, NO_SUCH_PID, 8L, 0);
	/* Half of it on a page that is not there. */
	memcpy(page + PAGE - 8, &attr, 8);
	munmap(page + PAGE, PAGE);
	CALL(sched_setattr, 0, page + PAGE - 8, 0);
	return report_status();
}
