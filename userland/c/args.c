/* Print the number of arguments and each of them; the status is the number. */
#include <stdio.h>

int main(int argc, char **argv)
{
	printf("%d arguments\n", argc - 1);
	for (int i = 1; i < argc; i++)
		printf("%3d \"%s\"\n", i, argv[i]);
	return argc - 1;
}
