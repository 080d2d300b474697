"""Does the kernel reach user memory exactly as ring 3 would, and no other?"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable
from typing import Any

import pytest
from address_space import PAGE, FlushingKernel, boot, enter, make_file, new_mm
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.arch.exceptions import CpuException
from emulator.arch.paging import PTE
from emulator.cpu.mmu import Access, translate
from guest_kernel.errors import Errno
from guest_kernel.layout.declare import PAGE_OFFSET, PHYSICAL_MASK
from guest_kernel.layout.mm_types import TASK_SIZE, mm_struct, vm_data
from guest_kernel.mm import uaccess
from guest_kernel.mm.mm import dup_mmap, mm_alloc
from guest_kernel.mm.mmap import MAP_ANONYMOUS, MAP_FIXED, MAP_PRIVATE, MAP_SHARED, do_mmap
from guest_kernel.mm.mprotect import do_mprotect
from guest_kernel.mm.pgtable import pte_lookup
from guest_kernel.mm.uaccess import (
    UserAccessError,
    clear_user,
    copy_from_user,
    copy_to_user,
    read_mm,
    strncpy_from_user,
    strnlen_user,
    write_mm,
)

ANON = MAP_PRIVATE | MAP_ANONYMOUS
BASE = 0x10_0000_0000


@pytest.fixture
def k() -> FlushingKernel:
    return boot()


@pytest.fixture
def mm(k: FlushingKernel) -> mm_struct:
    return new_mm(k)


def mmap(mm: mm_struct, va: int, pages: int, prot: int = 3) -> int:
    return do_mmap(mm, None, va, pages * PAGE, prot, ANON | MAP_FIXED, 0)[0]


def copied(function: Callable[..., Any], *arguments: Any) -> int:
    """Return how far an access got that fails with EFAULT."""
    with pytest.raises(UserAccessError) as caught:
        function(*arguments)
    assert caught.value.errno is Errno.EFAULT
    return caught.value.copied


BAD_ADDRESSES = (0, 8, BASE - 1, TASK_SIZE - 1, TASK_SIZE, 1 << 47, 1 << 63, PAGE_OFFSET,
                 0xFFFF_FFFF_8000_0000, (1 << 64) - 1)


@pytest.mark.parametrize("va", BAD_ADDRESSES)
def test_bad_addresses_are_efault(k: FlushingKernel, mm: mm_struct, va: int) -> None:
    """Is each address that is not the program's refused, by each function?"""
    mmap(mm, BASE, 1)
    for function in (uaccess.get_user_u8, uaccess.get_user_u16, uaccess.get_user_u32,
                     uaccess.get_user_u64):
        assert copied(function, k, va) == 0
    for put in (uaccess.put_user_u8, uaccess.put_user_u16, uaccess.put_user_u32,
                uaccess.put_user_u64):
        assert copied(put, k, va, 1) == 0
    assert copied(copy_from_user, k, va, 1) == 0
    assert copied(copy_to_user, k, va, b"x") == 0
    assert copied(clear_user, k, va, 5) == 0
    assert copied(strncpy_from_user, k, va, 5) == 0
    assert copied(strnlen_user, k, va, 5) == 0


def test_nothing_is_always_possible(k: FlushingKernel, mm: mm_struct) -> None:
    """Is a copy of no bytes fine at any address, as on Linux?"""
    for va in (*BAD_ADDRESSES, BASE):
        assert copy_from_user(k, va, 0) == b""
        copy_to_user(k, va, b"")
        clear_user(k, va, 0)
        assert strncpy_from_user(k, va, 0) == b""


def test_kernel_thread_has_no_user_memory(k: FlushingKernel, mm: mm_struct) -> None:
    """Is a task without mm refused, even on a borrowed table that maps the address?"""
    mmap(mm, BASE, 1)
    copy_to_user(k, BASE, b"x")
    k.current().mm = None
    assert copied(copy_from_user, k, BASE, 1) == 0
    assert copied(copy_to_user, k, BASE, b"y") == 0


def test_rights_are_those_of_ring_3(k: FlushingKernel, mm: mm_struct) -> None:
    """Is read-only memory EFAULT for writes, PROT_NONE for both, before and after a touch?"""
    for prot, readable, writable in ((0, False, False), (1, True, False), (3, True, True),
                                     (2, True, True), (4, True, False)):
        mmap(mm, BASE, 1, 3)
        copy_to_user(k, BASE, b"abc")
        do_mprotect(mm, BASE, PAGE, prot)
        for _ in range(2):
            if readable:
                copy_from_user(k, BASE, 3)
            else:
                assert copied(copy_from_user, k, BASE, 3) == 0
            if writable:
                copy_to_user(k, BASE, b"xyz")
            else:
                assert copied(copy_to_user, k, BASE, b"xyz") == 0
            mmap(mm, BASE, 1, prot)  # untouched


def test_copies_go_as_far_as_they_can(k: FlushingKernel, mm: mm_struct) -> None:
    """Are the pages before the bad one moved, and counted?"""
    mmap(mm, BASE, 3)
    mmap(mm, BASE + 2 * PAGE, 1, 1)
    data = bytes(range(256)) * 48
    assert copied(copy_to_user, k, BASE + 100, data) == 2 * PAGE - 100
    assert copy_from_user(k, BASE + 100, 2 * PAGE - 100) == data[: 2 * PAGE - 100]
    assert copied(copy_from_user, k, BASE + 100, 4 * PAGE) == 3 * PAGE - 100
    assert copied(clear_user, k, BASE + 50, 3 * PAGE) == 2 * PAGE - 50
    assert copy_from_user(k, BASE + 50, 2 * PAGE - 50) == bytes(2 * PAGE - 50)


@settings(max_examples=80, deadline=None)
@given(offset=st.integers(0, 3 * PAGE), data=st.binary(min_size=1, max_size=3 * PAGE))
def test_round_trip(offset: int, data: bytes) -> None:
    """Is what was stored read back, wherever pages end?"""
    k = boot(8 << 20)
    mm = new_mm(k)
    mmap(mm, BASE, 6)
    copy_to_user(k, BASE + offset, memoryview(data))
    assert copy_from_user(k, BASE + offset, len(data)) == data
    assert read_mm(mm, BASE, 6 * PAGE) == data.rjust(offset + len(data), b"\0").ljust(
        6 * PAGE, b"\0")


def test_scalars_of_any_alignment(k: FlushingKernel, mm: mm_struct) -> None:
    """Are numbers little-endian, cut to their size, and allowed to cross pages?"""
    mmap(mm, BASE, 2)
    for offset in (0, 1, 8, 13, PAGE - 8, PAGE - 7, PAGE - 4, PAGE - 3, PAGE - 2, PAGE - 1):
        for size, put, get in ((1, uaccess.put_user_u8, uaccess.get_user_u8),
                               (2, uaccess.put_user_u16, uaccess.get_user_u16),
                               (4, uaccess.put_user_u32, uaccess.get_user_u32),
                               (8, uaccess.put_user_u64, uaccess.get_user_u64)):
            value = 0xF1E2_D3C4_B5A6_9788
            put(k, BASE + offset, value)
            expected = struct.pack("<Q", value)[:size]
            assert copy_from_user(k, BASE + offset, size) == expected
            assert get(k, BASE + offset) == int.from_bytes(expected, "little")
            put(k, BASE + offset, -1)
            assert get(k, BASE + offset) == (1 << 8 * size) - 1


@pytest.mark.parametrize("offset", [0, 8, PAGE - 16, PAGE - 8, 1, PAGE - 12, PAGE - 17])
def test_words_in_a_row(k: FlushingKernel, mm: mm_struct, offset: int) -> None:
    """Are the words from any address on those there, up to where nothing is mapped?"""
    mmap(mm, BASE, 2)
    data = bytes(range(251)) * (2 * PAGE // 251 + 1)
    copy_to_user(k, BASE, data[: 2 * PAGE])
    words = uaccess.user_words(k, BASE + offset)
    count = (2 * PAGE - offset) // 8
    expected = struct.unpack_from(f"<{count}Q", data, offset)
    assert tuple(itertools.islice(words, count)) == expected
    with pytest.raises(UserAccessError):
        next(words)


def test_strings(k: FlushingKernel, mm: mm_struct) -> None:
    """Does a string end at its NUL, at the limit, or in EFAULT?"""
    mmap(mm, BASE, 2)
    copy_to_user(k, BASE + PAGE - 3, b"string\0behind")
    assert strncpy_from_user(k, BASE + PAGE - 3, 100) == b"string"
    assert strncpy_from_user(k, BASE + PAGE - 3, 6) == b"string"
    assert strncpy_from_user(k, BASE + PAGE - 3, 4) == b"stri"
    assert strnlen_user(k, BASE + PAGE - 3, 100) == 6
    copy_to_user(k, BASE + 2 * PAGE - 5, b"12345")
    assert copied(strncpy_from_user, k, BASE + 2 * PAGE - 5, 100) == 5
    assert strncpy_from_user(k, BASE + 2 * PAGE - 5, 5) == b"12345"
    copy_to_user(k, BASE + 2 * PAGE - 1, b"\0")
    assert strncpy_from_user(k, BASE + 2 * PAGE - 5, 100) == b"1234"


def test_writes_take_the_fault_path(k: FlushingKernel, mm: mm_struct) -> None:
    """Is a copy-on-write page copied, and a file's page not written?"""
    f = make_file(k, b"file" * 1024)
    do_mmap(mm, f, BASE, PAGE, 3, MAP_PRIVATE | MAP_FIXED, 0)
    assert copy_from_user(k, BASE, 8) == b"filefile"
    copy_to_user(k, BASE, b"mine")
    child = dup_mmap(mm)
    copy_to_user(k, BASE, b"again")
    enter(k, child)
    assert copy_from_user(k, BASE, 8) == b"minefile"
    assert k.data(vm_data).cow_copied == 2
    assert k.current().min_flt == 3
    do_mmap(child, f, BASE, PAGE, 3, MAP_PRIVATE | MAP_FIXED, 0)
    assert copy_from_user(k, BASE, 8) == b"filefile"


def test_behind_the_end_of_a_file_is_efault(k: FlushingKernel, mm: mm_struct) -> None:
    """Is what would be SIGBUS for the program EFAULT for the call?"""
    f = make_file(k, b"x")
    do_mmap(mm, f, BASE, 2 * PAGE, 3, MAP_SHARED | MAP_FIXED, 0)
    assert copied(copy_from_user, k, BASE, 2 * PAGE) == PAGE
    assert copied(copy_to_user, k, BASE + PAGE, b"x") == 0


def test_accessed_and_dirty_as_the_processor_sets_them(k: FlushingKernel, mm: mm_struct) -> None:
    """Is a shared page that was only read dirty after a write by the kernel?"""
    f = make_file(k, b"file" * 1024)
    do_mmap(mm, f, BASE, PAGE, 3, MAP_SHARED | MAP_FIXED, 0)
    slot = pte_lookup_index(k, mm)
    copy_from_user(k, BASE, 1)
    slot = pte_lookup_index(k, mm)
    assert k.u64[slot] & (PTE.A | PTE.D) == PTE.A
    copy_to_user(k, BASE, b"x")
    assert k.u64[slot] & (PTE.A | PTE.D) == PTE.A | PTE.D


def pte_lookup_index(k: FlushingKernel, mm: mm_struct) -> int:
    return pte_lookup(k, mm.pgd & PHYSICAL_MASK, BASE) >> 3


def test_what_the_kernel_writes_into_code_is_said(k: FlushingKernel, mm: mm_struct) -> None:
    """Is the CPU told of changes to frames that may have held code, and only those?"""
    mmap(mm, BASE, 1, 7)
    mmap(mm, BASE + PAGE, 1, 3)
    copy_to_user(k, BASE, b"\x90")
    pa = translate(k.ram, mm.pgd & PHYSICAL_MASK, BASE, Access.EXECUTE, user=True)
    assert k.flushes.code[-1:] == [pa]
    k.flushes.code.clear()
    copy_to_user(k, BASE + PAGE - 1, b"12")
    assert k.flushes.code == [pa]
    uaccess.put_user_u64(k, BASE, 5)
    write_mm(mm, BASE + 8, b"x")
    assert k.flushes.code == [pa] * 3
    copy_to_user(k, BASE + PAGE, b"data")
    assert k.flushes.code == [pa] * 3


def test_other_address_spaces(k: FlushingKernel, mm: mm_struct) -> None:
    """Can exec fill a new stack before it is current, and only as its VMAs allow?"""
    other = mm_alloc(k)
    mmap(other, BASE, 2)
    write_mm(other, BASE + PAGE - 2, b"argv")
    assert read_mm(other, BASE + PAGE - 3, 6) == b"\0argv\0"
    assert copied(write_mm, other, BASE + 2 * PAGE - 2, b"1234") == 2
    assert copied(read_mm, other, BASE + 2 * PAGE - 2, 4) == 2
    assert copied(read_mm, other, TASK_SIZE, 1) == 0
    assert copied(copy_from_user, k, BASE, 1) == 0  # not in the current one


@settings(max_examples=60, deadline=None)
@given(prots=st.lists(st.sampled_from([0, 1, 3, 4, 5, 7]), min_size=3, max_size=3),
       write=st.booleans(), offset=st.integers(0, 3 * PAGE - 1), n=st.integers(1, 2 * PAGE))
def test_agrees_with_the_processors_walk(prots: list[int], write: bool, offset: int,
                                         n: int) -> None:
    """Does an access get as far as ring 3 would, byte by byte?"""
    k = boot(8 << 20)
    mm = new_mm(k)
    for i, prot in enumerate(prots):
        mmap(mm, BASE + i * PAGE, 1, 3)
        copy_to_user(k, BASE + i * PAGE, b"x")
        do_mprotect(mm, BASE + i * PAGE, PAGE, prot)
    reach = 0
    while reach < n:
        try:
            translate(k.ram, mm.pgd & PHYSICAL_MASK, BASE + offset + reach,
                      Access.WRITE if write else Access.READ, user=True)
        except CpuException:
            break
        reach += 1
    arguments = (k, BASE + offset, bytes(n)) if write else (k, BASE + offset, n)
    function: Callable[..., Any] = copy_to_user if write else copy_from_user
    if reach == n:
        function(*arguments)
    else:
        assert copied(function, *arguments) == reach
