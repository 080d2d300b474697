"""Delivery through the IDT: every field of a gate, and what the handler finds.

See: Intel SDM vol. 3A, "Exception and Interrupt Handling in 64-bit Mode"; vol. 2A, "INT n/INTO/
INT3/INT1", the pseudo-code; kvm-unit-tests x86/idt_test.c, x86/eventinj.c.
"""

from __future__ import annotations

import pytest

from emulator.arch import descriptors
from emulator.arch.descriptors import (
    INTERRUPT_GATE,
    KERNEL_CODE_DESCRIPTOR,
    KERNEL_CS,
    KERNEL_DS,
    TRAP_GATE,
    USER32_CS,
    USER_CODE_DESCRIPTOR,
    USER_CS,
    USER_DS,
)
from emulator.arch.exceptions import PageFaultError, Vector
from emulator.arch.paging import PTE
from emulator.arch.registers import RFLAGS
from emulator.bare import (
    GDT,
    IDT,
    IST,
    KERNEL_CODE,
    KERNEL_STACK,
    RSP0,
    TSS,
    USER_CODE,
    USER_DATA,
    USER_STACK,
    Bare,
    Result,
    Trap,
)
from emulator.cpu.control import Exit
from ringlet.testing import Asm

SPARE = 0x50  # a selector whose descriptor the tests may write
INT = 0x80
IDT_BIT, EXT = 2, 1


def trap_of(result: Result) -> Trap:
    assert result.trap is not None, result
    return result.trap


def expect(result: Result, vector: int, error_code: int = 0, rip: int | None = None) -> Trap:
    """The run has ended with this trap."""
    trap = trap_of(result)
    assert (trap.vector, hex(trap.error_code)) == (vector, hex(error_code))
    if rip is not None:
        assert hex(trap.rip) == hex(rip)
    return trap


# The frame


@pytest.mark.parametrize("ring", [0, 3])
@pytest.mark.parametrize("dpl_and_type", [(3, INTERRUPT_GATE), (3, TRAP_GATE)])
def test_int_n_pushes_the_interrupted_state(machine: Bare, ring: int,
                                            dpl_and_type: tuple[int, int]) -> None:
    """Are RIP (behind the instruction), CS, RFLAGS, RSP and SS what the program had?"""
    dpl, type_ = dpl_and_type
    machine.gate(INT, dpl=dpl, type_=type_)
    flags = RFLAGS.RESERVED1 | RFLAGS.CF | RFLAGS.ZF | RFLAGS.IF
    trap = trap_of(machine.run(f"int {INT}\nafter:", ring, rflags=flags))
    assert trap.regs["rip"] == (USER_CODE if ring else KERNEL_CODE) + 2
    assert trap.regs["rflags"] == flags
    assert trap.regs["cs"] == (USER_CS if ring else KERNEL_CS)
    assert trap.regs["ss"] == (USER_DS if ring else KERNEL_DS)
    assert trap.regs["rsp"] == (USER_STACK if ring else KERNEL_STACK)
    assert trap.handler["cs"] == KERNEL_CS
    assert trap.handler["ss"] == (0 if ring else KERNEL_DS)
    assert trap.handler["rsp"] == (RSP0 if ring else KERNEL_STACK) - 40


@pytest.mark.parametrize(("type_", "keeps"), [(INTERRUPT_GATE, False), (TRAP_GATE, True)])
@pytest.mark.parametrize("ring", [0, 3])
def test_interrupt_gate_clears_if_and_trap_gate_keeps_it(machine: Bare, ring: int, type_: int,
                                                         keeps: bool) -> None:
    """Is that all the difference between the two?"""
    machine.gate(INT, dpl=3, type_=type_)
    flags = RFLAGS.RESERVED1 | RFLAGS.IF | RFLAGS.DF | RFLAGS.OF | RFLAGS.AC | RFLAGS.ID
    trap = trap_of(machine.run(f"int {INT}", ring, rflags=flags))
    assert trap.handler["rflags"] == (flags if keeps else flags & ~RFLAGS.IF)


def test_delivery_clears_tf_nt_and_rf(machine: Bare) -> None:
    """Does the handler run without them, while the image keeps TF and NT?"""
    machine.gate(INT, dpl=3)
    flags = RFLAGS.RESERVED1 | RFLAGS.NT | RFLAGS.TF
    machine.on_trap[Vector.DB] = lambda trap: None
    trap = trap_of(machine.run(f"int {INT}", ring=3, rflags=flags))
    assert trap.regs["rflags"] == flags
    assert trap.handler["rflags"] == RFLAGS.RESERVED1


@pytest.mark.parametrize(("source", "vector", "rf"), [
    ("ud2", Vector.UD, True), ("mov eax, [rax]", Vector.PF, True),
    ("hlt", Vector.GP, True), ("div eax", Vector.DE, True),
    ("int3", Vector.BP, False), (".byte 0xf1", Vector.DB, False),
])
def test_rf_is_set_in_the_image_of_a_fault_alone(machine: Bare, source: str, vector: int,
                                                 rf: bool) -> None:
    """Does the saved RFLAGS tell a fault from a trap?"""
    machine.gate(Vector.BP, dpl=3)
    trap = expect(machine.run(f"xor eax, eax\n{source}", ring=3), vector,
                  PageFaultError.P | PageFaultError.U if vector == Vector.PF else 0)
    assert bool(trap.regs["rflags"] & RFLAGS.RF) is rf
    assert not trap.handler["rflags"] & RFLAGS.RF


def test_trap_flag_steps_one_instruction_at_a_time(machine: Bare) -> None:
    """Is #DB delivered behind each instruction, with TF in the image and not in the handler?"""
    steps: list[Trap] = []
    machine.on_trap[Vector.DB] = lambda trap: steps.append(trap)
    result = machine.run("one: nop\ntwo: inc eax\nthree: nop", ring=3,
                         rflags=RFLAGS.TF | RFLAGS.RESERVED1)
    assert [step.rip for step in steps] == [
        result.labels["two"], result.labels["three"], result.labels["three"] + 1]
    assert all(step.regs["rflags"] & RFLAGS.TF for step in steps)
    assert not any(step.handler["rflags"] & RFLAGS.TF for step in steps)
    assert result.ended


@pytest.mark.parametrize(("source", "vector", "behind"), [
    ("int3", Vector.BP, 1), (".byte 0xcd, 3", Vector.BP, 2), ("int 6", Vector.UD, 2),
    (".byte 0xf1", Vector.DB, 1), (".byte 0x66, 0x2e, 0xf1", Vector.DB, 3),
    (".byte 0xf3, 0x48, 0xf1", Vector.DB, 3), ("ud2", Vector.UD, 0), ("div eax", Vector.DE, 0),
    (".byte 0x66, 0xcd, 0x80", 0x80, 3), (".byte 0x48, 0xcc", Vector.BP, 2),
    ("rdpmc", Vector.GP, 0), (".byte 0xce", Vector.UD, 0), (".byte 0xf0, 0xf1", Vector.UD, 0),
])
def test_saved_rip_is_at_a_fault_and_behind_a_trap(machine: Bare, source: str, vector: int,
                                                   behind: int) -> None:
    """Each with its prefixes?  (INTO, 0xce, does not exist in 64-bit mode.)"""
    for gate in (Vector.BP, Vector.UD, 0x80):
        machine.gate(gate, dpl=3)
    result = machine.run(f"xor eax, eax\nhere: {source}", ring=3)
    expect(result, vector, 0, result.labels["here"] + behind)


def test_int_n_has_no_error_code_whatever_its_number(machine: Bare) -> None:
    """Is INT 14 not taken for a page fault?"""
    labels = machine.assemble("handler: mov rax, [rsp]\nmov rbx, [rsp + 8]\nhlt")
    machine.gate(Vector.PF, labels["handler"], dpl=3)
    result = machine.run(f"int {Vector.PF}", ring=3)
    assert (result.rax, result.rbx) == (USER_CODE + 2, USER_CS)


@pytest.mark.parametrize("vector", [Vector.GP, Vector.PF])
def test_exception_with_error_code_pushes_it_below_rip(machine: Bare, vector: int) -> None:
    """Is the frame one word longer, and aligned as a whole?"""
    labels = machine.assemble("handler: mov rax, [rsp]\nmov rbx, [rsp + 8]\nmov rcx, rsp\nhlt")
    machine.gate(vector, labels["handler"])
    result = machine.run("hlt" if vector == Vector.GP else "mov [rbx], eax", ring=3, rbx=0x1000)
    error = 0
    if vector == Vector.PF:
        error = PageFaultError.P | PageFaultError.W | PageFaultError.U
    assert (result.rax, result.rbx, result.rcx) == (error, USER_CODE, RSP0 - 48)


# Present, type, DPL


@pytest.mark.parametrize("ring", [0, 3])
@pytest.mark.parametrize("dpl", [0, 1, 2, 3])
@pytest.mark.parametrize(("source", "vector", "length"), [
    (f"int {INT}", INT, 2), ("int3", 3, 1), ("int 3", 3, 2), ("int 6", 6, 2),
    (".byte 0x66, 0xcd, 0x21", 0x21, 3)])
def test_dpl_of_the_gate_bars_int_n(machine: Bare, ring: int, dpl: int, source: str, vector: int,
                                    length: int) -> None:
    """Is INT n to a gate that is too privileged #GP(vector * 8 + 2), at the instruction?

    bad: ring 3 reaches a handler that is not meant for it, or RIP is behind the instruction.
    """
    machine.gate(vector, dpl=dpl)
    code = {1: ".byte 0xcc", 2: f".byte 0xcd, {vector}"}.get(length, source)
    result = machine.run(f"nop\nhere: {code}", ring)
    here = result.labels["here"]
    if ring <= dpl:
        expect(result, vector, 0, here + length)
    else:
        expect(result, Vector.GP, vector * 8 + IDT_BIT, here)


@pytest.mark.parametrize(("source", "vector"), [("ud2", Vector.UD), ("div ecx", Vector.DE),
                                                (".byte 0xf1", Vector.DB)])
def test_dpl_of_the_gate_does_not_bar_exceptions(machine: Bare, source: str,
                                                 vector: int) -> None:
    """Does ring 3 reach a DPL 0 gate by a fault, and by INT1?"""
    expect(machine.run(source, ring=3), vector)


@pytest.mark.parametrize("type_", [t for t in range(16) if t not in (INTERRUPT_GATE, TRAP_GATE)])
def test_gate_of_another_type_is_gp(machine: Bare, type_: int) -> None:
    """Are only the two types of 64-bit gates taken, whether present or not?"""
    machine.gate(INT, dpl=3, type_=type_, present=type_ % 2 == 0)
    result = machine.run(f"here: int {INT}", ring=3)
    expect(result, Vector.GP, INT * 8 + IDT_BIT, result.labels["here"])


def test_gate_with_the_system_bit_is_gp(machine: Bare) -> None:
    """Is bit 4 of the access byte, which is 0 in gates, looked at?"""
    machine.gate(INT, dpl=3, type_=INTERRUPT_GATE | 0x10)
    expect(machine.run(f"int {INT}", ring=3), Vector.GP, INT * 8 + IDT_BIT)


def test_gate_that_is_not_present_is_np_of_it(machine: Bare) -> None:
    """For INT n with EXT clear, for an exception with EXT set?"""
    machine.gate(INT, dpl=3, present=False)
    result = machine.run(f"here: int {INT}", ring=3)
    expect(result, Vector.NP, INT * 8 + IDT_BIT, result.labels["here"])
    machine.gate(Vector.UD, present=False)
    expect(machine.run("ud2", ring=3), Vector.NP, Vector.UD * 8 + IDT_BIT + EXT, USER_CODE)


def test_order_of_the_checks_is_type_dpl_present(machine: Bare) -> None:
    """If several things are wrong with a gate, which is told?"""
    machine.gate(INT, dpl=0, type_=5, present=False)
    expect(machine.run(f"int {INT}", ring=3), Vector.GP, INT * 8 + IDT_BIT)
    machine.gate(INT, dpl=0, present=False)
    expect(machine.run(f"int {INT}", ring=3), Vector.GP, INT * 8 + IDT_BIT)
    machine.gate(INT, 0, 0, dpl=3, present=False)
    expect(machine.run(f"int {INT}", ring=3), Vector.NP, INT * 8 + IDT_BIT)


@pytest.mark.parametrize(("vectors", "bytes_"), [(0x40, 0), (0x81, -1), (0x81, 0)])
def test_vector_outside_the_idt_is_gp_of_it(machine: Bare, vectors: int, bytes_: int) -> None:
    """Does the limit bar all gates that are not wholly inside?"""
    limit = vectors * 16 - 1 + bytes_
    load_idt(machine, IDT, limit)
    machine.gate(INT, dpl=3)
    result = machine.run(f"int {INT}", ring=3)
    if (vectors, bytes_) == (0x81, 0):
        expect(result, INT)
    else:
        expect(result, Vector.GP, INT * 8 + IDT_BIT, USER_CODE)


# The code segment


def with_descriptor(machine: Bare, value: int, selector: int = SPARE) -> Result:
    """INT n from ring 3 through a gate with a code segment of this descriptor."""
    machine.descriptor(SPARE, value)
    machine.gate(INT, selector=selector, dpl=3)
    return machine.run(f"int {INT}", ring=3)


P, S, CODE_BIT, CONFORMING, L, D = 1 << 47, 1 << 44, 1 << 43, 1 << 42, 1 << 53, 1 << 54
DPL3 = 3 << 45


@pytest.mark.parametrize(("descriptor", "vector"), [
    (KERNEL_CODE_DESCRIPTOR & ~CODE_BIT, Vector.GP),  # data
    (KERNEL_CODE_DESCRIPTOR & ~S, Vector.GP),  # a system segment
    (KERNEL_CODE_DESCRIPTOR & ~L | D, Vector.GP),  # 32-bit
    (KERNEL_CODE_DESCRIPTOR & ~L, Vector.GP),  # 16-bit
    (KERNEL_CODE_DESCRIPTOR | D, Vector.GP),  # reserved: L and D
    (KERNEL_CODE_DESCRIPTOR & ~P, Vector.NP),
    (0, Vector.GP),
])
def test_gate_with_a_bad_code_segment(machine: Bare, descriptor: int, vector: int) -> None:
    """Is a segment that is not present, 64-bit code #GP or #NP of its selector?"""
    expect(with_descriptor(machine, descriptor), vector, SPARE, USER_CODE)


@pytest.mark.parametrize(("selector", "error_code"), [
    (0, 0), (3, 0), (0x1000, 0x1000), (0xFFF8, 0xFFF8), (SPARE | 4, SPARE | 4)])
def test_gate_with_a_bad_selector(machine: Bare, selector: int, error_code: int) -> None:
    """Is a null selector #GP(0), and one outside its table #GP of it?"""
    machine.run("xor eax, eax\nlldt ax")
    expect(with_descriptor(machine, KERNEL_CODE_DESCRIPTOR, selector), Vector.GP, error_code)


def test_error_code_of_a_bad_selector_has_ext_for_an_exception(machine: Bare) -> None:
    """Is EXT set if the event was not INT n?"""
    machine.gate(Vector.UD, selector=0x1000)
    expect(machine.run("ud2", ring=3), Vector.GP, 0x1000 | EXT)
    machine.gate(Vector.UD, selector=0)
    expect(machine.run("ud2", ring=3), Vector.GP, EXT)


def test_rpl_of_the_gates_selector_does_not_matter(machine: Bare) -> None:
    """Is CS loaded with RPL = CPL?"""
    trap = expect(with_descriptor(machine, KERNEL_CODE_DESCRIPTOR, SPARE | 3), INT)
    assert trap.handler["cs"] == SPARE


def test_segment_in_the_ldt_is_found(machine: Bare) -> None:
    """May a gate's selector refer to the LDT?"""
    ldt = machine.frame()
    machine.ram.u64[(GDT + 0x60) >> 3] = (
        0xF | (ldt & 0xFF_FFFF) << 16 | 0x82 << 40 | (ldt >> 24 & 0xFF) << 56)
    machine.ram.u64[(GDT + 0x68) >> 3] = 0
    machine.ram.u64[(ldt + 8) >> 3] = KERNEL_CODE_DESCRIPTOR
    machine.run("mov eax, 0x60\nlldt ax")
    trap = expect(with_descriptor(machine, 0, 8 | 4), INT)
    assert trap.handler["cs"] == 8 | 4


def test_handler_may_not_be_less_privileged(machine: Bare) -> None:
    """Is a DPL 3 segment #GP for an interrupt of ring 0, and fit for one of ring 3?"""
    machine.descriptor(SPARE, USER_CODE_DESCRIPTOR)
    labels = machine.assemble("handler: mov eax, cs\nmov rbx, rsp\nud2", ring=3)
    machine.gate(INT, labels["handler"], SPARE, dpl=3)
    expect(machine.run(f"int {INT}"), Vector.GP, SPARE, KERNEL_CODE)
    labels = machine.assemble(f"int {INT}\nhandler: mov eax, cs\nmov rbx, rsp\nud2", ring=3)
    machine.gate(INT, labels["handler"], SPARE, dpl=3)
    result = machine.run(None, ring=3)
    expect(result, Vector.UD)
    assert (result.rax, result.rbx) == (SPARE | 3, USER_STACK - 40)


def test_conforming_handler_runs_in_the_ring_that_was_interrupted(machine: Bare) -> None:
    """Does a conforming segment keep CPL, stack and SS?"""
    machine.descriptor(SPARE, KERNEL_CODE_DESCRIPTOR | CONFORMING)
    labels = machine.assemble(f"int {INT}\nhandler: mov eax, cs\nmov rbx, rsp\nmov ecx, ss\nhlt",
                              ring=3)
    machine.gate(INT, labels["handler"], SPARE, dpl=3)
    result = machine.run(None, ring=3)
    expect(result, Vector.GP)  # HLT: still ring 3
    assert (result.rax, result.rbx, result.rcx) == (SPARE | 3, USER_STACK - 40, USER_DS)


@pytest.mark.parametrize("offset", [1 << 47, 0xFFFF_7FFF_FFFF_FFFF, 1 << 63])
def test_handler_at_a_non_canonical_address_is_gp(machine: Bare, offset: int) -> None:
    """Is it #GP(EXT), and at the interrupted instruction, not at the handler?"""
    machine.gate(INT, offset, dpl=3)
    expect(machine.run(f"int {INT}", ring=3), Vector.GP, 0, USER_CODE)
    machine.gate(Vector.UD, offset)
    expect(machine.run("ud2", ring=3), Vector.GP, EXT, USER_CODE)


def test_handler_in_the_upper_half_is_reached(machine: Bare) -> None:
    """Are all 64 bits of the offset used?"""
    va = 0xFFFF_FFFF_8000_0000
    pa = machine.map(va, flags=PTE.P | PTE.RW)
    machine.machine.write_code(pa, b"\x48\x8d\x05\x00\x00\x00\x00\xf4")  # lea rax, [rip]; hlt
    machine.gate(INT, va, dpl=3)
    assert machine.run(f"int {INT}", ring=3).rax == va + 7


# The stack


def test_same_ring_keeps_its_stack_and_aligns_it(machine: Bare) -> None:
    """Is the frame on the current stack, at a multiple of 16?"""
    machine.gate(INT)
    for shift in range(0, 24, 3):
        trap = expect(machine.run(f"int {INT}", rsp=KERNEL_STACK - 64 - shift), INT)
        assert trap.regs["rsp"] == KERNEL_STACK - 64 - shift
        assert trap.handler["rsp"] == (KERNEL_STACK - 64 - shift & ~15) - 40


@pytest.mark.parametrize("rsp0", [RSP0, RSP0 - 1, RSP0 - 8, RSP0 - 13])
def test_ring_3_gets_the_stack_rsp0_aligned(machine: Bare, rsp0: int) -> None:
    """Is RSP0 of the TSS used, rounded down to 16?"""
    machine.ram.write(TSS + descriptors.TSS_RSP0, rsp0.to_bytes(8, "little"))
    trap = expect(machine.run("ud2", ring=3), Vector.UD)
    assert trap.handler["rsp"] == (rsp0 & ~15) - 40
    assert trap.handler["ss"] == 0
    assert trap.regs["rsp"] == USER_STACK


@pytest.mark.parametrize("ring", [0, 3])
@pytest.mark.parametrize("ist", [1, 2, 3, 4, 5, 6, 7])
def test_ist_switches_the_stack_in_every_ring(machine: Bare, ring: int, ist: int) -> None:
    """Does a gate's IST field choose the stack, whatever ring was interrupted?"""
    machine.gate(Vector.UD, ist=ist)
    trap = expect(machine.run("ud2", ring), Vector.UD)
    assert trap.handler["rsp"] == IST + ist * 0x1000 - 40
    assert trap.handler["ss"] == (0 if ring else KERNEL_DS)
    assert trap.regs["rsp"] == (USER_STACK if ring else KERNEL_STACK)


@pytest.mark.parametrize(("limit", "ist", "fits"), [
    (11, 0, True), (10, 0, False), (4, 0, False), (91, 7, True), (90, 7, False), (43, 1, True),
    (42, 1, False)])
def test_stack_outside_the_tss_is_ts(machine: Bare, limit: int, ist: int, fits: bool) -> None:
    """Is a TSS that is too short for the stack's field #TS of its selector?"""
    machine.gate(Vector.TS, ist=0)
    machine.gate(INT, dpl=3, ist=ist)
    machine.load_tss(limit)
    # Ring 0 does not need RSP0, so that #TS itself can be delivered.
    result = machine.run(f"int {INT}", ring=0 if ist else 3)
    if fits:
        expect(result, INT)
    elif ist:
        expect(result, Vector.TS, descriptors.TSS_SELECTOR, KERNEL_CODE)
    else:
        # #TS in the delivery of #TS is a double fault, and so on.
        assert result.exit is Exit.SHUTDOWN


@pytest.mark.parametrize("rsp0", [1 << 47, (1 << 47) + 16, 0xFFFF_8000_0000_0000, 1 << 63])
def test_stack_at_a_non_canonical_address_is_ss(machine: Bare, rsp0: int) -> None:
    """Is it #SS(EXT), also if only a part of the frame is there?"""
    machine.ram.write(TSS + descriptors.TSS_RSP0, rsp0.to_bytes(8, "little"))
    machine.gate(Vector.SS, ist=1)
    machine.gate(INT, dpl=3)
    if rsp0 == 1 << 47:  # the last bytes below are canonical
        machine.map((1 << 47) - 0x1000, flags=PTE.P | PTE.RW)
        trap = expect(machine.run(f"int {INT}", ring=3), INT)
        assert trap.handler["rsp"] == rsp0 - 40
        return
    expect(machine.run(f"int {INT}", ring=3), Vector.SS, 0, USER_CODE)
    expect(machine.run("ud2", ring=3), Vector.SS, EXT, USER_CODE)


def test_stack_fault_precedes_a_non_canonical_handler(machine: Bare) -> None:
    """If both are wrong, is the stack looked at first?"""
    machine.ram.write(TSS + descriptors.TSS_RSP0, (1 << 63).to_bytes(8, "little"))
    machine.gate(Vector.SS, ist=1)
    machine.gate(INT, 1 << 63, dpl=3)
    expect(machine.run(f"int {INT}", ring=3), Vector.SS, 0)


@pytest.mark.parametrize(("flags", "error"), [
    (0, PageFaultError.W), (PTE.P, PageFaultError.P | PageFaultError.W)])
def test_stack_that_cannot_be_written_is_a_supervisors_page_fault(
        machine: Bare, flags: int, error: PageFaultError) -> None:
    """Is a push that faults #PF, made by ring 0 although ring 3 was interrupted?"""
    stack = 0x5000_0000
    machine.map(stack - 0x1000, flags=flags)
    machine.ram.write(TSS + descriptors.TSS_RSP0, stack.to_bytes(8, "little"))
    machine.gate(Vector.PF, ist=2)
    machine.gate(INT, dpl=3)
    trap = expect(machine.run(f"nop\nint {INT}", ring=3), Vector.PF, error, USER_CODE + 1)
    assert trap.cr2 == stack - 40
    assert trap.regs["rsp"] == USER_STACK
    expect(machine.run("ud2", ring=3), Vector.PF, error, USER_CODE)


def test_frame_that_straddles_two_pages_is_written_whole_or_not_at_all(machine: Bare) -> None:
    """Does a fault in one page leave the other's part of the frame unwritten?"""
    stack = 0x5000_1000
    pa = machine.map(stack, flags=PTE.P | PTE.RW)
    machine.map(stack - 0x1000, flags=0)
    machine.ram.write(TSS + descriptors.TSS_RSP0, (stack + 16).to_bytes(8, "little"))
    machine.gate(Vector.PF, ist=2)
    machine.gate(INT, dpl=3)
    trap = expect(machine.run(f"int {INT}", ring=3), Vector.PF, PageFaultError.W, USER_CODE)
    assert trap.cr2 == stack + 16 - 40
    assert machine.ram.u64[pa >> 3] == 0
    machine.map(stack - 0x1000, flags=PTE.P | PTE.RW)
    trap = expect(machine.run(f"int {INT}", ring=3), INT)
    assert machine.ram.u64[pa >> 3] == USER_STACK
    assert trap.frame == stack + 16 - 40


def test_delivery_sets_accessed_and_dirty_of_the_stack(machine: Bare) -> None:
    """Are a delivery's own accesses seen in the tables, as the manual demands?"""
    stack = 0x5000_0000
    machine.map(stack - 0x1000, flags=PTE.P | PTE.RW)
    machine.ram.write(TSS + descriptors.TSS_RSP0, stack.to_bytes(8, "little"))
    expect(machine.run("ud2", ring=3), Vector.UD)
    assert machine.ram.u64[machine.entry(stack - 0x1000) >> 3] & (PTE.A | PTE.D) == PTE.A | PTE.D


def test_read_only_stack_is_written_without_wp(machine: Bare) -> None:
    """Does CR0.WP decide whether ring 0's pushes honour read-only pages?"""
    stack = 0x5000_0000
    machine.map(stack - 0x1000, flags=PTE.P)
    machine.ram.write(TSS + descriptors.TSS_RSP0, stack.to_bytes(8, "little"))
    machine.cpu.regs.cr0 = machine.cpu.regs.cr0 & ~(1 << 16)
    trap = expect(machine.run("ud2", ring=3), Vector.UD)
    assert trap.handler["rsp"] == stack - 40


# Where the tables lie


def load_idt(machine: Bare, base: int, limit: int = 0xFFF) -> None:
    machine.write(USER_DATA, limit.to_bytes(2, "little") + base.to_bytes(8, "little"))
    # The old IDT has gone, so there is no way to report the end but HLT.
    assert machine.run("lidt [rbx]\nhlt", rbx=USER_DATA).exit is Exit.HALT


@pytest.mark.parametrize("shift", [0, 8, 4])
def test_idt_may_lie_anywhere_and_needs_no_alignment(machine: Bare, shift: int) -> None:
    """Is a gate read through the page tables, also across two pages and misaligned?"""
    va = 0x5000_0000
    for page in range(2):
        machine.map(va + page * 0x1000, flags=PTE.P | PTE.RW | PTE.NX)
    machine.gate(INT, dpl=3)
    machine.write(va + shift, machine.ram.read(IDT, 0x1000))
    load_idt(machine, va + shift)
    expect(machine.run(f"int {INT}", ring=3), INT)
    machine.gate(0xFE, dpl=3)
    machine.write(va + shift, machine.ram.read(IDT, 0x1000))
    expect(machine.run("int 0xfe", ring=3), 0xFE)
    assert machine.ram.u64[machine.entry(va) >> 3] & (PTE.A | PTE.D) == PTE.A


def test_idt_on_a_page_that_is_not_there_is_a_page_fault(machine: Bare) -> None:
    """Does reading a gate fault as a supervisor's read?"""
    va = 0x5000_0000
    machine.map(va, flags=PTE.P | PTE.RW)
    machine.gate(0x80, dpl=3)
    machine.write(va, machine.ram.read(IDT, 0x1000))
    # Vectors from 0x40 on lie in a page of their own, which has gone.
    base = va + 0x1000 - 0x40 * 16
    machine.map(base & ~0xFFF, flags=PTE.P | PTE.RW)
    machine.write(base, machine.ram.read(IDT, 0x40 * 16))
    machine.map(va + 0x1000, flags=0)
    load_idt(machine, base)
    trap = expect(machine.run("int 0x80", ring=3), Vector.PF, 0, USER_CODE)
    assert trap.cr2 == base + 0x80 * 16


def test_tables_outside_ram_read_as_all_ones(machine: Bare) -> None:
    """Is a gate of all ones, from where no memory is, just a bad gate?"""
    va = 0x5000_0000
    machine.map(va, 0x8000_0000, flags=PTE.P | PTE.RW)
    load_idt(machine, va)
    # #GP in the delivery of #GP, in the delivery of #DF.
    assert machine.run("ud2", ring=3).exit is Exit.SHUTDOWN


def test_stack_outside_ram_loses_what_is_pushed(machine: Bare) -> None:
    """Does a handler whose stack nobody answers for still begin?"""
    va = 0x5000_0000
    machine.map(va - 0x1000, 0x8000_0000, flags=PTE.P | PTE.RW)
    machine.ram.write(TSS + descriptors.TSS_RSP0, va.to_bytes(8, "little"))
    labels = machine.assemble("handler: mov rax, [rsp]\nmov rbx, rsp\nhlt")
    machine.gate(Vector.UD, labels["handler"])
    result = machine.run("ud2", ring=3)
    assert (result.rax, result.rbx) == ((1 << 64) - 1, va - 40)


def test_32_bit_code_is_interrupted_with_its_registers(machine: Bare) -> None:
    """Does a handler run in 64-bit mode, and return to compatibility mode?"""
    machine.gate(INT, dpl=3)
    # 40 is INC EAX in 32-bit code and a REX prefix in 64-bit code.
    code = bytes.fromhex("40 40 40 cd80 40 0f0b")
    machine.place(code, ring=3)
    seen: list[Trap] = []
    machine.on_trap[INT] = lambda trap: seen.append(trap)
    machine.begin(3, cs=USER32_CS, rsp=USER_DATA + 0x800)
    result = machine.go()
    expect(result, Vector.UD, 0, USER_CODE + 6)
    assert [(trap.regs["rax"], trap.regs["cs"], trap.regs["rsp"], trap.rip) for trap in seen] == [
        (3, USER32_CS, USER_DATA + 0x800, USER_CODE + 5)]
    assert result.rax == 4


def test_outside_long_mode_an_event_shuts_the_processor_down(asm: Asm) -> None:
    """Is the one mode in which nothing is delivered a clean end?"""
    result = asm("mov rax, cr0\nbtr rax, 31\nmov cr0, rax\nnop\nint3")
    assert result.exit is Exit.SHUTDOWN
