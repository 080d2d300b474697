"""Requests to a terminal: its settings, its window, what is under way in it.

See: Linux drivers/tty/tty_io.c tty_ioctl(), tty_ioctl.c; ioctl_tty(2).
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from guest_kernel.drivers.tty import termbits as t
from guest_kernel.drivers.tty.ctty import get_current_tty
from guest_kernel.drivers.tty.driver import tty_operations
from guest_kernel.drivers.tty.flow import start_tty, stop_tty
from guest_kernel.drivers.tty.jobctrl import check_change, jobctrl_ioctl
from guest_kernel.drivers.tty.n_tty import (
    n_tty_flush_buffer,
    n_tty_ioctl,
    n_tty_receive_buf,
    n_tty_set_termios,
    sleep_on_tty,
)
from guest_kernel.drivers.tty.tty_buffer import tty_buffer_flush
from guest_kernel.errors import Errno, SyscallError
from guest_kernel.layout.fs import file
from guest_kernel.layout.sched import task_struct
from guest_kernel.layout.tty import TTY_EXCLUSIVE, tty_driver, tty_struct, winsize
from guest_kernel.mm.uaccess import (
    copy_from_user,
    copy_to_user,
    get_user_u32,
    put_user_u32,
)
from guest_kernel.sched.wait import signal_pending
from guest_kernel.signal.numbers import SIGWINCH
from guest_kernel.signal.signal import kill_pgrp

if TYPE_CHECKING:
    from guest_kernel.kernel import Kernel

# Requests that set termios: how they lie in memory, whether to wait, whether to forget input.
_SETS: Final[dict[int, tuple[struct.Struct, bool, bool]]] = {
    t.TCSETS: (t.TERMIOS, False, False), t.TCSETSW: (t.TERMIOS, True, False),
    t.TCSETSF: (t.TERMIOS, True, True),
    t.TCSETS2: (t.TERMIOS2, False, False), t.TCSETSW2: (t.TERMIOS2, True, False),
    t.TCSETSF2: (t.TERMIOS2, True, True),
    t.TCSETA: (t.TERMIO, False, False), t.TCSETAW: (t.TERMIO, True, False),
    t.TCSETAF: (t.TERMIO, True, True),
}
_GETS: Final = {t.TCGETS: t.TERMIOS, t.TCGETS2: t.TERMIOS2, t.TCGETA: t.TERMIO}
_LOW: Final = 0xFFFF  # of a flag word: what struct termio has


def tty_ioctl(current: task_struct, f: file, tty: tty_struct, cmd: int, arg: int) -> int:
    """Do a request; ``arg`` is a number or a user address.

    Raises:
        SyscallError: ENOTTY: no terminal knows the request.  ERESTARTSYS, EIO: see
            ``check_change``.  EFAULT.  What ioctl_tty(2) says.
    """
    if not (_settings(current, f, tty, cmd, arg) or _queues(current, f, tty, cmd, arg)
            or _itself(current, tty, cmd, arg) or jobctrl_ioctl(current, f, tty, cmd, arg)
            or n_tty_ioctl(tty, cmd, arg)):
        raise SyscallError(Errno.ENOTTY)
    return 0


# ---- settings


def _settings(current: task_struct, f: file, tty: tty_struct, cmd: int, arg: int) -> bool:
    termios = tty.termios
    if cmd in _GETS:
        layout = _GETS[cmd]
        flags = [termios.c_iflag, termios.c_oflag, termios.c_cflag, termios.c_lflag]
        rest: list[int | bytes] = [termios.c_line, bytes(termios.c_cc)]
        if layout is t.TERMIO:
            flags = [word & _LOW for word in flags]
        elif layout is t.TERMIOS2:
            rest += [termios.c_ispeed, termios.c_ospeed]
        copy_to_user(tty.k, arg, layout.pack(*flags, *rest))
    elif cmd in _SETS:
        _set_termios(current, f, tty, *_SETS[cmd], arg)
    elif cmd == t.TIOCGSOFTCAR:
        put_user_u32(tty.k, arg, int(bool(termios.c_cflag & t.CLOCAL)))
    elif cmd == t.TIOCSSOFTCAR:
        clocal = t.CLOCAL if get_user_u32(tty.k, arg) else 0
        termios.c_cflag = termios.c_cflag & ~t.CLOCAL | clocal
    else:
        return False
    return True


def _set_termios(current: task_struct, f: file, tty: tty_struct, layout: struct.Struct,
                 wait: bool, flush: bool, arg: int) -> None:
    """Change the settings.

    Args:
        layout: of the structure at ``arg``.
        wait: after all output has been sent.
        flush: and forget what has been typed and not been read.
    """
    if not current.restart_block.fn:
        check_change(current, tty)
    k: Kernel = tty.k
    termios = tty.termios
    fields = list(layout.unpack(copy_from_user(k, arg, layout.size)))
    if layout is t.TERMIO:
        old = termios.c_iflag, termios.c_oflag, termios.c_cflag, termios.c_lflag
        for index, word in enumerate(old):
            fields[index] |= word & ~_LOW
        fields[5] += bytes(termios.c_cc)[8:]
    if wait:
        _wait_until_sent(current, f, tty)
        if flush:
            n_tty_flush_buffer(tty)
    before = termios.c_lflag, termios.c_iflag
    speeds = fields[6:] if layout is t.TERMIOS2 else (termios.c_ispeed, termios.c_ospeed)
    termios.c_iflag, termios.c_oflag, termios.c_cflag, termios.c_lflag, termios.c_line = fields[:5]
    termios.c_cc[:] = fields[5]
    termios.c_ispeed = t.input_speed(termios.c_cflag, *speeds)
    termios.c_ospeed = t.output_speed(termios.c_cflag, speeds[1])
    tty_operations(tty.ops).set_termios(tty)
    n_tty_set_termios(tty, *before)


def _wait_until_sent(current: task_struct, f: file, tty: tty_struct) -> None:
    """Sleep until all output has been sent.

    Raises:
        Sleep.
        SyscallError: ERESTARTSYS.
    """
    if tty_operations(tty.ops).chars_in_buffer(tty):
        sleep_on_tty(current, f, tty.write_wait)


# ---- what is under way


def _drain(current: task_struct, f: file, tty: tty_struct) -> None:
    """Sleep until all output has been sent; a signal ends it for good.

    Raises:
        Sleep.
        SyscallError: EINTR.
    """
    if signal_pending(current):
        raise SyscallError(Errno.EINTR)
    _wait_until_sent(current, f, tty)


def _queues(current: task_struct, f: file, tty: tty_struct, cmd: int, arg: int) -> bool:
    if cmd in (t.TCSBRK, t.TCSBRKP, t.TIOCSBRK, t.TIOCCBRK):
        if not current.restart_block.fn:
            check_change(current, tty)
        if cmd != t.TIOCCBRK:
            _drain(current, f, tty)
        # A break is on the line for no time at all, and nobody at the other end hears it.
    elif cmd == t.TCXONC:
        check_change(current, tty)
        _tcxonc(tty, arg)
    elif cmd == t.TCFLSH:
        check_change(current, tty)
        if arg not in (t.TCIFLUSH, t.TCOFLUSH, t.TCIOFLUSH):
            raise SyscallError(Errno.EINVAL)
        if arg != t.TCOFLUSH:
            tty_buffer_flush(tty)
            n_tty_flush_buffer(tty)
        if arg != t.TCIFLUSH:
            tty_operations(tty.ops).flush_buffer(tty)
    elif cmd == t.TIOCSTI:
        if current.euid and get_current_tty(current) != tty:
            raise SyscallError(Errno.EPERM)
        n_tty_receive_buf(tty, copy_from_user(tty.k, arg, 1))
    else:
        return False
    return True


def _tcxonc(tty: tty_struct, arg: int) -> None:
    """Stop or start the output; or have the other end stop or start its own."""
    flow, cc = tty.flow, tty.termios.c_cc
    if arg == t.TCOOFF:
        if not flow.tco_stopped:
            flow.tco_stopped = 1
            stop_tty(tty)
    elif arg == t.TCOON:
        if flow.tco_stopped:
            flow.tco_stopped = 0
            start_tty(tty)
    elif arg in (t.TCIOFF, t.TCION):
        c = cc[t.VSTOP if arg == t.TCIOFF else t.VSTART]
        if c != t._POSIX_VDISABLE:
            tty_operations(tty.ops).send_xchar(tty, c)
    else:
        raise SyscallError(Errno.EINVAL)


# ---- the terminal itself


def _itself(current: task_struct, tty: tty_struct, cmd: int, arg: int) -> bool:
    k: Kernel = tty.k
    if cmd == t.TIOCGWINSZ:
        size = tty.winsize
        copy_to_user(k, arg, t.WINSIZE.pack(size.ws_row, size.ws_col, size.ws_xpixel,
                                            size.ws_ypixel))
    elif cmd == t.TIOCSWINSZ:
        tty_do_resize(tty, t.WINSIZE.unpack(copy_from_user(k, arg, t.WINSIZE.size)))
    elif cmd == t.TIOCEXCL:
        tty.flags |= TTY_EXCLUSIVE
    elif cmd == t.TIOCNXCL:
        tty.flags &= ~TTY_EXCLUSIVE
    elif cmd == t.TIOCGEXCL:
        put_user_u32(k, arg, int(bool(tty.flags & TTY_EXCLUSIVE)))
    elif cmd == t.TIOCGETD:
        put_user_u32(k, arg, 0)
    elif cmd == t.TIOCSETD:
        check_change(current, tty)
        if get_user_u32(k, arg):
            raise SyscallError(Errno.EINVAL)  # N_TTY is the only one
    elif cmd == t.TIOCGDEV:
        driver: tty_driver | None = tty.driver
        assert driver is not None
        put_user_u32(k, arg, driver.major << 8 | driver.minor_start + tty.index)
    elif cmd == t.TIOCMGET:
        put_user_u32(k, arg, tty_operations(tty.ops).tiocmget(tty))
    else:
        return False
    return True


def tty_do_resize(tty: tty_struct, size: tuple[int, ...]) -> None:
    """Set the size of the window; if it changes, tell the foreground group.

    Args:
        size: rows, columns, width and height in pixels.
    """
    window: winsize = tty.winsize
    if (window.ws_row, window.ws_col, window.ws_xpixel, window.ws_ypixel) != size:
        kill_pgrp(tty.ctrl.pgrp, SIGWINCH)
        window.ws_row, window.ws_col, window.ws_xpixel, window.ws_ypixel = size
