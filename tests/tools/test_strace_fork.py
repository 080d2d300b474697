"""``--strace`` of several processes, against ``strace -f``.

Who runs first is Linux's affair there and the scheduler's here, and at each look another process
may get in between.  What is compared is therefore each process's own lines: the two halves of a
call that was broken off joined, and processes named by who made whom: P, its children P1, P2, the
first child of the second P21.
"""

from __future__ import annotations

import difflib
import io
import re
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from guest_kernel.layout.sched import sched_data
from guest_kernel.lib.idr import idr_set_cursor
from ringlet.session import DEFAULT_ENV, Session
from ringlet.strace import Strace
from ringlet.testing import Guest
from tests.guest import ROOT, TIMEOUT, compile_c
from tests.tools.test_strace import normal, strace

__all__ = ["strace"]  # a fixture

LECTURE: Final = ROOT / "userland" / "c" / "fork.c"
LECTURE_TRACE: Final = Path(__file__).with_name("strace_fork.txt")  # from the fork on
SIGNALS: Final = Path(__file__).with_name("strace_signals.c")
FIRST_PID: Final = 20001  # larger than any other number, so that it is known where it is printed
TRIES: Final = 8  # Linux need not do what we do the first time


class Line(NamedTuple):
    """A line of a trace, without its prefix."""

    pid: int
    text: str


# ---- traces


def trace_in_guest(argv: Sequence[str], first_pid: int | None = None) -> str:
    """Return what ``ringlet run --strace`` writes."""
    out = io.StringIO()
    with Session(seed=1) as session:
        k = session.kernel.k
        if first_pid is not None:
            idr_set_cursor(k.data(sched_data).init_pid_ns.idr, first_pid)
        tracer = Strace(k, out)
        tracer.finish(session.run(argv, timeout=TIMEOUT, tracer=tracer))
    return out.getvalue()


def trace_natively(argv: Sequence[str]) -> str:
    """Return what ``strace -f`` writes to a terminal."""
    done = subprocess.run(["strace", "-f", *argv], stdin=subprocess.DEVNULL,
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, check=False,
                          env=DEFAULT_ENV | {"TZ": "UTC"}, cwd="/", timeout=TIMEOUT)
    return done.stderr.decode("latin-1")


_ATTACHED: Final = re.compile(r"^(.*)strace: Process (\d+) attached$")
_PREFIX: Final = re.compile(r"\[pid +(\d+)\] ")
_SUPERSEDED: Final = re.compile(r"\+\+\+ superseded by execve in pid (\d+) \+\+\+")
_RESUMED: Final = re.compile(r"<\.\.\. \w+ resumed>")
_UNFINISHED: Final = " <unfinished ...>"


def lines_of(trace: str, first_pid: int) -> Iterator[Line]:
    """Yield the lines; check that they say whose they are exactly when there is a choice.

    strace says that it has got a new process as soon as it has, in the middle of a line too.
    """
    alive, begun, several = [first_pid], "", False
    for physical in trace.splitlines():
        if not begun:
            several = len(alive) > 1
        attached = _ATTACHED.match(physical)
        if attached:
            begun += attached[1]
            alive.append(int(attached[2]))
            continue
        text, begun = begun + physical, ""
        prefix = _PREFIX.match(text)
        assert bool(prefix) == several, f"{alive}: {text}"
        pid = int(prefix[1]) if prefix else alive[0]
        text = text[prefix.end() :] if prefix else text
        assert pid in alive, f"{alive}: {pid} {text}"
        yield Line(pid, text)
        superseded = _SUPERSEDED.match(text)
        if superseded:
            alive.remove(int(superseded[1]))
        elif text.startswith("+++ "):
            alive.remove(pid)


def sequences(lines: Sequence[Line], first_pid: int) -> dict[str, list[str]]:
    """Return each process's own lines, by its name."""
    own: dict[int, list[str]] = {}
    for pid, text in lines:
        mine = own.setdefault(pid, [])
        resumed, superseded = _RESUMED.match(text), _SUPERSEDED.match(text)
        if resumed:
            assert mine[-1].endswith(_UNFINISHED), (mine[-1], text)
            mine[-1] = mine[-1].removesuffix(_UNFINISHED) + text[resumed.end() :]
            continue
        mine.append(text)
        if superseded:  # the thread that has made the call goes on as its leader
            mine.append(own[int(superseded[1])].pop())
    names = _names(own, first_pid)
    number = re.compile(rf"\b({'|'.join(map(str, names))})\b")
    return {
        names[pid]: [
            re.sub(r"si_([us])time=\d+( /\*.*?\*/)?", r"si_\1time=N",
                   number.sub(lambda found: names[int(found[0])], text))
            for text in normal(mine)]
        for pid, mine in own.items()}


def _names(own: dict[int, list[str]], first_pid: int) -> dict[int, str]:
    names, todo = {first_pid: "P"}, [first_pid]
    for pid in todo:
        made = [int(found[1]) for text in own.get(pid, ())
                if (found := re.match(r"(?:clone3?|v?fork)\(.*\) += (\d+)$", text))]
        names |= {child: f"{names[pid]}{n}" for n, child in enumerate(made, 1)}
        todo += made
    # A maker may be killed before it is told the number.
    return {pid: f"?{pid}" for pid in own} | names


def guest_sequences(argv: Sequence[str]) -> dict[str, list[str]]:
    trace = trace_in_guest(argv, FIRST_PID)
    return sequences(list(lines_of(trace, FIRST_PID)), FIRST_PID)


def native_sequences(argv: Sequence[str]) -> dict[str, list[str]]:
    trace = trace_natively(argv)
    # Only what it answers to set_tid_address tells the number of the first.
    found = re.search(r"^set_tid_address\(.*\) += (\d+)$", trace, re.MULTILINE)
    assert found, trace
    first = int(found[1])
    return sequences(list(lines_of(trace, first)), first)


# ---- the lecture


def test_the_lectures_fork_is_traced_line_by_line() -> None:
    """Is the fork example of the second lecture shown as the lecture shows it?"""
    trace = trace_in_guest([str(compile_c(LECTURE))])
    trace = re.sub(r"0x[0-9a-f]{5,}", "ADDR", trace[trace.index("clone(") :])
    assert trace == LECTURE_TRACE.read_text()


@pytest.mark.native
@pytest.mark.machine(panic_on_oops=True)
def test_the_lectures_fork_prints_what_it_prints_on_linux(guest: Guest) -> None:
    """Do parent and child print the same, in the same order?"""
    guest(compile_c(LECTURE))


@pytest.mark.native
@pytest.mark.usefixtures("strace")
def test_the_lectures_fork_is_traced_as_strace_does() -> None:
    """Does each of the two processes make strace's lines, with a prefix while there are two?"""
    argv = [str(compile_c(LECTURE))]
    assert_strace_does_so(argv, guest_sequences(argv), lambda own: [
        text for text in own if not text.startswith("newfstatat(1,")])  # of the console, /dev/null


# ---- signals, and ends


BEGINS_SLEEP: Final = "clock_nanosleep(CLOCK_REALTIME, 0, {tv_sec=N, tv_nsec=N}, "
SLEEP: Final = f"{BEGINS_SLEEP}NULL) = "
ROBUST: Final = "set_robust_list(ADDR, 24) = 0"
USR1: Final = "--- SIGUSR1 {si_signo=SIGUSR1, si_code=SI_USER, si_pid=P, si_uid=0} ---"
HANDLER: Final = ("rt_sigaction(SIGUSR1, {sa_handler=ADDR, sa_mask=[], "
                  "sa_flags=SA_RESTORER, sa_restorer=ADDR}, NULL, 8) = 0")
INTERRUPTED: Final = "read(3, ADDR, 1) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)"
MAKES_THREAD: Final = ("clone(child_stack=ADDR, flags=CLONE_VM|CLONE_FS|CLONE_FILES|CLONE_SIGHAND|"
                       "CLONE_THREAD|CLONE_SYSVSEM) = ")

CHILDREN: Final = {
    "P1": [
        ROBUST,
        f"{SLEEP}? ERESTART_RESTARTBLOCK (Interrupted by signal)",
        "--- SIGSTOP {si_signo=SIGSTOP, si_code=SI_USER, si_pid=P, si_uid=0} ---",
        "--- stopped by SIGSTOP ---",
        "--- SIGCONT {si_signo=SIGCONT, si_code=SI_USER, si_pid=P, si_uid=0} ---",
        "restart_syscall(<... resuming interrupted clock_nanosleep ...>) = 0",
        "exit_group(0) = ?",
        "+++ exited with 0 +++",
    ],
    "P2": [
        ROBUST,
        HANDLER.replace("SA_RESTORER", "SA_RESTORER|SA_RESTART"),
        INTERRUPTED,
        USR1,
        "rt_sigreturn({mask=[CHLD]}) = 0",
        'read(3, "x", 1) = 1',
        "exit_group(1) = ?",
        "+++ exited with 1 +++",
    ],
    "P3": [
        ROBUST,
        HANDLER,
        INTERRUPTED,
        USR1,
        "rt_sigreturn({mask=[CHLD]}) = -1 EINTR (Interrupted system call)",
        "exit_group(0) = ?",
        "+++ exited with 0 +++",
    ],
    "P4": [
        ROBUST,
        HANDLER,
        INTERRUPTED,
        "--- SIGTERM {si_signo=SIGTERM, si_code=SI_USER, si_pid=P, si_uid=0} ---",
        "+++ killed by SIGTERM +++",
    ],
    "P5": [
        ROBUST,
        HANDLER,
        "read(3,  <unfinished ...>) = ?",
        "+++ killed by SIGKILL +++",
    ],
    "P6": [
        ROBUST,
        "--- SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=0x8} ---",
        "+++ killed by SIGSEGV +++",
    ],
    "P7": [
        'execve("/none", NULL, NULL) = -1 ENOENT (No such file or directory)',
        "exit_group(3) = ?",
        "+++ exited with 3 +++",
    ],
    "P8": [  # its status is the one that its last thread has ended with
        ROBUST,
        f"{MAKES_THREAD}P81",
        "exit(2) = ?",
        "+++ exited with 4 +++",
    ],
    "P81": [
        f"{SLEEP}0",
        "exit(4) = ?",
        "+++ exited with 4 +++",
    ],
    "P101": [
        f"{SLEEP}0",
    ],
}
BEGINS_P10: Final = [
    ROBUST,
    f"{MAKES_THREAD}P101",
    f"{BEGINS_SLEEP} <unfinished ...>) = ?",
    "+++ superseded by execve in pid P101 +++",
    'execve("/proc/self/exe", ["again", "again"], ADDR /* N vars */) = 0',
]


def test_signals_and_ends_are_traced() -> None:
    """How are interrupted calls, signals, stops, ends and a thread that executes written?"""
    found = guest_sequences([str(compile_c(SIGNALS))])
    parent, executed = found.pop("P"), found.pop("P10")
    assert found == CHILDREN  # and not P9, which is CLONE_UNTRACED
    assert executed[: len(BEGINS_P10)] == BEGINS_P10
    assert executed[-2:] == ["exit_group(5) = ?", "+++ exited with 5 +++"]
    assert "vfork() = P7" in parent
    assert parent[-2:] == ["exit_group(0) = ?", "+++ exited with 0 +++"]
    ended = [text for text in parent if text.startswith("--- SIGCHLD")]
    assert len(ended) == 10
    assert ended[4] == ("--- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_KILLED, si_pid=P5, si_uid=0, "
                        "si_status=SIGKILL, si_utime=N, si_stime=N} ---")


@pytest.mark.native
@pytest.mark.usefixtures("strace")
def test_signals_and_ends_are_traced_as_strace_does() -> None:
    """Are the lines that we write for each process lines that strace writes for it?

    strace is asked again if a process has done something else: been signalled before it slept.
    """
    argv = [str(compile_c(SIGNALS))]
    assert_strace_does_so(argv, guest_sequences(argv), lambda own: own)


def assert_strace_does_so(argv: Sequence[str], wanted: dict[str, list[str]],
                          view: Callable[[list[str]], list[str]]) -> None:
    """Ask strace until each process has made its lines, seen through ``view``."""
    native: dict[str, list[str]] = {}
    for _ in range(TRIES):
        native = native_sequences(argv)
        wanted = {name: own for name, own in wanted.items()
                  if view(native.get(name, [])) != view(own)}
        if not wanted:
            return
    pytest.fail("\n".join(line for name, own in wanted.items() for line in difflib.unified_diff(
        view(native.get(name, [])), view(own), f"strace {name}", f"ringlet {name}", lineterm="",
        n=1)))


# Programs in which who runs first does not show, or hardly: see TRIES.
PROGRAMS: Final = ("clone_ignored_flags", "clone_vfork", "execve_from_thread",
                   "exit_group_threads", "exit_leader_first", "fork_lecture", "fork_return_values",
                   "vfork_exec_failure", "vfork_nested", "wait4_exit_status")


@pytest.mark.native
@pytest.mark.usefixtures("strace")
@pytest.mark.parametrize("name", PROGRAMS)
def test_processes_of_a_program_in_c_are_traced_as_strace_does(name: str) -> None:
    """Does each process make the lines, in whatever order, that strace shows of it?"""
    argv = [str(compile_c(ROOT / "tests" / "syscalls" / f"{name}.c"))]
    assert_strace_does_so(argv, guest_sequences(argv), distinct)


def distinct(own: list[str]) -> list[str]:
    """Return the lines, without those of waiting for one another in small steps."""
    return sorted({text for text in own if not text.startswith(
        ("clock_nanosleep(", "sched_yield(", "restart_syscall("))})
