/* Which pointers does execve(2) refuse? */
#include "process.h"

int main(void)
{
	char *pages = map_pages(2);
	char **vector = (char **)(pages + PAGE) - 2;
	char *const arguments[] = { "program", NULL };
	char *const bad[] = { "program", (char *)8, NULL };

	munmap(pages + PAGE, PAGE);
	vector[0] = vector[1] = "x";
	CALL(execve, NULL, arguments, NULL);
	CALL(execve, (char *)8, arguments, NULL);
	CALL(execve, (char *)0xffff800000000000, arguments, NULL);
	CALL(execve, "/proc/self/exe", (char **)8, NULL);
	CALL(execve, "/proc/self/exe", arguments, (char **)8);
	CALL(execve, "/proc/self/exe", bad, NULL);
	CALL(execve, "/proc/self/exe", arguments, bad);
	CALL(execve, "/proc/self/exe", (char **)0xffff800000000000, NULL);
	/* Neither the vector nor a string may run out of memory. */
	CALL(execve, "/proc/self/exe", vector, NULL);
	memset(pages + PAGE - 8, 'x', 8);
	vector = (char *[]){ pages + PAGE - 8, NULL };
	CALL(execve, "/proc/self/exe", vector, NULL);
	CALL(execve, pages + PAGE - 8, arguments, NULL);
	/* What is wrong with the file comes first. */
	CALL(execve, "/none", (char **)8, NULL);
	return report_status();
}
