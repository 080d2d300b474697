"""Arrays of bits in RAM.

Bit ``n`` is bit ``n % 64`` of the 64-bit word ``n // 64``, which on a little-endian machine is bit
``n % 8`` of byte ``n // 8``.  A bitmap is its physical address, a multiple of 8, and its size in
bits.

See: Linux include/linux/bitmap.h, lib/find_bit.c.
"""

from __future__ import annotations

from typing import Final

from guest_kernel.kernel import Kernel

BITS_PER_LONG: Final = 64


def test_bit(k: Kernel, nr: int, addr: int) -> bool:
    """Tell whether bit ``nr`` is set."""
    return bool(k.u8[addr + (nr >> 3)] >> (nr & 7) & 1)


def set_bit(k: Kernel, nr: int, addr: int) -> None:
    """Set bit ``nr``."""
    k.u8[addr + (nr >> 3)] |= 1 << (nr & 7)


def clear_bit(k: Kernel, nr: int, addr: int) -> None:
    """Clear bit ``nr``."""
    k.u8[addr + (nr >> 3)] &= ~(1 << (nr & 7))


def change_bit(k: Kernel, nr: int, addr: int) -> None:
    """Invert bit ``nr``."""
    k.u8[addr + (nr >> 3)] ^= 1 << (nr & 7)


def test_and_set_bit(k: Kernel, nr: int, addr: int) -> bool:
    """Set bit ``nr`` and tell whether it was set before."""
    index, mask = addr + (nr >> 3), 1 << (nr & 7)
    byte = k.u8[index]
    k.u8[index] = byte | mask
    return bool(byte & mask)


def test_and_clear_bit(k: Kernel, nr: int, addr: int) -> bool:
    """Clear bit ``nr`` and tell whether it was set before."""
    index, mask = addr + (nr >> 3), 1 << (nr & 7)
    byte = k.u8[index]
    k.u8[index] = byte & ~mask
    return bool(byte & mask)


def find_next_bit(k: Kernel, addr: int, size: int, offset: int) -> int:
    """Return the first bit from ``offset`` on that is set; ``size`` if there is none."""
    return _find_next(k, addr, size, offset, 0)


def find_next_zero_bit(k: Kernel, addr: int, size: int, offset: int) -> int:
    """Return the first bit from ``offset`` on that is clear; ``size`` if there is none."""
    return _find_next(k, addr, size, offset, -1)


def find_first_bit(k: Kernel, addr: int, size: int) -> int:
    """Return the first bit that is set; ``size`` if there is none."""
    return _find_next(k, addr, size, 0, 0)


def find_first_zero_bit(k: Kernel, addr: int, size: int) -> int:
    """Return the first bit that is clear; ``size`` if there is none."""
    return _find_next(k, addr, size, 0, -1)


def _find_next(k: Kernel, addr: int, size: int, offset: int, invert: int) -> int:
    """Find a bit that differs from ``invert``'s, which has all bits alike."""
    if offset >= size:
        return size
    # Mostly it is in the first word; the rest is looked at as one number.
    word = (k.u64[(addr >> 3) + (offset >> 6)] ^ invert) >> (offset & 63)
    if invert:
        word &= (1 << BITS_PER_LONG - (offset & 63)) - 1
    if not word:
        offset = (offset | 63) + 1
        if offset >= size:
            return size
        rest = k.u8[addr + (offset >> 3) : addr + (-(-size // BITS_PER_LONG) << 3)]
        word = int.from_bytes(rest, "little") ^ invert
        if not word:
            return size
    return min(offset + (word & -word).bit_length() - 1, size)


def bitmap_zero(k: Kernel, addr: int, size: int) -> None:
    """Clear all bits, and those that fill the last word."""
    n = -(-size // BITS_PER_LONG) << 3
    k.u8[addr : addr + n] = bytes(n)


def bitmap_fill(k: Kernel, addr: int, size: int) -> None:
    """Set all bits, and those that fill the last word."""
    n = -(-size // BITS_PER_LONG) << 3
    k.u8[addr : addr + n] = b"\xff" * n


def bitmap_weight(k: Kernel, addr: int, size: int) -> int:
    """Return the number of bits that are set."""
    n = -(-size // BITS_PER_LONG) << 3
    bits = int.from_bytes(k.u8[addr : addr + n], "little")
    return (bits & (1 << size) - 1).bit_count()


def bitmap_empty(k: Kernel, addr: int, size: int) -> bool:
    """Tell whether no bit is set."""
    return find_first_bit(k, addr, size) == size


def bitmap_full(k: Kernel, addr: int, size: int) -> bool:
    """Tell whether every bit is set."""
    return find_first_zero_bit(k, addr, size) == size


def bitmap_set(k: Kernel, addr: int, start: int, nbits: int) -> None:
    """Set ``nbits`` bits from ``start`` on."""
    _assign(k, addr, start, nbits, True)


def bitmap_clear(k: Kernel, addr: int, start: int, nbits: int) -> None:
    """Clear ``nbits`` bits from ``start`` on."""
    _assign(k, addr, start, nbits, False)


def _assign(k: Kernel, addr: int, start: int, nbits: int, value: bool) -> None:
    first, last = addr + (start >> 3), addr + (start + nbits + 7 >> 3)
    mask = (1 << nbits) - 1 << (start & 7)
    bits = int.from_bytes(k.u8[first:last], "little")
    bits = bits | mask if value else bits & ~mask
    k.u8[first:last] = bits.to_bytes(last - first, "little")
