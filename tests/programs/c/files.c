/* Do stdio's files work: write, seek, read back, append, remove? */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int main(void)
{
	char line[128], name[64];
	struct stat st;
	FILE *f;

	snprintf(name, sizeof(name), "/tmp/files-%d", (int)getpid());
	f = fopen(name, "w+");
	if (!f)
		return 1;
	for (int i = 0; i < 3000; i++)
		fprintf(f, "line %d of the file\n", i);
	printf("%ld\n", ftell(f));
	fseek(f, 20000, SEEK_SET);
	fgets(line, sizeof(line), f);
	fgets(line, sizeof(line), f);
	fputs(line, stdout);
	fseek(f, -30, SEEK_END);
	printf("%zu\n", fread(line, 1, sizeof(line), f));
	printf("eof %d error %d\n", feof(f), ferror(f));
	fclose(f);
	f = fopen(name, "a");
	fputs("end\n", f);
	fclose(f);
	stat(name, &st);
	printf("%lld %o\n", (long long)st.st_size, (unsigned)st.st_mode & S_IFMT);
	printf("%d\n", unlink(name));
	f = fopen(name, "r");
	printf("%s\n", f ? "open" : strerror(errno));
	return 3;
}
