/*
 * What the programs about signals share: raw calls, handlers that take notes,
 * and children that wait to be signalled.
 *
 * A handler only writes down what it sees; the program prints it afterwards.
 */
#ifndef SIGNALS_H
#define SIGNALS_H

#include "process.h"
#include <ucontext.h>

#define SIGSET_SIZE 8L

/* A set as the kernel has it. */
typedef unsigned long kernel_set;

/* What the handler below has seen. */
struct note {
	int signal, code, value, sender;
};
static volatile struct note notes[64];
static volatile int nr_notes;

static inline void take_note(int signal, siginfo_t *info, void *context)
{
	volatile struct note *note = &notes[nr_notes++ % 64];

	(void)context;
	note->signal = signal;
	note->code = info->si_code;
	note->value = info->si_value.sival_int;
	note->sender = info->si_pid;
}

/* Have a signal noted. */
static inline void note_signal(int signal, int flags)
{
	struct sigaction action = { .sa_sigaction = take_note,
				    .sa_flags = SA_SIGINFO | flags };

	if (sigaction(signal, &action, NULL))
		die("set a handler");
}

static inline const char *code_name(int code)
{
	switch (code) {
	case SI_USER: return "SI_USER";
	case SI_KERNEL: return "SI_KERNEL";
	case SI_QUEUE: return "SI_QUEUE";
	case SI_TKILL: return "SI_TKILL";
	}
	return "another code";
}

/* Print what was noted, in order, and begin anew. */
static inline void show_notes(const char *when)
{
	say("%s: %d taken\n", when, nr_notes);
	for (int i = 0; i < nr_notes && i < 64; i++)
		say("  %s %s%s", signal_name(notes[i].signal), code_name(notes[i].code),
		    notes[i].code == SI_QUEUE ? "" : "\n"),
		notes[i].code == SI_QUEUE ? say(" %d\n", notes[i].value) : (void)0;
	nr_notes = 0;
}

/* rt_sigqueueinfo(2) to a process, with sigqueue(3)'s siginfo. */
static inline long queue_value(pid_t pid, int signal, int value)
{
	siginfo_t info = { .si_signo = signal, .si_code = SI_QUEUE };

	info.si_pid = getpid();
	info.si_uid = getuid();
	info.si_value.sival_int = value;
	return syscall(SYS_rt_sigqueueinfo, pid, signal, &info);
}

/* Sleep until a process sleeps in a call, as far as one can see from outside. */
static inline void let_sleep(volatile int *word, int value)
{
	wait_for(word, value);
	pause_ms(20);
}

static inline kernel_set get_mask(void)
{
	kernel_set set = 0;

	syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &set, SIGSET_SIZE);
	return set;
}

static inline void set_mask(kernel_set set)
{
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &set, NULL, SIGSET_SIZE);
}

static inline kernel_set get_pending(void)
{
	kernel_set set = 0;

	syscall(SYS_rt_sigpending, &set, SIGSET_SIZE);
	return set;
}

#endif
