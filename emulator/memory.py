"""The machine's RAM: one mapping, read and written in place.

The host gives pages when they are first touched, so a large machine costs what it uses.  Scalars
go through cast memoryviews (80 ns), bulk data through slices of ``u8``.

To keep what is in RAM, and to take it back, must cost what has changed since.  The guest's stores
go past us, so the host's page tables keep the record: what has been kept lies in a file that is
mapped privately, and a page that was stored to since is anonymous memory and no longer the file's,
which /proc/self/pagemap tells.  Only ranges of :data:`SPAN` that hold something are of the file;
the rest stays as it was made, because a first store to a private mapping's hole costs two pages.
"""

import contextlib
import ctypes
import errno
import mmap
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from emulator.arch.paging import PAGE_SIZE
from emulator.digest import blake2b

SPAN: Final = 2 << 20  # of the kept file, mapped as one
_ZEROS: Final = bytes(PAGE_SIZE)

Pages = Mapping[int, bytes]
"""The content of RAM: its pages by physical address, without those of zeros."""


class Ram:
    """``size`` bytes of physical memory from address 0.

    Attributes:
        u8, u16, u32, u64, i16, i32, i64: the same bytes as arrays of that type; an index is the
            physical address divided by the item's size.
        address: where the mapping lies in this process.
    """

    __slots__ = ("_file", "_kept", "_mmap", "_spans", "address", "i16", "i32", "i64", "size", "u8",
                 "u16", "u32", "u64")

    def __init__(self, size: int) -> None:
        """
        Args:
            size: bytes; a multiple of 4096.

        Raises:
            ValueError: ``size`` is not a positive multiple of the page size.
        """
        if size <= 0 or size % PAGE_SIZE:
            raise ValueError(f"RAM size {size:#x} is not a positive multiple of {PAGE_SIZE}")
        self.size = size
        self._mmap = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        if hasattr(mmap, "MADV_NOHUGEPAGE"):
            # A huge page would be backed whole for its first byte.
            with contextlib.suppress(OSError):
                self._mmap.madvise(mmap.MADV_NOHUGEPAGE)
        self.u8 = memoryview(self._mmap)
        self.u16 = self.u8.cast("H")
        self.u32 = self.u8.cast("I")
        self.u64 = self.u8.cast("Q")
        self.i16 = self.u8.cast("h")
        self.i32 = self.u8.cast("i")
        self.i64 = self.u8.cast("q")
        self.address = _address_of(self._mmap)
        # What was kept or taken back last, where all else is zeros; the file that has the same, and
        # the indices of the spans that map it.
        self._kept: Pages = {}
        self._file: int | None = None
        self._spans: set[int] = set()

    def close(self) -> None:
        """Give back the file of what was kept; the memory goes with its last user."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self.close()

    def read(self, pa: int, size: int) -> bytes:
        """Return ``size`` bytes from physical address ``pa``.

        Raises:
            IndexError: the range leaves RAM.
        """
        self._check(pa, size)
        return bytes(self.u8[pa : pa + size])

    def write(self, pa: int, data: bytes | bytearray | memoryview) -> None:
        """Store ``data`` at physical address ``pa``.

        The engine's translations of these bytes, if there are any, are not dropped; see
        ``Machine.write_code``.

        Raises:
            IndexError: the range leaves RAM.
        """
        self._check(pa, len(data))
        self.u8[pa : pa + len(data)] = data

    def _check(self, pa: int, size: int) -> None:
        if not 0 <= pa <= pa + size <= self.size:
            raise IndexError(f"physical {pa:#x}+{size:#x} is outside RAM of {self.size:#x} bytes")

    def resident_pages(self) -> Iterator[int]:
        """Yield the physical address of each page that holds anything but zeros.

        Untouched pages are skipped in bulk through the host's record of what is resident, so the
        cost follows use, not size.
        """
        pages = {pa for start, end in self._changed() for pa in range(start, end, PAGE_SIZE)}
        for pa in sorted(pages.union(self._kept)):
            if self.u8[pa : pa + PAGE_SIZE] != _ZEROS:
                yield pa

    # Keeping

    def keep(self) -> Pages:
        """Return the content of RAM; what has not changed is shared with what was kept before."""
        pages = dict(self._kept)
        stale = []
        for start, end in self._changed():
            stale.append((start, end))
            for pa in range(start, end, PAGE_SIZE):
                data = bytes(self.u8[pa : pa + PAGE_SIZE])
                if data == _ZEROS:
                    pages.pop(pa, None)
                elif pages.get(pa) != data:
                    pages[pa] = data
        self._store(stale, pages)
        return pages

    def take_back(self, pages: Pages) -> list[tuple[int, int]]:
        """Load the content of RAM.

        The engine's translations are left as they are.

        Args:
            pages: what :meth:`keep` has returned, of this RAM or of another of its size.

        Returns:
            The ranges of addresses, start and end, outside of which nothing has changed.
        """
        stale = self._changed()
        if pages is not self._kept:
            kept = self._kept
            differ = [pa for pa, data in pages.items() if kept.get(pa) is not data]
            differ += kept.keys() - pages.keys()
            stale = list(_runs(sorted({
                *differ, *(pa for run in stale for pa in range(*run, PAGE_SIZE))})))
        self._store(stale, pages)
        return stale

    def _store(self, stale: Iterable[tuple[int, int]], pages: Pages) -> None:
        """Let RAM be ``pages``, which differs from what was kept in the ``stale`` ranges only."""
        kept, self._kept = self._kept, pages
        for start, end in _cut(stale):
            data = [pages.get(pa, _ZEROS) for pa in range(start, end, PAGE_SIZE)]
            if any(page is not kept.get(start + i * PAGE_SIZE, _ZEROS)
                   for i, page in enumerate(data)):
                self._write_file(start, b"".join(data))
            # From here on the range is the file's again, or untouched.
            self._mmap.madvise(mmap.MADV_DONTNEED, start, end - start)

    def _write_file(self, start: int, data: bytes) -> None:
        """Change the file, in one span, and let the span be the file's."""
        if self._file is None:
            self._file = _new_file()
            os.ftruncate(self._file, self.size)
        if os.pwrite(self._file, data, start) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        span = start // SPAN
        if span not in self._spans:
            place = span * SPAN
            _map_fixed(self.address + place, min(SPAN, self.size - place), self._file, place)
            self._spans.add(span)

    def _changed(self) -> list[tuple[int, int]]:
        """Return the ranges that may differ from what was kept last: start and end, in order.

        All of RAM, where the host keeps no record.  See proc(5), /proc/pid/pagemap.
        """
        try:
            with open("/proc/self/pagemap", "rb", buffering=0) as pagemap:
                entries = os.pread(pagemap.fileno(), self.size // PAGE_SIZE * 8,
                                   self.address // PAGE_SIZE * 8)
        except OSError:
            return [(0, self.size)]
        touched = entries[7::8].translate(_TOUCHED)
        runs, start = [], touched.find(1)
        while start >= 0:
            end = touched.find(0, start)
            end = len(touched) if end < 0 else end
            runs.append((start * PAGE_SIZE, end * PAGE_SIZE))
            start = touched.find(1, end)
        return runs


# By an entry's highest byte: whether the page is in RAM or swap (bits 63, 62), and not a file's.
_TOUCHED: Final = bytes(bool(byte & 0xC0 and not byte & 0x20) for byte in range(256))


def _address_of(mapping: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(mapping))


def _runs(pages: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Yield ranges of the page addresses ``pages``, which are in order."""
    start = end = -1
    for pa in pages:
        if pa != end:
            if end >= 0:
                yield start, end
            start = pa
        end = pa + PAGE_SIZE
    if end >= 0:
        yield start, end


def _cut(ranges: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield the ranges in pieces of which each lies in one span."""
    for start, end in ranges:
        while start < end:
            piece = min(end, (start // SPAN + 1) * SPAN)
            yield start, piece
            start = piece


def _new_file() -> int:
    """Return a file that nobody else has."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create("ringlet-ram")
    import tempfile  # not where it is not needed: it takes as long as several files of ours

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def _map_fixed(address: int, size: int, file: int, offset: int) -> None:
    """Put a private mapping of a file in the place of another mapping: see mmap(2)."""
    libc = ctypes.CDLL(None, use_errno=True)
    function = libc.mmap
    function.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int,
                         ctypes.c_int, ctypes.c_long)
    function.restype = ctypes.c_void_p
    flags = mmap.MAP_PRIVATE | _MAP_FIXED
    if function(address, size, mmap.PROT_READ | mmap.PROT_WRITE, flags, file, offset) != address:
        error = ctypes.get_errno()
        raise OSError(error, os.strerror(error))


_MAP_FIXED: Final = 0x10  # of Linux and of the BSDs


def fingerprint(ram: Ram) -> str:
    """Return a BLAKE2b digest of all RAM, which does not depend on what the host has backed."""
    digest = blake2b(ram.size.to_bytes(8, "little"), digest_size=32)
    for pa in ram.resident_pages():
        digest.update(pa.to_bytes(8, "little"))
        digest.update(ram.u8[pa : pa + PAGE_SIZE])
    return digest.hexdigest()
