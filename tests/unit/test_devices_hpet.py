"""The event timer on a clock that the test turns by hand."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from emulator.devices.hpet import Hpet

CONFIG, STATUS, COUNTER = 0x10, 0x20, 0xF0
INT_LEVEL, INT_ENB, PERIODIC, VAL_SET, MODE32 = 2, 4, 8, 0x40, 0x100
ENABLE, LEGACY = 1, 2


def timer(n: int) -> int:
    return 0x100 + 0x20 * n


def comparator(n: int) -> int:
    return 0x108 + 0x20 * n


def route(irq: int) -> int:
    return irq << 9


class Bench:
    """A timer block, its clock, and what its lines have done."""

    def __init__(self) -> None:
        self.time = 1_000
        self.edges: list[tuple[int, int]] = []  # (time, irq) of each rising edge
        self.high: set[int] = set()
        self.hpet = Hpet(lambda: self.time, self.set_irq)

    def set_irq(self, irq: int, level: bool) -> None:
        if level and irq not in self.high:
            self.edges.append((self.time, irq))
        (self.high.add if level else self.high.discard)(irq)

    def write(self, offset: int, value: int, size: int = 8) -> None:
        self.hpet.write_mmio(offset, size, value)

    def read(self, offset: int, size: int = 8) -> int:
        return self.hpet.read_mmio(offset, size)

    def run_until(self, end: int) -> None:
        """Do what the machine does: jump from event to event."""
        while (event := self.hpet.next_event()) is not None and event <= end:
            self.time = max(self.time, event)
            self.hpet.tick(self.time)
        self.time = end
        self.hpet.tick(end)


def test_capabilities_are_those_of_a_1_ns_timer() -> None:
    """Do ID and period read as the specification lays them out, in either access size?"""
    bench = Bench()
    capabilities = bench.read(0)
    assert capabilities >> 32 == bench.read(4, size=4) == 1_000_000
    assert capabilities >> 16 & 0xFFFF == 0x8086
    assert capabilities >> 8 & 0x1F == 2  # the number of the last timer
    assert capabilities & (1 << 13 | 1 << 15) == 1 << 13 | 1 << 15
    assert bench.read(timer(2)) & 0x30 == 0x30  # periodic and 64 bits


def test_counter_runs_only_while_enabled() -> None:
    """Does ENABLE_CNF start and stop the counter without losing its value?"""
    bench = Bench()
    assert bench.read(COUNTER) == 0
    bench.write(COUNTER, 7)
    bench.write(CONFIG, ENABLE)
    bench.time += 100
    assert bench.read(COUNTER) == 107
    bench.write(CONFIG, 0)
    bench.time += 50
    assert bench.read(COUNTER) == 107
    bench.write(CONFIG, ENABLE)
    bench.time += 1
    assert bench.read(COUNTER) == 108


def test_halves_of_the_counter() -> None:
    """Do 4-byte accesses reach the two halves of a register?"""
    bench = Bench()
    bench.write(COUNTER + 4, 0x11, size=4)
    bench.write(COUNTER, 0x22, size=4)
    assert bench.read(COUNTER) == 0x11_0000_0022
    assert bench.read(COUNTER + 4, size=4) == 0x11


@pytest.mark.parametrize(("n", "irq"), [(0, 0), (1, 8), (2, 11)])
def test_one_shot_interrupts_once_at_the_match(n: int, irq: int) -> None:
    """Does a comparator raise its line at exactly its time, once, with legacy routing?"""
    bench = Bench()
    bench.write(timer(n), INT_ENB | route(11))
    bench.write(comparator(n), 500)
    assert bench.hpet.next_event() is None
    bench.write(CONFIG, ENABLE | LEGACY)
    assert bench.hpet.next_event() == 1_500
    bench.run_until(10_000)
    assert bench.edges == [(1_500, irq)]
    assert bench.read(STATUS) == 0  # edge-triggered interrupts have no status


def test_without_legacy_routing_the_timer_says_where() -> None:
    """Does INT_ROUTE_CNF choose the line, and does a route that is not there not stick?"""
    bench = Bench()
    bench.write(timer(0), INT_ENB | route(5))
    bench.write(timer(0), INT_ENB | route(2))
    assert bench.read(timer(0)) & 0x3E00 == route(5)
    bench.write(comparator(0), 10)
    bench.write(CONFIG, ENABLE)
    bench.run_until(2_000)
    assert bench.edges == [(1_010, 5)]


def test_timer_without_interrupt_enable_is_no_event() -> None:
    """Is a comparator with INT_ENB_CNF clear nothing for the machine to wait for?"""
    bench = Bench()
    bench.write(comparator(0), 500)
    bench.write(CONFIG, ENABLE)
    assert bench.hpet.next_event() is None
    bench.run_until(3_000)
    assert bench.edges == []


def test_periodic_timer_as_linux_programs_it() -> None:
    """Do VAL_SET and two writes of the comparator set the first match and the period?"""
    bench = Bench()
    bench.write(CONFIG, ENABLE | LEGACY)
    bench.write(timer(0), INT_ENB | PERIODIC | VAL_SET)
    bench.write(comparator(0), 300)
    assert not bench.read(timer(0)) & VAL_SET
    bench.write(comparator(0), 1_000)
    bench.run_until(5_000)
    assert [time for time, _ in bench.edges] == [1_300, 2_300, 3_300, 4_300]
    assert bench.read(comparator(0)) == 4_300


def test_late_tick_is_one_interrupt_and_keeps_the_rhythm() -> None:
    """After several missed periods, is there one interrupt, and the next one on the beat?"""
    bench = Bench()
    bench.write(timer(0), INT_ENB | PERIODIC | VAL_SET | route(4))
    bench.write(comparator(0), 100)
    bench.write(CONFIG, ENABLE)
    bench.time = 1_000 + 350
    bench.hpet.tick(bench.time)
    assert bench.edges == [(1_350, 4)]
    assert bench.hpet.next_event() == 1_400
    assert bench.read(comparator(0)) == 400


def test_comparator_in_the_past_waits_for_the_wrap() -> None:
    """Is a 32-bit comparator that was just missed due when the counter comes round?"""
    bench = Bench()
    bench.write(COUNTER, 600)
    bench.write(CONFIG, ENABLE)
    bench.write(timer(1), INT_ENB | MODE32 | route(7))
    bench.write(comparator(1), 500)
    assert bench.hpet.next_event() == 1_000 - 100 + (1 << 32)
    bench.run_until(1_000 - 100 + (1 << 32))
    assert bench.hpet.next_event() == 1_000 - 100 + (2 << 32)


def test_level_timer_holds_its_line_until_the_status_is_cleared() -> None:
    """Does a level-triggered timer set its status bit, and a 1 written there end both?"""
    bench = Bench()
    bench.write(timer(1), INT_ENB | INT_LEVEL | route(9))
    bench.write(comparator(1), 10)
    bench.write(CONFIG, ENABLE)
    bench.run_until(2_000)
    assert bench.read(STATUS) == 1 << 1
    assert bench.high == {9}
    bench.write(STATUS, 1 << 0)
    assert bench.high == {9}
    bench.write(STATUS, 1 << 1)
    assert bench.high == set()
    assert bench.read(STATUS) == 0


def test_level_timers_can_share_a_line() -> None:
    """Is a line low only when no timer holds it?"""
    bench = Bench()
    for n in (1, 2):
        bench.write(timer(n), INT_ENB | INT_LEVEL | route(9))
        bench.write(comparator(n), 10)
    bench.write(CONFIG, ENABLE)
    bench.run_until(2_000)
    bench.write(STATUS, 1 << 1)
    assert bench.high == {9}
    bench.write(STATUS, 1 << 2)
    assert bench.high == set()


def test_32_bit_mode_cuts_the_comparator() -> None:
    """Does setting 32MODE_CNF leave the low half, and aim the timer at it?"""
    bench = Bench()
    bench.write(comparator(0), 0x1_0000_0064)
    bench.write(CONFIG, ENABLE)
    bench.write(timer(0), INT_ENB | MODE32 | route(5))
    assert bench.read(comparator(0)) == 100
    assert bench.hpet.next_event() == 1_100


def test_val_set_lasts_until_the_low_half_is_written() -> None:
    """Can a guest with 4-byte stores set a 64-bit accumulator, high half first?"""
    bench = Bench()
    bench.write(timer(0), PERIODIC | VAL_SET)
    bench.write(comparator(0) + 4, 0x12, size=4)
    bench.write(comparator(0), 0x34, size=4)
    bench.write(comparator(0), 1_000)
    assert bench.read(comparator(0)) == 0x12_0000_0034


def test_status_is_set_without_interrupt_enable() -> None:
    """Can a guest poll a level-triggered timer whose interrupt is off, and turn it on late?"""
    bench = Bench()
    bench.write(timer(0), INT_LEVEL | route(9))
    bench.write(comparator(0), 10)
    bench.write(CONFIG, ENABLE)
    bench.time += 10
    assert bench.read(STATUS) == 1
    assert bench.high == set()
    bench.write(timer(0), INT_LEVEL | INT_ENB | route(9))
    assert bench.high == {9}


def test_halting_drops_the_lines_but_keeps_the_status() -> None:
    """Does clearing ENABLE_CNF take all interrupts away, while the status waits for software?"""
    bench = Bench()
    bench.write(timer(0), INT_ENB | route(3))
    bench.write(timer(1), INT_ENB | INT_LEVEL | route(9))
    bench.write(comparator(0), 10)
    bench.write(comparator(1), 10)
    bench.write(CONFIG, ENABLE)
    bench.run_until(2_000)
    assert bench.high == {3, 9}
    bench.write(CONFIG, 0)
    assert bench.high == set()
    assert bench.read(STATUS) == 1 << 1
    assert bench.hpet.next_event() is None


def test_register_access_catches_up() -> None:
    """Does reading a register after a deadline raise the line that the machine has not ticked?"""
    bench = Bench()
    bench.write(timer(0), INT_ENB | route(6))
    bench.write(comparator(0), 10)
    bench.write(CONFIG, ENABLE)
    bench.time += 10
    bench.read(COUNTER)
    assert bench.high == {6}


def test_reserved_registers_read_zero() -> None:
    """Are the FSB route and unused offsets 0, and writes to them without effect?"""
    bench = Bench()
    before = bench.hpet.save()
    for offset in (0x08, 0x110, 0x160, 0x3F8):
        bench.write(offset, (1 << 64) - 1)
        assert bench.read(offset) == 0
    assert bench.hpet.save() == before


@settings(max_examples=60, deadline=None)
@example(first=1, period=1, cut=0, mode=MODE32, start=(1 << 32) - 1)
@given(
    first=st.integers(1, 5_000), period=st.integers(1, 2_000), cut=st.integers(0, 10_000),
    mode=st.sampled_from([0, MODE32]), start=st.integers(0, (1 << 33)),
)
def test_restored_timer_goes_on_in_step(
    first: int, period: int, cut: int, mode: int, start: int
) -> None:
    """Do the interrupts come at first + n * period, with a snapshot restored in between?"""
    bench = Bench()
    width = 1 << 32 if mode else 1 << 64
    bench.write(COUNTER, start)
    bench.write(timer(0), INT_ENB | PERIODIC | VAL_SET | mode)
    bench.write(comparator(0), (start + first) % width)
    bench.write(comparator(0), period)
    bench.write(CONFIG, ENABLE | LEGACY)  # last: the comparator's first value may be the counter's
    bench.run_until(1_000 + cut)
    saved = bench.hpet.save()
    bench.hpet = Hpet(lambda: bench.time, bench.set_irq)
    bench.hpet.restore(saved)
    bench.run_until(12_000)
    assert bench.edges == [(time, 0) for time in range(1_000 + first, 12_001, period)]
