"""/dev/console: the serial port, as a terminal or as a pipe.

The other end is a terminal, with all that drivers/tty has, or a pipe: then bytes pass unchanged,
the end of input is the end of the file, and terminal requests are ENOTTY, so that a program behaves
as it does in a pipeline.  A pipe's bytes the interrupt gives to readers itself.

See: Linux drivers/tty/serial/8250/8250_port.c, drivers/tty/serial/serial_core.c.
"""

from __future__ import annotations

from typing import Any, Final

from emulator.devices import uart
from guest_kernel.drivers.tty import serial
from guest_kernel.drivers.tty import termbits as t
from guest_kernel.drivers.tty.serial import COM1, MSR, move_from_port, uart_startup
from guest_kernel.drivers.tty.tty_buffer import tty_buffer_init, tty_flip_buffer_push
from guest_kernel.drivers.tty.tty_io import tty_hangup, tty_init, tty_register_driver
from guest_kernel.drivers.tty.tty_ioctl import tty_do_resize
from guest_kernel.errors import Errno, SyscallError
from guest_kernel.fs.char_dev import register_chrdev
from guest_kernel.fs.fcntl import O_NONBLOCK
from guest_kernel.fs.file import sleep_on_file
from guest_kernel.fs.operations import FileOperations, file_operations, poll_table
from guest_kernel.fs.poll import EPOLLIN, EPOLLOUT, EPOLLRDNORM, EPOLLWRNORM
from guest_kernel.fs.read_write import stream_open
from guest_kernel.kernel import Kernel
from guest_kernel.layout.fs import Ops, file, inode
from guest_kernel.layout.tty import (
    N_TTY_BUF_SIZE,
    TTY_DRIVER_TYPE_SERIAL,
    tty_data,
    tty_driver,
)
from guest_kernel.mm.iov_iter import iov_iter, kiocb
from guest_kernel.mm.slab import kzalloc
from guest_kernel.mm.uaccess import put_user_u32
from guest_kernel.sched.wait import init_waitqueue_head, poll_wait, waitqueue_active, wake_up
from guest_kernel.traps import IRQ_HANDLERS, SERIAL_IRQ, WINDOW_IRQ

TTY_MAJOR: Final = 4
FIRST_SERIAL_MINOR: Final = 64


def console_init(k: Kernel, *, is_tty: bool, rows: int = 24, columns: int = 80) -> None:
    """Set up the port, and the console at it.

    Args:
        is_tty: a terminal is at the other end, its window of ``rows`` and ``columns``.
    """
    data = k.data(tty_data)
    tty_init(k)
    init_waitqueue_head(data.read_wait)
    data.is_tty = int(is_tty)
    if is_tty:
        _serial_init(k, rows, columns)
    uart_startup(k)


def _serial_init(k: Kernel, rows: int, columns: int) -> None:
    """Register /dev/ttyS0."""
    port = k.data(tty_data).serial_port
    tty_buffer_init(port)
    port.winsize.ws_row, port.winsize.ws_col = rows, columns
    driver = kzalloc(k, tty_driver)
    driver.name = b"ttyS"
    driver.major, driver.minor_start, driver.num = TTY_MAJOR, FIRST_SERIAL_MINOR, 1
    driver.type, driver.ops = TTY_DRIVER_TYPE_SERIAL, Ops.SERIAL8250_TTY_OPS
    termios = driver.init_termios
    termios.c_iflag, termios.c_oflag = t.STD_IFLAG, t.STD_OFLAG
    termios.c_cflag, termios.c_lflag = t.STD_CFLAG, t.STD_LFLAG
    termios.c_cc[:] = t.INIT_C_CC
    termios.c_ispeed = termios.c_ospeed = t.STD_SPEED
    tty_register_driver(driver, [port])


def serial8250_interrupt(k: Kernel) -> None:
    """Take what the port has received; tell readers, or have the work do it that they wait for."""
    data = k.data(tty_data)
    if not data.is_tty:
        _receive(k)
        if not k.machine.read(MSR, 1) & uart.MSR_DCD:
            data.hung_up = 1
        wake_up(data.read_wait)
        return
    port = data.serial_port
    serial.receive(port)
    tty_flip_buffer_push(port)
    carrier = k.machine.read(MSR, 1) & uart.MSR_DCD  # or the port would interrupt again
    tty = port.tty
    if not carrier and tty is not None and not tty.termios.c_cflag & t.CLOCAL:
        tty_hangup(tty)


IRQ_HANDLERS[SERIAL_IRQ] = serial8250_interrupt


def resize_window(k: Kernel, rows: int, columns: int) -> None:
    """Have the guest told, by an interrupt, of its terminal's new size.

    The machine must be between two host calls.  (A real serial line cannot tell; virtio's console
    can: VIRTIO_CONSOLE_F_SIZE.)
    """
    window = k.data(tty_data).window
    window.ws_row, window.ws_col = rows, columns
    k.machine.pic.set_irq(WINDOW_IRQ, True)
    k.machine.arm()


def _window_interrupt(k: Kernel) -> None:
    k.machine.pic.set_irq(WINDOW_IRQ, False)
    data = k.data(tty_data)
    port, window = data.serial_port, data.window
    port.winsize.ws_row, port.winsize.ws_col = window.ws_row, window.ws_col
    tty = port.tty
    if tty is not None:
        tty_do_resize(tty, (window.ws_row, window.ws_col, 0, 0))


IRQ_HANDLERS[WINDOW_IRQ] = _window_interrupt


def console_has_reader(k: Kernel) -> bool:
    """Tell whether a task waits for input."""
    data = k.data(tty_data)
    if not data.is_tty:
        return waitqueue_active(data.read_wait)
    tty = data.serial_port.tty
    return tty is not None and waitqueue_active(tty.read_wait)


# ---- a pipe at the other end


def _receive(k: Kernel) -> None:
    """Move bytes from the port to where they are read from."""
    data = k.data(tty_data)
    data.read_head = move_from_port(k, data.read_buf, data.read_head, data.read_tail)


class ConsolePipeOperations(FileOperations, ops=Ops.CONSOLE_PIPE_FOPS):
    """/dev/console where it is a pipe."""

    def open(self, node: inode, f: file) -> None:
        stream_open(f)

    def read_iter(self, iocb: kiocb, to: iov_iter) -> int:
        k: Kernel = to.k
        data = k.data(tty_data)
        if not to.count:
            return 0
        if data.read_head == data.read_tail:
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
        _receive(k)
        if not copied:
            raise SyscallError(Errno.EFAULT)
        return copied

    def write_iter(self, iocb: kiocb, source: iov_iter) -> int:
        k: Kernel = source.k
        total = source.count
        while source.count:
            chunk = source.copy_from_iter(min(source.count, 1 << 16))
            if not chunk:
                if source.count == total:
                    raise SyscallError(Errno.EFAULT)
                break
            k.machine.write_string(COM1, chunk)
        return total - source.count

    def poll(self, f: file, pt: poll_table | None) -> int:
        data = f.k.data(tty_data)
        poll_wait(data.read_wait, pt)
        mask = EPOLLOUT | EPOLLWRNORM
        if data.read_head != data.read_tail or data.hung_up:
            mask |= EPOLLIN | EPOLLRDNORM
        return mask

    def unlocked_ioctl(self, current: Any, f: file, cmd: int, arg: int) -> int:
        if cmd != t.TIOCINQ:
            raise SyscallError(Errno.ENOTTY)
        data = f.k.data(tty_data)
        put_user_u32(f.k, arg, data.read_head - data.read_tail)
        return 0


class ConsoleOperations(FileOperations, ops=Ops.CONSOLE_OPEN_FOPS):
    """What an open of /dev/console makes of the file."""

    def open(self, node: inode, f: file) -> None:
        f.f_op = Ops.CONSOLE_FOPS if f.k.data(tty_data).is_tty else Ops.CONSOLE_PIPE_FOPS
        file_operations(f.f_op).open(node, f)


register_chrdev(5, 1, "console", Ops.CONSOLE_OPEN_FOPS)
register_chrdev(TTY_MAJOR, FIRST_SERIAL_MINOR, "ttyS", Ops.TTY_FOPS)
