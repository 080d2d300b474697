"""What a process says about signals in advance: actions, the blocked set, the alternate stack.

All of it is state: ``sighand->action``, ``task->blocked`` and ``task->sas_ss_*``.

See: Linux kernel/signal.c do_sigaction(), sigprocmask(), do_sigaltstack().
"""

from __future__ import annotations

import struct
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.layout.declare import PHYSICAL_MASK
from guest_kernel.layout.ptrace import pt_regs
from guest_kernel.layout.sched import THREAD_SIZE, task_struct
from guest_kernel.mm.uaccess import copy_from_user, copy_to_user, get_user_u64, put_user_u64
from guest_kernel.signal.numbers import (
    _NSIG,
    SIG_DFL,
    SIG_IGN,
    SIG_KERNEL_IGNORE_MASK,
    SIG_KERNEL_ONLY_MASK,
    UAPI_SA_FLAGS,
    sigmask,
)
from guest_kernel.signal.signal import (
    flush_task_sigqueue,
    recalc_sigpending,
    set_current_blocked,
    sigaction_pa,
)
from guest_kernel.syscalls import SYSCALL_DEFINE, Int, ULong, UserPtr

if TYPE_CHECKING:
    from guest_kernel.kernel import Kernel

# ---- how, of sigprocmask(2)
SIG_BLOCK: Final = 0
SIG_UNBLOCK: Final = 1
SIG_SETMASK: Final = 2

# ---- stack_t.ss_flags
SS_ONSTACK: Final = 1
SS_DISABLE: Final = 2
SS_AUTODISARM: Final = 1 << 31
SS_FLAG_BITS: Final = SS_AUTODISARM
MINSIGSTKSZ: Final = 2048

SIGSET_SIZE: Final = 8
SIGACTION: Final = struct.Struct("<4Q")  # handler flags restorer mask
STACK_T: Final = struct.Struct("<QI4xQ")  # ss_sp ss_flags ss_size

_BLOCKED: Final = task_struct.offsetof("blocked")
_SAS_SS_SP: Final = task_struct.offsetof("sas_ss_sp")
_SAS_SS_SIZE: Final = task_struct.offsetof("sas_ss_size")
_SAS_SS_FLAGS: Final = task_struct.offsetof("sas_ss_flags")
_STACK: Final = task_struct.offsetof("stack")
_SP_FROM_TOP: Final = THREAD_SIZE - pt_regs.size + pt_regs.offsetof("sp")


def _current_user_stack_pointer(current: task_struct) -> int:
    u64 = current.k.u64
    stack = u64[(current.pa + _STACK) >> 3] & PHYSICAL_MASK
    sp: int = u64[(stack + _SP_FROM_TOP) >> 3]
    return sp


def on_sig_stack(task: task_struct, sp: int) -> bool:
    """Tell whether ``sp`` lies in the alternate stack, so that it is in use."""
    if task.sas_ss_flags & SS_AUTODISARM:
        return False  # it was given up when the handler began
    return 0 < sp - task.sas_ss_sp <= task.sas_ss_size


def sas_ss_flags(task: task_struct, sp: int) -> int:
    """Return how the alternate stack stands: SS_DISABLE, SS_ONSTACK, or 0."""
    if not task.sas_ss_size:
        return SS_DISABLE
    return SS_ONSTACK if on_sig_stack(task, sp) else 0


def _set_altstack(current: task_struct, base: int, flags: int, size: int, sp: int) -> None:
    """Make another alternate stack the task's.

    Raises:
        SyscallError: EPERM: the task runs on the present one.  EINVAL: the flags are not known.
            ENOMEM: it is too small.
    """
    if on_sig_stack(current, sp):
        raise SyscallError(Errno.EPERM)
    mode = flags & ~SS_FLAG_BITS
    if mode not in (SS_DISABLE, SS_ONSTACK, 0):
        raise SyscallError(Errno.EINVAL)
    if mode == SS_DISABLE:
        base = size = 0
    elif size < MINSIGSTKSZ:
        raise SyscallError(Errno.ENOMEM)
    k, pa = current.k, current.pa
    k.u64[(pa + _SAS_SS_SP) >> 3] = base
    k.u64[(pa + _SAS_SS_SIZE) >> 3] = size
    k.u32[(pa + _SAS_SS_FLAGS) >> 2] = flags


def sas_ss_reset(task: task_struct) -> None:
    """Leave ``task`` without an alternate stack."""
    task.sas_ss_sp = task.sas_ss_size = 0
    task.sas_ss_flags = SS_DISABLE


def restore_altstack(current: task_struct, base: int, flags: int, size: int, sp: int) -> None:
    """Set the alternate stack as a handler's frame has it; what is wrong there is passed over."""
    with suppress(SyscallError):
        _set_altstack(current, base, flags, size, sp)


# System calls


@SYSCALL_DEFINE
def sys_rt_sigaction(current: task_struct, sig: Int, act: UserPtr, oact: UserPtr,
                     sigsetsize: ULong) -> int:
    """Say what is to happen when a signal arrives.  See sigaction(2)."""
    k: Kernel = current.k
    if sigsetsize != SIGSET_SIZE:
        raise SyscallError(Errno.EINVAL)
    new = copy_from_user(k, act, SIGACTION.size) if act else b""
    if not 1 <= sig <= _NSIG or (act and sigmask(sig) & SIG_KERNEL_ONLY_MASK):
        raise SyscallError(Errno.EINVAL)
    place = sigaction_pa(current, sig)
    old = bytes(k.u8[place : place + SIGACTION.size])
    if act:
        handler, flags, restorer, mask = SIGACTION.unpack(new)
        k.u8[place : place + SIGACTION.size] = SIGACTION.pack(
            handler, flags & UAPI_SA_FLAGS, restorer, mask & ~SIG_KERNEL_ONLY_MASK)
        # POSIX: one that waits and is to be ignored from now on is dropped, even if it is blocked.
        if handler == SIG_IGN or (handler == SIG_DFL and sigmask(sig) & SIG_KERNEL_IGNORE_MASK):
            flush_task_sigqueue(current, sigmask(sig))
            recalc_sigpending(current)
    if oact:
        copy_to_user(k, oact, old)
    return 0


@SYSCALL_DEFINE
def sys_rt_sigprocmask(current: task_struct, how: Int, nset: UserPtr, oset: UserPtr,
                       sigsetsize: ULong) -> int:
    """Change the set of blocked signals.  See sigprocmask(2)."""
    k: Kernel = current.k
    if sigsetsize != SIGSET_SIZE:
        raise SyscallError(Errno.EINVAL)
    old = k.u64[(current.pa + _BLOCKED) >> 3]
    if nset:
        new = get_user_u64(k, nset)
        if how == SIG_BLOCK:
            new |= old
        elif how == SIG_UNBLOCK:
            new = old & ~new
        elif how != SIG_SETMASK:
            raise SyscallError(Errno.EINVAL)
        set_current_blocked(current, new)
    if oset:
        put_user_u64(k, oset, old)
    return 0


@SYSCALL_DEFINE
def sys_sigaltstack(current: task_struct, uss: UserPtr, uoss: UserPtr) -> int:
    """Name the stack that handlers with SA_ONSTACK run on.  See sigaltstack(2)."""
    k: Kernel = current.k
    new = copy_from_user(k, uss, STACK_T.size) if uss else b""
    sp = _current_user_stack_pointer(current)
    old = STACK_T.pack(
        current.sas_ss_sp, sas_ss_flags(current, sp) | current.sas_ss_flags & SS_FLAG_BITS,
        current.sas_ss_size)
    if uss:
        base, flags, size = STACK_T.unpack(new)
        _set_altstack(current, base, flags, size, sp)
    if uoss:
        copy_to_user(k, uoss, old)
    return 0
