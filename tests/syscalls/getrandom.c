/* How much does getrandom(2) give, does it repeat itself, and which flags does it refuse? */
#include "report.h"
#include <sys/random.h>

#ifndef GRND_INSECURE
#define GRND_INSECURE 4
#endif

int main(void)
{
	static char first[1000], second[1000];

	CALL(getrandom, first, 0L, 0);
	CALL(getrandom, first, 1L, 0);
	CHECK(first[1] == 0);
	CALL(getrandom, first, 16L, 0);
	CALL(getrandom, second, 16L, 0);
	CHECK(memcmp(first, second, 16));
	CHECK(first[16] == 0 && second[16] == 0);
	CALL(getrandom, first, 1000L, GRND_NONBLOCK);
	CALL(getrandom, second, 1000L, GRND_RANDOM);
	CHECK(memcmp(first, second, 1000));
	CHECK(memcmp(first, first + 500, 500));
	CALL(getrandom, first, 16L, GRND_INSECURE);

	CALL(getrandom, first, 16L, GRND_RANDOM | GRND_INSECURE);
	CALL(getrandom, first, 16L, 8);
	CALL(getrandom, first, 16L, -1);
	CALL(getrandom, NULL, 16L, 0);
	CALL(getrandom, NULL, 0L, 0);
	CALL(getrandom, NULL, 16L, 8);
	return report_status();
}
