"""Do other readers see in our files what was written, and does ours refuse what is not ours?"""

from __future__ import annotations

import io
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
from elftools.elf.constants import P_FLAGS, SH_FLAGS
from elftools.elf.elffile import ELFFile
from hypothesis import given, settings
from hypothesis import strategies as st

from emulator.arch.paging import PAGE_SIZE
from emulator.elf import PF_R, PF_W, PF_X, ElfError, Executable, Section, read, write

TEXT, RODATA, DATA = 0x40_1000, 0x40_2000, 0x40_3000
HEADERS = 0x40_0000
CODE, CONSTANTS, VALUES = b"\x90" * 20, b"constants", b"values.."
BSS = DATA + len(VALUES)
BSS_SIZE = 0x2345
SYMBOLS = {"_start": TEXT, "routine": TEXT + 5, "text_end": TEXT + len(CODE), "constant": RODATA,
           "value": DATA, "other": DATA + 3, "zeros": BSS, "end": BSS + BSS_SIZE, "far": 0x1234}
SECTIONS = [Section.named(".text", TEXT, CODE, align=16),
            Section.named(".rodata", RODATA, CONSTANTS),
            Section.named(".data", DATA, VALUES),
            Section.named(".bss", BSS, bytes(BSS_SIZE), align=1)]
FILE = write(SECTIONS, TEXT, SYMBOLS, {"value": 2}, headers_va=HEADERS)

EHDR_SIZE, PHDR_SIZE = 64, 56


def parse(data: bytes) -> ELFFile:
    return ELFFile(io.BytesIO(data))


def loads(elf: ELFFile) -> list[tuple[int, ...]]:
    """Return address, physical address, size in the file and in memory, flags."""
    return [(s["p_vaddr"], s["p_paddr"], s["p_filesz"], s["p_memsz"], s["p_flags"])
            for s in elf.iter_segments() if s["p_type"] == "PT_LOAD"]


def symbols(elf: ELFFile) -> dict[str, Any]:
    return {s.name: s for s in elf.get_section_by_name(".symtab").iter_symbols() if s.name}


# ---- The writer


def test_header_says_what_it_is() -> None:
    """Is it an executable for x86-64?"""
    elf = parse(FILE)
    header = elf.header
    assert (header["e_type"], header["e_machine"], header["e_entry"]) == (
        "ET_EXEC", "EM_X86_64", TEXT)
    assert (elf.elfclass, elf.little_endian, header["e_ehsize"]) == (64, True, EHDR_SIZE)


def test_segments_are_the_sections_with_bss_behind_data() -> None:
    """Does each section lie in memory as asked, with the headers, and nothing else?"""
    elf = parse(FILE)
    headers = EHDR_SIZE + elf.num_segments() * PHDR_SIZE
    assert loads(elf) == [
        (HEADERS, HEADERS, headers, headers, PF_R),
        (TEXT, TEXT, len(CODE), len(CODE), PF_R | PF_X),
        (RODATA, RODATA, len(CONSTANTS), len(CONSTANTS), PF_R),
        (DATA, DATA, len(VALUES), len(VALUES) + BSS_SIZE, PF_R | PF_W),
    ]
    contents = [s.data() for s in elf.iter_segments() if s["p_type"] == "PT_LOAD"]
    assert contents[1:] == [CODE, CONSTANTS, VALUES]
    assert contents[0] == FILE[:headers]


def test_segments_can_be_mapped() -> None:
    """Do offset and address agree within the page, and is no page of the file in two segments?"""
    pages: set[int] = set()
    for segment in parse(FILE).iter_segments():
        if segment["p_type"] == "PT_LOAD":
            assert segment["p_offset"] % PAGE_SIZE == segment["p_vaddr"] % PAGE_SIZE
            assert segment["p_align"] == PAGE_SIZE
            own = set(range(segment["p_offset"] // PAGE_SIZE,
                            -(-(segment["p_offset"] + segment["p_filesz"]) // PAGE_SIZE)))
            assert not pages & own
            pages |= own


def test_nothing_is_writable_and_executable() -> None:
    """Is that so for each segment, the stack's too?"""
    segments = list(parse(FILE).iter_segments())
    assert [s["p_flags"] for s in segments if s["p_type"] == "PT_GNU_STACK"] == [PF_R | PF_W]
    for segment in segments:
        assert segment["p_flags"] & (P_FLAGS.PF_W | P_FLAGS.PF_X) != P_FLAGS.PF_W | P_FLAGS.PF_X


def test_sections_are_told() -> None:
    """Are name, place, kind, flags and alignment of each section there?"""
    alloc, write_, exec_ = SH_FLAGS.SHF_ALLOC, SH_FLAGS.SHF_WRITE, SH_FLAGS.SHF_EXECINSTR
    assert [(s.name, s["sh_type"], s["sh_addr"], s["sh_size"], s["sh_flags"], s["sh_addralign"])
            for s in parse(FILE).iter_sections()][1:5] == [
        (".text", "SHT_PROGBITS", TEXT, len(CODE), alloc | exec_, 16),
        (".rodata", "SHT_PROGBITS", RODATA, len(CONSTANTS), alloc, PAGE_SIZE),
        (".data", "SHT_PROGBITS", DATA, len(VALUES), alloc | write_, PAGE_SIZE),
        (".bss", "SHT_NOBITS", BSS, BSS_SIZE, alloc | write_, 1),
    ]


def test_symbols_have_kind_section_and_size() -> None:
    """Does each symbol reach to the next or as far as told, and belong to its section?"""
    found = symbols(parse(FILE))
    assert {name: s["st_value"] for name, s in found.items()} == SYMBOLS
    assert {s["st_info"]["bind"] for s in found.values()} == {"STB_GLOBAL"}
    functions = {name for name, s in found.items() if s["st_info"]["type"] == "STT_FUNC"}
    assert functions == {"_start", "routine", "text_end"}
    assert {name: (s["st_shndx"], s["st_size"]) for name, s in found.items()} == {
        "_start": (1, 5), "routine": (1, len(CODE) - 5), "text_end": (1, RODATA - TEXT - len(CODE)),
        "constant": (2, len(CONSTANTS)), "value": (3, 2), "other": (3, len(VALUES) - 3),
        "zeros": (4, BSS_SIZE), "end": (4, 0), "far": ("SHN_ABS", TEXT - 0x1234),
    }


def test_physical_addresses_may_differ() -> None:
    """Is a kernel's load address kept beside its address, and the headers left out?"""
    offset = 0xFFFF_FFFF_8000_0000
    sections = [Section.named(".text", TEXT + offset, CODE, pa=TEXT),
                Section.named(".data", DATA + offset, VALUES, pa=DATA)]
    elf = parse(write(sections, TEXT, {}))
    assert [(s[0], s[1]) for s in loads(elf)] == [(TEXT + offset, TEXT), (DATA + offset, DATA)]


def test_zeros_alone_are_a_segment_without_file_content() -> None:
    """Is .bss that does not follow data, or has other protection, a segment of its own?"""
    for sections in (
        [Section.named(".text", TEXT, CODE), Section.named(".bss", DATA, bytes(99))],
        [Section.named(".data", DATA - PAGE_SIZE, b"x"), Section.named(".bss", DATA, bytes(99))],
        [Section("ro", DATA - 4096, DATA - 4096, bytes(4096), 4096, PF_R),
         Section.named(".bss", DATA, bytes(99))],
    ):
        assert loads(parse(write(sections, 0, {})))[-1] == (DATA, DATA, 0, 99, PF_R | PF_W)


def test_empty_sections_make_no_segment() -> None:
    """Is a program without data or code still a file that can be read?"""
    sections = [Section.named(".text", TEXT, CODE), Section.named(".data", DATA, b""),
                Section.named(".bss", DATA, b"")]
    elf = parse(write(sections, TEXT, {}))
    assert [s[0] for s in loads(elf)] == [TEXT]
    assert [s.name for s in elf.iter_sections()][1:4] == [".text", ".data", ".bss"]
    assert loads(parse(write([], 0, {}))) == []


def test_readelf_has_nothing_to_complain_about(tmp_path: Path) -> None:
    """Does the GNU reader show everything without a warning?"""
    if shutil.which("readelf") is None:
        pytest.skip("not here: readelf (Debian: apt install binutils)")
    path = tmp_path / "file"
    path.write_bytes(FILE)
    done = subprocess.run(["readelf", "--wide", "--all", "--lint", path], capture_output=True,
                          text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for text in ("EXEC (Executable file)", "X86-64", ".bss", "routine", "GNU_STACK"):
        assert text in done.stdout


names = st.text(st.characters(min_codepoint=33, max_codepoint=0x2FF), min_size=1, max_size=12)


@settings(deadline=None)
@given(data=st.lists(st.binary(max_size=5000), max_size=4), zeros=st.integers(0, 10000),
       entry=st.integers(0, 2**64 - 1), labels=st.dictionaries(names, st.integers(0, 2**64 - 1)))
def test_what_is_written_is_read(data: list[bytes], zeros: int, entry: int,
                                 labels: dict[str, int]) -> None:
    """Do our reader and pyelftools find what was put in?"""
    sections, pa = [], 0x10_0000
    for index, content in enumerate(data):
        sections.append(Section(f".part{index}", pa, pa, content, len(content), PF_R | PF_W))
        pa += len(content)
        sections.append(Section(f".zeros{index}", pa, pa, None, zeros, PF_R | PF_W))
        pa = (pa + zeros + PAGE_SIZE) // PAGE_SIZE * PAGE_SIZE
    file = write(sections, entry, labels)
    starts = [section.pa for section in sections[::2]]
    assert read(file) == Executable(entry, [
        (start, content, len(content) + zeros) for start, content in zip(starts, data, strict=True)
        if len(content) + zeros], labels)
    assert {name: s["st_value"] for name, s in symbols(parse(file)).items()} == labels


# ---- The reader


def test_every_beginning_of_a_file_is_refused_or_complete() -> None:
    """Is a file that is cut short an ElfError, wherever it is cut?"""
    whole = read(FILE)
    for length in range(len(FILE)):
        if length % 61 and EHDR_SIZE * 6 < length < len(FILE) - 1500:
            continue  # in the contents, a few will do
        with pytest.raises(ElfError):
            read(FILE[:length])
    assert read(FILE + b"more") == whole


def test_a_stripped_file_has_no_symbols() -> None:
    """Is a file without section headers read?"""
    stripped = bytearray(FILE)
    struct.pack_into("<Q", stripped, 40, 0)  # e_shoff
    struct.pack_into("<HHH", stripped, 58, 0, 0, 0)  # e_shentsize, e_shnum, e_shstrndx
    result = read(bytes(stripped))
    assert result.segments[1:] == read(FILE).segments[1:]
    assert result.symbols == {}


@pytest.mark.parametrize(("offset", "value"), [
    (0, b"\x7fELG"), (4, b"\x01"), (5, b"\x02"),  # magic, 32 bits, big-endian
    (16, b"\x03\0"), (16, b"\x01\0"), (18, b"\x03\0"), (18, b"\xb7\0"),  # PIE, object, i386, arm64
    (32, b"\xff" * 8), (40, b"\xff" * 8), (32, b"\xff" * 7 + b"\x7f"),  # e_phoff, e_shoff
    (54, b"\x38\x01"), (56, b"\xff\xff"), (58, b"\x20\0"), (60, b"\xff\xff"),  # sizes, numbers
    (EHDR_SIZE + 8, b"\xff" * 8), (EHDR_SIZE + 32, b"\xff" * 8),  # p_offset, p_filesz
    (EHDR_SIZE + 40, bytes(8)),  # p_memsz below p_filesz
])
def test_a_foreign_or_damaged_file_is_refused(offset: int, value: bytes) -> None:
    """Is each wrong field in the headers an ElfError?"""
    damaged = bytearray(FILE)
    damaged[offset : offset + len(value)] = value
    with pytest.raises(ElfError):
        read(bytes(damaged))


def test_what_is_no_elf_is_refused() -> None:
    """Are other files ElfErrors, the host's own programs included?"""
    for data in (b"", b"\x7f", b"\x7fELF", b"#!/bin/sh\n", bytes(5000), b"MZ" + bytes(5000)):
        with pytest.raises(ElfError):
            read(data)
    shared = Path("/lib/x86_64-linux-gnu/libc.so.6")
    if shared.exists():
        with pytest.raises(ElfError, match="executable"):
            read(shared.read_bytes())


INTERESTING: Final = [0, 1, 2, 8, 0x7F, 0x80, 0xFFF, 0x7FFF, 0xFFFF, 0x7FFF_FFFF, 0xFFFF_FFFF,
                      2**63 - 1, 2**63, 2**64 - 64, 2**64 - 1]
# The headers, the section table with symbols and strings, or anywhere.
PLACES: Final = st.one_of(st.integers(0, EHDR_SIZE + 6 * PHDR_SIZE),
                          st.integers(len(FILE) - 1300, len(FILE) - 1),
                          st.integers(0, len(FILE) - 1))


@settings(max_examples=2000, deadline=None)
@given(changes=st.lists(st.tuples(PLACES, st.sampled_from([1, 2, 4, 8]),
                                  st.one_of(st.sampled_from(INTERESTING),
                                            st.integers(0, 2**64 - 1))),
                        min_size=1, max_size=5),
       length=st.one_of(st.none(), st.integers(0, len(FILE))))
def test_mutations_are_read_or_refused(changes: list[tuple[int, int, int]],
                                       length: int | None) -> None:
    """Does a changed file give a result that lies within the file, or an ElfError?"""
    data = bytearray(FILE)
    for offset, size, value in changes:
        data[offset : offset + size] = (value % 256**size).to_bytes(size, "little")
    data = data[:length]
    try:
        result = read(bytes(data))
    except ElfError:
        return
    for _, content, size in result.segments:
        assert len(content) <= min(size, len(data))


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    """Is whatever follows the magic number an ElfError at worst?"""
    for prefix in (b"", FILE[:4], FILE[:20], FILE[:EHDR_SIZE]):
        try:
            read(prefix + data)
        except ElfError:
            continue
