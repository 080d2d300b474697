"""Terminals as files: opening, closing, reading, writing, hanging up.

A ``tty_struct`` lives from the first open of a terminal to the last close; its settings are kept by
the driver.  /dev/tty is the caller's controlling terminal, /dev/console the one that the command
line names; what is opened as /dev/console never becomes the controlling terminal, and job control
does not stop who reads or writes it.

Hanging up gives all open files other operations: reads find the end, writes fail.

See: Linux drivers/tty/tty_io.c; tty(4), console(4).
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

from guest_kernel.drivers.tty.ctty import (
    get_current_tty,
    register_disassociate,
    session_clear_tty,
    set_ctrl,
    set_old_pgrp,
    signal_of,
    tty_kref_put,
)
from guest_kernel.drivers.tty.driver import tty_operations
from guest_kernel.drivers.tty.jobctrl import (
    drop_session,
    open_proc_set_tty,
    signal_session_leader,
)
from guest_kernel.drivers.tty.n_tty import (
    n_tty_close,
    n_tty_input_available,
    n_tty_open,
    n_tty_poll,
    n_tty_read,
    n_tty_reset,
    n_tty_write,
)
from guest_kernel.drivers.tty.termbits import TIOCSPGRP
from guest_kernel.drivers.tty.tty_buffer import flush_to_ldisc, tty_flip_buffer_push
from guest_kernel.drivers.tty.tty_ioctl import tty_ioctl
from guest_kernel.errors import BUG, Errno, SyscallError
from guest_kernel.fs.char_dev import register_chrdev
from guest_kernel.fs.fcntl import O_NOCTTY
from guest_kernel.fs.operations import FileOperations, poll_table
from guest_kernel.fs.poll import (
    EPOLLERR,
    EPOLLHUP,
    EPOLLIN,
    EPOLLOUT,
    EPOLLRDNORM,
    EPOLLWRNORM,
)
from guest_kernel.fs.read_write import stream_open
from guest_kernel.layout.declare import PAGE_OFFSET, PHYSICAL_MASK
from guest_kernel.layout.fs import MAJOR, MINOR, MKDEV, Ops, file, inode
from guest_kernel.layout.sched import task_struct
from guest_kernel.layout.tty import (
    TTY_DRIVER_TYPE_PTY,
    TTY_EXCLUSIVE,
    TTY_HUPPED,
    TTY_HUPPING,
    TTY_THROTTLED,
    ktermios,
    tty_data,
    tty_driver,
    tty_file_private,
    tty_port,
    tty_struct,
)
from guest_kernel.layout.workqueue import work_struct
from guest_kernel.lib.list import (
    INIT_LIST_HEAD,
    list_add_tail,
    list_del,
    list_for_each_entry,
)
from guest_kernel.mm.iov_iter import iov_iter, kiocb
from guest_kernel.mm.slab import kfree, kmalloc, kzalloc
from guest_kernel.process.workqueue import FUNCTIONS, INIT_WORK, WorkFn, cancel_work, schedule_work
from guest_kernel.sched.wait import init_waitqueue_head, wake_up
from guest_kernel.syscalls import SYSCALL_DEFINE

if TYPE_CHECKING:
    from guest_kernel.kernel import Kernel

TTYAUX_MAJOR: Final = 5
DEV_TTY: Final = MKDEV(TTYAUX_MAJOR, 0)
DEV_CONSOLE: Final = MKDEV(TTYAUX_MAJOR, 1)


# ---- drivers


def tty_init(k: Kernel) -> None:
    """Set up the list of drivers."""
    INIT_LIST_HEAD(k.data(tty_data).tty_drivers)


def tty_register_driver(driver: tty_driver, ports: list[tty_port]) -> None:
    """Give a driver its place on the list; all fields but its arrays are set.

    Args:
        ports: one for each of its ``num`` devices.

    Raises:
        OutOfFrames.
    """
    k: Kernel = driver.k
    for name in ("ttys", "termios", "ports"):
        size = len(ports) * 8
        pa = kmalloc(k, size)
        k.u8[pa : pa + size] = bytes(size)
        setattr(driver, name, pa + PAGE_OFFSET)
    for index, port in enumerate(ports):
        k.u64[_slot(driver.ports, index)] = port.va
    list_add_tail(driver.tty_drivers, k.data(tty_data).tty_drivers)


def _slot(array: int, index: int) -> int:
    return (array & PHYSICAL_MASK) + index * 8 >> 3


def _driver_of(k: Kernel, device: int) -> tuple[tty_driver, int]:
    """Return the driver of a device number, and which of its terminals it is.

    Raises:
        SyscallError: ENXIO: no driver has it.
    """
    if device == DEV_CONSOLE:
        console = list_for_each_entry(k.data(tty_data).tty_drivers, tty_driver, "tty_drivers")
        return next(console), 0
    for driver in list_for_each_entry(k.data(tty_data).tty_drivers, tty_driver, "tty_drivers"):
        index = MINOR(device) - driver.minor_start
        if MAJOR(device) == driver.major and 0 <= index < driver.num:
            return driver, index
    raise SyscallError(Errno.ENXIO)


def driver_of(tty: tty_struct) -> tty_driver:
    """Return the driver of a terminal."""
    driver = tty.driver
    if driver is None:
        BUG(f"{tty!r} has no driver")
    return driver


# ---- open and close


def _init_dev(driver: tty_driver, index: int) -> tty_struct:
    """Make the structure of a terminal that nobody has open: tty_init_dev().

    Raises:
        OutOfFrames.
    """
    k: Kernel = driver.k
    port = tty_port.at(k, k.u64[_slot(driver.ports, index)])
    with ExitStack() as undo:
        tty = kzalloc(k, tty_struct)
        undo.callback(kfree, tty)
        tty.kref = 1
        tty.index, tty.driver, tty.ops, tty.port = index, driver, driver.ops, port
        for queue in (tty.write_wait, tty.read_wait):
            init_waitqueue_head(queue)
        INIT_LIST_HEAD(tty.tty_files)
        INIT_WORK(tty.hangup_work, WorkFn.TTY_HANGUP)
        saved = k.u64[_slot(driver.termios, index)]
        source = ktermios.at(k, saved) if saved else driver.init_termios
        _copy(source, tty.termios)
        _copy(port.winsize, tty.winsize)
        n_tty_open(tty)
        undo.pop_all()
    k.u64[_slot(driver.ttys, index)] = tty.va
    port.tty = tty
    if port.buf.head != port.buf.tail:
        tty_flip_buffer_push(port)
    return tty


def _copy(source: Any, target: Any) -> None:
    target.k.u8[target.pa : target.pa + target.size] = source.k.u8[
        source.pa : source.pa + source.size]


def _reopen(tty: tty_struct, current: task_struct) -> tty_struct:
    if tty.flags & TTY_EXCLUSIVE and current.euid:
        raise SyscallError(Errno.EBUSY)
    return tty


def _release_dev(tty: tty_struct) -> None:
    """Free what nobody has open any more: its settings stay with the driver."""
    k: Kernel = tty.k
    driver, port = driver_of(tty), tty.port
    assert port is not None
    session_clear_tty(tty.ctrl.session)
    saved = _slot(driver.termios, tty.index)
    if not k.u64[saved]:
        k.u64[saved] = kzalloc(k, ktermios).va
    _copy(tty.termios, ktermios.at(k, k.u64[saved]))
    cancel_work(tty.hangup_work)
    k.u64[_slot(driver.ttys, tty.index)] = 0
    port.tty = None
    n_tty_close(tty)
    tty_kref_put(tty)


def tty_of(f: file) -> tty_struct:
    """Return the terminal that a file has open."""
    private = tty_file_private.at(f.k, f.private_data)
    if private.tty is None:
        BUG(f"{f!r} has no terminal")
    return private.tty


# ---- hanging up


def tty_hangup(tty: tty_struct) -> None:
    """Have a worker hang a terminal up: its carrier is lost.  May be called in an interrupt."""
    schedule_work(tty.hangup_work)


def _do_tty_hangup(current: task_struct, work: work_struct) -> None:
    tty_vhangup(tty_struct(work.k, work.pa - tty_struct.offsetof("hangup_work")))


FUNCTIONS[WorkFn.TTY_HANGUP] = _do_tty_hangup


def tty_vhangup(tty: tty_struct, exit_session: bool = False) -> None:
    """Hang a terminal up: part it from its session, and its open files from it.

    Args:
        exit_session: the leader of its session ends; the foreground group is told.

    See: Linux __tty_hangup().
    """
    tty.flags |= TTY_HUPPING
    for private in list_for_each_entry(tty.tty_files, tty_file_private, "list"):
        f = private.file
        assert f is not None
        if f.f_op == Ops.TTY_FOPS:
            f.f_op = Ops.HUNG_UP_TTY_FOPS
    signal_session_leader(tty, exit_session)
    n_tty_reset(tty)
    tty.flags &= ~TTY_THROTTLED
    set_ctrl(tty, None, None)
    tty_operations(tty.ops).hangup(tty)
    tty.flags = tty.flags & ~TTY_HUPPING | TTY_HUPPED
    wake_up(tty.write_wait)
    wake_up(tty.read_wait)


def disassociate_ctty(current: task_struct) -> None:
    """Part a session from its terminal, because its leader ends."""
    signal = signal_of(current)
    if not signal.leader:
        return
    tty = get_current_tty(current)
    if tty is None or driver_of(tty).type == TTY_DRIVER_TYPE_PTY:
        drop_session(current, on_exit=True)
    else:
        tty_vhangup(tty, exit_session=True)
        set_old_pgrp(signal, None)  # it has been told


register_disassociate(disassociate_ctty)


# ---- operations


class TtyFileOperations(FileOperations, ops=Ops.TTY_FOPS):
    """tty_fops."""

    def open(self, node: inode, f: file) -> None:
        """Open a terminal; a session leader without one may get it as its controlling terminal.

        Raises:
            SyscallError: ENXIO: no driver has it; /dev/tty: the caller has none.  EBUSY: TIOCEXCL.
            OutOfFrames.
        """
        k: Kernel = f.k
        current = k.current()
        stream_open(f)
        with ExitStack() as undo:
            private = kzalloc(k, tty_file_private)
            undo.callback(kfree, private)
            noctty = bool(f.f_flags & O_NOCTTY) or node.i_rdev == DEV_CONSOLE
            if node.i_rdev == DEV_TTY:
                mine = get_current_tty(current)
                if mine is None:
                    raise SyscallError(Errno.ENXIO)
                tty = _reopen(mine, current)
            else:
                driver, index = _driver_of(k, node.i_rdev)
                va = k.u64[_slot(driver.ttys, index)]
                tty = _reopen(tty_struct.at(k, va), current) if va else _init_dev(driver, index)
            tty_operations(tty.ops).open(tty, f)
            undo.pop_all()
        tty.count += 1
        private.tty, private.file = tty, f
        list_add_tail(private.list, tty.tty_files)
        f.private_data = private.va
        tty.flags &= ~TTY_HUPPED
        if not noctty:
            open_proc_set_tty(current, f, tty)

    def release(self, node: inode, f: file) -> None:
        tty = tty_of(f)
        private = tty_file_private.at(f.k, f.private_data)
        tty_operations(tty.ops).close(tty)
        list_del(private.list)
        kfree(private)
        tty.count -= 1
        if not tty.count:
            _release_dev(tty)

    def read_iter(self, iocb: kiocb, to: iov_iter) -> int:
        f = iocb.ki_filp
        tty = tty_of(f)
        _flush_if_empty(tty)
        return n_tty_read(tty, f, to)

    def write_iter(self, iocb: kiocb, source: iov_iter) -> int:
        f = iocb.ki_filp
        return n_tty_write(tty_of(f), f, source)

    def poll(self, f: file, pt: poll_table | None) -> int:
        tty = tty_of(f)
        _flush_if_empty(tty)
        return n_tty_poll(tty, pt)

    def unlocked_ioctl(self, current: Any, f: file, cmd: int, arg: int) -> int:
        tty = tty_of(f)
        return tty_ioctl(current, f, tty, cmd, arg)


def _flush_if_empty(tty: tty_struct) -> None:
    """See to what has been received and not been processed, if there is nothing else to read."""
    port = tty.port
    assert port is not None
    if port.buf.head != port.buf.tail and not n_tty_input_available(tty):
        flush_to_ldisc(port)


class ConsoleTtyOperations(TtyFileOperations, ops=Ops.CONSOLE_FOPS):
    """console_fops: a terminal opened as /dev/console.  A hang-up leaves the file as it is."""


class HungUpTtyFileOperations(FileOperations, ops=Ops.HUNG_UP_TTY_FOPS):
    """hung_up_tty_fops.  A read or write that slept through it ends with what it has."""

    def read_iter(self, iocb: kiocb, to: iov_iter) -> int:
        return _done_before(iocb.ki_filp)

    def write_iter(self, iocb: kiocb, source: iov_iter) -> int:
        done = _done_before(iocb.ki_filp)
        if not done:
            raise SyscallError(Errno.EIO)
        return done

    def poll(self, f: file, pt: poll_table | None) -> int:
        return EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP | EPOLLRDNORM | EPOLLWRNORM

    def unlocked_ioctl(self, current: Any, f: file, cmd: int, arg: int) -> int:
        raise SyscallError(Errno.ENOTTY if cmd == TIOCSPGRP else Errno.EIO)

    def release(self, node: inode, f: file) -> None:
        FileOperations.tables[Ops.TTY_FOPS].release(node, f)


def _done_before(f: file) -> int:
    """Return how many bytes a call had moved when it went to sleep."""
    block = f.k.current().restart_block
    return block.arg[0] if block.fn else 0


register_chrdev(TTYAUX_MAJOR, 0, "tty", Ops.TTY_FOPS)


# System calls


@SYSCALL_DEFINE
def sys_vhangup(current: task_struct) -> int:
    """Hang up the caller's controlling terminal.  See vhangup(2)."""
    if current.euid:
        raise SyscallError(Errno.EPERM)
    tty = get_current_tty(current)
    if tty is not None:
        tty_vhangup(tty)
    return 0
