/*
 * The printf family.  One function turns a format into characters and gives
 * them, one by one, to a sink: a buffer of the caller's, or a small one of our
 * own that is written whenever it is full.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Enough for 64 bits in octal, should that ever be wanted. */
#define DIGITS_MAX 24

struct sink {
	char *buffer;
	size_t size;	/* of the buffer */
	size_t used;
	size_t count;	/* characters so far, also those without room */
	int fd;		/* where a full buffer goes, or -1 */
	int failed;
};

static void flush(struct sink *sink)
{
	size_t written = 0;

	while (written < sink->used && !sink->failed) {
		ssize_t size = write(sink->fd, sink->buffer + written, sink->used - written);

		if (size < 0)
			sink->failed = 1;
		else
			written += size;
	}
	sink->used = 0;
}

static void put(struct sink *sink, char character)
{
	sink->count++;
	if (sink->used == sink->size && sink->fd >= 0)
		flush(sink);
	if (sink->used < sink->size)
		sink->buffer[sink->used++] = character;
}

static void put_repeated(struct sink *sink, char character, int count)
{
	while (count-- > 0)
		put(sink, character);
}

static void put_bytes(struct sink *sink, const char *bytes, size_t size)
{
	while (size--)
		put(sink, *bytes++);
}

/* %[flags][width][.precision][length]conversion */
struct conversion {
	int left;
	int zero;
	int width;
	int precision;	/* -1 if there is none */
	int is_long;
	char type;
};

/* Read digits, or take an argument for '*'. */
static const char *parse_number(const char *format, int *number, va_list *arguments)
{
	if (*format == '*') {
		*number = va_arg(*arguments, int);
		return format + 1;
	}
	for (*number = 0; *format >= '0' && *format <= '9'; format++)
		*number = *number * 10 + (*format - '0');
	return format;
}

/* Read what stands behind a '%'; return the first character after it. */
static const char *parse(const char *format, struct conversion *conversion, va_list *arguments)
{
	*conversion = (struct conversion){ .precision = -1 };
	for (;; format++) {
		if (*format == '-')
			conversion->left = 1;
		else if (*format == '0')
			conversion->zero = 1;
		else
			break;
	}
	format = parse_number(format, &conversion->width, arguments);
	if (conversion->width < 0) {
		conversion->left = 1;
		conversion->width = -conversion->width;
	}
	if (*format == '.')
		format = parse_number(format + 1, &conversion->precision, arguments);
	for (; *format == 'l' || *format == 'z'; format++)
		conversion->is_long = 1;
	conversion->type = *format;
	return *format ? format + 1 : format;
}

/* Put a prefix ("-", "0x" or nothing) and digits into the field. */
static void put_number(struct sink *sink, const struct conversion *conversion, const char *prefix,
		       const char *digits, int nr_digits)
{
	int zeros = conversion->precision - nr_digits;
	int blanks;

	/* The flag fills the field with zeros unless a precision says how many. */
	if (conversion->zero && !conversion->left && conversion->precision < 0)
		zeros = conversion->width - nr_digits - (int)strlen(prefix);
	if (zeros < 0)
		zeros = 0;
	blanks = conversion->width - nr_digits - zeros - (int)strlen(prefix);
	if (!conversion->left)
		put_repeated(sink, ' ', blanks);
	put_bytes(sink, prefix, strlen(prefix));
	put_repeated(sink, '0', zeros);
	put_bytes(sink, digits, nr_digits);
	if (conversion->left)
		put_repeated(sink, ' ', blanks);
}

static void put_unsigned(struct sink *sink, const struct conversion *conversion,
			 const char *prefix, uint64_t value)
{
	const char *symbols = conversion->type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
	unsigned int base = conversion->type == 'u' ? 10 : 16;
	char digits[DIGITS_MAX];
	int first = DIGITS_MAX;

	/* Zero has one digit, and with a precision of zero none. */
	if (!value && conversion->precision)
		digits[--first] = '0';
	for (; value; value /= base)
		digits[--first] = symbols[value % base];
	put_number(sink, conversion, prefix, digits + first, DIGITS_MAX - first);
}

static void put_signed(struct sink *sink, struct conversion *conversion, int64_t value)
{
	conversion->type = 'u';
	put_unsigned(sink, conversion, value < 0 ? "-" : "",
		     value < 0 ? -(uint64_t)value : (uint64_t)value);
}

static void put_text(struct sink *sink, const struct conversion *conversion, const char *text,
		     size_t size)
{
	int blanks = conversion->width - (int)size;

	if (!conversion->left)
		put_repeated(sink, ' ', blanks);
	put_bytes(sink, text, size);
	if (conversion->left)
		put_repeated(sink, ' ', blanks);
}

static void put_string(struct sink *sink, const struct conversion *conversion, const char *string)
{
	size_t limit = conversion->precision < 0 ? SIZE_MAX : (size_t)conversion->precision;

	if (!string)
		string = "(null)";
	put_text(sink, conversion, string, strnlen(string, limit));
}

static void put_pointer(struct sink *sink, struct conversion *conversion, uint64_t value)
{
	if (!value) {
		put_text(sink, conversion, "(nil)", 5);
		return;
	}
	put_unsigned(sink, conversion, "0x", value);
}

static void format_to(struct sink *sink, const char *format, va_list *arguments)
{
	struct conversion conversion;
	char character;

	while (*format) {
		if (*format != '%') {
			put(sink, *format++);
			continue;
		}
		format = parse(format + 1, &conversion, arguments);
		switch (conversion.type) {
		case 'd':
		case 'i':
			put_signed(sink, &conversion, conversion.is_long ?
				   va_arg(*arguments, long) : va_arg(*arguments, int));
			break;
		case 'u':
		case 'x':
		case 'X':
			put_unsigned(sink, &conversion, "", conversion.is_long ?
				     va_arg(*arguments, unsigned long) :
				     va_arg(*arguments, unsigned int));
			break;
		case 'c':
			character = (char)va_arg(*arguments, int);
			put_text(sink, &conversion, &character, 1);
			break;
		case 's':
			put_string(sink, &conversion, va_arg(*arguments, const char *));
			break;
		case 'p':
			put_pointer(sink, &conversion, (uint64_t)va_arg(*arguments, void *));
			break;
		case '%':
			put(sink, '%');
			break;
		default:
			/* Unknown: the program's mistake is better seen than hidden. */
			put(sink, '%');
			if (conversion.type)
				put(sink, conversion.type);
		}
	}
}

int vsnprintf(char *buffer, size_t size, const char *format, va_list arguments)
{
	struct sink sink = { .buffer = buffer, .size = size ? size - 1 : 0, .fd = -1 };
	va_list copy;

	va_copy(copy, arguments);
	format_to(&sink, format, &copy);
	va_end(copy);
	if (size)
		buffer[sink.used] = 0;
	return sink.count;
}

int vdprintf(int fd, const char *format, va_list arguments)
{
	char buffer[256];
	struct sink sink = { .buffer = buffer, .size = sizeof(buffer), .fd = fd };
	va_list copy;

	va_copy(copy, arguments);
	format_to(&sink, format, &copy);
	va_end(copy);
	flush(&sink);
	return sink.failed ? -1 : (int)sink.count;
}

int snprintf(char *buffer, size_t size, const char *format, ...)
{
	va_list arguments;
	int count;

	va_start(arguments, format);
	count = vsnprintf(buffer, size, format, arguments);
	va_end(arguments);
	return count;
}

int dprintf(int fd, const char *format, ...)
{
	va_list arguments;
	int count;

	va_start(arguments, format);
	count = vdprintf(fd, format, arguments);
	va_end(arguments);
	return count;
}

int printf(const char *format, ...)
{
	va_list arguments;
	int count;

	va_start(arguments, format);
	count = vdprintf(STDOUT_FILENO, format, arguments);
	va_end(arguments);
	return count;
}

int putchar(int character)
{
	char byte = (char)character;

	return write(STDOUT_FILENO, &byte, 1) == 1 ? (unsigned char)byte : EOF;
}

int puts(const char *string)
{
	return printf("%s\n", string) < 0 ? EOF : 0;
}

void perror(const char *what)
{
	dprintf(STDERR_FILENO, "%s: %s\n", what, strerror(errno));
}
