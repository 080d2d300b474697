"""On the way back to ring 3: the handler's frame, and what becomes of an interrupted system call.

A handler runs because the kernel changes where ring 3 goes on: RIP is the handler, RSP a frame on
the user's stack that holds what the registers were.  The handler returns to ``sa_restorer``, whose
system call, rt_sigreturn, puts them back.

See: Linux arch/x86/kernel/signal.c, signal_64.c; sigreturn(2), signal(7) "Interruption of system
calls and library functions by signal handlers".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from emulator.arch.descriptors import USER_CS, USER_DS
from emulator.arch.registers import RFLAGS
from guest_kernel.errors import Errno, SyscallError
from guest_kernel.kernel import Kernel
from guest_kernel.layout.ptrace import pt_regs
from guest_kernel.layout.sched import WORK_LOAD_FPU, task_struct
from guest_kernel.layout.sigframe import rt_sigframe, sigcontext_64, ucontext
from guest_kernel.mm.uaccess import copy_from_user, copy_to_user
from guest_kernel.process.coredump import do_coredump
from guest_kernel.process.exit import do_group_exit
from guest_kernel.process.fork import task_pt_regs
from guest_kernel.process.fpu import FXSAVE_SIZE, MXCSR_MASK, init_fpstate
from guest_kernel.signal.numbers import (
    SA_NODEFER,
    SA_ONSTACK,
    SA_RESTART,
    SA_RESTORER,
    SIGSEGV,
    sigmask,
)
from guest_kernel.signal.sigaction import (
    SS_AUTODISARM,
    STACK_T,
    on_sig_stack,
    restore_altstack,
    sas_ss_reset,
)
from guest_kernel.signal.signal import (
    Fatal,
    force_sig_info,
    get_signal,
    kernel_info,
    ksignal,
    set_current_blocked,
)
from guest_kernel.syscall_table import number
from guest_kernel.syscalls import SYSCALL_DEFINE

REDZONE_SIZE: Final = 128  # below RSP, where leaf functions keep data
UC_SIGCONTEXT_SS: Final = 2
UC_STRICT_RESTORE_SS: Final = 4
_NO_SYSCALL: Final = (1 << 64) - 1
_SYSCALL_SIZE: Final = 2  # of the SYSCALL instruction
# What rt_sigreturn may change in RFLAGS: FIX_EFLAGS.
_FIX_EFLAGS: Final = int(RFLAGS.AC | RFLAGS.OF | RFLAGS.DF | RFLAGS.TF | RFLAGS.SF | RFLAGS.ZF
                         | RFLAGS.AF | RFLAGS.PF | RFLAGS.CF | RFLAGS.RF)
_HANDLER_CLEARS: Final = int(RFLAGS.DF | RFLAGS.RF | RFLAGS.TF)

# Registers that pt_regs and the frame have under the same name.
_SAME: Final = ("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "di", "si", "bp", "bx", "dx",
                "ax", "cx", "sp", "ip")
_UC: Final = rt_sigframe.offsetof("uc")
_MCONTEXT: Final = ucontext.offsetof("uc_mcontext")
_INFO: Final = rt_sigframe.offsetof("info")
_PLACES: Final = tuple(
    (pt_regs.offsetof(name) >> 3, _UC + _MCONTEXT + sigcontext_64.offsetof(name)) for name in _SAME)


def _field(name: str) -> int:
    return _UC + _MCONTEXT + sigcontext_64.offsetof(name)


def do_signal(current: task_struct, report: Callable[[task_struct, bytes], None] | None) -> None:
    """Take the signals that wait; set ring 3 up for a handler, or to make its call again.

    Args:
        report: told of each signal that is taken, with its siginfo: a tracer.

    Raises:
        Sleep: the task has stopped or ended.
    """
    try:
        ksig = get_signal(current, report)
    except Fatal as fatal:
        if fatal.info is not None:
            do_coredump(current, fatal.sig, fatal.info)
        do_group_exit(current, fatal.sig)
    regs = task_pt_regs(current)
    if ksig is not None:
        _handle_signal(current, regs, ksig)
        return
    if regs.orig_ax != _NO_SYSCALL:
        result = regs.ax - (1 << 64)
        if result in (-Errno.ERESTARTNOHAND, -Errno.ERESTARTSYS, -Errno.ERESTARTNOINTR):
            regs.ax = regs.orig_ax
            regs.ip -= _SYSCALL_SIZE
        elif result == -Errno.ERESTART_RESTARTBLOCK:
            regs.ax = number("restart_syscall")
            regs.ip -= _SYSCALL_SIZE
    restore_saved_sigmask(current)


def restore_saved_sigmask(current: task_struct) -> None:
    """End the time for which a call such as sigsuspend(2) has replaced the blocked set."""
    if current.restore_sigmask:
        current.restore_sigmask = 0
        set_current_blocked(current, current.saved_sigmask)


def _handle_signal(current: task_struct, regs: pt_regs, ksig: ksignal) -> None:
    if regs.orig_ax != _NO_SYSCALL:
        result = regs.ax - (1 << 64)
        if result in (-Errno.ERESTART_RESTARTBLOCK, -Errno.ERESTARTNOHAND) or (
                result == -Errno.ERESTARTSYS and not ksig.flags & SA_RESTART):
            regs.ax = (1 << 64) - Errno.EINTR
        elif result in (-Errno.ERESTARTSYS, -Errno.ERESTARTNOINTR):
            regs.ax = regs.orig_ax
            regs.ip -= _SYSCALL_SIZE
    try:
        _setup_rt_frame(current, regs, ksig)
    except SyscallError:
        # No room for a frame.  If SIGSEGV's own handler has none, nothing can be told.
        force_sig_info(current, SIGSEGV, kernel_info(SIGSEGV), to_default=ksig.sig == SIGSEGV)
        return
    blocked = current.blocked | ksig.mask
    if not ksig.flags & SA_NODEFER:
        blocked |= sigmask(ksig.sig)
    current.restore_sigmask = 0
    set_current_blocked(current, blocked)


def _setup_rt_frame(current: task_struct, regs: pt_regs, ksig: ksignal) -> None:
    """Build the frame, and have ring 3 go on in the handler.

    Raises:
        SyscallError: EFAULT: the stack cannot be written, or there is no sa_restorer.
    """
    k: Kernel = current.k
    if not ksig.flags & SA_RESTORER:
        raise SyscallError(Errno.EFAULT)
    altstack = STACK_T.pack(current.sas_ss_sp, current.sas_ss_flags, current.sas_ss_size)
    sp = regs.sp - REDZONE_SIZE
    on_stack = on_sig_stack(current, regs.sp)
    entering = bool(ksig.flags & SA_ONSTACK and not on_stack and current.sas_ss_size)
    if entering:
        sp = current.sas_ss_sp + current.sas_ss_size
    fpstate = sp - FXSAVE_SIZE & ~63
    frame = (fpstate - rt_sigframe.size & ~15) - 8
    if (on_stack or entering) and not (
            current.sas_ss_sp < frame <= current.sas_ss_sp + current.sas_ss_size):
        raise SyscallError(Errno.EFAULT)  # it would overflow the alternate stack
    data = bytearray(rt_sigframe.size)

    def put(offset: int, value: int, size: int = 8) -> None:
        data[offset : offset + size] = value.to_bytes(size, "little")

    put(0, ksig.restorer)
    put(_UC, UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS)
    stack = _UC + ucontext.offsetof("ss_sp")
    data[stack : stack + STACK_T.size] = altstack
    first = regs.pa >> 3
    for index, offset in _PLACES:
        put(offset, k.u64[first + index])
    put(_field("flags"), regs.flags)
    put(_field("cs"), regs.cs, 2)
    put(_field("ss"), regs.ss, 2)
    thread = current.thread
    put(_field("err"), thread.error_code)
    put(_field("trapno"), thread.trap_nr)
    put(_field("cr2"), thread.cr2)
    mask = current.saved_sigmask if current.restore_sigmask else current.blocked
    put(_field("oldmask"), mask)
    put(_field("fpstate"), fpstate)
    put(_UC + ucontext.offsetof("uc_sigmask"), mask)
    data[_INFO : _INFO + len(ksig.info)] = ksig.info
    copy_to_user(k, fpstate, current.fxsave)
    copy_to_user(k, frame, data)
    if current.sas_ss_flags & SS_AUTODISARM:
        sas_ss_reset(current)
    init_fpstate(current)
    k.ask(WORK_LOAD_FPU)
    regs.di, regs.si, regs.dx, regs.ax = ksig.sig, frame + _INFO, frame + _UC, 0
    regs.ip, regs.sp = ksig.handler, frame
    regs.cs, regs.ss = USER_CS, USER_DS
    regs.flags &= ~_HANDLER_CLEARS


# System calls


@SYSCALL_DEFINE
def sys_restart_syscall(current: task_struct) -> int:
    """Go on with a call that a signal has interrupted: the dispatcher does, if there is one.

    See: restart_syscall(2).
    """
    raise SyscallError(Errno.EINTR)


@SYSCALL_DEFINE
def sys_rt_sigreturn(current: task_struct) -> int:
    """Go back to what a handler has interrupted.  See sigreturn(2)."""
    regs = task_pt_regs(current)
    try:
        return _restore_frame(current, regs)
    except SyscallError:
        force_sig_info(current, SIGSEGV, kernel_info(SIGSEGV))
        return 0


def _restore_frame(current: task_struct, regs: pt_regs) -> int:
    """Load the registers from the frame at the user's stack; return RAX.

    Whatever the frame says, ring 3 stays ring 3: segments and RFLAGS are sanitised, and an RIP that
    is not canonical faults there (``return_to_user`` in entry.asm).

    Raises:
        SyscallError: EFAULT: it cannot be read.  EINVAL: the FPU state is none.
    """
    k: Kernel = current.k
    frame = regs.sp - 8
    data = copy_from_user(k, frame, rt_sigframe.size)

    def get(offset: int, size: int = 8) -> int:
        return int.from_bytes(data[offset : offset + size], "little")

    fpstate = get(_field("fpstate"))
    fxsave = copy_from_user(k, fpstate, FXSAVE_SIZE) if fpstate else b""
    set_current_blocked(current, get(_UC + ucontext.offsetof("uc_sigmask")))
    stack = _UC + ucontext.offsetof("ss_sp")
    restore_altstack(current, data[stack : stack + STACK_T.size], regs.sp)  # as since Linux 6.12
    first = regs.pa >> 3
    for index, offset in _PLACES:
        k.u64[first + index] = get(offset)
    regs.cs, regs.ss = USER_CS, USER_DS
    regs.flags = regs.flags & ~_FIX_EFLAGS | get(_field("flags")) & _FIX_EFLAGS
    regs.orig_ax = _NO_SYSCALL
    if fxsave:
        image = bytearray(fxsave)
        mxcsr = int.from_bytes(image[24:28], "little") & MXCSR_MASK
        image[24:28] = mxcsr.to_bytes(4, "little")
        current.fxsave[:] = image
    else:
        init_fpstate(current)
    k.ask(WORK_LOAD_FPU)
    result = regs.ax
    return result - (1 << 64) if result >> 63 else result


