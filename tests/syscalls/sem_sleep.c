/*
 * Do processes that sleep in semop(2) get what they wait for, in order, from
 * the one who changes the set, and how else do their sleeps end?
 */
#include "semaphores.h"

static int id;

/* A child that operates with several operations, forked and asleep. */
#define SPAWN(...)                                                             \
	({                                                                     \
		struct sembuf ops[] = {__VA_ARGS__};                           \
		spawn_operations(id, ops, ARRAY_SIZE(ops), NULL);              \
	})

static void show_counts(const char *what)
{
	say("%s: values %d %d, ncnt %d %d, zcnt %d %d\n", what,
	    value_of(id, 0), value_of(id, 1), semctl(id, 0, GETNCNT),
	    semctl(id, 1, GETNCNT), semctl(id, 0, GETZCNT),
	    semctl(id, 1, GETZCNT));
}

static void reset(void)
{
	set_value(id, 0, 0);
	set_value(id, 1, 0);
}

/* Two processes take turns. */
static void show_turns(void)
{
	volatile int *words = shared_words();
	pid_t child = spawn();

	if (!child) {
		for (int i = 0; i < 100; i++) {
			operate(id, 0, -1, 0);
			words[0]++;
			operate(id, 1, 1, 0);
		}
		_exit(0);
	}
	for (int i = 0; i < 100; i++) {
		operate(id, 0, 1, 0);
		operate(id, 1, -1, 0);
		if (words[0] != i + 1)
			say("turn %d: %d\n", i, words[0]);
	}
	SHOW(words[0]);
	SHOW(reap(child));
	show_counts("after the turns");
}

/* Nobody can take what the sleeper is woken for: it is gone at once. */
static void show_waker_operates(void)
{
	pid_t child = spawn_operation(id, 0, -1, 0);

	await_ncnt(id, 0, 1);
	show_counts("one sleeps");
	SHOW(operate(id, 0, 1, 0));
	SHOW(operate(id, 0, -1, IPC_NOWAIT));
	show_counts("one is awake");
	show_end("it", child);
	child = spawn_operation(id, 1, -1, 0);
	await_ncnt(id, 1, 1);
	SHOW(operate(id, 1, 1, 0));
	CHECK(semctl(id, 1, GETPID) == child);
	show_end("it", child);
}

static void show_order(void)
{
	volatile int *words = shared_words();
	pid_t children[4];

	for (int i = 0; i < 4; i++) {
		children[i] = spawn();
		if (!children[i]) {
			operate(id, 0, -1, 0);
			words[words[0]++ + 1] = i;
			_exit(0);
		}
		await_ncnt(id, 0, i + 1);
	}
	for (int i = 0; i < 4; i++) {
		operate(id, 0, 1, 0);
		await_word(words, i + 1);
	}
	for (int i = 0; i < 4; i++)
		reap(children[i]);
	say("order: %d %d %d %d\n", words[1], words[2], words[3], words[4]);
}

/* One that needs more does not hold up those behind it. */
static void show_greedy(void)
{
	pid_t greedy = spawn_operation(id, 0, -3, 0), modest;

	await_ncnt(id, 0, 1);
	modest = spawn_operation(id, 0, -1, 0);
	await_ncnt(id, 0, 2);
	SHOW(operate(id, 0, 1, 0));
	show_end("the modest one", modest);
	show_counts("the greedy one sleeps");
	SHOW(operate(id, 0, 2, 0));
	show_counts("two are not enough");
	SHOW(operate(id, 0, 2, 0));
	show_end("the greedy one", greedy);
	show_counts("one is left");
	reset();
}

static void show_zero(void)
{
	pid_t first, second, third;

	set_value(id, 0, 2);
	first = spawn_operation(id, 0, 0, 0);
	await_zcnt(id, 0, 1);
	second = SPAWN({0, 0, 0}, {0, 5, 0});
	await_zcnt(id, 0, 2);
	third = spawn_operation(id, 0, 0, 0);
	await_zcnt(id, 0, 3);
	show_counts("three wait for zero");
	SHOW(operate(id, 0, -1, 0));
	show_counts("it is one");
	SHOW(operate(id, 0, -1, 0));
	show_end("the first", first);
	show_end("the second", second);
	show_end("the third", third);
	show_counts("it was zero");
	reset();
}

/* A value that is zero only in between is seen. */
static void show_chain(void)
{
	pid_t taker, zero, giver;

	set_value(id, 1, 1);
	taker = spawn_operation(id, 0, -1, 0);
	await_ncnt(id, 0, 1);
	zero = SPAWN({0, 0, 0}, {1, 0, 0});
	await_zcnt(id, 1, 1);
	giver = SPAWN({1, -2, 0}, {0, 1, 0});
	await_ncnt(id, 1, 1);
	show_counts("three sleep");
	SHOW(operate(id, 1, 1, 0));
	show_end("giver", giver);
	show_end("taker", taker);
	show_end("zero", zero);
	show_counts("all are done");
}

/* Lists of operations: counted where they are stuck, done all at once. */
static void show_lists(void)
{
	pid_t both = SPAWN({0, -1, 0}, {1, -1, 0}), one;

	await_ncnt(id, 0, 1);
	show_counts("stuck at the first");
	SHOW(operate(id, 0, 1, 0));
	show_counts("stuck at the second");
	one = spawn_operation(id, 1, -1, 0);
	await_ncnt(id, 1, 2);
	SHOW(operate(id, 1, 1, 0));
	show_counts("the older one was served");
	show_end("both", both);
	SHOW(operate(id, 1, 1, 0));
	show_end("one", one);

	one = spawn_operation(id, 1, -2, 0);
	await_ncnt(id, 1, 1);
	both = SPAWN({0, -1, 0}, {1, -1, 0});
	await_ncnt(id, 0, 1);
	show_counts("one, then both");
	SHOW(operate(id, 0, 1, 0));
	SHOW(operate(id, 1, 1, 0));
	show_end("both", both);
	show_counts("one sleeps on");
	both = SPAWN({0, 0, 0}, {1, 1, 0}, {1, -3, 0});
	await_ncnt(id, 1, 2);
	SHOW(operate(id, 1, 2, 0));
	show_end("one", one);
	SHOW(operate(id, 1, 2, 0));
	show_end("both", both);
	show_counts("all are done");
}

/* What the first try does not reach can fail when it is done by the waker. */
static void show_late_failures(void)
{
	pid_t child = SPAWN({0, -1, 0}, {1, -1, IPC_NOWAIT});

	await_ncnt(id, 0, 1);
	SHOW(operate(id, 0, 1, 0));
	show_end("a list that must not wait at its second", child);
	show_counts("nothing was taken");
	reset();

	child = SPAWN({0, -1, 0}, {1, 32767, 0}, {1, 1, 0});
	await_ncnt(id, 0, 1);
	SHOW(operate(id, 0, 1, 0));
	show_end("a list that leaves the range", child);
	show_counts("nothing was taken");
	reset();

	set_value(id, 0, 32767);
	child = spawn();
	if (!child) {
		operate(id, 0, -32767, SEM_UNDO);
		_exit(operate(id, 0, -1, SEM_UNDO) ? errno : 0);
	}
	await_ncnt(id, 0, 1);
	SHOW(operate(id, 0, 1, 0));
	show_end("one that would have too much to undo", child);
	show_counts("it has undone");
	reset();
}

static void show_set_wakes(void)
{
	pid_t child = spawn_operation(id, 1, -4, 0), other;

	await_ncnt(id, 1, 1);
	SHOW(semctl(id, 1, SETVAL, 5));
	show_end("after SETVAL", child);
	show_counts("one is left");
	child = spawn_operation(id, 1, 0, 0);
	await_zcnt(id, 1, 1);
	other = spawn_operation(id, 0, -1, 0);
	await_ncnt(id, 0, 1);
	SHOW(semctl(id, 0, SETALL, (unsigned short[2]){3, 0}));
	show_end("waits for zero, after SETALL", child);
	show_end("wants one, after SETALL", other);
	show_counts("two are left");
	reset();
}

static void show_removal(void)
{
	pid_t minus, zero, list, zeros, timed;
	struct timespec time = {100, 0};
	struct sembuf buf = {1, -9, 0};

	set_value(id, 0, 1);
	minus = spawn_operation(id, 0, -2, 0);
	await_ncnt(id, 0, 1);
	zero = spawn_operation(id, 0, 0, SEM_UNDO);
	await_zcnt(id, 0, 1);
	list = SPAWN({0, -1, SEM_UNDO}, {1, -1, SEM_UNDO});
	await_ncnt(id, 1, 1);
	zeros = SPAWN({1, 0, 0}, {0, 0, 0});
	await_zcnt(id, 0, 2);
	timed = spawn_operations(id, &buf, 1, &time);
	await_ncnt(id, 1, 2);
	show_counts("five sleep");
	remove_set(id);
	show_end("wants two", minus);
	show_end("waits for zero", zero);
	show_end("list", list);
	show_end("waits for zeros", zeros);
	show_end("has 100 s", timed);
	id = make_set(2);
}

static volatile sig_atomic_t handled;

static void handle(int signal)
{
	handled = signal;
}

static void show_signal(const char *what, int flags, struct timespec *time)
{
	struct sigaction action = {.sa_handler = handle, .sa_flags = flags};
	struct sembuf ops[] = {{0, 1, 0}, {1, -1, 0}};
	pid_t child = spawn();

	if (!child) {
		int error;

		sigaction(SIGUSR1, &action, NULL);
		error = semtimedop(id, ops, 2, time) ? errno : 0;
		_exit(handled == SIGUSR1 ? error : 125);
	}
	await_ncnt(id, 1, 1);
	kill(child, SIGUSR1);
	show_end(what, child);
	show_counts("after the signal");
}

/* The call is never made again, even with SA_RESTART: see signal(7). */
static void show_signals(void)
{
	struct timespec time = {100, 0};
	pid_t child;

	show_signal("handler", 0, NULL);
	show_signal("SA_RESTART", SA_RESTART, NULL);
	show_signal("SA_RESTART, with a time", SA_RESTART, &time);

	/* A signal that is ignored does not end it. */
	child = spawn();
	if (!child) {
		signal(SIGUSR1, SIG_IGN);
		_exit(operate(id, 0, -1, 0) ? errno : 0);
	}
	await_ncnt(id, 0, 1);
	kill(child, SIGUSR1);
	pause_briefly();
	show_counts("ignored");
	SHOW(operate(id, 0, 1, 0));
	show_end("ignored", child);

	/* One that is stopped and continued is interrupted without a handler. */
	child = spawn_operation(id, 0, -1, 0);
	await_ncnt(id, 0, 1);
	kill(child, SIGSTOP);
	waitpid(child, NULL, WUNTRACED);
	show_counts("stopped");
	kill(child, SIGCONT);
	show_end("stopped", child);
}

static void show_killed(void)
{
	static const int signals[] = {SIGKILL, SIGTERM};

	for (unsigned i = 0; i < ARRAY_SIZE(signals); i++) {
		pid_t one = spawn_operation(id, 0, -1, SEM_UNDO);
		pid_t list, zero;

		await_ncnt(id, 0, 1);
		list = SPAWN({0, -1, 0}, {1, -1, 0});
		await_ncnt(id, 0, 2);
		zero = spawn_operation(id, 0, -1, 0);
		await_ncnt(id, 0, 3);
		kill(list, signals[i]);
		show_end("list", list);
		show_counts("two sleep");
		kill(one, signals[i]);
		show_end("one", one);
		show_counts("one sleeps");
		/* What the dead have waited for, the living get. */
		SHOW(operate(id, 0, 1, 0));
		show_end("the other", zero);
		show_counts("nobody sleeps");
	}
}

static void show_given_up(void)
{
	struct timespec time = {0, 20000000};
	struct sembuf ops[] = {{0, -1, 0}, {1, -1, 0}};
	pid_t other = spawn_operation(id, 0, -1, 0), child;

	await_ncnt(id, 0, 1);
	child = spawn_operations(id, ops, 2, &time);
	show_end("has 20 ms", child);
	show_counts("one sleeps");
	time.tv_sec = 100;
	child = spawn_operations(id, ops, 1, &time);
	await_ncnt(id, 0, 2);
	SHOW(operate(id, 0, 2, 0));
	show_end("has 100 s", child);
	show_end("the other", other);
}

int main(void)
{
	id = make_set(2);
	show_turns();
	show_waker_operates();
	show_order();
	show_greedy();
	show_zero();
	show_chain();
	show_lists();
	show_late_failures();
	show_set_wakes();
	show_removal();
	show_signals();
	show_killed();
	show_given_up();
	show_counts("at the end");
	remove_set(id);
	return report_status();
}
