"""Code that changes: by the guest, by the host, under other addresses.

See: Intel SDM vol. 3A, "Self-Modifying Code", "Cross-Modifying Code".
"""

from __future__ import annotations

import pytest

from emulator.arch.paging import PTE
from emulator.bare import KERNEL_CODE, USER_CODE, USER_DATA, Bare
from ringlet.testing import Asm

PAGE = 0x5000_0000


def test_guest_may_rewrite_code_that_has_run(asm: Asm) -> None:
    """Is a store to code seen by the next execution of it?"""
    result = asm("""
        mov ecx, 3
    again:
        call function
        add ebx, eax
        inc byte ptr [rip + function + 1]
        dec ecx
        jnz again
        jmp done
    function:
        mov eax, 10
        ret
    done:
    """)
    assert result.ended
    assert result.rbx == 10 + 11 + 12


def test_guest_may_rewrite_the_block_that_is_running(asm: Asm) -> None:
    """Is even the next instruction's change seen, as on processors?"""
    result = asm("mov byte ptr [rip + here + 1], 7\nhere: mov eax, 1")
    assert result.rax == 7


def test_guest_may_rewrite_code_through_another_address(machine: Bare) -> None:
    """Does a store through a data mapping of the page change the code of the other?"""
    pa = machine.map(PAGE, flags=PTE.P | PTE.US)
    machine.map(USER_DATA, pa)
    machine.cpu.flush_tlb()
    machine.write(PAGE, b"\xb8\x01\x00\x00\x00\xc3")  # mov eax, 1; ret
    result = machine.run("call rbx\nmov ecx, eax\nmov byte ptr [rdi + 1], 5\ncall rbx", ring=3,
                         rbx=PAGE, rdi=USER_DATA)
    assert result.ended
    assert (result.rcx, result.rax) == (1, 5)


@pytest.mark.parametrize("ring", [0, 3])
def test_code_that_the_host_writes_runs(machine: Bare, ring: int) -> None:
    """Does write_code replace what has been translated?"""
    base = USER_CODE if ring else KERNEL_CODE
    assert machine.run("mov eax, 1", ring).rax == 1
    pa = base if not ring else machine.ram.u64[machine.entry(USER_CODE) >> 3] & ~0xFFF & ~PTE.NX
    machine.machine.write_code(pa, b"\xb8\x02\x00\x00\x00\xcd\xff")
    assert machine.run(None, ring).rax == 2


def test_code_that_the_host_writes_past_the_translations_is_stale(machine: Bare) -> None:
    """Is a plain store to RAM, without a flush, not seen?  (It is why write_code is there.)"""
    assert machine.run("mov eax, 1").rax == 1
    machine.ram.write(KERNEL_CODE, b"\xb8\x02")
    assert machine.run(None).rax == 1
    machine.cpu.forget_code(KERNEL_CODE, 2)
    assert machine.run(None).rax == 2


def test_write_code_outside_ram_is_refused(machine: Bare) -> None:
    """Is it an error, with nothing written?"""
    with pytest.raises(IndexError):
        machine.machine.write_code(machine.ram.size - 1, b"\x90\x90")


def test_block_that_crosses_pages_follows_the_second_pages_mapping(machine: Bare) -> None:
    """Is a block over two pages translated anew if the second is another page?"""
    for page in (PAGE, PAGE + 0x1000):
        machine.map(page, flags=PTE.P | PTE.US)
    place = PAGE + 0xFFD  # mov eax, imm32 across the boundary; ret
    machine.write(place, b"\xb8\x01\x00\x00\x00\xc3")
    assert machine.run("call rbx", ring=3, rbx=place).rax == 1
    machine.map(PAGE + 0x1000, flags=PTE.P | PTE.US)
    machine.write(PAGE + 0x1000, b"\x33\x22\xc3")
    machine.cpu.flush_tlb()
    assert machine.run("call rbx", ring=3, rbx=place).rax == 0x2233_0001


def test_fetch_that_crosses_into_a_missing_page_faults_before_its_block(machine: Bare) -> None:
    """If the last instruction of a block is half on a missing page, what has been executed?

    good: CR2 is the page, and the state is that at RIP, so that the program can be restarted.  A
    processor's RIP would be at the instruction; the engine's is at the start of the block, of which
    it has executed nothing.
    bad: a part of the block has been executed, and is executed again.
    """
    machine.map(PAGE, flags=PTE.P | PTE.US)
    place = PAGE + 0xFF9
    machine.write(place, b"\xff\xc1\xff\xc1\xb8\x01\x00")  # inc ecx; inc ecx; mov eax, 1

    def load(trap: object) -> None:
        machine.map(PAGE + 0x1000, flags=PTE.P | PTE.US)
        machine.write(PAGE + 0x1000, b"\x00\x00\xcd\xff")

    machine.on_trap[14] = load
    result = machine.run("jmp rbx", ring=3, rbx=place)
    first = result.traps[0]
    assert (first.vector, first.cr2, first.rip) == (14, PAGE + 0x1000, place)
    assert first.regs["rcx"] == 0
    assert (result.rcx, result.rax) == (2, 1)


def test_position_of_a_fault_in_rewritten_code_is_exact(asm: Asm) -> None:
    """After a store into the running block, are RIP and registers of a later fault right?"""
    result = asm("mov byte ptr [rip + here], 0xf4\nmov eax, 1\nhere: nop\nmov eax, 2")
    assert result.exit.name == "HALT"
    assert result.rip == result.labels["here"] + 1
    assert result.rax == 1


def test_the_longest_instruction_and_one_byte_more(asm: Asm) -> None:
    """Are 15 bytes run, and is a longer instruction #GP?"""
    assert asm(".byte 0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,"
               "0x66,0x90", ring=3).ended
    result = asm("here: .byte 0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,0x66,"
                 "0x66,0x66,0x66,0x90", ring=3)
    assert result.trap is not None
    assert (result.trap.vector, result.rip) in ((13, USER_CODE), (6, USER_CODE))
