/* The least that a C program does: start, print, end. */
#include <stdio.h>

int main(void)
{
	puts("hello, world");
	return 0;
}
