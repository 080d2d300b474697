"""What time it is: the TSC, which counts virtual nanoseconds, plus the base read from the CMOS.

See: Linux kernel/time/timekeeping.c; clock_gettime(2).
"""

from __future__ import annotations

from typing import Final

from guest_kernel.kernel import Kernel
from guest_kernel.layout.sched import sched_data
from guest_kernel.layout.vdso import vdso_data

NSEC_PER_SEC: Final = 1_000_000_000
NSEC_PER_USEC: Final = 1000

_XTIME_BASE: Final = sched_data.offsetof("xtime_base")


def ktime_get(k: Kernel) -> int:
    """Return CLOCK_MONOTONIC in nanoseconds."""
    return k.machine.clock


def ktime_get_real_ns(k: Kernel) -> int:
    """Return CLOCK_REALTIME: nanoseconds since 1970."""
    base: int = k.u64[(k.data(sched_data).pa + _XTIME_BASE) >> 3]
    return k.machine.clock + base


def timekeeping_init(k: Kernel) -> None:
    """Read the wall clock from the CMOS.  See Linux read_persistent_clock64()."""
    # CLOCK_REALTIME is never behind CLOCK_MONOTONIC: in 1970 it is ahead by what booting took.
    set_xtime_base(k, max(0, _mc146818_get_time(k) * NSEC_PER_SEC - ktime_get(k)))


def set_xtime_base(k: Kernel, base: int) -> None:
    """Set how far the wall clock is ahead of the monotonic one, in ns."""
    k.data(sched_data).xtime_base = base
    update_vsyscall(k)


def update_vsyscall(k: Kernel) -> None:
    """Tell the vDSO of the wall clock and the time zone."""
    data, source = k.data(vdso_data), k.data(sched_data)
    data.seq += 1  # ring 3 does not run meanwhile, but may have read a part already
    data.basetime = source.xtime_base
    data.tz_minuteswest = source.sys_tz.tz_minuteswest
    data.tz_dsttime = source.sys_tz.tz_dsttime
    data.seq += 1


def _mc146818_get_time(k: Kernel) -> int:
    """Return the CMOS time of day in seconds since 1970.  See Linux rtc-mc146818-lib.c."""
    def cmos(register: int) -> int:
        k.machine.write(0x70, 1, register)
        return k.machine.read(0x71, 1)

    while cmos(0x0A) & 0x80:  # UIP: an update is in progress
        pass
    fields = [cmos(register) for register in (0x00, 0x02, 0x04, 0x07, 0x08, 0x09)]
    if not cmos(0x0B) & 0x04:  # DM: BCD unless set
        fields = [(value >> 4) * 10 + (value & 15) for value in fields]
    second, minute, hour, day, month, year = fields
    year += 1900 if year >= 70 else 2000  # there is no register for the century
    return mktime64(year, month, day, hour, minute, second)


def mktime64(year: int, month: int, day: int, hour: int, minute: int, second: int) -> int:
    """Return the seconds from 1970 to a time of the Gregorian calendar.  See Linux mktime64()."""
    # Years begin in March, so that the leap day is their last; 1970 begins at day 719 468.
    month = (month + 9) % 12
    year -= month // 10
    days = (365 * year + year // 4 - year // 100 + year // 400 + (306 * month + 5) // 10
            + day - 1 - 719_468)
    return ((days * 24 + hour) * 60 + minute) * 60 + second
