"""Do red-black trees keep their order and their rules?"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from emulator.memory import Ram
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import KERNEL_LOAD, U64, Embed, Struct
from guest_kernel.layout.rbtree import rb_node, rb_root, rb_root_cached
from guest_kernel.lib.rbtree import (
    BLACK,
    RB_CLEAR_NODE,
    RB_EMPTY_NODE,
    RB_EMPTY_ROOT,
    rb_add,
    rb_add_cached,
    rb_erase,
    rb_erase_cached,
    rb_first,
    rb_first_cached,
    rb_insert_color,
    rb_insert_color_cached,
    rb_last,
    rb_link_node,
    rb_next,
    rb_parent,
    rb_prev,
    rb_replace_node,
    rb_replace_node_cached,
    rbtree_inorder_for_each_entry,
)

IMAGE_END = KERNEL_LOAD + 0x1000


class item(Struct):
    """What the trees are made of."""

    key = U64("their order")
    plain = Embed(rb_node, "in trees.plain")
    cached = Embed(rb_node, "in trees.cached")


class trees(Struct):
    """The roots."""

    plain = Embed(rb_root, "a tree")
    cached = Embed(rb_root_cached, "a tree that knows its first node")


PLAIN_KEY = -item.offsetof("plain")
CACHED_KEY = -item.offsetof("cached")


def make(n: int) -> tuple[trees, list[item]]:
    """Return two empty trees and ``n`` items, two of them in the image, with their own mapping."""
    k = Kernel(Ram(2 << 20), {}, IMAGE_END)
    return trees(k, KERNEL_LOAD), [item(k, IMAGE_END - 128 + i * 64) for i in range(n)]


def black_height(node: rb_node | None, parent: rb_node | None) -> int:
    """Check the rules below ``node``; return the number of black nodes on each path."""
    if node is None:
        return 0
    assert rb_parent(node) == parent
    word: int = node.k.u64[node.pa >> 3]
    if not word & BLACK:
        assert parent is not None
        for child in (node.rb_left, node.rb_right):
            assert child is None or child.k.u64[child.pa >> 3] & BLACK
    left, right = black_height(node.rb_left, node), black_height(node.rb_right, node)
    assert left == right
    return left + (word & BLACK)


class Trees(RuleBasedStateMachine):
    """Two trees of the same items, beside a list of keys."""

    N = 40

    def __init__(self) -> None:
        super().__init__()
        self.trees, self.items = make(self.N)
        self.unused = list(self.items)
        self.model: list[item] = []  # in order of key, then of insertion

    @rule(key=st.integers(0, 100) | st.integers(0, 2**64 - 1))
    def add(self, key: int) -> None:
        if not self.unused:
            return
        new = self.unused.pop()
        new.key = key
        first = rb_add(new.plain, self.trees.plain, PLAIN_KEY)
        assert rb_add_cached(new.cached, self.trees.cached, CACHED_KEY) == first
        place = sum(entry.key <= key for entry in self.model)
        self.model.insert(place, new)
        assert first == (place == 0)

    @rule(keys=st.lists(st.integers(0, 1000), max_size=20))
    def add_many(self, keys: list[int]) -> None:
        for key in keys:
            self.add(key)

    @rule(n=st.integers(0, N - 1))
    def erase(self, n: int) -> None:
        if not self.model:
            return
        old = self.model.pop(n % len(self.model))
        rb_erase(old.plain, self.trees.plain)
        rb_erase_cached(old.cached, self.trees.cached)
        old.clear()
        self.unused.append(old)

    @rule(ns=st.lists(st.integers(0, N - 1), max_size=20))
    def erase_many(self, ns: list[int]) -> None:
        for n in ns:
            self.erase(n)

    @rule(n=st.integers(0, N - 1))
    def replace(self, n: int) -> None:
        if not self.model or not self.unused:
            return
        n %= len(self.model)
        old, new = self.model[n], self.unused.pop()
        new.key = old.key
        rb_replace_node(old.plain, new.plain, self.trees.plain)
        rb_replace_node_cached(old.cached, new.cached, self.trees.cached)
        self.model[n] = new
        old.clear()
        self.unused.append(old)

    @invariant()
    def rules_hold(self) -> None:
        black_height(self.trees.plain.rb_node, None)
        black_height(self.trees.cached.rb_root.rb_node, None)

    @invariant()
    def order_is_the_models(self) -> None:
        plain, cached = self.trees.plain, self.trees.cached
        assert list(rbtree_inorder_for_each_entry(plain, item, "plain")) == self.model
        assert list(rbtree_inorder_for_each_entry(cached, item, "cached")) == self.model
        nodes = [entry.plain for entry in self.model]
        assert rb_first(plain) == (nodes[0] if nodes else None)
        assert rb_last(plain) == (nodes[-1] if nodes else None)
        assert rb_first_cached(cached) == rb_first(cached)
        assert RB_EMPTY_ROOT(plain) == (not nodes)
        for before, after in zip([None, *nodes], [*nodes, None], strict=True):
            if before is not None:
                assert rb_next(before) == after
            if after is not None:
                assert rb_prev(after) == before


Trees.TestCase.settings = settings(deadline=None, derandomize=True, stateful_step_count=30)
test_any_sequence_of_operations = Trees.TestCase


def test_all_erasures_of_small_trees() -> None:
    """Does each node of trees of each small size, grown up, down and mixed, come out cleanly?"""
    for n in range(1, 18):
        for keys in (range(n), range(n, 0, -1), [i * 7 % n for i in range(n)]):
            for victim in range(n):
                roots, items = make(n)
                for entry, key in zip(items, keys, strict=True):
                    entry.key = key
                    rb_add(entry.plain, roots.plain, PLAIN_KEY)
                rb_erase(items[victim].plain, roots.plain)
                black_height(roots.plain.rb_node, None)
                left = sorted((e for e in items if e != items[victim]), key=lambda e: e.key)
                found = list(rbtree_inorder_for_each_entry(roots.plain, item, "plain"))
                assert [e.key for e in found] == [e.key for e in left]


def test_tree_is_shallow() -> None:
    """Is a tree of 1000 ascending keys at most 2 log2(1001) deep?"""
    roots, items = make(1000)
    for i, entry in enumerate(items):
        entry.key = i
        rb_add(entry.plain, roots.plain, PLAIN_KEY)

    def depth(node: rb_node | None) -> int:
        return 0 if node is None else 1 + max(depth(node.rb_left), depth(node.rb_right))

    assert depth(roots.plain.rb_node) <= 19


def test_caller_who_descends_himself() -> None:
    """Do ``rb_link_node`` and ``rb_insert_color`` do for any order what ``rb_add`` does for one?"""
    roots, (middle, left, right) = make(3)
    root = roots.plain
    rb_link_node(middle.plain, None, root.pa)
    rb_insert_color(middle.plain, root)
    rb_link_node(left.plain, middle.plain, middle.plain.pa + rb_node.offsetof("rb_left"))
    rb_insert_color(left.plain, root)
    rb_link_node(right.plain, middle.plain, middle.plain.pa + rb_node.offsetof("rb_right"))
    rb_insert_color(right.plain, root)
    entries = list(rbtree_inorder_for_each_entry(root, item, "plain"))
    assert entries == [left, middle, right]

    rb_link_node(middle.cached, None, roots.cached.pa)
    rb_insert_color_cached(middle.cached, roots.cached, True)
    link = middle.cached.pa + rb_node.offsetof("rb_right")
    rb_link_node(right.cached, middle.cached, link)
    rb_insert_color_cached(right.cached, roots.cached, False)
    assert rb_first_cached(roots.cached) == middle.cached


def test_current_entry_may_be_erased_while_walking() -> None:
    """Does a walk go on behind an entry that was erased?"""
    roots, items = make(20)
    for i, entry in enumerate(items):
        entry.key = i
        rb_add(entry.plain, roots.plain, PLAIN_KEY)
    seen = []
    for entry in rbtree_inorder_for_each_entry(roots.plain, item, "plain"):
        seen.append(entry.key)
        rb_erase(entry.plain, roots.plain)
        entry.clear()
    assert seen == list(range(20))
    assert RB_EMPTY_ROOT(roots.plain)


def test_cleared_node_is_in_no_tree() -> None:
    """Can a node say whether it is in a tree?"""
    roots, (entry,) = make(1)
    RB_CLEAR_NODE(entry.plain)
    assert RB_EMPTY_NODE(entry.plain)
    rb_add(entry.plain, roots.plain, PLAIN_KEY)
    assert not RB_EMPTY_NODE(entry.plain)
