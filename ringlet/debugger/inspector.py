"""Looking at a machine where it has stopped: calls, variables, expressions, locations."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from emulator.machine import Machine
from emulator.system import System
from ringlet.debugger.errors import DebuggerError
from ringlet.debugger.expressions import address_of, value_of
from ringlet.debugger.frames import DWARF, Frame, unwind
from ringlet.debugger.points import Point
from ringlet.debugger.stop import Reason, Stop
from ringlet.debugger.symbols import Module, image
from ringlet.debugger.target import M64, Target
from ringlet.debugger.values import Value, plain
from ringlet.debugger.variables import Scope, Variable, Variables

if TYPE_CHECKING:
    from ringlet.session import Session


class Inspector(Target):
    """A machine that has stopped.

    Args:
        subject, system: see :class:`Target`.

    Attributes:
        last: the last stop.
        selected: the number of the frame that expressions are about.
    """

    def __init__(self, subject: Session | Machine, system: System | None = None) -> None:
        super().__init__(subject, system)
        self.selected = 0
        # The registers at the last stop, and at the one before.
        self._now: dict[str, int] = {}
        self._before: dict[str, int] = {}
        self.last = self._stop(Reason.STEP)

    def _stop(self, reason: Reason, points: tuple[Point, ...] = (), detail: str = "",
              result: Any = None) -> Stop:
        return Stop(reason, self.machine.clock, self.rip, self.pid, points, detail, result)

    def _stopped(self, stop: Stop) -> Stop:
        self.last, self.selected = stop, 0
        self._before, self._now = self._now, {name: self.register(name) for name in DWARF}
        return stop

    def changed_registers(self, names: Iterable[str]) -> set[str]:
        """Return which registers differ from when the machine stopped before this stop."""
        return {name for name in names if self._before.get(name) not in (None, self.register(name))}

    # Calls

    def frames(self, pid: int | None = None, limit: int = 64) -> list[Frame]:
        """Return the frames of the running task, or of one that sleeps, innermost first."""
        frames: list[Frame] = []
        for frame in unwind(self, pid):
            frames.append(frame)
            if len(frames) == limit:
                break
        return frames

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

    def select(self, number: int) -> Frame:
        """Let expressions be about a frame of the running task's, until the machine runs.

        Raises:
            DebuggerError: there is none of that number.
        """
        frames = self.frames(limit=number + 1) if number >= 0 else []
        if len(frames) <= number or number < 0:
            raise DebuggerError(f"There is no frame {number}.")
        self.selected = number
        return frames[number]

    def frame(self) -> Frame:
        """Return the selected frame."""
        return self.select(self.selected)

    # Variables and expressions

    def variables(self) -> list[tuple[Variable, Value | None]]:
        """Return the selected frame's variables, innermost first; None: it has no value there."""
        found: list[tuple[Variable, Value | None]] = []
        for variable, scope, known in self._locals(self.frame()):
            try:
                found.append((variable, known.value(self, variable, scope)))
            except DebuggerError:
                found.append((variable, None))
        return found

    def arguments(self, frame: Frame, pid: int | None = None) -> list[tuple[str, str]]:
        """Return names and values of the parameters of a function, in a frame of a task's."""
        found = []
        for variable, scope, known in self._locals(frame, pid):
            if variable.is_parameter:
                try:
                    text = known.value(self, variable, scope).text(inside=True)
                except DebuggerError:
                    text = "<optimized out>"
                found.append((variable.name, text))
        return found

    def variable(self, name: str) -> Value | None:
        """Return a variable of the selected frame, or a global one; None: there is none.

        Raises:
            DebuggerError: it has no value here.
        """
        if self.session is None:
            return None
        for variable, scope, known in self._locals(self.frame()):
            if variable.name == name:
                return known.value(self, variable, scope)
        for module in self._candidates():
            known_ = module.image.variables
            if known_ is not None and name in known_.globals:
                return known_.value(self, known_.globals[name],
                                    Scope({"rip": self.rip}, 0, module.bias, None))
        return None

    def assign(self, spec: str, value: Any) -> Value:
        """Set a variable, or what is in one; return it.

        Raises:
            DebuggerError: there is none, or it cannot be set to that.
        """
        place = self.evaluate(spec)
        if not isinstance(place, Value):
            raise DebuggerError(f"{spec} is not a variable.")
        place.assign(plain(value))
        return place

    def _locals(self, frame: Frame, pid: int | None = None) -> Iterator[
            tuple[Variable, Scope, Variables]]:
        if not frame.registers:
            return
        module = self.module_at(frame.registers["rip"], pid)
        known = None if module is None else module.image.variables
        if module is None or known is None:
            return
        scope = Scope(frame.registers, frame.cfa, module.bias, pid)
        for variable in known.locals(frame.registers["rip"] - module.bias):
            yield variable, scope, known

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
            return {self.address(spec[1:]): ""}
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
                return [Module(self.session.program, elf, 0, 0, M64)]
        return found

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression: see :mod:`ringlet.debugger.expressions`.

        Raises:
            DebuggerError: it has none.
        """
        return value_of(self, expression)

    def address(self, expression: str) -> int:
        """Return the address that an expression stands for: of an array, where it lies.

        Raises:
            DebuggerError: it stands for none.
        """
        return address_of(self.evaluate(expression)) & M64
