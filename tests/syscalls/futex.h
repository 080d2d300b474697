/* What the programs about futexes share: the call itself, and someone who waits. */
#ifndef FUTEX_H
#define FUTEX_H

#include "signals.h"
#include <linux/futex.h>

#define MATCH_ANY 0xffffffffL

static inline long futex(volatile int *word, int op, int val, const void *timeout,
			 volatile int *word2, long val3)
{
	return syscall(SYS_futex, word, op, val, timeout, word2, val3);
}

/* Wake until somebody has been woken: whoever is to wait may not do so yet. */
static inline void wake_one(volatile int *word, int op, long bitset)
{
	for (int i = 0; i < 5000; i++) {
		if (futex(word, op, 1, NULL, NULL, bitset) == 1)
			return;
		pause_ms(1);
	}
	die("wake somebody");
}

#endif
