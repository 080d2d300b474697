"""Does ``syscalls.tbl`` say what Linux says, and does its parser refuse what cannot be right?

The table is read here by a reader of its own, so that the parser is tested too.
"""

import re
from pathlib import Path

import pytest

from guest_kernel.syscall_table import Row, find_table, parse

# This project's own rows: these numbers differ from Linux's on purpose.
OWN_ROWS = {333: "get_pid_info", 343: "ft_kill", 353: "ft_wait", 363: "ft_fork"}

# The newest call of Linux 6.12.
NEWEST = (462, "mseal")

# Linux gives these to later calls (336 is uprobe), though they are below the newest number.
LATER_NUMBERS = range(336, 424)

HEADER_PLACES = (
    Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    Path("/usr/include/asm/unistd_64.h"),
    Path("/usr/x86_64-linux-gnu/include/asm/unistd_64.h"),
)


def read_table() -> list[list[str]]:
    lines = Path(find_table()).read_text(encoding="ascii").splitlines()
    return [re.split(r"\t+", line) for line in lines if line and line[0] != "#"]


def read_host_header() -> dict[int, str]:
    for place in HEADER_PLACES:
        if place.is_file():
            text = place.read_text(encoding="utf-8")
            pairs = re.findall(r"^#define __NR_(\w+) (\d+)$", text, re.MULTILINE)
            return {int(number): name for name, number in pairs}
    pytest.skip("not here: no asm/unistd_64.h (Debian: apt install linux-libc-dev)")


def test_rows_have_three_or_four_fields() -> None:
    """Is every row a number, an ABI, a name and perhaps an entry point, separated by tabs?"""
    for row in read_table():
        assert len(row) in (3, 4), row
        assert all(field and " " not in field for field in row), row


def test_numbers_are_unique_and_sorted() -> None:
    """Can a number be looked up without doubt?"""
    numbers = [int(row[0]) for row in read_table()]
    assert numbers == sorted(set(numbers))


def test_names_and_entry_points_are_unique() -> None:
    """Does each name, and each handler, belong to one number?"""
    names = [row[2] for row in read_table()]
    entries = [row[3] for row in read_table() if len(row) == 4]
    assert len(names) == len(set(names))
    assert len(entries) == len(set(entries))


def test_abis_are_common_or_64() -> None:
    """Are there only calls that a 64-bit program can make?"""
    assert {row[1] for row in read_table()} <= {"common", "64"}


def test_table_ends_with_the_newest_call_of_linux_6_12() -> None:
    """Does the list reach as far as it says?"""
    number, _, name, *_ = read_table()[-1]
    assert (int(number), name) == NEWEST


def test_own_rows_have_their_numbers() -> None:
    """Are the project's own calls at the numbers that existing programs use?"""
    table = {int(row[0]): row[2] for row in read_table()}
    assert {number: table.get(number) for number in OWN_ROWS} == OWN_ROWS


def test_numbers_and_names_agree_with_the_host() -> None:
    """Does the host's Linux give the same name to each number that both know?

    good: no difference.
    bad: a difference in a name is a wrong row; a call only the host has, up to the newest
    number of the table, is a missing row.
    """
    host = read_host_header()
    table = {int(row[0]): row[2] for row in read_table()}
    known = {
        number: name
        for number, name in host.items()
        if number <= NEWEST[0] and number not in OWN_ROWS and number not in LATER_NUMBERS
    }
    assert {number: table.get(number) for number in known} == known


def test_parser_returns_every_row() -> None:
    """Does the parser see what a plain reader sees?"""
    rows = parse(Path(find_table()).read_text(encoding="ascii"))
    expected = [
        Row(int(number), abi, name, entry[0] if entry else None)
        for number, abi, name, *entry in read_table()
    ]
    assert rows == expected


def test_parser_skips_comments_and_empty_lines() -> None:
    """Are only rows rows, and is a missing entry point None?"""
    text = "# a comment\n\n0\tcommon\tread\t\tsys_read\n1 64 write\n"
    assert parse(text) == [Row(0, "common", "read", "sys_read"), Row(1, "64", "write", None)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("7 common", "2 fields, not <number> <abi> <name> [<entry point>]"),
        ("7 64 a sys_a b", "5 fields, not <number> <abi> <name> [<entry point>]"),
        ("0x7 common a", "number '0x7' is not a decimal number"),
        ("-7 common a", "number '-7' is not a decimal number"),
        ("07 common a", "number '07' is not a decimal number"),
        ("7 x32 a", "abi 'x32' is not one of common, 64"),
        ("7 common a-b", "name 'a-b' is not a lower-case identifier"),
        ("7 common a do_a", "entry point 'do_a' does not begin with sys_ and a name"),
        ("3 common a", "number 3 does not come after 3"),
        ("2 common a", "number 2 does not come after 3"),
        ("7 common close", "close is already on line 2"),
    ],
)
def test_parser_refuses_a_malformed_row(line: str, message: str) -> None:
    """Is a mistake named by its line, in one sentence?"""
    text = f"# a comment\n3 common close sys_close\n{line}\n"
    with pytest.raises(ValueError, match=f"^{re.escape(f'syscalls.tbl:3: {message}')}$"):
        parse(text)


def test_table_is_found_beside_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Does an installed wheel use its own table, and a broken one say where it looked?

    A wheel has the table inside the package, a checkout one folder above.
    """
    package = tmp_path / "guest_kernel"
    package.mkdir()
    monkeypatch.setattr("guest_kernel.syscall_table.__file__", str(package / "syscall_table.py"))
    with pytest.raises(FileNotFoundError, match=r"^syscalls\.tbl is neither at .* nor at .*$"):
        find_table()
    (tmp_path / "syscalls.tbl").touch()
    assert find_table() == str(tmp_path / "syscalls.tbl")
    (package / "syscalls.tbl").touch()
    assert find_table() == str(package / "syscalls.tbl")
