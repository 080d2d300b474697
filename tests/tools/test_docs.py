"""The documents say what is so: their commands print what they show, their names exist.

In a block that is marked ``console``, each line that begins with ``$ ringlet`` is run, in a shell
at the project's root, and what is shown below it must be what comes out, standard error included.
``...`` stands for any text within a line; alone on a line, for any number of lines.  ``$ echo $?``
behind it is run too.  Other commands are for the reader.  Blocks marked ``pycon`` are doctests.
"""

from __future__ import annotations

import doctest
import os
import re
import shlex
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from guest_kernel.hostcalls import bind
from guest_kernel.syscall_table import load
from guest_kernel.syscalls import DEFINITIONS
from tests.guest import ROOT
from tests.programs.debian import program
from userland.build import build

DOCUMENTS = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]

_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_OURS = re.compile(r"(^|[|;&] *|do )ringlet ")
_STATUS = "echo $?"
_MARK = "-- next command --"


class Block(NamedTuple):
    """A fenced block: where it is, its language, its lines."""

    path: Path
    line: int
    language: str
    lines: list[str]

    @property
    def name(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line}"


class Command(NamedTuple):
    """A command line, and what is shown below it."""

    text: str
    shown: list[str]

    @property
    def is_run(self) -> bool:
        return bool(_OURS.search(self.text)) or self.text == _STATUS


each_document = pytest.mark.parametrize(
    "path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def blocks(language: str) -> list[Block]:
    found = []
    for path in DOCUMENTS:
        text = path.read_text()
        for match in _BLOCK.finditer(text):
            if match[1] == language:
                line = text.count("\n", 0, match.start()) + 1
                found.append(Block(path, line, language, match[2].splitlines()))
    return found


def commands(block: Block) -> list[Command]:
    found: list[Command] = []
    for line in block.lines:
        if line.startswith("$ "):
            # What follows two spaces and a # is for the reader.
            found.append(Command(line[2:].partition("  #")[0].rstrip(), []))
        elif found:
            found[-1].shown.append(line.rstrip())
    return found


def run(texts: list[str]) -> list[list[str]]:
    """Run commands one after the other in one shell; return what each prints."""
    script = [f'ringlet() {{ {shlex.quote(sys.executable)} -m ringlet "$@"; }}', "status=0"]
    for text in texts:
        script += [f"printf '%s\\n' '{_MARK}'", "(exit $status)", text, "status=$?"]
    done = subprocess.run(["bash", "-c", "\n".join(script)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=ROOT, timeout=120,
                          env=os.environ | {"COLUMNS": "100"}, check=False)
    parts = done.stdout.decode("utf-8", "replace").split(f"{_MARK}\n")[1:]
    return [[line.rstrip() for line in part.splitlines()] for part in parts]


def agrees(shown: list[str], printed: list[str]) -> bool:
    """Tell whether an output is the one that is shown, ``...`` standing for anything."""
    pattern = ""
    for line in shown:
        pattern += r"(.*\n)*?" if line.strip() == "..." else (
            ".*?".join(re.escape(part) for part in line.split("...")) + r"\n")
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in printed)) is not None


CONSOLE = [block for block in blocks("console") if any(c.is_run for c in commands(block))]


@pytest.mark.parametrize("block", CONSOLE, ids=lambda block: block.name)
def test_commands_print_what_is_shown(block: Block) -> None:
    """Does a reader who types this see this?"""
    wanted = [command for command in commands(block) if command.is_run]
    text = "\n".join(command.text for command in wanted)
    if "build/userland" in text:
        build()
    for name in re.findall(r"build/debian/bin/([\w-]+)", text):
        program(name)  # says what to do if it is not there
    for command, printed in zip(wanted, run([c.text for c in wanted]), strict=True):
        if not agrees(command.shown, printed):
            pytest.fail("\n".join([f"{block.name}: $ {command.text}", "shown:", *command.shown,
                                   "printed:", *printed]))


@pytest.mark.parametrize("block", blocks("pycon"), ids=lambda block: block.name)
def test_python_examples_answer_what_is_shown(block: Block,
                                              monkeypatch: pytest.MonkeyPatch) -> None:
    """Does the interpreter answer so?"""
    monkeypatch.chdir(ROOT)
    if any("drgn" in line for line in block.lines):
        pytest.importorskip("drgn", reason="not here: drgn is not installed")
    example = doctest.DocTestParser().get_doctest("\n".join(block.lines), {}, block.name,
                                                  str(block.path), block.line)
    report: list[str] = []
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(example, out=report.append)
    assert example.examples
    assert not report, "".join(report)


# ---- Names


def _prose(path: Path) -> str:
    """Return a document without its fenced blocks."""
    return _BLOCK.sub("", path.read_text())


@cache
def _defined() -> set[str]:
    """Return the functions, classes, labels and macros of the project's Python and assembly."""
    patterns = {".py": re.compile(r"^ *(?:def|class) (\w+)", re.MULTILINE),
                ".asm": re.compile(r"^(?:\.macro )?(\w+)(?=:| )", re.MULTILINE)}
    found: set[str] = set()
    for top in ("emulator", "guest_kernel", "ringlet", "tests", "userland"):
        for path in (ROOT / top).rglob("*"):
            if path.suffix in patterns:
                found |= set(patterns[path.suffix].findall(path.read_text()))
    return found


@each_document
def test_links_lead_somewhere(path: Path) -> None:
    """Is there a file behind each relative link?"""
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", _prose(path))
    broken = [link for link in links
              if "://" not in link and not (path.parent / link).exists()]
    assert broken == []


@each_document
def test_files_that_are_named_exist(path: Path) -> None:
    """Is each file that a document names, from the root on, there?"""
    names = re.findall(r"`((?:\w+/)+[\w.-]+\.(?:py|asm|c|h|md))`", _prose(path))
    assert [name for name in names if not (ROOT / name).exists()] == []


@each_document
def test_functions_that_are_named_exist(path: Path) -> None:
    """Is each function, label or test that a document names defined somewhere?

    ``name()`` is a function or a label of ours, ``test_name`` a test; names of Linux's stand
    without back-quotes.
    """
    text = _prose(path)
    names = {*re.findall(r"`(?:[\w.]+\.)?(\w+)\(\)`", text), *re.findall(r"`(test_\w+)`", text)}
    assert sorted(names - _defined()) == []


@each_document
def test_lines_are_not_too_long(path: Path) -> None:
    """Does every line that is not a table or a command's output fit in 120 columns?"""
    lines = [line for line in _prose(path).splitlines() if not line.startswith("|")]
    assert [line for line in lines if len(line) > 120] == []


def test_every_partial_call_is_among_the_differences() -> None:
    """Is each call whose handler states limits, and no other, in the table of such calls?"""
    text = (ROOT / "docs" / "differences.md").read_text()
    section = text.partition("## System calls that are partly there")[2].partition("\n## ")[0]
    rows = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    named = re.findall(r"`(\w+)`", " ".join(rows))
    bind()  # imports all handlers
    partial = [row.name for row in load()
               if row.entry is not None and DEFINITIONS[row.entry].limits]
    assert sorted(named) == sorted(partial)


# ---- The comparison itself


@pytest.mark.parametrize(("shown", "printed", "same"), [
    (["a", "b"], ["a", "b"], True),
    (["a"], ["a", "b"], False),
    (["a", "..."], ["a", "b", "c"], True),
    (["a", "..."], ["a"], True),
    (["...", "c"], ["a", "b", "c"], True),
    (["...", "c"], ["a", "c", "b"], False),
    (["x ... z"], ["x y z"], True),
    (["x ... z"], ["x y", "z"], False),
    (["a.c"], ["abc"], False),
    ([], [], True),
    ([], ["a"], False),
])
def test_the_comparison(shown: list[str], printed: list[str], same: bool) -> None:
    """Is ``...`` a wildcard and everything else literal?"""
    assert agrees(shown, printed) is same


def test_a_command_keeps_its_status_and_its_output_apart() -> None:
    """Do commands of a block see each other's status, and only their own output?"""
    assert run(["ringlet layout rb_root | head -n 1; (exit 3)", _STATUS, "echo a >&2"]) == [
        ["/* A red-black tree.  guest_kernel/layout/rbtree.py */"], ["3"], ["a"]]
