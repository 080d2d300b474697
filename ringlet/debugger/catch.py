"""The events at which a machine can be stopped, and where each is seen.

=============  ===========================================================  ====================
event          which                                                        seen at
=============  ===========================================================  ====================
``exception``  names (``#PF``) or numbers of vectors                        the IDT's handlers
``fault``      page faults                                                  the handler of #PF
``cow``        stores to a page that is shared until somebody stores to it  the handler of #PF
``syscall``    names of system calls; at their entry and at their return    the entry code
``fork``       fork, vfork, clone, clone3 that have made a task             their return
``exec``       programs that have taken the place of others                the hosted half
``exit``       a task that has ended and will not run again                 the switch away
``switch``     numbers of tasks; a context switch to one                    the switch
``signal``     names or numbers of signals, when one is taken               the kernel, both halves
``oops``       mistakes of the kernel's                                     the hosted half
=============  ===========================================================  ====================

The first two work on any machine, the others need the kernel.  Nothing is changed for it: no flag
is set in a task, no call takes another way.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from emulator.arch.exceptions import (
    FIRST_EXTERNAL_VECTOR,
    WITH_ERROR_CODE,
    PageFaultError,
    Vector,
)
from emulator.system import System
from guest_kernel.hostcalls import Tracer
from guest_kernel.layout.declare import PHYSICAL_MASK
from guest_kernel.layout.hostcall import HostCall
from guest_kernel.layout.mm_types import vm_data
from guest_kernel.layout.ptrace import pt_regs
from guest_kernel.layout.sched import task_struct
from guest_kernel.signal.numbers import signal_name, signal_number
from guest_kernel.syscall_table import load, number
from guest_kernel.view import View

if TYPE_CHECKING:
    from ringlet.debugger.running import Runner

Check = Callable[[int], str | None]

_ENTRY: Final = "entry_SYSCALL_64"
_RETURN: Final = "syscall_return"
_SWITCH: Final = "__switch_to_asm"
_TAKEN: Final = "deliver_registers"  # of a signal, whose number less 1 is in RBX
_FORKS: Final = frozenset({"fork", "vfork", "clone", "clone3", "ft_fork"})
_EXECS: Final = frozenset({number("execve"), number("execveat")})


def prepare(debugger: Runner, kind: str, what: Sequence[str]) -> tuple[set[int], Check]:
    """Return where an event is to be looked for, and the check that says whether it is there.

    Raises:
        LookupError: there is no such event; the message is a sentence.
    """
    if kind not in _KINDS:
        raise LookupError(f"There is no event {kind!r}; there are {', '.join(sorted(_KINDS))}.")
    if kind not in ("exception", "fault") and not isinstance(debugger.system, View):
        raise LookupError(f"This machine has no kernel that knows of a {kind}.")
    return _KINDS[kind](debugger, what)


def canonical(kind: str, what: Sequence[str]) -> tuple[str, ...]:
    """Return names as the events have them: of signals, whatever they were called by.

    Raises:
        LookupError: there is no such signal.
    """
    if kind != "signal":
        return tuple(what)
    numbers = [signal_number(name) for name in what]
    for name, number_ in zip(what, numbers, strict=True):
        if number_ is None:
            raise LookupError(f"There is no signal {name!r}.")
    return tuple(signal_name(number_) for number_ in numbers if number_ is not None)


def mapping_changes(system: System) -> frozenset[int]:
    """Return the addresses where a program may have got new code: an exec's or an mmap's return."""
    address = system.symbols.get(_RETURN)
    return frozenset() if address is None else frozenset({address})


def _exception(debugger: Runner, what: Sequence[str]) -> tuple[set[int], Check]:
    vectors = [_vector(name) for name in what] or list(range(FIRST_EXTERNAL_VECTOR))
    handlers = debugger.machine.cpu.idt_handlers()
    places: dict[int, int] = {}
    for vector in vectors:
        if handlers[vector]:
            places.setdefault(handlers[vector], vector)

    def check(rip: int) -> str | None:
        vector = places[rip]
        text = f"#{Vector(vector).name}" if vector in Vector._value2member_map_ else str(vector)
        return f"Exception {text} at {interrupted(debugger, vector):#x}"

    return set(places), check


def _vector(name: str) -> int:
    text = name.removeprefix("#").upper()
    if text in Vector.__members__:
        return int(Vector[text])
    if text.isdecimal() and int(text) < 256:
        return int(text)
    raise LookupError(f"There is no exception {name!r}.")


def interrupted(debugger: Runner, vector: int) -> int:
    """Return the RIP that the CPU has pushed for a handler which is about to begin."""
    frame = debugger.register("rsp")
    if vector in WITH_ERROR_CODE:
        frame += 8
    return int.from_bytes(debugger.read(frame, 8), "little")


def _fault(debugger: Runner, _what: Sequence[str]) -> tuple[set[int], Check]:
    places, _ = _exception(debugger, ["PF"])

    def check(_rip: int) -> str | None:
        va, error = page_fault(debugger)
        kind = "fetch" if error & PageFaultError.I else (
            "store" if error & PageFaultError.W else "load")
        why = "the rights forbid it" if error & PageFaultError.P else "nothing is mapped"
        ring = 3 if error & PageFaultError.U else 0
        return f"Page fault: a {kind} at {va:#x} from ring {ring}: {why}"

    return places, check


def page_fault(debugger: Runner) -> tuple[int, int]:
    """Return address and error code of the page fault whose handler is about to begin."""
    error = int.from_bytes(debugger.read(debugger.register("rsp"), 8), "little")
    return debugger.register("cr2"), error


def _cow(debugger: Runner, _what: Sequence[str]) -> tuple[set[int], Check]:
    places, _ = _exception(debugger, ["PF"])

    def check(_rip: int) -> str | None:
        va, error = page_fault(debugger)
        if not error & PageFaultError.W or not error & PageFaultError.P:
            return None
        area = debugger.area_at(va)
        if area is None or area.rights[1] != "w" or area.rights[3] != "p":
            return None
        return (f"Copy-on-write: a store at {va:#x}, in {area.name or 'memory'}, to the "
                f"shared frame {debugger.physical(va) & ~0xFFF:#x}")

    return places, check


def hosted_copies(debugger: Runner) -> Callable[[int], None]:
    """Return what is called behind each host call to tell of pages that it has copied itself.

    So a system call does that stores to a shared page: no exception tells of that.
    """
    assert isinstance(debugger.system, View)
    k = debugger.system.k

    def copied() -> int:
        counts = k.data(vm_data)
        return counts.cow_copied + counts.cow_zero

    before = copied()

    def called(number: int) -> None:
        nonlocal before
        pages, before = copied() - before, copied()
        if pages and number & 0xFF != HostCall.EXCEPTION:
            debugger.event("cow", "", f"Copy-on-write: the kernel has stored to {pages} shared "
                                      f"page{'s' * (pages > 1)} of task {debugger.pid}")

    return called


def _syscall(debugger: Runner, what: Sequence[str]) -> tuple[set[int], Check]:
    names = {row.number: row.name for row in load()}
    numbers = {name: number for number, name in names.items()}
    for name in what:
        if name not in numbers and not name.isdecimal():
            raise LookupError(f"There is no system call {name!r}.")
    wanted = {numbers[name] if name in numbers else int(name) for name in what}
    entry, leave = (debugger.system.symbols[name] for name in (_ENTRY, _RETURN))

    def check(rip: int) -> str | None:
        if rip == entry:
            nr = debugger.register("eax")
            if wanted and nr not in wanted:
                return None
            arguments = ", ".join(f"{debugger.register(name):#x}" for name in (
                "rdi", "rsi", "rdx", "r10", "r8", "r9"))
            return f"Call to {names.get(nr, nr)}({arguments})"
        nr, result = _returned(debugger)
        if wanted and nr not in wanted:
            return None
        return f"Return from {names.get(nr, nr)}: {result}"

    return {entry, leave}, check


def _returned(debugger: Runner) -> tuple[int, int]:
    """Return number and result of the call that is about to return."""
    assert isinstance(debugger.system, View)
    regs = pt_regs(debugger.system.k, debugger.register("rsp") & PHYSICAL_MASK)
    result = regs.ax
    return regs.orig_ax & 0xFFFF_FFFF, result - (1 << 64) if result >> 63 else result


def _fork(debugger: Runner, what: Sequence[str]) -> tuple[set[int], Check]:
    _takes_no_names(what)
    names = {row.number: row.name for row in load() if row.name in _FORKS}

    def check(_rip: int) -> str | None:
        nr, result = _returned(debugger)
        if nr not in names or result <= 0:
            return None
        return f"Task {debugger.pid} has made task {result} by {names[nr]}"

    return {debugger.system.symbols[_RETURN]}, check


def _takes_no_names(what: Sequence[str]) -> None:
    if what:
        raise LookupError("This event takes no names.")


def switched(debugger: Runner) -> tuple[task_struct, task_struct]:
    """Return from which task to which the CPU is about to be switched."""
    assert isinstance(debugger.system, View)
    k = debugger.system.k
    return (task_struct.at(k, debugger.register("rdi")),
            task_struct.at(k, debugger.register("rsi")))


def task_name(task: task_struct) -> str:
    """Return a task's number and name, for people."""
    return f"{task.pid} ({task.comm.decode('utf-8', 'replace')})"


def _exit(debugger: Runner, what: Sequence[str]) -> tuple[set[int], Check]:
    def check(_rip: int) -> str | None:
        task, _ = switched(debugger)
        if not task.exit_state or (what and str(task.pid) not in what):
            return None
        status = task.exit_code
        how = f"killed by {signal_name(status & 0x7F)}" if status & 0x7F else (
            f"exit status {status >> 8}")
        return f"Task {task_name(task)} has ended: {how}"

    return {debugger.system.symbols[_SWITCH]}, check


def _switch(debugger: Runner, what: Sequence[str]) -> tuple[set[int], Check]:
    def check(_rip: int) -> str | None:
        before, after = switched(debugger)
        if what and str(after.pid) not in what:
            return None
        return f"Switch from task {task_name(before)} to task {task_name(after)}"

    return {debugger.system.symbols[_SWITCH]}, check


def _signal(debugger: Runner, what: Sequence[str]) -> tuple[set[int], Check]:
    """A signal that the assembly takes; of one that the hosted half takes, the listener tells."""
    def check(_rip: int) -> str | None:
        name = signal_name(debugger.register("rbx") + 1)
        if what and name not in what:
            return None
        return f"Task {debugger.pid} takes {name}"

    return {debugger.system.symbols[_TAKEN]}, check


def _hosted(_debugger: Runner, what: Sequence[str]) -> tuple[set[int], Check]:
    """An event that the listener tells of, and that has no kinds."""
    _takes_no_names(what)
    return set(), lambda _: None


_KINDS: Final[dict[str, Callable[[Runner, Sequence[str]], tuple[set[int], Check]]]] = {
    "exception": _exception, "fault": _fault, "cow": _cow, "syscall": _syscall, "fork": _fork,
    "exec": _hosted, "exit": _exit, "switch": _switch, "signal": _signal, "oops": _hosted,
}


class Listener(Tracer):
    """Tells the debugger of what the hosted half does."""

    def __init__(self, debugger: Runner) -> None:
        self._debugger = debugger

    def leave(self, task: task_struct, nr: int, _regs: int, result: int) -> None:
        if nr in _EXECS and not result:
            self.attach(task)

    def attach(self, task: task_struct) -> None:
        self._debugger.event("exec", "", f"Task {task.pid} has become "
                                         f"{task.comm.decode('utf-8', 'replace')}")

    def signal(self, task: task_struct, info: bytes) -> None:
        name = signal_name(int.from_bytes(info[:4], "little"))
        self._debugger.event("signal", name, f"Task {task.pid} takes {name}")

    def oops(self, task: task_struct, error: BaseException) -> None:
        self._debugger.event("oops", "", f"Oops in task {task_name(task)}: "
                                         f"{type(error).__name__}: {error}")
