"""Running a machine until one of the debugger's points, or an event, stops it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from emulator.cpu import mmu
from emulator.cpu.control import Exit
from emulator.cpu.stops import Watch
from emulator.machine import NEVER, Machine
from emulator.system import System
from ringlet.console import EndedHere
from ringlet.debugger import catch
from ringlet.debugger.errors import DebuggerError
from ringlet.debugger.expressions import address_of, check
from ringlet.debugger.inspector import Inspector
from ringlet.debugger.points import Access, Breakpoint, Catchpoint, Point, Watchpoint
from ringlet.debugger.stop import Reason, Stop
from ringlet.debugger.target import M64, WORD, shown
from ringlet.debugger.values import Value

if TYPE_CHECKING:
    from ringlet.session import Session


class Runner(Inspector):
    """A machine that runs until something stops it.

    Args:
        subject, system: see :class:`Inspector`.

    Attributes:
        points: breakpoints, watchpoints and catchpoints, by number.
        is_running: the machine runs, so that :meth:`interrupt` stops it.
    """

    def __init__(self, subject: Session | Machine, system: System | None = None) -> None:
        super().__init__(subject, system)
        if self.session is not None:
            self.session.kernel.tracer = catch.Listener(self)
        self.points: dict[int, Point] = {}
        self.is_running = False
        self._numbers = 0
        self._events: list[tuple[str, str, str]] = []  # kind, name, line for people

    # Points

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
            spec: a variable of the program's, or what is in one; an expression that gives an
                address; or a field of a task's structure, such as ``task(4).__state`` or
                ``current.se.vruntime``.
            size: bytes; None: 8, or the variable's or the field's.
            access: ``write`` stops when the value changes, ``read`` and ``access`` at each.

        Raises:
            DebuggerError: the expression has no value.
        """
        check(condition)
        address, natural = self.field(spec) or self._place(spec)
        size = natural if size is None else size
        if size < 1:
            raise DebuggerError(f"{spec} is no range of memory.")
        point: Watchpoint = self._add(Watchpoint(
            self._number(), spec=spec, address=address, size=size, access=access,
            condition=condition, pid=None if address >> 63 else self.pid or None))
        point.old = self._value(point)
        return point

    def _place(self, spec: str) -> tuple[int, int]:
        """Return address and size of what an expression names."""
        value = self.evaluate(spec)
        if isinstance(value, Value):
            if value.address is None:
                raise DebuggerError(f"{spec} is not in memory.")
            return value.address, value.size
        return address_of(value) & M64, WORD

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

    def _add(self, point: Point) -> Any:
        self.points[point.number] = point
        return point

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    # Running

    def continue_(self, until: int | None = None) -> Stop:
        """Run until something stops the machine.

        Args:
            until: a clock at which to stop, in virtual ns.
        """
        return self._run(frozenset(), lambda: False, until)

    def interrupt(self) -> None:
        """Stop the machine soon, if it runs; for a signal handler or another thread."""
        self.machine.stop(Exit.STOPPED)

    def _run(self, addresses: Iterable[int], arrived: Callable[[], bool],
             until: int | None = None) -> Stop:
        """Run until a point stops the machine, or one of ``addresses`` is reached and it is right.

        Args:
            arrived: tells whether that is what was meant.
        """
        self._check_running()
        wanted = frozenset(addresses)
        limit = NEVER if until is None else until
        stops = self.machine.cpu.stops
        while True:
            points = [point for point in self.points.values() if point.enabled]
            code = {address for point in points
                    if isinstance(point, (Breakpoint, Catchpoint)) for address in point.addresses}
            if any(isinstance(point, Breakpoint) and point.pending for point in points):
                code |= catch.mapping_changes(self.system)
            stops.breakpoints = code | wanted
            self._watch([point for point in points if isinstance(point, Watchpoint)])
            try:
                with self._while_running(points):
                    reason = self.machine.run(min(limit, self._input_due()))
                if reason is Exit.TIMER and self.machine.clock < limit:
                    self._take_input()  # which is why it has stopped
                    continue
            except EndedHere:
                return self._stopped(self._ended_here())
            stop = self._judge(reason, points)
            if stop is not None:
                return self._stopped(stop)
            if reason is Exit.BREAKPOINT and self.rip in wanted and arrived():
                return self._stopped(self._stop(Reason.STEP))
            if reason is Exit.BREAKPOINT and self.rip in catch.mapping_changes(self.system):
                self.rebind()

    def _input_due(self) -> int:
        """Return where a run has to stop for input that comes then."""
        return NEVER if self.session is None else self.session.input_due

    def _take_input(self) -> None:
        """Give the guest what comes now."""
        if self.session is not None:
            self.session.take_input()

    @contextlib.contextmanager
    def _while_running(self, points: list[Point]) -> Iterator[None]:
        """The machine runs; stop it behind a host call that changes what is watched.

        For the CPU does not see what the hosted half stores.
        """
        watched = [p for p in points if isinstance(p, Watchpoint) and p.access != "read"]
        copied = catch.hosted_copies(self) if self.session is not None and any(
            isinstance(p, Catchpoint) and p.kind == "cow" for p in points) else None
        served = self.machine.host_call

        def serve(number: int) -> None:
            assert served is not None
            served(number)
            if any(self._value(point) != point.old for point in watched):
                self.machine.stop(Exit.STOPPED)
            if copied is not None:
                copied(number)

        if (watched or copied is not None) and served is not None:
            self.machine.host_call = serve
        self.is_running = True
        try:
            yield
        finally:
            self.is_running = False
            self.machine.host_call = served

    def _check_running(self) -> None:
        if self.session is not None and not self.session.is_running:
            raise DebuggerError("The program is not being run.")

    # Stops

    def _ended_here(self) -> Stop:
        return self._stop(Reason.EXITED, detail="The recorded run was ended here, from outside.")

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

    # Watching

    def _watch(self, points: list[Watchpoint]) -> None:
        """Let the CPU watch the memory where the ranges are now, and the entries that map them."""
        watches: list[Watch] = []
        for point in points:
            kinds = frozenset({"write"} if point.access == "write" else {"read", "write"} if (
                point.access == "access") else {"read"})
            for start, size in self._extents(point):
                watches.append(Watch(start, size, kinds))  # type: ignore[arg-type]  # literals
            watches += [Watch(entry, WORD, frozenset({"write"})) for entry in self._entries(point)]
        self.machine.cpu.stops.watches = watches

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

    def _value(self, point: Watchpoint) -> bytes | None:
        try:
            return self.read(point.address, point.size, point.pid)
        except (DebuggerError, LookupError):
            return None

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
                line = f"{point.spec}: {shown(point.old)}"
                if new != point.old:
                    line += f" -> {shown(new)}"
                point.hits += 1
                if point.hits > point.ignore:
                    found.append((point, line))
            point.old = new
        accesses.clear()
        return found
