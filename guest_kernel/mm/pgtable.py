"""The editor of page tables.

The walkers are elsewhere: the CPU's own, and :mod:`emulator.cpu.mmu`.  They and this file share
:mod:`emulator.arch.paging` and nothing else, so that each tests the other.

**What an entry of ours means.**  Beside the bits that the processor knows, a last-level entry of a
user page table uses these:

    P = 0, all bits 0      nothing was ever mapped here
    P = 0, PROTNONE (8)    a frame is mapped, but PROT_NONE (bit 8 is Global only if P = 1)
    SPECIAL (9)            the frame is not counted: the zero page, or a special mapping
    ANON (10)              the frame belongs to this mapping, not to a file: a private one's copy
    SHMEM (11)             the frame belongs to shared anonymous memory

PROTNONE and SPECIAL are Linux's (``_PAGE_PROTNONE``, ``_PAGE_SPECIAL``); Linux finds ANON and SHMEM
in ``struct page``.  With them in the entry, unmapping and forking need no look at frames or VMAs to
know what they do.

**Tables shared by fork.**  A last-level table may belong to several address spaces.  Then its
frame's reference count is their number, and the PD entry of each lacks R/W, so that no write gets
through whatever the table's own entries say.  Whoever wants to change such a table first makes it
private with :func:`unshare_table`; :func:`pte_alloc` does.

Accessed is set in every entry of ours from the start, as Linux x86 has it, and Dirty in entries
that point to tables and in kernel mappings: the native exception microcode pushes frames through
kernel mappings without setting bits.

See: Intel SDM vol. 3A, "4-Level Paging and 5-Level Paging"; Linux arch/x86/mm/pgtable.c,
arch/x86/mm/init_64.c, mm/memory.c free_pgtables().
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from emulator.arch.paging import FRAME_MASK, LARGE_PAGE_SIZE, PAGE_SIZE, PTE
from guest_kernel.errors import BUG_ON
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PAGE_OFFSET, PHYSICAL_MASK, START_KERNEL_MAP
from guest_kernel.layout.mm_types import mm_struct, vm_data
from guest_kernel.layout.page import mm_data, page
from guest_kernel.layout.sched import task_struct
from guest_kernel.mm.page_alloc import (
    REFERENCE_AND_MAPPING,
    alloc_page,
    get_zeroed_page,
    page_count,
    put_page,
)

# Plain integers: an IntFlag makes an object per operation.
P: Final = int(PTE.P)
RW: Final = int(PTE.RW)
US: Final = int(PTE.US)
A: Final = int(PTE.A)
D: Final = int(PTE.D)
PS: Final = int(PTE.PS)
G: Final = int(PTE.G)
NX: Final = int(PTE.NX)
PROTNONE: Final = 1 << 8
SPECIAL: Final = 1 << 9
ANON: Final = 1 << 10
SHMEM: Final = 1 << 11

# Entries that point to a table: rights are decided by the last level.
USER_TABLE: Final = P | RW | US | A | D  # _PAGE_TABLE
KERNEL_TABLE: Final = P | RW | A | D  # _KERNPG_TABLE

PAGE_KERNEL: Final = P | RW | A | D | G | NX
PAGE_KERNEL_RO: Final = P | A | D | G | NX
PAGE_KERNEL_ROX: Final = P | A | D | G

PMD_SIZE: Final = LARGE_PAGE_SIZE  # what one last-level table maps
PMD_MASK: Final = ~(PMD_SIZE - 1)
PUD_SIZE: Final = 1 << 30
P4D_SIZE: Final = 1 << 39
USER_ENTRIES: Final = 256  # of a PML4: the lower half
USER_PGTABLES_CEILING: Final = 1 << 47

_CHUNK: Final = 8  # entries of a table that are looked at together
_HALF_TABLE: Final = PAGE_SIZE // 2
_PRESENT_LARGE: Final = P | PS

# Above so many pages all translations go, not one by one (Linux: 33).  One INVLPG
# by the entry code costs about as much as the reload of CR3.
TLB_SINGLE_PAGE_FLUSH_CEILING: Final = 1

_TASK_ACTIVE_MM: Final = task_struct.offsetof("active_mm")
_MM_PGD: Final = mm_struct.offsetof("pgd")
_MM_PGTABLES_BYTES: Final = mm_struct.offsetof("pgtables_bytes")

# A struct page as an index of k.i32, and its counts from there.
_MEM_MAP: Final = mm_data.offsetof("mem_map")
STRUCT_PAGE_SHIFT: Final = (page.size >> 2).bit_length() - 1
MAPCOUNT: Final = page.offsetof("_mapcount") >> 2
REFCOUNT: Final = page.offsetof("_refcount") >> 2

# The same as a word of k.u64, with both counts in it.
_MEM_MAP_WORD: Final = _MEM_MAP >> 3
_COUNTS: Final = page.offsetof("_mapcount")
_PFN_TO_WORDS: Final = 12 - (page.size >> 3).bit_length() + 1
_RW_ANON: Final = RW | ANON


def current_pa(k: Kernel) -> int:
    """Return the physical address of the current task."""
    task: int = k.u64[k.current_index]
    return task & PHYSICAL_MASK


def mem_map_index(k: Kernel) -> int:
    """Return the index in ``k.i32`` of frame 0's struct page; see :func:`page_index`."""
    mem_map: int = k.u64[(k.data(mm_data).pa + _MEM_MAP) >> 3]
    return (mem_map & PHYSICAL_MASK) >> 2


def page_index(k: Kernel, pa: int) -> int:
    """Return the index in ``k.i32`` of a frame's struct page; + REFCOUNT, + MAPCOUNT."""
    return mem_map_index(k) + (pa >> 12 << STRUCT_PAGE_SHIFT)


# ----------------------------------------------------------------------------------- the PML4

def pgd_alloc(k: Kernel) -> int:
    """Return the physical address of a new PML4: empty below, the kernel's half above.

    The upper half is a copy of swapper_pg_dir's entries, which never change after
    :func:`paging_init`, so that all address spaces share the kernel's tables.

    Raises:
        OutOfFrames.
    """
    u8 = k.u8
    pgd = get_zeroed_page(k)
    swapper = k.data(vm_data).swapper_pg_dir & PHYSICAL_MASK
    u8[pgd + _HALF_TABLE : pgd + PAGE_SIZE] = u8[swapper + _HALF_TABLE : swapper + PAGE_SIZE]
    return pgd


def pgd_free(k: Kernel, pgd_pa: int) -> None:
    """Free a PML4 whose lower half is empty."""
    put_page(k, pgd_pa)


# ---------------------------------------------------------------------------- single entries

def pte_lookup(k: Kernel, pgd_pa: int, va: int) -> int:
    """Return where the last-level entry for ``va`` lies, or 0 if there is no such table.

    The entry may be 0, and its table may be shared: look, do not write.
    """
    u64 = k.u64
    entry = u64[(pgd_pa >> 3) + (va >> 39 & 511)]
    if not entry & P:
        return 0
    entry = u64[((entry & FRAME_MASK) >> 3) + (va >> 30 & 511)]
    if entry & _PRESENT_LARGE != P:
        return 0
    entry = u64[((entry & FRAME_MASK) >> 3) + (va >> 21 & 511)]
    if entry & _PRESENT_LARGE != P:
        return 0
    return (entry & FRAME_MASK) + (va >> 9 & 0xFF8)


def pte_alloc(k: Kernel, mm_pa: int, va: int) -> int:
    """Return where the last-level entry for the user address ``va`` lies, in a private table.

    Makes the tables that are missing and un-shares the one that fork had shared.

    Raises:
        OutOfFrames: the tables made so far stay; they are freed with the address space.
    """
    u64 = k.u64
    table = u64[(mm_pa + _MM_PGD) >> 3] & PHYSICAL_MASK
    for shift in (39, 30, 21):
        slot = (table >> 3) + (va >> shift & 511)
        entry = u64[slot]
        if not entry & P:
            table = get_zeroed_page(k)
            u64[slot] = table | USER_TABLE
            u64[(mm_pa + _MM_PGTABLES_BYTES) >> 3] += PAGE_SIZE
            continue
        if not entry & RW:
            unshare_table(k, slot)
            entry = u64[slot]
        table = entry & FRAME_MASK
    return table + (va >> 9 & 0xFF8)


def unshare_table(k: Kernel, slot: int) -> None:
    """Make the last-level table private that the PD entry at index ``slot`` of ``k.u64`` shares.

    Frames that were private and writable become read-only on both sides, so that the next write on
    either copies.  No translation that a CPU may hold becomes wrong: all were made through a PD
    entry without R/W.

    Raises:
        OutOfFrames: nothing has changed.
    """
    u64 = k.u64
    entry = u64[slot]
    old = entry & FRAME_MASK
    if page_count(k, old) == 1:
        u64[slot] = entry | RW  # the others have gone
        return
    new = alloc_page(k)
    k.data(vm_data).fault_unshare += 1
    copy_entries(k, old, new)
    put_page(k, old)
    u64[slot] = new | USER_TABLE


def copy_entries(k: Kernel, old: int, new: int) -> None:
    """Make the table at ``new`` map what the one at ``old`` maps, with references of its own.

    Private frames become read-only in both.
    """
    u64 = k.u64
    counts = (u64[k.mm_word + _MEM_MAP_WORD] & PHYSICAL_MASK) + _COUNTS >> 3
    first = old >> 3
    for index, pte in present_range(u64, first, 0, 511):
        if pte & _RW_ANON == _RW_ANON:
            u64[first + index] = pte & ~RW
        if not pte & SPECIAL:
            u64[counts + ((pte & FRAME_MASK) >> _PFN_TO_WORDS)] += REFERENCE_AND_MAPPING
    k.u8[new : new + PAGE_SIZE] = k.u8[old : old + PAGE_SIZE]


# -------------------------------------------------------------------------------- ranges

def page_tables(k: Kernel, pgd_pa: int, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield the last-level tables that exist for user addresses ``[start, end)``, in order.

    What is absent is skipped in bulk.  The caller may change the entry that was yielded.

    Yields:
        ``(slot, va, last)``: the index in ``k.u64`` of the PD entry, and the part of the range that
        its table maps, ``[va, last)``.
    """
    u64 = k.u64
    last = end - 1
    for i, pml4e in present_range(u64, pgd_pa >> 3, start >> 39, last >> 39):
        low, high = max(start, i << 39), min(last, (i + 1 << 39) - 1)
        pdpt = (pml4e & FRAME_MASK) >> 3
        for j, pdpte in present_range(u64, pdpt, low >> 30 & 511, high >> 30 & 511):
            base = i << 39 | j << 30
            low_2, high_2 = max(low, base), min(high, base + PUD_SIZE - 1)
            pd = (pdpte & FRAME_MASK) >> 3
            for n, _ in present_range(u64, pd, low_2 >> 21 & 511, high_2 >> 21 & 511):
                va = base | n << 21
                yield pd + n, max(va, low_2), min(va + PMD_SIZE, high_2 + 1)


def present_range(u64: memoryview, table: int, first: int, last: int) -> list[tuple[int, int]]:
    """Return ``(index, entry)`` of the entries ``first`` to ``last`` of a table that are not 0.

    Most tables are almost empty: the zeros before an entry are passed over at once.
    """
    found: list[tuple[int, int]] = []
    data = u64[table + first : table + last + 1].tobytes().rstrip(b"\0")
    end = first + (len(data) + 7 >> 3)
    while first < end:
        rest = len(u64[table + first : table + end].tobytes().lstrip(b"\0"))
        first = end - (rest + 7 >> 3)
        behind = min(first + _CHUNK, end)
        entries = u64[table + first : table + behind].tolist()
        found += [(i, entry) for i, entry in enumerate(entries, first) if entry]
        first = behind
    return found


def user_tables(k: Kernel, pgd_pa: int) -> tuple[list[int], list[int]]:
    """Return the frames of all tables below a PML4's lower half: last-level ones, and others."""
    u64 = k.u64
    tables, upper = [], []
    for _, pml4e in present_range(u64, pgd_pa >> 3, 0, USER_ENTRIES - 1):
        pdpt = pml4e & FRAME_MASK
        upper.append(pdpt)
        for _, pdpte in present_range(u64, pdpt >> 3, 0, 511):
            pd = pdpte & FRAME_MASK
            upper.append(pd)
            tables += [entry & FRAME_MASK for _, entry in present_range(u64, pd >> 3, 0, 511)]
    return tables, upper


def present_entries(k: Kernel, table: int) -> list[int]:
    """Return the entries of the table at physical address ``table`` that are not 0."""
    return [entry for entry in k.u64[table >> 3 : table + PAGE_SIZE >> 3].tolist() if entry]


def free_pgtables(k: Kernel, mm: mm_struct, start: int, end: int, floor: int,
                  ceiling: int) -> None:
    """Free the tables that map addresses of ``[start, end)`` and nothing outside of it is using.

    Args:
        floor: end of the mapping below, or 0.
        ceiling: start of the mapping above, or USER_PGTABLES_CEILING.

    Preconditions:
        All last-level entries of ``[floor, ceiling)`` are 0.
    """
    u64 = k.u64
    pgd = mm.pgd & PHYSICAL_MASK
    freed = 0
    for size, depth in ((PMD_SIZE, 3), (PUD_SIZE, 2), (P4D_SIZE, 1)):
        base = start & -size
        while base < end:
            if base >= floor and base + size <= ceiling:
                slot, skip = _entry(k, pgd, base, depth)
                if slot:
                    put_page(k, u64[slot] & FRAME_MASK)
                    u64[slot] = 0
                    freed += 1
                base = (base & -skip) + skip
            else:
                base += size
    if freed:
        mm.pgtables_bytes -= freed * PAGE_SIZE
        # Not a translation, but a table that the CPU may have cached on the way.
        flush_tlb_mm(k, mm)


def _entry(k: Kernel, pgd_pa: int, va: int, depth: int) -> tuple[int, int]:
    """Return the index of the ``depth``-th entry on the way to ``va``, 0 if there is none.

    And the size of what is missing, or of what the entry maps.
    """
    u64 = k.u64
    table = pgd_pa
    for shift in (39, 30, 21)[:depth]:
        slot = (table >> 3) + (va >> shift & 511)
        if not u64[slot] & P:
            return 0, 1 << shift
        table = u64[slot] & FRAME_MASK
    return slot, 1 << shift


# ----------------------------------------------------------------- translations that CPUs hold
#
# Only an entry that was present and is now gone or forbids more needs a flush: the
# TLB holds nothing about absent pages, and a CPU that finds too few rights in it
# walks again before it faults.

def flush_tlb_page(k: Kernel, mm_pa: int, va: int) -> None:
    """Forget the translation of ``va`` in the mm at ``mm_pa``, if a CPU runs on it."""
    if _is_loaded(k, mm_pa):
        k.flush_tlb_one(va)


def flush_tlb_range(k: Kernel, mm: mm_struct, start: int, end: int) -> None:
    """Forget the translations of ``[start, end)`` in ``mm``."""
    if not _is_loaded(k, mm.pa):
        return
    if end - start > TLB_SINGLE_PAGE_FLUSH_CEILING * PAGE_SIZE:
        k.flush_tlb_all()
        return
    for va in range(start, end, PAGE_SIZE):
        k.flush_tlb_one(va)


def flush_tlb_mm(k: Kernel, mm: mm_struct) -> None:
    """Forget all translations of ``mm``."""
    if _is_loaded(k, mm.pa):
        k.flush_tlb_all()


def _is_loaded(k: Kernel, mm_pa: int) -> bool:
    # Any other address space is switched to by a load of CR3, which flushes.
    active = k.u64[(current_pa(k) + _TASK_ACTIVE_MM) >> 3]
    return bool(active) and active & PHYSICAL_MASK == mm_pa


# -------------------------------------------------------------------------- kernel mappings

def map_kernel_range(k: Kernel, pgd_pa: int, va: int, pa: int, size: int, flags: int) -> None:
    """Map ``size`` bytes of physical memory at kernel address ``va``.

    With 2 MiB pages where both addresses are aligned and nothing smaller is there already.

    Args:
        flags: PAGE_KERNEL, PAGE_KERNEL_RO or PAGE_KERNEL_ROX.

    Raises:
        OutOfFrames.
    """
    u64 = k.u64
    end = va + size
    while va < end:
        pd = _kernel_table(k, pgd_pa, va, (39, 30))
        slot = (pd >> 3) + (va >> 21 & 511)
        if not (va | pa) & ~PMD_MASK and end - va >= PMD_SIZE and not u64[slot] & P:
            u64[slot] = pa | flags | PS
            step = PMD_SIZE
        else:
            BUG_ON(u64[slot] & _PRESENT_LARGE == _PRESENT_LARGE,
                   f"kernel address {va:#x} is inside a 2 MiB page")
            pt = _kernel_table(k, pgd_pa, va, (39, 30, 21))
            u64[(pt >> 3) + (va >> 12 & 511)] = pa | flags
            step = PAGE_SIZE
        va += step
        pa += step


def _kernel_table(k: Kernel, table: int, va: int, shifts: tuple[int, ...]) -> int:
    u64 = k.u64
    for shift in shifts:
        slot = (table >> 3) + (va >> shift & 511)
        if not u64[slot] & P:
            u64[slot] = get_zeroed_page(k) | KERNEL_TABLE
        table = u64[slot] & FRAME_MASK
    return table


def paging_init(k: Kernel, *, text: tuple[int, int], rodata: tuple[int, int],
                data: tuple[int, int], ram_size: int) -> int:
    """Build swapper_pg_dir and return its physical address.

    The image is mapped at START_KERNEL_MAP: text R-X, rodata R--, data and .bss RW-.  All RAM is
    mapped at PAGE_OFFSET, never executable, and read-only where the image is read-only: no frame
    is writable through one address and executable through another.

    Args:
        text, rodata, data: physical ``(start, end)``, page-aligned; ``data`` includes ``.bss``.
        ram_size: bytes of RAM; a multiple of the page size.

    Raises:
        OutOfFrames: RAM is too small.

    See: Linux arch/x86/mm/init_64.c, mark_rodata_ro().
    """
    pgd = get_zeroed_page(k)
    for (start, end), flags in ((text, PAGE_KERNEL_ROX), (rodata, PAGE_KERNEL_RO),
                                (data, PAGE_KERNEL)):
        map_kernel_range(k, pgd, START_KERNEL_MAP + start, start, end - start, flags)

    pa = 0
    for start, end in sorted(part for part in (text, rodata) if part[0] < part[1]):
        _map_direct(k, pgd, pa, start, PAGE_KERNEL)
        _map_direct(k, pgd, start, end, PAGE_KERNEL_RO)
        pa = end
    _map_direct(k, pgd, pa, ram_size, PAGE_KERNEL)

    globals_ = k.data(vm_data)
    globals_.swapper_pg_dir = PAGE_OFFSET + pgd
    return pgd


def _map_direct(k: Kernel, pgd_pa: int, start: int, end: int, flags: int) -> None:
    map_kernel_range(k, pgd_pa, PAGE_OFFSET + start, start, end - start, flags)
