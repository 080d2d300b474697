"""Frames: who has called whom, in the program, in the kernel's assembly, and in the hosted half.

A program's frames come from its ``.eh_frame``, and where that says nothing, from the chain of frame
pointers.  The kernel's assembly has neither, so what looks like a return address on the stack is
shown as a guess, as Linux marks it: ``?``.  Below the kernel's frames come those of the program
that entered it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, NamedTuple

from guest_kernel.layout.ptrace import pt_regs
from guest_kernel.layout.sigframe import sigcontext_64, ucontext
from ringlet.debugger.errors import DebuggerError

if TYPE_CHECKING:
    from ringlet.debugger.inspector import Inspector
    from ringlet.debugger.target import Target

# DWARF's numbers of the registers: System V ABI, AMD64 supplement, "DWARF Register Number Mapping".
DWARF: Final = ("rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11",
                "r12", "r13", "r14", "r15", "rip")
_RIP: Final = DWARF.index("rip")
_MOST: Final = 256  # frames


class Frame(NamedTuple):
    """One function's activation.

    Attributes:
        rip: where it goes on.
        cfa: its canonical frame address: RSP at the call, before the return address was pushed; 0
            if it is not known.
        name: ``symbol+offset``, or nothing.
        file, line: of the source; empty and 0 if that is not known.
        kind: ``user``, ``kernel``, ``guess``, ``handler``, or ``signal``: what the kernel has put
            between a signal's handler and what it interrupted.
        registers: of a program's frame; RIP is inside of the call.
    """

    rip: int
    cfa: int
    name: str
    file: str = ""
    line: int = 0
    kind: str = "user"
    registers: Mapping[str, int] = MappingProxyType({})


def unwind(debugger: Inspector, pid: int | None) -> Iterator[Frame]:
    """Yield the frames of a task; of the running one, from the CPU's registers on."""
    if pid is not None and pid != debugger.pid:
        yield from _sleeping(debugger, pid)
        return
    handler = debugger.handler_line()
    if handler is not None:
        name, file, line = handler
        yield Frame(0, 0, name, file, line, "handler")
    registers = {name: debugger.register(name) for name in DWARF}
    if debugger.ring == 3 or not debugger.system.symbols:
        yield from _user(debugger, registers, None)
        return
    yield _frame(debugger, registers["rip"], registers["rsp"], "kernel", None)
    yield from _kernel(debugger, registers["rsp"], debugger.pid)


def _sleeping(debugger: Target, pid: int) -> Iterator[Frame]:
    registers = debugger.system.kernel_registers(pid)
    yield _frame(debugger, registers["rip"], registers["rsp"], "kernel", pid)
    yield from _kernel(debugger, registers["rsp"], pid)


def _kernel(debugger: Target, rsp: int, pid: int) -> Iterator[Frame]:
    """Yield the guesses on a kernel stack from ``rsp`` on, and then the program's frames."""
    system = debugger.system
    stack = system.stack(pid)
    try:
        user = system.user_registers(pid)
    except LookupError:
        user = {}
    end = stack.stop - pt_regs.size if user else stack.stop
    if rsp in stack:
        for place in range(rsp, end, 8):
            word = int.from_bytes(debugger.read(place, 8), "little")
            if system.is_text(word) and _behind_call(debugger, word):
                yield _frame(debugger, word, place + 8, "guess", pid)
    if user and user["cs"] & 3:
        yield from _user(debugger, user, pid)


def _behind_call(debugger: Target, va: int) -> bool:
    """Tell whether a call ends at an address: direct, or through memory or a register."""
    code = debugger.read(va - 7, 7)
    return code[2] == 0xE8 or any(code[-n] == 0xFF and code[1 - n] >> 3 & 7 == 2
                                  for n in (2, 3, 4, 6, 7))


def _user(debugger: Target, registers: dict[str, int], pid: int | None) -> Iterator[Frame]:
    """Yield a program's frames."""
    modules = debugger.modules(pid)
    before = -1
    interrupted = True  # RIP is where this frame is, and not where a call returns to
    for _ in range(_MOST):
        rip = registers["rip"]
        if _is_sigreturn(debugger, rip, pid):
            yield Frame(rip, 0, "", kind="signal")
            registers = _signal_frame(debugger, registers["rsp"], pid)
            interrupted, before = True, -1
            continue
        # A return address may lie behind the function, if the call was its last instruction.
        inside = rip if interrupted else rip - 1
        interrupted = False
        module = next((m for m in modules if m.start <= inside < m.end), None)
        rule = None if module is None else module.image.rule(inside - module.bias)
        caller: dict[str, int] | None = None
        cfa = 0
        try:
            if rule is not None:
                cfa = registers[DWARF[rule.register]] + rule.offset
                caller = dict(registers)
                for number, offset in rule.saved.items():
                    if number < len(DWARF):
                        caller[DWARF[number]] = _word(debugger, cfa + offset, pid)
                caller["rsp"] = cfa
                if _RIP not in rule.saved:
                    caller = None  # the outermost function says that it has no caller
            else:
                cfa = registers["rbp"] + 16
                caller = {**registers, "rbp": _word(debugger, cfa - 16, pid),
                          "rip": _word(debugger, cfa - 8, pid), "rsp": cfa}
        except LookupError:
            caller = None
        yield _frame(debugger, rip, cfa, "user", pid, inside)._replace(
            registers={**registers, "rip": inside})
        if caller is None or cfa <= before or not caller["rip"]:
            return
        if rule is None and not any(m.start <= caller["rip"] < m.end for m in modules):
            return  # RBP was something else
        before, registers = cfa, caller


# mov rax, __NR_rt_sigreturn; syscall
_SIGRETURN: Final = b"\x48\xc7\xc0\x0f\x00\x00\x00\x0f\x05"


def _is_sigreturn(debugger: Target, rip: int, pid: int | None) -> bool:
    """Tell whether code is what a signal's handler returns to, as gdb does."""
    try:
        return debugger.read(rip, len(_SIGRETURN), pid) == _SIGRETURN
    except DebuggerError:
        return False


def _signal_frame(debugger: Target, rsp: int, pid: int | None) -> dict[str, int]:
    """Return the registers of what was interrupted, from the ucontext at RSP."""
    place = rsp + ucontext.offsetof("uc_mcontext")
    names = {("r" + name if name[0] != "r" and name in ("di", "si", "bp", "bx", "dx", "ax", "cx",
                                                       "sp", "ip") else name): name
             for name in sigcontext_64.fields}
    return {wide: _word(debugger, place + sigcontext_64.offsetof(name), pid)
            for wide, name in names.items() if wide in DWARF}


def _word(debugger: Target, va: int, pid: int | None) -> int:
    try:
        return int.from_bytes(debugger.read(va, 8, pid), "little")
    except DebuggerError as error:
        raise LookupError(str(error)) from None


def _frame(debugger: Target, rip: int, cfa: int, kind: str, pid: int | None,
           inside: int | None = None) -> Frame:
    at = rip if inside is None else inside
    name = debugger.symbol_at(at, pid) or ""
    if name and at != rip:
        base, _, offset = name.partition("+")
        name = f"{base}+{int(offset or 0) + rip - at}"
    line = debugger.line_at(at, pid)
    return Frame(rip, cfa, name, line.file if line else "", line.line if line else 0, kind)
