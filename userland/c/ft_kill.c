/* ft_kill: any signal, to one process; a number that is nobody's is an error. */
#include <errno.h>
#include <process.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

static void show(const char *what, long result)
{
	if (result == -1)
		printf("%s: error %d\n", what, errno);
	else
		printf("%s: %ld\n", what, result);
}

static void kill_child(int sig)
{
	struct timespec hour = { .tv_sec = 3600 };
	long child = ft_fork();
	int status;

	if (!child) {
		nanosleep(&hour, NULL);
		exit(0);
	}
	printf("ft_kill(child, %d): %ld, ", sig, ft_kill(child, sig));
	waitpid(child, &status, 0);
	printf("and it died of signal %d\n", WTERMSIG(status));
	show("once more", ft_kill(child, sig));
}

int main(void)
{
	kill_child(SIGTERM);
	kill_child(SIGKILL);
	show("nobody", ft_kill(30000, SIGKILL));
	show("no such signal", ft_kill(1, 65));
	show("init does not die", ft_kill(1, SIGTERM));
	return EXIT_SUCCESS;
}
