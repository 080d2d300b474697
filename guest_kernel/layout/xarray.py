"""Linux's extensible arrays: the page cache, idr.  See Linux include/linux/xarray.h."""

from guest_kernel.layout.declare import U8, U32, U64, Array, Embed, Ptr, Struct, VoidPtr
from guest_kernel.layout.list import list_head

XA_CHUNK_SHIFT = 6
XA_CHUNK_SIZE = 1 << XA_CHUNK_SHIFT
XA_FLAGS_TRACK_FREE = 4  # XA_FREE_MARK, the first mark, is kept on what is NULL


class xarray(Struct):
    """An array of pointers indexed by unsigned long; NULL where nothing is stored."""

    xa_lock = U32("unused: one CPU, and no handler is interrupted")
    xa_flags = U32("0 or XA_FLAGS_TRACK_FREE")
    xa_head = VoidPtr("NULL, the entry for index 0 alone, or an xa_node's address | 2")


class xa_node(Struct):
    """One level: 64 slots, each an entry or the next level."""

    shift = U8("bits of the index below this level")
    offset = U8("slot of this node in its parent")
    count = U8("slots that are not NULL")
    nr_values = U8("slots that hold value entries")
    parent = Ptr(lambda: xa_node, "the level above, or NULL")
    array = Ptr(lambda: xarray, "the array that it belongs to")
    private_list = Embed(list_head, "for the page cache")
    slots = Array(U64, XA_CHUNK_SIZE, "entries, or addresses of xa_node | 2",
                  ctype="void *")
    marks = Array(U64, 3, "one bit a slot for each of the three marks; [0]: XA_FREE_MARK")


class idr(Struct):
    """Numbers that are given out, and what has each.  See Linux include/linux/idr.h."""

    idr_rt = Embed(xarray, "by number, less idr_base: XA_FLAGS_TRACK_FREE")
    idr_base = U32("the lowest number")
    idr_next = U32("where idr_alloc_cyclic() looks first")
