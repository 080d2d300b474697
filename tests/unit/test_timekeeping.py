"""The calendar that the kernel reads the CMOS with, against Python's."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from guest_kernel.time.timekeeping import mktime64


@given(st.datetimes(datetime(1900, 1, 1), datetime(2400, 12, 31), timezones=st.just(UTC)))
def test_mktime64_counts_from_1970(when: datetime) -> None:
    """Is each moment as many seconds from 1970 as Python says?"""
    assert mktime64(when.year, when.month, when.day, when.hour, when.minute,
                    when.second) == int(when.replace(microsecond=0).timestamp())


def test_mktime64_knows_the_leap_years() -> None:
    """Is 29 February the day before 1 March in leap years, and only there?"""
    for year, days in ((1900, 1), (1970, 1), (2000, 2), (2023, 1), (2024, 2), (2100, 1)):
        february, march = (mktime64(year, month, day, 0, 0, 0) for month, day in ((2, 28), (3, 1)))
        assert march - february == days * 86_400
