"""What the console shows: each function reads the machine and returns text."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

from emulator.arch.paging import PTE, is_canonical
from emulator.arch.registers import RFLAGS
from emulator.cpu import mmu
from guest_kernel.layout.declare import Array, Chars, Embed, Struct
from guest_kernel.layout.page import kmem_cache, mm_data
from guest_kernel.layout.sched import sched_data
from guest_kernel.lib.list import list_for_each_entry
from guest_kernel.printk import dmesg as kernel_log
from guest_kernel.process.tasks import for_each_process_thread
from guest_kernel.view import View
from ringlet.debugger.core import Debugger
from ringlet.debugger.errors import DebuggerError
from ringlet.debugger.formats import formatted
from ringlet.debugger.frames import Frame
from ringlet.debugger.points import Breakpoint, Catchpoint, Point, Watchpoint
from ringlet.debugger.stop import Reason, Stop
from ringlet.debugger.values import Value

GENERAL: Final = ("rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rbp", "rsp", "r8", "r9", "r10", "r11",
                  "r12", "r13", "r14", "r15", "rip")
SEGMENTS: Final = ("cs", "ss", "ds", "es", "fs", "gs", "fs_base", "gs_base")
CONTROL: Final = ("cr0", "cr2", "cr3", "cr4", "cr8")
FLAGS: Final = tuple((name, bit) for name, bit in vars(RFLAGS).items()
                     if name.isupper() and name not in ("RESERVED1", "IOPL"))
LEVELS: Final = (("PML4E", 39), ("PDPTE", 30), ("PDE", 21), ("PTE", 12))
SIZES: Final = {"b": 1, "h": 2, "w": 4, "g": 8}
_CODE_LINES: Final = 6
_STACK_WORDS: Final = 4


def _view(d: Debugger) -> View:
    if not isinstance(d.system, View):
        raise DebuggerError("This machine has no kernel that we know.")
    return d.system


# Values


def stop(d: Debugger, what: Stop) -> str:
    """Say why the machine has stopped, and where."""
    lines = []
    numbers = ", ".join(str(point.number) for point in what.points)
    if what.reason is Reason.EXITED:
        output = what.result.output.decode("utf-8", "replace") if what.result else ""
        return "\n".join(filter(None, [output.rstrip("\n"), what.detail]))
    if what.reason in (Reason.HALTED, Reason.SHUTDOWN):
        return what.detail
    if what.reason is Reason.BREAKPOINT:
        lines.append(f"Breakpoint {numbers}")
    elif what.reason is Reason.WATCHPOINT:
        lines.append(f"Watchpoint {numbers}")
    elif what.reason is Reason.CATCHPOINT:
        lines.append(f"Catchpoint {numbers}")
    elif what.reason is Reason.INTERRUPT:
        lines.append("Interrupted.")
    elif what.reason is Reason.TIMEOUT:
        lines.append("The time is up.")
    lines += what.detail.splitlines()
    lines.append(place(d))
    return "\n".join(lines)


def place(d: Debugger) -> str:
    """Say where the next instruction is: function, line, source or instruction."""
    handler = d.handler_line()
    if handler is not None:
        name, file, number = handler
        return _at(f"{name} ()", file, number)
    here, symbol_ = d.line_at(d.rip), d.symbol_at(d.rip) or "??"
    if here is not None:
        name = symbol_.partition("+")[0]
        where = f"{name} ({_arguments(d, d.frames(limit=1)[0])})"
        return _at(where if d.rip == here.start else f"{d.rip:#x} in {where}", here.file, here.line)
    instruction = d.instruction(d.rip)
    code = f"\n=> {_instruction(d, instruction)}" if instruction is not None else ""
    return f"{d.rip:#x} in {symbol_} (){code}"


def _at(where: str, file: str, number: int) -> str:
    """Return a place in source, and below it the line, if it can be read."""
    text = _source(file, number)
    return f"{where} at {_short(file)}:{number}" + ("" if text is None else f"\n{number}\t{text}")


def point(what: Point) -> str:
    """Describe a point that has just been made."""
    kind = "Temporary breakpoint" if what.temporary else "Breakpoint"
    if isinstance(what, Breakpoint):
        if what.pending:
            return f"{kind} {what.number} ({what.spec}) pending: there is no such code yet."
        return f"{kind} {what.number} at {', '.join(map(hex, what.addresses))}"
    if isinstance(what, Watchpoint):
        return (f"Watchpoint {what.number}: {what.spec}, {what.size} bytes at {what.address:#x} "
                f"({what.access})")
    assert isinstance(what, Catchpoint)
    return f"Catchpoint {what.number} ({' '.join((what.kind, *what.what))})"


def printed(d: Debugger, value: Any, kind: str) -> str:
    """Show a value in a format of print's."""
    if isinstance(value, Value):
        return value.text(kind)
    if not isinstance(value, int) or isinstance(value, bool):
        return str(value)
    if kind == "a":
        return f"{value:#x} <{d.symbol_at(value) or '??'}>"
    return formatted(value, kind, 8) if kind else f"{value} ({value:#x})"


def structure(d: Debugger, what: Struct) -> str:
    """Show one of the kernel's structures, field by field."""
    return "\n".join([f"struct {type(what).__name__} at {what.va:#x}",
                      *_fields(d, what, 1)])


def _fields(d: Debugger, what: Struct, depth: int) -> Iterator[str]:
    indent = "  " * depth
    for name, field in type(what).fields.items():
        if isinstance(field, Embed):
            yield f"{indent}{name}:"
            yield from _fields(d, getattr(what, name), depth + 1)
            continue
        raw = d.system.k.ram.read(what.pa + field.offset, field.size) if (
            isinstance(d.system, View)) else b""
        if isinstance(field, Chars):
            yield f"{indent}{name} = {raw.split(bytes(1))[0].decode('utf-8', 'replace')!r}"
        elif field.size in (1, 2, 4, 8) and not isinstance(field, Array):
            value = int.from_bytes(raw, "little")
            kernel = d.symbol_at(value) if value >> 63 else None
            yield f"{indent}{name} = {value:#x}" + (f" <{kernel}>" if kernel else "")
        else:
            yield f"{indent}{name} = {raw[:16].hex(' ')}{' …' if field.size > 16 else ''}"


def continue_many(d: Debugger, count: int) -> Stop:
    """Continue, and pass the breakpoint that is reached first ``count - 1`` times."""
    for _ in range(count - 1):
        if d.continue_().reason not in (Reason.BREAKPOINT, Reason.WATCHPOINT, Reason.CATCHPOINT):
            return d.last
    return d.continue_()


# The CPU


def registers(d: Debugger, *names: str) -> str:
    """Show registers; all of them, without names."""
    if names:
        return "\n".join(f"{name.lstrip('$'):<8} {d.register(name.lstrip('$')):#x}"
                         for name in names)
    lines = [f"{name:<8} {d.register(name):#018x}  {_telescope(d, d.register(name))}".rstrip()
             for name in GENERAL]
    lines.append(f"{'rflags':<8} {d.register('rflags'):#x} [ {_flags(d)} ]")
    lines += [f"{name:<8} {d.register(name):#x}" for name in (*SEGMENTS, *CONTROL)]
    return "\n".join(lines)


def _flags(d: Debugger) -> str:
    value = d.register("rflags")
    return " ".join(name for name, bit in FLAGS if value & bit)


def _instruction(d: Debugger, insn: Any) -> str:
    """Return an instruction with the symbol that it goes to."""
    name = d.symbol_at(insn.address) or "??"
    text = f"{insn.address:#x} <{name}>: {insn.mnemonic} {insn.op_str}".rstrip()
    if insn.mnemonic.startswith(("j", "call", "loop")) and insn.op_str.startswith("0x"):
        target = d.symbol_at(int(insn.op_str, 16))
        text += f" <{target}>" if target else ""
    if insn.address == d.rip:
        text = "\n".join([text, *(f"   {line}" for line in d.operands(insn))])
    return text


def disassembly(d: Debugger, va: int | None = None) -> str:
    """Show instructions from an address on, or around RIP."""
    start = d.rip if va is None else va
    found = d.disassemble(start, 12)
    if not found:
        raise DebuggerError(f"There is no code at {start:#x}.")
    return "\n".join(("=> " if insn.address == d.rip else "   ") + _instruction(d, insn)
                     for insn in found)


def examine(d: Debugger, va: int, count: int, kind: str, size: str) -> str:
    """Show memory, as gdb's x does."""
    if kind == "i":
        return "\n".join(("=> " if insn.address == d.rip else "   ") + _instruction(d, insn)
                         for insn in d.disassemble(va, count))
    lines = []
    if kind == "s":
        for _ in range(count):
            text = d.read_string(va)
            lines.append(f"{_label(d, va)}\t{text.decode('utf-8', 'backslashreplace')!r}")
            va += len(text) + 1
        return "\n".join(lines)
    width = SIZES[size]
    row = {1: 8, 2: 8, 4: 4, 8: 2}[width]
    for start in range(0, count, row):
        at = va + start * width
        values = [int.from_bytes(d.read(at + n * width, width), "little")
                  for n in range(min(row, count - start))]
        lines.append("\t".join([_label(d, at), *(_number(d, value, kind, width)
                                                 for value in values)]))
    return "\n".join(lines)


def _label(d: Debugger, va: int) -> str:
    name = d.symbol_at(va)
    return f"{va:#x} <{name}>:" if name else f"{va:#x}:"


def _number(d: Debugger, value: int, kind: str, width: int) -> str:
    if kind in ("x", "s", "i"):
        return f"{value:#0{2 * width + 2}x}"
    if kind == "t":
        return f"{value:0{8 * width}b}"
    if kind == "a":
        return f"{value:#x} <{d.symbol_at(value) or '??'}>"
    return formatted(value, kind, width)


# Code and calls


def _short(path: str) -> str:
    """Return a path as people call it: from the working directory, if it is below that."""
    relative = os.path.relpath(path)
    return path if relative.startswith("..") else relative


@lru_cache(maxsize=64)
def _lines_of(path: str) -> tuple[str, ...]:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return tuple(file.read().split("\n"))
    except OSError:
        return ()


def _source(path: str, line: int) -> str | None:
    lines = _lines_of(path)
    return lines[line - 1] if 0 < line <= len(lines) else None


def listing(d: Debugger, spec: str = "") -> str:
    """Show ten lines of source around a location, or around where we are."""
    if spec:
        places = d.resolve(spec)
        if not places:
            raise DebuggerError(f"There is no code at {spec}.")
        here = d.line_at(next(iter(places)))
        path, number = (here.file, here.line) if here is not None else ("", 0)
    else:
        handler = d.handler_line()
        f = d.frame()
        path, number = handler[1:] if handler is not None else (f.file, f.line)
    lines = _lines_of(path) if path else ()
    if not lines:
        raise DebuggerError("There is no source here." if not path
                            else f"{_short(path)} cannot be read.")
    first = max(1, number - 5)
    return "\n".join(f"{n}\t{lines[n - 1]}" for n in range(first, min(first + 10, len(lines) + 1)))


def backtrace(d: Debugger, *, limit: int = 64, pid: int | None = None) -> str:
    """Show the calls of the running task, or of one that sleeps."""
    try:
        found = d.frames(pid, limit)
    except LookupError as error:
        raise DebuggerError(f"{error.args[0]}.".replace("no task", "There is no task")) from None
    return "\n".join(f"#{number:<2} {frame(d, f, pid)}" for number, f in enumerate(found))


def frame(d: Debugger, what: Frame | None = None, pid: int | None = None) -> str:
    """Show one frame, of a task's; the selected one, if none is given."""
    f = what or d.frame()
    name = f.name.partition("+")[0] or "??"
    where = f" at {_short(f.file)}:{f.line}" if f.file else ""
    if f.kind == "handler":
        return f"{name} (){where}"
    if f.kind == "signal":
        return "<signal handler called>"
    mark = "? " if f.kind == "guess" else ""
    shown = f.name if not f.file and f.name else name
    return f"{f.rip:#018x} in {mark}{shown} ({_arguments(d, f, pid)}){where}"


def _arguments(d: Debugger, f: Frame, pid: int | None = None) -> str:
    return ", ".join(f"{name}={value}" for name, value in d.arguments(f, pid))


def select(d: Debugger, number: int) -> str:
    """Let expressions be about another frame, and show it."""
    f = d.select(number)
    text = _source(f.file, f.line)
    return f"#{number:<2} {frame(d, f)}" + ("" if text is None else f"\n{f.line}\t{text}")


def variables(d: Debugger, *, arguments: bool = False) -> str:
    """List the selected frame's variables, or its arguments, with their values."""
    found = [(v.name, value) for v, value in d.variables() if v.is_parameter == arguments]
    if not found:
        return "No arguments." if arguments else "No locals."
    return "\n".join(f"{name} = {'<optimized out>' if value is None else value.text(inside=True)}"
                     for name, value in found)


def type_of(d: Debugger, value: Any, *, whole: bool = False) -> str:
    """Show a value's type; ``whole`` with its fields."""
    if not isinstance(value, Value):
        raise DebuggerError("Only a variable of the program's has a type here.")
    return value.type.definition() if whole else str(value.type)


def line(d: Debugger) -> str:
    """Say which line of source the next instruction belongs to."""
    found = d.line_at(d.rip)
    if found is None:
        return f"No line information is available for address {d.rip:#x} <{d.symbol_at(d.rip)}>."
    return (f"Line {found.line} of {_short(found.file)!r} starts at {found.start:#x} and ends at "
            f"{found.end:#x}.")


def symbol(d: Debugger, va: int) -> str:
    """Say which symbol an address belongs to."""
    name = d.symbol_at(va)
    return f"{name} is at {va:#x}" if name else f"No symbol matches {va:#x}."


def modules(d: Debugger) -> str:
    """List the ELF files that the running task has mapped."""
    return "\n".join(f"{m.start:#018x}  {m.end:#018x}  {m.name}" for m in d.modules()) or (
        "The running task has mapped no ELF file.")


def breakpoints(d: Debugger) -> str:
    """List breakpoints, watchpoints and catchpoints."""
    if not d.points:
        return "No breakpoints or watchpoints."
    lines = ["Num  Type        Disp  Enb  Hits  What"]
    for p in d.points.values():
        kind = type(p).__name__.lower()
        if isinstance(p, Breakpoint):
            what = p.spec if p.pending else f"{p.spec} at {', '.join(map(hex, p.addresses))}"
            what += " (pending)" if p.pending else ""
        elif isinstance(p, Watchpoint):
            what = f"{p.spec}, {p.size} bytes at {p.address:#x} ({p.access})"
        else:
            assert isinstance(p, Catchpoint)
            what = " ".join((p.kind, *p.what))
        what += f" if {p.condition}" if p.condition else ""
        what += f" task {p.pid}" if p.pid is not None and isinstance(p, Breakpoint) else ""
        lines.append(f"{p.number:<4} {kind:<11} {'del' if p.temporary else 'keep':<5} "
                     f"{'y' if p.enabled else 'n':<4} {p.hits:<5} {what}")
    return "\n".join(lines)


# Memory


def vmmap(d: Debugger, pid: int | None = None) -> str:
    """Show a task's mappings, as /proc/pid/maps does."""
    try:
        areas = d.system.areas(d.pid if pid is None else pid)
    except LookupError as error:
        raise DebuggerError(f"There is {error.args[0]}.") from None
    return "\n".join(f"{a.start:012x}-{a.end:012x} {a.rights} {a.offset:08x} {a.name}".rstrip()
                     for a in areas) or "It has no memory of its own."


def pagewalk(d: Debugger, va: int) -> str:
    """Show each level of the translation of an address, and what the whole of it allows."""
    return "\n".join(walk(d, va))


def walk(d: Debugger, va: int) -> Iterator[str]:
    """Yield a line for each level of the translation of an address, and what comes of it."""
    cr3 = d.register("cr3")
    yield f"{va:#x}: CR3 = {cr3:#x}"
    if not is_canonical(va):
        yield "  Not canonical: bits 63 to 47 differ, so any access is #GP, or #SS by the stack."
        return
    writable = user = executable = True
    size = 0
    for step, (name, shift) in zip(mmu.steps(d.machine.ram, cr3, va), LEVELS, strict=False):
        entry, size = step.entry, 1 << shift
        if step.entry_pa >= d.machine.ram.size:
            yield f"  {name} lies outside of RAM: {step.entry_pa:#x}"
            return
        yield (f"  {name:<5} [{step.entry_pa >> 3 & 511:>3}] at {step.entry_pa:#010x} = "
               f"{entry:#018x}  {bits(entry)}")
        if not entry & PTE.P:
            yield "  Not present: any access is a page fault with P = 0."
            return
        writable &= bool(entry & PTE.RW)
        user &= bool(entry & PTE.US)
        executable &= not entry & PTE.NX
    try:
        pa = d.physical(va)
    except DebuggerError:
        yield "  A reserved bit is set: any access is a page fault with RSVD = 1."
        return
    rights = "r" + ("w" if writable else "-") + ("x" if executable else "-")
    yield (f"  Physical address {pa:#x}, page of {size >> 10} KiB; together the levels "
           f"allow {rights} to {'ring 3' if user else 'ring 0 only'}.")


def bits(entry: int) -> str:
    """Return the bits of a page-table entry by name; those that are 0 in small letters."""
    names = [("P", PTE.P), ("RW", PTE.RW), ("US", PTE.US), ("A", PTE.A), ("D", PTE.D),
             ("PS", PTE.PS), ("G", PTE.G), ("NX", PTE.NX)]
    return " ".join(name if entry & bit else name.lower() for name, bit in names)


# The kernel


def ps(d: Debugger) -> str:
    """List the tasks."""
    lines = ["    PID   TGID   PPID  STATE                      NAME"]
    lines += [f"{'*' if t.pid == d.pid else ' '}{t.pid:>6} {t.tgid:>6} {t.ppid:>6}  {t.state:<26} "
              f"{t.comm}" for t in d.system.tasks()]
    return "\n".join(lines)


def pstree(d: Debugger) -> str:
    """Show the tasks under their parents."""
    tasks = list(d.system.tasks())
    lines: list[str] = []

    def add(parent: int, depth: int) -> None:
        for task_ in tasks:
            if task_.ppid == parent and task_.pid == task_.tgid:
                lines.append(f"{'  ' * depth}{task_.comm} ({task_.pid})")
                add(task_.pid, depth + 1)

    add(0, 0)
    return "\n".join(lines)


def task(d: Debugger, pid: int | None = None) -> str:
    """Show a task: what it is, whose child, and where it is."""
    view = _view(d)
    number = d.pid if pid is None else pid
    try:
        t = view.task(number)
    except LookupError as error:
        raise DebuggerError(f"There is {error.args[0]}.") from None
    info = next((i for i in view.tasks() if i.pid == number), None)
    lines = [f"task_struct at {t.va:#x}", f"  pid {t.pid}, tgid {t.tgid}, name "
             f"{t.comm.decode('utf-8', 'replace')}"]
    if info is not None:
        lines.append(f"  state {info.state}, parent {info.ppid}")
    lines += [f"  prio {t.prio}, static_prio {t.static_prio}, on_rq {t.on_rq}, flags "
              f"{t.flags:#x}",
              f"  kernel stack at {t.stack:#x}, thread.sp {t.thread.sp:#x}",
              f"  utime {t.utime} ns, stime {t.stime} ns, min_flt {t.min_flt}"]
    lines.append(f"  mm at {t.mm.va:#x}" if t.mm is not None else "  no mm: a kernel thread")
    return "\n".join(lines)


def rq(d: Debugger) -> str:
    """Show who is runnable."""
    k = _view(d).k
    queue = k.data(sched_data).runqueues
    lines = [f"{queue.nr_running} runnable, {queue.nr_switches} switches, quantum "
             f"{queue.quantum} ns"]
    for t in for_each_process_thread(k):
        if t.on_rq:
            name = t.comm.decode(errors="replace")
            lines.append(f"{'*' if t.pid == d.pid else ' '}{t.pid:>6} {name:<16}"
                         f" prio {t.prio:>3}  vruntime {t.se.vruntime:>14}  deadline "
                         f"{t.se.deadline:>14}")
    return "\n".join(lines)


def slab(d: Debugger) -> str:
    """List the slab caches."""
    k = _view(d).k
    lines = ["NAME                  OBJECT   SLABS  PARTIAL"]
    for cache in list_for_each_entry(k.data(mm_data).slab_caches, kmem_cache, "list"):
        lines.append(f"{cache.name.decode(errors='replace'):<21} {cache.object_size:>6}  "
                     f"{cache.nr_slabs:>6}  {cache.nr_partial:>7}")
    return "\n".join(lines)


def frames(d: Debugger) -> str:
    """Show what the RAM's frames are used for."""
    data = _view(d).k.data(mm_data)
    free = data.nr_free_pages + data.pcp.count
    return "\n".join([
        f"{data.max_pfn:>9} frames of RAM", f"{data.totalram_pages:>9} for the allocator",
        f"{free:>9} free", f"{data.nr_slab_pages:>9} in slabs",
        f"{data.peak_used_pages:>9} in use at most"])


def dmesg(d: Debugger) -> str:
    """Show the kernel's log."""
    return kernel_log(_view(d).k).rstrip("\n")


def proc(d: Debugger, *what: str) -> str:
    """Show the running process, and with ``mappings`` its memory."""
    if what and not "mappings".startswith(what[0]):
        raise DebuggerError(f"There is no info proc {what[0]}; there is mappings.")
    lines = [f"process {d.pid}"]
    lines += [f"name = {t.comm!r}, parent = {t.ppid}, state = {t.state}"
              for t in d.system.tasks() if t.pid == d.pid]
    return "\n".join(lines + ([vmmap(d)] if what else []))


# The panel


def context(d: Debugger) -> str:
    """Show registers (those that have changed since the last stop with ``*``), code, and calls."""
    lines = [_title("registers")]
    changed = d.changed_registers(GENERAL)
    for start in range(0, len(GENERAL), 3):
        lines.append(" ".join(f"{name:>3} {d.register(name):#018x}{'*' if name in changed else ' '}"
                              for name in GENERAL[start : start + 3]).rstrip())
    lines.append(f"rflags {_flags(d)}   ring {d.ring}   clock {d.machine.clock:,}")
    lines.append(_title("code"))
    lines += [("=> " if insn.address == d.rip else "   ") + _instruction(d, insn)
              for insn in d.disassemble(d.rip, _CODE_LINES)]
    lines.append(_title("stack"))
    rsp = d.register("rsp")
    for n in range(_STACK_WORDS):
        try:
            word = int.from_bytes(d.read(rsp + 8 * n, 8), "little")
        except DebuggerError:
            break
        lines.append(f"{rsp + 8 * n:#018x}  {word:#018x}  {_telescope(d, word)}".rstrip())
    lines.append(_title("task and calls"))
    lines += [f"task {t.pid} ({t.comm}), {t.state}" for t in d.system.tasks() if t.pid == d.pid]
    lines += [f"#{n:<2} {frame(d, f)}" for n, f in enumerate(d.frames(limit=5))]
    return "\n".join(lines)


def _title(text: str) -> str:
    return f"── {text} ".ljust(72, "─")


def _telescope(d: Debugger, value: int) -> str:
    """Say what a value points to: a symbol, a string, or another value."""
    name = d.symbol_at(value) if value > 0xFFFF else None
    if name:
        return f"<{name}>"
    try:
        data = d.read(value, 8)
    except DebuggerError:
        return ""
    text = data.split(b"\0")[0]
    if len(text) >= 3 and all(0x20 <= byte < 0x7F for byte in text):
        return f"-> {d.read_string(value).decode()!r}"
    return f"-> {int.from_bytes(data, 'little'):#x}"
