"""Linux's red-black tree nodes.  See Linux include/linux/rbtree_types.h."""

from guest_kernel.layout.declare import U64, Embed, Ptr, Struct


class rb_node(Struct):
    """A node of a red-black tree."""

    __rb_parent_color = U64("the parent's address; bit 0 is the colour: 0 red, 1 black")
    rb_right = Ptr(lambda: rb_node, "the child with the greater keys")
    rb_left = Ptr(lambda: rb_node, "the child with the smaller keys")


class rb_root(Struct):
    """A red-black tree."""

    rb_node = Ptr(lambda: rb_node, "the root, or NULL")


class rb_root_cached(Struct):
    """A red-black tree that remembers its first node."""

    rb_root = Embed(rb_root, "the tree")
    rb_leftmost = Ptr(lambda: rb_node, "the node with the smallest key, or NULL")
