"""The host's end of the guest's console."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from emulator.machine import Machine
from guest_kernel.drivers.console import console_has_reader, resize_window
from guest_kernel.kernel import Kernel

if TYPE_CHECKING:
    from ringlet.terminal import HostTerminal

CHUNK: Final = 4096
LEAVE: Final = b"\x1d"  # Ctrl-]: three of them end ringlet, whatever the guest does


class Left(Exception):
    """The person at the terminal has left the guest."""


class Ended(BaseException):
    """A signal ends ringlet; the terminal has to be given back first.

    Attributes:
        signum: the signal.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum

    def die(self) -> None:
        """End by the signal, as if there had been no handler."""
        import signal  # not for a run that goes on

        signal.signal(self.signum, signal.SIG_DFL)
        os.kill(os.getpid(), self.signum)


class Lines:
    """Reads a pipe or a terminal by lines.

    How much one read(2) of a pipe returns depends on how fast the other end writes; a line is a
    line.  A longer one, or bytes without a newline, comes in pieces of ``n``.

    Args:
        read: returns at most so many bytes, none at the end.
    """

    def __init__(self, read: Callable[[int], bytes]) -> None:
        self._read = read
        self._held = b""
        self._ended = False

    def __call__(self, n: int) -> bytes:
        """Return the next line, or what comes first of ``n`` bytes and the end."""
        while not self._ended and b"\n" not in self._held[:n] and len(self._held) < n:
            more = self._read(n)
            self._held += more
            self._ended = not more
        end = self._held.find(b"\n", 0, n) + 1 or min(n, len(self._held))
        line, self._held = self._held[:end], self._held[end:]
        return line


class EndedHere(Exception):
    """The run that is done again was ended here, from outside."""


class Input:
    """Feeds the console when the guest has nothing else to do.

    Input is given when a program waits for it and the CPU is idle, in pieces that ``read`` decides,
    so what the guest sees does not depend on how fast the host delivers: see :class:`Lines`.

    Args:
        read: returns the next bytes, at most ``n``; empty at the end.  It may block.
        pace: do not let virtual time run ahead of the host's.
        record: called with the clock and what has come: keys, b"" for the end, or rows and columns.

    Attributes:
        until: a place of the clock at which :meth:`take` has to be called.
    """

    until: int | None = None

    def __init__(self, machine: Machine, k: Kernel, read: Callable[[int], bytes], *,
                 pace: bool = False,
                 record: Callable[[int, bytes | tuple[int, int]], None] | None = None) -> None:
        self._record = record
        self._machine = machine
        self._k = k
        self._read = read
        self._pace = pace
        self._ended = not machine.uart.state.carrier
        self._started = time.monotonic_ns() - machine.clock if pace else 0

    def idle(self) -> bool:
        """Offer input, or wait as long as the guest does; see ``Machine.idle``."""
        if not self._ended and console_has_reader(self._k):
            data = self._read(CHUNK)
            self._tell(self._machine.clock, data)
            if data:
                self._machine.uart.feed(data)
            else:
                self._ended = True
                self._machine.uart.hang_up()
            return True
        if self._pace:
            event = self._machine.hpet.next_event()
            if event is not None:
                self._sleep_until(event)
        return False

    def tick(self) -> None:
        """Wait until the host's clock has caught up; see ``Machine.tick``."""
        if self._pace:
            self._sleep_until(self._machine.clock)

    def take(self) -> None:
        """Give the guest what comes at :attr:`until`."""

    def rewound(self, _k: Kernel, _clock: int) -> Input | None:
        """Return what comes from an earlier clock on; None: that cannot be had again."""
        return None

    def _tell(self, clock: int, what: bytes | tuple[int, int]) -> None:
        if self._record is not None:
            self._record(clock, what)

    def _sleep_until(self, clock: int) -> None:
        ahead = clock - (time.monotonic_ns() - self._started)
        if ahead > 0:
            time.sleep(ahead / 1e9)


class Keyboard(Input):
    """Feeds the console what a person types at a terminal of the host, and the window's size.

    Keys are taken where the CPU idles, and at ticks of a busy one: positions of the clock that
    ``record`` is told.

    Args:
        terminal: the host's.
        pace: do not let virtual time run ahead of the host's: else a sleep takes no time.
        record: as for any input.
    """

    def __init__(self, machine: Machine, k: Kernel, terminal: HostTerminal, *, pace: bool = True,
                 record: Callable[[int, bytes | tuple[int, int]], None] | None = None) -> None:
        super().__init__(machine, k, terminal.read, pace=pace, record=record)
        self._terminal = terminal
        self._leaving = 0  # LEAVE has been typed so often in a row

    def idle(self) -> bool:
        """Wait on the host until a key comes or the guest's next timer; see ``Machine.idle``."""
        event = self._machine.hpet.next_event()
        seconds = None if event is None else 0.0
        if event is not None and self._pace:
            seconds = max(event - self._now(), 0) / 1e9
        if not self._poll(seconds):
            return False
        if self._pace:
            now = self._now()
            self._machine.pass_time(now if event is None else min(now, event))
        self._take()
        return True

    def tick(self) -> None:
        """Take what has come, and wait until the host's clock has caught up."""
        while self._poll(max(self._machine.clock - self._now(), 0) / 1e9 if self._pace else 0.0):
            self._take()

    def _now(self) -> int:
        """Return what the clock would be if it went as fast as the host's."""
        return time.monotonic_ns() - self._started

    def _poll(self, seconds: float | None) -> bool:
        """Wait for something to come; tell whether it has."""
        if self._ended:
            time.sleep(seconds or 0)
            return False
        return self._terminal.wait(seconds) or self._terminal.resized

    def _take(self) -> None:
        """Give the guest what has come."""
        machine, clock = self._machine, self._machine.clock
        if self._terminal.resized:
            window = self._terminal.window()
            self._tell(clock, window)
            resize_window(self._k, *window)
            return
        keys = self._read(CHUNK)
        last = len(keys) - len(keys.rstrip(LEAVE))
        self._leaving = last + (self._leaving if last == len(keys) else 0)
        if self._leaving >= 3:
            raise Left
        self._tell(clock, keys)
        if keys:
            machine.uart.feed(keys)
        else:
            self._ended = True
            machine.uart.hang_up()
