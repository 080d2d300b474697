"""What the pytest plugin's fixtures are, and what a failing test is told of its machine."""

from __future__ import annotations

import difflib
import hashlib
import io
import os
import re
import subprocess
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import pytest

from emulator.arch.paging import PTE
from emulator.arch.registers import RFLAGS
from emulator.bare import Bare, Result, Trap
from emulator.cpu.control import Exit
from emulator.machine import Machine
from emulator.snapshot import Snapshot, write_file
from guest_kernel.printk import dmesg
from ringlet.console import Input
from ringlet.debugger.core import Debugger
from ringlet.debugger.errors import DebuggerError
from ringlet.debugger.stop import Reason
from ringlet.native import Outcome, run_native
from ringlet.recording import Recorder, Recording, beginning, write_recording
from ringlet.repl import views
from ringlet.session import DEFAULT_ENV, Session
from ringlet.session import Result as RunResult

# Virtual seconds after which a program is taken to hang.
TIMEOUT: Final = 60.0
_EVENTS: Final = 15  # events, and lines of the kernel's log, in a report
# How many ns before the end they are looked for, until there are enough.
_WINDOWS: Final = (10**6, 10**8)
_KINDS: Final = ("syscall", "fault", "signal", "switch", "fork", "exec", "exit", "oops")
_DIFFERENCES: Final = 60  # lines of the difference of two outputs


class Machines:
    """The machines of a test session: one of each kind, taken back to its beginning for each test.

    So a test begins in a few milliseconds, whatever it takes to boot.
    """

    def __init__(self) -> None:
        self._bare: dict[str, tuple[Bare, Snapshot]] = {}
        self._sessions: dict[str, tuple[Session, Snapshot]] = {}

    def bare(self, options: dict[str, Any]) -> Bare:
        """Return a bare machine; of the options it has ``mem`` alone."""
        wrong = sorted(set(options) - {"mem"})
        if wrong:
            raise pytest.UsageError(f"a bare machine has no {', '.join(wrong)}")
        key = repr(options)
        if key not in self._bare:
            made = Bare(**options)
            self._bare[key] = made, made.snapshot()
        bare, beginning = self._bare[key]
        _let_go(bare.machine)
        bare.restore(beginning)
        return bare

    def session(self, options: dict[str, Any]) -> Session:
        """Return a session that has just booted."""
        key = repr(sorted(options.items()))
        if key not in self._sessions:
            made = Session(**options)
            self._sessions[key] = made, made.snapshot()
        session, beginning = self._sessions[key]
        _let_go(session.machine)
        session.output = session.on_snapshot = session.snapshot_every = None
        session.kernel.tracer = None
        session.restore(beginning)
        return session

    def close(self) -> None:
        """Free the machines."""
        for bare, _ in self._bare.values():
            bare.machine.close()
        for session, _ in self._sessions.values():
            session.close()


def _let_go(machine: Machine) -> None:
    """Take away what a test has attached to a machine from outside, where no snapshot sees it."""
    machine.before_host_call = machine.idle = machine.tick = None
    machine.cpu.stops.breakpoints = frozenset()
    machine.cpu.stops.watches = ()
    machine.cpu.stops.passed = None
    machine.console.clear()
    machine.exit_status = 0


# Values that are compared bit by bit


class Entry(int):
    """A page-table entry."""

    ringlet_bits: Final = tuple((bit.name or "", int(bit)) for bit in PTE)

    def __repr__(self) -> str:
        return f"{int(self):#018x} ({views.bits(self)})"


class Flags(int):
    """RFLAGS."""

    ringlet_bits: Final = tuple(
        (name, value) for name, value in vars(RFLAGS).items() if name.isupper())

    def __repr__(self) -> str:
        names = " ".join(name for name, bit in self.ringlet_bits if self & bit and name)
        return f"{int(self):#x} ({names})"


def difference(left: Any, right: Any) -> list[str]:
    """Return the lines that show how two values differ, for an assertion."""
    bits = getattr(left, "ringlet_bits", None) or right.ringlet_bits
    lines = [f"{left!r} == {right!r}"]
    if not isinstance(left, int) or not isinstance(right, int):
        return lines
    rest = left ^ right
    for name, bit in bits:
        if rest & bit == bit:
            lines.append(f"  {name}: {int(bool(left & bit))} instead of {int(bool(right & bit))}")
            rest &= ~bit
    if rest:
        lines.append(f"  other bits: {rest:#x}")
    return lines


# asm


class Memory:
    """A machine's linear memory: ``mem[va:va + 4]`` is bytes, ``mem.u32(va)`` a number."""

    def __init__(self, bare: Bare) -> None:
        self._bare = bare

    def __getitem__(self, place: int | slice) -> bytes:
        if isinstance(place, slice):
            if place.step is not None or place.start is None or place.stop is None:
                raise TypeError("memory is read from one address to another")
            return self._bare.read(place.start, place.stop - place.start)
        return self._bare.read(place, 1)

    def _load(self, va: int, size: int) -> int:
        return int.from_bytes(self._bare.read(va, size), "little")

    def u8(self, va: int) -> int:
        """Load 8 bits."""
        return self._load(va, 1)

    def u16(self, va: int) -> int:
        """Load 16 bits."""
        return self._load(va, 2)

    def u32(self, va: int) -> int:
        """Load 32 bits."""
        return self._load(va, 4)

    def u64(self, va: int) -> int:
        """Load 64 bits."""
        return self._load(va, 8)


class AsmResult:
    """What a few lines of assembly have come to.

    Attributes:
        mem: memory, as the machine has it now.
        traps: all exceptions and interrupts.
        trap: the one that ended it; None: it reached its end.
        exit: what stopped the machine.
        labels: addresses in the program.
        flags: RFLAGS.
        rax, rbx, …: the registers.
    """

    def __init__(self, bare: Bare, result: Result) -> None:
        self._bare, self._result = bare, result
        self.mem = Memory(bare)
        self.traps: list[Trap] = result.traps
        self.trap: Trap | None = result.trap
        self.exit: Exit = result.exit
        self.labels: dict[str, int] = result.labels
        self.flags = Flags(result.regs["rflags"])

    def __getattr__(self, name: str) -> int:
        return getattr(self._result, name)  # type: ignore[no-any-return]  # a register

    def entry(self, va: int) -> Entry:
        """Return the page-table entry that maps an address."""
        return Entry(self._bare.ram.u64[self._bare.entry(va) >> 3])


class Asm:
    """Assembles and runs programs on a bare machine."""

    def __init__(self, bare: Bare) -> None:
        self._bare = bare

    def __call__(self, source: str, ring: int = 0, **registers: int) -> AsmResult:
        """Assemble and run.

        Args:
            source: in Intel's syntax.
            ring: 0 or 3.
            registers: with which it begins.
        """
        bare = self._bare
        labels = bare.assemble(source, ring)
        bare.begin(ring, **registers)
        return AsmResult(bare, bare.go(labels=labels))


# guest


class GuestResult(NamedTuple):
    """What a program has come to.

    Attributes:
        stdout: what it wrote to the console, standard error included.
        status: its exit status, or 128 + N if signal N killed it.
        faults: page faults by kind; syscalls: calls by name.
        timed_out: it was given up.
    """

    stdout: bytes
    status: int
    faults: dict[str, int]
    syscalls: dict[str, int]
    timed_out: bool


class Guest:
    """Runs programs on a booted machine.

    Args:
        session: it.
        folder: where relative paths begin.
        timeout: virtual seconds.
        native: run each on the host, too; both must agree.

    Attributes:
        last: the last run's recorder, and how it has ended.
    """

    def __init__(self, session: Session, folder: Path, *, timeout: float | None,
                 native: bool) -> None:
        self._session, self._folder = session, folder
        self._timeout = TIMEOUT if timeout is None else timeout
        self._native = native
        self.last: tuple[Recorder, RunResult | None] | None = None

    def __call__(self, program: str | os.PathLike[str], *arguments: str, stdin: bytes = b"",
                 flags: Sequence[str] = ()) -> GuestResult:
        """Run a program and wait for it.

        Args:
            program: a C file, which is compiled, or a program, beside the test or by its full
                path.
            arguments: its arguments.
            stdin: what it reads.
            flags: for the compiler.
        """
        path = self._folder / program
        if path.suffix == ".c":
            path = compile_c(path, flags)
        elif flags:
            raise ValueError(f"{path.name} is not compiled, so it takes no flags")
        argv = [str(path), *arguments]
        result: RunResult | None = None
        with Recorder(self._session, argv, DEFAULT_ENV, self._timeout) as recorder:
            self.last = recorder, None
            source = Input(self._session.machine, self._session.kernel.k, io.BytesIO(stdin).read,
                           record=recorder.came)
            result = self._session.run(argv, stdin=source, timeout=self._timeout)
            self.last = recorder, result
        if self._native:
            assert_same(argv, run_native(argv, stdin), Outcome(result.status, result.output))
        statistics = result.statistics
        return GuestResult(result.output, result.status, statistics.faults, statistics.syscalls,
                           result.timed_out)


def assert_same(argv: Sequence[str], native: Outcome, guest: Outcome) -> None:
    """Fail if a program has not come to the same in both worlds; Linux is right."""
    if native == guest:
        return
    theirs, ours = (outcome.output.decode("utf-8", "replace").splitlines()
                    for outcome in (native, guest))
    lines = difflib.unified_diff(theirs, ours, "native", "guest", lineterm="", n=1)
    pytest.fail("\n".join([" ".join(argv), f"native: status {native.status}",
                           f"guest:  status {guest.status}", *islice(lines, _DIFFERENCES)]),
                pytrace=False)


def compile_c(source: Path, flags: Sequence[str] = (), *, compiler: str | None = None,
              folder: Path | None = None) -> Path:
    """Compile a C program for the guest, static unless ``flags`` say otherwise; kept by content.

    Args:
        flags: for the compiler, libraries too.
        compiler: instead of ``CC``, or cc.
        folder: where it is kept, instead of the user's cache.

    Raises:
        pytest.fail.Exception: the compiler refuses it.
    """
    compiler = compiler or os.environ.get("CC", "cc")
    libraries = [flag for flag in flags if flag.startswith("-l")]
    kind = [] if "-static-pie" in flags else ["-static"]
    options = ["-O1", "-g", *kind, *(flag for flag in flags if flag not in libraries)]
    digest = hashlib.sha256("\0".join([compiler, *options, *libraries]).encode())
    for path in [source, *sorted(source.parent.glob("*.h"))]:
        digest.update(path.read_bytes())
    if folder is None:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache",
                      "ringlet", "programs")
    target = folder / f"{source.stem}-{digest.hexdigest()[:16]}" / source.stem
    if not target.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_suffix(f".{os.getpid()}")
        done = subprocess.run([compiler, *options, "-o", temporary, source, *libraries],
                              capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.fail(f"{source} does not compile:\n{done.stderr}", pytrace=False)
        temporary.replace(target)
    return target


# Reports


def last_events(recording: Recording) -> list[str]:
    """Return what has happened last in a recorded run: calls, faults, signals, switches.

    It is done again for that, freely up to a little before its end.
    """
    lines: list[str] = []
    for window in _WINDOWS:
        begin = max(0, recording.end.clock - window)
        with beginning(recording) as session:
            debugger = Debugger(session)
            stop = debugger.continue_(begin)
            for kind in _KINDS:
                debugger.catch(kind)
            lines = []
            while stop.reason in (Reason.TIMEOUT, Reason.CATCHPOINT):
                if stop.reason is Reason.CATCHPOINT:
                    lines += [f"{stop.clock:>15,}  {line}" for line in stop.detail.splitlines()]
                elif stop.clock >= recording.end.clock:
                    break
                stop = debugger.continue_(recording.end.clock)
        if len(lines) >= _EVENTS or not begin:
            break
    return lines[-_EVENTS:]


def report_of(subject: Bare | Session, guest: Guest | None, folder: Path,
              name: str) -> list[tuple[str, str]]:
    """Return the sections that tell of a failing test's machine, and leave a file to reproduce it.

    Args:
        folder: where the file goes.
        name: the test's.
    """
    debugger = Debugger(subject.machine if isinstance(subject, Bare) else subject)
    parts: list[tuple[str, Callable[[], str]]] = [
        ("registers", lambda: views.registers(debugger)),
        ("code", lambda: views.disassembly(debugger)),
        ("back-trace", lambda: views.backtrace(debugger, limit=16)),
    ]
    va = debugger.register("cr2")
    if va:
        parts.append((f"page walk of the last faulting address, {va:#x}",
                      lambda: views.pagewalk(debugger, va)))
    if isinstance(subject, Session):
        parts += [("tasks", lambda: views.pstree(debugger)),
                  ("kernel log", lambda: "\n".join(
                      dmesg(subject.kernel.k).splitlines()[-_EVENTS:]))]
    sections = []
    for title, make in parts:
        try:
            sections.append((f"ringlet: {title}", make()))
        except (DebuggerError, LookupError) as error:
            sections.append((f"ringlet: {title}", str(error)))
    folder.mkdir(exist_ok=True)
    stem = folder / re.sub(r"[^\w.-]+", "_", name)
    if guest is not None and guest.last is not None:
        file = stem.with_name(f"{stem.name}.recording")
        recording = guest.last[0].recording(guest.last[1])
        write_recording(recording, file)
        sections.append(("ringlet: the last events", "\n".join(last_events(recording))))
        how = f"ringlet replay {file}\nringlet debug --replay {file}"
    else:
        file = stem.with_name(f"{stem.name}.snapshot")
        write_file(subject.snapshot(), file)
        how = f"ringlet debug --resume {file}"
    sections.append(("ringlet: to reproduce it", how))
    return sections

