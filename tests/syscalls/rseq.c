/* How is an rseq(2) area registered and given back, and what is refused? */
#include "report.h"
#include <sys/rseq.h>

#define SIZE 32L
#define UNREGISTER RSEQ_FLAG_UNREGISTER
#define OTHER_SIGNATURE 0x1234

static struct rseq area;
static struct rseq other;

int main(void)
{
	/* The library has registered one. */
	struct rseq *library = (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);

	CHECK(__rseq_size > 0);
	CHECK((int)library->cpu_id >= 0);
	CALL(rseq, &area, SIZE, 0, RSEQ_SIG);
	CALL(rseq, library, SIZE, 0, RSEQ_SIG);
	CALL(rseq, library, SIZE, 0, OTHER_SIGNATURE);

	CALL(rseq, &area, SIZE, UNREGISTER, RSEQ_SIG);
	CALL(rseq, library, SIZE, UNREGISTER, OTHER_SIGNATURE);
	CALL(rseq, library, SIZE / 2, UNREGISTER, RSEQ_SIG);
	CALL(rseq, library, SIZE, UNREGISTER | 2, RSEQ_SIG);
	CALL(rseq, library, SIZE, UNREGISTER, RSEQ_SIG);
	CHECK((int)library->cpu_id == RSEQ_CPU_ID_UNINITIALIZED);
	CALL(rseq, library, SIZE, UNREGISTER, RSEQ_SIG);

	CALL(rseq, (char *)&area + 8, SIZE, 0, RSEQ_SIG);
	CALL(rseq, &area, SIZE / 2, 0, RSEQ_SIG);
	CALL(rseq, &area, 0L, 0, RSEQ_SIG);
	CALL(rseq, &area, SIZE, 2, RSEQ_SIG);
	CALL(rseq, 0xffff888000000000, SIZE, 0, RSEQ_SIG);
	CALL(rseq, &area, SIZE, 0, RSEQ_SIG);
	CHECK((int)area.cpu_id >= 0);
	CALL(rseq, &other, SIZE, 0, RSEQ_SIG);
	CALL(rseq, &area, SIZE, UNREGISTER, RSEQ_SIG);
	CHECK((int)area.cpu_id == RSEQ_CPU_ID_UNINITIALIZED);
	return report_status();
}
