"""Numbers, strings and times as strace(1) writes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from guest_kernel.signal.numbers import SIGRTMAX, signal_name
from ringlet.strace.call import MAX_STRLEN, Call

PATH_MAX: Final = 4096
CLK_TCK: Final = 100  # ticks of clock_t in a second: sysconf(_SC_CLK_TCK) on x86-64
_M32: Final = 0xFFFF_FFFF
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY: Final = 86400

# How a byte is written; the others are octal.
_ESCAPES: Final = {byte: chr(byte) for byte in range(0x20, 0x7F)} | {
    ord(char): "\\" + letter for char, letter in zip(
        "\"\\\f\n\r\t\v", "\"\\fnrtv", strict=True)}
_OCTAL_DIGITS: Final = frozenset(b"01234567")


# -------------------------------------------------------------------------------- numbers

def signed32(value: int) -> int:
    """Return the low 32 bits as an ``int``."""
    return (value & _M32 ^ 0x8000_0000) - 0x8000_0000


def signed64(value: int) -> int:
    """Return 64 bits as a ``long``."""
    return (value ^ 1 << 63) - (1 << 63)


def int_(call: Call, value: int) -> str:
    """``int``: also a descriptor, a pid, a uid."""
    return str(signed32(value))


def uint(call: Call, value: int) -> str:
    """``unsigned int``."""
    return str(value & _M32)


def long_(call: Call, value: int) -> str:
    """``long``."""
    return str(signed64(value))


def ulong(call: Call, value: int) -> str:
    """``unsigned long``, ``size_t``."""
    return str(value)


def uid(call: Call, value: int) -> str:
    """``uid_t`` or ``gid_t``; -1 is nobody."""
    value &= _M32
    return str(value) if value != _M32 else "-1"


def signal(call: Call, value: int) -> str:
    """The number of a signal."""
    number = signed32(value)
    return signal_name(number) if 1 <= number <= SIGRTMAX else str(number)


def hexadecimal(call: Call, value: int) -> str:
    """A number in hexadecimal; 0 is 0."""
    return hex(value) if value else "0"


def hexadecimal32(call: Call, value: int) -> str:
    """An ``unsigned int`` in hexadecimal."""
    return hexadecimal(call, value & _M32)


def address(call: Call, value: int) -> str:
    """A pointer."""
    return hex(value) if value else "NULL"


def mode(call: Call, value: int) -> str:
    """File permissions: octal, three digits at least."""
    return f"0{value & 0xFFFF:02o}"


def ticks(call: Call, value: int) -> str:
    """``clock_t``, with the seconds that it means."""
    if not value:
        return "0"
    return f"{value} /* {value // CLK_TCK}.{value % CLK_TCK:02d} s */"


def device(call: Call, value: int) -> str:
    """``dev_t``, in the 64 bits that the kernel gives it."""
    major = value >> 8 & 0xFFF | value >> 32 & 0xFFFF_F000
    minor = value & 0xFF | value >> 12 & 0xFFFF_FF00
    return f"makedev({hexadecimal(call, major)}, {hexadecimal(call, minor & _M32)})"


def utc(seconds: int, fraction: int = 0, digits: int = 9) -> str:
    """Return the date of a time stamp; empty if it has none, as a time of 0.

    strace writes local time.  This is UTC, so that a trace is the same everywhere.
    """
    if (not seconds and not fraction) or fraction >= 10**digits:
        return ""
    try:
        date = _EPOCH + timedelta(seconds // _DAY, seconds % _DAY)
    except OverflowError:
        return ""
    part = f".{fraction:0{digits}d}" if fraction else ""
    return f"{date:%Y-%m-%dT%H:%M:%S}{part}+0000"


def seconds(call: Call, value: int) -> str:
    """``time_t``, with its date."""
    date = utc(signed64(value))
    return f"{signed64(value)} /* {date} */" if date else str(signed64(value))


# -------------------------------------------------------------------------------- strings

def quote(data: bytes, *, more: bool = False) -> str:
    """Return ``data`` in quotes, with dots behind them if there is ``more``."""
    pieces = []
    for i, byte in enumerate(data):
        escape = _ESCAPES.get(byte)
        if escape is None:
            # A digit that follows would be taken for part of a shorter number.
            ambiguous = i + 1 < len(data) and data[i + 1] in _OCTAL_DIGITS
            escape = f"\\{byte:03o}" if ambiguous else f"\\{byte:o}"
        pieces.append(escape)
    return f'"{"".join(pieces)}"' + ("..." if more else "")


def quote_hexadecimal(data: bytes, *, more: bool = False) -> str:
    """Return ``data`` in quotes, every byte in hexadecimal."""
    return '"' + "".join(f"\\x{byte:02x}" for byte in data) + '"' + ("..." if more else "")


def buffer(call: Call, va: int, size: int) -> str:
    """Write ``size`` bytes of memory, the first of them."""
    if not va:
        return "NULL"
    # strace fetches one byte more than it shows.
    data = call.memory.read(va, min(size, MAX_STRLEN + 1))
    if data is None:
        return hex(va)
    return quote(data[:MAX_STRLEN], more=size > MAX_STRLEN)


def string(call: Call, va: int) -> str:
    """A string, the first bytes of it."""
    if not va:
        return "NULL"
    found = call.memory.string(va, MAX_STRLEN + 1)
    if found is None:
        return hex(va)
    data, ended = found
    return quote(data[:MAX_STRLEN], more=not ended or len(data) > MAX_STRLEN)


def path(call: Call, va: int, limit: int = PATH_MAX - 1) -> str:
    """A path: all of it."""
    if not va:
        return "NULL"
    found = call.memory.string(va, limit + 1)
    if found is None:
        return hex(va)
    data, ended = found
    return quote(data[:limit], more=not ended)
