"""The archive that an initial RAM file system comes in: cpio's "newc" format.

Each entry is a header of 110 ASCII bytes, a NUL-terminated name and the contents; the name's end
and the contents' end are padded to a multiple of four bytes from the start of the archive.

    offset  0     6     14    22   30   38     46     54        62        70     ...  102
            magic c_ino mode  uid  gid  nlink  mtime  filesize  devmajor  devminor    check
            (078: rdevmajor, 086: rdevminor, 094: namesize)      8 hexadecimal digits each

The last entry is named ``TRAILER!!!``.  An error in an archive is an error, not the end of it.

See: Linux Documentation/driver-api/early-userspace/buffer-format.rst; cpio(5).
"""

import stat
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

MAGIC: Final = b"070701"
MAGIC_CRC: Final = b"070702"
TRAILER: Final = b"TRAILER!!!"
HEADER_SIZE: Final = 110
NAME_SIZE_MAX: Final = 4096  # its NUL counted: PATH_MAX
_HEX: Final = frozenset(b"0123456789abcdefABCDEF")


class CpioError(ValueError):
    """The archive is malformed, or cannot say what it is asked to."""


class CpioEntry(NamedTuple):
    """A file in an archive.

    Attributes:
        name: path without a leading slash; ``.`` is the root.
        mode: type and permissions, as ``st_mode``.
        data: contents; of a symbolic link, its target.
        ino, nlink: entries with the same ``ino`` and an ``nlink`` above 1 are one file; the last
            of them has the contents.
        rdev: (major, minor) of a device node.
        mtime: seconds since 1970.
    """

    name: bytes
    mode: int
    data: bytes | memoryview = b""
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    rdev: tuple[int, int] = (0, 0)
    ino: int = 0
    nlink: int = 1
    dev: tuple[int, int] = (0, 0)


def directory(name: str, permissions: int = 0o755) -> CpioEntry:
    """Return the entry of a directory."""
    return CpioEntry(name.encode(), stat.S_IFDIR | permissions, nlink=2)


def regular(name: str, data: bytes, permissions: int = 0o644) -> CpioEntry:
    """Return the entry of a regular file."""
    return CpioEntry(name.encode(), stat.S_IFREG | permissions, data)


def symlink(name: str, target: str) -> CpioEntry:
    """Return the entry of a symbolic link."""
    return CpioEntry(name.encode(), stat.S_IFLNK | 0o777, target.encode())


def char_device(name: str, major: int, minor: int, permissions: int = 0o666) -> CpioEntry:
    """Return the entry of a character device node."""
    return CpioEntry(name.encode(), stat.S_IFCHR | permissions, rdev=(major, minor))


def make_cpio(entries: Iterable[CpioEntry]) -> bytes:
    """Return an archive.  Entries without an inode number get one by their order.

    Raises:
        CpioError: a name is empty, absolute, too long, has a ``..`` or a NUL in it, or comes before
            its directory; a number does not fit; contents where there can be none.
    """
    pieces: list[bytes | memoryview] = []
    directories = {b"", b"."}
    for index, entry in enumerate(entries, start=1):
        _check(entry, directories)
        if stat.S_ISDIR(entry.mode):
            directories.add(entry.name)
        ino = entry.ino or index
        pieces += _encode(entry._replace(ino=ino))
    pieces += _encode(CpioEntry(TRAILER, 0))
    return b"".join(pieces)


def _check(entry: CpioEntry, directories: set[bytes]) -> None:
    name = entry.name
    if not name or name.startswith(b"/") or b"\0" in name or len(name) >= NAME_SIZE_MAX:
        raise CpioError(f"{name[:64]!r} cannot be the name of an entry")
    if name != b"." and any(part in (b"", b".", b"..") for part in name.split(b"/")):
        raise CpioError(f"{name!r} is not a plain path")
    parent = name.rpartition(b"/")[0]
    if parent not in directories:
        raise CpioError(f"{name!r} comes before its directory")
    kind = stat.S_IFMT(entry.mode)
    if kind not in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK,
                    stat.S_IFIFO, stat.S_IFSOCK):
        raise CpioError(f"{name!r}: mode {entry.mode:#o} has no type")
    if len(entry.data) and kind not in (stat.S_IFREG, stat.S_IFLNK):
        raise CpioError(f"{name!r}: mode {entry.mode:#o} has contents")


def _encode(entry: CpioEntry) -> list[bytes | memoryview]:
    numbers = (
        entry.ino, entry.mode, entry.uid, entry.gid, entry.nlink, entry.mtime, len(entry.data),
        *entry.dev, *entry.rdev, len(entry.name) + 1, 0,
    )
    for number in numbers:
        if not 0 <= number < 1 << 32:
            raise CpioError(f"{entry.name!r}: {number} does not fit in 32 bits")
    head = MAGIC + b"".join(b"%08x" % number for number in numbers) + entry.name + b"\0"
    return [
        head, bytes(-len(head) % 4), entry.data, bytes(-len(entry.data) % 4)
    ]


def read_cpio(archive: memoryview) -> Iterator[CpioEntry]:
    """Yield the entries of an archive, whose contents are slices of it.

    What follows the trailer must be zeros.

    Raises:
        CpioError: it is malformed; the message names the offset.
    """
    at = 0
    while True:
        if len(archive) - at < HEADER_SIZE:
            raise CpioError(f"offset {at:#x}: no TRAILER!!! before the end of the archive")
        header = bytes(archive[at : at + HEADER_SIZE])
        if header[:6] not in (MAGIC, MAGIC_CRC):
            raise CpioError(f"offset {at:#x}: {header[:6]!r} is not the magic number of newc")
        if not _HEX.issuperset(header[6:]):
            raise CpioError(f"offset {at:#x}: header field is not hexadecimal")
        (ino, mode, uid, gid, nlink, mtime, size, devmajor, devminor, rdevmajor, rdevminor,
         namesize, check) = (int(header[i : i + 8], 16) for i in range(6, HEADER_SIZE, 8))
        if not 0 < namesize <= NAME_SIZE_MAX:
            raise CpioError(f"offset {at:#x}: name of {namesize} bytes")
        start = (at + HEADER_SIZE + namesize + 3) & ~3
        if start + size > len(archive):
            raise CpioError(f"offset {at:#x}: entry leaves the archive of {len(archive):#x} bytes")
        name = bytes(archive[at + HEADER_SIZE : at + HEADER_SIZE + namesize])
        if name.find(b"\0") != namesize - 1:
            raise CpioError(f"offset {at:#x}: name {name!r} does not end at its NUL")
        data = archive[start : start + size]
        if header[:6] == MAGIC_CRC and size and sum(data) & 0xFFFF_FFFF != check:
            raise CpioError(f"offset {at:#x}: checksum of {name[:-1]!r} is wrong")
        end = start + ((size + 3) & ~3)
        if name[:-1] == TRAILER:
            if any(archive[end:]):
                raise CpioError(f"offset {end:#x}: something follows TRAILER!!!")
            return
        yield CpioEntry(name[:-1], mode, data, uid, gid, mtime, (rdevmajor, rdevminor), ino, nlink,
                        (devmajor, devminor))
        at = end
