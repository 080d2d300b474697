/* Memory, numbers, the environment, and the end of the program. */
#ifndef STDLIB_H
#define STDLIB_H

#include <stddef.h>

#define EXIT_SUCCESS 0
#define EXIT_FAILURE 1

extern char **environ;

void exit(int status) __attribute__((noreturn));
char *getenv(const char *name);

long strtol(const char *string, char **end, int base);
int atoi(const char *string);

void *malloc(size_t size);
void *calloc(size_t count, size_t size);
void *realloc(void *memory, size_t size);
void free(void *memory);

#endif
