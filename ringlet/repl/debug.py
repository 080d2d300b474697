"""``ringlet debug``: put a program before its first instruction, and give the console.

Or a run that was recorded, which comes to what it came to then; or a snapshot, as it is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from importlib.util import find_spec
from typing import NamedTuple

from emulator.boot import BootError
from emulator.cpu.binding import EngineError
from emulator.cpu.cpu import MicrocodeKind
from emulator.machine import Machine
from emulator.snapshot import SnapshotError, read_file
from guest_kernel.mm.page_alloc import OutOfFrames
from ringlet.debugger.core import Debugger
from ringlet.recording import RecordingError, beginning, read_recording
from ringlet.repl import views
from ringlet.repl.shell import PROMPT, Quit, Shell
from ringlet.session import DEFAULT_ENV, ProgramError, Session
from ringlet.shell import RootError

OUR_ERROR = 125


class Options(NamedTuple):
    """What the command line says; see ``ringlet debug --help``."""

    program: str | None
    arguments: Sequence[str]
    mem: int
    seed: int
    append: str
    env: Sequence[tuple[str, str]]
    sched: str
    quantum: str | None
    microcode: MicrocodeKind | None
    dmesg: bool
    stdin: str | None
    script: str | None
    plain: bool
    replay: str | None
    resume: str | None


def debug(options: Options) -> int:
    """Debug a program; return the exit status."""
    try:
        script = []
        if options.script is not None:
            with open(options.script) as text:
                script = text.read().splitlines()
        with _subject(options) as subject:
            debugger = Debugger(subject)
            begins = options.resume is None  # else it is in the middle of something
            print(views.stop(debugger, debugger.start() if begins else debugger.last))
            _converse(Shell(debugger), script, plain=options.plain)
            if options.dmesg and isinstance(subject, Session):
                print(subject.dmesg, end="", file=sys.stderr)
            return 0
    except ProgramError as error:
        print(f"ringlet: {error}", file=sys.stderr)
        return error.status
    except (BootError, EngineError, OutOfFrames, OSError, ValueError, SnapshotError,
            RecordingError, RootError) as error:
        print(f"ringlet: {error}", file=sys.stderr)
        return OUR_ERROR


@contextmanager
def _subject(options: Options) -> Iterator[Session | Machine]:
    """Give what is to be debugged: a program, a recorded run from its beginning, or a snapshot."""
    if options.replay is not None:
        with beginning(read_recording(options.replay), microcode=options.microcode) as session:
            yield session
    elif options.resume is not None:
        snapshot = read_file(options.resume)
        if "kernel" in snapshot.notes:
            with Session.of(snapshot, microcode=options.microcode) as session:
                session.go_on()
                yield session
        else:
            with closing(Machine.of(snapshot, microcode=options.microcode)) as machine:
                yield machine
    else:
        assert options.program is not None
        stdin = b""
        if options.stdin is not None:
            with open(options.stdin, "rb") as file:
                stdin = file.read()
        with Session(mem=options.mem, seed=options.seed, append=options.append,
                     sched=options.sched, quantum=options.quantum,
                     microcode=options.microcode) as session:
            session.start([options.program, *options.arguments],
                          env=DEFAULT_ENV | dict(options.env), stdin=stdin)
            yield session


def _converse(shell: Shell, script: Sequence[str], *, plain: bool) -> None:
    """Do a script's lines, echoed, then the user's; with IPython if it is there and wanted."""
    for line in script:
        print(f"{PROMPT}{line}")
        try:
            shown = shell.execute(line) if line.strip() else ""
        except Quit:
            return
        if shown:
            print(shown)
    has_ipython = all(map(find_spec, ("IPython", "rich")))  # the repl extra
    if has_ipython and not plain and sys.stdin.isatty() and sys.stdout.isatty():
        from ringlet.repl.ipython import interact

        interact(shell)
    else:
        shell.interact()
