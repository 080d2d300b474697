/*
 * Who dies when a terminal is hung up?
 *
 * at "wait": hang up
 */
#include "process.h"
#include "terminal.h"

int main(void)
{
	write(1, "wait", 4);
	for (;;)
		pause_ms(10000);
}
