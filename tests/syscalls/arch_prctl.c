/* Do the bases of FS and GS go where arch_prctl(2) puts them, and what does it refuse? */
#include "report.h"
#include <asm/prctl.h>

static unsigned long from_fs(void)
{
	unsigned long value;

	asm volatile("mov %%fs:0, %0" : "=r"(value));
	return value;
}

static unsigned long from_gs(unsigned long offset)
{
	unsigned long value;

	asm volatile("mov %%gs:(%1), %0" : "=r"(value) : "r"(offset));
	return value;
}

int main(void)
{
	static unsigned long area[4] = { 11, 22, 33, 44 };
	unsigned long fs, gs;

	/* The library keeps its thread's address at FS:0. */
	CALL(arch_prctl, ARCH_GET_FS, &fs);
	CHECK(fs != 0 && fs == from_fs());
	CALL(arch_prctl, ARCH_SET_FS, fs);
	CHECK(fs == from_fs());

	CALL(arch_prctl, ARCH_GET_GS, &gs);
	SHOW(gs);
	CALL(arch_prctl, ARCH_SET_GS, area);
	CALL(arch_prctl, ARCH_GET_GS, &gs);
	CHECK(gs == (unsigned long)area);
	SHOW(from_gs(0));
	SHOW(from_gs(16));
	/* It survives the way into the kernel and back, and a sleep. */
	usleep(1000);
	SHOW(from_gs(8));
	CHECK(fs == from_fs());
	CALL(arch_prctl, ARCH_SET_GS, 0L);
	CALL(arch_prctl, ARCH_GET_GS, &gs);
	SHOW(gs);

	CALL(arch_prctl, ARCH_SET_FS, 0xffff888000000000);
	CALL(arch_prctl, ARCH_SET_GS, 0xffff888000000000);
	CALL(arch_prctl, ARCH_SET_GS, 1L << 47);
	CALL(arch_prctl, ARCH_SET_GS, -1L);
	CHECK(fs == from_fs());
	CALL(arch_prctl, ARCH_GET_FS, NULL);
	CALL(arch_prctl, ARCH_GET_GS, 0xffff888000000000);
	CALL(arch_prctl, 0, &fs);
	CALL(arch_prctl, 0x9999, &fs);
	CALL(arch_prctl, -1, &fs);
	return report_status();
}
