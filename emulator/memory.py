"""The machine's RAM: one anonymous mapping, read and written in place.

The host gives pages when they are first touched, so a large machine costs what it uses.  Scalars
go through cast memoryviews (80 ns), bulk data through slices of ``u8``.
"""

import contextlib
import ctypes
import mmap
from collections.abc import Iterator

from emulator.arch.paging import PAGE_SIZE
from emulator.digest import blake2b


class Ram:
    """``size`` bytes of physical memory from address 0.

    Attributes:
        u8, u16, u32, u64, i16, i32, i64: the same bytes as arrays of that type; an index is the
            physical address divided by the item's size.
        address: where the mapping lies in this process.
    """

    __slots__ = ("_mmap", "address", "i16", "i32", "i64", "size", "u8", "u16", "u32", "u64")

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
        zero = bytes(PAGE_SIZE)
        for pa in _resident(self.address, self.size):
            if self.u8[pa : pa + PAGE_SIZE] != zero:
                yield pa


def _address_of(mapping: mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(mapping))


def _resident(address: int, size: int) -> Iterator[int]:
    """Yield offsets of the pages that the host has backed, in RAM or swap.

    Everything is yielded where the host keeps no such record.  See proc(5), /proc/pid/pagemap.
    """
    try:
        with open("/proc/self/pagemap", "rb") as pagemap:
            pagemap.seek(address // PAGE_SIZE * 8)
            entries = memoryview(pagemap.read(size // PAGE_SIZE * 8)).cast("Q")
    except OSError:
        yield from range(0, size, PAGE_SIZE)
        return
    for index, entry in enumerate(entries):
        if entry >> 62:
            yield index * PAGE_SIZE


def fingerprint(ram: Ram) -> str:
    """Return a BLAKE2b digest of all RAM, which does not depend on what the host has backed."""
    digest = blake2b(ram.size.to_bytes(8, "little"), digest_size=32)
    for pa in ram.resident_pages():
        digest.update(pa.to_bytes(8, "little"))
        digest.update(ram.u8[pa : pa + PAGE_SIZE])
    return digest.hexdigest()
