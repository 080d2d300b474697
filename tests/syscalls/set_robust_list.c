/* Which size does set_robust_list(2) want, and does it look at the list? */
#include "report.h"
#include <linux/futex.h>

int main(void)
{
	struct robust_list_head head = { { &head.list }, 0, NULL };
	static struct robust_list_head *old;
	size_t size;

	CALL(get_robust_list, 0, &old, &size);
	SHOW(size);
	CALL(set_robust_list, &head, (long)sizeof(head));
	CALL(set_robust_list, &head, 0L);
	CALL(set_robust_list, &head, 16L);
	CALL(set_robust_list, &head, -1L);
	/* The address is kept as it is. */
	CALL(set_robust_list, (void *)8, (long)sizeof(head));
	CALL(set_robust_list, NULL, (long)sizeof(head));
	CALL(set_robust_list, old, (long)sizeof(head));
	return report_status();
}
