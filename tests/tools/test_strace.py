"""``--strace`` against strace(1): golden lines, every call's arguments, whole programs.

strace 6.1 is the authority.  Two ways lead to its answer for a single call: lines that it has
written are kept in ``strace_golden``, and where it is installed it is asked again: a program of a
few instructions makes the calls, and strace injects what they return, so that nothing happens and
no line depends on the host.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import io
import itertools
import os
import pkgutil
import re
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import guest_kernel
from emulator import assembler, elf
from guest_kernel.hostcalls import Tracer
from guest_kernel.layout.ptrace import pt_regs
from guest_kernel.layout.sched import PF_FORKNOEXEC
from guest_kernel.syscall_table import load
from ringlet.session import DEFAULT_ENV, Session
from ringlet.strace import Strace
from ringlet.strace.call import Call
from ringlet.strace.names import TABLES
from ringlet.strace.table import _ARGUMENTS, signatures, unknown
from ringlet.strace.tracer import COLUMN
from tests.guest import ROOT, TIMEOUT, compile_c
from tests.tools.strace_golden import GOLDEN, B, Row, words
from userland.assembler import assemble_program

PAGE = 4096
NUMBERS = {row.name: row.number for row in load()}
VERSION = "6.1"


# ---- a call's line, without a kernel


class Arena:
    """Memory that holds ``data`` at ``B`` and nothing else."""

    def __init__(self, data: bytes) -> None:
        self.data = data.ljust(max(PAGE, -(-len(data) // PAGE) * PAGE), b"\0")

    def read(self, va: int, size: int) -> bytes | None:
        at = va - B
        if not size:
            return b""
        return self.data[at : at + size] if 0 <= at <= len(self.data) - size else None

    def string(self, va: int, limit: int) -> tuple[bytes, bool] | None:
        at = va - B
        if not 0 <= at < len(self.data):
            return None
        text, end, _ = self.data[at : at + limit].partition(b"\0")
        return (text, bool(end)) if end or len(text) == limit else None


SIGNATURES = signatures()


def line(row: Row) -> str:
    """Return the line that we write for a call."""
    number = NUMBERS[row.call[0]] if isinstance(row.call[0], str) else row.call[0]
    registers = [int(value) & (1 << 64) - 1 for value in row.call[1:]]
    name, known = SIGNATURES.get(number) or unknown(number)
    call = Call(Arena(row.memory), tuple(registers + [0] * (6 - len(registers))))
    signature = known.of(call)
    text = f"{name}({signature.begin(call)}"
    call.ended, call.result = True, row.result
    return f"{text}{signature.end(call)}) ".ljust(COLUMN) + f"= {signature.result(call)}"


@pytest.mark.parametrize("row", GOLDEN,
                         ids=[f"{i}-{row.call[0]}" for i, row in enumerate(GOLDEN)])
def test_golden_line(row: Row) -> None:
    """Is each kind of argument and result written as strace writes it?"""
    assert line(row) == row.line


def test_every_row_of_the_table_has_as_many_arguments_as_strace_shows() -> None:
    """Is each call of syscalls.tbl decoded, or known by the number of its arguments?"""
    raw = {name for names in _ARGUMENTS.values() for name in names.split()}
    ours = {"get_pid_info", "ft_kill", "ft_wait", "ft_fork", "uretprobe"}
    six = {name for name, signature in SIGNATURES.values()
           if signature is unknown(-1)[1] and name not in raw}
    assert six == ours


# ---- strace itself


def strace_version() -> str:
    path = shutil.which("strace")
    if path is None:
        return ""
    banner = subprocess.run([path, "-V"], capture_output=True, text=True, check=True).stdout
    return banner.split()[3]


@cache
def why_not_strace() -> str:
    """Return why strace cannot be asked, or nothing."""
    version = strace_version()
    if not version:
        return "not here: strace is not installed"
    if version != VERSION:
        return f"not here: strace is version {version}, and the lines are those of {VERSION}"
    done = subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, text=True,
                          check=False)
    return f"not here: ptrace: {done.stderr.strip()}" if done.returncode else ""


@pytest.fixture
def strace() -> None:
    reason = why_not_strace()
    if reason:
        pytest.skip(reason)


# Far from the addresses that are tried.
TEXT, TABLE = 0x55_5555_5000, 0x66_6666_6000
PROBE = f"""
    mov rbx, {TABLE}
    mov rbp, [rbx]
    add rbx, 8
next:
    mov rax, [rbx]
    mov rdi, [rbx + 8]
    mov rsi, [rbx + 16]
    mov rdx, [rbx + 24]
    mov r10, [rbx + 32]
    mov r8, [rbx + 40]
    mov r9, [rbx + 48]
    syscall
    add rbx, 56
    dec rbp
    jnz next
    ud2
"""


def probe(calls: Sequence[Sequence[int]], memory: bytes) -> bytes:
    """Return a program that makes the calls, with ``memory`` at ``B``."""
    code, _ = assembler.assemble(PROBE, TEXT, {})
    table = struct.pack("<Q", len(calls)) + b"".join(
        words(*[*call, *[0] * (7 - len(call))]) for call in calls)
    arena = Arena(memory).data
    sections = [
        elf.Section(".text", TEXT, TEXT, bytes(code), len(code), elf.PF_R | elf.PF_X),
        elf.Section(".arena", B, B, arena, len(arena), elf.PF_R | elf.PF_W),
        elf.Section(".table", TABLE, TABLE, table, len(table), elf.PF_R | elf.PF_W),
    ]
    return elf.write(sections, TEXT, {}, {})


def ask_strace(calls: Sequence[Sequence[int]], memory: bytes, result: int,
               directory: Path) -> list[str]:
    """Return strace's line for each call; all return ``result``, and none is really made."""
    program, trace = directory / "probe", directory / "trace"
    program.write_bytes(probe(calls, memory))
    program.chmod(0o755)
    how = f"retval={result}" if result >= 0 else f"error={-result}"
    subprocess.run(["strace", "-e", f"inject=all:{how}", "-o", trace, program],
                   env={**os.environ, "TZ": "UTC", "LC_ALL": "C"}, check=False,
                   stderr=subprocess.DEVNULL)
    lines = trace.read_text(encoding="latin-1").splitlines()
    assert len(lines) == len(calls) + 3, lines[-3:]  # execve, the two lines of its death
    return [text.removesuffix(" (INJECTED)") for text in lines[1:-2]]


@pytest.mark.native
@pytest.mark.usefixtures("strace")
def test_golden_lines_are_straces_own(tmp_path: Path) -> None:
    """Does strace write today what the table says that it has written?"""
    for row in GOLDEN:
        call = [NUMBERS[row.call[0]] if isinstance(row.call[0], str) else row.call[0],
                *map(int, row.call[1:])]
        assert ask_strace([call], row.memory, row.result, tmp_path) == [row.line]


# Small numbers, so that whatever structure is seen in them is a likely one; strings; an iovec or
# argv; and pointers whose object runs into the end of the arena.
ARENA = b"".join([
    words(1, 2, 3, 0, 5, 6, 7, 8).ljust(512, b"\0"),
    b"a name\0\n\t\1".ljust(64, b"\0") + (b"x" * 200).ljust(448, b"\0"),
    words(B + 512, 3, B + 576, 40, B, 8, 0, 0).ljust(1024, b"\0"),
]).ljust(PAGE - 24, b"\0") + words(1, 2, 3)
POINTERS = (B, B + 512, B + 576, B + 1024, B + 2048, B + PAGE - 24, B + PAGE - 4, B + PAGE)
VALUES = (0, 1, 2, 3, 4, 5, 7, 8, 9, 10, 16, 31, 64, 65, 1023, 4096, -1, -2, -100, *POINTERS, 6,
          *(1 << bit for bit in range(34)), (1 << 32) - 1, 0o20000, 0o60000, 0x7FFF_FFFF)
# What the other arguments are while one goes through VALUES.
BASES = ((3, B, B + 512, B + 1024, B + 2048, B), (B + 512, B, 8, B, 8, B), (0, 0, 0, 0, 0, 0))

# Calls whose lines are not compared, and why.
NOT_SWEPT = {
    "rt_sigreturn",  # decodes the stack
    "restart_syscall",  # names the call before it
    "ioctl",  # only the requests of terminals and files in general are decoded: below
    "prctl",  # the options of other architectures are not decoded: below
    "arch_prctl",  # ARCH_GET_XCOMP_SUPP and its like are not decoded: below
}
# Lines that differ on purpose.
DELIBERATE = (
    # strace reads more of the mask than the kernel has, and gives up near the end of a page.
    lambda ours, theirs: ours.startswith("rt_sigaction(") and hex(B + PAGE - 24)[2:] in theirs,
    # What follows a structure that is larger than ours is not shown.
    lambda ours, theirs: ours.startswith(("openat2(", "clone3(")) and (
        "???}" in theirs or "/* bytes " in theirs),
    # Wait statuses with ptrace's events.
    lambda ours, theirs: ours.startswith("wait4(") and "PTRACE_EVENT_" in theirs,
    # strace's own slip: "[0]]]".
    lambda ours, theirs: "]]" in theirs and theirs.replace("]]]", "]").replace("]]", "]") == ours,
    # strace has room for 1,024 bytes of what poll has found.
    lambda ours, theirs: ours.startswith(("poll(", "ppoll(")) and len(ours) > 1400,
    # The kernel never returns more than the buffer holds.
    lambda ours, theirs: ours.startswith("getdents"),
)


def sweep() -> Iterator[list[int]]:
    """Yield each decoded call with each value in each of its arguments."""
    raw = {name for names in _ARGUMENTS.values() for name in names.split()}
    for number, (name, _) in SIGNATURES.items():
        if name in raw or name in NOT_SWEPT or number > 450 or number in (333, 335, 343, 353, 363):
            continue
        for base, index in itertools.product(BASES, range(6)):
            for value in VALUES:
                yield [number, *base[:index], value, *base[index + 1 :]]


def options() -> Iterator[list[int]]:
    """Yield the options of prctl, arch_prctl and ioctl that are decoded."""
    for value in (64, 65, 128, 129, -1):
        yield [NUMBERS["prctl"], 1, value]
    for option in (*range(1, 5), *range(7, 17), 19, 20, 21, 23, 24, 29, 30, 31, 32, *range(36, 43)):
        for value in (0, 1, 2, 9, B, B + 576, B + PAGE - 4, B + PAGE):
            yield [NUMBERS["prctl"], option, value, 1, 0, B]
    for option in (0x1000, 0x1001, 0x1002, 0x1003, 0x1004, 0x1011, 0x1012, 0x2003):
        for value in (0, 1, B, B + PAGE - 4):
            yield [NUMBERS["arch_prctl"], option, value]
    for request in (*range(0x5401, 0x5405), *range(0x5409, 0x5412), 0x5413, 0x5414, 0x541B,
                    *range(0x5420, 0x542A), 0x802C542A, 0x402C542B, 0x80045430, 0x5450, 0x5451,
                    0x5452, 0xDEADBEEF, 0x5480):
        for value in (0, 1, B, B + 512, B + 576, B + PAGE - 24, B + PAGE - 4):
            if request != 0x5412:
                yield [NUMBERS["ioctl"], 0, request, value]


@pytest.mark.native
@pytest.mark.usefixtures("strace")
@pytest.mark.parametrize("result", [0, 2, 5, -22, -512])
def test_arguments_as_strace_writes_them(result: int, tmp_path: Path) -> None:
    """Is every call, with every value of every argument, written as strace writes it?"""
    # strace takes a call in a signal frame for one that ended: no frame is made here.
    calls = list(options() if result else itertools.chain(options(), sweep()))
    if result:
        calls += itertools.islice(sweep(), result % 7, None, 7)
    different = []
    for call, theirs in zip(calls, ask_strace(calls, ARENA, result, tmp_path), strict=True):
        ours = line(Row(tuple(call), ARENA, result, ""))
        if ours != theirs and not any(known(ours, theirs) for known in DELIBERATE):
            different.append(f"strace: {theirs}\nours:   {ours}")
    assert not different, f"{len(different)} of {len(calls)}\n" + "\n".join(different[:40])


# ---- names


def kernel_constants() -> dict[str, set[int]]:
    """Return every number that a module of the guest kernel gives a name in capitals."""
    found: dict[str, set[int]] = {}
    for module in pkgutil.walk_packages(guest_kernel.__path__, "guest_kernel."):
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, int) and name.lstrip("_").isupper():
                found.setdefault(name, set()).add(int(value))
    return found


def test_names_have_the_kernels_values() -> None:
    """Does a constant that the kernel has too have one value?"""
    kernel = kernel_constants()
    wrong = {name: (value, kernel[name]) for table in TABLES for name, value in table.items()
             if any((other ^ value) & 0xFFFF_FFFF for other in kernel.get(name, ()))}
    assert not wrong


HEADERS = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/futex.h>
#include <linux/magic.h>
#include <linux/membarrier.h>
#include <linux/memfd.h>
#include <linux/openat2.h>
#include <linux/prctl.h>
#include <linux/random.h>
#include <linux/seccomp.h>
#include <asm/prctl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
struct termios2 { char bytes[44]; };  // its header and <termios.h> exclude each other
"""


@pytest.mark.native
def test_names_have_the_headers_values(tmp_path: Path) -> None:
    """Does a constant that is a macro of Linux's headers have its value?"""
    if not shutil.which("gcc"):
        pytest.skip("not here: no gcc")
    values = {name: value for table in TABLES for name, value in table.items()}
    source = tmp_path / "names.c"
    source.write_text(HEADERS + "int main(void) {\n" + "".join(
        f"#ifdef {name}\n"
        f'printf("{name} %llu\\n", (unsigned long long)({name}) & 0xffffffff);\n'
        "#endif\n" for name in values) + "}\n")
    program = tmp_path / "names"
    subprocess.run(["gcc", "-w", "-o", program, source], check=True)
    # glibc's own idea of these: O_LARGEFILE and the 64-bit locks are always on.
    known = {"O_LARGEFILE", "__O_TMPFILE", "F_GETLK64", "F_SETLK64", "F_SETLKW64"}
    printed = subprocess.run([program], capture_output=True, text=True, check=True).stdout
    headers = dict(text.split() for text in printed.splitlines())
    assert len(headers) > 300
    assert not {name: (values[name], value) for name, value in headers.items()
                if values[name] & 0xFFFF_FFFF != int(value) and name not in known}


# ---- the tracer


class Machine:
    """As much of a kernel as a tracer looks at: registers of one call at a time."""

    def __init__(self) -> None:
        self.u64 = [0] * (pt_regs.size // 8 + 1)  # the last: thread_info.flags of every task
        self.out = io.StringIO()
        self.strace = Strace(self, self.out)  # type: ignore[arg-type]  # a stand-in

    def task(self, pid: int) -> Any:
        task = SimpleNamespace(pid=pid, tgid=pid, va=pid << 12, pa=pt_regs.size, mm=None, k=self,
                               flags=PF_FORKNOEXEC, thread_info=SimpleNamespace(syscall_work=0))
        self.strace.attach(task)  # type: ignore[arg-type]  # a stand-in
        return task

    def enter(self, task: Any, name: str, *arguments: int) -> None:
        for register, value in zip(("di", "si", "dx", "r10", "r8", "r9"), arguments, strict=False):
            self.u64[pt_regs.offsetof(register) // 8] = value
        self.strace.enter(task, NUMBERS[name], 0)

    def leave(self, task: Any, name: str, result: int) -> None:
        self.strace.leave(task, NUMBERS[name], 0, result)

    def finish(self, status: int, signal: int = 0) -> str:
        self.strace.finish(SimpleNamespace(status=status, signal=signal))  # type: ignore[arg-type]
        return self.out.getvalue()


def test_line_is_begun_when_the_call_begins() -> None:
    """Is a call that has not returned seen, with the arguments that are known?"""
    machine = Machine()
    task = machine.task(7)
    machine.enter(task, "read", 0, 0x1000, 10)
    assert machine.out.getvalue() == "read(0, "
    machine.leave(task, "read", -11)
    assert machine.out.getvalue() == (
        "read(0, 0x1000, 10)                     = -1 EAGAIN (Resource temporarily unavailable)\n")


def test_exit_does_not_return() -> None:
    """How does a program end that leaves by exit_group?"""
    machine = Machine()
    machine.enter(machine.task(7), "exit_group", 3)
    assert machine.finish(3) == ("exit_group(3)                           = ?\n"
                                 "+++ exited with 3 +++\n")


def test_death_in_a_call() -> None:
    """How does a program end that a signal kills while it waits?"""
    machine = Machine()
    machine.enter(machine.task(7), "read", 3, 0x1000, 9)
    assert machine.finish(137, 9) == ("read(3,  <unfinished ...>)              = ?\n"
                                      "+++ killed by SIGKILL +++\n")


def test_death_outside_a_call() -> None:
    """How does a program end that a fault kills, and what comes before it?"""
    machine = Machine()
    task = machine.task(7)
    info = struct.pack("<iiiiQ", 11, 0, 1, 0, 0x1234)
    machine.strace.signal(task, info)
    machine.strace.exit(task, 11 | 0x80)
    assert machine.finish(139, 11) == (
        "--- SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=0x1234} ---\n"
        "+++ killed by SIGSEGV (core dumped) +++\n")


def test_program_that_is_given_up() -> None:
    """How does the trace end if the run does and the program does not?"""
    machine = Machine()
    machine.enter(machine.task(7), "pause")
    assert machine.finish(124) == "pause( <detached ...>\n"


def test_two_tasks_take_turns() -> None:
    """Is a line broken off and taken up again when another task comes in between?"""
    machine = Machine()
    parent, child = machine.task(5), machine.task(6)
    machine.enter(parent, "read", 3, 0x1000, 1)
    machine.enter(child, "write", 4, 0, 1)
    machine.leave(parent, "read", -4)
    machine.leave(child, "write", 1)
    machine.enter(child, "exit_group", 3)
    machine.strace.exit(child, 3 << 8)
    machine.enter(parent, "exit_group", 0)
    assert machine.finish(0) == (
        "[pid     5] read(3,  <unfinished ...>\n"
        "[pid     6] write(4, NULL, 1 <unfinished ...>\n"
        "[pid     5] <... read resumed>0x1000, 1) = -1 EINTR (Interrupted system call)\n"
        "[pid     6] <... write resumed>)        = 1\n"
        "[pid     6] exit_group(3)               = ?\n"
        "[pid     6] +++ exited with 3 +++\n"
        "exit_group(0)                           = ?\n"
        "+++ exited with 0 +++\n")


# ---- programs in the guest


def trace_in_guest(argv: Sequence[str], stdin: bytes = b"") -> list[str]:
    """Return the lines of a program's trace."""
    out = io.StringIO()
    with Session(seed=1) as session:
        strace = Strace(session.kernel.k, out)
        strace.finish(session.run(argv, stdin=stdin, timeout=TIMEOUT, tracer=strace))
    return out.getvalue().splitlines()


def trace_natively(argv: Sequence[str], directory: Path) -> list[str]:
    trace = directory / "native"
    subprocess.run(["strace", "-o", trace, *argv], stdin=subprocess.DEVNULL,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
                   env=DEFAULT_ENV | {"TZ": "UTC"}, cwd="/", timeout=TIMEOUT)
    return trace.read_text(encoding="latin-1").splitlines()


# What differs between two hosts, or between Linux and the guest, and is not the trace's affair.
NORMAL = [(re.compile(pattern), replacement) for pattern, replacement in (
    # Addresses of stack, heap and mappings; and so the width of a line.
    (r"0x[0-9a-f]{5,}", "ADDR"),
    (r" +(= [^=]*)$", r" \1"),
    # strace needs TZ, so the native program has one variable more.
    (r"/\* [34] vars \*/", "/* N vars */"),
    # Process numbers, also in the names of scratch directories and thus in their lengths.
    (r"^((?:set_tid_address|getpid|gettid|getppid|getpgrp)\(.*\)) = \d+", r"\1 = PID"),
    (r"^(getpgid|getsid)\(\d+\) = \d+", r"\1(PID) = PID"),
    (r"^(prlimit64|sched_\w+|get_robust_list)\((?!0[,)])\d+", r"\1(PID"),
    (r"^([gs]etpriority\(PRIO_(?:PROCESS|PGRP)), (?!0[,)])\d+", r"\1, PID"),
    (r"^(t?kill|rt_sigqueueinfo)\((?!0,)\d+, ", r"\1(PID, "),
    (r"^(tgkill|rt_tgsigqueueinfo)\((?!0,)\d+, (?!0,)\d+, ", r"\1(PID, TID, "),
    (r"^setuid\(\d{5,}\)", "setuid(ID)"),
    (r"^getuid\(\) = \d{5,}", "getuid() = ID"),
    (r"\bsi_uid=\d{5,}", "si_uid=ID"),
    (r"(/tmp/\w+)\.\d+", r"\1.PID"),
    (r"^(getcwd\(\"/tmp.*\)) = \d+", r"\1 = N"),
    # Time.
    (r"tv_(n?u?sec)=\d+", r"tv_\1=N"),
    (r"^(times?\(.*\)) = .*", r"\1 = N"),
    (r"^time\(\[.*\]\)", "time([N])"),
    (r"sigev_notify_thread_id=[1-9]\d*", "sigev_notify_thread_id=TID"),
    # Random numbers.
    (r'^getrandom\("[^"]*"', 'getrandom("RANDOM"'),
    # The host: its name, memory, processors, limits.
    (r"nodename=\"[^\"]*\"", 'nodename="NAME"'),
    (r"^sysinfo\(.*\)", "sysinfo()"),
    (r"^(sched_getaffinity\(\w+, \d+), \[[\d ]*\]\) = \d+", r"\1, [CPUS]) = N"),
    (r"^getcpu\(\[\d+\]", "getcpu([CPU]"),
    (r"^(sched_setaffinity\(-?\w+, \d+), \[[\d .]*\]", r"\1, [CPUS]"),
    (r"^(sched_getattr\(.*sched_runtime)=\d+", r"\1=N"),
    (r"^(getpriority\(PRIO_USER, 0\)) = \d+", r"\1 = N"),
    (r"(RLIMIT_(?:NPROC|NOFILE|SIGPENDING|MEMLOCK).*)rlim_cur=[^,]*, rlim_max=[^}]*",
     r"\1rlim_cur=N, rlim_max=N"),
    # Numbers and keys of sets of semaphores, what other sets there are, and limits.
    (r"^(semop|semctl|semtimedop)\((?!-1,)\d+,", r"\1(ID,"),
    (r"^(semget\(.*\)) = \d+", r"\1 = ID"),
    (r"^(semctl\(.*(?:SEM_STAT|SEM_STAT_ANY|_INFO), .*\)) = \d+", r"\1 = N"),
    (r"^(semctl\(.*_INFO, )\{.*\}", r"\1{}"),
    (r"^(semctl\(.*GETPID, .*\)) = [1-9]\d*", r"\1 = PID"),
    (r"\bkey=\d{5,}", "key=KEY"),
    (r"sem_([oc])time=\d{5,}", r"sem_\1time=N"),
    # File systems differ in the size and order of directories and in what statx(2) knows.
    (r"(S_IFDIR\S*) (stx?)_size=\d+", r"\1 \2_size=N"),
    (r"^(getdents64\(.*\)) = \d+", r"\1 = N"),
    (r"stx_mask=[A-Z_|]*", "stx_mask=MASK"),
    # Behind an array that is said to be longer than it is lies whatever lies there.
    (r"(^poll\(\[(?:\{[^}]*\}, ){3}).*(\], \d{4,})", r"\1...\2"),
    # Arguments that syscall(2) was not given are what was in the registers.
    (r"^syscall_\w+\(.*\)", "syscall()"),
)]


def normal(lines: Sequence[str]) -> list[str]:
    """Return the lines without what may differ."""
    out = []
    for text in lines:
        for pattern, replacement in NORMAL:
            text = pattern.sub(replacement, text)
        out.append(text.replace(" (core dumped)", ""))
    return out


def assert_same_trace(argv: Sequence[str], directory: Path) -> None:
    # Of one process it does not matter which number it has; test_strace_fork.py needs the numbers.
    native, guest = ([re.sub(r"\bsi_pid=[1-9]\d*", "si_pid=PID", text) for text in normal(trace)]
                     for trace in (trace_natively(argv, directory), trace_in_guest(argv)))
    if native != guest:
        pytest.fail("\n".join(list(difflib.unified_diff(
            native, guest, "strace", "ringlet", lineterm="", n=1))[:60]))


def is_compared(source: Path) -> bool:
    """Tell whether a program has one trace only.

    It is one process: Linux runs several in no fixed order, and strace follows only one.  Its calls
    do not depend on when a signal comes, nor on sizes of what Linux has more of.
    """
    text = source.read_text()
    several = re.search(
        r'"(?:process|terminal).h"|\b(fork|spawn\w*|start\w*|pthread_create)\(|SYS_clone', text)
    return (not several and ('"timer.h"' not in text or source.stem in TIMERS)
            and source.stem not in ("proc_maps", "vdso_mremap"))


TIMERS = ("clock_settime_errors", "setitimer", "timer_create", "timer_settime")
SYSCALLS = sorted(filter(is_compared, (ROOT / "tests" / "syscalls").glob("*.c")))


@pytest.mark.native
@pytest.mark.usefixtures("strace")
@pytest.mark.parametrize("source", SYSCALLS, ids=lambda path: path.stem)
def test_trace_of_a_program_in_c_is_straces(source: Path, tmp_path: Path) -> None:
    """Is the trace of a program of glibc's, line by line, what strace makes of it on Linux?"""
    assert_same_trace([str(compile_c(source))], tmp_path)


@pytest.mark.native
@pytest.mark.usefixtures("strace")
@pytest.mark.parametrize("name", ["hello", "exit42", "sieve", "rings", "fault_loop"])
def test_trace_of_a_program_in_assembly_is_straces(name: str, tmp_path: Path) -> None:
    """The same for programs without a library, whose data nobody has touched before the call."""
    program = tmp_path / name
    program.write_bytes(assemble_program(ROOT / "userland" / "asm" / f"{name}.asm"))
    program.chmod(0o755)
    assert_same_trace([str(program)], tmp_path)


HOOKED = hasattr(Tracer, "attach")


@pytest.mark.skipif(not HOOKED, reason="the kernel does not call Tracer.attach yet")
def test_calls_that_assembly_answers_are_seen(tmp_path: Path) -> None:
    """Does getpid show, which does not leave the guest when nobody traces?"""
    program = tmp_path / "loop"
    program.write_bytes(assemble_program(ROOT / "userland" / "asm" / "getpid_loop.asm"))
    program.chmod(0o755)
    lines = trace_in_guest([str(program), "3"])
    assert [text.partition("(")[0] for text in lines[:4]] == ["execve", *["getpid"] * 3]


class Watched(Tracer):
    """A tracer that looks for what the tracer inside it changes."""

    def __init__(self, session: Session, inner: Strace) -> None:
        self.ram, self.inner, self.calls = session.machine.ram.u8, inner, 0
        self.attached = False

    def _digest(self) -> bytes:
        return hashlib.blake2b(self.ram).digest()

    def attach(self, task: Any) -> None:
        self.attached = True
        self.inner.attach(task)

    def enter(self, task: Any, nr: int, regs: int) -> None:
        if not self.attached:
            self.attach(task)
        before = self._digest()
        self.inner.enter(task, nr, regs)
        self.calls += 1
        assert self._digest() == before

    def leave(self, task: Any, nr: int, regs: int, result: int) -> None:
        before = self._digest()
        self.inner.leave(task, nr, regs, result)
        assert self._digest() == before


@pytest.mark.machine(mem=16 << 20)
def test_looking_changes_nothing(session: Session) -> None:
    """Is not one byte of RAM changed by writing a call's line, its page tables included?"""
    program = compile_c(ROOT / "tests" / "syscalls" / "writev.c")
    out = io.StringIO()
    watched = Watched(session, Strace(session.kernel.k, out))
    result = session.run([str(program)], timeout=TIMEOUT, tracer=watched)
    assert result.status == 0
    assert watched.calls > 50
    assert 'iov_base="' in out.getvalue()


def test_pages_that_nobody_has_touched_are_read() -> None:
    """Is a string shown that lies in a page which only the kernel will ever touch?"""
    lines = trace_in_guest([str(compile_c(ROOT / "tests" / "syscalls" / "mincore.c"))])
    assert not [text for text in lines if re.match(r"write\(1, 0x", text)]


def test_traced_runs_are_equal() -> None:
    """Is the trace the same every time, and the program's output what it is without one?"""
    program = str(compile_c(ROOT / "tests" / "syscalls" / "openat.c"))
    assert trace_in_guest([program]) == trace_in_guest([program])


def test_tracing_is_loaded_only_for_a_trace() -> None:
    """Does a run without --strace do without its tables?"""
    script = ("import sys, ringlet.run; "
              "sys.exit(any(name.startswith('ringlet.strace') for name in sys.modules))")
    assert subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=False).returncode == 0
