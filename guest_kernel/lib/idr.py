"""Small integers for pointers: who has which number.

An idr is an xarray whose free indices are marked, so that the lowest free number at or above
another one is found in as many steps as the tree has levels.  Numbers begin at ``idr_base``; the
array's index is the number less that.

Unlike Linux's, an idr does not hold NULL: there, a number may be reserved before its pointer is
known, which nobody needs where no other CPU could look meanwhile.

See: Linux lib/idr.c, include/linux/idr.h; Documentation/core-api/idr.rst.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from guest_kernel.errors import Errno, SyscallError
from guest_kernel.kernel import Kernel
from guest_kernel.layout.xarray import XA_FLAGS_TRACK_FREE, idr, xarray
from guest_kernel.lib.xarray import (
    ULONG_MAX,
    xa_alloc,
    xa_destroy,
    xa_empty,
    xa_erase,
    xa_find,
    xa_init,
    xa_load_pa,
    xa_store,
)

INT_MAX: Final = (1 << 31) - 1

_RT: Final = idr.offsetof("idr_rt")
_BASE: Final = idr.offsetof("idr_base")
_NEXT: Final = idr.offsetof("idr_next")


def idr_init(table: idr, base: int = 0) -> None:
    """Make ``table`` empty.

    Args:
        base: the lowest number that it will hold.
    """
    xa_init(table.idr_rt, XA_FLAGS_TRACK_FREE)
    table.idr_base, table.idr_next = base, 0


def idr_is_empty(table: idr) -> bool:
    """Tell whether no number is in use."""
    return xa_empty(table.idr_rt)


def idr_alloc(table: idr, entry: int, start: int, end: int = 0) -> int:
    """Give ``entry`` the lowest free number from ``start`` to ``end`` - 1.

    Args:
        entry: an aligned address.
        end: 0: no limit but INT_MAX.

    Raises:
        SyscallError: ENOSPC: none is free.
        OutOfFrames: nothing has changed.
    """
    base: int = table.k.u32[(table.pa + _BASE) >> 2]
    last = (end - 1 if end > 0 else INT_MAX) - base
    index = xa_alloc(xarray(table.k, table.pa + _RT), entry, max(start - base, 0), last)
    if index is None:
        raise SyscallError(Errno.ENOSPC)
    return index + base


def idr_alloc_cyclic(table: idr, entry: int, start: int, end: int = 0) -> int:
    """Give ``entry`` the next free number from ``start`` to ``end`` - 1.

    The search begins behind the number that was given out last, and goes on at ``start`` when it
    has come to the end.

    Args:
        entry, end: as :func:`idr_alloc`.

    Raises:
        SyscallError: ENOSPC: none is free.
        OutOfFrames: nothing has changed.
    """
    u32 = table.k.u32
    base: int = u32[(table.pa + _BASE) >> 2]
    last = (end - 1 if end > 0 else INT_MAX) - base
    first = max(start - base, 0)
    cursor = max(u32[(table.pa + _NEXT) >> 2] - base, first)
    array = xarray(table.k, table.pa + _RT)
    index = xa_alloc(array, entry, cursor, last)
    if index is None and cursor > first:
        index = xa_alloc(array, entry, first, last)
    if index is None:
        raise SyscallError(Errno.ENOSPC)
    u32[(table.pa + _NEXT) >> 2] = index + base + 1
    return index + base


def idr_get_cursor(table: idr) -> int:
    """Return where :func:`idr_alloc_cyclic` looks first."""
    cursor: int = table.k.u32[(table.pa + _NEXT) >> 2]
    return cursor


def idr_set_cursor(table: idr, cursor: int) -> None:
    """Make :func:`idr_alloc_cyclic` look at ``cursor`` first."""
    table.idr_next = cursor


def idr_find(table: idr, number: int) -> int:
    """Return what has ``number``, or 0."""
    return idr_find_pa(table.k, table.pa, number)


def idr_find_pa(k: Kernel, table: int, number: int) -> int:
    """Do as :func:`idr_find` in the idr at a physical address."""
    return xa_load_pa(k, table + _RT, number - k.u32[(table + _BASE) >> 2] & ULONG_MAX)


def idr_remove(table: idr, number: int) -> int:
    """Free ``number``, and return what had it; 0: it was free."""
    base: int = table.k.u32[(table.pa + _BASE) >> 2]
    return xa_erase(xarray(table.k, table.pa + _RT), number - base & ULONG_MAX)


def idr_replace(table: idr, entry: int, number: int) -> int:
    """Give ``number``, which is in use, to ``entry``; return what had it.

    Raises:
        SyscallError: ENOENT: it is free.
    """
    if not entry or not idr_find(table, number):
        raise SyscallError(Errno.ENOENT)
    return xa_store(table.idr_rt, number - table.idr_base, entry)


def idr_get_next(table: idr, number: int) -> tuple[int, int] | None:
    """Return the lowest number from ``number`` on that is in use, and what has it."""
    base = table.idr_base
    found = xa_find(table.idr_rt, max(number - base, 0))
    return None if found is None else (found[0] + base, found[1])


def idr_for_each(table: idr) -> Iterator[tuple[int, int]]:
    """Yield each number and what has it, in order.  The idr may change meanwhile."""
    number = 0
    while found := idr_get_next(table, number):
        yield found
        number = found[0] + 1


def idr_destroy(table: idr) -> None:
    """Free all numbers."""
    xa_destroy(table.idr_rt)
