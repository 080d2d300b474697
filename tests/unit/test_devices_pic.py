"""The pair of 8259As, line by line and against a model that knows one list of priorities."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from emulator.devices.device import UnsupportedError
from emulator.devices.pic import Pic

MASTER_COMMAND, MASTER_DATA = 0x20, 0x21
SLAVE_COMMAND, SLAVE_DATA = 0xA0, 0xA1
EOI = 0x20


def write(pic: Pic, port: int, *values: int) -> None:
    for value in values:
        pic.write_port(port, 1, value)


def read(pic: Pic, port: int) -> int:
    return pic.read_port(port, 1)


def initialised(icw4: int = 0x01) -> Pic:
    """A pair as a PC's kernel sets it up: vectors 0x20 to 0x2F, nothing masked."""
    pic = Pic()
    write(pic, MASTER_COMMAND, 0x11)
    write(pic, MASTER_DATA, 0x20, 0x04, icw4)
    write(pic, SLAVE_COMMAND, 0x11)
    write(pic, SLAVE_DATA, 0x28, 0x02, icw4)
    return pic


def irr(pic: Pic) -> int:
    write(pic, MASTER_COMMAND, 0x0A)
    return read(pic, MASTER_COMMAND)


def isr(pic: Pic) -> int:
    write(pic, MASTER_COMMAND, 0x0B)
    return read(pic, MASTER_COMMAND)


def test_nothing_is_requested_before_initialisation() -> None:
    """Is a chip silent until it has had all four ICWs?"""
    pic = Pic()
    pic.set_irq(0, True)
    write(pic, MASTER_COMMAND, 0x11)
    write(pic, MASTER_DATA, 0x20, 0x04)
    pic.set_irq(1, True)
    assert not pic.pending
    write(pic, MASTER_DATA, 0x01)
    assert pic.pending
    assert pic.acknowledge() == 0x21


def test_initialisation_wants_a_new_edge() -> None:
    """Does ICW1 forget requests and masks, so that a line must fall and rise again?"""
    pic = initialised()
    pic.set_irq(3, True)
    write(pic, MASTER_DATA, 0xFF)
    write(pic, MASTER_COMMAND, 0x11)
    write(pic, MASTER_DATA, 0x40, 0x04, 0x01)
    assert read(pic, MASTER_DATA) == 0
    assert not pic.pending
    pic.set_irq(3, False)
    pic.set_irq(3, True)
    assert pic.acknowledge() == 0x43


def test_edge_gives_one_interrupt() -> None:
    """Is a line that stays high one request, not one after each EOI?"""
    pic = initialised()
    pic.set_irq(4, True)
    pic.set_irq(4, True)
    assert pic.acknowledge() == 0x24
    assert (irr(pic), isr(pic)) == (0, 0x10)
    write(pic, MASTER_COMMAND, EOI)
    assert isr(pic) == 0
    assert not pic.pending


def test_level_line_requests_again_while_high() -> None:
    """With its ELCR bit set, does a line that is still high after EOI interrupt again?"""
    pic = initialised()
    write(pic, 0x4D1, 1 << 2)
    pic.set_irq(10, True)
    assert pic.acknowledge() == 0x2A
    write(pic, SLAVE_COMMAND, EOI)
    write(pic, MASTER_COMMAND, EOI)
    assert pic.pending
    pic.set_irq(10, False)
    assert not pic.pending


def test_line_that_is_high_requests_when_made_level_triggered() -> None:
    """Does setting the ELCR bit of a line whose edge was served make its level a request?"""
    pic = initialised()
    pic.set_irq(5, True)
    pic.acknowledge()
    write(pic, MASTER_COMMAND, EOI)
    write(pic, 0x4D0, 1 << 5)
    assert pic.acknowledge() == 0x25


def test_elcr_keeps_the_boards_lines_edge_triggered() -> None:
    """Are IRQ 0, 1, 2, 8 and 13 never level-triggered, and does ELCR read back?"""
    pic = initialised()
    write(pic, 0x4D0, 0xFF)
    write(pic, 0x4D1, 0xFF)
    assert (read(pic, 0x4D0), read(pic, 0x4D1)) == (0xF8, 0xDE)


def test_line_that_falls_withdraws_its_request() -> None:
    """Is a request gone when the line falls before the acknowledge cycle?"""
    pic = initialised()
    pic.set_irq(5, True)
    pic.set_irq(5, False)
    assert not pic.pending
    assert irr(pic) == 0


def test_spurious_interrupt_is_seven_without_service() -> None:
    """Does an acknowledge cycle with nothing requested give IRQ7, and leave its ISR bit clear?"""
    pic = initialised()
    assert pic.acknowledge() == 0x27
    assert isr(pic) == 0


def test_spurious_interrupt_of_the_slave_is_fifteen() -> None:
    """If the slave's request goes after the master has frozen its own, is it IRQ15?

    The master then has IR2 in service and wants an EOI; the slave has nothing.
    """
    pic = initialised()
    pic.state.irr[0] |= 1 << 2  # as it is between the two pulses of INTA
    assert pic.acknowledge() == 0x2F
    assert isr(pic) == 1 << 2
    assert pic.state.isr[1] == 0


def test_priorities_nest() -> None:
    """Does a more urgent line interrupt the handler of a less urgent one, and no other?"""
    pic = initialised()
    pic.set_irq(4, True)
    assert pic.acknowledge() == 0x24
    pic.set_irq(5, True)
    assert not pic.pending
    pic.set_irq(1, True)
    assert pic.acknowledge() == 0x21
    write(pic, MASTER_COMMAND, EOI)  # ends IRQ1, the more urgent
    assert isr(pic) == 0x10
    assert not pic.pending
    write(pic, MASTER_COMMAND, EOI)
    assert pic.acknowledge() == 0x25


def test_slave_lines_come_between_one_and_three() -> None:
    """Is the slave's place that of the master's IR2?"""
    pic = initialised()
    for irq in (3, 15, 8, 1):
        pic.set_irq(irq, True)
    vectors = []
    while pic.pending:
        vectors.append(pic.acknowledge())
        write(pic, SLAVE_COMMAND, EOI)
        write(pic, MASTER_COMMAND, EOI)
    assert vectors == [0x21, 0x28, 0x2F, 0x23]


def test_masked_line_waits() -> None:
    """Is a masked request kept until OCW1 lets it through?"""
    pic = initialised()
    write(pic, SLAVE_DATA, 1 << 4)
    pic.set_irq(12, True)
    assert not pic.pending
    write(pic, SLAVE_DATA, 0)
    assert pic.pending
    write(pic, MASTER_DATA, 1 << 2)
    assert not pic.pending


def test_specific_eoi_ends_the_line_it_names() -> None:
    """Does OCW2 with SL end the given level, though a more urgent one is in service?"""
    pic = initialised()
    for irq in (6, 3):
        pic.set_irq(irq, True)
        pic.acknowledge()
    write(pic, MASTER_COMMAND, 0x60 | 6)
    assert isr(pic) == 1 << 3


def test_auto_eoi_leaves_nothing_in_service() -> None:
    """In AEOI mode, is the next request due at once, from the slave too?"""
    pic = initialised(icw4=0x03)
    pic.set_irq(9, True)
    pic.set_irq(8, True)
    assert [pic.acknowledge(), pic.acknowledge()] == [0x28, 0x29]
    assert isr(pic) == 0
    assert not pic.pending


def test_rotation_makes_the_served_line_last() -> None:
    """After a rotating EOI, does the line just served come after all others?"""
    pic = initialised()
    for irq in (3, 4):
        pic.set_irq(irq, True)
    assert pic.acknowledge() == 0x23
    write(pic, MASTER_COMMAND, 0xA0)
    pic.set_irq(3, False)
    pic.set_irq(3, True)
    assert pic.acknowledge() == 0x24
    write(pic, MASTER_COMMAND, 0x60 | 4)
    assert pic.acknowledge() == 0x23


def test_set_priority_command_names_the_last_line() -> None:
    """Does OCW2 "set priority" put the next line first?"""
    pic = initialised()
    write(pic, MASTER_COMMAND, 0xC0 | 4)
    for irq in (0, 5):
        pic.set_irq(irq, True)
    assert pic.acknowledge() == 0x25


def test_rotation_in_auto_eoi_mode() -> None:
    """With rotate-on-automatic-EOI set, does each service move its line to the end?"""
    pic = initialised(icw4=0x03)
    write(pic, MASTER_COMMAND, 0x80)
    pic.set_irq(0, True)
    assert pic.acknowledge() == 0x20
    pic.set_irq(0, False)
    pic.set_irq(0, True)
    pic.set_irq(7, True)
    assert pic.acknowledge() == 0x27


def test_special_mask_mode_lets_less_urgent_lines_in() -> None:
    """Does masking the line in service free the lower ones, in special mask mode only?"""
    pic = initialised()
    pic.set_irq(3, True)
    pic.acknowledge()
    pic.set_irq(6, True)
    write(pic, MASTER_DATA, 1 << 3)
    assert not pic.pending
    write(pic, MASTER_COMMAND, 0x68)
    assert pic.acknowledge() == 0x26
    write(pic, MASTER_COMMAND, EOI)  # does not end a masked level
    assert isr(pic) == 1 << 3
    write(pic, MASTER_COMMAND, 0x48)
    assert not pic.pending


def test_special_fully_nested_mode_lets_the_slave_nest() -> None:
    """Does a more urgent line of the slave in service get through, in this mode only?"""
    for icw4, nests in ((0x01, False), (0x11, True)):
        pic = initialised(icw4)
        pic.set_irq(10, True)
        pic.acknowledge()
        pic.set_irq(3, True)
        pic.set_irq(9, True)
        assert pic.pending is nests
        if nests:
            assert pic.acknowledge() == 0x29
            assert not pic.pending


def test_special_fully_nested_mode_is_about_the_cascade_alone() -> None:
    """Does any other line in service still wait for its own EOI?"""
    pic = initialised(icw4=0x11)
    pic.set_irq(4, True)
    pic.acknowledge()
    pic.set_irq(4, False)
    pic.set_irq(4, True)
    assert not pic.pending


def test_poll_is_an_acknowledge_cycle_by_reading() -> None:
    """Does OCW3 with P make the next read answer with the request and take it into service?"""
    pic = initialised()
    pic.set_irq(6, True)
    write(pic, MASTER_COMMAND, 0x0C)
    assert read(pic, MASTER_COMMAND) == 0x86
    assert isr(pic) == 1 << 6
    write(pic, MASTER_COMMAND, 0x0C)
    assert read(pic, MASTER_COMMAND) == 0


@pytest.mark.parametrize(
    ("writes", "message"),
    [
        ([(0x20, 0x13)], "pic: ICW1 0x13 to chip 0: only a cascaded pair in 8086 mode is wired"),
        ([(0xA0, 0x10)], "pic: ICW1 0x10 to chip 1: only a cascaded pair in 8086 mode is wired"),
        ([(0x20, 0x11), (0x21, 0), (0x21, 8)],
         "pic: ICW3 0x08 to chip 0: the slave is on input 2"),
        ([(0xA0, 0x11), (0xA1, 0), (0xA1, 2), (0xA1, 2)], "pic: ICW4 0x02 to chip 1: MCS-80 mode"),
    ],
)
def test_other_boards_are_refused(writes: list[tuple[int, int]], message: str) -> None:
    """Is a set-up that this board has not wired an error with the register and its value?"""
    pic = Pic()
    *fine, last = writes
    for port, value in fine:
        write(pic, port, value)
    with pytest.raises(UnsupportedError) as caught:
        write(pic, *last)
    assert str(caught.value) == message


@pytest.mark.parametrize("irq", [-1, 2, 16])
def test_there_is_no_such_line(irq: int) -> None:
    """Is driving the cascade, or a line that is not there, a mistake of the caller?"""
    with pytest.raises(ValueError, match=f"irq {irq} is not a line"):
        initialised().set_irq(irq, True)


def test_restored_pair_is_pending_again() -> None:
    """Does the INT output follow the state that was restored?"""
    pic, other = initialised(), Pic()
    pic.set_irq(11, True)
    other.restore(pic.save())
    assert other.pending
    assert other.acknowledge() == 0x2B


ORDER = [0, 1, 8, 9, 10, 11, 12, 13, 14, 15, 3, 4, 5, 6, 7]
irqs = st.sampled_from(ORDER)
halves = st.sampled_from(["master", "slave"])


class PicAgainstModel(RuleBasedStateMachine):
    """Edge-triggered, fully nested mode: sets of lines, and one order of all fifteen."""

    def __init__(self) -> None:
        super().__init__()
        self.pic = initialised()
        self.high: set[int] = set()
        self.requested: set[int] = set()
        self.masked: set[int] = set()
        self.cascade_masked = False
        self.serving: dict[str, list[int]] = {"master": [], "slave": []}

    def place(self, irq: int) -> int:
        """A line's place among the master's inputs."""
        return 2 if irq >= 8 else irq

    def first(self) -> int | None:
        for irq in ORDER:
            if irq not in self.requested or irq in self.masked:
                continue
            if irq >= 8 and (self.cascade_masked or min(self.serving["slave"], default=16) <= irq):
                continue
            if min(self.serving["master"], default=8) <= self.place(irq):
                continue
            return irq
        return None

    @rule(irq=irqs)
    def raise_line(self, irq: int) -> None:
        if irq not in self.high:
            self.requested.add(irq)
        self.high.add(irq)
        self.pic.set_irq(irq, True)

    @rule(irq=irqs)
    def lower_line(self, irq: int) -> None:
        self.high.discard(irq)
        self.requested.discard(irq)
        self.pic.set_irq(irq, False)

    @rule(masks=st.integers(0, 0xFFFF))
    def mask(self, masks: int) -> None:
        self.masked = {irq for irq in ORDER if masks >> irq & 1}
        self.cascade_masked = bool(masks & 4)
        write(self.pic, MASTER_DATA, masks & 0xFF)
        write(self.pic, SLAVE_DATA, masks >> 8)

    @precondition(lambda self: self.pic.pending)
    @rule()
    def acknowledge(self) -> None:
        irq = self.first()
        assert irq is not None
        self.requested.discard(irq)
        self.serving["master"].append(self.place(irq))
        if irq >= 8:
            self.serving["slave"].append(irq)
        assert self.pic.acknowledge() == 0x20 + irq

    @rule(half=halves)
    def end_of_interrupt(self, half: str) -> None:
        if self.serving[half]:
            self.serving[half].remove(min(self.serving[half]))
        write(self.pic, MASTER_COMMAND if half == "master" else SLAVE_COMMAND, EOI)

    @rule()
    def snapshot(self) -> None:
        saved = self.pic.save()
        self.pic = Pic()
        self.pic.restore(saved)

    @invariant()
    def pending_as_in_the_model(self) -> None:
        assert self.pic.pending is (self.first() is not None)


PicAgainstModel.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None
)
TestPicAgainstModel = PicAgainstModel.TestCase
