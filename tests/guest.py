"""Running one program natively and in the guest."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from emulator.machine import Machine
from guest_kernel.drivers.console import resize_window
from guest_kernel.kernel import Kernel
from ringlet.console import Input
from ringlet.session import DEFAULT_ENV, Session
from userland.assembler import assemble_program

ROOT: Final = Path(__file__).resolve().parent.parent
BUILD: Final = (ROOT / "build" / "tests").resolve()  # programs look at their own path

# Virtual seconds after which a guest program is taken to hang.
TIMEOUT: Final = 60


class Outcome(NamedTuple):
    """What a program printed, standard error included, and its status as a shell has it."""

    status: int
    output: bytes


def compile_c(source: Path, *flags: str, compiler: str = "gcc") -> Path:
    """Compile a C program, static unless ``flags`` say otherwise; kept by content."""
    libraries = [flag for flag in flags if flag.startswith("-l")]
    kind = [] if "-static-pie" in flags else ["-static"]
    options = ["-O1", *kind, "-w", *(flag for flag in flags if flag not in libraries)]
    headers = sorted(source.parent.glob("*.h"))
    digest = hashlib.sha256(b"".join([compiler.encode(), *(f.encode() for f in options),
                                      *(path.read_bytes() for path in [source, *headers])]))
    target = BUILD / f"{source.stem}-{digest.hexdigest()[:16]}" / source.stem
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_suffix(f".{os.getpid()}")
        subprocess.run([compiler, *options, "-o", temporary, source, *libraries], check=True)
        temporary.replace(target)
    return target


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
    child = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, env=DEFAULT_ENV,
                             cwd="/", start_new_session=True, preexec_fn=take_terminal)
    os.close(slave)
    person, output, end = _Person(script), bytearray(), time.monotonic() + 30
    while master >= 0:
        if not select.select([master], [], [], max(end - time.monotonic(), 0))[0]:
            child.kill()
            child.wait()
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
    status = child.wait(60)
    assert not person, f"{argv} never showed what the script waits for: {bytes(output)!r}"
    return Outcome(128 - status if status < 0 else status, bytes(output))


def take_terminal() -> None:
    """Make standard input the controlling terminal of the new session."""
    _default_signals()
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


def run_guest_on_terminal(argv: Sequence[str], script: Sequence[Step]) -> Outcome:
    """Run on a machine of its own, whose console is a terminal that follows a script."""
    with Session(seed=1, panic_on_oops=True, tty=True) as session:
        keys = Keys(session.machine, session.kernel.k, script)
        result = session.run(argv, stdin=keys, timeout=TIMEOUT)
        assert not keys.person, f"{argv} never showed what the script waits for: {result.output!r}"
        return Outcome(result.status, result.output)


def run_native(argv: Sequence[str], stdin: bytes = b"") -> Outcome:
    """Run on the host, in the guest's environment and directory."""
    done = subprocess.run(argv, input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          env=DEFAULT_ENV, cwd="/", timeout=60, check=False,
                          preexec_fn=_default_signals)
    status = 128 - done.returncode if done.returncode < 0 else done.returncode
    return Outcome(status, done.stdout)


def _default_signals() -> None:
    """Begin as in the guest, also where whoever runs the tests ignores SIGHUP, as nohup does."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def run_guest(argv: Sequence[str], stdin: bytes = b"", **options: object) -> Outcome:
    """Run on a machine of its own."""
    with Session(seed=1, panic_on_oops=True, **options) as session:  # type: ignore[arg-type]  # passed through
        result = session.run(argv, stdin=stdin, timeout=TIMEOUT)
        return Outcome(result.status, result.output)


def assert_same(argv: Sequence[str], stdin: bytes = b"", script: Sequence[Step] = ()) -> None:
    """Run in both worlds, with a terminal if there is a script; Linux is right."""
    if script:
        native, guest = (run(argv, script) for run in (run_native_on_terminal,
                                                       run_guest_on_terminal))
    else:
        native, guest = run_native(argv, stdin), run_guest(argv, stdin)
    if native != guest:
        pytest.fail(f"{argv}\nnative status {native.status}, guest status {guest.status}\n"
                    f"{_difference(native.output, guest.output)}")


def _difference(native: bytes, guest: bytes) -> str:
    import difflib

    lines = difflib.unified_diff(native.decode("utf-8", "replace").splitlines(),
                                 guest.decode("utf-8", "replace").splitlines(),
                                 "native", "guest", lineterm="", n=1)
    return "\n".join(list(lines)[:60])
