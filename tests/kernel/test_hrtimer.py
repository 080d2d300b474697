"""The queue of timers against a model: any timers, armed, put off, cancelled, on two clocks."""

from __future__ import annotations

from dataclasses import dataclass, field
from unittest.mock import patch

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from emulator.memory import Ram
from guest_kernel.layout.declare import KERNEL_LOAD, START_KERNEL_MAP, Struct
from guest_kernel.layout.page import mm_data
from guest_kernel.layout.sched import (
    HRTIMER_BASE_MONOTONIC,
    HRTIMER_BASE_REALTIME,
    hrtimer,
    pcpu_hot,
    sched_data,
)
from guest_kernel.lib.rbtree import rbtree_inorder_for_each_entry
from guest_kernel.mm.page_alloc import mem_init
from guest_kernel.mm.slab import kmem_cache_init, kzalloc
from guest_kernel.time import hrtimer as hrtimers
from guest_kernel.time.hrtimer import (
    HPET_T0_COMPARATOR,
    HPET_T0_CONFIG,
    NEVER,
    T0_OFF,
    clock_was_set,
    hrtimer_cancel,
    hrtimer_forward,
    hrtimer_interrupt,
    hrtimer_remaining,
    hrtimer_restart,
    hrtimer_start,
    hrtimers_init,
    reprogram,
)
from tests.kernel.conftest import BareKernel

SIZE = 4 << 20
IMAGE_END = KERNEL_LOAD + 0x4_0000
NOTE = 1000  # number of the timers' function
WALL = 10**12  # the wall clock at clock 0
TIMERS = 6
TIMES = st.integers(0, 3000)
GLOBALS: tuple[type[Struct], ...] = (mm_data, sched_data, pcpu_hot)


@dataclass
class FakeMachine:
    """A clock, and the comparator of an HPET."""

    clock: int = 0
    comparator: int | None = None
    writes: list[int] = field(default_factory=list)

    def write_mmio(self, address: int, _: int, value: int) -> None:
        if address == HPET_T0_COMPARATOR:
            assert value > self.clock
            self.comparator = value
        elif address == HPET_T0_CONFIG and value == T0_OFF:
            self.comparator = None


class TimerKernel(BareKernel):
    """A kernel on RAM, with that machine."""

    def __init__(self, ram: Ram, machine: FakeMachine) -> None:
        symbols, va = {}, START_KERNEL_MAP + KERNEL_LOAD + 0x1000
        for kind in GLOBALS:
            symbols[kind.__name__] = va
            va += -(-kind.size // 64) * 64
        assert va - START_KERNEL_MAP <= IMAGE_END
        super().__init__(ram, symbols, IMAGE_END)
        self.machine = machine  # type: ignore[assignment]  # all of it that timers use


class Timers(RuleBasedStateMachine):
    """What is armed, and what has expired, in order."""

    def __init__(self) -> None:
        super().__init__()
        self.machine = FakeMachine()
        self.k = k = TimerKernel(Ram(SIZE), self.machine)
        mem_init(k, SIZE, IMAGE_END, [(0, IMAGE_END)])
        kmem_cache_init(k)
        self.data = k.data(sched_data)
        self.data.xtime_base = WALL
        self.data.runqueues.hrtick = NEVER
        hrtimers_init(k)
        self.timers = [kzalloc(k, hrtimer) for _ in range(TIMERS)]
        self.armed: dict[int, tuple[int, int]] = {}  # base and expiry
        self.fired: list[int] = []
        self.patch = patch.dict(hrtimers.FUNCTIONS,
                                {NOTE: lambda timer: self.fired.append(timer.data)})
        self.patch.start()

    def teardown(self) -> None:
        self.patch.stop()

    def when(self, which: int) -> int:
        """Return when an armed timer expires, in monotonic ns."""
        base, expires = self.armed[which]
        return expires - (self.data.xtime_base if base else 0)

    def interrupt(self) -> None:
        """The comparator has matched: run the handler; look what has expired."""
        self.machine.comparator = None
        self.fired.clear()
        due = {which for which in self.armed if self.when(which) <= self.machine.clock}
        hrtimer_interrupt(self.k)
        assert sorted(self.fired) == sorted(due)
        for base in (HRTIMER_BASE_MONOTONIC, HRTIMER_BASE_REALTIME):
            times = [self.when(which) for which in self.fired if self.armed[which][0] == base]
            assert times == sorted(times)
        for which in due:
            del self.armed[which]

    @rule(which=st.integers(0, TIMERS - 1), base=st.sampled_from([0, 1]), delay=TIMES)
    def start(self, which: int, base: int, delay: int) -> None:
        expires = self.machine.clock + delay + (self.data.xtime_base if base else 0)
        hrtimer_start(self.timers[which], expires, NOTE, which, base)
        self.armed[which] = base, expires
        assert hrtimer_remaining(self.timers[which]) == delay

    @rule(which=st.integers(0, TIMERS - 1), base=st.sampled_from([0, 1]), expires=TIMES)
    def start_in_the_past(self, which: int, base: int, expires: int) -> None:
        """On the wall clock: long before the machine was switched on."""
        hrtimer_start(self.timers[which], expires, NOTE, which, base)
        self.armed[which] = base, expires

    @rule(which=st.integers(0, TIMERS - 1))
    def cancel(self, which: int) -> None:
        hrtimer_cancel(self.timers[which])
        self.armed.pop(which, None)

    @rule(which=st.integers(0, TIMERS - 1), interval=st.integers(1, 500))
    def forward(self, which: int, interval: int) -> None:
        """Arm it again, so many intervals after it expired that it is in the future."""
        timer = self.timers[which]
        if which in self.armed or not timer.expires:
            return
        before, base = timer.expires, timer.base
        missed = hrtimer_forward(timer, interval)
        assert timer.expires == before + missed * interval
        assert hrtimer_remaining(timer) > 0
        assert not missed or hrtimer_remaining(timer) <= interval
        hrtimer_restart(timer)
        self.armed[which] = base, timer.expires

    @rule(delta=st.integers(-2000, 2000))
    def set_wall_clock(self, delta: int) -> None:
        self.data.xtime_base += delta
        clock_was_set(self.k)

    @rule()
    def go_idle(self) -> None:
        """Before an idle sleep the comparator is set to the next event, and nothing earlier."""
        reprogram(self.k)
        earliest = min((self.when(which) for which in self.armed), default=None)
        if earliest is None:
            assert self.machine.comparator is None
        elif earliest > self.machine.clock:
            assert self.machine.comparator == earliest

    @rule(duration=TIMES)
    def time_passes(self, duration: int) -> None:
        end = self.machine.clock + duration
        while self.machine.comparator is not None and self.machine.comparator <= end:
            self.machine.clock = self.machine.comparator
            self.interrupt()
        self.machine.clock = end

    @precondition(lambda self: self.armed)
    @rule()
    def spurious_interrupt(self) -> None:
        self.interrupt()

    @invariant()
    def nothing_is_late(self) -> None:
        """Is the comparator set, and not later than the first timer?"""
        for which in self.armed:
            assert self.machine.comparator is not None
            assert self.machine.comparator <= max(self.when(which), self.machine.clock + 1)

    @invariant()
    def trees_hold_what_is_armed(self) -> None:
        bases = self.data.hrtimer_bases
        for index, base in enumerate(bases.clock_base):
            queued = list(rbtree_inorder_for_each_entry(base.active, hrtimer, "node"))
            expected = {which for which, (b, _) in self.armed.items() if b == index}
            assert {timer.data for timer in queued} == expected
            assert all(timer.is_queued for timer in queued)
            assert [t.expires for t in queued] == sorted(t.expires for t in queued)
            assert bool(bases.active_bases & 1 << index) == bool(expected)


Timers.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestTimers = Timers.TestCase
