"""membarrier(2): order memory between threads.

With one CPU every other thread has been through a context switch, which orders memory, when the
caller runs.  So all that is left is to keep the registrations.

See: Linux kernel/sched/membarrier.c.
"""

from __future__ import annotations

from typing import Final

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.layout.mm_types import mm_struct
from guest_kernel.layout.sched import task_struct
from guest_kernel.mm.mmap import current_mm
from guest_kernel.syscalls import SYSCALL_DEFINE, Int, UInt

MEMBARRIER_CMD_QUERY: Final = 0
MEMBARRIER_CMD_GLOBAL: Final = 1 << 0
MEMBARRIER_CMD_GLOBAL_EXPEDITED: Final = 1 << 1
MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED: Final = 1 << 2
MEMBARRIER_CMD_PRIVATE_EXPEDITED: Final = 1 << 3
MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED: Final = 1 << 4
MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE: Final = 1 << 5
MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE: Final = 1 << 6
MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ: Final = 1 << 7
MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ: Final = 1 << 8
MEMBARRIER_CMD_GET_REGISTRATIONS: Final = 1 << 9
MEMBARRIER_CMD_BITMASK: Final = (1 << 10) - 1
MEMBARRIER_CMD_FLAG_CPU: Final = 1

# mm->membarrier_state: of each kind, that it was asked for and that it may be used.
MEMBARRIER_STATE_PRIVATE_EXPEDITED_READY: Final = 1 << 0
MEMBARRIER_STATE_PRIVATE_EXPEDITED: Final = 1 << 1
MEMBARRIER_STATE_GLOBAL_EXPEDITED_READY: Final = 1 << 2
MEMBARRIER_STATE_GLOBAL_EXPEDITED: Final = 1 << 3
MEMBARRIER_STATE_PRIVATE_EXPEDITED_SYNC_CORE_READY: Final = 1 << 4
MEMBARRIER_STATE_PRIVATE_EXPEDITED_SYNC_CORE: Final = 1 << 5
MEMBARRIER_STATE_PRIVATE_EXPEDITED_RSEQ_READY: Final = 1 << 6
MEMBARRIER_STATE_PRIVATE_EXPEDITED_RSEQ: Final = 1 << 7

# What a registration sets, and is known by.  All but the first set PRIVATE_EXPEDITED too, so that
# it is reported with each of them although it is not ready.
_REGISTRATIONS: Final = {
    MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED:
        MEMBARRIER_STATE_GLOBAL_EXPEDITED | MEMBARRIER_STATE_GLOBAL_EXPEDITED_READY,
    MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED:
        MEMBARRIER_STATE_PRIVATE_EXPEDITED | MEMBARRIER_STATE_PRIVATE_EXPEDITED_READY,
    MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE:
        MEMBARRIER_STATE_PRIVATE_EXPEDITED_SYNC_CORE
        | MEMBARRIER_STATE_PRIVATE_EXPEDITED_SYNC_CORE_READY,
    MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ:
        MEMBARRIER_STATE_PRIVATE_EXPEDITED_RSEQ | MEMBARRIER_STATE_PRIVATE_EXPEDITED_RSEQ_READY,
}

_NEEDS: Final = {
    MEMBARRIER_CMD_PRIVATE_EXPEDITED: MEMBARRIER_STATE_PRIVATE_EXPEDITED_READY,
    MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE: MEMBARRIER_STATE_PRIVATE_EXPEDITED_SYNC_CORE_READY,
    MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ: MEMBARRIER_STATE_PRIVATE_EXPEDITED_RSEQ_READY,
}

# Linux's mm->membarrier_state is 0 in a new address space.
_MEMBARRIER_STATE: Final = mm_struct.offsetof("membarrier_state")


# System calls


@SYSCALL_DEFINE
def sys_membarrier(current: task_struct, cmd: Int, flags: UInt, cpu_id: Int) -> int:
    """Order memory between threads.  See membarrier(2)."""
    if flags and (cmd != MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ or flags != MEMBARRIER_CMD_FLAG_CPU):
        raise SyscallError(Errno.EINVAL)
    u32, place = current.k.u32, (current_mm(current).pa + _MEMBARRIER_STATE) >> 2
    if cmd == MEMBARRIER_CMD_QUERY:
        return MEMBARRIER_CMD_BITMASK
    if cmd == MEMBARRIER_CMD_GET_REGISTRATIONS:
        return sum(command for command, state in _REGISTRATIONS.items() if u32[place] & state)
    if cmd in _REGISTRATIONS:
        u32[place] |= _REGISTRATIONS[cmd]
        if cmd != MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED:
            u32[place] |= MEMBARRIER_STATE_PRIVATE_EXPEDITED
    elif cmd in _NEEDS:
        if not u32[place] & _NEEDS[cmd]:
            raise SyscallError(Errno.EPERM)
    elif cmd not in (MEMBARRIER_CMD_GLOBAL, MEMBARRIER_CMD_GLOBAL_EXPEDITED):
        raise SyscallError(Errno.EINVAL)
    return 0
