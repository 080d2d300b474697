"""Variables of C in ``ringlet debug``, against gdb, which reads the core of the same process."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from ringlet.repl.shell import Shell
from ringlet.session import Session
from tests.guest import compile_c
from tests.tools.debugging.transcript import debugged

SOURCE = Path(__file__).parent / "debugging" / "variables.c"
MARK = "@@ "

# Of each line gdb and we must say the same, but for how a number is followed by its hexadecimal.
LINES = """\
info args
info locals
p n
p list
p *list
p list->name
p list->next->at
p list->next->work
p *list->next
p list->at.x * 10 + n
p n == 7 && !no
p step
p total
p p
p *p
frame 1
info locals
p here
p here.x + calls
p buffer
p &here
p result
up
down
down
p second
p/x second.at
p first.flags + second.rest
p list->inner
p matrix
p matrix[1]
p matrix[1][2]
p/x matrix
p zeros
p nines
p ones
p text
p tens
p elevens
p ten
p bytes
p/x bytes
p bytes[2]
p word
p/t word.whole
p/o hexadecimal
p/c text
p yes
p no
p big
p small
p third
p nothing
p letter
p colours
p colours[1]
p hexadecimal
p/x hexadecimal
p list == &first
p list->next == &second
p list + 1 == &second
p list + 1
p &matrix[1][1] - &matrix[0][0]
p sizeof(first)
p -small
p small / 2
p small % 2
p second.weight * 2
whatis list
whatis matrix
whatis matrix[1]
whatis first.work
whatis zeros[1]
whatis &text
whatis letter
ptype first
ptype list
ptype colours
ptype word
ptype matrix
""".splitlines()


@pytest.fixture(scope="module")
def program() -> Path:
    return compile_c(SOURCE, "-g", "-O0", "-fno-omit-frame-pointer")


@pytest.fixture(scope="module")
def theirs(program: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What gdb says to each line."""
    if shutil.which("gdb") is None:
        pytest.skip("not here: gdb is not installed")
    core = tmp_path_factory.mktemp("core") / "core"
    with Session(seed=1) as session:
        core.write_bytes(session.run([str(program)]).output)
    settings = ["set width 0", "set print frame-arguments scalars"]
    arguments = [part for line in LINES for part in ("-ex", f"echo {MARK}{line}\\n", "-ex", line)]
    done = subprocess.run(
        ["gdb", "-nx", "-batch", *(part for line in settings for part in ("-ex", line)),
         *arguments, program, core],
        text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True, timeout=60)
    answers = done.stdout.split(MARK)[1:]
    assert len(answers) == len(LINES)
    found: dict[str, list[str]] = {}
    for answer in answers:
        line, _, said = answer.partition("\n")
        said = re.sub(r"(?m)^(\$\d+ = |type = )", "", said)
        found.setdefault(line, []).append(common(said))
    return found


def common(text: str) -> str:
    """Take out what gdb writes in another way."""
    text = re.sub(r"\b(short|long) int\b", r"\1", text)
    text = re.sub(r" at \S*/(\w+\.c:)", r" at \1", text)
    return text.strip()


def line_of(text: str) -> str:
    """Return the location of a line of the program's."""
    lines = SOURCE.read_text().split("\n")
    return f"{SOURCE.name}:{next(n for n, line in enumerate(lines, 1) if text in line)}"


@pytest.fixture
def shell(program: Path) -> Iterator[Shell]:
    """A console at the instruction of which the child dies."""
    with debugged(program) as console:
        console.execute(f"tbreak {line_of('*(volatile int *)nothing')}")
        assert "count (n=7, list=0x" in console.execute("continue")
        d = console.debugger
        while not d.instruction(d.rip).op_str.startswith("dword ptr [rax],"):
            d.stepi()
        yield console


def ours(shell: Shell, line: str) -> str:
    said = re.sub(r"^(-?\d+) \(-?0x[0-9a-f]+\)$", r"\1", shell.execute(line))
    return common({"True": "1", "False": "0"}.get(said, said))


def test_gdb_says_the_same(shell: Shell, theirs: dict[str, list[str]]) -> None:
    """Are values, types and frames written as gdb writes them?"""
    asked = {line: iter(answers) for line, answers in theirs.items()}
    differences = []
    for line in LINES:
        wanted, got = next(asked[line]), ours(shell, line)
        if wanted != got:
            differences.append(f"{line}\nringlet: {got}\ngdb:     {wanted}")
    assert not differences, "\n\n".join(differences)


def test_variables_can_be_set(shell: Shell) -> None:
    """By set and by print, whole numbers, floating ones and pointers?"""
    for line, look, value in (
            ("set var n = 9", "p n", "9"), ("p matrix[1][1] = n * 2", "p matrix[1][1]", "18"),
            ("set small = -7", "p small", "-7"), ("set third = 0.5", "p third", "0.5"),
            ("p list->next = 0", "p list->next", "(struct node *) 0x0"),
            ("set bytes[0] = 'x'", "p bytes[0]", "120 'x'"),
            ("set $rax = n + 1", "p $rax", "10")):
        shell.execute(line)
        assert ours(shell, look) == value


def test_points_know_variables(program: Path) -> None:
    """Do a condition and a watchpoint mean a variable's value and its place?"""
    with debugged(program) as shell:
        shell.execute(f"break {line_of('total += step')} if step < 0")
        shell.execute("continue")
        assert ours(shell, "p step") == "-21"
        assert ours(shell, "p total") == "7"
        assert "8 bytes" not in shell.execute("watch total")
        assert "total: 0x7 -> 0xfffffff2" in shell.execute("continue")


@pytest.mark.parametrize(("line", "said"), [
    ("p list->nosuch", "There is no field nosuch in struct node."),
    ("p n.x", "What is int has no fields."),
    ("p *n", "What is int has no elements."),
    ("p *nothing", "What void * points to has no size."),
    ("p first + 1", "node_t is no type of numbers."),
    ("p first = 1", "Only a number or a pointer in memory can be set."),
    ("p &5", "5"), ("p &(n + 1)", "8"),
    ("p matrix[", "'matrix[' is not an expression."),
    ("p *list->next->next", "Cannot access memory at address 0x0."),
    ("frame 99", "There is no frame 99."), ("down", "There is no frame -1."),
    ("whatis 5", "Only a variable of the program's has a type here."),
    ("set n", "set takes $register = expression, or variable = expression."),
    ("set count = 3", "count is not a variable."),
    ("watch n + 1", ""),
])
def test_what_cannot_be_is_said(shell: Shell, line: str, said: str) -> None:
    """Is it a sentence?"""
    answer = shell.execute(line)
    assert "Traceback" not in answer
    assert "Error" not in answer
    if said.endswith("."):
        assert answer == said


def test_optimised_code_says_what_is_gone() -> None:
    """With -O2, is a variable's value right, or is it said that there is none?"""
    program = compile_c(SOURCE.with_name("calls.c"), "-g", "-O2", "-fno-inline")
    with debugged(program) as shell:
        shell.execute("break work")
        assert "work (n=5) at" in shell.execute("continue")
        assert ours(shell, "p n") == "5"
        answers = []
        for _ in range(40):
            shell.execute("stepi")
            answers.append(shell.execute("info locals"))
        assert any(re.search(r"sum = \d+$", answer, re.MULTILINE) for answer in answers)
        assert not any("Traceback" in answer for answer in answers)
