"""What the vDSO reads: a page that each program has mapped, read-only.

See: Linux include/vdso/datapage.h struct vdso_time_data.
"""

from emulator.arch.paging import PAGE_SIZE
from guest_kernel.layout.declare import I32, U8, U32, U64, Array, Struct


class vdso_data(Struct):
    """The data of the vDSO; a page of its own, because ring 3 sees all of it."""

    seq = U32("odd while the rest is written; changed each time")
    tz_minuteswest = I32("minutes west of Greenwich")
    tz_dsttime = I32("kind of summer time")
    basetime = U64("wall-clock ns at clock 0: sched_data.xtime_base")
    rest = Array(U8, PAGE_SIZE - 24, "zeros")
