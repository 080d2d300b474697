/* Which name and which attributes does prctl(2) keep, and what does it refuse? */
#include "report.h"
#include <sys/prctl.h>

static void show_name(const char *name)
{
	char kept[32];

	memset(kept, '#', sizeof(kept));
	CALL(prctl, PR_SET_NAME, name);
	CALL(prctl, PR_GET_NAME, kept);
	/* All sixteen bytes are written, and no more. */
	CHECK(kept[15] == 0 && kept[16] == '#');
	say("\"%s\" -> \"%s\"\n", name, kept);
}

int main(void)
{
	char kept[16];

	CALL(prctl, PR_GET_NAME, kept);
	say("at first \"%s\"\n", kept);
	show_name("short");
	show_name("");
	show_name("fifteen letters");
	show_name("more than fifteen letters");
	CALL(prctl, PR_SET_NAME, NULL);
	CALL(prctl, PR_GET_NAME, NULL);

	CALL(prctl, PR_GET_DUMPABLE, 0L, 0L, 0L, 0L);
	CALL(prctl, PR_SET_DUMPABLE, 0L, 0L, 0L, 0L);
	CALL(prctl, PR_GET_DUMPABLE, 0L, 0L, 0L, 0L);
	CALL(prctl, PR_SET_DUMPABLE, 1L, 0L, 0L, 0L);
	CALL(prctl, PR_SET_DUMPABLE, 2L, 0L, 0L, 0L);
	CALL(prctl, PR_SET_DUMPABLE, -1L, 0L, 0L, 0L);
	CALL(prctl, PR_GET_DUMPABLE, 0L, 0L, 0L, 0L);

	CALL(prctl, 0, 0L, 0L, 0L, 0L);
	CALL(prctl, 9999, 0L, 0L, 0L, 0L);
	CALL(prctl, -1, 0L, 0L, 0L, 0L);
	return report_status();
}
