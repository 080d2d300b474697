"""The vDSO as a file: does everybody who reads such files understand it?"""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import pytest
from elftools.elf.dynamic import DynamicSection
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerDefSection, GNUVerSymSection
from elftools.elf.hash import ELFHashSection, GNUHashSection
from elftools.elf.sections import NoteSection, SymbolTableSection

from emulator.arch.paging import PAGE_SIZE
from guest_kernel import vdso_image
from guest_kernel.syscall_table import load

NAMES = {name for function in vdso_image.FUNCTIONS for name in (function, f"__vdso_{function}")}


@pytest.fixture(scope="module")
def image() -> bytes:
    return vdso_image.build(vdso_image.source(), vdso_image.numbers(load()))


@pytest.fixture
def elf(image: bytes) -> ELFFile:
    return ELFFile(io.BytesIO(image))


def test_it_fits_into_a_page_and_is_always_the_same(image: bytes) -> None:
    """Is it one page at most, and equal each time?"""
    assert len(image) <= PAGE_SIZE
    assert vdso_image.build(vdso_image.source(), vdso_image.numbers(load())) == image


def test_too_much_code_is_refused() -> None:
    """Is a text that does not fit an error, and not a vDSO of half its functions?"""
    symbols = vdso_image.numbers(load())
    with pytest.raises(ValueError, match=r"^vDSO: \d+ bytes, more than a page$"):
        vdso_image.build(f"{vdso_image.source()}\n.fill 4096, 1, 0x90", symbols)


def test_functions_are_there_under_two_names(elf: ELFFile) -> None:
    """Is each function a global symbol, and a weak one without the prefix, of LINUX_2.6?"""
    symbols = elf.get_section_by_name(".dynsym")
    assert isinstance(symbols, SymbolTableSection)
    versions = elf.get_section_by_name(".gnu.version")
    definitions = elf.get_section_by_name(".gnu.version_d")
    assert isinstance(versions, GNUVerSymSection)
    assert isinstance(definitions, GNUVerDefSection)
    text = elf.get_section_by_name(".text")
    found = {}
    for index, symbol in enumerate(symbols.iter_symbols()):
        if not index:
            continue
        assert symbol["st_info"]["type"] == "STT_FUNC"
        assert symbol["st_info"]["bind"] == (
            "STB_GLOBAL" if symbol.name.startswith("__vdso_") else "STB_WEAK")
        assert elf.get_section(symbol["st_shndx"]).name == ".text"
        assert text["sh_addr"] <= symbol["st_value"]
        assert symbol["st_value"] + symbol["st_size"] <= text["sh_addr"] + text["sh_size"]
        number = versions.get_symbol(index)["ndx"]
        _, names = definitions.get_version(number)
        assert [name.name for name in names] == ["LINUX_2.6"]
        found[symbol.name] = symbol["st_value"], symbol["st_size"]
    assert found.keys() == NAMES
    assert all(found[name] == found[f"__vdso_{name}"] for name in vdso_image.FUNCTIONS)
    # They follow each other: no byte of the text is in none.
    assert sum(size for _, size in set(found.values())) == text["sh_size"]


def test_hash_tables_find_each_name_and_no_other(elf: ELFFile) -> None:
    """Do both kinds of table lead to the symbol?"""
    for name, kind in ((".hash", ELFHashSection), (".gnu.hash", GNUHashSection)):
        table = elf.get_section_by_name(name)
        assert isinstance(table, kind)
        for wanted in NAMES:
            assert table.get_symbol(wanted).name == wanted
        for other in ("clock_settime", "__vdso_", "", "LINUX_2.6"):
            assert table.get_symbol(other) is None
        assert table.get_number_of_symbols() == len(NAMES) + 1


def test_dynamic_section_says_where_all_is(elf: ELFFile) -> None:
    """Does it lead to the sections of those names, and need nobody and no relocation?"""
    dynamic = elf.get_section_by_name(".dynamic")
    assert isinstance(dynamic, DynamicSection)
    tags = {tag.entry.d_tag: tag.entry.d_val for tag in dynamic.iter_tags()}
    assert next(dynamic.iter_tags("DT_SONAME")).soname == "linux-vdso.so.1"
    for tag, name in (("DT_HASH", ".hash"), ("DT_GNU_HASH", ".gnu.hash"),
                      ("DT_SYMTAB", ".dynsym"), ("DT_STRTAB", ".dynstr"),
                      ("DT_VERSYM", ".gnu.version"), ("DT_VERDEF", ".gnu.version_d")):
        assert tags[tag] == elf.get_section_by_name(name)["sh_addr"], tag
    assert not {"DT_NEEDED", "DT_RELA", "DT_REL", "DT_JMPREL", "DT_TEXTREL"} & tags.keys()


def test_segments_cover_the_sections(elf: ELFFile, image: bytes) -> None:
    """Is one page loaded, executable and not writable, with the others inside?"""
    load_segment, *others = elf.iter_segments()
    assert load_segment["p_type"] == "PT_LOAD"
    assert load_segment["p_flags"] == 5
    assert (load_segment["p_offset"], load_segment["p_vaddr"]) == (0, 0)
    assert load_segment["p_filesz"] == load_segment["p_memsz"] == len(image)
    assert [segment["p_type"] for segment in others] == ["PT_DYNAMIC", "PT_NOTE",
                                                         "PT_GNU_EH_FRAME"]
    for section in elf.iter_sections():
        assert section["sh_addralign"] == 0 or section["sh_addr"] % section["sh_addralign"] == 0


def test_note_and_frames_can_be_read(elf: ELFFile) -> None:
    """Does the note name Linux, and do the frames say that the return address is on top?"""
    note = elf.get_section_by_name(".note")
    assert isinstance(note, NoteSection)
    assert [(n["n_name"], n["n_desc"]) for n in note.iter_notes()]
    entries = elf.get_dwarf_info().EH_CFI_entries()
    cie, fde = entries[0], entries[1]
    text = elf.get_section_by_name(".text")
    assert (fde.header["initial_location"], fde.header["address_range"]) == (
        text["sh_addr"], text["sh_size"])
    (row,) = cie.get_decoded().table
    assert (row["cfa"].reg, row["cfa"].offset) == (7, 8)
    assert row[16].arg == -8


@pytest.mark.skipif(shutil.which("gdb") is None, reason="no gdb here")
def test_gdb_reads_it(image: bytes, tmp_path: Path) -> None:
    """Does gdb know its functions, and disassemble one to its end?"""
    path = tmp_path / "vdso.so"
    path.write_bytes(image)
    done = subprocess.run(
        ["gdb", "-nx", "-batch", "-ex", "info functions", "-ex", "disassemble __vdso_getcpu",
         str(path)], capture_output=True, text=True, check=True, timeout=60)
    assert "warning" not in done.stderr.lower()
    for name in NAMES:
        assert name in done.stdout
    assert "ret" in done.stdout.partition("Dump of assembler code")[2]
