"""Tasks that wait for a word in user memory to change.

See: Linux kernel/futex/futex.h.
"""

from __future__ import annotations

from typing import Final

from guest_kernel.layout.declare import U32, U64, Array, Embed, EmbedArray, Ptr, Struct
from guest_kernel.layout.list import list_head
from guest_kernel.layout.sched import task_struct

NR_FUTEX_BUCKETS: Final = 32


class futex_q(Struct):
    """A task that waits in futex(2)."""

    list = Embed(list_head, "its place in a bucket, until it is woken; must be first")
    task = Ptr(lambda: task_struct, "the task")
    key = Array(U64, 2, "what the word is: the mm_struct, inode or shmem, and where in it")
    bitset = U32("who wakes it: FUTEX_WAKE_BITSET")
    woken = U32("1: it is on no list any more")


class futex_data(Struct):
    """Everybody who waits."""

    futex_queues = EmbedArray(list_head, NR_FUTEX_BUCKETS, "futex_q.list, by a hash of the key")
