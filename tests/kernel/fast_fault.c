/* Writes to memory that is fresh, shared since a fork, or no longer shared; prints what it holds. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PAGE = 4096, PAGES = 300 };
static char data[64 * PAGE] = "data";

static unsigned sum(const char *from, int pages)
{
	unsigned result = 0;

	for (int i = 0; i < pages * PAGE; i++)
		result = result * 31 + (unsigned char)from[i];
	return result;
}

static void report(const char *who, const char *heap)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	printf("%s %u %u faults %ld\n", who, sum(heap, PAGES), sum(data, 64), usage.ru_minflt);
	fflush(stdout);
}

int main(void)
{
	char *heap = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (int i = 0; i < PAGES; i += 2)
		heap[i * PAGE + i] = i;
	report("first", heap);
	for (int round = 0; round < 3; round++) {
		if (!fork()) {
			for (int i = 0; i < PAGES; i += 3)
				heap[i * PAGE + 7] = i + round;
			memset(data + 5 * PAGE, round, 20 * PAGE);
			report("child", heap);
			_exit(0);
		}
		for (int i = 0; i < PAGES; i += 5)
			heap[i * PAGE + 9] = i - round;
		wait(NULL);
		for (int i = 0; i < PAGES; i++)
			heap[i * PAGE + 11] ^= 1;
		report("parent", heap);
	}
	return 0;
}
