"""Running one program natively and in the guest."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import select
import struct
import termios
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from emulator.machine import Machine
from guest_kernel.drivers.console import resize_window
from guest_kernel.kernel import Kernel
from ringlet import testing
from ringlet.console import Input
from ringlet.native import Outcome, default_signals, finish, native_process, run_native
from ringlet.session import Session
from ringlet.testing import TIMEOUT, assert_same
from userland.assembler import assemble_program

ROOT: Final = Path(__file__).resolve().parent.parent
BUILD: Final = (ROOT / "build" / "tests").resolve()  # programs look at their own path

__all__ = ["TIMEOUT", "Outcome", "assert_same", "run_native"]  # of the plugin


def compile_c(source: Path, *flags: str, compiler: str = "gcc") -> Path:
    """Compile a C program; where tests keep theirs, for those that look at their own path."""
    return testing.compile_c(source, flags, compiler=compiler, folder=BUILD)


def userland(name: str) -> Path:
    """Assemble a program of ``userland/asm``; kept by content."""
    image = assemble_program(ROOT / "userland" / "asm" / f"{name}.asm")
    target = BUILD / f"{name}-{hashlib.sha256(image).hexdigest()[:16]}" / name
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_suffix(f".{os.getpid()}")
        temporary.write_bytes(image)
        temporary.chmod(0o755)
        temporary.replace(target)
    return target


class Step(NamedTuple):
    """What a person does at a terminal.

    Attributes:
        at: what has appeared there, since the last step, when it is done.
        verb: "type", "resize" or "hang up".
        argument: the keys, or rows and columns.
    """

    at: bytes
    verb: str
    argument: bytes = b""

    @property
    def window(self) -> tuple[int, int]:
        """Rows and columns."""
        rows, columns = self.argument.split(b"x")
        return int(rows), int(columns)


_STEP: Final = re.compile(
    r'^ \* at "((?:[^"\\]|\\.)*)": (type|resize|hang up)(?: "((?:[^"\\]|\\.)*)")?$', re.MULTILINE)


def script_of(source: Path) -> list[Step]:
    """Return the steps that a program's first comment says; see tests/syscalls/README.md."""
    head = source.read_text().partition("*/")[0]
    assert head.count(" * at ") == len(_STEP.findall(head)), f"{source}: a step is not understood"
    return [Step(_unescape(at), verb, _unescape(argument))
            for at, verb, argument in _STEP.findall(head)]


def _unescape(text: str) -> bytes:
    return text.encode().decode("unicode_escape").encode("latin-1")


class _Person:
    """Who follows a script: what is left of it, and what has been seen."""

    def __init__(self, script: Sequence[Step]) -> None:
        self._left = list(script)
        self._seen = 0  # bytes of the output that belong to earlier steps

    def next(self, output: bytes | bytearray) -> Step | None:
        """Return the next step if it is time for it."""
        if not self._left:
            return None
        place = output.find(self._left[0].at, self._seen)
        if place < 0:
            return None
        self._seen = place + len(self._left[0].at)
        return self._left.pop(0)

    def __bool__(self) -> bool:
        return bool(self._left)


def run_native_on_terminal(argv: Sequence[str], script: Sequence[Step]) -> Outcome:
    """Run on the host, with a pseudo-terminal that follows a script."""
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    person, output, end = _Person(script), bytearray(), time.monotonic() + 30
    with native_process(argv, terminal=True, stdin=slave, stdout=slave, stderr=slave) as process:
        os.close(slave)
        while master >= 0:
            if not select.select([master], [], [], max(end - time.monotonic(), 0))[0]:
                os.close(master)
                pytest.fail(f"{argv} waits on the host after {bytes(output)!r}")
            try:
                output += os.read(master, 65536)
            except OSError:  # EIO: nobody has the other end any more
                os.close(master)
                break
            while (step := person.next(output)) is not None:
                if step.verb == "type":
                    os.write(master, step.argument)
                elif step.verb == "resize":
                    fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("4H", *step.window, 0, 0))
                else:
                    os.close(master)
                    master = -1
        status = finish(process)
    assert not person, f"{argv} never showed what the script waits for: {bytes(output)!r}"
    return Outcome(status, bytes(output))


def take_terminal() -> None:
    """Make standard input the controlling terminal of the new session."""
    default_signals()
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Keys(Input):
    """The guest's input: a script is followed when the guest has nothing else to do."""

    def __init__(self, machine: Machine, k: Kernel, script: Sequence[Step]) -> None:
        super().__init__(machine, k, lambda n: b"")
        self.person = _Person(script)
        self._machine, self._k = machine, k

    def idle(self) -> bool:
        step = self.person.next(self._machine.console)
        if step is None:
            return False
        if step.verb == "type":
            self._machine.uart.feed(step.argument)
        elif step.verb == "resize":
            resize_window(self._k, *step.window)
        else:
            self._machine.uart.hang_up()
        return True


def run_guest_on_terminal(session: Session, argv: Sequence[str],
                          script: Sequence[Step]) -> Outcome:
    """Run on a machine whose console is a terminal, which follows a script."""
    keys = Keys(session.machine, session.kernel.k, script)
    result = session.run(argv, stdin=keys, timeout=TIMEOUT)
    assert not keys.person, f"{argv} never showed what the script waits for: {result.output!r}"
    return Outcome(result.status, result.output)
