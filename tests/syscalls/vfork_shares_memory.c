/* Does a vfork(2) child write into its parent's memory, and what is its own? */
#include "process.h"

static volatile int word;
static char *volatile map;
static volatile pid_t child;
static char path[256];

int main(void)
{
	int fd;

	enter_scratch("vfork_shares_memory");
	fd = make_file("file", "abcdef");
	child = vfork();
	if (!child) {
		word = 42;
		map = map_pages(1);
		map[0] = 'm';
		close(fd);
		chdir("/");
		umask(0);
		set_action(SIGTERM, SIG_IGN, 0);
		block(SIGUSR1);
		_exit(0);
	}
	reap("child", child);
	SHOW(word);
	/* Memory that it maps stays. */
	SHOW(map[0]);
	/* Files, directory, umask and signals are the child's own. */
	CALL(fcntl, fd, F_GETFD);
	CHECK(!strcmp(getcwd(path, sizeof(path)), scratch_directory));
	say("umask %03o\n", umask(022));
	SHOW(is_blocked(SIGUSR1));
	unlink("file");
	leave_scratch();
	child = spawn();
	if (!child) {
		raise(SIGTERM);
		_exit(0);
	}
	reap("SIGTERM", child);
	return report_status();
}
