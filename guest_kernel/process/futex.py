"""futex(2): sleeping until another thread says that a word has changed.

The word is user memory, and the kernel looks at it once, before the sleep.  What it is known by,
its key, is the address space and the address; of memory that others map at other places, the object
behind the mapping and the offset there.  Who has said FUTEX_PRIVATE_FLAG does not meet who has not.
The queue entry of a sleeper outlives its tries in the restart block.

When a thread ends, the robust futexes that it holds get FUTEX_OWNER_DIED, and one waiter is woken;
so is one for the word that set_tid_address(2) names.

See: Linux kernel/futex/; futex(2), get_robust_list(2).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import Final, NoReturn

from emulator.arch.paging import PAGE_SHIFT, PAGE_SIZE
from guest_kernel.errors import Errno, SyscallError
from guest_kernel.kernel import Kernel
from guest_kernel.layout.declare import PHYSICAL_MASK
from guest_kernel.layout.futex import NR_FUTEX_BUCKETS, futex_data, futex_q
from guest_kernel.layout.list import list_head
from guest_kernel.layout.mm_types import TASK_SIZE_MAX, VM_SHARED
from guest_kernel.layout.sched import TASK_NORMAL, sched_data, task_struct
from guest_kernel.lib.list import INIT_LIST_HEAD, list_add_tail, list_del, list_for_each_entry
from guest_kernel.mm.slab import kfree, kzalloc
from guest_kernel.mm.uaccess import copy_from_user, get_user_u32, put_user_u32
from guest_kernel.mm.vma import vma_lookup
from guest_kernel.sched.core import try_to_wake_up
from guest_kernel.sched.wait import NEVER, schedule_timeout, signal_pending
from guest_kernel.syscalls import SYSCALL_DEFINE, Int, UInt, UserPtr
from guest_kernel.time.nanosleep import get_timespec
from guest_kernel.time.timekeeping import ktime_get

# ---- operations, and what they are combined with
FUTEX_WAIT: Final = 0
FUTEX_WAKE: Final = 1
FUTEX_REQUEUE: Final = 3
FUTEX_CMP_REQUEUE: Final = 4
FUTEX_WAIT_BITSET: Final = 9
FUTEX_WAKE_BITSET: Final = 10
FUTEX_PRIVATE_FLAG: Final = 128  # nobody else maps the word
FUTEX_CLOCK_REALTIME: Final = 256
FUTEX_BITSET_MATCH_ANY: Final = 0xFFFF_FFFF

# ---- the word of a robust futex
FUTEX_WAITERS: Final = 0x8000_0000
FUTEX_OWNER_DIED: Final = 0x4000_0000
FUTEX_TID_MASK: Final = 0x3FFF_FFFF
ROBUST_LIST_LIMIT: Final = 2048  # entries of a list, which may be a circle
_ROBUST_LIST_HEAD: Final = struct.Struct("<QqQ")  # list.next futex_offset list_op_pending
_PI: Final = 1  # in the low bit of an entry's address: a priority-inheriting futex

Key = tuple[int, int]
_FUT_OFF_MMSHARED: Final = 2  # in the second part: private memory, but nobody has said so


def futex_init(k: Kernel) -> None:
    """Make the queues: boot."""
    for bucket in k.data(futex_data).futex_queues:
        INIT_LIST_HEAD(bucket)


def _futex_key(current: task_struct, va: int, *, private: bool) -> Key:
    """Return what the word at ``va`` is known by.

    Raises:
        SyscallError: EINVAL: it is not aligned.  EFAULT: nothing is mapped there.
    """
    if va & 3:
        raise SyscallError(Errno.EINVAL)
    mm = current.mm
    if va >= TASK_SIZE_MAX or mm is None:
        raise SyscallError(Errno.EFAULT)
    if private:
        return mm.pa, va
    vma = vma_lookup(mm, va)
    if vma is None:
        raise SyscallError(Errno.EFAULT)
    if not vma.vm_flags & VM_SHARED:
        return mm.pa, va | _FUT_OFF_MMSHARED
    f = vma.vm_file
    behind = f.f_inode.pa if f is not None else vma.vm_private_data & PHYSICAL_MASK
    return behind, (vma.vm_pgoff << PAGE_SHIFT) + va - vma.vm_start


def _bucket(k: Kernel, key: Key) -> list_head:
    return k.data(futex_data).futex_queues[(key[0] // PAGE_SIZE + key[1] // 4) % NR_FUTEX_BUCKETS]


def _waiters(k: Kernel, key: Key) -> Iterator[futex_q]:
    """Yield who waits for a word, in the order in which they came."""
    for q in list_for_each_entry(_bucket(k, key), futex_q, "list"):
        if (q.key[0], q.key[1]) == key:
            yield q


def _wake(q: futex_q) -> None:
    list_del(q.list)
    q.woken = 1
    task = q.task
    assert task is not None
    try_to_wake_up(task, TASK_NORMAL)


def _take_back(q: futex_q) -> bool:
    """Free the entry of a task that sleeps no more; tell whether it was woken."""
    woken = bool(q.woken)
    if not woken:
        list_del(q.list)
    kfree(q)
    return woken


# -------------------------------------------------------------------------------- operations


def _queue_and_sleep(current: task_struct, key: Key, bitset: int) -> NoReturn:
    k: Kernel = current.k
    block = current.restart_block
    if signal_pending(current):
        raise SyscallError(
            Errno.ERESTARTSYS if block.expires == NEVER else Errno.ERESTART_RESTARTBLOCK)
    q = kzalloc(k, futex_q)
    q.task, q.bitset = current, bitset
    q.key[0], q.key[1] = key
    list_add_tail(q.list, _bucket(k, key))
    block.arg[0] = q.va
    schedule_timeout(current, block.expires)


def _futex_wait(current: task_struct, va: int, val: int, expires: int, bitset: int, *,
                private: bool) -> int:
    """Sleep until woken, if the word is ``val``.

    Raises:
        Sleep.
        SyscallError: EAGAIN: it is not.  ETIMEDOUT.  EFAULT, EINVAL: see futex(2).  ERESTARTSYS,
            ERESTART_RESTARTBLOCK: a signal has come.
    """
    k: Kernel = current.k
    block = current.restart_block
    if block.fn and block.arg[0]:
        if _take_back(futex_q.at(k, block.arg[0])):
            return 0
        block.arg[0] = 0
        if ktime_get(k) >= block.expires:
            raise SyscallError(Errno.ETIMEDOUT)
        if signal_pending(current):
            raise SyscallError(
                Errno.ERESTARTSYS if block.expires == NEVER else Errno.ERESTART_RESTARTBLOCK)
    elif not block.fn:
        block.expires = expires  # else it is restart_syscall(2), whose deadline stays
    if not bitset:
        raise SyscallError(Errno.EINVAL)
    key = _futex_key(current, va, private=private)
    if get_user_u32(k, va) != val:
        raise SyscallError(Errno.EAGAIN)
    _queue_and_sleep(current, key, bitset)


def futex_wake(current: task_struct, va: int, nr_wake: int, bitset: int, *, private: bool) -> int:
    """Wake up to ``nr_wake`` tasks, and at least one; return how many.

    Raises:
        SyscallError: EINVAL, EFAULT: see futex(2).
    """
    if not bitset:
        raise SyscallError(Errno.EINVAL)
    woken = 0
    for q in _waiters(current.k, _futex_key(current, va, private=private)):
        if q.bitset & bitset:
            _wake(q)
            woken += 1
            if woken >= nr_wake:
                break
    return woken


def _futex_requeue(current: task_struct, va: int, va2: int, nr_wake: int, nr_requeue: int,
                   cmpval: int | None, *, private: bool) -> int:
    """Wake some, and have others wait for another word; return how many both are.

    Raises:
        SyscallError: EAGAIN: the word is not ``cmpval``.  EINVAL, EFAULT: see futex(2).
    """
    k: Kernel = current.k
    if nr_wake < 0 or nr_requeue < 0:
        raise SyscallError(Errno.EINVAL)
    key = _futex_key(current, va, private=private)
    key2 = _futex_key(current, va2, private=private)
    if cmpval is not None and get_user_u32(k, va) != cmpval:
        raise SyscallError(Errno.EAGAIN)
    count = 0
    for q in list(_waiters(k, key)):
        if count - nr_wake >= nr_requeue:
            break
        count += 1
        if count <= nr_wake:
            _wake(q)
        else:
            list_del(q.list)
            q.key[0], q.key[1] = key2
            list_add_tail(q.list, _bucket(k, key2))
    return count


# ----------------------------------------------------------------------------- a thread's end


def exit_robust_list(task: task_struct) -> None:
    """Give up the robust futexes that a thread holds; what is wrong in its list ends the walk."""
    head = task.robust_list
    if not head:
        return
    task.robust_list = 0
    k: Kernel = task.k
    with suppress(SyscallError):
        entry, offset, pending = _ROBUST_LIST_HEAD.unpack(
            copy_from_user(k, head, _ROBUST_LIST_HEAD.size))
        for _ in range(ROBUST_LIST_LIMIT):
            place = entry & ~_PI
            if place == head:
                break
            following = int.from_bytes(copy_from_user(k, place, 8), "little")
            if place != pending & ~_PI:
                _handle_futex_death(task, place + offset, pi=bool(entry & _PI))
            entry = following
        if pending & ~_PI:
            _handle_futex_death(task, (pending & ~_PI) + offset, pi=bool(pending & _PI),
                                pending=True)


def _handle_futex_death(task: task_struct, va: int, *, pi: bool, pending: bool = False) -> None:
    """Mark a futex as its owner's who has died, and wake one who waits.

    Args:
        pending: it was being taken or given up; nobody may own it.

    Raises:
        SyscallError: EFAULT, EINVAL.
    """
    if va & 3:
        raise SyscallError(Errno.EINVAL)
    word = get_user_u32(task.k, va)
    if pending and not pi and not word:
        futex_wake(task, va, 1, FUTEX_BITSET_MATCH_ANY, private=False)
        return
    if word & FUTEX_TID_MASK != task.pid:
        return
    put_user_u32(task.k, va, word & FUTEX_WAITERS | FUTEX_OWNER_DIED)
    if not pi and word & FUTEX_WAITERS:
        futex_wake(task, va, 1, FUTEX_BITSET_MATCH_ANY, private=False)


# System calls


def _deadline(k: Kernel, cmd: int, op: int, utime: int) -> int:
    """Return when a wait ends, monotonic ns: of FUTEX_WAIT the timeout is relative."""
    if not utime:
        return NEVER
    time = get_timespec(k, utime)
    if cmd == FUTEX_WAIT:
        return ktime_get(k) + time
    if op & FUTEX_CLOCK_REALTIME:
        time -= k.data(sched_data).xtime_base
    return max(time, 0)


@SYSCALL_DEFINE
def sys_futex(current: task_struct, uaddr: UserPtr, op: Int, val: UInt, utime: UserPtr,
              uaddr2: UserPtr, val3: UInt) -> int:
    """Wait for a word to change, or wake who waits.  See futex(2).

    Limits: FUTEX_WAKE_OP, FUTEX_FD and the operations with priority inheritance are ENOSYS.
    """
    cmd = op & ~(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME)
    private = bool(op & FUTEX_PRIVATE_FLAG)
    if op & FUTEX_CLOCK_REALTIME and cmd != FUTEX_WAIT_BITSET:
        raise SyscallError(Errno.ENOSYS)
    if cmd in (FUTEX_WAIT, FUTEX_WAIT_BITSET):
        again = current.restart_block.fn
        expires = NEVER if again else _deadline(current.k, cmd, op, utime)
        bitset = val3 if cmd == FUTEX_WAIT_BITSET else FUTEX_BITSET_MATCH_ANY
        return _futex_wait(current, uaddr, val, expires, bitset, private=private)
    nr = val - (1 << 32) if val >> 31 else val
    if cmd in (FUTEX_WAKE, FUTEX_WAKE_BITSET):
        bitset = val3 if cmd == FUTEX_WAKE_BITSET else FUTEX_BITSET_MATCH_ANY
        return futex_wake(current, uaddr, nr, bitset, private=private)
    if cmd in (FUTEX_REQUEUE, FUTEX_CMP_REQUEUE):
        low = utime & 0xFFFF_FFFF
        return _futex_requeue(current, uaddr, uaddr2, nr, low - (1 << 32) if low >> 31 else low,
                              val3 if cmd == FUTEX_CMP_REQUEUE else None, private=private)
    raise SyscallError(Errno.ENOSYS)
