"""Turn an assembly source into an executable.

A source is what :mod:`emulator.assembler` takes, in the sections ``.text``, ``.data`` and ``.bss``,
begins in text, and may have

``.include "file"``
    to insert a file that lies beside the source.

``__NR_<name>`` is the number of a system call.

See: :mod:`emulator.elf` for how the program lies in the file and in memory.
"""

import os
import re
from typing import Final

from emulator import assembler, elf, sources
from emulator.arch.paging import PAGE_SIZE
from emulator.assembler import AssemblyError
from userland.numbers import assembler_symbols

__all__ = ["RECIPE", "AssemblyError", "assemble_program"]

# The sources that decide what a program is made into, for the key of whoever keeps programs.
RECIPE: Final = (*sources.inside(sources.beside(__file__, ""), ".py"), assembler.__file__,
                 elf.__file__)

IMAGE_BASE: Final = 0x400000
TEXT_ADDRESS: Final = IMAGE_BASE + PAGE_SIZE
ENTRY_LABEL: Final = "_start"

# Bss follows data at once: the ELF has them in one segment.
_ALIGNMENTS: Final = {".text": PAGE_SIZE, ".data": PAGE_SIZE, ".bss": 1}
_ELF_ALIGNMENTS: Final = {".text": 16, ".data": 16, ".bss": 1}
_INCLUDE: Final = r'\s*\.include\s+"([^"]+)"'


def assemble_program(path: str | os.PathLike[str]) -> bytes:
    """Assemble the source at ``path`` and return a static ELF64 executable.

    Raises:
        AssemblyError: the source is not accepted; the message names it.
        FileNotFoundError: the source, a file that it includes, or ``syscalls.tbl`` is missing.
    """
    try:
        parts, labels = assembler.assemble_sections(
            "\n".join(_lines(os.fspath(path))), TEXT_ADDRESS, _ALIGNMENTS, assembler_symbols())
    except AssemblyError as error:
        raise AssemblyError(f"{path}: {error}") from error
    if ENTRY_LABEL not in labels:
        raise AssemblyError(f"{path}: no label {ENTRY_LABEL}")
    sections = [elf.Section.named(part.name, part.address, part.data,
                                  align=_ELF_ALIGNMENTS[part.name]) for part in parts]
    return elf.write(sections, labels[ENTRY_LABEL], labels, headers_va=IMAGE_BASE)


def _lines(path: str) -> list[str]:
    """Return the source's lines with every included file in place."""
    lines: list[str] = []
    for line in sources.read_text(path).splitlines():
        include = re.match(_INCLUDE, line)
        lines += _lines(sources.beside(path, include[1])) if include else [line]
    return lines
