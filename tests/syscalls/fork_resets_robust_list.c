/* Has a child its parent's list of robust futexes? */
#include "process.h"

static struct {
	void *next;
	long offset;
	void *pending;
} list = { &list, 0, NULL };

static void show_list(const char *who)
{
	void *head = &head;
	size_t length = 0;

	if (syscall(SYS_get_robust_list, 0, &head, &length))
		die("get the list");
	say("%s: %s, length %ld\n", who, head == &list ? "the parent's" : head ? "another" : "none",
	    (long)length);
}

static int child_main(void *who)
{
	show_list(who);
	return 0;
}

int main(void)
{
	pid_t child;

	if (syscall(SYS_set_robust_list, &list, sizeof(list)))
		die("set the list");
	show_list("parent");
	child = syscall(SYS_fork);
	if (!child) {
		show_list("child");
		_exit(0);
	}
	reap("child", child);
	child = start(child_main, CLONE_VM | SIGCHLD, "child that shares memory");
	reap("child that shares memory", child);
	show_list("parent");
	return report_status();
}
