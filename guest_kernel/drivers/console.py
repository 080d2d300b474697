"""/dev/console: the serial port as a file.

The other end is a terminal, with settings that programs may ask for, or a pipe: then bytes pass
unchanged, the end of input is the end of the file, and terminal requests are ENOTTY, so that a
program behaves as it does in a pipeline.

A terminal's input goes the way that it goes in Linux.  The interrupt takes it from the port, no
more, and queues a work; a kernel thread, in which the line discipline may take its time, sleep and
send signals, gives it to readers.  A pipe's bytes the interrupt gives to readers itself.

Limits: input is passed on as it comes and not edited; control characters make no signals.  Both
come with the line discipline.

See: Linux drivers/tty/serial/8250/8250_port.c, drivers/tty/tty_buffer.c,
drivers/tty/n_tty.c; ioctl_tty(2).
"""

from __future__ import annotations

import struct
from typing import Any, Final

from emulator.devices import uart
from guest_kernel.errors import Errno, SyscallError
from guest_kernel.fs.char_dev import register_chrdev
from guest_kernel.fs.fcntl import O_NONBLOCK
from guest_kernel.fs.file import sleep_on_file
from guest_kernel.fs.operations import FileOperations, poll_table
from guest_kernel.fs.poll import EPOLLHUP, EPOLLIN, EPOLLOUT, EPOLLRDNORM, EPOLLWRNORM
from guest_kernel.fs.read_write import stream_open
from guest_kernel.kernel import Kernel
from guest_kernel.layout.fs import Ops, file, inode
from guest_kernel.layout.sched import task_struct
from guest_kernel.layout.tty import N_TTY_BUF_SIZE, NCCS, TTYB_SIZE, tty_data
from guest_kernel.layout.workqueue import work_struct
from guest_kernel.mm.iov_iter import iov_iter, kiocb
from guest_kernel.mm.uaccess import copy_from_user, copy_to_user
from guest_kernel.process.workqueue import FUNCTIONS, INIT_WORK, WorkFn, schedule_work
from guest_kernel.sched.wait import init_waitqueue_head, poll_wait, wake_up
from guest_kernel.traps import IRQ_HANDLERS, SERIAL_IRQ

# 16550 registers and bits.
COM1: Final = uart.Uart.COM1
_RBR: Final = COM1 + uart.RBR_THR
_IER: Final = COM1 + uart.IER
_FCR: Final = COM1 + uart.IIR_FCR
_LCR: Final = COM1 + uart.LCR
_MCR: Final = COM1 + uart.MCR
_LSR: Final = COM1 + uart.LSR
_MSR: Final = COM1 + uart.MSR
_LCR_8N1: Final = 3
_MCR_RUNNING: Final = uart.MCR_DTR | uart.MCR_RTS | uart.MCR_OUT2
_MCR_FULL: Final = uart.MCR_DTR | uart.MCR_OUT2  # RTS off: the other end waits

TCGETS: Final = 0x5401
TCSETS: Final = 0x5402
TCSETSW: Final = 0x5403
TCSETSF: Final = 0x5404
TIOCGPGRP: Final = 0x540F
TIOCGWINSZ: Final = 0x5413
TIOCSWINSZ: Final = 0x5414
FIONREAD: Final = 0x541B

OPOST: Final = 0x1
ONLCR: Final = 0x4

_TERMIOS: Final = struct.Struct("<IIIIB19s")
_WINSIZE: Final = struct.Struct("<HHHH")

# tty_std_termios: ICRNL IXON, OPOST ONLCR, B38400 CS8 CREAD HUPCL,
# ISIG ICANON ECHO ECHOE ECHOK ECHOCTL ECHOKE IEXTEN.
_STD_TERMIOS: Final = (0x500, 0x5, 0x4BF, 0x8A3B)
_INIT_C_CC: Final = bytes((3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22, 0, 0, 0))


def console_init(k: Kernel, *, is_tty: bool, rows: int = 24, columns: int = 80) -> None:
    """Set up the port and the console's state."""
    data = k.data(tty_data)
    init_waitqueue_head(data.read_wait)
    INIT_WORK(data.buf.work, WorkFn.FLUSH_TO_LDISC)
    data.is_tty = int(is_tty)
    data.c_iflag, data.c_oflag, data.c_cflag, data.c_lflag = _STD_TERMIOS
    data.c_cc[:] = _INIT_C_CC
    data.ws_row, data.ws_col = rows, columns
    out = k.machine.write
    out(_FCR, 1, uart.FCR_ENABLE)
    out(_LCR, 1, _LCR_8N1)
    out(_MCR, 1, _MCR_RUNNING)
    out(_IER, 1, uart.IER_ERBFI | uart.IER_EDSSI)


def serial8250_interrupt(k: Kernel) -> None:
    """Take what the port has received; tell readers, or have the work do it that they wait for."""
    data = k.data(tty_data)
    if data.is_tty:
        _receive_tty(k)
        k.machine.read(_MSR, 1)  # or the port would interrupt again; the work looks at it
        schedule_work(data.buf.work)
        return
    _receive(k)
    if not k.machine.read(_MSR, 1) & uart.MSR_DCD:
        data.hung_up = 1
    wake_up(data.read_wait)


IRQ_HANDLERS[SERIAL_IRQ] = serial8250_interrupt


def _receive(k: Kernel) -> None:
    """Move bytes from the port to where they are read from."""
    data = k.data(tty_data)
    data.read_head = _move_from_port(k, data.read_buf, data.read_head, data.read_tail)


def _receive_tty(k: Kernel) -> None:
    """Move bytes from the port to where the work takes them from."""
    buf = k.data(tty_data).buf
    buf.head = _move_from_port(k, buf.data, buf.head, buf.tail)


def _move_from_port(k: Kernel, ring: memoryview, head: int, tail: int) -> int:
    """Fill a ring from the port; when it is full, have the other end wait.  Return its new head."""
    read, size = k.machine.read, len(ring)
    limit = tail + size
    while head < limit and read(_LSR, 1) & uart.LSR_DR:
        ring[head % size] = read(_RBR, 1)
        head += 1
    k.machine.write(_MCR, 1, _MCR_FULL if head == limit else _MCR_RUNNING)
    return head


def flush_to_ldisc(current: task_struct, work: work_struct) -> None:
    """Give a terminal's input to its readers, as much as there is room for."""
    k: Kernel = work.k
    data = k.data(tty_data)
    buf = data.buf
    while count := min(buf.head - buf.tail, data.read_tail + N_TTY_BUF_SIZE - data.read_head):
        source, to = buf.tail % TTYB_SIZE, data.read_head % N_TTY_BUF_SIZE
        count = min(count, TTYB_SIZE - source, N_TTY_BUF_SIZE - to)  # neither goes round
        data.read_buf[to : to + count] = buf.data[source : source + count]
        data.read_head += count
        buf.tail += count
        _receive_tty(k)  # there is room again
    if buf.head == buf.tail and not k.machine.read(_MSR, 1) & uart.MSR_DCD:
        data.hung_up = 1  # everything that has come before is in read_buf
    wake_up(data.read_wait)


FUNCTIONS[WorkFn.FLUSH_TO_LDISC] = flush_to_ldisc


class ConsoleFileOperations(FileOperations, ops=Ops.CONSOLE_FOPS):
    """/dev/console."""

    def open(self, node: inode, f: file) -> None:
        stream_open(f)

    def read_iter(self, iocb: kiocb, to: iov_iter) -> int:
        k: Kernel = to.k
        data = k.data(tty_data)
        if not to.count:
            return 0
        if data.read_head == data.read_tail and not data.is_tty:
            _receive(k)
        available = data.read_head - data.read_tail
        if not available:
            if data.hung_up:
                return 0
            if iocb.ki_filp.f_flags & O_NONBLOCK:
                raise SyscallError(Errno.EAGAIN)
            sleep_on_file(k.current(), iocb.ki_filp, data.read_wait)
        start = data.read_tail % N_TTY_BUF_SIZE
        count = min(available, to.count, N_TTY_BUF_SIZE - start)
        copied = to.copy_to_iter(bytes(data.read_buf[start : start + count]))
        data.read_tail += copied
        if not data.is_tty:
            _receive(k)
        elif data.buf.head != data.buf.tail:
            schedule_work(data.buf.work)  # it had found no room
        if not copied:
            raise SyscallError(Errno.EFAULT)
        return copied

    def write_iter(self, iocb: kiocb, source: iov_iter) -> int:
        k: Kernel = source.k
        data = k.data(tty_data)
        total = source.count
        while source.count:
            chunk = source.copy_from_iter(min(source.count, 1 << 16))
            if not chunk:
                if source.count == total:
                    raise SyscallError(Errno.EFAULT)
                break
            if data.is_tty and data.c_oflag & (OPOST | ONLCR) == OPOST | ONLCR:
                chunk = bytes(chunk).replace(b"\n", b"\r\n")
            k.machine.write_string(COM1, chunk)
        return total - source.count

    def poll(self, f: file, pt: poll_table | None) -> int:
        data = f.k.data(tty_data)
        poll_wait(data.read_wait, pt)
        mask = EPOLLOUT | EPOLLWRNORM
        if data.read_head != data.read_tail:
            mask |= EPOLLIN | EPOLLRDNORM
        if data.hung_up:
            mask |= EPOLLIN | EPOLLRDNORM | (EPOLLHUP if data.is_tty else 0)
        return mask

    def unlocked_ioctl(self, current: Any, f: file, cmd: int, arg: int) -> int:
        k: Kernel = f.k
        data = k.data(tty_data)
        if cmd == FIONREAD:
            copy_to_user(k, arg, (data.read_head - data.read_tail).to_bytes(4, "little"))
            return 0
        if not data.is_tty:
            raise SyscallError(Errno.ENOTTY)
        if cmd == TCGETS:
            copy_to_user(k, arg, _TERMIOS.pack(data.c_iflag, data.c_oflag, data.c_cflag,
                                               data.c_lflag, data.c_line, bytes(data.c_cc)))
        elif cmd in (TCSETS, TCSETSW, TCSETSF):
            fields = _TERMIOS.unpack(copy_from_user(k, arg, _TERMIOS.size))
            data.c_iflag, data.c_oflag, data.c_cflag, data.c_lflag, data.c_line = fields[:5]
            data.c_cc[:] = fields[5][:NCCS]
        elif cmd == TIOCGWINSZ:
            copy_to_user(k, arg, _WINSIZE.pack(data.ws_row, data.ws_col, data.ws_xpixel,
                                               data.ws_ypixel))
        elif cmd == TIOCSWINSZ:
            (data.ws_row, data.ws_col, data.ws_xpixel, data.ws_ypixel,
             ) = _WINSIZE.unpack(copy_from_user(k, arg, _WINSIZE.size))
        else:
            raise SyscallError(Errno.ENOTTY)
        return 0


register_chrdev(5, 1, "console", Ops.CONSOLE_FOPS)
