/*
 * When does a read without ICANON give up?
 *
 * at "1?": type "a"
 * at "3?": type "bc"
 * at "4?": type "d"
 * at "5?": type "e"
 */
#include "process.h"
#include "terminal.h"

static long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

int main(void)
{
	long start;

	/* Nothing at all: VMIN 0, VTIME 1. */
	make_raw(0, 1);
	start = now();
	show_read(TTY, 10);
	CHECK(now() - start >= 95);
	/* Something: at once. */
	make_raw(0, 200);
	CHANGE_MODES(lflag, ECHO, 0);
	say("1?");
	start = now();
	show_read(TTY, 10);
	CHECK(now() - start < 15000);
	/* VMIN 0, VTIME 0: what there is. */
	make_raw(0, 0);
	start = now();
	show_read(TTY, 10);
	CHECK(now() - start < 15000);
	/* Both: between two bytes. */
	make_raw(5, 2);
	CHANGE_MODES(lflag, ECHO, 0);
	say("3?");
	start = now();
	show_read(TTY, 10);
	CHECK(now() - start >= 195);
	/* The first byte is waited for without end. */
	make_raw(2, 1);
	CHANGE_MODES(lflag, ECHO, 0);
	pause_ms(150);
	say("4?");
	show_read(TTY, 10);
	make_raw(1, 1);
	say("5?");
	show_read(TTY, 10);
	return report_status();
}
