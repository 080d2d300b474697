"""The high precision event timer: a 64-bit counter of nanoseconds and three comparators.

The counter advances by one per nanosecond of the machine's virtual clock, so nothing has to count:
its value is worked out when it is read, and the time at which it will equal a comparator (the
timer's *deadline*) when a register changes.  The machine asks for the next deadline, runs until
then, and calls :meth:`Hpet.tick`.  A register access catches up by itself.

An edge-triggered timer pulls its line low and high again at each match, as the output of the 8254
does that it replaces, so that the interrupt controller finds the line high when it acknowledges.

Offers 64-bit and periodic operation for all timers, legacy replacement routing, and routing to any
line of the pair of 8259As except the cascade.  FSB delivery is not offered, and its bits read 0.
The specification leaves undefined, and here: the counter may be written while it runs; an access
that is not an aligned 4 or 8 bytes is served from the register that it begins in.  Several matches
of one timer before a tick are one interrupt.  While VAL_SET_CNF is set, a 32-bit guest writes the
high half of the comparator first: the write of the low half clears the bit.

See: Intel "IA-PC HPET (High Precision Event Timers) Specification" 1.0a, "Register Definitions",
"Theory of Operation".
"""

from typing import ClassVar, Final

from emulator.devices.device import Clock, Device, Record, SetIrq

NR_TIMERS: Final = 3
COUNTER_CLK_PERIOD: Final = 1_000_000  # femtoseconds: 1 ns

# Registers, by offset; timer n's are at 0x100 + 0x20 * n.
GENERAL_CAPABILITIES: Final = 0x000
GENERAL_CONFIGURATION: Final = 0x010
GENERAL_INTERRUPT_STATUS: Final = 0x020
MAIN_COUNTER_VALUE: Final = 0x0F0
TIMER_CONFIGURATION: Final = 0x100
TIMER_COMPARATOR: Final = 0x108
TIMER_STRIDE: Final = 0x20

# General capabilities and ID: revision 1, timers, 64-bit counter, legacy routing, vendor 8086h.
CAPABILITIES: Final = (
    1 | NR_TIMERS - 1 << 8 | 1 << 13 | 1 << 15 | 0x8086 << 16 | COUNTER_CLK_PERIOD << 32
)

# General configuration
ENABLE_CNF: Final = 1 << 0
LEG_RT_CNF: Final = 1 << 1

# Timer configuration and capability
INT_TYPE_CNF: Final = 1 << 1  # triggered by level
INT_ENB_CNF: Final = 1 << 2
TYPE_CNF: Final = 1 << 3  # periodic
PER_INT_CAP: Final = 1 << 4
SIZE_CAP: Final = 1 << 5  # 64 bits
VAL_SET_CNF: Final = 1 << 6
MODE32_CNF: Final = 1 << 8
INT_ROUTE_CNF: Final = 0x1F << 9
INT_ROUTE_SHIFT: Final = 9
INT_ROUTE_CAP: Final = 0xFFFB  # any line but 2, the cascade
TIMER_CAPABILITIES: Final = PER_INT_CAP | SIZE_CAP | INT_ROUTE_CAP << 32
TIMER_WRITABLE: Final = (
    INT_TYPE_CNF | INT_ENB_CNF | TYPE_CNF | VAL_SET_CNF | MODE32_CNF | INT_ROUTE_CNF
)

LEGACY_IRQ: Final = {0: 0, 1: 8}  # in place of the 8254 and of the clock's periodic interrupt

MASK64: Final = (1 << 64) - 1
NEVER: Final = -1  # a deadline, while the counter stands still
NO_IRQ: Final = -1


class HpetState(Record):
    """The registers; times are nanoseconds on the virtual clock, lists are by timer."""

    __slots__ = ("comparator", "config", "counter", "deadline", "driven", "period", "since",
                 "status", "timer_config")

    def __init__(self) -> None:
        self.config = 0
        self.status = 0  # bit n: timer n's level-triggered interrupt is active
        self.counter = 0  # the main counter, at the time ``since``
        self.since = 0
        self.timer_config = [0] * NR_TIMERS
        self.comparator = [MASK64] * NR_TIMERS
        self.period = [MASK64] * NR_TIMERS  # last written
        self.deadline = [NEVER] * NR_TIMERS
        self.driven = [NO_IRQ] * NR_TIMERS  # held high


class Hpet(Device[HpetState]):
    """The timer block."""

    name = "hpet"
    BASE: ClassVar = 0xFED0_0000
    SIZE: ClassVar = 0x400

    def __init__(self, now: Clock, set_irq: SetIrq) -> None:
        self.state = HpetState()
        self._now = now
        self._set_irq = set_irq

    def next_event(self) -> int | None:
        """Return the time of the first match that will interrupt, or None if there is none."""
        state = self.state
        armed = [
            deadline
            for deadline, config in zip(state.deadline, state.timer_config, strict=True)
            if deadline != NEVER and config & INT_ENB_CNF
        ]
        return min(armed, default=None)

    def tick(self, now: int) -> None:
        """Raise the line of each timer that has matched by ``now``, and aim at its next match."""
        state = self.state
        for timer, due in enumerate(state.deadline):
            if due == NEVER or due > now:
                continue
            width = self._width(timer)
            step = width
            if state.timer_config[timer] & TYPE_CNF:
                step = state.period[timer] or width
            matches = (now - due) // step + 1
            state.comparator[timer] = (state.comparator[timer] + matches * step) % width
            state.deadline[timer] = due + matches * step
            self._match(timer)

    def read_mmio(self, offset: int, size: int) -> int:
        now = self._now()
        self.tick(now)
        return self._register(offset & ~7, now) >> 8 * (offset & 7) & (1 << 8 * size) - 1

    def write_mmio(self, offset: int, size: int, value: int) -> None:
        now = self._now()
        self.tick(now)
        shift = 8 * (offset & 7)
        mask = (1 << 8 * size) - 1 << shift & MASK64
        self._set_register(offset & ~7, mask, value << shift & mask, now)

    def _counter(self, now: int) -> int:
        state = self.state
        elapsed = now - state.since if state.config & ENABLE_CNF else 0
        return state.counter + elapsed & MASK64

    def _width(self, timer: int) -> int:
        """Return the number of values after which the timer's view of the counter repeats."""
        return 1 << 32 if self.state.timer_config[timer] & MODE32_CNF else 1 << 64

    def _register(self, offset: int, now: int) -> int:
        """Return a 64-bit register; reserved ones, and the FSB routes, are 0."""
        state = self.state
        if offset == GENERAL_CAPABILITIES:
            return CAPABILITIES
        if offset == GENERAL_CONFIGURATION:
            return state.config
        if offset == GENERAL_INTERRUPT_STATUS:
            return state.status
        if offset == MAIN_COUNTER_VALUE:
            return self._counter(now)
        timer, register = divmod(offset - TIMER_CONFIGURATION, TIMER_STRIDE)
        if 0 <= timer < NR_TIMERS and register == 0:
            return state.timer_config[timer] | TIMER_CAPABILITIES
        if 0 <= timer < NR_TIMERS and register == TIMER_COMPARATOR - TIMER_CONFIGURATION:
            return state.comparator[timer]
        return 0

    def _set_register(self, offset: int, mask: int, value: int, now: int) -> None:
        """Write the bits of ``mask`` of a 64-bit register."""
        state = self.state
        timer, register = divmod(offset - TIMER_CONFIGURATION, TIMER_STRIDE)
        if offset == GENERAL_CONFIGURATION:
            # The counter goes on, or stands, from the value that it has now.
            state.counter, state.since = self._counter(now), now
            old = state.config
            state.config = (old & ~mask | value) & (ENABLE_CNF | LEG_RT_CNF)
            if (old ^ state.config) & ENABLE_CNF:
                self._arm(range(NR_TIMERS), now)
        elif offset == GENERAL_INTERRUPT_STATUS:
            state.status &= ~value  # a 1 clears
        elif offset == MAIN_COUNTER_VALUE:
            state.counter, state.since = self._counter(now) & ~mask | value, now
            self._arm(range(NR_TIMERS), now)
        elif 0 <= timer < NR_TIMERS and register == 0:
            self._configure(timer, mask, value, now)
        elif 0 <= timer < NR_TIMERS and register == TIMER_COMPARATOR - TIMER_CONFIGURATION:
            self._compare(timer, mask, value, now)
        for each in range(NR_TIMERS):
            self._settle(each)

    def _configure(self, timer: int, mask: int, value: int, now: int) -> None:
        state = self.state
        old = state.timer_config[timer]
        new = (old & ~mask | value) & TIMER_WRITABLE
        if not INT_ROUTE_CAP >> (new >> INT_ROUTE_SHIFT & 0x1F) & 1:
            # Software sees that a route is not there by reading back another.
            new = new & ~INT_ROUTE_CNF | old & INT_ROUTE_CNF
        state.timer_config[timer] = new
        if (old ^ new) & MODE32_CNF:
            width = self._width(timer)
            state.comparator[timer] %= width
            state.period[timer] %= width
            self._arm(range(timer, timer + 1), now)

    def _compare(self, timer: int, mask: int, value: int, now: int) -> None:
        """Write the comparator: the period of a periodic timer, unless VAL_SET_CNF says both."""
        state = self.state
        config = state.timer_config[timer]
        width = self._width(timer)
        state.period[timer] = (state.period[timer] & ~mask | value) % width
        if not config & TYPE_CNF or config & VAL_SET_CNF:
            state.comparator[timer] = (state.comparator[timer] & ~mask | value) % width
            self._arm(range(timer, timer + 1), now)
        if mask & 1:
            state.timer_config[timer] &= ~VAL_SET_CNF

    def _arm(self, timers: range, now: int) -> None:
        """Work out when the counter will equal the comparator: now, if it does already."""
        state = self.state
        counter = self._counter(now)
        for timer in timers:
            ahead = (state.comparator[timer] - counter) % self._width(timer)
            state.deadline[timer] = now + ahead if state.config & ENABLE_CNF else NEVER

    def _match(self, timer: int) -> None:
        state = self.state
        if state.timer_config[timer] & INT_TYPE_CNF:
            # The status does not depend on INT_ENB_CNF; the line does.
            state.status |= 1 << timer
        else:
            self._drive(timer, False)
        self._drive(timer, True)

    def _settle(self, timer: int) -> None:
        """Hold the line as configuration and status now say."""
        state = self.state
        if state.timer_config[timer] & INT_TYPE_CNF:
            self._drive(timer, bool(state.status >> timer & 1))
        else:
            self._drive(timer, state.driven[timer] != NO_IRQ)

    def _drive(self, timer: int, level: bool) -> None:
        """Drive the line to which the timer is routed, and let go of one it held before."""
        state = self.state
        config = state.timer_config[timer]
        irq = NO_IRQ
        if level and config & INT_ENB_CNF and state.config & ENABLE_CNF:
            irq = config >> INT_ROUTE_SHIFT & 0x1F
            if state.config & LEG_RT_CNF:
                irq = LEGACY_IRQ.get(timer, irq)
        held = state.driven[timer]
        if irq == held:
            return
        state.driven[timer] = irq
        if held != NO_IRQ and held not in state.driven:
            self._set_irq(held, False)
        if irq != NO_IRQ:
            self._set_irq(irq, True)
