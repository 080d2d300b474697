/* Bytes and strings, one at a time. */
#include <errno.h>
#include <string.h>

void *memchr(const void *memory, int byte, size_t size)
{
	const unsigned char *at = memory;

	for (; size; at++, size--)
		if (*at == (unsigned char)byte)
			return (void *)at;
	return NULL;
}

int memcmp(const void *a, const void *b, size_t size)
{
	const unsigned char *x = a, *y = b;

	for (; size; x++, y++, size--)
		if (*x != *y)
			return *x - *y;
	return 0;
}

void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
	void *at = to;

	asm volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(size) : : "memory");
	return to;
}

void *memmove(void *to, const void *from, size_t size)
{
	char *target = to;
	const char *source = from;

	/* Where the end of the source would be overwritten, begin there. */
	if (target - source < (ptrdiff_t)size && target > source) {
		while (size--)
			target[size] = source[size];
		return to;
	}
	return memcpy(to, from, size);
}

void *memset(void *memory, int byte, size_t size)
{
	void *at = memory;

	asm volatile("rep stosb" : "+D"(at), "+c"(size) : "a"(byte) : "memory");
	return memory;
}

char *strchr(const char *string, int character)
{
	for (;; string++) {
		if (*string == (char)character)
			return (char *)string;
		if (!*string)
			return NULL;
	}
}

char *strrchr(const char *string, int character)
{
	const char *last = NULL;

	for (;; string++) {
		if (*string == (char)character)
			last = string;
		if (!*string)
			return (char *)last;
	}
}

int strcmp(const char *a, const char *b)
{
	for (; *a && *a == *b; a++, b++)
		;
	return (unsigned char)*a - (unsigned char)*b;
}

int strncmp(const char *a, const char *b, size_t size)
{
	for (; size && *a && *a == *b; a++, b++, size--)
		;
	return size ? (unsigned char)*a - (unsigned char)*b : 0;
}

char *strcpy(char *restrict to, const char *restrict from)
{
	return memcpy(to, from, strlen(from) + 1);
}

size_t strlen(const char *string)
{
	const char *end = string;

	while (*end)
		end++;
	return end - string;
}

size_t strnlen(const char *string, size_t size)
{
	const char *end = memchr(string, 0, size);

	return end ? (size_t)(end - string) : size;
}

char *strstr(const char *string, const char *part)
{
	size_t size = strlen(part);

	for (;; string++) {
		if (!strncmp(string, part, size))
			return (char *)string;
		if (!*string)
			return NULL;
	}
}

char *strerror(int error)
{
	switch (error) {
	case 0:
		return "Success";
	case EPERM:
		return "Operation not permitted";
	case ENOENT:
		return "No such file or directory";
	case EIO:
		return "Input/output error";
	case EBADF:
		return "Bad file descriptor";
	case ENOMEM:
		return "Cannot allocate memory";
	case EACCES:
		return "Permission denied";
	case EFAULT:
		return "Bad address";
	case EEXIST:
		return "File exists";
	case ENOTDIR:
		return "Not a directory";
	case EISDIR:
		return "Is a directory";
	case EINVAL:
		return "Invalid argument";
	case ENOTTY:
		return "Inappropriate ioctl for device";
	case ENOSYS:
		return "Function not implemented";
	default:
		return "Unknown error";
	}
}
