/*
 * Do to processes what a word says, letter by letter; a child goes on with the
 * same word behind the letter that made it.  See test_process_trees.py.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* The pipe's descriptors and the semaphores' key are the same behind execve. */
enum { DEPTH = 4, STACK = 16384, READER = 10, WRITER, KEY = 0x7ee, NSEMS = 2 };

static char page[4096 * 8] = "data";
static char *heap;
static pid_t last;
static int depth;

static void touch(int value)
{
	for (unsigned i = 0; i < sizeof(page); i += 4096)
		page[i] += value;
	for (int i = 0; i < 16; i += 1 + value % 3)
		heap[i * 4096] += value;
}

static void add(int number, int value, int flags)
{
	struct sembuf buf = { number, value, flags };
	struct timespec most = { .tv_nsec = 300000 };

	semtimedop(semget(KEY, 0, 0), &buf, 1, &most);
}

/* What a thread does too. */
static void small_step(char letter)
{
	struct pollfd reader = { .fd = READER, .events = POLLIN };
	char bytes[6000] = "";
	int ends[2];

	switch (letter) {
	case 'm':
		touch(3);
		break;
	case 'y':
		sched_yield();
		break;
	case 'n': /* semaphores */
		semget(KEY, NSEMS, IPC_CREAT | 0600);
		break;
	case 'N':
		semctl(semget(KEY, 0, 0), 0, IPC_RMID);
		break;
	case 'a':
		add(0, 1, SEM_UNDO);
		break;
	case 'A':
		add(0, -1, SEM_UNDO);
		break;
	case 'b':
		add(1, 2, 0);
		break;
	case 'B':
		add(1, -1, SEM_UNDO);
		break;
	case 'p': /* a pipe */
		if (pipe(ends))
			break;
		dup2(ends[0], READER);
		dup2(ends[1], WRITER);
		close(ends[0]);
		close(ends[1]);
		break;
	case '>': /* three fill it; who finds it full sleeps, if only for a while */
		for (int i = 0; i < 4; i++) {
			struct pollfd writer = { .fd = WRITER, .events = POLLOUT };

			if (poll(&writer, 1, 1) == 1 && writer.revents == POLLOUT)
				write(WRITER, bytes, 4096);
		}
		break;
	case '<':
		if (poll(&reader, 1, 1) == 1)
			read(READER, bytes, sizeof(bytes));
		break;
	case '-': /* no more from here; whoever reads then sees the end */
		close(WRITER);
		break;
	}
}

static int thread(void *word)
{
	for (const char *p = word; *p && *p != 't'; p++) {
		if (*p == 'E')
			_exit(3); /* of this thread */
		small_step(*p);
	}
	return 0;
}

static void spawn(const char *rest, int flags)
{
	char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (stack != MAP_FAILED)
		clone(thread, stack + STACK, flags, (void *)rest);
}

static void step(const char *p, char **argv)
{
	char digits[2] = { '0' + depth, 0 };
	pid_t pid;

	switch (*p) {
	case 'f': /* fork */
	case 'v': /* vfork, and execute the rest */
		if (depth >= DEPTH)
			break;
		if (*p == 'v') {
			digits[0]++;
			pid = vfork();
			if (!pid) {
				execl("/proc/self/exe", argv[0], p + 1, digits, NULL);
				_exit(127);
			}
		} else {
			pid = fork();
		}
		if (pid > 0)
			last = pid;
		if (!pid) {
			depth++;
			last = 0;
		}
		break;
	case 't': /* a thread */
		spawn(p + 1, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
			     CLONE_THREAD | CLONE_SYSVSEM);
		break;
	case 'T': /* a process that shares memory */
		spawn(p + 1, CLONE_VM | SIGCHLD);
		break;
	case 'P': /* a sibling */
		spawn(p + 1, CLONE_PARENT | CLONE_VM | SIGCHLD);
		break;
	case 'x': /* execute the rest */
		execl("/proc/self/exe", argv[0], p + 1, digits, NULL);
		_exit(127);
	case 'e': /* end */
		exit(5);
	case 'E': /* end, children only */
		if (depth)
			exit(6);
		break;
	case 'w':
		waitpid(-1, NULL, 0);
		break;
	case 'W':
		waitpid(-1, NULL, WNOHANG | WUNTRACED);
		break;
	case 'k':
		if (last)
			kill(last, SIGKILL);
		break;
	case 'K':
		if (depth)
			kill(getppid() == 1 ? getpid() : getppid(), SIGKILL);
		break;
	case 's':
		if (last)
			kill(last, SIGSTOP);
		break;
	case 'c':
		if (last)
			kill(last, SIGCONT);
		break;
	case 'g':
		setpgid(0, 0);
		break;
	case 'G':
		if (last)
			setpgid(last, last);
		break;
	case 'S':
		setsid();
		break;
	case 'r':
		prctl(PR_SET_CHILD_SUBREAPER, 1);
		break;
	case 'd':
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		break;
	case 'i':
		signal(SIGCHLD, SIG_IGN);
		break;
	case 'z':
		usleep(100);
		break;
	case '!': /* everything else ends */
		kill(-1, SIGKILL);
		while (wait(NULL) > 0)
			;
		usleep(1000);
		break;
	default:
		small_step(*p);
	}
}

int main(int argc, char **argv)
{
	heap = mmap(NULL, 16 * 4096, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (argc > 2)
		depth = atoi(argv[2]);
	for (const char *p = argc > 1 ? argv[1] : ""; *p; p++)
		step(p, argv);
	return 0;
}
