"""The debugger's core: breakpoints, steps, frames and memory of one machine.

The verbs are gdb's.  Each runs the machine and returns a :class:`Stop`.  A user's step passes over
what the kernel does meanwhile: an interrupt, a page fault, other tasks; ``stepi`` at a SYSCALL, or
at a faulting instruction, goes into the kernel, and from there to the hosted handler.

In layers: what there is to see (``target.py``), to make out of it (``inspector.py``), points and
running (``running.py``), steps here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from emulator.cpu.control import Exit
from guest_kernel.view import View
from ringlet.console import EndedHere
from ringlet.debugger.errors import DebuggerError
from ringlet.debugger.points import Catchpoint, Watchpoint
from ringlet.debugger.running import Runner
from ringlet.debugger.stop import Reason, Stop

if TYPE_CHECKING:
    from emulator.snapshot import Snapshot

_GOES_AWAY: Final = frozenset({"call", "syscall", "int", "int3", "movsb", "movsw", "movsd", "movsq",
                               "stosb", "stosw", "stosd", "stosq", "lodsb", "scasb", "cmpsb"})


class Debugger(Runner):
    """A debugger of one machine.

    Args:
        subject: a session, or a bare machine.
        system: what runs on a bare machine, if anything is known of it.
    """

    def start(self) -> Stop:
        """Run until the program that has been started is about to execute its first instruction."""
        point = self.points[0] = Catchpoint(0, kind="exec")
        stop = self.continue_()
        del self.points[point.number]
        while stop.reason in (Reason.CATCHPOINT, Reason.STEP) and self.ring != 3:
            stop = self.stepi()
        return self._stopped(stop._replace(points=(), detail=""))

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
            with self._while_running(points):
                if not self.machine.is_inside:
                    self._take_input()
                reason = self.machine.step()
        except EndedHere:
            return self._stopped(self._ended_here())
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
