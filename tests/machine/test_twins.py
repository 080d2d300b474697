"""The native microcode and the Python reference, from the same state: every byte, afterwards.

The rest of this folder runs on the pair too (``verify`` in conftest.py), with the states that
programs lead to.  Here are states that none would: gates, descriptors, stacks, task-state segments,
page-table bits, flags and blocks at random.  Native code may leave a case to the reference; what
comes out must be the same all the same.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st
from programs import everything
from twins import Comparer, State, TwinCpu

from emulator.arch import descriptors
from emulator.arch.descriptors import (
    KERNEL_CODE_DESCRIPTOR,
    KERNEL_CS,
    KERNEL_DS,
    USER_CODE_DESCRIPTOR,
    USER_CS,
    USER_DS,
)
from emulator.arch.exceptions import Vector
from emulator.arch.paging import PTE
from emulator.arch.registers import CR0, EFER, RFLAGS
from emulator.bare import GDT, IDT, IST, RSP0, TSS, USER_CODE, USER_STACK, Bare
from emulator.cpu import control
from emulator.cpu.binding import lib
from emulator.cpu.context import Context
from emulator.cpu.microcode import HF_CPL, HF_CS64, HF_INHIBIT_IRQ
from emulator.cpu.native import supported
from emulator.machine import Machine

pytestmark = pytest.mark.skipif(not supported(), reason="this host has no native microcode")

# Where the structures lie: pages of their own, so that each can have its own rights.
STRUCTURES = 0x5000_0000
IDT_VA, GDT_VA, TSS_VA, STACK_VA = (STRUCTURES + n * 0x1_0000 for n in range(4))
MASK = (1 << 64) - 1
PHASES = (Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink)


@dataclass
class Twins:
    """A machine whose twins can be called from any state, and the state to begin with.

    ``entries``: for each structure's page, the places of the four entries that map it.
    """

    machine: Bare
    cpu: TwinCpu
    entries: list[list[int]]
    base: State
    comparer: Comparer

    def begin(self) -> Context:
        """Put the first state back, and return it to be changed."""
        self.base.load(words_only=False)
        context = Context(self.cpu.uc, self.cpu.layout)
        lib.uc_context_save(self.cpu.uc, context.pointer)
        return context

    def call(self, name: str, context: Context, *arguments: int) -> Any:
        """Load a state and run both twins of a hook on it."""
        lib.uc_context_restore(self.cpu.uc, context.pointer)
        before = self.cpu.slow
        try:
            self.comparer.compare(self.cpu.native[name], self.cpu.python[name],
                                  (self.cpu.uc.value, *arguments, self.cpu.block_address))
        finally:
            raised, self.cpu._raised = self.cpu._raised, None
        assert raised is None, raised
        event(f"{name}: left to the reference" if self.cpu.slow > before else f"{name}: native")


@pytest.fixture(scope="module")
def twins() -> Iterator[Twins]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("emulator.machine.Cpu", TwinCpu)
        machine = Bare(Machine(2 << 20, microcode="native"))
    cpu = machine.cpu
    assert isinstance(cpu, TwinCpu)
    for va, pa, pages in ((IDT_VA, IDT, 1), (GDT_VA, GDT, 1), (TSS_VA, TSS, 3),
                          (STACK_VA, machine.frame(), 1), (STACK_VA + 0x1000, machine.frame(), 1)):
        for page in range(pages):
            machine.map(va + page * 0x1000, pa + page * 0x1000,
                        flags=PTE.P | PTE.RW | PTE.NX | PTE.A | PTE.D)
    entries = [[machine.entry(va, level) >> 3 for level in range(4)]
               for va in (IDT_VA, GDT_VA, TSS_VA, STACK_VA, STACK_VA + 0x1000)]
    for places in entries:
        for place in places:  # what walks follow has been followed before
            machine.ram.u64[place] |= PTE.A
    for selector, value in ((0x50, USER_CODE_DESCRIPTOR), (0x58, KERNEL_CODE_DESCRIPTOR | 1 << 42),
                            (0x60, KERNEL_CODE_DESCRIPTOR & ~(1 << 53)),
                            (0x68, KERNEL_CODE_DESCRIPTOR | 1 << 54),
                            (0x70, KERNEL_CODE_DESCRIPTOR & ~(1 << 47))):
        machine.descriptor(selector, value)
    base, comparer = State(cpu), Comparer(cpu)
    base.save(words_only=False)
    yield Twins(machine, cpu, entries, base, comparer)
    machine.machine.close()


def mostly(value: object, *others: object) -> st.SearchStrategy[Any]:
    """Usually ``value``, so that most examples get far."""
    return st.sampled_from([value] * (49 * len(others)) + list(others))


STACKS = mostly(STACK_VA + 0x1000, STACK_VA + 0x1008, STACK_VA + 0x1010, STACK_VA + 0x1030,
                STACK_VA + 0x2000, STACK_VA + 8, STACK_VA + 0x7F3, RSP0, 0, 8, 1 << 47, 1 << 63,
                (1 << 47) + 16, 0xFFFF_8000_0000_0000, USER_STACK, 0x7000_0000)
FLAGS = st.integers(0, 0x3F_FFFF).map(lambda bits: bits & 0x3F_7FD5 | RFLAGS.RESERVED1)
ADDRESSES = st.one_of(st.sampled_from([USER_CODE, 0, 0x4_0000, MASK, 1 << 47]),
                      st.integers(0, MASK))
WORDS = st.fixed_dictionaries({
    control.CLOCK: st.sampled_from([5000, 1 << 40]), control.SLICE_END: mostly(MASK, 0, 5001, 5000),
    control.EXIT: mostly(0, 1, 6), control.BLOCK_SIZE: st.sampled_from([0, 1, 2, 40, 4000]),
    control.REFUSED: mostly(0, 1), control.ACCESSES: st.sampled_from([0, 5]),
})
# A bit of the entry that maps a structure's page, to be turned over; 0: none.
TURNED = mostly(0, PTE.P, PTE.RW, PTE.US, PTE.A, PTE.D, PTE.NX, PTE.PS, PTE.G, 1 << 40, 1 << 51,
                1 << 13, 1 << 62)


def set_words(twins: Twins, words: dict[int, int], rip: int, inside: int) -> None:
    """Set the control block, with ``rip`` so many bytes inside its block."""
    for offset, value in words.items():
        twins.cpu.words[offset >> 3] = value
    twins.cpu.words[control.BLOCK_START >> 3] = rip - inside & MASK


def set_flags(context: Context, rflags: int, cc_op: int) -> None:
    """Set RFLAGS as they are inside a hook: lazily computed unless ``cc_op`` is 1."""
    lay = context.layout
    arithmetic = 0x8D5
    context.u64[lay.eflags >> 3] = rflags & ~arithmetic & ~RFLAGS.DF
    context.u64[lay.cc_src >> 3] = rflags & arithmetic
    context.u64[lay.cc_dst >> 3] = rflags * 0x1_0001 & MASK
    context.u32[lay.cc_op >> 2] = cc_op
    context.i32[lay.df >> 2] = -1 if rflags & RFLAGS.DF else 1


@settings(max_examples=400, deadline=None,
          phases=PHASES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_delivery_from_arbitrary_states_is_the_same(twins: Twins, data: st.DataObject) -> None:
    """Gates, selectors, stacks, limits, page-table bits, modes: do both twins end alike?"""
    draw = data.draw
    context = twins.begin()
    lay, ram = context.layout, twins.machine.ram
    vector = draw(st.one_of(st.sampled_from([14, 13, 8, 6, 3, 1, 0x80]), st.integers(0, 255)))
    is_int = draw(st.booleans())
    ring = draw(st.sampled_from([0, 3]))
    rip = draw(ADDRESSES)

    # The gate, and those that a fault in its delivery may need.
    for number, often in ((vector, True), (8, False), (10, False), (11, False), (12, False),
                          (13, False), (14, False)):
        if often or draw(mostly(False, True)):
            selector = draw(mostly(KERNEL_CS, 0, 3, 0x13, 0x50, 0x53, 0x58, 0x60, 0x68, 0x70, 0x14,
                                   0xFF8, 0x1000, KERNEL_DS, 0x78))
            offset = draw(mostly(0x4_0000, 0, 1 << 47, 0xFFFF_8000_0000_0000, MASK))
            gate = bytearray(descriptors.gate(
                offset, selector, type_=draw(mostly(14, 15, 5, 0, 0x1E, 6)),
                dpl=draw(st.sampled_from([0, 3, 1])), ist=draw(mostly(0, 1, 2, 7))))
            if draw(mostly(False, True)):
                gate[5] &= 0x7F
            gate[4] |= draw(mostly(0, 0xF8))
            ram.write(IDT + number * 16, gate)
    ram.write(TSS + descriptors.TSS_RSP0, draw(STACKS).to_bytes(8, "little"))
    ram.write(TSS + descriptors.TSS_IST1, draw(STACKS).to_bytes(8, "little"))
    ram.write(TSS + descriptors.TSS_IST1 + 8, (IST + 0x2000).to_bytes(8, "little"))

    # Where the tables lie, and how far they reach.
    shift = draw(mostly(0, 8, 4, 1))
    for name, base, limit in (
        ("idt", draw(mostly(IDT_VA, IDT_VA + shift, IDT, 1 << 47, 0x7000_0000)),
         draw(mostly(0xFFF, 0, vector * 16 + 14, vector * 16 + 15, 0xFFFF))),
        ("gdt", draw(mostly(GDT_VA, GDT, GDT_VA + shift, 0x7000_0000)),
         draw(mostly(0xFFF, 0x16, 0x17, 0, 0xFFFF))),
        ("tr", draw(mostly(TSS_VA, TSS_VA + 0xFF9, TSS_VA + 0xFF4, TSS, 0x7000_0000)),
         draw(mostly(103, 11, 10, 0, 0xFFFF_FFFF))),
    ):
        place = lay.segment(name)
        context.u64[(place + 8) >> 3] = base
        context.u32[(place + 16) >> 2] = limit
    for places in twins.entries:
        ram.u64[places[draw(mostly(3, 2, 1, 0))]] ^= draw(TURNED)

    # The processor.
    context.u64[lay.efer >> 3] ^= draw(mostly(0, EFER.NXE, EFER.LMA, EFER.NXE | EFER.LMA))
    context.u64[lay.cr >> 3] ^= draw(mostly(0, CR0.WP, CR0.PG))
    context.u64[(lay.cr >> 3) + 3] ^= draw(mostly(0, 0xFFF, 1 << 45))
    context.u32[lay.hflags >> 2] = context.u32[lay.hflags >> 2] & ~HF_CPL | ring | draw(
        mostly(0, HF_INHIBIT_IRQ))
    context.u32[lay.segment("cs") >> 2] = USER_CS if ring else KERNEL_CS
    context.u32[lay.segment("ss") >> 2] = draw(mostly(USER_DS if ring else KERNEL_DS, 0))
    context.u64[(lay.regs >> 3) + 4] = draw(st.one_of(STACKS, ADDRESSES))
    context.u64[lay.rip >> 3] = rip
    set_flags(context, draw(FLAGS), draw(mostly(1, 8, 13, 21, 30)))
    context.i32[lay.error_code >> 2] = draw(st.integers(0, 0xFFFF))
    context.i32[lay.exception_is_int >> 2] = is_int
    context.i32[lay.old_exception >> 2] = draw(mostly(-1, vector))
    set_words(twins, draw(WORDS), rip, draw(st.sampled_from([0, 1, 39, 5000])))

    twins.call("on_intr", context, vector)


@settings(max_examples=200, deadline=None,
          phases=PHASES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ring=st.sampled_from([0, 3]), rip=ADDRESSES, length=st.integers(2, 15), rflags=FLAGS,
       cc_op=mostly(1, 8, 13, 21, 30), star=st.integers(0, MASK), lstar=ADDRESSES,
       fmask=st.one_of(st.sampled_from([0, MASK]), st.integers(0, MASK)),
       efer=mostly(0, EFER.SCE, EFER.LMA, EFER.NXE), mode=mostly(0, HF_CS64, HF_INHIBIT_IRQ),
       base=mostly(0, 0x1000), before=st.integers(0, 50), words=WORDS)
def test_syscall_from_arbitrary_states_is_the_same(
        twins: Twins, ring: int, rip: int, length: int, rflags: int, cc_op: int, star: int,
        lstar: int, fmask: int, efer: int, mode: int, base: int, before: int,
        words: dict[int, int]) -> None:
    """MSRs, flags, prefixes, modes: do both twins enter the kernel alike?"""
    context = twins.begin()
    lay = context.layout
    context.u64[lay.efer >> 3] = (context.u64[lay.efer >> 3] | EFER.SCE) ^ efer
    for offset, value in ((lay.star, star), (lay.lstar, lstar), (lay.fmask, fmask), (lay.rip, rip)):
        context.u64[offset >> 3] = value
    context.u64[(lay.segment("cs") + 8) >> 3] = base
    context.u32[lay.hflags >> 2] = (context.u32[lay.hflags >> 2] & ~HF_CPL | ring) ^ mode
    set_flags(context, rflags, cc_op)
    set_words(twins, words, rip + base, before)
    twins.cpu.words[control.BLOCK_SIZE >> 3] = before + length
    twins.call("on_syscall", context)


@settings(max_examples=100, deadline=None,
          phases=PHASES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(name=st.sampled_from(["on_rdtsc", "on_rdtscp"]), clock=st.integers(100, MASK), rip=ADDRESSES,
       inside=st.integers(0, 100), size=st.integers(0, 100), aux=st.integers(0, MASK),
       rax=st.integers(0, MASK))
def test_rdtsc_from_arbitrary_states_is_the_same(twins: Twins, name: str, clock: int, rip: int,
                                                 inside: int, size: int, aux: int,
                                                 rax: int) -> None:
    """Clocks, blocks and registers: do both twins read the same time?"""
    context = twins.begin()
    lay = context.layout
    context.u64[lay.tsc_aux >> 3] = aux
    context.u64[lay.rip >> 3] = rip
    for register in range(3):
        context.u64[(lay.regs >> 3) + register] = rax
    set_words(twins, {control.CLOCK: clock, control.BLOCK_SIZE: size}, rip, inside)
    twins.call(name, context)


@settings(max_examples=150, deadline=None,
          phases=PHASES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(clock=st.integers(0, 6), deadline=st.integers(0, 6), resumed=st.integers(0, 6),
       inside=st.booleans(), waits=st.booleans(), slice_end=st.integers(0, 6), rflags=FLAGS,
       inhibited=st.booleans(), size=st.integers(1, 4096), start=ADDRESSES, last=ADDRESSES,
       times=st.one_of(st.none(), st.tuples(st.integers(0, 6), st.integers(0, MASK))))
def test_block_hook_from_arbitrary_states_is_the_same(
        twins: Twins, clock: int, deadline: int, resumed: int, inside: bool, waits: bool,
        slice_end: int, rflags: int, inhibited: bool, size: int, start: int, last: int,
        times: tuple[int, int] | None) -> None:
    """Deadlines, interrupts, debuggers' stops: do both twins stop, and count, alike?"""
    context = twins.begin()
    lay = context.layout
    set_flags(context, rflags, 1)
    if inhibited:
        context.u32[lay.hflags >> 2] |= HF_INHIBIT_IRQ
    set_words(twins, {
        control.CLOCK: clock, control.DEADLINE: deadline, control.RESUME_CLOCK: resumed,
        control.RESUMED_INSIDE: int(inside), control.WAIT_IF: int(waits),
        control.SLICE_END: slice_end, control.EXIT: 0, control.RING0_TIMES: 0}, last, 0)
    if times is not None:
        twins.machine.ram.write(RSP0 - 16, struct.pack("<2Q", *times))
        twins.cpu.count_ring0(RSP0 - 16)
    twins.call("on_block", context, start, size)


def test_what_programs_do_all_the_time_is_native(twins: Twins) -> None:
    """Do page faults, calls, traps and time not fall back on the slow reference?"""
    twins.begin()
    cpu = twins.cpu
    cpu.flush_tlb()
    cpu.slow = 0
    cpu.compared = dict.fromkeys(cpu.compared, 0)
    everything(twins.machine, rounds=6)
    assert twins.machine.go().ended
    assert cpu.compared["on_intr"] >= 6 * 4
    assert cpu.compared["on_syscall"] == 6
    assert cpu.compared["on_rdtsc"] >= 6
    assert cpu.compared["on_rdtscp"] == 6
    # Walks that set A or D for the first time, one a page; and #GP(0), which may have to be #SS(0).
    assert cpu.slow <= 4 + 6


def test_native_microcode_can_be_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the host grants no executable memory, does the machine come up on the reference?"""
    monkeypatch.setattr("emulator.cpu.cpu.supported", lambda: False)
    machine = Bare(Machine(4 << 20))
    assert machine.cpu.microcode == "python"
    assert machine.run("ud2", ring=3).traps[0].vector == Vector.UD
