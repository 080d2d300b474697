/* Have a child, a thread and a new program the vDSO, and do handlers run with it? */
#include "vdso.h"

static volatile int tid, read_by_thread;

static int64_t read_clock(void)
{
	struct timespec time;

	if (clock_gettime(CLOCK_MONOTONIC, &time))
		die("read a clock");
	return ns_of(time);
}

static int worker(void *unused)
{
	(void)unused;
	read_by_thread = read_clock() > 0;
	return 0;
}

static void handler(int signal)
{
	(void)signal;
	ticks += read_clock() > 0;
}

int main(int argc, char **argv)
{
	char *again[] = { argv[0], "again", NULL };
	struct sigaction action = { .sa_handler = handler };
	int64_t before = read_clock();
	int status;
	pid_t child;

	if (!open_vdso())
		die("find the vDSO");
	if (argc > 1) {
		CHECK(!memcmp(vdso_start, ELFMAG, SELFMAG));
		SHOW(vdso_find("__vdso_clock_gettime") > 0);
		return report_status();
	}
	child = spawn();
	if (!child) {
		CHECK(read_clock() >= before);
		child = vfork();
		if (!child)
			_exit(read_clock() >= before ? 6 : 7);
		waitpid(child, &status, 0);
		SHOW(WEXITSTATUS(status));
		execv(own_path(), again);
		die("execute");
	}
	reap("child", child);
	CHECK(read_clock() >= before);
	start_thread(worker, NULL, &tid);
	wait_for(&tid, 0);
	SHOW(read_by_thread);
	sigaction(SIGUSR1, &action, NULL);
	for (int i = 0; i < 10; i++)
		raise(SIGUSR1);
	SHOW(ticks);
	return report_status();
}
