#include <stdio.h>
#include <unistd.h>

char buffer[8];

int main(void)
{
	int ends[2];

	pipe(ends);
	write(ends[1], "abc", 3);
	read(ends[0], buffer, 3);
	puts(buffer);
	return 0;
}
