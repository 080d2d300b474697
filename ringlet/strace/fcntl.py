"""fcntl(2): what its commands take and return."""

from __future__ import annotations

from typing import Final

from ringlet.strace.arguments import Structure
from ringlet.strace.call import Call, Choice, Format, Out, Signature
from ringlet.strace.files import ACCESS_MODES, OPEN_FLAGS, open_flags
from ringlet.strace.names import Flags, Names, joined
from ringlet.strace.signals import signal_result
from ringlet.strace.text import hexadecimal, int_, long_, signal, ulong

_COMMANDS: Final = Names("F_???", """
    F_DUPFD=0 F_GETFD=1 F_SETFD=2 F_GETFL=3 F_SETFL=4 F_GETLK=5 F_SETLK=6 F_SETLKW=7 F_SETOWN=8
    F_GETOWN=9 F_SETSIG=10 F_GETSIG=11 F_GETLK64=12 F_SETLK64=13 F_SETLKW64=14 F_SETOWN_EX=15
    F_GETOWN_EX=16 F_GETOWNER_UIDS=17 F_OFD_GETLK=36 F_OFD_SETLK=37 F_OFD_SETLKW=38
    F_SETLEASE=1024 F_GETLEASE=1025 F_NOTIFY=1026 F_CANCELLK=1029 F_DUPFD_CLOEXEC=1030
    F_SETPIPE_SZ=1031 F_GETPIPE_SZ=1032 F_ADD_SEALS=1033 F_GET_SEALS=1034 F_GET_RW_HINT=1035
    F_SET_RW_HINT=1036 F_GET_FILE_RW_HINT=1037 F_SET_FILE_RW_HINT=1038""")
_FD_FLAGS: Final = Flags("FD_???", "FD_CLOEXEC=1")
_LOCKS: Final = Names("F_???", "F_RDLCK=0 F_WRLCK=1 F_UNLCK=2 F_EXLCK=4 F_SHLCK=8")
_WHENCE: Final = Names("SEEK_???", "SEEK_SET=0 SEEK_CUR=1 SEEK_END=2")
_OWNERS: Final = Names("F_OWNER_???", "F_OWNER_TID=0 F_OWNER_PID=1 F_OWNER_PGRP=2")
_SEALS: Final = Flags("F_SEAL_???", """
    F_SEAL_SEAL=1 F_SEAL_SHRINK=2 F_SEAL_GROW=4 F_SEAL_WRITE=8 F_SEAL_FUTURE_WRITE=16
    F_SEAL_EXEC=32""")
_NOTIFY: Final = Flags("DN_???", """
    DN_ACCESS=1 DN_MODIFY=2 DN_CREATE=4 DN_DELETE=8 DN_RENAME=0x10 DN_ATTRIB=0x20
    DN_MULTISHOT=0x80000000""")

_flock_set: Final = Structure("<HH4xQQ8x", l_type=_LOCKS, l_whence=_WHENCE, l_start=long_,
                              l_len=long_)
_flock_get: Final = Structure("<HH4xQQI4x", l_type=_LOCKS, l_whence=_WHENCE, l_start=long_,
                              l_len=long_, l_pid=int_)
_owner: Final = Structure("<2I", type=_OWNERS, pid=int_)


def _flags_result(label: str, form: Format) -> Format:
    """A set of flags in words behind its number, unless it is empty."""
    return lambda call, value: (
        f"{hexadecimal(call, value)} ({label} {form(call, value)})" if value else "0")


def _status_flags(call: Call, value: int) -> str:
    """What F_GETFL returns."""
    rest = joined(*OPEN_FLAGS.split(value & 0xFFFF_FFFC))
    access = ACCESS_MODES(call, value & 3)
    flags = f"{access}|{rest}" if rest else access
    return f"{hexadecimal(call, value)} (flags {flags})"


def _fd_flags(call: Call, value: int) -> str:
    return joined(*_FD_FLAGS.split(value))


def _seal_flags(call: Call, value: int) -> str:
    return joined(*_SEALS.split(value))


def _lease_result(call: Call, value: int) -> str:
    name = _LOCKS.get(value) if value < 3 else None
    return hexadecimal(call, value) + (f" ({name})" if name else "")


def _command(*more: Format | Out, result: Format | None = None) -> Signature:
    return Signature(int_, _COMMANDS, *more, result=result)


_INT: Final = _command(int_)
_LONG: Final = _command(long_)
_NONE: Final = _command()
_SET_LOCK: Final = _command(_flock_set)
_GET_LOCK: Final = _command(Out(_flock_get))
_BY_COMMAND: Final = {
    0: _LONG,
    1: _command(result=_flags_result("flags", _fd_flags)),
    2: _command(_FD_FLAGS),
    3: _command(result=_status_flags),
    4: _command(open_flags),
    5: _GET_LOCK,
    6: _SET_LOCK,
    7: _SET_LOCK,
    8: _INT,
    9: _NONE,
    10: _command(signal),
    11: _command(result=signal_result),
    15: _command(_owner),
    16: _command(Out(_owner)),
    36: _GET_LOCK,
    37: _SET_LOCK,
    38: _SET_LOCK,
    1024: _command(_LOCKS),
    1025: _command(result=_lease_result),
    1026: _command(_NOTIFY),
    1030: _LONG,
    1031: _command(ulong),
    1032: _NONE,
    1033: _command(_SEALS),
    1034: _command(result=_flags_result("seals", _seal_flags)),
}
_OTHER: Final = _command(hexadecimal)

CALLS: Final[dict[str, Signature | Choice]] = {
    "fcntl": Choice(lambda call: _BY_COMMAND.get(call.arguments[1] & 0xFFFF_FFFF, _OTHER)),
}
