"""A machine's whole state as a value, and as a file.

A snapshot holds RAM, the CPU, the devices with the input that is under way to the guest, and the
clock; nothing in it belongs to a process of the host's, so a machine made of it anywhere goes on
bit for bit.  In memory, snapshots of one machine share the pages that are equal.

The file, all numbers little-endian::

    magic      16 bytes  "ringlet snapshot"
    version    u32
    header     u32 size  JSON: everything but the pages, and what the body holds
    body                 zlib: for each page of RAM that is not all zeros its number and its
                         content's (u32, u32), then the contents (4096 bytes each), none twice
    checksum   32 bytes  BLAKE2b of all before

It is written under a temporary name, synchronised, and then renamed, so that under its name there
is a whole file or none.  No code of a file is ever executed.
"""

from __future__ import annotations

import contextlib
import os
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from emulator.arch.paging import PAGE_SIZE
from emulator.digest import blake2b
from emulator.memory import Pages

MAGIC: Final = b"ringlet snapshot"
VERSION: Final = 1
DIGEST_SIZE: Final = 32
_PREFIX: Final = struct.Struct(f"<{len(MAGIC)}sII")
_COMPRESSION: Final = 1  # of zlib: the most is gained by leaving out zeros and repetitions

T = TypeVar("T")


class SnapshotError(Exception):
    """A snapshot or its file cannot be used; the message says why."""


class Snapshot(NamedTuple):
    """A machine at one point of its clock.

    Attributes:
        mem: bytes of RAM.
        engine: which CPU state it has: see ``Cpu.engine``.
        cpu: the registers and the activity, opaque.
        counters: see ``Cpu.save_counters``; the first is the clock.
        devices: each device's record, by its name and its fields' names.
        pages: RAM.
        notes: what whoever took it wants to find again, such as which kernel runs.
    """

    mem: int
    engine: str
    cpu: bytes
    counters: Sequence[int]
    devices: Mapping[str, Mapping[str, Any]]
    pages: Pages
    notes: Mapping[str, str]

    @property
    def clock(self) -> int:
        """When it was taken, in virtual nanoseconds."""
        return self.counters[0]


def write_file(snapshot: Snapshot, path: str | os.PathLike[str]) -> None:
    """Write a snapshot to a file, in the place of an older one if there is one.

    Raises:
        OSError: it cannot be written; what was under that name is still there.
    """
    import json  # not for a run that writes none

    contents: dict[bytes, int] = {}
    places = [value for pa, page in sorted(snapshot.pages.items())
              for value in (pa // PAGE_SIZE, contents.setdefault(page, len(contents)))]
    compressor = zlib.compressobj(_COMPRESSION)
    body = [compressor.compress(struct.pack(f"<{len(places)}I", *places)),
            *(compressor.compress(page) for page in contents), compressor.flush()]
    header = json.dumps({
        "mem": snapshot.mem, "engine": snapshot.engine, "cpu": snapshot.cpu.hex(),
        "counters": list(snapshot.counters),
        "devices": {name: {field: _to_json(value) for field, value in fields.items()}
                    for name, fields in snapshot.devices.items()},
        "notes": dict(snapshot.notes), "pages": len(snapshot.pages), "contents": len(contents),
        "body": sum(map(len, body)),
    }).encode()
    parts = [_PREFIX.pack(MAGIC, VERSION, len(header)), header, *body]
    digest = blake2b(digest_size=DIGEST_SIZE)
    for part in parts:
        digest.update(part)
    _replace(os.fspath(path), [*parts, digest.digest()])


def read_file(path: str | os.PathLike[str]) -> Snapshot:
    """Read what :func:`write_file` has written.

    Raises:
        OSError: it cannot be read.
        SnapshotError: it is no snapshot, or of a newer version, or incomplete, or damaged.
    """
    import json

    with open(path, "rb") as file:
        data = memoryview(file.read())
    name = os.fspath(path)
    if bytes(data[: len(MAGIC)]) != MAGIC or len(data) < _PREFIX.size:
        raise SnapshotError(f"{name}: not a snapshot")
    _, version, header_size = _PREFIX.unpack_from(data)
    if version != VERSION:
        raise SnapshotError(f"{name}: a snapshot of version {version}; this ringlet reads version "
                            f"{VERSION}")
    body = _PREFIX.size + header_size
    try:
        header = json.loads(bytes(data[_PREFIX.size : body]))
        end = body + header["body"]
    except (ValueError, TypeError, LookupError):
        header, end = {}, body
    if len(data) < end + DIGEST_SIZE:
        raise SnapshotError(f"{name}: incomplete: {len(data)} bytes of {end + DIGEST_SIZE}")
    digest = blake2b(data[:-DIGEST_SIZE], digest_size=DIGEST_SIZE).digest()
    if digest != data[-DIGEST_SIZE:] or not header:
        raise SnapshotError(f"{name}: damaged: its checksum is not that of its content")
    try:
        return _parse(header, data[body:end])
    except (ValueError, TypeError, LookupError, struct.error, zlib.error) as error:
        raise SnapshotError(f"{name}: not what a ringlet writes: {error}") from error


def _parse(header: Mapping[str, Any], body: memoryview) -> Snapshot:
    mem, nr_pages, nr_contents = (_a(int, header[key]) for key in ("mem", "pages", "contents"))
    if not 0 <= nr_contents <= nr_pages <= mem // PAGE_SIZE:
        raise ValueError(f"{nr_pages} pages with {nr_contents} contents in {mem:#x} bytes")
    index = 8 * nr_pages
    size = index + PAGE_SIZE * nr_contents
    decompressor = zlib.decompressobj()
    content = decompressor.decompress(body, size)
    if len(content) != size or decompressor.unconsumed_tail or not decompressor.eof:
        raise ValueError(f"a body of other than {size} bytes")
    contents = [content[at : at + PAGE_SIZE] for at in range(index, size, PAGE_SIZE)]
    places = struct.unpack_from(f"<{2 * nr_pages}I", content)
    pages = {number * PAGE_SIZE: contents[page]
             for number, page in zip(places[::2], places[1::2], strict=True)}
    if len(pages) != nr_pages or max(pages, default=0) >= mem:
        raise ValueError("pages twice, or outside of RAM")
    return Snapshot(
        mem, _a(str, header["engine"]), bytes.fromhex(_a(str, header["cpu"])),
        [_a(int, word) for word in header["counters"]],
        {name: {field: _from_json(value) for field, value in fields.items()}
         for name, fields in _a(dict, header["devices"]).items()},
        pages, {name: _a(str, note) for name, note in _a(dict, header["notes"]).items()})


def _a(kind: type[T], value: Any) -> T:
    """Return ``value``, which must be of that type."""
    if type(value) is not kind:
        raise ValueError(f"{value!r} where {kind.__name__} belongs")
    return value


# A device's record holds numbers, truth values, sequences of numbers, and bytes: as a string.


def _to_json(value: Any) -> Any:
    return value.hex() if isinstance(value, (bytes, bytearray)) else value


def _from_json(value: Any) -> Any:
    if isinstance(value, str):
        return bytes.fromhex(value)
    for item in value if isinstance(value, list) else [value]:
        if not isinstance(item, int):
            raise ValueError(f"{value!r} in a device's record")
    return value


def _replace(path: str, parts: Sequence[bytes]) -> None:
    """Put a file under ``path``, whole or not at all."""
    directory = os.path.dirname(path) or "."
    temporary = os.path.join(directory, f".{os.path.basename(path)}.{os.getpid()}.tmp")
    try:
        with open(temporary, "xb") as file:
            file.writelines(parts)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)  # the name, too
    finally:
        os.close(handle)
