"""The host's terminal while the guest has it: keys come as they are typed, and it is given back.

Given back in every case: at the end and by an exception, by the context manager; by SIGTERM, SIGHUP
and their kin, by handlers that turn them into an exception; while ringlet is stopped by SIGTSTP, by
a handler; and if ringlet is killed or crashes outright, by the *guardian*, a small process that
waits for its end.

See: termios(3), "Raw mode"; signal(7).
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import termios
from collections.abc import Callable
from contextlib import ExitStack, suppress
from types import FrameType
from typing import Any, Final, Self

from ringlet.console import Ended

_ENDING: Final = (signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGINT)
_WINSIZE: Final = struct.Struct("4H")


class HostTerminal:
    """A terminal of the host in raw mode, for the length of a ``with`` block.

    Args:
        fd: it.

    Attributes:
        resized: its window has changed since :meth:`window` was asked.
        ended: the signal that ends ringlet, or 0.
    """

    def __init__(self, fd: int = 0) -> None:
        self.fd = fd
        self.resized = False
        self.ended = 0
        self._before: list[Any] = []
        self._undo = ExitStack()
        self._wakeup = -1

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            self._before = termios.tcgetattr(self.fd)
            undo.callback(self._guard())
            self._wakeup, writing = os.pipe()
            for end in (self._wakeup, writing):
                os.set_blocking(end, False)
                undo.callback(os.close, end)
            undo.callback(signal.set_wakeup_fd, signal.set_wakeup_fd(writing))
            handlers: dict[int, Callable[[int, FrameType | None], None]] = {
                signal.SIGWINCH: self._window_changed, signal.SIGTSTP: self._stop}
            handlers |= dict.fromkeys(_ENDING, self._end)
            for signum, handler in handlers.items():
                undo.callback(signal.signal, signum, signal.signal(signum, handler))
            undo.callback(self._give_back)
            self._take()
            self._undo = undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._undo.close()

    def _take(self) -> None:
        """Set raw mode: no key means anything here, nothing is echoed or changed."""
        modes = termios.tcgetattr(self.fd)
        modes[0] &= ~(termios.IGNBRK | termios.BRKINT | termios.PARMRK | termios.ISTRIP
                      | termios.INLCR | termios.IGNCR | termios.ICRNL | termios.IXON)
        modes[1] &= ~termios.OPOST
        modes[2] = modes[2] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
        modes[3] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG
                      | termios.IEXTEN)
        modes[6][termios.VMIN], modes[6][termios.VTIME] = 1, 0
        termios.tcsetattr(self.fd, termios.TCSADRAIN, modes)

    def _give_back(self) -> None:
        with suppress(termios.error):  # the terminal itself is gone
            termios.tcsetattr(self.fd, termios.TCSADRAIN, self._before)

    def _window_changed(self, _signum: int, _frame: FrameType | None) -> None:
        self.resized = True

    def _end(self, signum: int, _frame: FrameType | None) -> None:
        """Have :meth:`wait` end ringlet, between two steps of the machine; or the second time, now.

        An exception must not come out of nowhere where the engine has called Python.
        """
        if self.ended:
            raise Ended(signum)
        self.ended = signum

    def _stop(self, _signum: int, _frame: FrameType | None) -> None:
        """Stop, as SIGTSTP asks, and take the terminal again when continued."""
        self._give_back()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._take()
        self.resized = True

    def _guard(self) -> Callable[[], None]:
        """Start the guardian; return what ends it."""
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            try:
                os.close(writing)
                for signum in (*_ENDING, signal.SIGTSTP, signal.SIGTTOU):
                    signal.signal(signum, signal.SIG_IGN)
                if not os.read(reading, 1):
                    self._give_back()
            finally:
                os._exit(0)
        os.close(reading)

        def end() -> None:
            os.write(writing, b"!")
            os.close(writing)
            os.waitpid(child, 0)

        return end

    def window(self) -> tuple[int, int]:
        """Return rows and columns; 24 and 80 if the terminal does not know."""
        self.resized = False
        size = _WINSIZE.unpack(fcntl.ioctl(self.fd, termios.TIOCGWINSZ, b"\0" * _WINSIZE.size))
        return size[0] or 24, size[1] or 80

    def wait(self, seconds: float | None) -> bool:
        """Wait until a key has been typed or the window has changed.

        Args:
            seconds: of the host, at most; None: without end.

        Returns:
            True if there is something to read.

        Raises:
            Ended: a signal ends ringlet.
        """
        while not self.resized:
            if self.ended:
                raise Ended(self.ended)
            ready = select.select([self.fd, self._wakeup], [], [], seconds)[0]
            if self._wakeup in ready:
                os.read(self._wakeup, 4096)
                continue
            if self.fd in ready or seconds is not None:
                return self.fd in ready
        return bool(select.select([self.fd], [], [], 0)[0])

    def read(self, n: int) -> bytes:
        """Return what has been typed, at most ``n`` bytes; none if the terminal is gone."""
        try:
            return os.read(self.fd, n)
        except OSError:
            return b""
