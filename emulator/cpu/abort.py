"""A guest's instruction must not end the host's process.

The engine gives up with ``abort()`` when it translates certain code: known is LOCK before BT, BTS,
BTR or BTC of a register, which is #UD on a processor, and which ring 3 may execute.  There is no
hook before a translation, so the library's own reference to ``abort`` is led here (its slot of the
procedure linkage table; nobody else's ``abort`` changes).  Called inside a run, it raises #UD in
the engine's own way, which abandons the translation as the engine does when its buffer is full.
RIP is then the start of a block that has not begun; ``Cpu._after_abort`` finds the instruction.

(If the same block has used a memory operand before, the engine does not notice, and the instruction
changes that operand, with the rights of its ring.)

Where one of the things that this needs is not found, ``abort`` is left alone:
``tests/unit/test_unicorn_contract.py`` says whether an engine can be guarded.

See: qemu tcg/tcg.c tcg_abort(), accel/tcg/cpu-exec-common.c cpu_loop_exit(); System V ABI, AMD64
supplement, "Procedure Linkage Table"; elf(5).
"""

from __future__ import annotations

import ctypes
import os
import struct
from ctypes import c_uint32, c_uint64, c_void_p
from functools import cache
from typing import Final

from emulator import sources
from emulator.arch.exceptions import Vector
from emulator.cpu import binding, control
from emulator.cpu.binding import lib
from emulator.cpu.context import GENERAL
from emulator.cpu.native import NativeCode

SOURCE: Final = sources.beside(__file__, "abort.asm")
MAGIC: Final = 0x5AD1_7E6B_93C4_0FE7
STACK_WORDS: Final = 512  # between the run's frame and abort there are some 100

_PT_DYNAMIC: Final = 2
_DT_PLTRELSZ: Final = 2
_DT_STRTAB: Final = 5
_DT_SYMTAB: Final = 6
_DT_STRSZ: Final = 10
_DT_JMPREL: Final = 23
_R_X86_64_JUMP_SLOT: Final = 7
_SYMBOL_WORDS: Final = 6  # of 4 bytes; the first is the name
_RELOCATION_WORDS: Final = 6  # offset (2), type, symbol, addend (2)


@cache
def code() -> NativeCode:
    """Return the assembled code, and lead the library's abort to it."""
    names = {f"CB_{n}": v for n, v in vars(control).items() if n.isupper() and isinstance(v, int)}
    names |= {"MAGIC": MAGIC, "STACK_WORDS": STACK_WORDS, "VECTOR_UD": int(Vector.UD)}
    slot = _slot(b"abort") if hasattr(lib, "raise_exception_x86_64") else None
    place = c_uint64.from_address(slot) if slot is not None else c_uint64()
    native = NativeCode("abort", sources.read_text(SOURCE), names,
                        words={"libc_abort": address_of(ctypes.CDLL(None).abort)})
    if slot is not None:
        place.value = native.entry["on_abort"]
    return native


def address_of(function: object) -> int:
    """Return the address of a function of a library, or of a callback."""
    value = ctypes.cast(function, c_void_p).value  # type: ignore[arg-type]  # a CFUNCTYPE object
    assert value is not None
    return value


def cpu_state(uc: c_void_p) -> int | None:
    """Return where the engine keeps the processor's state: the first argument of its functions.

    None if it is not where it is in the versions that we know.
    """
    if not hasattr(lib, "raise_exception_x86_64") or _slot(b"abort") is None:
        return None
    _write_r9(uc, 0)  # an engine comes into being with the first call
    for place in _known:
        state = _state_at(uc, *place)
        if _is_state(uc, state):
            return state
    return _find(uc)


_R9: Final = 8 * GENERAL.index("r9")
# Where the engine has a pointer to its CPU, and in that the state.  One that was found may point at
# a neighbour on the heap, from which only that engine's state lies so far.
_known: Final[list[tuple[int, int]]] = []


def _state_at(uc: c_void_p, pointer: int, offset: int) -> int:
    assert uc.value is not None
    return int.from_bytes(_peek(uc.value + pointer, 8), "little") + offset


def _find(uc: c_void_p) -> int | None:
    """Find the state by a value in a register, and keep where it was."""
    mark = 0x5A5A_1234_8765_A5A5
    _write_r9(uc, mark)
    assert uc.value is not None
    head = _peek(uc.value, 1024)
    for offset in range(0, len(head), 8):
        pointer = int.from_bytes(head[offset : offset + 8], "little")
        if not 0x1_0000 <= pointer < 1 << 47 or pointer % 8:
            continue
        memory = _peek(pointer, 0x1_0000)
        found = memory.find(mark.to_bytes(8, "little"))
        while found >= 0:
            if found > _R9 and _is_state(uc, pointer + found - _R9):
                _known.append((offset, found - _R9))
                return pointer + found - _R9
            _write_r9(uc, mark)
            found = memory.find(mark.to_bytes(8, "little"), found + 1)
    _write_r9(uc, 0)
    return None


def _is_state(uc: c_void_p, address: int) -> bool:
    """Tell whether register writes show there; r9 is 0 afterwards, as on a new engine."""
    for value in (0x1357_9BDF_0246_8ACE, 0):
        _write_r9(uc, value)
        if _peek(address + _R9, 8) != value.to_bytes(8, "little"):
            return False
    return True


def _write_r9(uc: c_void_p, value: int) -> None:
    lib.uc_reg_write(uc, binding.REGISTERS["r9"], ctypes.byref(c_uint64(value)))


def _peek(address: int, size: int) -> bytes:
    """Read our own memory; less, or nothing, where there is none."""
    try:
        memory = os.open("/proc/self/mem", os.O_RDONLY)
    except OSError:
        return b""
    try:
        return os.pread(memory, size, address)
    except OSError:
        return b""
    finally:
        os.close(memory)


@cache
def _slot(name: bytes) -> int | None:
    """Return the address of the library's slot for a function that it imports."""
    base = _base()
    if base is None:
        return None
    header = ctypes.string_at(base, 64)
    table, count = struct.unpack_from("<Q", header, 32)[0], struct.unpack_from("<H", header, 56)[0]
    dynamic: dict[int, int] = {}
    for kind, _, _, va, _, _, size, _ in struct.iter_unpack(
            "<IIQQQQQQ", ctypes.string_at(base + table, 56 * count)):
        if kind == _PT_DYNAMIC:
            dynamic = dict(struct.iter_unpack("<QQ", ctypes.string_at(base + va, size)))
    if not {_DT_STRTAB, _DT_STRSZ, _DT_SYMTAB, _DT_JMPREL, _DT_PLTRELSZ} <= dynamic.keys():
        return None
    names = ctypes.string_at(dynamic[_DT_STRTAB], dynamic[_DT_STRSZ])
    wanted = names.find(b"\0" + name + b"\0") + 1
    # There are thousands of both, so they are taken apart as arrays of words.
    relocations = memoryview(ctypes.string_at(dynamic[_DT_JMPREL], dynamic[_DT_PLTRELSZ])).cast("I")
    kinds, used = relocations[2::_RELOCATION_WORDS], relocations[3::_RELOCATION_WORDS].tolist()
    symbols = (c_uint32 * ((max(used, default=0) + 1) * _SYMBOL_WORDS)).from_address(
        dynamic[_DT_SYMTAB])
    name_of = symbols[::_SYMBOL_WORDS]
    for index, symbol in enumerate(used):
        if name_of[symbol] == wanted and kinds[index] == _R_X86_64_JUMP_SLOT:
            offset = relocations[index * _RELOCATION_WORDS :][:2].cast("B").cast("Q")[0]
            return base + int(offset)
    return None


def _base() -> int | None:
    """Return where the library is loaded."""
    inside = address_of(lib.uc_version)
    try:
        with open("/proc/self/maps") as file:
            maps = [line.split(maxsplit=5) for line in file]
    except OSError:
        return None
    ranges: list[tuple[int, int, str]] = []
    for entry in maps:
        start, end = entry[0].split("-")
        ranges.append((int(start, 16), int(end, 16), entry[5] if len(entry) == 6 else ""))
    path = next((path for start_, end_, path in ranges if start_ <= inside < end_), None)
    base = min((start_ for start_, _, name in ranges if name == path), default=None)
    if not path or base is None or ctypes.string_at(base, 4) != b"\x7fELF":
        return None
    return base
