/* Has a child its parent's registers, those of floating point and of vectors included? */
#include "process.h"

struct registers {
	unsigned long general[6];
	unsigned long vector[4];
	unsigned mxcsr;
	unsigned short control;
	double x87;
};

/* Set registers, make the call and store them: nothing of ours comes in between. */
static long fork_with_registers(struct registers *seen)
{
	long result = SYS_fork;
	static const unsigned mxcsr = 0x7f80; /* towards zero */
	static const unsigned short control = 0x0f7f; /* the same */
	static const double number = 1.25;

	asm volatile("fninit\n\t"
		     "ldmxcsr %[mxcsr]\n\t"
		     "fldcw %[control]\n\t"
		     "fldl %[number]\n\t"
		     "movabs $0x1111111111111111, %%rbx\n\t"
		     "movabs $0x1212121212121212, %%r12\n\t"
		     "movabs $0x1313131313131313, %%r13\n\t"
		     "movabs $0x1414141414141414, %%r14\n\t"
		     "movabs $0x1515151515151515, %%r15\n\t"
		     "movabs $0x0808080808080808, %%r8\n\t"
		     "movq %%rbx, %%xmm3\n\t"
		     "movq %%r12, %%xmm4\n\t"
		     "punpcklqdq %%xmm4, %%xmm3\n\t"
		     "movdqa %%xmm3, %%xmm15\n\t"
		     "syscall\n\t"
		     "mov %%rbx, 0(%[seen])\n\t"
		     "mov %%r12, 8(%[seen])\n\t"
		     "mov %%r13, 16(%[seen])\n\t"
		     "mov %%r14, 24(%[seen])\n\t"
		     "mov %%r15, 32(%[seen])\n\t"
		     "mov %%r8, 40(%[seen])\n\t"
		     "movdqu %%xmm3, 48(%[seen])\n\t"
		     "movdqu %%xmm15, 64(%[seen])\n\t"
		     "stmxcsr 80(%[seen])\n\t"
		     "fnstcw 84(%[seen])\n\t"
		     "fstpl 88(%[seen])\n\t"
		     "fninit\n\t"
		     : "+a"(result)
		     : [seen] "D"(seen), [mxcsr] "m"(mxcsr), [control] "m"(control),
		       [number] "m"(number)
		     : "rbx", "rcx", "r8", "r11", "r12", "r13", "r14", "r15", "xmm3", "xmm4",
		       "xmm15", "memory", "cc");
	asm volatile("ldmxcsr %0" : : "m"(*(unsigned[]){ 0x1f80 }));
	return result;
}

static void show_registers(const char *who, const struct registers *seen)
{
	for (int i = 0; i < 6; i++)
		say("%s: general %lx\n", who, seen->general[i]);
	for (int i = 0; i < 4; i++)
		say("%s: vector %lx\n", who, seen->vector[i]);
	say("%s: mxcsr %x control %x x87 %ld/100\n", who, seen->mxcsr, seen->control,
	    (long)(seen->x87 * 100));
}

int main(void)
{
	struct registers seen = {};
	long child = fork_with_registers(&seen);

	if (child < 0)
		die("fork");
	if (!child) {
		show_registers("child", &seen);
		_exit(0);
	}
	reap("child", child);
	show_registers("parent", &seen);
	return report_status();
}
