/* Does umask(2) return the old mask, and which bits does it keep? */
#include "report.h"

int main(void)
{
	umask(0);
	CALL(umask, 022);
	CALL(umask, 077);
	CALL(umask, 0);
	CALL(umask, 07777);
	CALL(umask, -1);
	CALL(umask, 0);
	return report_status();
}
