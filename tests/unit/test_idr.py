"""Does an idr give out the numbers that Linux's would, and no number twice?"""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from emulator.memory import Ram
from guest_kernel.errors import Errno, KernelPanic, SyscallError
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import KERNEL_LOAD, PAGE_OFFSET, START_KERNEL_MAP
from guest_kernel.layout.page import mm_data
from guest_kernel.layout.xarray import XA_CHUNK_SIZE, idr, xa_node
from guest_kernel.lib.idr import (
    INT_MAX,
    idr_alloc,
    idr_alloc_cyclic,
    idr_destroy,
    idr_find,
    idr_for_each,
    idr_get_cursor,
    idr_get_next,
    idr_init,
    idr_is_empty,
    idr_remove,
    idr_replace,
    idr_set_cursor,
)
from guest_kernel.mm.page_alloc import OutOfFrames, alloc_pages_bulk, mem_init, nr_free_pages
from guest_kernel.mm.slab import find_slab_cache, kmem_cache_init, kmem_cache_usage

RAM_SIZE = 2 << 20
IMAGE_END = KERNEL_LOAD + 0x1000


def make(base: int = 0) -> idr:
    """Return an empty idr, in the image of a kernel with nothing but its allocators."""
    mm = KERNEL_LOAD + 0x100
    k = Kernel(Ram(RAM_SIZE), {"mm_data": START_KERNEL_MAP + mm}, IMAGE_END)
    mem_init(k, RAM_SIZE, IMAGE_END, [(0, IMAGE_END)])
    kmem_cache_init(k)
    assert mm + mm_data.size <= IMAGE_END
    table = idr(k, KERNEL_LOAD)
    idr_init(table, base)
    return table


def entry_of(number: int) -> int:
    return PAGE_OFFSET + (number + 1) * 8


def check_marks(table: idr) -> int:
    """Check each node by its declaration alone; return how many there are."""
    nodes = 0

    def visit(slot: int) -> bool:
        """Tell whether anything is free in or below a slot."""
        nonlocal nodes
        if slot & 3 != 2:
            return not slot
        nodes += 1
        node = xa_node.at(table.k, slot - 2)
        assert node.count == sum(below != 0 for below in node.slots) > 0
        free = [visit(below) for below in node.slots]
        assert node.marks[0] == sum(bit << i for i, bit in enumerate(free))
        return any(free)

    visit(table.idr_rt.xa_head)
    return nodes


NUMBERS = st.one_of(st.integers(0, 3 * XA_CHUNK_SIZE), st.integers(4090, 4100),
                    st.integers(0, INT_MAX), st.just(INT_MAX))
# Few numbers, so that they run out.
ENDS = st.one_of(st.just(0), st.integers(1, 80), st.integers(4096, 4100))


class Idrs(RuleBasedStateMachine):
    """An idr, beside a dictionary."""

    base = 0

    def __init__(self) -> None:
        super().__init__()
        self.idr = make(self.base)
        self.model: dict[int, int] = {}
        self.cursor = 0

    def first_free(self, start: int, end: int) -> int | None:
        number = max(start, self.base)
        while number in self.model:
            number += 1
        return number if number < (end or INT_MAX + 1) else None

    @rule(start=NUMBERS, end=ENDS, n=st.integers(1, 70), value=st.integers(0, 1000))
    def alloc(self, start: int, end: int, n: int, value: int) -> None:
        for _ in range(n):
            expected = self.first_free(start, end)
            if expected is None:
                with pytest.raises(SyscallError) as error:
                    idr_alloc(self.idr, entry_of(value), start, end)
                assert error.value.errno == Errno.ENOSPC
                return
            assert idr_alloc(self.idr, entry_of(value), start, end) == expected
            self.model[expected] = entry_of(value)

    @rule(start=st.integers(0, 70), end=ENDS, n=st.integers(1, 70), value=st.integers(0, 1000))
    def alloc_cyclic(self, start: int, end: int, n: int, value: int) -> None:
        for _ in range(n):
            expected = self.first_free(max(start, self.cursor), end)
            if expected is None:
                expected = self.first_free(start, end)
            if expected is None:
                with pytest.raises(SyscallError) as error:
                    idr_alloc_cyclic(self.idr, entry_of(value), start, end)
                assert error.value.errno == Errno.ENOSPC
                return
            assert idr_alloc_cyclic(self.idr, entry_of(value), start, end) == expected
            self.model[expected] = entry_of(value)
            self.cursor = expected + 1

    @rule(cursor=NUMBERS)
    def set_cursor(self, cursor: int) -> None:
        idr_set_cursor(self.idr, cursor)
        self.cursor = cursor

    @rule(number=NUMBERS)
    def remove(self, number: int) -> None:
        assert idr_remove(self.idr, number) == self.model.pop(number, 0)

    @rule(data=st.data(), n=st.integers(1, 70))
    def remove_used(self, data: st.DataObject, n: int) -> None:
        used = sorted(self.model)
        if used:
            first = data.draw(st.integers(0, len(used) - 1))
            for number in used[first : first + n]:
                assert idr_remove(self.idr, number) == self.model.pop(number)

    @rule(number=NUMBERS, value=st.integers(0, 1000))
    def replace(self, number: int, value: int) -> None:
        if number in self.model:
            assert idr_replace(self.idr, entry_of(value), number) == self.model[number]
            self.model[number] = entry_of(value)
        else:
            with pytest.raises(SyscallError) as error:
                idr_replace(self.idr, entry_of(value), number)
            assert error.value.errno == Errno.ENOENT

    @rule(number=NUMBERS)
    def find(self, number: int) -> None:
        assert idr_find(self.idr, number) == self.model.get(number, 0)
        after = sorted(item for item in self.model.items() if item[0] >= number)
        assert idr_get_next(self.idr, number) == (after[0] if after else None)

    @rule()
    def destroy(self) -> None:
        idr_destroy(self.idr)
        self.model.clear()

    @invariant()
    def idr_is_the_model(self) -> None:
        assert list(idr_for_each(self.idr)) == sorted(self.model.items())
        assert idr_get_cursor(self.idr) == self.cursor
        assert idr_is_empty(self.idr) == (not self.model)
        cache = find_slab_cache(self.idr.k, "xa_node")
        assert check_marks(self.idr) == (kmem_cache_usage(cache)[0] if cache else 0)


class IdrsFromOne(Idrs):
    """The same, with numbers that begin at 1."""

    base = 1


SETTINGS = settings(deadline=None, derandomize=True, stateful_step_count=20, max_examples=60)
Idrs.TestCase.settings = SETTINGS
IdrsFromOne.TestCase.settings = SETTINGS
test_any_sequence_of_operations = Idrs.TestCase
test_any_sequence_of_operations_from_one_on = IdrsFromOne.TestCase


def test_levels_stay_until_the_last_number_is_free() -> None:
    """Is only the way to a great number taken down with it, and all with the last number?"""
    table = make()
    idr_alloc(table, entry_of(1), 1)
    assert check_marks(table) == 1
    for number in (5000, 5001):
        assert idr_alloc(table, entry_of(number), number) == number
        assert check_marks(table) == 5
        assert idr_remove(table, number) == entry_of(number)
        assert check_marks(table) == 3
        assert list(idr_for_each(table)) == [(1, entry_of(1))]
    assert idr_remove(table, 1) == entry_of(1)
    assert idr_is_empty(table)
    assert check_marks(table) == 0


def test_a_number_that_is_not_one_finds_nothing() -> None:
    """Are numbers below the base, negative ones and huge ones just not there?"""
    table = make(1)
    idr_alloc(table, entry_of(0), 0)
    for number in (0, -1, -(1 << 31), 1 << 40):
        assert (idr_find(table, number), idr_remove(table, number)) == (0, 0)
    assert list(idr_for_each(table)) == [(1, entry_of(0))]


def test_what_is_no_pointer_stops_the_machine() -> None:
    """Is an entry that is NULL, or not an aligned address, refused?"""
    table = make()
    for entry in (0, 1, PAGE_OFFSET + 2):
        with pytest.raises(KernelPanic, match=rf"^xarray {table.va:#x}: entry {entry:#x}$"):
            idr_alloc(table, entry, 0)


def test_without_memory_nothing_changes() -> None:
    """If a node is missing, is the number still free and the cursor where it was?"""
    table = make()
    k = table.k
    model = {}
    for number in range(XA_CHUNK_SIZE + 1):
        model[idr_alloc_cyclic(table, entry_of(number), 0)] = entry_of(number)
    alloc_pages_bulk(k, nr_free_pages(k))

    def alloc_until_it_fails() -> None:
        for number in range(len(model), 1 << 20):
            assert idr_alloc_cyclic(table, entry_of(number), 0) == number
            model[number] = entry_of(number)

    with pytest.raises(OutOfFrames):
        alloc_until_it_fails()
    assert dict(idr_for_each(table)) == model
    assert idr_get_cursor(table) == len(model)
    check_marks(table)
    idr_remove(table, 7)
    assert idr_alloc(table, entry_of(7), 0) == 7
