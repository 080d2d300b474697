"""Waiting for events: poll, select, epoll, and the descriptors that are events themselves.

See: poll(2), select(2), epoll_ctl(2), eventfd(2), inotify(7).
"""

from __future__ import annotations

import struct
from typing import Final

from ringlet.strace.arguments import Structure, elements
from ringlet.strace.call import MAX_STRLEN, Call, Choice, Format, Out, Signature
from ringlet.strace.clocks import timespec, timeval
from ringlet.strace.names import Flags, Names
from ringlet.strace.signals import sigset, sigset_text
from ringlet.strace.text import address, int_, path, signed32, uint, ulong

_POLL: Final = Flags("POLL???", """
    POLLIN=0x1 POLLPRI=0x2 POLLOUT=0x4 POLLERR=0x8 POLLHUP=0x10 POLLNVAL=0x20 POLLRDNORM=0x40
    POLLRDBAND=0x80 POLLWRNORM=0x100 POLLWRBAND=0x200 POLLMSG=0x400 POLLREMOVE=0x1000
    POLLRDHUP=0x2000 POLL_BUSY_LOOP=0x8000""")
_EPOLL: Final = Flags("EPOLL???", """
    EPOLLIN=0x1 EPOLLPRI=0x2 EPOLLOUT=0x4 EPOLLERR=0x8 EPOLLHUP=0x10 EPOLLNVAL=0x20
    EPOLLRDNORM=0x40 EPOLLRDBAND=0x80 EPOLLWRNORM=0x100 EPOLLWRBAND=0x200 EPOLLMSG=0x400
    EPOLLRDHUP=0x2000
    EPOLLEXCLUSIVE=0x10000000 EPOLLWAKEUP=0x20000000 EPOLLONESHOT=0x40000000
    EPOLLET=0x80000000""")
_EPOLL_CTL: Final = Names("EPOLL_CTL_???", "EPOLL_CTL_ADD=1 EPOLL_CTL_DEL=2 EPOLL_CTL_MOD=3")
_INOTIFY: Final = Flags("IN_???", """
    IN_ACCESS=0x1 IN_MODIFY=0x2 IN_ATTRIB=0x4 IN_CLOSE_WRITE=0x8 IN_CLOSE_NOWRITE=0x10
    IN_OPEN=0x20 IN_MOVED_FROM=0x40 IN_MOVED_TO=0x80 IN_CREATE=0x100 IN_DELETE=0x200
    IN_DELETE_SELF=0x400 IN_MOVE_SELF=0x800 IN_UNMOUNT=0x2000 IN_Q_OVERFLOW=0x4000
    IN_IGNORED=0x8000 IN_ONLYDIR=0x1000000 IN_DONT_FOLLOW=0x2000000 IN_EXCL_UNLINK=0x4000000
    IN_MASK_CREATE=0x10000000 IN_MASK_ADD=0x20000000 IN_ISDIR=0x40000000
    IN_ONESHOT=0x80000000""")


# ---------------------------------------------------------------------------- poll

_POLLFD: Final = struct.Struct("<iHH")


def _pollfd(call: Call, data: bytes) -> str:
    fd, events, _ = _POLLFD.unpack(data)
    return f"{{fd={fd}}}" if fd < 0 else f"{{fd={fd}, events={_POLL(call, events)}}}"


def _pollfds(call: Call, va: int) -> str:
    return elements(call, va, call.arguments[1] & 0xFFFF_FFFF, _POLLFD.size, _pollfd)


def _poll_result(call: Call, value: int) -> str:
    """How many descriptors are ready, and which."""
    if not value:
        return "0 (Timeout)"
    ready = _ready(call)
    return f"{value} ({ready})" if ready else str(value)


def _ppoll_result(call: Call, value: int) -> str:
    """The same, and how much of the time was left."""
    if not value:
        return "0 (Timeout)"
    ready, time = _ready(call), call.arguments[2]
    if not ready:
        return str(value)
    return f"{value} ({ready}, left {timespec(call, time)})" if time else f"{value} ({ready})"


def _ready(call: Call) -> str:
    va, count = call.arguments[0], call.arguments[1] & 0xFFFF_FFFF
    if not va or not count or va + count * _POLLFD.size >= 1 << 64:
        return ""
    found: list[str] = []
    for i in range(count):
        data = call.memory.read(va + i * _POLLFD.size, _POLLFD.size)
        if data is None:
            found.append(hex(va + i * _POLLFD.size))
            break
        fd, _, revents = _POLLFD.unpack(data)
        if not revents:
            continue
        if len(found) == MAX_STRLEN:
            found.append("...")
            break
        found.append(f"{{fd={fd}, revents={_POLL(call, revents)}}}")
    return f"[{', '.join(found)}]"


# ---------------------------------------------------------------------------- select

_FD_SETSIZE: Final = 1024 * 1024


def _members(call: Call, va: int) -> list[int] | None:
    """Return the descriptors in a set; None if it is not there."""
    count = signed32(call.arguments[0])
    if not va or count <= 0:
        return None
    data = call.memory.read(va, -(-min(count, _FD_SETSIZE) // 64) * 8)
    if data is None:
        return None
    bits = int.from_bytes(data, "little") & (1 << count) - 1
    return [fd for fd in range(bits.bit_length()) if bits >> fd & 1]


def _fd_set(call: Call, va: int) -> str:
    found = _members(call, va)
    return address(call, va) if found is None else f"[{' '.join(map(str, found))}]"


def _select_result(time: Structure) -> Format:
    def text(call: Call, value: int) -> str:
        if not value:
            return "0 (Timeout)"
        parts = []
        left = value  # as many descriptors as are ready are shown, in all
        for name, va in zip(("in", "out", "except"), call.arguments[1:4], strict=True):
            found = (_members(call, va) or [])[: max(left, 0)]
            left -= len(found)
            if found:
                parts.append(f"{name} [{' '.join(map(str, found))}]")
        if call.arguments[4]:
            parts.append(f"left {time(call, call.arguments[4])}")
        return f"{value} ({', '.join(parts)})"

    return text


def _pselect_mask(call: Call, va: int) -> str:
    """pselect6(2) has no register left for the size of the mask: both are in memory."""
    data = call.fetch(va, 16)
    if data is None:
        return address(call, va)
    mask, size = struct.unpack("<2Q", data)
    content = call.fetch(mask, 8) if size == 8 else None
    text = address(call, mask) if content is None else sigset_text(
        int.from_bytes(content, "little"))
    return f"{{sigmask={text}, sigsetsize={size}}}"


# ---------------------------------------------------------------------------- epoll

_EPOLL_EVENT: Final = 12


def _epoll_event(call: Call, data: bytes) -> str:
    events, value = struct.unpack("<IQ", data)
    return f"{{events={_EPOLL(call, events)}, data={{u32={value & 0xFFFF_FFFF}, u64={value}}}}}"


def _epoll_events(call: Call, va: int) -> str:
    return address(call, va) if call.failed else elements(
        call, va, call.result, _EPOLL_EVENT, _epoll_event)


def _epoll_one(call: Call, va: int) -> str:
    data = call.fetch(va, _EPOLL_EVENT) if call.arguments[1] & 0xFFFF_FFFF != 2 else None
    return address(call, va) if data is None else _epoll_event(call, data)


CALLS: Final[dict[str, Signature | Choice]] = {
    "poll": Signature(_pollfds, uint, int_, result=_poll_result),
    "ppoll": Signature(_pollfds, uint, timespec, sigset(4), ulong, result=_ppoll_result),
    "select": Signature(int_, _fd_set, _fd_set, _fd_set, timeval,
                        result=_select_result(timeval)),
    "pselect6": Signature(int_, _fd_set, _fd_set, _fd_set, timespec, _pselect_mask,
                          result=_select_result(timespec)),
    "epoll_create": Signature(int_),
    "epoll_create1": Signature(Flags("EPOLL_???", "EPOLL_CLOEXEC=0o2000000")),
    "epoll_ctl": Signature(int_, _EPOLL_CTL, int_, _epoll_one),
    "epoll_wait": Signature(int_, Out(_epoll_events), int_, int_),
    "epoll_pwait": Signature(int_, Out(_epoll_events), int_, int_, sigset(5), ulong),
    "epoll_pwait2": Signature(int_, Out(_epoll_events), int_, timespec, sigset(5), ulong),
    "eventfd": Signature(uint),
    "eventfd2": Signature(uint, Flags("EFD_???", """
        EFD_SEMAPHORE=1 EFD_CLOEXEC=0o2000000 EFD_NONBLOCK=0o4000""")),
    "inotify_init": Signature(),
    "inotify_init1": Signature(Flags("IN_???", "IN_NONBLOCK=0o4000 IN_CLOEXEC=0o2000000")),
    "inotify_add_watch": Signature(int_, path, _INOTIFY),
    "inotify_rm_watch": Signature(int_, int_),
}
