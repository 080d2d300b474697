/* Do setjmp, environment, arguments, time formatting and atexit behave? */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static jmp_buf jump;

static void at_end(void)
{
	puts("at end");
}

static int deep(int n)
{
	char room[512];

	memset(room, n, sizeof(room));
	if (n == 0)
		longjmp(jump, 7);
	return deep(n - 1) + room[n % 512];
}

int main(int argc, char **argv)
{
	time_t when = 1234567890;
	char text[64];
	int code;

	atexit(at_end);
	for (int i = 1; i < argc; i++)
		printf("arg %d %s\n", i, argv[i]);
	printf("%s %s\n", getenv("HOME"), getenv("NOTHING") ? "set" : "unset");
	code = setjmp(jump);
	if (!code)
		deep(2000);
	printf("jumped %d\n", code);
	strftime(text, sizeof(text), "%Y-%m-%d %H:%M:%S %a %j", gmtime(&when));
	puts(text);
	printf("%d\n", (int)difftime(mktime(gmtime(&when)), when));
	return 5;
}
