/*
 * A child dies of SIGSEGV among variables of all kinds; the core goes to standard output.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

void *nothing;

enum colour { RED, GREEN = 5, BLUE };
struct point { int x, y; };
union word { uint32_t whole; uint8_t bytes[4]; };
typedef struct node {
	const char *name;
	struct point at;
	enum colour colour;
	unsigned flags : 3, rest : 5;
	double weight;
	struct node *next;
	int (*work)(int, struct node *);
	struct { long inner; };
} node_t;

static int count(int n, struct node *list)
{
	int total = 0;
	for (struct node *p = list; p; p = p->next) {
		int step = p->at.x * n;
		total += step;
		if (!p->next)
			*(volatile int *)nothing = total;
	}
	return total;
}

static node_t second = { "second \"2\"\n", { -3, 4 }, BLUE, 7, 9, -0.25, 0, count, { 1L << 40 } };
static node_t first = { "first", { 1, 2 }, GREEN, 1, 2, 1.5, &second, 0, { -1 } };
static node_t *list = &first;
int matrix[2][3] = { { 1, 2, 3 }, { 4, 5, 6 } };
short zeros[20], nines[9], ones[12] = { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2 };
char text[8] = "abc", tens[11] = "aaaaaaaaaa", elevens[40] = "aaaaaaaaaaab", ten[10];
unsigned char bytes[4] = { 1, 'A', 255, 0 };
union word word = { 0x01020304 };
bool yes = true, no;
uint64_t big = 1ull << 63;
int64_t small = -5;
float third = 1.0f / 3;
const char letter = 'q';
enum colour colours[3] = { RED, BLUE, 3 };
volatile unsigned hexadecimal = 0xdeadbeef;

static int child(int argc)
{
	int result = argc;
	struct point here = { argc, 20 };
	char buffer[16];
	static int calls = 3;

	memset(buffer, 0, sizeof(buffer));
	strcpy(buffer, "local");
	{
		int result = here.y + calls;
		zeros[0] = result;
		result = count(7, list);
	}
	return result;
}

int main(int argc, char **argv)
{
	struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
	char buffer[4096];
	ssize_t n;
	int core;

	(void)argv;
	setrlimit(RLIMIT_CORE, &limit);
	if (!fork())
		_exit(child(argc));
	wait(NULL);
	core = open("core", O_RDONLY);
	while ((n = read(core, buffer, sizeof(buffer))) > 0)
		write(STDOUT_FILENO, buffer, n);
	return n < 0;
}
