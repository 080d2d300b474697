/* Which files does execve(2) not find, or not allow to be executed? */
#include "process.h"

static char *const arguments[] = { "program", NULL };

#define EXECUTE(path) CALL(execve, path, arguments, NULL)

int main(void)
{
	static char name[300], path[5000];

	enter_scratch("execve_errors");
	mkdir("directory", 0755);
	close(make_file("plain", "#!/proc/self/exe\n"));
	EXECUTE("none");
	EXECUTE("none/none");
	EXECUTE("");
	EXECUTE("plain");
	EXECUTE("plain/");
	EXECUTE("plain/none");
	EXECUTE("directory");
	EXECUTE("directory/");
	EXECUTE(".");
	EXECUTE("/");
	EXECUTE("/dev/null");
	EXECUTE("directory/../plain");
	memset(name, 'n', 256);
	CALL(execve, name, arguments, NULL);
	name[255] = 0;
	CALL(execve, name, arguments, NULL);
	for (int i = 0; i < 2048; i++)
		memcpy(path + 2 * i, "./", 2);
	CALL(execve, path, arguments, NULL);
	/* The caller goes on. */
	unlink("plain");
	unlinkat(AT_FDCWD, "directory", AT_REMOVEDIR);
	leave_scratch();
	return report_status();
}
