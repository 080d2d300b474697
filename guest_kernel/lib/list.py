"""Circular doubly linked lists and hash chains.

Functions on references (``list_add(task.tasks, head)``) are for policy.  Those whose name ends in
``_va`` do the same on numbers, kernel virtual addresses of nodes, for code that is run often.

``list_add`` and ``list_del`` check the neighbours' pointers first, as Linux does with
CONFIG_LIST_HARDENED, and stop the machine if the list is broken.

See: Linux include/linux/list.h, lib/list_debug.c.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NoReturn, TypeVar

from guest_kernel.errors import BUG
from guest_kernel.layout.declare import PHYSICAL_MASK, Struct
from guest_kernel.layout.list import hlist_head, hlist_node, list_head

S = TypeVar("S", bound=Struct)

# What list_del leaves in a node, so that using it again shows.
LIST_POISON1: Final = 0xDEAD_0000_0000_0100
LIST_POISON2: Final = 0xDEAD_0000_0000_0122


# Lists, by reference


def INIT_LIST_HEAD(head: list_head) -> None:
    """Make ``head`` an empty list, or a node that is on none."""
    u64 = head.k.u64
    u64[head.pa >> 3] = u64[(head.pa >> 3) + 1] = head.va


def list_add(new: list_head, head: list_head) -> None:
    """Put ``new`` right behind ``head``: first in the list."""
    list_add_va(new.k.u64, new.va, head.va)


def list_add_tail(new: list_head, head: list_head) -> None:
    """Put ``new`` right before ``head``: last in the list."""
    list_add_tail_va(new.k.u64, new.va, head.va)


def list_del(entry: list_head) -> None:
    """Take ``entry`` out of its list.  It must not be used until it is added or initialised."""
    u64 = entry.k.u64
    list_del_va(u64, entry.va)
    u64[entry.pa >> 3] = LIST_POISON1
    u64[(entry.pa >> 3) + 1] = LIST_POISON2


def list_del_init(entry: list_head) -> None:
    """Take ``entry`` out of its list; then it is on none, and may be taken out again."""
    list_del_init_va(entry.k.u64, entry.va)


def list_move(entry: list_head, head: list_head) -> None:
    """Take ``entry`` out of its list and put it first in ``head``'s."""
    u64 = entry.k.u64
    va = entry.va
    list_del_va(u64, va)
    list_add_va(u64, va, head.va)


def list_move_tail(entry: list_head, head: list_head) -> None:
    """Take ``entry`` out of its list and put it last in ``head``'s."""
    u64 = entry.k.u64
    va = entry.va
    list_del_va(u64, va)
    list_add_tail_va(u64, va, head.va)


def list_replace(old: list_head, new: list_head) -> None:
    """Put ``new`` where ``old`` is in its list; ``old`` is as after ``list_del``."""
    list_add(new, old)
    list_del(old)


def list_splice_init(source: list_head, head: list_head) -> None:
    """Move all of ``source``'s nodes to the front of ``head``'s list, in order."""
    _splice(source, head.va, head.k.u64[head.pa >> 3])


def list_splice_tail_init(source: list_head, head: list_head) -> None:
    """Move all of ``source``'s nodes to the end of ``head``'s list, in order."""
    _splice(source, head.k.u64[(head.pa >> 3) + 1], head.va)


def _splice(source: list_head, previous: int, following: int) -> None:
    if list_empty(source):
        return
    u64 = source.k.u64
    first, last = u64[source.pa >> 3], u64[(source.pa >> 3) + 1]
    u64[((first & PHYSICAL_MASK) >> 3) + 1] = previous
    u64[(previous & PHYSICAL_MASK) >> 3] = first
    u64[(last & PHYSICAL_MASK) >> 3] = following
    u64[((following & PHYSICAL_MASK) >> 3) + 1] = last
    INIT_LIST_HEAD(source)


def list_empty(head: list_head) -> bool:
    """Tell whether the list is empty, or the node on no list."""
    empty: bool = head.k.u64[head.pa >> 3] & PHYSICAL_MASK == head.pa
    return empty


def list_is_singular(head: list_head) -> bool:
    """Tell whether the list has exactly one node."""
    u64 = head.k.u64
    first = u64[head.pa >> 3]
    return bool(first & PHYSICAL_MASK != head.pa and first == u64[(head.pa >> 3) + 1])


def list_is_first(entry: list_head, head: list_head) -> bool:
    """Tell whether ``entry`` is the first in ``head``'s list."""
    first: int = head.k.u64[head.pa >> 3]
    return first & PHYSICAL_MASK == entry.pa


def list_is_last(entry: list_head, head: list_head) -> bool:
    """Tell whether ``entry`` is the last in ``head``'s list."""
    last: int = head.k.u64[(head.pa >> 3) + 1]
    return last & PHYSICAL_MASK == entry.pa


def list_entry(node: list_head, cls: type[S], member: str) -> S:
    """Return the ``cls`` whose field ``member`` is ``node``."""
    return cls(node.k, node.pa - cls.offsetof(member))


def list_first_entry_or_null(head: list_head, cls: type[S], member: str) -> S | None:
    """Return the first ``cls`` in the list, whose node is its field ``member``."""
    first = head.k.u64[head.pa >> 3] & PHYSICAL_MASK
    return None if first == head.pa else cls(head.k, first - cls.offsetof(member))


def list_last_entry_or_null(head: list_head, cls: type[S], member: str) -> S | None:
    """Return the last ``cls`` in the list, whose node is its field ``member``."""
    last = head.k.u64[(head.pa >> 3) + 1] & PHYSICAL_MASK
    return None if last == head.pa else cls(head.k, last - cls.offsetof(member))


def list_first_entry(head: list_head, cls: type[S], member: str) -> S:
    """Return the first ``cls`` in the list, which is not empty."""
    first = list_first_entry_or_null(head, cls, member)
    if first is None:
        BUG(f"list {head.va:#x} is empty")
    return first


def list_next_entry(pos: S, member: str) -> S:
    """Return the entry after ``pos``, which is not the last."""
    cls = type(pos)
    offset = cls.offsetof(member)
    return cls(pos.k, (pos.k.u64[(pos.pa + offset) >> 3] & PHYSICAL_MASK) - offset)


def list_for_each_entry(head: list_head, cls: type[S], member: str) -> Iterator[S]:
    """Yield each ``cls`` in the list, whose node is its field ``member``.

    The entry that was yielded last may be removed, freed or moved (this is Linux's
    ``list_for_each_entry_safe``); the one behind it may not.
    """
    k = head.k
    u64 = k.u64
    end = head.pa
    offset = cls.offsetof(member)
    node = u64[end >> 3] & PHYSICAL_MASK
    while node != end:
        following = u64[node >> 3] & PHYSICAL_MASK
        yield cls(k, node - offset)
        node = following


def list_for_each_entry_reverse(head: list_head, cls: type[S], member: str) -> Iterator[S]:
    """Yield each ``cls`` in the list, last first; see ``list_for_each_entry``."""
    k = head.k
    u64 = k.u64
    end = head.pa
    offset = cls.offsetof(member)
    node = u64[(end >> 3) + 1] & PHYSICAL_MASK
    while node != end:
        previous = u64[(node >> 3) + 1] & PHYSICAL_MASK
        yield cls(k, node - offset)
        node = previous


# Lists, by address


def list_add_va(u64: memoryview, new: int, head: int) -> None:
    """Put the node at ``new`` right behind the one at ``head``."""
    h = (head & PHYSICAL_MASK) >> 3
    following = u64[h]
    f = ((following & PHYSICAL_MASK) >> 3) + 1
    if u64[f] != head:
        BUG(f"list_add corruption: next->prev is {u64[f]:#x}, not {head:#x} (next={following:#x})")
    n = (new & PHYSICAL_MASK) >> 3
    u64[n] = following
    u64[n + 1] = head
    u64[h] = u64[f] = new


def list_add_tail_va(u64: memoryview, new: int, head: int) -> None:
    """Put the node at ``new`` right before the one at ``head``."""
    h = ((head & PHYSICAL_MASK) >> 3) + 1
    previous = u64[h]
    p = (previous & PHYSICAL_MASK) >> 3
    if u64[p] != head:
        BUG(f"list_add corruption: prev->next is {u64[p]:#x}, not {head:#x} (prev={previous:#x})")
    n = (new & PHYSICAL_MASK) >> 3
    u64[n] = head
    u64[n + 1] = previous
    u64[p] = u64[h] = new


def list_del_va(u64: memoryview, entry: int) -> None:
    """Take the node at ``entry`` out of its list and leave its pointers as they are."""
    e = (entry & PHYSICAL_MASK) >> 3
    following, previous = u64[e], u64[e + 1]
    f, p = ((following & PHYSICAL_MASK) >> 3) + 1, (previous & PHYSICAL_MASK) >> 3
    if u64[p] != entry or u64[f] != entry:
        _list_del_bug(u64, entry)
    u64[p], u64[f] = following, previous


def list_del_init_va(u64: memoryview, entry: int) -> None:
    """Take the node at ``entry`` out of its list; see :func:`list_del_init`."""
    e = (entry & PHYSICAL_MASK) >> 3
    following, previous = u64[e], u64[e + 1]
    f, p = ((following & PHYSICAL_MASK) >> 3) + 1, (previous & PHYSICAL_MASK) >> 3
    if u64[p] != entry or u64[f] != entry:
        _list_del_bug(u64, entry)
    u64[p], u64[f] = following, previous
    u64[e] = u64[e + 1] = entry


def _list_del_bug(u64: memoryview, entry: int) -> NoReturn:
    """Say why the node at ``entry`` cannot be taken out of its list."""
    e = (entry & PHYSICAL_MASK) >> 3
    following, previous = u64[e], u64[e + 1]
    if following == LIST_POISON1:
        BUG(f"list_del corruption: {entry:#x} is on no list, it was deleted before")
    after = u64[(previous & PHYSICAL_MASK) >> 3]
    if after != entry:
        BUG(f"list_del corruption: prev->next is {after:#x}, not {entry:#x} (prev={previous:#x})")
    before = u64[((following & PHYSICAL_MASK) >> 3) + 1]
    BUG(f"list_del corruption: next->prev is {before:#x}, not {entry:#x} (next={following:#x})")


def list_for_each_va(u64: memoryview, head: int) -> Iterator[int]:
    """Yield the address of each node of the list; see ``list_for_each_entry``."""
    node = u64[(head & PHYSICAL_MASK) >> 3]
    while node != head:
        following = u64[(node & PHYSICAL_MASK) >> 3]
        yield node
        node = following


# Hash chains


def INIT_HLIST_HEAD(head: hlist_head) -> None:
    """Make ``head`` an empty chain."""
    head.first = None


def INIT_HLIST_NODE(node: hlist_node) -> None:
    """Make ``node`` a node that is on no chain."""
    node.next = None
    node.pprev = 0


def hlist_empty(head: hlist_head) -> bool:
    """Tell whether the chain is empty."""
    return head.first is None


def hlist_unhashed(node: hlist_node) -> bool:
    """Tell whether ``node`` is on no chain."""
    return not node.pprev


def hlist_add_head(node: hlist_node, head: hlist_head) -> None:
    """Put ``node`` first in the chain."""
    hlist_add_head_va(node.k.u64, node.va, head.va)


def hlist_add_head_va(u64: memoryview, node: int, head: int) -> None:
    """Put the node at ``node`` first in the chain of the head at ``head``."""
    n, h = (node & PHYSICAL_MASK) >> 3, (head & PHYSICAL_MASK) >> 3
    u64[n] = first = u64[h]
    u64[n + 1] = head
    u64[h] = node
    if first:
        u64[((first & PHYSICAL_MASK) >> 3) + 1] = node  # &node->next, which is at offset 0


def hlist_add_behind(node: hlist_node, previous: hlist_node) -> None:
    """Put ``node`` right behind ``previous``."""
    u64 = node.k.u64
    following = u64[previous.pa >> 3]
    va = node.va
    u64[node.pa >> 3] = following
    u64[(node.pa >> 3) + 1] = previous.va
    if following:
        u64[((following & PHYSICAL_MASK) >> 3) + 1] = va
    u64[previous.pa >> 3] = va


def hlist_del_va(u64: memoryview, node: int) -> None:
    """Take the node at ``node`` out of its chain; see :func:`hlist_del`."""
    n = (node & PHYSICAL_MASK) >> 3
    following, pprev = u64[n], u64[n + 1]
    if not pprev or pprev == LIST_POISON2:
        BUG(f"hlist_del: {node:#x} is on no list")
    u64[(pprev & PHYSICAL_MASK) >> 3] = following
    if following:
        u64[((following & PHYSICAL_MASK) >> 3) + 1] = pprev
    u64[n] = LIST_POISON1
    u64[n + 1] = LIST_POISON2


def hlist_del(node: hlist_node) -> None:
    """Take ``node`` out of its chain.  It must not be used until it is added or initialised."""
    hlist_del_va(node.k.u64, node.va)


def hlist_del_init(node: hlist_node) -> None:
    """Take ``node`` out of its chain, if it is on one; then it is on none."""
    if node.pprev:
        hlist_del(node)
        INIT_HLIST_NODE(node)


def hlist_for_each_entry(head: hlist_head, cls: type[S], member: str) -> Iterator[S]:
    """Yield each ``cls`` in the chain, whose node is its field ``member``.

    The entry that was yielded last may be removed or freed; the one behind it may not.
    """
    k = head.k
    u64 = k.u64
    offset = cls.offsetof(member)
    node = u64[head.pa >> 3] & PHYSICAL_MASK
    while node:
        following = u64[node >> 3] & PHYSICAL_MASK
        yield cls(k, node - offset)
        node = following
