/* Can a process have a thousand zombies, and three hundred children that live? */
#include "process.h"

#define NR_ZOMBIES 1000
#define NR_LIVING 300

static pid_t child[NR_ZOMBIES];

static int compare(const void *a, const void *b)
{
	return *(const pid_t *)a - *(const pid_t *)b;
}

/* How many different numbers there are. */
static int count_different(int count)
{
	int different = 1;

	qsort(child, count, sizeof(pid_t), compare);
	for (int i = 1; i < count; i++)
		different += child[i] != child[i - 1];
	return different;
}

int main(void)
{
	volatile int *count = share_pages(1);
	int status, sum = 0;

	for (int i = 0; i < NR_ZOMBIES; i++) {
		child[i] = spawn();
		if (!child[i]) {
			__atomic_add_fetch(count, 1, __ATOMIC_SEQ_CST);
			_exit(i % 7);
		}
	}
	for (int i = 0; i < NR_ZOMBIES; i++) {
		if (waitpid(child[NR_ZOMBIES - 1 - i], &status, 0) < 0)
			die("wait");
		sum += WEXITSTATUS(status);
	}
	SHOW(*count);
	SHOW(sum);
	SHOW(count_different(NR_ZOMBIES));

	*count = sum = 0;
	for (int i = 0; i < NR_LIVING; i++) {
		child[i] = spawn();
		if (!child[i]) {
			__atomic_add_fetch(count, 1, __ATOMIC_SEQ_CST);
			raise(SIGSTOP);
			_exit(i % 5);
		}
	}
	for (int i = 0; i < NR_LIVING; i++)
		await(child[i], WSTOPPED);
	SHOW(*count);
	for (int i = 0; i < NR_LIVING; i++)
		kill(child[i], i % 2 ? SIGCONT : SIGKILL);
	for (int i = 0; i < NR_LIVING; i++) {
		if (waitpid(child[i], &status, 0) < 0)
			die("wait");
		sum += WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
	}
	SHOW(sum);
	SHOW(count_different(NR_LIVING));
	CALL(wait4, -1, NULL, WNOHANG, NULL);
	return report_status();
}
