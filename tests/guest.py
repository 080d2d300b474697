"""Running one program natively and in the guest."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import pytest

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


def assert_same(argv: Sequence[str], stdin: bytes = b"") -> None:
    """Run in both worlds; Linux is right."""
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
