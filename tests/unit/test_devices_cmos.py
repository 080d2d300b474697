"""The real-time clock, on a virtual clock and with Python's calendar as the second source."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.devices.cmos import Cmos
from emulator.devices.device import UnsupportedError

NS = 1_000_000_000
A, B, C, D = 0x0A, 0x0B, 0x0C, 0x0D
SET, BINARY, HOURS_24 = 0x80, 0x04, 0x02


class Bench:
    def __init__(self, when: datetime) -> None:
        self.time = 0
        self.cmos = Cmos(lambda: self.time, int(when.timestamp()))

    def read(self, index: int) -> int:
        self.cmos.write_port(0x70, 1, index)
        return self.cmos.read_port(0x71, 1)

    def write(self, index: int, value: int) -> None:
        self.cmos.write_port(0x70, 1, index)
        self.cmos.write_port(0x71, 1, value)

    def clock(self) -> list[int]:
        """Seconds, minutes, hours, day of the week, day, month, year."""
        return [self.read(index) for index in (0, 2, 4, 6, 7, 8, 9)]


def test_time_is_bcd_and_24_hours_at_first() -> None:
    """Does a clock that nobody has set up read as a PC's firmware leaves it?"""
    bench = Bench(datetime(2024, 2, 29, 23, 59, 58, tzinfo=UTC))
    assert bench.clock() == [0x58, 0x59, 0x23, 5, 0x29, 0x02, 0x24]
    bench.time = 2 * NS
    assert bench.clock() == [0, 0, 0, 6, 0x01, 0x03, 0x24]


@pytest.mark.parametrize(
    ("hour", "bcd", "binary"),
    [(0, 0x12, 12), (1, 0x01, 1), (12, 0x92, 0x8C), (23, 0x91, 0x8B)],
)
def test_twelve_hour_mode_has_a_pm_bit(hour: int, bcd: int, binary: int) -> None:
    """Are midnight and noon 12, the latter with bit 7 set, in both data modes?"""
    bench = Bench(datetime(2024, 1, 1, hour, tzinfo=UTC))
    bench.write(B, 0)
    assert bench.read(4) == bcd
    bench.write(B, BINARY)
    assert bench.read(4) == binary


def test_update_in_progress_warns_before_the_second_ends() -> None:
    """Is UIP set for the last 244 microseconds of each second, and never while SET is on?"""
    bench = Bench(datetime(2024, 1, 1, tzinfo=UTC))
    bench.time = NS - 244_001
    assert bench.read(A) == 0x26
    bench.time = NS - 244_000
    assert bench.read(A) == 0xA6
    bench.write(B, SET | HOURS_24)
    assert bench.read(A) == 0x26


def test_update_ended_flag_is_cleared_by_reading() -> None:
    """Can a guest wait for the next second by polling status C?"""
    bench = Bench(datetime(2024, 1, 1, tzinfo=UTC))
    assert bench.read(C) == 0
    bench.time = NS
    assert [bench.read(C), bench.read(C)] == [0x10, 0]


def test_clock_stands_while_it_is_set() -> None:
    """Does SET freeze the time, and clearing it start the clock from what was written?"""
    bench = Bench(datetime(2024, 1, 1, tzinfo=UTC))
    bench.write(B, SET | HOURS_24)
    bench.time = 10 * NS
    assert bench.read(0) == 0
    for index, value in ((0, 0x30), (2, 0x45), (4, 0x06), (7, 0x31), (8, 0x12), (9, 0x99)):
        bench.write(index, value)
    bench.time = 20 * NS
    bench.write(B, HOURS_24)
    bench.time = 21 * NS
    assert bench.clock() == [0x31, 0x45, 0x06, 6, 0x31, 0x12, 0x99]


def test_field_can_be_set_while_the_clock_runs() -> None:
    """Does one write without SET change that field alone?"""
    bench = Bench(datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC))
    bench.write(4, 0x15)
    assert bench.clock() == [0x09, 0x08, 0x15, 2, 0x06, 0x05, 0x24]


def test_impossible_date_carries() -> None:
    """Is the 31st of February the 2nd of March, and month 13 January of the next year?"""
    bench = Bench(datetime(2024, 1, 31, tzinfo=UTC))
    bench.write(8, 0x02)
    assert bench.clock()[4:] == [0x02, 0x03, 0x24]
    bench.write(8, 0x13)
    assert bench.clock()[4:] == [0x02, 0x01, 0x25]


def test_memory_keeps_114_bytes() -> None:
    """Do all bytes from 0x0E to 0x7F hold what is written, with the NMI mask in the index?"""
    bench = Bench(datetime(2024, 1, 1, tzinfo=UTC))
    for index in range(0x0E, 0x80):
        bench.write(index | 0x80, index ^ 0xFF)
    assert bench.cmos.nmi_masked
    assert [bench.read(index) for index in range(0x0E, 0x80)] == [
        index ^ 0xFF for index in range(0x0E, 0x80)
    ]
    assert not bench.cmos.nmi_masked


def test_status_d_says_the_battery_is_good() -> None:
    """Are status C and D read-only, VRT set, and the index port write-only?"""
    bench = Bench(datetime(2024, 1, 1, tzinfo=UTC))
    bench.write(C, 0xFF)
    bench.write(D, 0)
    assert (bench.read(C), bench.read(D)) == (0, 0x80)
    assert bench.cmos.read_port(0x70, 1) == 0xFF


@pytest.mark.parametrize("bit", [0x40, 0x20, 0x10, 0x01])
def test_interrupts_and_daylight_saving_are_refused(bit: int) -> None:
    """Does asking for what the clock does not have say so?"""
    bench = Bench(datetime(2024, 1, 1, tzinfo=UTC))
    with pytest.raises(UnsupportedError, match=f"cmos: status B {bit | 2:#04x}: the clock has no"):
        bench.write(B, HOURS_24 | bit)


@settings(max_examples=100, deadline=None)
@given(
    when=st.datetimes(datetime(1970, 1, 1), datetime(2069, 12, 31), timezones=st.just(UTC)),
    mode=st.sampled_from([0, BINARY, HOURS_24, BINARY | HOURS_24]),
)
def test_reading_and_setting_agree_with_the_calendar(when: datetime, mode: int) -> None:
    """In every format, does the clock show the calendar's date, and take it back unchanged?"""
    bench = Bench(when)
    bench.write(B, BINARY | HOURS_24)
    assert bench.clock() == [
        when.second, when.minute, when.hour, when.isoweekday() % 7 + 1,
        when.day, when.month, when.year % 100,
    ]
    bench.write(B, mode)
    shown = bench.clock()
    other = Bench(datetime(2000, 1, 1, tzinfo=UTC))
    other.write(B, SET | mode)
    for index, value in zip((0, 2, 4, 6, 7, 8, 9), shown, strict=True):
        other.write(index, value)
    other.write(B, mode)
    assert other.clock() == shown
    restored = Bench(datetime(1990, 1, 1, tzinfo=UTC))
    restored.cmos.restore(other.cmos.save())
    assert restored.clock() == shown
