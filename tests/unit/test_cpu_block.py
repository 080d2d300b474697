"""The running block: which of its instructions makes an access.  See emulator/cpu/block.py."""

from __future__ import annotations

import pytest

from emulator.assembler import assemble
from emulator.cpu.block import Block, Kind, Operand, decode, instruction_before

BASE = 0x40_0000
DEVICE = 0xC000_0000


def block(source: str) -> tuple[Block, dict[str, int]]:
    code, labels = assemble(source, BASE)
    return Block(BASE, code), labels


def at_device(operand: Operand) -> int | None:
    """An operand's address if all registers hold the device's, and index registers 0."""
    return DEVICE + operand.displacement if operand.base else operand.displacement


def test_operands_are_described_with_their_registers() -> None:
    """Are base, index, scale, displacement, segment and direction what the instruction says?"""
    code, _ = assemble("mov eax, fs:[rbx + rcx * 4 + 16]\nadd [r8d], dx\nlea rax, [rbx]", BASE)
    load, both, lea = decode(code, BASE)
    assert load.operands == (Operand(4, True, False, "fs", "rbx", "rcx", 4, 16),)
    assert both.operands == (Operand(2, True, True, "", "r8d", "", 1, 0),)
    assert lea.operands == ()


def test_rip_relative_operand_is_absolute() -> None:
    """Is RIP, which the engine does not keep, worked in?"""
    code, labels = assemble("nop\nmov eax, [rip + place]\nplace: nop", BASE)
    operand = decode(code, BASE)[1].operands[0]
    assert (operand.base, operand.displacement) == ("", labels["place"])


def test_moves_between_memory_load_before_they_store() -> None:
    """Does MOVS use its source first?"""
    load, store = decode(b"\x48\xa5", BASE)[0].operands
    assert (load.base, load.loads, store.base, store.stores) == ("rsi", True, "rdi", True)


def test_ports_are_found_by_their_number() -> None:
    """Is the n-th port access of a block that of its n-th port instruction?"""
    running, labels = block("one: in al, dx\nnop\ntwo: out 0x60, eax\nthree: insb\nfour: rep outsd")
    assert [running.port(n) for n in range(4)] == [
        labels[name] for name in ("one", "two", "three", "four")]
    assert running.port(4) == BASE  # the time of the block's start, if it cannot be told


def test_undecodable_bytes_do_not_hide_what_follows() -> None:
    """Is decoding taken up again behind bytes that Capstone does not know?"""
    running = Block(BASE, b"\xd6\x90\xec")
    assert running.port(0) == BASE + 2


@pytest.mark.parametrize(("accesses", "expected"), [
    # each: kind, offset in the device, size; and the label of the instruction
    ([("load", 0, 4), ("load", 0, 4), ("store", 0, 4)], ["one", "two", "three"]),
    ([("load", 0, 4), ("store", 0, 4)], ["one", "three"]),
    ([("load", 0, 4), ("load", 0, 4), ("store", 0, 4), ("load", 8, 4), ("load", 12, 4)],
     ["one", "two", "three", "four", "four"]),
    ([("store", 8, 4)], [None]),
])
def test_accesses_are_given_to_instructions_in_order(
        accesses: list[tuple[Kind, int, int]], expected: list[str | None]) -> None:
    """Is each access that of the first instruction that can have made it, behind the last?"""
    running, labels = block("one: mov eax, [rbx]\ntwo: mov ecx, [rbx]\nnop\nthree: mov [rbx], eax\n"
                            "four: mov rax, [rbx + 8]")
    found = [running.memory(kind, DEVICE + offset, size, at_device)
             for kind, offset, size in accesses]
    assert [access and access.rip for access in found] == [name and labels[name]
                                                            for name in expected]


def test_load_and_store_of_one_instruction_are_its_own() -> None:
    """Does ADD to memory take one load and one store, and the next ADD the next?"""
    running, labels = block("one: add [rbx], eax\ntwo: add [rbx], eax")
    kinds: list[Kind] = ["load", "store", "load", "store"]
    found = [running.memory(kind, DEVICE, 4, at_device) for kind in kinds]
    assert [access and access.rip for access in found] == [labels["one"]] * 2 + [labels["two"]] * 2


def test_operand_that_cannot_be_resolved_is_not_a_device() -> None:
    """Is an operand whose address is not mapped passed over?"""
    running, labels = block("one: mov eax, [rcx]\ntwo: mov eax, [rbx]")
    found = running.memory("load", DEVICE, 4,
                           lambda operand: DEVICE if operand.base == "rbx" else None)
    assert found is not None
    assert found.rip == labels["two"]


def test_instruction_that_ends_at_a_place_is_found() -> None:
    """Is the start of an instruction found by its end, prefixes and all?"""
    code, _ = assemble("nop\n.byte 0x66, 0x2e, 0xcd, 0x80", BASE)
    assert instruction_before(code, BASE) == BASE + 1
    assert instruction_before(code[:-1], BASE) is None
    assert instruction_before(b"", BASE) is None
