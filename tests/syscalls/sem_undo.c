/*
 * Is what a process has done with SEM_UNDO taken back when it ends, whatever
 * ends it, and who shares that?
 */
#include "semaphores.h"

#ifndef CLONE_SYSVSEM
#define CLONE_SYSVSEM 0x00040000
#endif

static int id;

/* Run statements in a child, and wait for its end. */
#define IN_CHILD(...)                                                          \
	do {                                                                   \
		pid_t child = spawn();                                         \
		if (!child) {                                                  \
			__VA_ARGS__                                            \
			_exit(0);                                              \
		}                                                              \
		last_status = reap(child);                                     \
		last_child = child;                                            \
	} while (0)

static int last_status;
static pid_t last_child;

/* A child that shares what is to be undone, as fork(2) otherwise. */
static pid_t spawn_sharing(void)
{
	pid_t child = syscall(SYS_clone, CLONE_SYSVSEM | SIGCHLD, 0, 0, 0, 0);

	if (child < 0)
		die("clone");
	return child;
}

static void show_exit(void)
{
	set_value(id, 0, 3);
	IN_CHILD({
		SHOW(operate(id, 0, -2, SEM_UNDO));
		SHOW(value_of(id, 0));
	});
	show_values("taken, and given back", id);
	CHECK(semctl(id, 0, GETPID) == last_child);
	IN_CHILD({
		operate(id, 0, 5, SEM_UNDO);
		operate(id, 1, 1, 0);
		operate(id, 0, -1, SEM_UNDO);
		operate(id, 0, -1, 0);
		show_values("given", id);
	});
	show_values("and taken back", id);
	CHECK(semctl(id, 1, GETPID) == last_child);
	/* Nothing is left to undo: the value is not touched. */
	set_value(id, 0, 1);
	IN_CHILD({
		operate(id, 0, -1, SEM_UNDO);
		operate(id, 0, 1, SEM_UNDO);
		set_value(id, 1, 4);
	});
	show_values("in balance", id);
	CHECK(semctl(id, 0, GETPID) == last_child);
	IN_CHILD({ operate(id, 1, 1, SEM_UNDO); set_value(id, 1, 2); });
	show_values("SETVAL forgets", id);
	IN_CHILD({
		operate(id, 1, 1, SEM_UNDO);
		operate(id, 0, 1, SEM_UNDO);
		semctl(id, 0, SETALL, (unsigned short[2]){7, 8});
	});
	show_values("SETALL forgets", id);
}

/* One that has only tried counts as an operation, too, at its end. */
static void show_failure(void)
{
	int other = make_set(1);

	IN_CHILD({ SHOW(operate(other, 0, -1, IPC_NOWAIT)); });
	SHOW(set_status(other).sem_otime != 0);
	IN_CHILD({ SHOW(operate(other, 0, -1, SEM_UNDO | IPC_NOWAIT)); });
	SHOW(set_status(other).sem_otime != 0);
	SHOW(semctl(other, 0, GETPID));
	remove_set(other);
}

static void show_death(void)
{
	static const int signals[] = {SIGKILL, SIGTERM, SIGSEGV};

	for (unsigned i = 0; i < ARRAY_SIZE(signals); i++) {
		set_value(id, 0, 3);
		IN_CHILD({
			operate(id, 0, -2, SEM_UNDO);
			if (signals[i] == SIGSEGV)
				*(volatile int *)8 = 0;
			kill(getpid(), signals[i]);
		});
		say("killed by %d\n", WTERMSIG(last_status));
		show_values("given back", id);
	}
}

/* The value stays in its range, even if that is not what was there. */
static void show_limits(void)
{
	set_value(id, 0, 0);
	IN_CHILD({ operate(id, 0, 5, SEM_UNDO); operate(id, 0, -3, 0); });
	show_values("not below 0", id);
	set_value(id, 0, 5);
	IN_CHILD({ operate(id, 0, -5, SEM_UNDO); operate(id, 0, 32767, 0); });
	show_values("not above 32767", id);
	set_value(id, 0, 0);
}

static void show_wakes(void)
{
	pid_t child, zero;

	set_value(id, 0, 1);
	set_value(id, 1, 0);
	child = spawn();
	if (!child) {
		operate(id, 0, -1, SEM_UNDO);
		operate(id, 1, 1, SEM_UNDO);
		pause();
	}
	while (value_of(id, 1) != 1)
		pause_briefly();
	zero = spawn_operation(id, 1, 0, 0);
	await_zcnt(id, 1, 1);
	kill(child, SIGKILL);
	/* A lock that its holder has died with. */
	SHOW(operate(id, 0, -1, 0));
	show_end("waits for zero", zero);
	reap(child);
	show_values("it has got it", id);
	/* A sleeper has done nothing yet: there is nothing to undo. */
	child = spawn_operation(id, 0, -1, SEM_UNDO);
	await_ncnt(id, 0, 1);
	kill(child, SIGKILL);
	show_end("asleep", child);
	show_values("untouched", id);
	/* What the waker has done for it is undone at its end. */
	child = spawn_operation(id, 0, -1, SEM_UNDO);
	await_ncnt(id, 0, 1);
	operate(id, 0, 3, 0);
	show_end("awake", child);
	show_values("given back", id);
	set_value(id, 0, 0);
}

static void show_fork(void)
{
	/* A child has nothing to undo but what it does itself. */
	IN_CHILD({
		operate(id, 0, 1, SEM_UNDO);
		IN_CHILD({ operate(id, 1, 1, SEM_UNDO); });
		show_values("the grandchild is gone", id);
	});
	show_values("the child is gone", id);
}

static void show_sharing(void)
{
	IN_CHILD({
		pid_t sharer = spawn_sharing();

		if (!sharer) {
			operate(id, 0, 1, SEM_UNDO);
			_exit(0);
		}
		reap(sharer);
		show_values("who shares is gone", id);
		sharer = spawn_sharing();
		if (!sharer) {
			SHOW(operate(id, 0, -1, SEM_UNDO));
			kill(getpid(), SIGKILL);
		}
		reap(sharer);
		show_values("another is killed", id);
		operate(id, 1, 2, SEM_UNDO);
	});
	show_values("the last is gone", id);
	CHECK(semctl(id, 1, GETPID) == last_child);
	/* The one who began it may go first. */
	IN_CHILD({
		operate(id, 0, 1, SEM_UNDO);
		if (!spawn_sharing()) {
			while (value_of(id, 1) != 1)
				pause_briefly();
			_exit(0);
		}
	});
	show_values("the first is gone", id);
	operate(id, 1, 1, 0);
	while (value_of(id, 0) != 0)
		pause_briefly();
	operate(id, 1, -1, 0);
	show_values("the last is gone", id);
}

static void show_exec(const char *program)
{
	char number[16];

	snprintf(number, sizeof(number), "%d", id);
	IN_CHILD({
		operate(id, 0, 5, SEM_UNDO);
		execl(program, program, number, (char *)NULL);
	});
	say("the program has seen %d\n", WEXITSTATUS(last_status));
	show_values("the program is gone", id);
}

static void show_removal(void)
{
	volatile int *words = shared_words();
	int other = make_set(1);

	/* Several sets; one is removed before, and another is there again. */
	IN_CHILD({
		operate(id, 0, 1, SEM_UNDO);
		operate(other, 0, 1, SEM_UNDO);
		operate(id, 1, 2, SEM_UNDO);
		remove_set(other);
		SHOW(operate(other, 0, 1, SEM_UNDO));
		words[0] = make_set(1);
		operate(words[0], 0, 9, 0);
	});
	show_values("the child is gone", id);
	show_values("a set made since", words[0]);
	remove_set(words[0]);
}

int main(int argc, char **argv)
{
	if (argc > 1) /* made by show_exec() */
		return value_of(atoi(argv[1]), 0);
	id = make_set(2);
	show_exit();
	show_failure();
	show_death();
	show_limits();
	show_wakes();
	show_fork();
	show_sharing();
	show_exec("/proc/self/exe");
	show_removal();
	remove_set(id);
	return report_status();
}
