"""The page allocator: who holds which frame of RAM.

A buddy allocator.  A free block is ``1 << order`` frames, aligned to its size; its first page has
``PG_buddy``, the order in ``private``, and is on ``mm_data.free_area[order]``.  Two free blocks
that make up an aligned block of the next order, *buddies*, are always merged.

Single frames come from, and go back to, a list in front of it (``mm_data.pcp``), which is filled
and emptied in batches.  The frame freed last is used first.

Frames enter the buddy allocator by sections of 4 MiB, lowest first, when there is need: the frames
from ``first_deferred_pfn`` on are free, but nothing has been written about them.  So a large
machine starts as fast as a small one, and low frames are used before high ones.  The same order
within a section makes the set of frames in use compact.

An allocated page has a reference count of at least 1 and a map count of -1.  An allocation of
order 1 or more is what Linux calls a compound page: the first page has ``PG_head``, the count and
the order; the others point to it.

Speed: addresses are physical and plain numbers, and a ``struct page`` is the index of its first
word in ``k.u64``.  The few functions that every fault runs through have their list operations
written out.

See: Linux mm/page_alloc.c; Documentation/mm/physical_memory.rst.  Unlike Linux, the order of an
allocation is recorded and checked, and ``free_page`` wants the only reference.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Final, NoReturn

from emulator.arch.paging import FRAME_MASK, PAGE_SHIFT, PAGE_SIZE
from guest_kernel.errors import BUG, BUG_ON
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PAGE_OFFSET, PHYSICAL_MASK
from guest_kernel.layout.page import (
    MAX_ORDER_NR_PAGES,
    MAX_PAGE_ORDER,
    NR_PAGE_ORDERS,
    PAGE_FLAG_NAMES,
    PG_buddy,
    PG_dirty,
    PG_head,
    PG_held_code,
    PG_referenced,
    PG_reserved,
    PG_uptodate,
    free_area,
    mm_data,
    page,
)

PCP_BATCH: Final = 64  # frames that move between the buddy allocator and pcp at once
PCP_HIGH: Final = 256  # frames on pcp before a batch moves back

# Offsets in words of 8 bytes, for indexing k.u64.
_MEM_MAP: Final = mm_data.offsetof("mem_map") >> 3
_MAX_PFN: Final = mm_data.offsetof("max_pfn") >> 3
_TOTALRAM: Final = mm_data.offsetof("totalram_pages") >> 3
_NR_FREE_PAGES: Final = mm_data.offsetof("nr_free_pages") >> 3
_DEFERRED: Final = mm_data.offsetof("first_deferred_pfn") >> 3
_PEAK: Final = mm_data.offsetof("peak_used_pages") >> 3
_AREA: Final = mm_data.offsetof("free_area") >> 3
_AREA_WORDS: Final = free_area.size >> 3
_NR_FREE: Final = free_area.offsetof("nr_free") >> 3
_PCP_COUNT: Final = mm_data.offsetof("pcp.count") >> 3
_PCP_LIST: Final = mm_data.offsetof("pcp.list") >> 3

_PAGE_WORDS_SHIFT: Final = 3
_PAGE_WORDS: Final = 1 << _PAGE_WORDS_SHIFT
_LRU: Final = page.offsetof("lru") >> 3
_MAPPING: Final = page.offsetof("mapping") >> 3
_PRIVATE: Final = page.offsetof("private") >> 3
_COUNTS: Final = page.offsetof("_mapcount") >> 3  # _mapcount below, _refcount above
_REFCOUNT_I32: Final = page.offsetof("_refcount") >> 2
_ORDER_U32: Final = page.offsetof("compound_order") >> 2
# From the index of a struct page's first word, less mem_map's, to the frame's address.
_WORD_TO_PA: Final = PAGE_SHIFT - _PAGE_WORDS_SHIFT

_BUDDY: Final = 1 << PG_buddy
_HEAD: Final = 1 << PG_head
_HELD_CODE: Final = 1 << PG_held_code
_RESERVED: Final = 1 << PG_reserved
_ONE_REFERENCE: Final = 1 << 32 | 0xFFFF_FFFF  # _refcount 1, _mapcount -1

_ONE_MAPPING: Final = 1 << 32  # _refcount 1, _mapcount 0
_TWO_MAPPINGS: Final = 2 << 32  # _refcount 2, _mapcount 0: less than any with a _mapcount of 1
_MAPCOUNT_MASK: Final = 0xFFFF_FFFF
# Added to both counts at once, as a word, of a page that is mapped already.
REFERENCE_AND_MAPPING: Final = 1 << 32 | 1
_ZERO_PAGE: Final = bytes(PAGE_SIZE)
_ONES: Final = memoryview(_ONE_REFERENCE.to_bytes(8, "little") * MAX_ORDER_NR_PAGES).cast("Q")
_ZEROS: Final = memoryview(bytes(8 * MAX_ORDER_NR_PAGES)).cast("Q")


class OutOfFrames(Exception):
    """No frame, or no block of frames of the size asked for, is free."""


# Start


def mem_map_size(ram_size: int) -> int:
    """Return the bytes that ``mem_map`` takes for ``ram_size`` bytes of RAM, in whole pages."""
    return -(-(ram_size >> PAGE_SHIFT) * page.size // PAGE_SIZE) * PAGE_SIZE


def mem_init(k: Kernel, ram_size: int, mem_map: int, reserved: Iterable[tuple[int, int]]) -> None:
    """Set up the page allocator; every frame that is not reserved becomes free.

    Writes ``mm_data`` and the ``struct page`` of reserved frames only.

    Args:
        ram_size: bytes.
        mem_map: physical address for ``mem_map``; page aligned, behind the image.  It takes
            ``mem_map_size(ram_size)`` bytes and reserves itself.
        reserved: physical address ranges ``[start, end)`` that are never to be allocated; they
            may overlap.

    Preconditions:
        ``mm_data`` and the RAM for ``mem_map`` are zero.
    """
    BUG_ON(bool(mem_map % PAGE_SIZE), f"mem_map {mem_map:#x} is not page aligned")
    mem_map_end = mem_map + mem_map_size(ram_size)
    BUG_ON(mem_map_end > ram_size, f"mem_map ends at {mem_map_end:#x}, RAM at {ram_size:#x}")
    mm = k.data(mm_data)
    mm.mem_map = mem_map + PAGE_OFFSET
    mm.max_pfn = max_pfn = ram_size >> PAGE_SHIFT
    for area in mm.free_area:
        _init_list(k.u64, area.free_list.va)
    _init_list(k.u64, mm.pcp.list.va)

    nr_reserved = 0
    next_pfn = 0
    for start, end in sorted([*reserved, (mem_map, mem_map_end)]):
        first = max(start >> PAGE_SHIFT, next_pfn)
        last = min(-(-end >> PAGE_SHIFT), max_pfn)
        if first < last:
            _reserve(k.u64, mem_map >> 3, first, last)
            nr_reserved += last - first
            next_pfn = last
    mm.totalram_pages = mm.nr_free_pages = max_pfn - nr_reserved


def _init_list(u64: memoryview, head: int) -> None:
    index = (head & PHYSICAL_MASK) >> 3
    u64[index] = u64[index + 1] = head


def _reserve(u64: memoryview, mem_map: int, pfn: int, end: int) -> None:
    for base in range(pfn, end, MAX_ORDER_NR_PAGES):
        n = min(end - base, MAX_ORDER_NR_PAGES)
        first = mem_map + (base << _PAGE_WORDS_SHIFT)
        last = first + (n << _PAGE_WORDS_SHIFT)
        u64[first:last:_PAGE_WORDS] = memoryview(_RESERVED.to_bytes(8, "little") * n).cast("Q")
        u64[first + _COUNTS : last : _PAGE_WORDS] = _ONES[:n]


def free_reserved_area(k: Kernel, start: int, end: int) -> None:
    """Free the whole frames of ``[start, end)``, which were reserved at ``mem_init``."""
    mm = k.data(mm_data)
    mem_map = (mm.mem_map & PHYSICAL_MASK) >> 3
    for pfn in range(-(-start >> PAGE_SHIFT), end >> PAGE_SHIFT):
        p = mem_map + (pfn << _PAGE_WORDS_SHIFT)
        BUG_ON(k.u64[p] != _RESERVED, f"pfn {pfn:#x}: it is not reserved")
        k.u64[p], k.u64[p + _COUNTS] = 0, _ONE_REFERENCE
        mm.totalram_pages += 1
        free_page(k, pfn << PAGE_SHIFT)


# Single frames


def alloc_page(k: Kernel) -> int:
    """Return the physical address of a frame of which the caller has the only reference.

    Its contents are what its last holder left there.

    Raises:
        OutOfFrames: none is free.
    """
    u64 = k.u64
    mm = k.mm_word
    count = u64[mm + _PCP_COUNT] or _fill_pcp(k)
    u64[mm + _PCP_COUNT] = count - 1
    head = mm + _PCP_LIST
    lru = (u64[head] & PHYSICAL_MASK) >> 3
    u64[head] = following = u64[lru]
    u64[((following & PHYSICAL_MASK) >> 3) + 1] = u64[lru + 1]  # the first's prev is the head
    p = lru - _LRU
    u64[p + _COUNTS] = _ONE_REFERENCE
    u64[p + _PRIVATE] = 0
    pa = p - ((u64[mm + _MEM_MAP] & PHYSICAL_MASK) >> 3) << _WORD_TO_PA
    if u64[p]:
        u64[p] = 0
        k.flush_code(pa)
    return pa


def get_mapped_page(k: Kernel) -> int:
    """Return a frame of zeros that one user entry is about to map: ``alloc_page``, written out.

    This is what a page fault costs, and two calls are a third of it.
    """
    u64 = k.u64
    mm = k.mm_word
    count = u64[mm + _PCP_COUNT] or _fill_pcp(k)
    u64[mm + _PCP_COUNT] = count - 1
    head = mm + _PCP_LIST
    lru = (u64[head] & PHYSICAL_MASK) >> 3
    u64[head] = following = u64[lru]
    u64[((following & PHYSICAL_MASK) >> 3) + 1] = u64[lru + 1]
    p = lru - _LRU
    u64[p + _COUNTS] = _ONE_MAPPING
    u64[p + _PRIVATE] = 0
    pa: int = p - ((u64[mm + _MEM_MAP] & PHYSICAL_MASK) >> 3) << _WORD_TO_PA
    if u64[p]:
        u64[p] = 0
        k.flush_code(pa)
    k.u8[pa : pa + PAGE_SIZE] = _ZERO_PAGE
    return pa


def get_zeroed_page(k: Kernel) -> int:
    """Return a frame as ``alloc_page`` does, filled with zeros."""
    pa = alloc_page(k)
    k.u8[pa : pa + PAGE_SIZE] = _ZERO_PAGE
    return pa


def free_page(k: Kernel, pa: int) -> None:
    """Give the frame at ``pa`` back.  The caller's must be the only reference."""
    u64 = k.u64
    mm = k.mm_word
    p = ((u64[mm + _MEM_MAP] & PHYSICAL_MASK) >> 3) + (pa >> PAGE_SHIFT << _PAGE_WORDS_SHIFT)
    if u64[p + _COUNTS] != _ONE_REFERENCE or u64[p] or u64[p + _MAPPING]:
        _prepare_free(k, p, pa, 0)
    u64[p + _COUNTS] = 0
    head = mm + _PCP_LIST
    lru = p + _LRU
    u64[lru] = first = u64[head]
    first_prev = ((first & PHYSICAL_MASK) >> 3) + 1
    u64[lru + 1] = u64[first_prev]  # the address of the head, which is first's prev
    u64[head] = u64[first_prev] = PAGE_OFFSET + (lru << 3)
    count = u64[mm + _PCP_COUNT] + 1
    u64[mm + _PCP_COUNT] = count
    if count > PCP_HIGH:
        _drain_pcp(k, PCP_BATCH)


# Flags that may be left when a page is freed; they are cleared, but for the last.
_MAY_REMAIN: Final = 1 << PG_referenced | 1 << PG_uptodate | 1 << PG_dirty | _HELD_CODE


def _prepare_free(k: Kernel, p: int, pa: int, order: int) -> None:
    """Check that the pages from index ``p`` can be freed, and clear the first one's flags."""
    u64 = k.u64
    pfn = pa >> PAGE_SHIFT
    flags = u64[p]
    counts = u64[p + _COUNTS]
    if counts != _ONE_REFERENCE:
        if counts >> 32 != 1:
            _bad_count(pfn, counts >> 32)
        BUG(f"pfn {pfn:#x}: freed with a map count of {_signed(counts + 1)}")
    if u64[p + _MAPPING]:
        BUG(f"pfn {pfn:#x}: freed with mapping {u64[p + _MAPPING]:#x}")
    allocated = k.u32[(p << 1) + _ORDER_U32] if flags & _HEAD else 0
    if allocated != order:
        BUG(f"pfn {pfn:#x}: allocated with order {allocated}, freed with order {order}")
    wrong = flags & ~(_MAY_REMAIN | _HEAD)
    if wrong:
        names = [name for bit, name in PAGE_FLAG_NAMES.items() if wrong >> bit & 1]
        BUG(f"pfn {pfn:#x}: freed with {' '.join(names) or hex(wrong)}")
    u64[p] = flags & _HELD_CODE


def _bad_count(pfn: int, count: int) -> NoReturn:
    BUG(f"pfn {pfn:#x}: reference count is {_signed(count)}")


def _signed(word: int) -> int:
    return (word & 0xFFFF_FFFF ^ 0x8000_0000) - 0x8000_0000


# References


def get_page(k: Kernel, pa: int) -> None:
    """Take another reference to the allocated page at ``pa``."""
    i32 = k.i32
    ref = (
        ((k.u64[k.mm_word + _MEM_MAP] & PHYSICAL_MASK) >> 2)
        + (pa >> PAGE_SHIFT << _PAGE_WORDS_SHIFT + 1)
        + _REFCOUNT_I32
    )
    count = i32[ref]
    if count <= 0:
        _bad_count(pa >> PAGE_SHIFT, count)
    i32[ref] = count + 1


def put_page(k: Kernel, pa: int) -> None:
    """Drop a reference to the page at ``pa``; the last one frees the whole allocation."""
    i32 = k.i32
    ref = (
        ((k.u64[k.mm_word + _MEM_MAP] & PHYSICAL_MASK) >> 2)
        + (pa >> PAGE_SHIFT << _PAGE_WORDS_SHIFT + 1)
        + _REFCOUNT_I32
    )
    count = i32[ref]
    if count > 1:
        i32[ref] = count - 1
    elif count == 1:
        p = ref - _REFCOUNT_I32
        if k.u32[p] & _HEAD:
            free_pages(k, pa, k.u32[p + _ORDER_U32])
        else:
            free_page(k, pa)
    else:
        _bad_count(pa >> PAGE_SHIFT, count)


def page_count(k: Kernel, pa: int) -> int:
    """Return how many references there are to the page at ``pa``; 0 if it is free."""
    count: int = k.i32[(_index(k, pa) << 1) + _REFCOUNT_I32]
    return count


def release_pages(k: Kernel, pas: Iterable[int]) -> None:
    """Drop a reference to each page, as ``put_page`` does; faster for many.

    A frame may be named more than once, once for each reference.
    """
    u64 = k.u64
    mem_map = (u64[k.mm_word + _MEM_MAP] & PHYSICAL_MASK) >> 3
    freed = []
    for pa in pas:
        p = mem_map + (pa >> PAGE_SHIFT << _PAGE_WORDS_SHIFT)
        if u64[p + _COUNTS] == _ONE_REFERENCE and not u64[p] and not u64[p + _MAPPING]:
            u64[p + _COUNTS] = 0
            freed.append(pa >> PAGE_SHIFT)
        else:
            put_page(k, pa)
    _free_frames(k, freed)


def release_mapped_pages(k: Kernel, pas: Iterable[int]) -> None:
    """Drop, for each page, the mapping of a user entry and the reference that it held.

    Args:
        pas: their addresses; bits outside of FRAME_MASK are passed over, so entries will do.
    """
    u64 = k.u64
    mem_map = (u64[k.mm_word + _MEM_MAP] & PHYSICAL_MASK) >> 3
    freed = []
    for entry in pas:
        p = mem_map + ((entry & FRAME_MASK) >> _WORD_TO_PA)
        counts = u64[p + _COUNTS]
        if counts > _TWO_MAPPINGS and counts & _MAPCOUNT_MASK:
            u64[p + _COUNTS] = counts - REFERENCE_AND_MAPPING
        elif counts == _ONE_MAPPING and not u64[p] and not u64[p + _MAPPING]:
            u64[p + _COUNTS] = 0
            freed.append((entry & FRAME_MASK) >> PAGE_SHIFT)
        else:
            k.i32[(p + _COUNTS) << 1] -= 1  # of the last mapping: from 0 to -1
            put_page(k, entry & FRAME_MASK)
    _free_frames(k, freed)


# Blocks


def alloc_pages(k: Kernel, order: int) -> int:
    """Return the physical address of ``1 << order`` frames in a row, aligned to their size.

    They are one allocation, with one reference count, in the first page.

    Raises:
        OutOfFrames: there is no such block, even if there are as many frames.
    """
    if not order:
        return alloc_page(k)
    BUG_ON(not 0 < order <= MAX_PAGE_ORDER, f"allocation of order {order}")
    pfn = _take_block(k, order)
    u64 = k.u64
    n = 1 << order
    p = _prepare_new(k, pfn, n)
    u64[p] = _HEAD
    u64[p + _PRIVATE] = 0
    u64[p + _COUNTS] = _ONE_REFERENCE
    k.u32[(p << 1) + _ORDER_U32] = order
    tails = p + _PAGE_WORDS + _LRU
    compound_head = (PAGE_OFFSET + (p << 3) | 1).to_bytes(8, "little")
    last = p + (n << _PAGE_WORDS_SHIFT)
    u64[tails : last : _PAGE_WORDS] = memoryview(compound_head * (n - 1)).cast("Q")
    return pfn << PAGE_SHIFT


def free_pages(k: Kernel, pa: int, order: int) -> None:
    """Give back what ``alloc_pages(k, order)`` returned.  Nobody else may hold a reference."""
    if not order:
        free_page(k, pa)
        return
    u64 = k.u64
    p = _index(k, pa)
    _prepare_free(k, p, pa, order)
    n = 1 << order
    u64[p + _COUNTS] = 0
    k.u32[(p << 1) + _ORDER_U32] = 0
    last = p + (n << _PAGE_WORDS_SHIFT)
    u64[p + _PAGE_WORDS + _LRU : last : _PAGE_WORDS] = _ZEROS[: n - 1]
    u64[k.mm_word + _NR_FREE_PAGES] += n
    _free_block(k, pa >> PAGE_SHIFT, order)


def alloc_pages_bulk(k: Kernel, n: int) -> list[int]:
    """Return ``n`` frames, each as from ``alloc_page``; faster, and in few runs if possible.

    Raises:
        OutOfFrames: fewer are free; none has been taken.
    """
    u64 = k.u64
    mm = k.mm_word
    if u64[mm + _NR_FREE_PAGES] < n:
        drain_local_pages(k)
        if u64[mm + _NR_FREE_PAGES] < n:
            raise OutOfFrames(f"{n} frames; {u64[mm + _NR_FREE_PAGES]} are free")
    pas: list[int] = []
    for pfn, count in _take_frames(k, n):
        p = _prepare_new(k, pfn, count)
        last = p + (count << _PAGE_WORDS_SHIFT)
        u64[p + _COUNTS : last : _PAGE_WORDS] = _ONES[:count]
        u64[p + _PRIVATE : last : _PAGE_WORDS] = _ZEROS[:count]
        pas.extend(range(pfn << PAGE_SHIFT, pfn + count << PAGE_SHIFT, PAGE_SIZE))
    return pas


def _prepare_new(k: Kernel, pfn: int, n: int) -> int:
    """Drop the CPU's translations of ``n`` frames that were free; return the first's index."""
    u64 = k.u64
    first = _index(k, pfn << PAGE_SHIFT)
    last = first + (n << _PAGE_WORDS_SHIFT)
    if any(u64[first:last:_PAGE_WORDS]):
        for i, p in enumerate(range(first, last, _PAGE_WORDS)):
            if u64[p]:
                u64[p] = 0
                k.flush_code(pfn + i << PAGE_SHIFT)
    return first


# Looking at pages


def _index(k: Kernel, pa: int) -> int:
    """Return the index in ``k.u64`` of the struct page of the frame at ``pa``."""
    mem_map: int = k.u64[k.mm_word + _MEM_MAP] & PHYSICAL_MASK
    return (mem_map >> 3) + (pa >> PAGE_SHIFT << _PAGE_WORDS_SHIFT)


def pfn_valid(k: Kernel, pfn: int) -> bool:
    """Tell whether there is such a frame of RAM."""
    return 0 <= pfn < k.data(mm_data).max_pfn


def pfn_to_page(k: Kernel, pfn: int) -> page:
    """Return the ``struct page`` of frame ``pfn``."""
    BUG_ON(not pfn_valid(k, pfn), f"pfn {pfn:#x}: no such frame")
    return page(k, _index(k, pfn << PAGE_SHIFT) << 3)


def page_ref(k: Kernel, pa: int) -> page:
    """Return the ``struct page`` of the frame that holds physical address ``pa``."""
    return pfn_to_page(k, pa >> PAGE_SHIFT)


def virt_to_page(k: Kernel, va: int) -> page:
    """Return the ``struct page`` of the frame that holds kernel address ``va``."""
    return pfn_to_page(k, (va & PHYSICAL_MASK) >> PAGE_SHIFT)


def page_to_pfn(ref: page) -> int:
    """Return the number of the frame that ``ref`` is about."""
    k: Kernel = ref.k
    return (ref.pa - (k.data(mm_data).mem_map & PHYSICAL_MASK)) // page.size


def page_to_phys(ref: page) -> int:
    """Return the physical address of the frame that ``ref`` is about."""
    return page_to_pfn(ref) << PAGE_SHIFT


def page_address(ref: page) -> int:
    """Return the address in the direct map of the frame that ``ref`` is about."""
    return page_to_phys(ref) + PAGE_OFFSET


def compound_head(ref: page) -> page:
    """Return the first page of the allocation that ``ref`` belongs to."""
    head = ref.compound_head
    return page.at(ref.k, head - 1) if head & 1 else ref


def SetPageHeldCode(k: Kernel, pa: int) -> None:
    """Remember that the CPU may hold translations of code in the frame at ``pa``."""
    k.u64[_index(k, pa)] |= _HELD_CODE


def nr_free_pages(k: Kernel) -> int:
    """Return the number of free frames."""
    mm = k.data(mm_data)
    return mm.nr_free_pages + mm.pcp.count


# The list in front


def _fill_pcp(k: Kernel) -> int:
    """Move a batch of frames from the buddy allocator to the empty pcp, lowest first.

    Returns:
        How many.

    Raises:
        OutOfFrames: none is free.
    """
    u64 = k.u64
    mm = k.data(mm_data)
    first_lru = mm.mem_map + (_LRU << 3)
    node = head = mm.pcp.list.va
    count = 0
    for pfn, n in _take_frames(k, PCP_BATCH):
        first = first_lru + (pfn << _PAGE_WORDS_SHIFT + 3)
        last = first + (n - 1) * page.size
        # Neighbours in RAM become neighbours on the list, all at once.
        u64[(node & PHYSICAL_MASK) >> 3] = first
        start = (first & PHYSICAL_MASK) >> 3
        stop = start + (n << _PAGE_WORDS_SHIFT)
        u64[start:stop:_PAGE_WORDS] = memoryview(
            array("Q", range(first + page.size, last + 2 * page.size, page.size)))
        u64[start + 1 : stop : _PAGE_WORDS] = memoryview(
            array("Q", [node, *range(first, last, page.size)]))
        node = last
        count += n
    if not count:
        raise OutOfFrames("no frame is free")
    u64[(node & PHYSICAL_MASK) >> 3] = head
    u64[((head & PHYSICAL_MASK) >> 3) + 1] = node
    u64[(mm.pa >> 3) + _PCP_COUNT] = count
    return count


def drain_local_pages(k: Kernel) -> None:
    """Give all frames on pcp back to the buddy allocator, so that blocks can merge."""
    _drain_pcp(k, k.data(mm_data).pcp.count)


def _drain_pcp(k: Kernel, n: int) -> None:
    """Give the ``n`` frames that have been on pcp longest back to the buddy allocator."""
    u64 = k.u64
    mm = k.data(mm_data)
    head = mm.pcp.list.va
    to_pfn = (mm.mem_map & PHYSICAL_MASK) + (_LRU << 3)
    head_index = (head & PHYSICAL_MASK) >> 3
    node = u64[head_index + 1]
    freed = []
    for _ in range(n):
        lru = node & PHYSICAL_MASK
        freed.append(lru - to_pfn >> _PAGE_WORDS_SHIFT + 3)
        node = u64[(lru >> 3) + 1]
    u64[head_index + 1] = node
    u64[(node & PHYSICAL_MASK) >> 3] = head
    u64[(mm.pa >> 3) + _PCP_COUNT] -= n
    _free_frames(k, freed)


# The buddy allocator.  From here on every frame handed in is unreferenced.


def _take_frames(k: Kernel, n: int) -> list[tuple[int, int]]:
    """Take up to ``n`` frames from the smallest blocks; return runs (first pfn, length)."""
    u64 = k.u64
    mm = k.mm_word
    runs = []
    wanted = n
    order = 0
    while wanted:
        area = mm + _AREA + order * _AREA_WORDS
        if not u64[area + _NR_FREE]:
            order += 1
            if order == NR_PAGE_ORDERS:
                if not _grow(k):
                    break
                order = 0
            continue
        pfn = _pop_block(k, area)
        size = 1 << order
        if size > wanted:
            _add_run(k, pfn + wanted, pfn + size)
            size = wanted
        runs.append((pfn, size))
        wanted -= size
    _account(u64, mm, n - wanted)
    return runs


def _take_block(k: Kernel, order: int) -> int:
    """Take a block of ``order``, splitting the smallest that is large enough."""
    u64 = k.u64
    mm = k.mm_word
    drained = False
    while True:
        for have in range(order, NR_PAGE_ORDERS):
            area = mm + _AREA + have * _AREA_WORDS
            if u64[area + _NR_FREE]:
                pfn = _pop_block(k, area)
                _add_run(k, pfn + (1 << order), pfn + (1 << have))
                _account(u64, mm, 1 << order)
                return pfn
        if not _grow(k):
            if drained:
                raise OutOfFrames(f"no block of order {order}; {nr_free_pages(k)} frames are free")
            drain_local_pages(k)
            drained = True


def _account(u64: memoryview, mm: int, n: int) -> None:
    """Count ``n`` frames as taken."""
    u64[mm + _NR_FREE_PAGES] = free = u64[mm + _NR_FREE_PAGES] - n
    used = u64[mm + _TOTALRAM] - free
    if used > u64[mm + _PEAK]:
        u64[mm + _PEAK] = used


def _grow(k: Kernel) -> bool:
    """Bring the next section that was deferred into the free lists; tell whether there was one."""
    u64 = k.u64
    mm = k.mm_word
    pfn = u64[mm + _DEFERRED]
    max_pfn = u64[mm + _MAX_PFN]
    if pfn == max_pfn:
        return False
    end = min(pfn + MAX_ORDER_NR_PAGES, max_pfn)
    u64[mm + _DEFERRED] = end
    first, last = _index(k, pfn << PAGE_SHIFT), _index(k, end << PAGE_SHIFT)
    pages = k.u8[first << 3 : last << 3]
    if pages == bytes(len(pages)):
        _add_run(k, pfn, end)
        return True
    start = pfn
    for frame, p in enumerate(range(first, last, _PAGE_WORDS), pfn):
        if u64[p + _COUNTS]:  # reserved
            _add_run(k, start, frame)
            start = frame + 1
    _add_run(k, start, end)
    return True


def _add_run(k: Kernel, pfn: int, end: int) -> None:
    """Put frames ``pfn`` to ``end``, none of whose neighbours is free, on the free lists."""
    u64 = k.u64
    mm = k.mm_word
    mem_map = (u64[mm + _MEM_MAP] & PHYSICAL_MASK) >> 3
    # Downwards, because the block that is put on a list last is taken first.
    while end > pfn:
        order = min((end & -end).bit_length(), (end - pfn).bit_length(), NR_PAGE_ORDERS) - 1
        end -= 1 << order
        _push_block(u64, mm, mem_map, end, order)


def _push_block(u64: memoryview, mm: int, mem_map: int, pfn: int, order: int) -> None:
    """Put a block first on the free list of its order."""
    p = mem_map + (pfn << _PAGE_WORDS_SHIFT)
    u64[p] |= _BUDDY
    u64[p + _PRIVATE] = order
    area = mm + _AREA + order * _AREA_WORDS
    u64[area + _NR_FREE] += 1
    lru = p + _LRU
    u64[lru] = first = u64[area]
    first_prev = ((first & PHYSICAL_MASK) >> 3) + 1
    u64[lru + 1] = u64[first_prev]  # the address of the head
    u64[area] = u64[first_prev] = PAGE_OFFSET + (lru << 3)


def _unlink_block(u64: memoryview, area: int, p: int) -> None:
    """Take the block that begins with the page at index ``p`` off ``area``'s list."""
    u64[p] &= ~_BUDDY
    u64[area + _NR_FREE] -= 1
    lru = p + _LRU
    following, previous = u64[lru], u64[lru + 1]
    u64[(previous & PHYSICAL_MASK) >> 3] = following
    u64[((following & PHYSICAL_MASK) >> 3) + 1] = previous


def _pop_block(k: Kernel, area: int) -> int:
    """Take the first block of the free list at index ``area``; return its frame number."""
    u64 = k.u64
    p = ((u64[area] & PHYSICAL_MASK) >> 3) - _LRU
    _unlink_block(u64, area, p)
    return p - _index(k, 0) >> _PAGE_WORDS_SHIFT


def _free_frames(k: Kernel, pfns: list[int]) -> None:
    """Give single frames back, neighbours together."""
    if not pfns:
        return
    k.u64[k.mm_word + _NR_FREE_PAGES] += len(pfns)
    pfns.sort()
    start = end = pfns[0]
    for pfn in pfns:
        if pfn != end:
            _free_run(k, start, end)
            start = pfn
        end = pfn + 1
    _free_run(k, start, end)


def _free_run(k: Kernel, pfn: int, end: int) -> None:
    while pfn < end:
        order = min((pfn & -pfn).bit_length() or NR_PAGE_ORDERS, (end - pfn).bit_length(),
                    NR_PAGE_ORDERS) - 1
        _free_block(k, pfn, order)
        pfn += 1 << order


def _free_block(k: Kernel, pfn: int, order: int) -> None:
    """Put a block on the free lists, merged with its buddy if that is free, and so on."""
    u64 = k.u64
    mm = k.mm_word
    mem_map = (u64[mm + _MEM_MAP] & PHYSICAL_MASK) >> 3
    max_pfn = u64[mm + _MAX_PFN]
    while order < MAX_PAGE_ORDER:
        buddy = pfn ^ 1 << order
        p = mem_map + (buddy << _PAGE_WORDS_SHIFT)
        if buddy >= max_pfn or not u64[p] & _BUDDY or u64[p + _PRIVATE] != order:
            break
        _unlink_block(u64, mm + _AREA + order * _AREA_WORDS, p)
        pfn &= buddy
        order += 1
    _push_block(u64, mm, mem_map, pfn, order)
