"""Extensible arrays of pointers, such as the page cache of an inode.

A node has 64 slots, so each level takes six bits of the index.  In a slot is NULL, an entry, or the
next node's address | 2.  The root is a slot as well: an array whose only entry is at index 0 has
no node.  Nodes exist only where entries are.

An entry is an aligned address, a number here; 0 is NULL, "nothing stored".  Value entries and
entries that span several indices are not supported, and of the marks only XA_FREE_MARK:

An array with XA_FLAGS_TRACK_FREE gives out indices, :func:`xa_alloc`.  In each of its nodes
``marks[0]`` has a bit for every slot that is NULL, or that leads to a node with such a bit, so that
a free index is found without looking at what is in use.

See: Linux lib/xarray.c, include/linux/xarray.h; Documentation/core-api/xarray.rst.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from guest_kernel.errors import BUG
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PAGE_OFFSET, PHYSICAL_MASK
from guest_kernel.layout.xarray import (
    XA_CHUNK_SHIFT,
    XA_CHUNK_SIZE,
    xa_node,
    xarray,
)
from guest_kernel.mm.page_alloc import OutOfFrames
from guest_kernel.mm.slab import alloc_struct, free_struct, kfree

ULONG_MAX: Final = (1 << 64) - 1

_XA_CHUNK_MASK: Final = XA_CHUNK_SIZE - 1
_NODE: Final = 2  # in the low two bits of a slot: it is a node's address
_ALL: Final = (1 << XA_CHUNK_SIZE) - 1  # marks: every slot
_FLAGS: Final = xarray.offsetof("xa_flags")
_HEAD: Final = xarray.offsetof("xa_head")
_SHIFT: Final = xa_node.offsetof("shift")
_OFFSET: Final = xa_node.offsetof("offset")
_COUNT: Final = xa_node.offsetof("count")
_PARENT: Final = xa_node.offsetof("parent") >> 3
_FREE: Final = xa_node.offsetof("marks") >> 3  # those of XA_FREE_MARK
_ARRAY: Final = xa_node.offsetof("array") >> 3
_PRIVATE_LIST: Final = xa_node.offsetof("private_list") >> 3
_SLOTS: Final = xa_node.offsetof("slots") >> 3
_NO_NODE: Final = bytes(xa_node.size)


def xa_init(xa: xarray, flags: int = 0) -> None:
    """Make ``xa`` an empty array.  A structure filled with zeros is one already, without flags.

    Args:
        flags: XA_FLAGS_TRACK_FREE: :func:`xa_alloc` will be used.
    """
    xa.clear()
    xa.xa_flags = flags


def xa_empty(xa: xarray) -> bool:
    """Tell whether nothing is stored."""
    return not xa.xa_head


def xa_load(xa: xarray, index: int) -> int:
    """Return the entry at ``index``, or 0."""
    return xa_load_pa(xa.k, xa.pa, index)


def xa_load_pa(k: Kernel, xa: int, index: int) -> int:
    """Return the entry at ``index`` of the array at a physical address, or 0."""
    u64, u8 = k.u64, k.u8
    entry: int = u64[(xa + _HEAD) >> 3]
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
        if k.u32[(xa.pa + _FLAGS) >> 2]:
            _mark_used(k, leaf, index & _XA_CHUNK_MASK)
    return old


def xa_alloc(xa: xarray, entry: int, first: int, last: int) -> int | None:
    """Store ``entry`` at the first index from ``first`` to ``last`` that has none.

    Returns:
        The index; None: all are in use.

    Preconditions:
        ``xa`` has XA_FLAGS_TRACK_FREE.

    Raises:
        OutOfFrames: no frame for a node; the array is as before.
    """
    if entry & 3 or not entry:
        BUG(f"xarray {xa.va:#x}: entry {entry:#x}")
    k: Kernel = xa.k
    u64, u8 = k.u64, k.u8
    index = first
    while index <= last:
        head = u64[(xa.pa + _HEAD) >> 3]
        if not head & _NODE:
            # Nothing, or index 0 alone.
            index = index or int(head != 0)
            break
        node = head - _NODE & PHYSICAL_MASK
        shift = u8[node + _SHIFT]
        if index >> shift >= XA_CHUNK_SIZE:
            break
        while True:
            offset = index >> shift & _XA_CHUNK_MASK
            free = u64[(node >> 3) + _FREE] >> offset
            if not free:
                # No more below this node: go on behind it, from the top.
                index = (index >> shift + XA_CHUNK_SHIFT) + 1 << shift + XA_CHUNK_SHIFT
                break
            if not free & 1:
                skip = (free & -free).bit_length() - 1
                offset += skip
                index = (index >> shift) + skip << shift
            if not shift:
                if index > last:
                    return None
                u64[(node >> 3) + _SLOTS + offset] = entry
                u8[node + _COUNT] += 1
                _mark_used(k, node, offset)
                return index
            below = u64[(node >> 3) + _SLOTS + offset]
            if below:
                node = below - _NODE & PHYSICAL_MASK
            elif index <= last:
                node = _add_child(xa, node, offset)
            else:
                return None
            shift = u8[node + _SHIFT]
    if index > last:
        return None
    xa_store(xa, index, entry)
    return index


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
        if k.u32[(xa.pa + _FLAGS) >> 2]:
            _mark_free(k, leaf, index & _XA_CHUNK_MASK)
        if count <= 1:
            _delete_empty(xa, leaf)
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


def _mark_used(k: Kernel, node: int, offset: int) -> None:
    """Note that slot ``offset`` of ``node`` is no longer free, and its parents' if that is all."""
    u64 = k.u64
    while node:
        place = (node >> 3) + _FREE
        u64[place] = free = u64[place] & ~(1 << offset)
        if free:
            return
        offset = k.u8[node + _OFFSET]
        node = u64[(node >> 3) + _PARENT] & PHYSICAL_MASK


def _mark_free(k: Kernel, node: int, offset: int) -> None:
    """Undo :func:`_mark_used`."""
    u64 = k.u64
    while node:
        place = (node >> 3) + _FREE
        before = u64[place]
        u64[place] = before | 1 << offset
        if before:
            return
        offset = k.u8[node + _OFFSET]
        node = u64[(node >> 3) + _PARENT] & PHYSICAL_MASK


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


def _new_node(xa: xarray, shift: int, parent: int, offset: int) -> int:
    """Return the physical address of a new node; ``parent`` is a pointer, or 0."""
    k: Kernel = xa.k
    pa = alloc_struct(k, xa_node)
    k.u8[pa : pa + xa_node.size] = _NO_NODE
    u64, word = k.u64, pa >> 3
    k.u8[pa + _SHIFT] = shift
    k.u8[pa + _OFFSET] = offset
    u64[word + _PARENT] = parent
    u64[word + _ARRAY] = xa.va
    u64[word + _PRIVATE_LIST] = u64[word + _PRIVATE_LIST + 1] = (
        PAGE_OFFSET + pa + 8 * _PRIVATE_LIST)
    if k.u32[(xa.pa + _FLAGS) >> 2]:
        u64[word + _FREE] = _ALL
    return pa


def _create_path(xa: xarray, index: int) -> int:
    """Make the nodes that ``index`` needs; return the lowest one's address."""
    k: Kernel = xa.k
    u64, u8 = k.u64, k.u8
    _expand(xa, index)
    node: int = u64[(xa.pa + _HEAD) >> 3] - _NODE & PHYSICAL_MASK
    shift = u8[node + _SHIFT]
    while shift:
        offset = index >> shift & _XA_CHUNK_MASK
        below = u64[(node >> 3) + _SLOTS + offset]
        shift -= XA_CHUNK_SHIFT
        node = below - _NODE & PHYSICAL_MASK if below else _add_child(xa, node, offset)
    return node


def _add_child(xa: xarray, node: int, offset: int) -> int:
    """Make the node that slot ``offset`` of ``node`` leads to; return its address.

    Raises:
        OutOfFrames: ``node`` is freed if it is empty.
    """
    k: Kernel = xa.k
    try:
        child = _new_node(xa, k.u8[node + _SHIFT] - XA_CHUNK_SHIFT, PAGE_OFFSET + node, offset)
    except OutOfFrames:
        _delete_empty(xa, node)
        raise
    k.u64[(node >> 3) + _SLOTS + offset] = PAGE_OFFSET + child + _NODE
    k.u8[node + _COUNT] += 1
    return child


def _expand(xa: xarray, index: int) -> None:
    """Put levels on top until there is a node and room for ``index``, which is not 0 if empty."""
    k: Kernel = xa.k
    u64, u8 = k.u64, k.u8
    place = (xa.pa + _HEAD) >> 3
    head = u64[place]
    if not head:
        shift = (index.bit_length() - 1) // XA_CHUNK_SHIFT * XA_CHUNK_SHIFT
        u64[place] = PAGE_OFFSET + _new_node(xa, shift, 0, 0) + _NODE
        return
    top = head - _NODE & PHYSICAL_MASK if head & _NODE else 0
    shift = u8[top + _SHIFT] + XA_CHUNK_SHIFT if top else 0
    while not top or index >> shift:
        try:
            node = _new_node(xa, shift, 0, 0)
        except OutOfFrames:
            if top:
                _shrink(xa, top)
            raise
        word = node >> 3
        u64[word + _SLOTS] = head
        u8[node + _COUNT] = 1
        if u64[word + _FREE] and not (top and u64[(top >> 3) + _FREE]):
            u64[word + _FREE] = _ALL - 1
        if top:
            u64[(top >> 3) + _PARENT] = PAGE_OFFSET + node
        u64[place] = head = PAGE_OFFSET + node + _NODE
        top = node
        shift += XA_CHUNK_SHIFT


def _delete_empty(xa: xarray, node: int) -> None:
    """Free ``node`` if it is empty, its parents if they are then, and levels without need.

    An array that gives out indices soon needs its levels again, and keeps them while it has an
    entry; Linux's does not.
    """
    k: Kernel = xa.k
    u64, u8 = k.u64, k.u8
    while not u8[node + _COUNT]:
        parent = u64[(node >> 3) + _PARENT] & PHYSICAL_MASK
        offset = u8[node + _OFFSET]
        free_struct(k, xa_node, node)
        if not parent:
            u64[(xa.pa + _HEAD) >> 3] = 0
            return
        u64[(parent >> 3) + _SLOTS + offset] = 0
        u8[parent + _COUNT] -= 1
        node = parent
    if not u64[(node >> 3) + _PARENT] and not k.u32[(xa.pa + _FLAGS) >> 2]:
        _shrink(xa, node)


def _shrink(xa: xarray, node: int) -> None:
    """Take levels off the top while only slot 0 is in use."""
    k: Kernel = xa.k
    u64, u8 = k.u64, k.u8
    while u8[node + _COUNT] == 1:
        entry = u64[(node >> 3) + _SLOTS]
        if not entry or (u8[node + _SHIFT] and not entry & _NODE):
            return
        u64[(xa.pa + _HEAD) >> 3] = entry
        free_struct(k, xa_node, node)
        if not entry & _NODE:
            return
        node = entry - _NODE & PHYSICAL_MASK
        u64[(node >> 3) + _PARENT] = 0
