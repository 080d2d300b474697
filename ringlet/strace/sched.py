"""Scheduling, and what threads wait on each other with.

See: sched(7), sched_setaffinity(2), futex(2), membarrier(2), rseq(2).
"""

from __future__ import annotations

import struct
from typing import Final

from guest_kernel.errors import Errno
from ringlet.strace.arguments import indirect
from ringlet.strace.call import Also, At, Call, Choice, Format, Out, Signature
from ringlet.strace.clocks import timespec
from ringlet.strace.names import Flags, Names
from ringlet.strace.text import (
    address,
    hexadecimal,
    hexadecimal32,
    int_,
    uint,
    ulong,
)

_PRIO: Final = Names("PRIO_???", "PRIO_PROCESS=0 PRIO_PGRP=1 PRIO_USER=2")
_SCHED: Final = Names("SCHED_???", """
    SCHED_OTHER=0 SCHED_FIFO=1 SCHED_RR=2 SCHED_BATCH=3 SCHED_ISO=4 SCHED_IDLE=5
    SCHED_DEADLINE=6""")
_CPU_SET_SIZE: Final = 128  # bytes shown: a cpu_set_t


def _policy_result(call: Call, value: int) -> str:
    name = _SCHED.get(value)
    return f"{value} ({name})" if name else str(value)


def _cpus(call: Call, va: int) -> str:
    """A set of processors: so large as the caller says, or as the kernel has filled it."""
    size = call.result if call.ended else call.arguments[1] & 0xFFFF_FFFF
    data = call.fetch(va, min(size, _CPU_SET_SIZE))
    if data is None:
        return address(call, va)
    bits = int.from_bytes(data, "little")
    cpus = [str(cpu) for cpu in range(bits.bit_length()) if bits >> cpu & 1]
    return f"[{' '.join([*cpus, '...'] if size > _CPU_SET_SIZE else cpus)}]"


# ---------------------------------------------------------------------------- sched_attr

_SCHED_FLAGS: Final = Flags("SCHED_FLAG_???", """
    SCHED_FLAG_RESET_ON_FORK=0x1 SCHED_FLAG_RECLAIM=0x2 SCHED_FLAG_DL_OVERRUN=0x4
    SCHED_FLAG_KEEP_POLICY=0x8 SCHED_FLAG_KEEP_PARAMS=0x10 SCHED_FLAG_UTIL_CLAMP_MIN=0x20
    SCHED_FLAG_UTIL_CLAMP_MAX=0x40""", bits=64)
_KEEP_POLICY: Final = 0x8
_KEEP_PARAMS: Final = 0x10
_SCHED_ATTR: Final = struct.Struct("<IIQiIQQQII")
_SCHED_ATTR_MIN: Final = 48  # the structure's first version


def _sched_attr(call: Call, data: bytes, size: int, left_out: int) -> str:
    """A struct sched_attr that says to be of ``size`` bytes.

    Args:
        left_out: flags that say that policy or parameters do not count.
    """
    own, policy, flags, nice, priority, runtime, deadline, period, util_min, util_max = (
        _SCHED_ATTR.unpack(data.ljust(_SCHED_ATTR.size, b"\0")))
    parts = [f"size={own}"]
    if size >= _SCHED_ATTR_MIN:
        if not flags & left_out & (_KEEP_POLICY | _KEEP_PARAMS):
            parts.append(f"sched_policy={_SCHED(call, policy)}")
        parts.append(f"sched_flags={_SCHED_FLAGS(call, flags)}")
        if not flags & left_out & _KEEP_PARAMS:
            parts += [f"sched_nice={nice}", f"sched_priority={priority}",
                      f"sched_runtime={runtime}", f"sched_deadline={deadline}",
                      f"sched_period={period}"]
    if size >= _SCHED_ATTR.size:
        parts += [f"sched_util_min={util_min}", f"sched_util_max={util_max}"]
    return ", ".join(parts)


def _attr_given(call: Call, va: int) -> str:
    """What sched_setattr(2) is given: as long as it says itself."""
    data = call.memory.read(va, 4) if va else None
    if data is None:
        return address(call, va)
    size = int.from_bytes(data, "little") or _SCHED_ATTR_MIN
    if size >= _SCHED_ATTR_MIN:
        data = call.memory.read(va, min(size, _SCHED_ATTR.size))
        if data is None:
            return address(call, va)
    more = ", ..." if size > _SCHED_ATTR.size else ""
    return f"{{{_sched_attr(call, data, size, _KEEP_POLICY | _KEEP_PARAMS)}{more}}}"


def _attr_size(call: Call, va: int) -> str:
    """The size that the kernel knows, which it stores for who has given another."""
    data = call.memory.read(va, 4) if call.result == -Errno.E2BIG else None
    return "" if data is None else f" => {{size={int.from_bytes(data, 'little')}}}"


def _attr_got(call: Call, va: int) -> str:
    """What sched_getattr(2) has stored."""
    room = call.arguments[2] & 0xFFFF_FFFF
    data = call.fetch(va, min(room, _SCHED_ATTR.size)) if room else None
    if data is None:
        return address(call, va)
    size = int.from_bytes(data[:4], "little")
    more = ", ..." if room > size >= _SCHED_ATTR_MIN else ""
    return f"{{{_sched_attr(call, data, size, 0)}{more}}}"


# ---------------------------------------------------------------------------- futex

_FUTEX_PRIVATE: Final = 0x80
_FUTEX_CLOCK_REALTIME: Final = 0x100
_FUTEX_OPS: Final = (
    "FUTEX_WAIT", "FUTEX_WAKE", "FUTEX_FD", "FUTEX_REQUEUE", "FUTEX_CMP_REQUEUE", "FUTEX_WAKE_OP",
    "FUTEX_LOCK_PI", "FUTEX_UNLOCK_PI", "FUTEX_TRYLOCK_PI", "FUTEX_WAIT_BITSET",
    "FUTEX_WAKE_BITSET", "FUTEX_WAIT_REQUEUE_PI", "FUTEX_CMP_REQUEUE_PI", "FUTEX_LOCK_PI2")
_FUTEX: Final = Names("FUTEX_???", " ".join(
    f"{name}={op} {name}_PRIVATE={op | _FUTEX_PRIVATE}" for op, name in enumerate(_FUTEX_OPS)))
_FUTEX_OP: Final = Names("", """
    FUTEX_OP_SET=0 FUTEX_OP_ADD=1 FUTEX_OP_OR=2 FUTEX_OP_ANDN=3 FUTEX_OP_XOR=4""")
_FUTEX_CMP: Final = Names("", """
    FUTEX_OP_CMP_EQ=0 FUTEX_OP_CMP_NE=1 FUTEX_OP_CMP_LT=2 FUTEX_OP_CMP_LE=3 FUTEX_OP_CMP_GT=4
    FUTEX_OP_CMP_GE=5""")
_OPARG_SHIFT: Final = 8


def _futex_op(call: Call, value: int) -> str:
    value &= 0xFFFF_FFFF
    name = _FUTEX.get(value & ~_FUTEX_CLOCK_REALTIME)
    if name is None:
        return f"{value:#x} /* FUTEX_??? */"
    return f"{name}|FUTEX_CLOCK_REALTIME" if value & _FUTEX_CLOCK_REALTIME else name


def _wake_op(call: Call, value: int) -> str:
    """What FUTEX_WAKE_OP does to the second word, and what it compares that with."""
    shift = "FUTEX_OP_OPARG_SHIFT<<28|" if value >> 28 & _OPARG_SHIFT else ""
    operation = _shifted(_FUTEX_OP, value >> 28 & 7, 28, "FUTEX_OP_???")
    compare = _shifted(_FUTEX_CMP, value >> 24 & 0xF, 24, "FUTEX_OP_CMP_???")
    return (f"{shift}{operation}|{hexadecimal(call, value >> 12 & 0xFFF)}<<12|{compare}|"
            f"{hexadecimal(call, value & 0xFFF)}")


def _shifted(names: Names, value: int, by: int, unknown: str) -> str:
    name = names.get(value)
    return f"{name}<<{by}" if name else f"{value:#x}<<{by} /* {unknown} */"


def _bitset(call: Call, value: int) -> str:
    value &= 0xFFFF_FFFF
    return "FUTEX_BITSET_MATCH_ANY" if value == 0xFFFF_FFFF else hexadecimal(call, value)


def _futex(*more: Format | At) -> Signature:
    return Signature(address, _futex_op, *more)


_FUTEX_TIMED: Final = _futex(At(3, timespec))
_FUTEX_FORMS: Final = {
    0: _futex(uint, timespec),
    1: _futex(uint),
    2: _futex(uint),
    3: _futex(uint, uint, address),
    4: _futex(uint, uint, address, uint),
    5: _futex(uint, uint, address, _wake_op),
    6: _FUTEX_TIMED,
    7: _futex(),
    8: _futex(),
    9: _futex(uint, timespec, At(5, _bitset)),
    10: _futex(uint, At(5, _bitset)),
    11: _futex(uint, timespec, address),
    12: _futex(uint, uint, address, uint),
    13: _FUTEX_TIMED,
}
_FUTEX_OTHER: Final = _futex(uint, address, address, hexadecimal32)


# ---------------------------------------------------------------------------- memory barriers

_MEMBARRIER_BITS: Final = """
    MEMBARRIER_CMD_GLOBAL=0x1 MEMBARRIER_CMD_GLOBAL_EXPEDITED=0x2
    MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED=0x4 MEMBARRIER_CMD_PRIVATE_EXPEDITED=0x8
    MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED=0x10
    MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE=0x20
    MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE=0x40
    MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ=0x80
    MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_RSEQ=0x100"""
_MEMBARRIER_CMD: Final = Names("MEMBARRIER_CMD_???", "MEMBARRIER_CMD_QUERY=0" + _MEMBARRIER_BITS)
_MEMBARRIER_CMDS: Final = Flags("MEMBARRIER_CMD_???", _MEMBARRIER_BITS)
_MEMBARRIER_FLAGS: Final = Flags("MEMBARRIER_CMD_FLAG_???", "MEMBARRIER_CMD_FLAG_CPU=1")
def _membarrier_result(call: Call, value: int) -> str:
    """What MEMBARRIER_CMD_QUERY returns: the commands that there are."""
    if call.arguments[0] & 0xFFFF_FFFF or not value:
        return str(value)
    return f"{value:#x} ({_MEMBARRIER_CMDS(call, value)})"


_MEMBARRIER: Final = Signature(_MEMBARRIER_CMD, _MEMBARRIER_FLAGS, result=_membarrier_result)
_MEMBARRIER_CPU: Final = Signature(_MEMBARRIER_CMD, _MEMBARRIER_FLAGS, int_,
                                   result=_membarrier_result)


_id: Final = indirect(int_)

CALLS: Final[dict[str, Signature | Choice]] = {
    "sched_yield": Signature(),
    "getpriority": Signature(_PRIO, int_),
    "setpriority": Signature(_PRIO, int_, int_),
    "sched_setparam": Signature(int_, _id),
    "sched_getparam": Signature(int_, Out(_id)),
    "sched_setscheduler": Signature(int_, _SCHED, _id),
    "sched_getscheduler": Signature(int_, result=_policy_result),
    "sched_get_priority_max": Signature(_SCHED),
    "sched_get_priority_min": Signature(_SCHED),
    "sched_setattr": Signature(int_, _attr_given, Also(1, _attr_size), uint),
    "sched_getattr": Signature(int_, Out(_attr_got), uint, uint),
    "sched_rr_get_interval": Signature(int_, Out(timespec)),
    "futex": Choice(lambda call: _FUTEX_FORMS.get(call.arguments[1] & 0x7F, _FUTEX_OTHER)),
    "sched_setaffinity": Signature(int_, uint, _cpus),
    "sched_getaffinity": Signature(int_, uint, Out(_cpus)),
    "set_robust_list": Signature(address, ulong),
    "get_robust_list": Signature(int_, Out(indirect(address, 8)), indirect(ulong, 8)),
    "getcpu": Signature(Out(indirect(uint)), indirect(uint), address),
    "membarrier": Choice(lambda call: _MEMBARRIER_CPU if call.arguments[1] & 1
                         else _MEMBARRIER),
    "rseq": Signature(hexadecimal, hexadecimal, hexadecimal, hexadecimal),
}
