"""What is counted for a user: its processes and its queued signals.

See: Linux kernel/user.c, kernel/ucount.c; getrlimit(2), RLIMIT_NPROC.
"""

from __future__ import annotations

from typing import Final

from guest_kernel.fs.file import task_rlimit
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PAGE_OFFSET, PHYSICAL_MASK
from guest_kernel.layout.list import hlist_head
from guest_kernel.layout.sched import RLIMIT_NPROC, UIDHASH_SZ, sched_data, task_struct
from guest_kernel.layout.signal import user_struct
from guest_kernel.lib.list import hlist_add_head, hlist_del, hlist_for_each_entry
from guest_kernel.mm.slab import kfree, kzalloc

_COUNT: Final = user_struct.offsetof("count") >> 2
_PROCESSES: Final = user_struct.offsetof("processes") >> 2
_USER: Final = task_struct.offsetof("user") >> 3


def _chain(k: Kernel, uid: int) -> hlist_head:
    table = k.data(sched_data).pa + sched_data.offsetof("uidhash_table")
    return hlist_head(k, table + uid % UIDHASH_SZ * hlist_head.size)


def alloc_uid(k: Kernel, uid: int) -> user_struct:
    """Return what is counted for ``uid``, with a reference.

    Raises:
        OutOfFrames.
    """
    for user in hlist_for_each_entry(_chain(k, uid), user_struct, "uidhash_node"):
        if user.uid == uid:
            user.count += 1
            return user
    user = kzalloc(k, user_struct)
    user.count, user.uid = 1, uid
    hlist_add_head(user.uidhash_node, _chain(k, uid))
    return user


def free_uid(user: user_struct) -> None:
    """Drop a reference; the last one frees it."""
    u32, place = user.k.u32, (user.pa >> 2) + _COUNT
    u32[place] = left = u32[place] - 1
    if not left:
        hlist_del(user.uidhash_node)
        kfree(user)


def get_process_slot(task: task_struct, user: user_struct) -> None:
    """Count ``task``, which is new, as one of the user's processes."""
    k: Kernel = task.k
    u32, i = k.u32, user.pa >> 2
    u32[i + _COUNT] += 1
    u32[i + _PROCESSES] += 1
    k.u64[(task.pa >> 3) + _USER] = user.pa + PAGE_OFFSET


def put_process_slot(task: task_struct) -> None:
    """Undo :func:`get_process_slot`."""
    k: Kernel = task.k
    place = (task.pa >> 3) + _USER
    user = k.u64[place] & PHYSICAL_MASK
    k.u64[place] = 0
    k.u32[(user >> 2) + _PROCESSES] -= 1
    free_uid(user_struct(k, user))


def is_nproc_overlimit(task: task_struct, *, others: bool = False) -> bool:
    """Tell whether the user of ``task`` has more processes than RLIMIT_NPROC allows.

    Args:
        others: not counting ``task``.
    """
    user = task.user
    assert user is not None
    return user.processes - others > task_rlimit(task, RLIMIT_NPROC)


def switch_uid(task: task_struct, uid: int) -> None:
    """Count ``task`` for another user: its real user ID has changed.

    Raises:
        OutOfFrames: nothing has changed.
    """
    old = task.user
    assert old is not None
    if old.uid == uid:
        return
    new = alloc_uid(task.k, uid)
    old.processes -= 1
    new.processes += 1
    task.user = new
    free_uid(old)
