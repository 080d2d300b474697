"""The structures of a pipe.

Names and order are Linux 6.12's.  Left out: locks; counters that only named pipes need; the
accounting of unprivileged users' buffers (there are none); a buffer's table of operations, since
all buffers hold pages of their own.

See: Linux include/linux/pipe_fs_i.h; pipe(7).
"""

from __future__ import annotations

from typing import Final

from guest_kernel.layout.declare import U32, U64, Array, Embed, Struct, VoidPtr
from guest_kernel.layout.sched import wait_queue_head

PIPE_DEF_BUFFERS: Final = 16  # slots of a new pipe

# pipe_buffer.flags
PIPE_BUF_FLAG_PACKET: Final = 0x08  # one write(2): read as a whole, the rest of it forgotten
PIPE_BUF_FLAG_CAN_MERGE: Final = 0x10  # a later write may add to it

NR_TMP_PAGES: Final = 2


class pipe_buffer(Struct):
    """Some bytes of a pipe, all in one frame."""

    page = VoidPtr("direct-map address of the frame, which it references")
    offset = U32("where in the frame the first byte is")
    len = U32("bytes")
    flags = U32("PIPE_BUF_FLAG_*")


class pipe_inode_info(Struct):
    """A pipe: a ring of buffers, written at head and read at tail.

    head and tail only grow (modulo 2^32); slot n of the ring is at n modulo ring_size.
    """

    rd_wait = Embed(wait_queue_head, "tasks that wait for bytes")
    wr_wait = Embed(wait_queue_head, "tasks that wait for room")
    head = U32("number of the slot that the next buffer gets")
    tail = U32("number of the slot of the oldest buffer; head: the pipe is empty")
    max_usage = U32("slots that may be in use at once")
    ring_size = U32("slots of bufs, a power of two")
    readers = U32("open files that can read")
    writers = U32("open files that can write")
    files = U32("open files; 0: nobody has it any more")
    tmp_page = Array(U64, NR_TMP_PAGES, "frames kept for the next buffers, direct-map; or 0")
    bufs = VoidPtr("the ring: pipe_buffer[ring_size], kmalloc'd")
