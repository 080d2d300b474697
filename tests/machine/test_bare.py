"""The bench itself: programs in both rings, and what can be seen of them."""

from __future__ import annotations

import pytest

from emulator.arch.descriptors import KERNEL_CS, USER_CS, USER_DS
from emulator.arch.exceptions import WITH_ERROR_CODE, Vector
from emulator.arch.paging import PTE
from emulator.bare import END, KERNEL_CODE, KERNEL_STACK, USER_CODE, USER_DATA, USER_STACK, Bare
from emulator.cpu.control import Exit


@pytest.mark.parametrize("ring", [0, 3])
def test_program_reaches_its_end_in_either_ring(machine: Bare, ring: int) -> None:
    """Do ten lines run, and can their registers be read afterwards?"""
    result = machine.run("mov rax, 6\nadd rax, rbx\nthere: nop", ring, rbx=7)
    assert result.ended
    assert result.exit is Exit.STOPPED
    assert result.rax == 13
    assert result.cs == (USER_CS if ring else KERNEL_CS)
    assert result.rsp == (USER_STACK if ring else KERNEL_STACK)
    assert result.labels["there"] == (USER_CODE if ring else KERNEL_CODE) + 10


def test_trap_ends_the_run_and_is_described(machine: Bare) -> None:
    """Is a trap reported with the registers of what it interrupted?"""
    result = machine.run("mov rbx, 0x1000\nbad: mov rax, [rbx]", ring=3)
    assert not result.ended
    assert result.trap is result.traps[-1]
    assert result.trap.vector == Vector.PF
    assert result.trap.cr2 == 0x1000
    assert result.rip == result.trap.rip == result.labels["bad"]
    assert (result.rbx, result.cs, result.ss) == (0x1000, USER_CS, USER_DS)


def test_trap_can_be_resumed_with_changed_registers(machine: Bare) -> None:
    """Does a test's handler stand in for a kernel's?"""
    machine.on_trap[Vector.UD] = lambda trap: machine.change(rip=trap.rip + 2, rax=5)
    result = machine.run("ud2\nadd rax, 1", ring=3)
    assert result.ended
    assert [trap.vector for trap in result.traps] == [Vector.UD]
    assert result.rax == 6


def test_memory_and_page_tables_can_be_looked_at(machine: Bare) -> None:
    """Does a store show in memory, and as D in the entry?"""
    place = machine.entry(USER_DATA) >> 3
    assert not machine.ram.u64[place] & (PTE.A | PTE.D)
    machine.run(f"mov ebx, {USER_DATA + 8:#x}\nmov qword ptr [rbx], 77", ring=3)
    assert machine.read(USER_DATA + 8, 8) == (77).to_bytes(8, "little")
    assert machine.ram.u64[place] & (PTE.A | PTE.D) == PTE.A | PTE.D


def test_host_calls_of_ring_0_are_listed(machine: Bare) -> None:
    """Can a program tell the test where it is?"""
    result = machine.run("mov al, 3\nout 0xf0, al\njmp a\na: mov al, 4\nout 0xf0, al\njmp b\nb:")
    assert result.ended
    assert result.calls == [3, 4]


def test_program_that_does_not_end_is_given_up(machine: Bare) -> None:
    """Is an endless loop bounded by the clock?"""
    result = machine.run("here: jmp here", ring=3, until=machine.machine.clock + 1000)
    assert result.exit is Exit.TIMER
    assert not result.ended
    assert machine.run("mov rax, 1", ring=3).rax == 1


def test_halt_in_ring_0_ends_the_run(machine: Bare) -> None:
    """Is HLT with interrupts off an end, with RIP behind it?"""
    result = machine.run("hlt\nhere: nop")
    assert result.exit is Exit.HALT
    assert result.rip == result.labels["here"]


def test_every_vector_reports_itself(machine: Bare) -> None:
    """Does each stub know its number?  (INT n to one with an error code would come without it.)"""
    for vector in range(256):
        if vector != END and vector not in WITH_ERROR_CODE:
            machine.gate(vector, dpl=3)
            result = machine.run(f"int {vector}", ring=3)
            assert result.trap is not None
            assert (result.trap.vector, result.trap.rip) == (vector, USER_CODE + 2)
