/* By which signal does a fault of the processor end a child? */
#include "process.h"
#include <sys/user.h>

static char *volatile nowhere;
static const char constant[PAGE] = "constant";
static char file_mapping_name[] = "empty";

static void read_null(void)
{
	*(volatile char *)nowhere;
}

static void write_null(void)
{
	*(volatile char *)nowhere = 1;
}

static void jump_null(void)
{
	((void (*)(void))nowhere)();
}

static void read_kernel(void)
{
	*(volatile char *)0xffffffff80000000;
}

static void read_noncanonical(void)
{
	*(volatile char *)0x8000000000000000;
}

static void write_text(void)
{
	*(volatile char *)write_text = 1;
}

static void write_constant(void)
{
	*(volatile char *)constant = 1;
}

static void run_data(void)
{
	static char code[] = { 0xc3 };

	((void (*)(void))code)();
}

static void run_stack(void)
{
	volatile char code[] = { 0xc3 };

	((void (*)(void))code)();
}

static void descend(volatile int *depth)
{
	volatile char frame[PAGE];

	for (int i = 0; i < PAGE; i++)
		frame[i] = i;
	if (++*depth)
		descend(depth);
	frame[0] = frame[1];
}

static void overflow_stack(void)
{
	volatile int depth = 0;

	descend(&depth);
}

static void divide_by_zero(void)
{
	volatile int zero = 0;
	volatile int one = 1;

	one /= zero;
}

static void divide_too_large(void)
{
	volatile int least = -0x7fffffff - 1, minus = -1;

	least /= minus;
}

static void undefined(void)
{
	asm volatile("ud2");
}

static void breakpoint(void)
{
	asm volatile("int3");
}

static void privileged(void)
{
	asm volatile("hlt");
}

static void port(void)
{
	asm volatile("outb %al, $0x80");
}

static void control_register(void)
{
	asm volatile("mov %%cr3, %%rax" : : : "rax");
}

static void interrupt(void)
{
	asm volatile("int $0x21");
}

static void beyond_file(void)
{
	int fd = open(file_mapping_name, O_RDONLY);

	*(volatile char *)mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
}

static void library_abort(void)
{
	abort();
}

#define FAULT(name) { #name, name }

static const struct {
	const char *name;
	void (*commit)(void);
} fault[] = {
	FAULT(read_null),
	FAULT(write_null),
	FAULT(jump_null),
	FAULT(read_kernel),
	FAULT(read_noncanonical),
	FAULT(write_text),
	FAULT(write_constant),
	FAULT(run_data),
	FAULT(run_stack),
	FAULT(overflow_stack),
	FAULT(divide_by_zero),
	FAULT(divide_too_large),
	FAULT(undefined),
	FAULT(breakpoint),
	FAULT(privileged),
	FAULT(port),
	FAULT(control_register),
	FAULT(interrupt),
	FAULT(beyond_file),
	FAULT(library_abort),
};

int main(void)
{
	pid_t child;

	enter_scratch("wait4_faults");
	close(make_file(file_mapping_name, ""));
	for (unsigned i = 0; i < ARRAY_SIZE(fault); i++) {
		child = spawn();
		if (!child) {
			without_core();
			fault[i].commit();
			_exit(0);
		}
		reap(fault[i].name, child);
	}
	/* Neither ignored nor blocked: a fault cannot be put off. */
	child = spawn();
	if (!child) {
		without_core();
		set_action(SIGSEGV, SIG_IGN, 0);
		write_null();
		_exit(0);
	}
	reap("ignored", child);
	child = spawn();
	if (!child) {
		without_core();
		block(SIGFPE);
		divide_by_zero();
		_exit(0);
	}
	reap("blocked", child);
	unlink(file_mapping_name);
	leave_scratch();
	return report_status();
}
