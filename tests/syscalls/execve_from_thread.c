/* What becomes of the threads when one of them executes a program, and whose number has it? */
#include "process.h"

static volatile int tid[3], running;
static char pid[16], thread[16];
static const char *path;

static int sleeps(void *unused)
{
	(void)unused;
	__atomic_add_fetch(&running, 1, __ATOMIC_SEQ_CST);
	for (;;)
		pause_ms(10000);
	return 0;
}

static int executes(void *unused)
{
	char *none[] = { NULL };

	(void)unused;
	wait_for(&running, 2);
	snprintf(thread, sizeof(thread), "%ld", syscall(SYS_gettid));
	/* One that fails leaves them all. */
	execve("/none", none, NULL);
	/* By its path: /proc/self is the leader, which may have ended. */
	execve(path, (char *[]){ "again", pid, thread, NULL }, NULL);
	syscall(SYS_exit_group, 127);
	return 0;
}

static void show_program(const char *who, int leader_ends, int from_leader)
{
	pid_t child = spawn();

	if (!child) {
		snprintf(pid, sizeof(pid), "%d", getpid());
		start_thread(sleeps, NULL, &tid[0]);
		start_thread(sleeps, NULL, &tid[1]);
		if (from_leader)
			executes(NULL);
		start_thread(executes, NULL, &tid[2]);
		if (leader_ends)
			syscall(SYS_exit, 3);
		for (;;)
			pause_ms(10000);
	}
	reap(who, child);
}

int main(int argc, char **argv)
{
	if (argc > 1) {
		CHECK(getpid() == atoi(argv[1]));
		/* The program has one thread, which is the leader. */
		CHECK(syscall(SYS_gettid) == getpid());
		if (atoi(argv[2]) != getpid())
			CALL(tkill, atoi(argv[2]), 0);
		return 12;
	}
	path = own_path();
	show_program("by the leader", 0, 1);
	show_program("by another thread", 0, 0);
	show_program("by another thread, without a leader", 1, 0);
	CALL(wait4, -1, NULL, __WALL, NULL);
	return report_status();
}
