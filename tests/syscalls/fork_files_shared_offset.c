/* What do parent and child share of an open file, and what of a descriptor? */
#include "process.h"

int main(void)
{
	int fd, other;
	pid_t child;

	enter_scratch("fork_files_shared_offset");
	fd = make_file("letters", "abcdefghijklmnopqrstuvwxyz");
	other = open("letters", O_RDONLY | O_CLOEXEC);
	CALL(lseek, fd, 3L, SEEK_SET);
	child = spawn();
	if (!child) {
		char text[5] = "";

		read(fd, text, 4);
		say("child reads %s\n", text);
		/* Status flags belong to the file, close-on-exec to the descriptor. */
		CALL(fcntl, fd, F_SETFL, O_APPEND);
		CALL(fcntl, fd, F_SETFD, FD_CLOEXEC);
		/* fork(2) does not close. */
		CALL(fcntl, other, F_GETFD);
		CALL(close, other);
		_exit(0);
	}
	reap("child", child);
	CALL(lseek, fd, 0L, SEEK_CUR);
	SHOW((fcntl(fd, F_GETFL) & O_APPEND) != 0);
	CALL(fcntl, fd, F_GETFD);
	CALL(fcntl, other, F_GETFD);
	CALL(lseek, other, 0L, SEEK_CUR);
	/* What each appends comes behind what the other has. */
	for (int i = 0; i < 3; i++) {
		child = spawn();
		if (!child) {
			write(fd, "child ", 6);
			_exit(0);
		}
		reap("writer", child);
		write(fd, "parent ", 7);
	}
	show_content("letters");
	unlink("letters");
	leave_scratch();
	return report_status();
}
