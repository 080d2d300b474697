"""gdb reads a core that the guest's kernel has dumped."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from ringlet.session import Session
from tests.guest import TIMEOUT, compile_c, run_native

SUBJECT = Path(__file__).with_name("core_subject.c")
NT_NAMES = ["NT_PRSTATUS", "NT_PRPSINFO", "NT_SIGINFO", "NT_AUXV", "NT_FILE", "NT_FPREGSET",
            "NT_PRSTATUS", "NT_FPREGSET"]


@pytest.fixture(scope="module")
def program() -> Path:
    return compile_c(SUBJECT, "-g", "-O0", "-fno-omit-frame-pointer")


@pytest.fixture(scope="module")
def core(program: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The core that the program leaves in the guest."""
    with Session(panic_on_oops=True) as session:
        result = session.run([str(program)], timeout=TIMEOUT)
    assert result.status == 0
    path = tmp_path_factory.mktemp("core") / "core"
    path.write_bytes(result.output)
    return path


def gdb(program: Path, core: Path, *commands: str) -> str:
    """Return what gdb prints for ``commands``."""
    if shutil.which("gdb") is None:
        pytest.skip("not here: gdb is not installed")
    arguments = [part for command in commands for part in ("-ex", command)]
    done = subprocess.run(["gdb", "-nx", "-batch", *arguments, program, core], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True,
                          timeout=60)
    return done.stdout


def test_gdb_shows_the_back_trace(program: Path, core: Path) -> None:
    """Which functions, with which arguments, down to the instruction that has faulted?"""
    text = gdb(program, core, "bt", "info program")
    assert "Program terminated with signal SIGSEGV, Segmentation fault." in text
    frames = re.findall(r"^#(\d) .*?(\w+) \((.*)\) at ", text, re.MULTILINE)
    trace = frames[-4:]
    assert trace[0][0] == "0"
    assert [name for _, name, _ in trace] == ["inner", "middle", "outer", "main"]
    assert trace[0][2] == "where=0x1230, number=2"
    assert trace[1][2] == "number=1"


def test_gdb_shows_memory_registers_and_the_signal(program: Path, core: Path) -> None:
    """Data that was written, an SSE register, and siginfo with the address?"""
    text = gdb(program, core, "print table", "print $xmm7.v2_double[0]",
               "print $_siginfo._sifields._sigfault.si_addr", "print $_siginfo.si_code",
               "info auxv")
    assert "$1 = {11, 22, 55, 44}" in text
    assert "$2 = 2.5" in text
    assert "$3 = (void *) 0x1230" in text
    assert "$4 = 1" in text
    assert re.search(r"AT_PAGESZ .* 4096", text)


def test_gdb_shows_the_other_thread(program: Path, core: Path) -> None:
    """Where was the thread that slept?"""
    text = gdb(program, core, "info threads", "thread 2", "bt")
    assert len(re.findall(r"^\*? +\d +(?:Thread|LWP)", text, re.MULTILINE)) == 2
    assert re.search(r"^#\d .*sleeping_thread \(", text, re.MULTILINE)


def notes(core: Path) -> list[tuple[str, int]]:
    """Return the types and sizes of a core's notes, in order."""
    from elftools.elf.elffile import ELFFile

    with core.open("rb") as f:
        elf = ELFFile(f)
        segment = next(s for s in elf.iter_segments() if s["p_type"] == "PT_NOTE")
        return [(str(note["n_type"]), note["n_descsz"]) for note in segment.iter_notes()]


@pytest.mark.native
def test_notes_are_those_that_linux_writes(program: Path, core: Path, tmp_path: Path) -> None:
    """The same notes in the same order, but for those about registers that our CPU lacks?"""
    native = tmp_path / "core"
    result = run_native([str(program)])
    if result.status == 2:
        pytest.skip("not here: the host keeps its cores elsewhere")
    native.write_bytes(result.output)
    ours = notes(core)
    theirs = [(kind, size) for kind, size in notes(native)
              if kind in NT_NAMES or kind in {kind for kind, _ in ours}]
    assert [kind for kind, _ in ours] == [kind for kind, _ in theirs]
    sized = {"NT_PRSTATUS", "NT_PRPSINFO", "NT_SIGINFO", "NT_FPREGSET"}
    assert ([note for note in ours if note[0] in sized]
            == [note for note in theirs if note[0] in sized])
