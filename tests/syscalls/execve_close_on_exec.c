/* Which descriptors are open in a program that was executed, and where do they stand? */
#include "process.h"

int main(int argc, char **argv)
{
	int kept, closed, copy, late;
	char number[4][16];
	pid_t child;

	if (argc > 1) {
		char text[4] = "";

		for (int i = 1; i < argc; i++)
			show(argv[i], syscall(SYS_fcntl, atoi(argv[i]), F_GETFD));
		read(atoi(argv[1]), text, 3);
		say("read \"%s\"\n", text);
		return 0;
	}
	enter_scratch("execve_close_on_exec");
	kept = make_file("file", "abcdefghi");
	closed = open("file", O_RDONLY | O_CLOEXEC);
	/* A copy does not inherit the flag. */
	copy = dup(closed);
	late = dup(kept);
	fcntl(late, F_SETFD, FD_CLOEXEC);
	lseek(kept, 2, SEEK_SET);
	child = spawn();
	if (!child) {
		snprintf(number[0], sizeof(number[0]), "%d", kept);
		snprintf(number[1], sizeof(number[1]), "%d", closed);
		snprintf(number[2], sizeof(number[2]), "%d", copy);
		snprintf(number[3], sizeof(number[3]), "%d", late);
		/* One that fails closes nothing. */
		CALL(execve, "/none", NULL, NULL);
		CALL(fcntl, closed, F_GETFD);
		CALL(execve, "/proc/self/exe",
		     ((char *[]){ "again", number[0], number[1], number[2], number[3], NULL }),
		     NULL);
		_exit(127);
	}
	reap("child", child);
	/* The parent's are its own. */
	CALL(fcntl, closed, F_GETFD);
	CALL(lseek, kept, 0L, SEEK_CUR);
	unlink("file");
	leave_scratch();
	return report_status();
}
