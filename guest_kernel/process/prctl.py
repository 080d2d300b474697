"""prctl(2): attributes that a process can get and set.

See: Linux kernel/sys.c; include/uapi/linux/prctl.h.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.layout.mm_types import SUID_DUMP_DISABLE, SUID_DUMP_USER, mm_struct
from guest_kernel.layout.sched import TASK_COMM_LEN, task_struct
from guest_kernel.lib.list import list_for_each_entry
from guest_kernel.mm.mm import get_dumpable, set_dumpable
from guest_kernel.mm.uaccess import copy_to_user, put_user_u32, put_user_u64, strncpy_from_user
from guest_kernel.signal.numbers import _NSIG
from guest_kernel.syscalls import SYSCALL_DEFINE, Int, ULong

PR_SET_PDEATHSIG: Final = 1
PR_GET_PDEATHSIG: Final = 2
PR_GET_DUMPABLE: Final = 3
PR_SET_DUMPABLE: Final = 4
PR_GET_TIMING: Final = 13
PR_SET_TIMING: Final = 14
PR_SET_NAME: Final = 15
PR_GET_NAME: Final = 16
PR_SET_TIMERSLACK: Final = 29
PR_GET_TIMERSLACK: Final = 30
PR_SET_CHILD_SUBREAPER: Final = 36
PR_GET_CHILD_SUBREAPER: Final = 37
PR_SET_NO_NEW_PRIVS: Final = 38
PR_GET_NO_NEW_PRIVS: Final = 39
PR_GET_TID_ADDRESS: Final = 40

PR_TIMING_STATISTICAL: Final = 0

_COMM: Final = task_struct.offsetof("comm")


def _set_pdeathsig(current: task_struct, number: int, *_: int) -> int:
    if number > _NSIG:
        raise SyscallError(Errno.EINVAL)
    current.pdeath_signal = number
    return 0


def _get_pdeathsig(current: task_struct, va: int, *_: int) -> int:
    put_user_u32(current.k, va, current.pdeath_signal)
    return 0


def _mm(current: task_struct) -> mm_struct:
    mm = current.mm
    assert mm is not None
    return mm


def _get_dumpable(current: task_struct, *_: int) -> int:
    return get_dumpable(_mm(current))


def _set_dumpable(current: task_struct, value: int, *_: int) -> int:
    if value not in (SUID_DUMP_DISABLE, SUID_DUMP_USER):
        raise SyscallError(Errno.EINVAL)
    set_dumpable(_mm(current), value)
    return 0


def _get_timing(current: task_struct, *_: int) -> int:
    return PR_TIMING_STATISTICAL


def _set_timing(current: task_struct, timing: int, *_: int) -> int:
    if timing != PR_TIMING_STATISTICAL:
        raise SyscallError(Errno.EINVAL)
    return 0


def _set_name(current: task_struct, va: int, *_: int) -> int:
    current.comm = strncpy_from_user(current.k, va, TASK_COMM_LEN - 1)
    return 0


def _get_name(current: task_struct, va: int, *_: int) -> int:
    k, place = current.k, current.pa + _COMM
    copy_to_user(k, va, bytes(k.u8[place : place + TASK_COMM_LEN]))
    return 0


def _get_timerslack(current: task_struct, *_: int) -> int:
    return current.timer_slack_ns


def _set_timerslack(current: task_struct, slack: int, *_: int) -> int:
    current.timer_slack_ns = slack or current.default_timer_slack_ns
    return 0


def _set_child_subreaper(current: task_struct, value: int, *_: int) -> int:
    """Make the caller the one that orphans among its descendants go to, or not any more."""
    assert current.signal is not None
    current.signal.is_child_subreaper = int(value != 0)
    if value:
        _propagate_has_child_subreaper(current)
    return 0


def _propagate_has_child_subreaper(task: task_struct) -> None:
    """Tell all descendants that there is a reaper nearer than init."""
    for child in list_for_each_entry(task.children, task_struct, "sibling"):
        assert child.signal is not None
        child.signal.has_child_subreaper = 1
        _propagate_has_child_subreaper(child)


def _get_child_subreaper(current: task_struct, va: int, *_: int) -> int:
    assert current.signal is not None
    put_user_u32(current.k, va, current.signal.is_child_subreaper)
    return 0


def _set_no_new_privs(current: task_struct, value: int, *rest: int) -> int:
    if value != 1 or any(rest):
        raise SyscallError(Errno.EINVAL)
    current.no_new_privs = 1
    return 0


def _get_no_new_privs(current: task_struct, *arguments: int) -> int:
    if any(arguments):
        raise SyscallError(Errno.EINVAL)
    return current.no_new_privs


def _get_tid_address(current: task_struct, va: int, *_: int) -> int:
    put_user_u64(current.k, va, current.clear_child_tid)
    return 0


_PRCTL: Final[dict[int, Callable[..., int]]] = {
    PR_SET_PDEATHSIG: _set_pdeathsig, PR_GET_PDEATHSIG: _get_pdeathsig,
    PR_GET_DUMPABLE: _get_dumpable, PR_SET_DUMPABLE: _set_dumpable,
    PR_GET_TIMING: _get_timing, PR_SET_TIMING: _set_timing,
    PR_SET_NAME: _set_name, PR_GET_NAME: _get_name,
    PR_SET_TIMERSLACK: _set_timerslack, PR_GET_TIMERSLACK: _get_timerslack,
    PR_SET_CHILD_SUBREAPER: _set_child_subreaper, PR_GET_CHILD_SUBREAPER: _get_child_subreaper,
    PR_SET_NO_NEW_PRIVS: _set_no_new_privs, PR_GET_NO_NEW_PRIVS: _get_no_new_privs,
    PR_GET_TID_ADDRESS: _get_tid_address,
}


# System calls


@SYSCALL_DEFINE
def sys_prctl(current: task_struct, option: Int, arg2: ULong, arg3: ULong, arg4: ULong,
              arg5: ULong) -> int:
    """Get or set an attribute of the caller.  See prctl(2).

    Limits: TIMERSLACK is kept, but not used.  Beside it there are PDEATHSIG, CHILD_SUBREAPER,
    DUMPABLE, NAME, NO_NEW_PRIVS, TID_ADDRESS and TIMING; all others are EINVAL.
    """
    operation = _PRCTL.get(option)
    if operation is None:
        raise SyscallError(Errno.EINVAL)
    return operation(current, arg2, arg3, arg4, arg5)
