/* What becomes of the robust futexes of a thread or process that ends? */
#include "futex.h"
#include <stddef.h>

/* A list of locks, as the C library has it. */
struct lock {
	struct lock *next;
	int padding;
	volatile int word;
};
static struct lock *locks;
static struct robust_list_head *head;

static void hold(int number, int tid)
{
	locks[number].word = tid;
	locks[number].next = (struct lock *)head->list.next;
	head->list.next = (struct robust_list *)&locks[number];
}

static void show_lock(const char *what, int number, int tid)
{
	int word = locks[number].word;

	say("%s: %s%s%s\n", what, word & FUTEX_WAITERS ? "waiters " : "",
	    word & FUTEX_OWNER_DIED ? "owner died " : "",
	    (word & FUTEX_TID_MASK) == tid ? "held" : word & FUTEX_TID_MASK ? "another's" : "free");
}

int main(void)
{
	int status;
	pid_t owner, waiter;

	locks = share_pages(1);
	head = (void *)(locks + 16);
	owner = spawn();
	if (!owner) {
		int tid = getpid();

		head->list.next = &head->list;
		head->futex_offset = offsetof(struct lock, word);
		head->list_op_pending = NULL;
		syscall(SYS_set_robust_list, head, sizeof(*head));
		hold(0, tid);
		hold(1, tid);
		hold(2, 1); /* another's */
		locks[3].word = tid; /* being taken */
		head->list_op_pending = (struct robust_list *)&locks[3];
		locks[5].word = 1;
		while (!(locks[1].word & FUTEX_WAITERS))
			pause_ms(1);
		pause_ms(20);
		_exit(0);
	}
	waiter = spawn();
	if (!waiter) {
		wait_for(&locks[5].word, 1);
		locks[1].word |= FUTEX_WAITERS;
		while (!(locks[1].word & FUTEX_OWNER_DIED))
			SHOW(futex(&locks[1].word, FUTEX_WAIT, locks[1].word, NULL, NULL, 0));
		_exit(0);
	}
	if (waitpid(owner, &status, 0) != owner)
		die("wait for the owner");
	reap("waiter", waiter);
	show_wait_status("owner", status);
	show_lock("first", 0, owner);
	show_lock("waited for", 1, owner);
	show_lock("another's", 2, owner);
	show_lock("pending", 3, owner);
	return report_status();
}
