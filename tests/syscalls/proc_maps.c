/* What does /proc/self/maps show of mappings that we know? */
#include "report.h"
#include <sys/auxv.h>

static char text[65536];

/* Read all of it, in pieces of a size. */
static long read_maps(long piece)
{
	long size = 0, n;
	int fd = open("/proc/self/maps", O_RDONLY);

	if (fd < 0)
		die("open maps");
	while ((n = read(fd, text + size, piece)) > 0)
		size += n;
	close(fd);
	text[size] = 0;
	return size;
}

/* Print what is said of an address, but for the numbers that differ. */
static void show_mapping(const char *what, const void *address)
{
	for (char *line = text; *line; line = strchr(line, '\n') + 1) {
		unsigned long start, end, offset;
		char rights[8], dev[16], name[128] = "";
		unsigned long ino;

		if (sscanf(line, "%lx-%lx %7s %lx %15s %lu%*[ ]%127[^\n]", &start, &end, rights,
			   &offset, dev, &ino, name) < 6)
			die("read a line");
		if ((unsigned long)address < start || (unsigned long)address >= end)
			continue;
		say("%s: %s %lx %s\n", what, rights, offset, name);
		return;
	}
	say("%s: not there\n", what);
}

int main(void)
{
	char *pages, *shared, *file, *vdso = (void *)getauxval(AT_SYSINFO_EHDR);
	static int data = 1;
	int fd, on_stack;
	long whole;

	whole = read_maps(sizeof(text));
	CHECK(whole > 0);
	show_mapping("stack", &on_stack);
	show_mapping("heap", sbrk(0) - 1);
	show_mapping("vdso", vdso);
	show_mapping("null", NULL);
	if (strstr(text, "[vvar]") == NULL)
		say("there is no [vvar]\n");
	CHECK(strchr(text, '\n') - text >= 48);

	enter_scratch("proc_maps");
	fd = make_file("a file", "content");
	file = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 2 * PAGE);
	pages = map_pages(4);
	mprotect(pages + PAGE, PAGE, PROT_NONE);
	mprotect(pages + 2 * PAGE, PAGE, PROT_READ | PROT_EXEC);
	shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(read_maps(sizeof(text)) > whole);
	show_mapping("first", pages);
	show_mapping("second", pages + PAGE);
	show_mapping("third", pages + 2 * PAGE);
	show_mapping("fourth", pages + 3 * PAGE);
	show_mapping("shared", shared);
	CHECK(strstr(text, "/a file\n") != NULL);
	unlink("a file");
	munmap(pages + PAGE, PAGE);
	read_maps(sizeof(text));
	CHECK(strstr(text, "/a file (deleted)\n") != NULL);
	show_mapping("second", pages + PAGE);
	munmap(file, PAGE);
	read_maps(sizeof(text));
	CHECK(strstr(text, "/a file") == NULL);
	show_mapping("data", &data);
	munmap(shared, PAGE);
	close(fd);
	leave_scratch();

	fd = open("/proc/self/maps", O_RDONLY);
	CALL(lseek, fd, 5L, SEEK_SET);
	CALL(read, fd, text, 1L);
	CALL(lseek, fd, 0L, SEEK_CUR);
	CALL(read, fd, (void *)8, 10L);
	CALL(write, fd, "x", 1L);
	CALL(openat, AT_FDCWD, "/proc/self/maps/x", O_RDONLY);
	return report_status();
}
