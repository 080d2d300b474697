/*
 * Print the environment, or the values of the variables that are named.
 *
 *	env [NAME...]
 *
 * The status is 1 if one of them is not set.
 */
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	int status = 0;

	if (argc == 1)
		for (char **entry = environ; *entry; entry++)
			puts(*entry);
	for (int i = 1; i < argc; i++) {
		const char *value = getenv(argv[i]);

		if (value)
			puts(value);
		else
			status = 1;
	}
	return status;
}
