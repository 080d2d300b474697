"""The two structures of an ELF file that the loader reads, as pyelftools declares them.

Parsing with pyelftools itself takes longer than all else that execve does, and importing it longer
than booting.  So its declarations are made into formats of :mod:`struct` once, and those kept in
the cache.  Its higher layers, which trust section headers, are not used.

See: elf(5); elftools.elf.structs.
"""

import struct
from functools import cache
from typing import Any, Final

from emulator import assembler, sources

STRUCTURES: Final = ("Elf_Ehdr", "Elf_Phdr")
_CODES: Final = {2: "H", 4: "I", 8: "Q", 16: "16s"}  # by size; e_ident is the one of 16 bytes


class Record:
    """How a structure lies in a file.

    Attributes:
        size: in bytes.
    """

    def __init__(self, layout: str, *names: str) -> None:
        self._struct = struct.Struct(layout)
        self._names = names
        self.size = self._struct.size

    def read(self, data: bytes, place: int = 0) -> dict[str, Any]:
        """Return a structure's members by name; it must be there whole."""
        return dict(zip(self._names, self._struct.unpack_from(data, place), strict=True))


@cache
def record(name: str) -> Record:
    """Return a structure of a 64-bit little-endian file, by pyelftools' name for it."""
    lines = assembler.cached("elf", sources.read(__file__), _describe).decode().splitlines()
    return Record(*lines[STRUCTURES.index(name)].split(" "))


def _describe() -> bytes:
    """Return a line for each structure: its format and its members' names."""
    from elftools.elf.structs import ELFStructs

    structs = ELFStructs(little_endian=True, elfclass=64)
    structs.create_basic_structs()
    structs.create_advanced_structs("ET_EXEC", "EM_X86_64", "ELFOSABI_SYSV")
    lines = []
    for name in STRUCTURES:
        members = getattr(structs, name).subcons
        layout = "<" + "".join(_CODES[member.sizeof()] for member in members)
        lines.append(" ".join([layout, *(member.name for member in members)]))
    return "\n".join(lines).encode()
