/* How does readv(2) fill its buffers, and which vectors does it refuse? */
#include "report.h"
#include <sys/uio.h>

static struct iovec many[1025];

int main(void)
{
	char first[4] = "", second[4] = "", third[16] = "";
	struct iovec vector[] = {
		{ first, 3 }, { NULL, 0 }, { second, 3 }, { third, 15 },
	};
	struct iovec bad[] = { { first, 3 }, { (void *)8, 3 } };
	struct iovec negative[] = { { first, 3 }, { second, -1 } };
	struct iovec huge[] = { { first, 1L << 62 }, { second, 1L << 62 } };
	int fd;

	enter_scratch("readv");
	fd = make_file("file", "0123456789");
	CALL(readv, fd, vector, 4L);
	say("\"%s\" \"%s\" \"%s\"\n", first, second, third);
	CALL(readv, fd, vector, 4L);
	lseek(fd, 0, SEEK_SET);
	CALL(readv, fd, vector, 0L);
	CALL(readv, fd, NULL, 0L);
	CALL(readv, fd, vector, 1L);
	SHOW(lseek(fd, 0, SEEK_CUR));

	/* What came before the bad buffer counts. */
	lseek(fd, 0, SEEK_SET);
	CALL(readv, fd, bad, 2L);
	SHOW(lseek(fd, 0, SEEK_CUR));
	CALL(readv, fd, bad + 1, 1L);

	CALL(readv, fd, negative, 2L);
	CALL(readv, fd, huge, 2L);
	CALL(readv, fd, vector, -1L);
	CALL(readv, fd, NULL, 1L);
	CALL(readv, -1, vector, 1L);
	for (size_t i = 0; i < ARRAY_SIZE(many); i++)
		many[i] = (struct iovec){ first, 1 };
	lseek(fd, 0, SEEK_SET);
	CALL(readv, fd, many, 1024L);
	CALL(readv, fd, many, 1025L);
	SHOW(readv(open("file", O_WRONLY), vector, 1));
	SHOW(readv(open(".", O_RDONLY), vector, 1));

	unlink("file");
	leave_scratch();
	return report_status();
}
