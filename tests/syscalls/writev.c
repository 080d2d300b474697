/* How does writev(2) gather its buffers, and which vectors does it refuse? */
#include "report.h"
#include <sys/uio.h>

static struct iovec many[1025];

int main(void)
{
	struct iovec vector[] = {
		{ "one", 3 }, { NULL, 0 }, { "two", 3 }, { "three", 5 },
	};
	struct iovec bad[] = { { "abc", 3 }, { (void *)8, 3 } };
	struct iovec negative[] = { { "abc", 3 }, { "def", -1 } };
	int fd;

	enter_scratch("writev");
	fd = make_file("file", "");
	CALL(writev, fd, vector, 4L);
	show_content("file");
	CALL(writev, fd, vector, 0L);
	CALL(writev, fd, NULL, 0L);
	SHOW(lseek(fd, 0, SEEK_CUR));

	lseek(fd, 0, SEEK_SET);
	CALL(writev, fd, bad, 2L);
	SHOW(lseek(fd, 0, SEEK_CUR));
	show_content("file");
	CALL(writev, fd, bad + 1, 1L);

	CALL(writev, fd, negative, 2L);
	CALL(writev, fd, vector, -1L);
	CALL(writev, fd, NULL, 1L);
	CALL(writev, -1, vector, 1L);
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = (struct iovec){ "x", 1 };
	CALL(writev, fd, many, 1024L);
	CALL(writev, fd, many, 1025L);
	SHOW(writev(open("file", O_RDONLY), vector, 1));
	SHOW(writev(open("/dev/null", O_WRONLY), vector, 4));

	unlink("file");
	leave_scratch();
	return report_status();
}
