/* How does a child end whose stack is not memory? */
#include "process.h"

static void show_end(const char *what, unsigned long stack)
{
	long result = SYS_clone;

	/* The child pushes a word, if it can. */
	asm volatile("xor %%edx, %%edx\n\t"
		     "xor %%r10d, %%r10d\n\t"
		     "xor %%r8d, %%r8d\n\t"
		     "syscall\n\t"
		     "test %%rax, %%rax\n\t"
		     "jnz 1f\n\t"
		     "push %%rax\n\t"
		     "mov $60, %%eax\n\t"
		     "xor %%edi, %%edi\n\t"
		     "syscall\n"
		     "1:"
		     : "+a"(result)
		     : "D"((long)CLONE_VM | SIGCHLD), "S"(stack)
		     : "rcx", "rdx", "r8", "r10", "r11", "memory");
	if (result < 0)
		say("%s: %s\n", what, strerrorname_np(-result));
	else
		reap(what, result);
}

int main(void)
{
	char *page = map_pages(2);

	without_core();
	munmap(page + PAGE, PAGE);
	show_end("good", (unsigned long)page + PAGE);
	show_end("nowhere", 16);
	show_end("below memory", (unsigned long)page);
	show_end("the kernel's", 0xffffffff81000000);
	show_end("not canonical", 0x8000000000000000);
	show_end("odd", (unsigned long)page + PAGE - 3);
	mprotect(page, PAGE, PROT_READ);
	show_end("read only", (unsigned long)page + PAGE);
	return report_status();
}
