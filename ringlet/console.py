"""The host's end of the guest's console."""

from __future__ import annotations

import time
from collections.abc import Callable

from emulator.machine import Machine
from guest_kernel.kernel import Kernel
from guest_kernel.layout.tty import tty_data
from guest_kernel.sched.wait import waitqueue_active

CHUNK = 4096


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


class Input:
    """Feeds the console when the guest has nothing else to do.

    Input is given when a program waits for it and the CPU is idle, in pieces that ``read`` decides,
    so what the guest sees does not depend on how fast the host delivers: see :class:`Lines`.

    Args:
        read: returns the next bytes, at most ``n``; empty at the end.  It may block.
        pace: do not let virtual time run ahead of the host's.
    """

    def __init__(self, machine: Machine, k: Kernel, read: Callable[[int], bytes], *,
                 pace: bool = False) -> None:
        self._machine = machine
        self._k = k
        self._read = read
        self._pace = pace
        self._ended = False
        self._started = time.monotonic_ns() - machine.clock if pace else 0

    def idle(self) -> bool:
        """Offer input, or wait as long as the guest does; see ``Machine.idle``."""
        if not self._ended and waitqueue_active(self._k.data(tty_data).read_wait):
            data = self._read(CHUNK)
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

    def _sleep_until(self, clock: int) -> None:
        ahead = clock - (time.monotonic_ns() - self._started)
        if ahead > 0:
            time.sleep(ahead / 1e9)
