/* Does getdents64(2) give each name once, with its type, in records of the right shape? */
#include "report.h"
#include <dirent.h>
#include <stddef.h>

#define NR_FILES 40
#define NAMES_MAX 64

static char names[NAMES_MAX][64];
static int nr_names;

/* Add the names of a buffer to the list, with a letter for the type. */
static int collect(const char *buffer, long size)
{
	int well_formed = 1;

	for (long at = 0; at < size && nr_names < NAMES_MAX;) {
		const struct dirent64 *entry = (const void *)(buffer + at);
		size_t header = offsetof(struct dirent64, d_name);
		size_t used = header + strlen(entry->d_name) + 1;

		well_formed &= entry->d_reclen == (used + 7) / 8 * 8;
		well_formed &= entry->d_ino != 0;
		snprintf(names[nr_names++], sizeof(names[0]), "%c %.60s",
			 entry->d_type == DT_DIR ? 'd' :
			 entry->d_type == DT_REG ? 'f' : '?', entry->d_name);
		at += entry->d_reclen;
	}
	return well_formed;
}

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void show_names(void)
{
	qsort(names, nr_names, sizeof(names[0]), compare);
	for (int i = 0; i < nr_names; i++)
		say("%s\n", names[i]);
	nr_names = 0;
}

static void show_many(int fd)
{
	char name[16], buffer[200];
	int reads = 0, well_formed = 1;
	long size;

	for (int i = 0; i < NR_FILES; i++) {
		snprintf(name, sizeof(name), "many%d", i);
		close(make_file(name, ""));
	}
	lseek(fd, 0, SEEK_SET);
	while ((size = syscall(SYS_getdents64, fd, buffer, sizeof(buffer))) > 0) {
		well_formed &= collect(buffer, size);
		reads++;
	}
	SHOW(size);
	CHECK(well_formed);
	CHECK(reads > 1);
	show_names();
	for (int i = 0; i < NR_FILES; i++) {
		snprintf(name, sizeof(name), "many%d", i);
		unlink(name);
	}
}

int main(void)
{
	char buffer[4096];
	long size;
	int fd, file;

	enter_scratch("getdents64");
	mkdir("directory", 0755);
	file = make_file("a_name_that_is_longer_than_one_record_of_eight", "");
	close(make_file("b", ""));
	fd = open(".", O_RDONLY | O_DIRECTORY);
	size = CALL_OK(getdents64, fd, buffer, (long)sizeof(buffer));
	CHECK(collect(buffer, size));
	show_names();
	CALL(getdents64, fd, buffer, (long)sizeof(buffer));
	SHOW(lseek(fd, 0, SEEK_SET));
	CHECK(syscall(SYS_getdents64, fd, buffer, sizeof(buffer)) == size);

	lseek(fd, 0, SEEK_SET);
	CALL(getdents64, fd, buffer, 0L);
	CALL(getdents64, fd, buffer, 20L);
	CALL(getdents64, fd, NULL, (long)sizeof(buffer));
	CALL(getdents64, file, buffer, (long)sizeof(buffer));
	CALL(getdents64, -1, buffer, (long)sizeof(buffer));
	CALL(getdents64, open(".", O_PATH), buffer, (long)sizeof(buffer));

	unlink("b");
	unlink("a_name_that_is_longer_than_one_record_of_eight");
	show_many(fd);
	close(fd);

	fd = open("directory", O_RDONLY);
	size = CALL_OK(getdents64, fd, buffer, (long)sizeof(buffer));
	collect(buffer, size);
	show_names();
	unlinkat(AT_FDCWD, "directory", AT_REMOVEDIR);
	lseek(fd, 0, SEEK_SET);
	CALL(getdents64, fd, buffer, (long)sizeof(buffer));
	leave_scratch();
	return report_status();
}
