/* Is what a process has shared by clone(2) its own once it executes a program? */
#include "process.h"

static int fd;
static volatile int done;

static int child_main(void *unused)
{
	char *argv[] = { "again", NULL };

	(void)unused;
	execve("/proc/self/exe", argv, NULL);
	return 127;
}

static const char *disposition(int signal)
{
	struct sigaction action;

	sigaction(signal, NULL, &action);
	return action.sa_handler == SIG_DFL ? "default" : action.sa_handler == SIG_IGN ?
						     "ignored" : "handled";
}

int main(int argc, char **argv)
{
	char *map = map_pages(1);
	pid_t child;

	(void)argc;
	if (strcmp(argv[0], "again") == 0) {
		say("program: SIGUSR1 %s, SIGUSR2 %s\n", disposition(SIGUSR1),
		    disposition(SIGUSR2));
		/* Of nobody's concern but its own. */
		for (int i = 3; i < 10; i++)
			close(i);
		set_action(SIGUSR2, SIG_DFL, 0);
		chdir("/dev");
		return 0;
	}
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	map[0] = 'm';
	set_action(SIGUSR1, (void (*)(int))0x1234, 0);
	set_action(SIGUSR2, SIG_IGN, 0);
	child = start(child_main, CLONE_VM | CLONE_FILES | CLONE_SIGHAND | SIGCHLD, NULL);
	reap("child", child);
	CALL(fcntl, fd, F_GETFD);
	SHOW(map[0]);
	say("parent: SIGUSR1 %s, SIGUSR2 %s\n", disposition(SIGUSR1), disposition(SIGUSR2));
	/* But not the directory: CLONE_FS stays. */
	chdir("/tmp");
	child = start(child_main, CLONE_FS | SIGCHLD, NULL);
	reap("child", child);
	{
		char path[64];

		say("in %s\n", getcwd(path, sizeof(path)));
	}
	return report_status();
}
