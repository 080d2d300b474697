"""Calls on memory.

See: mmap(2), mremap(2), madvise(2), mincore(2), memfd_create(2).
"""

from __future__ import annotations

from typing import Final

from ringlet.strace.arguments import elements
from ringlet.strace.call import Call, Choice, Out, Signature
from ringlet.strace.names import Flags, Names
from ringlet.strace.text import address, hexadecimal, int_, string, ulong

_PAGE_SIZE: Final = 4096
_MREMAP_MOVES: Final = 3  # MREMAP_MAYMOVE, MREMAP_FIXED
_HUGE_SHIFT: Final = 26  # MAP_HUGE_SHIFT, MFD_HUGE_SHIFT: the logarithm of the page size
_HUGE_MASK: Final = 63

_PROT: Final = Flags("PROT_???", """
    PROT_NONE=0 PROT_READ=1 PROT_WRITE=2 PROT_EXEC=4 PROT_SEM=8 PROT_GROWSDOWN=0x1000000
    PROT_GROWSUP=0x2000000""", bits=64)
_MAP_TYPE: Final = Names("", """
    MAP_FILE=0 MAP_SHARED=1 MAP_PRIVATE=2 MAP_SHARED_VALIDATE=3""")
_MAP: Final = Flags("", """
    MAP_FIXED=0x10 MAP_ANONYMOUS=0x20 MAP_32BIT=0x40 MAP_NORESERVE=0x4000 MAP_POPULATE=0x8000
    MAP_NONBLOCK=0x10000 MAP_GROWSDOWN=0x100 MAP_DENYWRITE=0x800 MAP_EXECUTABLE=0x1000
    MAP_LOCKED=0x2000 MAP_STACK=0x20000 MAP_HUGETLB=0x40000 MAP_SYNC=0x80000
    MAP_FIXED_NOREPLACE=0x100000""")
_MREMAP: Final = Flags("MREMAP_???", """
    MREMAP_MAYMOVE=1 MREMAP_FIXED=2 MREMAP_DONTUNMAP=4""", bits=64)
_MSYNC: Final = Flags("MS_???", "MS_SYNC=4 MS_ASYNC=1 MS_INVALIDATE=2")
_MADVISE: Final = Names("MADV_???", """
    MADV_NORMAL=0 MADV_RANDOM=1 MADV_SEQUENTIAL=2 MADV_WILLNEED=3 MADV_DONTNEED=4 MADV_FREE=8
    MADV_REMOVE=9 MADV_DONTFORK=10 MADV_DOFORK=11 MADV_MERGEABLE=12 MADV_UNMERGEABLE=13
    MADV_HUGEPAGE=14 MADV_NOHUGEPAGE=15 MADV_DONTDUMP=16 MADV_DODUMP=17 MADV_WIPEONFORK=18
    MADV_KEEPONFORK=19 MADV_COLD=20 MADV_PAGEOUT=21 MADV_POPULATE_READ=22
    MADV_POPULATE_WRITE=23 MADV_DONTNEED_LOCKED=24 MADV_COLLAPSE=25 MADV_HWPOISON=100
    MADV_SOFT_OFFLINE=101""")
_MLOCKALL: Final = Flags("MCL_???", "MCL_CURRENT=1 MCL_FUTURE=2 MCL_ONFAULT=4")
_MLOCK: Final = Flags("MLOCK_???", "MLOCK_ONFAULT=1")
_PKEY: Final = Flags("PKEY_???", """
    PKEY_DISABLE_ACCESS=1 PKEY_DISABLE_WRITE=2 PKEY_DISABLE_EXECUTE=4""", bits=64)
_MEMFD: Final = Flags("MFD_???", "MFD_CLOEXEC=1 MFD_ALLOW_SEALING=2 MFD_HUGETLB=4")


def _map_flags(call: Call, value: int) -> str:
    value &= 0xFFFF_FFFF
    kind = value & 0xF
    name = _MAP_TYPE.get(kind) or f"{kind:#x} /* MAP_??? */"
    huge = value >> _HUGE_SHIFT & _HUGE_MASK
    names, rest = _MAP.split(value & ~0xF & ~(_HUGE_MASK << _HUGE_SHIFT))
    names.insert(0, name)
    if rest:
        names.append(hex(rest))
    if huge:
        names.append(f"{huge}<<MAP_HUGE_SHIFT")
    return "|".join(names)


def _memfd_flags(call: Call, value: int) -> str:
    value &= 0xFFFF_FFFF
    huge = value >> _HUGE_SHIFT
    low = value & (1 << _HUGE_SHIFT) - 1
    names = [_MEMFD(call, low)] if low or not huge else []
    if huge:
        names.append(f"{huge}<<MFD_HUGE_SHIFT")
    return "|".join(names)


def _residency(call: Call, va: int) -> str:
    """The bytes of mincore(2): one for each page."""
    pages = -(-call.arguments[1] // _PAGE_SIZE)
    return elements(call, va, pages, 1, lambda call, data: str(data[0] & 1))


_MREMAP_PLAIN: Final = Signature(address, ulong, ulong, _MREMAP, result=hexadecimal)
_MREMAP_TO: Final = Signature(address, ulong, ulong, _MREMAP, address, result=hexadecimal)

CALLS: Final[dict[str, Signature | Choice]] = {
    "mmap": Signature(address, ulong, _PROT, _map_flags, int_, hexadecimal, result=hexadecimal),
    "mprotect": Signature(address, ulong, _PROT),
    "munmap": Signature(address, ulong),
    "brk": Signature(address, result=hexadecimal),
    "mremap": Choice(lambda call: _MREMAP_TO if call.arguments[3] & _MREMAP_MOVES == _MREMAP_MOVES
                     else _MREMAP_PLAIN),
    "msync": Signature(address, ulong, _MSYNC),
    "mincore": Signature(address, ulong, Out(_residency)),
    "madvise": Signature(address, ulong, _MADVISE),
    "mlock": Signature(address, ulong),
    "munlock": Signature(address, ulong),
    "mlockall": Signature(_MLOCKALL),
    "munlockall": Signature(),
    "remap_file_pages": Signature(address, ulong, _PROT, ulong, _map_flags),
    "memfd_create": Signature(string, _memfd_flags),
    "mlock2": Signature(address, ulong, _MLOCK),
    "pkey_mprotect": Signature(address, ulong, _PROT, int_),
    "pkey_alloc": Signature(hexadecimal, _PKEY),
    "pkey_free": Signature(int_),
    "set_mempolicy_home_node": Signature(address, ulong, ulong, hexadecimal),
}
