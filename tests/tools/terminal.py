"""A terminal of the host's with a program on it, for tests that do what a person does there."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import termios
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Final, Self

import pytest

from tests.guest import ROOT, take_terminal

PATIENCE: Final = 60.0  # seconds of the host for anything to appear


class Terminal:
    """A pseudo-terminal with a program on it, and a person before it.

    Args:
        argv: the program.
        environment: what it has beside the test's.

    Attributes:
        before: the terminal's settings when the program began.
    """

    def __init__(self, argv: Sequence[str], rows: int = 30, columns: int = 100,
                 **environment: str) -> None:
        self.master, slave = pty.openpty()
        self._slave = slave
        self.resize(rows, columns)
        self.before = termios.tcgetattr(slave)
        self.process = subprocess.Popen(
            argv, cwd=ROOT, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
            preexec_fn=take_terminal,
            env={**os.environ, "TERM": "dumb", **environment})
        self._output = ""
        self._seen = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self._slave)

    def resize(self, rows: int, columns: int) -> None:
        """Change the window."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self.master, keys.encode())

    def expect(self, pattern: str) -> re.Match[str]:
        """Wait until something has appeared behind what was expected before."""
        end = time.monotonic() + PATIENCE
        while not (found := re.compile(pattern).search(self._output, self._seen)):
            if not self._read(end - time.monotonic()):
                pytest.fail(f"{pattern!r} did not appear behind {self._output[self._seen:]!r}")
        self._seen = found.end()
        return found

    def _read(self, seconds: float) -> bool:
        if not select.select([self.master], [], [], max(seconds, 0))[0]:
            return False
        try:
            self._output += os.read(self.master, 65536).decode("utf-8", "replace")
        except OSError:
            return False
        return True

    def wait(self) -> int:
        """Return the program's status when it has ended, and take what it has still printed."""
        end = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < end:
            self._read(0.05)
        while self._read(0):
            pass
        return self.process.wait(1)

    @property
    def modes(self) -> list[Any]:
        """The terminal's settings now."""
        return termios.tcgetattr(self._slave)

    @property
    def is_raw(self) -> bool:
        return not self.modes[3] & (termios.ICANON | termios.ECHO | termios.ISIG)

    @property
    def output(self) -> str:
        """All that has appeared."""
        return self._output

    @property
    def left(self) -> str:
        """What has appeared and was not expected yet."""
        return self._output[self._seen :]
