"""Are extensible arrays dictionaries, and their nodes Linux's?"""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from emulator.memory import Ram
from guest_kernel.errors import KernelPanic
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import KERNEL_LOAD, PAGE_OFFSET, START_KERNEL_MAP
from guest_kernel.layout.page import mm_data
from guest_kernel.layout.xarray import XA_CHUNK_SHIFT, XA_CHUNK_SIZE, xa_node, xarray
from guest_kernel.lib.xarray import (
    ULONG_MAX,
    xa_destroy,
    xa_empty,
    xa_erase,
    xa_find,
    xa_for_each,
    xa_init,
    xa_load,
    xa_store,
)
from guest_kernel.mm.page_alloc import OutOfFrames, alloc_pages_bulk, mem_init, nr_free_pages
from guest_kernel.mm.slab import (
    find_slab_cache,
    kfree,
    kmem_cache_init,
    kmem_cache_usage,
    kzalloc,
)

RAM_SIZE = 2 << 20
IMAGE_END = KERNEL_LOAD + 0x1000


def make() -> xarray:
    """Return an empty array, in the image of a kernel with nothing but its allocators."""
    mm = KERNEL_LOAD + 0x100
    k = Kernel(Ram(RAM_SIZE), {"mm_data": START_KERNEL_MAP + mm}, IMAGE_END)
    mem_init(k, RAM_SIZE, IMAGE_END, [(0, IMAGE_END)])
    kmem_cache_init(k)
    assert mm + mm_data.size <= IMAGE_END
    return xarray(k, KERNEL_LOAD)


def entry_of(number: int) -> int:
    return PAGE_OFFSET + (number + 1) * 4


def nodes_in_use(xa: xarray) -> int:
    cache = find_slab_cache(xa.k, "xa_node")
    return 0 if cache is None else kmem_cache_usage(cache)[0]


def walk(xa: xarray) -> tuple[dict[int, int], int]:
    """Read the array by its declaration alone; return its contents and the number of nodes."""
    contents: dict[int, int] = {}
    nodes = 0

    def visit(slot: int, index: int, shift: int, parent: xa_node | None, offset: int) -> None:
        nonlocal nodes
        if slot & 3 == 0:
            if slot:
                assert shift == 0
                contents[index] = slot
            return
        assert slot & 3 == 2
        node = xa_node.at(xa.k, slot - 2)
        nodes += 1
        assert node.va == slot - 2
        assert (node.parent, node.offset, node.array) == (parent, offset, xa)
        assert parent is None or node.shift == parent.shift - XA_CHUNK_SHIFT
        assert node.count == sum(slot != 0 for slot in node.slots) > 0
        assert node.nr_values == 0
        assert list(node.marks) == [0, 0, 0]
        for i, below in enumerate(node.slots):
            visit(below, index + (i << node.shift), node.shift, node, i)

    head = xa.xa_head
    visit(head, 0, 0, None, 0)
    if head & 2:
        # No level, and no node for index 0 alone, without need.
        top = xa_node.at(xa.k, head - 2)
        assert any(list(top.slots)[1:])
    return contents, nodes


# Small indices, neighbours of powers of the node size, and anything.
INDICES = st.one_of(
    st.integers(0, 3 * XA_CHUNK_SIZE),
    st.builds(
        lambda level, delta: min(max((1 << XA_CHUNK_SHIFT * level) + delta, 0), ULONG_MAX),
        st.integers(0, 10), st.integers(-2, 2),
    ),
    st.integers(0, ULONG_MAX),
    st.just(ULONG_MAX),
)


class XArrays(RuleBasedStateMachine):
    """An array, beside a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.xa = make()
        self.model: dict[int, int] = {}

    @rule(index=INDICES, number=st.integers(0, 1000))
    def store(self, index: int, number: int) -> None:
        entry = entry_of(number)
        assert xa_store(self.xa, index, entry) == self.model.get(index, 0)
        self.model[index] = entry

    @rule(index=INDICES, by_store=st.booleans())
    def erase(self, index: int, by_store: bool) -> None:
        old = xa_store(self.xa, index, 0) if by_store else xa_erase(self.xa, index)
        assert old == self.model.pop(index, 0)

    @rule(data=st.data())
    def erase_one(self, data: st.DataObject) -> None:
        if self.model:
            index = data.draw(st.sampled_from(sorted(self.model)))
            assert xa_erase(self.xa, index) == self.model.pop(index)

    @rule(index=INDICES)
    def load(self, index: int) -> None:
        assert xa_load(self.xa, index) == self.model.get(index, 0)

    @rule(first=INDICES, last=INDICES)
    def find(self, first: int, last: int) -> None:
        inside = sorted(item for item in self.model.items() if first <= item[0] <= last)
        assert xa_find(self.xa, first, last) == (inside[0] if inside else None)
        assert list(xa_for_each(self.xa, first, last)) == inside

    @rule()
    def destroy(self) -> None:
        xa_destroy(self.xa)
        self.model.clear()

    @invariant()
    def array_is_the_model(self) -> None:
        contents, nodes = walk(self.xa)
        assert contents == self.model
        assert list(xa_for_each(self.xa)) == sorted(self.model.items())
        assert nodes == nodes_in_use(self.xa)
        assert xa_empty(self.xa) == (not self.model)


XArrays.TestCase.settings = settings(deadline=None, derandomize=True, stateful_step_count=30)
test_any_sequence_of_operations = XArrays.TestCase


def test_node_is_linuxs() -> None:
    """Is ``struct xa_node`` 576 bytes with Linux's offsets?"""
    names = ("shift", "offset", "count", "nr_values", "parent", "array", "private_list", "slots")
    assert [xa_node.offsetof(name) for name in names] == [0, 1, 2, 3, 8, 16, 24, 40]
    assert (xa_node.offsetof("marks"), xa_node.size) == (552, 576)


def test_lone_entry_at_zero_needs_no_node() -> None:
    """Is index 0 alone kept in the head, and moved into a node when another comes?"""
    xa = make()
    xa_init(xa)
    xa_store(xa, 0, entry_of(1))
    assert xa.xa_head == entry_of(1)
    xa_store(xa, 1, entry_of(2))
    assert (xa.xa_head & 3, nodes_in_use(xa)) == (2, 1)
    xa_erase(xa, 1)
    assert (xa.xa_head, nodes_in_use(xa)) == (entry_of(1), 0)


def test_walk_survives_changes() -> None:
    """May the array change in any way while it is walked?"""
    xa = make()
    indices = [0, 1, 63, 64, 5000, 1 << 30]
    for index in indices:
        xa_store(xa, index, entry_of(index & 0xFFFF))
    seen = []
    for index, _ in xa_for_each(xa):
        seen.append(index)
        xa_erase(xa, index)
        xa_erase(xa, 63)
        if index == 64:
            xa_store(xa, 65, entry_of(7))
    assert seen == [0, 1, 64, 65, 5000, 1 << 30]
    assert xa_empty(xa)


def test_wrong_entries_stop_the_machine() -> None:
    """Is an entry that is not an aligned address, or an index too large, refused?"""
    xa = make()
    for index, entry in ((0, 1), (5, PAGE_OFFSET + 2), (1 << 64, PAGE_OFFSET), (-1, PAGE_OFFSET)):
        expected = rf"^xarray {xa.va:#x}: entry {entry:#x} at {index:#x}$"
        with pytest.raises(KernelPanic, match=expected):
            xa_store(xa, index, entry)


@pytest.mark.parametrize("before", [[], [0], [3], [0, 100], [1 << 40], [0, 1 << 40]])
@pytest.mark.parametrize("index", [64 * 7, 1 << 20, 1 << 63, (1 << 40) + (1 << 35)])
def test_failed_store_changes_nothing(before: list[int], index: int) -> None:
    """If a node is missing on the way, after any number of them, is the array as it was?"""
    xa = make()
    for i in before:
        xa_store(xa, i, entry_of(1))
    state = walk(xa)
    # Take every frame, then let it have one node more each time.
    spare = [kzalloc(xa.k, xa_node) for _ in range(40)]
    with suppress(OutOfFrames):
        while True:
            spare.append(kzalloc(xa.k, xa_node))
            alloc_pages_bulk(xa.k, nr_free_pages(xa.k))
    for attempts in range(len(spare)):
        try:
            xa_store(xa, index, entry_of(2))
        except OutOfFrames:
            assert walk(xa) == state
            kfree(spare.pop())
        else:
            assert attempts == walk(xa)[1] - state[1]
            assert walk(xa)[0] == state[0] | {index: entry_of(2)}
            return
    pytest.fail("the array never got its nodes")
