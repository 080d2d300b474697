/* Can a handler repair what has faulted, so that the instruction goes on? */
#include "signals.h"

static char *area;
static volatile int faults;
static volatile int codes[4], is_write[4], pages[4];

static void handler(int signal, siginfo_t *info, void *context)
{
	ucontext_t *uc = context;
	char *page = (char *)((unsigned long)info->si_addr & -PAGE);
	int i = faults++ & 3;

	(void)signal;
	codes[i] = info->si_code;
	is_write[i] = uc->uc_mcontext.gregs[REG_ERR] >> 1 & 1;
	pages[i] = (page - area) / PAGE;
	if (uc->uc_mcontext.gregs[REG_TRAPNO] != 14 ||
	    uc->uc_mcontext.gregs[REG_CR2] != (long)info->si_addr)
		say("not a page fault\n");
	if (info->si_code == SEGV_MAPERR)
		mmap(page, PAGE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	else
		mprotect(page, PAGE, PROT_READ | PROT_WRITE);
}

static void show_faults(const char *what)
{
	say("%s: %d faults\n", what, faults);
	for (int i = 0; i < faults && i < 4; i++)
		say("  page %d %s, %s\n", pages[i],
		    codes[i] == SEGV_ACCERR ? "SEGV_ACCERR" : "SEGV_MAPERR",
		    is_write[i] ? "write" : "read");
	faults = 0;
}

int main(void)
{
	struct sigaction action = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO };
	unsigned long word;

	area = map_pages(8);
	memset(area, 7, 8 * PAGE);
	sigaction(SIGSEGV, &action, NULL);

	mprotect(area, PAGE, PROT_READ);
	area[5] = 1;
	show_faults("write to a read-only page");
	mprotect(area + PAGE, PAGE, PROT_NONE);
	SHOW(area[PAGE + 5]);
	show_faults("read of one without access");
	munmap(area + 2 * PAGE, PAGE);
	SHOW(area[2 * PAGE + 5]);
	show_faults("read of one not mapped");
	/* One instruction, two faults. */
	mprotect(area + 3 * PAGE, 2 * PAGE, PROT_NONE);
	*(unsigned long *)(area + 4 * PAGE - 4) = 0x1122334455667788;
	show_faults("write over two pages");
	memcpy(&word, area + 4 * PAGE - 4, sizeof(word));
	CHECK(word == 0x1122334455667788);
	/* rep movsb goes on where it was. */
	mprotect(area + 5 * PAGE, 2 * PAGE, PROT_NONE);
	memset(area + 4 * PAGE, 'x', PAGE);
	{
		char *to = area + 5 * PAGE - 100, *from = area + 4 * PAGE;
		long count = 300;

		asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
		CHECK(to == area + 5 * PAGE + 200);
	}
	show_faults("rep movsb");
	SHOW(area[5 * PAGE + 199]);
	SHOW(area[5 * PAGE + 200]);
	/* The kernel takes no such help: it fails, and sends nothing. */
	mprotect(area + 7 * PAGE, PAGE, PROT_NONE);
	CALL(getrandom, area + 7 * PAGE, 8L, 0);
	show_faults("by the kernel");
	return report_status();
}
