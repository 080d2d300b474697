/* Has each thread a name of its own, and which has the program that one executes? */
#include "process.h"

static volatile int tid;

static void show_name(const char *who)
{
	char name[16];

	prctl(PR_GET_NAME, name);
	say("%s: %s\n", who, name);
}

static int thread_main(void *unused)
{
	(void)unused;
	show_name("thread at first");
	prctl(PR_SET_NAME, "thread's");
	show_name("thread");
	return 0;
}

int main(int argc, char **argv)
{
	pid_t child;

	(void)argc;
	if (strcmp(argv[0], "again") == 0) {
		show_name("program");
		return 0;
	}
	prctl(PR_SET_NAME, "leader's");
	start_thread(thread_main, NULL, &tid);
	wait_for(&tid, 0);
	show_name("leader");
	child = spawn();
	if (!child) {
		execve("/proc/self/exe", (char *[]){ "again", NULL }, NULL);
		_exit(127);
	}
	reap("child", child);
	return report_status();
}
