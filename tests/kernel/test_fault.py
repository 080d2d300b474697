"""Is each page fault answered as the table at the top of ``mm/memory.py`` says?"""

from __future__ import annotations

import pytest
from address_space import (
    PAGE,
    FlushingKernel,
    boot,
    enter,
    free_frames,
    leave,
    make_file,
    maps,
    new_mm,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.arch.exceptions import CpuException
from emulator.arch.exceptions import PageFaultError as E
from emulator.cpu.mmu import Access, translate
from guest_kernel.layout.declare import PHYSICAL_MASK
from guest_kernel.layout.fs import file
from guest_kernel.layout.mm_types import (
    MM_ANONPAGES,
    MM_FILEPAGES,
    MM_SHMEMPAGES,
    STACK_GUARD_GAP,
    TASK_SIZE,
    mm_struct,
    vm_data,
)
from guest_kernel.layout.page import PG_held_code
from guest_kernel.layout.sched import RLIM_INFINITY, RLIMIT_AS, RLIMIT_STACK
from guest_kernel.mm.madvise import do_madvise
from guest_kernel.mm.memory import (
    FAULT_AROUND_PAGES,
    BusError,
    SegmentationFault,
    get_mm_rss,
    handle_mm_fault,
)
from guest_kernel.mm.mm import dup_mmap, mm_alloc, mmdrop, mmget, mmgrab, mmput
from guest_kernel.mm.mmap import (
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_GROWSDOWN,
    MAP_NORESERVE,
    MAP_PRIVATE,
    MAP_SHARED,
    PROT_EXEC,
    PROT_NONE,
    PROT_READ,
    PROT_WRITE,
    do_mmap,
    do_munmap,
    map_stack,
)
from guest_kernel.mm.mprotect import do_mprotect
from guest_kernel.mm.mremap import do_mremap
from guest_kernel.mm.page_alloc import (
    OutOfFrames,
    alloc_page,
    nr_free_pages,
    page_count,
    page_ref,
    put_page,
)
from guest_kernel.mm.uaccess import copy_from_user, copy_to_user
from guest_kernel.signal.numbers import BUS_ADRERR, SEGV_ACCERR, SEGV_MAPERR

ANON = MAP_PRIVATE | MAP_ANONYMOUS
RW = PROT_READ | PROT_WRITE
BASE = 0x10_0000_0000
ACCESSES = {Access.READ: E.U, Access.WRITE: E.U | E.W, Access.EXECUTE: E.U | E.I}


@pytest.fixture
def k() -> FlushingKernel:
    return boot()


@pytest.fixture
def mm(k: FlushingKernel) -> mm_struct:
    return new_mm(k)


def mmap(mm: mm_struct, va: int, pages: int, prot: int = RW, flags: int = ANON | MAP_FIXED,
         f: file | None = None, pgoff: int = 0) -> int:
    return do_mmap(mm, f, va, pages * PAGE, prot, flags, pgoff)[0]


def access(k: FlushingKernel, va: int, kind: Access = Access.READ) -> int:
    """Access ``va`` as ring 3 does, faults and all; return the physical address.

    Raises:
        SegmentationFault, BusError: as ``handle_mm_fault`` does.
    """
    task = k.current()
    assert task.mm is not None
    pgd = task.mm.pgd & PHYSICAL_MASK
    for _ in range(2):
        try:
            return translate(k.ram, pgd, va, kind, user=True)
        except CpuException as exception:
            error_code = exception.error_code or 0
        handle_mm_fault(task, va, error_code)
    return translate(k.ram, pgd, va, kind, user=True)


def write(k: FlushingKernel, va: int, data: bytes) -> int:
    pa = access(k, va, Access.WRITE)
    k.u8[pa : pa + len(data)] = data
    return pa


def read(k: FlushingKernel, va: int, n: int) -> bytes:
    pa = access(k, va)
    return bytes(k.u8[pa : pa + n])


def segv(k: FlushingKernel, va: int, kind: Access = Access.READ) -> int:
    """Return the ``si_code`` of the SIGSEGV that an access gets."""
    with pytest.raises(SegmentationFault) as caught:
        access(k, va, kind)
    assert caught.value.va == va
    return caught.value.si_code


def counters(k: FlushingKernel) -> dict[str, int]:
    data = k.data(vm_data)
    return {name: getattr(data, name) for name in data.fields
            if name.startswith(("fault_", "cow_", "stack_")) and getattr(data, name)}


# ----------------------------------------------------------------------------- anonymous

def test_untouched_memory_reads_as_the_zero_page(k: FlushingKernel, mm: mm_struct) -> None:
    """Does reading cost no frame, and the write that follows get its own?"""
    zero = k.data(vm_data).empty_zero_page
    mmap(mm, BASE, 4)
    assert [access(k, BASE + i * PAGE) for i in range(3)] == [zero] * 3
    assert mm.rss_stat.tolist() == [0, 0, 0, 0]
    own = write(k, BASE, b"x")
    assert own != zero
    assert bytes(k.u8[zero : zero + PAGE]) == bytes(PAGE)
    assert mm.rss_stat[MM_ANONPAGES] == 1
    assert page_count(k, own) == 1
    assert page_ref(k, own)._mapcount == 0
    assert k.flushes.pages == [BASE]  # the zero page's translation
    write(k, BASE + 3 * PAGE, b"y")
    assert k.flushes.pages == [BASE]  # nothing was there
    assert k.current().min_flt == 5
    assert counters(k) == {"fault_zero_page": 3, "cow_zero": 1, "fault_anon": 1}


def test_new_frames_are_zeros(k: FlushingKernel, mm: mm_struct) -> None:
    """Does a program never see what another left in a frame?"""
    dirty = [alloc_page(k) for _ in range(64)]
    for pa in dirty:
        k.u8[pa : pa + PAGE] = b"secret! " * 512
    for pa in dirty:
        put_page(k, pa)
    mmap(mm, BASE, 64)
    for i in range(64):
        access(k, BASE + i * PAGE, Access.WRITE)
        assert read(k, BASE + i * PAGE, PAGE) == bytes(PAGE)


def test_shared_anonymous_memory_is_one(k: FlushingKernel, mm: mm_struct) -> None:
    """Is it the same frame in a child, writable at once?"""
    mmap(mm, BASE, 2, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED)
    pa = write(k, BASE, b"before")
    child = dup_mmap(mm)
    enter(k, child)
    assert read(k, BASE, 6) == b"before"
    assert write(k, BASE, b"after!") == pa
    untouched = write(k, BASE + PAGE, b"late")
    enter(k, mm)
    assert read(k, BASE, 6) == b"after!"
    assert access(k, BASE + PAGE) == untouched
    assert mm.rss_stat[MM_SHMEMPAGES] == 2


# ---------------------------------------------------------------------------------- files

def test_private_file_page_is_shared_until_written(k: FlushingKernel, mm: mm_struct) -> None:
    """Is the cache's frame mapped read-only, and copied by the first write?"""
    f = make_file(k, b"file" * 1024)
    mmap(mm, BASE, 1, RW, MAP_PRIVATE | MAP_FIXED, f)
    cached = access(k, BASE)
    assert page_count(k, cached) == 2
    assert page_ref(k, cached)._mapcount == 0
    assert mm.rss_stat[MM_FILEPAGES] == 1
    copy = write(k, BASE + 4, b"mine")
    assert copy & -PAGE != cached
    assert read(k, BASE, 12) == b"fileminefile"
    assert bytes(k.u8[cached : cached + 8]) == b"filefile"
    assert page_count(k, cached) == 1
    assert page_ref(k, cached)._mapcount == -1
    assert mm.rss_stat.tolist() == [0, 1, 0, 0]
    assert k.flushes.pages == [BASE]


def test_write_first_makes_one_copy(k: FlushingKernel, mm: mm_struct) -> None:
    """Does a write to an unread private page map the copy at once?"""
    f = make_file(k, b"file" * 1024)
    mmap(mm, BASE, 1, RW, MAP_PRIVATE | MAP_FIXED, f)
    write(k, BASE, b"mine")
    assert read(k, BASE, 8) == b"minefile"
    assert counters(k) == {"fault_file_cow": 1}
    assert k.flushes.pages == []


def test_shared_file_mapping_writes_the_page_cache(k: FlushingKernel, mm: mm_struct) -> None:
    """Does a write reach the file, and a hole become a page?"""
    f = make_file(k, b"file" * 1024 + bytes(PAGE))
    mmap(mm, BASE, 2, RW, MAP_SHARED | MAP_FIXED, f)
    access(k, BASE)
    assert write(k, BASE, b"mine") == access(k, BASE)
    write(k, BASE + PAGE, b"hole")
    assert f.f_inode.i_data.nrpages == 2
    assert counters(k) == {"fault_shared": 2}
    do_munmap(mm, BASE, 2 * PAGE)
    mmap(mm, BASE, 2, PROT_READ, MAP_PRIVATE | MAP_FIXED, f)
    assert read(k, BASE, 8) == b"minefile"
    assert read(k, BASE + PAGE, 4) == b"hole"


def test_behind_the_end_of_the_file_is_sigbus(k: FlushingKernel, mm: mm_struct) -> None:
    """Is the last page's rest zeros, and the next page SIGBUS, however it is mapped?"""
    f = make_file(k, b"x" * (PAGE + 1))
    for flags in (MAP_PRIVATE, MAP_SHARED):
        mmap(mm, BASE, 4, RW, flags | MAP_FIXED, f)
        assert read(k, BASE + PAGE, 3) == b"x\0\0"
        for kind in (Access.READ, Access.WRITE):
            with pytest.raises(BusError) as caught:
                access(k, BASE + 2 * PAGE + 5, kind)
            assert (caught.value.va, caught.value.si_code) == (BASE + 2 * PAGE + 5, BUS_ADRERR)
    assert k.data(vm_data).fault_bus == 4


def test_shared_memory_that_mremap_grew_ends(k: FlushingKernel, mm: mm_struct) -> None:
    """Does shared anonymous memory keep its size?"""
    mmap(mm, BASE, 2, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED)
    do_mremap(mm, BASE, 2 * PAGE, 3 * PAGE, 0, 0)
    write(k, BASE + PAGE, b"x")
    with pytest.raises(BusError):
        access(k, BASE + 2 * PAGE)


@settings(max_examples=50, deadline=None)
@given(first=st.integers(0, 60), pages=st.integers(1, 60), pgoff=st.integers(0, 70),
       touched=st.integers(0, 59), holes=st.sets(st.integers(0, 79)), size=st.integers(1, 80))
def test_fault_around_maps_cached_neighbours_only(first: int, pages: int, pgoff: int,
                                                  touched: int, holes: set[int],
                                                  size: int) -> None:
    """Is what is mapped beside the page the file's, inside VMA, file and page table?"""
    k = boot(8 << 20)
    mm = new_mm(k)
    content = b"".join(
        bytes(PAGE) if i in holes else bytes([i + 1]) * PAGE for i in range(size))
    f = make_file(k, content)
    base = BASE - 32 * PAGE + first * PAGE  # across a boundary of page tables
    mmap(mm, base, pages, PROT_READ, MAP_PRIVATE | MAP_FIXED, f, pgoff)
    touched %= pages
    if pgoff + touched >= size:
        return
    access(k, base + touched * PAGE)
    mapped = []
    for page in range(-2, pages + 2):
        try:
            pa = translate(k.ram, mm.pgd & PHYSICAL_MASK, base + page * PAGE, Access.READ,
                           user=True)
        except CpuException:
            continue
        mapped.append(page)
        index = pgoff + page
        assert bytes(k.u8[pa : pa + PAGE]) == content[index * PAGE : (index + 1) * PAGE]
    window = (pgoff + touched) // FAULT_AROUND_PAGES
    expected = [
        page for page in range(pages)
        if page == touched or (
            (pgoff + page) // FAULT_AROUND_PAGES == window
            and pgoff + page < size and pgoff + page not in holes
            and (base + page * PAGE) >> 21 == (base + touched * PAGE) >> 21)
    ]
    assert mapped == expected
    assert mm.rss_stat[MM_FILEPAGES] == len(expected)


# ---------------------------------------------------------------------------- copy on write

def test_fork_child_write_leaves_parent_page(k: FlushingKernel, mm: mm_struct) -> None:
    """Is the first writer given a copy, and the last user the frame itself?"""
    mmap(mm, BASE, 2)
    original = write(k, BASE, b"parent")
    k.flushes.all = 0
    child = dup_mmap(mm)
    assert k.flushes.all == 1  # the parent may not write any more
    enter(k, child)
    assert access(k, BASE) == original
    copied = write(k, BASE, b"child!")
    assert copied != original
    assert read(k, BASE, 6) == b"child!"
    enter(k, mm)
    assert read(k, BASE, 6) == b"parent"
    assert write(k, BASE, b"parent") == original
    assert counters(k) == {"fault_anon": 1, "fault_unshare": 1, "cow_copied": 1, "cow_reused": 1}
    assert page_count(k, original) == page_count(k, copied) == 1
    assert page_ref(k, original)._mapcount == page_ref(k, copied)._mapcount == 0
    assert get_mm_rss(mm) == get_mm_rss(child) == 1


def test_fork_then_exit_copies_nothing(k: FlushingKernel, mm: mm_struct) -> None:
    """Are the parent's pages writable again without copies once the child is gone?"""
    mmap(mm, BASE, 300)
    for i in range(300):
        write(k, BASE + i * PAGE, b"x")
    before = free_frames(k)
    faults = k.current().min_flt
    child = dup_mmap(mm)
    shared_cost = before - free_frames(k)
    mmput(child)
    for i in range(300):
        write(k, BASE + i * PAGE, b"y")
    assert free_frames(k) == before
    assert shared_cost <= 6  # PML4, PDPT, PD, slabs: no last-level table
    assert k.current().min_flt == faults + 1
    assert counters(k) == {"fault_anon": 300, "fault_spurious": 1}


def test_fork_cost_does_not_grow_with_memory(k: FlushingKernel, mm: mm_struct) -> None:
    """Does fork share last-level tables instead of copying entries?"""
    mmap(mm, BASE, 4 * 512)
    for i in range(0, 4 * 512, 4):
        write(k, BASE + i * PAGE, b"x")
    before = free_frames(k)
    child = dup_mmap(mm)
    assert before - free_frames(k) <= 6
    assert child.pgtables_bytes == mm.pgtables_bytes
    assert child.rss_stat.tolist() == mm.rss_stat.tolist()
    mmput(child)
    assert free_frames(k) == before


def test_fork_leaves_out_what_madvise_says(k: FlushingKernel, mm: mm_struct) -> None:
    """Are DONTFORK ranges not mapped and WIPEONFORK ranges zeros, also amid others?"""
    mmap(mm, BASE, 4)
    for i in range(4):
        write(k, BASE + i * PAGE, b"data")
    do_madvise(mm, BASE + PAGE, PAGE, 10)
    do_madvise(mm, BASE + 2 * PAGE, PAGE, 18)
    child = dup_mmap(mm)
    assert get_mm_rss(child) == 2
    assert child.total_vm == 3
    enter(k, child)
    assert read(k, BASE, 4) == read(k, BASE + 3 * PAGE, 4) == b"data"
    assert segv(k, BASE + PAGE) == SEGV_MAPERR
    assert read(k, BASE + 2 * PAGE, 4) == bytes(4)
    write(k, BASE, b"mine")
    enter(k, mm)
    assert [read(k, BASE + i * PAGE, 4) for i in range(4)] == [b"data"] * 4


def test_munmap_and_mprotect_in_a_shared_table(k: FlushingKernel, mm: mm_struct) -> None:
    """Does a change by one side never show on the other?"""
    mmap(mm, BASE, 8)
    for i in range(8):
        write(k, BASE + i * PAGE, bytes([65 + i]))
    child, third = dup_mmap(mm), dup_mmap(mm)
    enter(k, child)
    do_munmap(child, BASE, 2 * PAGE)
    do_mprotect(child, BASE + 2 * PAGE, PAGE, PROT_NONE)
    do_madvise(child, BASE + 3 * PAGE, PAGE, 4)
    assert get_mm_rss(child) == 5
    assert segv(k, BASE) == SEGV_MAPERR
    assert segv(k, BASE + 2 * PAGE) == SEGV_ACCERR
    for space in (mm, third):
        enter(k, space)
        assert b"".join(read(k, BASE + i * PAGE, 1) for i in range(8)) == b"ABCDEFGH"
        do_munmap(space, BASE, 8 * PAGE)
        assert get_mm_rss(space) == 0
    enter(k, child)
    assert b"".join(read(k, BASE + i * PAGE, 1) for i in range(3, 8)) == b"\0EFGH"


def test_whole_shared_table_is_dropped_not_copied(k: FlushingKernel, mm: mm_struct) -> None:
    """Does unmapping all that a shared table maps cost no frame?"""
    base = BASE & -(2 << 20)
    mmap(mm, base, 512)
    for i in range(0, 512, 16):
        write(k, base + i * PAGE, b"x")
    child = dup_mmap(mm)
    enter(k, child)
    before = free_frames(k)
    do_munmap(child, base, 512 * PAGE)
    assert free_frames(k) >= before
    assert get_mm_rss(child) == 0
    assert counters(k) == {"fault_anon": 32}
    enter(k, mm)
    assert read(k, base, 1) == b"x"


# ------------------------------------------------------------------------------ protection

@pytest.mark.parametrize("prot", range(8))
@pytest.mark.parametrize("kind", list(Access))
@pytest.mark.parametrize("touched", [False, True])
def test_rights_of_ring_3(k: FlushingKernel, mm: mm_struct, prot: int, kind: Access,
                          touched: bool) -> None:
    """Is an access allowed if, and only if, mmap(2) or mprotect(2) said so?

    As on Linux x86, memory that can be written or executed can be read.
    """
    if touched:
        mmap(mm, BASE, 1)
        write(k, BASE, b"x")
        do_mprotect(mm, BASE, PAGE, prot)
    else:
        mmap(mm, BASE, 1, prot)
    needed = {Access.READ: 7, Access.WRITE: PROT_WRITE, Access.EXECUTE: PROT_EXEC}[kind]
    if prot & needed:
        access(k, BASE, kind)
    else:
        assert segv(k, BASE, kind) == SEGV_ACCERR
        assert k.data(vm_data).fault_segv == 1


def test_where_nothing_is_mapped(k: FlushingKernel, mm: mm_struct) -> None:
    """Is it SEGV_MAPERR below, between, above, and in the kernel's half?"""
    mmap(mm, BASE, 1)
    for va in (0, BASE - 1, BASE + PAGE, TASK_SIZE - 1):
        assert segv(k, va) == SEGV_MAPERR
    for va in (TASK_SIZE, 1 << 47, 0xFFFF_8880_0000_0000, (1 << 64) - 1):
        with pytest.raises(SegmentationFault) as caught:
            handle_mm_fault(k.current(), va, int(E.U | E.P))
        assert caught.value.si_code == SEGV_MAPERR
    k.current().mm = None
    with pytest.raises(SegmentationFault):
        handle_mm_fault(k.current(), BASE, int(E.U))


def test_prot_none_keeps_the_contents(k: FlushingKernel, mm: mm_struct) -> None:
    """Is a page hidden and shown again without loss, and the TLB told once?"""
    mmap(mm, BASE, 1)
    pa = write(k, BASE, b"kept")
    do_mprotect(mm, BASE, PAGE, PROT_NONE)
    assert k.flushes.pages == [BASE]
    assert segv(k, BASE) == SEGV_ACCERR
    assert mm.rss_stat[MM_ANONPAGES] == 1
    do_mprotect(mm, BASE, PAGE, RW)
    assert k.flushes.pages == [BASE]  # more rights need no flush
    assert write(k, BASE, b"kept") == pa
    do_mprotect(mm, BASE, PAGE, PROT_READ)
    assert k.flushes.pages == [BASE, BASE]
    do_munmap(mm, BASE, PAGE)
    assert free_frames(k) > 0


def test_executable_frames_are_noted(k: FlushingKernel, mm: mm_struct) -> None:
    """Does each way to an executable page mark its frame as one that may hold code?"""
    f = make_file(k, b"code" * 1024)

    def held(pa: int) -> bool:
        return bool(page_ref(k, pa).flags >> PG_held_code & 1)

    mmap(mm, BASE, 1, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_FIXED, f)
    assert held(access(k, BASE, Access.EXECUTE))
    mmap(mm, BASE, 1, RW | PROT_EXEC)
    assert held(access(k, BASE, Access.WRITE))
    mmap(mm, BASE, 1, RW)
    pa = access(k, BASE, Access.WRITE)
    assert not held(pa)
    do_mprotect(mm, BASE, PAGE, PROT_READ | PROT_EXEC)
    assert held(pa)
    copy = dup_mmap(mm)
    do_mprotect(mm, BASE, PAGE, RW | PROT_EXEC)
    assert held(access(k, BASE, Access.WRITE))
    mmput(copy)


# ------------------------------------------------------------------------------------ stack

def stack(mm: mm_struct, pages: int = 2) -> None:
    map_stack(mm, BASE + pages * PAGE, pages * PAGE)


def test_stack_grows_to_any_page_above_its_limit(k: FlushingKernel, mm: mm_struct) -> None:
    """Does an access below grow the stack in one step, to RLIMIT_STACK and no further?"""
    stack(mm)
    signal = k.current().signal
    assert signal is not None
    signal.rlim[RLIMIT_STACK].rlim_cur = 64 * PAGE
    write(k, BASE - 10 * PAGE + 5, b"x")
    assert [(s, e) for s, e, _ in maps(mm)] == [(BASE - 10 * PAGE, BASE + 2 * PAGE)]
    assert mm.stack_vm == 12
    assert read(k, BASE - 3 * PAGE, 1) == b"\0"
    access(k, BASE - 62 * PAGE)
    assert segv(k, BASE - 62 * PAGE - 1, Access.WRITE) == SEGV_MAPERR
    assert k.data(vm_data).stack_growth == 2
    signal.rlim[RLIMIT_STACK].rlim_cur = RLIM_INFINITY
    signal.rlim[RLIMIT_AS].rlim_cur = 64 * PAGE
    assert segv(k, BASE - 63 * PAGE) == SEGV_MAPERR


def test_stack_keeps_a_gap_to_the_mapping_below(k: FlushingKernel, mm: mm_struct) -> None:
    """Are STACK_GUARD_GAP bytes never used, unless what is below cannot be accessed?"""
    stack(mm)
    below = BASE - STACK_GUARD_GAP - 8 * PAGE
    mmap(mm, below - PAGE, 1)
    access(k, BASE - 8 * PAGE)
    assert segv(k, BASE - 8 * PAGE - 1) == SEGV_MAPERR
    do_mprotect(mm, below - PAGE, PAGE, PROT_NONE)
    access(k, BASE - 9 * PAGE)
    access(k, below)
    assert segv(k, below - 1) == SEGV_ACCERR


def test_stack_does_not_grow_below_mmap_min_addr(k: FlushingKernel, mm: mm_struct) -> None:
    """Is the NULL page never the stack's?"""
    mmap(mm, 0x2_0000, 1, RW, ANON | MAP_FIXED | MAP_GROWSDOWN)
    assert segv(k, 0xFFFF) == SEGV_MAPERR
    access(k, 0x1_0000)


# ------------------------------------------------------------------------------- memory ends

def test_running_out_of_frames_changes_nothing(k: FlushingKernel, mm: mm_struct) -> None:
    """Is every kind of fault that finds no frame clean: retried later, it succeeds?"""
    f = make_file(k, b"file" * 1024)
    mmap(mm, BASE, 1)
    mmap(mm, BASE + (1 << 40), 1)
    mmap(mm, BASE + 4 * PAGE, 1, RW, MAP_PRIVATE | MAP_FIXED, f)
    mmap(mm, BASE + 8 * PAGE, 1, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED)
    mmap(mm, BASE + 12 * PAGE, 1)
    write(k, BASE + 12 * PAGE, b"cow")
    child = dup_mmap(mm)
    hog = []
    while True:
        try:
            hog.append(alloc_page(k))
        except OutOfFrames:
            break
    for va in (BASE, BASE + (1 << 40), BASE + 4 * PAGE, BASE + 8 * PAGE, BASE + 12 * PAGE):
        with pytest.raises(OutOfFrames):
            access(k, va, Access.WRITE)
    maps(mm)
    with pytest.raises(OutOfFrames):
        dup_mmap(mm)
    # Partly in a table that the child shares: refused before anything is unmapped.
    with pytest.raises(OutOfFrames):
        do_munmap(mm, BASE + 12 * PAGE, PAGE)
    assert read(k, BASE + 12 * PAGE, 3) == b"cow"
    for pa in hog:
        put_page(k, pa)
    for va in (BASE, BASE + (1 << 40), BASE + 4 * PAGE, BASE + 8 * PAGE, BASE + 12 * PAGE):
        access(k, va, Access.WRITE)
    do_munmap(mm, BASE + 12 * PAGE, PAGE)
    mmput(child)


def test_every_allocation_failure_leaves_all_frames_countable() -> None:
    """Does a sequence that fails at its nth frame, for every n, lose nothing?"""
    for n in range(40):
        k = boot(8 << 20)
        f = make_file(k, b"file" * 4096)
        hog = []
        mm = new_mm(k)
        before = free_frames(k)
        while nr_free_pages(k) > n:
            hog.append(alloc_page(k))
        try:
            for i, (flags, source) in enumerate(((ANON, None), (MAP_PRIVATE, f),
                                                 (MAP_SHARED | MAP_ANONYMOUS, None))):
                va = BASE + (i << 31)
                mmap(mm, va, 4, RW, flags | MAP_FIXED | MAP_NORESERVE, source)
                copy_to_user(k, va + PAGE, b"x" * PAGE)
                copy_from_user(k, va, PAGE)
            child = dup_mmap(mm)
            try:
                copy_to_user(k, BASE + PAGE, b"y")
                do_munmap(mm, BASE + PAGE, PAGE)
            finally:
                mmput(child)
        except OutOfFrames:
            pass
        for pa in hog:
            put_page(k, pa)
        maps(mm)
        do_munmap(mm, 0, TASK_SIZE)
        assert mm.pgtables_bytes == 0
        assert mm.rss_stat.tolist() == [0, 0, 0, 0]
        assert free_frames(k) >= before - 2  # slab caches that did not exist before
        leave(k, mm)


# --------------------------------------------------------------------------- life of an mm

def test_mm_lives_until_its_last_reference(k: FlushingKernel) -> None:
    """Do users keep the mappings, and counts the structure?"""
    before = free_frames(k)
    mm = mm_alloc(k)
    enter(k, mm)
    mmap(mm, BASE, 1)
    write(k, BASE, b"x")
    mmget(mm)
    mmgrab(mm)
    leave(k, mm)
    assert mm.map_count == 1
    mmput(mm)
    assert mm.map_count == 0
    assert mm.mm_count == 1
    assert get_mm_rss(mm) == 0
    assert mm.hiwater_rss == 1
    mmdrop(mm)
    assert free_frames(k) == before


def test_hiwater_marks_remember_the_most(k: FlushingKernel, mm: mm_struct) -> None:
    """Is the peak kept when memory is given back?"""
    mmap(mm, BASE, 8)
    for i in range(8):
        write(k, BASE + i * PAGE, b"x")
    do_munmap(mm, BASE, 6 * PAGE)
    assert (mm.hiwater_rss, mm.hiwater_vm) == (8, 8)
    assert (get_mm_rss(mm), mm.total_vm) == (2, 2)
