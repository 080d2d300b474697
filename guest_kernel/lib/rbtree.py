"""Red-black trees of nodes that lie in other structures.

The rules: a node is red or black; the root is black; a red node has black children; every path
from the root down to a NULL passes as many black nodes.  So no path is more than twice as long as
another.

As in Linux a tree knows nothing of keys.  Whoever inserts walks down from the root, keeps the
parent and the pointer that was NULL, and calls ``rb_link_node`` and ``rb_insert_color``;
:func:`rb_add` does that for the common case of an unsigned 64-bit key in the same structure.

Functions on references are for policy.  Those whose name ends in ``_va`` do the same on numbers:
kernel virtual addresses of nodes, 0 for NULL.  A root is the address, physical or virtual, of the
pointer to the topmost node, so a cached root is one as well.

See: Linux lib/rbtree.c, include/linux/rbtree.h; Cormen et al., "Introduction to Algorithms",
"Red-Black Trees".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final, TypeVar

from guest_kernel.layout.declare import PHYSICAL_MASK, Struct
from guest_kernel.layout.rbtree import rb_node, rb_root, rb_root_cached

S = TypeVar("S", bound=Struct)

# Words of a node: its parent's address and, in bit 0, its colour; then its children.  ``3 - side``
# is the other side.
RIGHT: Final = rb_node.offsetof("rb_right") >> 3
LEFT: Final = rb_node.offsetof("rb_left") >> 3
BLACK: Final = 1
_PARENT: Final = ~3
_LEFTMOST: Final = rb_root_cached.offsetof("rb_leftmost")


# By reference


def RB_EMPTY_ROOT(root: rb_root | rb_root_cached) -> bool:
    """Tell whether the tree is empty."""
    return not root.k.u64[root.pa >> 3]


def RB_CLEAR_NODE(node: rb_node) -> None:
    """Mark ``node`` as being in no tree."""
    node.k.u64[node.pa >> 3] = node.va


def RB_EMPTY_NODE(node: rb_node) -> bool:
    """Tell whether ``node`` was marked by ``RB_CLEAR_NODE`` and not inserted since."""
    word: int = node.k.u64[node.pa >> 3]
    return word & PHYSICAL_MASK == node.pa


def rb_parent(node: rb_node) -> rb_node | None:
    """Return the parent of ``node``; ``None`` for the root."""
    return _reference(node, node.k.u64[node.pa >> 3] & _PARENT)


def rb_link_node(node: rb_node, parent: rb_node | None, link: int) -> None:
    """Hang ``node`` where a descent ended; ``rb_insert_color`` must follow.

    Args:
        parent: the last node of the descent; ``None`` if the tree is empty.
        link: address of the pointer that is NULL: a child pointer of ``parent``, or the root's.
    """
    rb_link_node_va(node.k.u64, node.va, 0 if parent is None else parent.va, link)


def rb_insert_color(node: rb_node, root: rb_root) -> None:
    """Restore the rules after ``rb_link_node``."""
    rb_insert_color_va(node.k.u64, node.va, root.pa)


def rb_erase(node: rb_node, root: rb_root) -> None:
    """Take ``node`` out of the tree.  Its own words are left as they are."""
    rb_erase_va(node.k.u64, node.va, root.pa)


def rb_build_va(u64: memoryview, nodes: Sequence[int], root: int) -> None:
    """Make a tree of ``nodes``, which are in order, at once; what they held before is lost.

    It is as flat as can be: NULL pointers are on the last two levels.  So the nodes of the last
    level are red, and each path has as many black ones as there are levels above it.
    """
    last = len(nodes).bit_length()

    def build(low: int, high: int, parent: int, level: int) -> int:
        middle = low + high >> 1
        node = nodes[middle]
        word = (node & PHYSICAL_MASK) >> 3
        u64[word] = parent if level == last > 1 else parent | BLACK
        u64[word + LEFT] = build(low, middle, node, level + 1) if low < middle else 0
        middle += 1
        u64[word + RIGHT] = build(middle, high, node, level + 1) if middle < high else 0
        return node

    u64[(root & PHYSICAL_MASK) >> 3] = build(0, len(nodes), 0, 1) if nodes else 0


def rb_replace_node(victim: rb_node, new: rb_node, root: rb_root) -> None:
    """Put ``new``, which has the same place in the order, where ``victim`` is."""
    rb_replace_node_va(victim.k.u64, victim.va, new.va, root.pa)


def rb_first(root: rb_root | rb_root_cached) -> rb_node | None:
    """Return the node with the smallest key, or ``None``."""
    return _reference(root, rb_end_va(root.k.u64, root.pa, LEFT))


def rb_last(root: rb_root | rb_root_cached) -> rb_node | None:
    """Return the node with the greatest key, or ``None``."""
    return _reference(root, rb_end_va(root.k.u64, root.pa, RIGHT))


def rb_next(node: rb_node) -> rb_node | None:
    """Return the node with the next greater key, or ``None``."""
    return _reference(node, rb_neighbour_va(node.k.u64, node.va, RIGHT))


def rb_prev(node: rb_node) -> rb_node | None:
    """Return the node with the next smaller key, or ``None``."""
    return _reference(node, rb_neighbour_va(node.k.u64, node.va, LEFT))


def rb_add(node: rb_node, root: rb_root, key: int) -> bool:
    """Insert ``node`` in the order of an unsigned 64-bit key; equal keys in order of insertion.

    Args:
        key: offset of the key from the node, usually negative.

    Returns:
        Whether ``node`` is now the first.
    """
    return rb_add_va(node.k.u64, node.va, root.pa, key)


def rbtree_inorder_for_each_entry(
    root: rb_root | rb_root_cached, cls: type[S], member: str
) -> Iterator[S]:
    """Yield each ``cls`` in the tree, whose node is its field ``member``, in order.

    The entry that was yielded last may be erased; the one behind it may not.
    """
    u64 = root.k.u64
    offset = cls.offsetof(member)
    node = rb_end_va(u64, root.pa, LEFT)
    while node:
        following = rb_neighbour_va(u64, node, RIGHT)
        yield cls(root.k, (node & PHYSICAL_MASK) - offset)
        node = following


def rb_first_cached(root: rb_root_cached) -> rb_node | None:
    """Return the node with the smallest key, or ``None``, at once."""
    return root.rb_leftmost


def rb_insert_color_cached(node: rb_node, root: rb_root_cached, leftmost: bool) -> None:
    """Restore the rules after ``rb_link_node``; ``leftmost``: ``node`` is the first."""
    if leftmost:
        root.rb_leftmost = node
    rb_insert_color_va(node.k.u64, node.va, root.pa)


def rb_add_cached(node: rb_node, root: rb_root_cached, key: int) -> bool:
    """Insert ``node`` as ``rb_add`` does."""
    return rb_add_cached_va(node.k.u64, node.va, root.pa, key)


def rb_erase_cached(node: rb_node, root: rb_root_cached) -> None:
    """Take ``node`` out of the tree."""
    rb_erase_cached_va(node.k.u64, node.va, root.pa)


def rb_replace_node_cached(victim: rb_node, new: rb_node, root: rb_root_cached) -> None:
    """Put ``new`` where ``victim`` is."""
    if root.rb_leftmost == victim:
        root.rb_leftmost = new
    rb_replace_node_va(victim.k.u64, victim.va, new.va, root.pa)


def _reference(ref: Struct, va: int) -> rb_node | None:
    return rb_node.at(ref.k, va) if va else None


# By address: looking


def rb_end_va(u64: memoryview, root: int, side: int) -> int:
    """Return the first (``LEFT``) or last (``RIGHT``) node, or 0."""
    node: int = u64[(root & PHYSICAL_MASK) >> 3]
    if node:
        while below := u64[((node & PHYSICAL_MASK) >> 3) + side]:
            node = below
    return node


def rb_neighbour_va(u64: memoryview, node: int, side: int) -> int:
    """Return the next (``RIGHT``) or previous (``LEFT``) node, or 0."""
    index = (node & PHYSICAL_MASK) >> 3
    above: int = u64[index + side]
    if above:
        other = 3 - side
        while below := u64[((above & PHYSICAL_MASK) >> 3) + other]:
            above = below
        return above
    # Up, as long as we come from this side; the first parent on the other is it.
    while True:
        above = u64[index] & _PARENT
        if not above:
            return 0
        index = (above & PHYSICAL_MASK) >> 3
        if u64[index + side] != node:
            return above
        node = above


# By address: changing


def rb_link_node_va(u64: memoryview, node: int, parent: int, link: int) -> None:
    """Hang ``node``, red, at the pointer at ``link``."""
    index = (node & PHYSICAL_MASK) >> 3
    u64[index] = parent
    u64[index + RIGHT] = u64[index + LEFT] = 0
    u64[(link & PHYSICAL_MASK) >> 3] = node


def rb_add_va(u64: memoryview, node: int, root: int, key: int) -> bool:
    """Insert ``node`` by its key; see ``rb_add``."""
    offset = key >> 3
    value = u64[((node & PHYSICAL_MASK) >> 3) + offset]
    link = (root & PHYSICAL_MASK) >> 3
    parent = 0
    first = True
    while below := u64[link]:
        parent = below
        link = (below & PHYSICAL_MASK) >> 3
        if value < u64[link + offset]:
            link += LEFT
        else:
            link += RIGHT
            first = False
    rb_link_node_va(u64, node, parent, link << 3)
    rb_insert_color_va(u64, node, root)
    return first


def rb_add_cached_va(u64: memoryview, node: int, root: int, key: int) -> bool:
    """Insert ``node`` by its key into a tree that remembers its first node."""
    first = rb_add_va(u64, node, root, key)
    if first:
        u64[((root & PHYSICAL_MASK) + _LEFTMOST) >> 3] = node
    return first


def rb_erase_cached_va(u64: memoryview, node: int, root: int) -> None:
    """Take ``node`` out of a tree that remembers its first node."""
    leftmost = ((root & PHYSICAL_MASK) + _LEFTMOST) >> 3
    if u64[leftmost] == node:
        u64[leftmost] = rb_neighbour_va(u64, node, RIGHT)
    rb_erase_va(u64, node, root)


def _change_child(u64: memoryview, root: int, parent: int, old: int, new: int) -> None:
    """Make what points to ``old``, ``parent`` or else the root, point to ``new``."""
    if not parent:
        u64[(root & PHYSICAL_MASK) >> 3] = new
        return
    index = (parent & PHYSICAL_MASK) >> 3
    u64[index + (LEFT if u64[index + LEFT] == old else RIGHT)] = new


def _rotate(u64: memoryview, root: int, top: int, side: int) -> None:
    """Turn ``top`` and its child on ``side``; the two exchange places and colours."""
    #   side LEFT:     top           up
    #                 /   \         /  \
    #               up     c  ->   a    top
    #              /  \                /   \
    #             a    inner      inner     c
    t = (top & PHYSICAL_MASK) >> 3
    up = u64[t + side]
    u = (up & PHYSICAL_MASK) >> 3
    inner = u64[u + 3 - side]
    u64[t + side] = inner
    if inner:
        i = (inner & PHYSICAL_MASK) >> 3
        u64[i] = top | u64[i] & BLACK
    u64[u + 3 - side] = top
    place = u64[t]
    u64[t] = up | u64[u] & BLACK
    u64[u] = place
    _change_child(u64, root, place & _PARENT, top, up)


def rb_insert_color_va(u64: memoryview, node: int, root: int) -> None:
    """Restore the rules after the red ``node`` was linked."""
    parent = u64[(node & PHYSICAL_MASK) >> 3]  # node is red: no colour bit to mask
    while parent:
        p = (parent & PHYSICAL_MASK) >> 3
        grandparent = u64[p]
        if grandparent & BLACK:
            return
        # Two red ones in a row.  A red parent is not the root.
        g = (grandparent & PHYSICAL_MASK) >> 3
        side = LEFT if u64[g + LEFT] == parent else RIGHT
        uncle = u64[g + 3 - side]
        u = (uncle & PHYSICAL_MASK) >> 3
        if uncle and not u64[u] & BLACK:
            # The grandparent's black goes to both its children; look again there.
            u64[u] = u64[p] = grandparent | BLACK
            node, parent = grandparent, u64[g] & _PARENT
            u64[g] = parent
            continue
        if u64[p + side] != node:
            _rotate(u64, root, parent, 3 - side)
        _rotate(u64, root, grandparent, side)
        return
    u64[(node & PHYSICAL_MASK) >> 3] = BLACK


def rb_erase_va(u64: memoryview, node: int, root: int) -> None:
    """Take ``node`` out of the tree."""
    n = (node & PHYSICAL_MASK) >> 3
    place, right, left = u64[n], u64[n + RIGHT], u64[n + LEFT]
    if right and left:
        # The next node, which has no left child, moves here with this node's
        # colour, and what the tree loses is that node's old place.
        successor, s = right, (right & PHYSICAL_MASK) >> 3
        while below := u64[s + LEFT]:
            successor, s = below, (below & PHYSICAL_MASK) >> 3
        child = u64[s + RIGHT]
        lost_black = u64[s] & BLACK
        parent = u64[s] & _PARENT
        if parent == node:
            parent = successor
        else:
            u64[((parent & PHYSICAL_MASK) >> 3) + LEFT] = child
            u64[s + RIGHT] = right
            r = (right & PHYSICAL_MASK) >> 3
            u64[r] = successor | u64[r] & BLACK
        u64[s + LEFT] = left
        x = (left & PHYSICAL_MASK) >> 3
        u64[x] = successor | u64[x] & BLACK
        u64[s] = place
        _change_child(u64, root, place & _PARENT, node, successor)
    else:
        child = right or left
        lost_black = place & BLACK
        parent = place & _PARENT
        _change_child(u64, root, parent, node, child)
    if child:
        # An only child is red, so the lost node was black: it takes that over.
        u64[(child & PHYSICAL_MASK) >> 3] = parent | BLACK
    elif lost_black and parent:
        _rebalance(u64, root, parent)


def _rebalance(u64: memoryview, root: int, parent: int) -> None:
    """Restore the rules where one side of ``parent``, first a NULL, is one black short."""
    node = 0
    while parent:
        p = (parent & PHYSICAL_MASK) >> 3
        side = LEFT if u64[p + LEFT] == node else RIGHT
        other = 3 - side
        sibling = u64[p + other]
        s = (sibling & PHYSICAL_MASK) >> 3
        if not u64[s] & BLACK:
            _rotate(u64, root, parent, other)
            sibling = u64[p + other]  # a nephew, black
            s = (sibling & PHYSICAL_MASK) >> 3
        outer = u64[s + other]
        if not outer or u64[(outer & PHYSICAL_MASK) >> 3] & BLACK:
            inner = u64[s + side]
            if not inner or u64[(inner & PHYSICAL_MASK) >> 3] & BLACK:
                # Make the sibling's side one short as well.
                u64[s] = parent
                word = u64[p]
                u64[p] = word | BLACK
                if not word & BLACK:
                    return
                node, parent = parent, word & _PARENT
                continue
            _rotate(u64, root, sibling, side)
            outer = sibling
        _rotate(u64, root, parent, other)
        u64[(outer & PHYSICAL_MASK) >> 3] |= BLACK
        return


def rb_replace_node_va(u64: memoryview, victim: int, new: int, root: int) -> None:
    """Put ``new`` where ``victim`` is."""
    v, n = (victim & PHYSICAL_MASK) >> 3, (new & PHYSICAL_MASK) >> 3
    u64[n] = u64[v]
    for side in (RIGHT, LEFT):
        u64[n + side] = child = u64[v + side]
        if child:
            c = (child & PHYSICAL_MASK) >> 3
            u64[c] = new | u64[c] & BLACK
    _change_child(u64, root, u64[v] & _PARENT, victim, new)
