"""Does every frame have one holder, and do free frames find together again?"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from emulator.arch.paging import PAGE_SHIFT, PAGE_SIZE
from emulator.memory import Ram
from guest_kernel.errors import KernelPanic
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PAGE_OFFSET
from guest_kernel.layout.page import (
    MAX_ORDER_NR_PAGES,
    MAX_PAGE_ORDER,
    PG_buddy,
    PG_dirty,
    PG_head,
    PG_held_code,
    PG_lru,
    PG_reserved,
    mm_data,
    page,
)
from guest_kernel.lib.list import list_for_each_entry, list_for_each_entry_reverse
from guest_kernel.mm.page_alloc import (
    PCP_BATCH,
    OutOfFrames,
    SetPageHeldCode,
    alloc_page,
    alloc_pages,
    alloc_pages_bulk,
    compound_head,
    drain_local_pages,
    free_page,
    free_pages,
    get_page,
    get_zeroed_page,
    mem_init,
    mem_map_size,
    nr_free_pages,
    page_address,
    page_count,
    page_ref,
    page_to_pfn,
    page_to_phys,
    pfn_to_page,
    put_page,
    release_pages,
    virt_to_page,
)

BootPages = Callable[[int], Kernel]
AttachKernel = Callable[[Ram], Kernel]


@pytest.fixture
def boot_pages(attach_kernel: AttachKernel) -> BootPages:
    """The function that makes a kernel with a page allocator and nothing else."""

    def boot(size: int) -> Kernel:
        k = attach_kernel(Ram(size))
        mem_init(k, size, k.image_end, [(0, k.image_end)])
        return k

    return boot


@pytest.fixture
def pages(boot_pages: BootPages) -> Kernel:
    return boot_pages(16 << 20)


def reserved_frames(k: Kernel) -> set[int]:
    end = (k.data(mm_data).mem_map - PAGE_OFFSET) + mem_map_size(k.ram.size)
    return set(range(-(-end // PAGE_SIZE)))


def free_frames(k: Kernel) -> set[int]:
    """Check the free lists and return what is on them, on pcp, and deferred."""
    mm = k.data(mm_data)
    blocks: set[tuple[int, int]] = set()
    frames: set[int] = set()
    for order, area in enumerate(mm.free_area):
        heads = list(list_for_each_entry(area.free_list, page, "lru"))
        assert heads[::-1] == list(list_for_each_entry_reverse(area.free_list, page, "lru"))
        assert area.nr_free == len(heads)
        for head in heads:
            pfn = page_to_pfn(head)
            assert head.flags & ~(1 << PG_held_code) == 1 << PG_buddy
            assert (head.private, pfn % (1 << order)) == (order, 0)
            block = set(range(pfn, pfn + (1 << order)))
            assert not block & frames
            frames |= block
            blocks.add((pfn, order))
    for pfn, order in blocks:
        assert order == MAX_PAGE_ORDER or (pfn ^ 1 << order, order) not in blocks
    deferred = set(range(mm.first_deferred_pfn, mm.max_pfn)) - reserved_frames(k)
    assert len(frames) + len(deferred) == mm.nr_free_pages
    cached = [page_to_pfn(p) for p in list_for_each_entry(mm.pcp.list, page, "lru")]
    assert len(set(cached)) == len(cached) == mm.pcp.count
    assert frames.isdisjoint(deferred)
    assert frames.isdisjoint(cached)
    return frames | deferred | set(cached)


def free_counts(k: Kernel) -> list[int]:
    return [area.nr_free for area in k.data(mm_data).free_area]


def largest_blocks(k: Kernel) -> list[int]:
    """Count the blocks of each order if all frames that were ever used are free and merged."""
    mm = k.data(mm_data)
    pfn, end = max(reserved_frames(k)) + 1, mm.first_deferred_pfn
    counts = [0] * (MAX_PAGE_ORDER + 1)
    while pfn < end:
        order = MAX_PAGE_ORDER
        while pfn % (1 << order) or pfn + (1 << order) > end:
            order -= 1
        counts[order] += 1
        pfn += 1 << order
    return counts


class PageAllocator(RuleBasedStateMachine):
    """Any sequence of operations, beside a model that knows who holds what."""

    blocks = Bundle("blocks")

    boot: ClassVar[BootPages]  # the fixture

    def __init__(self) -> None:
        super().__init__()
        # Two sections and a part of one.
        self.k = type(self).boot(9 << 20)
        self.held: dict[int, int] = {}  # pfn: order
        self.references: dict[int, int] = {}

    def took(self, pa: int, order: int) -> int:
        pfn = pa >> PAGE_SHIFT
        for frame in range(pfn, pfn + (1 << order)):
            assert frame not in self.frames_in_use()
        assert pfn % (1 << order) == 0
        ref = page_ref(self.k, pa)
        assert ref.flags == (1 << PG_head if order else 0)
        assert (ref.mapping, ref.private, ref._mapcount, ref._refcount) == (0, 0, -1, 1)
        self.held[pfn] = order
        self.references[pfn] = 1
        return pfn

    def frames_in_use(self) -> set[int]:
        return {
            frame
            for pfn, order in self.held.items()
            for frame in range(pfn, pfn + (1 << order))
        }

    def dropped(self, pfn: int) -> None:
        self.references[pfn] -= 1
        if not self.references[pfn]:
            del self.held[pfn], self.references[pfn]

    @rule(target=blocks)
    def alloc_page(self) -> object:
        if nr_free_pages(self.k):
            return self.took(alloc_page(self.k), 0)
        with pytest.raises(OutOfFrames, match=r"^no frame is free$"):
            alloc_page(self.k)
        return multiple()

    @rule(target=blocks, order=st.integers(0, MAX_PAGE_ORDER))
    def alloc_pages(self, order: int) -> object:
        try:
            pa = alloc_pages(self.k, order)
        except OutOfFrames:
            in_use = self.frames_in_use() | reserved_frames(self.k)
            size = 1 << order
            for first in range(0, self.k.data(mm_data).max_pfn - size + 1, size):
                assert not in_use.isdisjoint(range(first, first + size))
            return multiple()
        return self.took(pa, order)

    @rule(target=blocks, n=st.integers(0, 600))
    def alloc_bulk(self, n: int) -> object:
        before = nr_free_pages(self.k)
        try:
            pas = alloc_pages_bulk(self.k, n)
        except OutOfFrames:
            assert before < n
            assert nr_free_pages(self.k) == before
            return multiple()
        assert len(pas) == n
        return multiple(*[self.took(pa, 0) for pa in pas])

    @rule(pfn=blocks)
    def get(self, pfn: int) -> None:
        if pfn in self.held:
            get_page(self.k, pfn << PAGE_SHIFT)
            self.references[pfn] += 1

    @rule(pfn=blocks)
    def put(self, pfn: int) -> None:
        if pfn in self.held:
            put_page(self.k, pfn << PAGE_SHIFT)
            self.dropped(pfn)
        elif pfn not in self.frames_in_use():
            with pytest.raises(KernelPanic):
                put_page(self.k, pfn << PAGE_SHIFT)

    @rule(pfn=consumes(blocks))
    def free(self, pfn: int) -> None:
        if self.references.get(pfn) == 1:
            free_pages(self.k, pfn << PAGE_SHIFT, self.held[pfn])
            self.dropped(pfn)

    @rule(pfns=st.lists(consumes(blocks), max_size=200))
    def release(self, pfns: list[int]) -> None:
        pfns = [pfn for pfn in set(pfns) if pfn in self.held]
        release_pages(self.k, [pfn << PAGE_SHIFT for pfn in pfns])
        for pfn in pfns:
            self.dropped(pfn)

    @rule(pfn=blocks)
    def use(self, pfn: int) -> None:
        if pfn in self.held:
            SetPageHeldCode(self.k, pfn << PAGE_SHIFT)
            ref = pfn_to_page(self.k, pfn)
            ref.flags |= 1 << PG_dirty
            ref.index = ref.private = 0x1234

    @rule()
    def drain(self) -> None:
        drain_local_pages(self.k)

    @invariant()
    def every_frame_is_free_or_held_or_reserved(self) -> None:
        free, held, reserved = free_frames(self.k), self.frames_in_use(), reserved_frames(self.k)
        assert free.isdisjoint(held)
        assert free.isdisjoint(reserved)
        assert len(free) + len(held) + len(reserved) == self.k.data(mm_data).max_pfn
        assert len(free) == nr_free_pages(self.k)

    @invariant()
    def counts_are_the_models(self) -> None:
        for pfn, count in self.references.items():
            assert page_count(self.k, pfn << PAGE_SHIFT) == count

    def teardown(self) -> None:
        for pfn in list(self.held):
            while pfn in self.held:
                put_page(self.k, pfn << PAGE_SHIFT)
                self.dropped(pfn)
        drain_local_pages(self.k)
        free_frames(self.k)
        assert free_counts(self.k) == largest_blocks(self.k)


def test_any_sequence_of_operations(boot_pages: BootPages) -> None:
    """Do the free lists and a model agree after each step, and does all merge in the end?"""
    PageAllocator.boot = boot_pages
    run_state_machine_as_test(
        PageAllocator,
        settings=settings(
            max_examples=40, stateful_step_count=30, deadline=None, derandomize=True
        ),
    )


def test_struct_page_is_linuxs_size() -> None:
    """Is ``struct page`` 64 bytes with Linux's offsets?"""
    assert page.size == 64
    offsets = {name: page.offsetof(name) for name in ("lru", "mapping", "index", "private")}
    assert offsets == {"lru": 8, "mapping": 24, "index": 32, "private": 40}
    assert (page.offsetof("_mapcount"), page.offsetof("_refcount")) == (48, 52)


def test_start_touches_little_memory(boot_pages: BootPages) -> None:
    """Does a machine of 1 GiB start with a few pages written, and all frames free?"""
    k = boot_pages(1 << 30)
    assert len(list(k.ram.resident_pages())) < 100
    mm = k.data(mm_data)
    assert mm.max_pfn == 1 << 18
    assert nr_free_pages(k) == mm.totalram_pages == mm.max_pfn - len(reserved_frames(k))


def test_reserved_frames_are_never_allocated(attach_kernel: AttachKernel) -> None:
    """Are reserved ranges left out, also overlapping, unaligned and high ones?"""
    k = attach_kernel(Ram(8 << 20))
    end = k.image_end
    ranges = [(0, end), (0x8000, 0x9000), (0x50_0001, 0x50_0FFF), (0x50_0800, 0x50_3000)]
    mem_init(k, 8 << 20, end, [(0x7F_F000, 0x80_0000), *ranges])
    reserved = set(range(end + mem_map_size(8 << 20) >> PAGE_SHIFT)) | {0x500, 0x501, 0x502, 0x7FF}
    assert nr_free_pages(k) == k.data(mm_data).totalram_pages == 2048 - len(reserved)
    frames = {pa >> PAGE_SHIFT for pa in alloc_pages_bulk(k, nr_free_pages(k))}
    assert frames == set(range(2048)) - reserved
    for pfn in reserved:
        assert pfn_to_page(k, pfn).flags == 1 << PG_reserved
        assert page_count(k, pfn << PAGE_SHIFT) == 1
    with pytest.raises(OutOfFrames, match=r"^no frame is free$"):
        alloc_page(k)


def test_mem_map_inside_ram(attach_kernel: AttachKernel) -> None:
    """Is a mem_map that does not fit refused?"""
    k = attach_kernel(Ram(2 << 20))
    with pytest.raises(KernelPanic, match=r"^mem_map ends at 0x208000, RAM at 0x200000$"):
        mem_init(k, 2 << 20, 0x20_0000, [])
    with pytest.raises(KernelPanic, match=r"^mem_map 0x120800 is not page aligned$"):
        mem_init(k, 2 << 20, 0x12_0800, [])


def test_frames_are_used_in_ascending_order(pages: Kernel) -> None:
    """Do single frames come lowest first, in one run, on a machine that freed none?"""
    k = pages
    pas = [alloc_page(k) for _ in range(3 * PCP_BATCH)]
    assert pas == list(range(pas[0], pas[0] + len(pas) * PAGE_SIZE, PAGE_SIZE))
    assert pas[0] == max(reserved_frames(k)) + 1 << PAGE_SHIFT
    assert k.data(mm_data).first_deferred_pfn == MAX_ORDER_NR_PAGES


def test_frame_freed_last_is_used_first(pages: Kernel) -> None:
    """Is the list in front a stack?"""
    k = pages
    first, second = alloc_page(k), alloc_page(k)
    free_page(k, first)
    free_page(k, second)
    assert alloc_page(k) == second
    assert alloc_page(k) == first


def test_contents_survive_free_but_not_get_zeroed_page(pages: Kernel) -> None:
    """Is a freed frame left as it is, and cleared only for those who ask?"""
    k = pages
    pa = alloc_page(k)
    k.u8[pa : pa + PAGE_SIZE] = b"\xa5" * PAGE_SIZE
    free_page(k, pa)
    assert alloc_page(k) == pa
    assert bytes(k.u8[pa : pa + PAGE_SIZE]) == b"\xa5" * PAGE_SIZE
    free_page(k, pa)
    assert get_zeroed_page(k) == pa
    assert bytes(k.u8[pa : pa + PAGE_SIZE]) == bytes(PAGE_SIZE)


def test_new_page_is_clean(pages: Kernel) -> None:
    """Does a page that is allocated anew show nothing of its last holder?"""
    k = pages
    pa = alloc_page(k)
    ref = page_ref(k, pa)
    ref.private = 7
    ref.flags |= 1 << PG_dirty
    free_page(k, pa)
    assert alloc_page(k) == pa
    assert (ref.flags, ref.mapping, ref.private, ref._mapcount, ref._refcount) == (0, 0, 0, -1, 1)


def test_last_reference_frees(pages: Kernel) -> None:
    """Is a page free when, and only when, its last reference is dropped?"""
    k = pages
    free = nr_free_pages(k)
    for order in (0, 3):
        pa = alloc_pages(k, order)
        get_page(k, pa)
        get_page(k, pa)
        put_page(k, pa)
        release_pages(k, [pa])
        assert page_count(k, pa) == 1
        assert nr_free_pages(k) == free - (1 << order)
        put_page(k, pa)
        assert page_count(k, pa) == 0
        assert nr_free_pages(k) == free


def test_tail_pages_lead_to_their_head(pages: Kernel) -> None:
    """Does each page of a block know the first, until the block is freed?"""
    k = pages
    pa = alloc_pages(k, 3)
    head = page_ref(k, pa)
    assert (head.flags, head.compound_order) == (1 << PG_head, 3)
    for i in range(8):
        assert compound_head(page_ref(k, pa + i * PAGE_SIZE)) == head
    free_pages(k, pa, 3)
    for i in range(8):
        assert page_ref(k, pa + i * PAGE_SIZE).compound_head & 1 == 0


def test_references_to_one_page_convert(pages: Kernel) -> None:
    """Do frame number, physical and virtual address and struct page name the same frame?"""
    k = pages
    pa = alloc_page(k)
    ref = page_ref(k, pa + 123)
    assert (page_to_pfn(ref), page_to_phys(ref)) == (pa >> PAGE_SHIFT, pa)
    assert page_address(ref) == pa + PAGE_OFFSET
    assert pfn_to_page(k, pa >> PAGE_SHIFT) == virt_to_page(k, pa + PAGE_OFFSET + 5) == ref
    with pytest.raises(KernelPanic, match=r"^pfn 0x1000: no such frame$"):
        page_ref(k, 16 << 20)


def test_wrong_frees_stop_the_machine(pages: Kernel) -> None:
    """Is each way to free wrongly found, and named?"""
    k = pages
    pa = alloc_page(k)
    pfn = f"pfn {pa >> PAGE_SHIFT:#x}"
    get_page(k, pa)
    with pytest.raises(KernelPanic, match=f"^{pfn}: reference count is 2$"):
        free_page(k, pa)
    put_page(k, pa)

    ref = page_ref(k, pa)
    ref.mapping = 0x1230
    with pytest.raises(KernelPanic, match=f"^{pfn}: freed with mapping 0x1230$"):
        free_page(k, pa)
    ref.mapping = 0
    ref._mapcount = 1
    with pytest.raises(KernelPanic, match=f"^{pfn}: freed with a map count of 2$"):
        put_page(k, pa)
    ref._mapcount = -1
    ref.flags = 1 << PG_lru
    with pytest.raises(KernelPanic, match=f"^{pfn}: freed with PG_lru$"):
        release_pages(k, [pa])
    ref.flags = 0

    free_page(k, pa)
    for operation in (free_page, put_page, get_page):
        with pytest.raises(KernelPanic, match=f"^{pfn}: reference count is 0$"):
            operation(k, pa)
    with pytest.raises(KernelPanic, match=f"^{pfn}: reference count is 0$"):
        release_pages(k, [pa])

    with pytest.raises(KernelPanic, match=r"^pfn 0x0: freed with PG_reserved$"):
        put_page(k, 0)


def test_wrong_frees_of_blocks_stop_the_machine(pages: Kernel) -> None:
    """Is a block freed with another order, or from its middle, found?"""
    k = pages
    single, block = alloc_page(k), alloc_pages(k, 2)
    pfn = f"pfn {block >> PAGE_SHIFT:#x}"
    with pytest.raises(KernelPanic, match=f"^{pfn}: allocated with order 2, freed with order 0$"):
        free_page(k, block)
    with pytest.raises(KernelPanic, match=f"^{pfn}: allocated with order 2, freed with order 1$"):
        free_pages(k, block, 1)
    with pytest.raises(KernelPanic, match=r": allocated with order 0, freed with order 2$"):
        free_pages(k, single, 2)
    with pytest.raises(KernelPanic, match=r"reference count is 0$"):
        free_page(k, block + PAGE_SIZE)
    with pytest.raises(KernelPanic, match=r"^allocation of order 11$"):
        alloc_pages(k, 11)
    free_pages(k, block, 2)
    free_page(k, single)


def test_frame_that_held_code_is_flushed_when_allocated_again(pages: Kernel) -> None:
    """Does the CPU drop its translations of a frame before the next holder writes it?"""
    k = pages
    flushed: list[int] = k.flushed  # type: ignore[attr-defined]  # the fixture's own
    pas = alloc_pages_bulk(k, 64)
    for pa in pas:
        SetPageHeldCode(k, pa)
    assert not flushed

    free_page(k, pas[0])
    assert page_ref(k, pas[0]).flags == 1 << PG_held_code
    assert alloc_page(k) == pas[0]
    assert flushed == pas[:1]
    free_page(k, alloc_page(k))
    free_page(k, pas[0])
    assert alloc_page(k) == pas[0]
    assert flushed == pas[:1]  # once

    # By any way, and through merging and splitting.
    flushed.clear()
    release_pages(k, pas)
    drain_local_pages(k)
    free_frames(k)
    alloc_pages_bulk(k, nr_free_pages(k) - 64)
    while nr_free_pages(k) >= 4:
        try:
            alloc_pages(k, 2)
        except OutOfFrames:
            break
    for _ in range(nr_free_pages(k)):
        alloc_page(k)
    assert sorted(flushed) == pas[1:]


def test_block_is_found_by_draining(pages: Kernel) -> None:
    """If free frames on the list in front keep a block apart, is it made whole?"""
    k = pages
    pas = alloc_pages_bulk(k, nr_free_pages(k))
    block = next(pa for pa in pas if pa % (16 * PAGE_SIZE) == 0)
    for pa in range(block, block + 16 * PAGE_SIZE, PAGE_SIZE):
        free_page(k, pa)
    assert free_counts(k) == [0] * 11
    assert alloc_pages(k, 4) == block
    with pytest.raises(OutOfFrames, match=r"^no block of order 1; 0 frames are free$"):
        alloc_pages(k, 1)


def test_last_frames_have_no_buddy(boot_pages: BootPages) -> None:
    """Does what lies behind mem_map never pass for a free block?"""
    k = boot_pages(9 << 20)
    mm = k.data(mm_data)
    pas = alloc_pages_bulk(k, nr_free_pages(k))
    behind = page(k, pas[0])
    assert page_address(pfn_to_page(k, pas[0] >> PAGE_SHIFT)) == mm.mem_map + mm.max_pfn * page.size
    behind.flags = 1 << PG_buddy
    behind.private = 8
    release_pages(k, pas[-256:])
    assert [order for order, n in enumerate(free_counts(k)) if n] == [8]


def test_peak_is_remembered(pages: Kernel) -> None:
    """Does peak_used_pages stay when frames come back?"""
    k = pages
    mm = k.data(mm_data)
    pas = alloc_pages_bulk(k, 1000)
    assert mm.peak_used_pages >= 1000
    peak = mm.peak_used_pages
    release_pages(k, pas)
    assert mm.peak_used_pages == peak
    assert free_counts(k) != [0] * 11
