"""What a terminal asks of the driver below it: a serial port, or a pseudo-terminal's other end.

See: Linux include/linux/tty_driver.h.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.fs.operations import Operations
from guest_kernel.layout.fs import file
from guest_kernel.layout.tty import tty_struct


class TtyOperations(Operations):
    """What a driver can do.  Each takes effect at once; none sleeps."""

    def open(self, tty: tty_struct, f: file) -> None:
        """One more file of ``tty`` is opened; ``tty.count`` does not count it yet.

        Raises:
            SyscallError: it cannot be.
        """

    def close(self, tty: tty_struct) -> None:
        """One file less; ``tty.count`` still counts it."""

    def write(self, tty: tty_struct, data: bytes) -> int:
        """Send or keep bytes; return how many were taken."""
        raise NotImplementedError

    def write_room(self, tty: tty_struct) -> int:
        """Return how many bytes ``write`` takes now."""
        raise NotImplementedError

    def chars_in_buffer(self, tty: tty_struct) -> int:
        """Return how many bytes have been taken and not been sent."""
        return 0

    def flush_buffer(self, tty: tty_struct) -> None:
        """Forget them."""

    def send_xchar(self, tty: tty_struct, c: int) -> None:
        """Send a character before all others, even if output is stopped."""
        raise NotImplementedError

    def set_termios(self, tty: tty_struct) -> None:
        """Act on new settings, and correct in them what the hardware cannot do."""

    def throttle(self, tty: tty_struct) -> None:
        """Have the other end send no more."""

    def unthrottle(self, tty: tty_struct) -> None:
        """Let it send again."""

    def stop(self, tty: tty_struct) -> None:
        """Send no more: ``tty.flow.stopped`` has been set."""

    def start(self, tty: tty_struct) -> None:
        """Send again."""

    def hangup(self, tty: tty_struct) -> None:
        """Drop the connection."""

    def receive_more(self, tty: tty_struct) -> None:
        """The port's buffer has room again: fill it with what had to wait before it."""

    def tiocmget(self, tty: tty_struct) -> int:
        """Return the modem's lines, TIOCM_*.

        Raises:
            SyscallError: ENOTTY: there is no modem.
        """
        raise SyscallError(Errno.ENOTTY)


tty_operations: Final[Callable[[int], TtyOperations]] = TtyOperations.tables.__getitem__
