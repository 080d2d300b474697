"""Scripts: a file that begins with ``#!`` names the program that is to read it.

See: Linux fs/binfmt_script.c load_script(); execve(2), "Interpreter scripts".
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from guest_kernel.errors import Errno, SyscallError

SCRIPT_MAGIC: Final = b"#!"
BINPRM_BUF_SIZE: Final = 256  # so much of a file is looked at

_TERMINATOR: Final = re.compile(rb"[ \t\0]")


class Interpreter(NamedTuple):
    """What the first line says.

    Attributes:
        path: the program; empty if a NUL follows the marks.
        argument: the rest of the line, or nothing: one argument, blanks within and all.
    """

    path: bytes
    argument: bytes


def parse_script(head: bytes) -> Interpreter:
    """Return what the first line of a script says.

    Args:
        head: the first bytes of the file.

    Raises:
        SyscallError: ENOEXEC: the line names nothing, or its path may be cut off.
    """
    buf = head[:BINPRM_BUF_SIZE].ljust(BINPRM_BUF_SIZE, b"\0")[2:]
    line, newline, _ = buf.partition(b"\n")
    # A NUL ends the search for the newline, as strnchr() has it.
    if not newline or b"\0" in line:
        line = buf[:-1]
        name = line.lstrip(b" \t")
        if not name or not _TERMINATOR.search(name):
            raise SyscallError(Errno.ENOEXEC)  # longer than the buffer
    line = line.strip(b" \t")
    if not line:
        raise SyscallError(Errno.ENOEXEC)
    path, _, rest = _split(line)
    return Interpreter(path, rest.lstrip(b" \t").partition(b"\0")[0])


def _split(line: bytes) -> tuple[bytes, bytes, bytes]:
    """Divide a line behind its first word; a NUL ends it."""
    match = _TERMINATOR.search(line)
    if match is None:
        return line, b"", b""
    end = match.start()
    if line[end] == 0:
        return line[:end], b"", b""
    return line[:end], line[end : end + 1], line[end + 1 :]
