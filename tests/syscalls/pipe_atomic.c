/* Are writes of up to PIPE_BUF bytes by several processes ever torn apart? */
#include "report.h"
#include <limits.h>
#include <sys/wait.h>

#define WRITERS 4
#define WRITES 60

/* A record: its size in two bytes, its writer's number, then the number of the write. */
static char record[PIPE_BUF];

static int record_size(int writer, int n)
{
	static const int sizes[] = { 4, 17, 500, 2047, 2049, 4000, PIPE_BUF - 1, PIPE_BUF };

	return sizes[(writer * 3 + n * 5) % ARRAY_SIZE(sizes)];
}

static void write_records(int fd, int writer)
{
	for (int n = 0; n < WRITES; n++) {
		int size = record_size(writer, n);

		memset(record, 'a' + writer, size);
		record[0] = size & 0xff;
		record[1] = size >> 8;
		record[2] = writer;
		record[3] = n;
		if (write(fd, record, size) != size)
			_exit(1);
	}
	_exit(0);
}

static int read_all(int fd, char *to, int size)
{
	int done = 0;

	while (done < size) {
		ssize_t n = read(fd, to + done, size - done);

		if (n <= 0)
			return done;
		done += n;
	}
	return done;
}

static int whole(const char *in, int writer, int size)
{
	for (int i = 4; i < size; i++)
		if (in[i] != 'a' + writer)
			return 0;
	return 1;
}

int main(void)
{
	int fds[2], next[WRITERS] = { 0 }, torn = 0, disorder = 0, records = 0, status;

	if (pipe(fds))
		die("make a pipe");
	for (int i = 0; i < WRITERS; i++)
		if (!fork()) {
			close(fds[0]);
			write_records(fds[1], i);
		}
	close(fds[1]);
	while (read_all(fds[0], record, 4) == 4) {
		int size = (unsigned char)record[0] | (unsigned char)record[1] << 8;
		int writer = record[2];

		if (size < 4 || size > PIPE_BUF || writer < 0 || writer >= WRITERS) {
			torn++;
			break;
		}
		disorder += record[3] != next[writer];
		torn += size != record_size(writer, next[writer]++);
		torn += read_all(fds[0], record + 4, size - 4) != size - 4;
		torn += !whole(record, writer, size);
		records++;
	}
	SHOW(records);
	SHOW(torn);
	SHOW(disorder);
	while (wait(&status) > 0)
		SHOW(status);
	return report_status();
}
