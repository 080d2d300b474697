"""Timers: how often they tick, and what they leave behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from guest_kernel.time.hrtimer import TICK_NSEC
from ringlet.session import Session
from tests.guest import compile_c

HERE = Path(__file__).parent
MS = 1_000_000
# From the setting of a timer to the reading of the clock, and from its last tick to the handler.
SLACK = 20_000


@pytest.mark.parametrize("quantum", [None, 20_000])
def test_interval_timers_tick_at_their_rate(quantum: int | None) -> None:
    """Is the number of ticks the one that follows from the time, exactly?"""
    program = str(compile_c(HERE / "itimer_rate.c"))
    with Session(seed=1, quantum=quantum) as session:
        result = session.run([program], timeout=10)
    assert result.status == 0
    lines = [[int(word) for word in line.split()] for line in result.output.splitlines()]
    first = [MS, 300_000, MS + TICK_NSEC, MS + TICK_NSEC, MS + TICK_NSEC]
    assert [line[0] for line in lines] == [0, 0, 2, 2, 1]
    for (_, elapsed, ticks, interval), value in zip(lines, first, strict=True):
        # The program looks in the middle of an interval: what the calls take does not matter.
        since = (elapsed - value) % (interval * 1000)
        assert SLACK < since < interval * 1000 - SLACK
        assert ticks == 1 + (elapsed - value) // (interval * 1000)
