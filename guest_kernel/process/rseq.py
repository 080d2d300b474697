"""rseq(2): restartable sequences.

A thread registers an area of its memory, struct rseq::

     0  cpu_id_start   u32   always a CPU's number
     4  cpu_id         u32   the CPU's number, or RSEQ_CPU_ID_UNINITIALIZED
     8  rseq_cs        u64   the critical section that user space is in: struct rseq_cs
    16  flags          u32   must be 0
    20  node_id        u32   always 0: one memory node
    24  mm_cid         u32   always 0: at most one thread of a process runs at a time

and puts into ``rseq_cs`` which instructions, if they are interrupted, must begin again elsewhere.

See: Linux kernel/rseq.c; Documentation/userspace-api/rseq.rst.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.layout.mm_types import TASK_SIZE, TASK_SIZE_MAX
from guest_kernel.layout.sched import task_struct
from guest_kernel.mm.uaccess import (
    UserAccessError,
    copy_from_user,
    copy_to_user,
    get_user_u32,
    get_user_u64,
    put_user_u64,
)
from guest_kernel.syscalls import SYSCALL_DEFINE, Int, UInt, UserPtr

if TYPE_CHECKING:
    from guest_kernel.kernel import Kernel
    from guest_kernel.layout.ptrace import pt_regs

ORIG_RSEQ_SIZE: Final = 32
RSEQ_FLAG_UNREGISTER: Final = 1
RSEQ_CPU_ID_UNINITIALIZED: Final = 0xFFFF_FFFF
RSEQ_CS: Final = struct.Struct("<IIQQQ")  # version flags start_ip post_commit_offset abort_ip

_RSEQ_HEAD: Final = struct.Struct("<IIQ")  # cpu_id_start cpu_id rseq_cs
_RSEQ_CPU_IDS: Final = struct.Struct("<II")
_RSEQ_CS_POINTER: Final = 8
_RSEQ_FLAGS: Final = 16
_RSEQ_NODE_ID: Final = 20

_M64: Final = (1 << 64) - 1


def _rseq_register(current: task_struct, va: int, size: int, sig: int) -> None:
    """Begin to keep the area at ``va``.

    ``rseq_cs`` is cleared, because C libraries exist that hand in the area of a thread that is gone
    (Linux does so since 6.14).

    Raises:
        SyscallError: EINVAL: misplaced, or too small.  EFAULT: it cannot be written.
    """
    if size < ORIG_RSEQ_SIZE or va % ORIG_RSEQ_SIZE:
        raise SyscallError(Errno.EINVAL)
    if va + size > TASK_SIZE_MAX:
        raise SyscallError(Errno.EFAULT)
    k: Kernel = current.k
    copy_to_user(k, va, _RSEQ_HEAD.pack(0, 0, 0))
    copy_to_user(k, va + _RSEQ_NODE_ID, _RSEQ_CPU_IDS.pack(0, 0))
    current.rseq, current.rseq_len, current.rseq_sig = va, size, sig


def _rseq_unregister(current: task_struct, va: int, size: int, sig: int) -> None:
    """Give the area back.

    Raises:
        SyscallError: EINVAL: it is not the registered one.  EPERM: the signature is another.
            EFAULT: it cannot be written.
    """
    if not va or current.rseq != va or current.rseq_len != size:
        raise SyscallError(Errno.EINVAL)
    if current.rseq_sig != sig:
        raise SyscallError(Errno.EPERM)
    k: Kernel = current.k
    copy_to_user(k, va, _RSEQ_CPU_IDS.pack(0, RSEQ_CPU_ID_UNINITIALIZED))
    copy_to_user(k, va + _RSEQ_NODE_ID, _RSEQ_CPU_IDS.pack(0, 0))
    current.rseq = current.rseq_len = current.rseq_sig = 0


def rseq_handle_notify_resume(task: task_struct, regs: pt_regs) -> bool:
    """Restart the critical section that ``task``, in ring 3, is about to be interrupted in.

    To be called on the way back to ring 3 before another task runs, and before a handler of a
    signal is set up.  Linux does it after the task was switched back to, but nothing has been
    executed in between; the numbers of CPU and node, which it then writes, never change here.

    Args:
        regs: of ring 3; ``ip`` becomes the section's abort handler if it lies in the section.

    Returns:
        False: the area or its section cannot be used: the task must die of SIGSEGV.

    Preconditions:
        ``task`` is current and ``task.rseq`` is not 0.

    See: Linux kernel/rseq.c __rseq_handle_notify_resume(), rseq_ip_fixup().
    """
    k: Kernel = task.k
    area = task.rseq
    try:
        section = get_user_u64(k, area + _RSEQ_CS_POINTER)
        if not section:
            return True
        if section >= TASK_SIZE:
            return False
        version, flags, start, size, abort = RSEQ_CS.unpack(
            copy_from_user(k, section, RSEQ_CS.size))
        # The second excludes a sum that overflows, the last an abort handler in its own section.
        if (version or start + size >= TASK_SIZE or abort >= TASK_SIZE
                or start <= abort < start + size
                or get_user_u32(k, (abort - 4) & _M64) != task.rseq_sig):
            return False
        inside = start <= regs.ip < start + size
        if inside and (flags or get_user_u32(k, area + _RSEQ_FLAGS)):
            return False
        put_user_u64(k, area + _RSEQ_CS_POINTER, 0)
    except UserAccessError:
        return False
    if inside:
        regs.ip = abort
    return True


# System calls


@SYSCALL_DEFINE
def sys_rseq(current: task_struct, rseq: UserPtr, rseq_len: UInt, flags: Int, sig: UInt) -> int:
    """Register an area for restartable sequences, or give it back.

    See: Documentation/userspace-api/rseq.rst; Linux kernel/rseq.c.
    """
    if flags & RSEQ_FLAG_UNREGISTER:
        if flags != RSEQ_FLAG_UNREGISTER:
            raise SyscallError(Errno.EINVAL)
        _rseq_unregister(current, rseq, rseq_len, sig)
        return 0
    if flags:
        raise SyscallError(Errno.EINVAL)
    if current.rseq:
        if current.rseq != rseq or current.rseq_len != rseq_len:
            raise SyscallError(Errno.EINVAL)
        raise SyscallError(Errno.EBUSY if current.rseq_sig == sig else Errno.EPERM)
    _rseq_register(current, rseq, rseq_len, sig)
    return 0
