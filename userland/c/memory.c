/*
 * Show what brk, mmap and mprotect do to a program's memory.
 *
 * Whether a page can be written is asked of the kernel, by a read(2) into it
 * that fails with EFAULT if not: a store would end the program.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096L
#define HEAP_PAGES 4
#define MAP_PAGES 8

static int zero_fd;

/* The byte that is asked about becomes a zero, which the device gives. */
static int writable(char *address)
{
	return read(zero_fd, address, 1) == 1;
}

/* One letter for each page. */
static void show_pages(const char *what, char *address, long nr_pages)
{
	printf("%-20s", what);
	for (long i = 0; i < nr_pages; i++)
		putchar(writable(address + i * PAGE) ? 'w' : '-');
	putchar('\n');
}

static void show_heap(void)
{
	char *start = (char *)(((uintptr_t)sbrk(0) + PAGE - 1) & -PAGE);

	if (brk(start))
		exit(EXIT_FAILURE);
	show_pages("heap at first", start, HEAP_PAGES);
	sbrk(HEAP_PAGES * PAGE);
	show_pages("brk up", start, HEAP_PAGES);
	strcpy(start + 1, "kept");
	sbrk(-(HEAP_PAGES - 1) * PAGE);
	show_pages("brk down", start, HEAP_PAGES);
	printf("%-20s%s\n", "the first page", start + 1);
	brk(start);
}

static void show_mapping(void)
{
	char *map = mmap(NULL, MAP_PAGES * PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (map == MAP_FAILED)
		exit(EXIT_FAILURE);
	show_pages("mmap", map, MAP_PAGES);
	strcpy(map + 2 * PAGE + 1, "kept");
	mprotect(map + 2 * PAGE, 3 * PAGE, PROT_READ);
	show_pages("mprotect read", map, MAP_PAGES);
	printf("%-20s%s\n", "the third page", map + 2 * PAGE + 1);
	munmap(map + 4 * PAGE, 2 * PAGE);
	show_pages("munmap", map, MAP_PAGES);
	mprotect(map + 2 * PAGE, 2 * PAGE, PROT_READ | PROT_WRITE);
	show_pages("mprotect write", map, MAP_PAGES);
	munmap(map, MAP_PAGES * PAGE);
	show_pages("munmap all", map, MAP_PAGES);
}

/* Blocks of many sizes, and back: the list is one block again. */
static void show_malloc(void)
{
	char *blocks[64];
	long before = (long)sbrk(0), after;
	int overlaps = 0;

	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 64; i++) {
			blocks[i] = malloc(i * 37 + 1);
			memset(blocks[i], i, i * 37 + 1);
		}
		for (int i = 0; i < 64; i++)
			overlaps += blocks[i][0] != i || blocks[i][i * 37] != i;
		for (int i = 0; i < 64; i++)
			free(blocks[(i * 13) % 64]);
		after = (long)sbrk(0);
		printf("%-20s%ld bytes of heap, %d overlaps\n", "malloc", after - before,
		       overlaps);
	}
}

int main(void)
{
	zero_fd = open("/dev/zero", O_RDONLY);
	if (zero_fd < 0) {
		perror("memory: /dev/zero");
		return EXIT_FAILURE;
	}
	show_heap();
	show_mapping();
	show_malloc();
	return EXIT_SUCCESS;
}
