/* Does a child begin in its parent's directory, with its umask, and are they its own? */
#include "process.h"

static void show_place(const char *who)
{
	char path[256];
	mode_t mask = umask(0);

	umask(mask);
	if (!getcwd(path, sizeof(path)))
		die("get the directory");
	say("%s: umask %03o, in %s\n", who, mask,
	    !strncmp(path, scratch_directory, strlen(scratch_directory)) ?
		    path + strlen(scratch_directory) : "another place");
}

int main(void)
{
	pid_t child;

	enter_scratch("fork_inherits_directory");
	mkdir("inner", 0755);
	umask(027);
	child = spawn();
	if (!child) {
		show_place("child at first");
		chdir("inner");
		umask(0);
		show_place("child");
		_exit(0);
	}
	reap("child", child);
	show_place("parent");
	unlinkat(AT_FDCWD, "inner", AT_REMOVEDIR);
	leave_scratch();
	return report_status();
}
