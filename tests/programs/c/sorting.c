/* Does memory that is allocated, grown, sorted and freed keep its contents? */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned state = 12345;

static unsigned next(void)
{
	state = state * 1103515245u + 12345u;
	return state >> 8;
}

static int compare(const void *a, const void *b)
{
	unsigned x = *(const unsigned *)a, y = *(const unsigned *)b;

	return (x > y) - (x < y);
}

int main(void)
{
	size_t n = 0, room = 4;
	unsigned *values = malloc(room * sizeof(*values));
	unsigned long sum = 0;
	char *blocks[200];

	for (int i = 0; i < 60000; i++) {
		if (n == room)
			values = realloc(values, (room *= 2) * sizeof(*values));
		values[n++] = next();
	}
	qsort(values, n, sizeof(*values), compare);
	for (size_t i = 1; i < n; i++)
		if (values[i - 1] > values[i])
			return 1;
	for (size_t i = 0; i < n; i += 997)
		printf("%zu %u\n", i, values[i]);
	free(values);

	for (int i = 0; i < 200; i++) {
		size_t size = next() % 70000 + 1;

		blocks[i] = memset(malloc(size), i, size);
		sum += blocks[i][size - 1] & 0xff;
	}
	for (int i = 0; i < 200; i += 2)
		free(blocks[i]);
	for (int i = 1; i < 200; i += 2)
		sum += blocks[i][0] & 0xff;
	printf("%lu\n", sum);
	return 0;
}
