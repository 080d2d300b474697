"""``ringlet layout``: the kernel's structures as they lie in guest RAM, printed as C.

What is printed comes from the declarations in :mod:`guest_kernel.layout` and nothing else.  The
style is pahole(1)'s: each member with its offset and size in bytes, holes and padding shown; added
are who writes it and what it means.  The text is valid C, which is how it is tested.
"""

from __future__ import annotations

import importlib
import pkgutil
import textwrap
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from inspect import cleandoc
from typing import Final

from guest_kernel import layout
from guest_kernel.layout.declare import Array, Chars, Embed, EmbedArray, Field, Ptr, Struct

WIDTH: Final = 100  # of a line of output, columns
_INDENT: Final = " " * 8
_LONGEST: Final = 48  # a declaration up to here has its comment beside it
_NATURAL: Final = 8  # the greatest alignment that C gives a member unasked


class UnknownStructureError(LookupError):
    """No structure has that name; the message names the nearest ones."""


@cache
def structures() -> dict[str, type[Struct]]:
    """Return every structure by its name, in the order of the files and of the declarations."""
    found: dict[str, type[Struct]] = {}
    for info in pkgutil.iter_modules(layout.__path__, f"{layout.__name__}."):
        module = importlib.import_module(info.name)
        for value in vars(module).values():
            if (isinstance(value, type) and issubclass(value, Struct) and value is not Struct
                    and value.__module__ == info.name):
                found[value.__name__] = value
    return found


def find(name: str) -> type[Struct]:
    """Return the structure that is declared as ``name``.

    Raises:
        UnknownStructureError: there is none.
    """
    known = structures()
    if name in known:
        return known[name]
    near = get_close_matches(name, known, cutoff=0.7)
    if not near and name:
        near = [other for other in known if name in other]
    hint = f"; did you mean {' or '.join(near[:3])}?" if near else ""
    raise UnknownStructureError(f"there is no structure {name!r}{hint}")


def listing() -> Iterator[str]:
    """Yield a line per structure, by name: size in bytes, name, what it is."""
    for name, kind in sorted(structures().items()):
        yield f"{kind.size:>6}  {name:<26}{_description(kind).partition('.  ')[0].rstrip('.')}"


def describe(kind: type[Struct]) -> Iterator[str]:
    """Yield the lines that show one structure."""
    members = groups(kind)
    types = max((len(ctype(field)[0]) for field in kind.fields.values()), default=0)
    lengths = [len(_declaration(field, types, _indent(group)))
               for group in members for field in group]
    column = max((n for n in lengths if n <= _LONGEST), default=0) + 2
    place = kind.__module__.replace(".", "/") + ".py"
    yield from textwrap.wrap(f"/* {_description(kind)}  {place} */", WIDTH, subsequent_indent=" * ")
    yield f"struct {kind.__name__} {{"
    end = 0
    for group in members:
        first = group[0]
        if first.offset > end:
            yield f"{_INDENT}/* hole of {first.offset - end} */"
        if len(group) > 1:
            yield f"{_INDENT}union {{"
        for field in group:
            yield from _member(field, _declaration(field, types, _indent(group)), column)
        size = max(field.size for field in group)
        if len(group) > 1:
            yield f"{_INDENT}}};".ljust(column) + f"{_place(first.offset, size)} */"
        end = max(end, first.offset + size)
    padding = f", padding: {kind.size - end}" if kind.size > end else ""
    yield ""
    yield (f"{_INDENT}/* size: {kind.size}, alignment: {kind.align}, "
           f"members: {len(kind.fields)}{padding} */")
    yield "};"


def _description(kind: type[Struct]) -> str:
    """Return the first paragraph of a declaration's docstring."""
    return " ".join(cleandoc(kind.__doc__ or "").partition("\n\n")[0].split("\n")).replace("``", "")


def groups(kind: type[Struct]) -> list[list[Field]]:
    """Return the fields in memory order, those that share a place (a union) in one list."""
    found: dict[str, list[Field]] = {}
    owner: dict[str, str] = {}
    for name, field in kind.fields.items():
        owner[name] = name if field.overlay is None else owner[field.overlay]
        found.setdefault(owner[name], []).append(field)
    return list(found.values())


def _indent(group: list[Field]) -> str:
    return _INDENT if len(group) == 1 else 2 * _INDENT


def _declaration(field: Field, types: int, indent: str) -> str:
    """Return the field's declaration, with its name ``types`` columns behind the indentation."""
    base, suffix = ctype(field)
    width = max(0, types + len(_INDENT) - len(indent))
    aligned = f" __attribute__((aligned({field.align})))" if field.align > _NATURAL else ""
    return f"{indent}{base:<{width}} {field.name}{suffix}{aligned};"


def _place(offset: int, size: int) -> str:
    return f"/* {offset:>5} {size:>5}"


def _member(field: Field, declaration: str, column: int) -> Iterator[str]:
    """Yield one member's lines: the declaration, and a comment that may go on below."""
    head = f"{_place(field.offset, field.size)}  {field.writer:<4}  "
    room = WIDTH - column - len(head) - len(" */")
    lines = textwrap.wrap(field.doc.replace("``", ""), room) or [""]
    lines[-1] += " */"
    if len(declaration) > column - 2:
        yield declaration
        declaration = ""
    yield declaration.ljust(column) + head + lines[0]
    for line in lines[1:]:
        yield " " * (column + len(head)) + line


def ctype(field: Field) -> tuple[str, str]:
    """Return the field's C type: what stands before its name, and what behind."""
    if isinstance(field, Ptr):
        return f"struct {field.target().__name__} *", ""
    if isinstance(field, Embed):
        return f"struct {field.target.__name__}", ""
    if isinstance(field, EmbedArray):
        return f"struct {field.target.__name__}", f"[{field.n}]"
    if isinstance(field, Array):
        return field.item_ctype, f"[{field.n}]"
    if isinstance(field, Chars):
        return "char", f"[{field.size}]"
    return field.ctype, ""
