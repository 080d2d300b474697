"""How long a program that talks to a person takes to its first prompt."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.sample import ROOT, RunError, Sample, environment

PATIENCE: Final = 60.0  # seconds


def until_prompt(command: Sequence[str | Path], prompt: bytes) -> Sample:
    """Run a command in a pseudo-terminal until it prompts, measure it, and end it there.

    Raises:
        RunError: it has ended before, or never prompts.
    """
    words = [os.fspath(word) for word in command]
    master, slave = pty.openpty()
    start = time.perf_counter()
    child = subprocess.Popen(words, stdin=slave, stdout=slave, stderr=slave, cwd=ROOT,
                             env={**environment(), "TERM": "dumb"}, start_new_session=True)
    os.close(slave)
    try:
        printed = _read_until(master, prompt, start + PATIENCE)
        wall = time.perf_counter() - start
    finally:
        # Not child.kill(), which may reap it: only wait4(2) tells this one child's usage.
        os.kill(child.pid, signal.SIGKILL)
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        os.close(master)
    if prompt not in printed:
        raise RunError(f"{' '.join(words)[:160]}: no prompt, but {printed[-80:]!r}")
    return Sample(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def _read_until(terminal: int, text: bytes, end: float) -> bytes:
    """Return what has appeared when ``text`` has, or nothing more can."""
    printed = b""
    while text not in printed:
        if not select.select([terminal], [], [], max(end - time.perf_counter(), 0))[0]:
            break
        try:
            printed += os.read(terminal, 65536)
        except OSError:  # EIO: nobody has the terminal open any more
            break
    return printed
