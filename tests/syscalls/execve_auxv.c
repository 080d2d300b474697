/* What does the kernel tell a program that it executes? */
#include "process.h"
#include <sys/auxv.h>

static void execute(const char *what, const char *path)
{
	pid_t child = spawn();

	if (!child) {
		show(what, execve(path, (char *[]){ "again", NULL }, (char *[]){ "AGAIN=1", NULL }));
		_exit(127);
	}
	reap(what, child);
}

int main(void)
{
	pid_t child;
	int fd;

	if (getenv("AGAIN")) {
		say("%s\n", (char *)getauxval(AT_EXECFN));
		SHOW(getauxval(AT_SECURE));
		SHOW(getauxval(AT_PAGESZ));
		SHOW(getauxval(AT_CLKTCK));
		SHOW(getauxval(AT_PHENT));
		SHOW(getauxval(AT_BASE));
		SHOW(getauxval(AT_UID) + getauxval(AT_EUID) + getauxval(AT_GID) + getauxval(AT_EGID));
		CHECK(getauxval(AT_RANDOM) != 0);
		CHECK(getauxval(AT_PHNUM) > 0);
		return report_status();
	}
	enter_scratch("execve_auxv");
	make_executable("script", "#!/proc/self/exe\n");
	execute("program", "/proc/self/exe");
	execute("script", "./script");
	fd = open(own_path(), O_RDONLY);
	child = spawn();
	if (!child) {
		dup2(fd, 9);
		CALL(execveat, 9, "", ((char *[]){ "again", NULL }), ((char *[]){ "AGAIN=1", NULL }),
		     AT_EMPTY_PATH);
		_exit(127);
	}
	reap("descriptor", child);
	unlink("script");
	leave_scratch();
	return report_status();
}
