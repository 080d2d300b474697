"""The debugger's core: breakpoints, steps, frames and memory of one machine.

The verbs are gdb's.  Each runs the machine and returns a :class:`Stop`.  A user's step passes over
what the kernel does meanwhile: an interrupt, a page fault, other tasks; ``stepi`` at a SYSCALL, or
at a faulting instruction, goes into the kernel, and from there to the hosted handler.
"""

from __future__ import annotations

import contextlib
import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from emulator.arch.exceptions import CpuException
from emulator.cpu import mmu
from emulator.cpu.binding import REGISTERS
from emulator.cpu.control import Exit
from emulator.cpu.stops import Watch
from emulator.machine import Machine
from emulator.system import BareSystem, System
from guest_kernel.view import View
from ringlet.debugger import catch
from ringlet.debugger.errors import DebuggerError
from ringlet.debugger.expressions import PARTS, check, value_of
from ringlet.debugger.frames import DWARF, Frame, unwind
from ringlet.debugger.points import Access, Breakpoint, Catchpoint, Point, Watchpoint
from ringlet.debugger.stop import Reason, Stop
from ringlet.debugger.symbols import Line, Module, Symbol, SymbolTable, image, offset_from

if TYPE_CHECKING:
    from emulator.snapshot import Snapshot
    from ringlet.session import Session

_WORD: Final = 8
_M64: Final = (1 << 64) - 1


class Debugger:
    """A debugger of one machine.

    Args:
        subject: a session, or a bare machine.
        system: what runs on a bare machine, if anything is known of it.

    Attributes:
        machine: it.
        system: its kernel.
        points: breakpoints, watchpoints and catchpoints, by number.
        last: the last stop.
    """

    def __init__(self, subject: Session | Machine, system: System | None = None) -> None:
        self.session: Session | None = None
        if isinstance(subject, Machine):
            self.machine = subject
            self.system: System = system or BareSystem(subject)
        else:
            self.session, self.machine = subject, subject.machine
            self.system = View(subject.kernel)
            subject.kernel.tracer = catch.Listener(self)
        self.points: dict[int, Point] = {}
        self._numbers = 0
        self._kernel_table: SymbolTable | None = None
        self._events: list[tuple[str, str, str]] = []  # kind, name, line for people
        # The registers at the last stop, and at the one before.
        self._now: dict[str, int] = {}
        self._before: dict[str, int] = {}
        self.last = self._stop(Reason.STEP)

    # Where we are

    @property
    def rip(self) -> int:
        """The next instruction's address."""
        return self.machine.cpu.rip

    @property
    def pid(self) -> int:
        """The running task's number."""
        return self.system.current()

    @property
    def ring(self) -> int:
        """The privilege level."""
        return self.machine.cpu.cpl

    def register(self, name: str) -> int:
        """Return a register of the CPU's.

        Raises:
            DebuggerError: there is none of that name.
        """
        wide, size = PARTS.get(name, (name, 8))
        if wide not in REGISTERS:
            raise DebuggerError(f"There is no register {name}.")
        return self.machine.cpu.read_register(wide) & (1 << 8 * size) - 1

    def set_register(self, name: str, value: int) -> None:
        """Set a register of the CPU's, whole.

        Raises:
            DebuggerError: there is none of that name.
        """
        wide = PARTS.get(name, (name, _WORD))
        if wide[0] not in REGISTERS or wide[1] != _WORD:
            raise DebuggerError(f"There is no register {name} that can be set.")
        self.machine.cpu.write_register(wide[0], value & _M64)

    def restore(self, snapshot: Snapshot) -> Stop:
        """Go back to a snapshot; points stay as they are.

        Raises:
            SnapshotError: it is none of this machine's.
        """
        if self.session is None:
            self.machine.restore(snapshot)
        else:
            self.session.restore(snapshot)
            self.system = View(self.session.kernel)
            self.session.go_on()
        for point in self.points.values():
            if isinstance(point, Watchpoint):
                point.old = self._value(point)
        self.machine.cpu.stops.passed = self.machine.clock, self.rip
        return self._stopped(self._stop(Reason.STEP))

    def read(self, va: int, size: int, pid: int | None = None) -> bytes:
        """Return memory as a task sees it; without a task, as the CPU does now.

        Raises:
            DebuggerError: some of it is not mapped.
        """
        try:
            if pid is None:
                return self.machine.cpu.read_linear(va & _M64, size)
            return mmu.read_linear(self.machine.ram, self.system.page_table(pid), va & _M64, size,
                                   set_ad=False)
        except (CpuException, IndexError):
            raise DebuggerError(f"Cannot access memory at address {va & _M64:#x}.") from None

    def write(self, va: int, data: bytes) -> None:
        """Store to memory as the CPU sees it now, whatever its rights.

        Raises:
            DebuggerError: some of it is not mapped; nothing is stored.
        """
        self.read(va, len(data))
        for at, byte in enumerate(data):
            self.machine.write_code(self.physical(va + at), bytes((byte,)))

    def physical(self, va: int, pid: int | None = None) -> int:
        """Return the physical address of a byte.

        Raises:
            DebuggerError: it is not mapped.
        """
        table = self.machine.cpu.regs.cr3 if pid is None else self.system.page_table(pid)
        if pid is None and not self.machine.cpu.regs.cr0 >> 31 & 1:
            return va
        try:
            return mmu.translate(self.machine.ram, table, va & _M64, mmu.Access.READ, user=False,
                                 set_ad=False)
        except CpuException:
            raise DebuggerError(f"Cannot access memory at address {va & _M64:#x}.") from None

    # Names

    def modules(self, pid: int | None = None) -> list[Module]:
        """Return the ELF files that a task has mapped, in order of address."""
        found: dict[int, list[Any]] = {}
        for area in self.system.areas(self.pid if pid is None else pid):
            if area.file:
                found.setdefault(area.file, []).append(area)
        modules = []
        for file, areas in found.items():
            try:
                elf = image(self.system.content(file))
            except ValueError:
                continue
            modules.append(Module(areas[0].name, elf, _bias(elf, areas), areas[0].start,
                                  areas[-1].end))
        return sorted(modules, key=lambda module: module.start)

    def module_at(self, va: int, pid: int | None = None) -> Module | None:
        """Return the mapped file that an address of a task's belongs to."""
        for module in self.modules(pid):
            if module.start <= va < module.end:
                return module
        return None

    def symbol_at(self, va: int, pid: int | None = None) -> str | None:
        """Return ``name+offset`` of an address, or None."""
        if self._is_kernel(va):
            symbol = self._kernel_symbols().at(va)
            return None if symbol is None else offset_from(symbol, va)
        module = self.module_at(va, pid)
        return None if module is None else module.symbol(va)

    def line_at(self, va: int, pid: int | None = None) -> Line | None:
        """Return the line of source of an address, or None."""
        module = None if self._is_kernel(va) else self.module_at(va, pid)
        return None if module is None else module.line(va)

    def _is_kernel(self, va: int) -> bool:
        return va >= 1 << 63 or self.system.is_text(va) or not self.system.areas(self.pid)

    def _kernel_symbols(self) -> SymbolTable:
        if self._kernel_table is None:
            self._kernel_table = SymbolTable([
                Symbol(address, 0, name) for name, address in self.system.symbols.items()])
        return self._kernel_table

    def resolve(self, spec: str) -> dict[int, str]:
        """Return where a location is: addresses, each with the file that must be mapped there.

        Args:
            spec: ``*address`` (an expression), ``file:line``, a line of the current file, or a
                symbol of the program, of its libraries or of the kernel.  What is a function with
                lines is taken behind its prologue.

        Returns:
            Nothing, if there is no such code yet.

        Raises:
            DebuggerError: it can be no location.
        """
        spec = spec.strip()
        if spec.startswith("*"):
            return {self.evaluate(spec[1:]): ""}
        file, colon, number = spec.rpartition(":")
        if not colon and spec.isdecimal():
            line = self.line_at(self.rip)
            if line is None:
                raise DebuggerError("There is no line information here.")
            file, colon, number = line.file, ":", spec
        if colon and number.isdecimal():
            return {address + module.bias: module.name for module in self._candidates()
                    for address in module.image.code_of(file, int(number))}
        if not spec:
            raise DebuggerError("A location is a symbol, file:line, or *address.")
        for module in self._candidates():
            address = module.image.table.by_name.get(spec)
            if address is not None:
                return {module.image.after_prologue(address) + module.bias: module.name}
        if spec in self.system.symbols:
            return {self.system.symbols[spec]: ""}
        return {}

    def _candidates(self) -> list[Module]:
        """Return the modules of the running task, or of the program that is about to begin."""
        found = self.modules()
        if not found and self.session is not None and self.session.program_content:
            try:
                elf = image(self.session.program_content)
            except ValueError:
                return []
            if not elf.relocatable:
                return [Module(self.session.program, elf, 0, 0, _M64)]
        return found

    # Expressions

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression: see :mod:`ringlet.debugger.expressions`.

        Raises:
            DebuggerError: it has none.
        """
        return value_of(self, expression)

    # Points

    def _add(self, point: Point) -> Any:
        self.points[point.number] = point
        return point

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def break_(self, spec: str, *, temporary: bool = False, condition: str | None = None,
               ignore: int = 0, pid: int | None = None) -> Breakpoint:
        """Set a breakpoint; if there is no such code yet, it waits until there is.

        Args:
            spec: see :meth:`resolve`.
            temporary, condition, ignore, pid: see :class:`Point`.

        Raises:
            DebuggerError: ``spec`` or ``condition`` makes no sense.
        """
        check(condition)
        addresses = self.resolve(spec)
        point: Breakpoint = self._add(Breakpoint(
            self._number(), spec=spec, addresses=addresses, temporary=temporary,
            condition=condition, ignore=ignore, pid=pid))
        return point

    def watch(self, spec: str, size: int | None = None, *, access: Access = "write",
              condition: str | None = None) -> Watchpoint:
        """Watch a range of memory, in the running task's address space or the kernel's.

        Args:
            spec: an expression that gives its address; or a field of a task's structure, such as
                ``task(4).__state`` or ``current.se.vruntime``.
            size: bytes; None: 8, or the field's.
            access: ``write`` stops when the value changes, ``read`` and ``access`` at each.

        Raises:
            DebuggerError: the expression has no value.
        """
        check(condition)
        address, natural = self._field(spec) or (self.evaluate(spec), _WORD)
        size = natural if size is None else size
        if not isinstance(address, int) or size < 1:
            raise DebuggerError(f"{spec} is no range of memory.")
        address &= _M64
        point: Watchpoint = self._add(Watchpoint(
            self._number(), spec=spec, address=address, size=size, access=access,
            condition=condition, pid=None if address >> 63 else self.pid or None))
        point.old = self._value(point)
        return point

    def _field(self, spec: str) -> tuple[int, int] | None:
        """Return address and size of a field of a task's; None: ``spec`` names none.

        Raises:
            DebuggerError: there is no such task or field.
        """
        match = _FIELD.fullmatch(spec.strip())
        if match is None or not isinstance(self.system, View):
            return None
        pid = self.pid if match[1] is None else int(match[1])
        try:
            return self.system.field(pid, match[2])
        except LookupError as error:
            raise DebuggerError(f"There is {error.args[0]}.") from None

    def catch(self, kind: str, *what: str) -> Catchpoint:
        """Stop at events: see :mod:`ringlet.debugger.catch`.

        Raises:
            DebuggerError: there is no such event.
        """
        try:
            what = catch.canonical(kind, what)
            addresses, seen = catch.prepare(self, kind, what)
        except LookupError as error:
            raise DebuggerError(str(error.args[0])) from None
        point: Catchpoint = self._add(Catchpoint(
            self._number(), kind=kind, what=what, addresses=frozenset(addresses), check=seen))
        return point

    def point(self, number: int) -> Point:
        """Return a point by its number.

        Raises:
            DebuggerError: there is none of that number.
        """
        if number not in self.points:
            raise DebuggerError(f"There is no breakpoint number {number}.")
        return self.points[number]

    def delete(self, number: int) -> None:
        """Remove a point.

        Raises:
            DebuggerError: there is none of that number.
        """
        del self.points[self.point(number).number]

    def rebind(self) -> None:
        """Look again for the code of breakpoints that wait for it."""
        for point in self.points.values():
            if isinstance(point, Breakpoint) and point.pending:
                point.addresses = self.resolve(point.spec)

    def event(self, kind: str, name: str, line: str) -> None:
        """A hosted part of the kernel tells of an event; if it is wanted, the machine stops."""
        if any(isinstance(point, Catchpoint) and point.enabled and point.kind == kind
               and (not point.what or name in point.what) for point in self.points.values()):
            self._events.append((kind, name, line))
            self.machine.stop(Exit.STOPPED)

    def start(self) -> Stop:
        """Run until the program that has been started is about to execute its first instruction."""
        point = self.points[0] = Catchpoint(0, kind="exec")
        stop = self.continue_()
        del self.points[point.number]
        while stop.reason in (Reason.CATCHPOINT, Reason.STEP) and self.ring != 3:
            stop = self.stepi()
        return self._stopped(stop._replace(points=(), detail=""))

    def interrupt(self) -> None:
        """Stop the machine soon; for a signal handler or another thread."""
        self.machine.stop(Exit.STOPPED)

    # Running

    def continue_(self, until: int | None = None) -> Stop:
        """Run until something stops the machine.

        Args:
            until: a clock at which to stop, in virtual ns.
        """
        return self._run(frozenset(), lambda: False, until)

    def _run(self, addresses: Iterable[int], arrived: Callable[[], bool],
             until: int | None = None) -> Stop:
        """Run until a point stops the machine, or one of ``addresses`` is reached and it is right.

        Args:
            arrived: tells whether that is what was meant.
        """
        self._check_running()
        wanted = frozenset(addresses)
        stops = self.machine.cpu.stops
        while True:
            points = [point for point in self.points.values() if point.enabled]
            code = {address for point in points
                    if isinstance(point, (Breakpoint, Catchpoint)) for address in point.addresses}
            if any(isinstance(point, Breakpoint) and point.pending for point in points):
                code |= catch.mapping_changes(self.system)
            stops.breakpoints = code | wanted
            self._watch([point for point in points if isinstance(point, Watchpoint)])
            with self._host_calls_watched(points):
                reason = self.machine.run(until)
            stop = self._judge(reason, points)
            if stop is not None:
                return self._stopped(stop)
            if reason is Exit.BREAKPOINT and self.rip in wanted and arrived():
                return self._stopped(self._stop(Reason.STEP))
            if reason is Exit.BREAKPOINT and self.rip in catch.mapping_changes(self.system):
                self.rebind()

    def _check_running(self) -> None:
        if self.session is not None and not self.session.is_running:
            raise DebuggerError("The program is not being run.")

    def _judge(self, reason: Exit, points: list[Point]) -> Stop | None:
        """Return the stop that a run has ended with; None: it was none of anybody's."""
        changed = self._changed(points)
        if changed:
            return self._stop(Reason.WATCHPOINT, tuple(point for point, _ in changed),
                              "\n".join(line for _, line in changed))
        if reason is Exit.STOPPED and self._events:
            events, self._events = self._events, []
            caught = tuple(point for point in points if isinstance(point, Catchpoint)
                           and any(point.kind == kind for kind, _, _ in events))
            for point in caught:
                point.hits += 1
            return self._stop(Reason.CATCHPOINT, caught, "\n".join(line for *_, line in events))
        if reason is Exit.STOPPED:
            return self._stop(Reason.INTERRUPT)
        if reason is Exit.BREAKPOINT:
            return self._reached(points)
        if reason is Exit.HOST_CALL:
            return self._stop(Reason.HANDLER)
        if reason in (Exit.WATCHPOINT, Exit.STEP):
            return None
        return self._ended(reason)

    def _reached(self, points: list[Point]) -> Stop | None:
        """A breakpoint's address was reached: tell which of the points stop here."""
        hit: list[Point] = []
        lines: list[str] = []
        for point in points:
            if not isinstance(point, (Breakpoint, Catchpoint)) or self.rip not in point.addresses:
                continue
            if point.pid is not None and point.pid != self.pid:
                continue
            line: str | None = ""
            if isinstance(point, Catchpoint):
                line = point.check(self.rip)
                if line is None:
                    continue
            elif not self._is_mapped_here(point.addresses[self.rip]):
                continue
            if not self._holds(point.condition):
                continue
            point.hits += 1
            if point.hits > point.ignore:
                hit.append(point)
                lines.append(line or "")
        if not hit:
            return None
        for point in hit:
            if point.temporary:
                self.points.pop(point.number, None)
        kind = Reason.BREAKPOINT if any(isinstance(p, Breakpoint) for p in hit) else (
            Reason.CATCHPOINT)
        return self._stop(kind, tuple(hit), "\n".join(filter(None, lines)))

    def _holds(self, condition: str | None) -> bool:
        """Tell whether a condition holds; one about memory that is not mapped does not."""
        try:
            return condition is None or bool(self.evaluate(condition))
        except DebuggerError:
            return False

    def _is_mapped_here(self, name: str) -> bool:
        """Tell whether the running task has that file at RIP, as another may have another one."""
        return not name or any(area.name == name and area.start <= self.rip < area.end
                               for area in self.system.areas(self.pid))

    def _ended(self, reason: Exit) -> Stop:
        if reason is Exit.TIMER:
            return self._stop(Reason.TIMEOUT)
        if reason is Exit.SHUTDOWN:
            return self._stop(Reason.SHUTDOWN, detail="The CPU has shut down: a triple fault.")
        if reason is Exit.DEBUG_EXIT and self.session is not None:
            result = self.session.result(reason)
            how = f"was killed by signal {result.signal}" if result.signal else (
                f"has exited with status {result.status}")
            return self._stop(Reason.EXITED, detail=f"The program {how}.", result=result)
        if reason is Exit.HALT:
            return self._stop(Reason.HALTED, detail="Every task sleeps, and nothing can wake one.")
        return self._stop(Reason.EXITED, detail=f"The machine has ended: {reason.name}.")

    def _stop(self, reason: Reason, points: tuple[Point, ...] = (), detail: str = "",
              result: Any = None) -> Stop:
        return Stop(reason, self.machine.clock, self.rip, self.pid, points, detail, result)

    def _stopped(self, stop: Stop) -> Stop:
        self.last = stop
        self._before, self._now = self._now, {name: self.register(name) for name in DWARF}
        return stop

    # Watching

    def _value(self, point: Watchpoint) -> bytes | None:
        try:
            return self.read(point.address, point.size, point.pid)
        except (DebuggerError, LookupError):
            return None

    def _watch(self, points: list[Watchpoint]) -> None:
        """Let the CPU watch the memory where the ranges are now, and the entries that map them."""
        watches: list[Watch] = []
        for point in points:
            kinds = frozenset({"write"} if point.access == "write" else {"read", "write"} if (
                point.access == "access") else {"read"})
            for start, size in self._extents(point):
                watches.append(Watch(start, size, kinds))  # type: ignore[arg-type]  # literals
            watches += [Watch(entry, _WORD, frozenset({"write"})) for entry in self._entries(point)]
        self.machine.cpu.stops.watches = watches

    @contextlib.contextmanager
    def _host_calls_watched(self, points: list[Point]) -> Iterator[None]:
        """Stop behind a host call that changes what is watched, for the CPU does not see it."""
        watched = [p for p in points if isinstance(p, Watchpoint) and p.access != "read"]
        served = self.machine.host_call
        if not watched or served is None:
            yield
            return

        def serve(number: int) -> None:
            served(number)
            if any(self._value(point) != point.old for point in watched):
                self.machine.stop(Exit.STOPPED)

        self.machine.host_call = serve
        try:
            yield
        finally:
            self.machine.host_call = served

    def _extents(self, point: Watchpoint) -> Iterator[tuple[int, int]]:
        """Yield the physical pieces of a watched range that are mapped."""
        at, end = point.address, point.address + point.size
        while at < end:
            size = min(end, (at | 0xFFF) + 1) - at
            with contextlib.suppress(DebuggerError, LookupError):
                yield self.physical(at, point.pid), size
            at += size

    def _entries(self, point: Watchpoint) -> Iterator[int]:
        """Yield where the page-table entries on the walk to a range lie."""
        if point.pid is None:
            return
        try:
            table = self.system.page_table(point.pid)
        except LookupError:
            return
        for step in mmu.steps(self.machine.ram, table, point.address):
            yield step.entry_pa

    def _changed(self, points: list[Point]) -> list[tuple[Point, str]]:
        """Return the watchpoints of which something has happened, with a line for each."""
        accesses = self.machine.cpu.stops.accesses
        found: list[tuple[Point, str]] = []
        for point in points:
            if not isinstance(point, Watchpoint):
                continue
            new = self._value(point)
            read = point.access != "write" and any(
                start < access.pa + access.size and access.pa < start + size
                for access in accesses for start, size in self._extents(point))
            written = point.access != "read" and new != point.old
            if (written or read) and self._holds(point.condition):
                line = f"{point.spec}: {_shown(point.old)}"
                if new != point.old:
                    line += f" -> {_shown(new)}"
                point.hits += 1
                if point.hits > point.ignore:
                    found.append((point, line))
            point.old = new
        accesses.clear()
        return found

    # Steps

    def stepi(self, count: int = 1) -> Stop:
        """Execute instructions, into calls and into the kernel; an interrupt is passed over."""
        stop = self.last
        for _ in range(count):
            stop = self._one()
            if stop.reason is not Reason.STEP:
                break
        return stop

    def _one(self) -> Stop:
        """Execute one instruction; where a host call is made, first stop before its handler."""
        self._check_running()
        ring, rip, pid = self.ring, self.rip, self.pid
        points = [point for point in self.points.values() if point.enabled]
        self._watch([point for point in points if isinstance(point, Watchpoint)])
        before = self.machine.cpu.external_events()
        self.machine.before_host_call = self._is_handler
        try:
            with self._host_calls_watched(points):
                reason = self.machine.step()
        finally:
            self.machine.before_host_call = None
        if reason is Exit.STEP and ring == 3 and self.machine.cpu.external_events() != before:
            # Not this program's doing: go on where it was interrupted.
            stop = self._run({rip}, self._in_task(pid))
            return self._one() if stop.reason is Reason.STEP else stop
        stop_ = self._judge(reason, points)
        return self._stopped(self._stop(Reason.STEP) if stop_ is None else stop_)

    def _is_handler(self, number: int) -> bool:
        return self.system.handler(number) is not None

    def _in_task(self, pid: int, above: int | None = None) -> Callable[[], bool]:
        """Return a check: is this the task, and its stack at least that high?"""
        return lambda: self.pid == pid and (above is None or self.register("rsp") >= above)

    def nexti(self, count: int = 1) -> Stop:
        """Execute instructions; a call, a system call or a fault's handling is one of them."""
        stop = self.last
        for _ in range(count):
            stop = self._over()
            if stop.reason is not Reason.STEP:
                break
        return stop

    def _over(self) -> Stop:
        if self.last.reason is Reason.HANDLER:
            return self._one()
        instruction = self.instruction(self.rip)
        pid, ring, rsp = self.pid, self.ring, self.register("rsp")
        following = self.rip + (instruction.size if instruction is not None else 0)
        if instruction is not None and instruction.mnemonic.split()[-1] in _GOES_AWAY:
            return self._run({following}, self._in_task(pid, rsp))
        rip = self.rip
        stop = self._one()
        if stop.reason is Reason.STEP and ring == 3 and self.ring == 0:
            return self._run({rip, following}, self._in_task(pid, rsp))
        return stop

    def step(self) -> Stop:
        """Execute until another line of source begins, also in a function that is called."""
        return self._lines(into=True)

    def next(self) -> Stop:
        """Execute until another line of source of this function begins, or of its caller."""
        return self._lines(into=False)

    def _lines(self, *, into: bool) -> Stop:
        """Step by lines; without lines, by instructions."""
        here = self.line_at(self.rip)
        if here is None or self.last.reason is Reason.HANDLER:
            return self._one() if into else self._over()
        pid, rsp = self.pid, self.register("rsp")
        while True:
            instruction = self.instruction(self.rip)
            if into and instruction is not None and instruction.mnemonic == "call":
                entered, stop = self._call(instruction)
                if entered:
                    return stop
            else:
                stop = self._over()
            if stop.reason is Reason.STEP and self.pid == pid and self.line_at(self.rip) is None:
                if self.register("rsp") <= rsp:
                    continue  # a jump to code without lines, such as a stub of the linker's
                stop = self._leave_unknown(pid)
            line = self.line_at(self.rip)
            if stop.reason is not Reason.STEP or self.pid != pid or line is None:
                return stop
            # In the middle of a line one arrives by a return to the caller, and by a jump back.
            if (line.file, line.line) != (here.file, here.line) and (
                    self.rip == line.start or self.register("rsp") > rsp):
                return stop

    def _call(self, instruction: Any) -> tuple[bool, Stop]:
        """Step into a function that has lines, to its body; pass over one that has none.

        Returns:
            Whether it has been entered, and the stop.
        """
        pid, rsp = self.pid, self.register("rsp")
        following = self.rip + instruction.size
        stop = self._one()
        if stop.reason is not Reason.STEP:
            return True, stop
        body = self._body(self.rip)
        if body is None:
            return False, self._run({following}, self._in_task(pid, rsp))
        return True, stop if body == self.rip else self._run({body}, self._in_task(pid))

    def _leave_unknown(self, pid: int) -> Stop:
        """Return from functions without lines, to one that has them or to where that is unknown."""
        while self.line_at(self.rip) is None:
            frames = self.frames(limit=2)
            if len(frames) < 2 or self.line_at(frames[1].rip) is None:
                return self.last
            stop = self._run({frames[1].rip}, self._in_task(pid, frames[0].cfa))
            if stop.reason is not Reason.STEP:
                return stop
        return self.last

    def _body(self, va: int) -> int | None:
        """Return where the function that begins at ``va`` has its body; None: it has no lines."""
        module = self.module_at(va)
        if module is None or module.line(va) is None:
            return None
        return module.image.after_prologue(va - module.bias) + module.bias

    def finish(self) -> Stop:
        """Run until the selected function returns; ``detail`` tells what it returns.

        Before a hosted handler, until it has.

        Raises:
            DebuggerError: its caller is not known.
        """
        if self.last.reason is Reason.HANDLER:
            return self._one()
        frames = self.frames(limit=2)
        if len(frames) < 2:
            raise DebuggerError("There is no frame to return to.")
        pid = self.pid
        stop = self._run({frames[1].rip}, self._in_task(pid, frames[0].cfa))
        if stop.reason is Reason.STEP:
            stop = self._stopped(stop._replace(
                detail=f"Value returned is {self.register('rax'):#x}."))
        return stop

    def until(self, spec: str | None = None) -> Stop:
        """As ``next``, but not back to an earlier line; with a location, as :meth:`advance`."""
        if spec is not None:
            return self.advance(spec)
        here, function = self.line_at(self.rip), self.symbol_name(self.rip)
        stop = self.next()
        while here is not None and stop.reason is Reason.STEP:
            line = self.line_at(self.rip)
            if line is None or line.line > here.line or self.symbol_name(self.rip) != function:
                break
            stop = self.next()
        return stop

    def advance(self, spec: str) -> Stop:
        """Run until a location is reached, or the function returns.

        Raises:
            DebuggerError: there is no such location.
        """
        addresses = self.resolve(spec)
        if not addresses:
            raise DebuggerError(f"There is no code at {spec}.")
        pid = self.pid
        frames = self.frames(limit=2)
        back = frames[1].rip if len(frames) > 1 else None
        cfa = frames[0].cfa if frames else 0

        def arrived() -> bool:
            return self.pid == pid and (self.rip in addresses or self.register("rsp") >= cfa)

        return self._run({*addresses, *([] if back is None else [back])}, arrived)

    # Looking

    def symbol_name(self, va: int) -> str:
        """Return the name of the function that an address belongs to, or nothing."""
        return (self.symbol_at(va) or "").partition("+")[0]

    def frames(self, pid: int | None = None, limit: int = 64) -> list[Frame]:
        """Return the frames of the running task, or of one that sleeps, innermost first."""
        frames: list[Frame] = []
        for frame in unwind(self, pid):
            frames.append(frame)
            if len(frames) == limit:
                break
        return frames

    def instruction(self, va: int) -> Any:
        """Return the instruction at an address, as Capstone has it; None if there is none."""
        for size in (15, 8, 4, 2, 1):
            try:
                code = self.read(va, size)
            except DebuggerError:
                continue
            return next(_decoder().disasm(code, va, 1), None)
        return None

    def operands(self, instruction: Any) -> list[str]:
        """Return what the operands of the instruction at RIP in memory are: address and value."""
        import capstone.x86

        lines = []
        for operand in instruction.operands:
            if operand.type != capstone.x86.X86_OP_MEM or instruction.mnemonic == "lea":
                continue
            place = operand.mem
            address = place.disp
            if place.base:
                address += self.register(instruction.reg_name(place.base))
                if instruction.reg_name(place.base) == "rip":
                    address += instruction.size
            if place.index:
                address += self.register(instruction.reg_name(place.index)) * place.scale
            segment = instruction.reg_name(place.segment) if place.segment else ""
            if segment in ("fs", "gs"):
                address += self.register(f"{segment}_base")
            address &= _M64
            try:
                value = _shown(self.read(address, operand.size))
            except DebuggerError:
                value = "not mapped"
            lines.append(f"[{address:#x}] = {value}")
        return lines

    def changed_registers(self, names: Iterable[str]) -> set[str]:
        """Return which registers differ from when the machine stopped before this stop."""
        return {name for name in names if self._before.get(name) not in (None, self.register(name))}

    def disassemble(self, va: int, count: int = 10) -> list[Any]:
        """Return instructions from an address on, up to where none can be read."""
        found = []
        for _ in range(count):
            instruction = self.instruction(va)
            if instruction is None:
                break
            found.append(instruction)
            va += instruction.size
        return found

    def handler_line(self) -> tuple[str, str, int] | None:
        """Return name, file and first line of the handler that is about to be called."""
        if self.last.reason is not Reason.HANDLER:
            return None
        function = self.system.handler(self.machine.host_call_number)
        if function is None:
            return None
        function = inspect.unwrap(function)
        code = getattr(function, "__code__", None)
        if code is None:
            return None
        # The first of them is the function's own, or its decorator's.
        lines = sorted({line for *_, line in code.co_lines() if line})
        return code.co_qualname, code.co_filename, lines[min(1, len(lines) - 1)]


def _bias(elf: Any, areas: list[Any]) -> int:
    """Return what a mapped file's addresses have been moved by."""
    if not elf.relocatable:
        return 0
    for area in areas:
        for offset, va, size in elf.segments:
            if offset <= area.offset < offset + max(size, 1) or (
                    offset & ~0xFFF) == area.offset:
                return int(area.start - (va - (offset - area.offset)))
    return int(areas[0].start)


def _shown(value: bytes | None) -> str:
    """Return bytes as a number, if they are as many as a number has."""
    if value is None:
        return "not mapped"
    if len(value) in (1, 2, 4, 8):
        return hex(int.from_bytes(value, "little"))
    return value[:32].hex(" ") + ("…" if len(value) > 32 else "")


_FIELD: Final = re.compile(r"(?:current|task\((\d+)\))\.([a-z_][\w.]*)")
_GOES_AWAY: Final = frozenset({"call", "syscall", "int", "int3", "movsb", "movsw", "movsd", "movsq",
                               "stosb", "stosw", "stosd", "stosq", "lodsb", "scasb", "cmpsb"})


def _decoder() -> Any:
    global _capstone
    if _capstone is None:
        import capstone

        _capstone = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
        _capstone.detail = True
    return _capstone


_capstone: Any = None
