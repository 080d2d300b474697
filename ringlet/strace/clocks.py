"""Time: clocks, sleeps, timers.

See: clock_gettime(2), nanosleep(2), timer_create(2), utimensat(2).
"""

from __future__ import annotations

import struct
from typing import Final

from ringlet.strace.arguments import Structure, custom, indirect
from ringlet.strace.call import Call, Choice, Format, Out, Signature
from ringlet.strace.files import AT_FLAGS, fd_at
from ringlet.strace.names import Flags, Names
from ringlet.strace.text import (
    address,
    int_,
    long_,
    path,
    seconds,
    signal,
    signed32,
    signed64,
    ticks,
    uint,
    ulong,
    utc,
)

_UTIME_NOW: Final = (1 << 30) - 1
_UTIME_OMIT: Final = (1 << 30) - 2

CLOCKS: Final = Names("CLOCK_???", """
    CLOCK_REALTIME=0 CLOCK_MONOTONIC=1 CLOCK_PROCESS_CPUTIME_ID=2 CLOCK_THREAD_CPUTIME_ID=3
    CLOCK_MONOTONIC_RAW=4 CLOCK_REALTIME_COARSE=5 CLOCK_MONOTONIC_COARSE=6 CLOCK_BOOTTIME=7
    CLOCK_REALTIME_ALARM=8 CLOCK_BOOTTIME_ALARM=9 CLOCK_SGI_CYCLE=10 CLOCK_TAI=11""")
_TIMER_FLAGS: Final = Flags("TIMER_???", "TIMER_ABSTIME=1")
_ITIMERS: Final = Names("ITIMER_???", "ITIMER_REAL=0 ITIMER_VIRTUAL=1 ITIMER_PROF=2")
_TFD_FLAGS: Final = Flags("TFD_???", """
    TFD_TIMER_ABSTIME=0x1 TFD_TIMER_CANCEL_ON_SET=0x2 TFD_CLOEXEC=0o2000000
    TFD_NONBLOCK=0o4000""")

timespec: Final = Structure("<2Q", tv_sec=long_, tv_nsec=ulong)
timeval: Final = Structure("<2Q", tv_sec=long_, tv_usec=ulong)
_timezone: Final = Structure("<2I", tz_minuteswest=int_, tz_dsttime=int_)


def pair(item: Structure) -> Format:
    """``struct itimerspec`` and ``struct itimerval``."""

    def text(call: Call, data: bytes) -> str:
        interval, value = data[: item.size], data[item.size :]
        return f"{{it_interval={item.text(call, interval)}, it_value={item.text(call, value)}}}"

    return custom(2 * item.size, text)


itimerspec: Final = pair(timespec)
itimerval: Final = pair(timeval)


def _remaining(call: Call, va: int) -> str:
    """What is left of a sleep: filled only if it was interrupted."""
    data = call.memory.read(va, timespec.size) if va and call.restarted else None
    return address(call, va) if data is None else timespec.text(call, data)


def _remaining_absolute(call: Call, va: int) -> str:
    """``rmtp`` of clock_nanosleep(2): of no use with TIMER_ABSTIME."""
    return address(call, va) if call.arguments[1] else _remaining(call, va)


def _dated(item: Structure, digits: int) -> Format:
    """Two time stamps for a file, with their dates."""

    def one(call: Call, data: bytes) -> str:
        sec, part = struct.unpack("<2Q", data)
        if digits == 9 and part in (_UTIME_NOW, _UTIME_OMIT):
            return "UTIME_NOW" if part == _UTIME_NOW else "UTIME_OMIT"
        date = utc(signed64(sec), part, digits)
        return item.text(call, data) + (f" /* {date} */" if date else "")

    return custom(32, lambda call, data: f"[{one(call, data[:16])}, {one(call, data[16:])}]")


# ---------------------------------------------------------------------------- sigevent

_NOTIFY: Final = Names("SIGEV_???", """
    SIGEV_SIGNAL=0 SIGEV_NONE=1 SIGEV_THREAD=2 SIGEV_THREAD_ID=4""")


def _sigevent(call: Call, data: bytes) -> str:
    value, signo, notify = struct.unpack_from("<QII", data)
    text = "{"
    if value:
        text += f"sigev_value={{sival_int={signed32(value)}, sival_ptr={address(call, value)}}}, "
    name = signal(call, signo) if notify in (0, 2, 4) else str(signo)
    text += f"sigev_signo={name}, sigev_notify={_NOTIFY(call, notify)}"
    if notify == 4:  # SIGEV_THREAD_ID
        text += f", sigev_notify_thread_id={struct.unpack_from('<i', data, 16)[0]}"
    elif notify == 2:  # SIGEV_THREAD
        function, attributes = struct.unpack_from("<2Q", data, 16)
        text += (f", sigev_notify_function={address(call, function)}"
                 f", sigev_notify_attributes={address(call, attributes)}")
    return text + "}"


# ---------------------------------------------------------------------------- results

def _date_result(call: Call, value: int) -> str:
    """What time(2) returns."""
    date = utc(signed64(value))
    return f"{value} ({date})" if date else str(value)


CALLS: Final[dict[str, Signature | Choice]] = {
    "nanosleep": Signature(timespec, Out(_remaining)),
    "getitimer": Signature(_ITIMERS, Out(itimerval)),
    "alarm": Signature(uint),
    "setitimer": Signature(_ITIMERS, itimerval, Out(itimerval)),
    "gettimeofday": Signature(Out(timeval), Out(_timezone)),
    "settimeofday": Signature(timeval, _timezone),
    "times": Signature(Out(Structure("<4Q", tms_utime=ticks, tms_stime=ticks, tms_cutime=ticks,
                                     tms_cstime=ticks))),
    "utime": Signature(path, Structure("<2Q", actime=seconds, modtime=seconds)),
    "time": Signature(Out(indirect(seconds, 8)), result=_date_result),
    "timer_create": Signature(CLOCKS, custom(32, _sigevent), Out(indirect(int_))),
    "timer_settime": Signature(int_, _TIMER_FLAGS, itimerspec, Out(itimerspec)),
    "timer_gettime": Signature(int_, Out(itimerspec)),
    "timer_getoverrun": Signature(int_),
    "timer_delete": Signature(int_),
    "clock_settime": Signature(CLOCKS, timespec),
    "clock_gettime": Signature(CLOCKS, Out(timespec)),
    "clock_getres": Signature(CLOCKS, Out(timespec)),
    "clock_nanosleep": Signature(CLOCKS, _TIMER_FLAGS, timespec, Out(_remaining_absolute)),
    "utimes": Signature(path, _dated(timeval, 6)),
    "futimesat": Signature(fd_at, path, _dated(timeval, 6)),
    "utimensat": Signature(fd_at, path, _dated(timespec, 9), AT_FLAGS),
    "timerfd_create": Signature(CLOCKS, _TFD_FLAGS),
    "timerfd_settime": Signature(int_, _TFD_FLAGS, itimerspec, Out(itimerspec)),
    "timerfd_gettime": Signature(int_, Out(itimerspec)),
}
