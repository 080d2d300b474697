"""Paging as a program meets it: rights in all combinations, A and D, large pages, the TLB.

See: Intel SDM vol. 3A, "4-Level Paging", "Access Rights", "Page-Fault Exceptions"; kvm-unit-tests
x86/access.c.  The tables are edited here by hand, walked by the engine, and the outcome is compared
with the manual's rules, and with the walk of :mod:`emulator.cpu.mmu`.
"""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from emulator.arch.exceptions import CpuException, PageFaultError, Vector
from emulator.arch.paging import PTE
from emulator.arch.registers import CR0, EFER, MSR
from emulator.bare import KERNEL_CODE, USER_CODE, USER_DATA, Bare
from emulator.cpu import mmu
from emulator.cpu.mmu import Access
from ringlet.testing import Asm

PAGE = 0x5000_0000
PROGRAM = """
read:
    mov eax, [rbx]
    int 0xff
write:
    mov [rbx], eax
    int 0xff
"""
RET = 0xC3


def place(machine: Bare) -> dict[str, dict[int, int]]:
    """Put the accesses where each ring can make them: by access, by ring, where to begin."""
    labels = {ring: machine.assemble(PROGRAM, ring) for ring in (0, 3)}
    return {access: {ring: labels[ring][access] for ring in (0, 3)} for access in ("read", "write")}


def access(machine: Bare, places: dict[str, dict[int, int]], kind: str, ring: int,
           va: int) -> tuple[int, int] | None:
    """Make one access; return vector and error code, or None if it was allowed."""
    machine.cpu.flush_tlb()
    # What is written is the code that is there: INT 0xff.
    machine.begin(ring, rip=va if kind == "fetch" else places[kind][ring], rbx=va, rax=0xFFCD)
    result = machine.go()
    if result.ended:
        return None
    assert result.trap is not None, result.exit
    if result.trap.vector == Vector.PF:
        assert result.trap.cr2 == va
    return result.trap.vector, result.trap.error_code


def allowed(kind: str, ring: int, wp: bool, writable: bool, user: bool, no_execute: bool) -> bool:
    """The manual's rules, "Determination of Access Rights"."""
    if ring == 3 and not user:
        return False
    if kind == "write":
        return writable or (ring == 0 and not wp)
    return not (kind == "fetch" and no_execute)


def error_code(kind: str, ring: int, present: bool) -> int:
    return ((PageFaultError.P if present else 0) | (PageFaultError.W if kind == "write" else 0)
            | (PageFaultError.U if ring else 0) | (PageFaultError.I if kind == "fetch" else 0))


RIGHTS = list(product((0, PTE.P), (0, PTE.RW), (0, PTE.US), (0, PTE.NX)))


@pytest.mark.parametrize("level", [0, 1, 2, 3])
@pytest.mark.parametrize("wp", [True, False])
def test_rights_in_an_entry_allow_just_what_the_manual_says(machine: Bare, level: int,
                                                            wp: bool) -> None:
    """For P, R/W, U/S, NX of an entry at each level: may each ring read, write and fetch?

    good: an access succeeds, or is #PF with the error code for it and CR2 the address.
    bad: any other outcome, or the entry changes in another bit than A and D.
    """
    va = 0x0000_7F00_0000_0000  # a table of its own at each level
    pa = machine.map(va, flags=PTE.P | PTE.RW | PTE.US)
    machine.machine.write_code(pa, b"\xcd\xff")  # int 0xff
    places = place(machine)
    machine.cpu.regs.cr0 = machine.cpu.regs.cr0 & ~CR0.WP | (CR0.WP if wp else 0)
    entry = machine.entry(va, level) >> 3
    frame = machine.ram.u64[entry] & ~0xFFF
    for rights, kind, ring in product(RIGHTS, ("read", "write", "fetch"), (0, 3)):
        value = frame | sum(rights)
        machine.ram.u64[entry] = value
        present = bool(value & PTE.P)
        may = present and allowed(kind, ring, wp, bool(value & PTE.RW), bool(value & PTE.US),
                                  bool(value & PTE.NX))
        outcome = access(machine, places, kind, ring, va)
        assert outcome == (None if may else (Vector.PF, error_code(kind, ring, present))), (
            f"{PTE(value & ~frame)!r} {kind} ring {ring}")
        assert machine.ram.u64[entry] & ~(PTE.A | PTE.D) == value
        if level == 3:
            used = PTE(machine.ram.u64[entry] & (PTE.A | PTE.D))
            assert used == ((PTE.A | PTE.D if kind == "write" else PTE.A) if may else PTE(0))


@pytest.mark.parametrize("ring", [0, 3])
@pytest.mark.parametrize("kind", ["read", "write", "fetch"])
def test_non_canonical_address_is_gp(machine: Bare, kind: str, ring: int) -> None:
    """Is an address whose bits 63 to 48 do not repeat bit 47 #GP(0), and not #PF?"""
    places = place(machine)
    for va in (1 << 47, 0xFFFF_7FFF_FFFF_FFF0, 1 << 63, 0xDEAD_BEEF_0000_0000):
        assert access(machine, places, kind, ring, va) == (Vector.GP, 0)


@pytest.mark.parametrize("bit", [40, 45, 51])
@pytest.mark.parametrize("level", [0, 1, 2, 3])
def test_reserved_bit_in_an_entry_is_a_page_fault_with_rsvd(machine: Bare, level: int,
                                                            bit: int) -> None:
    """Are the bits above MAXPHYADDR reserved at every level?"""
    va = 0x0000_7F00_0000_0000
    machine.map(va)
    places = place(machine)
    machine.ram.u64[machine.entry(va, level) >> 3] |= 1 << bit
    expected = PageFaultError.P | PageFaultError.RSVD | PageFaultError.U
    assert access(machine, places, "read", 3, va) == (Vector.PF, expected)


def test_nx_without_nxe_is_a_reserved_bit(machine: Bare) -> None:
    """Does EFER.NXE give bit 63 its meaning?"""
    machine.map(PAGE)
    places = place(machine)
    # All of ring 3's data is NX, and so is the stack, so only this ring is left.
    machine.cpu.write_msr(MSR.IA32_EFER, machine.cpu.read_msr(MSR.IA32_EFER) & ~EFER.NXE)
    assert access(machine, places, "read", 0, PAGE) == (
        Vector.PF, PageFaultError.P | PageFaultError.RSVD)


def test_access_that_straddles_pages_faults_at_the_one_that_is_not_there(machine: Bare) -> None:
    """Is CR2 the first byte that cannot be reached, and is nothing written before?"""
    machine.map(PAGE)
    result = machine.run("mov [rbx], rax", ring=3, rbx=PAGE + 0xFFC, rax=(1 << 64) - 1)
    assert result.trap is not None
    assert (result.trap.vector, result.trap.cr2) == (Vector.PF, PAGE + 0x1000)
    assert machine.read(PAGE + 0xFFC, 4) == bytes(4)


def test_faulting_instruction_changes_no_register(asm: Asm) -> None:
    """Can it be restarted?"""
    result = asm("push rcx\nmov rsi, rbx\nhere: lodsq\nnop", ring=3, rbx=PAGE, rax=7)
    assert result.trap is not None
    assert (result.rip, result.rsi, result.rax) == (result.labels["here"], PAGE, 7)


def test_demand_paging_lets_the_instruction_be_restarted(machine: Bare) -> None:
    """Does a handler that maps the page make the access succeed, without a flush?"""
    machine.on_trap[Vector.PF] = lambda trap: not machine.map(trap.cr2)
    result = machine.run("mov [rbx], rax\nadd [rbx], rax\nmov rcx, [rbx]", ring=3, rbx=PAGE, rax=21)
    assert result.ended
    assert len(result.traps) == 1
    assert result.rcx == 42


def test_copy_on_write_fault_is_a_protection_violation(machine: Bare) -> None:
    """Does a write to a read-only page fault after reads of it have succeeded?"""
    machine.map(PAGE, flags=PTE.P | PTE.US | PTE.NX)

    machine.on_trap[Vector.PF] = lambda trap: not machine.map(PAGE)
    result = machine.run("mov rcx, [rbx]\nmov [rbx], rax\nmov rdx, [rbx]", ring=3, rbx=PAGE, rax=5)
    assert [trap.error_code for trap in result.traps] == [
        PageFaultError.P | PageFaultError.W | PageFaultError.U]
    assert result.rdx == 5


@pytest.mark.parametrize("level", [1, 2])
def test_large_pages_map_2_mib_and_1_gib(machine: Bare, level: int) -> None:
    """Does PS end the walk, with the low bits of the address as offset?"""
    va = 0x0000_7F00_0000_0000
    machine.map(va)
    place_ = machine.entry(va, level) >> 3
    machine.ram.u64[place_] = 0 | PTE.P | PTE.RW | PTE.US | PTE.PS | PTE.NX
    machine.cpu.flush_tlb()
    machine.ram.u64[0x3F_1238 >> 3] = 77
    offset = 0x1F_1238 if level == 2 else 0x3F_1238
    if level == 2:
        machine.ram.u64[place_] |= 2 << 20
    result = machine.run("mov rax, [rbx]\nmov [rbx], rbx", ring=3, rbx=va + offset)
    assert result.rax == 77
    assert machine.ram.u64[0x3F_1238 >> 3] == va + offset
    assert machine.ram.u64[place_] & (PTE.A | PTE.D) == PTE.A | PTE.D


def test_large_page_that_is_not_aligned_is_a_reserved_bit_fault(machine: Bare) -> None:
    """Are the frame bits below 2 MiB reserved?"""
    va = 0x0000_7F00_0000_0000
    machine.map(va)
    places = place(machine)
    for bit in (13, 20):
        machine.ram.u64[machine.entry(va, 2) >> 3] = 1 << bit | PTE.P | PTE.RW | PTE.US | PTE.PS
        assert access(machine, places, "read", 3, va) == (
            Vector.PF, PageFaultError.P | PageFaultError.RSVD | PageFaultError.U)


def test_stale_translation_is_used_until_invlpg(machine: Bare) -> None:
    """Does a kernel that forgets INVLPG see it?"""
    machine.map(PAGE)
    machine.write(PAGE, b"old")
    machine.run("mov eax, [rbx]", ring=3, rbx=PAGE)
    machine.map(PAGE)
    machine.write(PAGE, b"new")
    stale = machine.run("mov eax, [rbx]", ring=3, rbx=PAGE)
    assert stale.rax == int.from_bytes(b"old", "little")
    machine.run("invlpg [rbx]", rbx=PAGE)
    fresh = machine.run("mov eax, [rbx]", ring=3, rbx=PAGE)
    assert fresh.rax == int.from_bytes(b"new", "little")


def test_address_spaces_are_told_apart_by_cr3(machine: Bare) -> None:
    """Do two sets of tables with the same kernel show different pages at one address?"""
    from emulator import boot

    machine.map(PAGE)
    other = machine.frame()
    tables = [machine.frame() for _ in range(3)]
    u64 = machine.ram.u64
    machine.ram.write(other, machine.ram.read(boot.PML4, 0x1000))
    pdpt = u64[other >> 3] & ~0xFFF
    machine.ram.write(tables[0], machine.ram.read(pdpt, 0x1000))
    u64[other >> 3] = tables[0] | PTE.P | PTE.RW | PTE.US
    rights = PTE.P | PTE.RW | PTE.US
    u64[(tables[0] >> 3) + (PAGE >> 30)] = tables[1] | rights
    u64[(tables[1] >> 3) + (PAGE >> 21 & 511)] = tables[2] | rights
    u64[(tables[2] >> 3) + (PAGE >> 12 & 511)] = machine.frame() | rights
    result = machine.run("""
        mov qword ptr [rbx], 1
        mov rdx, cr3
        mov cr3, rcx
        mov qword ptr [rbx], 2
        mov cr3, rdx
        mov rax, [rbx]
        mov cr3, rcx
        mov rdi, [rbx]
        mov cr3, rdx
    """, rbx=PAGE, rcx=other)
    assert (result.rax, result.rdi) == (1, 2)


def test_unbacked_physical_memory_reads_as_ones_and_loses_writes(machine: Bare) -> None:
    """Does a page mapped to where nothing is do no harm?"""
    for pa in (machine.ram.size, 0x8000_0000, 0xFEE0_0000, (1 << 40) - 0x1000):
        machine.map(PAGE, pa)
        machine.cpu.flush_tlb()
        result = machine.run("mov qword ptr [rbx], 5\nmov rax, [rbx]\nmov ecx, [rbx+2]\n"
                             "add byte ptr [rbx], 1\nmovups xmm0, [rbx+9]\nfxsave [rbx]",
                             ring=3, rbx=PAGE)
        assert result.ended
        assert (result.rax, result.rcx) == ((1 << 64) - 1, (1 << 32) - 1)


@pytest.mark.parametrize("ring", [0, 3])
def test_code_outside_ram_is_undefined(machine: Bare, ring: int) -> None:
    """Is a jump to a device, or to nothing, #UD there, and the machine goes on?"""
    for pa in (0xFED0_0000, 0x8000_0000):
        machine.map(PAGE, pa, flags=PTE.P | PTE.RW | (PTE.US if ring else 0))
        machine.cpu.flush_tlb()
        result = machine.run("jmp rbx", ring, rbx=PAGE + 8)
        assert result.trap is not None
        assert (result.trap.vector, result.rip) == (Vector.UD, PAGE + 8)
    assert machine.run("nop", ring).ended


ENTRIES = st.builds(
    lambda flags, high, frame: flags | high | frame,
    st.integers(0, 0xFFF).map(lambda bits: bits | PTE.P if bits & 0x600 else bits),
    st.sampled_from([0, 0, 0, 0, PTE.NX, 1 << 40, 1 << 51, 1 << 52, 1 << 62]),
    st.sampled_from([0x30_0000, 0x30_0000, 0x20_0000, 0, 0x3000, 0x4000_0000]))


@settings(max_examples=60, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries=st.tuples(ENTRIES, ENTRIES, ENTRIES, ENTRIES), depth=st.integers(0, 3),
       kind=st.sampled_from(["read", "write"]), ring=st.sampled_from([0, 3]), wp=st.booleans())
def test_engine_and_walker_agree_on_arbitrary_tables(
        machine: Bare, entries: tuple[int, int, int, int], depth: int, kind: str, ring: int,
        wp: bool) -> None:
    """Do the engine's walk and mmu.py's reach the same end, and set the same A and D?

    The tables of one address get arbitrary entries from ``depth`` on; the frames they may name are
    zeros, RAM in use, and nothing.
    """
    va = 0x0000_7F00_0000_0000 | 0x234 << 12 | 0x10
    machine.ram.u8[0x30_0000:0x31_0000] = bytes(0x1_0000)
    machine._next_frame = 0x20_0000
    machine.ram.u8[0x20_0000:0x20_8000] = bytes(0x8000)
    from emulator import boot
    machine.ram.u64[(boot.PML4 >> 3) + (va >> 39)] = 0
    machine.map(va)
    places = place(machine)
    machine.cpu.regs.cr0 = machine.cpu.regs.cr0 & ~CR0.WP | (CR0.WP if wp else 0)
    where = [machine.entry(va, level) >> 3 for level in range(4)]
    for level in range(depth, 4):
        machine.ram.u64[where[level]] = entries[level]
    before = bytes(machine.ram.u8)
    try:
        mmu.translate(machine.ram, machine.cpu.regs.cr3, va,
                      Access.WRITE if kind == "write" else Access.READ, user=ring == 3, wp=wp)
        expected = None
    except CpuException as fault:
        expected = fault.vector, fault.error_code
    walked = [machine.ram.u64[index] for index in where]
    machine.ram.u8[:] = before
    assert access(machine, places, kind, ring, va) == expected
    if kind == "read":  # a write may have hit a table
        for index, value in zip(where, walked, strict=True):
            # The engine uses a page of 1 GiB, which CPUID does not offer, before it checks it.
            ignored = PTE.A if index == where[1] and value & PTE.PS else 0
            assert machine.ram.u64[index] | ignored == value | ignored


def test_program_sees_its_own_page_table_entry_change(machine: Bare) -> None:
    """Does ring 0 read in its tables what the processor wrote there?"""
    machine.map(PAGE)
    result = machine.run("""
        mov rax, [rcx]
        mov rdx, [rbx]
        mov rdx, [rcx]
        mov [rbx], rbx
        invlpg [rbx]
        mov [rbx], rbx
        mov rdi, [rcx]
    """, rbx=PAGE, rcx=machine.entry(PAGE))
    assert [value & (PTE.A | PTE.D) for value in (result.rax, result.rdx, result.rdi)] == [
        0, PTE.A, PTE.A | PTE.D]


def test_ring_0_may_not_run_what_is_nx_for_it(machine: Bare) -> None:
    """Is the kernel held to W^X too?"""
    machine.map(PAGE, flags=PTE.P | PTE.RW | PTE.NX)
    machine.write(PAGE, b"\x90")
    result = machine.run("jmp rbx", rbx=PAGE)
    assert result.trap is not None
    assert (result.trap.vector, result.trap.error_code) == (
        Vector.PF, PageFaultError.P | PageFaultError.I)


def test_ring_3_cannot_reach_any_of_the_kernels_pages(machine: Bare) -> None:
    """Are all the low pages, where the kernel is, closed to reads, writes and jumps?"""
    places = place(machine)
    for va in (0x1000, 0x1_0000, 0x1_1000, 0x2_3000, KERNEL_CODE, 0x3F_F000):
        for kind in ("read", "write", "fetch"):
            assert access(machine, places, kind, 3, va) == (
                Vector.PF, error_code(kind, 3, True)), (hex(va), kind)
    for kind, va in (("write", USER_CODE), ("fetch", USER_DATA)):
        assert access(machine, places, kind, 3, va) == (Vector.PF, error_code(kind, 3, True))
