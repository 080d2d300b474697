"""Signals: their names, sets, actions, and what comes with one.

See: sigaction(2), sigprocmask(2), signal(7).
"""

from __future__ import annotations

import struct
from typing import Final

from guest_kernel.signal.numbers import SIGRTMAX, signal_name
from ringlet.strace.arguments import Structure, custom, given
from ringlet.strace.call import At, Call, Choice, Format, Out, Signature, error_name
from ringlet.strace.clocks import timespec
from ringlet.strace.names import Flags, Names
from ringlet.strace.text import (
    address,
    hexadecimal,
    hexadecimal32,
    int_,
    signal,
    signed32,
    ticks,
    uid,
    ulong,
)

SIGINFO_SIZE: Final = 128
_SIGSET_SIZE: Final = 8
_ALL: Final = (1 << SIGRTMAX) - 1
# A set with this many signals is written as what it leaves out.
_MANY: Final = SIGRTMAX * 2 // 3

_HOW: Final = Names("SIG_???", "SIG_BLOCK=0 SIG_UNBLOCK=1 SIG_SETMASK=2")
_SA_FLAGS: Final = Flags("SA_???", """
    SA_RESTORER=0x04000000 SA_ONSTACK=0x08000000 SA_RESTART=0x10000000 SA_INTERRUPT=0x20000000
    SA_NODEFER=0x40000000 SA_RESETHAND=0x80000000 SA_SIGINFO=0x4 SA_NOCLDSTOP=0x1
    SA_NOCLDWAIT=0x2""", bits=64)
_SS_FLAGS: Final = Flags("SS_???", "SS_ONSTACK=1 SS_DISABLE=2 SS_AUTODISARM=0x80000000")
_SA_RESTORER: Final = 0x0400_0000


def _short(number: int) -> str:
    """The name of a signal in a set, where all are signals."""
    return signal_name(number).removeprefix("SIG")


def sigset_text(mask: int) -> str:
    """Return a set of signals."""
    sign = ""
    if mask.bit_count() >= _MANY:
        mask, sign = ~mask & _ALL, "~"
    return f"{sign}[{' '.join(_short(n) for n in range(1, SIGRTMAX + 1) if mask >> n - 1 & 1)}]"


def sigset(size_at: int) -> Format:
    """A set of signals; argument ``size_at`` is its size, which must be the kernel's."""

    def text(call: Call, va: int) -> str:
        data = call.fetch(va, _SIGSET_SIZE)
        if data is None or call.arguments[size_at] != _SIGSET_SIZE:
            return address(call, va)
        return sigset_text(int.from_bytes(data, "little"))

    return text


def _sigset_short(call: Call, va: int) -> str:
    """The set of rt_sigpending(2), which may be given a shorter place."""
    size = call.arguments[1]
    data = call.fetch(va, size) if 0 < size <= _SIGSET_SIZE else None
    return address(call, va) if data is None else sigset_text(int.from_bytes(data, "little"))


def _sigaction(call: Call, data: bytes) -> str:
    handler, flags, restorer, mask = struct.unpack("<4Q", data)
    name = {0: "SIG_DFL", 1: "SIG_IGN"}.get(handler) or hex(handler)
    text = (f"{{sa_handler={name}, sa_mask={sigset_text(mask)}, "
            f"sa_flags={_SA_FLAGS(call, flags)}")
    if flags & _SA_RESTORER:
        text += f", sa_restorer={address(call, restorer)}"
    return text + "}"


sigaction: Final = custom(32, _sigaction)
stack_t: Final = Structure("<QI4xQ", ss_sp=address, ss_flags=_SS_FLAGS, ss_size=ulong)


# ---------------------------------------------------------------------------- siginfo

_SI_CODES: Final = Names("", """
    SI_USER=0 SI_KERNEL=0x80 SI_QUEUE=0xffffffff SI_TIMER=0xfffffffe SI_MESGQ=0xfffffffd
    SI_ASYNCIO=0xfffffffc SI_SIGIO=0xfffffffb SI_TKILL=0xfffffffa SI_DETHREAD=0xfffffff9
    SI_ASYNCNL=0xffffffc4""")
_CODES: Final = {
    4: Names("", """
        ILL_ILLOPC=1 ILL_ILLOPN=2 ILL_ILLADR=3 ILL_ILLTRP=4 ILL_PRVOPC=5 ILL_PRVREG=6
        ILL_COPROC=7 ILL_BADSTK=8"""),
    5: Names("", "TRAP_BRKPT=1 TRAP_TRACE=2 TRAP_BRANCH=3 TRAP_HWBKPT=4"),
    7: Names("", "BUS_ADRALN=1 BUS_ADRERR=2 BUS_OBJERR=3 BUS_MCEERR_AR=4 BUS_MCEERR_AO=5"),
    8: Names("", """
        FPE_INTDIV=1 FPE_INTOVF=2 FPE_FLTDIV=3 FPE_FLTOVF=4 FPE_FLTUND=5 FPE_FLTRES=6
        FPE_FLTINV=7 FPE_FLTSUB=8"""),
    11: Names("", "SEGV_MAPERR=1 SEGV_ACCERR=2 SEGV_BNDERR=3 SEGV_PKUERR=4"),
    17: Names("", """
        CLD_EXITED=1 CLD_KILLED=2 CLD_DUMPED=3 CLD_TRAPPED=4 CLD_STOPPED=5 CLD_CONTINUED=6"""),
    29: Names("", "POLL_IN=1 POLL_OUT=2 POLL_MSG=3 POLL_ERR=4 POLL_PRI=5 POLL_HUP=6"),
    31: Names("", "SYS_SECCOMP=1"),
}
_SIGCHLD: Final = 17
_SIGIO: Final = 29
_SIGSYS: Final = 31
_FAULTS: Final = frozenset({4, 5, 7, 8, 11})
_SI_KERNEL: Final = 0x80
_CLD_EXITED: Final = 1


def siginfo_text(call: Call, data: bytes) -> str:
    """Return a ``siginfo_t``."""
    signo, errno, code = struct.unpack_from("<3I", data)
    if not signo:
        return "{}"
    own = _CODES.get(signo)
    name = (own.get(code) if own else None) or _SI_CODES.get(code)
    text = f"{{si_signo={signal(call, signo)}, si_code={name or hex(code)}"
    if errno:
        text += f", si_errno={error_name(errno) or errno}"
    return text + _siginfo_union(call, signo, code, data) + "}"


def _siginfo_union(call: Call, signo: int, code: int, data: bytes) -> str:
    """The part of a ``siginfo_t`` that depends on who sent it."""
    first, second = struct.unpack_from("<2I", data, 16)
    at, = struct.unpack_from("<Q", data, 16)
    value, = struct.unpack_from("<Q", data, 24)
    if signed32(code) > 0 and code != _SI_KERNEL:
        if signo == _SIGCHLD:
            return _child(call, code, data)
        if signo in _FAULTS:
            return f", si_addr={address(call, at)}"
        if signo == _SIGIO:
            band, fd = struct.unpack_from("<qi", data, 16)
            return f", si_band={band}, si_fd={fd}"
        if signo == _SIGSYS:
            where, number, _arch = struct.unpack_from("<QiI", data, 16)
            return f", si_call_addr={address(call, where)}, si_syscall={number}"
    if code == _SI_KERNEL:
        return f", si_addr={address(call, at)}" if signo in _FAULTS else ""
    if signed32(code) == -2:  # SI_TIMER
        return (f", si_timerid={hexadecimal(call, first)}, si_overrun={signed32(second)}"
                f", si_int={signed32(value)}, si_ptr={address(call, value)}")
    sender = f", si_pid={signed32(first)}, si_uid={uid(call, second)}"
    if signed32(code) in (0, -6):  # SI_USER, SI_TKILL
        return sender
    text = sender if first or second or signed32(code) == -1 else ""
    if value:
        text += f", si_int={signed32(value)}, si_ptr={address(call, value)}"
    return text


def _child(call: Call, code: int, data: bytes) -> str:
    pid, user, status = struct.unpack_from("<iIi", data, 16)
    utime, stime = struct.unpack_from("<2Q", data, 32)
    shown = str(status) if code == _CLD_EXITED else signal(call, status)
    return (f", si_pid={pid}, si_uid={uid(call, user)}, si_status={shown}, "
            f"si_utime={ticks(call, utime)}, si_stime={ticks(call, stime)}")


siginfo: Final = custom(SIGINFO_SIZE, siginfo_text)


# ---------------------------------------------------------------------------- frames

_UC_SIGMASK: Final = 296  # in struct ucontext, which is what the stack pointer points to


def _signal_frame(call: Call, value: int) -> str:
    """What rt_sigreturn(2) goes back to: the mask on the stack."""
    data = call.memory.read(call.stack + _UC_SIGMASK, _SIGSET_SIZE)
    if data is None:
        return address(call, call.stack)
    return f"{{mask={sigset_text(int.from_bytes(data, 'little'))}}}"


# ---------------------------------------------------------------------------- results

def signal_result(call: Call, value: int) -> str:
    """What rt_sigtimedwait(2) returns."""
    return f"{value} ({signal_name(value)})" if 1 <= value <= SIGRTMAX else str(value)


CALLS: Final[dict[str, Signature | Choice]] = {
    "rt_sigaction": Signature(signal, sigaction, Out(sigaction), ulong),
    "rt_sigprocmask": Signature(_HOW, sigset(3), Out(sigset(3)), ulong),
    "rt_sigpending": Signature(Out(_sigset_short), ulong),
    "rt_sigtimedwait": Signature(sigset(3), Out(siginfo), given(timespec), ulong,
                                 result=signal_result),
    "rt_sigqueueinfo": Signature(int_, signal, siginfo),
    "rt_sigsuspend": Signature(sigset(1), ulong),
    "rt_tgsigqueueinfo": Signature(int_, int_, signal, siginfo),
    "pidfd_send_signal": Signature(int_, signal, siginfo, hexadecimal32),
    "rt_sigreturn": Signature(At(0, _signal_frame)),
    "sigaltstack": Signature(stack_t, Out(stack_t)),
    "kill": Signature(int_, signal),
    "tkill": Signature(int_, signal),
    "tgkill": Signature(int_, int_, signal),
    "pause": Signature(),
    "signalfd": Signature(int_, sigset(2), ulong),
    "signalfd4": Signature(int_, sigset(2), ulong, Flags("SFD_???", """
        SFD_CLOEXEC=0o2000000 SFD_NONBLOCK=0o4000""")),
}
