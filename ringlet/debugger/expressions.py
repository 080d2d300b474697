"""Expressions about a machine, in Python with C's prefixes: ``$rax``, ``counter + 8``, ``*p``.

``$rax`` is a register, or a part of one.  A variable of the program's is its value
(:mod:`ringlet.debugger.values`), of the selected frame or global; ``&x``, ``*p``, ``p->field``,
``s.field``, ``a[1]``, ``&&``, ``||`` and ``!`` are as in C.  Any other symbol, of the program or of
the kernel, is its address.  ``u8(a)`` to ``u64(a)`` and ``i8(a)`` to ``i64(a)`` load from memory;
``sizeof(x)`` is in bytes; ``pid``, ``ring``, ``rip`` and ``clock`` are the machine's.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from types import CodeType
from typing import TYPE_CHECKING, Any, Final

from ringlet.debugger.errors import DebuggerError
from ringlet.debugger.values import Value, plain

if TYPE_CHECKING:
    from ringlet.debugger.inspector import Inspector

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


def value_of(debugger: Inspector, expression: str) -> Any:
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


def address_of(value: Any) -> int:
    """Return the address that a value stands for, where one is wanted.

    Of an array, structure or function that is where it lies; a number is one.

    Raises:
        DebuggerError: it stands for none.
    """
    if isinstance(value, Value):
        if value.type.is_record and value.address is not None:
            return value.address
        return int(value)
    if not isinstance(value, int):
        raise DebuggerError(f"{value!r} is not an address.")
    return value


# C where Python has something else, outside of strings.
_WORDS: Final = {"&&": " and ", "||": " or ", "!": " not ", "->": ".", "$": _REGISTER}
_WORD: Final = re.compile(
    r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|&&|\|\||!(?!=)|->|\$""")


def _compiled(expression: str) -> CodeType:
    text = _WORD.sub(lambda match: _WORDS.get(match[0], match[0]), expression.strip())
    try:
        text, prefixes = _without_prefixes(text.strip())
        tree = _Prefixes(prefixes).visit(ast.parse(text, "<expression>", "eval"))
        return compile(ast.fix_missing_locations(tree), "<expression>", "eval")
    except (SyntaxError, tokenize.TokenError, ValueError):
        raise DebuggerError(f"{expression.strip()!r} is not an expression.") from None


def _without_prefixes(text: str) -> tuple[str, dict[int, str]]:
    """Put ``+`` in the place of ``*`` and ``&`` before an operand; tell where which was."""
    prefixes: dict[int, str] = {}
    before: tokenize.TokenInfo | None = None
    characters = list(text)
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.string in ("*", "&") and (before is None or before.string in (
                "and", "or", "not", "if", "else", "in", "is") or (
                before.type == tokenize.OP and before.string not in (")", "]", "}"))):
            characters[token.start[1]] = "+"
            prefixes[len(text[: token.start[1]].encode())] = token.string
        before = token
    return "".join(characters), prefixes


class _Prefixes(ast.NodeTransformer):
    """Makes calls of C's prefixes, and of the access to fields."""

    def __init__(self, prefixes: dict[int, str]) -> None:
        self._prefixes = prefixes

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.AST:
        prefix = self._prefixes.get(node.col_offset) if isinstance(node.op, ast.UAdd) else None
        self.generic_visit(node)
        if prefix is None:
            return node
        name = "_pointed_" if prefix == "*" else "_pointer_"
        return ast.Call(ast.Name(name, ast.Load()), [node.operand], [])

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        self.generic_visit(node)
        if not isinstance(node.op, (ast.Div, ast.Mod)):
            return node
        name = "_quotient_" if isinstance(node.op, ast.Div) else "_remainder_"
        return ast.Call(ast.Name(name, ast.Load()), [node.left, node.right], [])

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        self.generic_visit(node)
        return ast.Call(ast.Name("_field_", ast.Load()),
                        [node.value, ast.Constant(node.attr)], [])


def _pointed(value: Any) -> Value:
    if not isinstance(value, Value):
        raise DebuggerError("Only a pointer can be followed; u64(address) loads a number.")
    return value[0]


def _pointer(value: Any) -> Any:
    if isinstance(value, Value):
        return value.pointer()
    if isinstance(value, int):  # a symbol without a type
        return value
    raise DebuggerError("That has no address.")


def _field(value: Any, name: str) -> Any:
    return value[name] if isinstance(value, Value) else getattr(value, name)


def _quotient(left: Any, right: Any) -> Any:
    """Return ``left / right`` as in C: of whole numbers, a whole one, towards 0."""
    left, right = plain(left), plain(right)
    if isinstance(left, int) and isinstance(right, int):
        size = abs(left) // abs(right)
        return size if (left < 0) == (right < 0) else -size
    return left / right


def _remainder(left: Any, right: Any) -> Any:
    left, right = plain(left), plain(right)
    return left - right * _quotient(left, right)


def _sizeof(value: Any) -> int:
    if not isinstance(value, Value):
        raise DebuggerError("Only a variable has a size.")
    return value.size


_HELPERS: Final = {"_pointed_": _pointed, "_pointer_": _pointer, "_field_": _field,
                   "_quotient_": _quotient, "_remainder_": _remainder, "sizeof": _sizeof}


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

    def __init__(self, debugger: Inspector) -> None:
        super().__init__(_HELPERS)
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
            return lambda va: int.from_bytes(debugger.read(address_of(va), size), "little",
                                             signed=signed)
        value = debugger.variable(name)
        if value is not None:
            return value
        for module in debugger._candidates():
            if name in module.image.table.by_name:
                return module.image.table.by_name[name] + module.bias
        if name in debugger.system.symbols:
            return debugger.system.symbols[name]
        raise DebuggerError(f"There is no symbol {name} in the program or the kernel.")
