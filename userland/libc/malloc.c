/*
 * Memory for programs.
 *
 * Small blocks come from the heap, which grows by brk(2).  Free ones are in a
 * list in order of address; the first that is large enough is taken, and what
 * is left of it stays, so neighbours that are both free can be joined.  Large
 * blocks are mappings of their own and go back to the kernel at once.
 *
 *	block:	size, with a flag | room for the list's link | memory ...
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ALIGNMENT 16UL
#define PAGE_SIZE 4096UL

/* From this size on a mapping costs less than it wastes. */
#define MAPPED_SIZE (128 * 1024UL)
/* The heap grows by at least this much. */
#define GROWTH (64 * 1024UL)

/* In the size of a block that is a mapping. */
#define MAPPED 1UL

struct block {
	size_t size;		/* in bytes, with this header */
	struct block *next;	/* while free */
};

static struct block *free_list;

static size_t round_up(size_t size, size_t unit)
{
	return (size + unit - 1) & -unit;
}

static struct block *block_of(void *memory)
{
	return (struct block *)memory - 1;
}

static int adjacent(struct block *block, struct block *next)
{
	return (char *)block + block->size == (char *)next;
}

/* Put a block in its place and join it with free neighbours. */
static void add_free(struct block *block)
{
	struct block *before = NULL, *after = free_list;

	while (after && after < block) {
		before = after;
		after = after->next;
	}
	block->next = after;
	if (before)
		before->next = block;
	else
		free_list = block;
	if (after && adjacent(block, after)) {
		block->size += after->size;
		block->next = after->next;
	}
	if (before && adjacent(before, block)) {
		before->size += block->size;
		before->next = block->next;
	}
}

/* Take a block of a size out of the list, or return NULL. */
static struct block *take_free(size_t size)
{
	struct block **link = &free_list;
	struct block *block;

	while (*link && (*link)->size < size)
		link = &(*link)->next;
	block = *link;
	if (!block)
		return NULL;
	if (block->size - size > sizeof(struct block)) {
		struct block *rest = (struct block *)((char *)block + size);

		rest->size = block->size - size;
		rest->next = block->next;
		*link = rest;
		block->size = size;
	} else {
		*link = block->next;
	}
	return block;
}

static int grow(size_t size)
{
	uintptr_t end = (uintptr_t)sbrk(0);
	size_t padding = -end & (ALIGNMENT - 1);
	struct block *block;

	size = round_up(size > GROWTH ? size : GROWTH, PAGE_SIZE);
	if (sbrk(padding + size) == (void *)-1)
		return -1;
	block = (struct block *)(end + padding);
	block->size = size;
	add_free(block);
	return 0;
}

static void *map_block(size_t size)
{
	struct block *block;

	size = round_up(size, PAGE_SIZE);
	block = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (block == MAP_FAILED)
		return NULL;
	block->size = size | MAPPED;
	return block + 1;
}

void *malloc(size_t size)
{
	struct block *block;

	if (size > PTRDIFF_MAX) {
		errno = ENOMEM;
		return NULL;
	}
	size = round_up(size + sizeof(struct block), ALIGNMENT);
	if (size >= MAPPED_SIZE)
		return map_block(size);
	block = take_free(size);
	if (!block && !grow(size))
		block = take_free(size);
	return block ? block + 1 : NULL;
}

void free(void *memory)
{
	struct block *block;

	if (!memory)
		return;
	block = block_of(memory);
	if (block->size & MAPPED)
		munmap(block, block->size & ~MAPPED);
	else
		add_free(block);
}

void *calloc(size_t count, size_t size)
{
	size_t total;
	void *memory;

	if (__builtin_mul_overflow(count, size, &total)) {
		errno = ENOMEM;
		return NULL;
	}
	memory = malloc(total);
	return memory ? memset(memory, 0, total) : NULL;
}

void *realloc(void *memory, size_t size)
{
	size_t room;
	void *moved;

	if (!memory)
		return malloc(size);
	room = (block_of(memory)->size & ~MAPPED) - sizeof(struct block);
	if (size <= room)
		return memory;
	moved = malloc(size);
	if (!moved)
		return NULL;
	memcpy(moved, memory, room);
	free(memory);
	return moved;
}
