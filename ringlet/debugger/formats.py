"""Numbers and characters as gdb's ``print`` and ``x`` write them."""

from __future__ import annotations


def formatted(value: int, kind: str, size: int) -> str:
    """Return a number as text.

    Args:
        kind: x, d, u, o, t (binary), c or a.
        size: how many bytes it has.
    """
    unsigned = value & (1 << 8 * size) - 1
    if kind == "d":
        return str(unsigned - (1 << 8 * size) if unsigned >> 8 * size - 1 else unsigned)
    if kind == "u":
        return str(unsigned)
    if kind == "o":
        return f"0{unsigned:o}"
    if kind == "t":
        return f"{unsigned:b}"
    if kind == "c":
        return f"{unsigned & 0xFF} '{quoted(unsigned & 0xFF)}'"
    return f"{unsigned:#x}"


def quoted(byte: int) -> str:
    """Return a character as it is written between single quotes."""
    return {0x22: '"', 0x27: "\\'"}.get(byte) or character(byte)


def character(byte: int) -> str:
    """Return a character as it is written in a string of C's."""
    return {0x22: '\\"', 0x5C: "\\\\", 7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v",
            12: "\\f", 13: "\\r", 27: "\\033"}.get(byte) or (
        chr(byte) if 0x20 <= byte < 0x7F else f"\\{byte:03o}")
