"""The vDSO: a shared object of one page, made of ``asm/vdso.asm`` with the kernel image.

Its dynamic section lets a dynamic linker find the functions, its section headers a debugger::

    ELF header, program headers
    .hash .gnu.hash .dynsym .dynstr .gnu.version .gnu.version_d     who has which name
    .dynamic .note .eh_frame_hdr .eh_frame
    .text
    .shstrtab, section headers

It can lie anywhere: nothing in it is relocated, and its data are always the page before it.

See: Linux Documentation/ABI/stable/vdso, arch/x86/entry/vdso/vdso.lds.S; vdso(7); System V ABI,
"Dynamic Linking"; Linux Standard Base Core, "Symbol Versioning" and "Exception Frames".
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from emulator import assembler, sources
from emulator.arch.paging import PAGE_SIZE
from guest_kernel.layout.vdso import vdso_data
from guest_kernel.syscall_table import Row
from guest_kernel.time.clocks import (
    CLOCK_BOOTTIME,
    CLOCK_MONOTONIC,
    CLOCK_MONOTONIC_COARSE,
    CLOCK_MONOTONIC_RAW,
    CLOCK_REALTIME,
    CLOCK_REALTIME_COARSE,
    CLOCK_TAI,
    HRTIMER_RESOLUTION,
)
from guest_kernel.time.hrtimer import TICK_NSEC
from guest_kernel.time.timekeeping import NSEC_PER_SEC, NSEC_PER_USEC

SONAME: Final = "linux-vdso.so.1"
VERSION: Final = "LINUX_2.6"
FUNCTIONS: Final = ("clock_gettime", "gettimeofday", "time", "getcpu", "clock_getres")

_EHDR: Final = struct.Struct("<16sHHIQQQIHHHHHH")
_PHDR: Final = struct.Struct("<IIQQQQQQ")
_SHDR: Final = struct.Struct("<IIQQQQIIQQ")
_SYM: Final = struct.Struct("<IBBHQQ")
_DYN: Final = struct.Struct("<QQ")
_VERDEF: Final = struct.Struct("<HHHHIII")
_VERDAUX: Final = struct.Struct("<II")

_ET_DYN, _EM_X86_64 = 3, 62
_PT_LOAD, _PT_DYNAMIC, _PT_NOTE, _PT_GNU_EH_FRAME = 1, 2, 4, 0x6474_E550
_PF_X, _PF_R = 1, 4
_SHT_PROGBITS, _SHT_STRTAB, _SHT_HASH, _SHT_DYNAMIC, _SHT_NOTE, _SHT_DYNSYM = 1, 3, 5, 6, 7, 11
_SHT_GNU_HASH, _SHT_GNU_VERDEF, _SHT_GNU_VERSYM = 0x6FFF_FFF6, 0x6FFF_FFFD, 0x6FFF_FFFF
_SHF_ALLOC, _SHF_EXECINSTR = 2, 4
_STB_GLOBAL, _STB_WEAK, _STT_FUNC = 1, 2, 2
_DT_HASH, _DT_STRTAB, _DT_SYMTAB, _DT_STRSZ, _DT_SYMENT, _DT_SONAME = 4, 5, 6, 10, 11, 14
_DT_GNU_HASH, _DT_VERSYM, _DT_VERDEF, _DT_VERDEFNUM = (
    0x6FFF_FEF5, 0x6FFF_FFF0, 0x6FFF_FFFC, 0x6FFF_FFFD)
_VER_FLG_BASE: Final = 1
_NT_VERSION: Final = 0
_LINUX_VERSION: Final = 0x06_0C_00  # of the kernel that it belongs to: 6.12.0
_NR_BUCKETS: Final = 3
_BLOOM_SHIFT: Final = 6
_TEXT_ALIGN: Final = 16


class _Section(NamedTuple):
    name: str
    kind: int
    data: bytes
    flags: int = _SHF_ALLOC
    align: int = 8
    entsize: int = 0
    link: str = ""
    info: int = 0


def numbers(rows: Sequence[Row]) -> dict[str, int]:
    """Return every number that the assembly uses by name."""
    calls = {row.name: row.number for row in rows}
    fine = (CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_MONOTONIC_RAW, CLOCK_BOOTTIME, CLOCK_TAI)
    coarse = (CLOCK_REALTIME_COARSE, CLOCK_MONOTONIC_COARSE)
    wall = (CLOCK_REALTIME, CLOCK_REALTIME_COARSE, CLOCK_TAI)
    return {
        **{f"VD_{name.upper()}": field.offset for name, field in vdso_data.fields.items()},
        "CLOCK_MAX": CLOCK_TAI, "CLOCKS_FINE": sum(1 << clock for clock in fine),
        "CLOCKS_COARSE": sum(1 << clock for clock in coarse),
        "CLOCKS_WALL": sum(1 << clock for clock in wall),
        "TICK_NSEC": TICK_NSEC, "HRTIMER_RESOLUTION": HRTIMER_RESOLUTION,
        "NSEC_PER_SEC": NSEC_PER_SEC, "NSEC_PER_USEC": NSEC_PER_USEC,
        "NR_CLOCK_GETTIME": calls["clock_gettime"], "NR_CLOCK_GETRES": calls["clock_getres"],
    }


def build(source: str, symbols: dict[str, int]) -> bytes:
    """Return the shared object.

    Args:
        source: ``asm/vdso.asm``.
        symbols: of :func:`numbers`.

    Raises:
        ValueError: it does not fit into a page.
    """
    # The size of everything before the text does not depend on where the text lies.
    draft = _before_text({}, 0)
    start = -(-_end(draft) // _TEXT_ALIGN) * _TEXT_ALIGN
    text, labels = assembler.assemble(
        f"vdso_text:\n{source}", start,
        symbols | {"FROM_DATA_TO_TEXT": start + vdso_data.size})
    return _file(_before_text(_symbols(labels, start + len(text)), len(text)), start, text)


def source() -> str:
    """Return the text that :func:`build` takes."""
    return sources.read_text(sources.beside(__file__, "asm/vdso.asm"))


def _symbols(labels: dict[str, int], end: int) -> dict[str, tuple[int, int]]:
    """Return address and size of each function."""
    starts = [labels[f"__vdso_{name}"] for name in FUNCTIONS]
    ends = [*starts[1:], end]
    return {name: (start, stop - start)
            for name, start, stop in zip(FUNCTIONS, starts, ends, strict=True)}


def _before_text(functions: dict[str, tuple[int, int]], text_size: int) -> list[_Section]:
    """Return the sections in front of the text; of the same size whatever they say."""
    names = [name for function in FUNCTIONS for name in (function, f"__vdso_{function}")]
    names.sort(key=lambda name: _gnu_hash(name) % _NR_BUCKETS)  # as .gnu.hash wants it
    strings = b"\0" + b"".join(s.encode() + b"\0" for s in (SONAME, VERSION, *names))

    def string(text: str) -> int:
        return strings.index(b"\0" + text.encode() + b"\0") + 1

    table = bytes(_SYM.size)
    for name in names:
        weak = not name.startswith("__vdso_")
        address, size = functions.get(name.removeprefix("__vdso_"), (0, 0))
        table += _SYM.pack(string(name), (_STB_WEAK if weak else _STB_GLOBAL) << 4 | _STT_FUNC,
                           0, _TEXT_INDEX, address, size)
    versions = struct.pack(f"<{len(names) + 1}H", 0, *[2] * len(names))
    definitions = b"".join(
        _VERDEF.pack(1, flags, index, 1, _elf_hash(name), _VERDEF.size,
                     following) + _VERDAUX.pack(string(name), 0)
        for flags, index, name, following in (
            (_VER_FLG_BASE, 1, SONAME, _VERDEF.size + _VERDAUX.size), (0, 2, VERSION, 0)))
    sections = [
        _Section(".hash", _SHT_HASH, _hash_table(names), entsize=4, link=".dynsym"),
        _Section(".gnu.hash", _SHT_GNU_HASH, _gnu_hash_table(names), link=".dynsym"),
        _Section(".dynsym", _SHT_DYNSYM, table, entsize=_SYM.size, link=".dynstr", info=1),
        _Section(".dynstr", _SHT_STRTAB, strings, align=1),
        _Section(".gnu.version", _SHT_GNU_VERSYM, versions, align=2, entsize=2, link=".dynsym"),
        _Section(".gnu.version_d", _SHT_GNU_VERDEF, definitions, link=".dynstr", info=2),
    ]
    place = dict(zip((s.name for s in sections), _places(sections), strict=True))
    dynamic = b"".join(_DYN.pack(tag, value) for tag, value in (
        (_DT_SONAME, string(SONAME)), (_DT_HASH, place[".hash"]),
        (_DT_GNU_HASH, place[".gnu.hash"]), (_DT_STRTAB, place[".dynstr"]),
        (_DT_SYMTAB, place[".dynsym"]), (_DT_STRSZ, len(strings)), (_DT_SYMENT, _SYM.size),
        (_DT_VERDEF, place[".gnu.version_d"]), (_DT_VERDEFNUM, 2),
        (_DT_VERSYM, place[".gnu.version"]), (0, 0)))
    note = struct.pack("<III8sI", 6, 4, _NT_VERSION, b"Linux", _LINUX_VERSION)
    sections += [_Section(".dynamic", _SHT_DYNAMIC, dynamic, entsize=_DYN.size, link=".dynstr"),
                 _Section(".note", _SHT_NOTE, note, align=4)]
    frames = _end(sections)
    frames = -(-frames // 8) * 8
    return [*sections, *_unwind_sections(frames, text_size)]


def _unwind_sections(place: int, text_size: int) -> list[_Section]:
    """Return .eh_frame_hdr, which is to lie at ``place``, and .eh_frame.

    No function moves the stack: the frame's address is always RSP + 8.
    """
    header_size = 20
    frame = -(-(place + header_size) // 8) * 8
    cie = struct.pack("<IB3sBBBBB5s", 0, 1, b"zR\0", 1, 0x78, 16, 1, 0x1B,
                      bytes([0x0C, 7, 8, 0x90, 1]))
    cie = struct.pack("<I", -(-len(cie) // 4) * 4) + cie.ljust(-(-len(cie) // 4) * 4, b"\0")
    begin = frame + len(cie)
    end = begin + 20
    text = -(-(end + 4) // _TEXT_ALIGN) * _TEXT_ALIGN
    fde = struct.pack("<IIiIB3x", 16, len(cie) + 4, text - (begin + 8), text_size, 0)
    header = struct.pack("<BBBBiIii", 1, 0x1B, 0x03, 0x3B, frame - (place + 4), 1, text - place,
                         begin - place)
    assert len(header) == header_size
    return [_Section(".eh_frame_hdr", _SHT_PROGBITS, header),
            _Section(".eh_frame", _SHT_PROGBITS, cie + fde + bytes(4))]


def _places(sections: Sequence[_Section]) -> list[int]:
    """Return where each section begins, behind the headers and those before it."""
    places, end = [], _EHDR.size + 4 * _PHDR.size
    for section in sections:
        place = -(-end // section.align) * section.align
        places.append(place)
        end = place + len(section.data)
    return places


def _end(sections: Sequence[_Section]) -> int:
    return _places(sections)[-1] + len(sections[-1].data)


def _file(before: list[_Section], start: int, text: bytes) -> bytes:
    names = [*(section.name for section in before), ".text", ".shstrtab"]
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in names)
    sections = [*before, _Section(".text", _SHT_PROGBITS, text, _SHF_ALLOC | _SHF_EXECINSTR,
                                  _TEXT_ALIGN),
                _Section(".shstrtab", _SHT_STRTAB, strings, 0, 1)]
    places = _places(sections)
    assert places[-2] == start
    headers = -(-(places[-1] + len(strings)) // 8) * 8
    size = headers + (len(sections) + 1) * _SHDR.size
    if size > PAGE_SIZE:
        raise ValueError(f"vDSO: {size} bytes, more than a page")
    image = bytearray(size)
    indices = {section.name: index + 1 for index, section in enumerate(sections)}
    assert indices[".text"] == _TEXT_INDEX
    for section, place in zip(sections, places, strict=True):
        image[place : place + len(section.data)] = section.data
        _SHDR.pack_into(image, headers + indices[section.name] * _SHDR.size,
                        strings.index(b"\0" + section.name.encode() + b"\0") + 1, section.kind,
                        section.flags, place if section.flags else 0, place, len(section.data),
                        indices.get(section.link, 0), section.info, section.align,
                        section.entsize)
    _EHDR.pack_into(image, 0, b"\x7fELF\x02\x01\x01".ljust(16, b"\0"), _ET_DYN, _EM_X86_64, 1, 0,
                    _EHDR.size, headers, 0, _EHDR.size, _PHDR.size, 4, _SHDR.size,
                    len(sections) + 1, indices[".shstrtab"])
    by_name = dict(zip(indices, zip(sections, places, strict=True), strict=True))
    _PHDR.pack_into(image, _EHDR.size, _PT_LOAD, _PF_R | _PF_X, 0, 0, 0, size, size, PAGE_SIZE)
    for index, (kind, name) in enumerate((
            (_PT_DYNAMIC, ".dynamic"), (_PT_NOTE, ".note"), (_PT_GNU_EH_FRAME, ".eh_frame_hdr"))):
        section, place = by_name[name]
        _PHDR.pack_into(image, _EHDR.size + (index + 1) * _PHDR.size, kind, _PF_R, place, place,
                        place, len(section.data), len(section.data), section.align)
    return bytes(image)


_TEXT_INDEX: Final = 11  # of .text among the section headers


def _elf_hash(name: str) -> int:
    """See System V ABI, "Hash Table"."""
    value = 0
    for byte in name.encode():
        value = (value << 4) + byte
        high = value & 0xF000_0000
        value = (value ^ high >> 24) & ~high & 0xFFFF_FFFF
    return value


def _gnu_hash(name: str) -> int:
    value = 5381
    for byte in name.encode():
        value = value * 33 + byte & 0xFFFF_FFFF
    return value


def _hash_table(names: Sequence[str]) -> bytes:
    buckets, chains = [0] * _NR_BUCKETS, [0] * (len(names) + 1)
    for index, name in enumerate(names, 1):
        bucket = _elf_hash(name) % _NR_BUCKETS
        chains[index], buckets[bucket] = buckets[bucket], index
    return struct.pack(f"<{2 + len(buckets) + len(chains)}I", len(buckets), len(chains), *buckets,
                       *chains)


def _gnu_hash_table(names: Sequence[str]) -> bytes:
    """Return the table for symbols in the order of ``names``, which is by bucket."""
    hashes = [_gnu_hash(name) for name in names]
    bloom = 0
    for value in hashes:
        bloom |= 1 << value % 64 | 1 << (value >> _BLOOM_SHIFT) % 64
    buckets, chain = [0] * _NR_BUCKETS, []
    for index, value in enumerate(hashes):
        bucket = value % _NR_BUCKETS
        buckets[bucket] = buckets[bucket] or index + 1
        last = index + 1 == len(hashes) or hashes[index + 1] % _NR_BUCKETS != bucket
        chain.append(value & ~1 | last)
    return struct.pack("<IIIIQ", _NR_BUCKETS, 1, 1, _BLOOM_SHIFT, bloom) + struct.pack(
        f"<{len(buckets) + len(chain)}I", *buckets, *chain)
