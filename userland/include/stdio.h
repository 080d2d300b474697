/*
 * Output.  There are no streams: everything is written at once, on a
 * descriptor, in pieces of at most a line buffer.
 */
#ifndef STDIO_H
#define STDIO_H

#include <stdarg.h>
#include <stddef.h>

#define EOF (-1)

#define PRINTF(string, first) __attribute__((format(printf, string, first)))

/*
 * Conversions: d i u x X c s p %, with the flags - 0, a width, a precision
 * (both also as *) and the lengths l ll z.
 */
int printf(const char *format, ...) PRINTF(1, 2);
int dprintf(int fd, const char *format, ...) PRINTF(2, 3);
int snprintf(char *buffer, size_t size, const char *format, ...) PRINTF(3, 4);
int vdprintf(int fd, const char *format, va_list arguments);
int vsnprintf(char *buffer, size_t size, const char *format, va_list arguments);

int putchar(int character);
int puts(const char *string);
void perror(const char *what);

#endif
