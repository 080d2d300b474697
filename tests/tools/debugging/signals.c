#include <signal.h>
#include <stdio.h>
#include <unistd.h>

volatile int caught;

void handler(int sig)
{
	caught = sig;
}

int main(void)
{
	signal(SIGUSR1, handler);
	raise(SIGUSR1);
	printf("caught %d\n", caught);
	return 0;
}
