/*
 * What the programs about terminals share: settings, and reads that are shown.
 *
 * Such a program says in its first comment what is typed when: see README.md.
 */
#ifndef TERMINAL_H
#define TERMINAL_H

#include "process.h"
#include <asm/termbits.h>
#include <poll.h>
#include <sys/ioctl.h>

#define TTY STDIN_FILENO

static inline struct termios get_modes(void)
{
	struct termios modes;

	if (ioctl(TTY, TCGETS, &modes))
		die("get a terminal's settings");
	return modes;
}

static inline void set_modes(const struct termios *modes)
{
	if (ioctl(TTY, TCSETS, modes))
		die("set a terminal's settings");
}

/* Switch flags on and off: iflag, oflag or lflag. */
#define CHANGE_MODES(word, on, off)                                            \
	do {                                                                   \
		struct termios modes = get_modes();                            \
		modes.c_##word = (modes.c_##word | (on)) & ~(off);             \
		set_modes(&modes);                                             \
	} while (0)

#define SET_CC(place, character)                                               \
	do {                                                                   \
		struct termios modes = get_modes();                            \
		modes.c_cc[place] = (character);                               \
		set_modes(&modes);                                             \
	} while (0)

/* Bytes, one by one, and no signals. */
static inline void make_raw(int vmin, int vtime)
{
	struct termios modes = get_modes();

	modes.c_iflag = 0;
	modes.c_lflag &= ~(ICANON | ECHO | ISIG | IEXTEN);
	modes.c_cc[VMIN] = vmin;
	modes.c_cc[VTIME] = vtime;
	set_modes(&modes);
}

/* Show what a read of so many bytes returns. */
static inline long show_read(int fd, size_t size)
{
	static unsigned char data[8192];
	static char text[4 * sizeof(data)];
	char *end = text;
	ssize_t got;

	got = read(fd, data, size);
	if (got < 0) {
		say("read %zu: %s\n", size, strerrorname_np(errno));
		return got;
	}
	for (ssize_t i = 0; i < got && i < 80; i++)
		if (data[i] >= ' ' && data[i] < 0x7f)
			*end++ = data[i];
		else
			end += sprintf(end, "\\%03o", data[i]);
	*end = 0;
	say("read %zu: %zd \"%s\"\n", size, got, text);
	return got;
}

/* What poll(2) says of a descriptor now. */
static inline void show_poll(int fd)
{
	struct pollfd entry = { .fd = fd, .events = POLLIN | POLLOUT };

	poll(&entry, 1, 0);
	say("poll:%s%s%s%s\n", entry.revents & POLLIN ? " IN" : "",
	    entry.revents & POLLOUT ? " OUT" : "", entry.revents & POLLERR ? " ERR" : "",
	    entry.revents & POLLHUP ? " HUP" : "");
}

/* What a terminal holds for its readers. */
static inline int input_queue(void)
{
	int count = -1;

	ioctl(TTY, FIONREAD, &count);
	return count;
}

/*
 * Say something as soon as this process sleeps, by a child that ignores what
 * keys can send: to type while a call waits.  The child is to be waited for.
 */
static inline pid_t say_when_asleep(const char *text)
{
	pid_t parent = getpid(), child = spawn();
	char path[40], state[300];

	if (child)
		return child;
	set_action(SIGINT, SIG_IGN, 0);
	set_action(SIGTSTP, SIG_IGN, 0);
	sprintf(path, "/proc/%d/stat", parent);
	for (;;) {
		int fd = open(path, O_RDONLY);

		pause_ms(2);
		if (fd < 0)
			break; /* No /proc: then nothing runs while we sleep but it. */
		state[read(fd, state, sizeof(state) - 1)] = 0;
		close(fd);
		if (strstr(state, ") S "))
			break;
	}
	say("%s", text);
	_exit(0);
}

#endif
