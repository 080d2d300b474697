/* Can a process have a thousand children, one after the other? */
#include "process.h"

int main(void)
{
	char *memory = map_pages(1);
	int sum = 0, numbers = 0;
	pid_t last = 0;

	for (int i = 0; i < 1000; i++) {
		int status;
		pid_t child = spawn();

		if (!child) {
			memory[0]++;
			_exit(i % 251 + memory[0]);
		}
		if (waitpid(child, &status, 0) != child)
			die("wait");
		sum += WEXITSTATUS(status);
		numbers += child != last;
		last = child;
	}
	SHOW(sum);
	SHOW(numbers);
	SHOW(memory[0]);
	CALL(wait4, -1, NULL, 0, NULL);
	return report_status();
}
