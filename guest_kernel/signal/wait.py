"""Waiting for signals: pause, sigsuspend, sigtimedwait.

The first two sleep until there is something to deliver, with another blocked set or not.  The third
takes a signal as a call's result, and no handler runs; while it sleeps the signals that it waits
for are not blocked, so that whoever sends one wakes it, and ``real_blocked`` holds what was.

See: Linux kernel/signal.c do_sigtimedwait(), sigsuspend().
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.mm.uaccess import copy_to_user, get_user_u64
from guest_kernel.sched.wait import NEVER, schedule_timeout, signal_pending
from guest_kernel.signal.numbers import SIG_KERNEL_ONLY_MASK
from guest_kernel.signal.signal import (
    SIGINFO_SIZE,
    SIGSET_SIZE,
    dequeue_signal,
    recalc_sigpending,
    set_current_blocked,
)
from guest_kernel.syscalls import SYSCALL_DEFINE, ULong, UserPtr
from guest_kernel.time.hrtimer import KTIME_MAX
from guest_kernel.time.nanosleep import get_timespec
from guest_kernel.time.timekeeping import ktime_get

if TYPE_CHECKING:
    from guest_kernel.layout.sched import task_struct

_ALL: Final = (1 << 64) - 1


def _sleep_until_signal(current: task_struct) -> NoReturn:
    """Sleep until a signal is to be delivered, then be called again.

    Raises:
        Sleep.
        SyscallError: ERESTARTNOHAND: it is.
    """
    if signal_pending(current):
        raise SyscallError(Errno.ERESTARTNOHAND)
    schedule_timeout(current)


def _begin_sigtimedwait(current: task_struct, blocked: int, expires: int) -> NoReturn:
    """Let the signals waited for in, and sleep.

    Args:
        blocked: those that are not waited for.
    """
    block = current.restart_block
    block.arg[0], block.expires = blocked, expires
    current.real_blocked = current.blocked
    current.blocked &= blocked
    recalc_sigpending(current)
    if signal_pending(current):
        _end_sigtimedwait(current)
        raise SyscallError(Errno.EINTR)
    schedule_timeout(current, expires)


def _end_sigtimedwait(current: task_struct) -> None:
    current.blocked, current.real_blocked = current.real_blocked, 0
    recalc_sigpending(current)


# System calls


@SYSCALL_DEFINE
def sys_pause(current: task_struct) -> int:
    """Sleep until a handler has run.  See pause(2)."""
    _sleep_until_signal(current)


@SYSCALL_DEFINE
def sys_rt_sigsuspend(current: task_struct, unewset: UserPtr, sigsetsize: ULong) -> int:
    """Sleep with another blocked set until a handler has run.  See sigsuspend(2).

    The set that was is blocked again on the way back to ring 3, after the handler's frame is made.
    """
    if not current.restart_block.fn:
        if sigsetsize != SIGSET_SIZE:
            raise SyscallError(Errno.EINVAL)
        new = get_user_u64(current.k, unewset)
        current.saved_sigmask = current.blocked
        current.restore_sigmask = 1
        set_current_blocked(current, new)
    _sleep_until_signal(current)


@SYSCALL_DEFINE
def sys_rt_sigtimedwait(current: task_struct, uthese: UserPtr, uinfo: UserPtr, uts: UserPtr,
                        sigsetsize: ULong) -> int:
    """Take a signal of a set, waiting for it if none is there.  See sigtimedwait(2).

    EINTR if another signal interrupts the sleep, even one that stops the process: signal(7).
    """
    k, block = current.k, current.restart_block
    again = block.fn
    if again:
        _end_sigtimedwait(current)
        others, expires = block.arg[0], block.expires
    else:
        if sigsetsize != SIGSET_SIZE:
            raise SyscallError(Errno.EINVAL)
        others = ~get_user_u64(k, uthese) & _ALL | SIG_KERNEL_ONLY_MASK
        timeout = get_timespec(k, uts) if uts else KTIME_MAX
        expires = NEVER if timeout >= KTIME_MAX else ktime_get(k) + timeout
    sig, info = dequeue_signal(current, others)
    if not sig:
        if ktime_get(k) >= expires:
            raise SyscallError(Errno.EAGAIN)
        if again:
            raise SyscallError(Errno.EINTR)
        _begin_sigtimedwait(current, others, expires)
    if uinfo:
        copy_to_user(k, uinfo, info.ljust(SIGINFO_SIZE, b"\0"))
    return sig
