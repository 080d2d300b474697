"""The loader's structures against pyelftools' own parser."""

import io

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.enums import ENUM_E_MACHINE, ENUM_E_TYPE, ENUM_P_TYPE_BASE

from guest_kernel.process.elf_structs import record
from tests.programs.debian import program

_ENUMS = {"e_type": ENUM_E_TYPE, "e_machine": ENUM_E_MACHINE, "p_type": ENUM_P_TYPE_BASE}


def _number(name: str, value: object) -> object:
    return _ENUMS[name].get(value, value) if name in _ENUMS else value


@pytest.mark.parametrize("name", ["busybox", "bash-static", "zsh-static"])
def test_headers_are_what_pyelftools_reads(name: str) -> None:
    """Is every member of the file's header and of each program header the same?"""
    data = program(name).read_bytes()
    elf = ELFFile(io.BytesIO(data))
    header = record("Elf_Ehdr").read(data)
    for member in header.keys() - {"e_ident", "e_version"}:
        assert header[member] == _number(member, elf.header[member]), member
    phdr = record("Elf_Phdr")
    assert elf.num_segments() > 3
    for index, segment in enumerate(elf.iter_segments()):
        found = phdr.read(data, header["e_phoff"] + index * phdr.size)
        assert found == {member: _number(member, value)
                         for member, value in segment.header.items()}
