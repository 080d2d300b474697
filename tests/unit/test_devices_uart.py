"""The serial port: its registers, its interrupts, and that it loses nothing."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from emulator.devices.uart import Uart

COM1 = 0x3F8
DATA, IER, IIR, LCR, MCR, LSR, MSR, SCR = range(COM1, COM1 + 8)
FCR = IIR
READY = 0x0B  # DTR, RTS, OUT2: what a driver sets when it opens the port
RECEIVE, TRANSMIT, LINE_STATUS, MODEM_STATUS = 1, 2, 4, 8


class Bench:
    """A port, what it sent, and its interrupt line."""

    def __init__(self, mcr: int = READY, fcr: int = 0, ier: int = 0) -> None:
        self.sent: list[bytes] = []
        self.line = False
        self.edges = 0
        self.uart = Uart(self.sent.append, self.set_level)
        self.write(FCR, fcr)
        self.write(IER, ier)
        self.write(MCR, mcr)

    def set_level(self, level: bool) -> None:
        self.edges += level and not self.line
        self.line = level

    def write(self, port: int, value: int) -> None:
        self.uart.write_port(port, 1, value)

    def read(self, port: int) -> int:
        return self.uart.read_port(port, 1)

    def read_all(self) -> bytes:
        """Read as a driver does: while LSR says that there is data."""
        data = bytearray()
        while self.read(LSR) & 1:
            data.append(self.read(DATA))
        return bytes(data)


def test_output_goes_to_the_sink() -> None:
    """Does each byte written to THR arrive, with the transmitter empty again at once?"""
    bench = Bench()
    for byte in b"hi":
        bench.write(DATA, byte)
    assert b"".join(bench.sent) == b"hi"
    assert bench.read(LSR) == 0x60


def test_string_output_is_one_call_of_the_sink() -> None:
    """Does `rep outsb` to THR cost one call, and none for an empty string?"""
    bench = Bench()
    bench.uart.write_string(DATA, b"hello\n")
    bench.uart.write_string(DATA, b"")
    assert bench.sent == [b"hello\n"]


@given(st.integers(0, 40), st.lists(st.integers(0, 20), max_size=6),
       st.sampled_from([0x00, 0x01, 0x41, 0xC1]), st.sampled_from([READY, READY | 0x10, 0x09]))
def test_string_input_is_what_single_reads_are(offered: int, sizes: list[int], fcr: int,
                                               mcr: int) -> None:
    """Does `rep insb` from RBR leave bytes, registers and line as single reads do?"""
    one, other = (Bench(mcr, fcr, RECEIVE) for _ in range(2))
    for bench in (one, other):
        bench.uart.feed(bytes(range(offered)))
    for size in sizes:
        data = one.uart.read_string(DATA, size)
        assert data == bytes(other.read(DATA) for _ in range(size))
        assert (one.uart.save(), one.line, one.edges) == (other.uart.save(), other.line,
                                                          other.edges)
    assert one.uart.read_string(LSR, 2) == bytes(other.read(LSR) for _ in range(2))


def test_string_output_elsewhere_is_not_sent() -> None:
    """Does a string to another register, or to the divisor, go there byte by byte?"""
    bench = Bench()
    bench.uart.write_string(SCR, b"ab")
    assert bench.read(SCR) == ord("b")
    bench.write(LCR, 0x83)
    bench.uart.write_string(DATA, b"\x0c")
    assert bench.read(DATA) == 0x0C
    assert bench.sent == []


def test_divisor_is_behind_dlab() -> None:
    """Do ports 0 and 1 hold the divisor while DLAB is set, and IER keep its own value?"""
    bench = Bench(ier=RECEIVE)
    bench.write(LCR, 0x80)
    bench.write(DATA, 0x34)
    bench.write(IER, 0x12)
    assert (bench.read(DATA), bench.read(IER)) == (0x34, 0x12)
    bench.write(LCR, 0x03)
    assert (bench.read(LCR), bench.read(IER)) == (0x03, RECEIVE)


def test_input_waits_for_rts() -> None:
    """Is input that is offered before the guest has a driver still there when it has?"""
    bench = Bench(mcr=0)
    bench.uart.feed(b"early")
    assert bench.read(LSR) & 1 == 0
    bench.write(FCR, 0x07)  # a driver clears the FIFOs first
    bench.write(MCR, READY)
    assert bench.read_all() == b"early"


def test_input_beyond_the_fifo_waits_on_the_wire() -> None:
    """Does more input than the FIFO holds arrive whole, without overrun?"""
    bench = Bench(fcr=0x01)
    data = bytes(range(100))
    bench.uart.feed(data)
    assert len(bench.uart.state.received) == 16
    assert bench.read(LSR) & 2 == 0
    assert bench.read_all() == data


def test_without_fifo_one_byte_is_held() -> None:
    """In 16450 mode, is there one byte at a time, and no FIFO bits in IIR?"""
    bench = Bench(ier=RECEIVE)
    bench.uart.feed(b"abc")
    assert len(bench.uart.state.received) == 1
    assert bench.read(IIR) == 0x04
    assert bench.read_all() == b"abc"
    assert bench.read(IIR) == 0x01


def test_receive_interrupt_at_the_trigger_level_else_timeout() -> None:
    """Does IIR say "data available" from the trigger level on, and "time-out" below it?"""
    bench = Bench(fcr=0x81, ier=RECEIVE)  # 8 bytes
    assert bench.read(IIR) == 0xC1
    bench.uart.feed(b"1234567")
    assert bench.read(IIR) == 0xCC
    assert bench.line
    bench.uart.feed(b"8")
    assert bench.read(IIR) == 0xC4
    bench.read(DATA)
    assert bench.read(IIR) == 0xCC
    bench.read_all()
    assert bench.read(IIR) == 0xC1
    assert not bench.line


def test_clearing_the_fifo_discards_what_was_received() -> None:
    """Does FCR's clear bit empty the FIFO, and the wire then fill it again?"""
    bench = Bench(fcr=0x01)
    bench.uart.feed(bytes(range(20)))
    bench.write(FCR, 0x03)
    assert bench.read_all() == bytes(range(16, 20))


def test_enabling_the_transmit_interrupt_raises_it() -> None:
    """Does ETBEI interrupt at once, reading IIR end it, and the next byte raise it again?"""
    bench = Bench()
    bench.write(IER, TRANSMIT)
    assert bench.line
    assert bench.read(IIR) == 0x02
    assert not bench.line
    assert bench.read(IIR) == 0x01
    bench.write(DATA, ord("x"))
    assert bench.line


def test_each_byte_sent_is_a_new_edge() -> None:
    """If a driver writes THR without reading IIR, does the line still fall and rise?"""
    bench = Bench(ier=TRANSMIT)
    before = bench.edges
    bench.write(DATA, ord("x"))
    bench.uart.write_string(DATA, b"yz")
    assert bench.edges == before + 2


def test_out2_gates_the_interrupt_line() -> None:
    """Is the line silent until OUT2 connects it, as on a PC's board?"""
    bench = Bench(mcr=0x02, ier=RECEIVE)
    bench.uart.feed(b"x")
    assert not bench.line
    assert bench.read(IIR) == 0x04
    bench.write(MCR, READY)
    assert bench.line


def test_most_urgent_cause_comes_first() -> None:
    """Is the order line status, data, transmitter, modem status?"""
    bench = Bench(mcr=0x10, ier=RECEIVE | TRANSMIT | LINE_STATUS | MODEM_STATUS)
    bench.write(DATA, 1)
    bench.write(DATA, 2)  # overrun: nobody read the first
    assert bench.read(IIR) == 0x06
    assert bench.read(LSR) & 0x02
    assert bench.read(IIR) == 0x04
    assert bench.read(DATA) == 2  # RBR was overwritten
    assert bench.read(IIR) == 0x02
    assert bench.read(IIR) == 0x00
    bench.read(MSR)
    assert bench.read(IIR) == 0x01


def test_loopback_returns_bytes_and_sends_none() -> None:
    """In loopback, does THR lead to RBR, with the host cut off in both directions?"""
    bench = Bench(fcr=0x01)
    bench.write(MCR, 0x1B)
    bench.uart.feed(b"host")
    bench.uart.write_string(DATA, b"self")
    assert bench.read_all() == b"self"
    assert bench.sent == []
    bench.write(MCR, READY)
    assert bench.read_all() == b"host"


def test_loopback_overrun_keeps_the_fifo() -> None:
    """Is the 17th byte lost, the FIFO intact, and OE set until LSR is read?"""
    bench = Bench(fcr=0x01, mcr=0x10)
    for byte in range(17):
        bench.write(DATA, byte)
    assert bench.read(LSR) == 0x63
    assert bench.read(LSR) == 0x61
    assert bench.read_all() == bytes(range(16))


def test_modem_status_in_loopback_follows_mcr() -> None:
    """Do RTS, DTR, OUT1 and OUT2 come back as CTS, DSR, RI and DCD, with their changes?"""
    bench = Bench()
    assert bench.read(MSR) == 0xB0
    bench.write(MCR, 0x16)  # loop, RTS, OUT1
    assert bench.read(MSR) == 0x5A  # CTS, RI; DSR and DCD have fallen
    assert bench.read(MSR) == 0x50
    bench.write(MCR, 0x12)
    assert bench.read(MSR) == 0x14  # RI has ended


class NothingIsLost(RuleBasedStateMachine):
    """Whatever the guest and the host do, every byte arrives once and in order."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench()
        self.offered = bytearray()
        self.got = bytearray()
        self.written = bytearray()

    @rule(data=st.binary(max_size=40))
    def feed(self, data: bytes) -> None:
        self.offered += data
        self.bench.uart.feed(data)

    @rule(times=st.integers(1, 20))
    def read(self, times: int) -> None:
        for _ in range(times):
            if self.bench.read(LSR) & 1:
                self.got.append(self.bench.read(DATA))

    @rule(data=st.binary(max_size=20), bulk=st.booleans())
    def write(self, data: bytes, bulk: bool) -> None:
        self.written += data
        if bulk:
            self.bench.uart.write_string(DATA, data)
        else:
            for byte in data:
                self.bench.write(DATA, byte)

    @rule(trigger=st.integers(0, 3), enable=st.integers(0, 1), clear=st.integers(0, 1))
    def control_fifos(self, trigger: int, enable: int, clear: int) -> None:
        # Only what is in the FIFO may go, and only by an order that says so.
        state = self.bench.uart.state
        doomed = len(state.received) if (enable and clear) or enable != state.fcr & 1 else 0
        del self.offered[len(self.got) : len(self.got) + doomed]
        self.bench.write(FCR, trigger << 6 | clear << 1 | enable)

    @rule(mcr=st.sampled_from([0, 2, 8, READY]))
    def control_modem(self, mcr: int) -> None:
        self.bench.write(MCR, mcr)

    @rule(ier=st.integers(0, 15))
    def enable_interrupts(self, ier: int) -> None:
        self.bench.write(IER, ier)

    @rule()
    def snapshot(self) -> None:
        saved = self.bench.uart.save()
        self.bench.uart = Uart(self.bench.sent.append, self.bench.set_level)
        self.bench.uart.restore(saved)

    @invariant()
    def bytes_arrive_in_order(self) -> None:
        state = self.bench.uart.state
        assert self.got + state.received + state.wire == self.offered
        assert b"".join(self.bench.sent) == self.written
        assert not state.overrun

    @invariant()
    def input_is_announced(self) -> None:
        # Good: a guest that waits for the interrupt never sleeps on data.
        state = self.bench.uart.state
        if state.received and state.ier & RECEIVE and state.mcr & 8:
            assert self.bench.line
        if state.wire:
            assert len(state.received) in (1, 16) or not state.mcr & 2

    def teardown(self) -> None:
        self.bench.write(MCR, READY)
        assert self.got + self.bench.read_all() == self.offered


NothingIsLost.TestCase.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestNothingIsLost = NothingIsLost.TestCase
