"""The table of system calls, as ``syscalls.tbl`` states it.

The file is the only place where a call's number is written.  From it come the kernel's own
table, userland's numbers and the binding of handlers, so a mistake in it stops here: each row
that cannot be right is a ``ValueError`` that names its line.

See: Linux arch/x86/entry/syscalls/syscall_64.tbl, whose format this is, and
scripts/syscalltbl.sh, which reads it.
"""

import os
import re
from functools import cache
from typing import NamedTuple

from emulator import sources

TABLE_NAME = "syscalls.tbl"

# "x32" is missing on purpose: its calls would need a second table.
ABIS = ("common", "64")

_NUMBER = "0|[1-9][0-9]*"
_NAME = "[a-z_][a-z0-9_]*"
_ENTRY = "sys_[a-z0-9_]+"
_ROW = re.compile(rf"({_NUMBER})\s+({'|'.join(ABIS)})\s+({_NAME})(?:\s+({_ENTRY}))?\s*")


class Row(NamedTuple):
    """One system call.

    Attributes:
        number: what a program puts into RAX.
        abi: "common" or "64".
        name: the call's name, as in ``<asm/unistd_64.h>`` after ``__NR_``.
        entry: the handler's name, or None for a call that answers ``-ENOSYS``.
    """

    number: int
    abi: str
    name: str
    entry: str | None


def find_table() -> str:
    """Return the path of ``syscalls.tbl``.

    In an installed wheel the file lies inside this package, in a checkout at the project's root.

    Raises:
        FileNotFoundError: it is in neither place; the installation is broken.
    """
    package = os.path.dirname(os.path.realpath(__file__))
    places = (os.path.join(package, TABLE_NAME), os.path.join(os.path.dirname(package), TABLE_NAME))
    for place in places:
        if os.path.isfile(place):
            return place
    raise FileNotFoundError(f"{TABLE_NAME} is neither at {places[0]} nor at {places[1]}")


@cache
def load() -> tuple[Row, ...]:
    """Return the rows of ``syscalls.tbl``, which is read once.

    Raises:
        FileNotFoundError, ValueError: see :func:`find_table` and :func:`parse`.
    """
    return tuple(parse(sources.read(find_table()).decode("ascii")))


@cache
def number(name: str) -> int:
    """Return the number of the call ``name``.

    Raises:
        KeyError: there is no such call.
    """
    return {row.name: row.number for row in load()}[name]


def parse(text: str) -> list[Row]:
    """Return the rows of a table, in order of number.

    Empty lines and lines that begin with ``#`` are skipped.

    Raises:
        ValueError: a row is malformed, or its number or name is out of order or already taken.
    """
    rows: list[Row] = []
    line_of_name: dict[str, int] = {}
    for line_number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            row = _parse_row(line)
            if rows and row.number <= rows[-1].number:
                raise ValueError(f"number {row.number} does not come after {rows[-1].number}")
            if row.name in line_of_name:
                raise ValueError(f"{row.name} is already on line {line_of_name[row.name]}")
        except ValueError as error:
            raise ValueError(f"{TABLE_NAME}:{line_number}: {error}") from None
        line_of_name[row.name] = line_number
        rows.append(row)
    return rows


def _parse_row(line: str) -> Row:
    if row := _ROW.fullmatch(line):
        return Row(int(row[1]), row[2], row[3], row[4])
    raise ValueError(_mistake(line))


def _mistake(line: str) -> str:
    """Return what is wrong with a malformed row."""
    fields = line.split()
    if len(fields) not in (3, 4):
        return f"{len(fields)} fields, not <number> <abi> <name> [<entry point>]"
    number, abi, name, *entry = fields
    if not re.fullmatch(_NUMBER, number):
        return f"number {number!r} is not a decimal number"
    if abi not in ABIS:
        return f"abi {abi!r} is not one of {', '.join(ABIS)}"
    if not re.fullmatch(_NAME, name):
        return f"name {name!r} is not a lower-case identifier"
    return f"entry point {entry[0]!r} does not begin with sys_ and a name"
