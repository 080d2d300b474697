"""The pair of 8259A interrupt controllers of a PC.

The slave's INT output is wired to the master's input IR2, so the sixteen lines have the priority
0, 1, 8 to 15, 3 to 7 until the guest rotates it::

    IRQ0 timer ----- IR0 +--------+                IRQ8 clock -- IR0 +-------+
    IRQ1 keyboard -- IR1 | master | INT -> CPU     IRQ9 -------- IR1 | slave | INT --+
              +----- IR2 |        |                ...               |       |       |
    IRQ3 ------------IR3 +--------+                IRQ15 ------- IR7 +-------+       |
              +----------------------------------------------------------------------+

A request is a bit of the IRR, which follows its line: it is set by a rising edge (by a high level
where the ELCR says so) and goes when the line falls.  A device whose line falls before the
acknowledge cycle has therefore withdrawn its request, as the data sheet demands ("must remain high
until after the falling edge of the first INTA"); a pulse is not an interrupt.

Implemented: ICW1 to ICW4, OCW1 to OCW3, edge and level triggering by line, fully nested and special
fully nested mode, specific, non-specific and automatic EOI, all rotations, special mask mode, poll.
Raises :class:`UnsupportedError`: MCS-80 mode, a chip without its pair (SNGL), and any other wiring
of the cascade.  Without effect: LTIM in ICW1, which the ELCR replaces; the buffered mode of ICW4,
which is about a pin.  Until a chip has had ICW1 to ICW4 it requests nothing.

See: Intel 8259A data sheet, "Programming the 8259A", "Operation Command Words", "Interrupt
Sequence"; Intel 82371AB (PIIX4) data sheet, "Interrupt Controller" and ELCR1, ELCR2.
"""

from typing import ClassVar, Final

from emulator.devices.device import Device, Record, UnsupportedError

MASTER: Final = 0
SLAVE: Final = 1
CASCADE: Final = 2  # the master's input that the slave drives
SPURIOUS: Final = 7  # the input named when there is none to name

NONE: Final = 8  # no input, and the rank after the lowest priority

# ICW1: A0 = 0 and bit 4 set.
ICW1: Final = 0x10
ICW1_IC4: Final = 0x01  # ICW4 will come
ICW1_SNGL: Final = 0x02  # there is no slave
# ICW4
ICW4_UPM: Final = 0x01  # 8086 mode: INTA gives one vector byte
ICW4_AEOI: Final = 0x02
ICW4_SFNM: Final = 0x10
# OCW2: A0 = 0, bits 4 and 3 clear; bits 2 to 0 are the level of a specific command.
OCW2_EOI: Final = 0x20
OCW2_SL: Final = 0x40
OCW2_R: Final = 0x80
# OCW3: A0 = 0, bit 4 clear, bit 3 set.
OCW3: Final = 0x08
OCW3_RIS: Final = 0x01
OCW3_RR: Final = 0x02
OCW3_P: Final = 0x04
OCW3_SMM: Final = 0x20
OCW3_ESMM: Final = 0x40

OPERATING: Final = 0  # a value of ``next_icw``

# IRQ 0, 1, 2, 8 and 13 belong to the board, which triggers them by edges.
ELCR_WRITABLE: Final = (0xF8, 0xDE)
ELCR1: Final = 0x4D0


class PicState(Record):
    """The registers of both chips: of each list, [0] is the master's and [1] the slave's."""

    __slots__ = ("auto_eoi", "base", "elcr", "imr", "irr", "isr", "lines", "lowest", "next_icw",
                 "poll", "read_isr", "rotate_on_auto_eoi", "special_fully_nested", "special_mask")

    def __init__(self) -> None:
        self.lines = [0, 0]  # the level of each input
        self.irr = [0, 0]  # requested
        self.isr = [0, 0]  # in service
        self.imr = [0, 0]  # masked
        self.elcr = [0, 0]  # triggered by level
        self.base = [0, 0]  # the vector of IR0
        self.next_icw = [1, 1]  # the ICW due, or OPERATING
        self.lowest = [7, 7]  # input of lowest priority
        self.auto_eoi = [0, 0]
        self.rotate_on_auto_eoi = [0, 0]
        self.special_fully_nested = [0, 0]
        self.special_mask = [0, 0]
        self.read_isr = [0, 0]  # A0 = 0 reads the ISR
        self.poll = [0, 0]  # the next read acknowledges


def _rank(bits: int, lowest: int) -> int:
    """Return how far down the order of priority the first of ``bits`` is, NONE if there is none."""
    by_priority = (bits << 8 | bits) >> lowest + 1 & 0xFF
    return (by_priority & -by_priority).bit_length() - 1 if by_priority else NONE


class Pic(Device[PicState]):
    """Both controllers.

    Attributes:
        pending: the INT output to the CPU; up to date after every change.
    """

    name = "pic"
    PORTS: ClassVar = (range(0x20, 0x22), range(0xA0, 0xA2), range(ELCR1, ELCR1 + 2))

    def __init__(self) -> None:
        self.state = PicState()
        self.pending = False

    def set_irq(self, irq: int, level: bool) -> None:
        """Drive line ``irq``, 0 to 15.

        Raises:
            ValueError: no device can be on that line: it is the cascade, or there is none.
        """
        if not 0 <= irq <= 15 or irq == CASCADE:
            raise ValueError(f"pic: irq {irq} is not a line for devices")
        self._drive(irq >> 3, 1 << (irq & 7), level)
        self._update()

    def acknowledge(self) -> int:
        """Do the INTA cycle: put the first request into service and return its vector.

        If the request has gone since the CPU looked, the answer is the vector of input 7, with
        nothing in service: a spurious interrupt.  If it has gone from the slave alone, the vector
        is the slave's, and the master has its input 2 in service.
        """
        vector = self._acknowledge(MASTER)
        if vector == self.state.base[MASTER] + CASCADE:
            vector = self._acknowledge(SLAVE)
            # INT falls for the cycle, so that a further request is an edge again.
            self._drive(MASTER, 1 << CASCADE, False)
        self._update()
        return vector

    def restored(self) -> None:
        self.pending = self._request(MASTER) != NONE

    def read_port(self, port: int, size: int) -> int:
        state = self.state
        if port >= ELCR1:
            return state.elcr[port - ELCR1]
        chip = port >> 7
        if state.poll[chip]:
            return self._poll(chip)
        if port & 1:
            return state.imr[chip]
        return state.isr[chip] if state.read_isr[chip] else state.irr[chip]

    def write_port(self, port: int, size: int, value: int) -> None:
        state = self.state
        chip = port >> 7 if port < ELCR1 else port - ELCR1
        if port >= ELCR1:
            state.elcr[chip] = value & ELCR_WRITABLE[chip]
            state.irr[chip] |= state.lines[chip] & state.elcr[chip]
        elif port & 1:
            if state.next_icw[chip] > 1:
                self._initialise(chip, value)
            else:
                state.imr[chip] = value
        elif value & ICW1:
            self._reset(chip, value)
        elif value & OCW3:
            self._ocw3(chip, value)
        else:
            self._ocw2(chip, value)
        self._update()

    def _drive(self, chip: int, bit: int, level: bool) -> None:
        state = self.state
        if not level:
            state.lines[chip] &= ~bit
            state.irr[chip] &= ~bit
        else:
            if not state.lines[chip] & bit or state.elcr[chip] & bit:
                state.irr[chip] |= bit
            state.lines[chip] |= bit

    def _update(self) -> None:
        """Set both INT outputs by what is requested and in service now."""
        self._drive(MASTER, 1 << CASCADE, self._request(SLAVE) != NONE)
        self.pending = self._request(MASTER) != NONE

    def _request(self, chip: int) -> int:
        """Return the input for which the chip raises INT, or NONE: its priority resolver."""
        state = self.state
        lowest = state.lowest[chip]
        wanted = _rank(state.irr[chip] & ~state.imr[chip], lowest)
        if wanted == NONE or state.next_icw[chip] != OPERATING:
            return NONE
        ir = wanted + lowest + 1 & 7
        serving = _rank(self._blocking(chip), lowest)
        if wanted < serving:
            return ir
        # The slave in service may still ask for something more urgent of its own.
        nested = state.special_fully_nested[chip] and chip == MASTER and ir == CASCADE
        return ir if wanted == serving and nested else NONE

    def _blocking(self, chip: int) -> int:
        """Return the inputs in service that hold back those of lower priority."""
        state = self.state
        isr = state.isr[chip]
        return isr & ~state.imr[chip] if state.special_mask[chip] else isr

    def _acknowledge(self, chip: int) -> int:
        """Answer one chip's part of the INTA cycle: freeze the request, give the vector."""
        state = self.state
        ir = self._request(chip)
        if ir == NONE:
            return state.base[chip] + SPURIOUS
        bit = 1 << ir
        if not state.elcr[chip] & bit:
            state.irr[chip] &= ~bit
        if not state.auto_eoi[chip]:
            state.isr[chip] |= bit
        elif state.rotate_on_auto_eoi[chip]:
            state.lowest[chip] = ir
        return state.base[chip] + ir

    def _poll(self, chip: int) -> int:
        """Answer a read after a poll command: bit 7 and the input, or 0 if nothing is requested."""
        self.state.poll[chip] = 0
        if self._request(chip) == NONE:
            return 0
        ir = self._acknowledge(chip) & 7
        self._update()
        return 0x80 | ir

    def _reset(self, chip: int, icw1: int) -> None:
        if icw1 & ICW1_SNGL or not icw1 & ICW1_IC4:
            raise UnsupportedError(
                f"pic: ICW1 {icw1:#04x} to chip {chip}: only a cascaded pair in 8086 mode is wired"
            )
        # A line that is high already must fall and rise again to be a request.
        state = self.state
        state.irr[chip] = state.lines[chip] & state.elcr[chip]
        for register in (state.isr, state.imr, state.special_mask, state.read_isr, state.poll,
                         state.rotate_on_auto_eoi):
            register[chip] = 0
        state.lowest[chip] = 7
        state.next_icw[chip] = 2

    def _initialise(self, chip: int, value: int) -> None:
        """Take ICW2, ICW3 or ICW4, whichever is due."""
        state = self.state
        icw = state.next_icw[chip]
        if icw == 2:
            state.base[chip] = value & 0xF8
        elif icw == 3:
            # The master has a mask of inputs with a slave, the slave its own input's number.
            if value != (1 << CASCADE if chip == MASTER else CASCADE):
                raise UnsupportedError(
                    f"pic: ICW3 {value:#04x} to chip {chip}: the slave is on input {CASCADE}"
                )
        elif not value & ICW4_UPM:
            raise UnsupportedError(f"pic: ICW4 {value:#04x} to chip {chip}: MCS-80 mode")
        else:
            state.auto_eoi[chip] = int(bool(value & ICW4_AEOI))
            state.special_fully_nested[chip] = int(bool(value & ICW4_SFNM))
        state.next_icw[chip] = icw + 1 if icw < 4 else OPERATING

    def _ocw2(self, chip: int, value: int) -> None:
        """End an interrupt, or rotate priorities, or both."""
        state = self.state
        rotate, specific = value & OCW2_R, value & OCW2_SL
        ir = value & 7
        if value & OCW2_EOI:
            if not specific:
                first = _rank(self._blocking(chip), state.lowest[chip])
                if first == NONE:
                    return
                ir = first + state.lowest[chip] + 1 & 7
            state.isr[chip] &= ~(1 << ir)
            if rotate:
                state.lowest[chip] = ir
        elif not specific:
            state.rotate_on_auto_eoi[chip] = int(bool(rotate))
        elif rotate:
            state.lowest[chip] = ir

    def _ocw3(self, chip: int, value: int) -> None:
        """Choose what the next reads give, and set or reset special mask mode."""
        state = self.state
        if value & OCW3_ESMM:
            state.special_mask[chip] = int(bool(value & OCW3_SMM))
        if value & OCW3_P:
            state.poll[chip] = 1
        elif value & OCW3_RR:
            state.read_isr[chip] = value & OCW3_RIS
