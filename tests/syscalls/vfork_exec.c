/* May a parent go on as soon as its vfork(2) child executes a program, and is its memory whole? */
#include "process.h"

static volatile pid_t child;
static char data[4 * PAGE] = "data";

int main(int argc, char **argv)
{
	char *new[] = { "again", "as program", NULL };

	if (argc > 1) {
		raise(SIGSTOP);
		say("%s\n", argv[1]);
		return 7;
	}
	strcpy(data + 2 * PAGE, "more data");
	child = vfork();
	if (!child) {
		execve("/proc/self/exe", new, NULL);
		_exit(127);
	}
	/* It is stopped, so we did not wait until it ended. */
	await(child, WSTOPPED);
	say("parent goes on: %s, %s\n", data, data + 2 * PAGE);
	kill(child, SIGCONT);
	reap("child", child);
	return report_status();
}
