/* Does pwrite64(2) write where it is told, and what does O_APPEND make of it? */
#include "report.h"

int main(void)
{
	int fd, read_only, append;

	enter_scratch("pwrite64");
	fd = make_file("file", "0123456789");
	lseek(fd, 2, SEEK_SET);
	CALL(pwrite64, fd, "ab", 2L, 5L);
	SHOW(lseek(fd, 0, SEEK_CUR));
	show_content("file");
	CALL(pwrite64, fd, "cd", 2L, 9L);
	CALL(pwrite64, fd, "ef", 2L, 13L);
	show_content("file");
	CALL(pwrite64, fd, "", 0L, 100L);
	SHOW(lseek(fd, 0, SEEK_END));

	/* Linux appends whatever the offset says; see BUGS in pwrite(2). */
	append = open("file", O_WRONLY | O_APPEND);
	CALL(pwrite64, append, "+", 1L, 0L);
	show_content("file");

	CALL(pwrite64, fd, "x", 1L, -1L);
	CALL(pwrite64, -1, "x", 1L, 0L);
	CALL(pwrite64, fd, NULL, 1L, 0L);
	read_only = open("file", O_RDONLY);
	CALL(pwrite64, read_only, "x", 1L, 0L);

	unlink("file");
	leave_scratch();
	return report_status();
}
