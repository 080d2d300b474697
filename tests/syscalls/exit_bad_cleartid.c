/* Does a thread end whose word to be cleared cannot be written? */
#include "process.h"

static volatile int done;

static int thread_main(void *address)
{
	syscall(SYS_set_tid_address, address);
	__atomic_add_fetch(&done, 1, __ATOMIC_SEQ_CST);
	return 0;
}

int main(void)
{
	static char text[] = "read only", *page;
	volatile int tid;
	void *bad[] = { (void *)8, (void *)0xffffffff81000000, (void *)0x8000000000000000, NULL };

	page = map_pages(1);
	memcpy(page, text, sizeof(text));
	mprotect(page, PAGE, PROT_READ);
	bad[3] = page;
	for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
		pid_t thread = start_thread(thread_main, bad[i], &tid);

		wait_for(&done, i + 1);
		for (int j = 0; j < 5000 && !syscall(SYS_tkill, thread, 0); j++)
			pause_ms(1);
		CALL(tkill, thread, 0);
	}
	say("%s\n", page);
	return report_status();
}
