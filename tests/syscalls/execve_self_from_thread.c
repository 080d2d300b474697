/* Can a thread execute /proc/self/exe, though the leader that "self" is ends on the way? */
#include "process.h"

static volatile int tid;

static int thread_main(void *unused)
{
	pause_ms(5);
	execve("/proc/self/exe", (char *[]){ "program", "again", NULL }, NULL);
	return 1;
}

int main(int argc, char **argv)
{
	pid_t child;

	if (argc > 1)
		return 5;
	child = spawn();
	if (!child) {
		start_thread(thread_main, NULL, &tid);
		pause_ms(10000);
		_exit(9);
	}
	reap("child", child);
	return report_status();
}
