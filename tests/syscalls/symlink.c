/* Making symbolic links, and what becomes of them. */
#include "report.h"

static void show_link(const char *name)
{
	char target[64];
	long size = readlink(name, target, sizeof(target));

	if (size < 0)
		show("readlink", size);
	else
		say("%s -> %.*s\n", name, (int)size, target);
}

int main(void)
{
	static char longest[4097];
	struct stat status;
	int directory;

	enter_scratch("symlink");
	memset(longest, 'x', sizeof(longest) - 1);
	close(make_file("file", "content"));
	CALL(symlink, "file", "link");
	show_link("link");
	CALL(symlink, "file", "link");
	CALL(symlink, "other", "file");
	CALL(symlink, "nowhere", "dangling");
	show_link("dangling");
	CALL(access, "dangling", F_OK);
	CALL(symlink, "", "empty");
	CALL(symlink, "file", "");
	CALL(symlink, "file", "nothing/link");
	CALL(symlink, "file", "file/link");
	CALL(symlink, "file", "slash/");
	CALL(symlink, longest, "long");
	longest[4095] = 0;
	CALL(symlink, longest, "long");
	CALL(symlink, NULL, "null");
	CALL(symlink, "file", NULL);
	CALL(lstat, "link", &status);
	SHOW(S_ISLNK(status.st_mode));
	SHOW(status.st_mode & 0777);
	SHOW(status.st_size);
	CALL(mkdir, "directory", 0755);
	directory = open("directory", O_RDONLY | O_DIRECTORY);
	CALL(symlinkat, "../file", directory, "up");
	show_link("directory/up");
	CALL(symlinkat, "file", -1, "link");
	CALL(symlinkat, "a", AT_FDCWD, "b");
	CALL(symlink, "b", "a");
	CALL(access, "a", F_OK);
	close(directory);
	unlink("directory/up");
	rmdir("directory");
	unlink("a");
	unlink("b");
	unlink("long");
	unlink("dangling");
	unlink("link");
	unlink("file");
	leave_scratch();
	return report_status();
}
