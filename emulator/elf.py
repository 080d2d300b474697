"""ELF64 executables for x86-64: a writer, and the part of a reader that a boot loader needs.

See: System V ABI (generic), "Object Files"; elf(5).
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

PF_X: Final = 1
PF_W: Final = 2
PF_R: Final = 4

_EHDR: Final = struct.Struct("<16sHHIQQQIHHHHHH")
_PHDR: Final = struct.Struct("<IIQQQQQQ")
_SHDR: Final = struct.Struct("<IIQQQQIIQQ")
_SYM: Final = struct.Struct("<IBBHQQ")
_IDENT: Final = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
_ET_EXEC: Final = 2
_EM_X86_64: Final = 62
_PT_LOAD: Final = 1
_PT_GNU_STACK: Final = 0x6474_E551
_SHT_PROGBITS: Final = 1
_SHT_SYMTAB: Final = 2
_SHT_STRTAB: Final = 3
_SHT_NOBITS: Final = 8
_SHF_WRITE: Final = 1
_SHF_ALLOC: Final = 2
_SHF_EXECINSTR: Final = 4
_STB_GLOBAL: Final = 1
_STT_OBJECT: Final = 1
_STT_FUNC: Final = 2
_PAGE: Final = 4096


class ElfError(Exception):
    """A file that is no ELF executable of ours."""


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the program that is in memory; each becomes a segment of its own.

    Attributes:
        va, pa: where it lies; both multiples of the page size.
        data: its first bytes; the rest up to ``size`` is zeros.
        flags: PF_R, PF_W, PF_X.
    """

    name: str
    va: int
    pa: int
    data: bytes
    size: int
    flags: int


@dataclass(frozen=True, slots=True)
class Executable:
    """What a boot loader takes from a file.

    Attributes:
        entry: address of the first instruction.
        segments: physical address, data, size in memory.
        symbols: address of each symbol.
    """

    entry: int
    segments: list[tuple[int, bytes, int]]
    symbols: dict[str, int]


def write(sections: Iterable[Section], entry: int, symbols: Mapping[str, int],
          sizes: Mapping[str, int] | None = None) -> bytes:
    """Return an executable file.

    Args:
        symbols: address of each; those in an executable section become functions.
        sizes: size of a symbol in bytes, where it is not "up to the next one".
    """
    parts = list(sections)
    out = bytearray(_PAGE)
    headers: list[tuple[str, tuple[int, ...]]] = [("", (0, 0, 0, 0, 0, 0, 0, 0, 0))]
    segments = []
    for part in parts:
        out += bytes(-len(out) % _PAGE)
        segments.append((_PT_LOAD, part.flags, len(out), part.va, part.pa, len(part.data),
                         part.size, _PAGE))
        kind = _SHT_PROGBITS if part.data else _SHT_NOBITS
        flags = _SHF_ALLOC | (_SHF_WRITE if part.flags & PF_W else 0) | (
            _SHF_EXECINSTR if part.flags & PF_X else 0)
        length = len(part.data) or part.size
        headers.append((part.name, (kind, flags, part.va, len(out), length, 0, 0, _PAGE, 0)))
        out += part.data
    segments.append((_PT_GNU_STACK, PF_R | PF_W, 0, 0, 0, 0, 0, 16))

    symtab, strtab = _symbol_table(parts, symbols, sizes or {})
    out += bytes(-len(out) % 8)
    link = len(headers) + 1
    headers.append((".symtab", (_SHT_SYMTAB, 0, 0, len(out), len(symtab), link, 1, 8, _SYM.size)))
    out += symtab
    headers.append((".strtab", (_SHT_STRTAB, 0, 0, len(out), len(strtab), 0, 0, 1, 0)))
    out += strtab
    names, offsets = _strings([name for name, _ in headers] + [".shstrtab"])
    headers.append((".shstrtab", (_SHT_STRTAB, 0, 0, len(out), len(names), 0, 0, 1, 0)))
    out += names
    out += bytes(-len(out) % 8)
    table = len(out)
    for name, fields in headers:
        out += _SHDR.pack(offsets[name], *fields)
    _EHDR.pack_into(out, 0, _IDENT, _ET_EXEC, _EM_X86_64, 1, entry, _EHDR.size, table, 0,
                    _EHDR.size, _PHDR.size, len(segments), _SHDR.size, len(headers),
                    len(headers) - 1)
    for index, segment in enumerate(segments):
        _PHDR.pack_into(out, _EHDR.size + index * _PHDR.size, *segment)
    return bytes(out)


def _symbol_table(parts: list[Section], symbols: Mapping[str, int],
                  sizes: Mapping[str, int]) -> tuple[bytes, bytes]:
    strtab, offsets = _strings(symbols)
    starts = sorted({*symbols.values(), *(part.va + part.size for part in parts)})
    following = dict(itertools.pairwise(starts))
    symtab = bytearray(_SYM.size)
    for name, address in sorted(symbols.items(), key=lambda item: (item[1], item[0])):
        index, part = next(((i, p) for i, p in enumerate(parts, 1)
                            if p.va <= address < p.va + p.size), (0xFFF1, None))  # SHN_ABS
        kind = _STT_FUNC if part is not None and part.flags & PF_X else _STT_OBJECT
        size = sizes.get(name, following.get(address, address) - address)
        symtab += _SYM.pack(offsets[name], _STB_GLOBAL << 4 | kind, 0, index, address, size)
    return bytes(symtab), strtab


def _strings(names: Iterable[str]) -> tuple[bytes, dict[str, int]]:
    table, offsets = bytearray(1), {"": 0}
    for name in names:
        if name not in offsets:
            offsets[name] = len(table)
            table += name.encode() + b"\0"
    return bytes(table), offsets


def read(data: bytes) -> Executable:
    """Read an executable that is to be loaded at its physical addresses.

    Raises:
        ElfError: it is not a 64-bit x86-64 executable, or is cut short.
    """
    try:
        return _read(data)
    except (struct.error, IndexError, ValueError) as error:
        raise ElfError(f"the ELF file is damaged: {error}") from error


def _read(data: bytes) -> Executable:
    (ident, kind, machine, _, entry, phoff, shoff, _, _, _, phnum, _, shnum, _,
     ) = _EHDR.unpack_from(data)
    if ident[:6] != _IDENT[:6] or kind != _ET_EXEC or machine != _EM_X86_64:
        raise ElfError("not a 64-bit x86-64 ELF executable")
    segments = []
    for index in range(phnum):
        p_type, _, offset, _, pa, filesz, memsz, _ = _PHDR.unpack_from(
            data, phoff + index * _PHDR.size)
        if p_type == _PT_LOAD:
            segments.append((pa, data[offset : offset + filesz], memsz))
    headers = [_SHDR.unpack_from(data, shoff + i * _SHDR.size) for i in range(shnum)]
    symbols: dict[str, int] = {}
    for header in headers:
        if header[1] != _SHT_SYMTAB:
            continue
        strings = headers[header[6]]
        names = data[strings[4] : strings[4] + strings[5]]
        table = data[header[4] : header[4] + header[5]]
        for name, _, _, _, value, _ in _SYM.iter_unpack(table):
            if name:
                symbols[names[name : names.index(b"\0", name)].decode()] = value
    return Executable(entry, segments, symbols)
