"""The kernel log: ``printk``, and reading it back.

Records lie in a ring in RAM (layout/printk.py), so they are in every snapshot and cost the guest
nothing.  See: Linux kernel/printk/printk.c; dmesg(1).
"""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from guest_kernel.kernel import Kernel
from guest_kernel.layout.printk import LOG_BUF_LEN, printk_data

KERN_EMERG: Final = 0
KERN_ALERT: Final = 1
KERN_CRIT: Final = 2
KERN_ERR: Final = 3
KERN_WARNING: Final = 4
KERN_NOTICE: Final = 5
KERN_INFO: Final = 6
KERN_DEBUG: Final = 7

_HEADER: Final = struct.Struct("<HBxIQ")
_LOG_BUF: Final = printk_data.offsetof("log_buf")
_MAX_TEXT: Final = 1024


class Record(NamedTuple):
    """One message.

    Attributes:
        level: KERN_*.
        time: monotonic nanoseconds.
    """

    level: int
    time: int
    text: str


def printk(k: Kernel, level: int, text: str) -> None:
    """Add a message to the log; the oldest ones give way.

    Args:
        level: KERN_*.
        text: one line; cut at 1024 bytes.
    """
    data = k.data(printk_data)
    body = text.encode("utf-8", "backslashreplace")[:_MAX_TEXT]
    size = -(-(_HEADER.size + len(body)) // 8) * 8
    start = data.log_next
    # A record does not wrap: what is left at the end is skipped by a record without text.
    room = LOG_BUF_LEN - start % LOG_BUF_LEN
    if room < size:
        _make_room(data, start + room + size)
        _put(k, data, start, _HEADER.pack(room, 0xFF, 0, 0))
        start += room
    _make_room(data, start + size)
    _put(k, data, start, _HEADER.pack(size, level, len(body), k.machine.clock) + body)
    data.log_next = start + size


def _make_room(data: printk_data, end: int) -> None:
    """Drop the oldest records until everything up to ``end`` fits."""
    while end - data.log_first > LOG_BUF_LEN:
        place = data.pa + _LOG_BUF + data.log_first % LOG_BUF_LEN
        data.log_first += data.k.u16[place >> 1]


def _put(k: Kernel, data: printk_data, position: int, record: bytes) -> None:
    place = data.pa + _LOG_BUF + position % LOG_BUF_LEN
    k.u8[place : place + len(record)] = record


def records(k: Kernel) -> Iterator[Record]:
    """Yield the log's records, the oldest first."""
    data = k.data(printk_data)
    position, end = data.log_first, data.log_next
    while position < end:
        place = data.pa + _LOG_BUF + position % LOG_BUF_LEN
        size, level, length, time = _HEADER.unpack_from(k.u8, place)
        if level != 0xFF:
            text = bytes(k.u8[place + _HEADER.size : place + _HEADER.size + length])
            yield Record(level, time, text.decode("utf-8", "replace"))
        position += size


def dmesg(k: Kernel) -> str:
    """Return the log as dmesg(1) prints it."""
    return "".join(f"[{r.time // 10**9:5d}.{r.time // 1000 % 10**6:06d}] {r.text}\n"
                   for r in records(k))


def WARN_ON(k: Kernel, condition: bool, message: str) -> bool:
    """Log ``message`` as a warning if ``condition`` holds; return ``condition``."""
    if condition:
        printk(k, KERN_WARNING, f"WARNING: {message}")
    return condition
