/* May a file be executed that is open for writing, and be written while it is executed? */
#include "process.h"

static pid_t execute(char *const *argv)
{
	pid_t child = spawn();

	if (!child) {
		show("execve", execve("copy", argv, NULL));
		_exit(127);
	}
	return child;
}

static void copy_program(const char *name)
{
	static char block[65536];
	int from = open("/proc/self/exe", O_RDONLY);
	int to = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0755);
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

	if (strcmp(argv[0], "again") == 0) {
		if (argc > 1)
			raise(SIGSTOP);
		return 5;
	}
	enter_scratch("execve_text_busy");
	copy_program("copy");
	fd = open("copy", O_WRONLY);
	reap("open for writing", execute((char *[]){ "again", NULL }));
	close(fd);
	child = execute((char *[]){ "again", "stop", NULL });
	await(child, WSTOPPED);
	CALL(open, "copy", O_WRONLY);
	CALL(open, "copy", O_RDWR);
	CALL(truncate, "copy", 0L);
	CALL_OK(open, "copy", O_RDONLY);
	kill(child, SIGCONT);
	reap("child", child);
	CALL_OK(open, "copy", O_WRONLY);
	unlink("copy");
	leave_scratch();
	return report_status();
}
