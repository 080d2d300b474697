/* What does uname(2) call the system and the machine? */
#include "report.h"
#include <sys/utsname.h>

int main(void)
{
	struct utsname name;

	memset(&name, '#', sizeof(name));
	CALL(uname, &name);
	say("%s %s\n", name.sysname, name.machine);
	CHECK(strlen(name.release) > 0 && strlen(name.release) < sizeof(name.release));
	CHECK(strlen(name.version) > 0 && strlen(name.version) < sizeof(name.version));
	CHECK(strlen(name.nodename) > 0 && strlen(name.nodename) < sizeof(name.nodename));
	CHECK(strlen(name.domainname) < sizeof(name.domainname));
	CALL(uname, NULL);
	return report_status();
}
