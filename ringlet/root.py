"""The root file system that a machine boots with: device nodes, /tmp, and userland's programs."""

from __future__ import annotations

import stat
from pathlib import Path
from typing import Final

from emulator import assembler
from guest_kernel.fs.cpio import CpioEntry, directory, make_cpio

USERLAND: Final = Path(__file__).resolve().parent.parent / "userland"

_DEVICES: Final = (
    ("console", 5, 1, 0o600), ("null", 1, 3, 0o666), ("zero", 1, 5, 0o666), ("full", 1, 7, 0o666),
    ("random", 1, 8, 0o666), ("urandom", 1, 9, 0o666),
)


def base() -> bytes:
    """Return the root file system every machine has, as a cpio archive; kept in the cache."""
    sources = sorted((USERLAND / "asm").glob("*"))
    builder = sorted(USERLAND.glob("*.py"))
    key = b"".join(path.name.encode() + path.read_bytes()
                   for path in [*sources, *builder, Path(__file__)])
    return assembler.cached("root", key, _base)


def _base() -> bytes:
    from userland.assembler import assemble_program

    entries = [directory("bin"), directory("dev"), directory("tmp", 0o1777),
               directory("root", 0o700)]
    entries += [CpioEntry(f"dev/{name}".encode(), stat.S_IFCHR | mode, rdev=(major, minor))
                for name, major, minor, mode in _DEVICES]
    entries += [CpioEntry(f"bin/{source.stem}".encode(), stat.S_IFREG | 0o755,
                          assemble_program(source))
                for source in sorted((USERLAND / "asm").glob("*.asm"))]
    return make_cpio(entries)
