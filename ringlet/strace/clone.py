"""Making processes, and what they share.

See: clone(2), fork(2), unshare(2), setns(2).
"""

from __future__ import annotations

import struct
from functools import cache
from typing import Final

from guest_kernel.signal.numbers import SIGRTMAX
from ringlet.strace.arguments import indirect, vector
from ringlet.strace.call import Also, At, Call, Choice, Out, Signature
from ringlet.strace.names import Flags
from ringlet.strace.text import address, hexadecimal, int_, signal, ulong

_CSIGNAL: Final = 0xFF
_CLONE_BITS: Final = """
    CLONE_VM=0x100 CLONE_FS=0x200 CLONE_FILES=0x400 CLONE_SIGHAND=0x800 CLONE_PIDFD=0x1000
    CLONE_PTRACE=0x2000 CLONE_VFORK=0x4000 CLONE_PARENT=0x8000 CLONE_THREAD=0x10000
    CLONE_NEWNS=0x20000 CLONE_SYSVSEM=0x40000 CLONE_SETTLS=0x80000 CLONE_PARENT_SETTID=0x100000
    CLONE_CHILD_CLEARTID=0x200000 CLONE_UNTRACED=0x800000
    CLONE_CHILD_SETTID=0x1000000 CLONE_NEWCGROUP=0x2000000 CLONE_NEWUTS=0x4000000
    CLONE_NEWIPC=0x8000000 CLONE_NEWUSER=0x10000000 CLONE_NEWPID=0x20000000
    CLONE_NEWNET=0x40000000 CLONE_IO=0x80000000"""
_CLONE: Final = Flags("CLONE_???", _CLONE_BITS, bits=64)
_CLONE3: Final = Flags("CLONE_???", _CLONE_BITS + """
    CLONE_CLEAR_SIGHAND=0x100000000 CLONE_INTO_CGROUP=0x200000000 CLONE_NEWTIME=0x80""", bits=64)
_UNSHARE: Final = Flags("CLONE_???", """
    CLONE_NEWTIME=0x80 CLONE_VM=0x100 CLONE_FS=0x200 CLONE_FILES=0x400 CLONE_SIGHAND=0x800
    CLONE_THREAD=0x10000 CLONE_NEWNS=0x20000 CLONE_SYSVSEM=0x40000 CLONE_NEWCGROUP=0x2000000
    CLONE_NEWUTS=0x4000000 CLONE_NEWIPC=0x8000000 CLONE_NEWUSER=0x10000000
    CLONE_NEWPID=0x20000000 CLONE_NEWNET=0x40000000""", bits=64)
_PIDFD: Final = 0x1000
_SETTLS: Final = 0x8_0000
_PARENT_SETTID: Final = 0x10_0000
_CHILD_IDS: Final = 0x120_0000  # CLONE_CHILD_SETTID, CLONE_CHILD_CLEARTID
_INTO_CGROUP: Final = 0x2_0000_0000


def _clone_flags(call: Call, value: int) -> str:
    flags, exit_signal = value & ~_CSIGNAL, value & _CSIGNAL
    if not exit_signal:
        return _CLONE(call, flags)
    name = signal(call, exit_signal)
    return f"{_CLONE(call, flags)}|{name}" if flags else name


@cache
def _clone_signature(flags: int) -> Signature:
    arguments = [At(1, address, "child_stack"), At(0, _clone_flags, "flags")]
    if flags & (_PARENT_SETTID | _PIDFD):
        arguments.append(At(2, indirect(int_), "parent_tid", out=True))
    if flags & _SETTLS:
        arguments.append(At(4, address, "tls", out=True))
    if flags & _CHILD_IDS:
        arguments.append(At(3, address, "child_tidptr", out=True))
    return Signature(*arguments)


_CLONE_DECIDING: Final = _PARENT_SETTID | _PIDFD | _SETTLS | _CHILD_IDS
_CLONE_ARGS: Final = struct.Struct("<11Q")
_CLONE_ARGS_MIN: Final = 64  # the structure's first version


def _clone_args(call: Call) -> tuple[int, ...] | None:
    size = min(call.arguments[1], _CLONE_ARGS.size)
    if size < _CLONE_ARGS_MIN:
        return None
    data = call.fetch(call.arguments[0], size)
    return None if data is None else _CLONE_ARGS.unpack(data.ljust(_CLONE_ARGS.size, b"\0"))


def _exit_signal(call: Call, value: int) -> str:
    return signal(call, value) if value <= SIGRTMAX else str(value)


def _clone3_before(call: Call, va: int) -> str:
    found = _clone_args(call)
    if found is None:
        return address(call, va)
    (flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
     set_tid_size, cgroup) = found
    parts = [f"flags={_CLONE3(call, flags)}"]
    if flags & _PIDFD:
        parts.append(f"pidfd={address(call, pidfd)}")
    if flags & _CHILD_IDS:
        parts.append(f"child_tid={address(call, child_tid)}")
    if flags & _PARENT_SETTID:
        parts.append(f"parent_tid={address(call, parent_tid)}")
    parts += [f"exit_signal={_exit_signal(call, exit_signal)}", f"stack={address(call, stack)}",
              f"stack_size={hexadecimal(call, stack_size)}"]
    if flags & _SETTLS:
        parts.append(f"tls={address(call, tls)}")
    if set_tid or set_tid_size:
        tids = vector(int_, set_tid_size)(call, set_tid) if set_tid_size else hex(set_tid)
        parts += [f"set_tid={tids}", f"set_tid_size={set_tid_size}"]
    if cgroup or flags & _INTO_CGROUP:
        parts.append(f"cgroup={cgroup}")
    return f"{{{', '.join(parts)}}}"


def _clone3_after(call: Call, va: int) -> str:
    """What the kernel has stored for the parent."""
    found = _clone_args(call)
    if found is None or call.failed:
        return ""
    flags, pidfd, _, parent_tid = found[:4]
    parts = []
    if flags & _PIDFD:
        parts.append(f"pidfd={indirect(int_)(call, pidfd)}")
    if flags & _PARENT_SETTID:
        parts.append(f"parent_tid={indirect(int_)(call, parent_tid)}")
    return f" => {{{', '.join(parts)}}}" if parts else ""


MAKES_A_TASK: Final = frozenset({"clone", "clone3", "fork", "vfork", "ft_fork"})

CALLS: Final[dict[str, Signature | Choice]] = {
    "clone": Choice(lambda call: _clone_signature(call.arguments[0] & _CLONE_DECIDING)),
    "fork": Signature(),
    "vfork": Signature(),
    "unshare": Signature(_UNSHARE),
    "setns": Signature(int_, Flags("CLONE_NEW???", """
        CLONE_NEWTIME=0x80 CLONE_NEWNS=0x20000 CLONE_NEWCGROUP=0x2000000 CLONE_NEWUTS=0x4000000
        CLONE_NEWIPC=0x8000000 CLONE_NEWUSER=0x10000000 CLONE_NEWPID=0x20000000
        CLONE_NEWNET=0x40000000""")),
    "clone3": Signature(_clone3_before, Also(0, _clone3_after), Out(ulong)),
}
