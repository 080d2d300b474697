"""Faults in the delivery of faults: serial, double, triple.

See: Intel SDM vol. 3A, "Interrupt 8—Double Fault Exception (#DF)", table "Conditions for Generating
a Double Fault".
"""

from __future__ import annotations

import pytest

from emulator.arch import descriptors
from emulator.arch.exceptions import CONTRIBUTORY, PageFaultError, Vector
from emulator.arch.paging import PTE
from emulator.bare import IST, TSS, USER_CODE, USER_DATA, Bare, Result
from emulator.cpu import control
from emulator.cpu.control import Activity, Exit

BAD_STACK = 0x5000_0000

# How to raise each vector from ring 3.
RAISE = {Vector.UD: "ud2", Vector.DE: "xor eax, eax\nhere: div eax", Vector.GP: "here: hlt",
         Vector.PF: "xor eax, eax\nhere: mov eax, [rax]", Vector.DB: ".byte 0xf1"}

# How to make its gate fail.
NP, GP, PF = "not present", "not a gate", "stack not mapped"


def spoil(machine: Bare, vector: int, how: str) -> None:
    if how == NP:
        machine.gate(vector, present=False)
    elif how == GP:
        machine.gate(vector, type_=5)
    else:
        machine.gate(vector, ist=7)
        machine.ram.write(TSS + descriptors.TSS_IST1 + 8 * 6, BAD_STACK.to_bytes(8, "little"))


def expect(result: Result, vector: int, error_code: int) -> None:
    assert result.trap is not None, result.exit
    assert (result.trap.vector, hex(result.trap.error_code)) == (vector, hex(error_code))


@pytest.mark.parametrize("how", [NP, GP, PF])
@pytest.mark.parametrize("first", RAISE)
def test_second_fault_is_double_or_serial_by_the_table(machine: Bare, first: Vector,
                                                       how: str) -> None:
    """Is a fault in the delivery of another delivered alone, or both as #DF?

    good: contributory after contributory, and anything but benign after #PF, are #DF.
    bad: a #PF after a contributory fault, or any after a benign one, is #DF.
    """
    second = {NP: Vector.NP, GP: Vector.GP, PF: Vector.PF}[how]
    machine.gate(Vector.DF, ist=1)
    if second != first:
        machine.gate(second, ist=2)
    spoil(machine, first, how)
    result = machine.run(RAISE[first], ring=3)
    double = (first in CONTRIBUTORY and second in CONTRIBUTORY) or first == Vector.PF
    if double:
        expect(result, Vector.DF, 0)
    elif how == PF:
        expect(result, Vector.PF, PageFaultError.W)
    else:
        expect(result, second, first * 8 + 2 + 1)
    behind = 1 if first == Vector.DB else 0
    assert result.rip == result.labels.get("here", USER_CODE) + behind


def test_fault_in_the_delivery_of_int_n_is_never_double(machine: Bare) -> None:
    """Is INT 13 benign, although #GP is not?"""
    machine.gate(Vector.GP, dpl=3, present=False)
    expect(machine.run("int 13", ring=3), Vector.NP, Vector.GP * 8 + 2)
    machine.gate(Vector.GP, dpl=3)
    spoil(machine, Vector.GP, PF)
    machine.gate(Vector.GP, dpl=3, ist=7)
    expect(machine.run("int 13", ring=3), Vector.PF, PageFaultError.W)


@pytest.mark.parametrize("vector", [Vector.GP, 0x20])
def test_fault_in_the_delivery_of_a_device_interrupt_is_never_double(machine: Bare,
                                                                     vector: int) -> None:
    """Is an external interrupt benign, whatever its vector, and has its fault EXT set?"""
    machine.gate(vector, present=False)
    machine.begin(3)
    machine.cpu.deliver(vector, external=True)
    expect(machine.go(), Vector.NP, vector * 8 + 2 + 1)


def test_double_fault_is_delivered_with_error_code_0_on_its_stack(machine: Bare) -> None:
    """Does #DF use its IST, and is the frame the interrupted program's?"""
    machine.gate(Vector.DF, ist=1)
    spoil(machine, Vector.PF, NP)
    result = machine.run("mov ebx, 0x1000\nhere: mov [rbx], eax", ring=3)
    expect(result, Vector.DF, 0)
    assert result.trap is not None
    assert result.trap.handler["rsp"] == IST + 0x1000 - 48
    assert result.trap.cr2 == 0x1000
    assert result.rip == result.labels["here"]


def test_cr2_is_that_of_the_last_page_fault(machine: Bare) -> None:
    """After #PF in the delivery of #PF, what does the #DF handler find in CR2?"""
    machine.gate(Vector.DF, ist=1)
    spoil(machine, Vector.PF, PF)
    result = machine.run("mov ebx, 0x1000\nmov [rbx], eax", ring=3)
    expect(result, Vector.DF, 0)
    assert result.trap is not None
    assert result.trap.cr2 == BAD_STACK - 48


def test_machine_goes_on_after_a_double_fault(machine: Bare) -> None:
    """Can the handler return, and the next fault be delivered as usual?"""
    machine.gate(Vector.DF, ist=1)
    spoil(machine, Vector.PF, NP)

    def mend(trap: object) -> None:
        machine.gate(Vector.PF)

    machine.on_trap[Vector.DF] = mend
    result = machine.run("mov ebx, 0x1000\nmov [rbx], eax", ring=3)
    expect(result, Vector.PF, PageFaultError.P | PageFaultError.W | PageFaultError.U)
    assert [trap.vector for trap in result.traps] == [Vector.DF, Vector.PF]


def test_many_faults_in_a_row_are_not_double_faults(machine: Bare) -> None:
    """Does the engine forget a fault that was delivered, before the next?"""
    machine.on_trap[Vector.PF] = lambda trap: machine.change(rip=trap.rip + 2)
    machine.on_trap[Vector.GP] = lambda trap: machine.change(rip=trap.rip + 1)
    result = machine.run("mov ebx, 0x1000\n" + "mov [rbx], eax\nhlt\nmov [rbx], eax\n" * 3, ring=3)
    assert result.ended
    assert [trap.vector for trap in result.traps] == [14, 13, 14] * 3


@pytest.mark.parametrize("how", [NP, GP, PF])
@pytest.mark.parametrize("first", [Vector.GP, Vector.PF])
def test_fault_in_a_double_fault_shuts_the_processor_down(machine: Bare, first: Vector,
                                                          how: str) -> None:
    """Is the triple fault an end of the run, and for good?"""
    spoil(machine, first, NP)
    spoil(machine, Vector.DF, how)
    result = machine.run(RAISE[first], ring=3)
    assert result.exit is Exit.SHUTDOWN
    assert machine.cpu.words[control.ACTIVITY >> 3] == Activity.SHUTDOWN
    assert machine.machine.run() is Exit.SHUTDOWN


def test_no_idt_at_all_is_a_shutdown(machine: Bare) -> None:
    """Does a fault before there is an IDT end the machine, and not the host's patience?"""
    machine.write(USER_DATA, bytes(10))
    assert machine.run("lidt [rbx]\nud2", rbx=USER_DATA).exit is Exit.SHUTDOWN


def test_handler_that_cannot_be_fetched_faults_until_the_clock_stops_it(machine: Bare) -> None:
    """Is a storm of faults that retires no instruction bounded by the clock?

    bad: the run never ends.
    """
    machine.gate(Vector.PF, 0x6000_0000, ist=1)
    clock = machine.machine.clock
    result = machine.run("mov eax, [rbx]", ring=3, rbx=0x1000, until=clock + 200)
    assert result.exit is Exit.TIMER
    assert machine.machine.clock == clock + 200
    assert machine.cpu.rip == 0x6000_0000


def test_faults_that_walk_down_the_stack_end_in_a_double_fault(machine: Bare) -> None:
    """Without an IST, does the storm use up its stack?"""
    stack = 0x5000_1000
    machine.map(stack - 0x1000, flags=PTE.P | PTE.RW)
    machine.ram.write(TSS + descriptors.TSS_RSP0, stack.to_bytes(8, "little"))
    machine.gate(Vector.PF, 0x6000_0000)
    machine.gate(Vector.DF, ist=1)
    result = machine.run("mov eax, [rbx]", ring=3, rbx=0x1000)
    expect(result, Vector.DF, 0)
    assert result.rsp < stack - 0x1000 + 64
    assert result.rip == 0x6000_0000
