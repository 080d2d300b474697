/* Are the vDSO's functions found by a walk through its tables, under both names, with a version? */
#include "vdso.h"

int main(void)
{
	static const char *const names[] = { "clock_gettime", "gettimeofday", "time", "getcpu",
					     "clock_getres" };
	const Elf64_Ehdr *header;

	CHECK(open_vdso());
	header = (void *)vdso_start;
	SHOW(memcmp(header->e_ident, ELFMAG, SELFMAG));
	SHOW(header->e_ident[EI_CLASS]);
	SHOW(header->e_type);
	SHOW(header->e_machine);
	SHOW((uint64_t)header % PAGE);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char full[64];
		int weak, global;

		snprintf(full, sizeof(full), "__vdso_%s", names[i]);
		weak = vdso_find(names[i]);
		global = vdso_find(full);
		say("%s@%s, %s@%s\n", names[i], vdso_version(weak), full, vdso_version(global));
		SHOW(ELF64_ST_BIND(vdso_symbols[weak].st_info));
		SHOW(ELF64_ST_BIND(vdso_symbols[global].st_info));
		SHOW(ELF64_ST_TYPE(vdso_symbols[weak].st_info));
		CHECK(vdso_symbols[weak].st_value == vdso_symbols[global].st_value);
		CHECK(vdso_symbols[weak].st_size > 0);
		CHECK(vdso_symbols[weak].st_shndx != SHN_UNDEF);
	}
	SHOW(vdso_find("clock_settime"));
	SHOW(vdso_find("__vdso_nothing"));
	return report_status();
}
