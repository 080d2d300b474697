"""The block that is running, and which of its instructions makes an access.

Inside a port hook and inside a device's load or store the engine's RIP is the start of the
translated block.  But a block is straight-line code: when one of its instructions makes an access,
those before it have been executed, in order and once each.  So the block is decoded, and each
access is given to the first instruction, from the last one that made an access on, that makes an
access of that kind to that place.

Left out: accesses of the stack, of ``fxsave`` and its like, and of 32-bit code to a device, whose
time is then that of the block's start; bytes that Capstone, unlike the engine, cannot decode are
skipped one at a time.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Final, Literal, NamedTuple

LONGEST: Final = 8192  # more bytes than any block has
_WRITE: Final = 2
_PORT_INSTRUCTIONS: Final = frozenset(
    {"in", "out", "insb", "insw", "insd", "outsb", "outsw", "outsd"})
_STACK_INSTRUCTIONS: Final = frozenset(
    {"push", "pop", "call", "ret", "leave", "enter", "pushfq", "popfq"})
_ADDRESS_ONLY: Final = frozenset({"lea", "nop", "invlpg"})

Kind = Literal["load", "store"]


class Operand(NamedTuple):
    """A memory operand: segment:[base + index * scale + displacement], registers by name or ""."""

    size: int
    loads: bool
    stores: bool
    segment: str
    base: str
    index_register: str
    scale: int
    displacement: int


class Instruction(NamedTuple):
    """What matters of an instruction; its operands in the order in which it uses them."""

    address: int
    end: int
    port: bool
    stack: bool
    operands: tuple[Operand, ...]


@lru_cache(maxsize=1024)
def decode(code: bytes, address: int) -> tuple[Instruction, ...]:
    """Decode 64-bit code that lies at ``address``."""
    import capstone
    from capstone import x86

    decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
    decoder.detail = True
    decoder.skipdata = True
    instructions = []
    for insn in decoder.disasm(code, address):
        if not insn.id:
            continue
        name = insn.mnemonic.split()[-1]
        operands = []
        for operand in insn.operands if name not in _ADDRESS_ONLY else ():
            if operand.type != x86.X86_OP_MEM:
                continue
            place = operand.mem
            register = (insn.reg_name(place.base) or "") if place.base else ""
            operands.append(Operand(
                size=operand.size,
                loads=operand.access != _WRITE,
                stores=bool(operand.access & _WRITE) or name.startswith("cmpxchg"),
                segment=(insn.reg_name(place.segment) or "") if place.segment else "",
                base="" if register == "rip" else register,
                index_register=(insn.reg_name(place.index) or "") if place.index else "",
                scale=place.scale,
                displacement=place.disp + (insn.address + insn.size if register == "rip" else 0),
            ))
        # MOVS loads first, and has its destination first.
        operands.sort(key=lambda operand: not operand.loads)
        instructions.append(Instruction(insn.address, insn.address + insn.size,
                                        name in _PORT_INSTRUCTIONS, name in _STACK_INSTRUCTIONS,
                                        tuple(operands)))
    return tuple(instructions)


def instruction_before(code: bytes, address: int) -> int | None:
    """Return the address of the instruction that ends where ``code`` ends, if there is one."""
    instructions = decode(code, address)
    if instructions and instructions[-1].end == address + len(code):
        return instructions[-1].address
    return None


class Access(NamedTuple):
    """An access by an instruction to a device, which the engine may make in several pieces."""

    rip: int
    pa: int
    size: int


class Block:
    """One execution of a block, from the first access on.

    Args:
        start: its address.
        code: its bytes.
    """

    def __init__(self, start: int, code: bytes) -> None:
        self.start = start
        self._instructions = decode(code, start)
        self._last: tuple[int, int, Kind] | None = None  # instruction, operand, and what it did
        self._access = Access(start, 0, 0)
        self._pieces: set[int] = set()

    def port(self, number: int) -> int:
        """Return the address of the ``number``-th port instruction, from 0; else the start."""
        ports = [insn.address for insn in self._instructions if insn.port]
        return ports[number] if number < len(ports) else self.start

    def memory(self, kind: Kind, pa: int, size: int,
               resolve: Callable[[Operand], int | None]) -> Access | None:
        """Return the access that an engine's callback is part of, if it can be found.

        Args:
            kind: "load" or "store".
            pa: physical address in the callback.
            size: bytes in the callback.
            resolve: gives an operand's physical address by the present registers, or None.
        """
        last, access = self._last, self._access
        if (last is not None and last[2] == kind and access.pa < pa + size
                and pa < access.pa + access.size and pa not in self._pieces):
            self._pieces.add(pa)
            return access
        for number, insn in enumerate(self._instructions):
            for place, operand in enumerate(insn.operands):
                here = (number, place, kind)
                if not (operand.loads if kind == "load" else operand.stores):
                    continue
                # The same operand may be stored to after it was loaded, and nothing else.
                if last is not None and (here[:2] < last[:2] or here == last
                                         or (here[:2] == last[:2] and kind == "load")):
                    continue
                base = resolve(operand)
                if base is not None and base < pa + size and pa < base + operand.size:
                    self._last, self._pieces = here, {pa}
                    self._access = Access(insn.address, base, operand.size)
                    return self._access
        return None
