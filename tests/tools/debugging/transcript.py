"""Sessions with ``ringlet debug`` as text: the program, and what a person types and sees.

    $ calls.c                        the program, compiled with -g -O0, and its arguments
    where it stands before its first instruction
    (ringlet) break main             what is typed
    Breakpoint 1 at 0x…              what is seen

Addresses depend on the compiler: of what is seen, hexadecimal numbers of four digits and more are
written ``0x…``, decimal ones of five, times, offsets from symbols, and indices of page tables
``…``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from ringlet.debugger import Debugger
from ringlet.repl import views
from ringlet.repl.shell import PROMPT, Quit, Shell
from ringlet.session import Session
from tests.guest import compile_c

HERE = Path(__file__).resolve().parent


@contextmanager
def debugged(program: Path, *arguments: str) -> Iterator[Shell]:
    """Give a console of a program that stands before its first instruction."""
    with Session(seed=1) as session:
        session.start([str(program), *arguments])
        debugger = Debugger(session)
        debugger.start()
        yield Shell(debugger)


def converse(subject: str, lines: Iterable[str]) -> str:
    """Debug a program, type the lines, and return the transcript."""
    source, *arguments = subject.split()
    with debugged(compile_c(HERE / source, "-g", "-O0"), *arguments) as shell:
        text = [f"$ {subject}", views.stop(shell.debugger, shell.debugger.last)]
        for line in lines:
            text.append(f"{PROMPT}{line}".rstrip())
            try:
                text.append(shell.execute(line))
            except Quit:
                break
    return _plain("\n".join(filter(None, text))) + "\n"


def typed(transcript: str) -> tuple[str, list[str]]:
    """Return a transcript's program and the lines that were typed."""
    first, *rest = transcript.splitlines()
    prompt = PROMPT.rstrip()
    return first.removeprefix("$ "), [line.removeprefix(prompt).strip() for line in rest
                                      if line.startswith(prompt)]


def _plain(text: str) -> str:
    """Take out what depends on the compiler and the folder."""
    for pattern, instead in (
            (r"\b0x[0-9a-f]{4,}\b", "0x…"), (r"\b[0-9a-f]{12}-[0-9a-f]{12}\b", "…-…"),
            (r"(?<=[rwxps-]{4} )[0-9a-f]{8}\b", "…"), (r"\b\d[\d,]{4,}\b", "…"),
            (r"\b\d+ ns\b", "… ns"), (r"\[ *\d+\] at", "[…] at"), (r"(?<=\w)\+\d+\b", "+…")):
        text = re.sub(pattern, instead, text)
    return re.sub(r"/\S*/tests/(\S*/)*", "", text)
