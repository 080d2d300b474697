/* Does a program run whose file is removed, and can it be executed through a descriptor? */
#include "process.h"

static void copy_program(const char *name)
{
	static char block[65536];
	int from = open("/proc/self/exe", O_RDONLY);
	int to = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	ssize_t size;

	if (from < 0 || to < 0)
		die("copy the program");
	while ((size = read(from, block, sizeof(block))) > 0)
		if (write(to, block, size) != size)
			die("write a copy");
	close(from);
	close(to);
}

int main(int argc, char **argv)
{
	pid_t child;
	int fd;

	if (argc > 1) {
		if (strcmp(argv[1], "stop") == 0)
			raise(SIGSTOP);
		/* From here on pages are read that nobody has touched yet. */
		say("%s: %.3f\n", argv[1], 1.5 * argc);
		return 5;
	}
	enter_scratch("execve_deleted");
	copy_program("copy");
	fd = open("copy", O_RDONLY);
	child = spawn();
	if (!child) {
		execve("copy", (char *[]){ argv[0], "stop", NULL }, NULL);
		_exit(127);
	}
	await(child, WSTOPPED);
	unlink("copy");
	kill(child, SIGCONT);
	reap("running", child);
	child = spawn();
	if (!child) {
		execveat(fd, "", (char *[]){ argv[0], "descriptor", NULL }, NULL, AT_EMPTY_PATH);
		_exit(127);
	}
	reap("descriptor", child);
	CALL(execve, "copy", ((char *[]){ argv[0], "gone", NULL }), NULL);
	leave_scratch();
	return report_status();
}
