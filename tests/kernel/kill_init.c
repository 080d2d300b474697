/* Send init every signal there is; it must not mind. See test_signal_init.py. */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

int main(void)
{
	union sigval value = { .sival_int = 1 };
	int failed = 0;

	for (int signal = 1; signal <= 64; signal++) {
		failed += kill(1, signal) != 0;
		failed += sigqueue(1, signal, value) != 0;
	}
	usleep(1000);
	failed += kill(1, 0) != 0;
	printf("%d failed\n", failed);
	return failed != 0;
}
