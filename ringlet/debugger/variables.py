"""Variables of C: where DWARF says that they are.

See: DWARF 5, "Data Object and Object List Entries", "DWARF Expressions", "Location Lists".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from elftools.dwarf.descriptions import describe_form_class
from elftools.dwarf.dwarf_expr import DWARFExprParser
from elftools.dwarf.locationlists import (
    BaseAddressEntry,
    LocationEntry,
    LocationExpr,
    LocationParser,
)

from ringlet.debugger.errors import DebuggerError
from ringlet.debugger.frames import DWARF
from ringlet.debugger.types import Type
from ringlet.debugger.values import Value

if TYPE_CHECKING:
    from ringlet.debugger.target import Target

_M64: Final = (1 << 64) - 1


class Scope(NamedTuple):
    """Where a frame is: what locations are computed from.

    Attributes:
        registers: of the frame, by name.
        cfa: its canonical frame address.
        bias: of the image.
        pid: the task; None: as the CPU has it now.
    """

    registers: Mapping[str, int]
    cfa: int
    bias: int
    pid: int | None


class Variable(NamedTuple):
    """A variable, or a parameter.

    Attributes:
        die: its entry.
        function: the entry of the function that it is local to; None: it is global.
    """

    name: str
    die: Any
    function: Any
    is_parameter: bool


class Variables:
    """What an image's DWARF says of variables."""

    def __init__(self, dwarf: Any) -> None:
        self._dwarf = dwarf
        self._lists = LocationParser(dwarf.location_lists())

    @cached_property
    def _functions(self) -> list[tuple[int, int, Any]]:
        found = []
        for unit in self._dwarf.iter_CUs():
            for die in unit.get_top_DIE().iter_children():
                if die.tag == "DW_TAG_subprogram" and (extent := _extent(die)) is not None:
                    found.append((*extent, die))
        return found

    @cached_property
    def globals(self) -> dict[str, Variable]:
        """The variables outside of functions that have a place, by name."""
        found: dict[str, Variable] = {}
        for unit in self._dwarf.iter_CUs():
            for die in unit.get_top_DIE().iter_children():
                if die.tag == "DW_TAG_variable" and "DW_AT_location" in die.attributes:
                    name = _name(die)
                    found.setdefault(name, Variable(name, die, None, False))
        return found

    def locals(self, address: int) -> list[Variable]:
        """Return what is in scope at an address of code, innermost first, also what is shadowed."""
        function = next((die for start, end, die in self._functions if start <= address < end),
                        None)
        if function is None:
            return []
        found: list[Variable] = []
        for die, is_parameter in _declared(function, address):
            name = _name(die)
            if name:
                found.append(Variable(name, die, function, is_parameter))
        return found

    def value(self, target: Target, variable: Variable, scope: Scope) -> Value:
        """Return a variable's value in a frame.

        Raises:
            DebuggerError: it has none there: it has been optimised away, above all.
        """
        die = variable.die
        kind = Type(die).target
        if kind.tag == "void" and "DW_AT_abstract_origin" in die.attributes:
            kind = Type(die.get_DIE_from_attribute("DW_AT_abstract_origin")).target
        if "DW_AT_const_value" in die.attributes:
            constant = die.attributes["DW_AT_const_value"].value
            raw = constant if isinstance(constant, bytes) else (constant & _M64).to_bytes(
                8, "little")[: kind.size]
            return Value(target, kind, None, bytes(raw), scope.pid)
        code = self._expression(die, "DW_AT_location", scope.registers["rip"] - scope.bias)
        if code is None:
            raise DebuggerError(f"{variable.name} has been optimized out.")
        address, raw_value = _Machine(self, target, variable, scope).run(code)
        if address is not None:
            return Value(target, kind, address, None, scope.pid)
        return Value(target, kind, None, (raw_value & _M64).to_bytes(8, "little")[: kind.size],
                     scope.pid)

    def _expression(self, die: Any, name: str, address: int) -> list[int] | None:
        """Return the location expression of an attribute that holds at an address."""
        attribute = die.attributes.get(name)
        if attribute is None:
            return None
        version = die.cu["version"]
        if describe_form_class(attribute.form) == "exprloc":
            return list(attribute.value)
        found = self._lists.parse_from_attribute(attribute, version, die)
        if isinstance(found, LocationExpr):
            return list(found.loc_expr)
        top = die.cu.get_top_DIE().attributes.get("DW_AT_low_pc")
        base = 0 if top is None else top.value
        for entry in found:
            if isinstance(entry, BaseAddressEntry):
                base = entry.base_address
                continue
            if not isinstance(entry, LocationEntry):
                continue
            offset = 0 if entry.is_absolute else base
            if entry.begin_offset + offset <= address < entry.end_offset + offset:
                return list(entry.loc_expr)
        return None


def _name(die: Any) -> str:
    attribute = die.attributes.get("DW_AT_name")
    if attribute is None and "DW_AT_abstract_origin" in die.attributes:
        return _name(die.get_DIE_from_attribute("DW_AT_abstract_origin"))
    if attribute is None and "DW_AT_specification" in die.attributes:
        return _name(die.get_DIE_from_attribute("DW_AT_specification"))
    return "" if attribute is None else str(attribute.value.decode())


def _extent(die: Any) -> tuple[int, int] | None:
    """Return from where to where an entry's code goes; None: in pieces, or there is none."""
    low, high = die.attributes.get("DW_AT_low_pc"), die.attributes.get("DW_AT_high_pc")
    if low is None or high is None:
        return None
    is_size = describe_form_class(high.form) == "constant"
    return low.value, high.value + (low.value if is_size else 0)


def _declared(scope: Any, address: int) -> Iterator[tuple[Any, bool]]:
    """Yield the variables of a function's scopes around an address, innermost first."""
    own = []
    for die in scope.iter_children():
        if die.tag in ("DW_TAG_variable", "DW_TAG_formal_parameter"):
            own.append((die, die.tag == "DW_TAG_formal_parameter"))
        elif die.tag in ("DW_TAG_lexical_block", "DW_TAG_inlined_subroutine"):
            extent = _extent(die)
            if extent is not None and extent[0] <= address < extent[1]:
                yield from _declared(die, address)
    yield from own


class _Machine:
    """Computes location expressions.  See DWARF 5, "DWARF Expressions"."""

    def __init__(self, variables: Variables, target: Target, variable: Variable,
                 scope: Scope) -> None:
        self._variables, self._target = variables, target
        self._variable, self._scope = variable, scope

    def run(self, code: list[int]) -> tuple[int | None, int]:
        """Return the address of what an expression describes; or None, and its value.

        Raises:
            DebuggerError: it does not say, or not in a way that is understood.
        """
        scope = self._scope
        stack: list[int] = []
        is_value = False
        for op in DWARFExprParser(self._variable.die.cu.structs).parse_expr(code):
            name, args = op.op_name.removeprefix("DW_OP_"), op.args
            if name == "addr":
                stack.append(args[0] + scope.bias)
            elif name == "fbreg":
                stack.append(self._frame_base() + args[0])
            elif name == "call_frame_cfa":
                stack.append(scope.cfa)
            elif name.startswith("breg") and name != "bregx":
                stack.append(self._register(int(name[4:])) + args[0])
            elif name.startswith("reg") and name != "regx":
                return None, self._register(int(name[3:]))
            elif name.startswith("lit"):
                stack.append(int(name[3:]))
            elif name.startswith("const"):
                stack.append(args[0])
            elif name == "plus_uconst":
                stack.append(stack.pop() + args[0])
            elif name in ("plus", "minus", "mul", "and", "or", "shl"):
                right, left = stack.pop(), stack.pop()
                stack.append({"plus": left + right, "minus": left - right, "mul": left * right,
                              "and": left & right, "or": left | right,
                              "shl": left << (right & 63)}[name])
            elif name == "deref":
                stack.append(int.from_bytes(
                    self._target.read(stack.pop() & _M64, 8, scope.pid), "little"))
            elif name == "stack_value":
                is_value = True
            else:
                raise DebuggerError(f"{self._variable.name} is not where this debugger can look: "
                                    f"{op.op_name}.")
        if not stack:
            raise DebuggerError(f"{self._variable.name} has been optimized out.")
        value = stack.pop() & _M64
        return (None, value) if is_value else (value, 0)

    def _register(self, number: int) -> int:
        if number >= len(DWARF):
            raise DebuggerError(f"{self._variable.name} is in a register of the FPU's.")
        return self._scope.registers[DWARF[number]]

    def _frame_base(self) -> int:
        function = self._variable.function
        code = None if function is None else self._variables._expression(
            function, "DW_AT_frame_base", self._scope.registers["rip"] - self._scope.bias)
        if code is None:
            raise DebuggerError(f"{self._variable.name}'s frame is not known.")
        address, value = self.run(code)
        return value if address is None else address
