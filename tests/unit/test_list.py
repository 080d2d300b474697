"""Are lists and chains in RAM what Linux's are?"""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from emulator.memory import Ram
from guest_kernel.errors import KernelPanic
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import (
    KERNEL_LOAD,
    PAGE_OFFSET,
    START_KERNEL_MAP,
    U64,
    Embed,
    Struct,
)
from guest_kernel.layout.list import hlist_head, hlist_node, list_head
from guest_kernel.lib.list import (
    INIT_HLIST_HEAD,
    INIT_HLIST_NODE,
    INIT_LIST_HEAD,
    LIST_POISON1,
    LIST_POISON2,
    hlist_add_behind,
    hlist_add_head,
    hlist_del,
    hlist_del_init,
    hlist_empty,
    hlist_for_each_entry,
    hlist_unhashed,
    list_add,
    list_add_tail,
    list_add_tail_va,
    list_add_va,
    list_del,
    list_del_init,
    list_del_va,
    list_empty,
    list_entry,
    list_first_entry,
    list_first_entry_or_null,
    list_for_each_entry,
    list_for_each_entry_reverse,
    list_for_each_va,
    list_is_first,
    list_is_last,
    list_is_singular,
    list_last_entry_or_null,
    list_move,
    list_move_tail,
    list_next_entry,
    list_replace,
    list_splice_init,
    list_splice_tail_init,
)

IMAGE_END = KERNEL_LOAD + 0x1000


class item(Struct):
    """What the lists are made of."""

    key = U64("its number")
    node = Embed(list_head, "in a list")
    chain = Embed(hlist_node, "in a chain")


class head(Struct):
    """What holds the lists."""

    first = Embed(list_head, "a list")
    second = Embed(list_head, "another")
    chain = Embed(hlist_head, "a chain")


def make(n: int) -> tuple[head, list[item]]:
    """Return heads in the image, and ``n`` items, the first of which is in the image too.

    So lists have addresses of both mappings in them.
    """
    k = Kernel(Ram(2 << 20), {}, IMAGE_END)
    heads = head(k, KERNEL_LOAD)
    INIT_LIST_HEAD(heads.first)
    INIT_LIST_HEAD(heads.second)
    items = [item(k, IMAGE_END - 64 + i * 64) for i in range(n)]
    for i, new in enumerate(items):
        new.key = i
        INIT_LIST_HEAD(new.node)
    return heads, items


def keys(list_: list_head) -> list[int]:
    """Return the items' numbers, having looked at the list both ways."""
    forward = [entry.key for entry in list_for_each_entry(list_, item, "node")]
    backward = [entry.key for entry in list_for_each_entry_reverse(list_, item, "node")]
    assert forward == backward[::-1]
    return forward


class Lists(RuleBasedStateMachine):
    """Two lists, beside two Python lists."""

    N = 8
    numbers = st.integers(0, N - 1)

    def __init__(self) -> None:
        super().__init__()
        self.heads, self.items = make(self.N)
        self.lists = [self.heads.first, self.heads.second]
        self.model: list[list[int]] = [[], []]

    def where(self, n: int) -> list[int] | None:
        return next((numbers for numbers in self.model if n in numbers), None)

    @rule(n=numbers, which=st.integers(0, 1), tail=st.booleans(), by_address=st.booleans())
    def add(self, n: int, which: int, tail: bool, by_address: bool) -> None:
        if self.where(n) is not None:
            return
        node, list_ = self.items[n].node, self.lists[which]
        if by_address:
            (list_add_tail_va if tail else list_add_va)(node.k.u64, node.va, list_.va)
        else:
            (list_add_tail if tail else list_add)(node, list_)
        self.model[which].insert(len(self.model[which]) if tail else 0, n)

    @rule(n=numbers, how=st.sampled_from(("del", "init", "va")))
    def delete(self, n: int, how: str) -> None:
        numbers = self.where(n)
        if numbers is None:
            return
        node = self.items[n].node
        if how == "del":
            list_del(node)
        elif how == "init":
            list_del_init(node)
            assert list_empty(node)
        else:
            list_del_va(node.k.u64, node.va)
        numbers.remove(n)

    @rule(n=numbers, which=st.integers(0, 1), tail=st.booleans())
    def move(self, n: int, which: int, tail: bool) -> None:
        numbers = self.where(n)
        if numbers is None:
            return
        (list_move_tail if tail else list_move)(self.items[n].node, self.lists[which])
        numbers.remove(n)
        self.model[which].insert(len(self.model[which]) if tail else 0, n)

    @rule(which=st.integers(0, 1), tail=st.booleans())
    def splice(self, which: int, tail: bool) -> None:
        source, target = self.model[1 - which], self.model[which]
        splice = list_splice_tail_init if tail else list_splice_init
        splice(self.lists[1 - which], self.lists[which])
        target[:] = target + source if tail else source + target
        source.clear()

    @precondition(lambda self: self.model[0])
    @rule(n=numbers)
    def replace(self, n: int) -> None:
        if self.where(n) is None:
            old = self.model[0][-1]
            list_replace(self.items[old].node, self.items[n].node)
            self.model[0][-1] = n

    @invariant()
    def lists_are_the_models(self) -> None:
        for list_, numbers in zip(self.lists, self.model, strict=True):
            assert keys(list_) == numbers
            vas = list(list_for_each_va(list_.k.u64, list_.va))
            assert vas == [self.items[n].node.va for n in numbers]
            assert list_empty(list_) == (not numbers)
            assert list_is_singular(list_) == (len(numbers) == 1)
            first = list_first_entry_or_null(list_, item, "node")
            last = list_last_entry_or_null(list_, item, "node")
            if not numbers:
                assert first is None
                assert last is None
                continue
            assert first is not None
            assert last is not None
            assert [first.key, last.key] == [numbers[0], numbers[-1]]
            assert list_is_first(first.node, list_)
            assert list_is_last(last.node, list_)


Lists.TestCase.settings = settings(deadline=None, derandomize=True, stateful_step_count=30)
test_any_sequence_of_operations = Lists.TestCase


def test_pointers_are_those_of_the_nodes_mapping() -> None:
    """Is a node in the image pointed to by its address there, others by the direct map's?"""
    heads, (inside, outside) = make(2)
    list_add_tail(inside.node, heads.first)
    list_add_tail(outside.node, heads.first)
    u64 = heads.k.u64
    assert u64[heads.first.pa >> 3] == START_KERNEL_MAP + inside.node.pa
    assert u64[inside.node.pa >> 3] == PAGE_OFFSET + outside.node.pa
    assert u64[outside.node.pa >> 3] == START_KERNEL_MAP + heads.first.pa


def test_entries_lead_to_each_other() -> None:
    """Do the ways from node to entry and from entry to entry agree?"""
    heads, items = make(3)
    for entry in items:
        list_add_tail(entry.node, heads.first)
    assert list_entry(items[1].node, item, "node") == items[1]
    assert list_first_entry(heads.first, item, "node") == items[0]
    assert list_next_entry(items[0], "node") == items[1]
    with pytest.raises(KernelPanic, match=rf"^list {heads.second.va:#x} is empty$"):
        list_first_entry(heads.second, item, "node")


def test_current_entry_may_be_removed_while_walking() -> None:
    """Does a walk go on behind an entry that was deleted or moved?"""
    heads, items = make(6)
    for entry in items:
        list_add_tail(entry.node, heads.first)
    seen = []
    for entry in list_for_each_entry(heads.first, item, "node"):
        seen.append(entry.key)
        if entry.key % 2:
            list_move(entry.node, heads.second)
        else:
            list_del(entry.node)
            entry.clear()
    assert seen == [0, 1, 2, 3, 4, 5]
    assert keys(heads.second) == [5, 3, 1]


def test_broken_lists_stop_the_machine() -> None:
    """Is each kind of broken list found before it is made worse?"""
    heads, items = make(4)
    for entry in items[:3]:
        list_add_tail(entry.node, heads.first)
    a, b, c, d = (entry.node for entry in items)

    list_del(b)
    assert (heads.k.u64[b.pa >> 3], heads.k.u64[(b.pa >> 3) + 1]) == (LIST_POISON1, LIST_POISON2)
    with pytest.raises(KernelPanic, match=rf"^list_del corruption: {b.va:#x} is on no list, "):
        list_del(b)

    c.prev = d
    with pytest.raises(KernelPanic, match=r"^list_del corruption: prev->next is "):
        list_del(c)
    with pytest.raises(KernelPanic, match=rf"^list_del corruption: next->prev is {d.va:#x}, not "):
        list_del(a)
    with pytest.raises(KernelPanic, match=rf"^list_add corruption: next->prev is {d.va:#x}, not "):
        list_add(b, a)
    c.prev, a.next = a, d
    with pytest.raises(KernelPanic, match=rf"^list_add corruption: prev->next is {d.va:#x}, not "):
        list_add_tail(b, c)


def test_hash_chain() -> None:
    """Do nodes go on and off a chain at any place?"""
    heads, items = make(4)
    chain = heads.chain

    def numbers() -> list[int]:
        return [entry.key for entry in hlist_for_each_entry(chain, item, "chain")]

    INIT_HLIST_HEAD(chain)
    assert hlist_empty(chain)
    for entry in items:
        INIT_HLIST_NODE(entry.chain)
        assert hlist_unhashed(entry.chain)
    hlist_add_head(items[0].chain, chain)
    hlist_add_head(items[1].chain, chain)
    hlist_add_behind(items[2].chain, items[1].chain)
    hlist_add_behind(items[3].chain, items[0].chain)
    assert numbers() == [1, 2, 0, 3]
    assert not hlist_unhashed(items[3].chain)
    hlist_del(items[2].chain)
    assert numbers() == [1, 0, 3]
    hlist_del_init(items[1].chain)
    hlist_del_init(items[1].chain)
    assert numbers() == [0, 3]
    hlist_add_head(items[2].chain, chain)
    for entry in hlist_for_each_entry(chain, item, "chain"):
        hlist_del(entry.chain)
    assert hlist_empty(chain)
    with pytest.raises(KernelPanic, match=rf"^hlist_del: {items[0].chain.va:#x} is on no list$"):
        hlist_del(items[0].chain)
