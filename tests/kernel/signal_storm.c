/*
 * Processes that do to each other what a word says, letter by letter, mostly
 * with signals; a child goes on with the word behind the letter that made it.
 * Whoever is left in the end is killed, and everybody has to be reaped. See
 * test_signal_storm.py.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { DEPTH = 4, STACK = 32768, MOST = 64, ANSWERS = 40 };

/* What all processes share. */
static struct world {
	volatile int nr_tasks, forks, answers, handled;
	volatile pid_t tasks[MOST]; /* process numbers; a thread's is negative */
	volatile pid_t groups[MOST];
} *world;

static const int signals[] = { SIGUSR1, SIGUSR2, 40, 41, SIGCHLD, SIGCONT,
			       SIGTSTP, SIGSTOP, SIGKILL, SIGSEGV };
static unsigned target;
static int signal_now = SIGUSR1;
static int depth;
static sigjmp_buf back;
static volatile int may_jump;

static void put_in_table(pid_t group, pid_t task)
{
	int i = __sync_fetch_and_add(&world->nr_tasks, 1);

	if (i < MOST) {
		world->groups[i] = group;
		world->tasks[i] = task;
	}
}

/* Somebody, not always the same. */
static int somebody(void)
{
	int n = world->nr_tasks < MOST ? world->nr_tasks : MOST;

	target = target * 5 + 3;
	return n ? target / 3 % n : 0;
}

static void handler(int signal, siginfo_t *info, void *context)
{
	(void)context;
	__sync_fetch_and_add(&world->handled, 1);
	if (info->si_code <= 0 && info->si_pid > 1 && world->answers > 0) {
		__sync_fetch_and_sub(&world->answers, 1);
		kill(info->si_pid, SIGUSR2);
	}
	if (signal == SIGSEGV && !may_jump)
		_exit(7);
	/* Threads of clone(2) have no memory of their own: only the first jumps. */
	if (may_jump && signal != SIGUSR2 && syscall(SYS_gettid) == getpid()) {
		may_jump = 0;
		siglongjmp(back, 1);
	}
}

static void handle(int flags)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | flags };

	sigaction(signal_now, &action, NULL);
}

static void use_stack(void)
{
	stack_t stack = { .ss_size = STACK };

	stack.ss_sp = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0);
	if (stack.ss_sp != MAP_FAILED)
		sigaltstack(&stack, NULL);
}

static void send_value(pid_t task)
{
	union sigval value = { .sival_int = signal_now };

	if (task > 0)
		sigqueue(task, signal_now, value);
}

/* What a thread does too. */
static void small_step(char letter)
{
	struct timespec soon = { .tv_nsec = 200000 };
	sigset_t set;
	int i;

	sigemptyset(&set);
	sigaddset(&set, signal_now);
	sigaddset(&set, SIGUSR2);
	switch (letter) {
	case 'k':
		i = somebody();
		if (world->groups[i])
			kill(world->groups[i], signal_now);
		break;
	case 'l': /* a thread */
		i = somebody();
		if (world->tasks[i])
			syscall(SYS_tgkill, world->groups[i], abs(world->tasks[i]), signal_now);
		break;
	case 'q':
		send_value(world->groups[somebody()]);
		break;
	case 'Q':
		for (i = 0; i < 20; i++)
			send_value(world->groups[somebody()]);
		break;
	case '@':
		raise(signal_now);
		break;
	case 'b':
		pthread_sigmask(SIG_BLOCK, &set, NULL);
		break;
	case 'u':
		pthread_sigmask(SIG_UNBLOCK, &set, NULL);
		break;
	case 'T':
		sigtimedwait(&set, NULL, &soon);
		break;
	case 'z':
		nanosleep(&soon, NULL);
		break;
	case 'p':
		poll(NULL, 0, 1);
		break;
	case 'y':
		sched_yield();
		break;
	}
}

static int thread(void *word)
{
	put_in_table(getpid(), -syscall(SYS_gettid));
	for (const char *p = word; *p && *p != 't'; p++)
		small_step(*p);
	return 0;
}

static void start_thread(const char *rest)
{
	char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (stack != MAP_FAILED)
		clone(thread, stack + STACK, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
		      CLONE_THREAD | CLONE_SYSVSEM, (void *)rest);
}

static void step(char letter, const char *rest)
{
	sigset_t none;

	sigemptyset(&none);
	if (letter >= '0' && letter <= '9') {
		signal_now = signals[letter - '0'];
		return;
	}
	switch (letter) {
	case 'f':
		if (depth >= DEPTH || __sync_add_and_fetch(&world->forks, 1) > MOST)
			break;
		if (!fork()) {
			depth++;
			target += depth * 7;
			put_in_table(getpid(), getpid());
		}
		break;
	case 't':
		start_thread(rest);
		break;
	case 'h':
		handle(0);
		break;
	case 'R':
		handle(SA_RESTART | SA_NODEFER);
		break;
	case 'o':
		use_stack();
		handle(SA_ONSTACK);
		break;
	case 'O':
		handle(SA_RESETHAND | SA_NOCLDWAIT);
		break;
	case 'i':
		signal(signal_now, SIG_IGN);
		break;
	case 'd':
		signal(signal_now, SIG_DFL);
		break;
	case 'j': /* out of the handler */
		if (!sigsetjmp(back, 1)) {
			may_jump = 1;
			raise(signal_now);
		}
		may_jump = 0;
		break;
	case 'c':
		*(volatile int *)8 = 1;
		break;
	case 'g':
		setpgid(0, 0);
		break;
	case 'G':
		kill(0, signal_now);
		break;
	case 's':
		sigsuspend(&none);
		break;
	case 'P':
		pause();
		break;
	case 'w':
		waitpid(-1, NULL, 0);
		break;
	case 'W':
		waitpid(-1, NULL, WNOHANG | WUNTRACED | WCONTINUED);
		break;
	case 'e':
		_exit(5);
	default:
		small_step(letter);
	}
}

int main(int argc, char **argv)
{
	struct timespec storm = { .tv_nsec = 20000000 };
	int reaped = 0, stopped = 0, status;
	const char *word = argc > 1 ? argv[1] : "";
	pid_t child;

	world = mmap(NULL, sizeof(*world), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		     -1, 0);
	world->answers = ANSWERS;
	world->forks = 1;
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	child = fork();
	if (!child) {
		setsid();
		put_in_table(getpid(), getpid());
		for (; *word; word++)
			step(*word, word + 1);
		_exit(0);
	}
	nanosleep(&storm, NULL);
	while (waitpid(-1, &status, WNOHANG | WUNTRACED) > 0)
		WIFSTOPPED(status) ? stopped++ : reaped++;
	/* Not more than once: whom SIGKILL has been sent to ends. */
	kill(-1, SIGKILL);
	while (wait(&status) > 0)
		reaped++;
	printf("%d reaped, %d stops, %d handled\n", reaped, stopped, world->handled);
	return errno != ECHILD;
}
