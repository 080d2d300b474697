/* What becomes of a child that writes more than RLIMIT_FSIZE allows? */
#include "process.h"

static void write_all(const char *what, int how)
{
	struct rlimit limit = { 100, 100 };
	pid_t child = spawn();

	if (!child) {
		int fd = open("file", O_RDWR);
		static char bytes[80];

		without_core();
		setrlimit(RLIMIT_FSIZE, &limit);
		if (how == 1)
			set_action(SIGXFSZ, SIG_IGN, 0);
		if (how == 2)
			block(SIGXFSZ);
		/* Up to the limit it is allowed. */
		CALL(write, fd, bytes, 80L);
		CALL(write, fd, bytes, 80L);
		CALL(write, fd, bytes, 80L);
		CALL(pwrite64, fd, bytes, 80L, 99L);
		CALL(ftruncate, fd, 100L);
		CALL(ftruncate, fd, 101L);
		SHOW(is_pending(SIGXFSZ));
		_exit(0);
	}
	reap(what, child);
}

int main(void)
{
	struct stat status;

	enter_scratch("write_file_size_limit");
	close(make_file("file", ""));
	write_all("default", 0);
	write_all("ignored", 1);
	write_all("blocked", 2);
	stat("file", &status);
	SHOW(status.st_size);
	unlink("file");
	leave_scratch();
	return report_status();
}
