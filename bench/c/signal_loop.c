/* Send ourselves a signal, handle it and return, so many times; print how often it was handled. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>
#include <unistd.h>

static volatile long handled;

static void handler(int signal)
{
	(void)signal;
	handled++;
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = handler };
	long times = argc > 1 ? atol(argv[1]) : 1;
	pid_t self = getpid();

	sigaction(SIGUSR1, &action, NULL);
	for (long i = 0; i < times; i++)
		kill(self, SIGUSR1);
	printf("%ld\n", handled);
	return 0;
}
