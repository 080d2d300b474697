/* Does execveat(2) begin at the directory that a descriptor names? */
#include "process.h"

int main(int argc, char **argv)
{
	static char path[4096];
	char *name;
	int directory;
	pid_t child;

	(void)argc;
	if (strcmp(argv[0], "again") == 0) {
		char name[16];

		prctl(PR_GET_NAME, name);
		say("name %s\n", name);
		return 7;
	}
	strcpy(path, own_path());
	name = strrchr(path, '/');
	*name++ = 0;
	directory = open(path, O_RDONLY | O_DIRECTORY);
	if (directory < 0)
		die("open the program's directory");
	for (int flags = 0; flags <= AT_SYMLINK_NOFOLLOW; flags += AT_SYMLINK_NOFOLLOW) {
		child = spawn();
		if (!child) {
			CALL(execveat, directory, name, ((char *[]){ "again", NULL }), NULL, flags);
			_exit(127);
		}
		reap("child", child);
	}
	return report_status();
}
