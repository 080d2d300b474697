"""``ringlet debug`` as a person uses it: what is typed, and what is seen."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from emulator.machine import Machine
from ringlet.debugger import Debugger, DebuggerError, Reason
from ringlet.session import Session
from tests.guest import ROOT, compile_c
from tests.tools.debugging.transcript import HERE, converse, typed

TRANSCRIPTS = sorted(HERE.glob("*.txt"))


@pytest.mark.parametrize("path", TRANSCRIPTS, ids=lambda path: path.stem)
def test_transcript(path: Path) -> None:
    """Is what is seen what the transcript says?"""
    expected = path.read_text()
    assert converse(*typed(expected)) == expected


def end(session: Session) -> tuple[int, str, bytes]:
    return session.machine.clock, session.machine.fingerprint(), bytes(session.machine.console)


@pytest.fixture(scope="module", params=["calls.c", "sleeper.c", "cow.c", "signals.c"])
def subject(request: pytest.FixtureRequest) -> tuple[str, tuple[int, str, bytes]]:
    """A program, and what a free run of it comes to."""
    program = str(compile_c(HERE / request.param, "-g", "-O0"))
    with Session(seed=1, quantum=20_000) as session:
        session.run([program])
        return program, end(session)


def test_stops_everywhere_change_nothing(subject: tuple[str, tuple[int, str, bytes]]) -> None:
    """With breakpoints, watches and events of all kinds, is the end that of the free run?"""
    program, reference = subject
    with Session(seed=1, quantum=20_000) as session:
        session.start([program])
        debugger = Debugger(session)
        for spec in ("main", "write", "__x64_sys_write", "hosted_syscall", "__libc_start_main"):
            debugger.break_(spec)
        for kind in ("syscall", "fault", "cow", "fork", "exit", "switch", "signal", "exec"):
            debugger.catch(kind)
        debugger.start()
        debugger.watch("$rsp - 256", 64, access="access")
        stops = 0
        while debugger.continue_().reason is not Reason.EXITED:
            stops += 1
        assert stops > 60
        assert end(session) == reference


def test_steps_of_all_kinds_change_nothing(subject: tuple[str, tuple[int, str, bytes]]) -> None:
    """Stepped in turn by instructions and lines, into calls and over them, is the end the same?"""
    program, reference = subject
    with Session(seed=1, quantum=20_000) as session:
        session.start([program])
        debugger = Debugger(session)
        debugger.start()
        verbs = (debugger.stepi, debugger.nexti, debugger.step, debugger.next)
        for turn in range(3000):
            if verbs[turn % 7 % 4]().reason is Reason.EXITED:
                break
        if debugger.last.reason is not Reason.EXITED:
            debugger.continue_()
        assert end(session) == reference


def test_snapshots_at_stops_change_nothing(subject: tuple[str, tuple[int, str, bytes]]) -> None:
    """Restored at many stops, is the end the same?"""
    program, reference = subject
    with Session(seed=1, quantum=20_000) as session:
        session.start([program])
        debugger = Debugger(session)
        debugger.catch("syscall")
        output = b""
        while debugger.continue_().reason is not Reason.EXITED:
            taken = session.snapshot()
            output += bytes(session.machine.console)
            debugger.stepi(5)
            debugger.restore(taken)
        assert (end(session)[:2], output + end(session)[2]) == (reference[:2], reference[2])


# A bare machine


def test_a_bare_machine_is_debugged_too() -> None:
    """Do breakpoints, steps and exceptions work without a kernel?"""
    from emulator.bare import KERNEL_CODE, Bare
    from emulator.system import BareSystem

    bare = Bare(Machine(4 << 20))
    labels = bare.assemble("mov eax, 1\nhere: inc eax\ncall there\nud2\nthere: ret")
    debugger = Debugger(bare.machine, BareSystem(bare.machine, labels))
    bare.begin()
    debugger.break_("here")
    stop = debugger.continue_()
    assert (stop.reason, stop.rip) == (Reason.BREAKPOINT, labels["here"])
    assert debugger.nexti().rip == labels["here"] + 2
    assert debugger.nexti().rip == labels["here"] + 7
    assert debugger.register("eax") == 2
    debugger.catch("exception", "#UD")
    stop = debugger.continue_()
    assert stop.detail == f"Exception #UD at {labels['here'] + 7:#x}"
    assert debugger.symbol_at(KERNEL_CODE) is None
    with pytest.raises(DebuggerError, match="no kernel that knows of a fork"):
        debugger.catch("fork")
    bare.machine.close()


# The program


def ringlet(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "ringlet", "debug", *arguments], input=stdin,
                          capture_output=True, cwd=ROOT, timeout=120, check=False, text=True)


def test_the_console_reads_commands_until_they_end(tmp_path: Path) -> None:
    """Do a script's commands come first, then those of standard input, up to its end?"""
    program = str(compile_c(HERE / "calls.c", "-g", "-O0"))
    (tmp_path / "script").write_text("break main\ncontinue\n")
    done = ringlet("-x", str(tmp_path / "script"), program, stdin="next\nprint 6 * 7\n")
    assert done.returncode == 0
    assert "(ringlet) break main\nBreakpoint 1 at" in done.stdout
    assert "21\t\tprintf" in done.stdout
    assert done.stdout.endswith("42 (0x2a)\n(ringlet) \n")
    assert done.stderr == ""


def test_what_the_program_reads_comes_from_a_file(tmp_path: Path) -> None:
    """Is --stdin the program's input, and its output seen at the end?"""
    from tests.programs.debian import program

    (tmp_path / "input").write_text("hello\n")
    done = ringlet("--stdin", str(tmp_path / "input"), str(program("busybox")), "tr", "a-z", "A-Z",
                   stdin="c\n")
    assert "HELLO\nThe program has exited with status 0." in done.stdout


@pytest.mark.parametrize(("arguments", "status", "message"), [
    (["nowhere"], 127, "ringlet: /nowhere: No such file or directory\n"),
    (["--stdin", "nowhere", "x"], 125, "No such file or directory"),
    (["--sched", "nosuch", "x"], 125, "nosuch"), ([], 2, "usage: ringlet debug"),
])
def test_wrong_usage_is_an_error(arguments: list[str], status: int, message: str) -> None:
    """Does each say what is wrong, without a traceback?"""
    done = ringlet(*arguments)
    assert done.returncode == status
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_stops_the_guest_and_not_the_console() -> None:
    """While a program loops, does SIGINT give the prompt back, where it can be gone on with?"""
    busybox = str(ROOT / "build/debian/bin/busybox")
    with subprocess.Popen([sys.executable, "-m", "ringlet", "debug", busybox, "sh", "-c",
                           "while :; do :; done"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          cwd=ROOT, text=True) as console:
        assert console.stdin is not None
        assert console.stdout is not None
        console.stdin.write("c\n")
        console.stdin.flush()
        console.stdout.readline()  # where the program stands
        time.sleep(2)
        console.send_signal(signal.SIGINT)
        guard = threading.Timer(60, console.kill)
        guard.start()
        console.stdin.write("p 1 + 1\nquit\n")
        console.stdin.close()
        seen = console.stdout.read()
        guard.cancel()
    assert "Interrupted." in seen
    assert "2 (0x2)" in seen
    assert console.returncode == 0
