"""``ringlet run``: boot the kernel and run a program on it."""

import gc
import io
import os
import stat
import sys
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import NamedTuple, TextIO

from emulator.boot import BootError
from emulator.cpu.binding import EngineError
from emulator.cpu.cpu import MicrocodeKind
from emulator.machine import DEFAULT_MEM
from guest_kernel.errors import KernelPanic
from guest_kernel.mm.page_alloc import OutOfFrames
from ringlet.console import Keyboard, Left, Lines
from ringlet.session import DEFAULT_ENV, DeadlockError, ProgramError, Session, check_program
from ringlet.shell import RootError, ShellRoot
from ringlet.terminal import Ended, HostTerminal

OUR_ERROR = 125
LEFT = 130  # the person at the terminal has left the guest, as by a SIGINT


class Options(NamedTuple):
    """What the command line says; see ``ringlet run --help``."""

    program: str  # on the host; with a root, in the guest
    arguments: Sequence[str] = ()
    root: ShellRoot | None = None  # what the guest's file system is made of
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


def fail(message: str, status: int = OUR_ERROR) -> int:
    """Say what is wrong, on standard error; return the exit status."""
    print(f"ringlet: {message}", file=sys.stderr)
    return status


def run(options: Options) -> int:
    """Run a program; return the exit status."""
    if options.root is None and not os.path.exists(options.program):
        return fail(f"{options.program}: no such file", 127)
    with ExitStack() as stack:
        try:
            if options.root is None:
                check_program(options.program)
            trace = _trace_file(options.strace, stack)
            tty = sys.stdin.isatty() and sys.stdout.isatty()
            rows, columns = _window() if tty else (24, 80)
            session = stack.enter_context(Session(
                mem=options.mem, seed=options.seed, microcode=options.microcode, tty=tty,
                rows=rows, columns=columns, realtime=options.realtime, append=options.append,
                sched=options.sched, quantum=options.quantum, output=_write))
        except ProgramError as error:
            return fail(str(error), error.status)
        except (BootError, EngineError, OutOfFrames, OSError, ValueError) as error:
            return fail(str(error), OUR_ERROR)
        # What has been made until here stays: nothing of it need be looked through again.
        gc.freeze()
        gc.enable()
        try:
            if options.root is not None:
                options.root.install(session)
            return _run_program(session, options, trace, DEFAULT_ENV | dict(options.env))
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
            return fail(f"{options.program}: does not fit in {options.mem >> 10} KiB of memory",
                         OUR_ERROR)
        except DeadlockError as deadlock:
            return fail(f"{options.program}: {deadlock}", OUR_ERROR)
        except KernelPanic as panic:
            print(session.dmesg, end="", file=sys.stderr)
            return fail(f"kernel panic: {panic}", OUR_ERROR)
        finally:
            if options.dmesg:
                print(session.dmesg, end="", file=sys.stderr)


def _run_program(session: Session, options: Options, trace: TextIO | None,
                 env: dict[str, str]) -> int:
    tracer = None
    if trace is not None:
        from ringlet.strace import Strace

        tracer = Strace(session.kernel.k, trace)
    argv = [options.program, *options.arguments]
    if session.tty:
        with HostTerminal() as terminal:
            keys = Keyboard(session.machine, session.kernel.k, terminal, pace=options.realtime)
            result = session.run(argv, env=env, stdin=keys, timeout=options.timeout, tracer=tracer,
                                 bring=options.root is None)
    else:
        result = session.run(argv, env=env, stdin=_standard_input(), timeout=options.timeout,
                             tracer=tracer, bring=options.root is None)
    if tracer is not None:
        tracer.finish(result)
    if options.stats:
        text = result.statistics.as_json() + "\n" if options.stats == "json" else (
            result.statistics.as_text())
        print(text, end="", file=sys.stderr)
    if options.timeout is not None and result.status == 124 and not result.signal:
        print(f"ringlet: gave up after {options.timeout:g} s of virtual time", file=sys.stderr)
    return result.status


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
