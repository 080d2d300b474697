/* How does mremap(2) shrink, grow and move memory, and what does it refuse? */
#include "report.h"

static char *remap(char *old, long old_pages, long new_pages, int flags, char *new)
{
	return (char *)syscall(SYS_mremap, old, old_pages * PAGE, new_pages * PAGE, flags, new);
}

/* Put a letter at the start of each page. */
static void mark(char *region, long nr_pages)
{
	for (long i = 0; i < nr_pages; i++)
		region[i * PAGE] = 'a' + i;
}

static int marked(const char *region, long nr_pages)
{
	for (long i = 0; i < nr_pages; i++)
		if (region[i * PAGE] != 'a' + i)
			return 0;
	return 1;
}

static void show_in_place(void)
{
	char *region = map_pages(8);

	mark(region, 8);
	CHECK(remap(region, 8, 8, 0, NULL) == region);
	CHECK(remap(region, 8, 4, 0, NULL) == region);
	show_access("shrunk", region, 8);
	CHECK(remap(region, 4, 6, 0, NULL) == region);
	show_access("grown", region, 8);
	CHECK(marked(region, 4) && region[4 * PAGE] == 0);
	/* With room to grow, MREMAP_MAYMOVE does not move. */
	CHECK(remap(region, 6, 7, MREMAP_MAYMOVE, NULL) == region);
	/* A part at the start keeps its neighbours. */
	CHECK(remap(region, 2, 1, 0, NULL) == region);
	show_access("hole", region, 8);
	munmap(region, 8 * PAGE);
}

static void show_move(void)
{
	char *region = map_pages(8);
	char *moved;

	mark(region, 8);
	CALL(mremap, region, 2 * PAGE, 3 * PAGE, 0);
	CHECK(marked(region, 8));
	moved = remap(region, 2, 3, MREMAP_MAYMOVE, NULL);
	CHECK(moved != MAP_FAILED && moved != region);
	CHECK(marked(moved, 2) && moved[2 * PAGE] == 0);
	show_access("old", region, 8);
	show_access("new", moved, 3);
	CHECK(region[2 * PAGE] == 'c');
	munmap(moved, 3 * PAGE);
	munmap(region, 8 * PAGE);
}

static void show_fixed(void)
{
	char *region = map_pages(8);
	char *target = map_pages(8);

	mark(region, 8);
	memset(target, 't', 8 * PAGE);
	CHECK(remap(region, 2, 3, MREMAP_MAYMOVE | MREMAP_FIXED, target + PAGE) ==
	      target + PAGE);
	show_access("old", region, 8);
	show_access("new", target, 8);
	CHECK(target[0] == 't' && target[4 * PAGE] == 't');
	CHECK(target[PAGE] == 'a' && target[2 * PAGE] == 'b' && target[3 * PAGE] == 0);

	/* The old pages are emptied, not taken away. */
	CHECK(remap(region + 4 * PAGE, 2, 2, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL) !=
	      MAP_FAILED);
	show_access("kept", region, 8);
	CHECK(region[4 * PAGE] == 0 && region[5 * PAGE] == 0 && region[6 * PAGE] == 'g');

	CALL(mremap, region + 6 * PAGE, PAGE, PAGE, MREMAP_FIXED, target);
	CALL(mremap, region + 6 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target + 1);
	CALL(mremap, region + 6 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
	     region + 6 * PAGE);
	CALL(mremap, region + 6 * PAGE, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
	     region + 7 * PAGE);
	CALL(mremap, region + 6 * PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, 1L << 47);
	CALL(mremap, region + 6 * PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
	CALL(mremap, region + 6 * PAGE, PAGE, PAGE, MREMAP_DONTUNMAP);
}

static void show_errors(void)
{
	char *region = map_pages(4);

	mprotect(region + 2 * PAGE, PAGE, PROT_READ);
	CALL(mremap, region + 1, PAGE, PAGE, 0);
	CALL(mremap, region, PAGE, 0L, 0);
	CALL(mremap, region, PAGE, PAGE, 64);
	CALL(mremap, region, PAGE, PAGE, -1);
	CALL(mremap, region, 0L, PAGE, MREMAP_MAYMOVE);
	/* Two mappings with different protection are too many. */
	CALL(mremap, region, 4 * PAGE, 5 * PAGE, MREMAP_MAYMOVE);
	munmap(region, PAGE);
	CALL(mremap, region, PAGE, 2 * PAGE, MREMAP_MAYMOVE);
	CALL(mremap, region, PAGE, PAGE, 0);
	CALL(mremap, NULL, PAGE, 2 * PAGE, MREMAP_MAYMOVE);
	CALL(mremap, -PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE);
	show_access("refused", region, 4);
}

/* Of shared memory an old size of zero makes a second mapping. */
static void show_shared(void)
{
	char *region = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	char *second = remap(region, 0, 2, MREMAP_MAYMOVE, NULL);

	CHECK(second != MAP_FAILED && second != region);
	region[PAGE] = 's';
	CHECK(second[PAGE] == 's');
	CALL(mremap, region, 0L, 2 * PAGE, 0);
}

int main(void)
{
	show_in_place();
	show_move();
	show_fixed();
	show_errors();
	show_shared();
	return report_status();
}
