/* exec_loop_c TIMES: execute itself, so that it begins so often. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int times = atoi(argv[1]), turn = argc > 2 ? atoi(argv[2]) : 1;
	char next[16];

	if (turn == times) {
		printf("%d\n", turn);
		return 0;
	}
	snprintf(next, sizeof(next), "%d", turn + 1);
	execv(argv[0], (char *[]){ argv[0], argv[1], next, NULL });
	return 1;
}
