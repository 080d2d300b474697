#include <sys/mman.h>

int main(void)
{
	char *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	page[5] = 1;
	mprotect(page, 4096, PROT_READ);
	page[6] = 2;
	return 0;
}
