"""The table of system calls, as ``syscalls.tbl`` states it.

The file is the only place where a call's number is written.  From it come the kernel's own
table, userland's numbers and the binding of handlers, so a mistake in it stops here: each row
that cannot be right is a ``ValueError`` that names its line.

See: Linux arch/x86/entry/syscalls/syscall_64.tbl, whose format this is, and
scripts/syscalltbl.sh, which reads it.
"""

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

TABLE_NAME = "syscalls.tbl"

# "x32" is missing on purpose: its calls would need a second table.
ABIS = ("common", "64")

_NUMBER = re.compile(r"0|[1-9][0-9]*")
_NAME = re.compile(r"[a-z_][a-z0-9_]*")
_ENTRY = re.compile(r"sys_[a-z0-9_]+")


@dataclass(frozen=True, slots=True)
class Row:
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


def find_table() -> Path:
    """Return the path of ``syscalls.tbl``.

    In an installed wheel the file lies inside this package, in a checkout at the project's root.

    Raises:
        FileNotFoundError: it is in neither place; the installation is broken.
    """
    package = Path(__file__).resolve().parent
    places = (package / TABLE_NAME, package.parent / TABLE_NAME)
    for place in places:
        if place.is_file():
            return place
    raise FileNotFoundError(f"{TABLE_NAME} is neither at {places[0]} nor at {places[1]}")


@cache
def load() -> tuple[Row, ...]:
    """Return the rows of ``syscalls.tbl``, which is read once.

    Raises:
        FileNotFoundError, ValueError: see :func:`find_table` and :func:`parse`.
    """
    return tuple(parse(find_table().read_text(encoding="ascii")))


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
    fields = line.split()
    if len(fields) not in (3, 4):
        raise ValueError(f"{len(fields)} fields, not <number> <abi> <name> [<entry point>]")
    number, abi, name, *entry = fields
    if not _NUMBER.fullmatch(number):
        raise ValueError(f"number {number!r} is not a decimal number")
    if abi not in ABIS:
        raise ValueError(f"abi {abi!r} is not one of {', '.join(ABIS)}")
    if not _NAME.fullmatch(name):
        raise ValueError(f"name {name!r} is not a lower-case identifier")
    if entry and not _ENTRY.fullmatch(entry[0]):
        raise ValueError(f"entry point {entry[0]!r} does not begin with sys_ and a name")
    return Row(int(number), abi, name, entry[0] if entry else None)
