/*
 * Does semop(2) do a list of operations all or none, with which values and
 * what to undo, and what does it refuse?  Nothing here sleeps.
 */
#include "semaphores.h"

#define OPERATE(...)                                                           \
	do {                                                                   \
		struct sembuf ops[] = {__VA_ARGS__};                           \
		show("semop(" #__VA_ARGS__ ")",                                \
		     syscall(SYS_semop, id, ops, ARRAY_SIZE(ops)));            \
	} while (0)

#define NOWAIT IPC_NOWAIT

static int id;

static void show_refused(void)
{
	struct sembuf one = {0, 1, 0}, bad = {3, 1, 0};
	struct sembuf far = {65535, 0, NOWAIT};
	struct seminfo info;
	struct sembuf *many;

	CALL(semop, id, &one, 0L);
	CALL(semop, id, NULL, 1L);
	CALL(semop, id, -1L, 1L);
	CALL(semop, id, NULL, 0L);
	CALL(semop, -1, &one, 1L);
	CALL(semop, -1, NULL, 1L);
	CALL(semop, -1, &one, 0L);
	/* The same index, but not the same set. */
	CALL(semop, id ^ 1 << 20, &one, 1L);
	CALL(semop, id ^ 1 << 20, &bad, 1L);
	CALL(semop, id, &bad, 1L);
	CALL(semop, id, &far, 1L);
	OPERATE({0, 1, 0}, {3, 0, NOWAIT});
	OPERATE({3, 0, NOWAIT}, {0, 1, 0});

	if (semctl(0, 0, IPC_INFO, &info) < 0)
		die("ask for the limits");
	many = calloc(info.semopm + 1, sizeof(*many));
	CALL(semop, id, many, (long)info.semopm);
	CALL(semop, id, many, info.semopm + 1L);
	CALL(semop, id, many, 0xffffffffL);
	CALL(semop, id, NULL, info.semopm + 1L);
	/* The length is an unsigned int. */
	CALL(semop, id, &one, 0x100000001L);
	for (int i = 0; i < info.semopm; i++)
		many[i] = (struct sembuf){i % 3, 1 + i % 3, 0};
	CALL(semop, id, many, (long)info.semopm);
	CHECK(value_of(id, 1) == 2 * ((info.semopm + 1) / 3));
	free(many);
	SHOW(semctl(id, 0, SETALL, (unsigned short[3]){0}));
}

static void show_values_change(void)
{
	OPERATE({0, 1, 0});
	OPERATE({0, 2, 0}, {1, 3, 0}, {2, 0, 0});
	show_values("after that", id);
	OPERATE({0, -3, NOWAIT}, {1, -3, NOWAIT});
	OPERATE({0, 0, NOWAIT}, {1, 0, NOWAIT}, {2, 0, NOWAIT});
	OPERATE({0, -1, NOWAIT});
	OPERATE({0, 4, 0}, {1, -1, NOWAIT});
	OPERATE({0, 4, 0}, {0, 0, NOWAIT});
	OPERATE({0, 4, 0}, {1, 0, 0}, {2, -1, NOWAIT}, {1, 5, 0});
	show_values("nothing was done", id);
	/* Only the operation that would have to wait is asked for the flag. */
	OPERATE({0, 1, NOWAIT}, {1, 0, NOWAIT}, {1, 1, 0});
	show_values("done", id);
	OPERATE({0, -1, 0}, {1, -1, 0});
}

static void show_one_semaphore_twice(void)
{
	OPERATE({0, 1, 0}, {0, -1, NOWAIT});
	OPERATE({0, -1, NOWAIT}, {0, 1, 0});
	OPERATE({0, 0, NOWAIT}, {0, 1, 0});
	OPERATE({0, 1, 0}, {0, 1, 0}, {0, -3, NOWAIT});
	OPERATE({0, 1, 0}, {1, 1, 0}, {0, -2, NOWAIT}, {0, 0, NOWAIT});
	show_values("done", id);
	OPERATE({0, 0, NOWAIT}, {0, 7, 0}, {0, -7, NOWAIT}, {0, 0, NOWAIT},
		{1, -1, NOWAIT});
	show_values("done", id);
	OPERATE({0, 32767, 0}, {0, 1, 0}, {0, -1, 0});
	OPERATE({0, 32767, SEM_UNDO}, {0, -32767, SEM_UNDO},
		{0, 32767, SEM_UNDO}, {0, -32767, SEM_UNDO});
	show_values("done", id);
}

static void show_range(void)
{
	OPERATE({0, 32767, 0});
	OPERATE({0, 1, 0});
	OPERATE({1, 5, 0}, {0, 1, NOWAIT});
	OPERATE({0, -32767, 0});
	OPERATE({0, 32767, 0}, {1, 32767, 0}, {1, -32768, NOWAIT});
	OPERATE({0, 1, 0}, {0, -32768, NOWAIT});
	OPERATE({0, -32768, NOWAIT});
	show_values("nothing is left", id);
}

/* What would have to be taken back has a range of its own. */
static void show_range_of_undo(void)
{
	OPERATE({0, 32767, SEM_UNDO});
	OPERATE({0, -32767, 0});
	OPERATE({0, 1, SEM_UNDO});
	OPERATE({0, 1, SEM_UNDO});
	OPERATE({0, 1, SEM_UNDO}, {0, -2, NOWAIT});
	OPERATE({0, -1, SEM_UNDO}, {0, 1, SEM_UNDO});
	OPERATE({1, 1, 0}, {0, 1, SEM_UNDO});
	show_values("value", id);

	/* SETVAL forgets it. */
	set_value(id, 0, 32767);
	OPERATE({0, -32767, SEM_UNDO});
	OPERATE({0, 32767, 0});
	OPERATE({0, -1, SEM_UNDO});
	OPERATE({0, -1, SEM_UNDO | NOWAIT}, {0, 1, SEM_UNDO});
	OPERATE({0, 32767, SEM_UNDO});
	OPERATE({0, -32767, 0});
	OPERATE({0, 0, SEM_UNDO});
	set_value(id, 0, 0);
	show_values("value", id);
	/* A set that is not there, and flags that nobody knows. */
	CALL(semop, id ^ 1 << 20, (&(struct sembuf){0, 1, SEM_UNDO}), 1L);
	CALL(semop, id, (&(struct sembuf){3, 1, SEM_UNDO}), 1L);
	OPERATE({0, 1, -1});
	OPERATE({0, -1, ~SEM_UNDO});
}

static void show_who_and_when(void)
{
	int other = make_set(2);
	time_t before = seconds_now();
	struct semid_ds status;

	id = other;
	OPERATE({0, -1, NOWAIT});
	OPERATE({1, 1, 0}, {0, -1, NOWAIT});
	SHOW(semctl(other, 0, GETPID));
	SHOW(semctl(other, 1, GETPID));
	SHOW(set_status(other).sem_otime);
	OPERATE({1, 0, 0});
	SHOW(semctl(other, 0, GETPID));
	CHECK(semctl(other, 1, GETPID) == getpid());
	status = set_status(other);
	CHECK(status.sem_otime >= before && status.sem_otime <= seconds_now());
	OPERATE({0, 1, 0});
	CHECK(semctl(other, 0, GETPID) == getpid());
	status = set_status(other);
	CHECK(status.sem_otime >= before && status.sem_ctime <= seconds_now());
	remove_set(other);
}

/* Numbers that a set of 64 bits does not tell apart. */
static void show_many_semaphores(void)
{
	int other = make_set(130);

	id = other;
	OPERATE({0, 1, 0}, {64, 2, 0}, {128, 3, 0}, {64, -2, NOWAIT});
	OPERATE({1, 1, 0}, {65, -1, NOWAIT});
	SHOW(value_of(other, 0));
	SHOW(value_of(other, 1));
	SHOW(value_of(other, 64));
	SHOW(value_of(other, 128));
	remove_set(other);
}

int main(void)
{
	int set = id = make_set(3);

	show_refused();
	show_values_change();
	show_one_semaphore_twice();
	show_range();
	show_range_of_undo();
	remove_set(set);
	show_who_and_when();
	show_many_semaphores();
	CALL(semop, set, (&(struct sembuf){0, 1, 0}), 1L);
	return report_status();
}
