"""Names and lines of code: what an ELF file says of itself, and where it lies in memory.

A file is parsed once, by its content; a :class:`Module` is the file at an address.
"""

from __future__ import annotations

import io
import os
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any, Final, NamedTuple

from elftools.common.exceptions import ELFError
from elftools.dwarf.callframe import CIE, ZERO
from elftools.elf.elffile import ELFFile

from ringlet.debugger.variables import Variables

_STT_FUNC: Final = "STT_FUNC"
_SYMBOL_TYPES: Final = (_STT_FUNC, "STT_OBJECT", "STT_NOTYPE", "STT_GNU_IFUNC")


class Symbol(NamedTuple):
    """A name: where it is, and how many bytes it names; 0: up to the next."""

    address: int
    size: int
    name: str


class Line(NamedTuple):
    """A line of source, and the code that was made of it.

    Attributes:
        file: as the compiler was given it, with its directory.
        line: from 1.
        start, end: addresses of one piece of its code.
    """

    file: str
    line: int
    start: int
    end: int


class Rule(NamedTuple):
    """How to find the caller's frame from an address on: see DWARF 4, "Call Frame Information".

    Attributes:
        register, offset: the canonical frame address is this register's value plus the offset.
        saved: where registers were saved, by their DWARF number: bytes from that address.
    """

    register: int
    offset: int
    saved: Mapping[int, int]


class SymbolTable:
    """Symbols in order of address."""

    def __init__(self, symbols: Iterator[Symbol] | Sequence[Symbol]) -> None:
        self.symbols = sorted(symbols)
        self._addresses = [symbol.address for symbol in self.symbols]
        self.by_name: dict[str, int] = {}
        for symbol in self.symbols:
            self.by_name.setdefault(symbol.name, symbol.address)

    def at(self, address: int) -> Symbol | None:
        """Return the symbol that an address belongs to."""
        place = bisect_right(self._addresses, address)
        while place:
            symbol = self.symbols[place - 1]
            if address < symbol.address + symbol.size or not symbol.size:
                return symbol
            if self.symbols[place - 1].address < address - (1 << 24):
                return None
            place -= 1
        return None


class Image:
    """What an ELF file says of its code, by the addresses in the file."""

    def __init__(self, content: bytes) -> None:
        """
        Raises:
            ValueError: it is no ELF file that can be read.
        """
        try:
            self._elf = ELFFile(io.BytesIO(content))
            self.relocatable: bool = self._elf["e_type"] == "ET_DYN"
            self.segments: list[tuple[int, int, int]] = [
                (segment["p_offset"], segment["p_vaddr"], segment["p_filesz"])
                for segment in self._elf.iter_segments("PT_LOAD")]
        except (ELFError, ValueError, KeyError, OverflowError) as error:
            raise ValueError(f"not an ELF file: {error}") from error

    @cached_property
    def table(self) -> SymbolTable:
        """The symbols; of a stripped file only the dynamic ones."""
        found: list[Symbol] = []
        for name in (".symtab", ".dynsym"):
            section: Any = self._elf.get_section_by_name(name)
            if section is not None and not found:
                found += [Symbol(symbol["st_value"], symbol["st_size"], symbol.name)
                          for symbol in section.iter_symbols()
                          if symbol["st_info"]["type"] in _SYMBOL_TYPES and symbol["st_value"]
                          and symbol["st_shndx"] != "SHN_UNDEF" and symbol.name]
        return SymbolTable(found)

    @cached_property
    def _dwarf(self) -> Any:
        return self._elf.get_dwarf_info() if self._elf.has_dwarf_info() else None

    @cached_property
    def variables(self) -> Variables | None:
        """What is known of variables; None without debugging information."""
        if self._dwarf is None or not self._dwarf.has_debug_info:
            return None
        return Variables(self._dwarf)

    @cached_property
    def lines(self) -> list[Line]:
        """Every line of the line-number program, in order of address."""
        found: list[Line] = []
        if self._dwarf is None or not self._dwarf.has_debug_info:
            return found
        for unit in self._dwarf.iter_CUs():
            program = self._dwarf.line_program_for_CU(unit)
            if program is not None:
                found += _lines(program, unit)
        found.sort(key=lambda line: (line.start, line.end))
        return found

    @cached_property
    def _line_starts(self) -> list[int]:
        return [line.start for line in self.lines]

    def line_at(self, address: int) -> Line | None:
        """Return the line that an address belongs to."""
        place = bisect_right(self._line_starts, address)
        if place and address < self.lines[place - 1].end:
            return self.lines[place - 1]
        return None

    def code_of(self, file: str, number: int) -> list[int]:
        """Return where a line begins, once in each function; if it has no code, the next that has.

        Args:
            file: the end of its path, whole components.
        """
        ours = [line for line in self.lines if _is_path_end(file, line.file)]
        numbers = sorted({line.line for line in ours if line.line >= number})
        if not numbers:
            return []
        places: dict[str, int] = {}
        for line in ours:
            if line.line == numbers[0]:
                symbol = self.table.at(line.start)
                places.setdefault(symbol.name if symbol else "", line.start)
        return sorted(places.values())

    def after_prologue(self, address: int) -> int:
        """Return where a function's body begins: at its second line, as gdb has it."""
        first = self.line_at(address)
        symbol = self.table.at(address)
        if first is None or symbol is None:
            return address
        place = bisect_right(self._line_starts, address)
        while place < len(self.lines):
            line = self.lines[place]
            if line.start >= symbol.address + symbol.size:
                break
            if line.start > address:
                return line.start
            place += 1
        return address

    @cached_property
    def _frames(self) -> list[tuple[int, int, Any]]:
        found: list[tuple[int, int, Any]] = []
        dwarf = self._elf.get_dwarf_info(relocate_dwarf_sections=False) if (
            self._elf.get_section_by_name(".eh_frame") is not None) else None
        if dwarf is None:
            return found
        entries = dwarf.EH_CFI_entries() if dwarf.has_EH_CFI() else dwarf.CFI_entries()
        for entry in entries:
            if not isinstance(entry, (CIE, ZERO)):
                start = entry["initial_location"]
                found.append((start, start + entry["address_range"], entry))
        found.sort(key=lambda frame: frame[:2])
        return found

    @cached_property
    def _frame_starts(self) -> list[int]:
        return [frame[0] for frame in self._frames]

    def rule(self, address: int) -> Rule | None:
        """Return how to find the caller of the code at an address; None: it is not said."""
        place = bisect_right(self._frame_starts, address)
        if not place or address >= self._frames[place - 1][1]:
            return None
        row: dict[Any, Any] = {}
        for candidate in self._frames[place - 1][2].get_decoded().table:
            if candidate["pc"] > address:
                break
            row = candidate
        cfa = row.get("cfa")
        if cfa is None or cfa.reg is None:
            return None  # an expression: of the procedure linkage table
        saved = {number: rule.arg for number, rule in row.items()
                 if isinstance(number, int) and rule.type == "OFFSET"}
        return Rule(cfa.reg, cfa.offset, saved)


def _lines(program: Any, unit: Any) -> Iterator[Line]:
    """Yield the lines of one line-number program.  See DWARF 4, "Line Number Information"."""
    directory = unit.get_top_DIE().attributes.get("DW_AT_comp_dir")
    base = directory.value.decode("utf-8", "replace") if directory is not None else ""
    header = program.header
    five = header.version >= 5

    def path(number: int) -> str:
        entry = header.file_entry[number if five else number - 1]
        folders = header.include_directory
        index = entry.dir_index
        folder = b""
        if five:
            folder = folders[index] if index < len(folders) else b""
        elif index:
            folder = folders[index - 1]
        name = os.path.join(base, folder.decode("utf-8", "replace"),
                            entry.name.decode("utf-8", "replace"))
        return os.path.normpath(name)

    before = None
    for entry in program.get_entries():
        state = entry.state
        if state is None:
            continue
        if before is not None and state.address > before.address and before.line:
            yield Line(path(before.file), before.line, before.address, state.address)
        before = None if state.end_sequence else state


def _is_path_end(end: str, path: str) -> bool:
    return path == end or path.endswith("/" + end)


@lru_cache(maxsize=64)
def image(content: bytes) -> Image:
    """Return a file's image, parsed once.

    Raises:
        ValueError: it is no ELF file that can be read.
    """
    return Image(content)


class Module(NamedTuple):
    """An image in memory.

    Attributes:
        name: the file's path.
        image: what it says of itself.
        bias: what is added to its addresses.
        start, end: from its first mapping to behind its last.
    """

    name: str
    image: Image
    bias: int
    start: int
    end: int

    def symbol(self, va: int) -> str | None:
        """Return ``name+offset`` of an address, or ``name``."""
        symbol = self.image.table.at(va - self.bias)
        return None if symbol is None else offset_from(symbol, va - self.bias)

    def line(self, va: int) -> Line | None:
        """Return the line of an address, with addresses in memory."""
        line = self.image.line_at(va - self.bias)
        return None if line is None else line._replace(start=line.start + self.bias,
                                                       end=line.end + self.bias)


def offset_from(symbol: Symbol, address: int) -> str:
    """Return how people write an address in a symbol."""
    offset = address - symbol.address
    return f"{symbol.name}+{offset}" if offset else symbol.name
