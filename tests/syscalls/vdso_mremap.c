/* Can the vDSO be moved as a whole, as checkpoint/restore does, but not made larger? */
#include "vdso.h"

int main(void)
{
	char *place, *moved;

	if (!open_vdso())
		die("find the vDSO");
	place = map_pages(8);
	moved = mremap((void *)vdso_start, vdso_size, vdso_size + PAGE, MREMAP_MAYMOVE);
	SHOW(moved == MAP_FAILED && errno == EFAULT);
	moved = mremap((void *)vdso_start, vdso_size, vdso_size, MREMAP_MAYMOVE | MREMAP_FIXED,
		       place);
	CHECK(moved == place);
	SHOW(readable(vdso_start));
	SHOW(readable(moved));
	SHOW(memcmp(moved, ELFMAG, SELFMAG));
	SHOW(madvise(moved, PAGE, MADV_DONTNEED));
	SHOW(memcmp(moved, ELFMAG, SELFMAG));
	return report_status();
}
