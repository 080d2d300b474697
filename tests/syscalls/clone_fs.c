/* Are directory and umask shared with CLONE_FS, and not without? */
#include "process.h"

static int child_main(void *unused)
{
	(void)unused;
	mkdir("inner", 0755);
	chdir("inner");
	umask(077);
	return 0;
}

static void show_place(const char *who)
{
	char path[256];
	mode_t mask = umask(0);

	umask(mask);
	if (!getcwd(path, sizeof(path)))
		die("get the directory");
	say("%s: umask %03o, in %s\n", who, mask, path + strlen(scratch_directory));
}

int main(void)
{
	pid_t child;

	enter_scratch("clone_fs");
	reap("child", start(child_main, SIGCHLD, NULL));
	show_place("not shared");
	reap("child", start(child_main, CLONE_FS | SIGCHLD, NULL));
	show_place("shared");
	/* A child of fork(2) takes what is there now, and no part of it. */
	child = spawn();
	if (!child) {
		chdir("..");
		show_place("fork");
		_exit(0);
	}
	reap("child", child);
	show_place("parent");
	chdir("..");
	unlinkat(AT_FDCWD, "inner", AT_REMOVEDIR);
	leave_scratch();
	return report_status();
}
