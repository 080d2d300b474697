"""Keystone, within its quirks.

A text is Intel syntax with ``;`` for comments.  It may change sections with ``.text``, ``.rodata``,
``.data`` and ``.bss``, each alone on a line.  Keystone itself knows one flat section and crashes on
a switch, so the sections go to it in one call, one after the other: labels of one resolve in
another, and the bytes are cut apart afterwards.

Keystone answers bytes only, so the text ends with a table of ``.quad label`` that is read back and
cut off.  A label that begins with ``.L`` is local and is not told.

Some forms assemble without complaint to something else and are refused here:

    [reg + A + B], [reg - A], [reg + A*2]   only the last symbol counts, without sign or factor
    -A, ~A, 5 + A                           a memory operand; a number must begin with the symbol
    [rip + A]                               the distance itself if A is a number; a label is right
    .include                                nothing

A symbol can stand for each of them: ``C = A - B`` comes out right.
Absolute operands, ``[0x1000]`` and ``gs:[8]``, come out right for the accumulator only.

Every fact is held by ``tests/unit/test_assembler.py``, which also compares all our assembly with
what GNU as makes of it.
"""

import contextlib
import os
import re
import struct
from bisect import bisect_left
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from emulator import sources
from emulator.digest import blake2b

# Patterns, compiled when they are first used: at most starts everything comes from the cache.
_STRING: Final = r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])\''
_COMMENT: Final = rf"({_STRING})|\s*;.*"
_LABEL: Final = r"\s*([A-Za-z_$][\w.$]*):"
_LABELS: Final = r"\s*(?:[\w.$]+:\s*)*"
_MACRO: Final = r"\s*\.(macro|endm)\b"
_SECTION: Final = r"\s*\.(?:text|rodata|data|bss|section|pushsection|popsection)\b"
_INCLUDE: Final = r"\s*\.include\b"
_ASSIGNMENT: Final = r"\s*(?:([A-Za-z_$][\w.$]*)\s*=|\.(?:set|equ)\s+([\w.$]+))"

# In an operand: a name, which may be a macro's parameter, with the sign before and a factor behind.
_NAME: Final = r"([-+]?)\s*(?<![\w.$\\])([A-Za-z_.$\\][\w.$]*)(\s*\*)?"
_ADDRESS_REGISTER: Final = r"[re](?:[a-d]x|[sd]i|[sb]p|ip)|r\d+d?"
_BRACKETS: Final = r"\[([^\]]*)\]"
_NOT_A_NAME: Final = r"\s*[-~\d]"

# What shows how an engine of Keystone's reads numbers; see _engine().
_TEN: Final = "mov eax, 10"
_TEN_CODE: Final = b"\xb8\x0a\0\0\0"
_MAX_ENGINES: Final = 64

# Part of every key of the cache; raised when entries made before may be wrong.
_CACHE_VERSION: Final = b"2"  # 1 may hold numbers that were read as hexadecimal

# Our own labels, at the ends of a section; no program's name begins so.
_START: Final = "__start_of_"
_END: Final = "__end_of_"

_CHECKSUM_SIZE: Final = 32  # of a file in the cache, at its beginning


class AssemblyError(Exception):
    """A text that Keystone does not take, or would take wrongly."""


class Section(NamedTuple):
    """A section as assembled.

    Attributes:
        name: the directive that opens it.
        address: of its first byte.
        data: its bytes; those of ``.bss`` are zeros.
    """

    name: str
    address: int
    data: bytes


def assemble(source: str, address: int = 0,
             symbols: Mapping[str, int] | None = None) -> tuple[bytes, dict[str, int]]:
    """Assemble 64-bit code that has no other section than ``.text``.

    Args:
        source: the text.
        address: where the first byte will lie.
        symbols: names that the text uses, and their values.

    Returns:
        The bytes, and the address of each label.

    Raises:
        AssemblyError: with the reason, and the line or symbol at fault.
    """
    (text,), labels = assemble_sections(source, address, {".text": 1}, symbols)
    return text.data, labels


def assemble_sections(source: str, address: int, alignments: Mapping[str, int],
                      symbols: Mapping[str, int] | None = None,
                      ) -> tuple[list[Section], dict[str, int]]:
    """Assemble 64-bit code and data.

    Args:
        source: the text, which begins in the first section; one that is named again goes on where
            it stopped.
        address: where the first section begins.
        alignments: the sections, in the order in which they will lie in memory, and what the
            address of each is a multiple of.
        symbols: names that the text uses, and their values.

    Returns:
        The sections, empty ones too, and the address of each label.

    Raises:
        AssemblyError: with the reason, and the line or symbol at fault; or ``.bss`` holds something
            other than zeros.
    """
    given = symbols or {}
    bodies = _split([re.sub(_COMMENT, r"\1", line) for line in source.splitlines()], alignments)
    _refuse_what_comes_out_wrong(bodies, set(given))
    lines = [f"{name} = {value:#x}" for name, value in given.items()]
    labels = []
    for name, body in bodies.items():
        first, last = _START + name[1:], _END + name[1:]
        lines += [f".balign {alignments[name]}, 0", f"{first}:", *body, f"{last}:"]
        labels += [first, *_labels(body), last]
    code, addresses = _assemble(lines, labels, address)

    sections = []
    for name in bodies:
        start, end = addresses.pop(_START + name[1:]), addresses.pop(_END + name[1:])
        data = code[start - address : end - address]
        if name == ".bss" and data.count(0) != len(data):
            raise AssemblyError(".bss holds something other than zeros")
        sections.append(Section(name, start, data))
    return sections, addresses


def _split(lines: list[str], alignments: Mapping[str, int]) -> dict[str, list[str]]:
    sections: dict[str, list[str]] = {name: [] for name in alignments}
    current = next(iter(sections.values()))
    for line in lines:
        directive = line.strip()
        if directive in sections:
            current = sections[directive]
        elif re.match(_SECTION, line):
            raise AssemblyError(f"no such section here: {directive}")
        else:
            current.append(line)
    return sections


def _labels(lines: list[str]) -> list[str]:
    """Return the labels that ``lines`` define outside macro bodies."""
    labels = []
    in_macro = False
    for line in lines:
        if directive := re.match(_MACRO, line):
            in_macro = directive[1] == "macro"
        elif not in_macro and (label := re.match(_LABEL, line)):
            labels.append(label[1])
    return labels


def _refuse_what_comes_out_wrong(bodies: Mapping[str, list[str]], numbers: set[str]) -> None:
    """Raise an error for what the module's docstring lists.

    Args:
        numbers: names that stand for numbers; those that the text assigns are added.
    """
    lines = [line for body in bodies.values() for line in body]
    for line in lines:
        if assignment := re.match(_ASSIGNMENT, line):
            numbers.add(assignment[1] or assignment[2])
    for line in lines:
        instruction = re.sub(_STRING, "0", re.sub(_LABELS, "", line, count=1))
        if re.match(_INCLUDE, instruction):
            raise AssemblyError(f"would be ignored: {line.strip()}")
        if instruction.startswith(".") or re.match(_ASSIGNMENT, instruction):
            continue
        _, _, operands = instruction.partition(" ")
        for operand in operands.split(","):
            if reason := _what_goes_wrong(operand, numbers):
                raise AssemblyError(f"{reason}: {line.strip()}")


def _what_goes_wrong(operand: str, numbers: set[str]) -> str | None:
    brackets = re.search(_BRACKETS, operand)
    if brackets is None:
        if re.match(_NOT_A_NAME, operand) and re.search(_NAME, operand):
            return "the symbol would become a memory operand"
        return None
    terms = re.findall(_NAME, brackets[1])
    symbols = [term for term in terms if not re.fullmatch(_ADDRESS_REGISTER, term[1])]
    if len(symbols) > 1:
        return "only the last symbol would count"
    if any(sign == "-" or factor for sign, _, factor in symbols):
        return "the symbol's sign or factor would be lost"
    relative = any(name == "rip" for _, name, _ in terms)
    if relative and any(name in numbers for _, name, _ in symbols):
        return "the symbol's value would be the distance"
    return None


def _assemble(lines: list[str], labels: list[str], address: int) -> tuple[bytes, dict[str, int]]:
    import keystone  # takes longer than the cache to find

    source = lines + [f".quad {label}" for label in labels]
    try:
        code = _keystone(source, address)
    except keystone.KsError as error:
        where = _missing_symbol(source, address) or _line_at_fault(source, address, error)
        raise AssemblyError(f"{error.message}: {where}") from error
    table = struct.Struct(f"<{len(labels)}Q")
    size = len(code) - table.size
    return code[:size], dict(zip(labels, table.unpack(code[size:]), strict=True))


def _keystone(source: list[str], address: int) -> bytes:
    code, _ = _engine().asm("\n".join(source), address, as_bytes=True)
    return bytes(code or b"")


def _engine() -> Any:
    """Return a Keystone engine that reads numbers as decimal.

    Keystone does not initialise the base: an engine has what lies in the memory that it gets, and
    if that is 16, "10" is sixteen (keystone 528, 608).  There is no call to set it to anything but
    16.  So a new engine is tried; one that reads wrongly is kept until another, whose memory is
    not the same, reads rightly.
    """
    import keystone

    wrong: list[Any] = []
    while len(wrong) < _MAX_ENGINES:
        engine = keystone.Ks(keystone.KS_ARCH_X86, keystone.KS_MODE_64)
        if engine.asm(_TEN, 0, as_bytes=True)[0] == _TEN_CODE:
            return engine
        wrong.append(engine)
    raise AssemblyError(f"Keystone reads decimal numbers wrongly, in {_MAX_ENGINES} engines")


# Keystone says what is wrong, but neither where nor with which symbol.


def _missing_symbol(source: list[str], address: int) -> str | None:
    """Return the first symbol that the source uses and does not define, if there is one."""
    import keystone

    missing: list[str] = []

    def resolve(symbol: bytes, _value: object) -> bool:
        missing.append(symbol.decode())
        return False

    engine = keystone.Ks(keystone.KS_ARCH_X86, keystone.KS_MODE_64)
    engine.sym_resolver = resolve
    with contextlib.suppress(keystone.KsError):
        engine.asm("\n".join(source), address)
    return missing[0] if missing else None


def _line_at_fault(source: list[str], address: int, error: Exception) -> str:
    """Return the last line of the shortest beginning of the source that fails in the same way."""
    import keystone

    def fails(size: int) -> bool:
        try:
            _keystone(source[:size], address)
        except keystone.KsError as other:
            return str(other) == str(error)
        return False

    return source[bisect_left(range(1, len(source)), True, key=fails)].strip()


def cache_directory() -> str | None:
    """Return where assembled code is kept between runs, or ``None`` if nowhere is writable.

    ``RINGLET_CACHE`` names it; else it is ``ringlet`` in the user's cache directory.
    """
    place = os.environ.get("RINGLET_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "ringlet")
    try:
        os.makedirs(place, exist_ok=True)
    except OSError:
        return None
    return place if os.access(place, os.W_OK) else None


def cached(kind: str, key: bytes, build: Callable[[], bytes]) -> bytes:
    """Return what ``build`` makes, from the cache if the same ``key`` was built before.

    A file of the cache carries its own checksum; a damaged one is built again.  A cache that
    cannot be written costs time and nothing else.

    Args:
        key: everything that the result depends on.
    """
    directory = cache_directory()
    name = f"{kind}-{blake2b(_CACHE_VERSION + key, digest_size=16).hexdigest()}"
    path = os.path.join(directory, name) if directory else None
    if path is not None:
        try:
            data = sources.read(path)
        except OSError:
            data = b""
        if data and _checksum(data[_CHECKSUM_SIZE:]) == data[:_CHECKSUM_SIZE]:
            return data[_CHECKSUM_SIZE:]
    data = build()
    if path is not None:
        with contextlib.suppress(OSError):
            _replace(path, _checksum(data) + data)
    return data


def _checksum(data: bytes) -> bytes:
    return blake2b(data, digest_size=_CHECKSUM_SIZE).digest()


def _replace(path: str, data: bytes) -> None:
    """Write a file so that readers see the old content or the new one."""
    temporary = f"{path}.{os.getpid()}"
    try:
        with open(temporary, "wb") as file:
            file.write(data)
        os.replace(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
