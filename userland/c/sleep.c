/*
 * Sleep for a number of milliseconds and say whether the clock agrees.
 *
 *	sleep MILLISECONDS
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define MILLISECOND 1000000L
#define SECOND (1000 * MILLISECOND)
#define EXIT_USAGE 2

static long now(void)
{
	struct timespec time;

	if (clock_gettime(CLOCK_MONOTONIC, &time)) {
		perror("sleep: clock_gettime");
		exit(EXIT_FAILURE);
	}
	return time.tv_sec * SECOND + time.tv_nsec;
}

int main(int argc, char **argv)
{
	struct timespec request;
	long milliseconds, before;
	char *end;

	milliseconds = argc == 2 ? strtol(argv[1], &end, 10) : -1;
	if (milliseconds < 0 || *end) {
		dprintf(2, "usage: sleep MILLISECONDS\n");
		return EXIT_USAGE;
	}
	request.tv_sec = milliseconds / 1000;
	request.tv_nsec = milliseconds % 1000 * MILLISECOND;
	before = now();
	if (nanosleep(&request, NULL)) {
		perror("sleep: nanosleep");
		return EXIT_FAILURE;
	}
	printf("slept %ld ms or more: %s\n", milliseconds,
	       now() - before >= milliseconds * MILLISECOND ? "yes" : "no");
	return EXIT_SUCCESS;
}
