"""Extensible arrays of pointers, such as the page cache of an inode.

A node has 64 slots, so each level takes six bits of the index.  In a slot is NULL, an entry, or the
next node's address | 2.  The root is a slot as well: an array whose only entry is at index 0 has
no node.  Nodes exist only where entries are.

An entry is an aligned address, a number here; 0 is NULL, "nothing stored".  Marks, value entries
and entries that span several indices are not supported.

See: Linux lib/xarray.c, include/linux/xarray.h; Documentation/core-api/xarray.rst.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from guest_kernel.errors import BUG
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PHYSICAL_MASK
from guest_kernel.layout.xarray import XA_CHUNK_SHIFT, XA_CHUNK_SIZE, xa_node, xarray
from guest_kernel.mm.page_alloc import OutOfFrames
from guest_kernel.mm.slab import kfree, kzalloc

ULONG_MAX: Final = (1 << 64) - 1

_XA_CHUNK_MASK: Final = XA_CHUNK_SIZE - 1
_NODE: Final = 2  # in the low two bits of a slot: it is a node's address
_HEAD: Final = xarray.offsetof("xa_head")
_SHIFT: Final = xa_node.offsetof("shift")
_COUNT: Final = xa_node.offsetof("count")
_SLOTS: Final = xa_node.offsetof("slots") >> 3


def xa_init(xa: xarray) -> None:
    """Make ``xa`` an empty array.  A structure filled with zeros is one already."""
    xa.clear()


def xa_empty(xa: xarray) -> bool:
    """Tell whether nothing is stored."""
    return not xa.xa_head


def xa_load(xa: xarray, index: int) -> int:
    """Return the entry at ``index``, or 0."""
    k: Kernel = xa.k
    u64, u8 = k.u64, k.u8
    entry = u64[(xa.pa + _HEAD) >> 3]
    if not entry & _NODE:
        return 0 if index else entry
    node = entry - _NODE & PHYSICAL_MASK
    shift = u8[node + _SHIFT]
    if index >> shift >= XA_CHUNK_SIZE:
        return 0
    while True:
        entry = u64[(node >> 3) + _SLOTS + (index >> shift & _XA_CHUNK_MASK)]
        if not entry & _NODE:
            return entry
        node = entry - _NODE & PHYSICAL_MASK
        shift = u8[node + _SHIFT]


def xa_store(xa: xarray, index: int, entry: int) -> int:
    """Store ``entry`` at ``index`` and return what was there.

    Raises:
        OutOfFrames: no frame for a node; the array is as before.
    """
    if entry & 3 or not 0 <= index <= ULONG_MAX:
        BUG(f"xarray {xa.va:#x}: entry {entry:#x} at {index:#x}")
    if not entry:
        return xa_erase(xa, index)
    k: Kernel = xa.k
    leaf = _find_leaf(xa, index)
    if not leaf:
        head = xa.xa_head
        if not index and not head & _NODE:
            xa.xa_head = entry
            return head
        leaf = _create_path(xa, index)
    slot = (leaf >> 3) + _SLOTS + (index & _XA_CHUNK_MASK)
    old: int = k.u64[slot]
    k.u64[slot] = entry
    if not old:
        k.u8[leaf + _COUNT] += 1
    return old


def xa_erase(xa: xarray, index: int) -> int:
    """Store NULL at ``index``, free the nodes that are empty now, and return what was there."""
    k: Kernel = xa.k
    leaf = _find_leaf(xa, index)
    if not leaf:
        head = xa.xa_head
        if index or head & _NODE:
            return 0
        xa.xa_head = 0
        return head
    slot = (leaf >> 3) + _SLOTS + (index & _XA_CHUNK_MASK)
    old: int = k.u64[slot]
    if old:
        k.u64[slot] = 0
        k.u8[leaf + _COUNT] = count = k.u8[leaf + _COUNT] - 1
        if count <= 1:
            _delete_empty(xa, xa_node(k, leaf))
    return old


def xa_find(xa: xarray, index: int, last: int = ULONG_MAX) -> tuple[int, int] | None:
    """Return the first index from ``index`` to ``last`` that has an entry, and the entry."""
    k: Kernel = xa.k
    u64, u8 = k.u64, k.u8
    head = u64[(xa.pa + _HEAD) >> 3]
    if not head & _NODE:
        return (0, head) if head and index <= 0 <= last else None
    while index <= last:
        node = head - _NODE & PHYSICAL_MASK
        shift = u8[node + _SHIFT]
        if index >> shift >= XA_CHUNK_SIZE:
            return None
        while True:
            slots = (node >> 3) + _SLOTS
            first = slot = index >> shift & _XA_CHUNK_MASK
            for entry in u64[slots + first : slots + XA_CHUNK_SIZE]:
                if entry:
                    break
                slot += 1
            else:
                # Nothing more below this node: go on behind it, from the top.
                index = (index >> shift + XA_CHUNK_SHIFT) + 1 << shift + XA_CHUNK_SHIFT
                break
            if slot != first:
                index = (index >> shift + XA_CHUNK_SHIFT << XA_CHUNK_SHIFT | slot) << shift
            if not entry & _NODE:
                return (index, entry) if index <= last else None
            node = entry - _NODE & PHYSICAL_MASK
            shift = u8[node + _SHIFT]
    return None


def xa_for_each(xa: xarray, start: int = 0, last: int = ULONG_MAX) -> Iterator[tuple[int, int]]:
    """Yield (index, entry) from ``start`` to ``last``.  The array may change meanwhile."""
    while found := xa_find(xa, start, last):
        yield found
        start = found[0] + 1


def xa_destroy(xa: xarray) -> None:
    """Forget all entries and free all nodes."""
    head = xa.xa_head
    xa.xa_head = 0
    if head & _NODE:
        _free_subtree(xa_node.at(xa.k, head - _NODE))


def _free_subtree(node: xa_node) -> None:
    for entry in node.slots:
        if entry & _NODE:
            _free_subtree(xa_node.at(node.k, entry - _NODE))
    kfree(node)


def _find_leaf(xa: xarray, index: int) -> int:
    """Return the address of the lowest-level node that has ``index``'s slot; 0 if there is none."""
    u64, u8 = xa.k.u64, xa.k.u8
    entry = u64[(xa.pa + _HEAD) >> 3]
    if not entry & _NODE:
        return 0
    node: int = entry - _NODE & PHYSICAL_MASK
    shift = u8[node + _SHIFT]
    if index >> shift >= XA_CHUNK_SIZE:
        return 0
    while shift:
        entry = u64[(node >> 3) + _SLOTS + (index >> shift & _XA_CHUNK_MASK)]
        if not entry:
            return 0
        node = entry - _NODE & PHYSICAL_MASK
        shift = u8[node + _SHIFT]
    return node


def _new_node(xa: xarray, shift: int, parent: xa_node | None, offset: int) -> xa_node:
    node = kzalloc(xa.k, xa_node)
    node.shift = shift
    node.offset = offset
    node.parent = parent
    node.array = xa.va
    node.private_list.next = node.private_list.prev = node.private_list
    return node


def _create_path(xa: xarray, index: int) -> int:
    """Make the nodes that ``index`` needs; return the lowest one's address."""
    _expand(xa, index)
    node = xa_node.at(xa.k, xa.xa_head - _NODE)
    while shift := node.shift:
        offset = index >> shift & _XA_CHUNK_MASK
        below = node.slots[offset]
        if below:
            node = xa_node.at(xa.k, below - _NODE)
            continue
        try:
            child = _new_node(xa, shift - XA_CHUNK_SHIFT, node, offset)
        except OutOfFrames:
            _delete_empty(xa, node)
            raise
        node.slots[offset] = child.va | _NODE
        node.count += 1
        node = child
    return node.pa


def _expand(xa: xarray, index: int) -> None:
    """Put levels on top until there is a node and room for ``index``, which is not 0 if empty."""
    head = xa.xa_head
    if not head:
        shift = (index.bit_length() - 1) // XA_CHUNK_SHIFT * XA_CHUNK_SHIFT
        xa.xa_head = _new_node(xa, shift, None, 0).va | _NODE
        return
    top = xa_node.at(xa.k, head - _NODE) if head & _NODE else None
    shift = 0 if top is None else top.shift + XA_CHUNK_SHIFT
    while top is None or index >> shift:
        try:
            node = _new_node(xa, shift, None, 0)
        except OutOfFrames:
            if top is not None:
                _shrink(xa, top)
            raise
        node.slots[0] = head
        node.count = 1
        if top is not None:
            top.parent = node
        xa.xa_head = head = node.va | _NODE
        top = node
        shift += XA_CHUNK_SHIFT


def _delete_empty(xa: xarray, node: xa_node) -> None:
    """Free ``node`` if it is empty, its parents if they are then, and levels without need."""
    while not node.count:
        parent = node.parent
        offset = node.offset
        kfree(node)
        if parent is None:
            xa.xa_head = 0
            return
        parent.slots[offset] = 0
        parent.count -= 1
        node = parent
    if node.parent is None:
        _shrink(xa, node)


def _shrink(xa: xarray, node: xa_node) -> None:
    """Take levels off the top while only slot 0 is in use."""
    while node.count == 1:
        entry = node.slots[0]
        if not entry or (node.shift and not entry & _NODE):
            return
        xa.xa_head = entry
        kfree(node)
        if not entry & _NODE:
            return
        node = xa_node.at(xa.k, entry - _NODE)
        node.parent = None
