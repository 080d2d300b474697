"""On the way back to ring 3: the handler's frame, and what becomes of an interrupted system call.

A handler runs because the kernel changes where ring 3 goes on: RIP is the handler, RSP a frame on
the user's stack that holds what the registers were.  The handler returns to ``sa_restorer``, whose
system call, rt_sigreturn, puts them back.

See: Linux arch/x86/kernel/signal.c, signal_64.c; sigreturn(2), signal(7) "Interruption of system
calls and library functions by signal handlers".
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from emulator.arch.descriptors import USER_CS, USER_DS
from emulator.arch.registers import RFLAGS
from guest_kernel.errors import Errno, SyscallError
from guest_kernel.kernel import Kernel
from guest_kernel.layout.ptrace import pt_regs
from guest_kernel.layout.sched import WORK_LOAD_FPU, task_struct
from guest_kernel.layout.sigframe import (
    FIX_EFLAGS,
    REDZONE_SIZE,
    UC_SIGCONTEXT_SS,
    UC_STRICT_RESTORE_SS,
    rt_sigframe,
)
from guest_kernel.mm.uaccess import copy_from_user, copy_to_user
from guest_kernel.process.coredump import do_coredump
from guest_kernel.process.exit import do_group_exit
from guest_kernel.process.fork import task_pt_regs
from guest_kernel.process.fpu import FXSAVE_SIZE, INIT_FPSTATE, valid_fpstate
from guest_kernel.signal.numbers import (
    SA_NODEFER,
    SA_ONSTACK,
    SA_RESTART,
    SA_RESTORER,
    SIGSEGV,
)
from guest_kernel.signal.sigaction import (
    SS_AUTODISARM,
    on_sig_stack,
    restore_altstack,
    sas_ss_reset,
)
from guest_kernel.signal.signal import (
    INFO_SIZE,
    SIGINFO_SIZE,
    Fatal,
    force_sig_info,
    get_signal,
    kernel_info,
    ksignal,
    set_current_blocked,
)
from guest_kernel.syscall_table import number
from guest_kernel.syscalls import SYSCALL_DEFINE

_NO_SYSCALL: Final = (1 << 64) - 1
_SYSCALL_SIZE: Final = 2  # of the SYSCALL instruction
_HANDLER_CLEARS: Final = int(RFLAGS.DF | RFLAGS.RF | RFLAGS.TF)

# rt_sigframe as a whole, and its part that rt_sigreturn reads: pretcode; uc_flags uc_link; ss_sp
# ss_flags ss_size; r8 to r15, di si bp bx dx ax cx sp ip, flags; cs gs fs ss; err trapno oldmask
# cr2 fpstate; uc_sigmask; and siginfo.
_UCONTEXT: Final = "<3QQI4xQ18Q4H5Q64xQ"
FRAME: Final = struct.Struct(_UCONTEXT + f"{INFO_SIZE}s{SIGINFO_SIZE - INFO_SIZE}x")
SAVED: Final = struct.Struct(_UCONTEXT)
_FRAME_SIZE: Final = FRAME.size
_UC: Final = rt_sigframe.offsetof("uc")
_INFO: Final = rt_sigframe.offsetof("info")

# pt_regs as a whole: r15 to r12, bp bx, r11 to r8, ax cx dx si di, orig_ax; ip cs flags sp ss.
REGS: Final = struct.Struct("<21Q")
_NR_REGS: Final = 21
_SP: Final = pt_regs.offsetof("sp") >> 3
_FLAGS: Final = pt_regs.offsetof("flags") >> 3

_BLOCKED: Final = task_struct.offsetof("blocked") >> 3
_RESTORE_SIGMASK: Final = task_struct.offsetof("restore_sigmask") >> 2
_SAS_SS_SP: Final = task_struct.offsetof("sas_ss_sp") >> 3
_SAS_SS_SIZE: Final = task_struct.offsetof("sas_ss_size") >> 3
_SAS_SS_FLAGS: Final = task_struct.offsetof("sas_ss_flags") >> 2
_ERROR_CODE: Final = task_struct.offsetof("thread.error_code") >> 3
_TRAP_NR: Final = task_struct.offsetof("thread.trap_nr") >> 3
_CR2: Final = task_struct.offsetof("thread.cr2") >> 3
_FXSAVE: Final = task_struct.offsetof("fxsave")
_AX: Final = pt_regs.offsetof("ax") >> 3
_ORIG_AX: Final = pt_regs.offsetof("orig_ax") >> 3
_FIRST_ERROR: Final = (1 << 64) - Errno.ERESTART_RESTARTBLOCK  # RAX from here on may ask for more


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
    u64, r = current.k.u64, regs.pa >> 3
    if u64[r + _AX] >= _FIRST_ERROR and u64[r + _ORIG_AX] != _NO_SYSCALL:
        _interrupt_syscall(current, regs, ksig)
    try:
        _setup_rt_frame(current, regs, ksig)
    except SyscallError:
        # No room for a frame.  If SIGSEGV's own handler has none, nothing can be told.
        force_sig_info(current, SIGSEGV, kernel_info(SIGSEGV), to_default=ksig.sig == SIGSEGV)
        return
    blocked = u64[(current.pa >> 3) + _BLOCKED] | ksig.mask
    if not ksig.flags & SA_NODEFER:
        blocked |= 1 << ksig.sig - 1
    current.k.u32[(current.pa >> 2) + _RESTORE_SIGMASK] = 0
    set_current_blocked(current, blocked)


def _interrupt_syscall(current: task_struct, regs: pt_regs, ksig: ksignal) -> None:
    """Decide what an interrupted call answers if a handler runs first.

    Nobody goes on with it then: Linux forgets it when the handler returns.
    """
    result = regs.ax - (1 << 64)
    current.restart_block.restart = 0
    if result in (-Errno.ERESTART_RESTARTBLOCK, -Errno.ERESTARTNOHAND) or (
            result == -Errno.ERESTARTSYS and not ksig.flags & SA_RESTART):
        regs.ax = (1 << 64) - Errno.EINTR
    elif result in (-Errno.ERESTARTSYS, -Errno.ERESTARTNOINTR):
        regs.ax = regs.orig_ax
        regs.ip -= _SYSCALL_SIZE


def _setup_rt_frame(current: task_struct, regs: pt_regs, ksig: ksignal) -> None:
    """Build the frame, and have ring 3 go on in the handler.

    Raises:
        SyscallError: EFAULT: the stack cannot be written, or there is no sa_restorer.
    """
    k: Kernel = current.k
    u64, u8, pa, r = k.u64, k.u8, current.pa, regs.pa >> 3
    sig, info, handler, flags, restorer, _ = ksig
    if not flags & SA_RESTORER:
        raise SyscallError(Errno.EFAULT)
    task, u32 = pa >> 3, k.u32
    (r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, orig_ax, ip, cs, rflags, sp,
     ss) = u64[r : r + _NR_REGS].tolist()
    base, size = u64[task + _SAS_SS_SP], u64[task + _SAS_SS_SIZE]
    top = sp - REDZONE_SIZE
    on_stack = size and on_sig_stack(current, sp)
    if size and flags & SA_ONSTACK and not on_stack:
        top, on_stack = base + size, True
    fpstate = top - FXSAVE_SIZE & ~63
    frame = (fpstate - _FRAME_SIZE & ~15) - 8
    if frame < 0 or (on_stack and not base < frame <= base + size):
        raise SyscallError(Errno.EFAULT)  # e.g. it would overflow the alternate stack
    mask = (current.saved_sigmask if u32[(pa >> 2) + _RESTORE_SIGMASK]
            else u64[task + _BLOCKED])
    sas_ss_flags = u32[(pa >> 2) + _SAS_SS_FLAGS]
    data = FRAME.pack(
        restorer, UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS, 0, base, sas_ss_flags, size,
        r8, r9, r10, r11, r12, r13, r14, r15, di, si, bp, bx, dx, ax, cx, sp, ip, rflags,
        cs, 0, 0, ss, u64[task + _ERROR_CODE], u64[task + _TRAP_NR], mask, u64[task + _CR2],
        fpstate, mask, info)
    fxsave = pa + _FXSAVE
    # One copy; what lies between the two, for the sake of alignment, is nobody's.
    copy_to_user(k, frame, data + bytes(fpstate - frame - _FRAME_SIZE)
                 + u8[fxsave : fxsave + FXSAVE_SIZE])
    if sas_ss_flags & SS_AUTODISARM:
        sas_ss_reset(current)
    u8[fxsave : fxsave + FXSAVE_SIZE] = INIT_FPSTATE
    k.ask(WORK_LOAD_FPU)
    u8[regs.pa : regs.pa + REGS.size] = REGS.pack(
        r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, 0, cx, frame + _UC, frame + _INFO, sig,
        orig_ax, handler, USER_CS, rflags & ~_HANDLER_CLEARS, frame, USER_DS)


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
    try:
        return _restore_frame(current)
    except SyscallError:
        force_sig_info(current, SIGSEGV, kernel_info(SIGSEGV))
        return 0


def _restore_frame(current: task_struct) -> int:
    """Load the registers from the frame at the user's stack; return RAX.

    Whatever the frame says, ring 3 stays ring 3: selectors get its RPL, RFLAGS are sanitised, and
    what IRETQ would refuse is SIGSEGV (``return_to_user`` in entry.asm).

    Raises:
        SyscallError: EFAULT: it cannot be read.
    """
    k: Kernel = current.k
    u64, u8, pa, regs = k.u64, k.u8, current.pa, task_pt_regs(current).pa
    r = regs >> 3
    sp = u64[r + _SP]
    (_, uc_flags, _, ss_sp, ss_flags, ss_size, r8, r9, r10, r11, r12, r13, r14, r15, di, si, bp, bx,
     dx, ax, cx, new_sp, ip, rflags, cs, _, _, ss, _, _, _, _, fpstate, mask) = SAVED.unpack(
         copy_from_user(k, sp - 8, SAVED.size))
    image = copy_from_user(k, fpstate, FXSAVE_SIZE) if fpstate else INIT_FPSTATE
    if image[26] or image[27]:
        image = valid_fpstate(image)
    set_current_blocked(current, mask)
    task = pa >> 3
    if (ss_sp != u64[task + _SAS_SS_SP] or ss_size != u64[task + _SAS_SS_SIZE]
            or ss_flags != k.u32[(pa >> 2) + _SAS_SS_FLAGS]):
        restore_altstack(current, ss_sp, ss_flags, ss_size, sp)  # before RSP, as since Linux 6.12
    u8[regs : regs + REGS.size] = REGS.pack(
        r15, r14, r13, r12, bp, bx, r11, r10, r9, r8, ax, cx, dx, si, di, _NO_SYSCALL, ip, cs | 3,
        u64[r + _FLAGS] & ~FIX_EFLAGS | rflags & FIX_EFLAGS, new_sp,
        ss | 3 if uc_flags & UC_STRICT_RESTORE_SS else USER_DS)
    fxsave = pa + _FXSAVE
    u8[fxsave : fxsave + FXSAVE_SIZE] = image
    k.ask(WORK_LOAD_FPU)
    result: int = ax - (1 << 64) if ax >> 63 else ax
    return result
