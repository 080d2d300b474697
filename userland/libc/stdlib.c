/* Numbers, the environment, and the end of the program. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Set in crt0.S. */
char **environ;

void exit(int status)
{
	_exit(status);
}

char *getenv(const char *name)
{
	size_t size = strlen(name);

	for (char **entry = environ; *entry; entry++)
		if (!strncmp(*entry, name, size) && (*entry)[size] == '=')
			return *entry + size + 1;
	return NULL;
}

static int is_space(char character)
{
	return character == ' ' || (character >= '\t' && character <= '\r');
}

/* The value of a digit, or one that no base has. */
static int digit_value(char character)
{
	if (character >= '0' && character <= '9')
		return character - '0';
	if (character >= 'a' && character <= 'z')
		return character - 'a' + 10;
	if (character >= 'A' && character <= 'Z')
		return character - 'A' + 10;
	return 99;
}

long strtol(const char *string, char **end, int base)
{
	const char *at = string;
	unsigned long value = 0, limit;
	int negative, overflow = 0, digits = 0;

	while (is_space(*at))
		at++;
	negative = *at == '-';
	if (*at == '-' || *at == '+')
		at++;
	/* A prefix counts only with a digit behind it: "0x" is a zero. */
	if ((base == 0 || base == 16) && at[0] == '0' && (at[1] | 0x20) == 'x' &&
	    digit_value(at[2]) < 16) {
		at += 2;
		base = 16;
	} else if (base == 0) {
		base = *at == '0' ? 8 : 10;
	}
	limit = (unsigned long)INT64_MAX + negative;
	for (; digit_value(*at) < base; at++, digits++) {
		unsigned long digit = digit_value(*at);

		overflow |= value > (limit - digit) / base;
		value = value * base + digit;
	}
	if (end)
		*end = (char *)(digits ? at : string);
	if (overflow) {
		errno = ERANGE;
		value = limit;
	}
	return negative ? -value : value;
}

int atoi(const char *string)
{
	return strtol(string, NULL, 10);
}
