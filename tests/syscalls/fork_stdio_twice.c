/* Is what lies in a buffer of the library at fork(2) written by both? */
#include "process.h"

static FILE *file;

static void at_exit(void)
{
	fputs("handler ", file);
}

int main(void)
{
	pid_t child;

	enter_scratch("fork_stdio_twice");
	file = fopen("file", "w");
	atexit(at_exit);
	fputs("buffered ", file);
	child = spawn();
	if (!child) {
		fputs("child ", file);
		exit(3);
	}
	reap("exit", child);
	show_content("file");
	child = spawn();
	if (!child) {
		fputs("nobody sees this ", file);
		_exit(4);
	}
	reap("_exit", child);
	show_content("file");
	fflush(file);
	show_content("file");
	child = spawn();
	if (!child)
		exit(5);
	reap("exit, nothing buffered", child);
	show_content("file");
	unlink("file");
	leave_scratch();
	_exit(report_status());
}
