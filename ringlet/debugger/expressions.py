"""Expressions about a machine, in Python: ``$rax``, ``counter + 8``, ``u32(counter)``.

``$rax`` is a register, or a part of one; a symbol of the program or of the kernel is its address;
``u8(a)`` to ``u64(a)`` and ``i8(a)`` to ``i64(a)`` load from memory; ``pid``, ``ring``, ``rip`` and
``clock`` are the machine's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from ringlet.debugger.errors import DebuggerError

if TYPE_CHECKING:
    from ringlet.debugger.target import Target

_REGISTER: Final = "_reg_"  # stands for $, which Python has not
_BUILTINS: Final = {name: getattr(__import__("builtins"), name) for name in (
    "abs", "bool", "bytes", "chr", "hex", "int", "len", "max", "min", "ord", "str")}


def check(expression: str | None) -> None:
    """Refuse what is no expression.

    Raises:
        DebuggerError: it is none.
    """
    if expression is not None:
        _compiled(expression)


def value_of(debugger: Target, expression: str) -> Any:
    """Return the value of an expression.

    Raises:
        DebuggerError: it has none.
    """
    code = _compiled(expression)
    try:
        return eval(code, {"__builtins__": _BUILTINS}, _Names(debugger))
    except DebuggerError:
        raise
    except Exception as error:
        raise DebuggerError(f"{expression.strip()}: {error}.") from None


def _compiled(expression: str) -> Any:
    try:
        return compile(expression.strip().replace("$", _REGISTER), "<expression>", "eval")
    except SyntaxError:
        raise DebuggerError(f"{expression.strip()!r} is not an expression.") from None


def _parts() -> dict[str, tuple[str, int]]:
    """Return the parts of registers by name: which register, how many bytes."""
    parts: dict[str, tuple[str, int]] = {}
    for letter in "abcd":
        wide = f"r{letter}x"
        parts |= {f"e{letter}x": (wide, 4), f"{letter}x": (wide, 2), f"{letter}l": (wide, 1)}
    for name in ("si", "di", "bp", "sp"):
        parts |= {f"e{name}": (f"r{name}", 4), name: (f"r{name}", 2), f"{name}l": (f"r{name}", 1)}
    for number in range(8, 16):
        parts |= {f"r{number}d": (f"r{number}", 4), f"r{number}w": (f"r{number}", 2),
                  f"r{number}b": (f"r{number}", 1)}
    return parts | {"pc": ("rip", 8), "sp": ("rsp", 8), "fp": ("rbp", 8), "eflags": ("rflags", 4)}


PARTS: Final = _parts()


class _Names(dict[str, Any]):
    """The names that an expression may use."""

    def __init__(self, debugger: Target) -> None:
        super().__init__()
        self._debugger = debugger

    def __missing__(self, name: str) -> Any:
        debugger = self._debugger
        if name.startswith(_REGISTER):
            return debugger.register(name.removeprefix(_REGISTER))
        if name in ("pid", "ring", "rip"):
            return getattr(debugger, name)
        if name == "clock":
            return debugger.machine.clock
        if name[:1] in "ui" and name[1:] in ("8", "16", "32", "64"):
            size, signed = int(name[1:]) // 8, name[0] == "i"
            return lambda va: int.from_bytes(debugger.read(va, size), "little", signed=signed)
        for module in debugger._candidates():
            if name in module.image.table.by_name:
                return module.image.table.by_name[name] + module.bias
        if name in debugger.system.symbols:
            return debugger.system.symbols[name]
        raise DebuggerError(f"There is no symbol {name} in the program or the kernel.")
