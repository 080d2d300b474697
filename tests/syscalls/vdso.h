/*
 * What the programs about the vDSO share: a walk through it by hand, as
 * vdso(7) has it, past whatever the library knows.
 */
#ifndef VDSO_H
#define VDSO_H

#include "timer.h"
#include <elf.h>
#include <sys/auxv.h>

static const char *vdso_start;
static uint64_t vdso_size; /* of its pages */
static const Elf64_Sym *vdso_symbols;
static const char *vdso_strings;
static const Elf64_Versym *vdso_versions;
static const Elf64_Verdef *vdso_definitions;
static const uint32_t *vdso_gnu_hash;

/* Find the tables of the vDSO; 0 if there is none. */
static inline int open_vdso(void)
{
	const Elf64_Ehdr *header = (void *)getauxval(AT_SYSINFO_EHDR);
	const Elf64_Phdr *segment;
	const Elf64_Dyn *entry = NULL;
	uint64_t bias = 0;

	if (!header)
		return 0;
	vdso_start = (void *)header;
	segment = (void *)(vdso_start + header->e_phoff);
	for (int i = 0; i < header->e_phnum; i++, segment++) {
		if (segment->p_type == PT_LOAD) {
			bias = (uint64_t)header + segment->p_offset - segment->p_vaddr;
			vdso_size = (segment->p_memsz + PAGE - 1) & -PAGE;
		} else if (segment->p_type == PT_DYNAMIC)
			entry = (void *)(vdso_start + segment->p_offset);
	}
	if (!entry)
		return 0;
	for (; entry->d_tag != DT_NULL; entry++) {
		const void *place = (void *)(bias + entry->d_un.d_ptr);

		switch (entry->d_tag) {
		case DT_SYMTAB: vdso_symbols = place; break;
		case DT_STRTAB: vdso_strings = place; break;
		case DT_VERSYM: vdso_versions = place; break;
		case DT_VERDEF: vdso_definitions = place; break;
		case DT_GNU_HASH: vdso_gnu_hash = place; break;
		}
	}
	return vdso_symbols && vdso_strings && vdso_versions && vdso_definitions && vdso_gnu_hash;
}

/* The name of a symbol's version. */
static inline const char *vdso_version(int index)
{
	const Elf64_Verdef *definition = vdso_definitions;

	for (;;) {
		const Elf64_Verdaux *name = (void *)((char *)definition + definition->vd_aux);

		if (definition->vd_ndx == (vdso_versions[index] & 0x7fff))
			return vdso_strings + name->vda_name;
		if (!definition->vd_next)
			return "none";
		definition = (void *)((char *)definition + definition->vd_next);
	}
}

/* The number of a symbol, by the hash table of GNU; 0 if there is none. */
static inline int vdso_find(const char *name)
{
	const uint32_t *table = vdso_gnu_hash;
	uint32_t buckets = table[0], first = table[1], words = table[2], shift = table[3];
	const uint64_t *bloom = (void *)(table + 4);
	const uint32_t *bucket = (void *)(bloom + words), *chain = bucket + buckets;
	uint32_t hash = 5381;

	for (const char *c = name; *c; c++)
		hash = hash * 33 + (unsigned char)*c;
	uint64_t word = bloom[hash / 64 % words];
	if (!(word >> hash % 64 & 1) || !(word >> (hash >> shift) % 64 & 1))
		return 0;
	for (uint32_t i = bucket[hash % buckets]; i >= first; i++) {
		if ((chain[i - first] | 1) == (hash | 1) &&
		    !strcmp(vdso_strings + vdso_symbols[i].st_name, name))
			return i;
		if (chain[i - first] & 1)
			break;
	}
	return 0;
}

/* The address of a function. */
static inline void *vdso_function(const char *name)
{
	int index = vdso_find(name);

	if (!index) {
		errno = ENOENT;
		die(name);
	}
	return (void *)(vdso_start + vdso_symbols[index].st_value);
}

#endif
