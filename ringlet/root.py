"""The root file system that a machine boots with: device nodes, /tmp, and userland's programs."""

from __future__ import annotations

import os
import stat
from typing import Final

from emulator import assembler, sources
from guest_kernel.fs.cpio import CpioEntry, directory, make_cpio
from guest_kernel.syscall_table import find_table
from userland.assembler import RECIPE, assemble_program

USERLAND: Final = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))),
                               "userland")
ASM: Final = os.path.join(USERLAND, "asm")

_DEVICES: Final = (
    ("console", 5, 1, 0o600), ("null", 1, 3, 0o666), ("zero", 1, 5, 0o666), ("full", 1, 7, 0o666),
    ("random", 1, 8, 0o666), ("urandom", 1, 9, 0o666), ("tty", 5, 0, 0o666),
    ("ttyS0", 4, 64, 0o620),
)


def base() -> bytes:
    """Return the root file system every machine has, as a cpio archive; kept in the cache."""
    key = b"".join(os.path.basename(path).encode() + sources.read(path)
                   for path in [*sources.inside(ASM), find_table(), *RECIPE, __file__])
    return assembler.cached("root", key, _base)


def _base() -> bytes:
    entries = [directory("bin"), directory("dev"), directory("tmp", 0o1777),
               directory("root", 0o700)]
    entries += [CpioEntry(f"dev/{name}".encode(), stat.S_IFCHR | mode, rdev=(major, minor))
                for name, major, minor, mode in _DEVICES]
    entries += [CpioEntry(f"bin/{os.path.basename(source).removesuffix('.asm')}".encode(),
                          stat.S_IFREG | 0o755, assemble_program(source))
                for source in sources.inside(ASM, ".asm")]
    return make_cpio(entries)
