/* Copy standard input to standard output. */
#include <stdio.h>
#include <unistd.h>

/* Write all of a buffer; a write may take only a part of it. */
static int write_all(const char *buffer, size_t size)
{
	while (size) {
		ssize_t written = write(STDOUT_FILENO, buffer, size);

		if (written < 0)
			return -1;
		buffer += written;
		size -= written;
	}
	return 0;
}

int main(void)
{
	static char buffer[65536];
	ssize_t size;

	while ((size = read(STDIN_FILENO, buffer, sizeof(buffer))) > 0)
		if (write_all(buffer, size)) {
			perror("cat: write");
			return 1;
		}
	if (size < 0) {
		perror("cat: read");
		return 1;
	}
	return 0;
}
