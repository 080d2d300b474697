/* Does the clock of user time stand still in the kernel, for a process and for a thread? */
#include "timer.h"

static void compare(clockid_t prof, clockid_t user)
{
	int64_t first_prof, first_user;
	struct timespec time;

	CALL(clock_gettime, prof, &time);
	CALL(clock_gettime, user, &time);
	first_user = clock_now(user);
	first_prof = clock_now(prof);
	CHECK(first_user <= first_prof);
	UNTIL(clock_now(prof) - first_prof >= clock_now(user) - first_user + 20 * MS, use_kernel());
	first_user = clock_now(user);
	first_prof = clock_now(prof);
	UNTIL(clock_now(user) - first_user >= 20 * MS, use_ring3());
	CHECK(clock_now(prof) - first_prof >= 20 * MS);
}

int main(void)
{
	SHOW(CLOCK_PROCESS_USER_TIME);
	compare(CLOCK_PROCESS_PROF, CLOCK_PROCESS_USER_TIME);
	compare(CLOCK_THREAD_PROF, CLOCK_THREAD_USER_TIME);
	return report_status();
}
