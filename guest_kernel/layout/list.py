"""Linux's intrusive lists.  See Linux include/linux/types.h."""

from guest_kernel.layout.declare import Ptr, Struct, VoidPtr


class list_head(Struct):
    """A node, or the head, of a circular doubly linked list."""

    next = Ptr(lambda: list_head, "the node after this one; the head after the last")
    prev = Ptr(lambda: list_head, "the node before this one; the head before the first")


class hlist_node(Struct):
    """A node of a hash chain."""

    next = Ptr(lambda: hlist_node, "the node after this one, or NULL")
    pprev = VoidPtr("address of the pointer that points here: the head's, or a node's next",
                    ctype="struct hlist_node **")


class hlist_head(Struct):
    """The head of a hash chain: one pointer, so that a hash table is an array of them."""

    first = Ptr(lambda: hlist_node, "the first node, or NULL")
