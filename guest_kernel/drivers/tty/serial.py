"""The serial port as a terminal: /dev/ttyS0.

The interrupt takes input from the port, no more, and queues a work; a kernel thread, in which the
line discipline may take its time and send signals, processes it.  What is written goes to the port
at once, since the wire is infinitely fast; while output is stopped, up to UART_XMIT_SIZE bytes wait
in the port's ring.

Limits:
    An open does not wait for a carrier.  Speeds and line formats are kept and change nothing.

See: Linux drivers/tty/serial/serial_core.c, 8250/8250_port.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from emulator.devices import uart
from guest_kernel.drivers.tty import termbits as t
from guest_kernel.drivers.tty.driver import TtyOperations
from guest_kernel.layout.fs import Ops, file
from guest_kernel.layout.tty import TTYB_SIZE, UART_XMIT_SIZE, tty_port, tty_struct
from guest_kernel.sched.wait import wake_up

if TYPE_CHECKING:
    from guest_kernel.kernel import Kernel

# 16550 registers and bits.
COM1: Final = uart.Uart.COM1
RBR: Final = COM1 + uart.RBR_THR
IER: Final = COM1 + uart.IER
FCR: Final = COM1 + uart.IIR_FCR
IIR: Final = FCR
LCR: Final = COM1 + uart.LCR
MCR: Final = COM1 + uart.MCR
LSR: Final = COM1 + uart.LSR
MSR: Final = COM1 + uart.MSR
LCR_8N1: Final = 3
TRIGGER: Final = uart.TRIGGER_LEVELS[3]  # so many bytes are there when they interrupt at once
FCR_TRIGGER: Final = 3 << 6
IIR_CAUSE: Final = 0xF
MCR_RUNNING: Final = uart.MCR_DTR | uart.MCR_RTS | uart.MCR_OUT2
MCR_FULL: Final = uart.MCR_DTR | uart.MCR_OUT2  # RTS off: the other end waits

_UNLIMITED: Final = 1 << 20  # room in the port while output flows

# TIOCMGET: what the modem says, by bits of MCR and of MSR.
_FROM_MCR: Final = ((uart.MCR_RTS, 0x004), (uart.MCR_DTR, 0x002), (uart.MCR_OUT1, 0x2000),
                    (uart.MCR_OUT2, 0x4000), (uart.MCR_LOOP, 0x8000))
_FROM_MSR: Final = ((uart.MSR_CTS, 0x020), (uart.MSR_DCD, 0x040), (uart.MSR_RI, 0x080),
                    (uart.MSR_DSR, 0x100))


def uart_startup(k: Kernel) -> None:
    """Set the port up to receive."""
    out = k.machine.write
    out(FCR, 1, uart.FCR_ENABLE | FCR_TRIGGER)
    out(LCR, 1, LCR_8N1)
    out(MCR, 1, MCR_RUNNING)
    out(IER, 1, uart.IER_ERBFI | uart.IER_EDSSI)


def move_from_port(k: Kernel, ring: memoryview, head: int, tail: int) -> int:
    """Fill a ring from the port; when it is full, have the other end wait.  Return its new head."""
    read, size = k.machine.read, len(ring)
    limit = tail + size
    while head < limit:
        if limit - head >= TRIGGER and read(IIR, 1) & IIR_CAUSE == uart.IIR_RECEIVED_DATA:
            for c in k.machine.read_string(RBR, TRIGGER):
                ring[head % size] = c
                head += 1
        elif read(LSR, 1) & uart.LSR_DR:
            ring[head % size] = read(RBR, 1)
            head += 1
        else:
            break
    k.machine.write(MCR, 1, MCR_FULL if head == limit else MCR_RUNNING)
    return head


def receive(port: tty_port) -> None:
    """Move bytes from the port to where the work takes them from."""
    buf = port.buf
    buf.head = move_from_port(port.k, buf.data, buf.head, buf.tail)


class Serial8250Operations(TtyOperations, ops=Ops.SERIAL8250_TTY_OPS):
    """serial8250's, with serial_core's."""

    def open(self, tty: tty_struct, f: file) -> None:
        """Nothing is to be done: the port receives from the start."""

    def write(self, tty: tty_struct, data: bytes) -> int:
        port = _port(tty)
        if not tty.flow.stopped and port.xmit_head == port.xmit_tail:
            tty.k.machine.write_string(COM1, data)
            return len(data)
        ring, head = port.xmit_buf, port.xmit_head
        data = data[: port.xmit_tail + UART_XMIT_SIZE - head]
        for place, c in enumerate(data, head):
            ring[place % UART_XMIT_SIZE] = c
        port.xmit_head = head + len(data)
        return len(data)

    def write_room(self, tty: tty_struct) -> int:
        port = _port(tty)
        if not tty.flow.stopped and port.xmit_head == port.xmit_tail:
            return _UNLIMITED
        return port.xmit_tail + UART_XMIT_SIZE - port.xmit_head

    def chars_in_buffer(self, tty: tty_struct) -> int:
        port = _port(tty)
        return port.xmit_head - port.xmit_tail

    def flush_buffer(self, tty: tty_struct) -> None:
        port = _port(tty)
        port.xmit_tail = port.xmit_head
        wake_up(tty.write_wait)

    def send_xchar(self, tty: tty_struct, c: int) -> None:
        tty.k.machine.write_string(COM1, bytes((c,)))

    def set_termios(self, tty: tty_struct) -> None:
        tty.termios.c_cflag &= ~t.CMSPAR

    def throttle(self, tty: tty_struct) -> None:
        if tty.termios.c_iflag & t.IXOFF:
            self.send_xchar(tty, tty.termios.c_cc[t.VSTOP])

    def unthrottle(self, tty: tty_struct) -> None:
        if tty.termios.c_iflag & t.IXOFF:
            self.send_xchar(tty, tty.termios.c_cc[t.VSTART])

    def start(self, tty: tty_struct) -> None:
        port = _port(tty)
        ring, tail, head = port.xmit_buf, port.xmit_tail, port.xmit_head
        if tail != head:
            data = bytes(ring[place % UART_XMIT_SIZE] for place in range(tail, head))
            port.xmit_tail = head
            tty.k.machine.write_string(COM1, data)

    def hangup(self, tty: tty_struct) -> None:
        self.flush_buffer(tty)

    def close(self, tty: tty_struct) -> None:
        if tty.count == 1:
            self.flush_buffer(tty)

    def receive_more(self, tty: tty_struct) -> None:
        port = _port(tty)
        if port.buf.head - port.buf.tail < TTYB_SIZE:
            receive(port)

    def tiocmget(self, tty: tty_struct) -> int:
        read = tty.k.machine.read
        return (sum(line for bit, line in _FROM_MCR if read(MCR, 1) & bit)
                | sum(line for bit, line in _FROM_MSR if read(MSR, 1) & bit))


def _port(tty: tty_struct) -> tty_port:
    port = tty.port
    assert port is not None
    return port
