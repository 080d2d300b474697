/* Does get_robust_list(2) give back what was set, and for whom? */
#include "report.h"
#include <linux/futex.h>

#define NO_SUCH_PID 0x7ffffff0

int main(void)
{
	struct robust_list_head head = { { &head.list }, 0, NULL };
	struct robust_list_head *list, *library;
	size_t size = 0;

	CALL(get_robust_list, 0, &library, &size);
	SHOW(size);
	CALL(set_robust_list, &head, (long)sizeof(head));
	CALL(get_robust_list, 0, &list, &size);
	CHECK(list == &head);
	CALL(get_robust_list, getpid(), &list, &size);
	CHECK(list == &head);
	CALL(get_robust_list, NO_SUCH_PID, &list, &size);
	CALL(get_robust_list, -1, &list, &size);
	CALL(get_robust_list, 0, NULL, &size);
	CALL(get_robust_list, 0, &list, NULL);
	CALL(set_robust_list, library, (long)sizeof(head));
	return report_status();
}
