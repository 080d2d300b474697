"""ELF64 executables for x86-64: a writer, and the part of a reader that a boot loader needs.

::

    file offset                       address
    0        ELF and program headers  where it is asked for   R, or not loaded
    0x1000   .text                    as given                R X
    page     .rodata                                          R
    page     .data, then .bss                                 RW
    after    .symtab .strtab .shstrtab, section headers (not loaded)

Each segment starts on a page of its own, in the file and in memory, so no page is both writable
and executable.

See: System V ABI (generic), "Object Files"; elf(5).
"""

import itertools
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Self

from emulator.arch.paging import PAGE_SIZE

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
_SHN_ABS: Final = 0xFFF1
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

# What the usual names stand for.
_PROTECTION: Final = {".text": PF_R | PF_X, ".rodata": PF_R, ".data": PF_R | PF_W,
                      ".bss": PF_R | PF_W}
_ZEROS: Final = ".bss"


class ElfError(Exception):
    """A file that is no ELF executable of ours."""


class Section(NamedTuple):
    """A part of the program that is in memory.

    It begins a segment of its own, so on a page boundary; but zeros of the same protection that
    directly follow a section belong to the segment of that.

    Attributes:
        va, pa: where it lies.
        data: its bytes, or None for zeros, which take no room in the file.
        size: bytes in memory.
        flags: PF_R, PF_W, PF_X.
        align: what the address is stated to be a multiple of.
    """

    name: str
    va: int
    pa: int
    data: bytes | None
    size: int
    flags: int
    align: int = PAGE_SIZE

    @classmethod
    def named(cls, name: str, va: int, data: bytes, *, pa: int | None = None,
              align: int = PAGE_SIZE) -> Self:
        """Make one of .text, .rodata, .data and .bss, whose protection goes with the name.

        Args:
            data: its bytes; those of .bss are zeros.
            pa: if it is not ``va``.
        """
        return cls(name, va, va if pa is None else pa, None if name == _ZEROS else data, len(data),
                   _PROTECTION[name], align)


class Executable(NamedTuple):
    """What a boot loader takes from a file.

    Attributes:
        entry: address of the first instruction.
        segments: physical address, data, size in memory.
        symbols: address of each symbol.
    """

    entry: int
    segments: list[tuple[int, bytes, int]]
    symbols: dict[str, int]


class _Segment(NamedTuple):
    """A program header, in the file's order."""

    type: int
    flags: int
    offset: int
    va: int
    pa: int
    file_size: int
    memory_size: int
    align: int


def write(sections: Sequence[Section], entry: int, symbols: Mapping[str, int],
          sizes: Mapping[str, int] | None = None, *, headers_va: int | None = None) -> bytes:
    """Return an executable file.

    Args:
        symbols: address of each; those in an executable section become functions.
        sizes: size of a symbol in bytes, where it is not "up to the next one".
        headers_va: the page at which the ELF and program headers are loaded, for a program that
            looks at them; by default they are not.
    """
    out = bytearray(PAGE_SIZE)
    table: list[tuple[str, tuple[int, ...]]] = [("", (0, 0, 0, 0, 0, 0, 0, 0, 0))]
    segments: list[_Segment] = []
    last: Section | None = None
    for part in sections:
        if part.data is None and last is not None and (part.va, part.flags) == (
                last.va + last.size, last.flags):
            segments[-1] = segments[-1]._replace(
                memory_size=segments[-1].memory_size + part.size)
        else:
            out += bytes(-len(out) % PAGE_SIZE)
            segments.append(_Segment(_PT_LOAD, part.flags, len(out), part.va, part.pa,
                                     len(part.data or b""), part.size, PAGE_SIZE))
        kind = _SHT_NOBITS if part.data is None else _SHT_PROGBITS
        flags = _SHF_ALLOC | (_SHF_WRITE if part.flags & PF_W else 0) | (
            _SHF_EXECINSTR if part.flags & PF_X else 0)
        table.append((part.name, (kind, flags, part.va, len(out), part.size, 0, 0, part.align, 0)))
        out += part.data or b""
        last = part
    segments = [segment for segment in segments if segment.memory_size]
    segments.append(_Segment(_PT_GNU_STACK, PF_R | PF_W, 0, 0, 0, 0, 0, 16))
    if headers_va is not None:
        size = _EHDR.size + (len(segments) + 1) * _PHDR.size
        segments.insert(0, _Segment(_PT_LOAD, PF_R, 0, headers_va, headers_va, size, size,
                                    PAGE_SIZE))

    symtab, strtab = _symbol_table(sections, symbols, sizes or {})
    out += bytes(-len(out) % 8)
    link = len(table) + 1
    table.append((".symtab", (_SHT_SYMTAB, 0, 0, len(out), len(symtab), link, 1, 8, _SYM.size)))
    out += symtab
    table.append((".strtab", (_SHT_STRTAB, 0, 0, len(out), len(strtab), 0, 0, 1, 0)))
    out += strtab
    names, offsets = _strings([name for name, _ in table] + [".shstrtab"])
    table.append((".shstrtab", (_SHT_STRTAB, 0, 0, len(out), len(names), 0, 0, 1, 0)))
    out += names
    out += bytes(-len(out) % 8)
    shoff = len(out)
    for name, fields in table:
        out += _SHDR.pack(offsets[name], *fields)
    _EHDR.pack_into(out, 0, _IDENT, _ET_EXEC, _EM_X86_64, 1, entry, _EHDR.size, shoff, 0,
                    _EHDR.size, _PHDR.size, len(segments), _SHDR.size, len(table), len(table) - 1)
    for index, segment in enumerate(segments):
        _PHDR.pack_into(out, _EHDR.size + index * _PHDR.size, *segment)
    return bytes(out)


def _symbol_table(sections: Sequence[Section], symbols: Mapping[str, int],
                  sizes: Mapping[str, int]) -> tuple[bytes, bytes]:
    """Return ``.symtab`` and ``.strtab``."""
    strtab, offsets = _strings(symbols)
    starts = sorted({*symbols.values(), *(part.va + part.size for part in sections)})
    following = dict(itertools.pairwise(starts))
    symtab = bytearray(_SYM.size)
    for name, address in sorted(symbols.items(), key=lambda item: (item[1], item[0])):
        index = _section_of(sections, address)
        executable = index is not None and sections[index].flags & PF_X
        size = sizes.get(name, following.get(address, address) - address)
        symtab += _SYM.pack(offsets[name],
                            _STB_GLOBAL << 4 | (_STT_FUNC if executable else _STT_OBJECT), 0,
                            _SHN_ABS if index is None else index + 1, address, size)
    return bytes(symtab), strtab


def _section_of(sections: Sequence[Section], address: int) -> int | None:
    """Return the index of the section that ``address`` is in, or else at the end of."""
    for index, part in enumerate(sections):
        if part.va <= address < part.va + part.size:
            return index
    for index, part in enumerate(sections):
        if address == part.va + part.size:
            return index
    return None


def _strings(names: Iterable[str]) -> tuple[bytes, dict[str, int]]:
    """Return a string table and the offset of each name in it."""
    table, offsets = bytearray(1), {"": 0}
    for name in names:
        if name not in offsets:
            offsets[name] = len(table)
            table += name.encode() + b"\0"
    return bytes(table), offsets


def read(data: bytes) -> Executable:
    """Read an executable that is to be loaded at its physical addresses.

    Raises:
        ElfError: it is not a 64-bit x86-64 executable, or is damaged or cut short.
    """
    try:
        return _read(data)
    except (struct.error, IndexError, ValueError) as error:
        raise ElfError(f"the ELF file is damaged: {error}") from error


def _read(data: bytes) -> Executable:
    if data[:6] != _IDENT[:6]:
        raise ElfError("not a 64-bit ELF file")
    (_, kind, machine, _, entry, phoff, shoff, _, _, phentsize, phnum, shentsize, shnum, _,
     ) = _EHDR.unpack(_slice(data, 0, _EHDR.size))
    if kind != _ET_EXEC or machine != _EM_X86_64:
        raise ElfError("not an x86-64 executable")
    segments = []
    for p_type, _, offset, _, pa, filesz, memsz, _ in _table(data, phoff, phentsize, phnum, _PHDR):
        if p_type == _PT_LOAD:
            if filesz > memsz:
                raise ElfError(f"a segment of {memsz} bytes has {filesz} in the file")
            segments.append((pa, _slice(data, offset, filesz), memsz))
    headers = _table(data, shoff, shentsize, shnum, _SHDR)
    symbols: dict[str, int] = {}
    for header in headers:
        if header[1] != _SHT_SYMTAB:
            continue
        strings = headers[header[6]]
        names = _slice(data, strings[4], strings[5])
        for name, _, _, _, value, _ in _SYM.iter_unpack(_slice(data, header[4], header[5])):
            if name:
                symbols[names[name : names.index(b"\0", name)].decode()] = value
    return Executable(entry, segments, symbols)


def _table(data: bytes, offset: int, entry_size: int, number: int,
           entry: struct.Struct) -> list[tuple[int, ...]]:
    if number and entry_size != entry.size:
        raise ElfError(f"the entries of a table have {entry_size} bytes, not {entry.size}")
    return list(entry.iter_unpack(_slice(data, offset, number * entry.size)))


def _slice(data: bytes, offset: int, size: int) -> bytes:
    if offset + size > len(data):
        raise ElfError(f"the ELF file ends at {len(data)}, before {offset + size}")
    return data[offset : offset + size]
