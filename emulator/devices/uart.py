"""A 16550A serial port, as COM1 of a PC: the console.

The wire is infinitely fast.  A byte written to THR is at the other end at once, so the transmitter
is always empty, and the divisor and the line format are kept but change nothing.

The other end honours the RTS handshake: what the host offers waits on the wire while the guest has
RTS off or the receive FIFO full, so that no input is lost before the guest has a driver, nor while
it is busy.  (An order of the guest to clear its FIFO is obeyed.)  As no time passes between bytes,
the FIFO's character time-out comes as soon as the wire is empty.

As on a PC's board, OUT2 of MCR gates the interrupt line, and loopback forces OUT2 off.  The other
end holds CTS, DSR and DCD on and RI off.  Not there: parity and framing errors and breaks, which a
perfect wire does not make; the guest's own break, which nobody hears; DMA mode, which is a pin.

See: National Semiconductor PC16550D data sheet, "Registers", "FIFO Interrupt Mode Operation".
"""

from collections.abc import Callable
from typing import ClassVar, Final

from emulator.devices.device import Device, InterruptLine, Record

# Registers, by offset from the base; DLAB of LCR puts the divisor at 0 and 1.
RBR_THR: Final = 0
IER: Final = 1
IIR_FCR: Final = 2
LCR: Final = 3
MCR: Final = 4
LSR: Final = 5
MSR: Final = 6
SCR: Final = 7

IER_ERBFI: Final = 1 << 0  # received data available
IER_ETBEI: Final = 1 << 1  # transmitter holding register empty
IER_ELSI: Final = 1 << 2  # receiver line status
IER_EDSSI: Final = 1 << 3  # modem status

# IIR, from the most urgent source to none at all
IIR_LINE_STATUS: Final = 0x6
IIR_RECEIVED_DATA: Final = 0x4
IIR_CHARACTER_TIMEOUT: Final = 0xC
IIR_THR_EMPTY: Final = 0x2
IIR_MODEM_STATUS: Final = 0x0
IIR_NONE: Final = 0x1
IIR_FIFOS_ENABLED: Final = 0xC0

FCR_ENABLE: Final = 1 << 0
FCR_CLEAR_RECEIVER: Final = 1 << 1
TRIGGER_LEVELS: Final = (1, 4, 8, 14)  # FCR bits 7 and 6

LCR_DLAB: Final = 1 << 7

MCR_DTR: Final = 1 << 0
MCR_RTS: Final = 1 << 1
MCR_OUT1: Final = 1 << 2
MCR_OUT2: Final = 1 << 3
MCR_LOOP: Final = 1 << 4

LSR_DR: Final = 1 << 0  # data ready
LSR_OE: Final = 1 << 1  # overrun
LSR_THRE: Final = 1 << 5
LSR_TEMT: Final = 1 << 6

MSR_DDCD: Final = 1 << 3  # DCD has changed since MSR was read
MSR_CTS: Final = 1 << 4
MSR_DSR: Final = 1 << 5
MSR_RI: Final = 1 << 6
MSR_DCD: Final = 1 << 7
MSR_CONNECTED: Final = MSR_CTS | MSR_DSR | MSR_DCD
LOOPED: Final = ((MCR_RTS, MSR_CTS), (MCR_DTR, MSR_DSR), (MCR_OUT1, MSR_RI), (MCR_OUT2, MSR_DCD))

FIFO_SIZE: Final = 16


class UartState(Record):
    """The registers, and the bytes that are under way to the guest."""

    __slots__ = ("carrier", "divisor", "fcr", "ier", "lcr", "level", "mcr", "modem", "overrun",
                 "received", "scr", "thr_empty", "wire")

    def __init__(self) -> None:
        self.ier = 0
        self.fcr = 0
        self.lcr = 0
        self.mcr = 0
        self.scr = 0
        self.divisor = 0
        self.modem = MSR_CONNECTED  # MSR: inputs, and below them what changed since it was read
        self.carrier = True  # the other end is there
        self.overrun = False
        self.thr_empty = False  # the THR-empty interrupt is due
        self.level = False  # of the interrupt line
        self.received = bytearray()  # RBR or the FIFO
        self.wire = bytearray()  # offered by the host, not yet received


class Uart(Device[UartState]):
    """One port.

    Args:
        sink: takes what the guest sends.
        line: its interrupt line.
        base: the first of its eight ports.
    """

    name = "uart"
    COM1: ClassVar = 0x3F8
    COM1_IRQ: ClassVar = 4
    NR_PORTS: ClassVar = 8

    def __init__(self, sink: Callable[[bytes], None], line: InterruptLine,
                 base: int = COM1) -> None:
        self.state = UartState()
        self._sink = sink
        self._line = line
        self._base = base

    def feed(self, data: bytes) -> None:
        """Offer input to the guest, behind all that was offered before; none is lost."""
        self.state.wire += data
        self._receive()
        self._update()

    def hang_up(self) -> None:
        """Drop the carrier: nothing more will come.  Data carrier detect goes off."""
        if self.state.carrier:
            self.state.carrier = False
            self._control_modem(self.state.mcr)
            self._update()

    def connect(self) -> None:
        """Raise the carrier again: somebody is at the other end."""
        if not self.state.carrier:
            self.state.carrier = True
            self._control_modem(self.state.mcr)
            self._update()

    def write_string(self, port: int, data: bytes) -> None:
        """Send ``data`` in one call of the sink, unless the port is not plainly THR."""
        state = self.state
        if port != self._base or state.lcr & LCR_DLAB or state.mcr & MCR_LOOP or not data:
            super().write_string(port, data)
            return
        self._sink(bytes(data))
        self._sent()
        self._update()

    def read_string(self, port: int, size: int) -> bytes:
        """Receive in one go, unless the port is not plainly RBR."""
        state = self.state
        if port != self._base or state.lcr & LCR_DLAB:
            return super().read_string(port, size)
        data = b""
        while state.received and len(data) < size:
            count = size - len(data)
            data += state.received[:count]
            del state.received[:count]
            self._receive()
        # As long as there is something, the line's level has not changed.
        self._update()
        return data.ljust(size, b"\0")

    def read_port(self, port: int, size: int) -> int:
        state = self.state
        register = port - self._base
        if register == LSR:
            value = (LSR_DR if state.received else 0) | LSR_THRE | LSR_TEMT
            value |= LSR_OE if state.overrun else 0
            state.overrun = False
        elif register <= IER and state.lcr & LCR_DLAB:
            return state.divisor >> 8 * register & 0xFF
        elif register == RBR_THR:
            value = state.received.pop(0) if state.received else 0
            self._receive()
        elif register == IIR_FCR:
            value = self._cause()
            if value == IIR_THR_EMPTY:
                state.thr_empty = False
            value |= IIR_FIFOS_ENABLED if state.fcr & FCR_ENABLE else 0
        elif register == MSR:
            value = state.modem
            state.modem &= 0xF0
        else:
            return {IER: state.ier, LCR: state.lcr, MCR: state.mcr, SCR: state.scr}[register]
        self._update()
        return value

    def write_port(self, port: int, size: int, value: int) -> None:
        state = self.state
        register = port - self._base
        if register <= IER and state.lcr & LCR_DLAB:
            shift = 8 * register
            state.divisor = state.divisor & ~(0xFF << shift) | value << shift
        elif register == RBR_THR:
            self._transmit(value)
        elif register == IER:
            # The transmitter is empty: enabling its interrupt raises it.
            if value & ~state.ier & IER_ETBEI:
                state.thr_empty = True
            state.ier = value & 0x0F
        elif register == IIR_FCR:
            self._control_fifos(value)
        elif register == LCR:
            state.lcr = value
        elif register == MCR:
            self._control_modem(value & 0x1F)
        elif register == SCR:
            state.scr = value
        # LSR and MSR are read-only: the data sheet reserves writes for factory tests.
        self._update()

    def _transmit(self, value: int) -> None:
        state = self.state
        self._sent()
        if not state.mcr & MCR_LOOP:
            self._sink(bytes((value,)))
        elif len(state.received) < self._capacity():
            state.received.append(value)
        else:
            # The FIFO keeps what it has; RBR alone is overwritten.
            state.overrun = True
            if not state.fcr & FCR_ENABLE:
                state.received[0] = value

    def _sent(self) -> None:
        """Note that THR was filled and is empty again."""
        state = self.state
        if state.thr_empty and state.ier & IER_ETBEI:
            # Filling it ended the interrupt; a controller that wants edges must see that.
            state.thr_empty = False
            self._update()
        state.thr_empty = True

    def _capacity(self) -> int:
        return FIFO_SIZE if self.state.fcr & FCR_ENABLE else 1

    def _receive(self) -> None:
        """Take from the wire what there is room for, if the other end may send."""
        state = self.state
        if not state.mcr & MCR_RTS or state.mcr & MCR_LOOP:
            return
        room = self._capacity() - len(state.received)
        state.received += state.wire[:room]
        del state.wire[:room]

    def _control_fifos(self, value: int) -> None:
        state = self.state
        # Without ENABLE the other bits are not programmed.
        fcr = value & 0xC9 if value & FCR_ENABLE else 0
        if (fcr ^ state.fcr) & FCR_ENABLE or (fcr and value & FCR_CLEAR_RECEIVER):
            state.received.clear()
        state.fcr = fcr
        self._receive()

    def _control_modem(self, value: int) -> None:
        """Set MCR; in loopback its outputs come back as the inputs of MSR."""
        state = self.state
        state.mcr = value
        inputs = MSR_CONNECTED if self.state.carrier else MSR_CONNECTED & ~MSR_DCD
        if value & MCR_LOOP:
            inputs = sum(status for control, status in LOOPED if value & control)
        changed = inputs ^ state.modem & 0xF0
        if inputs & MSR_RI:
            changed &= ~MSR_RI  # of RI, only the trailing edge counts
        state.modem = inputs | state.modem & 0x0F | changed >> 4
        self._receive()

    def _cause(self) -> int:
        """Return the most urgent enabled cause of an interrupt, as IIR names it."""
        state = self.state
        received = len(state.received)
        if state.ier & IER_ELSI and state.overrun:
            return IIR_LINE_STATUS
        if state.ier & IER_ERBFI and received:
            if not state.fcr & FCR_ENABLE or received >= TRIGGER_LEVELS[state.fcr >> 6]:
                return IIR_RECEIVED_DATA
            return IIR_CHARACTER_TIMEOUT
        if state.ier & IER_ETBEI and state.thr_empty:
            return IIR_THR_EMPTY
        if state.ier & IER_EDSSI and state.modem & 0x0F:
            return IIR_MODEM_STATUS
        return IIR_NONE

    def _update(self) -> None:
        """Drive the interrupt line, if its level changes."""
        state = self.state
        gate = state.mcr & (MCR_OUT2 | MCR_LOOP) == MCR_OUT2
        level = gate and self._cause() != IIR_NONE
        if level != state.level:
            state.level = level
            self._line(level)
