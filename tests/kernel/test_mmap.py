"""Do mappings come, go, split and merge as Linux's do?

Three oracles: the host's own kernel, for layouts, errors and contents of a window of addresses; a
model that knows nothing but pages, for everything, placement included; and the processor's walk,
for what ring 3 may do at each page.
"""

from __future__ import annotations

import json
import platform
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

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
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from emulator.arch.exceptions import CpuException
from emulator.cpu.mmu import Access, translate
from guest_kernel.errors import Errno, SyscallError
from guest_kernel.layout.declare import PHYSICAL_MASK
from guest_kernel.layout.fs import FMODE_READ, FMODE_WRITE, MNT_NOEXEC, S_APPEND, Ops, file
from guest_kernel.layout.mm_types import (
    STACK_GUARD_GAP,
    TASK_SIZE,
    VM_ACCOUNT,
    VM_EXEC,
    VM_MAYSHARE,
    VM_MAYWRITE,
    VM_OPS_SHMEM,
    VM_READ,
    VM_SHARED,
    VM_WRITE,
    mm_struct,
    vm_area_struct,
    vm_data,
)
from guest_kernel.layout.sched import RLIMIT_AS, RLIMIT_DATA, RLIMIT_MEMLOCK
from guest_kernel.mm import filemap
from guest_kernel.mm.madvise import do_madvise, sys_madvise
from guest_kernel.mm.memory import mm_populate
from guest_kernel.mm.mincore import do_mincore, sys_mincore
from guest_kernel.mm.mm import arch_pick_mmap_layout, dup_mmap, mm_alloc, mmput
from guest_kernel.mm.mmap import (
    MAP_32BIT,
    MAP_ANONYMOUS,
    MAP_FIXED,
    MAP_FIXED_NOREPLACE,
    MAP_GROWSDOWN,
    MAP_HUGETLB,
    MAP_LOCKED,
    MAP_NORESERVE,
    MAP_POPULATE,
    MAP_PRIVATE,
    MAP_SHARED,
    MAP_SHARED_VALIDATE,
    MAP_SYNC,
    PROT_EXEC,
    PROT_NONE,
    PROT_READ,
    PROT_WRITE,
    do_brk,
    do_mmap,
    do_munmap,
    install_special_mapping,
    sys_brk,
    sys_mmap,
    sys_munmap,
    vm_brk_flags,
    vm_mmap,
)
from guest_kernel.mm.mprotect import do_mprotect, sys_mprotect
from guest_kernel.mm.mremap import do_mremap, sys_mremap
from guest_kernel.mm.msync import do_msync, sys_msync
from guest_kernel.mm.page_alloc import alloc_pages, free_pages, page_count
from guest_kernel.mm.uaccess import UserAccessError, copy_from_user, copy_to_user
from guest_kernel.mm.vma import find_vma, find_vma_intersection, for_each_vma, vma_lookup

ANON = MAP_PRIVATE | MAP_ANONYMOUS
RW = PROT_READ | PROT_WRITE
BASE = 0x10_0000_0000


@pytest.fixture
def k() -> FlushingKernel:
    return boot()


@pytest.fixture
def mm(k: FlushingKernel) -> mm_struct:
    return new_mm(k)


def errno_of(function: Callable[..., Any], *arguments: Any) -> Errno | None:
    """Return the error that a call fails with."""
    try:
        function(*arguments)
    except SyscallError as error:
        return error.errno
    return None


def mmap(mm: mm_struct, va: int, pages: int, prot: int = RW, flags: int = ANON,
         f: file | None = None, pgoff: int = 0) -> int:
    return do_mmap(mm, f, va, pages * PAGE, prot, flags, pgoff)[0]


def spans(mm: mm_struct, base: int = BASE) -> list[tuple[int, int]]:
    """Return each VMA's first and last page, counted from ``base``."""
    return [((s - base) // PAGE, (e - base) // PAGE) for s, e, _ in maps(mm)]


def limit(k: FlushingKernel, resource: int, soft: int) -> None:
    signal = k.current().signal
    assert signal is not None
    signal.rlim[resource].rlim_cur = soft


# ------------------------------------------------------------------------------- placement

def test_mappings_go_below_each_other_from_mmap_base(mm: mm_struct) -> None:
    """Is the highest free place taken, so that neighbours become one VMA?"""
    first = mmap(mm, 0, 3)
    second = mmap(mm, 0, 2)
    assert first == mm.mmap_base - 3 * PAGE
    assert second == first - 2 * PAGE
    assert [(s, e) for s, e, _ in maps(mm)] == [(second, mm.mmap_base)]
    do_munmap(mm, first, PAGE)
    assert mmap(mm, 0, 2) == second - 2 * PAGE  # the hole of one page is too small
    assert mmap(mm, 0, 1) == first


def test_hint_is_taken_if_free_and_rounded_down(mm: mm_struct) -> None:
    """Is a hint a place, unless something is there?"""
    assert mmap(mm, BASE + 0x123, 2) == BASE
    assert mmap(mm, BASE + PAGE, 1) == mm.mmap_base - PAGE
    assert mmap(mm, BASE + 2 * PAGE, 1) == BASE + 2 * PAGE
    # A hint below mmap_min_addr becomes that; one that leaves user space is none.
    assert mmap(mm, 0x1000, 1) == 0x1_0000
    assert mmap(mm, TASK_SIZE, 1) == mm.mmap_base - 2 * PAGE


def test_stack_gap_is_kept_below_growing_mappings(mm: mm_struct) -> None:
    """Does free space end STACK_GUARD_GAP below a stack?"""
    stack = mm.mmap_base - 64 * PAGE
    mmap(mm, stack, 64, RW, ANON | MAP_FIXED | MAP_GROWSDOWN)
    assert mmap(mm, 0, 1) == stack - STACK_GUARD_GAP - PAGE
    assert mmap(mm, stack - 2 * PAGE, 1) == stack - STACK_GUARD_GAP - 2 * PAGE
    # MAP_FIXED may go there all the same.
    assert mmap(mm, stack - 2 * PAGE, 1, RW, ANON | MAP_FIXED) == stack - 2 * PAGE


def test_space_above_mmap_base_is_used_last(k: FlushingKernel, mm: mm_struct) -> None:
    """Does a full lower part send mappings bottom-up, and a full space ENOMEM?"""
    mmap(mm, PAGE * 16, mm.mmap_base // PAGE - 16, PROT_NONE, ANON | MAP_FIXED | MAP_NORESERVE)
    assert mmap(mm, 0, 20) == mm.mmap_base
    rest = (TASK_SIZE - mm.mmap_base) // PAGE - 20
    assert mmap(mm, 0, rest, PROT_NONE) == mm.mmap_base + 20 * PAGE
    assert mmap(mm, 0, 15, PROT_NONE) == PAGE  # what is left below
    assert errno_of(mmap, mm, 0, 1) is Errno.ENOMEM


def test_map_32bit_is_between_1_and_2_gib(mm: mm_struct) -> None:
    """Is MAP_32BIT searched bottom-up where 32-bit pointers reach?"""
    assert mmap(mm, 0, 4, RW, ANON | MAP_32BIT) == 0x4000_0000
    assert mmap(mm, 0, 4, RW, ANON | MAP_32BIT) == 0x4000_4000
    assert errno_of(mmap, mm, 0, 1 << 18, PROT_NONE, ANON | MAP_32BIT) is Errno.ENOMEM


def test_mmap_base_leaves_room_for_the_stack(k: FlushingKernel) -> None:
    """Does the layout follow RLIMIT_STACK between its bounds?"""
    mm = new_mm(k)
    for stack, gap in ((8 << 20, 128 << 20), (1 << 30, (1 << 30) + STACK_GUARD_GAP),
                       (1 << 60, TASK_SIZE // 6 * 5)):
        arch_pick_mmap_layout(mm, stack)
        assert mm.mmap_base == (TASK_SIZE - gap + PAGE - 1) // PAGE * PAGE


# ---------------------------------------------------------------------------------- errors

def test_mmap_errors_come_in_linux_order(k: FlushingKernel, mm: mm_struct) -> None:
    """Does each fault of the caller have Linux's answer?"""
    huge = (1 << 64) - 4096
    assert errno_of(do_mmap, mm, None, 0, 0, RW, ANON, 0) is Errno.EINVAL
    assert errno_of(do_mmap, mm, None, 0, huge + 1, RW, ANON, 0) is Errno.ENOMEM
    assert errno_of(do_mmap, mm, None, 0, huge, RW, ANON, (1 << 64) - 1) is Errno.EOVERFLOW
    assert errno_of(do_mmap, mm, None, 0, 1 << 47, RW, ANON, 0) is Errno.ENOMEM
    assert errno_of(do_mmap, mm, None, 8, PAGE, RW, ANON | MAP_FIXED, 0) is Errno.EINVAL
    assert errno_of(do_mmap, mm, None, TASK_SIZE, PAGE, RW, ANON | MAP_FIXED, 0) is Errno.ENOMEM
    for map_type in (0, MAP_SHARED_VALIDATE, 4):
        assert errno_of(mmap, mm, 0, 1, RW, MAP_ANONYMOUS | map_type) is Errno.EINVAL
    assert errno_of(mmap, mm, 0, 1, RW,
                    MAP_SHARED | MAP_ANONYMOUS | MAP_GROWSDOWN) is Errno.EINVAL
    mmap(mm, BASE, 2)
    for va in (BASE - PAGE, BASE, BASE + PAGE):
        assert errno_of(mmap, mm, va, 2, RW, ANON | MAP_FIXED_NOREPLACE) is Errno.EEXIST
    assert mmap(mm, BASE + 2 * PAGE, 1, RW, ANON | MAP_FIXED_NOREPLACE) == BASE + 2 * PAGE
    assert maps(mm) == [(BASE, BASE + 3 * PAGE, maps(mm)[0][2])]


def test_only_root_maps_low_addresses(k: FlushingKernel, mm: mm_struct) -> None:
    """Is mmap_min_addr enforced for who is not root?"""
    mmap(mm, PAGE, 1, RW, ANON | MAP_FIXED)
    k.current().euid = 1000
    assert errno_of(mmap, mm, PAGE, 1, RW, ANON | MAP_FIXED) is Errno.EPERM


def test_file_mappings_need_the_rights_of_the_file(k: FlushingKernel, mm: mm_struct) -> None:
    """Do f_mode, the mount and the kind of file decide what may be mapped?"""
    reader = make_file(k, b"r" * PAGE, mode=FMODE_READ)
    writer = make_file(k, b"w" * PAGE, mode=FMODE_WRITE)
    both = make_file(k, b"b" * PAGE)
    assert errno_of(mmap, mm, 0, 1, PROT_READ, MAP_PRIVATE, writer) is Errno.EACCES
    assert errno_of(mmap, mm, 0, 1, RW, MAP_SHARED, reader) is Errno.EACCES
    assert errno_of(mmap, mm, 0, 1, RW, MAP_SHARED, writer) is Errno.EACCES
    va = mmap(mm, 0, 1, PROT_READ, MAP_SHARED, reader)
    vma = vma_lookup(mm, va)
    assert vma is not None
    assert vma.vm_flags & (VM_SHARED | VM_MAYSHARE | VM_MAYWRITE) == VM_MAYSHARE
    assert errno_of(do_mprotect, mm, va, PAGE, RW) is Errno.EACCES
    va = mmap(mm, 0, 1, RW, MAP_PRIVATE, reader)
    do_mprotect(mm, va, PAGE, RW)

    assert errno_of(mmap, mm, 0, 1, PROT_READ, 0, both) is Errno.EINVAL
    assert errno_of(mmap, mm, 0, 1, RW, MAP_PRIVATE | MAP_GROWSDOWN, both) is Errno.EINVAL
    assert errno_of(mmap, mm, 0, 1, RW, MAP_SHARED_VALIDATE | MAP_SYNC, both) is Errno.EOPNOTSUPP
    mmap(mm, 0, 1, RW, MAP_SHARED_VALIDATE, both)
    assert errno_of(mmap, mm, 0, 2, RW, MAP_SHARED, both, (1 << 51) - 2) is Errno.EOVERFLOW
    both.f_inode.i_flags = S_APPEND
    assert errno_of(mmap, mm, 0, 1, PROT_READ, MAP_SHARED, both) is Errno.EACCES
    both.f_inode.i_flags = 0
    both.f_path.mnt.mnt_flags = MNT_NOEXEC
    assert errno_of(mmap, mm, 0, 1, PROT_EXEC, MAP_PRIVATE, both) is Errno.EPERM
    va = mmap(mm, 0, 1, PROT_READ, MAP_PRIVATE, both)
    assert errno_of(do_mprotect, mm, va, PAGE, PROT_EXEC) is Errno.EACCES
    pipe = make_file(k, b"", a_ops=Ops.NONE)
    assert errno_of(mmap, mm, 0, 1, PROT_READ, MAP_PRIVATE, pipe) is Errno.ENODEV


def test_dev_zero_maps_as_anonymous_memory(k: FlushingKernel, mm: mm_struct) -> None:
    """Is a private mapping of /dev/zero anonymous, and a shared one shared anonymous?"""
    zero = make_file(k, b"", a_ops=Ops.NONE)
    zero.f_op = Ops.ZERO_FOPS
    private = mmap(mm, 0, 2, RW, MAP_PRIVATE, zero)
    shared = mmap(mm, 0, 2, RW, MAP_SHARED, zero)
    for va in (private, shared):
        copy_to_user(k, va, b"x")
        assert copy_from_user(k, va, 2) == b"x\0"
    vma = vma_lookup(mm, shared)
    assert vma is not None
    assert vma.vm_ops == VM_OPS_SHMEM
    assert zero.f_count == 2


def test_address_space_limits(k: FlushingKernel, mm: mm_struct) -> None:
    """Do RLIMIT_AS and RLIMIT_DATA count what Linux counts?"""
    limit(k, RLIMIT_AS, 4 * PAGE)
    mmap(mm, BASE, 4, PROT_READ)
    assert errno_of(mmap, mm, 0, 1) is Errno.ENOMEM
    mmap(mm, BASE, 4, PROT_READ, ANON | MAP_FIXED)  # replaces, so nothing grows
    limit(k, RLIMIT_AS, 1 << 40)
    limit(k, RLIMIT_DATA, 2 * PAGE)
    mmap(mm, 0, 2, RW)
    assert errno_of(mmap, mm, 0, 1, RW) is Errno.ENOMEM
    mmap(mm, 0, 1, PROT_READ)
    mmap(mm, 0, 1, RW, MAP_SHARED | MAP_ANONYMOUS)
    assert errno_of(do_mprotect, mm, BASE, PAGE, RW) is Errno.ENOMEM
    limit(k, RLIMIT_DATA, 0)  # Linux: as if there were no soft limit
    mmap(mm, 0, 1, RW)


def test_more_than_all_of_ram_is_never_promised(k: FlushingKernel, mm: mm_struct) -> None:
    """Is heuristic overcommit Linux's: one huge promise fails, many do not?"""
    ram = 32 << 20
    assert errno_of(mmap, mm, 0, 2 * ram // PAGE) is Errno.ENOMEM
    mmap(mm, 0, 2 * ram // PAGE, RW, ANON | MAP_NORESERVE)
    for _ in range(4):
        mmap(mm, 0, ram // 2 // PAGE, RW)
    va = mmap(mm, 0, 2 * ram // PAGE, PROT_NONE)
    assert errno_of(do_mprotect, mm, va, 2 * ram, RW) is Errno.ENOMEM
    assert k.data(vm_data).vm_committed_as == 2 * ram // PAGE


def test_max_map_count(k: FlushingKernel, mm: mm_struct) -> None:
    """Is the number of VMAs bounded as Linux bounds it?"""
    k.data(vm_data).sysctl_max_map_count = 8
    for i in range(8):
        mmap(mm, BASE + i * 4 * PAGE, 3, RW, ANON | MAP_FIXED)
    assert errno_of(do_mprotect, mm, BASE + PAGE, PAGE, PROT_READ) is Errno.ENOMEM
    assert errno_of(do_munmap, mm, BASE + PAGE, PAGE) is Errno.ENOMEM
    assert errno_of(do_mremap, mm, BASE, PAGE, PAGE, 3, BASE + (1 << 30)) is Errno.ENOMEM
    do_munmap(mm, BASE, PAGE)  # no new VMA
    mmap(mm, BASE + (1 << 31), 1, RW)  # Linux allows one more
    assert errno_of(mmap, mm, BASE + (1 << 32), 1, RW) is Errno.ENOMEM
    assert mm.map_count == 9


def test_locked_mappings_are_counted_and_populated(k: FlushingKernel, mm: mm_struct) -> None:
    """Does MAP_LOCKED fault in and obey RLIMIT_MEMLOCK for who is not root?"""
    va = vm_mmap(mm, None, 0, 4 * PAGE, RW, ANON | MAP_LOCKED, 0)
    assert mm.locked_vm == 4
    assert mm.rss_stat[1] == 4
    do_munmap(mm, va, PAGE)
    assert mm.locked_vm == 3
    assert errno_of(do_madvise, mm, va + PAGE, PAGE, 4) is Errno.EINVAL
    k.current().euid = 1000
    limit(k, RLIMIT_MEMLOCK, 3 * PAGE)
    assert errno_of(mmap, mm, 0, 1, RW, ANON | MAP_LOCKED) is Errno.EAGAIN
    limit(k, RLIMIT_MEMLOCK, 0)
    assert errno_of(mmap, mm, 0, 1, RW, ANON | MAP_LOCKED) is Errno.EPERM


# --------------------------------------------------------------------- splitting and merging

def test_munmap_in_the_middle_splits(k: FlushingKernel, mm: mm_struct) -> None:
    """Do both ends stay, with their contents and page offsets?"""
    f = make_file(k, b"".join(bytes([i]) * PAGE for i in range(1, 7)))
    mmap(mm, BASE, 6, RW, MAP_PRIVATE | MAP_FIXED, f)
    copy_to_user(k, BASE + 5 * PAGE, b"new")
    do_munmap(mm, BASE + 2 * PAGE, 2 * PAGE)
    assert spans(mm) == [(0, 2), (4, 6)]
    assert [vma.vm_pgoff for vma in for_each_vma(mm)] == [0, 4]
    assert f.f_count == 3
    assert copy_from_user(k, BASE + 4 * PAGE, 1) == b"\5"
    assert copy_from_user(k, BASE + 5 * PAGE, 4) == b"new\6"
    assert errno_of(copy_from_user, k, BASE + 3 * PAGE, 1) is Errno.EFAULT
    mmap(mm, BASE + 2 * PAGE, 2, RW, MAP_PRIVATE | MAP_FIXED, f, 2)
    assert spans(mm) == [(0, 6)]
    assert f.f_count == 2


def test_faulted_neighbours_merge_only_with_one_anon_vma(k: FlushingKernel,
                                                         mm: mm_struct) -> None:
    """Are VMAs that were faulted in apart kept apart, as Linux's anon_vma does?

    Good: [0, 2) and [4, 6) touched separately stay two when [2, 4) joins: it goes to one of them.
    Bad: one VMA (anon_vma is ignored), or three (it is taken too seriously).
    """
    mmap(mm, BASE, 2, RW, ANON | MAP_FIXED)
    mmap(mm, BASE + 4 * PAGE, 2, RW, ANON | MAP_FIXED)
    copy_to_user(k, BASE, b"a")
    copy_to_user(k, BASE + 4 * PAGE, b"b")
    mmap(mm, BASE + 2 * PAGE, 2, RW, ANON | MAP_FIXED)
    assert spans(mm) == [(0, 4), (4, 6)]
    do_mprotect(mm, BASE, 6 * PAGE, PROT_READ)
    assert spans(mm) == [(0, 4), (4, 6)]


def test_mprotect_round_trip_merges_again(k: FlushingKernel, mm: mm_struct) -> None:
    """Does a VMA come back in one piece, touched or not, meanwhile or not?"""
    mmap(mm, BASE, 6, RW, ANON | MAP_FIXED)
    do_mprotect(mm, BASE + 2 * PAGE, 2 * PAGE, PROT_NONE)
    assert spans(mm) == [(0, 2), (2, 4), (4, 6)]
    copy_to_user(k, BASE, b"a")
    copy_to_user(k, BASE + 5 * PAGE, b"b")  # takes the neighbour's anon_vma? it is no neighbour
    do_mprotect(mm, BASE + 2 * PAGE, 2 * PAGE, RW)
    # The untouched middle fits either; left wins, and the two ends are not compatible.
    assert spans(mm) == [(0, 4), (4, 6)]


def test_forked_vmas_do_not_merge_with_new_ones(k: FlushingKernel, mm: mm_struct) -> None:
    """Is a child's inherited VMA left alone, as Linux does for scalability?"""
    mmap(mm, BASE, 2, RW, ANON | MAP_FIXED)
    copy_to_user(k, BASE, b"a")
    child = dup_mmap(mm)
    for space, expected in ((mm, [(0, 3)]), (child, [(0, 2), (2, 3)])):
        enter(k, space)
        mmap(space, BASE + 2 * PAGE, 1, RW, ANON | MAP_FIXED)
        assert spans(space) == expected


# ------------------------------------------------------------------------------------- brk

def test_brk_grows_shrinks_and_stops_at_neighbours(k: FlushingKernel, mm: mm_struct) -> None:
    """Is the heap one VMA that leaves a page free behind it and its data zeros?"""
    mm.start_brk = mm.brk = BASE + 0x10
    mmap(mm, BASE - PAGE, 1, RW, ANON | MAP_FIXED)
    assert do_brk(mm, 0) == BASE + 0x10
    assert do_brk(mm, BASE + 0x20) == BASE + 0x20
    assert spans(mm) == [(-1, 0), (1, 1)][:1]
    assert do_brk(mm, BASE + 3 * PAGE + 1) == BASE + 3 * PAGE + 1
    assert spans(mm) == [(-1, 0), (1, 4)]
    copy_to_user(k, BASE + 3 * PAGE, b"data")
    assert do_brk(mm, BASE + 2 * PAGE) == BASE + 2 * PAGE
    assert spans(mm) == [(-1, 0), (1, 2)]
    assert do_brk(mm, BASE + 5 * PAGE) == BASE + 5 * PAGE
    assert copy_from_user(k, BASE + 3 * PAGE, 4) == bytes(4)
    mmap(mm, BASE + 8 * PAGE, 1, PROT_READ, ANON | MAP_FIXED)
    assert do_brk(mm, BASE + 8 * PAGE) == BASE + 5 * PAGE  # no page would stay free
    assert do_brk(mm, BASE + 7 * PAGE) == BASE + 7 * PAGE
    assert do_brk(mm, BASE) == BASE + 7 * PAGE  # below the start
    limit(k, RLIMIT_DATA, 8 * PAGE)
    assert do_brk(mm, BASE + 7 * PAGE) == BASE + 7 * PAGE
    limit(k, RLIMIT_DATA, 2 * PAGE)
    assert do_brk(mm, BASE + 6 * PAGE) == BASE + 7 * PAGE  # as Linux: not even smaller


def test_vm_brk_flags_makes_zeros_for_bss(k: FlushingKernel, mm: mm_struct) -> None:
    """Does the loader's .bss replace what is there and merge with data before it?"""
    mmap(mm, BASE, 2, RW, ANON | MAP_FIXED)
    copy_to_user(k, BASE + PAGE, b"old")
    vm_brk_flags(mm, BASE + PAGE, 3 * PAGE - 5)
    assert spans(mm) == [(0, 4)]
    assert copy_from_user(k, BASE + PAGE, 3) == bytes(3)
    vm_brk_flags(mm, BASE + 8 * PAGE, PAGE, VM_EXEC)
    assert maps(mm)[-1][2] & (VM_READ | VM_WRITE | VM_EXEC) == VM_READ | VM_WRITE | VM_EXEC
    assert errno_of(vm_brk_flags, mm, TASK_SIZE, PAGE) is Errno.ENOMEM


# ---------------------------------------------------------------------------------- mremap

def test_mremap_grows_in_place_or_moves(k: FlushingKernel, mm: mm_struct) -> None:
    """Do the contents come along, and is the old place free?"""
    mmap(mm, BASE, 2, RW, ANON | MAP_FIXED)
    copy_to_user(k, BASE, b"first")
    copy_to_user(k, BASE + PAGE, b"second")
    assert do_mremap(mm, BASE, 2 * PAGE, 3 * PAGE, 0, 0) == BASE
    mmap(mm, BASE + 3 * PAGE, 1, PROT_READ, ANON | MAP_FIXED)
    assert errno_of(do_mremap, mm, BASE, 3 * PAGE, 4 * PAGE, 0, 0) is Errno.ENOMEM
    moved = do_mremap(mm, BASE, 3 * PAGE, 4 * PAGE, 1, 0)
    assert moved == mm.mmap_base - 4 * PAGE
    assert copy_from_user(k, moved, 5) + copy_from_user(k, moved + PAGE, 6) == b"firstsecond"
    assert spans(mm)[0] == (3, 4)
    assert do_mremap(mm, moved, 4 * PAGE, PAGE, 0, 0) == moved
    assert [(s, e) for s, e, _ in maps(mm)][-1] == (moved, moved + PAGE)


def test_mremap_of_size_0_duplicates_a_shared_mapping(k: FlushingKernel, mm: mm_struct) -> None:
    """Are there two views of one memory then?"""
    va = mmap(mm, BASE, 2, RW, MAP_SHARED | MAP_ANONYMOUS)
    other = do_mremap(mm, va, 0, 2 * PAGE, 1, 0)
    assert other != va
    copy_to_user(k, va + PAGE, b"seen")
    assert copy_from_user(k, other + PAGE, 4) == b"seen"
    private = mmap(mm, 0, 1)
    assert errno_of(do_mremap, mm, private, 0, PAGE, 1, 0) is Errno.EINVAL


def test_mremap_dontunmap_leaves_zeros_behind(k: FlushingKernel, mm: mm_struct) -> None:
    """Is the old mapping still there, and empty?"""
    mmap(mm, BASE, 2, RW, ANON | MAP_FIXED)
    copy_to_user(k, BASE, b"data")
    moved = do_mremap(mm, BASE, 2 * PAGE, 2 * PAGE, 5, 0)
    assert copy_from_user(k, moved, 4) == b"data"
    assert copy_from_user(k, BASE, 4) == bytes(4)
    assert spans(mm)[0] == (0, 2)


# --------------------------------------------------------------------------------- madvise

def test_dontneed_forgets_private_changes(k: FlushingKernel, mm: mm_struct) -> None:
    """Does anonymous memory read as zeros, private files as the file, shared ones as they were?"""
    f = make_file(k, b"file" * (PAGE // 4))
    mmap(mm, BASE, 1, RW, ANON | MAP_FIXED)
    mmap(mm, BASE + PAGE, 1, RW, MAP_PRIVATE | MAP_FIXED, f)
    mmap(mm, BASE + 2 * PAGE, 1, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED)
    for page in range(3):
        copy_to_user(k, BASE + page * PAGE, b"mine")
    do_madvise(mm, BASE, 3 * PAGE, 4)
    assert mm.rss_stat.tolist() == [0, 0, 0, 0]
    contents = [copy_from_user(k, BASE + page * PAGE, 4) for page in range(3)]
    assert contents == [bytes(4), b"file", b"mine"]
    assert len(maps(mm)) == 3


def test_madvise_errors(k: FlushingKernel, mm: mm_struct) -> None:
    """Is advice that Linux would refuse refused?"""
    f = make_file(k, b"x" * PAGE)
    mmap(mm, BASE, 2, RW, ANON | MAP_FIXED)
    mmap(mm, BASE + 2 * PAGE, 1, PROT_READ, MAP_SHARED | MAP_FIXED, f)
    for advice in (5, 6, 7, 12, 13, 14, 15, 25, 100, 101, 102, -1):
        assert errno_of(do_madvise, mm, BASE, PAGE, advice) is Errno.EINVAL
    assert errno_of(do_madvise, mm, BASE + 1, PAGE, 0) is Errno.EINVAL
    assert errno_of(do_madvise, mm, BASE, (1 << 64) - 1, 0) is Errno.EINVAL
    assert errno_of(do_madvise, mm, BASE, 0, 0) is None
    assert errno_of(do_madvise, mm, BASE, 4 * PAGE, 0) is Errno.ENOMEM
    assert errno_of(do_madvise, mm, BASE + 2 * PAGE, PAGE, 8) is Errno.EINVAL
    assert errno_of(do_madvise, mm, BASE + 2 * PAGE, PAGE, 18) is Errno.EINVAL
    assert errno_of(do_madvise, mm, BASE, PAGE, 9) is Errno.EINVAL
    assert errno_of(do_madvise, mm, BASE + 2 * PAGE, PAGE, 9) is Errno.EOPNOTSUPP
    assert errno_of(do_madvise, mm, BASE + 2 * PAGE, PAGE, 23) is Errno.EINVAL
    assert errno_of(do_madvise, mm, BASE, 4 * PAGE, 22) is Errno.ENOMEM


def test_remove_punches_holes_in_shared_memory(k: FlushingKernel, mm: mm_struct) -> None:
    """Is the memory zeros for every mapping of it, and free?"""
    va = mmap(mm, BASE, 3, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED)
    for page in range(3):
        copy_to_user(k, va + page * PAGE, b"full")
    before = free_frames(k)
    do_madvise(mm, va + PAGE, PAGE, 9)
    assert free_frames(k) == before + 1
    contents = [copy_from_user(k, va + page * PAGE, 4) for page in range(3)]
    assert contents == [b"full", bytes(4), b"full"]


# ------------------------------------------------------------------------- special mappings

def test_special_mapping_shows_fixed_frames(k: FlushingKernel, mm: mm_struct) -> None:
    """Does a vDSO-like mapping show the kernel's frames, uncounted, and survive unmapping?"""
    pa = alloc_pages(k, 1)
    k.u8[pa + PAGE : pa + PAGE + 4] = b"vdso"
    install_special_mapping(mm, BASE, 2 * PAGE, VM_READ | VM_EXEC, pa)
    assert copy_from_user(k, BASE + PAGE, 4) == b"vdso"
    assert mm.rss_stat.tolist() == [0, 0, 0, 0]
    assert page_count(k, pa) == 1
    assert errno_of(install_special_mapping, mm, BASE, PAGE, VM_READ, pa) is Errno.ENOMEM
    assert errno_of(do_mremap, mm, BASE, 2 * PAGE, 3 * PAGE, 1, 0) is Errno.EFAULT
    do_munmap(mm, BASE, 2 * PAGE)
    free_pages(k, pa, 1)


def test_truncation_unmaps(k: FlushingKernel, mm: mm_struct) -> None:
    """Do pages behind the new end go from every address space, copies too?"""
    f = make_file(k, b"x" * (4 * PAGE))
    mmap(mm, BASE, 4, RW, MAP_PRIVATE | MAP_FIXED, f)
    mmap(mm, BASE + 8 * PAGE, 4, RW, MAP_SHARED | MAP_FIXED, f)
    for page in range(4):
        copy_to_user(k, BASE + page * PAGE, b"copy")
        copy_to_user(k, BASE + (8 + page) * PAGE, b"file")
    filemap.truncate_setsize(f.f_inode, PAGE + 10)
    for page in (0, 1):
        assert copy_from_user(k, BASE + page * PAGE, 4) == b"copy"
        assert copy_from_user(k, BASE + (8 + page) * PAGE, 4) == b"file"
    for page in (2, 3, 10, 11):
        assert errno_of(copy_from_user, k, BASE + page * PAGE, 1) is Errno.EFAULT


# ----------------------------------------------------------------------------- system calls

def test_system_calls_take_registers(k: FlushingKernel, mm: mm_struct) -> None:
    """Do the handlers check what only they see?"""
    task = k.current()
    assert errno_of(sys_mmap, task, 0, PAGE, RW, ANON, 0, 5) is Errno.EINVAL
    assert errno_of(sys_mmap, task, 0, PAGE, RW, ANON | MAP_HUGETLB, 0, 0) is Errno.EINVAL
    va = sys_mmap(task, 0, 3 * PAGE - 7, RW, ANON | MAP_POPULATE, (1 << 64) - 1, 0)
    assert mm.rss_stat[1] == 3
    assert sys_mprotect(task, va, PAGE, PROT_READ) == 0
    assert sys_madvise(task, va, PAGE, 4) == 0
    assert sys_msync(task, va, 3 * PAGE, 4) == 0
    assert sys_mincore(task, va, 3 * PAGE, va + PAGE) == 0
    assert copy_from_user(k, va + PAGE, 3) == b"\0\1\1"
    assert errno_of(sys_mincore, task, va + 1, PAGE, va) is Errno.EINVAL
    assert errno_of(sys_mincore, task, va, 1 << 50, va) is Errno.ENOMEM
    assert errno_of(sys_mincore, task, va, PAGE, TASK_SIZE) is Errno.EFAULT
    assert errno_of(sys_mincore, task, va, PAGE, va) is Errno.EFAULT
    assert errno_of(sys_mincore, task, va - PAGE, PAGE, va + PAGE) is Errno.ENOMEM
    assert sys_mremap(task, va, PAGE, PAGE, 0, 0) == va
    mm.start_brk = mm.brk = BASE
    assert sys_brk(task, BASE + PAGE) == BASE + PAGE
    assert sys_munmap(task, va, 3 * PAGE) == 0
    assert errno_of(sys_munmap, task, va, 0) is Errno.EINVAL


def test_mincore_tells_cached_pages_of_files(k: FlushingKernel, mm: mm_struct) -> None:
    """Is a page that only the cache holds in memory, and a hole not?"""
    f = make_file(k, b"x" * PAGE + bytes(PAGE) + b"y" * PAGE)
    mmap(mm, BASE, 3, PROT_READ, MAP_PRIVATE | MAP_FIXED, f)
    assert do_mincore(mm, BASE, 4) == b"\1\0\1"


# ------------------------------------------------------------------- the host as the oracle

WINDOW_PAGES = 24
WINDOW_END = BASE + WINDOW_PAGES * PAGE
FILE_SIZE = 6 * PAGE + 100


def file_content() -> bytes:
    return bytes(i // PAGE + 1 for i in range(FILE_SIZE))


class Host:
    """A process of the host that makes the calls, see ``native_maps.py``."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("native_maps.py"))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._send([BASE, WINDOW_END, FILE_SIZE])

    def _send(self, message: object) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message) + "\n")
        self.process.stdin.flush()

    def run(self, calls: list[list[Any]]) -> list[list[Any]]:
        self._send(calls)
        assert self.process.stdout is not None
        answers: list[list[Any]] = json.loads(self.process.stdout.readline())
        return answers


@pytest.fixture(scope="module")
def host() -> Iterator[Host]:
    release = tuple(int(n) for n in platform.release().split("-")[0].split(".")[:2])
    if platform.system() != "Linux" or platform.machine() != "x86_64" or release < (6, 17):
        pytest.skip("the oracle is Linux x86-64 from 6.17 on: older ones merge and move fewer VMAs")
    host = Host()
    yield host
    assert host.process.stdin is not None
    host.process.stdin.close()
    host.process.wait()


def shown(vma: vm_area_struct) -> list[Any]:
    """Return the VMA as /proc/self/maps shows it."""
    flags = vma.vm_flags
    perms = "".join(c if flags & bit else "-"
                    for c, bit in (("r", VM_READ), ("w", VM_WRITE), ("x", VM_EXEC)))
    has_file = vma.vm_file is not None or vma.vm_ops == VM_OPS_SHMEM
    return [vma.vm_start, vma.vm_end, perms + ("s" if flags & VM_MAYSHARE else "p"),
            vma.vm_pgoff * PAGE if has_file else 0]


class Guest:
    """The same calls on the kernel under test."""

    def __init__(self) -> None:
        self.k = boot()
        self.free = free_frames(self.k)

    def run(self, calls: list[list[Any]]) -> list[list[Any]]:
        k = self.k
        f = make_file(k, file_content())
        mm = new_mm(k)
        answers = []
        for name, *arguments in calls:
            try:
                result = self._call(mm, f, name, arguments)
            except SyscallError as error:
                result = -error.errno
            answers.append([result, [shown(vma) for vma in for_each_vma(mm)]])
            maps(mm)
        promised = sum(e - s for s, e, flags in maps(mm) if flags & VM_ACCOUNT) // PAGE
        assert k.data(vm_data).vm_committed_as == promised
        leave(k, mm)
        filemap.fput(f)
        assert k.data(vm_data).vm_committed_as == 0
        assert free_frames(k) == self.free
        return answers

    def _call(self, mm: mm_struct, f: file, name: str, arguments: list[Any]) -> int:
        if name == "touch":
            va, value = arguments
            if value is None:
                return copy_from_user(self.k, va, 1)[0]
            copy_to_user(self.k, va, bytes([value]))
            return 0
        if name == "mmap":
            va, size, prot, flags, _, offset = arguments
            if offset % PAGE:
                raise SyscallError(Errno.EINVAL)
            anonymous = flags & MAP_ANONYMOUS
            va, populate = do_mmap(mm, None if anonymous else f, va, size, prot, flags,
                                   offset // PAGE)
            if populate:
                mm_populate(mm, va, va + size)
            return va
        call = {"munmap": do_munmap, "mprotect": do_mprotect, "mremap": do_mremap,
                "madvise": do_madvise, "msync": do_msync}[name]
        return call(mm, *arguments) or 0


@st.composite
def calls_in_window(draw: st.DrawFn) -> list[Any]:
    """One call, all of whose effects are inside the window."""
    name = draw(st.sampled_from(
        ["mmap", "mmap", "mmap", "munmap", "mprotect", "mprotect", "mremap", "madvise", "touch",
         "touch", "msync"]))
    va = BASE + draw(st.integers(0, WINDOW_PAGES - 1)) * PAGE
    if draw(st.integers(0, 40)) == 40:
        va += 8
    room = WINDOW_END - (va & -PAGE)
    size = draw(st.sampled_from([1, 1, 2, 2, 3, 4, 5, 8])) * PAGE
    size = min(size - draw(st.sampled_from([0, 0, 0, 1, PAGE - 1])), room)
    if draw(st.integers(0, 40)) == 40:
        size = draw(st.sampled_from([0, (1 << 64) - 1, (1 << 64) - PAGE + 1]))
    protections = st.sampled_from([0, 1, 3, 3, 3, 5, 7, 1 << 8, 0x100_0001, 0x300_0000])
    if name == "mmap":
        kind = draw(st.sampled_from([0x22, 0x22, 0x22, 0x22, 0x21, 1, 2, 2, 3, 0]))
        flags = draw(st.sampled_from(
            [MAP_FIXED, MAP_FIXED, MAP_FIXED, MAP_FIXED_NOREPLACE, MAP_FIXED | MAP_NORESERVE,
             MAP_FIXED | MAP_POPULATE, MAP_FIXED | MAP_GROWSDOWN]))
        offset = draw(st.sampled_from([0, 0, PAGE, 2 * PAGE, 4 * PAGE, 5]))
        prot = draw(st.sampled_from([0, 1, 3, 3, 3, 5, 7]))
        return [name, va, size, prot, kind | flags, 0, offset]
    if name == "mprotect":
        return [name, va, size, draw(protections)]
    if name == "mremap":
        flags = draw(st.sampled_from([3, 3, 3, 7, 7, 0, 0, 1, 2, 8]))
        new = min(draw(st.sampled_from([size, size, PAGE, 3 * PAGE, 0])), 1 << 40)
        old = min(size, 1 << 40)
        target = BASE + draw(st.integers(0, WINDOW_PAGES - 1)) * PAGE
        target = min(target, WINDOW_END - (new + PAGE - 1 & -PAGE))
        if not flags & 2:
            new = min(new, old if flags & 1 else room)  # a move would leave the window
        return [name, va, old, min(new, WINDOW_PAGES * PAGE), flags, max(target, BASE)]
    if name == "madvise":
        return [name, va, size, draw(st.sampled_from(
            [0, 1, 2, 3, 4, 4, 4, 8, 10, 11, 16, 17, 18, 19, 20, 21, 22, 23, 24, 33, 99]))]
    if name == "msync":
        return [name, va, size, draw(st.integers(0, 8))]
    if name == "touch":
        return [name, va, draw(st.none() | st.integers(0, 255))]
    return [name, va, size]


@pytest.mark.native
@settings(max_examples=150, deadline=None,
          suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(calls=st.lists(calls_in_window(), min_size=1, max_size=25))
def test_the_host_does_the_same(host: Host, calls: list[list[Any]]) -> None:
    """Do the host's kernel and ours agree on each result, VMA and byte?"""
    expected = host.run(calls)
    actual = Guest().run(calls)
    for call, theirs, ours in zip(calls, expected, actual, strict=True):
        assert ours == theirs, call


# --------------------------------------------------------------------- the model of pages

class Pages(RuleBasedStateMachine):
    """The kernel against a dictionary of pages, and the page tables against that."""

    LOW = 0x7000_0000  # the model's address space is small, so that calls meet
    PAGES = 40

    def __init__(self) -> None:
        super().__init__()
        self.k = boot(8 << 20)
        self.free = free_frames(self.k)
        self.f = make_file(self.k, file_content())
        self.file_pages = [bytearray(file_content()[i : i + PAGE].ljust(PAGE, b"\0"))
                           for i in range(0, FILE_SIZE, PAGE)]
        self.mm = new_mm(self.k)
        self.mm.mmap_base = self.LOW + self.PAGES * PAGE
        self.mm.start_brk = self.mm.brk = self.LOW + PAGE
        self.brk = self.LOW + PAGE
        # page address -> [prot, bytes that it shows, may it grow behind: shared store or None]
        self.pages: dict[int, list[Any]] = {}

    def teardown(self) -> None:
        leave(self.k, self.mm)
        filemap.fput(self.f)
        assert free_frames(self.k) == self.free
        assert self.k.data(vm_data).vm_committed_as == 0

    def place(self, n: int) -> int:
        """Return the highest free place for ``n`` pages below mmap_base."""
        va = self.LOW + (self.PAGES - n) * PAGE
        while any(va + i * PAGE in self.pages for i in range(n)):
            va -= PAGE
        return va

    page = st.integers(1, PAGES - 1)
    size = st.integers(1, 6)
    prot = st.sampled_from([PROT_NONE, PROT_READ, RW, RW, RW, PROT_READ | PROT_EXEC])

    @rule(page=page, n=size, prot=prot, where=st.sampled_from(["fixed", "hint", "any"]),
          kind=st.sampled_from(["anonymous", "shared", "private file", "shared file"]),
          pgoff=st.integers(0, 7))
    def mmap(self, page: int, n: int, prot: int, where: str, kind: str, pgoff: int) -> None:
        n = min(n, self.PAGES - page)
        va = self.LOW + page * PAGE
        taken = any(va + i * PAGE in self.pages for i in range(n))
        expected = va if where == "fixed" or (where == "hint" and not taken) else self.place(n)
        flags = {"anonymous": ANON, "shared": MAP_SHARED | MAP_ANONYMOUS,
                 "private file": MAP_PRIVATE, "shared file": MAP_SHARED}[kind]
        flags |= MAP_FIXED if where == "fixed" else 0
        f = self.f if "file" in kind else None
        assert mmap(self.mm, 0 if where == "any" else va, n, prot, flags, f, pgoff) == expected
        for i in range(n):
            if f is None:
                content: bytearray | None = bytearray(PAGE)
            elif pgoff + i < len(self.file_pages):
                content = self.file_pages[pgoff + i]
                if "private" in kind:
                    # Whether a private page sees later writes to the file, POSIX leaves open;
                    # Linux: until it is written.
                    self.pages[expected + i * PAGE] = [prot, content, True]
                    continue
            else:
                content = None  # behind the end: SIGBUS
            self.pages[expected + i * PAGE] = [prot, content, False]

    @rule(page=page, n=size)
    def munmap(self, page: int, n: int) -> None:
        va = self.LOW + page * PAGE
        do_munmap(self.mm, va, n * PAGE)
        for i in range(n):
            self.pages.pop(va + i * PAGE, None)

    @rule(page=page, n=size, prot=prot)
    def mprotect(self, page: int, n: int, prot: int) -> None:
        va = self.LOW + page * PAGE
        changed = 0
        while changed < n and va + changed * PAGE in self.pages:
            self.pages[va + changed * PAGE][0] = prot
            changed += 1
        error = errno_of(do_mprotect, self.mm, va, n * PAGE, prot)
        assert error == (None if changed == n else Errno.ENOMEM)

    @rule(page=page, n=size, to=page)
    def mremap(self, page: int, n: int, to: int) -> None:
        n = min(n, self.PAGES - to, self.PAGES - page)
        va, target = self.LOW + page * PAGE, self.LOW + to * PAGE
        error = errno_of(do_mremap, self.mm, va, n * PAGE, n * PAGE, 3, target)
        if abs(page - to) < n:
            assert error is Errno.EINVAL
        elif va not in self.pages:
            assert error is Errno.EFAULT
            # Without a VMA in the whole range the target is not touched.
        else:
            # The gap behind the last VMA of the range does not overwrite the target.
            mapped = [i for i in range(n) if va + i * PAGE in self.pages]
            moved = {i: self.pages.pop(va + i * PAGE) for i in mapped}
            assert error is None
            for i, entry in moved.items():
                self.pages[target + i * PAGE] = entry

    @rule(page=page, n=size)
    def dontneed(self, page: int, n: int) -> None:
        va = self.LOW + page * PAGE
        error = errno_of(do_madvise, self.mm, va, n * PAGE, 4)
        pages = [va + i * PAGE for i in range(n)]
        assert error == (None if all(p in self.pages for p in pages) else Errno.ENOMEM)
        for p in pages:
            vma = vma_lookup(self.mm, p)
            if vma is None or vma.vm_flags & VM_MAYSHARE:
                continue
            if vma.vm_file is None:
                self.pages[p][1] = bytearray(PAGE)
            else:
                index = vma.vm_pgoff + (p - vma.vm_start) // PAGE
                if index < len(self.file_pages):
                    self.pages[p][1:] = [self.file_pages[index], True]

    @rule(by=st.integers(-4 * PAGE, 4 * PAGE))
    def move_brk(self, by: int) -> None:
        new = self.brk + by
        old_end, new_end = -(-self.brk // PAGE) * PAGE, -(-new // PAGE) * PAGE
        result = do_brk(self.mm, new)
        blocked = any(p in self.pages for p in range(old_end, new_end + PAGE, PAGE))
        if new < self.LOW + PAGE or (new_end > old_end and blocked):
            assert result == self.brk
            return
        if new_end < old_end and not any(p in self.pages for p in range(new_end, old_end, PAGE)):
            assert result == self.brk  # nothing to unmap
            return
        assert result == new
        self.brk = new
        for p in range(old_end, new_end, PAGE):
            self.pages[p] = [RW, bytearray(PAGE), False]
        for p in range(new_end, old_end, PAGE):
            self.pages.pop(p, None)

    @rule(page=page, value=st.integers(1, 255), offset=st.integers(0, PAGE - 1))
    def write(self, page: int, value: int, offset: int) -> None:
        va = self.LOW + page * PAGE
        entry = self.pages.get(va)
        error = errno_of(copy_to_user, self.k, va + offset, bytes([value]))
        if entry is None or not entry[0] & PROT_WRITE or entry[1] is None:
            assert error is Errno.EFAULT
            return
        assert error is None
        if entry[2]:
            entry[1:] = [bytearray(entry[1]), False]
        entry[1][offset] = value

    @rule(page=page)
    def read(self, page: int) -> None:
        va = self.LOW + page * PAGE
        entry = self.pages.get(va)
        if entry is None or not entry[0] or entry[1] is None:
            assert errno_of(copy_from_user, self.k, va, PAGE) is Errno.EFAULT
        else:
            assert copy_from_user(self.k, va, PAGE) == entry[1]

    @precondition(lambda self: self.pages)
    @rule(child_writes=st.booleans(), data=st.data())
    def fork(self, child_writes: bool, data: st.DataObject) -> None:
        """The child sees what the parent saw; private writes of either stay its own."""
        k = self.k
        child = dup_mmap(self.mm)
        assert maps(child) == maps(self.mm)
        va = data.draw(st.sampled_from(sorted(self.pages)))
        prot, content, _ = self.pages[va]
        vma = vma_lookup(self.mm, va)
        assert vma is not None
        writer, other = (child, self.mm) if child_writes else (self.mm, child)
        private = not vma.vm_flags & VM_MAYSHARE
        if prot & PROT_WRITE and content is not None:
            before = bytes(content)
            enter(k, writer)
            copy_to_user(k, va, b"FORK")
            enter(k, other)
            assert copy_from_user(k, va, 4) == (before[:4] if private else b"FORK")
            if not private or writer == self.mm:
                if self.pages[va][2]:
                    self.pages[va][1:] = [bytearray(content), False]
                self.pages[va][1][:4] = b"FORK"
        enter(k, self.mm)
        mmput(child)

    @invariant()
    def layout_is_the_models(self) -> None:
        mapped: dict[int, int] = {}
        for start, end, flags in maps(self.mm):
            for va in range(start, end, PAGE):
                mapped[va] = flags & 7
        assert mapped == {va: entry[0] for va, entry in self.pages.items()}

    @invariant()
    def the_processor_may_do_what_the_model_says(self) -> None:
        """What is mapped shows the model's bytes, and no right is there that should not be."""
        pgd = self.mm.pgd & PHYSICAL_MASK
        resident = 0
        for page in range(self.PAGES):
            va = self.LOW + page * PAGE
            entry = self.pages.get(va)
            for access, right in ((Access.READ, 7), (Access.WRITE, PROT_WRITE),
                                  (Access.EXECUTE, PROT_EXEC)):
                try:
                    pa = translate(self.k.ram, pgd, va, access, user=True, set_ad=False)
                except CpuException:
                    continue
                assert entry is not None
                assert entry[0] & right
                assert self.k.u8[pa : pa + PAGE] == entry[1]
                if access is Access.READ and pa != self.k.data(vm_data).empty_zero_page:
                    resident += 1
        # PROT_NONE pages are resident, too, and the walk does not see them.
        hidden = sum(1 for entry in self.pages.values() if not entry[0])
        assert resident <= sum(self.mm.rss_stat) <= resident + hidden


Pages.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
test_pages = Pages.TestCase


def test_teardown_gives_every_frame_back(k: FlushingKernel) -> None:
    """Is nothing left of address spaces with all kinds of mappings, forked ones too?"""
    before = free_frames(k)
    f = make_file(k, file_content())
    mm = mm_alloc(k)
    enter(k, mm)
    for i, (flags, source) in enumerate(((ANON, None), (MAP_SHARED | MAP_ANONYMOUS, None),
                                         (MAP_PRIVATE, f), (MAP_SHARED, f))):
        va = mmap(mm, BASE + (i << 31), 4, RW, flags, source)
        copy_to_user(k, va + PAGE, b"x" * (2 * PAGE))
        copy_from_user(k, va, 1)
    child = dup_mmap(mm)
    grandchild = dup_mmap(child)
    enter(k, child)
    copy_to_user(k, BASE, b"child")
    with pytest.raises(UserAccessError):
        copy_to_user(k, BASE + 4 * PAGE, b"x")
    leave(k, mm)
    assert find_vma(child, 0) is not None
    assert find_vma_intersection(grandchild, BASE, BASE + 1) is not None
    mmput(grandchild)
    mmput(child)
    filemap.fput(f)
    assert free_frames(k) == before
