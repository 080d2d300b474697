"""One run of a command, measured; and what of the environment every command gets.

CPU time is the child's own, user and system together, so it counts what the command does and not
what else the host is busy with; a busy neighbour on the same core still slows it by sharing caches,
which is why runs are interleaved and compared within a round.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# Not resolved: a checkout that is linked to is measured where it is named.
ROOT: Final = Path(__file__).absolute().parent.parent
BUILD: Final = ROOT / "build" / "bench"


class RunError(Exception):
    """A command failed, or printed something else than it should have."""


class NotHereError(Exception):
    """This host cannot have a peer or a program; the message says why."""


@dataclass(frozen=True)
class Sample:
    """What a run took: seconds on the wall and of CPU, and the most memory, in bytes."""

    wall: float
    cpu: float
    max_rss: int = 0

    def __sub__(self, other: Sample) -> Sample:
        return Sample(self.wall - other.wall, self.cpu - other.cpu, self.max_rss)

    def __truediv__(self, units: float) -> Sample:
        return Sample(self.wall / units, self.cpu / units, self.max_rss)


def environment() -> dict[str, str]:
    """Return the environment of a child: ours, without what would change how Python starts.

    ``PYTHONDONTWRITEBYTECODE`` above all: without cached bytecode one Python program would pay for
    compiling itself at each start and another, installed by pip, would not.
    """
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


def run(command: Sequence[str | Path], expected: bytes | None = None) -> Sample:
    """Run a command to its end and measure it.

    Args:
        command: the program and its arguments.
        expected: what it must print; ``None`` if that does not matter.

    Raises:
        RunError: its status is not 0, or it printed something else.
    """
    words = [os.fspath(word) for word in command]
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=output, stderr=errors,
                                 cwd=ROOT, env=environment())
        # Not child.wait(): only wait4(2) tells this one child's usage.
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        printed = output.read()
        if child.returncode or (expected is not None and printed != expected):
            raise RunError(f"{' '.join(words)[:160]}: status {child.returncode}, "
                           f"printed {printed[-80:]!r}, {_last_line(errors.read())}")
    # ru_maxrss begins with what the parent had when it forked: keep this process small.
    return Sample(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def answer(command: Sequence[str | Path]) -> bytes:
    """Run a command that measures itself and return what it prints.

    Raises:
        RunError: its status is not 0.
    """
    done = subprocess.run([os.fspath(word) for word in command], stdin=subprocess.DEVNULL,
                          capture_output=True, cwd=ROOT, env=environment(), check=False)
    if done.returncode:
        raise RunError(f"{command[0]}: status {done.returncode}, {_last_line(done.stderr)}")
    return done.stdout


def _last_line(text: bytes) -> str:
    lines = text.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "and nothing on standard error"
