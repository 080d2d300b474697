"""Turn an assembly source into an executable, with Keystone.

A source is Intel syntax for Keystone, with ``#`` for comments (``;`` separates statements) and
three directives of GNU as that are dealt with here, because Keystone crashes on the one kind and
rejects the other:

``.text``, ``.data``, ``.bss``
    switch to a section; the program starts in text.  Text is read-only and executable, the others
    writable and not executable; bss holds zeros and takes no room in the file.
``.include "file"``
    insert a file that lies beside the source.

Keystone knows one flat section, so the sections go to it in one call, one after the other, each
from a fresh page: labels of one resolve in another and the bytes are cut apart afterwards.  Its
answer holds no symbols, so the source ends with a table of ``.quad label`` that is read back and
cut off.  Labels that begin with ``.L`` are local and get no symbol.

Each program is also valid input for GNU as (``.intel_syntax noprefix``), which is how the encoding
can be checked.  Give a negative number a name of its own: ``and rax, -NAME`` silently becomes a
memory operand.
"""

import contextlib
import re
import struct
from bisect import bisect_left
from pathlib import Path
from typing import Final

from keystone import KS_ARCH_X86, KS_MODE_64, Ks, KsError

from userland.elf import PAGE_SIZE, TEXT_ADDRESS, Image, page_align, write_executable
from userland.numbers import assembler_definitions

ENTRY_LABEL: Final = "_start"

_SECTIONS: Final = (".text", ".data", ".bss")
_INCLUDE: Final = re.compile(r'\s*\.include\s+"([^"]+)"')
_LABEL: Final = re.compile(r"\s*([A-Za-z_]\w*):")
_MACRO: Final = re.compile(r"\s*\.(macro|endm)\b")

# Our own labels, at the ends of the sections; the programs' names do not begin so.
_END: Final = "__end_of_"


class AssemblyError(Exception):
    """A source that Keystone, or the layout of a program, does not accept."""


def assemble_program(path: Path) -> bytes:
    """Assemble the source at ``path`` and return a static ELF64 executable.

    Raises:
        AssemblyError: the source is not accepted; the message names it.
        FileNotFoundError: the source, a file that it includes, or ``syscalls.tbl`` is missing.
    """
    sections = _split(_lines(path))
    labels = [name for lines in sections.values() for name in _labels(lines)]
    if ENTRY_LABEL not in labels:
        raise AssemblyError(f"{path}: no label {ENTRY_LABEL}")
    code, addresses = _assemble(path, sections, [*labels, *(_END + name[1:] for name in _SECTIONS)])

    text_end, data_end, bss_end = (addresses.pop(_END + name[1:]) for name in _SECTIONS)
    text = code[: text_end - TEXT_ADDRESS]
    data_address = page_align(text_end)
    if any(code[data_end - TEXT_ADDRESS : bss_end - TEXT_ADDRESS]):
        raise AssemblyError(f"{path}: .bss holds something other than zeros")
    data = code[data_address - TEXT_ADDRESS : data_end - TEXT_ADDRESS]
    return write_executable(
        Image(text, data, bss_end - data_end, addresses, addresses[ENTRY_LABEL])
    )


def _lines(path: Path) -> list[str]:
    """Return the source's lines with every included file in place."""
    lines: list[str] = []
    for line in path.read_text().splitlines():
        include = _INCLUDE.match(line)
        lines += _lines(path.parent / include[1]) if include else [line]
    return lines


def _split(lines: list[str]) -> dict[str, list[str]]:
    """Sort lines into sections; one that is named again goes on where it stopped."""
    sections: dict[str, list[str]] = {name: [] for name in _SECTIONS}
    current = sections[".text"]
    for line in lines:
        directive = line.split("#")[0].strip()
        if directive in sections:
            current = sections[directive]
        else:
            current.append(line)
    return sections


def _labels(lines: list[str]) -> list[str]:
    """Return the labels that ``lines`` define outside macro bodies."""
    labels = []
    in_macro = False
    for line in lines:
        if directive := _MACRO.match(line):
            in_macro = directive[1] == "macro"
        elif not in_macro and (label := _LABEL.match(line)):
            labels.append(label[1])
    return labels


def _assemble(path: Path, sections: dict[str, list[str]],
              labels: list[str]) -> tuple[bytes, dict[str, int]]:
    """Return the bytes of all sections from :data:`TEXT_ADDRESS`, and each label's address."""
    source = assembler_definitions().splitlines()
    for name, lines in sections.items():
        source += [*lines, f"{_END}{name[1:]}:"]
        # Bss follows data at once: the ELF has them in one segment.
        if name == ".text":
            source.append(f".balign {PAGE_SIZE}, 0")
    source += [f".quad {label}" for label in labels]
    try:
        code = _keystone(source)
    except KsError as error:
        where = _missing_symbol(source) or _line_at_fault(source, error)
        raise AssemblyError(f"{path}: {error.message}: {where}") from error
    table = struct.Struct(f"<{len(labels)}Q")
    code, values = code[: -table.size], table.unpack(code[-table.size :])
    return code, dict(zip(labels, values, strict=True))


def _keystone(source: list[str]) -> bytes:
    code, _ = Ks(KS_ARCH_X86, KS_MODE_64).asm("\n".join(source), TEXT_ADDRESS, as_bytes=True)
    return bytes(code or b"")


# Keystone says what is wrong, but neither where nor with which symbol.


def _missing_symbol(source: list[str]) -> str | None:
    """Return the first symbol that the source uses and does not define, if there is one."""
    missing: list[str] = []

    def resolve(symbol: bytes, _value: object) -> bool:
        missing.append(symbol.decode())
        return False

    keystone = Ks(KS_ARCH_X86, KS_MODE_64)
    keystone.sym_resolver = resolve
    with contextlib.suppress(KsError):
        keystone.asm("\n".join(source), TEXT_ADDRESS)
    return missing[0] if missing else None


def _line_at_fault(source: list[str], error: KsError) -> str:
    """Return the last line of the shortest beginning of the source that fails in the same way."""

    def fails(size: int) -> bool:
        try:
            _keystone(source[:size])
        except KsError as other:
            return bool(other.errno == error.errno)
        return False

    return source[bisect_left(range(1, len(source)), True, key=fails)].strip()
