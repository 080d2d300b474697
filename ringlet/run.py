"""``ringlet run``: boot the kernel and run a program on it; ``ringlet resume``: go on with it."""

import gc
import io
import os
import stat
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack, nullcontext
from typing import TYPE_CHECKING, NamedTuple, TextIO

from emulator.boot import BootError
from emulator.cpu.binding import EngineError
from emulator.cpu.cpu import MicrocodeKind
from emulator.machine import DEFAULT_MEM
from emulator.snapshot import Snapshot, SnapshotError, read_file, write_file
from guest_kernel.errors import KernelPanic
from guest_kernel.mm.page_alloc import OutOfFrames
from ringlet.console import Ended, Input, Keyboard, Left, Lines
from ringlet.session import DEFAULT_ENV, DeadlockError, ProgramError, Session, check_program
from ringlet.shell import RootError, ShellRoot

if TYPE_CHECKING:
    from ringlet.recording import Came, Recorder
    from ringlet.session import Result

OUR_ERROR = 125
LEFT = 130  # the person at the terminal has left the guest, as by a SIGINT


class Options(NamedTuple):
    """What the command line says; see ``ringlet run --help`` and ``ringlet resume --help``."""

    program: str = ""  # on the host; with a root, in the guest
    arguments: Sequence[str] = ()
    root: ShellRoot | None = None  # what the guest's file system is made of
    resume: str | None = None  # the snapshot to go on with, instead of booting and a program
    mem: int = DEFAULT_MEM
    seed: int = 0
    append: str = ""
    env: Sequence[tuple[str, str]] = ()
    strace: str | None = None  # a file's name; empty: standard error
    stats: str | None = None  # "text" or "json"
    timeout: float | None = None
    sched: str = "fair"
    quantum: str | None = None
    realtime: bool = False
    dmesg: bool = False
    microcode: MicrocodeKind | None = None
    snapshot: str | None = None  # the file to write
    snapshot_every: float | None = None  # virtual seconds
    record: str | None = None  # the file to write


def fail(message: str, status: int = OUR_ERROR) -> int:
    """Say what is wrong, on standard error; return the exit status."""
    print(f"ringlet: {message}", file=sys.stderr)
    return status


def run(options: Options) -> int:
    """Run a program, or go on with one; return the exit status."""
    subject = options.resume or options.program
    if options.root is None and not os.path.exists(subject):
        return fail(f"{subject}: no such file", 127)
    with ExitStack() as stack:
        try:
            trace = _trace_file(options.strace, stack)
            if options.record is not None:
                open(options.record, "a").close()  # a person's hour must not end in this error
            session = stack.enter_context(_session(options))
        except ProgramError as error:
            return fail(str(error), error.status)
        except (BootError, EngineError, OutOfFrames, OSError, SnapshotError,
                ValueError) as error:
            return fail(str(error), OUR_ERROR)
        # What has been made until here stays: nothing of it need be looked through again.
        gc.freeze()
        gc.enable()
        try:
            if options.root is not None:
                options.root.install(session)
            return _run_program(session, options, trace)
        except ProgramError as error:
            return fail(str(error), error.status)
        except RootError as error:
            return fail(str(error), OUR_ERROR)
        except Left:
            return fail("left the guest", LEFT)
        except Ended as ended:
            ended.die()
            raise
        except OutOfFrames:
            return fail(f"{subject}: does not fit in {session.machine.ram.size >> 10} KiB of "
                         "memory", OUR_ERROR)
        except DeadlockError as deadlock:
            return fail(f"{subject}: {deadlock}", OUR_ERROR)
        except FileError as error:
            return fail(str(error), OUR_ERROR)
        except KernelPanic as panic:
            print(session.dmesg, end="", file=sys.stderr)
            return fail(f"kernel panic: {panic}", OUR_ERROR)
        finally:
            if options.dmesg:
                print(session.dmesg, end="", file=sys.stderr)


class FileError(Exception):
    """A snapshot or a recording could not be written."""


def _session(options: Options) -> Session:
    """Boot, or take up a snapshot."""
    if options.resume is not None:
        session = Session.of(read_file(options.resume), microcode=options.microcode,
                             realtime=options.realtime, output=_write)
        if not session.is_running:
            session.close()
            raise SnapshotError(f"{options.resume}: no program is running in it")
    else:
        if options.root is None:
            check_program(options.program)
        tty = sys.stdin.isatty() and sys.stdout.isatty()
        rows, columns = _window() if tty else (24, 80)
        session = Session(options.mem, options.seed, tty=tty, rows=rows, columns=columns,
                          append=options.append, sched=options.sched, quantum=options.quantum,
                          microcode=options.microcode, realtime=options.realtime, output=_write)
    session.snapshot_every = options.snapshot_every
    if options.snapshot_every is not None:
        session.on_snapshot = lambda snapshot: _save(snapshot, options)
    return session


def _save(snapshot: Snapshot, options: Options) -> None:
    assert options.snapshot is not None
    try:
        write_file(snapshot, options.snapshot)
    except OSError as error:
        raise FileError(f"{options.snapshot}: {error.strerror}") from error


def _run_program(session: Session, options: Options, trace: TextIO | None) -> int:
    tracer = None
    if trace is not None:
        from ringlet.strace import Strace

        tracer = Strace(session.kernel.k, trace)
    argv = [options.program, *options.arguments]
    env = DEFAULT_ENV | dict(options.env)
    recorder = None
    if options.record is not None:
        from ringlet.recording import Recorder  # not for a run that is not recorded

        recorder = Recorder(session, argv, env, options.timeout, options.root)
    result = None
    with ExitStack() as stack:
        source = _input(session, options, stack, None if recorder is None else recorder.came)
        try:
            with recorder or nullcontext():
                if options.resume is not None:
                    result = session.resume(stdin=source, timeout=options.timeout, tracer=tracer)
                else:
                    result = session.run(argv, env=env, stdin=source, timeout=options.timeout,
                                         tracer=tracer, bring=options.root is None)
        finally:
            if recorder is not None and options.record is not None:
                _save_recording(recorder, result, options.record)
    if tracer is not None:
        tracer.finish(result)
    if options.stats:
        text = result.statistics.as_json() + "\n" if options.stats == "json" else (
            result.statistics.as_text())
        print(text, end="", file=sys.stderr)
    if result.timed_out:
        if options.snapshot is not None:
            _save(session.snapshot(), options)
        print(f"ringlet: gave up after {options.timeout:g} s of virtual time", file=sys.stderr)
    return result.status


def _input(session: Session, options: Options, stack: ExitStack,
           record: "Callable[[int, Came], None] | None") -> Input:
    """Return what feeds the console: a terminal, taken until ``stack`` ends, or standard input."""
    machine, k = session.machine, session.kernel.k
    if not (session.tty and sys.stdin.isatty() and sys.stdout.isatty()):
        return Input(machine, k, _standard_input(), pace=options.realtime, record=record)
    from ringlet.terminal import HostTerminal  # not for a run without one

    terminal = stack.enter_context(HostTerminal())
    terminal.resized = options.resume is not None  # since then
    return Keyboard(machine, k, terminal, pace=options.realtime, record=record)


def _save_recording(recorder: "Recorder", result: "Result | None", path: str) -> None:
    from ringlet.recording import write_recording

    try:
        write_recording(recorder.recording(result), path)
    except OSError as error:
        raise FileError(f"{path}: {error.strerror}") from error


def replay(path: str, microcode: MicrocodeKind | None) -> int:
    """Do a recorded run again; return the exit status."""
    from ringlet.recording import DivergenceError, RecordingError, read_recording
    from ringlet.recording import replay as again

    try:
        result = again(read_recording(path), _write, microcode=microcode)
    except (RecordingError, DivergenceError, ProgramError, KernelPanic, DeadlockError,
            RootError) as error:
        return fail(f"{path}: {error}" if isinstance(error, DivergenceError) else str(error))
    except (BootError, EngineError, OutOfFrames, OSError, ValueError, TypeError) as error:
        return fail(str(error))
    return fail("the run was ended here, from outside", LEFT) if result is None else result.status


def _standard_input() -> Callable[[int], bytes]:
    """Return how to read standard input, in pieces that do not depend on who writes how fast."""
    def read(n: int) -> bytes:
        return os.read(0, n)

    return read if stat.S_ISREG(os.fstat(0).st_mode) else Lines(read)


def _trace_file(name: str | None, stack: ExitStack) -> TextIO | None:
    if name is None:
        return None
    if name:
        return stack.enter_context(open(name, "w"))
    if not os.isatty(2):
        return sys.stderr
    # While the guest has the terminal, nothing puts a CR before a line's end.
    return io.TextIOWrapper(io.FileIO(2, "w", closefd=False), newline="\r\n", write_through=True)


def _write(data: bytes) -> None:
    """Write all of the console's output to standard output."""
    while data:
        data = data[os.write(1, data) :]


def _window() -> tuple[int, int]:
    size = os.get_terminal_size()
    return size.lines, size.columns
