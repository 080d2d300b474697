"""Write a static ELF64 executable: text, data and bss, with a symbol table.

::

    file offset                       address
    0        ELF and program headers  IMAGE_BASE        R
    0x1000   .text                    TEXT_ADDRESS      R X
    page     .data, then .bss         data address      RW
    after    .symtab .strtab .shstrtab, section headers (not loaded)

Each segment starts on a page of its own, in the file and in memory, so no page is both writable
and executable.

See: System V ABI (generic), "Object Files"; elf(5).
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

PAGE_SIZE: Final = 4096
IMAGE_BASE: Final = 0x400000
TEXT_ADDRESS: Final = IMAGE_BASE + PAGE_SIZE

_ET_EXEC: Final = 2
_EM_X86_64: Final = 62
_PT_LOAD: Final = 1
_PT_GNU_STACK: Final = 0x6474E551
_PF_X, _PF_W, _PF_R = 1, 2, 4
_SHT_PROGBITS, _SHT_SYMTAB, _SHT_STRTAB, _SHT_NOBITS = 1, 2, 3, 8
_SHF_WRITE, _SHF_ALLOC, _SHF_EXECINSTR = 1, 2, 4
_STB_GLOBAL: Final = 1
_STT_OBJECT, _STT_FUNC = 1, 2

_EHDR: Final = struct.Struct("<16sHHIQQQIHHHHHH")
_PHDR: Final = struct.Struct("<IIQQQQQQ")
_SHDR: Final = struct.Struct("<IIQQQQIIQQ")
_SYM: Final = struct.Struct("<IBBHQQ")


class _Segment(NamedTuple):
    """One program header: ``size`` bytes of the file at ``offset``, in ``memory_size`` bytes."""

    type: int
    flags: int
    offset: int = 0
    address: int = 0
    size: int = 0
    memory_size: int = 0


class _Section(NamedTuple):
    """One section header; ``data`` is what the file holds of it at ``offset``."""

    name: str
    type: int
    flags: int
    address: int
    offset: int
    size: int
    link: int = 0
    info: int = 0
    align: int = 1
    entry_size: int = 0


@dataclass(frozen=True)
class Image:
    """A program as it will lie in memory.

    Attributes:
        text: instructions, from :data:`TEXT_ADDRESS`.
        data: initialised data, from :attr:`data_address`.
        bss_size: bytes of zeros that follow ``data``.
        symbols: address of each label; those of text become functions, the others objects.
        entry: address of the first instruction.
    """

    text: bytes
    data: bytes
    bss_size: int
    symbols: dict[str, int]
    entry: int

    @property
    def data_address(self) -> int:
        """Where data begins: the first page after text."""
        return page_align(TEXT_ADDRESS + len(self.text))


def page_align(value: int) -> int:
    """Round ``value`` up to a multiple of the page size."""
    return -(-value // PAGE_SIZE) * PAGE_SIZE


def write_executable(image: Image) -> bytes:
    """Return ``image`` as the bytes of an executable file."""
    segments = _segments(image)
    text_offset = PAGE_SIZE
    data_offset = text_offset + image.data_address - TEXT_ADDRESS
    out = bytearray(data_offset)
    out[text_offset : text_offset + len(image.text)] = image.text
    out += image.data

    bss_address = image.data_address + len(image.data)
    sections = [
        _Section("", 0, 0, 0, 0, 0, align=0),
        _Section(".text", _SHT_PROGBITS, _SHF_ALLOC | _SHF_EXECINSTR, TEXT_ADDRESS, text_offset,
                 len(image.text), align=16),
        _Section(".data", _SHT_PROGBITS, _SHF_ALLOC | _SHF_WRITE, image.data_address, data_offset,
                 len(image.data), align=16),
        _Section(".bss", _SHT_NOBITS, _SHF_ALLOC | _SHF_WRITE, bss_address, len(out),
                 image.bss_size, align=1),
    ]
    symtab, strtab = _symbol_table(image)
    _append(out, sections, ".symtab", _SHT_SYMTAB, symtab, link=len(sections) + 1, info=1,
            align=8, entry_size=_SYM.size)
    _append(out, sections, ".strtab", _SHT_STRTAB, strtab)
    names, name_offsets = _string_table([*(section.name for section in sections), ".shstrtab"])
    _append(out, sections, ".shstrtab", _SHT_STRTAB, names)

    out += bytes(-len(out) % 8)
    section_headers = len(out)
    for section in sections:
        out += _SHDR.pack(name_offsets[section.name], *section[1:])
    out[: _EHDR.size] = _EHDR.pack(
        b"\x7fELF\x02\x01\x01".ljust(16, b"\0"), _ET_EXEC, _EM_X86_64, 1, image.entry, _EHDR.size,
        section_headers, 0, _EHDR.size, _PHDR.size, len(segments), _SHDR.size, len(sections),
        len(sections) - 1,
    )
    for index, segment in enumerate(segments):
        align = PAGE_SIZE if segment.type == _PT_LOAD else 16
        _PHDR.pack_into(out, _EHDR.size + index * _PHDR.size, segment.type, segment.flags,
                        segment.offset, segment.address, segment.address, segment.size,
                        segment.memory_size, align)
    return bytes(out)


def _segments(image: Image) -> list[_Segment]:
    data_memory = len(image.data) + image.bss_size
    segments = [
        _Segment(_PT_LOAD, _PF_R, 0, IMAGE_BASE),
        _Segment(_PT_LOAD, _PF_R | _PF_X, PAGE_SIZE, TEXT_ADDRESS, len(image.text),
                 len(image.text)),
    ]
    if data_memory:
        data_offset = PAGE_SIZE + image.data_address - TEXT_ADDRESS
        segments.append(_Segment(_PT_LOAD, _PF_R | _PF_W, data_offset, image.data_address,
                                 len(image.data), data_memory))
    segments.append(_Segment(_PT_GNU_STACK, _PF_R | _PF_W))
    headers = _EHDR.size + len(segments) * _PHDR.size
    segments[0] = segments[0]._replace(size=headers, memory_size=headers)
    return segments


def _symbol_table(image: Image) -> tuple[bytes, bytes]:
    """Return ``.symtab`` and ``.strtab``; a symbol reaches up to the next one of its section."""
    text_end = TEXT_ADDRESS + len(image.text)
    bss_address = image.data_address + len(image.data)
    ends = [text_end, bss_address, bss_address + image.bss_size]
    starts = sorted({*image.symbols.values(), *ends})
    strtab, offsets = _string_table(image.symbols)
    symtab = bytearray(_SYM.size)
    for name, address in sorted(image.symbols.items(), key=lambda item: item[1]):
        # Sections of the file: 1 is .text, 2 .data, 3 .bss.
        section = 1 if address < image.data_address else 2 if address < bss_address else 3
        kind = _STT_FUNC if section == 1 else _STT_OBJECT
        size = next((start for start in starts if start > address), address) - address
        symtab += _SYM.pack(offsets[name], _STB_GLOBAL << 4 | kind, 0, section, address, size)
    return bytes(symtab), strtab


def _string_table(names: Iterable[str]) -> tuple[bytes, dict[str, int]]:
    """Return a string table and the offset of each name in it."""
    table = bytearray(1)
    offsets = {"": 0}
    for name in names:
        if name not in offsets:
            offsets[name] = len(table)
            table += name.encode() + b"\0"
    return bytes(table), offsets


def _append(out: bytearray, sections: list[_Section], name: str, kind: int, data: bytes, *,
            link: int = 0, info: int = 0, align: int = 1, entry_size: int = 0) -> None:
    """Add a section that is in the file but not in memory."""
    out += bytes(-len(out) % align)
    sections.append(_Section(name, kind, 0, 0, len(out), len(data), link, info, align, entry_size))
    out += data

