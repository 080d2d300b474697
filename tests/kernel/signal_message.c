/*
 * A client sends a server a message of N bytes, a bit with each signal:
 * SIGUSR1 is 0, SIGUSR2 is 1. The server answers each with SIGUSR1, and the
 * client waits for it. See test_signal_message.py.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t answered;
static volatile uint32_t bits;
static volatile unsigned long received, sender_errors;
static pid_t client;
static sigset_t both, none;

static void on_bit(int signal, siginfo_t *info, void *context)
{
	(void)context;
	bits = bits << 1 | (signal == SIGUSR2);
	received++;
	sender_errors += info->si_pid != client || info->si_code != SI_USER;
	kill(info->si_pid, SIGUSR1);
}

static void on_answer(int signal)
{
	(void)signal;
	answered = 1;
}

/* The message: any bytes, the same each time. */
static uint32_t next_byte(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 24;
}

static void send_message(pid_t server, unsigned long size)
{
	uint32_t state = 1;

	signal(SIGUSR1, on_answer);
	for (unsigned long i = 0; i < size; i++) {
		uint32_t byte = next_byte(&state);

		for (int bit = 7; bit >= 0; bit--) {
			answered = 0;
			kill(server, byte >> bit & 1 ? SIGUSR2 : SIGUSR1);
			while (!answered)
				sigsuspend(&none);
		}
	}
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_sigaction = on_bit, .sa_flags = SA_SIGINFO };
	unsigned long size = argc > 1 ? strtoul(argv[1], NULL, 10) : 1, wrong = 0;
	uint32_t state = 1;
	int status;

	sigemptyset(&none);
	sigemptyset(&both);
	sigaddset(&both, SIGUSR1);
	sigaddset(&both, SIGUSR2);
	action.sa_mask = both;
	sigprocmask(SIG_BLOCK, &both, NULL);
	sigaction(SIGUSR1, &action, NULL);
	sigaction(SIGUSR2, &action, NULL);
	client = fork();
	if (!client) {
		send_message(getppid(), size);
		_exit(0);
	}
	for (unsigned long i = 0; i < size; i++) {
		while (received < (i + 1) * 8)
			sigsuspend(&none);
		wrong += (bits & 0xff) != next_byte(&state);
	}
	if (wait(&status) != client)
		return 1;
	printf("%lu bits, %lu wrong bytes, %lu from elsewhere, client %#x\n", received, wrong,
	       sender_errors, status);
	return wrong || sender_errors || received != size * 8 || status;
}
