"""``ringlet debug``: boot, put the program before its first instruction, and give the console."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import NamedTuple

from emulator.boot import BootError
from emulator.cpu.binding import EngineError
from emulator.cpu.cpu import MicrocodeKind
from guest_kernel.mm.page_alloc import OutOfFrames
from ringlet.debugger.core import Debugger
from ringlet.repl import views
from ringlet.repl.shell import PROMPT, Quit, Shell
from ringlet.session import DEFAULT_ENV, ProgramError, Session

OUR_ERROR = 125


class Options(NamedTuple):
    """What the command line says; see ``ringlet debug --help``."""

    program: str
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


def debug(options: Options) -> int:
    """Debug a program; return the exit status."""
    try:
        stdin = b""
        if options.stdin is not None:
            with open(options.stdin, "rb") as file:
                stdin = file.read()
        script = []
        if options.script is not None:
            with open(options.script) as text:
                script = text.read().splitlines()
        with Session(mem=options.mem, seed=options.seed, append=options.append,
                     sched=options.sched, quantum=options.quantum,
                     microcode=options.microcode) as session:
            session.start([options.program, *options.arguments],
                          env=DEFAULT_ENV | dict(options.env), stdin=stdin)
            debugger = Debugger(session)
            print(views.stop(debugger, debugger.start()))
            _converse(Shell(debugger), script, plain=options.plain)
            if options.dmesg:
                print(session.dmesg, end="", file=sys.stderr)
            return 0
    except ProgramError as error:
        print(f"ringlet: {error}", file=sys.stderr)
        return error.status
    except (BootError, EngineError, OutOfFrames, OSError, ValueError) as error:
        print(f"ringlet: {error}", file=sys.stderr)
        return OUR_ERROR


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
