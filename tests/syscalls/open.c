/* What does open(2) make of its flags and modes, and which paths does it refuse? */
#include "report.h"

static char long_name[300];
static char long_path[5000];

static void show_flags(void)
{
	char byte;
	int fd;

	CALL(open, "file", O_RDONLY);
	CALL_OK(open, "file", O_WRONLY | O_CREAT | O_EXCL, 0644);
	CALL(open, "file", O_WRONLY | O_CREAT | O_EXCL, 0644);
	CALL_OK(open, "file", O_RDWR | O_CREAT, 0600);
	CALL_OK(open, "file", O_RDONLY | O_EXCL);
	CALL_OK(open, "file", O_RDONLY | O_NOFOLLOW);

	fd = CALL_OK(open, "file", O_RDWR);
	write(fd, "content", 7);
	close(fd);
	fd = CALL_OK(open, "file", O_WRONLY | O_APPEND);
	write(fd, "+", 1);
	close(fd);
	show_content("file");
	fd = CALL_OK(open, "file", O_WRONLY | O_TRUNC);
	close(fd);
	show_content("file");

	/* Neither to read nor to write: good for ioctl(2) only. */
	fd = CALL_OK(open, "file", O_ACCMODE);
	SHOW(read(fd, &byte, 1));
	SHOW(write(fd, &byte, 1));
	close(fd);
	fd = CALL_OK(open, "file", O_PATH);
	SHOW(read(fd, &byte, 1));
	SHOW(fcntl(fd, F_GETFL));
	close(fd);

	fd = CALL_OK(open, "file", O_RDONLY);
	SHOW(fcntl(fd, F_GETFD));
	close(fd);
	fd = CALL_OK(open, "file", O_RDONLY | O_CLOEXEC);
	SHOW(fcntl(fd, F_GETFD));
	close(fd);
	unlink("file");
}

static void show_mode(const char *name, int mask, int mode)
{
	struct stat status;
	int fd;

	umask(mask);
	fd = open(name, O_WRONLY | O_CREAT | O_EXCL, mode);
	fstat(fd, &status);
	say("umask %03o, mode %05o -> %05o\n", mask, mode, status.st_mode & 07777);
	close(fd);
	unlink(name);
	umask(022);
}

/* The mode counts from the next open on: this descriptor may write. */
static void show_no_permission(void)
{
	int fd = open("none", O_RDWR | O_CREAT | O_EXCL, 0);

	SHOW(write(fd, "x", 1));
	close(fd);
	unlink("none");
}

static void show_paths(void)
{
	mkdir("directory", 0755);
	close(make_file("file", ""));
	CALL_OK(open, "directory", O_RDONLY);
	CALL_OK(open, "directory", O_RDONLY | O_DIRECTORY);
	CALL_OK(open, "directory/", O_RDONLY);
	CALL(open, "directory", O_WRONLY);
	CALL(open, "directory", O_RDWR);
	CALL(open, "directory", O_RDONLY | O_CREAT, 0644);
	CALL(open, "directory", O_RDONLY | O_CREAT | O_EXCL, 0644);
	CALL(open, "file", O_RDONLY | O_DIRECTORY);
	CALL(open, "file/", O_RDONLY);
	CALL(open, "file/.", O_RDONLY);
	CALL(open, "file/below", O_RDONLY);
	CALL(open, "file/below", O_WRONLY | O_CREAT, 0644);
	CALL(open, "missing/file", O_RDONLY | O_CREAT, 0644);
	CALL(open, "missing/", O_RDONLY | O_CREAT, 0644);
	CALL(open, "missing/..", O_RDONLY);
	CALL(open, "", O_RDONLY);
	CALL(open, "", O_WRONLY | O_CREAT, 0644);
	CALL(open, NULL, O_RDONLY);
	CALL_OK(open, "directory/../file", O_RDONLY);
	CALL_OK(open, ".//./directory//..///file", O_RDONLY);
	CALL_OK(open, "/../../..", O_RDONLY);
	CALL_OK(open, "/", O_RDONLY);
	CALL(open, "/", O_WRONLY);

	memset(long_name, 'n', 255);
	CALL_OK(open, long_name, O_WRONLY | O_CREAT, 0644);
	SHOW(unlink(long_name));
	long_name[255] = 'n';
	CALL(open, long_name, O_RDONLY);
	CALL(open, long_name, O_WRONLY | O_CREAT, 0644);
	/* 4095 bytes and the NUL are as long as a path may be. */
	memset(long_path, '/', 4095);
	CALL_OK(open, long_path, O_RDONLY);
	long_path[4095] = '/';
	CALL(open, long_path, O_RDONLY);

	unlinkat(AT_FDCWD, "directory", AT_REMOVEDIR);
	unlink("file");
}

int main(void)
{
	enter_scratch("open");
	show_flags();
	show_mode("mode", 022, 0666);
	show_mode("mode", 077, 0777);
	show_mode("mode", 0, 04755);
	show_mode("mode", 0777, 0777);
	show_no_permission();
	show_paths();
	leave_scratch();
	return report_status();
}
