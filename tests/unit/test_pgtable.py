"""Does the editor of page tables write what the processor's walk then reads?

The two share the format (``emulator/arch/paging.py``) and nothing else, so the walk is the oracle.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.arch.exceptions import CpuException
from emulator.arch.paging import PTE
from emulator.cpu.mmu import Access, steps, translate
from guest_kernel.layout.declare import PAGE_OFFSET, PHYSICAL_MASK, START_KERNEL_MAP
from guest_kernel.layout.mm_types import mm_struct, vm_data
from guest_kernel.mm import pgtable
from guest_kernel.mm.page_alloc import get_page, page_count, put_page
from guest_kernel.mm.pgtable import (
    ANON,
    PAGE_KERNEL,
    PAGE_KERNEL_RO,
    USER_PGTABLES_CEILING,
    USER_TABLE,
    flush_tlb_mm,
    flush_tlb_page,
    flush_tlb_range,
    free_pgtables,
    map_kernel_range,
    page_tables,
    pte_alloc,
    pte_lookup,
)

# The address space on plain RAM is shared with the kernel's tests.
sys.path.append(str(Path(__file__).parents[1] / "kernel"))
from address_space import (
    DATA,
    PAGE,
    RAM_SIZE,
    RODATA,
    TEXT,
    FlushingKernel,
    boot,
    free_frames,
    leave,
    new_mm,
)

LEAF = int(PTE.P | PTE.RW | PTE.US | PTE.A)
USER_ADDRESSES = st.integers(0, (1 << 35) - 1).map(lambda page: page << 12)


@pytest.fixture
def k() -> FlushingKernel:
    return boot()


def swapper(k: FlushingKernel) -> int:
    return k.data(vm_data).swapper_pg_dir & PHYSICAL_MASK


def allowed(k: FlushingKernel, pgd: int, va: int, *, user: bool = False) -> str:
    """Return which of r, w and x the processor allows at ``va``."""
    rights = ""
    for letter, access in (("r", Access.READ), ("w", Access.WRITE), ("x", Access.EXECUTE)):
        try:
            translate(k.ram, pgd, va, access, user=user, set_ad=False)
        except CpuException:
            continue
        rights += letter
    return rights


# ---- The kernel's half


def test_image_and_direct_map_translate_to_the_same_frames(k: FlushingKernel) -> None:
    """Is each byte of RAM where the two kernel mappings say?"""
    pgd = swapper(k)
    for pa in (0, 0x1234, TEXT[0] + 5, RODATA[0], DATA[0], DATA[1], 0x20_0000, 0x40_0123,
               RAM_SIZE - 1):
        assert translate(k.ram, pgd, PAGE_OFFSET + pa, Access.READ, user=False) == pa
    for pa in (TEXT[0], TEXT[1] - 1, RODATA[0], DATA[0], DATA[1] - 1):
        assert translate(k.ram, pgd, START_KERNEL_MAP + pa, Access.READ, user=False) == pa


def test_no_frame_is_writable_and_executable(k: FlushingKernel) -> None:
    """Is W^X kept, also across the two mappings of one frame?"""
    pgd = swapper(k)
    for pa in range(0, RAM_SIZE, PAGE):
        rights = allowed(k, pgd, PAGE_OFFSET + pa)
        assert "x" not in rights
        if TEXT[0] <= pa < DATA[1]:
            image = allowed(k, pgd, START_KERNEL_MAP + pa)
            assert not ("x" in image and "w" in rights)
            expected = "rx" if pa < TEXT[1] else "r" if pa < RODATA[1] else "rw"
            assert image == expected
            assert rights == ("rw" if expected == "rw" else "r")
        else:
            assert rights == "rw"
            assert allowed(k, pgd, START_KERNEL_MAP + pa) == ""


def test_kernel_mappings_end_with_ram_and_image(k: FlushingKernel) -> None:
    """Is an address beside them a fault?"""
    pgd = swapper(k)
    for va in (PAGE_OFFSET + RAM_SIZE, PAGE_OFFSET - 1, START_KERNEL_MAP + TEXT[0] - 1,
               START_KERNEL_MAP + DATA[1], 0, 0x40_0000):
        assert allowed(k, pgd, va) == ""


def test_kernel_mappings_are_global_used_and_supervisor_only(k: FlushingKernel) -> None:
    """Are G, A and D preset in each leaf, and is ring 3 kept out?"""
    pgd = swapper(k)
    for va in (PAGE_OFFSET, PAGE_OFFSET + 0x80_0000, PAGE_OFFSET + TEXT[0],
               START_KERNEL_MAP + TEXT[0], START_KERNEL_MAP + DATA[0]):
        walk = steps(k.ram, pgd, va)
        for step in walk:
            assert step.entry & (PTE.A | PTE.D) == PTE.A | PTE.D
            assert not step.entry & PTE.US
        assert walk[-1].entry & PTE.G
        assert allowed(k, pgd, va, user=True) == ""


def test_direct_map_uses_large_pages_where_it_can(k: FlushingKernel) -> None:
    """Are 4 KiB pages used only in the 2 MiB that hold text and rodata?"""
    pgd = swapper(k)
    sizes = [steps(k.ram, pgd, PAGE_OFFSET + pa)[-1].level for pa in range(0, RAM_SIZE, 2 << 20)]
    assert sizes == ["PT", *["PD"] * (RAM_SIZE // (2 << 20) - 1)]


def test_map_kernel_range_needs_alignment_of_both_addresses(k: FlushingKernel) -> None:
    """Does a large page map what small ones would?"""
    pgd = swapper(k)
    base = PAGE_OFFSET + (1 << 30)
    map_kernel_range(k, pgd, base, 0x40_0000, 0x40_0000 + PAGE, PAGE_KERNEL)
    assert steps(k.ram, pgd, base)[-1].level == "PD"
    assert steps(k.ram, pgd, base + 0x40_0000)[-1].level == "PT"
    odd = PAGE_OFFSET + (2 << 30)
    map_kernel_range(k, pgd, odd, 0x40_1000, 0x20_0000, PAGE_KERNEL_RO)
    assert steps(k.ram, pgd, odd)[-1].level == "PT"
    assert translate(k.ram, pgd, odd + 0x1F_F123, Access.READ, user=False) == 0x60_0123
    assert allowed(k, pgd, odd) == "r"


# ---- User tables


def test_pgd_alloc_shares_the_kernel_half(k: FlushingKernel) -> None:
    """Is the kernel mapped in each address space by the same tables?"""
    mm = new_mm(k)
    pgd = mm.pgd & PHYSICAL_MASK
    assert k.u8[pgd : pgd + 2048] == bytes(2048)
    assert k.u8[pgd + 2048 : pgd + 4096] == k.u8[swapper(k) + 2048 : swapper(k) + 4096]
    assert allowed(k, pgd, PAGE_OFFSET + DATA[0]) == "rw"


@settings(max_examples=60, deadline=None)
@given(addresses=st.lists(USER_ADDRESSES, min_size=1, max_size=12, unique=True))
def test_what_the_editor_writes_the_walk_reads(addresses: list[int]) -> None:
    """Does each entry that pte_alloc gives map its own page and no other?"""
    k = boot(8 << 20)
    before = free_frames(k)
    mm = new_mm(k)
    pgd = mm.pgd & PHYSICAL_MASK
    zero = k.data(vm_data).empty_zero_page
    for i, va in enumerate(addresses):
        k.u64[pte_alloc(k, mm.pa, va) >> 3] = (0x10_0000 + i * PAGE) | LEAF | pgtable.SPECIAL
    for i, va in enumerate(addresses):
        pa = translate(k.ram, pgd, va + 0x123, Access.WRITE, user=True, set_ad=False)
        assert pa == 0x10_0000 + i * PAGE + 0x123
        assert pte_lookup(k, pgd, va) == steps(k.ram, pgd, va)[-1].entry_pa
    tables = {va >> 21 for va in addresses}
    found = [(va >> 21) for _, va, _ in page_tables(k, pgd, 0, USER_PGTABLES_CEILING)]
    assert found == sorted(tables)
    low, high = min(addresses), max(addresses) + PAGE
    assert next(va for _, va, _ in page_tables(k, pgd, low, high)) == low
    assert [last for _, _, last in page_tables(k, pgd, low, high)][-1] == high
    assert mm.pgtables_bytes == PAGE * (
        len(tables) + len({va >> 30 for va in addresses}) + len({va >> 39 for va in addresses}))

    # Freeing: only what lies between floor and ceiling, and all of it.
    for va in addresses:
        k.u64[pte_lookup(k, pgd, va) >> 3] = 0
    free_pgtables(k, mm, low, high, 0, USER_PGTABLES_CEILING)
    assert mm.pgtables_bytes == 0
    assert k.u8[pgd : pgd + 2048] == bytes(2048)
    leave(k, mm)
    assert free_frames(k) == before
    assert zero == k.data(vm_data).empty_zero_page


def test_free_pgtables_keeps_tables_that_neighbours_use(k: FlushingKernel) -> None:
    """Does a table stay whose other half is mapped?"""
    mm = new_mm(k)
    pgd = mm.pgd & PHYSICAL_MASK
    for va in (0x40_0000, 0x5F_F000, 0x60_0000):
        pte_alloc(k, mm.pa, va)
    free_pgtables(k, mm, 0x40_0000, 0x80_0000, 0, USER_PGTABLES_CEILING - (1 << 46))
    assert pte_lookup(k, pgd, 0x40_0000) == 0
    for va in (0x40_0000, 0x60_0000):
        pte_alloc(k, mm.pa, va)
    free_pgtables(k, mm, 0x50_0000, 0x80_0000, 0x50_0000, USER_PGTABLES_CEILING)
    assert pte_lookup(k, pgd, 0x40_0000)
    assert not pte_lookup(k, pgd, 0x60_0000)
    free_pgtables(k, mm, 0x40_0000, 0x50_0000, 0, 0x50_0000)
    assert pte_lookup(k, pgd, 0x40_0000)


def test_pte_lookup_of_absent_tables_is_0(k: FlushingKernel) -> None:
    """Is every level looked at?"""
    mm = new_mm(k)
    pgd = mm.pgd & PHYSICAL_MASK
    pte_alloc(k, mm.pa, 0x1234_5000)
    assert pte_lookup(k, pgd, 0x1234_5000)
    for va in (0x1234_5000 + (1 << 21), 0x1234_5000 + (1 << 30), 0x1234_5000 + (1 << 39)):
        assert pte_lookup(k, pgd, va) == 0
    # A 2 MiB page of the kernel has no last-level entry.
    assert pte_lookup(k, pgd, PAGE_OFFSET + 0x40_0000) == 0


# ---- Tables that fork has shared


def share(k: FlushingKernel, mm: mm_struct, other: mm_struct, va: int) -> int:
    """Let ``other`` share ``mm``'s last-level table for ``va``; return the table."""
    pgd = mm.pgd & PHYSICAL_MASK
    slot = next(page_tables(k, pgd, va & -(2 << 20), (va & -(2 << 20)) + PAGE))[0]
    table = k.u64[slot] & ~0xFFF & (1 << 52) - 1
    k.u64[slot] &= ~int(PTE.RW)
    pte_alloc(k, other.pa, va)
    theirs = next(page_tables(k, other.pgd & PHYSICAL_MASK, va & -(2 << 20), va + PAGE))[0]
    put_page(k, k.u64[theirs] & ~0xFFF)
    k.u64[theirs] = k.u64[slot]
    get_page(k, table)
    return table


def test_unshare_copies_and_protects_private_pages(k: FlushingKernel) -> None:
    """Is what was writable copy-on-write on both sides, and what was shared still writable?"""
    mm, other = new_mm(k), new_mm(k)
    private, shared = pgtable.get_zeroed_page(k), pgtable.get_zeroed_page(k)
    va = 0x40_0000
    slot = pte_alloc(k, mm.pa, va) >> 3
    k.u64[slot] = private | LEAF | ANON
    k.u64[slot + 1] = shared | LEAF
    for pa in (private, shared):
        k.i32[pgtable.page_index(k, pa) + pgtable.MAPCOUNT] = 0  # mapped once
    table = share(k, mm, other, va)
    assert page_count(k, table) == 2
    for space in (mm, other):
        assert allowed(k, space.pgd & PHYSICAL_MASK, va, user=True) == "rx"
        assert allowed(k, space.pgd & PHYSICAL_MASK, va + PAGE, user=True) == "rx"
    pte_alloc(k, other.pa, va)
    assert page_count(k, table) == 1
    assert page_count(k, private) == page_count(k, shared) == 2
    assert allowed(k, other.pgd & PHYSICAL_MASK, va, user=True) == "rx"
    assert allowed(k, other.pgd & PHYSICAL_MASK, va + PAGE, user=True) == "rwx"
    # The last user only gets its write access back.
    assert pte_alloc(k, mm.pa, va) == table
    assert allowed(k, mm.pgd & PHYSICAL_MASK, va, user=True) == "rx"
    assert allowed(k, mm.pgd & PHYSICAL_MASK, va + PAGE, user=True) == "rwx"


def test_user_table_entries_leave_rights_to_the_leaf() -> None:
    """Do entries that point to tables allow everything, with A and D set?"""
    assert USER_TABLE == PTE.P | PTE.RW | PTE.US | PTE.A | PTE.D


# ---- Translations to forget


def test_only_the_loaded_address_space_is_flushed(k: FlushingKernel) -> None:
    """Is nothing flushed for an address space that a load of CR3 will bring anyway?"""
    first = new_mm(k)
    second = new_mm(k)
    flush_tlb_page(k, first.pa, 0x1000)
    flush_tlb_mm(k, first)
    flush_tlb_range(k, first, 0x1000, 0x9000)
    assert (k.flushes.pages, k.flushes.all) == ([], 0)
    flush_tlb_page(k, second.pa, 0x1000)
    flush_tlb_range(k, second, 0x5000, 0x6000)
    assert (k.flushes.pages, k.flushes.all) == ([0x1000, 0x5000], 0)
    flush_tlb_range(k, second, 0x5000, 0x7000)
    flush_tlb_mm(k, second)
    assert k.flushes.all == 2
